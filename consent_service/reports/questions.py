"""Whether a question about a site's rates is well put. Pure."""

from __future__ import annotations

import re
from datetime import date

from consent_service.errors import ValidationFailed
from consent_service.reports.counting import COMMON, DIMENSIONS, OF_CHOICES
from consent_service.reports.periods import Period, steps_of
from consent_service.reports.report import Question, Step

#: The longest period, in days: five years.
MAX_DAYS = 1830
#: Points of a series: a day each of a year, and a month.
MAX_POINTS = 400
#: Groups of all points of a series together: four a day of a year, thirty a week.
MAX_GROUPS_OF_POINTS = 2000

#: What a value of a dimension can look like.
VALUE = r"[A-Za-z0-9_.-]{1,35}"

#: Two values of the grouped dimension, or another period.
Compared = tuple[str, str] | Period


def check(question: Question, compare_with: Compared | None, today: date) -> None:
    """Refuse a question that is not well put.

    :raises ValidationFailed: naming what may be asked
    """
    found = {
        **_period_problems(Period(question.since, question.until), today, "from", "to"),
        **_dimension_problems(question),
    }
    if question.step and not found:
        points = len(steps_of(Period(question.since, question.until), question.step))
        if points > MAX_POINTS:
            found["step"] = [f"These are {points} points, and at most {MAX_POINTS} are given."]
    if isinstance(compare_with, Period):
        found |= _period_problems(compare_with, today, "compare_from", "compare_to")
        if compare_with.since <= question.until and question.since <= compare_with.until:
            # The test is about different people.
            found["compare_from"] = ["The two periods must not have a day in common."]
    elif compare_with is not None:
        if question.group is None:
            found["compare"] = ["Give group too: whose values these are."]
        elif compare_with[0] == compare_with[1] or not all(
            re.fullmatch(VALUE, value) for value in compare_with
        ):
            found["compare"] = ["Give two different values of the group, such as TZ,KE."]
    if found:
        raise ValidationFailed(fields=found)


def check_size(step: Step, points: int, groups: int) -> None:
    """Refuse a series with more numbers than anybody reads.

    :param points: how many points it has
    :param groups: how many groups each of them has
    :raises ValidationFailed: when it has too many
    """
    if points * groups > MAX_GROUPS_OF_POINTS:
        told = (
            f"These are {points} points of {groups} groups each, and at most "
            f"{MAX_GROUPS_OF_POINTS} together are given. Choose a longer step than a {step}, or a "
            "shorter period."
        )
        raise ValidationFailed(fields={"step": [told]})


def _period_problems(period: Period, today: date, first: str, last: str) -> dict[str, list[str]]:
    if period.since > period.until:
        return {first: [f"It must not be after {last!r}."]}
    if period.until > today:
        return {last: [f"It must not be after today, which is {today} where the site is."]}
    if period.days > MAX_DAYS:
        return {first: [f"A report is about {MAX_DAYS} days at most."]}
    return {}


def _dimension_problems(question: Question) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    where = question.where
    if where is not None:
        if where[0] not in COMMON:
            found["where"] = [f"A report can be filtered by {', '.join(COMMON)}."]
        elif not re.fullmatch(VALUE, where[1]):
            found[where[0]] = ["Letters, digits, hyphens, dots and underscores; at most 35."]
    if question.group is not None:
        if question.group not in DIMENSIONS:
            found["group"] = [f"A report can be grouped by {', '.join(DIMENSIONS)}."]
        elif where is not None and where[0] == question.group:
            found["group"] = ["It is filtered by this already. Group by another."]
        elif where is not None and question.group in OF_CHOICES:
            found["group"] = [f"A filtered report can be grouped by {', '.join(COMMON)}."]
    return found
