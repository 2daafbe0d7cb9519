"""What the quarterly report says, word for word, on its page and in its PDF. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

from babel.dates import format_date
from babel.numbers import format_decimal, format_percent

from consent_service.reports.authority import AuthorityReport, SiteReport
from consent_service.reports.report import Rate

#: Languages that it can be written in, the one that is taken unless another is asked for first.
LANGUAGES = ("en", "sw")

#: Counts of the period that are told, in order.
_COUNTS = ("shown", "answers", "choices", "withdrawals", "bots")


@cache
def texts(language: str) -> Mapping[str, Any]:
    """Return the fixed texts in one of :data:`LANGUAGES`."""
    file = resources.files("consent_service.reports") / "texts" / "authority.json"
    found: Mapping[str, Any] = json.loads(file.read_bytes())[language]
    return found


def worded(report: AuthorityReport, language: str) -> dict[str, Any]:
    """Return all that the report says, as texts in the order in which they are read.

    Members: ``title``, ``language``, ``tenant``, ``period``, ``basis``, ``warning`` (empty for a
    whole quarter), ``facts`` (name, value), ``sites`` (``name``, ``about``, ``figures``,
    ``rates`` (name, share, interval, of), ``notices`` (version, date, policy version, hash)),
    ``requests`` (name, empty), ``meanings`` (name, text).
    """
    say = texts(language)
    return {
        "title": say["title"],
        "language": language,
        "tenant": report.tenant.name,
        "period": say["range"].format(
            _day(report.quarter.since, language), _day(report.quarter.until, language)
        ),
        "basis": say["basis"],
        "warning": "" if report.complete else say["incomplete"],
        "facts": list(_facts(report, say, language)),
        "sites": [_site(each, say, language) for each in report.sites],
    }


def _facts(report: AuthorityReport, say: Mapping[str, Any], language: str) -> Iterator[list[str]]:
    yield [say["made_at"], _day(report.made_at, language)]
    # Sites of one tenant name the same people, or each its own.
    for name, told in (("controller", _controllers(report)), ("dpo", _officers(report))):
        for each in told:
            yield [say[name], each]


def _controllers(report: AuthorityReport) -> list[str]:
    return list(dict.fromkeys(each.controller["name"] for each in report.sites if each.controller))


def _officers(report: AuthorityReport) -> list[str]:
    members = ("name", "email", "address")
    return list(
        dict.fromkeys(
            ", ".join(each.dpo[member] for member in members if each.dpo.get(member))
            for each in report.sites
            if each.dpo
        )
    )


def _site(each: SiteReport, say: Mapping[str, Any], language: str) -> dict[str, Any]:
    total = each.rates.total
    counts = {} if total.hidden else total.counts
    numbers = {
        "records_made": each.records.made,
        "records_erased": each.records.erased,
        **{name: counts.get(name, 0) for name in _COUNTS if counts},
    }
    return {
        "name": each.site.name,
        "about": say["about_site"].format(
            site_key=each.site.site_key, time_zone=each.site.time_zone
        ),
        "figures": [
            [say[name], format_decimal(number, locale=language)] for name, number in numbers.items()
        ],
        "rates": [_rate(rate, say, language) for rate in total.rates if rate.value is not None],
        "notices": [
            [
                str(notice.version),
                _day(notice.published_at, language),
                notice.policy_version,
                notice.content_hash,
            ]
            for notice in each.notices
        ],
    }


def _rate(rate: Rate, say: Mapping[str, Any], language: str) -> list[str]:
    name = say["rate_names"][rate.name].format(purpose=rate.purpose)
    share, low, high = (
        format_percent(value, "0.0 %", locale=language)
        for value in (rate.value, rate.low, rate.high)
        if value is not None
    )
    of = format_decimal(rate.denominator, locale=language)
    return [name, share, say["range"].format(low, high), of]


def _day(day: Any, language: str) -> str:  # noqa: ANN401 - a date or a datetime
    return format_date(day, "d MMMM y", locale=language)
