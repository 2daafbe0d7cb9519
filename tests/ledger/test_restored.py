"""After a backup was restored, nothing contradicts what was published before."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import make_url

from consent_service.cli import main
from consent_service.errors import OperatorError
from consent_service.ledger import service as ledgers
from consent_service.ledger.checkpoint import Checkpoint, NoteSignature, SignedNote, origin_of
from consent_service.ledger.directory import LedgerDirectory
from consent_service.ledger.heads import Heads, contradiction
from consent_service.ledger.sequencer import Sequencer
from consent_service.ledger.store import Ledger
from consent_service.signing import Keyring
from tests.builders import ORIGIN, SITE_KEY, Service, make_service
from tests.databases import PostgresDatabases, Urls, database_of
from tests.ledger.whole import Whole

Take = Callable[[], Callable[[], None]]


@pytest.fixture
def backup(request: pytest.FixtureRequest, service: Service) -> Take:
    """Takes a backup of the service's database; gives what restores it."""
    database = service.built.database
    if service.on_postgresql:
        databases: PostgresDatabases = request.getfixturevalue("postgresql_databases")
        urls: Urls = request.getfixturevalue("postgresql_urls")

        def take_copy() -> Callable[[], None]:
            # Nobody may be connected to what is copied.
            database.close()
            copy = databases.make(database_of(urls))
            request.addfinalizer(lambda: databases.drop(copy))

            def restore() -> None:
                database.close()
                databases.drop(urls)
                databases.make(database_of(copy), database_of(urls))

            return restore

        return take_copy
    path = Path(f"{make_url(service.settings.database_url).database}")

    def take_file() -> Callable[[], None]:
        copy = path.with_name(f"backup-{len(list(path.parent.iterdir()))}.db")
        with closing(sqlite3.connect(path)) as here, closing(sqlite3.connect(copy)) as there:
            here.backup(there)

        def restore() -> None:
            database.close()
            for beside in ("-wal", "-shm"):
                path.with_name(f"{path.name}{beside}").unlink(missing_ok=True)
            shutil.copy(copy, path)

        return restore

    return take_file


class Machine:
    """A machine that a worker runs on, with a memory of its own."""

    def __init__(self, service: Service, folder: Path | None = None) -> None:
        """Remember in this folder, or in that of the service's own machine."""
        self.service = service
        self.heads = folder or service.settings.heads_folder
        database, keys = service.built.database, service.use(Keyring)
        directory = LedgerDirectory(database, Heads(self.heads))
        self.sequencer = Sequencer(database, keys, directory)

    def work(self) -> bool:
        """Do what the worker does."""
        return self.sequencer.run([self.service.site])

    def run(self, *arguments: str) -> Result:
        """Run an operator's command."""
        environ = {
            "CONSENT_DATABASE_URL": self.service.settings.database_url,
            "CONSENT_HEADS_FOLDER": str(self.heads),
        }
        return CliRunner(env=environ).invoke(main, ["ledger", *arguments])


def check(service: Service) -> Whole:
    """Check all that is in the database, from the first leaf on."""
    whole = Whole(service.built.database, service.use(Keyring))
    whole.check()
    return whole


def assert_suspended(service: Service, token: str) -> None:
    """Check that nothing is written for the tenant, and that the gate goes on."""
    held = {"Origin": ORIGIN, "X-Consent-Token": token}
    before = service.rows("records")
    for response in (
        service.choose(token=token),
        service.choose(),
        service.link(token=token),
        service.client.delete(f"/v1/sites/{SITE_KEY}/consents/me", headers=held),
    ):
        assert response.status_code == 503
        assert response.get_json()["error"]["code"] == "ledger_suspended"
        assert int(response.headers["Retry-After"]) > 0
    assert service.rows("records") == before
    assert service.reason(token=token) == "granted"


def restarted(service: Service, folder: Path) -> Service:
    """Return the service as it is after it was started again on the same machine."""
    made = make_service(service.settings.database_url, folder)
    made.link_key = service.link_key
    return made


def test_nothing_is_written_after_an_older_backup_was_restored_until_the_operator_decides(
    service: Service, backup: Take, tmp_path: Path
) -> None:
    machine = Machine(service)
    token = service.token()
    _ = service.link_key
    assert machine.work()
    restore = backup()
    service.token()
    assert machine.work()
    assert check(service).sizes == {origin_of(service.tenant.id): 2}
    restore()
    # Before anybody has looked. It must not become a leaf in the place of another.
    assert service.choose().status_code == 201
    assert machine.sequencer.sequence(service.tenant.id) == 0

    # Those that serve notice by themselves, before any worker says so.
    service.built.followers.refresh()
    assert_suspended(service, token)
    again = restarted(service, tmp_path)
    assert_suspended(again, token)
    again.built.database.close()
    assert not machine.work()
    assert not machine.work()
    assert check(service).sizes == {origin_of(service.tenant.id): 1}
    # From the worker, those hear of it who remember nothing.
    elsewhere = make_service(service.settings.database_url, tmp_path / "other")
    assert elsewhere.choose().get_json()["error"]["code"] == "ledger_suspended"
    elsewhere.built.database.close()
    assert not Machine(service, tmp_path / "empty").work()

    said = machine.run("status")
    assert said.exit_code == 1
    assert "SUSPENDED: 2 leaves of" in said.output
    assert "1 are there" in said.output
    refused = machine.run("reopen", service.tenant.slug)
    assert refused.exit_code == 1
    done = machine.run("reopen", service.tenant.slug, "--yes")
    assert done.exit_code == 0, done.output
    assert origin_of(service.tenant.id, 2) in done.output
    event = service.rows("audit_events")[-1]
    assert (event["action"], event["actor_kind"]) == ("ledger.reopened", "operator")

    service.built.followers.refresh()
    newest = service.choose(token=token).get_json()["record"]["id"]
    assert machine.work()
    assert check(service).sizes == {
        origin_of(service.tenant.id): 1,
        origin_of(service.tenant.id, 2): 2,
    }
    proof = ledgers.prove(service.built.database, service.tenant.id, UUID(newest))
    assert proof is not None
    assert proof.checkpoint.origin == origin_of(service.tenant.id, 2)
    assert machine.run("status").exit_code == 0
    twice = machine.run("reopen", service.tenant.slug, "--yes")
    assert twice.exit_code == 2
    assert "not suspended" in twice.output
    remembered = Heads(machine.heads).all()[service.tenant.id]
    assert {number: head.size for number, head in remembered.items()} == {2: 2}
    assert list(machine.heads.glob("*-1.checkpoint.closed"))


def test_a_backup_from_before_the_first_record_is_noticed_too(
    service: Service, backup: Take, tmp_path: Path
) -> None:
    machine, other = Machine(service), Machine(service, tmp_path / "other")
    restore = backup()
    token = service.token()
    _ = service.link_key
    assert machine.work()
    assert not other.work()
    restore()
    service.add_link_key()
    service.built.followers.refresh()
    assert service.choose(token=token).get_json()["error"]["code"] == "ledger_suspended"
    assert not machine.work()
    assert "SUSPENDED" in machine.run("status", service.tenant.slug).output
    assert machine.run("reopen", service.tenant.slug, "--yes").exit_code == 0
    service.built.followers.refresh()
    service.token()
    # Another machine that remembers what is lost hears that somebody has decided.
    assert other.work()
    assert check(service).sizes == {
        origin_of(service.tenant.id): 0,
        origin_of(service.tenant.id, 2): 1,
    }


def test_a_backup_that_has_all_that_was_published_is_as_good_as_before(
    service: Service, backup: Take, caplog: pytest.LogCaptureFixture
) -> None:
    machine = Machine(service)
    old = backup()
    token = service.token()
    machine.work()
    restore = backup()
    # Not added yet, so nobody has a proof of it.
    service.token(analytics=False)
    restore()
    service.built.followers.refresh()
    service.token(token=token)
    assert machine.work()
    assert check(service).sizes == {origin_of(service.tenant.id): 2}
    newest = backup()

    # One that is too old, and then the right one: nobody need be told.
    old()
    caplog.clear()
    caplog.set_level("INFO", "consent_service.ledger")
    for _ in range(3):
        service.built.followers.refresh()
    assert service.choose().status_code == 503
    newest()
    service.built.followers.refresh()
    assert service.choose().status_code == 201
    assert machine.work()
    assert check(service).sizes == {origin_of(service.tenant.id): 3}
    said = [record.levelname for record in caplog.records if "ledger" in record.name]
    assert said == ["ERROR", "INFO"]


def test_a_ledger_that_went_on_from_an_older_backup_is_noticed_by_who_remembers(
    service: Service, backup: Take, tmp_path: Path
) -> None:
    machine = Machine(service)
    token = service.token()
    machine.work()
    restore = backup()
    service.token()
    machine.work()
    restore()
    forgetful = Machine(service, tmp_path / "empty")
    for _ in range(3):
        assert service.client.get("/healthz").status_code == 200
        service.token(token=token)
    assert forgetful.work()
    assert check(service).sizes == {origin_of(service.tenant.id): 4}
    assert not machine.work()
    service.built.followers.refresh()
    assert service.choose().status_code == 503
    assert "are not those published" in machine.run("status").output


def test_a_server_without_a_worker_remembers_what_others_publish(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = Machine(service, tmp_path / "elsewhere")
    service.token()
    elsewhere.work()
    # So late that it is due.
    monkeypatch.setattr("consent_service.ledger.directory._REMEMBER_SECONDS", 0)
    service.built.followers.refresh()
    remembered = Heads(service.settings.heads_folder).all()
    assert remembered[service.tenant.id][1].size == 1
    assert remembered == Heads(elsewhere.heads).all()


# ---- what is compared


TENANT = UUID("019cb0f4-2a40-7c3e-9d5a-6f1f0e3b7c21")
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def a_ledger(size: int, number: int = 1, *, closed: bool = False) -> Ledger:
    root = bytes([size]) * 32
    closed_at = NOW if closed else None
    origin = origin_of(TENANT, number)
    return Ledger(UUID(int=number), TENANT, number, origin, size, root, None, closed_at)


def head(size: int, number: int = 1, root: bytes | None = None) -> Checkpoint:
    return Checkpoint(origin_of(TENANT, number), size, root or bytes([size]) * 32)


def root_at(_: Ledger, size: int) -> bytes:
    return bytes([size]) * 32


@pytest.mark.parametrize(
    ("remembered", "there"),
    [
        ({}, []),
        ({}, [a_ledger(3)]),
        ({1: head(3)}, [a_ledger(3)]),
        ({1: head(3)}, [a_ledger(4)]),
        ({1: head(9)}, [a_ledger(3, closed=True), a_ledger(1, 2)]),
        ({1: head(9), 2: head(1, 2)}, [a_ledger(3, closed=True), a_ledger(1, 2)]),
    ],
)
def test_what_goes_on_from_all_that_was_published_is_right(
    remembered: dict[int, Checkpoint], there: list[Ledger]
) -> None:
    assert contradiction(remembered, there, root_at) is None


@pytest.mark.parametrize(
    ("remembered", "there"),
    [
        ({1: head(1)}, []),
        ({1: head(4)}, [a_ledger(3)]),
        ({1: head(3, root=bytes(32))}, [a_ledger(3)]),
        ({1: head(3, root=bytes(32))}, [a_ledger(4)]),
        ({1: head(3), 2: head(1, 2)}, [a_ledger(3)]),
        ({1: head(3), 2: head(2, 2)}, [a_ledger(3, closed=True), a_ledger(1, 2)]),
        ({3: head(1, 3)}, [a_ledger(3, closed=True), a_ledger(1, 2)]),
    ],
)
def test_what_lacks_something_or_is_another_is_not(
    remembered: dict[int, Checkpoint], there: list[Ledger]
) -> None:
    assert contradiction(remembered, there, root_at) is not None


# ---- what is remembered


def note(size: int) -> SignedNote:
    return SignedNote(head(size).text, (NoteSignature("key", b"1234", bytes(64)),))


def test_heads_go_forward_only(tmp_path: Path) -> None:
    heads = Heads(tmp_path / "heads")
    assert heads.all() == {}
    for size in (2, 5, 3, 5):
        heads.remember(a_ledger(0), note(size))
        Heads(tmp_path / "heads").remember(a_ledger(0), note(1))
    heads.remember(a_ledger(0, 2), note(1))
    known = {TENANT: {1: head(5), 2: head(1)}}
    assert heads.all() == Heads(tmp_path / "heads").all() == known
    assert heads.of(TENANT) == known[TENANT]
    heads.set_aside(TENANT, 1)
    heads.set_aside(TENANT, 7)
    assert heads.of(TENANT) == {2: head(1)}
    assert heads.all() == Heads(tmp_path / "heads").all() == {TENANT: {2: head(1)}}


@pytest.mark.parametrize("content", [b"", b"\xff", b"nothing", str(note(2)).encode()[:-1]])
def test_what_cannot_be_read_counts_as_more_than_there_is(tmp_path: Path, content: bytes) -> None:
    heads = Heads(tmp_path)
    heads.remember(a_ledger(0), note(2))
    file = tmp_path / f"{TENANT}-1.checkpoint"
    file.write_bytes(content)
    for read in (heads, Heads(tmp_path)):
        found = contradiction(read.all()[TENANT], [a_ledger(200)], root_at)
        assert found is not None
        assert "cannot be read" in found
    heads.remember(a_ledger(0), note(3))
    assert file.read_bytes() == content


def test_other_files_are_no_heads(tmp_path: Path) -> None:
    for name in ("notes.txt", f"{TENANT}.checkpoint", f"{TENANT}-01.checkpoint", "x-1.checkpoint"):
        (tmp_path / name).write_text("something")
    assert Heads(tmp_path).all() == {}


def test_a_service_does_not_start_where_heads_cannot_be_read(
    sqlite_service_url: str, tmp_path: Path
) -> None:
    (tmp_path / "heads").write_text("not a folder")
    with pytest.raises(OperatorError, match="cannot be read"):
        make_service(sqlite_service_url, tmp_path)


@pytest.fixture
def sqlite_service_url(furnished_sqlite_template: Path, tmp_path: Path) -> str:
    return f"sqlite:///{shutil.copy(furnished_sqlite_template, tmp_path / 'consent.db')}"
