"""Rates and records as files: who gets them, what is in them, and what happens when they fail."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pytest
from click.testing import CliRunner
from pyarrow import parquet
from sqlalchemy import Connection, text
from werkzeug.test import TestResponse

from consent_service import downloads, formats
from consent_service.access.actor import OPERATOR
from consent_service.cli import main
from consent_service.consents import export
from consent_service.consents.export import export_records, moments
from consent_service.db import Database
from consent_service.errors import Unavailable, ValidationFailed
from consent_service.reports.report import Question
from consent_service.reports.service import ask, rows, today
from consent_service.tenants.service import create_tenant
from tests.builders import SITE_KEY, Service, make_service
from tests.members import api_key
from tests.reports.builders import SINCE, UNTIL, Crowd, fill_with

RATES, RECORDS = "/v1/reports/rates", "/v1/reports/records"
MONTH = {"site": SITE_KEY, "from": SINCE.isoformat(), "to": UNTIL.isoformat()}


@pytest.fixture(scope="module")
def counted(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose site has rollups of a month."""
    folder = tmp_path_factory.mktemp("exports")
    url = f"sqlite:///{shutil.copy(sqlite_template, folder / 'consent.db')}"
    service = make_service(url, folder)
    fill_with(
        service.built.database,
        service.site,
        Crowd(shown=200, answers=120, accepted=60, withdrawn=12),
        Crowd(shown=100, answers=60, accepted=15).of(country="KE"),
        Crowd(date(2026, 9, 8), shown=80, answers=40, accepted=20).of(country="UG"),
        Crowd(shown=6, answers=3, accepted=3).of(country="DE"),
    )
    yield service
    service.built.database.close()


@pytest.fixture(scope="module")
def analyst(counted: Service) -> dict[str, str]:
    return api_key(counted, "reports:read")


def get(
    service: Service, address: str, headers: dict[str, str], query: dict[str, str] | None = None
) -> TestResponse:
    return service.client.get(address, query_string=query or MONTH, headers=headers)


def table(answer: TestResponse) -> list[dict[str, str]]:
    """Return the rows of a CSV file, without the closing one."""
    assert answer.status_code == 200, answer.get_data(as_text=True)
    content = answer.get_data().decode("utf-8-sig")
    *found, closing = csv.DictReader(io.StringIO(content, newline=""))
    assert next(iter(closing.values())) == "#end"
    return found


def error(answer: TestResponse) -> str:
    return str(answer.get_json()["error"]["code"])


def this_month(service: Service) -> dict[str, str]:
    day = today(service.site)
    return {"site": SITE_KEY, "from": str(day - timedelta(days=1)), "to": str(day)}


def actions(service: Service) -> list[dict[str, Any]]:
    return [row for row in service.rows("audit_events") if row["action"] == "records.exported"]


# Rates.


def test_rates_are_the_same_in_every_form(counted: Service, analyst: dict[str, str]) -> None:
    query = {**MONTH, "group": "country", "step": "week"}
    question = Question(SITE_KEY, SINCE, UNTIL, group="country", step="week")
    expected = [dict(row) for row in rows(ask(counted.built.database, counted.site, question))]
    assert any(row["hidden"] for row in expected)

    def answered(form: str) -> TestResponse:
        answer = get(counted, f"{RATES}.{form}", analyst, query)
        assert answer.status_code == 200
        return answer

    *lines, closing = map(json.loads, answered("ndjson").get_data().splitlines())
    assert lines == expected
    assert closing["rows"] == len(expected)
    in_table = table(answered("csv"))
    groups = parquet.read_table(pa.BufferReader(answered("parquet").get_data())).to_pylist()
    sheet = openpyxl.load_workbook(io.BytesIO(answered("xlsx").get_data())).active
    assert sheet is not None
    head, *cells = sheet.iter_rows(values_only=True)
    for row, cell, group, in_sheet in zip(expected, in_table, groups, cells, strict=True):
        days = {name: date.fromisoformat(str(row[name])) for name in ("since", "until")}
        assert group == {**row, **days}
        of_sheet = dict(zip(head, in_sheet, strict=True))
        for name in ("numerator", "denominator", "value", "low", "high"):
            assert of_sheet[name] == (None if row[name] is None else pytest.approx(row[name]))
            assert cell[name] == ("" if row[name] is None else str(row[name]))
        assert cell["since"] == row["since"] == f"{of_sheet['since']:%Y-%m-%d}"


def test_a_file_says_what_it_is_and_how_long(counted: Service, analyst: dict[str, str]) -> None:
    answer = get(counted, f"{RATES}.csv", analyst)
    assert answer.mimetype == "text/csv"
    name = f"rates-{SITE_KEY}-2026-09-01-2026-09-30.csv"
    assert answer.headers["Content-Disposition"] == f"attachment; filename={name}"
    assert answer.content_length == len(answer.get_data())
    assert answer.headers["Cache-Control"] == "private, no-cache"
    for form, kind in (
        ("ndjson", "application/x-ndjson"),
        ("parquet", "application/vnd.apache.parquet"),
        ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ):
        assert get(counted, f"{RATES}.{form}", analyst).mimetype == kind


@pytest.mark.parametrize("form", formats.FORMATS)
def test_what_has_not_changed_is_not_sent_again(
    counted: Service, analyst: dict[str, str], form: str
) -> None:
    tag = get(counted, f"{RATES}.{form}", analyst).headers["ETag"]
    again = get(counted, f"{RATES}.{form}", {**analyst, "If-None-Match": tag})
    assert (again.status_code, again.get_data()) == (304, b"")
    other = get(
        counted, f"{RATES}.{form}", {**analyst, "If-None-Match": tag}, {**MONTH, "to": "2026-09-07"}
    )
    assert other.status_code == 200


def test_the_mark_of_utf_8_comes_before_csv_alone(
    counted: Service, analyst: dict[str, str]
) -> None:
    marked = {**MONTH, "bom": "1"}
    assert get(counted, f"{RATES}.csv", analyst, marked).get_data()[:3] == b"\xef\xbb\xbf"
    refused = get(counted, f"{RATES}.parquet", analyst, marked)
    assert refused.get_json()["error"]["fields"] == {"bom": ["Only CSV can begin with one."]}


@pytest.mark.parametrize(
    ("address", "query", "status", "field"),
    [
        (f"{RATES}.pdf", MONTH, 404, "form"),
        (f"{RECORDS}.xlsx", MONTH, 404, "form"),
        (f"{RATES}.csv", {**MONTH, "group": "visitor_id"}, 422, "group"),
        (f"{RATES}.csv", {**MONTH, "group": "country", "compare": "TZ,KE"}, 422, "compare"),
        (f"{RECORDS}.csv", {**MONTH, "from": "2026-10-01"}, 422, "from"),
        (f"{RECORDS}.csv", {"site": SITE_KEY}, 422, "from"),
        (f"{RECORDS}.csv", {**MONTH, "visitor": "x"}, 422, "visitor"),
    ],
)
def test_a_question_that_is_not_right_says_where(
    counted: Service, address: str, query: dict[str, str], status: int, field: str
) -> None:
    answer = get(counted, address, api_key(counted, "reports:read", "records:export"), query)
    assert answer.status_code == status
    assert field in answer.get_json()["error"]["fields"]
    if status == 404:
        assert "csv, ndjson, parquet" in answer.get_json()["error"]["message"]


def test_files_are_for_those_who_may_have_them(counted: Service, analyst: dict[str, str]) -> None:
    assert error(get(counted, f"{RATES}.csv", {})) == "not_signed_in"
    assert error(get(counted, f"{RECORDS}.csv", analyst)) == "permission_missing"
    assert error(get(counted, f"{RATES}.csv", api_key(counted, "records:export"))) == (
        "permission_missing"
    )
    hostile = create_tenant(counted.built.database, "hostile", "Hostile Ltd", by=OPERATOR)
    theirs = api_key(counted, "reports:read", "records:export", tenant=hostile)
    for address in (f"{RATES}.csv", f"{RECORDS}.csv"):
        assert error(get(counted, address, theirs)) == "unknown_site"


# Records.


def test_records_are_exported_with_every_choice_and_no_visitor(service: Service) -> None:
    made = service.choose().get_json()["record"]
    token = service.token(analytics=False)
    service.token(token=token)
    answer = get(service, f"{RECORDS}.csv", api_key(service, "records:export"), this_month(service))
    first, *others = table(answer)
    assert len(others) == 2
    assert first["id"] == made["id"]
    assert first["created_at"] == made["created_at"]
    assert (first["choice_analytics"], first["choice_preferences"]) == ("true", "false")
    assert first["choice_session"] == "true"
    assert first["erased_at"] == ""
    assert not {"visitor_id", "previous_id", "sequence"} & set(first)
    assert "vis_" not in answer.get_data(as_text=True)


def test_who_may_look_records_up_is_told_which_are_the_same_visitors(service: Service) -> None:
    token = service.token()
    service.token(token=token, analytics=False)
    headers = api_key(service, "records:export", "records:read")
    answer = get(service, f"{RECORDS}.ndjson", headers, this_month(service))
    first, second, closing = map(json.loads, answer.get_data().splitlines())
    assert closing["rows"] == 2
    assert second["visitor_id"] == first["visitor_id"]
    assert second["previous_id"] == first["id"]
    assert (first["sequence"], second["sequence"]) == (1, 2)
    told = [event["after"] for event in actions(service)]
    (said,) = [json.loads(each) if isinstance(each, str) else each for each in told]
    query = this_month(service)
    expected = {"from": query["from"], "to": query["to"], "format": "ndjson", "visitors": True}
    assert said == expected


def test_of_an_erased_record_only_that_it_was_is_exported(service: Service) -> None:
    token = service.token()
    service.token()
    headers = {"Origin": "https://app.example.com", "X-Consent-Token": token}
    service.client.delete(f"/v1/sites/{SITE_KEY}/consents/me", headers=headers)
    answer = get(
        service,
        f"{RECORDS}.ndjson",
        api_key(service, "records:export", "records:read"),
        this_month(service),
    )
    found = [json.loads(line) for line in answer.get_data().splitlines()[:-1]]
    assert len(found) == 2
    (erased,) = [row for row in found if row["erased_at"]]
    held = {name for name, value in erased.items() if value is not None}
    assert held == {"id", "created_at", "erased_at"}


def test_each_record_is_exported_once_however_many_are_read_at_a_time(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records of one moment, too: what comes next is found by time and id."""
    monkeypatch.setattr(export, "STEP", 3)
    moment = datetime(2026, 9, 10, 9, tzinfo=UTC)
    monkeypatch.setattr("consent_service.clock.now", lambda: moment)
    ids = [service.choose().get_json()["record"]["id"] for _ in range(8)]
    lines = b"".join(records_of(service, date(2026, 9, 10), date(2026, 9, 10))).splitlines()
    assert sorted(json.loads(line)["id"] for line in lines[:-1]) == sorted(ids)


def test_days_are_those_of_the_site(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    for moment in (
        datetime(2026, 9, 9, 20, 59, 59, 999000, tzinfo=UTC),
        datetime(2026, 9, 9, 21, tzinfo=UTC),
        datetime(2026, 9, 10, 20, 59, 59, 999000, tzinfo=UTC),
        datetime(2026, 9, 10, 21, tzinfo=UTC),
    ):
        with monkeypatch.context() as patch:
            patch.setattr("consent_service.clock.now", lambda moment=moment: moment)
            service.choose()
    lines = b"".join(records_of(service, date(2026, 9, 10), date(2026, 9, 10))).splitlines()
    assert [json.loads(line)["created_at"] for line in lines[:-1]] == [
        "2026-09-09T21:00:00.000Z",
        "2026-09-10T20:59:59.999Z",
    ]
    with pytest.raises(ValidationFailed):
        moments(service.site, date(2026, 9, 2), date(2026, 9, 1))


def records_of(service: Service, since: date, until: date) -> Iterator[bytes]:
    return export_records(
        service.built.database,
        service.site,
        since,
        until,
        "ndjson",
        by=OPERATOR,
        with_visitors=True,
    )


def test_a_purpose_that_is_gone_keeps_its_column(counted: Service) -> None:
    site = counted.add_site("site_renamed")
    counted.choose(site_key="site_renamed")
    purposes = [each for each in counted.notice.content["purposes"] if each["key"] != "analytics"]
    assert len(purposes) == 2
    notice = {"purposes": [_bare(each) for each in purposes]}
    counted.publish(site, **notice)
    query = {**this_month(counted), "site": "site_renamed"}
    (row,) = table(get(counted, f"{RECORDS}.csv", api_key(counted, "records:export"), query))
    assert row["choice_analytics"] == "true"


def _bare(purpose: dict[str, Any]) -> dict[str, Any]:
    texts = {code: dict(said) for code, said in purpose["texts"].items()}
    return {"key": purpose["key"], "category": purpose["category"], "texts": texts}


# When it fails.


def test_a_file_that_breaks_off_is_an_error_and_no_half_file(
    counted: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database goes away half-way through the records."""
    for _ in range(4):
        counted.choose()
    monkeypatch.setattr(export, "STEP", 2)
    headers = api_key(counted, "records:export")
    reading = Database.reading
    asked = 0

    def failing(database: Database, scope: Any) -> Any:  # noqa: ANN401
        nonlocal asked
        asked += 1
        if asked > 5:
            raise Unavailable
        return reading(database, scope)

    monkeypatch.setattr(Database, "reading", failing)
    answer = get(counted, f"{RECORDS}.csv", headers, this_month(counted))
    assert asked > 5
    assert (answer.status_code, error(answer)) == (503, "unavailable")
    monkeypatch.setattr(Database, "reading", reading)
    assert get(counted, f"{RECORDS}.csv", headers, this_month(counted)).status_code == 200


def test_a_full_disk_is_an_error_and_leaves_room_for_the_next(
    counted: Service, analyst: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("tempfile.TemporaryFile", full)
        for _ in range(downloads.MOST_AT_ONCE + 1):
            assert error(get(counted, f"{RATES}.csv", analyst)) == "unavailable"
    assert get(counted, f"{RATES}.csv", analyst).status_code == 200


def test_too_many_files_at_once_are_refused_and_told_when_to_come_back(
    counted: Service, analyst: dict[str, str]
) -> None:
    open_ones = [
        counted.client.get(f"{RATES}.csv", query_string=MONTH, headers=analyst)
        for _ in range(downloads.MOST_AT_ONCE)
    ]
    busy = get(counted, f"{RATES}.csv", analyst)
    assert (busy.status_code, error(busy)) == (503, "busy")
    assert int(busy.headers["Retry-After"]) > 0
    # One is read to its end, one is given up.
    open_ones[0].get_data()
    for answer in open_ones:
        answer.close()
    for _ in range(downloads.MOST_AT_ONCE + 1):
        assert get(counted, f"{RATES}.csv", analyst).get_data()
        head = counted.client.head(f"{RATES}.csv", query_string=MONTH, headers=analyst)
        assert (head.status_code, head.get_data()) == (200, b"")


def test_an_export_that_cannot_be_noted_is_not_made(
    counted: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(actions(counted))

    def refused(connection: Connection, *_: object, **__: object) -> None:
        connection.execute(text("SELECT no_such_function()"))

    monkeypatch.setattr("consent_service.access.audit.write", refused)
    headers = key_without_note(counted)
    answer = get(counted, f"{RECORDS}.csv", headers, this_month(counted))
    assert answer.status_code == 503
    monkeypatch.undo()
    assert len(actions(counted)) == before


def key_without_note(service: Service) -> dict[str, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("consent_service.access.audit.write", lambda *_, **__: None)
        return api_key(service, "records:export")


# The operator's commands.


def test_the_operator_writes_both_to_files(counted: Service, tmp_path: Path) -> None:
    counted.choose()
    environ = {
        "CONSENT_DATABASE_URL": counted.settings.database_url,
        "CONSENT_KEYS_FILE": str(counted.settings.keys_file),
    }

    def run(*arguments: str) -> str:
        result = CliRunner(env=environ).invoke(main, ["export", *arguments])
        assert result.exit_code in {0, 2}, result.output
        return result.stderr if result.exit_code else result.stdout

    days = ("--from", "2026-09-01", "--to", "2026-09-30")
    path = tmp_path / "rates.csv"
    run("rates", SITE_KEY, *days, "--group", "country", "--output", str(path))
    asked = {**MONTH, "group": "country"}
    same = get(counted, f"{RATES}.csv", api_key(counted, "reports:read"), asked)
    assert path.read_bytes() == same.get_data()
    assert "Only CSV" in run("rates", SITE_KEY, *days, "--bom", "--format", "xlsx")

    query = this_month(counted)
    days = ("--from", query["from"], "--to", query["to"])
    columnar = tmp_path / "records.parquet"
    run("records", SITE_KEY, *days, "--format", "parquet", "--output", str(columnar))
    read = parquet.read_table(columnar)
    assert read.num_rows > 0
    assert "visitor_id" not in read.column_names
    with_visitors = run("records", SITE_KEY, *days, "--visitors")
    assert '"visitor_id"' in with_visitors
    assert "#end," in with_visitors
    assert [event["actor_kind"] for event in actions(counted)][-2:] == ["operator"] * 2
    assert "not be after" in run("records", SITE_KEY, "--from", "2026-09-02", "--to", "2026-09-01")
