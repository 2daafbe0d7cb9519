"""How the script comes onto a page, and what holds where it does not."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from consent_service.demo.seed import SITE_KEY
from tests.package.site import INDEX, TRUSTED_TYPES, Customer, Shop


@pytest.mark.parametrize("name", ["loads", "tagged"])
def test_the_script_is_on_the_page_once(customer: Customer, shop: Shop, name: str) -> None:
    customer.page.goto(f"{shop.origin}/{name}.html")
    customer.settled()
    same = customer.page.evaluate(
        """async ([index, options]) => {
            const { load } = await import(index);
            return load(options) === loaded && await loaded === consentService;
        }""",
        [INDEX, {"service": shop.service, "site": SITE_KEY}],
    )
    assert same
    script = f"{shop.service}/embed/{SITE_KEY}.js"
    assert customer.sent.count(f"GET {script}") == 1
    expect(customer.page.locator(f'script[src="{script}"]')).to_have_count(1)


def test_the_tag_says_what_it_was_told(customer: Customer, shop: Shop) -> None:
    customer.page.goto(f"{shop.origin}/blank.html")
    options = {
        "service": shop.service,
        "site": SITE_KEY,
        "src": f"/embed/{SITE_KEY}.js?lang=sw",
        "nonce": "abc",
        "debug": True,
    }
    customer.page.evaluate(
        "async ([index, options]) => (await import(index)).load(options)", [INDEX, options]
    )
    expect(customer.page.locator("#csvc-accept")).to_have_text("Kubali vyote")
    tag = customer.page.locator(f'script[src="{shop.service}{options["src"]}"]')
    expect(tag).to_have_attribute("data-site", SITE_KEY)
    expect(tag).to_have_attribute("data-debug", "")
    assert tag.evaluate("(script) => script.nonce") == "abc"


def test_what_is_pushed_early_waits_under_the_one_name(customer: Customer, shop: Shop) -> None:
    customer.page.goto(f"{shop.origin}/blank.html")
    waiting = customer.page.evaluate(
        """async (index) => {
            const { push } = await import(index);
            push(["analytics", () => {}]);
            push(["preferences", () => {}]);
            return consentService.map(([purpose]) => purpose);
        }""",
        INDEX,
    )
    assert waiting == ["analytics", "preferences"]


#: What a browser that blocks the script has in its place.
BLOCKED: dict[str, dict[str, Any]] = {
    "gone": {},
    "emptied": {"body": "", "content_type": "text/javascript"},
    "replaced": {"status": 404, "body": "<h1>No</h1>", "content_type": "text/html"},
}


@pytest.mark.parametrize("answer", BLOCKED.values(), ids=BLOCKED)
@pytest.mark.parametrize("name", ["loads", "tagged"])
def test_where_the_script_is_blocked_everything_is_denied(
    bare_page: Page, shop: Shop, name: str, answer: dict[str, Any]
) -> None:
    bare_page.route(
        "**/embed/**", lambda route: route.fulfill(**answer) if answer else route.abort()
    )
    bare_page.goto(f"{shop.origin}/{name}.html")
    answers = bare_page.evaluate(
        """async (index) => {
            const { open, push, withdraw } = await import(index);
            const service = await loaded;
            await service.ready;
            push(["analytics", () => { throw new Error("ran"); }]);
            open();
            await withdraw();
            await service.decide({ analytics: true });
            return [service.allows("analytics"), await service.gate("analytics"), service.choices];
        }""",
        INDEX,
    )
    assert answers == [False, False, None]


@pytest.mark.parametrize(("name", "allowed"), [("loads", False), ("tagged", True)])
def test_a_page_that_trusts_no_address_keeps_to_its_own_tag(
    bare_page: Page, shop: Shop, name: str, *, allowed: bool
) -> None:
    bare_page.goto(f"{shop.origin}/{name}.html?{TRUSTED_TYPES}")
    is_service = bare_page.evaluate("async () => await loaded === window.consentService")
    assert is_service is allowed
