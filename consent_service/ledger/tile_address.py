"""How a tile is named in an address, by C2SP's ``tlog-tiles``. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from consent_service.ledger.merkle import TILE_WIDTH

# 21 digits are more than any leaf's number has.
_NUMBER = re.compile(
    r"(?P<groups>(?!x000/)(?:x[0-9]{3}/){0,6})(?P<last>[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)
_LEVEL = re.compile(r"0|[1-9][0-9]?")
_HIGHEST_LEVEL = 63


class TileAddress(NamedTuple):
    """Which hashes of a level, or which entries: ``width`` of them from ``number * 256`` on."""

    level: int
    number: int
    width: int

    def is_within(self, size: int) -> bool:
        """Say whether a tree of so many leaves has all of it."""
        hashes: int = size // TILE_WIDTH**self.level
        return self.number * TILE_WIDTH + self.width <= hashes


def parse_tile_address(level: str, number: str) -> TileAddress | None:
    """Read ``<L>`` and ``<N>[.p/<W>]``; None when they are not written in the one right way.

    :param number: like ``x001/x234/067`` for 1,234,067, with ``.p/8`` after it for the first eight
    """
    found = _NUMBER.fullmatch(number)
    if not (found and _LEVEL.fullmatch(level)) or int(level) > _HIGHEST_LEVEL:
        return None
    width = int(found["width"] or TILE_WIDTH)
    if found["width"] and width >= TILE_WIDTH:
        return None
    digits = found["groups"].replace("x", "").replace("/", "") + found["last"]
    return TileAddress(int(level), int(digits), width)
