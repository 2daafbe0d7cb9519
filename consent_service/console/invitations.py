"""What the link of an invitation leads to."""

from __future__ import annotations

from typing import Any

from flask import g, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from consent_service.access import cookies
from consent_service.access.auth import (
    current_actor,
    require_own_sign_in,
    signed_in_if_so,
    stranger,
)
from consent_service.console.blueprints import entrance, known
from consent_service.console.flashes import say
from consent_service.console.i18n import language
from consent_service.console.roles import role_name, what_it_may_do
from consent_service.console.sign_in import Page
from consent_service.errors import InvitationRefused, NotSignedIn, ValidationFailed
from consent_service.users.service import Accepted, Inviting
from consent_service.wiring import use


@entrance.get("/invitations/<string:token>")
def invitation(token: str) -> Page:
    """Show what an invitation is for, and how to accept it."""
    signed_in_if_so()
    try:
        return _page(token)
    except InvitationRefused as error:
        return render_template("console/invitation_refused.html"), error.status


@entrance.post("/invitations/<string:token>")
def accept_invitation(token: str) -> Page:
    """Accept: as who is signed in, or by making an account."""
    try:
        if signed_in_if_so():
            require_own_sign_in()
            return _welcome(use(Inviting).accept(token, by=current_actor()))
        accepted, begun = use(Inviting).accept_as_new(
            token,
            name=request.form.get("name", ""),
            password=request.form.get("password", ""),
            language=language(),
            by=stranger(),
        )
    except InvitationRefused as error:
        return render_template("console/invitation_refused.html"), error.status
    except ValidationFailed as error:
        return _page(token, errors=error.fields, name=request.form.get("name", "")), error.status
    except NotSignedIn:
        return _page(token), 409
    response = _welcome(accepted)
    cookies.begin(response, begun)
    return response


def _page(token: str, **values: Any) -> str:  # noqa: ANN401
    offer = use(Inviting).offer(token)
    someone = known().user if "session" in g else None
    return render_template(
        "console/invitation.html",
        offer=offer,
        role=role_name(offer.role),
        may_do=what_it_may_do(offer.role),
        someone=someone,
        fits=someone is not None and someone.email.casefold() == offer.email.casefold(),
        here=request.path,
        **values,
    )


def _welcome(accepted: Accepted) -> Response:
    there = redirect(url_for("workspace.home", tenant=accepted.tenant.slug), 303)
    return say(there, _("You are in: %(tenant)s.", tenant=accepted.tenant.name))
