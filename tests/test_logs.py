"""Logs: one JSON object a line, with nothing of the visitor in any."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from consent_service.db import Database, Scope
from tests import servers
from tests.builders import ORIGIN, SITE_KEY, Service, make_service
from tests.databases import Urls

#: No part that is looked for is of digits alone: moments and durations would have it by chance.
AGENT = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) UniqueBrowser/UniqueVersion"
VISITOR = "203.0.113.77"


@pytest.mark.parametrize("level", ["info", "debug"])
def test_a_running_service_logs_requests_by_their_route_alone(
    sqlite_url: str, tmp_path: Path, level: str
) -> None:
    made = make_service(sqlite_url, tmp_path)
    headers = {
        "Origin": ORIGIN,
        "User-Agent": AGENT,
        "X-Forwarded-For": VISITOR,
        "Idempotency-Key": "a-random-id-of-the-decision",
        "Referer": "https://app.example.com/patients/unique-patient",
    }
    sent: dict[str, object] = {
        "choices": {"analytics": True, "preferences": False},
        "action": "save",
        "notice_version": 1,
        "language": "en",
        "surface": "banner",
    }
    output = tmp_path / "output"
    with servers.service(
        sqlite_url,
        made.settings.keys_file,
        output_file=output,
        workers="1",
        trusted_proxies="127.0.0.1/32",
        log_level=level,
    ) as address:
        consents = f"{address}/v1/sites/{SITE_KEY}/consents"
        with httpx.Client(headers=headers, timeout=servers.PATIENCE) as client:
            answer = client.post(consents, json=sent).json()
            held = {"X-Consent-Token": answer["token"]}
            cookie = {"Cookie": f"cookie_consent_test={answer['token']}"}
            client.get(f"{consents}/me", headers=held)
            client.get(f"{consents}/me", headers=cookie)
            client.get(answer["receipt_url"])
            client.get(f"{address}/v1/gate?site={SITE_KEY}&purpose=nothing", headers=held)
            client.get(f"{address}/secret-path?secret=query")
            client.post(consents, content=b"{")
    made.built.database.close()
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    requests = [line for line in lines if line["event"] == "request"]
    consents_route = "/v1/sites/<site_key>/consents"
    for method, route, status in (
        ("POST", consents_route, 201),
        ("GET", f"{consents_route}/me", 200),
        ("GET", "/v1/records/<uuid:record_id>/receipt.json", 200),
        ("GET", "/v1/gate", 422),
        ("GET", None, 404),
        ("POST", consents_route, 415),
    ):
        (line, *_) = [
            line
            for line in requests
            if (line["method"], line["route"], line["status"]) == (method, route, status)
        ]
        assert {"level", "logger", "timestamp", "ms"} <= set(line)
    said = output.read_text()
    for kept in (
        VISITOR,
        "127.0.0.1",
        "UniqueBrowser",
        "UniqueVersion",
        "unique-patient",
        "secret",
        answer["token"],
        answer["token"].rpartition(".")[2],
        answer["record"]["visitor_id"],
        answer["receipt_url"].partition("proof=")[2],
        headers["Idempotency-Key"],
    ):
        assert kept not in said


def test_an_error_that_nobody_foresaw_is_logged_without_the_record(
    postgresql_urls: Urls, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    service: Service = make_service(postgresql_urls.served, tmp_path)
    token = service.token()
    owner = Database(postgresql_urls.owner)
    with owner.transaction(Scope.NONE) as connection:
        connection.execute(text("ALTER TABLE current_states RENAME choices TO lost"))
    owner.close()
    response = service.choose(token=token, headers={"User-Agent": AGENT})
    assert response.status_code == 500
    assert response.get_json()["error"]["code"] == "internal_error"
    (logged,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    said = logging.Formatter().format(logged)
    assert "choices" in said
    for kept in ("vis_", "analytics", service.address, token, AGENT):
        assert kept not in said
    service.built.database.close()
