"""Signing in and out, and choosing a tenant. All but passkeys works without scripts."""

from __future__ import annotations

from typing import Any

from flask import redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response

from consent_service.access import cookies
from consent_service.access.auth import current_actor, current_session, needs
from consent_service.access.routes import caller
from consent_service.access.sign_in import SignedIn, SignIn
from consent_service.console.blueprints import entrance, known, own, own_path, workspace
from consent_service.db import Database
from consent_service.errors import (
    ServiceError,
    StepExpired,
    TooManyAttempts,
    WrongCode,
    WrongCredentials,
)
from consent_service.tenants.service import tenants_of
from consent_service.wiring import use

Page = Response | str | tuple[str, int]


@entrance.get("/")
def start() -> Response:
    """Lead on to the tenants, or to signing in."""
    return redirect(url_for("own.tenants"))


@entrance.get("/sign-in")
def sign_in() -> Response:
    """Ask for address and password."""
    response = Response(_password_page(), mimetype="text/html")
    # Who begins anew is not held to what was begun before.
    cookies.drop_step(response)
    return response


@entrance.post("/sign-in")
def send_password() -> Page:
    """Take address and password."""
    email, password = request.form.get("email", ""), request.form.get("password", "")
    try:
        outcome = use(SignIn).with_password(email, password, caller())
    except (WrongCredentials, TooManyAttempts) as error:
        return _password_page(email=email, wrong=explained(error)), error.status
    if isinstance(outcome, SignedIn):
        return _begun(outcome)
    response = redirect(url_for("entrance.second_step", next=_next()), 303)
    cookies.keep_step(response, outcome.step)
    return response


@entrance.get("/sign-in/second-step")
def second_step() -> Page:
    """Ask for a second factor."""
    try:
        return _second_page()
    except StepExpired:
        return _from_the_start()


@entrance.post("/sign-in/second-step")
def send_code() -> Page:
    """Take a code of the authenticator app, or a recovery code."""
    step = cookies.step() or ""
    try:
        if "recovery_code" in request.form:
            given = request.form["recovery_code"]
            return _begun(use(SignIn).with_recovery_code(step, given, caller()))
        return _begun(use(SignIn).with_totp(step, request.form.get("code", ""), caller()))
    except StepExpired:
        return _from_the_start()
    except (WrongCode, TooManyAttempts) as error:
        return _second_page(wrong=explained(error)), error.status


@own.get("/tenants")
def tenants() -> Page:
    """Have the user choose a tenant; who has one only goes straight on."""
    found = tenants_of(use(Database), known().roles)
    if len(found) == 1:
        return redirect(url_for("workspace.home", tenant=found[0].slug))
    return render_template("console/account_tenants.html", found=found, roles=known().roles)


@workspace.get("/")
@needs("sites:read")
def home(tenant: str) -> Response:
    """Lead to the first of the tenant's pages."""
    return redirect(url_for("workspace.sites", tenant=tenant))


@own.post("/sign-out")
def sign_out() -> Response:
    """End the session."""
    use(SignIn).sign_out(current_session(), by=current_actor())
    response = redirect(url_for("entrance.sign_in"), 303)
    cookies.end(response)
    return response


def explained(error: ServiceError) -> str:
    """Return what went wrong, in the language of the page."""
    if isinstance(error, TooManyAttempts):
        minutes = -(-error.seconds // 60)
        said = ngettext(
            "Too many attempts. Try again in a minute.",
            "Too many attempts. Try again in %(num)s minutes.",
            minutes,
        )
        return str(said)
    texts: dict[str, str] = {
        "wrong_credentials": _("The e-mail address or the password is not right."),
        "factor_needed": _(
            "Your role needs a second factor. Add another one before you remove this."
        ),
        "wrong_code": _("The code is not right, or was used before. Take the newest one."),
    }
    return texts.get(error.code, str(error))


def _next() -> str:
    return own_path(request.args.get("next"), url_for("own.tenants"))


def _begun(signed_in: SignedIn) -> Response:
    response = redirect(_next(), 303)
    cookies.begin(response, signed_in)
    return response


def _from_the_start() -> Response:
    return redirect(url_for("entrance.sign_in", next=_next(), why="step_expired"), 303)


def _password_page(**values: Any) -> str:  # noqa: ANN401
    why = request.args.get("why", "")
    return render_template("console/sign_in.html", next=_next(), why=why, **values)


def _second_page(**values: Any) -> str:  # noqa: ANN401
    methods = use(SignIn).methods_of(cookies.step() or "")
    return render_template("console/sign_in_second.html", next=_next(), methods=methods, **values)
