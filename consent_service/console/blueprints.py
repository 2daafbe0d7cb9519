"""The console's three blueprints, by who may come in; the modules beside this one add the pages.

A view loads, calls one function of a service, and renders. It needs what the call of the API that
does the same needs, and says so with ``@needs``.
"""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import urlencode

from flask import (
    Blueprint,
    Response,
    g,
    get_flashed_messages,
    redirect,
    render_template,
    request,
    url_for,
)
from werkzeug.wrappers import Response as AnyResponse

from consent_service.access.auth import csrf_token
from consent_service.console.i18n import remember_language
from consent_service.errors import (
    NotSignedIn,
    PermissionMissing,
    ProviderRequired,
    ReauthenticationRequired,
    SecondFactorRequired,
    ServiceError,
    Stale,
)
from consent_service.limits import limit
from consent_service.web import as_service_error

#: Signing in, and what an invitation's link leads to: open to everybody.
entrance = Blueprint(
    "entrance",
    __name__,
    url_prefix="/console",
    template_folder="templates",
    static_folder="static",
    static_url_path="/assets",
)
#: One's own account: for whoever is signed in.
own = Blueprint("own", __name__, url_prefix="/console/account")
#: A tenant's pages: for its members.
workspace = Blueprint("workspace", __name__, url_prefix="/console/t/<string:tenant>")

CONSOLE = (entrance, own, workspace)

for _each in CONSOLE:
    limit(_each)


log = logging.getLogger(__name__)


def _values() -> dict[str, Any]:
    """Give every template who is signed in, where, and what a form must send along."""
    session = g.get("session")
    actor = g.get("actor")
    return {
        "actor": actor,
        "tenant": g.get("tenant"),
        "may": lambda permission: actor is not None and permission in actor.permissions,
        "flashes": get_flashed_messages(with_categories=True),
        "csrf_token": csrf_token(session) if session else "",
    }


def _refused(error: Exception) -> AnyResponse | tuple[str, int]:
    """Lead to the page that mends it, or say what went wrong."""
    found = as_service_error(error)
    if type(found) is ServiceError:
        log.error("unforeseen error", exc_info=error)
    here = request.full_path.rstrip("?") if request.method == "GET" else request.path
    ways = {
        NotSignedIn: "entrance.sign_in",
        ProviderRequired: "entrance.sign_in",
        ReauthenticationRequired: "own.prove",
        SecondFactorRequired: "own.security",
    }
    way = ways.get(type(found))
    if way:
        query = urlencode({"next": here, "why": found.code})
        return redirect(f"{url_for(way)}?{query}", 303)
    values = {
        "status": found.status,
        "message": str(found),
        "permission": found.permission if isinstance(found, PermissionMissing) else None,
        "back_href": here,
        **({"theirs": found.current, "mine": found.sent} if isinstance(found, Stale) else {}),
    }
    return render_template("console/error.html", **values), found.status


def _say_who_may_see(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response


for _each in CONSOLE:
    _each.context_processor(_values)
    _each.register_error_handler(Exception, _refused)
    _each.after_request(remember_language)
for _each in (own, workspace):
    _each.after_request(_say_who_may_see)
