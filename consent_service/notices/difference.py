"""What differs between two notices, in the order in which a notice is read. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import orjson

from consent_service.notices.defaults import text_names
from consent_service.notices.paths import Entry, Path, written

#: Members of all parts, in the order in which they are read; others come after them.
_ORDER = (
    "controller", "dpo", "policy", "languages", "theme", "purposes",
    "key", "code", "category", "name", "email", "address", "version", "url", "material",
    "party", "duration", "description", "provider", "loader", "hosts",
    "texts", "services", "cookies",
)  # fmt: skip

#: Stands for what is not there; JSON has no such value, so null can be told from it.
_ABSENT: Final = object()

#: How much of a change the audit log keeps.
_MOST_KEPT = 100
_LONGEST_KEPT = 300


class Kind(StrEnum):
    """How something changed."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    #: Entries of a list stand in another order.
    MOVED = "moved"


@dataclass(frozen=True)
class Change:
    """One member that is not the same on both sides.

    :ivar before: its JSON value; None where it was added. Where entries moved: what they are known
        by, in their order
    :ivar after: the same; None where it was removed
    """

    path: Path
    kind: Kind
    before: Any = None
    after: Any = None

    @property
    def where(self) -> str:
        """The path, written out: ``purposes[analytics].texts.sw.name``."""
        return written(self.path)


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Return what differs between two JSON objects, down to single values.

    An empty list or object says as much as none at all.
    Entries of a list are the same if they have the same key, code or name, wherever they stand.
    """
    return list(_compare((), before, after))


def kept(changes: Sequence[Change]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the audit log keeps of changes: the values before and after, by path."""
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for change in changes[:_MOST_KEPT]:
        if change.kind != Kind.ADDED:
            before[change.where] = _shortened(change.before)
        if change.kind != Kind.REMOVED:
            after[change.where] = _shortened(change.after)
    if len(changes) > _MOST_KEPT:
        after["further_changes"] = len(changes) - _MOST_KEPT
    return before, after


def _shortened(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, str) and len(value) > _LONGEST_KEPT:
        return f"{value[:_LONGEST_KEPT]}…"
    return value


def _compare(path: Path, before: Any, after: Any) -> Iterator[Change]:  # noqa: ANN401
    if isinstance(before, dict) and isinstance(after, dict):
        for name in _in_order(before, after):
            yield from _compare((*path, name), before.get(name, _ABSENT), after.get(name, _ABSENT))
    elif isinstance(before, list) and isinstance(after, list):
        yield from _compare_lists(path, _known(before), _known(after))
    elif before is _ABSENT or after is _ABSENT:
        yield from _one_sided(path, before, after)
    elif isinstance(before, dict | list) or isinstance(after, dict | list):
        # Not of one kind: nothing of the one is in the other.
        yield from _one_sided(path, before, _ABSENT)
        yield from _one_sided(path, _ABSENT, after)
    elif not _same(before, after):
        yield Change(path, Kind.CHANGED, before, after)


def _same(before: Any, after: Any) -> bool:  # noqa: ANN401
    # To Python, 1 is True and 1.0; to a reader of JSON it is not.
    return type(before) is type(after) and before == after


def _one_sided(path: Path, before: Any, after: Any) -> Iterator[Change]:  # noqa: ANN401
    """Give each value within what was added or removed."""
    present = after if before is _ABSENT else before
    if isinstance(present, dict | list):
        nothing: Any = type(present)()
        yield from _compare(path, *((nothing, after) if before is _ABSENT else (before, nothing)))
    elif before is _ABSENT:
        yield Change(path, Kind.ADDED, after=after)
    else:
        yield Change(path, Kind.REMOVED, before=before)


def _compare_lists(
    path: Path, before: Mapping[Entry, Any], after: Mapping[Entry, Any]
) -> Iterator[Change]:
    stayed = [entry for entry in before if entry in after]
    came = [entry for entry in after if entry not in before]
    # Where the rest and the new ones after it do not make up the new order, it was changed.
    if stayed + came != list(after):
        yield Change(path, Kind.MOVED, list(map(str, before)), list(map(str, after)))
    for entry in [*before, *came]:
        yield from _compare((*path, entry), before.get(entry, _ABSENT), after.get(entry, _ABSENT))


def _known(entries: Iterable[Any]) -> dict[Entry, Any]:
    """Return a list's entries by what tells them apart."""
    found: dict[Entry, Any] = {}
    for entry in entries:
        name = Entry(_name(entry))
        number = 1
        while name in found:
            number += 1
            name = Entry(f"{_name(entry)} ({number})")
        found[name] = entry
    return found


def _name(entry: Any) -> str:  # noqa: ANN401
    if isinstance(entry, str):
        return entry
    if isinstance(entry, dict):
        for member in ("key", "code", "name"):
            if isinstance(entry.get(member), str) and entry[member]:
                return str(entry[member])
        return ""
    return orjson.dumps(entry).decode()


def _in_order(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    order = {name: place for place, name in enumerate((*_ORDER, *text_names()))}
    return sorted({**before, **after}, key=lambda name: order.get(name, len(order)))
