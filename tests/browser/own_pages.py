"""Pages of the tests' own on the service's own host, which costs no server for each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from playwright.sync_api import BrowserContext, Page, Route

TAG = '<script src="/embed/site_demo.js"></script>'
#: Runs once analytics are allowed.
WAITING = """<script type="text/plain" data-consent="analytics">
    window.ran = (window.ran ?? 0) + 1;
</script>"""
#: An ordinary page with both.
ORDINARY = f"""<!doctype html><html lang="en"><title>Page</title><link rel="icon" href="data:,">
    <main><h1>Page</h1>{WAITING}</main>{TAG}"""

_BEFORE, _BETWEEN = "const __CONFIG__=", ",__SCRIPT__="


def stage(
    browsing: Page | BrowserContext,
    origin: str,
    html: str = ORDINARY,
    headers: Mapping[str, str] | None = None,
) -> str:
    """Have the host answer with this page; return its address."""
    address = f"{origin}/staged/"
    given = {"Content-Type": "text/html", **(headers or {})}
    browsing.route(address, lambda route: route.fulfill(body=html, headers=given))
    return address


def reconfigure(page: Page, change: Callable[[Any], Any]) -> None:
    """Change the configuration inside the script; ``change`` returns the new one, or edits it.

    The service does not hear of the banner, which is none of its own any more.
    """

    def answer(route: Route) -> None:
        script = route.fetch().text()
        before, _, rest = script.partition(_BEFORE)
        configuration, between, after = rest.partition(_BETWEEN)
        given = json.loads(configuration)
        returned = change(given)
        changed = json.dumps(given if returned is None else returned)
        body = before + _BEFORE + changed + between + after
        route.fulfill(body=body, content_type="text/javascript")

    page.route("**/embed/site_*.js", answer)
    page.route("**/events", lambda route: route.fulfill(status=202))
