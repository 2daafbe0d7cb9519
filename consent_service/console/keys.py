"""A tenant's API keys."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from flask import redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from consent_service import clock
from consent_service.access.auth import current_actor, needs
from consent_service.access.keys import (
    MAX_OVERLAP_HOURS,
    OVERLAP_HOURS,
    ApiKey,
    create_key,
    find_key,
    list_keys,
    revoke_key,
    rotate_key,
    scopes_for,
)
from consent_service.access.permissions import PERMISSIONS
from consent_service.console.blueprints import workspace
from consent_service.console.flashes import say
from consent_service.db import Database
from consent_service.errors import UnknownKey, ValidationFailed
from consent_service.tenants.auth import current_tenant
from consent_service.wiring import use

Page = Response | str | tuple[str, int]

#: Days for which a new key may be chosen to last.
_LASTS = (30, 90, 365)
_DEFAULT_DAYS = 365

#: Hours for which a rotated key may be chosen to go on.
_OVERLAPS = (0, 1, OVERLAP_HOURS, 24 * 7, MAX_OVERLAP_HOURS)


@workspace.get("/keys")
@needs("keys:read")
def keys(tenant: str) -> str:
    """List the keys."""
    del tenant
    found = list_keys(use(Database), current_tenant().id)
    return render_template("console/keys.html", keys=found)


@workspace.get("/keys/new")
@needs("keys:write", fresh=True)
def new_key(tenant: str) -> str:
    """Ask what a new key may do."""
    del tenant
    return _form_page(days=str(_DEFAULT_DAYS))


@workspace.post("/keys/new")
@needs("keys:write", fresh=True)
def make_key(tenant: str) -> Page:
    """Make a key, and show it this once."""
    del tenant
    name, scopes = request.form.get("name", "").strip(), request.form.getlist("scopes")
    days = request.form.get("days", "")
    lasts = timedelta(days=int(days)) if days in map(str, _LASTS) else None
    try:
        made = create_key(
            use(Database),
            current_tenant().id,
            name,
            scopes,
            expires_at=clock.now() + lasts if lasts else None,
            by=current_actor(),
        )
    except ValidationFailed as error:
        page = _form_page(errors=error.fields, name=name, chosen=scopes, days=days)
        return page, error.status
    return render_template("console/keys_shown.html", key=made.key, secret=made.secret)


@workspace.get("/keys/<uuid:key_id>/rotate")
@needs("keys:write", fresh=True)
def ask_to_rotate(tenant: str, key_id: UUID) -> str:
    """Ask for how long the old key is to go on."""
    del tenant
    return render_template(
        "console/keys_rotate.html",
        key=_in_use(key_id),
        overlaps=[(hours, _hours(hours)) for hours in _OVERLAPS],
        overlap=OVERLAP_HOURS,
    )


@workspace.post("/keys/<uuid:key_id>/rotate")
@needs("keys:write", fresh=True)
def rotate(tenant: str, key_id: UUID) -> str:
    """Make a key's successor, and show it this once."""
    del tenant
    hours = request.form.get("overlap_hours", OVERLAP_HOURS, int)
    overlap = timedelta(hours=min(max(hours, 0), MAX_OVERLAP_HOURS))
    database, tenant_id = use(Database), current_tenant().id
    made = rotate_key(database, tenant_id, key_id, overlap=overlap, by=current_actor())
    return render_template(
        "console/keys_shown.html",
        key=made.key,
        secret=made.secret,
        before=find_key(database, tenant_id, key_id),
    )


@workspace.get("/keys/<uuid:key_id>/revoke")
@needs("keys:write", fresh=True)
def ask_to_revoke_key(tenant: str, key_id: UUID) -> str:
    """Ask once more before a key is revoked."""
    del tenant
    key = find_key(use(Database), current_tenant().id, key_id)
    return render_template("console/keys_revoke.html", key=key)


@workspace.post("/keys/<uuid:key_id>/revoke")
@needs("keys:write", fresh=True)
def revoke_api_key(tenant: str, key_id: UUID) -> Response:
    """Have a key open nothing any more."""
    database, tenant_id = use(Database), current_tenant().id
    key = find_key(database, tenant_id, key_id)
    revoke_key(database, tenant_id, key_id, by=current_actor())
    there = url_for("workspace.keys", tenant=tenant)
    return say(redirect(there, 303), _("The key %(name)s is revoked.", name=key.name))


def _in_use(key_id: UUID) -> ApiKey:
    key = find_key(use(Database), current_tenant().id, key_id)
    if key.state != "in_use":
        raise UnknownKey
    return key


def _form_page(**values: Any) -> str:  # noqa: ANN401
    return render_template(
        "console/keys_new.html",
        scopes=[(each, each, _(PERMISSIONS[each][1])) for each in scopes_for(current_actor())],
        lasts=[*((str(days), _days(days)) for days in _LASTS), ("", _("It does not expire"))],
        **values,
    )


def _days(days: int) -> str:
    return str(_("%(number)s days", number=days))


def _hours(hours: int) -> str:
    if hours == 0:
        return str(_("It ends at once"))
    if hours < OVERLAP_HOURS:
        return str(_("1 hour"))
    return str(_("1 day")) if hours == OVERLAP_HOURS else _days(hours // 24)
