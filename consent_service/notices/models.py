"""The table of published notices. The database refuses to update or delete its rows."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from consent_service.db import Base


class NoticeRow(Base):
    """One published version of a site's notice."""

    __tablename__ = "notices"
    __table_args__ = (UniqueConstraint("site_id", "version"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"), index=True)
    site_id: Mapped[UUID] = mapped_column(ForeignKey("sites.id"))
    version: Mapped[int]
    content: Mapped[str] = mapped_column(Text, comment="canonical JSON (RFC 8785)")
    content_hash: Mapped[str] = mapped_column(String(71), comment="sha256: and hex, of content")
    policy_version: Mapped[str] = mapped_column(String(64))
    material: Mapped[bool] = mapped_column(comment="whether visitors are asked again")
    published_at: Mapped[datetime]
    changed_ms: Mapped[int] = mapped_column(
        BigInteger, index=True, comment="by the database's clock; followers read by it"
    )
