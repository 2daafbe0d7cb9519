"""The tiles that one proof needs, read at once: a query for each would take longest of all."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    CompoundSelect,
    Connection,
    and_,
    bindparam,
    select,
    union_all,
)

from consent_service.ledger.merkle import TILE_WIDTH, ReadTile, leaf_hash, tiles_for
from consent_service.ledger.models import LeafRow, NodeRow
from consent_service.ledger.store import Ledger, tile_reader

_leaves = LeafRow.__table__.c
_nodes = NodeRow.__table__.c


def proof_tiles(connection: Connection, ledger: Ledger, index: int, size: int) -> ReadTile:
    """Return what reads the tiles that the inclusion proof of a leaf needs.

    :param size: of the tree in which the leaf is proved to be
    """
    wanted = sorted(tiles_for(index, size))
    tiles: dict[tuple[int, int], list[bytes]] = {tile: [] for tile in wanted}
    for level, node_index, found in _rows(connection, ledger, wanted):
        tiles[level, node_index // TILE_WIDTH].append(found)
    others = tile_reader(connection, ledger)

    def read(level: int, number: int, width: int) -> Sequence[bytes]:
        known = tiles.get((level, number))
        # What was added to the tree since then is there as well.
        return others(level, number, width) if known is None else known[:width]

    return read


def _rows(
    connection: Connection, ledger: Ledger, wanted: Sequence[tuple[int, int]]
) -> list[tuple[int, int, bytes]]:
    """Return level, number and hash of all that these tiles hold, each tile's in order."""
    of_ledger = {"tenant": ledger.tenant_id, "ledger": ledger.id}
    leaves = [number for level, number in wanted if level == 0]
    nodes = [tile for tile in wanted if tile[0]]
    query = _leaves_query(len(leaves))
    named = {f"start_{place}": number * TILE_WIDTH for place, number in enumerate(leaves)}
    found = [
        (0, index, leaf_hash(entry))
        for index, entry in connection.execute(query, of_ledger | named).all()
    ]
    if nodes:
        named = {f"start_{place}": number * TILE_WIDTH for place, (_, number) in enumerate(nodes)}
        named |= {f"level_{place}": level for place, (level, _) in enumerate(nodes)}
        query = _nodes_query(len(nodes))
        found += map(tuple, connection.execute(query, of_ledger | named).all())
    return found


# Kept, as to build such a query takes longer than to run it. Of several selects, as SQLite would
# read the whole ledger for one of several ranges.
@cache
def _leaves_query(tiles: int) -> CompoundSelect[Any]:
    return union_all(
        *(
            select(_leaves.leaf_index, _leaves.commitment).where(
                _leaves.tenant_id == bindparam("tenant"),
                _leaves.ledger_id == bindparam("ledger"),
                _in_tile(_leaves.leaf_index, place),
            )
            for place in range(tiles)
        )
    ).order_by("leaf_index")


@cache
def _nodes_query(tiles: int) -> CompoundSelect[Any]:
    return union_all(
        *(
            select(_nodes.level, _nodes.node_index, _nodes.hash).where(
                _nodes.tenant_id == bindparam("tenant"),
                _nodes.ledger_id == bindparam("ledger"),
                _nodes.level == bindparam(f"level_{place}"),
                _in_tile(_nodes.node_index, place),
            )
            for place in range(tiles)
        )
    ).order_by("level", "node_index")


def _in_tile(column: Any, place: int) -> ColumnElement[bool]:  # noqa: ANN401
    start = bindparam(f"start_{place}", type_=BigInteger)
    return and_(column >= start, column < start + TILE_WIDTH)
