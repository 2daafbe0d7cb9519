"""Equal choices, everybody's access, any screen: WCAG 2.2 AA and the rules on deceptive design."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.browser.visitor import Visitor

SMALL_PHONE: ViewportSize = {"width": 320, "height": 568}


def _look(visitor: Visitor, button: str) -> dict[str, Any]:
    """Return all that makes a button look as it does, but its place."""
    look: dict[str, Any] = visitor.page.evaluate(
        """(id) => {
            const button = document.getElementById(id);
            const style = getComputedStyle(button);
            const place = /^(left|top|right|bottom|inset.*|perspective-origin|transform-origin)$/;
            const entries = [...style].filter((name) => !place.test(name))
                .map((name) => [name, style.getPropertyValue(name)]);
            const box = button.getBoundingClientRect();
            return {element: button.tagName, width: box.width, height: box.height,
                    ...Object.fromEntries(entries)};
        }""",
        f"csvc-{button}",
    )
    return look


@pytest.mark.parametrize("language", ["en", "sw"])
@pytest.mark.parametrize("width", [320, 768, 1280])
def test_accept_and_reject_look_the_same(visitor: Visitor, language: str, width: int) -> None:
    visitor.page.set_viewport_size({"width": width, "height": 800})
    visitor.open(language)
    assert _look(visitor, "accept") == _look(visitor, "reject")


def test_nothing_is_ticked_before_the_visitor_ticks_it(visitor: Visitor) -> None:
    visitor.open()
    visitor.press("choose")
    boxes = visitor.centre.locator("input[type=checkbox]")
    expect(boxes).to_have_count(2)
    for box in boxes.all():
        expect(box).not_to_be_checked()


@pytest.mark.parametrize("language", ["en", "sw"])
def test_every_choice_is_in_view_on_a_small_phone(visitor: Visitor, language: str) -> None:
    visitor.page.set_viewport_size(SMALL_PHONE)
    visitor.open(language)
    for button in ("accept", "reject", "choose"):
        expect(visitor.page.locator(f"#csvc-{button}")).to_be_in_viewport(ratio=1)
    assert visitor.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "sw"])
@pytest.mark.parametrize("width", [320, 1280])
def test_axe_finds_nothing_on_either_layer(
    visitor: Visitor, language: str, scheme: Literal["light", "dark"], width: int
) -> None:
    visitor.page.emulate_media(color_scheme=scheme)
    visitor.page.set_viewport_size({"width": width, "height": 700})
    visitor.open(language)
    banner = Axe().run(visitor.page)
    assert banner.violations_count == 0, banner.generate_report()
    visitor.press("choose")
    for details in visitor.centre.locator("summary").all():
        details.click()
    centre = Axe().run(visitor.page)
    assert centre.violations_count == 0, centre.generate_report()


def test_the_api_page_has_no_violation_of_its_own_and_calls_nobody(
    visitor: Visitor,
) -> None:
    visitor.page.goto(f"{visitor.origin}/docs")
    expect(visitor.page.locator(".opblock").first).to_be_visible()
    assert visitor.foreign_hosts() == set()


def test_every_target_is_large_enough_to_hit(visitor: Visitor) -> None:
    visitor.page.set_viewport_size(SMALL_PHONE)
    visitor.open()
    visitor.press("choose")
    small = visitor.page.evaluate(
        """[...document.querySelectorAll("#csvc-root :is(button, label, select, summary)")]
            .filter((target) => {
                const { width, height } = target.getBoundingClientRect();
                return Math.min(width, height) < 24;
            })
            .map((target) => target.outerHTML)"""
    )
    assert small == []


def test_the_keyboard_is_enough(visitor: Visitor) -> None:
    visitor.open()
    reached = []
    for _ in range(12):
        visitor.page.keyboard.press("Tab")
        reached.append(visitor.page.evaluate("document.activeElement.id"))
    order = [name for name in reached if name.startswith("csvc-")]
    assert [name for name in order if name in {"csvc-accept", "csvc-reject", "csvc-choose"}][
        :3
    ] == [
        "csvc-accept",
        "csvc-reject",
        "csvc-choose",
    ]
    visitor.page.focus("#csvc-choose")
    visitor.page.keyboard.press("Enter")
    expect(visitor.centre).to_be_visible()
    assert visitor.page.evaluate(
        "document.querySelector('#csvc-root dialog').contains(document.activeElement)"
    )


def test_escape_closes_and_decides_nothing(visitor: Visitor) -> None:
    visitor.open()
    visitor.press("choose")
    visitor.centre.locator('[data-purpose="analytics"]').check()
    visitor.page.keyboard.press("Escape")
    expect(visitor.centre).to_have_count(0)
    expect(visitor.banner).to_be_visible()
    assert not any(entry.startswith("POST") and "/consents" in entry for entry in visitor.sent)
    assert visitor.page.evaluate("document.activeElement.id") == "csvc-choose"


def test_focus_is_never_lost_to_the_body(visitor: Visitor) -> None:
    visitor.open()
    visitor.page.focus("#csvc-reject")
    visitor.decide("reject")
    assert visitor.page.evaluate("document.activeElement !== document.body")
    opener = visitor.page.locator("[data-consent-open]").first
    opener.focus()
    opener.click()
    visitor.decide("reject")
    assert visitor.page.evaluate("document.activeElement !== document.body")


def test_the_banner_shifts_nothing_and_locks_nothing(page: Page, foreign_shop: str) -> None:
    visitor = Visitor(page, foreign_shop)
    visitor.page.add_init_script(
        """window.shifted = [];
        new PerformanceObserver((list) => {
            for (const { sources } of list.getEntries())
                window.shifted.push(...sources.map(({ node }) => node?.id || node?.nodeName));
        }).observe({ type: "layout-shift", buffered: true });"""
    )
    visitor.page.goto(foreign_shop)
    visitor.settled()
    expect(visitor.banner).to_be_visible()
    visitor.page.keyboard.press("PageDown")
    visitor.page.wait_for_function("() => scrollY > 0")
    assert visitor.page.evaluate("shifted") == []


def test_without_scripts_the_page_still_reads(browser: Browser, demo_url: str) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{demo_url}/demo/")
        expect(page.locator("h1")).to_be_visible()
