"""Rollups as counting writes them, without the events and records that they come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime

import orjson
from sqlalchemy import insert

from consent_service import clock
from consent_service.db import Database
from consent_service.reports.counting import Cell, Circumstances, Counts, Tally
from consent_service.reports.models import RollupRow, RollupStateRow
from consent_service.tenants.service import Site

#: Days of an ordinary month that is over.
SINCE, UNTIL = date(2026, 9, 1), date(2026, 9, 30)

USUAL = Circumstances("TZ", "sw", "phone", "chrome", 1, "opt_in", gpc=False)


@dataclass(frozen=True)
class Crowd:
    """So many people of one kind on one day, and what they did with the banner."""

    day: date = SINCE
    shown: int = 0
    #: Of them, answered.
    answers: int = 0
    #: Of these, accepted all; the others rejected all.
    accepted: int = 0
    #: Of those who accepted, took it back on the same day.
    withdrawn: int = 0
    circumstances: Circumstances = USUAL
    purposes: tuple[str, ...] = ("analytics", "preferences")
    surface: str = "banner"

    def of(self, **circumstances: str | int | bool) -> Crowd:
        """Return the same of people in other circumstances."""
        return replace(self, circumstances=replace(self.circumstances, **circumstances))  # type: ignore[arg-type]


def tally(crowds: Iterable[Crowd]) -> Tally:
    """Count crowds."""
    counted = Tally()
    for crowd in crowds:
        signal = {"shown_gpc": crowd.shown} if crowd.circumstances.gpc else {}
        where = (crowd.day, crowd.circumstances)
        counted.add(*where, Counter({"shown": crowd.shown, **signal}))
        for action, number in (
            ("accept_all", crowd.accepted),
            ("reject_all", crowd.answers - crowd.accepted),
        ):
            accepted = action == "accept_all"
            measures = Counter(
                {
                    "choices": number,
                    "answers": number,
                    "accepted_all" if accepted else "rejected_all": number,
                    **{f"asked.{key}": number for key in crowd.purposes},
                    **{f"granted.{key}": number for key in crowd.purposes if accepted},
                    "granted_any": number if accepted and crowd.purposes else 0,
                    "after.10": number,
                }
            )
            counted.add(*where, +measures, crowd.surface, action)
        taken_back = Counter(
            {
                "choices": crowd.withdrawn,
                "withdrawals": crowd.withdrawn,
                **{f"withdrawn.{key}": crowd.withdrawn for key in crowd.purposes},
            }
        )
        counted.add(*where, +taken_back, "preferences", "withdraw")
    return counted


def fill(
    database: Database,
    site: Site,
    cells: Mapping[tuple[date, Cell], Counts],
    counted_at: datetime | None = None,
) -> None:
    """Write rollups of a site that has none, and that they were made just now."""
    written = [
        {
            "site_id": site.id,
            "tenant_id": site.tenant_id,
            "day": day,
            "dimensions": dimensions,
            "value": value,
            "counts": orjson.dumps({name: n for name, n in counts.items() if n}).decode(),
        }
        for (day, (dimensions, value)), counts in cells.items()
    ]
    state = {
        "site_id": site.id,
        "tenant_id": site.tenant_id,
        "time_zone": site.time_zone,
        "counted_at": counted_at or clock.now(),
    }
    with database.transaction(site.tenant_id) as connection:
        if written:
            connection.execute(insert(RollupRow), written)
        connection.execute(insert(RollupStateRow).values(state))


def fill_with(database: Database, site: Site, *crowds: Crowd) -> None:
    """Write the rollups that crowds give."""
    fill(database, site, tally(crowds).cells())
