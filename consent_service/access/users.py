"""Users: who they are, kept encrypted. What they are in a tenant is their membership."""

from __future__ import annotations

import hmac
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Row, insert, select, update

from consent_service import clock
from consent_service.access.models import UserRow
from consent_service.signing import Keyring

_users = UserRow.__table__.c


@dataclass(frozen=True)
class User:
    """Somebody who signs in."""

    id: UUID
    email: str = field(repr=False)
    name: str = field(repr=False)
    #: The language that the user chose; None: what the browser asks for.
    language: str | None
    #: argon2id; None for who signs in elsewhere.
    password_hash: str | None = field(repr=False)


def email_hash(keys: Keyring, email: str) -> bytes:
    """Return what an address is found by: 32 bytes, the same however the address is written.

    Mail systems ignore case in practice, and no two people are told apart by it.
    """
    written = unicodedata.normalize("NFC", email.strip()).lower()
    return hmac.digest(keys.derive("user-email"), written.encode(), "sha256")


def add(  # noqa: PLR0913 - each is a column
    connection: Connection,
    keys: Keyring,
    email: str,
    name: str,
    *,
    password_hash: str | None = None,
    language: str | None = None,
) -> UUID:
    """Add a user, within the caller's transaction (``Scope.ACCOUNTS``); return the id.

    :raises sqlalchemy.exc.IntegrityError: when somebody has the address already
    """
    user_id = clock.new_id()
    connection.execute(
        insert(UserRow).values(
            id=user_id,
            email=keys.encrypt(email.strip(), f"users.email {user_id}"),
            email_hash=email_hash(keys, email),
            name=keys.encrypt(name, f"users.name {user_id}"),
            password_hash=password_hash,
            language=language,
            created_at=clock.now(),
        )
    )
    return user_id


def find_by_email(connection: Connection, keys: Keyring, email: str) -> User | None:
    """Return the user with this address, or None."""
    return _find(connection, keys, _users.email_hash == email_hash(keys, email))


def get(connection: Connection, keys: Keyring, user_id: UUID) -> User | None:
    """Return the user with this id, or None."""
    return _find(connection, keys, _users.id == user_id)


def names(connection: Connection, keys: Keyring, ids: Iterable[UUID]) -> dict[UUID, str]:
    """Return the names of users by their ids; who is not there, or not to be seen, is left out."""
    rows = connection.execute(select(_users.id, _users.name).where(_users.id.in_(set(ids))))
    return {row.id: keys.decrypt(row.name, f"users.name {row.id}") for row in rows}


def set_password_hash(connection: Connection, user_id: UUID, password_hash: str) -> None:
    """Replace a user's password hash."""
    connection.execute(
        update(UserRow).where(_users.id == user_id).values(password_hash=password_hash)
    )


def set_language(connection: Connection, user_id: UUID, language: str | None) -> None:
    """Have pages be in a language for the user; None: in what the browser asks for."""
    connection.execute(update(UserRow).where(_users.id == user_id).values(language=language))


def set_name(connection: Connection, keys: Keyring, user_id: UUID, name: str) -> None:
    """Rename a user."""
    sealed = keys.encrypt(name, f"users.name {user_id}")
    connection.execute(update(UserRow).where(_users.id == user_id).values(name=sealed))


def _find(connection: Connection, keys: Keyring, which: ColumnElement[bool]) -> User | None:
    row = connection.execute(select(UserRow.__table__).where(which)).one_or_none()
    return None if row is None else _user(row, keys)


def _user(row: Row[tuple[object, ...]], keys: Keyring) -> User:
    return User(
        id=row.id,
        email=keys.decrypt(row.email, f"users.email {row.id}"),
        name=keys.decrypt(row.name, f"users.name {row.id}"),
        language=row.language,
        password_hash=row.password_hash,
    )
