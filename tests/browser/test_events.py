"""What a page tells of its banner: once a visitor and version, after it is painted, of nobody."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from consent_service.access.actor import OPERATOR
from consent_service.db import Database
from consent_service.notices.service import publish_notice
from consent_service.tenants.service import find_site
from tests.browser.conftest import Shop
from tests.browser.visitor import COOKIE, Visitor
from tests.servers import wait_until

NOTICE = Path(__file__).parents[2] / "consent_service/demo/notice.json"
#: What a person's browser says, which Chromium without windows does not.
PERSON = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Safari/537.36"
)


def told(page: Page) -> list[dict[str, Any]]:
    """Return a list that what the page tells is added to."""
    said: list[dict[str, Any]] = []

    def hear(request: Request) -> None:
        if request.url.endswith("/events"):
            said.append(json.loads(request.post_data or ""))
            assert request.method == "POST"
            assert not {"cookie", "x-consent-token"} & request.all_headers().keys()

    page.on("request", hear)
    return said


def visit(page: Page, origin: str) -> Visitor:
    """Open a page that waits for nothing more."""
    visitor = Visitor(page, origin)
    page.goto(origin)
    visitor.settled()
    # What is told of what is painted now is told before this.
    page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))")
    return visitor


def test_a_banner_is_counted_once_a_visitor_and_version(
    browser: Browser, own_shop: Shop, sqlite_url: str
) -> None:
    own_shop.embed()
    with browser.new_context(user_agent=PERSON, locale="en-GB") as context:
        page = context.new_page()
        said = told(page)
        visitor = visit(page, own_shop.origin)
        shown = {"type": "shown", "notice_version": 1, "language": "en", "gpc": False}
        assert said == [shown]
        assert visitor.cookies() == {}
        for _ in range(2):
            visit(page, own_shop.origin)
        assert said == [shown]

        database = Database(sqlite_url)
        site = find_site(database, "site_demo")
        publish_notice(database, site, json.loads(NOTICE.read_text("utf-8")), by=OPERATOR)
        database.close()
        wait_until(
            lambda: (
                '"notice_version":2'
                in page.request.get(f"{own_shop.service}/embed/site_demo.js?lang=en").text()
            ),
            "the new version was not served",
        )
        # Another address than the one that the browser keeps a script of.
        own_shop.scripts = own_shop.scripts.replace("demo.js", "demo.js?lang=en")
        visit(page, own_shop.origin)
        assert said == [shown, shown | {"notice_version": 2}]
        path = sqlite_url.removeprefix("sqlite:///")

        def rows() -> list[tuple[Any, ...]]:
            query = "SELECT kind, notice_version, number, bot FROM impressions ORDER BY 2"
            with sqlite3.connect(path) as connection:
                return connection.execute(query).fetchall()

        wait_until(lambda: len(rows()) == 2, "not all was written")
        assert rows() == [("shown", 1, 1, 0), ("shown", 2, 1, 0)]


def test_a_choice_says_how_long_it_took_and_is_told_of_no_more(page: Page, shop: Shop) -> None:
    shop.embed()
    said = told(page)
    visitor = visit(page, shop.origin)
    with page.expect_request("**/consents") as request:
        visitor.decide("reject")
    sent: Any = request.value.post_data_json
    after = sent["after_ms"]
    assert isinstance(after, int)
    assert 0 <= after < 60_000
    visit(page, shop.origin)
    assert [each["type"] for each in said] == ["shown"]


def test_closing_and_opening_are_told_of_each_time(strict_shop: str, page: Page) -> None:
    said = told(page)
    visitor = visit(page, strict_shop)
    visitor.press("choose")
    expect(visitor.centre).to_be_visible()
    visitor.press("close")
    expect(visitor.banner).to_be_visible()
    visitor.press("close")
    expect(page.locator("#csvc-reopen")).to_be_visible()
    wait_until(lambda: page.evaluate("1") and len(said) >= 3, "not all was told")
    assert [each["type"] for each in said] == ["shown", "preferences_opened", "dismissed"]
    assert page.evaluate("window.troubles") == []


@pytest.mark.parametrize("kept", ["nothing", "everything"])
def test_where_nothing_can_be_kept_it_is_told_once_a_page(
    page: Page, shop: Shop, kept: str
) -> None:
    if kept == "nothing":
        page.add_init_script(
            "Object.defineProperty(window, 'localStorage', {get() { throw new Error('blocked') }})"
        )
    shop.embed()
    said = told(page)
    visitor = visit(page, shop.origin)
    visitor.speak("sw")
    expect(page.locator("#csvc-root")).to_have_attribute("lang", "sw")
    visit(page, shop.origin)
    assert [each["type"] for each in said] == ["shown"] * (2 if kept == "nothing" else 1)


@pytest.mark.parametrize("how", ["gone", "throws"])
def test_where_it_cannot_be_told_nobody_notices(bare_page: Page, shop: Shop, how: str) -> None:
    if how == "gone":
        bare_page.route("**/events", lambda route: route.abort())
    else:
        bare_page.add_init_script(
            """const real = window.fetch;
            window.fetch = (address, options) => {
                if (String(address).endsWith("/events")) throw new Error("no");
                return real(address, options);
            };"""
        )
    shop.embed()
    heard = """consentService.on("error", ({ message }) => (window.failed = message))"""
    visitor = visit(bare_page, shop.origin)
    bare_page.evaluate(f"void {heard}")
    visitor.decide("accept")
    assert bare_page.evaluate("consentService.gate('analytics')") is True
    assert bare_page.evaluate("window.failed") is None
    assert f"{COOKIE}_shown" in bare_page.evaluate("Object.keys(localStorage)")
