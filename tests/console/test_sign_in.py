"""Signing in and the security page, without scripts."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from werkzeug.test import TestResponse

from consent_service.access.actor import OPERATOR
from consent_service.db import Database
from consent_service.tenants.service import create_tenant
from tests.access.conftest import Clock, move  # noqa: F401 - a fixture
from tests.access.people import PASSWORD, Person, make_person, make_person_with_totp
from tests.builders import Service
from tests.members import join, sign_in

SIGN_IN = "/console/sign-in"
SECURITY = "/console/account/security"


def text(response: TestResponse) -> str:
    """Return what a page says, without its markup."""
    body = response.get_data(as_text=True)
    return " ".join(re.sub(r"<[^>]+>", " ", body[body.index("<main") :]).split())


def give_password(person: Person, after: str = "", password: str = PASSWORD) -> TestResponse:
    """Send the form of the first step."""
    form = {"email": person.member.email, "password": password}
    return person.client.post(SIGN_IN, query_string={"next": after}, data=form)


def hidden(response: TestResponse, name: str) -> str:
    """Return the value of a hidden field."""
    found = re.search(rf'name="{name}" value="([^"]+)"', response.get_data(as_text=True))
    assert found
    return found[1]


def test_who_is_not_signed_in_is_led_to_it_and_then_on(service: Service) -> None:
    person = make_person(service)
    first = person.client.get(f"{SECURITY}?why=x")
    assert first.status_code == 303
    asked = urlsplit(first.location)
    assert asked.path == SIGN_IN
    assert parse_qs(asked.query)["next"] == [f"{SECURITY}?why=x"]
    page = person.client.get(first.location)
    assert page.status_code == 200
    assert "E-mail address" in text(page)
    signed_in = give_password(person, f"{SECURITY}?why=x")
    assert (signed_in.status_code, signed_in.location) == (303, f"{SECURITY}?why=x")
    assert person.member.email in text(person.client.get(SECURITY))


@pytest.mark.parametrize(
    "after",
    [
        "https://evil.example/",
        "//evil.example/console/",
        "/\\evil.example/console/",
        "/console/\\evil",
        "/v1/account",
        "javascript:alert(1)",
        "/console/\r\nSet-Cookie: a=b",
        "",
    ],
)
def test_nobody_is_led_elsewhere_after_signing_in(service: Service, after: str) -> None:
    person = make_person(service)
    assert give_password(person, after).location == "/console/account/tenants"


def test_a_wrong_password_keeps_the_address_and_tells_nothing(service: Service) -> None:
    person = make_person(service)
    wrong = give_password(person, password="another heron altogether")
    assert wrong.status_code == 403
    assert "The e-mail address or the password is not right." in text(wrong)
    body = wrong.get_data(as_text=True)
    assert f'value="{person.member.email}"' in body
    assert "another heron" not in body
    person.member.email = "nobody@example.com"
    assert text(give_password(person)) == text(wrong)


def test_a_second_factor_is_asked_for(service: Service) -> None:
    person = make_person_with_totp(service)
    first = give_password(person, SECURITY)
    assert urlsplit(first.location).path == "/console/sign-in/second-step"
    assert "Code of your authenticator app" in text(person.client.get(first.location))
    assert person.client.get(SECURITY).status_code == 303
    wrong = person.client.post(first.location, data={"code": "000000"})
    assert wrong.status_code == 403
    assert "The code is not right" in text(wrong)
    right = person.client.post(first.location, data={"code": person.code()})
    assert (right.status_code, right.location) == (303, SECURITY)
    assert person.client.get(SECURITY).status_code == 200


def test_a_recovery_code_stands_in(service: Service) -> None:
    person = make_person_with_totp(service)
    where = give_password(person).location
    right = person.client.post(where, data={"recovery_code": person.recovery_codes[0]})
    assert right.status_code == 303
    assert "9 codes are left." in text(person.client.get(SECURITY))


def test_the_second_step_without_the_first_leads_back(
    service: Service,
    move: Clock,  # noqa: F811
) -> None:
    person = make_person_with_totp(service)
    where = "/console/sign-in/second-step"
    assert "step_expired" in person.client.get(where).location
    assert "step_expired" in person.client.post(where, data={"code": person.code()}).location
    give_password(person)
    move(timedelta(minutes=11))
    assert "step_expired" in person.client.post(where, data={"code": person.code()}).location


def test_too_many_attempts_are_told_when_to_come_back(service: Service) -> None:
    person = make_person(service)
    for _ in range(5):
        give_password(person, password="another heron altogether")
    refused = give_password(person)
    assert refused.status_code == 429
    assert "Too many attempts. Try again in a minute." in text(refused)


def test_other_hosts_cannot_send_the_form(service: Service) -> None:
    person = make_person(service)
    form = {"email": person.member.email, "password": PASSWORD}
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert person.client.post(SIGN_IN, data=form, headers=headers).status_code == 403
    assert person.client.get(SECURITY).status_code == 303


def test_pages_say_who_may_run_scripts_and_keep_them(service: Service) -> None:
    page = sign_in(service).get(SECURITY)
    assert page.headers["Cache-Control"] == "no-store"
    policy = page.headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "form-action 'self'" in policy
    body = page.get_data(as_text=True)
    assert not re.search(r"<script(?![^>]*\ssrc=)|\sstyle=|\son\w+=", body)


def test_who_is_in_one_tenant_goes_straight_on_and_who_is_in_two_chooses(
    service: Service,
) -> None:
    member = sign_in(service, "analyst")
    assert member.get("/console/account/tenants").location == "/console/t/example/"
    other = create_tenant(service.use(Database), "other", "Other <b>Ltd</b>", by=OPERATOR)
    join(member, other, "auditor")
    page = member.get("/console/account/tenants")
    assert page.status_code == 200
    assert "Other <b>Ltd" not in page.get_data(as_text=True)
    assert 'href="/console/t/other/"' in page.get_data(as_text=True)
    assert "auditor" in text(page)


def test_signing_out_needs_the_page_and_ends_the_session(service: Service) -> None:
    member = sign_in(service)
    assert member.client.post("/console/account/sign-out").status_code == 403
    assert member.get(SECURITY).status_code == 200
    out = member.submit("/console/account/sign-out")
    assert (out.status_code, out.location) == (303, SIGN_IN)
    assert member.get(SECURITY).status_code == 303


def test_an_authenticator_app_is_set_up_and_a_wrong_code_keeps_the_secret(
    service: Service,
) -> None:
    person = make_person(service)
    give_password(person)
    assert "needs a second factor" in text(person.client.get(SECURITY))
    page = person.member.submit("/console/account/totp")
    found = re.search(r"\b[A-Z2-7]{32}\b", text(page))
    assert found
    person.secret = found[0]
    assert "data:image/svg+xml" in page.get_data(as_text=True)
    step = hidden(page, "step")
    wrong = person.member.submit("/console/account/totp/confirm", step=step, code="000000")
    assert wrong.status_code == 403
    assert person.secret in text(wrong)
    right = person.member.submit("/console/account/totp/confirm", step=step, code=person.code())
    assert right.location == SECURITY
    after = text(person.client.get(SECURITY))
    assert "Your authenticator app is set up." in after
    assert "You have no recovery codes." in after
    # It is said once.
    assert "Your authenticator app is set up." not in text(person.client.get(SECURITY))


def test_recovery_codes_are_shown_once(service: Service) -> None:
    person = make_person_with_totp(service)
    where = give_password(person).location
    person.client.post(where, data={"code": person.code()})
    page = person.member.submit("/console/account/recovery-codes")
    codes = re.findall(r"\b(?:[a-z2-7]{4}-){3}[a-z2-7]{4}\b", text(page))
    assert len(set(codes)) == 10
    assert page.headers["Cache-Control"] == "no-store"
    assert not [code for code in codes if code in text(person.client.get(SECURITY))]


def test_what_could_do_harm_asks_for_a_proof_and_leads_back(service: Service) -> None:
    person = make_person(service)
    give_password(person)
    person.member.prove_long_ago()
    form = {"password": "a crab under the mangrove", "again": "a crab under the mangrove"}
    refused = person.member.post(
        "/console/account/password",
        data=form,
        headers={"Referer": f"http://localhost{SECURITY}"},
    )
    asked = urlsplit(refused.location)
    assert asked.path == "/console/account/prove"
    assert parse_qs(asked.query)["next"] == [SECURITY]
    assert "Is it still you?" in text(person.client.get(refused.location))
    wrong = person.member.submit(refused.location, password="another heron altogether")
    assert wrong.status_code == 403
    proved = person.member.submit(refused.location, password=PASSWORD)
    assert (proved.status_code, proved.location) == (303, SECURITY)
    done = person.member.submit("/console/account/password", **form)
    assert done.location == SECURITY
    person.another_browser()
    assert give_password(person).status_code == 403
    assert give_password(person, password="a crab under the mangrove").status_code == 303


@pytest.mark.parametrize(
    ("password", "again", "said"),
    [
        ("mangrove", "mangrove", "Use at least 12 characters"),
        ("a crab under the mangrove", "a crab under the bridge", "The two are not the same."),
        ("qwerty123456", "qwerty123456", "Many people use this password"),
    ],
)
def test_a_bad_password_is_explained_and_changes_nothing(
    service: Service, password: str, again: str, said: str
) -> None:
    person = make_person(service)
    give_password(person)
    refused = person.member.submit("/console/account/password", password=password, again=again)
    assert refused.status_code == 422
    assert said in text(refused)
    assert password not in refused.get_data(as_text=True)
    person.another_browser()
    assert give_password(person).status_code == 303


def test_the_language_is_the_users_on_every_device(service: Service) -> None:
    member = sign_in(service)
    changed = member.submit("/console/account/language", language="sw", next=SECURITY)
    assert changed.location == SECURITY
    assert '<html lang="sw"' in member.get(SECURITY).get_data(as_text=True)
    member.submit("/console/account/language", language="xx")
    assert '<html lang="sw"' in member.get(SECURITY).get_data(as_text=True)
    assert member.submit("/console/account/language", next="https://evil.example").location == (
        SECURITY
    )


def test_the_last_factor_stays_while_the_role_needs_one(service: Service) -> None:
    person = make_person_with_totp(service)
    where = give_password(person).location
    person.client.post(where, data={"code": person.code()})
    assert "Remove the authenticator app?" in text(
        person.client.get("/console/account/totp/remove")
    )
    refused = person.member.submit("/console/account/totp/remove")
    assert refused.location == SECURITY
    after = text(person.client.get(SECURITY))
    assert "Your role needs a second factor." in after
    assert "Set up another app" in after
