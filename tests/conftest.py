"""Fixtures: fresh databases, caches, a running service, proxies, and a browser."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from argon2 import PasswordHasher
from playwright.sync_api import Browser, Page
from redis import Redis
from sqlalchemy import make_url
from werkzeug.routing import Rule

from consent_service import db, signing
from consent_service.access import passwords
from tests import servers
from tests.builders import COUNTRY_HEADER, Service, furnish, make_service
from tests.databases import PostgresDatabases, Urls, database_of

# The same examples each time, however long one takes on a busy machine.
hypothesis.settings.register_profile("tests", deadline=None, derandomize=True)
hypothesis.settings.load_profile("tests")

#: Fixtures that build a service on the test's database.
SERVICES = {"mailing", "service", "worldwide"}


def remember_routes() -> None:
    """Have each route's functions that write addresses compiled once, and not for each service.

    That is half of what building a service takes. They hold nothing of the application.
    """
    compile_anew: Callable[[Rule, bool], Any] = Rule._compile_builder  # noqa: SLF001 - to remember
    known: dict[object, Any] = {}

    def compile_once(rule: Rule, append_unknown: bool) -> Any:  # noqa: ANN401, FBT001
        key = (rule.rule, repr(rule.defaults), tuple(rule._trace), append_unknown)  # noqa: SLF001
        if key not in known:
            known[key] = compile_anew(rule, append_unknown)
        return known[key]

    setattr(Rule, "_compile_builder", compile_once)  # noqa: B010 - it is not ours to assign to


remember_routes()

# What makes a password slow to guess makes each sign-in slow: a tenth of a second and 64 MiB. Of
# the services in this process; the costs themselves have a test in tests/access/test_sign_in.py.
passwords._hasher = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)  # noqa: SLF001

# Pytest makes the tests' folders there, whose databases would have a disk write each commit.
if (quick := servers.quick_folder()) and not os.statvfs(quick).f_flag & os.ST_NOEXEC:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", quick)


def pytest_collection_finish() -> None:
    """Have the collector leave what is here for good alone, and look less often at the rest.

    Each service that is built and dropped would have it look through everything several times.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)


@pytest.fixture(scope="session")
def postgresql_databases() -> Iterator[PostgresDatabases]:
    """A PostgreSQL server: the one in TEST_POSTGRES_URL, or one of this process's own.

    Its user makes databases, and another user, who owns nothing in them, whom the services under
    test connect as.
    """
    with ExitStack() as stack:
        named = os.environ.get("TEST_POSTGRES_URL")
        if named:
            databases = PostgresDatabases(make_url(named))
        else:
            databases = PostgresDatabases.on(stack.enter_context(servers.Postgres()))
        stack.callback(databases.close)
        yield databases


@pytest.fixture(scope="session")
def postgresql_template(postgresql_databases: PostgresDatabases) -> Iterator[str]:
    """The name of a migrated PostgreSQL database, to copy."""
    with postgresql_databases.fresh() as urls:
        urls.upgrade()
        yield database_of(urls)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite database, to copy."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    db.upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def furnished_postgresql_template(
    postgresql_databases: PostgresDatabases, postgresql_template: str
) -> Iterator[str]:
    """The name of a PostgreSQL database with what every service has, to copy."""
    with postgresql_databases.fresh(postgresql_template) as urls:
        database = db.Database(urls.served)
        furnish(database)
        database.close()
        yield database_of(urls)


@pytest.fixture(scope="session")
def furnished_sqlite_template(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A SQLite database with what every service has, to copy."""
    path = tmp_path_factory.mktemp("sqlite") / "furnished.db"
    shutil.copy(sqlite_template, path)
    database = db.Database(f"sqlite:///{path}")
    furnish(database)
    # What is still in the log beside it would not be copied.
    database.close()
    return path


def template(request: pytest.FixtureRequest, kind: str) -> Any:  # noqa: ANN401
    """Return what a test's database is copied from: furnished where a service is built on it."""
    furnished = not SERVICES.isdisjoint(request.fixturenames)
    return request.getfixturevalue(f"{'furnished_' if furnished else ''}{kind}_template")


@pytest.fixture
def postgresql_urls(
    request: pytest.FixtureRequest, postgresql_databases: PostgresDatabases
) -> Iterator[Urls]:
    """A migrated PostgreSQL database, without rows but those of a service built on it."""
    with postgresql_databases.fresh(template(request, "postgresql")) as urls:
        yield urls


@pytest.fixture
def postgresql_url(postgresql_urls: Urls) -> str:
    """The same, as the user whom the service connects as."""
    return postgresql_urls.served


@pytest.fixture
def sqlite_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A migrated SQLite database, without rows but those of a service built on it."""
    return f"sqlite:///{shutil.copy(template(request, 'sqlite'), tmp_path / 'consent.db')}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A migrated database, of each kind in turn, without rows but those of a service on it."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def owner_url(request: pytest.FixtureRequest, database_url: str) -> str:
    """The database of ``database_url`` and ``service``, as the owner of its tables."""
    if database_url.startswith("sqlite"):
        return database_url
    urls: Urls = request.getfixturevalue("postgresql_urls")
    return urls.owner


@pytest.fixture
def owner(owner_url: str) -> Iterator[db.Database]:
    """The same, to do as the operator what the service has no right to."""
    database = db.Database(owner_url)
    yield database
    database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_urls(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Urls]:
    """A database without tables, of each kind in turn."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/empty.db"
        yield Urls(url, url)
        return
    databases: PostgresDatabases = request.getfixturevalue("postgresql_databases")
    with databases.fresh() as urls:
        yield urls


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[str]:
    """A Valkey or Redis server: the one in TEST_REDIS_URL, or one of this process's own."""
    with ExitStack() as stack:
        yield os.environ.get("TEST_REDIS_URL") or stack.enter_context(servers.valkey())


@pytest.fixture
def redis_url(valkey_server: str) -> str:
    """An empty Valkey or Redis."""
    with Redis.from_url(valkey_server) as client:
        client.flushdb()
    return valkey_server


@pytest.fixture(scope="session")
def redis_cluster_url() -> Iterator[str]:
    """A Valkey Cluster, which has one node."""
    with servers.valkey(cluster=True) as url:
        yield url


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    """Signing keys, just made."""
    path = tmp_path / "keys.json"
    signing.ensure_keys(path)
    return path


@pytest.fixture
def service(database_url: str, tmp_path: Path) -> Iterator[Service]:
    """A service in this process, with a site and a notice, on each kind of database in turn."""
    made = make_service(database_url, tmp_path)
    yield made
    made.built.database.close()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def untouched(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The same for a whole file of tests, none of which changes anything in it."""
    folder = tmp_path_factory.mktemp("untouched")
    with ExitStack() as stack:
        if request.param == "sqlite":
            file = request.getfixturevalue("furnished_sqlite_template")
            address = f"sqlite:///{shutil.copy(file, folder / 'consent.db')}"
        else:
            databases: PostgresDatabases = request.getfixturevalue("postgresql_databases")
            name = request.getfixturevalue("furnished_postgresql_template")
            address = stack.enter_context(databases.fresh(name)).served
        made = make_service(address, folder)
        yield made
        made.built.database.close()


@pytest.fixture
def worldwide(database_url: str, tmp_path: Path) -> Iterator[Service]:
    """The same, called by a trusted proxy that states each visitor's country."""
    settings = {"trusted_proxies": "127.0.0.1/32", "country_header": COUNTRY_HEADER}
    made = make_service(database_url, tmp_path, **settings)
    made.address = "127.0.0.1"
    yield made
    made.built.database.close()


@pytest.fixture(scope="session")
def demo_url(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running service with the demo site. Shared: each test is a new visitor."""
    folder = tmp_path_factory.mktemp("demo")
    url = f"sqlite:///{shutil.copy(sqlite_template, folder / 'consent.db')}"
    with servers.demo(url, folder) as address:
        yield address


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with servers.chromium(servers.find_headless()) as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of a new visitor. Any error on it fails the test."""
    errors: list[str] = []
    with browser.new_context(locale="en-GB") as context:
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on(
            "console",
            lambda message: errors.append(message.text) if message.type == "error" else None,
        )
        yield page
    assert errors == []


@pytest.fixture
def bare_page(browser: Browser) -> Iterator[Page]:
    """A page on which failed requests may be reported, as the test makes them fail."""
    with browser.new_context(locale="en-GB") as context:
        page = context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
        assert errors == []
