"""Print what was measured, and beside each claim its bar and whether it was met."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.load import Measured
from benchmarks.processes import find

Row = Sequence[str]

#: What other programs may take of the CPU before the figures are doubtful.
_QUIET = 0.05

_PACKAGES = ("granian", "flask", "sqlalchemy", "psycopg", "marshmallow")


@dataclass(frozen=True)
class Claim:
    """A bar to hold. ``measured`` is None where it could not be measured here."""

    what: str
    measured: float | None
    bar: float
    at_most: bool = False
    unit: str = ""

    def row(self) -> Row:
        """Return it as a row of a table, a miss as plain as a success."""
        bar = f"{'at most' if self.at_most else 'at least'} {self.bar:,g}{self.unit}"
        if self.measured is None:
            return (self.what, "-", bar, "not measured")
        met = self.measured <= self.bar if self.at_most else self.measured >= self.bar
        return (self.what, _figure(self.measured) + self.unit, bar, "met" if met else "MISSED")


def title(text: str) -> None:
    """Print the heading of a subject."""
    print(f"\n## {text}", flush=True)


def table(head: Row, rows: Sequence[Row]) -> None:
    """Print a Markdown table, aligned so that it reads well as it stands."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]

    def line(row: Row) -> str:
        first, rest = row[0].ljust(widths[0]), zip(row[1:], widths[1:], strict=True)
        return "| " + " | ".join([first, *(cell.rjust(width) for cell, width in rest)]) + " |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    print("\n" + "\n".join([line(head), "| " + " | ".join(rule) + " |", *map(line, rows)]))


def claims(found: Sequence[Claim]) -> None:
    """Print claims with their bars."""
    table(("claim", "measured", "bar", ""), [claim.row() for claim in found])


def loads(measured: Measured, base: str) -> None:
    """Print the medians of each target, and its ratio to one of them."""
    head = ("median of the rounds", "requests/s", "± spread", "p50 ms", "p99 ms", "CPU µs", "ratio")
    table(
        head,
        [
            (
                name,
                f"{measured.median(name, 'per_second'):,.0f}",
                f"{measured.spread(name):.0%}",
                f"{measured.median(name, 'p50_ms'):.2f}",
                f"{measured.median(name, 'p99_ms'):.2f}",
                f"{measured.median(name, 'cpu_us'):,.0f}",
                f"{measured.ratio(name, base, 'per_second'):.2f}",
            )
            for name in measured.samples
        ],
    )
    for name in measured.samples:
        if measured.refused(name):
            print(f"\n{name}: {measured.refused(name):.2%} refused, for want of time.")
    others(measured.others())


def others(share: float) -> None:
    """Warn when other programs took so much of the CPU that the figures are doubtful."""
    if share > _QUIET:
        print(
            f"\nOther programs took up to {share:.0%} of the CPU: measure again when it is quiet."
        )


def machine() -> None:
    """Print what it was measured on, and how busy that was before."""
    cores = len(os.sched_getaffinity(0))
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    print(f"Measured {datetime.now(UTC):%Y-%m-%d %H:%M} UTC on {_cpu_model()}, {cores} cores,")
    print(f"load before it {os.getloadavg()[0]:.1f}; {platform.system()} {platform.release()},")
    print(f"Python {platform.python_version()}, {packages},")
    print(f"{_said('nginx', '-v') or 'no nginx'}, {_said('wrk', '-v') or 'no wrk'}.")


def _figure(number: float) -> str:
    return f"{number:,.0f}" if float(number).is_integer() else f"{number:.2f}"


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _said(*command: str) -> str:
    """Return the first words of what a tool says of its version."""
    tool = find(command[0])
    if not tool:
        return ""
    ended = subprocess.run([tool, *command[1:]], capture_output=True, text=True, check=False)
    return " ".join((ended.stderr or ended.stdout).split()[:3]).removeprefix("nginx version: ")
