"""The operator's commands that write files: rates, and records."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import IO, Any, TypeVar

import click

from consent_service import config, db
from consent_service.access.actor import OPERATOR
from consent_service.consents import export as records
from consent_service.formats import FORMATS, Form
from consent_service.reports.counting import COMMON, DIMENSIONS
from consent_service.reports.export import check_mark, export_rates
from consent_service.reports.periods import STEPS
from consent_service.reports.report import Question, Step
from consent_service.reports.service import ask
from consent_service.tenants.service import find_site

_DAY = click.DateTime(["%Y-%m-%d"])

Command = TypeVar("Command", bound=Callable[..., Any])


def _of_any_file(*forms: str) -> Callable[[Command], Command]:
    """Add what both commands take."""

    def decorate(command: Command) -> Command:
        for option in (
            click.option("--bom", is_flag=True, help="Begin CSV with a byte order mark."),
            click.option(
                "--output", type=click.File("wb", lazy=True), default="-", help="Else to stdout."
            ),
            click.option(
                "--format", "form", type=click.Choice(forms), default="csv", show_default=True
            ),
            click.option("--to", "until", type=_DAY, required=True, help="Last day."),
            click.option(
                "--from",
                "since",
                type=_DAY,
                required=True,
                help="First day, in the site's time zone, e.g. 2026-09-01.",
            ),
            click.argument("site_key"),
        ):
            command = option(command)
        return command

    return decorate


@click.group("export")
def export() -> None:
    """Write rates or records to a file.

    docs/reports.md says what is in one, and how to tell a whole one from half of one.
    """


@export.command("rates")
@_of_any_file(*FORMATS)
@click.option("--group", type=click.Choice(DIMENSIONS), help="Tell this dimension's values apart.")
@click.option("--step", type=click.Choice(STEPS), help="Give a series of days, weeks or months.")
@click.option(
    "--where",
    nargs=2,
    type=(click.Choice(COMMON), str),
    help="Only people of one value of a dimension, e.g. --where country TZ.",
)
def export_rates_command(  # noqa: PLR0913 - the command's options
    site_key: str,
    since: datetime,
    until: datetime,
    form: Form,
    output: IO[bytes],
    *,
    bom: bool,
    group: str | None,
    step: Step | None,
    where: tuple[str, str] | None,
) -> None:
    """Write the consent rates of the site SITE_KEY."""
    check_mark(form, bom=bom)
    with db.opened(config.load().database_url) as database:
        site = find_site(database, site_key)
        days = since.date(), until.date()
        report = ask(database, site, Question(site.site_key, *days, where, group, step))
    chunks = export_rates(report, form, bom=bom)
    with click.progressbar(chunks, label="Rates", file=sys.stderr) as bar:
        output.writelines(bar)


@export.command("records")
@_of_any_file(*records.FORMS)
@click.option("--visitors", is_flag=True, help="Tell which records are the same visitor's.")
def export_records_command(  # noqa: PLR0913 - the command's options
    site_key: str,
    since: datetime,
    until: datetime,
    form: records.Form,
    output: IO[bytes],
    *,
    bom: bool,
    visitors: bool,
) -> None:
    """Write the records of the site SITE_KEY, oldest first. The audit log tells of it."""
    check_mark(form, bom=bom)
    with db.opened(config.load().database_url) as database:
        site = find_site(database, site_key)
        begin, end = records.moments(site, since.date(), until.date())
        # By how much of the time is done: counting records first would take long where it matters.
        whole = int((end - begin).total_seconds())
        with click.progressbar(
            length=whole, label="Records", file=sys.stderr, update_min_steps=whole // 1000
        ) as bar:

            def watch(rows: records.Rows) -> Iterator[Mapping[str, Any]]:
                done = 0
                for row in rows:
                    now = int((row["created_at"] - begin).total_seconds())
                    bar.update(now - done)
                    done = now
                    yield row
                bar.update(whole - done)

            chunks = records.export_records(
                database,
                site,
                since.date(),
                until.date(),
                form,
                by=OPERATOR,
                with_visitors=visitors,
                bom=bom,
                watch=watch,
            )
            output.writelines(chunks)
