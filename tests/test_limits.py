"""Rate limits: in memory, through a real Valkey, and when it is gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from redis import Redis
from werkzeug.test import TestResponse

from tests import servers
from tests.builders import ORIGIN, SITE_KEY, Service, make_service

BANNER = f"/v1/sites/{SITE_KEY}/banner"

Make = Callable[..., Service]


@pytest.fixture
def make(sqlite_url: str, tmp_path: Path) -> Iterator[Make]:
    """Build a service that takes two writes and three reads a day from one address."""
    made = []

    def make(**settings: str) -> Service:
        limits = {"limit_writes": "2 per day", "limit_reads": "3 per day"}
        made.append(make_service(sqlite_url, tmp_path, **limits, **settings))
        return made[-1]

    yield make
    for service in made:
        service.built.database.close()


def assert_limited(response: TestResponse) -> None:
    assert response.status_code == 429
    assert response.get_json()["error"]["code"] == "too_many_requests"
    # The day, and a second because it is rounded up.
    assert 1 <= int(response.headers["Retry-After"]) <= 86_401
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "Retry-After" in response.headers["Access-Control-Expose-Headers"]


def read(service: Service, path: str = BANNER) -> TestResponse:
    return service.client.get(path, headers={"Origin": ORIGIN})


def test_too_many_writes_are_refused_and_nothing_is_stored(make: Make) -> None:
    service = make()
    assert [service.choose().status_code for _ in range(2)] == [201, 201]
    assert_limited(service.choose())
    assert_limited(
        service.client.delete(f"/v1/sites/{SITE_KEY}/consents/me", headers={"Origin": ORIGIN})
    )
    assert len(service.rows("records")) == 2


def test_reads_are_counted_apart_and_over_all_calls(make: Make) -> None:
    service = make()
    service.choose()
    service.choose()
    paths = [f"/embed/{SITE_KEY}.js", BANNER, f"/v1/sites/{SITE_KEY}/consents/me"]
    assert [read(service, path).status_code for path in paths] == [200, 200, 404]
    assert_limited(read(service))


def test_the_gate_from_memory_and_health_are_not_limited(make: Make) -> None:
    service = make()
    for _ in range(5):
        assert service.ask().status_code == 200
        assert service.client.get("/healthz").status_code == 200


def test_another_address_has_limits_of_its_own(make: Make) -> None:
    service = make()
    for service.address in ("192.0.2.1", "192.0.2.2"):
        assert [service.choose().status_code for _ in range(3)] == [201, 201, 429]


def test_a_subscriber_of_ipv6_is_one_whatever_the_address(make: Make) -> None:
    service = make()
    statuses = []
    for service.address in ("2001:db8::1", "2001:db8::2:1", "2001:db8::3", "2001:db8:0:1::3"):
        statuses.append(service.choose().status_code)
    assert statuses == [201, 201, 429, 201]


def test_addresses_of_ipv4_are_apart_however_they_are_written(make: Make) -> None:
    service = make()
    statuses = []
    for service.address in (
        "::ffff:192.0.2.1",
        "192.0.2.1",
        "::ffff:192.0.2.1",
        "::ffff:192.0.2.2",
    ):
        statuses.append(service.choose().status_code)
    assert statuses == [201, 201, 429, 201]


def test_the_visitor_behind_a_trusted_proxy_is_limited_and_not_the_proxy(make: Make) -> None:
    service = make(trusted_proxies="127.0.0.1/32")
    service.address = "127.0.0.1"
    for visitor in ("203.0.113.1", "203.0.113.2"):
        headers = {"X-Forwarded-For": visitor}
        assert [service.choose(headers=headers).status_code for _ in range(3)] == [201, 201, 429]


def test_a_forged_header_does_not_get_around_the_limit(make: Make) -> None:
    service = make()
    statuses = [
        service.choose(headers={"X-Forwarded-For": f"203.0.113.{last}"}).status_code
        for last in range(3)
    ]
    assert statuses == [201, 201, 429]


def test_processes_count_together_through_valkey(make: Make, redis_url: str) -> None:
    service = make(redis_url=redis_url)
    service.address = "127.0.0.1"
    assert service.choose().status_code == 201
    sent: dict[str, object] = {
        "choices": {"analytics": True, "preferences": False},
        "action": "save",
        "notice_version": 1,
        "language": "en",
        "surface": "banner",
    }
    with servers.service(
        service.settings.database_url,
        service.settings.keys_file,
        redis_url=redis_url,
        limit_writes="2 per day",
        workers="1",
    ) as address:
        url = f"{address}/v1/sites/{SITE_KEY}/consents"
        statuses = [
            httpx.post(url, json=sent, headers={"Origin": ORIGIN}).status_code for _ in range(2)
        ]
    assert statuses == [201, 429]
    assert_limited(service.choose())


def test_what_is_counted_by_does_not_hold_the_address(make: Make, redis_url: str) -> None:
    service = make(redis_url=redis_url)
    service.address = "203.0.113.77"
    service.choose()
    read(service)
    with Redis.from_url(redis_url) as client:
        held = {key: client.get(key) for key in client.scan_iter()}
    assert len(held) == 2
    assert "203.0.113" not in repr(held)
    assert repr(bytes([203, 0, 113, 77]))[2:-1] not in repr(held)


def test_a_cluster_counts_too(make: Make, redis_cluster_url: str) -> None:
    service = make(redis_url=redis_cluster_url)
    service.address = "192.0.2.200"
    assert [service.choose().status_code for _ in range(3)] == [201, 201, 429]
    with Redis.from_url(redis_cluster_url.replace("redis+cluster", "redis")) as node:
        assert node.keys()


def test_without_valkey_the_service_works_and_counts_in_memory(make: Make) -> None:
    with servers.valkey() as url:
        service = make(redis_url=url)
        assert service.choose().status_code == 201
    # It may have been counted there: two more are let through at most.
    statuses = [service.choose().status_code for _ in range(4)]
    assert statuses == [201, 201, 429, 429]


def test_a_valkey_that_was_never_there_keeps_nobody_out(make: Make) -> None:
    service = make(redis_url=f"redis://127.0.0.1:{servers.free_port()}")
    assert [service.choose().status_code for _ in range(3)] == [201, 201, 429]
