"""Identity providers of tenants: their set-up, and signing in at one.

A tenant's owner chooses the provider, and so decides whom it vouches for. Therefore it vouches
within that tenant alone: only for members whom the tenant has invited, and the session that
follows opens no other tenant (``access/auth.py``).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from consent_service.access import audit, events, oidc, one_time, users
from consent_service.access.actor import Actor
from consent_service.access.attempts import Caller
from consent_service.access.models import ProviderRow
from consent_service.access.oidc import Asked, Client
from consent_service.access.sign_in import SecondStep, SignedIn, SignIn
from consent_service.db import Database, Scope
from consent_service.errors import (
    NotInvited,
    ProviderNotBelieved,
    Stale,
    StepExpired,
    UnknownProvider,
    ValidationFailed,
)
from consent_service.signing import Keyring

_USE = "provider"

_LONGEST_SECRET = 500

_providers = ProviderRow.__table__.c


@dataclass(frozen=True)
class Provider:
    """The set-up of a tenant's provider; the secret is never shown again."""

    issuer: str
    client_id: str
    #: Whether a password opens nothing in this tenant.
    required: bool
    #: How often it was changed, and 1.
    revision: int

    def shown(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "issuer": self.issuer,
            "client_id": self.client_id,
            "required": self.required,
            "revision": self.revision,
        }


@dataclass(frozen=True)
class Wanted:
    """How a provider is to be set up."""

    issuer: str
    client_id: str
    #: None: as it is.
    client_secret: str | None = field(repr=False)
    required: bool
    #: The one that was seen; 0 when there was none.
    revision: int


@dataclass(frozen=True)
class Back:
    """What a browser brings back from a provider."""

    state: str = field(repr=False)
    code: str = field(repr=False)
    #: RFC 9207; providers that serve several issuers say which one answers.
    issuer: str | None


class Providers:
    """Sets providers up, and signs in at them."""

    def __init__(
        self, database: Database, keys: Keyring, sign_in: SignIn, *, loopback: bool
    ) -> None:
        """Work on this database.

        :param loopback: whether a provider may be on this machine, without TLS
        """
        self._database = database
        self._keys = keys
        self._sign_in = sign_in
        self._loopback = loopback

    def find(self, tenant_id: UUID) -> Provider:
        """Return a tenant's provider. Raises UnknownProvider when there is none."""
        with self._database.reading(tenant_id) as connection:
            return _provider(_row(connection, tenant_id))

    def save(self, tenant_id: UUID, wanted: Wanted, *, proven: bool, by: Actor) -> Provider:
        """Set a tenant's provider up, or change it.

        :param proven: whether who does it has signed in at this provider: else requiring it could
            shut everybody out
        :raises ValidationFailed: when something is not right
        :raises Stale: when somebody else has changed it meanwhile
        """
        try:
            with self._database.transaction(tenant_id) as connection:
                row = _row_or_none(connection, tenant_id, lock=True)
                self._check(wanted, row, proven=proven)
                before = _provider(row) if row else None
                if wanted.revision != (before.revision if before else 0):
                    raise Stale(before.shown() if before else {}, _sent(wanted))
                after = self._write(connection, tenant_id, wanted, row)
                _note(connection, tenant_id, by, wanted, before, after)
        except IntegrityError:
            # Two set it up for the first time at once.
            raise Stale(self.find(tenant_id).shown(), _sent(wanted)) from None
        return after

    def check(self, tenant_id: UUID) -> dict[str, Any]:
        """Return what a tenant's provider says of itself, as far as it is used here.

        :raises UnknownProvider: when there is none
        :raises ProviderUnavailable: when it does not answer
        :raises ProviderNotBelieved: when it is not set up as it must be
        """
        with self._database.reading(tenant_id) as connection:
            client = self._client(_row(connection, tenant_id))
        found = oidc.discover(client)
        return {name: found[name] for name in ("issuer", "authorization_endpoint")}

    def begin(self, tenant_id: UUID, redirect_uri: str, next_path: str) -> tuple[str, str]:
        """Return where a browser goes to sign in, and the state that it must come back with.

        :raises UnknownProvider: when the tenant has none
        :raises ProviderUnavailable: when it does not answer
        :raises ProviderNotBelieved: when it is not set up as it must be
        """
        with self._database.reading(Scope.ACCOUNTS) as connection:
            client = self._client(_row(connection, tenant_id))
        found = oidc.discover(client)
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        asked = Asked(state, nonce, verifier, redirect_uri)
        content = {
            "tenant_id": str(tenant_id),
            "issuer": client.issuer,
            "nonce": asked.nonce,
            "verifier": asked.verifier,
            "redirect_uri": redirect_uri,
            "next": next_path,
        }
        with self._database.transaction(Scope.ACCOUNTS) as connection:
            one_time.leave(connection, self._keys, _USE, content=content, value=asked.state)
        return oidc.authorization_url(client, found, asked), asked.state

    def finish(self, back: Back, by: Caller) -> tuple[SignedIn | SecondStep, str]:
        """Sign in whom the provider vouches for; return also where the user wanted to go.

        :raises StepExpired: when it began too long ago, or came back before
        :raises ProviderUnavailable: when the provider does not answer
        :raises ProviderNotBelieved: when its answer proves nothing
        :raises NotInvited: when the user is no member of the tenant
        """
        with self._database.transaction(Scope.ACCOUNTS) as connection:
            left = one_time.take(connection, self._keys, _USE, back.state)
            if left is None:
                raise StepExpired
            tenant_id = UUID(left.content["tenant_id"])
            client = self._client(_row(connection, tenant_id))
        if client.issuer != left.content["issuer"] or back.issuer not in {None, client.issuer}:
            raise ProviderNotBelieved
        asked = Asked(
            back.state,
            left.content["nonce"],
            left.content["verifier"],
            left.content["redirect_uri"],
        )
        vouched = oidc.redeem(client, oidc.discover(client), back.code, asked)
        with self._database.reading(Scope.ACCOUNTS) as connection:
            user = users.find_by_email(connection, self._keys, vouched.email)
            if user is None or tenant_id not in events.memberships_of(connection, user.id):
                raise NotInvited
        done = self._sign_in.vouched_for(
            user.id, tenant_id, by, with_second_factor=vouched.second_factor
        )
        return done, left.content["next"]

    def _client(self, row: Row[tuple[object, ...]]) -> Client:
        secret = self._keys.decrypt(row.client_secret, _context(row.tenant_id))
        return Client(row.issuer, row.client_id, secret, self._loopback)

    def _check(self, wanted: Wanted, row: Row[tuple[object, ...]] | None, *, proven: bool) -> None:
        problems = {}
        same = row is not None and row.issuer == wanted.issuer
        if not oidc.is_address(wanted.issuer, loopback=self._loopback) or "?" in wanted.issuer:
            problems["issuer"] = ["Write it as the provider does, like https://login.example.com."]
        if wanted.client_secret is None and not same:
            # Or whoever comes by an owner's session could have the secret sent to themselves.
            problems["client_secret"] = ["Give the secret that this provider has given out."]
        if wanted.required and not (proven and same):
            problems["required"] = [
                "Sign in at this provider yourself first, so that you do not shut yourself out."
            ]
        if problems:
            raise ValidationFailed(fields=problems)

    def _write(
        self,
        connection: Connection,
        tenant_id: UUID,
        wanted: Wanted,
        row: Row[tuple[object, ...]] | None,
    ) -> Provider:
        after = Provider(wanted.issuer, wanted.client_id, wanted.required, wanted.revision + 1)
        values = after.shown()
        if wanted.client_secret is not None:
            values["client_secret"] = self._keys.encrypt(wanted.client_secret, _context(tenant_id))
        if row is None:
            connection.execute(insert(ProviderRow).values(tenant_id=tenant_id, **values))
        else:
            connection.execute(
                update(ProviderRow).where(_providers.tenant_id == tenant_id).values(**values)
            )
        return after


def remove(database: Database, tenant_id: UUID, *, by: Actor) -> None:
    """Have a tenant's users sign in with their own passwords and passkeys again.

    :raises UnknownProvider: when there is none
    """
    with database.transaction(tenant_id) as connection:
        before = _provider(_row(connection, tenant_id))
        connection.execute(delete(ProviderRow).where(_providers.tenant_id == tenant_id))
        audit.write(
            connection,
            tenant_id,
            by,
            "identity_provider.removed",
            "identity_provider",
            str(tenant_id),
            before=before.shown(),
        )


def _row_or_none(
    connection: Connection, tenant_id: UUID, *, lock: bool = False
) -> Row[tuple[object, ...]] | None:
    query = select(ProviderRow.__table__).where(_providers.tenant_id == tenant_id)
    return connection.execute(query.with_for_update() if lock else query).one_or_none()


def _row(connection: Connection, tenant_id: UUID) -> Row[tuple[object, ...]]:
    row = _row_or_none(connection, tenant_id)
    if row is None:
        raise UnknownProvider
    return row


def _provider(row: Row[tuple[object, ...]]) -> Provider:
    return Provider(row.issuer, row.client_id, row.required, row.revision)


def _sent(wanted: Wanted) -> dict[str, Any]:
    return {
        "issuer": wanted.issuer,
        "client_id": wanted.client_id,
        "required": wanted.required,
        "revision": wanted.revision,
    }


def _note(  # noqa: PLR0913 - what an event is made of
    connection: Connection,
    tenant_id: UUID,
    by: Actor,
    wanted: Wanted,
    before: Provider | None,
    after: Provider,
) -> None:
    """Tell the audit log what changed, and whether the secret did, but not the secret."""
    said = after.shown() | {"client_secret_replaced": wanted.client_secret is not None}
    action = "identity_provider.updated" if before else "identity_provider.created"
    audit.write(
        connection,
        tenant_id,
        by,
        action,
        "identity_provider",
        str(tenant_id),
        before=before.shown() if before else None,
        after=said,
    )


def _context(tenant_id: UUID) -> str:
    return f"identity_providers.client_secret {tenant_id}"
