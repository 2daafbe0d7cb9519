"""Ledgers, tombstones and legal holds; records get what the ledger has of them."""

from __future__ import annotations

import hashlib
from typing import Any

import sqlalchemy as sa
from alembic import op

from consent_service.db import UtcDateTime

revision = "0006"
down_revision = "0005"

_OF_LEDGERS = ("leaves", "nodes", "checkpoints", "cosignatures")
_NEW = ("tombstones", "legal_holds", "ledgers", "pending_leaves", *_OF_LEDGERS)

#: Tables whose rows nobody changes or deletes.
_STAY = (*_OF_LEDGERS, "tombstones")


def upgrade() -> None:
    """Make the tables, have records there are wait to become leaves, and guard all of it."""
    kind = op.get_bind().dialect.name
    op.add_column(
        "records",
        sa.Column(
            "commitment",
            sa.LargeBinary(32),
            nullable=True,
            comment="SHA-256 of salt and document, which the ledger has; none if erased before it "
            "did",
        ),
    )
    _add_tables()
    for statement in _TAKE_DOWN[kind]:
        op.execute(statement)
    _commit_to_records(kind)
    for statement in (*_ERASURE[kind], *_NOTES[kind], *_stay(kind), *_HEADS[kind], *_HOLDS[kind]):
        op.execute(statement)
    if kind == "postgresql":
        for table in _NEW:
            op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
            op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
            op.execute(
                f"CREATE POLICY own_tenant ON {table} "
                "USING (tenant_id::text = current_setting('consent.scope', true))"
            )
        # Every process must know which ledgers are suspended, and since when what waits does.
        for table in ("ledgers", "pending_leaves"):
            op.execute(
                f"CREATE POLICY directory ON {table} FOR SELECT "
                "USING (current_setting('consent.scope', true) = 'directory')"
            )


def downgrade() -> None:
    """Forget ledgers, tombstones and legal holds."""
    kind = op.get_bind().dialect.name
    for statement in (*_TAKE_DOWN[kind], *_UNGUARD[kind]):
        op.execute(statement)
    for table in reversed(_NEW):
        op.drop_table(table)
    if kind == "postgresql":
        for function in ("check_erasure", "note_tombstone", "check_head", "check_hold"):
            op.execute(f"DROP FUNCTION {function}()")
    for statement in _BEFORE[kind]:
        op.execute(statement)
    op.drop_column("records", "commitment")


def _commit_to_records(kind: str) -> None:
    """Give each record there is its commitment, and have it wait to become a leaf."""
    if kind == "postgresql":
        made = "sha256(salt || convert_to(document, 'UTF8'))"
    else:
        made = "commitment_of(salt, document)"
        connection: Any = op.get_bind().connection.dbapi_connection
        connection.create_function("commitment_of", 2, _commitment, deterministic=True)
    for statement in (
        f"UPDATE records SET commitment = {made} WHERE document IS NOT NULL",  # noqa: S608
        """
        INSERT INTO pending_leaves (tenant_id, record_id, tombstone, commitment, added_at)
            SELECT tenant_id, id, false, commitment, created_at FROM records
            WHERE commitment IS NOT NULL
        """,
    ):
        op.execute(statement)


def _commitment(salt: bytes, document: str) -> bytes:
    return hashlib.sha256(salt + document.encode()).digest()


def _of_tenant(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=f"fk_{table}_tenant_id")


def _of_one_tenants_ledger(table: str) -> tuple[sa.ForeignKeyConstraint, ...]:
    return (
        _of_tenant(table),
        sa.ForeignKeyConstraint(
            ["tenant_id", "ledger_id"],
            ["ledgers.tenant_id", "ledgers.id"],
            name=f"fk_{table}_tenant_id_ledger_id",
        ),
    )


def _of_one_tenants_site(table: str) -> tuple[sa.ForeignKeyConstraint, ...]:
    return (
        _of_tenant(table),
        sa.ForeignKeyConstraint(
            ["tenant_id", "site_id"],
            ["sites.tenant_id", "sites.id"],
            name=f"fk_{table}_tenant_id_site_id",
        ),
    )


def _add_tables() -> None:
    op.create_table(
        "tombstones",
        sa.Column("record_id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("site_id", sa.Uuid(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False, comment="canonical JSON (RFC 8785)"),
        sa.Column("signature", sa.LargeBinary(64), nullable=False, comment="Ed25519, of document"),
        sa.Column("key_id", sa.String(64), nullable=False),
        sa.Column("salt", sa.LargeBinary(32), nullable=False, comment="of the commitment"),
        sa.Column(
            "commitment",
            sa.LargeBinary(32),
            nullable=False,
            comment="SHA-256 of salt and document, which the ledger has",
        ),
        sa.Column("erased_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("record_id", name="pk_tombstones"),
        sa.ForeignKeyConstraint(["record_id"], ["records.id"], name="fk_tombstones_record_id"),
        *_of_one_tenants_site("tombstones"),
    )
    op.create_index("ix_tombstones_site", "tombstones", ["tenant_id", "site_id"])
    op.create_table(
        "legal_holds",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("site_id", sa.Uuid(), nullable=True, comment="none: of all the tenant's sites"),
        sa.Column(
            "visitor_id",
            sa.String(32),
            nullable=True,
            comment="none: of all visitors of the site",
        ),
        sa.Column("authority", sa.String(200), nullable=False, comment="who has ordered it"),
        sa.Column("reference", sa.String(200), nullable=False, comment="the order's number there"),
        sa.Column("reason", sa.Text(), nullable=False, comment="as visitors are told"),
        sa.Column("placed_at", UtcDateTime(), nullable=False),
        sa.Column("lifted_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_legal_holds"),
        *_of_one_tenants_site("legal_holds"),
    )
    op.create_index("ix_legal_holds_tenant_id", "legal_holds", ["tenant_id"])
    op.create_table(
        "ledgers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, comment="1 for a tenant's first"),
        sa.Column("origin", sa.String(80), nullable=False, comment="its name in checkpoints"),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(32), nullable=False),
        sa.Column(
            "suspended_at",
            UtcDateTime(),
            nullable=True,
            comment="since when nothing is written, as more was published than is here",
        ),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_ledgers"),
        sa.UniqueConstraint("tenant_id", "number", name="uq_ledgers_tenant_id_number"),
        sa.UniqueConstraint("tenant_id", "id", name="uq_ledgers_tenant_id_id"),
        _of_tenant("ledgers"),
    )
    op.create_index(
        "uq_ledgers_open",
        "ledgers",
        ["tenant_id"],
        unique=True,
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )
    op.create_table(
        "pending_leaves",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("record_id", sa.Uuid(), nullable=False),
        sa.Column("tombstone", sa.Boolean(), nullable=False, comment="of a record, and not it"),
        sa.Column("commitment", sa.LargeBinary(32), nullable=False),
        sa.Column("added_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "record_id", "tombstone", name="pk_pending_leaves"),
        _of_tenant("pending_leaves"),
    )
    op.create_table(
        "leaves",
        sa.Column("ledger_id", sa.Uuid(), nullable=False),
        sa.Column("leaf_index", sa.BigInteger(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("record_id", sa.Uuid(), nullable=False),
        sa.Column("tombstone", sa.Boolean(), nullable=False, comment="of a record, and not it"),
        sa.Column("commitment", sa.LargeBinary(32), nullable=False),
        sa.PrimaryKeyConstraint("ledger_id", "leaf_index", name="pk_leaves"),
        sa.UniqueConstraint("record_id", "tombstone", name="uq_leaves_record_id_tombstone"),
        *_of_one_tenants_ledger("leaves"),
    )
    op.create_table(
        "nodes",
        sa.Column("ledger_id", sa.Uuid(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("node_index", sa.BigInteger(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
        sa.PrimaryKeyConstraint("ledger_id", "level", "node_index", name="pk_nodes"),
        *_of_one_tenants_ledger("nodes"),
    )
    op.create_table(
        "checkpoints",
        sa.Column("ledger_id", sa.Uuid(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False, comment="a signed note (C2SP)"),
        sa.Column("made_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("ledger_id", "size", name="pk_checkpoints"),
        *_of_one_tenants_ledger("checkpoints"),
    )
    op.create_table(
        "cosignatures",
        sa.Column("ledger_id", sa.Uuid(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False, comment="of the checkpoint"),
        sa.Column("witness", sa.String(200), nullable=False, comment="the key's name"),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False, comment="as it stands under the note"),
        sa.Column("made_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("ledger_id", "size", "witness", name="pk_cosignatures"),
        *_of_one_tenants_ledger("cosignatures"),
    )


_OPEN = sa.text("closed_at IS NULL")

_EMPTIED = """
    NEW.erased_at IS NOT NULL AND OLD.erased_at IS NULL
    AND NEW.visitor_id IS NULL AND NEW.document IS NULL AND NEW.signature IS NULL
    AND NEW.key_id IS NULL AND NEW.salt IS NULL
    AND NEW.idempotency_hash IS NULL AND NEW.request_hash IS NULL
    AND NEW.id = OLD.id AND NEW.tenant_id = OLD.tenant_id AND NEW.site_id = OLD.site_id
    AND NEW.created_at = OLD.created_at AND NEW.after_ms IS NULL
"""
_COMMITTED = f"{_EMPTIED} AND NEW.commitment = OLD.commitment"

_NO_TOMBSTONE = "NOT EXISTS (SELECT 1 FROM tombstones WHERE record_id = OLD.id)"
_ON_HOLD = """
    EXISTS (
        SELECT 1 FROM legal_holds
        WHERE tenant_id = OLD.tenant_id AND lifted_at IS NULL
            AND (site_id IS NULL OR site_id = OLD.site_id)
            AND (visitor_id IS NULL OR visitor_id = OLD.visitor_id)
    )
"""

_TAKE_DOWN = {
    "postgresql": ["DROP TRIGGER records_are_only_erased ON records"],
    "sqlite": ["DROP TRIGGER records_are_only_erased"],
}
_UNGUARD = {
    "postgresql": ["DROP TRIGGER records_are_erased_lawfully ON records"],
    "sqlite": ["DROP TRIGGER records_are_erased_lawfully", "DROP TRIGGER records_are_to_be_leaves"],
}
_SQLITE_ONLY_EMPTIED = """
    CREATE TRIGGER records_are_only_erased BEFORE UPDATE ON records WHEN NOT ({emptied})
    BEGIN SELECT RAISE(ABORT, 'records are never changed or deleted'); END
"""
_POSTGRESQL_ONLY_EMPTIED = """
    CREATE TRIGGER records_are_only_erased BEFORE UPDATE ON records
        FOR EACH ROW WHEN (NOT ({emptied})) EXECUTE FUNCTION refuse_change()
"""
_POSTGRESQL_NOTE = """
    CREATE OR REPLACE FUNCTION note_record_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO record_changes (tenant_id, site_id, record_id, made_at, erased)
            VALUES (NEW.tenant_id, NEW.site_id, NEW.id, NEW.created_at, TG_OP = 'UPDATE');
        {more}
        RETURN NULL;
    END $$
"""
_BEFORE = {
    "postgresql": [
        _POSTGRESQL_ONLY_EMPTIED.format(emptied=_EMPTIED),
        _POSTGRESQL_NOTE.format(more=""),
    ],
    "sqlite": [_SQLITE_ONLY_EMPTIED.format(emptied=_EMPTIED)],
}

_ERASURE = {
    "postgresql": [
        _POSTGRESQL_ONLY_EMPTIED.format(emptied=_COMMITTED),
        f"""
        CREATE FUNCTION check_erasure() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF {_NO_TOMBSTONE} THEN
                RAISE EXCEPTION 'a record is erased only where its tombstone stands'
                    USING ERRCODE = 'restrict_violation';
            END IF;
            IF {_ON_HOLD} THEN
                RAISE EXCEPTION 'a record under a legal hold is not erased'
                    USING ERRCODE = 'restrict_violation';
            END IF;
            RETURN NEW;
        END $$
        """,
        """
        CREATE TRIGGER records_are_erased_lawfully BEFORE UPDATE ON records
            FOR EACH ROW EXECUTE FUNCTION check_erasure()
        """,
    ],
    "sqlite": [
        _SQLITE_ONLY_EMPTIED.format(emptied=_COMMITTED),
        f"""
        CREATE TRIGGER records_are_erased_lawfully BEFORE UPDATE ON records
        BEGIN
            SELECT RAISE(ABORT, 'a record is erased only where its tombstone stands')
                WHERE {_NO_TOMBSTONE};
            SELECT RAISE(ABORT, 'a record under a legal hold is not erased') WHERE {_ON_HOLD};
        END
        """,
    ],
}

# By the database, so that nothing that makes or erases a record can forget it.
_NOTES = {
    "postgresql": [
        _POSTGRESQL_NOTE.format(
            more="""
        IF TG_OP = 'INSERT' THEN
            INSERT INTO pending_leaves (tenant_id, record_id, tombstone, commitment, added_at)
                VALUES (NEW.tenant_id, NEW.id, false, NEW.commitment, NEW.created_at);
        END IF;
            """
        ),
        """
        CREATE FUNCTION note_tombstone() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO pending_leaves (tenant_id, record_id, tombstone, commitment, added_at)
                VALUES (NEW.tenant_id, NEW.record_id, true, NEW.commitment, NEW.erased_at);
            RETURN NULL;
        END $$
        """,
        """
        CREATE TRIGGER tombstones_are_to_be_leaves AFTER INSERT ON tombstones
            FOR EACH ROW EXECUTE FUNCTION note_tombstone()
        """,
    ],
    "sqlite": [
        """
        CREATE TRIGGER records_are_to_be_leaves AFTER INSERT ON records
        BEGIN
            INSERT INTO pending_leaves (tenant_id, record_id, tombstone, commitment, added_at)
                VALUES (NEW.tenant_id, NEW.id, 0, NEW.commitment, NEW.created_at);
        END
        """,
        """
        CREATE TRIGGER tombstones_are_to_be_leaves AFTER INSERT ON tombstones
        BEGIN
            INSERT INTO pending_leaves (tenant_id, record_id, tombstone, commitment, added_at)
                VALUES (NEW.tenant_id, NEW.record_id, 1, NEW.commitment, NEW.erased_at);
        END
        """,
    ],
}

_GROWS = """
    NEW.id = OLD.id AND NEW.tenant_id = OLD.tenant_id AND NEW.number = OLD.number
    AND NEW.origin = OLD.origin AND OLD.closed_at IS NULL
    AND (NEW.size > OLD.size OR (NEW.size = OLD.size AND NEW.root = OLD.root))
"""
_HEADS = {
    "postgresql": [
        """
        CREATE FUNCTION check_head() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'a ledger only grows' USING ERRCODE = 'restrict_violation';
        END $$
        """,
        f"""
        CREATE TRIGGER ledgers_only_grow BEFORE UPDATE ON ledgers
            FOR EACH ROW WHEN (NOT ({_GROWS})) EXECUTE FUNCTION check_head()
        """,
        """
        CREATE TRIGGER ledgers_stay BEFORE DELETE ON ledgers
            FOR EACH ROW EXECUTE FUNCTION refuse_change()
        """,
        """
        CREATE TRIGGER ledgers_are_not_emptied BEFORE TRUNCATE ON ledgers
            EXECUTE FUNCTION refuse_change()
        """,
    ],
    "sqlite": [
        f"""
        CREATE TRIGGER ledgers_only_grow BEFORE UPDATE ON ledgers WHEN NOT ({_GROWS})
        BEGIN SELECT RAISE(ABORT, 'a ledger only grows'); END
        """,
        """
        CREATE TRIGGER ledgers_stay BEFORE DELETE ON ledgers
        BEGIN SELECT RAISE(ABORT, 'ledgers are never changed or deleted'); END
        """,
    ],
}

_LIFTED = """
    OLD.lifted_at IS NULL AND NEW.lifted_at IS NOT NULL AND NEW.id = OLD.id
    AND NEW.tenant_id = OLD.tenant_id AND NEW.reason = OLD.reason
    AND NEW.authority = OLD.authority AND NEW.reference = OLD.reference
    AND NEW.placed_at = OLD.placed_at
    AND (NEW.site_id = OLD.site_id OR (NEW.site_id IS NULL AND OLD.site_id IS NULL))
    AND (NEW.visitor_id = OLD.visitor_id OR (NEW.visitor_id IS NULL AND OLD.visitor_id IS NULL))
"""
_HOLDS = {
    "postgresql": [
        """
        CREATE FUNCTION check_hold() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'a legal hold is only lifted' USING ERRCODE = 'restrict_violation';
        END $$
        """,
        f"""
        CREATE TRIGGER legal_holds_are_only_lifted BEFORE UPDATE ON legal_holds
            FOR EACH ROW WHEN (({_LIFTED}) IS NOT TRUE) EXECUTE FUNCTION check_hold()
        """,
        """
        CREATE TRIGGER legal_holds_stay BEFORE DELETE ON legal_holds
            FOR EACH ROW EXECUTE FUNCTION refuse_change()
        """,
    ],
    "sqlite": [
        f"""
        CREATE TRIGGER legal_holds_are_only_lifted BEFORE UPDATE ON legal_holds
            WHEN ({_LIFTED}) IS NOT TRUE
        BEGIN SELECT RAISE(ABORT, 'a legal hold is only lifted'); END
        """,
        """
        CREATE TRIGGER legal_holds_stay BEFORE DELETE ON legal_holds
        BEGIN SELECT RAISE(ABORT, 'legal holds are never deleted'); END
        """,
    ],
}


def _stay(kind: str) -> list[str]:
    """Return what has the database refuse to change or delete rows."""
    if kind == "postgresql":
        return [
            statement
            for table in _STAY
            for statement in (
                f"""
                CREATE TRIGGER {table}_stay BEFORE UPDATE OR DELETE ON {table}
                    FOR EACH ROW EXECUTE FUNCTION refuse_change()
                """,
                f"""
                CREATE TRIGGER {table}_are_not_emptied BEFORE TRUNCATE ON {table}
                    EXECUTE FUNCTION refuse_change()
                """,
            )
        ]
    return [
        f"""
        CREATE TRIGGER {table}_{name} BEFORE {change} ON {table}
        BEGIN SELECT RAISE(ABORT, '{table} are never changed or deleted'); END
        """
        for table in _STAY
        for change, name in (("UPDATE", "stay_as_they_are"), ("DELETE", "stay"))
    ]
