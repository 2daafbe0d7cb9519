"""How often somebody may try, counted where rate limits are: shared, or in this process.

An attempt is counted before it is looked at, so that many at once are no way around, and a
success forgets all before it. Each further limit makes the wait longer: a minute, an hour, a day.
"""

from __future__ import annotations

import math
import time

from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage, Storage
from limits.strategies import FixedWindowRateLimiter

from consent_service.errors import TooManyAttempts

#: Attempts that one subject may make; twenty guesses a day find no password that is good enough.
ATTEMPTS = parse_many("5 per minute; 10 per hour; 20 per day")


class Throttle:
    """Counts attempts. A subject is what they are counted for, such as a device."""

    def __init__(self, storage: Storage) -> None:
        """Count there, and while it is gone in this process."""
        self._gone = storage.base_exceptions
        self._shared = FixedWindowRateLimiter(storage)
        self._memory = FixedWindowRateLimiter(MemoryStorage())

    def count(self, *subject: str) -> None:
        """Count an attempt.

        :raises TooManyAttempts: when there were too many; this one must not be looked at
        """
        try:
            seconds = _wait(self._shared, subject)
        except self._gone:
            seconds = _wait(self._memory, subject)
        if seconds:
            raise TooManyAttempts(seconds)

    def forget(self, *subject: str) -> None:
        """Forget the attempts: one of them was right."""
        for limiter in (self._memory, self._shared):
            try:
                for limit in ATTEMPTS:
                    limiter.clear(limit, *subject)
            except self._gone:
                continue


def _wait(limiter: FixedWindowRateLimiter, subject: tuple[str, ...]) -> int:
    """Count, and return for how many seconds there may be no attempt; 0 for this one to go on."""
    refusing = next((limit for limit in ATTEMPTS if not limiter.hit(limit, *subject)), None)
    return 0 if refusing is None else _seconds_left(limiter, refusing, subject)


def _seconds_left(
    limiter: FixedWindowRateLimiter, limit: RateLimitItem, subject: tuple[str, ...]
) -> int:
    return max(1, math.ceil(limiter.get_window_stats(limit, *subject).reset_time - time.time()))
