"""A newer choice counts in every process, within the two seconds that the contract allows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import psycopg
import pytest

from tests.builders import Service
from tests.faults.processes import GRANT, REFUSAL, ServiceProcess, Visitor

#: Seconds within which a newer choice counts everywhere.
BOUND = 2

#: New connections for one look at a service: enough that each of its workers answers some.
CONNECTIONS = 12


@pytest.fixture
def services(service: Service) -> Iterator[tuple[str, str]]:
    """The addresses of two services on one database; the first has two workers."""
    with ExitStack() as stack:
        several = stack.enter_context(ServiceProcess(service, workers="2"))
        other = stack.enter_context(ServiceProcess(service, workers="1"))
        yield several.address, other.address


def reasons(addresses: tuple[str, ...], token: str) -> set[str]:
    """Return what the workers of all services say, each on connections of its own."""
    visitors = [Visitor(address, token) for address in addresses for _ in range(CONNECTIONS)]
    with ThreadPoolExecutor(len(visitors)) as pool:
        return set(pool.map(Visitor.reason, visitors))


def holds_everywhere(addresses: tuple[str, ...], token: str, reason: str) -> None:
    """Assert that every process says so to whoever asks when the bound is over."""
    acknowledged = time.monotonic()
    while True:
        asked = time.monotonic()
        said = reasons(addresses, token)
        if said == {reason}:
            return
        assert asked - acknowledged < BOUND, f"{said} after {BOUND} seconds"


def test_a_newer_choice_counts_in_every_process(
    services: tuple[str, str], service: Service
) -> None:
    several, other = services
    visitor = Visitor(several)
    grant = visitor.choose(GRANT)
    assert reasons(services, grant) == {"granted"}

    refusal = visitor.choose(REFUSAL)
    holds_everywhere(services, grant, "superseded")
    assert reasons(services, refusal) == {"withdrawn"}

    # Granted again, on the other service: at once for who holds the new token, wherever asked.
    visitor.address = other
    again = visitor.choose(GRANT)
    assert reasons(services, again) == {"granted"}
    assert reasons(services, grant) == {"superseded"}
    holds_everywhere(services, refusal, "superseded")

    visitor.erase()
    holds_everywhere(services, again, "erased")

    # Never allowed again: not when they have all looked at the database once more, and not by a
    # process that starts now.
    marker = Visitor(several)
    before = marker.choose(GRANT)
    marker.choose(REFUSAL)
    holds_everywhere(services, before, "superseded")
    with ServiceProcess(service, workers="1") as late:
        for token in (grant, refusal, again):
            assert reasons((*services, late.address), token) == {"erased"}


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_choice_that_is_committed_late_counts_in_every_process(
    services: tuple[str, str], service: Service
) -> None:
    """Its time is of some seconds ago by then, and the others have gone on reading."""
    visitor, other = Visitor(services[0]), Visitor(services[1])
    late, before = visitor.choose(GRANT), other.choose(GRANT)
    url = service.settings.database_url.replace("postgresql+psycopg", "postgresql")
    with psycopg.connect(url) as connection:
        connection.execute(f"SET LOCAL consent.scope = '{service.tenant.id}'")
        connection.execute(
            "UPDATE current_states SET sequence = sequence + 1,"
            " changed_ms = EXTRACT(EPOCH FROM clock_timestamp()) * 1000 WHERE visitor_id = %s",
            [late.split("~")[2]],
        )
        for _ in range(2):
            other.choose(REFUSAL)
            holds_everywhere(services, before, "superseded")
            before = other.token
        assert reasons(services, late) == {"granted"}
    holds_everywhere(services, late, "superseded")
