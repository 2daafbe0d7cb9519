"""Every route that belongs to a tenant x every role x one's own tenant and another's.

The routes are those that the application has: a new one is held to this by itself.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from consent_service.access.actor import OPERATOR
from consent_service.access.auth import needed_by
from consent_service.access.permissions import CHANGING, PERMISSIONS, ROLES, permissions_of
from consent_service.app import BLUEPRINTS
from consent_service.tenants.auth import members_of_tenant
from consent_service.tenants.service import create_tenant
from tests.builders import SITE_KEY, Service, make_service
from tests.members import Member, sign_in

OWN, FOREIGN, NOWHERE = "example", "foreign", "nowhere"

#: What stands in an address for each of its parts; ids that nothing has.
PARTS = {"site_key": SITE_KEY, "version": "1", "number": "1", "form": "csv"}
UNUSED_ID = str(UUID(int=1))

#: Answers that say that somebody may not do this at all.
SHUT = {401, 403}


#: Calls that send something only to be told about it.
ONLY_ASK = ("/notice/problems", "/notice/preview", "/notice/check")

#: Whose permissions are needed below a part of an address; the last such part counts.
AREAS = {
    "sites": ("sites",),
    "link-keys": ("sites",),
    "notice": ("notices",),
    "notices": ("notices",),
    "records": ("records",),
    "visitors": ("records",),
    "users": ("users",),
    "invitations": ("users",),
    "identity-provider": ("sign_in", "users"),
    "holds": ("holds",),
    "keys": ("keys",),
    "audit": ("audit",),
    "reports": ("reports",),
}


@dataclass(frozen=True)
class House:
    """A service with a tenant, another tenant, and a member for each role."""

    service: Service
    members: dict[str, Member]


@pytest.fixture(scope="module")
def house(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("permissions")
    url = f"sqlite:///{shutil.copy(sqlite_template, folder / 'consent.db')}"
    limits = {"limit_reads": "1000000 per minute", "limit_writes": "1000000 per minute"}
    service = make_service(url, folder, **limits)
    create_tenant(service.built.database, FOREIGN, "Foreign Ltd", by=OPERATOR)
    yield House(service, {role: sign_in(service, role) for role in ROLES})
    service.built.database.close()


def tenants_rules(service: Service) -> list[tuple[Rule, str]]:
    """Return each route of a tenant with each of its methods, the console's pages too."""
    names = {blueprint.name for blueprint, auth in BLUEPRINTS if auth is members_of_tenant}
    return [
        (rule, method)
        for rule in service.built.flask.url_map.iter_rules()
        if rule.endpoint.rpartition(".")[0] in names
        for method in sorted((rule.methods or set()) - {"OPTIONS", "HEAD"})
    ]


def address(rule: Rule, tenant: str) -> str:
    """Return an address of a route in a tenant."""
    parts = {part: PARTS.get(part, UNUSED_ID) for part in rule.arguments} | {"tenant": tenant}
    _, path = rule.build(parts, append_unknown=False) or ("", "")
    return path


def call(member: Member, method: str, path: str, csrf: str | None = None) -> TestResponse:
    """Call a route as a member, with nothing in the body."""
    headers = {"X-CSRF-Token": csrf or member.csrf_token}
    return member.client.open(path, method=method, headers=headers)


def needed(service: Service, rule: Rule, method: str) -> str:
    """Return the permission that stands on a view."""
    with service.built.flask.app_context():
        found = needed_by(rule.endpoint, method)
    assert found is not None, f"{method} {rule.rule} says of no permission"
    return found.permission


def test_every_view_of_a_tenant_names_a_permission_of_the_table(house: House) -> None:
    rules = tenants_rules(house.service)
    assert rules
    for rule, method in rules:
        assert needed(house.service, rule, method) in PERMISSIONS, rule.rule


def test_what_changes_something_needs_a_permission_that_does(house: House) -> None:
    for rule, method in tenants_rules(house.service):
        if method != "GET" and not rule.rule.endswith(ONLY_ASK):
            assert needed(house.service, rule, method) in CHANGING, (method, rule.rule)


def test_what_is_about_something_needs_a_permission_about_it(house: House) -> None:
    for rule, method in tenants_rules(house.service):
        parts = re.split(r"[/.]", rule.rule.partition("<string:tenant>")[2])
        areas = [AREAS[part] for part in parts if part in AREAS] or [("sites",)]
        permission = needed(house.service, rule, method)
        assert permission.partition(":")[0] in areas[-1], (method, rule.rule)


def test_every_permission_is_needed_somewhere(house: House) -> None:
    asked = {needed(house.service, *each) for each in tenants_rules(house.service)}
    # For programs: these find their tenant by the key.
    assert asked | {"gate:batch", "records:export"} == set(PERMISSIONS)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_opens_what_the_table_says_and_nothing_else(house: House, role: str) -> None:
    member = house.members[role]
    for rule, method in tenants_rules(house.service):
        permission = needed(house.service, rule, method)
        response = call(member, method, address(rule, OWN))
        said = (role, method, rule.rule, response.status_code)
        if permission in permissions_of(role):
            assert response.status_code not in SHUT, said
            assert response.status_code < 500, said
        else:
            assert response.status_code == 403, said
            assert permission in response.get_data(as_text=True), said


@pytest.mark.parametrize("role", ROLES)
def test_another_tenant_is_to_every_role_as_none_at_all(house: House, role: str) -> None:
    member = house.members[role]
    for rule, method in tenants_rules(house.service):
        answers = [call(member, method, address(rule, tenant)) for tenant in (FOREIGN, NOWHERE)]
        assert [answer.status_code for answer in answers] == [404, 404], (role, rule.rule)
        foreign, nowhere = (without_address(answer) for answer in answers)
        assert foreign == nowhere, (role, rule.rule)


def without_address(response: TestResponse) -> str:
    """Return an answer's body without what the caller wrote into the address."""
    return response.get_data(as_text=True).replace(FOREIGN, "x").replace(NOWHERE, "x")


def test_nobody_gets_in_without_signing_in(house: House) -> None:
    for rule, method in tenants_rules(house.service):
        for tenant in (OWN, FOREIGN, NOWHERE):
            response = house.service.client.open(address(rule, tenant), method=method)
            if rule.rule.startswith("/console/"):
                assert response.status_code == 303, rule.rule
                assert response.location.startswith("/console/sign-in"), rule.rule
            else:
                assert response.status_code == 401, rule.rule
                assert response.get_json()["error"]["code"] == "not_signed_in"


def test_a_write_without_the_sessions_own_token_is_refused(house: House) -> None:
    member = house.members["owner"]
    for rule, method in tenants_rules(house.service):
        if method != "GET":
            response = call(member, method, address(rule, OWN), csrf="forged")
            assert response.status_code == 403, rule.rule
