"""Impressions: counted in memory, and written once a second.

Nobody's in particular: what is counted are banners of a site within a second, by circumstances
that thousands share. No call waits for the database. While it is away, what was counted waits for
it; a process that dies at once loses what it has counted in its last second.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, insert
from sqlalchemy.exc import IntegrityError

from consent_service import clock
from consent_service.consents.record import Circumstances as OfCall
from consent_service.db import Database
from consent_service.errors import Unavailable, ValidationFailed
from consent_service.notices.service import NoticeDirectory
from consent_service.regions.rules import Rule
from consent_service.reports.counting import UNKNOWN_COUNTRY, Circumstances
from consent_service.reports.models import ImpressionsRow
from consent_service.tenants.service import Site

#: Seconds between two times of writing.
FLUSH_SECONDS = 1

#: Rows that wait to be written, at most: about a quarter of an hour of a busy site, or some 10 MiB.
MOST_HELD = 20_000

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Event:
    """What a page tells of a banner."""

    #: One of ``counting.KINDS``.
    type: str
    notice_version: int
    language: str
    #: Whether the page saw the browser's opt-out signal.
    gpc: bool = False


@dataclass(frozen=True)
class _Row:
    """What impressions must have in common to be counted together."""

    tenant_id: UUID
    site_id: UUID
    at: datetime
    kind: str
    circumstances: Circumstances
    bot: bool


class Impressions:
    """Impressions that this process has counted and not yet written."""

    def __init__(
        self, database: Database, notices: NoticeDirectory, *, most_held: int = MOST_HELD
    ) -> None:
        """Count from now on; :meth:`flush` writes once, :meth:`start` goes on for ever."""
        self._database = database
        self._notices = notices
        self._most_held = most_held
        self._lock = threading.Lock()
        self._held: Counter[_Row] = Counter()
        #: What no longer grows, by tenant, with its ids: the same however often it is tried.
        self._waiting: deque[tuple[UUID, list[dict[str, Any]]]] = deque()
        self._waiting_rows = 0
        self._dropped = 0
        #: Impressions that found no room, since the process began.
        self.dropped = 0

    def count(self, site: Site, event: Event, call: OfCall, rule: Rule, *, bot: bool) -> None:
        """Count what a page tells of a banner, if there is room.

        :param call: what the call said besides
        :param bot: whether a program was shown it, and nobody
        :raises ValidationFailed: when no such banner can have been shown; nothing is counted
        :raises UnknownSite: when the site has no notice yet
        :raises Unavailable: when the database has not been reached yet
        """
        notice = self._notices.in_force(site)
        wrong = {}
        if event.notice_version > notice.version:
            wrong["notice_version"] = ["The notice has no such version."]
        if event.language not in notice.languages:
            wrong["language"] = [f"The notice is shown in: {', '.join(notice.languages)}."]
        if wrong:
            raise ValidationFailed(fields=wrong)
        row = _Row(
            site.tenant_id,
            site.id,
            clock.now().replace(microsecond=0),
            event.type,
            Circumstances(
                country=call.place.country or UNKNOWN_COUNTRY,
                language=event.language,
                device_class=call.device_class,
                browser_family=call.browser_family,
                notice_version=event.notice_version,
                regime=rule.regime,
                gpc=call.gpc,
            ),
            bot,
        )
        with self._lock:
            if row in self._held or len(self._held) + self._waiting_rows < self._most_held:
                self._held[row] += 1
            else:
                self._dropped += 1

    def flush(self) -> None:
        """Write what was counted until now, in one transaction a tenant.

        Not for two threads at once.

        :raises Unavailable: when the database is away; what is not written waits for the next time
        """
        self._put_in_order()
        while self._waiting:
            tenant_id, rows = self._waiting[0]
            try:
                with self._database.transaction(tenant_id) as connection:
                    connection.execute(insert(ImpressionsRow), rows)
            except Unavailable:
                raise
            except IntegrityError:
                # Their ids are there: an earlier try wrote them, and its answer got lost.
                log.info("impressions were written before", extra={"rows": len(rows)})
            except Exception:
                # Whatever it is, it will be again; the others must not wait for it.
                log.exception("impressions are lost", extra={"rows": len(rows)})
            self._waiting.popleft()
            with self._lock:
                self._waiting_rows -= len(rows)

    def start(self) -> None:
        """Write once a second in the background, and a last time when the process ends."""
        # Not a daemon: the interpreter waits for it, and so for what was counted last.
        threading.Thread(target=self._run, name="impressions").start()

    def _put_in_order(self) -> None:
        with self._lock:
            held, self._held = self._held, Counter()
            self._waiting_rows += len(held)
            dropped, self._dropped = self._dropped, 0
            self.dropped += dropped
        if dropped:
            log.error("no room for impressions", extra={"number": dropped})
        of_tenants: dict[UUID, list[dict[str, Any]]] = {}
        for row, number in held.items():
            of_tenants.setdefault(row.tenant_id, []).append(_values(row, number))
        self._waiting.extend(of_tenants.items())

    def _run(self) -> None:
        reachable = True
        main = threading.main_thread()
        while main.is_alive():
            main.join(FLUSH_SECONDS)
            try:
                self.flush()
            except Unavailable:
                if reachable:
                    log.error("database cannot be reached; impressions wait")  # noqa: TRY400
                reachable = False
            else:
                reachable = True


def _values(row: _Row, number: int) -> dict[str, Any]:
    return {
        "id": clock.new_id(),
        "tenant_id": row.tenant_id,
        "site_id": row.site_id,
        "at": row.at,
        "kind": row.kind,
        **vars(row.circumstances),
        "bot": row.bot,
        "number": number,
        "folded": False,
    }


def write(  # noqa: PLR0913 - what a row is made of
    connection: Connection,
    site: Site,
    at: datetime,
    kind: str,
    circumstances: Circumstances,
    *,
    number: int,
    bot: bool,
) -> None:
    """Write impressions of one kind, within the caller's transaction."""
    row = _Row(site.tenant_id, site.id, at, kind, circumstances, bot)
    connection.execute(insert(ImpressionsRow), _values(row, number))
