"""Read a tenant's audit log: a page of it, or all of it, newest first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from itsdangerous import BadData
from itsdangerous.encoding import base64_decode, base64_encode
from sqlalchemy import ColumnElement, Connection, Row, func, or_, select, tuple_

from consent_service import clock
from consent_service.access import users
from consent_service.access.actor import OPERATOR, VISITOR
from consent_service.access.models import ApiKeyRow, AuditEventRow
from consent_service.db import Database
from consent_service.errors import ValidationFailed
from consent_service.signing import Keyring

#: Events that an export reads at once: what it holds in memory.
EXPORT_STEP = 500

_events = AuditEventRow.__table__.c
_keys = ApiKeyRow.__table__.c


@dataclass(frozen=True)
class Filters:
    """Which events; all that are left empty take any."""

    #: The id of a user or an API key, ``operator``, or ``visitor`` for all of them.
    actor: str = ""
    #: How the action begins: ``site`` or ``site.updated``.
    action: str = ""
    #: What it was done to, and what belongs to that: ``site_…`` finds the site's link keys too.
    object: str = ""
    since: datetime | None = None
    #: Before this moment.
    until: datetime | None = None


@dataclass(frozen=True)
class Event:
    """Who did what to what, and what it changed."""

    id: UUID
    at: datetime
    actor_kind: str
    actor_id: UUID | None
    #: A user's or an API key's; None where it is not known any more.
    actor_name: str | None = field(repr=False)
    action: str
    object_kind: str
    object_id: str
    #: The same, where the object is a user or an API key.
    object_name: str | None = field(repr=False)
    before: Any | None
    after: Any | None
    network: str | None
    client: str | None

    def shown(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            **vars(self),
            "id": str(self.id),
            "at": clock.rfc3339(self.at),
            "actor_id": str(self.actor_id) if self.actor_id else None,
        }


class Page(NamedTuple):
    """Some events, and where those before them begin; None if these are the oldest."""

    events: list[Event]
    cursor: str | None


def read_page(  # noqa: PLR0913
    database: Database,
    keys: Keyring,
    tenant_id: UUID,
    filters: Filters,
    *,
    limit: int,
    cursor: str | None = None,
) -> Page:
    """Return a page of the log, newest first.

    :param cursor: where it begins, from the page before; None for the newest
    :raises ValidationFailed: when the cursor is none of ours
    """
    query = select(AuditEventRow.__table__).where(*_which(tenant_id, filters))
    if cursor is not None:
        # By value and not by number: events that are added meanwhile move nothing.
        query = query.where(tuple_(_events.at, _events.id) < tuple_(*_position(cursor)))
    query = query.order_by(_events.at.desc(), _events.id.desc()).limit(limit + 1)
    with database.reading(tenant_id) as connection:
        rows = connection.execute(query).all()
        shown = rows[:limit]
        names = _names(connection, keys, tenant_id, shown)
    last = shown[-1] if len(rows) > limit else None
    return Page([_event(row, names) for row in shown], _cursor(last) if last else None)


def read_all(
    database: Database, keys: Keyring, tenant_id: UUID, filters: Filters
) -> Iterator[Event]:
    """Give every event, newest first, in steps of :data:`EXPORT_STEP`."""
    cursor: str | None = None
    while True:
        page = read_page(database, keys, tenant_id, filters, limit=EXPORT_STEP, cursor=cursor)
        yield from page.events
        cursor = page.cursor
        if cursor is None:
            return


def count(database: Database, tenant_id: UUID, filters: Filters) -> int:
    """Return how many events there are."""
    query = select(func.count()).select_from(AuditEventRow).where(*_which(tenant_id, filters))
    with database.reading(tenant_id) as connection:
        return connection.execute(query).scalar_one()


def _which(tenant_id: UUID, filters: Filters) -> list[ColumnElement[bool]]:
    which = [_events.tenant_id == tenant_id]
    if filters.actor in {OPERATOR.kind, VISITOR.kind}:
        which.append(_events.actor_kind == filters.actor)
    elif filters.actor:
        which.append(_events.actor_id == UUID(filters.actor))
    if filters.action:
        which.append(_events.action.startswith(filters.action, autoescape=True))
    if filters.object:
        inside = _events.object_id.startswith(f"{filters.object} ", autoescape=True)
        which.append(or_(_events.object_id == filters.object, inside))
    if filters.since:
        which.append(_events.at >= filters.since)
    if filters.until:
        which.append(_events.at < filters.until)
    return which


def _cursor(row: Row[Any]) -> str:
    return base64_encode(f"{clock.rfc3339(row.at)} {row.id}").decode()


def _position(cursor: str) -> tuple[datetime, UUID]:
    try:
        at, _, event_id = base64_decode(cursor).decode().partition(" ")
        return clock.from_rfc3339(at), UUID(event_id)
    except (BadData, ValueError) as error:
        told = "Leave it out to begin anew, or give the one that came with the page before."
        raise ValidationFailed(fields={"cursor": [told]}) from error


def _names(
    connection: Connection, keys: Keyring, tenant_id: UUID, rows: Sequence[Row[Any]]
) -> dict[UUID, str]:
    """Return the names of the users and API keys that the events tell of."""
    ids = {row.actor_id for row in rows if row.actor_id}
    for row in rows:
        with suppress(ValueError):
            ids.add(UUID(row.object_id))
    if not ids:
        return {}
    found = connection.execute(
        select(_keys.id, _keys.name).where(_keys.tenant_id == tenant_id, _keys.id.in_(ids))
    )
    return {row.id: row.name for row in found} | users.names(connection, keys, ids)


def _event(row: Row[Any], names: dict[UUID, str]) -> Event:
    subject: UUID | None = None
    with suppress(ValueError):
        subject = UUID(row.object_id)
    return Event(
        id=row.id,
        at=row.at,
        actor_kind=row.actor_kind,
        actor_id=row.actor_id,
        actor_name=names.get(row.actor_id),
        action=row.action,
        object_kind=row.object_kind,
        object_id=row.object_id,
        object_name=names.get(subject) if subject else None,
        before=row.before,
        after=row.after,
        network=row.network,
        client=row.client,
    )
