"""Files of rates on schedule, in the console, without scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from tests.builders import SITE_KEY, Service, make_service
from tests.console.test_reports import text
from tests.members import Member, sign_in

HERE = "/console/t/example/reports/schedules"


@pytest.fixture
def sending(sqlite_url: str, tmp_path: Path) -> Iterator[Service]:
    """A service that sends mail and puts files into folders."""
    made = make_service(
        sqlite_url,
        tmp_path,
        mail_url="smtp://127.0.0.1:1",
        mail_from="consent@example.com",
        public_url="https://consent.example.com",
        export_target=f"file://{tmp_path}/files",
    )
    yield made
    made.built.database.close()


def make(member: Member, **changes: str) -> TestResponse:
    form = {
        "site": SITE_KEY,
        "every": "weekly",
        "format": "xlsx",
        "group": "country",
        "to": "mail",
        "mail": "amina@example.com\n juma@example.com ",
        "folder": "",
        "language": "sw",
    }
    return member.submit(HERE, **{**form, **changes})


def buttons(member: Member) -> list[str]:
    """Return where the buttons of the list lead."""
    body = member.get(HERE).get_data(as_text=True)
    return re.findall(rf'(?:action|href)="({HERE}/[^"]+)"', body)


def test_a_file_is_sent_paused_sent_again_and_deleted(sending: Service) -> None:
    dpo = sign_in(sending, "dpo")
    assert "Nothing is sent yet" in text(dpo.get(HERE))
    page = text(dpo.get(make(dpo).location))
    assert "the first time when what runs now is over." in page
    assert "App Every week, XLSX, by country amina@example.com, juma@example.com Never" in page
    assert "In use" in page
    pause, delete = buttons(dpo)
    assert "It is paused." in text(dpo.get(dpo.submit(pause).location))
    resume, _ = buttons(dpo)
    assert (pause.rpartition("/")[2], resume.rpartition("/")[2]) == ("pause", "resume")
    assert "Paused" in text(dpo.get(HERE))
    assert "It is sent again." in text(dpo.get(dpo.submit(resume).location))
    assert buttons(dpo)[0] == pause
    asked = text(dpo.get(delete))
    assert "Nothing is sent any more to: amina@example.com, juma@example.com." in asked
    assert "It is deleted" in text(dpo.get(dpo.submit(delete).location))
    assert buttons(dpo) == []
    assert dpo.get(delete).status_code == 404


def test_a_file_goes_into_a_folder(sending: Service) -> None:
    owner = sign_in(sending)
    made = make(owner, to="folder", folder="weekly/all", group="", mail="left@example.com")
    page = text(owner.get(made.location))
    assert "Every week, XLSX Folder: example/weekly/all" in page
    assert "left@example.com" not in page
    assert "Folder: example " in text(owner.get(make(owner, to="folder").location))


def test_what_is_wrong_is_said_at_its_field_and_kept(sending: Service) -> None:
    owner = sign_in(sending)
    for changes, says in (
        ({"mail": ""}, "E-mail addresses: Give mail or folder, and not both."),
        ({"mail": "nobody"}, "E-mail addresses: "),
        ({"every": "hourly"}, "How often: Must be one of: daily, weekly, monthly."),
        ({"to": "folder", "folder": "../up"}, "Folder: Give up to five names"),
    ):
        answer = make(owner, **changes)
        assert answer.status_code == 422
        assert says in text(answer)
        assert '<option value="xlsx" selected>' in answer.get_data(as_text=True)
    assert buttons(owner) == []


def test_only_who_may_has_files_sent_and_nobody_where_nothing_can_be(
    sending: Service, tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path
) -> None:
    make(sign_in(sending))
    analyst = sign_in(sending, "analyst")
    assert "amina@example.com" in text(analyst.get(HERE))
    assert buttons(analyst) == []
    assert "Send a file" not in text(analyst.get(HERE))
    assert make(analyst).status_code == 403
    folder = tmp_path_factory.mktemp("silent")
    (folder / "db").write_bytes(sqlite_template.read_bytes())
    silent = make_service(f"sqlite:///{folder}/db", folder)
    page = text(sign_in(silent).get(HERE))
    assert "This service sends no mail and puts no files into folders." in page
    assert "Send it from now on" not in page
    silent.built.database.close()
