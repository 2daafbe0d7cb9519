"""Asking about many visitors by their ids: who may, what is refused, and how many at once."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from consent_service import clock
from consent_service.access.actor import OPERATOR
from consent_service.consents.feed import ChangeFeed
from consent_service.tenants.service import create_tenant
from tests.builders import ORIGIN, SITE_KEY, Service
from tests.members import api_key, sign_in
from tests.queries import queries

UNKNOWN = {"allow": False, "reason": "unknown_visitor"}
GRANTED = {"allow": True, "reason": "granted"}


def ask(service: Service, headers: dict[str, str] | None = None, **body: Any) -> TestResponse:  # noqa: ANN401
    """Ask about analytics on the site; ``body`` replaces members, None leaves them out."""
    sent = {"site": SITE_KEY, "purpose": "analytics", **body}
    return service.client.post(
        "/v1/gate/batch",
        json={name: value for name, value in sent.items() if value is not None},
        headers=api_key(service, "gate:batch") if headers is None else headers,
    )


def visitor(answer: TestResponse) -> str:
    return str(answer.get_json()["record"]["visitor_id"])


def test_each_visitor_is_answered_with_a_reason(service: Service) -> None:
    granter = visitor(service.choose())
    refuser = visitor(service.choose({"analytics": False, "preferences": False}))
    stranger = clock.new_visitor_id()
    answer = ask(service, visitors=[granter, refuser, stranger, granter, "anybody"])
    assert answer.status_code == 200
    assert answer.get_json() == {
        "purpose": "analytics",
        "decisions": {
            granter: GRANTED,
            refuser: {"allow": False, "reason": "refused"},
            stranger: UNKNOWN,
            "anybody": UNKNOWN,
        },
        "regime": "opt_in",
        "notice_version": 1,
    }
    assert answer.headers["Cache-Control"] == "no-store"


def test_what_is_essential_is_allowed_for_anybody(service: Service) -> None:
    answer = ask(service, purpose="session", visitors=["anybody"])
    assert answer.get_json()["decisions"] == {"anybody": {"allow": True, "reason": "essential"}}


def test_an_erased_visitor_is_denied(service: Service) -> None:
    made = service.choose().get_json()
    service.client.delete(
        f"/v1/sites/{SITE_KEY}/consents/me",
        headers={"Origin": ORIGIN, "X-Consent-Token": made["token"]},
    )
    gone = made["record"]["visitor_id"]
    reasons = ask(service, visitors=[gone]).get_json()["decisions"]
    assert reasons == {gone: {"allow": False, "reason": "erased"}}


def test_a_user_is_asked_about_by_the_sites_own_id(service: Service) -> None:
    granting = service.choose().get_json()
    assert service.link("user-1", token=granting["token"]).status_code == 200
    answer = ask(service, users=["user-1", "user-2", "å 😀"])
    assert answer.get_json()["decisions"] == {
        "user-1": GRANTED,
        "user-2": UNKNOWN,
        "å 😀": UNKNOWN,
    }


def test_a_visitor_who_was_merged_is_answered_as_whoever_stands_for_them(service: Service) -> None:
    first, second = service.choose().get_json(), service.choose().get_json()
    for made in (first, second):
        assert service.link("user-1", token=made["token"]).status_code == 200
    merged = second["record"]["visitor_id"]
    service.choose({"analytics": False, "preferences": False}, token=first["token"])
    answer = ask(service, visitors=[merged, first["record"]["visitor_id"]])
    assert {said["reason"] for said in answer.get_json()["decisions"].values()} == {"withdrawn"}


def test_a_choice_made_with_the_signal_on_stands_with_the_signal_on(service: Service) -> None:
    service.add_site("site_object", regime_overrides={"*": "opt_out"})
    made = service.choose(gpc=True, site_key="site_object")
    answer = ask(service, site="site_object", visitors=[visitor(made)])
    assert answer.get_json()["decisions"][visitor(made)] == GRANTED


def test_the_region_decides_what_holds_without_a_choice_for_a_purpose(service: Service) -> None:
    site = service.add_site("site_far", regime_overrides={"US-CA": "opt_in"})
    made = visitor(service.choose(site_key="site_far"))
    purposes = [
        {"key": each, "category": category, "texts": {"en": {"name": each, "description": each}}}
        for each, category in (("analytics", "analytics"), ("ads", "marketing"))
    ]
    policy = {"version": "2", "url": "https://example.com/privacy", "material": False}
    service.publish(site, purposes=purposes, policy=policy, languages=["en"])
    for region, regime, reason in (
        (None, "opt_in", "no_choice"),
        ("TZ", "opt_in", "no_choice"),
        ("US", "opt_out", "opt_out_default"),
        ("US-TX", "opt_out", "opt_out_default"),
        ("US-CA", "opt_in", "no_choice"),
    ):
        answer = ask(service, site="site_far", purpose="ads", visitors=[made], region=region)
        body = answer.get_json()
        assert (body["regime"], body["decisions"][made]["reason"]) == (regime, reason), region


def test_a_thousand_are_answered_with_one_query_and_one_more_is_refused(service: Service) -> None:
    known = [visitor(service.choose()) for _ in range(3)]
    ids = known + [clock.new_visitor_id() for _ in range(997)]
    headers = api_key(service, "gate:batch")
    # The key's own use is written once a minute.
    assert ask(service, headers, visitors=["anybody"]).status_code == 200
    with queries(lambda _: True) as asked:
        answer = ask(service, headers, visitors=ids)
    decisions = answer.get_json()["decisions"]
    assert list(decisions.values()).count(GRANTED) == 3
    assert list(decisions.values()).count(UNKNOWN) == 997
    assert [sql for sql in asked if "current_states" in sql] == asked[-1:]
    assert len([sql for sql in asked if sql.startswith("SELECT")]) <= 3
    refused = ask(service, headers, visitors=[*ids, "one more"])
    assert refused.status_code == 422
    assert "visitors" in refused.get_json()["error"]["fields"]


def test_a_thousand_users_with_long_ids_fit(service: Service) -> None:
    users = [f"{number:04}" + "€" * 251 for number in range(1000)]
    answer = ask(service, users=users)
    assert answer.status_code == 200
    assert len(answer.get_json()["decisions"]) == 1000


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"visitors": None}, "visitors"),
        ({"visitors": []}, "visitors"),
        ({"visitors": ["a\0b"]}, "visitors"),
        ({"visitors": "vis_x"}, "visitors"),
        ({"users": ["user-1"]}, "visitors"),
        ({"visitors": None, "users": [""]}, "users"),
        ({"visitors": None, "users": ["x" * 256]}, "users"),
        ({"purpose": "nothing"}, "purpose"),
        ({"purpose": None}, "purpose"),
        ({"region": "tz"}, "region"),
        ({"site": None}, "site"),
        ({"tokens": ["x"]}, "tokens"),
    ],
    ids=str,
)
def test_a_question_that_is_not_well_put_says_where(
    service: Service, wrong: dict[str, Any], field: str
) -> None:
    answer = ask(service, **{"visitors": ["vis_x"], **wrong})
    assert answer.status_code == 422
    assert list(answer.get_json()["error"]["fields"]) == [field]


def test_only_a_key_with_the_scope_may_ask(service: Service) -> None:
    answer = ask(service, {}, visitors=["vis_x"])
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (401, "not_signed_in")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert ask(service, {"Authorization": "Bearer ck_x"}, visitors=["x"]).status_code == 401
    answer = ask(service, api_key(service, "sites:read", "records:read"), visitors=["vis_x"])
    assert answer.status_code == 403
    assert answer.get_json()["error"]["fields"] == {"permission": ["gate:batch"]}
    member = sign_in(service)
    body = {"site": SITE_KEY, "purpose": "analytics", "visitors": ["vis_x"]}
    assert member.post("/v1/gate/batch", json=body).status_code == 401


def test_another_tenants_site_is_as_one_that_does_not_exist(service: Service) -> None:
    hostile = create_tenant(service.built.database, "hostile", "Hostile Ltd", by=OPERATOR)
    headers = api_key(service, "gate:batch", tenant=hostile)
    made = visitor(service.choose())
    answers = [
        ask(service, headers, site=site, visitors=[made]) for site in (SITE_KEY, "site_nobody")
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert answers[0].data == answers[1].data
    own = service.add_site("site_other", hostile)
    answer = ask(service, headers, site=own.site_key, visitors=[made])
    assert answer.get_json()["decisions"] == {made: UNKNOWN}


def test_a_site_without_a_notice_is_none(service: Service) -> None:
    made = sign_in(service).post(
        "/v1/tenants/example/sites", json={"name": "New", "allowed_origins": [ORIGIN]}
    )
    service.built.followers.refresh()
    answer = ask(service, site=made.get_json()["site_key"], visitors=["vis_x"])
    assert answer.get_json()["error"]["code"] == "unknown_site"


def test_a_process_that_hears_nothing_denies(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = visitor(service.choose())
    headers = api_key(service, "gate:batch")
    silent = timedelta(seconds=31).total_seconds()
    monkeypatch.setattr(ChangeFeed, "silent_seconds", property(lambda _: silent))
    answer = ask(service, headers, visitors=[made])
    assert answer.get_json()["decisions"][made] == {"allow": False, "reason": "state_stale"}


def test_the_example_on_the_page_is_answered_as_it_shows(service: Service) -> None:
    page = (Path(__file__).parents[2] / "docs/gate.md").read_text("utf-8")
    (sent,) = re.findall(r"-d '(\{.*\})'", page)
    (shown,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    made = visitor(service.choose())
    body = json.loads(sent.replace("site_demo", SITE_KEY).replace("vis_A", made))
    assert ask(service, **body).get_json() == json.loads(shown.replace("vis_A", made))
