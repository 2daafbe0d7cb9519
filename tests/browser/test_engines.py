"""The main job in Firefox and in WebKit: what the rest of these tests hold in Chromium."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from selenium.webdriver import Remote
from selenium.webdriver.common.keys import Keys

from tests.browser.engines import ENGINES
from tests.browser.guest import BANNER, CENTRE, Guest


@pytest.fixture(scope="session", params=ENGINES)
def driver(request: pytest.FixtureRequest) -> Iterator[Remote]:
    """A browser of each engine in turn."""
    with ENGINES[request.param]() as running:
        yield running


@pytest.fixture
def guest(driver: Remote, demo_url: str) -> Iterator[Guest]:
    """A visitor who has not opened the demo site yet."""
    guest = Guest(driver, demo_url)
    yield guest
    guest.leave()


@pytest.mark.parametrize(
    ("language", "accept", "reject"),
    [("en", "Accept all", "Reject all"), ("sw", "Kubali vyote", "Kataa vyote")],
)
def test_the_banner_asks_in_the_visitors_language(
    guest: Guest, language: str, accept: str, reject: str
) -> None:
    guest.open(language)
    assert guest.text("#csvc-accept") == accept
    assert guest.text("#csvc-reject") == reject
    assert guest.ask("document.querySelector('#csvc-root').lang") == language


def test_nothing_loads_and_nothing_is_sent_before_a_choice(guest: Guest) -> None:
    guest.open()
    guest.navigate("inbox")
    assert "/demo/analytics.js" not in guest.requested()
    assert "/v1/gate" not in guest.requested()
    assert guest.hits() == 0
    assert guest.cookies() == set()


def test_after_accepting_the_gate_is_asked_and_page_views_arrive(guest: Guest) -> None:
    guest.open()
    guest.decide("accept")
    guest.expect_hits(1)
    asked = guest.requested()
    assert asked.index("/v1/gate") < asked.index("/demo/analytics.js")
    guest.navigate("campaigns")
    guest.expect_hits(2)
    assert "mp_analytics" in guest.cookies()


def test_after_rejecting_nothing_loads(guest: Guest) -> None:
    guest.open()
    record = guest.decide("reject")
    assert record["action"] == "reject_all"
    assert record["choices"] | {"analytics": False, "preferences": False} == record["choices"]
    guest.navigate("inbox")
    guest.reload()
    guest.navigate("inbox")
    assert guest.count(BANNER) == 0
    assert "/demo/analytics.js" not in guest.requested()
    assert guest.hits() == 0
    assert "mp_analytics" not in guest.cookies()


def test_a_choice_survives_reload_without_asking_again(guest: Guest) -> None:
    guest.open()
    guest.decide("accept")
    guest.expect_hits(1)
    guest.reload()
    guest.expect_hits(2)
    assert guest.count(BANNER) == 0


def test_withdrawing_stops_the_loader_and_deletes_the_declared_cookies(guest: Guest) -> None:
    guest.open()
    guest.decide("accept")
    guest.expect_hits(1)
    guest.choose("[data-consent-open]")
    record = guest.decide("reject")
    assert record["action"] == "withdraw"
    assert "mp_analytics" not in guest.cookies()
    guest.navigate("numbers")
    guest.reload()
    guest.navigate("numbers")
    assert guest.hits() == 1
    assert "mp_analytics" not in guest.cookies()
    assert guest.count(BANNER) == 0


def test_the_keyboard_is_enough(guest: Guest) -> None:
    guest.open()
    reached = []
    for _ in range(12):
        guest.type(Keys.TAB)
        reached.append(guest.focus)
        if reached[-1] == "csvc-choose":
            break
    assert [name for name in reached if name in {"csvc-accept", "csvc-reject", "csvc-choose"}] == [
        "csvc-accept",
        "csvc-reject",
        "csvc-choose",
    ]
    guest.type(Keys.ENTER)
    guest.wait_for(f"document.querySelector('{CENTRE}')?.contains(document.activeElement)")


def test_the_keyboard_reaches_nothing_behind_the_preference_centre(guest: Guest) -> None:
    guest.open()
    guest.choose()
    for keys in [(Keys.TAB,)] * 20 + [(Keys.SHIFT, Keys.TAB)] * 20:
        guest.type(*keys)
        # The body stands for the browser's own bars, which the keyboard may reach.
        inside = f"document.querySelector('{CENTRE}').contains(document.activeElement)"
        assert guest.focus == "body" or guest.ask(inside)


def test_escape_closes_and_decides_nothing(guest: Guest) -> None:
    guest.open()
    guest.choose()
    guest.click("[data-purpose]")
    assert guest.ask("document.querySelector('[data-purpose]').checked") is True
    guest.type(Keys.ESCAPE)
    guest.wait_for(f"!document.querySelector('{CENTRE}')")
    assert guest.count(BANNER) == 1
    assert guest.focus == "csvc-choose"
    assert guest.held() == []
    assert guest.ask("consentService.allows('preferences')") is False


def test_focus_is_never_lost_to_the_body(guest: Guest) -> None:
    guest.open()
    guest.decide("reject")
    assert guest.focus != "body"
    guest.choose("[data-consent-open]")
    guest.decide("reject")
    assert guest.focus != "body"


def test_the_strictest_policy_finds_nothing_to_object_to(guest: Guest, strict_shop: str) -> None:
    guest.visit(strict_shop)
    guest.choose()
    guest.press("accept")
    guest.wait_for("window.counted")
    assert guest.ask("window.troubles") == []
