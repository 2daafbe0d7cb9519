"""A question about a site's rates, and its answer. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

Step = Literal["day", "week", "month"]
Verdict = Literal["higher", "lower", "perhaps_chance", "too_few"]


@dataclass(frozen=True)
class Question:
    """What somebody wants to know of a site."""

    site_key: str
    #: First and last local day.
    since: date
    until: date
    #: A common dimension and the one value of it to look at.
    where: tuple[str, str] | None = None
    #: The dimension whose values are told apart.
    group: str | None = None
    #: How long the points of the series are; None for no series.
    step: Step | None = None


@dataclass(frozen=True)
class Rate:
    """A share, as it is shown: never without what it was computed from."""

    #: One of ``rates.DEFINITIONS``.
    name: str
    #: Key of the purpose, where the rate is of one.
    purpose: str | None
    numerator: int
    denominator: int
    #: 0 to 1, with its 95 % interval; None where there is none, and ``reason`` says why.
    value: float | None
    low: float | None
    high: float | None
    reason: Literal["no_data", "more_than_shown"] | None = None


@dataclass(frozen=True)
class Group:
    """The numbers of one value of the dimension that is told apart, or of all."""

    #: None for all.
    value: str | None
    #: Whether the group is too small to be shown, or would give a small one away.
    hidden: bool
    #: Empty where hidden, as are the rates.
    counts: Mapping[str, int]
    rates: Sequence[Rate]
    #: Seconds from shown to choice that half of the visitors took at most; None where unknown.
    median_seconds: float | None


@dataclass(frozen=True)
class Point:
    """The numbers of one step of the period: of all, and of each group where there are groups."""

    since: date
    until: date
    total: Group
    groups: Sequence[Group]


@dataclass(frozen=True)
class Comparison:
    """Whether a rate differs between two groups or two periods, by a two-proportion test."""

    rate: str
    purpose: str | None
    #: Value of the group, or how the period is written.
    left: str
    right: str
    #: Right less left, in points of 0 to 1; None where one of them has no rate.
    difference: float | None
    p_value: float | None
    #: Of the right one against the left one.
    verdict: Verdict


@dataclass(frozen=True)
class Report:
    """The answer to a question."""

    question: Question
    #: Keys of the optional purposes that were asked about in the period.
    purposes: Sequence[str]
    time_zone: str
    #: Groups of fewer people are hidden.
    smallest_group: int
    total: Group
    groups: Sequence[Group]
    points: Sequence[Point]
    comparisons: Sequence[Comparison]
    #: When the newest of what is counted was counted; None before anything was.
    counted_at: datetime | None
    #: Whether all days are being counted anew, so that some are missing or in another time zone.
    recounting: bool
