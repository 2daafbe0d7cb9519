"""What somebody outside knows: C2SP's formats and RFC 6962, and none of the service's code.

As strict as the strictest reader in use (Go's ``sumdb/note``): what this takes, others take.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

LOG, WITNESS = 1, 4


@dataclass(frozen=True)
class VerifierKey:
    """A key as logs and witnesses hand it out."""

    name: str
    hash: bytes
    kind: int
    public: bytes

    def has_signed(self, message: bytes, signature: bytes) -> bool:
        """Say whether the signature is this key's."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature:
            return False
        return True


def key_hash(name: str, kind: int, public: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]


def verifier_key(text: str) -> VerifierKey:
    name, hash_, encoded = text.split("+", 2)
    assert is_name(name)
    assert re.fullmatch("[0-9a-f]{8}", hash_)
    data = b64decode(encoded, validate=True)
    assert len(data) == 33
    found = VerifierKey(name, bytes.fromhex(hash_), data[0], data[1:])
    assert found.hash == key_hash(name, found.kind, found.public)
    return found


def write_key(name: str, kind: int, public: bytes) -> str:
    encoded = b64encode(bytes([kind]) + public).decode()
    return f"{name}+{key_hash(name, kind, public).hex()}+{encoded}"


def is_name(name: str) -> bool:
    return bool(name) and not re.search(r"\s|\+", name)


@dataclass(frozen=True)
class Note:
    """A text, and lines under it: name, the key's hash, and the rest."""

    text: str
    signatures: list[tuple[str, bytes, bytes]]

    def by(self, key: VerifierKey) -> list[bytes]:
        """Return what stands there in this key's name."""
        return [
            rest for name, hash_, rest in self.signatures if (name, hash_) == (key.name, key.hash)
        ]

    def signed_by(self, keys: Sequence[VerifierKey]) -> bool:
        """Say whether a key of a log has signed; a signature of a known key must be right."""
        found = [
            key.has_signed(self.text.encode(), rest)
            for key in keys
            for rest in self.by(key)
            if key.kind == LOG
        ]
        assert all(found)
        return bool(found)

    def cosigned_at(self, key: VerifierKey) -> int:
        """Return when a witness has cosigned."""
        (rest,) = self.by(key)
        at = int.from_bytes(rest[:8], "big")
        message = f"cosignature/v1\ntime {at}\n{self.text}".encode()
        assert key.has_signed(message, rest[8:])
        return at


def read_note(data: bytes) -> Note:
    assert len(data) < 1_000_000
    text = data.decode("utf-8")
    assert all(char == "\n" or char >= " " for char in text)
    body, gap, under = text.rpartition("\n\n")
    assert gap
    assert under.endswith("\n")
    signatures = []
    for line in under.removesuffix("\n").split("\n"):
        assert line.startswith("— ")
        name, encoded = line[2:].split(" ")
        assert is_name(name)
        decoded = b64decode(encoded, validate=True)
        assert b64encode(decoded).decode() == encoded
        assert len(decoded) >= 5
        signatures.append((name, decoded[:4], decoded[4:]))
    assert 0 < len(signatures) <= 16
    return Note(f"{body}\n", signatures)


def read_checkpoint(text: str) -> tuple[str, int, bytes]:
    """Return origin, size and root of a text without extension lines."""
    origin, size, root, end = text.split("\n")
    assert origin
    assert end == ""
    assert size == str(int(size))
    decoded = b64decode(root, validate=True)
    assert b64encode(decoded).decode() == root
    assert len(decoded) == 32
    return origin, int(size), decoded


def hash_leaf(entry: bytes) -> bytes:
    return sha256(b"\x00" + entry).digest()


def hash_children(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def split(count: int) -> int:
    """Return the largest power of two below the count."""
    power = 1
    while power * 2 < count:
        power *= 2
    return power


def tree_hash(hashes: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, over hashes of leaves."""
    if len(hashes) == 1:
        return hashes[0]
    middle = split(len(hashes))
    return hash_children(tree_hash(hashes[:middle]), tree_hash(hashes[middle:]))


def consistency(hashes: Sequence[bytes], first: int, *, known: bool = True) -> list[bytes]:
    """PROOF of RFC 6962, section 2.1.2, over hashes of leaves."""
    if first == len(hashes):
        return [] if known else [tree_hash(hashes)]
    middle = split(len(hashes))
    if first <= middle:
        return [*consistency(hashes[:middle], first, known=known), tree_hash(hashes[middle:])]
    rest = consistency(hashes[middle:], first - middle, known=False)
    return [*rest, tree_hash(hashes[:middle])]


def grown(
    first: int, second: int, first_root: bytes, proof: Sequence[bytes]
) -> tuple[bytes, bytes]:
    """Return the two roots that a consistency proof leads to.

    :raises IndexError: when it is too short
    """
    left_over = list(proof)

    def roots(first: int, second: int, *, known: bool) -> tuple[bytes, bytes]:
        if first == second:
            found = first_root if known else left_over.pop()
            return found, found
        middle = split(second)
        beside = left_over.pop()
        if first <= middle:
            old, new = roots(first, middle, known=known)
            return old, hash_children(new, beside)
        old, new = roots(first - middle, second - middle, known=False)
        return hash_children(beside, old), hash_children(beside, new)

    found = roots(first, second, known=True)
    if left_over:
        raise IndexError("hashes are left over")
    return found
