"""Devices that a user has signed in on: attempts there are counted apart from everybody else's.

This is OWASP's device cookie: whoever guesses from elsewhere locks out others who guess, and not
the user on their own device. It opens nothing.
"""

from __future__ import annotations

import secrets
from uuid import UUID

from itsdangerous import BadSignature

from consent_service.signing import Keyring

_SALT = "device"


def recognisable(keys: Keyring, user_id: UUID) -> str:
    """Return what a device keeps, to be recognised by."""
    return keys.signer(_SALT).sign(f"{user_id}~{secrets.token_urlsafe(16)}").decode()


def recognise(keys: Keyring, kept: str | None, user_id: UUID) -> str | None:
    """Return the id of a device on which this user has signed in; None if it is none."""
    try:
        owner, _, device = keys.signer(_SALT).unsign(kept or "").decode().partition("~")
    except BadSignature:
        return None
    return device if owner == str(user_id) else None
