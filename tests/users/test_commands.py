"""What the operator does about users, from the first owner on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from werkzeug.test import Client

from consent_service import config
from consent_service.cli import main
from tests.access.provider import Provider
from tests.builders import Service, make_service
from tests.members import add_member, sign_in
from tests.users.conftest import Mailed
from tests.users.test_provider import ADDRESS, set_up

Run = Callable[..., Result]


@pytest.fixture
def run(service: Service) -> Run:
    """Run a command on the service's database, with its keys."""
    return runner(service, public_url="https://consent.example.com")


def runner(service: Service, **settings: str) -> Run:
    environ = {
        "CONSENT_DATABASE_URL": service.settings.database_url,
        "CONSENT_KEYS_FILE": str(service.settings.keys_file),
        **{config.variable(name): text for name, text in settings.items()},
    }

    def run(*arguments: str) -> Result:
        result = CliRunner(env=environ).invoke(main, arguments)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def link_in(result: Result) -> str:
    """Return the path of the link that was printed."""
    assert result.exit_code == 0, result.output
    (line,) = [
        line for line in result.stdout.splitlines() if "https://consent.example.com/" in line
    ]
    return line.strip().removeprefix("https://consent.example.com")


def accept(service: Service, path: str) -> int:
    token = path.rpartition("/")[2]
    body = {"name": "Amina Juma", "password": "seven green lorries"}
    return Client(service.built.wsgi).post(f"/v1/invitations/{token}/accept", json=body).status_code


def test_the_first_owner_comes_in_by_a_link_that_the_command_prints(
    service: Service, run: Run
) -> None:
    assert "Nobody. Begin with" in run("user", "list", "example").stdout
    path = link_in(run("user", "invite", "example", "amina@example.com", "--role", "owner"))
    assert "invited, until" in run("user", "list", "example").stdout
    assert accept(service, path) == 201
    listed = run("user", "list", "example").stdout
    assert listed.split()[:4] == ["owner", "amina@example.com", "Amina", "Juma"]
    assert "no second factor" in listed
    assert accept(service, path) == 410


def test_a_link_that_was_lost_is_replaced(service: Service, run: Run) -> None:
    first = link_in(run("user", "invite", "example", "amina@example.com", "--role", "owner"))
    second = link_in(run("user", "invite", "example", "Amina@example.com", "--role", "owner"))
    assert accept(service, first) == 410
    assert accept(service, second) == 201


def test_where_mail_is_set_up_the_link_is_mailed_too(
    service: Service, mailed: Mailed, tmp_path: Path
) -> None:
    settings = {"public_url": "https://consent.example.com", "mail_from": "c@example.com"}
    run = runner(service, mail_url=f"file://{mailed.folder}", **settings)
    options = ("--role", "owner", "--language", "sw")
    path = link_in(run("user", "invite", "example", "amina@example.com", *options))
    assert mailed.link() == path
    assert "Msimamizi wa huduma amekualika" in mailed.all()[0].get_content()
    # The link counts all the same when the mail fails.
    (tmp_path / "file").touch()
    run = runner(service, mail_url=f"file://{tmp_path}/file/no", **settings)
    failed = run("user", "invite", "example", "juma@example.com", "--role", "owner")
    assert "was not mailed" in failed.stderr
    assert accept(service, link_in(failed)) == 201


def test_access_ends_by_address(service: Service, run: Run) -> None:
    owner = sign_in(service)
    dpo = sign_in(service, "dpo", email="dpo@example.com")
    assert run("user", "end", "example", "DPO@example.com").exit_code == 0
    assert dpo.get("/v1/tenants/example/users").status_code == 404
    for address, told in (
        ("dpo@example.com", "no such user"),
        (owner.email, "only owner"),
    ):
        refused = run("user", "end", "example", address)
        assert refused.exit_code == 2
        assert told in refused.stderr


def test_a_provider_that_shuts_everybody_out_is_forgotten(tmp_path: Path, sqlite_url: str) -> None:
    service = make_service(sqlite_url, tmp_path, demo="1")
    owner = sign_in(service)
    with Provider() as provider:
        set_up(owner, provider)
    run = runner(service)
    assert run("user", "forget-provider", "example").exit_code == 0
    assert owner.get(ADDRESS).status_code == 404
    assert "No identity provider" in run("user", "forget-provider", "example").stderr
    service.built.database.close()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["user", "invite", "nobody", "a@example.com", "--role", "dpo"], "no such tenant"),
        (["user", "invite", "example", "no address", "--role", "dpo"], "one e-mail address"),
        (["user", "invite", "example", "a@example.com", "--role", "admin"], "admin"),
        (["user", "list", "nobody"], "no such tenant"),
        (["user", "end", "example", "a@example.com"], "no such user"),
    ],
)
def test_what_cannot_be_done_is_said(run: Run, arguments: list[str], told: str) -> None:
    refused = run(*arguments)
    assert refused.exit_code == 2
    assert told in refused.stderr


def test_a_member_is_not_invited(service: Service, run: Run) -> None:
    member = add_member(service)
    refused = run("user", "invite", "example", member.email, "--role", "dpo")
    assert refused.exit_code == 2
    assert "member already" in refused.stderr


def test_a_link_needs_to_know_where_the_service_is(service: Service) -> None:
    refused: Any = runner(service)("user", "invite", "example", "a@example.com", "--role", "dpo")
    assert refused.exit_code == 2
    assert "CONSENT_PUBLIC_URL" in refused.stderr
