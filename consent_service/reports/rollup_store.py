"""Rows of rollups and impressions, each call within the caller's transaction."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    text,
    update,
)

from consent_service import clock
from consent_service.consents.changes import chunks
from consent_service.db import Contended
from consent_service.reports.counting import COMMON, Cell, Circumstances, cells_of
from consent_service.reports.models import ImpressionsRow, RollupRow, RollupStateRow
from consent_service.tenants.service import Site

#: Rows that are read in one statement.
_CHUNK = 5000

_impressions = ImpressionsRow.__table__.c
_rollups = RollupRow.__table__.c
_states = RollupStateRow.__table__.c

#: The dimensions of every cell that there is.
_NAMES = [name for name, _ in cells_of(("",) * len(COMMON), "any", "any")]

#: Written so that it is what the index was made for.
_NOT_FOLDED = text("NOT folded")

DayCell = tuple[date, Cell]


class State(NamedTuple):
    """What a site's rollups were made with, and when."""

    #: What their days are in, or who is making them anew: :data:`rollups.MARK` and an id.
    time_zone: str
    counted_at: datetime


class Impressions(NamedTuple):
    """Impressions of one kind and circumstances within a second."""

    id: UUID
    at: datetime
    kind: str
    circumstances: Circumstances
    bot: bool
    number: int
    folded: bool


def find_state(connection: Connection, site: Site) -> State | None:
    """Return what a site's rollups were made with; None before there were any."""
    query = select(_states.time_zone, _states.counted_at).where(_is_state(site))
    row = connection.execute(query).one_or_none()
    return State(*row) if row else None


def find_states(connection: Connection, tenant_id: UUID) -> dict[UUID, State]:
    """Do as :func:`find_state` for all sites of a tenant."""
    query = select(_states.site_id, _states.time_zone, _states.counted_at).where(
        _states.tenant_id == tenant_id
    )
    return {row[0]: State(*row[1:]) for row in connection.execute(query)}


def write_state(
    connection: Connection, site: Site, before: State | None, time_zone: str | None = None
) -> State:
    """Write that the site is counted now, and what with.

    Everybody who writes rollups of a site does this, so that of two who began with the same state
    only one ends well.

    :param before: the state that was found
    :param time_zone: as it was, unless given
    :raises Contended: when the state is another one by now
    """
    at = clock.now()
    if before is None:
        made = State(time_zone or site.time_zone, at)
        row = {"site_id": site.id, "tenant_id": site.tenant_id, **made._asdict()}
        if connection.execute(select(_states.site_id).where(_is_state(site))).first():
            raise Contended
        connection.execute(insert(RollupStateRow), row)
        return made
    # Later than before, by whichever clock: no two states are the same.
    now = State(time_zone or before.time_zone, max(at, before.counted_at + _TICK))
    done = connection.execute(
        update(RollupStateRow)
        .where(_is_state(site), _states.counted_at == before.counted_at)
        .values(**now._asdict())
    )
    if done.rowcount != 1:
        raise Contended
    return now


_TICK = timedelta(milliseconds=1)


def read_cells(
    connection: Connection, site: Site, wanted: Mapping[DayCell, object]
) -> dict[DayCell, Counter[str]]:
    """Return the counts of those cells that there are, and perhaps of some others."""
    found: dict[DayCell, Counter[str]] = {}
    days = sorted({day for day, _ in wanted})
    values: dict[str, set[str]] = defaultdict(set)
    for _, (dimensions, value) in wanted:
        values[dimensions].add(value)
    # In the order of the primary key: each statement is a walk along its index.
    for dimensions, of_dimensions in values.items():
        for some in chunks(sorted(of_dimensions)):
            query = select(_rollups.day, _rollups.value, _rollups.counts).where(
                _rollups.tenant_id == site.tenant_id,
                _rollups.site_id == site.id,
                _rollups.dimensions == dimensions,
                _rollups.day.in_(days),
                _rollups.value.in_(some),
            )
            for day, value, counts in connection.execute(query):
                found[day, (dimensions, value)] = Counter(orjson.loads(counts))
    return found


def insert_cells(
    connection: Connection, site: Site, cells: Mapping[DayCell, Mapping[str, int]]
) -> None:
    """Write cells that there are not yet."""
    rows = [
        {
            "site_id": site.id,
            "tenant_id": site.tenant_id,
            "day": day,
            "dimensions": dimensions,
            "value": value,
            "counts": _written(counts),
        }
        for (day, (dimensions, value)), counts in cells.items()
    ]
    for some in chunks(rows):
        connection.execute(insert(RollupRow), some)


def update_cells(
    connection: Connection, site: Site, cells: Mapping[DayCell, Mapping[str, int]]
) -> None:
    """Replace the counts of cells that there are."""
    statement = (
        update(RollupRow)
        .where(
            _rollups.tenant_id == site.tenant_id,
            _rollups.site_id == site.id,
            _rollups.dimensions == bindparam("of_dimensions"),
            _rollups.day == bindparam("of_day"),
            _rollups.value == bindparam("of_value"),
        )
        .values(counts=bindparam("counted"))
    )
    rows = [
        {"of_day": day, "of_dimensions": dimensions, "of_value": value, "counted": _written(counts)}
        for (day, (dimensions, value)), counts in cells.items()
    ]
    for some in chunks(rows):
        connection.execute(statement, some)


def delete_day(connection: Connection, site: Site, day: date) -> None:
    """Delete all counts of a day."""
    connection.execute(
        delete(RollupRow).where(
            _rollups.tenant_id == site.tenant_id,
            _rollups.site_id == site.id,
            # All of them, or the database would look through all days.
            _rollups.dimensions.in_(_NAMES),
            _rollups.day == day,
        )
    )


def days_counted(connection: Connection, site: Site) -> set[date]:
    """Return the days that have counts."""
    # Whatever is counted is counted in all, too.
    query = select(_rollups.day).where(
        _rollups.tenant_id == site.tenant_id, _rollups.site_id == site.id, _rollups.dimensions == ""
    )
    return set(connection.execute(query).scalars())


def has_impressions(site: Site) -> ColumnElement[bool]:
    """Match when impressions of a site wait to be counted; a column of the caller's query."""
    return exists().where(_of_site(site), _NOT_FOLDED)


def pending(connection: Connection, site: Site, limit: int) -> list[Impressions]:
    """Return impressions that wait to be counted."""
    query = select(*_TO_COUNT).where(_of_site(site), _NOT_FOLDED)
    query = query.order_by(_impressions.at).limit(limit)
    return [_read(row) for row in connection.execute(query)]


def impressions_between(
    connection: Connection, site: Site, since: datetime, until: datetime
) -> Iterator[list[Impressions]]:
    """Give all impressions from ``since`` to before ``until``, some at a time."""
    query = (
        select(*_TO_COUNT)
        .where(_of_site(site), _impressions.at < until)
        .order_by(_impressions.at, _impressions.id)
        .limit(_CHUNK)
    )
    after = _impressions.at >= since
    while rows := connection.execute(query.where(after)).all():
        yield [_read(row) for row in rows]
        at, last = rows[-1].at, rows[-1].id
        # The first part is what the index answers.
        after = and_(_impressions.at >= at, or_(_impressions.at > at, _impressions.id > last))


def first_at_or_after(connection: Connection, site: Site, moment: datetime) -> datetime | None:
    """Return when the first impressions were that were then or later, None if none were."""
    query = select(func.min(_impressions.at)).where(_of_site(site), _impressions.at >= moment)
    found: datetime | None = connection.execute(query).scalar_one()
    return found


def mark_folded(
    connection: Connection, site: Site, counted: Iterable[tuple[datetime, UUID]]
) -> None:
    """Write that the rollups have these impressions; each is named by its time and id."""
    for some in chunks(sorted(counted)):
        connection.execute(
            update(ImpressionsRow)
            .where(
                _of_site(site),
                # What the index has: no others are looked at than these, or few.
                _NOT_FOLDED,
                _impressions.at.between(some[0][0], some[-1][0]),
                _impressions.id.in_([identity for _, identity in some]),
            )
            .values(folded=True)
        )


_TO_COUNT = (
    _impressions.id,
    _impressions.at,
    _impressions.kind,
    _impressions.bot,
    _impressions.number,
    _impressions.folded,
    _impressions.country,
    _impressions.language,
    _impressions.device_class,
    _impressions.browser_family,
    _impressions.notice_version,
    _impressions.regime,
    _impressions.gpc,
)


def _read(row: Any) -> Impressions:  # noqa: ANN401
    identity, at, kind, bot, number, folded, *circumstances = row
    return Impressions(identity, at, kind, Circumstances(*circumstances), bot, number, folded)


def _written(counts: Mapping[str, int]) -> str:
    some = {measure: number for measure, number in counts.items() if number}
    return orjson.dumps(some, option=orjson.OPT_SORT_KEYS).decode()


def _is_state(site: Site) -> ColumnElement[bool]:
    return and_(_states.tenant_id == site.tenant_id, _states.site_id == site.id)


def _of_site(site: Site) -> ColumnElement[bool]:
    return and_(_impressions.tenant_id == site.tenant_id, _impressions.site_id == site.id)
