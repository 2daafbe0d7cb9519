"""Files over HTTP, for programs: rates, and records."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import Any, TypeVar, cast

from flask import Response
from flask.views import MethodView
from marshmallow import RAISE, Schema, fields, validate

from consent_service.access.auth import current_actor, current_program_tenant, needs
from consent_service.consents import export as records
from consent_service.db import Database
from consent_service.downloads import download
from consent_service.errors import UnknownForm, ValidationFailed
from consent_service.formats import FORMATS, Form
from consent_service.reports.export import check_mark, export_rates, file_name
from consent_service.reports.report import Report
from consent_service.reports.routes import answered, reports
from consent_service.reports.schemas import RatesQuery
from consent_service.tenants.schemas import site_field
from consent_service.tenants.service import Site, site_of
from consent_service.web import ErrorOut
from consent_service.wiring import use

AnyForm = TypeVar("AnyForm", bound=str)


class Mark(Schema):
    """How a CSV file begins."""

    bom = fields.String(
        load_default="0",
        validate=validate.OneOf(["0", "1"]),
        metadata={
            "description": "`1` puts a byte order mark before CSV, by which older spreadsheets "
            "know UTF-8."
        },
    )


class RatesFileQuery(RatesQuery, Mark):  # type: ignore[misc, valid-type]
    """A question whose answer is a file."""


class RecordsFileQuery(Mark):
    """Which records."""

    site = site_field()
    since = fields.Date(
        data_key="from",
        required=True,
        metadata={"description": "First day, in the site's time zone."},
    )
    until = fields.Date(data_key="to", required=True, metadata={"description": "Last day."})


def form_in(forms: Collection[AnyForm], named: str) -> AnyForm:
    """Return the form that an address names.

    :raises UnknownForm: when it is none of these
    """
    if named not in forms:
        raise UnknownForm(forms)
    return cast("AnyForm", named)


def as_file(forms: Collection[Form]) -> dict[str, Any]:
    """Describe an answer that is a file in one of these forms."""
    kinds = {FORMATS[form].mimetype.partition(";")[0] for form in forms}
    content = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in sorted(kinds)}
    return {"200": {"content": content}}


def rates_download(report: Report, form: Form, *, bom: bool = False) -> Response:
    """Answer with a report as a file."""
    asked = report.question
    name = file_name("rates", asked.site_key, asked.since, asked.until, form)
    return download(export_rates(report, form, bom=bom), name, FORMATS[form].mimetype)


def records_download(
    site: Site, since: date, until: date, form: records.Form, *, bom: bool = False
) -> Response:
    """Answer with the records of some days; which visitors they are of, to who may look it up."""
    actor = current_actor()
    chunks = records.export_records(
        use(Database),
        site,
        since,
        until,
        form,
        by=actor,
        with_visitors="records:read" in actor.permissions,
        bom=bom,
    )
    name = file_name("records", site.site_key, since, until, form)
    return download(chunks, name, FORMATS[form].mimetype)


def _in_address(forms: Collection[Form]) -> list[dict[str, Any]]:
    shape = {"type": "string", "enum": list(forms)}
    return [{"in": "path", "name": "form", "required": True, "schema": shape}]


@reports.route("/rates.<string:form>", parameters=_in_address(FORMATS))
class RatesFile(MethodView):
    """Consent rates of a site, as a file."""

    @needs("reports:read")
    @reports.doc(responses=as_file(FORMATS))
    @reports.arguments(RatesFileQuery, location="query", unknown=RAISE)
    @reports.response(200, headers={"ETag": {"description": "Of these very bytes."}})
    @reports.alt_response(304, description="As the ETag in If-None-Match says.")
    @reports.alt_response(422, schema=ErrorOut, description="The question is not well put.")
    def get(self, query: dict[str, Any], form: str) -> Response:
        """Give rates as a table: a row is one rate of one group in one period.

        What comes after a file's rows, and what half a file lacks: docs/reports.md.
        """
        kind = form_in(FORMATS.keys(), form)
        bom = query["bom"] == "1"
        check_mark(kind, bom=bom)
        if query["compare_with"] is not None:
            raise ValidationFailed(fields={"compare": ["A file holds no comparisons."]})
        return rates_download(answered(query), kind, bom=bom)


@reports.route("/records.<string:form>", parameters=_in_address(records.FORMS))
class RecordsFile(MethodView):
    """Records of a site, as a file."""

    @needs("records:export")
    @reports.doc(responses=as_file(records.FORMS))
    @reports.arguments(RecordsFileQuery, location="query", unknown=RAISE)
    @reports.response(200, headers={"ETag": {"description": "Of these very bytes."}})
    @reports.alt_response(304, description="As the ETag in If-None-Match says.")
    @reports.alt_response(422, schema=ErrorOut, description="The question is not well put.")
    def get(self, query: dict[str, Any], form: str) -> Response:
        """Give the records of some days, oldest first; each export is in the audit log.

        Which records are the same visitor's is told to keys with `records:read` alone.
        """
        kind = form_in(records.FORMS, form)
        bom = query["bom"] == "1"
        check_mark(kind, bom=bom)
        site = site_of(use(Database), current_program_tenant(), query["site"])
        return records_download(site, query["since"], query["until"], kind, bom=bom)
