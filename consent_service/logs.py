"""Logs: one JSON object a line, on standard error, with nothing of the visitor in it.

A request is logged by its route, never by its address or query: those can carry tokens and
receipt links. No network address, no user agent.
"""

from __future__ import annotations

import logging
import sys
import time

from flask import Flask, Response, g, request
from pythonjsonlogger.json import JsonFormatter

log = logging.getLogger("consent_service")


def configure(level: str) -> None:
    """Send all logs of this process to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter(
            "%(levelname)s %(name)s %(message)s",
            timestamp=True,
            rename_fields={"levelname": "level", "name": "logger", "message": "event"},
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    # It says twice what kind of database there is, each time somebody asks whether all is well.
    logging.getLogger("alembic").setLevel(logging.WARNING)


def log_requests(app: Flask) -> None:
    """Log each request that Flask answers, when it has been answered."""

    @app.before_request
    def _start() -> None:
        g.started = time.perf_counter()

    @app.after_request
    def _log(response: Response) -> Response:
        log.info(
            "request",
            extra={
                "method": request.method,
                "route": request.url_rule.rule if request.url_rule else None,
                "status": response.status_code,
                "ms": round((time.perf_counter() - g.started) * 1000, 2),
            },
        )
        return response
