"""Fixtures: the console's parts, served for a browser."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Thread

import pytest
from werkzeug.serving import make_server

from tests.console.stage import make_app


@pytest.fixture(scope="session")
def stage_url() -> Iterator[str]:
    """The address of the pages in ``stage.py``."""
    server = make_server("127.0.0.1", 0, make_app(), threaded=True)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.port}/console"
    server.shutdown()
    thread.join()
    server.server_close()
