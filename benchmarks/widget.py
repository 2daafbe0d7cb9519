"""The widget: its bytes, and what it does to a page beside other people's banners."""

from __future__ import annotations

import gzip
import http
from pathlib import Path

import brotli

from benchmarks import banners, browser, report
from benchmarks.banners import BARE, NONE, WIDGET
from benchmarks.browser import Loads
from benchmarks.errors import CannotMeasureError
from benchmarks.processes import ask
from benchmarks.site import prepare, service
from consent_service.embed.service import built, rest
from tests import servers

#: Stands above the table, so that both can go into the documentation.
_COMMAND = ".venv/bin/python -m benchmarks --only widget"

_ENCODINGS = ("identity", "gzip", "br")


def run(rounds: int, folder: Path) -> None:
    """Measure and print."""
    _bytes(folder)
    report.title(f"Widget: in a page, on a processor {browser.SLOWER} times slower")
    chromium = browser.find_chromium()
    if not chromium:
        print("Without a browser: Chromium is not installed.")
        report.claims(_claims(None, None))
        return
    for name in banners.missing():
        print(f"{name}: not measured, it is not installed (make widget).")
    (folder / "page").mkdir()
    with servers.chromium(chromium) as running, banners.served(folder / "page") as pages:
        print(f"Chromium {running.version}, by {_COMMAND} --rounds {rounds}", flush=True)
        quick, slow = browser.measure(running, pages, rounds)
    _tables(quick, slow)
    report.others(max(quick.others(), slow.others()))
    report.claims(_claims(quick, slow))


def _bytes(folder: Path) -> None:
    report.title("Widget: bytes")
    files = {
        "widget alone, without texts": built("widget.js"),
        "what it fetches when it comes up": next(iter(rest().values())).plain.decode(),
        "all of it in one file, for a stated hash": built("whole.js"),
    }
    sizes = {name: _sizes(source.encode()) for name, source in files.items()}
    sizes["script of the demo site, as served"] = _served(folder)
    report.table(
        ("", "raw", "gzip -9", "brotli 11"),
        [(name, *(f"{size:,}" for size in row)) for name, row in sizes.items()],
    )
    smallest = sizes["widget alone, without texts"][-1]
    report.claims([report.Claim("widget, brotli", smallest, 5000, at_most=True, unit=" bytes")])


def _sizes(source: bytes) -> list[int]:
    return [len(source), len(gzip.compress(source, 9)), len(brotli.compress(source))]


def _served(folder: Path) -> list[int]:
    """Return the sizes of the script with its configuration, as a page gets it.

    :raises CannotMeasureError: when a page would get something else
    """
    prepared = prepare(f"sqlite:///{folder}/consent.db", folder)
    path = f"/embed/{prepared.site.site_key}.js"
    sizes = []
    with service(prepared, folder):
        for encoding in _ENCODINGS:
            reply = ask(prepared.port, path, headers={"Accept-Encoding": encoding})
            used = reply.headers.get("content-encoding", "identity")
            if (reply.status, used) != (http.HTTPStatus.OK, encoding):
                raise CannotMeasureError(f"the script came as {reply.status}, {used}")
            sizes.append(len(reply.body))
    return sizes


def _tables(quick: Loads, slow: Loads) -> None:
    """Print what may be pasted into the documentation, and then how sure it is."""
    names = list(quick.samples)
    report.table(
        (
            "medians",
            "bytes, brotli",
            "requests",
            "ms to banner",
            "times bare script",
            "ms, slow network",
            "times bare script",
            "main thread, ms",
            "loads with long tasks of its own",
            "layout shift",
        ),
        [
            (
                name,
                f"{quick.more(name, NONE, 'received'):,.0f}",
                f"{quick.median(name, 'requests'):.0f}",
                f"{quick.median(name, 'banner'):.0f}",
                f"{quick.ratio(name, BARE, 'banner'):.2f}",
                f"{slow.median(name, 'banner'):.0f}",
                f"{slow.ratio(name, BARE, 'banner'):.2f}",
                f"{quick.more(name, NONE, 'busy'):.0f}",
                quick.loads_with(name, "own"),
                f"{max(quick.most(name, 'shift'), slow.most(name, 'shift')):.3f}",
            )
            for name in names
            if name != NONE
        ],
    )
    report.table(
        (
            "how it went",
            "± spread",
            "page painted, ms",
            "blocked, ms",
            "slow network: ± spread",
            "page painted, ms",
            "blocked, ms",
        ),
        [
            (
                name,
                *(
                    cell
                    for loads in (quick, slow)
                    for cell in (
                        f"{loads.spread(name, 'banner'):.0%}",
                        f"{loads.median(name, 'paint'):.0f}",
                        f"{loads.median(name, 'blocked'):.0f}",
                    )
                ),
            )
            for name in names
        ],
    )


def _claims(quick: Loads | None, slow: Loads | None) -> list[report.Claim]:
    """Return the claims about a page; without a browser they are not measured."""
    measured: list[float] | list[None] = [None] * 4
    if quick and slow:
        measured = [
            quick.ratio(WIDGET, BARE, "banner"),
            quick.median(WIDGET, "own"),
            max(loads.most(WIDGET, "shift") for loads in (quick, slow)),
            max(loads.most(WIDGET, "requests") for loads in (quick, slow)),
        ]
    bars = (
        ("time to banner against a bare script", 1.25),
        ("long tasks of its own", 0),
        ("layout shift, worst load", 0),
        ("requests on a first visit, worst load", 1),
    )
    return [
        report.Claim(what, found, bar, at_most=True)
        for (what, bar), found in zip(bars, measured, strict=True)
    ]
