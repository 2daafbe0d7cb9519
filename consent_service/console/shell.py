"""What every page of the console is made with: its language, and what its macros call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from flask import Flask
from flask_babel import format_datetime, gettext
from markupsafe import Markup, escape

from consent_service import clock
from consent_service.console.changes import changed_members
from consent_service.console.i18n import LANGUAGES, init_i18n, language
from consent_service.console.sentences import said


def init_shell(app: Flask, language_of_user: Callable[[], str | None] = lambda: None) -> None:
    """Give the app's templates all that ``console/base.html`` and ``console/macros.html`` use.

    :param language_of_user: the language that whoever is signed in has chosen, if any
    """
    init_i18n(app, language_of_user)
    app.jinja_env.globals.update(languages=LANGUAGES, language=language)
    app.jinja_env.filters.update(
        changes=lambda pair: changed_members(*pair),
        messages=lambda errors: list(error_messages(errors)),
        moment=moment,
        said=said,
    )


def error_messages(errors: Any) -> Iterator[Markup]:  # noqa: ANN401
    """Give the sentences in what marshmallow says about one field, in the language of the page.

    :param errors: a sentence, a list of them, or a mapping from entries to either
    """
    if isinstance(errors, dict):
        for entry, inner in errors.items():
            for message in error_messages(inner):
                yield _at_entry(entry, message)
    elif isinstance(errors, list):
        for inner in errors:
            yield from error_messages(inner)
    elif errors:
        yield said(str(errors))


def _at_entry(entry: int | str, message: Markup) -> Markup:
    if isinstance(entry, str):
        return Markup("{}: {}").format(entry, message)
    # Entries of a list are counted from 0, as nobody does who reads a page.
    text = escape(gettext("Entry %(place)s: %(message)s"))
    return text % {"place": entry + 1, "message": message}


def moment(value: datetime | str) -> tuple[str, str]:
    """Return a time as programs read it (RFC 3339) and as people do, both in UTC."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return clock.rfc3339(value), gettext(
        "%(time)s UTC", time=format_datetime(value, "d MMM y, HH:mm")
    )
