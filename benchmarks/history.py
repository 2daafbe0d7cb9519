"""A year of records and impressions, made up: as many as one likes, the same on every run.

Distribution: one site, 365 days, a weekly cycle (weekends 60 % of a weekday), evenings busier than
nights; 9 countries (TZ 62 %), 2 languages, 3 device classes, 5 browser families, 3 notice versions
one after the other, GPC on for 4 %. Of those who are shown the banner 64 % answer; phones allow
analytics less often than desktops. 6 % of all records are a later change by the same visitor.
Whoever loads them signs them, where anything verifies them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

DAYS = 365
FIRST_DAY = date(2025, 11, 1)
LAST_DAY = FIRST_DAY + timedelta(days=DAYS - 1)

ANSWERING = 0.64
CHANGING = 0.06

_COUNTRIES = {
    "TZ": 62,
    "KE": 11,
    "UG": 7,
    "ZA": 5,
    "DE": 4,
    "GB": 4,
    "US": 3,
    "RW": 3,
    None: 1,
}
_LANGUAGES = {"sw": 55, "en": 45}
_DEVICES = {"phone": 71, "desktop": 24, "tablet": 5}
_BROWSERS = {"chrome": 58, "samsung": 14, "opera": 12, "safari": 10, "firefox": 6}
_GPC_SHARE = 0.04
VERSIONS = 3
_ALLOWING = {"phone": 0.38, "desktop": 0.57, "tablet": 0.46}
_BOTH, _PREFERENCES_ALONE = 0.7, 0.2
#: Records that are made from one draw, each with another id, visitor and moment.
_SHAPES = 20_000


@dataclass(frozen=True)
class Made:
    """A record as it is stored, and what a column store keeps of it."""

    id: str
    created_at: datetime
    visitor_id: str
    document: str
    after_ms: int | None
    columns: dict[str, Any]


def records(number: int, tenant_id: UUID, site_key: str, *, seed: int) -> Iterator[Made]:
    """Give so many records, a day's after the other's, all of one site."""
    chance = random.Random(seed)  # noqa: S311 - the same on every run
    shapes = {version: _shapes(chance, tenant_id, site_key, version) for version in _versions()}
    weights = [_weight(day) for day in _days()]
    made, visitors = 0, 0
    for index, day in enumerate(_days()):
        wanted = round(number * sum(weights[: index + 1]) / sum(weights)) - made
        version = _version_on(index)
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        # Sorted, as records come in.
        moments = sorted(int(86_400_000 * chance.betavariate(3, 2)) for _ in range(wanted))
        # A visitor's second record follows the first one at once: nobody here counts chains.
        before: str | None = None
        sequence = 0
        for milliseconds in moments:
            made += 1
            template, columns, after_ms = chance.choice(shapes[version])
            at = midnight + timedelta(milliseconds=milliseconds)
            record_id = f"{_milliseconds(at):012x}7{made & 0xFFF:03x}8{seed & 0xFFF:03x}{made:012x}"
            changes = before is not None and chance.random() < CHANGING
            sequence = sequence + 1 if changes else 1
            visitors += not changes
            visitor_id = f"vis_{visitors:022d}"
            document = template % (
                _rfc3339(at),
                _rfc3339(at + timedelta(days=365)),
                _dashed(record_id),
                f'"{before}"' if changes else "null",
                sequence,
                visitor_id,
            )
            before = _dashed(record_id)
            yield Made(
                before,
                at,
                visitor_id,
                document,
                None if changes else after_ms,
                {**columns, "day": day, "answer": not changes},
            )


def impressions(number: int) -> Iterator[dict[str, Any]]:
    """Give the impressions that so many records go with: rows, each of many alike."""
    weights = [_weight(day) for day in _days()]
    shown = number * (1 - CHANGING) / ANSWERING
    for index, day in enumerate(_days()):
        at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        of_day = shown * weights[index] / sum(weights)
        for country, of_country in _COUNTRIES.items():
            for language, of_language in _LANGUAGES.items():
                for device, of_device in _DEVICES.items():
                    alike = of_day * of_country * of_language * of_device / 100**3
                    yield {
                        "at": at,
                        "kind": "shown",
                        "country": country or "ZZ",
                        "language": language,
                        "device_class": device,
                        "browser_family": "chrome",
                        "notice_version": _version_on(index),
                        "regime": "opt_in",
                        "gpc": False,
                        "bot": False,
                        "number": max(1, round(alike)),
                    }


def _shapes(
    chance: random.Random, tenant_id: UUID, site_key: str, version: int
) -> list[tuple[str, dict[str, Any], int]]:
    found = []
    for _ in range(_SHAPES // VERSIONS):
        device = _one_of(chance, _DEVICES)
        analytics = chance.random() < _ALLOWING[device]
        preferences = chance.random() < (_BOTH if analytics else _PREFERENCES_ALONE)
        action = (
            "accept_all"
            if analytics and preferences
            else "save"
            if analytics or preferences
            else "reject_all"
        )
        columns = {
            "country": _one_of(chance, _COUNTRIES),
            "language": _one_of(chance, _LANGUAGES),
            "device_class": device,
            "browser_family": _one_of(chance, _BROWSERS),
            "notice_version": version,
            "gpc": chance.random() < _GPC_SHARE,
            "action": action,
            "analytics": analytics,
            "preferences": preferences,
        }
        found.append(
            (
                _template(columns, tenant_id, site_key),
                columns,
                int(chance.lognormvariate(8.6, 0.9)),
            )
        )
    return found


def _template(columns: dict[str, Any], tenant_id: UUID, site_key: str) -> str:
    """Return the document with places for what tells one record from another, in their order."""
    document = {
        "action": columns["action"],
        "browser_family": columns["browser_family"],
        "choices": {
            "analytics": columns["analytics"],
            "preferences": columns["preferences"],
            "session": True,
        },
        "country": columns["country"],
        "created_at": "%s",
        "device_class": columns["device_class"],
        "expires_at": "%s",
        "gpc": columns["gpc"],
        "id": "%s",
        "language": columns["language"],
        "notice_hash": f"sha256:{'0' * 64}",
        "notice_version": columns["notice_version"],
        "policy_version": "2026-03",
        "previous_id": "PREVIOUS",
        "regime": "opt_in",
        "region": columns["country"] or "*",
        "rule_version": "2026-1",
        "schema_version": 1,
        "sequence": "SEQUENCE",
        "signal_source": "banner",
        "site_key": site_key,
        "surface": "banner",
        "tenant_id": str(tenant_id),
        "visitor_id": "%s",
    }
    written = json.dumps(document, separators=(",", ":"))
    return written.replace('"PREVIOUS"', "%s").replace('"SEQUENCE"', "%d")


def _days() -> list[date]:
    return [FIRST_DAY + timedelta(days=index) for index in range(DAYS)]


def _weight(day: date) -> float:
    return 0.6 if day.isoweekday() > 5 else 1.0  # noqa: PLR2004 - Saturday and Sunday


def _versions() -> range:
    return range(1, VERSIONS + 1)


def _version_on(index: int) -> int:
    return 1 + index * VERSIONS // DAYS


def _one_of(chance: random.Random, shares: dict[Any, int]) -> Any:  # noqa: ANN401
    return chance.choices(list(shares), list(shares.values()))[0]


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _rfc3339(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")[:-6] + "Z"


def _dashed(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
