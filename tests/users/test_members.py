"""Who has access to a tenant, as what, and how that ends."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pyotp
import pytest

from consent_service.access import members
from consent_service.access.actor import OPERATOR, Actor
from consent_service.access.permissions import permissions_of
from consent_service.db import Database
from consent_service.errors import LastOwner, PermissionMissing, ServiceError
from consent_service.tenants.service import create_tenant
from tests.builders import Service
from tests.members import add_member, sign_in

USERS = "/v1/tenants/example/users"


def test_members_are_listed_with_what_they_are(service: Service) -> None:
    owner = sign_in(service, "owner", name="Zawadi", email="zawadi@example.com")
    add_member(service, "analyst", name="Baraka", email="baraka@example.com")
    first, second = owner.get(USERS).get_json()["users"]
    assert (first["name"], first["email"], first["role"]) == (
        "Baraka",
        "baraka@example.com",
        "analyst",
    )
    assert first["last_seen_at"] is None
    assert first["second_factor"] is False
    assert second["id"] == str(owner.user_id)
    assert second["last_seen_at"].endswith("Z")


def test_a_second_factor_is_listed_once_it_is_set_up(service: Service) -> None:
    owner = sign_in(service)
    totp = owner.post("/v1/account/totp").get_json()
    assert owner.get(USERS).get_json()["users"][0]["second_factor"] is False
    code = pyotp.TOTP(totp["secret"]).now()
    assert (
        owner.put("/v1/account/totp", json={"step": totp["step"], "code": code}).status_code == 204
    )
    assert owner.get(USERS).get_json()["users"][0]["second_factor"] is True


@pytest.mark.parametrize("role", ["dpo", "auditor"])
def test_who_may_see_members_may_not_change_them(service: Service, role: str) -> None:
    sign_in(service)
    watcher = sign_in(service, role)
    other = add_member(service, "analyst")
    assert watcher.get(USERS).status_code == 200
    for answer in (
        watcher.patch(f"{USERS}/{other.user_id}", json={"role": "owner"}),
        watcher.delete(f"{USERS}/{other.user_id}"),
        watcher.patch(f"{USERS}/{watcher.user_id}", json={"role": "owner"}),
    ):
        assert answer.status_code == 403
        assert answer.get_json()["error"]["fields"] == {"permission": ["users:write"]}


@pytest.mark.parametrize("role", ["developer", "analyst"])
def test_who_may_not_see_members_sees_none(service: Service, role: str) -> None:
    refused = sign_in(service, role).get(USERS)
    assert refused.status_code == 403
    assert refused.get_json()["error"]["fields"] == {"permission": ["users:read"]}


def test_another_tenants_members_are_as_good_as_not_there(service: Service) -> None:
    owner = sign_in(service)
    other = create_tenant(service.built.database, "other", "Other Ltd", by=OPERATOR)
    theirs = add_member(service, "owner", other)
    nobody = "019cb0f4-2a40-7c3e-9d5a-6f1f0e3b7c21"
    assert owner.get("/v1/tenants/other/users").data == owner.get("/v1/tenants/none/users").data
    for user_id in (str(theirs.user_id), nobody):
        for answer in (
            owner.patch(f"{USERS}/{user_id}", json={"role": "auditor"}),
            owner.delete(f"{USERS}/{user_id}"),
        ):
            assert answer.status_code == 404
            assert answer.get_json()["error"]["code"] == "unknown_user"
    assert [user["id"] for user in owner.get(USERS).get_json()["users"]] == [str(owner.user_id)]


def test_a_new_role_holds_from_the_next_call_on(service: Service) -> None:
    owner, analyst = sign_in(service), sign_in(service, "analyst")
    assert analyst.get(USERS).status_code == 403
    changed = owner.patch(f"{USERS}/{analyst.user_id}", json={"role": "auditor"})
    assert changed.status_code == 200
    assert changed.get_json()["role"] == "auditor"
    assert analyst.get(USERS).status_code == 200


def test_access_that_has_ended_opens_nothing_from_the_next_call_on(service: Service) -> None:
    owner, dpo = sign_in(service), sign_in(service, "dpo")
    assert dpo.get(USERS).status_code == 200
    assert owner.delete(f"{USERS}/{dpo.user_id}").status_code == 204
    assert dpo.get(USERS).status_code == 404
    assert owner.delete(f"{USERS}/{dpo.user_id}").status_code == 404
    assert [user["id"] for user in owner.get(USERS).get_json()["users"]] == [str(owner.user_id)]
    # It is kept, so that the log can name who it was.
    ended = [row["ended_at"] for row in service.rows("memberships")]
    assert sum(at is not None for at in ended) == 1


def test_the_last_owner_stays(service: Service) -> None:
    owner = sign_in(service)
    for answer in (
        owner.patch(f"{USERS}/{owner.user_id}", json={"role": "dpo"}),
        owner.delete(f"{USERS}/{owner.user_id}"),
    ):
        assert answer.status_code == 409
        assert answer.get_json()["error"]["code"] == "last_owner"
    add_member(service, "owner")
    assert owner.patch(f"{USERS}/{owner.user_id}", json={"role": "dpo"}).status_code == 200


def test_an_owner_of_another_tenant_does_not_count_as_one(service: Service) -> None:
    owner = sign_in(service)
    add_member(service, "owner", create_tenant(service.built.database, "o", "Other", by=OPERATOR))
    assert owner.delete(f"{USERS}/{owner.user_id}").status_code == 409


def test_two_owners_who_demote_each_other_do_not_both_succeed(service: Service) -> None:
    first, second = add_member(service, "owner"), add_member(service, "owner")
    database = service.use(Database)
    outcomes: list[str] = []
    ready = threading.Barrier(2)

    def demote(whom: object, by: Actor) -> None:
        ready.wait()
        try:
            members.change_role(database, service.tenant.id, whom, "dpo", by=by)  # type: ignore[arg-type]
            outcomes.append("done")
        except LastOwner:
            outcomes.append("last owner")

    threads = [
        threading.Thread(target=demote, args=[second.user_id, first.actor]),
        threading.Thread(target=demote, args=[first.user_id, second.actor]),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["done", "last owner"]


def test_nobody_gives_more_than_they_have(service: Service) -> None:
    add_member(service, "owner")
    analyst = add_member(service, "analyst")
    deputy = Actor("user", analyst.user_id, permissions_of("dpo") | {"users:write"})
    change: Callable[[str], None] = lambda role: members.change_role(  # noqa: E731
        service.use(Database), service.tenant.id, analyst.user_id, role, by=deputy
    )
    with pytest.raises(PermissionMissing):
        change("owner")
    with pytest.raises(PermissionMissing):
        change("developer")
    change("dpo")


def test_there_are_five_roles_and_no_other(service: Service) -> None:
    owner, other = sign_in(service), add_member(service, "analyst")
    refused = owner.patch(f"{USERS}/{other.user_id}", json={"role": "admin"})
    assert refused.status_code == 422
    assert "role" in refused.get_json()["error"]["fields"]
    with pytest.raises(ServiceError, match="Some fields"):
        members.change_role(
            service.use(Database), service.tenant.id, other.user_id, "admin", by=owner.actor
        )


def test_changing_who_has_access_needs_a_fresh_proof(service: Service) -> None:
    owner, other = sign_in(service), add_member(service, "analyst")
    owner.prove_long_ago()
    assert owner.get(USERS).status_code == 200
    for answer in (
        owner.patch(f"{USERS}/{other.user_id}", json={"role": "dpo"}),
        owner.delete(f"{USERS}/{other.user_id}"),
        owner.post("/v1/tenants/example/invitations", json={"email": "a@b.c", "role": "dpo"}),
    ):
        assert answer.get_json()["error"]["code"] == "reauthentication_required"


def test_changes_stand_in_the_audit_log_without_an_address(service: Service) -> None:
    owner = sign_in(service)
    other = add_member(service, "analyst", email="baraka@example.com")
    owner.patch(f"{USERS}/{other.user_id}", json={"role": "analyst"})
    owner.patch(f"{USERS}/{other.user_id}", json={"role": "dpo"})
    owner.delete(f"{USERS}/{other.user_id}")
    events = [row for row in service.rows("audit_events") if row["object_kind"] == "user"]
    assert [row["action"] for row in events] == ["user.role_changed", "user.access_ended"]
    assert {row["object_id"] for row in events} == {str(other.user_id)}
    assert "analyst" in str(events[0]["before"])
    assert "dpo" in str(events[0]["after"])
    assert "baraka" not in str(events)
