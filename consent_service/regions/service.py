"""Find the country of an address, and the rule that holds there. No address is kept."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import geoip2.database
import maxminddb
from geoip2.errors import AddressNotFoundError
from geoip2.models import City

from consent_service.errors import OperatorError
from consent_service.regions.rules import Place, Rule, read_rules, rule_for

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_DATA = resources.files("consent_service.regions") / "data"

NOWHERE = Place()

#: What CDNs send for "unknown" and for the Tor network.
_NO_COUNTRY = {"XX", "T1"}


class OwnRegimes(Protocol):
    """A site, as far as its rules depend on it; one that changed is another object."""

    @property
    def regime_overrides(self) -> Mapping[str, str]:
        """The site's own regime by region code."""

    def __hash__(self) -> int:
        """By identity."""


class Regions:
    """The rule table in force, and the country database if there is one."""

    def __init__(self, geo_database: Path | None = None) -> None:
        """Open the database named, else the one that came with the build, else know no country.

        :raises OperatorError: when the file named is not a country or city database
        """
        self.rules = newest_rules()
        with resources.as_file(_DATA / "country.mmdb") as bundled:
            path = geo_database or (bundled if bundled.is_file() else None)
            self._find = _look_up(path) if path else _nowhere

    def place(self, environ: WSGIEnvironment) -> Place:
        """Return where the request comes from: the trusted CDN's word, else the database's."""
        stated = environ.get("consent.country")
        if stated:
            return _place(stated.upper())
        return self._find(environ.get("REMOTE_ADDR", ""))

    def rule(self, place: Place, site: OwnRegimes) -> Rule:
        """Return the rule for a visitor of a site."""
        return _rule(self, place, site)


# Sites and places are few and the answer depends on nothing else: the gate asks this each time.
@lru_cache(maxsize=4096)
def _rule(regions: Regions, place: Place, site: OwnRegimes) -> Rule:
    return rule_for(regions.rules, place, site.regime_overrides)


def newest_rules() -> dict[str, Rule]:
    """Return the newest table that came with this version; its version is the file's date."""
    newest = max(
        (entry for entry in _DATA.iterdir() if entry.name.endswith(".csv")),
        key=lambda entry: entry.name,
    )
    return read_rules(newest.name.removesuffix(".csv"), newest.read_text("utf-8").splitlines())


def _is_country(text: str) -> bool:
    return bool(re.fullmatch("[A-Z]{2}", text)) and text not in _NO_COUNTRY


def _nowhere(_: str) -> Place:
    return NOWHERE


def _look_up(path: Path) -> Callable[[str], Place]:
    """Return the look-up that fits the database: geoip2's, or a plain one for plain files."""
    try:
        plain = maxminddb.open_database(path)
        kind = plain.metadata().database_type
        if "City" in kind:
            return _guarded(_from_city(geoip2.database.Reader(path).city))
        # geoip2 goes by the name, and some plain files have "Country" in theirs as well.
        if kind.split("-", 1)[0] not in {"GeoIP2", "GeoLite2"}:
            return _guarded(_from_plain(plain))
        if "Country" in kind:
            return _guarded(_from_country(geoip2.database.Reader(path)))
        if "Enterprise" in kind:
            return _guarded(_from_city(geoip2.database.Reader(path).enterprise))
    except (maxminddb.InvalidDatabaseError, OSError) as error:
        raise OperatorError(f"{path} is not a country database in MMDB format: {error}") from error
    raise OperatorError(f"{path} is a {kind} database; one of countries or cities is needed.")


def _from_city(look_up: Callable[[str], City]) -> Callable[[str], Place]:
    def find(address: str) -> Place:
        city = look_up(address)
        return _place(city.country.iso_code, city.subdivisions.most_specific.iso_code)

    return find


def _from_country(reader: geoip2.database.Reader) -> Callable[[str], Place]:
    return lambda address: _place(reader.country(address).country.iso_code)


def _from_plain(reader: maxminddb.Reader) -> Callable[[str], Place]:
    def find(address: str) -> Place:
        found = reader.get(address)
        if not isinstance(found, dict):
            return NOWHERE
        nested = found.get("country")
        country = nested.get("iso_code") if isinstance(nested, dict) else found.get("country_code")
        return _place(country if isinstance(country, str) else None)

    return find


# One object a place: the gate's look-ups make none of their own.
@lru_cache(maxsize=8192)
def _place(country: str | None, subdivision: str | None = None) -> Place:
    return Place(country, subdivision) if country and _is_country(country) else NOWHERE


def _guarded(find: Callable[[str], Place]) -> Callable[[str], Place]:
    """Turn every failure into "not known", for which the strictest rule holds."""

    def guarded(address: str) -> Place:
        try:
            return find(address)
        except (AddressNotFoundError, ValueError, maxminddb.InvalidDatabaseError):
            return NOWHERE

    return guarded
