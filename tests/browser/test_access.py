"""Everybody's access, on any screen and by any means: WCAG 2.2 AA."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.axe import Axe
from tests.browser.stage import Stage
from tests.browser.visitor import COOKIE, Visitor

SMALL_PHONE: ViewportSize = {"width": 320, "height": 568}
LAPTOP: ViewportSize = {"width": 1280, "height": 800}
#: What is left of a screen of 1280 by 1024 at 400 %.
ZOOMED: ViewportSize = {"width": 320, "height": 256}

MAP = """
    <main><h1>Shop</h1>
    <iframe data-consent="analytics" data-src="/map" title="Map" width="280"></iframe></main>
"""
LINKS = "".join(f'<p><a href="#{number}">Link {number}</a></p>' for number in range(40))
LONG = f"<main><h1>Shop</h1>{LINKS}</main>"

#: Resolves once what has happened so far was drawn, and its shifts were told.
_DRAWN = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"

#: What the focus is on: an id, or the kind of element.
FOCUSED = """() => {
    const { id, tagName, value } = document.activeElement;
    return id || (document.activeElement.dataset.purpose ?? tagName);
}"""


@pytest.fixture
def stage(page: Page, demo_url: str) -> Stage:
    """A page that can show any notice."""
    return Stage(page, demo_url)


@pytest.fixture
def unlucky_stage(bare_page: Page, demo_url: str) -> Stage:
    """The same, where requests may fail."""
    return Stage(bare_page, demo_url)


# ---- What axe-core finds, in every state


def _banner(stage: Stage, language: str) -> None:
    stage.show(language, body=MAP)


def _banner_with_signal(stage: Stage, language: str) -> None:
    stage.show(language, body=MAP, gpc=True)
    expect(stage.layer.locator(".csvc-note")).to_be_visible()


def _banner_again(stage: Stage, language: str) -> None:
    stage.page.context.add_cookies(
        [{"name": f"{COOKIE}_choices", "value": "1~1~4000000000~rec~0~analytics:1",
          "url": stage.address}]
    )  # fmt: skip
    stage.show(language, version=2)
    expect(stage.layer.locator(".csvc-actions p")).to_be_visible()


def _busy(stage: Stage, language: str) -> None:
    stage.page.route("**/consents", lambda _: None)
    stage.show(language)
    stage.page.click("#csvc-accept")
    expect(stage.layer).to_have_attribute("aria-busy", "true")


def _error(stage: Stage, language: str) -> None:
    stage.page.route("**/consents", lambda route: route.fulfill(status=400, json={}))
    stage.show(language)
    stage.page.click("#csvc-accept")
    expect(stage.layer.locator("[role=alert]")).to_be_visible()


def _saved(stage: Stage, language: str) -> None:
    stage.show(language, body=MAP)
    stage.page.click("#csvc-reject")
    expect(stage.page.locator("#csvc-root [role=status]")).to_have_text(stage.texts["saved"])
    expect(stage.page.locator("#csvc-reopen")).to_be_visible()


def _centre(stage: Stage, language: str) -> None:
    stage.show(language)
    stage.open_centre()


def _granted(stage: Stage, language: str) -> None:
    stage.show(language)
    stage.page.click("#csvc-accept")
    expect(stage.layer).to_have_count(0)
    stage.open_centre()
    expect(stage.layer.locator("#csvc-reject")).to_have_text(stage.texts["withdraw"])


def _withdrawn(stage: Stage, language: str) -> None:
    _granted(stage, language)
    stage.page.click("#csvc-reject")
    expect(stage.page.locator("#csvc-root [role=status]")).to_have_text(stage.texts["withdrawn"])


STATES: dict[str, Callable[[Stage, str], None]] = {
    "banner": _banner,
    "banner with a signal": _banner_with_signal,
    "banner again": _banner_again,
    "busy": _busy,
    "error": _error,
    "saved": _saved,
    "preference centre": _centre,
    "preference centre after a grant": _granted,
    "withdrawn": _withdrawn,
}

#: Light and dark, narrow and wide; the two in the middle have each of them once, as the others do.
LOOKS: list[tuple[Literal["light", "dark"], ViewportSize]] = [
    ("light", SMALL_PHONE),
    ("light", LAPTOP),
    ("dark", SMALL_PHONE),
    ("dark", LAPTOP),
]


def test_axe_finds_what_is_wrong_now(page: Page) -> None:
    """Or it would find nothing anywhere."""
    axe = Axe()
    page.set_content('<html lang="en"><title>Shop</title><main><h1>Shop</h1><img></main>')
    assert [wrong["id"] for wrong in axe.run(page).response["violations"]] == ["image-alt"]
    page.evaluate("document.querySelector('img').alt = 'The shop'")
    assert axe.run(page).violations_count == 0


@pytest.mark.parametrize("reach", STATES.values(), ids=STATES)
def test_axe_finds_nothing_in_any_state(
    browser: Browser, demo_url: str, reach: Callable[[Stage, str], None]
) -> None:
    axe = Axe()
    for language in ("en", "sw", "ar"):
        with browser.new_context() as context:
            stage = Stage(context.new_page(), demo_url)
            reach(stage, language)
            for scheme, size in LOOKS[::3] if language == "en" else LOOKS[1:3]:
                stage.page.emulate_media(color_scheme=scheme)
                stage.page.set_viewport_size(size)
                found = axe.run(stage.page)
                assert found.violations_count == 0, found.generate_report()


def test_the_api_page_has_no_violation_of_its_own_and_calls_nobody(visitor: Visitor) -> None:
    visitor.page.goto(f"{visitor.origin}/docs")
    expect(visitor.page.locator(".opblock").first).to_be_visible()
    assert visitor.foreign_hosts() == set()


# ---- Screens


@pytest.mark.parametrize("language", ["en", "sw", "ar"])
@pytest.mark.parametrize("size", [SMALL_PHONE, ZOOMED], ids=["phone", "zoomed"])
def test_every_choice_is_in_view_without_scrolling(
    stage: Stage, language: str, size: ViewportSize
) -> None:
    stage.page.set_viewport_size(size)
    stage.show(language, gpc=True)
    for button in ("accept", "reject", "choose", "close"):
        expect(stage.page.locator(f"#csvc-{button}")).to_be_in_viewport(ratio=1)
    words = stage.layer.locator(".csvc-scroll")
    # A line at least can be read at a time, and the rest be scrolled to.
    assert words.evaluate("(words) => words.clientHeight - words.firstChild.offsetHeight") > 20
    words.evaluate("(words) => words.scrollTo(0, words.scrollHeight)")
    expect(words.locator(":scope > :last-child")).to_be_in_viewport()


def test_zoomed_in_the_preference_centre_is_reached_to_its_end(stage: Stage) -> None:
    stage.page.set_viewport_size(ZOOMED)
    stage.show()
    stage.open_centre()
    for button in ("accept", "reject", "save"):
        stage.page.focus(f"#csvc-{button}")
        expect(stage.page.locator(f"#csvc-{button}")).to_be_in_viewport(ratio=1)
    assert stage.layer.evaluate("(dialog) => dialog.scrollWidth <= dialog.clientWidth")


def test_with_forced_colours_buttons_have_borders_and_the_focus_is_seen(stage: Stage) -> None:
    stage.page.emulate_media(forced_colors="active")
    stage.show(theme={"accent": "#0b6e4f"})
    for button in ("accept", "reject", "choose"):
        stage.page.keyboard.press("Tab")
        control = stage.page.locator(f"#csvc-{button}")
        seen = control.evaluate(
            """(button) => {
                const { borderTopWidth, borderTopColor, outlineStyle } = getComputedStyle(button);
                const around = getComputedStyle(button.closest("section")).backgroundColor;
                return [parseFloat(borderTopWidth) >= 1, borderTopColor !== around, outlineStyle];
            }"""
        )
        assert seen[:2] == [True, True]
    stage.page.focus("#csvc-reject")
    assert _has_visible_focus(stage.page)


def test_nothing_moves(stage: Stage) -> None:
    stage.page.emulate_media(reduced_motion="reduce")
    stage.show()
    stage.page.click("#csvc-accept")
    expect(stage.page.locator("#csvc-root [role=status]")).not_to_be_empty()
    moving = stage.page.evaluate(
        """document.getAnimations().flatMap(({ effect }) => effect.getKeyframes())
            .flatMap((frame) => Object.keys(frame))
            .filter((name) => !["offset", "computedOffset", "easing", "composite", "visibility"]
                .includes(name))"""
    )
    assert moving == []


# ---- The keyboard


def _has_visible_focus(page: Page) -> bool:
    seen: bool = page.evaluate(
        """() => {
            const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
            return outlineStyle !== "none" && parseFloat(outlineWidth) >= 1;
        }"""
    )
    return seen


def _walk(page: Page, steps: int, key: str = "Tab") -> list[str]:
    """Press Tab; return what had the focus after each press, which was to be seen each time."""
    reached = []
    for _ in range(steps):
        page.keyboard.press(key)
        focused = page.evaluate(FOCUSED)
        reached.append(focused)
        assert focused == "BODY" or _has_visible_focus(page), f"no focus to be seen on {focused}"
    return reached


def test_tab_meets_the_banner_first_and_then_the_page(stage: Stage) -> None:
    stage.show(body="<main><h1>Shop</h1><a id=first href=#>First</a></main>")
    walked = _walk(stage.page, 6)
    assert walked == ["csvc-close", "A", "csvc-accept", "csvc-reject", "csvc-choose", "first"]


@pytest.mark.parametrize("key", ["Enter", "Space"])
@pytest.mark.parametrize("button", ["accept", "reject", "choose", "close"])
def test_every_button_of_the_banner_works_by_keyboard(stage: Stage, button: str, key: str) -> None:
    stage.show(body=LONG)
    while stage.page.evaluate(FOCUSED) != f"csvc-{button}":
        stage.page.keyboard.press("Tab")
    stage.page.keyboard.press(key)
    expect(stage.page.locator("#csvc-root > section")).to_have_count(0)
    if button == "choose":
        expect(stage.page.locator("#csvc-root > dialog h2")).to_be_focused()
    else:
        expect(stage.page.locator("main")).to_be_focused()


def test_the_preference_centre_works_by_keyboard_and_keeps_the_focus(stage: Stage) -> None:
    stage.show(body=LONG)
    stage.page.focus("#csvc-choose")
    stage.page.keyboard.press("Enter")
    expect(stage.layer.locator("h2")).to_be_focused()
    boxes = stage.layer.locator("input")
    stops = 5 + boxes.count() + stage.layer.locator("summary").count() + 1
    walked = _walk(stage.page, stops + 3)
    assert "first" not in walked
    inside = {"csvc-close", "csvc-accept", "csvc-reject", "csvc-save", "preferences", "analytics"}
    assert inside <= set(walked)
    # Beyond the last stop is the browser's own, or the first again: never the page behind.
    assert set(walked) - inside <= {"SUMMARY", "A", "BODY"}
    back = _walk(stage.page, stops, "Shift+Tab")
    assert set(back) - inside <= {"SUMMARY", "A", "BODY"}

    stage.page.focus('[data-purpose="analytics"]')
    stage.page.keyboard.press("Space")
    expect(stage.layer.locator('[data-purpose="analytics"]')).to_be_checked()
    summary = stage.layer.locator("details").first
    summary.locator("summary").focus()
    stage.page.keyboard.press("Enter")
    expect(summary).to_have_attribute("open", "")
    stage.page.focus("#csvc-save")
    stage.page.keyboard.press("Enter")
    expect(stage.layer).to_have_count(0)
    expect(stage.page.locator("main")).to_be_focused()
    assert stage.page.evaluate("consentService.choices") == {
        "preferences": False,
        "analytics": True,
    }


def test_what_lies_behind_the_preference_centre_takes_no_focus(stage: Stage) -> None:
    stage.show(body="<main><a id=behind href=#>Behind</a></main>")
    stage.open_centre()
    assert "behind" not in _walk(stage.page, 25)


@pytest.mark.parametrize("way", ["Escape", "close"])
def test_closing_gives_the_focus_back_to_the_opener(stage: Stage, way: str) -> None:
    stage.show(body="<main><button id=own data-consent-open>Cookies</button></main>")
    for opener in ("csvc-choose", "own"):
        stage.page.focus(f"#{opener}")
        stage.page.keyboard.press("Enter")
        expect(stage.layer.locator("h2")).to_be_focused()
        stage.page.locator("#csvc-root > dialog [data-purpose]").first.check()
        if way == "Escape":
            stage.page.keyboard.press("Escape")
        else:
            stage.page.click("#csvc-close")
        expect(stage.page.locator(f"#{opener}")).to_be_focused()
        expect(stage.page.locator("#csvc-root > section")).to_be_visible()
    assert stage.page.evaluate("consentService.choices") is None


@pytest.mark.parametrize(
    "body",
    ["<main>Text</main>", "<h1>Title</h1>", "<p>Text</p>", "<div role=main>Text</div>"],
    ids=["main", "heading", "nothing", "role"],
)
@pytest.mark.parametrize("button", ["accept", "reject", "close"])
def test_the_focus_is_never_lost_to_the_body(stage: Stage, body: str, button: str) -> None:
    stage.show(body=body)
    stage.page.focus(f"#csvc-{button}")
    stage.page.keyboard.press("Enter")
    expect(stage.layer).to_have_count(0)
    assert stage.page.evaluate(FOCUSED) != "BODY"


def test_whoever_has_moved_on_is_left_alone(stage: Stage) -> None:
    stage.show(body="<main><input id=search aria-label=Search></main>")
    stage.page.focus("#csvc-accept")
    # In one go, so that no answer can have come in between.
    stage.page.evaluate(
        """for (const [id, act] of [["csvc-accept", "click"], ["search", "focus"]])
            document.getElementById(id)[act]()"""
    )
    expect(stage.layer).to_have_count(0)
    expect(stage.page.locator("#search")).to_be_focused()


# ---- A banner that is in nobody's way

_HIDDEN = """() => {
    const focused = document.activeElement;
    if (focused === document.body || focused.closest("#csvc-root")) return null;
    const { left, top, width, height } = focused.getBoundingClientRect();
    const at = document.elementFromPoint(left + width / 2, top + height / 2);
    return focused.contains(at) ? "seen" : `${focused.textContent} is hidden by ${at?.outerHTML}`;
}"""


@pytest.mark.parametrize("scrolling", ["auto", "smooth"])
@pytest.mark.parametrize("size", [SMALL_PHONE, LAPTOP], ids=["phone", "laptop"])
@pytest.mark.parametrize("position", ["bottom", "top", "centre"])
def test_the_banner_never_lies_on_what_has_the_focus(
    stage: Stage, position: str, size: ViewportSize, scrolling: str
) -> None:
    stage.page.set_viewport_size(size)
    stage.show(
        body=LONG, css=f"html {{ scroll-behavior: {scrolling} }}", theme={"position": position}
    )
    for key in ("Tab", "Shift+Tab"):
        for _ in range(48):
            stage.page.keyboard.press(key)
            # Smooth scrolling takes its time.
            stage.page.wait_for_function(f"[null, 'seen'].includes(({_HIDDEN})())")


@pytest.mark.parametrize("offset", [0, 150, 300, 450])
def test_where_nothing_scrolls_the_words_of_the_banner_give_way(stage: Stage, offset: int) -> None:
    stage.page.set_viewport_size(SMALL_PHONE)
    button = f"<button id=own style='position: fixed; top: {offset}px; left: 20px'>Menu</button>"
    stage.show(body=f"<main><h1>Shop</h1>{button}</main>")
    stage.page.focus("#own")
    stage.page.wait_for_function(f"({_HIDDEN})() === 'seen'")
    for choice in ("accept", "reject", "choose", "close"):
        expect(stage.page.locator(f"#csvc-{choice}")).to_be_in_viewport(ratio=1)


def test_a_skip_link_leads_to_the_beginning_of_the_page(stage: Stage) -> None:
    stage.show(body=f"<a href=#content id=skip>Skip</a><main id=content tabindex=-1>{LINKS}</main>")
    stage.page.focus("#skip")
    stage.page.keyboard.press("Enter")
    expect(stage.page.locator("main")).to_be_focused()
    # What keeps the banner off has been fetched and has run.
    second = stage.page.wait_for_function(
        """performance.getEntriesByType("resource").map(({name}) => name)
            .find((name) => name.includes("/embed/more-"))"""
    )
    stage.page.evaluate("(address) => import(address)", second)
    stage.page.evaluate(_DRAWN)
    assert stage.page.evaluate("scrollY") < 100


#: Keeps the names of what a layout shift moved, other than the visitor's doing.
_WATCH_SHIFTS = """
    window.shifted = [];
    new PerformanceObserver((list) => {
        for (const { hadRecentInput, sources } of list.getEntries())
            if (!hadRecentInput)
                shifted.push(...sources.map(({ node }) => node?.id || node?.nodeName));
    }).observe({ type: "layout-shift", buffered: true });
"""


@pytest.mark.parametrize("position", ["bottom", "top", "centre"])
@pytest.mark.parametrize("size", [SMALL_PHONE, LAPTOP], ids=["phone", "laptop"])
def test_nothing_shifts_and_the_page_scrolls(
    stage: Stage, size: ViewportSize, position: str
) -> None:
    stage.page.add_init_script(_WATCH_SHIFTS)
    stage.page.set_viewport_size(size)
    stage.show(body=LONG, theme={"position": position})
    expect(stage.layer).to_be_visible()
    stage.page.keyboard.press("PageDown")
    stage.page.wait_for_function("() => scrollY > 0")
    assert stage.page.evaluate("getComputedStyle(document.body).overflow") == "visible"
    # Pressed by a script, so that no shift is excused as the visitor's doing.
    for button, next_layer in (("choose", "dialog"), ("close", "section"), ("reject", "aside")):
        stage.page.evaluate("(id) => document.getElementById(id).click()", f"csvc-{button}")
        stage.page.wait_for_selector(f"#csvc-root > {next_layer}")
        stage.page.evaluate(_DRAWN)
    expect(stage.page.locator("#csvc-reopen")).to_be_visible()
    stage.page.evaluate(_DRAWN)
    assert stage.page.evaluate("shifted") == []


def test_the_watch_for_shifts_sees_one(stage: Stage) -> None:
    stage.page.add_init_script(_WATCH_SHIFTS)
    stage.show(body=LONG)
    stage.page.evaluate("document.querySelector('h1').style.marginTop = '200px'")
    stage.page.wait_for_function("() => shifted.length")


# ---- What is said aloud


def test_what_was_done_is_said_once_and_nothing_else_is(stage: Stage) -> None:
    stage.page.add_init_script(
        """window.said = [];
        document.addEventListener("DOMContentLoaded", () => new MutationObserver((changes) => {
            for (const { target, addedNodes } of changes) {
                const spoken = target.closest?.("[role=status],[role=alert],[aria-live]");
                for (const node of addedNodes) {
                    const own = node.nodeType === 1 && node.matches("[role=alert],[aria-live]");
                    if ((spoken || own) && node.textContent) said.push(node.textContent);
                }
            }
        }).observe(document, { childList: true, subtree: true }));"""
    )
    stage.show()
    assert stage.page.evaluate("said") == []
    stage.page.click("#csvc-choose")
    expect(stage.layer.locator("h2")).to_be_focused()
    stage.page.click("#csvc-close")
    expect(stage.page.locator("#csvc-choose")).to_be_focused()
    stage.page.click("#csvc-accept")
    status = stage.page.locator("#csvc-root [role=status]")
    expect(status).to_have_text(stage.texts["saved"])
    stage.page.click("#csvc-reopen")
    stage.page.click("#csvc-reject")
    expect(status).to_have_text(stage.texts["withdrawn"])
    assert stage.page.evaluate("said") == [stage.texts["saved"], stage.texts["withdrawn"]]


def test_an_error_is_said_at_once_and_beside_the_buttons(unlucky_stage: Stage) -> None:
    _error(unlucky_stage, "en")
    alert = unlucky_stage.layer.locator(".csvc-actions [role=alert]")
    expect(alert).to_have_text(unlucky_stage.texts["error"])
    expect(alert).to_be_in_viewport(ratio=1)
    expect(unlucky_stage.page.locator("#csvc-accept")).to_be_focused()


def test_withdrawing_takes_no_more_clicks_than_granting(stage: Stage) -> None:
    stage.show()
    # From the same control on the page: once to open it, once to decide.
    stage.page.click("#csvc-reject")
    for button, allowed in (("accept", True), ("reject", False)):
        stage.page.click("#csvc-reopen")
        stage.page.click(f"#csvc-{button}")
        expect(stage.layer).to_have_count(0)
        assert set(stage.page.evaluate("Object.values(consentService.choices)")) == {allowed}


def test_without_scripts_the_page_still_reads(browser: Browser, demo_url: str) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{demo_url}/demo/")
        expect(page.locator("h1")).to_be_visible()
