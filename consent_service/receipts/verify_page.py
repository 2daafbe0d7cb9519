"""The page on which anybody checks a receipt. The file never leaves the browser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, render_template, request

from consent_service.receipts.wording import LANGUAGES, page_language

verification = Blueprint(
    "verification",
    __name__,
    template_folder="templates",
    static_folder="static",
    static_url_path="/verify/assets",
)

_TEXTS: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parent / "texts/verify.json").read_bytes()
)

#: The page calls nobody but the service, and that only for the keys.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)


@verification.get("/verify")
def verify_page() -> Response:
    """Show the page."""
    language = page_language(request.args.get("lang"), *request.accept_languages.values())
    response = Response(
        render_template(
            "receipts/verify.html",
            language=language,
            languages=LANGUAGES,
            texts=_TEXTS[language],
            keys_url="/.well-known/jwks.json",
        )
    )
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["Cache-Control"] = "no-cache"
    response.vary.add("Accept-Language")
    return response
