"""Tables as files: they read back as they were written, by whoever gets them; a half is noticed."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import duckdb
import openpyxl
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from consent_service import formats
from consent_service.formats import FORMATS, Column, Form, Kind, written

COLUMNS = (
    Column("site_day", "day"),
    Column("country", "text"),
    Column("shown", "integer"),
    Column("rate", "number"),
    Column("gpc", "flag"),
    Column("counted_at", "time"),
    Column("choices", "json"),
)

ROWS: list[dict[str, Any]] = [
    {
        "site_day": date(2026, 9, 1),
        "country": "TZ",
        "shown": 1200,
        "rate": 0.25,
        "gpc": True,
        "counted_at": datetime(2026, 9, 1, 21, 30, 15, 250000, tzinfo=UTC),
        "choices": {"analytics": True},
    },
    {
        "site_day": date(2026, 9, 2),
        "country": '=HYPERLINK("https://example.com"), #1\r\nkofiki — é',
        "shown": -3,
        "rate": 1e-9,
        "gpc": False,
        "counted_at": datetime(2026, 9, 2, tzinfo=UTC),
        "choices": [1, "two"],
    },
    dict.fromkeys((column.name for column in COLUMNS), None),
]

#: What SQLite, PostgreSQL and UTF-8 keep.
ANY_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
#: As hostile ones begin, too.
TEXTS = ANY_TEXT | st.tuples(st.sampled_from("=+-@\t\r#'"), ANY_TEXT).map("".join)
VALUES: dict[Kind, st.SearchStrategy[Any]] = {
    "text": TEXTS,
    "integer": st.integers(-(2**53), 2**53),
    "number": st.floats(allow_nan=False, allow_infinity=False),
    "flag": st.booleans(),
    "day": st.dates(date(1970, 1, 1), date(2200, 1, 1)),
    "time": st.datetimes(
        datetime(1970, 1, 1),  # noqa: DTZ001 - the time zone is the strategy's
        datetime(2200, 1, 1),  # noqa: DTZ001
        timezones=st.just(UTC),
    ).map(lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)),
    "json": st.dictionaries(TEXTS, st.booleans() | TEXTS, max_size=3),
}


def rows_of(columns: Iterable[Column]) -> st.SearchStrategy[list[dict[str, Any]]]:
    row = {column.name: st.none() | VALUES[column.kind] for column in columns}
    return st.lists(st.fixed_dictionaries(row), max_size=6)


def file_of(form: Form, rows: Iterable[dict[str, Any]] = ROWS, **options: Any) -> bytes:  # noqa: ANN401
    return b"".join(written(form, COLUMNS, rows, **options))


def saved(folder: Path, form: Form, rows: Iterable[dict[str, Any]] = ROWS) -> Path:
    path = folder / f"rates.{form}"
    path.write_bytes(file_of(form, rows))
    return path


def read_table(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def asked(query: str) -> list[tuple[Any, ...]]:
    """Ask DuckDB."""
    with duckdb.connect() as connection:
        return connection.execute(query).fetchall()


def as_cell(kind: Kind, value: Any) -> str:  # noqa: ANN401
    """Return what a cell must say, put in other words than the code's."""
    if value is None:
        return ""
    if kind == "flag":
        return str(value).lower()
    if kind == "time":
        return f"{value:%Y-%m-%dT%H:%M:%S}.{value.microsecond // 1000:03}Z"
    return str(value)


@settings(max_examples=60)
@given(rows_of(COLUMNS))
def test_a_table_reads_back_as_it_was_written(rows: list[dict[str, Any]]) -> None:
    head, *read, closing = read_table(file_of("csv", rows))
    assert head == [column.name for column in COLUMNS]
    assert {len(row) for row in (*read, closing)} == {len(COLUMNS)}
    assert closing[:2] == ["#end", str(len(rows))]
    for cells, row in zip(read, rows, strict=True):
        for cell, column in zip(cells, COLUMNS, strict=True):
            value = row[column.name]
            if column.kind == "number" and value is not None:
                assert float(cell) == value
            elif column.kind == "json" and value is not None:
                assert json.loads(cell) == value
            elif column.kind == "text":
                assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
                assert cell in {value or "", f"'{value}"}
            else:
                assert cell == as_cell(column.kind, value)


@settings(max_examples=20)
@given(rows_of(COLUMNS))
def test_the_same_is_in_a_file_of_any_form(rows: list[dict[str, Any]]) -> None:
    lines = [json.loads(line) for line in file_of("ndjson", rows).splitlines()[:-1]]
    groups = parquet.read_table(pa.BufferReader(file_of("parquet", rows))).to_pylist()
    sheet = openpyxl.load_workbook(io.BytesIO(file_of("xlsx", rows))).active
    assert sheet is not None
    for number, (row, line, group) in enumerate(zip(rows, lines, groups, strict=True), 2):
        in_sheet = {
            column.name: sheet.cell(number, place).value for place, column in enumerate(COLUMNS, 1)
        }
        assert group["site_day"] == row["site_day"]
        assert group["counted_at"] == row["counted_at"]
        assert line["site_day"] == (row["site_day"].isoformat() if row["site_day"] else None)
        for name in ("shown", "rate", "gpc"):
            assert group[name] == line[name] == row[name]
            # A workbook keeps 16 digits.
            assert in_sheet[name] == (pytest.approx(row[name]) if row[name] else row[name])
        assert group["country"] == line["country"] == row["country"]
        assert line["choices"] == row["choices"]
        assert (row["choices"] is None) == (group["choices"] is None)


def test_texts_of_a_workbook_are_no_formulas_links_or_numbers() -> None:
    texts = ["=1+1", "+1", "@SUM(A1)", "https://example.com", "0012", "{=1}"]
    rows = [{**ROWS[0], "country": text} for text in texts]
    sheet = openpyxl.load_workbook(io.BytesIO(file_of("xlsx", rows))).active
    assert sheet is not None
    found = [sheet.cell(number, 2) for number in range(2, len(texts) + 2)]
    assert [(cell.value, cell.data_type) for cell in found] == [(text, "s") for text in texts]
    assert not any(cell.hyperlink for cell in found)
    assert sheet.cell(2, 3).data_type == sheet.cell(2, 4).data_type == "n"
    assert sheet.cell(2, 1).is_date


def test_what_a_workbook_has_no_room_for_is_an_error_and_not_left_out() -> None:
    with pytest.raises(ValueError, match="32767 characters"):
        file_of("xlsx", [{**ROWS[0], "country": "x" * 32_768}])


def test_numbers_are_not_quoted_and_texts_are() -> None:
    _, first, *_ = file_of("csv").split(b"\r\n")
    assert first.startswith(b'"2026-09-01","TZ",1200,0.25,"true","2026-09-01T21:30:15.250Z",')


def test_the_mark_of_utf_8_is_there_for_those_who_ask() -> None:
    marked = file_of("csv", bom=True)
    assert marked.startswith(b'\xef\xbb\xbf"site_day"')
    assert read_table(marked)[:-1] == read_table(file_of("csv"))[:-1]
    assert not file_of("csv").startswith(b"\xef\xbb\xbf")


def test_the_closing_line_is_checked_as_the_page_says(tmp_path: Path) -> None:
    for form, bom in (("csv", False), ("csv", True), ("ndjson", False)):
        path = tmp_path / f"{form}{bom}"
        path.write_bytes(b"".join(written(form, COLUMNS, ROWS * 700, bom=bom)))  # type: ignore[arg-type]
        check = f"sed '$d' {path} | sha256sum"
        said = subprocess.run(["sh", "-c", check], check=True, capture_output=True, text=True)
        *_, last = path.read_bytes().splitlines()
        if form == "csv":
            mark, rows, digest, *empty = last.decode().split(",")
            assert (mark, rows, set(empty)) == ("#end", "2100", {""})
        else:
            closing = json.loads(last)
            assert closing == {"end": True, "rows": 2100, "sha256": closing["sha256"]}
            digest = closing["sha256"]
        assert said.stdout.split()[0] == digest


def test_a_file_without_rows_is_whole() -> None:
    head, closing = file_of("csv", []).splitlines()
    assert closing.startswith(b"#end,0," + sha256(head + b"\r\n").hexdigest().encode())
    (closing,) = file_of("ndjson", []).splitlines()
    assert json.loads(closing) == {"end": True, "rows": 0, "sha256": sha256(b"").hexdigest()}
    assert parquet.read_table(pa.BufferReader(file_of("parquet", []))).num_rows == 0


def test_readers_skip_the_closing_line_as_the_page_says(tmp_path: Path) -> None:
    rows = ROWS[:2] * 1000
    table, lines = saved(tmp_path, "csv", rows), saved(tmp_path, "ndjson", rows)
    columnar, workbook = saved(tmp_path, "parquet", rows), saved(tmp_path, "xlsx", rows)
    total = (2000, 1197 * 1000)
    for source in (
        f"read_csv('{table}', comment = '#')",
        f"read_ndjson('{lines}', sample_size = -1) WHERE \"end\" IS NULL",
        f"read_parquet('{columnar}')",
    ):
        assert asked(f"SELECT count(*), sum(shown) FROM {source}") == [total]  # noqa: S608
    kinds = asked(f"DESCRIBE FROM read_csv('{table}', comment = '#')")
    assert {name: kind for name, kind, *_ in kinds} == {
        "site_day": "DATE",
        "country": "VARCHAR",
        "shown": "BIGINT",
        "rate": "DOUBLE",
        "gpc": "BOOLEAN",
        "counted_at": "TIMESTAMP WITH TIME ZONE",
        "choices": "VARCHAR",
    }
    for frame in (
        pd.read_csv(table, comment="#"),
        pd.read_csv(table, skipfooter=1, engine="python"),
        pd.read_parquet(columnar),
        pd.read_excel(workbook),
    ):
        assert (len(frame), frame["shown"].sum()) == total
        assert frame["rate"].dtype == "float64"
    with lines.open() as file:
        objects = [json.loads(line) for line in file]
    assert objects.pop()["rows"] == len(objects) == 2000


@pytest.mark.parametrize("form", FORMATS)
def test_half_of_a_file_is_noticed(form: Form) -> None:
    whole = file_of(form, ROWS * 300)
    half = whole[: len(whole) // 2]
    if form == "csv":
        assert not half.splitlines()[-1].startswith(b"#end")
    elif form == "ndjson":
        assert b'"end"' not in half
    elif form == "parquet":
        with pytest.raises(pa.ArrowInvalid):
            parquet.read_table(pa.BufferReader(half))
    else:
        with pytest.raises(BadZipFile):
            openpyxl.load_workbook(io.BytesIO(half))


@pytest.mark.parametrize("form", FORMATS)
def test_what_breaks_off_is_not_made_to_look_whole(form: Form) -> None:
    def rows() -> Iterator[dict[str, Any]]:
        yield from ROWS * 300
        raise ConnectionError

    got: list[bytes] = []
    with pytest.raises(ConnectionError):
        got.extend(written(form, COLUMNS, rows()))
    assert not {b"#end", b'"end"'} & {word for word in (b"#end", b'"end"') if word in b"".join(got)}
    if form == "parquet":
        assert not b"".join(got).endswith(b"PAR1")


@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet"])
def test_rows_are_taken_as_they_are_needed(form: Form, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "ROW_GROUP", 500)
    taken = 0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal taken
        for _ in range(5000):
            taken += 1
            yield ROWS[0]

    chunks = written(form, COLUMNS, rows())
    assert taken == 1
    next(chunks)
    assert taken <= 501
    assert sum(map(len, chunks)) > 0
    assert taken == 5000


@pytest.mark.parametrize("form", FORMATS)
def test_the_same_rows_give_the_same_file(form: Form) -> None:
    assert file_of(form) == file_of(form)


def test_a_table_needs_room_for_its_closing_row() -> None:
    with pytest.raises(ValueError, match="3 columns"):
        list(formats.table([Column("a"), Column("b")], []))
