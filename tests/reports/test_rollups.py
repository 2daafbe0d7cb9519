"""Rollups are what a slow count of all rows makes, whatever happened, and whatever was killed."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from consent_service.access.actor import OPERATOR
from consent_service.cli import main
from consent_service.consents import changes
from consent_service.db import Contended, Database
from consent_service.reports import rollup_store, rollups
from consent_service.reports.rollups import Folded, Superseded
from consent_service.tenants.service import Tenant, create_tenant
from tests.databases import PostgresDatabases
from tests.reports.histories import History, Killed, at_statement, counted, kill

#: West and east of UTC, and where clocks are changed: at night, at midnight, and across it.
ZONES = (
    "Africa/Dar_es_Salaam",
    "America/Los_Angeles",
    "Pacific/Kiritimati",
    "Africa/Cairo",
    "America/St_Johns",
    "UTC",
)

#: Moments at which clocks are changed somewhere of these, or not.
MOMENTS = (
    datetime(2026, 3, 8, 10, tzinfo=UTC),
    datetime(2026, 11, 1, 9, tzinfo=UTC),
    datetime(2026, 4, 23, 22, tzinfo=UTC),
    datetime(2026, 10, 29, 21, tzinfo=UTC),
    datetime(2010, 11, 7, 2, 31, tzinfo=UTC),
    datetime(2026, 12, 31, 21, tzinfo=UTC),
)

at = st.builds(
    lambda moment, minutes, ms: moment + timedelta(minutes=minutes, milliseconds=ms),
    st.sampled_from(MOMENTS),
    st.integers(-1600, 1600) | st.sampled_from([-60, -30, 0, 30, 60]),
    st.integers(0, 999),
)
visitors = st.integers(0, 3)
circumstances = st.fixed_dictionaries(
    {},
    optional={
        "language": st.sampled_from(["en", "sw"]),
        "device_class": st.sampled_from(["phone", "desktop"]),
        "gpc": st.booleans(),
    },
)


@st.composite
def records(draw: st.DrawFn) -> dict[str, Any]:
    version = draw(st.sampled_from([1, 1, 2]))
    keys = ("preferences", "analytics", "marketing")
    chosen: dict[str, bool] = {key: draw(st.booleans()) for key in keys}
    return {
        "notice_version": version,
        "choices": {"session": True, **chosen},
        "action": draw(
            st.sampled_from(["accept_all", "reject_all", "save", "withdraw", "withdraw", "link"])
        ),
        "surface": draw(st.sampled_from(["banner", "preferences"])),
        "country": draw(st.sampled_from(["TZ", "DE", None])),
        "after_ms": draw(st.none() | st.integers(0, 200_000_000)),
        **draw(circumstances),
    }


impressions = st.builds(
    lambda shared, **own: {**shared, **own},
    circumstances,
    kind=st.sampled_from(["shown", "shown", "preferences_opened", "dismissed"]),
    bot=st.sampled_from([False, False, True]),
    number=st.integers(1, 9),
    country=st.sampled_from(["TZ", "ZZ"]),
)


def step(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.tuples(st.just(name), *arguments)


limits = st.integers(1, 4)
numbers = st.integers(1, 30)
happenings = (
    step("record", visitors, at, records()),
    step("record", visitors, at, records()),
    step("show", at, impressions),
    step("erase", visitors),
)
steps = st.lists(
    st.one_of(
        *happenings,
        step("count", limits),
        step("rebuild", st.integers(0, 3)),
        step("move", st.sampled_from(ZONES)),
        step("race", limits),
        step("killed", st.sampled_from(["count", "rebuild"]), numbers),
        step("overtaken", st.sampled_from(["count", "rebuild"]), numbers, st.one_of(*happenings)),
    ),
    max_size=25,
)


def go(history: History, name: str, *arguments: Any) -> None:  # noqa: ANN401
    """Have something happen to a site."""
    if name == "record":
        visitor, moment, content = arguments
        history.record(visitor, moment, **content)
    elif name == "show":
        moment, members = arguments
        history.show(moment, **members)
    elif name == "rebuild":
        with suppress(Contended):
            history.rebuild(days=arguments[0])
    elif name == "race":
        with ThreadPoolExecutor(2) as pool:
            for task in [pool.submit(history.count, *arguments) for _ in range(2)]:
                task.result()
    elif name == "killed":
        work, number = arguments
        with suppress(Killed), at_statement(history.database, number, kill):
            getattr(history, work)()
    elif name == "overtaken":
        work, number, happening = arguments
        act: Callable[[], None] = lambda: go(history, *happening)  # noqa: E731
        with suppress(Contended), at_statement(history.database, number, act, reading=True):
            getattr(history, work)()
    else:
        getattr(history, name)(*arguments)


@pytest.fixture(scope="module", autouse=True)
def _few_at_a_time() -> Iterator[None]:
    """Read and write in so many pieces as there are in a large database."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(changes, "_CHUNK", 3)
        patch.setattr(rollup_store, "_CHUNK", 3)
        yield


@pytest.fixture(scope="module")
def on_sqlite(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    path = shutil.copy(sqlite_template, tmp_path_factory.mktemp("rollups") / "consent.db")
    database = Database(f"sqlite:///{path}")
    yield database
    database.close()


@pytest.fixture(scope="module")
def on_postgresql(
    postgresql_databases: PostgresDatabases, postgresql_template: str
) -> Iterator[Database]:
    with postgresql_databases.fresh(postgresql_template) as urls:
        database = Database(urls.served)
        yield database
        database.close()


def make_tenant(database: Database) -> Tenant:
    return create_tenant(database, secrets.token_hex(8), "Example Ltd", by=OPERATOR)


@settings(max_examples=30)
@given(zone=st.sampled_from(ZONES), happened=steps)
def test_whatever_happens_is_counted_once_on_sqlite(
    on_sqlite: Database, zone: str, happened: list[tuple[Any, ...]]
) -> None:
    history = History(on_sqlite, make_tenant(on_sqlite), zone)
    for each in happened:
        go(history, *each)
    history.check()


@settings(max_examples=8)
@given(zone=st.sampled_from(ZONES), happened=steps)
def test_whatever_happens_is_counted_once_on_postgresql(
    on_postgresql: Database, zone: str, happened: list[tuple[Any, ...]]
) -> None:
    history = History(on_postgresql, make_tenant(on_postgresql), zone)
    for each in happened:
        go(history, *each)
    history.check()


@pytest.fixture
def history(on_sqlite: Database) -> History:
    """A site without records."""
    made = History(on_sqlite, make_tenant(on_sqlite))
    made.settle()
    return made


def days_of(history: History) -> dict[str, int]:
    """Return the choices of each day that has counts."""
    found = counted(history.database, history.site)
    return {
        str(day): counts.get("choices", 0)
        for (day, dimensions, _), counts in found.items()
        if not dimensions
    }


@pytest.mark.parametrize(
    ("zone", "day", "half_hours"),
    [
        ("America/Los_Angeles", "2026-03-08", 46),
        ("America/Los_Angeles", "2026-11-01", 50),
        ("Africa/Cairo", "2026-04-24", 46),
        # Midnight strikes, and after a minute it is the day before again, for an hour.
        ("America/St_Johns", "2010-11-07", 49),
        ("Pacific/Kiritimati", "2026-11-01", 48),
    ],
)
def test_a_local_day_has_the_hours_that_its_clocks_show(
    on_sqlite: Database, zone: str, day: str, half_hours: int
) -> None:
    history = History(on_sqlite, make_tenant(on_sqlite), zone)
    noon = datetime.fromisoformat(f"{day}T12:00:00+00:00")
    for half_hour in range(-80, 80):
        history.record(0, noon + timedelta(minutes=30 * half_hour, seconds=1))
    history.check()
    assert days_of(history)[day] == half_hours
    # Counted anew, day by day, it is the same.
    history.rebuild()
    assert history.is_counted()


def test_what_comes_late_is_counted_on_its_own_day(history: History) -> None:
    history.record(1, MOMENTS[1])
    history.count()
    history.record(2, MOMENTS[0])
    history.show(MOMENTS[0], number=3)
    history.count()
    assert days_of(history) == {"2026-03-08": 1, "2026-11-01": 1}
    history.check()


def test_all_of_one_moment_are_counted(history: History) -> None:
    for visitor in range(7):
        history.record(visitor, MOMENTS[0])
        history.show(MOMENTS[0])
    history.count()
    history.rebuild()
    assert history.is_counted()
    assert days_of(history) == {"2026-03-08": 7}


def test_a_day_of_which_all_is_erased_has_no_counts(history: History) -> None:
    history.record(1, MOMENTS[0])
    history.record(2, MOMENTS[1])
    history.count()
    history.erase(1)
    history.count()
    assert days_of(history) == {"2026-11-01": 1}


def test_what_is_erased_before_it_is_counted_has_no_day_counted_anew(history: History) -> None:
    history.record(1, MOMENTS[0])
    history.erase(1)
    history.rollups.fold(history.site)
    assert history.rollups.recount_erased(history.site) == []
    assert days_of(history) == {}


def test_recording_waits_for_nobody_who_counts(history: History) -> None:
    """On SQLite, which takes one writer at a time."""
    history.record(1, MOMENTS[0])
    history.count()
    recorded = []

    def record() -> None:
        history.record(2, MOMENTS[0])
        recorded.append(MOMENTS[0])

    rebuild = history.rollups.begin_rebuild(history.site, wanted=True)
    assert rebuild is not None
    with at_statement(history.database, 6, record, reading=True):
        rebuild.step()
    assert recorded
    history.check()


@pytest.mark.parametrize("work", ["fold", "recount_erased"])
def test_who_was_overtaken_writes_nothing(history: History, work: str) -> None:
    """Even where the lock beside the database does not hold."""
    for visitor in (1, 2):
        history.record(visitor, MOMENTS[0])
    history.count()
    history.record(3, MOMENTS[0])
    history.erase(1)

    def overtake() -> None:
        with history.database.transaction(history.site.tenant_id) as connection:
            later = text("UPDATE rollup_states SET counted_at = '2026-01-01 00:00:00.000000'")
            connection.execute(later)

    before = counted(history.database, history.site)
    number = 6 if work == "fold" else 8
    with pytest.raises(Contended), at_statement(history.database, number, overtake, reading=True):
        getattr(history.rollups, work)(history.site)
    assert counted(history.database, history.site) == before
    history.check()


def test_who_counts_a_site_anew_is_alone_and_replaced_once_gone(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    for moment in MOMENTS:
        history.record(1, moment)
    history.move("Asia/Tokyo")
    first = history.rollups.begin_rebuild(history.site)
    assert first is not None
    first.step()
    assert history.rollups.begin_rebuild(history.site) is None
    # Nothing is added while some days are in one time zone and some in another.
    history.record(2, MOMENTS[0])
    assert history.rollups.fold(history.site) == Folded()
    monkeypatch.setattr(rollups, "LEASE_SECONDS", 0)
    second = history.rollups.begin_rebuild(history.site)
    assert second is not None
    with pytest.raises(Superseded):
        first.step()
    while second.step():
        pass
    history.check()


def test_a_time_zone_that_is_changed_again_has_all_days_counted_in_it(history: History) -> None:
    for moment in MOMENTS:
        history.record(1, moment)
    history.count()
    history.move("Asia/Tokyo")
    begun = history.rollups.begin_rebuild(history.site)
    assert begun is not None
    begun.step()
    history.move("UTC")
    with pytest.raises(Superseded):
        begun.step()
    history.check()


def test_the_operator_counts_sites_anew(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    histories = [History(database, make_tenant(database), zone) for zone in ZONES[:2]]
    for number, history in enumerate(histories):
        history.settle()
        for moment in MOMENTS[: 2 + number]:
            history.record(1, moment)
            history.show(moment, number=4)
        history.count()
        with database.transaction(history.site.tenant_id) as connection:
            connection.execute(text("UPDATE rollups SET counts = '{\"answers\": 99}'"))

    def run(*arguments: str) -> Result:
        runner = CliRunner(env={"CONSENT_DATABASE_URL": sqlite_url})
        return runner.invoke(main, ["reports", "rebuild", *arguments])

    first, second = histories
    done = run(first.site.site_key)
    assert done.stdout == "Counted 2 days anew: 2 records and 8 impressions.\n"
    assert first.site.site_key in done.stderr
    assert first.is_counted()
    assert not second.is_counted()
    done = run("--all")
    assert done.stdout == "Counted 5 days anew: 5 records and 20 impressions.\n"
    assert second.is_counted()
    for wrong in ((), (first.site.site_key, "--all"), ("site_none",)):
        refused = run(*wrong)
        assert refused.exit_code == 2
        assert refused.stdout == ""
    database.close()
