"""Legal holds: orders to keep records."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from flask import redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from consent_service import clock
from consent_service.access.auth import current_actor, needs
from consent_service.consents.holds import (
    Order,
    check_order,
    find_hold,
    lift_hold,
    list_holds,
    place_hold,
)
from consent_service.console.blueprints import workspace
from consent_service.console.flashes import say
from consent_service.db import Database
from consent_service.errors import Fields, LegalHold, UnknownSite, ValidationFailed
from consent_service.notices.service import NoticeDirectory
from consent_service.tenants.auth import current_tenant, named_site
from consent_service.tenants.service import sites_of
from consent_service.wiring import use

Page = Response | str | tuple[str, int]

_FIELDS = ("site", "visitor_id", "authority", "reference", "reason")


@workspace.get("/records/holds")
@needs("holds:read")
def holds(tenant: str) -> str:
    """List holds, those in force first."""
    del tenant
    database, tenant_id = use(Database), current_tenant().id
    return render_template(
        "console/holds.html",
        holds=list_holds(database, tenant_id),
        site_names={site.site_key: site.name for site in sites_of(database, tenant_id)},
    )


@workspace.get("/records/holds/new")
@needs("holds:write")
def new_hold(tenant: str) -> str:
    """Ask what must be kept, and who has ordered it."""
    del tenant
    return _form(request.args)


@workspace.post("/records/holds/edit")
@needs("holds:write")
def edit_hold(tenant: str) -> str:
    """Ask again, with what was said."""
    del tenant
    return _form(request.form)


@workspace.post("/records/holds/new")
@needs("holds:write")
def check_hold(tenant: str) -> Page:
    """Show what visitors will read, and ask once more."""
    del tenant
    order = _order()
    try:
        check_order(use(Database), order)
    except ValidationFailed as error:
        return _form(request.form, error.fields), error.status
    site = order.site.name if order.site else _("All sites")
    of_all = _("The records of all visitors are kept. Where: %(site)s.", site=site)
    of_one = _("The records of one visitor are kept. Where: %(site)s.", site=site)
    return render_template(
        "console/hold_place.html",
        meaning=of_all if order.visitor_id is None else of_one,
        told=_told(order),
        fields={name: request.form.get(name, "").strip() for name in _FIELDS},
    )


@workspace.post("/records/holds")
@needs("holds:write")
def place(tenant: str) -> Page:
    """Have records be kept from now on."""
    try:
        place_hold(use(Database), current_tenant().id, _order(), by=current_actor())
    except ValidationFailed as error:
        return _form(request.form, error.fields), error.status
    return _back(tenant, _("The hold is placed: what it covers is not erased."))


@workspace.get("/records/holds/<uuid:hold_id>/lift")
@needs("holds:write")
def ask_to_lift(tenant: str, hold_id: UUID) -> str:
    """Ask why, and once more."""
    del tenant
    return _lifting(hold_id)


@workspace.post("/records/holds/<uuid:hold_id>/lift")
@needs("holds:write")
def lift(tenant: str, hold_id: UUID) -> Page:
    """End a hold."""
    database, tenant_id = use(Database), current_tenant().id
    reason = request.form.get("reason", "")
    try:
        lift_hold(database, tenant_id, hold_id, reason=reason, by=current_actor())
    except ValidationFailed as error:
        return _lifting(hold_id, reason, error.fields), error.status
    return _back(tenant, _("The hold is lifted."))


def _order() -> Order:
    """Return what the form says.

    :raises UnknownSite: when it names none of the tenant's
    """
    said = {name: request.form.get(name, "").strip() for name in _FIELDS}
    return Order(
        authority=said["authority"],
        reference=said["reference"],
        reason=said["reason"],
        site=named_site(said["site"]) if said["site"] else None,
        visitor_id=said["visitor_id"] or None,
    )


def _told(order: Order) -> str:
    """Return what visitors will read; on all sites, as those of the first one do."""
    sites = [order.site] if order.site else sites_of(use(Database), current_tenant().id)
    for site in sites:
        try:
            contact = use(NoticeDirectory).in_force(site).content["dpo"]
        except UnknownSite:
            # No notice, no visitors.
            continue
        return str(LegalHold(order.reason, clock.rfc3339(clock.now()), contact))
    return order.reason


def _form(asked: Mapping[str, str], errors: Fields | None = None) -> str:
    sites = sites_of(use(Database), current_tenant().id)
    return render_template(
        "console/hold_new.html",
        asked=asked,
        sites=[("", _("All sites")), *((site.site_key, site.name) for site in sites)],
        errors=errors,
    )


def _lifting(hold_id: UUID, reason: str = "", errors: Fields | None = None) -> str:
    hold = find_hold(use(Database), current_tenant().id, hold_id)
    return render_template("console/hold_lift.html", hold=hold, reason=reason, errors=errors)


def _back(tenant: str, text: str) -> Response:
    return say(redirect(url_for("workspace.holds", tenant=tenant), 303), text)
