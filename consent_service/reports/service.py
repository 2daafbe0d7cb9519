"""Answer questions about a site's rates, from its rollups alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
from sqlalchemy import Connection, insert, select, update

from consent_service import clock
from consent_service.access import audit
from consent_service.access.actor import Actor
from consent_service.db import Database
from consent_service.errors import ValidationFailed
from consent_service.reports.answer import Answer, Steps, Tables
from consent_service.reports.counting import cell_name
from consent_service.reports.models import ReportSettingsRow, RollupRow, RollupStateRow
from consent_service.reports.periods import Period, steps_of
from consent_service.reports.questions import Compared, check, check_size
from consent_service.reports.rates import compared, rates_of
from consent_service.reports.report import Comparison, Group, Point, Question, Rate, Report, Step
from consent_service.reports.rollups import MARK
from consent_service.reports.suppression import DEFAULT, LARGEST, SMALLEST
from consent_service.tenants.service import Site

#: Days of a report that is asked for without saying.
USUAL_DAYS = 30

_rollups = RollupRow.__table__.c
_states = RollupStateRow.__table__.c
_settings = ReportSettingsRow.__table__.c


def ask(
    database: Database, site: Site, question: Question, *, compare_with: Compared | None = None
) -> Report:
    """Answer a question about a site.

    :param compare_with: the period to compare the question's with, or two values of its group to
        compare with each other: the second one against the first
    :raises ValidationFailed: when the question is not well put; ``fields`` are named as the API's
        parameters are
    """
    period = Period(question.since, question.until)
    with database.reading(site.tenant_id) as connection:
        state = connection.execute(
            select(_states.time_zone, _states.counted_at).where(
                _states.tenant_id == site.tenant_id, _states.site_id == site.id
            )
        ).one_or_none()
        recounting = state is not None and state.time_zone.startswith(MARK)
        time_zone = state.time_zone if state and not recounting else site.time_zone
        # While rollups are made anew for another time zone, its days are asked about already.
        check(question, compare_with, max(_today(time_zone), today(site)))
        smallest = _smallest_group(connection, site.tenant_id)
        tables = _tables(connection, site, question, period, question.step)
        other = (
            _tables(connection, site, question, compare_with, None)
            if isinstance(compare_with, Period)
            else None
        )
    if question.step and question.group:
        values = {value for step in tables.by[question.group] for value in step}
        check_size(question.step, len(tables.steps), len(values))
    found = Answer(tables, smallest)
    total, groups = found.total, found.groups
    # What is hidden, or not there, is compared as what there is no data of.
    nothing = rates_of({}, found.purposes)
    comparisons: list[Comparison] = []
    if other is not None:
        before = Answer(other, smallest).total.rates or nothing
        comparisons += compared(before, total.rates or nothing, str(compare_with), str(period))
    elif compare_with is not None:
        rates = {group.value: group.rates or nothing for group in groups}
        left, right = map(str, compare_with)
        comparisons += compared(rates.get(left, nothing), rates.get(right, nothing), left, right)
    return Report(
        question=question,
        purposes=found.purposes,
        time_zone=time_zone,
        smallest_group=smallest,
        total=total,
        groups=groups,
        points=found.points,
        comparisons=comparisons,
        counted_at=state.counted_at if state else None,
        recounting=recounting,
    )


def period_of(site: Site, since: date | None, until: date | None) -> Period:
    """Return the period of a question that may leave its ends out: the last 30 days."""
    until = until or today(site)
    return Period(since or until - timedelta(days=min(USUAL_DAYS, until.toordinal()) - 1), until)


def today(site: Site) -> date:
    """Return the day that it is where the site is."""
    return _today(site.time_zone)


def _today(time_zone: str) -> date:
    return clock.now().astimezone(ZoneInfo(time_zone)).date()


def smallest_group(database: Database, tenant_id: UUID) -> int:
    """Return how many people a group of a tenant's reports must have to be shown."""
    with database.reading(tenant_id) as connection:
        return _smallest_group(connection, tenant_id)


def set_smallest_group(database: Database, tenant_id: UUID, number: int, *, by: Actor) -> None:
    """Say how many people a group must have to be shown. The same number again is no change.

    :raises ValidationFailed: when it is not 5 to 1,000
    """
    if not SMALLEST <= number <= LARGEST:
        raise ValidationFailed(
            fields={"smallest_group": [f"Give a number from {SMALLEST} to {LARGEST}."]}
        )
    with database.transaction(tenant_id) as connection:
        known = connection.execute(
            select(_settings.smallest_group)
            .where(_settings.tenant_id == tenant_id)
            .with_for_update()
        ).scalar_one_or_none()
        before = DEFAULT if known is None else known
        if number == before:
            return
        if known is None:
            row = {"tenant_id": tenant_id, "smallest_group": number}
            connection.execute(insert(ReportSettingsRow).values(row))
        else:
            connection.execute(
                update(ReportSettingsRow)
                .where(_settings.tenant_id == tenant_id)
                .values(smallest_group=number)
            )
        audit.write(
            connection,
            tenant_id,
            by,
            "report_settings.updated",
            "report_settings",
            "smallest_group",
            before={"smallest_group": before},
            after={"smallest_group": number},
        )


def _smallest_group(connection: Connection, tenant_id: UUID) -> int:
    found = connection.execute(
        select(_settings.smallest_group).where(_settings.tenant_id == tenant_id)
    ).scalar_one_or_none()
    return DEFAULT if found is None else found


def shown(report: Report) -> dict[str, Any]:
    """Return a report as JSON values. What is hidden has no numbers."""
    question = report.question
    return {
        "site": question.site_key,
        "from": question.since.isoformat(),
        "to": question.until.isoformat(),
        "where": {question.where[0]: question.where[1]} if question.where else {},
        "group": question.group,
        "step": question.step,
        "time_zone": report.time_zone,
        "counted_at": clock.rfc3339(report.counted_at) if report.counted_at else None,
        "recounting": report.recounting,
        "smallest_group": report.smallest_group,
        "purposes": list(report.purposes),
        "total": _shown_group(report.total),
        "groups": [_shown_group(group) for group in report.groups],
        "points": [
            {
                "from": point.since.isoformat(),
                "to": point.until.isoformat(),
                "total": _shown_group(point.total),
                "groups": [_shown_group(group) for group in point.groups],
            }
            for point in report.points
        ],
        "comparisons": [dict(vars(each)) for each in report.comparisons],
    }


def _shown_group(group: Group) -> dict[str, Any]:
    if group.hidden:
        return {"value": group.value, "hidden": True}
    return {
        "value": group.value,
        "hidden": False,
        "counts": dict(sorted(group.counts.items())),
        "rates": [dict(vars(rate)) for rate in group.rates],
        "median_seconds": group.median_seconds,
    }


def rows(report: Report) -> Iterator[Mapping[str, str | int | float | None]]:
    """Give the numbers of a report as rows of one table, for files.

    First those of the whole period, all together and then by group; then the same of each step. A
    row is one rate; where a group is hidden it is there, without numbers.
    """
    question = report.question
    named, value = question.where or (None, None)
    whole = Point(question.since, question.until, report.total, report.groups)
    without_numbers = rates_of({}, report.purposes)
    for length, points in ((None, [whole]), (question.step, report.points)):
        for point in points:
            for group in (point.total, *point.groups):
                about = {
                    "site": question.site_key,
                    "since": point.since.isoformat(),
                    "until": point.until.isoformat(),
                    "step": length,
                    "filter": named,
                    "filter_value": value,
                    "group": None if group.value is None else question.group,
                    "group_value": group.value,
                }
                for rate in without_numbers if group.hidden else group.rates:
                    yield {**about, **_row(rate, hidden=group.hidden)}


def _row(rate: Rate, *, hidden: bool) -> dict[str, str | int | float | None]:
    return {
        "rate": rate.name,
        "purpose": rate.purpose,
        "numerator": None if hidden else rate.numerator,
        "denominator": None if hidden else rate.denominator,
        "value": rate.value,
        "low": rate.low,
        "high": rate.high,
        "reason": None if hidden else rate.reason,
        "hidden": hidden,
    }


def _tables(
    connection: Connection, site: Site, question: Question, period: Period, step: Step | None
) -> Tables:
    """Read what a report is made of: totals, the dimensions that it is about, and both together."""
    steps = steps_of(period, step)
    step_of = {
        date.fromordinal(day): number
        for number, (since, until) in enumerate(steps)
        for day in range(since.toordinal(), until.toordinal() + 1)
    }

    def read(*names: str) -> Steps:
        query = select(_rollups.day, _rollups.value, _rollups.counts).where(
            _rollups.tenant_id == site.tenant_id,
            _rollups.site_id == site.id,
            _rollups.dimensions == cell_name(*names),
            _rollups.day.between(period.since, period.until),
        )
        texts: list[dict[str, list[str]]] = [{} for _ in steps]
        for day, value, counts in connection.execute(query).all():
            texts[step_of[day]].setdefault(value, []).append(counts)
        return [{value: _added(each) for value, each in of_step.items()} for of_step in texts]

    names = [question.where[0]] if question.where else []
    names += [question.group] if question.group else []
    return Tables(
        question,
        steps,
        step is not None,
        read(),
        {name: read(name) for name in names},
        read(*names) if question.where and question.group else [],
    )


def _added(texts: Sequence[str]) -> dict[str, int]:
    """Add up counts as rollups have them."""
    alike: dict[tuple[str, ...], list[Iterable[int]]] = {}
    for counts in orjson.loads(f"[{','.join(texts)}]"):
        alike.setdefault(tuple(counts), []).append(counts.values())
    added: dict[str, int] = {}
    # Most days have the same measures, and a column of numbers is added up faster than one by one.
    for measures, numbers in alike.items():
        for measure, column in zip(measures, zip(*numbers, strict=True), strict=True):
            added[measure] = added.get(measure, 0) + sum(column)
    return added
