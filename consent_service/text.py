"""Texts that people write and read elsewhere: names, cells of a table. Pure."""

from __future__ import annotations

import unicodedata

LONGEST_NAME = 200


def name_problems(name: str) -> dict[str, list[str]]:
    """Return what is wrong with a name, under ``name``; empty when nothing is."""
    if not name.strip() or len(name) > LONGEST_NAME:
        return {"name": [f"Give a name of at most {LONGEST_NAME} characters."]}
    if any(unicodedata.category(character) == "Cc" for character in name):
        return {"name": ["Give a name of one line, without control characters."]}
    return {}


def line_problems(text: str, longest: int) -> list[str]:
    """Return what is wrong with a text of one line; empty when nothing is."""
    if not text.strip() or len(text) > longest:
        return [f"Write something, in at most {longest} characters."]
    # Half of a surrogate pair can be written in JSON, and in no database.
    if any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in text):
        return ["Write one line, without control characters."]
    return []


def formula_safe(cell: str) -> str:
    """Return a cell of a table such that no spreadsheet takes it for a formula.

    What would begin one gets an apostrophe before it (OWASP, CSV injection).
    """
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
