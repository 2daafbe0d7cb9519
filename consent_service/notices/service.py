"""Publish notices, and find the one in force."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import rfc8785
from sqlalchemy import Connection, Row, insert, select
from sqlalchemy.exc import IntegrityError

from consent_service import clock
from consent_service.access import audit
from consent_service.access.actor import Actor
from consent_service.db import Database, Follower, database_ms
from consent_service.errors import Unavailable, UnknownSite, ValidationFailed
from consent_service.notices import drafts, history
from consent_service.notices.configuration import Notice, configuration, optional_keys
from consent_service.notices.content import resolve
from consent_service.notices.difference import difference, kept
from consent_service.notices.models import NoticeRow
from consent_service.notices.paths import by_path, flattened
from consent_service.regions.rules import Rule
from consent_service.tenants.service import Site


def publish_notice(database: Database, site: Site, document: object, *, by: Actor) -> Notice:
    """Publish a notice as the site's next version; from then on it cannot be changed.

    A draft that somebody has begun stays as it is.

    :param document: the notice as its author wrote it, from JSON
    :raises ValidationFailed: when it is not complete; nothing is published
    :raises Unavailable: when another version was published at the same moment
    """
    content = resolve(document)
    try:
        with database.transaction(site.tenant_id) as connection:
            drafts.outdate(connection, site)
            return _publish(connection, site, content, by)
    except IntegrityError as error:
        raise Unavailable from error


def publish_draft(  # noqa: PLR0913 - what is decided when a notice is published
    database: Database,
    site: Site,
    *,
    revision: int,
    material: bool,
    policy_version: str | None = None,
    by: Actor,
) -> Notice:
    """Publish what a site's draft says, or once more what was published last if there is none.

    The draft is gone afterwards.

    :param revision: the draft's, as whoever publishes saw it
    :param material: whether every visitor is asked again
    :param policy_version: of the privacy policy; the draft's unless given
    :raises Stale: when it has been changed since; nothing is published
    :raises ValidationFailed: when it is not complete, ``fields`` by path; nothing is published
    :raises Unavailable: when another version was published at the same moment
    """
    try:
        with database.transaction(site.tenant_id) as connection:
            draft = drafts.take(connection, site, revision)
            document = drafts.to_publish(
                draft.document, material=material, policy_version=policy_version
            )
            try:
                content = resolve(document)
            except ValidationFailed as error:
                found = list(flattened(error.fields))
                raise ValidationFailed(str(error), fields=by_path(found)) from error
            drafts.clear(connection, site, revision)
            return _publish(connection, site, content, by)
    except IntegrityError as error:
        raise Unavailable from error


def _publish(connection: Connection, site: Site, content: Mapping[str, Any], by: Actor) -> Notice:
    before = history.newest(connection, site)
    canonical = rfc8785.dumps(dict(content))
    # The first version has nothing that could be left as it was.
    material = before is None or content["policy"]["material"]
    version = before.version + 1 if before else 1
    published_at = clock.now()
    notice = Notice(
        site_id=site.id,
        version=version,
        material_version=version if material else history.material_version(connection, site),
        content_hash=history.hash_of(canonical),
        content=content,
        published_on=published_at.date(),
    )
    connection.execute(
        insert(NoticeRow).values(
            id=clock.new_id(),
            tenant_id=site.tenant_id,
            site_id=site.id,
            version=version,
            content=canonical.decode(),
            content_hash=notice.content_hash,
            policy_version=content["policy"]["version"],
            material=material,
            published_at=published_at,
            changed_ms=database_ms(),
        )
    )
    was, now = kept(difference(before.content, content) if before else [])
    audit.write(
        connection,
        site.tenant_id,
        by,
        "notice.published",
        "notice",
        history.audited_as(site, version),
        before=was,
        after={**now, "content_hash": notice.content_hash, "material": material},
    )
    return notice


def newest_version(database: Database, site: Site) -> int | None:
    """Return the number of the site's newest notice, or None if none has been published."""
    with database.reading(site.tenant_id) as connection:
        newest = history.newest(connection, site)
    return newest.version if newest else None


def shown_to(
    notice: Notice, site: Site, language: str | None, rule: Rule, *, gpc: bool
) -> dict[str, Any]:
    """Return the widget's configuration for a visitor; an unknown language gets the default."""
    return configuration(
        notice,
        site_key=site.site_key,
        cookie=site.cookie_name,
        language=language if language in notice.languages else notice.languages[0],
        rule=rule,
        gpc=gpc,
    )


class AskedPurposes:
    """What the published versions ask about, remembered: a version never changes."""

    def __init__(self) -> None:
        """Know none yet."""
        self._known: dict[tuple[UUID, int], tuple[str, ...]] = {}

    def of(self, connection: Connection, site: Site, version: int) -> tuple[str, ...]:
        """Return the keys of the optional purposes of a site's version, in the notice's order.

        Of a version that was never published, none.
        """
        known = self._known.get((site.id, version))
        if known is None:
            content = history.content_of(connection, site, version)
            if content is None:
                return ()
            known = tuple(optional_keys(content))
            self._known[site.id, version] = known
        return known


class NoticeDirectory:
    """Each site's notice in force, in memory, following the database."""

    def __init__(self) -> None:
        """Start empty; until the first :meth:`refresh` every look-up says Unavailable."""
        self._notices: dict[UUID, Notice] = {}
        self._follower = Follower(NoticeRow.__table__.c.changed_ms)

    def refresh(self, connection: Connection) -> None:
        """Take over what was published since the last time."""
        table = NoticeRow.__table__.c
        query = select(table.id, table.site_id, table.version, table.material)
        with self._follower.read(connection, query) as published:
            self._take_over(connection, published)

    def _take_over(self, connection: Connection, published: Sequence[Row[Any]]) -> None:
        table = NoticeRow.__table__.c
        newest: dict[UUID, tuple[int, UUID]] = {}
        material: dict[UUID, int] = {}
        for row in published:
            newest[row.site_id] = max(newest.get(row.site_id, (0, row.id)), (row.version, row.id))
            if row.material:
                material[row.site_id] = max(material.get(row.site_id, 0), row.version)
        for site_id, (version, row_id) in newest.items():
            known = self._notices.get(site_id)
            if known is not None and known.version >= version:
                continue
            shown = connection.execute(
                select(table.content, table.content_hash, table.published_at).where(
                    table.id == row_id
                )
            ).one()
            self._notices[site_id] = Notice(
                site_id=site_id,
                version=version,
                material_version=max(
                    material.get(site_id, 0), known.material_version if known else 0
                ),
                content_hash=shown.content_hash,
                content=json.loads(shown.content),
                published_on=shown.published_at.date(),
            )

    def in_force(self, site: Site) -> Notice:
        """Return the site's newest notice.

        :raises UnknownSite: when none has been published yet
        :raises Unavailable: when the database has not been reached yet
        """
        notice = self._notices.get(site.id)
        if notice is None:
            raise Unavailable if self._follower.silent_seconds == math.inf else UnknownSite
        return notice

    def get(self, site: Site) -> Notice | None:
        """Return the site's newest notice, or None."""
        return self._notices.get(site.id)
