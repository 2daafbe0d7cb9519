"""What visitors can do with what is held about them: see it, and erase it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from consent_service import clock
from tests.builders import FORGERIES, ORIGIN, SITE_KEY, Service

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

ME = f"/v1/sites/{SITE_KEY}/consents/me"


def see(service: Service, token: str) -> TestResponse:
    return service.client.get(ME, headers={"X-Consent-Token": token})


def erase(service: Service, token: str) -> TestResponse:
    headers = {"Origin": ORIGIN, "X-Consent-Token": token}
    return service.client.delete(ME, headers=headers)


def test_visitors_see_all_their_records_the_newest_first(service: Service) -> None:
    service.token()
    answers = [service.choose().get_json()]
    for language in ("sw", "en"):
        answers.append(service.choose(token=answers[-1]["token"], language=language).get_json())
    records = [answer["record"] for answer in answers]
    answer = see(service, answers[0]["token"])
    assert answer.status_code == 200
    newest = answers[-1]["receipt_url"]
    shown = {"record": records[-1], "history": records[::-1], "receipt_url": newest}
    assert answer.get_json() == shown


def test_the_cookie_will_do(service: Service) -> None:
    answer = service.choose().get_json()
    cookie = {"Cookie": f"cookie_consent_test={answer['token']}"}
    assert service.client.get(ME, headers=cookie).get_json()["record"] == answer["record"]


def test_the_newest_choice_stays_the_newest_when_the_clock_is_set_back(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = service.token()
    earlier = clock.now() - timedelta(hours=1)
    monkeypatch.setattr(clock, "now", lambda: earlier)
    newest = service.choose(token=token).get_json()["record"]
    assert see(service, token).get_json()["record"] == newest


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_forged_token_sees_and_erases_nothing(service: Service, method: str) -> None:
    token = service.token()
    before = service.rows("records"), service.rows("current_states")
    for how, forge in FORGERIES.items():
        headers = {"Origin": ORIGIN, "X-Consent-Token": forge(token)}
        response = service.client.open(ME, method=method, headers=headers)
        assert response.status_code == 404, how
        assert response.get_json()["error"]["code"] == "unknown_visitor"
    assert (service.rows("records"), service.rows("current_states")) == before


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_without_a_token_nothing_is_known(service: Service, method: str) -> None:
    service.token()
    response = service.client.open(ME, method=method, headers={"Origin": ORIGIN})
    assert response.status_code == 404
    assert response.get_json()["error"]["code"] == "unknown_visitor"


def test_erasure_empties_all_records_of_the_visitor(service: Service) -> None:
    token = service.choose(headers={"Idempotency-Key": "x" * 32}).get_json()["token"]
    token = service.token(token=token)
    before = service.rows("records")
    response = erase(service, token)
    assert response.status_code == 200
    assert response.get_json() == {"erased_records": 2}
    kept = ("id", "tenant_id", "site_id", "created_at")
    for old, new in zip(by_id(before), by_id(service.rows("records")), strict=True):
        assert [old[name] for name in kept] == [new.pop(name) for name in kept]
        assert new.pop("erased_at")
        assert set(new.values()) == {None}
    (state,) = service.rows("current_states")
    assert not any(state[name] for name in ("record_id", "notice_version", "expires_at", "choices"))


def by_id(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: str(row["id"]))


def test_what_was_erased_is_gone_for_everybody(service: Service) -> None:
    answer = service.choose().get_json()
    token = answer["token"]
    erase(service, token)
    assert see(service, token).status_code == 404
    # The link proves that it was erased.
    assert service.client.get(answer["receipt_url"]).get_json()["type"] == "erasure_receipt"
    again = erase(service, token)
    assert again.status_code == 404
    assert again.get_json()["error"]["code"] == "unknown_visitor"


def test_erasure_leaves_other_visitors_alone(service: Service) -> None:
    mine, another = service.token(), service.choose().get_json()
    erase(service, mine)
    assert see(service, another["token"]).get_json()["history"] == [another["record"]]
    assert service.client.get(another["receipt_url"]).status_code == 200


def test_an_erased_visitor_who_chooses_again_is_a_new_one(service: Service) -> None:
    first = service.choose().get_json()
    erase(service, first["token"])
    again = service.choose(token=first["token"]).get_json()
    assert again["record"]["visitor_id"] != first["record"]["visitor_id"]
    assert again["record"]["sequence"] == 1
    assert see(service, again["token"]).get_json()["history"] == [again["record"]]


def test_a_retry_after_erasure_does_not_bring_the_record_back(service: Service) -> None:
    key = {"Idempotency-Key": "a-random-id-of-the-decision"}
    first = service.choose(headers=key).get_json()
    erase(service, first["token"])
    again = service.choose(headers=key).get_json()
    assert again["record"]["id"] != first["record"]["id"]
    assert again["record"]["visitor_id"] != first["record"]["visitor_id"]
