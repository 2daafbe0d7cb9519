"""Who is signed in: sessions, kept on the server, so that they can be listed and ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select, update

from consent_service import clock
from consent_service.access.models import MembershipRow, ProviderRow, SessionRow
from consent_service.db import Database, Scope
from consent_service.signing import sha256

#: A session that nobody used for so long has ended.
IDLE = timedelta(hours=12)

#: ``last_seen_at`` is not written more often than this.
_SEEN_STEP = timedelta(minutes=1)

_sessions = SessionRow.__table__.c
_memberships = MembershipRow.__table__.c
_providers = ProviderRow.__table__.c


@dataclass(frozen=True)
class Session:
    """A user who is signed in on a device."""

    id: UUID
    user_id: UUID
    #: When the user last proved to be there.
    authenticated_at: datetime
    #: What the user proved it with besides a password; None without.
    second_factor: str | None
    #: The tenant whose identity provider vouched for the user.
    provider_of: UUID | None


def find_session(database: Database, token: str) -> Session | None:
    """Return the session whose cookie holds this token, or None if it has ended."""
    now = clock.now()
    with database.reading(Scope.ACCOUNTS) as connection:
        row = connection.execute(
            select(SessionRow.__table__).where(
                _sessions.token_hash == sha256(token.encode()),
                _sessions.expires_at > now,
                _sessions.last_seen_at > now - IDLE,
            )
        ).one_or_none()
    if row is None:
        return None
    if row.last_seen_at <= now - _SEEN_STEP:
        with database.transaction(Scope.ACCOUNTS) as connection:
            connection.execute(
                update(SessionRow).where(_sessions.id == row.id).values(last_seen_at=now)
            )
    return Session(row.id, row.user_id, row.authenticated_at, row.second_factor, row.provider_of)


def role_in(database: Database, user_id: UUID, tenant_id: UUID) -> str | None:
    """Return what a user is in a tenant; None if nothing (any more)."""
    with database.reading(tenant_id) as connection:
        role: str | None = connection.execute(
            select(_memberships.role).where(
                _memberships.tenant_id == tenant_id,
                _memberships.user_id == user_id,
                _memberships.ended_at.is_(None),
            )
        ).scalar_one_or_none()
    return role


def requires_provider(database: Database, tenant_id: UUID) -> bool:
    """Say whether a tenant's users must sign in at its own identity provider."""
    with database.reading(tenant_id) as connection:
        return bool(
            connection.execute(
                select(_providers.required).where(_providers.tenant_id == tenant_id)
            ).scalar_one_or_none()
        )
