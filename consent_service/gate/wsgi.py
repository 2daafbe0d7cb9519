"""The gate's fast path: answers in front of Flask, from memory.

Only a question that is well put and needs no database is answered here. Everything else (errors,
preflights, tokens to renew) goes on to ``gate/routes``, which answers the same from the same
:class:`~consent_service.gate.service.Gate`; so this layer saves time and decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs

from consent_service.consents.signal import SAID, signalled
from consent_service.consents.tokens import presented_token
from consent_service.gate.replies import Reply, auth_reply, json_reply, script_reply
from consent_service.gate.service import Answer, Gate, Question
from consent_service.tenants.auth import RESPONSE_HEADERS

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: A longer query is Flask's to refuse.
_MAX_QUERY = 2048


class Asked(NamedTuple):
    """What a query string says; what is not there is empty."""

    site_key: str = ""
    purposes: tuple[str, ...] = ()
    service: str = ""
    gpc: bool = False


# What a page asks is the same for all its visitors.
@lru_cache(maxsize=4096)
def _asked(query: str) -> Asked:
    """Read a query string; one that is Flask's to refuse comes empty."""
    if len(query) > _MAX_QUERY:
        return Asked()
    values = parse_qs(query, keep_blank_values=True)
    site_key, service, gpc = (values.get(name, [""])[0] for name in ("site", "service", "gpc"))
    if "gpc" in values and gpc not in SAID:
        return Asked()
    return Asked(site_key, tuple(values.get("purpose", ())), service, gpc == "1")


class GateLayer:
    """WSGI layer that answers the gate's three addresses and passes everything else on."""

    def __init__(self, app: WSGIApplication, gate: Gate) -> None:
        """Stand in front of ``app``."""
        self._app = app
        self._gate = gate

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer if the gate is asked and can say, else pass the request on."""
        path = environ["PATH_INFO"]
        if path.startswith("/v1/gate") and environ["REQUEST_METHOD"] == "GET":
            found = self._reply(path, environ)
            if found is not None:
                reply, question = found
                headers = list(reply.headers)
                # A 204 has no content, and must not state its length (RFC 9110, section 8.6).
                if not reply.status.startswith("204"):
                    headers.append(("Content-Length", str(len(reply.body))))
                origin = environ.get("HTTP_ORIGIN")
                if origin is not None and origin in question.site.allowed_origins:
                    headers += (
                        ("Access-Control-Allow-Origin", origin),
                        ("Access-Control-Allow-Credentials", "true"),
                        ("Access-Control-Expose-Headers", RESPONSE_HEADERS),
                    )
                start_response(reply.status, headers)
                return (reply.body,)
        return self._app(environ, start_response)

    def _reply(self, path: str, environ: WSGIEnvironment) -> tuple[Reply, Question] | None:
        asked = _asked(environ["QUERY_STRING"])
        if path == "/v1/gate/script":
            loader = self._gate.loader(asked.site_key, asked.service)
            if loader is None:
                return None
            question = self._gate.question(asked.site_key, (loader.purpose,))
            answer = question and self._answer(question, asked, environ)
            return (script_reply(answer, loader), question) if question and answer else None
        if path not in {"/v1/gate", "/v1/gate/auth"}:
            return None
        question = self._gate.question(asked.site_key, asked.purposes)
        answer = question and self._answer(question, asked, environ)
        if not question or not answer:
            return None
        return (json_reply if path == "/v1/gate" else auth_reply)(answer), question

    def _answer(self, question: Question, asked: Asked, environ: WSGIEnvironment) -> Answer | None:
        token = presented_token(environ, question.site.cookie_name)
        gpc = signalled(environ, said=asked.gpc)
        return self._gate.answer(question, token, gpc=gpc, environ=environ)
