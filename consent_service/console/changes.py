"""What differs between two JSON values, member by member."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

#: Stands for a member that is not there; JSON has no such value, so null can be told from it.
_ABSENT: Final = object()


class Kind(StrEnum):
    """How a member changed."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True)
class Change:
    """One member that is not the same on both sides.

    :ivar path: where it stands: ``texts.sw.title``, ``origins[2]``; empty for the whole value
    :ivar before: the value as a person reads it; ``None`` where it was added
    :ivar after: the same; ``None`` where it was removed
    """

    path: str
    kind: Kind
    before: str | None
    after: str | None


def changed_members(before: Any, after: Any) -> list[Change]:  # noqa: ANN401
    """Return what differs, in the order in which it stands. ``None`` is no value at all."""
    return list(
        _compare("", _ABSENT if before is None else before, _ABSENT if after is None else after)
    )


def _compare(path: str, before: Any, after: Any) -> Iterator[Change]:  # noqa: ANN401
    if isinstance(before, dict) and isinstance(after, dict):
        for key in before | after:
            inner = f"{path}.{key}" if path else str(key)
            yield from _compare(inner, before.get(key, _ABSENT), after.get(key, _ABSENT))
    elif isinstance(before, list) and isinstance(after, list):
        for index in range(max(len(before), len(after))):
            yield from _compare(f"{path}[{index}]", _at(before, index), _at(after, index))
    elif before is _ABSENT or after is _ABSENT:
        yield from _one_sided(path, before, after)
    elif type(before) is not type(after) or before != after:
        yield Change(path, Kind.CHANGED, _shown(before), _shown(after))


def _at(values: list[Any], index: int) -> Any:  # noqa: ANN401
    return values[index] if index < len(values) else _ABSENT


def _one_sided(path: str, before: Any, after: Any) -> Iterator[Change]:  # noqa: ANN401
    """Give the members of what was added or removed, each in a row of its own."""
    present = after if before is _ABSENT else before
    if isinstance(present, dict | list) and present:
        empty: Any = type(present)()
        yield from _compare(path, *((empty, after) if before is _ABSENT else (before, empty)))
    elif present is not _ABSENT:
        kind = Kind.ADDED if before is _ABSENT else Kind.REMOVED
        yield Change(
            path,
            kind,
            None if before is _ABSENT else _shown(before),
            None if after is _ABSENT else _shown(after),
        )


def _shown(value: Any) -> str:  # noqa: ANN401
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
