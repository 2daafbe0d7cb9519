"""Which values of dimensions there are, for lists that offer them."""

from __future__ import annotations

from sqlalchemy import select

from consent_service.db import Database
from consent_service.reports.counting import COMMON
from consent_service.reports.models import RollupRow
from consent_service.reports.periods import Period
from consent_service.tenants.service import Site

_rollups = RollupRow.__table__.c


def known_values(database: Database, site: Site, period: Period) -> dict[str, list[str]]:
    """Return the values that were counted in a period, by common dimension, in order."""
    query = (
        select(_rollups.dimensions, _rollups.value)
        .where(
            _rollups.tenant_id == site.tenant_id,
            _rollups.site_id == site.id,
            _rollups.dimensions.in_(COMMON),
            _rollups.day.between(period.since, period.until),
        )
        .distinct()
    )
    found: dict[str, list[str]] = {name: [] for name in COMMON}
    with database.reading(site.tenant_id) as connection:
        for dimension, value in connection.execute(query):
            found[dimension].append(value)
    return {name: sorted(values) for name, values in found.items() if values}
