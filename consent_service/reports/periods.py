"""Local days, and the steps that a period is cut into. Pure."""

from __future__ import annotations

from datetime import date, timedelta
from typing import NamedTuple, get_args

from consent_service.reports.report import Step

STEPS: tuple[Step, ...] = get_args(Step)

_DAY = timedelta(days=1)


class Period(NamedTuple):
    """Local days, the first and the last of them included."""

    since: date
    until: date

    @property
    def days(self) -> int:
        """How many days it has."""
        return (self.until - self.since).days + 1

    def __str__(self) -> str:
        """Write it as an interval (ISO 8601)."""
        return f"{self.since}/{self.until}"


def steps_of(period: Period, step: Step | None) -> list[Period]:
    """Cut a period into days, weeks from Monday on (ISO 8601) or calendar months.

    The first and the last may be shorter. Without a step the period is the only one.
    """
    found = []
    since = period.since
    while since <= period.until:
        until = min(_end(since, step) if step else period.until, period.until)
        found.append(Period(since, until))
        since = until + _DAY
    return found


def step_around(day: date, step: Step) -> Period:
    """Return the day, week or month that a day is in."""
    since = {"day": day, "week": day - day.weekday() * _DAY, "month": day.replace(day=1)}[step]
    return Period(since, _end(day, step))


def _end(day: date, step: Step) -> date:
    """Return the last day of the day's step."""
    if step == "day":
        return day
    if step == "week":
        return day + (6 - day.weekday()) * _DAY
    return (day.replace(day=28) + 4 * _DAY).replace(day=1) - _DAY
