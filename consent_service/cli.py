"""The operator's commands. ``consent-service --help`` lists them."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from textwrap import indent
from typing import IO, TYPE_CHECKING, Any, NoReturn
from urllib.parse import quote

import click
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server import Server
from sqlalchemy import make_url

from consent_service import __version__, config, db, logs, signing
from consent_service.access import audit_log
from consent_service.access.actor import OPERATOR
from consent_service.access.audit_log import Event, Filters
from consent_service.audit.service import FORMS, Form, export
from consent_service.child import beside
from consent_service.config import Settings
from consent_service.consents.commands import audit
from consent_service.demo.history import SITE_KEY as HISTORY
from consent_service.demo.owner import EMAIL, code, make_owner, password
from consent_service.demo.seed import TENANT_SLUG, seed
from consent_service.embed.service import built, script_tags
from consent_service.errors import OperatorError, ServiceError, Unavailable
from consent_service.key_commands import key
from consent_service.ledger.commands import ledger
from consent_service.ledger.witnesses import load_witnesses
from consent_service.notices.service import publish_notice
from consent_service.receipts.commands import verify_command
from consent_service.regions.service import Regions
from consent_service.reports.commands import reports
from consent_service.reports.export_commands import export as export_commands
from consent_service.tenants.link_keys import add_link_key, link_keys, retire_link_key
from consent_service.tenants.service import (
    DEFAULT_TIME_ZONE,
    create_site,
    create_tenant,
    find_site,
    find_tenant,
)
from consent_service.users.commands import user
from consent_service.web import read_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Python threads a process answers with. They share one core; there are many so that the gate
#: still answers while others wait for a slow database.
_THREADS = 16

#: A worker that has not ended by itself so long after the signal is ended by force. Nothing that it
#: acknowledged is lost: records are committed before they are answered.
_STOP_SECONDS = 10

#: In a process of its own, which imports no web framework.
_WORKER = "consent_service.worker"

_DAY = click.DateTime(["%Y-%m-%d"])

_DEMO_FOLDER = Path("var/demo")


class Commands(click.Group):
    """Shows errors that the operator can mend as one clear message, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401
        """Run the command."""
        try:
            return super().invoke(ctx)
        except OperatorError as error:
            _fail(str(error))
        except Unavailable as error:
            # A client is not told what the database said; the operator has to know.
            cause = getattr(error.__cause__, "orig", error.__cause__)
            _fail(f"The database cannot do this now: {cause or error}")
        except ServiceError as error:
            _fail("\n".join([str(error), *_explained(error.fields or {})]))


def _fail(message: str) -> NoReturn:
    click.secho(message, fg="red", err=True)
    sys.exit(2)


def _explained(fields: Any, path: str = "") -> Iterator[str]:  # noqa: ANN401
    """Give a line for each problem, with the path of the field it is in."""
    if isinstance(fields, dict):
        for key, inner in fields.items():
            yield from _explained(inner, f"{path}.{key}" if path else str(key))
    else:
        for problem in fields if isinstance(fields, list) else [fields]:
            yield f"  {path}: {problem}"


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="consent-service")
def main() -> None:
    """Run and manage the Consent Service.

    Settings come from environment variables that begin with CONSENT_; docs/settings.md lists them.
    A first installation needs, in this order: key rotate, db upgrade, tenant create, site create,
    notice publish, serve. To look around first: demo.
    """


@main.command()
def serve() -> None:
    """Serve visitors, with CONSENT_WORKERS processes on CONSENT_HOST and CONSENT_PORT."""
    settings = config.load()
    built("widget.js")
    signing.Keyring.of(settings)
    Regions(settings.geo_database)
    load_witnesses(settings.witnesses_file)
    # One that is away is looked for from then on; the gate denies meanwhile.
    with suppress(Unavailable), _database(settings) as database:
        database.check_subject()
    _check_address(settings.host, settings.port, "Set CONSENT_HOST and CONSENT_PORT.")
    _serve(settings)


@main.command()
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8000,
    show_default=True,
    help="Port to serve the demo on.",
)
def demo(port: int) -> None:
    """Set up and serve a demo site under var/demo, with a database and keys of its own.

    Everything is made on the first run and found again on the next. To begin anew, delete
    var/demo.
    """
    outbox = (_DEMO_FOLDER / "outbox").resolve()
    settings = replace(
        config.load({}),
        database_url=f"sqlite:///{_DEMO_FOLDER}/consent.db",
        keys_file=_DEMO_FOLDER / "keys.json",
        heads_folder=_DEMO_FOLDER / "heads",
        port=port,
        workers=1,
        log_level="warning",
        mail_url=f"file://{quote(str(outbox))}",
        mail_from=EMAIL,
        demo=True,
    )
    _check_address(settings.host, port, f"Choose another: make demo PORT={port + 1}")
    built("widget.js")
    signing.ensure_keys(settings.keys_file)
    db.upgrade(settings.database_url)
    database = db.Database(settings.database_url)
    seed(database, port)
    keys = signing.Keyring.of(settings)
    make_owner(database, keys)
    database.close()
    address = f"http://127.0.0.1:{port}"
    click.secho("\nThe Consent Service demo is running.\n", bold=True)
    click.echo(f"  Demo site   {address}/demo/           (English)")
    click.echo(f"              {address}/demo/?lang=sw   (Kiswahili)")
    click.echo(f"  Console     {address}/console/")
    click.echo(f"              e-mail    {EMAIL}")
    click.echo(f"              password  {password(keys)}")
    click.echo(f"              code      {sys.argv[0]} demo-code")
    click.echo(f"  Rates       {address}/console/t/{TENANT_SLUG}/reports?site={HISTORY}")
    click.echo("              of an invented site, whose numbers come in the first minute")
    click.echo(f"  Mail        {outbox}")
    click.echo(f"  API         {address}/docs\n")
    click.echo("  1. Open the demo site: the banner asks, and analytics has received nothing.")
    click.echo("  2. Choose, and watch analytics load only if the gate says so.")
    click.echo("  3. Change your mind with the cookie settings: page views stop at once.\n")
    click.echo("  Ask the gate yourself:")
    click.echo(f'    curl "{address}/v1/gate?site=site_demo&purpose=analytics"\n')
    click.echo("  Stop with Ctrl+C.\n")
    os.environ.pop(config.variable("keys"), None)
    os.environ |= {
        config.variable("database_url"): settings.database_url,
        config.variable("keys_file"): str(settings.keys_file),
        config.variable("heads_folder"): str(settings.heads_folder),
        config.variable("log_level"): settings.log_level,
        config.variable("mail_url"): settings.mail_url,
        config.variable("mail_from"): settings.mail_from,
        config.variable("demo"): "1",
    }
    _serve(settings)


@main.command("demo-code")
def demo_code() -> None:
    """Print the code that the demo's owner signs in with now. Only for the demo under var/demo."""
    path = _DEMO_FOLDER / "keys.json"
    if not path.exists():
        raise OperatorError(
            "There is no demo here. Start it with make demo, and run this in the same folder; "
            "elsewhere, codes come from the authenticator app of whoever signs in."
        )
    click.echo(code(signing.Keyring(path)))
    click.echo("It counts once; the next one comes within 30 seconds.", err=True)


def _check_address(host: str, port: int, advice: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise OperatorError(
            f"Port {port} of {host} cannot be used ({error.strerror}). {advice}"
        ) from error


def _serve(settings: Settings) -> None:
    server = Server(
        "consent_service.app:application",
        factory=True,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.WSGI,
        workers=settings.workers,
        blocking_threads=_THREADS,
        respawn_failed_workers=True,
        workers_kill_timeout=_STOP_SECONDS,
        log_level=LogLevels.error,
    )
    logs.configure(settings.log_level)
    with beside(_WORKER, stop_seconds=_STOP_SECONDS) if settings.worker else nullcontext():
        server.serve()


@main.command()
def worker() -> None:
    """Do the background work: add records to ledgers, and count them and impressions for reports.

    It works until it is told to stop (SIGTERM or Ctrl+C), waits for a database that is away, and
    may be killed at any time: what it had not finished, the next one does. Any number may run
    against one database, on any node.

    `serve` runs one beside itself. To run it as a service of its own instead, for instance on a
    node that serves nobody, set CONSENT_WORKER=0 for `serve`.
    """
    # The settings are checked here, where a mistake is shown like any other.
    with suppress(Unavailable), _database(config.load()) as database:
        database.check_subject()
    os.execv(sys.executable, [sys.executable, "-m", _WORKER])  # noqa: S606 - ourselves


@main.group("db")
def database_commands() -> None:
    """Manage the database."""


@database_commands.command()
def upgrade() -> None:
    """Bring the database's tables to this version. Safe to run again."""
    settings = config.load()
    db.upgrade(settings.owner_database_url or settings.database_url, served_by=_served_by(settings))
    click.echo(f"The tables are at revision {db.newest_revision()}.")


def _served_by(settings: Settings) -> str | None:
    """Return whom PostgreSQL must give rights to."""
    url = make_url(settings.database_url)
    if url.get_backend_name() != "postgresql":
        return None
    owner = settings.owner_database_url
    if not owner or make_url(owner).username == url.username:
        raise OperatorError(
            f"Set {config.variable('owner_database_url')} to the same database as another user, "
            "who is to own the tables; docs/operations.md says why and how."
        )
    return url.username


@main.group()
def tenant() -> None:
    """Manage tenants."""


@tenant.command("create")
@click.argument("slug")
@click.option("--name", required=True, help="The tenant's name, as people read it.")
def tenant_create(slug: str, name: str) -> None:
    """Make a tenant known as SLUG (lower-case letters, digits, hyphens)."""
    with _database() as database:
        made = create_tenant(database, slug, name, by=OPERATOR)
    click.echo(f"Tenant {made.slug} made. Next: consent-service site create {made.slug} ...")


@main.group()
def site() -> None:
    """Manage sites."""


@site.command("create")
@click.argument("tenant_slug")
@click.option("--name", required=True, help="The site's name, as people read it.")
@click.option(
    "--origin",
    "origins",
    required=True,
    multiple=True,
    help="Origin of the site's pages, e.g. https://app.example.com; repeat for several.",
)
@click.option("--cookie-domain", help="Domain whose subdomains share the choice.")
@click.option(
    "--time-zone",
    default=DEFAULT_TIME_ZONE,
    show_default=True,
    help="IANA name of the time zone whose days reports count.",
)
@click.option(
    "--regime",
    "regimes",
    multiple=True,
    metavar="REGION=REGIME",
    help="Another regime for a region than the table's, e.g. GB=opt_out; repeat for several.",
)
def site_create(  # noqa: PLR0913 - each is an option
    tenant_slug: str,
    name: str,
    origins: tuple[str, ...],
    cookie_domain: str | None,
    time_zone: str,
    regimes: tuple[str, ...],
) -> None:
    """Make a site of the tenant TENANT_SLUG and print its script tag."""
    with _database() as database:
        made = create_site(
            database,
            find_tenant(database, tenant_slug),
            name,
            origins,
            cookie_domain=cookie_domain,
            time_zone=time_zone,
            regime_overrides={
                region: regime for region, _, regime in (pair.partition("=") for pair in regimes)
            },
            by=OPERATOR,
        )
    base = config.load().public_url or "https://YOUR-CONSENT-HOST"
    click.echo(f"Site {made.site_key} made. Its pages need:\n")
    click.echo(f'  <script src="{base}/embed/{made.site_key}.js" async></script>\n')
    click.echo(f"Next: consent-service notice publish FILE --site {made.site_key}")


@site.command("snippet")
@click.argument("site_key")
def site_snippet(site_key: str) -> None:
    """Print the script tags for the pages of the site SITE_KEY; one of them is enough.

    The second has the browser check what it runs, and changes with every release. docs/widget.md
    compares the two.
    """
    settings = config.load()
    if not settings.public_url:
        raise OperatorError(
            f"Set {config.variable('public_url')} to the address under which visitors reach the "
            "service, e.g. https://consent.example.com."
        )
    with _database(settings) as database:
        find_site(database, site_key)
    tags = script_tags(settings.public_url, site_key)
    click.echo(f"One request, the same after every upgrade:\n\n{indent(tags.plain, '  ')}\n")
    click.echo("Checked by the browser, to be changed together with every upgrade:\n")
    click.echo(indent(tags.checked, "  "))


@site.group("link-key")
def link_key() -> None:
    """Manage the keys by which a site's server says who is signed in.

    docs/linking.md tells the site's developers what to do with one.
    """


@link_key.command("add")
@click.argument("site_key")
def link_key_add(site_key: str) -> None:
    """Make a link key of the site SITE_KEY and show it, this once.

    Keys made before stay in use: to rotate, add one, have the site's server sign with it, and
    retire the one before.
    """
    settings = config.load()
    keys = signing.Keyring.of(settings)
    with _database(settings) as database:
        made = add_link_key(database, keys, find_site(database, site_key), by=OPERATOR)
    click.echo(f"Link key {made.number} of {site_key} made. Give it to the site's server alone:\n")
    click.echo(f"  kid     {made.number}")
    click.echo(f"  secret  {made.secret}\n")
    click.echo("It is not shown again. docs/linking.md says how to sign with it.")


@link_key.command("list")
@click.argument("site_key")
def link_key_list(site_key: str) -> None:
    """Show the link keys of the site SITE_KEY, without the secrets."""
    settings = config.load()
    keys = signing.Keyring.of(settings)
    with _database(settings) as database:
        found = link_keys(database, keys, find_site(database, site_key))
    for each in found:
        stolen = ": made from a token key that was stolen; add another and retire this one"
        state = {
            "in_use": f"in use{stolen if each.stolen else ''}",
            "retired": f"retired {each.retired_at:%Y-%m-%d}" if each.retired_at else "",
            "lost": "lost: the key file lacks the token key that it was made from",
        }[each.state]
        click.echo(f"{each.number}  made {each.created_at:%Y-%m-%d}  {state}")
    if not found:
        click.echo(f"None. Make one with: consent-service site link-key add {site_key}")


@link_key.command("retire")
@click.argument("site_key")
@click.argument("number", type=int)
def link_key_retire(site_key: str, number: int) -> None:
    """Have tokens that are signed with link key NUMBER of SITE_KEY refused from now on."""
    with _database() as database:
        retire_link_key(database, find_site(database, site_key), number, by=OPERATOR)
    click.echo(f"Link key {number} of {site_key} is retired. Users who were linked stay linked.")


@main.group()
def notice() -> None:
    """Manage what visitors are shown."""


@notice.command("publish")
@click.argument("file", type=click.File("rb"))
@click.option("--site", "site_key", required=True, help="The site's key.")
def notice_publish(file: Any, site_key: str) -> None:  # noqa: ANN401
    """Publish the notice in FILE (JSON; - for standard input) as the site's next version.

    A published version cannot be changed. docs/notices.md describes the file.
    """
    with _database() as database:
        document = read_json(file.read())
        published = publish_notice(database, find_site(database, site_key), document, by=OPERATOR)
    asked = published.material_version == published.version
    click.echo(f"Version {published.version} is in force: {published.content_hash}")
    click.echo("Visitors are asked again." if asked else "Earlier choices stay valid.")


@main.group("audit")
def audit_commands() -> None:
    """Read what was changed, and by whom."""


@audit_commands.command("export")
@click.argument("tenant_slug")
@click.option("--format", "form", type=click.Choice(FORMS), default="ndjson", show_default=True)
@click.option("--output", type=click.File("wb", lazy=True), default="-", help="Else to stdout.")
@click.option("--from", "since", type=_DAY, help="From this day on (UTC), e.g. 2026-03-01.")
@click.option("--until", type=_DAY, help="Up to the day before this one.")
def audit_export(
    tenant_slug: str,
    form: Form,
    output: IO[bytes],
    since: datetime | None,
    until: datetime | None,
) -> None:
    """Write the audit log of the tenant TENANT_SLUG, newest event first.

    The last line says that it is the end, and how many events came before it; docs/audit.md
    describes both forms.
    """
    settings = config.load()
    keys = signing.Keyring.of(settings)
    filters = Filters(since=_in_utc(since), until=_in_utc(until))
    with _database(settings) as database:
        tenant_id = find_tenant(database, tenant_slug).id
        total = audit_log.count(database, tenant_id, filters)
        with click.progressbar(length=total, label="Events", file=sys.stderr) as bar:

            def watch(events: Iterable[Event]) -> Iterator[Event]:
                for event in events:
                    bar.update(1)
                    yield event

            output.writelines(export(database, keys, tenant_id, filters, form, watch))


def _in_utc(day: datetime | None) -> datetime | None:
    return day.replace(tzinfo=UTC) if day else None


main.add_command(key)
ledger.add_command(audit)
main.add_command(ledger)
main.add_command(reports)
main.add_command(user)
main.add_command(export_commands)
main.add_command(verify_command)


@contextmanager
def _database(settings: Settings | None = None) -> Iterator[db.Database]:
    """Give the database, whose tables are of this version."""
    with db.opened((settings or config.load()).database_url) as database:
        yield database


if __name__ == "__main__":
    main()
