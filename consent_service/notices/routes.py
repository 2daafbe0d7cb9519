"""Notices over HTTP, for those who write and publish them: drafts, previews, versions."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flask import Response, jsonify, request
from flask.views import MethodView

from consent_service import clock
from consent_service.access.auth import current_actor, needs
from consent_service.db import Database
from consent_service.limits import limit
from consent_service.notices import drafts, history, preview
from consent_service.notices.configuration import Notice
from consent_service.notices.difference import Change
from consent_service.notices.paths import Problem, written
from consent_service.notices.schemas import (
    BannerOut,
    DifferenceOut,
    DocumentIn,
    DraftIn,
    DraftOut,
    PreviewQuery,
    ProblemsOut,
    PublishedOut,
    PublishIn,
    RevisionQuery,
    VersionOut,
    VersionsOut,
    VersionsQuery,
)
from consent_service.notices.service import publish_draft, shown_to
from consent_service.regions.service import Regions
from consent_service.tenants.auth import named_site
from consent_service.tenants.service import Site
from consent_service.web import TO_MEMBERS, Blueprint, ErrorOut, StaleOut
from consent_service.wiring import use

#: A draft and what a call puts around it, each character perhaps written as an escape.
_BODY_BYTES = 4 * drafts.MAX_DRAFT_BYTES

notices = Blueprint(
    "notices",
    __name__,
    url_prefix="/v1/tenants/<string:tenant>/sites/<string:site_key>",
    description="Drafts of a site's notice, how they look, and all published versions.",
    answers=TO_MEMBERS,
)
limit(notices)


@notices.url_value_preprocessor
def _take_documents(*_: object) -> None:
    """Let bodies be as large as a draft may be; nobody has been let in yet, and nothing read."""
    request.max_content_length = _BODY_BYTES


@notices.route("/notice/draft")
class Draft(MethodView):
    """What the site's next notice is to be."""

    @needs("notices:read")
    @notices.response(200, DraftOut)
    def get(self, tenant: str, site_key: str) -> Response:
        """Give the draft, or what one would begin with."""
        del tenant
        return jsonify(drafts.read_draft(use(Database), named_site(site_key)).as_json())

    @needs("notices:write")
    @notices.arguments(DraftIn)
    @notices.response(200, DraftOut)
    @notices.alt_response(409, schema=StaleOut, description="Somebody else has changed it since.")
    def put(self, sent: dict[str, Any], tenant: str, site_key: str) -> Response:
        """Save the draft, complete or not."""
        del tenant
        saved = drafts.save_draft(
            use(Database),
            named_site(site_key),
            sent["document"],
            revision=sent["revision"],
            by=current_actor(),
        )
        return jsonify(saved.as_json())

    @needs("notices:write")
    @notices.arguments(RevisionQuery, location="query")
    @notices.response(200, DraftOut)
    @notices.alt_response(409, schema=StaleOut, description="Somebody else has changed it since.")
    def delete(self, query: dict[str, int], tenant: str, site_key: str) -> Response:
        """Throw the draft away, and give what the next one begins with."""
        del tenant
        left = drafts.discard_draft(
            use(Database), named_site(site_key), revision=query["revision"], by=current_actor()
        )
        return jsonify(left.as_json())


@notices.route("/notice/problems")
class Problems(MethodView):
    """What keeps a notice from being published."""

    @needs("notices:read")
    @notices.response(200, ProblemsOut)
    def get(self, tenant: str, site_key: str) -> dict[str, Any]:
        """Say what keeps the draft from being published."""
        del tenant
        draft = drafts.read_draft(use(Database), named_site(site_key))
        return problems_json(drafts.problems(draft.document))

    @needs("notices:read")
    @notices.arguments(DocumentIn)
    @notices.response(200, ProblemsOut)
    def post(self, sent: dict[str, Any], tenant: str, site_key: str) -> dict[str, Any]:
        """Say what keeps a notice from being published, without saving it."""
        del tenant
        named_site(site_key)
        return problems_json(drafts.problems(sent["document"]))


@notices.route("/notice/difference")
class Difference(MethodView):
    """What publishing would change."""

    @needs("notices:read")
    @notices.response(200, DifferenceOut)
    def get(self, tenant: str, site_key: str) -> dict[str, Any]:
        """Say in what the draft differs from the notice in force."""
        del tenant
        compared = drafts.compare(use(Database), named_site(site_key))
        return difference_json(compared.published_version, compared.changes)


@notices.route("/notice/preview")
class Preview(MethodView):
    """How a notice would look."""

    @needs("notices:read")
    @notices.arguments(PreviewQuery, location="query")
    @notices.arguments(DocumentIn)
    @notices.response(200, BannerOut)
    def post(
        self, query: dict[str, Any], sent: dict[str, Any], tenant: str, site_key: str
    ) -> Response:
        """Give what the widget would be told of a notice; what is missing reads "…"."""
        del tenant
        site = named_site(site_key)
        version = (drafts.read_draft(use(Database), site).published_version or 0) + 1
        return jsonify(shown(preview.draft_notice(sent["document"], site, version), site, query))


@notices.route("/notice/publish")
class Publishing(MethodView):
    """Where a draft becomes the notice in force."""

    @needs("notices:publish")
    @notices.arguments(PublishIn)
    @notices.response(201, PublishedOut)
    @notices.alt_response(409, schema=StaleOut, description="Somebody else has changed it since.")
    @notices.alt_response(503, schema=ErrorOut, description="It cannot be published now.")
    def post(self, sent: dict[str, Any], tenant: str, site_key: str) -> tuple[Response, int]:
        """Publish the draft: visitors see it at once, and it cannot be changed any more."""
        del tenant
        site = named_site(site_key)
        made = publish_draft(use(Database), site, **sent, by=current_actor())
        version = history.get_version(use(Database), site, made.version)
        return jsonify(published_json(version.published)), 201


@notices.route("/notices")
class Versions(MethodView):
    """All versions."""

    @needs("notices:read")
    @notices.arguments(VersionsQuery, location="query")
    @notices.response(200, VersionsOut)
    def get(self, query: dict[str, Any], tenant: str, site_key: str) -> Response:
        """List the published versions, the newest first."""
        del tenant
        found = history.list_versions(use(Database), named_site(site_key), **query)
        return jsonify(notices=[published_json(one) for one in found])


@notices.route("/notices/<int:version>")
class Version(MethodView):
    """One version."""

    @needs("notices:read")
    @notices.response(200, VersionOut)
    def get(self, tenant: str, site_key: str, version: int) -> Response:
        """Give what a version says, and in what it differs from the one before."""
        del tenant
        found = history.get_version(use(Database), named_site(site_key), version)
        return jsonify(
            **published_json(found.published),
            content=found.content,
            difference=difference_json(version - 1 or None, found.changes),
        )


@notices.route("/notices/<int:version>/preview")
class VersionPreview(MethodView):
    """How a version looked."""

    @needs("notices:read")
    @notices.arguments(PreviewQuery, location="query")
    @notices.response(200, BannerOut)
    def get(self, query: dict[str, Any], tenant: str, site_key: str, version: int) -> Response:
        """Give what the widget was told of a version while it was in force."""
        del tenant
        site = named_site(site_key)
        found = history.get_version(use(Database), site, version)
        return jsonify(shown(history.as_notice(site, found), site, query))


def shown(notice: Notice, site: Site, query: dict[str, Any]) -> dict[str, Any]:
    """Return what the widget is told for the visitor of a :class:`PreviewQuery`."""
    rule = preview.rule_shown(use(Regions), site, query["region"], query["regime"])
    return shown_to(notice, site, query.get("lang"), rule, gpc=query["gpc"])


def problems_json(found: list[Problem]) -> dict[str, Any]:
    """Return problems as the API gives them."""
    listed = [{"path": written(path), "message": message} for path, message in found]
    return {"problems": listed, "complete": not listed}


def difference_json(against: int | None, changes: list[Change]) -> dict[str, Any]:
    """Return a difference as the API gives it."""
    return {
        "against": against,
        "changes": [
            {"path": one.where, "kind": one.kind, "before": one.before, "after": one.after}
            for one in changes
        ],
    }


def published_json(published: history.Published) -> dict[str, Any]:
    """Return what is told of a version as the API gives it."""
    by = published.published_by
    return {
        **asdict(published),
        "published_at": clock.rfc3339(published.published_at),
        "published_by": by._asdict() if by else None,
    }
