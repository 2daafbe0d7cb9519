"""Reports on schedule over HTTP: set them up, and open what was mailed."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response
from flask.views import MethodView
from marshmallow import Schema, ValidationError, fields, post_load, validate

from consent_service.access.auth import current_actor, needs
from consent_service.config import Settings
from consent_service.db import Database
from consent_service.formats import FORMATS
from consent_service.reports.counting import COMMON, DIMENSIONS
from consent_service.reports.due import EVERY
from consent_service.reports.files import as_file, rates_download
from consent_service.reports.letters import LANGUAGES
from consent_service.reports.periods import STEPS
from consent_service.reports.questions import VALUE
from consent_service.reports.routes import mailed, making
from consent_service.reports.schedules import (
    Destination,
    Wanted,
    create_schedule,
    delete_schedule,
    list_schedules,
    opened,
    pause_schedule,
)
from consent_service.signing import Keyring
from consent_service.tenants.auth import current_tenant, named_site
from consent_service.tenants.schemas import site_field
from consent_service.web import ErrorOut
from consent_service.wiring import use


class ScheduleIn(Schema):
    """What is to be sent, how often and where to."""

    site = site_field()
    every = fields.String(
        required=True,
        validate=validate.OneOf(EVERY),
        metadata={"description": "Always the last whole day, week (from Monday) or month."},
    )
    form = fields.String(data_key="format", load_default="csv", validate=validate.OneOf(FORMATS))
    group = fields.String(load_default=None, allow_none=True, validate=validate.OneOf(DIMENSIONS))
    step = fields.String(load_default=None, allow_none=True, validate=validate.OneOf(STEPS))
    where = fields.Dict(
        fields.String(validate=validate.OneOf(COMMON)),
        fields.String(validate=validate.Regexp(f"^{VALUE}$")),
        load_default=dict,
        validate=validate.Length(max=1),
        metadata={"description": "Only people of one value of a dimension."},
    )
    mail = fields.List(
        fields.String(validate=validate.Length(1, 254)),
        load_default=list,
        metadata={"description": "E-mail addresses; each gets a link to the file."},
    )
    folder = fields.String(
        load_default=None,
        allow_none=True,
        validate=validate.Length(max=320),
        metadata={"description": "Below the tenant's own folder; empty for that one."},
    )
    language = fields.String(
        load_default="en",
        validate=validate.OneOf(LANGUAGES),
        metadata={"description": "Of the mail."},
    )

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:  # noqa: ANN401
        if bool(data["mail"]) == (data["folder"] is not None):
            raise ValidationError("Give mail or folder, and not both.", "mail")
        to = Destination(data["mail"], data["folder"])
        where = next(iter(data["where"].items()), None)
        wanted = Wanted(
            data["every"],
            data["form"],
            to,
            data["group"],
            data["step"],
            where,
            data["language"],
        )
        return {"site": data["site"], "wanted": wanted}


class PauseIn(Schema):
    """Whether it is to be sent."""

    paused = fields.Boolean(required=True, truthy={True}, falsy={False})


class ScheduleOut(Schema):
    """A report that is sent every day, week or month."""

    id = fields.UUID(required=True)
    site = fields.String(required=True)
    every = fields.String(required=True, validate=validate.OneOf(EVERY))
    form = fields.String(
        data_key="format", attribute="format", required=True, validate=validate.OneOf(FORMATS)
    )
    group = fields.String(required=True, allow_none=True)
    step = fields.String(required=True, allow_none=True)
    where = fields.Dict(fields.String(), fields.String(), required=True)
    mail = fields.List(fields.String(), required=True)
    folder = fields.String(required=True, allow_none=True)
    language = fields.String(required=True)
    paused = fields.Boolean(required=True)
    created_at = fields.String(required=True)
    next_run = fields.String(required=True, metadata={"description": "When it is sent next."})
    last_run_at = fields.String(
        required=True, allow_none=True, metadata={"description": "When it was sent last."}
    )
    last_error = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "What went wrong; null once it went right."},
    )


class SchedulesOut(Schema):
    """All of a tenant's."""

    schedules = fields.List(fields.Nested(ScheduleOut), required=True)


@making.route("/schedules")
class Schedules(MethodView):
    """Reports on schedule."""

    @needs("reports:read")
    @making.response(200, SchedulesOut)
    def get(self, tenant: str) -> dict[str, Any]:
        """List what is sent when, where to, and what went wrong."""
        del tenant
        found = list_schedules(use(Database), use(Keyring), current_tenant().id)
        return {"schedules": [each.shown() for each in found]}

    @needs("reports:write")
    @making.arguments(ScheduleIn)
    @making.response(201, ScheduleOut)
    @making.alt_response(422, schema=ErrorOut, description="Something is not right.")
    def post(self, sent: dict[str, Any], tenant: str) -> dict[str, Any]:
        """Have a report be sent, from the day, week or month on that is not over yet."""
        del tenant
        site = named_site(sent["site"])
        made = create_schedule(
            use(Database),
            use(Keyring),
            use(Settings),
            site,
            sent["wanted"],
            by=current_actor(),
        )
        return made.shown()


@making.route("/schedules/<uuid:schedule_id>")
class OneSchedule(MethodView):
    """A report on schedule."""

    @needs("reports:write")
    @making.arguments(PauseIn)
    @making.response(200, ScheduleOut)
    @making.alt_response(422, schema=ErrorOut, description="Something is not right.")
    def patch(self, sent: dict[str, bool], tenant: str, schedule_id: UUID) -> dict[str, Any]:
        """Have it be sent no more, or again."""
        del tenant
        changed = pause_schedule(
            use(Database),
            use(Keyring),
            current_tenant().id,
            schedule_id,
            paused=sent["paused"],
            by=current_actor(),
        )
        return changed.shown()

    @needs("reports:write")
    @making.response(204)
    def delete(self, tenant: str, schedule_id: UUID) -> None:
        """Have it be sent no more, and the links that were sent open nothing."""
        del tenant
        delete_schedule(use(Database), current_tenant().id, schedule_id, by=current_actor())


@mailed.route("/<string:token>")
class MailedFile(MethodView):
    """A report that was mailed."""

    @mailed.doc(responses=as_file(FORMATS))
    @mailed.response(200, headers={"ETag": {"description": "Of these very bytes."}})
    @mailed.alt_response(304, description="As the ETag in If-None-Match says.")
    @mailed.alt_response(410, schema=ErrorOut, description="The link opens nothing.")
    def get(self, token: str) -> Response:
        """Make the file anew, from what is counted now, for whoever has the link."""
        return rates_download(*opened(use(Database), use(Keyring), token))
