"""Migrations: one line of them, up and down on each kind of database, equal to the models."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, make_url, text
from sqlalchemy.engine.interfaces import ReflectedIndex
from sqlalchemy.exc import DBAPIError

from consent_service import db
from consent_service.db import Base
from consent_service.errors import Unavailable

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
    },
    "postgresql": {
        "notices_stay",
        "notices_are_not_emptied",
        "records_stay",
        "records_are_not_emptied",
        "records_are_only_erased",
    },
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
            functions = "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
            found["functions"] = set(connection.execute(text(functions)).scalars())
    engine.dispose()
    return found


def test_there_is_one_line_of_migrations_and_its_end_is_known() -> None:
    script = ScriptDirectory.from_config(Config(MIGRATIONS / "alembic.ini"))
    assert script.get_heads() == [REVISIONS[-1]] == [db.newest_revision()]
    assert script.get_bases() == [REVISIONS[0]]
    for number, revision in enumerate(REVISIONS, start=1):
        assert revision == f"{number:04}"


def test_migrated_tables_are_those_of_the_models(database_url: str) -> None:
    engine = create_engine(database_url)
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


def test_the_triggers_that_refuse_changes_are_there(database_url: str) -> None:
    assert shape(database_url)["triggers"] == TRIGGERS[make_url(database_url).get_backend_name()]


def test_every_migration_goes_up_down_and_up_again(empty_database_url: str) -> None:
    before = shape(empty_database_url)
    shapes = [before]
    for revision in REVISIONS:
        db.upgrade(empty_database_url, revision)
        shapes.append(shape(empty_database_url))
        db.downgrade(empty_database_url, "-1")
        assert shape(empty_database_url) == shapes[-2], revision
        db.upgrade(empty_database_url, revision)
        assert shape(empty_database_url) == shapes[-1], revision
    db.downgrade(empty_database_url, "base")
    assert shape(empty_database_url) == before


def test_a_migration_that_fails_half_way_leaves_nothing(empty_database_url: str) -> None:
    engine = create_engine(empty_database_url)
    with engine.begin() as connection:
        # The last table that the first migration makes is already there.
        connection.execute(text("CREATE TABLE current_states (id INTEGER)"))
    before = shape(empty_database_url)
    with pytest.raises((Unavailable, DBAPIError)):
        db.upgrade(empty_database_url)
    assert shape(empty_database_url) == before
    engine.dispose()
