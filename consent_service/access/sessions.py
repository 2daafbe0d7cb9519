"""Who is signed in: sessions, kept on the server, so that they can be listed and ended.

A session's cookie holds 32 random bytes, of which the database knows only the hash. It ends when
nobody used it for :data:`IDLE`, and after :data:`LONGEST` in any case.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection, delete, insert, or_, select, update

from consent_service import clock
from consent_service.access.actor import Actor
from consent_service.access.models import MembershipRow, ProviderRow, SessionRow
from consent_service.db import Database, Scope
from consent_service.signing import sha256

#: A session that nobody used for so long has ended.
IDLE = timedelta(hours=12)

#: However much it is used, a session ends after this.
LONGEST = timedelta(days=7)

_TOKEN_BYTES = 32

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


@dataclass(frozen=True)
class Seen:
    """A session as its user sees it in a list."""

    id: UUID
    created_at: datetime
    last_seen_at: datetime
    #: /24 or /48, no address.
    network: str | None
    #: Browser family and device class.
    client: str | None


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


def start(
    connection: Connection,
    by: Actor,
    *,
    second_factor: str | None = None,
    provider_of: UUID | None = None,
) -> str:
    """Start a session of the user who acts, within the caller's transaction; return its token.

    :param by: the user, with network and client
    :param second_factor: what the user proved it with besides a password
    :param provider_of: the tenant whose identity provider vouched for the user
    """
    now = clock.now()
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    _forget_ended(connection, now)
    connection.execute(
        insert(SessionRow).values(
            id=clock.new_id(),
            user_id=by.id,
            token_hash=sha256(token.encode()),
            created_at=now,
            last_seen_at=now,
            expires_at=now + LONGEST,
            authenticated_at=now,
            second_factor=second_factor,
            provider_of=provider_of,
            network=by.network,
            client=by.client,
        )
    )
    return token


def renew(connection: Connection, session: Session, second_factor: str | None = None) -> str:
    """Note that the user has proved again to be there, and give the session another token.

    :param second_factor: what it was proved with, if that was one; else what was known stays
    """
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    connection.execute(
        update(SessionRow)
        .where(_sessions.id == session.id)
        .values(
            token_hash=sha256(token.encode()),
            authenticated_at=clock.now(),
            second_factor=second_factor or session.second_factor,
        )
    )
    return token


def of_user(database: Database, user_id: UUID) -> list[Seen]:
    """Return a user's sessions that have not ended, the one used last first."""
    now = clock.now()
    with database.reading(Scope.ACCOUNTS) as connection:
        rows = connection.execute(
            select(
                _sessions.id,
                _sessions.created_at,
                _sessions.last_seen_at,
                _sessions.network,
                _sessions.client,
            )
            .where(
                _sessions.user_id == user_id,
                _sessions.expires_at > now,
                _sessions.last_seen_at > now - IDLE,
            )
            .order_by(_sessions.last_seen_at.desc(), _sessions.id)
        ).all()
    return [Seen(*row) for row in rows]


def end(connection: Connection, user_id: UUID, session_id: UUID) -> bool:
    """End one of a user's sessions; say whether there was one."""
    ended = connection.execute(
        delete(SessionRow).where(_sessions.user_id == user_id, _sessions.id == session_id)
    )
    return ended.rowcount > 0


def end_others(
    connection: Connection, session: Session, *, with_password_alone: bool = False
) -> int:
    """End the user's sessions but this one; return how many there were.

    :param with_password_alone: only those whose user proved to be there with no second factor
    """
    which = [_sessions.user_id == session.user_id, _sessions.id != session.id]
    if with_password_alone:
        which.append(_sessions.second_factor.is_(None))
    return connection.execute(delete(SessionRow).where(*which)).rowcount


class Standing(NamedTuple):
    """What a user is in a tenant, and what the tenant asks of its users."""

    role: str
    #: Whether they must sign in at the tenant's own identity provider.
    provider_required: bool


def standing(database: Database, user_id: UUID, tenant_id: UUID) -> Standing | None:
    """Return what a user is in a tenant; None if nothing (any more)."""
    with database.reading(tenant_id) as connection:
        row = connection.execute(
            select(_memberships.role, _providers.required)
            .outerjoin(ProviderRow, _providers.tenant_id == _memberships.tenant_id)
            .where(
                _memberships.tenant_id == tenant_id,
                _memberships.user_id == user_id,
                _memberships.ended_at.is_(None),
            )
        ).one_or_none()
    return None if row is None else Standing(row.role, bool(row.required))


def _forget_ended(connection: Connection, now: datetime) -> None:
    connection.execute(
        delete(SessionRow).where(
            or_(_sessions.expires_at <= now, _sessions.last_seen_at <= now - IDLE)
        )
    )
