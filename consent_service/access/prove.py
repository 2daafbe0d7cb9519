"""Proving again to be there, for changes that could do harm: it renews the session."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from consent_service.access import mfa, passkeys, passwords, sessions, users
from consent_service.access.attempts import Attempts, Caller
from consent_service.access.passkeys import RelyingParty
from consent_service.access.sessions import Session
from consent_service.db import Database, Scope
from consent_service.errors import NotSignedIn, WrongCode, WrongCredentials
from consent_service.signing import Keyring


class Prove:
    """Renews sessions; each method returns the session's new token, for its cookie."""

    def __init__(self, database: Database, keys: Keyring, attempts: Attempts) -> None:
        """Work on this database; have attempts counted there."""
        self._database = database
        self._keys = keys
        self._attempts = attempts

    def with_password(self, session: Session, password: str, by: Caller) -> str:
        """Renew a session.

        :raises WrongCredentials: when it is not the user's password
        :raises TooManyAttempts: when there were too many from here
        """
        with self._database.reading(Scope.ACCOUNTS) as connection:
            user = users.get(connection, self._keys, session.user_id)
        if user is None:
            raise NotSignedIn
        with self._attempts.of_password(users.email_hash(self._keys, user.email), user.id, by):
            if not passwords.matches(user.password_hash, password):
                raise WrongCredentials("The password is not right.")
        with self._database.transaction(Scope.ACCOUNTS) as connection:
            return sessions.renew(connection, session)

    def with_totp(self, session: Session, code: str, by: Caller) -> str:
        """Renew a session with a code of the authenticator app.

        :raises WrongCode: when the code is not right, or was used
        :raises TooManyAttempts: when there were too many wrong codes
        """
        with (
            self._attempts.of_code(session.user_id, "totp", by),
            self._database.transaction(Scope.ACCOUNTS) as connection,
        ):
            if not mfa.accept_totp(connection, self._keys, session.user_id, code):
                raise WrongCode
            return sessions.renew(connection, session, "totp")

    def passkey_options(self, party: RelyingParty, session: Session) -> dict[str, Any]:
        """Return what ``navigator.credentials.get`` is called with."""
        with self._database.transaction(Scope.ACCOUNTS) as connection:
            return passkeys.options_to_use(
                connection, self._keys, party, "passkey_prove", session.user_id
            )

    def with_passkey(
        self, session: Session, party: RelyingParty, credential: dict[str, Any], by: Caller
    ) -> str:
        """Renew a session with a passkey. Raises PasskeyRefused."""

        def renew(connection: Connection, _: UUID) -> str:
            return sessions.renew(connection, session, "passkey")

        return self._attempts.with_passkey(
            "passkey_prove", party, credential, session.user_id, by, renew
        )
