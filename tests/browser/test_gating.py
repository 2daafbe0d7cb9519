"""What is tagged: scripts, frames, pictures, styles, videos and pieces of the page."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.axe import Axe
from tests.browser.conftest import Shop
from tests.browser.notice import MARKUP
from tests.browser.visitor import COOKIE, Visitor
from tests.builders import COUNTRY_HEADER
from tests.servers import wait_until

PICTURE = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30"/>'
#: Tells the shop every few milliseconds that it still runs.
BUSY_FRAME = """<!doctype html><title>Map</title><p>Map</p>
    <script>setInterval(() => fetch("/beat"), 20)</script>"""
FRAME = (
    '<iframe id="map" data-consent="marketing" data-src="/map.html" title="Map of our shop"'
    ' width="560" height="315"></iframe>'
)
ASIDE = "<p id='after'>After it.</p>"


@pytest.fixture
def guest(page: Page, gated: Shop) -> Visitor:
    """A visitor of the shop."""
    return Visitor(page, gated.origin)


@pytest.fixture
def patient(bare_page: Page, gated: Shop) -> Visitor:
    """The same where the browser has something to complain about."""
    return Visitor(bare_page, gated.origin)


@pytest.fixture
def californian(browser: Browser, gated: Shop) -> Iterator[Visitor]:
    """A visitor from where an opt-out signal has to be obeyed, who sends one."""
    added = {COUNTRY_HEADER: "US"}
    with browser.new_context(locale="en-GB") as context:
        context.route(
            f"{gated.service}/**",
            lambda route: route.continue_(headers=route.request.headers | added),
        )
        context.add_init_script("navigator.globalPrivacyControl = true")
        yield Visitor(context.new_page(), gated.origin)


def arrive(visitor: Visitor, path: str = "/") -> None:
    """Open the shop and wait until the widget has done all it does by itself."""
    visitor.page.goto(visitor.origin + path)
    visitor.settled()


def save(visitor: Visitor, **choices: bool) -> None:
    """Have a choice recorded, as a page does that has a surface of its own."""
    complete = {"analytics": False, "marketing": False, **choices}
    assert visitor.page.evaluate("(choices) => consentService.decide(choices)", complete)


def expect_ran(visitor: Visitor, *names: str) -> None:
    """Wait until these scripts have run, and hold that they ran in this order."""
    visitor.page.wait_for_function("(number) => ran.length >= number", arg=len(names))
    assert visitor.page.evaluate("ran") == list(names)


def script(name: str, purpose: str = "analytics", attributes: str = "") -> str:
    """Write an inline script that tells that it ran."""
    tag = f'type="text/plain" data-consent="{purpose}" {attributes}'
    return f"<script {tag}>ran.push('{name}')</script>"


def external(shop: Shop, name: str, purpose: str = "analytics", attributes: str = "") -> str:
    """Write an external one, and have the shop serve it."""
    shop.files[f"/{name}.js"] = f"ran.push('{name}')"
    tag = f'type="text/plain" data-consent="{purpose}" {attributes}'
    return f'<script {tag} src="/{name}.js"></script>'


def hold(visitor: Visitor, file: str) -> list[Route]:
    """Keep a file from coming; return what has been asked for, to let it come."""
    held: list[Route] = []

    def keep(route: Route) -> None:
        held.append(route)

    visitor.page.route(file, keep)
    return held


def rectangle(locator: Locator) -> Any:  # noqa: ANN401
    """Say where on the page something is, and how large."""
    return locator.evaluate(
        """(element) => {
            const { x, y, width, height } = element.getBoundingClientRect();
            return [x + scrollX, y + scrollY, width, height];
        }"""
    )


def focus(visitor: Visitor) -> str:
    """Say what has the focus."""
    focused: str = visitor.page.evaluate(
        "document.activeElement.id || document.activeElement.textContent"
    )
    return focused


def placeholder(visitor: Visitor) -> Locator:
    """Return what stands where something would be."""
    return visitor.page.locator(".csvc-embed")


def once(visitor: Visitor) -> Locator:
    """Return its first button."""
    return placeholder(visitor).get_by_role("button", name="Show this time only")


def always(visitor: Visitor) -> Locator:
    """Return its second."""
    return placeholder(visitor).get_by_role("button", name="Always allow")


def decisions_sent(visitor: Visitor) -> int:
    """Count the decisions that left the browser."""
    return sum(entry.startswith("POST") and "/consents" in entry for entry in visitor.sent)


# --- Scripts


def test_scripts_of_every_kind_run_in_the_order_of_the_page(guest: Visitor, gated: Shop) -> None:
    gated.files["/third.js"] = "export const name = 'third';"
    gated.furnish(
        external(gated, "first")
        + script("second")
        + """<script type="text/plain" data-consent="analytics" data-type="module">
            import { name } from "/third.js"; ran.push(name); document.body.dataset.module = name;
        </script>"""
        + external(gated, "other", "marketing")
    )
    arrive(guest)
    assert guest.page.evaluate("ran") == []
    assert not any("/first.js" in entry or "/third.js" in entry for entry in guest.sent)
    save(guest, analytics=True)
    expect_ran(guest, "first", "second", "third")
    save(guest, analytics=True, marketing=True)
    expect_ran(guest, "first", "second", "third", "other")


def test_external_scripts_keep_their_order_however_fast_each_comes(
    guest: Visitor, gated: Shop
) -> None:
    gated.furnish(external(gated, "slow") + external(gated, "fast") + script("inline"))
    held = hold(guest, "**/slow.js")

    def release(route: Route) -> None:
        route.continue_()
        held.pop().continue_()

    guest.page.route("**/fast.js", release)
    arrive(guest)
    save(guest, analytics=True)
    expect_ran(guest, "slow", "fast", "inline")


def test_a_script_that_may_come_at_any_time_holds_up_none(guest: Visitor, gated: Shop) -> None:
    gated.furnish(external(gated, "late", attributes="async") + script("inline"))
    held = hold(guest, "**/late.js")
    arrive(guest)
    save(guest, analytics=True)
    expect_ran(guest, "inline")
    held.pop().continue_()
    expect_ran(guest, "inline", "late")


@pytest.mark.parametrize("attributes", ["", "nomodule"])
def test_a_script_that_never_comes_does_not_stop_the_next(
    patient: Visitor, gated: Shop, attributes: str
) -> None:
    gated.files["/gone.js"] = ""
    gone = f'<script type="text/plain" data-consent="analytics" {attributes} src="/gone.js">'
    gated.furnish(f"{gone}</script>" + script("inline") + external(gated, "second"))
    arrive(patient)
    save(patient, analytics=True)
    expect_ran(patient, "inline", "second")


def test_scripts_keep_what_a_strict_policy_asks_for(guest: Visitor, gated: Shop) -> None:
    gated.headers["Content-Security-Policy"] = (
        f"script-src 'nonce-shop' {gated.service}; default-src 'self' data: {gated.service}"
    )
    tag = external(gated, "first", attributes='nonce="shop" id="first" crossorigin="anonymous"')
    digest = b64encode(hashlib.sha384(gated.files["/first.js"].encode()).digest()).decode()
    integrity = f"sha384-{digest}"
    gated.furnish(
        tag.replace(" src", f' integrity="{integrity}" src')
        + script("second", attributes='nonce="shop"')
    )
    arrive(guest)
    save(guest, analytics=True)
    expect_ran(guest, "first", "second")
    kept = guest.page.evaluate(
        "({ ...first.dataset, ...{ c: first.crossOrigin, n: first.nonce } })"
    )
    assert kept == {"consent": "analytics", "c": "anonymous", "n": "shop"}
    assert guest.page.evaluate("first.integrity") == integrity


def test_a_script_that_is_not_what_the_page_states_does_not_run(
    patient: Visitor, gated: Shop
) -> None:
    digest = b64encode(hashlib.sha384(b"another").digest()).decode()
    tag = external(gated, "forged", attributes=f'integrity="sha384-{digest}"')
    gated.furnish(tag + script("inline"))
    arrive(patient)
    save(patient, analytics=True)
    expect_ran(patient, "inline")


@pytest.mark.parametrize("policies", ["trusted-types consent-service", ""])
def test_scripts_run_where_no_text_becomes_one_unexamined(
    guest: Visitor, gated: Shop, policies: str
) -> None:
    gated.headers["Content-Security-Policy"] = f"require-trusted-types-for 'script'; {policies}"
    gated.furnish(external(gated, "first") + script("second"))
    arrive(guest)
    save(guest, analytics=True)
    expect_ran(guest, "first", "second")


@pytest.mark.parametrize("is_early", [True, False])
def test_a_script_that_the_page_adds_or_tags_later_is_gated_too(
    guest: Visitor, gated: Shop, *, is_early: bool
) -> None:
    external(gated, "added")
    gated.furnish("<script type='text/plain' id='untagged'>ran.push('tagged')</script>")
    arrive(guest)
    add = """() => {
        const script = document.createElement("script");
        Object.assign(script, { type: "text/plain", src: "/added.js" });
        script.dataset.consent = "analytics";
        document.body.append(script);
    }"""
    tag = "() => { untagged.dataset.consent = 'analytics' }"
    if is_early:
        guest.page.evaluate(tag)
        guest.page.evaluate(add)
        assert guest.page.evaluate("consentService.gate('analytics').then(() => ran)") == []
        save(guest, analytics=True)
    else:
        save(guest, analytics=True)
        guest.page.evaluate(tag)
        expect_ran(guest, "tagged")
        guest.page.evaluate(add)
    expect_ran(guest, "tagged", "added")


def test_a_service_runs_under_the_purpose_that_the_notice_puts_it_under(
    guest: Visitor, gated: Shop
) -> None:
    tags = {"pageviews": "analytics", "maps": "marketing", "basket": "session", "nobody": None}
    gated.furnish(
        "".join(
            f'<script type="text/plain" data-consent-service="{key}">ran.push("{key}")</script>'
            for key in tags
        )
    )
    arrive(guest)
    expect_ran(guest, "basket")
    save(guest, marketing=True)
    expect_ran(guest, "basket", "maps")
    save(guest, marketing=True, analytics=True)
    expect_ran(guest, "basket", "maps", "pageviews")


# --- Frames and their placeholders


def test_a_frame_asks_for_nothing_and_says_what_it_would_show(guest: Visitor, gated: Shop) -> None:
    gated.files["/map.html"] = BUSY_FRAME
    gated.furnish(FRAME)
    arrive(guest)
    expect(placeholder(guest)).to_contain_text("Map of our shop")
    expect(placeholder(guest)).to_contain_text(f"only if you allow: Marketing {MARKUP}")
    expect(guest.page.locator("#map")).to_be_hidden()
    assert gated.asked == ["/"]


def test_the_preview_text_comes_before_the_title(guest: Visitor, gated: Shop) -> None:
    gated.furnish(FRAME.replace("<iframe", '<iframe data-consent-text="Where we are"'))
    arrive(guest)
    expect(placeholder(guest)).to_contain_text("Where we are")
    expect(placeholder(guest)).not_to_contain_text("Map of our shop")


@pytest.mark.parametrize("width", [320, 1280])
def test_neither_button_of_a_placeholder_stands_out(
    guest: Visitor, gated: Shop, width: int
) -> None:
    gated.furnish(FRAME)
    guest.page.set_viewport_size({"width": width, "height": 700})
    arrive(guest)
    buttons = placeholder(guest).locator("button")
    expect(buttons).to_have_count(2)
    looks = buttons.evaluate_all(
        """(buttons) => buttons.map((button) => {
            const style = getComputedStyle(button);
            const place = /inline-size|width|^(left|right|inset.*|perspective-.*|transform-.*)$/;
            const names = [...style].filter((name) => !place.test(name));
            return [button.tagName, button.offsetHeight,
                ...names.map((name) => style.getPropertyValue(name))];
        })"""
    )
    assert looks[0] == looks[1]


def test_showing_a_frame_once_shows_no_other_and_keeps_nothing(guest: Visitor, gated: Shop) -> None:
    gated.files["/map.html"] = gated.files["/film.html"] = "<!doctype html><p>Here</p>"
    film = FRAME.replace("map", "film")
    gated.furnish(FRAME + film)
    arrive(guest)
    kept = "[document.cookie, Object.keys(localStorage).filter((name) => !/_shown$/.test(name))]"
    before = guest.page.evaluate(kept)
    once(guest).first.click()
    expect(guest.page.frame_locator("#map").get_by_text("Here")).to_be_visible()
    expect(placeholder(guest)).to_have_count(1)
    assert "/film.html" not in gated.asked
    assert decisions_sent(guest) == 0
    assert guest.page.evaluate(kept) == before
    assert guest.page.evaluate("consentService.choices ?? null") is None
    guest.reload()
    expect(placeholder(guest)).to_have_count(2)


def test_always_allowing_where_a_choice_stands_changes_that_purpose_alone(
    guest: Visitor, gated: Shop
) -> None:
    gated.files["/map.html"] = gated.files["/film.html"] = "<!doctype html><p>Here</p>"
    film = FRAME.replace("map", "film")
    gated.furnish(FRAME + film + script("other"))
    arrive(guest)
    save(guest)
    with guest.page.expect_response("**/consents") as answer:
        always(guest).first.click()
    record = answer.value.json()["record"]
    assert record["surface"] == "embed"
    assert record["choices"]["marketing"] is True
    assert record["choices"]["analytics"] is False
    for name in ("map", "film"):
        expect(guest.page.frame_locator(f"#{name}").get_by_text("Here")).to_be_visible()
    expect(placeholder(guest)).to_have_count(0)
    assert guest.page.evaluate("ran") == []


def test_always_allowing_before_any_choice_asks_about_everything(
    guest: Visitor, gated: Shop
) -> None:
    gated.files["/map.html"] = "<!doctype html><p>Here</p>"
    gated.furnish(FRAME)
    arrive(guest)
    always(guest).click()
    expect(guest.centre.locator('[data-purpose="marketing"]')).to_be_checked()
    expect(guest.centre.locator('[data-purpose="analytics"]')).not_to_be_checked()
    assert decisions_sent(guest) == 0
    guest.page.keyboard.press("Escape")
    expect(guest.centre).to_have_count(0)
    assert decisions_sent(guest) == 0
    assert focus(guest) == "Always allow"
    guest.page.keyboard.press("Enter")
    record = guest.decide("save")
    assert record["choices"]["marketing"] is True
    assert record["choices"]["analytics"] is False
    expect(guest.page.frame_locator("#map").get_by_text("Here")).to_be_visible()
    assert focus(guest) == "map"


def test_always_allowing_what_cannot_be_stored_leaves_it_to_the_preference_centre(
    patient: Visitor, gated: Shop
) -> None:
    gated.furnish(FRAME)
    arrive(patient)
    save(patient)
    patient.page.route("**/consents", lambda route: route.fulfill(status=422))
    always(patient).click()
    expect(patient.centre.locator('[data-purpose="marketing"]')).to_be_checked()
    patient.press("save")
    expect(patient.alert).not_to_be_empty()
    assert "/map.html" not in gated.asked


def test_a_frame_stops_at_a_withdrawal_and_its_placeholder_comes_back(
    guest: Visitor, gated: Shop
) -> None:
    gated.files["/map.html"] = BUSY_FRAME
    gated.furnish(FRAME + "<script>beats = 0; setInterval(() => beats++, 20)</script>")
    arrive(guest)
    guest.decide("accept")
    wait_until(lambda: "/beat" in gated.asked, "the frame did not send")
    guest.page.evaluate("consentService.withdraw()")
    expect(placeholder(guest)).to_be_visible()
    expect(guest.page.locator("#map")).to_be_hidden()
    # What was on its way has arrived once the page itself is answered.
    guest.page.evaluate("fetch('/').then((answer) => answer.text())")
    sent = gated.asked.count("/beat")
    guest.page.wait_for_function("(then) => beats > then + 10", arg=guest.page.evaluate("beats"))
    assert gated.asked.count("/beat") == sent
    assert all(frame.url in {guest.page.url, "about:blank"} for frame in guest.page.frames)


@pytest.mark.parametrize(
    "style",
    [
        "",
        "#map { border: 0; display: block; width: 100%; aspect-ratio: 16 / 9; height: auto }",
        "iframe { height: 400px; width: 50% }",
        """#around { position: relative; padding-bottom: 56.25%; height: 0 }
        iframe { position: absolute; inset: 0; width: 100%; height: 100%; border: 0 }""",
        "iframe { float: right; margin: 3em }",
    ],
)
def test_nothing_moves_when_a_frame_takes_the_place_of_its_placeholder(
    guest: Visitor, gated: Shop, style: str
) -> None:
    gated.files["/map.html"] = "<!doctype html><p>Here</p>"
    gated.furnish(f'<div id="around">{FRAME}</div>{ASIDE}', head=f"<style>{style}</style>")
    arrive(guest)
    expect(placeholder(guest)).to_be_visible()
    beside = guest.page.locator("#after")
    before = rectangle(placeholder(guest)), rectangle(beside)
    once(guest).click()
    expect(guest.page.frame_locator("#map").get_by_text("Here")).to_be_visible()
    assert (rectangle(guest.page.locator("#map")), rectangle(beside)) == before


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_everybody_can_use_a_placeholder(
    guest: Visitor,
    gated: Shop,
    width: int,
    scheme: Any,  # noqa: ANN401
) -> None:
    gated.furnish(FRAME, head='<meta name="color-scheme" content="light dark">')
    guest.page.emulate_media(color_scheme=scheme)
    guest.page.set_viewport_size({"width": width, "height": 700})
    arrive(guest)
    expect(placeholder(guest)).to_be_visible()
    found = Axe().run(guest.page)
    assert found.violations_count == 0, found.generate_report()
    assert guest.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_keyboard_shows_a_frame_and_goes_on_from_it(guest: Visitor, gated: Shop) -> None:
    gated.files["/map.html"] = "<!doctype html><p>Here</p>"
    gated.furnish(FRAME)
    arrive(guest)
    once(guest).focus()
    guest.page.keyboard.press("Tab")
    assert focus(guest) == "Always allow"
    guest.page.keyboard.press("Shift+Tab")
    guest.page.keyboard.press("Enter")
    expect(guest.page.frame_locator("#map").get_by_text("Here")).to_be_visible()
    assert focus(guest) == "map"


def test_where_the_signal_has_to_be_obeyed_a_placeholder_offers_nothing(
    californian: Visitor, gated: Shop
) -> None:
    gated.furnish(FRAME)
    arrive(californian)
    expect(placeholder(californian).locator(".csvc-note")).to_contain_text("signal")
    expect(placeholder(californian).locator("button")).to_have_count(0)
    assert "/map.html" not in gated.asked


def test_a_frame_that_the_page_takes_away_takes_its_placeholder_with_it(
    guest: Visitor, gated: Shop
) -> None:
    gated.furnish(FRAME + ASIDE)
    arrive(guest)
    expect(placeholder(guest)).to_be_visible()
    guest.page.evaluate("map.remove()")
    expect(placeholder(guest)).to_have_count(0)
    expect(guest.page.locator("#after")).to_be_visible()


# --- Pictures, styles, videos, pieces of the page


def test_a_picture_is_asked_for_only_once_it_is_allowed(guest: Visitor, gated: Shop) -> None:
    gated.files |= {"/a.svg": PICTURE, "/b.svg": PICTURE}
    gated.furnish(
        '<img id="one" alt="One" data-consent="marketing" data-src="/a.svg">'
        '<img id="two" alt="Two" data-consent="marketing" data-srcset="/b.svg 1x">'
    )
    arrive(guest)
    assert gated.asked == ["/"]
    save(guest, marketing=True)
    guest.page.wait_for_function("() => one.naturalWidth === 40 && two.naturalWidth === 40")
    assert sorted(gated.asked) == ["/", "/a.svg", "/b.svg"]
    guest.page.evaluate("consentService.withdraw()")
    guest.page.wait_for_function("() => !one.naturalWidth && !two.naturalWidth")


def test_a_style_sheet_holds_while_it_is_allowed(guest: Visitor, gated: Shop) -> None:
    gated.files["/shop.css"] = "h1 { color: rgb(1, 2, 3) }"
    gated.files["/font.css"] = "/* made ready */"
    gated.furnish(
        "",
        head='<link rel="stylesheet" data-consent="marketing" data-href="/shop.css">'
        '<link rel="preload" as="style" data-consent="marketing" data-href="/font.css">',
    )
    arrive(guest)
    assert gated.asked == ["/"]
    title = guest.page.locator("h1")
    for _ in range(2):
        save(guest, marketing=True)
        expect(title).to_have_css("color", "rgb(1, 2, 3)")
        guest.page.evaluate("consentService.withdraw()")
        expect(title).not_to_have_css("color", "rgb(1, 2, 3)")
    wait_until(lambda: "/font.css" in gated.asked, "the preload was not asked for")


def test_a_video_is_asked_for_only_once_it_is_allowed_and_then_dropped(
    patient: Visitor, gated: Shop
) -> None:
    gated.files |= {"/poster.svg": PICTURE, "/film.webm": "no film"}
    gated.furnish(
        '<video id="film" data-consent="marketing" data-src="/film.webm" data-poster="/poster.svg">'
        "</video>"
    )
    arrive(patient)
    assert gated.asked == ["/"]
    save(patient, marketing=True)
    patient.page.wait_for_function("() => film.error")
    wait_until(lambda: "/poster.svg" in gated.asked, "the poster was not asked for")
    patient.page.evaluate("consentService.withdraw()")
    patient.page.wait_for_function("() => !film.poster && film.networkState === 0")


def test_an_object_is_asked_for_only_once_it_is_allowed(guest: Visitor, gated: Shop) -> None:
    gated.files["/plan.svg"] = PICTURE
    gated.furnish('<object data-consent="marketing" data-data="/plan.svg"></object>')
    arrive(guest)
    assert gated.asked == ["/"]
    save(guest, marketing=True)
    wait_until(lambda: "/plan.svg" in gated.asked, "the object was not asked for")


def test_a_template_shows_any_piece_of_the_page_while_it_is_allowed(
    guest: Visitor, gated: Shop
) -> None:
    gated.files["/deep.html"] = "<!doctype html><p>Here</p>"
    one = external(gated, "one").replace('type="text/plain" data-consent="analytics"', "")
    deep = '<iframe id="deep" data-consent="analytics" data-src="/deep.html" title="Deep"></iframe>'
    gated.furnish(
        f"""<template data-consent="marketing"><p id="inside">Inside</p>{one}
        <script>ran.push("two")</script>{deep}<ul><li>Last</li></ul>
        <script type="application/json">{{"not": "run"}}</script></template>{ASIDE}"""
    )
    arrive(guest)
    content = guest.page.locator("#inside")
    expect(content).to_have_count(0)
    assert gated.asked == ["/"]
    save(guest, marketing=True)
    expect(content).to_be_visible()
    expect_ran(guest, "one", "two")
    expect(placeholder(guest)).to_contain_text("Deep")
    assert "/deep.html" not in gated.asked
    main = guest.page.locator("main")
    save(guest)
    expect(content).to_have_count(0)
    expect(placeholder(guest)).to_have_count(0)
    expect(main.locator("script, li, iframe")).to_have_count(0)
    expect(guest.page.locator("#after")).to_be_visible()
    save(guest, marketing=True, analytics=True)
    expect(content).to_be_visible()
    expect(guest.page.frame_locator("#deep").get_by_text("Here")).to_be_visible()


def test_a_piece_of_the_page_shown_once_has_its_scripts(guest: Visitor, gated: Shop) -> None:
    one = external(gated, "one").replace('type="text/plain" data-consent="analytics"', "")
    gated.furnish(
        f"""<template data-consent="marketing" data-consent-text="Comments">{one}
        <script>ran.push("two")</script></template>{script("other", "marketing")}"""
    )
    arrive(guest)
    once(guest).click()
    expect_ran(guest, "one", "two")
    assert decisions_sent(guest) == 0


# --- Texts


def test_no_text_of_a_notice_or_a_page_ever_runs(guest: Visitor, gated: Shop) -> None:
    preview = MARKUP.replace('"', "&quot;")
    gated.furnish(FRAME.replace("<iframe", f'<iframe data-consent-text="{preview}"'))
    arrive(guest)
    expect(placeholder(guest).locator("b")).to_have_text(MARKUP)
    expect(guest.banner.locator("h2")).to_have_text(f"Privacy {MARKUP}")
    always(guest).click()
    for details in guest.centre.locator("summary").all():
        details.click()
    expect(guest.centre.get_by_text(MARKUP).first).to_be_visible()
    guest.decide("save")
    assert guest.page.evaluate("ran") == []
    assert "/stolen.svg" not in gated.asked


# --- After a withdrawal

#: Names that only analytics declares, then names that stay.
LEFT = ["pv_", "pv_1"]
STAYING = ["basket", "kept", "both", "other", "xpv_1"]


def set_cookies(visitor: Visitor, *places: str) -> None:
    """Set each of the cookies in each of these places, as a page there would."""
    visitor.page.evaluate(
        """({ names, places }) => {
            for (const name of names) for (const place of places)
                document.cookie = `${name}=1;max-age=9999;${place}`;
        }""",
        {"names": LEFT + STAYING, "places": list(places)},
    )


def cookies_left(visitor: Visitor) -> set[tuple[str, str, str]]:
    """Return the name, host and path of each cookie in the browser but the widget's own."""
    own = f"{COOKIE}_"
    jar = [c for c in visitor.page.context.cookies() if not c.get("name", "").startswith(own)]
    return {(one.get("name", ""), one.get("domain", ""), one.get("path", "")) for one in jar}


def test_a_withdrawal_deletes_declared_cookies_wherever_the_page_can_reach(
    page: Page, gated: Shop
) -> None:
    visitor = Visitor(page, gated.origin.replace("localhost", "a.b.localhost"))
    arrive(visitor, "/one/two/three")
    save(visitor, analytics=True, marketing=True)
    paths = ["/", "/one", "/one/", "/one/two", "/one/two/three"]
    hosts = {"": "a.b.localhost", ";domain=b.localhost": ".b.localhost"}
    set_cookies(visitor, *(f"path={path}{host}" for path in paths for host in hosts))
    number = len(LEFT + STAYING) * len(paths) * len(hosts)
    wait_until(lambda: len(cookies_left(visitor)) == number, "the cookies were not set")
    save(visitor, marketing=True)
    staying = {(name, host, path) for name in STAYING for host in hosts.values() for path in paths}
    wait_until(lambda: cookies_left(visitor) == staying, "the cookies were not deleted")


def test_a_withdrawal_deletes_what_is_stored_under_declared_names(guest: Visitor) -> None:
    arrive(guest)
    save(guest, analytics=True, marketing=True)
    guest.page.evaluate(
        """(names) => {
            for (const storage of [localStorage, sessionStorage])
                for (const name of names) storage.setItem(name, "1");
        }""",
        LEFT + STAYING,
    )
    save(guest, marketing=True)
    guest.page.wait_for_function("() => !localStorage.pv_1 && !sessionStorage.pv_1")
    for storage in ("localStorage", "sessionStorage"):
        names = set(guest.page.evaluate(f"Object.keys({storage})"))
        assert set(STAYING) <= names
        assert not set(LEFT) & names
    save(guest)
    guest.page.wait_for_function("() => !localStorage.both && !sessionStorage.both")
    assert guest.page.evaluate("localStorage.kept + localStorage.basket") == "11"


def test_without_a_choice_nothing_of_the_page_is_deleted(guest: Visitor) -> None:
    arrive(guest)
    set_cookies(guest, "path=/")
    guest.reload()
    guest.press("choose")
    expect(guest.centre).to_be_visible()
    assert {name for name, _, _ in cookies_left(guest)} == set(LEFT + STAYING)


def test_a_page_that_asks_for_it_reloads_after_a_withdrawal_and_only_then(
    guest: Visitor, gated: Shop
) -> None:
    gated.furnish("", attributes="async data-reload")
    arrive(guest)
    guest.decide("accept")
    save(guest, analytics=True)
    save(guest)
    save(guest, marketing=True)
    assert gated.asked == ["/"]
    set_cookies(guest, "path=/")
    guest.page.click("#csvc-reopen")
    with guest.page.expect_navigation():
        guest.press("reject")
    guest.settled()
    assert gated.asked == ["/", "/"]
    wait_until(
        lambda: {name for name, _, _ in cookies_left(guest)} == set(STAYING) - {"both"},
        "the cookies were not deleted",
    )
    assert guest.page.evaluate("consentService.choices") == {
        "analytics": False,
        "marketing": False,
    }
    guest.press("reopen")
    guest.decide("reject")
    assert gated.asked == ["/", "/"]
