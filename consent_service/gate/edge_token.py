"""What an edge token and a status list say. Pure.

An edge token (a JWT, RFC 7519) is the gate's answer of one moment, for a server that decides
without asking us. A status list (draft-ietf-oauth-status-list-20) says which of many tokens count
no more: a token names the list, and its place in it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from itsdangerous.encoding import base64_encode

from consent_service.gate.decision import ALLOWING, Reason

TOKEN_TYPE = "consent-gate+jwt"  # noqa: S105 - a media type
LIST_TYPE = "statuslist+jwt"

#: The longest that the operator may have a token last.
LONGEST_SECONDS = 3600

#: A token that rests on no choice of the visitor's lasts this long: nothing can take it back.
UNCHOSEN_SECONDS = 60

#: For which an edge server may keep a list (``ttl``), and after which it must not use one.
LIST_TTL_SECONDS = 5
LIST_SECONDS = 60

#: Places in a list: 16 KiB of bits. Half of them are used, so that a place taken at random is free.
PLACES = 1 << 17

#: The reasons that are the visitor's own choice, which stands.
_CHOSEN = frozenset({Reason.GRANTED, Reason.REFUSED, Reason.WITHDRAWN})


def token_life(reasons: Iterable[str], left: int | None, longest: int) -> int:
    """Return for how many seconds a token with these decisions counts.

    Never beyond the choice. Where that is near, a power of two seconds: the moment at which the
    choice expires would be in each token of the visitor, and in nobody else's.

    :param left: seconds until the visitor's choice expires; None without one
    :param longest: seconds that the operator lets a token last
    """
    if left is None or _CHOSEN.isdisjoint(reasons):
        return min(longest, UNCHOSEN_SECONDS)
    if left >= longest:
        return longest
    return 1 << (left.bit_length() - 1) if left > 0 else 0


def is_revocable(reasons: Iterable[str]) -> bool:
    """Say whether a newer choice could take back what these decisions allow."""
    return any(reason in ALLOWING and reason != Reason.ESSENTIAL for reason in reasons)


def token_claims(  # noqa: PLR0913 - all that it says
    reasons: Mapping[str, str],
    *,
    issuer: str,
    site_key: str,
    issued_at: int,
    expires_at: int,
    regime: str,
    notice_version: int,
    gpc: bool,
    status_list: str,
    place: int,
) -> dict[str, Any]:
    """Return what a token says: decisions, and nothing that two tokens of a visitor share but them.

    So there is no subject and no id, and the place in the list is a new one for each token.

    :param issued_at: seconds since 1970, as ``expires_at``
    :param status_list: the address of the list
    """
    return {
        "iss": issuer,
        "aud": site_key,
        "iat": issued_at,
        "exp": expires_at,
        "decisions": {
            key: {"allow": reason in ALLOWING, "reason": reason} for key, reason in reasons.items()
        },
        "regime": regime,
        "notice_version": notice_version,
        "gpc": gpc,
        "status": {"status_list": {"idx": place, "uri": status_list}},
    }


def list_claims(packed: str, *, issuer: str, address: str, issued_at: int) -> dict[str, Any]:
    """Return what a status list says.

    :param packed: what :func:`packed_list` returned
    :param address: where the list is, as tokens have it
    """
    return {
        "iss": issuer,
        "sub": address,
        "iat": issued_at,
        "exp": issued_at + LIST_SECONDS,
        "ttl": LIST_TTL_SECONDS,
        "status_list": {"bits": 1, "lst": packed},
    }


def packed_list(invalid: Iterable[int], places: int = PLACES) -> str:
    """Return one bit a place, 1 where the token counts no more: zlib (RFC 1950) in base64url.

    The first place of each byte is its lowest bit (the draft, section 4.1).
    """
    bits = bytearray(places // 8)
    for place in invalid:
        bits[place // 8] |= 1 << place % 8
    return base64_encode(zlib.compress(bits, 9)).decode()
