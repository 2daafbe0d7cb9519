"""What the widget is told, and in which words."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from importlib import resources
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_service.notices.configuration import (
    Loader,
    Notice,
    best_language,
    configuration,
    on_colour,
)
from consent_service.notices.content import resolve
from consent_service.regions.rules import Rule
from tests.builders import make_notice

RULE = Rule("TZ", "opt_in", "voluntary", "optional", 180, 365, "2026-01-01")
DEFAULTS = {
    language: json.loads(
        (resources.files("consent_service.notices") / "texts" / f"{language}.json").read_bytes()
    )
    for language in ("en", "sw")
}


def a_notice(**changes: Any) -> Notice:  # noqa: ANN401
    content = resolve(make_notice(**changes))
    return Notice(UUID(int=0), 3, 2, "sha256:00", content, date(2026, 3, 1))


def shown(notice: Notice, language: str = "en", rule: Rule = RULE, *, gpc: bool = False) -> Any:  # noqa: ANN401
    return configuration(
        notice,
        site_key="site_test",
        cookie="cookie_consent_test",
        language=language,
        rule=rule,
        gpc=gpc,
    )


def test_the_widget_is_told_all_it_needs_in_one_language() -> None:
    found = shown(a_notice(theme={"accent": "#0b6e4f"}), "sw")
    texts = found.pop("texts")
    assert found == {
        "site": "site_test",
        "notice_version": 3,
        "notice_hash": "sha256:00",
        "material_version": 2,
        "policy": {"version": "2026-03", "url": "https://example.com/privacy"},
        "regime": "opt_in",
        "language": "sw",
        "direction": "ltr",
        "languages": [{"code": "en", "name": "English"}, {"code": "sw", "name": "Kiswahili"}],
        "purposes": {
            "essential": [
                {
                    "key": "session",
                    "category": "essential",
                    "name": "session kwa Kiswahili",
                    "description": "Kazi ya session.",
                    "services": [],
                }
            ],
            "optional": [
                {
                    "key": "preferences",
                    "category": "preferences",
                    "name": "preferences kwa Kiswahili",
                    "description": "Kazi ya preferences.",
                    "services": [],
                },
                {
                    "key": "analytics",
                    "category": "analytics",
                    "name": "analytics kwa Kiswahili",
                    "description": "Kazi ya analytics.",
                    "services": [
                        {
                            "key": "pageviews",
                            "name": "Page views",
                            "provider": "Example Ltd",
                            "cookies": [
                                {
                                    "name": "pv_*",
                                    "party": "first",
                                    "duration": "miezi 13",
                                    "description": "Huhesabu.",
                                }
                            ],
                        }
                    ],
                },
            ],
        },
        "gpc": {
            "detected": False,
            "display": "optional",
            "overridable": True,
            "note": f"{texts['gpc_honoured']} {texts['gpc_override']}",
        },
        "remember_days": 180,
        "reask_days": 365,
        "controller": {"name": "Example Ltd"},
        "dpo": make_notice()["dpo"],
        "theme": {"accent": "#0b6e4f", "on_accent": "#fff", "position": "bottom"},
        "cookie": "cookie_consent_test",
    }
    assert set(texts) == set(DEFAULTS["sw"]["texts"])
    assert texts["accept_all"] == DEFAULTS["sw"]["texts"]["accept_all"]


def test_a_notice_published_before_a_text_was_thought_of_has_the_one_that_ships() -> None:
    notice = a_notice(texts={"sw": {"receipt": "Risiti"}})
    published = json.loads(json.dumps(notice.content))
    assert shown(notice, "sw")["texts"]["receipt"] == "Risiti"
    del published["texts"]["sw"]["receipt"]
    texts = shown(replace(notice, content=published), "sw")["texts"]
    assert texts["receipt"] == DEFAULTS["sw"]["texts"]["receipt"]


@pytest.mark.parametrize("language", ["en", "sw"])
def test_the_texts_say_who_for_what_and_for_how_long(language: str) -> None:
    texts = shown(a_notice(), language)["texts"]
    names = [p["name"] for p in shown(a_notice(), language)["purposes"]["optional"]]
    for said in ("Example Ltd", ", ".join(names), "180"):
        assert said in texts["body"]
    for said in ("Example Ltd", "180"):
        assert said in texts["preferences_body"]
    for key in ("body", "preferences_body"):
        assert "{" not in texts[key]


@pytest.mark.parametrize("language", ["en", "sw"])
def test_what_only_the_widget_knows_is_left_for_it(language: str) -> None:
    assert "{name}" in shown(a_notice(), language)["texts"]["allow"]


def test_a_site_can_say_it_in_its_own_words() -> None:
    texts = {"en": {"title": "Cookies at {controller}", "body": "{purposes}, {days} days"}}
    said = shown(a_notice(texts=texts))["texts"]
    # Only the two bodies are filled in.
    assert said["title"] == "Cookies at {controller}"
    assert said["body"] == "preferences in English, analytics in English, 180 days"
    assert said["save"] == DEFAULTS["en"]["texts"]["save"]


def test_a_name_with_a_placeholder_in_it_is_only_a_name() -> None:
    texts = {"en": {"body": "{controller}: {days}"}}
    found = shown(a_notice(controller={"name": "{days} Ltd"}, texts=texts))
    assert found["texts"]["body"] == "{days} Ltd: 180"


@pytest.mark.parametrize(
    ("duty", "display", "expected"),
    [
        ("required", "required", {"detected": True, "display": "required", "overridable": False}),
        ("voluntary", "optional", {"detected": True, "display": "optional", "overridable": True}),
    ],
)
def test_the_widget_is_told_what_the_privacy_signal_means_here(
    duty: str, display: str, expected: dict[str, object]
) -> None:
    rule = Rule("US", "opt_out", duty, display, 365, 365, "2026-01-01")
    found = shown(a_notice(), rule=rule, gpc=True)
    texts = found["texts"]
    said = [texts["gpc_honoured"], *([texts["gpc_override"]] if expected["overridable"] else [])]
    assert found["gpc"] == {**expected, "note": " ".join(said)}
    assert found["regime"] == "opt_out"


def test_only_services_with_a_script_of_their_own_have_a_loader() -> None:
    notice = a_notice()
    assert notice.loaders == {
        "pageviews": Loader("analytics", "https://app.example.com/analytics.js")
    }
    assert notice.optional == ["preferences", "analytics"]
    assert notice.languages == ["en", "sw"]
    assert "loader" not in str(shown(notice))


@pytest.mark.parametrize(
    ("accent", "text"),
    [
        ("#000000", "#fff"),
        ("#ffffff", "#000"),
        ("#0b6e4f", "#fff"),
        ("#ffd600", "#000"),
        # On either side of the grey on which both are read as well.
        ("#757575", "#fff"),
        ("#767676", "#000"),
    ],
)
def test_the_text_on_the_accent_is_black_or_white(accent: str, text: str) -> None:
    assert shown(a_notice(theme={"accent": accent}))["theme"]["on_accent"] == text
    assert "on_accent" not in shown(a_notice())["theme"]


def contrast(first: str, second: str) -> float:
    """Return the contrast ratio of two colours, as WCAG 2 writes it down."""

    def luminance(colour: str) -> float:
        linear = []
        for start in (1, 3, 5):
            part = int(colour[start : start + 2], 16) / 255
            linear.append(part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4)
        return linear[0] * 0.2126 + linear[1] * 0.7152 + linear[2] * 0.0722

    darker, lighter = sorted((luminance(first), luminance(second)))
    return (lighter + 0.05) / (darker + 0.05)


def test_contrast_is_measured_as_others_do() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@given(st.integers(0, 0xFFFFFF))
def test_the_text_on_any_accent_can_be_read(colour: int) -> None:
    accent = f"#{colour:06x}"
    white, black = contrast(accent, "#ffffff"), contrast(accent, "#000000")
    assert on_colour(accent) == ("#fff" if white > black else "#000")
    assert max(white, black) >= 4.5


@pytest.mark.parametrize(
    ("preferred", "shown"),
    [
        (["sw-TZ", "en"], "sw"),
        (["EN-gb"], "en"),
        (["zh-TW", "zh", "en"], "zh-Hant"),
        (["zh-CN", "en"], "zh-Hans"),
        (["zh-Hant-HK"], "zh-Hant"),
        (["zh"], "zh-Hans"),
        (["fr", "sw"], "sw"),
        (["fr"], None),
        ([], None),
    ],
)
def test_a_visitor_gets_the_first_language_preferred_that_is_offered(
    preferred: list[str], shown: str | None
) -> None:
    offered = ["en", "sw", "zh-Hans", "zh-Hant"]
    assert best_language(preferred, offered) == shown
