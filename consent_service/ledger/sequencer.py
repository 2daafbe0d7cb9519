"""Add what waits to the ledgers, in batches, each of which ends with a signed checkpoint.

Any number of processes may do it for one database, and any of them may be killed at any time: a
batch is one transaction, which begins by reading the head and ends only if the head is still that.
So there is never a second head, and nothing is added twice or left out.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from consent_service.db import Contended, Database, Scope
from consent_service.errors import Unavailable
from consent_service.ledger import store
from consent_service.ledger.checkpoint import Checkpoint, SignedNote
from consent_service.ledger.directory import LedgerDirectory
from consent_service.ledger.heads import Remembered, contradiction
from consent_service.ledger.merkle import GrowingTree, leaf_hash
from consent_service.ledger.service import LedgerBroken
from consent_service.ledger.signatures import sign_checkpoint
from consent_service.ledger.store import Ledger
from consent_service.signing import Keyring
from consent_service.tenants.service import Site

#: Leaves that are added in one transaction.
BATCH = 1000

#: Batches of one tenant before it is the next one's turn.
_BATCHES = 10

log = logging.getLogger(__name__)


class _Batch(NamedTuple):
    """What was added to which ledger, and the checkpoint that says so."""

    ledger: Ledger
    leaves: int
    note: SignedNote


class Sequencer:
    """Adds what waits to each tenant's ledger."""

    def __init__(self, database: Database, keys: Keyring, directory: LedgerDirectory) -> None:
        """Sign checkpoints with these keys, and remember what was signed in this directory."""
        self._database = database
        self._keys = keys
        self._directory = directory
        #: Tenants whose ledgers could not be added to the last time, which was logged.
        self._failing: set[UUID] = set()

    def run(self, sites: Iterable[Site]) -> bool:
        """Add what waits of all tenants, a few batches of each in turn.

        :returns: whether there was anything
        :raises Unavailable: when the database does not answer
        :raises OperatorError: when what was published cannot be looked at
        """
        with self._database.reading(Scope.DIRECTORY) as connection:
            self._directory.refresh(connection)
        added = 0
        for tenant_id in {site.tenant_id: None for site in sites}:
            if tenant_id in self._directory.unmarked:
                self._suspend(tenant_id)
            elif tenant_id not in self._directory.suspended:
                added += self._try(tenant_id)
        return added > 0

    def sequence(self, tenant_id: UUID) -> int:
        """Add a batch to a tenant's ledger; return how many leaves it has.

        :raises Contended: when somebody else has moved the head meanwhile; nothing was added
        :raises LedgerBroken: when the ledger does not hold together; nothing was added
        :raises Unavailable: when the database does not answer
        """
        with self._database.reading(tenant_id) as connection:
            if not store.pending(connection, tenant_id, 1):
                return 0
        # Before the database is read, which may have grown by then but not shrunk.
        remembered = self._directory.heads.of(tenant_id)
        try:
            with self._database.transaction(tenant_id) as connection:
                batch = self._add(connection, tenant_id, remembered)
        except IntegrityError as error:
            raise Contended from error
        if batch is None:
            return 0
        self._directory.heads.remember(batch.ledger, batch.note)
        return batch.leaves

    def _try(self, tenant_id: UUID) -> int:
        """Add a few batches, and log it once where that fails; return the number of leaves."""
        added = 0
        try:
            for _ in range(_BATCHES):
                batch = self.sequence(tenant_id)
                added += batch
                if batch < BATCH:
                    break
        except Contended:
            # Whoever was first does the same work.
            return added
        except Unavailable:
            raise
        except Exception:
            if tenant_id not in self._failing:
                log.exception("a ledger cannot be added to", extra={"tenant": str(tenant_id)})
            self._failing.add(tenant_id)
            return added
        self._failing.discard(tenant_id)
        return added

    def _add(
        self, connection: Connection, tenant_id: UUID, remembered: Remembered
    ) -> _Batch | None:
        ledgers = store.all_ledgers(connection, tenant_id)
        root_at = partial(store.root_at, connection)
        ledger = next((each for each in ledgers if not each.closed_at), None)
        if contradiction(remembered, ledgers, root_at) or (ledger and ledger.suspended_at):
            # The next look at all ledgers says so.
            return None
        leaves = store.pending(connection, tenant_id, BATCH)
        if not leaves:
            # Somebody else was first.
            return None
        if ledger is None:
            ledger = store.begin(connection, tenant_id)
        tree = GrowingTree.at(ledger.size, store.tile_reader(connection, ledger))
        if tree.root() != ledger.root:
            raise LedgerBroken(f"{ledger.origin}: its head is not that of its leaves")
        nodes = [node for leaf in leaves for node in tree.add(leaf_hash(leaf.commitment))]
        head = Checkpoint(ledger.origin, tree.size, tree.root())
        if not store.move_head(connection, ledger, head):
            raise Contended
        store.append(connection, ledger, leaves, nodes)
        note = sign_checkpoint(self._keys, SignedNote(head.text, ()))
        store.add_checkpoint(connection, ledger, head.size, note)
        return _Batch(ledger, len(leaves), note)

    def _suspend(self, tenant_id: UUID) -> None:
        """Have all processes know, those too that remember nothing."""
        remembered = self._directory.heads.of(tenant_id)
        try:
            with self._database.transaction(tenant_id) as connection:
                ledgers = store.all_ledgers(connection, tenant_id)
                if contradiction(remembered, ledgers, partial(store.root_at, connection)):
                    ledger = next((each for each in ledgers if not each.closed_at), None)
                    if ledger is None:
                        ledger = store.begin(connection, tenant_id, max(remembered))
                    store.suspend(connection, ledger)
        except IntegrityError:
            # Somebody else was first.
            return
