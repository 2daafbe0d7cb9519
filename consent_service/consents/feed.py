"""The visitors whose choice changed lately, followed from the database into memory."""

from __future__ import annotations

from collections import deque

from sqlalchemy import Connection, select

from consent_service.consents import tokens
from consent_service.consents.models import CurrentStateRow
from consent_service.db import OVERLAP_MS, Follower

_states = CurrentStateRow.__table__.c


class ChangeFeed:
    """Visitors whose choice changed while a token that says otherwise may still be about.

    A first choice is not among them: no older token contradicts it.
    """

    def __init__(self, token_seconds: int) -> None:
        """Remember each change for as long as a token is believed."""
        self._keep_ms = token_seconds * 1000 + OVERLAP_MS
        self._follower = Follower(_states.changed_ms, first_ms=self._keep_ms)
        self._oldest: deque[tuple[int, str, int]] = deque()
        #: Visitor id → sequence of the newest record, or ``tokens.ERASED``.
        self.newest: dict[str, int] = {}

    def refresh(self, connection: Connection) -> None:
        """Take over what changed since the last time, and forget what no token contradicts."""
        query = select(
            _states.visitor_id, _states.sequence, _states.record_id, _states.changed_ms
        ).order_by(_states.changed_ms)
        for row in self._follower.read(connection, query):
            sequence = tokens.ERASED if row.record_id is None else row.sequence
            if sequence > self.newest.get(row.visitor_id, 0):
                self.newest[row.visitor_id] = sequence
                self._oldest.append((row.changed_ms, row.visitor_id, sequence))
        while self._oldest and self._oldest[0][0] < self._follower.database_ms - self._keep_ms:
            _, visitor_id, sequence = self._oldest.popleft()
            if self.newest.get(visitor_id) == sequence:
                del self.newest[visitor_id]

    @property
    def silent_seconds(self) -> float:
        """Seconds since the database was last heard from."""
        return self._follower.silent_seconds
