"""Which tenants may write, in memory: those whose ledgers are not suspended.

A ledger is suspended where the database lacks something of it that was published, as after a backup
was restored. Until the operator has decided (``consent-service ledger reopen``), nothing is written
for its tenant: whatever came next would contradict what others hold in hand.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import Connection

from consent_service import db
from consent_service.db import Database
from consent_service.errors import LedgerSuspended, Unavailable
from consent_service.ledger import store
from consent_service.ledger.heads import Heads, Remembered, contradiction
from consent_service.ledger.store import Ledger

#: Seconds between two times that a process remembers what others have published meanwhile.
_REMEMBER_SECONDS = 10

log = logging.getLogger(__name__)


class LedgerDirectory:
    """Follows all ledgers' heads, and what was published of them."""

    def __init__(self, database: Database, heads: Heads) -> None:
        """Start empty: until the first :meth:`refresh` nobody may write."""
        self.heads = heads
        self._database = database
        #: Why, of each tenant that may not write.
        self._suspended: Mapping[UUID, str] = {}
        #: Those of whom the database does not say so.
        self.unmarked: frozenset[UUID] = frozenset()
        #: By ledger and size, since heads were last remembered.
        self._roots: dict[tuple[UUID, int], bytes] = {}
        self._remembered_at: float | None = None

    def refresh(self, connection: Connection) -> None:
        """Look at all ledgers once more.

        :param connection: with the directory's scope
        :raises OperatorError: when the folder of remembered heads cannot be read
        """
        remembered = self.heads.all()
        ledgers: dict[UUID, list[Ledger]] = defaultdict(list)
        for ledger in store.every_ledger(connection):
            ledgers[ledger.tenant_id].append(ledger)
        now = db.uptime()
        due = self._remembered_at is None or now - self._remembered_at >= _REMEMBER_SECONDS
        if due:
            self._roots.clear()
        suspended, unmarked = {}, set()
        for tenant_id in {*remembered, *ledgers}:
            known, there = remembered.get(tenant_id, {}), ledgers.get(tenant_id, [])
            reason = contradiction(known, there, self._root_at)
            marked = any(each.suspended_at and not each.closed_at for each in there)
            if reason or marked:
                suspended[tenant_id] = reason or "so it was found before, here or elsewhere"
                unmarked |= set() if marked else {tenant_id}
            elif due:
                self._remember(known, there)
        self._tell(suspended)
        self._suspended, self.unmarked = suspended, frozenset(unmarked)
        if due:
            self._remembered_at = now

    def check_writable(self, tenant_id: UUID) -> None:
        """Refuse to write for a tenant whose ledger is suspended.

        :raises LedgerSuspended: when it is
        :raises Unavailable: when the database has not been reached yet
        """
        if self._remembered_at is None:
            raise Unavailable
        if tenant_id in self._suspended:
            raise LedgerSuspended

    @property
    def suspended(self) -> Mapping[UUID, str]:
        """The tenants that may not write, and why not."""
        return self._suspended

    def _root_at(self, ledger: Ledger, size: int) -> bytes:
        at = (ledger.id, size)
        if at not in self._roots:
            with self._database.reading(ledger.tenant_id) as connection:
                self._roots[at] = store.root_at(connection, ledger, size)
        return self._roots[at]

    def _remember(self, known: Remembered, ledgers: list[Ledger]) -> None:
        for ledger in ledgers:
            head = known.get(ledger.number)
            if ledger.closed_at or ledger.size <= (head.size if head else 0):
                continue
            with self._database.reading(ledger.tenant_id) as connection:
                note = store.checkpoint(connection, ledger, ledger.size)
            if note:
                self.heads.remember(ledger, note)

    def _tell(self, suspended: Mapping[UUID, str]) -> None:
        for tenant_id, reason in suspended.items():
            if tenant_id not in self._suspended:
                log.error(
                    "a ledger is suspended: nothing is recorded or erased for its tenant until "
                    "the right backup is restored, or: consent-service ledger reopen",
                    extra={"tenant": str(tenant_id), "reason": reason},
                )
        for tenant_id in self._suspended:
            if tenant_id not in suspended:
                log.info("a ledger is no longer suspended", extra={"tenant": str(tenant_id)})
