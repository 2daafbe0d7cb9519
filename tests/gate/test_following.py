"""Following changes: nothing that was committed is missed, whatever the clocks do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    MetaData,
    Table,
    create_engine,
    event,
    insert,
    select,
)

from consent_service import app, db
from consent_service.access.actor import OPERATOR
from consent_service.consents.feed import CLOCK_SKEW_SECONDS, ChangeFeed
from consent_service.consents.tokens import ERASED
from consent_service.db import OVERLAP_MS, Database, Follower
from consent_service.errors import Unavailable
from consent_service.notices.service import NoticeDirectory, publish_notice
from consent_service.signing import Keyring
from consent_service.tenants.service import SiteDirectory
from tests.builders import Service, make_notice
from tests.servers import wait_until

HOUR_MS = 3_600_000
TOKEN_SECONDS = 3600

changes = Table(
    "changes",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("changed_ms", BigInteger, nullable=False),
)


@dataclass
class Clocks:
    """The database's clock and this process's, both stopped."""

    database_ms: int = 1_800_000_000_000
    process: float = 1000.0

    def pass_ms(self, ms: int) -> None:
        """Let time pass for everybody."""
        self.database_ms += ms
        self.process += ms / 1000

    def julianday(self, _: str) -> float:
        """Stand in for SQLite's function of this name."""
        # Half a millisecond more, since the result is cut and not rounded.
        return (self.database_ms + 0.5) / 86_400_000 + 2_440_587.5


@dataclass
class Followed:
    """A table with a follower, under clocks that the test moves."""

    clocks: Clocks
    connection: Connection
    follower: Follower = field(default_factory=lambda: Follower(changes.c.changed_ms))

    def change(self, *, ms_ago: int = 0) -> int:
        """Commit a change that was stamped so long ago; return its id."""
        row = {"changed_ms": self.clocks.database_ms - ms_ago}
        query = insert(changes).values(row).returning(changes.c.id)
        row_id: int = self.connection.execute(query).scalar_one()
        return row_id

    def read(self) -> set[int]:
        """Follow once; return the ids of the rows given."""
        with self.follower.read(self.connection, select(changes.c.id)) as rows:
            return {row.id for row in rows}


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    made = Clocks()
    monkeypatch.setattr(db, "uptime", lambda: made.process)
    return made


def follow(clocks: Clocks) -> Iterator[Followed]:
    engine = create_engine("sqlite://")

    @event.listens_for(engine, "connect")
    def _(connection: sqlite3.Connection, _: object) -> None:
        connection.create_function("julianday", 1, clocks.julianday)

    with engine.connect() as connection:
        changes.create(connection)
        yield Followed(clocks, connection)
    engine.dispose()


@pytest.fixture
def followed(clocks: Clocks) -> Iterator[Followed]:
    yield from follow(clocks)


def test_the_first_reading_gives_everything(followed: Followed) -> None:
    old, new = followed.change(ms_ago=1000 * HOUR_MS), followed.change()
    assert followed.read() == {old, new}


def test_a_first_reading_may_be_limited(followed: Followed) -> None:
    followed.follower = Follower(changes.c.changed_ms, first_ms=HOUR_MS)
    followed.change(ms_ago=HOUR_MS + OVERLAP_MS)
    recent = followed.change(ms_ago=HOUR_MS + OVERLAP_MS - 1)
    assert followed.read() == {recent}


def test_later_readings_give_what_is_new(followed: Followed) -> None:
    followed.change()
    followed.read()
    followed.clocks.pass_ms(HOUR_MS)
    followed.read()
    new = followed.change()
    assert followed.read() == {new}


def test_a_change_that_was_committed_late_is_given(followed: Followed) -> None:
    followed.read()
    followed.clocks.pass_ms(500)
    followed.read()
    late = followed.change(ms_ago=OVERLAP_MS - 1)
    assert late in followed.read()


@pytest.mark.parametrize("hours", [-1000, -1, 1, 1000])
def test_a_change_is_given_though_the_databases_clock_jumped(
    followed: Followed, hours: int
) -> None:
    followed.read()
    followed.clocks.pass_ms(500)
    before = followed.change()
    followed.clocks.database_ms += hours * HOUR_MS
    after = followed.change()
    assert followed.read() >= {before, after}
    followed.clocks.database_ms -= hours * HOUR_MS
    back = followed.change()
    assert back in followed.read()


def test_a_change_is_given_though_the_process_slept(followed: Followed) -> None:
    followed.read()
    followed.clocks.pass_ms(100)
    early = followed.change()
    followed.clocks.pass_ms(10 * HOUR_MS)
    assert early in followed.read()


steps = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.integers(0, 3 * HOUR_MS)),
        st.tuples(st.just("change"), st.integers(0, OVERLAP_MS - 1)),
        st.tuples(st.just("jump"), st.integers(-1000 * HOUR_MS, 1000 * HOUR_MS)),
        st.tuples(st.just("read"), st.just(0)),
    ),
    max_size=30,
)


@given(steps=steps)
def test_every_change_is_given_once_at_least(steps: list[tuple[str, int]]) -> None:
    """Clocks jump at will, though not twice between two readings."""
    clocks = Clocks()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(db, "uptime", lambda: clocks.process)
        for followed in follow(clocks):
            given_rows = followed.read()
            committed, jumped = set(), False
            for step, ms in [*steps, ("read", 0)]:
                if step == "pass":
                    clocks.pass_ms(ms)
                elif step == "change":
                    committed.add(followed.change(ms_ago=ms))
                elif step == "jump" and not jumped:
                    clocks.database_ms, jumped = clocks.database_ms + ms, True
                elif step == "read":
                    given_rows |= followed.read()
                    jumped = False
                    assert committed <= given_rows


def test_what_could_not_be_taken_over_is_given_again(followed: Followed) -> None:
    followed.read()
    change = followed.change()
    with (
        pytest.raises(RuntimeError),
        followed.follower.read(followed.connection, select(changes.c.id)),
    ):
        raise RuntimeError
    followed.clocks.pass_ms(HOUR_MS)
    assert followed.read() == {change}


def test_silence_lasts_from_the_last_reading_that_was_taken_over(followed: Followed) -> None:
    assert followed.follower.silent_seconds == float("inf")
    followed.read()
    followed.clocks.pass_ms(40_000)
    assert followed.follower.silent_seconds == 40
    with (
        pytest.raises(RuntimeError),
        followed.follower.read(followed.connection, select(changes.c.id)),
    ):
        raise RuntimeError
    assert followed.follower.silent_seconds == 40
    followed.read()
    assert followed.follower.silent_seconds == 0


# The directories and the change feed, on both databases


@pytest.fixture
def feed(service: Service) -> ChangeFeed:
    feed = ChangeFeed(TOKEN_SECONDS)
    refresh(feed, service.built.database)
    return feed


def refresh(follower: ChangeFeed | SiteDirectory | NoticeDirectory, database: Database) -> None:
    with database.reading(db.Scope.DIRECTORY) as connection:
        follower.refresh(connection)


def visitor(token: str) -> str:
    return token.split("~")[2]


def erase(service: Service, token: str) -> None:
    headers = {"Origin": "https://app.example.com", "X-Consent-Token": token}
    response = service.client.delete("/v1/sites/site_test/consents/me", headers=headers)
    assert response.status_code == 200


def test_a_first_choice_contradicts_no_token(service: Service, feed: ChangeFeed) -> None:
    service.token()
    refresh(feed, service.built.database)
    assert feed.newest == {}


def test_every_later_choice_is_heard_of(service: Service, feed: ChangeFeed) -> None:
    first = service.token()
    second = service.token(token=first, analytics=False)
    refresh(feed, service.built.database)
    assert feed.newest == {visitor(first): 2}
    service.token(token=second)
    refresh(feed, service.built.database)
    assert feed.newest == {visitor(first): 3}


def test_an_erasure_is_heard_of(service: Service, feed: ChangeFeed) -> None:
    token = service.token()
    erase(service, token)
    refresh(feed, service.built.database)
    assert feed.newest == {visitor(token): ERASED}


def test_a_process_that_starts_later_hears_what_it_missed(service: Service) -> None:
    refused = service.token(token=service.token(), analytics=False)
    erased = service.token()
    erase(service, erased)
    late = ChangeFeed(TOKEN_SECONDS)
    refresh(late, service.built.database)
    assert late.newest == {visitor(refused): 2, visitor(erased): ERASED}


def test_a_change_is_remembered_for_as_long_as_an_older_token_is_believed(
    service: Service, clocks: Clocks
) -> None:
    feed = ChangeFeed(TOKEN_SECONDS)
    first = service.token()
    refresh(feed, service.built.database)
    service.token(token=first, analytics=False)
    refresh(feed, service.built.database)
    # Stamped by a node whose clock is ahead, asked on one whose clock is behind.
    clocks.process += TOKEN_SECONDS + CLOCK_SKEW_SECONDS
    refresh(feed, service.built.database)
    assert feed.newest == {visitor(first): 2}


def test_a_change_is_forgotten_when_no_older_token_is_believed_any_more(
    service: Service, clocks: Clocks
) -> None:
    feed = ChangeFeed(TOKEN_SECONDS)
    first = service.token()
    second = service.token(token=first, analytics=False)
    refresh(feed, service.built.database)
    clocks.process += TOKEN_SECONDS
    service.token(token=second)
    refresh(feed, service.built.database)
    clocks.process += CLOCK_SKEW_SECONDS + 1
    refresh(feed, service.built.database)
    assert feed.newest == {visitor(first): 3}, "the newer change is as long to remember"
    clocks.process += TOKEN_SECONDS + CLOCK_SKEW_SECONDS + 1
    # Read again for the overlap's sake: the database's clock stands where it stood.
    with service.built.database.transaction(service.tenant.id) as connection:
        connection.exec_driver_sql("UPDATE current_states SET changed_ms = 0")
    refresh(feed, service.built.database)
    assert feed.newest == {}


class Interruption(SiteDirectory):
    """Something that is followed, and during which something happens."""

    def __init__(self, happens: object) -> None:
        """Run ``happens`` the next time."""
        super().__init__()
        self.happens = happens

    def refresh(self, connection: Connection) -> None:
        """Follow, and let it happen."""
        super().refresh(connection)
        if callable(self.happens):
            self.happens()
            self.happens = None


def test_what_happens_while_a_process_is_paused_is_heard_of(
    service: Service, clocks: Clocks
) -> None:
    """As when a machine sleeps between two queries while others go on."""
    token = service.token()
    feed = ChangeFeed(TOKEN_SECONDS)

    def pause() -> None:
        service.token(token=token, analytics=False)
        with service.built.database.transaction(service.tenant.id) as connection:
            connection.exec_driver_sql("UPDATE current_states SET changed_ms = changed_ms - 60000")
        clocks.process += 60

    paused = Interruption(None)
    keys = Keyring(service.settings.keys_file)
    followers = app.Followers(service.built.database, keys, paused, feed)
    followers.refresh()
    paused.happens = pause
    followers.refresh()
    followers.refresh()
    assert feed.newest == {visitor(token): 2}


def test_a_notice_that_could_not_be_read_whole_is_read_the_next_time(
    service: Service, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "OVERLAP_MS", 0)
    database, notices = service.built.database, NoticeDirectory()
    refresh(notices, database)
    a_moment_later(database)
    publish_notice(database, service.site, make_notice(), by=OPERATOR)
    a_moment_later(database)
    with database.reading(db.Scope.DIRECTORY) as connection:
        event.listen(connection, "before_cursor_execute", lose_the_content)
        with pytest.raises(Unavailable):
            notices.refresh(connection)
    clocks.process += 1
    refresh(notices, database)
    found = notices.get(service.site)
    assert found is not None
    assert found.version == 2


def a_moment_later(database: Database) -> None:
    """Return when the database's clock has moved on."""

    def now() -> int:
        with database.reading(db.Scope.DIRECTORY) as connection:
            return connection.execute(select(db.database_ms())).scalar_one()

    before = now()
    wait_until(lambda: now() > before, "the database's clock stands still")


def lose_the_content(_: Connection, __: object, statement: str, *___: object) -> None:
    if "notices.content" in statement:
        raise Unavailable
