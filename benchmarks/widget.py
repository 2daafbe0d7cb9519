"""The widget: bytes, as built and as a page gets them."""

from __future__ import annotations

import gzip
from pathlib import Path

import brotli

from benchmarks import report
from benchmarks.processes import ask
from benchmarks.site import prepare, service
from consent_service.embed.service import widget_source

_ENCODINGS = ("identity", "gzip", "br")


def run(folder: Path) -> None:
    """Measure and print."""
    report.title("Widget: bytes")
    source = widget_source().encode()
    built = (len(source), len(gzip.compress(source, 9)), len(brotli.compress(source)))
    report.table(
        ("", "raw", "gzip -9", "brotli 11"),
        [
            ("widget alone, without texts", *(f"{size:,}" for size in built)),
            ("script of the demo site, as served", *(f"{size:,}" for size in _served(folder))),
        ],
    )
    claim = report.Claim("widget, brotli", built[2], 5000, at_most=True, unit=" bytes")
    report.claims([claim])


def _served(folder: Path) -> list[int]:
    """Return the sizes of the script with its configuration, as a page gets it."""
    prepared = prepare(f"sqlite:///{folder}/consent.db", folder)
    path = f"/embed/{prepared.site.site_key}.js"
    with service(prepared, folder):
        return [
            len(ask(prepared.port, path, headers={"Accept-Encoding": encoding}).body)
            for encoding in _ENCODINGS
        ]
