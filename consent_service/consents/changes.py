"""Records as those who count them need them, each call within the caller's transaction.

The database notes every record that is made or erased (``migrations/versions/0004_reports.py``). A
note stays until somebody has counted the record, or has counted it no more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import orjson
from sqlalchemy import CTE, ColumnElement, Connection, and_, delete, exists, func, or_, select

from consent_service.consents.models import RecordChangeRow, RecordRow
from consent_service.consents.record import Previous
from consent_service.tenants.service import Site

#: Rows that are read, or ids that are named, in one statement.
_CHUNK = 2000

Item = TypeVar("Item")

_changes = RecordChangeRow.__table__.c
_records = RecordRow.__table__.c


class Change(NamedTuple):
    """A record that was made, or was erased, and when it was made."""

    record_id: UUID
    erased: bool
    made_at: datetime


class Counted(NamedTuple):
    """What counts of a record."""

    made_at: datetime
    #: As it was signed.
    record: Mapping[str, Any]
    #: Milliseconds from the banner's showing to the choice; None where unknown.
    after_ms: int | None
    #: None for a visitor's first, and where it was erased.
    before: Previous | None


def has_changes(site: Site, *, erased: bool) -> ColumnElement[bool]:
    """Match when records of a site wait that were erased, or made; a column of the caller's."""
    return exists().where(_changes_of(site), _changes.erased == erased)


def pending(connection: Connection, site: Site, *, erased: bool, limit: int) -> list[Change]:
    """Return what waits to be counted, of the records that were made first.

    :param erased: those that were erased, else those that were made
    """
    query = (
        select(_changes.record_id, _changes.erased, _changes.made_at)
        .where(_changes_of(site), _changes.erased == erased)
        .order_by(_changes.made_at)
        .limit(limit)
    )
    return [Change(*row) for row in connection.execute(query)]


def pending_between(
    connection: Connection, site: Site, since: datetime, until: datetime
) -> Sequence[Change]:
    """Return what waits to be counted of records made from ``since`` to before ``until``."""
    query = select(_changes.record_id, _changes.erased, _changes.made_at).where(
        _changes_of(site), _changes.made_at >= since, _changes.made_at < until
    )
    return [Change(*row) for row in connection.execute(query)]


def forget(connection: Connection, site: Site, counted: Iterable[Change]) -> None:
    """Take away what has been counted."""
    of_kinds: dict[bool, list[Change]] = {False: [], True: []}
    for change in counted:
        of_kinds[change.erased].append(change)
    for erased, changes in of_kinds.items():
        for some in chunks(sorted(changes, key=attrgetter("made_at"))):
            connection.execute(
                delete(RecordChangeRow).where(
                    _changes_of(site),
                    # What the index has: no others are looked at than these, or few.
                    _changes.made_at.between(some[0].made_at, some[-1].made_at),
                    _changes.erased == erased,
                    _changes.record_id.in_([change.record_id for change in some]),
                )
            )


def records(connection: Connection, site: Site, ids: Collection[UUID]) -> list[Counted]:
    """Return what counts of these records; those that were erased are left out."""
    found = []
    for some in chunks(ids):
        named = _named(some, _records.created_at, _records.document, _records.after_ms)
        query = select(named.c.created_at, named.c.document, named.c.after_ms).where(
            named.c.tenant_id == site.tenant_id, named.c.site_id == site.id
        )
        found += _counted(connection, site, connection.execute(query).all())
    return found


def records_between(
    connection: Connection, site: Site, since: datetime, until: datetime
) -> Iterator[list[Counted]]:
    """Give what counts of all records made from ``since`` to before ``until``, some at a time.

    Nothing is held in memory but those, nor open in the database between two of them.
    """
    query = (
        select(*_TO_COUNT)
        .where(of_site(site), _records.created_at < until, _records.document.is_not(None))
        .order_by(_records.created_at, _records.id)
        .limit(_CHUNK)
    )
    after = _records.created_at >= since
    while rows := connection.execute(query.where(after)).all():
        read = _counted(connection, site, rows)
        yield read
        at, last = read[-1].made_at, UUID(read[-1].record["id"])
        # The first part is what the index answers.
        after = and_(_records.created_at >= at, or_(_records.created_at > at, _records.id > last))


def first_at_or_after(connection: Connection, site: Site, moment: datetime) -> datetime | None:
    """Return when the first record was made that was made then or later, None if none was."""
    query = select(func.min(_records.created_at)).where(
        of_site(site), _records.created_at >= moment
    )
    found: datetime | None = connection.execute(query).scalar_one()
    return found


#: Without the id, which the document has too: hundreds of thousands of them take their time.
_TO_COUNT = (_records.created_at, _records.document, _records.after_ms)


def _counted(connection: Connection, site: Site, rows: Sequence[Any]) -> list[Counted]:
    read = [(made_at, orjson.loads(document), after_ms) for made_at, document, after_ms in rows]
    here = {record["id"]: record for _, record, _ in read}
    named = {record["previous_id"]: None for _, record, _ in read if record["previous_id"]}
    before = _previous(connection, site, named, here)
    return [
        Counted(made_at, record, after_ms, before.get(record["previous_id"]))
        for made_at, record, after_ms in read
    ]


def _previous(
    connection: Connection,
    site: Site,
    names: Collection[str],
    here: Mapping[str, Mapping[str, Any]],
) -> dict[str | None, Previous]:
    """Return what counts of records named as the one before; those at hand are not read again."""
    found: dict[str | None, Previous] = {}
    absent = []
    for name in names:
        record = here.get(name)
        if record is None:
            absent.append(UUID(name))
        else:
            found[name] = Previous(record["notice_version"], record["choices"])
    for some in chunks(absent):
        named = _named(some, _records.document)
        query = select(named.c.document).where(
            named.c.tenant_id == site.tenant_id, named.c.site_id == site.id
        )
        for document in connection.execute(query).scalars():
            record = orjson.loads(document)
            found[record["id"]] = Previous(record["notice_version"], record["choices"])
    return found


def _named(ids: Collection[UUID], *columns: ColumnElement[Any]) -> CTE:
    """Return the records with these ids that are not erased, looked up by the primary key.

    A database that knows little of its tables yet would go through all records of the site
    instead, for the sake of the index that has them.
    """
    query = select(_records.tenant_id, _records.site_id, *columns)
    found = query.where(_records.id.in_(ids), _records.document.is_not(None)).cte()
    return found.prefix_with("MATERIALIZED")


def chunks(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Give as many at a time as one statement may name."""
    rest = iter(items)
    while some := list(islice(rest, _CHUNK)):
        yield some


def _changes_of(site: Site) -> ColumnElement[bool]:
    return and_(_changes.tenant_id == site.tenant_id, _changes.site_id == site.id)


def of_site(site: Site) -> ColumnElement[bool]:
    """Match a site's records."""
    return and_(_records.tenant_id == site.tenant_id, _records.site_id == site.id)
