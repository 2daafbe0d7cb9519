"""Make a device's visitor the one that a signed-in user is on all devices.

What callers may rely on:

- A user is one visitor of a site and a visitor at most one user, however many devices link at once.
- Nothing is granted by linking that was not granted before, and nothing prolonged (``merge.py``).
- The user's id is not stored: a keyed hash of it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, insert, select
from sqlalchemy.exc import IntegrityError

from consent_service import clock
from consent_service.consents import store, user_token
from consent_service.consents.merge import Choice, merge
from consent_service.consents.models import LinkedUserRow, RecordRow
from consent_service.consents.record import (
    Circumstances,
    Identity,
    linked_document,
    signal_forces_off,
)
from consent_service.consents.service import Consents
from consent_service.consents.tokens import Claims
from consent_service.db import Database
from consent_service.errors import InvalidUserToken
from consent_service.ledger.directory import LedgerDirectory
from consent_service.notices.service import NoticeDirectory
from consent_service.regions.rules import Rule
from consent_service.signing import Keyring
from consent_service.tenants.link_keys import link_keys
from consent_service.tenants.service import Site

_linked = LinkedUserRow.__table__.c
_records = RecordRow.__table__.c


@dataclass(frozen=True)
class Linked:
    """Where the user stands; nothing if the user has made no choice that is known."""

    record: Mapping[str, Any] | None
    claims: Claims | None
    token: str | None
    #: Whether another record stands on this device now than the token that it presented told of.
    changed: bool


class Linking:
    """Users of a site, and the visitors they are."""

    def __init__(
        self,
        database: Database,
        keys: Keyring,
        notices: NoticeDirectory,
        ledgers: LedgerDirectory,
        consents: Consents,
    ) -> None:
        """Take what is needed."""
        self._database = database
        self._keys = keys
        self._notices = notices
        self._ledgers = ledgers
        self._consents = consents

    def link(
        self,
        site: Site,
        signed_in: str,
        *,
        token: str | None,
        circumstances: Circumstances,
        rule: Rule,
    ) -> Linked:
        """Make the visitor who holds the token the signed-in user; return where the user stands.

        A visitor who is another user stays that: people share devices.

        :param signed_in: the token by which the site's server says who the user is
        :raises InvalidUserToken: when it does not say so for this site and time
        :raises LedgerSuspended: when nothing may be stored for the tenant
        :raises Unavailable: when it cannot be done now; nothing was
        """
        self._ledgers.check_writable(site.tenant_id)
        material_version = self._notices.in_force(site).material_version
        user_hash = self._user_hash(site, signed_in)
        held = self._consents.read_token(site, token)

        def work(connection: Connection) -> Linked:
            user, other = _unite(connection, site, user_hash, held)
            if user is None:
                return Linked(record=None, claims=None, token=None, changed=held is not None)
            claims = self._settle(
                connection, site, user, other, material_version, circumstances, rule
            )
            return Linked(
                record=_record(connection, site, UUID(claims.record_id)),
                claims=claims,
                token=self._consents.write_token(claims),
                changed=held is None or held.record_id != claims.record_id,
            )

        return store.transact(self._database, site, work)

    def _user_hash(self, site: Site, signed_in: str) -> bytes:
        named = user_token.named_key(signed_in)
        keys = {str(key.number): key for key in link_keys(self._database, self._keys, site)}
        key = keys.get(named)
        if key is None:
            raise InvalidUserToken(f"The site has no link key {named[:64]!r}, as kid names it.")
        if key.retired_at or not key.secret:
            raise InvalidUserToken(f"Link key {named} is not in use any more; sign with another.")
        user = user_token.subject(
            signed_in,
            secret=key.secret,
            site_key=site.site_key,
            now=int(clock.now().timestamp()),
        )
        return store.user_hash(self._keys, site, user)

    def _settle(  # noqa: PLR0913
        self,
        connection: Connection,
        site: Site,
        user: Row[Any],
        other: Row[Any] | None,
        material_version: int,
        circumstances: Circumstances,
        rule: Rule,
    ) -> Claims:
        """Write down what holds for the user now, if that is not what the newest record says."""
        at = clock.now()
        own = _choice(connection, site, user)
        choices = [own, _choice(connection, site, other)] if other else [own]
        counting = [choice for choice in choices if choice.counts(at, material_version)]
        if counting:
            merged = merge(counting, forced_off=signal_forces_off(circumstances, rule))
        if not counting or (own in counting and merged.agrees_with(own)):
            return store.claims_of(site, user)
        content = linked_document(
            record_id=clock.new_id(),
            identity=Identity(
                tenant_id=site.tenant_id,
                site_key=site.site_key,
                visitor_id=user.visitor_id,
                previous_id=user.record_id,
                sequence=user.sequence + 1,
            ),
            merged=merged,
            circumstances=circumstances,
            rule=rule,
            at=at,
        )
        return store.append(connection, self._keys, site, content, merged.states)


def _unite(
    connection: Connection, site: Site, user_hash: bytes, held: Claims | None
) -> tuple[Row[Any] | None, Row[Any] | None]:
    """Make the device's visitor the user; return the user's state and the one merged into it."""
    user_id = _visitor_of(connection, site, user_hash)
    device = store.find_state(connection, site, held.visitor_id) if held else None
    device_id: str | None = device.visitor_id if device else None
    states = store.lock_states(connection, site, {id_ for id_ in (user_id, device_id) if id_})
    if _visitor_of(connection, site, user_hash) != user_id:
        # Linked, or erased, while we waited for the rows.
        raise store.Overtaken
    user = states.get(user_id) if user_id else None
    other = states.get(device_id) if device_id and device_id != user_id else None
    if other and _is_somebody(connection, site, other.visitor_id):
        other = None
    if user is None and other is not None:
        _add_user(connection, site, user_hash, other.visitor_id)
        return other, None
    if user is not None and other is not None:
        store.merge_into(connection, site, other, user.visitor_id)
    return user, other


def _visitor_of(connection: Connection, site: Site, user_hash: bytes) -> str | None:
    visitor_id: str | None = connection.execute(
        select(_linked.visitor_id).where(
            _linked.tenant_id == site.tenant_id,
            _linked.site_id == site.id,
            _linked.user_hash == user_hash,
        )
    ).scalar_one_or_none()
    return visitor_id


def _add_user(connection: Connection, site: Site, user_hash: bytes, visitor_id: str) -> None:
    row = {
        "site_id": site.id,
        "user_hash": user_hash,
        "visitor_id": visitor_id,
        "tenant_id": site.tenant_id,
        "linked_at": clock.now(),
    }
    try:
        connection.execute(insert(LinkedUserRow), row)
    except IntegrityError as error:
        # Another device of the user was the first.
        raise store.Overtaken from error


def _is_somebody(connection: Connection, site: Site, visitor_id: str) -> bool:
    query = select(_linked.visitor_id).where(store.is_linked(site, visitor_id))
    return connection.execute(query).one_or_none() is not None


def _choice(connection: Connection, site: Site, state: Row[Any]) -> Choice:
    return Choice(_record(connection, site, state.record_id), store.states_of(state))


def _record(connection: Connection, site: Site, record_id: UUID) -> dict[str, Any]:
    document = connection.execute(
        select(_records.document).where(
            _records.tenant_id == site.tenant_id,
            _records.site_id == site.id,
            _records.id == record_id,
        )
    ).scalar_one()
    record: dict[str, Any] = json.loads(document)
    return record
