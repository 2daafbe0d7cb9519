"""Load pages in Chromium as a slow phone would, and see what they do until the banner is there."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser, BrowserContext, CDPSession, Page, Request
from playwright.sync_api import Error as PlaywrightError

from benchmarks.banners import Banner
from benchmarks.errors import CannotMeasureError
from benchmarks.processes import ROOT, family_cpu_seconds, machine_cpu_seconds

#: How many times slower the processor is made.
SLOWER = 4

#: The connection of a page that is not loaded over the bare loopback: 150 ms, 1.6 Mbit/s.
_SLOW_NETWORK = {
    "offline": False,
    "latency": 150,
    "downloadThroughput": 1_600_000 / 8,
    "uploadThroughput": 750_000 / 8,
}

_PROBE = (Path(__file__).parent / "pages" / "probe.js").read_text("utf-8")

#: Milliseconds that a page has, once the banner is there, to go on working.
_SETTLE = 300

_CORES = os.cpu_count() or 1

#: What the browser's main thread may be busy with at a stretch, in milliseconds.
_LONG = 50


@dataclass(frozen=True)
class Load:
    """One load of a page by somebody who was never there. Times are milliseconds.

    ``paint`` is when the page's own text came, ``busy`` the CPU time of the main thread,
    ``blocked`` by how much its long tasks were too long, and ``own`` the number of those in which
    a script of the banner ran. ``received`` is in bytes. ``others`` is the part of the machine's
    CPU time that went to programs not of this benchmark.
    """

    banner: float
    paint: float
    busy: float
    blocked: float
    own: int
    shift: float
    requests: int
    received: int
    others: float


@dataclass(frozen=True)
class Loads:
    """All loads over one kind of connection, by page, in the order of the rounds."""

    samples: dict[str, list[Load]]

    def values(self, name: str, figure: str) -> list[float]:
        """Return one figure of a page, round by round."""
        return [float(getattr(load, figure)) for load in self.samples[name]]

    def median(self, name: str, figure: str) -> float:
        """Return the median of one figure of a page."""
        return median(self.values(name, figure))

    def most(self, name: str, figure: str) -> float:
        """Return one figure of a page in its worst round."""
        return max(self.values(name, figure))

    def spread(self, name: str, figure: str) -> float:
        """Return how far apart the rounds lie: (most - least) / median."""
        found = self.values(name, figure)
        return (max(found) - min(found)) / median(found)

    def loads_with(self, name: str, figure: str) -> str:
        """Say in how many loads of a page a figure was not nought."""
        found = self.values(name, figure)
        return f"{sum(map(bool, found))} of {len(found)}"

    def others(self) -> float:
        """Return what other programs took of the CPU in the worst round."""
        return max(load.others for loads in self.samples.values() for load in loads)

    def ratio(self, name: str, base: str, figure: str) -> float:
        """Return a page's figure divided by another's: the median over the rounds."""
        pairs = zip(self.values(name, figure), self.values(base, figure), strict=True)
        return median([one / other for one, other in pairs])

    def more(self, name: str, base: str, figure: str) -> float:
        """Return by how much a page's figure is above another's: the median over the rounds."""
        pairs = zip(self.values(name, figure), self.values(base, figure), strict=True)
        return median([one - other for one, other in pairs])


def find_chromium() -> str | None:
    """Return where Chromium is; it is installed where that is possible."""
    found = subprocess.run(
        [ROOT / "tools/browser.sh", "chromium"], stdout=subprocess.PIPE, text=True, check=False
    )
    return None if found.returncode else found.stdout.strip()


def measure(browser: Browser, pages: Sequence[Banner], rounds: int) -> tuple[Loads, Loads]:
    """Load each page in turn, round after round: over loopback, and over the slow network.

    :raises CannotMeasureError: when a banner does not come
    """
    quick: dict[str, list[Load]] = {page.name: [] for page in pages}
    slow: dict[str, list[Load]] = {page.name: [] for page in pages}
    for page in pages:
        load(browser, page, slow_network=False)
    for number in range(1, rounds + 1):
        print(f"  round {number} of {rounds}", flush=True)
        for samples, slow_network in ((quick, False), (slow, True)):
            for page in pages:
                samples[page.name].append(load(browser, page, slow_network=slow_network))
    return Loads(quick), Loads(slow)


def load(browser: Browser, banner: Banner, *, slow_network: bool) -> Load:
    """Open a page for the first time, on a slow processor.

    :raises CannotMeasureError: when the banner does not come
    """
    started, before = time.perf_counter(), _others_cpu_seconds()
    with browser.new_context(locale="en-GB", viewport={"width": 412, "height": 915}) as context:
        page, session = _prepared(context, banner, slow_network=slow_network)
        requests: list[Request] = []
        # Playwright marks the function that it calls, which a built-in method does not bear.
        page.on("request", lambda request: requests.append(request))  # noqa: PLW0108
        busy = _busy(session)
        try:
            page.goto(banner.url)
            seen = page.evaluate("settle => measured(settle)", _SETTLE)
        except PlaywrightError as error:
            raise CannotMeasureError(f"{banner.name}: {error}") from error
        return Load(
            banner=seen["banner"],
            paint=seen["paint"],
            busy=_busy(session) - busy,
            blocked=sum(task["duration"] - _LONG for task in seen["tasks"]),
            own=_own(seen["tasks"], seen["scripts"]),
            shift=seen["shift"],
            # The first one is the page itself.
            requests=len(requests) - 1,
            received=sum(
                request.sizes()["responseBodySize"]
                for request in requests
                if request.failure is None
            ),
            others=(_others_cpu_seconds() - before) / (time.perf_counter() - started) / _CORES,
        )


def _prepared(
    context: BrowserContext, banner: Banner, *, slow_network: bool
) -> tuple[Page, CDPSession]:
    """Return a tab that is at the page's origin already, so that its process is up, and slowed."""
    page = context.new_page()
    page.goto(banner.url.rpartition("/")[0] + "/")
    selector = f"{banner.accept!r}" if banner.accept else "null"
    page.add_init_script(f"({_PROBE.strip().rstrip(';')})({selector});")
    session = context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    session.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    if slow_network:
        session.send("Network.enable")
        session.send("Network.emulateNetworkConditions", _SLOW_NETWORK)
    return page, session


def _others_cpu_seconds() -> float:
    """Return the CPU time of everybody but this benchmark, with its browser and its servers."""
    return machine_cpu_seconds() - family_cpu_seconds(os.getpid())


def _own(tasks: Sequence[Mapping[str, float]], scripts: Sequence[float]) -> int:
    """Return how many long tasks one of the banner's scripts began in; there is no other script."""
    return sum(
        any(0 <= started - task["startTime"] <= task["duration"] for started in scripts)
        for task in tasks
    )


def _busy(session: CDPSession) -> float:
    """Return the CPU time of the page's main thread, in milliseconds."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return 1000 * next(float(m["value"]) for m in metrics if m["name"] == "TaskDuration")
