"""What the visitor holds: the token, and the readable copy of the choices beside it. Pure.

A token is ``1~site_key~visitor~record~sequence~notice~issued~expires~gpc~key:state~…`` and an
HMAC-SHA256 over it. It is made of characters that need no quoting in a cookie (RFC 6265,
section 4.1.1) and is read by splitting, since the gate reads one for every request.
``tests/vectors`` pins both formats; the widget reads the second.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from itsdangerous import BadSignature, Signer

VERSION = "1"

#: Keeps tokens apart from everything else that the token keys sign.
SALT = "consent-token"

#: ``1`` granted, ``0`` refused, ``w`` refused after it had been granted: withdrawn.
State = Literal["1", "0", "w"]
GRANTED: State = "1"
REFUSED: State = "0"
WITHDRAWN: State = "w"

#: In place of a sequence number: no token of this visitor counts any more.
ERASED = sys.maxsize

_FIXED_PARTS = 9

#: Characters; fifty purposes with the longest keys need less.
_LONGEST = 4096


class Claims(NamedTuple):
    """What a token says. Times are whole seconds since 1970."""

    site_key: str
    visitor_id: str
    record_id: str
    #: 1 for a visitor's first record, one more for each later one.
    sequence: int
    notice_version: int
    issued_at: int
    #: When the choice is to be asked again.
    expires_at: int
    #: Whether the choice was made with the GPC signal on, the visitor having been told of it.
    gpc: bool
    #: Optional purposes only.
    choices: Mapping[str, str]


def of_nobody(site_key: str, visitor_id: str) -> Claims:
    """Return what a token would say of a visitor of whom nothing is held: no choice, ever."""
    return Claims(site_key, visitor_id, "", 0, 0, 0, 0, gpc=False, choices={})


def write_token(claims: Claims, signer: Signer) -> str:
    """Return the signed token: ASCII, about 180 characters."""
    payload = "~".join(
        (
            VERSION,
            claims.site_key,
            claims.visitor_id,
            claims.record_id,
            str(claims.sequence),
            str(claims.notice_version),
            str(claims.issued_at),
            str(claims.expires_at),
            "1" if claims.gpc else "0",
            *write_states(claims.choices),
        )
    )
    return signer.sign(payload).decode()


def presented_token(environ: Mapping[str, Any], cookie_name: str) -> str | None:
    """Return the token that came with a request: the header's, else the cookie's; None if none.

    Granian hands over a header with a byte beyond ASCII as an empty one. A refusal may have been
    in it, so it counts as a token that came and does not verify.
    """
    token: str | None = environ.get("HTTP_X_CONSENT_TOKEN")
    if token is not None:
        return token
    cookies: str | None = environ.get("HTTP_COOKIE")
    if not cookies:
        return cookies
    for part in cookies.split(";"):
        name, _, value = part.partition("=")
        if name.strip() == cookie_name:
            return value.strip() or None
    return None


def read_token(token: str, site_key: str, signer: Signer) -> Claims | None:
    """Return what a token of this site says, or None if it is not one that we signed."""
    if len(token) > _LONGEST:
        return None
    try:
        return _verified(token, site_key, signer)
    except BadSignature:
        return None


# A visitor asks again with every page, and behind a reverse proxy with every request. Only tokens
# that verified are kept, and other keys are another signer.
@lru_cache(maxsize=16384)
def _verified(token: str, site_key: str, signer: Signer) -> Claims:
    payload, _, signature = token.rpartition(".")
    if not signer.verify_signature(payload, signature):
        raise BadSignature("not signed with one of our keys")
    parts = payload.split("~")
    if parts[0] != VERSION or parts[1] != site_key:
        raise BadSignature("of another site or version")
    return Claims(
        parts[1],
        parts[2],
        parts[3],
        int(parts[4]),
        int(parts[5]),
        int(parts[6]),
        int(parts[7]),
        parts[8] == "1",
        read_states(parts[_FIXED_PARTS:]),
    )


def readable_choices(claims: Claims) -> str:
    """Return what pages may read: ``1~notice~expires~record~gpc~key:1~key:0``."""
    return "~".join(
        (
            VERSION,
            str(claims.notice_version),
            str(claims.expires_at),
            claims.record_id,
            "1" if claims.gpc else "0",
            *(f"{key}:{int(state == GRANTED)}" for key, state in claims.choices.items()),
        )
    )


def write_states(choices: Mapping[str, str]) -> list[str]:
    """Return ``key:state`` for each purpose."""
    return [f"{key}:{state}" for key, state in choices.items()]


def read_states(pairs: list[str]) -> dict[str, str]:
    """Read what :func:`write_states` wrote."""
    return {pair[:-2]: pair[-1] for pair in pairs}
