"""Starting: seconds until the service is ready."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

from benchmarks import report
from benchmarks.processes import free_port, python, serving
from benchmarks.site import prepare, service


def run(rounds: int, folder: Path) -> None:
    """Measure and print."""
    report.title("Start: seconds from the process's start to the first 200 of /readyz")
    served, demo = [], []
    for number in range(rounds):
        own = folder / str(number)
        own.mkdir()
        served.append(_serve(own))
        demo.append(_demo(own))
    report.claims(
        [
            _claim("consent-service serve, database migrated", served),
            _claim("consent-service demo, from nothing", demo),
        ]
    )


def _claim(what: str, found: list[float]) -> report.Claim:
    return report.Claim(what, median(found), 3, at_most=True, unit=" s")


def _serve(folder: Path) -> float:
    prepared = prepare(f"sqlite:///{folder}/consent.db", folder)
    started = time.perf_counter()
    with service(prepared, folder):
        return time.perf_counter() - started


def _demo(folder: Path) -> float:
    port = free_port()
    command = python("consent_service.cli", "demo", "--port", str(port))
    started = time.perf_counter()
    with serving(command, port, folder, ready="/readyz"):
        return time.perf_counter() - started
