"""What the outside sees of a ledger, as a monitor sees it who was written from tlog-tiles alone."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from werkzeug.test import Client, TestResponse

from consent_service.access.actor import OPERATOR
from consent_service.db import Database, Scope
from consent_service.errors import UnknownLedger
from consent_service.ledger import store
from consent_service.ledger.publishing import Publishing
from consent_service.ledger.service import LedgerBroken
from consent_service.ledger.tile_address import TileAddress, parse_tile_address
from consent_service.signing import Keyring, rotate
from consent_service.tenants.service import create_tenant
from tests.builders import Service
from tests.ledger.growing import Growing
from tests.ledger.outside import (
    LOG,
    VerifierKey,
    consistency,
    grown,
    hash_leaf,
    read_checkpoint,
    read_note,
    tree_hash,
    verifier_key,
)

#: Leaves of the ledger that most tests read: two whole tiles, and a part of one.
SIZE = 600


@dataclass
class Monitor:
    """Follows a log by its prefix and origin, and keeps all that it was shown."""

    client: Client
    prefix: str
    origin: str
    keys: list[VerifierKey] = field(default_factory=list)
    size: int = 0
    root: bytes = b""
    hashes: list[bytes] = field(default_factory=list)

    def fetch(self, path: str) -> bytes:
        """Return what is at a path."""
        response = self.client.get(f"{self.prefix}{path}")
        assert response.status_code == 200, (path, response.get_data(as_text=True))
        data: bytes = response.data
        return data

    def learn_keys(self) -> None:
        """Take the keys as they are now."""
        self.keys = [verifier_key(line) for line in self.fetch("/keys").decode().splitlines()]
        assert {(key.name, key.kind) for key in self.keys} == {(self.origin, LOG)}

    def follow(self) -> None:
        """Look at the newest checkpoint, and check all that it says."""
        note = read_note(self.fetch("/checkpoint"))
        assert note.signed_by(self.keys)
        origin, size, root = read_checkpoint(note.text)
        assert origin == self.origin
        assert size >= self.size
        self._fetch_leaves(size)
        assert tree_hash(self.hashes) == root
        self._check_levels_above()
        if self.size:
            self._check_growth(size, root)
        self.size, self.root = size, root

    def _fetch_leaves(self, size: int) -> None:
        """Take the tiles from the first that was not whole, and see that they hold the entries."""
        self.hashes = self.hashes[: self.size // 256 * 256]
        while len(self.hashes) < size:
            tile, width = address(len(self.hashes) // 256, size)
            hashes = self.fetch(f"/tile/0/{tile}")
            assert len(hashes) == 32 * width
            found = [hashes[at : at + 32] for at in range(0, len(hashes), 32)]
            assert [hash_leaf(entry) for entry in self.entries(tile)] == found
            self.hashes += found

    def entries(self, tile: str) -> list[bytes]:
        """Return the entries of a bundle."""
        bundle = self.fetch(f"/tile/entries/{tile}")
        entries = []
        while bundle:
            length = int.from_bytes(bundle[:2], "big")
            entries.append(bundle[2 : 2 + length])
            assert len(entries[-1]) == length
            bundle = bundle[2 + length :]
        return entries

    def _check_levels_above(self) -> None:
        level = 1
        while count := len(self.hashes) // 256**level:
            for number in range(-(-count // 256)):
                tile, width = address(number, count)
                hashes = self.fetch(f"/tile/{level}/{tile}")
                span = 256**level
                starts = [(number * 256 + at) * span for at in range(width)]
                expected = [tree_hash(self.hashes[start : start + span]) for start in starts]
                assert hashes == b"".join(expected)
            level += 1

    def _check_growth(self, size: int, root: bytes) -> None:
        answer = self.client.get(f"{self.prefix}/consistency?first={self.size}&second={size}")
        said = answer.get_json()
        assert (said["first"], said["second"]) == (self.size, size)
        proof = [b64decode(each, validate=True) for each in said["hashes"]]
        assert grown(self.size, size, self.root, proof) == (self.root, root)
        assert proof == consistency(self.hashes, self.size)


def address(number: int, count: int) -> tuple[str, int]:
    """Return how a tile of a level with so many hashes is named, and how wide it is."""
    groups = [f"{number % 1000:03}"]
    while number := number // 1000:
        groups.insert(0, f"x{number % 1000:03}")
    name = "/".join(groups)
    width = min(256, count - int(name.replace("x", "").replace("/", "")) * 256)
    return (name, width) if width == 256 else (f"{name}.p/{width}", width)


def monitor_of(growing: Growing, client: Client, number: int = 1) -> Monitor:
    prefix = f"/v1/ledgers/{growing.tenant_id}/{number}"
    return Monitor(client, prefix, f"consent-service/{growing.tenant_id}/{number}")


def test_a_monitor_follows_a_ledger_from_checkpoint_to_checkpoint(service: Service) -> None:
    growing = Growing.of(service)
    monitor = monitor_of(growing, service.client)
    growing.grow_to(1)
    monitor.learn_keys()
    for size in (1, 2, 255, 256, 257, 512, 515):
        growing.grow_to(size)
        monitor.follow()
        assert monitor.size == size
    rotate(service.settings.keys_file, "record")
    service.use(Keyring).refresh()
    # The new key is told of before it signs: a follower has time to learn it.
    assert len(monitor.keys) == 1
    monitor.learn_keys()
    assert len(monitor.keys) == 2


def test_what_a_visitor_chose_is_in_the_entries_by_its_commitment_alone(service: Service) -> None:
    service.choose()
    growing = Growing.of(service)
    growing.add(1)
    monitor = monitor_of(growing, service.client)
    (record,) = service.rows("records")
    first, _ = monitor.entries("000.p/2")
    assert first == record["commitment"]


@pytest.fixture(scope="module")
def grown_service(untouched: Service) -> Service:
    growing = Growing.of(untouched)
    for size in (3, 256, SIZE):
        growing.grow_to(size)
    return untouched


def get(service: Service, path: str, number: int = 1, **options: Any) -> TestResponse:  # noqa: ANN401
    return service.client.get(f"/v1/ledgers/{service.tenant.id}/{number}{path}", **options)


def code_of(response: TestResponse) -> tuple[int, str]:
    return response.status_code, response.get_json()["error"]["code"]


def test_answers_are_what_tlog_tiles_says_and_open_to_every_page(grown_service: Service) -> None:
    for path, kind, kept in (
        ("/checkpoint", "text/plain; charset=utf-8", "public, max-age=5"),
        ("/keys", "text/plain; charset=utf-8", "public, max-age=300"),
        ("/tile/0/000", "application/octet-stream", "public, max-age=31536000, immutable"),
        ("/tile/0/002.p/88", "application/octet-stream", "public, max-age=31536000, immutable"),
        ("/tile/1/000.p/1", "application/octet-stream", "public, max-age=31536000, immutable"),
        ("/tile/entries/001", "application/octet-stream", "public, max-age=31536000, immutable"),
        ("/consistency?first=1&second=2", "application/json", None),
        ("/checkpoints", "application/json", "no-store"),
    ):
        response = get(grown_service, path)
        assert response.status_code == 200, path
        assert response.headers["Content-Type"] == kind, path
        assert response.headers["Access-Control-Allow-Origin"] == "*", path
        assert kept in {None, response.headers["Cache-Control"]}, path
        same = grown_service.client.head(f"/v1/ledgers/{grown_service.tenant.id}/1{path}")
        assert (same.status_code, same.data) == (200, b"")
    assert "Access-Control-Allow-Origin" in get(grown_service, "/tile/0/099").headers


def test_a_checkpoint_is_sent_again_only_when_it_is_another(grown_service: Service) -> None:
    first = get(grown_service, "/checkpoint")
    again = get(grown_service, "/checkpoint", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize(
    "tile",
    [
        "0/003", "0/002", "0/002.p/89", "0/002.p/255", "1/001", "1/000", "1/000.p/3", "2/000.p/1",
        "63/000.p/1", "entries/002", "entries/002.p/89", "0/x001/000", "0/999999",
    ],
)  # fmt: skip
def test_what_is_beyond_the_tree_is_not_there_not_even_in_part(
    grown_service: Service, tile: str
) -> None:
    assert code_of(get(grown_service, f"/tile/{tile}")) == (404, "not_found")


@pytest.mark.parametrize(
    "tile",
    [
        "0/0", "0/00", "0/0000", "0/x000/000", "0/000/000", "0/001x", "0/x000", "0/-01", "0/+01",
        "0/000.p", "0/000.p/", "0/000.p/0", "0/000.p/01", "0/000.p/256", "0/000.p/1/2", "0/000/",
        "00/000", "64/000", "-1/000", "x/000", "entries/0", "entries/000.p/0", "0/000%0A",
        "0/\N{ARABIC-INDIC DIGIT ONE}23", "0//000", "0/x001//000", f"0/{'x999/' * 2000}999",
    ],
)  # fmt: skip
def test_an_address_that_is_not_in_the_one_right_form_is_of_nothing(
    grown_service: Service, tile: str
) -> None:
    assert code_of(get(grown_service, f"/tile/{tile}")) == (404, "not_found")


@given(st.integers(0, 63), st.integers(0, 10**20), st.integers(1, 256))
def test_every_tile_has_one_address_and_it_is_read_as_it_was_written(
    level: int, number: int, width: int
) -> None:
    name, _ = address(number, (number + 1) * 256)
    part = "" if width == 256 else f".p/{width}"
    assert parse_tile_address(str(level), name + part) == TileAddress(level, number, width)


@given(st.integers(0, 3), st.integers(0, 300), st.integers(1, 256), st.integers(0, 10**9))
def test_a_tile_is_within_a_tree_that_has_all_leaves_under_its_hashes(
    level: int, number: int, width: int, size: int
) -> None:
    last_leaf = (number * 256 + width) * 256**level - 1
    assert TileAddress(level, number, width).is_within(size) is (last_leaf < size)


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("first=0&second=3", "first"),
        ("first=-1&second=3", "first"),
        ("first=x&second=3", "first"),
        ("first=4&second=3", "first"),
        ("first=1.5&second=3", "first"),
        ("second=3", "first"),
        ("first=3", "second"),
        (f"first=3&second={SIZE + 1}", "second"),
        (f"first=3&second={2**63}", "second"),
        (f"first=3&second={10**30}", "second"),
    ],
)
def test_a_proof_of_what_cannot_be_proved_names_the_size_that_is_wrong(
    grown_service: Service, query: str, wrong: str
) -> None:
    response = get(grown_service, f"/consistency?{query}")
    assert code_of(response) == (422, "validation_failed")
    assert list(response.get_json()["error"]["fields"]) == [wrong]


def test_growth_is_proved_between_sizes_that_had_no_checkpoint(grown_service: Service) -> None:
    monitor = monitor_of(Growing.of(grown_service), grown_service.client)
    monitor.learn_keys()
    monitor.follow()
    hashes = monitor.hashes
    for first, second in ((1, 1), (1, 2), (5, 7), (255, 257), (256, 599), (SIZE, SIZE)):
        response = get(grown_service, f"/consistency?first={first}&second={second}")
        proof = [b64decode(each) for each in response.get_json()["hashes"]]
        assert proof == consistency(hashes[:second], first)


def test_an_auditor_gets_all_checkpoints_a_page_at_a_time(grown_service: Service) -> None:
    monitor = monitor_of(Growing.of(grown_service), grown_service.client)
    monitor.learn_keys()
    sizes: list[int] = []
    after: int | None = 0
    while after is not None:
        page = get(grown_service, f"/checkpoints?after={after}&limit=2").get_json()
        for each in page["checkpoints"]:
            note = read_note(each["note"].encode())
            assert note.signed_by(monitor.keys)
            assert read_checkpoint(note.text)[1] == each["size"]
            assert each["made_at"].endswith("Z")
            sizes.append(each["size"])
        after = page["after"]
    assert sizes == [3, 256, SIZE]
    assert get(grown_service, "/checkpoints?limit=0").status_code == 422
    assert get(grown_service, f"/checkpoints?after={SIZE}").get_json() == {
        "checkpoints": [],
        "after": None,
    }


PATHS = ["/checkpoint", "/checkpoint?cosigned=1", "/tile/0/000.p/1", "/tile/entries/000.p/1",
         "/consistency?first=1&second=1", "/checkpoints", "/keys"]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_of_nobody_there_is_nothing_and_nobody_learns_who_there_is(
    grown_service: Service, path: str
) -> None:
    database = grown_service.built.database
    other = create_tenant(database, f"other-{uuid4().hex}", "Other", by=OPERATOR)
    answers = [
        grown_service.client.get(f"/v1/ledgers/{tenant_id}/{number}{path}")
        for tenant_id, number in ((other.id, 1), (uuid4(), 1), (grown_service.tenant.id, 2))
    ]
    assert {code_of(answer) for answer in answers} == {(404, "unknown_ledger")}
    assert len({answer.data for answer in answers}) == 1
    for number in (0, 2**31, "x"):
        lost = grown_service.client.get(f"/v1/ledgers/{grown_service.tenant.id}/{number}{path}")
        assert lost.status_code == 404


def test_one_tenants_ledger_has_nothing_of_anothers(service: Service) -> None:
    growing = Growing.of(service)
    other = create_tenant(service.built.database, "other", "Other", by=OPERATOR)
    growing.add(3)
    growing.add(5, other.id)
    prefix, origin = f"/v1/ledgers/{other.id}/1", f"consent-service/{other.id}/1"
    theirs = Monitor(service.client, prefix, origin)
    ours = monitor_of(growing, service.client)
    for monitor in (ours, theirs):
        monitor.learn_keys()
        monitor.follow()
    assert (ours.size, theirs.size) == (3, 5)
    assert not set(ours.hashes) & set(theirs.hashes)
    # A checkpoint of one is none of the other: the name is in what is signed, and in the keys.
    assert not read_note(ours.fetch("/checkpoint")).signed_by(theirs.keys)


def test_a_ledger_that_does_not_hold_together_says_nothing_of_itself(
    service: Service, owner: Database
) -> None:
    growing = Growing.of(service)
    growing.add(300)
    assert get(service, "/checkpoint").status_code == 200
    growing.add(2)
    change_a_leaf(owner, on_postgresql=service.on_postgresql)
    response = get(service, "/checkpoint")
    assert code_of(response) == (500, "internal_error")
    assert "leaf" not in response.get_data(as_text=True)
    assert code_of(get(service, "/consistency?first=300&second=302")) == (500, "internal_error")


@pytest.fixture
def growing(furnished_sqlite_template: Path, tmp_path: Path) -> Iterator[Growing]:
    found = Growing.at(furnished_sqlite_template, tmp_path)
    yield found
    found.database.close()


def test_a_head_that_no_checkpoint_is_of_is_not_vouched_for(growing: Growing) -> None:
    growing.add(2)
    with growing.database.transaction(Scope.NONE) as connection:
        connection.execute(text("DROP TRIGGER ledgers_only_grow"))
        connection.execute(text("UPDATE ledgers SET root = zeroblob(32)"))
    with pytest.raises(LedgerBroken, match="no checkpoint of its own"):
        Publishing(growing.database, growing.keys).checkpoint(growing.tenant_id, 1)


def test_a_ledger_that_has_just_begun_is_none_to_the_outside(growing: Growing) -> None:
    with growing.database.transaction(growing.tenant_id) as connection:
        store.begin(connection, growing.tenant_id)
    publishing = Publishing(growing.database, growing.keys)
    tenant_id, first = growing.tenant_id, TileAddress(0, 0, 1)
    reads: tuple[Callable[[], object], ...] = (
        lambda: publishing.checkpoint(tenant_id, 1),
        lambda: publishing.checkpoint(tenant_id, 1, cosigned=True),
        lambda: publishing.tile(tenant_id, 1, first),
        lambda: publishing.entries(tenant_id, 1, first),
        lambda: publishing.consistency(tenant_id, 1, 1, 1),
        lambda: publishing.checkpoints(tenant_id, 1, after=0, limit=1),
        lambda: publishing.keys(tenant_id, 1),
    )
    for read in reads:
        with pytest.raises(UnknownLedger, match="no such ledger"):
            read()


def change_a_leaf(owner: Database, *, on_postgresql: bool) -> None:
    """Do what the database refuses, as somebody can who owns it."""
    with owner.transaction(Scope.NONE) as connection:
        if on_postgresql:
            connection.execute(text("ALTER TABLE leaves DISABLE TRIGGER USER"))
            connection.execute(text("ALTER TABLE leaves NO FORCE ROW LEVEL SECURITY"))
            connection.execute(text("ALTER TABLE leaves DISABLE ROW LEVEL SECURITY"))
        else:
            connection.execute(text("DROP TRIGGER leaves_stay_as_they_are"))
        change = "UPDATE leaves SET commitment = :other WHERE leaf_index = 299"
        assert connection.execute(text(change), {"other": bytes(32)}).rowcount == 1
