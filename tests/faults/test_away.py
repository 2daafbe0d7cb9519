"""A database that is locked, gone or full: a clear refusal, never a grant, and then it goes on."""

from __future__ import annotations

import sqlite3
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from sqlalchemy import make_url

from consent_service import db
from consent_service.consents import tokens
from consent_service.signing import Keyring
from consent_service.worker import Worker, jobs
from tests.builders import Service, make_service, make_user_token
from tests.faults.processes import GRANT, HTTP, REFUSAL, ServiceProcess, Visitor
from tests.faults.whole import check_whole
from tests.reports.histories import History
from tests.servers import PATIENCE, Postgres, wait_until


def file_of(service: Service) -> Path:
    return Path(str(make_url(service.settings.database_url).database))


def assert_unavailable(response: httpx.Response) -> None:
    """Assert that the caller is told, and told when to come back, and nothing else."""
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "unavailable"
    assert int(response.headers["Retry-After"]) > 0
    assert "Set-Cookie" not in response.headers


def aged(service: Service, token: str) -> str:
    """Return the token as it would have been issued two days ago."""
    signer = Keyring(service.settings.keys_file).signer(tokens.SALT)
    claims = tokens.read_token(token, "site_test", signer)
    assert claims is not None
    return tokens.write_token(claims._replace(issued_at=int(time.time()) - 2 * 86_400), signer)


def test_a_locked_database_refuses_and_then_goes_on(on_sqlite: Service) -> None:
    with ServiceProcess(on_sqlite, workers="2") as process:
        visitor = Visitor(process.address)
        grant = visitor.choose(GRANT)
        before = check_whole(on_sqlite)
        with sqlite3.connect(file_of(on_sqlite), isolation_level=None) as other:
            other.execute("BEGIN EXCLUSIVE")
            assert_unavailable(visitor.send(REFUSAL, "the-same-decision"))
            with pytest.raises(AssertionError, match="unavailable"):
                visitor.erase()
            # Asking and reading go on meanwhile.
            assert visitor.reason() == "granted"
            assert visitor.me().status_code == 200
            assert HTTP.get(f"{process.address}/readyz").status_code == 200
            other.execute("ROLLBACK")
        other.close()
        assert check_whole(on_sqlite) == before
        assert visitor.token == grant
        assert visitor.send(REFUSAL, "the-same-decision").status_code == 201
        assert len(check_whole(on_sqlite)) == 2


def test_a_full_disk_refuses_and_loses_nothing(on_sqlite: Service) -> None:
    """A file that may not grow fails with the same error as a disk that is full."""
    acknowledged = []
    nearly_full = file_of(on_sqlite).stat().st_size + 100_000
    with ServiceProcess(on_sqlite, workers="2", file_bytes=nearly_full) as process:
        visitor = Visitor(process.address)
        while (response := visitor.send(GRANT)).status_code == 201:
            acknowledged.append(response.json()["record"]["id"])
        assert_unavailable(response)
        assert acknowledged
        assert_unavailable(visitor.send(REFUSAL))
        assert visitor.reason() == "granted"
        assert [record["id"] for record in visitor.me().json()["history"]] == acknowledged[::-1]
        assert check_whole(on_sqlite) == set(acknowledged)
        process.stop()
        process.file_bytes = None
        process.start()
        assert visitor.send(REFUSAL).status_code == 201
        assert len(check_whole(on_sqlite)) == len(acknowledged) + 1


def test_a_stopped_database_refuses_and_the_service_goes_on_when_it_is_back(
    postgres: Postgres, on_postgres: Service
) -> None:
    with ServiceProcess(on_postgres, workers="2") as process:
        visitor, newcomer = Visitor(process.address), Visitor(process.address)
        grant = visitor.choose(GRANT)
        postgres.stop()
        assert_unavailable(visitor.send(REFUSAL))
        assert_unavailable(newcomer.send(GRANT))
        assert_unavailable(visitor.me())
        # What is known and young is believed for a while, what must be looked up is not.
        assert visitor.reason() == "granted"
        assert newcomer.reason() == "no_choice"
        for _ in range(8):
            old = Visitor(process.address, aged(on_postgres, grant))
            assert old.reason() == "state_stale"
            assert "X-Consent-Token" not in old.ask().headers
            assert old.reason("session") == "essential"
        assert HTTP.get(f"{process.address}/healthz").status_code == 200
        assert HTTP.get(f"{process.address}/readyz").status_code == 503
        postgres.start()
        # By itself, in each worker.
        wait_until(
            lambda: all(
                HTTP.get(f"{process.address}/readyz").status_code == 200 for _ in range(16)
            ),
            "the service did not find its database again",
        )
        assert visitor.send(REFUSAL).status_code == 201
        assert visitor.reason() == "withdrawn"
        assert Visitor(process.address, aged(on_postgres, grant)).reason() == "withdrawn"
    on_postgres.built.database.close()
    assert len(check_whole(on_postgres)) == 2


def test_a_process_that_lost_its_database_denies_after_thirty_seconds_until_it_is_back(
    postgres: Postgres, on_postgres: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    uptime, later = db.uptime, 0.0
    monkeypatch.setattr(db, "uptime", lambda: uptime() + later)
    token = on_postgres.token()
    on_postgres.built.followers.start()
    try:
        assert on_postgres.reason(token=token) == "granted"
        postgres.stop()
        assert on_postgres.reason(token=token) == "granted"
        later = 31.0
        assert on_postgres.reason(token=token) == "state_stale"
        assert on_postgres.reason() == "state_stale"
        assert on_postgres.ask("session").get_json()["allow"] is True
        assert on_postgres.ask(token=token, entry="/auth").status_code == 403
        postgres.start()
        wait_until(
            lambda: on_postgres.reason(token=token) == "granted",
            "the gate stayed stale although the database was back",
        )
    finally:
        on_postgres.built.followers.stop()


def test_linking_is_refused_without_a_database_and_done_when_it_is_back(
    postgres: Postgres, on_postgres: Service
) -> None:
    token = on_postgres.token()
    user_token = make_user_token(on_postgres.link_key)
    postgres.stop()
    response = on_postgres.link(token=token, user_token=user_token)
    assert response.status_code == 503
    assert response.get_json()["error"]["code"] == "unavailable"
    assert "Set-Cookie" not in response.headers
    postgres.start()
    wait_until(
        lambda: on_postgres.link(token=token, user_token=user_token).status_code == 200,
        "linking did not find the database again",
    )
    assert len(on_postgres.rows("linked_users")) == 1


def assert_nothing_without_a_database(process: ServiceProcess, token: str) -> None:
    assert HTTP.get(f"{process.address}/healthz").status_code == 200
    assert HTTP.get(f"{process.address}/readyz").status_code == 503
    visitor = Visitor(process.address, token)
    for purpose in ("analytics", "session"):
        assert_unavailable(visitor.ask(purpose))
    question = "site=site_test&purpose=analytics&service=pageviews"
    for path in (
        f"/v1/gate/auth?{question}",
        f"/v1/gate/script?{question}",
        "/v1/sites/site_test/banner",
        "/embed/site_test.js",
    ):
        assert_unavailable(HTTP.get(process.address + path))
    assert_unavailable(visitor.send(GRANT))


def assert_all_goes_on(process: ServiceProcess, token: str) -> None:
    visitor = Visitor(process.address, token)
    wait_until(
        lambda: {visitor.ask().status_code for _ in range(16)} == {200},
        "the service did not find its database",
    )
    assert visitor.reason() == "granted"
    assert HTTP.get(f"{process.address}/readyz").status_code == 200
    assert HTTP.get(f"{process.address}/v1/sites/site_test/banner").status_code == 200
    assert visitor.send(REFUSAL).status_code == 201
    assert visitor.reason() == "withdrawn"


def test_a_service_starts_without_its_server_and_finds_it_later(
    postgres: Postgres, on_postgres: Service
) -> None:
    token = on_postgres.token()
    postgres.stop()
    with ServiceProcess(on_postgres, ready="/healthz", workers="2") as process:
        assert_nothing_without_a_database(process, token)
        postgres.start()
        assert_all_goes_on(process, token)


def test_a_service_starts_without_its_file_and_finds_it_later(tmp_path: Path) -> None:
    """As when the disk that it is on appears later."""
    folder = tmp_path / "disk"
    url = f"sqlite:///{folder}/consent.db"
    db.upgrade(url)
    service = make_service(url, tmp_path)
    token = service.token()
    service.built.database.close()
    aside = folder.rename(tmp_path / "aside")
    folder.touch()
    with ServiceProcess(service, ready="/healthz", workers="2") as process:
        assert_nothing_without_a_database(process, token)
        folder.unlink()
        aside.rename(folder)
        assert_all_goes_on(process, token)


def test_a_worker_waits_for_a_database_that_is_away_and_goes_on(
    postgres: Postgres, on_postgres: Service, caplog: pytest.LogCaptureFixture
) -> None:
    database = on_postgres.built.database
    caplog.set_level("INFO", "consent_service.worker")
    history = History(database, on_postgres.tenant)
    stop = threading.Event()
    work = jobs(database, on_postgres.use(Keyring), on_postgres.settings)
    worker = threading.Thread(target=Worker(database, work, stop).run, daemon=True)
    worker.start()
    try:
        for _ in range(2):
            history.record(1, datetime(2026, 9, 3, tzinfo=UTC))
            wait_until(history.is_counted, "nothing is counted")
            caplog.clear()
            postgres.kill()
            wait_until(lambda: "cannot be reached" in caplog.text, "it is not missed")
            postgres.start()
            wait_until(lambda: "database is back" in caplog.text, "it is not said")
            said = [each.message for each in caplog.records if each.name.endswith(".worker")]
            assert said == ["database cannot be reached; the worker waits", "database is back"]
    finally:
        stop.set()
        worker.join(PATIENCE)
    assert not worker.is_alive()
    history.check()
