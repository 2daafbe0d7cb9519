"""Members, invitations and the identity provider in the console, without scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from werkzeug.test import Client, TestResponse

from consent_service.access.actor import OPERATOR
from consent_service.access.permissions import PERMISSIONS, ROLES
from consent_service.console.roles import DESCRIPTIONS, NAMES
from consent_service.tenants.service import create_tenant
from tests.access.provider import CLIENT_ID, CLIENT_SECRET, Provider
from tests.builders import Service
from tests.members import Member, add_member, sign_in
from tests.users.conftest import Mailed, make_mailing_service

USERS = "/console/t/example/users"
PROVIDER = "/console/t/example/identity-provider"
PASSWORD = "seven green lorries"


@pytest.fixture
def mailed(tmp_path: Path) -> Mailed:
    """What the service has mailed."""
    return Mailed(tmp_path / "outbox")


@pytest.fixture
def console(database_url: str, tmp_path: Path, mailed: Mailed) -> Iterator[Service]:
    """A service that keeps its mail in a folder, and takes a provider on this machine for one."""
    made = make_mailing_service(database_url, tmp_path, mailed, demo="1")
    yield made
    made.built.database.close()


def text(response: TestResponse) -> str:
    """Return what a page says, without its markup."""
    body = response.get_data(as_text=True)
    return " ".join(re.sub(r"<[^>]+>", " ", body[body.index("<main") :]).split())


def then(member: Member, response: TestResponse) -> str:
    """Return what the page says that a form leads to."""
    assert response.status_code == 303, text(response)
    return text(member.get(response.location))


def test_the_page_says_who_has_access_and_who_is_invited(console: Service) -> None:
    owner = sign_in(console, name="Amina <b>Juma</b>")
    add_member(console, "developer", name="Baraka", email="baraka@example.com")
    sent = owner.submit(f"{USERS}/invite", email="new@example.com", role="analyst")
    assert "The invitation was sent to new@example.com." in then(owner, sent)
    page = owner.get(USERS)
    shown = text(page)
    assert "Amina &lt;b&gt;Juma&lt;/b&gt; (you)" in shown
    assert "Baraka baraka@example.com Developer Missing" in shown
    assert "new@example.com Analyst Until" in shown
    assert page.get_data(as_text=True).count("<script") == 1


def test_who_only_looks_is_offered_nothing_to_change(console: Service) -> None:
    sign_in(console)
    auditor = sign_in(console, "auditor")
    page = auditor.get(USERS).get_data(as_text=True)
    for offered in ("Invite somebody", "Change role", "End access", "Identity provider"):
        assert offered not in page
    for address in (f"{USERS}/invite", f"{USERS}/{auditor.user_id}/role", PROVIDER):
        refused = auditor.get(address)
        assert refused.status_code == 403
        assert "Missing permission:" in text(refused)
    assert auditor.submit(f"{USERS}/{auditor.user_id}/role", role="owner").status_code == 403


def test_a_form_that_was_wrong_keeps_what_was_written(console: Service, mailed: Mailed) -> None:
    owner = sign_in(console)
    wrong = owner.submit(f"{USERS}/invite", email="no address", role="dpo")
    assert wrong.status_code == 422
    assert "Write one e-mail address" in text(wrong)
    body = wrong.get_data(as_text=True)
    assert 'value="no address"' in body
    assert re.search(r'value="dpo" checked', body)
    assert owner.submit(f"{USERS}/invite", email="a@example.com").status_code == 422
    member = owner.submit(f"{USERS}/invite", email=owner.email, role="dpo")
    assert "This person is a member already." in text(member)
    assert mailed.all() == []


def test_a_role_is_changed_by_who_reads_what_it_may_do(console: Service) -> None:
    owner, other = sign_in(console), add_member(console, "analyst", name="Baraka")
    asked = owner.get(f"{USERS}/{other.user_id}/role")
    assert "Publish a notice: visitors see it at once." in text(asked)
    changed = owner.submit(f"{USERS}/{other.user_id}/role", role="dpo")
    assert "Baraka is now: Data protection officer." in then(owner, changed)
    last = owner.submit(f"{USERS}/{owner.user_id}/role", role="dpo")
    assert last.status_code == 409
    assert "Make somebody else an owner first." in text(last)
    assert owner.submit(f"{USERS}/{other.user_id}/role", role="admin").status_code == 422


def test_access_ends_after_one_more_question(console: Service) -> None:
    owner, other = sign_in(console), sign_in(console, "dpo", name="Baraka")
    asked = owner.get(f"{USERS}/{other.user_id}/end")
    assert "End the access of Baraka?" in text(asked)
    assert other.get(USERS).status_code == 200
    assert "The access of Baraka has ended." in then(
        owner, owner.submit(f"{USERS}/{other.user_id}/end")
    )
    assert other.get(USERS).status_code == 404
    assert "only owner" in then(owner, owner.submit(f"{USERS}/{owner.user_id}/end"))


def test_an_invitation_is_sent_again_and_revoked(console: Service, mailed: Mailed) -> None:
    owner = sign_in(console)
    owner.submit(f"{USERS}/invite", email="new@example.com", role="analyst")
    address = f"{USERS}/invitations/{_invitation(owner)}"
    assert "was sent to new@example.com" in then(owner, owner.submit(f"{address}/send"))
    assert len(mailed.all()) == 2
    assert "Revoke the invitation of new@example.com?" in text(owner.get(f"{address}/revoke"))
    assert "was revoked" in then(owner, owner.submit(f"{address}/revoke"))
    assert owner.submit(f"{address}/revoke").status_code == 404
    assert "This link cannot be used" in text(Client(console.built.wsgi).get(mailed.link()))


def _invitation(owner: Member) -> str:
    found = owner.get("/v1/tenants/example/invitations").get_json()["invitations"]
    return str(found[0]["id"])


def test_a_mail_that_was_not_sent_is_told_and_the_invitation_stays(
    console: Service, mailed: Mailed
) -> None:
    owner = sign_in(console)
    mailed.folder.write_text("no folder")
    said = then(owner, owner.submit(f"{USERS}/invite", email="new@example.com", role="analyst"))
    assert "its mail was not sent" in said
    assert "new@example.com Analyst Until" in said
    mailed.folder.unlink()
    again = owner.submit(f"{USERS}/invitations/{_invitation(owner)}/send")
    assert "was sent to" in then(owner, again)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_could_do_harm_asks_for_a_proof_first(console: Service, method: str) -> None:
    owner, other = sign_in(console), add_member(console, "analyst")
    owner.prove_long_ago()
    assert owner.get(USERS).status_code == 200
    addresses = [
        f"{USERS}/invite",
        f"{USERS}/{other.user_id}/role",
        f"{USERS}/{other.user_id}/end",
        PROVIDER,
    ]
    for address in addresses:
        led = owner.get(address) if method == "GET" else owner.submit(address, role="dpo")
        assert led.status_code == 303
        assert urlsplit(led.location).path == "/console/account/prove"


def test_another_tenants_pages_are_as_good_as_not_there(console: Service) -> None:
    other = create_tenant(console.built.database, "other", "Other Ltd", by=OPERATOR)
    theirs = add_member(console, "owner", other)
    owner = sign_in(console)
    for path in ("users", "users/invite", "identity-provider"):
        foreign, unknown = (owner.get(f"/console/t/{slug}/{path}") for slug in ("other", "none"))
        assert foreign.status_code == 404
        assert text(foreign) == text(unknown)
    for action in ("role", "end"):
        assert owner.get(f"{USERS}/{theirs.user_id}/{action}").status_code == 404
        assert owner.submit(f"{USERS}/{theirs.user_id}/{action}", role="dpo").status_code == 404


def test_a_form_of_another_page_changes_nothing(console: Service) -> None:
    owner, other = sign_in(console), add_member(console, "analyst")
    for path in (f"users/{other.user_id}/end", f"users/{other.user_id}/role", "users/invite"):
        forged = owner.client.post(f"/console/t/example/{path}", data={"role": "owner"})
        assert forged.status_code == 403
    assert {row["role"] for row in console.rows("memberships")} == {"owner", "analyst"}


def test_somebody_new_accepts_on_a_page(console: Service, mailed: Mailed) -> None:
    owner = sign_in(console)
    owner.submit(f"{USERS}/invite", email="new@example.com", role="dpo")
    visitor = Client(console.built.wsgi)
    page = text(visitor.get(mailed.link()))
    assert "You are invited to Example Ltd" in page
    assert "Data protection officer" in page
    assert "new@example.com" in page
    assert "needs a second factor" in page
    wrong = visitor.post(mailed.link(), data={"name": "Baraka", "password": "short"})
    assert wrong.status_code == 422
    assert "Use at least 12 characters" in text(wrong)
    assert 'value="Baraka"' in wrong.get_data(as_text=True)
    assert "short" not in wrong.get_data(as_text=True).replace("shortcuts", "")
    done = visitor.post(mailed.link(), data={"name": "Baraka", "password": PASSWORD})
    assert (done.status_code, done.location) == (303, "/console/t/example/")
    # The role needs a second factor, so that is where it leads.
    led = visitor.get(done.location)
    assert urlsplit(led.location).path == "/console/account/security"
    again = visitor.get(mailed.link())
    assert again.status_code == 410
    assert "This link cannot be used" in text(again)


def test_one_with_an_account_is_led_to_signing_in_and_back(
    console: Service, mailed: Mailed
) -> None:
    other = create_tenant(console.built.database, "other", "Other Ltd", by=OPERATOR)
    known = sign_in(console, "owner", other, email="known@example.com", name="Baraka")
    wrong = sign_in(console, "owner", other, email="wrong@example.com")
    sign_in(console).submit(f"{USERS}/invite", email="known@example.com", role="analyst")
    visitor = Client(console.built.wsgi)
    page = visitor.get(mailed.link())
    assert "There is an account with this address." in text(page)
    assert f"/console/sign-in?next={mailed.link()}" in page.get_data(as_text=True)
    taken = visitor.post(mailed.link(), data={"name": "Eve", "password": PASSWORD})
    assert taken.status_code == 409
    assert "is for another address" in text(wrong.get(mailed.link()))
    assert wrong.submit(mailed.link()).status_code == 403
    assert "Accept as Baraka" in text(known.get(mailed.link()))
    assert known.client.post(mailed.link()).status_code == 403
    done = known.submit(mailed.link())
    assert done.location == "/console/t/example/"


def test_the_pages_are_in_swahili_where_the_words_are_there(console: Service) -> None:
    owner = sign_in(console)
    owner.patch("/v1/account", json={"language": "sw"})
    assert '<html lang="sw">' in owner.get(USERS).get_data(as_text=True)


def test_every_role_and_permission_has_words() -> None:
    assert tuple(NAMES) == ROLES
    assert tuple(text for _, text in PERMISSIONS.values()) == DESCRIPTIONS


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A provider that does everything right."""
    with Provider() as running:
        yield running


def save(owner: Member, provider: Provider, **changes: str) -> TestResponse:
    form = {
        "issuer": provider.issuer,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "revision": "0",
        **changes,
    }
    return owner.submit(PROVIDER, **form)


def test_a_provider_is_set_up_checked_and_removed(console: Service, provider: Provider) -> None:
    owner = sign_in(console)
    page = text(owner.get(PROVIDER))
    assert "http://localhost/console/sign-in/provider/back" in page
    assert "Does it answer?" not in page
    assert "was saved" in then(owner, save(owner, provider))
    page = owner.get(PROVIDER).get_data(as_text=True)
    assert f'value="{provider.issuer}"' in page
    assert CLIENT_SECRET not in page.replace("&#39;", "'")
    assert "The provider answers." in then(owner, owner.submit(f"{PROVIDER}/check"))
    assert "Remove the identity provider?" in text(owner.get(f"{PROVIDER}/remove"))
    assert "was removed" in then(owner, owner.submit(f"{PROVIDER}/remove"))


def test_what_is_wrong_with_a_set_up_is_said(console: Service, provider: Provider) -> None:
    owner = sign_in(console)
    wrong = save(owner, provider, issuer="ftp://x", client_secret="", required="1")
    assert wrong.status_code == 422
    for told in ("Write it as the provider does", "Give the secret", "yourself first"):
        assert told in text(wrong)
    assert 'value="ftp://x"' in wrong.get_data(as_text=True)
    save(owner, provider)
    stale = save(owner, provider, client_id="mine")
    assert stale.status_code == 409
    assert "mine" in text(stale)
    assert CLIENT_ID in text(stale)
    with provider:
        pass
    assert "does not answer" in then(owner, owner.submit(f"{PROVIDER}/check"))


def go(client: Client, provider: Provider, tenant: str = "example") -> dict[str, str]:
    """Go to the provider and sign in there; return what the browser brings back."""
    led = client.get("/console/sign-in/provider", query_string={"tenant": tenant})
    assert led.status_code == 302
    return provider.authorize(led.location)


def test_a_member_signs_in_at_the_provider(console: Service, provider: Provider) -> None:
    save(sign_in(console), provider)
    add_member(console, "auditor", email=provider.email)
    client = Client(console.built.wsgi)
    page = client.get("/console/sign-in/tenant", query_string={"tenant": "Example"})
    host = urlsplit(provider.issuer).netloc
    assert f"Go on to {host}" in text(page)
    back = go(client, provider)
    done = client.get("/console/sign-in/provider/back", query_string=back)
    assert (done.status_code, done.location) == (303, "/console/t/example/")
    assert client.get(USERS).status_code == 200
    # A second time it counts for nothing.
    again = client.get("/console/sign-in/provider/back", query_string=back)
    assert again.status_code == 403
    assert "Begin again." in text(again)


def test_only_the_browser_that_went_comes_back(console: Service, provider: Provider) -> None:
    save(sign_in(console), provider)
    add_member(console, "auditor", email=provider.email)
    back = go(Client(console.built.wsgi), provider)
    other = Client(console.built.wsgi)
    go(other, provider)
    refused = other.get("/console/sign-in/provider/back", query_string=back)
    assert refused.status_code == 403
    assert other.get(USERS).status_code == 303
    assert len(console.rows("sessions")) == 1


def test_why_the_provider_did_not_do_is_said(console: Service, provider: Provider) -> None:
    save(sign_in(console), provider)
    client = Client(console.built.wsgi)
    address = "/console/sign-in/provider/back"
    refused = client.get(address, query_string=go(client, provider))
    assert refused.status_code == 403
    assert "Ask one of its owners to invite you" in text(refused)
    back = go(client, provider)
    declined = client.get(address, query_string={"state": back["state"], "error": "access_denied"})
    assert "You did not sign in at the identity provider." in text(declined)
    with provider:
        pass
    away = client.get("/console/sign-in/provider", query_string={"tenant": "example"})
    assert away.status_code == 502
    assert "does not answer" in text(away)


@pytest.mark.parametrize("tenant", ["none", "example", "", "../x", "x" * 300])
def test_a_tenant_without_a_provider_is_like_none(console: Service, tenant: str) -> None:
    client = Client(console.built.wsgi)
    led = client.get("/console/sign-in/provider", query_string={"tenant": tenant})
    assert led.status_code == 404
    assert "No identity provider is set up for this tenant." in text(led)
    assert len(console.rows("one_time_values")) == 0


def test_nobody_is_led_elsewhere_afterwards(console: Service, provider: Provider) -> None:
    save(sign_in(console), provider)
    add_member(console, "auditor", email=provider.email)
    client = Client(console.built.wsgi)
    query = {"tenant": "example", "next": "https://evil.example.com/console/"}
    led = client.get("/console/sign-in/provider", query_string=query)
    back = provider.authorize(led.location)
    done = client.get("/console/sign-in/provider/back", query_string=back)
    assert done.location == "/console/t/example/"


def test_where_the_provider_is_required_a_password_leads_there(
    console: Service, provider: Provider
) -> None:
    owner = sign_in(console, email=provider.email)
    save(owner, provider)
    provider.claims = {"amr": ["mfa"]}
    client = Client(console.built.wsgi)
    client.get("/console/sign-in/provider/back", query_string=go(client, provider))
    page = client.get(PROVIDER).get_data(as_text=True)
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert token
    form = {"issuer": provider.issuer, "client_id": CLIENT_ID, "revision": "1", "required": "1"}
    assert client.post(PROVIDER, data={**form, "csrf_token": token[1]}).status_code == 303
    led = owner.get(USERS)
    assert urlsplit(led.location).path == "/console/sign-in/tenant"
    assert parse_qs(urlsplit(led.location).query)["next"] == [USERS]
    assert "Go on to" in text(owner.get(led.location))
