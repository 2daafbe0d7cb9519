"""Tables of impressions, of rollups, and of how a tenant's reports are made."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Date, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from consent_service.db import Base, granted, of_one_tenants_site


class ImpressionsRow(Base):
    """Impressions of one kind and circumstances within a second; nobody's in particular."""

    __tablename__ = "impressions"
    __table_args__ = (
        Index("ix_impressions_site", "tenant_id", "site_id", "at"),
        Index(
            "ix_impressions_not_folded",
            "tenant_id",
            "site_id",
            "at",
            # What is counted already is of no interest to the worker.
            sqlite_where=text("NOT folded"),
            postgresql_where=text("NOT folded"),
        ),
        of_one_tenants_site(),
        # Folding is an update.
        granted("SELECT, INSERT, UPDATE"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    site_id: Mapped[UUID]
    at: Mapped[datetime] = mapped_column(comment="to the second")
    kind: Mapped[str] = mapped_column(String(20), comment="shown, preferences_opened, dismissed")
    country: Mapped[str] = mapped_column(String(2), comment="ZZ where unknown")
    language: Mapped[str] = mapped_column(String(35))
    device_class: Mapped[str] = mapped_column(String(20))
    browser_family: Mapped[str] = mapped_column(String(20))
    notice_version: Mapped[int]
    regime: Mapped[str] = mapped_column(String(20))
    gpc: Mapped[bool]
    bot: Mapped[bool] = mapped_column(comment="left out of all but the count of what was left out")
    number: Mapped[int]
    folded: Mapped[bool] = mapped_column(comment="whether the rollups have it")


class RollupRow(Base):
    """Counts of one site, one local day and one cell of dimensions."""

    __tablename__ = "rollups"
    __table_args__ = (
        of_one_tenants_site(),
        granted("SELECT, INSERT, UPDATE, DELETE"),
    )

    site_id: Mapped[UUID] = mapped_column(primary_key=True)
    dimensions: Mapped[str] = mapped_column(
        String(40), primary_key=True, comment='"", one, or two with a comma between'
    )
    day: Mapped[date] = mapped_column(Date, primary_key=True, comment="in the site's time zone")
    value: Mapped[str] = mapped_column(String(80), primary_key=True, comment="of the dimensions")
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"), index=True)
    counts: Mapped[str] = mapped_column(Text, comment="JSON, measure: number")


class RollupStateRow(Base):
    """What a site's rollups were made with, and when."""

    __tablename__ = "rollup_states"
    __table_args__ = (
        of_one_tenants_site(),
        granted("SELECT, INSERT, UPDATE"),
    )

    site_id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"), index=True)
    time_zone: Mapped[str] = mapped_column(String(64), comment="that their days are in")
    counted_at: Mapped[datetime]


class ReportSettingsRow(Base):
    """How a tenant's reports are made; a tenant without a row has the defaults."""

    __tablename__ = "report_settings"
    __table_args__ = granted("SELECT, INSERT, UPDATE")

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    smallest_group: Mapped[int] = mapped_column(comment="groups of fewer people are hidden")


class ReportScheduleRow(Base):
    """A report that is sent every day, week or month."""

    __tablename__ = "report_schedules"
    __table_args__ = (
        Index("ix_report_schedules_due", "tenant_id", "next_run"),
        of_one_tenants_site(),
        granted("SELECT, INSERT, UPDATE, DELETE"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    site_id: Mapped[UUID]
    question: Mapped[str] = mapped_column(Text, comment="JSON: group, step, where")
    form: Mapped[str] = mapped_column(String(10), comment="csv, ndjson, parquet, xlsx")
    every: Mapped[str] = mapped_column(String(10), comment="daily, weekly, monthly")
    destination: Mapped[str] = mapped_column(Text, comment="encrypted JSON: mail or folder")
    language: Mapped[str] = mapped_column(String(10), comment="of the mail")
    paused: Mapped[bool]
    created_at: Mapped[datetime]
    next_run: Mapped[datetime]
    not_before: Mapped[datetime | None] = mapped_column(
        comment="while somebody is at it, and after a failure"
    )
    failures: Mapped[int] = mapped_column(comment="of the run that is due now, so far")
    mailed: Mapped[str] = mapped_column(Text, comment="whom the run that is due has mailed: JSON")
    last_run_at: Mapped[datetime | None]
    last_error: Mapped[str | None] = mapped_column(String(500))
