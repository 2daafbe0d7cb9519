"""What is kept of a user agent: its class of device and its family, nothing finer. Pure.

And whether somebody is there at all: numbers of people leave programs out.
"""

from __future__ import annotations

from functools import lru_cache

import crawleruseragents
import ua_parser

OTHER = "other"

#: Families too rare to name would single somebody out.
_FAMILIES = {
    "chrome": "chrome",
    "chrome mobile": "chrome",
    "chrome mobile ios": "chrome",
    "chrome mobile webview": "chrome",
    "chromium": "chrome",
    "headlesschrome": "chrome",
    "edge": "edge",
    "edge mobile": "edge",
    "firefox": "firefox",
    "firefox mobile": "firefox",
    "firefox ios": "firefox",
    "opera": "opera",
    "opera mobile": "opera",
    "opera mini": "opera",
    "safari": "safari",
    "mobile safari": "safari",
    "mobile safari ui/wkwebview": "safari",
    "samsung internet": "samsung",
    "uc browser": "uc",
}

_LONGEST = 512


def device_class(user_agent: str) -> str:
    """Return ``phone``, ``tablet``, ``desktop`` or ``other``."""
    text = user_agent.lower()
    if "ipad" in text or "tablet" in text:
        return "tablet"
    if any(word in text for word in ("mobi", "iphone", "opera mini")):
        return "phone"
    if "android" in text:
        return "tablet"
    if any(word in text for word in ("windows", "macintosh", "x11", "cros", "linux")):
        return "desktop"
    return OTHER


@lru_cache(maxsize=2048)
def _family(user_agent: str) -> str:
    found = ua_parser.parse_user_agent(user_agent)
    return _FAMILIES.get(found.family.lower(), OTHER) if found else OTHER


def browser_family(user_agent: str) -> str:
    """Return one of a dozen common families, or ``other``."""
    return _family(user_agent[:_LONGEST])


@lru_cache(maxsize=2048)
def _is_bot(user_agent: str) -> bool:
    return not user_agent or crawleruseragents.is_crawler(user_agent)


def is_bot(user_agent: str) -> bool:
    """Say whether a program calls by itself: a crawler, a test browser, a library, or no name.

    By what it says of itself; one that says it is a person's browser is counted as one.
    """
    return _is_bot(user_agent[:_LONGEST].strip())
