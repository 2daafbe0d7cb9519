"""What comes in and goes out about tenants, sites and link keys."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from consent_service.regions.rules import REGIMES
from consent_service.tenants.service import (
    DEFAULT_TIME_ZONE,
    LONGEST_ORIGIN,
    LONGEST_TIME_ZONE,
    MAX_ORIGINS,
)
from consent_service.text import LONGEST_NAME

#: As large as the database's whole numbers get.
_MOST = 2**31 - 1

_TIME_ZONE = "IANA name of the time zone whose days reports count."


def site_field() -> fields.String:
    """Make the field in which a call names one of the caller's sites."""
    return fields.String(
        required=True,
        validate=validate.Regexp(r"^[A-Za-z0-9_-]{1,64}$"),
        metadata={"description": "The site's key."},
    )


def _name(*, required: bool = False) -> fields.String:
    return fields.String(required=required, validate=validate.Length(1, LONGEST_NAME))


def _origins(*, required: bool = False) -> fields.List[str]:
    return fields.List(
        fields.String(validate=validate.Length(1, LONGEST_ORIGIN)),
        required=required,
        validate=validate.Length(1, MAX_ORIGINS),
        metadata={"description": "Origins of the site's pages, as browsers send them."},
    )


class TenantOut(Schema):
    """A tenant."""

    slug = fields.String(required=True)
    name = fields.String(required=True)


class SiteIn(Schema):
    """A site to make."""

    name = _name(required=True)
    allowed_origins = _origins(required=True)
    cookie_domain = fields.String(
        allow_none=True,
        load_default=None,
        validate=validate.Length(1, 253),
        metadata={"description": "Parent domain whose subdomains share the choice; else null."},
    )
    regime_overrides = fields.Dict(
        fields.String(),
        fields.String(validate=validate.OneOf(REGIMES)),
        load_default=dict,
        metadata={"description": "The site's own regime by region code, such as GB or US-CA."},
    )
    time_zone = fields.String(
        load_default=DEFAULT_TIME_ZONE,
        validate=validate.Length(1, LONGEST_TIME_ZONE),
        metadata={"description": _TIME_ZONE},
    )


class SiteChangesIn(Schema):
    """What is to change of a site; what is left out stays."""

    revision = fields.Integer(
        required=True,
        strict=True,
        validate=validate.Range(1, _MOST),
        metadata={"description": "The site's revision that the changes were made to."},
    )
    name = _name()
    allowed_origins = _origins()
    cookie_domain = fields.String(allow_none=True, validate=validate.Length(1, 253))
    regime_overrides = fields.Dict(
        fields.String(),
        fields.String(validate=validate.OneOf(REGIMES)),
        metadata={"description": "All of the site's own regimes by region code."},
    )
    time_zone = fields.String(
        validate=validate.Length(1, LONGEST_TIME_ZONE),
        metadata={"description": f"{_TIME_ZONE} Another one has all days counted anew."},
    )


class SiteOut(Schema):
    """A site."""

    site_key = fields.String(required=True)
    name = fields.String(required=True)
    allowed_origins = fields.List(fields.String(), required=True)
    cookie_domain = fields.String(required=True, allow_none=True)
    regime_overrides = fields.Dict(fields.String(), fields.String(), required=True)
    time_zone = fields.String(required=True, metadata={"description": _TIME_ZONE})
    revision = fields.Integer(
        required=True, metadata={"description": "How often it was changed, and 1."}
    )


class SitesOut(Schema):
    """A tenant's sites, oldest first."""

    sites = fields.List(fields.Nested(SiteOut), required=True)


class LinkKeyOut(Schema):
    """A link key, without its secret."""

    number = fields.Integer(required=True, metadata={"description": "What kid names."})
    created_at = fields.String(required=True)
    retired_at = fields.String(required=True, allow_none=True)
    state = fields.String(
        required=True,
        validate=validate.OneOf(["in_use", "retired", "lost"]),
        metadata={"description": "lost: the key file lacks the key that it was made from."},
    )


class LinkKeysOut(Schema):
    """A site's link keys, oldest to newest."""

    link_keys = fields.List(fields.Nested(LinkKeyOut), required=True)


class NewLinkKeyOut(LinkKeyOut):
    """A link key that was made a moment ago."""

    secret = fields.String(
        required=True, metadata={"description": "For the site's server alone; shown this once."}
    )
