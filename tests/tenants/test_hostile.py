"""Somebody who speaks raw SQL as the service, in one tenant's scope, tries to reach another's rows.

What is tried must be worth trying: the same statement in the victim's own scope finds its rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from consent_service.db import Scope
from tests.databases import PostgresDatabases, database_of
from tests.tenants.walls import OF_USERS, TABLES, Tenant, Walls, fill

#: Tables in which a tenant's scope finds rows.
OF_TENANTS = [name for name in TABLES if name not in OF_USERS or name == "users"]


@pytest.fixture(scope="module")
def filled(
    postgresql_databases: PostgresDatabases, postgresql_template: str
) -> Iterator[tuple[str, Tenant, Tenant]]:
    """The name of a database with two tenants, to copy, and the two."""
    with postgresql_databases.fresh(postgresql_template) as urls:
        tenants = Tenant(), Tenant()
        made = Walls(urls, *tenants)
        fill(made.owner, tenants)
        made.close()
        yield database_of(urls), *tenants


@pytest.fixture
def walls(
    postgresql_databases: PostgresDatabases, filled: tuple[str, Tenant, Tenant]
) -> Iterator[Walls]:
    """The two tenants; when the test is over, all but the attacker's rows is as it was."""
    template, attacker, victim = filled
    with postgresql_databases.fresh(template) as urls:
        made = Walls(urls, attacker, victim)
        before = made.all_else()
        yield made
        assert made.all_else() == before
        assert made.told_of(made.notices) == set()
        made.close()


@pytest.fixture(scope="module")
def untouched_walls(
    postgresql_databases: PostgresDatabases, filled: tuple[str, Tenant, Tenant]
) -> Iterator[Walls]:
    """The same for attacks that only read."""
    template, attacker, victim = filled
    with postgresql_databases.fresh(template) as urls:
        made = Walls(urls, attacker, victim)
        yield made
        made.close()


READS = {
    "all": "SELECT * FROM {table}",
    "a condition that always holds": "SELECT * FROM {table} WHERE false OR 1 = 1",
    "by a guessed key": "SELECT * FROM {table} WHERE {key}::text = '{theirs}'",
    "anything but one's own": "SELECT * FROM {table} WHERE {key}::text <> '{ours}'",
    "subquery": "SELECT (SELECT json_agg(t) FROM {table} t)",
    "correlated subquery": "SELECT id, (SELECT max(t::text) FROM {table} t) FROM tenants",
    "join": "SELECT b.* FROM tenants a FULL JOIN {table} b ON true",
    "lateral join": "SELECT b.* FROM (SELECT 1) a, LATERAL (SELECT * FROM {table}) b",
    "union": "SELECT id::text FROM tenants UNION ALL SELECT t::text FROM {table} t",
    "common table expression": "WITH t AS MATERIALIZED (SELECT * FROM {table}) SELECT * FROM t",
    "aggregate": "SELECT string_agg(t::text, ',') FROM {table} t",
    "window": "SELECT first_value(t::text) OVER (ORDER BY {key} {order}) FROM {table} t",
    "sample": "SELECT * FROM {table} TABLESAMPLE SYSTEM (100)",
    "by place": "SELECT * FROM {table} WHERE ctid = ANY ('{{(0\\,1),(0\\,2)}}'::tid[])",
    "locking": "SELECT * FROM {table} FOR UPDATE",
    "copy": "COPY {table} TO STDOUT",
    "copy of a query": "COPY (SELECT * FROM {table}) TO STDOUT",
    "cursor": "DECLARE c CURSOR FOR SELECT * FROM {table};\nFETCH ALL FROM c",
    "prepared": "PREPARE p AS SELECT * FROM {table};\nEXECUTE p",
    "generic plan": (
        "SET LOCAL plan_cache_mode = force_generic_plan;\n"
        "PREPARE g AS SELECT * FROM {table};\nEXECUTE g"
    ),
    "index alone": (
        "SET LOCAL enable_seqscan = off;\nSELECT {key} FROM {table} ORDER BY {key} {order}"
    ),
    "view": "CREATE TEMP VIEW v AS SELECT * FROM {table};\nSELECT * FROM v",
    "temporary table": "CREATE TEMP TABLE t AS SELECT * FROM {table};\nSELECT * FROM t",
    "function": (
        "CREATE FUNCTION pg_temp.f() RETURNS SETOF {table} SECURITY DEFINER LANGUAGE sql"
        " AS 'SELECT * FROM {table}';\nSELECT * FROM pg_temp.f()"
    ),
    "as XML": "SELECT query_to_xml('SELECT * FROM {table}', true, false, '')::text",
    "dynamic": (
        "CREATE FUNCTION pg_temp.f() RETURNS text LANGUAGE plpgsql AS $$ DECLARE found text;"
        " BEGIN EXECUTE 'SELECT string_agg(t::text, '','') FROM {table} t' INTO found;"
        " RETURN found; END $$;\nSELECT pg_temp.f()"
    ),
    "returned by a change": "UPDATE {table} SET {column} = {column} RETURNING *",
    "returned by a deletion": "DELETE FROM {table} RETURNING *",
}


def written(statement: str, name: str, walls: Walls) -> str:
    """Return an attack on a table, in which the victim is whoever is not the attacker."""
    table = TABLES[name]
    key = "id" if "id" in table.c else next(iter(table.primary_key.columns)).name
    ours, theirs = (tenant.rows[name][key] for tenant in (walls.attacker, walls.victim))
    return statement.format(
        table=name,
        key=key,
        column=changeable(name),
        ours=hexed(ours),
        theirs=hexed(theirs),
        order="DESC" if str(theirs) > str(ours) else "ASC",
    )


def hexed(value: object) -> str:
    """Return how PostgreSQL writes a key as text."""
    return "\\x" + value.hex() if isinstance(value, bytes) else str(value)


def changeable(name: str) -> str:
    """Return a column that the service's user may change, or at least the first."""
    granted: str = TABLES[name].info["granted"]
    return granted.partition("UPDATE (")[2].partition(",")[0] or next(iter(TABLES[name].c)).name


@pytest.mark.parametrize("attack", READS)
def test_no_way_of_reading_shows_anothers_rows(untouched_walls: Walls, attack: str) -> None:
    walls, worth_trying = untouched_walls, 0
    for name in TABLES:
        statement = written(READS[attack], name, walls)
        for scope in (walls.attacker.id, Scope.NONE):
            assert walls.told_of(attempt(walls, statement, scope)) == set(), name
        worth_trying += bool(walls.told_of(attempt(walls, statement, walls.victim.id)))
    assert worth_trying >= 2


def attempt(walls: Walls, statement: str, scope: Any) -> list[Any]:  # noqa: ANN401
    """Return what a statement gives, or what the error says; it is undone in the end."""
    try:
        return walls.run(statement, scope=scope, undo=True)
    except psycopg.Error as error:
        return [str(error)]
