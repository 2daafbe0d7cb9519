"""Sites to which anything may happen, and what their rollups must be, counted the slow way."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import combinations
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, event, insert, select

from consent_service import clock
from consent_service.access.actor import OPERATOR
from consent_service.consents.models import RecordRow, TombstoneRow
from consent_service.db import Contended, Database
from consent_service.notices.models import NoticeRow
from consent_service.reports.models import ImpressionsRow, RollupRow
from consent_service.reports.rollups import Rollups, Superseded, Waiting
from consent_service.tenants.service import Site, Tenant, create_site, find_site, update_site

#: What each version of a site's notice asks about, besides what is essential.
ASKED = {1: ("preferences", "analytics"), 2: ("analytics", "marketing")}

#: (day, dimensions, value) → measure → number
Counts = dict[tuple[date, str, str], dict[str, int]]

_records = RecordRow.__table__.c
_impressions = ImpressionsRow.__table__.c
_rollups = RollupRow.__table__.c


class Killed(Exception):
    """The process has ended here."""


@dataclass
class Visitor:
    """Somebody with a chain of records."""

    newest: UUID | None = None
    records: list[UUID] = field(default_factory=list)


class History:
    """A site, what happened on it, and its rollups."""

    def __init__(self, database: Database, tenant: Tenant, time_zone: str = "UTC") -> None:
        """Make a site with two versions of a notice."""
        self.database = database
        self.rollups = Rollups(database)
        self.site = create_site(
            database, tenant, "Site", ["https://example.com"], time_zone=time_zone, by=OPERATOR
        )
        self.visitors: dict[int, Visitor] = defaultdict(Visitor)
        with database.transaction(tenant.id) as connection:
            for version, keys in ASKED.items():
                connection.execute(insert(NoticeRow), _notice(self.site, version, keys))

    def record(self, visitor: int, at: datetime, **content: Any) -> None:  # noqa: ANN401
        """Have a visitor choose, or be linked; ``content`` replaces members of the record."""
        who = self.visitors[visitor]
        identity = clock.new_id()
        version = content.get("notice_version", 1)
        document = {
            "id": str(identity),
            "previous_id": str(who.newest) if who.newest else None,
            "action": "save",
            "surface": "banner",
            "choices": {"session": True, **dict.fromkeys(ASKED[version], True)},
            "notice_version": version,
            "language": "sw",
            "country": "TZ",
            "device_class": "phone",
            "browser_family": "chrome",
            "regime": "opt_in",
            "gpc": False,
            **content,
        }
        after_ms = document.pop("after_ms", None)
        row = {
            "id": identity,
            "tenant_id": self.site.tenant_id,
            "site_id": self.site.id,
            "created_at": at,
            "document": json.dumps(document),
            "commitment": bytes(32),
            "after_ms": after_ms,
        }
        with self.database.transaction(self.site.tenant_id) as connection:
            connection.execute(insert(RecordRow), row)
        who.newest = identity
        who.records.append(identity)

    def erase(self, visitor: int) -> None:
        """Forget all that is held about a visitor, who may come again as somebody new."""
        who = self.visitors.pop(visitor, Visitor())
        tombstones = [
            {
                "record_id": record_id,
                "tenant_id": self.site.tenant_id,
                "site_id": self.site.id,
                "document": "{}",
                "signature": b"",
                "key_id": "",
                "salt": b"",
                "commitment": bytes(32),
                "erased_at": clock.now(),
            }
            for record_id in who.records
        ]
        if tombstones:
            with self.database.transaction(self.site.tenant_id) as connection:
                connection.execute(insert(TombstoneRow), tombstones)

    def show(self, at: datetime, **members: Any) -> None:  # noqa: ANN401
        """Have the banner be shown, or something like it; ``members`` replace columns."""
        row = {
            "id": clock.new_id(),
            "tenant_id": self.site.tenant_id,
            "site_id": self.site.id,
            "at": at.replace(microsecond=0),
            "kind": "shown",
            "notice_version": 1,
            "language": "sw",
            "country": "TZ",
            "device_class": "phone",
            "browser_family": "chrome",
            "regime": "opt_in",
            "gpc": False,
            "bot": False,
            "number": 1,
            "folded": False,
            **members,
        }
        with self.database.transaction(self.site.tenant_id) as connection:
            connection.execute(insert(ImpressionsRow), row)

    def move(self, time_zone: str) -> None:
        """Change the site's time zone."""
        now = find_site(self.database, self.site.site_key)
        changes = {"time_zone": time_zone}
        self.site = update_site(self.database, now, changes, revision=now.revision, by=OPERATOR)

    def count(self, limit: int = 2000) -> None:
        """Do as the worker does: all that waits, unless somebody else is at it."""
        try:
            waiting = self.rollups.waiting(self.site.tenant_id, [self.site])
            if waiting.to_rebuild:
                self.rebuild(wanted=False)
            if waiting.to_fold:
                while self.rollups.fold(self.site, limit=limit).more:
                    pass
            if waiting.to_recount:
                self.rollups.recount_erased(self.site)
        except Contended:
            pass

    def rebuild(self, *, wanted: bool = True, days: float = math.inf) -> None:
        """Count all days anew, or as many until whoever does it is killed."""
        rebuild = self.rollups.begin_rebuild(self.site, wanted=wanted)
        try:
            while rebuild and days > 0 and rebuild.step():
                days -= 1
        except Superseded:
            pass

    def settle(self) -> None:
        """Count until nothing waits; who was killed is not waited for."""
        waiting = self.rollups.waiting(self.site.tenant_id, [self.site])
        if waiting.to_rebuild:
            self.rebuild()
        self.count()
        waiting = self.rollups.waiting(self.site.tenant_id, [self.site])
        assert waiting == Waiting([], [], [])

    def check(self) -> None:
        """Check that the rollups are what they must be, once nothing waits."""
        self.settle()
        assert counted(self.database, self.site) == expected(self.database, self.site)

    def is_counted(self) -> bool:
        """Say whether the rollups are what they must be."""
        return counted(self.database, self.site) == expected(self.database, self.site)


def counted(database: Database, site: Site) -> Counts:
    """Return a site's rollups."""
    query = select(_rollups.day, _rollups.dimensions, _rollups.value, _rollups.counts).where(
        _rollups.site_id == site.id
    )
    with database.reading(site.tenant_id) as connection:
        rows = connection.execute(query).all()
    return {(row.day, row.dimensions, row.value): json.loads(row.counts) for row in rows}


def expected(database: Database, site: Site) -> Counts:
    """Return what a site's rollups must be, from all its rows."""
    with database.reading(site.tenant_id) as connection:
        records = connection.execute(
            select(_records.created_at, _records.document, _records.after_ms).where(
                _records.site_id == site.id, _records.document.is_not(None)
            )
        ).all()
        impressions = connection.execute(
            select(ImpressionsRow.__table__).where(_impressions.site_id == site.id)
        ).all()
    zone = ZoneInfo(site.time_zone)
    found: dict[tuple[date, str, str], Counter[str]] = defaultdict(Counter)
    documents = {(record := json.loads(row.document))["id"]: record for row in records}
    for row in records:
        record = json.loads(row.document)
        if record["action"] != "link":
            measures = _of_choice(record, documents.get(record["previous_id"]), row.after_ms)
            own = {"surface": record["surface"], "action": record["action"]}
            _add(found, row.created_at.astimezone(zone).date(), record, own, measures)
    for row in impressions:
        measures = _of_impressions(row)
        _add(found, row.at.astimezone(zone).date(), row._asdict(), {}, measures)
    return {key: dict(counts) for key, counts in found.items()}


def _of_impressions(row: Any) -> dict[str, int]:  # noqa: ANN401
    if row.bot:
        return {"bots": row.number} if row.kind == "shown" else {}
    signal = {"shown_gpc": row.number} if row.kind == "shown" and row.gpc else {}
    return {row.kind: row.number, **signal}


def _of_choice(
    record: Mapping[str, Any], before: Mapping[str, Any] | None, after_ms: int | None
) -> dict[str, int]:
    measures = ["choices"]
    asked = ASKED[record["notice_version"]]
    granted = [key for key in asked if record["choices"][key]]
    taken_back = [
        key for key in asked if before and before["choices"].get(key) and key not in granted
    ]
    measures += [f"withdrawn.{key}" for key in taken_back]
    measures += ["withdrawals"] if taken_back else []
    if before is None or before["notice_version"] != record["notice_version"]:
        named = {"accept_all": "accepted_all", "save": "saved"}
        measures += ["answers", named.get(record["action"], "rejected_all")]
        measures += ["granted_any"] if granted else []
        measures += [f"asked.{key}" for key in asked]
        measures += [f"granted.{key}" for key in granted]
        if after_ms is not None:
            ends = [100 * 2 ** (number / 2) for number in range(40)]
            measures.append(f"after.{sum(after_ms >= end for end in ends)}")
    return dict.fromkeys(measures, 1)


def _add(
    found: dict[tuple[date, str, str], Counter[str]],
    day: date,
    said: Mapping[str, Any],
    own: Mapping[str, str],
    measures: Mapping[str, int],
) -> None:
    if not measures:
        return
    common = {
        "country": said["country"] or "ZZ",
        "language": said["language"],
        "device_class": said["device_class"],
        "browser_family": said["browser_family"],
        "notice_version": str(said["notice_version"]),
        "regime": said["regime"],
        "gpc": "on" if said["gpc"] else "off",
    }
    cells = [("", ""), *common.items(), *own.items()]
    cells += [(f"{a},{b}", f"{common[a]},{common[b]}") for a, b in combinations(common, 2)]
    for dimensions, value in cells:
        found[day, dimensions, value].update(measures)


@contextmanager
def at_statement(
    database: Database, number: int, act: Callable[[], None], *, reading: bool = False
) -> Iterator[None]:
    """Do something before a connection's statement with this number is executed, 1 for the first.

    :param reading: not while SQLite's only writer is at work
    """
    left = number
    engine = database._engine  # noqa: SLF001 - there is no other way to stand in its way

    def count(connection: Connection, *_: object) -> None:
        nonlocal left
        if reading and connection.dialect.name == "sqlite" and _is_writing(connection):
            return
        left -= 1
        if left == 0:
            act()

    event.listen(engine, "before_cursor_execute", count)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", count)


def _is_writing(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get("consent_write", True))


def kill() -> None:
    """End here."""
    raise Killed


def _notice(site: Site, version: int, keys: tuple[str, ...]) -> dict[str, Any]:
    purposes = [{"key": "session", "category": "essential"}]
    purposes += [{"key": key, "category": "analytics"} for key in keys]
    return {
        "id": clock.new_id(),
        "tenant_id": site.tenant_id,
        "site_id": site.id,
        "version": version,
        "content": json.dumps({"purposes": purposes}),
        "content_hash": "",
        "policy_version": "1",
        "material": True,
        "published_at": datetime(2026, 1, 1, tzinfo=UTC),
        "changed_ms": 1,
    }
