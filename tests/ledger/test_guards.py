"""The database itself refuses to rewrite a ledger, or to drop what waits for one."""

# ruff: noqa: S608 - the statements are written here, and none comes from outside

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError

from consent_service import clock
from consent_service.db import Base, Database
from consent_service.ledger.models import CosignatureRow
from tests.builders import Service

NEVER_CHANGED = ("leaves", "nodes", "checkpoints", "cosignatures")

#: What is tried on ledgers; each has one that is open, with a leaf.
HEADS = (
    "size = size - 1",
    "size = 0, root = root",
    "size = NULL",
    "root = x'00'",
    "root = NULL",
    "size = size + 1, origin = 'consent-service/another/1'",
    "number = number + 1",
    "id = tenant_id",
)


def run(database: Database, service: Service, statement: str) -> None:
    """Run raw SQL in a transaction of the tenant."""
    if service.on_postgresql:
        statement = statement.replace("x'00'", r"'\x00'")
    with database.transaction(service.tenant.id) as connection:
        connection.execute(text(statement))


def refused(database: Database, service: Service, table: str, statement: str, told: str) -> None:
    """Run a statement; see that the database refuses it, and that all is as it was."""
    before: list[dict[str, Any]] = service.rows(table)
    with pytest.raises(DBAPIError, match=told):
        run(database, service, statement)
    assert service.rows(table) == before, statement


@pytest.fixture
def sequenced(service: Service) -> Service:
    """A service whose tenant has a ledger with a row in each of its tables."""
    service.choose()
    sequence(service)
    (head,) = service.rows("ledgers")
    seen = {
        "ledger_id": service.rows("checkpoints")[0]["ledger_id"],
        "size": head["size"],
        "witness": "witness.example.com",
        "tenant_id": head["tenant_id"],
        "line": "— witness.example.com AAAA",
        "made_at": clock.now(),
    }
    node = {
        "ledger_id": seen["ledger_id"],
        "level": 8,
        "node_index": 0,
        "tenant_id": head["tenant_id"],
        "hash": bytes(32),
    }
    with service.built.database.transaction(service.tenant.id) as connection:
        connection.execute(insert(CosignatureRow), as_uuids(seen))
        connection.execute(insert(Base.metadata.tables["nodes"]), as_uuids(node))
    return service


def as_uuids(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with its ids as the models have them, whatever the driver gives."""
    return {
        name: UUID(str(value)) if name in {"ledger_id", "tenant_id"} else value
        for name, value in row.items()
    }


def sequence(service: Service) -> None:
    service.sequencer.sequence(service.tenant.id)


def test_what_a_ledger_holds_is_never_changed_or_taken_away(
    sequenced: Service, owner: Database
) -> None:
    for table in NEVER_CHANGED:
        column = next(iter(Base.metadata.tables[table].c)).name
        statements = [f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"]
        statements += (
            [f"TRUNCATE {table} CASCADE"]
            if sequenced.on_postgresql
            else [f"REPLACE INTO {table} SELECT * FROM {table}"]
        )
        for statement in statements:
            never = f"{table} are never changed or deleted"
            no_right = f"permission denied for table {table}" if sequenced.on_postgresql else never
            refused(sequenced.built.database, sequenced, table, statement, no_right)
            refused(owner, sequenced, table, statement, never)


def test_a_ledger_only_grows(sequenced: Service, owner: Database) -> None:
    for database in (sequenced.built.database, owner):
        for change in HEADS:
            statement = f"UPDATE ledgers SET {change}"
            refused(database, sequenced, "ledgers", statement, "a ledger only grows")
    served = "permission denied" if sequenced.on_postgresql else "never changed or deleted"
    refused(sequenced.built.database, sequenced, "ledgers", "DELETE FROM ledgers", served)
    refused(owner, sequenced, "ledgers", "DELETE FROM ledgers", "never changed or deleted")
    if sequenced.on_postgresql:
        gone = "TRUNCATE ledgers CASCADE"
        refused(owner, sequenced, "ledgers", gone, "never changed or deleted")


def test_a_closed_ledger_stays_closed_and_as_it_is(sequenced: Service, owner: Database) -> None:
    run(sequenced.built.database, sequenced, "UPDATE ledgers SET closed_at = suspended_at")
    run(sequenced.built.database, sequenced, "UPDATE ledgers SET closed_at = '2026-03-01 00:00:00'")
    for database in (sequenced.built.database, owner):
        for change in ("closed_at = NULL", "size = size + 1", "closed_at = '2027-03-01 00:00:00'"):
            statement = f"UPDATE ledgers SET {change}"
            refused(database, sequenced, "ledgers", statement, "a ledger only grows")


def test_what_waits_is_taken_away_only_once_it_is_a_leaf(service: Service, owner: Database) -> None:
    service.choose()
    told = "what waits for the ledger is taken away only once it is a leaf"
    for database in (service.built.database, owner):
        refused(database, service, "pending_leaves", "DELETE FROM pending_leaves", told)
    changes = "UPDATE pending_leaves SET commitment = commitment"
    denied = "permission denied" if service.on_postgresql else "never changed"
    refused(service.built.database, service, "pending_leaves", changes, denied)
    refused(owner, service, "pending_leaves", changes, "never changed")
    if service.on_postgresql:
        emptied = "TRUNCATE pending_leaves"
        refused(service.built.database, service, "pending_leaves", emptied, "permission denied")
        refused(owner, service, "pending_leaves", emptied, "never changed")
    sequence(service)
    assert service.rows("pending_leaves") == []
    assert len(service.rows("leaves")) == 1


def test_what_waits_is_not_taken_away_for_the_leaf_of_something_else(service: Service) -> None:
    service.choose()
    sequence(service)
    (leaf,) = service.rows("leaves")
    # The same record again, with another commitment; and as a tombstone.
    other = "x'00'" if not service.on_postgresql else r"'\x00'"
    no, yes = ("false", "true") if service.on_postgresql else ("0", "1")
    again = (
        "INSERT INTO pending_leaves (tenant_id, record_id, tombstone, commitment, added_at) "
        "SELECT tenant_id, record_id, {}, {}, '2026-03-01 00:00:00' FROM leaves"
    )
    told = "what waits for the ledger is taken away only once it is a leaf"
    for statement in (again.format(no, other), again.format(yes, "commitment")):
        with service.built.database.transaction(service.tenant.id) as connection:
            undone = connection.begin_nested()
            connection.execute(text(statement))
            with pytest.raises(DBAPIError, match=told):
                connection.execute(text("DELETE FROM pending_leaves"))
            undone.rollback()
    assert service.rows("leaves") == [leaf]
