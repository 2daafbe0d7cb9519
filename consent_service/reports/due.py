"""When reports on schedule are due, and what days they are about. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Literal, get_args
from zoneinfo import ZoneInfo

from consent_service.reports.periods import Period, step_around
from consent_service.reports.report import Step

Every = Literal["daily", "weekly", "monthly"]
EVERY: tuple[Every, ...] = get_args(Every)

#: How long after its last day a period is reported: by then all of it is counted.
AFTER = timedelta(hours=1)

_STEPS: dict[Every, Step] = {"daily": "day", "weekly": "week", "monthly": "month"}
_DAY = timedelta(days=1)


def newest(every: Every, now: datetime, time_zone: str) -> Period:
    """Return the newest whole day, ISO week or month of a time zone that is to be reported."""
    today = (now - AFTER).astimezone(ZoneInfo(time_zone)).date()
    running = step_around(today, _STEPS[every])
    return step_around(running.since - _DAY, _STEPS[every])


def next_run(every: Every, now: datetime, time_zone: str) -> datetime:
    """Return when the period after the newest one is to be reported."""
    after = step_around(newest(every, now, time_zone).until + _DAY, _STEPS[every])
    midnight = datetime.combine(after.until + _DAY, time(), ZoneInfo(time_zone))
    return midnight.astimezone(UTC) + AFTER
