"""Configurations and answers as they should never come. Never a grant, never an exception."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import ConsoleMessage, Page, Route, expect

from tests.browser.own_pages import ORDINARY, reconfigure, stage
from tests.browser.visitor import Visitor

MARKUP = '"><img src=x onerror="window.pwned=1"><script>window.pwned=1</script>&lt;b&gt;'
#: What a configuration needs as it is: numbers, words that are compared, addresses.
NO_TEXT = {"site", "cookie", "regime", "language", "direction", "position", "url", "party", "key"}
RAN = "() => window.ran === 1"


@pytest.fixture
def warnings(bare_page: Page) -> list[str]:
    """What the page warns of. Any exception on it fails the test."""
    said: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type == "warning":
            said.append(message.text)

    bare_page.on("console", hear)
    return said


def visit(page: Page, origin: str) -> Visitor:
    """Open an ordinary page, and let the script do what it can."""
    visitor = Visitor(page, origin)
    page.goto(stage(page, origin, ORDINARY))
    page.evaluate("window.consentService?.ready")
    page.evaluate("fetch('/healthz').then((answer) => answer.text())")
    return visitor


def retext(value: Any, text: str, name: str = "") -> Any:  # noqa: ANN401 - JSON
    """Put the text in the place of every text in a configuration."""
    if isinstance(value, dict):
        return {key: retext(item, text, key) for key, item in value.items()}
    if isinstance(value, list):
        return [retext(item, text, name) for item in value]
    return text if isinstance(value, str) and name not in NO_TEXT else value


@pytest.mark.parametrize("text", [MARKUP, "{purposes}{name}$&$`", "W" * 10_000, "\u202e\u0000"])
def test_every_text_is_shown_as_it_is_and_none_becomes_markup(
    page: Page, demo_url: str, text: str
) -> None:
    reconfigure(page, lambda given: retext(given, text))
    visitor = visit(page, demo_url)
    expect(visitor.banner).to_be_visible()
    # Where a text fills the screen, no button need be in reach.
    page.evaluate("consentService.open()")
    expect(visitor.centre).to_be_visible()
    assert page.locator("#csvc-accept").text_content() == text
    assert page.locator("#csvc-root :is(img, script, b b)").count() == 0
    assert page.evaluate("window.pwned") is None
    choices = "Object.fromEntries(['preferences', 'analytics'].map((key) => [key, true]))"
    assert page.evaluate(f"consentService.decide({choices})") is True
    page.wait_for_function(RAN)
    assert page.evaluate("window.pwned") is None


@pytest.mark.parametrize(
    "url", ["javascript:window.pwned=1", "data:text/html,<script>1</script>", " ", MARKUP]
)
def test_a_policy_address_that_is_none_is_no_link(page: Page, demo_url: str, url: str) -> None:
    reconfigure(page, lambda given: given["policy"].update(url=url))
    visitor = visit(page, demo_url)
    expect(visitor.banner).to_be_visible()
    expect(visitor.banner.locator("a")).to_have_count(0)


@pytest.mark.parametrize(
    "change",
    [
        {"theme": {"position": '"><script>', "accent": "red;background:url(x)", "on_accent": "!"}},
        {"language": "xx-unknown"},
        {"language": MARKUP, "direction": MARKUP},
        {"languages": []},
        {"reask_days": "soon", "material_version": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_is_odd_but_harmless_still_asks_and_grants_nothing(
    page: Page, demo_url: str, change: dict[str, Any]
) -> None:
    reconfigure(page, lambda given: given.update(change))
    visitor = visit(page, demo_url)
    expect(visitor.banner).to_be_visible()
    assert page.evaluate("consentService.gate('analytics')") is False
    assert page.evaluate("window.ran") is None


PIECES = [
    *("purposes", "texts", "theme", "gpc", "policy", "languages"),
    *("purposes.optional", "purposes.essential"),
]


def without(piece: str) -> Callable[[Any], None]:
    """Return what takes a piece out of a configuration."""

    def change(given: dict[str, Any]) -> None:
        *parents, last = piece.split(".")
        for name in parents:
            given = given[name]
        del given[last]

    return change


@pytest.mark.parametrize("piece", PIECES)
def test_a_configuration_with_a_piece_missing_grants_nothing_and_is_warned_of_once(
    bare_page: Page, warnings: list[str], demo_url: str, piece: str
) -> None:
    reconfigure(bare_page, without(piece))
    visitor = visit(bare_page, demo_url)
    assert bare_page.evaluate("window.ran") is None
    (warning,) = warnings
    assert warning.startswith("consent-service: ")
    assert [entry for entry in visitor.sent if "/v1/" in entry] == []


@pytest.mark.parametrize("whole", [None, 42, "text", [], {}])
def test_what_is_no_configuration_grants_nothing_and_is_warned_of_once(
    bare_page: Page,
    warnings: list[str],
    demo_url: str,
    whole: Any,  # noqa: ANN401 - JSON
) -> None:
    reconfigure(bare_page, lambda _: "" if whole is None else whole)
    visit(bare_page, demo_url)
    assert bare_page.evaluate("window.ran") is None
    (warning,) = warnings
    assert warning.startswith("consent-service: ")


@pytest.mark.parametrize("piece", ["dpo", "texts"])
def test_the_preference_centre_says_so_where_it_cannot_be_built(
    bare_page: Page, demo_url: str, piece: str
) -> None:
    def change(given: dict[str, Any]) -> None:
        if piece == "dpo":
            del given["dpo"]
        else:
            del given["texts"]["allow"]

    reconfigure(bare_page, change)
    visitor = visit(bare_page, demo_url)
    visitor.press("choose")
    expect(visitor.alert).to_contain_text("could not be saved")
    expect(visitor.banner).to_be_visible()
    visitor.decide("reject")


ANSWERS: dict[str, dict[str, Any]] = {
    "fails": {"status": 500, "body": "{}"},
    "answers with a page": {"status": 200, "content_type": "text/html", "body": "<h1>Hi</h1>"},
    "answers with nothing": {"status": 200, "content_type": "application/json", "body": ""},
    "answers with null": {"status": 200, "content_type": "application/json", "body": "null"},
    "answers with half": {"status": 200, "content_type": "application/json", "body": '{"record'},
    "answers something else": {
        "status": 200,
        "content_type": "application/json",
        "body": '{"record": {"id": "x"}, "purposes": {"optional": [], "essential": []}}',
    },
}
HOW = pytest.mark.parametrize("how", ANSWERS)


@contextmanager
def badly_answered(page: Page, origin: str, call: str, how: str) -> Iterator[Visitor]:
    """Visit while a call is answered so; hold that a choice is recorded once it no longer is."""
    page.route(call, lambda route: route.fulfill(**ANSWERS[how]))
    visitor = visit(page, origin)
    yield visitor
    page.unroute(call)
    visitor.decide("accept")
    page.wait_for_function(RAN)


@HOW
def test_a_choice_that_is_badly_answered_is_not_taken_for_recorded(
    bare_page: Page, demo_url: str, how: str
) -> None:
    with badly_answered(bare_page, demo_url, "**/consents", how) as visitor:
        visitor.press("accept")
        expect(visitor.alert).to_contain_text("could not be saved")
        expect(visitor.banner).to_be_visible()
        assert bare_page.evaluate("consentService.choices") is None
        assert bare_page.evaluate("consentService.gate('analytics')") is False
        assert bare_page.evaluate("window.ran") is None


@HOW
def test_a_language_that_is_badly_answered_leaves_the_notice_as_it_was(
    bare_page: Page, demo_url: str, how: str
) -> None:
    with badly_answered(bare_page, demo_url, "**/banner?**", how) as visitor:
        visitor.speak("sw")
        expect(visitor.alert).to_contain_text("could not be saved")
        expect(bare_page.locator("#csvc-accept")).to_have_text("Accept all")


@HOW
def test_a_link_that_is_badly_answered_is_told_and_grants_nothing(
    bare_page: Page, demo_url: str, how: str
) -> None:
    with badly_answered(bare_page, demo_url, "**/consents/link", how) as visitor:
        bare_page.evaluate(
            "void consentService.on('error', ({message}) => (window.told = message))"
        )
        assert bare_page.evaluate("consentService.link('token')") is None
        assert bare_page.evaluate("window.told")
        expect(visitor.banner).to_be_visible()
        assert bare_page.evaluate("consentService.gate('analytics')") is False


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 404, "body": "gone"},
        {"status": 200, "content_type": "text/html", "body": "<h1>Welcome</h1>"},
        {"status": 200, "content_type": "text/javascript", "body": "export default {"},
        None,
    ],
    ids=["gone", "a page", "half", "no connection"],
)
def test_where_the_second_file_fails_choosing_says_so_and_works_at_the_next_press(
    bare_page: Page, demo_url: str, answer: dict[str, Any] | None
) -> None:
    def fail(route: Route) -> None:
        if answer:
            route.fulfill(**answer)
        else:
            route.abort()

    bare_page.route("**/embed/more-*.js", fail)
    visitor = visit(bare_page, demo_url)
    visitor.press("choose")
    expect(visitor.alert).to_contain_text("check your connection")
    expect(visitor.banner).to_be_visible()
    bare_page.unroute("**/embed/more-*.js")
    visitor.press("choose")
    expect(visitor.centre).to_be_visible()
    visitor.centre.locator('[data-purpose="analytics"]').check()
    visitor.decide("save")
    bare_page.wait_for_function(RAN)


def test_accepting_and_rejecting_need_no_second_file(bare_page: Page, demo_url: str) -> None:
    bare_page.route("**/embed/more-*.js", lambda route: route.abort())
    visitor = visit(bare_page, demo_url)
    visitor.decide("accept")
    bare_page.wait_for_function(RAN)


@pytest.mark.parametrize("call", ["**/v1/gate?**", "**/consents"])
def test_while_the_service_is_slow_nothing_runs(bare_page: Page, demo_url: str, call: str) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    bare_page.route(call, hold)
    visitor = visit(bare_page, demo_url)
    with bare_page.expect_request(call):
        visitor.press("accept")
    bare_page.evaluate("new Promise(requestAnimationFrame)")
    assert bare_page.evaluate("window.ran") is None
    assert bare_page.evaluate("consentService.allows('analytics')") is False
    held[0].continue_()
    bare_page.wait_for_function(RAN)
