"""Tables of notices. The database refuses to update or delete a published one."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from consent_service.db import Base, granted, of_one_tenants_site


class NoticeRow(Base):
    """One published version of a site's notice."""

    __tablename__ = "notices"
    __table_args__ = (
        UniqueConstraint("site_id", "version"),
        of_one_tenants_site(),
        granted("SELECT, INSERT"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"), index=True)
    site_id: Mapped[UUID]
    version: Mapped[int]
    content: Mapped[str] = mapped_column(Text, comment="canonical JSON (RFC 8785)")
    content_hash: Mapped[str] = mapped_column(String(71), comment="sha256: and hex, of content")
    policy_version: Mapped[str] = mapped_column(String(64))
    material: Mapped[bool] = mapped_column(comment="whether visitors are asked again")
    published_at: Mapped[datetime]
    changed_ms: Mapped[int] = mapped_column(
        BigInteger, index=True, comment="by the database's clock; followers read by it"
    )


class DraftRow(Base):
    """What a site's next notice is to be, as its authors have it so far.

    The row outlives the draft: a revision that somebody has seen never comes again.
    """

    __tablename__ = "notice_drafts"
    __table_args__ = (
        of_one_tenants_site(),
        granted("SELECT, INSERT, UPDATE"),
    )

    site_id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"), index=True)
    revision: Mapped[int] = mapped_column(comment="how often it, or what it begins with, changed")
    document: Mapped[str | None] = mapped_column(
        Text, comment="JSON, as its author wrote it; none while there is no draft"
    )
    changed_at: Mapped[datetime]
