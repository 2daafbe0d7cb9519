"""Reports over HTTP."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import orjson
from flask import Response, jsonify, request
from flask.views import MethodView
from marshmallow import RAISE

from consent_service import agent
from consent_service.access.auth import current_actor, current_program_tenant, needs
from consent_service.consents.routes import circumstances_of_call, gpc_signalled
from consent_service.db import Database
from consent_service.limits import limit, limit_events
from consent_service.regions.service import Regions
from consent_service.reports.authority import AuthorityReport, authority_report
from consent_service.reports.authority import shown as shown_quarter
from consent_service.reports.impressions import Event, Impressions
from consent_service.reports.pdf import authority_pdf
from consent_service.reports.report import Question, Report
from consent_service.reports.schemas import (
    EventIn,
    QuarterlyOut,
    QuarterQuery,
    RatesOut,
    RatesQuery,
    ReportSettings,
)
from consent_service.reports.service import (
    ask,
    period_of,
    set_smallest_group,
    shown,
    smallest_group,
)
from consent_service.tenants.auth import allow_site_pages, current_site, current_tenant
from consent_service.tenants.service import site_of, tenants_of
from consent_service.web import TO_MEMBERS, BeaconParser, Blueprint, ErrorOut
from consent_service.wiring import use

# Impressions.

events = Blueprint(
    "events",
    __name__,
    url_prefix="/v1/sites/<site_key>/events",
    description="Banners shown, counted without identity. Called by the widget from the site's "
    "own pages.",
)
events.ARGUMENTS_PARSER = BeaconParser()
events.after_request(allow_site_pages)
limit_events(events)


@events.route("")
class Events(MethodView):
    """Where banners are counted."""

    @events.doc(requestBody={"content": {"text/plain": {"schema": EventIn}}})
    @events.arguments(EventIn)
    @events.response(202)
    @events.alt_response(403, schema=ErrorOut, description="A page of another origin asks.")
    @events.alt_response(404, schema=ErrorOut, description="No such site, or it has no notice yet.")
    def post(self, event: Event, site_key: str) -> Response:
        """Count that a banner was shown, closed with no choice made, or a centre opened.

        The body may be announced as `text/plain`, which browsers send to another host without
        asking it first. No token or cookie is read, and none is set.
        """
        del site_key
        site = current_site()
        call = circumstances_of_call(gpc=gpc_signalled(said=event.gpc))
        use(Impressions).count(
            site,
            event,
            call,
            use(Regions).rule(call.place, site),
            bot=agent.is_bot(request.headers.get("User-Agent", "")),
        )
        return Response(status=202, mimetype="text/plain")


# Rates.

#: For programs; the tenant is their key's.
reports = Blueprint(
    "reports",
    __name__,
    url_prefix="/v1/reports",
    description="What share of those who were asked said yes.",
    answers={
        401: "No API key in use came along.",
        403: "The key lacks the permission.",
        404: "The key's tenant has no such site.",
    },
)
limit(reports)


@reports.route("/rates")
class Rates(MethodView):
    """Consent rates of a site."""

    @needs("reports:read")
    @reports.arguments(RatesQuery, location="query", unknown=RAISE)
    @reports.response(200, RatesOut, headers={"ETag": {"description": "Of these very bytes."}})
    @reports.alt_response(304, description="As the ETag in If-None-Match says.")
    @reports.alt_response(422, schema=ErrorOut, description="The question is not well put.")
    def get(self, query: dict[str, Any]) -> Response:
        """Give rates with their intervals, of a period, by group and as a series."""
        body = orjson.dumps(shown(answered(query)))
        response = Response(body, mimetype="application/json")
        response.set_etag(sha256(body).hexdigest()[:32])
        # Kept by who asked alone, and asked after each time: counting goes on.
        response.headers["Cache-Control"] = "private, no-cache"
        response.make_conditional(request)
        return response


def answered(query: dict[str, Any]) -> Report:
    """Answer what a program asks of one of its tenant's sites."""
    database = use(Database)
    site = site_of(database, current_program_tenant(), query["site"])
    since, until = period_of(site, query["since"], query["until"])
    question = Question(site.site_key, since, until, query["where"], query["group"], query["step"])
    return ask(database, site, question, compare_with=query["compare_with"])


# The report to the data-protection authority.


@reports.route("/quarterly")
class Quarterly(MethodView):
    """The report of a quarter that a DPO owes the data-protection authority."""

    @needs("reports:read")
    @reports.arguments(QuarterQuery, location="query", unknown=RAISE)
    @reports.response(200, QuarterlyOut)
    @reports.alt_response(422, schema=ErrorOut, description="It is no quarter, or one to come.")
    def get(self, query: dict[str, Any]) -> Response:
        """Give records, rates and notices of all sites in a quarter."""
        return jsonify(shown_quarter(_quarterly(query)))


@reports.route("/quarterly.pdf")
class QuarterlyPdf(MethodView):
    """The same, to be signed and sent."""

    @needs("reports:read")
    @reports.arguments(QuarterQuery, location="query", unknown=RAISE)
    @reports.response(200, content_type="application/pdf")
    @reports.alt_response(422, schema=ErrorOut, description="It is no quarter, or one to come.")
    def get(self, query: dict[str, Any]) -> Response:
        """Give the report as a PDF, in English or Swahili."""
        return quarterly_pdf(_quarterly(query), query["lang"])


def _quarterly(query: dict[str, Any]) -> AuthorityReport:
    database = use(Database)
    (tenant,) = tenants_of(database, [current_program_tenant()])
    return authority_report(database, tenant, query["quarter"])


def quarterly_pdf(report: AuthorityReport, language: str) -> Response:
    """Answer with the report of a quarter as a file."""
    response = Response(authority_pdf(report, language), mimetype="application/pdf")
    name = f"consent-{report.tenant.slug}-{report.quarter}.pdf"
    response.headers["Content-Disposition"] = f"attachment; filename={name}"
    return response


# How reports are made.

making = Blueprint(
    "report_settings",
    __name__,
    url_prefix="/v1/tenants/<string:tenant>/reports",
    description="How a tenant's reports are made.",
    answers=TO_MEMBERS,
)
limit(making)


#: What mails lead to; who has the link is whom it is for.
mailed = Blueprint(
    "mailed_reports",
    __name__,
    url_prefix="/v1/reports/files",
    description="Reports that were mailed.",
)
limit(mailed)


@making.route("/settings")
class Settings(MethodView):
    """How a tenant's reports are made."""

    @needs("reports:read")
    @making.response(200, ReportSettings)
    def get(self, tenant: str) -> dict[str, int]:
        """Say how many people a group must have to be shown."""
        del tenant
        return {"smallest_group": smallest_group(use(Database), current_tenant().id)}

    @needs("reports:write")
    @making.arguments(ReportSettings)
    @making.response(200, ReportSettings)
    @making.alt_response(422, schema=ErrorOut, description="The number is not allowed.")
    def put(self, sent: dict[str, int], tenant: str) -> dict[str, int]:
        """Say how many people a group must have to be shown: 5 to 1,000."""
        del tenant
        set_smallest_group(
            use(Database), current_tenant().id, sent["smallest_group"], by=current_actor()
        )
        return sent
