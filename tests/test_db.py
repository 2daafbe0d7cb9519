"""What callers may rely on, on each kind of database."""

from __future__ import annotations

import re
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from threading import Barrier
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, insert, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, IntegrityError

from consent_service import clock
from consent_service.db import Database, Scope, UtcDateTime, database_ms, downgrade
from consent_service.errors import OperatorError, Unavailable
from consent_service.tenants.models import SiteRow, TenantRow
from tests.databases import Urls

SECRET = "s3cr3t"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url)
    yield made
    made.close()


@pytest.fixture
def tenant_id(database: Database) -> UUID:
    """A tenant without anything."""
    made = clock.new_id()
    with database.transaction(made) as connection:
        connection.execute(insert(TenantRow), a_tenant(made, "one"))
    return made


def a_tenant(tenant_id: UUID, slug: str) -> dict[str, object]:
    return {"id": tenant_id, "slug": slug, "name": slug, "created_at": clock.now()}


def a_site(tenant_id: UUID, key: str, at: datetime | None = None) -> dict[str, object]:
    return {
        "id": clock.new_id(),
        "tenant_id": tenant_id,
        "site_key": key,
        "name": key,
        "allowed_origins": [],
        "regime_overrides": {},
        "created_at": at or clock.now(),
        "changed_ms": 0,
    }


def sites(database: Database) -> int:
    with database.reading(Scope.DIRECTORY) as connection:
        return connection.execute(select(func.count()).select_from(SiteRow)).scalar_one()


def test_what_a_transaction_wrote_is_there_when_it_ended(
    database: Database, tenant_id: UUID
) -> None:
    with database.transaction(tenant_id) as connection:
        connection.execute(
            insert(SiteRow), [a_site(tenant_id, "site_1"), a_site(tenant_id, "site_2")]
        )
    assert sites(database) == 2


def test_of_a_transaction_that_failed_nothing_is_there(database: Database, tenant_id: UUID) -> None:
    def write(*keys: str) -> None:
        with database.transaction(tenant_id) as connection:
            for key in keys:
                connection.execute(insert(SiteRow), a_site(tenant_id, key))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write("site_1", "site_2")
    with pytest.raises(IntegrityError):
        write("site_1", "site_1")
    assert sites(database) == 0


def test_rows_of_one_tenant_only_name_tenants_that_are_there(database: Database) -> None:
    nobody = clock.new_id()
    with pytest.raises(IntegrityError), database.transaction(nobody) as connection:
        connection.execute(insert(SiteRow), a_site(nobody, "site_x"))


def test_all_that_one_reading_reads_was_true_at_one_moment(
    database: Database, tenant_id: UUID
) -> None:
    count = select(func.count()).select_from(SiteRow)
    with database.reading(tenant_id) as connection:
        assert connection.execute(count).scalar_one() == 0
        with database.transaction(tenant_id) as meanwhile:
            meanwhile.execute(insert(SiteRow), a_site(tenant_id, "site_1"))
        assert connection.execute(count).scalar_one() == 0
    assert sites(database) == 1


def test_writers_at_the_same_moment_wait_for_each_other(
    database: Database, tenant_id: UUID
) -> None:
    writers = 8
    together = Barrier(writers)

    def write(number: int) -> None:
        together.wait()
        with database.transaction(tenant_id) as connection:
            count = connection.execute(select(func.count()).select_from(SiteRow)).scalar_one()
            connection.execute(insert(SiteRow), a_site(tenant_id, f"site_{number}_{count}"))

    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(write, range(writers)))
    assert sites(database) == writers


def test_stating_the_scope_is_no_further_round_trip(postgresql_url: str, tmp_path: Path) -> None:
    database = Database(postgresql_url)
    with database.reading(Scope.NONE) as connection:
        driver: Any = connection.connection.driver_connection
    with (tmp_path / "sent").open("w+") as sent:
        driver.pgconn.trace(sent.fileno())
        with database.reading(Scope.NONE) as connection:
            connection.execute(text("SELECT 1"))
        driver.pgconn.untrace()
        sent.seek(0)
        asked = re.findall(r"\tF\t\d+\t(?:Query|Sync)\b", sent.read())
    database.close()
    assert len(asked) == 3, "BEGIN with the scope, the statement, COMMIT"


def test_a_database_that_cannot_be_reached_is_unavailable() -> None:
    database = Database("postgresql+psycopg://nobody@127.0.0.1:1/nothing")
    with pytest.raises(Unavailable), database.reading(Scope.NONE):
        pass
    database.close()


def test_a_connection_that_was_lost_is_unavailable_and_the_next_is_another(
    postgresql_url: str,
) -> None:
    database, other = Database(postgresql_url), Database(postgresql_url)
    with database.reading(Scope.NONE) as connection:
        lost = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    with other.reading(Scope.NONE) as connection:
        assert connection.execute(text(f"SELECT pg_terminate_backend({lost}, 4000)")).scalar_one()
    with pytest.raises(Unavailable), database.reading(Scope.NONE):
        pass
    with database.reading(Scope.NONE) as connection:
        assert connection.execute(text("SELECT 1")).scalar_one() == 1
    database.close()
    other.close()


def test_an_error_does_not_quote_what_was_written(database: Database) -> None:
    with (
        pytest.raises((Unavailable, DBAPIError)) as caught,
        database.reading(Scope.NONE) as connection,
    ):
        connection.execute(text("SELECT * FROM nowhere WHERE a = :a"), {"a": SECRET})
    said = "".join(traceback.format_exception(caught.value))
    assert "nowhere" in said
    assert SECRET not in said


@pytest.mark.parametrize("hours", [-11, 0, 3, 14])
def test_a_moment_comes_back_in_utc_whatever_its_zone(
    database: Database, tenant_id: UUID, hours: int
) -> None:
    at = datetime(2026, 3, 1, 9, 30, 0, 123000, timezone(timedelta(hours=hours)))
    with database.transaction(tenant_id) as connection:
        connection.execute(insert(SiteRow), a_site(tenant_id, "site_1", at))
    with database.reading(tenant_id) as connection:
        found = connection.execute(select(SiteRow.created_at)).scalar_one()
    assert found == at
    assert found.tzinfo is UTC


@given(st.datetimes(timezones=st.just(UTC)) | st.none())
def test_a_moment_is_the_same_after_both_ways(moment: datetime | None) -> None:
    column = UtcDateTime()
    for dialect in (sqlite.dialect(), postgresql.dialect()):  # type: ignore[no-untyped-call]
        stored = column.process_bind_param(moment, dialect)
        assert column.process_result_value(stored, dialect) == moment


def test_the_databases_clock_counts_milliseconds_since_1970(database: Database) -> None:
    before = int(time.time() * 1000)
    with database.reading(Scope.NONE) as connection:
        found = connection.execute(select(database_ms())).scalar_one()
    # Both read the same clock; SQLite rounds.
    assert before - 1 <= found <= int(time.time() * 1000) + 1


def test_a_service_does_not_run_on_the_tables_of_another_version(empty_urls: Urls) -> None:
    database, owner = Database(empty_urls.served), Database(empty_urls.owner)
    assert database.revision() is None
    with pytest.raises(OperatorError, match="consent-service db upgrade"):
        database.check_migrated()
    empty_urls.upgrade()
    database.check_migrated()
    with owner.transaction(Scope.NONE) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(OperatorError):
        database.check_migrated()
    database.close()
    owner.close()


def test_upgrading_again_changes_nothing(
    database: Database, tenant_id: UUID, owner_url: str, database_url: str
) -> None:
    with database.transaction(tenant_id) as connection:
        connection.execute(insert(SiteRow), a_site(tenant_id, "site_1"))
    Urls(database_url, owner_url).upgrade()
    assert sites(database) == 1


def test_a_downgrade_takes_all_tables_away(database: Database, owner_url: str) -> None:
    downgrade(owner_url, "base")
    assert database.revision() is None
