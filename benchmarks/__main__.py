"""``python -m benchmarks``: measure everything, or one subject, and print the tables."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import gate, ledger, rates, recording, report, start, widget
from benchmarks.errors import CannotMeasureError
from consent_service.errors import OperatorError

SUBJECTS = ("widget", "start", "gate", "recording", "rates", "ledger")


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", choices=SUBJECTS, help="measure one subject")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each (default 5)")
    parser.add_argument("--seconds", type=int, default=5, help="seconds of each load (default 5)")
    parser.add_argument(
        "--records",
        type=int,
        default=10_000_000,
        help="records to make up for the rates on PostgreSQL, a tenth of it on SQLite "
        "(default 10,000,000)",
    )
    parser.add_argument(
        "--leaves",
        type=int,
        default=1_000_000,
        help="records to make up for the ledger on PostgreSQL, a tenth of it on SQLite "
        "(default 1,000,000)",
    )
    asked = parser.parse_args()
    # A polite end, too, must stop the servers on its way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    report.machine()
    runs: dict[str, Callable[[Path], None]] = {
        "widget": lambda folder: widget.run(asked.rounds, folder),
        "start": lambda folder: start.run(asked.rounds, folder),
        "gate": lambda folder: gate.run(asked.rounds, asked.seconds, folder),
        "rates": lambda folder: rates.run(asked.rounds, asked.records, folder),
        "ledger": lambda folder: ledger.run(asked.rounds, asked.seconds, asked.leaves, folder),
        "recording": lambda folder: recording.run(asked.rounds, asked.seconds, folder),
    }
    failed = False
    for subject in [asked.only] if asked.only else SUBJECTS:
        with tempfile.TemporaryDirectory(prefix=f"benchmark-{subject}-") as folder:
            try:
                runs[subject](Path(folder))
            except (CannotMeasureError, OperatorError) as error:
                print(f"\nNOT MEASURED: {error}")
                failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
