"""Hooks that run before each request of a blueprint and decide whether it may go on.

Who calls is told by an API key (``Authorization: Bearer``) or by the cookie of a session. What a
view needs stands on it (:func:`needs`); a view on which nothing stands lets nobody in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

from flask import current_app, g, request

from consent_service import clock
from consent_service.access import keys, sessions
from consent_service.access.actor import Actor, network_of
from consent_service.access.passkeys import RelyingParty
from consent_service.access.permissions import needs_second_factor, permissions_of
from consent_service.access.sessions import Session
from consent_service.agent import browser_family, device_class
from consent_service.db import Database
from consent_service.errors import (
    FormExpired,
    NotSignedIn,
    OwnSignInRequired,
    PermissionMissing,
    ProviderRequired,
    ReauthenticationRequired,
    SecondFactorRequired,
    UnknownTenant,
)
from consent_service.limits import READING
from consent_service.signing import Keyring
from consent_service.web import public_url
from consent_service.wiring import use

View = TypeVar("View", bound=Callable[..., Any])

#: Browsers keep a cookie with this prefix to the very host, and to TLS.
SECURE_COOKIE = "__Host-consent_session"
#: Without TLS: the demo on one's own machine.
PLAIN_COOKIE = "consent_session"

#: For so long after a proof that the user is there, changes that could do harm ask for no other.
FRESH = timedelta(minutes=15)

_CSRF_SALT = "csrf"


@dataclass(frozen=True)
class Needed:
    """What a view needs: a permission, and whether the user must have proved to be there lately."""

    permission: str
    fresh: bool


def needs(permission: str, *, fresh: bool = False) -> Callable[[View], View]:
    """Say on a view which permission it needs.

    :param fresh: whether a user must have signed in or proved it again within :data:`FRESH`
    """

    def mark(view: View) -> View:
        view.needed = Needed(permission, fresh)  # type: ignore[attr-defined]
        return view

    return mark


def public() -> None:
    """Let everybody in. Named for each open blueprint, so that openness is never an oversight."""


def signed_in() -> None:
    """Find the user's session; calls about one's own account need no more.

    :raises NotSignedIn: when there is none
    :raises FormExpired: when a write does not come from one of its pages
    """
    if not signed_in_if_so():
        raise NotSignedIn


def authorize(find_tenant: Callable[[], UUID]) -> None:
    """Find out who calls, and that the view's permission is theirs in the tenant.

    :param find_tenant: gives the tenant's id, or raises UnknownTenant
    :raises NotSignedIn: when nobody knows who calls
    :raises UnknownTenant: when there is no such tenant, or it is none of the caller's
    :raises PermissionMissing: when the caller's role or key lacks the permission
    """
    needed = needed_by(request.endpoint, request.method)
    secret = _bearer()
    if secret is not None:
        g.actor = _program(secret, find_tenant)
    else:
        signed_in()
        g.actor = _member(g.session, find_tenant())
    if needed is None:
        raise PermissionMissing("(none is enough)")
    g.actor.require(needed.permission)
    if needed.fresh and secret is None:
        _check_fresh()


def programs() -> None:
    """Let in programs whose API key has the view's permission; the tenant is the key's.

    :raises NotSignedIn: when no key in use came with the call
    :raises PermissionMissing: when it lacks the permission
    """
    secret = _bearer()
    if secret is None:
        raise NotSignedIn("Send an API key: Authorization: Bearer ck_…")
    key = _caller(secret)
    g.tenant_id = key.tenant_id
    g.actor = _actor_of(key)
    needed = needed_by(request.endpoint, request.method)
    g.actor.require(needed.permission if needed else "(none is enough)")


def needed_by(endpoint: str | None, method: str) -> Needed | None:
    """Return what stands on the view of an endpoint; None if nothing does."""
    view: Any = current_app.view_functions.get(endpoint or "")
    kind = getattr(view, "view_class", None)
    name = {"HEAD": "get"}.get(method, method.lower())
    return getattr(getattr(kind, name, None) if kind else view, "needed", None)


def require_fresh() -> None:
    """Refuse to change how a user signs in unless the user has lately proved to be there.

    :raises OwnSignInRequired: when somebody else's word is all that there is for who it is
    :raises ReauthenticationRequired: when that was longer ago than :data:`FRESH`
    """
    require_own_sign_in()
    _check_fresh()


def require_own_sign_in() -> None:
    """Refuse to go on where a tenant's provider has said who it is: it speaks for its tenant alone.

    :raises OwnSignInRequired: when it has
    """
    if current_session().provider_of is not None:
        raise OwnSignInRequired


def signed_in_if_so() -> bool:
    """Find the user's session where there is one, for calls that are open to everybody too.

    :raises FormExpired: when there is one, and a write does not come from one of its pages
    """
    session = _session()
    if session is None:
        return False
    _check_form(session)
    g.session = session
    g.actor = Actor("user", session.user_id, network=_network(), client=_client())
    return True


def own_pages_only() -> None:
    """Refuse writes that another host's page has a browser send.

    For calls that need no session, whose token would tell: nobody may be signed in unasked, not
    even as somebody else. Programs send neither header.

    :raises FormExpired: when the call comes from such a page
    """
    if request.method in READING:
        return
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site not in {None, "same-origin", "none"} or origin not in {None, public_url()}:
        raise FormExpired


def relying_party() -> RelyingParty:
    """Return whom passkeys are for."""
    return RelyingParty(urlsplit(public_url()).hostname or "", public_url())


def stranger() -> Actor:
    """Return whoever calls while nobody knows who it is."""
    return Actor("user", None, network=_network(), client=_client())


def current_actor() -> Actor:
    """Return who the hook found to be calling."""
    actor: Actor = g.actor
    return actor


def current_program_tenant() -> UUID:
    """Return the id of the tenant whose program the hook found to be calling."""
    tenant_id: UUID = g.tenant_id
    return tenant_id


def current_session() -> Session:
    """Return the session that the hook found."""
    session: Session = g.session
    return session


def csrf_token(session: Session) -> str:
    """Return what a page of this session sends along with a write."""
    return use(Keyring).signer(_CSRF_SALT).get_signature(str(session.id)).decode()


def _program(secret: str, find_tenant: Callable[[], UUID]) -> Actor:
    key = _caller(secret)
    if find_tenant() != key.tenant_id:
        raise UnknownTenant
    return _actor_of(key)


def _caller(secret: str) -> keys.Caller:
    key = keys.authenticate(use(Database), secret)
    if key is None:
        raise NotSignedIn("No API key in use is like this one. It may have expired.")
    return key


def _actor_of(key: keys.Caller) -> Actor:
    return Actor("api_key", key.id, frozenset(key.scopes), _network(), _client())


def _member(session: Session, tenant_id: UUID) -> Actor:
    found = sessions.standing(use(Database), session.user_id, tenant_id)
    if found is None:
        raise UnknownTenant
    if found.provider_required and session.provider_of != tenant_id:
        raise ProviderRequired
    if session.provider_of not in {None, tenant_id}:
        raise OwnSignInRequired
    if needs_second_factor(found.role) and session.second_factor is None:
        raise SecondFactorRequired
    return Actor("user", session.user_id, permissions_of(found.role), _network(), _client())


def _check_fresh() -> None:
    if clock.now() - current_session().authenticated_at > FRESH:
        raise ReauthenticationRequired


def _session() -> Session | None:
    token = request.cookies.get(SECURE_COOKIE if request.is_secure else PLAIN_COOKIE)
    return sessions.find_session(use(Database), token) if token else None


def _bearer() -> str | None:
    kind, _, secret = request.headers.get("Authorization", "").partition(" ")
    return secret.strip() if kind.lower() == "bearer" else None


def _check_form(session: Session) -> None:
    if request.method in READING:
        return
    given = request.headers.get("X-CSRF-Token") or request.form.get("csrf_token", "")
    if not use(Keyring).signer(_CSRF_SALT).verify_signature(str(session.id), given):
        raise FormExpired


def _network() -> str | None:
    return network_of(request.remote_addr)


def _client() -> str:
    user_agent = request.headers.get("User-Agent", "")
    return f"{browser_family(user_agent)} {device_class(user_agent)}"
