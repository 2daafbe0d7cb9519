"""Nothing that is hidden can be computed from what is shown."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import combinations, product

from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from consent_service.reports.answer import Answer, Steps, Tables
from consent_service.reports.counting import Cell, Counts, cell_name
from consent_service.reports.periods import Period, steps_of
from consent_service.reports.report import Group, Question, Step
from consent_service.reports.suppression import PEOPLE
from tests.reports.builders import SINCE, Crowd, tally

SMALLEST = 10
#: What the adversary's people differ in, and on which days they came.
VALUES = {
    "country": ("TZ", "KE", "UG"),
    "device_class": ("phone", "desktop"),
    "regime": ("opt_in", "notice"),
}
DAYS = (SINCE, SINCE + timedelta(1), SINCE + timedelta(2))
PERIOD = Period(DAYS[0], DAYS[-1])

#: A kind of people on a day: a value of each dimension.
Atom = tuple[date, str, str, str]
ATOMS: tuple[Atom, ...] = tuple(
    (day, *kind)  # type: ignore[misc]
    for day in DAYS
    for kind in product(*VALUES.values())
)

#: Larger than any determinant that could be a multiple of it by chance.
_PRIME = 2**61 - 1


@dataclass(frozen=True)
class Published:
    """A number that some report shows: of whom it is the sum, and how many there are."""

    atoms: frozenset[int]
    counts: Counts | None


def atoms_of(period: Period, values: dict[str, str]) -> frozenset[int]:
    """Return the kinds of people that a cell is of."""
    return frozenset(
        number
        for number, (day, *kind) in enumerate(ATOMS)
        if period.since <= day <= period.until
        and values.items() <= dict(zip(VALUES, kind, strict=True)).items()
    )


def tables_of(cells: dict[tuple[date, Cell], Counts], question: Question) -> Tables:
    """Return what is read for a question."""
    steps = steps_of(Period(question.since, question.until), question.step)

    def table(*names: str) -> Steps:
        found: Steps = [{} for _ in steps]
        for (day, (dimensions, value)), counts in cells.items():
            for step, line in zip(steps, found, strict=True):
                if dimensions == cell_name(*names) and step.since <= day <= step.until:
                    known = line.setdefault(value, {})
                    for measure, number in counts.items():
                        known[measure] = known.get(measure, 0) + number
        return found

    names = [*([question.where[0]] if question.where else []), *filter(None, [question.group])]
    return Tables(
        question,
        steps,
        question.step is not None,
        table(),
        {name: table(name) for name in names},
        table(*names) if len(names) > 1 else [],
    )


def questions(about: Collection[str] = tuple(VALUES)) -> Iterator[Question]:
    """Give every question about the period that names no other dimensions than these."""
    steps: tuple[Step | None, ...] = (None, "day")
    wheres = [None, *((name, value) for name, values in VALUES.items() for value in values)]
    for where, group, step in product(wheres, (None, *VALUES), steps):
        named = {name for name in (where and where[0], group) if name}
        if named <= set(about) and not (where and where[0] == group):
            yield Question("site_test", *PERIOD, where, group, step)


def published(
    cells: dict[tuple[date, Cell], Counts], about: Collection[str]
) -> Iterator[Published]:
    """Give what reports about these dimensions tell: numbers, and that a group is hidden."""
    for question in questions(about):
        answer = Answer(tables_of(cells, question), SMALLEST)
        where = dict([question.where]) if question.where else {}
        yield from told(PERIOD, where, question, answer.total, answer.groups)
        for point in answer.points:
            period = Period(point.since, point.until)
            yield from told(period, where, question, point.total, point.groups)


def told(
    period: Period, where: dict[str, str], question: Question, total: Group, groups: Sequence[Group]
) -> Iterator[Published]:
    """Give the numbers of a total and its groups; who is not among the groups is nobody."""
    yield Published(atoms_of(period, where), None if total.hidden else total.counts)
    if question.group is None or total.hidden:
        return
    named = {group.value: group for group in groups}
    for value in VALUES[question.group]:
        counts: Counts | None = {}
        if value in named:
            counts = None if named[value].hidden else named[value].counts
        yield Published(atoms_of(period, {**where, question.group: value}), counts)


class Adversary:
    """Knows all that is shown, that nobody is fewer than none, and linear algebra."""

    def __init__(self, known: Iterable[Published], measure: str) -> None:
        """Work out what follows."""
        shown = {
            each.atoms: each.counts.get(measure, 0) for each in known if each.counts is not None
        }
        self.nobody: set[int] = set()
        self.pivots: dict[int, list[int]] = {}
        while True:
            nobody = set(self.nobody)
            for atoms, number in shown.items():
                if number == 0:
                    nobody |= atoms
            for atoms, number in shown.items():
                # Where parts that have nobody in common are as many as the whole, nobody is left.
                seen, left = frozenset[int](), number
                for part in sorted((each for each in shown if each < atoms), key=len, reverse=True):
                    if shown[part] and not part & seen:
                        seen |= part
                        left -= shown[part]
                if left == 0:
                    nobody |= atoms - seen
            if nobody == self.nobody:
                break
            self.nobody = nobody
        for atoms in shown:
            self._learn(self._vector(atoms))

    def knows(self, atoms: frozenset[int]) -> bool:
        """Say whether the number of these people follows from what is shown."""
        return not any(self._reduced(self._vector(atoms)))

    def _vector(self, atoms: Iterable[int]) -> list[int]:
        return [int(number in atoms and number not in self.nobody) for number in range(len(ATOMS))]

    def _reduced(self, vector: list[int]) -> list[int]:
        for place, row in self.pivots.items():
            if factor := vector[place]:
                vector = [(a - factor * b) % _PRIME for a, b in zip(vector, row, strict=True)]
        return vector

    def _learn(self, vector: list[int]) -> None:
        vector = self._reduced(vector)
        place = next((number for number, value in enumerate(vector) if value), None)
        if place is None:
            return
        inverse = pow(vector[place], -1, _PRIME)
        self.pivots[place] = [value * inverse % _PRIME for value in vector]


@st.composite
def crowds(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Give how many people of each kind were shown a banner, and how many thirds answered.

    Some days, countries and so on have hardly anybody, as the long tail of a site has.
    """
    rare = {draw(st.sampled_from(names)) for names in (DAYS, *VALUES.values())}
    rare = {each for each in rare if draw(st.booleans())}
    few, many = st.sampled_from((0, 0, 1, 3)), st.sampled_from((0, 3, 9, 12, 60, 400))
    return [
        (draw(few if rare & set(atom) else many), draw(st.sampled_from((3, 3, 1, 0))))
        for atom in ATOMS
    ]


def cells_of_people(drawn: list[tuple[int, int]]) -> dict[tuple[date, Cell], Counts]:
    """Count people of each kind, of whom some answered, some of these with yes."""
    made = []
    for (day, country, device, regime), (shown, part) in zip(ATOMS, drawn, strict=True):
        answers = shown * part // 3
        crowd = Crowd(day, shown, answers, answers // 2)
        made.append(crowd.of(country=country, device_class=device, regime=regime))
    return dict(tally(made).cells())


def all_cells() -> Iterator[frozenset[int]]:
    """Give whoever any report is about."""
    periods = [PERIOD, *(Period(day, day) for day in DAYS)]
    for period in periods:
        yield atoms_of(period, {})
        for name, values in VALUES.items():
            for value in values:
                yield atoms_of(period, {name: value})
        for (name, values), (other, others) in product(VALUES.items(), repeat=2):
            if name < other:
                for value, another in product(values, others):
                    yield atoms_of(period, {name: value, other: another})


def remainders(whole: Group, parts: Sequence[Group]) -> Iterator[int]:
    """Give how many people are in a group, and in none of its parts that are shown."""
    if not whole.hidden:
        for measure in PEOPLE:
            shown = sum(part.counts.get(measure, 0) for part in parts)
            yield whole.counts.get(measure, 0) - shown


def all_remainders(cells: dict[tuple[date, Cell], Counts]) -> Iterator[tuple[Question, list[int]]]:
    """Give what is left of each sum of each report when all that is shown is taken away."""
    for question in questions():
        answer = Answer(tables_of(cells, question), SMALLEST)
        left = list(remainders(answer.total, answer.groups)) if question.group else []
        if question.step:
            left += remainders(answer.total, [point.total for point in answer.points])
        for point in answer.points:
            if question.group:
                left += remainders(point.total, point.groups)
        if question.step:
            for group in answer.groups:
                points = [each for point in answer.points for each in point.groups]
                own = [each for each in points if each.value == group.value]
                left += remainders(group, own)
        yield question, left


def people(kinds: dict[str, tuple[int, int, int]]) -> list[tuple[int, int]]:
    """Return a table of so many people of a country and device on each day; all answered."""
    return [
        (kinds.get(f"{country} {device}", (0, 0, 0))[DAYS.index(day)] * (regime == "opt_in"), 3)
        for day, country, device, regime in ATOMS
    ]


#: Hidden with a small one in the whole period, and with another one in the series.
ANOTHER_PARTNER = people({"TZ phone": (400, 0, 0), "KE phone": (0, 12, 0), "UG phone": (3, 0, 0)})
#: Two days that are hidden, on which together there were few of a country.
TWO_DAYS = people({"TZ phone": (50, 6, 20), "KE phone": (60, 3, 0)})
#: Phones of two countries, which are few together too.
TWO_COUNTRIES = people(
    {
        "TZ phone": (400, 0, 0),
        "TZ desktop": (300, 0, 0),
        "KE phone": (4, 0, 0),
        "KE desktop": (50, 0, 0),
        "UG phone": (3, 0, 0),
        "UG desktop": (60, 0, 0),
    }
)


# A smaller example of a failure would take minutes to find.
@settings(max_examples=25, phases=[Phase.explicit, Phase.generate])
@given(drawn=crowds())
@example(drawn=ANOTHER_PARTNER)
@example(drawn=TWO_DAYS)
@example(drawn=TWO_COUNTRIES)
def test_no_small_number_follows_from_all_reports_about_two_dimensions_and_days(
    drawn: list[tuple[int, int]],
) -> None:
    cells = cells_of_people(drawn)
    for question, left in all_remainders(cells):
        assert all(number == 0 or number >= SMALLEST for number in left), (question, left)
    truth = {
        "shown": [shown for shown, _ in drawn],
        "answers": [shown * part // 3 for shown, part in drawn],
    }
    for about, (measure, of_atoms) in product(combinations(VALUES, 2), truth.items()):
        adversary = Adversary(published(cells, about), measure)
        for atoms in all_cells():
            number = sum(of_atoms[atom] for atom in atoms)
            if 0 < number < SMALLEST:
                said = [[ATOMS[atom] for atom in atoms], measure, number]
                assert not adversary.knows(atoms), said
