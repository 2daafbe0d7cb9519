"""Under a policy that names no host: what the nonce brings may bring the rest."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Shop


@pytest.mark.parametrize("scripts", ["'nonce-shop'", "'nonce-shop' 'strict-dynamic'"])
def test_a_nonce_is_enough_for_both_files_and_for_tagged_scripts(
    page: Page, shop: Shop, scripts: str
) -> None:
    shop.headers["Content-Security-Policy"] = (
        f"default-src 'none'; img-src data:; connect-src {shop.service}; script-src {scripts}; "
        "require-trusted-types-for 'script'; trusted-types consent-service"
    )
    shop.html = f"""<!doctype html><title>Shop</title><link rel="icon" href="data:,">
        <script nonce="shop" src="{shop.service}/embed/site_demo.js"></script>
        <main>Goods</main>
        <script nonce="shop" type="text/plain" data-consent="analytics">window.counted = 1</script>
    """
    page.goto(shop.origin)
    page.evaluate("consentService.ready")
    page.click("#csvc-choose")
    expect(page.locator("#csvc-save")).to_be_visible()
    page.click("#csvc-accept")
    expect(page.locator("#csvc-reopen")).to_be_visible()
    assert page.evaluate("consentService.gate('analytics')") is True
    assert page.evaluate("window.counted") == 1
