"""One shape of errors, and what every response says for safety."""

from __future__ import annotations

import json
import logging

import pytest
from flask import abort
from hypothesis import given
from hypothesis import strategies as st

from consent_service.errors import MalformedJson
from consent_service.web import read_json
from tests.builders import ORIGIN, SITE_KEY, Service

CONSENTS = f"/v1/sites/{SITE_KEY}/consents"
BANNER = f"/v1/sites/{SITE_KEY}/banner"

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # No half characters.
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=10,
)


@given(values, st.booleans())
def test_json_is_read_as_it_was_written(value: object, escaped: bool) -> None:  # noqa: FBT001
    assert read_json(json.dumps(value, ensure_ascii=escaped).encode()) == value


@given(st.binary(max_size=64))
def test_whatever_comes_is_json_or_is_called_malformed(data: bytes) -> None:
    try:
        value = read_json(data)
    except MalformedJson:
        return
    json.dumps(value, allow_nan=False, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "not_found"),
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/v1/records/7/receipt.json", 404, "not_found"),
        ("GET", "/static/nothing.js", 404, "not_found"),
        ("GET", "/docs/assets/../../cli.py", 404, "not_found"),
        ("GET", CONSENTS, 405, "method_not_allowed"),
        ("POST", BANNER, 405, "method_not_allowed"),
        ("PUT", f"{CONSENTS}/me", 405, "method_not_allowed"),
        ("POST", "/openapi.json", 405, "method_not_allowed"),
    ],
)
def test_what_is_not_there_is_an_error_of_the_one_shape(
    service: Service, method: str, path: str, status: int, code: str
) -> None:
    response = service.client.open(path, method=method, headers={"Origin": ORIGIN})
    assert response.status_code == status
    answer = response.get_json()
    assert set(answer) == {"error"}
    assert set(answer["error"]) == {"code", "message"}
    assert answer["error"]["code"] == code
    assert answer["error"]["message"]
    assert ("Allow" in response.headers) == (status == 405)


def test_an_error_that_nobody_foresaw_tells_nothing(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> str:
        raise LookupError("the key is s3cr3t")

    service.built.flask.add_url_rule("/fail", view_func=fail)
    response = service.client.get("/fail")
    assert response.status_code == 500
    answer = response.get_json()
    assert answer["error"]["code"] == "internal_error"
    assert set(answer["error"]) == {"code", "message"}
    text = response.get_data(as_text=True) + str(response.headers)
    for inside in ("s3cr3t", "LookupError", "Traceback", "consent_service", "test_web"):
        assert inside not in text
    (logged,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert logged.exc_info is not None
    assert "s3cr3t" in str(logged.exc_info[1])


@pytest.mark.parametrize("status", [400, 401, 406, 410, 418, 431])
def test_an_error_of_the_libraries_has_the_one_shape(service: Service, status: int) -> None:
    service.built.flask.add_url_rule("/abort", view_func=lambda: abort(status))
    response = service.client.get("/abort")
    assert response.status_code == status
    assert set(response.get_json()["error"]) == {"code", "message"}


def test_every_response_is_safe_to_look_at(service: Service) -> None:
    client = service.client
    token = service.token()
    script = client.get(f"/embed/{SITE_KEY}.js")
    responses = {
        "recorded": service.choose(),
        "refused": service.choose(data=b"{"),
        "too large": service.choose(data=b" " * 20_000),
        "foreign": service.choose(headers={"Origin": "https://evil.example"}),
        "changed": service.choose(notice_version=9),
        "history": client.get(f"{CONSENTS}/me", headers={"X-Consent-Token": token}),
        "preflight": client.options(CONSENTS, headers={"Origin": ORIGIN}),
        "banner": client.get(BANNER),
        "script": script,
        "known script": client.get(
            f"/embed/{SITE_KEY}.js", headers={"If-None-Match": script.headers["ETag"]}
        ),
        "keys": client.get("/.well-known/jwks.json"),
        "description": client.get("/openapi.json"),
        "page": client.get("/docs"),
        "file": client.get("/docs/assets/docs.js", buffered=True),
        "health": client.get("/healthz"),
        "not found": client.get("/nothing"),
        "wrong method": client.put(CONSENTS),
        "gate's error": service.ask("nothing"),
    }
    for name, response in responses.items():
        headers = response.headers
        assert headers["X-Content-Type-Options"] == "nosniff", name
        assert headers["Referrer-Policy"] == "no-referrer", name
        assert headers["Cache-Control"], name
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy, name
        assert "frame-ancestors 'none'" in policy, name
        assert "unsafe" not in policy, name
        framed = "same-origin" if response.mimetype == "text/html" else "cross-origin"
        assert headers["Cross-Origin-Resource-Policy"] == framed, name
        assert "Server" not in headers, name


def test_nothing_about_a_visitor_is_kept_by_a_cache(service: Service) -> None:
    token = service.token()
    for response in (
        service.choose(token=token),
        service.client.get(f"{CONSENTS}/me", headers={"X-Consent-Token": token}),
        service.ask(token=token),
        service.ask(token=token, entry="/auth"),
        service.client.get("/nothing"),
    ):
        assert response.headers["Cache-Control"] == "no-store"
