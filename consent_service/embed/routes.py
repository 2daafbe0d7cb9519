"""The script that a site embeds, in two kinds, and the configuration by itself."""

from __future__ import annotations

from flask import Response, jsonify, request
from flask.views import MethodView
from marshmallow import Schema, fields

from consent_service.access.auth import needs
from consent_service.consents.routes import SignalQuery, gpc_signalled
from consent_service.embed.service import (
    Script,
    rest,
    script,
    script_tags,
    site_independent_digest,
    site_independent_script,
)
from consent_service.errors import NotFound
from consent_service.limits import limit
from consent_service.notices.configuration import Notice, best_language
from consent_service.notices.schemas import BannerOut
from consent_service.notices.service import NoticeDirectory, shown_to
from consent_service.regions.rules import UNKNOWN
from consent_service.regions.service import Regions
from consent_service.tenants.auth import allow_site_pages, current_site, named_site
from consent_service.web import TO_MEMBERS, Blueprint, ErrorOut, public_url
from consent_service.wiring import use

#: Seconds for which a browser keeps the script: a new notice is seen by everybody within them.
_SCRIPT_SECONDS = 300

#: Seconds for which anybody may keep what an origin says of the signal.
_GPC_SECONDS = 3600

widget = Blueprint("embed", __name__, url_prefix="/embed", description="The script to embed.")
banner = Blueprint(
    "banner", __name__, url_prefix="/v1/sites/<site_key>", description="What the banner shows."
)
shared = Blueprint("shared", __name__, description="What is the same for every site.")
support = Blueprint(
    "support",
    __name__,
    url_prefix="/v1/sites/<site_key>",
    description="What a site may publish about itself.",
)
banner.after_request(allow_site_pages)
installing = Blueprint(
    "installing",
    __name__,
    url_prefix="/v1/tenants/<string:tenant>/sites/<string:site_key>",
    description="What a site's pages need.",
    answers=TO_MEMBERS,
)
for blueprint in (widget, banner, shared, support, installing):
    limit(blueprint)


class LanguageQuery(Schema):
    """Which language to answer in."""

    lang = fields.String(
        metadata={"description": "One of the notice's; else what the browser prefers counts."}
    )


class BannerQuery(LanguageQuery, SignalQuery):
    """What the configuration depends on that only the page knows."""


@widget.route("/<string:site_key>.js")
class EmbedScript(MethodView):
    """The script."""

    @widget.arguments(LanguageQuery, location="query")
    @widget.response(200, description="The widget with the site's configuration inside.")
    @widget.alt_response(404, schema=ErrorOut, description="Unknown site.")
    def get(self, query: dict[str, str], site_key: str) -> Response:
        """Give a page the banner: one request, compressed ahead of time."""
        del site_key
        site = current_site()
        notice = use(NoticeDirectory).in_force(site)
        regions = use(Regions)
        found = script(
            notice,
            site,
            _language(notice, query.get("lang")),
            regions.rule(regions.place(request.environ), site),
            gpc=gpc_signalled(),
        )
        response = _sent(found)
        # Private: the configuration depends on the country of the address.
        response.headers["Cache-Control"] = f"private, max-age={_SCRIPT_SECONDS}"
        response.vary.update({"Accept-Language", "Sec-GPC"})
        return response


@shared.route("/embed/widget-<string:digest>.js")
class SharedScript(MethodView):
    """The script whose hash a page can state."""

    @shared.response(200, description="The widget, which fetches the site's configuration.")
    @shared.alt_response(404, schema=ErrorOut, description="Not the script of this release.")
    def get(self, digest: str) -> Response:
        """Give a page that checks what it runs (Subresource Integrity) the banner."""
        if digest != site_independent_digest():
            raise NotFound(
                "This is not the script of this release. Take the script tag anew: "
                "consent-service site snippet."
            )
        # Browsers check the hash only of what the page may read.
        return _kept_for_good(site_independent_script())


@shared.route("/embed/more-<string:digest>.js")
class Rest(MethodView):
    """What the script of a site fetches when it needs it."""

    @shared.response(200, description="What only some pages and moments need of the widget.")
    @shared.alt_response(404, schema=ErrorOut, description="Not of this release.")
    def get(self, digest: str) -> Response:
        """Give a script its other part: preference centre, frames and the like."""
        found = rest().get(f"more-{digest}.js")
        if found is None:
            raise NotFound("This is not of this release. Load the page again.")
        return _kept_for_good(found)


@banner.route("/banner")
class BannerJson(MethodView):
    """The configuration."""

    @banner.arguments(BannerQuery, location="query")
    @banner.response(200, BannerOut)
    @banner.alt_response(404, schema=ErrorOut, description="Unknown site.")
    def get(self, query: dict[str, str], site_key: str) -> Response:
        """Give the banner's configuration in one language."""
        del site_key
        site = current_site()
        notice = use(NoticeDirectory).in_force(site)
        regions = use(Regions)
        rule = regions.rule(regions.place(request.environ), site)
        language = _language(notice, query.get("lang"))
        gpc = gpc_signalled(said=query["gpc"] == "1")
        response = jsonify(shown_to(notice, site, language, rule, gpc=gpc))
        response.headers["Cache-Control"] = "private, no-cache"
        response.vary.update({"Accept-Language", "Sec-GPC"})
        return response


class GpcOut(Schema):
    """What an origin says of Global Privacy Control (W3C GPC, the GPC support resource)."""

    gpc = fields.Boolean(metadata={"description": "It intends to abide by the signal."})
    last_update = fields.String(data_key="lastUpdate", metadata={"description": "Since this day."})


@support.route("/gpc.json")
class SiteGpc(MethodView):
    """For the site's own ``/.well-known/gpc.json``."""

    @support.response(200, GpcOut)
    @support.alt_response(404, schema=ErrorOut, description="Unknown site.")
    def get(self, site_key: str) -> Response:
        """Say that the site abides by Global Privacy Control, since its notice in force."""
        del site_key
        return _abides(use(NoticeDirectory).in_force(current_site()).published_on.isoformat())


@shared.route("/.well-known/gpc.json")
class OwnGpc(MethodView):
    """The same of this host."""

    @shared.response(200, GpcOut)
    def get(self) -> Response:
        """Say that this host abides by Global Privacy Control, since its table of rules."""
        return _abides(use(Regions).rules[UNKNOWN].version)


class SnippetOut(Schema):
    """The script tags for a site's pages; one of them is enough."""

    plain = fields.String(
        required=True, metadata={"description": "One request, the same after every upgrade."}
    )
    checked = fields.String(
        required=True,
        metadata={"description": "Checked by the browser; changes with every upgrade."},
    )


@installing.route("/snippet")
class Snippet(MethodView):
    """The script tags."""

    @needs("sites:read")
    @installing.response(200, SnippetOut)
    def get(self, tenant: str, site_key: str) -> dict[str, str]:
        """Give the script tags for the site's pages."""
        del tenant
        site = named_site(site_key)
        return script_tags(public_url(), site.site_key)._asdict()


def _abides(since: str) -> Response:
    response = jsonify(gpc=True, lastUpdate=since)
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Cache-Control"] = f"public, max-age={_GPC_SECONDS}"
    return response


def _kept_for_good(found: Script) -> Response:
    """Answer any page with a script whose address changes with its content."""
    response = _sent(found)
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    response.headers["Access-Control-Allow-Origin"] = "*"
    return response


def _sent(found: Script) -> Response:
    """Answer with a script, as small as the browser takes it; no more than needed if it has it."""
    # Weight 0 is a refusal.
    accepted = {name for name, weight in request.accept_encodings if weight}
    body, encoding = found.encoded(accepted)
    response = Response(body, mimetype="text/javascript")
    if encoding:
        response.headers["Content-Encoding"] = encoding
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    response.vary.add("Accept-Encoding")
    response.set_etag(found.digest[:32], weak=True)
    response.make_conditional(request)
    return response


def _language(notice: Notice, asked: str | None) -> str:
    """Return the language asked for, else the best the browser names, else the default."""
    if asked in notice.languages:
        return asked
    preferred = [tag for tag, weight in request.accept_languages if weight]
    return best_language(preferred, notice.languages) or notice.languages[0]
