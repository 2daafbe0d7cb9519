"""A visitor of the demo site."""

from __future__ import annotations

import mimetypes
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Page

from consent_service.access.actor import OPERATOR
from consent_service.db import Database
from consent_service.notices.service import publish_notice
from consent_service.signing import ensure_keys
from consent_service.tenants.service import create_site, create_tenant
from tests import servers
from tests.browser.engines import ENGINES
from tests.browser.notice import NOTICE
from tests.browser.visitor import Visitor
from tests.builders import COUNTRY_HEADER, set_origins

#: Without any of them its tests would count as skipped.
collect_ignore = [] if ENGINES else ["test_engines.py"]


@pytest.fixture
def visitor(page: Page, demo_url: str) -> Visitor:
    """A visitor who has not opened the demo site yet."""
    return Visitor(page, demo_url)


@pytest.fixture
def own_demo(sqlite_url: str, tmp_path: Path) -> Iterator[str]:
    """The address of a demo of the test's own, on ``sqlite_url``, to change as it likes."""
    with servers.demo(sqlite_url, tmp_path) as address:
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
    #: What there is instead of the page, by path; where it is empty, nothing is found.
    files: dict[str, str] = field(default_factory=dict)
    #: The paths that browsers asked for, in that order.
    asked: list[str] = field(default_factory=list)

    def page(self) -> str:
        """Return the page."""
        goods = "<p>Something to buy.</p>" * 100
        ordinary = f"<!doctype html><title>Shop</title><main>{goods}{self.scripts}</main>"
        return self.html or ordinary

    def embed(self, before: str = "") -> None:
        """Have the page end with the script."""
        self.scripts = f'{before}<script src="{self.service}/embed/site_demo.js"></script>'

    def clear(self) -> None:
        """Make the page an ordinary one, which nobody has asked for."""
        self.scripts = self.html = ""
        self.headers.clear()
        self.files.clear()
        self.asked.clear()

    def furnish(self, content: str, *, head: str = "", attributes: str = "async") -> None:
        """Make a page of this content, with the script in its head; ``ran`` is for its scripts."""
        self.html = f"""<!doctype html><html lang="en"><title>Shop</title>
            <link rel="icon" href="data:,"><script nonce="shop">window.ran = [];</script>{head}
            <script nonce="shop" src="{self.service}/embed/site_demo.js" {attributes}></script>
            <main><h1>Shop</h1>{content}</main>"""


@contextmanager
def open_shop(service: str) -> Iterator[Shop]:
    """Serve a shop of this process's own.

    To a browser localhost is another site than 127.0.0.1: it neither sends nor keeps our cookie.
    """
    made = Shop(service)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append(self.path)
            content = made.files.get(self.path, made.page())
            kind = mimetypes.guess_type(self.path)[0] or "text/html"
            self.send_response(200 if content else 404)
            for header, value in {"Content-Type": kind, **made.headers}.items():
                self.send_header(header, value)
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        made.origin = f"http://localhost:{server.server_port}"
        yield made
        server.shutdown()


@contextmanager
def open_shop_of_the_demo(database_url: str, folder: Path) -> Iterator[Shop]:
    """Serve a shop that may use the site of a demo, which runs on this database."""
    port = servers.free_port()
    with open_shop(f"http://127.0.0.1:{port}") as made:

        def let_in(database: Database) -> None:
            set_origins(database, "site_demo", [made.origin])

        with servers.demo(database_url, folder, port=port, furnish=let_in):
            yield made


@dataclass(frozen=True)
class SharedShop:
    """A shop that is not started anew for each test, and what its service runs on."""

    shop: Shop
    database_url: str
    keys_file: Path


@pytest.fixture(scope="session")
def shared_shop(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SharedShop]:
    """A page that may use the demo's site from another host."""
    folder = tmp_path_factory.mktemp("demo-shop")
    url = f"sqlite:///{shutil.copy(sqlite_template, folder / 'consent.db')}"
    with open_shop_of_the_demo(url, folder) as made:
        yield SharedShop(made, url, folder / "keys.json")


@pytest.fixture
def shop(shared_shop: SharedShop) -> Shop:
    """The same, to change as a test likes; not so its site and the notice of it."""
    shared_shop.shop.clear()
    return shared_shop.shop


@pytest.fixture
def own_shop(sqlite_url: str, tmp_path: Path) -> Iterator[Shop]:
    """The same with a service of the test's own, on ``sqlite_url``."""
    with open_shop_of_the_demo(sqlite_url, tmp_path) as made:
        yield made


@pytest.fixture(scope="session")
def furnished_shop(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    """A shop with a notice of its own. Visitors may say which country they are in."""
    folder = tmp_path_factory.mktemp("shop")
    url = f"sqlite:///{shutil.copy(sqlite_template, folder / 'consent.db')}"
    port = servers.free_port()
    with open_shop(f"http://127.0.0.1:{port}") as made:
        database = Database(url)
        tenant = create_tenant(database, "shop", "Shop", by=OPERATOR)
        origins = [made.origin, made.origin.replace("localhost", "a.b.localhost")]
        site = create_site(database, tenant, "Shop", origins, site_key="site_demo", by=OPERATOR)
        publish_notice(database, site, NOTICE, by=OPERATOR)
        database.close()
        keys_file = folder / "keys.json"
        ensure_keys(keys_file)
        with servers.service(
            url,
            keys_file,
            port=port,
            workers="1",
            trusted_proxies="127.0.0.1/32",
            country_header=COUNTRY_HEADER,
        ):
            yield made


@pytest.fixture
def gated(furnished_shop: Shop) -> Shop:
    """A shop to put tagged things into."""
    furnished_shop.clear()
    furnished_shop.furnish("")
    return furnished_shop


@pytest.fixture
def foreign_shop(shop: Shop) -> str:
    """The origin of a page that embeds the demo's script from another host."""
    shop.embed()
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
