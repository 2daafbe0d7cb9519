"""A proof takes few queries, however large the ledger, and whatever is added meanwhile."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, event, insert

from consent_service import clock
from consent_service.ledger import store
from consent_service.ledger.merkle import (
    HASH_BYTES,
    TILE_WIDTH,
    GrowingTree,
    Tiles,
    inclusion_proof,
    leaf_hash,
    tiles_for,
    verify_inclusion,
)
from consent_service.ledger.models import PendingLeafRow
from consent_service.ledger.tiles import proof_tiles
from tests.builders import Service


@given(st.data())
def test_a_proof_reads_no_tile_that_was_not_foreseen(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, TILE_WIDTH**3 + 2 * TILE_WIDTH**2 + 5))
    index = data.draw(st.integers(0, size - 1))
    foreseen = tiles_for(index, size)

    def read(level: int, number: int, width: int) -> list[bytes]:
        assert (level, number) in foreseen
        return [bytes(HASH_BYTES)] * width

    inclusion_proof(Tiles(size, read), index)
    # One over the leaf and one at the edge, of each level.
    levels = (size.bit_length() + 7) // 8
    assert len(foreseen) <= 2 * levels


@pytest.fixture
def leaves(service: Service) -> list[bytes]:
    """Add so many leaves that there is a node, and some more in a second batch."""
    entries = [secrets.token_bytes(32) for _ in range(TILE_WIDTH + 20)]
    sequencer = service.sequencer
    for batch in (entries[:-5], entries[-5:]):
        rows = [
            {
                "tenant_id": service.tenant.id,
                "record_id": clock.new_id(),
                "tombstone": False,
                "commitment": entry,
                "added_at": clock.now(),
            }
            for entry in batch
        ]
        with service.built.database.transaction(service.tenant.id) as connection:
            connection.execute(insert(PendingLeafRow), rows)
        assert sequencer.sequence(service.tenant.id) == len(batch)
    return entries


def test_every_leaf_is_proved_in_few_queries_at_each_size(
    service: Service, leaves: list[bytes]
) -> None:
    tenant_id = service.tenant.id
    with service.built.database.reading(tenant_id) as connection:
        ledger = store.open_ledger(connection, tenant_id)
        assert ledger is not None
        for index, size in [
            (0, ledger.size),
            (TILE_WIDTH - 1, ledger.size),
            (TILE_WIDTH, ledger.size),
            (ledger.size - 1, ledger.size),
            # A checkpoint before the newest: what was added since is in the same tile.
            (0, len(leaves) - 5),
            (TILE_WIDTH, len(leaves) - 5),
        ]:
            with counted(connection) as queries:
                tiles = Tiles(size, proof_tiles(connection, ledger, index, size))
                proof = inclusion_proof(tiles, index)
            assert len(queries) == 2
            verify_inclusion(
                entry_hash=leaf_hash(leaves[index]),
                index=index,
                size=size,
                proof=proof,
                root=root(leaves[:size]),
            )


@contextmanager
def counted(connection: Connection) -> Iterator[list[str]]:
    """Give the statements that the block runs."""
    statements: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(connection, "before_cursor_execute", note)
    yield statements
    event.remove(connection, "before_cursor_execute", note)


def root(entries: list[bytes]) -> bytes:
    tree = GrowingTree()
    for entry in entries:
        tree.add(leaf_hash(entry))
    return tree.root()
