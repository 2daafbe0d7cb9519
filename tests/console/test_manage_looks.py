"""Sites, keys, the audit log and records in a browser: on any screen, for anybody."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from werkzeug.serving import make_server

from consent_service.access.actor import OPERATOR
from consent_service.access.auth import PLAIN_COOKIE
from consent_service.access.keys import create_key, revoke_key, rotate_key
from consent_service.consents.holds import Order, lift_hold, place_hold
from consent_service.signing import Keyring
from consent_service.tenants.link_keys import add_link_key, retire_link_key
from consent_service.tenants.service import create_site, create_tenant, update_site
from tests.axe import Axe
from tests.builders import ORIGIN, SITE_KEY, make_service
from tests.console.test_parts import LOOKS, OVERFLOW, PHONE, TOO_SMALL, _open_everything
from tests.members import Member, sign_in

HERE = "/console/t/example"


@dataclass(frozen=True)
class House:
    """A console with something on each page, where it is, and who looks at it."""

    url: str
    owner: Member
    #: Of a tenant that has nothing yet.
    newcomer: Member
    record_id: str
    visitor_id: str
    erased_id: str
    key_id: str

    @property
    def pages(self) -> list[str]:
        """Every page, with something on it."""
        return [
            f"{HERE}/sites",
            f"{HERE}/sites/new",
            f"{HERE}/sites/{SITE_KEY}",
            f"{HERE}/sites/{SITE_KEY}/edit",
            f"{HERE}/sites/{SITE_KEY}/link-keys/1/retire",
            f"{HERE}/keys",
            f"{HERE}/keys/new",
            f"{HERE}/keys/{self.key_id}/rotate",
            f"{HERE}/keys/{self.key_id}/revoke",
            f"{HERE}/audit",
            f"{HERE}/audit?action=site&from=2026-01-01",
            f"{HERE}/records",
            f"{HERE}/records?q=nothing",
            f"{HERE}/records/{self.record_id}",
            f"{HERE}/records/{self.erased_id}",
            f"{HERE}/sites/{SITE_KEY}/visitors/{self.visitor_id}",
            f"{HERE}/records/holds",
            f"{HERE}/records/holds/new",
        ]


@pytest.fixture(scope="module")
def house(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    url = f"sqlite:///{shutil.copy(sqlite_template, folder / 'db')}"
    service = make_service(url, folder, limit_reads="100000 per minute")
    database, tenant = service.built.database, service.tenant
    owner = sign_in(service, name="Neema Mushi")
    newcomer = sign_in(service, tenant=create_tenant(database, "new", "Duka Jipya", by=OPERATOR))
    changes = {
        "name": "Momo Pulse dashboard <b>new</b>",
        "allowed_origins": [
            ORIGIN,
            "https://a-host-with-a-very-long-name.staging.example.com:8443",
        ],
        "regime_overrides": {"GB": "opt_out", "US-CA": "opt_in"},
    }
    update_site(database, service.site, changes, revision=1, by=owner.actor)
    create_site(database, tenant, "Shop", ["https://shop.example.com"], by=owner.actor)
    for _ in range(2):
        add_link_key(database, service.use(Keyring), service.site, by=owner.actor)
    retire_link_key(database, service.site, 1, by=owner.actor)
    keys = [
        create_key(database, tenant.id, name, ["gate:batch", "records:read"], by=owner.actor).key
        for name in ("Nightly pipeline", "Old pipeline", "Lost laptop")
    ]
    rotate_key(database, tenant.id, keys[1].id, by=owner.actor)
    revoke_key(database, tenant.id, keys[2].id, by=owner.actor)
    made = service.choose().get_json()
    refusal = {"analytics": False, "preferences": False}
    record = service.choose(refusal, token=made["token"]).get_json()["record"]
    erased = service.choose().get_json()
    service.client.delete(
        f"/v1/sites/{SITE_KEY}/consents/me",
        headers={"Origin": ORIGIN, "X-Consent-Token": erased["token"]},
    )
    order = Order(
        authority="High Court of Tanzania, Dar es Salaam District Registry",
        reference="Miscellaneous Civil Application No. 12 of 2026",
        reason="A court has ordered us to keep all records of March <b>2026</b>.",
        site=service.site,
        visitor_id=record["visitor_id"],
    )
    place_hold(database, tenant.id, order, by=owner.actor)
    lifted = place_hold(
        database, tenant.id, replace(order, site=None, visitor_id=None), by=owner.actor
    )
    lift_hold(database, tenant.id, lifted.id, reason="The court has decided.", by=owner.actor)
    server = make_server("127.0.0.1", 0, service.built.wsgi, threaded=True)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield House(
        f"http://localhost:{server.port}",
        owner,
        newcomer,
        record["id"],
        record["visitor_id"],
        erased["record"]["id"],
        str(keys[0].id),
    )
    server.shutdown()
    thread.join()
    server.server_close()
    service.built.database.close()


def enter(context: BrowserContext, house: House, member: Member) -> Page:
    """Give a page of somebody who is signed in."""
    assert member.token
    context.add_cookies([{"name": PLAIN_COOKIE, "value": member.token, "url": house.url}])
    return context.new_page()


def test_axe_finds_nothing_and_every_page_fits_its_screen(browser: Browser, house: House) -> None:
    axe = Axe()
    # Each scheme and each size once: neither has to do with the other.
    for scheme, size in LOOKS[::3]:
        with browser.new_context(
            color_scheme=scheme,
            viewport=size,
            locale="en-GB",
            reduced_motion="reduce",
            has_touch=size is PHONE,
            is_mobile=size is PHONE,
        ) as context:
            page = enter(context, house, house.owner)
            for address in house.pages:
                page.goto(f"{house.url}{address}")
                _open_everything(page)
                where = (address, scheme, size)
                assert page.evaluate(OVERFLOW) <= 0, where
                if size is PHONE:
                    assert page.evaluate(TOO_SMALL) == [], where
                found = axe.run(page)
                assert found.violations_count == 0, (where, found.generate_report())


def test_pages_without_anything_say_what_to_do_next(browser: Browser, house: House) -> None:
    axe = Axe()
    with browser.new_context(viewport=LOOKS[0][1], locale="en-GB") as context:
        page = enter(context, house, house.newcomer)
        for room, title in (
            ("sites", "No site yet"),
            ("records/holds", "Nothing is held"),
            ("keys", "No API key yet"),
        ):
            page.goto(f"{house.url}/console/t/new/{room}")
            expect(page.get_by_role("heading", name=title)).to_be_visible()
            assert axe.run(page).violations_count == 0
        page.get_by_role("link", name="Make a key").click()
        expect(page.get_by_role("heading", name="Make an API key")).to_be_visible()


def test_a_site_is_added_and_its_script_tag_is_there_to_copy(
    browser: Browser, house: House
) -> None:
    with browser.new_context(permissions=["clipboard-read", "clipboard-write"]) as context:
        page = enter(context, house, house.newcomer)
        page.goto(f"{house.url}/console/t/new/sites")
        page.get_by_role("link", name="Add a site").click()
        page.get_by_label("Name").fill("Duka")
        page.get_by_role("button", name="Add the site").click()
        expect(page.get_by_role("alert").get_by_role("link")).to_have_text(
            "Origins of its pages: Name at least one origin, and at most 50."
        )
        page.get_by_label("Origins of its pages").fill("https://duka.example.com")
        page.get_by_label("Region 1").select_option("GB")
        page.get_by_label("Regime 1").select_option("opt_out")
        page.get_by_role("button", name="Add the site").click()
        expect(page.get_by_role("heading", name="Duka", exact=True)).to_be_visible()
        expect(page.get_by_role("row", name="United Kingdom (GB)")).to_be_visible()
        page.get_by_role("button", name=re.compile("^Copy.*Script tag: one request")).click()
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied.startswith(f'<script src="{house.url}/embed/site_')


def test_a_record_is_found_by_what_a_visitor_has(browser: Browser, house: House) -> None:
    with browser.new_context(locale="en-GB") as context:
        page = enter(context, house, house.owner)
        link = f"https://consent.example.com/v1/records/{house.record_id}/receipt.json?tenant=x"
        for held in (house.record_id, link, f" {house.record_id.upper()} "):
            page.goto(f"{house.url}{HERE}/records")
            page.keyboard.press("/")
            page.keyboard.insert_text(held)
            page.keyboard.press("Enter")
            expect(page.get_by_role("heading", name="Record", exact=True)).to_be_visible()
            expect(page.get_by_role("row", name="analytics in English")).to_contain_text(
                "Not allowed"
            )
        page.get_by_role("link", name=house.visitor_id).click()
        expect(page.get_by_role("row")).to_have_count(3)
