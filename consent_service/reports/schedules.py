"""Reports that are to be sent every day, week or month: who wants what, and where it goes.

``sending`` sends them. Whom a report goes to is kept encrypted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    delete,
    func,
    insert,
    select,
    update,
)

from consent_service import clock
from consent_service.access import audit
from consent_service.access.actor import Actor
from consent_service.access.reencryption import Column
from consent_service.config import Settings, mail_address
from consent_service.db import Database
from consent_service.errors import (
    LinkRefused,
    UnknownSchedule,
    ValidationFailed,
)
from consent_service.formats import Form
from consent_service.reports import folders
from consent_service.reports.due import Every, newest, next_run
from consent_service.reports.links import read_token
from consent_service.reports.models import ReportScheduleRow
from consent_service.reports.periods import Period
from consent_service.reports.questions import check
from consent_service.reports.report import Question, Report, Step
from consent_service.reports.service import ask
from consent_service.signing import Keyring
from consent_service.tenants.service import Site, sites_of

#: Schedules of a tenant, and addresses of one.
MOST_SCHEDULES, MOST_RECIPIENTS = 50, 20

#: What is encrypted here, for when all that is gets encrypted anew.
ENCRYPTED = Column(
    ReportScheduleRow.id, ReportScheduleRow.destination, tenant_id=ReportScheduleRow.tenant_id
)

_rows = ReportScheduleRow.__table__.c


@dataclass(frozen=True)
class Destination:
    """Where a report goes: to people's mailboxes, or into a folder. One of the two."""

    mail: Sequence[str] = field(default=(), repr=False)
    #: Below the tenant's own; "" is that one.
    folder: str | None = None


@dataclass(frozen=True)
class Wanted:
    """What somebody wants to have sent."""

    every: Every
    form: Form
    destination: Destination
    group: str | None = None
    step: Step | None = None
    where: tuple[str, str] | None = None
    #: Of the mail.
    language: str = "en"


@dataclass(frozen=True)
class Schedule:
    """A report that is sent every day, week or month."""

    id: UUID
    site_key: str
    wanted: Wanted
    paused: bool
    created_at: datetime
    next_run: datetime
    last_run_at: datetime | None
    #: What went wrong the last time; None when nothing did.
    last_error: str | None

    def shown(self) -> dict[str, Any]:
        """Return what its tenant sees of it, as JSON values."""
        wanted = self.wanted
        return {
            "id": str(self.id),
            "site": self.site_key,
            "every": wanted.every,
            "format": wanted.form,
            "group": wanted.group,
            "step": wanted.step,
            "where": dict([wanted.where]) if wanted.where else {},
            "mail": list(wanted.destination.mail),
            "folder": wanted.destination.folder,
            "language": wanted.language,
            "paused": self.paused,
            "created_at": clock.rfc3339(self.created_at),
            "next_run": clock.rfc3339(self.next_run),
            "last_run_at": clock.rfc3339(self.last_run_at) if self.last_run_at else None,
            "last_error": self.last_error,
        }


def list_schedules(database: Database, keys: Keyring, tenant_id: UUID) -> list[Schedule]:
    """Return a tenant's schedules, oldest first."""
    sites = {site.id: site for site in sites_of(database, tenant_id)}
    query = select(ReportScheduleRow.__table__).where(_rows.tenant_id == tenant_id)
    with database.reading(tenant_id) as connection:
        found = connection.execute(query.order_by(_rows.id)).all()
    return [_schedule(row, sites[row.site_id], keys) for row in found]


def create_schedule(  # noqa: PLR0913 - what is made, for whom, by whom and with what
    database: Database,
    keys: Keyring,
    settings: Settings,
    site: Site,
    wanted: Wanted,
    *,
    by: Actor,
) -> Schedule:
    """Have a report of a site be sent from the period on that runs now.

    :raises ValidationFailed: when it cannot be asked like this, or be sent there
    """
    now = clock.now()
    checked = _checked(settings, site, wanted, now)
    made = Schedule(
        id=clock.new_id(),
        site_key=site.site_key,
        wanted=checked,
        paused=False,
        created_at=now,
        next_run=next_run(checked.every, now, site.time_zone),
        last_run_at=None,
        last_error=None,
    )
    row = {
        "id": made.id,
        "tenant_id": site.tenant_id,
        "site_id": site.id,
        "question": as_json({name: getattr(checked, name) for name in ("group", "step", "where")}),
        "form": checked.form,
        "every": checked.every,
        "destination": keys.encrypt(as_json(vars(checked.destination)), context(made.id)),
        "language": checked.language,
        "paused": False,
        "created_at": now,
        "next_run": made.next_run,
        "failures": 0,
        "mailed": "[]",
    }
    with database.transaction(site.tenant_id) as connection:
        counted = select(func.count()).where(_rows.tenant_id == site.tenant_id)
        if connection.execute(counted).scalar_one() >= MOST_SCHEDULES:
            raise ValidationFailed(
                fields={"site": [f"A tenant has {MOST_SCHEDULES} schedules at most. Delete one."]}
            )
        connection.execute(insert(ReportScheduleRow).values(row))
        # Whom it is mailed to is kept encrypted, and so not told here.
        after = {
            "site": site.site_key,
            "every": checked.every,
            "format": checked.form,
            "recipients": len(checked.destination.mail),
            "folder": checked.destination.folder,
        }
        _note(connection, site.tenant_id, by, "report_schedule.created", made.id, after=after)
    return made


def pause_schedule(  # noqa: PLR0913
    database: Database,
    keys: Keyring,
    tenant_id: UUID,
    schedule_id: UUID,
    *,
    paused: bool,
    by: Actor,
) -> Schedule:
    """Have a report be sent no more, or again from the period on that runs then.

    :raises UnknownSchedule: when the tenant has no such schedule
    """
    sites = {site.id: site for site in sites_of(database, tenant_id)}
    with database.transaction(tenant_id) as connection:
        query = select(ReportScheduleRow.__table__).where(one(tenant_id, schedule_id))
        row = connection.execute(query.with_for_update()).one_or_none()
        if row is None:
            raise UnknownSchedule
        site = sites[row.site_id]
        if row.paused == paused:
            return _schedule(row, site, keys)
        run = {} if paused else fresh(next_run(row.every, clock.now(), site.time_zone))
        changed = connection.execute(
            update(ReportScheduleRow)
            .where(one(tenant_id, schedule_id))
            .values(paused=paused, **run)
            .returning(*_rows)
        ).one()
        said = {"before": {"paused": row.paused}, "after": {"paused": paused}}
        _note(connection, tenant_id, by, "report_schedule.updated", schedule_id, **said)
    return _schedule(changed, site, keys)


def delete_schedule(database: Database, tenant_id: UUID, schedule_id: UUID, *, by: Actor) -> None:
    """Send a report no more, and have the links that were sent open nothing.

    :raises UnknownSchedule: when the tenant has no such schedule
    """
    with database.transaction(tenant_id) as connection:
        gone = connection.execute(delete(ReportScheduleRow).where(one(tenant_id, schedule_id)))
        if not gone.rowcount:
            raise UnknownSchedule
        _note(connection, tenant_id, by, "report_schedule.deleted", schedule_id)


def opened(database: Database, keys: Keyring, token: str) -> tuple[Report, Form]:
    """Return the report that a mailed link opens, from what is counted now.

    :raises LinkRefused: when it opens nothing, whatever the reason
    """
    link = read_token(keys, token, clock.now())
    query = select(ReportScheduleRow.__table__).where(one(link.tenant_id, link.schedule_id))
    with database.reading(link.tenant_id) as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        raise LinkRefused
    sites = {site.id: site for site in sites_of(database, link.tenant_id)}
    report = ask(database, sites[row.site_id], question(row, sites[row.site_id], link.period))
    form: Form = row.form
    return report, form


NO_MAIL = (
    "This service sends no mail. Its operator can set CONSENT_MAIL_URL and CONSENT_PUBLIC_URL."
)
NO_FOLDERS = "This service puts no files into folders. Its operator can set CONSENT_EXPORT_TARGET."


def fresh(following: datetime) -> dict[str, Any]:
    """Return the columns of a run that nobody has tried yet."""
    return {"next_run": following, "not_before": None, "failures": 0, "mailed": "[]"}


def _checked(settings: Settings, site: Site, wanted: Wanted, now: datetime) -> Wanted:
    to = wanted.destination
    if bool(to.mail) == (to.folder is not None):
        raise ValidationFailed(fields={"mail": ["Give mail or folder, and not both."]})
    if to.folder is not None:
        if not settings.export_target:
            raise ValidationFailed(fields={"folder": [NO_FOLDERS]})
        folders.check_path(to.folder)
    else:
        if not (settings.mail_url and settings.public_url):
            raise ValidationFailed(fields={"mail": [NO_MAIL]})
        to = Destination(_addresses(to.mail))
    period = newest(wanted.every, now, site.time_zone)
    asked = Question(site.site_key, *period, wanted.where, wanted.group, wanted.step)
    check(asked, None, period.until)
    return replace(wanted, destination=to)


def _addresses(mail: Sequence[str]) -> list[str]:
    found = list(dict.fromkeys(address.strip() for address in mail))
    if len(found) > MOST_RECIPIENTS:
        raise ValidationFailed(fields={"mail": [f"At most {MOST_RECIPIENTS} addresses."]})
    for address in found:
        try:
            mail_address(address)
        except ValueError as error:
            raise ValidationFailed(fields={"mail": [f"{address[:100]!r} {error}."]}) from None
    return found


def destination(row: Row[Any], keys: Keyring) -> Destination:
    """Return where a schedule's report goes.

    :raises CannotDecrypt: when the key file lacks the key that it was encrypted with
    """
    return Destination(**orjson.loads(keys.decrypt(row.destination, context(row.id))))


def question(row: Row[Any], site: Site, period: Period) -> Question:
    """Return what a schedule asks about a period."""
    said = orjson.loads(row.question)
    where = tuple(said["where"]) if said["where"] else None
    return Question(site.site_key, *period, where, said["group"], said["step"])


def _schedule(row: Row[Any], site: Site, keys: Keyring) -> Schedule:
    said = orjson.loads(row.question)
    wanted = Wanted(
        every=row.every,
        form=row.form,
        destination=destination(row, keys),
        group=said["group"],
        step=said["step"],
        where=tuple(said["where"]) if said["where"] else None,
        language=row.language,
    )
    return Schedule(
        id=row.id,
        site_key=site.site_key,
        wanted=wanted,
        paused=row.paused,
        created_at=row.created_at,
        next_run=row.next_run,
        last_run_at=row.last_run_at,
        last_error=row.last_error,
    )


def _note(  # noqa: PLR0913
    connection: Connection,
    tenant_id: UUID,
    by: Actor,
    action: str,
    schedule_id: UUID,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    kind = "report_schedule"
    audit.write(
        connection, tenant_id, by, action, kind, str(schedule_id), before=before, after=after
    )


def one(tenant_id: UUID, schedule_id: UUID) -> ColumnElement[bool]:
    """Match a schedule of a tenant."""
    return and_(_rows.tenant_id == tenant_id, _rows.id == schedule_id)


def context(schedule_id: UUID) -> str:
    """Return the place that a schedule's destination is encrypted for."""
    return f"report_schedules.destination {schedule_id}"


def as_json(value: Any) -> str:  # noqa: ANN401
    """Write a value as JSON."""
    return orjson.dumps(value).decode()
