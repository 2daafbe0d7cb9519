"""The page inside the frame that shows how a notice looks: the real widget, and no visitor.

The page holds nothing of any tenant. The page around it, the console's or a receipt's, hands it a
configuration, and what the widget would send is answered within the frame, which has neither
cookies nor storage nor network.
"""

from __future__ import annotations

from functools import cache

from flask import Blueprint, Response, render_template, request

from consent_service.embed.service import built
from consent_service.limits import limit
from consent_service.signing import sha256

preview = Blueprint(
    "preview",
    __name__,
    url_prefix="/embed/preview",
    template_folder="templates",
    static_folder="static",
    static_url_path="/assets",
)
limit(preview)

#: Also of a frame that was opened by itself: it is a page of nobody.
_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)


@preview.get("")
def page() -> Response:
    """Give the page, which waits for a configuration."""
    response = Response(render_template("preview/frame.html"))
    response.headers["Content-Security-Policy"] = _POLICY
    return response


@preview.get("/widget.js")
def widget() -> Response:
    """Give the widget as a function of the element that brings it and of its configuration."""
    text = _widget()
    response = Response(text, mimetype="text/javascript")
    response.headers["Cache-Control"] = "public, no-cache"
    response.set_etag(sha256(text.encode()).hex()[:32])
    response.make_conditional(request)
    return response


@cache
def _widget() -> str:
    return f"function consentServiceWidget(__SCRIPT__, __CONFIG__) {{{built('whole.js')}}}"
