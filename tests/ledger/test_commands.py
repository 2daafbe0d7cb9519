"""What the operator is told of ledgers."""

from __future__ import annotations

from click.testing import CliRunner

from consent_service.cli import main
from consent_service.config import variable
from tests.builders import TENANT, Service
from tests.ledger.growing import Growing
from tests.ledger.outside import verifier_key


def run(service: Service, *arguments: str) -> str:
    """Run a command on the service's database, and return what it prints."""
    settings = service.settings
    environ = {
        variable("database_url"): settings.database_url,
        variable("keys_file"): str(settings.keys_file),
    }
    result = CliRunner().invoke(main, ["ledger", *arguments], env=environ)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_witness_is_given_the_keys_that_the_ledger_publishes(service: Service) -> None:
    # It may be told of them before there is a record.
    before = run(service, "keys", TENANT[0])
    assert verifier_key(before.strip()).name == f"consent-service/{service.tenant.id}/1"
    Growing.of(service).add(1)
    published = service.client.get(f"/v1/ledgers/{service.tenant.id}/1/keys")
    assert run(service, "keys", TENANT[0]) == before == published.get_data(as_text=True)
