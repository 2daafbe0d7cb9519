"""The npm package, installed from its tarball as a site would, with the examples built on it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Page

from consent_service.db import Database
from consent_service.demo.seed import SITE_KEY
from tests import servers
from tests.builders import set_origins
from tests.package.site import INDEX, ROOT, TRUSTED_TYPES, WIDGET, Customer, Shop, npm


@pytest.fixture(scope="session")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What would be published. Built from a copy, as building leaves traces."""
    source = tmp_path_factory.mktemp("source")
    shutil.copy(ROOT / "LICENSE", source)
    ignored = shutil.ignore_patterns("node_modules", "dist", "LICENSE")
    shutil.copytree(WIDGET, source / "widget", ignore=ignored)
    (source / "widget/node_modules").symlink_to(WIDGET / "node_modules")
    npm("run", "build:package", "--silent", "--prefix", source / "widget")
    npm("pack", source / "widget", "--silent", "--pack-destination", source)
    (packed,) = source.glob("*.tgz")
    return packed


@pytest.fixture(scope="session")
def project(tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that installed the package, and the frameworks beside it."""
    folder = tmp_path_factory.mktemp("project")
    scripts = {
        "build": f"node {WIDGET}/examples/build.mjs {folder}",
        "check": f"node {WIDGET}/node_modules/typescript/bin/tsc",
        "esbuild": f"{WIDGET}/node_modules/.bin/esbuild",
        "server": "node server.mjs",
    }
    manifest = {"type": "module", "private": True, "scripts": scripts}
    (folder / "package.json").write_text(json.dumps(manifest))
    npm("install", "--offline", "--no-audit", "--no-fund", "--silent", "--prefix", folder, tarball)
    (folder / "node_modules/@types").mkdir()
    for name in ("react", "react-dom", "svelte", "vue", "@types/react", "@types/react-dom"):
        (folder / "node_modules" / name).symlink_to(WIDGET / "node_modules" / name)
    return folder


class _Pages(SimpleHTTPRequestHandler):
    """Files, under a policy that makes no exception."""

    def __init__(self, *connection: Any, service: str, directory: Path) -> None:  # noqa: ANN401
        """Serve a folder whose pages embed this service."""
        self._service = service
        super().__init__(*connection, directory=directory)

    def end_headers(self) -> None:
        """Add the policy."""
        policy = (
            f"default-src 'none'; script-src 'self' {self._service}; style-src 'self'; "
            f"connect-src {self._service}; frame-src 'self'"
        )
        if self.path.endswith(f"?{TRUSTED_TYPES}"):
            policy += "; require-trusted-types-for 'script'; trusted-types consent-service"
        self.send_header("Content-Security-Policy", policy)
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _write_pages(project: Path, service: str) -> None:
    """Put the examples into the project, and pages that do no more than load the service."""
    for example in WIDGET.glob("examples/*/*"):
        copy = project / example.relative_to(WIDGET / "examples")
        copy.parent.mkdir(exist_ok=True)
        text = example.read_text("utf-8").replace("https://consent.example.com", service)
        copy.write_text(text.replace("SITE_KEY", SITE_KEY), "utf-8")
        (copy.parent / "map.html").write_text("<!doctype html><p>The map.</p>")
    npm("run", "build", "--silent", "--prefix", project)

    options = json.dumps({"service": service, "site": SITE_KEY})
    script = f'import {{ load }} from "{INDEX}"; window.loaded = load({options});'
    (project / "loads.js").write_text(script)
    loads = '<!doctype html><body><script type="module" src="loads.js"></script>'
    tag = f'<script src="{service}/embed/{SITE_KEY}.js" async></script>'
    (project / "blank.html").write_text("<!doctype html><body>")
    (project / "loads.html").write_text(loads)
    (project / "tagged.html").write_text(loads + tag)


@pytest.fixture(scope="session")
def shop(
    project: Path, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    """The examples on one host, and the service they embed on another."""
    folder = tmp_path_factory.mktemp("service")
    url = f"sqlite:///{shutil.copy(sqlite_template, folder / 'consent.db')}"
    port = servers.free_port()
    service = f"http://127.0.0.1:{port}"
    _write_pages(project, service)
    pages = partial(_Pages, service=service, directory=project)
    with ThreadingHTTPServer(("127.0.0.1", 0), pages) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        # To a browser localhost is another site than 127.0.0.1.
        origin = f"http://localhost:{server.server_port}"

        def let_in(database: Database) -> None:
            set_origins(database, SITE_KEY, [origin])

        with servers.demo(url, folder, port=port, furnish=let_in):
            yield Shop(origin, service)
        server.shutdown()


@pytest.fixture
def customer(page: Page, shop: Shop) -> Customer:
    """A visitor of the shop. Any error on the page fails the test."""
    return Customer(page, shop.origin)
