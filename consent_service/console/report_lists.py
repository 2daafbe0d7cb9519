"""What the lists of the form on the page of rates offer."""

from __future__ import annotations

from collections.abc import Sequence

from flask_babel import gettext as _

from consent_service.console.report_answer import Answer
from consent_service.console.report_words import dimension_name, rate_name, value_name
from consent_service.db import Database
from consent_service.reports.counting import DIMENSIONS
from consent_service.reports.periods import Period
from consent_service.reports.rates import DEFINITIONS
from consent_service.reports.values import known_values
from consent_service.tenants.service import Site
from consent_service.wiring import use


def choices(sites: Sequence[Site], answer: Answer | None) -> dict[str, list[tuple[str, str]]]:
    """Return what the form's lists offer."""
    groups = (
        [(group.value or "", answer.subject.called(group)) for group in answer.report.groups]
        if answer
        else []
    )
    return {
        "site": [(each.site_key, each.name) for each in sites],
        "period": [
            ("7", _("7 days")),
            ("30", _("30 days")),
            ("90", _("90 days")),
            ("month", _("This month")),
            ("last_month", _("Last month")),
            ("quarter", _("This quarter")),
            ("own", _("Days of your choice")),
        ],
        "rate": _rates(answer),
        "group": [
            ("", _("Nothing: all together")),
            *((name, dimension_name(name)) for name in DIMENSIONS),
        ],
        "step": [
            ("", _("As fits the period")),
            ("day", _("Day")),
            ("week", _("Week")),
            ("month", _("Month")),
        ],
        "compare": [
            ("", _("Nothing")),
            ("previous", _("The days before")),
            ("groups", _("Two groups")),
        ],
        "sides": [("", _("Choose")), *groups],
    }


def _rates(answer: Answer | None) -> list[tuple[str, str]]:
    """Return the rates that can be looked at."""
    purposes = list(answer.report.purposes) if answer else []
    chosen = answer.subject.purpose if answer else None
    if chosen and chosen not in purposes:
        purposes.append(chosen)
    names = answer.purposes if answer else {}
    return [
        (rate_key(each.name, purpose), rate_name(each.name, purpose, names))
        for each in DEFINITIONS
        for purpose in (purposes if each.per_purpose else [None])
    ]


def rate_key(name: str, purpose: str | None) -> str:
    """Return what the form says of a rate."""
    return f"{name}.{purpose}" if purpose else name


def filters(site: Site, answer: Answer | None) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return what can be looked at alone: by dimension, its values in these days."""
    if not answer:
        return []
    question = answer.report.question
    found = known_values(use(Database), site, Period(question.since, question.until))
    if question.where:
        dimension, value = question.where
        found = {**found, dimension: sorted({*found.get(dimension, ()), value})}
    return [
        (
            dimension_name(dimension),
            sorted(
                ((f"{dimension}:{value}", value_name(dimension, value)) for value in values),
                key=lambda pair: pair[1],
            ),
        )
        for dimension, values in found.items()
    ]
