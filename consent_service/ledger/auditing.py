"""Re-read a tenant's ledgers, leaf by leaf, and tell of all that does not hold together.

What callers may rely on:

- Everything is computed anew: each node from the leaves below it, and the root of each checkpoint
  from all leaves before it. Two checkpoints that both hold are therefore of one log that only grew.
- Each ledger is read up to the head that it had in the beginning. What is made meanwhile is no
  fault, and nobody waits: every read is a short transaction of its own.
- Memory does not grow with the ledger.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Self
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from consent_service.db import Database
from consent_service.ledger import audit_store, store
from consent_service.ledger.checkpoint import (
    ED25519,
    Checkpoint,
    NoteKey,
    SignedNote,
    origin_of,
    parse_signature,
    with_signatures,
)
from consent_service.ledger.merkle import (
    TILE_WIDTH,
    GrowingTree,
    Node,
    ProofRefused,
    leaf_hash,
)
from consent_service.ledger.store import Leaf, Ledger, PendingLeaf
from consent_service.signing import Keyring, PublicKey

#: Leaves that are read at once.
STEP = 1000

#: Rows beyond the head that are told of one by one.
_BEYOND = 10

#: Missing leaves in a row that something is put in the place of, at the most.
_FILLED = 1_000_000

#: What each kind of finding means, for whoever has to mend it.
MEANINGS = {
    "checkpoint_extra": "a checkpoint of a tree that is not here: leaves were lost or taken away",
    "checkpoint_malformed": "the checkpoint was changed after it was signed",
    "checkpoint_root": "leaves were changed, swapped or added after the checkpoint was signed",
    "checkpoint_signature": "nobody who has our keys signed this; or a key is gone from the file",
    "cosignature_stray": "the checkpoint that a witness cosigned was taken away",
    "cosignature_wrong": "the witness did not sign this, or the key given is not its own",
    "head_unsigned": "no proof can be handed out; the checkpoint was taken away or the head moved",
    "head_wrong": "the head was moved to another tree than that of the leaves",
    "leaf_extra": "a leaf that nobody sequenced, or the head was moved back",
    "leaf_missing": "a leaf was taken away: proofs that lead over it can no longer be made",
    "ledger_missing": "a whole ledger was taken away",
    "ledger_misnamed": "followers will not find this log under the name that it has",
    "node_extra": "a node of leaves that are not there",
    "node_missing": "proofs that lead over it can no longer be made",
    "node_wrong": "leaves or the node were changed after they were sequenced; proofs fail here",
}


class Finding(NamedTuple):
    """Something that does not hold together, and where."""

    kind: str
    #: In words, to go on after where it is: ``its signature does not verify``.
    message: str
    origin: str | None = None
    leaf_index: int | None = None
    #: Of the checkpoint.
    size: int | None = None
    record_id: UUID | None = None

    @property
    def where(self) -> str:
        """Say where, in words."""
        named = (
            ("ledger", self.origin),
            ("leaf", self.leaf_index),
            ("checkpoint", self.size),
            ("record", self.record_id),
        )
        return ", ".join(f"{what} {value}" for what, value in named if value is not None)


@dataclass
class Report:
    """What was looked at, and what was found.

    :ivar tell: is told each finding at once: there may be more than memory holds
    :ivar counts: how many of each were looked at
    :ivar kinds: how many findings there are of each kind
    """

    tell: Callable[[Finding], None]
    counts: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, finding: Finding) -> None:
        """Tell of a finding, and count it."""
        self.kinds[finding.kind] += 1
        self.tell(finding)


@dataclass(frozen=True)
class VerifyingKey:
    """A record key of ours, retired ones included, as all the world knows it."""

    id: str
    public: bytes
    stolen: bool
    _verifier: Ed25519PublicKey

    @classmethod
    def of(cls, key: PublicKey) -> Self:
        """Make one of a key as the key file has it."""
        return cls(key.id, key.public, key.stolen, Ed25519PublicKey.from_public_bytes(key.public))

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Say whether the key has signed this."""
        try:
            self._verifier.verify(signature, message)
        except InvalidSignature:
            return False
        return True


def public_keys(keys: Keyring) -> dict[str, VerifyingKey]:
    """Return all record keys that anything may be signed with, by their ids."""
    return {key.id: VerifyingKey.of(key) for key in keys.public_keys()}


class LedgerAudit:
    """Audits the ledgers of one tenant."""

    def __init__(
        self,
        database: Database,
        tenant_id: UUID,
        keys: Mapping[str, VerifyingKey],
        witnesses: Sequence[NoteKey],
        report: Report,
    ) -> None:
        """Read the heads, up to which the ledgers are audited."""
        self._database = database
        self._tenant_id = tenant_id
        self._keys = keys
        self._witnesses = witnesses
        self._report = report
        with database.reading(tenant_id) as connection:
            self.ledgers = store.all_ledgers(connection, tenant_id)
        numbers = [ledger.number for ledger in self.ledgers]
        for number in set(range(1, max(numbers, default=0))).difference(numbers):
            report.add(Finding("ledger_missing", "is gone", origin_of(tenant_id, number)))

    @property
    def size(self) -> int:
        """How many leaves there are."""
        return sum(ledger.size for ledger in self.ledgers)

    def leaves(self, ledger: Ledger) -> Iterator[list[Leaf]]:
        """Give the ledger's leaves, some at a time, in order, and check all that is above them."""
        self._report.counts["ledgers"] += 1
        walk = _Walk(ledger, self._keys, self._witnesses, self._report)
        while walk.at < ledger.size:
            yield self._step(walk)
        walk.finish()
        self._look_beyond(ledger)

    def waiting(self) -> Iterator[list[PendingLeaf]]:
        """Give what waits to become a leaf, some at a time."""
        after: PendingLeaf | None = None
        while True:
            with self._database.reading(self._tenant_id) as connection:
                rows = store.pending(connection, self._tenant_id, STEP, after=after)
            self._report.counts["waiting"] += len(rows)
            if rows:
                yield rows
            if len(rows) < STEP:
                return
            after = rows[-1]

    def places(self, record_ids: Sequence[UUID]) -> Counter[tuple[UUID, bool]]:
        """Return how often each record, and each tombstone, is a leaf or waits to be one."""
        with self._database.reading(self._tenant_id) as connection:
            return audit_store.places(connection, self._tenant_id, record_ids)

    def _step(self, walk: _Walk) -> list[Leaf]:
        ledger, start = walk.ledger, walk.at
        with self._database.reading(self._tenant_id) as connection:
            leaves = audit_store.leaves(connection, ledger, start, limit=STEP)
            stop = leaves[-1].leaf_index + 1 if len(leaves) == STEP else ledger.size
            notes = audit_store.checkpoints(connection, ledger, start, stop)
            cosignatures = audit_store.cosignatures(connection, ledger, start, stop)
            nodes = audit_store.nodes_completed(connection, ledger, start, stop)
        walk.add(leaves, stop, notes, cosignatures, nodes)
        return leaves

    def _look_beyond(self, ledger: Ledger) -> None:
        """Look for what stands beyond the head."""
        with self._database.reading(self._tenant_id) as connection:
            beyond = audit_store.beyond(connection, ledger, _BEYOND)
        origin = ledger.origin
        for index in beyond.leaves:
            self._report.add(Finding("leaf_extra", "stands beyond the head", origin, index))
        for size in beyond.checkpoints:
            said = "is of a larger tree than the head"
            self._report.add(Finding("checkpoint_extra", said, origin, size=size))
        for level, index in beyond.nodes:
            said = f"has node {index} of level {level}, which no leaves are below"
            self._report.add(Finding("node_extra", said, origin))


class _Walk:
    """One ledger, as far as it has been read."""

    def __init__(
        self,
        ledger: Ledger,
        keys: Mapping[str, VerifyingKey],
        witnesses: Sequence[NoteKey],
        report: Report,
    ) -> None:
        self.ledger = ledger
        #: The number of the next leaf.
        self.at = 0
        #: None from where on so many leaves are missing that nothing can be computed.
        self._tree: GrowingTree | None = GrowingTree()
        self._report = report
        self._witnesses = {(key.name, key.id): key for key in witnesses}
        named = ((NoteKey(ledger.origin, ED25519, key.public).id, key) for key in keys.values())
        self._keys = dict(named)
        #: The newest checkpoint that holds, and how many after it do not.
        self._held = 0
        self._failed: list[int] = []
        #: What the head's own checkpoint says.
        self._head_root: bytes | None = None
        expected = origin_of(ledger.tenant_id, ledger.number)
        if ledger.origin != expected:
            self._found("ledger_misnamed", f"should be called {expected}")

    def add(
        self,
        leaves: Sequence[Leaf],
        stop: int,
        notes: Mapping[int, str],
        cosignatures: Sequence[tuple[int, str, str]],
        nodes: Mapping[tuple[int, int], bytes],
    ) -> None:
        """Go on to a size, and check everything up to there.

        :param notes: checkpoints by their sizes
        :param cosignatures: size, witness and line
        :param nodes: hashes by level and number
        """
        completed: list[Node] = []
        roots: dict[int, bytes] = {}
        for entry in self._entries(leaves, stop):
            self.at += 1
            if self._tree:
                completed += self._tree.add(leaf_hash(entry))
                if self.at in notes:
                    roots[self.at] = self._tree.root()
        self.at = stop
        self._report.counts["leaves"] += len(leaves)
        self._check_nodes(completed, nodes)
        for size, note in sorted(notes.items()):
            self._check_checkpoint(size, note, roots.get(size))
        for size, witness, line in cosignatures:
            self._check_cosignature(size, witness, line, notes)

    def finish(self) -> None:
        """Check the head."""
        self._tell_failed()
        root = self._tree.root() if self._tree else None
        # Of a checkpoint that says the same as the head there is a finding already.
        if self.ledger.root not in {root, self._head_root}:
            self._found("head_wrong", f"has a head of size {self.ledger.size} with another root")
        if self._head_root is None and self.ledger.size:
            self._found("head_unsigned", f"has no checkpoint of its head, size {self.ledger.size}")

    def _entries(self, leaves: Sequence[Leaf], stop: int) -> Iterator[bytes]:
        """Give what the leaves hold, and something for each that is missing.

        So that the others keep their places, and what stands above those alone can still be right.
        """
        for leaf in leaves:
            yield from self._missing(leaf.leaf_index)
            yield leaf.commitment
        yield from self._missing(stop)

    def _missing(self, until: int) -> Iterator[bytes]:
        first, last = self.at, until - 1
        if first > last:
            return
        said = "is missing" if first == last else f"and all up to {last} are missing"
        self._found("leaf_missing", said, leaf_index=first)
        if until - first > _FILLED:
            self._tree, self.at = None, until
            return
        for _ in range(first, until):
            yield b""

    def _check_nodes(
        self, completed: Sequence[Node], stored: Mapping[tuple[int, int], bytes]
    ) -> None:
        self._report.counts["nodes"] += len(completed)
        for level, index, found in completed:
            said = stored.get((level, index))
            if said == found:
                continue
            span = TILE_WIDTH**level
            below = f"node {index} of level {level}, over leaves {index * span} to "
            below += f"{(index + 1) * span - 1}"
            if said is None:
                self._found("node_missing", f"lacks {below}")
            else:
                self._found("node_wrong", f"has another hash in {below}")

    def _check_checkpoint(self, size: int, note: str, root: bytes | None) -> None:
        self._report.counts["checkpoints"] += 1
        try:
            signed = SignedNote.parse(note)
            said = Checkpoint.parse(signed.text)
        except ProofRefused as error:
            self._found("checkpoint_malformed", f"is not one: {error}", size=size)
            return
        if said.text != signed.text or (said.origin, said.size) != (self.ledger.origin, size):
            what = f"says of itself: {said.origin}, size {said.size}"
            self._found("checkpoint_malformed", what, size=size)
        self._check_signatures(size, signed)
        if size == self.ledger.size:
            self._head_root = said.root
        if said.root == root:
            self._tell_failed()
            self._held = size
        else:
            self._failed.append(size)
            del self._failed[1:-1]

    def _check_signatures(self, size: int, note: SignedNote) -> None:
        ours = [
            (self._keys[each.key_id], each)
            for each in note.signatures
            if each.name == self.ledger.origin and each.key_id in self._keys
        ]
        text = note.text.encode()
        good = [key for key, each in ours if key.verifies(text, each.value)]
        if not ours:
            said = "is signed with none of the keys in the key file"
            self._found("checkpoint_signature", said, size=size)
        elif len(good) < len(ours):
            bad = ", ".join(key.id for key, _ in ours if key not in good)
            self._found("checkpoint_signature", f"has a wrong signature by {bad}", size=size)
        if good and all(key.stolen for key in good):
            self._report.counts["checkpoints_stolen"] += 1

    def _check_cosignature(
        self, size: int, witness: str, line: str, notes: Mapping[int, str]
    ) -> None:
        if size not in notes:
            self._found("cosignature_stray", f"has a cosignature by {witness} only", size=size)
            return
        try:
            found = parse_signature(line)
            key = self._witnesses.get((found.name, found.key_id))
            if key is None:
                self._report.counts["cosignatures_unchecked"] += 1
                return
            note = with_signatures(SignedNote.parse(notes[size]), [line])
        except ProofRefused as error:
            self._found("cosignature_wrong", f"by {witness}: {error}", size=size)
            return
        self._report.counts["cosignatures"] += 1
        if found.name != witness or note.cosigned_at(key) is None:
            said = f"has a cosignature by {witness} that does not verify"
            self._found("cosignature_wrong", said, size=size)

    def _tell_failed(self) -> None:
        """Tell once of all checkpoints in a row whose roots are wrong: one leaf can do it."""
        if not self._failed:
            return
        first, last = self._failed[0], self._failed[-1]
        said = "has another root than its leaves"
        if first != last:
            said += f", as have all up to {last}"
        if self._held:
            said += f"; that of size {self._held} still holds"
        self._found("checkpoint_root", said, size=first)
        self._failed.clear()

    def _found(
        self, kind: str, message: str, *, leaf_index: int | None = None, size: int | None = None
    ) -> None:
        self._report.add(Finding(kind, message, self.ledger.origin, leaf_index, size))
