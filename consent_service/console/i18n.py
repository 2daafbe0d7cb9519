"""Which language a page is in, and its texts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from babel import negotiate_locale
from flask import Flask, Response, has_request_context, request
from flask_babel import Babel, get_locale

#: Each language by its own name, the one that texts are written in first.
LANGUAGES = {"en": "English", "sw": "Kiswahili"}
COOKIE = "lang"
_COOKIE_SECONDS = 365 * 24 * 60 * 60
_TRANSLATIONS = Path(__file__).parent / "translations"


def init_i18n(app: Flask, language_of_user: Callable[[], str | None]) -> None:
    """Translate what templates put into ``_()``.

    :param language_of_user: the language that whoever is signed in has chosen, if any
    """

    def choose() -> str:
        offered = (language_of_user(), request.args.get(COOKIE), request.cookies.get(COOKIE))
        return (
            next((tag for tag in offered if tag in LANGUAGES), None)
            or negotiate_locale(_wanted_by_browser(), LANGUAGES, sep="-")
            or next(iter(LANGUAGES))
        )

    Babel(app, locale_selector=choose, default_translation_directories=str(_TRANSLATIONS))


def _wanted_by_browser() -> list[str]:
    return [tag for tag, quality in request.accept_languages if quality > 0]


def language() -> str:
    """Return the language of the page that is being made."""
    return str(get_locale()) if has_request_context() else next(iter(LANGUAGES))


def remember_language(response: Response) -> Response:
    """Keep the language that an address asked for, so that the next page is in it too."""
    response.vary.update(("Accept-Language", "Cookie"))
    asked = request.args.get(COOKIE)
    if asked in LANGUAGES:
        response.set_cookie(
            COOKIE,
            asked,
            max_age=_COOKIE_SECONDS,
            secure=request.is_secure,
            httponly=True,
            samesite="Lax",
        )
    return response
