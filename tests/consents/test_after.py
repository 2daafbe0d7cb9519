"""How long a choice took: kept beside the record, and no reason to refuse it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.builders import ORIGIN, SITE_KEY, Service

KEY = {"Idempotency-Key": "a-random-id-of-the-decision"}


def test_it_is_kept_beside_the_record_and_goes_with_it(service: Service) -> None:
    chosen = service.choose(after_ms=4200).get_json()
    (row,) = service.rows("records")
    assert row["after_ms"] == 4200
    assert "4200" not in row["document"]
    assert "after_ms" not in chosen["record"]
    service.client.delete(
        f"/v1/sites/{SITE_KEY}/consents/me",
        headers={"Origin": ORIGIN, "X-Consent-Token": chosen["token"]},
    )
    (row,) = service.rows("records")
    assert row["after_ms"] is None


def test_what_is_not_known_or_says_nothing_is_left_out(service: Service) -> None:
    for said in ({}, {"after_ms": None}, {"after_ms": 86_400_001}, {"after_ms": 10**30}):
        assert service.choose(**said).status_code == 201
    assert {row["after_ms"] for row in service.rows("records")} == {None}
    for known in (0, 86_400_000):
        assert service.choose(after_ms=known).status_code == 201
    assert {row["after_ms"] for row in service.rows("records")} == {None, 0, 86_400_000}


@pytest.mark.parametrize("after_ms", [-1, 1.5, "1", True])
def test_what_is_no_time_is_refused(untouched: Service, after_ms: Any) -> None:  # noqa: ANN401
    response = untouched.choose(after_ms=after_ms)
    assert response.status_code == 422
    assert list(response.get_json()["error"]["fields"]) == ["after_ms"]
    assert untouched.rows("records") == []


def test_a_retry_that_measured_anew_is_the_same_decision(service: Service) -> None:
    first = service.choose(after_ms=1000, headers=KEY).get_json()
    again = service.choose(after_ms=2000, headers=KEY)
    assert again.status_code == 201
    assert again.get_json()["record"] == first["record"]
    assert [row["after_ms"] for row in service.rows("records")] == [1000]
