"""The demo site, and the endpoint that its own analytics script sends page views to."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass

from flask import Blueprint, Response, jsonify, render_template, request
from marshmallow import Schema, fields, validate

from consent_service import clock
from consent_service.demo.seed import SITE_KEY
from consent_service.web import StrictParser

demo = Blueprint(
    "demo",
    __name__,
    url_prefix="/demo",
    template_folder="templates",
    static_folder="static",
    static_url_path="",
)

LANGUAGES = ("en", "sw")

#: The site shows one of its own pages in a frame.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; frame-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'"
)


@dataclass(frozen=True)
class Hit:
    """One page view that the site's analytics received."""

    page: str
    at: str


class HitIn(Schema):
    """A page view."""

    page = fields.String(required=True, validate=validate.Length(1, 200))


class Received:
    """What the site's analytics received. The demo runs in one process, and it is gone with it."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.total = 0
        self.newest: deque[Hit] = deque(maxlen=20)


_received = Received()


@demo.get("/")
def index() -> Response:
    """Show the site."""
    return _page("demo/index.html", site_key=SITE_KEY)


@demo.get("/map")
def office_map() -> Response:
    """Show where the office is: what a site would embed from elsewhere."""
    return _page("demo/map.html")


def _page(template: str, **values: str) -> Response:
    asked = request.args.get("lang") or request.accept_languages.best_match(LANGUAGES)
    language = asked if asked in LANGUAGES else LANGUAGES[0]
    response = Response(render_template(template, language=language, **values))
    response.headers["Content-Security-Policy"] = _POLICY
    return response


@demo.get("/hits")
def hits() -> Response:
    """Give what analytics received, newest first."""
    newest = [asdict(hit) for hit in reversed(_received.newest)]
    return jsonify(hits=newest, total=_received.total)


@demo.post("/hits")
def receive() -> tuple[str, int]:
    """Receive a page view."""
    hit = StrictParser().parse(HitIn, request, location="json")
    _received.newest.append(Hit(hit["page"], clock.rfc3339(clock.now())))
    _received.total += 1
    return "", 204


@demo.delete("/hits")
def forget() -> tuple[str, int]:
    """Empty the list."""
    _received.newest.clear()
    _received.total = 0
    return "", 204
