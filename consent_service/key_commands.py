"""The operator's commands about the keys that sign and encrypt."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import IO

import click

from consent_service import clock, config, db, key_changes, key_file, signing
from consent_service.access.reencryption import Reencryption
from consent_service.config import Settings
from consent_service.errors import OperatorError
from consent_service.key_file import KEY_KINDS, REASONS, Key, KeyKind, Keys, Reason, Revoked
from consent_service.reports.schedules import ENCRYPTED
from consent_service.signing import Keyring
from consent_service.tenants.service import all_tenants
from consent_service.web import read_json

#: A thumbprint (RFC 7638) that an option could be read in.
_HYPHENED_ID = re.compile(r"-[A-Za-z0-9_-]{42}")

#: What a key does while it is the newest, and once another one is.
_WORK = {
    "record": ("signs records", "verifies"),
    "token": ("signs tokens", "verifies"),
    "data": ("encrypts", "decrypts"),
}

#: What follows from revoking, for whoever is about to.
_CONSEQUENCES = {
    ("record", "compromised"): """\
The secret of this key is taken out of the key file, for good. Then:
- records that it signed count where the ledger holds them, as fresh receipts of them show;
- receipts and checkpoints that it signed do not count any more by themselves;
- every copy of the key file that still has the key must be replaced by the new one.
""",
    ("record", "lost"): """\
The secret of this key is taken out of the key file, for good, so that nobody can steal it there.
What it signed verifies as before. Every copy of the key file must be replaced by the new one.
""",
    ("token", "compromised"): """\
All that this key has signed stops counting within a second, on every node that has the new file:
- visitors whose token it signed are unknown until they choose again; the banner asks them;
- receipt links, invitations and links to reports that it signed open nothing any more;
- users of the console load their page anew; they stay signed in.
Linked users stay linked: they are known again when they sign in. Link keys that were made while
this key signed are known to whoever has it: replace them (consent-service site link-key).
""",
    ("data", "compromised"): """\
The key is taken out of the key file. Backups of the database from before it was re-encrypted can
then be read only with an older copy of the file: keep one with them, apart.
""",
}


class _NamesAKey(click.Command):
    """Takes a record key's id for an id where it begins with a hyphen, as one in 64 does."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put it where no option is looked for."""
        ids = [each for each in args if _HYPHENED_ID.fullmatch(each)]
        if ids and "--" not in args:
            args = [*(each for each in args if each not in ids), "--", *ids]
        return super().parse_args(ctx, args)


@click.group()
def key() -> None:
    """Manage the keys that sign and encrypt."""


@key.command()
@click.argument("kind", type=click.Choice([*KEY_KINDS, "all"]), default="all")
def rotate(kind: str) -> None:
    """Add a new key for records, tokens or data, or one for each.

    Old keys stay in the file, so that earlier records and tokens verify and earlier data decrypts.
    A running service takes the new key up by itself and uses it after a minute; nobody is asked
    again. On several nodes, copy the file to all of them within that minute.
    """
    path = key_file.changeable(config.load())
    for each in KEY_KINDS if kind == "all" else (kind,):
        made = signing.rotate(path, each)  # type: ignore[arg-type]
        click.echo(f"New {each} key {made.id}, in use from {made.active_from:%H:%M:%S} UTC.")


@key.command("list")
def list_() -> None:
    """Show the keys, oldest first: kind, id, since when, and what each does. Never the secrets."""
    keys = key_file.read(key_file.source_of(config.load()), complete=False)
    rows = [row for kind in KEY_KINDS for row in _rows(keys, kind)]
    width = max((len(key_id) for _, key_id, _, _ in rows), default=0)
    for kind, key_id, since, state in rows:
        click.echo(f"{kind:<6}  {key_id:<{width}}  {since}  {state}")
    for kind in KEY_KINDS:
        if not keys.usable(kind):
            click.echo(f"There is no {kind} key. Make one with: consent-service key rotate {kind}")


@key.command(cls=_NamesAKey)
@click.argument("kind", type=click.Choice(KEY_KINDS))
@click.argument("key_id", metavar="ID")
@click.option(
    "--reason",
    type=click.Choice(REASONS),
    required=True,
    help="compromised: somebody else may have it. lost: nobody has its secret, or shall have it.",
)
@click.option(
    "--at",
    metavar="TIME",
    help="Since when, e.g. 2026-03-01T09:30:00Z; now, unless it is stated.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def revoke(kind: KeyKind, key_id: str, reason: Reason, at: str | None, *, yes: bool) -> None:
    """Have the key ID sign nothing from now on, because it was stolen or lost.

    Where no other key of its kind can sign, a new one is made first, and signs at once. A data key
    is taken out of the file, when nothing in the database needs it any more: rotate and re-encrypt
    first. It says what follows, and asks. docs/operations.md has the whole procedures.
    """
    settings = config.load()
    path = key_file.changeable(settings)
    revoked = Revoked(_moment(at) if at else clock.now(), reason)
    if (kind, reason) in _CONSEQUENCES and not yes:
        click.echo(_CONSEQUENCES[kind, reason], err=True)
        click.confirm(f"Revoke {kind} key {key_id}?", abort=True, err=True)
    if kind == "data":
        _remove_data_key(settings, key_id, reason)
        click.echo(f"Data key {key_id} is not in the key file any more.")
        return
    successor = key_changes.revoke(path, kind, key_id, revoked)
    click.echo(f"The {kind} key {key_id} is revoked ({reason}) and signs nothing any more.")
    new = "New: it" if successor.made else "It"
    click.echo(f"{new} is {kind} key {successor.key.id} that signs now.")
    click.echo("Copy the key file to every node at once.")


@key.command()
@click.argument("jwks_file", type=click.File("rb"))
def adopt(jwks_file: IO[bytes]) -> None:
    """Take lost record keys' public halves from JWKS_FILE, so that what they signed verifies again.

    JWKS_FILE (- for standard input) is a copy of /.well-known/jwks.json, or what `key
    export-public` wrote. Take one that nobody could change: whoever can add a key to it has records
    of their own verify. Nothing that is in the key file is changed.
    """
    path = key_file.changeable(config.load())
    adopted = key_changes.adopt(path, key_changes.read_jwks(read_json(jwks_file.read())))
    for key_id in adopted.added:
        click.echo(f"Record key {key_id} verifies again; its secret is lost.")
    for key_id in adopted.known:
        click.echo(f"Record key {key_id} is in the key file already.")
    for key_id in adopted.warned:
        click.secho(
            f"Record key {key_id} is compromised, says {jwks_file.name}, and the key file does "
            "not. Revoke it, too.",
            fg="yellow",
            err=True,
        )
    if adopted.added:
        click.echo("Copy the key file to every node.")


@key.command("export-public")
@click.argument("file", type=click.File("wb", lazy=True), default="-")
def export_public(file: IO[bytes]) -> None:
    """Write the public record keys to FILE, or to standard output, as a JWK Set.

    It is what /.well-known/jwks.json gives. Keep one with each backup, and give it to whoever is to
    verify without asking the service.
    """
    jwks = Keyring.of(config.load()).jwks()
    file.write(f"{json.dumps(jwks, indent=2)}\n".encode())


@key.command("re-encrypt")
def re_encrypt() -> None:
    """Encrypt with the newest data key what older ones encrypted.

    It can be broken off and run again, and the service may serve meanwhile. Afterwards the older
    data keys can be taken out of the key file: key revoke data ID.
    """
    settings = config.load()
    with _reencryption(settings) as run:
        bar = click.progressbar(length=run.remaining(), label="Encrypting anew", file=sys.stderr)
        with bar:
            for count in run.run():
                bar.update(count)
    if run.unreadable:
        raise OperatorError(
            f"{len(run.unreadable)} values cannot be read and stay as they are, such as "
            f"{run.unreadable[0]}. Keep every data key in the file, put back those that are "
            "missing, and run this again."
        )
    newest = run.keys.data_key_id
    click.echo(f"All is encrypted with data key {newest}; the older ones are not needed.")


@contextmanager
def _reencryption(settings: Settings) -> Iterator[Reencryption]:
    """Give what is to be encrypted anew, as soon as the newest data key encrypts."""
    keys = Keyring.of(settings)
    newest = key_file.read(key_file.source_of(settings)).of["data"][-1]
    if keys.data_key_id != newest.id:
        raise OperatorError(
            f"The newest data key is in use from {newest.active_from:%H:%M:%S} UTC. "
            "Run this again then."
        )
    with db.opened(settings.database_url) as database:
        tenant_ids = [tenant.id for tenant in all_tenants(database)]
        yield Reencryption(database, keys, [ENCRYPTED], tenant_ids)


def _remove_data_key(settings: Settings, key_id: str, reason: Reason) -> None:
    if reason == "lost":
        raise OperatorError(
            "What a lost data key encrypted cannot be read, and it is not in the file to be taken "
            "out. Where somebody else may have a key: --reason compromised."
        )
    with _reencryption(settings) as run:
        remaining = run.remaining()
    if remaining:
        raise OperatorError(
            f"{remaining} values are encrypted with older data keys. Encrypt them anew first: "
            "consent-service key re-encrypt"
        )
    key_changes.remove_data_key(settings.keys_file, key_id)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise OperatorError("--at must be a time with its zone, like 2026-03-01T09:30:00Z.")
    # To the millisecond that the key file carries.
    moment = moment.astimezone(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _rows(keys: Keys, kind: KeyKind) -> Iterator[tuple[str, str, str, str]]:
    """Give a line for each key: kind, id, since when, and what it does."""
    for retired in keys.retired if kind == "record" else []:
        state = f"{_why(retired.revoked)}; verifies only"
        yield kind, retired.id, _since(retired.active_from), state
    now = clock.now()
    active = [key for key in keys.usable(kind) if key.active_from <= now]
    newest = max(active, key=lambda key: key.active_from, default=None)
    for each in keys.of[kind]:
        yield kind, each.id, _since(each.active_from), _state(each, kind, newest, now)


def _state(key: Key, kind: KeyKind, newest: Key | None, now: datetime) -> str:
    works, rests = _WORK[kind]
    if key.revoked:
        return f"{_why(key.revoked)}; for what is derived from it only"
    if key.active_from > now:
        return f"{rests}; {works} from then on"
    return works if key is newest else rests


def _why(revoked: Revoked) -> str:
    return f"{revoked.reason} {revoked.at:%Y-%m-%d %H:%M}"


def _since(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else f"{'unknown':<23}"
