"""A real worker adds what visitors choose to the ledger, soon, and whatever becomes of it."""

from __future__ import annotations

import shutil
from pathlib import Path
from uuid import UUID

from consent_service.ledger.service import prove
from consent_service.signing import Keyring
from tests.builders import Service, make_service
from tests.ledger.whole import Whole
from tests.reports.test_worker import working
from tests.servers import wait_until


def choose(service: Service, token: str | None = None) -> UUID:
    response = service.choose(token=token)
    return UUID(response.get_json()["record"]["id"])


def test_a_record_is_soon_in_the_ledger_whatever_becomes_of_the_worker(
    furnished_sqlite_template: Path, tmp_path: Path
) -> None:
    file = shutil.copy(furnished_sqlite_template, tmp_path / "consent.db")
    service = make_service(f"sqlite:///{file}", tmp_path)
    database, keys = service.built.database, service.use(Keyring)
    whole = Whole(database, keys)
    for _ in range(2):
        with working(service) as process:
            records = [choose(service) for _ in range(5)]
            wait_until(
                lambda: prove(database, service.tenant.id, records[-1]),  # noqa: B023
                "the record is not added",
            )
            choose(service)
            process.kill()
        whole.check()
    assert sum(whole.sizes.values()) >= 10
    whole.check_anew()
    service.built.database.close()
