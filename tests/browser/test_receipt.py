"""From the preference centre to the receipt: one press, wherever the token is kept."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.visitor import Visitor

LINK = "Your choice, with proof"


@pytest.fixture(params=["own host", "foreign host"])
def there(request: pytest.FixtureRequest, page: Page) -> Visitor:
    """A visitor on a page of the service's own host, or of another, whose cookies it cannot set."""
    if request.param == "own host":
        visitor: Visitor = request.getfixturevalue("visitor")
        visitor.open()
        return visitor
    shop: str = request.getfixturevalue("foreign_shop")
    page.goto(shop)
    visitor = Visitor(page, shop)
    visitor.settled()
    return visitor


def test_one_press_leads_from_the_centre_to_the_receipt_of_the_newest_choice(
    there: Visitor,
) -> None:
    there.press("choose")
    link = there.centre.get_by_role("link", name=LINK)
    # There is nothing to show yet.
    expect(there.centre).to_be_visible()
    expect(link).to_have_count(0)
    there.decide("reject")
    there.page.evaluate("consentService.open()")
    there.page.check("[data-purpose=analytics]")
    newest = there.decide("save")
    there.page.evaluate("consentService.open()")
    with there.page.context.expect_page() as opened:
        link.click()
    receipt = opened.value
    expect(receipt.get_by_role("heading", level=1)).to_have_text(LINK)
    expect(receipt.locator("#proof ~ dl")).to_contain_text(newest["id"])
    expect(receipt.locator(".answers .allowed").first).to_contain_text("Allowed")
    assert receipt.evaluate("opener") is None
    # The page that it was opened from stays as it is.
    expect(there.centre).to_be_visible()
    receipt.close()
