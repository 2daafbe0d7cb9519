"""Tables of edge tokens and of the status lists that they have a place in."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from consent_service.db import Base, granted, of_one_tenants_site


class StatusListRow(Base):
    """A list that tokens of one site get places in, for a while. None of them is used twice."""

    __tablename__ = "status_lists"
    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        Index("ix_status_lists_open", "tenant_id", "site_id", "open_until"),
        of_one_tenants_site(),
        granted("SELECT, INSERT, DELETE"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    site_id: Mapped[UUID]
    open_until: Mapped[datetime] = mapped_column(comment="when the last token gets a place")


class EdgeTokenRow(Base):
    """A token's place in its list, and what would make it count no more. Gone when it expired."""

    __tablename__ = "edge_tokens"
    __table_args__ = (
        Index("ix_edge_tokens_expiry", "tenant_id", "expires_at"),
        ForeignKeyConstraint(
            ["tenant_id", "list_id"], ["status_lists.tenant_id", "status_lists.id"]
        ),
        of_one_tenants_site(),
        granted("SELECT, INSERT, DELETE"),
    )

    list_id: Mapped[UUID] = mapped_column(primary_key=True)
    place: Mapped[int] = mapped_column(primary_key=True, comment="idx in the list")
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    site_id: Mapped[UUID]
    visitor_id: Mapped[str | None] = mapped_column(
        String(32), comment="whose newer choice takes it back; none where nothing is allowed by one"
    )
    sequence: Mapped[int | None] = mapped_column(comment="of the choice that it rests on")
    notice_version: Mapped[int] = mapped_column(comment="in force when it was issued")
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime]
