"""What the API says in English, in the language of the page."""

from __future__ import annotations

import re

from flask_babel import gettext
from markupsafe import Markup, escape

from consent_service.console.i18n import language

#: Marks a text for ``make messages``.
N_ = str

#: What marshmallow says about a field, where a person can have brought it about.
_KNOWN = (
    N_("Missing data for required field."),
    N_("Field may not be null."),
    N_("Unknown field."),
    N_("Not a valid string."),
    N_("Not a valid integer."),
    N_("Not a valid number."),
    N_("Not a valid boolean."),
    N_("Not a valid list."),
    N_("Not a valid date."),
    N_("Not a valid datetime."),
    N_("Not a valid UUID."),
    N_("Not a valid URL."),
    N_("Not a valid email address."),
    N_("Shorter than minimum length %(min)s."),
    N_("Longer than maximum length %(max)s."),
    N_("Length must be between %(min)s and %(max)s."),
    N_("Length must be %(equal)s."),
    N_("Must be greater than or equal to %(min)s."),
    N_("Must be less than or equal to %(max)s."),
    N_("Must be greater than or equal to %(min)s and less than or equal to %(max)s."),
    N_("Must be one of: %(choices)s."),
    N_("One or more of the choices you made was not in: %(choices)s."),
    N_("String does not match expected pattern."),
)


def _pattern(text: str) -> re.Pattern[str]:
    """Return what matches the text, with anything for its placeholders."""
    return re.compile(re.sub(r"%\\\((\w+)\\\)s", r"(?P<\1>.+)", re.escape(text)), re.DOTALL)


_PATTERNS = [(_pattern(text), text) for text in _KNOWN]


def translated(sentence: str) -> str:
    """Return the sentence in the page's language; as it is where no translation is known."""
    for pattern, text in _PATTERNS:
        found = pattern.fullmatch(sentence)
        if found:
            return str(gettext(text, **found.groupdict()))
    return str(gettext(sentence)) if sentence else ""


def said(sentence: str) -> Markup:
    """Return the sentence translated for a page, or marked as the English that it is."""
    shown = translated(sentence)
    if shown == sentence and language() != "en":
        return Markup('<span lang="en">{}</span>').format(shown)
    return escape(shown)
