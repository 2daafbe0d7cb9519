"""Publish notices, and find the one in force."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any
from uuid import UUID

import orjson
import rfc8785
from marshmallow import ValidationError
from sqlalchemy import Connection, Row, func, insert, select
from sqlalchemy.exc import IntegrityError

from consent_service import clock
from consent_service.access import audit
from consent_service.access.actor import Actor
from consent_service.db import Database, Follower, database_ms
from consent_service.errors import Unavailable, UnknownSite, ValidationFailed
from consent_service.notices.configuration import Notice, configuration, in_language
from consent_service.notices.models import NoticeRow
from consent_service.notices.schemas import NoticeSchema
from consent_service.regions.rules import Rule
from consent_service.signing import sha256
from consent_service.tenants.service import Site

#: JSON that a notice may come to in one language: every visitor is sent it, and each process keeps
#: it for every region. The demo's comes to 5,000.
MAX_SHOWN_BYTES = 256 * 1024

#: As long as the number of days in a text can be.
_LONGEST_DAYS = 9999

_TEXTS = resources.files("consent_service.notices") / "texts"

#: How tests and documents name the pieces; a hash says which function made it.
_HASH_PREFIX = "sha256:"


def publish_notice(database: Database, site: Site, document: object, *, by: Actor) -> Notice:
    """Publish a notice as the site's next version; from then on it cannot be changed.

    :param document: the notice as its author wrote it, from JSON
    :raises ValidationFailed: when it is not complete; nothing is published
    :raises Unavailable: when another version was published at the same moment
    """
    content = resolve(document)
    canonical = rfc8785.dumps(content)
    of_site = (NoticeRow.tenant_id == site.tenant_id, NoticeRow.site_id == site.id)
    try:
        with database.transaction(site.tenant_id) as connection:
            newest: int | None = connection.execute(
                select(func.max(NoticeRow.version)).where(*of_site)
            ).scalar_one()
            # The first version has nothing that could be left as it was.
            material = newest is None or content["policy"]["material"]
            version = (newest or 0) + 1
            published_at = clock.now()
            material_before = connection.execute(
                select(func.max(NoticeRow.version)).where(*of_site, NoticeRow.material)
            ).scalar_one()
            notice = Notice(
                site_id=site.id,
                version=version,
                material_version=version if material else material_before,
                content_hash=_HASH_PREFIX + sha256(canonical).hex(),
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
            after = {"content_hash": notice.content_hash, "material": material}
            named = f"{site.site_key} {version}"
            audit.write(
                connection, site.tenant_id, by, "notice.published", "notice", named, after=after
            )
    except IntegrityError as error:
        raise Unavailable from error
    return notice


def newest_version(database: Database, site: Site) -> int | None:
    """Return the number of the site's newest notice, or None if none has been published."""
    with database.reading(site.tenant_id) as connection:
        return connection.execute(
            select(func.max(NoticeRow.version)).where(
                NoticeRow.tenant_id == site.tenant_id, NoticeRow.site_id == site.id
            )
        ).scalar_one()


def resolve(document: object) -> dict[str, Any]:
    """Check a notice and write into it every text that visitors will be shown.

    The result stands by itself: it is what is hashed, and what "as shown" means later.

    :raises ValidationFailed: when it is not complete
    """
    try:
        notice: dict[str, Any] = NoticeSchema().load(document)  # type: ignore[arg-type]
    except ValidationError as error:
        raise ValidationFailed(
            "The notice cannot be published as it is.", fields=error.messages_dict
        ) from error
    defaults = {code: _default_texts(code) for code in notice["languages"]}
    for code, overrides in notice["texts"].items():
        unknown = sorted(set(overrides) - set(defaults.get(code, {}).get("texts", {})))
        if unknown:
            raise ValidationFailed(
                "The notice cannot be published as it is.",
                fields={"texts": {code: [f"There is no text {', '.join(unknown)}."]}},
            )
    content = {
        **notice,
        "languages": [
            {"code": code, "name": default["name"], "direction": default["direction"]}
            for code, default in defaults.items()
        ],
        "texts": {
            code: {**default["texts"], **notice["texts"].get(code, {})}
            for code, default in defaults.items()
        },
    }
    _check_size(content)
    return content


def _check_size(content: Mapping[str, Any]) -> None:
    for entry in content["languages"]:
        code = entry["code"]
        size = len(orjson.dumps(in_language(content, code, _LONGEST_DAYS)))
        if size > MAX_SHOWN_BYTES:
            problem = (
                f"In {code} each visitor would be sent {size:,} bytes, and {MAX_SHOWN_BYTES:,} are "
                "allowed. Name fewer cookies (a * stands for many), or say less about them."
            )
            raise ValidationFailed(
                "The notice cannot be published as it is.", fields={"purposes": [problem]}
            )


def _default_texts(code: str) -> Mapping[str, Any]:
    path = _TEXTS / f"{code}.json"
    if not path.is_file():
        names = [entry.name for entry in _TEXTS.iterdir()]
        shipped = sorted(name.removesuffix(".json") for name in names if name.endswith(".json"))
        raise ValidationFailed(
            "The notice cannot be published as it is.",
            fields={"languages": [f"There are no texts in {code!r}; in: {', '.join(shipped)}."]},
        )
    texts: dict[str, Any] = json.loads(path.read_bytes())
    return texts


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
