"""The demo: a site of its own, with everything served from here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest
from click.testing import CliRunner
from werkzeug.test import Client, TestResponse

from consent_service.access import mfa, users
from consent_service.cli import main
from consent_service.db import Scope
from consent_service.demo.owner import EMAIL, code, make_owner, password
from consent_service.demo.seed import SITE_KEY, TENANT_SLUG, seed
from consent_service.signing import Keyring, ensure_keys
from consent_service.tenants.service import find_site
from tests.builders import Service, make_service
from tests.pages import Page


@pytest.fixture
def demo(sqlite_url: str, tmp_path: Path) -> Iterator[Service]:
    """A service in demo mode, seeded."""
    made = make_service(sqlite_url, tmp_path, demo="1")
    seed(made.built.database, 8000)
    made.built.followers.refresh()
    yield made
    made.built.database.close()


@pytest.mark.parametrize(
    ("query", "headers", "language"),
    [
        ("", {}, "en"),
        ("?lang=sw", {}, "sw"),
        ("", {"Accept-Language": "sw-TZ"}, "sw"),
        ("?lang=de", {}, "en"),
        ('?lang="><script>', {}, "en"),
    ],
)
def test_the_page_is_there_in_both_languages(
    demo: Service, query: str, headers: dict[str, str], language: str
) -> None:
    response = demo.client.get(f"/demo/{query}", headers=headers)
    assert response.status_code == 200
    html = response.get_data(as_text=True)
    assert f'<html lang="{language}">' in html
    assert f"/embed/{SITE_KEY}.js?lang={language}" in html


def test_everything_on_the_page_comes_from_here(demo: Service) -> None:
    page = Page(demo.client.get("/demo/").get_data(as_text=True))
    assert page.inline == []
    assert page.loads
    for address in page.loads:
        assert re.match(r"/(?!/)", address)
        assert demo.client.get(address, buffered=True).status_code == 200
    static = resources.files("consent_service.demo") / "static"
    for entry in static.iterdir():
        assert not re.search(r"(https?:)?//[\w-]+\.\w", entry.read_text("utf-8")), entry.name


def test_the_scripts_that_the_notice_registers_are_there(demo: Service) -> None:
    notice = resources.files("consent_service.demo") / "notice.json"
    loaders = [
        service["loader"]
        for purpose in json.loads(notice.read_bytes())["purposes"]
        for service in purpose["services"]
        if "loader" in service
    ]
    assert loaders
    for loader in loaders:
        response = demo.client.get(loader, buffered=True)
        assert response.status_code == 200
        assert response.mimetype == "text/javascript"


def test_seeding_again_changes_only_the_port(demo: Service) -> None:
    before = [len(demo.rows(name)) for name in ("tenants", "sites", "notices")]
    seed(demo.built.database, 9000)
    assert [len(demo.rows(name)) for name in ("tenants", "sites", "notices")] == before
    assert find_site(demo.built.database, SITE_KEY).allowed_origins == {
        "http://127.0.0.1:9000",
        "http://localhost:9000",
    }


def test_the_demos_analytics_counts_what_it_receives(demo: Service) -> None:
    client = demo.client
    client.delete("/demo/hits")
    assert client.get("/demo/hits").get_json() == {"hits": [], "total": 0}
    for page in ("overview", "inbox"):
        assert client.post("/demo/hits", json={"page": page}).status_code == 204
    assert client.post("/demo/hits", json={"page": 7}).status_code == 422
    found = client.get("/demo/hits").get_json()
    assert found["total"] == 2
    assert [hit["page"] for hit in found["hits"]] == ["inbox", "overview"]
    client.delete("/demo/hits")


def test_without_demo_mode_there_is_no_demo(service: Service) -> None:
    for path in ("/demo/", "/demo/hits", "/demo/analytics.js"):
        assert service.client.get(path).status_code == 404


@pytest.mark.parametrize("language", ["en", "sw"])
def test_the_map_is_shown_by_the_demos_own_page_and_by_no_other(
    demo: Service, language: str
) -> None:
    index = demo.client.get(f"/demo/?lang={language}")
    address = f"/demo/map?lang={language}"
    assert f'data-consent="preferences" data-src="{address}"' in index.get_data(as_text=True)
    assert "frame-src 'self'" in index.headers["Content-Security-Policy"]
    office = demo.client.get(address)
    assert f'<html lang="{language}">' in office.get_data(as_text=True)
    assert "frame-ancestors 'self'" in office.headers["Content-Security-Policy"]


def signed_in(demo: Service, code: str) -> TestResponse:
    """Sign in as the demo's owner."""
    keys = demo.use(Keyring)
    client = Client(demo.built.wsgi)
    client.post("/v1/sign-in", json={"email": EMAIL, "password": password(keys)})
    client.post("/v1/sign-in/totp", json={"code": code})
    return client.get(f"/v1/tenants/{TENANT_SLUG}/users")


def test_the_demos_owner_signs_in_with_what_is_printed(demo: Service) -> None:
    keys = demo.use(Keyring)
    make_owner(demo.built.database, keys)
    answer = signed_in(demo, code(keys))
    assert answer.status_code == 200
    assert [user["role"] for user in answer.get_json()["users"]] == ["owner"]


def test_making_the_owner_again_changes_nothing_but_what_no_longer_fits(demo: Service) -> None:
    keys, database = demo.use(Keyring), demo.built.database
    make_owner(database, keys)
    names = ("users", "memberships", "totp_secrets", "audit_events")
    before = [demo.rows(name) for name in names]
    make_owner(database, keys)
    assert [demo.rows(name) for name in names] == before
    with database.transaction(Scope.ACCOUNTS) as connection:
        owner = users.find_by_email(connection, keys, EMAIL)
        assert owner is not None
        users.set_password_hash(connection, owner.id, "another")
        mfa.keep_totp(connection, keys, owner.id, "ANOTHER")
    make_owner(database, keys)
    assert signed_in(demo, code(keys)).status_code == 200


def test_every_demo_has_a_password_and_codes_of_its_own(demo: Service, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    ensure_keys(tmp_path / "other" / "keys.json")
    keys, others = demo.use(Keyring), Keyring(tmp_path / "other" / "keys.json")
    assert password(keys) != password(others)
    make_owner(demo.built.database, keys)
    assert signed_in(demo, code(others)).status_code == 401


def test_codes_of_the_demo_come_only_where_the_demo_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = CliRunner().invoke(main, ["demo-code"])
    assert refused.exit_code == 2
    assert "There is no demo here" in refused.stderr
    ensure_keys(tmp_path / "var/demo/keys.json")
    shown = CliRunner().invoke(main, ["demo-code"])
    assert shown.exit_code == 0
    assert shown.stdout.strip().isdecimal()
    assert len(shown.stdout.strip()) == 6
