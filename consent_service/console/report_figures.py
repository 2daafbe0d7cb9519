"""A report as charts: each with a sentence, a table and a file that say the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask_babel import gettext as _
from flask_babel import ngettext

from consent_service.console.i18n import language
from consent_service.console.report_subject import Subject, Told
from consent_service.console.report_words import (
    DASH,
    dimension_in_text,
    dimension_name,
    few,
    interval,
    number,
    out_of,
    rate_value,
    share,
    step_name,
)
from consent_service.formats import Column
from consent_service.reports.report import Group, Point, Rate, Report

#: Lines that can be told apart in one chart, and bars that fit on a page.
MOST_LINES, MOST_BARS = 5, 15

#: Columns of a file.
_RATE = (
    Column("numerator", "integer"),
    Column("denominator", "integer"),
    Column("rate", "number"),
    Column("low", "number"),
    Column("high", "number"),
    Column("reason"),
)
_DAYS = (Column("since", "day"), Column("until", "day"))


@dataclass(frozen=True)
class Figure:
    """A chart, and all that stands beside it."""

    #: Names it in addresses and files.
    key: str
    title: str
    #: What it shows, in a sentence.
    says: str
    columns: Sequence[str]
    #: The head of each row, and its cells.
    rows: Sequence[tuple[str, Sequence[Told]]]
    #: What the script is told that draws it.
    drawn: Mapping[str, Any]
    #: The numbers as they are, for a file, and its columns.
    numbers: Sequence[Mapping[str, Any]]
    file: Sequence[Column]
    #: What is left out of the chart, if anything.
    note: str = ""


def over_time(subject: Subject) -> Figure:
    """Return the rate over time, of all or of the largest groups."""
    report = subject.report
    lines = [each for each in subject.biggest() if _is_drawn(subject, each)][:MOST_LINES]
    labels = [_step(report, point) for point in report.points]
    columns = [(_line_name(subject, line), line) for line in lines or [report.total]]
    told = {
        name: [subject.told(_at(point, line)) for point in report.points] for name, line in columns
    }
    return Figure(
        key="over-time",
        title=_("%(rate)s over time", rate=subject.name),
        says=_over_time_says(subject, lines),
        columns=[_("Days"), *told],
        rows=[(label, [told[name][at] for name in told]) for at, label in enumerate(labels)],
        drawn=_drawn(
            subject,
            "line",
            _("%(rate)s over time", rate=subject.name),
            labels,
            [
                _series(name, (subject.of(_at(point, line)) for point in report.points), told[name])
                for name, line in columns
            ],
        ),
        numbers=[
            {
                "since": point.since,
                "until": point.until,
                "group": line.value or "",
                **_numbers(subject, _at(point, line)),
            }
            for point in report.points
            for _name, line in columns
        ],
        file=(*_DAYS, Column("group"), *_RATE),
        note=" ".join(
            filter(None, (_largest_only(len(lines), len(report.groups)), _gaps(subject, lines)))
        ),
    )


def breakdown(subject: Subject) -> Figure:
    """Return the rate of each group."""
    report = subject.report
    shown = subject.biggest()
    bars = shown[:MOST_BARS]
    hidden = [group for group in report.groups if group not in shown]
    groups = [*shown, *hidden]
    title = _(
        "%(rate)s by %(dimension)s",
        rate=subject.name,
        dimension=dimension_in_text(report.question.group or ""),
    )
    rates = [subject.of(group) for group in bars]
    return Figure(
        key="breakdown",
        title=title,
        says=_breakdown_says(subject, shown),
        columns=[dimension_name(report.question.group or ""), _("Rate"), _("Interval"), _("Of")],
        rows=[(subject.called(group), _row(subject, group)) for group in groups],
        drawn=_drawn(
            subject,
            "bars",
            title,
            [subject.called(group) for group in bars],
            [
                _series(subject.name, rates, [subject.told(group) for group in bars])
                | {"ends": [rate_value(rate) if rate else "" for rate in rates]}
            ],
        ),
        numbers=[{"group": group.value or "", **_numbers(subject, group)} for group in groups],
        file=(Column("group"), *_RATE),
        note=_largest_only(len(bars), len(shown)),
    )


def funnel(subject: Subject) -> Figure:
    """Return how many were shown the banner, answered, and granted something."""
    report = subject.report
    counts = report.total.counts
    shown = counts.get("shown", 0)
    steps = [
        (_("Shown the banner"), "shown"),
        (_("Answered"), "answers"),
        (_("Granted anything"), "granted_any"),
        *(
            (_("Granted: %(purpose)s", purpose=subject.purposes.get(key, key)), f"granted.{key}")
            for key in report.purposes
        ),
    ]
    reached = [(name, measure, counts.get(measure, 0)) for name, measure in steps]
    shares = [_share_of(reach, shown) for _name, _measure, reach in reached]
    told = [
        f"{number(reach)} · {share(of)}" if of is not None else number(reach)
        for (_name, _measure, reach), of in zip(reached, shares, strict=True)
    ]
    title = _("From banner to choice")
    return Figure(
        key="funnel",
        title=title,
        says=_(
            "Of %(shown)s who were shown the banner, %(answers)s answered it and %(granted)s "
            "granted at least one purpose.",
            **{
                name: number(counts.get(measure, 0))
                for name, measure in (
                    ("shown", "shown"),
                    ("answers", "answers"),
                    ("granted", "granted_any"),
                )
            },
        ),
        columns=[_("Step"), _("Visitors"), _("Of those shown the banner")],
        rows=[
            (name, [Told(number(reach)), Told(_("No data") if of is None else share(of))])
            for (name, _measure, reach), of in zip(reached, shares, strict=True)
        ],
        drawn=_drawn(
            subject,
            "funnel",
            title,
            [name for name, _measure, _reach in reached],
            [
                {
                    "label": title,
                    "values": [reach for _name, _measure, reach in reached],
                    "low": [None] * len(reached),
                    "high": [None] * len(reached),
                    "texts": told,
                    "ends": told,
                }
            ],
        ),
        numbers=[
            {"step": measure, "visitors": reach, "of_shown": of}
            for (_name, measure, reach), of in zip(reached, shares, strict=True)
        ],
        file=(Column("step"), Column("visitors", "integer"), Column("of_shown", "number")),
        note=_(
            "More answers than banners shown were counted: something hides from us that the "
            "banner was shown, as blockers do."
        )
        if counts.get("answers", 0) > shown
        else "",
    )


def _is_drawn(subject: Subject, line: Group) -> bool:
    """Say whether a line has a point that is not hidden."""
    found = (subject.of(_at(point, line)) for point in subject.report.points)
    return any(rate and rate.value is not None for rate in found)


def _gaps(subject: Subject, lines: Sequence[Group]) -> str:
    """Say why lines have gaps, where small numbers make them."""
    report = subject.report
    found = (_at(point, line) for point in report.points for line in lines or [report.total])
    hidden = any(group is not None and group.hidden for group in found)
    return str(_("Gaps are days of %(few)s.", few=few(report))) if hidden else ""


def _at(point: Point, line: Group) -> Group | None:
    """Return what a line has at a point."""
    if line.value is None:
        return point.total
    return next((group for group in point.groups if group.value == line.value), None)


def _step(report: Report, point: Point) -> str:
    return step_name(point, report.question.step or "day")


def _line_name(subject: Subject, line: Group) -> str:
    return subject.called(line) if line.value is not None else subject.name


def _row(subject: Subject, group: Group) -> list[Told]:
    rate = subject.of(group)
    if rate is None:
        return [subject.told(group), Told(DASH), Told(DASH)]
    return [Told(rate_value(rate)), Told(interval(rate) or DASH), Told(out_of(rate))]


def _largest_only(shown: int, known: int) -> str:
    if shown >= known:
        return ""
    text: str = ngettext(
        "The chart has the %(num)s largest group of %(known)s.",
        "The chart has the %(num)s largest of %(known)s groups.",
        shown,
        known=number(known),
    )
    return text


def _over_time_says(subject: Subject, lines: Sequence[Group]) -> str:
    overall = "; ".join(
        f"{_line_name(subject, line)} {subject.told(line).text}"
        for line in lines or [subject.report.total]
    )
    known = [
        (rate.value, _step(subject.report, point))
        for point in subject.report.points
        if (rate := subject.of(point.total)) and rate.value is not None
    ]
    whole: str = _("Over the whole period: %(rates)s.", rates=overall)
    if lines or not known:
        return whole
    low, high = min(known), max(known)
    ends: str = _(
        "Lowest %(low)s (%(low_days)s), highest %(high)s (%(high_days)s).",
        low=share(low[0]),
        low_days=low[1],
        high=share(high[0]),
        high_days=high[1],
    )
    return f"{whole} {ends}"


def _breakdown_says(subject: Subject, shown: Sequence[Group]) -> str:
    known = [
        (rate.value, subject.called(group))
        for group in shown
        if (rate := subject.of(group)) and rate.value is not None
    ]
    if not known:
        return str(_("No group has enough people to be shown."))
    low, high = min(known), max(known)
    text: str = _(
        "Highest: %(high)s, %(high_rate)s. Lowest: %(low)s, %(low_rate)s.",
        high=high[1],
        high_rate=share(high[0]),
        low=low[1],
        low_rate=share(low[0]),
    )
    return text


def _share_of(part: int, whole: int) -> float | None:
    """Return a share; None where a blocker hid what it is a share of."""
    return part / whole if whole and part <= whole else None


def _drawn(
    subject: Subject, kind: str, title: str, labels: Sequence[str], series: Sequence[Any]
) -> dict[str, Any]:
    question = subject.report.question
    return {
        "kind": kind,
        "title": title,
        "subtitle": subject.where,
        "file": f"{kind}-{question.site_key}-{question.since}-{question.until}",
        "locale": language(),
        "shares": kind != "funnel",
        "labels": list(labels),
        "series": list(series),
    }


def _series(label: str, rates: Iterable[Rate | None], told: Sequence[Told]) -> dict[str, Any]:
    rates = list(rates)
    return {
        "label": label,
        "values": [rate.value if rate else None for rate in rates],
        "low": [rate.low if rate else None for rate in rates],
        "high": [rate.high if rate else None for rate in rates],
        "texts": [f"{cell.text} ({cell.small})" if cell.small else cell.text for cell in told],
    }


def _numbers(subject: Subject, group: Group | None) -> dict[str, Any]:
    names = [column.name for column in _RATE]
    if group is not None and group.hidden:
        return {**dict.fromkeys(names), "reason": f"fewer_than_{subject.report.smallest_group}"}
    rate = subject.of(group)
    if rate is None:
        return {**dict.fromkeys(names), "reason": "no_data"}
    values = (rate.numerator, rate.denominator, rate.value, rate.low, rate.high, rate.reason)
    return dict(zip(names, values, strict=True))
