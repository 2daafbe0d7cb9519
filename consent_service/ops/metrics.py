"""Figures in the text form that Prometheus reads (exposition format 0.0.4). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Gauge(NamedTuple):
    """A number that goes up and down. Name and help are words of ours, with nothing to escape."""

    name: str
    help: str
    value: float


def exposition(gauges: Iterable[Gauge]) -> str:
    """Write gauges, each with what it means."""
    return "".join(
        f"# HELP {each.name} {each.help}\n# TYPE {each.name} gauge\n{each.name} {_number(each)}\n"
        for each in gauges
    )


def _number(gauge: Gauge) -> str:
    if gauge.value == float("inf"):
        return "+Inf"
    return f"{gauge.value:.15g}"
