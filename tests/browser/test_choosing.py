"""The main job, as a visitor lives through it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.visitor import COOKIE, Visitor


@pytest.mark.parametrize(
    ("language", "accept", "reject"),
    [("en", "Accept all", "Reject all"), ("sw", "Kubali vyote", "Kataa vyote")],
)
def test_the_banner_asks_in_the_visitors_language(
    visitor: Visitor, language: str, accept: str, reject: str
) -> None:
    visitor.open(language)
    expect(visitor.banner).to_be_visible()
    expect(visitor.page.locator("#csvc-accept")).to_have_text(accept)
    expect(visitor.page.locator("#csvc-reject")).to_have_text(reject)
    expect(visitor.page.locator("#csvc-root")).to_have_attribute("lang", language)


def test_nothing_loads_and_nothing_is_sent_before_a_choice(visitor: Visitor) -> None:
    visitor.open()
    visitor.navigate("inbox")
    assert not visitor.loaded("analytics.js")
    assert visitor.hits_sent() == 0
    assert visitor.calls() == []
    assert visitor.cookies() == {}


def test_after_accepting_the_gate_is_asked_and_page_views_arrive(visitor: Visitor) -> None:
    visitor.open()
    visitor.decide("accept")
    visitor.expect_hits(1)
    gate = next(i for i, entry in enumerate(visitor.sent) if "/v1/gate?" in entry)
    loader = next(i for i, entry in enumerate(visitor.sent) if entry.endswith("/demo/analytics.js"))
    assert gate < loader
    visitor.navigate("campaigns")
    visitor.expect_hits(2)
    assert "mp_analytics" in visitor.cookies()


def test_pages_opened_before_the_choice_arrive_after_a_grant(visitor: Visitor) -> None:
    visitor.open()
    visitor.navigate("inbox")
    visitor.navigate("numbers")
    assert visitor.hits_sent() == 0
    with visitor.page.expect_response("**/demo/hits"):
        visitor.decide("accept")
    visitor.expect_hits(3)


def test_the_map_waits_for_its_purpose_and_goes_with_it(visitor: Visitor) -> None:
    visitor.open()
    frame = visitor.page.locator(".office iframe")
    placeholder = visitor.page.locator(".csvc-embed")
    expect(placeholder).to_contain_text("Map to the office")
    assert not visitor.loaded("map?lang=en")
    visitor.decide("accept")
    expect(frame.content_frame.get_by_text("Indian Ocean")).to_be_visible()
    visitor.page.evaluate("consentService.withdraw()")
    expect(placeholder).to_be_visible()
    expect(frame).to_be_hidden()


def test_after_rejecting_nothing_loads(visitor: Visitor) -> None:
    visitor.open()
    record = visitor.decide("reject")
    assert record["choices"] | {"analytics": False, "preferences": False} == record["choices"]
    visitor.navigate("inbox")
    visitor.reload()
    visitor.navigate("inbox")
    assert not visitor.loaded("analytics.js")
    assert visitor.hits_sent() == 0
    assert "mp_analytics" not in visitor.cookies()


def test_choosing_allows_one_purpose_and_not_the_other(visitor: Visitor) -> None:
    visitor.open()
    visitor.press("choose")
    visitor.centre.locator('[data-purpose="analytics"]').check()
    record = visitor.decide("save")
    assert record["action"] == "save"
    assert record["surface"] == "preferences"
    visitor.expect_hits(1)
    assert not visitor.loaded("preferences.js")


def test_a_choice_survives_reload_without_asking_again(visitor: Visitor) -> None:
    visitor.open()
    visitor.decide("accept")
    visitor.expect_hits(1)
    visitor.reload()
    visitor.expect_hits(2)
    expect(visitor.banner).to_have_count(0)


def test_withdrawing_stops_the_loader_and_deletes_the_declared_cookies(visitor: Visitor) -> None:
    visitor.open()
    visitor.decide("accept")
    visitor.expect_hits(1)
    visitor.page.locator("[data-consent-open]").first.click()
    expect(visitor.page.locator("#csvc-reject")).to_have_attribute("value", "withdraw")
    record = visitor.decide("reject")
    assert record["action"] == "withdraw"
    visitor.navigate("numbers")
    assert visitor.hits_sent() == 1
    assert "mp_analytics" not in visitor.cookies()
    visitor.reload()
    visitor.navigate("numbers")
    assert visitor.hits_sent() == 1
    expect(visitor.banner).to_have_count(0)


def test_a_withdrawal_can_be_taken_back(visitor: Visitor) -> None:
    visitor.open()
    visitor.decide("accept")
    visitor.expect_hits(1)
    visitor.page.evaluate("consentService.withdraw()")
    visitor.page.locator("[data-consent-open]").first.click()
    visitor.decide("accept")
    visitor.page.wait_for_function("() => consentService.allows('analytics')")
    visitor.navigate("inbox")
    assert visitor.hits_sent() > 1


def test_the_servers_cookie_is_out_of_the_pages_reach(visitor: Visitor) -> None:
    visitor.open()
    visitor.decide("accept")
    cookies = visitor.cookies()
    assert cookies[COOKIE]["httpOnly"]
    assert cookies[COOKIE]["secure"]
    assert cookies[COOKIE]["sameSite"] == "Lax"
    assert not cookies[f"{COOKIE}_choices"]["httpOnly"]
    assert COOKIE + "=" not in visitor.page.evaluate("document.cookie")
    # That a banner of this version was counted.
    assert visitor.page.evaluate("({ ...localStorage })") == {f"{COOKIE}_shown": "1"}


def test_the_language_can_be_changed_without_losing_what_was_ticked(visitor: Visitor) -> None:
    visitor.open()
    visitor.press("choose")
    visitor.centre.locator('[data-purpose="analytics"]').check()
    visitor.speak("sw")
    expect(visitor.page.locator("#csvc-save")).not_to_have_text(re.compile("Save"))
    expect(visitor.centre.locator('[data-purpose="analytics"]')).to_be_checked()
    record = visitor.decide("save")
    assert record["language"] == "sw"
    assert record["choices"]["analytics"] is True


def test_the_browser_talks_to_no_host_but_the_services_own(visitor: Visitor) -> None:
    visitor.open()
    visitor.press("choose")
    visitor.speak("sw")
    visitor.decide("accept")
    visitor.expect_hits(1)
    visitor.reload()
    assert visitor.foreign_hosts() == set()


def test_a_page_can_ask_listen_and_open_by_one_global(visitor: Visitor) -> None:
    visitor.open()
    assert visitor.page.evaluate("consentService.allows('session')") is True
    assert visitor.page.evaluate("consentService.gate('analytics')") is False
    assert visitor.page.evaluate("consentService.gate('unknown')") is False
    visitor.page.evaluate(
        "void consentService.on('change', (event) => (window.heard = event.choices))"
    )
    visitor.decide("accept")
    assert visitor.page.evaluate("window.heard.analytics") is True
    assert visitor.page.evaluate("consentService.gate('analytics')") is True
    visitor.page.evaluate("consentService.open()")
    expect(visitor.centre).to_be_visible()
