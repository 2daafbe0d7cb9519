"""Signing in at a tenant's identity provider, and how that is set up."""

from __future__ import annotations

import re
from hmac import compare_digest
from typing import Any
from urllib.parse import urlsplit

from flask import redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from consent_service.access import cookies, providers
from consent_service.access.auth import current_actor, current_session, needs
from consent_service.access.providers import Back, Provider, Providers, Wanted
from consent_service.access.routes import caller
from consent_service.access.sign_in import SignedIn
from consent_service.console.blueprints import entrance, own_path, workspace
from consent_service.console.flashes import say
from consent_service.console.sentences import translated
from consent_service.console.sign_in import Page
from consent_service.db import Database
from consent_service.errors import (
    NotInvited,
    ProviderNotBelieved,
    ProviderUnavailable,
    StepExpired,
    UnknownProvider,
    UnknownTenant,
    ValidationFailed,
)
from consent_service.tenants.auth import current_tenant
from consent_service.tenants.service import find_tenant
from consent_service.web import public_url
from consent_service.wiring import use

_FIELDS = ("issuer", "client_id", "client_secret", "revision")


@entrance.get("/sign-in/tenant")
def tenant_sign_in() -> Page:
    """Ask for the tenant at whose provider to sign in.

    The browser is led there by a link: the answer to a form may not leave the service.
    """
    there = _next()
    asked = request.args.get("tenant", "").strip().lower()
    found = re.match(r"/console/t/([a-z0-9-]+)", there)
    slug = asked or (found[1] if found else "")
    if not slug:
        return _tenant_page(there)
    try:
        tenant = find_tenant(use(Database), slug)
        provider = use(Providers).find(tenant.id)
    except (UnknownTenant, UnknownProvider):
        return _tenant_page(there, tenant=slug, wrong=_no_provider()), 404
    host = urlsplit(provider.issuer).netloc
    return _tenant_page(there, tenant=slug, host=host)


@entrance.get("/sign-in/provider")
def provider_sign_in() -> Page:
    """Lead to the provider."""
    slug = request.args.get("tenant", "")
    there = _next(slug)
    try:
        tenant = find_tenant(use(Database), slug)
        back = f"{public_url()}{url_for('entrance.back_from_provider')}"
        address, state = use(Providers).begin(tenant.id, back, there)
    except (UnknownTenant, UnknownProvider):
        return _tenant_page(there, tenant=slug, wrong=_no_provider()), 404
    except (ProviderUnavailable, ProviderNotBelieved) as error:
        return _tenant_page(there, tenant=slug, wrong=translated(str(error))), error.status
    response = redirect(address)
    cookies.keep_provider(response, state)
    return response


@entrance.get("/sign-in/provider/back")
def back_from_provider() -> Page:
    """Take what the provider says, if it is this browser that went there."""
    try:
        done, there = use(Providers).finish(_brought_back(), caller())
    except (NotInvited, ProviderNotBelieved, ProviderUnavailable, StepExpired) as error:
        page = Response(_tenant_page(_next(), wrong=translated(str(error))), int(error.status))
        page.mimetype = "text/html"
        cookies.drop_provider(page)
        return page
    if isinstance(done, SignedIn):
        response = redirect(there, 303)
        cookies.begin(response, done)
    else:
        response = redirect(url_for("entrance.second_step", next=there), 303)
        cookies.keep_step(response, done.step)
    cookies.drop_provider(response)
    return response


@workspace.get("/identity-provider")
@needs("sign_in:write", fresh=True)
def provider(tenant: str) -> str:
    """Show how the tenant's provider is set up."""
    del tenant
    return _provider_page()


@workspace.post("/identity-provider")
@needs("sign_in:write", fresh=True)
def save_provider(tenant: str) -> Page:
    """Set the provider up."""
    del tenant
    given = {name: request.form.get(name, "").strip() for name in _FIELDS}
    given["required"] = request.form.get("required", "")
    tenant_id = current_tenant().id
    wanted = Wanted(
        given["issuer"],
        given["client_id"],
        given["client_secret"] or None,
        required=bool(given["required"]),
        revision=int(given["revision"]) if given["revision"].isdecimal() else 0,
    )
    try:
        proven = current_session().provider_of == tenant_id
        use(Providers).save(tenant_id, wanted, proven=proven, by=current_actor())
    except ValidationFailed as error:
        return _provider_page(errors=error.fields, given=given), error.status
    return _back(_("The identity provider was saved. Check now whether it answers."))


@workspace.post("/identity-provider/check")
@needs("sign_in:write", fresh=True)
def check_provider(tenant: str) -> Page:
    """Ask the provider for its discovery document."""
    del tenant
    try:
        found = use(Providers).check(current_tenant().id)
    except (ProviderUnavailable, ProviderNotBelieved) as error:
        return _back(translated(str(error)), "bad")
    host = urlsplit(found["authorization_endpoint"]).netloc
    return _back(_("The provider answers. People will sign in at %(host)s.", host=host))


@workspace.get("/identity-provider/remove")
@needs("sign_in:write", fresh=True)
def ask_to_remove_provider(tenant: str) -> str:
    """Ask once more before the provider is forgotten."""
    found = use(Providers).find(current_tenant().id)
    return render_template(
        "console/users_confirm.html",
        question=_("Remove the identity provider?"),
        meaning=_(
            "Nobody can sign in at %(issuer)s any more. Everybody signs in with a password or "
            "passkey of their own.",
            issuer=found.issuer,
        ),
        yes=_("Remove"),
        back_href=url_for("workspace.provider", tenant=tenant),
    )


@workspace.post("/identity-provider/remove")
@needs("sign_in:write", fresh=True)
def remove_provider(tenant: str) -> Page:
    """Forget the provider."""
    del tenant
    providers.remove(use(Database), current_tenant().id, by=current_actor())
    return _back(_("The identity provider was removed."))


def _brought_back() -> Back:
    state, code = request.args.get("state", ""), request.args.get("code", "")
    if not (state and compare_digest(state.encode(), (cookies.provider() or "").encode())):
        raise StepExpired
    if not code:
        raise ProviderNotBelieved("You did not sign in at the identity provider.")
    return Back(state, code, request.args.get("iss"))


def _provider_page(**values: Any) -> str:  # noqa: ANN401
    try:
        found: Provider | None = use(Providers).find(current_tenant().id)
    except UnknownProvider:
        found = None
    back = f"{public_url()}{url_for('entrance.back_from_provider')}"
    proven = current_session().provider_of == current_tenant().id
    values.setdefault("given", found.shown() if found else {})
    return render_template(
        "console/provider.html", found=found, redirect_uri=back, proven=proven, **values
    )


def _tenant_page(there: str, **values: Any) -> str:  # noqa: ANN401
    return render_template("console/sign_in_tenant.html", next=there, **values)


def _no_provider() -> str:
    return translated(UnknownProvider.message)


def _next(slug: str = "") -> str:
    home = url_for("workspace.home", tenant=slug) if slug else url_for("own.tenants")
    return own_path(request.args.get("next"), home)


def _back(text: str, tone: str = "good") -> Response:
    there = url_for("workspace.provider", tenant=current_tenant().slug)
    return say(redirect(there, 303), text, tone)
