"""What anybody may read of a ledger: checkpoints, tiles, and proofs that it only grew.

What callers may rely on: no checkpoint leaves whose tree is not here, and no proof that was not
verified a moment before.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from consent_service.db import Database
from consent_service.errors import NotFound, UnknownLedger, ValidationFailed
from consent_service.ledger import store
from consent_service.ledger.checkpoint import ED25519, Checkpoint, NoteKey, SignedNote, origin_of
from consent_service.ledger.merkle import (
    TILE_WIDTH,
    ProofRefused,
    Tiles,
    consistency_proof,
    verify_consistency,
)
from consent_service.ledger.service import LedgerBroken, signed_checkpoint
from consent_service.ledger.signatures import sign_checkpoint
from consent_service.ledger.store import Ledger
from consent_service.ledger.tile_address import TileAddress
from consent_service.signing import Keyring

#: Checkpoints that a process remembers to have verified.
_REMEMBERED = 4096

_NO_TILE = (
    "The ledger has no such tile yet, or its address is not written as tlog-tiles has it: "
    "/tile/LEVEL/x001/x234/067, with .p/WIDTH after it for a part of one."
)


class KeptCheckpoint(NamedTuple):
    """A checkpoint, with all that witnesses have added, and when it was made."""

    size: int
    note: SignedNote
    made_at: datetime


class Publishing:
    """Reads ledgers for those who watch them."""

    def __init__(self, database: Database, keys: Keyring) -> None:
        """Read from this database; ledgers were signed with these keys."""
        self._database = database
        self._keys = keys
        self._verified: set[tuple[UUID, Checkpoint]] = set()

    def checkpoint(self, tenant_id: UUID, number: int, *, cosigned: bool = False) -> SignedNote:
        """Return the newest checkpoint; with ``cosigned`` the newest that a witness has cosigned.

        :raises UnknownLedger: when there is none
        :raises LedgerBroken: when the tree that it is of is not here
        """
        with self._database.reading(tenant_id) as connection:
            ledger = _ledger(connection, tenant_id, number)
            size = store.newest_cosigned(connection, ledger) if cosigned else ledger.size
            if size is None:
                raise UnknownLedger("No witness has cosigned a checkpoint of this ledger yet.")
            return self._verified_note(connection, ledger, size)

    def tile(self, tenant_id: UUID, number: int, address: TileAddress | None) -> bytes:
        """Return the hashes of a tile, one after the other.

        :raises UnknownLedger: when there is no such ledger
        :raises NotFound: when the address is None, or the tree does not have all of the tile
        """
        with self._database.reading(tenant_id) as connection:
            ledger, found = _of_tree(connection, tenant_id, number, address)
            return b"".join(store.tile_reader(connection, ledger)(*found))

    def entries(self, tenant_id: UUID, number: int, address: TileAddress | None) -> bytes:
        """Return entries, each after its length in two bytes.

        :param address: of level 0
        :raises UnknownLedger: when there is no such ledger
        :raises NotFound: when the address is None, or the tree does not have all of them
        """
        with self._database.reading(tenant_id) as connection:
            ledger, found = _of_tree(connection, tenant_id, number, address)
            start = found.number * TILE_WIDTH
            entries = store.commitments(connection, ledger, start, start + found.width)
        return b"".join(len(entry).to_bytes(2) + entry for entry in entries)

    def consistency(self, tenant_id: UUID, number: int, first: int, second: int) -> list[bytes]:
        """Return what proves the tree of ``second`` leaves to go on from that of ``first``.

        :param first: from 1
        :raises UnknownLedger: when there is no such ledger
        :raises ValidationFailed: when the sizes are not in order, or the tree is not so large
        :raises LedgerBroken: when the proof would not verify
        """
        with self._database.reading(tenant_id) as connection:
            ledger = _ledger(connection, tenant_id, number)
            if second > ledger.size:
                raise ValidationFailed(fields={"second": [f"The ledger has {ledger.size} leaves."]})
            if first > second:
                raise ValidationFailed(fields={"first": ["It is larger than the second size."]})
            return proven_growth(connection, ledger, first, second)

    def checkpoints(
        self, tenant_id: UUID, number: int, *, after: int, limit: int
    ) -> list[KeptCheckpoint]:
        """Return checkpoints of trees larger than ``after``, the smallest first.

        :raises UnknownLedger: when there is no such ledger
        """
        with self._database.reading(tenant_id) as connection:
            ledger = _ledger(connection, tenant_id, number)
            found = store.checkpoints(connection, ledger, after=after, limit=limit)
        return [KeptCheckpoint(*each) for each in found]

    def keys(self, tenant_id: UUID, number: int) -> list[NoteKey]:
        """Return the keys that may have signed checkpoints, the oldest first; none that was stolen.

        :raises UnknownLedger: when there is no such ledger
        """
        with self._database.reading(tenant_id) as connection:
            ledger = _ledger(connection, tenant_id, number)
        return note_keys(self._keys, ledger.origin)

    def _verified_note(self, connection: Connection, ledger: Ledger, size: int) -> SignedNote:
        """Return the checkpoint of a size, whose tree is looked for once in a process."""
        note, said = signed_checkpoint(connection, ledger, size)
        if (ledger.id, said) not in self._verified:
            _check_tree(connection, ledger, said)
            if len(self._verified) >= _REMEMBERED:
                self._verified.clear()
            self._verified.add((ledger.id, said))
        return sign_checkpoint(self._keys, note)


def verified_note(connection: Connection, ledger: Ledger, size: int) -> SignedNote:
    """Return the checkpoint of a size, with all cosignatures, if its tree is here.

    :raises LedgerBroken: when it is not
    """
    note, said = signed_checkpoint(connection, ledger, size)
    _check_tree(connection, ledger, said)
    return note


def proven_growth(connection: Connection, ledger: Ledger, first: int, second: int) -> list[bytes]:
    """Return what proves a tree to go on from a smaller one, verified.

    :param first: from 1 to ``second``, which is at most the ledger's size
    :raises LedgerBroken: when it would not verify
    """
    read = store.tile_reader(connection, ledger)
    hashes = consistency_proof(Tiles(second, read), first)
    try:
        verify_consistency(
            first=first,
            second=second,
            first_root=_root(connection, ledger, first),
            second_root=_root(connection, ledger, second),
            proof=hashes,
        )
    except ProofRefused as error:
        raise LedgerBroken(f"{ledger.origin}: from {first} to {second}: {error}") from error
    return hashes


def note_keys(keys: Keyring, origin: str) -> list[NoteKey]:
    """Return all record keys, the oldest first, under a ledger's name; none that was stolen."""
    return [NoteKey(origin, ED25519, key.public) for key in keys.public_keys() if not key.stolen]


def ledger_keys(database: Database, keys: Keyring, tenant_id: UUID) -> Sequence[NoteKey]:
    """Return the keys of a tenant's open ledger, and of its first where there is none yet."""
    with database.reading(tenant_id) as connection:
        ledger = store.open_ledger(connection, tenant_id)
    return note_keys(keys, ledger.origin if ledger else origin_of(tenant_id))


def _ledger(connection: Connection, tenant_id: UUID, number: int) -> Ledger:
    ledger = store.find_ledger(connection, tenant_id, number)
    if ledger is None or not ledger.size:
        raise UnknownLedger
    return ledger


def _of_tree(
    connection: Connection, tenant_id: UUID, number: int, address: TileAddress | None
) -> tuple[Ledger, TileAddress]:
    ledger = _ledger(connection, tenant_id, number)
    if address is None or not address.is_within(ledger.size):
        raise NotFound(_NO_TILE)
    return ledger, address


def _root(connection: Connection, ledger: Ledger, size: int) -> bytes:
    """Return the root that was signed for a size; where none was, the one that its tiles have."""
    note = store.checkpoint(connection, ledger, size)
    if note:
        return Checkpoint.parse(note.text).root
    return store.root_at(connection, ledger, size)


def _check_tree(connection: Connection, ledger: Ledger, said: Checkpoint) -> None:
    if store.root_at(connection, ledger, said.size) != said.root:
        raise LedgerBroken(
            f"{ledger.origin}: the checkpoint of {said.size} leaves is of another tree"
        )
