"""Checkpoints of a log as signed notes, and proofs that lean on them. Pure.

C2SP's formats: ``signed-note``, ``tlog-checkpoint``, ``tlog-proof`` and ``tlog-cosignature``.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from consent_service.ledger.merkle import HASH_BYTES, ProofRefused
from consent_service.signing import verifies

ED25519 = 1
ED25519_COSIGNATURE = 4

PROOF_HEADER = "c2sp.org/tlog-proof@v1"

_KEY_ID_BYTES = 4
_NAME = r"[^\s+]+"
_KEY = re.compile(rf"({_NAME})\+([0-9a-f]{{8}})\+(\S+)")
_SIGNATURE_LINE = re.compile(rf"— ({_NAME}) (\S+)")
#: What a note's text must not hold, but for ends of lines.
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
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
        found = _KEY.fullmatch(text)
        kind_and_key = _unbase64(found[3]) if found else None
        if not found or not kind_and_key or len(kind_and_key) != 1 + HASH_BYTES:
            raise ValueError("is not like NAME+ID+KEY, as C2SP's signed-note has it")
        key = cls(found[1], kind_and_key[0], kind_and_key[1:])
        if key.kind not in {ED25519, ED25519_COSIGNATURE} or key.id.hex() != found[2]:
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
        if not gap or lines.pop() or not lines or not text or _CONTROL.search(text):
            raise ProofRefused("the checkpoint is not a signed note: text, empty line, signatures")
        return cls(text + "\n", tuple(map(parse_signature, lines)))

    def signed_by(self, key: NoteKey) -> bool:
        """Say whether this key has signed the text, itself and not as a witness."""
        return any(
            verifies(key.public, self.text.encode(), each.value)
            for each in self.signatures
            if key.kind == ED25519 and (each.name, each.key_id) == (key.name, key.id)
        )

    def cosigned_at(self, key: NoteKey) -> int | None:
        """Return when a witness has cosigned (seconds since 1970), None if it has not."""
        for each in self.signatures:
            if key.kind == ED25519_COSIGNATURE and (each.name, each.key_id) == (key.name, key.id):
                at = int.from_bytes(each.value[:8])
                if verifies(key.public, cosigned_text(self.text, at), each.value[8:]):
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
        # Three lines or more, none of them empty, and the last one's end.
        if len(lines) < 4 or lines.pop() or not all(lines):  # noqa: PLR2004
            raise ProofRefused("the checkpoint has not the lines origin, size and root")
        origin, size, root = lines[:3]
        if not _DECIMAL.fullmatch(size):
            raise ProofRefused("the checkpoint's size is not a number")
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
        extra = lines.pop(0)[6:] if lines and lines[0].startswith("extra ") else ""
        if _unbase64(extra) is None:
            # Nothing vouches for what it says; but it must be well-formed.
            raise ProofRefused("what the proof has as extra is not base64")
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
    value = _unbase64(found[2]) if found else None
    if not found or value is None or len(value) <= _KEY_ID_BYTES:
        raise ProofRefused("a line under the checkpoint is not a signature")
    return NoteSignature(found[1], value[:_KEY_ID_BYTES], value[_KEY_ID_BYTES:])


def with_signatures(note: SignedNote, lines: Iterable[str]) -> SignedNote:
    """Return a note with further lines under it."""
    return SignedNote(note.text, (*note.signatures, *map(parse_signature, lines)))


def write_hashes(hashes: Sequence[bytes]) -> str:
    """Return hashes as lines of base64, each with its end."""
    return "".join(f"{b64encode(each).decode()}\n" for each in hashes)


def _hash(text: str, what: str) -> bytes:
    found = _unbase64(text)
    if found is None or len(found) != HASH_BYTES:
        raise ProofRefused(f"{what} is not {HASH_BYTES} bytes in base64")
    return found


def _unbase64(text: str) -> bytes | None:
    """Return what is written in base64; None unless it is written in the one right way.

    Otherwise a proof could be changed without being refused: b64decode lets the last bits be
    anything.
    """
    try:
        found = b64decode(text, validate=True)
    except ValueError:
        return None
    return found if b64encode(found).decode() == text else None
