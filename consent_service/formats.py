"""Tables as files: CSV (RFC 4180), a JSON object a line, Parquet, and XLSX. Pure.

Rows go through as they come, some hundreds at a time, and are never held all at once.

A file that was cut off on its way can be told from a whole one. CSV and NDJSON end with a closing
line: that it is the end, how many rows came before it, and the SHA-256 of all bytes before it. What
says where things are in Parquet and XLSX comes last, so half of one cannot be opened.
"""

from __future__ import annotations

import csv
import hashlib
import io
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import chain, islice
from typing import Any, Literal, TypeVar

import orjson
import xlsxwriter

from consent_service.clock import rfc3339
from consent_service.text import formula_safe

Kind = Literal["text", "integer", "number", "flag", "day", "time", "json"]
Form = Literal["csv", "ndjson", "parquet", "xlsx"]
Row = Mapping[str, Any]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Column:
    """A column: a name in snake_case, and what its values are; any of them may be None.

    ``text``: str, ``integer``: int, ``number``: float, ``flag``: bool, ``day``: date, ``time``:
    aware datetime, ``json``: what JSON can say.
    """

    name: str
    kind: Kind = "text"


#: Rows that become a chunk of bytes together, and a row group of Parquet.
STEP = 500
ROW_GROUP = 20_000

#: What the closing row of a table begins with; readers take it for a comment if told of ``#``.
END = "#end"

#: The closing row says three things.
_FEWEST_COLUMNS = 3

#: A moment that is written into each XLSX file, so that the same rows give the same bytes.
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)

#: Rows and characters of a cell that XLSX has room for.
_MOST_XLSX_ROWS = 1_048_576
_LONGEST_XLSX_TEXT = 32_767

#: Characters that a column of a workbook is wide.
_NARROWEST = 12


def table(columns: Sequence[Column], rows: Iterable[Row], *, bom: bool = False) -> Iterator[bytes]:
    """Give a CSV file: a head, the rows, and the closing row ``#end,3,<SHA-256>`` and empty cells.

    Texts stand in quotes, numbers do not. No text begins as a spreadsheet's formula does.

    :param bom: whether a byte order mark comes first, by which older spreadsheets know UTF-8
    """
    if len(columns) < _FEWEST_COLUMNS:
        raise ValueError(f"a table must have at least {_FEWEST_COLUMNS} columns")
    digest, number = hashlib.sha256(), 0
    head = _csv_lines([[column.name for column in columns]])
    chunk = ("\ufeff" if bom else "").encode() + head
    for batch in _batches(rows, STEP):
        chunk += _csv_lines(_values(columns, batch, _AS_CELL))
        number += len(batch)
        digest.update(chunk)
        yield chunk
        chunk = b""
    digest.update(chunk)
    closing = [END, str(number), digest.hexdigest(), *[""] * (len(columns) - _FEWEST_COLUMNS)]
    yield chunk + ",".join(closing).encode() + b"\r\n"


def ndjson(columns: Sequence[Column], rows: Iterable[Row]) -> Iterator[bytes]:
    """Give an object a line, the last one being ``{"end":true,"rows":3,"sha256":"…"}``."""
    digest, number = hashlib.sha256(), 0
    names = [column.name for column in columns]
    for batch in _batches(rows, STEP):
        chunk = b"".join(
            orjson.dumps(dict(zip(names, values, strict=True)), option=orjson.OPT_APPEND_NEWLINE)
            for values in _values(columns, batch, _AS_JSON)
        )
        number += len(batch)
        digest.update(chunk)
        yield chunk
    yield orjson.dumps({"end": True, "rows": number, "sha256": digest.hexdigest()}) + b"\n"


def parquet(columns: Sequence[Column], rows: Iterable[Row]) -> Iterator[bytes]:
    """Give an Apache Parquet file, compressed with Zstandard, in groups of rows as they come."""
    # 170 MB on disk and 50 in memory, for those alone who ask for it.
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow.parquet import ParquetWriter  # noqa: PLC0415

    kinds: dict[Kind, Any] = {
        "text": pa.string(),
        "integer": pa.int64(),
        "number": pa.float64(),
        "flag": pa.bool_(),
        "day": pa.date32(),
        "time": pa.timestamp("ms", tz="UTC"),
        "json": pa.string(),
    }
    schema = pa.schema([(column.name, kinds[column.kind]) for column in columns])
    sink = _Sink()
    writer = ParquetWriter(pa.PythonFile(sink, mode="w"), schema, compression="zstd")
    try:
        # As arrays rows take a tenth of the room, and a group may have many.
        arrays = (
            pa.record_batch(
                [
                    pa.array(values, field.type)
                    for values, field in zip(
                        zip(*_values(columns, batch, _PLAIN), strict=True), schema, strict=True
                    )
                ],
                schema=schema,
            )
            for batch in _batches(rows, STEP)
        )
        for group in _batches(arrays, ROW_GROUP // STEP):
            writer.write_table(pa.Table.from_batches(group))
            yield sink.taken()
    finally:
        writer.close()
    yield sink.taken()


def xlsx(columns: Sequence[Column], rows: Iterable[Row]) -> Iterator[bytes]:
    """Give an Excel workbook of one sheet; texts are texts, whatever they begin with.

    :raises ValueError: when a row or a text is beyond what the format has room for
    """
    with tempfile.TemporaryFile() as file:
        # Rows are written to a temporary file as they come; the workbook is put together at last.
        with xlsxwriter.Workbook(file, {"constant_memory": True}) as workbook:
            _fill(workbook, columns, rows)
        file.seek(0)
        while chunk := file.read(1 << 16):
            yield chunk


@dataclass(frozen=True)
class Format:
    """A kind of file."""

    write: Callable[[Sequence[Column], Iterable[Row]], Iterator[bytes]]
    mimetype: str


FORMATS: Mapping[Form, Format] = {
    "csv": Format(table, "text/csv; charset=utf-8; header=present"),
    "ndjson": Format(ndjson, "application/x-ndjson"),
    "parquet": Format(parquet, "application/vnd.apache.parquet"),
    "xlsx": Format(xlsx, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
}


def written(
    form: Form, columns: Sequence[Column], rows: Iterable[Row], *, bom: bool = False
) -> Iterator[bytes]:
    """Give the bytes of a file in this form; ``bom`` is for CSV alone.

    The first row has been read when this returns: what cannot be begun fails here.
    """
    rest = iter(rows)
    rows = chain(list(islice(rest, 1)), rest)
    return table(columns, rows, bom=bom) if form == "csv" else FORMATS[form].write(columns, rows)


def _json_text(value: Any) -> str:  # noqa: ANN401
    return orjson.dumps(value).decode()


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


def _itself(value: Any) -> Any:  # noqa: ANN401
    return value


_Write = Callable[[Any], Any]

#: How each kind is written as a cell of a CSV file; what is a str gets quotes.
_AS_CELL: Mapping[Kind, _Write] = {
    "text": formula_safe,
    "integer": _itself,
    "number": _itself,
    "flag": {True: "true", False: "false"}.__getitem__,
    "day": date.isoformat,
    "time": rfc3339,
    "json": lambda value: formula_safe(_json_text(value)),
}
#: How each kind is written as JSON; where it is not here, as itself.
_AS_JSON: Mapping[Kind, _Write] = {"day": date.isoformat, "time": rfc3339}
#: How each kind is given to a format that knows dates and times, but no JSON.
_PLAIN: Mapping[Kind, _Write] = {"time": _utc, "json": _json_text}


def _values(
    columns: Sequence[Column], rows: Iterable[Row], ways: Mapping[Kind, _Write]
) -> Iterator[list[Any]]:
    """Give the values of each row, in the order of the columns, written in these ways."""
    writing = [(column.name, ways.get(column.kind, _itself)) for column in columns]
    for row in rows:
        yield [None if (value := row[name]) is None else write(value) for name, write in writing]


class _Sink:
    """What Parquet is written to: holds the bytes until they are taken."""

    closed = False

    def __init__(self) -> None:
        self._chunks: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._chunks.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Do nothing: whoever takes the bytes decides when."""

    def close(self) -> None:
        """Keep what has not been taken yet."""

    def taken(self) -> bytes:
        """Return what was written since the last time."""
        found = b"".join(self._chunks)
        self._chunks.clear()
        return found


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def _fill(workbook: xlsxwriter.Workbook, columns: Sequence[Column], rows: Iterable[Row]) -> None:
    """Write the one sheet of a workbook."""
    workbook.set_properties({"created": _EPOCH.replace(tzinfo=None)})
    sheet = workbook.add_worksheet()
    sheet.freeze_panes(1, 0)
    bold = workbook.add_format({"bold": True})
    dates: dict[Kind, Any] = {
        "day": workbook.add_format({"num_format": "yyyy-mm-dd"}),
        "time": workbook.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
    }
    for place, column in enumerate(columns):
        sheet.set_column(place, place, max(_NARROWEST, len(column.name) + 2))
        sheet.write_string(0, place, column.name, bold)
    for number, values in enumerate(_values(columns, rows, _PLAIN), 1):
        if number >= _MOST_XLSX_ROWS:
            raise ValueError(f"XLSX has room for {_MOST_XLSX_ROWS - 1} rows")
        for place, (column, value) in enumerate(zip(columns, values, strict=True)):
            _write_xlsx_cell(sheet, number, place, column.kind, value, dates)


def _write_xlsx_cell(  # noqa: PLR0913 - what, where and as what
    sheet: Any,  # noqa: ANN401
    row: int,
    place: int,
    kind: Kind,
    value: Any,  # noqa: ANN401
    dates: Mapping[Kind, Any],
) -> None:
    if value is None:
        return
    if kind in {"integer", "number"}:
        sheet.write_number(row, place, value)
    elif kind == "flag":
        sheet.write_boolean(row, place, value)
    elif kind in dates:
        # A cell knows no time zone; all times are UTC.
        moment = value.replace(tzinfo=None) if kind == "time" else value
        sheet.write_datetime(row, place, moment, dates[kind])
    elif len(value) > _LONGEST_XLSX_TEXT:
        raise ValueError(f"XLSX has room for {_LONGEST_XLSX_TEXT} characters in a cell")
    else:
        sheet.write_string(row, place, value)


def _csv_lines(rows: Iterable[Sequence[Any]]) -> bytes:
    lines = io.StringIO()
    csv.writer(lines, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n").writerows(rows)
    return lines.getvalue().encode()
