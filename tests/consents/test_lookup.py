"""Looking records of visitors up: what is found, by whom, and that each look is logged."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert, select

from consent_service import clock
from consent_service.access.actor import OPERATOR
from consent_service.consents.models import RecordRow
from consent_service.tenants.service import Tenant, create_tenant
from tests.builders import ORIGIN, SITE_KEY, Service
from tests.members import Member, sign_in

HERE = "/v1/tenants/example"


@pytest.fixture
def dpo(service: Service) -> Member:
    return sign_in(service, "dpo")


@pytest.fixture
def hostile(service: Service) -> Tenant:
    return create_tenant(service.built.database, "hostile", "Hostile Ltd", by=OPERATOR)


def look(member: Member, address: str) -> dict[str, Any]:
    answer = member.get(f"{HERE}/{address}")
    assert answer.status_code == 200, answer.get_data(as_text=True)
    found: dict[str, Any] = answer.get_json()
    return found


def visitor(member: Member, visitor_id: str) -> dict[str, Any]:
    return look(member, f"sites/{SITE_KEY}/visitors/{visitor_id}")


def looks(service: Service) -> list[tuple[str, str]]:
    return [
        (event["object_kind"], event["object_id"])
        for event in service.rows("audit_events")
        if event["action"] == "record.read"
    ]


def erase(service: Service, token: str) -> None:
    headers = {"Origin": ORIGIN, "X-Consent-Token": token}
    address = f"/v1/sites/{SITE_KEY}/consents/me"
    assert service.client.delete(address, headers=headers).status_code == 200


def test_a_record_is_found_with_its_signature_its_neighbours_and_its_receipt(
    service: Service, dpo: Member
) -> None:
    made = service.choose().get_json()
    first = made["record"]
    second = service.choose(token=made["token"]).get_json()["record"]
    third = service.choose(token=made["token"]).get_json()["record"]
    found = look(dpo, f"records/{second['id']}")
    assert found["record"] == second
    assert (found["site_key"], found["erased_at"]) == (SITE_KEY, None)
    assert found["signature_valid"] is True
    assert (found["previous_id"], found["next_id"]) == (first["id"], third["id"])
    receipt = service.client.get(found["receipt_url"]).get_json()
    assert (receipt["record"], receipt["signature"]) == (second, found["signature"])
    ends = [look(dpo, f"records/{end['id']}") for end in (first, third)]
    assert [end["previous_id"] for end in ends] == [None, second["id"]]
    assert [end["next_id"] for end in ends] == [second["id"], None]


def test_a_look_is_logged_with_who_looked_at_what(service: Service, dpo: Member) -> None:
    record = service.choose().get_json()["record"]
    look(dpo, f"records/{record['id']}")
    visitor(dpo, record["visitor_id"])
    assert looks(service) == [
        ("record", record["id"]),
        ("visitor", f"{SITE_KEY} {record['visitor_id']}"),
    ]
    actors = {str(event["actor_id"]) for event in service.rows("audit_events")[-2:]}
    assert {actor.replace("-", "") for actor in actors} == {dpo.user_id.hex}
    assert dpo.get(f"{HERE}/records/{clock.new_id()}").status_code == 404
    assert len(looks(service)) == 2


def test_a_record_that_is_not_as_it_was_signed_does_not_verify(
    service: Service, dpo: Member
) -> None:
    refusal = {"analytics": False, "preferences": False}
    assert service.choose(refusal).status_code == 201
    forged = clock.new_id()
    with service.built.database.transaction(service.tenant.id) as connection:
        row = connection.execute(select(RecordRow.__table__)).one()._asdict()
        document = row["document"].replace('"analytics":false', '"analytics":true')
        connection.execute(insert(RecordRow), {**row, "id": forged, "document": document})
    found = look(dpo, f"records/{forged}")
    assert found["record"]["choices"]["analytics"] is True
    assert found["signature_valid"] is False


def test_an_erased_record_says_that_it_was_and_nothing_else(service: Service, dpo: Member) -> None:
    made = service.choose().get_json()
    record = made["record"]
    erase(service, made["token"])
    found = look(dpo, f"records/{record['id']}")
    assert found["erased_at"] is not None
    assert (found["site_key"], found["created_at"]) == (SITE_KEY, record["created_at"])
    for emptied in (
        "record",
        "signature",
        "signature_valid",
        "key_revoked",
        "previous_id",
        "next_id",
        "receipt_url",
    ):
        assert found[emptied] is None, emptied
    held = visitor(dpo, record["visitor_id"])
    assert (held["erased"], held["records"], held["choices"]) == (True, [], {})


def test_a_visitor_is_found_with_what_holds_and_all_that_was_chosen(
    service: Service, dpo: Member
) -> None:
    made = service.choose().get_json()
    newest = service.choose(
        {"analytics": False, "preferences": False}, token=made["token"]
    ).get_json()["record"]
    found = visitor(dpo, newest["visitor_id"])
    assert found == {
        "visitor_id": newest["visitor_id"],
        "site_key": SITE_KEY,
        "merged_into": None,
        "linked": False,
        "erased": False,
        "choices": {"analytics": "withdrawn", "preferences": "refused"},
        "expires_at": found["expires_at"],
        "records": [newest, made["record"]],
    }


def test_a_visitor_who_was_merged_is_found_as_whoever_stands_for_them(
    service: Service, dpo: Member
) -> None:
    first, second = service.choose().get_json(), service.choose().get_json()
    for made in (first, second):
        assert service.link("user-1", token=made["token"]).status_code == 200
    merged, stands = second["record"]["visitor_id"], first["record"]["visitor_id"]
    found = visitor(dpo, merged)
    assert (found["merged_into"], found["linked"]) == (stands, True)
    assert [record["visitor_id"] for record in found["records"]] == [stands, merged]


def test_only_who_may_read_records_looks_them_up(service: Service) -> None:
    record = service.choose().get_json()["record"]
    for role, status in (
        ("owner", 200),
        ("dpo", 200),
        ("auditor", 200),
        ("developer", 403),
        ("analyst", 403),
    ):
        member = sign_in(service, role)
        for address in (
            f"{HERE}/records/{record['id']}",
            f"{HERE}/sites/{SITE_KEY}/visitors/{record['visitor_id']}",
        ):
            answer = member.get(address)
            assert answer.status_code == status, role
            if status == 403:
                assert answer.get_json()["error"]["fields"] == {"permission": ["records:read"]}
    assert len(looks(service)) == 6


def test_another_tenants_record_and_visitor_are_as_ones_that_do_not_exist(
    service: Service, hostile: Tenant
) -> None:
    record = service.choose().get_json()["record"]
    service.add_site("site_other", hostile)
    other = sign_in(service, "owner", hostile)
    theirs = "/v1/tenants/hostile"
    for real, made_up in (
        (f"{theirs}/records/{record['id']}", f"{theirs}/records/{clock.new_id()}"),
        (
            f"{theirs}/sites/site_other/visitors/{record['visitor_id']}",
            f"{theirs}/sites/site_other/visitors/{clock.new_visitor_id()}",
        ),
        (
            f"{theirs}/sites/{SITE_KEY}/visitors/{record['visitor_id']}",
            f"{theirs}/sites/site_nobody/visitors/{record['visitor_id']}",
        ),
    ):
        answers = [other.get(real), other.get(made_up)]
        assert {answer.status_code for answer in answers} == {404}
        assert answers[0].data == answers[1].data
    assert looks(service) == []


def test_a_visitor_nobody_has_heard_of_is_not_found(dpo: Member) -> None:
    for visitor_id in (clock.new_visitor_id(), "x", "%00", "x" * 500):
        answer = dpo.get(f"{HERE}/sites/{SITE_KEY}/visitors/{visitor_id}")
        assert answer.status_code == 404, visitor_id
