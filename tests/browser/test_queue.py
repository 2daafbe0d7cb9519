"""What waits until its purpose is allowed: the first page view is neither lost nor taken."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import Shop
from tests.browser.visitor import Visitor
from tests.builders import COUNTRY_HEADER

COUNT = "(view) => seen.push(view)"


@pytest.fixture
def guest(page: Page, gated: Shop) -> Visitor:
    """A visitor of the shop."""
    page.add_init_script("window.seen = []")
    return Visitor(page, gated.origin)


def arrive(visitor: Visitor, path: str = "/") -> None:
    """Open the shop and wait until the widget has done all it does by itself."""
    visitor.page.goto(visitor.origin + path)
    visitor.settled()


def push(visitor: Visitor, name: str, purpose: str = "analytics") -> None:
    """Queue something that tells its name once it runs."""
    visitor.page.evaluate(
        "([purpose, name]) => consentService.push([purpose, () => seen.push(name)])",
        [purpose, name],
    )


def save(visitor: Visitor, **choices: bool) -> None:
    """Have a choice recorded, and what it allows run."""
    complete = {"analytics": False, "marketing": False, **choices}
    visitor.page.evaluate("(choices) => consentService.decide(choices)", complete)
    seen(visitor)


def seen(visitor: Visitor) -> Any:  # noqa: ANN401
    """Return what has run, once the gate has answered and all that it allows has run."""
    return visitor.page.evaluate(
        """() => consentService.gate("analytics")
            .then(() => new Promise((done) => setTimeout(done))).then(() => seen)"""
    )


@pytest.mark.parametrize("attributes", ["", "async", "defer"])
def test_what_is_queued_before_the_script_comes_runs_after_a_grant(
    guest: Visitor, gated: Shop, attributes: str
) -> None:
    queue = f'(window.consentService ||= []).push(["analytics", {COUNT}])'
    gated.furnish("", head=f"<script>{queue}; {queue}</script>", attributes=attributes)
    guest.page.goto(gated.origin + "/before", referer=gated.origin + "/from")
    guest.settled()
    assert seen(guest) == []
    guest.page.evaluate("document.title = 'Another'; history.pushState(null, '', '/after')")
    save(guest, analytics=True)
    views = seen(guest)
    assert len(views) == 2
    assert {key: views[0][key] for key in ("url", "referrer", "title")} == {
        "url": f"{gated.origin}/before",
        "referrer": f"{gated.origin}/from",
        "title": "Shop",
    }


def test_every_view_keeps_the_page_and_the_time_it_was_queued_at(
    guest: Visitor, gated: Shop
) -> None:
    arrive(guest, "/first")
    times = [
        guest.page.evaluate(
            f"""(path) => {{
                history.pushState(null, "", path);
                document.title = `Page ${{path}}`;
                const before = Date.now();
                consentService.push(["analytics", {COUNT}]);
                return [before, Date.now()];
            }}""",
            path,
        )
        for path in ("/second", "/third", "/second")
    ]
    assert seen(guest) == []
    guest.page.evaluate("history.pushState(null, '', '/fourth')")
    save(guest, analytics=True)
    views = seen(guest)
    assert [view["url"] for view in views] == [
        gated.origin + path for path in ("/second", "/third", "/second")
    ]
    assert [view["title"] for view in views] == ["Page /second", "Page /third", "Page /second"]
    for view, (earliest, latest) in zip(views, times, strict=True):
        assert earliest <= view["time"] <= latest


def test_what_is_queued_runs_in_order_and_once(guest: Visitor) -> None:
    arrive(guest)
    for name in ("one", "two", "three"):
        push(guest, name)
    save(guest, analytics=True)
    assert seen(guest) == ["one", "two", "three"]
    push(guest, "four")
    assert seen(guest) == ["one", "two", "three", "four"]
    save(guest, analytics=True, marketing=True)
    assert seen(guest) == ["one", "two", "three", "four"]


def test_one_grant_does_not_run_what_waits_for_another(guest: Visitor) -> None:
    arrive(guest)
    push(guest, "advert", "marketing")
    push(guest, "view")
    save(guest, analytics=True)
    assert seen(guest) == ["view"]
    save(guest, analytics=True, marketing=True)
    assert seen(guest) == ["view"]


def test_what_is_refused_is_dropped_for_good(guest: Visitor) -> None:
    arrive(guest)
    push(guest, "before")
    guest.decide("reject")
    push(guest, "between")
    save(guest, analytics=True)
    assert seen(guest) == []
    push(guest, "after")
    assert seen(guest) == ["after"]


def test_what_comes_after_a_withdrawal_is_dropped_for_good(guest: Visitor) -> None:
    arrive(guest)
    save(guest, analytics=True)
    guest.page.evaluate("consentService.withdraw()")
    push(guest, "after")
    guest.reload()
    push(guest, "later")
    save(guest, analytics=True)
    assert seen(guest) == []


def test_closing_the_banner_is_no_refusal(guest: Visitor) -> None:
    arrive(guest)
    push(guest, "view")
    guest.press("close")
    assert seen(guest) == []
    save(guest, analytics=True)
    assert seen(guest) == ["view"]


def test_one_that_fails_stops_no_other_and_is_the_pages_own_fault(guest: Visitor) -> None:
    arrive(guest)
    guest.page.evaluate(
        """() => {
            addEventListener("unhandledrejection", (event) => {
                event.preventDefault();
                window.failure = event.reason.message;
            });
            consentService.push(["analytics", () => { throw new Error("broken"); }]);
        }"""
    )
    push(guest, "next")
    save(guest, analytics=True)
    assert seen(guest) == ["next"]
    guest.page.wait_for_function("() => window.failure === 'broken'")


def test_what_is_essential_waits_for_nobody(guest: Visitor) -> None:
    arrive(guest)
    push(guest, "without a choice", "session")
    assert seen(guest) == ["without a choice"]
    guest.page.route("**/v1/gate?**", lambda _: None)
    guest.page.evaluate("void consentService.decide({ analytics: true, marketing: true })")
    guest.page.wait_for_function("() => consentService.choices")
    push(guest, "while the gate is silent", "session")
    # Long before anybody gives up on the gate.
    guest.page.wait_for_function("() => seen.length === 2", timeout=2000)
    guest.page.unroute_all(behavior="ignoreErrors")


def test_what_nobody_asks_about_never_runs(guest: Visitor) -> None:
    arrive(guest)
    push(guest, "unknown", "weather")
    save(guest, analytics=True, marketing=True)
    assert seen(guest) == []


def test_where_a_region_asks_only_for_a_way_out_it_runs_at_once(
    browser: Browser, gated: Shop
) -> None:
    with browser.new_context() as context:
        context.route(
            f"{gated.service}/**",
            lambda route: route.continue_(headers=route.request.headers | {COUNTRY_HEADER: "US"}),
        )
        context.add_init_script("window.seen = []")
        visitor = Visitor(context.new_page(), gated.origin)
        arrive(visitor)
        push(visitor, "view")
        assert seen(visitor) == ["view"]
        assert visitor.page.evaluate("consentService.choices ?? null") is None
        save(visitor)
        push(visitor, "later")
        assert seen(visitor) == ["view"]


def test_a_page_that_never_stops_is_held_to_a_hundred(guest: Visitor) -> None:
    arrive(guest)
    guest.page.evaluate(
        """() => {
            for (let i = 0; i < 150; i++) consentService.push(["analytics", () => seen.push(i)]);
        }"""
    )
    save(guest, analytics=True)
    assert seen(guest) == list(range(100))
