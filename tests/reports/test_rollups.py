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
from hypothesis import given, settings
from hypothesis import strategies as st

from consent_service.access.actor import OPERATOR
from consent_service.db import Contended, Database
from consent_service.tenants.service import Tenant, create_tenant
from tests.databases import PostgresDatabases
from tests.reports.histories import History, Killed, at_statement, kill

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


@settings(max_examples=150)
@given(zone=st.sampled_from(ZONES), happened=steps)
def test_whatever_happens_is_counted_once_on_sqlite(
    on_sqlite: Database, zone: str, happened: list[tuple[Any, ...]]
) -> None:
    history = History(on_sqlite, make_tenant(on_sqlite), zone)
    for each in happened:
        go(history, *each)
    history.check()


@settings(max_examples=40)
@given(zone=st.sampled_from(ZONES), happened=steps)
def test_whatever_happens_is_counted_once_on_postgresql(
    on_postgresql: Database, zone: str, happened: list[tuple[Any, ...]]
) -> None:
    history = History(on_postgresql, make_tenant(on_postgresql), zone)
    for each in happened:
        go(history, *each)
    history.check()
