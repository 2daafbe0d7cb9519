"""The operator's commands about users: the first owner of a tenant comes in by one."""

from __future__ import annotations

import click

from consent_service import config, db
from consent_service.access import invitations, members, providers
from consent_service.access.actor import OPERATOR
from consent_service.access.permissions import ROLES
from consent_service.errors import InvitationNotSent, OperatorError
from consent_service.mail import Mailer
from consent_service.signing import Keyring
from consent_service.tenants.service import find_tenant


@click.group()
def user() -> None:
    """Manage who has access to a tenant."""


@user.command()
@click.argument("tenant_slug")
@click.argument("email")
@click.option(
    "--role", required=True, type=click.Choice(ROLES), help="What the person is to be there."
)
@click.option(
    "--language",
    type=click.Choice(["en", "sw"]),
    default="en",
    show_default=True,
    help="Language of the mail.",
)
def invite(tenant_slug: str, email: str, role: str, language: str) -> None:
    """Invite EMAIL to the tenant TENANT_SLUG, and print the link that accepts.

    The link counts once, for seven days, and in the place of any before it. It is mailed too,
    where CONSENT_MAIL_URL is set.
    """
    settings = config.load()
    if not settings.public_url:
        raise OperatorError(
            f"Set {config.variable('public_url')} to the address under which people reach the "
            "console, e.g. https://consent.example.com."
        )
    keys = Keyring.of(settings)
    with db.opened(settings.database_url) as database:
        tenant = find_tenant(database, tenant_slug)
        for earlier in invitations.list_invitations(database, keys, tenant.id):
            if earlier.email.casefold() == email.strip().casefold():
                invitations.revoke(database, tenant.id, earlier.id, by=OPERATOR)
        made = invitations.invite(database, keys, tenant.id, email, role, by=OPERATOR)
    click.echo(f"{made.email} is invited as {role}. This link counts once, for seven days:\n")
    click.echo(f"  {invitations.link(keys, made, settings.public_url)}\n")
    if settings.mail_url:
        envelope = invitations.Envelope(settings.public_url, tenant.name, None, language)
        try:
            invitations.send(Mailer(settings), keys, made, envelope)
            click.echo("It was mailed, too.")
        except InvitationNotSent as error:
            click.secho(f"It was not mailed: {error.__cause__}", fg="yellow", err=True)


@user.command("list")
@click.argument("tenant_slug")
def list_(tenant_slug: str) -> None:
    """Show who has access to the tenant TENANT_SLUG, and who is invited."""
    settings = config.load()
    keys = Keyring.of(settings)
    with db.opened(settings.database_url) as database:
        tenant = find_tenant(database, tenant_slug)
        found = members.list_members(database, keys, tenant.id)
        invited = invitations.list_invitations(database, keys, tenant.id)
    for member in found:
        factor = "second factor" if member.second_factor else "no second factor"
        click.echo(f"{member.role:<10} {member.email}  {member.name}  {factor}")
    for each in invited:
        state = "expired" if each.expired else f"until {each.expires_at:%Y-%m-%d %H:%M} UTC"
        click.echo(f"{each.role:<10} {each.email}  invited, {state}")
    if not found and not invited:
        click.echo(f"Nobody. Begin with: consent-service user invite {tenant_slug} EMAIL")


@user.command()
@click.argument("tenant_slug")
@click.argument("email")
def end(tenant_slug: str, email: str) -> None:
    """End EMAIL's access to the tenant TENANT_SLUG, at once."""
    settings = config.load()
    keys = Keyring.of(settings)
    with db.opened(settings.database_url) as database:
        tenant = find_tenant(database, tenant_slug)
        member = members.find_by_email(database, keys, tenant.id, email)
        members.end_membership(database, tenant.id, member.user_id, by=OPERATOR)
    click.echo(f"{member.email} has no access to {tenant_slug} any more.")


@user.command("forget-provider")
@click.argument("tenant_slug")
def forget_provider(tenant_slug: str) -> None:
    """Have users of the tenant TENANT_SLUG sign in with their own passwords and passkeys again.

    For when the tenant's identity provider is away for good, or shuts its owners out.
    """
    settings = config.load()
    with db.opened(settings.database_url) as database:
        providers.remove(database, find_tenant(database, tenant_slug).id, by=OPERATOR)
    click.echo(f"{tenant_slug} has no identity provider any more.")
