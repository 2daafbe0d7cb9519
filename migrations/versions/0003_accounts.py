"""Users, API keys, the audit log, drafts of notices; and the database keeps tenants apart."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

from consent_service.db import UtcDateTime

revision = "0003"
down_revision = "0002"

#: Tables whose rows belong to a site.
_OF_SITES = ("link_keys", "notices", "records", "current_states", "linked_users")

_HAS_TENANT = (
    "sites",
    *_OF_SITES,
    "notice_drafts",
    "memberships",
    "invitations",
    "identity_providers",
    "api_keys",
    "audit_events",
)
_OF_USERS = (
    "users",
    "sessions",
    "totp_secrets",
    "passkeys",
    "recovery_codes",
    "one_time_values",
)

_SCOPE = "current_setting('consent.scope', true)"


def upgrade() -> None:
    """Make the tables, tie what belongs to a site to its tenant, and enforce the scope."""
    _tie_to_tenants()
    _add_drafts()
    _add_users()
    _add_credentials()
    _add_keys()
    _add_audit()
    kind = op.get_bind().dialect.name
    for statement in _AUDIT_GUARDS[kind]:
        op.execute(statement)
    if kind == "postgresql":
        for statement in _policies():
            op.execute(statement)


def downgrade() -> None:
    """Forget users, keys, drafts and the audit log, and let the query rule alone hold again."""
    if op.get_bind().dialect.name == "postgresql":
        for table in ("tenants", "sites", *_OF_SITES):
            for policy in ("own_tenant", "directory"):
                op.execute(f"DROP POLICY IF EXISTS {policy} ON {table}")
            op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
            op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
        op.execute("DROP POLICY members ON users")
    for table in (
        "audit_events",
        "api_keys",
        "identity_providers",
        "one_time_values",
        "recovery_codes",
        "passkeys",
        "totp_secrets",
        "sessions",
        "invitations",
        "memberships",
        "users",
        "notice_drafts",
    ):
        op.drop_table(table)
    _untie()
    op.drop_column("sites", "revision")


def _tie_to_tenants() -> None:
    op.add_column(
        "sites",
        sa.Column(
            "revision",
            sa.Integer(),
            nullable=False,
            server_default="1",
            comment="how often it was changed, and 1",
        ),
    )
    op.create_index("uq_sites_tenant_id_id", "sites", ["tenant_id", "id"], unique=True)
    for table in _OF_SITES:
        with op.batch_alter_table(table) as batch:
            batch.drop_constraint(f"fk_{table}_site_id", type_="foreignkey")
            batch.create_foreign_key(
                f"fk_{table}_tenant_id_site_id",
                "sites",
                ["tenant_id", "site_id"],
                ["tenant_id", "id"],
            )
    _put_back_guards()


def _untie() -> None:
    for table in _OF_SITES:
        with op.batch_alter_table(table) as batch:
            batch.drop_constraint(f"fk_{table}_tenant_id_site_id", type_="foreignkey")
            batch.create_foreign_key(f"fk_{table}_site_id", "sites", ["site_id"], ["id"])
    op.drop_index("uq_sites_tenant_id_id", "sites")
    _put_back_guards()


def _put_back_guards() -> None:
    """On SQLite a table is changed by making it anew, and its triggers are gone with the old."""
    if op.get_bind().dialect.name == "sqlite":
        for statement in _SQLITE_GUARDS:
            op.execute(statement)


def _add_drafts() -> None:
    op.create_table(
        "notice_drafts",
        sa.Column("site_id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column(
            "revision",
            sa.Integer(),
            nullable=False,
            comment="how often it, or what it begins with, changed",
        ),
        sa.Column(
            "document",
            sa.Text(),
            nullable=True,
            comment="JSON, as its author wrote it; none while there is no draft",
        ),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("site_id", name="pk_notice_drafts"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_notice_drafts_tenant_id"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "site_id"],
            ["sites.tenant_id", "sites.id"],
            name="fk_notice_drafts_tenant_id_site_id",
        ),
    )
    op.create_index("ix_notice_drafts_tenant_id", "notice_drafts", ["tenant_id"])


def _add_users() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False, comment="encrypted"),
        sa.Column(
            "email_hash",
            sa.LargeBinary(32),
            nullable=False,
            comment="keyed, of the address in lower case",
        ),
        sa.Column("name", sa.Text(), nullable=False, comment="encrypted"),
        sa.Column(
            "password_hash",
            sa.String(200),
            nullable=True,
            comment="argon2id; none for who signs in elsewhere",
        ),
        sa.Column("language", sa.String(35), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("email_hash", name="uq_users_email_hash"),
    )
    op.create_table(
        "memberships",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "user_id", name="pk_memberships"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_memberships_tenant_id"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_memberships_user_id"),
    )
    op.create_index("ix_memberships_user_id", "memberships", ["user_id"])
    op.create_table(
        "invitations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False, comment="encrypted"),
        sa.Column(
            "email_hash",
            sa.LargeBinary(32),
            nullable=False,
            comment="keyed, of the address in lower case",
        ),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("invited_by", sa.Uuid(), nullable=True, comment="a user; none for the operator"),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("accepted_at", UtcDateTime(), nullable=True),
        sa.Column("revoked_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_invitations"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_invitations_tenant_id"),
    )
    op.create_index("ix_invitations_tenant_id", "invitations", ["tenant_id"])
    op.create_table(
        "sessions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("last_seen_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column(
            "authenticated_at",
            UtcDateTime(),
            nullable=False,
            comment="when the user last proved to be there",
        ),
        sa.Column(
            "second_factor",
            sa.String(20),
            nullable=True,
            comment="totp, passkey, recovery_code or provider; none without",
        ),
        sa.Column(
            "provider_of",
            sa.Uuid(),
            nullable=True,
            comment="the tenant whose identity provider vouched for the user",
        ),
        sa.Column("network", sa.String(43), nullable=True, comment="/24 or /48, no address"),
        sa.Column("client", sa.String(100), nullable=True, comment="browser family and device"),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_sessions_user_id"),
        sa.UniqueConstraint("token_hash", name="uq_sessions_token_hash"),
    )
    op.create_index("ix_sessions_user_id", "sessions", ["user_id"])


def _add_credentials() -> None:
    op.create_table(
        "totp_secrets",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False, comment="encrypted"),
        sa.Column(
            "confirmed_at", UtcDateTime(), nullable=False, comment="when its first code came"
        ),
        sa.Column(
            "last_step",
            sa.BigInteger(),
            nullable=False,
            comment="time step of the newest code accepted; no code counts twice",
        ),
        sa.PrimaryKeyConstraint("user_id", name="pk_totp_secrets"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_totp_secrets_user_id"),
    )
    op.create_table(
        "passkeys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("credential_id", sa.LargeBinary(1023), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("last_used_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_passkeys"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_passkeys_user_id"),
        sa.UniqueConstraint("credential_id", name="uq_passkeys_credential_id"),
    )
    op.create_index("ix_passkeys_user_id", "passkeys", ["user_id"])
    op.create_table(
        "recovery_codes",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("code_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("used_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("user_id", "code_hash", name="pk_recovery_codes"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_recovery_codes_user_id"),
    )
    op.create_table(
        "one_time_values",
        sa.Column("value_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("use", sa.String(20), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("content", sa.Text(), nullable=False, comment="encrypted JSON"),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("value_hash", name="pk_one_time_values"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_one_time_values_user_id"),
    )
    op.create_index("ix_one_time_values_user_id", "one_time_values", ["user_id"])
    op.create_index("ix_one_time_values_expires_at", "one_time_values", ["expires_at"])
    op.create_table(
        "identity_providers",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("issuer", sa.String(500), nullable=False),
        sa.Column("client_id", sa.String(200), nullable=False),
        sa.Column("client_secret", sa.Text(), nullable=False, comment="encrypted"),
        sa.Column(
            "required",
            sa.Boolean(),
            nullable=False,
            comment="whether a password opens nothing here",
        ),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name="pk_identity_providers"),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_identity_providers_tenant_id"
        ),
    )


def _add_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("hint", sa.String(12), nullable=False, comment="how the key begins"),
        sa.Column("created_by", sa.Uuid(), nullable=True, comment="a user; none for the operator"),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=True),
        sa.Column("last_used_at", UtcDateTime(), nullable=True, comment="to the minute"),
        sa.Column("revoked_at", UtcDateTime(), nullable=True),
        sa.Column(
            "replaced_by", sa.Uuid(), nullable=True, comment="the key that it was rotated to"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_api_keys_tenant_id"),
        sa.UniqueConstraint("secret_hash", name="uq_api_keys_secret_hash"),
    )
    op.create_index("ix_api_keys_tenant_id", "api_keys", ["tenant_id"])


def _add_audit() -> None:
    op.create_table(
        "audit_events",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("actor_kind", sa.String(20), nullable=False, comment="user, api_key or operator"),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("action", sa.String(60), nullable=False),
        sa.Column("object_kind", sa.String(40), nullable=False),
        sa.Column("object_id", sa.String(100), nullable=False),
        sa.Column("before", sa.JSON(), nullable=True),
        sa.Column("after", sa.JSON(), nullable=True),
        sa.Column("network", sa.String(43), nullable=True, comment="/24 or /48, no address"),
        sa.Column("client", sa.String(100), nullable=True, comment="browser family and device"),
        sa.PrimaryKeyConstraint("id", name="pk_audit_events"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_audit_events_tenant_id"),
    )
    op.create_index("ix_audit_events_tenant_id_at", "audit_events", ["tenant_id", "at"])


def _policies() -> Iterator[str]:
    """Give what keeps every transaction within the scope that it states."""
    for table in ("tenants", *_HAS_TENANT, *_OF_USERS):
        yield f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"
        yield f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY"
    for table in ("tenants", *_HAS_TENANT):
        tenant = "id" if table == "tenants" else "tenant_id"
        yield f"CREATE POLICY own_tenant ON {table} USING ({tenant}::text = {_SCOPE})"
    for table in ("tenants", "sites", "notices", "current_states"):
        yield f"CREATE POLICY directory ON {table} FOR SELECT USING ({_SCOPE} = 'directory')"
    accounts = f"({_SCOPE} = 'accounts')"
    for table in (*_OF_USERS, "memberships", "invitations"):
        yield f"CREATE POLICY accounts ON {table} USING {accounts}"
    yield f"CREATE POLICY accounts ON identity_providers FOR SELECT USING {accounts}"
    yield f"CREATE POLICY accounts ON api_keys FOR SELECT USING {accounts}"
    yield f"CREATE POLICY accounts_use ON api_keys FOR UPDATE USING {accounts}"
    yield f"CREATE POLICY accounts ON audit_events FOR INSERT WITH CHECK {accounts}"
    # A tenant sees its own members, the former ones too, and cannot make somebody one.
    yield """
        CREATE POLICY members ON users FOR SELECT
            USING (EXISTS (SELECT FROM memberships WHERE user_id = users.id))
    """
    yield f"""
        CREATE POLICY joining ON memberships AS RESTRICTIVE FOR INSERT WITH CHECK {accounts}
    """


_AUDIT_GUARDS = {
    "postgresql": [
        """
        CREATE TRIGGER audit_events_stay BEFORE UPDATE OR DELETE ON audit_events
            FOR EACH ROW EXECUTE FUNCTION refuse_change()
        """,
        """
        CREATE TRIGGER audit_events_are_not_emptied BEFORE TRUNCATE ON audit_events
            EXECUTE FUNCTION refuse_change()
        """,
    ],
    "sqlite": [
        """
        CREATE TRIGGER audit_events_stay_as_they_are BEFORE UPDATE ON audit_events
        BEGIN SELECT RAISE(ABORT, 'audit_events are never changed or deleted'); END
        """,
        """
        CREATE TRIGGER audit_events_stay BEFORE DELETE ON audit_events
        BEGIN SELECT RAISE(ABORT, 'audit_events are never changed or deleted'); END
        """,
    ],
}

_ERASURE = """
    NEW.erased_at IS NOT NULL AND OLD.erased_at IS NULL
    AND NEW.visitor_id IS NULL AND NEW.document IS NULL AND NEW.signature IS NULL
    AND NEW.key_id IS NULL AND NEW.salt IS NULL
    AND NEW.idempotency_hash IS NULL AND NEW.request_hash IS NULL
    AND NEW.id = OLD.id AND NEW.tenant_id = OLD.tenant_id AND NEW.site_id = OLD.site_id
    AND NEW.created_at = OLD.created_at
"""

_SQLITE_GUARDS = [
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
]
