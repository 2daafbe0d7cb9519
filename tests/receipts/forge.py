"""Make receipts, good ones and those that somebody would like to pass for good."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from itsdangerous.encoding import base64_encode

from consent_service import clock
from consent_service.consents.record import signature_out
from consent_service.ledger.checkpoint import (
    ED25519,
    ED25519_COSIGNATURE,
    Checkpoint,
    NoteKey,
    NoteSignature,
    Proof,
    SignedNote,
    cosigned_text,
    origin_of,
)
from consent_service.ledger.merkle import (
    GrowingTree,
    Tiles,
    inclusion_proof,
    leaf_hash,
)
from consent_service.receipts import document
from consent_service.signing import Signature, sha256, thumbprint

TENANT = "019cb0f4-0000-7000-8000-000000000001"
STRANGER = "019cb0f4-0000-7000-8000-000000000002"
AT = clock.from_rfc3339("2026-03-01T09:31:00.000Z")
WITNESSED = 1772357500

RECORD = {
    "schema_version": 1,
    "id": "019cb0f4-2a40-7c3e-9d5a-6f1f0e3b7c21",
    "tenant_id": TENANT,
    "site_key": "site_demo",
    "sequence": 2,
    "previous_id": None,
    "choices": {"session": True, "analytics": False},
    "policy_version": "Machi 2026 “b” \\ \t\u001f€\U0001f36a",
    "created_at": "2026-03-01T09:30:00.250Z",
}
TOMBSTONE = {
    "schema_version": 1,
    "type": "tombstone",
    "record_id": RECORD["id"],
    "tenant_id": TENANT,
    "site_key": "site_demo",
    "created_at": RECORD["created_at"],
    "commitment": "ab" * 32,
    "erased_at": "2026-03-02T10:00:00.000Z",
    "reason": "visitor_request",
}
#: Other names sort before or after by UTF-16 than by code point.
DESCRIBED = {"@type": ["dpv:ConsentReceipt"], "\ufb33": {"a": []}, "\U0001f600": 1, "e": "\u00e9"}


@dataclass(frozen=True)
class Signer:
    """A key."""

    number: int

    @cached_property
    def private(self) -> Ed25519PrivateKey:
        """The private key."""
        return Ed25519PrivateKey.from_private_bytes(bytes([self.number]) * 32)

    @cached_property
    def public(self) -> bytes:
        """The public key's 32 bytes."""
        return self.private.public_key().public_bytes_raw()

    @cached_property
    def id(self) -> str:
        """Its thumbprint."""
        return thumbprint(self.public)

    def sign(self, message: bytes) -> Signature:
        """Sign a record or a receipt."""
        return Signature(self.id, self.private.sign(message))

    def jwk(self, **more: Any) -> dict[str, Any]:  # noqa: ANN401
        """Return it as a JWK; ``more`` are its members besides, or in the place of others."""
        x = base64_encode(self.public).decode()
        named = {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": self.id}
        return {**named, "alg": "Ed25519", "use": "sig", **more}

    def under(self, name: str, kind: int = ED25519) -> NoteKey:
        """Return it as signed notes know it."""
        return NoteKey(name, kind, self.public)

    def line(self, text: str, name: str) -> NoteSignature:
        """Sign a checkpoint."""
        return NoteSignature(name, self.under(name).id, self.private.sign(text.encode()))

    def cosign(self, text: str, name: str, at: int = WITNESSED) -> NoteSignature:
        """Cosign a checkpoint."""
        value = at.to_bytes(8) + self.private.sign(cosigned_text(text, at))
        return NoteSignature(name, self.under(name, ED25519_COSIGNATURE).id, value)


OLD, NEW, FORGER, WITNESS = (Signer(number) for number in (1, 2, 3, 9))
WITNESS_NAME = "witness.example.com/w1"
WITNESS_KEY = WITNESS.under(WITNESS_NAME, ED25519_COSIGNATURE).text


def jwks(*keys: dict[str, Any]) -> str:
    """Return a JWK Set, that of the service unless others are named."""
    return json.dumps({"keys": list(keys or (OLD.jwk(), NEW.jwk()))})


@dataclass
class Log:
    """A log of entries, each of which can be proven."""

    entries: list[bytes]
    origin: str = origin_of(TENANT)

    def proof(
        self,
        index: int,
        signers: tuple[Signer, ...] = (OLD, NEW),
        *more: NoteSignature,
    ) -> Proof:
        """Prove an entry."""
        hashes = [leaf_hash(entry) for entry in self.entries]
        tree = GrowingTree()
        for each in hashes:
            tree.add(each)
        tiles = Tiles(len(hashes), lambda _, __, width: hashes[:width])
        head = Checkpoint(self.origin, len(hashes), tree.root())
        lines = [*(each.line(head.text, self.origin) for each in signers), *more]
        return Proof(index, tuple(inclusion_proof(tiles, index)), SignedNote(head.text, (*lines,)))


def entry_of(content: dict[str, Any], salt: bytes) -> bytes:
    """Return the entry of a record or tombstone."""
    return sha256(salt + rfc8785.dumps(content))


def filled(entry: bytes, index: int = 4, size: int = 7) -> Log:
    """Return a log that has the entry at this place."""
    entries = [sha256(bytes([number])) for number in range(size)]
    entries[index] = entry
    return Log(entries)


@dataclass(frozen=True)
class Forge:
    """What a receipt is made of; ``replace`` some of it to forge one."""

    content: dict[str, Any] = field(default_factory=lambda: RECORD)
    kind: str = document.RECEIPT
    salt: bytes = bytes(range(32))
    proof: Proof | str | None = None
    record_signer: Signer = OLD
    receipt_signer: Signer = NEW
    described: dict[str, Any] = field(default_factory=lambda: DESCRIBED)
    #: Members to put in the place of those that the service writes, before it is signed.
    members: dict[str, Any] = field(default_factory=dict)

    @property
    def entry(self) -> bytes:
        """What the log holds of it."""
        return entry_of(self.content, self.salt)

    def proven(self, *more: NoteSignature) -> Forge:
        """Return it with a proof."""
        return replace(self, proof=filled(self.entry).proof(4, (OLD, NEW), *more))

    def made(self) -> dict[str, Any]:
        """Make the receipt."""
        signature = self.record_signer.sign(rfc8785.dumps(self.content))
        proof = None if isinstance(self.proof, str) else self.proof
        if self.kind == document.RECEIPT:
            made = document.receipt(
                described=self.described,
                record=self.content,
                signature=signature,
                salt=self.salt,
                proof=proof,
                at=AT,
            )
        else:
            made = document.erasure_receipt(
                tombstone=self.content, signature=signature, salt=self.salt, proof=proof, at=AT
            )
        if isinstance(self.proof, str):
            made["proof"] = self.proof
        made |= self.members
        made = {name: value for name, value in made.items() if value is not ...}
        signed = self.receipt_signer.sign(rfc8785.dumps(made))
        return {**made, "receipt_signature": signature_out(signed)}

    def file(self, **options: Any) -> bytes:  # noqa: ANN401
        """Write the file as JSON."""
        return json.dumps(self.made(), **{"ensure_ascii": False, **options}).encode()


def base64(data: bytes) -> str:
    """Write base64."""
    return b64encode(data).decode()
