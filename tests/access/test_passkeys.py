"""Passkeys over HTTP: made, used alone and after a password, refused, removed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.access.authenticator import Authenticator
from tests.access.conftest import Clock
from tests.access.people import Person, make_person
from tests.access.test_sign_in import error
from tests.builders import Service

PASSKEYS = "/v1/account/passkeys"


def options(person: Person, address: str) -> dict[str, Any]:
    """Return what the browser is called with."""
    response = person.member.post(f"{address}/options")
    assert response.status_code == 200, response.get_json()
    found: dict[str, Any] = response.get_json()["public_key"]
    return found


def add(person: Person, authenticator: Authenticator, name: str = "Laptop") -> TestResponse:
    """Make a passkey."""
    made = authenticator.make(options(person, PASSKEYS))
    return person.member.post(PASSKEYS, json={"credential": made, "name": name})


def challenge(person: Person) -> dict[str, Any]:
    """Begin to sign in with a passkey."""
    response = person.sign_in("/passkey/options")
    assert response.status_code == 200, response.get_json()
    found: dict[str, Any] = response.get_json()["public_key"]
    return found


def use(person: Person, authenticator: Authenticator) -> TestResponse:
    """Sign in with a passkey."""
    return person.sign_in("/passkey", credential=authenticator.use(challenge(person)))


@pytest.fixture
def person(service: Service) -> Person:
    """Somebody who is signed in with a password alone."""
    made = make_person(service)
    assert made.sign_in().status_code == 200
    return made


@pytest.fixture
def owner(person: Person) -> tuple[Person, Authenticator]:
    """Somebody with a passkey, who is not signed in."""
    authenticator = Authenticator()
    assert add(person, authenticator).status_code == 201
    person.sign_out()
    person.another_browser()
    return person, authenticator


def test_making_a_passkey_raises_the_session(person: Person) -> None:
    asked = options(person, PASSKEYS)
    assert asked["rp"]["id"] == "localhost"
    assert asked["user"]["name"] == person.member.email
    assert add(person, Authenticator(), "Work laptop").status_code == 201
    found = person.signed_in()
    assert found
    assert found["second_factor"] == "passkey"
    (listed,) = person.member.get(PASSKEYS).get_json()["passkeys"]
    assert listed["name"] == "Work laptop"
    assert listed["last_used_at"] is None
    assert "passkey.added" in person.events()


def test_a_passkey_alone_signs_in(owner: tuple[Person, Authenticator]) -> None:
    person, authenticator = owner
    asked = challenge(person)
    assert asked["userVerification"] == "required"
    assert asked["allowCredentials"] == []
    response = person.sign_in("/passkey", credential=authenticator.use(asked))
    assert response.get_json() == {"next": "done", "methods": []}
    assert (person.signed_in() or {})["second_factor"] == "passkey"


def test_a_passkey_is_the_second_step_after_a_password(
    owner: tuple[Person, Authenticator],
) -> None:
    person, authenticator = owner
    assert person.sign_in().get_json()["methods"] == ["passkey"]
    # The password is one factor, so the key need not ask for another.
    authenticator.verifies_user = False
    asked = challenge(person)
    assert len(asked["allowCredentials"]) == 1
    response = person.sign_in("/passkey", credential=authenticator.use(asked))
    assert response.status_code == 200
    assert (person.signed_in() or {})["second_factor"] == "passkey"


def test_alone_it_must_know_who_holds_it(owner: tuple[Person, Authenticator]) -> None:
    person, authenticator = owner
    authenticator.verifies_user = False
    assert error(use(person, authenticator)) == (403, "passkey_refused")
    assert person.signed_in() is None


def test_somebody_elses_passkey_is_no_second_step(
    owner: tuple[Person, Authenticator], service: Service
) -> None:
    person, _ = owner
    stranger = make_person(service)
    stranger.sign_in()
    theirs = Authenticator()
    add(stranger, theirs)
    person.sign_in()
    assert error(use(person, theirs)) == (403, "passkey_refused")
    assert person.signed_in() is None


def test_an_answer_counts_once(owner: tuple[Person, Authenticator]) -> None:
    person, authenticator = owner
    answer = authenticator.use(challenge(person))
    assert person.sign_in("/passkey", credential=answer).status_code == 200
    person.another_browser()
    assert error(person.sign_in("/passkey", credential=answer)) == (403, "passkey_refused")


def test_an_answer_that_comes_twice_at_once_counts_once(
    owner: tuple[Person, Authenticator],
) -> None:
    person, authenticator = owner
    answer = authenticator.use(challenge(person))
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: person.sign_in("/passkey", credential=answer), range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 403, 403, 403]


def test_a_challenge_is_used_up_by_a_wrong_answer(owner: tuple[Person, Authenticator]) -> None:
    person, authenticator = owner
    asked = challenge(person)
    wrong = Authenticator(credential_id=authenticator.credential_id)
    assert person.sign_in("/passkey", credential=wrong.use(asked)).status_code == 403
    right = person.sign_in("/passkey", credential=authenticator.use(asked))
    assert error(right) == (403, "passkey_refused")


def test_a_challenge_expires(owner: tuple[Person, Authenticator], move: Clock) -> None:
    person, authenticator = owner
    asked = challenge(person)
    move(timedelta(minutes=11))
    late = person.sign_in("/passkey", credential=authenticator.use(asked))
    assert error(late) == (403, "passkey_refused")


def test_a_counter_that_fell_is_refused_and_told(owner: tuple[Person, Authenticator]) -> None:
    person, authenticator = owner
    assert use(person, authenticator).status_code == 200
    person.another_browser()
    authenticator.counter -= 1
    refused = use(person, authenticator)
    assert error(refused) == (403, "passkey_refused")
    assert "copied" in refused.get_json()["error"]["message"]
    assert person.signed_in() is None
    assert person.events()[-1] == "passkey.refused"


def test_a_key_that_does_not_count_is_accepted_each_time(person: Person) -> None:
    authenticator = Authenticator(counter=-1)
    assert add(person, authenticator).status_code == 201
    for _ in range(2):
        person.another_browser()
        authenticator.counter = -1
        assert use(person, authenticator).status_code == 200


Change = Callable[[Authenticator], None]


def _elsewhere(authenticator: Authenticator) -> None:
    authenticator.origin = "https://evil.example"


def _other_party(authenticator: Authenticator) -> None:
    authenticator.rp_id = "evil.example"


def _other_key(authenticator: Authenticator) -> None:
    authenticator.key = Authenticator().key


def _unknown(authenticator: Authenticator) -> None:
    authenticator.credential_id = b"unknown"


@pytest.mark.parametrize("change", [_elsewhere, _other_party, _other_key, _unknown])
def test_what_was_not_signed_here_is_refused(
    owner: tuple[Person, Authenticator], change: Change
) -> None:
    person, authenticator = owner
    change(authenticator)
    assert error(use(person, authenticator)) == (403, "passkey_refused")
    assert person.signed_in() is None


@pytest.mark.parametrize("change", [_elsewhere, _other_party])
def test_what_was_not_made_here_is_refused(person: Person, change: Change) -> None:
    authenticator = Authenticator()
    change(authenticator)
    assert error(add(person, authenticator)) == (403, "passkey_refused")
    assert person.member.get(PASSKEYS).get_json() == {"passkeys": []}


def test_a_challenge_of_somebody_else_makes_no_passkey(person: Person, service: Service) -> None:
    stranger = make_person(service)
    stranger.sign_in()
    made = Authenticator().make(options(stranger, PASSKEYS))
    refused = person.member.post(PASSKEYS, json={"credential": made, "name": "Mine"})
    assert error(refused) == (403, "passkey_refused")


def test_a_challenge_for_signing_in_proves_nothing_else(
    owner: tuple[Person, Authenticator],
) -> None:
    person, authenticator = owner
    use(person, authenticator)
    answer = authenticator.use(challenge(person))
    refused = person.member.post("/v1/account/prove", json={"credential": answer})
    assert error(refused) == (403, "passkey_refused")


def test_one_passkey_belongs_to_one_user(person: Person, service: Service) -> None:
    authenticator = Authenticator()
    add(person, authenticator)
    stranger = make_person(service)
    stranger.sign_in()
    assert error(add(stranger, authenticator)) == (403, "passkey_refused")


@pytest.mark.parametrize(
    "credential",
    [
        {"id": "a", "response": {}},
        {"id": "é", "response": {"clientDataJSON": "é"}},
        {"id": "a", "response": {"clientDataJSON": 7}},
        {"id": "a", "response": {"clientDataJSON": "e30"}},
        {"id": "a", "response": {"clientDataJSON": "bnVsbA"}},
    ],
)
def test_what_is_no_answer_is_refused(service: Service, credential: dict[str, Any]) -> None:
    person = make_person(service)
    refused = person.sign_in("/passkey", credential=credential)
    assert error(refused) == (403, "passkey_refused")


def test_bytes_that_no_authenticator_sends_are_refused(person: Person) -> None:
    made = Authenticator().make(options(person, PASSKEYS))
    made["response"]["attestationObject"] = "o2NmbXRkbm9uZQ"
    refused = person.member.post(PASSKEYS, json={"credential": made, "name": "Odd"})
    assert error(refused) == (403, "passkey_refused")


def test_a_passkey_proves_who_is_there(owner: tuple[Person, Authenticator]) -> None:
    person, authenticator = owner
    use(person, authenticator)
    person.member.prove_long_ago()
    assert error(person.member.post(f"{PASSKEYS}/options")) == (403, "reauthentication_required")
    answer = authenticator.use(options(person, "/v1/account/prove"))
    proved = person.member.post("/v1/account/prove", json={"credential": answer})
    assert proved.status_code == 204
    assert add(person, Authenticator(), "Phone").status_code == 201


def test_the_last_passkey_stays_while_the_role_needs_one(
    owner: tuple[Person, Authenticator],
) -> None:
    person, authenticator = owner
    use(person, authenticator)
    (listed,) = person.member.get(PASSKEYS).get_json()["passkeys"]
    address = f"{PASSKEYS}/{listed['id']}"
    assert error(person.member.delete(address)) == (409, "factor_needed")
    add(person, Authenticator(), "Phone")
    assert person.member.delete(address).status_code == 204
    assert person.member.delete(address).status_code == 404
    person.another_browser()
    assert use(person, authenticator).status_code == 403


def test_two_who_remove_the_last_two_at_once_leave_one(
    owner: tuple[Person, Authenticator],
) -> None:
    person, authenticator = owner
    use(person, authenticator)
    add(person, Authenticator(), "Phone")
    listed = person.member.get(PASSKEYS).get_json()["passkeys"]
    with ThreadPoolExecutor(2) as pool:
        answers = list(
            pool.map(lambda one: person.member.delete(f"{PASSKEYS}/{one['id']}"), listed)
        )
    assert sorted(answer.status_code for answer in answers) == [204, 409]


def test_nobody_removes_the_passkey_of_somebody_else(
    owner: tuple[Person, Authenticator], service: Service
) -> None:
    person, authenticator = owner
    use(person, authenticator)
    (listed,) = person.member.get(PASSKEYS).get_json()["passkeys"]
    stranger = make_person(service)
    stranger.sign_in()
    theirs = stranger.member.delete(f"{PASSKEYS}/{listed['id']}")
    nothing = stranger.member.delete(f"{PASSKEYS}/00000000-0000-0000-0000-000000000000")
    assert theirs.status_code == 404
    assert theirs.get_json() == nothing.get_json()
    assert len(person.member.get(PASSKEYS).get_json()["passkeys"]) == 1
