"""How an answer is put for each entry. Pure: the fast path and the views write the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from consent_service.clock import rfc3339_seconds
from consent_service.gate.decision import ALLOWING
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


class Reply(NamedTuple):
    """Status line, headers and body of a response."""

    status: str
    headers: Headers
    body: bytes = b""


def json_reply(answer: Answer) -> Reply:
    """Give the whole answer, for programs that choose by purpose."""
    said = _said(tuple(answer.reasons.items()), answer.regime, answer.notice_version, answer.gpc)
    until = f'"{rfc3339_seconds(answer.expires_at)}"' if answer.expires_at else "null"
    body = f'{said},"expires_at":{until},"max_age":{answer.max_age}}}'
    return Reply("200 OK", _JSON, body.encode())


# All of the answer but its times, which differ from visitor to visitor.
@lru_cache(maxsize=4096)
def _said(
    reasons: tuple[tuple[str, str], ...],
    regime: str,
    notice_version: int,
    gpc: bool,  # noqa: FBT001 - a cached function takes its arguments by position
) -> str:
    decisions = {key: {"allow": why in ALLOWING, "reason": why} for key, why in reasons}
    said = orjson.dumps(
        {
            "allow": all(why in ALLOWING for _, why in reasons),
            "decisions": decisions,
            "regime": regime,
            "notice_version": notice_version,
            "gpc": gpc,
        }
    )
    return said.decode().removesuffix("}")


def batch_body(purpose: str, answers: Mapping[str, Answer]) -> dict[str, Any]:
    """Give the answers about one purpose for many visitors; at least one was asked about."""
    some = next(iter(answers.values()))
    return {
        "purpose": purpose,
        "decisions": {
            each: {"allow": answer.denial is None, "reason": answer.reasons[purpose]}
            for each, answer in answers.items()
        },
        "regime": some.regime,
        "notice_version": some.notice_version,
    }


def token_reply(token: str, expires_at: int) -> Reply:
    """Give a token that says the answer, for edge servers."""
    body = {"token": token, "expires_at": rfc3339_seconds(expires_at)}
    return Reply("200 OK", _JSON, orjson.dumps(body))


def auth_reply(answer: Answer) -> Reply:
    """Give yes or no, for reverse proxies (nginx ``auth_request`` and its like)."""
    denial = answer.denial
    if denial is None:
        return Reply("204 No Content", _COMMON)
    return Reply("403 Forbidden", (("X-Consent-Reason", denial), *_COMMON))


def script_reply(answer: Answer, loader: Loader) -> Reply:
    """Send the browser on to the service's registered script, or give it an empty one."""
    denial = answer.denial
    if denial is None:
        return Reply("302 Found", (("Location", loader.address), *_COMMON))
    return Reply("200 OK", _SCRIPT, f"/* not loaded: {denial} */\n".encode())
