"""Which pages may call: a site's own, and nobody else's."""

from __future__ import annotations

import pytest

from tests.builders import ORIGIN, SITE_KEY, Service

CONSENTS = f"/v1/sites/{SITE_KEY}/consents"
ME = f"{CONSENTS}/me"
CALLS = [
    ("POST", CONSENTS),
    ("GET", ME),
    ("DELETE", ME),
    ("GET", f"/v1/sites/{SITE_KEY}/banner"),
    ("GET", "/v1/gate"),
]
PATHS = sorted({path for _, path in CALLS})


@pytest.mark.parametrize("path", PATHS)
def test_a_browser_may_ask_on_behalf_of_the_sites_pages(service: Service, path: str) -> None:
    response = service.client.options(
        path, query_string={"site": SITE_KEY}, headers={"Origin": ORIGIN}
    )
    assert response.status_code == 200
    headers = response.headers
    assert headers["Access-Control-Allow-Origin"] == ORIGIN
    assert headers["Access-Control-Allow-Credentials"] == "true"
    assert {"GET", "POST", "DELETE"} <= set(headers["Access-Control-Allow-Methods"].split(", "))
    assert {"Content-Type", "Idempotency-Key", "X-Consent-Token"} <= set(
        headers["Access-Control-Allow-Headers"].split(", ")
    )
    assert int(headers["Access-Control-Max-Age"]) > 0


@pytest.mark.parametrize(("method", "path"), [*CALLS, *(("OPTIONS", path) for path in PATHS)])
def test_pages_of_others_are_told_nothing(service: Service, method: str, path: str) -> None:
    response = service.client.open(
        path,
        method=method,
        query_string={"site": SITE_KEY, "purpose": "analytics"},
        headers={"Origin": "https://evil.example"},
    )
    assert not [name for name, _ in response.headers if name.startswith("Access-Control")]
    assert "Origin" in response.headers["Vary"]


def test_pages_of_the_site_may_read_every_answer(service: Service) -> None:
    token = service.token()
    for response in (
        service.choose(token=token),
        service.client.get(ME, headers={"Origin": ORIGIN, "X-Consent-Token": token}),
        service.client.get(ME, headers={"Origin": ORIGIN}),
        service.client.get(f"/v1/sites/{SITE_KEY}/banner", headers={"Origin": ORIGIN}),
        service.client.delete(ME, headers={"Origin": ORIGIN, "X-Consent-Token": token}),
    ):
        assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert response.headers["Access-Control-Allow-Credentials"] == "true"
        assert "Retry-After" in response.headers["Access-Control-Expose-Headers"]
        assert "Origin" in response.headers["Vary"]


def test_an_origin_of_another_site_is_foreign(service: Service) -> None:
    service.add_site("site_other", origins=["https://other.example"])
    response = service.choose(headers={"Origin": "https://other.example"})
    assert response.status_code == 403


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_foreign_page_reads_and_erases_nothing(service: Service, method: str) -> None:
    token = service.token()
    before = service.rows("records")
    response = service.client.open(
        ME,
        method=method,
        headers={"Origin": "https://evil.example", "X-Consent-Token": token},
    )
    assert response.status_code == 403
    assert response.get_json()["error"]["code"] == "origin_not_allowed"
    assert service.rows("records") == before
