"""What was just done, said once on the next page: a signed cookie carries it there."""

from __future__ import annotations

import json

from flask import g, request
from itsdangerous import BadSignature
from itsdangerous.encoding import base64_decode, base64_encode
from werkzeug.wrappers import Response

from consent_service.signing import Keyring
from consent_service.wiring import use

_COOKIE = "consent_said"
_SECONDS = 60


def say(response: Response, text: str, tone: str = "good") -> Response:
    """Have the next page say something; tone as in the macro ``alert``."""
    written = base64_encode(json.dumps([tone, text]).encode()).decode()
    response.set_cookie(
        _COOKIE,
        _signed(written),
        max_age=_SECONDS,
        path="/console",
        secure=request.is_secure,
        httponly=True,
        samesite="Lax",
    )
    return response


def said() -> list[tuple[str, str]]:
    """Return what this page has to say: (tone, text)."""
    kept = request.cookies.get(_COOKIE)
    if kept is None:
        return []
    g.said = True
    try:
        written = use(Keyring).signer(_COOKIE).unsign(kept)
    except BadSignature:
        return []
    tone, text = json.loads(base64_decode(written))
    return [(tone, text)]


def forget_said(response: Response) -> None:
    """Have the browser forget what a page has said."""
    if g.get("said"):
        response.delete_cookie(_COOKIE, path="/console")


def _signed(written: str) -> str:
    return use(Keyring).signer(_COOKIE).sign(written).decode()
