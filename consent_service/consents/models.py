"""Tables of records, of each visitor's current state, and of visitors who are a site's users.

The database refuses to delete a record, and to update one in any way but to empty it (erasure).
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from consent_service.db import Base, granted, of_one_tenants_site


class RecordRow(Base):
    """One decision by one visitor. Erasure empties everything that is nullable."""

    __tablename__ = "records"
    __table_args__ = (
        Index("ix_records_visitor", "site_id", "visitor_id"),
        Index("ix_records_site", "tenant_id", "site_id", "created_at"),
        Index(
            "ix_records_erased",
            "tenant_id",
            "site_id",
            "erased_at",
            # Few are: making a record must not pay for them.
            sqlite_where=text("erased_at IS NOT NULL"),
            postgresql_where=text("erased_at IS NOT NULL"),
        ),
        Index("uq_records_idempotency", "site_id", "idempotency_hash", unique=True),
        of_one_tenants_site(),
        # Erasing is an update.
        granted("SELECT, INSERT, UPDATE"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    site_id: Mapped[UUID]
    created_at: Mapped[datetime]
    visitor_id: Mapped[str | None] = mapped_column(String(32))
    document: Mapped[str | None] = mapped_column(Text, comment="canonical JSON (RFC 8785)")
    signature: Mapped[bytes | None] = mapped_column(LargeBinary(64), comment="Ed25519, of document")
    key_id: Mapped[str | None] = mapped_column(String(64))
    salt: Mapped[bytes | None] = mapped_column(LargeBinary(32), comment="of the ledger's leaf")
    commitment: Mapped[bytes | None] = mapped_column(
        LargeBinary(32),
        comment="SHA-256 of salt and document, which the ledger has; none if erased before it did",
    )
    idempotency_hash: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    request_hash: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    erased_at: Mapped[datetime | None]
    after_ms: Mapped[int | None] = mapped_column(
        comment="from the banner's showing to the choice, as the page measured it"
    )


class RecordChangeRow(Base):
    """A record that was made or erased, for whoever counts them; gone once it is counted.

    The database writes it by itself, in the transaction that makes or erases the record.
    """

    __tablename__ = "record_changes"
    __table_args__ = (
        Index("ix_record_changes_site", "tenant_id", "site_id", "made_at"),
        of_one_tenants_site(),
        granted("SELECT, INSERT, DELETE"),
    )

    record_id: Mapped[UUID] = mapped_column(primary_key=True)
    erased: Mapped[bool] = mapped_column(primary_key=True, comment="erased, and not made")
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    site_id: Mapped[UUID]
    made_at: Mapped[datetime] = mapped_column(comment="when the record was made")


class TombstoneRow(Base):
    """That a record was erased, when and why. The database erases none that has no tombstone."""

    __tablename__ = "tombstones"
    __table_args__ = (
        Index("ix_tombstones_site", "tenant_id", "site_id"),
        of_one_tenants_site(),
        granted("SELECT, INSERT"),
    )

    record_id: Mapped[UUID] = mapped_column(ForeignKey("records.id"), primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    site_id: Mapped[UUID]
    document: Mapped[str] = mapped_column(Text, comment="canonical JSON (RFC 8785)")
    signature: Mapped[bytes] = mapped_column(LargeBinary(64), comment="Ed25519, of document")
    key_id: Mapped[str] = mapped_column(String(64))
    salt: Mapped[bytes] = mapped_column(LargeBinary(32), comment="of the commitment")
    commitment: Mapped[bytes] = mapped_column(
        LargeBinary(32), comment="SHA-256 of salt and document, which the ledger has"
    )
    erased_at: Mapped[datetime]


class LegalHoldRow(Base):
    """An order to keep records. The database erases none that it is about until it is lifted."""

    __tablename__ = "legal_holds"
    __table_args__ = (
        Index("ix_legal_holds_tenant_id", "tenant_id"),
        of_one_tenants_site(),
        granted("SELECT, INSERT, UPDATE"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    site_id: Mapped[UUID | None] = mapped_column(comment="none: of all the tenant's sites")
    visitor_id: Mapped[str | None] = mapped_column(
        String(32), comment="none: of all visitors of the site"
    )
    authority: Mapped[str] = mapped_column(String(200), comment="who has ordered it")
    reference: Mapped[str] = mapped_column(String(200), comment="the order's number there")
    reason: Mapped[str] = mapped_column(Text, comment="as visitors are told")
    placed_at: Mapped[datetime]
    lifted_at: Mapped[datetime | None]


class CurrentStateRow(Base):
    """Where a visitor stands on a site: all that a token is made from."""

    __tablename__ = "current_states"
    __table_args__ = (
        Index(
            "ix_current_states_merged",
            "site_id",
            "merged_into",
            # Few visitors are: recording a choice must not pay for them.
            sqlite_where=text("merged_into IS NOT NULL"),
            postgresql_where=text("merged_into IS NOT NULL"),
        ),
        of_one_tenants_site(),
        granted("SELECT, INSERT, UPDATE"),
    )

    site_id: Mapped[UUID] = mapped_column(primary_key=True)
    visitor_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"), index=True)
    sequence: Mapped[int]
    record_id: Mapped[UUID | None] = mapped_column(comment="none once erased")
    notice_version: Mapped[int | None]
    expires_at: Mapped[datetime | None]
    gpc: Mapped[bool]
    choices: Mapped[str] = mapped_column(Text, comment="key:state~key:state")
    changed_ms: Mapped[int | None] = mapped_column(
        BigInteger,
        index=True,
        comment="by the database's clock; none for a first choice, which no token contradicts",
    )
    merged_into: Mapped[str | None] = mapped_column(
        String(32), comment="the visitor who stands for this one since both signed in as one user"
    )


class LinkedUserRow(Base):
    """A signed-in user of a site, who is one visitor on all devices. The user's id is not kept."""

    __tablename__ = "linked_users"
    __table_args__ = (
        Index("uq_linked_users_visitor", "site_id", "visitor_id", unique=True),
        of_one_tenants_site(),
        granted("SELECT, INSERT, DELETE"),
    )

    site_id: Mapped[UUID] = mapped_column(primary_key=True)
    user_hash: Mapped[bytes] = mapped_column(
        LargeBinary(32), primary_key=True, comment="keyed, of the site's id of the user"
    )
    visitor_id: Mapped[str] = mapped_column(String(32))
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"), index=True)
    linked_at: Mapped[datetime]
