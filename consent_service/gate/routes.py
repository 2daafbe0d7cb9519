"""The gate over HTTP, for what the fast path leaves: errors, preflights, tokens to renew.

Also where the gate's calls are documented.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any
from uuid import UUID

from flask import Response, request
from flask.views import MethodView
from marshmallow import Schema, ValidationError, fields, post_load, validate, validates_schema

from consent_service.access.auth import current_program_tenant, needs
from consent_service.consents.routes import (
    SignalQuery,
    TokenHeader,
    gpc_signalled,
    presented_token,
    set_cookies,
)
from consent_service.consents.service import Consents
from consent_service.db import Database
from consent_service.errors import NoHistory, UnknownService
from consent_service.gate.edge import Edge
from consent_service.gate.edge_token import LIST_TTL_SECONDS
from consent_service.gate.replies import (
    Reply,
    auth_reply,
    batch_body,
    json_reply,
    script_reply,
    token_reply,
)
from consent_service.gate.service import Answer, Asked, Gate, Question, Renewed
from consent_service.limits import limit, limit_tokens
from consent_service.regions.rules import place_of
from consent_service.tenants.auth import allow_site_pages, current_site
from consent_service.tenants.schemas import site_field
from consent_service.tenants.service import site_of
from consent_service.web import Blueprint, ErrorOut, public_url
from consent_service.wiring import use

gate = Blueprint(
    "gate",
    __name__,
    url_prefix="/v1/gate",
    description="May these purposes run for this visitor on this site now?",
)
gate.after_request(allow_site_pages)
limit(gate)


#: For edge servers, which decide by a token and a list of those that count no more.
edge = Blueprint(
    "edge",
    __name__,
    url_prefix="/v1/gate",
    description="The gate's answer as a token, for servers that decide without asking again.",
)
edge.after_request(allow_site_pages)
limit_tokens(edge)

statuses = Blueprint(
    "statuses",
    __name__,
    url_prefix="/v1/gate",
    description="Which edge tokens count no more.",
)
limit(statuses)

#: A list that is shorter gains nothing by being compressed once more.
_WORTH_PACKING = 1000

#: For programs that hold ids and no tokens. Pages have no business here.
batch = Blueprint(
    "batch",
    __name__,
    url_prefix="/v1/gate",
    description="May this purpose run for these visitors?",
)
limit(batch)

#: Visitors in one question.
MAX_ASKED = 1000

#: That many users' ids, each character perhaps written as an escape, and what is around them.
_BATCH_BYTES = 2 * 1024 * 1024


@batch.url_value_preprocessor
def _take_many(*_: object) -> None:
    """Let the body be as large as it may be; nothing of it is read before the key was."""
    request.max_content_length = _BATCH_BYTES


class GateQuery(SignalQuery):
    """A question."""

    site = fields.String(required=True, metadata={"description": "The site's key."})
    purpose = fields.List(
        fields.String(),
        required=True,
        metadata={"description": "A purpose's key; repeat it to ask about several."},
    )


class ScriptQuery(SignalQuery):
    """A question about the purpose that a service stands under."""

    site = fields.String(required=True, metadata={"description": "The site's key."})
    service = fields.String(required=True, metadata={"description": "The service's key."})


class DecisionOut(Schema):
    """The answer for one purpose."""

    allow = fields.Boolean(required=True)
    reason = fields.String(required=True, metadata={"description": "See docs/gate.md."})


class GateOut(Schema):
    """The answer; ``allow`` is true only if it is for every purpose asked about."""

    allow = fields.Boolean(required=True)
    decisions = fields.Dict(fields.String(), fields.Nested(DecisionOut), required=True)
    regime = fields.String(required=True)
    notice_version = fields.Integer(required=True)
    gpc = fields.Boolean(required=True)
    expires_at = fields.String(required=True, allow_none=True)
    max_age = fields.Integer(
        required=True, metadata={"description": "Seconds for which the answer may be kept."}
    )


@gate.route("")
class GateJson(MethodView):
    """The whole answer."""

    @gate.arguments(TokenHeader, location="headers")
    @gate.arguments(GateQuery, location="query")
    @gate.response(200, GateOut)
    @gate.alt_response(404, schema=ErrorOut, description="Unknown site.")
    def get(self, _: dict[str, str], query: dict[str, Any]) -> Response:
        """Ask about one purpose or several; a well-put question is always answered with 200."""
        question = use(Gate).checked_question(query["site"], tuple(query["purpose"]))
        return _respond(question, query["gpc"], json_reply)


@gate.route("/auth")
class GateAuth(MethodView):
    """Yes or no."""

    @gate.arguments(TokenHeader, location="headers")
    @gate.arguments(GateQuery, location="query")
    @gate.response(204)
    @gate.alt_response(403, description="Denied; X-Consent-Reason says why.")
    @gate.alt_response(404, schema=ErrorOut, description="Unknown site.")
    def get(self, _: dict[str, str], query: dict[str, Any]) -> Response:
        """Ask as a reverse proxy does (nginx auth_request, Caddy forward_auth, Traefik, Envoy)."""
        question = use(Gate).checked_question(query["site"], tuple(query["purpose"]))
        return _respond(question, query["gpc"], auth_reply)


@gate.route("/script")
class GateScript(MethodView):
    """A script or nothing."""

    @gate.arguments(ScriptQuery, location="query")
    @gate.response(302, description="Allowed: on to the service's registered script.")
    @gate.alt_response(200, description="Denied: an empty script; a comment says why.")
    @gate.alt_response(404, schema=ErrorOut, description="Unknown site, or no such service.")
    def get(self, query: dict[str, str]) -> Response:
        """Ask as a bare script tag does."""
        loader = use(Gate).loader(query["site"], query["service"])
        if loader is None:
            raise UnknownService
        question = use(Gate).checked_question(query["site"], (loader.purpose,))
        return _respond(question, query["gpc"], lambda answer: script_reply(answer, loader))


class TokenQuery(SignalQuery):
    """A question whose answer an edge server goes by."""

    site = fields.String(required=True, metadata={"description": "The site's key."})
    purpose = fields.List(
        fields.String(),
        load_default=(),
        metadata={
            "description": "A purpose's key; repeat it to ask about several. Without any, all that "
            "the notice asks about."
        },
    )


class TokenOut(Schema):
    """An edge token."""

    token = fields.String(required=True, metadata={"description": "See docs/edge.md."})
    expires_at = fields.String(required=True)


class StatusQuery(Schema):
    """Whose list it is."""

    site = fields.String(required=True, metadata={"description": "The site's key."})


@edge.route("/token")
class EdgeToken(MethodView):
    """The answer to carry along."""

    @edge.arguments(TokenHeader, location="headers")
    @edge.arguments(TokenQuery, location="query")
    @edge.response(200, TokenOut)
    @edge.alt_response(404, schema=ErrorOut, description="Unknown site.")
    @edge.alt_response(422, schema=ErrorOut, description="The question is not well put.")
    def get(self, _: dict[str, str], query: dict[str, Any]) -> Response:
        """Ask as for the whole answer, and get it signed, for a server that cannot ask itself."""
        site, asked = current_site(), tuple(query["purpose"])
        question = use(Gate).checked_question(
            site.site_key, asked or use(Gate).optional_purposes(site)
        )

        def put(renewed: Renewed) -> Reply:
            claims = renewed.claims or use(Consents).read_token(site, presented_token(site))
            issued = use(Edge).issue(question, renewed.answer, claims, service=public_url())
            return token_reply(*issued)

        return _respond_renewed(question, query["gpc"], put)


@statuses.route("/status/<uuid:list_id>")
class StatusList(MethodView):
    """What takes tokens back."""

    @statuses.arguments(StatusQuery, location="query")
    @statuses.response(200, content_type="application/statuslist+jwt")
    @statuses.alt_response(404, schema=ErrorOut, description="The site has no such list any more.")
    @statuses.alt_response(501, schema=ErrorOut, description="The list of another moment.")
    def get(self, query: dict[str, str], list_id: UUID) -> Response:
        """Get the list that a token names (draft-ietf-oauth-status-list-20, section 8)."""
        del query
        if "time" in request.args:
            raise NoHistory
        signed = use(Edge).status_list(current_site(), list_id, service=public_url()).encode()
        response = Response(signed, content_type="application/statuslist+jwt")
        if len(signed) > _WORTH_PACKING and request.accept_encodings["gzip"]:
            response.data = gzip.compress(signed, 6, mtime=0)
            response.headers["Content-Encoding"] = "gzip"
        response.vary.add("Accept-Encoding")
        response.headers["Access-Control-Allow-Origin"] = "*"
        response.headers["Cache-Control"] = f"public, max-age={LIST_TTL_SECONDS}"
        return response


class BatchIn(Schema):
    """A question about many visitors."""

    site = site_field()
    purpose = fields.String(required=True, validate=validate.Length(1, 64))
    visitors = fields.List(
        # Who is not there may be named in any way but one that no database can look for.
        fields.String(validate=validate.Regexp(r"^[!-~]{1,64}$")),
        validate=validate.Length(1, MAX_ASKED),
        metadata={"description": "Visitors' ids. Give these or users."},
    )
    users = fields.List(
        fields.String(validate=validate.Length(1, 255)),
        validate=validate.Length(1, MAX_ASKED),
        metadata={"description": "The site's own ids of linked users, as its user tokens have."},
    )
    region = fields.String(
        load_default=None,
        validate=validate.Regexp(r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$"),
        metadata={
            "description": "Where they are, such as GB or US-CA; else the rule for visitors from "
            "nowhere known holds."
        },
    )

    @validates_schema
    def _one_kind(self, data: dict[str, Any], **_: Any) -> None:  # noqa: ANN401
        if ("visitors" in data) == ("users" in data):
            raise ValidationError("Give visitors or users, and not both.", "visitors")

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:  # noqa: ANN401
        ids = frozenset(data.get("visitors") or data.get("users", ()))
        return {**data, "asked": Asked(ids, users="users" in data)}


class BatchOut(Schema):
    """The answers; each id that was asked about is there once."""

    purpose = fields.String(required=True)
    decisions = fields.Dict(
        fields.String(),
        fields.Nested(DecisionOut),
        required=True,
        metadata={"description": "By the id that was asked about."},
    )
    regime = fields.String(required=True)
    notice_version = fields.Integer(required=True)


@batch.route("/batch")
class GateBatch(MethodView):
    """Many visitors."""

    @needs("gate:batch")
    @batch.arguments(BatchIn)
    @batch.response(200, BatchOut)
    @batch.alt_response(401, schema=ErrorOut, description="No API key in use came along.")
    @batch.alt_response(403, schema=ErrorOut, description="The key lacks gate:batch.")
    @batch.alt_response(404, schema=ErrorOut, description="The key's tenant has no such site.")
    @batch.alt_response(422, schema=ErrorOut, description="The question is not well put.")
    @batch.alt_response(503, schema=ErrorOut, description="It cannot be answered now: denied.")
    def post(self, sent: dict[str, Any]) -> dict[str, Any]:
        """Ask about up to 1,000 visitors by their ids, or about linked users by the site's own."""
        site = site_of(use(Database), current_program_tenant(), sent["site"])
        question = use(Gate).checked_question(site.site_key, (sent["purpose"],))
        answers = use(Gate).answer_many(question, sent["asked"], place_of(sent["region"]))
        return batch_body(sent["purpose"], answers)


def _respond(question: Question, said: str, put: Callable[[Answer], Reply]) -> Response:
    """Answer, and give the visitor a new token if theirs was old."""
    return _respond_renewed(question, said, lambda renewed: put(renewed.answer))


def _respond_renewed(question: Question, said: str, put: Callable[[Renewed], Reply]) -> Response:
    consents = use(Consents)
    renewed = use(Gate).answer_renewing(
        question,
        presented_token(question.site),
        gpc=gpc_signalled(said=said == "1"),
        environ=request.environ,
    )
    reply = put(renewed)
    response = Response(reply.body, reply.status, list(reply.headers))
    if renewed.claims:
        token = consents.write_token(renewed.claims)
        response.headers["X-Consent-Token"] = token
        set_cookies(response, question.site, renewed.claims, token)
    return response
