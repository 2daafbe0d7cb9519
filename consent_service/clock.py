"""The time and new identifiers: the only place either comes from."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from functools import lru_cache
from uuid import UUID

from uuid_utils.compat import uuid7


def now() -> datetime:
    """Return the server's time in UTC, to the millisecond that records and JSON carry."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def new_id() -> UUID:
    """Return a new UUIDv7 (RFC 9562, section 5.7): random, and sorted by the time it was made."""
    return uuid7()


def new_site_key() -> str:
    """Return a new public site key: ``site_`` and 128 random bits in base64url."""
    return f"site_{secrets.token_urlsafe(16)}"


def new_visitor_id() -> str:
    """Return a new visitor id: ``vis_`` and 128 random bits in base64url."""
    return f"vis_{secrets.token_urlsafe(16)}"


def rfc3339(moment: datetime) -> str:
    """Write an aware datetime as RFC 3339 in UTC, like 2026-03-01T09:30:00.000Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# The gate writes the expiry of the same choices again and again.
@lru_cache(maxsize=16384)
def rfc3339_seconds(moment: int) -> str:
    """Write whole seconds since 1970 as :func:`rfc3339` does."""
    return datetime.fromtimestamp(moment, UTC).isoformat()[:-6] + ".000Z"


def from_rfc3339(text: str) -> datetime:
    """Read what :func:`rfc3339` wrote. Raises ValueError for anything else."""
    moment = datetime.fromisoformat(text)
    if rfc3339(moment) != text:
        raise ValueError(f"{text!r} is not written like 2026-03-01T09:30:00.000Z")
    return moment
