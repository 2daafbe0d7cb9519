"""What users change of their own accounts. Each change is told to the tenants they are members of.

What needs a fresh session is said where it is called from (``auth.require_fresh``). Changes that
raise what a session may do return the session's new token, for its cookie.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from consent_service.access import events, mfa, passkeys, passwords, sessions, users
from consent_service.access.actor import Actor
from consent_service.access.mfa import Factors, SetUp
from consent_service.access.passkeys import Passkey, RelyingParty
from consent_service.access.sessions import Session
from consent_service.access.users import User
from consent_service.db import Database, Scope
from consent_service.errors import NotFound, NotSignedIn, OwnSignInRequired
from consent_service.signing import Keyring


@dataclass(frozen=True)
class Known:
    """A user, as the user's own pages show them."""

    user: User
    factors: Factors
    #: Roles by the ids of the tenants.
    roles: dict[UUID, str]


class Account:
    """A user's own account. ``by`` is the user, with network and client."""

    def __init__(self, database: Database, keys: Keyring) -> None:
        """Work on this database."""
        self._database = database
        self._keys = keys

    def known(self, session: Session) -> Known:
        """Return who is signed in; to a tenant whose provider says so, nothing of other tenants."""
        with self._database.reading(Scope.ACCOUNTS) as connection:
            roles = events.memberships_of(connection, session.user_id)
            return Known(
                self._user(connection, session),
                mfa.factors_of(connection, session.user_id),
                {
                    tenant_id: role
                    for tenant_id, role in roles.items()
                    if session.provider_of in {None, tenant_id}
                },
            )

    def change(
        self, session: Session, *, name: str | None = None, language: str | None = None, by: Actor
    ) -> None:
        """Change the user's name, or the language of pages; None leaves it as it is.

        :raises OwnSignInRequired: when a name is to be changed on a provider's word alone
        """
        if name is not None:
            _refuse_providers_word(session)
        with self._database.transaction(Scope.ACCOUNTS) as connection:
            if name is not None:
                users.set_name(connection, self._keys, session.user_id, name)
                # The name itself is stored encrypted, and the log is not.
                events.note(connection, by, "user.renamed")
            if language is not None:
                users.set_language(connection, session.user_id, language)

    def set_password(self, session: Session, password: str, *, by: Actor) -> str:
        """Replace the user's password, and end all other sessions; return this one's new token.

        :raises ValidationFailed: when the password is not good enough
        """
        with self._database.reading(Scope.ACCOUNTS) as connection:
            user = self._user(connection, session)
        passwords.check(password, user.email, user.name)
        hashed = passwords.hash_of(password)
        with self._database.transaction(Scope.ACCOUNTS) as connection:
            users.set_password_hash(connection, user.id, hashed)
            sessions.end_others(connection, session)
            events.note(connection, by, "user.password_changed")
            return sessions.renew(connection, session)

    def begin_totp(self, session: Session) -> SetUp:
        """Return what an authenticator app is told; it counts once its first code has come."""
        with self._database.transaction(Scope.ACCOUNTS) as connection:
            email = self._user(connection, session).email
            return mfa.begin_totp(connection, self._keys, session.user_id, email)

    def begun_totp(self, session: Session, step: str) -> SetUp:
        """Return the same again. Raises StepExpired when that was too long ago."""
        with self._database.reading(Scope.ACCOUNTS) as connection:
            email = self._user(connection, session).email
            return mfa.begun_totp(connection, self._keys, session.user_id, email, step)

    def confirm_totp(self, session: Session, step: str, code: str, *, by: Actor) -> str:
        """Have an authenticator app count; return the session's new token.

        :raises WrongCode: when the code is not the app's
        :raises StepExpired: when it was set up too long ago
        """
        with self._database.transaction(Scope.ACCOUNTS) as connection:
            mfa.confirm_totp(connection, self._keys, session.user_id, step, code)
            events.note(connection, by, "totp.added")
            return self._raised(connection, session, "totp")

    def remove_totp(self, session: Session, *, by: Actor) -> None:
        """Forget the authenticator app. Raises NotFound, FactorNeeded."""
        with self._database.transaction(Scope.ACCOUNTS) as connection:
            mfa.remove_totp(connection, session.user_id)
            events.note(connection, by, "totp.removed")

    def renew_recovery_codes(self, session: Session, *, by: Actor) -> list[str]:
        """Make ten recovery codes in the place of those before; they are shown this once.

        :raises NotFound: when there is no second factor that they could stand in for
        """
        with self._database.transaction(Scope.ACCOUNTS) as connection:
            if not mfa.factors_of(connection, session.user_id).methods:
                raise NotFound("Set up an authenticator app or a passkey first.")
            codes = mfa.renew_recovery_codes(connection, session.user_id)
            events.note(connection, by, "recovery_codes.renewed")
        return codes

    def passkey_options(self, session: Session, party: RelyingParty) -> dict[str, Any]:
        """Return what ``navigator.credentials.create`` is called with."""
        with self._database.transaction(Scope.ACCOUNTS) as connection:
            user = self._user(connection, session)
            return passkeys.options_to_add(connection, self._keys, party, user)

    def add_passkey(
        self,
        session: Session,
        party: RelyingParty,
        credential: dict[str, Any],
        name: str,
        *,
        by: Actor,
    ) -> tuple[Passkey, str]:
        """Keep a passkey that was just made; return it, and the session's new token.

        :raises PasskeyRefused: when it was not made for this user, here and now
        """
        whose = session.user_id
        challenge = passkeys.take_challenge(
            self._database, self._keys, "passkey_add", credential, whose
        )
        with self._database.transaction(Scope.ACCOUNTS) as connection:
            made = passkeys.add(connection, party, whose, challenge, credential, name)
            events.note(connection, by, "passkey.added", after={"passkey": str(made.id)})
            return made, self._raised(connection, session, "passkey")

    def passkeys(self, session: Session) -> list[Passkey]:
        """Return the user's passkeys, oldest first."""
        with self._database.reading(Scope.ACCOUNTS) as connection:
            return passkeys.of_user(connection, session.user_id)

    def remove_passkey(self, session: Session, passkey_id: UUID, *, by: Actor) -> None:
        """Forget a passkey. Raises NotFound, FactorNeeded."""
        with self._database.transaction(Scope.ACCOUNTS) as connection:
            passkeys.remove(connection, session.user_id, passkey_id)
            events.note(connection, by, "passkey.removed", after={"passkey": str(passkey_id)})

    def end_session(self, session: Session, session_id: UUID, *, by: Actor) -> None:
        """End one of the user's sessions.

        :raises NotFound: when there is no such session
        :raises OwnSignInRequired: when it is another one than this, on a provider's word alone
        """
        if session_id != session.id:
            _refuse_providers_word(session)
        with self._database.transaction(Scope.ACCOUNTS) as connection:
            if not sessions.end(connection, session.user_id, session_id):
                raise NotFound("You have no such session.")
            events.note(connection, by, "session.ended", after={"session": str(session_id)})

    def end_other_sessions(self, session: Session, *, by: Actor) -> int:
        """End all of the user's sessions but this one; return how many there were.

        :raises OwnSignInRequired: on a provider's word alone
        """
        _refuse_providers_word(session)
        with self._database.transaction(Scope.ACCOUNTS) as connection:
            ended = sessions.end_others(connection, session)
            if ended:
                events.note(connection, by, "session.ended", after={"sessions": ended})
        return ended

    def _user(self, connection: Connection, session: Session) -> User:
        user = users.get(connection, self._keys, session.user_id)
        if user is None:
            raise NotSignedIn
        return user

    def _raised(self, connection: Connection, session: Session, second_factor: str) -> str:
        """Have the session be one with a second factor.

        Others that had none end: from now on each needs one to begin.
        """
        sessions.end_others(connection, session, with_password_alone=True)
        return sessions.renew(connection, session, second_factor)


def _refuse_providers_word(session: Session) -> None:
    """Refuse what is the user's alone to a session that a tenant's provider has vouched for."""
    if session.provider_of is not None:
        raise OwnSignInRequired
