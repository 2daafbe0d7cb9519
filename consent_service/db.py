"""The database: SQLite (WAL) or PostgreSQL behind one small set of calls.

What callers may rely on:

- :meth:`Database.transaction` has committed, durably, when its block has ended without an error;
  otherwise nothing of it was written.
- All that one :meth:`Database.reading` reads was true at one moment.
- A database that is gone, locked or full raises :class:`~consent_service.errors.Unavailable`.
- A transaction states its scope, and on PostgreSQL sees and writes nothing beyond it: forced
  policies on every table compare it (``migrations/versions/0003_accounts.py`` has them).
- On SQLite a transaction takes the write lock when it begins, so reading and then writing in one
  block never meets a lock half-way.
- :meth:`Database.snapshot` reads at length without keeping anybody waiting, and writes what follows
  from it.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import UUID

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    DateTime,
    ForeignKeyConstraint,
    MetaData,
    Row,
    Select,
    Uuid,
    create_engine,
    event,
    select,
    text,
)
from sqlalchemy.engine import Dialect, Engine, make_url
from sqlalchemy.exc import (
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import TypeDecorator

from consent_service.errors import OperatorError, Unavailable

#: Seconds to wait for a lock before the caller is told to come back.
LOCK_SECONDS = 2

#: Seconds that one statement may take, and that a transaction may sit idle.
STATEMENT_SECONDS = 5

#: Longer than any transaction of ours lasts.
OVERLAP_MS = 15_000


class Scope(StrEnum):
    """What a transaction that is not one tenant's may see.

    One tenant's sees that tenant's rows, and the users who are or were its members.
    """

    #: To find a tenant or site by its public name, and to follow what visitors' calls need of
    #: every tenant: tenants, sites, published notices, current states, ledgers and what waits for
    #: them. Reads only.
    DIRECTORY = "directory"
    #: To find out who calls, and to let people in: users, their sessions and credentials,
    #: memberships, invitations. Of API keys and identity providers it only reads, but for when a
    #: key was used; to audit logs it only adds.
    ACCOUNTS = "accounts"
    #: No row of anybody.
    NONE = "none"


#: A clock that never goes back and, where there is one, counts sleep too.
_UPTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def uptime() -> float:
    """Return seconds since some moment before this process began."""
    return time.clock_gettime(_UPTIME)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime, always UTC in Python, whatever the database makes of time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Write UTC; SQLite keeps it without a zone."""
        if value is None or dialect.name != "sqlite":
            return value
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Read UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Base of all tables. Constraint names follow one rule, so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime, UUID: Uuid}  # noqa: RUF012


def granted(rights: str) -> dict[str, Any]:
    """Say on a table what the user whom the service connects as may do with it."""
    return {"info": {"granted": rights}}


def of_one_tenants_site() -> ForeignKeyConstraint:
    """Have a row's site be its tenant's: the database refuses any other."""
    return ForeignKeyConstraint(["tenant_id", "site_id"], ["sites.tenant_id", "sites.id"])


class database_ms(GenericFunction[int]):  # noqa: N801 - it is written like the SQL function it is
    """Milliseconds since 1970 by the database's own clock.

    Followers of recent changes compare against this clock alone, so that nodes whose clocks
    differ cannot hide a change from each other.
    """

    type = BigInteger()
    inherit_cache = True


@compiles(database_ms, "postgresql")
def _postgresql_ms(element: database_ms, compiler: SQLCompiler, **_: Any) -> str:  # noqa: ANN401, ARG001
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"


@compiles(database_ms, "sqlite")
def _sqlite_ms(element: database_ms, compiler: SQLCompiler, **_: Any) -> str:  # noqa: ANN401, ARG001
    return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"


class Follower:
    """Reads the rows of one table that changed since it last read, by the database's clock.

    Each row must carry ``changed_ms``, written as :class:`database_ms`. Rows are read again for
    :data:`OVERLAP_MS`, since a transaction that began early may commit late; so a reader must take
    the same row twice without harm.
    """

    def __init__(self, changed_ms: ColumnElement[int], *, first_ms: int | None = None) -> None:
        """Follow the table of this column; the first time ``first_ms`` back, None for all."""
        self._changed_ms = changed_ms
        self._first_ms = first_ms
        self._database_ms = 0
        self._heard_at: float | None = None

    @contextmanager
    def read(self, connection: Connection, query: Select[Any]) -> Iterator[Sequence[Row[Any]]]:
        """Give the query's rows that are new; when the block fails, they are new again next time.

        The connection must not have read anything before: on SQLite it would not see what was
        written since then.
        """
        started = uptime()
        now_ms = connection.execute(select(database_ms())).scalar_one()
        if self._heard_at is not None:
            # Both clocks, so that neither a paused process nor a fail-over to a database whose
            # clock is behind leaves a gap.
            here_ms = int((started - self._heard_at) * 1000)
            since = min(self._database_ms, now_ms - here_ms) - OVERLAP_MS
            query = query.where(self._changed_ms > since)
        elif self._first_ms is not None:
            query = query.where(self._changed_ms > now_ms - self._first_ms - OVERLAP_MS)
        yield connection.execute(query).all()
        self._database_ms = now_ms
        self._heard_at = started

    @property
    def silent_seconds(self) -> float:
        """Seconds since the last successful read began; infinite before the first."""
        return float("inf") if self._heard_at is None else uptime() - self._heard_at


class Contended(Exception):
    """Somebody else is at the same work, or was first. Nothing was written: try again later."""


@dataclass(frozen=True)
class Snapshot:
    """One consistent state of the database, and a way to write what follows from it."""

    #: Reads that state, for as long as it takes.
    connection: Connection
    #: Gives the connection to write with, once, at the end. On SQLite it is another one, which sees
    #: what was written since: the caller must make sure there that nothing has overtaken it.
    writing: Callable[[], AbstractContextManager[Connection]]


class Database:
    """A pool of connections to one database."""

    def __init__(self, url: str) -> None:
        """Connect lazily: a database that is gone must not keep a process from starting."""
        self._engine = _engine(url)
        # SQLite's own lock is not fair: under load, one that waits may never get it. So this
        # process's threads queue for it here, and only one of them tries.
        self._turn = Lock() if self._engine.dialect.name == "sqlite" else None

    @contextmanager
    def transaction(self, scope: UUID | Scope) -> Iterator[Connection]:
        """Give a connection whose work is committed when the block ends, or undone.

        :param scope: the id of the tenant whose rows it may see and write, or what else
        :raises Unavailable: when the database cannot do it now
        """
        with self._in_turn(), self._connection(scope, write=True) as connection:
            yield connection

    @contextmanager
    def reading(self, scope: UUID | Scope) -> Iterator[Connection]:
        """Give a connection for reading one consistent state.

        :param scope: the id of the tenant whose rows it may see, or what else
        :raises Unavailable: when the database cannot do it now
        """
        with self._connection(scope, write=False, begin=_READ_ONLY) as connection:
            yield connection

    @contextmanager
    def snapshot(self, scope: UUID, work: UUID) -> Iterator[Snapshot]:
        """Give a consistent state to whoever is alone at some work.

        Recording goes on meanwhile: on SQLite, which takes one writer at a time, nothing is locked
        while the state is read. A process that ends leaves no lock behind.

        :param scope: the id of the tenant whose rows it may see and write
        :param work: names the work; on SQLite one process at a time does any
        :raises Contended: when somebody else is at it, or has changed what is to be changed
        :raises Unavailable: when the database cannot do it now
        """
        url = self._engine.url
        try:
            if self._engine.dialect.name == "sqlite":
                with _alone_beside(f"{url.database}"), self.reading(scope) as connection:
                    yield Snapshot(connection, lambda: self.transaction(scope))
                return
            with self._connection(scope, write=True, begin=_REPEATABLE) as connection:
                alone = text("SELECT pg_try_advisory_xact_lock(:work)")
                number = int.from_bytes(work.bytes[8:], signed=True)
                if not connection.execute(alone, {"work": number}).scalar_one():
                    raise Contended
                yield Snapshot(connection, lambda: nullcontext(connection))
        except (Unavailable, IntegrityError) as error:
            cause = error if isinstance(error, IntegrityError) else error.__cause__
            if getattr(getattr(cause, "orig", None), "sqlstate", None) in _OVERTAKEN:
                raise Contended from error
            raise

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        if self._turn is None:
            yield
        elif not self._turn.acquire(timeout=LOCK_SECONDS):
            raise Unavailable
        else:
            try:
                yield
            finally:
                self._turn.release()

    @contextmanager
    def _connection(
        self, scope: UUID | Scope, *, write: bool, begin: str = "BEGIN"
    ) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                connection.execution_options(
                    consent_scope=str(scope), consent_write=write, consent_begin=begin
                )
                with connection.begin():
                    yield connection
        except (OperationalError, InterfaceError, InternalError, PoolTimeoutError) as error:
            raise Unavailable from error

    def revision(self) -> str | None:
        """Return the migration the database stands at.

        None for an empty one, and for one that its owner has not let this user into yet.
        """
        try:
            with self.reading(Scope.NONE) as connection:
                return MigrationContext.configure(connection).get_current_revision()
        except ProgrammingError as error:
            if _lacks_a_right(error):
                return None
            raise

    def check_migrated(self) -> None:
        """Refuse to run against another schema than this version was written for.

        :raises OperatorError: when migrations are due, or the database is from a later version
        """
        if self.revision() != newest_revision():
            raise OperatorError(
                "The database's tables are not those of this version. "
                "Run: consent-service db upgrade"
            )

    def check_subject(self) -> None:
        """Refuse to serve as a database user whom row-level security does not hold.

        :raises OperatorError: when the user owns tables, is above policies, or can come to be
        """
        if self._engine.dialect.name != "postgresql":
            return
        with self.reading(Scope.NONE) as connection:
            above = connection.execute(text(_ABOVE_POLICIES)).scalar_one()
        if above:
            raise OperatorError(
                f"The database user {self._engine.url.username!r} owns the tables, is above "
                "row-level security, or can make itself so; nothing would keep tenants apart. "
                "Serve as a user who owns nothing: docs/operations.md says how to make one."
            )

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


# Everybody is a member of their own role, and a superuser of all.
_ABOVE_POLICIES = """
    SELECT EXISTS (
        SELECT FROM pg_roles
        WHERE (rolsuper OR rolbypassrls OR rolcreaterole) AND pg_has_role(oid, 'MEMBER')
    ) OR EXISTS (
        SELECT FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND pg_has_role(relowner, 'MEMBER')
    )
"""

_INSUFFICIENT_PRIVILEGE = "42501"

_REPEATABLE = "BEGIN ISOLATION LEVEL REPEATABLE READ"
_READ_ONLY = f"{_REPEATABLE} READ ONLY"

#: serialization_failure, deadlock_detected, and unique_violation: somebody else's row was first.
_OVERTAKEN = {"40001", "40P01", "23505"}


@contextmanager
def _alone_beside(path: str) -> Iterator[None]:
    """Hold a lock that ends with this process: SQLite's own, of an empty file beside the database.

    :raises Contended: when another process or thread holds it
    """
    try:
        with closing(sqlite3.connect(f"{path}-work", timeout=0, isolation_level=None)) as lock:
            try:
                lock.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                    raise Contended from error
                raise
            yield
    except sqlite3.OperationalError as error:
        raise Unavailable from error


def _lacks_a_right(error: ProgrammingError) -> bool:
    return getattr(error.orig, "sqlstate", None) == _INSUFFICIENT_PRIVILEGE


def _engine(url: str) -> Engine:
    # Errors get into logs, and a statement's parameters hold what is known of a visitor.
    if make_url(url).get_backend_name() == "postgresql":
        engine = create_engine(
            url,
            hide_parameters=True,
            pool_size=16,
            max_overflow=16,
            pool_timeout=LOCK_SECONDS,
            pool_use_lifo=True,
            pool_recycle=1800,
            connect_args={
                "connect_timeout": 3,
                "application_name": "consent-service",
                "options": f"-c lock_timeout={LOCK_SECONDS}s "
                f"-c statement_timeout={STATEMENT_SECONDS}s "
                f"-c idle_in_transaction_session_timeout={STATEMENT_SECONDS}s",
            },
        )

        @event.listens_for(engine, "connect")
        def _begin_ourselves(connection: Any, _: object) -> None:  # noqa: ANN401
            # The driver's own BEGIN would be a round trip more.
            connection.autocommit = True

        @event.listens_for(engine, "begin")
        def _state_scope(connection: Connection) -> None:
            options = connection.get_execution_options()
            begin, scope = options["consent_begin"], options["consent_scope"]
            connection.exec_driver_sql(
                f"{begin}; SET LOCAL consent.scope = '{scope}'",
                # The driver sends two statements as one message only without any.
                execution_options={"no_parameters": True},
            )

        return engine
    # A folder that cannot be made is a database that is away.
    with suppress(OSError):
        Path(make_url(url).database or "").parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url,
        hide_parameters=True,
        pool_timeout=LOCK_SECONDS,
        connect_args={"timeout": LOCK_SECONDS},
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _: object) -> None:
        # The driver's own idea of when a transaction begins is switched off; see _begin.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        # Erased means that: freed space is written over, however SQLite was built. Debian's and
        # Apple's do it by themselves.
        connection.execute("PRAGMA secure_delete = ON")
        # Or REPLACE would delete rows behind the back of the triggers that refuse it.
        connection.execute("PRAGMA recursive_triggers = ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("consent_write", True)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


@contextmanager
def opened(url: str) -> Iterator[Database]:
    """Give a database for the block.

    :raises OperatorError: when its tables are not of this version
    """
    database = Database(url)
    try:
        database.check_migrated()
        yield database
    finally:
        database.close()


def _migrations() -> Config:
    inside = Path(__file__).parent / "migrations"
    folder = inside if inside.is_dir() else Path(__file__).parent.parent / "migrations"
    return Config(folder / "alembic.ini", attributes={})


@cache
def newest_revision() -> str | None:
    """Return the id of the newest migration that came with this version; read once a process."""
    return ScriptDirectory.from_config(_migrations()).get_current_head()


def upgrade(url: str, revision: str = "head", *, served_by: str | None = None) -> None:
    """Bring the database's tables to a revision, in one transaction a migration.

    :param url: of the user who owns the tables
    :param served_by: PostgreSQL's name of the user whom the service connects as, who is given
        what it needs and no more; None on SQLite
    :raises Unavailable: when the database cannot be reached
    :raises OperatorError: when the owner may not do it, or ``served_by`` is nobody
    """
    _migrate(url, command.upgrade, revision, served_by)


def downgrade(url: str, revision: str) -> None:
    """Take the database's tables back to an older revision (``base`` for none).

    :raises Unavailable: when the database cannot be reached
    """
    _migrate(url, command.downgrade, revision, None)


def _migrate(url: str, step: Any, revision: str, served_by: str | None) -> None:  # noqa: ANN401
    database = Database(url)
    try:
        with database.transaction(Scope.NONE) as connection:
            if connection.dialect.name == "postgresql":
                # Looking through large tables takes its time.
                connection.execute(text("SET LOCAL statement_timeout = 0"))
            config = _migrations()
            config.attributes.update(connection=connection, served_by=served_by)
            step(config, revision)
    except ProgrammingError as error:
        if not _lacks_a_right(error):
            raise
        user = make_url(url).username
        raise OperatorError(
            f"The database user {user!r} cannot change the tables, as it does not own all of "
            f"them: {error.orig}"
        ) from error
    finally:
        database.close()
