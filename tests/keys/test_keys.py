"""API keys: who makes them, what they open, how one follows another, and what is kept of them."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update
from werkzeug.test import TestResponse

from consent_service import clock
from consent_service.access.actor import OPERATOR
from consent_service.access.models import ApiKeyRow
from consent_service.access.permissions import SCOPES
from consent_service.tenants.service import Tenant, create_tenant
from tests.builders import Service
from tests.members import Member, sign_in

KEYS = "/v1/tenants/example/keys"
SITES = "/v1/tenants/example/sites"


@pytest.fixture
def member(service: Service) -> Member:
    return sign_in(service, "developer")


@pytest.fixture
def hostile(service: Service) -> Tenant:
    return create_tenant(service.built.database, "hostile", "Hostile Ltd", by=OPERATOR)


def make(member: Member, *scopes: str, **body: Any) -> dict[str, Any]:  # noqa: ANN401
    """Make a key; return the answer."""
    sent = {"name": "Pipeline", "scopes": list(scopes or ["sites:read"]), **body}
    answer = member.post(f"/v1/tenants/{member.tenant.slug}/keys", json=sent)
    assert answer.status_code == 201, answer.get_data(as_text=True)
    made: dict[str, Any] = answer.get_json()
    return made


def call(service: Service, secret: str, address: str = SITES, **options: Any) -> TestResponse:  # noqa: ANN401
    headers = {"Authorization": f"Bearer {secret}"}
    return service.client.open(address, headers=headers, **options)


def opens(service: Service, secret: str) -> bool:
    """Say whether a key opens anything."""
    answer = call(service, secret)
    assert answer.status_code in {200, 401}
    return answer.status_code == 200


def let_time_pass(service: Service, key_id: str, **times: Any) -> None:  # noqa: ANN401
    """Have a key be made, or end, at another time than it was."""
    with service.built.database.transaction(service.tenant.id) as connection:
        connection.execute(update(ApiKeyRow).where(ApiKeyRow.id == UUID(key_id)).values(times))


def test_a_key_is_256_random_bits_shown_once_and_stored_as_its_hash(
    service: Service, member: Member
) -> None:
    made = make(member)
    kind, _, random = made["secret"].partition("_")
    assert (kind, len(random)) == ("ck", 43)
    assert len(base64.urlsafe_b64decode(f"{random}=")) == 32
    assert made["secret"].startswith(made["key"]["hint"])
    assert len(made["key"]["hint"]) == 8
    answer = member.get(KEYS)
    assert answer.get_json()["keys"] == [made["key"]]
    for kept in (answer.get_data(as_text=True), *map(str, service.rows("api_keys"))):
        assert random not in kept
    assert random not in json.dumps(service.rows("audit_events"), default=str)


def test_a_key_opens_what_it_was_made_for_and_no_more(service: Service, member: Member) -> None:
    secret = make(member, "sites:read")["secret"]
    assert call(service, secret).status_code == 200
    answer = call(service, secret, method="POST", json={})
    assert answer.status_code == 403
    assert answer.get_json()["error"]["fields"] == {"permission": ["sites:write"]}
    assert call(service, secret, KEYS).status_code == 403
    writer = make(member, "sites:write")["secret"]
    body = {"name": "Shop", "allowed_origins": ["https://shop.example.com"]}
    assert call(service, writer, method="POST", json=body).status_code == 201
    event = service.rows("audit_events")[-1]
    assert event["actor_kind"] == "api_key"


def test_what_is_no_key_opens_nothing(service: Service, member: Member) -> None:
    secret = make(member)["secret"]
    for wrong in ("", "ck_", secret[:-1], secret[3:], secret.upper(), "ck_" + "A" * 43):
        assert not opens(service, wrong)


def test_a_key_of_another_tenant_finds_nothing_here(service: Service, hostile: Tenant) -> None:
    theirs = make(sign_in(service, "owner", hostile), "sites:read")
    assert call(service, theirs["secret"]).status_code == 404
    assert call(service, theirs["secret"], "/v1/tenants/hostile/sites").status_code == 200


def test_nobody_gives_a_key_what_they_lack_themselves(service: Service, member: Member) -> None:
    answer = member.post(KEYS, json={"name": "x", "scopes": ["sites:read", "records:read"]})
    assert answer.status_code == 422
    assert "records:read" in answer.get_json()["error"]["fields"]["scopes"][0]
    owner = sign_in(service, "owner")
    assert make(owner, *SCOPES)["key"]["scopes"] == list(SCOPES)
    for never in ("users:write", "keys:write", "sign_in:write", "everything"):
        assert owner.post(KEYS, json={"name": "x", "scopes": [never]}).status_code == 422


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": "sites:read"}, "scopes"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "2120-01-01T00:00:00"}, "expires_at"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"secret": "ck_mine"}, "secret"),
    ],
)
def test_a_key_that_is_not_right_is_not_made(
    member: Member, wrong: dict[str, Any], field: str
) -> None:
    answer = member.post(KEYS, json={"name": "x", "scopes": ["sites:read"], **wrong})
    assert answer.status_code == 422
    assert list(answer.get_json()["error"]["fields"]) == [field]
    assert member.get(KEYS).get_json() == {"keys": []}


def test_a_key_expires(service: Service, member: Member) -> None:
    later = clock.rfc3339(clock.now() + timedelta(days=1))
    made = make(member, expires_at=later)
    assert made["key"]["expires_at"] == later
    assert opens(service, made["secret"])
    let_time_pass(service, made["key"]["id"], expires_at=clock.now() - timedelta(seconds=1))
    assert not opens(service, made["secret"])
    assert member.get(KEYS).get_json()["keys"][0]["state"] == "expired"


def test_a_key_says_to_the_minute_when_it_was_used_last(service: Service, member: Member) -> None:
    made = make(member)
    assert made["key"]["last_used_at"] is None
    assert opens(service, made["secret"])
    used = member.get(f"{KEYS}/{made['key']['id']}").get_json()["last_used_at"]
    assert used.endswith(":00.000Z")


def test_a_rotated_key_goes_on_for_a_while_and_its_successor_at_once(
    service: Service, member: Member
) -> None:
    old = make(member, "sites:read", "gate:batch")
    answer = member.post(f"{KEYS}/{old['key']['id']}/rotate", json={})
    assert answer.status_code == 201
    new = answer.get_json()
    assert new["secret"] != old["secret"]
    for same in ("name", "scopes"):
        assert new["key"][same] == old["key"][same]
    assert opens(service, old["secret"])
    assert opens(service, new["secret"])
    listed = {key["id"]: key for key in member.get(KEYS).get_json()["keys"]}
    ending = listed[old["key"]["id"]]
    assert (ending["state"], ending["replaced_by"]) == ("ending", new["key"]["id"])
    left = clock.from_rfc3339(ending["expires_at"]) - clock.now()
    assert timedelta(hours=23, minutes=59) < left <= timedelta(hours=24)
    let_time_pass(service, old["key"]["id"], expires_at=clock.now())
    assert not opens(service, old["secret"])
    assert opens(service, new["secret"])


def test_a_key_may_be_replaced_at_once(service: Service, member: Member) -> None:
    old = make(member)
    answer = member.post(f"{KEYS}/{old['key']['id']}/rotate", json={"overlap_hours": 0})
    assert not opens(service, old["secret"])
    assert opens(service, answer.get_json()["secret"])


def test_rotating_never_prolongs_a_key_and_gives_its_successor_the_same_time(
    member: Member,
) -> None:
    for lasts, ends in ((timedelta(hours=1), timedelta(hours=1)), (timedelta(9), timedelta(2))):
        old = make(member, expires_at=clock.rfc3339(clock.now() + lasts))
        address = f"{KEYS}/{old['key']['id']}"
        new = member.post(f"{address}/rotate", json={"overlap_hours": 48}).get_json()
        for key, left in ((new["key"], lasts), (member.get(address).get_json(), ends)):
            found = clock.from_rfc3339(key["expires_at"]) - clock.now()
            assert left - timedelta(minutes=1) < found <= left


def test_a_key_is_rotated_once(service: Service, member: Member) -> None:
    made = make(member)
    address = f"{KEYS}/{made['key']['id']}/rotate"
    assert member.post(address, json={}).status_code == 201
    assert member.post(address, json={}).get_json()["error"]["code"] == "unknown_key"
    assert len(service.rows("api_keys")) == 2


def test_rotating_shows_nobody_a_key_that_may_do_more_than_they(
    service: Service, member: Member
) -> None:
    made = make(sign_in(service, "owner"), "sites:read", "records:read")
    answer = member.post(f"{KEYS}/{made['key']['id']}/rotate", json={})
    assert answer.status_code == 403
    assert answer.get_json()["error"]["fields"] == {"permission": ["records:read"]}
    assert opens(service, made["secret"])


@pytest.mark.parametrize("hours", [-1, 721, 1.5, "1", None])
def test_an_overlap_is_a_number_of_hours(member: Member, hours: object) -> None:
    made = make(member)
    answer = member.post(f"{KEYS}/{made['key']['id']}/rotate", json={"overlap_hours": hours})
    assert list(answer.get_json()["error"]["fields"]) == ["overlap_hours"]


def test_a_revoked_key_opens_nothing_and_stays_so(service: Service, member: Member) -> None:
    made = make(member)
    address = f"{KEYS}/{made['key']['id']}"
    assert member.post(f"{address}/revoke").status_code == 204
    assert not opens(service, made["secret"])
    assert member.get(address).get_json()["state"] == "revoked"
    assert member.post(f"{address}/revoke").status_code == 404
    assert member.post(f"{address}/rotate", json={}).status_code == 404
    said = [event["action"] for event in service.rows("audit_events")]
    assert said[-2:] == ["api_key.created", "api_key.revoked"]


def test_a_key_in_its_last_hours_can_be_revoked(service: Service, member: Member) -> None:
    made = make(member)
    address = f"{KEYS}/{made['key']['id']}"
    member.post(f"{address}/rotate", json={})
    assert member.post(f"{address}/revoke").status_code == 204
    assert not opens(service, made["secret"])


def test_another_tenants_key_is_as_one_that_does_not_exist(
    service: Service, member: Member, hostile: Tenant
) -> None:
    made = make(member)
    other = sign_in(service, "owner", hostile)
    for method, ending in (("get", ""), ("post", "/rotate"), ("post", "/revoke")):
        body: dict[str, Any] = {"json": {}} if ending == "/rotate" else {}
        answers = [
            getattr(other, method)(f"/v1/tenants/hostile/keys/{key_id}{ending}", **body)
            for key_id in (made["key"]["id"], clock.new_id())
        ]
        assert {answer.status_code for answer in answers} == {404}
        assert answers[0].data == answers[1].data
    assert other.get("/v1/tenants/hostile/keys").get_json() == {"keys": []}
    assert opens(service, made["secret"])


def test_making_and_ending_keys_needs_the_role_and_a_fresh_proof(
    service: Service, member: Member
) -> None:
    made = make(member)
    address = f"{KEYS}/{made['key']['id']}"
    body = {"name": "x", "scopes": ["sites:read"]}
    calls: list[tuple[str, Any]] = [
        (KEYS, body),
        (f"{address}/rotate", {}),
        (f"{address}/revoke", None),
    ]
    auditor = sign_in(service, "auditor")
    assert auditor.get(KEYS).status_code == 200
    assert sign_in(service, "analyst").get(KEYS).status_code == 403
    for where, sent in calls:
        answer = auditor.post(where, json=sent)
        assert answer.get_json()["error"]["fields"] == {"permission": ["keys:write"]}
    member.prove_long_ago()
    for where, sent in calls:
        answer = member.post(where, json=sent)
        assert answer.get_json()["error"]["code"] == "reauthentication_required"
    assert [key["state"] for key in member.get(KEYS).get_json()["keys"]] == ["in_use"]
