"""Legal holds over HTTP: see them, place and lift them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask.views import MethodView

from consent_service.access.auth import current_actor, needs
from consent_service.consents.holds import Order, lift_hold, list_holds, place_hold
from consent_service.consents.routes import holds
from consent_service.consents.schemas import HoldOut, HoldsOut, LiftIn, PlaceIn
from consent_service.db import Database
from consent_service.tenants.auth import current_tenant, named_site
from consent_service.web import ErrorOut
from consent_service.wiring import use


@holds.route("/holds")
class Holds(MethodView):
    """Legal holds."""

    @needs("holds:read")
    @holds.response(200, HoldsOut)
    def get(self, tenant: str) -> dict[str, Any]:
        """List holds: those in force first, then those lifted, each the newest first."""
        del tenant
        found = list_holds(use(Database), current_tenant().id)
        return {"holds": [each.shown() for each in found]}

    @needs("holds:write")
    @holds.arguments(PlaceIn)
    @holds.response(201, HoldOut)
    @holds.alt_response(422, schema=ErrorOut, description="Something is not right.")
    def post(self, sent: dict[str, Any], tenant: str) -> dict[str, Any]:
        """Have records be kept: what the hold covers is not erased from now on."""
        del tenant
        site = named_site(sent.pop("site")) if sent["site"] else sent.pop("site")
        order = Order(site=site, **sent)
        return place_hold(use(Database), current_tenant().id, order, by=current_actor()).shown()


@holds.route("/holds/<uuid:hold_id>/lift")
class Lift(MethodView):
    """The end of a hold."""

    @needs("holds:write")
    @holds.arguments(LiftIn)
    @holds.response(200, HoldOut)
    @holds.alt_response(422, schema=ErrorOut, description="Something is not right.")
    def post(self, sent: dict[str, str], tenant: str, hold_id: UUID) -> dict[str, Any]:
        """Have what the hold covers be erased again when visitors ask for it."""
        del tenant
        database, tenant_id = use(Database), current_tenant().id
        return lift_hold(
            database, tenant_id, hold_id, reason=sent["reason"], by=current_actor()
        ).shown()
