"""Tenants, sites, notices, records and current states."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from consent_service.db import UtcDateTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables, and have the database itself refuse what must never happen."""
    op.create_table(
        "tenants",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("slug", sa.String(63), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tenants"),
        sa.UniqueConstraint("slug", name="uq_tenants_slug"),
    )
    op.create_table(
        "sites",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("site_key", sa.String(64), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("allowed_origins", sa.JSON(), nullable=False),
        sa.Column("cookie_domain", sa.String(253), nullable=True),
        sa.Column("regime_overrides", sa.JSON(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column(
            "changed_ms",
            sa.BigInteger(),
            nullable=False,
            comment="by the database's clock; followers read by it",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_sites"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_sites_tenant_id"),
        sa.UniqueConstraint("site_key", name="uq_sites_site_key"),
    )
    op.create_index("ix_sites_tenant_id", "sites", ["tenant_id"])
    op.create_index("ix_sites_changed_ms", "sites", ["changed_ms"])
    op.create_table(
        "notices",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("site_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False, comment="canonical JSON (RFC 8785)"),
        sa.Column(
            "content_hash",
            sa.String(71),
            nullable=False,
            comment="sha256: and hex, of content",
        ),
        sa.Column("policy_version", sa.String(64), nullable=False),
        sa.Column(
            "material", sa.Boolean(), nullable=False, comment="whether visitors are asked again"
        ),
        sa.Column("published_at", UtcDateTime(), nullable=False),
        sa.Column(
            "changed_ms",
            sa.BigInteger(),
            nullable=False,
            comment="by the database's clock; followers read by it",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_notices"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_notices_tenant_id"),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name="fk_notices_site_id"),
        sa.UniqueConstraint("site_id", "version", name="uq_notices_site_id_version"),
    )
    op.create_index("ix_notices_tenant_id", "notices", ["tenant_id"])
    op.create_index("ix_notices_changed_ms", "notices", ["changed_ms"])
    op.create_table(
        "records",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("site_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("visitor_id", sa.String(32), nullable=True),
        sa.Column("document", sa.Text(), nullable=True, comment="canonical JSON (RFC 8785)"),
        sa.Column("signature", sa.LargeBinary(64), nullable=True, comment="Ed25519, of document"),
        sa.Column("key_id", sa.String(64), nullable=True),
        sa.Column("salt", sa.LargeBinary(32), nullable=True, comment="of the ledger's leaf"),
        sa.Column("idempotency_hash", sa.LargeBinary(32), nullable=True),
        sa.Column("request_hash", sa.LargeBinary(32), nullable=True),
        sa.Column("erased_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_records"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_records_tenant_id"),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name="fk_records_site_id"),
    )
    op.create_index("ix_records_tenant_id", "records", ["tenant_id"])
    op.create_index("ix_records_visitor", "records", ["site_id", "visitor_id"])
    op.create_index(
        "uq_records_idempotency", "records", ["site_id", "idempotency_hash"], unique=True
    )
    op.create_table(
        "current_states",
        sa.Column("site_id", sa.Uuid(), nullable=False),
        sa.Column("visitor_id", sa.String(32), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("record_id", sa.Uuid(), nullable=True, comment="none once erased"),
        sa.Column("notice_version", sa.Integer(), nullable=True),
        sa.Column("expires_at", UtcDateTime(), nullable=True),
        sa.Column("gpc", sa.Boolean(), nullable=False),
        sa.Column("choices", sa.Text(), nullable=False, comment="key:state~key:state"),
        sa.Column(
            "changed_ms",
            sa.BigInteger(),
            nullable=True,
            comment="by the database's clock; none for a first choice, which no token contradicts",
        ),
        sa.PrimaryKeyConstraint("site_id", "visitor_id", name="pk_current_states"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_current_states_tenant_id"),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name="fk_current_states_site_id"),
    )
    op.create_index("ix_current_states_tenant_id", "current_states", ["tenant_id"])
    op.create_index("ix_current_states_changed_ms", "current_states", ["changed_ms"])
    for statement in _GUARDS[op.get_bind().dialect.name]:
        op.execute(statement)


def downgrade() -> None:
    """Take the tables away, and with them all that is in them."""
    for table in ("current_states", "records", "notices", "sites", "tenants"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_change()")


_ERASURE = """
    NEW.erased_at IS NOT NULL AND OLD.erased_at IS NULL
    AND NEW.visitor_id IS NULL AND NEW.document IS NULL AND NEW.signature IS NULL
    AND NEW.key_id IS NULL AND NEW.salt IS NULL
    AND NEW.idempotency_hash IS NULL AND NEW.request_hash IS NULL
    AND NEW.id = OLD.id AND NEW.tenant_id = OLD.tenant_id AND NEW.site_id = OLD.site_id
    AND NEW.created_at = OLD.created_at
"""

_GUARDS = {
    "postgresql": [
        """
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% are never changed or deleted', TG_TABLE_NAME
                USING ERRCODE = 'restrict_violation';
        END $$
        """,
        """
        CREATE TRIGGER notices_stay BEFORE UPDATE OR DELETE ON notices
            FOR EACH ROW EXECUTE FUNCTION refuse_change()
        """,
        """
        CREATE TRIGGER notices_are_not_emptied BEFORE TRUNCATE ON notices
            EXECUTE FUNCTION refuse_change()
        """,
        """
        CREATE TRIGGER records_stay BEFORE DELETE ON records
            FOR EACH ROW EXECUTE FUNCTION refuse_change()
        """,
        """
        CREATE TRIGGER records_are_not_emptied BEFORE TRUNCATE ON records
            EXECUTE FUNCTION refuse_change()
        """,
        f"""
        CREATE TRIGGER records_are_only_erased BEFORE UPDATE ON records
            FOR EACH ROW WHEN (NOT ({_ERASURE})) EXECUTE FUNCTION refuse_change()
        """,
    ],
    "sqlite": [
        """
        CREATE TRIGGER notices_stay_as_they_are BEFORE UPDATE ON notices
        BEGIN SELECT RAISE(ABORT, 'notices are never changed or deleted'); END
        """,
        """
        CREATE TRIGGER notices_stay BEFORE DELETE ON notices
        BEGIN SELECT RAISE(ABORT, 'notices are never changed or deleted'); END
        """,
        """
        CREATE TRIGGER records_stay BEFORE DELETE ON records
        BEGIN SELECT RAISE(ABORT, 'records are never changed or deleted'); END
        """,
        f"""
        CREATE TRIGGER records_are_only_erased BEFORE UPDATE ON records WHEN NOT ({_ERASURE})
        BEGIN SELECT RAISE(ABORT, 'records are never changed or deleted'); END
        """,
    ],
}
