"""What calls of reports take and give."""

from __future__ import annotations

from typing import Any

from marshmallow import (
    Schema,
    ValidationError,
    fields,
    post_load,
    validate,
    validates_schema,
)

from consent_service.access.schemas import Moment
from consent_service.consents.schemas import signal_field
from consent_service.reports.counting import COMMON, DIMENSIONS, KINDS
from consent_service.reports.impressions import Event
from consent_service.reports.periods import STEPS, Period
from consent_service.reports.quarter import Quarter, read_quarter
from consent_service.reports.questions import VALUE
from consent_service.reports.rates import DEFINITIONS
from consent_service.reports.suppression import LARGEST, SMALLEST
from consent_service.reports.wording import LANGUAGES
from consent_service.tenants.schemas import site_field

# Impressions.


class EventIn(Schema):
    """One thing that happened to a banner, as the widget tells it."""

    type = fields.String(required=True, validate=validate.OneOf(KINDS))
    notice_version = fields.Integer(required=True, strict=True, validate=validate.Range(min=1))
    language = fields.String(required=True, validate=validate.Length(2, 35))
    gpc = signal_field()

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> Event:  # noqa: ANN401
        return Event(**data)


# Questions and rates.


def _value_of(dimension: str) -> fields.String:
    return fields.String(
        validate=validate.Regexp(f"^{VALUE}$"),
        metadata={"description": f"Only people of this {dimension.replace('_', ' ')}."},
    )


class _RatesQuery(Schema):
    site = site_field()
    since = fields.Date(
        data_key="from",
        load_default=None,
        metadata={"description": "First day, in the site's time zone; else 29 days before `to`."},
    )
    until = fields.Date(
        data_key="to",
        load_default=None,
        metadata={"description": "Last day; else today."},
    )
    group = fields.String(
        load_default=None,
        validate=validate.OneOf(DIMENSIONS),
        metadata={"description": "The dimension whose values are told apart."},
    )
    step = fields.String(
        load_default=None,
        validate=validate.OneOf(STEPS),
        metadata={
            "description": "How long the points of the series are; without it there is none."
        },
    )
    compare_from = fields.Date(
        load_default=None,
        metadata={"description": "First day of the period that this one is compared with."},
    )
    compare_to = fields.Date(load_default=None, metadata={"description": "Its last day."})
    compare = fields.String(
        load_default=None,
        validate=validate.Regexp(f"^{VALUE},{VALUE}$"),
        metadata={"description": "Two values of the group; the second is compared with the first."},
    )

    @validates_schema
    def _fit_together(self, data: dict[str, Any], **_: Any) -> None:  # noqa: ANN401
        filters = [name for name in COMMON if name in data]
        for name in filters[1:]:
            raise ValidationError(f"It is filtered by {filters[0]} already.", name)
        if (data["compare_from"] is None) != (data["compare_to"] is None):
            raise ValidationError("Give both compare_from and compare_to.", "compare_from")
        if data["compare"] is not None and data["compare_from"] is not None:
            raise ValidationError("Compare two periods or two groups, not both.", "compare")

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:  # noqa: ANN401
        where = next(((name, data.pop(name)) for name in COMMON if name in data), None)
        first, last = data.pop("compare_from"), data.pop("compare_to")
        pair = data.pop("compare")
        compared = tuple(pair.split(",")) if pair else Period(first, last) if first else None
        return {**data, "where": where, "compare_with": compared}


#: A question: a period, and one common dimension's value at most.
RatesQuery = _RatesQuery.from_dict({name: _value_of(name) for name in COMMON}, name="RatesQuery")


class RateOut(Schema):
    """A share, and what it was computed from."""

    name = fields.String(
        required=True, validate=validate.OneOf([each.name for each in DEFINITIONS])
    )
    purpose = fields.String(required=True, allow_none=True)
    numerator = fields.Integer(required=True)
    denominator = fields.Integer(required=True)
    value = fields.Float(required=True, allow_none=True, metadata={"description": "0 to 1."})
    low = fields.Float(
        required=True, allow_none=True, metadata={"description": "Where its 95 % interval begins."}
    )
    high = fields.Float(required=True, allow_none=True, metadata={"description": "And ends."})
    reason = fields.String(
        required=True,
        allow_none=True,
        validate=validate.OneOf(["no_data", "more_than_shown"]),
        metadata={"description": "Why there is no value."},
    )


class GroupOut(Schema):
    """Numbers of a group, or of all; a hidden one has none."""

    value = fields.String(required=True, allow_none=True, metadata={"description": "Null for all."})
    hidden = fields.Boolean(
        required=True,
        metadata={"description": "Too small to be shown, or it would give a small one away."},
    )
    counts = fields.Dict(fields.String(), fields.Integer())
    rates = fields.List(fields.Nested(RateOut))
    median_seconds = fields.Float(
        allow_none=True,
        metadata={"description": "From shown to choice; half of the visitors took no longer."},
    )


class PointOut(Schema):
    """Numbers of one step of the period."""

    since = fields.Date(data_key="from", required=True)
    until = fields.Date(data_key="to", required=True)
    total = fields.Nested(GroupOut, required=True)
    groups = fields.List(fields.Nested(GroupOut), required=True)


class ComparisonOut(Schema):
    """Whether a rate differs: of the right one against the left."""

    rate = fields.String(required=True)
    purpose = fields.String(required=True, allow_none=True)
    left = fields.String(required=True)
    right = fields.String(required=True)
    difference = fields.Float(required=True, allow_none=True)
    p_value = fields.Float(required=True, allow_none=True)
    verdict = fields.String(
        required=True, validate=validate.OneOf(["higher", "lower", "perhaps_chance", "too_few"])
    )


class RatesOut(Schema):
    """A report."""

    site = fields.String(required=True)
    since = fields.Date(data_key="from", required=True)
    until = fields.Date(data_key="to", required=True)
    where = fields.Dict(fields.String(), fields.String(), required=True)
    group = fields.String(required=True, allow_none=True)
    step = fields.String(required=True, allow_none=True)
    time_zone = fields.String(required=True, metadata={"description": "That the days are of."})
    counted_at = Moment(
        required=True,
        allow_none=True,
        metadata={"description": "When the newest was counted; null before anything was."},
    )
    recounting = fields.Boolean(
        required=True,
        metadata={
            "description": "All days are being counted anew: some are missing, or in another zone."
        },
    )
    smallest_group = fields.Integer(required=True)
    purposes = fields.List(fields.String(), required=True)
    total = fields.Nested(GroupOut, required=True)
    groups = fields.List(fields.Nested(GroupOut), required=True)
    points = fields.List(fields.Nested(PointOut), required=True)
    comparisons = fields.List(fields.Nested(ComparisonOut), required=True)


# The report to the data-protection authority.


class _QuarterField(fields.Field[Quarter]):
    """A quarter, written like 2026-Q3."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Quarter:  # noqa: ANN401
        try:
            return read_quarter(str(value))
        except ValueError as error:
            raise ValidationError(str(error)) from error


class QuarterQuery(Schema):
    """Which quarter, and in which language it is written."""

    quarter = _QuarterField(required=True, metadata={"type": "string", "example": "2026-Q3"})
    lang = fields.String(
        load_default=LANGUAGES[0],
        validate=validate.OneOf(LANGUAGES),
        metadata={"description": "Of the PDF."},
    )


class NoticeInForceOut(Schema):
    """A version of a notice that was in force at some time of the quarter."""

    version = fields.Integer(required=True)
    published_at = Moment(required=True)
    policy_version = fields.String(required=True)
    material = fields.Boolean(required=True)
    content_hash = fields.String(required=True)


class SiteReportOut(Schema):
    """What is reported of a site."""

    site_key = fields.String(required=True)
    name = fields.String(required=True)
    records_made = fields.Integer(required=True)
    records_erased = fields.Integer(required=True)
    rates = fields.Nested(RatesOut, required=True)
    notices = fields.List(fields.Nested(NoticeInForceOut), required=True)


class QuarterlyOut(Schema):
    """A tenant's report of a quarter."""

    tenant = fields.String(required=True)
    quarter = fields.String(required=True)
    since = fields.Date(data_key="from", required=True)
    until = fields.Date(data_key="to", required=True)
    made_at = Moment(required=True)
    complete = fields.Boolean(
        required=True, metadata={"description": "Whether the quarter was over when it was made."}
    )
    sites = fields.List(fields.Nested(SiteReportOut), required=True)


# How reports are made.


class ReportSettings(Schema):
    """How a tenant's reports are made."""

    smallest_group = fields.Integer(
        required=True,
        strict=True,
        validate=validate.Range(SMALLEST, LARGEST),
        metadata={"description": "Groups of fewer people are hidden."},
    )
