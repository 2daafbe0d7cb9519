"""Change what the database keeps from being changed, as somebody with its file could."""

from __future__ import annotations

from uuid import uuid4

from sqlalchemy import text

from consent_service.db import Database


def unguard(database: Database, table: str) -> None:
    """Take from a SQLite table what keeps it from being changed."""
    with database.transaction(uuid4()) as connection:
        query = text("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :table")
        for name in connection.execute(query, {"table": table}).scalars().all():
            connection.execute(text(f"DROP TRIGGER {name}"))
