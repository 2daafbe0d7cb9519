"""API keys: what programs call with. A key is shown once and stored as its hash.

What callers may rely on:

- Nobody makes a key that may do more than they themselves.
- A key that was revoked, or has expired, opens nothing from that moment.
- A key is 256 random bits, and SHA-256 of it is what is stored. A slow, salted hash is for
  passwords, which can be guessed; nobody tries out 2**256, and this one is checked with every call.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Connection, Row, insert, or_, select, update

from consent_service import clock
from consent_service.access import audit
from consent_service.access.actor import Actor
from consent_service.access.models import ApiKeyRow
from consent_service.access.permissions import SCOPES
from consent_service.db import Database, Scope
from consent_service.errors import PermissionMissing, UnknownKey, ValidationFailed
from consent_service.signing import sha256
from consent_service.text import name_problems

#: Every key begins so, which scanners for leaked secrets can look for.
PREFIX = "ck_"

#: ``last_used_at`` is not written more often than this.
_USE_STEP = timedelta(minutes=1)

#: Random bytes of a key; 43 characters of base64url.
_SECRET_BYTES = 32

#: Characters of a key that are kept, to tell it by: the prefix and 30 bits.
_HINT = len(PREFIX) + 5

#: For so long a key that was rotated goes on, unless another time is stated; and at most.
OVERLAP_HOURS = 24
MAX_OVERLAP_HOURS = 24 * 30

State = Literal["in_use", "ending", "expired", "revoked"]

_keys = ApiKeyRow.__table__.c


@dataclass(frozen=True)
class Caller:
    """Whom a key in use stands for."""

    id: UUID
    tenant_id: UUID
    scopes: tuple[str, ...]


@dataclass(frozen=True)
class ApiKey:
    """A key as its tenant sees it."""

    id: UUID
    name: str
    scopes: tuple[str, ...]
    #: How it begins.
    hint: str
    created_at: datetime
    expires_at: datetime | None
    #: To the minute.
    last_used_at: datetime | None
    revoked_at: datetime | None
    #: The key that it was rotated to.
    replaced_by: UUID | None

    @property
    def state(self) -> State:
        """Whether it opens anything; ``ending``: until it expires, in favour of another."""
        if self.revoked_at:
            return "revoked"
        if self.expires_at and self.expires_at <= clock.now():
            return "expired"
        return "ending" if self.replaced_by else "in_use"

    def shown(self) -> dict[str, Any]:
        """Return it as JSON values."""
        times = {
            name: clock.rfc3339(moment) if moment else None
            for name, moment in (
                ("created_at", self.created_at),
                ("expires_at", self.expires_at),
                ("last_used_at", self.last_used_at),
                ("revoked_at", self.revoked_at),
            )
        }
        return {
            "id": str(self.id),
            "name": self.name,
            "scopes": list(self.scopes),
            "hint": self.hint,
            "state": self.state,
            **times,
            "replaced_by": str(self.replaced_by) if self.replaced_by else None,
        }


@dataclass(frozen=True)
class NewKey:
    """A key that was made a moment ago, and what it is called with: shown this once."""

    key: ApiKey
    secret: str = field(repr=False)


def scopes_for(by: Actor) -> list[str]:
    """Return the scopes that somebody may give to a key: their own permissions at most."""
    return [scope for scope in SCOPES if by.kind == "operator" or scope in by.permissions]


def create_key(  # noqa: PLR0913
    database: Database,
    tenant_id: UUID,
    name: str,
    scopes: Iterable[str],
    *,
    expires_at: datetime | None = None,
    by: Actor,
) -> NewKey:
    """Make a key.

    :param scopes: what it may do: permissions of :data:`~.permissions.SCOPES`
    :raises ValidationFailed: when the name is not right, there is no such scope or the maker lacks
        it, or the key would have expired
    """
    asked = set(scopes)
    problems: dict[str, Any] = {**name_problems(name), **_scope_problems(asked, by)}
    if expires_at is not None and expires_at <= clock.now():
        problems["expires_at"] = ["Give a time that is still to come, or none."]
    if problems:
        raise ValidationFailed(fields=problems)
    with database.transaction(tenant_id) as connection:
        made = _insert(connection, tenant_id, name, asked, expires_at, by)
        audit.write(
            connection,
            tenant_id,
            by,
            "api_key.created",
            "api_key",
            str(made.key.id),
            after=_told(made.key),
        )
    return made


def list_keys(database: Database, tenant_id: UUID) -> list[ApiKey]:
    """Return a tenant's keys, newest first, those that open nothing any more too."""
    with database.reading(tenant_id) as connection:
        rows = connection.execute(
            select(ApiKeyRow.__table__)
            .where(_keys.tenant_id == tenant_id)
            .order_by(_keys.created_at.desc(), _keys.id.desc())
        ).all()
    return [_key(row) for row in rows]


def find_key(database: Database, tenant_id: UUID, key_id: UUID) -> ApiKey:
    """Return a tenant's key. Raises UnknownKey when the tenant has no such."""
    with database.reading(tenant_id) as connection:
        row = connection.execute(
            select(ApiKeyRow.__table__).where(_keys.tenant_id == tenant_id, _keys.id == key_id)
        ).one_or_none()
    if row is None:
        raise UnknownKey
    return _key(row)


def rotate_key(
    database: Database,
    tenant_id: UUID,
    key_id: UUID,
    *,
    overlap: timedelta = timedelta(hours=OVERLAP_HOURS),
    by: Actor,
) -> NewKey:
    """Make a key that may do the same under the same name, and have the old one end.

    A key that was to expire is followed by one that lasts as long as it was to.

    :param overlap: for how long the old one goes on, if it would not have expired before
    :raises UnknownKey: when the tenant has no such key in use, or it was rotated before
    :raises PermissionMissing: when it may do what whoever rotates it may not: its secret is shown
    """
    with database.transaction(tenant_id) as connection:
        old = _locked(connection, tenant_id, key_id)
        if old.state != "in_use":
            raise UnknownKey
        for scope in sorted(set(old.scopes) - set(scopes_for(by))):
            raise PermissionMissing(scope)
        now = clock.now()
        lasts = old.expires_at - old.created_at if old.expires_at else None
        made = _insert(
            connection, tenant_id, old.name, old.scopes, now + lasts if lasts else None, by
        )
        ends = min(now + overlap, old.expires_at or now + overlap)
        connection.execute(
            update(ApiKeyRow)
            .where(_keys.tenant_id == tenant_id, _keys.id == key_id)
            .values(expires_at=ends, replaced_by=made.key.id)
        )
        audit.write(
            connection,
            tenant_id,
            by,
            "api_key.rotated",
            "api_key",
            str(key_id),
            before={"expires_at": clock.rfc3339(old.expires_at) if old.expires_at else None},
            after={"expires_at": clock.rfc3339(ends), "replaced_by": str(made.key.id)},
        )
    return made


def revoke_key(database: Database, tenant_id: UUID, key_id: UUID, *, by: Actor) -> None:
    """Have a key open nothing from now on.

    :raises UnknownKey: when the tenant has no such key, or it opens nothing already
    """
    with database.transaction(tenant_id) as connection:
        key = _locked(connection, tenant_id, key_id)
        if key.state not in {"in_use", "ending"}:
            raise UnknownKey
        connection.execute(
            update(ApiKeyRow)
            .where(_keys.tenant_id == tenant_id, _keys.id == key_id)
            .values(revoked_at=clock.now())
        )
        audit.write(
            connection,
            tenant_id,
            by,
            "api_key.revoked",
            "api_key",
            str(key_id),
            before=_told(key),
        )


def _insert(  # noqa: PLR0913
    connection: Connection,
    tenant_id: UUID,
    name: str,
    scopes: Iterable[str],
    expires_at: datetime | None,
    by: Actor,
) -> NewKey:
    secret = PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
    row = connection.execute(
        insert(ApiKeyRow)
        .values(
            id=clock.new_id(),
            tenant_id=tenant_id,
            name=name,
            scopes=[scope for scope in SCOPES if scope in set(scopes)],
            secret_hash=sha256(secret.encode()),
            hint=secret[:_HINT],
            created_by=by.id if by.kind == "user" else None,
            created_at=clock.now(),
            expires_at=expires_at,
        )
        .returning(*_keys)
    ).one()
    return NewKey(_key(row), secret)


def _locked(connection: Connection, tenant_id: UUID, key_id: UUID) -> ApiKey:
    row = connection.execute(
        select(ApiKeyRow.__table__)
        .where(_keys.tenant_id == tenant_id, _keys.id == key_id)
        .with_for_update()
    ).one_or_none()
    if row is None:
        raise UnknownKey
    return _key(row)


def _scope_problems(scopes: set[str], by: Actor) -> dict[str, list[str]]:
    wrong = [f"There is no scope {scope[:64]!r}." for scope in sorted(scopes - set(SCOPES))]
    wrong += [
        f"You lack {scope} yourself, so you cannot give it to a key."
        for scope in sorted((scopes & set(SCOPES)) - set(scopes_for(by)))
    ]
    if not scopes:
        wrong = ["Choose at least one: a key without any opens nothing."]
    return {"scopes": wrong} if wrong else {}


def _told(key: ApiKey) -> dict[str, Any]:
    """Return what the audit log says of a key."""
    shown = key.shown()
    return {name: shown[name] for name in ("name", "scopes", "hint", "expires_at")}


def _key(row: Row[tuple[object, ...]]) -> ApiKey:
    return ApiKey(
        id=row.id,
        name=row.name,
        scopes=tuple(row.scopes),
        hint=row.hint,
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
        replaced_by=row.replaced_by,
    )


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
