"""Make tenants and sites, change sites, and find a site by its public key."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from uuid import UUID
from zoneinfo import available_timezones

from sqlalchemy import Connection, Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from consent_service import clock
from consent_service.access import audit
from consent_service.access.actor import Actor
from consent_service.db import Database, Follower, Scope, database_ms
from consent_service.errors import (
    Stale,
    Unavailable,
    UnknownSite,
    UnknownTenant,
    ValidationFailed,
)
from consent_service.regions.rules import override_problems
from consent_service.regions.service import newest_rules
from consent_service.tenants.models import SiteRow, TenantRow
from consent_service.text import name_problems

#: What may be changed of a site.
EDITABLE = ("name", "allowed_origins", "cookie_domain", "regime_overrides", "time_zone")

#: Of a site that is made without saying.
DEFAULT_TIME_ZONE = "Africa/Dar_es_Salaam"

LONGEST_TIME_ZONE = 64

#: More origins than any site has.
MAX_ORIGINS = 50

LONGEST_ORIGIN = 255


@dataclass(frozen=True)
class Tenant:
    """A customer workspace."""

    id: UUID
    slug: str
    name: str


@dataclass(frozen=True, eq=False)
class Site:
    """A site as the service uses it; compared by identity, a changed site is a new object."""

    id: UUID
    tenant_id: UUID
    site_key: str
    name: str
    allowed_origins: frozenset[str]
    cookie_domain: str | None
    regime_overrides: Mapping[str, str] = field(repr=False)
    #: IANA name; reports count its days.
    time_zone: str
    #: How often it was changed, and 1.
    revision: int

    @property
    def cookie_name(self) -> str:
        """Name of the token's cookie; the readable one has ``_choices`` after it."""
        return f"cookie_consent_{self.site_key.removeprefix('site_')}"

    def shown(self) -> dict[str, Any]:
        """Return what its tenant sees of it, as JSON values."""
        return {
            "site_key": self.site_key,
            "name": self.name,
            "allowed_origins": sorted(self.allowed_origins),
            "cookie_domain": self.cookie_domain,
            "regime_overrides": dict(self.regime_overrides),
            "time_zone": self.time_zone,
            "revision": self.revision,
        }


def create_tenant(database: Database, slug: str, name: str, *, by: Actor) -> Tenant:
    """Make a tenant.

    :raises ValidationFailed: when the slug is taken or not lower-case letters, digits and hyphens,
        or the name is empty or too long
    """
    problems = name_problems(name)
    if not re.fullmatch(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", slug):
        problems["slug"] = ["Use lower-case letters, digits and hyphens, up to 63."]
    if problems:
        raise ValidationFailed(fields=problems)
    tenant = Tenant(clock.new_id(), slug, name)
    row = {"id": tenant.id, "slug": slug, "name": name, "created_at": clock.now()}
    try:
        with database.transaction(tenant.id) as connection:
            connection.execute(insert(TenantRow).values(row))
            after = {"slug": slug, "name": name}
            audit.write(connection, tenant.id, by, "tenant.created", "tenant", slug, after=after)
    except IntegrityError:
        raise ValidationFailed(fields={"slug": ["Another tenant has this slug."]}) from None
    return tenant


def find_tenant(database: Database, slug: str) -> Tenant:
    """Return the tenant with this slug. Raises UnknownTenant when there is none."""
    with database.reading(Scope.DIRECTORY) as connection:
        row = connection.execute(
            select(TenantRow.id, TenantRow.slug, TenantRow.name).where(TenantRow.slug == slug)
        ).one_or_none()
    if row is None:
        raise UnknownTenant
    return Tenant(*row)


def all_tenants(database: Database) -> list[Tenant]:
    """Return every tenant, oldest first."""
    query = select(TenantRow.id, TenantRow.slug, TenantRow.name).order_by(TenantRow.id)
    with database.reading(Scope.DIRECTORY) as connection:
        return [Tenant(*row) for row in connection.execute(query)]


def tenants_of(database: Database, ids: Iterable[UUID]) -> list[Tenant]:
    """Return the tenants with these ids, by name."""
    with database.reading(Scope.DIRECTORY) as connection:
        rows = connection.execute(
            select(TenantRow.id, TenantRow.slug, TenantRow.name)
            .where(TenantRow.id.in_(list(ids)))
            .order_by(TenantRow.name, TenantRow.slug)
        ).all()
    return [Tenant(*row) for row in rows]


def tenant_name(connection: Connection, tenant_id: UUID) -> str:
    """Return what a tenant is called."""
    name: str = connection.execute(
        select(TenantRow.name).where(TenantRow.id == tenant_id)
    ).scalar_one()
    return name


def create_site(  # noqa: PLR0913 - each is a column that the operator states
    database: Database,
    tenant: Tenant,
    name: str,
    origins: Iterable[str],
    *,
    site_key: str | None = None,
    cookie_domain: str | None = None,
    regime_overrides: Mapping[str, str] | None = None,
    time_zone: str = DEFAULT_TIME_ZONE,
    by: Actor,
) -> Site:
    """Make a site of a tenant.

    :param origins: pages' origins as browsers send them, e.g. ``https://app.example.com``
    :param cookie_domain: parent domain that the site's subdomains share, or None for one host
    :param regime_overrides: the site's own regime by region code
    :param time_zone: IANA name, e.g. ``Africa/Dar_es_Salaam``; in reports, a day is one there
    :raises ValidationFailed: when one of these, or the key, is not right
    """
    setup = {
        "name": name,
        "allowed_origins": origins,
        "cookie_domain": cookie_domain,
        "regime_overrides": regime_overrides or {},
        "time_zone": time_zone,
    }
    columns = _checked(setup, **_key_problems(site_key))
    site = Site(
        id=clock.new_id(),
        tenant_id=tenant.id,
        site_key=site_key or clock.new_site_key(),
        name=name,
        allowed_origins=frozenset(columns["allowed_origins"]),
        cookie_domain=cookie_domain,
        regime_overrides=columns["regime_overrides"],
        time_zone=time_zone,
        revision=1,
    )
    row = {
        **columns,
        "id": site.id,
        "tenant_id": tenant.id,
        "site_key": site.site_key,
        "revision": 1,
        "created_at": clock.now(),
        "changed_ms": database_ms(),
    }
    try:
        with database.transaction(tenant.id) as connection:
            connection.execute(insert(SiteRow).values(row))
            audit.write(
                connection, tenant.id, by, "site.created", "site", site.site_key, after=columns
            )
    except IntegrityError:
        raise ValidationFailed(fields={"site_key": ["Another site has this key."]}) from None
    return site


def update_site(
    database: Database, site: Site, changes: Mapping[str, Any], *, revision: int, by: Actor
) -> Site:
    """Change a site's set-up and return it; what stays as it was is no change.

    :param changes: new values of some of :data:`EDITABLE`, each as for :func:`create_site`
    :param revision: the revision that the changes were made to
    :raises ValidationFailed: when a value is not right
    :raises Stale: when somebody else has changed the site since that revision
    """
    columns = _checked(changes)
    with database.transaction(site.tenant_id) as connection:
        mine = (SiteRow.tenant_id == site.tenant_id, SiteRow.id == site.id)
        now = _site(
            connection.execute(select(SiteRow.__table__).where(*mine).with_for_update()).one()
        )
        before = now.shown()
        if now.revision != revision:
            raise Stale(current=before, sent={**before, **columns, "revision": revision})
        after = {name: value for name, value in columns.items() if value != before[name]}
        if not after:
            return now
        changed = connection.execute(
            update(SiteRow)
            .where(*mine)
            .values(**after, revision=revision + 1, changed_ms=database_ms())
            .returning(*SiteRow.__table__.c)
        ).one()
        audit.write(
            connection,
            site.tenant_id,
            by,
            "site.updated",
            "site",
            site.site_key,
            before={name: before[name] for name in after},
            after=after,
        )
    return _site(changed)


def sites_of(database: Database, tenant_id: UUID) -> list[Site]:
    """Return a tenant's sites, oldest first."""
    with database.reading(tenant_id) as connection:
        rows = connection.execute(
            select(SiteRow.__table__).where(SiteRow.tenant_id == tenant_id).order_by(SiteRow.id)
        ).all()
    return [_site(row) for row in rows]


def all_sites(database: Database) -> list[Site]:
    """Return the sites of all tenants, oldest first."""
    with database.reading(Scope.DIRECTORY) as connection:
        rows = connection.execute(select(SiteRow.__table__).order_by(SiteRow.id)).all()
    return [_site(row) for row in rows]


def find_site(database: Database, site_key: str) -> Site:
    """Return the site with this key, from the database. Raises UnknownSite when there is none."""
    with database.reading(Scope.DIRECTORY) as connection:
        row = connection.execute(
            select(SiteRow.__table__).where(SiteRow.site_key == site_key)
        ).one_or_none()
    if row is None:
        raise UnknownSite
    return _site(row)


def site_of(database: Database, tenant_id: UUID, site_key: str) -> Site:
    """Return a tenant's site, from the database. Raises UnknownSite when the tenant has no such."""
    with database.reading(tenant_id) as connection:
        row = connection.execute(
            select(SiteRow.__table__).where(
                SiteRow.tenant_id == tenant_id, SiteRow.site_key == site_key
            )
        ).one_or_none()
    if row is None:
        raise UnknownSite
    return _site(row)


@cache
def time_zones() -> list[str]:
    """Return the names of all time zones (IANA), in the order of the alphabet."""
    return sorted(available_timezones())


def time_zone_of(connection: Connection, site: Site) -> str:
    """Return the time zone that a site has now, whatever it had when it was found."""
    found: str = connection.execute(
        select(SiteRow.time_zone).where(SiteRow.tenant_id == site.tenant_id, SiteRow.id == site.id)
    ).scalar_one()
    return found


def _checked(setup: Mapping[str, Any], **problems: list[str]) -> dict[str, Any]:
    """Return the columns for what a site is to be set up with.

    :param problems: what else is wrong
    :raises ValidationFailed: when a value is not right
    """
    columns = {name: setup[name] for name in EDITABLE if name in setup}
    found: dict[str, Any] = dict(problems)
    if "name" in columns:
        found |= name_problems(columns["name"])
    if "allowed_origins" in columns:
        columns["allowed_origins"] = sorted(set(columns["allowed_origins"]))
        found |= _origin_problems(columns["allowed_origins"])
    if columns.get("cookie_domain") is not None:
        found |= _domain_problems(columns["cookie_domain"])
    if "regime_overrides" in columns:
        columns["regime_overrides"] = dict(columns["regime_overrides"])
        wrong = override_problems(newest_rules(), columns["regime_overrides"])
        found |= {"regime_overrides": wrong} if wrong else {}
    if "time_zone" in columns and columns["time_zone"] not in time_zones():
        found["time_zone"] = ["Use a name of the IANA time zones, like Africa/Dar_es_Salaam."]
    if found:
        raise ValidationFailed(fields=found)
    return columns


def _origin_problems(origins: list[str]) -> dict[str, list[str]]:
    if not 1 <= len(origins) <= MAX_ORIGINS:
        return {"allowed_origins": [f"Name at least one origin, and at most {MAX_ORIGINS}."]}
    wrong = [
        f"{origin[:LONGEST_ORIGIN]!r} is not an origin; write it like https://app.example.com."
        for origin in origins
        if len(origin) > LONGEST_ORIGIN or not _is_origin(origin)
    ]
    return {"allowed_origins": wrong} if wrong else {}


def _domain_problems(cookie_domain: str) -> dict[str, list[str]]:
    if re.fullmatch(r"(?=.{,253}\Z)[a-z0-9-]+(\.[a-z0-9-]+)+", cookie_domain):
        return {}
    return {"cookie_domain": ["Write it like example.com: lower case, without a dot before."]}


def _key_problems(site_key: str | None) -> dict[str, list[str]]:
    if site_key is None or re.fullmatch(r"site_[A-Za-z0-9_-]{1,59}", site_key):
        return {}
    return {"site_key": ["A key is site_ and letters, digits, hyphens or underscores."]}


def _is_origin(text: str) -> bool:
    """Say whether the text is an origin as browsers write it (RFC 6454, section 6.2)."""
    found = re.fullmatch(r"(https?)://(?:[a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?", text)
    return found is not None and found[2] != {"http": ":80", "https": ":443"}[found[1]]


def _site(row: Row[tuple[object, ...]]) -> Site:
    return Site(
        id=row.id,
        tenant_id=row.tenant_id,
        site_key=row.site_key,
        name=row.name,
        allowed_origins=frozenset(row.allowed_origins),
        cookie_domain=row.cookie_domain,
        regime_overrides=row.regime_overrides,
        time_zone=row.time_zone,
        revision=row.revision,
    )


class SiteDirectory:
    """All sites, in memory, following the database: visitor calls find theirs without a query."""

    def __init__(self) -> None:
        """Start empty; until the first :meth:`refresh` every look-up says Unavailable."""
        self._sites: dict[str, Site] = {}
        self._follower = Follower(SiteRow.__table__.c.changed_ms)

    def refresh(self, connection: Connection) -> None:
        """Take over what changed since the last time."""
        with self._follower.read(connection, select(SiteRow.__table__)) as rows:
            for row in rows:
                fresh = _site(row)
                known = self._sites.get(fresh.site_key)
                if known is None or vars(known) != vars(fresh):
                    self._sites[fresh.site_key] = fresh

    def find(self, site_key: str) -> Site:
        """Return the site with this key.

        :raises UnknownSite: when there is none
        :raises Unavailable: when the database has not been reached yet
        """
        site = self._sites.get(site_key)
        if site is None:
            raise Unavailable if self._follower.silent_seconds == math.inf else UnknownSite
        return site

    def get(self, site_key: str) -> Site | None:
        """Return the site with this key, or None."""
        return self._sites.get(site_key)

    def all(self) -> list[Site]:
        """Return the sites of all tenants; none before the first :meth:`refresh`."""
        return list(self._sites.values())
