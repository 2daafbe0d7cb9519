"""The notice's pages in a browser: written in two languages, seen as visitors will, published."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Dialog, FrameLocator, Page, ViewportSize, expect

from consent_service.access.actor import OPERATOR
from consent_service.notices import drafts
from consent_service.tenants.service import create_site
from tests.axe import Axe
from tests.builders import ORIGIN, SITE_KEY, Service, make_notice, make_service
from tests.console.notices import NOTICE, PAGES, at_desk, served
from tests.members import Member, sign_in

PHONE: ViewportSize = {"width": 360, "height": 740}
LAPTOP: ViewportSize = {"width": 1280, "height": 900}
OPEN_ALL = "for (const each of document.querySelectorAll('main details')) each.open = true"
OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture
def service(sqlite_url: str, tmp_path: Path) -> Iterator[Service]:
    """A service with a site and a notice. What it stores is tested on each kind of database."""
    made = make_service(sqlite_url, tmp_path)
    yield made
    made.built.database.close()


@pytest.fixture
def address(service: Service) -> Iterator[str]:
    with served(service) as found:
        yield found


@pytest.fixture
def owner(service: Service) -> Member:
    return sign_in(service, "owner")


@pytest.fixture
def page(browser: Browser, address: str, owner: Member) -> Iterator[Page]:
    with at_desk(browser, address, owner, viewport=LAPTOP, base_url=address) as context:
        yield context.new_page()


def frame(page: Page) -> FrameLocator:
    """Return what the preview shows now; the other frame is being drawn."""
    return page.frame_locator("iframe:not(.drawn-next)")


def saved(service: Service) -> dict[str, Any]:
    draft = drafts.read_draft(service.built.database, service.site)
    document: dict[str, Any] = dict(draft.document)
    return document


def keep(service: Service, document: dict[str, Any]) -> None:
    """Save a draft behind the page's back."""
    database = service.built.database
    revision = drafts.read_draft(database, service.site).revision
    drafts.save_draft(database, service.site, document, revision=revision, by=OPERATOR)


def test_a_notice_is_written_in_two_languages_seen_and_published(
    page: Page, service: Service, address: str
) -> None:
    before = {name: service.rows(name) for name in ("records", "current_states", "notices")}
    page.goto(NOTICE)
    page.get_by_text("First layer: the banner").click()
    english = page.get_by_label("Title (English)").first
    expect(english).to_have_attribute("placeholder", "Your cookie choices")
    english.fill("Cookies on this site")
    expect(frame(page).locator("#csvc-root h2")).to_have_text("Cookies on this site")
    page.get_by_label("Title (Kiswahili)").first.fill("Vidakuzi vya tovuti hii")
    page.get_by_label("Language", exact=True).select_option("sw")
    expect(frame(page).locator("#csvc-root h2")).to_have_text("Vidakuzi vya tovuti hii")
    # A choice made in the preview is nobody's.
    frame(page).locator("#csvc-root button[value=reject_all]").press("Enter")
    expect(frame(page).locator("#csvc-root section")).to_have_count(0)
    assert {name: service.rows(name) for name in before} == before
    assert [cookie["name"] for cookie in page.context.cookies(address)] == ["consent_session"]
    page.get_by_role("button", name="Publish…").click()
    expect(page.get_by_role("row", name="Vidakuzi vya tovuti hii")).to_be_visible()
    page.get_by_label("Keep their choices").check()
    page.get_by_role("button", name="Publish", exact=True).click()
    expect(page.get_by_role("status").first).to_have_text("Version 2 is in force.")
    service.built.followers.refresh()
    for language, title in (("en", "Cookies on this site"), ("sw", "Vidakuzi vya tovuti hii")):
        shown = service.client.get(f"/v1/sites/{SITE_KEY}/banner?lang={language}").get_json()
        assert (shown["texts"]["title"], shown["material_version"]) == (title, 1)


def test_no_frame_is_in_reach_but_the_one_that_is_drawn(page: Page) -> None:
    drawn, waiting = page.locator("iframe:not(.drawn-next, [inert])"), page.locator("iframe[inert]")
    # As it is until the script has come.
    page.route("**/editor.js", lambda route: route.fulfill(content_type="text/javascript"))
    page.goto(NOTICE)
    expect(drawn).to_have_count(0)
    expect(waiting).to_have_count(2)
    page.unroute_all()
    page.reload()
    expect(frame(page).locator("#csvc-root h2")).to_be_visible()
    page.get_by_label("Looks").select_option("dark")
    expect(frame(page).locator("html")).to_have_attribute("data-scheme", "dark")
    expect(drawn).to_have_count(1)
    expect(waiting).to_have_count(1)


def test_the_preview_touches_nothing_and_calls_nobody(page: Page) -> None:
    asked: list[str] = []
    page.goto(NOTICE)
    page.get_by_label("Visitor in").select_option("US-CA")
    page.get_by_label("Privacy signal on (GPC)").check()
    root = frame(page).locator("#csvc-root")
    expect(root).to_be_attached()
    page.context.on("request", lambda request: asked.append(request.url))
    page.get_by_label("Shows").select_option("preferences")
    expect(frame(page).locator("dialog")).to_be_visible()
    frame(page).locator("dialog button[value=save]").press("Enter")
    expect(frame(page).locator("dialog")).to_have_count(0)
    assert [url for url in asked if "/v1/" in url or "/embed/site_" in url] == []
    kept = (
        frame(page)
        .locator("html")
        .evaluate(
            """() => { const tried = {};
            for (const each of ["cookie", "localStorage"]) {
                try { tried[each] = each === "cookie" ? document.cookie : localStorage.length; }
                catch (error) { tried[each] = error.name; }
            }
            return {...tried, origin}; }"""
        )
    )
    assert kept == {"cookie": "SecurityError", "localStorage": "SecurityError", "origin": "null"}


def test_the_page_in_the_frame_is_nobodys_when_it_is_opened_by_itself(page: Page) -> None:
    page.goto("/embed/preview")
    assert page.evaluate("origin") == "null"


def test_the_widget_in_the_preview_changes_its_language(page: Page) -> None:
    page.goto(NOTICE)
    title = frame(page).locator("#csvc-root h2")
    expect(title).to_have_text("Your cookie choices")
    frame(page).locator("#csvc-language").press("Enter")
    frame(page).locator("select#csvc-language").select_option("sw")
    expect(title).not_to_have_text("Your cookie choices")
    expect(frame(page).locator("#csvc-root")).to_have_attribute("lang", "sw")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_preview_is_light_or_dark_whatever_the_console_is(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "light" else "light")
    page.goto(NOTICE)
    page.get_by_label("Looks").select_option(scheme)
    expect(frame(page).locator("html")).to_have_attribute("data-scheme", scheme)
    section = frame(page).locator("#csvc-root section")
    colour = "rgb(255, 255, 255)" if scheme == "light" else "rgb(18, 18, 18)"
    expect(section).to_have_css("background-color", colour)


def test_typing_goes_on_while_the_preview_is_drawn(page: Page) -> None:
    page.goto(NOTICE)
    page.get_by_label("Shows").select_option("preferences")
    expect(frame(page).locator("dialog")).to_be_visible()
    field = page.get_by_label("Organisation")
    field.fill("")
    field.press_sequentially("A firm with a long name", delay=60)
    expect(frame(page).locator("dialog")).to_contain_text("A firm with a long name")
    expect(field).to_be_focused()
    page.keyboard.type(" indeed")
    expect(field).to_have_value("A firm with a long name indeed")


def test_what_is_missing_stands_beside_its_field_and_the_summary_leads_there(page: Page) -> None:
    page.goto(NOTICE)
    expect(page.locator("#todo")).to_be_hidden()
    page.get_by_text("analytics in English").click()
    page.get_by_label("Name (Kiswahili)").locator("visible=true").fill("")
    line = page.locator("#todo a")
    expect(line).to_have_text("Purpose 3 (analytics) \u203a Kiswahili \u203a Name")
    field = page.locator("[name='purposes[2].texts.sw.name']")
    expect(field).to_have_accessible_description("Write something that can be seen.")
    page.get_by_text("analytics in English").first.click()
    expect(field).to_be_hidden()
    line.click()
    expect(field).to_be_visible()
    field.fill("Takwimu")
    expect(page.locator("#todo")).to_be_hidden()
    expect(field).to_have_accessible_description("")


def test_an_incomplete_draft_is_kept_and_the_page_says_why_it_is_not_published(
    page: Page, service: Service
) -> None:
    page.goto(NOTICE)
    page.get_by_label("E-mail address").fill("nobody")
    page.get_by_role("button", name="Save draft").locator("visible=true").last.click()
    expect(page.get_by_role("status").first).to_have_text("The draft is saved.")
    assert saved(service)["dpo"]["email"] == "nobody"
    page.get_by_role("link", name="Publish").click()
    expect(page.get_by_role("heading", name="It cannot be published yet")).to_be_visible()
    expect(page.get_by_role("button", name="Publish")).to_have_count(0)
    page.get_by_role("link", name="Data-protection officer \u203a E-mail address").click()
    expect(page.get_by_label("E-mail address")).to_be_visible()


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
def test_parts_are_added_moved_and_removed_and_nothing_typed_is_lost(
    browser: Browser,
    address: str,
    owner: Member,
    service: Service,
    scripts: bool,  # noqa: FBT001
) -> None:
    options: dict[str, Any] = {"viewport": LAPTOP, "base_url": address}
    with at_desk(browser, address, owner, java_script_enabled=scripts, **options) as context:
        page = context.new_page()
        page.goto(NOTICE)
        page.get_by_label("Organisation").fill("Changed Ltd")
        page.get_by_role("button", name="Add a purpose").click()
        key = page.locator("[name='purposes[3].key']")
        key.fill("marketing")
        for code in ("en", "sw"):
            for member in ("name", "description"):
                page.locator(f"[name='purposes[3].texts.{code}.{member}']").fill("Adverts")
        page.get_by_role("button", name="Add a service to purpose 4").click()
        page.locator("[name='purposes[3].services[0].key']").fill("ads")
        fourth = page.get_by_role("group", name="Purpose 4")
        fourth.get_by_role("button", name="Add a cookie to service 1").click()
        page.locator("[name='purposes[3].services[0].cookies[0].name']").fill("ad_*")
        page.get_by_role("button", name="Up Purpose 4").click()
        expect(page.locator("[name='purposes[2].key']")).to_have_value("marketing")
        page.get_by_role("button", name="Remove English").click()
        expect(page.locator("[name='languages[0]']")).to_have_value("sw")
        page.get_by_label("Another language").select_option("fr")
        page.get_by_role("button", name="Add the language").click()
        expect(page.locator("[name='languages[1]']")).to_have_value("fr")
        assert drafts.read_draft(service.built.database, service.site).source == "published"
        page.get_by_role("button", name="Save draft").last.click()
        expect(page.get_by_text("The draft is saved.")).to_be_visible()
    document = saved(service)
    assert document["controller"]["name"] == "Changed Ltd"
    assert document["languages"] == ["sw", "fr"]
    keys = [purpose["key"] for purpose in document["purposes"]]
    assert keys == ["session", "preferences", "marketing", "analytics"]
    assert document["purposes"][2]["services"][0]["cookies"][0]["name"] == "ad_*"
    assert document["purposes"][2]["texts"] == {
        "sw": {"name": "Adverts", "description": "Adverts"},
        "fr": {"name": "", "description": ""},
    }


def test_who_saves_on_top_of_anothers_work_sees_both_and_may_keep_either(
    page: Page, service: Service
) -> None:
    page.goto(NOTICE)
    page.get_by_label("Organisation").fill("Mine Ltd")
    keep(service, make_notice(controller={"name": "Theirs Ltd"}))
    page.get_by_role("button", name="Save draft").locator("visible=true").last.click()
    row = page.get_by_role("row", name="Mine Ltd")
    expect(row).to_contain_text("Theirs Ltd")
    assert saved(service)["controller"]["name"] == "Theirs Ltd"
    page.get_by_role("button", name="Go on editing mine").click()
    expect(page.get_by_label("Organisation")).to_have_value("Mine Ltd")
    expect(page.get_by_text("Not saved yet")).to_be_visible()
    page.get_by_role("button", name="Save draft").locator("visible=true").last.click()
    assert saved(service)["controller"]["name"] == "Mine Ltd"


def test_leaving_with_unsaved_changes_is_asked_about(page: Page) -> None:
    asked: list[str] = []

    def accept(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", accept)
    page.goto(NOTICE)
    page.goto(NOTICE)
    assert asked == []
    # By key: browsers ask for those alone who have touched the page.
    page.get_by_label("Organisation").click()
    page.keyboard.type("Changed Ltd")
    page.goto(NOTICE)
    assert asked == ["beforeunload"]


def test_every_version_is_seen_as_it_was_in_each_language(page: Page, service: Service) -> None:
    service.publish(texts={"en": {"title": "Second"}, "sw": {"title": "Ya pili"}})
    service.publish(texts={"en": {"title": "Third"}})
    page.goto(f"{PAGES}/notices")
    expect(page.get_by_role("row")).to_have_count(4)
    page.get_by_role("link", name="Version 2").click()
    expect(page.get_by_role("row", name="Title").first).to_contain_text("Second")
    title = frame(page).locator("#csvc-root h2")
    expect(title).to_have_text("Second")
    page.get_by_label("Language", exact=True).select_option("sw")
    expect(title).to_have_text("Ya pili")


def test_what_a_tenant_writes_is_never_markup(page: Page, service: Service) -> None:
    bad = "<img src=x onerror=document.title='taken'><b>"
    texts = {code: {"name": bad, "description": bad} for code in ("en", "sw")}
    document = make_notice(controller={"name": bad}, texts={"en": {"title": bad}})
    document["purposes"][1]["texts"] = texts
    keep(service, document)
    for path in (NOTICE, f"{NOTICE}/publish"):
        page.goto(path)
        expect(page.locator("main b, main img")).to_have_count(0)
    page.goto(NOTICE)
    expect(frame(page).locator("#csvc-root h2")).to_have_text(bad)
    expect(frame(page).locator("img")).to_have_count(0)


@pytest.mark.parametrize("role", ["analyst", "auditor"])
def test_who_may_only_read_changes_nothing(
    browser: Browser, address: str, service: Service, role: str
) -> None:
    member = sign_in(service, role)
    with at_desk(browser, address, member, viewport=LAPTOP, base_url=address) as context:
        page = context.new_page()
        page.goto(NOTICE)
        expect(page.get_by_label("Organisation")).to_be_disabled()
        expect(page.get_by_role("button", name="Save draft")).to_have_count(0)
        expect(page.get_by_role("link", name="Publish")).to_have_count(0)
    for path in (NOTICE, f"{NOTICE}/discard"):
        response = member.submit(path)
        assert response.status_code == 403
        assert "notices:write" in response.text
    assert member.submit(f"{NOTICE}/publish", material="yes").status_code == 403
    assert len(service.rows("notices")) == 1


def test_another_tenants_notice_is_not_there(service: Service) -> None:
    other = service.add_site("site_other")
    stranger = sign_in(service, "owner", None)
    for path in ("notice", "notice/publish", "notices", "notices/1", "notices/1/shown"):
        response = stranger.get(f"/console/t/example/sites/site_nowhere/{path}")
        assert response.status_code == 404
        assert stranger.get(f"/console/t/nobody/sites/{other.site_key}/{path}").status_code == 404


def test_a_draft_that_a_program_saved_says_what_the_page_would_take_out(
    page: Page, service: Service
) -> None:
    keep(service, make_notice(subtitle="Later", purposes="none"))
    page.goto(NOTICE)
    warning = page.get_by_role("status").filter(has_text="A program has saved this draft")
    expect(warning).to_contain_text("subtitle")
    expect(warning).to_contain_text("purposes")


@pytest.mark.parametrize(
    ("scheme", "viewport"), [("light", PHONE), ("dark", LAPTOP)], ids=["light-phone", "dark-laptop"]
)
def test_every_page_can_be_read_and_used_by_anybody(  # noqa: PLR0913 - fixtures
    browser: Browser,
    address: str,
    owner: Member,
    service: Service,
    scheme: Literal["light", "dark"],
    viewport: ViewportSize,
) -> None:
    service.publish(texts={"en": {"title": "Second"}})
    keep(service, make_notice(dpo={"name": "", "email": "", "address": ""}))
    create_site(
        service.built.database, service.tenant, "New", [ORIGIN], site_key="site_new", by=OPERATOR
    )
    options: dict[str, Any] = {"viewport": viewport, "color_scheme": scheme, "base_url": address}
    with at_desk(browser, address, owner, **options) as context:
        page = context.new_page()
        for path in (
            NOTICE,
            f"{NOTICE}/publish",
            f"{NOTICE}/discard",
            f"{PAGES}/notices",
            f"{PAGES}/notices/2",
            "/console/t/example/sites/site_new/notice",
            "/console/t/example/sites/site_new/notices",
        ):
            page.goto(path)
            page.evaluate(
                "for (const each of document.querySelectorAll('main details')) each.open = true"
            )
            assert page.evaluate(OVERFLOW) == 0, path
            # The widget has tests of its own.
            found = Axe().run(page, iframes=False)
            wrong = [violation["id"] for violation in found.response["violations"]]
            assert wrong == [], json.dumps(found.response["violations"], indent=1)[:3000]
