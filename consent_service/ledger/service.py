"""Prove what a tenant's ledger holds.

What callers may rely on: no proof is handed out that was not verified a moment before, with the
same functions that those who receive it verify it with.
"""

from __future__ import annotations

from uuid import UUID

from consent_service.db import Database
from consent_service.ledger import store
from consent_service.ledger.checkpoint import Proof, SignedNote
from consent_service.ledger.merkle import Tiles, inclusion_proof, leaf_hash, verify_inclusion
from consent_service.ledger.store import Ledger
from consent_service.ledger.tiles import proof_tiles


class LedgerBroken(Exception):
    """A ledger does not hold together. Nothing that it says may be handed out."""


def prove(
    database: Database, tenant_id: UUID, record_id: UUID, *, tombstone: bool = False
) -> Proof | None:
    """Return the proof that a record, or the tombstone of one, is in a ledger of the tenant.

    :returns: None while it waits, and for what there is none of
    :raises LedgerBroken: when the proof would not verify
    """
    with database.reading(tenant_id) as connection:
        leaf = store.find_leaf(connection, tenant_id, record_id, tombstone=tombstone)
        if leaf is None:
            return None
        ledger = store.ledger_with_id(connection, tenant_id, leaf.ledger_id)
        note = _head_note(store.checkpoint(connection, ledger, ledger.size), ledger)
        read = proof_tiles(connection, ledger, leaf.leaf_index, ledger.size)
        tiles = Tiles(ledger.size, read)
        hashes = inclusion_proof(tiles, leaf.leaf_index)
    try:
        verify_inclusion(
            entry_hash=leaf_hash(leaf.commitment),
            index=leaf.leaf_index,
            size=ledger.size,
            proof=hashes,
            root=ledger.root,
        )
    except ValueError as error:
        raise LedgerBroken(f"{ledger.origin}: leaf {leaf.leaf_index}: {error}") from error
    return Proof(leaf.leaf_index, tuple(hashes), note)


def _head_note(note: SignedNote | None, ledger: Ledger) -> SignedNote:
    if note is None or note.text != ledger.head.text:
        raise LedgerBroken(f"{ledger.origin}: the head has no checkpoint of its own")
    return note
