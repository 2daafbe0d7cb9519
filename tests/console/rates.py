"""A site that was counted for two months."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from typing import NamedTuple

from consent_service.reports.counting import Circumstances, Tally
from tests.builders import Service
from tests.reports.builders import fill


class Crowd(NamedTuple):
    """Visitors of one kind, each day: how many, and of a hundred who answer who grant analytics."""

    country: str
    device: str
    language: str
    shown: int
    grants: int


CROWDS = (
    Crowd("TZ", "phone", "sw", 240, 46),
    Crowd("TZ", "desktop", "en", 90, 38),
    Crowd("KE", "phone", "en", 80, 41),
    Crowd("UG", "phone", "en", 40, 35),
    Crowd("GB", "desktop", "en", 30, 24),
    Crowd("RW", "tablet", "en", 20, 44),
    Crowd("DE", "desktop", "en", 15, 12),
)

#: So few that they are hidden.
FEW = Crowd("BI", "phone", "en", 2, 50)


def count_days(service: Service, until: date, days: int = 60) -> None:
    """Write rollups of so many days up to this one; the few come on the last."""
    tally = Tally()
    for ago in range(days):
        day = until - timedelta(days=ago)
        for crowd in CROWDS:
            # A week has its ups and downs.
            shown = crowd.shown * (6 + (day.toordinal() * 7 + len(crowd.device)) % 5) // 10
            for counted, of_choice in _counted(shown, crowd.grants + day.toordinal() * 3 % 7):
                tally.add(day, _circumstances(crowd), +counted, *of_choice)
    tally.add(until, _circumstances(FEW), Counter(shown=FEW.shown))
    fill(service.built.database, service.site, tally.cells())


def _counted(shown: int, grants: int) -> Iterator[tuple[Counter[str], tuple[str, ...]]]:
    """Give what so many visitors count as, by what they did."""
    answers = shown * 62 // 100
    all_granted = answers * grants // 100
    some_granted = answers // 10
    refused = answers - all_granted - some_granted
    yield Counter(shown=shown, shown_gpc=shown // 12, bots=shown // 9), ()
    for action, number, measures in (
        ("accept_all", all_granted, ("accepted_all", "granted_any", "after.13")),
        ("save", some_granted, ("saved", "granted_any", "after.17")),
        ("reject_all", refused, ("rejected_all", "after.11")),
    ):
        counted = Counter(dict.fromkeys(("choices", "answers", *measures), number))
        for purpose in ("analytics", "preferences"):
            counted[f"asked.{purpose}"] = number
            if action == "accept_all" or (action, purpose) == ("save", "preferences"):
                counted[f"granted.{purpose}"] = number
        yield counted, ("banner", action)
    yield (
        Counter({"choices": refused // 20, "withdrawals": refused // 20}),
        ("preferences", "withdraw"),
    )


def _circumstances(crowd: Crowd) -> Circumstances:
    return Circumstances(
        country=crowd.country,
        language=crowd.language,
        device_class=crowd.device,
        browser_family="chrome" if crowd.device == "phone" else "firefox",
        notice_version=1,
        regime="opt_in",
        gpc=False,
    )
