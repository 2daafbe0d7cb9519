"""Migrations: one line of them, up and down on each kind of database, equal to the models."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Table, create_engine, insert, inspect, make_url, select, text
from sqlalchemy.engine.interfaces import ReflectedIndex
from sqlalchemy.exc import DBAPIError

from consent_service import clock, db
from consent_service.consents.models import RecordChangeRow, RecordRow, TombstoneRow
from consent_service.db import Base, Database
from consent_service.errors import Unavailable
from consent_service.ledger.models import PendingLeafRow
from consent_service.tenants.models import SiteRow, TenantRow
from tests.databases import Urls

MIGRATIONS = Path(__file__).parent.parent / "migrations"
REVISIONS = [
    revision.revision
    for revision in reversed(
        list(ScriptDirectory.from_config(Config(MIGRATIONS / "alembic.ini")).walk_revisions())
    )
]

#: What refuses changes is no part of the models; it must be there all the same.
TRIGGERS = {
    "sqlite": {
        "notices_stay",
        "notices_stay_as_they_are",
        "records_stay",
        "records_are_only_erased",
        "records_made_are_noted",
        "records_erased_are_noted",
        "audit_events_stay",
        "audit_events_stay_as_they_are",
        "records_are_erased_lawfully",
        "records_are_to_be_leaves",
        "tombstones_are_to_be_leaves",
        "tombstones_empty_their_records",
        "pending_leaves_become_leaves",
        "pending_leaves_stay_as_they_are",
        "ledgers_only_grow",
        "ledgers_stay",
        "legal_holds_are_only_lifted",
        "legal_holds_stay",
        *(
            f"{table}_{stay}"
            for table in ("tombstones", "leaves", "nodes", "checkpoints", "cosignatures")
            for stay in ("stay", "stay_as_they_are")
        ),
    },
    "postgresql": {
        "notices_stay",
        "notices_are_not_emptied",
        "records_stay",
        "records_are_not_emptied",
        "records_are_only_erased",
        "records_made_are_noted",
        "records_erased_are_noted",
        "audit_events_stay",
        "audit_events_are_not_emptied",
        "records_are_erased_lawfully",
        "tombstones_are_to_be_leaves",
        "tombstones_empty_their_records",
        "pending_leaves_become_leaves",
        "pending_leaves_stay_as_they_are",
        "pending_leaves_are_not_emptied",
        "ledgers_only_grow",
        "ledgers_stay",
        "ledgers_are_not_emptied",
        "legal_holds_are_only_lifted",
        "legal_holds_stay",
        "legal_holds_are_not_emptied",
        "legal_holds_wait_for_erasures",
        *(
            f"{table}_{stay}"
            for table in ("tombstones", "leaves", "nodes", "checkpoints", "cosignatures")
            for stay in ("stay", "are_not_emptied")
        ),
    },
}

#: What else there is on PostgreSQL, in words that compare. A user's name is that of the moment.
ON_POSTGRESQL = {
    "functions": "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
    "row-level security": """
        SELECT relname || ' ' || relrowsecurity || ' ' || relforcerowsecurity FROM pg_class
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
            AND relname <> 'alembic_version'
    """,
    "policies": """
        SELECT concat_ws(' ', tablename, policyname, permissive, roles, cmd, qual, with_check)
        FROM pg_policies
    """,
    "rights": """
        SELECT concat_ws(' ', relname, grantee = relowner, privilege_type, is_grantable)
        FROM pg_class, aclexplode(relacl)
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
            AND relname <> 'alembic_version'
    """,
    "rights to columns": """
        SELECT concat_ws(' ', attrelid::regclass, attname, privilege_type, is_grantable)
        FROM pg_attribute, aclexplode(attacl)
        WHERE attacl IS NOT NULL AND attrelid::regclass::text !~ '^pg_'
    """,
}


def index_shape(index: ReflectedIndex) -> str:
    """Write out an index, with the text of a condition that it may have."""
    options = {name: str(value) for name, value in index.get("dialect_options", {}).items()}
    return repr({**index, "dialect_options": options})


def shape(url: str) -> dict[str, object]:
    """Return all that is in a database besides rows."""
    engine = create_engine(url)
    kind = engine.dialect.name
    triggers = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
        "postgresql": "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal",
    }[kind]
    with engine.connect() as connection:
        inspector = inspect(connection)
        found: dict[str, object] = {
            name: (
                [repr(column) for column in inspector.get_columns(name)],
                sorted(map(index_shape, inspector.get_indexes(name))),
                sorted(map(repr, inspector.get_foreign_keys(name))),
                sorted(map(repr, inspector.get_unique_constraints(name))),
            )
            for name in inspector.get_table_names()
            if name != "alembic_version"
        }
        found["triggers"] = set(connection.execute(text(triggers)).scalars())
        if kind == "postgresql":
            found |= {
                what: set(connection.execute(text(query)).scalars())
                for what, query in ON_POSTGRESQL.items()
            }
    engine.dispose()
    return found


def test_there_is_one_line_of_migrations_and_its_end_is_known() -> None:
    script = ScriptDirectory.from_config(Config(MIGRATIONS / "alembic.ini"))
    assert script.get_heads() == [REVISIONS[-1]] == [db.newest_revision()]
    assert script.get_bases() == [REVISIONS[0]]
    for number, revision in enumerate(REVISIONS, start=1):
        assert revision == f"{number:04}"


def test_migrated_tables_are_those_of_the_models(owner_url: str) -> None:
    engine = create_engine(owner_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, Base.metadata) == []
        assert set(inspect(connection).get_table_names()) == {
            *Base.metadata.tables,
            "alembic_version",
        }
    engine.dispose()


def test_the_triggers_are_there(owner_url: str) -> None:
    assert shape(owner_url)["triggers"] == TRIGGERS[make_url(owner_url).get_backend_name()]


def test_every_migration_goes_up_down_and_up_again(empty_urls: Urls) -> None:
    before = shape(empty_urls.owner)
    shapes = [before]
    for revision in REVISIONS:
        empty_urls.upgrade(revision)
        shapes.append(shape(empty_urls.owner))
        db.downgrade(empty_urls.owner, "-1")
        assert shape(empty_urls.owner) == shapes[-2], revision
        empty_urls.upgrade(revision)
        assert shape(empty_urls.owner) == shapes[-1], revision
    db.downgrade(empty_urls.owner, "base")
    assert shape(empty_urls.owner) == before


def test_a_migration_that_fails_half_way_leaves_nothing(empty_urls: Urls) -> None:
    engine = create_engine(empty_urls.owner)
    with engine.begin() as connection:
        # The last table that the first migration makes is already there.
        connection.execute(text("CREATE TABLE current_states (id INTEGER)"))
    before = shape(empty_urls.owner)
    with pytest.raises((Unavailable, DBAPIError)):
        empty_urls.upgrade()
    assert shape(empty_urls.owner) == before
    engine.dispose()


#: A record as it was before ledgers, and one that was erased then.
WHOLE, ERASED = UUID(int=1), UUID(int=2)
TENANT, SITE = UUID(int=3), UUID(int=4)
DOCUMENT, SALT = '{"choices":{"analytics":true},"language":"sw-TZ-ŋ"}', bytes(range(32))


@contextmanager
def of_tenant(urls: Urls) -> Iterator[Connection]:
    """Write to a tenant's rows as the tables' owner, whom policies hold too."""
    database = Database(urls.owner)
    with database.transaction(TENANT) as connection:
        yield connection
    database.close()


def add(connection: Connection, table: Any, **values: Any) -> None:  # noqa: ANN401
    """Insert a row into a table that has fewer columns than the models say."""
    connection.execute(insert(table.__table__).values(values))


def rows(connection: Connection, table: Any, *names: str) -> list[tuple[Any, ...]]:  # noqa: ANN401
    """Return columns of all rows, in order."""
    found: Table = table.__table__
    query = select(*(found.c[name] for name in names)).order_by(*(found.c[name] for name in names))
    return [tuple(row) for row in connection.execute(query)]


@pytest.fixture
def with_records(empty_urls: Urls) -> Urls:
    """A database as it was before ledgers, with a record in it and one that was erased."""
    empty_urls.upgrade("0005")
    of_one = {"tenant_id": TENANT, "site_id": SITE, "created_at": clock.now()}
    with of_tenant(empty_urls) as connection:
        add(connection, TenantRow, id=TENANT, slug="a", name="A", created_at=clock.now())
        add(
            connection,
            SiteRow,
            id=SITE,
            tenant_id=TENANT,
            site_key="site_a",
            name="A",
            allowed_origins=[],
            regime_overrides={},
            created_at=clock.now(),
            changed_ms=0,
        )
        add(connection, RecordRow, id=WHOLE, **of_one, document=DOCUMENT, salt=SALT)
        add(connection, RecordRow, id=ERASED, **of_one, erased_at=clock.now())
    return empty_urls


COMMITMENT = hashlib.sha256(SALT + DOCUMENT.encode()).digest()


def check_commitments(urls: Urls) -> None:
    """See that the whole record waits for the ledger, and the erased one does not."""
    with of_tenant(urls) as connection:
        assert rows(connection, RecordRow, "id", "document", "salt", "commitment") == [
            (WHOLE, DOCUMENT, SALT, COMMITMENT),
            (ERASED, None, None, None),
        ]
        assert rows(connection, PendingLeafRow, "tenant_id", "record_id", "commitment") == [
            (TENANT, WHOLE, COMMITMENT)
        ]
        # Nothing was made or erased: reports would count it.
        assert rows(connection, RecordChangeRow, "record_id", "erased") == [
            (WHOLE, False),
            (ERASED, False),
        ]


def test_records_from_before_there_were_ledgers_wait_for_theirs(with_records: Urls) -> None:
    with_records.upgrade("0006")
    check_commitments(with_records)
    db.downgrade(with_records.owner, "0005")
    with of_tenant(with_records) as connection:
        assert rows(connection, RecordRow, "id", "document", "salt") == [
            (WHOLE, DOCUMENT, SALT),
            (ERASED, None, None),
        ]
    with_records.upgrade("0006")
    check_commitments(with_records)


def test_what_was_erased_stays_so_when_ledgers_are_taken_away_and_come_back(
    with_records: Urls,
) -> None:
    with_records.upgrade("0006")
    with of_tenant(with_records) as connection:
        add(
            connection,
            TombstoneRow,
            record_id=WHOLE,
            tenant_id=TENANT,
            site_id=SITE,
            document="{}",
            signature=b"s",
            key_id="k",
            salt=b"s",
            commitment=bytes(32),
            erased_at=clock.now(),
        )
    db.downgrade(with_records.owner, "0005")
    with_records.upgrade("0006")
    with of_tenant(with_records) as connection:
        assert rows(connection, RecordRow, "id", "document", "salt", "commitment") == [
            (WHOLE, None, None, None),
            (ERASED, None, None, None),
        ]
        assert rows(connection, PendingLeafRow, "record_id") == []
