"""Tenants and sites over HTTP, for those who set sites up."""

from __future__ import annotations

from typing import Any

from flask.views import MethodView

from consent_service.access.auth import current_actor, needs
from consent_service.db import Database
from consent_service.limits import limit
from consent_service.signing import Keyring
from consent_service.tenants.auth import current_tenant, named_site
from consent_service.tenants.link_keys import (
    LinkKey,
    add_link_key,
    link_keys,
    retire_link_key,
)
from consent_service.tenants.schemas import (
    LinkKeysOut,
    NewLinkKeyOut,
    SiteChangesIn,
    SiteIn,
    SiteOut,
    SitesOut,
    TenantOut,
)
from consent_service.tenants.service import create_site, sites_of, update_site
from consent_service.web import TO_MEMBERS, Blueprint, ErrorOut, StaleOut
from consent_service.wiring import use

tenants = Blueprint(
    "tenants",
    __name__,
    url_prefix="/v1/tenants/<string:tenant>",
    description="A tenant's sites and how they are set up.",
    answers=TO_MEMBERS,
)
limit(tenants)


@tenants.route("")
class Tenant(MethodView):
    """The tenant."""

    @needs("sites:read")
    @tenants.response(200, TenantOut)
    def get(self, tenant: str) -> dict[str, str]:
        """Say what the tenant is called."""
        del tenant
        found = current_tenant()
        return {"slug": found.slug, "name": found.name}


@tenants.route("/sites")
class Sites(MethodView):
    """The tenant's sites."""

    @needs("sites:read")
    @tenants.response(200, SitesOut)
    def get(self, tenant: str) -> dict[str, Any]:
        """List all sites, oldest first."""
        del tenant
        return {"sites": [site.shown() for site in sites_of(use(Database), current_tenant().id)]}

    @needs("sites:write")
    @tenants.arguments(SiteIn)
    @tenants.response(201, SiteOut)
    @tenants.alt_response(422, schema=ErrorOut, description="Something is not right.")
    def post(self, sent: dict[str, Any], tenant: str) -> dict[str, Any]:
        """Make a site."""
        del tenant
        return create_site(
            use(Database),
            current_tenant(),
            sent["name"],
            sent["allowed_origins"],
            cookie_domain=sent["cookie_domain"],
            regime_overrides=sent["regime_overrides"],
            time_zone=sent["time_zone"],
            by=current_actor(),
        ).shown()


@tenants.route("/sites/<string:site_key>")
class OneSite(MethodView):
    """A site."""

    @needs("sites:read")
    @tenants.response(200, SiteOut)
    def get(self, tenant: str, site_key: str) -> dict[str, Any]:
        """Say how the site is set up."""
        del tenant
        return named_site(site_key).shown()

    @needs("sites:write")
    @tenants.arguments(SiteChangesIn)
    @tenants.response(200, SiteOut)
    @tenants.alt_response(409, schema=StaleOut, description="Somebody else has changed it since.")
    @tenants.alt_response(422, schema=ErrorOut, description="Something is not right.")
    def patch(self, sent: dict[str, Any], tenant: str, site_key: str) -> dict[str, Any]:
        """Change how the site is set up: visitors are served so within seconds."""
        del tenant
        revision = sent.pop("revision")
        return update_site(
            use(Database), named_site(site_key), sent, revision=revision, by=current_actor()
        ).shown()


@tenants.route("/sites/<string:site_key>/link-keys")
class LinkKeys(MethodView):
    """The keys by which the site's server says who is signed in."""

    @needs("sites:read")
    @tenants.response(200, LinkKeysOut)
    def get(self, tenant: str, site_key: str) -> dict[str, Any]:
        """List the site's link keys, the retired ones too, without the secrets."""
        del tenant
        found = link_keys(use(Database), use(Keyring), named_site(site_key))
        return {"link_keys": [key.shown() for key in found]}

    @needs("sites:write", fresh=True)
    @tenants.response(201, NewLinkKeyOut)
    def post(self, tenant: str, site_key: str) -> dict[str, Any]:
        """Make a link key beside those in use, and show its secret this once."""
        del tenant
        made: LinkKey = add_link_key(
            use(Database), use(Keyring), named_site(site_key), by=current_actor()
        )
        return {**made.shown(), "secret": made.secret}


@tenants.route("/sites/<string:site_key>/link-keys/<int(max=2147483647):number>/retire")
class RetiredLinkKey(MethodView):
    """The end of a link key."""

    @needs("sites:write", fresh=True)
    @tenants.response(204)
    def post(self, tenant: str, site_key: str, number: int) -> None:
        """Have what is signed with this link key refused from now on."""
        del tenant
        retire_link_key(use(Database), named_site(site_key), number, by=current_actor())
