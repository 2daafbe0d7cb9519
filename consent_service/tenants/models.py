"""Tables of tenants, sites, and the keys that sites sign with."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from consent_service.db import Base, granted, of_one_tenants_site


class TenantRow(Base):
    """A customer workspace."""

    __tablename__ = "tenants"
    __table_args__ = granted("SELECT, INSERT")

    id: Mapped[UUID] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(String(63), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime]


class SiteRow(Base):
    """One place the widget is embedded."""

    __tablename__ = "sites"
    __table_args__ = (
        # What a site's rows refer to, so that they are the same tenant's.
        Index("uq_sites_tenant_id_id", "tenant_id", "id", unique=True),
        granted("SELECT, INSERT, UPDATE"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"), index=True)
    site_key: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    allowed_origins: Mapped[list[str]] = mapped_column(JSON)
    cookie_domain: Mapped[str | None] = mapped_column(String(253))
    regime_overrides: Mapped[dict[str, str]] = mapped_column(JSON)
    time_zone: Mapped[str] = mapped_column(
        String(64), server_default="Africa/Dar_es_Salaam", comment="IANA name; a site's days"
    )
    revision: Mapped[int] = mapped_column(
        server_default="1", comment="how often it was changed, and 1"
    )
    created_at: Mapped[datetime]
    changed_ms: Mapped[int] = mapped_column(
        BigInteger, index=True, comment="by the database's clock; followers read by it"
    )


class LinkKeyRow(Base):
    """A key that a site's server signs its users' tokens with. The secret itself is not kept."""

    __tablename__ = "link_keys"
    __table_args__ = (of_one_tenants_site(), granted("SELECT, INSERT, UPDATE"))

    site_id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"), index=True)
    token_key_id: Mapped[str] = mapped_column(
        String(64), comment="the key of the key file that the secret is derived from"
    )
    created_at: Mapped[datetime]
    retired_at: Mapped[datetime | None]
