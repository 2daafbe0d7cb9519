"""The operator's commands about reports."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TypeVar

import click

from consent_service import config, db
from consent_service.db import Contended
from consent_service.errors import OperatorError
from consent_service.reports.rollups import Recounted, Rollups, Superseded
from consent_service.tenants.service import Site, all_sites, find_site

#: Seconds to wait for somebody else who counts the site: a large day takes its time.
_PATIENCE = 120

#: Seconds between two attempts.
_PAUSE = 0.1

Result = TypeVar("Result")


@click.group()
def reports() -> None:
    """Manage what reports are made from."""


@reports.command()
@click.argument("site_key", required=False)
@click.option("--all", "every", is_flag=True, help="All sites of all tenants.")
def rebuild(site_key: str | None, *, every: bool) -> None:
    """Count all days of the site SITE_KEY anew, or of every site, from the records themselves.

    The worker counts by itself; this is for when you doubt its numbers. The service may serve and
    the worker may work meanwhile. Reports show the numbers as they were until a day is done, and
    are right if this is broken off at any time.
    """
    if bool(site_key) == every:
        raise click.UsageError("Name one site, or say --all.")
    with db.opened(config.load().database_url) as database:
        sites = [find_site(database, site_key)] if site_key else all_sites(database)
        rollups = Rollups(database)
        counted = [day for site in sites for day in _rebuild(rollups, site)]
    records = sum(day.records for day in counted)
    impressions = sum(day.impressions for day in counted)
    days = "1 day" if len(counted) == 1 else f"{len(counted)} days"
    click.echo(f"Counted {days} anew: {records} records and {impressions} impressions.")


def _rebuild(rollups: Rollups, site: Site) -> list[Recounted]:
    """Count all days of a site anew, and show how far it is."""
    begun = _patiently(lambda: rollups.begin_rebuild(site, wanted=True))
    counted: list[Recounted] = []
    if begun is None:
        return counted
    with click.progressbar(length=len(begun.days), label=site.site_key, file=sys.stderr) as bar:
        try:
            while day := _patiently(begun.step):
                counted.append(day)
                bar.update(1)
        except Superseded:
            click.echo(f"\nThe worker counts {site.site_key} anew already.", err=True)
    return counted


def _patiently(work: Callable[[], Result]) -> Result:
    """Do something as soon as nobody else is at it.

    :raises OperatorError: when that takes too long
    """
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        try:
            return work()
        except Contended:
            time.sleep(_PAUSE)
    raise OperatorError("Other processes keep counting this site. Run this again later.")
