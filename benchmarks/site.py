"""The site that benchmarks ask about: the demo's, with its notice, in a database of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import make_url

from benchmarks.processes import Server, free_port, python, service_settings, serving
from consent_service import db, signing
from consent_service.access.actor import OPERATOR
from consent_service.demo.seed import SITE_KEY, seed
from consent_service.notices.service import NoticeDirectory
from consent_service.tenants.service import Site, find_site, update_site

WORKERS = 2


@dataclass(frozen=True)
class Prepared:
    """A database with the site in it, its keys, and the port that its pages are let in from."""

    port: int
    database_url: str
    keys_file: Path
    site: Site
    optional: list[str]
    essential: list[str]
    notice_version: int

    @property
    def origin(self) -> str:
        """The origin of the site's pages."""
        return f"http://127.0.0.1:{self.port}"


def prepare(database_url: str, folder: Path, *, owner_url: str | None = None) -> Prepared:
    """Make keys, tables, tenant, site and notice, with the service's own code.

    :param owner_url: on PostgreSQL, the database as another user, who is to own the tables
    """
    keys_file, port = folder / "keys.json", free_port()
    signing.ensure_keys(keys_file)
    db.upgrade(owner_url or database_url, served_by=make_url(database_url).username)
    database = db.Database(database_url)
    try:
        seed(database, port)
        site = find_site(database, SITE_KEY)
        notices = NoticeDirectory()
        with database.reading(db.Scope.DIRECTORY) as connection:
            notices.refresh(connection)
    finally:
        database.close()
    notice = notices.in_force(site)
    return Prepared(
        port=port,
        database_url=database_url,
        keys_file=keys_file,
        site=site,
        optional=notice.optional,
        essential=[key for key in notice.categories if key not in notice.optional],
        notice_version=notice.version,
    )


def let_in(prepared: Prepared, origin: str) -> None:
    """Let in the site's pages from this origin instead of the service's own."""
    database = db.Database(prepared.database_url)
    try:
        site = find_site(database, prepared.site.site_key)
        changes = {"allowed_origins": [origin]}
        update_site(database, site, changes, revision=site.revision, by=OPERATOR)
    finally:
        database.close()


@contextmanager
def service(prepared: Prepared, folder: Path) -> Iterator[Server]:
    """Run ``consent-service serve`` until the block ends."""
    settings = service_settings(prepared.port, prepared.database_url, prepared.keys_file, WORKERS)
    command = python("consent_service.cli", "serve")
    with serving(command, prepared.port, folder, environ=settings, ready="/readyz") as server:
        yield server


@contextmanager
def other(app: str, folder: Path, environ: dict[str, str], *, factory: bool) -> Iterator[Server]:
    """Run another WSGI application under the service's server and its settings."""
    port = free_port()
    command = python("benchmarks.serve_app", app, *(["factory"] if factory else []))
    settings = environ | {"CONSENT_PORT": str(port), "CONSENT_WORKERS": str(WORKERS)}
    with serving(command, port, folder, environ=settings) as server:
        yield server
