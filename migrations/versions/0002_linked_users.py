"""Link keys of sites, linked users, and visitors merged into another."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from consent_service.db import UtcDateTime

revision = "0002"
down_revision = "0001"

_MERGED = sa.text("merged_into IS NOT NULL")


def upgrade() -> None:
    """Make room for a visitor to be a signed-in user of a site."""
    op.create_table(
        "link_keys",
        sa.Column("site_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column(
            "token_key_id",
            sa.String(64),
            nullable=False,
            comment="the key of the key file that the secret is derived from",
        ),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("retired_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("site_id", "number", name="pk_link_keys"),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name="fk_link_keys_site_id"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_link_keys_tenant_id"),
    )
    op.create_index("ix_link_keys_tenant_id", "link_keys", ["tenant_id"])
    op.create_table(
        "linked_users",
        sa.Column("site_id", sa.Uuid(), nullable=False),
        sa.Column(
            "user_hash",
            sa.LargeBinary(32),
            nullable=False,
            comment="keyed, of the site's id of the user",
        ),
        sa.Column("visitor_id", sa.String(32), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("linked_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("site_id", "user_hash", name="pk_linked_users"),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name="fk_linked_users_site_id"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_linked_users_tenant_id"),
    )
    op.create_index(
        "uq_linked_users_visitor", "linked_users", ["site_id", "visitor_id"], unique=True
    )
    op.create_index("ix_linked_users_tenant_id", "linked_users", ["tenant_id"])
    op.add_column(
        "current_states",
        sa.Column(
            "merged_into",
            sa.String(32),
            nullable=True,
            comment="the visitor who stands for this one since both signed in as one user",
        ),
    )
    op.create_index(
        "ix_current_states_merged",
        "current_states",
        ["site_id", "merged_into"],
        sqlite_where=_MERGED,
        postgresql_where=_MERGED,
    )


def downgrade() -> None:
    """Forget who is whom; a merged visitor's own choices stay superseded."""
    op.drop_index("ix_current_states_merged", "current_states")
    op.drop_column("current_states", "merged_into")
    op.drop_table("linked_users")
    op.drop_table("link_keys")
