"""API keys over HTTP: make, list, rotate and revoke them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from flask.views import MethodView

from consent_service.access.auth import current_actor, needs
from consent_service.access.keys import (
    NewKey,
    create_key,
    find_key,
    list_keys,
    revoke_key,
    rotate_key,
)
from consent_service.db import Database
from consent_service.keys.schemas import KeyIn, KeyOut, KeysOut, NewKeyOut, RotationIn
from consent_service.limits import limit
from consent_service.tenants.auth import current_tenant
from consent_service.web import TO_MEMBERS, Blueprint, ErrorOut
from consent_service.wiring import use

keys = Blueprint(
    "keys",
    __name__,
    url_prefix="/v1/tenants/<string:tenant>/keys",
    description="API keys: what programs call with.",
    answers=TO_MEMBERS,
)
limit(keys)


def _shown(made: NewKey) -> dict[str, Any]:
    return {"key": made.key.shown(), "secret": made.secret}


@keys.route("")
class Keys(MethodView):
    """The tenant's keys."""

    @needs("keys:read")
    @keys.response(200, KeysOut)
    def get(self, tenant: str) -> dict[str, Any]:
        """List all keys, newest first, without what they are called with."""
        del tenant
        return {"keys": [key.shown() for key in list_keys(use(Database), current_tenant().id)]}

    @needs("keys:write", fresh=True)
    @keys.arguments(KeyIn)
    @keys.response(201, NewKeyOut)
    @keys.alt_response(422, schema=ErrorOut, description="Something is not right.")
    def post(self, sent: dict[str, Any], tenant: str) -> dict[str, Any]:
        """Make a key, and show it this once."""
        del tenant
        made = create_key(
            use(Database),
            current_tenant().id,
            sent["name"],
            sent["scopes"],
            expires_at=sent["expires_at"],
            by=current_actor(),
        )
        return _shown(made)


@keys.route("/<uuid:key_id>")
class OneKey(MethodView):
    """A key."""

    @needs("keys:read")
    @keys.response(200, KeyOut)
    def get(self, tenant: str, key_id: UUID) -> dict[str, Any]:
        """Say what the key may do and when it was used last."""
        del tenant
        return find_key(use(Database), current_tenant().id, key_id).shown()


@keys.route("/<uuid:key_id>/rotate")
class Rotation(MethodView):
    """A key's successor."""

    @needs("keys:write", fresh=True)
    @keys.arguments(RotationIn)
    @keys.response(201, NewKeyOut)
    def post(self, sent: dict[str, int], tenant: str, key_id: UUID) -> dict[str, Any]:
        """Make a key that may do the same, show it this once, and have the old one end."""
        del tenant
        made = rotate_key(
            use(Database),
            current_tenant().id,
            key_id,
            overlap=timedelta(hours=sent["overlap_hours"]),
            by=current_actor(),
        )
        return _shown(made)


@keys.route("/<uuid:key_id>/revoke")
class Revocation(MethodView):
    """A key's end."""

    @needs("keys:write", fresh=True)
    @keys.response(204)
    def post(self, tenant: str, key_id: UUID) -> None:
        """Have the key open nothing from now on."""
        del tenant
        revoke_key(use(Database), current_tenant().id, key_id, by=current_actor())
