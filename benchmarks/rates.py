"""Rates: how long a report takes, and what an export of records needs, beside DuckDB."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from importlib import resources
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import duckdb
import psycopg
import pyarrow as pa
from pyarrow import parquet
from sqlalchemy import delete, insert

from benchmarks import history, report
from benchmarks.databases import make_database, make_user, postgresql
from benchmarks.errors import CannotMeasureError
from benchmarks.processes import HOST, Server, session_peak_mib
from benchmarks.site import Prepared, prepare, service
from consent_service import clock
from consent_service.access.actor import OPERATOR
from consent_service.access.keys import create_key
from consent_service.consents.models import RecordChangeRow, RecordRow
from consent_service.db import Database
from consent_service.notices.service import publish_notice
from consent_service.reports.models import ImpressionsRow
from consent_service.reports.rollups import Rollups
from consent_service.signing import sha256
from consent_service.tenants.service import Site

#: What is asked of the service, and of DuckDB: all days one by one, and the country's rates.
#: The last evening is already the next day in Dar es Salaam.
_PERIOD = {
    "from": history.FIRST_DAY.isoformat(),
    "to": (history.LAST_DAY + timedelta(days=1)).isoformat(),
}
_QUESTIONS: dict[str, tuple[dict[str, str], str]] = {
    "a year, by day": (
        {"step": "day"},
        (
            "SELECT day, count(*) FILTER (answer), count(*) FILTER (answer AND analytics) "
            "FROM records GROUP BY day"
        ),
    ),
    "a year, by country": (
        {"group": "country"},
        (
            "SELECT country, count(*) FILTER (answer), count(*) FILTER (answer AND analytics) "
            "FROM records GROUP BY country"
        ),
    ),
    "a year, phones alone, by language and month": (
        {"device_class": "phone", "group": "language", "step": "month"},
        (
            "SELECT language, date_trunc('month', day), count(*) FILTER (answer), "
            "count(*) FILTER (answer AND analytics) FROM records WHERE device_class = 'phone' "
            "GROUP BY ALL"
        ),
    ),
}

_CHUNK = 50_000
_SIGNATURE, _SALT = b"\x01" * 64, b"\x02" * 32


def run(rounds: int, records: int, folder: Path) -> None:
    """Measure with a tenth of the records and with all of them, and print."""
    report.title(f"Rates: {records:,} made-up records of one site over {history.DAYS} days")
    print(f"\n{(history.__doc__ or '').strip()}")
    found: dict[str, dict[str, float]] = {}
    with ExitStack() as stack:
        server_url, _ = stack.enter_context(postgresql(folder / "postgresql"))
        owner = make_database(server_url, "rates")
        served = make_user(owner, "consent")
        large = _subject(folder / "on-postgresql", served, owner)
        for number in (records // 10, records):
            figures = _measure(large, number, rounds, export=number < records)
            found[f"PostgreSQL, {number:,}"] = _told(figures, f"PostgreSQL, {number:,}")
    small = _subject(folder / "on-sqlite", f"sqlite:///{folder}/on-sqlite/rates.db")
    for number in (records // 100, records // 10):
        figures = _measure(small, number, rounds, export=number == records // 10)
        found[f"SQLite, {number:,}"] = _told(figures, f"SQLite, {number:,}")
    _print(found, records)


def _subject(folder: Path, database_url: str, owner_url: str = "") -> _Subject:
    """Make a database with the site, and the versions of its notice that the history is of."""
    folder.mkdir()
    prepared = prepare(database_url, folder, owner_url=owner_url or None)
    content = json.loads((resources.files("consent_service.demo") / "notice.json").read_bytes())
    database = Database(database_url)
    try:
        for _ in range(history.VERSIONS - prepared.notice_version):
            publish_notice(database, prepared.site, content, by=OPERATOR)
    finally:
        database.close()
    return _Subject(prepared, folder, owner_url)


@dataclass
class _Subject:
    """The service on one database, and how many records it has."""

    prepared: Prepared
    folder: Path
    #: PostgreSQL's superuser: COPY is refused where row-level security holds.
    owner_url: str = ""
    loaded: int = 0

    @property
    def parquet(self) -> Path:
        """Where the same records lie for DuckDB."""
        return self.folder / "records.parquet"


def _measure(subject: _Subject, number: int, rounds: int, *, export: bool) -> dict[str, float]:
    """Load up to so many records, count them, and measure what there is to measure."""
    seconds = {"load s": _timed(_load, subject, number)}
    database = Database(subject.prepared.database_url)
    try:
        seconds["rebuild s"] = _timed(rebuild, database, subject.prepared.site)
        key = create_key(
            database,
            subject.prepared.site.tenant_id,
            "benchmark",
            ["reports:read", "records:export", "records:read"],
            by=OPERATOR,
        ).secret
    finally:
        database.close()
    with service(subject.prepared, subject.folder) as server:
        for name, (query, _) in _QUESTIONS.items():
            asked = {"site": subject.prepared.site.site_key, **_PERIOD, **query}
            seconds[f"{name}, ms"] = 1000 * median(
                _timed(_report, server, key, asked, number) for _ in range(rounds + 1)
            )
    if export:
        seconds |= _exported(subject, key, number)
    with duckdb.connect() as connection:
        connection.execute(f"CREATE VIEW records AS FROM '{subject.parquet}'")
        for name, (_, statement) in _QUESTIONS.items():
            seconds[f"DuckDB: {name}, ms"] = 1000 * median(
                _timed(_answered, connection, statement) for _ in range(rounds + 1)
            )
    return seconds


def _exported(subject: _Subject, key: str, number: int) -> dict[str, float]:
    """Export all records from a server that has done nothing else.

    :raises CannotMeasureError: when some are missing
    """
    with service(subject.prepared, subject.folder) as server:
        started = time.perf_counter()
        rows = _export(server, key, subject.prepared.site.site_key)
        if rows != number:
            raise CannotMeasureError(f"{rows} records in the export, {number} in the database")
        return {
            "export, records/s": number / (time.perf_counter() - started),
            "export, peak MiB of a process": session_peak_mib(server),
        }


def _timed(work: Callable[..., object], *arguments: object) -> float:
    started = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - started


def rebuild(database: Database, site: Site) -> None:
    """Count all days of a site, as the worker would by and by."""
    begun = Rollups(database).begin_rebuild(site, wanted=True)
    while begun and begun.step():
        pass


def _answered(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    connection.execute(query).fetchall()


def _report(server: Server, key: str, query: dict[str, str], number: int) -> None:
    """Ask for a report over HTTP, as a program of the tenant does.

    :raises CannotMeasureError: when it does not tell of all that was loaded
    """
    connection = http.client.HTTPConnection(HOST, server.port, timeout=60)
    try:
        headers = {"Authorization": f"Bearer {key}"}
        connection.request("GET", f"/v1/reports/rates?{urlencode(query)}", headers=headers)
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    if response.status != http.HTTPStatus.OK:
        raise CannotMeasureError(f"the report was answered {response.status}: {body[:500]!r}")
    counted = json.loads(body)["total"]["counts"]["choices"]
    if "device_class" not in query and counted != number:
        raise CannotMeasureError(f"{counted} choices in the report, {number} in the database")


def _export(server: Server, key: str, site_key: str) -> int:
    """Read all records as NDJSON, a piece at a time; return how many came."""
    connection = http.client.HTTPConnection(HOST, server.port, timeout=600)
    query = urlencode({"site": site_key, **_PERIOD})
    try:
        headers = {"Authorization": f"Bearer {key}"}
        connection.request("GET", f"/v1/reports/records.ndjson?{query}", headers=headers)
        response = connection.getresponse()
        lines = 0
        while piece := response.read(1 << 16):
            lines += piece.count(b"\n")
    finally:
        connection.close()
    # Less the closing line.
    return lines - 1


def _load(subject: _Subject, number: int) -> None:
    """Add records until there are so many, their impressions, and the same as Parquet."""
    site = subject.prepared.site
    more = number - subject.loaded
    made = history.records(more, site.tenant_id, site.site_key, seed=subject.loaded + 1)
    columns = _Columns(subject.parquet.with_suffix(f".{number}.parquet"))
    write = _copy if subject.owner_url else _insert
    write(subject, columns.kept(made))
    columns.close()
    with duckdb.connect() as connection:
        parts = str(subject.folder / "records.*.parquet")
        connection.execute(f"COPY (FROM '{parts}') TO '{subject.parquet}' (FORMAT parquet)")
    database = Database(subject.prepared.database_url)
    try:
        with database.transaction(site.tenant_id) as connection:
            rows = [
                {
                    "id": clock.new_id(),
                    "tenant_id": site.tenant_id,
                    "site_id": site.id,
                    "folded": False,
                    **row,
                }
                for row in history.impressions(more)
            ]
            connection.execute(insert(ImpressionsRow), rows)
    finally:
        database.close()
    subject.loaded = number


def _copy(subject: _Subject, made: Iterator[history.Made]) -> None:
    """Load into PostgreSQL, as its superuser; what is loaded is counted by the rebuild."""
    site = subject.prepared.site
    names = "id, tenant_id, site_id, created_at, visitor_id, document, signature, key_id, salt"
    fixed = f"\\\\x{_SIGNATURE.hex()}\tbenchmark\t\\\\x{_SALT.hex()}"
    with psycopg.connect(subject.owner_url, autocommit=True) as connection:
        trigger = "TRIGGER records_made_are_noted"
        connection.execute(f"ALTER TABLE records DISABLE {trigger}")
        with connection.cursor().copy(f"COPY records ({names}, after_ms) FROM STDIN") as copy:
            for one in made:
                after = "\\N" if one.after_ms is None else one.after_ms
                copy.write(
                    f"{one.id}\t{site.tenant_id}\t{site.id}\t{one.created_at.isoformat()}"
                    f"\t{one.visitor_id}\t{one.document}\t{fixed}\t{after}\n"
                )
        connection.execute(f"ALTER TABLE records ENABLE {trigger}")
        connection.execute("VACUUM ANALYZE records")


def _insert(subject: _Subject, made: Iterator[history.Made]) -> None:
    site = subject.prepared.site
    database = Database(subject.prepared.database_url)
    try:
        while rows := [
            {
                "id": UUID(one.id),
                "tenant_id": site.tenant_id,
                "site_id": site.id,
                "created_at": one.created_at,
                "visitor_id": one.visitor_id,
                "document": one.document,
                "signature": _SIGNATURE,
                "key_id": "benchmark",
                "salt": _SALT,
                "commitment": sha256(_SALT + one.document.encode()),
                "after_ms": one.after_ms,
            }
            for _, one in zip(range(_CHUNK), made, strict=False)
        ]:
            with database.transaction(site.tenant_id) as connection:
                connection.execute(insert(RecordRow), rows)
                connection.execute(delete(RecordChangeRow))
    finally:
        database.close()


class _Columns:
    """Writes what a column store keeps of records, a row group at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: parquet.ParquetWriter | None = None
        self._rows: list[dict[str, Any]] = []

    def kept(self, made: Iterator[history.Made]) -> Iterator[history.Made]:
        """Give what comes, and keep its columns."""
        for one in made:
            self._rows.append(one.columns)
            if len(self._rows) == _CHUNK:
                self._write()
            yield one

    def close(self) -> None:
        """Write what is left, and end the file."""
        self._write()
        if self._writer:
            self._writer.close()

    def _write(self) -> None:
        if not self._rows:
            return
        rows = pa.Table.from_pylist(self._rows)
        self._writer = self._writer or parquet.ParquetWriter(self._path, rows.schema)
        self._writer.write_table(rows)
        self._rows = []


def _told(figures: dict[str, float], where: str) -> dict[str, float]:
    """Print figures as they come: all of them together take a while."""
    said = "; ".join(f"{name} {_shown(figure)}" for name, figure in figures.items())
    print(f"\n{where}: {said}", flush=True)
    return figures


def _shown(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:,.1f}"


def _print(found: dict[str, dict[str, float]], records: int) -> None:
    head = ("", *found)
    names = list(next(iter(found.values())))
    report.table(
        head, [(name, *(_shown(found[column].get(name)) for column in found)) for name in names]
    )
    claims = []
    for database, most in (("PostgreSQL", records), ("SQLite", records // 10)):
        tenth, whole = (found[f"{database}, {number:,}"] for number in (most // 10, most))
        asked = [f"{name}, ms" for name in _QUESTIONS]
        claims += [
            report.Claim(
                f"{database}, {most:,} records: slowest report",
                max(whole[name] for name in asked),
                100,
                at_most=True,
                unit=" ms",
            ),
            report.Claim(
                f"{database}: the same at ten times the records, at most so many times as long",
                max(whole[name] / tenth[name] for name in asked),
                1.3,
                at_most=True,
            ),
        ]
    million = f"PostgreSQL, {records // 10:,}"
    claims.append(
        report.Claim(
            f"{million} records: export, peak memory of a process",
            found[million]["export, peak MiB of a process"],
            150,
            at_most=True,
            unit=" MiB",
        )
    )
    report.claims(claims)
