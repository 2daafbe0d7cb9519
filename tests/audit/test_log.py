"""The audit log: who may read it, what is found in it, and what its files say."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from sqlalchemy import insert

from consent_service import clock, formats
from consent_service.access import audit_log
from consent_service.access.actor import OPERATOR
from consent_service.access.audit_log import Filters, read_page
from consent_service.access.models import AuditEventRow
from consent_service.audit.service import export
from consent_service.errors import Unavailable
from consent_service.signing import Keyring
from consent_service.tenants.service import Tenant, create_tenant
from tests.builders import SITE_KEY, Service
from tests.members import Member, sign_in

LOG = "/v1/tenants/example/audit"


@pytest.fixture
def auditor(service: Service) -> Member:
    return sign_in(service, "auditor")


@pytest.fixture
def developer(service: Service) -> Member:
    """Who has renamed the site."""
    member = sign_in(service, "developer", name="Neema Mushi")
    renamed = {"revision": 1, "name": "Shop"}
    assert member.patch(f"/v1/tenants/example/sites/{SITE_KEY}", json=renamed).status_code == 200
    return member


@pytest.fixture
def hostile(service: Service) -> Tenant:
    return create_tenant(service.built.database, "hostile", "Hostile Ltd", by=OPERATOR)


def actions(member: Member, **query: str) -> list[str]:
    """Return what was done, newest first."""
    answer = member.get(LOG, query_string=query)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return [event["action"] for event in answer.get_json()["events"]]


def add(service: Service, number: int, at: datetime | None = None, **changes: Any) -> None:  # noqa: ANN401
    """Add events of the same moment."""
    event = {
        "tenant_id": service.tenant.id,
        "at": at or clock.now(),
        "actor_kind": "operator",
        "action": "thing.done",
        "object_kind": "thing",
        "object_id": "x",
        **changes,
    }
    with service.built.database.transaction(service.tenant.id) as connection:
        connection.execute(
            insert(AuditEventRow), [{**event, "id": clock.new_id()} for _ in range(number)]
        )


def test_the_newest_event_comes_first_with_who_did_what(auditor: Member, developer: Member) -> None:
    events = auditor.get(LOG).get_json()["events"]
    assert [event["action"] for event in events] == [
        "site.updated",
        "notice.published",
        "site.created",
        "tenant.created",
    ]
    newest = events[0]
    assert (newest["actor_kind"], newest["actor_name"]) == ("user", "Neema Mushi")
    assert newest["actor_id"] == str(developer.user_id)
    assert (newest["object_kind"], newest["object_id"]) == ("site", SITE_KEY)
    assert (newest["before"], newest["after"]) == ({"name": "App"}, {"name": "Shop"})
    assert newest["network"] == "192.0.2.0/24"
    assert (events[1]["actor_kind"], events[1]["actor_name"]) == ("operator", None)


def test_a_key_is_named_as_actor_and_as_object(
    service: Service, auditor: Member, developer: Member
) -> None:
    made = developer.post(
        "/v1/tenants/example/keys", json={"name": "Pipeline", "scopes": ["sites:write"]}
    ).get_json()
    headers = {"Authorization": f"Bearer {made['secret']}"}
    address = f"/v1/tenants/example/sites/{SITE_KEY}"
    service.client.patch(address, json={"revision": 2, "name": "App"}, headers=headers)
    updated, created = auditor.get(LOG, query_string={"limit": 2}).get_json()["events"]
    assert (updated["actor_kind"], updated["actor_name"]) == ("api_key", "Pipeline")
    assert (created["action"], created["object_name"]) == ("api_key.created", "Pipeline")


def test_events_are_found_by_who_what_and_when(
    service: Service, auditor: Member, developer: Member
) -> None:
    service.add_link_key()
    assert actions(auditor, actor=str(developer.user_id)) == ["site.updated"]
    assert actions(auditor, actor="operator", action="site") == ["site.created"]
    assert actions(auditor, action="site.updated") == ["site.updated"]
    assert actions(auditor, action="site_") == []
    assert actions(auditor, object=SITE_KEY) == [
        "link_key.created",
        "site.updated",
        "notice.published",
        "site.created",
    ]
    assert actions(auditor, object=SITE_KEY[:-1]) == []
    soon = clock.rfc3339(clock.now() + timedelta(hours=1))
    assert actions(auditor, **{"from": soon}) == []
    assert len(actions(auditor, until=soon)) == 5
    assert actions(auditor, actor=str(clock.new_id())) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"actor": "somebody"},
        {"action": "%"},
        {"object": "a\0b"},
        {"from": "yesterday"},
        {"until": "2026-01-01T00:00:00"},
        {"limit": "0"},
        {"limit": "201"},
        {"cursor": "x"},
        {"cursor": "MjAyNg"},
    ],
    ids=str,
)
def test_a_question_that_is_not_right_says_where(auditor: Member, wrong: dict[str, str]) -> None:
    answer = auditor.get(LOG, query_string=wrong)
    assert answer.status_code == 422
    assert list(answer.get_json()["error"]["fields"]) == list(wrong)


def test_pages_hold_each_event_once_though_more_are_added(
    service: Service, auditor: Member
) -> None:
    moment = clock.now() + timedelta(seconds=1)
    add(service, 7, moment)
    seen: list[str] = []
    query = {"limit": "2", "object": "x"}
    while True:
        page = auditor.get(LOG, query_string=query).get_json()
        seen += [event["id"] for event in page["events"]]
        assert len(page["events"]) <= 2
        if page["cursor"] is None:
            break
        query["cursor"] = page["cursor"]
        add(service, 1, moment + timedelta(seconds=1))
    assert len(seen) == len(set(seen)) == 7


def test_the_log_is_for_those_who_may_read_it(service: Service, hostile: Tenant) -> None:
    for ending in ("", ".csv", ".ndjson"):
        for role, status in (("owner", 200), ("dpo", 200), ("developer", 403), ("analyst", 403)):
            answer = sign_in(service, role).get(f"{LOG}{ending}")
            assert answer.status_code == status, (ending, role)
            if status == 403:
                assert answer.get_json()["error"]["fields"] == {"permission": ["audit:read"]}
        other = sign_in(service, "owner", hostile)
        assert other.get(f"{LOG}{ending}").status_code == 404
        theirs = other.get(f"/v1/tenants/hostile/audit{ending}").get_data(as_text=True)
        assert "Hostile Ltd" in theirs
        assert SITE_KEY not in theirs


def test_anothers_event_is_in_no_answer(service: Service, hostile: Tenant) -> None:
    """By any filter: the tenant is in the query."""
    theirs = sign_in(service, "owner", hostile)
    key = service.add_site("site_theirs", hostile).site_key
    ours = sign_in(service)
    for query in ({"object": key}, {"actor": str(theirs.user_id)}, {"action": "tenant"}):
        found = ours.get(LOG, query_string=query).get_data(as_text=True)
        assert "Hostile" not in found
        assert key not in found


def test_lines_are_events_and_the_last_says_how_many(service: Service, auditor: Member) -> None:
    add(service, 3)
    answer = auditor.get(f"{LOG}.ndjson")
    assert answer.mimetype == "application/x-ndjson"
    assert "audit-example.ndjson" in answer.headers["Content-Disposition"]
    lines = [json.loads(line) for line in answer.get_data(as_text=True).splitlines()]
    before_the_last = answer.get_data().rpartition(b"\n{")[0] + b"\n"
    assert lines[-1] == {
        "end": True,
        "rows": len(lines) - 1,
        "sha256": sha256(before_the_last).hexdigest(),
    }
    assert lines[:-1] == auditor.get(LOG).get_json()["events"]


def test_a_table_reads_back_as_it_was_written_and_ends_with_its_length(
    service: Service, auditor: Member
) -> None:
    add(service, 1, before={"name": 'say "hi", then\nleave'}, after={"name": "kofiki — é"})
    answer = auditor.get(f"{LOG}.csv")
    assert answer.mimetype == "text/csv"
    text = answer.get_data().decode()
    assert text.endswith("\r\n")
    head, *rows = csv.reader(io.StringIO(text, newline=""))
    assert {len(row) for row in rows} == {len(head)}
    assert rows[-1][:2] == ["#end", str(len(rows) - 1)]
    first = dict(zip(head, rows[0], strict=True))
    assert json.loads(first["before"]) == {"name": 'say "hi", then\nleave'}
    assert json.loads(first["after"]) == {"name": "kofiki — é"}


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_of_a_table_is_a_formula(service: Service, auditor: Member, start: str) -> None:
    hostile = f"{start}cmd|'/c calc'!A0"
    sign_in(service, "developer", name=hostile).patch(
        f"/v1/tenants/example/sites/{SITE_KEY}", json={"revision": 1, "name": "Shop"}
    )
    add(service, 1, object_id=hostile)
    text = auditor.get(f"{LOG}.csv").get_data().decode()
    cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
    assert cells.count(f"'{hostile}") == 2
    assert not [cell for cell in cells if cell.startswith(start)]


def test_a_file_that_was_cut_off_lacks_its_last_line(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database goes away while the file is on its way."""
    monkeypatch.setattr(audit_log, "EXPORT_STEP", 2)
    monkeypatch.setattr(formats, "STEP", 2)
    add(service, 5)
    got: list[bytes] = []
    lines = export(
        service.built.database,
        service.use(Keyring),
        service.tenant.id,
        Filters(object="x"),
        "ndjson",
    )
    got.append(next(lines))
    monkeypatch.setattr(type(service.built.database), "reading", _gone)
    with pytest.raises(Unavailable):
        got.extend(lines)
    assert 1 <= len(got) < 5
    assert b'"end"' not in b"".join(got)


def _gone(*_: object, **__: object) -> None:
    raise Unavailable


def test_a_file_that_cannot_be_begun_is_an_error(
    auditor: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_log, "read_page", _gone)
    answer = auditor.get(f"{LOG}.csv")
    assert answer.status_code == 503
    assert answer.get_json()["error"]["code"] == "unavailable"


def test_an_export_holds_a_few_events_at_a_time(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(service, 1000)
    monkeypatch.setattr(formats, "STEP", 1)
    asked: list[int] = []

    def spied(*args: Any, **options: Any) -> audit_log.Page:  # noqa: ANN401
        page = read_page(*args, **options)
        asked.append(len(page.events))
        return page

    monkeypatch.setattr(audit_log, "read_page", spied)
    lines = export(
        service.built.database, service.use(Keyring), service.tenant.id, Filters(object="x"), "csv"
    )
    for _ in range(3):
        next(lines)
    assert asked == [500]
    assert sum(1 for _ in lines) == 1000 + 1 - 3
    assert asked == [500, 500]
