"""Encrypting anew, with the newest data key, what older ones encrypted.

Each value says which key encrypted it, so what is left to do stands in the tables themselves: the
work can be broken off at any time, and begun again. Values that others change meanwhile are theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Row, and_, func, select, update
from sqlalchemy.orm import InstrumentedAttribute

from consent_service.access.models import (
    InvitationRow,
    OneTimeRow,
    ProviderRow,
    TotpRow,
    UserRow,
)
from consent_service.db import Database, Scope
from consent_service.errors import CannotDecrypt
from consent_service.signing import Keyring

#: Values that one transaction changes.
BATCH = 200


@dataclass(frozen=True)
class Column:
    """A column of encrypted values, and what tells its rows apart."""

    key: InstrumentedAttribute[Any]
    value: InstrumentedAttribute[str]
    #: Writes a row's key as the values' context has it.
    written: Callable[[Any], str] = str
    #: Whose the row is, where only its own tenant sees it.
    tenant_id: InstrumentedAttribute[Any] | None = None

    def context(self, key: object) -> str:
        """Return what a value was encrypted for."""
        return f"{self.value.class_.__tablename__}.{self.value.key} {self.written(key)}"


#: All that is encrypted and written in the scope of accounts.
OF_ACCOUNTS = (
    Column(UserRow.id, UserRow.email),
    Column(UserRow.id, UserRow.name),
    Column(InvitationRow.id, InvitationRow.email),
    Column(TotpRow.user_id, TotpRow.secret),
    Column(OneTimeRow.value_hash, OneTimeRow.content, bytes.hex),
)
#: What only its own tenant writes.
OF_TENANTS = (Column(ProviderRow.tenant_id, ProviderRow.client_secret),)


@dataclass
class Reencryption:
    """One run over all values."""

    database: Database
    keys: Keyring
    #: Columns of other tables, which only their own tenants see; and all tenants.
    hidden: Sequence[Column] = ()
    tenant_ids: Sequence[UUID] = ()
    #: Places whose values could not be read; their keys must stay, or come back.
    unreadable: list[str] = field(default_factory=list)

    def remaining(self) -> int:
        """Return how many values an older key encrypted."""
        with self.database.reading(Scope.ACCOUNTS) as connection:
            found = sum(
                connection.execute(select(func.count()).where(self._older(column))).scalar_one()
                for column in (*OF_ACCOUNTS, *OF_TENANTS)
            )
        for tenant_id in self.tenant_ids:
            with self.database.reading(tenant_id) as connection:
                found += sum(
                    connection.execute(
                        select(func.count()).where(self._older(column, tenant_id))
                    ).scalar_one()
                    for column in self.hidden
                )
        return found

    def run(self) -> Iterator[int]:
        """Encrypt anew; give how many values were looked at, after each batch.

        :raises Unavailable: when the database does not answer; what was done stays done
        """
        for column in OF_ACCOUNTS:
            for rows in self._batches(column):
                with self.database.transaction(Scope.ACCOUNTS) as connection:
                    self._renew(connection, column, rows)
                yield len(rows)
        for column in OF_TENANTS:
            for rows in self._batches(column):
                for row in rows:
                    tenant_id: UUID = row.key
                    with self.database.transaction(tenant_id) as connection:
                        self._renew(connection, column, [row])
                yield len(rows)
        for tenant_id in self.tenant_ids:
            for column in self.hidden:
                for rows in self._batches(column, tenant_id):
                    with self.database.transaction(tenant_id) as connection:
                        self._renew(connection, column, rows)
                    yield len(rows)

    def _batches(
        self, column: Column, tenant_id: UUID | None = None
    ) -> Iterator[Sequence[Row[Any]]]:
        query = (
            select(column.key.label("key"), column.value.label("value"))
            .where(self._older(column, tenant_id))
            .order_by(column.key)
            .limit(BATCH)
        )
        rest = query
        while True:
            with self.database.reading(tenant_id or Scope.ACCOUNTS) as connection:
                rows = connection.execute(rest).all()
            if not rows:
                return
            yield rows
            rest = query.where(column.key > rows[-1].key)

    def _renew(self, connection: Connection, column: Column, rows: Sequence[Row[Any]]) -> None:
        for row in rows:
            context = column.context(row.key)
            try:
                text = self.keys.decrypt(row.value, context)
            except CannotDecrypt:
                self.unreadable.append(context)
                continue
            connection.execute(
                update(column.value.class_)
                # Unless somebody else has written another value meanwhile.
                .where(column.key == row.key, column.value == row.value)
                .values({column.value: self.keys.encrypt(text, context)})
            )

    def _older(self, column: Column, tenant_id: UUID | None = None) -> ColumnElement[bool]:
        older = ~column.value.startswith(f"{self.keys.data_key_id}.", autoescape=True)
        if tenant_id is None or column.tenant_id is None:
            return older
        return and_(column.tenant_id == tenant_id, older)
