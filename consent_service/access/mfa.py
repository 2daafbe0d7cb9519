"""Second factors that are codes: of an authenticator app (RFC 6238), and for when it is lost.

All functions work within the caller's transaction (``Scope.ACCOUNTS``), since what a code opens
must stand or fall with the code's being used up.
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass, field
from hmac import compare_digest
from uuid import UUID

import pyotp
import segno
from sqlalchemy import Connection, delete, func, insert, select, update

from consent_service import clock
from consent_service.access import events, one_time
from consent_service.access.models import PasskeyRow, RecoveryCodeRow, TotpRow, UserRow
from consent_service.access.permissions import needs_second_factor
from consent_service.errors import FactorNeeded, NotFound, StepExpired, WrongCode
from consent_service.signing import Keyring, sha256

ISSUER = "Consent Service"

#: Seconds that a code is shown for (RFC 6238, section 5.2), and how many before and after count.
STEP_SECONDS = 30
WINDOW = 1

RECOVERY_CODES = 10
_RECOVERY_BYTES = 10
_GROUP = 4

_SET_UP = "totp_set_up"

#: What people read for what Base32 (RFC 4648) has.
_MISREAD = str.maketrans("018", "OIB")

_totps = TotpRow.__table__.c
_codes = RecoveryCodeRow.__table__.c
_passkeys = PasskeyRow.__table__.c


@dataclass(frozen=True)
class SetUp:
    """What an authenticator app is told."""

    #: To be sent along with the first code.
    step: str
    secret: str = field(repr=False)
    #: ``otpauth://…``, which the picture says too.
    uri: str = field(repr=False)
    #: An SVG as a data URI.
    picture: str = field(repr=False)


@dataclass(frozen=True)
class Factors:
    """What a user can prove to be there with, besides a password."""

    totp: bool
    passkeys: int
    #: How many recovery codes are left.
    recovery_codes: int

    @property
    def methods(self) -> tuple[str, ...]:
        """The second steps of signing in that are open to the user; none without a factor."""
        if not (self.totp or self.passkeys):
            return ()
        found = {
            "passkey": self.passkeys,
            "totp": self.totp,
            "recovery_code": self.recovery_codes,
        }
        return tuple(name for name, there in found.items() if there)


def factors_of(connection: Connection, user_id: UUID) -> Factors:
    """Return what a user's second factors are."""
    totps, passkeys, codes = connection.execute(
        select(
            select(func.count()).where(_totps.user_id == user_id).scalar_subquery(),
            select(func.count()).where(_passkeys.user_id == user_id).scalar_subquery(),
            select(func.count())
            .where(_codes.user_id == user_id, _codes.used_at.is_(None))
            .scalar_subquery(),
        )
    ).one()
    return Factors(totps > 0, passkeys, codes)


def begin_totp(connection: Connection, keys: Keyring, user_id: UUID, email: str) -> SetUp:
    """Make a secret for an authenticator app; it counts once a code of it has come."""
    secret = pyotp.random_base32()
    content = {"secret": secret}
    step = one_time.leave(connection, keys, _SET_UP, user_id=user_id, content=content)
    return _set_up(step, secret, email)


def begun_totp(
    connection: Connection, keys: Keyring, user_id: UUID, email: str, step: str
) -> SetUp:
    """Return again what an authenticator app is told.

    :raises StepExpired: when that was too long ago
    """
    left = one_time.look(connection, keys, _SET_UP, step)
    if left is None or left.user_id != user_id:
        raise StepExpired
    return _set_up(step, left.content["secret"], email)


def confirm_totp(
    connection: Connection, keys: Keyring, user_id: UUID, step: str, code: str
) -> None:
    """Have a secret count, in the place of the one before it.

    :raises WrongCode: when the code is not one of the secret's; the step stays open
    :raises StepExpired: when the step began too long ago, or was done
    """
    left = one_time.look(connection, keys, _SET_UP, step)
    if left is None or left.user_id != user_id:
        raise StepExpired
    counter = _counter(left.content["secret"], code)
    if counter is None:
        raise WrongCode
    if one_time.take(connection, keys, _SET_UP, step) is None:
        raise StepExpired
    keep_totp(connection, keys, user_id, left.content["secret"], last_step=counter)


def keep_totp(
    connection: Connection, keys: Keyring, user_id: UUID, secret: str, *, last_step: int = 0
) -> None:
    """Have a secret count that the user's authenticator app surely has.

    :param secret: Base32
    :param last_step: the time step of the code that showed it; none before the next counts
    """
    lock(connection, user_id)
    connection.execute(delete(TotpRow).where(_totps.user_id == user_id))
    connection.execute(
        insert(TotpRow).values(
            user_id=user_id,
            secret=keys.encrypt(secret, _context(user_id)),
            confirmed_at=clock.now(),
            last_step=last_step,
        )
    )


def totp_secret(connection: Connection, keys: Keyring, user_id: UUID) -> str | None:
    """Return the secret of the user's authenticator app in Base32; None if there is none."""
    sealed: str | None = connection.execute(
        select(_totps.secret).where(_totps.user_id == user_id)
    ).scalar_one_or_none()
    return None if sealed is None else keys.decrypt(sealed, _context(user_id))


def accept_totp(connection: Connection, keys: Keyring, user_id: UUID, code: str) -> bool:
    """Say whether the code is the user's authenticator app's; it is then used up."""
    secret = totp_secret(connection, keys, user_id)
    counter = _counter(secret, code) if secret else None
    if counter is None:
        return False
    # Of two who come at once with one code, one finds the other's step here.
    used = connection.execute(
        update(TotpRow)
        .where(_totps.user_id == user_id, _totps.last_step < counter)
        .values(last_step=counter)
    )
    return used.rowcount > 0


def remove_totp(connection: Connection, user_id: UUID) -> None:
    """Forget the user's authenticator app.

    :raises NotFound: when there is none
    :raises FactorNeeded: when it is the last factor, and the user's role needs one
    """
    lock(connection, user_id)
    if not connection.execute(delete(TotpRow).where(_totps.user_id == user_id)).rowcount:
        raise NotFound("You have set up no authenticator app.")
    check_left(connection, user_id)


def renew_recovery_codes(connection: Connection, user_id: UUID) -> list[str]:
    """Make new recovery codes in the place of all before; they cannot be shown again.

    Each holds 80 random bits, so a plain hash keeps them: there is nothing to guess from it.
    """
    lock(connection, user_id)
    made = [secrets.token_bytes(_RECOVERY_BYTES) for _ in range(RECOVERY_CODES)]
    codes = [base64.b32encode(code).decode() for code in made]
    connection.execute(delete(RecoveryCodeRow).where(_codes.user_id == user_id))
    connection.execute(
        insert(RecoveryCodeRow),
        [{"user_id": user_id, "code_hash": sha256(code.encode())} for code in codes],
    )
    return [_grouped(code) for code in codes]


def accept_recovery_code(connection: Connection, user_id: UUID, code: str) -> bool:
    """Say whether the code is one of the user's recovery codes; it is then used up."""
    written = "".join(letter for letter in code.upper() if letter.isalnum()).translate(_MISREAD)
    used = connection.execute(
        update(RecoveryCodeRow)
        .where(
            _codes.user_id == user_id,
            _codes.code_hash == sha256(written.encode()),
            _codes.used_at.is_(None),
        )
        .values(used_at=clock.now())
    )
    return used.rowcount > 0


def lock(connection: Connection, user_id: UUID) -> None:
    """Have changes of one user's factors wait for each other."""
    connection.execute(select(UserRow.id).where(UserRow.id == user_id).with_for_update())


def check_left(connection: Connection, user_id: UUID) -> None:
    """Refuse to have removed the last factor of a user whose role needs one.

    Where none is needed, the recovery codes go with the last: there is nothing to stand in for.

    :raises FactorNeeded: in any tenant
    """
    if factors_of(connection, user_id).methods:
        return
    if any(map(needs_second_factor, events.memberships_of(connection, user_id).values())):
        raise FactorNeeded
    connection.execute(delete(RecoveryCodeRow).where(_codes.user_id == user_id))


def _set_up(step: str, secret: str, email: str) -> SetUp:
    uri = pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=ISSUER)
    picture = segno.make(uri, error="m").svg_data_uri(scale=4, light="#fff")
    return SetUp(step, secret, uri, picture)


def _counter(secret: str, code: str) -> int | None:
    """Return the time step that the code is of; None if it is none of now."""
    given = "".join(code.split()).encode()
    now = int(clock.now().timestamp()) // STEP_SECONDS
    totp = pyotp.TOTP(secret, interval=STEP_SECONDS)
    found = [
        step
        for step in range(now - WINDOW, now + WINDOW + 1)
        if compare_digest(totp.generate_otp(step).encode(), given)
    ]
    return found[-1] if found else None


def _grouped(code: str) -> str:
    parts = [code[start : start + _GROUP] for start in range(0, len(code), _GROUP)]
    return "-".join(parts).lower()


def _context(user_id: UUID) -> str:
    return f"totp_secrets.secret {user_id}"
