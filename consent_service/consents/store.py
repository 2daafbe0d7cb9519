"""Rows of records and of visitors' states, each call within the caller's transaction.

A visitor who was merged into another has the other's state from then on. Only a visitor who is a
linked user is merged into, and such a visitor is never merged: nobody is two steps away.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    func,
    insert,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.exc import IntegrityError

from consent_service import clock
from consent_service.consents import tokens
from consent_service.consents.changes import of_site
from consent_service.consents.models import CurrentStateRow, LinkedUserRow, RecordRow, TombstoneRow
from consent_service.consents.record import tombstone
from consent_service.consents.tokens import Claims
from consent_service.db import Database, database_ms
from consent_service.errors import Unavailable
from consent_service.signing import Keyring, canonical_json, sha256
from consent_service.tenants.service import Site

SALT_BYTES = 32

#: What the database says where a hold covers a record (``migrations/versions/0006_ledger.py``).
_ON_HOLD = "under a legal hold"

#: A second try sees what overtook the first.
_TRIES = 3

Result = TypeVar("Result")

_states = CurrentStateRow.__table__.c
_records = RecordRow.__table__.c
_linked = LinkedUserRow.__table__.c


@dataclass(frozen=True)
class Request:
    """What makes a retry recognisable: the key's hash and the body's hash."""

    key_hash: bytes
    body_hash: bytes


class Overtaken(Exception):
    """Something else was first: a visitor was linked or merged, or a hold was placed."""


def transact(database: Database, site: Site, work: Callable[[Connection], Result]) -> Result:
    """Do work in one transaction of the site's tenant, in another one if it was overtaken.

    Waiting for a second row instead, with the first one in hand, could be waiting for each other.

    :raises Unavailable: when the database cannot do it now
    """
    for _ in range(_TRIES):
        with suppress(Overtaken), database.transaction(site.tenant_id) as connection:
            return work(connection)
    raise Unavailable


def append(  # noqa: PLR0913
    connection: Connection,
    keys: Keyring,
    site: Site,
    content: Mapping[str, Any],
    states: Mapping[str, str],
    request: Request | None = None,
    *,
    after_ms: int | None = None,
) -> Claims:
    """Sign and insert a record at the end of its visitor's chain; return what tokens say now.

    The visitor's state must be locked, unless this is the first record.

    :param after_ms: from the banner's showing to the choice; kept beside what is signed
    """
    canonical = canonical_json(content)
    signature = keys.sign(canonical)
    salt = secrets.token_bytes(SALT_BYTES)
    record_id, visitor_id = UUID(content["id"]), content["visitor_id"]
    at = clock.from_rfc3339(content["created_at"])
    expires_at = clock.from_rfc3339(content["expires_at"])
    connection.execute(
        insert(RecordRow),
        {
            "id": record_id,
            "tenant_id": site.tenant_id,
            "site_id": site.id,
            "created_at": at,
            "visitor_id": visitor_id,
            "document": canonical.decode(),
            "signature": signature.value,
            "key_id": signature.key_id,
            "salt": salt,
            "commitment": sha256(salt + canonical),
            "idempotency_hash": request.key_hash if request else None,
            "request_hash": request.body_hash if request else None,
            "after_ms": after_ms,
        },
    )
    state = {
        "sequence": content["sequence"],
        "record_id": record_id,
        "notice_version": content["notice_version"],
        "expires_at": expires_at,
        "gpc": content["gpc"],
        "choices": "~".join(tokens.write_states(states)),
    }
    if content["previous_id"]:
        connection.execute(
            update(CurrentStateRow)
            .where(_is_visitor(site, visitor_id))
            .values(**state, changed_ms=database_ms())
        )
    else:
        connection.execute(
            insert(CurrentStateRow),
            {
                "site_id": site.id,
                "visitor_id": visitor_id,
                "tenant_id": site.tenant_id,
                **state,
            },
        )
    return Claims(
        site_key=site.site_key,
        visitor_id=visitor_id,
        record_id=content["id"],
        sequence=content["sequence"],
        notice_version=content["notice_version"],
        issued_at=int(at.timestamp()),
        expires_at=int(expires_at.timestamp()),
        gpc=content["gpc"],
        choices=states,
    )


def bury(
    connection: Connection, keys: Keyring, site: Site, visitor_id: str, reason: str
) -> list[UUID]:
    """Erase all records of this visitor, and of all who were merged into it; return their ids.

    Each gets a tombstone, and by that the database empties it: neither is there without the other.

    :raises Overtaken: when a legal hold was placed a moment ago
    """
    at = clock.now()
    query = select(_records.id, _records.created_at, _records.commitment).where(
        records_of(site, visitor_id)
    )
    rows: list[dict[str, Any]] = []
    for record_id, created_at, commitment in connection.execute(query.order_by(_records.id)):
        salt = secrets.token_bytes(SALT_BYTES)
        canonical = canonical_json(
            tombstone(
                record_id=record_id,
                tenant_id=site.tenant_id,
                site_key=site.site_key,
                created_at=created_at,
                commitment=commitment,
                erased_at=at,
                reason=reason,
            )
        )
        signature = keys.sign(canonical)
        rows.append(
            {
                "record_id": record_id,
                "tenant_id": site.tenant_id,
                "site_id": site.id,
                "document": canonical.decode(),
                "signature": signature.value,
                "key_id": signature.key_id,
                "salt": salt,
                "commitment": sha256(salt + canonical),
                "erased_at": at,
            }
        )
    try:
        connection.execute(insert(TombstoneRow), rows)
    except IntegrityError as error:
        if _ON_HOLD in str(error.orig):
            raise Overtaken from error
        raise
    return [row["record_id"] for row in rows]


def find_state(connection: Connection, site: Site, visitor_id: str) -> Row[Any] | None:
    """Return where the visitor stands, or whoever this one was merged into; None if unknown."""
    query = select(CurrentStateRow.__table__).where(_is_final(site, visitor_id))
    return connection.execute(query).one_or_none()


def find_states(
    connection: Connection, site: Site, visitor_ids: Collection[str]
) -> dict[str, Row[Any]]:
    """Do as :func:`find_state` for many, in one query; unknown ones are left out."""
    asked = CurrentStateRow.__table__.alias()
    query = (
        select(asked.c.visitor_id.label("asked"), CurrentStateRow.__table__)
        .join_from(
            asked,
            CurrentStateRow,
            and_(
                _states.site_id == asked.c.site_id,
                _states.visitor_id == func.coalesce(asked.c.merged_into, asked.c.visitor_id),
            ),
        )
        .where(
            asked.c.tenant_id == site.tenant_id,
            asked.c.site_id == site.id,
            asked.c.visitor_id.in_(visitor_ids),
            _states.tenant_id == site.tenant_id,
        )
    )
    return {row.asked: row for row in connection.execute(query)}


def find_changed(connection: Connection, site: Site, since_ms: int) -> Sequence[Row[Any]]:
    """Return the states of a site that changed since a moment by the database's clock."""
    query: Select[Any] = select(_states.visitor_id, _states.sequence, _states.record_id).where(
        _states.tenant_id == site.tenant_id,
        _states.site_id == site.id,
        _states.changed_ms > since_ms,
    )
    return connection.execute(query).all()


def find_users_states(
    connection: Connection, site: Site, user_hashes: Collection[bytes]
) -> dict[bytes, Row[Any]]:
    """Return where linked users stand, by their hashes; who is not linked is left out."""
    query = (
        select(_linked.user_hash, CurrentStateRow.__table__)
        .join_from(
            LinkedUserRow,
            CurrentStateRow,
            and_(_states.site_id == _linked.site_id, _states.visitor_id == _linked.visitor_id),
        )
        .where(
            _linked.tenant_id == site.tenant_id,
            _linked.site_id == site.id,
            _linked.user_hash.in_(user_hashes),
            _states.tenant_id == site.tenant_id,
        )
    )
    return {row.user_hash: row for row in connection.execute(query)}


def user_hash(keys: Keyring, site: Site, user: str) -> bytes:
    """Return what a site's user is known by; the site's own id of the user is not kept."""
    named = f"{site.tenant_id} {site.id} {user}".encode()
    return hmac.digest(keys.derive("linked-users"), named, "sha256")


def lock_state(connection: Connection, site: Site, visitor_id: str) -> Row[Any] | None:
    """Do as :func:`find_state`, and hold the row until the transaction ends; None if erased.

    :raises Overtaken: when the visitor was merged into another a moment ago
    """
    query = select(CurrentStateRow.__table__).where(_is_final(site, visitor_id))
    state = connection.execute(query.with_for_update()).one_or_none()
    if state is not None and state.merged_into:
        raise Overtaken
    return None if state is None or state.record_id is None else state


def lock_states(
    connection: Connection, site: Site, visitor_ids: Collection[str]
) -> dict[str, Row[Any]]:
    """Hold these visitors' own rows until the transaction ends; the erased ones are left out.

    One after the other, always in the same order, and none that was merged: so two transactions
    never wait for each other.

    :raises Overtaken: when one of them was merged into another a moment ago
    """
    states = {}
    for visitor_id in sorted(visitor_ids):
        query = select(CurrentStateRow.__table__).where(_is_visitor(site, visitor_id))
        state = connection.execute(query.with_for_update()).one()
        if state.merged_into:
            raise Overtaken
        if state.record_id is not None:
            states[visitor_id] = state
    return states


def merge_into(connection: Connection, site: Site, state: Row[Any], visitor_id: str) -> None:
    """Have another visitor stand for the one whose locked state this is; its tokens are old now."""
    connection.execute(
        update(CurrentStateRow)
        .where(_is_visitor(site, state.visitor_id))
        .values(merged_into=visitor_id, sequence=state.sequence + 1, changed_ms=database_ms())
    )


def is_linked(site: Site, visitor_id: str) -> ColumnElement[bool]:
    """Match the row of the user whom this visitor is."""
    return and_(
        _linked.tenant_id == site.tenant_id,
        _linked.site_id == site.id,
        _linked.visitor_id == visitor_id,
    )


def stands_for(site: Site, visitor_id: str) -> ColumnElement[bool]:
    """Match the states of this visitor and of all who were merged into it."""
    return and_(
        _states.tenant_id == site.tenant_id,
        _states.site_id == site.id,
        or_(_states.visitor_id == visitor_id, _states.merged_into == visitor_id),
    )


def records_of(site: Site, visitor_id: str) -> ColumnElement[bool]:
    """Match the records of this visitor and of all who were merged into it."""
    return and_(
        _records.tenant_id == site.tenant_id,
        _records.site_id == site.id,
        _records.visitor_id.in_(select(_states.visitor_id).where(stands_for(site, visitor_id))),
    )


def in_steps(
    database: Database, site: Site, query: Select[Any], size: int
) -> Iterator[Sequence[Row[Any]]]:
    """Give a query's rows of a site's records, oldest first, so many at a time.

    Each time in a transaction of its own, so that reading of any length holds nobody up.

    :param query: gives the records' ``id`` and ``created_at``, among others
    """
    query = query.where(of_site(site)).order_by(_records.created_at, _records.id).limit(size)
    rest = query
    while True:
        with database.reading(site.tenant_id) as connection:
            rows = connection.execute(rest).all()
        if rows:
            yield rows
        if len(rows) < size:
            return
        last = rows[-1]
        rest = query.where(
            # For the index, which the other condition is no use to.
            _records.created_at >= last.created_at,
            tuple_(_records.created_at, _records.id) > tuple_(last.created_at, last.id),
        )


def in_order(records: Iterable[dict[str, Any]], visitor_id: str) -> list[dict[str, Any]]:
    """Return a visitor's records, newest first; those of visitors merged into it come after.

    Not by time: clocks of nodes differ, and are set back.
    """
    newest = sorted(records, key=itemgetter("sequence"), reverse=True)
    return sorted(newest, key=lambda record: record["visitor_id"] != visitor_id)


def states_of(state: Row[Any]) -> dict[str, str]:
    """Return the state of each optional purpose."""
    return tokens.read_states(state.choices.split("~")) if state.choices else {}


def claims_of(site: Site, state: Row[Any]) -> Claims:
    """Return what a new token of the visitor says."""
    return Claims(
        site_key=site.site_key,
        visitor_id=state.visitor_id,
        record_id=str(state.record_id),
        sequence=state.sequence,
        notice_version=state.notice_version,
        issued_at=int(clock.now().timestamp()),
        expires_at=int(state.expires_at.timestamp()),
        gpc=state.gpc,
        choices=states_of(state),
    )


def _is_visitor(site: Site, visitor_id: str) -> ColumnElement[bool]:
    return and_(
        _states.tenant_id == site.tenant_id,
        _states.site_id == site.id,
        _states.visitor_id == visitor_id,
    )


def _is_final(site: Site, visitor_id: str) -> ColumnElement[bool]:
    """Match the state that counts for this visitor: its own, or that of whoever stands for it."""
    asked = CurrentStateRow.__table__.alias()
    final = (
        select(func.coalesce(asked.c.merged_into, asked.c.visitor_id))
        .where(
            asked.c.tenant_id == site.tenant_id,
            asked.c.site_id == site.id,
            asked.c.visitor_id == visitor_id,
        )
        .scalar_subquery()
    )
    return and_(
        _states.tenant_id == site.tenant_id,
        _states.site_id == site.id,
        _states.visitor_id == final,
    )
