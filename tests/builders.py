"""Build what a test needs, with a default for everything it does not care about."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from joserfc import jwt
from joserfc.jwk import OctKey
from sqlalchemy import Select, Uuid, column, literal_column, select, table
from werkzeug.test import Client, TestResponse

from consent_service import config, wiring
from consent_service.access.actor import OPERATOR
from consent_service.app import Built, build
from consent_service.db import Database, Scope
from consent_service.errors import UnknownSite
from consent_service.ledger.directory import LedgerDirectory
from consent_service.ledger.sequencer import Sequencer
from consent_service.notices.service import NoticeDirectory, publish_notice
from consent_service.signing import CompactSigner, Keyring, ensure_keys
from consent_service.tenants.link_keys import LinkKey, add_link_key
from consent_service.tenants.service import (
    Site,
    SiteDirectory,
    Tenant,
    create_site,
    create_tenant,
    find_site,
    update_site,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from consent_service.notices.configuration import Notice

Part = TypeVar("Part")

ORIGIN = "https://app.example.com"
SITE_KEY = "site_test"

#: Slug and name of the tenant of every service.
TENANT = ("example", "Example Ltd")

#: The header in which a proxy at 127.0.0.1 states the country, see the fixture ``worldwide``.
COUNTRY_HEADER = "X-Country"

#: Tokens that nobody signed, made from one that we did.
FORGERIES: dict[str, Callable[[str], str]] = {
    "other choices": lambda token: token.replace("preferences:0", "preferences:1"),
    "a later expiry": lambda token: token.replace("~0~", "~9~", 1),
    "another site": lambda token: token.replace(SITE_KEY, "site_other"),
    "another signature": lambda token: token[:-5] + ("A" if token[-5] != "A" else "B") + token[-4:],
    "no signature": lambda token: token.rpartition(".")[0],
    "an empty signature": lambda token: token.rpartition(".")[0] + ".",
    "half": lambda token: token[: len(token) // 2],
    "another key": lambda token: CompactSigner([bytes(32)]).sign(token.rpartition(".")[0]).decode(),
    "not ASCII": lambda token: f"\xff{token}",
    "not a token": lambda _: "~.~",
}


def make_notice(**changes: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return a complete notice in English and Swahili; ``changes`` replace its members.

    Purposes: ``session`` (essential), ``preferences``, ``analytics`` (service ``pageviews`` with a
    loader).
    """
    notice: dict[str, Any] = {
        "controller": {"name": "Example Ltd"},
        "dpo": {
            "name": "Data Protection Officer",
            "email": "dpo@example.com",
            "address": "Dar es Salaam, Tanzania",
        },
        "policy": {"version": "2026-03", "url": "https://example.com/privacy", "material": True},
        "languages": ["en", "sw"],
        "purposes": [
            make_purpose("session", "essential"),
            make_purpose("preferences", "preferences"),
            make_purpose(
                "analytics",
                "analytics",
                services=[
                    {
                        "key": "pageviews",
                        "name": "Page views",
                        "provider": "Example Ltd",
                        "loader": "https://app.example.com/analytics.js",
                        "cookies": [
                            {
                                "name": "pv_*",
                                "party": "first",
                                "duration": {"en": "13 months", "sw": "miezi 13"},
                                "description": {"en": "Counts visits.", "sw": "Huhesabu."},
                            }
                        ],
                    }
                ],
            ),
        ],
    }
    return {**notice, **copy.deepcopy(changes)}


def make_purpose(key: str, category: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return a purpose with texts in English and Swahili."""
    texts = {
        "en": {"name": f"{key} in English", "description": f"What {key} is for."},
        "sw": {"name": f"{key} kwa Kiswahili", "description": f"Kazi ya {key}."},
    }
    return {"key": key, "category": category, "texts": texts, **changes}


def make_user_token(
    key: LinkKey,
    user: str = "user-1",
    *,
    site_key: str = SITE_KEY,
    header: dict[str, Any] | None = None,
    **claims: Any,  # noqa: ANN401
) -> str:
    """Return what a site's server signs; ``header`` and ``claims`` replace members, None none."""
    now = int(time.time())
    said = {"aud": site_key, "sub": user, "iat": now, "exp": now + 300, **claims}
    head = {"alg": "HS256", "typ": "consent-link+jwt", "kid": str(key.number), **(header or {})}
    assert key.secret is not None
    return jwt.encode(
        {name: value for name, value in head.items() if value is not None},
        {name: value for name, value in said.items() if value is not None},
        OctKey.import_key(key.secret),
        algorithms=["HS256", "HS384", "HS512"],
    )


@dataclass(repr=False)
class Service:
    """A whole service on a database of its own, with one tenant, one site and one notice."""

    built: Built
    tenant: Tenant
    site: Site
    notice: Notice
    settings: config.Settings
    #: Whom the next request comes from; no country has this address (RFC 5737).
    address: str = "192.0.2.1"
    client: Client = field(init=False)

    def __post_init__(self) -> None:
        """Talk to it without a cookie jar: each test says what the visitor holds."""
        self.client = Client(self._called, use_cookies=False)

    def _called(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["REMOTE_ADDR"] = self.address
        return self.built.wsgi(environ, start_response)

    @property
    def on_postgresql(self) -> bool:
        """Whether it stands on PostgreSQL."""
        return self.settings.database_url.startswith("postgresql")

    def use(self, kind: type[Part]) -> Part:
        """Return the part of the service that is of this type."""
        with self.built.flask.app_context():
            return wiring.use(kind)

    @property
    def sequencer(self) -> Sequencer:
        """What adds to the ledgers, as its worker has it."""
        return Sequencer(self.built.database, self.use(Keyring), self.use(LedgerDirectory))

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Return all rows of a table, of every tenant, as the driver gives them."""
        query: Select[Any] = select(literal_column("*")).select_from(table(name))
        database = self.built.database
        found: list[dict[str, Any]] = []
        scopes: list[UUID | Scope] = [*tenant_ids(database), Scope.ACCOUNTS]
        for scope in scopes:
            with database.reading(scope) as connection:
                rows = connection.execute(query).mappings()
                found += [dict(row) for row in rows if dict(row) not in found]
        return found

    def publish(self, site: Site | None = None, **changes: Any) -> Notice:  # noqa: ANN401
        """Publish the next version of a notice, and have this process know it."""
        notice = publish_notice(
            self.built.database, site or self.site, make_notice(**changes), by=OPERATOR
        )
        self.built.followers.refresh()
        return notice

    def add_site(self, key: str, tenant: Tenant | None = None, **options: Any) -> Site:  # noqa: ANN401
        """Make another site with a notice, of the same tenant unless another is given."""
        origins = options.pop("origins", [ORIGIN])
        site = create_site(
            self.built.database,
            tenant or self.tenant,
            key,
            origins,
            site_key=key,
            by=OPERATOR,
            **options,
        )
        self.publish(site)
        return site

    def choose(
        self,
        choices: Any = None,  # noqa: ANN401
        *,
        token: str | None = None,
        site_key: str = SITE_KEY,
        headers: dict[str, str] | None = None,
        data: bytes | None = None,
        **body: Any,  # noqa: ANN401
    ) -> TestResponse:
        """Send a decision; ``body`` replaces members, ``data`` the whole body."""
        given = {"analytics": True, "preferences": False} if choices is None else choices
        sent = {
            "choices": given,
            "action": "save",
            "notice_version": self.notice.version,
            "language": "en",
            "surface": "banner",
            **body,
        }
        all_headers = {"Origin": ORIGIN, **({"X-Consent-Token": token} if token else {})}
        all_headers |= headers or {}
        address = f"/v1/sites/{site_key}/consents"
        if data is not None:
            all_headers.setdefault("Content-Type", "application/json")
            return self.client.post(address, data=data, headers=all_headers)
        return self.client.post(address, json=sent, headers=all_headers)

    def token(self, *, analytics: bool = True, token: str | None = None) -> str:
        """Make a choice and return the token that the visitor holds after it."""
        choices = {"analytics": analytics, "preferences": False}
        response = self.choose(choices, token=token)
        assert response.status_code == 201, response.get_data(as_text=True)
        return str(response.get_json()["token"])

    def add_link_key(self, site: Site | None = None) -> LinkKey:
        """Make a link key of the site."""
        return add_link_key(self.built.database, self.use(Keyring), site or self.site, by=OPERATOR)

    @cached_property
    def link_key(self) -> LinkKey:
        """The site's first link key."""
        return self.add_link_key()

    def link(
        self,
        user: str = "user-1",
        *,
        token: str | None = None,
        user_token: str | None = None,
        site_key: str = SITE_KEY,
        headers: dict[str, str] | None = None,
    ) -> TestResponse:
        """Say that a user is signed in on the device that holds the token."""
        held = {"Origin": ORIGIN, **({"X-Consent-Token": token} if token else {})}
        return self.client.post(
            f"/v1/sites/{site_key}/consents/link",
            json={"user_token": user_token or make_user_token(self.link_key, user)},
            headers=held | (headers or {}),
        )

    def ask(
        self,
        *purposes: str,
        token: str | None = None,
        site_key: str = SITE_KEY,
        headers: dict[str, str] | None = None,
        entry: str = "",
    ) -> TestResponse:
        """Ask the gate about purposes (``analytics`` if none are named); entry: ``/auth`` etc."""
        query = {"site": site_key, "purpose": list(purposes) or ["analytics"]}
        held = {"X-Consent-Token": token} if token else {}
        return self.client.get(
            f"/v1/gate{entry}", query_string=query, headers={**held, **(headers or {})}
        )

    def reason(self, *, token: str | None = None, headers: dict[str, str] | None = None) -> str:
        """Return the gate's reason for analytics."""
        return str(
            self.ask(token=token, headers=headers).get_json()["decisions"]["analytics"]["reason"]
        )


def tenant_ids(database: Database) -> list[UUID]:
    """Return the ids of all tenants, oldest first."""
    with database.reading(Scope.DIRECTORY) as connection:
        query = select(column("id", Uuid)).select_from(table("tenants")).order_by(column("id"))
        return list(connection.execute(query).scalars())


def set_origins(database: Database, site_key: str, origins: list[str]) -> None:
    """Have a site used by pages of these origins, and no others."""
    site = find_site(database, site_key)
    changes = {"allowed_origins": origins}
    update_site(database, site, changes, revision=site.revision, by=OPERATOR)


def make_service(database_url: str, folder: Path, **settings: str) -> Service:
    """Build a service on a migrated database, which is empty or has the site and notice already.

    Nothing follows in the background: a test that wants another process's change to be known
    calls ``built.followers.refresh()``.
    """
    keys_file = folder / "keys.json"
    ensure_keys(keys_file)
    environ = {
        "CONSENT_DATABASE_URL": database_url,
        "CONSENT_KEYS_FILE": str(keys_file),
        "CONSENT_HEADS_FOLDER": str(folder / "heads"),
        **{config.variable(name): text for name, text in settings.items()},
    }
    loaded = config.load(environ)
    built = build(loaded)
    with built.flask.app_context():
        sites, notices = wiring.use(SiteDirectory), wiring.use(NoticeDirectory)
    try:
        sites.find(SITE_KEY)
    except UnknownSite:
        furnish(built.database)
        built.followers.refresh()
    site = sites.find(SITE_KEY)
    tenant = Tenant(site.tenant_id, *TENANT)
    return Service(built, tenant, site, notices.in_force(site), loaded)


def furnish(database: Database) -> None:
    """Make a tenant, a site and a notice in a migrated, empty database."""
    tenant = create_tenant(database, *TENANT, by=OPERATOR)
    site = create_site(database, tenant, "App", [ORIGIN], site_key=SITE_KEY, by=OPERATOR)
    publish_notice(database, site, make_notice(), by=OPERATOR)
