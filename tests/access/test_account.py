"""One's own account over HTTP: password, sessions, factors; each change is told."""

from __future__ import annotations

import pytest

from consent_service.access.passwords import LONGEST, SHORTEST
from tests.access.people import PASSWORD, Person, make_person, make_person_with_totp
from tests.access.test_sign_in import error
from tests.builders import Service
from tests.members import sign_in

NEW = "a crab under the mangrove"


def full(service: Service) -> Person:
    """Return somebody who is signed in with an authenticator app."""
    person = make_person_with_totp(service)
    person.sign_in()
    assert person.sign_in("/totp", code=person.code()).status_code == 200
    return person


@pytest.mark.parametrize("path", ["", "/sessions", "/passkeys"])
def test_nobody_reads_an_account_without_a_session(service: Service, path: str) -> None:
    response = service.client.get(f"/v1/account{path}")
    assert error(response) == (401, "not_signed_in")


def test_a_write_needs_the_token_of_the_session(service: Service) -> None:
    member, other = sign_in(service), sign_in(service)
    for token in ("", "wrong", other.csrf_token):
        refused = member.client.patch(
            "/v1/account", json={"name": "X"}, headers={"X-CSRF-Token": token}
        )
        assert error(refused) == (403, "form_expired")
    assert member.patch("/v1/account", json={"name": "Amina J."}).status_code == 204
    assert member.get("/v1/account").get_json()["name"] == "Amina J."


def test_a_new_password_ends_all_other_sessions(service: Service) -> None:
    person = make_person(service)
    person.sign_in()
    elsewhere = person.client
    person.another_browser()
    person.sign_in()
    assert person.member.put("/v1/account/password", json={"password": NEW}).status_code == 204
    assert person.signed_in() is not None
    person.client = person.member.client = elsewhere
    assert person.signed_in() is None
    assert person.sign_in().status_code == 403
    assert person.sign_in(password=NEW).status_code == 200
    assert "user.password_changed" in person.events()


@pytest.mark.parametrize(
    "password",
    [
        "x" * (SHORTEST - 1),
        "é" * (SHORTEST - 1),
        "abcdefghij" * 13,
        "qwerty123456",
        "QWERTY123456",
        "aaaaaaaaaaaaaaaa",
        "abababababab",
        "amina.juma@example.com",
        "AminaJuma12345",
        "consent-service",
        "ConsentService1",
        "amina juma amina juma",
    ],
)
def test_a_password_that_is_guessed_first_is_refused(service: Service, password: str) -> None:
    person = make_person(service, email="amina.juma@example.com")
    person.sign_in()
    refused = person.member.put("/v1/account/password", json={"password": password})
    assert error(refused) == (422, "validation_failed")
    assert list(refused.get_json()["error"]["fields"]) == ["password"]
    assert password not in refused.get_data(as_text=True)
    person.another_browser()
    assert person.sign_in().status_code == 200


@pytest.mark.parametrize(
    "password",
    [
        "lagoon heron",
        "a heron, Amina's own",
        "🦀🐟🐚🦐🌊⛵🦩🐢🌴🪸🐬🦈",
        "   leading and trailing   ",
        "mti mkubwa wa mbuyu",
        "abcdefghij" * 12 + "klmnopqr",
    ],
)
def test_a_long_password_of_any_kind_is_taken(service: Service, password: str) -> None:
    assert SHORTEST <= len(password) <= LONGEST
    person = make_person(service)
    person.sign_in()
    changed = person.member.put("/v1/account/password", json={"password": password})
    assert changed.status_code == 204, changed.get_json()
    person.another_browser()
    assert person.sign_in(password=password).status_code == 200


def test_a_password_is_the_same_from_every_keyboard(service: Service) -> None:
    person = make_person(service)
    person.sign_in()
    composed, decomposed = "caf\u00e9 by the lagoon", "cafe\u0301 by the lagoon"
    person.member.put("/v1/account/password", json={"password": composed})
    person.another_browser()
    assert person.sign_in(password=decomposed).status_code == 200


def test_sessions_are_listed_and_ended(service: Service) -> None:
    person = make_person(service)
    person.sign_in(address="203.0.113.9")
    elsewhere = person.client
    person.another_browser()
    person.sign_in()
    listed = person.member.get("/v1/account/sessions").get_json()["sessions"]
    assert sorted((one["network"], one["current"]) for one in listed) == [
        ("192.0.2.0/24", True),
        ("203.0.113.0/24", False),
    ]
    (other,) = (one["id"] for one in listed if not one["current"])
    assert person.member.delete(f"/v1/account/sessions/{other}").status_code == 204
    assert error(person.member.delete(f"/v1/account/sessions/{other}"))[0] == 404
    assert person.signed_in() is not None
    person.client = person.member.client = elsewhere
    assert person.signed_in() is None


def test_all_other_sessions_end_at_once(service: Service) -> None:
    person = make_person(service)
    for _ in range(3):
        person.another_browser()
        person.sign_in()
    assert person.member.delete("/v1/account/sessions").get_json() == {"ended": 2}
    assert person.member.delete("/v1/account/sessions").get_json() == {"ended": 0}
    assert person.signed_in() is not None


def test_nobody_ends_the_session_of_somebody_else(service: Service) -> None:
    member, stranger = sign_in(service), sign_in(service)
    address = f"/v1/account/sessions/{member.session.id}"
    assert error(stranger.delete(address))[0] == 404
    assert member.get("/v1/account").status_code == 200


def test_a_session_without_the_new_factor_ends(service: Service) -> None:
    person = make_person(service)
    person.sign_in()
    elsewhere = person.client
    person.another_browser()
    person.sign_in()
    person.set_up_totp()
    assert (person.signed_in() or {})["second_factor"] == "totp"
    person.client = person.member.client = elsewhere
    assert person.signed_in() is None


def test_a_wrong_first_code_leaves_things_as_they_are(service: Service) -> None:
    person = full(service)
    old = person.secret
    told = person.member.post("/v1/account/totp").get_json()
    assert told["secret"] != old
    assert told["uri"].startswith("otpauth://totp/Consent%20Service:")
    wrong = person.member.put("/v1/account/totp", json={"step": told["step"], "code": "000000"})
    assert error(wrong) == (403, "wrong_code")
    person.another_browser()
    person.sign_in()
    assert person.sign_in("/totp", code=person.code(steps=1)).status_code == 200


def test_a_new_app_takes_the_place_of_the_old_one(service: Service) -> None:
    person = full(service)
    old = person.code(steps=1)
    person.set_up_totp()
    person.another_browser()
    person.sign_in()
    assert error(person.sign_in("/totp", code=old)) == (403, "wrong_code")
    assert person.sign_in("/totp", code=person.code()).status_code == 200


def test_a_set_up_is_its_users_own_and_is_done_once(service: Service) -> None:
    person, stranger = full(service), full(service)
    told = person.member.post("/v1/account/totp").get_json()
    person.secret = told["secret"]
    body = {"step": told["step"], "code": person.code()}
    assert error(stranger.member.put("/v1/account/totp", json=body)) == (403, "step_expired")
    assert person.member.put("/v1/account/totp", json=body).status_code == 204
    assert error(person.member.put("/v1/account/totp", json=body)) == (403, "step_expired")


def test_new_recovery_codes_take_the_place_of_the_old_ones(service: Service) -> None:
    person = full(service)
    old = person.recovery_codes[0]
    new = person.member.post("/v1/account/recovery-codes").get_json()["codes"]
    person.another_browser()
    person.sign_in()
    assert error(person.sign_in("/recovery-code", code=old)) == (403, "wrong_code")
    assert person.sign_in("/recovery-code", code=new[0]).status_code == 200


def test_there_are_no_recovery_codes_without_a_factor(service: Service) -> None:
    person = make_person(service)
    person.sign_in()
    assert error(person.member.post("/v1/account/recovery-codes"))[0] == 404


def test_the_last_factor_goes_only_where_the_role_needs_none(service: Service) -> None:
    owner = full(service)
    assert error(owner.member.delete("/v1/account/totp")) == (409, "factor_needed")
    assert (owner.signed_in() or {})["factors"]["totp"] is True
    analyst = make_person_with_totp(service, "analyst")
    analyst.sign_in()
    analyst.sign_in("/totp", code=analyst.code())
    assert analyst.member.delete("/v1/account/totp").status_code == 204
    assert error(analyst.member.delete("/v1/account/totp"))[0] == 404
    found = analyst.signed_in()
    assert found
    assert found["factors"] == {"totp": False, "passkeys": 0, "recovery_codes": 0}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("put", "/password"),
        ("post", "/totp"),
        ("put", "/totp"),
        ("delete", "/totp"),
        ("post", "/recovery-codes"),
        ("post", "/passkeys/options"),
        ("post", "/passkeys"),
        ("delete", "/passkeys/00000000-0000-0000-0000-000000000000"),
    ],
)
def test_what_could_do_harm_needs_a_fresh_proof(service: Service, method: str, path: str) -> None:
    member = sign_in(service)
    member.prove_long_ago()
    body = {
        "password": NEW,
        "step": "a",
        "code": "1",
        "name": "a",
        "credential": {"id": "a", "response": {}},
    }
    keys = {
        ("put", "/password"): ("password",),
        ("put", "/totp"): ("step", "code"),
        ("post", "/passkeys"): ("name", "credential"),
    }.get((method, path), ())
    refused = getattr(member, method)(
        f"/v1/account{path}", **({"json": {key: body[key] for key in keys}} if keys else {})
    )
    assert error(refused) == (403, "reauthentication_required")


def test_each_change_is_in_the_audit_log(service: Service) -> None:
    person = full(service)
    person.member.patch("/v1/account", json={"name": "Amina J.", "language": "sw"})
    person.sign_out()
    assert sorted(set(person.events())) == [
        "recovery_codes.renewed",
        "totp.added",
        "user.renamed",
        "user.signed_in",
        "user.signed_out",
    ]
    kept = str(service.rows("audit_events"))
    secrets = [person.secret, PASSWORD, "Amina J.", person.member.email, *person.recovery_codes]
    assert [secret for secret in secrets if secret in kept] == []
