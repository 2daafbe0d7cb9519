"""Values that one step of signing in leaves for the next: each counts once, and for ten minutes."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, select

from consent_service import clock
from consent_service.access.models import OneTimeRow
from consent_service.signing import Keyring, sha256

LIFE = timedelta(minutes=10)

_values = OneTimeRow.__table__.c


@dataclass(frozen=True)
class Left:
    """What was left for the next step."""

    #: Whose step it is; None when nobody knows yet.
    user_id: UUID | None
    content: dict[str, Any]


def leave(  # noqa: PLR0913 - each is a column
    connection: Connection,
    keys: Keyring,
    use: str,
    *,
    user_id: UUID | None = None,
    content: Mapping[str, Any] | None = None,
    value: str | None = None,
    life: timedelta = LIFE,
) -> str:
    """Leave something, and return the value that it is taken with.

    :param use: what for; a value is good for that alone
    :param content: JSON, stored encrypted
    :param value: a secret that was made already; else one is made
    """
    now = clock.now()
    value = value or secrets.token_urlsafe(32)
    hashed = sha256(value.encode())
    connection.execute(delete(OneTimeRow).where(_values.expires_at <= now))
    connection.execute(
        insert(OneTimeRow).values(
            value_hash=hashed,
            use=use,
            user_id=user_id,
            content=keys.encrypt(json.dumps(content or {}), _context(hashed)),
            expires_at=now + life,
        )
    )
    return value


def look(connection: Connection, keys: Keyring, use: str, value: str) -> Left | None:
    """Return what was left, and leave it there; None if it is used or too old."""
    row = connection.execute(select(OneTimeRow.__table__).where(_good(use, value))).one_or_none()
    if row is None:
        return None
    return Left(row.user_id, json.loads(keys.decrypt(row.content, _context(row.value_hash))))


def take(connection: Connection, keys: Keyring, use: str, value: str) -> Left | None:
    """Return what was left, for the only time; None if it is used or too old."""
    left = look(connection, keys, use, value)
    # Of two who come at once, one deletes it.
    gone = connection.execute(delete(OneTimeRow).where(_good(use, value)))
    return left if gone.rowcount else None


def _good(use: str, value: str) -> ColumnElement[bool]:
    return and_(
        _values.value_hash == sha256(value.encode()),
        _values.use == use,
        _values.expires_at > clock.now(),
    )


def _context(hashed: bytes) -> str:
    return f"one_time_values.content {hashed.hex()}"
