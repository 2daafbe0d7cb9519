"""Fresh databases, as the user whom the service connects as and as the owner of the tables."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import LiteralString, Self

import psycopg
from psycopg import sql
from sqlalchemy import URL, make_url

from consent_service import db
from tests.servers import Postgres


@dataclass(frozen=True)
class Urls:
    """One database as both its users. On SQLite, which has none, both are the same."""

    served: str
    owner: str

    @property
    def served_by(self) -> str | None:
        """The name of the user whom the service connects as."""
        return make_url(self.served).username

    def upgrade(self, revision: str = "head") -> None:
        """Bring the tables to a revision, as the operator does."""
        db.upgrade(self.owner, revision, served_by=self.served_by)


class PostgresDatabases:
    """Makes and drops databases on one server, which may be away in between."""

    def __init__(self, url: URL, how: LiteralString = "") -> None:
        """Make a user who owns nothing.

        :param url: of a user who may make databases and users, and will own the tables
        :param how: how a database is copied, in SQL
        """
        self._how = how
        self._url = url.set(drivername="postgresql+psycopg")
        self._served_by = f"consent_test_{secrets.token_hex(6)}"
        password = sql.Literal(url.password) if url.password else sql.SQL("NULL")
        user = sql.Identifier(self._served_by)
        self._run("CREATE ROLE {} LOGIN PASSWORD {}", user, password)
        # Or a database could not be dropped while one of the user's connections is still ending.
        self._run("GRANT {} TO CURRENT_USER", user)

    @classmethod
    def on(cls, server: Postgres) -> Self:
        """Make them as a user of the server who is no superuser: those are above policies."""
        with psycopg.connect(server.dsn) as admin:
            admin.execute("CREATE ROLE consent LOGIN CREATEDB CREATEROLE")
        # Where nothing is synced, files are copied for less than their pages are logged.
        return cls(server.url(user="consent"), "STRATEGY FILE_COPY")

    def make(self, template: str = "template0", name: str | None = None) -> Urls:
        """Make a database, a copy of the template."""
        name = name or f"consent_test_{secrets.token_hex(6)}"
        statement = f"CREATE DATABASE {{}} TEMPLATE {{}} {self._how}"
        self._run(statement, sql.Identifier(name), sql.Identifier(template))
        owner = self._url.set(database=name)
        return Urls(*map(_written, (owner.set(username=self._served_by), owner)))

    def drop(self, urls: Urls) -> None:
        """Drop a database, whoever is connected."""
        self._run("DROP DATABASE {} WITH (FORCE)", sql.Identifier(database_of(urls)))

    @contextmanager
    def fresh(self, template: str = "template0") -> Iterator[Urls]:
        """Give a database for as long as the block lasts."""
        urls = self.make(template)
        try:
            yield urls
        finally:
            self.drop(urls)

    def close(self) -> None:
        """Forget the user."""
        self._run("DROP ROLE {}", sql.Identifier(self._served_by))

    def _run(self, statement: LiteralString, *parts: sql.Composable) -> None:
        dsn = _written(self._url.set(drivername="postgresql"))
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*parts))


def database_of(urls: Urls) -> str:
    """Return the name of a database."""
    return str(make_url(urls.owner).database)


def _written(url: URL) -> str:
    return url.render_as_string(hide_password=False)
