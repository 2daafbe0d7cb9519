"""Drive servers with wrk in interleaved rounds, and take medians.

How much CPU other programs took meanwhile is measured too: figures from a busy machine mean little.
"""

from __future__ import annotations

import json
import os
import resource
import secrets
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.errors import CannotMeasureError
from benchmarks.processes import HOST, Server, family_cpu_seconds, find, machine_cpu_seconds

THREADS = 2
CONNECTIONS = 48

_SCRIPTS = Path(__file__).parent / "wrk"
_WARM_UP_SECONDS = 1


@dataclass(frozen=True)
class Target:
    """An address to load, and the script that makes the requests."""

    name: str
    server: Server
    path: str
    script: str
    arguments: tuple[str, ...] = ()
    #: Processes that work for the server and are not its own, with their children: a database.
    helpers: tuple[int, ...] = ()
    #: Whether it may refuse some requests for want of time (503) and still be measured.
    may_refuse: bool = False

    def helpers_cpu_seconds(self) -> float:
        """Return the CPU time that the helpers have used."""
        return sum(map(family_cpu_seconds, self.helpers))


@dataclass(frozen=True)
class Sample:
    """One run of wrk against one target.

    ``cpu_us`` is the server's CPU time for one request; ``others`` the part of the machine's whole
    CPU time that went to programs not of this benchmark.
    """

    requests: int
    refused: int
    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    others: float


@dataclass
class Measured:
    """All samples of one run of the benchmark, by target, in the order of the rounds."""

    samples: dict[str, list[Sample]] = field(default_factory=dict)

    def median(self, name: str, figure: str) -> float:
        """Return the median of one figure of a target."""
        return median([float(getattr(sample, figure)) for sample in self.samples[name]])

    def ratio(self, name: str, base: str, figure: str) -> float:
        """Return a target's figure divided by another's: the median over the rounds.

        Both were taken one after the other, so a machine that slows down slows both.
        """
        pairs = zip(self.samples[name], self.samples[base], strict=True)
        return median([float(getattr(a, figure)) / float(getattr(b, figure)) for a, b in pairs])

    def spread(self, name: str) -> float:
        """Return how far apart the rounds lie: (most - least) / median of requests a second."""
        rates = [sample.per_second for sample in self.samples[name]]
        return (max(rates) - min(rates)) / median(rates)

    def refused(self, name: str) -> float:
        """Return the part of a target's requests that it refused."""
        samples = self.samples[name]
        return sum(s.refused for s in samples) / sum(s.requests for s in samples)

    def others(self) -> float:
        """Return what other programs took of the CPU in the worst round."""
        return max(sample.others for samples in self.samples.values() for sample in samples)


def require_wrk() -> None:
    """Make sure that wrk is there, by apt where that is possible.

    :raises CannotMeasureError: when it is not
    """
    if find("wrk"):
        return
    if os.geteuid() == 0 and find("apt-get"):
        print("Installing wrk, the load generator, with apt-get.", flush=True)
        subprocess.run(["apt-get", "install", "--yes", "--quiet", "wrk"], check=False)
    if not find("wrk"):
        raise CannotMeasureError(
            "wrk, the load generator, is missing. On Debian or Ubuntu: apt-get install wrk"
        )


def measure(targets: Sequence[Target], rounds: int, seconds: int) -> Measured:
    """Load each target in turn, round after round, and say which round it is.

    :raises CannotMeasureError: when a target answers with an error
    """
    measured = Measured({target.name: [] for target in targets})
    for target in targets:
        run(target, _WARM_UP_SECONDS)
    for number in range(1, rounds + 1):
        print(f"  round {number} of {rounds}", flush=True)
        for target in targets:
            measured.samples[target.name].append(run(target, seconds))
    return measured


def run(target: Target, seconds: int) -> Sample:
    """Load one target once.

    :raises CannotMeasureError: when it answers with an error
    """
    started = time.perf_counter()
    everybody = _Meter(machine_cpu_seconds)
    server = _Meter(target.server.cpu_seconds)
    helpers = _Meter(target.helpers_cpu_seconds)
    generator = _Meter(_children_cpu_seconds)
    found = _wrk(target, seconds)
    used = server.since()
    others = everybody.since() - used - helpers.since() - generator.since()
    whole = (time.perf_counter() - started) * (os.cpu_count() or 1)
    wrong = found["broken"] or (found["refused"] and not target.may_refuse)
    if wrong or not found["requests"]:
        raise CannotMeasureError(
            f"{target.name}: {found['refused']} errors and {found['broken']} broken connections "
            f"in {found['requests']} requests"
        )
    return Sample(
        requests=found["requests"],
        refused=found["refused"],
        per_second=found["requests"] / found["microseconds"] * 1e6,
        p50_ms=found["p50"] / 1000,
        p99_ms=found["p99"] / 1000,
        cpu_us=used / found["requests"] * 1e6,
        others=max(0.0, others / whole),
    )


class _Meter:
    """Something that only grows, from now on."""

    def __init__(self, read: Callable[[], float]) -> None:
        self._read = read
        self._before = read()

    def since(self) -> float:
        return self._read() - self._before


def _children_cpu_seconds() -> float:
    """Return the CPU time of programs that this one ran to their end."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _wrk(target: Target, seconds: int) -> Mapping[str, int]:
    script = str(_SCRIPTS / target.script)
    command = ["wrk", f"-t{THREADS}", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "10s"]
    command += ["-s", script, f"http://{HOST}:{target.server.port}{target.path}"]
    command += ["--", *target.arguments] if target.arguments else []
    ended = subprocess.run(
        command,
        env=os.environ
        | {"WRK_SHARED": str(_SCRIPTS / "shared.lua"), "WRK_RUN": secrets.token_hex(8)},
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=False,
    )
    for line in ended.stdout.splitlines():
        if line.startswith("RESULT "):
            found: dict[str, int] = json.loads(line.removeprefix("RESULT "))
            return found
    raise CannotMeasureError(f"{target.name}: wrk failed:\n{ended.stdout}{ended.stderr}")
