"""Merging two choices of one person: never more than was granted, never for longer."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from consent_service.clock import from_rfc3339, rfc3339
from consent_service.consents.merge import Choice, merge

NOW = from_rfc3339("2026-06-01T00:00:00.000Z")
MATERIAL = 3
PURPOSES = ("analytics", "marketing", "preferences")

moments = st.integers(-2000, 2000).map(lambda hours: NOW + timedelta(hours=hours))


def make_choice(  # noqa: PLR0913
    states: dict[str, str],
    *,
    gpc: bool = False,
    notice_version: int = MATERIAL,
    created_at: datetime = NOW,
    expires_at: datetime = NOW + timedelta(days=180),
    record_id: str = "1",
) -> Choice:
    record = {
        "id": record_id,
        "gpc": gpc,
        "notice_version": notice_version,
        "created_at": rfc3339(created_at),
        "expires_at": rfc3339(expires_at),
        "choices": {"session": True, **{key: state == "1" for key, state in states.items()}},
    }
    return Choice(record, states)


choices = st.builds(
    make_choice,
    st.dictionaries(st.sampled_from(PURPOSES), st.sampled_from("10w")),
    gpc=st.booleans(),
    notice_version=st.integers(1, 5),
    created_at=moments,
    expires_at=moments,
    record_id=st.uuids().map(str),
)
counting_choices = (
    st.lists(choices, min_size=1, max_size=3)
    .map(lambda made: [choice for choice in made if choice.counts(NOW, MATERIAL)])
    .filter(bool)
)


@given(choice=choices)
def test_what_has_run_out_or_is_to_be_asked_again_does_not_count(choice: Choice) -> None:
    record = choice.record
    assert choice.counts(NOW, MATERIAL) == (
        from_rfc3339(record["expires_at"]) > NOW and record["notice_version"] >= MATERIAL
    )


@given(counting=counting_choices, forced_off=st.booleans())
def test_a_refusal_stays_a_refusal(counting: list[Choice], *, forced_off: bool) -> None:
    merged = merge(counting, forced_off=forced_off)
    for choice in counting:
        for key, state in choice.states.items():
            assert state == "1" or merged.states[key] in {"0", "w"}


@given(counting=counting_choices, forced_off=st.booleans())
def test_only_what_somebody_granted_is_granted(counting: list[Choice], *, forced_off: bool) -> None:
    for key, state in merge(counting, forced_off=forced_off).states.items():
        assert state != "1" or any(choice.grants(key) for choice in counting)
        assert state != "1" or not forced_off


@given(counting=counting_choices)
def test_a_grant_that_nobody_contradicts_is_kept(counting: list[Choice]) -> None:
    merged = merge(counting)
    for key in PURPOSES:
        said = {choice.states[key] for choice in counting if key in choice.states}
        assert (merged.states.get(key) == "1") == (said == {"1"})
        assert (key in merged.states) == bool(said)


@given(counting=counting_choices, forced_off=st.booleans())
def test_nothing_is_prolonged(counting: list[Choice], *, forced_off: bool) -> None:
    merged = merge(counting, forced_off=forced_off)
    until = from_rfc3339(merged.expires_at)
    assert all(until <= from_rfc3339(choice.record["expires_at"]) for choice in counting)
    shown = merged.shown["notice_version"]
    assert all(shown <= choice.record["notice_version"] for choice in counting)
    assert Choice({**merged.shown, "expires_at": merged.expires_at}, merged.states).counts(
        NOW, MATERIAL
    )


@given(counting=counting_choices)
def test_a_grant_outweighs_the_signal_only_if_all_of_it_was_decided_with_it(
    counting: list[Choice],
) -> None:
    assert merge(counting).gpc == all(choice.record["gpc"] for choice in counting)


@given(counting=counting_choices, forced_off=st.booleans(), data=st.data())
def test_the_order_does_not_matter(
    counting: list[Choice], data: st.DataObject, *, forced_off: bool
) -> None:
    other_way = data.draw(st.permutations(counting))
    assert merge(other_way, forced_off=forced_off) == merge(counting, forced_off=forced_off)


@given(counting=counting_choices, forced_off=st.booleans())
def test_merging_again_changes_nothing(counting: list[Choice], *, forced_off: bool) -> None:
    merged = merge(counting, forced_off=forced_off)
    record = {**merged.shown, "gpc": merged.gpc, "expires_at": merged.expires_at}
    own = Choice(record, merged.states)
    for again in ([own], [own, own], [own, *counting]):
        repeated = merge(again, forced_off=forced_off)
        assert repeated.states == merged.states
        assert repeated.expires_at == merged.expires_at
        assert repeated.agrees_with(own)


@given(choice=choices)
def test_one_choice_alone_is_as_it_was(choice: Choice) -> None:
    merged = merge([choice])
    assert merged.states == choice.states
    assert merged.shown == choice.record
    assert (merged.gpc, merged.expires_at) == (choice.record["gpc"], choice.record["expires_at"])
    assert merged.agrees_with(choice)


def test_a_grant_that_meets_a_refusal_counts_as_withdrawn() -> None:
    merged = merge([make_choice({"analytics": "1"}), make_choice({"analytics": "0"})])
    assert merged.states == {"analytics": "w"}


def test_a_purpose_that_only_one_was_asked_about_is_as_that_one_says() -> None:
    older = make_choice({"analytics": "1"}, notice_version=3)
    newer = make_choice({"analytics": "1", "marketing": "1"}, notice_version=4)
    merged = merge([older, newer])
    assert merged.states == {"analytics": "1", "marketing": "1"}
    assert merged.shown == older.record
    assert not merged.agrees_with(older)
    assert merged.agrees_with(newer)


def test_of_choices_on_the_same_notice_the_newest_says_what_was_shown() -> None:
    older = make_choice({"analytics": "1"}, created_at=NOW - timedelta(days=1), record_id="2")
    newer = make_choice({"analytics": "0"})
    assert merge([older, newer]).shown == newer.record
