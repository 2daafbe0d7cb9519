"""The visitors whose choice changed lately, followed from the database into memory."""

from __future__ import annotations

from collections import deque

from sqlalchemy import Connection, select

from consent_service import db
from consent_service.consents import tokens
from consent_service.consents.models import CurrentStateRow
from consent_service.db import Follower

_states = CurrentStateRow.__table__.c

#: Seconds by which the clocks of two nodes may differ: a token's age is told by both.
CLOCK_SKEW_SECONDS = 300


class ChangeFeed:
    """Visitors whose choice changed while a token that says otherwise may still be about.

    A first choice is not among them: no older token contradicts it.
    """

    def __init__(self, token_seconds: int) -> None:
        """Remember each change for as long as a token is believed."""
        self._keep_seconds = token_seconds + CLOCK_SKEW_SECONDS
        self._follower = Follower(_states.changed_ms, first_ms=self._keep_seconds * 1000)
        #: When this process heard, and what.
        self._heard: deque[tuple[float, str, int]] = deque()
        #: Visitor id → sequence of the newest record, or ``tokens.ERASED``.
        self.newest: dict[str, int] = {}

    def refresh(self, connection: Connection) -> None:
        """Take over what changed since the last time, and forget what no token contradicts."""
        now = db.uptime()
        query = select(_states.visitor_id, _states.sequence, _states.record_id)
        with self._follower.read(connection, query) as rows:
            for row in rows:
                sequence = tokens.ERASED if row.record_id is None else row.sequence
                if sequence > self.newest.get(row.visitor_id, 0):
                    self.newest[row.visitor_id] = sequence
                    self._heard.append((now, row.visitor_id, sequence))
        # By this process's clock: the database's may jump, and then too much would be forgotten.
        while self._heard and self._heard[0][0] < now - self._keep_seconds:
            _, visitor_id, sequence = self._heard.popleft()
            if self.newest.get(visitor_id) == sequence:
                del self.newest[visitor_id]

    @property
    def silent_seconds(self) -> float:
        """Seconds since the database was last heard from."""
        return self._follower.silent_seconds
