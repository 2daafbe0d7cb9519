"""How an unpublished notice would look: what the widget is told of it, gaps and all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from consent_service import clock
from consent_service.notices.configuration import Notice
from consent_service.notices.consistency import entries, languages_of, members
from consent_service.notices.defaults import default_texts, shipped
from consent_service.notices.schemas import (
    CATEGORIES,
    PolicySchema,
    ThemeSchema,
    says_something,
)
from consent_service.regions.rules import Place, Rule, place_of
from consent_service.regions.service import Regions
from consent_service.tenants.service import Site

#: Stands where something has not been written yet.
GAP = "…"


def draft_notice(document: Mapping[str, Any], site: Site, version: int) -> Notice:
    """Return a document as a notice that can be shown, however much of it is missing.

    :param version: the number that it would be published as
    """
    return Notice(
        site_id=site.id,
        version=version,
        material_version=version,
        content_hash="",
        content=_showable(document),
        published_on=clock.now().date(),
    )


def rule_shown(regions: Regions, site: Site, region: str, regime: str | None) -> Rule:
    """Return the rule that a preview is made for.

    :param region: a region's code, such as ``TZ`` or ``US-CA``; any other is an unknown region
    :param regime: instead of the region's
    """
    place = place_of(region)
    rule = regions.rule(place if place.country in regions.rules else Place(), site)
    return replace(rule, regime=regime) if regime else rule


def _showable(document: Mapping[str, Any]) -> dict[str, Any]:
    languages = [code for code in languages_of(document) if code in shipped()] or ["en"]
    theme = members(document.get("theme"))
    return {
        "controller": _texts(document.get("controller"), "name"),
        "dpo": _texts(document.get("dpo"), "name", "email", "address"),
        "policy": _policy(document.get("policy")),
        "languages": [
            {"code": code, "name": texts["name"], "direction": texts["direction"]}
            for code, texts in ((code, default_texts(code)) for code in languages)
        ],
        "purposes": [
            _purpose(purpose, position, languages)
            for position, purpose in entries(document.get("purposes"))
        ],
        "texts": {code: _wording(document.get("texts"), code) for code in languages},
        "theme": {
            name: theme[name]
            for name in ("accent", "position")
            if name in theme and not ThemeSchema().validate({name: theme[name]})
        },
    }


def _policy(policy: object) -> dict[str, Any]:
    url = members(policy).get("url")
    # A link that would do anything but lead to a page leads nowhere.
    usable = not PolicySchema(only=("url",)).validate({"url": url})
    return {**_texts(policy, "version"), "url": url if usable else "about:blank"}


def _purpose(purpose: Mapping[str, Any], position: int, languages: list[str]) -> dict[str, Any]:
    category = purpose.get("category")
    texts = members(purpose.get("texts"))
    return {
        # Two of the same would be one box to tick.
        "key": f"purpose_{position}",
        "category": category if category in CATEGORIES else CATEGORIES[-1],
        "texts": {code: _texts(texts.get(code), "name", "description") for code in languages},
        "services": [
            {
                "key": f"service_{position}_{number}",
                **_texts(service, "name", "provider"),
                "cookies": [
                    _cookie(cookie, languages) for _, cookie in entries(service.get("cookies"))
                ],
            }
            for number, service in entries(purpose.get("services"))
        ],
    }


def _cookie(cookie: Mapping[str, Any], languages: list[str]) -> dict[str, Any]:
    return {
        **_texts(cookie, "name"),
        "party": "third" if cookie.get("party") == "third" else "first",
        **{name: _texts(cookie.get(name), *languages) for name in ("duration", "description")},
    }


def _wording(texts: object, code: str) -> dict[str, str]:
    own = members(members(texts).get(code))
    defaults = default_texts(code)["texts"]
    return {name: _text(own.get(name), default) for name, default in defaults.items()}


def _texts(part: object, *names: str) -> dict[str, str]:
    return {name: _text(members(part).get(name), GAP) for name in names}


def _text(value: object, instead: str) -> str:
    return value if isinstance(value, str) and says_something(value) else instead
