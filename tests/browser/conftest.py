"""A visitor of the demo site."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from consent_service.db import Database
from consent_service.demo.seed import seed
from tests import servers
from tests.browser.visitor import Visitor


@pytest.fixture
def visitor(page: Page, demo_url: str) -> Visitor:
    """A visitor who has not opened the demo site yet."""
    return Visitor(page, demo_url)


@pytest.fixture
def own_demo(sqlite_url: str, keys_file: Path) -> Iterator[str]:
    """The address of a demo of the test's own, on ``sqlite_url``, to change as it likes."""
    port = servers.free_port()
    database = Database(sqlite_url)
    seed(database, port)
    database.close()
    with servers.service(sqlite_url, keys_file, port=port, demo="1", workers="1") as address:
        yield address
