"""Setting sites up over HTTP: who may, what is refused, and what is left behind."""

from __future__ import annotations

import json
from typing import Any

import pytest

from consent_service.access.actor import OPERATOR
from consent_service.tenants.service import Tenant, create_tenant
from tests.builders import ORIGIN, SITE_KEY, Service
from tests.members import sign_in

HERE = "/v1/tenants/example"
SITE = f"{HERE}/sites/{SITE_KEY}"
UNCHANGED: dict[str, Any] = {
    "site_key": SITE_KEY,
    "name": "App",
    "allowed_origins": [ORIGIN],
    "cookie_domain": None,
    "regime_overrides": {},
    "time_zone": "Africa/Dar_es_Salaam",
    "revision": 1,
}


@pytest.fixture
def hostile(service: Service) -> Tenant:
    """Another tenant, with a site of its own."""
    tenant = create_tenant(service.built.database, "hostile", "Hostile Ltd", by=OPERATOR)
    service.add_site("site_other", tenant)
    return tenant


def events(service: Service, action: str) -> list[dict[str, Any]]:
    """Return the audit events of a kind, before and after as JSON values."""
    found = []
    for event in service.rows("audit_events"):
        if event["action"] == action:
            for side in ("before", "after"):
                if isinstance(event[side], str):
                    event[side] = json.loads(event[side])
            found.append(event)
    return found


def test_a_member_reads_what_the_tenant_is_and_has(service: Service) -> None:
    member = sign_in(service, "analyst")
    assert member.get(HERE).get_json() == {"slug": "example", "name": "Example Ltd"}
    assert member.get(f"{HERE}/sites").get_json() == {"sites": [UNCHANGED]}
    assert member.get(SITE).get_json() == UNCHANGED


def test_a_site_is_made_and_its_maker_is_named(service: Service) -> None:
    member = sign_in(service, "developer")
    sent = {
        "name": "Shop",
        "allowed_origins": ["https://shop.example.com"],
        "cookie_domain": "example.com",
        "regime_overrides": {"GB": "opt_out"},
        "time_zone": "Europe/London",
    }
    answer = member.post(f"{HERE}/sites", json=sent)
    assert answer.status_code == 201
    made = answer.get_json()
    assert made == {**sent, "site_key": made["site_key"], "revision": 1}
    assert member.get(f"{HERE}/sites/{made['site_key']}").get_json() == made
    event = events(service, "site.created")[-1]
    assert str(event["actor_id"]).replace("-", "") == member.user_id.hex
    assert event["after"] == sent
    assert (event["network"], event["object_id"]) == ("192.0.2.0/24", made["site_key"])


def test_a_change_is_served_to_visitors_and_logged_with_what_was_before(service: Service) -> None:
    member = sign_in(service, "developer")
    changes = {
        "allowed_origins": ["https://new.example.com"],
        "name": "App",
        "time_zone": "Africa/Nairobi",
    }
    answer = member.patch(SITE, json={"revision": 1, **changes})
    assert answer.get_json() == {**UNCHANGED, **changes, "revision": 2}
    service.built.followers.refresh()
    assert service.choose().status_code == 403
    assert service.choose(headers={"Origin": "https://new.example.com"}).status_code == 201
    (event,) = events(service, "site.updated")
    before = {"allowed_origins": [ORIGIN], "time_zone": "Africa/Dar_es_Salaam"}
    assert event["before"] == before
    assert event["after"] == {name: changes[name] for name in before}


def test_a_change_to_an_older_revision_gets_both_versions(service: Service) -> None:
    first, second = sign_in(service, "developer"), sign_in(service, "owner")
    assert first.patch(SITE, json={"revision": 1, "name": "First"}).status_code == 200
    answer = second.patch(SITE, json={"revision": 1, "name": "Second"})
    assert answer.status_code == 409
    body = answer.get_json()
    assert body["error"]["code"] == "stale"
    assert body["current"] == {**UNCHANGED, "name": "First", "revision": 2}
    assert body["sent"] == {**UNCHANGED, "name": "Second", "revision": 1}
    assert first.get(SITE).get_json()["name"] == "First"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"name": None}, "name"),
        ({"allowed_origins": []}, "allowed_origins"),
        ({"allowed_origins": ["app.example.com"]}, "allowed_origins"),
        ({"allowed_origins": ORIGIN}, "allowed_origins"),
        ({"cookie_domain": "com"}, "cookie_domain"),
        ({"regime_overrides": {"ZZ": "opt_in"}}, "regime_overrides"),
        ({"regime_overrides": {"GB": "maybe"}}, "regime_overrides"),
        ({"time_zone": "Dar es Salaam"}, "time_zone"),
        ({"time_zone": "+03:00"}, "time_zone"),
        ({"time_zone": ""}, "time_zone"),
        ({"site_key": "site_mine"}, "site_key"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_changed(
    service: Service, wrong: dict[str, Any], field: str
) -> None:
    member = sign_in(service, "developer")
    whole = {"name": "Shop", "allowed_origins": [ORIGIN], **wrong}
    for answer in (
        member.post(f"{HERE}/sites", json=whole),
        member.patch(SITE, json={"revision": 1, **wrong}),
    ):
        assert answer.status_code == 422, answer.get_data(as_text=True)
        assert list(answer.get_json()["error"]["fields"]) == [field]
    assert member.get(f"{HERE}/sites").get_json() == {"sites": [UNCHANGED]}


def test_a_change_says_which_revision_it_is_made_to(service: Service) -> None:
    answer = sign_in(service, "developer").patch(SITE, json={"name": "Shop"})
    assert list(answer.get_json()["error"]["fields"]) == ["revision"]


def test_who_may_only_read_changes_nothing(service: Service) -> None:
    for role in ("dpo", "analyst", "auditor"):
        member = sign_in(service, role)
        for answer in (
            member.post(f"{HERE}/sites", json={}),
            member.patch(SITE, json={"revision": 1, "name": "Mine"}),
            member.post(f"{SITE}/link-keys"),
            member.post(f"{SITE}/link-keys/1/retire"),
        ):
            assert answer.status_code == 403
            assert answer.get_json()["error"]["fields"] == {"permission": ["sites:write"]}
    assert member.get(SITE).get_json() == UNCHANGED


def test_another_tenants_site_is_as_one_that_does_not_exist(
    service: Service, hostile: Tenant
) -> None:
    member = sign_in(service, "owner", hostile)
    for method, ending, body in (
        ("GET", "", None),
        ("PATCH", "", {"revision": 1, "name": "Mine"}),
        ("GET", "/snippet", None),
        ("GET", "/link-keys", None),
        ("POST", "/link-keys", None),
        ("POST", "/link-keys/1/retire", None),
    ):
        call = getattr(member, method.lower())
        answers = [
            call(f"/v1/tenants/{place}/sites/{key}{ending}", json=body)
            for place, key in (
                ("hostile", SITE_KEY),
                ("hostile", "site_nobody"),
                ("example", SITE_KEY),
                ("nobody", SITE_KEY),
            )
        ]
        assert {answer.status_code for answer in answers} == {404}, (method, ending)
        assert answers[0].data == answers[1].data
        assert answers[2].data == answers[3].data
    assert sign_in(service).get(SITE).get_json() == UNCHANGED


@pytest.mark.usefixtures("hostile")
def test_a_name_that_no_database_can_hold_is_nobodys(service: Service) -> None:
    member = sign_in(service)
    for address in ("/v1/tenants/%00", f"{HERE}/sites/%00", f"{HERE}/sites/site%00/snippet"):
        assert member.get(address).status_code == 404


def test_the_snippet_is_the_script_tag_of_this_service(service: Service) -> None:
    tags = sign_in(service, "analyst").get(f"{SITE}/snippet").get_json()
    assert tags["plain"] == f'<script src="http://localhost/embed/{SITE_KEY}.js" async></script>'
    assert f'data-site="{SITE_KEY}" integrity="sha384-' in tags["checked"]


def test_a_link_key_is_shown_once_and_signs_until_it_is_retired(service: Service) -> None:
    member = sign_in(service, "developer")
    assert member.get(f"{SITE}/link-keys").get_json() == {"link_keys": []}
    made = member.post(f"{SITE}/link-keys").get_json()
    secret = made.pop("secret")
    assert secret.startswith("link_")
    assert (made["number"], made["state"], made["retired_at"]) == (1, "in_use", None)
    listed = member.get(f"{SITE}/link-keys")
    assert listed.get_json()["link_keys"][0] == made
    assert secret not in listed.get_data(as_text=True)
    assert member.post(f"{SITE}/link-keys/1/retire").status_code == 204
    assert member.get(f"{SITE}/link-keys").get_json()["link_keys"][0]["state"] == "retired"
    assert member.post(f"{SITE}/link-keys/1/retire").status_code == 404
    assert member.post(f"{SITE}/link-keys/9/retire").status_code == 404
    assert secret not in json.dumps(service.rows("audit_events"), default=str)


def test_a_link_key_is_made_by_somebody_who_is_there(service: Service) -> None:
    member = sign_in(service, "developer")
    member.prove_long_ago()
    for call in (f"{SITE}/link-keys", f"{SITE}/link-keys/1/retire"):
        answer = member.post(call)
        assert answer.get_json()["error"]["code"] == "reauthentication_required"
    assert member.patch(SITE, json={"revision": 1, "name": "Shop"}).status_code == 200
