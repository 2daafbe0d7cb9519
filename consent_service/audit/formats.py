"""The audit log as a file: one JSON object a line, or a table (RFC 4180). Pure.

Either ends with a line that says so and how many events came before it: a file without it was cut
off on its way.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from consent_service.text import formula_safe

#: The members of an event, in the order of the table's columns.
COLUMNS = (
    "id",
    "at",
    "actor_kind",
    "actor_id",
    "actor_name",
    "action",
    "object_kind",
    "object_id",
    "object_name",
    "before",
    "after",
    "network",
    "client",
)

#: Stands where the last line has an event's id.
END = "end"


def ndjson(events: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """Give a line for each event, and the closing one: ``{"end": true, "events": 3}``."""
    number = 0
    for number, event in enumerate(events, 1):  # noqa: B007 - it is said at the end
        yield _json(event).encode() + b"\n"
    yield _json({END: True, "events": number}).encode() + b"\n"


def table(events: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """Give a head, a row for each event, and the closing one: ``end,3`` and empty cells."""
    yield _row(COLUMNS)
    number = 0
    for number, event in enumerate(events, 1):  # noqa: B007
        yield _row(_cell(event[name]) for name in COLUMNS)
    yield _row([END, str(number), *[""] * (len(COLUMNS) - 2)])


def _cell(value: Any) -> str:  # noqa: ANN401
    if value is None:
        return ""
    return formula_safe(value) if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:  # noqa: ANN401
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _row(cells: Iterable[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue().encode()
