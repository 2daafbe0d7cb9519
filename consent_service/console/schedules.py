"""Files of rates that are sent by themselves every day, week or month."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from flask import redirect, render_template, request, url_for
from flask_babel import gettext as _
from marshmallow import ValidationError
from werkzeug.wrappers import Response

from consent_service.access.auth import current_actor, needs
from consent_service.config import Settings
from consent_service.console.blueprints import workspace
from consent_service.console.flashes import say
from consent_service.console.i18n import LANGUAGES, language
from consent_service.console.report_words import dimension_in_text, dimension_name, value_name
from consent_service.db import Database
from consent_service.errors import Fields, UnknownSchedule, ValidationFailed
from consent_service.formats import FORMATS
from consent_service.reports.counting import DIMENSIONS
from consent_service.reports.schedule_views import ScheduleIn
from consent_service.reports.schedules import (
    Schedule,
    create_schedule,
    delete_schedule,
    list_schedules,
    pause_schedule,
)
from consent_service.signing import Keyring
from consent_service.tenants.auth import current_tenant, named_site
from consent_service.tenants.service import sites_of
from consent_service.wiring import use

Page = Response | str | tuple[str, int]


@workspace.get("/reports/schedules")
@needs("reports:read")
def schedules(tenant: str) -> str:
    """List what is sent when and where to, and ask for more."""
    del tenant
    return _page({"language": language(), "format": "csv", "every": "weekly"})


@workspace.post("/reports/schedules")
@needs("reports:write")
def make_schedule(tenant: str) -> Page:
    """Have a file be sent from now on."""
    form = request.form
    by_mail = form.get("to") != "folder"
    sent: dict[str, Any] = {
        name: form.get(name, "") for name in ("site", "every", "format", "language")
    }
    sent["group"] = form.get("group") or None
    sent["mail"] = form.get("mail", "").split() if by_mail else []
    sent["folder"] = None if by_mail else form.get("folder", "").strip()
    try:
        asked = ScheduleIn().load(sent)
        create_schedule(
            use(Database),
            use(Keyring),
            use(Settings),
            named_site(asked["site"]),
            asked["wanted"],
            by=current_actor(),
        )
    except ValidationError as error:
        return _page(form.to_dict(), errors=cast("Fields", error.messages)), 422
    except ValidationFailed as error:
        return _page(form.to_dict(), errors=error.fields), error.status
    return _back(tenant, _("It will be sent, the first time when what runs now is over."))


@workspace.post("/reports/schedules/<uuid:schedule_id>/pause", defaults={"paused": True})
@workspace.post("/reports/schedules/<uuid:schedule_id>/resume", defaults={"paused": False})
@needs("reports:write")
def pause(tenant: str, schedule_id: UUID, paused: bool) -> Response:  # noqa: FBT001
    """Send a file no more, or again."""
    database, keys, tenant_id = use(Database), use(Keyring), current_tenant().id
    pause_schedule(database, keys, tenant_id, schedule_id, paused=paused, by=current_actor())
    return _back(tenant, _("It is paused.") if paused else _("It is sent again."))


@workspace.get("/reports/schedules/<uuid:schedule_id>/delete")
@needs("reports:write")
def ask_to_delete_schedule(tenant: str, schedule_id: UUID) -> str:
    """Ask once more.

    :raises UnknownSchedule: when there is no such schedule
    """
    del tenant
    found = next((each for each in _found() if each.id == schedule_id), None)
    if found is None:
        raise UnknownSchedule
    return render_template("console/schedule_delete.html", where_to=_where_to(found))


@workspace.post("/reports/schedules/<uuid:schedule_id>/delete")
@needs("reports:write")
def remove_schedule(tenant: str, schedule_id: UUID) -> Response:
    """Send a file no more, and forget about it."""
    delete_schedule(use(Database), current_tenant().id, schedule_id, by=current_actor())
    return _back(tenant, _("It is deleted, and links that were mailed open nothing any more."))


def _found() -> list[Schedule]:
    return list_schedules(use(Database), use(Keyring), current_tenant().id)


def _page(asked: dict[str, Any], errors: Fields | None = None) -> str:
    settings, sites = use(Settings), sites_of(use(Database), current_tenant().id)
    ways = [
        ("mail", _("By mail"), bool(settings.mail_url and settings.public_url)),
        ("folder", _("Into a folder"), bool(settings.export_target)),
    ]
    return render_template(
        "console/schedules.html",
        schedules=_found(),
        sites=[(site.site_key, site.name) for site in sites],
        site_names={site.site_key: site.name for site in sites},
        ways=[(key, name) for key, name, works in ways if works],
        every=_every(),
        forms=[(form, form.upper() if form != "parquet" else "Parquet") for form in FORMATS],
        groups=[
            ("", _("Nothing: all together")),
            *((name, dimension_name(name)) for name in DIMENSIONS),
        ],
        spoken=list(LANGUAGES.items()),
        dimension_in_text=dimension_in_text,
        value_name=value_name,
        where_to=_where_to,
        asked=asked,
        errors=errors,
    )


def _every() -> list[tuple[str, str]]:
    return [
        ("daily", _("Every day")),
        ("weekly", _("Every week")),
        ("monthly", _("Every month")),
    ]


def _where_to(schedule: Schedule) -> str:
    """Return where a file goes."""
    to = schedule.wanted.destination
    if to.folder is None:
        return ", ".join(to.mail)
    return str(_("Folder: %(folder)s", folder=f"{current_tenant().slug}/{to.folder}".rstrip("/")))


def _back(tenant: str, text: str) -> Response:
    return say(redirect(url_for("workspace.schedules", tenant=tenant), 303), text)
