"""A service that is slow, gone, or lies; signals; storage on a foreign host. Never a grant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from consent_service.access.actor import OPERATOR
from consent_service.db import Database
from consent_service.notices.service import publish_notice
from consent_service.tenants.service import find_site
from tests.browser.conftest import Shop
from tests.browser.visitor import COOKIE, Visitor
from tests.servers import wait_until

NOTICE = Path(__file__).parents[2] / "consent_service/demo/notice.json"
VECTORS = json.loads((Path(__file__).parent.parent / "vectors/choices.json").read_text("utf-8"))


@pytest.fixture
def unlucky(bare_page: Page, demo_url: str) -> Visitor:
    """A visitor for whom requests fail."""
    return Visitor(bare_page, demo_url)


def test_a_choice_that_cannot_be_stored_grants_nothing_and_says_so(unlucky: Visitor) -> None:
    unlucky.page.route("**/consents", lambda route: route.abort())
    unlucky.open()
    unlucky.press("accept")
    expect(unlucky.alert).not_to_be_empty()
    expect(unlucky.banner).to_be_visible()
    unlucky.navigate("inbox")
    assert not unlucky.loaded("analytics.js")


def test_a_choice_is_sent_again_and_stored_once(unlucky: Visitor) -> None:
    tries: list[str] = []

    def lose_the_first_answer(route: Route) -> None:
        tries.append(route.request.headers["idempotency-key"])
        if len(tries) == 1:
            route.fetch()
            route.abort()
        else:
            route.continue_()

    unlucky.page.route("**/consents", lose_the_first_answer)
    unlucky.open()
    record = unlucky.decide("accept")
    assert len(tries) == 2
    assert tries[0] == tries[1]
    assert record["sequence"] == 1
    held = unlucky.page.evaluate(
        "fetch('/v1/sites/site_demo/consents/me').then((answer) => answer.json())"
    )
    assert [entry["id"] for entry in held["history"]] == [record["id"]]


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 500, "body": "{}"},
        {"status": 200, "content_type": "text/html", "body": "<h1>Welcome</h1>"},
        {"status": 200, "content_type": "application/json", "body": "null"},
        {"status": 200, "content_type": "application/json", "body": '{"allow": true}'},
        {
            "status": 200,
            "content_type": "application/json",
            "body": '{"decisions": {"analytics": {"allow": "yes"}}}',
        },
    ],
)
def test_a_gate_that_fails_or_lies_denies(unlucky: Visitor, answer: dict[str, Any]) -> None:
    unlucky.page.route("**/v1/gate?**", lambda route: route.fulfill(**answer))
    unlucky.open()
    unlucky.decide("accept")
    unlucky.navigate("inbox")
    assert unlucky.page.evaluate("consentService.gate('analytics')") is False
    assert not unlucky.loaded("analytics.js")


def test_a_notice_that_changed_meanwhile_is_shown_before_anything_is_stored(
    unlucky: Visitor,
) -> None:
    changed: dict[str, Any] = {}

    def make_stale(route: Route) -> None:
        body = route.request.post_data_json
        assert body is not None
        if not changed:
            body["notice_version"] += 1
            changed["first"] = body
        route.continue_(post_data=json.dumps(body))

    unlucky.page.route("**/consents", make_stale)
    unlucky.open()
    unlucky.press("accept")
    expect(unlucky.banner.locator(".csvc-note")).to_be_visible()
    assert COOKIE not in unlucky.cookies()
    assert not unlucky.loaded("analytics.js")
    unlucky.decide("accept")
    unlucky.expect_hits(1)


def test_a_widget_that_is_blocked_leaves_the_page_working(unlucky: Visitor) -> None:
    unlucky.page.route("**/embed/**", lambda route: route.abort())
    unlucky.page.goto(f"{unlucky.origin}/demo/")
    unlucky.navigate("inbox")
    assert not unlucky.loaded("analytics.js")
    assert unlucky.hits_sent() == 0


def test_on_a_foreign_host_the_widget_keeps_the_token_itself(
    bare_page: Page, foreign_shop: str
) -> None:
    visitor = Visitor(bare_page, foreign_shop)
    visitor.page.goto(foreign_shop)
    visitor.settled()
    visitor.decide("accept")
    assert visitor.page.evaluate("consentService.gate('analytics')") is True
    token = visitor.page.evaluate(f"localStorage.getItem('{COOKIE}')")
    assert token.startswith("1~site_demo~vis_")
    assert set(visitor.cookies()) == {f"{COOKIE}_choices"}
    visitor.reload()
    expect(visitor.banner).to_have_count(0)
    assert visitor.page.evaluate("consentService.gate('analytics')") is True
    visitor.page.evaluate("consentService.withdraw()")
    assert visitor.page.evaluate("consentService.gate('analytics')") is False


def test_the_widget_writes_the_choices_as_the_service_does(
    bare_page: Page, foreign_shop: str
) -> None:
    case = VECTORS["cases"][0]
    allowed = {
        "Access-Control-Allow-Origin": foreign_shop,
        "Access-Control-Allow-Credentials": "true",
    }
    bare_page.route(
        "**/consents",
        lambda route: route.fulfill(
            status=201, headers=allowed, json={"record": case["record"], "token": "held"}
        ),
    )
    # Before the choice runs out.
    bare_page.clock.set_fixed_time("2026-06-01T12:00:00Z")
    visitor = Visitor(bare_page, foreign_shop)
    visitor.page.goto(foreign_shop)
    visitor.settled()
    visitor.decide("accept")
    assert visitor.page.evaluate(f"localStorage.getItem('{COOKIE}')") == "held"
    assert visitor.cookies()[f"{COOKIE}_choices"]["value"] == case["value"]


def test_a_browsers_opt_out_signal_is_shown_and_recorded(browser: Browser, demo_url: str) -> None:
    with browser.new_context(extra_http_headers={"Sec-GPC": "1"}) as context:
        visitor = Visitor(context.new_page(), demo_url)
        visitor.open()
        expect(visitor.banner.locator(".csvc-note")).to_contain_text("signal")
        record = visitor.decide("accept")
        assert record["gpc"] is True
        visitor.expect_hits(1)


def test_a_grant_given_without_the_signal_does_not_hold_with_it(
    browser: Browser, demo_url: str
) -> None:
    with browser.new_context() as context:
        visitor = Visitor(context.new_page(), demo_url)
        visitor.open()
        visitor.decide("accept")
        visitor.expect_hits(1)
        context.set_extra_http_headers({"Sec-GPC": "1"})
        visitor.reload()
        visitor.navigate("inbox")
        assert visitor.hits_sent() == 1
        assert visitor.page.evaluate("consentService.gate('analytics')") is False


def test_storage_that_throws_does_not_break_the_page(unlucky: Visitor) -> None:
    unlucky.page.add_init_script(
        "Object.defineProperty(window, 'localStorage', {get() { throw new Error('blocked'); }})"
    )
    unlucky.open()
    unlucky.decide("accept")
    unlucky.expect_hits(1)


def test_a_second_copy_of_the_script_does_nothing(unlucky: Visitor) -> None:
    unlucky.open()
    unlucky.page.add_script_tag(url=f"{unlucky.origin}/embed/site_demo.js?lang=sw")
    unlucky.page.evaluate("consentService.ready")
    expect(unlucky.page.locator("#csvc-root")).to_have_count(1)
    expect(unlucky.page.locator("#csvc-accept")).to_have_text("Accept all")


def test_the_page_gets_one_global_and_no_other(page: Page, shop: Shop) -> None:
    shop.html = f"""<!doctype html><title>Shop</title><main>Goods</main>
        <script>window.before = [...Object.getOwnPropertyNames(window), "before"];</script>
        <script src="{shop.service}/embed/site_demo.js"></script>"""
    page.goto(shop.origin)
    page.evaluate("consentService.ready")
    page.click("#csvc-choose")
    expect(page.locator("#csvc-save")).to_be_visible()
    added = page.evaluate(
        "Object.getOwnPropertyNames(window).filter((name) => !before.includes(name))"
    )
    assert added == ["consentService"]


def test_a_new_material_notice_asks_again_and_the_old_grant_is_denied(
    browser: Browser, own_demo: str, sqlite_url: str
) -> None:
    with browser.new_context(locale="en-GB") as context:
        visitor = Visitor(context.new_page(), own_demo)
        visitor.open()
        visitor.decide("accept")
        visitor.expect_hits(1)

        database = Database(sqlite_url)
        notice = json.loads(NOTICE.read_text("utf-8"))
        notice["policy"]["material"] = True
        published = publish_notice(database, find_site(database, "site_demo"), notice, by=OPERATOR)
        database.close()
        ask = (
            f"fetch('{own_demo}/v1/gate?site=site_demo&purpose=analytics')"
            ".then((answer) => answer.json())"
        )
        wait_until(
            lambda: visitor.page.evaluate(ask)["notice_version"] == published.version,
            "the service did not hear of the notice",
        )
        answer = visitor.page.evaluate(ask)
        assert answer["decisions"]["analytics"]["reason"] == "notice_changed"

        # In the other language, whose script this browser has not kept.
        visitor.open("sw")
        expect(visitor.banner.locator(".csvc-note")).to_be_visible()
        assert visitor.hits_sent() == 1
