"""A tenant's users over HTTP: members, invitations and what their links open, and the provider."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response, jsonify
from flask.views import MethodView
from marshmallow import fields

from consent_service.access import cookies, invitations, members, providers
from consent_service.access.auth import (
    current_actor,
    current_session,
    needs,
    own_pages_only,
    require_own_sign_in,
    signed_in_if_so,
    stranger,
)
from consent_service.access.invitations import Invitation
from consent_service.access.members import Member
from consent_service.access.providers import Provider, Providers, Wanted
from consent_service.db import Database
from consent_service.limits import limit
from consent_service.signing import Keyring
from consent_service.tenants.auth import current_tenant
from consent_service.users.schemas import (
    AcceptedOut,
    AcceptIn,
    InvitationIn,
    InvitationOut,
    InvitationsOut,
    MemberOut,
    MembersOut,
    OfferOut,
    ProviderCheckOut,
    ProviderIn,
    ProviderOut,
    RoleIn,
    SendIn,
)
from consent_service.users.service import Accepted, Inviting, Post
from consent_service.users.service import Offer as OfferedInvitation
from consent_service.web import TO_MEMBERS, Blueprint, ErrorOut, StaleOut, public_url
from consent_service.wiring import use

users = Blueprint(
    "users",
    __name__,
    url_prefix="/v1/tenants/<string:tenant>",
    description="Who has access to a tenant: members, invitations, and where they sign in.",
    answers=TO_MEMBERS,
)
offers = Blueprint(
    "invitations",
    __name__,
    url_prefix="/v1/invitations",
    description="What the link of an invitation opens.",
)
limit(users)
limit(offers)
offers.before_request(own_pages_only)


class InvitationNotSentOut(ErrorOut):
    """The invitation is there, and its mail was not sent."""

    invitation_id = fields.UUID(required=True)


@users.route("/users")
class Members(MethodView):
    """Who has access."""

    @needs("users:read")
    @users.response(200, MembersOut)
    def get(self, tenant: str) -> dict[str, list[Member]]:
        """List the tenant's users, by name."""
        del tenant
        found = members.list_members(use(Database), use(Keyring), current_tenant().id)
        return {"users": found}


@users.route("/users/<uuid:user_id>")
class One(MethodView):
    """One user of the tenant."""

    @needs("users:write", fresh=True)
    @users.arguments(RoleIn)
    @users.response(200, MemberOut)
    @users.alt_response(409, schema=ErrorOut, description="It is the tenant's only owner.")
    def patch(self, given: dict[str, str], tenant: str, user_id: UUID) -> Member:
        """Give a user another role, which holds from the next call on."""
        del tenant
        database, tenant_id = use(Database), current_tenant().id
        members.change_role(database, tenant_id, user_id, given["role"], by=current_actor())
        return members.find_member(database, use(Keyring), tenant_id, user_id)

    @needs("users:write", fresh=True)
    @users.response(204)
    @users.alt_response(409, schema=ErrorOut, description="It is the tenant's only owner.")
    def delete(self, tenant: str, user_id: UUID) -> Response:
        """End a user's access to the tenant, at once."""
        del tenant
        members.end_membership(use(Database), current_tenant().id, user_id, by=current_actor())
        return Response(status=204)


@users.route("/invitations")
class Invitations(MethodView):
    """Who is invited."""

    @needs("users:read")
    @users.response(200, InvitationsOut)
    def get(self, tenant: str) -> dict[str, list[Invitation]]:
        """List the invitations that were neither accepted nor revoked, newest first."""
        del tenant
        found = invitations.list_invitations(use(Database), use(Keyring), current_tenant().id)
        return {"invitations": found}

    @needs("users:write", fresh=True)
    @users.arguments(InvitationIn)
    @users.response(201, InvitationOut)
    @users.alt_response(503, schema=InvitationNotSentOut, description="The mail was not sent.")
    def post(self, given: dict[str, Any], tenant: str) -> Invitation:
        """Invite somebody: a link that counts once, for seven days, is mailed."""
        del tenant
        return use(Inviting).invite(
            current_tenant(),
            given["email"],
            given["role"],
            Post(public_url(), given["language"]),
            by=current_actor(),
        )


@users.route("/invitations/<uuid:invitation_id>")
class OneInvitation(MethodView):
    """One invitation."""

    @needs("users:write", fresh=True)
    @users.response(204)
    def delete(self, tenant: str, invitation_id: UUID) -> Response:
        """Revoke an invitation: its link opens nothing any more."""
        del tenant
        invitations.revoke(use(Database), current_tenant().id, invitation_id, by=current_actor())
        return Response(status=204)


@users.route("/invitations/<uuid:invitation_id>/send")
class SendAgain(MethodView):
    """An invitation whose mail was lost, or whose link has expired."""

    @needs("users:write", fresh=True)
    @users.arguments(SendIn)
    @users.response(200, InvitationOut)
    @users.alt_response(503, schema=InvitationNotSentOut, description="The mail was not sent.")
    def post(self, given: dict[str, Any], tenant: str, invitation_id: UUID) -> Invitation:
        """Mail an invitation again; its link counts for seven days from now."""
        del tenant
        return use(Inviting).send_again(
            current_tenant(),
            invitation_id,
            Post(public_url(), given["language"]),
            by=current_actor(),
        )


@users.route("/identity-provider")
class TenantProvider(MethodView):
    """Where the tenant's users may, or must, sign in."""

    @needs("users:read")
    @users.response(200, ProviderOut)
    def get(self, tenant: str) -> Provider:
        """Show how the tenant's OpenID Connect provider is set up, without the secret."""
        del tenant
        return use(Providers).find(current_tenant().id)

    @needs("sign_in:write", fresh=True)
    @users.arguments(ProviderIn)
    @users.response(200, ProviderOut)
    @users.alt_response(409, schema=StaleOut, description="Somebody else has changed it.")
    def put(self, wanted: Wanted, tenant: str) -> Provider:
        """Set the provider up, or change it."""
        del tenant
        tenant_id = current_tenant().id
        proven = current_session().provider_of == tenant_id
        return use(Providers).save(tenant_id, wanted, proven=proven, by=current_actor())

    @needs("sign_in:write", fresh=True)
    @users.response(204)
    def delete(self, tenant: str) -> Response:
        """Forget the provider: users sign in with their own passwords and passkeys again."""
        del tenant
        providers.remove(use(Database), current_tenant().id, by=current_actor())
        return Response(status=204)


@users.route("/identity-provider/check")
class ProviderCheck(MethodView):
    """Whether the provider answers."""

    @needs("sign_in:write")
    @users.response(200, ProviderCheckOut)
    @users.alt_response(
        502, schema=ErrorOut, description="The identity provider does not answer as one."
    )
    def post(self, tenant: str) -> dict[str, Any]:
        """Ask the provider for its discovery document."""
        del tenant
        return use(Providers).check(current_tenant().id)


@offers.route("/<string:token>")
class Offer(MethodView):
    """What a link is for."""

    @offers.response(200, OfferOut)
    @offers.alt_response(410, schema=ErrorOut, description="The link cannot be used (any more).")
    def get(self, token: str) -> OfferedInvitation:
        """Say what an invitation is for."""
        return use(Inviting).offer(token)


@offers.route("/<string:token>/accept")
class Accept(MethodView):
    """The answer."""

    @offers.arguments(AcceptIn)
    @offers.response(201, AcceptedOut)
    @offers.alt_response(
        401, schema=ErrorOut, description="The address has an account: sign in, then accept."
    )
    @offers.alt_response(
        403,
        schema=ErrorOut,
        description="The invitation is for somebody else, or the call is from none of our pages.",
    )
    @offers.alt_response(410, schema=ErrorOut, description="The link cannot be used (any more).")
    def post(self, given: dict[str, Any], token: str) -> Response:
        """Accept: as who is signed in, or by making an account, which is then signed in."""
        if signed_in_if_so():
            require_own_sign_in()
            return _accepted(use(Inviting).accept(token, by=current_actor()))
        accepted, begun = use(Inviting).accept_as_new(token, **given, by=stranger())
        response = _accepted(accepted)
        cookies.begin(response, begun)
        return response


def _accepted(accepted: Accepted) -> Response:
    response = jsonify(tenant=accepted.tenant.slug, role=accepted.role)
    response.status_code = 201
    return response
