"""What comes in and goes out about a visitor's decisions."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validate

from consent_service.consents.record import ACTIONS, SURFACES, Decision
from consent_service.key_file import REASONS

#: A page that was left open for longer than a day says nothing about how long somebody thought.
LONGEST_MS = 86_400_000


class Choices(fields.Dict):
    """Purpose key → true or false: a choice is never guessed from ``"yes"`` or ``1``."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> dict[str, bool]:  # noqa: ANN401
        if not isinstance(value, dict):
            raise self.make_error("invalid")
        wrong = {
            key: ["Say true or false."] for key, said in value.items() if not isinstance(said, bool)
        }
        if wrong:
            raise ValidationError(wrong)
        return value


def signal_field() -> fields.Boolean:
    """Make the field in which a page says that it sees the opt-out signal."""
    return fields.Boolean(
        truthy={True},
        falsy={False},
        load_default=False,
        metadata={
            "description": "Whether the page sees Global Privacy Control in "
            "`navigator.globalPrivacyControl`. The header Sec-GPC counts as well."
        },
    )


class DecisionIn(Schema):
    """One decision, as the widget sends it."""

    choices = Choices(
        fields.String(),
        fields.Boolean(),
        required=True,
        metadata={"description": "Every optional purpose of the notice, true or false."},
    )
    action = fields.String(required=True, validate=validate.OneOf(ACTIONS))
    notice_version = fields.Integer(required=True, strict=True, validate=validate.Range(min=1))
    language = fields.String(required=True, validate=validate.Length(2, 35))
    surface = fields.String(required=True, validate=validate.OneOf(SURFACES))
    gpc = signal_field()
    after_ms = fields.Integer(
        strict=True,
        allow_none=True,
        load_default=None,
        validate=validate.Range(min=0),
        metadata={
            "description": "Milliseconds from the banner's showing to the choice, where the page "
            "knows; more than a day counts as not known. No part of the record."
        },
    )

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> Decision:  # noqa: ANN401
        # No choice is refused because somebody left the page open.
        if (data["after_ms"] or 0) > LONGEST_MS:
            data["after_ms"] = None
        return Decision(**data)


class LinkIn(Schema):
    """Who is signed in on the page, as the site's server says."""

    user_token = fields.String(
        required=True,
        # A body of that size holds any that is right.
        validate=validate.Length(1, 4096),
        metadata={"description": "A JWT of the site's server, see docs/linking.md."},
    )
    gpc = signal_field()


class RecordOut(Schema):
    """A record as it was signed (see docs/records.md)."""

    schema_version = fields.Integer()
    id = fields.String()
    tenant_id = fields.String()
    site_key = fields.String()
    visitor_id = fields.String()
    previous_id = fields.String(allow_none=True)
    sequence = fields.Integer()
    action = fields.String()
    surface = fields.String()
    signal_source = fields.String()
    choices = fields.Dict(fields.String(), fields.Boolean())
    gpc = fields.Boolean()
    notice_version = fields.Integer()
    notice_hash = fields.String()
    policy_version = fields.String()
    language = fields.String()
    region = fields.String()
    regime = fields.String()
    rule_version = fields.String()
    country = fields.String(allow_none=True)
    device_class = fields.String()
    browser_family = fields.String()
    created_at = fields.String()
    expires_at = fields.String()


class RecordedOut(Schema):
    """The answer to a decision that was stored."""

    record = fields.Nested(RecordOut)
    token = fields.String(metadata={"description": "Proof of being this visitor; keep it private."})
    receipt_url = fields.String()


class LinkedOut(Schema):
    """Where the user stands; all null if no choice of the user is known."""

    record = fields.Nested(RecordOut, allow_none=True)
    token = fields.String(
        allow_none=True,
        metadata={"description": "Hold this one from now on; if null, none."},
    )
    receipt_url = fields.String(allow_none=True)
    changed = fields.Boolean(
        metadata={
            "description": "Whether another record stands on this device now than the token that "
            "came with the call told of."
        }
    )


class VisitorOut(Schema):
    """What is held about the visitor who asks."""

    record = fields.Nested(RecordOut)
    history = fields.List(
        fields.Nested(RecordOut),
        metadata={
            "description": "All records, newest first; then those of other devices' visitors "
            "from before they were linked."
        },
    )
    receipt_url = fields.String(
        required=True, metadata={"description": "The newest record's receipt link."}
    )


class SignatureOut(Schema):
    """An Ed25519 signature over the record's canonical form (RFC 8785)."""

    algorithm = fields.String()
    key_id = fields.String(metadata={"description": "A key of /.well-known/jwks.json."})
    value = fields.String(metadata={"description": "base64url"})


class KeyRevokedOut(Schema):
    """That the key of a signature must not be used any more."""

    revoked_at = fields.String(required=True, metadata={"description": "Since when, RFC 3339."})
    reason = fields.String(
        required=True,
        validate=validate.OneOf(REASONS),
        metadata={
            "description": "`compromised`: somebody else may have signed as well; whether the "
            "record is genuine, the ledger tells. `lost`: its signatures count as before."
        },
    )


class JwkRevokedOut(Schema):
    """The same as a JWK has it, in the form of OpenID Federation's historical keys."""

    revoked_at = fields.Integer(required=True, metadata={"description": "Seconds since 1970."})
    reason = fields.String(required=True, validate=validate.OneOf(REASONS))


class JwkOut(Schema):
    """A public record key (RFC 8037, RFC 9864)."""

    kty = fields.String(required=True, validate=validate.Equal("OKP"))
    crv = fields.String(required=True, validate=validate.Equal("Ed25519"))
    x = fields.String(required=True, metadata={"description": "The key: 32 bytes, base64url."})
    kid = fields.String(required=True, metadata={"description": "Its thumbprint (RFC 7638)."})
    alg = fields.String(required=True, validate=validate.Equal("Ed25519"))
    use = fields.String(required=True, validate=validate.Equal("sig"))
    revoked = fields.Nested(
        JwkRevokedOut,
        metadata={
            "description": "Only of keys that sign no more: what a `compromised` key signed counts "
            "where the ledger held it; what a `lost` key signed counts as before."
        },
    )


class JwksOut(Schema):
    """A JWK Set (RFC 7517): the keys that records are and were signed with, oldest first."""

    keys = fields.List(fields.Nested(JwkOut), required=True)


class FoundRecordOut(Schema):
    """A record that was looked up."""

    id = fields.String(required=True)
    site_key = fields.String(required=True)
    created_at = fields.String(required=True)
    erased_at = fields.String(
        required=True, allow_none=True, metadata={"description": "When it was emptied."}
    )
    record = fields.Nested(RecordOut, required=True, allow_none=True)
    signature = fields.Nested(SignatureOut, required=True, allow_none=True)
    signature_valid = fields.Boolean(
        required=True,
        allow_none=True,
        metadata={"description": "Whether one of our keys has signed just this."},
    )
    key_revoked = fields.Nested(
        KeyRevokedOut,
        required=True,
        allow_none=True,
        metadata={"description": "Null while the key that signed may be used."},
    )
    previous_id = fields.String(
        required=True, allow_none=True, metadata={"description": "The visitor's record before."}
    )
    next_id = fields.String(
        required=True, allow_none=True, metadata={"description": "The visitor's record after."}
    )
    receipt_url = fields.String(required=True, allow_none=True)


class FoundVisitorOut(Schema):
    """What is held about a visitor who was looked up."""

    visitor_id = fields.String(required=True)
    site_key = fields.String(required=True)
    merged_into = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Who stands for this visitor since both signed in as one user."},
    )
    linked = fields.Boolean(
        required=True, metadata={"description": "A user of the site, on all devices."}
    )
    erased = fields.Boolean(required=True)
    choices = fields.Dict(
        fields.String(),
        fields.String(validate=validate.OneOf(["granted", "refused", "withdrawn"])),
        required=True,
    )
    expires_at = fields.String(required=True, allow_none=True)
    records = fields.List(
        fields.Nested(RecordOut),
        required=True,
        metadata={
            "description": "Newest first, 200 at most; then those of visitors merged into this one."
        },
    )


class ErasedOut(Schema):
    """How much was erased."""

    erased_records = fields.Integer()
