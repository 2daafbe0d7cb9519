"""The operator's commands about records."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import click

from consent_service import __version__, clock, config, db, signing
from consent_service.consents.auditing import MEANINGS, Audit
from consent_service.db import Database
from consent_service.errors import OperatorError
from consent_service.ledger.auditing import Finding, Report, VerifyingKey, public_keys
from consent_service.ledger.checkpoint import ED25519_COSIGNATURE, NoteKey
from consent_service.ledger.witnesses import load_witnesses
from consent_service.tenants.service import Tenant, all_sites, all_tenants, find_tenant

#: What was looked at, in the order and the words in which it is told.
_COUNTED = {
    "ledgers": "ledgers",
    "leaves": "leaves",
    "waiting": "waiting to become leaves",
    "nodes": "nodes",
    "checkpoints": "checkpoints",
    "checkpoints_stolen": "of these signed with stolen keys alone",
    "cosignatures": "cosignatures of the witnesses known",
    "cosignatures_unchecked": "cosignatures of others, not checked",
    "records": "records",
    "erased": "erased, with a tombstone",
    "erased_before": "erased before there was a ledger, without one",
}

_FOUND = 1


class _Witness(click.ParamType[NoteKey]):
    """A witness's key, as C2SP's signed-note writes keys."""

    name = "vkey"

    def convert(
        self,
        value: Any,  # noqa: ANN401
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> NoteKey:
        """Read it."""
        try:
            key = NoteKey.parse(value)
        except ValueError as error:
            self.fail(f"{value!r} {error}.", param, ctx)
        if key.kind != ED25519_COSIGNATURE:
            self.fail(f"{value!r} is the key of a log, not of a witness.", param, ctx)
        return key


@click.command()
@click.argument("tenant_slugs", metavar="[TENANT]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All tenants.")
@click.option(
    "--witness",
    "witnesses",
    type=_Witness(),
    metavar="VKEY",
    multiple=True,
    help="Check this witness's cosignatures, besides those of CONSENT_WITNESSES_FILE; "
    "its key like NAME+ID+KEY; repeat for several.",
)
@click.option(
    "--json",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write what was found to this file as well, as JSON for programs.",
)
def audit(
    tenant_slugs: tuple[str, ...],
    witnesses: tuple[NoteKey, ...],
    path: Path | None,
    *,
    every: bool,
) -> None:
    """Re-read all records of the tenants named, or of --all, against their ledgers.

    \b
    What is checked:
      records      signature, commitment, canonical form, and that each speaks of
                   its own row; each visitor's chain; that each is a leaf or waits
      erasures     nothing is left, and a signed tombstone stands in the ledger
      leaves       each has its record or tombstone; none is missing or beyond
      tree         every node and every checkpoint's root, computed anew
      checkpoints  signatures, with retired keys too; the newest is the head

    It reads only, and the service may serve meanwhile: what is recorded or erased while it runs is
    no fault. It keeps one processor busy.

    Each finding is a line: where, what, its kind, and what it means; docs/operations.md says what
    to do. How far it is goes to standard error.

    Ends with 0 when all is right, 1 when something was found, 2 when it could not be done.
    """  # noqa: D301 - \b is click's
    if bool(tenant_slugs) == every:
        raise click.UsageError("Name tenants, or say --all.")
    settings = config.load()
    keys = public_keys(signing.Keyring.of(settings))
    known = (*(each.key for each in load_witnesses(settings.witnesses_file)), *witnesses)
    counts, kinds = Counter[str](), Counter[str]()
    with db.opened(settings.database_url) as database, _file(path) as file:
        tenants = all_tenants(database) if every else _named(database, tenant_slugs)
        for tenant in tenants:
            report = Report(_teller(tenant, file))
            _run(database, tenant, keys, known, report)
            counts += report.counts
            kinds += report.kinds
        if file:
            file.finish(tenants, counts, kinds)
    _sum_up(tenants, counts, kinds)
    if kinds:
        sys.exit(_FOUND)


def _named(database: Database, slugs: Iterable[str]) -> list[Tenant]:
    return [find_tenant(database, slug) for slug in dict.fromkeys(slugs)]


def _run(
    database: Database,
    tenant: Tenant,
    keys: Mapping[str, VerifyingKey],
    witnesses: Sequence[NoteKey],
    report: Report,
) -> None:
    """Audit a tenant, and show how far it is."""
    sites = [site for site in all_sites(database) if site.tenant_id == tenant.id]
    run = Audit(database, tenant.id, sites, keys, witnesses, report)
    with click.progressbar(length=run.steps, label=tenant.slug, file=sys.stderr) as bar:
        for done in run.run():
            bar.update(done)


class _Json:
    """Writes findings as they come: there may be more than memory holds. Half a file is no JSON."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._next = "\n"
        file.write(f'{{"version": {json.dumps(__version__)}, "findings": [')

    def add(self, tenant: Tenant, finding: Finding) -> None:
        """Write one."""
        members = {
            "tenant": tenant.slug,
            **finding._asdict(),
            "record_id": str(finding.record_id) if finding.record_id else None,
            "meaning": MEANINGS[finding.kind],
        }
        self._file.write(self._next + json.dumps(members))
        self._next = ",\n"

    def finish(
        self, tenants: Iterable[Tenant], counts: Mapping[str, int], kinds: Mapping[str, int]
    ) -> None:
        """Write what was looked at, and the end."""
        end = {
            "finished_at": clock.rfc3339(clock.now()),
            "tenants": [tenant.slug for tenant in tenants],
            "counts": {name: counts.get(name, 0) for name in _COUNTED},
            "kinds": dict(kinds),
        }
        self._file.write(f"\n], {json.dumps(end)[1:]}\n")


@contextmanager
def _file(path: Path | None) -> Iterator[_Json | None]:
    if path is None:
        yield None
        return
    try:
        file = path.open("w", encoding="utf-8")
    except OSError as error:
        raise OperatorError(
            f"The file {path} cannot be written ({error.strerror}). Name another one for --json."
        ) from error
    with file:
        yield _Json(file)


def _teller(tenant: Tenant, file: _Json | None) -> Callable[[Finding], None]:
    def tell(finding: Finding) -> None:
        meaning = MEANINGS[finding.kind]
        where = f"{tenant.slug}: {finding.where}"
        click.echo(f"{where}: {finding.message} [{finding.kind}]: {meaning}.")
        if file:
            file.add(tenant, finding)

    return tell


def _sum_up(tenants: Sequence[Tenant], counts: Mapping[str, int], kinds: Mapping[str, int]) -> None:
    click.echo(f"Audited {'1 tenant' if len(tenants) == 1 else f'{len(tenants)} tenants'}:")
    for name, words in _COUNTED.items():
        click.echo(f"  {counts.get(name, 0):>12,}  {words}")
    if not kinds:
        click.echo("All of it holds together.")
        return
    click.echo("Found:")
    for kind, number in sorted(kinds.items()):
        click.echo(f"  {number:>12,}  {kind}")
    click.echo("docs/operations.md says what to do. Change nothing before there is a copy.")
