"""The keys that a site's server signs its users' tokens with: make, list and retire them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from itsdangerous.encoding import base64_encode
from sqlalchemy import ColumnElement, Row, and_, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from consent_service import clock
from consent_service.access import audit
from consent_service.access.actor import Actor
from consent_service.db import Database
from consent_service.errors import NotFound, Unavailable
from consent_service.signing import Keyring
from consent_service.tenants.models import LinkKeyRow
from consent_service.tenants.service import Site


@dataclass(frozen=True)
class LinkKey:
    """A key that a site's server signs its users' tokens with."""

    number: int
    created_at: datetime
    retired_at: datetime | None
    #: None when the key file no longer has the key that it was derived from.
    secret: str | None = field(repr=False)
    #: Whether the token key that it was derived from was stolen: then others know the secret.
    stolen: bool = False

    @property
    def state(self) -> Literal["in_use", "retired", "lost"]:
        """Whether it counts; ``lost`` when its secret can no longer be derived."""
        if self.retired_at:
            return "retired"
        return "in_use" if self.secret else "lost"

    def shown(self) -> dict[str, Any]:
        """Return what its tenant sees of it, as JSON values: all but the secret."""
        return {
            "number": self.number,
            "created_at": clock.rfc3339(self.created_at),
            "retired_at": clock.rfc3339(self.retired_at) if self.retired_at else None,
            "state": self.state,
        }


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
        stolen=keys.token_key_revoked(row.token_key_id),
    )
