"""Keys: Ed25519 for records, HMAC-SHA256 (itsdangerous) for tokens, AES-256 for data.

Each kind is a list, oldest to newest. A new key *verifies* and *decrypts* from the moment it is in
the key file, and *signs* and *encrypts* only from its ``active_from``. Every process re-reads a
changed file within a second, so by the time the first token is signed with a new key, everybody
knows it: rotation logs nobody out.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from binascii import b2a_base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from itsdangerous import Signer
from itsdangerous.encoding import base64_encode, want_bytes
from joserfc import jwt
from joserfc.jwk import OKPKey

from consent_service import clock, key_file
from consent_service.encryption import DataKeys
from consent_service.key_file import KEY_KINDS, SECRET_BYTES, Key, KeyKind

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


class Keyring:
    """The keys of this process, as the key file has them."""

    def __init__(self, path: Path) -> None:
        """Read the key file.

        :raises OperatorError: when it is missing or not right
        """
        self._path = path
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._order: list[list[Key]] = []
        self.refresh()

    def refresh(self) -> None:
        """Read the key file again if it has changed, and let keys whose time has come sign.

        :raises OperatorError: when it is missing or not right; the keys stay as they were
        """
        with self._lock:
            stamp = key_file.stamp(self._path)
            if stamp != self._stamp:
                self._keys = key_file.read(self._path)
                self._stamp = stamp
            order = [_signing_order(self._keys[kind]) for kind in KEY_KINDS]
            if order == self._order:
                return
            self._order = order
            self._signers: dict[str, Signer] = {}
            # In this order: another thread may sign in between.
            self._private = {
                key.id: Ed25519PrivateKey.from_private_bytes(key.secret)
                for key in self._keys["record"]
            }
            self._record_key = _signing_order(self._keys["record"])[-1]
            self._data = DataKeys(
                {key.id: key.secret for key in _signing_order(self._keys["data"])}
            )

    def signer(self, salt: str) -> Signer:
        """Return the signer for one use; ``salt`` keeps uses apart."""
        # A refresh in between puts another dictionary here; what is made from the keys before it
        # must not get into that.
        signers = self._signers
        signer = signers.get(salt)
        if signer is None:
            keys = _signing_order(self._keys["token"])
            signer = CompactSigner([_derived(key, salt) for key in keys])
            signers[salt] = signer
        return signer

    @property
    def token_key_id(self) -> str:
        """The id of the token key that signs now."""
        return _signing_order(self._keys["token"])[-1].id

    def derive(self, use: str) -> bytes:
        """Return 32 secret bytes for one use that never change: the oldest token key gives them."""
        return _derived(self._keys["token"][0], use)

    def derive_from(self, token_key_id: str, use: str) -> bytes | None:
        """Return 32 secret bytes for one use, or None if the file has no such token key."""
        keys = (key for key in self._keys["token"] if key.id == token_key_id)
        return next((_derived(key, use) for key in keys), None)

    def sign(self, message: bytes) -> Signature:
        """Sign with the newest record key that is active (RFC 8032, Ed25519)."""
        key = self._record_key
        return Signature(key.id, self._private[key.id].sign(message))

    def sign_jwt(self, kind: str, claims: Mapping[str, Any]) -> str:
        """Return a JWT (RFC 7519) in compact form, signed with the key of :meth:`sign` (RFC 9864).

        :param kind: the header's ``typ``, which keeps uses apart (RFC 8725, section 3.11)
        """
        key = self._record_key
        private = OKPKey.import_key(self._private[key.id])
        header = {"alg": "Ed25519", "typ": kind, "kid": key.id}
        return jwt.encode(header, dict(claims), private, algorithms=["Ed25519"])

    def sign_for_log(self, message: bytes) -> list[tuple[bytes, bytes]]:
        """Sign with the two newest record keys that are active; return public keys and signatures.

        Those who follow a log know its keys by themselves: with two, they have from one rotation
        to the next to learn the new one.
        """
        keys = [key for key in _signing_order(self._keys["record"]) if _is_active(key)][-2:]
        private = [self._private[key.id] for key in keys]
        return [(each.public_key().public_bytes_raw(), each.sign(message)) for each in private]

    def verify(self, message: bytes, signature: Signature) -> bool:
        """Say whether one of our keys made this signature over this message."""
        private = self._private.get(signature.key_id)
        if private is None:
            return False
        try:
            private.public_key().verify(signature.value, message)
        except InvalidSignature:
            return False
        return True

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
        """Return the public record keys as a JWK Set (RFC 7517, RFC 8037, RFC 9864)."""
        return {"keys": [_public_jwk(key) for key in self._keys["record"]]}


def rotate(path: Path, kind: KeyKind) -> Key:
    """Add a new key to the file, making the file if there is none; return the key.

    The first key of its kind signs or encrypts at once, a later one after :data:`ROTATION_DELAY`.

    :raises OperatorError: when the file is there and not right, or cannot be written
    """
    keys = (
        key_file.read(path, complete=False) if path.exists() else {name: [] for name in KEY_KINDS}
    )
    secret = secrets.token_bytes(SECRET_BYTES)
    key = Key(
        id=_thumbprint(secret) if kind == "record" else secrets.token_hex(4),
        secret=secret,
        active_from=clock.now() + (ROTATION_DELAY if keys[kind] else timedelta()),
    )
    keys[kind].append(key)
    key_file.write(path, keys)
    return key


def ensure_keys(path: Path) -> None:
    """Make the keys that a new installation lacks.

    :raises OperatorError: when the file is there and not right
    """
    for kind in KEY_KINDS:
        if not path.exists() or not key_file.read(path, complete=False)[kind]:
            rotate(path, kind)


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


def _signing_order(keys: list[Key]) -> list[Key]:
    """Put the key that signs or encrypts now last, where itsdangerous looks for it."""
    return sorted(keys, key=lambda key: (_is_active(key), key.active_from))


def _is_active(key: Key) -> bool:
    return key.active_from <= clock.now()


def _derived(key: Key, use: str) -> bytes:
    return hmac.digest(key.secret, use.encode(), "sha256")


def _thumbprint(secret: bytes) -> str:
    return _okp(secret).thumbprint()


def _okp(secret: bytes) -> OKPKey:
    public = Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
    return OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": base64_encode(public).decode()})


def _public_jwk(key: Key) -> dict[str, Any]:
    return {
        **_okp(key.secret).as_dict(private=False),
        "kid": key.id,
        "alg": "Ed25519",
        "use": "sig",
    }
