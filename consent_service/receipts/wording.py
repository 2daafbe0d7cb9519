"""What a receipt says in words, and in which language. Pure: read once, from the package."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_datetime

from consent_service.notices.configuration import best_language

#: Languages that a receipt's own texts are written in, with their own names.
LANGUAGES = {"en": "English", "sw": "Kiswahili"}

_PATTERN = "d MMMM y, HH:mm:ss"


@cache
def texts(language: str) -> Mapping[str, Any]:
    """Return the fixed texts in one of :data:`LANGUAGES`."""
    file = resources.files("consent_service.receipts") / "texts" / f"{language}.json"
    found: dict[str, Any] = json.loads(file.read_bytes())
    return found


def page_language(*preferred: str | None) -> str:
    """Return the first of these languages that we write, else English."""
    return best_language([tag for tag in preferred if tag], LANGUAGES) or "en"


def language_name(tag: str, language: str) -> str:
    """Return what a language is called in another, or its tag where that is not known."""
    try:
        named = Locale.parse(tag, sep="-").get_display_name(language)
    except (UnknownLocaleError, ValueError):
        named = None
    return named or tag


class Moment(NamedTuple):
    """A time as a program reads it (RFC 3339), as people do where the site is, and in UTC."""

    machine: str
    local: str
    utc: str


def moment(written: str, time_zone: str, language: str) -> Moment:
    """Return a time of a record (RFC 3339) for readers in the site's time zone (IANA)."""
    at = datetime.fromisoformat(written)
    there = at.astimezone(ZoneInfo(time_zone))
    # Babel is an hour off where it is half past west of Greenwich.
    offset = there.isoformat()[-6:]
    return Moment(
        written,
        format_datetime(there, f"{_PATTERN} 'GMT{offset}'", locale=language),
        format_datetime(at.astimezone(UTC), f"{_PATTERN} 'UTC'", locale=language),
    )
