"""What one step leaves for the next is taken once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier, BrokenBarrierError

import pytest
from sqlalchemy import Connection

from consent_service.access import one_time
from consent_service.access.one_time import Left
from consent_service.db import Database, Scope
from consent_service.signing import Keyring
from tests.builders import Service


def test_of_two_who_take_a_value_at_once_one_gets_it(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, keys = service.use(Database), service.use(Keyring)
    with database.transaction(Scope.ACCOUNTS) as connection:
        value = one_time.leave(connection, keys, "a use", content={"a": 1})
    both_have_looked, look = Barrier(2), one_time.look

    def look_together(connection: Connection, keys: Keyring, use: str, value: str) -> Left | None:
        left = look(connection, keys, use, value)
        # On SQLite the second cannot look before the first is done.
        with suppress(BrokenBarrierError):
            both_have_looked.wait(timeout=1)
        return left

    def take(_: int) -> Left | None:
        with database.transaction(Scope.ACCOUNTS) as connection:
            return one_time.take(connection, keys, "a use", value)

    monkeypatch.setattr(one_time, "look", look_together)
    with ThreadPoolExecutor(2) as pool:
        taken = [left for left in pool.map(take, range(2)) if left]
    assert [left.content for left in taken] == [{"a": 1}]


def test_a_value_is_good_for_one_use_alone(service: Service) -> None:
    database, keys = service.use(Database), service.use(Keyring)
    with database.transaction(Scope.ACCOUNTS) as connection:
        value = one_time.leave(connection, keys, "a use")
        assert one_time.take(connection, keys, "another", value) is None
        assert one_time.take(connection, keys, "a use", f"{value}x") is None
        assert one_time.take(connection, keys, "a use", value) is not None
        assert one_time.take(connection, keys, "a use", value) is None
