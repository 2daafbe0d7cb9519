"""The worker: it counts what comes in, however it ends, and ends with whoever started it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from consent_service import worker
from consent_service.reports.jobs import Counting
from consent_service.tenants.service import Site, all_sites
from tests import servers
from tests.builders import Service, make_service
from tests.reports.histories import ASKED, History, counted
from tests.servers import PATIENCE, wait_until

AT = datetime(2026, 9, 3, 12, tzinfo=UTC)


@pytest.fixture
def sqlite_service(sqlite_url: str, tmp_path: Path) -> Iterator[Service]:
    made = make_service(sqlite_url, tmp_path)
    yield made
    made.built.database.close()


def environ(service: Service) -> dict[str, str]:
    """Return the settings of a service."""
    return servers.environ_without_settings() | {
        "CONSENT_DATABASE_URL": service.settings.database_url,
        "CONSENT_KEYS_FILE": str(service.settings.keys_file),
        "CONSENT_HEADS_FOLDER": str(service.settings.heads_folder),
    }


@contextmanager
def working(service: Service) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker."""
    process = subprocess.Popen(
        [sys.executable, "-m", "consent_service.worker"],
        env=environ(service),
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.communicate()


def exists(pid: int) -> bool:
    """Say whether a process is there, and more than remembered."""
    with suppress(FileNotFoundError):
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text("utf-8")
    return False


def test_a_killed_worker_loses_nothing_and_counts_nothing_twice(service: Service) -> None:
    moments = random.Random(1)
    history = History(service.built.database, service.tenant)
    history.settle()
    stop = threading.Event()

    def come_in() -> None:
        for number in range(10_000):
            if stop.is_set():
                return
            at = AT + timedelta(hours=moments.randint(-30, 30))
            history.record(number % 7, at, notice_version=1 + number % 2)
            history.show(at)
            if number % 11 == 0:
                history.erase(number % 5)

    visitors = threading.Thread(target=come_in)
    visitors.start()
    try:
        for _ in range(2):
            with working(service) as process:
                before = counted(history.database, history.site)
                wait_until(
                    lambda: counted(history.database, history.site) != before,  # noqa: B023
                    "nothing is counted",
                )
                # Into the next transactions, wherever they are by then.
                stop.wait(moments.random())
                process.kill()
    finally:
        stop.set()
        visitors.join()
    history.check()


def test_a_worker_told_to_stop_ends_well(service: Service) -> None:
    history = History(service.built.database, service.tenant)
    history.record(1, AT)
    with working(service) as process:
        wait_until(history.is_counted, "nothing is counted")
        process.terminate()
        _, said = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, said
        assert b"Traceback" not in said


def test_a_worker_will_not_work_on_tables_of_another_version(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "consent_service.cli", "worker"],
        env=servers.environ_without_settings()
        | {"CONSENT_DATABASE_URL": f"sqlite:///{tmp_path}/consent.db"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 2
    assert "consent-service db upgrade" in found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_server_counts_and_takes_its_worker_along(
    sqlite_service: Service, how: signal.Signals
) -> None:
    service = sqlite_service
    history = History(service.built.database, service.tenant)
    # Before the worker comes: one that is killed while it counts a site the first time holds it.
    history.settle()
    port = servers.free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "consent_service.cli", "serve"],
        env=environ(service) | {"CONSENT_PORT": str(port), "CONSENT_WORKERS": "1"},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        history.record(1, AT)
        wait_until(history.is_counted, "nothing is counted")
        (child,) = [
            pid for pid in children(process.pid) if "consent_service.worker" in command(pid)
        ]
        if how == signal.SIGTERM:
            # One that ends by itself is started again.
            os.kill(child, signal.SIGKILL)
            history.record(2, AT)
            wait_until(history.is_counted, "nothing is counted")
            (child,) = [
                pid for pid in children(process.pid) if "consent_service.worker" in command(pid)
            ]
        process.send_signal(how)
        process.wait(PATIENCE)
        wait_until(lambda: not exists(child), "the worker goes on")
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    found = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(each) for path in found for each in path.read_text("utf-8").split()]


def command(pid: int) -> str:
    """Return how a process was started."""
    with suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/cmdline").read_text("utf-8")
    return ""


def test_a_job_that_fails_keeps_no_other_from_being_done(
    sqlite_service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    stop = threading.Event()
    done: list[list[str]] = []

    def fail(_sites: object) -> bool:
        raise ValueError("a job's own")

    def do(sites: list[Site]) -> bool:
        done.append([site.site_key for site in sites])
        if len(done) == 2:
            stop.set()
        return True

    jobs = [worker.Job("first", 0, fail), worker.Job("second", 0, do)]  # type: ignore[arg-type]
    worker.Worker(sqlite_service.built.database, jobs, stop).run()
    assert done == [["site_test"], ["site_test"]]
    failed = [vars(record)["job"] for record in caplog.records if record.message == "job failed"]
    assert failed == ["first", "first"]


def test_a_site_that_cannot_be_counted_keeps_no_other_waiting(
    sqlite_service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    database = sqlite_service.built.database
    broken, whole = (History(database, sqlite_service.tenant) for _ in range(2))
    counting = Counting(database)
    while counting.count(all_sites(database)):
        pass
    broken.record(1, AT, regime=None, choices=None)
    whole.record(1, AT, choices=dict.fromkeys(ASKED[1], False))
    counting.count(all_sites(database))
    assert whole.is_counted()
    assert counted(database, whole.site)
    assert not counted(database, broken.site)
    assert [vars(record)["site"] for record in caplog.records] == [broken.site.site_key]
