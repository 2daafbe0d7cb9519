"""Receipts: files for programs, and pages for people."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import flask
from flask import Response, jsonify, redirect, render_template, request, url_for
from flask.views import MethodView
from werkzeug.wrappers import Response as AnyResponse

from consent_service.clock import rfc3339
from consent_service.consents.held import Kept
from consent_service.consents.routes import presented_token, receipt_address
from consent_service.errors import ProofBroken, ServiceError, UnknownRecord, ValidationFailed
from consent_service.limits import limit
from consent_service.receipts.as_shown import configuration_shown, layer_shown
from consent_service.receipts.describe import authority_of
from consent_service.receipts.page import answers
from consent_service.receipts.schemas import (
    FileQuery,
    PageQuery,
    ReceiptOut,
    ReceiptQuery,
    TokenHeader,
)
from consent_service.receipts.service import Receipt, Receipts
from consent_service.receipts.wording import (
    LANGUAGES,
    language_name,
    moment,
    page_language,
    texts,
)
from consent_service.regions.rules import UNKNOWN
from consent_service.regions.service import Regions
from consent_service.tenants.service import SiteDirectory
from consent_service.web import Blueprint, ErrorOut, StrictParser, public_url
from consent_service.wiring import use

receipts = Blueprint(
    "receipts",
    __name__,
    url_prefix="/v1/records/<uuid:record_id>",
    description="Receipts, by their links or for whoever holds the visitor's token.",
)
limit(receipts)

pages = flask.Blueprint(
    "receipt_pages",
    __name__,
    url_prefix="/v1/records",
    template_folder="templates",
    static_folder="static",
    static_url_path="/assets",
)
limit(pages)

#: A page that runs nothing and calls nobody.
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)

#: The same for one that draws the widget, which runs in a frame of its own that calls nobody.
_FRAMING_POLICY = f"{_POLICY}; script-src 'self'; frame-src 'self'"


@receipts.route("/receipt.json")
class ReceiptJson(MethodView):
    """A receipt for programs."""

    @receipts.arguments(TokenHeader, location="headers")
    @receipts.arguments(FileQuery, location="query")
    @receipts.response(200, ReceiptOut)
    @receipts.alt_response(
        404, schema=ErrorOut, description="Neither a whole link nor its visitor."
    )
    @receipts.alt_response(500, schema=ErrorOut, description="Its proof does not verify here.")
    def get(self, _: dict[str, str], query: dict[str, Any], record_id: UUID) -> Response:
        """Give the record, or the tombstone it left, with all that proves it."""
        response = jsonify(use(Receipts).document(_asked(query, record_id)))
        response.headers["Cache-Control"] = "private, no-store"
        if query["download"]:
            name = f'attachment; filename="receipt-{record_id}.json"'
            response.headers["Content-Disposition"] = name
        return response


@receipts.route("/receipt")
class AnyReceipt(MethodView):
    """A receipt, in the form that suits who asks."""

    @receipts.arguments(ReceiptQuery, location="query")
    @receipts.response(303, description="To `receipt.html` for browsers, else to `receipt.json`.")
    @receipts.alt_response(404, schema=ErrorOut, description="What is named is no record's id.")
    def get(self, query: dict[str, Any], record_id: UUID) -> AnyResponse:
        """Lead to the page or to the file, as the Accept header prefers."""
        forms = {"application/json": "receipts.ReceiptJson", "text/html": "receipt_pages.page"}
        form = request.accept_mimetypes.best_match(forms, "application/json")
        response = redirect(url_for(forms[form], record_id=record_id, **_held_by(query)), 303)
        response.headers["Vary"] = "Accept"
        return response


@pages.get("/<uuid:record_id>/receipt.html")
def page(record_id: UUID) -> Response:
    """Show a receipt to its visitor, or to whomever they gave the link."""
    query = _page_query()
    receipt = _asked(query, record_id)
    if isinstance(receipt.held, Kept):
        return _sent("receipts/receipt.html", **_kept_page(receipt, receipt.held, query))
    return _sent("receipts/erased.html", **_erased_page(receipt, query))


@pages.get("/<uuid:record_id>/as-shown")
def as_shown(record_id: UUID) -> AnyResponse:
    """Show the notice of a record once more, as the visitor was shown it."""
    query = _page_query()
    receipt = _asked(query, record_id)
    if not isinstance(receipt.held, Kept):
        return redirect(url_for(".page", record_id=record_id, **_held_by(query)), 303)
    record, content = receipt.held.document, receipt.content
    language = page_language(query["lang"], record["language"])
    if content is None:
        return _refusal(ServiceError(), "shown_refused")
    rules = use(Regions).rules
    shown = {
        "configuration": configuration_shown(
            record,
            content,
            rules,
            site_id=receipt.site.id,
            cookie=receipt.site.cookie_name,
        ),
        "layer": layer_shown(record),
        "ticked": record["choices"],
        "label": texts(language)["shown_frame"],
    }
    response = _sent(
        "receipts/as_shown.html",
        **_common(receipt, query, record["language"], here=".as_shown"),
        record=record,
        answers=answers(record, receipt.held.previous, content, None),
        created=_moment(receipt, record["created_at"], language),
        shown=shown,
        other_rules=record["rule_version"] != rules[UNKNOWN].version,
        back=url_for(".page", record_id=record_id, lang=language, **_held_by(query)),
        frame=url_for("preview.page"),
    )
    response.headers["Content-Security-Policy"] = _FRAMING_POLICY
    return response


@pages.errorhandler(UnknownRecord)
def unknown(error: UnknownRecord) -> Response:
    """Say that there is no such receipt, in words for people."""
    return _refusal(error, "unknown")


@pages.errorhandler(ValidationFailed)
def not_whole(_: ValidationFailed) -> Response:
    """Say the same of a link that was cut off."""
    return _refusal(UnknownRecord(), "unknown")


@pages.errorhandler(ProofBroken)
def broken(error: ProofBroken) -> Response:
    """Say that a receipt is withheld, in words for people."""
    return _refusal(error, "broken")


def _asked(query: dict[str, Any], record_id: UUID) -> Receipt:
    """Return the receipt that the link leads to, or that the visitor asks for."""
    if not query["site"]:
        return use(Receipts).for_link(query["tenant"], record_id, query["proof"])
    site = use(SiteDirectory).get(query["site"])
    return use(Receipts).for_visitor(site, record_id, presented_token(site) if site else None)


def _held_by(query: dict[str, Any]) -> dict[str, Any]:
    """Return what leads to a receipt, as it stands in an address."""
    if query["site"]:
        return {"site": query["site"]}
    return {name: query[name] for name in ("tenant", "proof") if query[name]}


def _page_query() -> dict[str, Any]:
    found: dict[str, Any] = StrictParser().parse(PageQuery, request, location="query")
    return found


def _kept_page(receipt: Receipt, held: Kept, query: dict[str, Any]) -> dict[str, Any]:
    record = held.document
    shown = _common(receipt, query, record["language"])
    neighbours = use(Receipts).neighbours(receipt, presented_token(receipt.site))
    language = shown["language"]
    return {
        **shown,
        "record": record,
        "content": receipt.content,
        "answers": answers(record, held.previous, receipt.content, query["lang"]),
        "authority": authority_of(record["region"], language),
        "notice_language": language_name(record["language"], language),
        "as_shown": url_for(
            ".as_shown", record_id=held.record_id, lang=language, **_held_by(query)
        ),
        "neighbours": {
            name: url_for(".page", record_id=found, site=receipt.site.site_key)
            for name, found in vars(neighbours).items()
            if found
        },
        "created": _moment(receipt, record["created_at"], language),
        "expires": _moment(receipt, record["expires_at"], language),
    }


def _erased_page(receipt: Receipt, query: dict[str, Any]) -> dict[str, Any]:
    tombstone = receipt.held.document
    shown = _common(receipt, query, request.accept_languages.best_match(LANGUAGES))
    t = shown["t"]
    reason = t["reasons"].get(
        tombstone["reason"], t["reason_other"].replace("{reason}", tombstone["reason"])
    )
    return {
        **shown,
        "tombstone": tombstone,
        "reason": reason,
        "created": _moment(receipt, tombstone["created_at"], shown["language"]),
        "erased": _moment(receipt, tombstone["erased_at"], shown["language"]),
    }


def _common(
    receipt: Receipt, query: dict[str, Any], preferred: str | None, *, here: str = ".page"
) -> dict[str, Any]:
    language = page_language(query["lang"], preferred)
    held = _held_by(query)
    return {
        **_words(language),
        "receipt": receipt,
        "site": receipt.site,
        "checkpoint": receipt.proof.checkpoint if receipt.proof else None,
        "issued": _moment(receipt, rfc3339(receipt.at), language),
        "offered": {
            tag: (name, url_for(here, record_id=receipt.held.record_id, lang=tag, **held))
            for tag, name in LANGUAGES.items()
        },
        "download": url_for(
            "receipts.ReceiptJson", record_id=receipt.held.record_id, download=1, **held
        ),
        "address": _page_address(receipt),
        "verify": f"{public_url()}/verify",
    }


def _page_address(receipt: Receipt) -> str:
    """Return the link that leads to this page from anywhere."""
    held = receipt.held
    return receipt_address(held.tenant_id, held.record_id).replace("/receipt.json", "/receipt.html")


def _words(language: str) -> dict[str, Any]:
    return {"language": language, "t": texts(language)}


def _moment(receipt: Receipt, written: str, language: str) -> Any:  # noqa: ANN401
    return moment(written, receipt.site.time_zone, language)


def _sent(template: str, **shown: Any) -> Response:  # noqa: ANN401
    response = Response(render_template(template, **shown))
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["Cache-Control"] = "private, no-store"
    # The page that opened this one in a window of its own has no hold on it, nor this one on that.
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    response.headers["X-Robots-Tag"] = "noindex"
    return response


def _refusal(error: ServiceError, said: str) -> Response:
    asked = request.args.get("lang")
    language = page_language(asked, request.accept_languages.best_match(LANGUAGES))
    response = _sent("receipts/refused.html", said=said, **_words(language))
    response.status_code = error.status
    return response
