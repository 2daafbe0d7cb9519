"""The demo's owner, whose password and codes come from the demo's own key file.

So they are other ones in every installation, and stand nowhere else.
"""

from __future__ import annotations

from base64 import b32encode

import pyotp

from consent_service.access import members, mfa, passwords, users
from consent_service.access.actor import OPERATOR
from consent_service.db import Database, Scope
from consent_service.demo.seed import TENANT_SLUG
from consent_service.signing import Keyring
from consent_service.tenants.service import find_tenant

EMAIL = "demo@momo-pulse.example"
NAME = "Neema Mwakalinga"

#: Base32 signs of the password: 100 random bits.
_SIGNS = 20
_GROUP = 5


def make_owner(database: Database, keys: Keyring) -> None:
    """Make the owner, or have password and authenticator app be what they are printed as."""
    tenant = find_tenant(database, TENANT_SLUG)
    with database.transaction(Scope.ACCOUNTS) as connection:
        known = users.find_by_email(connection, keys, EMAIL)
        user_id = known.id if known else users.add(connection, keys, EMAIL, NAME)
        if not passwords.matches(known.password_hash if known else None, password(keys)):
            users.set_password_hash(connection, user_id, passwords.hash_of(password(keys)))
        if mfa.totp_secret(connection, keys, user_id) != _secret(keys):
            mfa.keep_totp(connection, keys, user_id, _secret(keys))
        members.join(connection, tenant.id, user_id, "owner", by=OPERATOR)


def password(keys: Keyring) -> str:
    """Return the owner's password."""
    signs = b32encode(keys.derive("demo-password")).decode().lower()[:_SIGNS]
    return "-".join(signs[start : start + _GROUP] for start in range(0, _SIGNS, _GROUP))


def code(keys: Keyring) -> str:
    """Return the code that the owner's authenticator app would show now."""
    return pyotp.TOTP(_secret(keys)).now()


def _secret(keys: Keyring) -> str:
    # 160 bits, as RFC 4226, section 4, recommends.
    return b32encode(keys.derive("demo-totp")[:20]).decode()
