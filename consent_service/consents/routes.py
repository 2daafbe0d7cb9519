"""A visitor's decisions over HTTP, and the keys that receipts are checked with."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote
from uuid import UUID

from flask import Response, jsonify, request
from flask.views import MethodView
from marshmallow import Schema, fields, validate

from consent_service import agent
from consent_service.access.auth import current_actor, needs
from consent_service.consents import signal, tokens
from consent_service.consents.held import link_proof
from consent_service.consents.linking import Linking
from consent_service.consents.lookup import (
    FoundRecord,
    find_record,
    find_visitor,
    shown_record,
    shown_visitor,
)
from consent_service.consents.record import Circumstances, Decision, signature_out
from consent_service.consents.schemas import (
    DecisionIn,
    ErasedOut,
    FoundRecordOut,
    FoundVisitorOut,
    JwksOut,
    LinkedOut,
    LinkIn,
    RecordedOut,
    VisitorOut,
)
from consent_service.consents.service import Consents
from consent_service.consents.tokens import Claims
from consent_service.db import Database
from consent_service.errors import NoticeChanged
from consent_service.limits import limit
from consent_service.notices.schemas import BannerOut
from consent_service.notices.service import NoticeDirectory, shown_to
from consent_service.regions.service import Regions
from consent_service.signing import Keyring
from consent_service.tenants.auth import allow_site_pages, current_site, current_tenant, named_site
from consent_service.tenants.service import Site
from consent_service.web import TO_MEMBERS, Blueprint, ErrorOut, public_url
from consent_service.wiring import use

visitors = Blueprint(
    "consents",
    __name__,
    url_prefix="/v1/sites/<site_key>/consents",
    description="A visitor's decisions. Called by the widget from the site's own pages.",
)
visitors.after_request(allow_site_pages)
limit(visitors)

records = Blueprint("records", __name__, description="The keys to check receipts with.")
limit(records)


found = Blueprint(
    "lookup",
    __name__,
    url_prefix="/v1/tenants/<string:tenant>",
    description="Records of visitors, for those who must answer for them. Each look is logged.",
    answers=TO_MEMBERS,
)
limit(found)


class TokenHeader(Schema):
    """How a visitor whose browser does not send us the cookie proves to be the visitor."""

    token = fields.String(
        data_key="X-Consent-Token", metadata={"description": "Else the cookie counts."}
    )


class DecisionHeaders(TokenHeader):
    """Who decides, and what makes a retry safe."""

    idempotency_key = fields.String(
        data_key="Idempotency-Key",
        load_default=None,
        validate=validate.Length(16, 128),
        metadata={"description": "A random id of the decision, the same on each of its retries."},
    )


class NoticeChangedOut(ErrorOut):
    """The decision was made on a notice that is no longer in force; the new one comes along."""

    banner = fields.Nested(BannerOut, required=True)


def presented_token(site: Site) -> str | None:
    """Return the token that came with the request: the header's, else the cookie's."""
    return tokens.presented_token(request.environ, site.cookie_name)


class SignalQuery(Schema):
    """What the page says of the browser's opt-out signal."""

    gpc = fields.String(
        load_default="0",
        validate=validate.OneOf(signal.SAID),
        metadata={
            "description": "`1`: the page sees Global Privacy Control in "
            "`navigator.globalPrivacyControl`. The header Sec-GPC counts as well."
        },
    )


def gpc_signalled(*, said: bool = False) -> bool:
    """Say whether Global Privacy Control is on: the browser says so, or the page does."""
    return signal.signalled(request.environ, said=said)


@visitors.route("")
class Decisions(MethodView):
    """Where decisions are stored."""

    @visitors.arguments(DecisionHeaders, location="headers")
    @visitors.arguments(DecisionIn)
    @visitors.response(201, RecordedOut)
    @visitors.alt_response(403, schema=ErrorOut, description="A page of another origin asks.")
    @visitors.alt_response(409, schema=NoticeChangedOut, description="The notice has changed.")
    def post(self, headers: dict[str, str | None], decision: Decision, site_key: str) -> Response:
        """Record a decision of the visitor who holds the token, or of a new visitor."""
        del site_key
        site = current_site()
        circumstances = circumstances_of_call(gpc=gpc_signalled(said=decision.gpc))
        rule = use(Regions).rule(circumstances.place, site)
        try:
            recorded = use(Consents).record_decision(
                site,
                decision,
                token=presented_token(site),
                idempotency_key=headers["idempotency_key"],
                circumstances=circumstances,
                rule=rule,
            )
        except NoticeChanged as error:
            notice = use(NoticeDirectory).in_force(site)
            error.extra = {
                "banner": shown_to(notice, site, decision.language, rule, gpc=circumstances.gpc)
            }
            raise
        response = jsonify(
            record=recorded.record,
            token=recorded.token,
            receipt_url=receipt_address(site.tenant_id, recorded.record["id"]),
        )
        response.status_code = 201
        set_cookies(response, site, recorded.claims, recorded.token)
        return response


@visitors.route("/link")
class Link(MethodView):
    """Where a visitor becomes a signed-in user of the site."""

    @visitors.arguments(TokenHeader, location="headers")
    @visitors.arguments(LinkIn)
    @visitors.response(200, LinkedOut)
    @visitors.alt_response(403, schema=ErrorOut, description="A page of another origin asks.")
    @visitors.alt_response(422, schema=ErrorOut, description="The user token is not right.")
    def post(self, _: dict[str, str], said: dict[str, Any], site_key: str) -> Response:
        """Have the user's choices apply to this device, and the device's to the user."""
        del site_key
        site = current_site()
        circumstances = circumstances_of_call(gpc=gpc_signalled(said=said["gpc"]))
        linked = use(Linking).link(
            site,
            said["user_token"],
            token=presented_token(site),
            circumstances=circumstances,
            rule=use(Regions).rule(circumstances.place, site),
        )
        response = jsonify(
            record=linked.record,
            token=linked.token,
            receipt_url=receipt_address(site.tenant_id, linked.record["id"])
            if linked.record
            else None,
            changed=linked.changed,
        )
        if linked.claims and linked.token:
            set_cookies(response, site, linked.claims, linked.token)
        elif linked.changed:
            _delete_cookies(response, site)
        return response


@visitors.route("/me")
class Me(MethodView):
    """What is held about the visitor who asks."""

    @visitors.arguments(TokenHeader, location="headers")
    @visitors.response(200, VisitorOut)
    @visitors.alt_response(404, schema=ErrorOut, description="No valid token, or nothing is held.")
    def get(self, _: dict[str, str], site_key: str) -> dict[str, Any]:
        """Give the visitor their newest record and all before it."""
        del site_key
        site = current_site()
        history = use(Consents).history(site, presented_token(site))
        return {
            "record": history[0],
            "history": history,
            "receipt_url": receipt_address(site.tenant_id, history[0]["id"]),
        }

    @visitors.arguments(TokenHeader, location="headers")
    @visitors.response(200, ErasedOut)
    @visitors.alt_response(404, schema=ErrorOut, description="No valid token, or nothing is held.")
    def delete(self, _: dict[str, str], site_key: str) -> Response:
        """Erase what is held about the visitor."""
        del site_key
        site = current_site()
        response = jsonify(erased_records=use(Consents).erase(site, presented_token(site)))
        _delete_cookies(response, site)
        return response


@found.route("/records/<uuid:record_id>")
class Record(MethodView):
    """A record."""

    @needs("records:read")
    @found.response(200, FoundRecordOut)
    def get(self, tenant: str, record_id: UUID) -> Response:
        """Give a record, whether its signature is right, and what is before and after it."""
        del tenant
        record = find_record(
            use(Database), use(Keyring), current_tenant().id, record_id, by=current_actor()
        )
        signature = signature_out(record.signature) if record.signature else None
        return jsonify(
            {**shown_record(record, receipt_link(record)), "signature": signature},
        )


@found.route("/sites/<string:site_key>/visitors/<string:visitor_id>")
class Visitor(MethodView):
    """A visitor."""

    @needs("records:read")
    @found.response(200, FoundVisitorOut)
    def get(self, tenant: str, site_key: str, visitor_id: str) -> Response:
        """Give what is held about a visitor of a site, by the id in a record."""
        del tenant
        site = named_site(site_key)
        return jsonify(
            shown_visitor(find_visitor(use(Database), site, visitor_id, by=current_actor()))
        )


@records.route("/.well-known/jwks.json")
class Jwks(MethodView):
    """The public keys."""

    @records.response(200, JwksOut)
    def get(self) -> Response:
        """Give the public keys that records were and are signed with (RFC 7517).

        Keys of which only the public half is left are among them, and those that were stolen: these
        say so.
        """
        response = jsonify(use(Keyring).jwks())
        # A new key signs a minute after it is published: by then nobody is to hold an older list.
        response.headers["Access-Control-Allow-Origin"] = "*"
        response.headers["Cache-Control"] = "public, max-age=30"
        return response


def set_cookies(response: Response, site: Site, claims: Claims, token: str) -> None:
    """Give the visitor the token, and the page a readable copy of the choices.

    Set by the server, they outlive the seven days that Safari grants to cookies set by scripts.
    """
    # The token has just been written.
    seconds = max(0, claims.expires_at - claims.issued_at)
    for name, value, secret in (
        (site.cookie_name, token, True),
        (f"{site.cookie_name}_choices", tokens.readable_choices(claims), False),
    ):
        response.set_cookie(
            name,
            value,
            max_age=seconds,
            domain=site.cookie_domain,
            secure=True,
            httponly=secret,
            samesite="Lax",
        )


def _delete_cookies(response: Response, site: Site) -> None:
    for name in (site.cookie_name, f"{site.cookie_name}_choices"):
        response.delete_cookie(name, domain=site.cookie_domain, secure=True, samesite="Lax")


def circumstances_of_call(*, gpc: bool) -> Circumstances:
    """Return what is kept of a call besides what it says."""
    user_agent = request.headers.get("User-Agent", "")
    return Circumstances(
        gpc=gpc,
        place=use(Regions).place(request.environ),
        device_class=agent.device_class(user_agent),
        browser_family=agent.browser_family(user_agent),
    )


def receipt_link(record: FoundRecord) -> str | None:
    """Return the link that the visitor has to a record of the current tenant; None once erased."""
    return None if record.erased_at else receipt_address(current_tenant().id, str(record.id))


def receipt_address(tenant_id: UUID, record_id: UUID | str) -> str:
    """Return the receipt link of a record: whoever holds it can read the receipt."""
    proof = quote(link_proof(use(Keyring), tenant_id, record_id))
    path = f"/v1/records/{record_id}/receipt.json"
    return f"{public_url()}{path}?tenant={tenant_id}&proof={proof}"
