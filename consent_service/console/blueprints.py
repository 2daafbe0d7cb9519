"""The console's three blueprints, by who may come in; the modules beside this one add the pages.

A view loads, calls one function of a service, and renders. It needs what the call of the API that
does the same needs, and says so with ``@needs``.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode, urlsplit

from flask import (
    Blueprint,
    g,
    redirect,
    render_template,
    request,
    url_for,
)
from flask import (
    Response as FlaskResponse,
)
from werkzeug.wrappers import Response

from consent_service.access.account import Account, Known
from consent_service.access.auth import csrf_token, current_session, own_pages_only
from consent_service.console.flashes import forget_said, said
from consent_service.console.i18n import remember_language
from consent_service.db import Database
from consent_service.errors import (
    NotSignedIn,
    OwnSignInRequired,
    PermissionMissing,
    ProviderRequired,
    ReauthenticationRequired,
    SecondFactorRequired,
    ServiceError,
    Stale,
    Unavailable,
)
from consent_service.limits import limit, limit_attempts
from consent_service.tenants.service import tenants_of
from consent_service.web import as_service_error
from consent_service.wiring import use

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

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; frame-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)

#: Where that is mended which keeps somebody out.
_WAYS: dict[type[ServiceError], str] = {
    NotSignedIn: "entrance.sign_in",
    OwnSignInRequired: "entrance.sign_in",
    ProviderRequired: "entrance.tenant_sign_in",
    ReauthenticationRequired: "own.prove",
    SecondFactorRequired: "own.security",
}

log = logging.getLogger(__name__)

for _each in CONSOLE:
    limit(_each)
limit_attempts(entrance)
entrance.before_request(own_pages_only)


def known() -> Known:
    """Return who is signed in; found once a request."""
    if "known" not in g:
        g.known = use(Account).known(current_session())
    found: Known = g.known
    return found


def language_of_user() -> str | None:
    """Return the language that whoever is signed in has chosen."""
    someone = _somebody()
    return someone.user.language if someone else None


def own_path(asked: str | None, otherwise: str) -> str:
    """Return where to go on: a path of the console, and nothing else that an address could ask."""
    path = asked or ""
    plain = path.startswith("/console/") and "\\" not in path and path.isprintable()
    return path if plain and not urlsplit(path).netloc else otherwise


def _values() -> dict[str, Any]:
    """Give every template who is signed in, where, and what a form must send along."""
    values: dict[str, Any] = {"actor": None, "tenant": g.get("tenant"), "flashes": said()}
    someone = _somebody()
    if someone:
        values |= {
            "actor": someone.user,
            "tenants": tenants_of(use(Database), someone.roles),
            "may": lambda permission: permission in g.actor.permissions,
            "csrf_token": csrf_token(current_session()),
        }
    return values


def _somebody() -> Known | None:
    """Return who is signed in, if anybody; a page that says that the database is gone needs none.

    On the pages that are open to everybody nobody looks.
    """
    if "session" not in g:
        return None
    with suppress(Unavailable):
        return known()
    return None


def _refused(error: Exception) -> Response | tuple[str, int]:
    """Lead to the page that mends it, or say what went wrong."""
    found = as_service_error(error)
    if type(found) is ServiceError:
        log.error("unforeseen error", exc_info=error)
    way = _WAYS.get(type(found))
    if way:
        query = urlencode({"next": _here(), "why": found.code})
        return redirect(f"{url_for(way)}?{query}", 303)
    values: dict[str, Any] = {"status": int(found.status), "message": str(found)}
    if isinstance(found, PermissionMissing) and found.fields:
        values["permission"] = found.fields["permission"][0]
    if isinstance(found, Stale):
        values |= {"theirs": found.extra.get("current"), "mine": found.extra.get("sent")}
    page = render_template("console/error.html", back_href=_here(), **values)
    return page, found.status


def _here() -> str:
    """Return the page that the reader is on: of a form, the one that it stands on."""
    if request.method == "GET":
        return request.full_path.rstrip("?")
    before = urlsplit(request.referrer or "")
    where = f"{before.path}?{before.query}".rstrip("?")
    return own_path(where, url_for("own.tenants"))


def _finish(response: FlaskResponse) -> FlaskResponse:
    """Say who may see the page, and what it may do. Files are everybody's."""
    if request.endpoint != "entrance.static":
        response.headers["Cache-Control"] = "no-store"
        response.headers["Content-Security-Policy"] = _POLICY
        # Forms must tell where they were sent from.
        response.headers["Referrer-Policy"] = "same-origin"
        remember_language(response)
        forget_said(response)
    return response


for _each in CONSOLE:
    _each.context_processor(_values)
    _each.register_error_handler(Exception, _refused)
    _each.after_request(_finish)
