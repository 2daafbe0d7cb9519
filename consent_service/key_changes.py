"""Revoke keys that were stolen or lost, and take back lost record keys' public halves.

What is signed stays signed: a revoked record key still verifies, and everybody who verifies is told
that it is revoked (``Keyring.jwks``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from itsdangerous import BadData
from itsdangerous.encoding import base64_decode, base64_encode

from consent_service import clock, key_file
from consent_service.errors import OperatorError
from consent_service.key_file import (
    KEY_BYTES,
    REASONS,
    Key,
    KeyKind,
    Keys,
    RetiredKey,
    Revoked,
)
from consent_service.signing import PublicKey, add_key, public_half, thumbprint


@dataclass(frozen=True)
class Successor:
    """The key that signs from now on, and whether it had to be made."""

    key: Key
    made: bool


@dataclass(frozen=True)
class Adopted:
    """What became of the keys of a JWK Set, by their ids."""

    #: They verify from now on.
    added: list[str]
    #: They were in the key file, which stays as it is.
    known: list[str]
    #: Those of them that the JWK Set calls compromised, and the key file does not.
    warned: list[str]


def revoke(
    path: Path, kind: Literal["record", "token"], key_id: str, revoked: Revoked
) -> Successor:
    """Have a key sign nothing from now on; where none is left that does, make one first.

    A record key loses its secret and still verifies. What a token key has signed does not count
    any more; it stays for what is derived from it (``Keyring.derive``).

    :raises OperatorError: when there is no such key, it cannot be revoked like this, or the file
        is not right
    """
    if revoked.at > clock.now():
        raise OperatorError("A key is revoked from now on, or from a time before. Change --at.")
    with key_file.changing(path) as keys:
        if kind == "record":
            _revoke_record(keys, key_id, revoked)
        else:
            _revoke_token(keys, key_id, revoked)
        return _successor(keys, kind)


def remove_data_key(path: Path, key_id: str) -> None:
    """Take a data key out of the file. The caller has made sure that nobody needs it.

    :raises OperatorError: when there is no such key, or it is the one that encrypts
    """
    with key_file.changing(path) as keys:
        key = _named(keys, "data", key_id)
        if key is keys.of["data"][-1]:
            raise OperatorError(
                f"Data key {key_id} is the newest, and encrypts. Make another first: "
                "consent-service key rotate data"
            )
        keys.of["data"].remove(key)


def adopt(path: Path, found: Iterable[PublicKey]) -> Adopted:
    """Add public record keys whose secrets are lost, so that what they signed verifies.

    Nothing that is in the file is changed.

    :raises OperatorError: when there is no key file yet, or it is not right
    """
    if not path.exists():
        raise OperatorError(
            f"There is no key file {path} to add to. Make new keys first: "
            "consent-service key rotate"
        )
    adopted = Adopted([], [], [])
    lost = Revoked(clock.now(), "lost")
    with key_file.changing(path) as keys:
        held: dict[str, Revoked | None] = {key.id: None for key in keys.of["record"]}
        held |= {key.id: key.revoked for key in keys.retired}
        for key in found:
            if key.id not in held:
                _retire(keys, RetiredKey(key.id, key.public, key.active_from, key.revoked or lost))
                adopted.added.append(key.id)
                continue
            adopted.known.append(key.id)
            if _stolen(key.revoked) and not _stolen(held[key.id]):
                adopted.warned.append(key.id)
    return adopted


def read_jwks(document: Any) -> list[PublicKey]:  # noqa: ANN401 - it came from a file
    """Return the public keys of a JWK Set as ``/.well-known/jwks.json`` gives it.

    :raises OperatorError: when one of them is not what it says it is
    """
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not entries:
        raise OperatorError(
            "This is no JWK Set with keys in it. Take a copy of /.well-known/jwks.json, or what "
            "consent-service key export-public wrote."
        )
    return [_read_jwk(entry) for entry in entries]


def _read_jwk(entry: Any) -> PublicKey:  # noqa: ANN401
    named = entry.get("kid") if isinstance(entry, dict) else None
    try:
        members = dict(entry)
        public = _public_in(members)
        revoked = _read_revoked(members["revoked"]) if "revoked" in members else None
    except (BadData, ValueError, KeyError, TypeError, OverflowError):
        raise OperatorError(
            f"The key {named} is no Ed25519 key as RFC 8037 writes it. Nothing was adopted; take "
            "another copy."
        ) from None
    if "d" in members:
        raise OperatorError(
            f"The key {named} comes with its secret, which a JWK Set for others must not hold. "
            "Nothing was adopted."
        )
    if thumbprint(public) != named:
        raise OperatorError(
            f"The key {named} is not the one that its name stands for (RFC 7638): the copy was "
            "altered. Nothing was adopted; take another copy."
        )
    return PublicKey(named, public, None, revoked)


def _public_in(members: Mapping[str, Any]) -> bytes:
    """Return the 32 bytes of an Ed25519 key; base64url has one way of writing them."""
    public = base64_decode(members["x"])
    right = (
        (members["kty"], members["crv"]) == ("OKP", "Ed25519")
        and len(public) == KEY_BYTES
        and base64_encode(public).decode() == members["x"]
    )
    if not right:
        raise ValueError
    return public


def _read_revoked(entry: Mapping[str, Any]) -> Revoked:
    at, reason = entry["revoked_at"], entry["reason"]
    if type(at) is not int or reason not in REASONS:
        raise ValueError
    return Revoked(datetime.fromtimestamp(at, UTC), reason)


def _revoke_record(keys: Keys, key_id: str, revoked: Revoked) -> None:
    before = next((key for key in keys.retired if key.id == key_id), None)
    if before is None:
        key = _named(keys, "record", key_id)
        _check_time(key, revoked)
        keys.of["record"].remove(key)
        _retire(keys, RetiredKey(key.id, public_half(key.secret), key.active_from, revoked))
    elif _stolen(revoked) and not _stolen(before.revoked):
        _check_time(before, revoked)
        keys.retired[keys.retired.index(before)] = replace(before, revoked=revoked)
    else:
        raise _already(key_id, before.revoked)


def _revoke_token(keys: Keys, key_id: str, revoked: Revoked) -> None:
    key = _named(keys, "token", key_id)
    if revoked.reason == "lost":
        raise OperatorError(
            f"Token key {key_id} is in the key file, so it is not lost. Where somebody else may "
            "have it: --reason compromised."
        )
    if key.revoked:
        raise _already(key_id, key.revoked)
    _check_time(key, revoked)
    tokens = keys.of["token"]
    tokens[tokens.index(key)] = replace(key, revoked=revoked)


def _successor(keys: Keys, kind: KeyKind) -> Successor:
    usable = keys.usable(kind)
    if not usable:
        return Successor(add_key(keys, kind), made=True)
    now = clock.now()
    newest = max(usable, key=lambda key: (key.active_from <= now, key.active_from))
    if newest.active_from > now:
        # It waited for every process to know it. There is nothing else to sign with meanwhile.
        entries = keys.of[kind]
        sooner = replace(newest, active_from=now)
        entries[entries.index(newest)] = newest = sooner
    return Successor(newest, made=False)


def _retire(keys: Keys, key: RetiredKey) -> None:
    keys.retired.append(key)
    unknown = datetime.min.replace(tzinfo=UTC)
    keys.retired.sort(key=lambda each: each.active_from or unknown)


def _named(keys: Keys, kind: KeyKind, key_id: str) -> Key:
    for key in keys.of[kind]:
        if key.id == key_id:
            return key
    raise OperatorError(
        f"The key file holds no {kind} key {key_id}. Show them with: consent-service key list"
    )


def _check_time(key: Key | RetiredKey, revoked: Revoked) -> None:
    if key.active_from and revoked.at < key.active_from:
        raise OperatorError(
            f"The key {key.id} signs only since {clock.rfc3339(key.active_from)}, and cannot be "
            "revoked from before. Change --at."
        )


def _already(key_id: str, revoked: Revoked) -> OperatorError:
    since = clock.rfc3339(revoked.at)
    return OperatorError(
        f"The key {key_id} is revoked already, as {revoked.reason} since {since}. "
        "That cannot be taken back."
    )


def _stolen(revoked: Revoked | None) -> bool:
    return revoked is not None and revoked.stolen
