"""Calendar quarters. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta

_MONTHS = 3


@dataclass(frozen=True, order=True)
class Quarter:
    """A calendar quarter, written like 2026-Q3."""

    year: int
    #: 1 to 4.
    number: int

    @property
    def since(self) -> date:
        """First day."""
        return date(self.year, (self.number - 1) * _MONTHS + 1, 1)

    @property
    def until(self) -> date:
        """Last day."""
        return self.next().since - timedelta(days=1)

    def next(self) -> Quarter:
        """Return the quarter after this one."""
        year, number = divmod(self.number, 4)
        return Quarter(self.year + year, number + 1)

    def before(self) -> Quarter:
        """Return the quarter before this one."""
        return quarter_of(self.since - timedelta(days=1))

    def __str__(self) -> str:
        """Write it."""
        return f"{self.year}-Q{self.number}"


def quarter_of(day: date) -> Quarter:
    """Return the quarter that a day is in."""
    return Quarter(day.year, (day.month - 1) // _MONTHS + 1)


def read_quarter(text: str) -> Quarter:
    """Read what is written like 2026-Q3. Raises ValueError for anything else."""
    found = re.fullmatch(r"(20[0-9]{2})-Q([1-4])", text)
    if not found:
        raise ValueError("Write the quarter like 2026-Q3.")
    return Quarter(int(found[1]), int(found[2]))
