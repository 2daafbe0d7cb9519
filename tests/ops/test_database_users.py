"""The two users of PostgreSQL, as docs/operations.md makes them, and whom `serve` refuses to be."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result
from psycopg import errors
from sqlalchemy import URL

from consent_service import config
from consent_service.access.actor import OPERATOR
from consent_service.app import build
from consent_service.cli import main
from consent_service.db import Database, upgrade
from consent_service.errors import OperatorError
from consent_service.tenants.service import create_tenant, find_tenant
from tests.builders import make_service
from tests.servers import Postgres

PAGE = Path(__file__).parent.parent.parent / "docs/operations.md"

#: The page's SQL: for a new database, and for one that the service's user has owned until now.
MAKING, MOVING = re.findall(r"```sql\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A PostgreSQL server as it comes, with its superuser."""
    with Postgres() as started:
        yield started


@pytest.fixture
def postgres(server: Postgres) -> Iterator[Postgres]:
    """The same, with nothing of an earlier test in it."""
    yield server
    run(server, "DROP DATABASE IF EXISTS consent WITH (FORCE)")
    run(server, "DROP ROLE IF EXISTS consent;\nDROP ROLE IF EXISTS consent_owner")


def run(server: Postgres, statements: str, database: str = "postgres") -> None:
    """Run SQL as the superuser."""
    url = server.url(database).set(drivername="postgresql").render_as_string()
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements.split(";\n"):
            connection.execute(statement)


def address(server: Postgres, user: str) -> str:
    return server.url("consent", user).render_as_string()


def environ(server: Postgres, keys_file: Path, user: str = "consent") -> dict[str, str]:
    return {
        "CONSENT_DATABASE_URL": address(server, user),
        "CONSENT_KEYS_FILE": str(keys_file),
    }


def command(*arguments: str, env: dict[str, str]) -> Result:
    return CliRunner(env=env).invoke(main, arguments)


def upgraded(server: Postgres, keys_file: Path) -> Result:
    owner = {"CONSENT_OWNER_DATABASE_URL": address(server, "consent_owner")}
    return command("db", "upgrade", env=environ(server, keys_file) | owner)


def test_the_page_makes_users_that_the_service_runs_with(
    postgres: Postgres, keys_file: Path, tmp_path: Path
) -> None:
    run(postgres, MAKING)
    served = Database(address(postgres, "consent"))
    with pytest.raises(OperatorError, match="db upgrade"):
        served.check_migrated()
    assert upgraded(postgres, keys_file).exit_code == 0
    service = make_service(address(postgres, "consent"), tmp_path)
    assert service.choose().status_code == 201
    service.built.database.close()
    served.close()
    with psycopg.connect(address(postgres, "consent").replace("+psycopg", "")) as connection:
        for statement in ("CREATE TABLE a ()", "CREATE TEMP TABLE a ()", "DELETE FROM records"):
            with pytest.raises(errors.InsufficientPrivilege), connection.transaction():
                connection.execute(statement)


def test_a_dump_is_whole_or_fails(postgres: Postgres, keys_file: Path, tmp_path: Path) -> None:
    run(postgres, MAKING)
    upgraded(postgres, keys_file)
    make_service(address(postgres, "consent"), tmp_path).built.database.close()

    def dump(user: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [postgres.program("pg_dump"), libpq(postgres.url("consent", user))],
            capture_output=True,
            text=True,
            check=False,
        )

    assert "site_test" in dump("postgres").stdout
    by_owner = dump("consent_owner")
    assert by_owner.returncode
    assert "row-level security" in by_owner.stderr


def libpq(url: URL) -> str:
    return url.set(drivername="postgresql").render_as_string()


def test_the_page_takes_a_database_over_from_its_one_user(
    postgres: Postgres, keys_file: Path
) -> None:
    run(postgres, "CREATE ROLE consent LOGIN CREATEROLE;\nCREATE DATABASE consent OWNER consent")
    upgrade(address(postgres, "consent"), "0002")
    run(
        postgres,
        "INSERT INTO tenants (id, slug, name, created_at)"
        " VALUES (gen_random_uuid(), 'before', 'Before', now())",
        "consent",
    )
    assert upgraded(postgres, keys_file).exit_code != 0
    run(postgres, MOVING, "consent")
    assert upgraded(postgres, keys_file).exit_code == 0
    built = build(config.load(environ(postgres, keys_file)))
    assert find_tenant(built.database, "before").name == "Before"
    create_tenant(built.database, "after", "After", by=OPERATOR)
    built.database.close()


#: What puts the service's user above policies, or lets it get there, and what takes it back.
RISES = {
    "ALTER ROLE consent SUPERUSER": "ALTER ROLE consent NOSUPERUSER",
    "ALTER ROLE consent BYPASSRLS": "ALTER ROLE consent NOBYPASSRLS",
    "ALTER ROLE consent CREATEROLE": "ALTER ROLE consent NOCREATEROLE",
    "GRANT consent_owner TO consent": "REVOKE consent_owner FROM consent",
    "GRANT consent_owner TO consent WITH INHERIT FALSE": "REVOKE consent_owner FROM consent",
    "GRANT postgres TO consent": "REVOKE postgres FROM consent",
    "ALTER TABLE records OWNER TO consent": "ALTER TABLE records OWNER TO consent_owner",
}


def test_the_service_refuses_to_be_who_is_or_can_get_above_policies(
    postgres: Postgres, keys_file: Path
) -> None:
    run(postgres, MAKING)
    upgraded(postgres, keys_file)
    for rise, fall in RISES.items():
        build(config.load(environ(postgres, keys_file))).database.close()
        run(postgres, rise, "consent")
        assert_refused(environ(postgres, keys_file), "'consent'")
        run(postgres, fall, "consent")
    for user in ("postgres", "consent_owner"):
        assert_refused(environ(postgres, keys_file, user), f"'{user}'")


def assert_refused(env: dict[str, str], named: str) -> None:
    with pytest.raises(OperatorError, match=named):
        build(config.load(env))
    served = command("serve", env=env)
    assert served.exit_code == 2
    assert named in served.stderr
    assert "docs/operations.md" in served.stderr


@pytest.mark.parametrize("owner", ["", "consent"])
def test_an_upgrade_needs_another_user_than_the_services(
    postgres: Postgres, keys_file: Path, owner: str
) -> None:
    env = environ(postgres, keys_file)
    env |= {"CONSENT_OWNER_DATABASE_URL": address(postgres, owner)} if owner else {}
    result = command("db", "upgrade", env=env)
    assert result.exit_code == 2
    assert "Set CONSENT_OWNER_DATABASE_URL" in result.stderr
    assert "docs/operations.md" in result.stderr


def test_an_upgrade_by_somebody_who_is_not_the_owner_says_so_and_does_nothing(
    postgres: Postgres, keys_file: Path
) -> None:
    run(postgres, MAKING)
    env = environ(postgres, keys_file, "consent_owner")
    env |= {"CONSENT_OWNER_DATABASE_URL": address(postgres, "consent")}
    result = command("db", "upgrade", env=env)
    assert result.exit_code == 2
    assert "'consent' cannot change the tables" in result.stderr


def test_an_upgrade_for_a_user_who_is_not_there_says_so_and_does_nothing(
    postgres: Postgres, keys_file: Path
) -> None:
    run(postgres, MAKING)
    env = environ(postgres, keys_file, "nobody")
    env |= {"CONSENT_OWNER_DATABASE_URL": address(postgres, "consent_owner")}
    result = command("db", "upgrade", env=env)
    assert result.exit_code == 2
    assert "'nobody'" in result.stderr
    assert "CONSENT_DATABASE_URL" in result.stderr
    database = Database(address(postgres, "consent_owner"))
    assert database.revision() is None
    database.close()
