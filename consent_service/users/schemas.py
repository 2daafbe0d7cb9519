"""What calls about a tenant's users take and give."""

from __future__ import annotations

from marshmallow import Schema, fields, post_load, validate

from consent_service.access.permissions import ROLES
from consent_service.access.providers import Wanted
from consent_service.access.schemas import Moment

_ROLE = validate.OneOf(ROLES)


class MemberOut(Schema):
    """A user of the tenant."""

    id = fields.UUID(attribute="user_id")
    name = fields.String()
    email = fields.String()
    role = fields.String(validate=_ROLE)
    since = Moment()
    second_factor = fields.Boolean(metadata={"description": "Whether the user has set one up."})
    last_seen_at = Moment(
        allow_none=True, metadata={"description": "In a session that has not ended."}
    )


class MembersOut(Schema):
    """The tenant's users."""

    users = fields.List(fields.Nested(MemberOut))


class RoleIn(Schema):
    """What a user is to be."""

    role = fields.String(required=True, validate=_ROLE)


class InvitationIn(Schema):
    """Who is to be invited."""

    email = fields.String(required=True, validate=validate.Length(3, 254))
    role = fields.String(required=True, validate=_ROLE)
    language = fields.String(
        load_default=None,
        validate=validate.OneOf(["en", "sw"]),
        metadata={"description": "Of the mail; else the caller's own."},
    )


class SendIn(Schema):
    """How an invitation is to be sent again."""

    language = fields.String(
        load_default=None,
        validate=validate.OneOf(["en", "sw"]),
        metadata={"description": "Of the mail; else the caller's own."},
    )


class InvitationOut(Schema):
    """An invitation that was neither accepted nor revoked. Its link is in the mail alone."""

    id = fields.UUID()
    email = fields.String()
    role = fields.String(validate=_ROLE)
    created_at = Moment()
    expires_at = Moment()
    expired = fields.Boolean(metadata={"description": "Sent again, it counts for seven days."})


class InvitationsOut(Schema):
    """The tenant's invitations, newest first."""

    invitations = fields.List(fields.Nested(InvitationOut))


class OfferOut(Schema):
    """What an invitation's link is for."""

    tenant = fields.String(metadata={"description": "The tenant's name."})
    email = fields.String()
    role = fields.String(validate=_ROLE)
    expires_at = Moment()
    account = fields.Boolean(
        metadata={
            "description": "Whether the address has an account: then its user signs in and "
            "accepts; else accepting takes a name and a password."
        }
    )
    second_factor = fields.Boolean(
        metadata={"description": "Whether the role can be used with a second factor only."}
    )


class AcceptIn(Schema):
    """What makes a new account; nothing for who is signed in."""

    name = fields.String(load_default="", validate=validate.Length(max=100))
    password = fields.String(load_default="", validate=validate.Length(max=500))
    language = fields.String(load_default=None, validate=validate.OneOf(["en", "sw"]))


class AcceptedOut(Schema):
    """Where the invitation has led to."""

    tenant = fields.String(metadata={"description": "The tenant's slug."})
    role = fields.String(validate=_ROLE)


class ProviderIn(Schema):
    """How an OpenID Connect provider is to be set up."""

    issuer = fields.String(
        required=True,
        validate=validate.Length(1, 500),
        metadata={"description": "As the provider writes it: https://login.example.com"},
    )
    client_id = fields.String(required=True, validate=validate.Length(1, 200))
    client_secret = fields.String(
        load_default=None,
        validate=validate.Length(1, 500),
        metadata={"description": "Left out, it stays as it is. It is never shown."},
    )
    required = fields.Boolean(
        load_default=False,
        metadata={
            "description": "Whether a password opens nothing in this tenant. To be set by somebody "
            "who has signed in at the provider."
        },
    )
    revision = fields.Integer(
        required=True,
        strict=True,
        validate=validate.Range(0, 2**31 - 2),
        metadata={"description": "The one that was read; 0 where there was none."},
    )

    @post_load
    def _wanted(self, loaded: dict[str, object], **_: object) -> Wanted:
        return Wanted(**loaded)  # type: ignore[arg-type]


class ProviderOut(Schema):
    """How the tenant's provider is set up."""

    issuer = fields.String()
    client_id = fields.String()
    required = fields.Boolean()
    revision = fields.Integer()


class ProviderCheckOut(Schema):
    """What the provider says of itself."""

    issuer = fields.String()
    authorization_endpoint = fields.String()
