"""The database itself refuses to change or delete records; only a tombstone empties them."""

# ruff: noqa: S608 - the statements are written here, and none comes from outside

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from consent_service.db import Database
from tests.builders import Service

EMPTIED = (
    "visitor_id",
    "document",
    "signature",
    "key_id",
    "salt",
    "idempotency_hash",
    "request_hash",
    "after_ms",
)
#: What a tombstone does to a record. Nobody else does it.
ERASURE = ", ".join(
    [*(f"{column} = NULL" for column in EMPTIED), "erased_at = '2026-03-01 00:00:00'"]
)

#: Everything else that somebody might try.
CHANGES = (
    "document = '{}'",
    "visitor_id = 'vis_another'",
    "created_at = '2020-01-01 00:00:00'",
    "erased_at = '2026-03-01 00:00:00'",
    "document = NULL",
    "document = document",
    "commitment = NULL",
    "commitment = salt",
    ERASURE,
    f"{ERASURE}, commitment = NULL",
    ERASURE.replace("document = NULL", "document = ''"),
    f"{ERASURE}, created_at = '2020-01-01 00:00:00'",
    f"{ERASURE}, tenant_id = (SELECT id FROM sites)",
    f"{ERASURE}, site_id = (SELECT id FROM tenants)",
    f"{ERASURE}, id = (SELECT id FROM tenants)",
    *(ERASURE.replace(f"{column} = NULL, ", "") for column in EMPTIED),
    ERASURE.rpartition(",")[0],
)


#: What the database says to each user: a trigger refuses, or the right is not there to begin with.
NEVER = "records are never changed or deleted"
NO_TOMBSTONE = "a record is erased only where its tombstone stands"
NO_RIGHT = "permission denied for table records"

#: A tombstone for every record; the policies let the tenant's through.
BURY = """
    INSERT INTO tombstones (record_id, tenant_id, site_id, document, signature, key_id, salt,
            commitment, erased_at)
        SELECT id, tenant_id, site_id, '{}', commitment, 'key', commitment, commitment, created_at
        FROM records
"""


def run(database: Database, service: Service, statement: str) -> None:
    with database.transaction(service.tenant.id) as connection:
        connection.execute(text(statement))


def refused(database: Database, service: Service, statement: str, told: str = NEVER) -> bool:
    """Run a statement; say whether the database refused it and all is as it was."""
    before: list[dict[str, Any]] = service.rows("records")
    with pytest.raises(DBAPIError, match=told):
        run(database, service, statement)
    return service.rows("records") == before


def test_a_record_cannot_be_changed(service: Service, owner: Database) -> None:
    service.choose(headers={"Idempotency-Key": "x" * 16})
    for change in CHANGES:
        for database in (service.built.database, owner):
            told = f"{NEVER}|{NO_TOMBSTONE}"
            assert refused(database, service, f"UPDATE records SET {change}", told), change


def test_a_record_cannot_be_deleted(service: Service, owner: Database) -> None:
    service.choose()
    told = NO_RIGHT if service.on_postgresql else NEVER
    assert refused(service.built.database, service, "DELETE FROM records", told)
    assert refused(owner, service, "DELETE FROM records")


def test_a_record_cannot_be_replaced_or_swept_away(service: Service, owner: Database) -> None:
    service.choose()
    if service.on_postgresql:
        assert refused(service.built.database, service, "TRUNCATE records", NO_RIGHT)
        assert refused(owner, service, "TRUNCATE records CASCADE")
    else:
        assert refused(owner, service, "REPLACE INTO records SELECT * FROM records")


def test_a_record_is_erased_by_its_tombstone_and_once(service: Service, owner: Database) -> None:
    service.choose(after_ms=1200, headers={"Idempotency-Key": "x" * 16})
    (before,) = service.rows("records")
    run(service.built.database, service, BURY)
    (row,) = service.rows("records")
    assert {row.pop(column) for column in EMPTIED} == {None}
    assert row.pop("erased_at") == before["created_at"]
    assert row == {name: before[name] for name in row}
    told = "was not erased|UNIQUE|unique"
    for database in (service.built.database, owner):
        assert refused(database, service, f"UPDATE records SET {ERASURE}")
        assert refused(database, service, "UPDATE records SET document = '{}'")
        assert refused(database, service, "UPDATE records SET erased_at = NULL")
        assert refused(database, service, BURY, told)
    assert refused(owner, service, "DELETE FROM records")


def test_no_tombstone_stands_for_what_is_not_erased_by_it(
    service: Service, owner: Database
) -> None:
    service.choose()
    service.add_site("site_other")
    told = "a tombstone stands for a record of the site that was not erased|FOREIGN KEY|foreign key"
    for wrong in (
        BURY.replace("site_id, '{}'", "(SELECT id FROM sites WHERE id <> site_id), '{}'"),
        BURY.replace("SELECT id,", "SELECT site_id,"),
    ):
        for database in (service.built.database, owner):
            assert refused(database, service, wrong, told), wrong
    assert service.rows("tombstones") == []
