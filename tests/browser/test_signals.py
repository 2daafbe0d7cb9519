"""Global Privacy Control and Do Not Track, under each regime; and what ``data-debug`` tells."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from tests import servers
from tests.browser.own_pages import ORDINARY, stage
from tests.browser.visitor import Visitor
from tests.builders import COUNTRY_HEADER

#: A country for each rule: opt-in, opt-out with GPC required, allowed by default with it voluntary.
OPT_IN, OPT_OUT, NOTICE = "TZ", "US", "AU"
HEADER, SCRIPT = {"Sec-GPC": "1"}, "globalPrivacyControl"
RAN = "() => window.ran === 1"


@pytest.fixture(scope="module")
def worldwide_url(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a demo that is told where each visitor is."""
    folder = tmp_path_factory.mktemp("worldwide")
    url = f"sqlite:///{shutil.copy(sqlite_template, folder / 'consent.db')}"
    with servers.demo(
        url, folder, trusted_proxies="127.0.0.1/32", country_header=COUNTRY_HEADER
    ) as address:
        yield address


@pytest.fixture
def visit(browser: Browser, worldwide_url: str) -> Iterator[Callable[..., Visitor]]:
    """Visits from a country, with a signal said in the ways named."""
    contexts = []

    def come(country: str, *ways: str, html: str = ORDINARY) -> Visitor:
        headers = {COUNTRY_HEADER: country, **(HEADER if "header" in ways else {})}
        context = browser.new_context(locale="en-GB", extra_http_headers=headers)
        contexts.append(context)
        page = context.new_page()
        for name, value in (("globalPrivacyControl", "true"), ("doNotTrack", "'1'")):
            if name in ways:
                page.add_init_script(
                    f"Object.defineProperty(navigator, '{name}', {{ get: () => {value} }})"
                )
        visitor = Visitor(page, worldwide_url)
        page.goto(stage(page, worldwide_url, html))
        visitor.settled()
        return visitor

    yield come
    for context in contexts:
        context.close()


WAYS = pytest.mark.parametrize(
    "ways", [("header",), (SCRIPT,), ("header", SCRIPT)], ids=["header", "script", "both"]
)


@WAYS
@pytest.mark.parametrize("country", [OPT_IN, OPT_OUT, NOTICE])
def test_the_signal_is_obeyed_and_the_banner_says_so(
    visit: Callable[..., Visitor], country: str, ways: tuple[str, ...]
) -> None:
    visitor = visit(country, *ways)
    expect(visitor.banner.locator(".csvc-note")).to_contain_text("Opt-out request honoured")
    assert visitor.page.evaluate("consentService.gate('analytics')") is False
    assert visitor.page.evaluate("window.ran") is None


@pytest.mark.parametrize("country", [OPT_IN, OPT_OUT, NOTICE])
def test_without_a_signal_the_region_says_what_runs_before_a_choice(
    visit: Callable[..., Visitor], country: str
) -> None:
    runs = country != OPT_IN
    visitor = visit(country)
    expect(visitor.banner).to_be_visible()
    expect(visitor.banner.locator(".csvc-note")).to_have_count(0)
    assert visitor.page.evaluate("consentService.gate('analytics')") is runs
    assert visitor.page.evaluate("window.ran") == (1 if runs else None)
    visitor.decide("reject")
    assert visitor.page.evaluate("consentService.gate('analytics')") is False


@WAYS
@pytest.mark.parametrize("country", [OPT_IN, NOTICE])
def test_where_the_signal_is_voluntary_a_choice_made_here_outweighs_it(
    visit: Callable[..., Visitor], country: str, ways: tuple[str, ...]
) -> None:
    visitor = visit(country, *ways)
    expect(visitor.banner.locator(".csvc-note")).to_contain_text("your choice counts")
    record = visitor.decide("accept")
    assert record["gpc"] is True
    assert record["choices"]["analytics"] is True
    visitor.page.wait_for_function(RAN)
    visitor.reload()
    visitor.page.wait_for_function(RAN)


@WAYS
def test_where_the_signal_is_the_law_no_choice_outweighs_it(
    visit: Callable[..., Visitor], ways: tuple[str, ...]
) -> None:
    visitor = visit(OPT_OUT, *ways)
    expect(visitor.banner.locator(".csvc-note")).not_to_contain_text("your choice counts")
    record = visitor.decide("accept")
    assert (record["gpc"], record["signal_source"]) == (True, "gpc")
    assert record["choices"]["analytics"] is False
    assert visitor.page.evaluate("consentService.choices.analytics") is False
    assert visitor.page.evaluate("consentService.gate('analytics')") is False
    assert visitor.page.evaluate("window.ran") is None


def test_do_not_track_is_obeyed_where_the_site_says_so_and_only_there(
    visit: Callable[..., Visitor],
) -> None:
    tracked = visit(OPT_OUT, "doNotTrack")
    assert tracked.page.evaluate("consentService.gate('analytics')") is True
    tracked.page.wait_for_function(RAN)

    obeying = ORDINARY.replace("<script src", "<script data-dnt src")
    visitor = visit(OPT_OUT, "doNotTrack", html=obeying)
    assert visitor.page.evaluate("consentService.gate('analytics')") is False
    assert visitor.page.evaluate("window.ran") is None
    assert [entry for entry in visitor.sent if "/v1/gate" in entry] == []
    visitor.decide("accept")
    visitor.page.wait_for_function(RAN)

    undecided = visit(OPT_OUT, html=obeying)
    undecided.page.wait_for_function(RAN)


def told(page: Page, origin: str, attribute: str) -> list[str]:
    """Refuse nothing, then allow; return what the console was told."""
    said: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        said.append(message.text)

    page.on("console", hear)
    visitor = Visitor(page, origin)
    html = ORDINARY.replace("<script src", f"<script {attribute} src")
    page.goto(stage(page, origin, html))
    visitor.settled()
    visitor.decide("accept")
    page.wait_for_function(RAN)
    return said


def test_debugging_tells_what_was_blocked_asked_and_answered(page: Page, demo_url: str) -> None:
    said = told(page, demo_url, "data-debug")
    steps = [line.split()[1] for line in said]
    assert steps == ["shown", "blocked", "deciding", "change", "asked", "decision", "released"]
    assert all(line.startswith("consent-service: ") for line in said)
    assert "analytics" in said[1]


def test_without_debugging_the_console_stays_empty(page: Page, demo_url: str) -> None:
    assert told(page, demo_url, "") == []
