"""The public keys that receipts are checked with, in each form that they are published in. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from consent_service.ledger.checkpoint import ED25519, ED25519_COSIGNATURE, NoteKey
from consent_service.receipts.reading import MAX_BYTES, Refused, from_base64url, read_json
from consent_service.signing import thumbprint, verifies

_KEY_BYTES = 32

#: Why a key was taken out of use without harm to what it had signed.
_LOST = "lost"


class KeysRefused(ValueError):
    """What was given as keys holds none that could be used; the message says how to mend it."""


@dataclass(frozen=True)
class PublicKey:
    """An Ed25519 key.

    :ivar compromised: whether somebody else may have had it
    :ivar logs: those whose checkpoints it signs; None for a key that signs for any
    """

    public: bytes
    compromised: bool = False
    logs: frozenset[str] | None = None

    @property
    def id(self) -> str:
        """Its RFC 7638 thumbprint, which is its ``kid``."""
        return thumbprint(self.public)

    def signed(self, message: bytes, signature: bytes) -> bool:
        """Say whether it made this signature."""
        return verifies(self.public, message, signature)


@dataclass
class PublicKeys:
    """Keys by their id.

    :ivar renamed: ids under which there is another key than the one they are the thumbprint of
    """

    by_id: dict[str, PublicKey] = field(default_factory=dict)
    renamed: set[str] = field(default_factory=set)

    def add(self, key: PublicKey) -> None:
        """Add a key. Of one that is there twice all counts that is said."""
        known = self.by_id.get(key.id)
        if known:
            free = known.logs is None or key.logs is None
            key = PublicKey(
                key.public,
                known.compromised or key.compromised,
                None if free else (known.logs or frozenset()) | (key.logs or frozenset()),
            )
        self.by_id[key.id] = key

    def find(self, key_id: str) -> PublicKey:
        """Return the key with this id.

        :raises Refused: when there is none, or it is not the one that the id says it is
        """
        if key_id in self.renamed:
            raise Refused(
                "renamed_key",
                f"Under the id {key_id} the keys have another key than the one with this id. "
                "Get the keys from where the service publishes them.",
            )
        found = self.by_id.get(key_id)
        if found is None:
            raise Refused(
                "unknown_key",
                f"It is signed by the key {key_id}, which is not among the keys. If they are the "
                "service's newest, it did not sign this.",
            )
        return found


def read_keys(*files: bytes) -> PublicKeys:
    """Read keys: each file a JWK Set, one JWK, or lines of C2SP's ``name+id+key``.

    :raises KeysRefused: when one of them is none of these, or holds no Ed25519 key
    """
    keys = PublicKeys()
    for file in files:
        if file.lstrip()[:1] == b"{":
            _add_jwks(keys, file)
        else:
            _add_note_keys(keys, file)
    return keys


def keys_of(jwks: Mapping[str, Any]) -> PublicKeys:
    """Return the keys of a JWK Set (RFC 7517), as ``/.well-known/jwks.json`` has it.

    Members of another kind are left out, as section 5 says.
    """
    keys = PublicKeys()
    listed = jwks.get("keys")
    for jwk in listed if isinstance(listed, list) else []:
        _add_jwk(keys, jwk)
    return keys


def read_witness(text: str) -> NoteKey:
    """Read the key of a witness.

    :raises KeysRefused: when it is none
    """
    key = _note_key(text)
    if key.kind != ED25519_COSIGNATURE:
        raise KeysRefused(f"{key.name} is not the key of a witness, which have the type 04.")
    return key


def _add_jwks(keys: PublicKeys, file: bytes) -> None:
    try:
        document = read_json(file)
    except Refused as error:
        raise KeysRefused(f"The keys cannot be read. {error}") from error
    for jwk in document["keys"] if isinstance(document.get("keys"), list) else [document]:
        _add_jwk(keys, jwk)
    if not keys.by_id and not keys.renamed:
        raise KeysRefused(
            "There is no Ed25519 key. Save the keys from /.well-known/jwks.json of the service."
        )


def _add_jwk(keys: PublicKeys, jwk: Any) -> None:  # noqa: ANN401
    if not isinstance(jwk, dict):
        return
    kind = (jwk.get("kty"), jwk.get("crv"), jwk.get("alg"), jwk.get("use", "sig"))
    public = from_base64url(jwk.get("x"), _KEY_BYTES)
    if kind != ("OKP", "Ed25519", "Ed25519", "sig") or public is None:
        return
    revoked = jwk.get("revoked")
    # Whatever is not understood of it must not make a key count.
    lost = isinstance(revoked, dict) and revoked.get("reason") == _LOST
    key = PublicKey(public, compromised=revoked is not None and not lost)
    named = jwk.get("kid", key.id)
    if named == key.id:
        keys.add(key)
    elif isinstance(named, str):
        keys.renamed.add(named)


def _add_note_keys(keys: PublicKeys, file: bytes) -> None:
    if len(file) > MAX_BYTES:
        raise KeysRefused(f"The keys have more than {MAX_BYTES} bytes.")
    lines = [line.strip() for line in file.decode("utf-8", "replace").splitlines()]
    found = [_note_key(line) for line in lines if line]
    if not found:
        raise KeysRefused("There is no key in it.")
    for key in found:
        if key.kind != ED25519:
            raise KeysRefused(
                f"{key.name} is the key of a witness, not of the log. Give it as a witness."
            )
        keys.add(PublicKey(key.public, logs=frozenset({key.name})))


def _note_key(text: str) -> NoteKey:
    try:
        return NoteKey.parse(text)
    except ValueError as error:
        raise KeysRefused(f"A key {error}: {text[:80]!r}.") from error
