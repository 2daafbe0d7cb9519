"""Whatever happens, each record becomes one leaf of one log, and every checkpoint is right."""

from __future__ import annotations

import logging
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from consent_service.db import Contended, Database
from consent_service.ledger import sequencer, store
from consent_service.ledger.checkpoint import Checkpoint
from consent_service.ledger.service import LedgerBroken, prove
from consent_service.ledger.store import Ledger
from consent_service.signing import Keyring
from consent_service.tenants.service import all_sites
from tests.builders import ORIGIN, SITE_KEY, Service
from tests.databases import PostgresDatabases
from tests.ledger.logs import Log
from tests.ledger.test_restored import Machine
from tests.ledger.whole import Whole
from tests.reports.histories import Killed, at_statement, kill
from tests.servers import wait_until


class Place(NamedTuple):
    """A database, and the folder of keys and remembered heads beside it."""

    database: Database
    folder: Path


@pytest.fixture(scope="module")
def on_sqlite(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("sqlite")
    database = Database(f"sqlite:///{shutil.copy(sqlite_template, folder / 'consent.db')}")
    yield Place(database, folder)
    database.close()


@pytest.fixture(scope="module")
def on_postgresql(
    postgresql_databases: PostgresDatabases,
    postgresql_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Place]:
    with postgresql_databases.fresh(postgresql_template) as urls:
        database = Database(urls.served)
        yield Place(database, tmp_path_factory.mktemp("postgresql"))
        database.close()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest) -> Place:
    """A database of each kind in turn; each test has tenants of its own in it."""
    found: Place = request.getfixturevalue(f"on_{request.param}")
    return found


@pytest.fixture
def log(place: Place) -> Log:
    """A tenant without records."""
    return Log(*place)


def test_batches_go_on_over_complete_tiles(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequencer, "BATCH", 250)
    log.record(1030)
    sizes = []
    while log.sequence():
        sizes.append(log.size)
    assert sizes == [250, 500, 750, 1000, 1030]
    for number, size in ((1, 1031), (248, 1279), (1, 1280), (1, 1281)):
        log.record(number)
        assert log.sequence() == number
        assert log.size == size
    assert log.sequence() == 0
    log.whole.check_anew()


def test_a_batch_is_of_at_most_a_thousand(log: Log) -> None:
    log.record(sequencer.BATCH + 1)
    assert [log.sequence(), log.sequence(), log.sequence()] == [sequencer.BATCH, 1, 0]
    assert log.size == sequencer.BATCH + 1


def test_what_was_erased_before_it_was_added_is_added_with_its_tombstone(log: Log) -> None:
    log.record(3)
    log.erase(2)
    assert log.sequence() == 5
    assert log.size == 5
    log.erase()
    assert log.sequence() == 1
    assert log.size == 6
    log.whole.check_anew()


def test_each_record_and_tombstone_is_proved(log: Log) -> None:
    log.record(3)
    waiting, erased = log.records[0], log.records[2]
    assert prove(log.database, log.tenant_id, waiting) is None
    log.erase()
    log.sequence()
    log.record()
    log.sequence()
    for record, tombstone in ((waiting, False), (erased, False), (erased, True)):
        proof = prove(log.database, log.tenant_id, record, tombstone=tombstone)
        assert proof is not None
        assert proof.checkpoint.size == 5
    assert prove(log.database, log.tenant_id, waiting, tombstone=True) is None


def test_no_tenant_is_told_of_anothers_records(log: Log) -> None:
    other = Log(log.database, log.folder)
    log.record()
    log.sequence()
    assert prove(log.database, other.tenant_id, log.records[0]) is None


@pytest.mark.parametrize("after", [0, 254])
def test_a_batch_that_fails_anywhere_is_not_there_at_all(
    log: Log, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """At each of its statements in turn, the first batch of a ledger and a later one."""
    monkeypatch.setattr(sequencer, "BATCH", 6)
    if after:
        monkeypatch.setattr(sequencer, "BATCH", after)
        log.record(after)
        log.sequence()
        monkeypatch.setattr(sequencer, "BATCH", 6)
    log.record(7)
    for number in count(1):
        before = log.size
        try:
            with at_statement(log.database, number, kill):
                log.sequence()
        except Killed:
            assert log.size == before
        else:
            break
    assert number > 8
    assert log.size == after + 6
    log.catch_up()
    assert log.size == after + 7
    log.whole.check_anew()


def test_a_head_that_could_not_be_remembered_is_remembered_later(
    log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    heads = log.folder / "heads"
    heads.mkdir(exist_ok=True)
    aside = heads.rename(log.folder / "aside")
    heads.touch()
    for _ in range(2):
        log.record()
        assert log.sequencer.sequence(log.tenant_id) == 1
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "may go unnoticed" in caplog.text
    heads.unlink()
    aside.rename(heads)
    log.record()
    log.sequence()
    assert log.heads.all()[log.tenant_id][1].size == 3
    assert log.size == 3


steps = st.lists(
    st.one_of(
        st.tuples(st.just("record"), st.sampled_from([1, 2, 5, 60])),
        st.tuples(st.just("erase"), st.integers(1, 3)),
        st.tuples(st.just("sequence")),
        st.tuples(st.just("run")),
        st.tuples(st.just("race")),
        st.tuples(st.just("killed"), st.integers(1, 14)),
        st.tuples(st.just("overtaken"), st.integers(1, 14)),
    ).flatmap(lambda step: st.tuples(st.integers(0, 1), st.just(step))),
    max_size=12,
)


def go(log: Log, name: str, *arguments: int) -> None:
    """Have something happen to a tenant."""
    if name == "run":
        log.sequencer.run([log.site])
    elif name == "race":
        with ThreadPoolExecutor(2) as pool:
            racers = [log.another_sequencer(log.database) for _ in range(2)]
            for task in [pool.submit(each.run, [log.site]) for each in racers]:
                task.result()
    elif name == "killed":
        with suppress(Killed), at_statement(log.database, arguments[0], kill):
            log.sequence()
    elif name == "overtaken":

        def overtake() -> None:
            # On SQLite whoever is first keeps others out until it is done.
            log.another_sequencer(log.database).sequence(log.tenant_id)

        with suppress(Contended), at_statement(log.database, arguments[0], overtake, reading=True):
            log.sequence()
    else:
        getattr(log, name)(*arguments)


def whatever_happens(place: Place, happened: list[tuple[int, tuple[Any, ...]]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sequencer, "BATCH", 40)
        logs = [Log(*place) for _ in range(2)]
        for number, step in happened:
            go(logs[number], *step)
            for log in logs:
                log.whole.check()
        for log in logs:
            log.catch_up()
            log.whole.check_anew()


@settings(max_examples=15)
@given(happened=steps)
def test_whatever_happens_each_record_becomes_one_leaf_on_sqlite(
    on_sqlite: Place, happened: list[tuple[int, tuple[Any, ...]]]
) -> None:
    whatever_happens(on_sqlite, happened)


@settings(max_examples=8)
@given(happened=steps)
def test_whatever_happens_each_record_becomes_one_leaf_on_postgresql(
    on_postgresql: Place, happened: list[tuple[int, tuple[Any, ...]]]
) -> None:
    whatever_happens(on_postgresql, happened)


def test_whatever_visitors_do_becomes_leaves(service: Service) -> None:
    """Choosing, linking devices and erasing, by the service itself, in an order of chance."""
    chance = random.Random(service.on_postgresql)
    machine = Machine(service)
    whole = Whole(service.built.database, service.use(Keyring))
    tokens: list[str] = []
    for _ in range(40):
        token = chance.choice(tokens) if tokens and chance.random() < 0.7 else None
        held = {"Origin": ORIGIN, **({"X-Consent-Token": token} if token else {})}
        step = chance.choice(["choose", "choose", "link", "erase", "add"])
        if step == "choose":
            tokens.append(service.token(analytics=chance.random() < 0.5, token=token))
        elif step == "link":
            linked = service.link(f"user-{chance.randint(1, 3)}", token=token)
            assert linked.status_code == 200
        elif step == "erase" and token:
            address = f"/v1/sites/{SITE_KEY}/consents/me"
            assert service.client.delete(address, headers=held).status_code in {200, 404}
        else:
            machine.work()
        whole.check()
    machine.work()
    rows = len(service.rows("records")) + len(service.rows("tombstones"))
    assert sum(whole.check_anew().sizes.values()) == rows
    assert service.rows("tombstones")


def test_a_head_that_is_another_by_then_is_not_moved(log: Log) -> None:
    """Each condition for itself: the database's own keys are another wall behind it."""
    log.record()
    log.sequence()
    with log.database.reading(log.tenant_id) as connection:
        ledger = store.open_ledger(connection, log.tenant_id)
    assert ledger is not None
    later = Checkpoint(ledger.origin, 5, bytes(32))

    def moved(known: Ledger, change: Callable[..., None] | None = None) -> bool:
        class Undo(Exception):
            pass

        found = False
        with suppress(Undo), log.database.transaction(log.tenant_id) as connection:
            if change:
                change(connection, ledger)
            found = store.move_head(connection, known, later)
            raise Undo
        return found

    assert moved(ledger)
    assert not moved(ledger._replace(size=0))
    assert not moved(ledger._replace(root=bytes(32)))
    assert not moved(ledger, store.suspend)
    assert not moved(ledger, store.close)


def test_two_sequencers_at_once_never_make_two_heads(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequencer, "BATCH", 5)
    log.record(60)
    url = log.database._engine.url.render_as_string(hide_password=False)  # noqa: SLF001
    databases = [Database(url) for _ in range(2)]
    added = []

    def work(database: Database) -> None:
        own = log.another_sequencer(database)
        while True:
            try:
                leaves = own.sequence(log.tenant_id)
            except Contended:
                continue
            if not leaves:
                return
            added.append(leaves)

    with ThreadPoolExecutor(2) as pool:
        for task in [pool.submit(work, each) for each in databases]:
            task.result()
    for each in databases:
        each.close()
    assert sum(added) == 60
    assert log.size == 60
    log.whole.check_anew()


def test_processes_that_are_killed_lose_nothing_and_add_nothing_twice(log: Log) -> None:
    """Two at a time, at any moment, while records are made."""
    url = log.database._engine.url.render_as_string(hide_password=False)  # noqa: SLF001
    moments = random.Random(1)
    with subprocess.Popen(
        [sys.executable, "-m", "tests.ledger.processes", url, str(log.folder), str(log.tenant_id)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdin
        assert parent.stdout
        for _ in range(6):
            child = int(parent.stdout.readline())
            before = log.size
            log.record(moments.randint(10, 40))
            wait_until(lambda: log.size > before, "nothing is added")  # noqa: B023
            os.kill(child, signal.SIGKILL)
        parent.stdin.close()
        assert parent.wait(30) == 0
    log.catch_up()
    assert log.size == len(log.records)
    log.whole.check_anew()


def test_a_ledger_that_does_not_hold_together_stops_nobody_else(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    database, broken, other = place.database, Log(*place), Log(*place)
    for log in (broken, other):
        log.record(3)
        log.sequence()
    # Whatever has done that: the database lets nobody change a leaf.
    with database.transaction(broken.tenant_id) as connection:
        grown = "UPDATE ledgers SET size = 4, root = :root WHERE tenant_id = :tenant"
        connection.execute(text(grown), {"root": bytes(32), "tenant": broken.tenant_id.hex})
    for log in (broken, other):
        log.record()
    with pytest.raises(LedgerBroken, match=str(broken.tenant_id)):
        broken.sequence()
    sites = [each for each in all_sites(database) if each.id in {broken.site.id, other.site.id}]
    assert len(sites) == 2
    caplog.clear()
    for _ in range(3):
        other.sequencer.run(sites)
    assert other.size == 4
    said = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.message for record in said] == ["a ledger cannot be added to"]
    with pytest.raises(LedgerBroken):
        prove(database, broken.tenant_id, broken.records[0])
