"""Prove what a tenant's ledger holds.

What callers may rely on: no proof is handed out that was not verified a moment before, with the
same functions that those who receive it verify it with.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection

from consent_service.db import Database
from consent_service.ledger import store
from consent_service.ledger.checkpoint import Checkpoint, Proof, SignedNote
from consent_service.ledger.merkle import Tiles, inclusion_proof, leaf_hash, verify_inclusion
from consent_service.ledger.store import Ledger

#: A cosigned checkpoint that was made so long before the head is not proved with: where witnesses
#: are away for long, proofs are to lead to what the keys of today have signed.
MOST_BEHIND = timedelta(hours=1)


class LedgerBroken(Exception):
    """A ledger does not hold together. Nothing that it says may be handed out."""


def prove(
    database: Database, tenant_id: UUID, record_id: UUID, *, tombstone: bool = False
) -> Proof | None:
    """Return the proof that a record, or the tombstone of one, is in a ledger of the tenant.

    It leads to the newest checkpoint that a witness has cosigned, if that is of a tree with the
    leaf in it and was made within :data:`MOST_BEHIND` of the head's; else to the head.

    :returns: None while it waits, and for what there is none of
    :raises LedgerBroken: when the proof would not verify
    """
    with database.reading(tenant_id) as connection:
        leaf = store.find_leaf(connection, tenant_id, record_id, tombstone=tombstone)
        if leaf is None:
            return None
        ledger = store.ledger_with_id(connection, tenant_id, leaf.ledger_id)
        size = _size_to_prove_with(connection, ledger, leaf.leaf_index)
        note, said = signed_checkpoint(connection, ledger, size)
        tiles = Tiles(size, store.tile_reader(connection, ledger))
        hashes = inclusion_proof(tiles, leaf.leaf_index)
    try:
        verify_inclusion(
            entry_hash=leaf_hash(leaf.commitment),
            index=leaf.leaf_index,
            size=size,
            proof=hashes,
            root=said.root,
        )
    except ValueError as error:
        raise LedgerBroken(f"{ledger.origin}: leaf {leaf.leaf_index}: {error}") from error
    return Proof(leaf.leaf_index, tuple(hashes), note)


def signed_checkpoint(
    connection: Connection, ledger: Ledger, size: int
) -> tuple[SignedNote, Checkpoint]:
    """Return the checkpoint of a size, with all cosignatures, and what it says.

    :raises LedgerBroken: when there is none, or it says something else than the head of that size
    """
    note = store.checkpoint(connection, ledger, size)
    said = Checkpoint.parse(note.text) if note else None
    if note is None or said is None or (said.origin, said.size) != (ledger.origin, size):
        raise LedgerBroken(f"{ledger.origin}: no checkpoint is of {size} leaves")
    if size == ledger.size and said != ledger.head:
        raise LedgerBroken(f"{ledger.origin}: the head has no checkpoint of its own")
    return note, said


def _size_to_prove_with(connection: Connection, ledger: Ledger, index: int) -> int:
    cosigned = store.newest_cosigned(connection, ledger)
    if cosigned is None or not index < cosigned < ledger.size:
        return ledger.size
    made_at = [store.made_at(connection, ledger, size) for size in (cosigned, ledger.size)]
    return cosigned if made_at[1] - made_at[0] <= MOST_BEHIND else ledger.size
