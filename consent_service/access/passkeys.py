"""Passkeys (W3C Web Authentication): made, used instead of a password or after it, and removed.

What browsers send is checked by ``webauthn``; here a challenge counts once, and a counter that did
not go up is refused, since the key may have been copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import webauthn
from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from webauthn.helpers import (
    base64url_to_bytes,
    bytes_to_base64url,
    options_to_json_dict,
    parse_client_data_json,
)
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from consent_service import clock
from consent_service.access import mfa, one_time
from consent_service.access.models import PasskeyRow
from consent_service.access.users import User
from consent_service.db import Database, Scope
from consent_service.errors import NotFound, PasskeyRefused
from consent_service.signing import Keyring

NAME = "Consent Service"

#: How many passkeys a user may have.
MOST = 20

#: What a challenge is for: signing in, proving to be there again, or making a passkey.
Use = Literal["passkey_sign_in", "passkey_prove", "passkey_add"]

_passkeys = PasskeyRow.__table__.c


@dataclass(frozen=True)
class RelyingParty:
    """Whom passkeys are for: this service, as browsers know it."""

    #: The host alone.
    id: str
    #: ``https://consent.example.com``, of whose pages alone an answer counts.
    origin: str


@dataclass(frozen=True)
class Passkey:
    """A passkey as its user sees it in a list."""

    id: UUID
    name: str
    created_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True)
class Used:
    """A passkey that has just been used."""

    id: UUID
    user_id: UUID
    #: Whether the authenticator asked for a finger or a PIN, too.
    user_verified: bool
    #: Whether its counter had not gone up: it must be refused.
    counter_fell: bool


def options_to_add(
    connection: Connection, keys: Keyring, party: RelyingParty, user: User
) -> dict[str, Any]:
    """Return what ``navigator.credentials.create`` is called with."""
    options = webauthn.generate_registration_options(
        rp_id=party.id,
        rp_name=NAME,
        user_id=user.id.bytes,
        user_name=user.email,
        user_display_name=user.name,
        exclude_credentials=_of(connection, user.id),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.PREFERRED,
            user_verification=UserVerificationRequirement.PREFERRED,
        ),
    )
    _leave(connection, keys, "passkey_add", options.challenge, user.id)
    return options_to_json_dict(options)


def take_challenge(
    database: Database, keys: Keyring, use: Use, credential: dict[str, Any], user_id: UUID | None
) -> bytes:
    """Return the challenge that an answer is to; no other answer can be to it from now on.

    :raises PasskeyRefused: when there was none for this use and user, or it is used or too old
    """
    with _refusing():
        said = base64url_to_bytes(credential["response"]["clientDataJSON"])
        challenge = parse_client_data_json(said).challenge
    with database.transaction(Scope.ACCOUNTS) as connection:
        left = one_time.take(connection, keys, use, bytes_to_base64url(challenge))
    if left is None or left.user_id != user_id:
        raise PasskeyRefused
    return challenge


def add(  # noqa: PLR0913 - who, where, what
    connection: Connection,
    party: RelyingParty,
    user_id: UUID,
    challenge: bytes,
    credential: dict[str, Any],
    name: str,
) -> Passkey:
    """Keep the passkey that a browser has just made.

    :param credential: ``PublicKeyCredential.toJSON()``
    :raises PasskeyRefused: when it was not made here and now
    """
    with _refusing():
        made = webauthn.verify_registration_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=party.origin,
        )
    mfa.lock(connection, user_id)
    if len(_of(connection, user_id)) >= MOST:
        raise PasskeyRefused(f"You have {MOST} passkeys already. Remove one first.")
    passkey = Passkey(clock.new_id(), name, clock.now(), None)
    try:
        connection.execute(
            insert(PasskeyRow).values(
                id=passkey.id,
                user_id=user_id,
                credential_id=made.credential_id,
                public_key=made.credential_public_key,
                sign_count=made.sign_count,
                name=name,
                created_at=passkey.created_at,
            )
        )
    except IntegrityError:
        raise PasskeyRefused("This passkey is known already.") from None
    return passkey


def options_to_use(
    connection: Connection, keys: Keyring, party: RelyingParty, use: Use, user_id: UUID | None
) -> dict[str, Any]:
    """Return what ``navigator.credentials.get`` is called with.

    :param user_id: whose passkey must be used; None for whichever the browser's user picks, who
        must then prove with a finger or a PIN to be there: it stands for the password as well
    """
    alone = user_id is None
    options = webauthn.generate_authentication_options(
        rp_id=party.id,
        allow_credentials=[] if user_id is None else _of(connection, user_id),
        user_verification=UserVerificationRequirement.REQUIRED
        if alone
        else UserVerificationRequirement.PREFERRED,
    )
    _leave(connection, keys, use, options.challenge, user_id)
    return options_to_json_dict(options)


def use_one(
    connection: Connection,
    party: RelyingParty,
    challenge: bytes,
    credential: dict[str, Any],
    user_id: UUID | None,
) -> Used:
    """Check what a browser's passkey has signed, and note that it was used.

    :param credential: ``PublicKeyCredential.toJSON()``
    :param user_id: whose it must be; None for whosever it is
    :raises PasskeyRefused: when it is nobody's passkey, was not used here and now, or stands for
        the password without a finger or a PIN
    """
    with _refusing():
        credential_id = base64url_to_bytes(credential["id"])
    row = connection.execute(
        select(PasskeyRow.__table__).where(_passkeys.credential_id == credential_id)
    ).one_or_none()
    if row is None or user_id not in {None, row.user_id}:
        raise PasskeyRefused
    with _refusing():
        verified = webauthn.verify_authentication_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=party.origin,
            credential_public_key=row.public_key,
            # The counter is compared below, where nobody else can raise it in between.
            credential_current_sign_count=0,
            require_user_verification=user_id is None,
        )
    count = verified.new_sign_count
    noted = connection.execute(
        update(PasskeyRow)
        .where(
            _passkeys.id == row.id,
            # Authenticators that do not count say 0 each time.
            _passkeys.sign_count == 0 if count == 0 else _passkeys.sign_count < count,
        )
        .values(sign_count=count, last_used_at=clock.now())
    )
    return Used(row.id, row.user_id, verified.user_verified, counter_fell=not noted.rowcount)


def of_user(connection: Connection, user_id: UUID) -> list[Passkey]:
    """Return a user's passkeys, oldest first."""
    rows = connection.execute(
        select(_passkeys.id, _passkeys.name, _passkeys.created_at, _passkeys.last_used_at)
        .where(_passkeys.user_id == user_id)
        .order_by(_passkeys.id)
    )
    return [Passkey(*row) for row in rows]


def remove(connection: Connection, user_id: UUID, passkey_id: UUID) -> None:
    """Forget one of a user's passkeys.

    :raises NotFound: when the user has no such passkey
    :raises FactorNeeded: when it is the last factor, and the user's role needs one
    """
    mfa.lock(connection, user_id)
    gone = connection.execute(
        delete(PasskeyRow).where(_passkeys.user_id == user_id, _passkeys.id == passkey_id)
    )
    if not gone.rowcount:
        raise NotFound("You have no such passkey.")
    mfa.check_left(connection, user_id)


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn whatever is wrong with what a browser sent into one answer."""
    try:
        yield
    except Exception as error:
        # Anybody may send anything here, and the parsers of CBOR, ASN.1 and certificates under the
        # library each raise errors of their own.
        raise PasskeyRefused from error


def _leave(
    connection: Connection, keys: Keyring, use: Use, challenge: bytes, user_id: UUID | None
) -> None:
    value = bytes_to_base64url(challenge)
    one_time.leave(connection, keys, use, user_id=user_id, value=value)


def _of(connection: Connection, user_id: UUID) -> list[PublicKeyCredentialDescriptor]:
    ids = connection.execute(
        select(_passkeys.credential_id).where(_passkeys.user_id == user_id)
    ).scalars()
    return [PublicKeyCredentialDescriptor(id=credential_id) for credential_id in ids]
