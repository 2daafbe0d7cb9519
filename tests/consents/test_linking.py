"""A visitor who signs in is one visitor on all devices, and no refusal becomes a grant."""

from __future__ import annotations

import hmac
import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from itsdangerous.encoding import base64_decode, base64_encode

from consent_service import clock
from consent_service.access.actor import OPERATOR
from consent_service.consents import store, tokens
from consent_service.errors import Unavailable
from consent_service.signing import Keyring, canonical_json, ensure_keys, rotate
from consent_service.tenants.link_keys import retire_link_key
from tests.builders import (
    COUNTRY_HEADER,
    FORGERIES,
    ORIGIN,
    SITE_KEY,
    Service,
    make_notice,
    make_purpose,
    make_user_token,
)

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

ME = f"/v1/sites/{SITE_KEY}/consents/me"
COOKIE = "cookie_consent_test"
NOTHING = {"record": None, "token": None, "receipt_url": None, "changed": False}
TABLES = ("records", "current_states", "linked_users")


def linked(response: TestResponse) -> dict[str, Any]:
    """Return the answer to a call that did what it should."""
    assert response.status_code == 200, response.get_data(as_text=True)
    answer: dict[str, Any] = response.get_json()
    return answer


def choose(service: Service, *, analytics: bool, preferences: bool = False, **more: Any) -> Any:  # noqa: ANN401
    """Make a choice; return the answer."""
    choices = {"analytics": analytics, "preferences": preferences}
    response = service.choose(choices, **more)
    assert response.status_code == 201, response.get_data(as_text=True)
    return response.get_json()


def reason(service: Service, token: str, **headers: str) -> str:
    """Return the gate's reason for analytics, when this process has heard all."""
    service.built.followers.refresh()
    return service.reason(token=token, headers=headers)


def history(service: Service, token: str) -> list[dict[str, Any]]:
    response = service.client.get(ME, headers={"X-Consent-Token": token})
    found: list[dict[str, Any]] = response.get_json()["history"]
    return found


def stored(service: Service) -> dict[str, list[dict[str, Any]]]:
    return {name: service.rows(name) for name in TABLES}


def cookies(response: TestResponse) -> dict[str, str]:
    """Return name → value, or an empty value for a cookie that is taken away."""
    return {
        name: "" if "Max-Age=0" in rest else value
        for name, _, rest in (
            line.partition("=") for line in response.headers.getlist("Set-Cookie")
        )
        for value in [rest.partition(";")[0]]
    }


# Who becomes whom


def test_a_first_device_becomes_the_users(service: Service) -> None:
    device = choose(service, analytics=True)
    before = stored(service)
    response = service.link(token=device["token"])
    answer = linked(response)
    assert answer["record"] == device["record"]
    assert answer["changed"] is False
    assert cookies(response)[COOKIE] == answer["token"]
    assert reason(service, answer["token"]) == reason(service, device["token"]) == "granted"
    after = stored(service)
    assert (after["records"], after["current_states"]) == (
        before["records"],
        before["current_states"],
    )
    assert len(after["linked_users"]) == 1


def test_before_any_choice_there_is_nothing_to_link(service: Service) -> None:
    response = service.link()
    assert linked(response) == NOTHING
    assert "Set-Cookie" not in response.headers
    assert stored(service) == {name: [] for name in TABLES}


def test_a_new_device_gets_the_users_choice(service: Service) -> None:
    device = choose(service, analytics=True)
    linked(service.link(token=device["token"]))
    before = stored(service)
    response = service.link()
    answer = linked(response)
    assert answer["record"] == device["record"]
    assert answer["changed"] is True
    assert cookies(response)[COOKIE] == answer["token"]
    assert "~analytics:1" in cookies(response)[f"{COOKIE}_choices"]
    assert service.client.get(answer["receipt_url"]).get_json()["record"] == device["record"]
    assert reason(service, answer["token"]) == "granted"
    assert stored(service) == before


def test_the_cookie_will_do(service: Service) -> None:
    device = choose(service, analytics=True)
    answer = linked(service.link(headers={"Cookie": f"{COOKIE}={device['token']}"}))
    assert answer["record"] == device["record"]


def test_a_choice_on_any_device_is_the_users_and_the_newest_counts(service: Service) -> None:
    phone = choose(service, analytics=False)["token"]
    linked(service.link(token=phone))
    laptop = linked(service.link())["token"]
    granted = choose(service, analytics=True, token=laptop)
    assert granted["record"]["sequence"] == 2
    assert reason(service, granted["token"]) == "granted"
    assert reason(service, phone) == "superseded"
    again = linked(service.link(token=phone))
    assert again["record"] == granted["record"]
    assert again["changed"] is True
    withdrawn = choose(service, analytics=False, token=again["token"])
    assert reason(service, granted["token"]) == "superseded"
    assert linked(service.link(token=granted["token"]))["record"] == withdrawn["record"]


def test_linking_again_changes_nothing(service: Service) -> None:
    first = linked(service.link(token=choose(service, analytics=True)["token"]))
    device = choose(service, analytics=False)["token"]
    merged = linked(service.link(token=device))
    before = stored(service)
    # With the token that the answer brought, and as after an answer that got lost.
    again = linked(service.link(token=merged["token"]))
    assert (again["record"], again["changed"]) == (merged["record"], False)
    for token in (device, first["token"]):
        again = linked(service.link(token=token))
        assert (again["record"], again["changed"]) == (merged["record"], True)
    assert stored(service) == before


@pytest.mark.parametrize("how", FORGERIES)
def test_a_forged_token_is_none(service: Service, how: str) -> None:
    device = choose(service, analytics=True)["token"]
    assert linked(service.link(token=FORGERIES[how](device))) == NOTHING
    assert service.rows("linked_users") == []


def test_users_of_one_device_do_not_become_one_another(service: Service) -> None:
    hers = linked(service.link("she", token=choose(service, analytics=True)["token"]))
    his = linked(service.link("he", token=choose(service, analytics=False)["token"]))
    before = stored(service)
    on_her_device = linked(service.link("he", token=hers["token"]))
    assert on_her_device["record"] == his["record"]
    assert on_her_device["changed"] is True
    assert linked(service.link("she", token=his["token"]))["record"] == hers["record"]
    assert stored(service) == before


def test_a_user_without_a_choice_does_not_inherit_the_device_owners(service: Service) -> None:
    hers = linked(service.link("she", token=choose(service, analytics=True)["token"]))
    before = stored(service)
    response = service.link("he", token=hers["token"])
    assert linked(response) == {**NOTHING, "changed": True}
    assert cookies(response) == {COOKIE: "", f"{COOKIE}_choices": ""}
    assert stored(service) == before


# Two choices become one


def test_a_refusal_on_the_new_device_holds_for_the_user(service: Service) -> None:
    phone = linked(service.link(token=choose(service, analytics=True, preferences=True)["token"]))
    device = choose(service, analytics=False, preferences=True)
    answer = linked(service.link(token=device["token"]))
    record = answer["record"]
    assert record["choices"] == {"session": True, "analytics": False, "preferences": True}
    assert record["visitor_id"] == phone["record"]["visitor_id"]
    assert record["previous_id"] == phone["record"]["id"]
    assert record["sequence"] == 2
    assert (record["action"], record["signal_source"]) == ("link", "link")
    assert answer["changed"] is True
    assert reason(service, phone["token"]) == reason(service, device["token"]) == "superseded"
    assert reason(service, answer["token"]) == "withdrawn"


def test_a_grant_on_the_new_device_does_not_undo_the_users_refusal(service: Service) -> None:
    phone = linked(service.link(token=choose(service, analytics=False)["token"]))
    device = choose(service, analytics=True)["token"]
    answer = linked(service.link(token=device))
    assert answer["record"] == phone["record"]
    assert answer["changed"] is True
    assert reason(service, device) == "superseded"
    assert reason(service, answer["token"]) == reason(service, phone["token"]) == "refused"


def test_the_same_choice_twice_needs_no_record(service: Service) -> None:
    phone = linked(service.link(token=choose(service, analytics=True)["token"]))
    device = choose(service, analytics=True)["token"]
    answer = linked(service.link(token=device))
    assert answer["record"] == phone["record"]
    assert len(service.rows("records")) == 2
    assert reason(service, phone["token"]) == reason(service, answer["token"]) == "granted"


def test_a_record_of_linking_is_signed_and_complete(worldwide: Service) -> None:
    at_home = {COUNTRY_HEADER: "TZ"}
    phone = choose(worldwide, analytics=True, headers=at_home, language="sw")
    linked(worldwide.link(token=phone["token"]))
    device = choose(worldwide, analytics=False, headers=at_home, surface="preferences")
    abroad = {COUNTRY_HEADER: "CH", "User-Agent": "Mozilla/5.0 (X11; Linux) Firefox/140.0"}
    answer = linked(worldwide.link(token=device["token"], headers=abroad))
    record = answer["record"]
    made = clock.from_rfc3339(record["created_at"])
    assert abs(made - clock.now()) < timedelta(minutes=1)
    assert record == {
        **device["record"],
        "id": record["id"],
        "visitor_id": phone["record"]["visitor_id"],
        "previous_id": phone["record"]["id"],
        "sequence": 2,
        "action": "link",
        "surface": "preferences",
        "signal_source": "link",
        "language": "en",
        "region": "CH",
        "regime": "notice",
        "country": "CH",
        "device_class": "desktop",
        "browser_family": "firefox",
        "created_at": record["created_at"],
        "expires_at": phone["record"]["expires_at"],
    }
    receipt = worldwide.client.get(answer["receipt_url"]).get_json()
    assert receipt["record"] == record
    (row,) = [
        row for row in worldwide.rows("records") if row["document"] and "link" in row["document"]
    ]
    assert row["document"].encode() == canonical_json(record)


def test_linking_prolongs_nothing(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    older = choose(service, analytics=True, preferences=True)
    linked(service.link(token=older["token"]))
    later = clock.now() + timedelta(days=30)
    monkeypatch.setattr(clock, "now", lambda: later)
    user_token = make_user_token(
        service.link_key, iat=int(later.timestamp()), exp=int(later.timestamp()) + 300
    )
    newer = choose(service, analytics=False, preferences=True)
    record = linked(service.link(token=newer["token"], user_token=user_token))["record"]
    assert record["created_at"] == clock.rfc3339(later)
    assert record["expires_at"] == older["record"]["expires_at"] < newer["record"]["expires_at"]


@pytest.mark.parametrize("run_out", ["the user's", "the device's"])
def test_a_choice_that_has_run_out_is_none(
    service: Service, monkeypatch: pytest.MonkeyPatch, run_out: str
) -> None:
    """Neither a refusal nor a grant of long ago: the person was to be asked again."""
    first = choose(service, analytics=False)
    if run_out == "the user's":
        linked(service.link(token=first["token"]))
    later = clock.now() + timedelta(days=200)
    monkeypatch.setattr(clock, "now", lambda: later)
    second = choose(service, analytics=True)

    def sign_in(token: str) -> dict[str, Any]:
        now = int(later.timestamp())
        user_token = make_user_token(service.link_key, iat=now, exp=now + 300)
        return linked(service.link(token=token, user_token=user_token))

    if run_out == "the device's":
        sign_in(second["token"])
        assert sign_in(first["token"])["record"] == second["record"]
        assert len(service.rows("records")) == 2
    else:
        record = sign_in(second["token"])["record"]
        assert record["choices"] == second["record"]["choices"]
        assert record["expires_at"] == second["record"]["expires_at"]
        assert record["previous_id"] == first["record"]["id"]


def test_a_choice_on_a_notice_that_asks_again_is_none(service: Service) -> None:
    linked(service.link(token=choose(service, analytics=True)["token"]))
    service.publish(languages=["en"])
    device = choose(service, analytics=False, preferences=True, notice_version=2)
    record = linked(service.link(token=device["token"]))["record"]
    assert record["choices"] == device["record"]["choices"]
    assert record["notice_version"] == 2


def test_when_nothing_counts_any_more_the_user_is_asked_again(service: Service) -> None:
    phone = linked(service.link(token=choose(service, analytics=True)["token"]))
    device = choose(service, analytics=False)["token"]
    service.publish(languages=["en"])
    answer = linked(service.link(token=device))
    assert answer["record"] == phone["record"]
    assert reason(service, answer["token"]) == "notice_changed"


def test_a_purpose_that_came_later_is_as_the_device_that_was_asked_says(
    service: Service,
) -> None:
    phone = choose(service, analytics=True)
    linked(service.link(token=phone["token"]))
    policy = {"version": "2026-04", "url": "https://example.com/privacy", "material": False}
    purposes = [*make_notice()["purposes"], make_purpose("marketing", "marketing")]
    service.publish(purposes=purposes, policy=policy)
    choices = {"analytics": True, "preferences": False, "marketing": True}
    device = service.choose(choices, notice_version=2).get_json()
    answer = linked(service.link(token=device["token"]))
    assert answer["record"]["choices"] == {"session": True, **choices}
    # Not everything in it was decided on the newer notice.
    for member in ("notice_version", "notice_hash", "policy_version"):
        assert answer["record"][member] == phone["record"][member]
    gate = service.ask("marketing", "analytics", token=answer["token"])
    assert gate.get_json()["allow"] is True


# The privacy signal

SIGNAL = {"Sec-GPC": "1"}


def test_a_grant_given_against_the_signal_is_not_carried_to_where_it_was_not(
    worldwide: Service,
) -> None:
    against = choose(worldwide, analytics=True, headers=SIGNAL)
    assert reason(worldwide, against["token"], **SIGNAL) == "granted"
    linked(worldwide.link(token=choose(worldwide, analytics=True, preferences=True)["token"]))
    answer = linked(worldwide.link(token=against["token"], headers=SIGNAL))
    assert answer["record"]["gpc"] is False
    assert reason(worldwide, answer["token"]) == "granted"
    assert reason(worldwide, answer["token"], **SIGNAL) == "gpc"


def test_a_grant_given_against_the_signal_on_both_devices_stays_so(worldwide: Service) -> None:
    phone = choose(worldwide, analytics=True, preferences=True, headers=SIGNAL)
    linked(worldwide.link(token=phone["token"], headers=SIGNAL))
    device = choose(worldwide, analytics=True, headers=SIGNAL)
    answer = linked(worldwide.link(token=device["token"], headers=SIGNAL))
    assert answer["record"]["gpc"] is True
    assert reason(worldwide, answer["token"], **SIGNAL) == "granted"


def test_where_the_law_demands_it_the_signal_turns_off_what_the_user_granted_elsewhere(
    worldwide: Service,
) -> None:
    phone = linked(worldwide.link(token=choose(worldwide, analytics=True)["token"]))
    answer = linked(worldwide.link(headers={COUNTRY_HEADER: "US", **SIGNAL}))
    assert answer["record"]["choices"]["analytics"] is False
    assert answer["record"]["signal_source"] == "gpc"
    assert answer["record"]["gpc"] is True
    assert answer["record"]["previous_id"] == phone["record"]["id"]
    assert reason(worldwide, phone["token"]) == "superseded"
    assert reason(worldwide, answer["token"]) == "withdrawn"
    again = linked(worldwide.link(token=answer["token"], headers={COUNTRY_HEADER: "US", **SIGNAL}))
    assert again["record"] == answer["record"]


# All or nothing


def test_a_database_that_goes_away_half_way_leaves_everything_as_it_was(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    linked(service.link(token=choose(service, analytics=True)["token"]))
    device = choose(service, analytics=False)["token"]
    before = stored(service)

    def go_away(*_: object) -> None:
        raise Unavailable

    with monkeypatch.context() as away:
        away.setattr(store, "append", go_away)
        response = service.link(token=device)
    assert response.status_code == 503
    assert response.headers["Retry-After"]
    assert "Set-Cookie" not in response.headers
    assert stored(service) == before
    assert linked(service.link(token=device))["record"]["action"] == "link"


# Tokens of a visitor who was merged


@pytest.fixture
def merged(service: Service) -> dict[str, Any]:
    """What two devices were given before and after: ``phone``, ``device``, ``both``."""
    phone = choose(service, analytics=True)
    linked(service.link(token=phone["token"]))
    key = {"Idempotency-Key": "a-random-id-of-the-decision"}
    device = choose(service, analytics=False, headers=key)
    return {"phone": phone, "device": device, "both": linked(service.link(token=device["token"]))}


def aged(service: Service, token: str) -> str:
    """Return the token as it would have been issued two days ago."""
    signer = Keyring(service.settings.keys_file).signer(tokens.SALT)
    claims = tokens.read_token(token, SITE_KEY, signer)
    assert claims is not None
    return tokens.write_token(claims._replace(issued_at=int(time.time()) - 2 * 86_400), signer)


def test_an_old_token_renews_to_the_users(service: Service, merged: dict[str, Any]) -> None:
    for whose in ("phone", "device"):
        response = service.ask(token=aged(service, merged[whose]["token"]))
        assert response.get_json()["decisions"]["analytics"]["reason"] == "withdrawn"
        renewed = response.headers["X-Consent-Token"]
        assert renewed.split("~")[2] == merged["both"]["record"]["visitor_id"]
        assert linked(service.link(token=renewed))["changed"] is False


def test_a_choice_with_the_merged_visitors_token_is_the_users(
    service: Service, merged: dict[str, Any]
) -> None:
    record = choose(service, analytics=True, token=merged["device"]["token"])["record"]
    assert record["visitor_id"] == merged["both"]["record"]["visitor_id"]
    assert record["previous_id"] == merged["both"]["record"]["id"]
    assert record["sequence"] == 3


def test_a_retry_of_a_choice_made_before_linking_makes_no_second_record(
    service: Service, merged: dict[str, Any]
) -> None:
    before = stored(service)
    key = {"Idempotency-Key": "a-random-id-of-the-decision"}
    for token in (None, merged["device"]["token"], merged["both"]["token"]):
        again = choose(service, analytics=False, headers=key, token=token)
        assert again["record"] == merged["device"]["record"]
        assert linked(service.link(token=again["token"]))["changed"] is False
    choices = {"analytics": False, "preferences": False}
    stranger = choose(service, analytics=True)["token"]
    assert service.choose(choices, headers=key, token=stranger).status_code == 422
    after = stored(service)
    assert [len(after[name]) for name in TABLES] == [
        len(before["records"]) + 1,
        len(before["current_states"]) + 1,
        len(before["linked_users"]),
    ]


@pytest.mark.parametrize("with_token", ["phone", "device", "both"])
def test_visitors_see_what_is_held_of_all_their_devices(
    service: Service, merged: dict[str, Any], with_token: str
) -> None:
    choose(service, analytics=True)
    records = [merged[name]["record"] for name in ("both", "phone", "device")]
    assert history(service, merged[with_token]["token"]) == records


@pytest.mark.parametrize("with_token", ["phone", "device", "both"])
def test_erasure_reaches_all_devices_and_forgets_the_user(
    service: Service, merged: dict[str, Any], with_token: str
) -> None:
    another = linked(service.link("she", token=choose(service, analytics=True)["token"]))
    headers = {"Origin": ORIGIN, "X-Consent-Token": merged[with_token]["token"]}
    assert service.client.delete(ME, headers=headers).get_json()["erased_records"] == 3
    for whose in ("phone", "device", "both"):
        token = merged[whose]["token"]
        assert service.client.get(ME, headers={"X-Consent-Token": token}).status_code == 404
        assert reason(service, token) == "erased"
        assert service.ask(token=aged(service, token)).get_json()["decisions"]["analytics"] == {
            "allow": False,
            "reason": "erased",
        }
    kept = service.rows("linked_users")
    assert [row["visitor_id"] for row in kept] == [another["record"]["visitor_id"]]
    assert all(row["merged_into"] is None for row in service.rows("current_states"))
    assert history(service, another["token"]) == [another["record"]]


def test_a_user_who_erased_everything_begins_anew(service: Service, merged: dict[str, Any]) -> None:
    headers = {"Origin": ORIGIN, "X-Consent-Token": merged["both"]["token"]}
    service.client.delete(ME, headers=headers)
    assert linked(service.link(token=merged["phone"]["token"])) == {**NOTHING, "changed": True}
    fresh = choose(service, analytics=True, token=merged["device"]["token"])
    assert linked(service.link(token=fresh["token"]))["record"] == fresh["record"]


# Several at once


def assert_sound(service: Service) -> None:
    """Check that users are live visitors, each one's own, and that only they are merged into."""
    states = {row["visitor_id"]: row for row in service.rows("current_states")}
    users = [row["visitor_id"] for row in service.rows("linked_users")]
    assert len(set(users)) == len(users)
    for visitor_id in users:
        assert states[visitor_id]["record_id"] is not None
        assert states[visitor_id]["merged_into"] is None
    assert {row["merged_into"] for row in states.values()} <= {None, *users}


def at_once(service: Service, calls: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """Link (user, token) pairs all at the same moment; return the answers."""
    sent = [(user, token, make_user_token(service.link_key, user)) for user, token in calls]
    with ThreadPoolExecutor(len(sent)) as pool:
        return [
            linked(response)
            for response in pool.map(
                lambda call: service.link(token=call[1], user_token=call[2]), sent
            )
        ]


def test_devices_that_link_at_once_are_one_user(service: Service) -> None:
    for turn in range(3):
        user = f"user-{turn}"
        devices = [choose(service, analytics=turn % 2 == n % 2)["token"] for n in range(4)]
        before = len(service.rows("linked_users"))
        at_once(service, [(user, token) for token in devices])
        assert len(service.rows("linked_users")) == before + 1
        assert_sound(service)
        answers = [linked(service.link(user, token=token)) for token in devices]
        newest = answers[0]["record"]
        assert all(answer["record"] == newest for answer in answers)
        assert newest["choices"]["analytics"] is False
        records = history(service, answers[0]["token"])
        assert {record["visitor_id"] for record in records} == {
            token.split("~")[2] for token in devices
        }
        chain = [record for record in records if record["visitor_id"] == newest["visitor_id"]]
        assert [record["sequence"] for record in chain] == list(range(len(chain), 0, -1))
        assert [record["previous_id"] for record in chain] == [
            *(record["id"] for record in chain[1:]),
            None,
        ]


def test_pages_of_one_device_that_link_at_once_all_get_the_users_choice(
    service: Service,
) -> None:
    for turn in range(3):
        device = choose(service, analytics=True)
        answers = at_once(service, [(f"user-{turn}", device["token"])] * 4)
        assert all(answer["record"] == device["record"] for answer in answers)
        assert_sound(service)


def test_users_who_sign_in_on_one_device_at_once_stay_apart(service: Service) -> None:
    for turn in range(3):
        device = choose(service, analytics=True)["token"]
        users = [f"user-{turn}-{n}" for n in range(4)]
        answers = at_once(service, [(user, device) for user in users])
        assert sum(answer["record"] is not None for answer in answers) == 1
        assert len(service.rows("linked_users")) == turn + 1
        assert_sound(service)


def test_choices_made_while_devices_link_are_all_kept(service: Service) -> None:
    user_token = make_user_token(service.link_key)
    linked(service.link(token=choose(service, analytics=True)["token"]))
    for _ in range(3):
        device = choose(service, analytics=True)["token"]
        with ThreadPoolExecutor(4) as pool:
            linking = [
                pool.submit(service.link, token=device, user_token=user_token) for _ in range(2)
            ]
            choosing = [pool.submit(choose, service, analytics=False, token=device) for _ in "ab"]
            for future in linking:
                linked(future.result())
            made = {future.result()["record"]["id"] for future in choosing}
        answer = linked(service.link(token=device, user_token=user_token))
        assert answer["record"]["choices"]["analytics"] is False
        assert made <= {record["id"] for record in history(service, device)}


def test_whoever_erases_while_devices_link_leaves_nothing_half_linked(service: Service) -> None:
    user_token = make_user_token(service.link_key)
    for _ in range(3):
        phone, device = (choose(service, analytics=True)["token"] for _ in "ab")
        linked(service.link(token=phone, user_token=user_token))
        headers = {"Origin": ORIGIN, "X-Consent-Token": phone}
        with ThreadPoolExecutor(3) as pool:
            linking = [
                pool.submit(service.link, token=device, user_token=user_token) for _ in range(2)
            ]
            assert pool.submit(service.client.delete, ME, headers=headers).result().json
            for future in linking:
                linked(future.result())
        assert_sound(service)
        assert service.client.get(ME, headers=headers).status_code == 404


# The site's keys


def test_a_token_may_be_used_until_it_expires(service: Service) -> None:
    user_token = make_user_token(service.link_key)
    device = choose(service, analytics=True)
    for _ in range(3):
        answer = linked(service.link(token=device["token"], user_token=user_token))
        assert answer["record"] == device["record"]


def refusal(service: Service, user_token: str, **more: Any) -> str:  # noqa: ANN401
    """Return what is told of a user token that is refused; nothing is stored and nothing set."""
    before = stored(service)
    response = service.link(user_token=user_token, **more)
    assert response.status_code == 422, response.get_data(as_text=True)
    error = response.get_json()["error"]
    assert error["code"] == "invalid_user_token"
    assert "Set-Cookie" not in response.headers
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert stored(service) == before
    (reason,) = error["fields"]["user_token"]
    return str(reason)


def test_what_is_wrong_with_a_token_is_told(service: Service) -> None:
    key, device = service.link_key, choose(service, analytics=True)["token"]
    now = int(time.time())
    for user_token, told in (
        (make_user_token(key, iat=now - 400, exp=now - 100), "It has expired."),
        (make_user_token(key, aud="site_other"), "aud must be the site's key."),
        (make_user_token(key, header={"alg": "HS512"}), "Its header must say alg: HS256."),
        (make_user_token(key, header={"kid": "7"}), "The site has no link key '7'"),
        (make_user_token(key)[:-3], "It is not signed with the link key that kid names."),
        ("user-1", "It must be a JWT"),
    ):
        assert refusal(service, user_token, token=device).startswith(told)


def test_a_site_without_keys_links_nobody(service: Service) -> None:
    other = service.add_link_key(service.add_site("site_other"))
    assert refusal(service, make_user_token(other)).startswith("The site has no link key '1'")


def test_keys_are_rotated_without_a_gap(service: Service) -> None:
    device = choose(service, analytics=True)
    linked(service.link(token=device["token"]))
    newer = service.add_link_key()
    assert newer.secret != service.link_key.secret
    for key in (service.link_key, newer):
        assert linked(service.link(user_token=make_user_token(key)))["record"] == device["record"]
    retire_link_key(service.built.database, service.site, service.link_key.number, by=OPERATOR)
    assert refusal(service, make_user_token(service.link_key)) == (
        "Link key 1 is not in use any more; sign with another."
    )
    assert linked(service.link(user_token=make_user_token(newer)))["record"] == device["record"]


def test_rotating_the_services_own_keys_changes_nothing_for_the_site(service: Service) -> None:
    device = choose(service, analytics=True)
    linked(service.link(token=device["token"]))
    rotate(service.settings.keys_file, "token")
    service.use(Keyring).refresh()
    assert linked(service.link(token=device["token"]))["record"] == device["record"]


def test_a_key_whose_origin_is_lost_is_not_in_use(service: Service) -> None:
    user_token = make_user_token(service.link_key)
    service.settings.keys_file.unlink()
    ensure_keys(service.settings.keys_file)
    service.use(Keyring).refresh()
    assert refusal(service, user_token) == "Link key 1 is not in use any more; sign with another."


def test_secrets_and_hashes_are_derived_alike_in_every_version(service: Service) -> None:
    """Or all sites would need new keys, and all users would be unknown."""
    linked(service.link("jane", token=choose(service, analytics=True)["token"]))
    (kept,) = json.loads(service.settings.keys_file.read_bytes())["token"]
    origin = base64_decode(kept["secret"])
    secret = hmac.digest(origin, f"link-key {service.site.id} 1".encode(), "sha256")
    assert service.link_key.secret == f"link_{base64_encode(secret).decode()}"
    key = hmac.digest(origin, b"linked-users", "sha256")
    user = f"{service.tenant.id} {service.site.id} jane"
    (row,) = service.rows("linked_users")
    assert row["user_hash"] == hmac.digest(key, user.encode(), "sha256")


def test_nothing_of_the_user_or_the_secret_is_stored(service: Service) -> None:
    linked(service.link("jane@example.com", token=choose(service, analytics=True)["token"]))
    secret = str(service.link_key.secret)
    for table in ("link_keys", "linked_users", "current_states", "records"):
        kept = repr(service.rows(table))
        assert "jane" not in kept
        assert secret not in kept
        assert secret.removeprefix("link_") not in kept


def test_the_same_user_elsewhere_is_not_told_by_the_hash(service: Service) -> None:
    other = service.add_site("site_other")
    there = service.choose(site_key="site_other").get_json()
    user_token = make_user_token(service.add_link_key(other), site_key="site_other")
    linked(service.link(token=there["token"], user_token=user_token, site_key="site_other"))
    linked(service.link(token=choose(service, analytics=True)["token"]))
    assert len({row["user_hash"] for row in service.rows("linked_users")}) == 2


# The call


@pytest.mark.parametrize(
    "body", [{}, {"user_token": ""}, {"user_token": 7}, {"user_token": "x" * 4097}, {"x": 1}, []]
)
def test_a_body_that_is_not_right_is_explained(untouched: Service, body: Any) -> None:  # noqa: ANN401
    address = f"/v1/sites/{SITE_KEY}/consents/link"
    response = untouched.client.post(address, json=body, headers={"Origin": ORIGIN})
    assert response.status_code == 422
    assert response.get_json()["error"]["code"] == "validation_failed"


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Origin": ""}])
def test_other_pages_cannot_link(service: Service, headers: dict[str, str]) -> None:
    response = service.link(token=choose(service, analytics=True)["token"], headers=headers)
    assert response.status_code == 403
    assert response.get_json()["error"]["code"] == "origin_not_allowed"
    assert service.rows("linked_users") == []


def test_an_unknown_site_is_named(untouched: Service) -> None:
    response = untouched.link(user_token="x", site_key="site_none")
    assert response.status_code == 404
    assert response.get_json()["error"]["code"] == "unknown_site"
