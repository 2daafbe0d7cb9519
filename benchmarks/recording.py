"""Recording: durable decisions a second, against a minimal route with one INSERT."""

from __future__ import annotations

import http
import json
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
from sqlalchemy import text

from benchmarks import apps, report
from benchmarks.databases import make_database, make_user, postgresql
from benchmarks.errors import CannotMeasureError
from benchmarks.load import CONNECTIONS, Measured, Target, measure, require_wrk
from benchmarks.processes import Server, ask
from benchmarks.site import WORKERS, Prepared, other, prepare, service
from consent_service.db import Database

MINIMAL = "Flask + marshmallow + one INSERT"
KEYED = "recording, with Idempotency-Key"
PLAIN = "recording"
SQLITE = "recording, on SQLite"

_PATH = "/v1/sites/site_demo/consents"


def run(rounds: int, seconds: int, folder: Path) -> None:
    """Measure and print."""
    report.title(f"Recording: new visitors, {WORKERS} workers, {CONNECTIONS} connections")
    require_wrk()
    with ExitStack() as stack:
        server_url, pid = stack.enter_context(postgresql(folder / "postgresql"))
        theirs = make_database(server_url, "theirs")
        with psycopg.connect(theirs, autocommit=True) as connection:
            connection.execute(apps.TABLE)
        minimal = stack.enter_context(
            other(
                "benchmarks.apps:one_insert", folder, {"BENCHMARK_DATABASE": theirs}, factory=True
            )
        )
        owner = make_database(server_url, "ours")
        served, on_postgresql = make_user(owner, "consent"), folder / "on-postgresql"
        on_postgresql.mkdir()
        prepared = prepare(served, on_postgresql, owner_url=owner)
        durable = recorder(stack, on_postgresql, prepared, pid)
        on_sqlite = folder / "on-sqlite"
        on_sqlite.mkdir()
        prepared = prepare(f"sqlite:///{folder}/recording.db", on_sqlite)
        embedded = recorder(stack, on_sqlite, prepared)
        targets = [
            durable.target(MINIMAL, keyed=False, server=minimal, path="/decisions"),
            durable.target(KEYED, keyed=True),
            durable.target(PLAIN, keyed=False),
            replace(embedded.target(SQLITE, keyed=True), may_refuse=True),
        ]
        for target in targets:
            check(target, durable.body)
        measured = measure(targets, rounds, seconds)
        durable.check_stored(measured, KEYED, PLAIN)
        embedded.check_stored(measured, SQLITE)
    report.loads(measured, MINIMAL)
    report.claims(
        [
            report.Claim(
                f"{name}, requests/s against {MINIMAL}",
                measured.ratio(name, MINIMAL, "per_second"),
                0.7,
            )
            for name in (KEYED, PLAIN)
        ]
    )


@dataclass(frozen=True)
class Recorder:
    """The service on one database, and what to send it."""

    prepared: Prepared
    server: Server
    body: Path
    helpers: tuple[int, ...]

    def target(
        self, name: str, *, keyed: bool, server: Server | None = None, path: str = _PATH
    ) -> Target:
        """Return a target that posts decisions, to this service or to another server."""
        arguments = (
            str(self.body),
            self.prepared.origin,
            "1" if keyed else "0",
        )
        return Target(name, server or self.server, path, "record.lua", arguments, self.helpers)

    def check_stored(self, measured: Measured, *names: str) -> None:
        """Make sure that every decision acknowledged is there.

        :raises CannotMeasureError: when one is not
        """
        samples = [sample for name in names for sample in measured.samples[name]]
        acknowledged = sum(sample.requests - sample.refused for sample in samples)
        database = Database(self.prepared.database_url)
        try:
            with database.reading(self.prepared.site.tenant_id) as connection:
                stored = connection.execute(text("SELECT count(*) FROM records")).scalar_one()
        finally:
            database.close()
        if stored < acknowledged:
            raise CannotMeasureError(f"{acknowledged} decisions acknowledged, {stored} stored")


def recorder(stack: ExitStack, folder: Path, prepared: Prepared, *helpers: int) -> Recorder:
    """Run the service until the stack is closed.

    :param helpers: ids of processes that work for it: its database
    """
    body = folder / "decision.json"
    decision = {
        "choices": dict.fromkeys(prepared.optional, True),
        "action": "accept_all",
        "notice_version": prepared.notice_version,
        "language": "en",
        "surface": "banner",
    }
    body.write_text(json.dumps(decision), "ascii")
    return Recorder(prepared, stack.enter_context(service(prepared, folder)), body, helpers)


def check(target: Target, body: Path) -> None:
    """Make sure that a decision is stored by this target.

    :raises CannotMeasureError: when it is not
    """
    headers = {"Content-Type": "application/json", "Origin": target.arguments[1]}
    reply = ask(
        target.server.port, target.path, method="POST", headers=headers, body=body.read_bytes()
    )
    if reply.status != http.HTTPStatus.CREATED:
        raise CannotMeasureError(f"{target.name} answered {reply.status}: {reply.body!r}")
