"""The rule for a region. Pure: plain values in, plain values out.

The rules themselves are data (``data/*.csv``, with sources). Where a country's subdivisions have
rules of their own and only the country is known, the strictest of them holds.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

#: Strictest first.
REGIMES = ("opt_in", "opt_out", "notice")
GPC_DUTIES = ("required", "voluntary")
GPC_DISPLAYS = ("required", "optional")

#: The row for a visitor whose region is not known.
UNKNOWN = "*"


@dataclass(frozen=True)
class Rule:
    """What holds in a region; days are whole days."""

    region: str
    regime: str
    gpc: str
    gpc_display: str
    remember_days: int
    reask_days: int
    version: str


class Place(NamedTuple):
    """Where a visitor is, as far as it matters: ISO 3166-1 country, ISO 3166-2 subdivision."""

    country: str | None = None
    subdivision: str | None = None


def place_of(region: str | None) -> Place:
    """Return the place that a region's code names, such as GB or US-CA; None is nowhere known."""
    country, _, subdivision = (region or "").partition("-")
    return Place(country or None, subdivision or None)


def read_rules(version: str, lines: Iterable[str]) -> dict[str, Rule]:
    """Read the table of one version, by region code.

    :raises ValueError: when a cell is not one of the allowed words or numbers
    """
    rules = {}
    for row in csv.DictReader(lines):
        rule = Rule(
            region=row["code"],
            regime=_one_of(REGIMES, row["regime"]),
            gpc=_one_of(GPC_DUTIES, row["gpc"]),
            gpc_display=_one_of(GPC_DISPLAYS, row["gpc_display"]),
            remember_days=int(row["remember_days"]),
            reask_days=int(row["reask_days"]),
            version=version,
        )
        rules[rule.region] = rule
    if UNKNOWN not in rules:
        raise ValueError(f"the table {version} has no row for unknown regions")
    return rules


def override_problems(
    rules: Mapping[str, Rule], overrides: Mapping[str, str]
) -> dict[str, list[str]]:
    """Return what is wrong with a site's own regimes, by region code; empty when nothing is."""
    found = {}
    for region, regime in overrides.items():
        if region not in rules:
            found[region] = ["The table has no such region; it has codes such as GB, US-CA and *."]
        elif regime not in REGIMES:
            found[region] = [f"Give one of {', '.join(REGIMES)}."]
    return found


def rule_for(
    rules: Mapping[str, Rule], place: Place, overrides: Mapping[str, str] | None = None
) -> Rule:
    """Return the rule for a place; ``overrides`` are a site's own regimes by region code."""
    rule = _table_rule(rules, place)
    regime = (overrides or {}).get(rule.region)
    return replace(rule, regime=regime) if regime else rule


def _table_rule(rules: Mapping[str, Rule], place: Place) -> Rule:
    if place.country is None:
        return rules[UNKNOWN]
    country = rules.get(place.country, rules[UNKNOWN])
    if place.subdivision:
        return rules.get(f"{place.country}-{place.subdivision}", country)
    parts = [rule for key, rule in rules.items() if key.startswith(f"{place.country}-")]
    return strictest(country, parts)


def strictest(country: Rule, parts: Iterable[Rule]) -> Rule:
    """Return the country's rule with every cell as strict as the strictest of its parts."""
    every = [country, *parts]
    return replace(
        country,
        regime=min((rule.regime for rule in every), key=REGIMES.index),
        gpc=min((rule.gpc for rule in every), key=GPC_DUTIES.index),
        gpc_display=min((rule.gpc_display for rule in every), key=GPC_DISPLAYS.index),
        remember_days=min(rule.remember_days for rule in every),
        reask_days=max(rule.reask_days for rule in every),
    )


def _one_of(words: tuple[str, ...], word: str) -> str:
    if word not in words:
        raise ValueError(f"{word!r} is none of {', '.join(words)}")
    return word
