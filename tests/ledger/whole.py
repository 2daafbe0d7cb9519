"""Checks all ledgers of a database, with plain SQL and code of its own.

Nothing here is imported from the code under test: what that writes is read as anybody could read it
who knows RFC 9162 and C2SP's formats.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode, urlsafe_b64decode
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Connection, text

from consent_service.db import Database
from consent_service.signing import Keyring
from tests.builders import tenant_ids

#: A record, or its tombstone.
What = tuple[str, bool]

_LEVEL_BITS = 8


def sha256(data: bytes) -> bytes:
    """Return the hash that all of this is made of."""
    return hashlib.sha256(data).digest()


class Tree:
    """Grows leaf by leaf, as a number does in binary: one complete subtree for each bit."""

    def __init__(self) -> None:
        """Begin without leaves."""
        #: By size.
        self.roots = [sha256(b"")]
        #: By level and index: what 256, 65,536, … leaves come to.
        self.nodes: dict[tuple[int, int], bytes] = {}
        self._complete: list[tuple[int, bytes]] = []

    @property
    def size(self) -> int:
        """How many leaves it has."""
        return len(self.roots) - 1

    def add(self, entry: bytes) -> None:
        """Add a leaf."""
        height, found = 0, sha256(b"\x00" + entry)
        while self._complete and self._complete[-1][0] == height:
            found = sha256(b"\x01" + self._complete.pop()[1] + found)
            height += 1
            if height % _LEVEL_BITS == 0:
                self.nodes[height // _LEVEL_BITS, self.size >> height] = found
        self._complete.append((height, found))
        root = found
        for _, left in reversed(self._complete[:-1]):
            root = sha256(b"\x01" + left + root)
        self.roots.append(root)


@dataclass
class Ledger:
    """What was seen of a ledger."""

    tree: Tree = field(default_factory=Tree)
    #: What stands in which leaf.
    leaves: list[What] = field(default_factory=list)
    entries: list[bytes] = field(default_factory=list)
    checkpoints: set[int] = field(default_factory=set)


class Whole:
    """The ledgers of a database, checked again and again: each time, what is new of them."""

    def __init__(self, database: Database, keys: Keyring, tenants: Sequence[UUID] = ()) -> None:
        """Check all tenants' ledgers, or those of some."""
        self._database = database
        self._keys = keys
        self._tenants = tenants
        self.ledgers: dict[str, Ledger] = {}

    def check(self) -> None:
        """Check that everything holds together, and goes on from what was there the last time."""
        for tenant in self._tenants or tenant_ids(self._database):
            # Whatever happens meanwhile.
            begin = "BEGIN ISOLATION LEVEL REPEATABLE READ"
            reading = self._database._connection(tenant, write=False, begin=begin)  # noqa: SLF001
            with reading as connection:
                self._check_tenant(connection, tenant)

    def check_anew(self) -> Whole:
        """Check all from the first leaf on, and that nothing of what was seen has changed since."""
        self.check()
        anew = Whole(self._database, self._keys, self._tenants)
        anew.check()
        for origin, seen in self.ledgers.items():
            assert anew.ledgers[origin].tree.roots == seen.tree.roots
            assert anew.ledgers[origin].leaves == seen.leaves
            assert anew.ledgers[origin].checkpoints == seen.checkpoints
        return anew

    @property
    def sizes(self) -> dict[str, int]:
        """How many leaves each ledger has, by its origin."""
        return {origin: ledger.tree.size for origin, ledger in self.ledgers.items()}

    def _check_tenant(self, connection: Connection, tenant: UUID) -> None:
        # Both databases take an id in this form.
        of_tenant = {"tenant": tenant.hex}
        there: Counter[What] = Counter()
        committed: dict[What, bytes] = {}
        heads = _rows(
            connection, "SELECT * FROM ledgers WHERE tenant_id = :tenant ORDER BY number", of_tenant
        )
        numbers = [head["number"] for head in heads]
        assert numbers == list(range(1, len(heads) + 1)), "a ledger is missing"
        assert sum(head["closed_at"] is None for head in heads) <= 1, "two ledgers are open"
        for head in heads:
            assert _id(head["tenant_id"]) == tenant.hex
            assert head["origin"] == f"consent-service/{tenant}/{head['number']}"
            ledger = self._check_ledger(connection, head)
            there.update(ledger.leaves)
            committed.update(zip(ledger.leaves, ledger.entries, strict=True))
        for row in _rows(
            connection, "SELECT * FROM pending_leaves WHERE tenant_id = :tenant", of_tenant
        ):
            what = (_id(row["record_id"]), bool(row["tombstone"]))
            there[what] += 1
            committed[what] = bytes(row["commitment"])
        twice = [what for what, times in there.items() if times > 1]
        assert not twice, f"more than once: {twice}"
        records = _rows(
            connection,
            "SELECT id, commitment, salt, document FROM records WHERE tenant_id = :tenant",
            of_tenant,
        )
        tombstones = _rows(
            connection, "SELECT * FROM tombstones WHERE tenant_id = :tenant", of_tenant
        )
        _check_records(records, tombstones, committed)

    def _check_ledger(self, connection: Connection, head: dict[str, Any]) -> Ledger:
        ledger = self.ledgers.setdefault(head["origin"], Ledger())
        of_ledger = {"ledger": head["id"], "first": ledger.tree.size}
        for row in _rows(
            connection,
            "SELECT * FROM leaves WHERE ledger_id = :ledger AND leaf_index >= :first "
            "ORDER BY leaf_index",
            of_ledger,
        ):
            assert row["leaf_index"] == ledger.tree.size, "leaves are not contiguous"
            assert row["tenant_id"] == head["tenant_id"]
            ledger.leaves.append((_id(row["record_id"]), bool(row["tombstone"])))
            ledger.entries.append(bytes(row["commitment"]))
            ledger.tree.add(bytes(row["commitment"]))
        assert head["size"] == ledger.tree.size, "the head is not that of the leaves"
        assert bytes(head["root"]) == ledger.tree.roots[-1], "the head is not that of the leaves"
        nodes = {
            (row["level"], row["node_index"]): bytes(row["hash"])
            for row in _rows(connection, "SELECT * FROM nodes WHERE ledger_id = :ledger", of_ledger)
        }
        assert nodes == ledger.tree.nodes, "nodes are not those of the leaves"
        self._check_checkpoints(connection, head, ledger)
        return ledger

    def _check_checkpoints(
        self, connection: Connection, head: dict[str, Any], ledger: Ledger
    ) -> None:
        sizes = set()
        for row in _rows(
            connection,
            "SELECT * FROM checkpoints WHERE ledger_id = :ledger",
            {"ledger": head["id"]},
        ):
            sizes.add(row["size"])
            if row["size"] in ledger.checkpoints:
                continue
            root = ledger.tree.roots[row["size"]]
            said = f"{head['origin']}\n{row['size']}\n{b64encode(root).decode()}\n"
            assert row["note"].startswith(f"{said}\n"), "a checkpoint is not that of the leaves"
            self._check_signatures(head["origin"], said, row["note"][len(said) + 1 :])
        assert sizes >= ledger.checkpoints, "a checkpoint has gone"
        assert not sizes or max(sizes) == ledger.tree.size, "the head has no checkpoint"
        assert sizes or not ledger.tree.size, "a ledger without a checkpoint"
        ledger.checkpoints = sizes

    def _check_signatures(self, name: str, said: str, signatures: str) -> None:
        public = {}
        for key in self._keys.jwks()["keys"]:
            raw = urlsafe_b64decode(f"{key['x']}=")
            public[sha256(name.encode() + b"\n\x01" + raw)[:4]] = raw
        lines = signatures.removesuffix("\n").split("\n")
        assert lines
        for line in lines:
            dash, signer, encoded = line.split(" ")
            assert (dash, signer) == ("—", name)
            value = b64decode(encoded)
            key = Ed25519PublicKey.from_public_bytes(public[value[:4]])
            key.verify(value[4:], said.encode())


def _check_records(
    records: list[dict[str, Any]], tombstones: list[dict[str, Any]], committed: dict[What, bytes]
) -> None:
    """Check that each record and tombstone is there, waiting or as a leaf, and nothing else."""
    assert committed == {
        **{
            (_id(row["id"]), False): bytes(row["commitment"])
            for row in records
            if row["commitment"] is not None
        },
        **{(_id(row["record_id"]), True): bytes(row["commitment"]) for row in tombstones},
    }
    for row in (*records, *tombstones):
        if row["document"] is not None:
            document = row["document"].encode()
            assert bytes(row["commitment"]) == sha256(bytes(row["salt"]) + document)


def _rows(
    connection: Connection, query: str, parameters: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(text(query), parameters or {}).mappings()]


def _id(value: Any) -> str:  # noqa: ANN401 - as the driver gives it
    """Return an id in one form, whichever the database keeps."""
    return str(value).replace("-", "")
