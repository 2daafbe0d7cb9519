"""What differs between two JSON values, as the audit log and a stale form tell it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_service.console.changes import Change, Kind, changed_members

JSON = st.recursive(
    st.booleans() | st.integers(-3, 3) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"name": "A"}, {"name": "B"}, [Change("name", Kind.CHANGED, "A", "B")]),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, [Change("a.b", Kind.CHANGED, "1", "2")]),
        ([1, 2], [1], [Change("[1]", Kind.REMOVED, "2", None)]),
        ({"a": ["x"]}, {"a": ["x", "y"]}, [Change("a[1]", Kind.ADDED, None, "y")]),
        (None, {"a": 1}, [Change("a", Kind.ADDED, None, "1")]),
        ({"a": {"b": []}}, None, [Change("a.b", Kind.REMOVED, "[]", None)]),
        ("old", "new", [Change("", Kind.CHANGED, "old", "new")]),
    ],
)
def test_each_member_that_differs_is_named_with_both_values(
    before: Any,  # noqa: ANN401
    after: Any,  # noqa: ANN401
    expected: list[Change],
) -> None:
    assert changed_members(before, after) == expected


def test_a_member_that_is_null_is_told_from_one_that_is_not_there() -> None:
    assert changed_members({}, {"a": None}) == [Change("a", Kind.ADDED, None, "null")]
    assert changed_members({"a": None}, {"a": 0}) == [Change("a", Kind.CHANGED, "null", "0")]


def test_true_is_told_from_one() -> None:
    assert changed_members({"a": True}, {"a": 1}) == [Change("a", Kind.CHANGED, "true", "1")]


def test_an_object_that_became_a_list_is_one_change() -> None:
    assert changed_members({"a": {}}, {"a": []}) == [Change("a", Kind.CHANGED, "{}", "[]")]


@given(JSON)
def test_a_value_does_not_differ_from_itself(value: Any) -> None:  # noqa: ANN401
    assert changed_members(value, value) == []


@given(JSON, JSON)
def test_what_is_added_one_way_is_removed_the_other(before: Any, after: Any) -> None:  # noqa: ANN401
    there = {(one.path, one.before, one.after) for one in changed_members(before, after)}
    back = {(one.path, one.after, one.before) for one in changed_members(after, before)}
    assert there == back
