"""The core without a banner: the example that draws its own, as a visitor lives through it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Response, Route, expect

from consent_service.demo.seed import SITE_KEY
from tests.package.site import CORE, INDEX, NAME, Customer, Shop, npm


class Guest(Customer):
    """A visitor of the page that draws its own banner."""

    def arrives(self) -> None:
        """Come to the page, and wait until it has done all it does by itself."""
        self.page.goto(f"{self.origin}/headless/")
        self.settled()

    @property
    def own_banner(self) -> Locator:
        """What the page asks with."""
        return self.page.locator("form")

    def answers(self, name: str) -> dict[str, Any]:
        """Press one of the page's buttons; return the record that was stored."""
        with self.page.expect_response(_is_decision) as answer:
            self.own_banner.get_by_role("button", name=name).click()
        record: dict[str, Any] = answer.value.json()["record"]
        expect(self.own_banner).to_have_count(0)
        return record

    def finds(self, *, counted: bool, shown: bool) -> None:
        """Hold what runs on the page now, or soon."""
        words = "counted" if counted else "not counted"
        expect(self.page.locator("#visits")).to_have_text(f"Visits are {words}.")
        expect(self.map).to_have_count(1)
        if shown:
            expect(self.map.content_frame.get_by_text("The map.")).to_be_visible()
        else:
            expect(self.map).not_to_have_attribute("src", "map.html")


def _is_decision(response: Response) -> bool:
    return response.request.method == "POST" and response.url.endswith("/consents")


@pytest.fixture
def guest(page: Page, shop: Shop) -> Guest:
    """A visitor who has not come yet. Any error on the page fails the test."""
    return Guest(page, shop.origin)


def test_nothing_runs_and_nothing_of_ours_is_shown_before_a_choice(guest: Guest) -> None:
    guest.arrives()
    buttons = guest.own_banner.get_by_role("button")
    expect(buttons).to_have_text(
        ["Accept all", "Reject all", "Choose purposes", "Close without choosing"]
    )
    guest.finds(counted=False, shown=False)
    assert not [entry for entry in guest.sent if "counter.js" in entry or "map.html" in entry]
    assert not [entry for entry in guest.sent if "/v1/gate" in entry or "/embed/" in entry]
    foreign = "[id^=csvc], [class^=csvc], style"
    assert (
        guest.page.evaluate(
            "(selector) => document.querySelectorAll(selector).length"
            " + document.adoptedStyleSheets.length",
            foreign,
        )
        == 0
    )


def test_what_the_visitor_accepts_runs_and_is_not_asked_again(guest: Guest) -> None:
    guest.arrives()
    record = guest.answers("Accept all")
    assert (record["action"], record["surface"]) == ("accept_all", "banner")
    guest.finds(counted=True, shown=True)
    guest.reload()
    guest.finds(counted=True, shown=True)
    expect(guest.own_banner).to_have_count(0)


def test_what_the_visitor_refuses_does_not_run_and_is_not_asked_again(guest: Guest) -> None:
    guest.arrives()
    record = guest.answers("Reject all")
    assert (record["action"], record["surface"]) == ("reject_all", "banner")
    guest.reload()
    guest.finds(counted=False, shown=False)
    expect(guest.own_banner).to_have_count(0)


def test_each_purpose_is_chosen_by_itself(guest: Guest) -> None:
    guest.arrives()
    guest.presses("Choose purposes")
    guest.own_banner.get_by_role("checkbox", name="Preferences").check()
    record = guest.answers("Save choices")
    assert (record["action"], record["surface"]) == ("save", "preferences")
    guest.finds(counted=False, shown=True)


def test_what_a_refused_purpose_left_behind_is_deleted(guest: Guest) -> None:
    guest.arrives()
    guest.page.evaluate("document.cookie = 'mp_analytics=1'; document.cookie = 'mp_csrf=1'")
    guest.answers("Reject all")
    guest.page.wait_for_function("() => !document.cookie.includes('mp_analytics')")
    assert "mp_csrf=1" in guest.page.evaluate("document.cookie")


def test_closing_without_a_choice_asks_again_only_after_a_while(guest: Guest) -> None:
    guest.arrives()
    guest.page.evaluate("void consentService.on('dismissed', () => { window.dismissed = true; })")
    guest.presses("Close without choosing")
    assert guest.page.evaluate("[dismissed, consentService.choices]") == [True, None]
    guest.reload()
    expect(guest.own_banner).to_have_count(0)
    guest.finds(counted=False, shown=False)


def test_a_withdrawal_ends_it_here_and_in_another_tab(guest: Guest) -> None:
    guest.arrives()
    guest.answers("Accept all")
    guest.finds(counted=True, shown=True)
    other = Guest(guest.page.context.new_page(), guest.origin)
    other.arrives()
    other.finds(counted=True, shown=True)
    guest.presses("Cookie settings")
    assert guest.answers("Withdraw consent")["action"] == "withdraw"
    for tab in (guest, other):
        tab.finds(counted=False, shown=False)
        expect(tab.own_banner).to_have_count(0)


def test_a_choice_in_another_tab_takes_the_question_away_here(guest: Guest) -> None:
    guest.arrives()
    other = Guest(guest.page.context.new_page(), guest.origin)
    other.arrives()
    other.answers("Accept all")
    expect(guest.own_banner).to_have_count(0)
    guest.finds(counted=True, shown=True)


def test_a_choice_that_cannot_be_recorded_grants_nothing_and_is_asked_again(
    bare_page: Page, shop: Shop
) -> None:
    guest = Guest(bare_page, shop.origin)
    guest.arrives()
    bare_page.route("**/consents", lambda route: route.fulfill(status=400, json={}))
    guest.presses("Accept all")
    expect(guest.own_banner.get_by_role("alert")).not_to_be_empty()
    guest.finds(counted=False, shown=False)


def test_the_notice_in_force_is_shown_before_anything_is_recorded(
    bare_page: Page, shop: Shop
) -> None:
    def be_another(route: Route) -> None:
        answer = route.fetch()
        configuration = answer.json()
        configuration["notice_version"] += 1
        configuration["texts"]["title"] = "Another"
        route.fulfill(response=answer, json=configuration)

    bare_page.route("**/banner?**", be_another)
    guest = Guest(bare_page, shop.origin)
    guest.arrives()
    expect(guest.own_banner.get_by_role("heading")).to_have_text("Another")
    guest.presses("Accept all")
    expect(guest.own_banner.get_by_role("alert")).not_to_be_empty()
    expect(guest.own_banner.get_by_role("heading")).not_to_have_text("Another")
    guest.finds(counted=False, shown=False)
    guest.answers("Accept all")
    guest.finds(counted=True, shown=True)


class Builder:
    """A page on which a developer tries the core, without a bundler."""

    def __init__(self, page: Page, shop: Shop) -> None:
        """Open a page that has nothing on it."""
        self.page = page
        self.options = {"service": shop.service, "site": SITE_KEY}
        page.goto(f"{shop.origin}/blank.html")
        page.evaluate("async (core) => { window.entry = await import(core); }", CORE)

    def create(self, then: str = "undefined", **options: str) -> Any:  # noqa: ANN401
        """Make a core; return what an expression about ``core`` then gives, or what went wrong."""
        return self.page.evaluate(
            f"""(options) => entry.createConsent(options).then(
                async (core) => {{ await core.ready; return {then}; }},
                ({{ message }}) => message,
            )""",
            self.options | options,
        )


@pytest.fixture
def builder(page: Page, shop: Shop) -> Builder:
    """A developer. Any error on the page fails the test."""
    return Builder(page, shop)


@pytest.fixture
def unlucky(bare_page: Page, shop: Shop) -> Builder:
    """A developer whose requests may fail."""
    return Builder(bare_page, shop)


def test_there_is_one_on_a_page(builder: Builder) -> None:
    assert builder.create("core === consentService && core === await entry.createConsent(options)")
    said = builder.create(site="site_other")
    assert said == f"consent-service: this page asks for {SITE_KEY} already"


def test_the_loader_of_the_script_takes_it_as_it_is(builder: Builder) -> None:
    loaded = f"(await import('{INDEX}')).load(options)"
    assert builder.create(f"core === await {loaded}")
    expect(builder.page.locator("script[src*='/embed/']")).to_have_count(0)


def test_it_does_not_come_on_top_of_the_script(builder: Builder) -> None:
    builder.page.evaluate(
        f"async (options) => {{ await (await import('{INDEX}')).load(options); }}", builder.options
    )
    assert "the service's script is on this page already" in builder.create()


def test_without_the_service_it_says_so_and_a_later_call_tries_again(unlucky: Builder) -> None:
    unlucky.page.route("**/banner?**", lambda route: route.abort())
    said = unlucky.create()
    assert said.startswith("consent-service: nothing is allowed.")
    assert unlucky.page.evaluate("window.consentService") is None
    unlucky.page.unroute("**/banner?**")
    assert unlucky.create("core.allows('session')") is True


@pytest.mark.parametrize("answer", ["null", "{}", "<h1>Welcome</h1>"])
def test_an_answer_that_is_no_configuration_is_refused(unlucky: Builder, answer: str) -> None:
    headers = {"Access-Control-Allow-Origin": "*"}
    unlucky.page.route("**/banner?**", lambda route: route.fulfill(body=answer, headers=headers))
    assert unlucky.create().startswith("consent-service: nothing is allowed.")
    assert unlucky.page.evaluate("window.consentService") is None


def test_a_site_that_nobody_has_is_named(unlucky: Builder) -> None:
    said = unlucky.create(site="site_nobody")
    assert said.startswith("consent-service: nothing is allowed.")


def test_the_record_says_the_language_that_was_shown(builder: Builder) -> None:
    said = "[core.configuration.language, core.configuration.texts.accept_all]"
    assert builder.create(said) == ["en", "Accept all"]
    assert builder.create(f"(await core.speak('sw'), {said})") == ["sw", "Kubali vyote"]
    with builder.page.expect_response(_is_decision) as answer:
        builder.create("core.decide({ preferences: false, analytics: false })")
    assert answer.value.json()["record"]["language"] == "sw"


def test_it_begins_in_the_language_asked_for(builder: Builder) -> None:
    assert builder.create("core.configuration.language", language="sw") == "sw"


def test_what_the_page_has_queued_before_runs_after_a_grant(builder: Builder) -> None:
    builder.page.evaluate(
        """() => {
            window.ran = [];
            (window.consentService ||= []).push(["analytics", ({ url }) => ran.push(url)]);
        }"""
    )
    assert builder.create("ran") == []
    assert builder.create("core.decide({ preferences: false, analytics: true })") is True
    builder.page.wait_for_function("() => ran.length")
    assert builder.page.evaluate("ran") == [builder.page.url]


def test_what_rests_is_told_so_that_the_page_can_put_something_in_its_place(
    builder: Builder,
) -> None:
    builder.create(
        "void core.on('blocked', ({ purpose }) => { window.blocked = purpose; }),"
        "void core.on('released', ({ purpose }) => { window.released = purpose; })"
    )
    builder.page.evaluate(
        "document.body.innerHTML = '<iframe data-consent=analytics data-src=blank.html></iframe>'"
    )
    builder.page.wait_for_function("() => window.blocked === 'analytics'")
    assert builder.page.evaluate("document.body.children.length") == 1
    builder.create("core.decide({ preferences: false, analytics: true })")
    builder.page.wait_for_function("() => window.released === 'analytics'")


def test_a_user_token_that_is_none_ties_nobody(unlucky: Builder) -> None:
    said = "new Promise((done) => core.on('error', ({ message }) => done(message)))"
    assert unlucky.create(f"(void core.link('nonsense'), await {said})") == "Error: HTTP 422"


def test_the_browsers_signal_is_in_the_configuration(page: Page, shop: Shop) -> None:
    page.add_init_script("Object.defineProperty(navigator, 'globalPrivacyControl', {value: true})")
    assert Builder(page, shop).create("core.configuration.gpc.detected") is True


#: A page whose components follow the core.
BOUND = f"""
import {{ createConsent }} from "{NAME}/core";
import {{ open, useConsent, withdraw }} from "{NAME}/vue";
import {{ createApp, h }} from "vue";

const setup = () => {{
  const counted = useConsent("analytics");
  return () => [
    h("p", {{ id: "visits" }}, `Visits are ${{counted.value ? "counted" : "not counted"}}.`),
    h("button", {{ onClick: open }}, "Cookie settings"),
    h("button", {{ onClick: withdraw }}, "Withdraw"),
  ];
}};
createApp({{ setup }}).mount(document.body);
void createConsent({{ service: "SERVICE", site: "{SITE_KEY}", open: () => alert("Mine.") }});
"""


def test_bindings_follow_it(customer: Customer, shop: Shop, project: Path) -> None:
    page = customer.page
    (project / "bound.js").write_text(BOUND.replace("SERVICE", shop.service))
    words = ("bound.js", "--bundle", "--format=esm", "--outfile=bundle.js", "--log-level=warning")
    npm("run", "esbuild", "--silent", "--prefix", project, "--", *words)
    (project / "bound.html").write_text('<body><script type="module" src="bundle.js"></script>')
    page.goto(f"{shop.origin}/bound.html")
    customer.settled()
    visits = page.locator("#visits")
    expect(visits).to_have_text("Visits are not counted.")
    page.evaluate("consentService.decide({ preferences: false, analytics: true })")
    expect(visits).to_have_text("Visits are counted.")
    with page.expect_event("dialog") as asked:
        page.once("dialog", lambda dialog: dialog.accept())
        customer.presses("Cookie settings")
    assert asked.value.message == "Mine."
    customer.presses("Withdraw")
    expect(visits).to_have_text("Visits are not counted.")
