"""The console's texts: each in every language, with the same placeholders, none left over."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.frontend import CommandLineInterface
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

from consent_service.console.i18n import LANGUAGES
from tests.console.stage import CONSOLE

ROOT = CONSOLE.parent.parent
TRANSLATIONS = sorted(CONSOLE.glob("translations/*/LC_MESSAGES/messages.po"))


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """What code and templates say now."""
    path = tmp_path_factory.mktemp("texts") / "messages.pot"
    CommandLineInterface().run(  # type: ignore[no-untyped-call]
        [
            *("pybabel", "--quiet", "extract", "--keyword", "lazy_gettext"),
            *("--mapping-file", str(ROOT / "pyproject.toml")),
            *("--output-file", str(path), str(CONSOLE)),
        ]
    )
    with path.open("rb") as file:
        return read_po(file)


@pytest.fixture(params=TRANSLATIONS, ids=lambda path: path.parts[-3])
def translation(request: pytest.FixtureRequest) -> Catalog:
    """One translation as it is committed."""
    with Path(request.param).open("rb") as file:
        return read_po(file)


def _texts(catalog: Catalog) -> dict[str, list[str]]:
    """Return each text (the last form, of one that has several) with what stands for it."""
    return {_forms(message.id)[-1]: _forms(message.string) for message in catalog if message.id}


def _forms(text: str | Sequence[str] | None) -> list[str]:
    return [text] if isinstance(text, str) else list(text or [""])


def _stop(text: str) -> str:
    return text[-1] if text.endswith((".", ":", "?", "!")) else ""


def _placeholders(text: str) -> list[str]:
    return sorted(re.findall(r"%(?:\(\w+\))?[a-z%]|{\w*}|</?\w+", text))


def test_every_language_but_the_first_has_a_translation() -> None:
    assert [path.parts[-3] for path in TRANSLATIONS] == sorted(LANGUAGES)[1:]


def test_a_translation_holds_what_the_pages_say_and_no_more(
    extracted: Catalog, translation: Catalog
) -> None:
    assert len(_texts(extracted)) > 50
    assert set(_texts(translation)) == set(_texts(extracted)), "bring them in: make messages"
    assert not translation.obsolete


def test_every_text_is_translated_and_looked_at(translation: Catalog) -> None:
    for text, strings in _texts(translation).items():
        assert all(strings), f"not translated: {text}"
    assert not any(message.fuzzy for message in translation if message.id)


def test_a_translation_has_the_placeholders_of_its_text(translation: Catalog) -> None:
    for text, strings in _texts(translation).items():
        for string in strings:
            assert _placeholders(string) == _placeholders(text), text


def test_a_translation_ends_as_its_text_does(translation: Catalog) -> None:
    for text, strings in _texts(translation).items():
        for string in strings:
            assert _stop(string) == _stop(text), text


@pytest.mark.parametrize("path", TRANSLATIONS, ids=lambda path: path.parts[-3])
def test_what_is_compiled_is_what_is_written(path: Path, translation: Catalog) -> None:
    compiled = path.with_suffix(".mo")
    assert compiled.exists(), "compile it: make setup"
    with compiled.open("rb") as file:
        assert _texts(read_mo(file)) == _texts(translation), "compile it: make setup"
