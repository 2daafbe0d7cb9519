"""Users of a tenant who are signed in, and what they call with."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import insert, update
from werkzeug.test import Client, TestResponse

from consent_service import clock
from consent_service.access import sessions, users
from consent_service.access.actor import OPERATOR, Actor
from consent_service.access.auth import PLAIN_COOKIE, csrf_token
from consent_service.access.keys import create_key
from consent_service.access.models import MembershipRow, SessionRow, UserRow
from consent_service.access.permissions import permissions_of
from consent_service.access.sessions import Session, find_session
from consent_service.db import Database, Scope
from consent_service.signing import Keyring
from consent_service.tenants.service import Tenant
from tests.builders import Service

#: Where members act from, and with what.
NETWORK = "192.0.2.0/24"
CLIENT = "other other"


@dataclass
class Member:
    """A user of a tenant, signed in with a client of their own.

    Calls send the session's cookie and, like the service's own pages, the CSRF token.
    """

    service: Service
    tenant: Tenant
    user_id: UUID
    email: str
    name: str
    role: str
    #: What is in the session's cookie. None when there is no session.
    token: str | None
    client: Client = field(init=False)

    def __post_init__(self) -> None:
        """Put the cookie into the client."""
        self.client = Client(self.service.built.wsgi)
        if self.token:
            self.client.set_cookie(PLAIN_COOKIE, self.token)

    @property
    def session(self) -> Session:
        """The session that the client holds the cookie of."""
        cookie = self.client.get_cookie(PLAIN_COOKIE)
        found = find_session(self.service.use(Database), cookie.value) if cookie else None
        assert found is not None, "this member is not signed in"
        return found

    @property
    def csrf_token(self) -> str:
        """What the service's pages send along with a write."""
        with self.service.built.flask.app_context():
            return csrf_token(self.session)

    @property
    def actor(self) -> Actor:
        """The member, for services that are called directly."""
        return Actor("user", self.user_id, permissions_of(self.role), NETWORK, CLIENT)

    def get(self, address: str, **options: Any) -> TestResponse:  # noqa: ANN401
        """Read."""
        return self._open("GET", address, options)

    def post(self, address: str, **options: Any) -> TestResponse:  # noqa: ANN401
        """Write; ``json=`` for the API, ``data=`` for a page's form."""
        return self._write("POST", address, options)

    def put(self, address: str, **options: Any) -> TestResponse:  # noqa: ANN401
        """Replace."""
        return self._write("PUT", address, options)

    def patch(self, address: str, **options: Any) -> TestResponse:  # noqa: ANN401
        """Change."""
        return self._write("PATCH", address, options)

    def delete(self, address: str, **options: Any) -> TestResponse:  # noqa: ANN401
        """Remove."""
        return self._write("DELETE", address, options)

    def submit(self, address: str, **form: Any) -> TestResponse:  # noqa: ANN401
        """Send a page's form, as a browser does without scripts."""
        return self._open("POST", address, {"data": {"csrf_token": self.csrf_token, **form}})

    def prove_long_ago(self) -> None:
        """Have the member's last proof to be there be an hour old."""
        with self.service.use(Database).transaction(Scope.ACCOUNTS) as connection:
            connection.execute(
                update(SessionRow)
                .where(SessionRow.user_id == self.user_id)
                .values(authenticated_at=clock.now() - timedelta(hours=1))
            )

    def set_password_hash(self, password_hash: str | None) -> None:
        """Replace what is stored of the member's password."""
        with self.service.use(Database).transaction(Scope.ACCOUNTS) as connection:
            connection.execute(
                update(UserRow)
                .where(UserRow.id == self.user_id)
                .values(password_hash=password_hash)
            )

    def _write(self, method: str, address: str, options: dict[str, Any]) -> TestResponse:
        headers = {"X-CSRF-Token": self.csrf_token, **(options.pop("headers", None) or {})}
        return self._open(method, address, {**options, "headers": headers})

    def _open(self, method: str, address: str, options: dict[str, Any]) -> TestResponse:
        base = {"REMOTE_ADDR": self.service.address}
        return self.client.open(address, method=method, environ_base=base, **options)


def add_member(  # noqa: PLR0913 - each has a default
    service: Service,
    role: str = "owner",
    tenant: Tenant | None = None,
    *,
    email: str | None = None,
    name: str = "Amina Juma",
    password_hash: str | None = None,
) -> Member:
    """Make a user of a tenant (the service's own unless another is given), who is not signed in."""
    tenant = tenant or service.tenant
    email = email or f"{role}-{secrets.token_hex(4)}@example.com"
    with service.use(Database).transaction(Scope.ACCOUNTS) as connection:
        user_id = users.add(
            connection, service.use(Keyring), email, name, password_hash=password_hash
        )
    member = Member(service, tenant, user_id, email, name, role, None)
    join(member, tenant, role)
    return member


def api_key(service: Service, *scopes: str, tenant: Tenant | None = None) -> dict[str, str]:
    """Make an API key; return what is sent along."""
    tenant_id = (tenant or service.tenant).id
    made = create_key(service.built.database, tenant_id, "Program", scopes, by=OPERATOR)
    return {"Authorization": f"Bearer {made.secret}"}


def join(member: Member, tenant: Tenant, role: str) -> None:
    """Make a user a member of a tenant, too."""
    with member.service.use(Database).transaction(Scope.ACCOUNTS) as connection:
        connection.execute(
            insert(MembershipRow).values(
                tenant_id=tenant.id, user_id=member.user_id, role=role, created_at=clock.now()
            )
        )


def sign_in(  # noqa: PLR0913 - each has a default
    service: Service,
    role: str = "owner",
    tenant: Tenant | None = None,
    second_factor: str | None = "totp",
    *,
    email: str | None = None,
    name: str = "Amina Juma",
    password_hash: str | None = None,
) -> Member:
    """Make a user of a tenant who has just signed in."""
    member = add_member(service, role, tenant, email=email, name=name, password_hash=password_hash)
    with service.use(Database).transaction(Scope.ACCOUNTS) as connection:
        token = sessions.start(connection, member.actor, second_factor=second_factor)
    member.token = token
    member.client.set_cookie(PLAIN_COOKIE, token)
    return member
