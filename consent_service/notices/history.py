"""The published versions of a site's notice."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, select

from consent_service.access import audit
from consent_service.access.audit import Doer
from consent_service.db import Database
from consent_service.errors import NotFound
from consent_service.notices.configuration import Notice
from consent_service.notices.difference import Change, difference
from consent_service.notices.models import NoticeRow
from consent_service.signing import sha256
from consent_service.tenants.service import Site

_notices = NoticeRow.__table__.c

#: What is told of a version in a list.
_TOLD = (
    _notices.version,
    _notices.content_hash,
    _notices.policy_version,
    _notices.material,
    _notices.published_at,
)

#: PostgreSQL's integers go no further, and no site has so many versions.
_MOST_VERSIONS = 2**31 - 1


@dataclass(frozen=True)
class Published:
    """A published version: what is told of it, without what it says.

    :ivar material: whether every visitor was asked again
    :ivar published_by: who did it; None where the audit log does not go back so far
    """

    version: int
    content_hash: str
    policy_version: str
    material: bool
    published_at: datetime
    published_by: Doer | None


@dataclass(frozen=True)
class Version:
    """A published version with all that it says.

    :ivar changes: against the version before; against nothing for the first
    """

    published: Published
    content: Mapping[str, Any]
    changes: list[Change]
    newest_version: int


@dataclass(frozen=True)
class Newest:
    """What is needed of the newest version to make the next one."""

    version: int
    content: Mapping[str, Any]


def list_versions(
    database: Database, site: Site, *, before: int | None = None, limit: int = 100
) -> list[Published]:
    """Return a site's published versions, the newest first.

    :param before: only those with a lower number
    """
    query = select(*_TOLD).where(_of_site(site)).order_by(_notices.version.desc()).limit(limit)
    if before is not None:
        query = query.where(_notices.version < before)
    with database.reading(site.tenant_id) as connection:
        rows = connection.execute(query).all()
        doers = _doers(connection, site, rows)
    return [_published(row, doers, site) for row in rows]


def get_version(database: Database, site: Site, version: int) -> Version:
    """Return a published version. Raises NotFound when the site has none with this number."""
    if not 1 <= version <= _MOST_VERSIONS:
        raise _unknown(version)
    with database.reading(site.tenant_id) as connection:
        rows = connection.execute(
            select(*_TOLD, _notices.content)
            .where(_of_site(site), _notices.version.in_((version, version - 1)))
            .order_by(_notices.version.desc())
        ).all()
        if not rows or rows[0].version != version:
            raise _unknown(version)
        doers = _doers(connection, site, rows[:1])
        last = connection.execute(
            select(func.max(_notices.version)).where(_of_site(site))
        ).scalar_one()
    content = json.loads(rows[0].content)
    before = json.loads(rows[1].content) if rows[1:] else {}
    published = _published(rows[0], doers, site)
    return Version(published, content, difference(before, content), last)


def newest(connection: Connection, site: Site) -> Newest | None:
    """Return a site's newest version; None if nothing has been published yet."""
    row = connection.execute(
        select(_notices.version, _notices.content)
        .where(_of_site(site))
        .order_by(_notices.version.desc())
        .limit(1)
    ).one_or_none()
    return Newest(row.version, json.loads(row.content)) if row else None


def content_of(connection: Connection, site: Site, version: int) -> Mapping[str, Any] | None:
    """Return what a version says; None for one that was never published."""
    query = select(_notices.content).where(_of_site(site), _notices.version == version)
    content = connection.execute(query).scalar_one_or_none()
    return None if content is None else dict(json.loads(content))


def content_as_hashed(
    database: Database, site: Site, version: int, content_hash: str
) -> Mapping[str, Any] | None:
    """Return what a version says, provided that this is its hash; None in any other case.

    What is stored is the canonical form, so it is hashed as it is.
    """
    query = select(_notices.content).where(_of_site(site), _notices.version == version)
    with database.reading(site.tenant_id) as connection:
        content = connection.execute(query).scalar_one_or_none()
    if content is None or hash_of(content.encode()) != content_hash:
        return None
    return dict(json.loads(content))


def hash_of(canonical: bytes) -> str:
    """Return what a notice is known by: a hash of its canonical form that says which it is."""
    return f"sha256:{sha256(canonical).hex()}"


def material_version(connection: Connection, site: Site) -> int:
    """Return the newest version that asked every visitor again; the first one always did."""
    found: int = connection.execute(
        select(func.max(_notices.version)).where(_of_site(site), _notices.material)
    ).scalar_one()
    return found


def purpose_keys(database: Database, site: Site) -> list[str]:
    """Return the keys of all purposes that any version has or had, newest version first."""
    query = select(_notices.content).where(_of_site(site)).order_by(_notices.version.desc())
    with database.reading(site.tenant_id) as connection:
        contents = connection.execute(query).scalars()
        found = [each["key"] for content in contents for each in json.loads(content)["purposes"]]
    return list(dict.fromkeys(found))


def as_notice(site: Site, version: Version) -> Notice:
    """Return a version as it was shown while it was in force."""
    published = version.published
    return Notice(
        site_id=site.id,
        version=published.version,
        material_version=published.version,
        content_hash=published.content_hash,
        content=version.content,
        published_on=published.published_at.date(),
    )


def audited_as(site: Site, version: int) -> str:
    """Return what the audit log calls a version."""
    return f"{site.site_key} {version}"


def _of_site(site: Site) -> ColumnElement[bool]:
    return and_(_notices.tenant_id == site.tenant_id, _notices.site_id == site.id)


def _doers(connection: Connection, site: Site, rows: Any) -> Mapping[str, Doer]:  # noqa: ANN401
    if not rows:
        return {}
    return audit.doers(
        connection,
        site.tenant_id,
        "notice.published",
        [audited_as(site, row.version) for row in rows],
        since=rows[-1].published_at,
    )


def _published(row: Any, doers: Mapping[str, Doer], site: Site) -> Published:  # noqa: ANN401
    told = {column.name: getattr(row, column.name) for column in _TOLD}
    return Published(**told, published_by=doers.get(audited_as(site, row.version)))


def _unknown(version: int) -> NotFound:
    return NotFound(f"The site has no published notice with the number {version}.")
