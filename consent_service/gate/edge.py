"""Issue edge tokens, and say which of them count no more.

What callers may rely on:

- A token says what the gate answered, and nothing by which two of one visitor could be told to be.
- A place in a list is never given twice: while the list is open its rows stay, and a list that was
  closed is not opened again.
- A list is computed from what the database holds when it is asked for, at the most
  :data:`KEPT_SECONDS` ago; nothing in the recording of choices has to know of tokens.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, and_, delete, func, insert, or_, select, true
from sqlalchemy.exc import IntegrityError

from consent_service import clock, db
from consent_service.consents.service import Consents
from consent_service.consents.tokens import Claims
from consent_service.db import Database
from consent_service.errors import Unavailable, UnknownStatusList
from consent_service.gate.edge_token import (
    LIST_TYPE,
    PLACES,
    TOKEN_TYPE,
    is_revocable,
    list_claims,
    packed_list,
    token_claims,
    token_life,
)
from consent_service.gate.models import EdgeTokenRow, StatusListRow
from consent_service.gate.service import Answer, Gate, Question
from consent_service.signing import Keyring
from consent_service.tenants.service import Site

#: Seconds for which a process answers with a list that it has computed.
KEPT_SECONDS = 2

#: Seconds for which tokens get places in a list. Its rows stay as long.
OPEN_SECONDS = 600

#: Seconds after which nobody is still at work on a list that is closed.
_SETTLED_SECONDS = 60

#: Where half of all places are taken, ten tries fail once in a thousand times; by then a new list
#: has been begun.
_TRIES = 10

#: Of so many visitors the database looks for the tokens; of more, all are looked at.
_FEW = 1000

_lists = StatusListRow.__table__.c
_tokens = EdgeTokenRow.__table__.c


class Issued(NamedTuple):
    """A token, and when it expires, in seconds since 1970."""

    token: str
    expires_at: int


@dataclass
class _Kept:
    """A list as this process computed it last."""

    turn: threading.Lock = field(default_factory=threading.Lock)
    packed: str = ""
    #: By the clock, in seconds since 1970, and by one that is never set.
    computed_at: int = 0
    uptime: float = float("-inf")

    @property
    def is_fresh(self) -> bool:
        return db.uptime() - self.uptime < KEPT_SECONDS


class Edge:
    """Tokens for servers that decide without asking us, and the lists that take them back."""

    def __init__(
        self, database: Database, keys: Keyring, consents: Consents, gate: Gate, seconds: int
    ) -> None:
        """Take what is needed; a token lasts ``seconds`` at the most."""
        self._database = database
        self._keys = keys
        self._consents = consents
        self._gate = gate
        self._seconds = seconds
        #: By the ids of site and list.
        self._kept: dict[tuple[UUID, UUID], _Kept] = {}

    def issue(
        self, question: Question, answer: Answer, claims: Claims | None, *, service: str
    ) -> Issued:
        """Return a token that says what the gate has answered.

        :param claims: what the visitor's own token says, which the answer rests on
        :param service: the address of this service, as visitors have it
        :raises Unavailable: when the database cannot keep what would take the token back
        """
        reasons = answer.reasons
        now = int(time.time())
        left = claims.expires_at - now if claims else None
        expires_at = now + token_life(reasons.values(), left, self._seconds)
        visitor = claims if claims and is_revocable(reasons.values()) else None
        row = {
            "visitor_id": visitor.visitor_id if visitor else None,
            "sequence": visitor.sequence if visitor else None,
            "notice_version": answer.notice_version,
            "issued_at": datetime.fromtimestamp(now, UTC),
            "expires_at": datetime.fromtimestamp(expires_at, UTC),
        }
        list_id, place = self._take_place(question.site, row)
        said = token_claims(
            reasons,
            issuer=service,
            site_key=question.site.site_key,
            issued_at=now,
            expires_at=expires_at,
            regime=answer.regime,
            notice_version=answer.notice_version,
            gpc=answer.gpc,
            status_list=address_of(service, question.site, list_id),
            place=place,
        )
        return Issued(self._keys.sign_jwt(TOKEN_TYPE, said), expires_at)

    def status_list(self, site: Site, list_id: UUID, *, service: str) -> str:
        """Return a signed status list.

        :param service: the address of this service, as visitors have it
        :raises UnknownStatusList: when the site has no such list, or has it no more
        :raises Unavailable: when it cannot be known which tokens count
        """
        if self._gate.is_stale:
            # It may be that a newer notice is in force.
            raise Unavailable
        kept = self._kept.setdefault((site.id, list_id), _Kept())
        with kept.turn:
            if not kept.is_fresh:
                self._compute(kept, site, list_id)
            packed, computed_at = kept.packed, kept.computed_at
        address = address_of(service, site, list_id)
        said = list_claims(packed, issuer=service, address=address, issued_at=computed_at)
        return self._keys.sign_jwt(LIST_TYPE, said)

    def _take_place(self, site: Site, row: dict[str, Any]) -> tuple[UUID, int]:
        """Keep a token in a place that no other has had."""
        for attempt in range(_TRIES):
            place = secrets.randbelow(PLACES)
            try:
                with self._database.transaction(site.tenant_id) as connection:
                    # A place that is taken is the sign to look how full the list is.
                    list_id = _open_list(connection, site, count=attempt > 0)
                    connection.execute(
                        insert(EdgeTokenRow).values(
                            list_id=list_id,
                            place=place,
                            tenant_id=site.tenant_id,
                            site_id=site.id,
                            **row,
                        )
                    )
            except IntegrityError:
                continue
            return list_id, place
        raise Unavailable

    def _compute(self, kept: _Kept, site: Site, list_id: UUID) -> None:
        """Find out which tokens of a list count no more."""
        now, uptime = clock.now(), db.uptime()
        counting = (
            _tokens.tenant_id == site.tenant_id,
            _tokens.site_id == site.id,
            _tokens.list_id == list_id,
            _tokens.expires_at > now,
        )
        linked = _tokens.visitor_id.is_not(None)
        with self._database.reading(site.tenant_id) as connection:
            if not _is_list(connection, site, list_id):
                self._kept.pop((site.id, list_id), None)
                raise UnknownStatusList
            oldest = select(func.min(_tokens.issued_at)).where(*counting, linked)
            since: datetime | None = connection.execute(oldest).scalar_one()
        newest = self._consents.newest_since(site, since) if since else {}
        outdated = _tokens.notice_version < self._gate.material_version(site)
        changed = and_(linked, _tokens.visitor_id.in_(newest) if len(newest) <= _FEW else true())
        query = select(_tokens.place, _tokens.visitor_id, _tokens.sequence, outdated).where(
            *counting, or_(outdated, changed)
        )
        with self._database.reading(site.tenant_id) as connection:
            invalid = [
                place
                for place, visitor_id, sequence, is_outdated in connection.execute(query)
                if is_outdated or newest.get(visitor_id, 0) > sequence
            ]
        kept.packed = packed_list(invalid, PLACES)
        kept.computed_at, kept.uptime = int(now.timestamp()), uptime
        self._drop_old()

    def _drop_old(self) -> None:
        """Keep no list that nobody asks for."""
        for which, kept in list(self._kept.items()):
            if not kept.is_fresh and not kept.turn.locked():
                self._kept.pop(which, None)


def forget_expired(database: Database, sites: Iterable[Site]) -> bool:
    """Delete the tokens that expired, and the lists that have none, of these sites' tenants.

    Of an open list every row stays, as its place must not be given again: a visitor's id is here
    for :data:`OPEN_SECONDS` and the life of a token at the most, and until the next time.

    :returns: whether there was anything
    :raises Unavailable: when the database does not answer
    """
    found = False
    for tenant_id in {site.tenant_id: None for site in sites}:
        now = clock.now()
        closed = (
            _lists.tenant_id == tenant_id,
            _lists.open_until < now - timedelta(seconds=_SETTLED_SECONDS),
        )
        with database.reading(tenant_id) as connection:
            if connection.execute(select(_lists.id).where(*closed).limit(1)).first() is None:
                continue
        found = True
        with database.transaction(tenant_id) as connection:
            connection.execute(
                delete(EdgeTokenRow).where(
                    _tokens.tenant_id == tenant_id,
                    _tokens.expires_at < now,
                    _tokens.list_id.in_(select(_lists.id).where(*closed)),
                )
            )
            connection.execute(
                delete(StatusListRow).where(
                    *closed,
                    _lists.id.not_in(select(_tokens.list_id).where(_tokens.tenant_id == tenant_id)),
                )
            )
    return found


def address_of(service: str, site: Site, list_id: UUID) -> str:
    """Return where a list is, as tokens name it."""
    return f"{service}/v1/gate/status/{list_id}?site={site.site_key}"


def _open_list(connection: Connection, site: Site, *, count: bool) -> UUID:
    """Return the list of a site that is open, or begin one.

    :param count: whether to look that it is not full: half of its places are never used
    """
    now = clock.now()
    query = (
        select(_lists.id)
        .where(
            _lists.tenant_id == site.tenant_id,
            _lists.site_id == site.id,
            _lists.open_until > now,
        )
        .order_by(_lists.id.desc())
        .limit(1)
    )
    list_id: UUID | None = connection.execute(query).scalar_one_or_none()
    if list_id and not (count and _is_full(connection, site, list_id)):
        return list_id
    list_id = clock.new_id()
    connection.execute(
        insert(StatusListRow).values(
            id=list_id,
            tenant_id=site.tenant_id,
            site_id=site.id,
            open_until=now + timedelta(seconds=OPEN_SECONDS),
        )
    )
    return list_id


def _is_full(connection: Connection, site: Site, list_id: UUID) -> bool:
    taken = connection.execute(
        select(func.count()).where(_tokens.tenant_id == site.tenant_id, _tokens.list_id == list_id)
    ).scalar_one()
    return taken >= PLACES // 2


def _is_list(connection: Connection, site: Site, list_id: UUID) -> bool:
    query = select(_lists.id).where(
        _lists.tenant_id == site.tenant_id, _lists.site_id == site.id, _lists.id == list_id
    )
    return connection.execute(query).first() is not None
