"""The default texts, in every language that ships."""

from __future__ import annotations

import json
import re
import unicodedata
from importlib import resources
from typing import Any

import pytest

from consent_service.errors import ValidationFailed
from consent_service.notices.service import resolve
from tests.builders import make_notice, make_purpose

FILES: dict[str, dict[str, Any]] = {
    entry.name.removesuffix(".json"): json.loads(entry.read_bytes())
    for entry in (resources.files("consent_service.notices") / "texts").iterdir()
    if entry.name.endswith(".json")
}
ENGLISH: dict[str, str] = FILES["en"]["texts"]
PLACEHOLDER = re.compile(r"\{\w+\}")
#: Two of them stand side by side on a screen 320 pixels wide.
LABELS = ("accept_all", "reject_all", "choose", "save")

every_language = pytest.mark.parametrize("tag", sorted(FILES))
every_translation = pytest.mark.parametrize("tag", sorted(set(FILES) - {"en"}))


def texts_in(tag: str) -> dict[str, str]:
    texts: dict[str, str] = FILES[tag]["texts"]
    return texts


def columns(text: str) -> int:
    """Return how wide a text is, in Latin letters: marks add nothing, East Asian letters two."""
    return sum(
        2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
        if unicodedata.category(letter) not in {"Mn", "Me", "Cf"}
    )


def notice_in(tag: str) -> dict[str, Any]:
    cookie = {
        "name": "pv_*",
        "party": "first",
        "duration": {tag: "13 months"},
        "description": {tag: "Counts visits."},
    }
    service = {
        "key": "pageviews",
        "name": "Page views",
        "provider": "Example Ltd",
        "cookies": [cookie],
    }
    named = {tag: {"name": "Analytics", "description": "Counts visits."}}
    purpose = make_purpose("analytics", "analytics", texts=named, services=[service])
    return make_notice(languages=[tag], purposes=[purpose])


@every_language
def test_a_language_has_every_text_in_the_order_of_english(tag: str) -> None:
    assert list(FILES[tag]) == ["name", "direction", "texts"]
    assert list(texts_in(tag)) == list(ENGLISH)


@every_language
def test_a_text_has_the_places_to_fill_that_it_has_in_english(tag: str) -> None:
    for key, text in texts_in(tag).items():
        assert sorted(PLACEHOLDER.findall(text)) == sorted(PLACEHOLDER.findall(ENGLISH[key])), key
        assert not set("{}") & set(PLACEHOLDER.sub("", text)), key


@every_translation
def test_nothing_is_left_in_english(tag: str) -> None:
    assert [key for key, text in texts_in(tag).items() if text == ENGLISH[key]] == []


@every_language
def test_no_text_is_empty_or_begins_or_ends_with_space(tag: str) -> None:
    for key, text in {"name": FILES[tag]["name"], **texts_in(tag)}.items():
        assert text.strip() == text != "", key


@every_language
def test_a_language_runs_the_way_that_its_letters_do(tag: str) -> None:
    # Latin words, such as the name of Global Privacy Control, are among those of any script.
    letters = [
        unicodedata.bidirectional(letter)
        for text in texts_in(tag).values()
        for letter in PLACEHOLDER.sub("", text)
        if letter.isalpha()
    ]
    leftward = sum(way in {"R", "AL"} for way in letters)
    assert FILES[tag]["direction"] == ("rtl" if leftward > len(letters) / 2 else "ltr")


@every_language
def test_the_labels_of_the_choices_fit_side_by_side(tag: str) -> None:
    widths = {key: columns(texts_in(tag)[key]) for key in LABELS}
    assert max(widths.values()) <= 20, widths


@every_language
def test_neither_accepting_nor_rejecting_has_the_much_longer_label(tag: str) -> None:
    shorter, longer = sorted(columns(texts_in(tag)[key]) for key in ("accept_all", "reject_all"))
    assert longer <= 2 * shorter


@every_language
def test_the_first_layer_names_the_control_that_reopens_it_as_the_control_does(tag: str) -> None:
    assert texts_in(tag)["reopen"] in texts_in(tag)["body"]


@every_language
def test_a_notice_can_be_published_in_it_alone(tag: str) -> None:
    resolved = resolve(notice_in(tag))
    spoken = {"name": FILES[tag]["name"], "direction": FILES[tag]["direction"]}
    assert resolved["languages"] == [{"code": tag, **spoken}]
    assert resolved["texts"] == {tag: texts_in(tag)}


def test_every_language_has_a_name_of_its_own() -> None:
    assert len({file["name"] for file in FILES.values()}) == len(FILES)


def test_who_asks_for_another_language_is_told_which_there_are() -> None:
    with pytest.raises(ValidationFailed) as caught:
        resolve(notice_in("tlh"))
    there_are = ", ".join(sorted(FILES))
    assert caught.value.fields == {
        "languages": [f"There are no texts in 'tlh'; in: {there_are}."],
    }
