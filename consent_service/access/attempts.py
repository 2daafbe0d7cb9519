"""Attempts to prove who one is: counted, and those that fail told to the user's tenants.

Passwords are counted for each account and network, or for the device if the user has signed in
there before; never for the account alone, or anybody could lock its user out. Codes, which only
who has the password comes to, are counted for the account, or the device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Connection

from consent_service.access import devices, events, one_time, passkeys
from consent_service.access.actor import Actor
from consent_service.access.passkeys import RelyingParty, Use
from consent_service.access.throttle import Throttle
from consent_service.db import Database, Scope
from consent_service.errors import PasskeyRefused, WrongCode, WrongCredentials
from consent_service.signing import Keyring

Done = TypeVar("Done")


@dataclass(frozen=True)
class Caller:
    """Who tries."""

    #: Network and client; whose account it is may not be known yet.
    actor: Actor
    #: What the device kept of an earlier time, see ``devices.py``.
    device: str | None = None


class Attempts:
    """Counts attempts, and notes what became of them."""

    def __init__(self, database: Database, keys: Keyring, throttle: Throttle) -> None:
        """Work on this database; count there."""
        self._database = database
        self._keys = keys
        self._throttle = throttle

    def of_password(
        self, email_hash: bytes, user_id: UUID | None, by: Caller
    ) -> AbstractContextManager[None]:
        """Count an attempt around the block that looks at it; WrongCredentials makes it a failure.

        :param user_id: None when nobody has the address
        :raises TooManyAttempts: when there were too many from here
        """
        known = devices.recognise(self._keys, by.device, user_id) if user_id else None
        network = by.actor.network or ""
        subject = ("device", known) if known else ("network", email_hash.hex(), network)
        return self._counted(("password", *subject), user_id, by, "password")

    def of_code(self, user_id: UUID, method: str, by: Caller) -> AbstractContextManager[None]:
        """Count an attempt around the block that looks at it; WrongCode makes it a failure.

        :raises TooManyAttempts: when there were too many wrong codes
        """
        known = devices.recognise(self._keys, by.device, user_id)
        subject = ("device", known) if known else ("account", str(user_id))
        return self._counted(("code", *subject), user_id, by, method)

    def with_passkey(  # noqa: PLR0913 - what, where, whose, and then
        self,
        use: Use,
        party: RelyingParty,
        credential: dict[str, Any],
        user_id: UUID | None,
        by: Caller,
        then: Callable[[Connection, UUID], Done],
    ) -> Done:
        """Use a passkey, and do what it opens in the same transaction. They cannot be guessed.

        :param user_id: whose it must be; None for whosever it is
        :param then: gets whose it is
        :raises PasskeyRefused: when it cannot be accepted
        """
        challenge = passkeys.take_challenge(self._database, self._keys, use, credential, user_id)
        with self._database.transaction(Scope.ACCOUNTS) as connection:
            used = passkeys.use_one(connection, party, challenge, credential, user_id)
            if not used.counter_fell:
                return then(connection, used.user_id)
            # This has to stand although the passkey is refused.
            whose = replace(by.actor, id=used.user_id)
            events.note(connection, whose, "passkey.refused", after={"passkey": str(used.id)})
        raise PasskeyRefused("This passkey may have been copied. Remove it, and make another.")

    @contextmanager
    def _counted(
        self, subject: tuple[str, ...], user_id: UUID | None, by: Caller, method: str
    ) -> Iterator[None]:
        self._throttle.count(*subject)
        try:
            yield
        except (WrongCredentials, WrongCode):
            self._note_failure(user_id, by, method)
            raise
        self._throttle.forget(*subject)

    def _note_failure(self, user_id: UUID | None, by: Caller, method: str) -> None:
        """Tell the tenants of a user; where there is none, write as much, for the same time."""
        with self._database.transaction(Scope.ACCOUNTS) as connection:
            if user_id is None:
                one_time.leave(connection, self._keys, "nobody")
            else:
                whose = replace(by.actor, id=user_id)
                events.note(connection, whose, "user.sign_in_failed", after={"method": method})
