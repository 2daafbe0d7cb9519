"""Notices: the editor with its preview, publishing, and all versions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from flask import Response as FlaskResponse
from flask import jsonify, redirect, render_template, request, url_for
from flask_babel import gettext as _
from marshmallow import ValidationError
from werkzeug.wrappers import Response

from consent_service.access.auth import current_actor, needs
from consent_service.console import notice_form
from consent_service.console.blueprints import workspace
from consent_service.console.flashes import say
from consent_service.console.notice_words import WORDING, language_name, place
from consent_service.console.regions import region_name
from consent_service.console.sentences import said
from consent_service.db import Database
from consent_service.errors import Stale, ValidationFailed
from consent_service.notices import drafts, history
from consent_service.notices.defaults import default_texts, shipped
from consent_service.notices.difference import difference
from consent_service.notices.drafts import Draft
from consent_service.notices.paths import Problem, by_path, written
from consent_service.notices.preview import draft_notice
from consent_service.notices.routes import shown
from consent_service.notices.schemas import PreviewQuery
from consent_service.notices.service import publish_draft
from consent_service.regions.service import newest_rules
from consent_service.tenants.auth import named_site
from consent_service.tenants.service import Site
from consent_service.wiring import use

Page = Response | str | tuple[str, int]

#: A draft as a form sends it: letters beyond ASCII are three times as long there, names come with
#: each text.
_FORM_BYTES = 6 * drafts.MAX_DRAFT_BYTES

_LARGE_FORMS = {"workspace.edit_notice", "workspace.check_notice"}


@workspace.url_value_preprocessor
def _take_large_forms(endpoint: str | None, _: object) -> None:
    """Let the editor send what it holds; who sends it is found out before it is read."""
    if endpoint in _LARGE_FORMS:
        request.max_content_length = request.max_form_memory_size = _FORM_BYTES


@dataclass
class Editor:
    """What the editor's page shows.

    :ivar document: in the form's shape
    :ivar revision: that the next save states
    :ivar unsaved: whether the form holds more than what is saved
    :ivar focus: the name of the field to go on with
    """

    site: Site
    draft: Draft
    document: dict[str, Any]
    revision: int
    unsaved: bool = False
    focus: str | None = None
    problems: list[Problem] = field(init=False)

    def __post_init__(self) -> None:
        """Find out what is missing."""
        self.problems = drafts.problems(notice_form.pared(self.document))

    def render(self) -> str:
        """Make the page."""
        return render_template(
            "console/notice_edit.html",
            editor=self,
            site=self.site,
            document=self.document,
            todo=by_path(self.problems),
            problems=_told(self.problems, self.document),
            lost=[] if self.unsaved else notice_form.lost(self.draft.document),
            may_write="notices:write" in current_actor().permissions,
            shipped=[(code, language_name(code)) for code in shipped()],
            category_names=_category_names(),
            wording=WORDING,
            rewritten={name for texts in self.document["texts"].values() for name in texts},
            defaults={code: default_texts(code)["texts"] for code in self.document["languages"]
                      if code in shipped()},
            language_name=language_name,
            place=place,
            **_preview_choices(),
        )  # fmt: skip


@workspace.get("/sites/<string:site_key>/notice")
@needs("notices:read")
def notice(tenant: str, site_key: str) -> str:
    """Show the editor."""
    del tenant
    site = named_site(site_key)
    draft = drafts.read_draft(use(Database), site)
    return Editor(site, draft, notice_form.filled(draft.document), draft.revision).render()


@workspace.post("/sites/<string:site_key>/notice")
@needs("notices:write")
def edit_notice(tenant: str, site_key: str) -> Page:
    """Save the draft; or add, remove or move a part of it, which saves nothing."""
    site = named_site(site_key)
    document, revision = notice_form.read(request.form), _number("revision")
    action = request.form.get("do", "save")
    if action not in {"save", "publish"}:
        focus = notice_form.act(document, action, request.form.get("language", ""))
        draft = drafts.read_draft(use(Database), site)
        return Editor(site, draft, document, revision, unsaved=True, focus=focus).render()
    try:
        drafts.save_draft(
            use(Database),
            site,
            notice_form.pared(document),
            revision=revision,
            by=current_actor(),
        )
    except Stale as error:
        return _stale(site, document, error)
    if action == "publish":
        return redirect(url_for(".publish_notice", tenant=tenant, site_key=site_key), 303)
    address = url_for(".notice", tenant=tenant, site_key=site_key)
    return say(redirect(address, 303), _("The draft is saved."))


@workspace.post("/sites/<string:site_key>/notice/check")
@needs("notices:read")
def check_notice(tenant: str, site_key: str) -> FlaskResponse:
    """Tell the editor's script how what is in the form looks, and what is missing."""
    del tenant
    site = named_site(site_key)
    document = notice_form.read(request.form)
    version = (drafts.read_draft(use(Database), site).published_version or 0) + 1
    pared = notice_form.pared(document)
    return jsonify(
        configuration=shown(draft_notice(pared, site, version), site, _visitor()),
        problems=_told(drafts.problems(pared), document),
        languages=[{"code": code, "name": language_name(code)} for code in document["languages"]],
    )


@workspace.route("/sites/<string:site_key>/notice/discard", methods=["GET", "POST"])
@needs("notices:write")
def discard_notice(tenant: str, site_key: str) -> Page:
    """Throw the draft away, having asked."""
    site = named_site(site_key)
    back = url_for(".notice", tenant=tenant, site_key=site_key)
    if request.method == "POST":
        drafts.discard_draft(use(Database), site, revision=_number("revision"), by=current_actor())
        return say(redirect(back, 303), _("The draft is gone."))
    draft = drafts.read_draft(use(Database), site)
    return render_template("console/notice_discard.html", site=site, draft=draft, back=back)


@workspace.route("/sites/<string:site_key>/notice/publish", methods=["GET", "POST"])
@needs("notices:publish")
def publish_notice(tenant: str, site_key: str) -> Page:
    """Show what publishing changes, ask what it means for visitors, and publish."""
    site = named_site(site_key)
    errors: dict[str, list[str]] = {}
    if request.method == "POST":
        material = request.form.get("material")
        if material in {"yes", "no"}:
            try:
                made = publish_draft(
                    use(Database),
                    site,
                    revision=_number("revision"),
                    material=material == "yes",
                    policy_version=request.form.get("policy_version") or None,
                    by=current_actor(),
                )
            except ValidationFailed as error:
                errors = dict(error.fields or {})
            except Stale:
                errors = {"revision": [_("The draft has changed since this page was shown.")]}
            else:
                address = url_for(
                    ".notice_version", tenant=tenant, site_key=site_key, version=made.version
                )
                text = _("Version %(number)s is in force.", number=made.version)
                return say(redirect(address, 303), text)
        else:
            errors = {"material": [_("Say whether visitors are asked again.")]}
    compared = drafts.compare(use(Database), site)
    document = compared.draft.document
    problems = drafts.problems(document)
    page = render_template(
        "console/notice_publish.html",
        site=site,
        draft=compared.draft,
        against=compared.published_version,
        changes=compared.changes,
        problems=_told(problems, document),
        policy=notice_form.filled(document)["policy"],
        errors=errors,
        place=place,
    )
    return (page, 422) if errors else page


@workspace.get("/sites/<string:site_key>/notices")
@needs("notices:read")
def notice_versions(tenant: str, site_key: str) -> str:
    """List the versions."""
    del tenant
    site = named_site(site_key)
    before = request.args.get("before", type=int)
    versions = history.list_versions(use(Database), site, before=before, limit=_PAGE)
    return render_template(
        "console/notice_versions.html",
        site=site,
        versions=versions,
        newest=None if before else (versions[0].version if versions else 0),
        older=versions[-1].version if len(versions) == _PAGE and versions[-1].version > 1 else None,
        before=before,
    )


@workspace.get("/sites/<string:site_key>/notices/<int:version>")
@needs("notices:read")
def notice_version(tenant: str, site_key: str, version: int) -> str:
    """Show a version as it was shown, and what it changed."""
    del tenant
    site = named_site(site_key)
    found = history.get_version(use(Database), site, version)
    return render_template(
        "console/notice_version.html",
        site=site,
        version=found.published,
        newest=found.newest_version,
        changes=found.changes,
        tongues=[(one["code"], one["name"]) for one in found.content["languages"]],
        place=place,
        **_preview_choices(),
    )


@workspace.get("/sites/<string:site_key>/notices/<int:version>/shown")
@needs("notices:read")
def shown_notice(tenant: str, site_key: str, version: int) -> FlaskResponse:
    """Tell the preview of a version what the widget was told of it."""
    del tenant
    site = named_site(site_key)
    found = history.get_version(use(Database), site, version)
    return jsonify(configuration=shown(history.as_notice(site, found), site, _visitor()))


#: Versions on a page of the list.
_PAGE = 50


def _number(name: str) -> int:
    """Return a number that a page of ours sends along; one that is none is of no revision."""
    return request.form.get(name, -1, type=int)


def _visitor() -> dict[str, Any]:
    """Return for which visitor a preview is asked for."""
    # On pages, ``lang`` is what these are read in.
    asked = {**request.args, "lang": request.args.get("language")}
    known = PreviewQuery().fields
    try:
        found: dict[str, Any] = PreviewQuery().load(
            {name: value for name, value in asked.items() if name in known and value}
        )
    except ValidationError as error:
        raise ValidationFailed(fields=error.messages_dict) from error
    return found


def _told(problems: list[Problem], document: dict[str, Any] | Any) -> list[dict[str, str]]:  # noqa: ANN401
    """Return problems with the places that they have in words, in the language of the page."""
    return [
        {"name": written(path), "place": place(path, document), "message": str(said(message))}
        for path, message in problems
    ]


def _stale(site: Site, document: dict[str, Any], error: Stale) -> tuple[str, int]:
    """Show both versions, and let the author keep either."""
    current = drafts.read_draft(use(Database), site)
    page = render_template(
        "console/notice_stale.html",
        site=site,
        current=current,
        changes=difference(
            notice_form.filled(current.document), document
        ),
        mine=[(name, value) for name, value in request.form.items()
              if name not in {"csrf_token", "revision", "do"}],
        place=place,
    )  # fmt: skip
    return page, error.status


def _category_names() -> dict[str, str]:
    return {
        "essential": _("Essential"),
        "preferences": _("Preferences"),
        "analytics": _("Analytics"),
        "marketing": _("Marketing"),
    }


def _preview_choices() -> dict[str, Any]:
    """Return what a preview may be of besides its languages."""
    regions = [(code, region_name(code)) for code in newest_rules()]
    return {
        "regions": sorted(regions, key=lambda region: (region[0] == "*", region[1])),
    }
