"""Passkeys in Chromium, with an authenticator of its own (WebDriver's virtual one)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import CDPSession, Page, expect
from werkzeug.serving import make_server

from tests.access.people import PASSWORD, Person, make_person
from tests.builders import make_service


@pytest.fixture
def person(sqlite_url: str, tmp_path: Path) -> Iterator[Person]:
    """Somebody with a password, of a service that browsers reach."""
    service = make_service(sqlite_url, tmp_path)
    yield make_person(service, "analyst")
    service.built.database.close()


@pytest.fixture
def console(person: Person) -> Iterator[str]:
    """The address of the console. Passkeys need a name, not an address."""
    server = make_server("127.0.0.1", 0, person.member.service.built.wsgi, threaded=True)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://localhost:{server.port}/console"
    server.shutdown()
    thread.join()
    server.server_close()


def plug_in(page: Page) -> tuple[CDPSession, str]:
    """Give the browser an authenticator that knows its user."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    made = session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return session, made["authenticatorId"]


def sign_in(page: Page, console: str, person: Person) -> None:
    """Sign in with the password, as far as that goes."""
    page.goto(f"{console}/sign-in?next=/console/account/security")
    page.get_by_label("E-mail address").fill(person.member.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def make_passkey(page: Page, console: str, person: Person) -> None:
    """Make a passkey on the security page."""
    sign_in(page, console, person)
    page.get_by_label("Name of a new passkey").fill("Work <b>laptop")
    page.get_by_role("button", name="Make a passkey").click()
    expect(page.get_by_role("rowheader", name="Work <b>laptop")).to_be_visible()


def test_a_passkey_is_made_and_then_signs_in_alone(
    page: Page, console: str, person: Person
) -> None:
    plug_in(page)
    make_passkey(page, console, person)
    expect(page.get_by_text("You have no recovery codes.")).to_be_visible()
    page.locator(".account summary").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(f"{console}/sign-in")
    page.goto(f"{console}/sign-in?next=/console/account/security")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page).to_have_url(f"{console}/account/security")
    expect(page.get_by_text(person.member.email)).to_be_visible()


def test_a_passkey_is_the_second_step(page: Page, console: str, person: Person) -> None:
    plug_in(page)
    make_passkey(page, console, person)
    page.context.clear_cookies()
    sign_in(page, console, person)
    expect(page.get_by_role("heading", name="Second step")).to_be_visible()
    page.get_by_role("button", name="Use a passkey").click()
    expect(page).to_have_url(f"{console}/account/security")


def test_a_proof_with_a_passkey_leads_back(page: Page, console: str, person: Person) -> None:
    plug_in(page)
    make_passkey(page, console, person)
    person.member.prove_long_ago()
    page.get_by_label("Name of a new passkey").fill("Phone")
    with page.expect_navigation(url="**/account/prove**"):
        # The console tells of the answer that asks for a proof.
        page.get_by_role("button", name="Make new recovery codes").click()
    page.get_by_role("button", name="Use a passkey").click()
    expect(page).to_have_url(f"{console}/account/security")
    page.get_by_role("button", name="Make new recovery codes").click()
    expect(page.get_by_role("heading", name="Recovery codes", exact=True)).to_be_visible()


def test_who_has_no_passkey_is_told_and_can_go_on(
    bare_page: Page, console: str, person: Person
) -> None:
    session, authenticator = plug_in(bare_page)
    bare_page.goto(f"{console}/sign-in")
    session.send(
        "WebAuthn.setUserVerified", {"authenticatorId": authenticator, "isUserVerified": False}
    )
    bare_page.get_by_role("button", name="Sign in with a passkey").click()
    expect(bare_page.get_by_role("alert")).to_contain_text("That did not work")
    sign_in(bare_page, console, person)
    expect(bare_page).to_have_url(f"{console}/account/security")


def test_without_scripts_there_is_no_button_that_does_nothing(
    bare_page: Page, console: str, person: Person
) -> None:
    with bare_page.context.browser.new_context(java_script_enabled=False) as context:  # type: ignore[union-attr]
        page = context.new_page()
        sign_in(page, console, person)
        expect(page).to_have_url(f"{console}/account/security")
        expect(page.get_by_role("button", name="Make a passkey")).to_be_hidden()
        expect(page.get_by_text("Making a passkey needs JavaScript, and")).to_be_visible()
