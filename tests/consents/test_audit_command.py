"""``consent-service ledger audit``: what an operator sees, and a program reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from consent_service import config
from consent_service.cli import main
from consent_service.db import Database
from tests.builders import Service

Run = Callable[..., Result]

WITNESS = "witness.example+a1b2c3d4+not-a-key"


@pytest.fixture
def run(service: Service) -> Run:
    """Run the command on the service's database, after two choices have become leaves."""
    service.token(token=service.token())
    service.sequencer.sequence(service.tenant.id)
    environ = {
        config.variable("database_url"): service.settings.database_url,
        config.variable("keys_file"): str(service.settings.keys_file),
    }

    def run(*arguments: str) -> Result:
        result = CliRunner(env=environ).invoke(main, ["ledger", "audit", *arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def change_a_record(owner: Database, service: Service) -> None:
    """Change a record as the owner of the tables, past the triggers."""
    with owner.transaction(service.tenant.id) as connection:
        for statement in (
            ["ALTER TABLE records DISABLE TRIGGER USER"]
            if service.on_postgresql
            else [
                "DROP TRIGGER records_are_only_erased",
                "DROP TRIGGER records_are_erased_lawfully",
            ]
        ):
            connection.execute(text(statement))
        connection.execute(text("UPDATE records SET document = replace(document, 'en', 'sw')"))


def test_an_operator_is_told_that_all_is_well_or_what_is_not(
    run: Run, service: Service, owner: Database, tmp_path: Path
) -> None:
    told = run(service.tenant.slug)
    assert told.exit_code == 0
    assert "All of it holds together." in told.stdout
    assert "2  leaves" in told.stdout

    change_a_record(owner, service)
    file = tmp_path / "found.json"
    told = run("--all", "--json", str(file))
    assert told.exit_code == 1
    lines = [line for line in told.stdout.splitlines() if "[signature_wrong]" in line]
    assert len(lines) == 2
    assert f"ledger consent-service/{service.tenant.id}/1, leaf 0" in lines[0]
    assert "changed after it was signed" in lines[0]

    document = json.loads(file.read_text())
    assert document["tenants"] == [service.tenant.slug]
    assert document["counts"]["leaves"] == 2
    assert document["kinds"]["signature_wrong"] == 2
    first = document["findings"][0]
    assert first["tenant"] == service.tenant.slug
    assert first["leaf_index"] == 0
    assert first["meaning"]
    assert UUID(first["record_id"]) in {UUID(str(row["id"])) for row in service.rows("records")}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Name tenants, or say --all."),
        (("example", "--all"), "Name tenants, or say --all."),
        (("nobody",), "tenant"),
        (("example", "--witness", WITNESS), "NAME+ID+KEY"),
        (("example", "--json", "no/such/folder/file"), "Name another one for --json."),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_cannot_be_done_is_said(run: Run, arguments: tuple[str, ...], said: str) -> None:
    told = run(*arguments)
    assert told.exit_code == 2
    assert said in told.stderr
    assert told.stdout == ""
