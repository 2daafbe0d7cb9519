"""Make tenants and sites, find a site by its public key, and manage the keys it signs with."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from itsdangerous.encoding import base64_encode
from sqlalchemy import ColumnElement, Connection, Row, and_, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from consent_service import clock
from consent_service.access import audit
from consent_service.access.actor import Actor
from consent_service.db import Database, Follower, Scope, database_ms
from consent_service.errors import (
    NotFound,
    Unavailable,
    UnknownSite,
    UnknownTenant,
    ValidationFailed,
)
from consent_service.signing import Keyring
from consent_service.tenants.models import LinkKeyRow, SiteRow, TenantRow

_LONGEST_NAME = 200

#: What may be changed of a site.
_EDITABLE = ("name", "allowed_origins", "cookie_domain", "regime_overrides")


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
    #: How often it was changed, and 1.
    revision: int

    @property
    def cookie_name(self) -> str:
        """Name of the token's cookie; the readable one has ``_choices`` after it."""
        return f"cookie_consent_{self.site_key.removeprefix('site_')}"


@dataclass(frozen=True)
class LinkKey:
    """A key that a site's server signs its users' tokens with."""

    number: int
    created_at: datetime
    retired_at: datetime | None
    #: None when the key file no longer has the key that it was derived from.
    secret: str | None = field(repr=False)


def create_tenant(database: Database, slug: str, name: str, *, by: Actor) -> Tenant:
    """Make a tenant.

    :raises ValidationFailed: when the slug is taken or not lower-case letters, digits and hyphens,
        or the name is empty or too long
    """
    problems = _name_problems(name)
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


def tenants_of(database: Database, ids: Iterable[UUID]) -> list[Tenant]:
    """Return the tenants with these ids, by name."""
    with database.reading(Scope.DIRECTORY) as connection:
        rows = connection.execute(
            select(TenantRow.id, TenantRow.slug, TenantRow.name)
            .where(TenantRow.id.in_(list(ids)))
            .order_by(TenantRow.name, TenantRow.slug)
        ).all()
    return [Tenant(*row) for row in rows]


def create_site(  # noqa: PLR0913 - each is a column that the operator states
    database: Database,
    tenant: Tenant,
    name: str,
    origins: Sequence[str],
    *,
    site_key: str | None = None,
    cookie_domain: str | None = None,
    regime_overrides: Mapping[str, str] | None = None,
    by: Actor,
) -> Site:
    """Make a site of a tenant.

    :param origins: pages' origins as browsers send them, e.g. ``https://app.example.com``
    :param cookie_domain: parent domain that the site's subdomains share, or None for one host
    :param regime_overrides: the site's own regime by region code
    :raises ValidationFailed: when the name, an origin, the domain or the key is not right
    """
    problems = {**_name_problems(name), **_site_problems(origins, cookie_domain, site_key)}
    if problems:
        raise ValidationFailed(fields=problems)
    site = Site(
        id=clock.new_id(),
        tenant_id=tenant.id,
        site_key=site_key or clock.new_site_key(),
        name=name,
        allowed_origins=frozenset(origins),
        cookie_domain=cookie_domain,
        regime_overrides=dict(regime_overrides or {}),
        revision=1,
    )
    row = {
        "id": site.id,
        "tenant_id": tenant.id,
        "site_key": site.site_key,
        "name": name,
        "allowed_origins": sorted(site.allowed_origins),
        "cookie_domain": cookie_domain,
        "regime_overrides": site.regime_overrides,
        "revision": 1,
        "created_at": clock.now(),
        "changed_ms": database_ms(),
    }
    try:
        with database.transaction(tenant.id) as connection:
            connection.execute(insert(SiteRow).values(row))
            after = {name: row[name] for name in _EDITABLE}
            audit.write(
                connection, tenant.id, by, "site.created", "site", site.site_key, after=after
            )
    except IntegrityError:
        raise ValidationFailed(fields={"site_key": ["Another site has this key."]}) from None
    return site


def set_origins(database: Database, site: Site, origins: Sequence[str], *, by: Actor) -> None:
    """Replace the allowed origins of a site. Raises ValidationFailed when one is not right."""
    problems = _site_problems(origins)
    if problems:
        raise ValidationFailed(fields=problems)
    with database.transaction(site.tenant_id) as connection:
        connection.execute(
            update(SiteRow)
            .where(SiteRow.tenant_id == site.tenant_id, SiteRow.id == site.id)
            .values(
                allowed_origins=sorted(origins),
                revision=SiteRow.revision + 1,
                changed_ms=database_ms(),
            )
        )
        audit.write(
            connection,
            site.tenant_id,
            by,
            "site.updated",
            "site",
            site.site_key,
            before={"allowed_origins": sorted(site.allowed_origins)},
            after={"allowed_origins": sorted(origins)},
        )


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


def add_link_key(database: Database, keys: Keyring, site: Site, *, by: Actor) -> LinkKey:
    """Make a link key beside those that the site has.

    Its secret is derived from the key file and stored nowhere: neither the database nor the file
    alone gives it away.

    :raises Unavailable: when another one was made at the same moment
    """
    try:
        with database.transaction(site.tenant_id) as connection:
            newest: int | None = connection.execute(
                select(func.max(LinkKeyRow.number)).where(_of_site(site))
            ).scalar_one()
            made = connection.execute(
                insert(LinkKeyRow)
                .values(
                    site_id=site.id,
                    number=(newest or 0) + 1,
                    tenant_id=site.tenant_id,
                    token_key_id=keys.token_key_id,
                    created_at=clock.now(),
                )
                .returning(*LinkKeyRow.__table__.c)
            ).one()
            named = f"{site.site_key} {made.number}"
            audit.write(connection, site.tenant_id, by, "link_key.created", "link_key", named)
    except IntegrityError as error:
        raise Unavailable from error
    return _link_key(made, keys, site)


def link_keys(database: Database, keys: Keyring, site: Site) -> list[LinkKey]:
    """Return the site's link keys, oldest to newest, the retired ones too."""
    with database.reading(site.tenant_id) as connection:
        rows = connection.execute(
            select(LinkKeyRow.__table__).where(_of_site(site)).order_by(LinkKeyRow.number)
        ).all()
    return [_link_key(row, keys, site) for row in rows]


def retire_link_key(database: Database, site: Site, number: int, *, by: Actor) -> None:
    """Have tokens that are signed with a link key refused from now on.

    :raises NotFound: when the site has no such key, or it was retired before
    """
    with database.transaction(site.tenant_id) as connection:
        retired = connection.execute(
            update(LinkKeyRow)
            .where(_of_site(site), LinkKeyRow.number == number, LinkKeyRow.retired_at.is_(None))
            .values(retired_at=clock.now())
        )
        if not retired.rowcount:
            raise NotFound(f"The site has no link key {number} in use.")
        named = f"{site.site_key} {number}"
        audit.write(connection, site.tenant_id, by, "link_key.retired", "link_key", named)


def _of_site(site: Site) -> ColumnElement[bool]:
    return and_(LinkKeyRow.tenant_id == site.tenant_id, LinkKeyRow.site_id == site.id)


def _link_key(row: Row[tuple[object, ...]], keys: Keyring, site: Site) -> LinkKey:
    secret = keys.derive_from(row.token_key_id, f"link-key {site.id} {row.number}")
    return LinkKey(
        row.number,
        row.created_at,
        row.retired_at,
        f"link_{base64_encode(secret).decode()}" if secret else None,
    )


def _name_problems(name: str) -> dict[str, list[str]]:
    if 1 <= len(name) <= _LONGEST_NAME:
        return {}
    return {"name": [f"Give a name of at most {_LONGEST_NAME} characters."]}


def _site_problems(
    origins: Sequence[str], cookie_domain: str | None = None, site_key: str | None = None
) -> dict[str, list[str]]:
    problems: dict[str, list[str]] = {}
    wrong = [origin for origin in origins if not _is_origin(origin)]
    if wrong or not origins:
        problems["allowed_origins"] = [
            f"{origin!r} is not an origin; write it like https://app.example.com."
            for origin in wrong
        ] or ["Name at least one origin."]
    if cookie_domain is not None and not re.fullmatch(
        r"(?=.{,253}\Z)[a-z0-9-]+(\.[a-z0-9-]+)+", cookie_domain
    ):
        problems["cookie_domain"] = ["Write it like example.com: lower case, without a dot before."]
    if site_key is not None and not re.fullmatch(r"site_[A-Za-z0-9_-]{1,59}", site_key):
        problems["site_key"] = ["A key is site_ and letters, digits, hyphens or underscores."]
    return problems


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
