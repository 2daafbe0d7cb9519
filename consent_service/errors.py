"""One tree of errors; each knows the code, status and message a client gets.

Raised anywhere, rendered once (``app.py``) as
``{"error": {"code": ..., "message": ..., "fields": {...}}}``.
Messages are for the reader of the response: they say what was wrong and how to mend it,
and never what the service looks like inside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any
from uuid import UUID

Fields = Mapping[str, Any]


class ServiceError(Exception):
    """Root of all errors that are an answer to a request.

    :ivar code: stable word a client can switch on
    :ivar status: HTTP status
    :ivar fields: what is wrong, by the name of the field
    :ivar extra: further members of the response beside ``error``
    :ivar headers: further response headers
    """

    code = "internal_error"
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    message = "Something went wrong on our side. Nothing was stored; please try again."

    def __init__(
        self,
        message: str | None = None,
        *,
        fields: Fields | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        """Take the class's own message unless a better one is given."""
        super().__init__(message or self.message)
        self.fields = fields
        self.extra = extra or {}
        self.headers: dict[str, str] = {}

    def body(self) -> dict[str, Any]:
        """Return the JSON body of the response."""
        error: dict[str, Any] = {"code": self.code, "message": str(self)}
        if self.fields:
            error["fields"] = dict(self.fields)
        return {"error": error, **self.extra}


class BadRequest(ServiceError):
    """The request could not be read."""

    code = "bad_request"
    status = HTTPStatus.BAD_REQUEST
    message = "The request could not be read."


class MalformedJson(BadRequest):
    """The body is not one JSON value in UTF-8 with each key once (RFC 7493, section 2)."""

    code = "malformed_json"
    message = "The body is not valid JSON in UTF-8."


class OriginNotAllowed(ServiceError):
    """The call comes from a page that the site has not registered."""

    code = "origin_not_allowed"
    status = HTTPStatus.FORBIDDEN
    message = (
        "This call is only accepted from the site's registered origins. Send it from one of its "
        "pages, or register the page's origin with the site."
    )


class NotFound(ServiceError):
    """There is nothing at this address."""

    code = "not_found"
    status = HTTPStatus.NOT_FOUND
    message = "There is nothing at this address."


class UnknownTenant(NotFound):
    """No tenant has this slug, or the caller has no part in it: nobody is told which."""

    code = "unknown_tenant"
    message = "There is no such tenant, or you have no access to it."


class UnknownSite(NotFound):
    """No site (of the caller's tenant) has this key, or visitors find no published notice there."""

    code = "unknown_site"
    message = "No site has this key, or no notice of it is published yet. Check the key."


class UnknownService(NotFound):
    """The notice in force has no such service, or registers no script for it."""

    code = "unknown_service"
    message = "The site's notice registers no loader for this service. Check the service's key."


class UnknownStatusList(NotFound):
    """The site has no such status list, or all tokens in it have expired."""

    code = "unknown_status_list"
    message = (
        "The site has no such status list. Ask at the address that the token names; when all its "
        "tokens have expired, a list is gone."
    )


class UnknownVisitor(NotFound):
    """The caller holds no valid token of this site, or nothing is held about the visitor."""

    code = "unknown_visitor"
    message = "No token of this site came with the call, or nothing is held about its visitor."


class UnknownRecord(NotFound):
    """No record is at this receipt address."""

    code = "unknown_record"
    message = "No record is at this address. Use the receipt link exactly as it was given."


class UnknownLedger(NotFound):
    """No tenant has such a ledger, or nothing is in it yet: nobody is told which."""

    code = "unknown_ledger"
    message = "There is no such ledger, or nothing is in it yet. Check the address."


class UnknownUser(NotFound):
    """The user is no member of the tenant, or not any more."""

    code = "unknown_user"
    message = "The tenant has no such user."


class UnknownInvitation(NotFound):
    """The tenant has no such invitation that could still be accepted or sent again."""

    code = "unknown_invitation"
    message = "The tenant has no such invitation, or it was accepted or revoked."


class UnknownProvider(NotFound):
    """The tenant has set up no identity provider, or there is no such tenant."""

    code = "unknown_provider"
    message = "No identity provider is set up for this tenant. Sign in with your password."


class InvitationRefused(ServiceError):
    """The link of an invitation opens nothing, for whichever reason."""

    code = "invitation_refused"
    status = HTTPStatus.GONE
    message = (
        "This link cannot be used: it is not whole, was used before, has expired or was revoked. "
        "Ask whoever invited you to send the invitation again."
    )


class InvitedElsewhere(ServiceError):
    """Somebody is signed in with another address than the invitation is for."""

    code = "invited_elsewhere"
    status = HTTPStatus.FORBIDDEN
    message = (
        "This invitation is for another e-mail address than the one you are signed in with. "
        "Sign out, and open the link again."
    )


class LastOwner(ServiceError):
    """A tenant without an owner could not be managed by anybody."""

    code = "last_owner"
    status = HTTPStatus.CONFLICT
    message = "This is the tenant's only owner. Make somebody else an owner first."


class UnknownForm(NotFound):
    """There is no such file in this form."""

    code = "unknown_form"

    def __init__(self, forms: Iterable[str]) -> None:
        """Name the forms that there are."""
        named = ", ".join(forms)
        super().__init__(f"Choose one of these forms: {named}.", fields={"form": [named]})


class UnknownSchedule(NotFound):
    """The tenant has no such schedule."""

    code = "unknown_schedule"
    message = "The tenant has no such schedule."


class LinkRefused(ServiceError):
    """The link of a report opens nothing, for whichever reason."""

    code = "link_refused"
    status = HTTPStatus.GONE
    message = (
        "This link cannot be used: it is not whole, has expired, or what it belongs to was "
        "deleted. The next mail brings a new one."
    )


class UnknownKey(NotFound):
    """The tenant has no such API key, or it is no longer in use."""

    code = "unknown_key"
    message = "The tenant has no such API key in use."


class NotSignedIn(ServiceError):
    """Nobody knows who calls."""

    code = "not_signed_in"
    status = HTTPStatus.UNAUTHORIZED
    message = "Sign in, or send an API key: Authorization: Bearer ck_…"

    def __init__(self, message: str | None = None) -> None:
        """Say how to call (RFC 9110, section 11.6.1)."""
        super().__init__(message)
        self.headers["WWW-Authenticate"] = "Bearer"


class PermissionMissing(ServiceError):
    """The caller is known, and may not do this."""

    code = "permission_missing"
    status = HTTPStatus.FORBIDDEN

    def __init__(self, permission: str) -> None:
        """Name the permission."""
        super().__init__(
            f"This needs the permission {permission}. An owner of the tenant can give it to you.",
            fields={"permission": [permission]},
        )


class SecondFactorRequired(ServiceError):
    """The caller's role needs a second factor, and the session has none."""

    code = "second_factor_required"
    status = HTTPStatus.FORBIDDEN
    message = (
        "Your role can change things, so it needs a second factor. Set up an authenticator app or "
        "a passkey, and sign in with it."
    )


class ProviderRequired(ServiceError):
    """The tenant wants its users to sign in at its own provider."""

    code = "provider_required"
    status = HTTPStatus.FORBIDDEN
    message = "This tenant's users sign in at its own identity provider. Sign in again, there."


class OwnSignInRequired(ServiceError):
    """A tenant's provider vouched for the user, and the call is none of that tenant's.

    Whoever sets up a provider decides whom it vouches for: it must open nothing but their tenant.
    """

    code = "own_sign_in_required"
    status = HTTPStatus.FORBIDDEN
    message = (
        "You signed in at a tenant's identity provider, which opens that tenant alone. For this, "
        "sign in with your own password or passkey."
    )


class NotInvited(ServiceError):
    """A tenant's provider vouches for somebody who is no member of the tenant."""

    code = "not_invited"
    status = HTTPStatus.FORBIDDEN
    message = (
        "The identity provider knows you, but your e-mail address has no access to this tenant. "
        "Ask one of its owners to invite you; accept the invitation, then sign in."
    )


class ProviderUnavailable(ServiceError):
    """A tenant's identity provider does not answer, or not as one."""

    code = "provider_unavailable"
    status = HTTPStatus.BAD_GATEWAY
    message = (
        "The identity provider does not answer as one. Try again in a moment; if it goes on, tell "
        "whoever set it up."
    )


class ProviderNotBelieved(ServiceError):
    """What came back from a tenant's identity provider does not prove who somebody is."""

    code = "provider_not_believed"
    status = HTTPStatus.FORBIDDEN
    message = (
        "What came back from the identity provider is not the answer to what it was asked. "
        "Begin to sign in again."
    )


class ReauthenticationRequired(ServiceError):
    """What is asked for could do harm, and the caller proved to be there too long ago."""

    code = "reauthentication_required"
    status = HTTPStatus.FORBIDDEN
    message = "Prove once more that it is you, then do this again."


class FormExpired(ServiceError):
    """The call does not come from a page of the session that it was made in."""

    code = "form_expired"
    status = HTTPStatus.FORBIDDEN
    message = "The page is too old, or not ours. Load it again. (Programs: send X-CSRF-Token.)"


class WrongCredentials(ServiceError):
    """No user has this address and password. Nobody is told which of the two is wrong."""

    code = "wrong_credentials"
    status = HTTPStatus.FORBIDDEN
    message = "The e-mail address or the password is not right."


class WrongCode(ServiceError):
    """A second factor's code is not right."""

    code = "wrong_code"
    status = HTTPStatus.FORBIDDEN
    message = "The code is not right, or was used before. Take the newest one."


class PasskeyRefused(ServiceError):
    """What a passkey signed cannot be accepted."""

    code = "passkey_refused"
    status = HTTPStatus.FORBIDDEN
    message = "This passkey cannot be accepted here. Try again, or sign in another way."


class StepExpired(ServiceError):
    """A step of signing in or setting up came too late, or a second time."""

    code = "step_expired"
    status = HTTPStatus.FORBIDDEN
    message = "This took too long, or was done before. Begin again."


class FactorNeeded(ServiceError):
    """A user's role needs a second factor, and this one is the last."""

    code = "factor_needed"
    status = HTTPStatus.CONFLICT
    message = "Your role needs a second factor. Add another one before you remove this."


class TooManyAttempts(ServiceError):
    """Somebody tried too often; ``Retry-After`` says how long to wait."""

    code = "too_many_attempts"
    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, seconds: int) -> None:
        """Say when the next attempt is looked at."""
        super().__init__(f"Too many attempts. Try again in {seconds} seconds.")
        self.seconds = seconds
        self.headers["Retry-After"] = str(seconds)


class Stale(ServiceError):
    """What was edited has been changed by somebody else since it was read."""

    code = "stale"
    status = HTTPStatus.CONFLICT
    message = "Somebody else has changed this meanwhile. Compare, and save again."

    def __init__(self, current: Mapping[str, Any], sent: Mapping[str, Any]) -> None:
        """Give both versions, so that nothing is lost."""
        super().__init__(extra={"current": current, "sent": sent})


class NoticeChanged(ServiceError):
    """The choice was made on a notice that is no longer in force; the new one comes along."""

    code = "notice_changed"
    status = HTTPStatus.CONFLICT
    message = "The notice has changed since it was shown. Show the new one and ask again."


class BodyTooLarge(ServiceError):
    """The body is larger than any valid one."""

    code = "body_too_large"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    message = "The body is larger than this call accepts."


class UnsupportedMediaType(ServiceError):
    """The body is not announced as JSON."""

    code = "unsupported_media_type"
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    message = "Send the body as JSON, with Content-Type: application/json."


class ValidationFailed(ServiceError):
    """The request was read, and its content breaks a rule; ``fields`` says which."""

    code = "validation_failed"
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    message = "Some fields are not right; each is explained under its name."


class IdempotencyKeyReused(ValidationFailed):
    """The key was used before, for another body or by another visitor."""

    code = "idempotency_key_reused"
    message = "This Idempotency-Key was used for another decision. Use a new random key for each."


class InvalidUserToken(ValidationFailed):
    """The token that says who is signed in was not made as ``docs/linking.md`` says."""

    code = "invalid_user_token"
    message = "The user token cannot be accepted; the reason is given under its name."

    def __init__(self, reason: str) -> None:
        """Say which check failed."""
        super().__init__(fields={"user_token": [reason]})


class TooManyRequests(ServiceError):
    """A rate limit was reached; ``Retry-After`` says for how long."""

    code = "too_many_requests"
    status = HTTPStatus.TOO_MANY_REQUESTS
    message = "Too many requests. Try again after the number of seconds in Retry-After."


class ProofBroken(ServiceError):
    """What would be handed out as proof does not verify."""

    code = "proof_broken"
    message = (
        "The proof of this record does not check out here, so no receipt is handed out. Nothing is "
        "lost that was recorded; tell whoever runs this service: consent-service ledger audit."
    )


class Unavailable(ServiceError):
    """The database cannot answer now (gone, locked, full).

    Nothing half-done was stored. Where it went away during a commit nobody knows whether all was.
    """

    code = "unavailable"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    message = (
        "The service cannot do this now. Please try again after the seconds in Retry-After; with "
        "the same Idempotency-Key a choice is stored once, however often it is sent."
    )

    #: Seconds; a lock or a fail-over is mostly over by then.
    retry_after = 2

    def __init__(self) -> None:
        """Say when to come back."""
        super().__init__()
        self.headers["Retry-After"] = str(self.retry_after)


class LedgerSuspended(ServiceError):
    """More of a tenant's ledger was published than its database holds, as after a restored backup.

    What was written now would contradict it.
    """

    code = "ledger_suspended"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    message = (
        "Nothing can be recorded, linked or erased now: the service was set back to an earlier "
        "state. Its operator is told what to do; try again after the seconds in Retry-After."
    )

    #: Seconds; somebody must look at it.
    retry_after = 60

    def __init__(self) -> None:
        """Say when to come back."""
        super().__init__()
        self.headers["Retry-After"] = str(self.retry_after)


class Busy(ServiceError):
    """The service makes as many files as it can at once."""

    code = "busy"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    message = "Too many files are being made just now. Try again after the seconds in Retry-After."

    #: Seconds; most files are made by then.
    retry_after = 10

    def __init__(self) -> None:
        """Say when to come back."""
        super().__init__()
        self.headers["Retry-After"] = str(self.retry_after)


class MailFailed(ServiceError):
    """A mail could not be handed over to the mail server."""

    code = "mail_failed"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    message = (
        "The mail could not be sent. Check the address, or try again after the seconds in "
        "Retry-After."
    )

    #: Seconds; who is at the keyboard tries again by then, and a server has restarted.
    retry_after = 30

    def __init__(self) -> None:
        """Say when to come back."""
        super().__init__()
        self.headers["Retry-After"] = str(self.retry_after)


class MailNotConfigured(ServiceError):
    """Mail is needed, and the settings name no way to send it."""

    code = "mail_not_configured"
    status = HTTPStatus.NOT_IMPLEMENTED
    message = "This service sends no mail. Its operator can set CONSENT_MAIL_URL."


class NoHistory(ServiceError):
    """A status list of another moment is asked for; only what holds now is kept."""

    code = "no_history"
    status = HTTPStatus.NOT_IMPLEMENTED
    message = "Status lists are given as they are now. Leave out time."


class InvitationNotSent(ServiceError):
    """An invitation was made, and its mail could not be sent."""

    code = "invitation_not_sent"
    status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self, cause: ServiceError, invitation_id: UUID) -> None:
        """Say why, and name the invitation to be sent again."""
        super().__init__(
            "The invitation is in the list and counts, but its mail was not sent. "
            f"{cause} Then send the invitation again.",
            extra={"invitation_id": str(invitation_id)},
        )
        self.headers.update(cause.headers)


class OperatorError(Exception):
    """Something only the operator can mend; the command line prints it and stops with code 2."""


class CannotDecrypt(OperatorError):
    """A value that the database keeps encrypted cannot be opened: lost key, altered, or moved."""
