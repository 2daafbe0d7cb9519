"""The Merkle tree against what others publish, and against the RFC's own words."""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent_service.ledger.merkle import (
    TILE_WIDTH,
    GrowingTree,
    ProofRefused,
    ReadTile,
    Tiles,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "vectors/merkle.json").read_text("utf-8")
)
PUBLISHED = [bytes.fromhex(leaf) for leaf in VECTORS["leaves"]]
ROOTS = [bytes.fromhex(root) for root in VECTORS["roots"]]
EMPTY_ROOT = bytes.fromhex(VECTORS["empty_root"])

#: Sizes around those at which a tile, and a tile of tiles, is complete.
BOUNDARIES = (255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537)
LARGEST = 65_800


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


class Model:
    """RFC 9162, section 2.1, word for word: MTH, PATH and SUBPROOF of the first n of some leaves.

    Complete subtrees are remembered, as otherwise a large tree would take all day.
    """

    def __init__(self, entries: Sequence[bytes]) -> None:
        """Take what the leaves hold."""
        self.leaves = [sha256(b"\x00" + entry) for entry in entries]
        self.root = cache(self._root)

    @staticmethod
    def k(n: int) -> int:
        """Return the largest power of two smaller than n."""
        k = 1
        while k * 2 < n:
            k *= 2
        return k

    def _root(self, start: int, stop: int) -> bytes:
        if start == stop:
            return sha256(b"")
        if stop - start == 1:
            return self.leaves[start]
        k = self.k(stop - start)
        return sha256(b"\x01" + self.root(start, start + k) + self.root(start + k, stop))

    def path(self, m: int, start: int, stop: int) -> list[bytes]:
        """Return PATH(m, D[start:stop])."""
        if stop - start == 1:
            return []
        k = self.k(stop - start)
        if m < k:
            return [*self.path(m, start, start + k), self.root(start + k, stop)]
        return [*self.path(m - k, start + k, stop), self.root(start, start + k)]

    def subproof(self, m: int, start: int, stop: int, b: bool) -> list[bytes]:  # noqa: FBT001 - RFC
        """Return SUBPROOF(m, D[start:stop], b)."""
        if m == stop - start:
            return [] if b else [self.root(start, stop)]
        k = self.k(stop - start)
        if m <= k:
            return [*self.subproof(m, start, start + k, b), self.root(start + k, stop)]
        return [*self.subproof(m - k, start + k, stop, b=False), self.root(start, start + k)]


def entry(number: int) -> bytes:
    return number.to_bytes(4)


@pytest.fixture(scope="module")
def model() -> Model:
    """A large tree."""
    return Model([entry(number) for number in range(LARGEST)])


class Kept:
    """Tiles as a database keeps them: those of the largest tree, of which smaller ones read."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        """Grow a tree of leaves with these hashes, and keep its nodes."""
        self.levels: dict[int, list[bytes]] = {0: []}
        self.tree = GrowingTree()
        for each in leaves:
            self.levels[0].append(each)
            for node in self.tree.add(each):
                level = self.levels.setdefault(node.level, [])
                assert node.node_index == len(level)
                level.append(node.hash)

    def read(self, level: int, number: int, width: int) -> list[bytes]:
        """Do as ReadTile does, and never less or more than is asked for."""
        assert 0 < width <= TILE_WIDTH
        start = number * TILE_WIDTH
        found = self.levels[level][start : start + width]
        assert len(found) == width
        return found


@pytest.fixture(scope="module")
def kept(model: Model) -> Kept:
    return Kept(model.leaves)


# ---- what others publish


@pytest.mark.parametrize("size", range(1, 9))
def test_the_published_roots(size: int) -> None:
    tree = GrowingTree()
    for leaf in PUBLISHED[:size]:
        tree.add(leaf_hash(leaf))
    assert tree.root() == ROOTS[size - 1]
    assert root_of([leaf_hash(leaf) for leaf in PUBLISHED[:size]]) == ROOTS[size - 1]


def test_the_published_root_of_nothing() -> None:
    assert GrowingTree().root() == root_of(()) == EMPTY_ROOT


def decoded(proof: list[str]) -> list[bytes]:
    return [b64decode(each) for each in proof]


def published_tiles(size: int) -> Tiles:
    hashes = [leaf_hash(leaf) for leaf in PUBLISHED]
    return Tiles(size, lambda _level, _number, width: hashes[:width])


@pytest.mark.parametrize("vector", VECTORS["inclusion"])
def test_the_published_proofs_of_inclusion(vector: dict[str, Any]) -> None:
    index, size, proof = vector["index"], vector["size"], decoded(vector["proof"])
    assert inclusion_proof(published_tiles(size), index) == proof
    right: dict[str, Any] = {
        "entry_hash": leaf_hash(PUBLISHED[index]),
        "index": index,
        "size": size,
        "proof": proof,
        "root": ROOTS[size - 1],
    }
    verify_inclusion(**right)
    for wrong in wrong_inclusions(right):
        with pytest.raises(ProofRefused):
            verify_inclusion(**wrong)


@pytest.mark.parametrize("vector", VECTORS["consistency"])
def test_the_published_proofs_of_consistency(vector: dict[str, Any]) -> None:
    first, second, proof = vector["first"], vector["second"], decoded(vector["proof"])
    assert consistency_proof(published_tiles(second), first) == proof
    right: dict[str, Any] = {
        "first": first,
        "second": second,
        "first_root": ROOTS[first - 1],
        "second_root": ROOTS[second - 1],
        "proof": proof,
    }
    verify_consistency(**right)
    for wrong in wrong_consistencies(right):
        with pytest.raises(ProofRefused):
            verify_consistency(**wrong)


# ---- what is changed is refused (as transparency-dev/merkle's own tests change it, and each bit)


def flipped(data: bytes) -> Iterator[bytes]:
    """Give the data with each one bit changed."""
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)


def wrong_proofs(proof: list[bytes], *roots: bytes) -> Iterator[list[bytes]]:
    """Give proofs that are not this one, but nearly."""
    for at, each in enumerate(proof):
        for changed in flipped(each):
            yield [*proof[:at], changed, *proof[at + 1 :]]
        yield [*proof[:at], each[:-1], *proof[at + 1 :]]
        yield [*proof[:at], each + b"\0", *proof[at + 1 :]]
        yield [*proof[:at], *proof[at + 1 :]]
        yield [*proof[:at], each, each, *proof[at + 1 :]]
    for at in range(len(proof) + 1):
        for more in (b"", bytes(32), *roots):
            yield [*proof[:at], more, *proof[at:]]


def wrong_inclusions(right: dict[str, Any]) -> Iterator[dict[str, Any]]:
    index, size, root = right["index"], right["size"], right["root"]
    for proof in wrong_proofs(right["proof"], root, right["entry_hash"]):
        yield {**right, "proof": proof}
    for changed in flipped(right["entry_hash"]):
        yield {**right, "entry_hash": changed}
    for changed in (*flipped(root), EMPTY_ROOT, b""):
        yield {**right, "root": changed}
    for wrong in {index - 1, index + 1, index ^ 2, -1, size} - {index}:
        yield {**right, "index": wrong}
    for wrong in {size * 2, size // 2, 0, -size}:
        yield {**right, "size": wrong}


def wrong_consistencies(right: dict[str, Any]) -> Iterator[dict[str, Any]]:
    first, second = right["first"], right["second"]
    for proof in wrong_proofs(right["proof"], right["first_root"], right["second_root"]):
        yield {**right, "proof": proof}
    for root in ("first_root", "second_root"):
        for changed in (*flipped(right[root]), EMPTY_ROOT, b""):
            yield {**right, root: changed}
    yield {**right, "first_root": right["second_root"], "second_root": right["first_root"]}
    yield {**right, "first": second, "second": first}
    for wrong in {first - 1, first + 1, first ^ 2, 0, -1, second + 1} - {first}:
        yield {**right, "first": wrong}
    for wrong in {second * 2, second // 2}:
        yield {**right, "second": wrong}


# ---- the RFC's own words

sizes = st.one_of(st.integers(1, 600), st.sampled_from(BOUNDARIES), st.integers(1, LARGEST))


@pytest.mark.parametrize("size", [0, 1, 2, *BOUNDARIES, LARGEST])
def test_a_tree_grows_on_from_what_is_kept(model: Model, kept: Kept, size: int) -> None:
    tree = GrowingTree.at(size, kept.read)
    assert tree.root() == model.root(0, size)
    for number in range(size, min(size + 3, LARGEST)):
        for node in tree.add(model.leaves[number]):
            span = TILE_WIDTH**node.level
            assert node.hash == model.root(node.node_index * span, (node.node_index + 1) * span)
        assert tree.root() == model.root(0, number + 1)


def test_each_small_tree_has_the_root_that_the_rfc_says(model: Model) -> None:
    tree = GrowingTree()
    for size in range(1, 1100):
        tree.add(model.leaves[size - 1])
        assert tree.root() == model.root(0, size)


@settings(max_examples=60)
@given(size=sizes, data=st.data())
def test_each_leaf_is_proved_as_the_rfc_says(
    model: Model, kept: Kept, size: int, data: st.DataObject
) -> None:
    index = data.draw(st.one_of(st.integers(0, size - 1), st.just(size - 1)))
    proof = inclusion_proof(Tiles(size, kept.read), index)
    assert proof == model.path(index, 0, size)
    shown: dict[str, Any] = {"index": index, "size": size, "proof": proof}
    root = model.root(0, size)
    verify_inclusion(entry_hash=leaf_hash(entry(index)), root=root, **shown)
    with pytest.raises(ProofRefused):
        verify_inclusion(entry_hash=leaf_hash(entry(index + 1)), root=root, **shown)
    wrong = data.draw(st.integers(0, size + 2).filter(lambda each: each != index))
    with pytest.raises(ProofRefused):
        verify_inclusion(entry_hash=leaf_hash(entry(index)), root=root, **{**shown, "index": wrong})


@settings(max_examples=60)
@given(second=sizes, data=st.data())
def test_each_tree_goes_on_from_each_smaller_one_as_the_rfc_says(
    model: Model, kept: Kept, second: int, data: st.DataObject
) -> None:
    first = data.draw(st.integers(1, second))
    proof = consistency_proof(Tiles(second, kept.read), first)
    assert proof == ([] if first == second else model.subproof(first, 0, second, b=True))
    verify_consistency(
        first=first,
        second=second,
        first_root=model.root(0, first),
        second_root=model.root(0, second),
        proof=proof,
    )


def test_all_proofs_of_all_small_trees(model: Model, kept: Kept) -> None:
    for size in range(1, 34):
        tiles = Tiles(size, kept.read)
        for index in range(size):
            proof = inclusion_proof(tiles, index)
            assert proof == model.path(index, 0, size)
            verify_inclusion(
                entry_hash=model.leaves[index],
                index=index,
                size=size,
                proof=proof,
                root=model.root(0, size),
            )
        for first in range(1, size + 1):
            verify_consistency(
                first=first,
                second=size,
                first_root=model.root(0, first),
                second_root=model.root(0, size),
                proof=consistency_proof(tiles, first),
            )


@pytest.mark.parametrize(("first", "second"), [(3, 7), (4, 7), (8, 13), (255, 257), (256, 300)])
def test_a_fork_is_never_shown_to_go_on(model: Model, kept: Kept, first: int, second: int) -> None:
    """Neither by the proof of the one tree nor by that of the other."""
    other = Kept([*model.leaves[: first - 1], leaf_hash(b"other"), *model.leaves[first:second]])
    reads: list[ReadTile] = [kept.read, other.read]
    for read in reads:
        with pytest.raises(ProofRefused):
            verify_consistency(
                first=first,
                second=second,
                first_root=model.root(0, first),
                second_root=other.tree.root(),
                proof=consistency_proof(Tiles(second, read), first),
            )


@pytest.mark.parametrize("second", [0, 1, 8])
def test_nothing_goes_on_from_nothing(kept: Kept, second: int) -> None:
    for proof in ([], [EMPTY_ROOT]):
        with pytest.raises(ProofRefused):
            verify_consistency(
                first=0,
                second=second,
                first_root=EMPTY_ROOT,
                second_root=EMPTY_ROOT,
                proof=proof,
            )
    with pytest.raises(ValueError, match="cannot go on"):
        consistency_proof(Tiles(second, kept.read), 0)


@pytest.mark.parametrize(("size", "index"), [(0, 0), (1, 1), (8, -1), (8, 8)])
def test_there_is_no_proof_of_a_leaf_that_is_not_there(kept: Kept, size: int, index: int) -> None:
    with pytest.raises(ValueError, match="has none"):
        inclusion_proof(Tiles(size, kept.read), index)
    with pytest.raises(ValueError, match="cannot go on"):
        consistency_proof(Tiles(size, kept.read), size + 1)


def test_a_proof_has_as_many_hashes_as_the_tree_has_levels() -> None:
    """Even where hashing all that is there leads to the root."""
    hashes = [leaf_hash(leaf) for leaf in PUBLISHED]
    path = inclusion_proof(published_tiles(8), 7)
    verify_inclusion(entry_hash=hashes[7], index=7, size=8, proof=path, root=ROOTS[7])
    for size in (1, 2, 3, 4):
        with pytest.raises(ProofRefused, match="more hashes"):
            verify_inclusion(
                entry_hash=hashes[7], index=size - 1, size=size, proof=path, root=ROOTS[7]
            )
    node = root_of(hashes[6:])
    with pytest.raises(ProofRefused, match="fewer hashes"):
        verify_inclusion(entry_hash=node, index=7, size=8, proof=path[1:], root=ROOTS[7])
