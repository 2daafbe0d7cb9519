"""The quarterly report for the data-protection authority, to read, to print and as a PDF."""

from __future__ import annotations

from flask import Response, render_template, request
from flask_babel import gettext as _

from consent_service import clock
from consent_service.access.auth import needs
from consent_service.console.blueprints import workspace
from consent_service.console.i18n import language
from consent_service.db import Database
from consent_service.errors import ValidationFailed
from consent_service.reports.authority import AuthorityReport, authority_report
from consent_service.reports.quarter import Quarter, quarter_of, read_quarter
from consent_service.reports.routes import quarterly_pdf
from consent_service.reports.wording import texts, worded
from consent_service.tenants.auth import current_tenant
from consent_service.wiring import use

#: Quarters that can be chosen from the list; any other one by its address.
_LISTED = 8


@workspace.get("/reports/quarterly")
@needs("reports:read")
def quarterly(tenant: str) -> str:
    """Show the report of a quarter: of the last whole one unless another is asked for."""
    del tenant
    report = _report()
    return render_template(
        "console/quarterly.html",
        quarter=str(report.quarter),
        quarters=_quarters(),
        report=worded(report, language()),
        say=texts(language()),
    )


@workspace.get("/reports/quarterly.pdf")
@needs("reports:read")
def quarterly_file(tenant: str) -> Response:
    """Give the same as a PDF."""
    del tenant
    return quarterly_pdf(_report(), language())


def _report() -> AuthorityReport:
    """Return the report that is asked for.

    :raises ValidationFailed: when it is of no quarter, or of one to come
    """
    written = request.args.get("quarter")
    try:
        quarter = read_quarter(written) if written else _this_quarter().before()
    except ValueError as error:
        raise ValidationFailed(fields={"quarter": [str(error)]}) from error
    return authority_report(use(Database), current_tenant(), quarter)


def _quarters() -> list[tuple[str, str]]:
    """Return what can be chosen, newest first."""
    quarters = [_this_quarter()]
    while len(quarters) < _LISTED:
        quarters.append(quarters[-1].before())
    return [
        (str(each), _("Quarter %(number)s of %(year)s", number=each.number, year=each.year))
        for each in quarters
    ]


def _this_quarter() -> Quarter:
    return quarter_of(clock.now().date())
