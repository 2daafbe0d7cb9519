"""Where something stands in a notice: ``purposes[0].texts.sw.name``. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple


class Entry(str):
    """An entry of a list, known by what tells it from the others: its key, code or name."""

    __slots__ = ()


#: Members by name, entries of a list by position or by :class:`Entry`.
Path = tuple[str | int, ...]


class Problem(NamedTuple):
    """What keeps a notice from being published, and where."""

    path: Path
    message: str


def written(path: Path) -> str:
    """Write a path out, as the API, the console and the audit log show it."""
    steps = [f"[{step}]" if isinstance(step, int | Entry) else f".{step}" for step in path]
    return "".join(steps).removeprefix(".")


def by_path(problems: Iterable[Problem]) -> dict[str, list[str]]:
    """Return the messages about each place."""
    found: dict[str, list[str]] = {}
    for path, message in problems:
        found.setdefault(written(path), []).append(message)
    return found


def nested(problems: Iterable[Problem]) -> dict[str | int, Any]:
    """Return problems as marshmallow holds them: messages in mappings, one for each step."""
    root: dict[str | int, Any] = {}
    for path, message in problems:
        *parents, last = path
        at = root
        for step in parents:
            at = at.setdefault(step, {})
        at.setdefault(last, []).append(message)
    return root


def flattened(messages: Any, path: Path = ()) -> Iterator[Problem]:  # noqa: ANN401
    """Give the problems in what marshmallow says, each with its path."""
    if isinstance(messages, Mapping):
        for step, inner in messages.items():
            # What concerns a whole part, and not one of its members.
            yield from flattened(inner, path if step == "_schema" else (*path, step))
    elif isinstance(messages, list):
        for inner in messages:
            yield from flattened(inner, path)
    else:
        yield Problem(path, str(messages))
