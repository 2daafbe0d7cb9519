"""Inviting somebody, and what the link of an invitation opens: one membership, once, for a week."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message
from sqlalchemy import update
from werkzeug.test import Client, TestResponse

from consent_service import clock
from consent_service.access import invitations
from consent_service.access.actor import OPERATOR
from consent_service.access.models import InvitationRow
from consent_service.db import Database
from consent_service.signing import Keyring
from consent_service.tenants.service import create_tenant
from tests.builders import Service, make_service
from tests.members import Member, add_member, sign_in
from tests.servers import free_port
from tests.users.conftest import Mailed

INVITATIONS = "/v1/tenants/example/invitations"
PASSWORD = "seven green lorries"


def invite(owner: Member, email: str = "baraka@example.com", role: str = "dpo") -> TestResponse:
    return owner.post(INVITATIONS, json={"email": email, "role": role})


def stranger(service: Service) -> Client:
    """Return a browser that nobody has signed in with."""
    return Client(service.built.wsgi)


def accept(
    client: Client, token: str, name: str = "Baraka Mushi", password: str = PASSWORD
) -> TestResponse:
    body = {"name": name, "password": password}
    return client.post(f"/v1/invitations/{token}/accept", json=body)


def roles(service: Service) -> list[str]:
    return sorted(row["role"] for row in service.rows("memberships") if not row["ended_at"])


def test_somebody_new_is_invited_by_mail_and_comes_in(mailing: Service, mailed: Mailed) -> None:
    owner = sign_in(mailing, name="Amina Juma")
    made = invite(owner, "Baraka@Example.com")
    assert made.status_code == 201
    assert made.get_json()["email"] == "Baraka@Example.com"
    assert made.get_json()["expired"] is False
    (mail,) = mailed.all()
    assert mail["To"] == "Baraka@Example.com"
    assert mail["Subject"] == "Your invitation to Example Ltd"
    text = mail.get_content()
    assert "Amina Juma has invited you" in text
    assert "as data protection officer" in text
    assert "http://localhost/console/invitations/" in text
    assert mailed.token() not in made.get_data(as_text=True)

    visitor = stranger(mailing)
    offer = visitor.get(f"/v1/invitations/{mailed.token()}")
    assert offer.get_json() == {
        "tenant": "Example Ltd",
        "email": "Baraka@Example.com",
        "role": "dpo",
        "expires_at": made.get_json()["expires_at"],
        "account": False,
        "second_factor": True,
    }
    accepted = accept(visitor, mailed.token())
    assert accepted.status_code == 201
    assert accepted.get_json() == {"tenant": "example", "role": "dpo"}
    # Signed in, and led to what the role needs first.
    assert visitor.get("/v1/account").get_json()["name"] == "Baraka Mushi"
    refused = visitor.get("/v1/tenants/example/users").get_json()["error"]
    assert refused["code"] == "second_factor_required"
    members = owner.get("/v1/tenants/example/users").get_json()["users"]
    assert "Baraka@Example.com" in [member["email"] for member in members]
    assert owner.get(INVITATIONS).get_json() == {"invitations": []}


def test_the_new_password_signs_in(mailing: Service, mailed: Mailed) -> None:
    invite(sign_in(mailing), role="analyst")
    accept(stranger(mailing), mailed.token())
    body = {"email": "baraka@example.com", "password": PASSWORD}
    assert stranger(mailing).post("/v1/sign-in", json=body).get_json()["next"] == "done"


def test_the_mail_is_in_the_inviters_language(mailing: Service, mailed: Mailed) -> None:
    owner = sign_in(mailing)
    owner.patch("/v1/account", json={"language": "sw"})
    invite(owner)
    assert "amekualika" in mailed.all()[0].get_content()
    assert mailed.all()[0]["Subject"] == "Mwaliko wako wa kujiunga na Example Ltd"
    owner.post(INVITATIONS, json={"email": "x@example.com", "role": "analyst", "language": "en"})
    assert "has invited you" in mailed.all()[1].get_content()


def test_one_with_an_account_signs_in_first(mailing: Service, mailed: Mailed) -> None:
    other = create_tenant(mailing.built.database, "other", "Other Ltd", by=OPERATOR)
    known = sign_in(mailing, "owner", other, email="baraka@example.com")
    invite(sign_in(mailing))
    visitor = stranger(mailing)
    assert visitor.get(f"/v1/invitations/{mailed.token()}").get_json()["account"] is True
    refused = accept(visitor, mailed.token())
    assert refused.status_code == 401
    assert "Sign in with it" in refused.get_json()["error"]["message"]
    accepted = known.post(f"/v1/invitations/{mailed.token()}/accept", json={})
    assert accepted.status_code == 201
    assert known.get("/v1/tenants/example/users").status_code == 200
    assert known.get("/v1/tenants/other/users").status_code == 200


def test_an_invitation_is_for_nobody_but_its_address(mailing: Service, mailed: Mailed) -> None:
    other = create_tenant(mailing.built.database, "other", "Other Ltd", by=OPERATOR)
    wrong = sign_in(mailing, "owner", other, email="eve@example.com")
    invite(sign_in(mailing))
    refused = wrong.post(f"/v1/invitations/{mailed.token()}/accept", json={})
    assert refused.status_code == 403
    assert refused.get_json()["error"]["code"] == "invited_elsewhere"
    assert wrong.get("/v1/tenants/example/users").status_code == 404
    assert accept(stranger(mailing), mailed.token()).status_code == 201


def test_a_page_of_another_host_accepts_nothing(mailing: Service, mailed: Mailed) -> None:
    known = sign_in(mailing, "analyst", email="baraka@example.com")
    mailing_owner = sign_in(mailing)
    mailing_owner.delete(f"/v1/tenants/example/users/{known.user_id}")
    invite(mailing_owner)
    forged = known.client.post(f"/v1/invitations/{mailed.token()}/accept", json={})
    assert forged.get_json()["error"]["code"] == "form_expired"
    crossed = stranger(mailing).post(
        f"/v1/invitations/{mailed.token()}/accept",
        json={"name": "Eve", "password": PASSWORD},
        headers={"Origin": "https://evil.example.com"},
    )
    assert crossed.get_json()["error"]["code"] == "form_expired"


def test_who_was_a_member_before_is_one_again(mailing: Service, mailed: Mailed) -> None:
    owner = sign_in(mailing)
    known = sign_in(mailing, "developer", email="baraka@example.com")
    owner.delete(f"/v1/tenants/example/users/{known.user_id}")
    invite(owner, role="auditor")
    assert known.post(f"/v1/invitations/{mailed.token()}/accept", json={}).status_code == 201
    assert roles(mailing) == ["auditor", "owner"]


def test_links_that_open_nothing_all_answer_alike(mailing: Service, mailed: Mailed) -> None:
    owner = sign_in(mailing)
    database, keys = mailing.use(Database), mailing.use(Keyring)
    dead = []
    invite(owner, "used@example.com")
    dead.append(mailed.token())
    assert accept(stranger(mailing), dead[-1]).status_code == 201
    revoked = invite(owner, "revoked@example.com").get_json()["id"]
    dead.append(mailed.token())
    assert owner.delete(f"{INVITATIONS}/{revoked}").status_code == 204
    expired = invite(owner, "expired@example.com").get_json()["id"]
    dead.append(mailed.token())
    with database.transaction(mailing.tenant.id) as connection:
        connection.execute(
            update(InvitationRow)
            .where(InvitationRow.email_hash.is_not(None))
            .values(expires_at=clock.now() - timedelta(seconds=1))
        )
    assert expired
    invite(owner, "good@example.com")
    good = mailed.token()
    dead += [
        good[:-1] + ("A" if good[-1] != "A" else "B"),
        good.partition(".")[0],
        "B" + good[1:],
        keys.signer("csrf").sign(good.partition(".")[0]).decode(),
        invitations.token_of(keys, clock.new_id()),
        keys.signer("invitation").sign("short").decode(),
        "x%01",
        "x" * 2000,
    ]
    answers = set()
    for token in dead:
        shown = stranger(mailing).get(f"/v1/invitations/{token}")
        taken = accept(stranger(mailing), token)
        as_member = owner.post(f"/v1/invitations/{token}/accept", json={})
        assert [shown.status_code, taken.status_code, as_member.status_code] == [410, 410, 410]
        answers |= {shown.data, taken.data, as_member.data}
    assert len(answers) == 1
    assert accept(stranger(mailing), good).status_code == 201


def test_a_link_pressed_by_two_at_once_counts_once(mailing: Service, mailed: Mailed) -> None:
    invite(sign_in(mailing))
    token, answers = mailed.token(), []
    ready = threading.Barrier(2)

    def press() -> None:
        client = stranger(mailing)
        ready.wait()
        answers.append(accept(client, token).status_code)

    threads = [threading.Thread(target=press) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [201, 410]
    assert roles(mailing) == ["dpo", "owner"]
    assert len(mailing.rows("users")) == 2


def test_a_link_pressed_twice_by_one_who_is_signed_in_counts_once(
    mailing: Service, mailed: Mailed
) -> None:
    other = create_tenant(mailing.built.database, "other", "Other Ltd", by=OPERATOR)
    known = sign_in(mailing, "owner", other, email="baraka@example.com")
    invite(sign_in(mailing))
    token, answers = mailed.token(), []
    clients = [replace(known), replace(known)]
    ready = threading.Barrier(2)

    def press(member: Member) -> None:
        ready.wait()
        answers.append(member.post(f"/v1/invitations/{token}/accept", json={}).status_code)

    threads = [threading.Thread(target=press, args=[client]) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [201, 410]
    accepted = [r for r in mailing.rows("audit_events") if r["action"] == "invitation.accepted"]
    assert len(accepted) == 1


def test_a_member_is_not_invited_again_and_one_elsewhere_is_like_a_stranger(
    mailing: Service, mailed: Mailed
) -> None:
    owner = sign_in(mailing, email="amina@example.com")
    refused = invite(owner, "AMINA@example.com")
    assert refused.status_code == 422
    assert refused.get_json()["error"]["fields"] == {"email": ["This person is a member already."]}
    other = create_tenant(mailing.built.database, "other", "Other Ltd", by=OPERATOR)
    add_member(mailing, "owner", other, email="known@example.com")
    known, unknown = (invite(owner, f"{who}@example.com") for who in ("known", "stranger"))
    assert known.status_code == unknown.status_code == 201
    assert known.get_json().keys() == unknown.get_json().keys()
    texts = [mail.get_content().splitlines()[0:3] for mail in mailed.all()]
    assert texts[0] == texts[1]


def test_an_address_is_invited_once_at_a_time(mailing: Service, mailed: Mailed) -> None:
    owner = sign_in(mailing)
    first = invite(owner).get_json()
    assert "invited already" in str(invite(owner).get_json()["error"]["fields"]["email"])
    owner.delete(f"{INVITATIONS}/{first['id']}")
    assert invite(owner).status_code == 201
    assert len(mailed.all()) == 2


def test_an_invitation_is_sent_again_with_a_link_that_counts_anew(
    mailing: Service, mailed: Mailed
) -> None:
    owner = sign_in(mailing)
    made = invite(owner).get_json()
    with mailing.use(Database).transaction(mailing.tenant.id) as connection:
        connection.execute(update(InvitationRow).values(expires_at=clock.now()))
    assert owner.get(INVITATIONS).get_json()["invitations"][0]["expired"] is True
    again = owner.post(f"{INVITATIONS}/{made['id']}/send", json={})
    assert again.status_code == 200
    assert again.get_json()["expires_at"] > made["expires_at"]
    assert len(mailed.all()) == 2
    assert accept(stranger(mailing), mailed.token()).status_code == 201
    for answer in (
        owner.post(f"{INVITATIONS}/{made['id']}/send", json={}),
        owner.delete(f"{INVITATIONS}/{made['id']}"),
    ):
        assert answer.status_code == 404


def test_an_invitation_whose_mail_failed_stays_and_says_so(
    database_url: str, tmp_path: Path
) -> None:
    port = free_port()
    service = make_service(
        database_url,
        tmp_path,
        mail_url=f"smtp://127.0.0.1:{port}",
        mail_from="consent@example.com",
        public_url="http://localhost",
    )
    owner = sign_in(service)
    failed = invite(owner)
    assert failed.status_code == 503
    error = failed.get_json()["error"]
    assert error["code"] == "invitation_not_sent"
    assert "was not sent" in error["message"]
    assert "send the invitation again" in error["message"]
    (kept,) = owner.get(INVITATIONS).get_json()["invitations"]
    assert failed.get_json()["invitation_id"] == kept["id"]

    received = []

    class Inbox(Message):
        def handle_message(self, message: object) -> None:
            received.append(str(message))

    server = Controller(Inbox(), hostname="127.0.0.1", port=port)
    server.start()
    try:
        assert owner.post(f"{INVITATIONS}/{kept['id']}/send", json={}).status_code == 200
    finally:
        server.stop()
    assert "baraka@example.com" in received[0]
    service.built.database.close()


def test_without_a_way_to_send_mail_the_inviter_is_told(service: Service) -> None:
    owner = sign_in(service)
    failed = invite(owner)
    assert failed.status_code == 503
    assert "sends no mail" in failed.get_json()["error"]["message"]
    assert len(owner.get(INVITATIONS).get_json()["invitations"]) == 1


@pytest.mark.parametrize(
    "email", ["", "baraka", "a@b@c.example", "a b@c.example", "a@b.c\nBcc: d@e.f", "é@example.com"]
)
def test_what_is_no_address_is_refused(mailing: Service, mailed: Mailed, email: str) -> None:
    refused = invite(sign_in(mailing), email)
    assert refused.status_code == 422
    assert "email" in refused.get_json()["error"]["fields"]
    assert mailed.all() == []


@pytest.mark.parametrize(
    ("name", "password", "field"),
    [
        ("", PASSWORD, "name"),
        ("  ", PASSWORD, "name"),
        ("Baraka\x07", PASSWORD, "name"),
        ("B" * 101, PASSWORD, "name"),
        ("Baraka Mushi", "short", "password"),
        ("Baraka Mushi", "baraka@example.com", "password"),
        ("Baraka Mushi", "", "password"),
    ],
)
def test_a_name_and_a_good_password_are_needed_and_nothing_is_lost_without(
    mailing: Service, mailed: Mailed, name: str, password: str, field: str
) -> None:
    invite(sign_in(mailing))
    refused = accept(stranger(mailing), mailed.token(), name, password)
    assert refused.status_code == 422
    assert list(refused.get_json()["error"]["fields"]) == [field]
    assert accept(stranger(mailing), mailed.token()).status_code == 201


def test_another_tenants_invitations_are_as_good_as_not_there(
    mailing: Service, mailed: Mailed
) -> None:
    other = create_tenant(mailing.built.database, "other", "Other Ltd", by=OPERATOR)
    theirs = sign_in(mailing, "owner", other)
    made = theirs.post(
        "/v1/tenants/other/invitations", json={"email": "x@example.com", "role": "dpo"}
    ).get_json()["id"]
    owner = sign_in(mailing)
    assert owner.get(INVITATIONS).get_json() == {"invitations": []}
    nobody = clock.new_id()
    assert (
        owner.delete(f"{INVITATIONS}/{made}").data == owner.delete(f"{INVITATIONS}/{nobody}").data
    )
    sent, unknown = (owner.post(f"{INVITATIONS}/{which}/send", json={}) for which in (made, nobody))
    assert (sent.status_code, sent.data) == (404, unknown.data)
    assert owner.get("/v1/tenants/other/invitations").status_code == 404
    assert len(mailed.all()) == 1


@pytest.mark.parametrize("role", ["dpo", "auditor", "developer", "analyst"])
def test_only_an_owner_invites(mailing: Service, mailed: Mailed, role: str) -> None:
    made = invite(sign_in(mailing)).get_json()["id"]
    member = sign_in(mailing, role)
    for answer in (
        invite(member, "eve@example.com", "owner"),
        member.delete(f"{INVITATIONS}/{made}"),
        member.post(f"{INVITATIONS}/{made}/send", json={}),
    ):
        assert answer.status_code == 403
        assert answer.get_json()["error"]["fields"] == {"permission": ["users:write"]}
    assert len(mailed.all()) == 1


def test_names_that_hold_more_than_a_name_stay_names_in_the_mail(
    mailing: Service, mailed: Mailed
) -> None:
    tenant = create_tenant(
        mailing.built.database, "odd", "Odd\u2028Bcc: eve@example.com", by=OPERATOR
    )
    owner = sign_in(mailing, "owner", tenant, name="Amina\n\nhttps://evil.example.com")
    owner.post("/v1/tenants/odd/invitations", json={"email": "b@example.com", "role": "analyst"})
    (mail,) = mailed.all()
    assert mail["Bcc"] is None
    assert "Amina https://evil.example.com has invited you" in mail.get_content().replace("\r", "")


def test_every_step_stands_in_the_audit_log_without_an_address(
    mailing: Service, mailed: Mailed
) -> None:
    owner = sign_in(mailing)
    made = invite(owner).get_json()["id"]
    owner.post(f"{INVITATIONS}/{made}/send", json={})
    accept(stranger(mailing), mailed.token())
    revoked = invite(owner, "other@example.com").get_json()["id"]
    owner.delete(f"{INVITATIONS}/{revoked}")
    events = [row for row in mailing.rows("audit_events") if row["actor_kind"] == "user"]
    assert [row["action"] for row in events] == [
        "invitation.created",
        "invitation.sent_again",
        "invitation.accepted",
        "user.joined",
        "user.signed_in",
        "invitation.created",
        "invitation.revoked",
    ]
    assert "example.com" not in str(events)
    assert mailed.token() not in str(events)
