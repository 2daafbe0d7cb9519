"""Rows of ledgers, each call within the caller's transaction of the tenant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    delete,
    func,
    insert,
    literal,
    select,
    tuple_,
    update,
)
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from consent_service import clock
from consent_service.ledger.bulk import any_of, insert_all
from consent_service.ledger.checkpoint import Checkpoint, SignedNote, origin_of, with_signatures
from consent_service.ledger.merkle import (
    TILE_WIDTH,
    GrowingTree,
    Node,
    ReadTile,
    leaf_hash,
    root_of,
)
from consent_service.ledger.models import (
    CheckpointRow,
    CosignatureRow,
    LeafRow,
    LedgerRow,
    NodeRow,
    PendingLeafRow,
)

_ledgers = LedgerRow.__table__.c
_pending = PendingLeafRow.__table__.c
_leaves = LeafRow.__table__.c
_nodes = NodeRow.__table__.c
_checkpoints = CheckpointRow.__table__.c
_cosignatures = CosignatureRow.__table__.c


#: The columns of a :class:`Leaf`.
LEAF = (
    _leaves.ledger_id,
    _leaves.leaf_index,
    _leaves.record_id,
    _leaves.tombstone,
    _leaves.commitment,
)


class Ledger(NamedTuple):
    """A log of a tenant, and its head."""

    id: UUID
    tenant_id: UUID
    number: int
    origin: str
    size: int
    root: bytes
    suspended_at: datetime | None
    closed_at: datetime | None

    @property
    def head(self) -> Checkpoint:
        """What the newest checkpoint says."""
        return Checkpoint(self.origin, self.size, self.root)


class PendingLeaf(NamedTuple):
    """What waits to become a leaf."""

    record_id: UUID
    tombstone: bool
    commitment: bytes
    added_at: datetime


class Leaf(NamedTuple):
    """Where a record, or the tombstone of one, stands in which ledger."""

    ledger_id: UUID
    leaf_index: int
    record_id: UUID
    tombstone: bool
    commitment: bytes


class Waiting(NamedTuple):
    """How many leaves wait to be added, and since when the oldest of them does."""

    number: int
    since: datetime | None


def of_ledger(columns: ReadOnlyColumnCollection[str, Any], ledger: Ledger) -> ColumnElement[bool]:
    """Match the rows of a ledger, by the columns of a table."""
    return and_(columns.tenant_id == ledger.tenant_id, columns.ledger_id == ledger.id)


def every_ledger(connection: Connection) -> list[Ledger]:
    """Return all ledgers of all tenants, within the directory's scope."""
    return [Ledger(*row) for row in connection.execute(_ledgers_query())]


def open_ledger(connection: Connection, tenant_id: UUID) -> Ledger | None:
    """Return the tenant's ledger that is added to; None before the first record."""
    query = _ledger_query(tenant_id).where(_ledgers.closed_at.is_(None))
    row = connection.execute(query).one_or_none()
    return Ledger(*row) if row else None


def find_ledger(connection: Connection, tenant_id: UUID, number: int) -> Ledger | None:
    """Return one of the tenant's ledgers."""
    query = _ledger_query(tenant_id).where(_ledgers.number == number)
    row = connection.execute(query).one_or_none()
    return Ledger(*row) if row else None


def ledger_with_id(connection: Connection, tenant_id: UUID, ledger_id: UUID) -> Ledger:
    """Return the tenant's ledger with this id."""
    return Ledger(
        *connection.execute(_ledger_query(tenant_id).where(_ledgers.id == ledger_id)).one()
    )


def all_ledgers(connection: Connection, tenant_id: UUID) -> list[Ledger]:
    """Return all that the tenant has had, the oldest first."""
    query = _ledger_query(tenant_id).order_by(_ledgers.number)
    return [Ledger(*row) for row in connection.execute(query)]


def begin(connection: Connection, tenant_id: UUID, number: int = 1) -> Ledger:
    """Begin an empty ledger."""
    made = Ledger(
        id=clock.new_id(),
        tenant_id=tenant_id,
        number=number,
        origin=origin_of(tenant_id, number),
        size=0,
        root=root_of(()),
        suspended_at=None,
        closed_at=None,
    )
    connection.execute(insert(LedgerRow), made._asdict())
    return made


def suspend(connection: Connection, ledger: Ledger) -> None:
    """Keep everybody from adding to a ledger."""
    _change(connection, ledger, suspended_at=clock.now())


def close(connection: Connection, ledger: Ledger) -> None:
    """Have a ledger stay as it is for ever."""
    _change(connection, ledger, closed_at=clock.now())


def _change(connection: Connection, ledger: Ledger, **columns: datetime) -> None:
    connection.execute(
        update(LedgerRow)
        .where(_ledgers.tenant_id == ledger.tenant_id, _ledgers.id == ledger.id)
        .values(**columns)
    )


def pending(
    connection: Connection, tenant_id: UUID, limit: int, *, after: PendingLeaf | None = None
) -> list[PendingLeaf]:
    """Return what waits, about in the order in which it was made.

    Ids of records tell when they were made; of a record and its tombstone the record comes first.

    :param after: the last one of those that were returned before
    """
    query = (
        select(_pending.record_id, _pending.tombstone, _pending.commitment, _pending.added_at)
        .where(_pending.tenant_id == tenant_id)
        .order_by(_pending.record_id, _pending.tombstone)
        .limit(limit)
    )
    if after:
        query = query.where(
            tuple_(_pending.record_id, _pending.tombstone)
            > tuple_(literal(after.record_id), literal(after.tombstone))
        )
    return [PendingLeaf(*row) for row in connection.execute(query).all()]


def waiting(connection: Connection, tenant_id: UUID) -> Waiting:
    """Return what waits of one tenant."""
    return _waiting(connection, _waiting_query().where(_pending.tenant_id == tenant_id))


def waiting_of_all(connection: Connection) -> Waiting:
    """Return what waits of all tenants, within the directory's scope."""
    return _waiting(connection, _waiting_query())


def _waiting_query() -> Select[Any, Any]:
    return select(func.count(), func.min(_pending.added_at))


def _waiting(connection: Connection, query: Select[Any, Any]) -> Waiting:
    return Waiting(*connection.execute(query).one())


def move_head(connection: Connection, ledger: Ledger, head: Checkpoint) -> bool:
    """Have a ledger grow to a new head if it still is as it was read; say whether it did."""
    moved = connection.execute(
        update(LedgerRow)
        .where(
            _ledgers.tenant_id == ledger.tenant_id,
            _ledgers.id == ledger.id,
            _ledgers.size == ledger.size,
            _ledgers.root == ledger.root,
            _ledgers.suspended_at.is_(None),
            _ledgers.closed_at.is_(None),
        )
        .values(size=head.size, root=head.root)
    )
    return moved.rowcount == 1


def append(
    connection: Connection, ledger: Ledger, leaves: Sequence[PendingLeaf], nodes: Sequence[Node]
) -> None:
    """Turn what waited into leaves, from the ledger's size on, and add the nodes above them."""
    of_ledger = {"ledger_id": ledger.id, "tenant_id": ledger.tenant_id}
    leaf_columns: dict[str, list[Any]] = {
        "leaf_index": list(range(ledger.size, ledger.size + len(leaves))),
        "record_id": [leaf.record_id for leaf in leaves],
        "tombstone": [leaf.tombstone for leaf in leaves],
        "commitment": [leaf.commitment for leaf in leaves],
    }
    insert_all(connection, LeafRow, of_ledger, leaf_columns)
    if nodes:
        node_columns: dict[str, list[Any]] = {
            "level": [node.level for node in nodes],
            "node_index": [node.node_index for node in nodes],
            "hash": [node.hash for node in nodes],
        }
        insert_all(connection, NodeRow, of_ledger, node_columns)
    for tombstone in (False, True):
        ids = [leaf.record_id for leaf in leaves if leaf.tombstone == tombstone]
        if ids:
            connection.execute(
                delete(PendingLeafRow).where(
                    _pending.tenant_id == ledger.tenant_id,
                    any_of(connection, _pending.record_id, ids),
                    _pending.tombstone == tombstone,
                )
            )


def add_checkpoint(connection: Connection, ledger: Ledger, size: int, note: SignedNote) -> None:
    """Keep a signed checkpoint."""
    row = {
        "ledger_id": ledger.id,
        "size": size,
        "tenant_id": ledger.tenant_id,
        "note": str(note),
        "made_at": clock.now(),
    }
    connection.execute(insert(CheckpointRow), row)


def checkpoint(connection: Connection, ledger: Ledger, size: int) -> SignedNote | None:
    """Return the checkpoint of one size with all that witnesses have added; None if none is."""
    note = connection.execute(
        select(_checkpoints.note).where(
            of_ledger(_checkpoints, ledger),
            _checkpoints.size == size,
        )
    ).scalar_one_or_none()
    if note is None:
        return None
    cosignatures = connection.execute(
        select(_cosignatures.line)
        .where(
            of_ledger(_cosignatures, ledger),
            _cosignatures.size == size,
        )
        .order_by(_cosignatures.witness)
    ).scalars()
    return with_signatures(SignedNote.parse(note), cosignatures)


def checkpoints(
    connection: Connection, ledger: Ledger, *, after: int, limit: int
) -> list[tuple[int, SignedNote, datetime]]:
    """Return sizes larger than ``after``, their checkpoints, and when each was made, in order."""
    rows = connection.execute(
        select(_checkpoints.size, _checkpoints.note, _checkpoints.made_at)
        .where(
            of_ledger(_checkpoints, ledger),
            _checkpoints.size > after,
        )
        .order_by(_checkpoints.size)
        .limit(limit)
    ).all()
    if not rows:
        return []
    cosignatures: dict[int, list[str]] = {}
    for size, line in connection.execute(
        select(_cosignatures.size, _cosignatures.line)
        .where(
            of_ledger(_cosignatures, ledger),
            _cosignatures.size.between(rows[0].size, rows[-1].size),
        )
        .order_by(_cosignatures.size, _cosignatures.witness)
    ):
        cosignatures.setdefault(size, []).append(line)
    return [
        (size, with_signatures(SignedNote.parse(note), cosignatures.get(size, ())), made_at)
        for size, note, made_at in rows
    ]


def made_at(connection: Connection, ledger: Ledger, size: int) -> datetime | None:
    """Return when the checkpoint of a size was made; None where there is none."""
    at: datetime | None = connection.execute(
        select(_checkpoints.made_at).where(
            of_ledger(_checkpoints, ledger),
            _checkpoints.size == size,
        )
    ).scalar_one_or_none()
    return at


def newest_cosigned(
    connection: Connection, ledger: Ledger, witness: str | None = None
) -> int | None:
    """Return the largest size that a witness, or the one of this name, has cosigned."""
    query = select(func.max(_cosignatures.size)).where(of_ledger(_cosignatures, ledger))
    if witness is not None:
        query = query.where(_cosignatures.witness == witness)
    size: int | None = connection.execute(query).scalar_one()
    return size


def add_cosignature(
    connection: Connection, ledger: Ledger, size: int, witness: str, line: str
) -> None:
    """Keep what a witness has put under the checkpoint of a size.

    :raises IntegrityError: when it is kept already
    """
    row = {
        "ledger_id": ledger.id,
        "size": size,
        "witness": witness,
        "tenant_id": ledger.tenant_id,
        "line": line,
        "made_at": clock.now(),
    }
    connection.execute(insert(CosignatureRow), row)


def count_cosignatures(connection: Connection, ledger: Ledger) -> int:
    """Return how many witnesses have cosigned the newest checkpoint."""
    number: int = connection.execute(
        select(func.count()).where(
            of_ledger(_cosignatures, ledger),
            _cosignatures.size == ledger.size,
        )
    ).scalar_one()
    return number


def find_leaf(
    connection: Connection, tenant_id: UUID, record_id: UUID, *, tombstone: bool
) -> Leaf | None:
    """Return where a record stands, or its tombstone; None while it waits."""
    row = connection.execute(
        select(
            *LEAF,
        ).where(
            _leaves.tenant_id == tenant_id,
            _leaves.record_id == record_id,
            _leaves.tombstone == tombstone,
        )
    ).one_or_none()
    return Leaf(*row) if row else None


def commitments(connection: Connection, ledger: Ledger, start: int, stop: int) -> list[bytes]:
    """Return the entries of the leaves from ``start`` to before ``stop``."""
    query = (
        select(_leaves.commitment)
        .where(
            of_ledger(_leaves, ledger),
            _leaves.leaf_index >= start,
            _leaves.leaf_index < stop,
        )
        .order_by(_leaves.leaf_index)
    )
    return list(connection.execute(query).scalars().all())


def tile_reader(connection: Connection, ledger: Ledger) -> ReadTile:
    """Return what reads the ledger's tiles: hashes of leaves, and of nodes."""

    def read(level: int, number: int, width: int) -> list[bytes]:
        start = number * TILE_WIDTH
        if level == 0:
            entries: Iterable[bytes] = commitments(connection, ledger, start, start + width)
            return [leaf_hash(entry) for entry in entries]
        query = (
            select(_nodes.hash)
            .where(
                of_ledger(_nodes, ledger),
                _nodes.level == level,
                _nodes.node_index >= start,
                _nodes.node_index < start + width,
            )
            .order_by(_nodes.node_index)
        )
        return list(connection.execute(query).scalars().all())

    return read


def root_at(connection: Connection, ledger: Ledger, size: int) -> bytes:
    """Return the root over a ledger's first leaves, from what is kept of the tree."""
    return GrowingTree.at(size, tile_reader(connection, ledger)).root()


def _ledger_query(tenant_id: UUID) -> Select[Any]:
    return _ledgers_query().where(_ledgers.tenant_id == tenant_id)


def _ledgers_query() -> Select[Any]:
    return select(
        _ledgers.id,
        _ledgers.tenant_id,
        _ledgers.number,
        _ledgers.origin,
        _ledgers.size,
        _ledgers.root,
        _ledgers.suspended_at,
        _ledgers.closed_at,
    )
