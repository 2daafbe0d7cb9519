"""PostgreSQL's own wall between tenants: nothing is without it, and each scope sees its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from psycopg import errors
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, ProgrammingError

from consent_service.db import Database, Scope
from tests.databases import PostgresDatabases, Urls
from tests.tenants.walls import OF_USERS, TABLES, Row, Tenant, Walls, fill

#: What the service's user has any right to and no forced policy guards.
UNGUARDED = """
    SELECT relname FROM pg_class
    WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND relname <> 'alembic_version'
        AND relnamespace <> ALL ('{pg_catalog, information_schema, pg_toast}'::regnamespace[])
        AND NOT (
            relrowsecurity AND relforcerowsecurity
            AND EXISTS (SELECT FROM pg_policy WHERE polrelid = pg_class.oid)
        )
"""

ENABLE, FORCE, POLICY = (
    "ALTER TABLE late ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE late FORCE ROW LEVEL SECURITY",
    "CREATE POLICY own ON late USING (true)",
)

RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")

#: What nobody changes or deletes, and what is only emptied.
APPEND_ONLY = {
    "notices",
    "audit_events",
    "tombstones",
    "leaves",
    "nodes",
    "checkpoints",
    "cosignatures",
}
ONLY_EMPTIED = {"records", "ledgers", "legal_holds"}


@pytest.fixture(scope="module")
def walls(postgresql_databases: PostgresDatabases, postgresql_template: str) -> Iterator[Walls]:
    """Two tenants with rows everywhere, to look at."""
    with postgresql_databases.fresh(postgresql_template) as urls:
        made = Walls(urls, Tenant(), Tenant())
        fill(made.owner, [made.attacker, made.victim])
        yield made
        made.close()


def unguarded(database: Database) -> set[str]:
    with database.reading(Scope.NONE) as connection:
        return set(connection.execute(text(UNGUARDED)).scalars())


def test_every_table_has_forced_policies(postgresql_url: str) -> None:
    database = Database(postgresql_url)
    assert unguarded(database) == set()
    database.close()


@pytest.mark.parametrize(
    "statements",
    [
        "CREATE TABLE late (id int)",
        f"CREATE TABLE late (id int); {ENABLE}; {FORCE}",
        f"CREATE TABLE late (id int); {ENABLE}; {POLICY}",
        f"CREATE TABLE late (id int); {FORCE}; {POLICY}",
        "CREATE VIEW late AS SELECT * FROM records",
        "CREATE MATERIALIZED VIEW late AS SELECT * FROM records",
        "CREATE SCHEMA other; CREATE TABLE other.late (id int)",
    ],
)
def test_a_table_without_them_would_be_found(postgresql_urls: Urls, statements: str) -> None:
    owner = Database(postgresql_urls.owner)
    with owner.transaction(Scope.NONE) as connection:
        for statement in statements.split(";"):
            connection.execute(text(statement))
    assert unguarded(owner) == {"late"}
    owner.close()


def test_the_services_user_owns_nothing_and_may_make_nothing(walls: Walls) -> None:
    walls.served.check_subject()
    ((owned, makes),) = walls.run(
        """
        SELECT EXISTS (SELECT FROM pg_shdepend WHERE deptype = 'o' AND refobjid = oid),
            rolcreaterole OR rolcreatedb OR rolsuper OR rolbypassrls OR rolreplication
                OR has_schema_privilege('public', 'CREATE')
        FROM pg_roles WHERE rolname = current_user
        """
    )
    assert (owned, makes) == (False, False)


@pytest.mark.parametrize("name", TABLES)
def test_the_services_user_has_the_rights_that_the_model_names(walls: Walls, name: str) -> None:
    rights = "SELECT has_table_privilege(%s, %s), has_any_column_privilege(%s, %s)"
    held = set()
    for right in RIGHTS:
        columns = right if right in {"SELECT", "INSERT", "UPDATE", "REFERENCES"} else "SELECT"
        ((whole, some),) = walls.run(rights, name, right, name, columns)
        if whole or (some and columns == right):
            held.add(right)
    granted = TABLES[name].info["granted"]
    assert held == {right for right in RIGHTS if right in granted}
    assert held >= {"SELECT", "INSERT"}
    assert not held & {"TRUNCATE", "REFERENCES", "TRIGGER"}
    if name in APPEND_ONLY | ONLY_EMPTIED:
        assert "DELETE" not in held
    if name in APPEND_ONLY:
        assert "UPDATE" not in held


@pytest.mark.parametrize("part", ["tenant_id", "user_id"])
def test_nobody_turns_a_membership_into_anothers(walls: Walls, part: str) -> None:
    for scope in (walls.attacker.id, Scope.ACCOUNTS):
        with pytest.raises(errors.InsufficientPrivilege):
            walls.run(f"UPDATE memberships SET {part} = {part}", scope=scope)  # noqa: S608


@pytest.mark.parametrize("part", ["id", "tenant_id", "secret_hash", "scopes", "created_at"])
def test_nobody_makes_more_of_an_api_key(walls: Walls, part: str) -> None:
    for scope in (walls.attacker.id, Scope.ACCOUNTS):
        with pytest.raises(errors.InsufficientPrivilege):
            walls.run(f"UPDATE api_keys SET {part} = {part}", scope=scope)  # noqa: S608


def test_an_upgrade_takes_back_what_was_granted_beyond_that(postgresql_urls: Urls) -> None:
    served, owner = Database(postgresql_urls.served), Database(postgresql_urls.owner)
    delete = text("SELECT has_table_privilege('records', 'DELETE')")
    with owner.transaction(Scope.NONE) as connection:
        connection.execute(text(f"GRANT ALL ON records TO {postgresql_urls.served_by}"))
    for expected in (True, False):
        with served.reading(Scope.NONE) as connection:
            assert connection.execute(delete).scalar_one() == expected
        postgresql_urls.upgrade()
    served.close()
    owner.close()


#: Each scope, and the tables of which it sees every row.
OPEN_TO = {
    Scope.DIRECTORY: {
        *("tenants", "sites", "notices", "current_states"),
        *("ledgers", "pending_leaves"),
    },
    Scope.ACCOUNTS: OF_USERS | {"memberships", "invitations", "api_keys", "identity_providers"},
    Scope.NONE: set[str](),
}


@pytest.mark.parametrize("name", TABLES)
def test_each_scope_sees_what_it_says(walls: Walls, name: str) -> None:
    for scope, tables in OPEN_TO.items():
        assert seen(walls, name, scope) == (2 if name in tables else 0), scope
    for tenant in (walls.attacker, walls.victim):
        expected = 0 if name in OF_USERS - {"users"} else 1
        assert seen(walls, name, tenant) == expected


def seen(walls: Walls, name: str, by: Scope | Tenant) -> int:
    """Return how many rows a scope sees; a tenant's are its own."""
    scope = by.id if isinstance(by, Tenant) else by
    with walls.served.reading(scope) as connection:
        rows = connection.execute(TABLES[name].select()).mappings().all()
    if isinstance(by, Tenant):
        assert all(by.owns(name, dict(row)) for row in rows)
    return len(rows)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("stated", ["nothing", "an empty text", "a tenant that is not there"])
def test_a_transaction_without_a_scope_of_ours_sees_nothing(
    walls: Walls, name: str, stated: str
) -> None:
    forget = {
        "nothing": "RESET consent.scope",
        "an empty text": "SET LOCAL consent.scope = ''",
        "a tenant that is not there": f"SET LOCAL consent.scope = '{walls.urls.served_by}'",
    }[stated]
    assert walls.run(f"{forget};\nSELECT * FROM {name}") == []


#: What a scope that is not a tenant's may write.
WRITES = {
    Scope.DIRECTORY: set[str](),
    Scope.ACCOUNTS: OF_USERS | {"memberships", "invitations", "audit_events"},
    Scope.NONE: set[str](),
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("scope", Scope)
def test_each_scope_adds_what_it_says(walls: Walls, name: str, scope: Scope) -> None:
    row = walls.attacker.new_row(name)
    assert refused_to_add(walls, name, row, scope) == (name not in WRITES[scope])


def refused_to_add(walls: Walls, name: str, row: Row, scope: Scope) -> bool:
    """Try to add a row, and undo it; say whether the policies refused."""
    with walls.served.transaction(scope) as connection:
        nested = connection.begin_nested()
        try:
            connection.execute(TABLES[name].insert(), row)
        except ProgrammingError as error:
            if isinstance(error.orig, errors.InsufficientPrivilege):
                return True
            raise
        except IntegrityError:
            # The tenant has one already; policies are asked before that is looked at.
            return False
        finally:
            nested.rollback()
    return False


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("scope", Scope)
def test_each_scope_changes_and_deletes_what_it_says(walls: Walls, name: str, scope: Scope) -> None:
    may = WRITES[scope] | ({"api_keys"} if scope is Scope.ACCOUNTS else set())
    granted = TABLES[name].info["granted"]
    changes = {
        "UPDATE": f"UPDATE {name} SET {changeable(name)} = {changeable(name)}",  # noqa: S608
        "DELETE": f"DELETE FROM {name}",  # noqa: S608
    }
    for right, statement in changes.items():
        if right not in granted:
            with pytest.raises(errors.InsufficientPrivilege):
                walls.run(statement, scope=scope)
            continue
        with walls.served.transaction(scope) as connection:
            nested = connection.begin_nested()
            touched = connection.exec_driver_sql(statement).rowcount
            nested.rollback()
        allowed = name in may and not (name == "api_keys" and right == "DELETE")
        assert touched == (2 if allowed else 0), right


def changeable(name: str) -> str:
    """Return a column that may be changed, if any may."""
    granted: str = TABLES[name].info["granted"]
    named = granted.partition("UPDATE (")[2]
    return named.partition(",")[0] or next(iter(TABLES[name].c)).name
