"""Many rows at once, in few messages to the database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    any_,
    column,
    func,
    insert,
    literal,
    select,
)

from consent_service.db import Base


def insert_all(
    connection: Connection,
    row: type[Base],
    same: Mapping[str, Any],
    columns: Mapping[str, list[Any]],
) -> None:
    """Insert rows that are given by columns, and have some columns in common."""
    if connection.dialect.name != "postgresql":
        values = zip(*columns.values(), strict=True)
        rows = [{**same, **dict(zip(columns, each, strict=True))} for each in values]
        connection.execute(insert(row), rows)
        return
    # One statement of a few arrays: of rows, each would be a message to the server.
    types = row.__table__.c
    arrays = (literal(values, ARRAY(types[name].type)) for name, values in columns.items())
    named = (column(name, types[name].type) for name in columns)
    given = func.unnest(*arrays).table_valued(*named).render_derived()
    fixed = [literal(value, types[name].type) for name, value in same.items()]
    connection.execute(
        insert(row).from_select([*same, *columns], select(*fixed, *given.c)),
    )


def any_of(connection: Connection, column: Any, values: list[Any]) -> ColumnElement[bool]:  # noqa: ANN401
    """Match any of many values: PostgreSQL takes them as one, and need not read a long list."""
    if connection.dialect.name != "postgresql":
        found: ColumnElement[bool] = column.in_(values)
        return found
    return column == any_(literal(values, ARRAY(column.type)))  # type: ignore[no-any-return]
