"""Turn what waits into leaves, in batches. Any number may try at once; one of them succeeds.

A batch is one transaction: leaves, nodes, the signed checkpoint and the head that is compared and
moved are there together or not at all. Whatever is killed when, the next one begins with what
waits.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from consent_service.db import Contended, Database
from consent_service.errors import Unavailable
from consent_service.ledger import store
from consent_service.ledger.checkpoint import (
    ED25519,
    Checkpoint,
    NoteKey,
    NoteSignature,
    SignedNote,
)
from consent_service.ledger.merkle import GrowingTree, leaf_hash
from consent_service.signing import Keyring
from consent_service.tenants.service import Site

#: Leaves that are added in one transaction.
BATCH = 1000

#: Batches of one tenant before it is the next one's turn.
_BATCHES = 10

log = logging.getLogger(__name__)


class Sequencer:
    """Adds what waits to each tenant's ledger."""

    def __init__(self, database: Database, keys: Keyring) -> None:
        """Sign checkpoints with these keys."""
        self._database = database
        self._keys = keys

    def run(self, sites: Iterable[Site]) -> bool:
        """Add what waits of all tenants, a few batches of each in turn.

        :returns: whether there was anything
        :raises Unavailable: when the database does not answer
        """
        added = 0
        for tenant_id in {site.tenant_id: None for site in sites}:
            try:
                for _ in range(_BATCHES):
                    batch = self.sequence(tenant_id)
                    added += batch
                    if batch < BATCH:
                        break
            except Contended:
                # Whoever was first does the same work.
                continue
            except Unavailable:
                raise
            except Exception:
                log.exception("a ledger could not be added to", extra={"tenant": str(tenant_id)})
        return added > 0

    def sequence(self, tenant_id: UUID) -> int:
        """Add a batch to a tenant's ledger; return how many leaves it has.

        :raises Contended: when somebody else has moved the head meanwhile; nothing was added
        :raises Unavailable: when the database does not answer
        """
        with self._database.reading(tenant_id) as connection:
            if not store.pending(connection, tenant_id, 1):
                return 0
        try:
            with self._database.transaction(tenant_id) as connection:
                ledger = store.open_ledger(connection, tenant_id)
                if ledger is None:
                    ledger = store.begin(connection, tenant_id)
                if ledger.suspended_at:
                    return 0
                leaves = store.pending(connection, tenant_id, BATCH)
                tree = GrowingTree.at(ledger.size, store.tile_reader(connection, ledger))
                nodes = [node for leaf in leaves for node in tree.add(leaf_hash(leaf.commitment))]
                head = Checkpoint(ledger.origin, tree.size, tree.root())
                if not store.move_head(connection, ledger, head):
                    raise Contended
                store.append(connection, ledger, leaves, nodes)
                store.add_checkpoint(connection, ledger, head.size, self._sign(head))
        except IntegrityError as error:
            raise Contended from error
        return len(leaves)

    def _sign(self, head: Checkpoint) -> SignedNote:
        signatures = []
        for public, value in self._keys.sign_for_log(head.text.encode()):
            key = NoteKey(head.origin, ED25519, public)
            signatures.append(NoteSignature(key.name, key.id, value))
        return SignedNote(head.text, tuple(signatures))
