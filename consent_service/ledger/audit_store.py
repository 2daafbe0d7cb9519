"""Rows of ledgers as an audit reads them, each call within the caller's transaction of the tenant.

Nothing is taken for granted here that the service elsewhere relies on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection, and_, or_, select, union_all

from consent_service.ledger.merkle import TILE_WIDTH
from consent_service.ledger.models import (
    CheckpointRow,
    CosignatureRow,
    LeafRow,
    LedgerRow,
    NodeRow,
    PendingLeafRow,
)
from consent_service.ledger.store import LEAF, Leaf, Ledger, of_ledger

#: Levels of the largest tree whose size a row can say, that of the leaves included.
_LEVELS = 8

_ledgers = LedgerRow.__table__.c
_pending = PendingLeafRow.__table__.c
_leaves = LeafRow.__table__.c
_nodes = NodeRow.__table__.c
_checkpoints = CheckpointRow.__table__.c
_cosignatures = CosignatureRow.__table__.c


def leaves(connection: Connection, ledger: Ledger, start: int, *, limit: int) -> list[Leaf]:
    """Return the leaves from ``start`` on that are below the ledger's size."""
    query = (
        select(
            *LEAF,
        )
        .where(
            of_ledger(_leaves, ledger),
            _leaves.leaf_index >= start,
            _leaves.leaf_index < ledger.size,
        )
        .order_by(_leaves.leaf_index)
        .limit(limit)
    )
    return [Leaf(*row) for row in connection.execute(query).all()]


def checkpoints(connection: Connection, ledger: Ledger, start: int, stop: int) -> dict[int, str]:
    """Return the notes of sizes from above ``start`` to ``stop``, as they are kept, by size."""
    query = select(_checkpoints.size, _checkpoints.note).where(
        of_ledger(_checkpoints, ledger),
        _checkpoints.size > start,
        _checkpoints.size <= stop,
    )
    return {row.size: row.note for row in connection.execute(query)}


def cosignatures(
    connection: Connection, ledger: Ledger, start: int, stop: int
) -> list[tuple[int, str, str]]:
    """Return size, witness and line of what cosigns sizes from above ``start`` to ``stop``."""
    query = (
        select(_cosignatures.size, _cosignatures.witness, _cosignatures.line)
        .where(
            of_ledger(_cosignatures, ledger),
            _cosignatures.size > start,
            _cosignatures.size <= stop,
        )
        .order_by(_cosignatures.size, _cosignatures.witness)
    )
    return [(size, witness, line) for size, witness, line in connection.execute(query)]


def nodes_completed(
    connection: Connection, ledger: Ledger, start: int, stop: int
) -> dict[tuple[int, int], bytes]:
    """Return hashes of the nodes that are completed from one size to another.

    By level and number.
    """
    spans = ((level, TILE_WIDTH**level) for level in range(1, _LEVELS))
    completed = [
        and_(_nodes.level == level, _nodes.node_index.between(start // span, stop // span - 1))
        for level, span in spans
        if start // span < stop // span
    ]
    if not completed:
        return {}
    query = select(_nodes.level, _nodes.node_index, _nodes.hash).where(
        of_ledger(_nodes, ledger), or_(*completed)
    )
    return {(level, index): found for level, index, found in connection.execute(query)}


class Beyond(NamedTuple):
    """What a ledger has beyond its head: numbers of leaves, sizes, levels and numbers of nodes."""

    leaves: list[int]
    checkpoints: list[int]
    nodes: list[tuple[int, int]]


def beyond(connection: Connection, ledger: Ledger, limit: int) -> Beyond:
    """Return the first of what stands beyond the head that the ledger has now."""
    head = (
        select(_ledgers.size)
        .where(_ledgers.tenant_id == ledger.tenant_id, _ledgers.id == ledger.id)
        .scalar_subquery()
    )
    leaf = (
        select(_leaves.leaf_index)
        .where(
            of_ledger(_leaves, ledger),
            or_(_leaves.leaf_index >= head, _leaves.leaf_index < 0),
        )
        .order_by(_leaves.leaf_index)
    )
    checkpoint = (
        select(_checkpoints.size)
        .where(
            of_ledger(_checkpoints, ledger),
            or_(_checkpoints.size > head, _checkpoints.size <= 0),
        )
        .order_by(_checkpoints.size)
    )
    node = (
        select(_nodes.level, _nodes.node_index)
        .where(
            of_ledger(_nodes, ledger),
            or_(
                _nodes.level.not_in(range(1, _LEVELS)),
                *(
                    and_(_nodes.level == level, _nodes.node_index >= head // TILE_WIDTH**level)
                    for level in range(1, _LEVELS)
                ),
            ),
        )
        .order_by(_nodes.level, _nodes.node_index)
    )
    return Beyond(
        list(connection.execute(leaf.limit(limit)).scalars()),
        list(connection.execute(checkpoint.limit(limit)).scalars()),
        [(level, index) for level, index in connection.execute(node.limit(limit))],
    )


def places(
    connection: Connection, tenant_id: UUID, record_ids: Sequence[UUID]
) -> Counter[tuple[UUID, bool]]:
    """Return how often each record, or its tombstone, is a leaf or waits to be one.

    In one statement, as what waits may become a leaf between two.
    """
    query = union_all(
        *(
            select(table.record_id, table.tombstone).where(
                table.tenant_id == tenant_id, table.record_id.in_(record_ids)
            )
            for table in (_leaves, _pending)
        )
    )
    return Counter(
        (record_id, tombstone) for record_id, tombstone in connection.execute(query).all()
    )
