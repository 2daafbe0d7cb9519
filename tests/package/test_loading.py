"""How the script comes onto a page, and what holds where it does not."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from consent_service.demo.seed import SITE_KEY
from consent_service.embed.service import site_independent_digest, site_independent_script
from tests.package.site import INDEX, TRUSTED_TYPES, Customer, Shop

#: The script that is the same for every site, and its hash.
STATED = {
    "src": f"/embed/widget-{site_independent_digest()}.js",
    "integrity": site_independent_script().integrity,
}


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
        "dnt": True,
    }
    customer.page.evaluate(
        "async ([index, options]) => (await import(index)).load(options)", [INDEX, options]
    )
    expect(customer.page.locator("#csvc-accept")).to_have_text("Kubali vyote")
    tag = customer.page.locator(f'script[src="{shop.service}{options["src"]}"]')
    expect(tag).to_have_attribute("data-site", SITE_KEY)
    expect(tag).to_have_attribute("data-debug", "")
    expect(tag).to_have_attribute("data-dnt", "")
    assert tag.get_attribute("data-reload") is None
    assert tag.evaluate("(script) => script.nonce") == "abc"


def test_what_is_pushed_before_the_script_runs_after_a_grant(
    customer: Customer, shop: Shop
) -> None:
    customer.page.goto(f"{shop.origin}/blank.html?before")
    customer.page.evaluate(
        """async ([index, options]) => {
            const { load, push } = await import(index);
            window.ran = [];
            push(["preferences", () => ran.push("preferences")]);
            push(["analytics", ({ url, title }) => ran.push([new URL(url).search, title])]);
            history.replaceState(null, "", "?after");
            await (await load(options)).ready;
        }""",
        [INDEX, {"service": shop.service, "site": SITE_KEY}],
    )
    assert customer.page.evaluate("ran") == []
    customer.press("choose")
    customer.centre.get_by_role("checkbox", name="analytics").check()
    customer.decide("save")
    customer.page.wait_for_function("() => ran.length")
    assert customer.page.evaluate("ran") == [["?before", ""]]


def test_a_script_that_is_what_the_page_states_runs(customer: Customer, shop: Shop) -> None:
    customer.page.goto(f"{shop.origin}/blank.html")
    options = {"service": shop.service, "site": SITE_KEY, **STATED}
    customer.page.evaluate(
        "async ([index, options]) => (await (await import(index)).load(options)).ready",
        [INDEX, options],
    )
    assert customer.decide("accept")["choices"]["analytics"] is True
    assert customer.page.evaluate("consentService.gate('analytics')") is True
    script = f"{shop.service}{STATED['src']}"
    assert [entry for entry in customer.sent if "/embed/" in entry] == [f"GET {script}"]


def test_a_script_that_is_not_what_the_page_states_does_not_run(
    bare_page: Page, shop: Shop
) -> None:
    bare_page.goto(f"{shop.origin}/blank.html")
    wrong = f"sha384-{'A' * 64}"
    options = {"service": shop.service, "site": SITE_KEY, **STATED, "integrity": wrong}
    said = "nothing is allowed"
    with bare_page.expect_console_message(lambda message: said in message.text):
        answers = bare_page.evaluate(
            """async ([index, options]) => {
                const service = await (await import(index)).load(options);
                await service.ready;
                const recorded = await service.decide({ analytics: true });
                const gate = await service.gate("analytics");
                return [service.allows("analytics"), gate, recorded, window.consentService];
            }""",
            [INDEX, options],
        )
    assert answers == [False, False, None, None]
    expect(bare_page.locator("#csvc-root")).to_have_count(0)


def test_a_page_may_be_loaded_anew_after_a_withdrawal(customer: Customer, shop: Shop) -> None:
    customer.page.goto(f"{shop.origin}/blank.html")
    options = {"service": shop.service, "site": SITE_KEY, "reload": True}
    customer.page.evaluate(
        "async ([index, options]) => (await (await import(index)).load(options)).ready",
        [INDEX, options],
    )
    customer.decide("accept")
    with customer.page.expect_navigation():
        customer.page.evaluate("void consentService.withdraw()")


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
