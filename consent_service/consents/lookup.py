"""Look records of visitors up, for those who must answer for them. Each look is logged.

What callers may rely on:

- Whoever reads what a visitor chose has left an event ``record.read`` in the audit log, in the same
  transaction.
- What was erased is found as a record that was, and when; of its content nothing is left to find.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, select

from consent_service import clock
from consent_service.access import audit
from consent_service.access.actor import Actor
from consent_service.consents import store
from consent_service.consents.models import CurrentStateRow, LinkedUserRow, RecordRow
from consent_service.consents.tokens import GRANTED, WITHDRAWN
from consent_service.db import Database
from consent_service.errors import UnknownRecord, UnknownVisitor
from consent_service.key_file import Revoked
from consent_service.signing import Keyring, Signature
from consent_service.tenants.service import Site, sites_of

#: Records of one visitor that are given, newest first.
MAX_RECORDS = 200

_records = RecordRow.__table__.c
_states = CurrentStateRow.__table__.c
_linked = LinkedUserRow.__table__.c

_NO_RECORD = "The tenant has no such record. Use the id from a receipt."
_NO_VISITOR = "Nothing is held about such a visitor of this site."


@dataclass(frozen=True)
class FoundRecord:
    """A record as it lies in the database, and what is before and after it."""

    id: UUID
    site_key: str
    created_at: datetime
    #: None once erased, as is all that follows but the time of that.
    record: Mapping[str, Any] | None
    signature: Signature | None
    #: Whether one of our keys has signed just this.
    valid: bool | None
    #: Since when and why that key must not be used; None while it may.
    key_revoked: Revoked | None
    previous_id: str | None
    next_id: str | None
    erased_at: datetime | None


@dataclass(frozen=True)
class FoundVisitor:
    """What is held about a visitor of a site."""

    visitor_id: str
    site_key: str
    #: The visitor who stands for this one since both signed in as one user.
    merged_into: str | None
    #: Whether it is a user of the site, on all devices.
    linked: bool
    erased: bool
    #: Purpose → granted, refused or withdrawn.
    choices: Mapping[str, str]
    expires_at: datetime | None
    #: Newest first; then those of visitors that were merged into this one.
    records: list[dict[str, Any]]


def find_record(
    database: Database, keys: Keyring, tenant_id: UUID, record_id: UUID, *, by: Actor
) -> FoundRecord:
    """Return a tenant's record, and log that somebody has looked.

    :raises UnknownRecord: when the tenant has no such record
    """
    sites = {site.id: site.site_key for site in sites_of(database, tenant_id)}
    with database.transaction(tenant_id) as connection:
        row = connection.execute(
            select(RecordRow.__table__).where(
                _records.tenant_id == tenant_id, _records.id == record_id
            )
        ).one_or_none()
        if row is None:
            raise UnknownRecord(_NO_RECORD)
        found = _found(connection, keys, row, sites[row.site_id])
        audit.write(connection, tenant_id, by, "record.read", "record", str(record_id))
    return found


def find_visitor(database: Database, site: Site, visitor_id: str, *, by: Actor) -> FoundVisitor:
    """Return what is held about a visitor of a site, and log that somebody has looked.

    :raises UnknownVisitor: when nothing is, and nothing was
    """
    with database.transaction(site.tenant_id) as connection:
        state = store.find_state(connection, site, visitor_id)
        if state is None:
            raise UnknownVisitor(_NO_VISITOR)
        linked = connection.execute(
            select(_linked.linked_at).where(store.is_linked(site, state.visitor_id))
        ).one_or_none()
        rows = connection.execute(
            select(_records.document)
            .where(store.records_of(site, state.visitor_id))
            .order_by(_records.created_at.desc())
            .limit(MAX_RECORDS)
        ).scalars()
        records = [json.loads(document) for document in rows]
        audit.write(
            connection,
            site.tenant_id,
            by,
            "record.read",
            "visitor",
            f"{site.site_key} {state.visitor_id}",
        )
    return FoundVisitor(
        visitor_id=visitor_id,
        site_key=site.site_key,
        merged_into=state.visitor_id if state.visitor_id != visitor_id else None,
        linked=linked is not None,
        erased=state.record_id is None,
        choices={key: _said(said) for key, said in store.states_of(state).items()},
        expires_at=state.expires_at,
        records=store.in_order(records, state.visitor_id),
    )


def site_of_visitor(database: Database, tenant_id: UUID, visitor_id: str) -> Site | None:
    """Return the tenant's site on which there is, or was, such a visitor: ids are random."""
    sites = {site.id: site for site in sites_of(database, tenant_id)}
    with database.reading(tenant_id) as connection:
        site_id = connection.execute(
            select(_states.site_id).where(
                _states.tenant_id == tenant_id,
                _states.site_id.in_(sites),
                _states.visitor_id == visitor_id,
            )
        ).scalar()
    return sites.get(site_id) if site_id else None


def _found(connection: Connection, keys: Keyring, row: Row[Any], site_key: str) -> FoundRecord:
    record = json.loads(row.document) if row.document else None
    signature = Signature(row.key_id, row.signature) if row.document else None
    return FoundRecord(
        id=row.id,
        site_key=site_key,
        created_at=row.created_at,
        record=record,
        signature=signature,
        valid=keys.verify(row.document.encode(), signature) if signature else None,
        key_revoked=keys.revoked(signature.key_id) if signature else None,
        previous_id=record["previous_id"] if record else None,
        next_id=_next_id(connection, row) if record else None,
        erased_at=row.erased_at,
    )


def _next_id(connection: Connection, row: Row[Any]) -> str | None:
    """Return the id of the visitor's record after this one."""
    documents = connection.execute(
        select(_records.document).where(
            _records.tenant_id == row.tenant_id,
            _records.site_id == row.site_id,
            _records.visitor_id == row.visitor_id,
        )
    ).scalars()
    records = (json.loads(document) for document in documents)
    return next((each["id"] for each in records if each["previous_id"] == str(row.id)), None)


def _said(state: str) -> str:
    if state == GRANTED:
        return "granted"
    return "withdrawn" if state == WITHDRAWN else "refused"


def shown_record(found: FoundRecord, receipt_url: str | None) -> dict[str, Any]:
    """Return a found record as JSON values."""
    return {
        "id": str(found.id),
        "site_key": found.site_key,
        "created_at": clock.rfc3339(found.created_at),
        "erased_at": clock.rfc3339(found.erased_at) if found.erased_at else None,
        "record": found.record,
        "signature_valid": found.valid,
        "key_revoked": _shown_revoked(found.key_revoked),
        "previous_id": found.previous_id,
        "next_id": found.next_id,
        "receipt_url": receipt_url,
    }


def _shown_revoked(revoked: Revoked | None) -> dict[str, str] | None:
    if revoked is None:
        return None
    return {"revoked_at": clock.rfc3339(revoked.at), "reason": revoked.reason}


def shown_visitor(found: FoundVisitor) -> dict[str, Any]:
    """Return a found visitor as JSON values."""
    expires_at = clock.rfc3339(found.expires_at) if found.expires_at else None
    return {**vars(found), "expires_at": expires_at}
