"""A service that can send mail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest

from tests.builders import Service, make_service


@dataclass
class Mailed:
    """A folder that mail is kept in."""

    folder: Path

    def all(self) -> list[EmailMessage]:
        """Return all that was mailed, oldest first."""
        files = sorted(self.folder.glob("*.eml"))
        return [
            message_from_bytes(file.read_bytes(), EmailMessage, policy=policy.default)
            for file in files
        ]

    def link(self) -> str:
        """Return the path of the link in the newest mail."""
        text: str = self.all()[-1].get_content()
        (line,) = [line for line in text.splitlines() if "/console/" in line]
        return "/console/" + line.partition("/console/")[2]

    def token(self) -> str:
        """Return the token of the link in the newest mail."""
        return self.link().rpartition("/")[2]


def make_mailing_service(
    database_url: str, folder: Path, mailed: Mailed, **settings: str
) -> Service:
    """Build a service that keeps its mail in a folder."""
    given = {
        "mail_url": f"file://{mailed.folder}",
        "mail_from": "consent@example.com",
        "public_url": "http://localhost",
        **settings,
    }
    return make_service(database_url, folder, **given)


@pytest.fixture
def mailed(tmp_path: Path) -> Mailed:
    """What the service has mailed."""
    return Mailed(tmp_path / "outbox")


@pytest.fixture
def mailing(database_url: str, tmp_path: Path, mailed: Mailed) -> Iterator[Service]:
    """A service that keeps its mail in a folder."""
    made = make_mailing_service(database_url, tmp_path, mailed)
    yield made
    made.built.database.close()
