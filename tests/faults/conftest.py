"""Databases of a test's own, which it may break."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from consent_service import db
from tests.builders import Service, make_service
from tests.servers import Postgres


@pytest.fixture(scope="module")
def _postgres() -> Iterator[Postgres]:
    with Postgres(durable=True) as server:
        yield server


@pytest.fixture
def postgres(_postgres: Postgres) -> Iterator[Postgres]:
    """A PostgreSQL server that a test may stop; durable, as in production."""
    _postgres.start()
    yield _postgres
    _postgres.start()


@pytest.fixture
def on_postgres(postgres: Postgres, tmp_path: Path) -> Iterator[Service]:
    """A service in this process on a PostgreSQL server that the test may stop."""
    name = f"consent_{secrets.token_hex(6)}"
    with psycopg.connect(postgres.dsn, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
    url = postgres.url(name).render_as_string()
    db.upgrade(url)
    made = make_service(url, tmp_path)
    yield made
    made.built.database.close()


@pytest.fixture
def on_sqlite(sqlite_url: str, tmp_path: Path) -> Iterator[Service]:
    """A service in this process on SQLite."""
    made = make_service(sqlite_url, tmp_path)
    yield made
    made.built.database.close()
