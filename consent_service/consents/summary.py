"""How many records of a site were made and erased in a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from consent_service.consents.changes import of_site
from consent_service.consents.models import RecordRow
from consent_service.db import Database
from consent_service.tenants.service import Site

_records = RecordRow.__table__.c


@dataclass(frozen=True)
class Summary:
    """Numbers of records: made in a time, and erased in it, whenever they were made."""

    made: int
    erased: int


def summarize(database: Database, site: Site, since: datetime, before: datetime) -> Summary:
    """Count a site's records from a moment on and before another.

    :raises Unavailable: when the database cannot do it now
    """
    with database.reading(site.tenant_id) as connection:
        made, erased = (
            connection.execute(
                select(func.count())
                .select_from(RecordRow)
                .where(of_site(site), column >= since, column < before)
            ).scalar_one()
            for column in (_records.created_at, _records.erased_at)
        )
    return Summary(made, erased)
