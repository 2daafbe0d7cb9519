"""What calls of signing in and of one's own account take and give."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from consent_service import clock
from consent_service.access import passwords

_STEP = validate.Length(1, 100)
_CODE = validate.Length(1, 50)
#: Nothing longer can be right; longer than the longest password, so that it tells nothing.
_PASSWORD = validate.Length(1, 500)
LANGUAGES = ("en", "sw")


class Moment(fields.DateTime):
    """A time, written as everywhere: RFC 3339, in UTC."""

    def _serialize(self, value: datetime | None, *_: object, **__: object) -> str | None:
        return None if value is None else clock.rfc3339(value)


class PasswordIn(Schema):
    """Who says to be whom."""

    email = fields.String(required=True, validate=validate.Length(1, 320))
    password = fields.String(required=True, validate=_PASSWORD)


class CodeIn(Schema):
    """A code of an authenticator app, or a recovery code."""

    code = fields.String(required=True, validate=_CODE)


class PasskeyCredential(Schema):
    """``PublicKeyCredential.toJSON()``, as the browser gives it."""

    class Meta:
        """Browsers add members of their own."""

        unknown = "include"

    id = fields.String(required=True, validate=validate.Length(1, 1400))
    response = fields.Dict(keys=fields.String(), required=True)


class PasskeyIn(Schema):
    """A passkey that was used."""

    credential = fields.Nested(PasskeyCredential, required=True)


class NewPasskeyIn(PasskeyIn):
    """A passkey that was made."""

    name = fields.String(
        required=True,
        validate=validate.Length(1, 100),
        metadata={"description": "What its user calls it: Work laptop."},
    )


class ProofIn(Schema):
    """One of the three that the user proves to be there with."""

    password = fields.String(validate=_PASSWORD)
    code = fields.String(validate=_CODE, metadata={"description": "Of the authenticator app."})
    credential = fields.Nested(
        PasskeyCredential,
        metadata={"description": "Of a passkey, see /v1/account/prove/options."},
    )

    @validates_schema
    def _one(self, proof: Mapping[str, object], **_: object) -> None:
        if len(proof) != 1:
            raise ValidationError("Send one of password, code and credential.", "password")


class NewPasswordIn(Schema):
    """The user's next password."""

    password = fields.String(
        required=True,
        validate=_PASSWORD,
        metadata={
            "description": f"From {passwords.SHORTEST} to {passwords.LONGEST} characters, and not "
            "one that many people use."
        },
    )


class TotpIn(CodeIn):
    """The first code of an authenticator app."""

    step = fields.String(
        required=True, validate=_STEP, metadata={"description": "As the set-up gave it."}
    )


class AccountIn(Schema):
    """What a user changes; what is left out stays."""

    name = fields.String(validate=validate.Length(1, 200))
    language = fields.String(validate=validate.OneOf(LANGUAGES))


class SignedInOut(Schema):
    """How far signing in has come. Cookies hold the rest."""

    next = fields.String(
        validate=validate.OneOf(["second_factor", "done"]),
        metadata={"description": "`second_factor`: within ten minutes, by one of the methods."},
    )
    methods = fields.List(
        fields.String(validate=validate.OneOf(["passkey", "totp", "recovery_code"]))
    )


class OptionsOut(Schema):
    """What the browser's `navigator.credentials` is called with, as JSON."""

    public_key = fields.Dict()


class TotpSetUpOut(Schema):
    """What an authenticator app is told."""

    step = fields.String(metadata={"description": "Send it along with the first code."})
    secret = fields.String()
    uri = fields.String(metadata={"description": "otpauth://…"})
    picture = fields.String(metadata={"description": "The same as a QR code: data:image/svg+xml…"})


class RecoveryCodesOut(Schema):
    """Ten codes; they cannot be shown again."""

    codes = fields.List(fields.String())


class PasskeyOut(Schema):
    """A passkey."""

    id = fields.UUID()
    name = fields.String()
    created_at = Moment()
    last_used_at = Moment(allow_none=True)


class PasskeysOut(Schema):
    """A user's passkeys."""

    passkeys = fields.List(fields.Nested(PasskeyOut))


class SessionOut(Schema):
    """Where and since when a user is signed in."""

    id = fields.UUID()
    created_at = Moment()
    last_seen_at = Moment()
    network = fields.String(allow_none=True, metadata={"description": "No address: /24 or /48."})
    client = fields.String(allow_none=True, metadata={"description": "Browser and device class."})
    current = fields.Boolean(metadata={"description": "Whether it is the one that asks."})


class SessionsOut(Schema):
    """A user's sessions."""

    sessions = fields.List(fields.Nested(SessionOut))


class EndedOut(Schema):
    """How many sessions were ended."""

    ended = fields.Integer()


class FactorsOut(Schema):
    """What a user can prove to be there with, besides a password."""

    totp = fields.Boolean()
    passkeys = fields.Integer()
    recovery_codes = fields.Integer(metadata={"description": "How many are left."})


class TenantRoleOut(Schema):
    """A tenant, and what the user is in it."""

    slug = fields.String()
    name = fields.String()
    role = fields.String()


class AccountOut(Schema):
    """Who is signed in."""

    id = fields.UUID()
    email = fields.String()
    name = fields.String()
    language = fields.String(allow_none=True)
    tenants = fields.List(fields.Nested(TenantRoleOut))
    factors = fields.Nested(FactorsOut)
    second_factor = fields.String(
        allow_none=True, metadata={"description": "What this session began with."}
    )
    authenticated_at = Moment(metadata={"description": "When the user last proved to be there."})
    csrf_token = fields.String(metadata={"description": "Send it with every write: X-CSRF-Token."})
