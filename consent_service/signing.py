"""Keys: Ed25519 for records, HMAC-SHA256 (itsdangerous) for tokens, AES-256 for data.

Each kind is a list, oldest to newest. A new key *verifies* and *decrypts* from the moment it is in
the key file, and *signs* and *encrypts* only from its ``active_from``. Every process re-reads a
changed file within a second, so by the time the first token is signed with a new key, everybody
knows it: rotation logs nobody out. A key that was revoked (``key_changes.py``) signs no more.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from binascii import b2a_base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from itsdangerous import Signer
from itsdangerous.encoding import base64_encode, want_bytes
from joserfc import jwt
from joserfc.jwk import OKPKey

from consent_service import clock, key_file
from consent_service.encryption import DataKeys
from consent_service.key_file import KEY_BYTES, KEY_KINDS, Key, KeyKind, Keys, Revoked

#: The first key of a list is used at once; a later one when every process has surely read it.
ROTATION_DELAY = timedelta(seconds=60)

_URL_SAFE = bytes.maketrans(b"+/", b"-_")


@dataclass(frozen=True)
class Signature:
    """An Ed25519 signature of 64 bytes, and the id of the key that made it."""

    key_id: str
    value: bytes


class CompactSigner(Signer):
    """itsdangerous' signer over keys derived beforehand: HMAC-SHA256, base64url, ``value.mac``.

    Makes and reads the same strings as ``Signer`` with HMACAlgorithm(sha256), in a third of the
    time, which the gate spends on every question: each key's HMAC is prepared once and copied,
    and comparing the encoded forms saves decoding what the caller sent.
    """

    def __init__(self, derived_keys: list[bytes]) -> None:
        """Sign with the last key, verify with all."""
        super().__init__(derived_keys, key_derivation="none", digest_method=hashlib.sha256)
        self._prepared = [hmac.new(key, digestmod="sha256") for key in reversed(derived_keys)]

    def verify_signature(self, value: str | bytes, sig: str | bytes) -> bool:
        """Say, in constant time for each key, whether one of our keys made this signature."""
        message, given = want_bytes(value), want_bytes(sig)
        for prepared in self._prepared:
            mac = prepared.copy()
            mac.update(message)
            encoded = b2a_base64(mac.digest(), newline=False).translate(_URL_SAFE).rstrip(b"=")
            if hmac.compare_digest(encoded, given):
                return True
        return False


@dataclass(frozen=True)
class PublicKey:
    """The public half of a record key, 32 bytes, for whoever verifies.

    :ivar id: its thumbprint (RFC 7638)
    :ivar active_from: since when it signs or signed; None where nobody knows any more
    :ivar revoked: None while it may sign
    """

    id: str
    public: bytes
    active_from: datetime | None
    revoked: Revoked | None

    @property
    def stolen(self) -> bool:
        """Whether somebody else may have the secret half."""
        return self.revoked is not None and self.revoked.stolen


class Keyring:
    """The keys of this process, as the key file or the environment has them."""

    def __init__(self, source: key_file.Source) -> None:
        """Read the keys.

        :raises OperatorError: when they are missing or not right
        """
        self._source = source
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._order: list[list[Key]] = []
        self.refresh()

    @classmethod
    def of(cls, settings: key_file.KeySettings) -> Self:
        """Read the keys that the settings name.

        :raises OperatorError: when they are missing or not right
        """
        return cls(key_file.source_of(settings))

    def refresh(self) -> None:
        """Read the key file again if it has changed, and let keys whose time has come sign.

        :raises OperatorError: when it is missing or not right; the keys stay as they were
        """
        with self._lock:
            stamp = key_file.stamp(self._source)
            changed = stamp != self._stamp
            if changed:
                self._keys = key_file.read(self._source)
                self._stamp = stamp
            keys = self._keys
            order = [_signing_order(keys.usable(kind)) for kind in KEY_KINDS]
            if order == self._order and not changed:
                return
            self._order = order
            self._signers: dict[str, Signer] = {}
            # Each is put in place at once: another thread may sign or verify in between.
            self._record = [
                (key, Ed25519PrivateKey.from_private_bytes(key.secret)) for key in order[0]
            ]
            self._signing = self._record[-1]
            self._public = _public_keys(keys)
            self._verifying = {
                key.id: Ed25519PublicKey.from_public_bytes(key.public) for key in self._public
            }
            self._data = DataKeys({key.id: key.secret for key in order[2]})

    def signer(self, salt: str) -> Signer:
        """Return the signer for one use; ``salt`` keeps uses apart."""
        # A refresh in between puts another dictionary here; what is made from the keys before it
        # must not get into that.
        signers = self._signers
        signer = signers.get(salt)
        if signer is None:
            keys = _signing_order(self._keys.usable("token"))
            signer = CompactSigner([_derived(key, salt) for key in keys])
            signers[salt] = signer
        return signer

    @property
    def token_key_id(self) -> str:
        """The id of the token key that signs now."""
        return _signing_order(self._keys.usable("token"))[-1].id

    def derive(self, use: str) -> bytes:
        """Return 32 secret bytes for one use that never change: the oldest token key gives them.

        Also where that one was stolen. So they are for recognising what was seen before, and never
        for believing what somebody says.
        """
        return _derived(self._keys.of["token"][0], use)

    def derive_from(self, token_key_id: str, use: str) -> bytes | None:
        """Return 32 secret bytes for one use, or None if the file has no such token key."""
        keys = (key for key in self._keys.of["token"] if key.id == token_key_id)
        return next((_derived(key, use) for key in keys), None)

    def token_key_revoked(self, token_key_id: str) -> bool:
        """Say whether a token key was stolen, and with it all that is derived from it."""
        return any(key.id == token_key_id and key.revoked for key in self._keys.of["token"])

    def sign(self, message: bytes) -> Signature:
        """Sign with the newest record key that is active (RFC 8032, Ed25519)."""
        key, private = self._signing
        return Signature(key.id, private.sign(message))

    def sign_jwt(self, kind: str, claims: Mapping[str, Any]) -> str:
        """Return a JWT (RFC 7519) in compact form, signed with the key of :meth:`sign` (RFC 9864).

        :param kind: the header's ``typ``, which keeps uses apart (RFC 8725, section 3.11)
        """
        key, private = self._signing
        header = {"alg": "Ed25519", "typ": kind, "kid": key.id}
        return jwt.encode(header, dict(claims), OKPKey.import_key(private), algorithms=["Ed25519"])

    def sign_for_log(self, message: bytes) -> list[tuple[bytes, bytes]]:
        """Sign with the two newest record keys that are active; return public keys and signatures.

        Those who follow a log know its keys by themselves: with two, they have from one rotation
        to the next to learn the new one.
        """
        private = [private for key, private in self._record if _is_active(key)][-2:]
        return [(each.public_key().public_bytes_raw(), each.sign(message)) for each in private]

    def verify(self, message: bytes, signature: Signature) -> bool:
        """Say whether one of our keys made this signature over this message.

        Whether somebody else had that key, :meth:`revoked` tells.
        """
        public = self._verifying.get(signature.key_id)
        if public is None:
            return False
        try:
            public.verify(signature.value, message)
        except InvalidSignature:
            return False
        return True

    def revoked(self, record_key_id: str) -> Revoked | None:
        """Return since when and why a record key must not be used; None while it may."""
        found = (key.revoked for key in self._public if key.id == record_key_id)
        return next(found, None)

    def public_keys(self) -> list[PublicKey]:
        """Return all record keys that sign or ever signed, as far as is known, oldest first."""
        return list(self._public)

    @property
    def data_key_id(self) -> str:
        """The id of the data key that encrypts now; :meth:`encrypt` puts it first in a value."""
        return self._data.newest_id

    def encrypt(self, text: str, context: str) -> str:
        """Encrypt a text that the database keeps, with the newest data key that is active.

        :param context: the place that it is for, such as ``users.email <id>``: elsewhere it will
            not decrypt
        """
        return self._data.encrypt(text, context)

    def decrypt(self, sealed: str, context: str) -> str:
        """Return the text that was encrypted for this place, with whichever key that was.

        :raises CannotDecrypt: when the key is not in the file, or the value was altered or stands
            in another place than the one it was encrypted for
        """
        return self._data.decrypt(sealed, context)

    def jwks(self) -> dict[str, Any]:
        """Return the public record keys as a JWK Set (RFC 7517, RFC 8037, RFC 9864).

        Keys that are revoked say so in the form of OpenID Federation's historical keys.
        """
        return {"keys": [_public_jwk(key) for key in self._public]}


def rotate(path: Path, kind: KeyKind) -> Key:
    """Add a new key to the file, making the file if there is none; return the key.

    The first key of its kind signs or encrypts at once, a later one after :data:`ROTATION_DELAY`.

    :raises OperatorError: when the file is there and not right, or cannot be written
    """
    with key_file.changing(path) as keys:
        return add_key(keys, kind)


def ensure_keys(path: Path) -> None:
    """Make the keys that a new installation lacks.

    :raises OperatorError: when the file is there and not right
    """
    with key_file.changing(path) as keys:
        for kind in KEY_KINDS:
            if not keys.usable(kind):
                add_key(keys, kind)


def add_key(keys: Keys, kind: KeyKind) -> Key:
    """Add a new key to those of a file; return it. The first that can be used is active at once."""
    secret = secrets.token_bytes(KEY_BYTES)
    key = Key(
        id=thumbprint(public_half(secret)) if kind == "record" else secrets.token_hex(4),
        secret=secret,
        active_from=clock.now() + (ROTATION_DELAY if keys.usable(kind) else timedelta()),
    )
    keys.of[kind].append(key)
    return key


def canonical_json(document: Mapping[str, Any]) -> bytes:
    """Return the canonical form (RFC 8785) of a document of ours.

    Keys are ASCII and numbers are integers below 2**53 in all that we sign, and for these sorted,
    compact JSON *is* the canonical form: a test holds it against ``rfc8785``, which takes fifty
    times as long and is what to use for anything else.
    """
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def sha256(data: bytes) -> bytes:
    """Return SHA-256 of the data: 32 bytes."""
    return hashlib.sha256(data).digest()


def verifies(public: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether an Ed25519 key (32 bytes) made this signature (RFC 8032)."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def public_half(secret: bytes) -> bytes:
    """Return the public half of a record key's secret: 32 bytes."""
    return Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def thumbprint(public: bytes) -> str:
    """Return what a record key is named by (RFC 7638, RFC 8037)."""
    return OKPKey.import_key(_okp(public)).thumbprint()


def _signing_order(keys: list[Key]) -> list[Key]:
    """Put the key that signs or encrypts now last, where itsdangerous looks for it."""
    return sorted(keys, key=lambda key: (_is_active(key), key.active_from))


def _is_active(key: Key) -> bool:
    return key.active_from <= clock.now()


def _derived(key: Key, use: str) -> bytes:
    return hmac.digest(key.secret, use.encode(), "sha256")


def _public_keys(keys: Keys) -> list[PublicKey]:
    retired = [PublicKey(key.id, key.public, key.active_from, key.revoked) for key in keys.retired]
    held = [
        PublicKey(key.id, public_half(key.secret), key.active_from, None)
        for key in keys.of["record"]
    ]
    unknown = datetime.min.replace(tzinfo=UTC)
    return sorted(retired + held, key=lambda key: key.active_from or unknown)


def _okp(public: bytes) -> dict[str, str | list[str]]:
    return {"kty": "OKP", "crv": "Ed25519", "x": base64_encode(public).decode()}


def _public_jwk(key: PublicKey) -> dict[str, Any]:
    jwk: dict[str, Any] = {**_okp(key.public), "kid": key.id, "alg": "Ed25519", "use": "sig"}
    if key.revoked:
        jwk["revoked"] = {
            "revoked_at": int(key.revoked.at.timestamp()),
            "reason": key.revoked.reason,
        }
    return jwk
