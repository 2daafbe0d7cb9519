"""Decide by an edge token, without asking the service. Copy this file: it needs ``cryptography``.

:func:`verify` is pure. What it is given is fetched and kept by the caller: the service's public
keys (``/.well-known/jwks.json``), and the status list that :func:`status_list_uri` names, kept for
as long as :func:`keep_seconds` says. ``docs/edge.md`` has a middleware that does both.

Whatever is missing, broken, late or not understood denies every purpose. ``widget/edge/edge.ts``
is the same for JavaScript, and ``tests/vectors/edge.json`` holds both to the same answers.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeGuard

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

#: The one algorithm that is accepted (RFC 9864, RFC 8725 section 3.1).
ALGORITHM = "Ed25519"
TOKEN_TYPE = "consent-gate+jwt"  # noqa: S105 - a media type
LIST_TYPE = "statuslist+jwt"

#: Seconds: no token may say that it counts for longer.
LONGEST_SECONDS = 3600

#: Seconds for which a list is believed at the most, and may be kept at the least and most.
OLDEST_LIST_SECONDS = 60
KEEP_SECONDS = (1, 60)

#: Bytes of a list when it is unpacked: 2**20 places of 8 bits.
LARGEST_LIST = 1 << 20

#: Characters of a token, and of a signed list.
LONGEST_TOKEN = 16_384
LONGEST_LIST = 2 * LARGEST_LIST

#: The numbers that JavaScript counts exactly too.
_LARGEST_NUMBER = (1 << 53) - 1

#: Bits that a place may have.
_WIDTHS = frozenset({1, 2, 4, 8})


@dataclass(frozen=True)
class Verdict:
    """What may run. ``failure`` is None, or a word for why nothing may."""

    decisions: Mapping[str, bool] = field(default_factory=dict)
    failure: str | None = None

    def allows(self, purpose: str) -> bool:
        """Say whether a purpose may run; one that the token does not speak of may not."""
        return self.decisions.get(purpose, False)


class _Refused(Exception):
    """The token does not count; the argument says why."""


def verify(  # noqa: PLR0913 - all that the answer depends on
    token: str | None,
    *,
    issuer: str,
    audience: str,
    keys: Mapping[str, Any],
    status_list: str | None,
    now: float,
    gpc: bool = False,
    skew: int = 5,
) -> Verdict:
    """Say which purposes may run. Never raises.

    :param token: the edge token that came with the request
    :param issuer: the service's address (``CONSENT_PUBLIC_URL``)
    :param audience: the site's key
    :param keys: the service's JWK Set, from JSON
    :param status_list: the signed list at :func:`status_list_uri`; None if it cannot be had
    :param now: seconds since 1970
    :param gpc: whether the request says ``Sec-GPC: 1``; what was decided without the signal does
        not count then
    :param skew: seconds by which the clocks may differ
    """
    try:
        claims = _opened(token, TOKEN_TYPE, keys, LONGEST_TOKEN)
        decisions = _checked_token(claims, issuer, audience, now, skew)
        place, uri = _reference(claims)
        _check_status(status_list, place, uri, keys, now, skew)
        if gpc and claims.get("gpc") is not True:
            _refuse("gpc")
    except _Refused as refusal:
        return Verdict(failure=str(refusal))
    return Verdict(decisions)


def status_list_uri(token: str | None, *, issuer: str) -> str | None:
    """Return where the token's status list is, or None if it names none of this service.

    Nothing is verified yet: ask no other host than the issuer, whatever a token says.
    """
    try:
        parts = _parts(token, LONGEST_TOKEN)
        _, uri = _reference(_json(parts[1]))
    except _Refused:
        return None
    return uri if uri.startswith(f"{issuer}/v1/gate/status/") else None


def keep_seconds(status_list: str) -> int:
    """Return for how many seconds after it was fetched a status list may be kept: its ``ttl``.

    Within sane bounds, whatever it says. The list is not verified here, but by :func:`verify`.
    """
    low, high = KEEP_SECONDS
    try:
        ttl = _json(_parts(status_list, LONGEST_LIST)[1]).get("ttl")
    except _Refused:
        return low
    return max(low, min(high, ttl)) if _is_number(ttl) else low


def status_at(packed: str, bits: int, place: int) -> int | None:
    """Return the status at a place of a list: 0 is valid. None if the list is broken or shorter.

    :param packed: ``lst``: zlib (RFC 1950) in base64url
    :param bits: how many each place has: 1, 2, 4 or 8, the lowest of a byte first
    """
    try:
        return _status_at(_unpacked(packed), bits, place)
    except _Refused:
        return None


def _checked_token(
    claims: Mapping[str, Any], issuer: str, audience: str, now: float, skew: int
) -> dict[str, bool]:
    issued_at, expires_at = claims.get("iat"), claims.get("exp")
    decisions = claims.get("decisions")
    if not (_is_number(issued_at) and _is_number(expires_at) and isinstance(decisions, dict)):
        _refuse("malformed")
    if not 0 <= expires_at - issued_at <= LONGEST_SECONDS:
        _refuse("malformed")
    if claims.get("iss") != issuer:
        _refuse("wrong_issuer")
    if claims.get("aud") != audience:
        _refuse("wrong_audience")
    if issued_at > now + skew:
        _refuse("not_yet_valid")
    if now >= expires_at + skew:
        _refuse("expired")
    return {key: _is_allowed(said) for key, said in decisions.items()}


def _is_allowed(said: Any) -> bool:  # noqa: ANN401 - whatever a token says
    if not (isinstance(said, dict) and isinstance(said.get("allow"), bool)):
        _refuse("malformed")
    return said["allow"] is True


def _reference(claims: Mapping[str, Any]) -> tuple[int, str]:
    """Return a token's place in its list, and where that is (the draft, section 6.2)."""
    status = claims.get("status")
    reference = status.get("status_list") if isinstance(status, dict) else None
    if not isinstance(reference, dict):
        _refuse("malformed")
    place, uri = reference.get("idx"), reference.get("uri")
    if not (_is_number(place) and isinstance(uri, str)):
        _refuse("malformed")
    return place, uri


def _check_status(  # noqa: PLR0913 - private
    status_list: str | None, place: int, uri: str, keys: Mapping[str, Any], now: float, skew: int
) -> None:
    """Check that a list says of this place that its token counts (the draft, section 8.3)."""
    try:
        claims = _opened(status_list, LIST_TYPE, keys, LONGEST_LIST)
    except _Refused as refusal:
        raise _Refused(f"list_{refusal}") from None
    if claims.get("sub") != uri:
        _refuse("list_wrong_subject")
    _check_list_times(claims, now, skew)
    said = claims.get("status_list")
    bits, packed = (said.get("bits"), said.get("lst")) if isinstance(said, dict) else (None, None)
    if not (_is_number(bits) and bits in _WIDTHS and isinstance(packed, str)):
        _refuse("list_malformed")
    if _status_at(_unpacked(packed), bits, place) != 0:
        _refuse("revoked")


def _check_list_times(claims: Mapping[str, Any], now: float, skew: int) -> None:
    issued_at, expires_at, ttl = claims.get("iat"), claims.get("exp"), claims.get("ttl")
    # exp and ttl need not be there; what is must be right.
    right = all(each is None or _is_number(each) for each in (expires_at, ttl))
    if not (_is_number(issued_at) and right):
        _refuse("list_malformed")
    if issued_at > now + skew:
        _refuse("list_not_yet_valid")
    oldest = issued_at + OLDEST_LIST_SECONDS
    if now >= min(oldest, oldest if expires_at is None else expires_at) + skew:
        _refuse("list_expired")


def _status_at(unpacked: bytes, bits: int, place: int) -> int:
    at = place * bits
    if at // 8 >= len(unpacked):
        _refuse("list_out_of_range")
    return unpacked[at // 8] >> at % 8 & (1 << bits) - 1


def _unpacked(packed: str) -> bytes:
    """Unpack a list, and no more of it than a list may have."""
    stream = zlib.decompressobj()
    try:
        unpacked = stream.decompress(_decoded(packed), LARGEST_LIST + 1)
    except zlib.error:
        _refuse("list_broken")
    except _Refused:
        _refuse("list_broken")
    if len(unpacked) > LARGEST_LIST or not stream.eof or stream.unused_data:
        _refuse("list_broken")
    return unpacked


def _opened(
    signed: str | None, kind: str, keys: Mapping[str, Any], longest: int
) -> Mapping[str, Any]:
    """Return what a JWT says whose signature is right (RFC 7515, section 5.2)."""
    head, body, signature = _parts(signed, longest)
    header = _json(head)
    if header.get("alg") != ALGORITHM:
        _refuse("wrong_algorithm")
    if header.get("typ") != kind:
        _refuse("wrong_type")
    if "crit" in header:
        _refuse("malformed")
    key = _public_key(keys, header.get("kid"))
    try:
        key.verify(_decoded(signature), f"{head}.{body}".encode())
    except InvalidSignature:
        _refuse("wrong_signature")
    return _json(body)


def _public_key(keys: Mapping[str, Any], key_id: Any) -> Ed25519PublicKey:  # noqa: ANN401
    """Return the one public key of this id; none that was revoked or is for anything else."""
    listed = keys.get("keys")
    found = [
        key
        for key in (listed if isinstance(listed, Sequence) else ())
        if isinstance(key, Mapping) and isinstance(key_id, str) and key.get("kid") == key_id
    ]
    if len(found) != 1:
        _refuse("unknown_key")
    (key,) = found
    if key.get("revoked") is not None:
        _refuse("revoked_key")
    fits = (
        key.get("kty") == "OKP"
        and key.get("crv") == "Ed25519"
        and key.get("alg") in {None, ALGORITHM}
        and key.get("use") in {None, "sig"}
        and isinstance(key.get("x"), str)
    )
    if not fits:
        _refuse("unknown_key")
    try:
        return Ed25519PublicKey.from_public_bytes(_decoded(key["x"]))
    except (ValueError, _Refused):
        _refuse("unknown_key")


def _parts(signed: str | None, longest: int) -> tuple[str, str, str]:
    if not signed:
        _refuse("missing")
    parts = signed.split(".") if len(signed) <= longest else []
    if len(parts) != 3 or not signed.isascii():  # noqa: PLR2004 - header, body, signature
        _refuse("malformed")
    return parts[0], parts[1], parts[2]


def _decoded(text: str) -> bytes:
    """Decode base64url without padding; there is one way to write each value (RFC 4648)."""
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        _refuse("malformed")
    if base64.urlsafe_b64encode(decoded).rstrip(b"=").decode() != text:
        _refuse("malformed")
    return decoded


def _json(part: str) -> Mapping[str, Any]:
    """Read an object in which no name stands twice."""
    try:
        value = json.loads(
            _decoded(part).decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant
        )
    except (ValueError, RecursionError):
        _refuse("malformed")
    if not isinstance(value, dict):
        _refuse("malformed")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _is_number(value: Any) -> TypeGuard[int]:  # noqa: ANN401 - whatever a token says
    """Say whether it is a whole number that is not negative, and exact everywhere."""
    return type(value) is int and 0 <= value <= _LARGEST_NUMBER


def _refuse(reason: str) -> NoReturn:
    raise _Refused(reason)
