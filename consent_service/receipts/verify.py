"""Check a receipt without the service: from the file and the public keys alone. Pure.

``docs/verifying.md`` says the same for whoever writes another verifier. Seven steps, in this order;
the first that fails ends it:

``file`` → ``receipt_signature`` → ``record_signature`` → ``commitment`` → ``proof`` → ``inclusion``
→ ``checkpoint_signature``
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

import rfc8785

from consent_service.ledger.checkpoint import (
    ED25519,
    Checkpoint,
    NoteKey,
    NoteSignature,
    Proof,
    SignedNote,
)
from consent_service.ledger.merkle import HASH_BYTES, ProofRefused, leaf_hash, verify_inclusion
from consent_service.receipts.document import ERASED, RECEIPT
from consent_service.receipts.form import read_proof, read_receipt
from consent_service.receipts.public_keys import PublicKey, PublicKeys
from consent_service.receipts.reading import Refused, from_base64url
from consent_service.signing import sha256

StepId = Literal[
    "file",
    "receipt_signature",
    "record_signature",
    "commitment",
    "proof",
    "inclusion",
    "checkpoint_signature",
]
STEPS: tuple[StepId, ...] = get_args(StepId)

#: ``signed``: all but the ledger, which has not taken it yet. ``erased``: an erasure is proven.
Kind = Literal["proven", "signed", "erased", "refused"]

_LEDGER_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


class Step(NamedTuple):
    """What became of one step.

    :ivar code: of the reason where it failed
    :ivar said: in plain words
    """

    id: StepId
    state: Literal["passed", "failed", "not_reached"]
    said: str
    code: str | None = None


class Position(NamedTuple):
    """Where in which ledger a leaf is; ``size`` is the ledger's at the checkpoint."""

    origin: str
    leaf_index: int
    size: int


class Cosigned(NamedTuple):
    """A witness that was asked after, and when it cosigned (seconds since 1970), if it has."""

    name: str
    at: int | None


@dataclass(frozen=True)
class Verdict:
    """What a receipt shows.

    :ivar receipt: the whole file; None when it is refused: nothing in it is to be believed then
    :ivar unknown_witnesses: cosignatures of others than were asked after
    """

    kind: Kind
    steps: tuple[Step, ...]
    receipt: dict[str, Any] | None = None
    entry: bytes | None = None
    position: Position | None = None
    witnesses: tuple[Cosigned, ...] = ()
    unknown_witnesses: int = 0

    @property
    def failed(self) -> Step | None:
        """The step that failed."""
        return next((step for step in self.steps if step.state == "failed"), None)

    @property
    def document(self) -> dict[str, Any] | None:
        """The record, or the tombstone of one."""
        return None if self.receipt is None else _document(self.receipt)


def verify(file: bytes, keys: PublicKeys, witnesses: Sequence[NoteKey] = ()) -> Verdict:
    """Check a receipt.

    :param file: as it was downloaded
    :param keys: of the service, from where it publishes them
    :param witnesses: whose cosignatures are looked for; none is required
    """
    check = _Check(file, keys, witnesses)
    steps: list[Step] = []
    for id_, said in check.run():
        if isinstance(said, Refused):
            steps.append(Step(id_, "failed", str(said), said.code))
        else:
            steps.append(Step(id_, "passed", said))
    reached = len(steps)
    failed = steps[-1].state == "failed"
    why = "A step before it failed." if failed else "It waits to be put into the ledger."
    steps += [Step(id_, "not_reached", why) for id_ in STEPS[reached:]]
    if failed:
        return Verdict("refused", tuple(steps))
    erased = check.receipt["type"] == ERASED
    whole = reached == len(STEPS)
    return Verdict(
        ("erased" if erased else "proven") if whole else "signed",
        tuple(steps),
        check.receipt,
        check.entry,
        check.position,
        tuple(check.cosigned),
        check.unknown,
    )


@dataclass
class _Check:
    file: bytes
    keys: PublicKeys
    witnesses: Sequence[NoteKey]
    receipt: dict[str, Any] = field(default_factory=dict)
    entry: bytes = b""
    proof: Proof | None = None
    position: Position | None = None
    cosigned: list[Cosigned] = field(default_factory=list)
    unknown: int = 0

    def run(self) -> Iterator[tuple[StepId, str | Refused]]:
        """Give what became of each step, up to the first that fails or has nothing to look at."""
        for id_ in STEPS:
            if id_ == "proof" and self.receipt["proof"] is None:
                return
            try:
                yield id_, getattr(self, f"_{id_}")()
            except Refused as error:
                yield id_, error
                return

    def _file(self) -> str:
        self.receipt = read_receipt(self.file)
        what = "a choice" if self.receipt["type"] == RECEIPT else "an erasure"
        return f"A receipt of {what}, given out on {self.receipt['issued_at']}."

    def _receipt_signature(self) -> str:
        rest = {name: it for name, it in self.receipt.items() if name != "receipt_signature"}
        key = self._check_signature(self.receipt["receipt_signature"], rest, "The file")
        if key.compromised:
            raise Refused(
                "compromised_key",
                f"The receipt is signed by the key {key.id}, which somebody else may have had. "
                "Download the receipt anew from its link.",
            )
        return f"Every byte that says something is as the key {key.id} signed it."

    def _record_signature(self) -> str:
        key = self._check_signature(
            self.receipt["signature"], _document(self.receipt), f"The {_name(self.receipt)}"
        )
        if not key.compromised:
            return f"The {_name(self.receipt)} is as the key {key.id} signed it."
        if self.receipt["proof"] is None:
            raise Refused(
                "compromised_key",
                f"The {_name(self.receipt)} is signed by the key {key.id}, which somebody else may "
                "have had, and no ledger holds it yet. Download the receipt again later.",
            )
        return (
            f"The {_name(self.receipt)} is as the key {key.id} signed it. Somebody else may have "
            "had that key, so it counts only with the ledger, below."
        )

    def _check_signature(
        self, signature: dict[str, Any], signed: dict[str, Any], what: str
    ) -> PublicKey:
        key = self.keys.find(signature["key_id"])
        value = from_base64url(signature["value"]) or b""
        if not key.signed(_canonical(signed), value):
            raise Refused(
                "wrong_signature",
                f"{what} is not as the key {key.id} signed it: it was changed afterwards, or "
                "signed by somebody else.",
            )
        return key

    def _commitment(self) -> str:
        salt = from_base64url(self.receipt["salt"]) or b""
        if len(salt) != HASH_BYTES:
            raise Refused("wrong_salt", f"The salt has {len(salt)} bytes and not {HASH_BYTES}.")
        self.entry = sha256(salt + _canonical(_document(self.receipt)))
        return f"With its salt it makes the entry {self.entry.hex()}."

    def _proof(self) -> str:
        self.proof, checkpoint = read_proof(self.receipt["proof"])
        origin, tenant = checkpoint.origin, _document(self.receipt)["tenant_id"]
        before, _, number = origin.rpartition("/")
        if before != f"consent-service/{tenant}" or not _LEDGER_NUMBER.fullmatch(number):
            raise Refused(
                "other_tenant",
                f"The proof is of the ledger {origin[:100]}, which is not one of the tenant that "
                f"the {_name(self.receipt)} belongs to.",
            )
        if self.proof.index >= checkpoint.size:
            raise Refused(
                "index_too_large",
                f"The leaf's number {self.proof.index} is not below the size of the ledger, "
                f"{checkpoint.size}.",
            )
        self.position = Position(origin, self.proof.index, checkpoint.size)
        return f"It names leaf {self.proof.index} of {checkpoint.size} in the ledger {origin}."

    def _inclusion(self) -> str:
        assert self.proof  # noqa: S101 - the step before has read it
        checkpoint = self.proof.checkpoint
        try:
            verify_inclusion(
                entry_hash=leaf_hash(self.entry),
                index=self.proof.index,
                size=checkpoint.size,
                proof=self.proof.hashes,
                root=checkpoint.root,
            )
        except ProofRefused as error:
            raise Refused(
                "not_included",
                f"The ledger does not hold this {_name(self.receipt)} there: {error}.",
            ) from error
        return f"The entry and {len(self.proof.hashes)} hashes lead to the checkpoint's root."

    def _checkpoint_signature(self) -> str:
        assert self.proof  # noqa: S101
        note = self.proof.note
        signers = self._log_signers(note)
        self._look_for_witnesses(note)
        return f"The checkpoint is signed by the key {' and the key '.join(signers)}."

    def _log_signers(self, note: SignedNote) -> list[str]:
        """Return the ids of the keys that signed the checkpoint for the log itself."""
        origin = Checkpoint.parse(note.text).origin
        known = {
            NoteKey(origin, ED25519, key.public).id: key
            for key in self.keys.by_id.values()
            if key.logs is None or origin in key.logs
        }
        signers: dict[str, None] = {}
        compromised = False
        for each in _signatures_of(note, origin):
            key = known.get(each.key_id)
            if key is None:
                continue
            if key.compromised:
                compromised = True
            elif key.signed(note.text.encode(), each.value):
                signers[key.id] = None
            else:
                raise Refused(
                    "wrong_signature",
                    f"The checkpoint is not as the key {key.id} signed it: it was changed "
                    "afterwards, or signed by somebody else.",
                )
        if signers:
            return list(signers)
        if compromised:
            raise Refused(
                "compromised_key",
                "The checkpoint is signed only by a key that somebody else may have had. "
                "Download the receipt anew from its link.",
            )
        raise Refused(
            "unknown_key",
            "No known key has signed the checkpoint. If the keys are the service's newest, this is "
            "not its ledger.",
        )

    def _look_for_witnesses(self, note: SignedNote) -> None:
        origin = Checkpoint.parse(note.text).origin
        asked = {(key.name, key.id): key for key in self.witnesses}
        there = {(each.name, each.key_id) for each in note.signatures}
        self.unknown = sum(name != origin for name, _ in there - asked.keys())
        for named, key in asked.items():
            at = note.cosigned_at(key)
            if at is None and named in there:
                raise Refused(
                    "wrong_cosignature", f"The cosignature of the witness {key.name} is not right."
                )
            self.cosigned.append(Cosigned(key.name, at))


def _document(receipt: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = receipt["record" if receipt["type"] == RECEIPT else "tombstone"]
    return found


def _name(receipt: dict[str, Any]) -> str:
    return "record" if receipt["type"] == RECEIPT else "tombstone"


def _canonical(document: dict[str, Any]) -> bytes:
    return rfc8785.dumps(document)


def _signatures_of(note: SignedNote, name: str) -> Iterator[NoteSignature]:
    return (each for each in note.signatures if each.name == name)
