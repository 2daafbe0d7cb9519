"""A second tenant, with rows of its own, tries to get across on every read and every write."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from consent_service import clock
from consent_service.access.actor import OPERATOR
from consent_service.consents.models import CurrentStateRow, RecordRow
from consent_service.signing import Keyring
from consent_service.tenants.link_keys import link_keys, retire_link_key
from consent_service.tenants.service import Site, create_tenant
from tests.builders import ORIGIN, SITE_KEY, Service, make_user_token

KEY = {"Idempotency-Key": "a-random-id-of-the-decision"}
OTHER = "site_other"


@pytest.fixture(params=["another tenant", "the same tenant"])
def other(service: Service, request: pytest.FixtureRequest) -> Site:
    """Another site with a visitor of its own: of another tenant, or of the same."""
    hostile = create_tenant(service.built.database, "hostile", "Hostile Ltd", by=OPERATOR)
    tenant = hostile if request.param == "another tenant" else service.tenant
    site = service.add_site(OTHER, tenant)
    service.choose(site_key=OTHER)
    return site


def ours(service: Service) -> dict[str, list[dict[str, Any]]]:
    """Return all rows of the first site."""
    site_id = service.rows("sites")[0]["id"]
    return {
        name: [row for row in service.rows(name) if row["site_id"] == site_id]
        for name in ("notices", "records", "current_states", "linked_users", "link_keys")
    }


@pytest.fixture
def victim(service: Service, other: Site) -> Iterator[dict[str, Any]]:
    """What a visitor of the first site was given; the site's rows must stay as they are."""
    assert other.site_key == OTHER
    answer: dict[str, Any] = service.choose(headers=KEY).get_json()
    assert service.link(token=answer["token"]).status_code == 200
    before = ours(service)
    assert [len(rows) for rows in before.values()] == [1] * 5
    yield answer
    assert ours(service) == before


def me(site_key: str) -> str:
    return f"/v1/sites/{site_key}/consents/me"


@pytest.mark.usefixtures("other")
def test_a_choice_with_anothers_token_is_a_new_visitors(
    service: Service, victim: dict[str, Any]
) -> None:
    answer = service.choose(site_key=OTHER, token=victim["token"]).get_json()
    assert answer["record"]["visitor_id"] != victim["record"]["visitor_id"]
    assert answer["record"]["previous_id"] is None


def test_anothers_token_in_ones_own_cookie_is_a_new_visitors(
    service: Service, victim: dict[str, Any]
) -> None:
    cookie = {"Cookie": f"cookie_consent_other={victim['token']}"}
    record = service.choose(site_key=OTHER, headers=cookie).get_json()["record"]
    assert record["visitor_id"] != victim["record"]["visitor_id"]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_anothers_token_sees_and_erases_nothing(
    service: Service, victim: dict[str, Any], method: str
) -> None:
    headers = {"Origin": ORIGIN, "X-Consent-Token": victim["token"]}
    response = service.client.open(me(OTHER), method=method, headers=headers)
    assert response.status_code == 404
    assert response.get_json()["error"]["code"] == "unknown_visitor"


def test_anothers_key_of_a_retry_is_only_a_key(service: Service, victim: dict[str, Any]) -> None:
    for token in (None, victim["token"]):
        answer = service.choose(site_key=OTHER, token=token, headers=KEY).get_json()
        assert answer["record"]["site_key"] == OTHER
        assert answer["record"]["visitor_id"] != victim["record"]["visitor_id"]


def test_the_gate_does_not_believe_anothers_token(service: Service, victim: dict[str, Any]) -> None:
    for entry in ("", "/auth"):
        response = service.ask(site_key=OTHER, token=victim["token"], entry=entry)
        assert b'"allow":true' not in response.data
        assert response.status_code in {200, 403}
    answer = service.ask(site_key=OTHER, token=victim["token"]).get_json()
    assert answer["decisions"]["analytics"]["reason"] == "invalid_token"


def test_a_receipt_link_of_ones_own_does_not_open_anothers_record(
    service: Service, victim: dict[str, Any]
) -> None:
    own = service.choose(site_key=OTHER).get_json()
    link = own["receipt_url"].replace(own["record"]["id"], victim["record"]["id"])
    assert service.client.get(link).status_code == 404


def test_anothers_visitor_does_not_become_ones_own_user(
    service: Service, victim: dict[str, Any], other: Site
) -> None:
    user_token = make_user_token(service.add_link_key(other), site_key=OTHER)
    answer = service.link(token=victim["token"], user_token=user_token, site_key=OTHER)
    assert answer.get_json()["record"] is None
    own = service.choose(site_key=OTHER).get_json()
    answer = service.link(token=own["token"], user_token=user_token, site_key=OTHER)
    assert answer.get_json()["record"] == own["record"]
    headers = {"Origin": ORIGIN, "X-Consent-Token": own["token"]}
    assert service.client.delete(me(OTHER), headers=headers).get_json()["erased_records"] == 1


@pytest.mark.usefixtures("victim")
def test_ones_own_key_does_not_sign_for_anothers_users(service: Service, other: Site) -> None:
    key = service.add_link_key(other)
    assert key.number == service.link_key.number
    for user_token, told in (
        (make_user_token(key), "It is not signed with the link key that kid names."),
        (make_user_token(key, site_key=OTHER), "It is not signed with the link key"),
    ):
        response = service.link(user_token=user_token)
        assert response.status_code == 422
        assert told in response.get_data(as_text=True)
    response = service.link(user_token=make_user_token(service.link_key), site_key=OTHER)
    assert response.status_code == 422


def test_ones_own_keys_are_retired_and_listed_alone(
    service: Service, victim: dict[str, Any], other: Site
) -> None:
    key = service.add_link_key(other)
    database, keys = service.built.database, service.use(Keyring)
    retire_link_key(database, other, key.number, by=OPERATOR)
    assert [found.retired_at is None for found in link_keys(database, keys, other)] == [False]
    assert [found.retired_at is None for found in link_keys(database, keys, service.site)] == [True]
    assert service.link(token=victim["token"]).status_code == 200


def test_a_new_notice_is_not_anothers(
    service: Service, victim: dict[str, Any], other: Site
) -> None:
    service.publish(other, texts={"en": {"title": "Ours"}})
    assert victim["record"]["notice_version"] == 1
    shown = service.client.get(f"/v1/sites/{SITE_KEY}/banner").get_json()
    assert shown["notice_version"] == 1
    assert shown["texts"]["title"] != "Ours"


def test_equal_visitor_ids_elsewhere_are_somebody_else(service: Service, other: Site) -> None:
    """Ids do not collide; if they did, every query must still stay with its tenant and site."""
    token = service.choose(headers=KEY).get_json()["token"]
    twins = add_twins(service, other)
    record = service.choose(token=token).get_json()["record"]
    assert record["sequence"] == 2
    assert service.choose(headers=KEY).status_code == 201
    headers = {"Origin": ORIGIN, "X-Consent-Token": token}
    history = service.client.get(me(SITE_KEY), headers=headers).get_json()["history"]
    assert [found["sequence"] for found in history] == [2, 1]
    assert service.client.delete(me(SITE_KEY), headers=headers).get_json()["erased_records"] == 2
    for table, rows in twins.items():
        assert all(row in service.rows(table) for row in rows)


def add_twins(service: Service, other: Site) -> dict[str, list[dict[str, Any]]]:
    """Copy the rows of the first site's visitor to the other site; return the copies."""
    twins: dict[str, list[dict[str, Any]]] = {}
    for model in (RecordRow, CurrentStateRow):
        name, before = model.__tablename__, service.rows(model.__tablename__)
        put(service, model, tenant_id=other.tenant_id, site_id=other.id)
        twins[name] = [row for row in service.rows(name) if row not in before]
        assert len(twins[name]) == 1
    return twins


def put(service: Service, model: type[RecordRow | CurrentStateRow], **changes: Any) -> None:  # noqa: ANN401
    """Copy the row of the first site's visitor, with these changes, as whose it says it is."""
    table, database = model.__table__, service.built.database
    with database.reading(service.tenant.id) as connection:
        query = select(table).where(table.c.site_id == service.site.id)
        row = connection.execute(query).one()._asdict()
    row |= changes | ({"id": clock.new_id()} if model is RecordRow else {})
    with database.transaction(row["tenant_id"]) as connection:
        connection.execute(insert(model).values(row))


@pytest.mark.usefixtures("victim")
@pytest.mark.parametrize("model", [RecordRow, CurrentStateRow])
@pytest.mark.parametrize("other", ["another tenant"], indirect=True)
def test_the_database_refuses_a_row_of_one_tenant_on_anothers_site(
    service: Service, other: Site, model: type[RecordRow | CurrentStateRow]
) -> None:
    changes: dict[str, str | None] = {"visitor_id": "vis_of_nobody"}
    changes |= {"idempotency_hash": None} if model is RecordRow else {}
    with pytest.raises(IntegrityError, match=r"(?i)foreign key"):
        put(service, model, tenant_id=other.tenant_id, **changes)
