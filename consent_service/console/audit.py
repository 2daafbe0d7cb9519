"""A tenant's audit log."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from flask import Response, render_template, request, url_for
from flask_babel import gettext as _

from consent_service.access.actor import OPERATOR, VISITOR
from consent_service.access.audit_log import Filters, Page, read_page
from consent_service.access.auth import needs
from consent_service.access.keys import list_keys
from consent_service.access.members import list_members
from consent_service.audit.routes import exported
from consent_service.audit.schemas import PAGE
from consent_service.audit.service import Form
from consent_service.console.actions import action_choices, action_name
from consent_service.console.blueprints import workspace
from consent_service.db import Database
from consent_service.errors import Fields, ValidationFailed
from consent_service.signing import Keyring
from consent_service.tenants.auth import current_tenant
from consent_service.wiring import use

_FILTERS = ("actor", "action", "object", "from", "until")


@workspace.get("/audit")
@needs("audit:read")
def audit(tenant: str) -> str | tuple[str, int]:
    """Show a page of the log."""
    cursor = request.args.get("cursor") or None
    try:
        page = read_page(
            use(Database),
            use(Keyring),
            current_tenant().id,
            _filters(),
            limit=PAGE,
            cursor=cursor,
        )
    except ValidationFailed as error:
        return _page(tenant, Page([], None), errors=error.fields), error.status
    return _page(tenant, page, cursor=cursor)


@workspace.get("/audit.csv", defaults={"form": "csv"})
@workspace.get("/audit.ndjson", defaults={"form": "ndjson"})
@needs("audit:read")
def audit_file(tenant: str, form: Form) -> Response:
    """Give all of the log as a file."""
    del tenant
    return exported(form, _filters())


def _page(tenant: str, page: Page, cursor: str | None = None, errors: Fields | None = None) -> str:
    asked: dict[str, Any] = {
        name: request.args[name] for name in _FILTERS if request.args.get(name)
    }
    return render_template(
        "console/audit.html",
        events=page.events,
        asked=asked,
        query=f"?{urlencode(asked)}" if asked else "",
        first=url_for("workspace.audit", tenant=tenant, **asked) if cursor else "",
        older=url_for("workspace.audit", tenant=tenant, cursor=page.cursor, **asked)
        if page.cursor
        else "",
        actors=_actors(),
        actions=[("", _("Anything")), *action_choices()],
        action_name=action_name,
        errors=errors,
    )


def _actors() -> list[tuple[str, str]]:
    """Return who may have done something: members, keys, the operator, visitors."""
    database, tenant_id = use(Database), current_tenant().id
    members = list_members(database, use(Keyring), tenant_id)
    keys = list_keys(database, tenant_id)
    return [
        ("", _("Anybody")),
        (OPERATOR.kind, _("The operator")),
        (VISITOR.kind, _("Visitors")),
        *((str(member.user_id), member.name) for member in members),
        *((str(key.id), _("Key: %(name)s", name=key.name)) for key in keys),
    ]


def _filters() -> Filters:
    """Return what the page's form asks for.

    :raises ValidationFailed: when it is not what the form offers
    """
    args = request.args
    actor = args.get("actor", "")
    if actor not in dict(_actors()):
        raise ValidationFailed(fields={"actor": ["Choose one of the list."]})
    return Filters(
        actor=actor,
        action=args.get("action", ""),
        object=args.get("object", "").strip().replace("\0", ""),
        since=_day("from"),
        until=_day("until"),
    )


def _day(name: str) -> datetime | None:
    written = request.args.get(name)
    if not written:
        return None
    try:
        return datetime.strptime(written, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise ValidationFailed(fields={name: ["Not a valid date."]}) from None
