"""What differs between two notices: nothing is left out, and it reads like the notice."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from consent_service.notices.content import resolve
from consent_service.notices.difference import Change, Kind, difference, kept
from tests.builders import make_notice, make_purpose

NAMES = st.sampled_from(["key", "name", "texts", "purposes", "en", "b"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from(["", "a", "b", "a (2)"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(NAMES, VALUES, max_size=4)


def leaves(value: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:  # noqa: ANN401
    """Return every single value by its path: what is compared, the slow and obvious way."""
    if isinstance(value, dict):
        steps = list(value.items())
    elif isinstance(value, list):
        steps = []
        for entry in value:
            own = name = name_of(entry)
            number = 1
            while own in [step for step, _ in steps]:
                number += 1
                own = f"{name} ({number})"
            steps.append((own, entry))
    else:
        return {path: value}
    return {
        place: leaf for step, inner in steps for place, leaf in leaves(inner, (*path, step)).items()
    }


def name_of(entry: Any) -> str:  # noqa: ANN401
    if isinstance(entry, dict):
        named = [entry.get(member) for member in ("key", "code", "name")]
        return next((name for name in named if isinstance(name, str) and name), "")
    return entry if isinstance(entry, str) else json.dumps(entry, separators=(",", ":"))


@given(DOCUMENTS)
def test_a_notice_does_not_differ_from_itself(document: dict[str, Any]) -> None:
    assert difference(document, copy.deepcopy(document)) == []


@given(DOCUMENTS, DOCUMENTS)
def test_each_value_that_is_not_the_same_is_told_once_and_no_other(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    old, new = leaves(before), leaves(after)
    expected = {
        (path, repr(old.get(path, "-")), repr(new.get(path, "-")))
        for path in old.keys() | new.keys()
        # To Python, 1 is True.
        if repr(old.get(path, "-")) != repr(new.get(path, "-")) or (path in old) != (path in new)
    }
    told = [
        (
            tuple(map(str, change.path)),
            repr("-" if change.kind == Kind.ADDED else change.before),
            repr("-" if change.kind == Kind.REMOVED else change.after),
        )
        for change in difference(before, after)
        if change.kind != Kind.MOVED
    ]
    assert sorted(map(repr, told)) == sorted(map(repr, expected))


@given(DOCUMENTS, DOCUMENTS)
def test_backwards_what_was_added_is_removed(before: dict[str, Any], after: dict[str, Any]) -> None:
    turned = {Kind.ADDED: Kind.REMOVED, Kind.REMOVED: Kind.ADDED}

    def told(changes: list[Change]) -> set[str]:
        return {repr((c.where, c.kind, c.before, c.after)) for c in changes if c.kind in turned}

    forwards = [
        Change(c.path, turned.get(c.kind, c.kind), c.after, c.before)
        for c in difference(before, after)
    ]
    assert told(forwards) == told(difference(after, before))


def test_a_difference_is_told_by_key_and_not_by_place() -> None:
    before = make_notice()
    after = copy.deepcopy(before)
    after["purposes"].insert(1, make_purpose("ads", "marketing"))
    after["purposes"][3]["texts"]["sw"]["name"] = "Takwimu"
    after["purposes"][3]["services"][0]["cookies"][0]["party"] = "third"
    del after["purposes"][2]
    found = [(change.where, change.kind) for change in difference(before, after)]
    assert ("purposes[analytics].texts.sw.name", "changed") in found
    assert ("purposes[analytics].services[pageviews].cookies[pv_*].party", "changed") in found
    assert ("purposes[preferences].category", "removed") in found
    assert ("purposes[ads].texts.en.name", "added") in found
    assert not [where for where, kind in found if "session" in where]


def test_another_order_is_a_difference_of_its_own() -> None:
    before = make_notice()
    after = {**before, "purposes": before["purposes"][::-1], "languages": ["sw", "en"]}
    assert difference(before, after) == [
        Change(("languages",), Kind.MOVED, ["en", "sw"], ["sw", "en"]),
        Change(
            ("purposes",),
            Kind.MOVED,
            ["session", "preferences", "analytics"],
            ["analytics", "preferences", "session"],
        ),
    ]


def test_what_comes_at_the_end_has_not_moved_the_rest() -> None:
    before = make_notice()
    after = {**before, "purposes": [*before["purposes"], make_purpose("ads", "marketing")]}
    assert {change.kind for change in difference(before, after)} == {Kind.ADDED}


def test_changes_are_told_in_the_order_in_which_a_notice_is_read() -> None:
    content = resolve(make_notice(theme={"position": "top"}))
    shuffled = dict(sorted(content.items(), reverse=True))
    members = [change.path[0] for change in difference({}, shuffled)]
    assert list(dict.fromkeys(members)) == [
        "controller", "dpo", "policy", "languages", "theme", "purposes", "texts",
    ]  # fmt: skip
    texts = [change.path[2] for change in difference({}, shuffled) if change.path[0] == "texts"]
    assert texts[:3] == ["title", "body", "accept_all"]
    of_purpose = [
        change.path[2] for change in difference({}, content) if change.path[:1] == ("purposes",)
    ]
    assert list(dict.fromkeys(of_purpose)) == ["key", "category", "texts", "services"]


def test_the_audit_log_keeps_so_much_of_a_change_and_says_how_much_more_there_was() -> None:
    after = {f"member {number}": "x" * 1000 for number in range(150)}
    was, now = kept(difference({"gone": 1}, after))
    assert was == {"gone": 1}
    assert now.pop("further_changes") == 51
    assert len(now) == 99
    assert {len(text) for text in now.values()} == {301}


def test_a_number_is_no_yes_or_no() -> None:
    assert [change.where for change in difference({"a": 1}, {"a": True})] == ["a"]
