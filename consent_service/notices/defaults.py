"""The default texts that ship with this version. Pure: read once, from the package."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

_FOLDER = resources.files("consent_service.notices") / "texts"


@cache
def shipped() -> tuple[str, ...]:
    """Return the tags of all languages that have default texts, in alphabetical order."""
    names = [entry.name for entry in _FOLDER.iterdir()]
    return tuple(sorted(name.removesuffix(".json") for name in names if name.endswith(".json")))


@cache
def default_texts(code: str) -> Mapping[str, Any]:
    """Return a shipped language's ``name``, ``direction`` (ltr or rtl) and ``texts`` by name."""
    found: dict[str, Any] = json.loads((_FOLDER / f"{code}.json").read_bytes())
    return found


def text_names() -> tuple[str, ...]:
    """Return the names of all texts, in the order in which a visitor meets them."""
    return tuple(default_texts("en")["texts"])
