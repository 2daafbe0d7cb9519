"""The audit log over HTTP: a page at a time, or all of it as a file."""

from __future__ import annotations

from typing import Any

from flask import Response
from flask.views import MethodView

from consent_service.access.audit_log import Filters, read_page
from consent_service.access.auth import needs
from consent_service.audit.schemas import FiltersIn, PageOut, PageQuery
from consent_service.audit.service import Form, export
from consent_service.db import Database
from consent_service.downloads import download
from consent_service.formats import FORMATS
from consent_service.limits import limit
from consent_service.signing import Keyring
from consent_service.tenants.auth import current_tenant
from consent_service.web import TO_MEMBERS, Blueprint, ErrorOut
from consent_service.wiring import use

audit = Blueprint(
    "audit",
    __name__,
    url_prefix="/v1/tenants/<string:tenant>",
    description="The audit log: who changed what.",
    answers=TO_MEMBERS,
)
limit(audit)


@audit.route("/audit")
class Log(MethodView):
    """The audit log."""

    @needs("audit:read")
    @audit.arguments(PageQuery, location="query")
    @audit.response(200, PageOut)
    @audit.alt_response(422, schema=ErrorOut, description="The question is not right.")
    def get(self, query: dict[str, Any], tenant: str) -> dict[str, Any]:
        """Give a page of the log, newest first."""
        del tenant
        page = read_page(
            use(Database),
            use(Keyring),
            current_tenant().id,
            query["filters"],
            limit=query["limit"],
            cursor=query["cursor"],
        )
        return {"events": [event.shown() for event in page.events], "cursor": page.cursor}


@audit.route("/audit.ndjson")
class LogAsLines(MethodView):
    """The audit log for programs."""

    @needs("audit:read")
    @audit.arguments(FiltersIn, location="query")
    @audit.response(200, content_type="application/x-ndjson")
    def get(self, query: dict[str, Any], tenant: str) -> Response:
        """Give all of the log, one JSON object a line; the last says how many there are."""
        del tenant
        return exported("ndjson", query["filters"])


@audit.route("/audit.csv")
class LogAsTable(MethodView):
    """The audit log for spreadsheets."""

    @needs("audit:read")
    @audit.arguments(FiltersIn, location="query")
    @audit.response(200, content_type="text/csv")
    def get(self, query: dict[str, Any], tenant: str) -> Response:
        """Give all of the log as a table (RFC 4180); the last row says how many rows there are."""
        del tenant
        return exported("csv", query["filters"])


def exported(form: Form, filters: Filters) -> Response:
    """Answer with the current tenant's audit log as a file."""
    tenant = current_tenant()
    chunks = export(use(Database), use(Keyring), tenant.id, filters, form)
    return download(chunks, f"audit-{tenant.slug}.{form}", FORMATS[form].mimetype)
