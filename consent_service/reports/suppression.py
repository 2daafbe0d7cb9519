"""Which groups are too small to be shown, and which more, so that those cannot be computed. Pure.

Groups are cells of tables whose sums are published too: of all visitors, of a period's steps, of
the other dimension. What is hidden depends on the table alone and not on which part of it a report
shows, so that no two reports over one period differ in it. For each small number that is hidden
there is another table with the same published numbers in which it is another one:

- in a line of cells with a published sum the hidden ones are together as many people as a group
  that is shown, so a small one is never alone (:func:`hidden_of_line`);
- in a table of two dimensions it stands in a rectangle of hidden cells, within which people can be
  moved without a sum's noticing (:func:`hidden_of_pairs`).

The problem, and why lines alone are not enough: D. Gusfield, "A graph theoretic approach to
statistical data security", SIAM Journal on Computing 17 (1988).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import product
from typing import TypeVar

from consent_service.reports.counting import Counts

#: What a tenant may choose, and what holds until then.
SMALLEST, LARGEST, DEFAULT = 5, 1000, 10

#: Measures that number the people of a group; what rates are over.
PEOPLE = ("shown", "answers", "choices")

Name = TypeVar("Name")
Pair = tuple[str, str]

_NOBODY: Counts = {}


def is_small(counts: Counts, smallest: int) -> bool:
    """Say whether somebody is in a group, and fewer people than may be shown.

    By impressions, by answers or by choices: each is what a rate is over, so a thousand who were
    shown a banner do not hide the three who answered it. Nobody is no group. How many of enough
    people granted a purpose is not the size of a group, however few they are.
    """
    return any(0 < counts.get(measure, 0) < smallest for measure in PEOPLE)


def hidden_of_line(
    cells: Mapping[Name, Counts], smallest: int, hidden: Collection[Name] = ()
) -> frozenset[Name]:
    """Return which cells of a line to hide; the sum of all is published.

    :param hidden: cells that are hidden whatever they are
    """
    return hidden_of_lines([cells], smallest, hidden)


def hidden_of_lines(
    lines: Sequence[Mapping[Name, Counts]], smallest: int, hidden: Collection[Name] = ()
) -> frozenset[Name]:
    """Return which cells to hide in all of several lines alike, such as a period's steps."""
    sizes: dict[Name, int] = {}
    found = set(hidden)
    for line in lines:
        for name, counts in line.items():
            sizes[name] = sizes.get(name, 0) + _size(counts)
            if is_small(counts, smallest):
                found.add(name)
    if not found:
        return frozenset()
    # Of those that could be hidden too, the fewest people.
    others = sorted((size, str(name), name) for name, size in sizes.items() if size)
    for line in lines:
        more = (
            name for _, _, name in others if name not in found and _size(line.get(name, _NOBODY))
        )
        together = Counter[str]()
        _add(together, *(line[name] for name in found if name in line))
        # Hidden ones must not be a small group together either.
        while is_small(together, smallest):
            name = next(more)
            found.add(name)
            _add(together, line[name])
    return frozenset(found)


def hidden_of_pairs(
    cells: Mapping[Pair, Counts],
    rows: Collection[str],
    columns: Collection[str],
    smallest: int,
) -> frozenset[Pair]:
    """Return which cells of a table of two dimensions to hide.

    :param cells: those that are not empty
    :param rows: hidden values of the first dimension, whose whole rows are hidden
    :param columns: the same of the second
    """
    firsts = sorted({first for first, _ in cells} | set(rows))
    seconds = sorted({second for _, second in cells} | set(columns))
    hidden = {pair for pair, counts in cells.items() if is_small(counts, smallest)}
    hidden |= set(product(rows, seconds)) | set(product(firsts, columns))
    lines: list[dict[Pair, Counts]] = [
        {(first, second): cells.get((first, second), _NOBODY) for second in seconds}
        for first in firsts
        if first not in rows
    ]
    lines += [
        {(first, second): cells.get((first, second), _NOBODY) for first in firsts}
        for second in seconds
        if second not in columns
    ]
    before = -1
    while before != len(hidden):
        before = len(hidden)
        for line in lines:
            hidden |= hidden_of_line(line, smallest, hidden & line.keys())
        for first, second in sorted(hidden):
            if first in rows or second in columns:
                # A person can be moved to another hidden value.
                continue
            for measure in PEOPLE:
                if 0 < cells.get((first, second), _NOBODY).get(measure, 0) < smallest:
                    hidden |= _rectangle(cells, (first, second), measure, hidden, firsts, seconds)
    return frozenset(hidden)


def _rectangle(  # noqa: PLR0913 - the table, and where in it
    cells: Mapping[Pair, Counts],
    pair: Pair,
    measure: str,
    hidden: Collection[Pair],
    firsts: Iterable[str],
    seconds: Iterable[str],
) -> set[Pair]:
    """Return cells that let one be larger while all sums stay: the cheapest such rectangle."""
    first, second = pair

    def some(*at: str) -> bool:
        return cells.get((at[0], at[1]), _NOBODY).get(measure, 0) > 0

    def cost(corners: Iterable[Pair]) -> int:
        # A cell more is worse than how many people are in it.
        return sum(
            1 + _size(cells.get(corner, _NOBODY)) for corner in corners if corner not in hidden
        )

    beside = [other for other in seconds if other != second and some(first, other)]
    below = [other for other in firsts if other != first and some(other, second)]
    return set(
        min(
            (((first, right), (low, second), (low, right)) for low in below for right in beside),
            key=cost,
        )
    )


def shows_purpose(
    purpose: str, lines: Iterable[tuple[Iterable[Counts], Iterable[Counts]]], smallest: int
) -> bool:
    """Say whether the numbers of a purpose may be shown in tables, as far as they are shown.

    A purpose that only some notice versions ask about tells the versions apart: those who were
    asked, and those who were not, are groups of their own.

    :param lines: the shown cells and the hidden ones of each line
    """
    asked = f"asked.{purpose}"
    for shown, hidden in lines:
        for counts in shown:
            number = counts.get(asked, 0)
            if 0 < number < smallest or 0 < counts.get("answers", 0) - number < smallest:
                return False
        of_hidden = [counts for counts in hidden if counts.get("answers", 0)]
        some = [counts[asked] for counts in of_hidden if counts.get(asked, 0)]
        if some and (sum(some) < smallest or len(some) == 1 < len(of_hidden)):
            return False
    return True


def _add(together: Counter[str], *cells: Counts) -> None:
    """Add the people of cells."""
    for counts in cells:
        for measure in PEOPLE:
            together[measure] += counts.get(measure, 0)


def _size(counts: Counts) -> int:
    return max(counts.get(measure, 0) for measure in PEOPLE)
