"""A tenant's sites: how each is set up, its script tags, and its link keys."""

from __future__ import annotations

from typing import Any

from flask import redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from consent_service.access.auth import current_actor, needs
from consent_service.console.blueprints import workspace
from consent_service.console.flashes import say
from consent_service.console.regions import regime_name, region_name
from consent_service.db import Database
from consent_service.embed.service import script_tags
from consent_service.errors import ValidationFailed
from consent_service.regions.rules import REGIMES
from consent_service.regions.service import Regions
from consent_service.signing import Keyring
from consent_service.tenants.auth import current_tenant, named_site
from consent_service.tenants.link_keys import add_link_key, link_keys, retire_link_key
from consent_service.tenants.service import (
    DEFAULT_TIME_ZONE,
    Site,
    create_site,
    sites_of,
    time_zones,
    update_site,
)
from consent_service.web import public_url
from consent_service.wiring import use

Page = Response | str | tuple[str, int]

#: Rows of the form for regimes that are still to be chosen.
_SPARE_ROWS = 3


@workspace.get("/sites")
@needs("sites:read")
def sites(tenant: str) -> str:
    """List the sites."""
    del tenant
    found = sites_of(use(Database), current_tenant().id)
    return render_template("console/sites.html", sites=found)


@workspace.get("/sites/new")
@needs("sites:write")
def new_site(tenant: str) -> str:
    """Ask how a new site is to be set up."""
    del tenant
    setup: dict[str, Any] = {"allowed_origins": [], "regime_overrides": {}}
    return _form_page(None, setup)


@workspace.post("/sites/new")
@needs("sites:write")
def make_site(tenant: str) -> Page:
    """Make a site."""
    setup = _sent_setup()
    try:
        made = create_site(
            use(Database),
            current_tenant(),
            setup["name"],
            setup["allowed_origins"],
            cookie_domain=setup["cookie_domain"],
            regime_overrides=setup["regime_overrides"],
            time_zone=setup.get("time_zone", DEFAULT_TIME_ZONE),
            by=current_actor(),
        )
    except ValidationFailed as error:
        return _form_page(None, setup, errors=error.fields), error.status
    text = _("The site was made. Put one of its script tags on its pages, and publish a notice.")
    return _to_site(tenant, made.site_key, text)


@workspace.get("/sites/<string:site_key>")
@needs("sites:read")
def site(tenant: str, site_key: str) -> str:
    """Show how a site is set up, and what its pages need."""
    del tenant
    found = named_site(site_key)
    return render_template(
        "console/site.html",
        site=found,
        tags=script_tags(public_url(), found.site_key),
        rules=use(Regions).rules,
        link_keys=link_keys(use(Database), use(Keyring), found),
        region_name=region_name,
        regime_name=regime_name,
    )


@workspace.get("/sites/<string:site_key>/edit")
@needs("sites:write")
def edit_site(tenant: str, site_key: str) -> str:
    """Ask what is to change of a site."""
    del tenant
    found = named_site(site_key)
    return _form_page(found, found.shown())


@workspace.post("/sites/<string:site_key>/edit")
@needs("sites:write")
def change_site(tenant: str, site_key: str) -> Page:
    """Change how a site is set up."""
    found, setup = named_site(site_key), _sent_setup()
    revision = request.form.get("revision", 0, int)
    try:
        update_site(use(Database), found, setup, revision=revision, by=current_actor())
    except ValidationFailed as error:
        shown = {**setup, "revision": revision}
        return _form_page(found, shown, errors=error.fields), error.status
    return _to_site(tenant, site_key, _("The site was saved."))


@workspace.post("/sites/<string:site_key>/link-keys")
@needs("sites:write", fresh=True)
def make_link_key(tenant: str, site_key: str) -> str:
    """Make a link key, and show its secret this once."""
    del tenant
    found = named_site(site_key)
    made = add_link_key(use(Database), use(Keyring), found, by=current_actor())
    return render_template("console/site_link_key.html", site=found, key=made)


@workspace.get("/sites/<string:site_key>/link-keys/<int(max=2147483647):number>/retire")
@needs("sites:write", fresh=True)
def ask_to_retire(tenant: str, site_key: str, number: int) -> str:
    """Ask once more before a link key is retired."""
    del tenant
    return render_template("console/site_retire.html", site=named_site(site_key), number=number)


@workspace.post("/sites/<string:site_key>/link-keys/<int(max=2147483647):number>/retire")
@needs("sites:write", fresh=True)
def retire(tenant: str, site_key: str, number: int) -> Response:
    """Have what is signed with a link key refused."""
    retire_link_key(use(Database), named_site(site_key), number, by=current_actor())
    return _to_site(tenant, site_key, _("Link key %(number)s is retired.", number=number))


def _sent_setup() -> dict[str, Any]:
    """Return what the form says; a row without a regime is none."""
    form = request.form
    rows = zip(form.getlist("region"), form.getlist("regime"), strict=False)
    setup = {
        "name": form.get("name", "").strip(),
        "allowed_origins": form.get("allowed_origins", "").split(),
        "cookie_domain": form.get("cookie_domain", "").strip() or None,
        "regime_overrides": {region: regime for region, regime in rows if region and regime},
    }
    # Without it, it stays as it is.
    return {**setup, "time_zone": form["time_zone"]} if "time_zone" in form else setup


def _form_page(site: Site | None, setup: dict[str, Any], **values: Any) -> str:  # noqa: ANN401
    regions = sorted((region_name(code), code) for code in use(Regions).rules)
    return render_template(
        "console/site_form.html",
        site=site,
        setup=setup,
        regions=[("", _("Choose a region")), *((code, name) for name, code in regions)],
        regimes=[("", _("As the table has it")), *((each, regime_name(each)) for each in REGIMES)],
        time_zones=[(name, name.replace("_", " ")) for name in time_zones()],
        default_time_zone=DEFAULT_TIME_ZONE,
        rows=[*setup["regime_overrides"].items(), *[("", "")] * _SPARE_ROWS],
        **values,
    )


def _to_site(tenant: str, site_key: str, text: str) -> Response:
    there = url_for("workspace.site", tenant=tenant, site_key=site_key)
    return say(redirect(there, 303), text)
