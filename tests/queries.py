"""What is asked of databases while a test looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import event
from sqlalchemy.engine import Engine


@contextmanager
def queries(noted: Callable[[str], bool]) -> Iterator[list[str]]:
    """Give a list that fills with the statements of this kind that any database is asked."""
    seen: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        if noted(statement):
            seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)
