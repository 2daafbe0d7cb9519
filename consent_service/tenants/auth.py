"""Hooks: who may call on behalf of a site's visitors, and who is a member of a tenant."""

from __future__ import annotations

from uuid import UUID

from flask import Response, g, request

from consent_service.access.auth import authorize
from consent_service.db import Database
from consent_service.errors import OriginNotAllowed, UnknownTenant
from consent_service.limits import READING
from consent_service.tenants.service import Site, SiteDirectory, Tenant, find_tenant, site_of
from consent_service.wiring import use

#: Request headers that pages may send us, and response headers that they may read.
REQUEST_HEADERS = "Content-Type, Idempotency-Key, X-Consent-Token"
RESPONSE_HEADERS = "X-Consent-Token, Retry-After"

#: Seconds for which a browser need not ask again; two hours is the most that Chromium keeps.
PREFLIGHT_SECONDS = 7200


def _named_site() -> str:
    return (request.view_args or {}).get("site_key") or request.args.get("site", "")


def anybody_of_site() -> None:
    """Find the site that the call names; who calls from where does not matter.

    :raises UnknownSite: when no site has the key
    """
    g.site = use(SiteDirectory).find(_named_site())


def pages_of_site() -> None:
    """Find the site that the call names, and refuse calls from others' pages.

    A write must say its origin, as every browser does; a read may leave it out, as browsers do
    for the page's own host.

    :raises UnknownSite: when no site has the key
    :raises OriginNotAllowed: when the origin is not one of the site's
    """
    anybody_of_site()
    origin = request.headers.get("Origin")
    reading = request.method in READING
    if not (origin in current_site().allowed_origins or (origin is None and reading)):
        raise OriginNotAllowed


def members_of_tenant() -> None:
    """Find the tenant that the address names, and let in whoever may do there what is asked.

    :raises NotSignedIn: when nobody knows who calls
    :raises UnknownTenant: when there is no such tenant, or it is none of the caller's
    :raises PermissionMissing: when the caller's role or key lacks what the view needs
    """
    try:
        authorize(_find_named_tenant)
    except UnknownTenant:
        # The error's page must not name a tenant that is none of the reader's.
        g.pop("tenant", None)
        raise


def _find_named_tenant() -> UUID:
    g.tenant = find_tenant(use(Database), (request.view_args or {}).get("tenant", ""))
    return current_tenant().id


def current_tenant() -> Tenant:
    """Return the tenant that the hook found."""
    tenant: Tenant = g.tenant
    return tenant


def named_site(site_key: str) -> Site:
    """Return the site of the current tenant with this key. Raises UnknownSite if it has none."""
    return site_of(use(Database), current_tenant().id, site_key)


def current_site() -> Site:
    """Return the site that the hook found."""
    site: Site = g.site
    return site


def allow_site_pages(response: Response) -> Response:
    """Let pages of the site's own origins read the answer (CORS), errors included."""
    origin = request.headers.get("Origin")
    # A call that was refused before its hook ran (a rate limit) has not found the site yet.
    site: Site | None = g.get("site") or use(SiteDirectory).get(_named_site())
    response.vary.add("Origin")
    if site is not None and origin in site.allowed_origins:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Allow-Credentials"] = "true"
        response.headers["Access-Control-Expose-Headers"] = RESPONSE_HEADERS
        if request.method == "OPTIONS":
            response.headers["Access-Control-Allow-Methods"] = "GET, POST, DELETE"
            response.headers["Access-Control-Allow-Headers"] = REQUEST_HEADERS
            response.headers["Access-Control-Max-Age"] = str(PREFLIGHT_SECONDS)
    return response
