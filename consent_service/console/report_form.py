"""What the form of the page of rates asks for. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import cast, get_args

from consent_service.errors import ValidationFailed
from consent_service.reports.counting import COMMON, DIMENSIONS
from consent_service.reports.periods import Period
from consent_service.reports.questions import VALUE, Compared
from consent_service.reports.rates import DEFINITIONS
from consent_service.reports.report import Question, Step

#: Periods up to today, by their length in days.
_LENGTHS = {"7": 7, "30": 30, "90": 90}
PERIODS = (*_LENGTHS, "month", "last_month", "quarter", "own")
DEFAULT_PERIOD = "30"
COMPARISONS = ("", "previous", "groups")

#: Days up to which a series is by day, and up to which by week, unless the form says otherwise.
_BY_DAY, _BY_WEEK = 45, 200

#: What addresses of the page keep.
NAMES = (
    "site",
    "period",
    "from",
    "to",
    "rate",
    "where",
    "group",
    "step",
    "compare",
    "left",
    "right",
)

_NOT_LISTED = "Choose one of the list."


@dataclass(frozen=True)
class Asked:
    """What the form asks for."""

    question: Question
    period: str
    #: One of ``rates.DEFINITIONS`` and the key of a purpose; None for the first there is.
    rate: tuple[str, str | None] | None
    #: One of :data:`COMPARISONS`.
    compare: str
    #: Values of the two groups that are compared, where groups are.
    sides: tuple[str, str]

    @property
    def before(self) -> Period:
        """The days before the period, as many as it has."""
        question = self.question
        length = question.until - question.since + timedelta(days=1)
        return Period(question.since - length, question.until - length)

    @property
    def compare_with(self) -> Compared | None:
        """What to compare with, as far as it is known."""
        if self.compare == "previous":
            return self.before
        left, right = self.sides
        if self.compare == "groups" and self.question.group and left and right and left != right:
            return left, right
        return None


def read(args: Mapping[str, str], site_key: str, today: date) -> Asked:
    """Return what was asked for; what was not is as few people would have it otherwise.

    :param today: in the site's time zone
    :raises ValidationFailed: when it is not what the form offers
    """
    errors: dict[str, list[str]] = {}
    period = args.get("period") or ("own" if args.get("from") else DEFAULT_PERIOD)
    since, until = _days(args, period, today, errors)
    group = _one_of("group", args, DIMENSIONS, errors)
    where = _where(args, errors)
    step = _one_of("step", args, get_args(Step), errors)
    compare = _one_of("compare", args, COMPARISONS, errors) or ""
    rate = _rate(args, errors)
    if where and group == where[0]:
        errors["group"] = ["Look at one, or tell them apart: not both at once."]
    elif where and group and group not in COMMON:
        errors["group"] = ["Only all visitors together can be told apart by this."]
    if errors:
        raise ValidationFailed(fields=errors)
    question = Question(
        site_key=site_key,
        since=since,
        until=until,
        where=where,
        group=group,
        step=cast("Step", step) if step else _fitting(since, until),
    )
    return Asked(question, period, rate, compare, (args.get("left", ""), args.get("right", "")))


def days_of(period: str, today: date) -> tuple[date, date]:
    """Return the first and last day of one of :data:`PERIODS` but ``own``."""
    month = today.replace(day=1)
    if period == "month":
        return month, today
    if period == "last_month":
        last = month - timedelta(days=1)
        return last.replace(day=1), last
    if period == "quarter":
        return month.replace(month=month.month - (month.month - 1) % 3), today
    return today - timedelta(days=_LENGTHS[period] - 1), today


def _days(
    args: Mapping[str, str], period: str, today: date, errors: dict[str, list[str]]
) -> tuple[date, date]:
    if period not in PERIODS:
        errors["period"] = [_NOT_LISTED]
        return today, today
    if period != "own":
        return days_of(period, today)
    found = []
    for name in ("from", "to"):
        try:
            found.append(date.fromisoformat(args.get(name, "")))
        except ValueError:
            errors[name] = ["Not a valid date."]
    if errors:
        return today, today
    since, until = found
    if since > until:
        errors["to"] = ["The last day is before the first."]
    return since, until


def _one_of(
    name: str, args: Mapping[str, str], offered: tuple[str, ...], errors: dict[str, list[str]]
) -> str | None:
    value = args.get(name) or None
    if value is not None and value not in offered:
        errors[name] = [_NOT_LISTED]
    return value


def _where(args: Mapping[str, str], errors: dict[str, list[str]]) -> tuple[str, str] | None:
    written = args.get("where")
    if not written:
        return None
    dimension, _, value = written.partition(":")
    if dimension not in COMMON or not re.fullmatch(VALUE, value):
        errors["where"] = [_NOT_LISTED]
    return dimension, value


def _rate(args: Mapping[str, str], errors: dict[str, list[str]]) -> tuple[str, str | None] | None:
    written = args.get("rate")
    if not written:
        return None
    name, _, purpose = written.partition(".")
    known = next((each for each in DEFINITIONS if each.name == name), None)
    if known is None or known.per_purpose != bool(purpose):
        errors["rate"] = [_NOT_LISTED]
    return name, purpose or None


def longer(step: Step | None) -> Step | None:
    """Return the step after this one; None after the longest."""
    return {"day": "week", "week": "month"}.get(step or "")  # type: ignore[return-value]


def _fitting(since: date, until: date) -> Step:
    length = (until - since).days + 1
    if length <= _BY_DAY:
        return "day"
    return "week" if length <= _BY_WEEK else "month"
