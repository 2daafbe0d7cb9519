"""The pages about users in a browser: on any screen, to axe, and all the way in."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from werkzeug.serving import make_server

from consent_service.access import invitations
from consent_service.access.actor import OPERATOR
from consent_service.access.auth import PLAIN_COOKIE
from consent_service.access.providers import Providers, Wanted
from consent_service.db import Database
from consent_service.signing import Keyring
from tests.axe import Axe
from tests.builders import Service
from tests.console.test_parts import LOOKS, OVERFLOW, PHONE, SMALL_PHONE, TOO_SMALL
from tests.members import Member, add_member, sign_in
from tests.servers import free_port
from tests.users.conftest import Mailed, make_mailing_service


@dataclass
class Stage:
    """A service with people in it, at an address, and its owner."""

    service: Service
    address: str
    owner: Member
    mailed: Mailed

    def enter(self, context: BrowserContext) -> Page:
        """Open a page as the owner."""
        assert self.owner.token
        cookie = {"name": PLAIN_COOKIE, "value": self.owner.token, "url": self.address}
        context.add_cookies([cookie])  # type: ignore[list-item]
        return context.new_page()

    def link(self, email: str) -> str:
        """Invite somebody; return the path of the link."""
        database, keys = self.service.use(Database), self.service.use(Keyring)
        tenant_id = self.service.tenant.id
        made = invitations.invite(database, keys, tenant_id, email, "dpo", by=OPERATOR)
        return invitations.link(keys, made, "")


@pytest.fixture
def stage(sqlite_template: Path, tmp_path: Path) -> Iterator[Stage]:
    """The whole service, served to a browser."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    mailed = Mailed(tmp_path / "outbox")
    url = f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'consent.db')}"
    service = make_mailing_service(url, tmp_path, mailed, public_url=address)
    owner = sign_in(service, name="Amina Juma", email="amina@example.com")
    add_member(service, "developer", name="Baraka Mushi", email="baraka@example.com")
    add_member(
        service,
        "auditor",
        name="Bibi Zawadi Mwanaidi Abdulrahman wa Mwanakwerekwe",
        email="zawadi.mwanaidi.abdulrahman.mwanakwerekwe@ofisi-ya-mkaguzi.example.com",
    )
    wanted = Wanted("https://login.example.com", "consent", "secret", required=False, revision=0)
    service.use(Providers).save(service.tenant.id, wanted, proven=False, by=OPERATOR)
    server = make_server("127.0.0.1", port, service.built.wsgi, threaded=True)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Stage(service, address, owner, mailed)
    server.shutdown()
    thread.join()
    server.server_close()
    service.built.database.close()


def pages(stage: Stage) -> dict[str, str]:
    """Return the pages by what they are."""
    users = "/console/t/example/users"
    new, known = stage.link("new@example.com"), stage.link("known@example.com")
    add_member(stage.service, "analyst", email="known@example.com")
    return {
        "users": users,
        "invite": f"{users}/invite",
        "role": f"{users}/{stage.owner.user_id}/role",
        "end": f"{users}/{stage.owner.user_id}/end",
        "provider": "/console/t/example/identity-provider",
        "remove": "/console/t/example/identity-provider/remove",
        "invited": new,
        "invited with an account": known,
        "invited as somebody else": known,
        "refused": "/console/invitations/x",
        "tenant": "/console/sign-in/tenant",
        "leave": "/console/sign-in/tenant?tenant=example",
        "none": "/console/sign-in/tenant?tenant=none",
    }


#: What a person sees who has not signed in.
OUTSIDE = {"invited", "invited with an account", "refused", "tenant", "leave", "none"}


def test_axe_finds_nothing_and_nothing_stands_out_of_a_phone(
    browser: Browser, stage: Stage
) -> None:
    axe = Axe()
    for name, path in pages(stage).items():
        for locale, looks in (("en-GB", LOOKS[::3]), ("sw-TZ", LOOKS[1:3])):
            with browser.new_context(locale=locale, reduced_motion="reduce") as context:
                page = context.new_page() if name in OUTSIDE else stage.enter(context)
                page.goto(f"{stage.address}{path}")
                for scheme, size in looks:
                    page.emulate_media(color_scheme=scheme)
                    page.set_viewport_size(size)
                    assert page.evaluate(OVERFLOW) <= 0, (name, size)
                    found = axe.run(page)
                    assert found.violations_count == 0, (name, found.generate_report())


def test_fingers_have_room_on_a_small_phone(browser: Browser, stage: Stage) -> None:
    for name, path in pages(stage).items():
        with browser.new_context(
            locale="en-GB", viewport=SMALL_PHONE, has_touch=True, is_mobile=True
        ) as context:
            page = context.new_page() if name in OUTSIDE else stage.enter(context)
            page.goto(f"{stage.address}{path}")
            assert page.evaluate(OVERFLOW) <= 0, name
            assert page.evaluate(TOO_SMALL) == [], name


def test_from_an_invitation_to_the_second_factor_on_a_phone(browser: Browser, stage: Stage) -> None:
    with browser.new_context(locale="en-GB", viewport=PHONE) as context:
        page = stage.enter(context)
        page.goto(f"{stage.address}/console/t/example/users")
        page.get_by_role("link", name="Invite somebody").click()
        page.get_by_label("E-mail address").fill("neema@example.com")
        page.get_by_role("button", name="Send the invitation").click()
        # No role was chosen: it is said, and the address stands.
        expect(page.get_by_role("alert")).to_be_focused()
        expect(page.get_by_label("E-mail address")).to_have_value("neema@example.com")
        page.get_by_role("radio", name="Data protection officer").check()
        page.get_by_role("button", name="Send the invitation").click()
        expect(page.get_by_role("status").first).to_contain_text("was sent to neema@example.com")
        expect(page.get_by_role("table", name="Invitations")).to_contain_text("neema@example.com")
    with browser.new_context(locale="en-GB", viewport=PHONE) as context:
        page = context.new_page()
        page.goto(f"{stage.address}{stage.mailed.link()}")
        expect(page.get_by_role("heading", level=1)).to_have_text("You are invited to Example Ltd")
        page.get_by_label("Your name").fill("Neema")
        page.get_by_label("Password").fill("short")
        page.get_by_role("button", name="Accept").click()
        expect(page.get_by_role("alert")).to_contain_text("Use at least 12 characters")
        expect(page.get_by_label("Your name")).to_have_value("Neema")
        page.get_by_label("Password").fill("seven green lorries")
        page.get_by_role("button", name="Accept").click()
        expect(page).to_have_url(re.compile("/console/account/security"))


def test_a_member_is_raised_and_let_go(page: Page, stage: Stage) -> None:
    context = page.context
    inside = stage.enter(context)
    inside.goto(f"{stage.address}/console/t/example/users")
    row = inside.get_by_role("row", name="Baraka Mushi")
    row.get_by_role("link", name="Change role").click()
    inside.get_by_role("radio", name="Auditor").check()
    inside.get_by_role("button", name="Change role").click()
    expect(inside.get_by_role("status").first).to_have_text("Baraka Mushi is now: Auditor.")
    expect(row).to_contain_text("Auditor")
    row.get_by_role("link", name="End access").click()
    expect(inside.get_by_role("heading", level=1)).to_have_text("End the access of Baraka Mushi?")
    inside.get_by_role("button", name="End access").click()
    expect(row).to_have_count(0)
