"""Tenants whose records go into ledgers, made quickly: what stands in them is no matter."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from uuid import UUID

from sqlalchemy import insert, update

from consent_service import clock
from consent_service.access.actor import OPERATOR
from consent_service.consents.models import RecordRow, TombstoneRow
from consent_service.db import Database
from consent_service.ledger.directory import LedgerDirectory
from consent_service.ledger.heads import Heads
from consent_service.ledger.sequencer import Sequencer
from consent_service.signing import Keyring, ensure_keys, sha256
from consent_service.tenants.service import Site, create_site, create_tenant
from tests.ledger.whole import Whole

_records = RecordRow.__table__.c


class Log:
    """A tenant with a site, and whoever adds to its ledger."""

    def __init__(self, database: Database, folder: Path) -> None:
        """Make the tenant; keys and remembered heads are in the folder."""
        ensure_keys(folder / "keys.json")
        self.database = database
        self.folder = folder
        self.keys = Keyring(folder / "keys.json")
        slug = secrets.token_hex(8)
        tenant = create_tenant(database, slug, slug, by=OPERATOR)
        self.site: Site = create_site(database, tenant, slug, ["https://example.com"], by=OPERATOR)
        self.tenant_id = tenant.id
        self.records: list[UUID] = []
        self.sequencer = self.another_sequencer(database)
        self.whole = Whole(database, self.keys, [tenant.id])

    @property
    def heads(self) -> Heads:
        """What is remembered, as a process finds it that has just begun."""
        return Heads(self.folder / "heads")

    def another_sequencer(self, database: Database) -> Sequencer:
        """Return a sequencer as another process would have it."""
        return Sequencer(database, self.keys, LedgerDirectory(database, self.heads))

    def record(self, number: int = 1) -> None:
        """Have visitors choose."""
        made = [clock.new_id() for _ in range(number)]
        with self.database.transaction(self.tenant_id) as connection:
            connection.execute(insert(RecordRow), [self._row(each) for each in made])
        self.records += made

    def _row(self, identity: UUID) -> dict[str, object]:
        salt = secrets.token_bytes(32)
        document = json.dumps({"id": str(identity)})
        return {
            "id": identity,
            "tenant_id": self.tenant_id,
            "site_id": self.site.id,
            "created_at": clock.now(),
            "visitor_id": f"vis_{identity.hex[-20:]}",
            "document": document,
            "signature": bytes(64),
            "key_id": "none",
            "salt": salt,
            "commitment": sha256(salt + document.encode()),
        }

    def erase(self, number: int = 1) -> None:
        """Have the last of them forgotten."""
        gone = [self.records.pop() for _ in range(min(number, len(self.records)))]
        if not gone:
            return
        at = clock.now()
        with self.database.transaction(self.tenant_id) as connection:
            connection.execute(insert(TombstoneRow), [self._tombstone(each) for each in gone])
            emptied = ("visitor_id", "document", "signature", "key_id", "salt")
            connection.execute(
                update(RecordRow)
                .where(_records.id.in_(gone))
                .values(**dict.fromkeys(emptied), erased_at=at)
            )

    def _tombstone(self, record_id: UUID) -> dict[str, object]:
        salt, document = secrets.token_bytes(32), json.dumps({"record_id": str(record_id)})
        return {
            "record_id": record_id,
            "tenant_id": self.tenant_id,
            "site_id": self.site.id,
            "document": document,
            "signature": bytes(64),
            "key_id": "none",
            "salt": salt,
            "commitment": sha256(salt + document.encode()),
            "erased_at": clock.now(),
        }

    def sequence(self) -> int:
        """Add a batch; return how many leaves it has."""
        return self.sequencer.sequence(self.tenant_id)

    def catch_up(self) -> None:
        """Add all that waits."""
        while self.sequence():
            pass

    @property
    def size(self) -> int:
        """How many leaves there are, all of them checked."""
        self.whole.check()
        return sum(self.whole.sizes.values())
