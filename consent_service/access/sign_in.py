"""Signing in: a password and then a second factor, or a passkey alone.

Nobody is told whether an address has an account: neither by the answer nor by how long it takes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from consent_service.access import (
    devices,
    events,
    mfa,
    one_time,
    passkeys,
    passwords,
    sessions,
    users,
)
from consent_service.access.actor import Actor
from consent_service.access.attempts import Attempts, Caller
from consent_service.access.passkeys import RelyingParty
from consent_service.access.sessions import Session
from consent_service.db import Database, Scope
from consent_service.errors import StepExpired, WrongCode, WrongCredentials
from consent_service.signing import Keyring

_SECOND_STEP = "second_factor"


@dataclass(frozen=True)
class SignedIn:
    """A session that has begun."""

    user_id: UUID
    #: For the session's cookie.
    token: str = field(repr=False)
    #: For the cookie that the device is recognised by.
    device: str = field(repr=False)


@dataclass(frozen=True)
class SecondStep:
    """The password was right, and a second factor is due."""

    #: For the cookie of this step; good for ten minutes.
    step: str = field(repr=False)
    #: ``passkey``, ``totp``, ``recovery_code``.
    methods: tuple[str, ...]


class SignIn:
    """Finds out who somebody is, and begins and ends their sessions."""

    def __init__(self, database: Database, keys: Keyring, attempts: Attempts) -> None:
        """Work on this database; have attempts counted there."""
        self._database = database
        self._keys = keys
        self._attempts = attempts

    def with_password(self, email: str, password: str, by: Caller) -> SignedIn | SecondStep:
        """Begin to sign in.

        :raises WrongCredentials: when no user has this address and password
        :raises TooManyAttempts: when there were too many from here
        """
        with self._database.reading(Scope.ACCOUNTS) as connection:
            user = users.find_by_email(connection, self._keys, email)
        hashed = users.email_hash(self._keys, email)
        stored = user.password_hash if user else None
        with self._attempts.of_password(hashed, user.id if user else None, by):
            right = passwords.matches(stored, password)
            if user is None or not right:
                raise WrongCredentials
        anew = passwords.hash_of(password) if passwords.is_outdated(stored or "") else None
        with self._database.transaction(Scope.ACCOUNTS) as connection:
            if anew:
                users.set_password_hash(connection, user.id, anew)
            methods = mfa.factors_of(connection, user.id).methods
            if not methods:
                return self.begin(connection, replace(by.actor, id=user.id), "password")
            step = one_time.leave(connection, self._keys, _SECOND_STEP, user_id=user.id)
            return SecondStep(step, methods)

    def vouched_for(
        self, user_id: UUID, tenant_id: UUID, by: Caller, *, with_second_factor: bool
    ) -> SignedIn | SecondStep:
        """Begin to sign in a user whom a tenant's provider vouches for, for that tenant alone.

        :param with_second_factor: whether the provider asked for more than a password; if not, the
            user's own second factor is due, where there is one
        """
        whom = replace(by.actor, id=user_id)
        with self._database.transaction(Scope.ACCOUNTS) as connection:
            methods = mfa.factors_of(connection, user_id).methods
            if methods and not with_second_factor:
                step = one_time.leave(
                    connection,
                    self._keys,
                    _SECOND_STEP,
                    user_id=user_id,
                    content={"provider_of": str(tenant_id)},
                )
                return SecondStep(step, methods)
            factor = "provider" if with_second_factor else None
            return self.begin(connection, whom, "provider", factor, provider_of=tenant_id)

    def methods_of(self, step: str) -> tuple[str, ...]:
        """Return with what a step can be done.

        :raises StepExpired: when it is too old, or was done
        """
        user_id = self._user_at(step)
        with self._database.reading(Scope.ACCOUNTS) as connection:
            return mfa.factors_of(connection, user_id).methods

    def with_totp(self, step: str, code: str, by: Caller) -> SignedIn:
        """Finish with a code of the user's authenticator app.

        :raises StepExpired: when the password was given too long ago
        :raises WrongCode: when the code is not right, or was used
        :raises TooManyAttempts: when there were too many wrong codes
        """

        def accept(connection: Connection, user_id: UUID) -> bool:
            return mfa.accept_totp(connection, self._keys, user_id, code)

        return self._with_code(step, "totp", accept, by)

    def with_recovery_code(self, step: str, code: str, by: Caller) -> SignedIn:
        """Finish with a recovery code. Raises the same as :meth:`with_totp`."""

        def accept(connection: Connection, user_id: UUID) -> bool:
            return mfa.accept_recovery_code(connection, user_id, code)

        return self._with_code(step, "recovery_code", accept, by)

    def passkey_options(self, party: RelyingParty, step: str | None) -> dict[str, Any]:
        """Return what ``navigator.credentials.get`` is called with.

        :param step: of who has given a password; None to sign in with the passkey alone
        :raises StepExpired: when the password was given too long ago
        """
        user_id = self._user_at(step) if step else None
        with self._database.transaction(Scope.ACCOUNTS) as connection:
            return passkeys.options_to_use(
                connection, self._keys, party, "passkey_sign_in", user_id
            )

    def with_passkey(
        self, party: RelyingParty, credential: dict[str, Any], step: str | None, by: Caller
    ) -> SignedIn:
        """Sign in with a passkey, alone or after a password.

        :raises PasskeyRefused: when it cannot be accepted
        :raises StepExpired: when the password was given too long ago
        """
        user_id = self._user_at(step) if step else None

        def begin(connection: Connection, whose: UUID) -> SignedIn:
            provider_of = self._take(connection, step) if step else None
            whom = replace(by.actor, id=whose)
            return self.begin(connection, whom, "passkey", "passkey", provider_of=provider_of)

        return self._attempts.with_passkey("passkey_sign_in", party, credential, user_id, by, begin)

    def begin(
        self,
        connection: Connection,
        by: Actor,
        method: str,
        second_factor: str | None = None,
        *,
        provider_of: UUID | None = None,
    ) -> SignedIn:
        """Begin a session of the user who acts, within the caller's transaction.

        :param method: how the user signed in, for the audit log
        :param provider_of: the tenant whose identity provider vouched for the user
        """
        token = sessions.start(connection, by, second_factor=second_factor, provider_of=provider_of)
        events.note(connection, by, "user.signed_in", after={"method": method})
        if by.id is None:
            raise TypeError("nobody can sign in who is not known")
        return SignedIn(by.id, token, devices.recognisable(self._keys, by.id))

    def sign_out(self, session: Session, *, by: Actor) -> None:
        """End a session."""
        with self._database.transaction(Scope.ACCOUNTS) as connection:
            sessions.end(connection, session.user_id, session.id)
            events.note(connection, by, "user.signed_out")

    def _with_code(
        self, step: str, method: str, accept: Callable[[Connection, UUID], bool], by: Caller
    ) -> SignedIn:
        user_id = self._user_at(step)
        with (
            self._attempts.of_code(user_id, method, by),
            self._database.transaction(Scope.ACCOUNTS) as connection,
        ):
            if not accept(connection, user_id):
                raise WrongCode
            # Where another request has done the step, the code is not used up.
            provider_of = self._take(connection, step)
            whom = replace(by.actor, id=user_id)
            return self.begin(connection, whom, method, method, provider_of=provider_of)

    def _user_at(self, step: str) -> UUID:
        with self._database.reading(Scope.ACCOUNTS) as connection:
            left = one_time.look(connection, self._keys, _SECOND_STEP, step)
        if left is None or left.user_id is None:
            raise StepExpired
        return left.user_id

    def _take(self, connection: Connection, step: str) -> UUID | None:
        """Use a step up; return the tenant whose provider stood in for the password, if one did."""
        left = one_time.take(connection, self._keys, _SECOND_STEP, step)
        if left is None:
            raise StepExpired
        provider_of = left.content.get("provider_of")
        return UUID(provider_of) if provider_of else None
