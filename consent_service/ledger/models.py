"""Tables of ledgers. The database refuses to change or delete a leaf, a node or a checkpoint."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from consent_service.db import Base, granted


def _of_one_tenants_ledger() -> ForeignKeyConstraint:
    """Have a row's ledger be its tenant's: the database refuses any other."""
    return ForeignKeyConstraint(["tenant_id", "ledger_id"], ["ledgers.tenant_id", "ledgers.id"])


class LedgerRow(Base):
    """A log of a tenant, and its head. Only the head ever changes, and only grows.

    A tenant has one that is open. Another one begins only where the database was restored from a
    backup that is older than what the one before has published.
    """

    __tablename__ = "ledgers"
    __table_args__ = (
        UniqueConstraint("tenant_id", "number"),
        UniqueConstraint("tenant_id", "id"),
        Index(
            "uq_ledgers_open",
            "tenant_id",
            unique=True,
            sqlite_where=text("closed_at IS NULL"),
            postgresql_where=text("closed_at IS NULL"),
        ),
        granted("SELECT, INSERT, UPDATE"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    number: Mapped[int] = mapped_column(comment="1 for a tenant's first")
    origin: Mapped[str] = mapped_column(String(80), comment="its name in checkpoints")
    size: Mapped[int] = mapped_column(BigInteger)
    root: Mapped[bytes] = mapped_column(LargeBinary(32))
    suspended_at: Mapped[datetime | None] = mapped_column(
        comment="since when nothing is written, as more was published than is here"
    )
    closed_at: Mapped[datetime | None]


class PendingLeafRow(Base):
    """What waits to become a leaf. The database adds it by itself, the sequencer takes it away."""

    __tablename__ = "pending_leaves"
    __table_args__ = (granted("SELECT, INSERT, DELETE"),)

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    record_id: Mapped[UUID] = mapped_column(primary_key=True)
    tombstone: Mapped[bool] = mapped_column(primary_key=True, comment="of a record, and not it")
    commitment: Mapped[bytes] = mapped_column(LargeBinary(32))
    added_at: Mapped[datetime]


class LeafRow(Base):
    """A leaf: the salted hash of a record, or of the tombstone of one."""

    __tablename__ = "leaves"
    __table_args__ = (
        UniqueConstraint("record_id", "tombstone"),
        _of_one_tenants_ledger(),
        granted("SELECT, INSERT"),
    )

    ledger_id: Mapped[UUID] = mapped_column(primary_key=True)
    leaf_index: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    record_id: Mapped[UUID]
    tombstone: Mapped[bool] = mapped_column(comment="of a record, and not it")
    commitment: Mapped[bytes] = mapped_column(LargeBinary(32))


class NodeRow(Base):
    """The root over ``256 ** level`` leaves."""

    __tablename__ = "nodes"
    __table_args__ = (_of_one_tenants_ledger(), granted("SELECT, INSERT"))

    ledger_id: Mapped[UUID] = mapped_column(primary_key=True)
    level: Mapped[int] = mapped_column(primary_key=True)
    node_index: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    hash: Mapped[bytes] = mapped_column(LargeBinary(32))


class CheckpointRow(Base):
    """What a ledger said of itself at one size, signed."""

    __tablename__ = "checkpoints"
    __table_args__ = (_of_one_tenants_ledger(), granted("SELECT, INSERT"))

    ledger_id: Mapped[UUID] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    note: Mapped[str] = mapped_column(Text, comment="a signed note (C2SP)")
    made_at: Mapped[datetime]


class CosignatureRow(Base):
    """That a witness saw a checkpoint, and that it goes on from what it had seen before."""

    __tablename__ = "cosignatures"
    __table_args__ = (_of_one_tenants_ledger(), granted("SELECT, INSERT"))

    ledger_id: Mapped[UUID] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger, primary_key=True, comment="of the checkpoint")
    witness: Mapped[str] = mapped_column(String(200), primary_key=True, comment="the key's name")
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    line: Mapped[str] = mapped_column(Text, comment="as it stands under the note")
    made_at: Mapped[datetime]
