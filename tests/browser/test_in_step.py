"""One visitor in several places at once: tabs, subdomains, devices, pages kept and prepared."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from consent_service.access.actor import OPERATOR
from consent_service.db import Database
from consent_service.notices.service import publish_notice
from consent_service.signing import Keyring
from consent_service.tenants.link_keys import LinkKey, add_link_key
from consent_service.tenants.service import create_site, find_site, find_tenant
from tests import servers
from tests.browser.conftest import SharedShop, Shop
from tests.browser.own_pages import WAITING, stage
from tests.browser.visitor import COOKIE, Visitor
from tests.builders import make_user_token
from tests.servers import wait_until

NOTICE = Path(__file__).parents[2] / "consent_service/demo/notice.json"
#: Milliseconds: what another tab may take to follow.
ONE_SECOND = 1000
RAN = "() => window.ran === 1"
#: How pages keep what `change` tells them.
HEAR = """() => {
    window.heard = [];
    consentService.on("change", ({ choices }) => window.heard.push(choices.analytics));
}"""


def tab(context: BrowserContext, address: str) -> Visitor:
    """Open one more tab of the same visitor, whose loader listens."""
    visitor = Visitor(context.new_page(), address)
    visitor.page.goto(address)
    visitor.settled()
    visitor.page.evaluate(HEAR)
    return visitor


@pytest.fixture(params=["own host", "foreign host"])
def tabs(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Callable[[], Visitor]]:
    """Opens tabs of one visitor on the service's own host or on another."""
    with browser.new_context(locale="en-GB") as context:
        if request.param == "own host":
            address = stage(context, request.getfixturevalue("demo_url"))
        else:
            shop: Shop = request.getfixturevalue("shop")
            shop.embed(WAITING)
            address = shop.origin
        yield lambda: tab(context, address)


def test_other_tabs_follow_a_choice_and_a_withdrawal_at_once(
    tabs: Callable[[], Visitor],
) -> None:
    here, there = tabs(), tabs()
    here.decide("accept")
    expect(there.banner).to_have_count(0, timeout=ONE_SECOND)
    expect(there.page.locator("#csvc-reopen")).to_be_visible()
    there.page.wait_for_function(RAN, timeout=ONE_SECOND)
    assert there.page.evaluate("window.heard") == [True]

    here.page.evaluate("consentService.withdraw()")
    there.page.wait_for_function("() => window.heard.length === 2", timeout=ONE_SECOND)
    assert there.page.evaluate("window.heard") == [True, False]
    assert there.page.evaluate("consentService.allows('analytics')") is False
    assert there.page.evaluate("consentService.gate('analytics')") is False
    expect(there.banner).to_have_count(0)


def test_what_is_chosen_in_one_tab_stands_in_the_preference_centre_of_another(
    tabs: Callable[[], Visitor],
) -> None:
    here, there = tabs(), tabs()
    here.decide("accept")
    there.page.wait_for_function("() => window.heard.length", timeout=ONE_SECOND)
    there.press("reopen")
    expect(there.centre.locator('[data-purpose="analytics"]')).to_be_checked()
    assert there.decide("reject")["action"] == "withdraw"
    here.page.wait_for_function("() => window.heard.length === 2", timeout=ONE_SECOND)
    assert here.page.evaluate("window.heard") == [True, False]


def test_a_refusal_in_one_tab_takes_the_banner_from_another(tabs: Callable[[], Visitor]) -> None:
    here, there = tabs(), tabs()
    here.decide("reject")
    expect(there.banner).to_have_count(0, timeout=ONE_SECOND)
    assert there.page.evaluate("window.heard") == [False]
    assert there.page.evaluate("window.ran") is None


@pytest.fixture
def subdomains(own_shop: Shop, sqlite_url: str) -> tuple[str, str]:
    """Two hosts of one site, whose service on a third sets cookies for them all."""
    port = urlsplit(own_shop.origin).port
    hosts = [f"http://{name}.shop.localhost:{port}" for name in ("www", "app")]
    database = Database(sqlite_url)
    site = create_site(
        database,
        find_tenant(database, "momo-pulse"),
        "Shop",
        hosts,
        site_key="site_shop",
        cookie_domain="shop.localhost",
        by=OPERATOR,
    )
    publish_notice(database, site, json.loads(NOTICE.read_text("utf-8")), by=OPERATOR)
    database.close()
    wait_until(
        lambda: httpx.get(f"{own_shop.service}/embed/site_shop.js").is_success,
        "the service did not hear of the site",
    )
    service = f"http://consent.shop.localhost:{urlsplit(own_shop.service).port}"
    own_shop.scripts = WAITING + f'<script src="{service}/embed/site_shop.js"></script>'
    return hosts[0], hosts[1]


def test_a_subdomain_follows_as_soon_as_its_tab_is_shown_again(
    browser: Browser, subdomains: tuple[str, str]
) -> None:
    # Headless, every tab counts as visible: the event that a browser sends is sent by the test.
    look = "document.dispatchEvent(new Event('visibilitychange', { bubbles: true }))"
    www, app = subdomains
    with browser.new_context(locale="en-GB") as context:
        here, there = tab(context, www), tab(context, app)
        here.decide("accept")
        assert context.cookies(www)[0].get("domain") == ".shop.localhost"
        there.page.evaluate(look)
        expect(there.banner).to_have_count(0, timeout=ONE_SECOND)
        there.page.wait_for_function(RAN, timeout=ONE_SECOND)

        there.page.evaluate("consentService.withdraw()")
        here.page.evaluate(look)
        here.page.wait_for_function("() => window.heard.length === 2", timeout=ONE_SECOND)
        assert here.page.evaluate("window.heard") == [True, False]
        assert here.page.evaluate("consentService.gate('analytics')") is False


@pytest.fixture
def remembering(browser: Browser) -> Iterator[Browser]:
    """A browser that keeps the pages that were left, to go back to (bfcache)."""
    made = browser.browser_type.launch(
        executable_path=servers.find_browser("chromium"),
        args=["--no-sandbox", "--disable-gpu"],
        ignore_default_args=["--disable-back-forward-cache"],
    )
    yield made
    made.close()


def test_a_page_gone_back_to_follows_what_was_chosen_meanwhile(
    remembering: Browser, subdomains: tuple[str, str]
) -> None:
    # On another host: a message from a tab of the same one would have the browser drop the page.
    www, app = subdomains
    with remembering.new_context(locale="en-GB") as context:
        visitor = tab(context, www)
        expect(visitor.banner).to_be_visible()
        visitor.page.goto(app)
        visitor.settled()
        visitor.decide("accept")
        visitor.page.go_back(wait_until="commit")
        visitor.page.wait_for_function("() => window.heard?.length")
        # What was on the page before it was left is there still.
        assert visitor.page.evaluate("window.heard") == [True]
        expect(visitor.banner).to_have_count(0)
        visitor.page.wait_for_function(RAN)


#: The first page of a visit that goes on to one that the browser has prepared, where `told` is
#: what happened there, and whether while it was prepared. DevTools would have it prepare nothing,
#: so the pages tell the test by themselves.
PREPARING = """<!doctype html><title>Shop</title>
<script>
    window.told = [];
    const tell = (what) => told.push([what, document.prerendering]);
    const send = (path) => plainFetch(`/${path}?${encodeURIComponent(JSON.stringify(told))}`);
    const plainFetch = fetch;
    window.fetch = (address, ...more) => {
        tell(new URL(address).pathname);
        return plainFetch(address, ...more);
    };
    (window.consentService ||= []).push(["analytics", () => tell("queued")]);
</script>
<main><script type="text/plain" data-consent="analytics">tell("tagged")</script></main>
<script src="SERVICE/embed/site_demo.js"></script>
<script type="module">
    const { consentService } = window;
    if (location.pathname === "/next") {
        consentService.on("shown", () => tell("shown"));
        consentService.gate("analytics").then((allowed) => tell(`gate ${allowed}`));
        if (document.prerendering) await new Promise(requestIdleCallback);
        document.addEventListener("prerenderingchange", async () => {
            await consentService.ready;
            await consentService.gate("analytics");
            await send("done");
        });
        localStorage.setItem("prepared", "yes");
    } else {
        await consentService.ready;
        const choices = { analytics: true, preferences: true };
        if (location.pathname === "/accepting") await consentService.decide(choices);
        const rules = document.createElement("script");
        rules.type = "speculationrules";
        rules.text = JSON.stringify({ prerender: [{ urls: ["/next"], eagerness: "immediate" }] });
        document.head.append(rules);
        const go = () => localStorage.getItem("prepared") && (location.href = "/next");
        setInterval(go, 20);
    }
</script>
"""


def prepared_visit(shop: Shop, tmp_path: Path, path: str) -> list[list[Any]]:
    """Go from this page to a prepared one, in a browser that nobody drives; return what it told."""
    shop.html = PREPARING.replace("SERVICE", shop.service)
    command = [servers.find_browser("chromium"), "--headless", "--no-sandbox", "--disable-gpu"]
    address = shop.origin + path
    process = subprocess.Popen(
        [*command, "--no-first-run", f"--user-data-dir={tmp_path}/profile", address],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_until(lambda: any("/done?" in asked for asked in shop.asked), "the visit did not end")
    finally:
        servers.end(process)
    done = next(asked for asked in shop.asked if "/done?" in asked)
    told: list[list[Any]] = json.loads(unquote(urlsplit(done).query))
    return told


def test_a_page_prepared_ahead_asks_nobody_before_the_visitor_comes(
    shop: Shop, tmp_path: Path
) -> None:
    told = prepared_visit(shop, tmp_path, "/")
    assert ["shown", False] in told
    assert [what for what, ahead in told if ahead] == []


def test_a_page_prepared_ahead_counts_nothing_before_the_visitor_comes(
    shop: Shop, tmp_path: Path
) -> None:
    told = prepared_visit(shop, tmp_path, "/accepting")
    assert {"/v1/gate", "queued", "tagged", "gate true"} <= {what for what, _ in told}
    assert [what for what, ahead in told if ahead] == []


class Devices:
    """Devices that one or more users of the shop sign in on."""

    def __init__(self, browser: Browser, shop: Shop, key: LinkKey) -> None:
        """Open none yet."""
        self._browser = browser
        self._shop = shop
        self._key = key
        # The shop has had other tests' users.
        self._group = secrets.token_hex(4)

    def open(self) -> Visitor:
        """Visit the shop on one more device."""
        return tab(self._browser.new_context(locale="en-GB"), self._shop.origin)

    def sign_in(self, visitor: Visitor, user: str = "user-1") -> object:
        """Have the page say who is signed in; return what it is answered."""
        token = make_user_token(self._key, f"{self._group}-{user}", site_key="site_demo")
        return visitor.page.evaluate("(token) => consentService.link(token)", token)


@pytest.fixture(scope="module")
def link_key(shared_shop: SharedShop) -> LinkKey:
    """What the shop signs the tokens of its users with."""
    database, keys = Database(shared_shop.database_url), Keyring(shared_shop.keys_file)
    key = add_link_key(database, keys, find_site(database, "site_demo"), by=OPERATOR)
    database.close()
    return key


@pytest.fixture
def devices(browser: Browser, shop: Shop, link_key: LinkKey) -> Iterator[Devices]:
    """Nobody has visited yet."""
    shop.embed(WAITING)
    before = list(browser.contexts)
    yield Devices(browser, shop, link_key)
    for context in browser.contexts:
        if context not in before:
            context.close()


def test_a_choice_applies_on_another_device_once_the_user_is_signed_in(devices: Devices) -> None:
    phone, laptop = devices.open(), devices.open()
    phone.decide("accept")
    assert devices.sign_in(phone) is True
    expect(laptop.banner).to_be_visible()
    assert devices.sign_in(laptop) is True
    expect(laptop.banner).to_have_count(0)
    expect(laptop.status).to_have_text("The choices of your account now apply here.")
    laptop.page.wait_for_function(RAN)
    assert laptop.page.evaluate("window.heard") == [True]
    laptop.reload()
    expect(laptop.banner).to_have_count(0)
    laptop.page.wait_for_function(RAN)


@pytest.mark.parametrize("refusing", ["the first device", "the second device"])
def test_signing_in_turns_no_refusal_into_a_grant(devices: Devices, refusing: str) -> None:
    phone, laptop = devices.open(), devices.open()
    phone.decide("reject" if refusing == "the first device" else "accept")
    laptop.decide("accept" if refusing == "the first device" else "reject")
    devices.sign_in(phone)
    assert devices.sign_in(laptop) is True
    assert laptop.page.evaluate("consentService.choices.analytics") is False
    assert laptop.page.evaluate("consentService.gate('analytics')") is False
    expect(laptop.banner).to_have_count(0)


def test_the_first_choice_after_signing_in_is_the_users(devices: Devices) -> None:
    phone, laptop = devices.open(), devices.open()
    assert devices.sign_in(phone) is False
    expect(phone.banner).to_be_visible()
    with phone.page.expect_response("**/consents/link") as linking:
        phone.decide("accept")
    assert linking.value.json()["record"]["choices"]["analytics"] is True
    assert devices.sign_in(laptop) is True
    expect(laptop.banner).to_have_count(0)
    assert laptop.page.evaluate("consentService.gate('analytics')") is True


def test_what_another_user_chose_on_the_device_is_not_the_next_ones(devices: Devices) -> None:
    shared = devices.open()
    shared.decide("accept")
    devices.sign_in(shared, "user-1")
    shared.page.wait_for_function(RAN)
    assert devices.sign_in(shared, "user-2") is False
    expect(shared.banner).to_be_visible()
    assert shared.page.evaluate("consentService.choices") is None
    assert shared.page.evaluate("consentService.gate('analytics')") is False


@pytest.mark.parametrize("token", ["", "none", "a.b.c"])
def test_a_bad_user_token_is_told_as_an_error_and_grants_nothing(
    devices: Devices, token: str
) -> None:
    visitor = devices.open()
    visitor.page.evaluate(
        "void consentService.on('error', ({ message }) => (window.told = message))"
    )
    assert visitor.page.evaluate("(token) => consentService.link(token)", token) is None
    assert visitor.page.evaluate("window.told") == "Error: HTTP 422"
    expect(visitor.banner).to_be_visible()
    assert visitor.page.evaluate("consentService.gate('analytics')") is False


def publish(shop: Shop, sqlite_url: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Publish a changed notice, and wait until the service knows it."""
    database = Database(sqlite_url)
    notice = json.loads(NOTICE.read_text("utf-8"))
    change(notice)
    version = publish_notice(
        database, find_site(database, "site_demo"), notice, by=OPERATOR
    ).version
    database.close()
    banner = f"{shop.service}/v1/sites/site_demo/banner"
    wait_until(
        lambda: httpx.get(banner).json()["notice_version"] == version,
        "the service did not hear of the notice",
    )


def fresh(visitor: Visitor) -> None:
    """Come back once the browser's copy of the script is too old."""
    visitor.page.context.new_cdp_session(visitor.page).send("Network.clearBrowserCache")
    visitor.reload()


@pytest.mark.parametrize("how", ["the cross", "Escape"])
def test_closing_the_banner_decides_nothing_and_is_remembered(
    page: Page, foreign_shop: str, how: str
) -> None:
    visitor = Visitor(page, foreign_shop)
    page.goto(foreign_shop)
    visitor.settled()
    page.evaluate("void consentService.on('dismissed', () => (window.dismissed = true))")
    if how == "Escape":
        page.locator("#csvc-accept").focus()
        page.keyboard.press("Escape")
    else:
        visitor.press("close")
    expect(visitor.banner).to_have_count(0)
    expect(page.locator("#csvc-reopen")).to_be_visible()
    assert page.evaluate("window.dismissed") is True
    assert page.evaluate("consentService.choices") is None
    assert page.evaluate("consentService.gate('analytics')") is False
    for address in (foreign_shop, f"{foreign_shop}/another"):
        page.goto(address)
        visitor.settled()
        expect(page.locator("#csvc-reopen")).to_be_visible()
        expect(visitor.banner).to_have_count(0)
    assert visitor.calls() == []
    assert list(visitor.cookies()) == [f"{COOKIE}_closed"]


def test_escape_elsewhere_on_the_page_closes_nothing(page: Page, shop: Shop) -> None:
    shop.scripts = f'<input id="search"><script src="{shop.service}/embed/site_demo.js"></script>'
    visitor = Visitor(page, shop.origin)
    page.goto(shop.origin)
    visitor.settled()
    page.locator("#search").focus()
    page.keyboard.press("Escape")
    expect(visitor.banner).to_be_visible()


def test_who_closed_the_banner_is_asked_again_when_the_time_is_over(
    page: Page, foreign_shop: str
) -> None:
    visitor = Visitor(page, foreign_shop)
    page.goto(foreign_shop)
    visitor.settled()
    reask_days = 180
    now = page.evaluate("Date.now()") / 1000
    visitor.press("close")
    closed = visitor.cookies()[f"{COOKIE}_closed"]
    assert closed["expires"] == pytest.approx(now + reask_days * 86400, abs=60)
    # What the browser does by itself on that day.
    page.context.clear_cookies(name=f"{COOKIE}_closed")
    visitor.reload()
    expect(visitor.banner).to_be_visible()


def test_who_closed_the_banner_is_asked_about_a_new_material_notice(
    page: Page, own_shop: Shop, sqlite_url: str
) -> None:
    own_shop.embed()
    visitor = Visitor(page, own_shop.origin)
    page.goto(own_shop.origin)
    visitor.settled()
    visitor.press("close")
    publish(own_shop, sqlite_url, lambda notice: notice["policy"].update(material=False))
    fresh(visitor)
    expect(page.locator("#csvc-reopen")).to_be_visible()
    publish(own_shop, sqlite_url, lambda notice: notice["policy"].update(material=True))
    fresh(visitor)
    expect(visitor.banner).to_be_visible()


def test_a_choice_can_still_be_made_after_closing(page: Page, foreign_shop: str) -> None:
    visitor = Visitor(page, foreign_shop)
    page.goto(foreign_shop)
    visitor.settled()
    visitor.press("close")
    visitor.press("reopen")
    expect(visitor.centre.locator(":checked")).to_have_count(0)
    visitor.decide("accept")
    assert page.evaluate("consentService.gate('analytics')") is True


def test_a_changed_notice_says_that_it_changed_and_which_purposes_are_new(
    page: Page, own_shop: Shop, sqlite_url: str
) -> None:
    own_shop.embed()
    visitor = Visitor(page, own_shop.origin)
    page.goto(own_shop.origin)
    visitor.settled()
    visitor.decide("accept")

    def add_marketing(notice: dict[str, Any]) -> None:
        texts = {
            language: {"name": f"Marketing {{purposes}} $& {language}", "description": "Sells."}
            for language in notice["languages"]
        }
        notice["purposes"].append(
            {"key": "marketing", "category": "marketing", "texts": texts, "services": []}
        )

    publish(own_shop, sqlite_url, add_marketing)
    fresh(visitor)
    note = visitor.banner.locator(".csvc-note")
    expect(note).to_have_text(
        "This notice has changed since you last saw it. Please choose again. "
        "New since then: Marketing {purposes} $& en."
    )
    assert page.evaluate("consentService.gate('analytics')") is False
    visitor.decide("accept")
    expect(note).to_have_count(0)
    assert page.evaluate("consentService.gate('marketing')") is True
