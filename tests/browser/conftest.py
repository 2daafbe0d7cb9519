"""A visitor of the demo site."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
from playwright.sync_api import Page

from consent_service.db import Database
from consent_service.demo.seed import seed
from consent_service.tenants.service import find_site, set_origins
from tests import servers
from tests.browser.engines import ENGINES
from tests.browser.visitor import Visitor
from tests.servers import wait_until

#: Without any of them its tests would count as skipped.
collect_ignore = [] if ENGINES else ["test_engines.py"]


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


@dataclass
class Shop:
    """A page on another host than the service; tests put into it what they like."""

    service: str
    origin: str = ""
    #: What stands at the end of the page.
    scripts: str = ""
    #: The whole page, where a test wants another.
    html: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    #: Paths that browsers asked it for.
    asked: list[str] = field(default_factory=list)

    def page(self) -> str:
        """Return the page."""
        goods = "<p>Something to buy.</p>" * 100
        ordinary = f"<!doctype html><title>Shop</title><main>{goods}{self.scripts}</main>"
        return self.html or ordinary


@pytest.fixture
def shop(own_demo: str, sqlite_url: str) -> Iterator[Shop]:
    """A page that may use the demo's site from another host.

    To a browser localhost is another site than 127.0.0.1: it neither sends nor keeps our cookie.
    """
    made = Shop(own_demo)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append(self.path)
            self.send_response(200)
            for name, value in {"Content-Type": "text/html", **made.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(made.page().encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        origin = made.origin = f"http://localhost:{server.server_port}"
        database = Database(sqlite_url)
        set_origins(database, find_site(database, "site_demo"), [origin])
        database.close()
        preflight = {"Origin": origin}
        wait_until(
            lambda: (
                "Access-Control-Allow-Origin"
                in httpx.get(f"{own_demo}/v1/sites/site_demo/banner", headers=preflight).headers
            ),
            "the service did not hear of the origin",
        )
        yield made
        server.shutdown()


@pytest.fixture
def foreign_shop(shop: Shop) -> str:
    """The origin of a page that embeds the demo's script from another host."""
    shop.scripts = f'<script src="{shop.service}/embed/site_demo.js"></script>'
    return shop.origin


@pytest.fixture
def strict_shop(shop: Shop) -> str:
    """The same under the strictest policy, with a tagged script; ``troubles`` is what went wrong.

    The page's own scripts show the policy's nonce, and no text becomes a script unexamined.
    """
    shop.headers["Content-Security-Policy"] = (
        f"default-src 'none'; base-uri 'none'; connect-src {shop.service}; img-src data:; "
        f"script-src 'nonce-shop' {shop.service}; "
        "require-trusted-types-for 'script'; trusted-types consent-service"
    )
    shop.html = f"""<!doctype html><html lang="en"><title>Shop</title>
        <link rel="icon" href="data:,">
        <script nonce="shop">
            window.troubles = [];
            const note = (text) => window.troubles.push(text);
            addEventListener("error", ({{ message, target }}) => note(message ?? target.src), true);
            addEventListener("unhandledrejection", ({{ reason }}) => note(String(reason)));
            addEventListener("securitypolicyviolation", (violation) =>
                note(`${{violation.effectiveDirective}} ${{violation.blockedURI}}`));
        </script>
        <script nonce="shop" src="{shop.service}/embed/site_demo.js" async></script>
        <main><h1>Shop</h1></main>
        <script nonce="shop" type="text/plain" data-consent="analytics">window.counted = 1</script>
    """
    return shop.origin
