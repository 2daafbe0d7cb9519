"""Retries: the same key never makes a second record."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from tests.builders import SITE_KEY, Service

KEY = {"Idempotency-Key": "a-random-id-of-the-decision"}
YES = {"analytics": True, "preferences": True}
NO = {"analytics": False, "preferences": False}


def history(service: Service, token: str, site_key: str = SITE_KEY) -> list[str]:
    """Return the ids of the visitor's records, newest first."""
    answer = service.client.get(
        f"/v1/sites/{site_key}/consents/me", headers={"X-Consent-Token": token}
    ).get_json()
    return [record["id"] for record in answer["history"]]


def test_a_retry_gets_the_record_that_the_first_try_made(service: Service) -> None:
    token = service.token()
    first, again = (service.choose(token=token, headers=KEY) for _ in range(2))
    assert again.status_code == 201
    assert again.get_json()["record"] == first.get_json()["record"]
    assert len(service.rows("records")) == 2


def test_a_new_visitor_whose_answer_got_lost_becomes_that_visitor(service: Service) -> None:
    lost = service.choose(headers=KEY).get_json()
    answer = service.choose(headers=KEY).get_json()
    assert answer["record"] == lost["record"]
    assert history(service, answer["token"]) == [lost["record"]["id"]]
    assert len(service.rows("current_states")) == 1


def test_a_retry_may_come_with_the_token_of_the_first_answer(service: Service) -> None:
    first = service.choose(headers=KEY).get_json()
    again = service.choose(token=first["token"], headers=KEY).get_json()
    assert again["record"] == first["record"]


def test_a_late_retry_does_not_bring_an_older_choice_back(service: Service) -> None:
    first = service.choose(YES, headers=KEY).get_json()
    newer = service.choose(NO, token=first["token"]).get_json()
    late = service.choose(YES, headers=KEY).get_json()
    assert late["record"] == first["record"]
    assert service.ask(token=late["token"]).get_json()["allow"] is False
    assert history(service, late["token"]) == [newer["record"]["id"], first["record"]["id"]]
    assert service.client.get(late["receipt_url"]).get_json()["record"] == first["record"]


@pytest.mark.parametrize(
    "other",
    [
        {"choices": NO},
        {"action": "accept_all"},
        {"language": "sw"},
        {"surface": "preferences"},
    ],
)
def test_the_same_key_with_another_body_is_refused(
    service: Service, other: dict[str, object]
) -> None:
    token = service.choose(YES, headers=KEY).get_json()["token"]
    before = service.rows("records"), service.rows("current_states")
    response = service.choose(**{"choices": YES, **other}, token=token, headers=KEY)  # type: ignore[arg-type]
    assert response.status_code == 422
    assert response.get_json()["error"]["code"] == "idempotency_key_reused"
    assert (service.rows("records"), service.rows("current_states")) == before


def test_the_same_key_of_another_visitor_is_refused(service: Service) -> None:
    service.choose(headers=KEY)
    response = service.choose(token=service.token(), headers=KEY)
    assert response.status_code == 422
    assert response.get_json()["error"]["code"] == "idempotency_key_reused"
    assert len(service.rows("records")) == 2


def test_the_key_alone_does_not_make_one_an_earlier_visitor(service: Service) -> None:
    service.choose(token=service.token(), headers=KEY)
    response = service.choose(headers=KEY)
    assert response.status_code == 422
    assert "token" not in response.get_json()


def test_another_sites_keys_are_its_own(service: Service) -> None:
    service.add_site("site_other")
    here = service.choose(headers=KEY).get_json()["record"]
    there = service.choose(site_key="site_other", headers=KEY).get_json()["record"]
    assert here["id"] != there["id"]
    assert here["visitor_id"] != there["visitor_id"]


def test_the_key_itself_is_not_kept(service: Service) -> None:
    service.choose(headers=KEY)
    assert KEY["Idempotency-Key"] not in str(service.rows("records"))


@pytest.mark.parametrize("known", [False, True], ids=["new visitor", "known visitor"])
def test_retries_at_the_same_moment_make_one_record(service: Service, *, known: bool) -> None:
    token = service.token() if known else None
    before = len(service.rows("records"))
    tries = 6
    together = Barrier(tries)

    def retry(_: int) -> tuple[int, str]:
        together.wait()
        response = service.choose(token=token, headers=KEY)
        return response.status_code, response.get_json()["record"]["id"]

    with ThreadPoolExecutor(tries) as pool:
        answers = set(pool.map(retry, range(tries)))
    assert len(answers) == 1
    assert {status for status, _ in answers} == {201}
    assert len(service.rows("records")) == before + 1


def test_decisions_at_the_same_moment_stand_one_after_the_other(service: Service) -> None:
    token = service.token()
    tries = 6
    together = Barrier(tries)

    def choose(_: int) -> dict[str, object]:
        together.wait()
        record: dict[str, object] = service.choose(token=token).get_json()["record"]
        return record

    with ThreadPoolExecutor(tries) as pool:
        made = sorted(pool.map(choose, range(tries)), key=lambda record: str(record["sequence"]))
    assert [record["sequence"] for record in made] == list(range(2, tries + 2))
    assert [record["previous_id"] for record in made[1:]] == [record["id"] for record in made[:-1]]
    assert history(service, token)[:-1] == [record["id"] for record in reversed(made)]
