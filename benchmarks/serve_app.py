"""Serve another application exactly as ``consent-service serve`` serves the service.

``python -m benchmarks.serve_app benchmarks.apps:small_json [factory]``. It is the service's own
call of the server that runs, with nothing but the application exchanged, so that the settings of
the two cannot drift apart.
"""

from __future__ import annotations

import sys
from typing import Any
from unittest.mock import patch

import granian.server

from consent_service import cli, config


def main(target: str, *, factory: bool) -> None:
    """Serve the application until this process is told to stop."""

    def exchanged(_: str, **options: Any) -> Any:  # noqa: ANN401
        return granian.server.Server(target, **{**options, "factory": factory})

    with patch.object(cli, "Server", exchanged):
        cli._serve(config.load())  # noqa: SLF001 - see above


if __name__ == "__main__":
    main(sys.argv[1], factory="factory" in sys.argv[2:])
