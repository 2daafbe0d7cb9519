"""The page of a receipt: what a visitor reads there, on any screen and on paper."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser
from pypdf import PdfReader

from consent_service.receipts.wording import LANGUAGES, moment, page_language, texts
from tests.axe import Axe
from tests.builders import SITE_KEY, Service, make_purpose
from tests.pages import Page

#: The strings of a page that a person reads, spaces as one.
TAGS = re.compile(r"<[^>]+>")


@pytest.fixture
def service(untouched: Service) -> Service:
    """A service that all of these tests share: each is of new visitors."""
    return untouched


def page_of(answer: dict[str, Any], **query: str) -> str:
    asked = "".join(f"&{name}={value}" for name, value in query.items())
    return str(answer["receipt_url"]).replace("/receipt.json", "/receipt.html") + asked


def read(service: Service, address: str, **headers: str) -> str:
    response = service.client.get(address, headers=headers)
    assert response.status_code == 200
    return re.sub(r"\s+", " ", TAGS.sub(" ", response.get_data(as_text=True)))


def test_a_page_says_what_was_chosen_in_the_words_that_were_shown(service: Service) -> None:
    answer = service.choose(language="sw").get_json()
    said = read(service, page_of(answer))
    allowed, refused = said.index("Ulichoruhusu"), said.index("Ulichokataa")
    essential = said.index("Hutumika daima", refused)
    assert allowed < said.index("analytics kwa Kiswahili") < refused
    assert refused < said.index("preferences kwa Kiswahili") < essential
    assert essential < said.index("session kwa Kiswahili")
    for each in (
        "App",
        "Example Ltd",
        "dpo@example.com",
        "https://example.com/privacy",
        "2026-03",
        answer["record"]["id"],
        answer["record"]["notice_hash"],
        "bila malipo",
        texts("sw")["waiting"],
    ):
        assert each in said


def test_a_page_is_read_in_another_language_if_one_is_asked_for(service: Service) -> None:
    said = read(service, page_of(service.choose(language="sw").get_json(), lang="en"))
    assert "What you allowed" in said
    assert "analytics in English" in said
    assert "in Swahili" in said


def test_what_was_granted_before_is_shown_as_withdrawn(service: Service) -> None:
    token = service.token(analytics=True)
    choices = {"analytics": False, "preferences": False}
    answer = service.choose(choices, token=token, action="withdraw").get_json()
    assert "Withdrawn" in read(service, page_of(answer))
    first = service.choose(choices, action="reject_all").get_json()
    assert "Withdrawn" not in read(service, page_of(first))


def test_the_visitor_is_led_to_the_choices_before_and_after_and_nobody_else(
    service: Service,
) -> None:
    first = service.choose().get_json()
    second = service.choose(token=first["token"]).get_json()
    third = service.choose(token=second["token"]).get_json()

    def links(**headers: str) -> list[str]:
        response = service.client.get(page_of(second), headers=headers)
        assert response.status_code == 200
        page = response.get_data(as_text=True)
        return re.findall(r'href="([^"]+)" rel="(?:prev|next)"', page)

    cookie = f"{service.site.cookie_name}={third['token']}"
    assert links(Cookie=cookie) == [
        f"/v1/records/{each['record']['id']}/receipt.html?site={SITE_KEY}"
        for each in (first, third)
    ]
    for other in links(Cookie=cookie):
        assert service.client.get(other, headers={"Cookie": cookie}).status_code == 200
    assert links() == []
    assert links(Cookie=f"{service.site.cookie_name}={service.token()}") == []


def test_a_page_runs_nothing_calls_nobody_and_is_in_no_index(service: Service) -> None:
    response = service.client.get(page_of(service.choose().get_json()))
    page = Page(response.get_data(as_text=True))
    assert page.inline == []
    assert page.loads == ["/v1/records/assets/receipt.css"]
    assert response.headers["X-Robots-Tag"] == "noindex"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    policy = response.headers["Content-Security-Policy"]
    assert "script-src" not in policy
    assert policy.startswith("default-src 'none'; style-src 'self';")
    assert "frame-ancestors 'none'" in policy


def test_what_a_tenant_writes_never_becomes_markup(service: Service) -> None:
    evil = "<script>alert(1)</script>{verify}{0.__class__}"
    purpose = make_purpose("analytics", "analytics")
    for said in purpose["texts"].values():
        said["name"] = evil
    site = service.add_site("site_evil")
    notice = service.publish(site, purposes=[purpose], controller={"name": evil})
    answer = service.choose(
        {"analytics": True}, notice_version=notice.version, site_key=site.site_key
    ).get_json()
    page = service.client.get(page_of(answer)).get_data(as_text=True)
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;{verify}{0.__class__}") == 2


def test_a_link_that_leads_nowhere_says_so_in_words(service: Service) -> None:
    whole = page_of(service.choose().get_json())
    for address in (whole[:-2], whole[: whole.index("&") - 2], whole.partition("?")[0]):
        response = service.client.get(address, headers={"Accept-Language": "sw"})
        assert response.status_code == 404
        assert texts("sw")["unknown_title"] in response.get_data(as_text=True)
        assert response.headers["Cache-Control"] == "private, no-store"


def shape(value: Any) -> Any:  # noqa: ANN401
    """Return the names in a table of texts, and what each of them leaves to be filled in."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    return sorted(re.findall(r"\{\w+\}", value))


def test_all_languages_say_the_same() -> None:
    assert {json.dumps(shape(texts(tag))) for tag in LANGUAGES} == {json.dumps(shape(texts("en")))}


def test_other_languages_are_answered_in_english() -> None:
    assert page_language("de") == page_language(None) == "en"
    assert page_language("xx", "sw-TZ") == "sw"


@pytest.mark.parametrize(
    ("zone", "local"),
    [
        ("Africa/Dar_es_Salaam", "1 March 2026, 12:30:00 GMT+03:00"),
        ("UTC", "1 March 2026, 09:30:00 GMT+00:00"),
        ("America/St_Johns", "1 March 2026, 06:00:00 GMT-03:30"),
    ],
)
def test_times_are_told_where_the_site_is_with_utc_beside(zone: str, local: str) -> None:
    found = moment("2026-03-01T09:30:00.250Z", zone, "en")
    assert found == ("2026-03-01T09:30:00.250Z", local, "1 March 2026, 09:30:00 UTC")


def demo_choice(demo_url: str) -> dict[str, Any]:
    site = f"{demo_url}/v1/sites/site_demo"
    notice = httpx.get(f"{site}/banner").json()
    choices = {purpose["key"]: False for purpose in notice["purposes"]["optional"]}
    decision = {
        "choices": {**choices, "analytics": True},
        "action": "save",
        "notice_version": notice["notice_version"],
        "language": "en",
        "surface": "banner",
    }
    answer = httpx.post(f"{site}/consents", json=decision, headers={"Origin": demo_url})
    found: dict[str, Any] = answer.json()
    return found


def test_anybody_can_read_a_page_on_a_phone_in_the_dark_and_on_one_sheet(
    browser: Browser,
    demo_url: str,
    tmp_path: Any,  # noqa: ANN401
) -> None:
    address = page_of(demo_choice(demo_url), lang="sw")
    with browser.new_context(
        viewport={"width": 320, "height": 640}, color_scheme="dark", locale="en-GB"
    ) as context:
        page = context.new_page()
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") == 320
        assert Axe().run(page).response["violations"] == []
        page.emulate_media(color_scheme="light")
        assert Axe().run(page).response["violations"] == []
        page.pdf(path=tmp_path / "receipt.pdf", prefer_css_page_size=True)
    (sheet,) = PdfReader(tmp_path / "receipt.pdf").pages
    assert "momopulse.com/privacy" in sheet.extract_text()
