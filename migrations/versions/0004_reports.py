"""Impressions, rollups, and an outbox of records that are to be counted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from consent_service.db import UtcDateTime

revision = "0004"
down_revision = "0003"

_NEW = ("record_changes", "impressions", "rollups", "rollup_states", "report_settings")
_NOT_FOLDED = sa.text("NOT folded")
_ERASED = sa.text("erased_at IS NOT NULL")


def upgrade() -> None:
    """Make the tables, have every record that is made or erased be noted, and guard them."""
    op.add_column(
        "sites",
        sa.Column(
            "time_zone",
            sa.String(64),
            nullable=False,
            server_default="Africa/Dar_es_Salaam",
            comment="IANA name; a site's days",
        ),
    )
    op.add_column(
        "records",
        sa.Column(
            "after_ms",
            sa.Integer(),
            nullable=True,
            comment="from the banner's showing to the choice, as the page measured it",
        ),
    )
    # By site and time too, at the price of the one that it replaces.
    op.create_index("ix_records_site", "records", ["tenant_id", "site_id", "created_at"])
    op.drop_index("ix_records_tenant_id", "records")
    op.create_index(
        "ix_records_erased",
        "records",
        ["tenant_id", "site_id", "erased_at"],
        sqlite_where=_ERASED,
        postgresql_where=_ERASED,
    )
    _add_tables()
    kind = op.get_bind().dialect.name
    for statement in (*_guards(kind, _ERASURE_NOW), *_OUTBOX[kind]):
        op.execute(statement)
    if kind == "postgresql":
        for table in _NEW:
            op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
            op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
            op.execute(
                f"CREATE POLICY own_tenant ON {table} "
                "USING (tenant_id::text = current_setting('consent.scope', true))"
            )


def downgrade() -> None:
    """Forget impressions and rollups."""
    kind = op.get_bind().dialect.name
    on_records = " ON records" if kind == "postgresql" else ""
    for trigger in ("records_made_are_noted", "records_erased_are_noted"):
        op.execute(f"DROP TRIGGER {trigger}{on_records}")
    if kind == "postgresql":
        op.execute("DROP FUNCTION note_record_change()")
    for table in reversed(_NEW):
        op.drop_table(table)
    op.create_index("ix_records_tenant_id", "records", ["tenant_id"])
    op.drop_index("ix_records_site", "records")
    op.drop_index("ix_records_erased", "records")
    for statement in _guards(kind, _ERASURE_BEFORE):
        op.execute(statement)
    op.drop_column("records", "after_ms")
    op.drop_column("sites", "time_zone")


def _of_one_tenants_site(table: str) -> tuple[sa.ForeignKeyConstraint, ...]:
    return (
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=f"fk_{table}_tenant_id"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "site_id"],
            ["sites.tenant_id", "sites.id"],
            name=f"fk_{table}_tenant_id_site_id",
        ),
    )


def _add_tables() -> None:
    op.create_table(
        "record_changes",
        sa.Column("record_id", sa.Uuid(), nullable=False),
        sa.Column("erased", sa.Boolean(), nullable=False, comment="erased, and not made"),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("site_id", sa.Uuid(), nullable=False),
        sa.Column("made_at", UtcDateTime(), nullable=False, comment="when the record was made"),
        sa.PrimaryKeyConstraint("record_id", "erased", name="pk_record_changes"),
        *_of_one_tenants_site("record_changes"),
    )
    op.create_index("ix_record_changes_site", "record_changes", ["tenant_id", "site_id", "made_at"])
    op.create_table(
        "impressions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("site_id", sa.Uuid(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False, comment="to the second"),
        sa.Column(
            "kind",
            sa.String(20),
            nullable=False,
            comment="shown, preferences_opened, dismissed",
        ),
        sa.Column("country", sa.String(2), nullable=False, comment="ZZ where unknown"),
        sa.Column("language", sa.String(35), nullable=False),
        sa.Column("device_class", sa.String(20), nullable=False),
        sa.Column("browser_family", sa.String(20), nullable=False),
        sa.Column("notice_version", sa.Integer(), nullable=False),
        sa.Column("regime", sa.String(20), nullable=False),
        sa.Column("gpc", sa.Boolean(), nullable=False),
        sa.Column(
            "bot",
            sa.Boolean(),
            nullable=False,
            comment="left out of all but the count of what was left out",
        ),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("folded", sa.Boolean(), nullable=False, comment="whether the rollups have it"),
        sa.PrimaryKeyConstraint("id", name="pk_impressions"),
        *_of_one_tenants_site("impressions"),
    )
    op.create_index("ix_impressions_site", "impressions", ["tenant_id", "site_id", "at"])
    op.create_index(
        "ix_impressions_not_folded",
        "impressions",
        ["tenant_id", "site_id", "at"],
        sqlite_where=_NOT_FOLDED,
        postgresql_where=_NOT_FOLDED,
    )
    op.create_table(
        "rollups",
        sa.Column("site_id", sa.Uuid(), nullable=False),
        sa.Column(
            "dimensions",
            sa.String(40),
            nullable=False,
            comment='"", one, or two with a comma between',
        ),
        sa.Column("day", sa.Date(), nullable=False, comment="in the site's time zone"),
        sa.Column("value", sa.String(80), nullable=False, comment="of the dimensions"),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("counts", sa.Text(), nullable=False, comment="JSON, measure: number"),
        sa.PrimaryKeyConstraint("site_id", "dimensions", "day", "value", name="pk_rollups"),
        *_of_one_tenants_site("rollups"),
    )
    op.create_index("ix_rollups_tenant_id", "rollups", ["tenant_id"])
    op.create_table(
        "rollup_states",
        sa.Column("site_id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("time_zone", sa.String(64), nullable=False, comment="that their days are in"),
        sa.Column("counted_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("site_id", name="pk_rollup_states"),
        *_of_one_tenants_site("rollup_states"),
    )
    op.create_index("ix_rollup_states_tenant_id", "rollup_states", ["tenant_id"])
    op.create_table(
        "report_settings",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column(
            "smallest_group",
            sa.Integer(),
            nullable=False,
            comment="groups of fewer people are hidden",
        ),
        sa.PrimaryKeyConstraint("tenant_id", name="pk_report_settings"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_report_settings_tenant_id"),
    )


_ERASURE_BEFORE = """
    NEW.erased_at IS NOT NULL AND OLD.erased_at IS NULL
    AND NEW.visitor_id IS NULL AND NEW.document IS NULL AND NEW.signature IS NULL
    AND NEW.key_id IS NULL AND NEW.salt IS NULL
    AND NEW.idempotency_hash IS NULL AND NEW.request_hash IS NULL
    AND NEW.id = OLD.id AND NEW.tenant_id = OLD.tenant_id AND NEW.site_id = OLD.site_id
    AND NEW.created_at = OLD.created_at
"""
_ERASURE_NOW = f"{_ERASURE_BEFORE} AND NEW.after_ms IS NULL"


def _guards(kind: str, erasure: str) -> list[str]:
    """Return what lets a record be changed in no way but to empty it."""
    if kind == "postgresql":
        return [
            "DROP TRIGGER records_are_only_erased ON records",
            f"""
            CREATE TRIGGER records_are_only_erased BEFORE UPDATE ON records
                FOR EACH ROW WHEN (NOT ({erasure})) EXECUTE FUNCTION refuse_change()
            """,
        ]
    return [
        "DROP TRIGGER records_are_only_erased",
        f"""
        CREATE TRIGGER records_are_only_erased BEFORE UPDATE ON records WHEN NOT ({erasure})
        BEGIN SELECT RAISE(ABORT, 'records are never changed or deleted'); END
        """,
    ]


# By the database, so that nothing that makes or erases a record can forget it.
_OUTBOX = {
    "postgresql": [
        """
        CREATE FUNCTION note_record_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO record_changes (tenant_id, site_id, record_id, made_at, erased)
                VALUES (NEW.tenant_id, NEW.site_id, NEW.id, NEW.created_at, TG_OP = 'UPDATE');
            RETURN NULL;
        END $$
        """,
        """
        CREATE TRIGGER records_made_are_noted AFTER INSERT ON records
            FOR EACH ROW EXECUTE FUNCTION note_record_change()
        """,
        """
        CREATE TRIGGER records_erased_are_noted AFTER UPDATE ON records
            FOR EACH ROW EXECUTE FUNCTION note_record_change()
        """,
    ],
    "sqlite": [
        """
        CREATE TRIGGER records_made_are_noted AFTER INSERT ON records
        BEGIN
            INSERT INTO record_changes (tenant_id, site_id, record_id, made_at, erased)
                VALUES (NEW.tenant_id, NEW.site_id, NEW.id, NEW.created_at, 0);
        END
        """,
        """
        CREATE TRIGGER records_erased_are_noted AFTER UPDATE ON records
        BEGIN
            INSERT INTO record_changes (tenant_id, site_id, record_id, made_at, erased)
                VALUES (NEW.tenant_id, NEW.site_id, NEW.id, NEW.created_at, 1);
        END
        """,
    ],
}
