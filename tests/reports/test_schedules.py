"""Reports on schedule: set up, sent once, by mail or into a folder, and what when it fails."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer
from sqlalchemy import update

from consent_service import clock, config, signing
from consent_service.access.actor import OPERATOR
from consent_service.access.reencryption import Reencryption
from consent_service.db import Database
from consent_service.errors import MailFailed, OperatorError
from consent_service.mail import Mailer
from consent_service.reports import folders
from consent_service.reports.due import AFTER, EVERY, Every, newest, next_run
from consent_service.reports.models import ReportScheduleRow
from consent_service.reports.periods import Period
from consent_service.reports.schedules import ENCRYPTED, list_schedules
from consent_service.reports.sending import LEASE, RETRY, run_due
from consent_service.signing import Keyring
from consent_service.tenants.service import create_tenant
from consent_service.worker import jobs
from tests.builders import SITE_KEY, Service, make_service
from tests.members import Member, sign_in
from tests.reports.builders import Crowd, fill_with

SCHEDULES = "/v1/tenants/example/reports/schedules"
ZONE = "Africa/Dar_es_Salaam"


def at(text: str) -> datetime:
    """Return a moment in Dar es Salaam, three hours ahead of UTC all year."""
    return datetime.fromisoformat(f"{text}+03:00").astimezone(UTC)


@pytest.fixture
def house(sqlite_url: str, tmp_path: Path) -> Iterator[Service]:
    """A service that mails into a folder, and puts files into another."""
    service = make_it(sqlite_url, tmp_path)
    yield service
    service.built.database.close()


@pytest.fixture
def owner_member(house: Service) -> Member:
    return sign_in(house, "dpo")


def make_it(url: str, folder: Path, **settings: str) -> Service:
    given = {
        "mail_url": f"file://{folder}/outbox",
        "mail_from": "consent@example.com",
        "public_url": "https://consent.example.com",
        "export_target": f"file://{folder}/drop",
        **settings,
    }
    service = make_service(url, folder, **{name: text for name, text in given.items() if text})
    day = newest("daily", clock.now(), ZONE).until
    days = [day - timedelta(days=number) for number in range(62)]
    crowds = [Crowd(each, shown=100, answers=50, accepted=20) for each in days]
    fill_with(service.built.database, service.site, *crowds)
    return service


def asked(**changes: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return what is sent to set one up: a mail every day, unless changed."""
    wanted = {"site": SITE_KEY, "every": "daily", "mail": ["marketing@example.com"], **changes}
    return {name: value for name, value in wanted.items() if value is not None}


def made(member: Member, **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    answer = member.post(SCHEDULES, json=asked(**changes))
    assert answer.status_code == 201, answer.get_data(as_text=True)
    schedule: dict[str, Any] = answer.get_json()
    return schedule


def run(service: Service, now: datetime) -> int:
    """Do what a worker does at some time."""
    return run_due(
        service.built.database,
        service.use(Keyring),
        Mailer(service.settings),
        service.settings,
        now,
    )


def when(schedule: dict[str, Any]) -> datetime:
    return clock.from_rfc3339(schedule["next_run"])


def mails(service: Service) -> list[EmailMessage]:
    """Return what was mailed, oldest first."""
    outbox = Path(service.settings.mail_url.removeprefix("file://"))
    return [
        message_from_bytes(file.read_bytes(), policy=policy.default)
        for file in sorted(outbox.glob("*.eml"))
    ]


def dropped(service: Service) -> list[str]:
    """Return the files that were put into folders."""
    drop = Path(service.settings.export_target.removeprefix("file://"))
    return sorted(str(file.relative_to(drop)) for file in drop.rglob("*") if file.is_file())


def link_in(mail: EmailMessage) -> str:
    found = re.search(r"https://consent\.example\.com(/v1/reports/files/\S+)", mail.get_content())
    assert found
    return found[1]


def only(member: Member) -> dict[str, Any]:
    """Return the tenant's one schedule."""
    (schedule,) = member.get(SCHEDULES).get_json()["schedules"]
    assert isinstance(schedule, dict)
    return schedule


# When.


@pytest.mark.parametrize(
    ("every", "now", "period", "then"),
    [
        ("daily", "2026-09-02T01:00", ("2026-09-01", "2026-09-01"), "2026-09-03T01:00"),
        ("daily", "2026-09-02T00:59", ("2026-08-31", "2026-08-31"), "2026-09-02T01:00"),
        ("weekly", "2026-09-07T01:00", ("2026-08-31", "2026-09-06"), "2026-09-14T01:00"),
        ("weekly", "2026-09-06T12:00", ("2026-08-24", "2026-08-30"), "2026-09-07T01:00"),
        ("monthly", "2026-10-01T01:00", ("2026-09-01", "2026-09-30"), "2026-11-01T01:00"),
        ("monthly", "2026-03-01T00:30", ("2026-01-01", "2026-01-31"), "2026-03-01T01:00"),
    ],
)
def test_a_period_is_the_last_whole_one_where_the_site_is(
    every: Every, now: str, period: tuple[str, str], then: str
) -> None:
    assert newest(every, at(now), ZONE) == Period(*map(date.fromisoformat, period))
    assert next_run(every, at(now), ZONE) == at(then)


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.sampled_from(EVERY),
    st.sampled_from([ZONE, "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"]),
)
def test_one_period_follows_the_other_without_a_gap(now: datetime, every: Every, zone: str) -> None:
    before, following = newest(every, now, zone), next_run(every, now, zone)
    assert now < following
    after = newest(every, following, zone)
    assert after.since == before.until + timedelta(days=1)
    assert newest(every, following - timedelta(seconds=1), zone) == before
    assert after.until < following.astimezone(UTC).date() + timedelta(days=1)
    assert timedelta(days=1) > AFTER


# Set up.


def test_schedules_are_made_listed_paused_and_deleted(house: Service, owner_member: Member) -> None:
    schedule = made(
        owner_member,
        every="weekly",
        format="xlsx",
        group="country",
        step="day",
        where={"device_class": "phone"},
        language="sw",
    )
    assert only(owner_member) == schedule
    assert schedule["mail"] == ["marketing@example.com"]
    assert when(schedule) > clock.now()
    address = f"{SCHEDULES}/{schedule['id']}"
    paused = owner_member.patch(address, json={"paused": True}).get_json()
    assert paused["paused"] is True
    assert run(house, when(schedule)) == 0
    assert owner_member.patch(address, json={"paused": False}).get_json()["paused"] is False
    assert owner_member.delete(address).status_code == 204
    assert owner_member.delete(address).status_code == 404
    assert owner_member.get(SCHEDULES).get_json() == {"schedules": []}
    events = [each for each in house.rows("audit_events") if each["object_id"] == schedule["id"]]
    assert [event["action"].partition(".")[2] for event in events] == [
        *("created", "updated", "updated", "deleted")
    ]
    assert "marketing@example.com" not in str(events)


def test_whom_it_goes_to_is_not_readable_in_the_database(
    house: Service, owner_member: Member
) -> None:
    made(owner_member)
    assert "marketing" not in str(house.rows("report_schedules"))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"every": "hourly"}, "every"),
        ({"format": "pdf"}, "format"),
        ({"mail": []}, "mail"),
        ({"folder": "x"}, "mail"),
        ({"mail": ["not an address"]}, "mail"),
        ({"mail": [f"a{number}@example.com" for number in range(21)]}, "mail"),
        ({"group": "visitor_id"}, "group"),
        ({"where": {"surface": "banner"}}, "where"),
        ({"group": "country", "where": {"country": "TZ"}}, "group"),
        ({"language": "de"}, "language"),
        *(
            ({"mail": None, "folder": folder}, "folder")
            for folder in ("/etc", "../other", "a/../..", "a//b", ".hidden", "s3://x", "a b", "é")
        ),
    ],
    ids=str,
)
def test_a_schedule_that_is_not_right_says_where(
    house: Service, owner_member: Member, changes: dict[str, Any], field: str
) -> None:
    answer = owner_member.post(SCHEDULES, json=asked(**changes))
    assert answer.status_code == 422
    assert field in answer.get_json()["error"]["fields"]
    assert house.rows("report_schedules") == []


def test_what_the_operator_has_not_set_up_cannot_be_chosen(sqlite_url: str, tmp_path: Path) -> None:
    service = make_it(sqlite_url, tmp_path, mail_url="", mail_from="", export_target="")
    member = sign_in(service, "dpo")
    for changes, said in (({}, "no mail"), ({"mail": None, "folder": ""}, "no files")):
        answer = member.post(SCHEDULES, json=asked(**changes))
        assert said in str(answer.get_json()["error"]["fields"])
    service.built.database.close()


def test_another_tenants_site_and_schedule_are_none(house: Service, owner_member: Member) -> None:
    schedule = made(owner_member)
    hostile = create_tenant(house.built.database, "hostile", "Hostile Ltd", by=OPERATOR)
    theirs = sign_in(house, "owner", hostile)
    address = "/v1/tenants/hostile/reports/schedules"
    assert theirs.post(address, json=asked()).status_code == 404
    assert theirs.delete(f"{address}/{schedule['id']}").status_code == 404
    assert theirs.patch(f"{address}/{schedule['id']}", json={"paused": True}).status_code == 404
    assert theirs.get(address).get_json() == {"schedules": []}


def test_who_resumes_gets_nothing_of_the_time_between(house: Service, owner_member: Member) -> None:
    address = f"{SCHEDULES}/{made(owner_member)['id']}"
    owner_member.patch(address, json={"paused": True})
    now = due_now(house)
    resumed = owner_member.patch(address, json={"paused": False}).get_json()
    assert when(resumed) > now
    assert run(house, now) == 0


# Sent by mail.


def test_a_mail_brings_a_link_that_makes_the_file(house: Service, owner_member: Member) -> None:
    schedule = made(owner_member, mail=["a@example.com", "b@example.com"], group="country")
    assert run(house, when(schedule) - timedelta(seconds=1)) == 0
    assert run(house, when(schedule)) == 1
    first, second = mails(house)
    assert (first["To"], second["To"]) == ("a@example.com", "b@example.com")
    day = newest("daily", when(schedule), ZONE).until
    assert first["Subject"] == f"Consent rates of App, {day}"
    assert house.client.get(link_in(first)).status_code == 200
    assert run(house, when(schedule)) == 0
    sent = only(owner_member)
    assert when(sent) == when(schedule) + timedelta(days=1)
    assert clock.from_rfc3339(sent["last_run_at"]) == when(schedule)


def due_now(service: Service) -> datetime:
    """Have what is set up be due now, as if it had been set up long ago."""
    now = clock.now()
    with service.built.database.transaction(service.tenant.id) as connection:
        connection.execute(update(ReportScheduleRow).values(next_run=now))
    return now


def test_the_file_is_made_when_the_link_is_opened(house: Service, owner_member: Member) -> None:
    made(owner_member, every="monthly", format="ndjson", language="sw")
    run(house, due_now(house))
    (mail,) = mails(house)
    assert mail["Subject"].startswith("Viwango vya ridhaa vya App, ")
    answer = house.client.get(link_in(mail))
    assert answer.mimetype == "application/x-ndjson"
    assert "no-cache" in answer.headers["Cache-Control"]
    period = newest("monthly", clock.now(), ZONE)
    rows = [json.loads(line) for line in answer.get_data().splitlines()]
    assert {row["since"] for row in rows[:-1]} == {period.since.isoformat()}
    (interaction,) = [row for row in rows[:-1] if row["rate"] == "interaction"]
    assert interaction["value"] == 0.5


def test_a_link_that_is_not_ours_too_old_or_deleted_opens_nothing(
    house: Service, owner_member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = made(owner_member)
    now = due_now(house)
    run(house, now)
    link = link_in(mails(house)[0])
    assert house.client.get(link).status_code == 200
    for wrong in (f"{link}x", link.replace("/files/", "/files/A"), f"{link.rpartition('.')[0]}"):
        assert house.client.get(wrong).status_code == 410
    with monkeypatch.context() as patch:
        patch.setattr("consent_service.clock.now", lambda: now + timedelta(days=7, seconds=1))
        assert house.client.get(link).get_json()["error"]["code"] == "link_refused"
    owner_member.delete(f"{SCHEDULES}/{schedule['id']}")
    assert house.client.get(link).status_code == 410


# Put into a folder.


def test_a_file_is_put_into_the_tenants_own_folder(house: Service, owner_member: Member) -> None:
    schedule = made(
        owner_member, mail=None, folder="sales/daily", group="country", format="parquet"
    )
    run(house, due_now(house))
    day = newest("daily", clock.now(), ZONE).until
    name = f"rates-{SITE_KEY}-{day}-{day}-{schedule['id'][-8:]}.parquet"
    assert dropped(house) == [f"example/sales/daily/{name}"]
    drop = Path(house.settings.export_target.removeprefix("file://"))
    assert (drop / dropped(house)[0]).read_bytes().startswith(b"PAR1")
    # Once more, as after a crash between putting it and noting that: the same file.
    run(house, due_now(house))
    assert len(dropped(house)) == 1
    assert only(owner_member)["last_error"] is None


def test_a_worker_reads_what_a_newer_key_encrypted(
    house: Service, owner_member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_worker, older = Keyring(house.settings.keys_file), house.use(Keyring).data_key_id
    signing.rotate(house.settings.keys_file, "data")
    in_use = clock.now() + timedelta(minutes=2)
    monkeypatch.setattr(clock, "now", lambda: in_use)
    house.use(Keyring).refresh()
    assert house.use(Keyring).data_key_id != older
    made(owner_member)
    due_now(house)
    work = {job.name: job for job in jobs(house.built.database, of_worker, house.settings)}
    assert work["send reports"].run([])
    assert len(mails(house)) == 1
    assert only(owner_member)["last_error"] is None


def test_a_bucket_takes_what_a_folder_does(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    bucket = fsspec.filesystem("s3")
    service = make_it(sqlite_url, tmp_path, export_target="s3://reports/consent")
    try:
        made(sign_in(service, "dpo"), mail=None, folder="", format="csv")
        # There is no such bucket yet.
        run(service, due_now(service))
        (failed,) = list_schedules(service.built.database, service.use(Keyring), service.tenant.id)
        assert failed.last_error is not None
        assert "reports" not in failed.last_error
        bucket.mkdir("reports")
        run(service, clock.now() + RETRY)
        (path,) = bucket.ls("reports/consent/example")
        assert bucket.cat_file(path).splitlines()[-1].startswith(b"#end,")
    finally:
        service.built.database.close()
        server.stop()


@pytest.mark.parametrize("path", ["..", "a/..", "/a", "a/b/c/d/e/f", "a\\b", "a\nb"])
def test_no_path_leads_out_of_the_tenants_folder(path: str, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="not right"):
        folders.put(f"file://{tmp_path}", "example", path, "x.csv", [b"x"])
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_made_leaves_nothing_behind(tmp_path: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"half"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        folders.put(f"file://{tmp_path}", "example", "", "x.csv", chunks())
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


# Once, and what when it fails.


def test_of_many_workers_one_sends(service: Service, tmp_path: Path) -> None:
    """On each kind of database."""
    settings = config.load(
        {
            "CONSENT_DATABASE_URL": service.settings.database_url,
            "CONSENT_KEYS_FILE": str(service.settings.keys_file),
            "CONSENT_MAIL_URL": f"file://{tmp_path}/outbox",
            "CONSENT_MAIL_FROM": "consent@example.com",
            "CONSENT_PUBLIC_URL": "https://consent.example.com",
        }
    )
    service.settings = settings
    with service.built.flask.app_context():
        service.built.flask.extensions["consent_service.config.Settings"] = settings
    member = sign_in(service, "dpo")
    for number in range(3):
        made(member, mail=[f"a{number}@example.com"])
    now = due_now(service)
    keys = service.use(Keyring)

    def work(_: int) -> int:
        database = Database(settings.database_url)
        try:
            return run_due(database, keys, Mailer(settings), settings, now)
        finally:
            database.close()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(work, range(4))) == 3
    assert sorted(mail["To"] for mail in mails(service)) == [
        f"a{number}@example.com" for number in range(3)
    ]


def test_a_run_whose_worker_died_is_taken_up_when_its_time_is_over(
    house: Service, owner_member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(owner_member)
    now = due_now(house)

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Mailer, "send", dies)
        with pytest.raises(KeyboardInterrupt):
            run(house, now)
    assert run(house, now + LEASE - timedelta(seconds=1)) == 0
    assert run(house, now + LEASE) == 1
    assert len(mails(house)) == 1
    assert run(house, now + 2 * LEASE) == 0


def test_what_was_missed_does_not_pile_up(house: Service, owner_member: Member) -> None:
    made(owner_member)
    now = due_now(house) + timedelta(days=40)
    assert run(house, now) == 1
    assert run(house, now) == 0
    (mail,) = mails(house)
    assert str(newest("daily", now, ZONE).until) in mail["Subject"]
    assert when(only(owner_member)) == next_run("daily", now, ZONE)


def test_a_failure_is_told_and_tried_again_ever_later_for_those_who_got_nothing(
    house: Service, owner_member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(owner_member, mail=["a@example.com", "b@example.com", "c@example.com"])
    now = due_now(house)
    send = Mailer.send

    def refuses_one(self: Mailer, to: str, subject: str, text: str) -> None:
        if to == "b@example.com":
            raise MailFailed
        send(self, to, subject, text)

    with monkeypatch.context() as patch:
        patch.setattr(Mailer, "send", refuses_one)
        run(house, now)
        told = only(owner_member)
        assert "could not be sent" in told["last_error"]
        assert told["last_run_at"] is None
        assert run(house, now + RETRY - timedelta(seconds=1)) == 0
        assert run(house, now + RETRY) == 1
        assert run(house, now + 2 * RETRY) == 0
    assert run(house, now + 3 * RETRY) == 1
    assert [mail["To"] for mail in mails(house)] == [
        "a@example.com",
        "c@example.com",
        "b@example.com",
    ]
    mended = only(owner_member)
    assert (mended["last_error"], mended["last_run_at"]) == (
        None,
        clock.rfc3339(now + 3 * RETRY),
    )


def test_one_that_fails_keeps_no_other_from_being_sent(
    house: Service, owner_member: Member
) -> None:
    made(owner_member, mail=None, folder="taken")
    made(owner_member)
    drop = Path(house.settings.export_target.removeprefix("file://"))
    (drop / "example").mkdir(parents=True)
    (drop / "example" / "taken").write_text("a file where a folder is to be")
    assert run(house, due_now(house)) == 2
    assert len(mails(house)) == 1
    failed, sent = owner_member.get(SCHEDULES).get_json()["schedules"]
    assert failed["last_error"].startswith("The report could not be made or put there.")
    assert sent["last_error"] is None


# Around it.


def test_a_new_data_key_encrypts_destinations_anew(house: Service, owner_member: Member) -> None:
    made(owner_member)
    path = house.settings.keys_file
    signing.rotate(path, "data")
    document = json.loads(path.read_text())
    document["data"][-1]["active_from"] = clock.rfc3339(clock.now())
    path.write_text(json.dumps(document))
    keys = Keyring(path)
    again = Reencryption(house.built.database, keys, [ENCRYPTED], [house.tenant.id])
    assert again.remaining() > 0
    list(again.run())
    assert (again.remaining(), again.unreadable) == (0, [])
    document["data"] = document["data"][-1:]
    path.write_text(json.dumps(document))
    (schedule,) = list_schedules(house.built.database, Keyring(path), house.tenant.id)
    assert schedule.wanted.destination.mail == ["marketing@example.com"]


@pytest.mark.parametrize(
    "target", ["reports", "file://relative", "s3://", "ftp://x", "file:///a/../b"]
)
def test_a_target_that_is_none_is_refused_at_start(target: str) -> None:
    with pytest.raises(OperatorError, match="CONSENT_EXPORT_TARGET"):
        config.load({"CONSENT_EXPORT_TARGET": target})
