"""A user's own security page: second factors, sessions, password and language."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from consent_service.access import cookies, sessions
from consent_service.access.account import Account
from consent_service.access.auth import current_actor, current_session, require_fresh
from consent_service.access.mfa import SetUp
from consent_service.access.permissions import needs_second_factor
from consent_service.access.routes import prove as renew
from consent_service.console.blueprints import known, own, own_path
from consent_service.console.flashes import say
from consent_service.console.i18n import LANGUAGES
from consent_service.console.sign_in import Page, explained
from consent_service.db import Database
from consent_service.errors import (
    FactorNeeded,
    TooManyAttempts,
    ValidationFailed,
    WrongCode,
    WrongCredentials,
)
from consent_service.wiring import use


@own.get("/security")
def security() -> str:
    """Show factors, sessions, password and language."""
    return _security_page()


@own.post("/language")
def language() -> Response:
    """Have the console be in another language."""
    chosen = request.form.get("language", "")
    if chosen in LANGUAGES:
        use(Account).change(current_session(), language=chosen, by=current_actor())
    return redirect(own_path(request.form.get("next"), url_for("own.security")), 303)


@own.post("/password")
def set_password() -> Page:
    """Replace the password."""
    require_fresh()
    password, again = request.form.get("password", ""), request.form.get("again", "")
    if password != again:
        return _security_page(errors={"again": [_("The two are not the same.")]}), 422
    try:
        token = use(Account).set_password(current_session(), password, by=current_actor())
    except ValidationFailed as error:
        return _security_page(errors=error.fields), error.status
    return _kept(token, _("Your password was changed, and all other sessions were ended."))


@own.post("/totp")
def begin_totp() -> str:
    """Show what an authenticator app is told."""
    require_fresh()
    return _totp_page(use(Account).begin_totp(current_session()))


@own.post("/totp/confirm")
def confirm_totp() -> Page:
    """Take the app's first code."""
    require_fresh()
    step, code = request.form.get("step", ""), request.form.get("code", "")
    service, session = use(Account), current_session()
    try:
        token = service.confirm_totp(session, step, code, by=current_actor())
    except WrongCode as error:
        page = _totp_page(service.begun_totp(session, step), errors={"code": [explained(error)]})
        return page, error.status
    return _kept(token, _("Your authenticator app is set up."))


@own.route("/totp/remove", methods=["GET", "POST"])
def remove_totp() -> Page:
    """Forget the authenticator app."""
    require_fresh()
    if request.method == "GET":
        return _confirm_page(
            _("Remove the authenticator app?"), _("Its codes will open nothing any more.")
        )
    try:
        use(Account).remove_totp(current_session(), by=current_actor())
    except FactorNeeded as error:
        return _back(explained(error), "bad")
    return _back(_("The authenticator app was removed."))


@own.post("/recovery-codes")
def renew_recovery_codes() -> str:
    """Make recovery codes, and show them this once."""
    require_fresh()
    codes = use(Account).renew_recovery_codes(current_session(), by=current_actor())
    return render_template("console/security_codes.html", codes=codes)


@own.route("/passkeys/<uuid:passkey>/remove", methods=["GET", "POST"])
def remove_passkey(passkey: UUID) -> Page:
    """Remove a passkey."""
    require_fresh()
    if request.method == "GET":
        return _confirm_page(_("Remove this passkey?"), _("Nobody can sign in with it any more."))
    try:
        use(Account).remove_passkey(current_session(), passkey, by=current_actor())
    except FactorNeeded as error:
        return _back(explained(error), "bad")
    return _back(_("The passkey was removed."))


@own.post("/sessions/<uuid:session>/end")
def end_session(session: UUID) -> Response:
    """End one session."""
    use(Account).end_session(current_session(), session, by=current_actor())
    return _back(_("The session was ended."))


@own.post("/sessions/end-others")
def end_other_sessions() -> Response:
    """End all sessions but this one."""
    use(Account).end_other_sessions(current_session(), by=current_actor())
    return _back(_("All other sessions were ended."))


@own.get("/prove")
def prove() -> str:
    """Ask once more who is there."""
    return _prove_page()


@own.post("/prove")
def send_proof() -> Page:
    """Take a password or a code."""
    given = {name: request.form[name] for name in ("password", "code") if request.form.get(name)}
    try:
        token = renew(dict(list(given.items())[:1] or [("password", "")]))
    except (WrongCredentials, WrongCode, TooManyAttempts) as error:
        return _prove_page(wrong=explained(error)), error.status
    response = redirect(_after_proof(), 303)
    cookies.keep_session(response, token)
    return response


def _security_page(**values: Any) -> str:  # noqa: ANN401
    session = current_session()
    found = known()
    return render_template(
        "console/security.html",
        found=found,
        needed=any(map(needs_second_factor, found.roles.values())),
        why=request.args.get("why", ""),
        passkeys=use(Account).passkeys(session),
        sessions=sessions.of_user(use(Database), session.user_id),
        current=session.id,
        **values,
    )


def _totp_page(told: SetUp, errors: dict[str, list[str]] | None = None) -> str:
    return render_template("console/security_totp.html", told=told, errors=errors)


def _confirm_page(question: str, meaning: str) -> str:
    return render_template("console/security_confirm.html", question=question, meaning=meaning)


def _prove_page(**values: Any) -> str:  # noqa: ANN401
    return render_template(
        "console/security_prove.html", found=known(), next=_after_proof(), **values
    )


def _after_proof() -> str:
    return own_path(request.args.get("next"), url_for("own.security"))


def _back(text: str, tone: str = "good") -> Response:
    return say(redirect(url_for("own.security"), 303), text, tone)


def _kept(token: str, text: str) -> Response:
    response = _back(text)
    cookies.keep_session(response, token)
    return response
