"""The operator's commands about ledgers: how they stand, and what to do after a restored backup."""

from __future__ import annotations

import click

from consent_service import clock, config, db
from consent_service.access.actor import OPERATOR
from consent_service.ledger import service
from consent_service.ledger.heads import Heads
from consent_service.ledger.publishing import ledger_keys
from consent_service.ledger.service import Standing, Status
from consent_service.signing import Keyring
from consent_service.tenants.service import all_tenants, find_tenant


@click.group()
def ledger() -> None:
    """Look at the ledgers that records are proved by.

    docs/ledger.md says how they work.
    """


@ledger.command("status")
@click.argument("tenant_slug", required=False)
def ledger_status(tenant_slug: str | None) -> None:
    """Show how the ledgers of TENANT_SLUG stand, or those of all tenants.

    Ends with code 1 when one is suspended.
    """
    settings = config.load()
    heads = Heads(settings.heads_folder)
    suspended = False
    with db.opened(settings.database_url) as database:
        tenants = [find_tenant(database, tenant_slug)] if tenant_slug else all_tenants(database)
        for tenant in tenants:
            found = service.status(database, heads, tenant.id)
            click.secho(tenant.slug, bold=True)
            for line in _shown(found):
                click.echo(f"  {line}")
            suspended = suspended or _is_suspended(found)
    if suspended:
        click.get_current_context().exit(1)


@ledger.command("reopen")
@click.argument("tenant_slug")
@click.confirmation_option(
    prompt="Records made after the backup are lost for good if this is done. Go on?"
)
def ledger_reopen(tenant_slug: str) -> None:
    """Close the suspended ledger of TENANT_SLUG and begin another one.

    For when no newer backup can be restored: see "Restored backups" in docs/ledger.md first. The
    ledger that was published stays as it is and is never added to again; what comes next stands in
    a new one, with a name of its own.
    """
    settings = config.load()
    with db.opened(settings.database_url) as database:
        tenant = find_tenant(database, tenant_slug)
        made = service.reopen(database, Heads(settings.heads_folder), tenant.id, by=OPERATOR)
    click.echo(f"The ledger before is closed. Its tenant's records go into {made.origin} now.\n")
    click.echo("What this means:")
    click.echo("- Choices are recorded again, within seconds.")
    click.echo("- Records made after the backup are not in the database. The service can show")
    click.echo("  their receipts no more; those that visitors keep still verify without it.")
    click.echo("- Whoever follows the ledger must be told its new name, and why.")
    click.echo(
        "- Visitors who chose after the backup are asked anew, or hold what they chose before."
    )


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


def _is_suspended(found: Status) -> bool:
    marked = any(each.ledger.suspended_at and not each.ledger.closed_at for each in found.ledgers)
    return marked or found.contradiction is not None


def _shown(found: Status) -> list[str]:
    """Return the lines about one tenant."""
    lines = [_line(each) for each in found.ledgers] or ["no ledger yet"]
    number, since = found.waiting
    if since is not None:
        seconds = (clock.now() - since).total_seconds()
        lines.append(f"{number} waiting, the oldest for {seconds:.0f} seconds")
    if _is_suspended(found):
        lines.append(f"SUSPENDED: {found.contradiction or 'as another machine has found'}")
        lines.append("Nothing is recorded or erased. docs/ledger.md says what to do.")
    return lines


def _line(standing: Standing) -> str:
    ledger, made_at, cosignatures = standing
    newest = f"newest checkpoint {clock.rfc3339(made_at)}" if made_at else "no checkpoint"
    closed = f", closed {clock.rfc3339(ledger.closed_at)}" if ledger.closed_at else ""
    return f"{ledger.origin}: {ledger.size} leaves, {newest}, {cosignatures} cosignatures{closed}"
