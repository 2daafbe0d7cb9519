"""Which rate of a report is looked at, and how it is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from flask_babel import gettext as _

from consent_service.console.report_words import (
    days,
    dimension_name,
    few,
    interval,
    out_of,
    rate_name,
    rate_value,
    value_name,
)
from consent_service.reports.report import Group, Rate, Report


class Told(NamedTuple):
    """A cell of a table: the number, and in small what it was computed from."""

    text: str
    small: str = ""


@dataclass(frozen=True)
class Subject:
    """Which rate of a report is drawn, and what things are called there."""

    report: Report
    site_name: str
    rate: str
    purpose: str | None
    #: Names of purposes, by key.
    purposes: Mapping[str, str]

    @property
    def name(self) -> str:
        """What the rate is called."""
        return rate_name(self.rate, self.purpose, self.purposes)

    @property
    def period(self) -> str:
        """The days that it is about."""
        return days(self.report.question.since, self.report.question.until)

    @property
    def where(self) -> str:
        """Whose it is: the site's, of these days, and of whom alone."""
        only = self.report.question.where
        parts = [self.site_name, self.period]
        if only:
            parts.append(f"{dimension_name(only[0])}: {value_name(*only)}")
        return " · ".join(parts)

    def of(self, group: Group | None) -> Rate | None:
        """Return the rate of a group; None where it is hidden."""
        if group is None or group.hidden:
            return None
        return rate_of(group, self.rate, self.purpose)

    def called(self, group: Group) -> str:
        """Return what a group is called."""
        dimension = self.report.question.group
        return value_name(dimension, group.value) if dimension and group.value else _("All")

    def told(self, group: Group | None) -> Told:
        """Write the rate of a group, or why it is not shown."""
        if group is not None and group.hidden:
            return Told(few(self.report))
        rate = self.of(group)
        if rate is None or rate.reason == "no_data":
            return Told(_("No data"))
        return Told(rate_value(rate), ", ".join(filter(None, (interval(rate), out_of(rate)))))

    def biggest(self) -> list[Group]:
        """Return the groups that are shown, the largest first."""
        shown = [(self.of(group), group) for group in self.report.groups]
        known = [(rate.denominator, group) for rate, group in shown if rate]
        return [group for _size, group in sorted(known, key=lambda pair: -pair[0])]


def rate_of(group: Group, name: str, purpose: str | None) -> Rate | None:
    """Return a rate of a group; None where the group has none of this name."""
    return next(
        (rate for rate in group.rates if (rate.name, rate.purpose) == (name, purpose)), None
    )
