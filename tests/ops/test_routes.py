"""What operators and developers look at: health, and the description of the API."""

from __future__ import annotations

import re
from pathlib import Path

from werkzeug.test import Client

from consent_service import config, db
from consent_service.app import build
from tests.builders import SITE_KEY, Service
from tests.pages import Page


def test_a_service_that_can_work_says_so(service: Service) -> None:
    assert service.client.get("/healthz").get_json() == {"status": "ok"}
    response = service.client.get("/readyz")
    assert (response.status_code, response.get_json()) == (200, {"status": "ok", "database": "ok"})


def test_a_service_whose_tables_are_of_another_version_is_not_ready(
    service: Service, owner_url: str
) -> None:
    db.downgrade(owner_url, "base")
    response = service.client.get("/readyz")
    assert response.status_code == 503
    assert "db upgrade" in response.get_json()["database"]
    assert service.client.get("/healthz").status_code == 200


def test_a_service_without_its_database_lives_and_is_not_ready(keys_file: Path) -> None:
    built = build(
        config.load(
            {
                "CONSENT_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
                "CONSENT_KEYS_FILE": str(keys_file),
            }
        )
    )
    client = Client(built.wsgi)
    assert client.get("/healthz").status_code == 200
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.get_json() == {"status": "unavailable", "database": "cannot be reached"}
    for path in (f"/embed/{SITE_KEY}.js", f"/v1/sites/{SITE_KEY}/banner"):
        response = client.get(path)
        assert response.status_code == 503
        assert response.get_json()["error"]["code"] == "unavailable"
        assert int(response.headers["Retry-After"]) > 0
    built.database.close()


def test_the_description_for_people_comes_from_here_alone(service: Service) -> None:
    response = service.client.get("/docs")
    page = Page(response.get_data(as_text=True))
    assert page.inline == []
    assert page.loads
    for address in page.loads:
        assert re.match(r"/(?!/)", address)
        assert service.client.get(address, buffered=True).status_code == 200
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert "http" not in response.headers["Content-Security-Policy"]
