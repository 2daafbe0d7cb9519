"""From the counts of a period to a report, with small groups hidden. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from consent_service.reports.counting import DIMENSIONS, OF_CHOICES, Counts
from consent_service.reports.periods import Period
from consent_service.reports.rates import median_seconds, rates_of
from consent_service.reports.report import Group, Point, Question
from consent_service.reports.suppression import (
    hidden_of_line,
    hidden_of_lines,
    hidden_of_pairs,
    is_small,
    shows_purpose,
)

#: Counts by value (of two dimensions: with a comma between), of each step of a period.
Steps = list[dict[str, dict[str, int]]]

_Cell = TypeVar("_Cell")


@dataclass(frozen=True)
class Tables:
    """The counts that a report is made of, and that it must be held against."""

    question: Question
    #: What the period is cut into; without a step it is whole.
    steps: Sequence[Period]
    #: Whether there is to be a series.
    stepped: bool
    all: Steps
    #: Of the dimension that is filtered by and of the one that is grouped by.
    by: Mapping[str, Steps]
    #: Of both together, where there are both.
    pairs: Steps = field(default_factory=list)


class Answer:
    """Groups with their rates, as far as they may be shown."""

    def __init__(self, tables: Tables, smallest: int) -> None:
        """Find out what is to be hidden, and put the rest together."""
        self._tables = tables
        self._names = sorted(tables.by, key=DIMENSIONS.index)
        self._smallest = smallest
        self._all = _whole(tables.all).get("", {})
        self._steps = [step.get("", {}) for step in tables.all]
        self._by = {name: _whole(line) for name, line in tables.by.items()}
        self._nothing = is_small(self._all, smallest)
        #: What is hidden of the whole period, and of the series.
        self._hidden: dict[str, frozenset[str]] = {}
        self._hidden_steps: frozenset[int] = frozenset()
        self._hidden_in_steps: dict[str, frozenset[str]] = {}
        self._pairs: dict[tuple[str, str], dict[str, int]] = {}
        self._hidden_pairs: frozenset[tuple[str, str]] = frozenset()
        self._pairs_in_steps = False
        if not self._nothing:
            self._hide()
        self.purposes = self._shown_purposes()
        asked = {measure.partition(".")[2] for measure in self._all if measure[:6] == "asked."}
        self._dropped = tuple(f".{key}" for key in asked - set(self.purposes))
        self.total = self._total()
        self.groups = self._groups(self.total)
        self.points = (
            [self._point(number) for number in range(len(tables.steps))] if (tables.stepped) else []
        )

    def _hide(self) -> None:
        tables, smallest = self._tables, self._smallest
        self._hidden = {name: hidden_of_line(by, smallest) for name, by in self._by.items()}
        if tables.pairs:
            first, second = self._names
            self._pairs = {_pair(value): counts for value, counts in _whole(tables.pairs).items()}
            self._hidden_pairs = hidden_of_pairs(
                self._pairs, self._hidden[first], self._hidden[second], smallest
            )
        if not tables.stepped:
            return
        self._hidden_steps = hidden_of_line(dict(enumerate(self._steps)), smallest)
        self._hidden_in_steps = {
            name: hidden_of_lines(self._told_apart(line), smallest, self._hidden[name])
            for name, line in tables.by.items()
        }
        # A table of three dimensions is shown only where nothing in it needs hiding.
        self._pairs_in_steps = not (
            self._hidden_pairs
            or any(self._hidden_in_steps.values())
            or any(
                is_small(counts, smallest)
                for step in self._told_apart(tables.pairs)
                for counts in step.values()
            )
        )

    def _told_apart(self, line: Steps) -> Steps:
        """Return the steps that are shown, and those that are hidden as one.

        That one's numbers are the whole period's less the others.
        """
        shown, hidden = _split(dict(enumerate(line)), self._hidden_steps)
        return [*shown, _whole(hidden)] if hidden else shown

    def _shown_purposes(self) -> list[str]:
        if self._nothing:
            return []
        asked = sorted(
            measure.removeprefix("asked.") for measure in self._all if measure[:6] == "asked."
        )
        everywhere = self._all.get("answers", 0)
        lines = list(self._lines())
        return [
            key
            for key in asked
            # Whoever answered was asked: it tells nobody apart.
            if self._all[f"asked.{key}"] == everywhere or shows_purpose(key, lines, self._smallest)
        ]

    def _lines(self) -> Iterator[tuple[list[Counts], list[Counts]]]:
        """Give the shown and the hidden cells of each line with a published sum."""
        tables = self._tables
        yield [self._all], []
        yield _split(dict(enumerate(self._steps)), self._hidden_steps)
        for name, by in self._by.items():
            yield _split(by, self._hidden[name])
            if tables.stepped:
                for step in self._told_apart(tables.by[name]):
                    yield _split(step, self._hidden_in_steps[name])
        for position, name in enumerate(self._names):
            for value in self._by[name].keys() - self._hidden[name] if self._pairs else ():
                across = {
                    pair: cell for pair, cell in self._pairs.items() if pair[position] == value
                }
                yield _split(across, self._hidden_pairs)
        if self._pairs_in_steps:
            for step in self._told_apart(tables.pairs):
                yield list(step.values()), []

    def _total(self) -> Group:
        where = self._tables.question.where
        if where is None:
            return self._group(None, self._all, hidden=self._nothing)
        name, value = where
        hidden = self._nothing or value in self._hidden[name]
        return self._group(None, self._by[name].get(value, {}), hidden=hidden)

    def _groups(self, total: Group) -> list[Group]:
        question = self._tables.question
        if question.group is None or total.hidden:
            return []
        by, hidden = self._by[question.group], self._hidden[question.group]
        if question.where is None:
            found = [self._group(value, by[value], hidden=value in hidden) for value in by]
        else:
            found = []
            for value in by:
                pair = self._pair_of(question.where, value)
                if pair in self._pairs or pair in self._hidden_pairs:
                    counts = self._pairs.get(pair, {})
                    found.append(self._group(value, counts, hidden=pair in self._hidden_pairs))
        return sorted(found, key=_place)

    def _point(self, number: int) -> Point:
        since, until = self._tables.steps[number]
        question = self._tables.question
        hidden = self.total.hidden or number in self._hidden_steps
        counts = self._steps[number]
        if question.where is not None:
            name, value = question.where
            hidden = hidden or value in self._hidden_in_steps[name]
            counts = self._tables.by[name][number].get(value, {})
        total = self._group(None, counts, hidden=hidden)
        if hidden or question.group is None:
            return Point(since, until, total, [])
        values = [group.value for group in self.groups if group.value is not None]
        if question.where is None:
            unseen = self._hidden_in_steps[question.group]
            line = self._tables.by[question.group][number]
            found = [
                self._group(value, line.get(value, {}), hidden=value in unseen) for value in values
            ]
        else:
            pairs = self._tables.pairs[number]
            found = [
                self._group(
                    value,
                    pairs.get(",".join(self._pair_of(question.where, value)), {}),
                    hidden=not self._pairs_in_steps,
                )
                for value in values
            ]
        return Point(since, until, total, found)

    def _pair_of(self, where: tuple[str, str], value: str) -> tuple[str, str]:
        """Return the cell of the filter's value and one of the group's, in the table's order."""
        name, filtered = where
        return (filtered, value) if name == self._names[0] else (value, filtered)

    def _group(self, value: str | None, counts: Counts, *, hidden: bool) -> Group:
        if hidden:
            return Group(value, hidden=True, counts={}, rates=[], median_seconds=None)
        if self._dropped:
            counts = {
                name: number for name, number in counts.items() if not name.endswith(self._dropped)
            }
        of_choices = value is not None and self._tables.question.group in OF_CHOICES
        rates = rates_of(counts, self.purposes, impressions=not of_choices)
        return Group(value, False, counts, rates, median_seconds(counts))


def _sum(parts: Sequence[Counts]) -> dict[str, int]:
    if len(parts) == 1:
        return dict(parts[0])
    added: dict[str, int] = {}
    for counts in parts:
        for measure, number in counts.items():
            added[measure] = added.get(measure, 0) + number
    return added


def _whole(line: Steps) -> dict[str, dict[str, int]]:
    """Add up the steps."""
    if len(line) == 1:
        return line[0]
    parts: dict[str, list[dict[str, int]]] = {}
    for step in line:
        for value, counts in step.items():
            parts.setdefault(value, []).append(counts)
    return {value: _sum(each) for value, each in parts.items()}


def _pair(value: str) -> tuple[str, str]:
    first, _, second = value.partition(",")
    return first, second


def _split(line: Mapping[Any, _Cell], hidden: frozenset[Any]) -> tuple[list[_Cell], list[_Cell]]:
    """Return the shown cells of a line, and the hidden ones."""
    shown = [cell for name, cell in line.items() if name not in hidden]
    return shown, [cell for name, cell in line.items() if name in hidden]


def _place(group: Group) -> tuple[bool, int, str]:
    """Put the largest groups first, and hidden ones last, by name: their order tells nothing."""
    size = max(group.counts.get("shown", 0), group.counts.get("choices", 0))
    return group.hidden, -size, group.value or ""
