"""The one place that builds things: settings → services → blueprints with their auth → WSGI."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import Blueprint, Flask, Response, jsonify, request

from consent_service import __version__, logs
from consent_service.access import routes as access_routes
from consent_service.access.account import Account
from consent_service.access.attempts import Attempts
from consent_service.access.auth import programs, public, signed_in
from consent_service.access.prove import Prove
from consent_service.access.providers import Providers
from consent_service.access.sign_in import SignIn
from consent_service.access.throttle import Throttle
from consent_service.audit import routes as audit_routes
from consent_service.config import Settings, load
from consent_service.consents import routes as consents_routes
from consent_service.consents.feed import ChangeFeed
from consent_service.consents.linking import Linking
from consent_service.consents.service import Consents
from consent_service.console import routes as console_routes
from consent_service.console.blueprints import language_of_user
from consent_service.console.shell import init_shell
from consent_service.db import Database, Scope
from consent_service.demo import routes as demo_routes
from consent_service.embed import routes as embed_routes
from consent_service.embed.preview import routes as preview_routes
from consent_service.errors import (
    NotFound,
    OperatorError,
    ServiceError,
    TooManyRequests,
    Unavailable,
    UnknownSite,
)
from consent_service.gate import routes as gate_routes
from consent_service.gate.edge import Edge
from consent_service.gate.service import Gate
from consent_service.gate.wsgi import GateLayer
from consent_service.keys import routes as keys_routes
from consent_service.ledger import routes as ledger_routes
from consent_service.ledger.directory import LedgerDirectory
from consent_service.ledger.heads import Heads
from consent_service.ledger.publishing import Publishing
from consent_service.limits import init_limits, limiter, retry_after
from consent_service.mail import Mailer
from consent_service.notices import routes as notices_routes
from consent_service.notices.service import NoticeDirectory
from consent_service.ops import routes as ops_routes
from consent_service.proxies import TrustedProxies
from consent_service.receipts import routes as receipts_routes
from consent_service.receipts import verify_page
from consent_service.receipts.service import Receipts
from consent_service.regions.service import Regions
from consent_service.reports import files as _files  # noqa: F401 - adds its views
from consent_service.reports import routes as reports_routes
from consent_service.reports import schedule_views as _schedule_views  # noqa: F401 - adds its views
from consent_service.reports.impressions import Impressions
from consent_service.signing import Keyring
from consent_service.tenants import account as _account  # noqa: F401 - adds its views
from consent_service.tenants import routes as tenants_routes
from consent_service.tenants.auth import anybody_of_site, members_of_tenant, pages_of_site
from consent_service.tenants.service import SiteDirectory
from consent_service.users import routes as users_routes
from consent_service.users.service import Inviting
from consent_service.web import MAX_BODY_BYTES, Api, as_service_error
from consent_service.web import Blueprint as DescribedBlueprint
from consent_service.wiring import provide

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

#: Seconds between two looks at what changed. A withdrawal holds everywhere within two seconds.
FOLLOW_SECONDS = 0.5

#: Every blueprint and who may call it. A test fails for a blueprint that is not here.
BLUEPRINTS: tuple[tuple[Blueprint, Callable[[], None]], ...] = (
    (access_routes.entry, public),
    (access_routes.account, signed_in),
    (consents_routes.visitors, pages_of_site),
    (consents_routes.records, public),
    (consents_routes.found, members_of_tenant),
    (embed_routes.widget, anybody_of_site),
    (embed_routes.banner, pages_of_site),
    (embed_routes.support, anybody_of_site),
    (embed_routes.shared, public),
    (embed_routes.installing, members_of_tenant),
    (preview_routes.preview, public),
    (gate_routes.gate, anybody_of_site),
    (gate_routes.edge, anybody_of_site),
    (gate_routes.statuses, anybody_of_site),
    (gate_routes.batch, programs),
    (receipts_routes.receipts, public),
    (receipts_routes.pages, public),
    (verify_page.verification, public),
    (reports_routes.reports, programs),
    (reports_routes.making, members_of_tenant),
    (reports_routes.mailed, public),
    (reports_routes.events, pages_of_site),
    (tenants_routes.tenants, members_of_tenant),
    (audit_routes.audit, members_of_tenant),
    (keys_routes.keys, members_of_tenant),
    (ledger_routes.ledgers, public),
    (notices_routes.notices, members_of_tenant),
    (ops_routes.ops, public),
    (console_routes.entrance, public),
    (console_routes.own, signed_in),
    (console_routes.workspace, members_of_tenant),
    (users_routes.users, members_of_tenant),
    (users_routes.offers, public),
)
DEMO_BLUEPRINTS = ((demo_routes.demo, public),)

_API_POLICY = "default-src 'none'; frame-ancestors 'none'"
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

log = logging.getLogger(__name__)


class Followers:
    """Keeps what this process holds in memory in step with the database and the key file."""

    def __init__(
        self,
        database: Database,
        keys: Keyring,
        *directories: SiteDirectory | NoticeDirectory | ChangeFeed | LedgerDirectory,
    ) -> None:
        """Follow for these; :meth:`refresh` once, or :meth:`start` to go on for ever."""
        self._database = database
        self._keys = keys
        self._directories = directories
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="followers", daemon=True)

    def refresh(self) -> None:
        """Take over all that changed.

        :raises Unavailable: when the database does not answer
        :raises OperatorError: when heads of ledgers cannot be read
        """
        for directory in self._directories:
            with self._database.reading(Scope.DIRECTORY) as connection:
                directory.refresh(connection)

    def start(self) -> None:
        """Follow in the background until :meth:`stop`."""
        self._thread.start()

    def stop(self) -> None:
        """Stop following; returns when it has stopped."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        reachable = True
        while not self._stop.wait(FOLLOW_SECONDS):
            try:
                self._keys.refresh()
            except OperatorError as error:
                log.error("keys stay as they were", extra={"reason": str(error)})  # noqa: TRY400
            try:
                self.refresh()
            except Unavailable:
                if reachable:
                    log.error("database cannot be reached; the gate will deny")  # noqa: TRY400
                reachable = False
            except OperatorError as error:
                log.error("ledgers are not looked at", extra={"reason": str(error)})  # noqa: TRY400
            except Exception:
                # The thread must outlive whatever this was; meanwhile the gate turns stale.
                log.exception("following failed; the gate will deny")
            else:
                if not reachable:
                    log.info("database is back")
                reachable = True


@dataclass(frozen=True)
class Built:
    """What :func:`build` made."""

    flask: Flask
    wsgi: WSGIApplication
    database: Database
    followers: Followers
    impressions: Impressions


def build(settings: Settings) -> Built:
    """Build the whole service. The database may be away; it is looked for from then on.

    :raises OperatorError: when keys, databases or the build are not as they must be
    """
    database = Database(settings.database_url)
    keys = Keyring.of(settings)
    sites, notices = SiteDirectory(), NoticeDirectory()
    feed = ChangeFeed(settings.token_seconds)
    regions = Regions(settings.geo_database)
    ledgers = LedgerDirectory(database, Heads(settings.heads_folder))
    consents = Consents(database, keys, notices, ledgers)
    linking = Linking(database, keys, notices, ledgers, consents)
    impressions = Impressions(database, notices)
    gate = Gate(
        sites=sites,
        notices=notices,
        regions=regions,
        consents=consents,
        feed=feed,
        token_seconds=settings.token_seconds,
    )
    # Ledgers last: what keeps them from being looked at must not keep the gate from hearing.
    followers = Followers(database, keys, sites, notices, feed, ledgers)
    try:
        database.check_migrated()
        database.check_subject()
        followers.refresh()
    except Unavailable:
        log.error("database cannot be reached; starting without it")  # noqa: TRY400
    except OperatorError:
        database.close()
        raise

    app = Flask("consent_service")
    app.config.update(
        MAX_CONTENT_LENGTH=MAX_BODY_BYTES,
        API_TITLE="Consent Service",
        API_VERSION=__version__,
        OPENAPI_VERSION="3.1.0",
        API_SPEC_OPTIONS={
            "info": {
                "description": "Records visitors' choices and answers whether a purpose may run.",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            }
        },
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]
    api = Api(app)
    provide(app, settings, database, keys, sites, notices, regions, consents, linking, gate, api)
    provide(app, impressions, feed, ledgers)
    provide(app, Receipts(database, keys, consents), Publishing(database, keys))
    provide(app, Edge(database, keys, consents, gate, settings.edge_token_seconds))
    logs.log_requests(app)
    init_limits(app, settings)
    attempts = Attempts(database, keys, Throttle(limiter.storage))
    sign_in = SignIn(database, keys, attempts)
    provide(
        app,
        sign_in,
        Prove(database, keys, attempts),
        Account(database, keys),
        Providers(database, keys, sign_in, loopback=settings.demo),
        Inviting(database, keys, Mailer(settings), sign_in),
    )
    init_shell(app, language_of_user)
    app.before_request(_refuse_null)
    app.register_error_handler(Exception, _render_error)
    app.after_request(_harden)
    _register(app, api, settings)

    wsgi: WSGIApplication = GateLayer(app, gate)
    if settings.trusted_proxies:
        wsgi = TrustedProxies(wsgi, settings.trusted_proxies, settings.country_header)
    return Built(app, wsgi, database, followers, impressions)


def application() -> WSGIApplication:
    """Return the service for a WSGI server, with settings from the environment.

    Call once a process, after a fork and not before one: threads follow the database, and write
    what was counted.
    """
    settings = load()
    logs.configure(settings.log_level)
    built = build(settings)
    built.followers.start()
    built.impressions.start()
    # What is here now stays for good: the collector need not look at it again with every request.
    gc.collect()
    gc.freeze()
    return built.wsgi


def _register(app: Flask, api: Api, settings: Settings) -> None:
    for blueprint, auth in BLUEPRINTS + (DEMO_BLUEPRINTS if settings.demo else ()):
        if isinstance(blueprint, DescribedBlueprint):
            api.register_blueprint(blueprint)
        else:
            app.register_blueprint(blueprint)
        app.before_request_funcs.setdefault(blueprint.name, []).insert(0, auth)


def _refuse_null() -> None:
    """Find nothing under a name with a null character, which PostgreSQL cannot even look for."""
    named = {name for name, value in (request.view_args or {}).items() if "\0" in str(value)}
    if named:
        raise UnknownSite if "site_key" in named else NotFound


def _render_error(error: Exception) -> Response:
    """Answer any error in the one shape; what nobody foresaw is logged, and tells nothing."""
    found = as_service_error(error)
    if type(found) is ServiceError:
        log.error("unforeseen error", exc_info=error)
    response = jsonify(found.body())
    response.status_code = found.status
    response.headers.update(found.headers)
    if isinstance(found, TooManyRequests):
        response.headers["Retry-After"] = str(retry_after())
    response.headers["Cache-Control"] = "no-store"
    return response


def _harden(response: Response) -> Response:
    """Set what every response must say, unless a view said it with more care."""
    page = response.mimetype == "text/html"
    headers = response.headers
    headers.setdefault("Content-Security-Policy", _PAGE_POLICY if page else _API_POLICY)
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("Referrer-Policy", "no-referrer")
    headers.setdefault("Cross-Origin-Resource-Policy", "same-origin" if page else "cross-origin")
    headers.setdefault("Cache-Control", "no-store")
    return response
