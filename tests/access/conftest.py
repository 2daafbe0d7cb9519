"""Time goes as the tests of signing in need it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from consent_service import clock

Clock = Callable[[timedelta], None]


@pytest.fixture
def move(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Have the service's clock be ahead by so much."""
    now = clock.now

    def to(step: timedelta) -> None:
        monkeypatch.setattr(clock, "now", lambda: now() + step)

    return to
