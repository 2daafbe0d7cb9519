"""What comes in and goes out about API keys."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from consent_service.access.keys import MAX_OVERLAP_HOURS, OVERLAP_HOURS
from consent_service.access.permissions import SCOPES
from consent_service.text import LONGEST_NAME


class KeyIn(Schema):
    """A key to make."""

    name = fields.String(
        required=True,
        validate=validate.Length(1, LONGEST_NAME),
        metadata={"description": "What it is for, as people read it."},
    )
    scopes = fields.List(
        fields.String(validate=validate.OneOf(SCOPES)),
        required=True,
        validate=validate.Length(1, len(SCOPES)),
        metadata={"description": "What it may do; none that its maker may not."},
    )
    expires_at = fields.AwareDateTime(
        format="iso",
        allow_none=True,
        load_default=None,
        metadata={"description": "From when on it opens nothing; null: it does not expire."},
    )


class RotationIn(Schema):
    """How a key is replaced."""

    overlap_hours = fields.Integer(
        strict=True,
        load_default=OVERLAP_HOURS,
        validate=validate.Range(0, MAX_OVERLAP_HOURS),
        metadata={"description": "For how long the old key goes on; 0: it ends at once."},
    )


class KeyOut(Schema):
    """A key, without what it is called with."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    scopes = fields.List(fields.String(), required=True)
    hint = fields.String(required=True, metadata={"description": "How it begins."})
    state = fields.String(
        required=True,
        validate=validate.OneOf(["in_use", "ending", "expired", "revoked"]),
        metadata={"description": "ending: it was rotated, and opens what it did until it expires."},
    )
    created_at = fields.String(required=True)
    expires_at = fields.String(required=True, allow_none=True)
    last_used_at = fields.String(
        required=True, allow_none=True, metadata={"description": "To the minute."}
    )
    revoked_at = fields.String(required=True, allow_none=True)
    replaced_by = fields.String(
        required=True, allow_none=True, metadata={"description": "The id of the key after it."}
    )


class KeysOut(Schema):
    """A tenant's keys, newest first."""

    keys = fields.List(fields.Nested(KeyOut), required=True)


class NewKeyOut(Schema):
    """A key that was made a moment ago."""

    key = fields.Nested(KeyOut, required=True)
    secret = fields.String(
        required=True,
        metadata={"description": "For Authorization: Bearer. Shown this once, and stored nowhere."},
    )
