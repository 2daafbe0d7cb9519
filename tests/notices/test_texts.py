"""The default texts, in every language that ships."""

from __future__ import annotations

import json
import re
import unicodedata
from datetime import date
from difflib import SequenceMatcher
from importlib import resources
from typing import Any

import pytest

from consent_service import clock
from consent_service.errors import ValidationFailed
from consent_service.notices.content import resolve
from tests.builders import make_notice, make_purpose

FILES: dict[str, dict[str, Any]] = {
    entry.name.removesuffix(".json"): json.loads(entry.read_bytes())
    for entry in (resources.files("consent_service.notices") / "texts").iterdir()
    if entry.name.endswith(".json")
}
ENGLISH: dict[str, str] = FILES["en"]["texts"]
PLACEHOLDER = re.compile(r"\{\w+\}")
#: How many columns a button may take: two stand side by side on a screen 320 pixels wide.
LABELS = {
    **dict.fromkeys(("accept_all", "reject_all", "choose", "save"), 20),
    **dict.fromkeys(("withdraw", "embed_once", "embed_always"), 25),
}
APOSTROPHE = "\N{RIGHT SINGLE QUOTATION MARK}"
#: The quotation marks of a language, where they are not those of English.
QUOTES = {
    **dict.fromkeys(("am", "ar", "el", "es", "it", "pt", "ru", "uk"), ("«", "»")),
    **dict.fromkeys(("bg", "cs", "de", "et", "lt", "sk"), ("„", "“")),
    **dict.fromkeys(("hr", "hu", "lv", "pl", "ro"), ("„", "”")),
    **dict.fromkeys(("da", "fi", "sv"), ("”", "”")),
    **dict.fromkeys(("ja", "zh-Hant"), ("「", "」")),
    "fr": ("«\N{NO-BREAK SPACE}", "\N{NO-BREAK SPACE}»"),
    "he": ("״", "״"),
    "ko": ("\N{LEFT SINGLE QUOTATION MARK}", APOSTROPHE),
    "sl": ("»", "«"),
    "ur": ("”", "“"),
}
#: The full stop of a language, where it is not that of English. Thai has none.
FULL_STOPS = {
    **dict.fromkeys(("bn", "hi"), "।"),
    **dict.fromkeys(("ja", "zh-Hans", "zh-Hant"), "。"),
    "am": "።",
    "th": "",
    "ur": "\N{ARABIC FULL STOP}",
}
#: Languages that share a label here and there. No two share a sentence.
ALIKE = (
    {"cs", "sk"},
    {"da", "de"},
    {"es", "pt"},
    {"ha", "ig", "rw", "so", "sw"},
    {"hr", "sl"},
    {"ru", "uk"},
    {"zh-Hans", "zh-Hant"},
)

every_language = pytest.mark.parametrize("tag", sorted(FILES))


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


def is_quotation_mark(letter: str) -> bool:
    if letter == APOSTROPHE:
        return False
    return unicodedata.category(letter) in {"Pi", "Pf"} or letter in "'\"„「」"


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
    assert list(FILES[tag]) == ["name", "direction", "read_by", "texts"]
    assert list(texts_in(tag)) == list(ENGLISH)


@every_language
def test_a_text_has_the_places_to_fill_that_it_has_in_english(tag: str) -> None:
    for key, text in texts_in(tag).items():
        assert sorted(PLACEHOLDER.findall(text)) == sorted(PLACEHOLDER.findall(ENGLISH[key])), key
        assert not set("{}") & set(PLACEHOLDER.sub("", text)), key


@every_language
def test_a_name_stands_as_it_is_without_an_ending(tag: str) -> None:
    for key, text in texts_in(tag).items():
        assert not re.search(r"\w\{(name|purposes?)\}|\{(name|purposes?)\}\w", text), key


@every_language
def test_nothing_is_left_in_english_or_in_another_language(tag: str) -> None:
    for other in set(FILES) - {tag}:
        shared = {key for key, _ in texts_in(tag).items() & texts_in(other).items()}
        if any({tag, other} <= family for family in ALIKE):
            shared = {key for key in shared if ENGLISH[key].endswith(".")}
        assert shared == set(), other


@every_language
def test_no_text_is_empty_or_has_a_space_too_many(tag: str) -> None:
    for key, text in {"name": FILES[tag]["name"], **texts_in(tag)}.items():
        assert text.strip() == text != "", key
        assert not re.search(r"\s\s|\s[,.]", text), key


@every_language
def test_a_letter_and_its_marks_are_one_sign_where_there_is_one(tag: str) -> None:
    for key, text in texts_in(tag).items():
        assert unicodedata.is_normalized("NFC", text), key


@every_language
def test_quotation_marks_are_those_of_the_language(tag: str) -> None:
    opening, closing = QUOTES.get(tag, ("“", "”"))
    for key, text in texts_in(tag).items():
        unquoted = re.sub(f"{opening}(.+?){closing}", r"\1", text)
        assert not [letter for letter in unquoted if is_quotation_mark(letter)], key


def test_french_keeps_a_mark_on_the_line_of_its_word() -> None:
    for key, text in texts_in("fr").items():
        assert not re.search("[^\N{NO-BREAK SPACE}][:;?!»]|«[^\N{NO-BREAK SPACE}]", text), key


@every_language
def test_a_sentence_ends_with_the_full_stop_of_the_language_and_a_label_with_none(tag: str) -> None:
    for key, text in texts_in(tag).items():
        stop = FULL_STOPS.get(tag, ".") if ENGLISH[key].endswith(".") else ""
        ending = text[-1] if text[-1] in {".", *FULL_STOPS.values()} else ""
        assert ending == stop, key


@every_language
def test_no_text_is_much_longer_than_in_english(tag: str) -> None:
    for key, text in texts_in(tag).items():
        assert columns(text) <= 1.5 * columns(ENGLISH[key]) + 20, key


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
    for key, most in LABELS.items():
        assert columns(texts_in(tag)[key]) <= most, key


@every_language
def test_neither_accepting_nor_rejecting_has_the_much_longer_label(tag: str) -> None:
    shorter, longer = sorted(columns(texts_in(tag)[key]) for key in ("accept_all", "reject_all"))
    assert longer <= 2 * shorter


@every_language
def test_accepting_and_rejecting_share_the_word_for_all(tag: str) -> None:
    accept, reject = texts_in(tag)["accept_all"], texts_in(tag)["reject_all"]
    shared = SequenceMatcher(None, accept, reject).find_longest_match().size
    assert shared >= max(len(accept), len(reject)) / 4


@every_language
def test_the_first_layer_names_the_control_that_reopens_it_as_the_control_does(tag: str) -> None:
    opening, closing = QUOTES.get(tag, ("“", "”"))
    assert opening + texts_in(tag)["reopen"] + closing in texts_in(tag)["body"]


@every_language
def test_who_has_read_a_language_says_when(tag: str) -> None:
    if FILES[tag]["read_by"] is not None:
        name, _, day = FILES[tag]["read_by"].rpartition(", ")
        assert name
        assert date.fromisoformat(day) <= clock.now().date()


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
        "languages": {0: [f"There are no texts in 'tlh'; in: {there_are}."]},
    }
