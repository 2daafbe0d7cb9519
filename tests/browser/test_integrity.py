"""The script whose hash the page states: on strict pages, tampered with, and without an answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Route, expect

from consent_service.embed.service import site_independent_digest, site_independent_script
from tests.browser.conftest import Shop
from tests.browser.visitor import Visitor

FILE = f"widget-{site_independent_digest()}.js"
INTEGRITY = site_independent_script().integrity
WAITING = '<script type="text/plain" data-consent="analytics">window.ran = true;</script>'


def tag(service: str, attributes: str = "", site: str = "site_demo") -> str:
    """Return the tag that ``consent-service site snippet`` prints."""
    return (
        f'<script src="{service}/embed/{FILE}" data-site="{site}" integrity="{INTEGRITY}" '
        f'crossorigin="anonymous" async {attributes}></script>'
    )


@pytest.fixture
def failing(browser: Browser) -> Iterator[Page]:
    """A page whose browser may report what it could not load, but no exception."""
    with browser.new_context(locale="en-GB") as context:
        page = context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
        assert errors == []


@pytest.mark.parametrize(
    "allowed", [f"'{INTEGRITY}'", f"'{INTEGRITY}' 'strict-dynamic'", "'nonce-once'"]
)
def test_a_page_that_lets_nothing_else_run_has_its_banner(
    page: Page, shop: Shop, allowed: str
) -> None:
    shop.scripts = tag(shop.service, 'nonce="once"' if "nonce" in allowed else "")
    shop.headers["Content-Security-Policy"] = (
        f"default-src 'none'; script-src {allowed}; connect-src {shop.service}; "
        "require-trusted-types-for 'script'; trusted-types consent-service"
    )
    visitor = Visitor(page, shop.origin)
    page.goto(shop.origin)
    visitor.settled()
    record = visitor.decide("accept")
    assert record["choices"]["analytics"] is True
    assert page.evaluate("consentService.gate('analytics')") is True
    visitor.reload()
    expect(visitor.banner).to_have_count(0)
    assert page.evaluate("consentService.gate('analytics')") is True


def test_a_script_that_was_tampered_with_does_not_run(failing: Page, shop: Shop) -> None:
    def tamper(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=f"{answer.text()};window.ran = true;")

    failing.route("**/embed/*", tamper)
    shop.scripts = WAITING + tag(shop.service)
    visitor = Visitor(failing, shop.origin)
    with failing.expect_console_message(lambda message: "integrity" in message.text):
        failing.goto(shop.origin)
    assert failing.evaluate("[window.consentService, window.ran]") == [None, None]
    expect(failing.locator("#csvc-root")).to_have_count(0)
    assert [entry for entry in visitor.sent if "/v1/" in entry] == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        # A site that nobody has: the service says so, but not to any page that asks.
        (None, "data-site"),
        ({"status": 503, "body": "{}"}, "503"),
        ({"status": 200, "content_type": "text/html", "body": "<h1>Welcome</h1>"}, "JSON"),
        ({"status": 200, "content_type": "application/json", "body": "null"}, "null"),
    ],
)
def test_without_a_configuration_there_is_one_warning_and_nothing_runs(
    failing: Page, shop: Shop, answer: dict[str, Any] | None, said: str
) -> None:
    if answer:
        headers = {"Access-Control-Allow-Origin": shop.origin}
        failing.route("**/banner?**", lambda route: route.fulfill(**answer, headers=headers))
    warnings: list[str] = []

    def heard(message: ConsoleMessage) -> bool:
        warnings.extend([message.text] if message.type == "warning" else [])
        return message.type == "warning"

    shop.scripts = WAITING + tag(shop.service, site="site_demo" if answer else "site_nobody")
    with failing.expect_console_message(heard):
        failing.goto(shop.origin)
    failing.evaluate("fetch('/').then((answer) => answer.text())")
    (warning,) = warnings
    assert warning.startswith("consent-service: no banner, and nothing is allowed.")
    assert said in warning
    assert failing.evaluate("[window.consentService, window.ran]") == [None, None]
    expect(failing.locator("#csvc-root")).to_have_count(0)


def test_the_tag_says_the_language_and_the_page_the_signal(page: Page, shop: Shop) -> None:
    page.add_init_script("Object.defineProperty(navigator, 'globalPrivacyControl', {value: true})")
    shop.scripts = tag(shop.service, 'data-lang="sw"')
    visitor = Visitor(page, shop.origin)
    page.goto(shop.origin)
    visitor.settled()
    assert page.locator("#csvc-root").get_attribute("lang") == "sw"
    expect(visitor.banner.locator(".csvc-note")).to_have_count(1)
