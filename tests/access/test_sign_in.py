"""Signing in over HTTP: password, codes, what is told to whom, and how long it may take."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from werkzeug.test import TestResponse

from consent_service import clock
from consent_service.access import passwords
from consent_service.access.actor import OPERATOR
from consent_service.access.auth import FRESH, PLAIN_COOKIE
from consent_service.db import Database
from consent_service.tenants.service import create_tenant
from tests.access.conftest import Clock
from tests.access.people import PASSWORD, make_person, make_person_with_totp
from tests.builders import Service
from tests.members import join


def error(response: TestResponse) -> tuple[int, str]:
    """Return an answer's status and error code."""
    return response.status_code, response.get_json()["error"]["code"]


def cookie(response: TestResponse, name: str) -> str:
    """Return what an answer says of a cookie."""
    return next(line for line in response.headers.getlist("Set-Cookie") if line.startswith(name))


def test_a_password_signs_in_who_has_no_second_factor(service: Service) -> None:
    person = make_person(service, "analyst")
    response = person.sign_in()
    assert response.get_json() == {"next": "done", "methods": []}
    found = person.signed_in()
    assert found
    assert (found["email"], found["name"]) == (person.member.email, "Amina Juma")
    assert found["tenants"] == [{"slug": "example", "name": "Example Ltd", "role": "analyst"}]
    assert found["second_factor"] is None


def test_an_address_is_the_same_however_it_is_written(service: Service) -> None:
    person = make_person(service, email="Amina.Juma@Example.com")
    assert person.sign_in(email=" amina.juma@EXAMPLE.com ").status_code == 200
    assert (person.signed_in() or {})["email"] == "Amina.Juma@Example.com"


def test_scripts_and_other_hosts_do_not_get_the_cookies(service: Service) -> None:
    person = make_person(service)
    response = person.sign_in()
    for name in (PLAIN_COOKIE, "consent_device"):
        said = cookie(response, name)
        assert "HttpOnly" in said
        assert "SameSite=Lax" in said
        assert "Path=/" in said
        assert "Domain" not in said
    person.another_browser()
    secure = person.client.post(
        "/v1/sign-in",
        base_url="https://consent.example.com",
        json={"email": person.member.email, "password": PASSWORD},
    )
    said = cookie(secure, f"__Host-{PLAIN_COOKIE}")
    assert "; Secure" in said
    assert "Max-Age=604800" in said


def test_nobody_is_told_which_of_address_and_password_is_wrong(service: Service) -> None:
    person = make_person(service)
    wrong = person.sign_in(password="another heron altogether")
    nobody = person.sign_in(email="nobody@example.com")
    assert error(wrong) == (403, "wrong_credentials")
    assert wrong.get_json() == nobody.get_json()
    assert wrong.headers.getlist("Set-Cookie") == nobody.headers.getlist("Set-Cookie") == []
    assert person.signed_in() is None


def test_an_unknown_address_costs_as_much_work_as_a_known_one(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[str] = []
    verify = PasswordHasher.verify

    def counting(hasher: PasswordHasher, stored: str, password: str) -> bool:
        verified.append(stored)
        return verify(hasher, stored, password)

    monkeypatch.setattr(PasswordHasher, "verify", counting)
    person = make_person(service)
    person.sign_in(password="another heron altogether")
    person.sign_in(email="nobody@example.com")
    known, unknown = (stored.split("$")[1:4] for stored in verified)
    assert known == unknown
    assert known[0] == "argon2id"


def test_who_signs_in_elsewhere_has_no_password_to_guess(service: Service) -> None:
    person = make_person(service)
    person.member.set_password_hash(None)
    assert error(person.sign_in(password="")) == (422, "validation_failed")
    assert error(person.sign_in()) == (403, "wrong_credentials")


def test_a_hash_costs_what_the_rule_asks_for() -> None:
    """In a process of its own, as hashes are cheap in that of the tests."""
    code = "from consent_service.access import passwords; print(passwords.hash_of('a long one'))"
    made = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    # RFC 9106, section 4, second profile: 64 MiB, three passes, four lanes.
    assert made.stdout.startswith("$argon2id$v=19$m=65536,t=3,p=4$")


def test_a_hash_of_lower_cost_is_made_anew(service: Service) -> None:
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    person = make_person(service)
    person.member.set_password_hash(cheap)
    assert person.sign_in().status_code == 200
    (user,) = service.rows("users")
    assert user["password_hash"] != cheap
    assert not passwords.is_outdated(user["password_hash"])
    person.another_browser()
    assert person.sign_in().status_code == 200


@pytest.mark.parametrize(
    ("headers", "signs_in"),
    [
        ({}, True),
        ({"Origin": "http://localhost"}, True),
        ({"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}, True),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
    ],
)
def test_other_peoples_pages_cannot_sign_a_browser_in(
    service: Service, headers: dict[str, str], *, signs_in: bool
) -> None:
    person = make_person(service)
    body = {"email": person.member.email, "password": PASSWORD}
    response = person.client.post("/v1/sign-in", json=body, headers=headers)
    if signs_in:
        assert response.status_code == 200
    else:
        assert error(response) == (403, "form_expired")
    assert (person.signed_in() is not None) is signs_in


def test_only_json_signs_in(service: Service) -> None:
    person = make_person(service)
    form = {"email": person.member.email, "password": PASSWORD}
    assert error(person.client.post("/v1/sign-in", data=form))[0] == 415
    assert person.signed_in() is None


def test_a_second_factor_is_asked_of_who_has_one(service: Service) -> None:
    person = make_person_with_totp(service)
    response = person.sign_in()
    assert response.get_json() == {
        "next": "second_factor",
        "methods": ["totp", "recovery_code"],
    }
    assert person.signed_in() is None
    assert person.sign_in("/totp", code=person.code()).get_json()["next"] == "done"
    assert (person.signed_in() or {})["second_factor"] == "totp"


def test_a_code_without_the_password_opens_nothing(service: Service) -> None:
    person = make_person_with_totp(service)
    assert error(person.sign_in("/totp", code=person.code())) == (403, "step_expired")
    assert error(person.sign_in("/recovery-code", code=person.recovery_codes[0])) == (
        403,
        "step_expired",
    )


def test_a_code_counts_once(service: Service) -> None:
    person = make_person_with_totp(service)
    code = person.code()
    person.sign_in()
    assert person.sign_in("/totp", code=code).status_code == 200
    person.another_browser()
    person.sign_in()
    assert error(person.sign_in("/totp", code=code)) == (403, "wrong_code")
    # Nor does one from before it.
    assert error(person.sign_in("/totp", code=person.code(steps=-1))) == (403, "wrong_code")
    assert person.sign_in("/totp", code=person.code(steps=1)).status_code == 200


@pytest.mark.parametrize("method", ["totp", "recovery-code"])
def test_a_code_that_comes_twice_at_once_counts_once(service: Service, method: str) -> None:
    person = make_person_with_totp(service)
    code = person.code() if method == "totp" else person.recovery_codes[0]
    browsers = []
    for _ in range(4):
        person.another_browser()
        person.sign_in()
        browsers.append(person.client)
    with ThreadPoolExecutor(4) as pool:
        answers = list(
            pool.map(
                lambda browser: browser.post(f"/v1/sign-in/{method}", json={"code": code}), browsers
            )
        )
    assert sorted(answer.status_code for answer in answers) == [200, 403, 403, 403]


def test_a_step_is_done_once(service: Service) -> None:
    person = make_person_with_totp(service)
    person.sign_in()
    step = person.client.get_cookie("consent_step")
    assert step is not None
    assert person.sign_in("/totp", code=person.code()).status_code == 200
    person.another_browser()
    person.client.set_cookie("consent_step", step.value)
    answer = person.sign_in("/recovery-code", code=person.recovery_codes[0])
    assert error(answer) == (403, "step_expired")


def test_a_step_expires(service: Service, move: Clock) -> None:
    person = make_person_with_totp(service)
    person.sign_in()
    move(timedelta(minutes=10, seconds=1))
    assert error(person.sign_in("/totp", code=person.code())) == (403, "step_expired")


@pytest.mark.parametrize("steps", [-3, -2, 2, 3])
def test_a_code_of_another_time_does_not_count(service: Service, steps: int) -> None:
    person = make_person_with_totp(service)
    person.sign_in()
    assert error(person.sign_in("/totp", code=person.code(steps=steps))) == (403, "wrong_code")


@pytest.mark.parametrize("code", ["000000x", "      ", "٠١٢٣٤٥", "-1", "é", "0" * 50])
def test_what_is_no_code_is_refused(service: Service, code: str) -> None:
    person = make_person_with_totp(service)
    person.sign_in()
    assert error(person.sign_in("/totp", code=code)) == (403, "wrong_code")
    assert error(person.sign_in("/recovery-code", code=code)) == (403, "wrong_code")


def test_a_recovery_code_is_read_as_people_write_it_and_counts_once(service: Service) -> None:
    person = make_person_with_totp(service)
    first, second = person.recovery_codes[:2]
    assert len(set(person.recovery_codes)) == 10
    person.sign_in()
    written = f" {first.upper().replace('-', ' ')} "
    assert person.sign_in("/recovery-code", code=written).status_code == 200
    found = person.signed_in()
    assert found
    assert found["second_factor"] == "recovery_code"
    assert found["factors"]["recovery_codes"] == 9
    person.another_browser()
    person.sign_in()
    assert error(person.sign_in("/recovery-code", code=first)) == (403, "wrong_code")
    assert person.sign_in("/recovery-code", code=second).status_code == 200


def test_codes_and_secrets_are_not_in_the_database(service: Service) -> None:
    person = make_person_with_totp(service)
    person.sign_in()
    step = person.client.get_cookie("consent_step")
    assert step is not None
    kept = "".join(
        str(row)
        for table in ("users", "totp_secrets", "recovery_codes", "one_time_values")
        for row in service.rows(table)
    )
    secrets = [person.secret, step.value, person.member.email, "Amina", PASSWORD]
    codes = [code.replace("-", "").upper() for code in person.recovery_codes]
    assert [text for text in [*secrets, *codes, *person.recovery_codes] if text in kept] == []


def test_signing_out_ends_the_session_on_the_server(service: Service) -> None:
    person = make_person(service)
    person.sign_in()
    token = person.client.get_cookie(PLAIN_COOKIE)
    assert token is not None
    person.sign_out()
    assert person.client.get_cookie(PLAIN_COOKIE) is None
    person.client.set_cookie(PLAIN_COOKIE, token.value)
    assert person.signed_in() is None


def test_every_tenant_of_a_user_hears_of_it(service: Service) -> None:
    other = create_tenant(service.use(Database), "other", "Other Ltd", by=OPERATOR)
    person = make_person(service)
    join(person.member, other, "analyst")
    person.sign_in(password="another heron altogether")
    person.sign_in()
    rows = [row for row in service.rows("audit_events") if row["object_kind"] == "user"]
    assert sorted(row["action"] for row in rows) == [
        "user.sign_in_failed",
        "user.sign_in_failed",
        "user.signed_in",
        "user.signed_in",
    ]
    assert len({str(row["tenant_id"]) for row in rows}) == 2
    assert {row["network"] for row in rows} == {"192.0.2.0/24"}
    assert "192.0.2.1" not in str(rows).replace("192.0.2.0/24", "")


def test_proving_again_renews_the_session(service: Service) -> None:
    person = make_person(service)
    person.sign_in()
    before = person.client.get_cookie(PLAIN_COOKIE)
    person.member.prove_long_ago()
    new = {"password": "a crab under the mangrove"}
    refused = person.member.put("/v1/account/password", json=new)
    assert error(refused) == (403, "reauthentication_required")
    wrong = person.member.post("/v1/account/prove", json={"password": "not this heron"})
    assert error(wrong) == (403, "wrong_credentials")
    assert person.member.put("/v1/account/password", json=new).status_code == 403
    proved = person.member.post("/v1/account/prove", json={"password": PASSWORD})
    assert proved.status_code == 204
    after = person.client.get_cookie(PLAIN_COOKIE)
    assert before
    assert after
    assert before.value != after.value
    assert person.member.put("/v1/account/password", json=new).status_code == 204
    assert clock.now() - person.member.session.authenticated_at < FRESH


def test_a_code_proves_it_too_and_counts_once(service: Service) -> None:
    person = make_person_with_totp(service)
    person.sign_in()
    code = person.code()
    person.sign_in("/totp", code=code)
    person.member.prove_long_ago()
    again = person.member.post("/v1/account/prove", json={"code": code})
    assert error(again) == (403, "wrong_code")
    fresh = person.member.post("/v1/account/prove", json={"code": person.code(steps=1)})
    assert fresh.status_code == 204


@pytest.mark.parametrize("body", [{}, {"password": PASSWORD, "code": "123456"}])
def test_one_proof_is_sent_at_a_time(service: Service, body: dict[str, str]) -> None:
    person = make_person(service)
    person.sign_in()
    assert error(person.member.post("/v1/account/prove", json=body)) == (422, "validation_failed")
