"""Pages as they are: old, rewritten under our feet, shut in, or with ideas of their own."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

import pytest
from playwright.sync_api import ConsoleMessage, Page, Route, expect

from tests.browser.conftest import Shop
from tests.browser.own_pages import ORDINARY, TAG, WAITING, stage
from tests.browser.visitor import Visitor

RAN = "() => window.ran === 1"
#: Resolves after what a browser paints in two frames, with what came of a timer meanwhile.
TWO_FRAMES = """() => new Promise((done) =>
    requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))))"""
HEAD = '<!doctype html><html lang="en"><title>Page</title><link rel="icon" href="data:,">'


@pytest.fixture
def quiet(page: Page) -> Iterator[Page]:
    """A page on which any error, and any warning of ours, fails the test."""
    warnings: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type == "warning":
            warnings.append(message.text)

    page.on("console", hear)
    yield page
    assert warnings == []


def visit(page: Page, origin: str, html: str = ORDINARY) -> Visitor:
    """Open a page of the test's own on the service's host."""
    visitor = Visitor(page, origin)
    page.goto(stage(page, origin, html))
    visitor.settled()
    return visitor


def expect_to_work(visitor: Visitor) -> None:
    """Hold that the banner asks, that nothing ran, and that what is allowed then does."""
    expect(visitor.banner).to_be_visible()
    assert visitor.page.evaluate("window.ran") is None
    visitor.decide("accept")
    expect(visitor.banner).to_have_count(0)
    visitor.page.wait_for_function(RAN)
    focused = visitor.page.evaluate("document.activeElement.tagName")
    assert focused != "BODY"


PAGES = {
    "in the head, not async": f"{HEAD}{TAG}<main><h1>Page</h1>{WAITING}</main>",
    "written by a script": f"""{HEAD}<main><h1>Page</h1>{WAITING}</main>
        <script>document.write('{TAG.replace("</", "<" + chr(92) + "/")}');</script>""",
    "twice": f"{HEAD}<main><h1>Page</h1>{WAITING}</main>{TAG}{TAG}",
    "a module": f"""{HEAD}<main><h1>Page</h1>{WAITING}</main>
        {TAG.replace("<script", "<script type=module")}""",
    "without main or heading": f"{HEAD}<p>Page</p>{WAITING}{TAG}",
    "in quirks mode": f"<title>Page</title><link rel=icon href=data:,><p>Page{WAITING}{TAG}",
    "without a body tag": f"{HEAD}{TAG}{WAITING}",
    "removed by itself": f"""{HEAD}<main><h1>Page</h1>{WAITING}</main><script>
        const script = document.createElement("script");
        script.src = "/embed/site_demo.js";
        document.head.append(script);
        script.remove();
        </script>""",
    "beside additions to prototypes": f"""{HEAD}<script>
        Object.prototype.extra = function () {{}};
        Object.prototype.$odd = 1;
        Array.prototype.last = function () {{ return this[this.length - 1]; }};
        String.prototype.extra = "text";
        Array.prototype.toJSON = function () {{ return "array"; }};
        </script><main><h1>Page</h1>{WAITING}</main>{TAG}""",
    "with a base elsewhere": f"""{HEAD}<base href="https://elsewhere.invalid/">
        <main><h1>Page</h1>{WAITING}</main>{TAG.replace('src="', 'src="ORIGIN')}""",
}


@pytest.mark.parametrize("kind", PAGES)
def test_the_widget_works_on_a_page_with_its_script(quiet: Page, demo_url: str, kind: str) -> None:
    expect_to_work(visit(quiet, demo_url, PAGES[kind].replace("ORIGIN", demo_url)))


def test_the_banner_outlives_a_page_that_is_written_anew(quiet: Page, demo_url: str) -> None:
    visitor = visit(quiet, demo_url)
    quiet.evaluate(
        """(html) => {
            document.open();
            document.write(html);
            document.close();
        }""",
        f"{HEAD}<main><h1>Anew</h1>{WAITING}</main>",
    )
    expect(quiet.locator("h1")).to_have_text("Anew")
    expect(visitor.banner).to_have_css("position", "fixed")
    expect_to_work(visitor)


def test_the_preference_centre_outlives_it_too(quiet: Page, demo_url: str) -> None:
    visitor = visit(quiet, demo_url)
    visitor.press("choose")
    quiet.evaluate("document.write('<title>Anew</title><h1>Anew</h1>'), document.close()")
    expect(visitor.centre).to_be_visible()
    visitor.centre.locator('[data-purpose="analytics"]').check()
    assert visitor.decide("save")["choices"]["analytics"] is True


def test_what_is_drawn_before_it_notices_is_heard_all_the_same(quiet: Page, demo_url: str) -> None:
    """The page is written anew between a press and what it opens; only then comes a frame."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    quiet.route("**/embed/more-*", hold)
    visitor = visit(quiet, demo_url)
    visitor.press("choose")
    quiet.evaluate(
        """() => {
            const later = [];
            window.requestAnimationFrame = (callback) => later.push(callback);
            window.nextFrame = () => later.splice(0).forEach((callback) => callback());
            document.write("<title>Anew</title><h1>Anew</h1>"), document.close();
        }"""
    )
    expect(quiet.locator("#csvc-root")).to_have_count(0)
    held.pop().continue_()
    expect(visitor.centre).to_be_visible()
    quiet.evaluate("nextFrame()")
    visitor.centre.locator('[data-purpose="analytics"]').check()
    assert visitor.decide("save")["choices"]["analytics"] is True


def test_the_banner_comes_back_where_it_is_thrown_out(quiet: Page, demo_url: str) -> None:
    visitor = visit(quiet, demo_url)
    quiet.evaluate("document.getElementById('csvc-root').remove()")
    expect_to_work(visitor)
    quiet.evaluate("document.getElementById('csvc-root').remove()")
    expect(quiet.locator("#csvc-reopen")).to_be_visible()


def test_a_page_that_throws_the_banner_out_each_time_stays_in_use(
    quiet: Page, demo_url: str
) -> None:
    visitor = visit(quiet, demo_url)
    quiet.evaluate(
        """() => {
            window.thrown = 0;
            new MutationObserver(() => {
                const root = document.getElementById("csvc-root");
                if (root) window.thrown++, root.remove();
            }).observe(document.body, { childList: true });
            document.getElementById("csvc-root").remove();
            document.querySelector("h1").onclick = () => (window.pressed = true);
        }"""
    )
    quiet.click("h1")
    assert quiet.evaluate("window.pressed") is True
    # It tries once a frame, so that the page gets all the time between.
    before = quiet.evaluate("window.thrown")
    for _ in range(5):
        quiet.evaluate(TWO_FRAMES)
    frames = quiet.evaluate(
        """async () => {
            const from = window.thrown;
            for (let frame = 0; frame < 10; frame++) await new Promise(requestAnimationFrame);
            return window.thrown - from;
        }"""
    )
    assert before >= 0
    assert frames <= 11
    assert visitor.page.evaluate("consentService.gate('analytics')") is False
    assert visitor.page.evaluate("window.ran") is None


def test_a_copy_of_the_banner_decides_nothing_and_does_not_come_back_with_a_kept_page(
    quiet: Page, demo_url: str
) -> None:
    """As where pages are kept as copies of their body, and swapped for them (Turbo, htmx)."""
    visitor = visit(quiet, demo_url)
    quiet.evaluate("window.kept = document.body.cloneNode(true)")
    visitor.decide("accept")
    quiet.evaluate("document.body.replaceWith(window.kept)")
    expect(quiet.locator("#csvc-reopen")).to_be_visible()
    expect(visitor.banner).to_have_count(0)
    expect(quiet.locator("#csvc-root")).to_have_count(1)


def test_a_pressed_copy_of_the_banner_grants_nothing(quiet: Page, demo_url: str) -> None:
    visitor = visit(quiet, demo_url)
    quiet.evaluate(
        """() => {
            const copy = document.getElementById("csvc-root").cloneNode(true);
            copy.className = "copy";
            document.body.append(copy);
            copy.querySelector("#csvc-accept").click();
        }"""
    )
    assert quiet.evaluate("consentService.gate('analytics')") is False
    assert visitor.calls() == []


def test_the_banner_stays_when_the_body_is_replaced(quiet: Page, demo_url: str) -> None:
    visitor = visit(quiet, demo_url)
    quiet.evaluate(
        """(html) => {
            const body = document.createElement("body");
            body.innerHTML = html;
            document.body.replaceWith(body);
        }""",
        f"<main><h1>Another</h1>{WAITING}</main>",
    )
    expect(quiet.locator("h1")).to_have_text("Another")
    expect_to_work(visitor)


def test_a_banner_that_is_hidden_grants_nothing(quiet: Page, demo_url: str) -> None:
    html = ORDINARY.replace("<main>", "<style>#csvc-root {display: none !important}</style><main>")
    visitor = visit(quiet, demo_url, html)
    expect(visitor.banner).to_be_hidden()
    assert quiet.evaluate("consentService.gate('analytics')") is False
    assert quiet.evaluate("window.ran") is None
    assert quiet.evaluate("consentService.choices") is None
    quiet.reload()
    visitor.settled()
    assert quiet.evaluate("consentService.choices") is None


def test_in_a_frame_that_is_shut_in_nothing_is_thrown_and_nothing_granted(
    bare_page: Page, shop: Shop
) -> None:
    inner_html = ORDINARY.replace('src="/embed', f'src="{shop.service}/embed')
    shop.html = f"""{HEAD}<h1>Outer</h1>
        <iframe width="900" height="600" sandbox="allow-scripts"
            srcdoc="{escape(inner_html)}"></iframe>"""
    bare_page.goto(shop.origin)
    frame = bare_page.frame_locator("iframe")
    expect(frame.locator("#csvc-accept")).to_be_visible()
    frame.locator("#csvc-accept").click()
    # The service does not know the origin of such a frame, so nothing can be recorded.
    expect(frame.locator("#csvc-root [role=alert]")).not_to_be_empty()
    inner = bare_page.frames[1]
    assert inner.evaluate("consentService.gate('analytics')") is False
    assert inner.evaluate("window.ran") is None
    frame.locator("#csvc-close").click()
    expect(frame.locator("#csvc-reopen")).to_be_visible()


BLOCKED = """
    Object.defineProperty(Document.prototype, "cookie", {
        get() { throw new DOMException("blocked", "SecurityError"); },
        set() { throw new DOMException("blocked", "SecurityError"); },
    });
    for (const name of ["localStorage", "sessionStorage"]) {
        Object.defineProperty(window, name, {
            get() { throw new DOMException("blocked", "SecurityError"); },
        });
    }
"""


def test_where_nothing_can_be_kept_a_choice_holds_for_as_long_as_the_page(
    quiet: Page, demo_url: str
) -> None:
    quiet.add_init_script(BLOCKED)
    visitor = visit(quiet, demo_url)
    expect_to_work(visitor)
    quiet.evaluate("consentService.withdraw()")
    assert quiet.evaluate("consentService.gate('analytics')") is False


def test_where_nothing_can_be_kept_the_banner_can_be_closed(quiet: Page, demo_url: str) -> None:
    quiet.add_init_script(BLOCKED)
    visitor = visit(quiet, demo_url)
    visitor.press("close")
    expect(visitor.banner).to_have_count(0)
    expect(quiet.locator("#csvc-reopen")).to_be_visible()


def test_a_full_storage_loses_no_choice_while_the_page_lasts(quiet: Page, shop: Shop) -> None:
    shop.html = f"""{HEAD}<script>
        localStorage.clear();
        let size = 1 << 22;
        for (let n = 0; size; n++) {{
            try {{ localStorage.setItem(`full${{n}}`, "x".repeat(size)); }} catch {{ size >>= 1; }}
        }}
        </script><main><h1>Page</h1>{WAITING}</main>
        <script src="{shop.service}/embed/site_demo.js"></script>"""
    visitor = Visitor(quiet, shop.origin)
    quiet.goto(shop.origin)
    visitor.settled()
    expect_to_work(visitor)
    quiet.evaluate("consentService.withdraw()")
    assert quiet.evaluate("consentService.gate('analytics')") is False


@pytest.mark.parametrize(
    "taken", ["42", "'text'", "{ mine: true }", "Object.freeze({})", "() => true"]
)
def test_a_page_that_uses_our_name_keeps_it_and_gets_no_banner(
    quiet: Page, demo_url: str, taken: str
) -> None:
    html = ORDINARY.replace("<main>", f"<script>window.consentService = {taken}</script><main>")
    quiet.goto(stage(quiet, demo_url, html))
    quiet.evaluate("fetch('/healthz').then((answer) => answer.text())")
    assert quiet.evaluate(f"typeof window.consentService === typeof ({taken})") is True
    expect(quiet.locator("#csvc-root")).to_have_count(0)
    assert quiet.evaluate("window.ran") is None


BROKEN = {
    "fetch throws": "window.fetch = () => { throw new Error('no'); };",
    "fetch gives nothing": "window.fetch = () => {};",
    "fetch gives rubbish": "window.fetch = async () => ({});",
    "JSON.stringify throws": "JSON.stringify = () => { throw new Error('no'); };",
    "all requests are answered by the page": (
        "window.fetch = async () => new Response('<h1>Offline</h1>');"
    ),
}


@pytest.mark.parametrize("how", BROKEN)
def test_where_the_page_breaks_what_is_needed_nothing_is_granted_and_the_banner_says_so(
    page: Page, demo_url: str, how: str
) -> None:
    html = ORDINARY.replace("<main>", f"<script>{BROKEN[how]}</script><main>")
    visitor = visit(page, demo_url, html)
    visitor.press("accept")
    expect(visitor.alert).to_contain_text("could not be saved")
    expect(visitor.banner).to_be_visible()
    assert page.evaluate("consentService.gate('analytics')") is False
    assert page.evaluate("window.ran") is None
