"""Somebody who speaks raw SQL as the service, in one tenant's scope, tries to reach another's rows.

What is tried must be worth trying: the same statement in the victim's own scope finds its rows.
"""

# ruff: noqa: S608 - the statements are the attack

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import errors, sql
from sqlalchemy import Executable, make_url, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError

from consent_service.db import Scope
from tests.databases import PostgresDatabases, database_of
from tests.tenants.walls import OF_USERS, TABLES, Row, Tenant, Walls, fill, unwalled

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


@contextmanager
def copied(databases: PostgresDatabases, filled: tuple[str, Tenant, Tenant]) -> Iterator[Walls]:
    template, attacker, victim = filled
    with databases.fresh(template) as urls:
        made = Walls(urls, attacker, victim)
        yield made
        made.close()


@contextmanager
def kept(walls: Walls) -> Iterator[None]:
    """Hold that all but the attacker's rows is as it was, when the block ends."""
    before = walls.all_else()
    yield
    assert walls.all_else() == before


@pytest.fixture(scope="module")
def shared_walls(
    postgresql_databases: PostgresDatabases, filled: tuple[str, Tenant, Tenant]
) -> Iterator[Walls]:
    """The two tenants, for attacks that do not wear them out."""
    with copied(postgresql_databases, filled) as made:
        yield made


@pytest.fixture
def walls(shared_walls: Walls) -> Iterator[Walls]:
    """The same; when the test is over, all but the attacker's rows is as it was."""
    with kept(shared_walls):
        yield shared_walls


@pytest.fixture
def walls_of_its_own(
    postgresql_databases: PostgresDatabases, filled: tuple[str, Tenant, Tenant]
) -> Iterator[Walls]:
    """The same in a database of the test's own."""
    with copied(postgresql_databases, filled) as made, kept(made):
        yield made


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
    "index alone": (
        "SET LOCAL enable_seqscan = off;\nSELECT {key} FROM {table} ORDER BY {key} {order}"
    ),
    "view": "CREATE TEMP VIEW v AS SELECT * FROM {table};\nSELECT * FROM v",
    "temporary table": "CREATE TEMP TABLE t AS SELECT * FROM {table};\nSELECT * FROM t",
    "function": (
        "CREATE FUNCTION pg_temp.f() RETURNS SETOF {table} SECURITY DEFINER LANGUAGE sql"
        " AS 'SELECT * FROM {table}';\nSELECT * FROM pg_temp.f()"
    ),
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
        victim=walls.victim.id,
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
def test_no_way_of_reading_shows_anothers_rows(shared_walls: Walls, attack: str) -> None:
    walls, worth_trying = shared_walls, 0
    for name in TABLES:
        statement = written(READS[attack], name, walls)
        for scope in (walls.attacker.id, Scope.NONE):
            assert walls.told_of(attempt(walls, statement, scope)) == set(), name
        worth_trying += bool(walls.told_of(attempt(walls, statement, walls.victim.id)))
    assert worth_trying >= 2


def attempt(walls: Walls, statement: str, scope: UUID | Scope) -> list[Any]:
    """Return what a statement gives, or what the error says; undo it in any case."""
    try:
        return walls.run(statement, scope=scope, undo=True)
    except psycopg.Error as error:
        return [str(error)]


def test_a_plan_made_for_another_is_not_used_for_its_rows(shared_walls: Walls) -> None:
    """Connections are shared by all tenants, and so are the statements prepared on them."""
    walls = shared_walls
    for name in OF_TENANTS:
        walls.run(
            "SET plan_cache_mode = force_generic_plan;\n"
            f"PREPARE all_of_{name} AS SELECT * FROM {name}",
            scope=walls.victim.id,
        )
        for scope, expected in ((walls.victim.id, True), (walls.attacker.id, False)) * 2:
            rows = walls.run(f"EXECUTE all_of_{name}", scope=scope)
            assert bool(walls.told_of(rows)) == expected, name


#: A function that tells what it is given, and is so cheap that the planner would ask it first.
TELL = """
    CREATE FUNCTION pg_temp.tell(given text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001
    AS $$ BEGIN RAISE NOTICE 'given %', given; RETURN true; END $$;
"""

LEAKS = {
    "a cheap function": TELL + "SELECT FROM {table} t WHERE pg_temp.tell(t::text)",
    "a cheap function in a join": TELL
    + "SELECT FROM tenants a JOIN {table} t ON pg_temp.tell(t::text)",
    "a cheap operator": TELL
    + "CREATE OPERATOR pg_temp.!! (RIGHTARG = text, FUNCTION = pg_temp.tell);\n"
    "SELECT FROM {table} t WHERE OPERATOR(pg_temp.!!) (t::text)",
    "a cast that fails": "SELECT FROM {table} t WHERE {key}::text <> '{ours}' AND t::text::int = 0",
    "a cast that fails in an aggregate": (
        "SELECT sum({key}::text::int) FROM {table} WHERE {key}::text <> '{ours}'"
    ),
}


@pytest.mark.parametrize("attack", LEAKS)
def test_what_looks_at_each_row_is_given_ones_own_alone(shared_walls: Walls, attack: str) -> None:
    walls, worth_trying = shared_walls, 0
    for name in TABLES:
        for scope in (walls.attacker.id, walls.victim.id):
            walls.notices.clear()
            said = attempt(walls, written(LEAKS[attack], name, walls), scope) + walls.notices
            if scope == walls.attacker.id:
                assert walls.told_of(said) == set(), name
            else:
                worth_trying += bool(walls.told_of(said))
    assert worth_trying == len(OF_TENANTS)


@pytest.mark.parametrize("name", TABLES)
def test_an_error_does_not_tell_whether_another_has_a_row(shared_walls: Walls, name: str) -> None:
    walls = shared_walls
    oracle = written(
        "SELECT FROM {table} WHERE 1 / (CASE {key}::text WHEN '{theirs}' THEN 0 ELSE 1 END) = 1",
        name,
        walls,
    )
    walls.run(oracle)
    if name in OF_TENANTS:
        with pytest.raises(errors.DivisionByZero):
            walls.run(oracle, scope=walls.victim.id)


def test_statistics_show_nothing_of_the_rows(walls: Walls) -> None:
    in_statistics = text("SELECT count(*) FROM pg_stats WHERE schemaname = 'public'")
    with unwalled(walls.owner) as connection:
        connection.execute(text("ANALYZE"))
        assert connection.execute(in_statistics).scalar_one() > 100
    about_ours = "SELECT tablename FROM pg_stats WHERE schemaname = 'public'"
    assert set(walls.run(about_ours)) <= {("alembic_version",)}
    with pytest.raises(errors.InsufficientPrivilege):
        walls.run("SELECT * FROM pg_statistic")


WRITES = {
    "all": "UPDATE {table} SET {column} = {column}",
    "one": "UPDATE {table} SET {column} = {column} WHERE {key}::text = '{theirs}'",
    "by a join": "UPDATE {table} a SET {column} = b.{column} FROM {table} b",
    "to be another's": "UPDATE {table} SET tenant_id = '{victim}'",
    "by place": "UPDATE {table} SET {column} = {column} WHERE ctid = '(0,2)'",
    "merged": (
        "MERGE INTO {table} t USING (VALUES ('{theirs}')) AS v (key) ON t.{key}::text = v.key"
        " WHEN MATCHED THEN UPDATE SET {column} = t.{column}"
        " WHEN NOT MATCHED THEN DO NOTHING"
    ),
    "by a cursor": (
        "DECLARE c CURSOR FOR SELECT * FROM {table} FOR UPDATE;\nFETCH 1 FROM c;\n"
        "UPDATE {table} SET {column} = {column} WHERE CURRENT OF c"
    ),
    "through a view": (
        "CREATE TEMP VIEW v_{table} AS SELECT * FROM {table};\n"
        "UPDATE v_{table} SET {column} = {column}"
    ),
    "in a common table expression": (
        "WITH gone AS (DELETE FROM {table} RETURNING *) SELECT * FROM gone"
    ),
    "deleting one": "DELETE FROM {table} WHERE {key}::text = '{theirs}'",
    "deleting all": "DELETE FROM {table}",
    "deleting by a join": "DELETE FROM {table} a USING {table} b",
    "emptying": "TRUNCATE {table}",
    "emptying all": "TRUNCATE {table} CASCADE",
}


@pytest.mark.parametrize("attack", WRITES)
def test_no_way_of_changing_touches_anothers_rows(walls_of_its_own: Walls, attack: str) -> None:
    for name in TABLES:
        # No error that only says that the attack was written badly.
        with suppress(
            errors.InsufficientPrivilege,
            errors.IntegrityError,
            errors.RestrictViolation,
            errors.UndefinedColumn,
            errors.InvalidCursorState,  # it found no row
        ):
            walls_of_its_own.run(written(WRITES[attack], name, walls_of_its_own))


@pytest.mark.parametrize("name", TABLES)
def test_no_row_is_added_in_anothers_name(walls: Walls, name: str) -> None:
    assert refused(walls, insert(TABLES[name]), walls.victim.new_row(name))


@pytest.mark.parametrize("name", TABLES)
def test_no_row_of_ones_own_refers_to_anothers(walls: Walls, name: str) -> None:
    for constraint in TABLES[name].foreign_key_constraints:
        row = walls.attacker.new_row(name)
        changed = {
            element.parent.name: walls.victim.rows[element.column.table.name][element.column.name]
            for element in constraint.elements
            if element.parent.name != "tenant_id"
        }
        if changed:
            assert refused(walls, insert(TABLES[name]), row | changed), changed


@pytest.mark.parametrize("name", TABLES)
def test_no_conflict_turns_an_addition_into_anothers_change(walls: Walls, name: str) -> None:
    table = TABLES[name]
    keys = [column.name for column in table.primary_key]
    theirs = walls.victim.rows[name]
    for row in (theirs, walls.attacker.rows[name] | {key: theirs[key] for key in keys}):
        addition = insert(table)
        column = changeable(name)
        for statement in (
            addition.on_conflict_do_update(
                index_elements=keys, set_={column: addition.excluded[column]}
            ),
            addition.on_conflict_do_nothing().returning(table),
        ):
            walls.notices.clear()
            assert refused(walls, statement, row) or walls.told_of(walls.notices) == set()


def refused(walls: Walls, statement: Executable, row: Row) -> bool:
    """Run an insertion as the attacker; say whether the database refused it."""
    try:
        with walls.served.transaction(walls.attacker.id) as connection:
            result = connection.execute(statement, row)
            if result.returns_rows:
                walls.notices.append(repr(result.all()))
    except DBAPIError:
        return True
    return False


RISING = [
    *("SET ROLE {owner}", "SET SESSION AUTHORIZATION {owner}", "SET ROLE pg_read_all_data"),
    *(
        "GRANT {owner} TO {served}",
        "ALTER ROLE {served} BYPASSRLS",
        "ALTER ROLE {served} SUPERUSER",
    ),
    *("CREATE ROLE another", "CREATE SCHEMA another"),
    "ALTER TABLE {table} DISABLE ROW LEVEL SECURITY",
    "ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY",
    "ALTER TABLE {table} DISABLE TRIGGER ALL",
    "ALTER TABLE {table} OWNER TO {served}",
    "ALTER TABLE {table} ADD COLUMN another int",
    "ALTER TABLE {table} RENAME TO another",
    "CREATE POLICY another ON {table} USING (true)",
    "ALTER POLICY own_tenant ON {table} USING (true)",
    "DROP POLICY IF EXISTS own_tenant ON {table}",
    "DROP TABLE {table} CASCADE",
    "GRANT ALL ON {table} TO PUBLIC",
    "CREATE INDEX ON {table} ((1))",
    "CREATE RULE another AS ON INSERT TO {table} DO ALSO SELECT 1",
    "CREATE TRIGGER another BEFORE INSERT ON {table} EXECUTE FUNCTION refuse_change()",
    "CREATE TABLE public.another (LIKE {table})",
    "CREATE VIEW public.another AS SELECT * FROM {table}",
    "CREATE TABLE another () INHERITS ({table})",
    "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE internal AS 'now'",
    "DROP FUNCTION refuse_change() CASCADE",
    "CREATE FUNCTION public.another() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE EXTENSION dblink",
    "COPY {table} FROM '/dev/null'",
    "COPY {table} TO '/dev/null'",
    "COPY {table} TO PROGRAM 'cat'",
    "SELECT pg_read_file('postgresql.conf')",
    "UPDATE alembic_version SET version_num = 'another'",
    "UPDATE pg_class SET relrowsecurity = false",
    "INSERT INTO pg_policy SELECT * FROM pg_policy",
    "SET session_replication_role = replica",
]


@pytest.mark.parametrize("attack", RISING)
def test_the_services_user_cannot_take_the_walls_down(walls: Walls, attack: str) -> None:
    names = {
        "owner": sql.Identifier(make_url(walls.urls.owner).username or ""),
        "served": sql.Identifier(walls.urls.served_by or ""),
    }
    for name in ("records", "tenants", "users"):
        statement = sql.SQL(attack).format(**names, table=sql.Identifier(name)).as_string()
        # Some of it is only said to have no effect; what counts is that it has none.
        with suppress(errors.InsufficientPrivilege, errors.FeatureNotSupported):
            walls.run(statement)
        assert walls.told_of(attempt(walls, f"SELECT * FROM {name}", walls.attacker.id)) == set()


def test_without_row_level_security_nothing_is_answered(shared_walls: Walls) -> None:
    for name in TABLES:
        with pytest.raises(errors.InsufficientPrivilege, match="row-level security"):
            shared_walls.run(f"SET LOCAL row_security = off;\nSELECT * FROM {name}")


@pytest.mark.parametrize("left", ["SET consent.scope = '{}'", "SET SESSION consent.scope TO '{}'"])
def test_what_one_transaction_leaves_on_the_connection_is_not_the_nexts_scope(
    walls: Walls, left: str
) -> None:
    walls.run(left.format(walls.victim.id))
    for scope in (walls.attacker.id, Scope.NONE):
        for name in TABLES:
            assert walls.told_of(walls.run(f"SELECT * FROM {name}", scope=scope)) == set()
