"""Checkpoints of a log as signed notes, and proofs that lean on them. Pure.

C2SP's formats: ``signed-note``, ``tlog-checkpoint``, ``tlog-proof`` and ``tlog-cosignature``.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from consent_service.ledger.merkle import HASH_BYTES, ProofRefused

ED25519 = 1
ED25519_COSIGNATURE = 4

PROOF_HEADER = "c2sp.org/tlog-proof@v1"

_KEY_ID_BYTES = 4
_SIGNATURE_LINE = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/]+={0,2})")
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")


class NoteKey(NamedTuple):
    """A public Ed25519 key under a name, as signed notes know it."""

    name: str
    kind: int
    public: bytes

    @property
    def id(self) -> bytes:
        """The four bytes that a signature names its key by."""
        said = self.name.encode() + b"\n" + bytes([self.kind]) + self.public
        return hashlib.sha256(said).digest()[:_KEY_ID_BYTES]

    @property
    def text(self) -> str:
        """The key as C2SP writes it: ``name+id+base64``."""
        kind_and_key = bytes([self.kind]) + self.public
        return f"{self.name}+{self.id.hex()}+{b64encode(kind_and_key).decode()}"

    @classmethod
    def parse(cls, text: str) -> NoteKey:
        """Read what :attr:`text` writes.

        :raises ValueError: when it is not a key of a kind that is known here
        """
        name, _, rest = text.partition("+")
        id_, _, encoded = rest.partition("+")
        try:
            kind_and_key = b64decode(encoded, validate=True)
        except NotBase64:
            kind_and_key = b""
        if len(kind_and_key) != 1 + HASH_BYTES or not name:
            raise ValueError("is not like NAME+ID+KEY, as C2SP's signed-note has it")
        key = cls(name, kind_and_key[0], kind_and_key[1:])
        if key.kind not in {ED25519, ED25519_COSIGNATURE} or key.id.hex() != id_:
            raise ValueError("is not the key that it says it is, or not of a kind known here")
        return key


class NoteSignature(NamedTuple):
    """A line under a note: who signed, and what the line holds after the key's four bytes."""

    name: str
    key_id: bytes
    value: bytes

    @property
    def line(self) -> str:
        """The line, without its end."""
        return f"— {self.name} {b64encode(self.key_id + self.value).decode()}"


@dataclass(frozen=True)
class SignedNote:
    """A text and the signatures under it.

    :ivar text: ends with a line's end
    """

    text: str
    signatures: tuple[NoteSignature, ...]

    def __str__(self) -> str:
        """Write it as others read it."""
        return "\n".join([self.text, *(each.line for each in self.signatures), ""])

    @classmethod
    def parse(cls, note: str) -> SignedNote:
        """Read a note.

        :raises ProofRefused: when it is not one
        """
        text, gap, rest = note.rpartition("\n\n")
        lines = rest.split("\n")
        if not gap or lines.pop() or not lines or not text:
            raise ProofRefused("the checkpoint is not a signed note: text, empty line, signatures")
        return cls(text + "\n", tuple(map(parse_signature, lines)))

    def signed_by(self, key: NoteKey) -> bool:
        """Say whether this key has signed the text, itself and not as a witness."""
        return any(
            _verifies(key.public, self.text.encode(), each.value)
            for each in self.signatures
            if (each.name, each.key_id) == (key.name, key.id)
        )

    def cosigned_at(self, key: NoteKey) -> int | None:
        """Return when a witness has cosigned (seconds since 1970), None if it has not."""
        for each in self.signatures:
            if (each.name, each.key_id) == (key.name, key.id):
                at = int.from_bytes(each.value[:8])
                if _verifies(key.public, cosigned_text(self.text, at), each.value[8:]):
                    return at
        return None


@dataclass(frozen=True)
class Checkpoint:
    """What a log says of itself at one size."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The text that is signed."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read a signed text; further lines are allowed and say nothing here.

        :raises ProofRefused: when it is not a checkpoint
        """
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1]:  # noqa: PLR2004 - three lines and their end
            raise ProofRefused("the checkpoint has not the lines origin, size and root")
        origin, size, root = lines[:3]
        if not origin or not _DECIMAL.fullmatch(size):
            raise ProofRefused("the checkpoint's origin or size is not right")
        return cls(origin, int(size), _hash(root, "the checkpoint's root"))


@dataclass(frozen=True)
class Proof:
    """That an entry is in a log: C2SP's ``tlog-proof``.

    :ivar hashes: from the leaf to the root
    :ivar note: the signed checkpoint of the tree they lead to
    """

    index: int
    hashes: tuple[bytes, ...]
    note: SignedNote

    @property
    def checkpoint(self) -> Checkpoint:
        """What the note says."""
        return Checkpoint.parse(self.note.text)

    def __str__(self) -> str:
        """Write it as others read it."""
        hashes = (b64encode(each).decode() for each in self.hashes)
        return "\n".join([PROOF_HEADER, f"index {self.index}", *hashes, "", str(self.note)])

    @classmethod
    def parse(cls, text: str) -> Proof:
        """Read a proof.

        :raises ProofRefused: when it is not one
        """
        head, gap, note = text.partition("\n\n")
        lines = head.split("\n")
        if not gap or lines.pop(0) != PROOF_HEADER:
            raise ProofRefused(f"the proof does not begin with {PROOF_HEADER}")
        if lines and lines[0].startswith("extra "):
            lines.pop(0)
        named, _, index = lines.pop(0).partition(" ") if lines else ("", "", "")
        if named != "index" or not _DECIMAL.fullmatch(index):
            raise ProofRefused("the proof does not say the leaf's number")
        hashes = tuple(_hash(line, "a hash of the proof") for line in lines)
        return cls(int(index), hashes, SignedNote.parse(note))


def origin_of(tenant_id: UUID | str, number: int = 1) -> str:
    """Return the name of a tenant's log; ``number`` counts those that it has had."""
    return f"consent-service/{tenant_id}/{number}"


def cosigned_text(text: str, at: int) -> bytes:
    """Return what a witness signs (``cosignature/v1``)."""
    return f"cosignature/v1\ntime {at}\n{text}".encode()


def parse_signature(line: str) -> NoteSignature:
    """Read a line under a note.

    :raises ProofRefused: when it is not a signature
    """
    found = _SIGNATURE_LINE.fullmatch(line)
    try:
        value = b64decode(found[2], validate=True) if found else b""
    except NotBase64:
        value = b""
    if not found or len(value) <= _KEY_ID_BYTES:
        raise ProofRefused("a line under the checkpoint is not a signature")
    return NoteSignature(found[1], value[:_KEY_ID_BYTES], value[_KEY_ID_BYTES:])


def with_signatures(note: SignedNote, lines: Iterable[str]) -> SignedNote:
    """Return a note with further lines under it."""
    return SignedNote(note.text, (*note.signatures, *map(parse_signature, lines)))


def write_hashes(hashes: Sequence[bytes]) -> str:
    """Return hashes as lines of base64, each with its end."""
    return "".join(f"{b64encode(each).decode()}\n" for each in hashes)


def _hash(text: str, what: str) -> bytes:
    try:
        found = b64decode(text, validate=True)
    except (NotBase64, ValueError):
        found = b""
    # Only one way of writing it counts: b64decode lets the last bits be anything.
    if len(found) != HASH_BYTES or b64encode(found).decode() != text:
        raise ProofRefused(f"{what} is not {HASH_BYTES} bytes in base64")
    return found


def _verifies(public: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
