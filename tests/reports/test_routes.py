"""Rates over HTTP: who may ask, what is refused, and that nothing is sent twice."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from consent_service import clock
from consent_service.access.actor import OPERATOR
from consent_service.reports.service import today
from consent_service.tenants.service import create_tenant
from tests.builders import SITE_KEY, Service, make_service
from tests.members import api_key, sign_in
from tests.reports.builders import SINCE, UNTIL, Crowd, fill_with

SETTINGS = "/v1/tenants/example/reports/settings"
MONTH = {"from": SINCE.isoformat(), "to": UNTIL.isoformat()}


@pytest.fixture(scope="module")
def counted(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose site has rollups of a month; tests change nothing but the settings."""
    folder = tmp_path_factory.mktemp("rates")
    url = f"sqlite:///{shutil.copy(sqlite_template, folder / 'consent.db')}"
    service = make_service(url, folder, limit_reads="1000000 per minute")
    home = Crowd(shown=200, answers=120, accepted=60, withdrawn=12)
    fill_with(
        service.built.database,
        service.site,
        home,
        Crowd(shown=100, answers=60, accepted=15).of(country="KE"),
        Crowd(shown=80, answers=40, accepted=20).of(country="UG", device_class="desktop"),
        Crowd(shown=6, answers=3, accepted=3).of(country="DE"),
    )
    yield service
    service.built.database.close()


@pytest.fixture(scope="module")
def reader(counted: Service) -> dict[str, str]:
    """What a program sends that may read reports."""
    return api_key(counted, "reports:read")


def get(service: Service, headers: dict[str, str], **query: str) -> TestResponse:
    """Ask for rates of the month; ``query`` replaces parameters."""
    asked = {"site": SITE_KEY, **MONTH, **query}
    return service.client.get("/v1/reports/rates", query_string=asked, headers=headers)


def rate(group: dict[str, Any], name: str, purpose: str | None = None) -> dict[str, Any]:
    """Return one rate of a group."""
    (found,) = [
        each for each in group["rates"] if (each["name"], each["purpose"]) == (name, purpose)
    ]
    return dict(found)


def test_a_program_reads_rates_with_what_they_are_computed_from(
    counted: Service, reader: dict[str, str]
) -> None:
    answer = get(counted, reader, group="country", step="week").get_json()
    assert answer["total"]["counts"]["shown"] == 386
    interaction = rate(answer["total"], "interaction")
    assert (interaction["numerator"], interaction["denominator"]) == (223, 386)
    assert interaction["low"] < interaction["value"] == 223 / 386 < interaction["high"]
    home, *_ = answer["groups"]
    assert home["value"] == "TZ"
    assert rate(home, "opt_in", "analytics")["value"] == 0.5
    assert rate(home, "withdrawal")["value"] == 12 / 132
    assert [(point["from"], point["to"]) for point in answer["points"]] == [
        ("2026-09-01", "2026-09-06"),
        ("2026-09-07", "2026-09-13"),
        ("2026-09-14", "2026-09-20"),
        ("2026-09-21", "2026-09-27"),
        ("2026-09-28", "2026-09-30"),
    ]
    assert answer["counted_at"] <= clock.rfc3339(clock.now())
    assert answer["time_zone"] == "Africa/Dar_es_Salaam"


def test_a_small_group_is_named_and_has_no_numbers(
    counted: Service, reader: dict[str, str]
) -> None:
    groups = get(counted, reader, group="country").get_json()["groups"]
    hidden = [group for group in groups if group["hidden"]]
    # Germany alone would be the total less the others.
    assert hidden == [{"value": "DE", "hidden": True}, {"value": "UG", "hidden": True}]
    for query in ({"country": "DE"}, {"country": "DE", "group": "device_class", "step": "day"}):
        answer = get(counted, reader, **query).get_json()
        assert answer["total"] == {"value": None, "hidden": True}
        assert answer["groups"] == []
        assert all(point["total"]["hidden"] for point in answer["points"])


def test_two_groups_and_two_periods_are_compared(counted: Service, reader: dict[str, str]) -> None:
    answer = get(counted, reader, group="country", compare="TZ,KE").get_json()
    found = {(each["rate"], each["purpose"]): each for each in answer["comparisons"]}
    opt_in = found["opt_in", "analytics"]
    assert (opt_in["left"], opt_in["right"], opt_in["verdict"]) == ("TZ", "KE", "lower")
    assert opt_in["difference"] == -0.25
    assert found["interaction", None]["verdict"] == "perhaps_chance"
    hidden = get(counted, reader, group="country", compare="TZ,DE").get_json()["comparisons"]
    absent = get(counted, reader, group="country", compare="TZ,FR").get_json()["comparisons"]
    for each, other in zip(hidden, absent, strict=True):
        assert {**each, "right": "FR"} == other
        assert (other["difference"], other["verdict"]) == (None, "too_few")
    before = {"compare_from": "2026-08-01", "compare_to": "2026-08-31"}
    periods = get(counted, reader, **before).get_json()["comparisons"]
    assert (periods[0]["left"], periods[0]["right"]) == (
        "2026-08-01/2026-08-31",
        "2026-09-01/2026-09-30",
    )
    assert {each["verdict"] for each in periods} == {"too_few"}


def test_without_a_period_it_is_the_last_thirty_days(
    counted: Service, reader: dict[str, str]
) -> None:
    query = {"site": SITE_KEY}
    answer = counted.client.get("/v1/reports/rates", query_string=query, headers=reader).get_json()
    assert answer["to"] == today(counted.site).isoformat()
    assert answer["total"]["rates"][0]["reason"] == "no_data"
    assert answer["purposes"] == []


@pytest.mark.parametrize(
    ("query", "field", "told"),
    [
        ({"from": "2026-10-01"}, "from", "after"),
        ({"to": "2999-01-01"}, "to", "today"),
        ({"from": "2019-01-01"}, "from", "1830"),
        ({"from": "yesterday"}, "from", "date"),
        ({"from": "2025-01-01", "step": "day"}, "step", "400"),
        ({"step": "hour"}, "step", "day, week, month"),
        ({"group": "browser"}, "group", "browser_family"),
        ({"country": "TZ", "group": "country"}, "group", "already"),
        ({"country": "TZ", "group": "surface"}, "group", "device_class"),
        ({"country": "TZ", "language": "sw"}, "language", "already"),
        ({"country": "T Z"}, "country", "match"),
        ({"contry": "TZ"}, "contry", "Unknown"),
        ({"site": "a site"}, "site", "match"),
        ({"compare": "TZ,KE"}, "compare", "group"),
        ({"compare": "TZ", "group": "country"}, "compare", "match"),
        ({"compare": "TZ,TZ", "group": "country"}, "compare", "different"),
        ({"compare_from": "2026-08-01"}, "compare_from", "both"),
        ({"compare_from": "2026-08-01", "compare_to": "2026-09-01"}, "compare_from", "common"),
        ({"compare_from": "2026-08-01", "compare_to": "2026-07-01"}, "compare_from", "after"),
        (
            {"compare_from": "2026-08-01", "compare_to": "2026-08-31", "compare": "TZ,KE"},
            "compare",
            "not both",
        ),
    ],
    ids=str,
)
def test_a_question_that_is_not_well_put_is_told_why(
    counted: Service, reader: dict[str, str], query: dict[str, str], field: str, told: str
) -> None:
    answer = get(counted, reader, **query)
    assert answer.status_code == 422
    assert told in " ".join(answer.get_json()["error"]["fields"][field])


def test_only_a_key_of_the_sites_own_tenant_that_may_read_reports_does(
    counted: Service, reader: dict[str, str]
) -> None:
    assert get(counted, {}).status_code == 401
    lacking = get(counted, api_key(counted, "gate:batch"))
    assert lacking.status_code == 403
    assert lacking.get_json()["error"]["fields"] == {"permission": ["reports:read"]}
    other = create_tenant(counted.built.database, "other", "Other Ltd", by=OPERATOR)
    foreign = get(counted, api_key(counted, "reports:read", tenant=other))
    nowhere = get(counted, reader, site="site_none")
    assert foreign.status_code == nowhere.status_code == 404
    assert foreign.get_json() == nowhere.get_json()


def test_what_has_not_changed_is_not_sent_again(counted: Service, reader: dict[str, str]) -> None:
    first = get(counted, reader, group="country")
    assert first.headers["Cache-Control"] == "private, no-cache"
    tag = first.headers["ETag"]
    assert not tag.startswith("W/")
    again = get(counted, {**reader, "If-None-Match": tag}, group="country")
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", tag)
    other = get(counted, {**reader, "If-None-Match": tag}, group="language")
    assert other.status_code == 200
    assert other.headers["ETag"] != tag


def test_a_tenant_says_how_small_is_too_small(counted: Service, reader: dict[str, str]) -> None:
    dpo, analyst = sign_in(counted, "dpo"), sign_in(counted, "analyst")
    assert analyst.get(SETTINGS).get_json() == {"smallest_group": 10}
    assert analyst.put(SETTINGS, json={"smallest_group": 5}).status_code == 403
    for number in (4, 1001, "10", 10.5, None):
        assert dpo.put(SETTINGS, json={"smallest_group": number}).status_code == 422
    before = len(counted.rows("audit_events"))
    for number in (150, 150, 200):
        assert dpo.put(SETTINGS, json={"smallest_group": number}).status_code == 200
    # The same number again is no change.
    events = counted.rows("audit_events")[before:]
    assert [event["action"] for event in events] == ["report_settings.updated"] * 2
    assert "150" in str(events[1]["before"])
    assert analyst.get(SETTINGS).get_json() == {"smallest_group": 200}
    answer = get(counted, reader, group="country").get_json()
    assert answer["smallest_group"] == 200
    assert all(group["hidden"] for group in answer["groups"])
    assert dpo.put(SETTINGS, json={"smallest_group": 10}).status_code == 200
