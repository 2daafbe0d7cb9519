"""Regions and their regimes, as people read them."""

from __future__ import annotations

from flask_babel import get_locale, gettext

from consent_service.console.sentences import N_
from consent_service.regions.rules import UNKNOWN

#: Parts of countries that the table of rules has; names of whole countries come with Babel.
_PARTS = {
    "CA-QC": "Quebec",
    "US-AL": "Alabama",
    "US-CA": "California",
    "US-CO": "Colorado",
    "US-CT": "Connecticut",
    "US-DE": "Delaware",
    "US-FL": "Florida",
    "US-IA": "Iowa",
    "US-IN": "Indiana",
    "US-KY": "Kentucky",
    "US-LA": "Louisiana",
    "US-MD": "Maryland",
    "US-MN": "Minnesota",
    "US-MT": "Montana",
    "US-NE": "Nebraska",
    "US-NH": "New Hampshire",
    "US-NJ": "New Jersey",
    "US-OK": "Oklahoma",
    "US-OR": "Oregon",
    "US-RI": "Rhode Island",
    "US-TN": "Tennessee",
    "US-TX": "Texas",
    "US-UT": "Utah",
    "US-VA": "Virginia",
}

_REGIMES = {
    "opt_in": N_("Ask first (opt_in)"),
    "opt_out": N_("Allow objection (opt_out)"),
    "notice": N_("Only tell (notice)"),
}


def region_name(code: str) -> str:
    """Return a region's name in the language of the page."""
    if code == UNKNOWN:
        return str(gettext("Nowhere known"))
    country, _, part = code.partition("-")
    name = str(get_locale().territories.get(country, country))
    return f"{name}, {_PARTS.get(code, part)}" if part else name


def regime_name(regime: str) -> str:
    """Return what a regime means, in the language of the page."""
    return str(gettext(_REGIMES[regime]))
