"""Ledgers that grow without visitors: what becomes a leaf is made up."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from secrets import token_bytes
from uuid import UUID

from sqlalchemy import Boolean, LargeBinary, Uuid, column, insert, table

from consent_service import clock
from consent_service.db import Database, UtcDateTime
from consent_service.ledger import store
from consent_service.ledger.directory import LedgerDirectory
from consent_service.ledger.heads import Heads
from consent_service.ledger.sequencer import Sequencer
from consent_service.ledger.store import Ledger
from consent_service.signing import Keyring, ensure_keys
from consent_service.tenants.service import Site, find_site
from tests.builders import SITE_KEY, Service

_PENDING = table(
    "pending_leaves",
    column("tenant_id", Uuid),
    column("record_id", Uuid),
    column("tombstone", Boolean),
    column("commitment", LargeBinary),
    column("added_at", UtcDateTime),
)


@dataclass
class Growing:
    """A database with a tenant whose ledger can be made to grow."""

    database: Database
    keys: Keyring
    site: Site
    heads: Heads

    @classmethod
    def of(cls, service: Service) -> Growing:
        """Return that of a service."""
        heads = Heads(service.settings.heads_folder)
        return cls(service.built.database, service.use(Keyring), service.site, heads)

    @classmethod
    def at(cls, template: Path, folder: Path) -> Growing:
        """Return one with a copy of a database that has a site, and new keys."""
        ensure_keys(folder / "keys.json")
        database = Database(f"sqlite:///{shutil.copy(template, folder / 'consent.db')}")
        site = find_site(database, SITE_KEY)
        return cls(database, Keyring(folder / "keys.json"), site, Heads(folder / "heads"))

    @property
    def tenant_id(self) -> UUID:
        """The tenant."""
        return self.site.tenant_id

    def ledger(self) -> Ledger:
        """Return the tenant's ledger as it is."""
        with self.database.reading(self.tenant_id) as connection:
            found = store.open_ledger(connection, self.tenant_id)
        assert found is not None
        return found

    def add(self, count: int, tenant_id: UUID | None = None) -> list[UUID]:
        """Add leaves in one batch; return whose they are, in their order."""
        tenant_id = tenant_id or self.tenant_id
        ids = [clock.new_id() for _ in range(count)]
        rows = [
            {
                "tenant_id": tenant_id,
                "record_id": each,
                "tombstone": False,
                "commitment": token_bytes(32),
                "added_at": clock.now(),
            }
            for each in ids
        ]
        with self.database.transaction(tenant_id) as connection:
            connection.execute(insert(_PENDING), rows)
        directory = LedgerDirectory(self.database, self.heads)
        Sequencer(self.database, self.keys, directory).sequence(tenant_id)
        return ids

    def grow_to(self, size: int) -> None:
        """Add what is missing."""
        with self.database.reading(self.tenant_id) as connection:
            ledger = store.open_ledger(connection, self.tenant_id)
        if missing := size - (ledger.size if ledger else 0):
            self.add(missing)
