"""What a log and its witnesses say to each other: C2SP's ``tlog-witness``. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlsplit

from consent_service.ledger.checkpoint import (
    ED25519_COSIGNATURE,
    NoteKey,
    SignedNote,
    parse_signature,
    write_hashes,
)
from consent_service.ledger.merkle import ProofRefused

#: How a witness says which size it knows.
SIZE_TYPE = "text/x.tlog.size"

#: What the database's column of names has room for.
_LONGEST_NAME = 200

_DECIMAL = re.compile(r"(0|[1-9][0-9]{0,18})\n?")
_PREFIX = re.compile(r"(https?)://[^\s/?#@\\]+(?:/[^\s?#\\]*)?")
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

_OK, _CONFLICT = 200, 409

_REFUSALS = {
    400: "it cannot read what it was asked",
    403: "it trusts none of the keys that have signed: give it those of `consent-service ledger "
    "keys`",
    404: "it does not know this ledger: give it the keys of `consent-service ledger keys`",
    422: "it says that the tree does not go on from the one that it knows",
}
UNPROVEN = 422


@dataclass(frozen=True)
class Witness:
    """Somebody outside who cosigns what only grew.

    :ivar key: of kind cosignature/v1
    :ivar prefix: address that its calls stand under, without a slash at the end
    """

    key: NoteKey
    prefix: str

    @property
    def address(self) -> str:
        """Where checkpoints are sent."""
        return f"{self.prefix}/add-checkpoint"


class Cosigned(NamedTuple):
    """A witness answers with signatures."""

    lines: tuple[str, ...]


class Knows(NamedTuple):
    """A witness knows another size than the one it was told to go on from."""

    size: int


class Refused(NamedTuple):
    """A witness does not cosign."""

    status: int
    reason: str


Answer = Cosigned | Knows | Refused


def parse_witnesses(text: str) -> tuple[Witness, ...]:
    """Read a file of witnesses: ``KEY ADDRESS`` a line, ``#`` before what is a comment.

    :raises ValueError: with every problem found, a line each
    """
    found: list[Witness] = []
    problems = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.strip().split()
        if not words or words[0].startswith("#"):
            continue
        try:
            witness = _witness(words)
        except ValueError as error:
            problems.append(f"line {number} {error}")
            continue
        if any(witness.key.name == other.key.name for other in found):
            problems.append(f"line {number} names {witness.key.name} a second time")
        found.append(witness)
    if problems:
        raise ValueError("\n".join(problems))
    return tuple(found)


def add_checkpoint(old: int, hashes: Sequence[bytes], note: SignedNote) -> bytes:
    """Return what is sent to have a checkpoint cosigned.

    :param old: size that the witness knows, 0 for none
    :param hashes: that prove the checkpoint to go on from it; none from 0, and for equal sizes
    """
    return f"old {old}\n{write_hashes(hashes)}\n{note}".encode()


def read_answer(status: int, content_type: str, body: bytes) -> Answer:
    """Read what a witness answers."""
    text = body.decode("utf-8", "replace")
    if status == _OK:
        return Cosigned(tuple(text.splitlines()))
    if status == _CONFLICT:
        size = _DECIMAL.fullmatch(text)
        if size and content_type.partition(";")[0].strip() == SIZE_TYPE:
            return Knows(int(size[1]))
    return Refused(status, _REFUSALS.get(status, f"it answers with status {status}"))


def believed_line(
    note: SignedNote, lines: Sequence[str], key: NoteKey, *, earliest: int, latest: int
) -> str:
    """Return the line under a checkpoint that is the witness's own, and verifies.

    :param earliest: second since 1970 before which nobody can have seen the checkpoint
    :param latest: second since 1970 after which it cannot be yet
    :raises ProofRefused: when there is none
    """
    for line in lines:
        try:
            signature = parse_signature(line)
        except ProofRefused:
            # Lines of keys that are not known are nobody's business, whatever is in them.
            continue
        if (signature.name, signature.key_id) != (key.name, key.id):
            continue
        at = SignedNote(note.text, (signature,)).cosigned_at(key)
        if at is None:
            raise ProofRefused("its signature does not verify")
        if not earliest <= at <= latest:
            raise ProofRefused(f"it says to have signed at {at}: its clock is wrong, or ours")
        return signature.line
    raise ProofRefused("it has not signed with the key in the file")


def _witness(words: Sequence[str]) -> Witness:
    if len(words) != 2:  # noqa: PLR2004 - a key and an address
        raise ValueError("must be KEY ADDRESS, with a space between")
    text, prefix = words
    try:
        key = NoteKey.parse(text)
    except ValueError as error:
        raise ValueError(f"begins with a key that {error}") from error
    if key.kind != ED25519_COSIGNATURE:
        raise ValueError("has the key of a log: a witness's is of kind 4 (cosignature/v1)")
    if len(key.name) > _LONGEST_NAME:
        raise ValueError(f"has a key with a name of more than {_LONGEST_NAME} letters")
    if not _is_address(prefix):
        raise ValueError(
            "must end with an address like https://witness.example.com/prefix, without ? and #; "
            "http:// is for this machine alone"
        )
    return Witness(key, prefix.rstrip("/"))


def _is_address(text: str) -> bool:
    found = _PREFIX.fullmatch(text)
    try:
        host, _ = urlsplit(text).hostname, urlsplit(text).port
    except ValueError:
        return False
    return found is not None and (found[1] == "https" or host in _LOOPBACK)
