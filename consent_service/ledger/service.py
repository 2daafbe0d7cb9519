"""Prove what a tenant's ledger holds, say how it stands, and begin another one where it must end.

What callers may rely on: no proof is handed out that was not verified a moment before, with the
same functions that those who receive it verify it with.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from consent_service.access import audit
from consent_service.access.actor import Actor
from consent_service.db import Database, Scope
from consent_service.errors import OperatorError
from consent_service.ledger import store
from consent_service.ledger.checkpoint import Checkpoint, Proof, SignedNote
from consent_service.ledger.heads import Heads, Remembered, contradiction
from consent_service.ledger.merkle import Tiles, inclusion_proof, leaf_hash, verify_inclusion
from consent_service.ledger.store import Ledger, Waiting
from consent_service.ledger.tiles import proof_tiles

#: A cosigned checkpoint that was made so long before the head is not proved with: where witnesses
#: are away for long, proofs are to lead to what the keys of today have signed.
MOST_BEHIND = timedelta(hours=1)


class LedgerBroken(Exception):
    """A ledger does not hold together. Nothing that it says may be handed out."""


class Standing(NamedTuple):
    """How a ledger stands."""

    ledger: Ledger
    #: When its newest checkpoint was made.
    made_at: datetime | None
    #: How many witnesses have cosigned that.
    cosignatures: int


class Figures(NamedTuple):
    """What there is of all tenants together."""

    leaves: int
    waiting: Waiting


class Status(NamedTuple):
    """How a tenant's ledgers stand, the oldest first, and what waits for the newest.

    :ivar contradiction: in which way the database is not what this machine remembers
    """

    ledgers: Sequence[Standing]
    waiting: Waiting
    contradiction: str | None


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
        tiles = Tiles(size, proof_tiles(connection, ledger, leaf.leaf_index, size))
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
    then = store.made_at(connection, ledger, cosigned)
    newest = store.made_at(connection, ledger, ledger.size)
    near = then is not None and newest is not None and newest - then <= MOST_BEHIND
    return cosigned if near else ledger.size


def figures(database: Database) -> Figures:
    """Count the leaves of all ledgers, and what waits for them.

    :raises Unavailable: when the database does not answer
    """
    with database.reading(Scope.DIRECTORY) as connection:
        leaves = sum(ledger.size for ledger in store.every_ledger(connection))
        return Figures(leaves, store.waiting_of_all(connection))


def status(database: Database, heads: Heads, tenant_id: UUID) -> Status:
    """Say how a tenant's ledgers stand.

    :raises OperatorError: when the folder of remembered heads cannot be read
    """
    remembered = heads.all().get(tenant_id, {})
    with database.reading(tenant_id) as connection:
        ledgers = store.all_ledgers(connection, tenant_id)
        return Status(
            [
                Standing(
                    each,
                    store.made_at(connection, each, each.size),
                    store.count_cosignatures(connection, each),
                )
                for each in ledgers
            ],
            store.waiting(connection, tenant_id),
            contradiction(remembered, ledgers, partial(store.root_at, connection)),
        )


def reopen(database: Database, heads: Heads, tenant_id: UUID, *, by: Actor) -> Ledger:
    """Close a tenant's suspended ledger for ever, and begin another one; return that.

    It has another name, so nothing that was published of the one before is contradicted.

    :raises OperatorError: when it is not suspended, or remembered heads cannot be read
    """
    remembered = heads.all().get(tenant_id, {})
    with database.transaction(tenant_id) as connection:
        made = _begin_another(connection, tenant_id, remembered, by)
    # Where that fails, it is enough that the database says that they are closed.
    with suppress(OSError):
        for number in remembered:
            heads.set_aside(tenant_id, number)
    return made


def _begin_another(
    connection: Connection, tenant_id: UUID, remembered: Remembered, by: Actor
) -> Ledger:
    ledgers = store.all_ledgers(connection, tenant_id)
    current = next((each for each in ledgers if not each.closed_at), None)
    reason = contradiction(remembered, ledgers, partial(store.root_at, connection))
    if reason is None and not (current and current.suspended_at):
        raise OperatorError(
            "This tenant's ledger is not suspended: it goes on from all that was published. "
            "Nothing was changed."
        )
    if current:
        store.close(connection, current)
    numbers = {each.number for each in ledgers}
    # Other machines, which remember them too, are to know that somebody has decided.
    for number in sorted(set(remembered) - numbers):
        store.close(connection, store.begin(connection, tenant_id, number))
    made = store.begin(connection, tenant_id, max(numbers | set(remembered)) + 1)
    audit.write(
        connection,
        tenant_id,
        by,
        "ledger.reopened",
        "ledger",
        made.origin,
        before={"origin": current.origin, "size": current.size} if current else None,
        after={"origin": made.origin, "size": 0, "reason": reason or "suspended before"},
    )
    return made
