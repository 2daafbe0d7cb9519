"""Reports that are sent every day, week or month."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from consent_service.db import UtcDateTime

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the table, and guard it."""
    op.create_table(
        "report_schedules",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("site_id", sa.Uuid(), nullable=False),
        sa.Column("question", sa.Text(), nullable=False, comment="JSON: group, step, where"),
        sa.Column("form", sa.String(10), nullable=False, comment="csv, ndjson, parquet, xlsx"),
        sa.Column("every", sa.String(10), nullable=False, comment="daily, weekly, monthly"),
        sa.Column(
            "destination", sa.Text(), nullable=False, comment="encrypted JSON: mail or folder"
        ),
        sa.Column("language", sa.String(10), nullable=False, comment="of the mail"),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("next_run", UtcDateTime(), nullable=False),
        sa.Column(
            "not_before",
            UtcDateTime(),
            nullable=True,
            comment="while somebody is at it, and after a failure",
        ),
        sa.Column(
            "failures",
            sa.Integer(),
            nullable=False,
            comment="of the run that is due now, so far",
        ),
        sa.Column(
            "mailed",
            sa.Text(),
            nullable=False,
            comment="whom the run that is due has mailed: JSON",
        ),
        sa.Column("last_run_at", UtcDateTime(), nullable=True),
        sa.Column("last_error", sa.String(500), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_report_schedules"),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_report_schedules_tenant_id"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "site_id"],
            ["sites.tenant_id", "sites.id"],
            name="fk_report_schedules_tenant_id_site_id",
        ),
    )
    op.create_index("ix_report_schedules_due", "report_schedules", ["tenant_id", "next_run"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE report_schedules ENABLE ROW LEVEL SECURITY")
        op.execute("ALTER TABLE report_schedules FORCE ROW LEVEL SECURITY")
        op.execute(
            "CREATE POLICY own_tenant ON report_schedules "
            "USING (tenant_id::text = current_setting('consent.scope', true))"
        )


def downgrade() -> None:
    """Forget them."""
    op.drop_table("report_schedules")
