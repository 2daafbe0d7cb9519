"""Equal choices, nothing chosen for anybody, in any language and whatever a tenant writes.

``lint.js`` holds what that means; here it is shown to bite, and to find nothing.
"""

from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Page, ViewportSize, expect

from consent_service.notices.configuration import on_colour
from tests.browser.stage import LANGUAGES, Stage

SMALL_PHONE: ViewportSize = {"width": 320, "height": 568}
LAPTOP: ViewportSize = {"width": 1280, "height": 800}
#: What is left of a screen of 1280 by 1024 at 400 %.
ZOOMED: ViewportSize = {"width": 320, "height": 256}

MAP = """
    <main><h1>Shop</h1>
    <iframe data-consent="analytics" data-src="/map" title="Map" width="280"></iframe></main>
"""


@pytest.fixture
def stage(page: Page, demo_url: str) -> Stage:
    """A page that can show any notice."""
    return Stage(page, demo_url)


@pytest.mark.parametrize("size", [SMALL_PHONE, LAPTOP], ids=["phone", "laptop"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("position", ["bottom", "top", "centre"])
def test_banner_preference_centre_and_placeholder_are_fair(
    stage: Stage, position: str, scheme: Literal["light", "dark"], size: ViewportSize
) -> None:
    stage.page.emulate_media(color_scheme=scheme)
    stage.page.set_viewport_size(size)
    stage.show(body=MAP, theme={"position": position})
    expect(stage.page.locator(".csvc-embed button")).to_have_count(2)
    assert stage.lint(stage.who_what_and_how_long()) == []
    stage.open_centre()
    assert stage.lint() == []


#: What an unfair or careless change would do to the banner, and what the lint says of it.
UNFAIR_BANNERS = {
    "reject is a link": (
        "reject.outerHTML = '<a id=csvc-reject href=#>Reject all</a>'",
        "accept and reject are not the same kind of element",
    ),
    "reject is small": (
        "reject.style.fontSize = '0.75em'",
        "accept and reject differ in font-size",
    ),
    "reject is thin": ("reject.style.fontWeight = 400", "accept and reject differ in font-weight"),
    "reject is plain": (
        "reject.classList.remove('csvc-solid')",
        "accept and reject differ in background-color",
    ),
    "reject is narrow": ("reject.style.width = '50%'", "accept and reject differ in width"),
    "reject is faint": ("reject.style.opacity = 0.7", "accept and reject differ in opacity"),
    "accept is decorated": (
        "style('#csvc-root #csvc-accept::after { content: \" ✓\" }')",
        "accept and reject differ in content",
    ),
    "reject is among the words": (
        "document.querySelector('.csvc-scroll').append(reject)",
        "accept and reject are not in the same place",
    ),
    "reject comes last": (
        "reject.parentElement.append(reject)",
        "accept and reject do not stand side by side",
    ),
    "reject is behind the second layer": (
        "reject.remove()",
        "accept and reject are not on the same layer",
    ),
    "reject cannot be pressed": ("reject.disabled = true", "“Reject all” cannot be pressed"),
    "reject says nothing": ("reject.textContent = ' '", "a button says nothing"),
    "accept waits for Enter": ("accept.focus()", "“Accept all” has the focus already"),
    "the choices have to be scrolled to": (
        "reject.parentElement.style.transform = 'translateY(200px)'",
        "“Reject all” is not in view",
    ),
    "the choices are cut off": (
        "style('#csvc-root section { overflow: hidden !important; max-height: 60px !important }')",
        "“Reject all” is not in view",
    ),
    "labels are pale": (
        "style('#csvc-root .csvc-actions button { color: #999 !important }')",
        "“Accept all” has a contrast of",
    ),
    "words are pale": (
        "style('#csvc-root .csvc-scroll p { opacity: 0.4 }')",
        "has a contrast of",
    ),
    "words are small print": ("style('#csvc-root p { font-size: 9px }')", "is small print"),
    "buttons melt into the banner": (
        (
            "style('#csvc-root .csvc-actions button { border-color: #eee !important;"
            " background: #fff !important; color: #000 !important }')"
        ),
        "“Accept all” does not stand out from what is around it",
    ),
    "a label is cut off": (
        (
            "style('#csvc-root .csvc-actions button { white-space: nowrap; overflow: hidden }');"
            "accept.textContent = 'Accept all and everything else that there may ever be'"
        ),
        "is cut off",
    ),
    "a box is ticked": (
        "banner.insertAdjacentHTML('beforeend', '<input type=checkbox checked>')",
        "“” is already ticked",
    ),
    "the cross counts as consent": (
        "close.setAttribute('aria-label', 'Accept and close')",
        "the cross does not say that nothing is chosen",
    ),
    "the cross is gone": ("close.remove()", "there is no way to close the layer in view"),
    "the cross is tiny": (
        "close.style.cssText = 'min-height: 0; height: 12px; padding: 0'",
        "“Close without choosing” is too small to hit",
    ),
    "the policy is gone": ("banner.querySelector('a').remove()", "the policy is not linked"),
    "the text has a gap": (
        "banner.querySelector('p').append('{purposes}')",
        "a gap in the text is not filled",
    ),
    "nobody is named": (
        "banner.querySelector('p').firstChild.data = 'We use cookies.'",
        "it does not say “Momo Pulse”",
    ),
    "the language is not said": ("root.lang = ''", "the texts have no language"),
    "the texts run the wrong way": ("root.dir = 'rtl'", "the texts run rtl, not ltr"),
    "the page shows through": (
        (
            "document.body.insertAdjacentHTML('beforeend', '<div style=\"position: fixed; inset: 0;"
            " z-index: 2147483647\"></div>')"
        ),
        "something lies on “Reject all”",
    ),
    "the page is locked": (
        "document.body.style.overflow = 'hidden'",
        "the page cannot be scrolled",
    ),
    "the page becomes too wide": (
        (
            "banner.insertAdjacentHTML('beforeend', '<i style=\"width: 2000px\"></i>');"
            "document.body.style.width = '2000px'"
        ),
        "the page scrolls sideways",
    ),
}

UNFAIR_CENTRES = {
    "a box is ticked": ("box.checked = true", "“Allow Preferences” is already ticked"),
    "a box cannot be changed": ("box.disabled = true", "“Allow Preferences” cannot be changed"),
    "an essential box is shown": (
        "essential.insertAdjacentHTML('beforeend', '<input type=checkbox checked disabled>')",
        "an essential purpose has a control",
    ),
    "essential is not explained": (
        "essential.querySelector('p').remove()",
        "an essential purpose is not explained",
    ),
    "no reason for essential": (
        "[...document.querySelectorAll('#csvc-root h3 + p')].at(-1).remove()",
        "no reason is given for essential purposes",
    ),
    "reject is plain and accept is not": (
        "accept.className = 'csvc-solid'",
        "accept and reject differ in background-color",
    ),
}

_MUTATE = """(change) => {
    const root = document.getElementById("csvc-root");
    const [accept, reject, close, save] = ["accept", "reject", "close", "save"]
        .map((name) => document.getElementById("csvc-" + name));
    const banner = root.querySelector("section");
    const box = root.querySelector("input");
    const essential = root.querySelector("h4 span")?.closest("article");
    const style = (css) => document.head.append(
        Object.assign(document.createElement("style"), { textContent: css }));
    new Function("root", "accept", "reject", "close", "save", "banner", "box", "essential", "style",
        change)(root, accept, reject, close, save, banner, box, essential, style);
}"""


@pytest.mark.parametrize(("change", "finding"), UNFAIR_BANNERS.values(), ids=UNFAIR_BANNERS)
def test_an_unfair_banner_is_found_out(stage: Stage, change: str, finding: str) -> None:
    stage.show()
    stage.page.evaluate(_MUTATE, change)
    findings = stage.lint(stage.who_what_and_how_long())
    assert any(finding in found for found in findings), findings


@pytest.mark.parametrize(("change", "finding"), UNFAIR_CENTRES.values(), ids=UNFAIR_CENTRES)
def test_an_unfair_preference_centre_is_found_out(stage: Stage, change: str, finding: str) -> None:
    stage.show()
    stage.open_centre()
    stage.page.evaluate(_MUTATE, change)
    findings = stage.lint()
    assert any(finding in found for found in findings), findings


def test_a_placeholder_that_prefers_an_answer_is_found_out(stage: Stage) -> None:
    stage.show(body=MAP)
    stage.page.locator(".csvc-embed button").last.evaluate(
        "(button) => button.style.width = '20em'"
    )
    assert "the buttons of a placeholder differ in width" in stage.lint()


# ---- In every language


def test_the_banner_is_fair_in_every_language(stage: Stage) -> None:
    found = {}
    for language in LANGUAGES:
        stage.show(language)
        for screen, size in {"phone": SMALL_PHONE, "laptop": LAPTOP, "zoomed": ZOOMED}.items():
            stage.page.set_viewport_size(size)
            found[language, screen] = stage.lint(stage.who_what_and_how_long())
    assert {where: findings for where, findings in found.items() if findings} == {}


def test_the_preference_centre_is_fair_in_every_language(stage: Stage) -> None:
    stage.page.set_viewport_size(SMALL_PHONE)
    found = {}
    for language in LANGUAGES:
        stage.show(language)
        stage.open_centre()
        found[language] = stage.lint()
    assert {language: findings for language, findings in found.items() if findings} == {}


@pytest.mark.parametrize("language", ["ar", "he", "ur"])
@pytest.mark.parametrize("size", [SMALL_PHONE, LAPTOP], ids=["phone", "laptop"])
def test_languages_that_run_to_the_left_are_mirrored(
    stage: Stage, language: str, size: ViewportSize
) -> None:
    def left(part: str) -> float:
        box = stage.layer.locator(part).bounding_box()
        assert box is not None
        return box["x"]

    stage.page.set_viewport_size(size)
    stage.show(language)
    assert left("#csvc-close") < left("h2")
    assert left("#csvc-reject") < left("#csvc-accept")


# ---- Whatever a tenant writes and wishes

_COLOURS = st.integers(0, 0xFFFFFF).map(lambda colour: f"#{colour:06x}")
#: Braces are left out: what looks like a gap would be found as one.
_LETTERS = st.characters(exclude_categories=["Cc", "Cf", "Cs", "Cn", "Co"], exclude_characters="{}")
_WORDS = st.one_of(
    st.text(_LETTERS, min_size=1),
    st.sampled_from(["x", "Wx" * 1000, "W " * 1000, "🍪" * 500, "שלום " * 300, "ملف" * 600, "—"]),
)
_LABELS = st.one_of(
    st.text(_LETTERS, min_size=1, max_size=40),
    st.sampled_from(
        ["x", "W" * 40, "W " * 20, "🍪" * 40, "סירוב", "Donaudampfschifffahrtsgesellschaft"]
    ),
)


def _seen(texts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return texts.map(lambda text: text.strip() or "x")


@st.composite
def _wishes(draw: st.DrawFn) -> dict[str, Any]:
    words = ["title", "body", "preferences_title", "preferences_body", "essential_title",
             "essential_reason", "optional_title", "allow", "services", "provider", "always_on",
             "cookie_name", "cookie_description", "party_first", "policy_link", "contact",
             "dismiss", "close"]  # fmt: skip
    labels = ["accept_all", "reject_all", "choose", "save"]
    # Sorted: a set lists texts in another order in each process, which makes other examples.
    text = {key: draw(_seen(_WORDS)) for key in sorted(draw(st.sets(st.sampled_from(words))))}
    text |= {key: draw(_seen(_LABELS)) for key in sorted(draw(st.sets(st.sampled_from(labels))))}
    background = draw(_COLOURS)
    properties = {
        "--csvc-background": background,
        "--csvc-text": on_colour(background),
        "--csvc-radius": draw(st.sampled_from(["0", "4px", "2em"])),
        "--csvc-font": draw(st.sampled_from(["serif", "monospace", "cursive"])),
    }
    accent = {"accent": draw(_COLOURS)} if draw(st.booleans()) else {}
    return {
        "texts": {"en": text},
        "theme": {"position": draw(st.sampled_from(["bottom", "top", "centre"])), **accent},
        "controller": {"name": draw(_seen(_LABELS))},
        "css": ":root{" + ";".join(f"{key}:{value}" for key, value in properties.items()) + "}"
        if draw(st.booleans())
        else "",
        "gpc": draw(st.booleans()),
        "size": draw(st.sampled_from([SMALL_PHONE, LAPTOP])),
    }


@pytest.mark.parametrize("position", ["bottom", "top", "centre"])
@pytest.mark.parametrize("size", [SMALL_PHONE, LAPTOP], ids=["phone", "laptop"])
def test_text_that_fills_more_than_the_screen_is_scrolled_in_the_banner(
    stage: Stage, size: ViewportSize, position: str
) -> None:
    stage.page.set_viewport_size(size)
    stage.show(texts={"en": {"body": "Wx" * 1000}}, theme={"position": position})
    assert stage.lint() == []
    words = stage.layer.locator(".csvc-scroll")
    words.evaluate("(words) => words.scrollTo(0, words.scrollHeight)")
    expect(words.locator(":scope > :last-child")).to_be_in_viewport()


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wishes=_wishes())
def test_no_text_and_no_theme_makes_it_unfair(stage: Stage, wishes: dict[str, Any]) -> None:
    stage.page.set_viewport_size(wishes["size"])
    stage.show(**{key: value for key, value in wishes.items() if key != "size"})
    assert stage.lint() == []
    stage.open_centre()
    assert stage.lint() == []
