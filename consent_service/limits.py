"""Rate limits for each network address, in memory or shared through Redis or Valkey.

The address itself is kept nowhere: what is counted is a keyed hash of it that nobody can undo and
that changes every day. When Redis is gone, each process counts for itself until it is back.
"""

from __future__ import annotations

import math
import time
from contextlib import suppress
from datetime import UTC, datetime
from ipaddress import IPv6Address, ip_address, ip_network

from flask import Blueprint, Flask, current_app, request
from flask_limiter import Limiter

from consent_service.config import Settings
from consent_service.signing import Keyring
from consent_service.wiring import use


def _address_key() -> str:
    """Return the keyed hash to count by; one IPv6 subscriber holds a whole /64."""
    network = request.remote_addr or ""
    with suppress(ValueError):
        address = ip_address(network)
        if isinstance(address, IPv6Address):
            # A listener for both kinds writes ::ffff:192.0.2.1 for 192.0.2.1.
            plain = address.ipv4_mapped
            network = str(plain or ip_network((address, 64), strict=False))
    day = datetime.now(UTC).date().isoformat()
    return use(Keyring).signer("limits").get_signature(f"{day} {network}").decode()


limiter = Limiter(
    key_func=_address_key,
    in_memory_fallback_enabled=True,
    swallow_errors=True,
)


#: Steps of signing in that one address may take.
ATTEMPTS = "60 per minute"

#: Methods that change nothing.
READING = frozenset({"GET", "HEAD", "OPTIONS"})


def _kind(*_: str) -> str:
    return "reads" if _is_reading() else "writes"


def _rate() -> str:
    return str(current_app.config[f"CONSENT_LIMIT_{_kind().upper()}"])


def limit(blueprint: Blueprint) -> None:
    """Hold a blueprint's calls to the limits: one for reads, one for writes, over all of them."""
    limiter.shared_limit(_rate, scope=_kind)(blueprint)


def limit_events(blueprint: Blueprint) -> None:
    """Hold a blueprint's writes to a limit of their own: they use up nothing that choices need."""
    limiter.shared_limit(
        lambda: str(current_app.config["CONSENT_LIMIT_EVENTS"]),
        scope="events",
        exempt_when=_is_reading,
    )(blueprint)


def limit_tokens(blueprint: Blueprint) -> None:
    """Hold a blueprint's calls to what writes may be, counted apart: each of them keeps a row."""
    limiter.shared_limit(
        lambda: str(current_app.config["CONSENT_LIMIT_WRITES"]),
        scope="tokens",
        exempt_when=lambda: request.method == "OPTIONS",
    )(blueprint)


def limit_attempts(blueprint: Blueprint) -> None:
    """Hold a blueprint's writes to what people who sign in need, over all such blueprints.

    One address cannot try a password on many accounts, nor have the service hash without end.
    """
    limiter.shared_limit(ATTEMPTS, scope="attempts", exempt_when=_is_reading)(blueprint)


def _is_reading() -> bool:
    return request.method in READING


def retry_after() -> int:
    """Return in how many seconds the limit that this request reached allows the next one."""
    reached = limiter.current_limit
    return max(1, math.ceil(reached.reset_at - time.time())) if reached else 1


def init_limits(app: Flask, settings: Settings) -> None:
    """Count in Redis if the settings name one, else in this process's memory."""
    app.config["CONSENT_LIMIT_READS"] = settings.limit_reads
    app.config["CONSENT_LIMIT_WRITES"] = settings.limit_writes
    app.config["CONSENT_LIMIT_EVENTS"] = settings.limit_events
    app.config["RATELIMIT_STORAGE_URI"] = settings.redis_url or "memory://"
    if settings.redis_url:
        app.config["RATELIMIT_STORAGE_OPTIONS"] = {
            "socket_timeout": 0.25,
            "socket_connect_timeout": 0.25,
        }
    limiter.init_app(app)
