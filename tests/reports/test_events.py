"""Banners that pages tell of: what is counted, what is refused, and that it is nobody's."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import Connection, make_url
from werkzeug.test import TestResponse

from consent_service.consents.record import Circumstances
from consent_service.db import Database, Scope
from consent_service.errors import Unavailable
from consent_service.notices.service import NoticeDirectory
from consent_service.regions.rules import Place
from consent_service.regions.service import Regions
from consent_service.reports.impressions import Event, Impressions
from tests import servers
from tests.builders import COUNTRY_HEADER, ORIGIN, SITE_KEY, Service, make_service

PERSON = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
)
GOOD: dict[str, Any] = {"type": "shown", "notice_version": 1, "language": "en"}

#: Of a row, what is not in question.
OURS = {"id", "tenant_id", "site_id", "at", "number", "folded"}


@pytest.fixture
def made(sqlite_url: str, tmp_path: Path) -> Iterator[Service]:
    """A service on SQLite, where the database is not the point."""
    service = make_service(sqlite_url, tmp_path)
    yield service
    service.built.database.close()


@pytest.fixture(scope="module")
def strict(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The same for tests after which nothing is counted."""
    folder = tmp_path_factory.mktemp("strict")
    service = make_service(
        f"sqlite:///{shutil.copy(sqlite_template, folder / 'consent.db')}", folder
    )
    yield service
    service.built.database.close()


def tell(
    service: Service,
    *,
    site_key: str = SITE_KEY,
    headers: dict[str, str] | None = None,
    data: bytes | None = None,
    **body: Any,  # noqa: ANN401
) -> TestResponse:
    """Tell of a banner as the widget does; ``body`` replaces members, ``data`` the whole body."""
    given = {"Origin": ORIGIN, "User-Agent": PERSON, "Content-Type": "text/plain;charset=UTF-8"}
    return service.client.post(
        f"/v1/sites/{site_key}/events",
        data=json.dumps({**GOOD, **body}) if data is None else data,
        headers=given | (headers or {}),
    )


def counted(service: Service) -> list[dict[str, Any]]:
    """Return the rows once all is written."""
    service.built.impressions.flush()
    return service.rows("impressions")


def numbers(service: Service, by: str = "kind") -> Counter[Any]:
    """Return how many were counted by a column."""
    found: Counter[Any] = Counter()
    for row in counted(service):
        found[row[by]] += row["number"]
    return found


def test_a_banner_is_counted_with_its_circumstances_and_nothing_else(worldwide: Service) -> None:
    headers = {COUNTRY_HEADER: "TZ", "Sec-GPC": "1"}
    for _ in range(3):
        response = tell(worldwide, headers=headers, language="sw")
        assert (response.status_code, response.data) == (202, b"")
    rows = counted(worldwide)
    assert sum(row["number"] for row in rows) == 3
    for row in rows:
        assert row.keys() >= OURS
        assert {name: value for name, value in row.items() if name not in OURS} == {
            "kind": "shown",
            "country": "TZ",
            "language": "sw",
            "device_class": "phone",
            "browser_family": "safari",
            "notice_version": 1,
            "regime": "opt_in",
            "gpc": True,
            "bot": False,
        }
        assert not row["folded"]
        assert "." not in str(row["at"]).removesuffix(".000000")


def test_each_kind_is_counted_for_itself_and_what_is_not_known_by_its_name(made: Service) -> None:
    for kind, number in {"shown": 3, "preferences_opened": 2, "dismissed": 1}.items():
        for _ in range(number):
            assert tell(made, type=kind).status_code == 202
    assert numbers(made) == {"shown": 3, "preferences_opened": 2, "dismissed": 1}
    assert numbers(made, "country") == {"ZZ": 6}
    assert numbers(made, "gpc") == {False: 6}


def test_what_the_page_sees_of_the_signal_counts_as_the_header_does(made: Service) -> None:
    assert tell(made, gpc=True).status_code == 202
    assert numbers(made, "gpc") == {True: 1}


def test_an_older_version_that_a_page_still_shows_is_counted_as_what_it_is(made: Service) -> None:
    made.publish()
    assert tell(made).status_code == tell(made, notice_version=2).status_code == 202
    assert numbers(made, "notice_version") == {1: 1, 2: 1}


def test_sites_are_counted_apart(made: Service) -> None:
    other = made.add_site("site_other")
    tell(made)
    tell(made, site_key=other.site_key)
    tell(made, site_key=other.site_key)
    by_site = {UUID(str(site)): number for site, number in numbers(made, "site_id").items()}
    assert by_site == {made.site.id: 1, other.id: 2}


def test_a_body_may_be_announced_as_json_or_text_here_and_only_here(made: Service) -> None:
    assert tell(made, headers={"Content-Type": "application/json"}).status_code == 202
    assert tell(made, headers={"Content-Type": "text/html"}).status_code == 415
    assert made.choose(headers={"Content-Type": "text/plain"}, data=b"{}").status_code == 415
    assert numbers(made) == {"shown": 1}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"type": "seen"}, "type"),
        ({"type": None}, "type"),
        ({"notice_version": 2}, "notice_version"),
        ({"notice_version": 0}, "notice_version"),
        ({"notice_version": 10**30}, "notice_version"),
        ({"notice_version": "1"}, "notice_version"),
        ({"language": "de"}, "language"),
        ({"language": 7}, "language"),
        ({"gpc": "yes"}, "gpc"),
        ({"visitor_id": "vis_0000000000000000000000"}, "visitor_id"),
    ],
)
def test_what_cannot_have_been_shown_is_named_and_not_counted(
    strict: Service, body: dict[str, Any], field: str
) -> None:
    response = tell(strict, **body)
    error = response.get_json()["error"]
    assert (response.status_code, error["code"]) == (422, "validation_failed")
    assert list(error["fields"]) == [field]
    assert counted(strict) == []


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff", 400),
        (b'{"type": "shown", "type": "shown"}', 400),
        (b"[]", 422),
        (b'"shown"', 422),
        (b" " * 20_000 + json.dumps(GOOD).encode(), 413),
    ],
)
def test_what_cannot_be_read_is_refused_and_not_counted(
    strict: Service, data: bytes, status: int
) -> None:
    response = tell(strict, data=data)
    assert response.status_code == status
    assert response.get_json()["error"]["message"]
    assert counted(strict) == []


def test_only_the_sites_own_pages_may_tell(strict: Service) -> None:
    assert tell(strict, headers={"Origin": "https://evil.example"}).status_code == 403
    assert tell(strict, headers={"Origin": "null"}).status_code == 403
    without = strict.client.post(f"/v1/sites/{SITE_KEY}/events", json=GOOD)
    assert without.status_code == 403
    assert tell(strict, site_key="site_nobody").status_code == 404
    assert counted(strict) == []


def test_nobody_is_recognised_and_nobody_gets_a_cookie(made: Service) -> None:
    chosen = made.choose().get_json()
    token, visitor = chosen["token"], chosen["record"]["visitor_id"]
    before = [made.rows(table) for table in ("records", "current_states")]
    held = {"X-Consent-Token": token, "Cookie": f"{made.site.cookie_name}={token}"}
    for headers in (held, {"X-Consent-Token": "not a token"}):
        response = tell(made, headers=headers)
        assert response.status_code == 202
        assert not {"Set-Cookie", "X-Consent-Token"} & set(response.headers.keys())
    rows = counted(made)
    assert sum(row["number"] for row in rows) == 2
    assert visitor not in repr(rows)
    assert chosen["record"]["id"].replace("-", "") not in repr(rows)
    assert [made.rows(table) for table in ("records", "current_states")] == before


def test_programs_are_counted_apart(made: Service) -> None:
    tell(made)
    for agent in ("", "curl/8.5.0"):
        tell(made, headers={"User-Agent": agent})
    assert numbers(made, "bot") == {False: 1, True: 2}


def test_a_flood_of_banners_uses_up_nothing_that_choices_need(
    sqlite_url: str, tmp_path: Path
) -> None:
    limits = {"limit_events": "2 per day", "limit_writes": "1 per day"}
    service = make_service(sqlite_url, tmp_path, **limits)
    assert [tell(service).status_code for _ in range(3)] == [202, 202, 429]
    assert service.choose().status_code == 201
    assert service.choose().status_code == 429
    service.address = "192.0.2.2"
    assert service.choose().status_code == 201
    assert tell(service).status_code == 202
    assert numbers(service) == {"shown": 3}
    service.built.database.close()


def some(number: int) -> Iterator[Circumstances]:
    """Give calls no two of which are alike."""
    for each in range(number):
        yield Circumstances(
            gpc=False, place=Place("TZ"), device_class=f"kind {each}", browser_family="other"
        )


def test_what_is_held_has_a_limit(made: Service) -> None:
    impressions = Impressions(made.built.database, made.use(NoticeDirectory), most_held=10)
    rule = made.use(Regions).rule(Place("TZ"), made.site)
    for call in (*some(17), *some(1)):
        impressions.count(made.site, Event(**GOOD), call, rule, bot=False)
    impressions.flush()
    # The last one was no row more.
    assert (numbers(made), impressions.dropped) == ({"shown": 11}, 7)
    for call in some(10):
        impressions.count(made.site, Event(**GOOD), call, rule, bot=False)
    impressions.flush()
    assert (numbers(made), impressions.dropped) == ({"shown": 21}, 7)


def test_while_the_database_is_away_what_is_counted_waits_for_it(made: Service) -> None:
    path = str(make_url(made.settings.database_url).database)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert tell(made).status_code == 202
    with pytest.raises(Unavailable):
        made.built.impressions.flush()
    assert tell(made, type="dismissed").status_code == 202
    other.execute("ROLLBACK")
    other.close()
    assert numbers(made) == {"shown": 1, "dismissed": 1}
    assert numbers(made) == {"shown": 1, "dismissed": 1}


class Lossy(Database):
    """A database whose first answer to a commit gets lost."""

    lost = False

    @contextmanager
    def transaction(self, scope: UUID | Scope) -> Iterator[Connection]:
        """Commit, and say nothing of it the first time."""
        with super().transaction(scope) as connection:
            yield connection
        if not self.lost:
            self.lost = True
            raise Unavailable


def test_what_was_written_is_not_written_again_where_the_answer_got_lost(made: Service) -> None:
    lossy = Lossy(made.settings.database_url)
    impressions = Impressions(lossy, made.use(NoticeDirectory))
    rule = made.use(Regions).rule(Place("TZ"), made.site)
    for call in some(2):
        impressions.count(made.site, Event(**GOOD), call, rule, bot=False)
    with pytest.raises(Unavailable):
        impressions.flush()
    impressions.flush()
    lossy.close()
    assert numbers(made) == {"shown": 2}


def test_a_site_that_is_gone_holds_up_no_other(made: Service) -> None:
    rule = made.use(Regions).rule(Place("TZ"), made.site)
    # Of a tenant that is not there, whose rows come first.
    gone = replace(made.site, tenant_id=UUID(int=1))
    for site in (gone, made.site):
        (call,) = some(1)
        made.built.impressions.count(site, Event(**GOOD), call, rule, bot=False)
    assert numbers(made) == {"shown": 1}


def test_a_process_writes_each_second_and_a_last_time_when_it_is_stopped(made: Service) -> None:
    with servers.service(
        made.settings.database_url, made.settings.keys_file, workers="2"
    ) as address:

        def shown() -> None:
            url = f"{address}/v1/sites/{SITE_KEY}/events"
            headers = {"Origin": ORIGIN, "User-Agent": PERSON}
            assert httpx.post(url, json=GOOD, headers=headers).status_code == 202

        shown()
        servers.wait_until(lambda: made.rows("impressions"), "nothing was written")
        for _ in range(5):
            shown()
    assert numbers(made) == {"shown": 6}
