"""The whole way through the console, as people go it: from an invitation to the audit log.

An owner comes in by the operator's link, invites a data-protection officer by mail, and makes a
site. The officer writes its notice in two languages and publishes it. A visitor chooses on the
site's page, and the officer finds the record.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyotp
import pytest
from playwright.sync_api import Browser, Page, expect

from consent_service.signing import ensure_keys
from tests import servers
from tests.browser.conftest import open_shop
from tests.browser.visitor import Visitor
from tests.users.conftest import Mailed

PASSWORD = "seven green lorries"
TENANT = "/console/t/acme"


@dataclass
class House:
    """A running service, and where its mail goes."""

    address: str
    environ: dict[str, str]
    mailed: Mailed

    def command(self, *arguments: str) -> str:
        """Run an operator's command; return what it says."""
        return subprocess.run(
            [sys.executable, "-m", "consent_service.cli", *arguments],
            check=True,
            env=self.environ,
            capture_output=True,
            text=True,
        ).stdout


@pytest.fixture
def house(sqlite_url: str, tmp_path: Path) -> Iterator[House]:
    keys_file, port, mailed = tmp_path / "keys.json", servers.free_port(), Mailed(tmp_path / "out")
    ensure_keys(keys_file)
    address = f"http://127.0.0.1:{port}"
    given = {
        "database_url": sqlite_url,
        "keys_file": str(keys_file),
        "port": str(port),
        "workers": "1",
        "public_url": address,
        "mail_url": f"file://{mailed.folder}",
        "mail_from": "consent@example.com",
    }
    environ = servers.environ_without_settings()
    environ |= {f"CONSENT_{name.upper()}": text for name, text in given.items()}
    with servers.running(
        [sys.executable, "-m", "consent_service.cli", "serve"], address, "/readyz", environ
    ):
        yield House(address, environ, mailed)


class Person:
    """Somebody in front of a browser of their own."""

    def __init__(self, browser: Browser, house: House) -> None:
        """Open nothing yet. Any error on a page of theirs fails the test."""
        self.house = house
        self.page: Page = browser.new_context(locale="en-GB").new_page()
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        # What a policy refuses is said there.
        self.page.on(
            "console",
            lambda message: self.errors.append(message.text) if message.type == "error" else None,
        )

    def go(self, path: str) -> None:
        """Open a page of the console."""
        self.page.goto(self.house.address + path)

    def fill(self, label: str, text: str) -> None:
        """Write into the field with this label."""
        self.page.get_by_label(label).fill(text)

    def press(self, name: str) -> None:
        """Press the button with this name."""
        self.page.get_by_role("button", name=name, exact=True).click()

    def follow(self, name: str) -> None:
        """Follow the link with this name."""
        self.page.get_by_role("link", name=name, exact=True).click()

    def join(self, link: str, name: str) -> None:
        """Accept an invitation as somebody new, and set up a second factor."""
        self.page.goto(link)
        self.fill("Your name", name)
        self.fill("Password", PASSWORD)
        self.press("Accept")
        self.press("Set up an authenticator app")
        secret = self.page.get_by_role("region", name="Secret").inner_text()
        self.fill("First code", pyotp.TOTP(secret.replace(" ", "").strip()).now())
        self.press("Continue")
        self.press("Make new recovery codes")
        codes = self.page.get_by_role("region", name="Recovery codes").inner_text()
        assert len(codes.split()) == 10
        self.follow("I have kept them")

    def says(self, text: str) -> None:
        """Wait until the page says this."""
        expect(self.page.get_by_role("main")).to_contain_text(text)


def test_from_an_invitation_to_the_audit_log(browser: Browser, house: House) -> None:
    house.command("tenant", "create", "acme", "--name", "Acme Ltd")
    printed = house.command("user", "invite", "acme", "owner@example.com", "--role", "owner")
    (link,) = re.findall(r"http://\S+", printed)

    owner = Person(browser, house)
    owner.join(link, "Amina Juma")
    owner.go(f"{TENANT}/users/invite")
    owner.fill("E-mail address", "dpo@example.com")
    owner.page.get_by_label("Data protection officer").check()
    owner.press("Send the invitation")
    owner.says("The invitation was sent to dpo@example.com.")

    with open_shop(house.address) as shop:
        owner.go(f"{TENANT}/sites")
        owner.follow("Add a site")
        owner.fill("Name", "Web shop")
        owner.fill("Origins of its pages", shop.origin)
        owner.press("Add the site")
        tag = owner.page.get_by_role("region", name="Script tag: one request").inner_text()
        site_page = owner.page.url.removeprefix(house.address)

        officer = Person(browser, house)
        officer.join(house.address + house.mailed.link(), "Neema Mushi")
        write_notice(officer, f"{site_page}/notice")

        officer.press("Publish…")
        officer.says("This is the first version")
        officer.press("Publish")
        officer.says("Version 1 is in force.")

        shop.scripts = tag
        visitor = Visitor(browser.new_context(locale="sw-TZ").new_page(), shop.origin)
        servers.wait_until(lambda: shows_banner(visitor), "what was published is not shown")
        expect(visitor.banner).to_contain_text("Vidakuzi vya duka")
        with visitor.page.expect_response(lambda answer: answer.url.endswith("/consents")) as sent:
            visitor.banner.locator("button[value=accept_all]").click()
        receipt = sent.value.json()["receipt_url"]

        officer.go(f"{TENANT}/records")
        officer.fill("Receipt id, receipt link or visitor id", receipt)
        officer.press("Search")
        officer.says("Takwimu (analytics) Allowed")
        expect(officer.page.get_by_text("Right", exact=True)).to_be_visible()
        officer.follow("Version 1, as shown")
        frame = officer.page.frame_locator("iframe:not(.drawn-next)")
        expect(frame.locator("#csvc-root h2")).to_contain_text("Cookies of the shop")

    owner.go(f"{TENANT}/audit")
    for who, did_what in (
        ("The operator", "Tenant made"),
        ("The operator", "Somebody invited"),
        ("Amina Juma", "User joined"),
        ("Amina Juma", "Authenticator app added"),
        ("Amina Juma", "Somebody invited"),
        ("Amina Juma", "Site made"),
        ("Neema Mushi", "User joined"),
        ("Neema Mushi", "Draft of a notice saved"),
        ("Neema Mushi", "Notice published"),
        ("Neema Mushi", "Record looked up"),
    ):
        row = owner.page.get_by_role("row").filter(has_text=who).filter(has_text=did_what)
        expect(row.first).to_be_visible()
    assert owner.errors == officer.errors == []


def shows_banner(visitor: Visitor) -> bool:
    """Open the shop; say whether it has a banner."""
    visitor.page.goto(visitor.origin)
    return visitor.page.locator("#csvc-root > section").count() == 1


def write_notice(officer: Person, address: str) -> None:
    """Write a notice in two languages, and look at it in the preview."""
    page = officer.page
    officer.go(address)
    officer.press("Add a purpose")
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    page.locator('[name="purposes[1].category"]').select_option("analytics")
    for name, text in {
        "dpo.name": "Neema Mushi",
        "dpo.email": "dpo@example.com",
        "dpo.address": "Dar es Salaam",
        "policy.url": "https://acme.example.com/privacy",
        "policy.version": "2026-11",
        "purposes[0].texts.en.name": "Needed",
        "purposes[0].texts.en.description": "Keeps you signed in.",
        "purposes[0].texts.sw.name": "Muhimu",
        "purposes[0].texts.sw.description": "Hukuweka ndani ya akaunti.",
        "purposes[1].key": "analytics",
        "purposes[1].texts.en.name": "Analytics",
        "purposes[1].texts.en.description": "Counts visits.",
        "purposes[1].texts.sw.name": "Takwimu",
        "purposes[1].texts.sw.description": "Huhesabu ziara.",
        "texts.en.title": "Cookies of the shop",
        "texts.sw.title": "Vidakuzi vya duka",
    }.items():
        page.locator(f'[name="{name}"]').fill(text)
    shown = page.frame_locator("iframe:not(.drawn-next)").locator("#csvc-root h2")
    expect(shown).to_contain_text("Cookies of the shop")
    page.get_by_label("Language", exact=True).select_option("sw")
    expect(shown).to_contain_text("Vidakuzi vya duka")
    officer.press("Save draft")
    officer.says("saved")
