"""A notice as fields of a form, and back: nothing that the form shows is lost."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_service.console.notice_form import act, filled, lost, pared, read
from tests.builders import make_notice

DEMO: dict[str, Any] = json.loads(
    (resources.files("consent_service.demo") / "notice.json").read_bytes()
)
JSON = st.recursive(
    st.none() | st.booleans() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["key", "name", "texts", "en", "services"]), inner)
    ),
    max_leaves=8,
)


def fields(value: Any, name: str = "") -> dict[str, str]:  # noqa: ANN401
    """Return a document as the page's form sends it."""
    if name.endswith(".hosts"):
        return {name: "\r\n".join(value)}
    if isinstance(value, bool):
        return {name: str(value).lower()}
    if isinstance(value, str):
        return {name: value}
    inner = (
        ((f"{name}[{place}]", each) for place, each in enumerate(value))
        if isinstance(value, list)
        else ((f"{name}.{key}".removeprefix("."), each) for key, each in value.items())
    )
    return {field: text for path, each in inner for field, text in fields(each, path).items()}


@pytest.mark.parametrize("document", [DEMO, make_notice(texts={"sw": {"title": "Vidakuzi"}})])
def test_a_complete_notice_goes_through_the_form_unchanged(document: dict[str, Any]) -> None:
    assert lost(document) == []
    assert read(fields(filled(document))) == filled(document)


@given(st.dictionaries(st.sampled_from(sorted(make_notice())), JSON))
def test_whatever_the_form_shows_comes_back(document: dict[str, Any]) -> None:
    shown = filled({**make_notice(), **document})
    again = read(fields(shown))
    assert pared(again) == pared(shown)


def test_what_the_form_has_no_field_for_is_named() -> None:
    document = make_notice(subtitle="Later", theme={"accent": 5})
    document["purposes"][0]["texts"]["de"] = {"name": "Sitzung", "description": "Nicht gezeigt."}
    assert {change.where for change in lost(document)} == {
        "subtitle",
        "theme.accent",
        "purposes[session].texts.de.name",
        "purposes[session].texts.de.description",
    }


def test_a_language_goes_with_its_texts() -> None:
    form = filled(make_notice(texts={"sw": {"title": "Vidakuzi"}}))
    assert act(form, "remove languages[1]") == "language"
    assert (form["languages"], form["texts"]) == (["en"], {"en": {}})
    assert list(form["purposes"][0]["texts"]) == ["en"]


@pytest.mark.parametrize(
    "action",
    ["", "add", "add nothing", "remove purposes[9]", "up purposes", "remove controller",
     "remove purposes[0].key[0]", "add purposes[0].key", "drop purposes[0]"],
)  # fmt: skip
def test_what_no_button_says_does_nothing(action: str) -> None:
    form = filled(DEMO)
    assert act(form, action) is None
    assert form == filled(DEMO)


@pytest.mark.parametrize(("action", "keys"), [
    ("up purposes[0]", "session preferences analytics"),
    ("down purposes[2]", "session preferences analytics"),
    ("down purposes[0]", "preferences session analytics"),
    ("remove purposes[1]", "session analytics"),
])  # fmt: skip
def test_parts_move_within_their_list(action: str, keys: str) -> None:
    form = filled(make_notice())
    assert act(form, action)
    assert [purpose["key"] for purpose in form["purposes"]] == keys.split()
