"""What is counted of impressions and choices, and in which cells. Pure.

A rollup counts one site, one local day and one cell: everything, one value of one dimension, or
one pair of values of two. So its size grows with days and values, and not with records.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import combinations
from typing import Any

from consent_service.consents.record import Previous

#: What impressions and choices have alike: a report may be filtered by one and grouped by another.
COMMON = (
    "country",
    "language",
    "device_class",
    "browser_family",
    "notice_version",
    "regime",
    "gpc",
)
#: What only a choice has: a report may be grouped by it.
OF_CHOICES = ("surface", "action")
DIMENSIONS = (*COMMON, *OF_CHOICES)

#: Where a country is not known (ISO 3166-1 leaves the code to its users).
UNKNOWN_COUNTRY = "ZZ"

#: What a page tells of a banner.
KINDS = ("shown", "preferences_opened", "dismissed")

#: Actions of records that are choices; a linked record asked nobody anything.
_ACTIONS = {
    "accept_all": "accepted_all",
    "reject_all": "rejected_all",
    "withdraw": "rejected_all",
    "save": "saved",
}

#: Milliseconds from shown to choice at which the first bucket ends, and buckets a doubling.
FIRST_MS, A_DOUBLING = 100, 2
#: Index of the last bucket, which has no end: beyond a day.
LAST_BUCKET = 40

#: Bits of one measure while counts are added up, more than any day's count needs.
_BITS = 48
_LARGEST = (1 << _BITS) - 1

Cell = tuple[str, str]
Counts = Mapping[str, int]


@dataclass(frozen=True)
class Circumstances:
    """What an impression and a choice have in common; fields are :data:`COMMON`, in order."""

    country: str
    language: str
    device_class: str
    browser_family: str
    notice_version: int
    regime: str
    gpc: bool

    def values(self) -> tuple[str, ...]:
        """Return the value of each common dimension, as text."""
        return (
            self.country,
            self.language,
            self.device_class,
            self.browser_family,
            str(self.notice_version),
            self.regime,
            "on" if self.gpc else "off",
        )


def circumstances_of(record: Mapping[str, Any]) -> Circumstances:
    """Return the circumstances of a record."""
    return Circumstances(
        country=record["country"] or UNKNOWN_COUNTRY,
        language=record["language"],
        device_class=record["device_class"],
        browser_family=record["browser_family"],
        notice_version=record["notice_version"],
        regime=record["regime"],
        gpc=record["gpc"],
    )


def measures_of_impressions(kind: str, number: int, *, gpc: bool, bot: bool) -> Counter[str]:
    """Return what so many impressions of one kind count as; of bots only that they were left out.

    :param kind: one of :data:`KINDS`
    """
    if bot:
        return Counter({"bots": number} if kind == "shown" else {})
    counted = Counter({kind: number})
    if kind == "shown" and gpc:
        counted["shown_gpc"] = number
    return counted


def measures_of_choice(
    record: Mapping[str, Any],
    before: Previous | None,
    optional: Collection[str],
    after_ms: int | None,
) -> Counter[str]:
    """Return what a record counts as; nothing for one that is no choice.

    :param before: of the record before it, None for a visitor's first
    :param optional: keys of the purposes that its notice asked about
    :param after_ms: milliseconds from the banner's showing to the choice, where known
    """
    action = _ACTIONS.get(record["action"])
    if action is None:
        return Counter()
    granted = {key for key in optional if record["choices"].get(key)}
    counted = Counter({"choices": 1})
    withdrawn = (
        [key for key in optional if before.choices.get(key) and key not in granted]
        if before
        else []
    )
    if withdrawn:
        counted["withdrawals"] = 1
        counted.update(f"withdrawn.{key}" for key in withdrawn)
    if before and before.notice_version == record["notice_version"]:
        return counted
    counted["answers"] = 1
    counted[action] = 1
    if granted:
        counted["granted_any"] = 1
    counted.update(f"asked.{key}" for key in optional)
    counted.update(f"granted.{key}" for key in granted)
    if after_ms is not None:
        counted[f"after.{bucket_of(after_ms)}"] = 1
    return counted


def bucket_of(milliseconds: int) -> int:
    """Return the bucket of a time from shown to choice; each is √2 as long as the one before."""
    if milliseconds < FIRST_MS:
        return 0
    return min(LAST_BUCKET, 1 + math.floor(A_DOUBLING * math.log2(milliseconds / FIRST_MS)))


def bucket_bounds(bucket: int) -> tuple[float, float]:
    """Return where a bucket begins and ends, in seconds; the last one ends nowhere."""
    end = FIRST_MS / 1000 * 2 ** (bucket / A_DOUBLING)
    start = 0.0 if bucket == 0 else FIRST_MS / 1000 * 2 ** ((bucket - 1) / A_DOUBLING)
    return start, math.inf if bucket == LAST_BUCKET else end


@dataclass
class Tally:
    """Counts of one site that are being added up, to be written as rollups.

    All measures of a cell are one whole number, each in its own bits: Python adds two of those much
    faster than two mappings, and there are thirty cells to each set of circumstances.
    """

    #: (day, values of common dimensions, surface and action or "") → counts
    _added: dict[tuple[date, tuple[str, ...], str, str], int] = field(default_factory=dict)
    #: Measure → where its bits begin.
    _shifts: dict[str, int] = field(default_factory=dict)

    def add(
        self, day: date, circumstances: Circumstances, counted: Counts, *of_choice: str
    ) -> None:
        """Count on a local day.

        :param of_choice: surface and action, where it is a choice
        """
        if counted:
            surface, action = of_choice or ("", "")
            self.add_packed(day, circumstances.values(), surface, action, self.packed(counted))

    def add_packed(
        self, day: date, values: tuple[str, ...], surface: str, action: str, packed: int
    ) -> None:
        """Do the same with what :meth:`packed` has returned for the counts."""
        key = (day, values, surface, action)
        self._added[key] = self._added.get(key, 0) + packed

    def cells(self) -> dict[tuple[date, Cell], Counter[str]]:
        """Return the counts of each cell of each day."""
        found: dict[date, dict[Cell, int]] = {}
        for (day, values, surface, action), packed in self._added.items():
            of_day = found.setdefault(day, {})
            for cell in cells_of(values, surface, action):
                of_day[cell] = of_day.get(cell, 0) + packed
        return {
            (day, cell): self._unpacked(packed)
            for day, of_day in found.items()
            for cell, packed in of_day.items()
        }

    def packed(self, counted: Counts) -> int:
        """Return counts as this tally keeps them, to be added again and again; 0 for none."""
        packed = 0
        for measure, number in counted.items():
            shift = self._shifts.setdefault(measure, _BITS * len(self._shifts))
            packed += number << shift
        return packed

    def _unpacked(self, packed: int) -> Counter[str]:
        return Counter(
            {
                measure: number
                for measure, shift in self._shifts.items()
                if (number := packed >> shift & _LARGEST)
            }
        )


def cells_of(values: tuple[str, ...], surface: str = "", action: str = "") -> Iterator[Cell]:
    """Give the cells that something belongs to: all, its values one by one, and in pairs."""
    yield "", ""
    single = tuple(zip(COMMON, values, strict=True))
    yield from single
    if surface:
        yield "surface", surface
        yield "action", action
    for (left, value), (right, other) in combinations(single, 2):
        yield f"{left},{right}", f"{value},{other}"


def cell_name(*dimensions: str) -> str:
    """Return the dimensions of a cell as a rollup has them."""
    return ",".join(sorted(dimensions, key=DIMENSIONS.index))
