"""API keys: what programs call with. A key is shown once and stored as its hash."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import or_, select, update

from consent_service import clock
from consent_service.access.models import ApiKeyRow
from consent_service.db import Database, Scope
from consent_service.signing import sha256

#: Every key begins so, which scanners for leaked secrets can look for.
PREFIX = "ck_"

#: ``last_used_at`` is not written more often than this.
_USE_STEP = timedelta(minutes=1)

_keys = ApiKeyRow.__table__.c


@dataclass(frozen=True)
class Caller:
    """Whom a key in use stands for."""

    id: UUID
    tenant_id: UUID
    scopes: tuple[str, ...]


def authenticate(database: Database, secret: str) -> Caller | None:
    """Return whom a key stands for; None if no key in use is like it."""
    now = clock.now()
    hashed = sha256(secret.encode())
    with database.reading(Scope.ACCOUNTS) as connection:
        row = connection.execute(
            select(_keys.id, _keys.tenant_id, _keys.scopes, _keys.last_used_at).where(
                _keys.secret_hash == hashed,
                _keys.revoked_at.is_(None),
                or_(_keys.expires_at.is_(None), _keys.expires_at > now),
            )
        ).one_or_none()
    if row is None:
        return None
    if row.last_used_at is None or row.last_used_at <= now - _USE_STEP:
        with database.transaction(Scope.ACCOUNTS) as connection:
            connection.execute(
                update(ApiKeyRow)
                .where(_keys.id == row.id)
                .values(last_used_at=now.replace(second=0, microsecond=0))
            )
    return Caller(row.id, row.tenant_id, tuple(row.scopes))
