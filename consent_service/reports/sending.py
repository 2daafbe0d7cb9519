"""Send the reports that are due.

What callers may rely on:

- A report is sent at least once for each period, and once unless a process ends, or a database goes
  away, between sending and noting it. Whoever sends one holds it for :data:`LEASE`; after that
  another takes it up. A file that is put twice is the same file; whom a run has mailed is noted
  one by one.
- What was missed does not pile up: a run is about the newest period that is over.
- What went wrong is on the schedule, and the run is tried again, ever less often.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Row, and_, or_, select, update

from consent_service.config import Settings
from consent_service.db import Database
from consent_service.errors import ServiceError, ValidationFailed
from consent_service.mail import Mailer
from consent_service.reports import folders, letters
from consent_service.reports.due import newest, next_run
from consent_service.reports.export import export_rates, file_name
from consent_service.reports.links import LIFE, Link, token_of
from consent_service.reports.models import ReportScheduleRow
from consent_service.reports.periods import Period
from consent_service.reports.schedules import (
    NO_FOLDERS,
    NO_MAIL,
    as_json,
    destination,
    fresh,
    one,
    question,
)
from consent_service.reports.service import ask
from consent_service.signing import Keyring
from consent_service.tenants.service import Site, Tenant, all_tenants, sites_of

#: How long a run is its sender's; longer than any takes.
LEASE = timedelta(minutes=15)
#: Until a run that failed is tried again; twice as long each time, up to the other.
RETRY, LONGEST_RETRY = timedelta(minutes=5), timedelta(hours=6)

_MOST_DOUBLINGS = 10
_LONGEST_ERROR = 500

_TOLD_OF_OTHERS = "The report could not be made or put there. The operator's log says why."

_rows = ReportScheduleRow.__table__.c

log = logging.getLogger(__name__)


def run_due(
    database: Database, keys: Keyring, mailer: Mailer, settings: Settings, now: datetime
) -> int:
    """Send all reports that are due, and return how many were tried. Any number may do so at once.

    :raises Unavailable: when the database does not answer; what was not sent is sent later
    """
    tried = 0
    for tenant in all_tenants(database):
        for row in _claimed(database, tenant.id, now):
            sender = _Sender(database, keys, mailer, settings, tenant, row, now)
            sender.send_and_note()
            tried += 1
    return tried


def _claimed(database: Database, tenant_id: UUID, now: datetime) -> Iterator[Row[Any]]:
    """Give the tenant's runs that are due, each to one who asks, for the time of the lease."""
    due = and_(
        _rows.tenant_id == tenant_id,
        ~_rows.paused,
        _rows.next_run <= now,
        or_(_rows.not_before.is_(None), _rows.not_before <= now),
    )
    with database.reading(tenant_id) as connection:
        ids = connection.execute(select(_rows.id).where(due).order_by(_rows.next_run)).scalars()
        found = ids.all()
    for schedule_id in found:
        with database.transaction(tenant_id) as connection:
            # Of two who come at once, the second finds that it is not due any more.
            row = connection.execute(
                update(ReportScheduleRow)
                .where(due, _rows.id == schedule_id)
                .values(not_before=now + LEASE)
                .returning(*_rows)
            ).one_or_none()
        if row is not None:
            yield row


@dataclass
class _Sender:
    """One run of one schedule."""

    database: Database
    keys: Keyring
    mailer: Mailer
    settings: Settings
    tenant: Tenant
    row: Row[Any]
    now: datetime

    def send_and_note(self) -> None:
        """Send the report of the newest period, and note how that went."""
        sites = {site.id: site for site in sites_of(self.database, self.tenant.id)}
        site = sites[self.row.site_id]
        period = newest(self.row.every, self.now, site.time_zone)
        about = {"schedule": str(self.row.id)}
        try:
            self._send(site, period)
        except ServiceError as error:
            # Without the error's causes: a mail server's words can quote whom the mail was to.
            log.error("a report was not sent", extra={**about, "reason": str(error)})  # noqa: TRY400
            self._fail(str(error))
        except Exception:
            # Whatever a folder's system says: the other reports are to be sent all the same.
            log.exception("a report was not sent", extra=about)
            self._fail(_TOLD_OF_OTHERS)
        else:
            following = next_run(self.row.every, self.now, site.time_zone)
            self._note(**fresh(following), last_run_at=self.now, last_error=None)

    def _fail(self, told: str) -> None:
        failures = self.row.failures + 1
        wait = min(RETRY * 2 ** min(self.row.failures, _MOST_DOUBLINGS), LONGEST_RETRY)
        self._note(failures=failures, not_before=self.now + wait, last_error=told[:_LONGEST_ERROR])

    def _send(self, site: Site, period: Period) -> None:
        to = destination(self.row, self.keys)
        if to.folder is None:
            self._mail(site, period, to.mail)
            return
        if not self.settings.export_target:
            raise ValidationFailed(NO_FOLDERS)
        report = ask(self.database, site, question(self.row, site, period))
        name = file_name("rates", site.site_key, *period, self.row.form)
        stem, _, ending = name.rpartition(".")
        # Two schedules of one site and folder must not replace each other's files.
        folders.put(
            self.settings.export_target,
            self.tenant.slug,
            to.folder,
            f"{stem}-{str(self.row.id)[-8:]}.{ending}",
            export_rates(report, self.row.form),
        )

    def _mail(self, site: Site, period: Period, addresses: Sequence[str]) -> None:
        if not self.settings.public_url:
            raise ValidationFailed(NO_MAIL)
        expires_at = self.now + LIFE
        link = Link(self.tenant.id, self.row.id, period, expires_at)
        letter = letters.report(
            tenant=self.tenant.name,
            site=site.name,
            period=period,
            every=self.row.every,
            form=self.row.form,
            link=f"{self.settings.public_url}/v1/reports/files/{token_of(self.keys, link)}",
            expires_at=expires_at,
            language=self.row.language,
        )
        failed: ServiceError | None = None
        # A run before this one, of another period, says nothing about this one.
        about, mailed = _mailed(self.row)
        mailed = mailed if about == period.until.isoformat() else []
        for number, address in enumerate(addresses):
            if number in mailed:
                continue
            try:
                self.mailer.send(address, letter.subject, letter.text)
            except ServiceError as error:
                # The others get theirs.
                failed = error
            else:
                mailed.append(number)
                self._note(mailed=as_json([period.until.isoformat(), mailed]))
        if failed:
            raise failed

    def _note(self, **values: Any) -> None:  # noqa: ANN401
        """Write to the schedule, unless somebody else has it by now or it was deleted."""
        with self.database.transaction(self.tenant.id) as connection:
            connection.execute(
                update(ReportScheduleRow)
                .where(
                    one(self.tenant.id, self.row.id),
                    _rows.next_run == self.row.next_run,
                    _rows.not_before == self.row.not_before,
                )
                .values(**values)
            )


def _mailed(row: Row[Any]) -> tuple[str, list[int]]:
    """Return whom the run has mailed already, by their places, and the last day it is about."""
    said = orjson.loads(row.mailed)
    return (said[0], said[1]) if said else ("", [])
