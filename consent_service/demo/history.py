"""Ninety days of an invented site, so that the demo's rates have something to show.

It is a site of its own, and its name says what it is: nothing invented is ever among what the demo
really records.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from importlib import resources
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from consent_service import clock
from consent_service.access.actor import OPERATOR
from consent_service.consents import store
from consent_service.consents.record import Circumstances, Decision, Identity, document, settle
from consent_service.consents.tokens import GRANTED
from consent_service.db import Database
from consent_service.demo.seed import TENANT_SLUG
from consent_service.errors import UnknownSite
from consent_service.notices.configuration import Notice
from consent_service.notices.history import as_notice, get_version
from consent_service.notices.service import newest_version, publish_notice
from consent_service.regions.rules import Place, Rule, rule_for
from consent_service.regions.service import newest_rules
from consent_service.reports import counting, impressions
from consent_service.reports.rollup_store import first_at_or_after
from consent_service.reports.service import today
from consent_service.signing import Keyring
from consent_service.tenants.service import Site, create_site, find_site, find_tenant

SITE_KEY = "site_demo_history"
SITE_NAME = "Example history (invented numbers)"
DAYS = 90
#: Days before today on which the second version of the notice came.
SECOND_VERSION = 35

_SHOWN_A_DAY = 60
_ORIGIN = "https://history.example"

_COUNTRIES = {"TZ": 68, "KE": 12, "UG": 6, "ZA": 4, "DE": 4, "US": 3, None: 3}
_DEVICES = {
    ("phone", "chrome"): 50,
    ("phone", "opera"): 12,
    ("phone", "samsung"): 10,
    ("desktop", "chrome"): 16,
    ("desktop", "firefox"): 5,
    ("desktop", "edge"): 4,
    ("tablet", "safari"): 3,
}
_IN_SWAHILI = {"TZ": 0.66, "KE": 0.3, "UG": 0.1}
_GPC_OF_FIREFOX = 0.4
_BOTS, _OPENING, _DISMISSING = 0.08, 0.22, 0.05
#: Who answers, and who then allows what, by version of the notice: the second is easier to read.
_ANSWERING = {1: 0.55, 2: 0.66}
_ALLOWING = {
    1: {"phone": 0.36, "desktop": 0.49, "tablet": 0.4},
    2: {"phone": 0.46, "desktop": 0.55, "tablet": 0.48},
}
#: Who allows all, of those who allow something; and who takes it back.
_ALL, _WITHDRAWING = 0.8, 0.04


def seed_history(database: Database, keys: Keyring) -> list[date]:
    """Make the site and those of its last days that are not there yet; return these days.

    :raises Unavailable: when the database cannot do it now; another try goes on from there
    """
    site, notices = _site(database)
    rules, zone, last = newest_rules(), ZoneInfo(site.time_zone), today(site)
    made = []
    for age in range(DAYS, 0, -1):
        day = last - timedelta(days=age)
        midnight = datetime.combine(day, time(), zone)
        with database.transaction(site.tenant_id) as connection:
            first = first_at_or_after(connection, site, midnight)
            if first is None or first >= midnight + timedelta(days=1):
                notice = notices[0 if age > SECOND_VERSION else 1]
                # The same day is the same on every machine.
                chance = random.Random(day.toordinal())  # noqa: S311 - invented, and no secret
                _Day(connection, keys, site, notice, midnight, rules, chance).make()
                made.append(day)
    return made


def _site(database: Database) -> tuple[Site, list[Notice]]:
    """Return the invented site and both versions of its notice, made if they are not there."""
    try:
        site = find_site(database, SITE_KEY)
    except UnknownSite:
        tenant = find_tenant(database, TENANT_SLUG)
        site = create_site(database, tenant, SITE_NAME, [_ORIGIN], site_key=SITE_KEY, by=OPERATOR)
    content = json.loads((resources.files("consent_service.demo") / "notice.json").read_bytes())
    while (newest_version(database, site) or 0) < len(_ANSWERING):
        publish_notice(database, site, content, by=OPERATOR)
    return site, [as_notice(site, get_version(database, site, version)) for version in _ANSWERING]


@dataclass(frozen=True)
class _Visit:
    """Somebody who is shown the banner."""

    at: datetime
    language: str
    circumstances: Circumstances


@dataclass(frozen=True)
class _Day:
    """A day that is being invented."""

    connection: Connection
    keys: Keyring
    site: Site
    notice: Notice
    midnight: datetime
    rules: Mapping[str, Rule]
    chance: random.Random

    def make(self) -> None:
        """Write what happens on it."""
        told: Counter[tuple[str, counting.Circumstances, bool]] = Counter()
        for visit in self._visits():
            seen = self._counted(visit)
            if self._by_chance(_BOTS):
                told["shown", seen, True] += 1
                continue
            told["shown", seen, False] += 1
            told["preferences_opened", seen, False] += self._by_chance(_OPENING)
            if self._by_chance(_ANSWERING[self.notice.version]):
                self._answer(visit)
            else:
                told["dismissed", seen, False] += self._by_chance(_DISMISSING)
        noon = self.midnight + timedelta(hours=12)
        for (kind, seen, bot), number in told.items():
            if number:
                impressions.write(
                    self.connection, self.site, noon, kind, seen, number=number, bot=bot
                )

    def _visits(self) -> Iterator[_Visit]:
        weekend = self.midnight.isoweekday() > 5  # noqa: PLR2004 - Friday
        expected = _SHOWN_A_DAY * (0.6 if weekend else 1) * self.chance.uniform(0.8, 1.25)
        for _ in range(round(expected)):
            country = self._one_of(_COUNTRIES)
            device_class, browser_family = self._one_of(_DEVICES)
            gpc = browser_family == "firefox" and self._by_chance(_GPC_OF_FIREFOX)
            yield _Visit(
                at=self.midnight + timedelta(hours=24 * self.chance.betavariate(4, 3)),
                language="sw" if self._by_chance(_IN_SWAHILI.get(country, 0)) else "en",
                circumstances=Circumstances(gpc, Place(country), device_class, browser_family),
            )

    def _answer(self, visit: _Visit) -> None:
        """Record a choice, and now and then that it was taken back an hour later."""
        share = _ALLOWING[self.notice.version][visit.circumstances.device_class]
        something, everything = self._by_chance(share), self._by_chance(_ALL)
        choices = {
            key: something and (everything or key == self.notice.optional[-1])
            for key in self.notice.optional
        }
        action = "accept_all" if all(choices.values()) else "save" if something else "reject_all"
        after = timedelta(seconds=min(600, self.chance.lognormvariate(1.9, 0.8)))
        first = self._record(visit, visit.at + after, action, choices, after=after)
        if something and self._by_chance(_WITHDRAWING):
            refused = dict.fromkeys(choices, False)
            self._record(visit, visit.at + timedelta(hours=1), "withdraw", refused, before=first)

    def _record(  # noqa: PLR0913
        self,
        visit: _Visit,
        at: datetime,
        action: str,
        choices: Mapping[str, bool],
        *,
        after: timedelta | None = None,
        before: Mapping[str, Any] | None = None,
    ) -> Mapping[str, Any]:
        decision = Decision(
            choices=choices,
            action=action,
            notice_version=self.notice.version,
            language=visit.language,
            surface="preferences" if before or action == "save" else "banner",
            after_ms=round(after.total_seconds() * 1000) if after else None,
        )
        stood = before["choices"] if before else {}
        states = settle(
            decision,
            forced_off=False,
            before={key: GRANTED for key, granted in stood.items() if granted},
        )
        content = document(
            record_id=clock.new_id(),
            identity=Identity(
                tenant_id=self.site.tenant_id,
                site_key=self.site.site_key,
                visitor_id=before["visitor_id"] if before else clock.new_visitor_id(),
                previous_id=before["id"] if before else None,
                sequence=2 if before else 1,
            ),
            decision=decision,
            states=states,
            circumstances=visit.circumstances,
            notice=self.notice,
            rule=rule_for(self.rules, visit.circumstances.place),
            at=at,
        )
        store.append(
            self.connection, self.keys, self.site, content, states, after_ms=decision.after_ms
        )
        return content

    def _counted(self, visit: _Visit) -> counting.Circumstances:
        call = visit.circumstances
        return counting.Circumstances(
            country=call.place.country or counting.UNKNOWN_COUNTRY,
            language=visit.language,
            device_class=call.device_class,
            browser_family=call.browser_family,
            notice_version=self.notice.version,
            regime=rule_for(self.rules, call.place).regime,
            gpc=call.gpc,
        )

    def _by_chance(self, share: float) -> bool:
        return self.chance.random() < share

    def _one_of(self, shares: Mapping[Any, int]) -> Any:  # noqa: ANN401
        return self.chance.choices(list(shares), list(shares.values()))[0]
