"""Key figures, and what came of a comparison in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from flask_babel import format_decimal
from flask_babel import gettext as _

from consent_service.console.report_answer import Answer
from consent_service.console.report_subject import Subject, rate_of
from consent_service.console.report_words import (
    NUMBERS,
    RATES,
    days,
    interval,
    number,
    out_of,
    rate_name,
    rate_value,
    seconds,
    value_name,
)
from consent_service.console.sentences import N_
from consent_service.db import Database
from consent_service.reports.report import Comparison, Group
from consent_service.reports.service import ask
from consent_service.wiring import use


@dataclass(frozen=True)
class Tile:
    """A key figure."""

    name: str
    value: str
    #: Its interval, and what it was computed from.
    small: str
    meaning: str


@dataclass(frozen=True)
class Verdict:
    """A comparison in plain words."""

    #: What each side is called, and its rate.
    sides: Sequence[tuple[str, str]]
    word: str
    tone: str
    says: str


def verdict(answer: Answer) -> Verdict | None:
    """Say what came of a comparison of the rate that is looked at."""
    subject = answer.subject
    found = next(
        (
            each
            for each in answer.report.comparisons
            if (each.rate, each.purpose) == (subject.rate, subject.purpose)
        ),
        None,
    )
    if found is None:
        return None
    word, tone = {
        "higher": (_("Higher"), "info"),
        "lower": (_("Lower"), "info"),
        "perhaps_chance": (_("No clear difference"), ""),
        "too_few": (_("Too few to say"), "warn"),
    }[found.verdict]
    sides = _sides(answer, found)
    return Verdict(sides, word, tone, _said(found, sides[1][0]))


def _sides(answer: Answer, found: Comparison) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return what the two sides are called, and their rates."""
    subject, report = answer.subject, answer.report
    if answer.asked.compare == "groups":
        by_value = {group.value: group for group in report.groups}
        left, right = (
            (
                value_name(report.question.group or "", value),
                _in_words(subject, by_value.get(value)),
            )
            for value in (found.left, found.right)
        )
        return left, right
    since, until = answer.asked.before
    question = replace(report.question, since=since, until=until, group=None, step=None)
    earlier = ask(use(Database), answer.site, question).total
    return (
        (days(since, until), _in_words(subject, earlier)),
        (subject.period, _in_words(subject, report.total)),
    )


def _in_words(subject: Subject, group: Group | None) -> str:
    """Return a rate with what it was computed from."""
    text, small = subject.told(group)
    return f"{text} ({small})" if small else text


def _said(found: Comparison, right: str) -> str:
    """Write what a verdict means."""
    if found.verdict == "too_few" or found.difference is None:
        return str(_("There are too few people on one of the sides to say whether they differ."))
    text = {
        "higher": N_(
            "%(side)s is %(points)s percentage points higher, which is unlikely to be chance."
        ),
        "lower": N_(
            "%(side)s is %(points)s percentage points lower, which is unlikely to be chance."
        ),
        "perhaps_chance": N_(
            "They are %(points)s percentage points apart, which may well be chance."
        ),
    }[found.verdict]
    points = format_decimal(abs(round(100 * found.difference, 1)))
    return str(_(text, side=right, points=points))


def tiles(answer: Answer) -> list[Tile]:
    """Return the key figures."""
    report = answer.report
    if report.total.hidden:
        return []
    counts = report.total.counts
    return [
        _count("shown", counts),
        _count("answers", counts),
        *(_rate_tile(answer, "opt_in", purpose) for purpose in report.purposes),
        _rate_tile(answer, "interaction"),
        _tile("median", seconds(report.total.median_seconds)),
        _rate_tile(answer, "gpc"),
        _count("bots", counts),
    ]


def _count(key: str, counts: Mapping[str, int]) -> Tile:
    return _tile(key, number(counts.get(key, 0)))


def _tile(key: str, value: str) -> Tile:
    words = NUMBERS[key]
    return Tile(_(words.name), value, "", _(words.meaning))


def _rate_tile(answer: Answer, name: str, purpose: str | None = None) -> Tile:
    rate = rate_of(answer.report.total, name, purpose)
    title = rate_name(name, purpose, answer.purposes)
    if rate is None or rate.value is None:
        return Tile(title, rate_value(rate) if rate else _("No data"), "", _(RATES[name].meaning))
    small = f"{interval(rate)}, {out_of(rate)}"
    return Tile(title, rate_value(rate), small, _(RATES[name].meaning))
