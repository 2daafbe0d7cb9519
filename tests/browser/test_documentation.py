"""What docs/widget.md shows, put into a page as it stands there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
from playwright.sync_api import Page, Route, expect

from consent_service.access.actor import OPERATOR
from consent_service.db import Database
from consent_service.notices.service import publish_notice
from consent_service.tenants.service import find_site
from tests.browser.conftest import Shop
from tests.browser.visitor import Visitor
from tests.servers import wait_until

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/widget.md").read_text("utf-8")
NOTICE = json.loads((ROOT / "consent_service/demo/notice.json").read_text("utf-8"))

#: A service that the examples name and the demo does not have.
MAP = {"key": "map", "name": "Map", "provider": "Example Ltd", "hosts": [], "cookies": []}

#: What the examples call, and a note of all that is blocked and released.
BEFORE = """
    const seen = {blocked: new Set(), released: new Set(), counted: [], stopped: 0};
    const countView = (...view) => seen.counted.push(view);
    const stopCounting = () => seen.stopped++;
"""
AFTER = """
    for (const event of ["blocked", "released"])
        consentService.on(event, ({element}) => seen[event].add(element.localName));
"""


def examples(language: str) -> list[str]:
    """Return the page's examples in a language, except for those with parts left out."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return [block for block in blocks if "…" not in block]


def _answer(route: Route) -> None:
    is_script = route.request.resource_type == "script"
    route.fulfill(body="", content_type="text/javascript" if is_script else "text/html")


def test_the_examples_of_the_page_do_what_it_says(
    bare_page: Page, own_shop: Shop, sqlite_url: str
) -> None:
    purposes = [
        {**purpose, "services": [*purpose["services"], MAP]}
        if purpose["key"] == "preferences"
        else purpose
        for purpose in NOTICE["purposes"]
    ]
    database = Database(sqlite_url)
    publish_notice(
        database, find_site(database, "site_demo"), {**NOTICE, "purposes": purposes}, by=OPERATOR
    )
    database.close()
    banner = f"{own_shop.service}/v1/sites/site_demo/banner"
    wait_until(lambda: "Map" in httpx.get(banner).text, "the notice did not change")

    script, elements = examples("html")
    (style,) = examples("css")
    queue, listening = examples("js")
    script = script.replace("https://consent.example.com", own_shop.service)
    script = script.replace("SITE_KEY", "site_demo").replace(" async", "")
    own_shop.html = f"""<!doctype html><html lang="en"><title>Shop</title><style>{style}</style>
        <script>{BEFORE}{queue}</script>{script}<script>{AFTER}{listening}</script>
        <main><h1>Shop</h1>{elements}</main>"""
    visitor = Visitor(bare_page, own_shop.origin)
    elsewhere = re.compile(rf"^(?!{re.escape(own_shop.service)}|{re.escape(own_shop.origin)}/$)")
    bare_page.route(elsewhere, _answer)
    bare_page.goto(own_shop.origin)
    visitor.settled()
    tagged = {"script", "iframe", "img", "link", "video", "template"}
    bare_page.wait_for_function(f"seen.blocked.size === {len(tagged)}")
    assert set(bare_page.evaluate("[...seen.blocked]")) == tagged
    assert not any(elsewhere.match(entry.partition(" ")[2]) for entry in visitor.sent)
    assert bare_page.evaluate("seen.counted") == []
    expect(bare_page.locator(".csvc-embed b")).to_have_text(
        ["Map to our office", "A look round our office"]
    )
    expect(visitor.banner).to_have_css("background-color", "rgb(255, 253, 247)")

    visitor.press("accept")
    bare_page.wait_for_function(f"seen.released.size === {len(tagged)}")
    expect(bare_page.locator(".csvc-embed")).to_have_count(0)
    expect(bare_page.locator("main")).to_contain_text("all of it comes and goes together")
    files = ("analytics.js", "counter.js", "theme.css", "office.mp4")
    while not {f"GET {own_shop.origin}/{file}" for file in files} <= set(visitor.sent):
        bare_page.wait_for_event("request")
    ((url, _, title, _),) = bare_page.evaluate("seen.counted")
    assert (url, title) == (f"{own_shop.origin}/", "Shop")

    bare_page.click("text=Cookie settings")
    visitor.press("reject")
    bare_page.wait_for_function("seen.stopped === 1")
    expect(bare_page.locator(".csvc-embed")).to_have_count(2)
    expect(bare_page.locator("main")).not_to_contain_text("all of it comes and goes together")
