"""What the parts of a notice must say together, beyond what each must look like. Pure.

Works on a document of any shape, so that whoever writes one sees all that is wrong at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from consent_service.notices.defaults import shipped, text_names
from consent_service.notices.paths import Path, Problem

#: Texts on buttons, and how many characters they may have: on the smallest screen too, all buttons
#: are in view together with what they answer.
BUTTONS = frozenset({
    "accept_all", "reject_all", "choose", "save", "withdraw", "reopen", "embed_once", "embed_always"
})  # fmt: skip
LONGEST_BUTTON = 40


def problems(document: Mapping[str, Any]) -> list[Problem]:
    """Return what does not fit together in a notice as its author wrote it."""
    return [
        *_languages_that_do_not_ship(document),
        *_keys_used_twice(document),
        *_missing_languages(document),
        *_texts_that_are_never_shown(document),
        *_long_buttons(document),
    ]


def entries(value: object) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Give the objects in a list, with their positions; nothing if it is no list."""
    for position, entry in enumerate(value if isinstance(value, list) else []):
        if isinstance(entry, dict):
            yield position, entry


def members(value: object) -> Mapping[str, Any]:
    """Return an object as it is, and anything else as an empty one."""
    return value if isinstance(value, dict) else {}


def languages_of(document: Mapping[str, Any]) -> list[str]:
    """Return the languages that a notice is to be published in, as far as they are such."""
    named = document.get("languages")
    return [tag for tag in named if isinstance(tag, str)] if isinstance(named, list) else []


def _languages_that_do_not_ship(document: Mapping[str, Any]) -> Iterator[Problem]:
    for position, code in enumerate(languages_of(document)):
        if code not in shipped():
            said = f"There are no texts in {code!r}; in: {', '.join(shipped())}."
            yield Problem(("languages", position), said)


def _keys_used_twice(document: Mapping[str, Any]) -> Iterator[Problem]:
    purposes: set[object] = set()
    services: set[object] = set()
    for position, purpose in entries(document.get("purposes")):
        path: Path = ("purposes", position)
        yield from _used_before(purpose, purposes, path, "purpose")
        for inner, service in entries(purpose.get("services")):
            yield from _used_before(service, services, (*path, "services", inner), "service")


def _used_before(
    part: Mapping[str, Any], seen: set[object], path: Path, what: str
) -> Iterator[Problem]:
    key = part.get("key")
    if isinstance(key, str) and key:
        if key in seen:
            yield Problem((*path, "key"), f"Another {what} has this key. Give each its own.")
        seen.add(key)


def _missing_languages(document: Mapping[str, Any]) -> Iterator[Problem]:
    for path, texts in _texts_of(document):
        for code in languages_of(document):
            if isinstance(texts, dict) and code in shipped() and code not in texts:
                yield Problem((*path, code), f"Say it in {code} too: visitors may choose it.")


def _texts_of(document: Mapping[str, Any]) -> Iterator[tuple[Path, object]]:
    for position, purpose in entries(document.get("purposes")):
        path: Path = ("purposes", position)
        yield (*path, "texts"), purpose.get("texts")
        for inner, service in entries(purpose.get("services")):
            for number, cookie in entries(service.get("cookies")):
                of_cookie: Path = (*path, "services", inner, "cookies", number)
                yield (*of_cookie, "duration"), cookie.get("duration")
                yield (*of_cookie, "description"), cookie.get("description")


def _texts_that_are_never_shown(document: Mapping[str, Any]) -> Iterator[Problem]:
    spoken = languages_of(document)
    for code, texts in members(document.get("texts")).items():
        if code not in spoken:
            yield Problem(("texts", code), "The notice is not in this language.")
        for name in members(texts):
            if name not in text_names():
                yield Problem(("texts", code, name), "There is no text of this name.")


def _long_buttons(document: Mapping[str, Any]) -> Iterator[Problem]:
    for code, texts in members(document.get("texts")).items():
        for name, text in members(texts).items():
            if name in BUTTONS and isinstance(text, str) and len(text) > LONGEST_BUTTON:
                said = f"Write at most {LONGEST_BUTTON} characters on a button."
                yield Problem(("texts", code, name), said)
