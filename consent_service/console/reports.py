"""Consent rates: key figures, charts, tables, and what they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from flask import Response as FlaskResponse
from flask import redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from consent_service.access.auth import current_actor, needs
from consent_service.consents import export
from consent_service.console import report_form
from consent_service.console.blueprints import workspace
from consent_service.console.flashes import say
from consent_service.console.report_answer import Answer
from consent_service.console.report_form import longer
from consent_service.console.report_lists import choices, filters, rate_key
from consent_service.console.report_tiles import tiles, verdict
from consent_service.console.report_words import RATES, dimension_name, few
from consent_service.console.shell import error_messages
from consent_service.db import Database
from consent_service.downloads import download
from consent_service.errors import Fields, NotFound, ValidationFailed
from consent_service.formats import FORMATS, written
from consent_service.reports.counting import DIMENSIONS
from consent_service.reports.export import file_name
from consent_service.reports.files import form_in, rates_download, records_download
from consent_service.reports.service import ask, set_smallest_group, smallest_group, today
from consent_service.reports.suppression import LARGEST, SMALLEST
from consent_service.tenants.auth import current_tenant
from consent_service.tenants.service import Site, sites_of
from consent_service.wiring import use

Page = Response | str | tuple[str, int]


@workspace.get("/reports")
@needs("reports:read")
def reports(tenant: str) -> Page:
    """Show the rates of a site."""
    del tenant
    sites = _sites()
    if not sites:
        return render_template("console/reports.html", sites=sites)
    try:
        site = _site(sites)
        answer = _answer(site)
    except ValidationFailed as error:
        return _page(sites, sites[0], errors=error.fields), error.status
    return _page(sites, site, answer)


@workspace.get("/reports/charts/<string:key>.csv")
@needs("reports:read")
def chart_file(tenant: str, key: str) -> FlaskResponse:
    """Give the numbers of a chart as a file.

    :raises NotFound: when there is no such chart
    """
    del tenant
    answer = _answer(_site(_sites()))
    if key not in answer.figures:
        raise NotFound
    figure, asked = answer.figures[key], answer.report.question
    name = file_name(key, asked.site_key, asked.since, asked.until, "csv")
    return download(written("csv", figure.file, figure.numbers), name, FORMATS["csv"].mimetype)


@workspace.get("/reports/rates.<string:form>")
@needs("reports:read")
def rates_file(tenant: str, form: str) -> FlaskResponse:
    """Give all numbers of a question as a file.

    :raises UnknownForm: when there is no such kind of file
    """
    del tenant
    kind = form_in(FORMATS.keys(), form)
    return rates_download(_answer(_site(_sites())).report, kind)


@workspace.get("/reports/records.<string:form>")
@needs("records:export")
def records_file(tenant: str, form: str) -> FlaskResponse:
    """Give the records of the question's days as a file; whose they are, to who may look them up.

    :raises UnknownForm: when there is no such kind of file
    """
    del tenant
    kind = form_in(export.FORMS, form)
    site = _site(_sites())
    asked = report_form.read(request.args, site.site_key, today(site)).question
    return records_download(site, asked.since, asked.until, kind)


@workspace.post("/reports/settings")
@needs("reports:write")
def report_settings(tenant: str) -> Page:
    """Say which groups are too small to be shown."""
    kept: dict[str, Any] = _kept()
    there = redirect(url_for("workspace.reports", tenant=tenant, **kept), 303)
    written = request.form.get("smallest_group", "")
    try:
        number_of_people = int(written) if written.isdecimal() else 0
        set_smallest_group(use(Database), current_tenant().id, number_of_people, by=current_actor())
    except ValidationFailed as error:
        return say(there, _first(error.fields), "bad")
    return say(there, _("Saved: smaller groups are hidden from now on, on all days."))


def _sites() -> list[Site]:
    return sites_of(use(Database), current_tenant().id)


def _site(sites: Sequence[Site]) -> Site:
    """Return the site that is asked for, the first unless one is named.

    :raises ValidationFailed: when there is no such site
    """
    named = request.args.get("site")
    for site in sites:
        if named in {None, "", site.site_key}:
            return site
    raise ValidationFailed(fields={"site": ["Choose one of the list."]})


def _answer(site: Site) -> Answer:
    """Ask what the form asks for.

    :raises ValidationFailed: when it is not what the form offers
    """
    asked = report_form.read(request.args, site.site_key, today(site))
    while True:
        try:
            report = ask(use(Database), site, asked.question, compare_with=asked.compare_with)
        except ValidationFailed as error:
            step = asked.question.step
            if request.args.get("step") or step is None or set(error.fields or ()) != {"step"}:
                raise
            # Too many groups for so many points, and nobody has asked for these.
            asked = replace(asked, question=replace(asked.question, step=longer(step)))
        else:
            return Answer(site, asked, report)


def _page(
    sites: Sequence[Site],
    site: Site,
    answer: Answer | None = None,
    errors: Fields | None = None,
) -> str:
    kept = _kept()
    values: dict[str, Any] = {
        "sites": sites,
        "site": site,
        "asked": kept,
        "query": f"?{urlencode(kept)}" if kept else "",
        "without": lambda name: {key: value for key, value in kept.items() if key != name},
        "errors": errors,
        "choices": choices(sites, answer),
        "chosen_rate": rate_key(answer.subject.rate, answer.subject.purpose) if answer else "",
        "filters": filters(site, answer),
        "forms": FORMATS,
        "record_forms": export.FORMS,
        "answer": answer,
        "smallest_group": smallest_group(use(Database), site.tenant_id),
        "smallest_allowed": (SMALLEST, LARGEST),
    }
    if answer:
        values |= {
            "report": answer.report,
            "subject": answer.subject,
            "tiles": tiles(answer),
            "verdict": verdict(answer),
            "hides": any(group.hidden for group in answer.report.groups),
            "figures": answer.figures,
            "few": few(answer.report),
            "meaning": _(RATES[answer.subject.rate].meaning),
            "dimensions": [(name, dimension_name(name)) for name in DIMENSIONS],
        }
    return render_template("console/reports.html", **values)


def _kept() -> dict[str, str]:
    """Return what the address asks for."""
    return {name: request.args[name] for name in report_form.NAMES if request.args.get(name)}


def _first(errors: Any) -> str:  # noqa: ANN401
    """Return the first sentence about what was wrong."""
    return next(str(sentence) for sentence in error_messages(errors))
