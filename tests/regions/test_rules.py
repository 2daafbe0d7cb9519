"""Which rule holds where: the table is data, and doubt makes it stricter."""

from __future__ import annotations

import csv
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_service.regions.rules import (
    GPC_DISPLAYS,
    GPC_DUTIES,
    REGIMES,
    Place,
    Rule,
    read_rules,
    rule_for,
    strictest,
)
from consent_service.regions.service import newest_rules

DATA = resources.files("consent_service.regions") / "data"
TABLES = sorted(
    (entry for entry in DATA.iterdir() if entry.name.endswith(".csv")), key=lambda entry: entry.name
)
RULES = newest_rules()
COLUMNS = "code,regime,gpc,gpc_display,remember_days,reask_days"

rules = st.builds(
    Rule,
    region=st.just("XX"),
    regime=st.sampled_from(REGIMES),
    gpc=st.sampled_from(GPC_DUTIES),
    gpc_display=st.sampled_from(GPC_DISPLAYS),
    remember_days=st.integers(1, 720),
    reask_days=st.integers(1, 720),
    version=st.just("2026-01-01"),
)


def as_strict(rule: Rule, other: Rule) -> bool:
    """Say whether a rule asks for everything that another asks for."""
    return (
        REGIMES.index(rule.regime) <= REGIMES.index(other.regime)
        and GPC_DUTIES.index(rule.gpc) <= GPC_DUTIES.index(other.gpc)
        and GPC_DISPLAYS.index(rule.gpc_display) <= GPC_DISPLAYS.index(other.gpc_display)
        and rule.remember_days <= other.remember_days
        and rule.reask_days >= other.reask_days
    )


def test_every_row_of_the_table_is_loaded_as_it_stands() -> None:
    newest = TABLES[-1]
    rows = list(csv.DictReader(newest.read_text("utf-8").splitlines()))
    assert [*RULES] == [row["code"] for row in rows]
    for row in rows:
        rule = RULES[row["code"]]
        assert rule.version == newest.name.removesuffix(".csv")
        assert {
            "code": rule.region,
            "regime": rule.regime,
            "gpc": rule.gpc,
            "gpc_display": rule.gpc_display,
            "remember_days": str(rule.remember_days),
            "reask_days": str(rule.reask_days),
        } == {name: row[name] for name in COLUMNS.split(",")}


def test_every_row_says_where_it_comes_from() -> None:
    for table in TABLES:
        for row in csv.DictReader(table.read_text("utf-8").splitlines()):
            assert None not in row, "a cell too many"
            assert all(value is not None for value in row.values()), "a cell too few"
            assert row["source"]
            assert row["basis"] in {"sourced", "secondary", "memory", "policy_default"}
            assert row["verified"] == str(row["basis"] == "sourced").lower()


def test_where_nothing_is_known_nothing_is_stricter() -> None:
    unknown = rule_for(RULES, Place())
    assert unknown.regime == "opt_in"
    assert unknown.remember_days == min(rule.remember_days for rule in RULES.values())
    assert rule_for(RULES, Place("AQ")) == unknown


def test_tanzania_asks_first() -> None:
    rule = rule_for(RULES, Place("TZ"))
    assert (rule.region, rule.regime) == ("TZ", "opt_in")


@pytest.mark.parametrize(
    ("place", "region", "regime", "gpc", "display"),
    [
        (Place("US", "CA"), "US-CA", "opt_out", "required", "required"),
        (Place("US", "CO"), "US-CO", "opt_out", "required", "optional"),
        (Place("US", "VA"), "US-VA", "opt_out", "voluntary", "optional"),
        (Place("US", "WY"), "US", "notice", "voluntary", "optional"),
        (Place("US"), "US", "opt_out", "required", "required"),
        (Place("CA", "QC"), "CA-QC", "opt_in", "voluntary", "optional"),
        (Place("CA", "ON"), "CA", "opt_out", "voluntary", "optional"),
        (Place("CA"), "CA", "opt_in", "voluntary", "optional"),
    ],
)
def test_a_subdivision_has_its_own_rule_and_an_unknown_one_the_strictest(
    place: Place, region: str, regime: str, gpc: str, display: str
) -> None:
    rule = rule_for(RULES, place)
    assert (rule.region, rule.regime) == (region, regime)
    assert (rule.gpc, rule.gpc_display) == (gpc, display)


@given(rules, st.lists(rules, max_size=5))
def test_the_strictest_is_as_strict_as_each_and_invents_nothing(
    country: Rule, parts: list[Rule]
) -> None:
    found = strictest(country, parts)
    assert found.region == country.region
    every = [country, *parts]
    assert all(as_strict(found, rule) for rule in every)
    for column in COLUMNS.split(",")[1:]:
        assert getattr(found, column) in {getattr(rule, column) for rule in every}


@given(st.sampled_from(sorted(RULES)), st.booleans())
def test_knowing_less_is_never_less_strict(region: str, known: bool) -> None:  # noqa: FBT001
    country, _, subdivision = region.partition("-")
    known_rule = rule_for(RULES, Place(country, subdivision if known else None))
    assert as_strict(rule_for(RULES, Place(country)), known_rule)


def test_a_sites_own_regime_replaces_the_regime_alone() -> None:
    rule = rule_for(RULES, Place("GB"), {"GB": "opt_out", "*": "notice"})
    assert rule.regime == "opt_out"
    assert rule.remember_days == RULES["GB"].remember_days
    assert rule_for(RULES, Place(), {"*": "notice"}).regime == "notice"
    assert rule_for(RULES, Place("TZ"), {"GB": "opt_out"}) == RULES["TZ"]


@pytest.mark.parametrize(
    "row",
    [
        "*,maybe,voluntary,optional,180,180",
        "*,opt_in,always,optional,180,180",
        "*,opt_in,voluntary,never,180,180",
        "*,opt_in,voluntary,optional,half a year,180",
        "TZ,opt_in,voluntary,optional,180,180",
    ],
)
def test_a_table_with_a_wrong_cell_or_without_the_unknown_is_refused(row: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        read_rules("2026-01-01", [COLUMNS, row])
