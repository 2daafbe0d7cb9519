"""Count records and impressions into rollups: each once, whatever is killed when.

What callers may rely on:

- A record or impression that is stored is counted in its own local day, sooner or later, and never
  twice, by however many processes; one that is erased is counted no more.
- What waits to be counted is taken away in the transaction that writes the counts.
- Of two who count the same site at once, one does nothing (:class:`~consent_service.db.Contended`).
- Recording waits for nothing here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, or_, select

from consent_service import clock
from consent_service.consents import changes
from consent_service.consents.changes import Change, Counted
from consent_service.db import Database, Snapshot
from consent_service.notices.service import AskedPurposes
from consent_service.reports import rollup_store as store
from consent_service.reports.counting import (
    Tally,
    bucket_of,
    circumstances_of,
    measures_of_choice,
    measures_of_impressions,
)
from consent_service.reports.rollup_store import Impressions, State
from consent_service.tenants.service import Site, time_zone_of

#: Records, and rows of impressions, that are counted in one transaction.
BATCH = 2000

#: Erased records that are looked at in one transaction.
_ERASED = 5000

#: In the place of a time zone: this and an id name who makes a site's rollups anew. Nothing is
#: added to them meanwhile, since some days are in one time zone and some in another.
MARK = "anew "

#: Whoever makes rollups anew and has not written for so many seconds has been killed.
LEASE_SECONDS = 30

#: Sites that one query asks about.
_FLAGS = 100

_LONG_AGO = datetime(1, 1, 3, tzinfo=UTC)


class Superseded(Exception):
    """A site's time zone was changed, or somebody else has begun to count the site anew."""


@dataclass(frozen=True)
class Folded:
    """How much was counted in one go."""

    records: int = 0
    impressions: int = 0
    #: Whether there may be more.
    more: bool = False


@dataclass(frozen=True)
class Recounted:
    """A day that was counted anew."""

    day: date
    records: int
    impressions: int


@dataclass(frozen=True)
class Waiting:
    """What is to be done for a tenant's sites."""

    to_fold: list[Site]
    to_recount: list[Site]
    to_rebuild: list[Site]


class Rollups:
    """The rollups of all sites."""

    def __init__(self, database: Database) -> None:
        """Count in this database."""
        self._database = database
        self._purposes = AskedPurposes()

    def waiting(self, tenant_id: UUID, sites: Iterable[Site]) -> Waiting:
        """Return for which of a tenant's sites there is something to do.

        :raises Unavailable: when the database does not answer
        """
        found = list(sites)
        waiting = Waiting([], [], [])
        with self._database.reading(tenant_id) as connection:
            states = store.find_states(connection, tenant_id)
            for site, (new, erased) in zip(found, _flags(connection, found), strict=True):
                if not _is_settled(states.get(site.id), site.time_zone):
                    waiting.to_rebuild.append(site)
                    continue
                if new:
                    waiting.to_fold.append(site)
                if erased:
                    waiting.to_recount.append(site)
        return waiting

    def fold(self, site: Site, *, limit: int = BATCH) -> Folded:
        """Count some of what waits to be counted, in one transaction.

        Nothing, while the site's rollups are to be made anew.

        :param limit: of records, and of rows of impressions
        :raises Contended: when somebody else is counting the site; nothing was written
        :raises Unavailable: when the database cannot do it now; nothing was written
        """
        with self._database.snapshot(site.tenant_id, site.id) as snapshot:
            connection = snapshot.connection
            zone = time_zone_of(connection, site)
            state = store.find_state(connection, site)
            if state is None or state.time_zone != zone:
                return Folded()
            made = changes.pending(connection, site, erased=False, limit=limit)
            impressions = store.pending(connection, site, limit)
            if not made and not impressions:
                return Folded()
            count = _Count(connection, site, ZoneInfo(zone), self._purposes)
            records = changes.records(connection, site, [change.record_id for change in made])
            count.add_records(records)
            count.add_impressions(impressions)
            self._write(snapshot, site, state, count, _settled_by(made, records))
        more = len(made) == limit or len(impressions) == limit
        return Folded(count.records, count.impressions, more)

    def _write(
        self,
        snapshot: Snapshot,
        site: Site,
        state: State,
        count: _Count,
        counted: Iterable[Change],
    ) -> None:
        """Add what was counted to the rollups, and take away what waited."""
        cells = count.tally.cells()
        known = store.read_cells(snapshot.connection, site, cells)
        new = {key: counts for key, counts in cells.items() if key not in known}
        added = {key: known[key] + counts for key, counts in cells.items() if key in known}
        with snapshot.writing() as connection:
            store.write_state(connection, site, state)
            store.insert_cells(connection, site, new)
            store.update_cells(connection, site, added)
            changes.forget(connection, site, counted)
            store.mark_folded(connection, site, count.not_folded)

    def recount_erased(self, site: Site) -> list[Recounted]:
        """Count the days anew of which a record was erased.

        :raises Contended: when somebody else is counting the site; days may have been counted
        :raises Unavailable: when the database cannot do it now; days may have been counted
        """
        with self._database.reading(site.tenant_id) as connection:
            zone = ZoneInfo(time_zone_of(connection, site))
            erased = changes.pending(connection, site, erased=True, limit=_ERASED)
        days = {local_day(change.made_at, zone) for change in erased}
        return [done for day in sorted(days) if (done := self._recount_settled(site, day))]

    def _recount_settled(self, site: Site, day: date) -> Recounted | None:
        with self._database.snapshot(site.tenant_id, site.id) as snapshot:
            zone = time_zone_of(snapshot.connection, site)
            state = store.find_state(snapshot.connection, site)
            if state is None or state.time_zone != zone:
                return None
            return self._recount(snapshot, site, state, ZoneInfo(zone), day)

    def _recount(  # noqa: PLR0913 - what is counted, and what is written of it
        self,
        snapshot: Snapshot,
        site: Site,
        state: State,
        zone: ZoneInfo,
        day: date,
        mark: str | None = None,
    ) -> Recounted:
        """Count a day anew, from all its records and impressions.

        :param mark: what the state says afterwards in the place of a time zone; what it said before
            unless given
        """
        connection = snapshot.connection
        since, until = bounds(day, zone)
        count = _Count(connection, site, zone, self._purposes, only=day)
        for records in changes.records_between(connection, site, since, until):
            count.add_records(records)
        for impressions in store.impressions_between(connection, site, since, until):
            count.add_impressions(impressions)
        counted = [
            change
            for change in changes.pending_between(connection, site, since, until)
            if local_day(change.made_at, zone) == day
        ]
        cells = count.tally.cells()
        with snapshot.writing() as writing:
            store.write_state(writing, site, state, mark)
            store.delete_day(writing, site, day)
            store.insert_cells(writing, site, cells)
            changes.forget(writing, site, counted)
            store.mark_folded(writing, site, count.not_folded)
        return Recounted(day, count.records, count.impressions)

    def begin_rebuild(self, site: Site, *, wanted: bool = False) -> Rebuild | None:
        """Begin to count all days of a site anew; None where there is nothing to do.

        That is so when the rollups are in the site's time zone, or when another process makes them
        anew already.

        :param wanted: begin all the same
        :raises Contended: when somebody else is counting the site
        :raises Unavailable: when the database cannot do it now
        """
        with self._database.snapshot(site.tenant_id, site.id) as snapshot:
            connection = snapshot.connection
            name = time_zone_of(connection, site)
            state = store.find_state(connection, site)
            settled = _is_settled(state, name)
            if not wanted and (settled or _is_at_work(state)):
                return None
            zone = ZoneInfo(name)
            days = self._days(connection, site, zone)
            # Days that are settled stay so while they are counted anew, one by one.
            mark = name if settled or not days else f"{MARK}{clock.new_id().hex}"
            with snapshot.writing() as writing:
                store.write_state(writing, site, state, mark)
        return Rebuild(self, site, zone, days, mark)

    def _days(self, connection: Connection, site: Site, zone: ZoneInfo) -> list[date]:
        """Return all local days that something was, or is counted, on."""
        days = store.days_counted(connection, site)
        for first_at_or_after in (changes.first_at_or_after, store.first_at_or_after):
            since = _LONG_AGO
            while moment := first_at_or_after(connection, site, since):
                day = local_day(moment, zone)
                days.add(day)
                following = bounds(day + timedelta(days=1), zone)[0]
                since = max(following, moment + timedelta(milliseconds=1))
        return sorted(days)

    def rebuild_day(
        self, site: Site, zone: ZoneInfo, mark: str, day: date, *, last: bool
    ) -> Recounted:
        """Count a day anew for a :class:`Rebuild`; the last one settles the site."""
        with self._database.snapshot(site.tenant_id, site.id) as snapshot:
            state = store.find_state(snapshot.connection, site)
            name = time_zone_of(snapshot.connection, site)
            if state is None or state.time_zone != mark or name != zone.key:
                raise Superseded
            return self._recount(snapshot, site, state, zone, day, zone.key if last else mark)


class Rebuild:
    """All days of a site, counted anew one after the other, each in a transaction of its own.

    Broken off, it is begun again from the first day; a day that is counted is right.
    """

    def __init__(
        self, rollups: Rollups, site: Site, zone: ZoneInfo, days: list[date], mark: str
    ) -> None:
        """Take what :meth:`Rollups.begin_rebuild` has found."""
        self.site = site
        self.days = days
        self._rollups = rollups
        self._zone = zone
        self._mark = mark
        #: Days to be counted yet, the next one last.
        self.left = list(reversed(days))

    def step(self) -> Recounted | None:
        """Count the next day; None when all is done. May be called again after an error.

        :raises Superseded: when what is left need not be done; the worker makes all anew
        :raises Contended: when somebody else is counting the site
        :raises Unavailable: when the database cannot do it now
        """
        if not self.left:
            return None
        last = len(self.left) == 1
        done = self._rollups.rebuild_day(
            self.site, self._zone, self._mark, self.left[-1], last=last
        )
        self.left.pop()
        return done


class _Count:
    """Counts what is read of a site."""

    def __init__(
        self,
        connection: Connection,
        site: Site,
        zone: ZoneInfo,
        purposes: AskedPurposes,
        *,
        only: date | None = None,
    ) -> None:
        """Count all, or of one local day only."""
        self._connection = connection
        self._site = site
        self._zone = zone
        self._purposes = purposes
        self._only = only
        self.tally = Tally()
        self.records = 0
        self.impressions = 0
        #: What records of a kind count as.
        self._kinds: dict[tuple[Any, ...], int] = {}
        #: Time and id of impressions that no rollup has yet.
        self.not_folded: list[tuple[datetime, UUID]] = []

    def add_records(self, records: Iterable[Counted]) -> None:
        """Count records."""
        for each in records:
            day = local_day(each.made_at, self._zone)
            if self._only not in {None, day}:
                continue
            self.records += 1
            record = each.record
            packed = self._packed(each)
            if packed:
                values = circumstances_of(record).values()
                self.tally.add_packed(day, values, record["surface"], record["action"], packed)

    def _packed(self, each: Counted) -> int:
        """Return what a record counts as. Of choices there are few kinds, and many of each."""
        record, before = each.record, each.before
        after = None if each.after_ms is None else bucket_of(each.after_ms)
        kind = (
            record["notice_version"],
            record["action"],
            *record["choices"].items(),
            after,
            before and (before.notice_version, *before.choices.items()),
        )
        packed = self._kinds.get(kind)
        if packed is None:
            optional = self._purposes.of(self._connection, self._site, record["notice_version"])
            counted = measures_of_choice(record, before, optional, each.after_ms)
            packed = self._kinds[kind] = self.tally.packed(counted)
        return packed

    def add_impressions(self, impressions: Iterable[Impressions]) -> None:
        """Count impressions."""
        for each in impressions:
            day = local_day(each.at, self._zone)
            if self._only not in {None, day}:
                continue
            self.impressions += each.number
            if not each.folded:
                self.not_folded.append((each.at, each.id))
            counted: Counter[str] = measures_of_impressions(
                each.kind, each.number, gpc=each.circumstances.gpc, bot=each.bot
            )
            self.tally.add(day, each.circumstances, counted)


def local_day(moment: datetime, zone: ZoneInfo) -> date:
    """Return the day that a moment belongs to where the clocks show this zone's time."""
    return moment.astimezone(zone).date()


def bounds(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return moments between which a local day lies.

    Where clocks are set back across midnight, it strikes twice, and some of what lies between is of
    the day before or after. Where it is left out, the day begins when it would have struck.
    """
    first, second = (
        [
            datetime.combine(each, time.min, zone).replace(fold=fold).astimezone(UTC)
            for fold in (0, 1)
        ]
        for each in (day, day + timedelta(days=1))
    )
    return first[0], max(second)


def _flags(connection: Connection, sites: Sequence[Site]) -> Iterator[tuple[bool, bool]]:
    """Say of each site whether something new waits, and whether something erased does."""
    for start in range(0, len(sites), _FLAGS):
        some = sites[start : start + _FLAGS]
        flags = [
            flag.label(f"f{number}_{kind}")
            for number, site in enumerate(some)
            for kind, flag in enumerate(
                (
                    or_(changes.has_changes(site, erased=False), store.has_impressions(site)),
                    changes.has_changes(site, erased=True),
                )
            )
        ]
        row = connection.execute(select(*flags)).one()
        yield from zip(row[::2], row[1::2], strict=True)


def _settled_by(made: Iterable[Change], records: Iterable[Counted]) -> list[Change]:
    """Return what no longer waits when these records are counted.

    One that was erased before it was counted needs no counting anew.
    """
    made = list(made)
    there = {each.record["id"] for each in records}
    erased = [change._replace(erased=True) for change in made if str(change.record_id) not in there]
    return [*made, *erased]


def _is_settled(state: State | None, time_zone: str) -> bool:
    return state is not None and state.time_zone == time_zone


def _is_at_work(state: State | None) -> bool:
    """Say whether a process is making a site's rollups anew."""
    if state is None or not state.time_zone.startswith(MARK):
        return False
    return clock.now() - state.counted_at < timedelta(seconds=LEASE_SECONDS)
