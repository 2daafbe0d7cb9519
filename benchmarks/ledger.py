"""The ledger: how fast records become leaves, are proved and audited, beside doing it plainly."""

from __future__ import annotations

import os
import random
import secrets
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import NamedTuple, Self
from uuid import UUID

import psycopg
from sqlalchemy import delete, insert, make_url, select

from benchmarks import history, report
from benchmarks.databases import make_database, make_user, postgresql
from benchmarks.errors import CannotMeasureError
from benchmarks.load import measure, require_wrk
from benchmarks.processes import ROOT, family_cpu_seconds, peak_mib, python
from benchmarks.rates import rebuild
from benchmarks.recording import PLAIN, check, recorder
from benchmarks.site import Prepared, prepare
from consent_service import clock, config
from consent_service.consents.models import RecordChangeRow, RecordRow
from consent_service.consents.store import SALT_BYTES
from consent_service.db import Database
from consent_service.ledger import store
from consent_service.ledger.auditing import public_keys
from consent_service.ledger.directory import LedgerDirectory
from consent_service.ledger.heads import Heads
from consent_service.ledger.merkle import leaf_hash, root_of
from consent_service.ledger.models import LeafRow
from consent_service.ledger.sequencer import Sequencer
from consent_service.ledger.service import prove
from consent_service.signing import Keyring, sha256

_CHUNK = 10_000
_PROOFS = 500

#: Signatures that tell how long one takes to verify.
_SIGNATURES = 2_000

#: What keeps growing with the ledger.
_TABLES = ("leaves", "nodes", "checkpoints", "cosignatures")

_COLUMNS = (
    "id, tenant_id, site_id, created_at, visitor_id, document, signature, key_id, salt, commitment"
)

_LOOK_SECONDS = 0.2
_CATCH_UP_SECONDS = 60

Figures = dict[str, float]


def run(rounds: int, seconds: int, leaves: int, folder: Path) -> None:
    """Measure and print."""
    report.title(f"Ledger: {leaves:,} made-up records of one site, signed; on SQLite a tenth")
    require_wrk()
    found: dict[str, Figures] = {}
    with ExitStack() as stack:
        server_url, pid = stack.enter_context(postgresql(folder / "postgresql"))
        owner = make_database(server_url, "ledger")
        served = make_user(owner, "consent")
        on_postgresql = _Subject.make(folder / "on-postgresql", served, owner, pid)
        on_sqlite = _Subject.make(folder / "on-sqlite", f"sqlite:///{folder}/on-sqlite/ledger.db")
        for name, subject, most in (
            ("SQLite", on_sqlite, leaves // 10),
            ("PostgreSQL", on_postgresql, leaves),
        ):
            for number in (most // 100, most // 10, most):
                found[f"{name}, {number:,}"] = _told(f"{name}, {number:,}", _grow(subject, number))
            found[f"{name}, {most:,}"] |= _told(f"{name}, {most:,}, audit", _audit(subject))
        found[f"PostgreSQL, {leaves:,}"] |= _told(
            "PostgreSQL, recording", _record(stack, on_postgresql, rounds, seconds)
        )
    _print(found, leaves)


@dataclass
class _Subject:
    """The service on one database, and how many leaves it has."""

    prepared: Prepared
    folder: Path
    database: Database
    keys: Keyring
    #: PostgreSQL's superuser: COPY is refused where row-level security holds.
    owner_url: str
    #: PostgreSQL's process.
    pid: int
    leaves: int = 0

    @classmethod
    def make(cls, folder: Path, database_url: str, owner_url: str = "", pid: int = 0) -> _Subject:
        """Make a database with the site in it."""
        folder.mkdir()
        prepared = prepare(database_url, folder, owner_url=owner_url or None)
        keys = Keyring(prepared.keys_file)
        return cls(prepared, folder, Database(database_url), keys, owner_url, pid)

    @property
    def tenant_id(self) -> UUID:
        """Whose records they are."""
        return self.prepared.site.tenant_id

    @property
    def database_file(self) -> str:
        """Where SQLite keeps it."""
        return str(make_url(self.prepared.database_url).database)

    def cpu_seconds(self) -> float:
        """Return the CPU time that this process and the database's have used."""
        return time.process_time() + (family_cpu_seconds(self.pid) if self.pid else 0)


def _grow(subject: _Subject, number: int) -> Figures:
    """Have so many leaves in all, and measure what there is to measure."""
    more = number - subject.leaves
    made = history.records(
        more, subject.tenant_id, subject.prepared.site.site_key, seed=subject.leaves + 1
    )
    started = time.perf_counter()
    (_copy if subject.owner_url else _insert)(subject, made)
    figures = {"made and loaded, records/s": more / (time.perf_counter() - started)}
    figures |= _sequence(subject, more)
    subject.leaves = number
    figures |= _prove(subject)
    return figures | _sizes(subject)


def _sequence(subject: _Subject, expected: int) -> Figures:
    """Have all that waits become leaves.

    :raises CannotMeasureError: when it is not as many as were made
    """
    directory = LedgerDirectory(subject.database, Heads(subject.folder / "heads"))
    sequencer = Sequencer(subject.database, subject.keys, directory)
    started, before = time.perf_counter(), subject.cpu_seconds()
    added = 0
    while batch := sequencer.sequence(subject.tenant_id):
        added += batch
    used, took = subject.cpu_seconds() - before, time.perf_counter() - started
    if added != expected:
        raise CannotMeasureError(f"{expected} records were made, and {added} became leaves")
    return {"sequencing, leaves/s": added / took, "sequencing, CPU µs a leaf": used / added * 1e6}


def _prove(subject: _Subject) -> Figures:
    """Prove leaves from all over the ledger, as receipts do.

    :raises CannotMeasureError: when one is not proved
    """
    chance = random.Random(subject.leaves)  # noqa: S311 - the same on every run
    columns = LeafRow.__table__.c
    wanted = [chance.randrange(subject.leaves) for _ in range(_PROOFS)]
    with subject.database.reading(subject.tenant_id) as connection:
        query = select(columns.record_id).where(
            columns.tenant_id == subject.tenant_id, columns.leaf_index.in_(wanted)
        )
        ids = list(connection.execute(query).scalars())
    prove(subject.database, subject.tenant_id, ids[0])
    before = subject.cpu_seconds()
    times = [_timed(_proved, subject, each) for each in ids]
    used = subject.cpu_seconds() - before
    times.sort()
    plain = _timed(_rebuild, subject)
    return {
        "proof, median ms": 1000 * median(times),
        "proof, p99 ms": 1000 * times[len(times) * 99 // 100],
        "proof, CPU ms": 1000 * used / len(ids),
        "all leaves read and hashed, ms": 1000 * plain,
        "that, times a proof": plain / median(times),
    }


def _proved(subject: _Subject, record_id: UUID) -> None:
    if prove(subject.database, subject.tenant_id, record_id) is None:
        raise CannotMeasureError(f"record {record_id} is not proved")


def _rebuild(subject: _Subject) -> None:
    """Compute the head's root as one would who keeps no tree: from all leaves.

    :raises CannotMeasureError: when it is another root
    """
    query = "SELECT commitment FROM leaves ORDER BY leaf_index"
    if subject.owner_url:
        with psycopg.connect(subject.owner_url) as connection:
            rows = connection.execute(query).fetchall()
    else:
        with closing(sqlite3.connect(subject.database_file)) as connection:
            rows = connection.execute(query).fetchall()
    root = root_of([leaf_hash(entry) for (entry,) in rows])
    with subject.database.reading(subject.tenant_id) as connection:
        ledger = store.open_ledger(connection, subject.tenant_id)
    if ledger is None or ledger.root != root:
        raise CannotMeasureError("the leaves do not give the head's root")


def _sizes(subject: _Subject) -> Figures:
    """Return the bytes on disk that the ledger has for each leaf, indexes included."""
    if subject.owner_url:
        query = "SELECT sum(pg_total_relation_size(name::regclass)) FROM unnest(%s::text[]) name"
        with psycopg.connect(subject.owner_url) as connection:
            row = connection.execute(query, [list(_TABLES)]).fetchone()
    else:
        marks = ", ".join("?" * len(_TABLES))
        query = (
            "SELECT sum(pgsize) FROM dbstat WHERE name IN "  # noqa: S608 - marks alone
            f"(SELECT name FROM sqlite_master WHERE tbl_name IN ({marks}))"
        )
        with closing(sqlite3.connect(subject.database_file)) as connection:
            row = connection.execute(query, _TABLES).fetchone()
    return {"on disk, bytes a leaf": float(row[0]) / subject.leaves} if row else {}


def _audit(subject: _Subject) -> Figures:
    """Audit with the command, in a process of its own.

    :raises CannotMeasureError: when it finds something
    """
    environ = {key: value for key, value in os.environ.items() if not key.startswith("CONSENT_")}
    environ |= {
        "PYTHONPATH": str(ROOT),
        config.variable("database_url"): subject.prepared.database_url,
        config.variable("keys_file"): str(subject.prepared.keys_file),
    }
    log = subject.folder / "audit.log"
    database = family_cpu_seconds(subject.pid) if subject.pid else 0
    started = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(
            python("consent_service.cli", "ledger", "audit", "--all"),
            env=environ,
            stdout=output,
            stderr=subprocess.DEVNULL,
        )
        peak = 0.0
        # What a process that has ended says of its memory includes that of this one.
        while (ended := os.wait4(process.pid, os.WNOHANG))[0] == 0:
            peak = max(peak, peak_mib(process.pid))
            time.sleep(_LOOK_SECONDS)
    took = time.perf_counter() - started
    _, status, used = ended
    process.returncode = os.waitstatus_to_exitcode(status)
    said = log.read_text("utf-8")
    if process.returncode or f"{subject.leaves:,}  leaves" not in said:
        raise CannotMeasureError(f"the audit ended with {process.returncode}:\n{said[-2000:]}")
    cpu = used.ru_utime + used.ru_stime
    database = (family_cpu_seconds(subject.pid) if subject.pid else 0) - database
    return {
        "audit, s": took,
        "audit, leaves/s": subject.leaves / took,
        "audit, CPU s": cpu + database,
        "audit, peak MiB": peak,
        "audit, CPU times its signatures alone": cpu / (subject.leaves * _verifying(subject)),
    }


def _verifying(subject: _Subject) -> float:
    """Return the CPU seconds that it takes to verify one record's signature, and no more."""
    [key] = public_keys(subject.keys).values()
    columns = RecordRow.__table__.c
    with subject.database.reading(subject.tenant_id) as connection:
        query = select(columns.document, columns.signature).limit(_SIGNATURES)
        signed = [
            (row.document.encode(), row.signature)
            for row in connection.execute(query.where(columns.tenant_id == subject.tenant_id))
        ]
    before = time.process_time()
    if not all(key.verifies(*each) for each in signed):
        raise CannotMeasureError("a signature does not verify")
    return (time.process_time() - before) / len(signed)


def _record(stack: ExitStack, subject: _Subject, rounds: int, seconds: int) -> Figures:
    """Record as fast as it goes, while the worker beside the service makes leaves."""
    # Or the worker would be counting all the made-up days meanwhile.
    rebuild(subject.database, subject.prepared.site)
    recording = recorder(stack, subject.folder, subject.prepared, subject.pid)
    target = recording.target(PLAIN, keyed=False)
    check(target, recording.body)
    with _Backlog(subject) as backlog:
        measured = measure([target], rounds, seconds)
    started = time.perf_counter()
    while backlog.look():
        time.sleep(_LOOK_SECONDS)
        if time.perf_counter() - started > _CATCH_UP_SECONDS:
            raise CannotMeasureError(f"records still wait after {_CATCH_UP_SECONDS} s")
    return {
        "recording beside it, records/s": measured.median(PLAIN, "per_second"),
        "most that waited meanwhile": float(backlog.most),
        "longest that a record waited, s": backlog.longest,
    }


class _Backlog:
    """Looks, while its block runs, how many records wait to become leaves, and for how long."""

    def __init__(self, subject: _Subject) -> None:
        self._subject = subject
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow)
        self.most = 0
        self.longest = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def look(self) -> int:
        """Look once; return how many wait."""
        with self._subject.database.reading(self._subject.tenant_id) as connection:
            number, since = store.waiting(connection, self._subject.tenant_id)
        self.most = max(self.most, number)
        if since:
            self.longest = max(self.longest, (clock.now() - since).total_seconds())
        return number

    def _follow(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            self.look()


def _copy(subject: _Subject, made: Iterator[history.Made]) -> None:
    """Load into PostgreSQL, as its superuser, and have what is loaded wait as by its triggers."""
    site = subject.prepared.site
    with psycopg.connect(subject.owner_url, autocommit=True) as connection:
        trigger = "TRIGGER records_made_are_noted"
        connection.execute(f"ALTER TABLE records DISABLE {trigger}")
        with connection.cursor().copy(f"COPY records ({_COLUMNS}) FROM STDIN") as copy:
            for one, signed in _signed(subject, made):
                copy.write(
                    f"{one.id}\t{site.tenant_id}\t{site.id}\t{one.created_at.isoformat()}"
                    f"\t{one.visitor_id}\t{one.document}\t\\\\x{signed.signature.hex()}"
                    f"\t{signed.key_id}\t\\\\x{signed.salt.hex()}"
                    f"\t\\\\x{signed.commitment.hex()}\n"
                )
        connection.execute(f"ALTER TABLE records ENABLE {trigger}")
        connection.execute(
            "INSERT INTO pending_leaves (tenant_id, record_id, tombstone, commitment, added_at) "
            "SELECT tenant_id, id, false, commitment, created_at FROM records WHERE NOT EXISTS "
            "(SELECT FROM leaves WHERE record_id = id)"
        )
        connection.execute("VACUUM ANALYZE records, pending_leaves, leaves")


def _insert(subject: _Subject, made: Iterator[history.Made]) -> None:
    site = subject.prepared.site
    signed = _signed(subject, made)
    while rows := [
        {
            "id": UUID(one.id),
            "tenant_id": site.tenant_id,
            "site_id": site.id,
            "created_at": one.created_at,
            "visitor_id": one.visitor_id,
            "document": one.document,
            **made._asdict(),
        }
        for _, (one, made) in zip(range(_CHUNK), signed, strict=False)
    ]:
        with subject.database.transaction(site.tenant_id) as connection:
            connection.execute(insert(RecordRow), rows)
            connection.execute(delete(RecordChangeRow))


class _Signed(NamedTuple):
    """What the service adds to a document."""

    signature: bytes
    key_id: str
    salt: bytes
    commitment: bytes


def _signed(
    subject: _Subject, made: Iterator[history.Made]
) -> Iterator[tuple[history.Made, _Signed]]:
    for one in made:
        said, salt = one.document.encode(), secrets.token_bytes(SALT_BYTES)
        signature = subject.keys.sign(said)
        yield one, _Signed(signature.value, signature.key_id, salt, sha256(salt + said))


def _timed(work: Callable[..., object], *arguments: object) -> float:
    started = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - started


def _told(where: str, figures: Figures) -> Figures:
    """Print figures as they come: all of them together take a while."""
    said = "; ".join(f"{name} {_shown(figure)}" for name, figure in figures.items())
    print(f"\n{where}: {said}", flush=True)
    return figures


def _shown(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:,.1f}"


def _print(found: dict[str, Figures], leaves: int) -> None:
    names = dict.fromkeys(name for figures in found.values() for name in figures)
    report.table(
        ("", *found),
        [(name, *(_shown(figures.get(name)) for figures in found.values())) for name in names],
    )
    whole = found[f"PostgreSQL, {leaves:,}"]
    claims = [
        report.Claim(
            "PostgreSQL: sequencing, leaves/s against records/s of recording",
            whole["sequencing, leaves/s"] / whole["recording beside it, records/s"],
            5,
        ),
        report.Claim(
            "PostgreSQL: recording at full speed, the longest that a record waits to be a leaf",
            whole["longest that a record waited, s"],
            5,
            at_most=True,
            unit=" s",
        ),
    ]
    for name in (f"PostgreSQL, {leaves:,}", f"SQLite, {leaves // 10:,}"):
        median_ms, peak = found[name]["proof, median ms"], found[name]["audit, peak MiB"]
        claims += [
            report.Claim(f"{name} leaves: proof, median", median_ms, 10, at_most=True, unit=" ms"),
            report.Claim(
                f"{name} leaves: audit, peak memory", peak, 150, at_most=True, unit=" MiB"
            ),
        ]
    report.claims(claims)
