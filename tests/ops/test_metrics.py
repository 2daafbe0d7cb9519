"""Figures for monitoring: what they say, and to whom."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from consent_service import clock
from consent_service.ledger.service import Figures
from consent_service.ledger.store import Waiting
from consent_service.ops.metrics import Gauge, exposition
from consent_service.ops.routes import gauges
from tests.builders import Service, make_service
from tests.ledger.test_restored import Machine

TOKEN = "0123456789abcdef"


def figures(service: Service) -> dict[str, float]:
    """Return what is answered, by name."""
    response = service.client.get("/metrics")
    assert response.status_code == 200, response.get_data(as_text=True)
    assert response.content_type.startswith("text/plain; version=0.0.4")
    lines = response.get_data(as_text=True).splitlines()
    said = [line for line in lines if not line.startswith("#")]
    return {name: float(value) for name, value in (line.split(" ") for line in said)}


def test_what_waits_and_what_was_added_is_counted(service: Service) -> None:
    service.address = "127.0.0.1"
    found = figures(service)
    assert found.pop("consent_feed_silence_seconds") < 30
    assert set(found.values()) == {0}
    machine = Machine(service)
    service.token()
    service.token()
    found = figures(service)
    assert found["consent_ledger_pending_leaves"] == 2
    assert found["consent_ledger_merge_delay_seconds"] >= 0
    assert machine.work()
    found = figures(service)
    assert found["consent_ledger_pending_leaves"] == 0
    assert found["consent_ledger_merge_delay_seconds"] == 0
    assert found["consent_ledger_leaves"] == 2
    assert found["consent_ledger_suspended"] == 0
    file = next(service.settings.heads_folder.glob("*.checkpoint"))
    file.write_text(file.read_text("utf-8").replace("\n2\n", "\n3\n"), "utf-8")
    service.built.followers.refresh()
    assert figures(service)["consent_ledger_suspended"] == 1


def test_the_delay_is_that_of_the_oldest() -> None:
    since = clock.now() - timedelta(minutes=2)
    by_name = {each.name: each.value for each in gauges(Figures(5, Waiting(3, since)), 0, 1.5)}
    assert 120 <= by_name["consent_ledger_merge_delay_seconds"] < 180


def test_the_form_is_that_of_prometheus() -> None:
    some = [Gauge("a_seconds", "What it is.", 1.5), Gauge("b", "Much.", 12_345_678_901)]
    assert exposition([*some, Gauge("c", "None.", float("inf"))]) == (
        "# HELP a_seconds What it is.\n# TYPE a_seconds gauge\na_seconds 1.5\n"
        "# HELP b Much.\n# TYPE b gauge\nb 12345678901\n"
        "# HELP c None.\n# TYPE c gauge\nc +Inf\n"
    )


def test_no_tenant_is_named(service: Service) -> None:
    service.address = "127.0.0.1"
    service.token()
    said = service.client.get("/metrics").get_data(as_text=True)
    assert "{" not in said
    named: tuple[str | UUID, ...] = (service.tenant.id, service.tenant.slug, service.site.site_key)
    assert not any(str(name) in said for name in named)


@pytest.fixture(scope="module")
def watched(
    furnished_sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A service with a token for its figures."""
    folder = tmp_path_factory.mktemp("watched")
    file = folder / "consent.db"
    file.write_bytes(furnished_sqlite_template.read_bytes())
    made = make_service(f"sqlite:///{file}", folder, metrics_token=TOKEN)
    yield made
    made.built.database.close()


def status(service: Service, address: str, **headers: str) -> int:
    service.address = address
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return service.client.get("/metrics", headers=named).status_code


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1"])
def test_the_machine_itself_is_answered(watched: Service, address: str) -> None:
    assert status(watched, address) == 200
    # A proxy on the machine speaks for somebody else.
    for name in ("Forwarded", "X_Forwarded_For", "X_Real_IP"):
        assert status(watched, address, **{name: "192.0.2.7"}) == 401


@pytest.mark.parametrize("address", ["192.0.2.7", "10.0.0.1", "2001:db8::1", ""])
def test_others_need_the_token(watched: Service, address: str) -> None:
    assert status(watched, address) == 401
    assert status(watched, address, Authorization=f"Bearer {TOKEN}") == 200
    for wrong in ("Bearer", "Bearer ", f"Bearer {TOKEN}x", TOKEN, f"Basic {TOKEN}", "Bearer é"):
        assert status(watched, address, Authorization=wrong) == 401


def test_without_a_token_nobody_else_is_answered(untouched: Service) -> None:
    for sent in ("Bearer", "Bearer ", "Bearer None", ""):
        assert status(untouched, "192.0.2.7", Authorization=sent) == 401
