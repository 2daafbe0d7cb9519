"""The Merkle tree of RFC 9162 (section 2.1): hashes, roots and proofs. Pure.

A tree is kept as its leaves and, for each complete subtree of 256, 65,536, … leaves, one *node*:
level 0 has the leaves' hashes, level 1 the roots of 256 of them each, and so on. These are the
tiles of C2SP's ``tlog-tiles``, of which any proof needs a few.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

HASH_BYTES = 32

#: Hashes in a complete tile; each is a node of the level above.
TILE_WIDTH = 256

#: Gives a tile's first ``width`` hashes, by level and number.
ReadTile = Callable[[int, int, int], Sequence[bytes]]


class ProofRefused(ValueError):
    """A proof does not show what it is said to show; the message says which step failed."""


class Node(NamedTuple):
    """The root of a complete subtree of ``TILE_WIDTH ** level`` leaves."""

    level: int
    node_index: int
    hash: bytes


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of a leaf (RFC 9162, section 2.1.1)."""
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of two subtrees (RFC 9162, section 2.1.1)."""
    return hashlib.sha256(b"\1" + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """Return the root over subtrees, of which all but the last are equally large and complete."""
    if not hashes:
        return hashlib.sha256().digest()
    level = list(hashes)
    while len(level) > 1:
        pairs = range(0, len(level) - 1, 2)
        above = [node_hash(level[at], level[at + 1]) for at in pairs]
        # The one without a partner moves up: it is the smaller part of a larger split.
        level = above + level[len(pairs) * 2 :]
    return level[0]


@dataclass
class GrowingTree:
    """A tree at its right edge, which is all that adding to it needs.

    :ivar edge: of each level, the hashes of the last tile, which is not complete
    """

    size: int = 0
    edge: list[list[bytes]] = field(default_factory=list)

    @classmethod
    def at(cls, size: int, read: ReadTile) -> GrowingTree:
        """Return the tree of this size, whose tiles can be read."""
        edge: list[list[bytes]] = []
        count = size
        while count:
            level, number, width = len(edge), *divmod(count, TILE_WIDTH)
            edge.append(list(read(level, number, width)) if width else [])
            count = number
        return cls(size, edge)

    def add(self, entry_hash: bytes) -> list[Node]:
        """Add a leaf by its hash; return the nodes that this completes above it."""
        self.size += 1
        completed: list[Node] = []
        level, found = 0, entry_hash
        while True:
            if level == len(self.edge):
                self.edge.append([])
            self.edge[level].append(found)
            if len(self.edge[level]) < TILE_WIDTH:
                return completed
            found = root_of(self.edge[level])
            self.edge[level] = []
            level += 1
            completed.append(Node(level, self.size // TILE_WIDTH**level - 1, found))

    def root(self) -> bytes:
        """Return the root of the whole tree."""
        below: list[bytes] = []
        for hashes in self.edge:
            if hashes:
                below = [root_of([*hashes, *below])]
        return below[0] if below else root_of(())


class Tiles:
    """The tiles of a tree of one size, each read once."""

    def __init__(self, size: int, read: ReadTile) -> None:
        """Read with this function what is asked for."""
        self.size = size
        self._read = read
        self._tiles: dict[tuple[int, int], Sequence[bytes]] = {}

    def root(self, start: int, stop: int) -> bytes:
        """Return the root over leaves that stand under one node of the tree."""
        level = 0
        while TILE_WIDTH ** (level + 1) <= stop - start:
            level += 1
        span = TILE_WIDTH**level
        number, first = divmod(start // span, TILE_WIDTH)
        whole = list(self._tile(level, number)[first : first + (stop - start) // span])
        rest = stop % span
        return root_of([*whole, self.root(stop - rest, stop)] if rest else whole)

    def _tile(self, level: int, number: int) -> Sequence[bytes]:
        if (level, number) not in self._tiles:
            width = min(TILE_WIDTH, self.size // TILE_WIDTH**level - number * TILE_WIDTH)
            self._tiles[level, number] = self._read(level, number, width)
        return self._tiles[level, number]


def tiles_for(index: int, size: int) -> set[tuple[int, int]]:
    """Return levels and numbers of the tiles that a leaf's inclusion proof needs, or a few more.

    Of each level the tile over the leaf, and the last one where that is not complete.
    """
    found: set[tuple[int, int]] = set()
    level, count, number = 0, size, index // TILE_WIDTH
    while count:
        if number * TILE_WIDTH < count:
            found.add((level, number))
        if count % TILE_WIDTH:
            found.add((level, count // TILE_WIDTH))
        level, count, number = level + 1, count // TILE_WIDTH, number // TILE_WIDTH
    return found


def inclusion_proof(tiles: Tiles, index: int) -> list[bytes]:
    """Return what proves a leaf to be in the tree (RFC 9162, section 2.1.3.1), leaf to root.

    :param index: of the leaf
    :raises ValueError: when the tree has no such leaf
    """
    if not 0 <= index < tiles.size:
        raise ValueError(f"a tree of {tiles.size} leaves has none with number {index}")
    proof = []
    start, stop = 0, tiles.size
    while stop - start > 1:
        middle = start + _split(stop - start)
        if index < middle:
            proof.append(tiles.root(middle, stop))
            stop = middle
        else:
            proof.append(tiles.root(start, middle))
            start = middle
    return proof[::-1]


def consistency_proof(tiles: Tiles, first: int) -> list[bytes]:
    """Return what proves the tree of the first leaves to be in this (RFC 9162, section 2.1.4.1).

    :param first: their number
    :raises ValueError: when it is not from 1 to the tree's size
    """
    if not 0 < first <= tiles.size:
        raise ValueError(f"a tree of {tiles.size} leaves cannot go on from one of {first}")
    proof = []
    start, stop = 0, tiles.size
    while first < stop:
        middle = start + _split(stop - start)
        if first <= middle:
            proof.append(tiles.root(middle, stop))
            stop = middle
        else:
            proof.append(tiles.root(start, middle))
            start = middle
    # The verifier knows the root of the first tree itself.
    if start:
        proof.append(tiles.root(start, stop))
    return proof[::-1]


def verify_inclusion(
    *, entry_hash: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Check that a leaf is in a tree (RFC 9162, section 2.1.3.2).

    :param entry_hash: the leaf's hash
    :raises ProofRefused: when the proof does not show it
    """
    if not 0 <= index < size:
        raise ProofRefused(f"the leaf's number {index} is not below the tree's size {size}")
    found = entry_hash
    for sibling, left in _climb(index, size - 1, proof):
        found = node_hash(sibling, found) if left else node_hash(found, sibling)
    if found != root:
        raise ProofRefused("the leaf and the proof do not lead to the tree's root")


def verify_consistency(
    *, first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that a tree is what became of a smaller one (RFC 9162, section 2.1.4.2).

    :param first: the smaller tree's size, at least 1: of nothing, anything could become
    :raises ProofRefused: when the proof does not show it
    """
    if not 0 < first <= second:
        raise ProofRefused(f"no tree of {second} leaves can be shown to go on from one of {first}")
    if first == second:
        _verify_same(first_root, second_root, proof)
        return
    # The smaller tree's last complete subtree is a node of both trees, and the path begins there.
    # Where it is the whole smaller tree, the proof leaves it out.
    level = (first & -first).bit_length() - 1
    path = [first_root, *proof] if first == 1 << level else list(proof)
    if not path or len(path[0]) != HASH_BYTES:
        raise ProofRefused("the proof does not begin with a hash")
    old = new = path[0]
    for sibling, left in _climb((first - 1) >> level, (second - 1) >> level, path[1:]):
        old = node_hash(sibling, old) if left else old
        new = node_hash(sibling, new) if left else node_hash(new, sibling)
    if old != first_root:
        raise ProofRefused("the proof does not lead to the smaller tree's root")
    if new != second_root:
        raise ProofRefused("the proof does not lead to the larger tree's root")


def _verify_same(first_root: bytes, second_root: bytes, proof: Sequence[bytes]) -> None:
    if proof:
        raise ProofRefused("two trees of one size need no hashes")
    if first_root != second_root:
        raise ProofRefused("two trees of one size have different roots")


def _split(size: int) -> int:
    """Return the largest power of two below a size of two or more."""
    return 1 << (size - 1).bit_length() - 1


def _climb(number: int, last: int, proof: Sequence[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Give each hash of a proof, and whether it stands left, from a node up to the root.

    :param number: of the node in its level
    :param last: number of the last node there
    :raises ProofRefused: when there are more or fewer hashes than levels, or one is no hash
    """
    for sibling in proof:
        if len(sibling) != HASH_BYTES:
            raise ProofRefused(f"a hash of the proof has not {HASH_BYTES} bytes")
        if last == 0:
            raise ProofRefused("the proof has more hashes than the tree has levels")
        left = number & 1 == 1 or number == last
        yield sibling, left
        # A node without a partner moves up as it is.
        while left and number and not number & 1:
            number, last = number >> 1, last >> 1
        number, last = number >> 1, last >> 1
    if last:
        raise ProofRefused("the proof has fewer hashes than the tree has levels")
