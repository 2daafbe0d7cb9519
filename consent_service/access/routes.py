"""Signing in and one's own account over HTTP. What the session is, cookies hold.

Who is signed in is told by ``tenants/account.py``, since it names tenants.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response, g, jsonify
from flask.views import MethodView

from consent_service.access import cookies, sessions
from consent_service.access.account import Account
from consent_service.access.attempts import Caller
from consent_service.access.auth import (
    current_actor,
    current_session,
    own_pages_only,
    relying_party,
    require_fresh,
    stranger,
)
from consent_service.access.prove import Prove
from consent_service.access.schemas import (
    CodeIn,
    EndedOut,
    NewPasskeyIn,
    NewPasswordIn,
    OptionsOut,
    PasskeyIn,
    PasskeyOut,
    PasskeysOut,
    PasswordIn,
    ProofIn,
    RecoveryCodesOut,
    SessionsOut,
    SignedInOut,
    TotpIn,
    TotpSetUpOut,
)
from consent_service.access.sign_in import SecondStep, SignedIn, SignIn
from consent_service.db import Database
from consent_service.errors import StepExpired
from consent_service.limits import limit, limit_attempts
from consent_service.web import TO_USERS, Blueprint, ErrorOut
from consent_service.wiring import use

entry = Blueprint(
    "sign_in",
    __name__,
    url_prefix="/v1/sign-in",
    description="Signing in. Cookies hold the session; programs use an API key instead.",
    answers={403: "It is not right, too late, or not allowed: the code says which."},
)
account = Blueprint(
    "account",
    __name__,
    url_prefix="/v1",
    description="One's own account. Called with the session's cookie; writes send X-CSRF-Token.",
    answers=TO_USERS,
)
limit(entry)
limit_attempts(entry)
limit(account)
entry.before_request(own_pages_only)

_LAST_FACTOR = "It is the last second factor, and the user's role needs one."


@entry.route("")
class Password(MethodView):
    """The first step."""

    @entry.arguments(PasswordIn)
    @entry.response(200, SignedInOut)
    def post(self, given: dict[str, str]) -> Response:
        """Begin to sign in with a password."""
        outcome = use(SignIn).with_password(given["email"], given["password"], caller())
        if isinstance(outcome, SignedIn):
            return _begun(outcome)
        return _second_step(outcome)


@entry.route("/totp")
class Totp(MethodView):
    """The second step, with an authenticator app."""

    @entry.arguments(CodeIn)
    @entry.response(200, SignedInOut)
    def post(self, given: dict[str, str]) -> Response:
        """Finish signing in with a code of the authenticator app."""
        return _begun(use(SignIn).with_totp(_step(), given["code"], caller()))


@entry.route("/recovery-code")
class RecoveryCode(MethodView):
    """The second step, with a recovery code."""

    @entry.arguments(CodeIn)
    @entry.response(200, SignedInOut)
    def post(self, given: dict[str, str]) -> Response:
        """Finish signing in with a recovery code, which is then used up."""
        return _begun(use(SignIn).with_recovery_code(_step(), given["code"], caller()))


@entry.route("/passkey/options")
class PasskeyOptions(MethodView):
    """The challenge for a passkey."""

    @entry.response(200, OptionsOut)
    def post(self) -> Response:
        """Get what the browser asks for a passkey with, after a password or instead of one."""
        return jsonify(public_key=use(SignIn).passkey_options(relying_party(), cookies.step()))


@entry.route("/passkey")
class Passkey(MethodView):
    """Signing in with a passkey."""

    @entry.arguments(PasskeyIn)
    @entry.response(200, SignedInOut)
    def post(self, given: dict[str, Any]) -> Response:
        """Sign in with a passkey, after a password or instead of one."""
        return _begun(
            use(SignIn).with_passkey(relying_party(), given["credential"], cookies.step(), caller())
        )


@account.route("/sign-out")
class SignOut(MethodView):
    """The end of a session."""

    @account.response(204)
    def post(self) -> Response:
        """Sign out."""
        use(SignIn).sign_out(current_session(), by=current_actor())
        response = _nothing()
        cookies.end(response)
        return response


@account.route("/account/prove/options")
class ProveOptions(MethodView):
    """The challenge for a passkey that proves again who is there."""

    @account.response(200, OptionsOut)
    def post(self) -> Response:
        """Get what the browser asks for a passkey with."""
        options = use(Prove).passkey_options(relying_party(), current_session())
        return jsonify(public_key=options)


@account.route("/account/prove")
class ProveAgain(MethodView):
    """Proving again who is there."""

    @account.arguments(ProofIn)
    @account.response(204)
    def post(self, given: dict[str, Any]) -> Response:
        """Prove again who is there, for changes that could do harm."""
        return _kept(prove(given))


@account.route("/account/password")
class OwnPassword(MethodView):
    """The user's password."""

    @account.arguments(NewPasswordIn)
    @account.response(204)
    def put(self, given: dict[str, str]) -> Response:
        """Replace the password; all other sessions end."""
        require_fresh()
        token = use(Account).set_password(current_session(), given["password"], by=current_actor())
        return _kept(token)


@account.route("/account/totp")
class OwnTotp(MethodView):
    """The user's authenticator app."""

    @account.response(200, TotpSetUpOut)
    def post(self) -> Any:  # noqa: ANN401 - dumped by the schema
        """Begin to set up an authenticator app; it counts with its first code."""
        require_fresh()
        return use(Account).begin_totp(current_session())

    @account.arguments(TotpIn)
    @account.response(204)
    def put(self, given: dict[str, str]) -> Response:
        """Send the first code; the app counts from now on, in the place of the one before it."""
        require_fresh()
        token = use(Account).confirm_totp(
            current_session(), given["step"], given["code"], by=current_actor()
        )
        return _kept(token)

    @account.response(204)
    @account.alt_response(404, schema=ErrorOut, description="There is no such thing.")
    @account.alt_response(409, schema=ErrorOut, description=_LAST_FACTOR)
    def delete(self) -> Response:
        """Forget the authenticator app."""
        require_fresh()
        use(Account).remove_totp(current_session(), by=current_actor())
        return _nothing()


@account.route("/account/recovery-codes")
class RecoveryCodes(MethodView):
    """The user's recovery codes."""

    @account.response(200, RecoveryCodesOut)
    @account.alt_response(404, schema=ErrorOut, description="There is no such thing.")
    def post(self) -> dict[str, list[str]]:
        """Make ten recovery codes in the place of those before. They are shown this once."""
        require_fresh()
        codes = use(Account).renew_recovery_codes(current_session(), by=current_actor())
        return {"codes": codes}


@account.route("/account/passkeys/options")
class NewPasskeyOptions(MethodView):
    """The challenge for a new passkey."""

    @account.response(200, OptionsOut)
    def post(self) -> Response:
        """Get what the browser makes a passkey with."""
        require_fresh()
        options = use(Account).passkey_options(current_session(), relying_party())
        return jsonify(public_key=options)


@account.route("/account/passkeys")
class Passkeys(MethodView):
    """The user's passkeys."""

    @account.response(200, PasskeysOut)
    def get(self) -> dict[str, Any]:
        """List the passkeys, oldest first."""
        return {"passkeys": use(Account).passkeys(current_session())}

    @account.arguments(NewPasskeyIn)
    @account.response(201, PasskeyOut)
    def post(self, given: dict[str, Any]) -> Response:
        """Add the passkey that the browser has made."""
        require_fresh()
        made, token = use(Account).add_passkey(
            current_session(),
            relying_party(),
            given["credential"],
            given["name"],
            by=current_actor(),
        )
        response = jsonify(PasskeyOut().dump(made))
        response.status_code = 201
        cookies.keep_session(response, token)
        return response


@account.route("/account/passkeys/<uuid:passkey>")
class OnePasskey(MethodView):
    """One of the user's passkeys."""

    @account.response(204)
    @account.alt_response(404, schema=ErrorOut, description="There is no such thing.")
    @account.alt_response(409, schema=ErrorOut, description=_LAST_FACTOR)
    def delete(self, passkey: UUID) -> Response:
        """Remove a passkey."""
        require_fresh()
        use(Account).remove_passkey(current_session(), passkey, by=current_actor())
        return _nothing()


@account.route("/account/sessions")
class Sessions(MethodView):
    """Where the user is signed in."""

    @account.response(200, SessionsOut)
    def get(self) -> dict[str, Any]:
        """List the sessions, the one used last first."""
        current = current_session()
        seen = sessions.of_user(use(Database), current.user_id)
        return {"sessions": [vars(one) | {"current": one.id == current.id} for one in seen]}

    @account.response(200, EndedOut)
    def delete(self) -> dict[str, int]:
        """End all sessions but this one."""
        return {"ended": use(Account).end_other_sessions(current_session(), by=current_actor())}


@account.route("/account/sessions/<uuid:session>")
class OneSession(MethodView):
    """One of the user's sessions."""

    @account.response(204)
    @account.alt_response(404, schema=ErrorOut, description="There is no such thing.")
    def delete(self, session: UUID) -> Response:
        """End a session."""
        use(Account).end_session(current_session(), session, by=current_actor())
        return _nothing()


def prove(given: dict[str, Any]) -> str:
    """Renew the session with whichever proof was given; return its new token."""
    service, session, by = use(Prove), current_session(), caller()
    if "password" in given:
        return service.with_password(session, given["password"], by)
    if "code" in given:
        return service.with_totp(session, given["code"], by)
    return service.with_passkey(session, relying_party(), given["credential"], by)


def caller() -> Caller:
    """Return who tries: the user if there is a session, else whoever it is."""
    return Caller(g.get("actor") or stranger(), cookies.device())


def _step() -> str:
    step = cookies.step()
    if step is None:
        raise StepExpired
    return step


def _begun(signed_in: SignedIn) -> Response:
    response = jsonify(next="done", methods=[])
    cookies.begin(response, signed_in)
    return response


def _second_step(step: SecondStep) -> Response:
    response = jsonify(next="second_factor", methods=list(step.methods))
    cookies.keep_step(response, step.step)
    return response


def _kept(token: str) -> Response:
    response = _nothing()
    cookies.keep_session(response, token)
    return response


def _nothing() -> Response:
    return Response(status=204)
