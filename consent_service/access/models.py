"""Tables of users and how they sign in, of API keys, and of the audit log.

Texts that say who somebody is, and secrets that must be read again, are encrypted
(``Keyring.encrypt``); secrets that need only be recognised are hashed. The database refuses to
update or delete an audit event.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from consent_service.db import Base, granted


class UserRow(Base):
    """Somebody who signs in; of any number of tenants."""

    __tablename__ = "users"
    __table_args__ = granted("SELECT, INSERT, UPDATE")

    id: Mapped[UUID] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(Text, comment="encrypted")
    email_hash: Mapped[bytes] = mapped_column(
        LargeBinary(32), unique=True, comment="keyed, of the address in lower case"
    )
    name: Mapped[str] = mapped_column(Text, comment="encrypted")
    password_hash: Mapped[str | None] = mapped_column(
        String(200), comment="argon2id; none for who signs in elsewhere"
    )
    language: Mapped[str | None] = mapped_column(String(35))
    created_at: Mapped[datetime]


class MembershipRow(Base):
    """What a user is in a tenant; kept when it ends, so that the audit log can name the user."""

    __tablename__ = "memberships"
    __table_args__ = granted("SELECT, INSERT, UPDATE (role, created_at, ended_at)")

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True, index=True)
    role: Mapped[str] = mapped_column(String(20))
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class InvitationRow(Base):
    """An invitation to a tenant. Its link is signed; it counts once and until it expires."""

    __tablename__ = "invitations"
    __table_args__ = granted("SELECT, INSERT, UPDATE")

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"), index=True)
    email: Mapped[str] = mapped_column(Text, comment="encrypted")
    email_hash: Mapped[bytes] = mapped_column(
        LargeBinary(32), comment="keyed, of the address in lower case"
    )
    role: Mapped[str] = mapped_column(String(20))
    invited_by: Mapped[UUID | None] = mapped_column(comment="a user; none for the operator")
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    accepted_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class SessionRow(Base):
    """A user who is signed in on a device."""

    __tablename__ = "sessions"
    __table_args__ = granted("SELECT, INSERT, UPDATE, DELETE")

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), index=True)
    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    authenticated_at: Mapped[datetime] = mapped_column(
        comment="when the user last proved to be there"
    )
    second_factor: Mapped[str | None] = mapped_column(
        String(20), comment="totp, passkey, recovery_code or provider; none without"
    )
    provider_of: Mapped[UUID | None] = mapped_column(
        comment="the tenant whose identity provider vouched for the user"
    )
    network: Mapped[str | None] = mapped_column(String(43), comment="/24 or /48, no address")
    client: Mapped[str | None] = mapped_column(String(100), comment="browser family and device")


class TotpRow(Base):
    """The secret that a user's authenticator app shares (RFC 6238)."""

    __tablename__ = "totp_secrets"
    __table_args__ = granted("SELECT, INSERT, UPDATE, DELETE")

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    secret: Mapped[str] = mapped_column(Text, comment="encrypted")
    confirmed_at: Mapped[datetime] = mapped_column(comment="when its first code came")
    last_step: Mapped[int] = mapped_column(
        BigInteger, comment="time step of the newest code accepted; no code counts twice"
    )


class PasskeyRow(Base):
    """A public key of a user's authenticator (W3C WebAuthn)."""

    __tablename__ = "passkeys"
    __table_args__ = granted("SELECT, INSERT, UPDATE, DELETE")

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), index=True)
    credential_id: Mapped[bytes] = mapped_column(LargeBinary(1023), unique=True)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    sign_count: Mapped[int] = mapped_column(BigInteger)
    name: Mapped[str] = mapped_column(String(100))
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]


class RecoveryCodeRow(Base):
    """A code that stands in once for a lost authenticator."""

    __tablename__ = "recovery_codes"
    __table_args__ = granted("SELECT, INSERT, UPDATE, DELETE")

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    code_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    used_at: Mapped[datetime | None]


class OneTimeRow(Base):
    """What a step of signing in leaves for the next, to be taken once: a challenge, a link."""

    __tablename__ = "one_time_values"
    __table_args__ = granted("SELECT, INSERT, UPDATE, DELETE")

    value_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    use: Mapped[str] = mapped_column(String(20))
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"), index=True)
    content: Mapped[str] = mapped_column(Text, comment="encrypted JSON")
    expires_at: Mapped[datetime] = mapped_column(index=True)


class ProviderRow(Base):
    """The OpenID Connect provider that a tenant's users may, or must, sign in at."""

    __tablename__ = "identity_providers"
    __table_args__ = granted("SELECT, INSERT, UPDATE, DELETE")

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    issuer: Mapped[str] = mapped_column(String(500))
    client_id: Mapped[str] = mapped_column(String(200))
    client_secret: Mapped[str] = mapped_column(Text, comment="encrypted")
    required: Mapped[bool] = mapped_column(comment="whether a password opens nothing here")
    revision: Mapped[int]


class ApiKeyRow(Base):
    """What a program calls with. The key itself is not kept."""

    __tablename__ = "api_keys"
    __table_args__ = granted(
        "SELECT, INSERT, UPDATE (name, expires_at, last_used_at, revoked_at, replaced_by)"
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"), index=True)
    name: Mapped[str] = mapped_column(String(200))
    scopes: Mapped[list[str]] = mapped_column(JSON)
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    hint: Mapped[str] = mapped_column(String(12), comment="how the key begins")
    created_by: Mapped[UUID | None] = mapped_column(comment="a user; none for the operator")
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None] = mapped_column(comment="to the minute")
    revoked_at: Mapped[datetime | None]
    replaced_by: Mapped[UUID | None] = mapped_column(comment="the key that it was rotated to")


class AuditEventRow(Base):
    """Who changed what. Append-only."""

    __tablename__ = "audit_events"
    __table_args__ = (
        Index("ix_audit_events_tenant_id_at", "tenant_id", "at"),
        granted("SELECT, INSERT"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    at: Mapped[datetime]
    #: Or ``visitor``: a comment of the column alone is not worth a migration.
    actor_kind: Mapped[str] = mapped_column(String(20), comment="user, api_key or operator")
    actor_id: Mapped[UUID | None]
    action: Mapped[str] = mapped_column(String(60))
    object_kind: Mapped[str] = mapped_column(String(40))
    object_id: Mapped[str] = mapped_column(String(100))
    before: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    after: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    network: Mapped[str | None] = mapped_column(String(43), comment="/24 or /48, no address")
    client: Mapped[str | None] = mapped_column(String(100), comment="browser family and device")
