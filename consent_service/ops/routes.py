"""Health for load balancers, figures for monitoring, and the API's own documentation."""

from __future__ import annotations

import hmac
from ipaddress import IPv6Address, ip_address

from flask import Blueprint, Request, Response, jsonify, render_template, request

from consent_service import clock
from consent_service.config import Settings
from consent_service.consents.feed import ChangeFeed
from consent_service.db import Database, newest_revision
from consent_service.errors import NotSignedIn, Unavailable
from consent_service.ledger.directory import LedgerDirectory
from consent_service.ledger.service import Figures, figures
from consent_service.ops.metrics import CONTENT_TYPE, Gauge, exposition
from consent_service.web import Api
from consent_service.wiring import use

ops = Blueprint(
    "ops",
    __name__,
    template_folder="templates",
    static_folder="static",
    static_url_path="/docs/assets",
)


#: What a proxy says about whom it speaks for.
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP")


@ops.get("/healthz")
def healthz() -> Response:
    """Say that the process is alive."""
    return jsonify(status="ok")


@ops.get("/readyz")
def readyz() -> tuple[Response, int]:
    """Say whether the process can do its work: the database answers, with this version's tables."""
    try:
        revision = use(Database).revision()
    except Unavailable:
        return jsonify(status="unavailable", database="cannot be reached"), 503
    if revision != newest_revision():
        return jsonify(status="unavailable", database="needs: consent-service db upgrade"), 503
    return jsonify(status="ok", database="ok"), 200


@ops.get("/metrics")
def metrics() -> Response:
    """Give figures for monitoring, to the machine itself or to who has the token for it."""
    if not (_is_near(request) or _has_token(request, use(Settings).metrics_token)):
        raise NotSignedIn(
            "Call this from the machine itself, or send Authorization: Bearer with the token that "
            "CONSENT_METRICS_TOKEN holds."
        )
    found = figures(use(Database))
    said = gauges(found, len(use(LedgerDirectory).suspended), use(ChangeFeed).silent_seconds)
    return Response(exposition(said), content_type=CONTENT_TYPE)


def gauges(found: Figures, suspended: int, silent_seconds: float) -> tuple[Gauge, ...]:
    """Return all that is told: figures of all tenants together, and this process's own."""
    number, since = found.waiting
    delay = max(0.0, (clock.now() - since).total_seconds()) if since else 0.0
    return (
        Gauge(
            "consent_ledger_merge_delay_seconds",
            "Age of the oldest leaf that waits to be added to its ledger; 0 when none waits.",
            delay,
        ),
        Gauge("consent_ledger_pending_leaves", "Leaves that wait to be added.", number),
        Gauge("consent_ledger_leaves", "Leaves of all ledgers.", found.leaves),
        Gauge(
            "consent_ledger_suspended",
            "Tenants for which nothing is written, as more was published than is here.",
            suspended,
        ),
        Gauge(
            "consent_feed_silence_seconds",
            "Since this process last heard from the database; the gate denies from 30 on.",
            silent_seconds,
        ),
    )


def _is_near(call: Request) -> bool:
    """Say whether a call comes from this machine, and not through a proxy on it."""
    if any(name in call.headers for name in _FORWARDED):
        return False
    try:
        address = ip_address(call.remote_addr or "")
    except ValueError:
        return False
    plain = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (plain or address).is_loopback


def _has_token(call: Request, token: str) -> bool:
    sent = call.headers.get("Authorization", "")
    return bool(token) and hmac.compare_digest(sent.encode(), f"Bearer {token}".encode())


@ops.get("/openapi.json")
def openapi() -> Response:
    """Give the OpenAPI 3.1 document."""
    return jsonify(use(Api).description())


@ops.get("/docs")
def docs() -> str:
    """Show the OpenAPI document to people."""
    return render_template("ops/docs.html")
