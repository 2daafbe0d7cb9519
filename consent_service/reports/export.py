"""Rates as files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any

from consent_service import formats
from consent_service.errors import ValidationFailed
from consent_service.formats import Column, Form
from consent_service.reports.report import Report
from consent_service.reports.service import rows

#: The members of a row of :func:`~consent_service.reports.service.rows`.
COLUMNS = (
    Column("site"),
    Column("since", "day"),
    Column("until", "day"),
    Column("step"),
    Column("filter"),
    Column("filter_value"),
    Column("group"),
    Column("group_value"),
    Column("rate"),
    Column("purpose"),
    Column("numerator", "integer"),
    Column("denominator", "integer"),
    Column("value", "number"),
    Column("low", "number"),
    Column("high", "number"),
    Column("reason"),
    Column("hidden", "flag"),
)


def export_rates(report: Report, form: Form, *, bom: bool = False) -> Iterator[bytes]:
    """Return a report as a file, in pieces.

    :param bom: for CSV alone, see :func:`~consent_service.formats.table`
    """
    return formats.written(form, COLUMNS, _with_days(rows(report)), bom=bom)


def file_name(what: str, site_key: str, since: date, until: date, form: Form) -> str:
    """Return what a file is kept as: ``rates-site_x-2026-09-01-2026-09-30.csv``."""
    return f"{what}-{site_key}-{since}-{until}.{form}"


def check_mark(form: Form, *, bom: bool) -> None:
    """Refuse a byte order mark where there is none.

    :raises ValidationFailed: for any form but CSV
    """
    if bom and form != "csv":
        raise ValidationFailed(fields={"bom": ["Only CSV can begin with one."]})


def _with_days(flat: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for row in flat:
        days = {name: date.fromisoformat(row[name]) for name in ("since", "until")}
        yield {**row, **days}
