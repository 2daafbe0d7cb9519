"""The notice of a record, shown once more: as it was, whatever has been published since."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import text

from consent_service.receipts.wording import texts
from tests.axe import Axe
from tests.builders import COUNTRY_HEADER, SITE_KEY, Service, make_service
from tests.receipts.triggers import unguard


def as_shown(answer: dict[str, Any]) -> str:
    return str(answer["receipt_url"]).replace("/receipt.json", "/as-shown")


def handed_over(page: str) -> dict[str, Any]:
    """Return what the page hands to the widget in the frame."""
    found = re.search(r"data-shown='([^']+)'", page)
    assert found
    value: dict[str, Any] = json.loads(unescape(found[1]))
    return value


@pytest.mark.parametrize("country", ["TZ", "US", "FR"])
def test_the_widget_is_told_what_it_was_told_then(worldwide: Service, country: str) -> None:
    service = worldwide
    headers = {COUNTRY_HEADER: country, "Sec-GPC": "1"}
    told = service.client.get(f"/v1/sites/{SITE_KEY}/banner?lang=sw", headers=headers).get_json()
    answer = service.choose(language="sw", headers=headers).get_json()
    service.publish(texts={"sw": {"title": "Mpya"}}, controller={"name": "Another"})
    response = service.client.get(as_shown(answer))
    shown = handed_over(response.get_data(as_text=True))
    assert shown["configuration"] == told
    assert shown["layer"] == "banner"
    assert shown["ticked"] == answer["record"]["choices"]
    assert response.headers["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize(
    ("surface", "layer"), [("preferences", "preferences"), ("embed", "preferences")]
)
def test_the_layer_is_that_of_the_choice_and_the_page_says_what_is_not(
    worldwide: Service, surface: str, layer: str
) -> None:
    answer = worldwide.choose(surface=surface).get_json()
    page = worldwide.client.get(as_shown(answer)).get_data(as_text=True)
    assert handed_over(page)["layer"] == layer
    assert texts("en")[f"shown_{surface}"] in page
    assert texts("en")["shown_limits"] in page


def test_a_notice_that_is_not_the_recorded_one_is_not_shown(
    sqlite_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    service = make_service(sqlite_url, tmp_path)
    request.addfinalizer(service.built.database.close)
    answer = service.choose().get_json()
    unguard(service.built.database, "notices")
    with service.built.database.transaction(service.tenant.id) as connection:
        connection.execute(text("UPDATE notices SET content = replace(content, 'Ltd', 'Inc')"))
    response = service.client.get(as_shown(answer))
    page = response.get_data(as_text=True)
    assert response.status_code == 500
    assert texts("en")["shown_refused"] in page
    assert "Example Inc" not in page
    # What was chosen stands nevertheless.
    receipt = service.client.get(answer["receipt_url"])
    assert receipt.get_json()["record"] == answer["record"]
    assert "Example Inc" not in receipt.get_data(as_text=True)
    readable = service.client.get(answer["receipt_url"].replace(".json", ".html"))
    assert texts("en")["no_notice"] in readable.get_data(as_text=True)


def test_of_an_erased_record_there_is_nothing_to_show(service: Service) -> None:
    answer = service.choose().get_json()
    headers = {"Origin": "https://app.example.com", "X-Consent-Token": answer["token"]}
    service.client.delete(f"/v1/sites/{SITE_KEY}/consents/me", headers=headers)
    response = service.client.get(as_shown(answer))
    assert response.status_code == 303
    assert "erased" in service.client.get(response.headers["Location"]).get_data(as_text=True)


def test_nobody_else_is_shown_it(service: Service) -> None:
    answer = service.choose().get_json()
    assert service.client.get(as_shown(answer)[:-2]).status_code == 404
    path = f"/v1/records/{answer['record']['id']}/as-shown?site={SITE_KEY}"
    assert service.client.get(path).status_code == 404
    headers = {"X-Consent-Token": answer["token"]}
    assert service.client.get(path, headers=headers).status_code == 200


def test_the_widget_shows_the_choices_as_they_were_made_and_records_nothing(
    page: Page, demo_url: str
) -> None:
    site = f"{demo_url}/v1/sites/site_demo"
    decision = {
        "choices": {"preferences": True, "analytics": False},
        "action": "save",
        "notice_version": httpx.get(f"{site}/banner").json()["notice_version"],
        "language": "sw",
        "surface": "preferences",
    }
    headers = {"Origin": demo_url}
    answer = httpx.post(f"{site}/consents", json=decision, headers=headers).json()
    page.goto(as_shown(answer))
    centre = page.frame_locator("iframe").locator("dialog")
    expect(centre.locator("h2")).to_have_text("Mipangilio ya vidakuzi")
    expect(centre.locator("[data-purpose=preferences]")).to_be_checked()
    expect(centre.locator("[data-purpose=analytics]")).not_to_be_checked()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    centre.locator("button[value=accept_all]").press("Enter")
    expect(centre).to_have_count(0)
    assert asked == []
    token = {"X-Consent-Token": answer["token"]}
    history = httpx.get(f"{site}/consents/me", headers=token).json()["history"]
    assert history == [answer["record"]]


def test_anybody_can_use_the_page_around_the_widget(bare_page: Page, demo_url: str) -> None:
    site = f"{demo_url}/v1/sites/site_demo"
    decision = {
        "choices": {"preferences": False, "analytics": False},
        "action": "reject_all",
        "notice_version": httpx.get(f"{site}/banner").json()["notice_version"],
        "language": "en",
        "surface": "banner",
    }
    headers = {"Origin": demo_url}
    answer = httpx.post(f"{site}/consents", json=decision, headers=headers).json()
    bare_page.set_viewport_size({"width": 320, "height": 640})
    bare_page.goto(as_shown(answer))
    expect(bare_page.frame_locator("iframe").locator("#csvc-root h2")).to_be_visible()
    assert bare_page.evaluate("document.documentElement.scrollWidth") == 320
    assert Axe().run(bare_page).response["violations"] == []
