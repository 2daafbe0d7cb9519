"""What comes in and goes out about the audit log."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, post_load, validate

from consent_service.access.audit_log import Filters

#: Events of a page, and at most.
PAGE, MAX_PAGE = 50, 200

_UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


class FiltersIn(Schema):
    """Which events."""

    actor = fields.String(
        load_default="",
        validate=validate.Regexp(f"^({_UUID}|operator|visitor|)$"),
        metadata={"description": "The id of a user or an API key, `operator`, or `visitor`."},
    )
    action = fields.String(
        load_default="",
        validate=validate.Regexp(r"^[a-z_.]{0,60}$"),
        metadata={"description": "How the action begins: `site`, or `site.updated`."},
    )
    object = fields.String(
        load_default="",
        validate=validate.Regexp(r"^[!-~]{0,100}$"),
        metadata={"description": "What it was done to: a site's key, say."},
    )
    since = fields.AwareDateTime(
        format="iso",
        data_key="from",
        load_default=None,
        metadata={"description": "From this moment on."},
    )
    until = fields.AwareDateTime(
        format="iso", load_default=None, metadata={"description": "Before this moment."}
    )

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:  # noqa: ANN401
        names = ("actor", "action", "object", "since", "until")
        return {**data, "filters": Filters(**{name: data[name] for name in names})}


class PageQuery(FiltersIn):
    """Which events, and which page of them."""

    limit = fields.Integer(load_default=PAGE, validate=validate.Range(1, MAX_PAGE))
    cursor = fields.String(
        load_default=None,
        validate=validate.Regexp(r"^[A-Za-z0-9_-]{1,120}$"),
        metadata={"description": "From the page before; left out for the newest."},
    )


class EventOut(Schema):
    """Who did what to what, and what it changed."""

    id = fields.String(required=True)
    at = fields.String(required=True)
    actor_kind = fields.String(
        required=True, validate=validate.OneOf(["user", "api_key", "operator", "visitor"])
    )
    actor_id = fields.String(required=True, allow_none=True)
    actor_name = fields.String(required=True, allow_none=True)
    action = fields.String(required=True)
    object_kind = fields.String(required=True)
    object_id = fields.String(required=True)
    object_name = fields.String(required=True, allow_none=True)
    before = fields.Dict(
        required=True,
        allow_none=True,
        metadata={"description": "The members that changed, as they were."},
    )
    after = fields.Dict(
        required=True, allow_none=True, metadata={"description": "The same, as they were then."}
    )
    network = fields.String(
        required=True, allow_none=True, metadata={"description": "Where from: /24 or /48."}
    )
    client = fields.String(
        required=True, allow_none=True, metadata={"description": "Browser family and device."}
    )


class PageOut(Schema):
    """A page of the audit log, newest first."""

    events = fields.List(fields.Nested(EventOut), required=True)
    cursor = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Where the next page begins; null on the last."},
    )
