"""Two tenants with a row in every table of a PostgreSQL database, and somebody who speaks raw SQL.

All of it goes by the tables that the models name: a table that is added later is tried as well.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    Date,
    Integer,
    LargeBinary,
    String,
    Table,
    Uuid,
    delete,
    insert,
    text,
)

from consent_service import clock
from consent_service.db import Base, Database, Scope, UtcDateTime
from consent_service.ledger import models as _ledger  # noqa: F401 - registers its tables
from tests.databases import Urls

#: After those that their rows refer to.
TABLES: dict[str, Table] = {table.name: table for table in Base.metadata.sorted_tables}

#: Whose rows are somebody's who signs in, and no tenant's.
OF_USERS = {
    name for name, table in TABLES.items() if name != "tenants" and "tenant_id" not in table.c
}

Row = dict[str, Any]

_SECRET_DIGITS = 10


@dataclass
class Tenant:
    """A tenant and its row in each table; those of users are its one member's."""

    rows: dict[str, Row] = field(default_factory=dict)

    @property
    def id(self) -> UUID:
        """The tenant's id."""
        found: UUID = self.rows["tenants"]["id"]
        return found

    def owns(self, name: str, row: Row) -> bool:
        """Say whether a row of a table is this tenant's, or its member's."""
        if name in OF_USERS:
            return bool(row["id" if name == "users" else "user_id"] == self.rows["users"]["id"])
        return bool(row["id" if name == "tenants" else "tenant_id"] == self.id)

    def new_row(self, name: str) -> Row:
        """Return another row for a table, which refers to those that the tenant has."""
        table = TABLES[name]
        row = {column.name: _value(column) for column in table.c}
        for constraint in table.foreign_key_constraints:
            for element in constraint.elements:
                row[element.parent.name] = self.rows[element.column.table.name][element.column.name]
        return row

    def secrets(self) -> set[str]:
        """Return what nobody else could know: ids, texts and hashes of the rows."""
        found = set()
        for row in self.rows.values():
            for value in row.values():
                if isinstance(value, bytes):
                    found |= {repr(value)[2:-1], value.hex()}
                elif isinstance(value, dict):
                    found |= set(value.values())
                elif isinstance(value, UUID | str):
                    found.add(str(value))
        return found


def _value(column: Column[Any]) -> Any:  # noqa: ANN401, PLR0911 - one for each kind
    kind = column.type
    if isinstance(kind, Uuid):
        return clock.new_id()
    if isinstance(kind, UtcDateTime):
        return clock.now()
    if isinstance(kind, Date):
        return clock.now().date()
    if isinstance(kind, Boolean):
        return False
    if isinstance(kind, Integer):
        return secrets.randbelow(1 << 30)
    if isinstance(kind, LargeBinary):
        return secrets.token_bytes(16)
    if isinstance(kind, JSON):
        return {"secret": secrets.token_hex(8)}
    assert isinstance(kind, String), f"give {column} a value here"
    if kind.length is not None and kind.length < _SECRET_DIGITS:
        # Too short to be told from anything else.
        return "x" * kind.length
    return secrets.token_hex(_SECRET_DIGITS // 2)


@contextmanager
def unwalled(owner: Database) -> Iterator[Connection]:
    """Let the tables' owner past their policies, for this transaction."""
    with owner.transaction(Scope.NONE) as connection:
        for name in TABLES:
            connection.execute(text(f"ALTER TABLE {name} NO FORCE ROW LEVEL SECURITY"))
        yield connection
        for name in TABLES:
            connection.execute(text(f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY"))


def fill(owner: Database, tenants: Sequence[Tenant]) -> None:
    """Give each tenant a row in every table."""
    with unwalled(owner) as connection:
        # The tombstone's record is to be there whole, and nothing here is a leaf of anything.
        for trigger in _AWAY:
            connection.execute(text(trigger.format("DISABLE")))
        for tenant in tenants:
            for name, table in TABLES.items():
                tenant.rows[name] = tenant.new_row(name)
                connection.execute(insert(table), tenant.rows[name])
            # The database has noted the record by itself: one row in every table is enough.
            for name in ("record_changes", "pending_leaves"):
                noted = TABLES[name].c.record_id
                connection.execute(
                    delete(TABLES[name]).where(noted == tenant.rows["records"]["id"])
                )
        for trigger in _AWAY:
            connection.execute(text(trigger.format("ENABLE")))


_AWAY = (
    "ALTER TABLE tombstones {} TRIGGER tombstones_empty_their_records",
    "ALTER TABLE pending_leaves {} TRIGGER pending_leaves_become_leaves",
)


@dataclass
class Walls:
    """The database, one of its tenants as attacker, another as victim."""

    urls: Urls
    attacker: Tenant
    victim: Tenant
    notices: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Connect as the service does."""
        self.served = Database(self.urls.served)
        self.owner = Database(self.urls.owner)

    def close(self) -> None:
        """Disconnect."""
        self.served.close()
        self.owner.close()

    def run(
        self,
        statements: str,
        *parameters: object,
        scope: UUID | Scope | None = None,
        undo: bool = False,
    ) -> list[Any]:
        """Run raw SQL as the service's user, and return the rows of the last statement.

        :param scope: the attacker's tenant unless another is stated
        :param undo: to roll back, not commit
        :raises psycopg.Error: what the database says
        """
        with self.served.transaction(scope or self.attacker.id) as connection:
            raw: Any = connection.connection.driver_connection
            raw.add_notice_handler(self._hear)
            try:
                *before, last = statements.split(";\n")
                for statement in before:
                    raw.execute(statement)
                if last.endswith("TO STDOUT"):
                    with raw.cursor().copy(last) as copy:
                        return list(copy.rows())
                cursor = raw.execute(last, parameters or None)
                return list(cursor.fetchall()) if cursor.description else []
            finally:
                raw.remove_notice_handler(self._hear)
                if undo:
                    raw.execute("ROLLBACK")

    def told_of(self, said: Sequence[object]) -> set[str]:
        """Return what is said of the victim's rows, that the attacker's do not hold too."""
        told = repr(said).replace("\\\\", "\\")
        known = self.victim.secrets() - self.attacker.secrets()
        return {secret for secret in known if secret in told}

    def _hear(self, notice: psycopg.errors.Diagnostic) -> None:
        self.notices.append(f"{notice.message_primary} {notice.message_detail}")

    def all_else(self) -> dict[str, list[str]]:
        """Return all rows that are not the attacker's, and what keeps them so.

        Each row comes with where and by which transaction it was written last.
        """
        found = {}
        with unwalled(self.owner) as connection:
            for name in TABLES:
                query = text(f"SELECT ctid, xmin, * FROM {name}")  # noqa: S608
                all_of_it = [dict(row) for row in connection.execute(query).mappings()]
                found[name] = [repr(row) for row in all_of_it if not self.attacker.owns(name, row)]
        with self.owner.reading(Scope.NONE) as connection:
            for what, keeping in _KEEPING.items():
                rows = connection.execute(text(keeping), {"served_by": self.urls.served_by})
                found[what] = [repr(row) for row in rows]
        return {what: sorted(rows) for what, rows in found.items()}


_KEEPING = {
    "relations": """
        SELECT relname, relkind, relowner, relacl::text, relrowsecurity, relforcerowsecurity
        FROM pg_class WHERE relnamespace = 'public'::regnamespace
    """,
    "policies": "SELECT * FROM pg_policies",
    "functions": "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
    "triggers": "SELECT tgname, tgenabled FROM pg_trigger",
    # Other tests make users on the same server.
    "roles": "SELECT * FROM pg_roles WHERE rolname IN (:served_by, 'another')",
    "memberships of roles": """
        SELECT roleid FROM pg_auth_members WHERE member = CAST(:served_by AS regrole)
    """,
}
