"""The operator's commands about ledgers."""

from __future__ import annotations

import click

from consent_service import config, db
from consent_service.ledger.publishing import ledger_keys
from consent_service.signing import Keyring
from consent_service.tenants.service import find_tenant


@click.group()
def ledger() -> None:
    """Manage the ledgers that records are proved with."""


@ledger.command()
@click.argument("tenant_slug")
def keys(tenant_slug: str) -> None:
    """Print the keys that sign the ledger of the tenant TENANT_SLUG, one a line, the oldest first.

    Give them to a witness, which asks for keys as C2SP's signed-note writes them: NAME+ID+KEY. The
    name is the origin of the ledger. Give it the new one after each `key rotate record`.
    """
    settings = config.load()
    keyring = Keyring.of(settings)
    with db.opened(settings.database_url) as database:
        tenant = find_tenant(database, tenant_slug)
        for key in ledger_keys(database, keyring, tenant.id):
            click.echo(key.text)
