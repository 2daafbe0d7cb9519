"""No route without a declared auth, and none that is not documented."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flask
import pytest

import consent_service
from consent_service import config
from consent_service.access.auth import programs, public, signed_in
from consent_service.app import BLUEPRINTS, DEMO_BLUEPRINTS, Built, build
from consent_service.tenants.auth import anybody_of_site, members_of_tenant, pages_of_site
from tests.builders import SITE_KEY, Service

TABLE = BLUEPRINTS + DEMO_BLUEPRINTS

#: Written for people or machines of the operator, and not part of the API.
OUTSIDE_THE_API = {
    "ops",
    "demo",
    "entrance",
    "own",
    "preview",
    "receipt_pages",
    "verification",
    "workspace",
}


@pytest.fixture
def built(sqlite_url: str, keys_file: Path) -> Iterator[Built]:
    """The whole application, the demo too."""
    environ = {
        "CONSENT_DATABASE_URL": sqlite_url,
        "CONSENT_KEYS_FILE": str(keys_file),
        "CONSENT_DEMO": "1",
    }
    made = build(config.load(environ))
    yield made
    made.database.close()


def unguarded(app: flask.Flask) -> list[str]:
    """Return the routes before which none of the declared hooks runs first."""
    declared = {blueprint.name: auth for blueprint, auth in TABLE}
    found = []
    for rule in app.url_map.iter_rules():
        name = rule.endpoint.rpartition(".")[0]
        hooks = app.before_request_funcs.get(name, [])
        if rule.endpoint != "static" and (not hooks or hooks[0] is not declared.get(name)):
            found.append(f"{rule.rule} ({rule.endpoint})")
    return found


def test_every_route_has_the_auth_that_its_blueprint_declares(built: Built) -> None:
    assert unguarded(built.flask) == []


def test_a_route_without_auth_would_be_found() -> None:
    app = flask.Flask("open")
    blueprint = flask.Blueprint("stray", "stray")
    blueprint.get("/stray")(lambda: "")
    app.register_blueprint(blueprint)
    app.get("/loose")(lambda: "")
    assert len(unguarded(app)) == 2


def test_every_blueprint_of_the_package_is_in_the_table() -> None:
    written = set()
    for module in pkgutil.walk_packages(consent_service.__path__, "consent_service."):
        if module.name.endswith((".routes", "_page")):
            members = vars(importlib.import_module(module.name)).values()
            written |= {member for member in members if isinstance(member, flask.Blueprint)}
    assert written == {blueprint for blueprint, _ in TABLE}


def test_what_belongs_to_a_tenant_or_site_is_never_public(built: Built) -> None:
    declared = {blueprint.name: auth for blueprint, auth in TABLE}
    for rule in built.flask.url_map.iter_rules():
        auth = declared.get(rule.endpoint.rpartition(".")[0])
        if "tenant" in rule.arguments:
            assert auth is members_of_tenant, rule.rule
        elif auth is programs:
            assert rule.endpoint == "batch.GateBatch" or rule.endpoint.startswith("reports.")
        elif "site_key" in rule.arguments or rule.rule.startswith("/v1/gate"):
            assert auth in {anybody_of_site, pages_of_site}, rule.rule
            if rule.methods and rule.methods & {"POST", "PUT", "PATCH", "DELETE"}:
                assert auth is pages_of_site, rule.rule
        else:
            assert auth in {public, signed_in, members_of_tenant, None}, rule.rule


def description(built: Built) -> dict[str, Any]:
    """Return the OpenAPI document."""
    document: dict[str, Any] = built.flask.test_client().get("/openapi.json").get_json()
    return document


def operations(built: Built) -> dict[tuple[str, str], Any]:
    """Return what the OpenAPI document says of each call."""
    return {
        (method.upper(), path): operation
        for path, methods in description(built)["paths"].items()
        for method, operation in methods.items()
        if method != "parameters"
    }


def test_every_call_of_the_api_is_documented(built: Built) -> None:
    served = {
        (method, re.sub(r"<(?:\w+(?:\([^)]*\))?:)?(\w+)>", r"{\1}", rule.rule))
        for rule in built.flask.url_map.iter_rules()
        if rule.endpoint != "static" and rule.endpoint.partition(".")[0] not in OUTSIDE_THE_API
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert served
    assert set(operations(built)) == served


def test_every_call_says_what_it_does_and_that_errors_have_one_shape(built: Built) -> None:
    components = description(built)["components"]
    error = {"$ref": "#/components/schemas/_ErrorDetail"}
    for call, operation in operations(built).items():
        assert operation["summary"], call
        for status, response in operation["responses"].items():
            if status != "default" and int(status) < 400:
                continue
            name = response.get("$ref", "").rpartition("/")[2]
            said = components["responses"][name] if name else response
            if call[1] == "/v1/gate/auth" and status == "403":
                # For proxies, which pass on the status and X-Consent-Reason.
                assert "content" not in said
            else:
                shape = said["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
                # Beside the error there may be more, such as what has changed.
                members = components["schemas"][shape]["properties"]
                assert members["error"] == error, (call, status)
        assert "default" in operation["responses"], call


def test_the_description_is_openapi_3_1(built: Built) -> None:
    document = description(built)
    assert document["openapi"].startswith("3.1.")
    assert document["info"]["version"] == consent_service.__version__


def test_records_and_banners_are_described_member_by_member(service: Service) -> None:
    schemas = description(service.built)["components"]["schemas"]
    record = service.choose().get_json()["record"]
    assert set(schemas["RecordOut"]["properties"]) == set(record)
    banner = service.client.get(f"/v1/sites/{SITE_KEY}/banner").get_json()
    assert set(schemas["BannerOut"]["properties"]) == set(banner)
