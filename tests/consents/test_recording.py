"""Recording decisions: what is stored, and about whom."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
import rfc8785

from consent_service import clock
from tests.builders import COUNTRY_HEADER, FORGERIES, SITE_KEY, Service

COOKIE = "cookie_consent_test"


def test_every_purpose_is_stored_refused_and_essential_ones_too(service: Service) -> None:
    service.choose({"analytics": True, "preferences": False})
    (row,) = service.rows("records")
    record = json.loads(row["document"])
    assert record["choices"] == {"session": True, "preferences": False, "analytics": True}


def test_the_record_says_what_was_shown_and_what_was_decided(service: Service) -> None:
    answer = service.choose(language="sw", surface="preferences").get_json()
    record = answer["record"]
    made = datetime.fromisoformat(record["created_at"])
    assert record == {
        "schema_version": 1,
        "id": record["id"],
        "tenant_id": str(service.tenant.id),
        "site_key": SITE_KEY,
        "visitor_id": record["visitor_id"],
        "previous_id": None,
        "sequence": 1,
        "action": "save",
        "surface": "preferences",
        "signal_source": "preferences",
        "choices": {"session": True, "preferences": False, "analytics": True},
        "gpc": False,
        "notice_version": 1,
        "notice_hash": service.notice.content_hash,
        "policy_version": "2026-03",
        "language": "sw",
        "region": "*",
        "regime": "opt_in",
        "rule_version": "2026-11-23",
        "country": None,
        "device_class": "other",
        "browser_family": "other",
        "created_at": clock.rfc3339(made),
        "expires_at": clock.rfc3339(made + timedelta(days=180)),
    }
    (row,) = service.rows("records")
    assert row["document"].encode() == rfc8785.dumps(record)


@pytest.mark.parametrize(
    ("action", "granted"),
    [("accept_all", True), ("reject_all", False), ("withdraw", False)],
)
def test_an_action_for_all_purposes_is_recorded_by_its_name(
    service: Service, action: str, *, granted: bool
) -> None:
    choices = {"analytics": granted, "preferences": granted}
    record = service.choose(choices, action=action).get_json()["record"]
    assert record["action"] == action
    assert record["choices"] == {"session": True, **choices}


def test_the_time_is_the_servers(service: Service) -> None:
    before = clock.now()
    record = service.choose().get_json()["record"]
    assert before <= clock.from_rfc3339(record["created_at"]) <= clock.now()


def test_without_a_token_everybody_is_a_new_visitor(service: Service) -> None:
    first, second = (service.choose().get_json()["record"] for _ in range(2))
    assert first["visitor_id"] != second["visitor_id"]
    assert second["sequence"] == 1
    assert second["previous_id"] is None


@pytest.mark.parametrize("by", ["header", "cookie"])
def test_the_token_continues_the_visitors_chain(service: Service, by: str) -> None:
    answers = [service.choose().get_json()]
    for _ in range(2):
        token = answers[-1]["token"]
        held = (
            {"X-Consent-Token": token} if by == "header" else {"Cookie": f"a=1; {COOKIE}={token}"}
        )
        answers.append(service.choose(headers=held).get_json())
    records = [answer["record"] for answer in answers]
    assert len({record["visitor_id"] for record in records}) == 1
    assert [record["sequence"] for record in records] == [1, 2, 3]
    assert [record["previous_id"] for record in records[1:]] == [r["id"] for r in records[:2]]


def test_json_may_name_its_charset(service: Service) -> None:
    kind = {"Content-Type": "application/json; charset=utf-8"}
    body: dict[str, object] = {"choices": {"analytics": True, "preferences": False}}
    body |= {"action": "save", "notice_version": 1, "language": "sw", "surface": "banner"}
    assert service.choose(data=json.dumps(body).encode(), headers=kind).status_code == 201


def test_an_older_token_of_the_visitor_still_continues_the_chain_at_its_end(
    service: Service,
) -> None:
    first = service.token()
    second = service.choose(token=first).get_json()["record"]
    third = service.choose(token=first).get_json()["record"]
    assert third["previous_id"] == second["id"]
    assert third["sequence"] == 3


def test_the_token_in_the_header_outranks_the_cookie(service: Service) -> None:
    mine, another = (service.choose().get_json() for _ in range(2))
    record = service.choose(
        token=mine["token"], headers={"Cookie": f"{COOKIE}={another['token']}"}
    ).get_json()["record"]
    assert record["visitor_id"] == mine["record"]["visitor_id"]


def test_a_forged_token_makes_a_new_visitor_and_touches_nobody(service: Service) -> None:
    token = service.token()
    for how, forge in FORGERIES.items():
        before = service.rows("records"), service.rows("current_states")
        record = service.choose(token=forge(token)).get_json()["record"]
        assert record["sequence"] == 1, how
        assert record["visitor_id"] not in token
        after = service.rows("records"), service.rows("current_states")
        for old, new in zip(before, after, strict=True):
            assert len(new) == len(old) + 1
            assert all(row in new for row in old)


def test_a_token_of_another_site_makes_a_new_visitor(service: Service) -> None:
    service.add_site("site_other")
    there = service.choose(site_key="site_other").get_json()
    record = service.choose(token=there["token"]).get_json()["record"]
    assert record["visitor_id"] != there["record"]["visitor_id"]
    assert record["sequence"] == 1


@pytest.mark.parametrize("version", [1, 3])
def test_a_choice_on_another_notice_is_refused_with_the_one_in_force(
    service: Service, version: int
) -> None:
    service.publish(texts={"sw": {"title": "Mpya"}})
    response = service.choose(notice_version=version, language="sw")
    assert response.status_code == 409
    answer = response.get_json()
    assert answer["error"]["code"] == "notice_changed"
    shown = service.client.get(f"/v1/sites/{SITE_KEY}/banner?lang=sw").get_json()
    assert answer["banner"] == shown
    assert shown["notice_version"] == 2
    assert shown["texts"]["title"] == "Mpya"
    assert service.rows("records") == service.rows("current_states") == []


@pytest.mark.parametrize(
    ("country", "regime", "days", "region"),
    [
        ("TZ", "opt_in", 180, "TZ"),
        ("CH", "notice", 365, "CH"),
        # Subdivisions have rules of their own, and which it is nobody knows.
        ("US", "opt_out", 365, "US"),
        ("AQ", "opt_in", 180, "*"),
        ("XX", "opt_in", 180, "*"),
    ],
)
def test_the_rule_of_the_visitors_region_is_applied_and_recorded(
    worldwide: Service, country: str, regime: str, days: int, region: str
) -> None:
    record = worldwide.choose(headers={COUNTRY_HEADER: country}).get_json()["record"]
    assert record["regime"] == regime
    assert record["region"] == region
    assert record["country"] == (None if country == "XX" else country)
    kept = clock.from_rfc3339(record["expires_at"]) - clock.from_rfc3339(record["created_at"])
    assert kept == timedelta(days=days)


def test_a_site_can_ask_where_the_table_would_not(worldwide: Service) -> None:
    worldwide.add_site("site_strict", regime_overrides={"CH": "opt_in"})
    answer = worldwide.choose(site_key="site_strict", headers={COUNTRY_HEADER: "CH"}).get_json()
    assert answer["record"]["regime"] == "opt_in"


@pytest.mark.parametrize(
    ("country", "counts", "source"),
    [("US", False, "gpc"), ("TZ", True, "banner"), ("XX", True, "banner")],
)
def test_the_privacy_signal_forces_off_where_the_law_demands_it(
    worldwide: Service, country: str, source: str, *, counts: bool
) -> None:
    headers = {COUNTRY_HEADER: country, "Sec-GPC": "1"}
    choices = {"analytics": True, "preferences": True}
    record = worldwide.choose(choices, action="accept_all", headers=headers).get_json()["record"]
    assert record["choices"] == {"session": True, "analytics": counts, "preferences": counts}
    assert record["signal_source"] == source
    assert record["gpc"] is True


@pytest.mark.parametrize("header", [None, "0", "1"])
@pytest.mark.parametrize("said", [None, False, True])
def test_the_signal_is_on_if_the_browser_or_the_page_says_so(
    worldwide: Service, header: str | None, *, said: bool | None
) -> None:
    signal = {} if header is None else {"Sec-GPC": header}
    body: dict[str, Any] = {} if said is None else {"gpc": said}
    record = worldwide.choose(headers={COUNTRY_HEADER: "US", **signal}, **body).get_json()["record"]
    on = header == "1" or said is True
    assert record["gpc"] is on
    assert record["choices"]["analytics"] is not on


def test_a_grant_given_to_a_page_that_saw_the_signal_holds_where_the_rule_lets_it(
    service: Service,
) -> None:
    choices = {"analytics": True, "preferences": False}
    token = service.choose(choices, gpc=True).get_json()["token"]
    assert service.reason(token=token, headers={"Sec-GPC": "1"}) == "granted"
    assert service.reason(token=service.token(), headers={"Sec-GPC": "1"}) == "gpc"


def test_a_changed_notice_is_shown_with_the_signal_that_the_page_saw(service: Service) -> None:
    answer = service.choose(notice_version=7, gpc=True).get_json()
    assert answer["banner"]["gpc"]["detected"] is True


@pytest.mark.parametrize("value", ["0", "true", ""])
def test_only_1_is_the_privacy_signal(worldwide: Service, value: str) -> None:
    headers = {COUNTRY_HEADER: "US", "Sec-GPC": value}
    record = worldwide.choose(headers=headers).get_json()["record"]
    assert record["gpc"] is False
    assert record["choices"]["analytics"] is True


def test_of_the_browser_only_kind_and_family_are_recorded(service: Service) -> None:
    agent = "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/131.0.0.0 Mobile Safari/537"
    record = service.choose(headers={"User-Agent": agent}).get_json()["record"]
    assert record["device_class"] == "phone"
    assert record["browser_family"] == "chrome"
