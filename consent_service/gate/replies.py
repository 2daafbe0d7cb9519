"""How an answer is put for each entry. Pure: the fast path and the views write the same bytes."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from consent_service.gate.service import Answer
from consent_service.notices.configuration import Loader

Headers = tuple[tuple[str, str], ...]

#: Answers depend on who asks, from where, and on the signal; nobody may keep them.
_COMMON: Headers = (
    ("Cache-Control", "no-store"),
    ("Vary", "Cookie, Origin, Sec-GPC, X-Consent-Token"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Resource-Policy", "cross-origin"),
)
_JSON: Headers = (("Content-Type", "application/json"), *_COMMON)
_SCRIPT: Headers = (("Content-Type", "text/javascript; charset=utf-8"), *_COMMON)


@dataclass(frozen=True, slots=True)
class Reply:
    """Status line, headers and body of a response."""

    status: str
    headers: Headers
    body: bytes = b""


def json_reply(answer: Answer) -> Reply:
    """Give the whole answer, for programs that choose by purpose."""
    return Reply("200 OK", _JSON, orjson.dumps(answer.body()))


def auth_reply(answer: Answer) -> Reply:
    """Give yes or no, for reverse proxies (nginx ``auth_request`` and its like)."""
    denial = answer.denial
    if denial is None:
        return Reply("204 No Content", _COMMON)
    return Reply("403 Forbidden", (("X-Consent-Reason", denial.value), *_COMMON))


def script_reply(answer: Answer, loader: Loader) -> Reply:
    """Send the browser on to the service's registered script, or give it an empty one."""
    denial = answer.denial
    if denial is None:
        return Reply("302 Found", (("Location", loader.address), *_COMMON))
    return Reply("200 OK", _SCRIPT, f"/* not loaded: {denial.value} */\n".encode())
