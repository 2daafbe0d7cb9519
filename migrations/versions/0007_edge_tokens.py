"""Edge tokens, and the status lists that they have a place in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from consent_service.db import UtcDateTime

revision = "0007"
down_revision = "0006"

_NEW = ("status_lists", "edge_tokens")


def upgrade() -> None:
    """Make the tables, and guard them."""
    op.create_table(
        "status_lists",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("site_id", sa.Uuid(), nullable=False),
        sa.Column(
            "open_until",
            UtcDateTime(),
            nullable=False,
            comment="when the last token gets a place",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_status_lists"),
        sa.UniqueConstraint("tenant_id", "id", name="uq_status_lists_tenant_id_id"),
        *_of_one_tenants_site("status_lists"),
    )
    op.create_index("ix_status_lists_open", "status_lists", ["tenant_id", "site_id", "open_until"])
    op.create_table(
        "edge_tokens",
        sa.Column("list_id", sa.Uuid(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False, comment="idx in the list"),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("site_id", sa.Uuid(), nullable=False),
        sa.Column(
            "visitor_id",
            sa.String(32),
            nullable=True,
            comment="whose newer choice takes it back; none where nothing is allowed by one",
        ),
        sa.Column(
            "sequence", sa.Integer(), nullable=True, comment="of the choice that it rests on"
        ),
        sa.Column(
            "notice_version", sa.Integer(), nullable=False, comment="in force when it was issued"
        ),
        sa.Column("issued_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("list_id", "place", name="pk_edge_tokens"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "list_id"],
            ["status_lists.tenant_id", "status_lists.id"],
            name="fk_edge_tokens_tenant_id_list_id",
        ),
        *_of_one_tenants_site("edge_tokens"),
    )
    op.create_index("ix_edge_tokens_expiry", "edge_tokens", ["tenant_id", "expires_at"])
    if op.get_bind().dialect.name == "postgresql":
        for table in _NEW:
            op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
            op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
            op.execute(
                f"CREATE POLICY own_tenant ON {table} "
                "USING (tenant_id::text = current_setting('consent.scope', true))"
            )


def downgrade() -> None:
    """Forget them: tokens that are about count no more."""
    for table in reversed(_NEW):
        op.drop_table(table)


def _of_one_tenants_site(table: str) -> tuple[sa.ForeignKeyConstraint, ...]:
    return (
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=f"fk_{table}_tenant_id"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "site_id"],
            ["sites.tenant_id", "sites.id"],
            name=f"fk_{table}_tenant_id_site_id",
        ),
    )
