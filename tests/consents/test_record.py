"""What a decision means, with plain values."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_service.consents.record import (
    ACTIONS,
    Circumstances,
    Decision,
    expiry,
    problems,
    settle,
    signal_forces_off,
)
from consent_service.notices.configuration import Notice
from consent_service.regions.rules import Place, Rule

OPTIONAL = ["preferences", "analytics", "marketing"]
CATEGORIES = {"session": "essential", **{key: key for key in OPTIONAL}}


def a_notice() -> Notice:
    content = {
        "purposes": [{"key": key, "category": category} for key, category in CATEGORIES.items()],
        "languages": [{"code": "en"}, {"code": "sw"}],
    }
    return Notice(UUID(int=0), 1, 1, "sha256:", content, date(2026, 3, 1))


def a_rule(gpc: str = "voluntary", days: int = 180) -> Rule:
    return Rule("*", "opt_in", gpc, "optional", days, days, "2026-01-01")


def a_decision(choices: dict[str, bool], action: str = "save", language: str = "en") -> Decision:
    return Decision(choices, action, 1, language, "banner")


choices = st.fixed_dictionaries({key: st.booleans() for key in OPTIONAL})
states = st.dictionaries(st.sampled_from(OPTIONAL), st.sampled_from(["1", "0", "w"]))


@given(choices, states)
def test_a_choice_is_granted_refused_or_withdrawn(
    chosen: dict[str, bool], before: dict[str, str]
) -> None:
    after = settle(a_decision(chosen), forced_off=False, before=before)
    assert set(after) == set(chosen)
    for key, state in after.items():
        assert (state == "1") == chosen[key]
        assert (state == "w") == (not chosen[key] and before.get(key) in {"1", "w"})


@given(choices, states)
def test_a_signal_that_forces_off_leaves_nothing_granted(
    chosen: dict[str, bool], before: dict[str, str]
) -> None:
    after = settle(a_decision(chosen), forced_off=True, before=before)
    refused = settle(a_decision(dict.fromkeys(chosen, False)), forced_off=False, before=before)
    assert after == refused


@given(
    st.dictionaries(st.sampled_from([*CATEGORIES, "tracking"]), st.booleans()),
    st.sampled_from(ACTIONS),
    st.sampled_from(["en", "sw", "fr"]),
)
def test_a_decision_is_right_only_if_it_answers_all_that_was_asked_and_no_more(
    chosen: dict[str, bool], action: str, language: str
) -> None:
    said = set(chosen.values())
    right = (
        set(chosen) == set(OPTIONAL)
        and (action != "accept_all" or said == {True})
        and (action not in {"reject_all", "withdraw"} or said == {False})
        and language in {"en", "sw"}
    )
    found = problems(a_decision(chosen, action, language), a_notice())
    assert (found == {}) == right
    assert ("language" in found) == (language == "fr")
    wrong = found.get("choices", {})
    assert set(OPTIONAL) - set(chosen) <= set(wrong)
    assert set(chosen) - set(OPTIONAL) <= set(wrong)


@pytest.mark.parametrize("gpc", [True, False])
@pytest.mark.parametrize("duty", ["required", "voluntary"])
def test_the_signal_forces_off_only_where_it_is_on_and_the_law_demands_it(
    duty: str, *, gpc: bool
) -> None:
    circumstances = Circumstances(gpc, Place("US"), "phone", "chrome")
    assert signal_forces_off(circumstances, a_rule(duty)) == (gpc and duty == "required")


def test_a_yes_and_a_no_are_remembered_equally_long() -> None:
    at = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
    assert expiry(at, a_rule(days=365)) == at + timedelta(days=365)
