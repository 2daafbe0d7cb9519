"""Decisions that cannot be right: each is refused with a code and the field, and nothing stored."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.builders import ORIGIN, SITE_KEY, Service

GOOD: dict[str, Any] = {
    "choices": {"analytics": True, "preferences": False},
    "action": "save",
    "notice_version": 1,
    "language": "en",
    "surface": "banner",
}


def without(member: str) -> dict[str, Any]:
    return {key: value for key, value in GOOD.items() if key != member}


def assert_refused(service: Service, response: Any, status: int, code: str) -> dict[str, Any]:  # noqa: ANN401
    """Check the error's shape and that nothing was stored; return the error."""
    error: dict[str, Any] = response.get_json()["error"]
    assert (response.status_code, error["code"]) == (status, code)
    assert error["message"]
    assert service.rows("records") == service.rows("current_states") == []
    assert "Set-Cookie" not in response.headers
    return error


@pytest.mark.parametrize(
    ("body", "field"),
    [
        *[(without(member), member) for member in GOOD],
        (GOOD | {"created_at": "2020-01-01T00:00:00.000Z"}, "created_at"),
        (GOOD | {"expires_at": "2099-01-01T00:00:00.000Z"}, "expires_at"),
        (GOOD | {"visitor_id": "vis_0000000000000000000000"}, "visitor_id"),
        (GOOD | {"choices": {"analytics": True}}, "choices.preferences"),
        (GOOD | {"choices": GOOD["choices"] | {"tracking": True}}, "choices.tracking"),
        (GOOD | {"choices": GOOD["choices"] | {"session": False}}, "choices.session"),
        (GOOD | {"choices": GOOD["choices"] | {"analytics": "yes"}}, "choices.analytics"),
        (GOOD | {"choices": GOOD["choices"] | {"analytics": 1}}, "choices.analytics"),
        (GOOD | {"choices": GOOD["choices"] | {"analytics": None}}, "choices.analytics"),
        (GOOD | {"choices": []}, "choices"),
        (GOOD | {"choices": None}, "choices"),
        (GOOD | {"action": "accept_all"}, "choices.preferences"),
        (GOOD | {"action": "reject_all"}, "choices.analytics"),
        (GOOD | {"action": "withdraw"}, "choices.analytics"),
        (GOOD | {"action": "agree"}, "action"),
        (GOOD | {"action": ["save"]}, "action"),
        (GOOD | {"notice_version": "1"}, "notice_version"),
        (GOOD | {"notice_version": 1.5}, "notice_version"),
        (GOOD | {"notice_version": 0}, "notice_version"),
        (GOOD | {"notice_version": True}, "notice_version"),
        (GOOD | {"language": "de"}, "language"),
        (GOOD | {"language": 7}, "language"),
        (GOOD | {"surface": "email"}, "surface"),
        (GOOD | {"gpc": "true"}, "gpc"),
        (GOOD | {"gpc": None}, "gpc"),
        ([], "_schema"),
        ("save", "_schema"),
        (None, "_schema"),
    ],
)
def test_a_field_that_is_not_right_is_named(untouched: Service, body: Any, field: str) -> None:  # noqa: ANN401
    response = untouched.choose(data=json.dumps(body).encode())
    error = assert_refused(untouched, response, 422, "validation_failed")
    found = error["fields"]
    for part in field.split("."):
        assert list(found) == [part]
        found = found[part]
    assert all(isinstance(problem, str) for problem in found)


def test_all_fields_that_are_not_right_are_named_at_once(untouched: Service) -> None:
    response = untouched.choose({"tracking": True}, language="de")
    error = assert_refused(untouched, response, 422, "validation_failed")
    assert set(error["fields"]) == {"choices", "language"}
    assert set(error["fields"]["choices"]) == {"tracking", "analytics", "preferences"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"choices": {}',
        b"\xef\xbb\xbf{}",
        b'{"action": "\xff"}',
        b'{"action": "\\ud83d"}',
        b'{"\\udc00": true}',
        b'{"action": NaN}',
        b'{"action": -Infinity}',
        b"[" * 10_000,
        b'{"notice_version": ' + b"9" * 5000 + b"}",
        b"choices=analytics",
    ],
    ids=lambda body: body[:20].decode("ascii", "replace"),
)
def test_what_is_not_json_is_refused(untouched: Service, body: bytes) -> None:
    assert_refused(untouched, untouched.choose(data=body), 400, "malformed_json")


@pytest.mark.parametrize(
    ("body", "key"),
    [
        (b'{"action": "save", "action": "withdraw"}', "action"),
        (b'{"choices": {"analytics": false, "analytics": true}}', "analytics"),
    ],
)
def test_a_key_that_stands_twice_is_named(untouched: Service, body: bytes, key: str) -> None:
    error = assert_refused(untouched, untouched.choose(data=body), 400, "malformed_json")
    assert list(error["fields"]) == [key]


def test_a_body_of_20_kb_is_too_large(untouched: Service) -> None:
    response = untouched.choose(data=json.dumps(GOOD | {"language": "x" * 20_000}).encode())
    assert_refused(untouched, response, 413, "body_too_large")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_only_json_is_read(untouched: Service, kind: str) -> None:
    response = untouched.choose(data=json.dumps(GOOD).encode(), headers={"Content-Type": kind})
    assert_refused(untouched, response, 415, "unsupported_media_type")


@pytest.mark.parametrize("site_key", ["site_nobody", "SITE_TEST", "site_test%00", "-"])
def test_a_site_that_nobody_has_is_not_found(untouched: Service, site_key: str) -> None:
    assert_refused(untouched, untouched.choose(site_key=site_key), 404, "unknown_site")


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com.evil.example",
        "https://APP.example.com",
        "null",
        "",
    ],
)
def test_a_foreign_page_cannot_record(untouched: Service, origin: str) -> None:
    response = untouched.choose(headers={"Origin": origin})
    assert_refused(untouched, response, 403, "origin_not_allowed")
    assert "Access-Control-Allow-Origin" not in response.headers


def test_a_write_without_an_origin_is_refused(untouched: Service) -> None:
    address = f"/v1/sites/{SITE_KEY}/consents"
    response = untouched.client.post(address, json=GOOD)
    assert_refused(untouched, response, 403, "origin_not_allowed")


@pytest.mark.parametrize("key", ["short", "x" * 129])
def test_an_idempotency_key_has_a_length_that_cannot_be_guessed(
    untouched: Service, key: str
) -> None:
    response = untouched.choose(headers={"Idempotency-Key": key})
    error = assert_refused(untouched, response, 422, "validation_failed")
    assert list(error["fields"]) == ["Idempotency-Key"]


def test_pages_of_the_site_may_read_what_was_wrong(untouched: Service) -> None:
    response = untouched.choose(data=b"{")
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
