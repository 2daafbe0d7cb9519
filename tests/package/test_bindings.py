"""The examples for each framework, as a visitor lives through them."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.package.site import FRAMEWORKS, Customer, Shop


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_page_from_the_server_shows_the_fallback(
    browser: Browser, shop: Shop, framework: str
) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        customer = Customer(context.new_page(), shop.origin)
        customer.page.goto(f"{shop.origin}/{framework}/")
        customer.sees(counted=False, shown=False)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_gated_part_comes_with_consent_and_goes_with_it(
    customer: Customer, framework: str
) -> None:
    customer.page.goto(f"{customer.origin}/{framework}/")
    customer.settled()
    customer.sees(counted=False, shown=False)
    customer.decide("accept")
    customer.sees(counted=True, shown=True)
    expect(customer.map.content_frame.get_by_text("The map.")).to_be_visible()
    customer.reload()
    customer.sees(counted=True, shown=True)
    customer.presses("Withdraw")
    customer.sees(counted=False, shown=False)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_what_stays_allowed_stays_where_it_is(customer: Customer, framework: str) -> None:
    customer.page.goto(f"{customer.origin}/{framework}/")
    customer.settled()
    customer.decide("accept")
    customer.sees(counted=True, shown=True)
    before = customer.map.element_handle()
    customer.presses("Cookie settings")
    customer.centre.get_by_role("checkbox", name="analytics").uncheck()
    customer.decide("save")
    customer.sees(counted=False, shown=True)
    assert before.evaluate("(element) => element.isConnected")


def test_a_withdrawal_through_the_page_ends_it_before_it_is_recorded(
    customer: Customer,
) -> None:
    customer.page.goto(f"{customer.origin}/vue/")
    customer.settled()
    customer.decide("accept")
    customer.sees(counted=True, shown=True)
    with customer.page.expect_request("**/consents"):
        customer.page.route("**/consents", lambda _: None)
        customer.presses("Withdraw")
    customer.sees(counted=False, shown=False)


def test_a_refusal_through_the_preference_centre_ends_it_before_it_is_recorded(
    customer: Customer,
) -> None:
    customer.page.goto(f"{customer.origin}/vue/")
    customer.settled()
    customer.decide("accept")
    customer.sees(counted=True, shown=True)
    customer.presses("Cookie settings")
    customer.centre.get_by_role("checkbox", name="analytics").uncheck()
    with customer.page.expect_request("**/consents"):
        customer.page.route("**/consents", lambda _: None)
        customer.press("save")
    customer.sees(counted=False, shown=True)


def test_a_refusal_that_cannot_be_recorded_ends_it_as_well(bare_page: Page, shop: Shop) -> None:
    customer = Customer(bare_page, shop.origin)
    bare_page.goto(f"{shop.origin}/vue/")
    customer.settled()
    customer.decide("accept")
    customer.sees(counted=True, shown=True)
    bare_page.route("**/consents", lambda route: route.abort())
    customer.presses("Cookie settings")
    customer.press("reject")
    customer.sees(counted=False, shown=False)


def test_without_a_framework_a_tag_does_it(customer: Customer) -> None:
    visits = customer.page.locator("#visits")
    customer.page.goto(f"{customer.origin}/html/")
    customer.settled()
    expect(visits).to_have_text("Visits are not counted.")
    customer.decide("accept")
    expect(visits).to_have_text("Visits are counted.")
    customer.presses("Cookie settings")
    customer.decide("reject")
    expect(visits).to_have_text("Visits are not counted.")


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_where_the_script_is_blocked_the_page_keeps_its_fallback(
    bare_page: Page, shop: Shop, framework: str
) -> None:
    bare_page.route("**/embed/**", lambda route: route.abort())
    customer = Customer(bare_page, shop.origin)
    with bare_page.expect_console_message(lambda message: "nothing is allowed" in message.text):
        bare_page.goto(f"{shop.origin}/{framework}/")
    customer.presses("Cookie settings")
    customer.presses("Withdraw")
    customer.sees(counted=False, shown=False)
