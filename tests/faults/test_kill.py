"""Processes that end between any two instructions lose nothing that was acknowledged."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event

import httpx
import pytest

from tests.builders import Service
from tests.faults.processes import GRANT, REFUSAL, ServiceProcess, Visitor
from tests.faults.whole import check_whole
from tests.servers import Postgres, wait_until

ROUNDS = 2
WRITERS = 6


@dataclass
class Writer:
    """A visitor who changes their mind all the time, and repeats what got no answer."""

    visitor: Visitor
    acknowledged: list[str] = field(default_factory=list)
    key: str = field(default_factory=lambda: secrets.token_hex(16))

    def write_until(self, stop: Event) -> None:
        """Send decisions until told to stop, or until nobody answers."""
        with suppress(httpx.TransportError):
            while not stop.is_set():
                self.write()

    def write(self) -> None:
        """Send the next decision, or the last one again if it was not acknowledged."""
        choices = REFUSAL if len(self.acknowledged) % 2 else GRANT
        response = self.visitor.send(choices, self.key)
        if response.status_code == 201:
            self.acknowledged.append(response.json()["record"]["id"])
            self.key = secrets.token_hex(16)
        else:
            assert response.status_code == 503, response.text
            assert int(response.headers["Retry-After"]) > 0


@contextmanager
def writing(writers: list[Writer]) -> Iterator[Callable[[int], None]]:
    """Have all write at once; gives a call that returns after so many more acknowledgements."""

    def acknowledged() -> int:
        return sum(len(writer.acknowledged) for writer in writers)

    def wait_for(number: int) -> None:
        wanted = acknowledged() + number
        wait_until(lambda: acknowledged() >= wanted, "nothing is acknowledged")

    stop = Event()
    with ThreadPoolExecutor(len(writers)) as pool:
        tasks: list[Future[None]] = [pool.submit(each.write_until, stop) for each in writers]
        try:
            yield wait_for
        finally:
            stop.set()
    for task in tasks:
        task.result()


def check_all_is_there(service: Service, writers: list[Writer]) -> None:
    """Check that what is stored is whole, and is what was acknowledged and nothing else."""
    acknowledged = {record for writer in writers for record in writer.acknowledged}
    assert acknowledged <= check_whole(service)
    # What got no answer may have been stored or not; repeated, it is stored once.
    for writer in writers:
        before = len(writer.acknowledged)
        while len(writer.acknowledged) == before:
            writer.write()
        history = [record["id"] for record in writer.visitor.me().json()["history"]]
        assert history == writer.acknowledged[::-1]
    acknowledged = {record for writer in writers for record in writer.acknowledged}
    assert check_whole(service) == acknowledged


@pytest.mark.parametrize("database", ["on_sqlite", "on_postgres"])
def test_a_killed_service_loses_nothing_it_acknowledged(
    request: pytest.FixtureRequest, database: str
) -> None:
    service: Service = request.getfixturevalue(database)
    moments = random.Random(database)
    with ServiceProcess(service, workers="2") as process:
        writers = [Writer(Visitor(process.address)) for _ in range(WRITERS)]
        for _ in range(ROUNDS):
            with writing(writers) as wait_for:
                wait_for(moments.randint(1, 60))
                process.kill()
            process.start()
            check_all_is_there(service, writers)


def test_a_killed_database_loses_nothing_that_was_acknowledged(
    postgres: Postgres, on_postgres: Service
) -> None:
    """The service goes on by itself when the database is back."""
    moments = random.Random(1)
    with ServiceProcess(on_postgres, workers="2") as process:
        writers = [Writer(Visitor(process.address)) for _ in range(WRITERS)]
        for _ in range(ROUNDS):
            with writing(writers) as wait_for:
                wait_for(moments.randint(1, 60))
                postgres.kill()
                postgres.start()
                wait_for(WRITERS)
            # The connections of this process are dead as well.
            on_postgres.built.database.close()
            check_all_is_there(on_postgres, writers)
