"""The demo's tenant, site and notice, made once."""

from __future__ import annotations

import json
from importlib import resources

from consent_service.access.actor import OPERATOR
from consent_service.db import Database
from consent_service.errors import NotFound, UnknownSite
from consent_service.notices.service import newest_version, publish_notice
from consent_service.tenants.service import (
    create_site,
    create_tenant,
    find_site,
    find_tenant,
    update_site,
)

SITE_KEY = "site_demo"
TENANT_SLUG = "momo-pulse"


def seed(database: Database, port: int) -> None:
    """Make what is not there yet, and let the demo's pages in from this port."""
    origins = [f"http://127.0.0.1:{port}", f"http://localhost:{port}"]
    try:
        tenant = find_tenant(database, TENANT_SLUG)
    except NotFound:
        tenant = create_tenant(database, TENANT_SLUG, "Momo Pulse", by=OPERATOR)
    try:
        site = find_site(database, SITE_KEY)
        if site.allowed_origins != set(origins):
            changes = {"allowed_origins": origins}
            update_site(database, site, changes, revision=site.revision, by=OPERATOR)
    except UnknownSite:
        site = create_site(
            database, tenant, "Momo Pulse dashboard", origins, site_key=SITE_KEY, by=OPERATOR
        )
    if newest_version(database, site) is None:
        notice = resources.files("consent_service.demo") / "notice.json"
        publish_notice(database, site, json.loads(notice.read_bytes()), by=OPERATOR)
