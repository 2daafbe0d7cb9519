"""Who is a member of a tenant, and as what. A membership that ends is kept, and marked as ended."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, and_, func, insert, select, union, update

from consent_service import clock
from consent_service.access import audit, users
from consent_service.access.actor import Actor
from consent_service.access.models import (
    MembershipRow,
    PasskeyRow,
    SessionRow,
    TotpRow,
    UserRow,
)
from consent_service.access.permissions import ROLES, permissions_of
from consent_service.db import Database, Scope
from consent_service.errors import LastOwner, PermissionMissing, UnknownUser, ValidationFailed
from consent_service.signing import Keyring

_memberships = MembershipRow.__table__.c
_users = UserRow.__table__.c
_sessions = SessionRow.__table__.c


@dataclass(frozen=True)
class Member:
    """A user of a tenant, as the tenant sees them."""

    user_id: UUID
    email: str = field(repr=False)
    name: str = field(repr=False)
    role: str
    since: datetime
    #: Whether one is set up, in whichever tenant's name.
    second_factor: bool
    #: In the sessions that have not ended; None where there is none.
    last_seen_at: datetime | None


def list_members(database: Database, keys: Keyring, tenant_id: UUID) -> list[Member]:
    """Return a tenant's members, by name."""
    found = _members(database, keys, tenant_id, _current(tenant_id))
    return sorted(found, key=lambda member: (member.name.casefold(), member.email))


def find_member(database: Database, keys: Keyring, tenant_id: UUID, user_id: UUID) -> Member:
    """Return one of a tenant's members. Raises UnknownUser when the user is none."""
    which = and_(_current(tenant_id), _memberships.user_id == user_id)
    found = _members(database, keys, tenant_id, which)
    if not found:
        raise UnknownUser
    return found[0]


def find_by_email(database: Database, keys: Keyring, tenant_id: UUID, email: str) -> Member:
    """Return the member with this address. Raises UnknownUser when there is none."""
    which = and_(_current(tenant_id), _users.email_hash == users.email_hash(keys, email))
    found = _members(database, keys, tenant_id, which)
    if not found:
        raise UnknownUser
    return found[0]


def is_member(connection: Connection, keys: Keyring, tenant_id: UUID, email: str) -> bool:
    """Say whether somebody with this address is a member of the tenant."""
    hashed = users.email_hash(keys, email)
    return connection.execute(
        select(
            select(_memberships.user_id)
            .join(UserRow, _users.id == _memberships.user_id)
            .where(_current(tenant_id), _users.email_hash == hashed)
            .exists()
        )
    ).scalar_one()


def change_role(
    database: Database, tenant_id: UUID, user_id: UUID, role: str, *, by: Actor
) -> None:
    """Give a member another role, which holds from the next call on.

    :raises UnknownUser: when the user is no member of the tenant
    :raises ValidationFailed: when there is no such role
    :raises PermissionMissing: when the role may do what the actor may not
    :raises LastOwner: when no owner would be left
    """
    check_role(role, by)
    with database.transaction(tenant_id) as connection:
        before = _lock(connection, tenant_id, user_id, stays_owner=role == "owner")
        if before == role:
            return
        _set(connection, tenant_id, user_id, role=role)
        audit.write(
            connection,
            tenant_id,
            by,
            "user.role_changed",
            "user",
            str(user_id),
            before={"role": before},
            after={"role": role},
        )


def end_membership(database: Database, tenant_id: UUID, user_id: UUID, *, by: Actor) -> None:
    """End a member's access to the tenant: the next call is refused.

    :raises UnknownUser: when the user is no member of the tenant
    :raises LastOwner: when no owner would be left
    """
    with database.transaction(tenant_id) as connection:
        role = _lock(connection, tenant_id, user_id, stays_owner=False)
        _set(connection, tenant_id, user_id, ended_at=clock.now())
        audit.write(
            connection,
            tenant_id,
            by,
            "user.access_ended",
            "user",
            str(user_id),
            before={"role": role},
        )


def join(connection: Connection, tenant_id: UUID, user_id: UUID, role: str, *, by: Actor) -> str:
    """Make a user a member, within the caller's transaction; return as what.

    Who is one already stays what they are. Who was one before is one again.
    """
    row = connection.execute(
        select(_memberships.role, _memberships.ended_at)
        .where(_memberships.tenant_id == tenant_id, _memberships.user_id == user_id)
        .with_for_update()
    ).one_or_none()
    if row is not None and row.ended_at is None:
        current: str = row.role
        return current
    values = {"role": role, "created_at": clock.now(), "ended_at": None}
    if row is None:
        connection.execute(
            insert(MembershipRow).values(tenant_id=tenant_id, user_id=user_id, **values)
        )
    else:
        _set(connection, tenant_id, user_id, **values)
    audit.write(
        connection, tenant_id, by, "user.joined", "user", str(user_id), after={"role": role}
    )
    return role


def check_role(role: str, by: Actor) -> None:
    """Refuse to give a role that there is not, or that may do more than who gives it.

    So nobody raises others, or themselves, above what they are. The operator may do everything.

    :raises ValidationFailed: when there is no such role
    :raises PermissionMissing: naming what the role may do and the actor may not
    """
    if role not in ROLES:
        raise ValidationFailed(fields={"role": [f"Must be one of: {', '.join(ROLES)}."]})
    above = permissions_of(role) - by.permissions
    if above and by.kind != "operator":
        raise PermissionMissing(min(above))


def _current(tenant_id: UUID) -> ColumnElement[bool]:
    return and_(_memberships.tenant_id == tenant_id, _memberships.ended_at.is_(None))


def _members(
    database: Database, keys: Keyring, tenant_id: UUID, which: ColumnElement[bool]
) -> list[Member]:
    with database.reading(tenant_id) as connection:
        rows = connection.execute(
            select(
                _users.id,
                _users.email,
                _users.name,
                _memberships.role,
                _memberships.created_at,
            )
            .join(MembershipRow, _memberships.user_id == _users.id)
            .where(which)
        ).all()
    ids = [row.id for row in rows]
    # How somebody signs in is no tenant's: it is looked up apart.
    with database.reading(Scope.ACCOUNTS) as connection:
        strong, seen = _with_second_factor(connection, ids), _last_seen(connection, ids)
    return [
        Member(
            user_id=row.id,
            email=keys.decrypt(row.email, f"users.email {row.id}"),
            name=keys.decrypt(row.name, f"users.name {row.id}"),
            role=row.role,
            since=row.created_at,
            second_factor=row.id in strong,
            last_seen_at=seen.get(row.id),
        )
        for row in rows
    ]


def _with_second_factor(connection: Connection, ids: Iterable[UUID]) -> set[UUID]:
    totps, passkeys = TotpRow.__table__.c, PasskeyRow.__table__.c
    query = union(
        select(totps.user_id).where(totps.user_id.in_(ids), totps.confirmed_at.is_not(None)),
        select(passkeys.user_id).where(passkeys.user_id.in_(ids)),
    )
    return set(connection.execute(query).scalars())


def _last_seen(connection: Connection, ids: Iterable[UUID]) -> dict[UUID, datetime]:
    rows = connection.execute(
        select(_sessions.user_id, func.max(_sessions.last_seen_at).label("at"))
        .where(_sessions.user_id.in_(ids))
        .group_by(_sessions.user_id)
    )
    return {row.user_id: row.at for row in rows}


def _lock(connection: Connection, tenant_id: UUID, user_id: UUID, *, stays_owner: bool) -> str:
    """Return what a member is, having made sure that an owner will be left.

    The tenant's owners are locked, so that two who demote each other do so in turn.
    """
    owners = connection.execute(
        select(_memberships.user_id)
        .where(_current(tenant_id), _memberships.role == "owner")
        .order_by(_memberships.user_id)
        .with_for_update()
    ).scalars()
    if set(owners) == {user_id} and not stays_owner:
        raise LastOwner
    role: str | None = connection.execute(
        select(_memberships.role)
        .where(_current(tenant_id), _memberships.user_id == user_id)
        .with_for_update()
    ).scalar_one_or_none()
    if role is None:
        raise UnknownUser
    return role


def _set(connection: Connection, tenant_id: UUID, user_id: UUID, **values: object) -> None:
    connection.execute(
        update(MembershipRow)
        .where(_memberships.tenant_id == tenant_id, _memberships.user_id == user_id)
        .values(**values)
    )
