"""Rates, dimensions and numbers of reports, as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import NamedTuple

from flask_babel import format_date, format_decimal, format_percent, gettext, ngettext

from consent_service.console.notice_words import language_name
from consent_service.console.records import word_name
from consent_service.console.regions import regime_name, region_name
from consent_service.console.sentences import N_
from consent_service.regions.rules import REGIMES, UNKNOWN
from consent_service.reports.counting import UNKNOWN_COUNTRY
from consent_service.reports.report import Point, Rate, Report, Step


class Words(NamedTuple):
    """What a rate is called, and what it is."""

    name: str
    meaning: str


#: Of each of ``rates.DEFINITIONS``.
RATES = {
    "interaction": Words(
        N_("Interaction"),
        N_("How many of those who were shown the banner answered it."),
    ),
    "opt_in": Words(
        N_("Opt-in: %(purpose)s"),
        N_("How many of those who answered, and were asked about this purpose, granted it."),
    ),
    "opt_in_shown": Words(
        N_("Opt-in of all who saw the banner: %(purpose)s"),
        N_(
            "How many of those who were shown the banner granted this purpose. Who saw it and "
            "went on without an answer counts as not granted."
        ),
    ),
    "opt_in_any": Words(
        N_("Opt-in to anything"),
        N_("How many of those who answered granted at least one purpose that can be refused."),
    ),
    "accept_all": Words(
        N_("Accepted all"), N_("How many of those who answered accepted all purposes at once.")
    ),
    "reject_all": Words(
        N_("Rejected all"),
        N_("How many of those who answered rejected all at once that can be refused."),
    ),
    "save": Words(
        N_("Chose by purpose"), N_("How many of those who answered chose purpose by purpose.")
    ),
    "withdrawal": Words(
        N_("Withdrawal"),
        N_("How many of all choices, later ones too, took back what was granted before."),
    ),
    "gpc": Words(
        N_("Global Privacy Control"),
        N_(
            "How many of those who were shown the banner had their browser say by itself that "
            "nothing may be sold or shared."
        ),
    ),
}

#: Numbers beside the rates, by their key on the page.
NUMBERS = {
    "shown": Words(
        N_("Banners shown"),
        N_(
            "How many visitors were shown the banner, each once for a version of the notice. "
            "Counted without anything that identifies anybody; bots are left out."
        ),
    ),
    "answers": Words(
        N_("Answers"),
        N_(
            "How many visitors made their first choice under a version of the notice. Later "
            "changes of mind are no answers."
        ),
    ),
    "median": Words(
        N_("Time to choice"),
        N_(
            "From when the banner was shown until half of the visitors had answered (the median). "
            "Measured in steps, each 1.4 times as long as the one before."
        ),
    ),
    "bots": Words(
        N_("Bots left out"),
        N_("Banners shown to programs that call themselves bots. No other number has them in it."),
    ),
}

_DIMENSIONS = {
    "country": N_("Country"),
    "language": N_("Language"),
    "device_class": N_("Device"),
    "browser_family": N_("Browser"),
    "notice_version": N_("Version of the notice"),
    "regime": N_("Regime"),
    "gpc": N_("Global Privacy Control"),
    "surface": N_("Where it was chosen"),
    "action": N_("What was done"),
}

_VALUES = {
    ("device_class", "phone"): N_("Phone"),
    ("device_class", "tablet"): N_("Tablet"),
    ("device_class", "desktop"): N_("Computer"),
    ("device_class", "other"): N_("Other device"),
    ("browser_family", "other"): N_("Other browser"),
    ("gpc", "on"): N_("Signal on"),
    ("gpc", "off"): N_("No signal"),
    ("country", UNKNOWN_COUNTRY): N_("Unknown country"),
}

#: Names that are the same in every language.
_BROWSERS = {
    "chrome": "Chrome",
    "edge": "Edge",
    "firefox": "Firefox",
    "opera": "Opera",
    "safari": "Safari",
    "samsung": "Samsung Internet",
    "uc": "UC Browser",
}

_DAY = "d MMM y"

#: Between the ends of a range, and where there is nothing.
DASH = "\N{EN DASH}"

_MINUTE = 60


def rate_name(name: str, purpose: str | None, purposes: Mapping[str, str]) -> str:
    """Return what a rate is called.

    :param purposes: names of purposes, by key
    """
    return str(gettext(RATES[name].name, purpose=purposes.get(purpose or "", purpose)))


def dimension_name(dimension: str) -> str:
    """Return what a dimension is called."""
    return str(gettext(_DIMENSIONS[dimension]))


def dimension_in_text(dimension: str) -> str:
    """Return what a dimension is called within a sentence."""
    name = dimension_name(dimension)
    return name if dimension == "gpc" else name.lower()


def value_name(dimension: str, value: str) -> str:
    """Return what a value of a dimension is called; as it is where it has no other name."""
    known = _VALUES.get((dimension, value)) or _BROWSERS.get(value)
    if known:
        return str(gettext(known))
    if dimension == "notice_version":
        return str(gettext("Version %(number)s", number=value))
    if dimension == "regime" and value in REGIMES:
        return regime_name(value)
    if dimension == "country" and value != UNKNOWN:
        return region_name(value)
    return language_name(value) if dimension == "language" else word_name(value)


def number(value: int) -> str:
    """Write a count."""
    return str(format_decimal(value))


def share(value: float) -> str:
    """Write a share (0 to 1) with a place after the point, as nothing finer means anything."""
    return str(format_percent(value, "#,##0.0%"))


def interval(rate: Rate) -> str:
    """Write the interval of a rate; nothing where it has none."""
    if rate.low is None or rate.high is None:
        return ""
    return _together(f"{share(rate.low)} {DASH} {share(rate.high)}")


def out_of(rate: Rate) -> str:
    """Write what a rate was computed from."""
    part, whole = number(rate.numerator), number(rate.denominator)
    return _together(gettext("%(part)s of %(whole)s", part=part, whole=whole))


def rate_value(rate: Rate) -> str:
    """Write a rate, or why there is none."""
    if rate.value is not None:
        return share(rate.value)
    if rate.reason == "more_than_shown":
        return str(gettext("More answers than banners shown"))
    return str(gettext("No data"))


def seconds(value: float | None) -> str:
    """Write a time from shown to choice."""
    if value is None:
        return str(gettext("Unknown"))
    if value < _MINUTE:
        return str(gettext("%(number)s s", number=format_decimal(round(value, 1))))
    minutes, rest = divmod(round(value), _MINUTE)
    return str(gettext("%(minutes)s min %(seconds)s s", minutes=minutes, seconds=rest))


def days(since: date, until: date) -> str:
    """Write a period of whole days."""
    if since == until:
        return str(format_date(since, _DAY))
    return f"{format_date(since, _DAY)} {DASH} {format_date(until, _DAY)}"


def step_name(point: Point, step: Step) -> str:
    """Write a step of a series, as short as it can be told from the others."""
    if step == "month":
        return str(format_date(point.since, "MMM y"))
    if step == "week":
        first, last = (format_date(day, "d MMM") for day in (point.since, point.until))
        ends = dict.fromkeys((_together(first), _together(last)))
        return f" {DASH} ".join(ends)
    return _together(format_date(point.since, "d MMM"))


def _together(text: str) -> str:
    """Keep a text in one line."""
    return str(text).replace(" ", "\xa0")


def few(report: Report) -> str:
    """Write how many a hidden group may have at most."""
    least = report.smallest_group
    return str(ngettext("fewer than %(num)s person", "fewer than %(num)s people", least))
