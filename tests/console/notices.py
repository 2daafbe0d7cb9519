"""A console with one tenant, in this process, and a browser whose user is signed in to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING, Any

from playwright.sync_api import Browser, BrowserContext
from werkzeug.serving import make_server
from werkzeug.wsgi import ClosingIterator

from consent_service.access.auth import PLAIN_COOKIE
from tests.builders import SITE_KEY, Service
from tests.members import Member

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

PAGES = f"/console/t/example/sites/{SITE_KEY}"
NOTICE = f"{PAGES}/notice"


@contextmanager
def served(service: Service) -> Iterator[str]:
    """Serve it on a port of its own, and give the address."""

    def whole(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Read what is answered before it is sent: the server closes no file that nobody takes."""
        answer = ClosingIterator(service.built.wsgi(environ, start_response))
        try:
            return [b"".join(answer)]
        finally:
            answer.close()

    server = make_server("127.0.0.1", 0, whole, threaded=True)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def at_desk(
    browser: Browser,
    address: str,
    member: Member,
    **options: Any,  # noqa: ANN401
) -> Iterator[BrowserContext]:
    """Open a browser that holds the member's session; any error in its pages fails the test."""
    errors: list[str] = []
    with browser.new_context(locale="en-GB", **options) as context:
        assert member.token
        context.add_cookies([{"name": PLAIN_COOKIE, "value": member.token, "url": address}])
        context.on("weberror", lambda error: errors.append(str(error.error)))
        context.on(
            "console",
            lambda message: (
                # A page that says that somebody else was faster is no error.
                errors.append(message.text)
                if message.type == "error" and "status of 409" not in message.text
                else None
            ),
        )
        yield context
    assert errors == []
