"""The parts that pages of the console are made of, in a browser, on any screen and by any means."""

from __future__ import annotations

import re
from typing import Literal

import pytest
from playwright.sync_api import Browser, Dialog, Page, ViewportSize, expect

from tests.axe import Axe

PHONE: ViewportSize = {"width": 360, "height": 740}
SMALL_PHONE: ViewportSize = {"width": 320, "height": 568}
LAPTOP: ViewportSize = {"width": 1280, "height": 800}

#: Light and dark, narrow and wide; the two in the middle have each of them once, as the others do.
LOOKS: list[tuple[Literal["light", "dark"], ViewportSize]] = [
    ("light", PHONE),
    ("light", LAPTOP),
    ("dark", PHONE),
    ("dark", LAPTOP),
]

PAGES = (
    "gallery",
    "gallery?alone=1&saved=1",
    "form",
    "form?wrong=1",
    "confirm",
    "sign-in",
    "error/401?signed_out=1",
    "error/403",
    "error/404",
    "error/409",
    "error/500",
)

#: Parts that stand out of the page to the right.
OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"

#: What a finger has to hit that is less than 44 px, apart from links within text (WCAG 2.2, 2.5.8).
TOO_SMALL = """() => [...document.querySelectorAll("a, button, summary, input, select, textarea")]
    .filter((part) => part.checkVisibility() && !part.closest("p, td, th, .alert, .skip"))
    .map((part) => [part, (part.closest(".choice") ?? part).getBoundingClientRect()])
    .filter(([part, box]) => !part.matches(".skip") && (box.height < 44 || box.width < 44))
    .map(([part]) => part.outerHTML)"""


def _open_everything(page: Page) -> None:
    page.evaluate("for (const menu of document.querySelectorAll('details')) menu.open = true")


def _asked(page: Page) -> list[str]:
    """Say yes to whatever the browser asks, and note what it was."""
    asked: list[str] = []

    def answer(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", answer)
    return asked


# ---- On any screen


@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing_in_either_scheme_or_language(
    browser: Browser, stage_url: str, path: str
) -> None:
    axe = Axe()
    for locale, looks in (("en-GB", LOOKS[::3]), ("sw-TZ", LOOKS[1:3])):
        with browser.new_context(locale=locale, reduced_motion="reduce") as context:
            page = context.new_page()
            page.goto(f"{stage_url}/{path}")
            expect(page.locator("html")).to_have_attribute("lang", locale[:2])
            for scheme, size in looks:
                page.emulate_media(color_scheme=scheme)
                page.set_viewport_size(size)
                found = axe.run(page)
                assert found.violations_count == 0, found.generate_report()
            _open_everything(page)
            found = axe.run(page)
            assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("path", PAGES)
def test_nothing_stands_out_of_a_small_screen_and_fingers_have_room(
    browser: Browser, stage_url: str, path: str
) -> None:
    for locale in ("en-GB", "sw-TZ"):
        with browser.new_context(
            locale=locale, viewport=SMALL_PHONE, has_touch=True, is_mobile=True
        ) as context:
            page = context.new_page()
            page.goto(f"{stage_url}/{path}")
            assert page.evaluate(OVERFLOW) <= 0
            assert page.evaluate(TOO_SMALL) == []
            _open_everything(page)
            assert page.evaluate(OVERFLOW) <= 0
            assert page.evaluate(TOO_SMALL) == []


@pytest.mark.parametrize("path", PAGES)
def test_a_page_needs_nothing_that_its_policy_forbids(
    page: Page, stage_url: str, path: str
) -> None:
    # What the policy refuses is an error on the page, which fails the test.
    page.goto(f"{stage_url}/{path}")
    assert page.locator("[style], style, script:not([src])").count() == 0


def test_a_table_is_a_stack_of_cards_on_a_phone_and_still_a_table_to_a_screen_reader(
    page: Page, stage_url: str
) -> None:
    for size, stacked in ((LAPTOP, False), (PHONE, True)):
        page.set_viewport_size(size)
        page.goto(f"{stage_url}/gallery")
        table = page.get_by_role("table", name="3 sites")
        row = table.get_by_role("row", name=re.compile("Momo Pulse dashboard"))
        boxes = [cell.bounding_box() for cell in row.get_by_role("cell").all()]
        tops = [box["y"] for box in boxes if box]
        assert (tops == sorted(set(tops))) == stacked
        # Safari forgets that a table is one unless each part says so once it is drawn otherwise.
        parts = table.locator("tr, th, td")
        assert parts.count() == parts.and_(page.locator("[role]")).count() > 20
        assert row.get_by_role("rowheader").count() == 1
        assert table.get_by_role("columnheader").all_text_contents()[:2] == ["Name", "Key"]


# ---- Navigation


def test_the_keyboard_reaches_the_content_first(page: Page, stage_url: str) -> None:
    page.goto(f"{stage_url}/gallery")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport(ratio=1)
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_the_room_one_is_in_is_marked_and_rooms_without_permission_are_not_offered(
    page: Page, stage_url: str
) -> None:
    page.goto(f"{stage_url}/gallery?without=keys:read")
    rooms = page.get_by_role("navigation", name="Console").get_by_role("link")
    assert rooms.all_text_contents() == ["Sites", "Consent rates", "Records", "Users", "Audit"]
    assert [room.get_attribute("aria-current") for room in rooms.all()] == [
        "page",
        None,
        None,
        None,
        None,
    ]


def test_one_tenant_is_named_and_several_can_be_switched(page: Page, stage_url: str) -> None:
    page.goto(f"{stage_url}/gallery?alone=1")
    expect(page.locator(".tenants")).to_have_text("Tenant Momo Pulse")
    assert page.locator(".tenants a, .tenants summary").count() == 0
    page.goto(f"{stage_url}/gallery")
    page.locator(".tenants summary").click()
    page.get_by_role("link", name="Duka la Mama Asha").click()
    assert page.url == f"{stage_url}/duka/home"


def test_a_menu_closes_by_escape_and_by_going_elsewhere(page: Page, stage_url: str) -> None:
    page.goto(f"{stage_url}/gallery")
    menu = page.locator(".account")
    menu.locator("summary").click()
    page.keyboard.press("Tab")
    expect(menu.get_by_role("link", name="Security")).to_be_focused()
    page.keyboard.press("Escape")
    expect(menu.locator("summary")).to_be_focused()
    expect(menu).not_to_have_attribute("open", "")
    menu.locator("summary").click()
    expect(menu).to_have_attribute("open", "")
    page.locator("h1").click()
    expect(menu).not_to_have_attribute("open", "")


def test_signing_out_sends_the_token(page: Page, stage_url: str) -> None:
    page.goto(f"{stage_url}/gallery")
    page.locator(".account summary").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("body")).to_contain_text('"csrf_token":"token-of-this-session"')


# ---- Forms


def test_what_a_form_got_wrong_stands_at_the_top_has_the_focus_and_leads_to_the_fields(
    page: Page, stage_url: str
) -> None:
    page.goto(f"{stage_url}/form?wrong=1")
    assert page.title().startswith("Error: ")
    summary = page.get_by_role("alert")
    expect(summary).to_be_focused()
    expect(summary.get_by_role("listitem")).to_have_text(
        [
            "Name: Missing data for required field.",
            "Allowed origins: Entry 2: Not an origin: give scheme and host.",
            "Scopes: Shorter than minimum length 1.",
            "The two dates are the wrong way round.",
        ]
    )
    for link, field in (("Name", "Name"), ("Allowed origins", "Allowed origins")):
        summary.get_by_role("link", name=link).click()
        expect(page.get_by_role("textbox", name=field)).to_be_focused()
    summary.get_by_role("link", name="Scopes").click()
    expect(page.get_by_role("checkbox", name="Read sites")).to_be_focused()


def test_a_field_is_described_by_its_hint_and_by_what_is_wrong_with_it(
    page: Page, stage_url: str
) -> None:
    page.goto(f"{stage_url}/form?wrong=1")
    origins = page.get_by_role("textbox", name="Allowed origins")
    expect(origins).to_have_accessible_description(
        re.compile("^One a line, with scheme and port.*Entry 2: Not an origin")
    )
    expect(origins).to_have_attribute("aria-invalid", "true")
    expect(origins).to_have_value("https://shop.example.com")
    domain = page.get_by_role("textbox", name="Cookie domain (optional)")
    expect(domain).to_have_accessible_description("So that subdomains share a choice.")
    expect(domain).not_to_have_attribute("aria-invalid", "true")


def test_leaving_with_unsaved_changes_asks_and_sending_does_not(page: Page, stage_url: str) -> None:
    asked = _asked(page)
    page.goto(f"{stage_url}/form")
    page.get_by_role("link", name="Cancel").click()
    page.wait_for_url("**/gallery")
    assert asked == []

    page.goto(f"{stage_url}/form")
    page.get_by_label("Name").fill("Another")
    page.get_by_role("link", name="Cancel").click()
    page.wait_for_url("**/gallery")
    assert asked == ["beforeunload"]

    page.goto(f"{stage_url}/form")
    page.get_by_label("Name").fill("Another")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("body")).to_contain_text('"name":"Another"')
    assert asked == ["beforeunload"]


def test_a_form_that_came_back_with_errors_counts_as_unsaved(page: Page, stage_url: str) -> None:
    asked = _asked(page)
    page.goto(f"{stage_url}/form?wrong=1")
    page.get_by_label("Code").click()  # A page that nobody touched may always be left.
    page.get_by_role("link", name="Cancel").click()
    page.wait_for_url("**/gallery")
    assert asked == ["beforeunload"]


def test_a_question_is_asked_before_sending_and_no_is_the_answer_of_escape(
    page: Page, stage_url: str
) -> None:
    page.goto(f"{stage_url}/gallery")
    retire = page.locator("#retire").get_by_role("button", name="Retire key")
    for leave in ("Escape", "Cancel"):
        retire.click()
        question = page.get_by_role("dialog", name=re.compile("^Retire this key"))
        expect(question.get_by_role("button", name="Cancel")).to_be_focused()
        if leave == "Escape":
            page.keyboard.press("Escape")
        else:
            question.get_by_role("button", name=leave).click()
        expect(question).to_be_hidden()
        expect(retire).to_be_focused()
    retire.click()
    page.get_by_role("dialog").get_by_role("button", name="Retire key").click()
    expect(page.locator("body")).to_contain_text('"csrf_token":"token-of-this-session"')


def test_a_page_that_asks_once_more_sends_what_it_is_about(page: Page, stage_url: str) -> None:
    page.goto(f"{stage_url}/confirm")
    page.get_by_role("button", name="Remove").click()
    expect(page.locator("body")).to_contain_text('"user":"1"')


# ---- Small comforts


def test_text_is_copied_and_that_is_said(browser: Browser, stage_url: str) -> None:
    with browser.new_context(permissions=["clipboard-read", "clipboard-write"]) as context:
        page = context.new_page()
        page.goto(f"{stage_url}/gallery")
        page.get_by_role("button", name=re.compile("Copy.*Script tag")).click()
        expect(page.locator(".snippet [role=status]")).to_have_text("Copied")
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied == page.locator(".snippet code").text_content()
        assert copied.startswith('<script src="https://')


def test_where_copying_is_refused_the_text_is_selected(page: Page, stage_url: str) -> None:
    page.add_init_script("delete Navigator.prototype.clipboard")
    page.goto(f"{stage_url}/gallery")
    page.get_by_role("button", name=re.compile("Copy.*Script tag")).click()
    assert page.evaluate("String(getSelection())").startswith("<script src=")
    expect(page.locator(".snippet [role=status]")).to_have_text("")


def test_a_time_is_the_readers_own_with_scripts_and_utc_without(
    browser: Browser, stage_url: str
) -> None:
    for scripts, shown in ((True, "24 Nov 2026, 22:33 GMT+3"), (False, "24 Nov 2026, 19:33 UTC")):
        with browser.new_context(
            locale="en-GB", timezone_id="Africa/Dar_es_Salaam", java_script_enabled=scripts
        ) as context:
            page = context.new_page()
            page.goto(f"{stage_url}/gallery")
            time = page.locator("time").first
            expect(time).to_have_text(shown)
            expect(time).to_have_attribute("datetime", "2026-11-24T19:33:00.000Z")


def test_a_slash_leads_to_the_search_until_shortcuts_are_switched_off(
    page: Page, stage_url: str
) -> None:
    page.goto(f"{stage_url}/gallery")
    search = page.get_by_role("searchbox", name="Find a site")
    page.keyboard.press("/")
    expect(search).to_be_focused()
    page.keyboard.type("a/b?")
    expect(search).to_have_value("a/b?")
    page.locator("h1").click()
    page.keyboard.press("?")
    page.get_by_label("Use these shortcuts in this browser").uncheck()
    page.get_by_role("button", name="Close").click()
    page.reload()
    page.keyboard.press("/")
    page.keyboard.press("?")
    expect(search).not_to_be_focused()
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.get_by_role("button", name="Keyboard shortcuts").click()
    expect(page.get_by_label("Use these shortcuts in this browser")).not_to_be_checked()


def test_without_scripts_nothing_is_offered_that_needs_them(
    browser: Browser, stage_url: str
) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{stage_url}/gallery")
        expect(page.get_by_role("button", name="Copy")).to_have_count(0)
        expect(page.get_by_role("button", name="Keyboard shortcuts")).to_have_count(0)
        page.locator(".account summary").click()
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()
        page.goto(f"{stage_url}/form?wrong=1")
        expect(page.get_by_role("alert")).to_be_focused()


def test_text_of_a_tenant_is_never_markup(page: Page, stage_url: str) -> None:
    page.goto(f"{stage_url}/gallery")
    expect(page.get_by_role("link", name="Shop <script>alert(1)</script>")).to_be_visible()
    expect(page.get_by_text("Shop <b>and café</b>")).to_be_visible()
    assert page.locator("main b, main script").count() == 0


def test_paper_carries_what_is_said_and_nothing_to_press(page: Page, stage_url: str) -> None:
    page.goto(f"{stage_url}/gallery")
    page.emulate_media(media="print", color_scheme="dark")
    expect(page.get_by_role("table", name="3 sites")).to_be_visible()
    expect(page.get_by_role("button")).to_have_count(0)
    expect(page.get_by_role("searchbox")).to_have_count(0)
    expect(page.get_by_role("navigation", name="Console")).to_have_count(0)
    expect(page.locator("body")).to_have_css("background-color", "rgb(255, 255, 255)")
