"""What must be kept by order is not erased, whoever asks, and visitors are told so."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier, Event
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from consent_service import clock
from consent_service.access.actor import OPERATOR
from consent_service.consents import holds
from consent_service.consents import service as consents_service
from consent_service.consents.holds import Order, find_hold, lift_hold, list_holds, place_hold
from consent_service.db import Database, Scope
from consent_service.errors import UnknownHold, ValidationFailed
from consent_service.tenants.service import Site, create_tenant
from tests.builders import ORIGIN, SITE_KEY, Service
from tests.consents.test_models import BURY
from tests.members import sign_in

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

ME = f"/v1/sites/{SITE_KEY}/consents/me"
HOLDS = "/v1/tenants/example/holds"
REASON = "A court has ordered us to keep all records of March."
ORDER: dict[str, Any] = {
    "authority": "High Court, Dar es Salaam",
    "reference": "Misc. 12/2026",
    "reason": REASON,
}

#: What erasing touches.
TABLES = ("records", "tombstones", "current_states", "linked_users", "pending_leaves")


def place(service: Service, site: Site | None = None, visitor_id: str | None = None) -> UUID:
    order = Order(**ORDER, site=site, visitor_id=visitor_id)
    return place_hold(service.built.database, service.tenant.id, order, by=OPERATOR).id


def lift(service: Service, hold_id: UUID) -> None:
    lift_hold(service.built.database, service.tenant.id, hold_id, reason="Over.", by=OPERATOR)


def erase(service: Service, token: str) -> TestResponse:
    headers = {"Origin": ORIGIN, "X-Consent-Token": token}
    return service.client.delete(ME, headers=headers)


def stored(service: Service) -> dict[str, list[dict[str, Any]]]:
    return {name: service.rows(name) for name in TABLES}


def two_devices(service: Service) -> tuple[str, str, str, str]:
    """Return the ids and newest tokens of a user's visitor, and of one who was merged into it."""
    first = service.choose().get_json()
    kept = service.link(token=first["token"]).get_json()
    second = service.choose().get_json()
    merged = service.link(token=second["token"]).get_json()
    ids = (first["record"]["visitor_id"], second["record"]["visitor_id"])
    return *ids, kept["token"] or first["token"], merged["token"]


def test_nothing_is_erased_while_a_hold_covers_the_visitor(service: Service) -> None:
    user, merged, *tokens = two_devices(service)
    cover: dict[str, Callable[[], UUID]] = {
        "the tenant": lambda: place(service),
        "the site": lambda: place(service, service.site),
        "the visitor": lambda: place(service, service.site, user),
        "a visitor who was merged into it": lambda: place(service, service.site, merged),
    }
    for what, placed in cover.items():
        hold_id = placed()
        before = stored(service)
        for token in tokens:
            response = erase(service, token)
            assert response.status_code == 409, what
            assert response.get_json()["error"]["code"] == "legal_hold", what
            assert "Set-Cookie" not in response.headers, what
        assert stored(service) == before, what
        lift(service, hold_id)
    assert erase(service, tokens[0]).get_json()["erased_records"] == 2
    assert {row["document"] for row in service.rows("records")} == {None}


def test_the_visitor_is_told_why_and_since_when_and_whom_to_ask(service: Service) -> None:
    token = service.token()
    hold_id = place(service)
    answer = erase(service, token).get_json()
    (hold,) = list_holds(service.built.database, service.tenant.id)
    at = clock.rfc3339(hold.placed_at)
    assert answer["hold"] == {
        "reason": REASON,
        "placed_at": at,
        "contact": {
            "name": "Data Protection Officer",
            "email": "dpo@example.com",
            "address": "Dar es Salaam, Tanzania",
        },
    }
    message = answer["error"]["message"]
    for told in ("Nothing was erased", REASON, at[:10], "dpo@example.com", "Cap. 44", "section 59"):
        assert told in message
    # Who has ordered it under which number is between the controller and the authority.
    for kept in ("High Court", "12/2026", str(hold_id)):
        assert kept not in json.dumps(answer)


def test_a_hold_is_on_what_it_names_and_ends_when_it_is_lifted(service: Service) -> None:
    mine, other = service.choose().get_json(), service.choose().get_json()
    elsewhere = create_tenant(service.built.database, "foreign", "Foreign Ltd", by=OPERATOR)
    service.add_site("site_other")
    theirs = service.choose(site_key="site_other").get_json()
    place_hold(service.built.database, elsewhere.id, Order(**ORDER), by=OPERATOR)
    lift(service, place(service))
    place(service, service.site, other["record"]["visitor_id"])
    assert erase(service, mine["token"]).status_code == 200
    assert erase(service, other["token"]).status_code == 409
    there = service.client.delete(
        "/v1/sites/site_other/consents/me",
        headers={"Origin": ORIGIN, "X-Consent-Token": theirs["token"]},
    )
    assert there.status_code == 200


def test_a_hold_ends_only_by_being_lifted(service: Service, owner: Database) -> None:
    token = service.token()
    place(service)
    before = service.rows("legal_holds")
    told = "a legal hold is only lifted|legal.holds are never|permission denied"
    statements = [
        "UPDATE legal_holds SET reason = 'another'",
        "UPDATE legal_holds SET tenant_id = site_id",
        "UPDATE legal_holds SET visitor_id = 'vis_nobody'",
        "UPDATE legal_holds SET lifted_at = '2026-03-01 00:00:00', authority = 'Nobody'",
        "UPDATE legal_holds SET lifted_at = NULL",
        "DELETE FROM legal_holds",
    ]
    if service.on_postgresql:
        statements.append("TRUNCATE legal_holds")
    for statement in statements:
        for database in (service.built.database, owner):
            with pytest.raises(DBAPIError, match=told):
                run(database, service, statement)
    assert service.rows("legal_holds") == before
    assert erase(service, token).status_code == 409
    run(
        service.built.database,
        service,
        "UPDATE legal_holds SET lifted_at = '2026-03-01 00:00:00'",
    )
    with pytest.raises(DBAPIError, match=told):
        run(owner, service, "UPDATE legal_holds SET lifted_at = NULL")


def run(database: Database, service: Service, statement: str) -> None:
    with database.transaction(service.tenant.id) as connection:
        connection.execute(text(statement))


def test_the_database_itself_erases_nothing_under_a_hold(service: Service, owner: Database) -> None:
    _, merged, *_ = two_devices(service)
    hold_id = place(service, service.site, merged)
    before = stored(service)
    # Of the other's records too: both are one person.
    of_others = f"{BURY} WHERE visitor_id <> '{merged}'"
    for statement in (BURY, of_others):
        for database in (service.built.database, owner):
            with pytest.raises(DBAPIError, match="a record under a legal hold is not erased"):
                run(database, service, statement)
    assert stored(service) == before
    lift(service, hold_id)
    run(service.built.database, service, BURY)


def test_a_hold_that_is_placed_at_the_last_moment_counts(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = service.token()
    looked: Any = holds.hold_on
    tries = []

    def too_early(*asked: Any) -> Any:  # noqa: ANN401
        tries.append(asked)
        return looked(*asked) if len(tries) > 1 else None

    place(service)
    before = stored(service)
    monkeypatch.setattr(consents_service, "hold_on", too_early)
    response = erase(service, token)
    assert (response.status_code, len(tries)) == (409, 2)
    assert response.get_json()["error"]["code"] == "legal_hold"
    assert stored(service) == before
    assert len(events(service, "erasure.refused")) == 1


def waits(database: Database) -> bool:
    """Say whether somebody waits for a hold or an erasure."""
    query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with database.reading(Scope.NONE) as connection:
        return bool(connection.execute(text(query)).scalar_one())


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_who_erases_waits_for_a_hold_that_is_being_placed(service: Service) -> None:
    token = service.token()
    with (
        ThreadPoolExecutor(1) as pool,
        service.built.database.transaction(service.tenant.id) as connection,
    ):
        connection.execute(
            text(
                "INSERT INTO legal_holds (id, tenant_id, authority, reference, reason, placed_at) "
                "VALUES (gen_random_uuid(), :tenant, 'a', 'b', 'c', now())"
            ),
            {"tenant": service.tenant.id},
        )
        answer = pool.submit(erase, service, token)
        while not waits(service.built.database):
            assert not answer.done()
        connection.commit()
        assert answer.result().status_code == 409


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_who_places_a_hold_waits_for_what_is_being_erased(service: Service) -> None:
    service.token()
    with (
        ThreadPoolExecutor(1) as pool,
        service.built.database.transaction(service.tenant.id) as connection,
    ):
        connection.execute(text(BURY))
        placed = pool.submit(place, service)
        while not waits(service.built.database):
            assert not placed.done()
        connection.commit()
        placed.result()
    (record,) = service.rows("records")
    assert record["document"] is None


def test_erasing_twice_at_once_erases_once(service: Service) -> None:
    token = service.token()
    together = Barrier(2)

    def at_once() -> int:
        together.wait()
        return erase(service, token).status_code

    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(at_once) for _ in range(2)]
        assert sorted(answer.result() for answer in answers) == [200, 404]
    assert len(service.rows("tombstones")) == 1


def test_what_is_recorded_while_the_visitor_is_erased_is_erased_or_a_new_visitors(
    service: Service,
) -> None:
    answer = service.choose().get_json()
    erased = Event()

    def go_on_choosing() -> None:
        while not erased.is_set():
            assert service.choose(token=answer["token"]).status_code == 201

    with ThreadPoolExecutor(2) as pool:
        choosing = pool.submit(go_on_choosing)
        while len(service.rows("records")) < 3:
            assert not choosing.done()
        told = pool.submit(erase, service, answer["token"]).result()
        erased.set()
        choosing.result()
    assert told.status_code == 200
    left = [row for row in service.rows("records") if row["document"]]
    assert answer["record"]["visitor_id"] not in repr(left)
    emptied = {str(row["id"]) for row in service.rows("records") if not row["document"]}
    assert emptied == {str(row["record_id"]) for row in service.rows("tombstones")}
    assert len(emptied) == told.get_json()["erased_records"]


def events(service: Service, action: str) -> list[dict[str, Any]]:
    """Return what the audit log has of an action."""
    return [row for row in service.rows("audit_events") if row["action"] == action]


def test_the_audit_log_tells_who_placed_and_lifted_and_that_an_erasure_was_refused(
    service: Service,
) -> None:
    dpo = sign_in(service, "dpo")
    answer = service.choose().get_json()
    visitor_id = answer["record"]["visitor_id"]
    asked = {**ORDER, "site": SITE_KEY, "visitor_id": visitor_id}
    made = dpo.post(HOLDS, json=asked).get_json()
    erase(service, answer["token"])
    lifted = dpo.post(f"{HOLDS}/{made['id']}/lift", json={"reason": "The court has decided."})
    assert lifted.status_code == 200
    auditor = sign_in(service, "auditor")
    log = auditor.get("/v1/tenants/example/audit").get_json()["events"]
    told = [
        (each["action"], each["actor_kind"], each["actor_id"], each["after"])
        for each in log
        if each["object_kind"] == "legal_hold" and each["object_id"] == made["id"]
    ]
    assert told == [
        ("hold.lifted", "user", str(dpo.user_id), {"reason": "The court has decided."}),
        ("erasure.refused", "visitor", None, {"site": SITE_KEY}),
        (
            "hold.placed",
            "user",
            str(dpo.user_id),
            {"site": SITE_KEY, "one_visitor": True, **ORDER},
        ),
    ]
    # The log is for good, and the visitor may be erased one day.
    assert visitor_id not in json.dumps(log)
    visitors = auditor.get("/v1/tenants/example/audit?actor=visitor").get_json()["events"]
    assert [each["action"] for each in visitors] == ["erasure.refused"]


def test_holds_are_listed_with_those_in_force_first(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    dpo = sign_in(service, "dpo")
    start, made = clock.now(), []
    for minute in range(4):
        monkeypatch.setattr(clock, "now", lambda minute=minute: start + timedelta(minutes=minute))
        made.append(dpo.post(HOLDS, json=ORDER).get_json())
    assert made[0] | ORDER == made[0]
    for minute, number in ((10, 2), (11, 0)):
        monkeypatch.setattr(clock, "now", lambda minute=minute: start + timedelta(minutes=minute))
        dpo.post(f"{HOLDS}/{made[number]['id']}/lift", json={"reason": "Over."})
    listed = sign_in(service, "auditor").get(HOLDS).get_json()["holds"]
    assert [each["id"] for each in listed] == [made[number]["id"] for number in (3, 1, 0, 2)]
    assert [bool(each["lifted_at"]) for each in listed] == [False, False, True, True]
    assert listed[0] == made[3]
    again = dpo.post(f"{HOLDS}/{made[0]['id']}/lift", json={"reason": "Over."})
    assert (again.status_code, again.get_json()["error"]["code"]) == (404, "unknown_hold")
    database, tenant_id = service.built.database, service.tenant.id
    assert find_hold(database, tenant_id, UUID(made[3]["id"])).reason == REASON
    with pytest.raises(UnknownHold):
        find_hold(database, tenant_id, UUID(made[0]["id"]))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"authority": "  "}, "authority"),
        ({"authority": "x" * 201}, "authority"),
        ({"reference": "12\n13"}, "reference"),
        ({"reference": ""}, "reference"),
        ({"reason": "A court\x00."}, "reason"),
        ({"reason": "\u2028"}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"visitor_id": "vis_somebody"}, "site"),
        ({"site": SITE_KEY, "visitor_id": "vis_nobody"}, "visitor_id"),
        ({"site": SITE_KEY, "visitor_id": ""}, "visitor_id"),
        ({"number": 1}, "number"),
    ],
)
def test_a_hold_that_is_not_right_is_not_placed(
    untouched: Service, changes: dict[str, Any], field: str
) -> None:
    response = sign_in(untouched).post(HOLDS, json={**ORDER, **changes})
    assert response.status_code == 422
    assert list(response.get_json()["error"]["fields"]) == [field]
    assert untouched.rows("legal_holds") == []
    if not isinstance(changes.get("number"), int):
        told = {"site": None, "visitor_id": None, **ORDER, **changes}
        site = untouched.site if told.pop("site") else None
        with pytest.raises(ValidationFailed) as refused:
            place_hold(
                untouched.built.database, untouched.tenant.id, Order(**told, site=site), by=OPERATOR
            )
        assert list(refused.value.fields or ()) == [field]
