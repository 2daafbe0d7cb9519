"""What the widget is told: one notice, in one language, for one region. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any
from uuid import UUID

from consent_service.notices.defaults import default_texts, shipped
from consent_service.regions.rules import Rule

#: Browsers name Chinese by region, texts by script.
_WRITTEN_IN = {
    **dict.fromkeys(("zh", "zh-cn", "zh-sg"), "zh-hans"),
    **dict.fromkeys(("zh-tw", "zh-hk", "zh-mo"), "zh-hant"),
}

#: What stands between the items of a list, where it is not a comma and a space.
_BETWEEN_ITEMS = {"ar": "، ", "ur": "، ", "ja": "、", "zh-Hans": "、", "zh-Hant": "、"}

#: The category that cannot be refused and is never asked.
ESSENTIAL = "essential"

#: Up to here the luminance of a colour's part is linear (WCAG 2).
_NEARLY_BLACK = 0.04045

_PLACEHOLDER = re.compile(r"\{(?:controller|purposes|days)\}")


@dataclass(frozen=True)
class Loader:
    """A service's registered script, and the purpose it serves."""

    purpose: str
    address: str


@dataclass(frozen=True, eq=False)
class Notice:
    """The notice in force on a site; compared by identity, a new version is a new object."""

    site_id: UUID
    version: int
    #: Choices made under an older version ask again.
    material_version: int
    content_hash: str
    content: Mapping[str, Any]
    published_on: date

    @cached_property
    def categories(self) -> Mapping[str, str]:
        """Purpose key → category, in the notice's order."""
        return {purpose["key"]: purpose["category"] for purpose in self.content["purposes"]}

    @cached_property
    def loaders(self) -> Mapping[str, Loader]:
        """Service key → its registered script."""
        return {
            service["key"]: Loader(purpose["key"], service["loader"])
            for purpose in self.content["purposes"]
            for service in purpose["services"]
            if "loader" in service
        }

    @cached_property
    def optional(self) -> list[str]:
        """Keys of the purposes that a visitor is asked about, in the notice's order."""
        return optional_keys(self.content)

    @cached_property
    def languages(self) -> list[str]:
        """Language tags, the default first."""
        return [language["code"] for language in self.content["languages"]]


def optional_keys(content: Mapping[str, Any]) -> list[str]:
    """Return the keys of a notice's purposes that a visitor is asked about, in its order."""
    return [each["key"] for each in content["purposes"] if each["category"] != ESSENTIAL]


def best_language(preferred: Iterable[str], offered: Iterable[str]) -> str | None:
    """Return the first language offered that a visitor prefers; None if there is none.

    :param preferred: language tags (BCP 47), the most wanted first; ``pt-BR`` is content with
        ``pt``, and a Chinese region with the script that is written there
    """
    known = {tag.lower(): tag for tag in offered}
    for wanted in preferred:
        parts = wanted.lower().split("-")
        # From the most exact to the language alone (RFC 4647, section 3.4).
        for length in range(len(parts), 0, -1):
            tag = "-".join(parts[:length])
            found = known.get(tag) or known.get(_WRITTEN_IN.get(tag, ""))
            if found:
                return found
    return None


def on_colour(background: str) -> str:
    """Return black or white, whichever is the easier to read on a colour.

    The contrast is 4.58 at least, whatever the colour; WCAG 2 (1.4.3) asks for 4.5.

    :param background: written like ``#0b6e4f``
    """
    luminance = _luminance(background)
    white, black = 1.05 / (luminance + 0.05), (luminance + 0.05) / 0.05
    return "#fff" if white > black else "#000"


def _luminance(colour: str) -> float:
    """Return the relative luminance of a colour (WCAG 2)."""
    red, green, blue = (
        part / 12.92 if part <= _NEARLY_BLACK else ((part + 0.055) / 1.055) ** 2.4
        for part in (level / 255 for level in bytes.fromhex(colour[1:]))
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def configuration(  # noqa: PLR0913 - these are what the answer depends on, and all of it
    notice: Notice, *, site_key: str, cookie: str, language: str, rule: Rule, gpc: bool
) -> dict[str, Any]:
    """Return the widget's configuration.

    :param cookie: name of the token's cookie
    :param language: one of the notice's languages
    :param rule: what holds in the visitor's region
    :param gpc: whether the visitor's browser signals Global Privacy Control
    """
    shown = in_language(notice.content, language, rule.remember_days)
    is_voluntary = rule.gpc == "voluntary"
    said = ("gpc_honoured", "gpc_override") if is_voluntary else ("gpc_honoured",)
    return {
        "site": site_key,
        "notice_version": notice.version,
        "notice_hash": notice.content_hash,
        "material_version": notice.material_version,
        "regime": rule.regime,
        **shown,
        "gpc": {
            "detected": gpc,
            "display": rule.gpc_display,
            "overridable": is_voluntary,
            "note": " ".join(shown["texts"][key] for key in said),
        },
        "remember_days": rule.remember_days,
        "reask_days": rule.reask_days,
        "cookie": cookie,
    }


def in_language(content: Mapping[str, Any], language: str, remember_days: int) -> dict[str, Any]:
    """Return what the widget is told of a notice's content, in one of its languages."""
    purposes = [_purpose(purpose, language) for purpose in content["purposes"]]
    essential = [purpose for purpose in purposes if purpose["category"] == ESSENTIAL]
    optional = [purpose for purpose in purposes if purpose["category"] != ESSENTIAL]
    spoken = next(entry for entry in content["languages"] if entry["code"] == language)
    return {
        "policy": {"version": content["policy"]["version"], "url": content["policy"]["url"]},
        "language": language,
        "direction": spoken["direction"],
        "languages": [
            {"code": entry["code"], "name": entry["name"]} for entry in content["languages"]
        ],
        "purposes": {"essential": essential, "optional": optional},
        "texts": _texts(content, language, optional, remember_days),
        "controller": content["controller"],
        "dpo": content["dpo"],
        "theme": _theme(content["theme"]),
    }


def _theme(theme: Mapping[str, Any]) -> dict[str, Any]:
    accent = theme.get("accent")
    readable = {"on_accent": on_colour(accent)} if accent else {}
    return {"position": "bottom", **theme, **readable}


def _purpose(purpose: Mapping[str, Any], language: str) -> dict[str, Any]:
    return {
        "key": purpose["key"],
        "category": purpose["category"],
        **purpose["texts"][language],
        "services": [
            {
                "key": service["key"],
                "name": service["name"],
                "provider": service["provider"],
                "cookies": [
                    {
                        "name": cookie["name"],
                        "party": cookie["party"],
                        "duration": cookie["duration"][language],
                        "description": cookie["description"][language],
                    }
                    for cookie in service["cookies"]
                ],
            }
            for service in purpose["services"]
        ],
    }


def _texts(
    content: Mapping[str, Any],
    language: str,
    optional: list[dict[str, Any]],
    remember_days: int,
) -> dict[str, str]:
    said = {
        "{controller}": content["controller"]["name"],
        "{purposes}": _BETWEEN_ITEMS.get(language, ", ").join(
            purpose["name"] for purpose in optional
        ),
        "{days}": str(remember_days),
    }
    # A text that came later than the notice was published is the one that ships.
    built_in = default_texts(language)["texts"] if language in shipped() else {}
    texts = {**built_in, **content["texts"][language]}
    for key in ("body", "preferences_body"):
        # In one pass: a name that looks like a placeholder is only a name.
        texts[key] = _PLACEHOLDER.sub(lambda found: said[found[0]], texts[key])
    return texts
