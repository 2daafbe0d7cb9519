"""A site's draft: what its next notice is to be, as its authors have it so far.

Any JSON object can be saved, complete or not. Whoever saves states the revision that they saw, so
that nobody overwrites what somebody else has written meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, and_, insert, select, update
from sqlalchemy.exc import IntegrityError

from consent_service import clock
from consent_service.access import audit
from consent_service.access.actor import Actor
from consent_service.db import Database
from consent_service.errors import Stale, Unavailable, ValidationFailed
from consent_service.notices import content, history
from consent_service.notices.content import document_of
from consent_service.notices.difference import Change, difference, kept
from consent_service.notices.models import DraftRow
from consent_service.notices.paths import Problem
from consent_service.tenants.service import Site, tenant_name

#: JSON that a draft may come to.
MAX_DRAFT_BYTES = 256 * 1024

#: Levels in a draft; a notice has ten.
_DEEPEST = 20

_START_LANGUAGES = ("en", "sw")

_drafts = DraftRow.__table__.c


class Source(StrEnum):
    """Where a draft's document comes from."""

    DRAFT = "draft"
    #: Nobody has begun a draft: it is what was published last.
    PUBLISHED = "published"
    #: Nor has anything been published: it is a frame to fill in.
    START = "start"


@dataclass(frozen=True)
class Draft:
    """A site's draft, or what it would begin with.

    :ivar document: a JSON object, meant to be a notice as ``docs/notices.md`` describes it
    :ivar revision: to be stated by whoever saves, discards or publishes
    :ivar published_version: the newest published, if any
    :ivar changed_at: when it was saved; None where nobody has begun one
    """

    document: Mapping[str, Any]
    revision: int
    source: Source
    published_version: int | None
    changed_at: datetime | None

    def as_json(self) -> dict[str, Any]:
        """Return it as the API gives it."""
        changed_at = clock.rfc3339(self.changed_at) if self.changed_at else None
        return {**asdict(self), "changed_at": changed_at}


def read_draft(database: Database, site: Site) -> Draft:
    """Return a site's draft, or what one would begin with."""
    with database.reading(site.tenant_id) as connection:
        return _read(connection, site)


def save_draft(
    database: Database, site: Site, document: object, *, revision: int, by: Actor
) -> Draft:
    """Save a document as the site's draft. It need not be complete.

    :param revision: the one that the author saw
    :raises ValidationFailed: when it is no JSON object, too large, or nested too deeply
    :raises Stale: when somebody else has changed the draft since, or published
    :raises Unavailable: when another one was saved at the same moment
    """
    written = _checked(document)
    sent = {"revision": revision, "document": document}
    try:
        with database.transaction(site.tenant_id) as connection:
            before = take(connection, site, revision, sent)
            if before.source == Source.DRAFT and _checked(before.document) == written:
                return before
            _set(connection, site, revision, written)
            was, now = kept(difference(before.document, json.loads(written)))
            audit.write(
                connection,
                site.tenant_id,
                by,
                "notice_draft.saved",
                "notice_draft",
                site.site_key,
                before=was,
                after=now,
            )
            return _read(connection, site)
    except IntegrityError as error:
        raise Unavailable from error


def discard_draft(database: Database, site: Site, *, revision: int, by: Actor) -> Draft:
    """Throw a site's draft away, and return what the next one begins with.

    :param revision: the one that whoever discards it saw
    :raises Stale: when somebody else has changed it since
    """
    with database.transaction(site.tenant_id) as connection:
        before = take(connection, site, revision, {"revision": revision})
        if before.source != Source.DRAFT:
            return before
        _set(connection, site, revision, None)
        after = _read(connection, site)
        was, now = kept(difference(before.document, after.document))
        audit.write(
            connection,
            site.tenant_id,
            by,
            "notice_draft.discarded",
            "notice_draft",
            site.site_key,
            before=was,
            after=now,
        )
        return after


@dataclass(frozen=True)
class Compared:
    """A draft beside what was published last.

    :ivar published_version: the version that it was compared with; None if there is none
    """

    draft: Draft
    published_version: int | None
    changes: list[Change]


def compare(database: Database, site: Site) -> Compared:
    """Return in what a site's draft differs from the notice in force.

    A draft that could be published is compared by all that visitors are shown, another by what its
    author wrote.
    """
    with database.reading(site.tenant_id) as connection:
        draft = _read(connection, site)
        newest = history.newest(connection, site)
    if newest is None:
        return Compared(draft, None, difference({}, draft.document))
    document = to_publish(draft.document)
    before, after = document_of(newest.content), draft.document
    if not content.problems(document):
        before, after = dict(newest.content), content.resolve(document)
    # Whether it is material is decided when it is published.
    changes = [
        change for change in difference(before, after) if change.path != ("policy", "material")
    ]
    return Compared(draft, newest.version, changes)


def problems(document: Mapping[str, Any]) -> list[Problem]:
    """Return all that keeps a draft's document from being published."""
    return content.problems(to_publish(document))


def take(
    connection: Connection, site: Site, revision: int, sent: Mapping[str, Any] | None = None
) -> Draft:
    """Return a site's draft and keep others from changing it while the transaction lasts.

    :param sent: what the caller gets back besides what stands, if that is not what it saw
    :raises Stale: when its revision is another
    """
    connection.execute(select(_drafts.revision).where(_of_site(site)).with_for_update())
    draft = _read(connection, site)
    if draft.revision != revision:
        raise Stale(draft.as_json(), sent or {"revision": revision})
    return draft


def clear(connection: Connection, site: Site, revision: int) -> None:
    """Have no draft any more: it was published."""
    _set(connection, site, revision, None)


def outdate(connection: Connection, site: Site) -> None:
    """Have a draft's author look again: what it begins with is to be another."""
    changed = connection.execute(
        update(DraftRow).where(_of_site(site)).values(revision=DraftRow.revision + 1)
    )
    if not changed.rowcount:
        _set(connection, site, 0, None)


def to_publish(
    document: Mapping[str, Any], *, material: bool = True, policy_version: str | None = None
) -> dict[str, Any]:
    """Return a draft's document with what is decided only when it is published."""
    policy = document.get("policy")
    decided = {"material": material, **({"version": policy_version} if policy_version else {})}
    return {**document, "policy": {**policy, **decided} if isinstance(policy, dict) else policy}


def start(controller: str) -> dict[str, Any]:
    """Return the frame of a notice, with nothing in it that its author has to decide."""
    texts = {code: {"name": "", "description": ""} for code in _START_LANGUAGES}
    return {
        "controller": {"name": controller},
        "dpo": {"name": "", "email": "", "address": ""},
        "policy": {"version": "", "url": "", "material": True},
        "languages": list(_START_LANGUAGES),
        "purposes": [{"key": "essential", "category": "essential", "texts": texts, "services": []}],
        "texts": {},
        "theme": {},
    }


def _of_site(site: Site) -> Any:  # noqa: ANN401 - SQLAlchemy's own type says no more
    return and_(_drafts.tenant_id == site.tenant_id, _drafts.site_id == site.id)


def _read(connection: Connection, site: Site) -> Draft:
    row = connection.execute(select(DraftRow.__table__).where(_of_site(site))).one_or_none()
    newest = history.newest(connection, site)
    revision, version = row.revision if row else 0, newest.version if newest else None
    if row and row.document is not None:
        document = json.loads(row.document)
        return Draft(document, revision, Source.DRAFT, version, row.changed_at)
    if newest:
        return Draft(document_of(newest.content), revision, Source.PUBLISHED, version, None)
    controller = tenant_name(connection, site.tenant_id)
    return Draft(start(controller), revision, Source.START, None, None)


def _set(connection: Connection, site: Site, revision: int, document: str | None) -> None:
    """Write what follows a revision; the caller has taken the draft."""
    values = {"revision": revision + 1, "document": document, "changed_at": clock.now()}
    changed = connection.execute(update(DraftRow).where(_of_site(site)).values(values))
    if not changed.rowcount:
        own = {"site_id": site.id, "tenant_id": site.tenant_id}
        connection.execute(insert(DraftRow).values(own | values))


def _checked(document: object) -> str:
    """Return a document as JSON."""
    problem = None
    if not isinstance(document, dict):
        problem = "A notice is one JSON object."
    elif _depth(document) > _DEEPEST:
        problem = f"It is nested more than {_DEEPEST} levels deep."
    if problem is None:
        try:
            text = json.dumps(document, ensure_ascii=False, allow_nan=False)
        except ValueError:
            problem = "It has a number that JSON cannot write."
        else:
            size = len(text.encode())
            if size <= MAX_DRAFT_BYTES:
                return text
            problem = f"It comes to {size:,} bytes; {MAX_DRAFT_BYTES:,} are allowed."
    raise ValidationFailed(fields={"document": [problem]})


def _depth(value: object) -> int:
    """Return how many levels a JSON value has."""
    depth, level = 0, [value]
    while level:
        depth += 1
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return depth
