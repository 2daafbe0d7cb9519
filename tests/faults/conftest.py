"""Databases of a test's own, which it may break."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import Service, make_service
from tests.databases import PostgresDatabases
from tests.servers import Postgres


@pytest.fixture(scope="module")
def _postgres() -> Iterator[Postgres]:
    with Postgres(durable=True) as server:
        yield server


@pytest.fixture(scope="module")
def _databases(_postgres: Postgres) -> PostgresDatabases:
    return PostgresDatabases.on(_postgres)


@pytest.fixture
def postgres(_postgres: Postgres) -> Iterator[Postgres]:
    """A PostgreSQL server that a test may stop; durable, as in production."""
    _postgres.start()
    yield _postgres
    _postgres.start()


@pytest.fixture
def on_postgres(
    postgres: Postgres,  # noqa: ARG001 - it runs
    _databases: PostgresDatabases,
    tmp_path: Path,
) -> Iterator[Service]:
    """A service in this process on a PostgreSQL server that the test may stop."""
    urls = _databases.make()
    urls.upgrade()
    made = make_service(urls.served, tmp_path)
    yield made
    made.built.database.close()


@pytest.fixture
def on_sqlite(sqlite_url: str, tmp_path: Path) -> Iterator[Service]:
    """A service in this process on SQLite."""
    made = make_service(sqlite_url, tmp_path)
    yield made
    made.built.database.close()
