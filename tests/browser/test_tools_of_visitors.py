"""Tools that answer banners for their users work on ours, and do so in every language."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from consent_service.access.actor import OPERATOR
from consent_service.db import Database
from consent_service.notices.service import publish_notice
from consent_service.tenants.service import find_site
from tests import servers
from tests.browser.autoconsent import PACKAGE, Autoconsent
from tests.browser.consent_o_matic import ConsentOMatic
from tests.browser.stage import LANGUAGES, in_every_language
from tests.browser.visitor import Visitor

ROOT = Path(__file__).parents[2]
RULES = ROOT / "widget/rules"
OURS: dict[str, Any] = json.loads((RULES / "autoconsent.json").read_text("utf-8"))
(CONSENT_O_MATIC,) = json.loads((RULES / "consent-o-matic.json").read_text("utf-8")).values()


@pytest.fixture(scope="module")
def wide_url(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a demo in every language, with purposes of every category.

    Analytics has two, and marketing one that the demo itself does not have.
    """
    folder = tmp_path_factory.mktemp("wide")
    url = f"sqlite:///{shutil.copy(sqlite_template, folder / 'consent.db')}"
    demo = resources.files("consent_service.demo") / "notice.json"
    notice = in_every_language(json.loads(demo.read_bytes())) | {"languages": LANGUAGES}
    notice["purposes"] += [
        {
            "key": key,
            "category": category,
            "texts": {code: {"name": key, "description": f"About {key}."} for code in LANGUAGES},
        }
        for key, category in (("research", "analytics"), ("advertising", "marketing"))
    ]

    def furnish(database: Database) -> None:
        publish_notice(database, find_site(database, "site_demo"), notice, by=OPERATOR)

    with servers.demo(url, folder, furnish=furnish) as address:
        yield address


@pytest.fixture
def guest(page: Page, wide_url: str) -> Visitor:
    """A visitor who has not opened the demo in every language yet."""
    return Visitor(page, wide_url)


def _speak(visitor: Visitor, language: str) -> None:
    """Have the script answer in a language that the demo's own pages are not written in."""
    visitor.page.route(
        "**/embed/site_demo.js?*",
        lambda route: route.continue_(url=f"{visitor.origin}/embed/site_demo.js?lang={language}"),
    )


def _stored(visitor: Visitor) -> dict[str, Any]:
    """Return the one record that was stored for the visitor, once the banner is gone."""
    expect(visitor.banner).to_have_count(0)
    expect(visitor.centre).to_have_count(0)
    held: dict[str, Any] = visitor.page.evaluate(
        "fetch('/v1/sites/site_demo/consents/me').then((answer) => answer.json())"
    )
    (record,) = held["history"]
    return dict(record)


def _allowed(record: dict[str, Any]) -> set[str]:
    """Return the purposes that a record allows, but for the essential ones."""
    essential = {"session", "authentication", "security"}
    return {purpose for purpose, allowed in record["choices"].items() if allowed} - essential


def _without_a_control_of_its_own(route: Route) -> None:
    """Give the page without what opens the preference centre there, so that our control stays."""
    answer = route.fetch()
    route.fulfill(response=answer, body=answer.text().replace("data-consent-open", ""))


@pytest.mark.parametrize("language", ["en", "de", "es", "fr", "it", "nl", "pl", "pt"])
def test_autoconsent_refuses_without_a_rule_where_it_knows_the_words(
    guest: Visitor, language: str
) -> None:
    _speak(guest, language)
    tool = Autoconsent(guest.page)
    guest.open()
    assert tool.heard("autoconsentDone")["cmp"] == "HEURISTIC-REJECT"
    record = _stored(guest)
    assert (record["action"], record["surface"]) == ("reject_all", "banner")
    assert record["language"] == language
    assert _allowed(record) == set()
    assert tool.test_itself()
    assert tool.clicks == 1


@pytest.mark.parametrize("language", ["en", "sw", "ar", "ja", "yo"])
def test_autoconsent_refuses_in_any_language_by_our_rule(guest: Visitor, language: str) -> None:
    _speak(guest, language)
    tool = Autoconsent(guest.page, OURS)
    guest.open()
    assert tool.heard("autoconsentDone")["cmp"] == OURS["name"]
    record = _stored(guest)
    assert (record["action"], record["surface"]) == ("reject_all", "banner")
    assert record["language"] == language
    assert _allowed(record) == set()
    assert tool.test_itself()
    assert tool.clicks == 1


def test_autoconsent_accepts_by_our_rule_where_it_is_asked_to(guest: Visitor) -> None:
    tool = Autoconsent(guest.page, OURS, action="optIn")
    guest.open("sw")
    assert tool.heard("optInResult")["result"]
    record = _stored(guest)
    assert (record["action"], record["surface"]) == ("accept_all", "banner")
    assert _allowed(record) == {"preferences", "analytics", "research", "advertising"}
    assert tool.clicks == 1


def test_autoconsent_knows_that_a_refusal_is_not_stored(visitor: Visitor) -> None:
    visitor.page.clock.install()
    visitor.page.route("**/consents", lambda _: None)
    tool = Autoconsent(visitor.page, OURS)
    with visitor.page.expect_request("**/consents"):
        visitor.open()
    visitor.page.clock.run_for(15_000)
    assert not tool.heard("optOutResult")["result"]
    assert not tool.test_itself()


@pytest.mark.parametrize("rules", [[], [OURS]], ids=["without a rule", "by our rule"])
def test_autoconsent_does_nothing_about_the_control_that_stays(
    visitor: Visitor, rules: list[dict[str, Any]]
) -> None:
    visitor.open()
    visitor.decide("accept")
    visitor.page.route("**/demo/?lang=en", _without_a_control_of_its_own)
    tool = Autoconsent(visitor.page, *rules)
    with tool.giving_up():
        visitor.reload()
        expect(visitor.page.locator("#csvc-reopen")).to_be_visible()
    assert tool.clicks == 0
    assert _allowed(_stored(visitor)) == {"preferences", "analytics"}


@pytest.mark.parametrize("rules", [[], [OURS]], ids=["without a rule", "by our rule"])
def test_autoconsent_does_not_answer_a_preference_centre_that_the_visitor_opened(
    visitor: Visitor, rules: list[dict[str, Any]]
) -> None:
    visitor.open()
    visitor.decide("reject")
    tool = Autoconsent(visitor.page, *rules)
    with tool.giving_up():
        visitor.reload()
        visitor.page.locator("[data-consent-open]").first.click()
    expect(visitor.centre).to_be_visible()
    assert tool.clicks == 0


def test_our_rule_for_autoconsent_is_of_the_type_that_it_declares(tmp_path: Path) -> None:
    rule = json.dumps(OURS)
    source = tmp_path / "rule.ts"
    source.write_text(
        f"""
        import type {{ AutoConsentCMPRule }} from "{PACKAGE}/dist/types/rules";
        export const rule: AutoConsentCMPRule = {rule};
        // @ts-expect-error: the same with a step that there is not
        export const other: AutoConsentCMPRule = {rule.replace('"click"', '"press"')};
        """
    )
    options = ["--noEmit", "--strict", "--module", "esnext", "--moduleResolution", "bundler"]
    compiler = ["exec", "--no", f"--prefix={ROOT}/widget", "--", "tsc", *options, "--types", ""]
    run = subprocess.run(
        [ROOT / "tools/npm.sh", *compiler, str(source)],
        check=False,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize(
    ("allowed", "purposes"),
    [
        ("", set()),
        ("A", {"preferences"}),
        ("B", {"analytics", "research"}),
        ("F", {"advertising"}),
        ("ABDEFX", {"preferences", "analytics", "research", "advertising"}),
    ],
)
def test_consent_o_matic_allows_what_its_user_allows_by_our_rule(
    guest: Visitor, allowed: str, purposes: set[str]
) -> None:
    guest.open("sw")
    tool = ConsentOMatic(guest.page, CONSENT_O_MATIC, allowed)
    assert tool.sees_a_banner()
    tool.act()
    record = _stored(guest)
    assert (record["action"], record["surface"]) == ("save", "preferences")
    assert _allowed(record) == purposes
    assert not tool.sees_a_banner()


def test_consent_o_matic_does_without_a_category_that_the_site_has_not(visitor: Visitor) -> None:
    visitor.open()
    ConsentOMatic(visitor.page, CONSENT_O_MATIC, "AF").act()
    assert _allowed(_stored(visitor)) == {"preferences"}


def test_consent_o_matic_unticks_what_its_user_does_not_allow(guest: Visitor) -> None:
    guest.open()
    guest.press("choose")
    for box in guest.centre.locator("[data-purpose]").all():
        box.check()
    ConsentOMatic(guest.page, CONSENT_O_MATIC, "A").act()
    assert _allowed(_stored(guest)) == {"preferences"}


@pytest.mark.parametrize("file", ["autoconsent.json", "consent-o-matic.json"])
def test_no_rule_of_ours_closes_the_banner_with_nothing_decided(file: str) -> None:
    used = set(re.findall("#csvc-[a-z]+", (RULES / file).read_text("utf-8")))
    assert used <= {"#csvc-root", "#csvc-accept", "#csvc-reject", "#csvc-choose", "#csvc-save"}


@pytest.mark.parametrize("width", [320, 1280])
def test_the_banner_is_one_card_with_real_buttons_in_the_pages_own_tree(
    visitor: Visitor, width: int
) -> None:
    visitor.page.set_viewport_size({"width": width, "height": 800})
    visitor.open()
    # Unlike a locator, this finds nothing in a shadow tree.
    card = visitor.page.evaluate(
        """() => {
            const card = document.querySelector("#csvc-root > section");
            const floats = (element) =>
                ["fixed", "sticky"].includes(getComputedStyle(element).position) ||
                element.matches("dialog, [role=dialog], [aria-modal]");
            const buttons = ["accept", "reject", "choose"].map((id) =>
                card.querySelector(`button#csvc-${id}:enabled`).innerText);
            return {floats: floats(card), inside: [...card.querySelectorAll("*")].some(floats),
                    buttons};
        }"""
    )
    assert card["floats"]
    assert not card["inside"]
    assert card["buttons"] == ["Accept all", "Reject all", "Choose purposes"]


def test_the_banner_is_gone_within_half_a_second_of_the_press(visitor: Visitor) -> None:
    visitor.open()
    # What the request took is up to the network and the server, not to the widget.
    milliseconds = visitor.page.evaluate(
        """async () => {
            const card = document.querySelector("#csvc-root > section");
            const pressed = performance.now();
            document.querySelector("#csvc-reject").click();
            const frame = () => new Promise(requestAnimationFrame);
            while (card.isConnected) await frame();
            const gone = performance.now();
            const request = () =>
                performance.getEntriesByType("resource").find(({name}) => /consents$/.test(name));
            while (!request()) await frame();
            return gone - pressed - request().duration;
        }"""
    )
    assert milliseconds < 500


def test_a_banner_that_a_blocker_hides_grants_nothing_and_leaves_the_page_usable(
    visitor: Visitor,
) -> None:
    visitor.open()
    visitor.page.evaluate(
        """() => {
            const hiding = new CSSStyleSheet();
            hiding.replaceSync("#csvc-root, #csvc-root * {display: none !important}");
            document.adoptedStyleSheets = [...document.adoptedStyleSheets, hiding];
        }"""
    )
    expect(visitor.banner).to_be_hidden()
    visitor.navigate("inbox")
    assert visitor.hits_sent() == 0
    assert visitor.cookies() == {}
