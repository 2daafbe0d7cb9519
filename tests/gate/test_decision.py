"""The decision against the contract: readable examples, every case there is, and the model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent_service.consents.tokens import ERASED, GRANTED, REFUSED, WITHDRAWN, Claims
from consent_service.gate.decision import ALLOWING, Reason
from consent_service.regions.rules import GPC_DUTIES, REGIMES
from tests.gate.model import ALLOWS, ESSENTIAL, NOW, Situation, make_claims, make_rule, model

NO_TOKEN = Situation(presented=False, claims=None)
FORGED = Situation(claims=None)


def refused(state: str = REFUSED) -> Claims:
    return make_claims(choices={"analytics": state})


@pytest.mark.parametrize(
    ("situation", "reason"),
    [
        pytest.param(Situation(), Reason.GRANTED, id="a choice that grants"),
        pytest.param(NO_TOKEN, Reason.NO_CHOICE, id="no choice where consent comes first"),
        pytest.param(
            replace(NO_TOKEN, rule=make_rule(regime="opt_out")),
            Reason.OPT_OUT_DEFAULT,
            id="no choice where one may object",
        ),
        pytest.param(
            replace(NO_TOKEN, rule=make_rule(regime="notice")),
            Reason.OPT_OUT_DEFAULT,
            id="no choice where telling is enough",
        ),
        pytest.param(
            Situation(claims=make_claims(choices={})),
            Reason.NO_CHOICE,
            id="a purpose that was not asked about yet",
        ),
        pytest.param(Situation(claims=refused()), Reason.REFUSED, id="a choice that refuses"),
        pytest.param(
            Situation(claims=refused(), rule=make_rule(regime="opt_out")),
            Reason.REFUSED,
            id="an objection",
        ),
        pytest.param(
            Situation(claims=refused(WITHDRAWN)), Reason.WITHDRAWN, id="a grant taken back"
        ),
        pytest.param(Situation(now=NOW + 3600), Reason.EXPIRED, id="the second it expires"),
        pytest.param(Situation(now=NOW + 3599), Reason.GRANTED, id="the second before"),
        pytest.param(
            Situation(material_version=4), Reason.NOTICE_CHANGED, id="a materially new notice"
        ),
        pytest.param(
            Situation(material_version=2), Reason.GRANTED, id="a notice with other wording"
        ),
        pytest.param(Situation(newest=6), Reason.SUPERSEDED, id="a newer choice"),
        pytest.param(Situation(newest=5), Reason.GRANTED, id="the newest choice"),
        pytest.param(Situation(newest=4), Reason.GRANTED, id="an older choice heard of late"),
        pytest.param(Situation(newest=ERASED), Reason.ERASED, id="an erased visitor"),
        pytest.param(Situation(known=False), Reason.UNKNOWN_VISITOR, id="a visitor nobody knows"),
        pytest.param(Situation(stale=True), Reason.STATE_STALE, id="a process that hears nothing"),
        pytest.param(
            replace(NO_TOKEN, stale=True, rule=make_rule(regime="opt_out")),
            Reason.STATE_STALE,
            id="a process that hears nothing where one may object",
        ),
        pytest.param(FORGED, Reason.INVALID_TOKEN, id="a token that is not ours"),
        pytest.param(
            replace(FORGED, rule=make_rule(regime="opt_out")),
            Reason.INVALID_TOKEN,
            id="a token that is not ours where one may object",
        ),
        pytest.param(Situation(gpc=True), Reason.GPC, id="the signal against a choice without it"),
        pytest.param(
            Situation(gpc=True, claims=make_claims(gpc=True)),
            Reason.GRANTED,
            id="the signal against a choice made in spite of it",
        ),
        pytest.param(
            Situation(gpc=True, claims=make_claims(gpc=True), rule=make_rule(gpc="required")),
            Reason.GPC,
            id="the signal where the law gives it the last word",
        ),
        pytest.param(
            replace(NO_TOKEN, gpc=True, rule=make_rule(regime="opt_out")),
            Reason.GPC,
            id="the signal as an objection",
        ),
        pytest.param(
            replace(NO_TOKEN, gpc=True), Reason.GPC, id="the signal where nothing was chosen"
        ),
    ],
)
def test_the_gate_gives_the_reason(situation: Situation, reason: str) -> None:
    assert situation.reason() == reason


@pytest.mark.parametrize(
    "situation",
    [
        NO_TOKEN,
        FORGED,
        Situation(stale=True, gpc=True),
        Situation(newest=ERASED),
        Situation(known=False),
    ],
)
def test_essential_purposes_run_whatever_happens(situation: Situation) -> None:
    assert situation.reason(category=ESSENTIAL) == Reason.ESSENTIAL


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"claims": None}, Reason.INVALID_TOKEN),
        ({}, Reason.STATE_STALE),
        ({"stale": False}, Reason.UNKNOWN_VISITOR),
        ({"stale": False, "known": True}, Reason.SUPERSEDED),
        ({"stale": False, "known": True, "newest": 0}, Reason.EXPIRED),
        ({"stale": False, "known": True, "newest": 0, "now": NOW}, Reason.NOTICE_CHANGED),
    ],
)
def test_of_several_reasons_the_weightiest_is_given(changes: dict[str, Any], reason: str) -> None:
    everything = Situation(
        stale=True, known=False, newest=6, now=NOW + 9999, material_version=9, gpc=True
    )
    assert replace(everything, **changes).reason() == reason


def every_situation() -> Iterator[Situation]:
    """Every combination of the cases that the contract tells apart."""
    stories = [
        (False, None),
        (True, None),
        *(
            (
                True,
                make_claims(gpc=informed, choices={} if state is None else {"analytics": state}),
            )
            for informed, state in product((False, True), (None, GRANTED, REFUSED, WITHDRAWN))
        ),
    ]
    for (presented, claims), newest, known, stale, now, material, regime, duty, gpc in product(
        stories,
        (0, 4, 5, 6, ERASED),
        (True, False),
        (True, False),
        (NOW, NOW + 3599, NOW + 3600),
        (2, 3, 4),
        REGIMES,
        GPC_DUTIES,
        (True, False),
    ):
        yield Situation(
            presented=presented,
            claims=claims,
            newest=newest,
            known=known,
            stale=stale,
            now=now,
            material_version=material,
            rule=make_rule(regime=regime, gpc=duty),
            gpc=gpc,
        )


def test_the_gate_agrees_with_the_model_in_every_case_there_is() -> None:
    seen = set()
    for situation in every_situation():
        for category in (ESSENTIAL, "analytics"):
            reason = situation.reason(category)
            assert reason == model(situation, "analytics", category), situation
            seen.add(reason)
    every_reason = {word for name, word in vars(Reason).items() if name.isupper()}
    assert seen == every_reason


keys = st.sampled_from(["session", "preferences", "analytics", "ads", "x"])
numbers = st.integers(min_value=0, max_value=2**62)
near = st.integers(min_value=0, max_value=6)
claims_made = st.builds(
    Claims,
    site_key=st.just("site_test"),
    visitor_id=st.just("vis_test"),
    record_id=st.just("record"),
    sequence=near | numbers,
    notice_version=near | numbers,
    issued_at=numbers,
    expires_at=near | numbers,
    gpc=st.booleans(),
    choices=st.dictionaries(keys, st.sampled_from([GRANTED, REFUSED, WITHDRAWN])),
)


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    claims = draw(st.none() | claims_made)
    return Situation(
        presented=claims is not None or draw(st.booleans()),
        claims=claims,
        newest=draw(near | numbers | st.just(ERASED)),
        known=draw(st.booleans()),
        stale=draw(st.booleans()),
        now=draw(near | numbers),
        material_version=draw(near | numbers),
        rule=make_rule(
            regime=draw(st.sampled_from(REGIMES)), gpc=draw(st.sampled_from(GPC_DUTIES))
        ),
        gpc=draw(st.booleans()),
    )


purposes_asked = st.dictionaries(
    keys, st.sampled_from([ESSENTIAL, "preferences", "analytics", "marketing"]), min_size=1
)


@settings(max_examples=250)
@given(situation=situations(), purposes=purposes_asked)
def test_the_gate_agrees_with_the_model_about_any_purposes(
    situation: Situation, purposes: dict[str, str]
) -> None:
    expected = {key: model(situation, key, category) for key, category in purposes.items()}
    assert situation.reasons(purposes) == expected


@settings(max_examples=250)
@given(situation=situations(), purposes=purposes_asked)
def test_nothing_but_essential_is_allowed_that_the_model_denies(
    situation: Situation, purposes: dict[str, str]
) -> None:
    for key, reason in situation.reasons(purposes).items():
        if purposes[key] != ESSENTIAL and reason in ALLOWING:
            assert model(situation, key, purposes[key]) in ALLOWS


@settings(max_examples=250)
@given(situation=situations(), purposes=purposes_asked)
def test_the_signal_and_silence_never_allow_more(
    situation: Situation, purposes: dict[str, str]
) -> None:
    quiet = replace(situation, gpc=False, stale=False).reasons(purposes)
    for louder in (replace(situation, gpc=True), replace(situation, stale=True)):
        for key, reason in louder.reasons(purposes).items():
            assert reason not in ALLOWING or quiet[key] in ALLOWING


@given(situation=situations(), purposes=purposes_asked)
def test_a_purpose_is_answered_the_same_in_any_company(
    situation: Situation, purposes: dict[str, str]
) -> None:
    together = situation.reasons(purposes)
    alone = [situation.reasons({key: category}) for key, category in purposes.items()]
    assert together == {key: reason for answer in alone for key, reason in answer.items()}
    assert list(together) == list(purposes)
