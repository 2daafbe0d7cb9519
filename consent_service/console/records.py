"""Records of visitors, looked up one at a time; each look is logged."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from flask import redirect, render_template, request, url_for
from flask_babel import format_date
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from consent_service.access.auth import current_actor, needs
from consent_service.consents.lookup import (
    FoundRecord,
    find_record,
    find_visitor,
    site_of_visitor,
)
from consent_service.consents.routes import receipt_link
from consent_service.console.blueprints import workspace
from consent_service.console.regions import regime_name, region_name
from consent_service.console.sentences import N_
from consent_service.db import Database
from consent_service.errors import NotFound
from consent_service.ledger.checkpoint import Proof
from consent_service.ledger.service import LedgerBroken, prove
from consent_service.notices.history import get_version
from consent_service.signing import Keyring
from consent_service.tenants.auth import current_tenant, named_site
from consent_service.tenants.service import Site
from consent_service.wiring import use

log = logging.getLogger(__name__)

Page = Response | str | tuple[str, int]

_RECORD = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_VISITOR = re.compile(r"vis_[A-Za-z0-9_-]{22}")

_WORDS = {
    "accept_all": N_("Accepted all"),
    "reject_all": N_("Rejected all"),
    "save": N_("Chose by purpose"),
    "withdraw": N_("Withdrew"),
    "link": N_("Signed in on another device: nothing was asked"),
    "banner": N_("On the banner"),
    "preferences": N_("In the preference centre"),
    "embed": N_("On the placeholder of an element that waits"),
    "granted": N_("Granted"),
    "refused": N_("Refused"),
    "withdrawn": N_("Withdrawn"),
}


@workspace.get("/records")
@needs("records:read")
def records(tenant: str) -> Page:
    """Ask for a record or a visitor, and lead to it."""
    asked = request.args.get("q", "").strip()
    # A receipt link names the record first, and then the tenant.
    record, visitor = _RECORD.search(asked), _VISITOR.search(asked)
    if record:
        there = url_for("workspace.record", tenant=tenant, record_id=record[0].lower())
        return redirect(there, 303)
    found = visitor and site_of_visitor(use(Database), current_tenant().id, visitor[0])
    if visitor and found:
        place: dict[str, Any] = {"site_key": found.site_key, "visitor_id": visitor[0]}
        return redirect(url_for("workspace.visitor", tenant=tenant, **place), 303)
    return render_template("console/records.html", asked=asked), 404 if asked else 200


@workspace.get("/records/<uuid:record_id>")
@needs("records:read")
def record(tenant: str, record_id: UUID) -> str:
    """Show a record."""
    del tenant
    tenant_id = current_tenant().id
    found = find_record(use(Database), use(Keyring), tenant_id, record_id, by=current_actor())
    revoked = found.key_revoked
    stolen_at = revoked.at if revoked and revoked.stolen else None
    return render_template(
        "console/record.html",
        found=found,
        stolen_at=stolen_at and format_date(stolen_at, "d MMM y"),
        content=found.record,
        ledger=_ledger_state(tenant_id, found),
        names=_purpose_names(named_site(found.site_key), found),
        receipt_url=receipt_link(found),
        receipt_page=(receipt_link(found) or "").replace("/receipt.json", "/receipt.html"),
        said=word_name,
        region_name=region_name,
        regime_name=regime_name,
    )


@workspace.get("/sites/<string:site_key>/visitors/<string:visitor_id>")
@needs("records:read")
def visitor(tenant: str, site_key: str, visitor_id: str) -> str:
    """Show what is held about a visitor."""
    del tenant
    site = named_site(site_key)
    return render_template(
        "console/visitor.html",
        found=find_visitor(use(Database), site, visitor_id, by=current_actor()),
        site=site,
        said=word_name,
    )


def word_name(word: str) -> str:
    """Return what an action, a surface or a state of a record is called, in the page's language."""
    return str(_(_WORDS[word])) if word in _WORDS else word


@dataclass(frozen=True)
class LedgerState:
    """Where a record, or the tombstone it left, is in the ledger.

    :ivar proof: None while it waits, and where the ledger does not hold together
    """

    proof: Proof | None = None
    broken: bool = False


def _ledger_state(tenant_id: UUID, found: FoundRecord) -> LedgerState:
    try:
        erased = found.erased_at is not None
        return LedgerState(prove(use(Database), tenant_id, found.id, tombstone=erased))
    except LedgerBroken:
        log.exception("a record is not proved", extra={"record": str(found.id)})
        return LedgerState(broken=True)


def _purpose_names(site: Site, found: FoundRecord) -> dict[str, str]:
    """Return the purposes' names in the words that the visitor was shown."""
    if found.record is None:
        return {}
    try:
        content = get_version(use(Database), site, found.record["notice_version"]).content
    except NotFound:
        return {}
    return {
        purpose["key"]: _name(purpose["texts"], found.record["language"])
        for purpose in content["purposes"]
    }


def _name(texts: Mapping[str, Mapping[str, Any]], language: str) -> str:
    return str(texts.get(language, next(iter(texts.values())))["name"])
