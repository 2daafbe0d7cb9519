"""Records of a site as a file, for those who must account for them.

What callers may rely on:

- What is asked for is in the audit log, as ``records.exported``, before the first byte is there.
- Records are read some at a time, oldest first, each time in a short transaction of its own, so
  that an export of any length holds nobody up. Records are only ever added, so none is missed or
  there twice; one that is erased meanwhile is there as erased if it had not been read yet.
- Of an erased record there is its id, when it was made and when it was erased, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

import orjson
from sqlalchemy import select

from consent_service import formats
from consent_service.access import audit
from consent_service.access.actor import Actor
from consent_service.consents.models import RecordRow
from consent_service.consents.store import in_steps
from consent_service.db import Database
from consent_service.errors import ValidationFailed
from consent_service.formats import Column
from consent_service.notices.history import purpose_keys
from consent_service.tenants.service import Site

#: A workbook has no room for a site's records.
Form = Literal["csv", "ndjson", "parquet"]
FORMS: tuple[Form, ...] = ("csv", "ndjson", "parquet")

#: Records that are read at once: what an export holds in memory.
STEP = 1000

#: Columns that tell which records are the same visitor's.
OF_VISITORS = (Column("visitor_id"), Column("previous_id"), Column("sequence", "integer"))

_AS_ROW = (Column("id"), Column("created_at", "time"), Column("erased_at", "time"))
_OF_RECORD = (
    Column("site_key"),
    Column("action"),
    Column("surface"),
    Column("signal_source"),
    Column("notice_version", "integer"),
    Column("notice_hash"),
    Column("policy_version"),
    Column("language"),
    Column("country"),
    Column("region"),
    Column("regime"),
    Column("rule_version"),
    Column("device_class"),
    Column("browser_family"),
    Column("gpc", "flag"),
    Column("expires_at", "time"),
    Column("after_ms", "integer"),
)

_records = RecordRow.__table__.c

Rows = Iterable[Mapping[str, Any]]


def export_records(  # noqa: PLR0913 - what is exported, and how
    database: Database,
    site: Site,
    since: date,
    until: date,
    form: Form,
    *,
    by: Actor,
    with_visitors: bool,
    bom: bool = False,
    watch: Callable[[Rows], Rows] = iter,
) -> Iterator[bytes]:
    """Return the file in pieces; the first record has been read.

    :param since: first day, in the site's time zone
    :param until: last day
    :param with_visitors: whether it tells which records are the same visitor's
    :param bom: for CSV alone, see :func:`~consent_service.formats.table`
    :param watch: what the rows go through on their way: to show how far it is, say
    :raises ValidationFailed: when the first day is after the last one
    :raises Unavailable: when the database cannot be read; later on, while pieces are read
    """
    begin, end = moments(site, since, until)
    with database.transaction(site.tenant_id) as connection:
        audit.write(
            connection,
            site.tenant_id,
            by,
            "records.exported",
            "site",
            site.site_key,
            after={
                "from": since.isoformat(),
                "to": until.isoformat(),
                "format": form,
                "visitors": with_visitors,
            },
        )
    purposes = purpose_keys(database, site)
    columns = (
        *_AS_ROW,
        *(OF_VISITORS if with_visitors else ()),
        *_OF_RECORD,
        *(Column(f"choice_{key}", "flag") for key in purposes),
    )
    rows = _rows(_read(database, site, begin, end), columns)
    return formats.written(form, columns, watch(rows), bom=bom)


def moments(site: Site, since: date, until: date) -> tuple[datetime, datetime]:
    """Return when the first of some days of a site begins and the last one ends.

    :raises ValidationFailed: when the first day is after the last one
    """
    if since > until:
        raise ValidationFailed(fields={"from": ["It must not be after 'to'."]})
    zone = ZoneInfo(site.time_zone)
    end = until + timedelta(days=1)
    return tuple(datetime.combine(day, time(), zone).astimezone(UTC) for day in (since, end))  # type: ignore[return-value]


def _read(database: Database, site: Site, begin: datetime, end: datetime) -> Iterator[Any]:
    """Give the records that were made from ``begin`` on and before ``end``, oldest first."""
    query = select(
        _records.id,
        _records.created_at,
        _records.erased_at,
        _records.document,
        _records.after_ms,
    ).where(_records.created_at >= begin, _records.created_at < end)
    for rows in in_steps(database, site, query, STEP):
        yield from rows


def _rows(records: Iterable[Any], columns: Iterable[Column]) -> Iterator[Mapping[str, Any]]:
    empty = dict.fromkeys(column.name for column in columns)
    for row in records:
        as_row = {"id": str(row.id), "created_at": row.created_at, "erased_at": row.erased_at}
        if row.document is None:
            yield {**empty, **as_row}
            continue
        content = orjson.loads(row.document)
        choices = {f"choice_{key}": value for key, value in content["choices"].items()}
        expires_at = datetime.fromisoformat(content["expires_at"])
        yield {
            **empty,
            **content,
            **choices,
            **as_row,
            "expires_at": expires_at,
            "after_ms": row.after_ms,
        }
