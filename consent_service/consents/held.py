"""What lies under a record's id, for whoever may see it: the record, or the tombstone it left.

What callers may rely on:

- A record is shown to whoever holds its receipt link, and to its visitor. To everybody else it is
  like one that never was.
- Of an erased record there is nothing but its tombstone, and nobody is its visitor any more: only
  the link leads there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, select

from consent_service.consents.models import RecordRow, TombstoneRow
from consent_service.consents.service import Consents
from consent_service.db import Database
from consent_service.errors import UnknownRecord, UnknownVisitor
from consent_service.signing import Keyring, Signature
from consent_service.tenants.service import Site

#: Keeps receipt links apart from everything else that the token keys sign.
LINK_SALT = "receipt"

_records = RecordRow.__table__.c
_tombstones = TombstoneRow.__table__.c


@dataclass(frozen=True)
class _Held:
    """A signed document that the ledger holds the commitment of.

    :ivar document: the canonical form (RFC 8785) that was signed, read
    :ivar canonical: the same as the bytes that were signed
    :ivar salt: 32 random bytes before the canonical form in the commitment
    :ivar commitment: SHA-256 of both, which is the ledger's entry
    """

    record_id: UUID
    tenant_id: UUID
    site_id: UUID
    document: Mapping[str, Any]
    canonical: bytes
    signature: Signature
    salt: bytes
    commitment: bytes


@dataclass(frozen=True)
class Kept(_Held):
    """A record.

    :ivar previous: the visitor's record before it; None for the first
    """

    previous: Mapping[str, Any] | None


@dataclass(frozen=True)
class Buried(_Held):
    """The tombstone of a record that was erased."""


def link_proof(keys: Keyring, tenant_id: UUID, record_id: UUID | str) -> str:
    """Return the signature that makes a receipt link."""
    return keys.signer(LINK_SALT).get_signature(_subject(tenant_id, record_id)).decode()


def held_for_link(
    database: Database, keys: Keyring, tenant_id: UUID | None, record_id: UUID, proof: str
) -> Kept | Buried:
    """Return what lies under a record's id to whoever holds its receipt link.

    :param proof: the link's signature
    :raises UnknownRecord: when there is no such record, or the link is not whole
    """
    if tenant_id is None:
        raise UnknownRecord
    if not keys.signer(LINK_SALT).verify_signature(_subject(tenant_id, record_id), proof):
        raise UnknownRecord
    return _held(database, tenant_id, record_id)


def held_for_visitor(
    database: Database, consents: Consents, site: Site, record_id: UUID, token: str | None
) -> Kept:
    """Return a record to whoever holds a token of its visitor.

    The token of a visitor who was merged into another is as good as the other's.

    :raises UnknownRecord: when the site has no such record, or it is none of this visitor's
    """
    if not any(each["id"] == str(record_id) for each in history_of(consents, site, token)):
        raise UnknownRecord
    found = _held(database, site.tenant_id, record_id)
    # Erased a moment ago: then it is nobody's any more.
    if not isinstance(found, Kept):
        raise UnknownRecord
    return found


def history_of(consents: Consents, site: Site, token: str | None) -> list[dict[str, Any]]:
    """Return all records of whoever holds the token, newest first; none for a token of nobody."""
    try:
        return consents.history(site, token)
    except UnknownVisitor:
        return []


def _held(database: Database, tenant_id: UUID, record_id: UUID) -> Kept | Buried:
    with database.reading(tenant_id) as connection:
        record = connection.execute(
            select(RecordRow.__table__).where(
                _records.tenant_id == tenant_id, _records.id == record_id
            )
        ).one_or_none()
        if record is not None and record.document is not None:
            return Kept(**_parts(record, record_id), previous=_previous(connection, record))
        tombstone = connection.execute(
            select(TombstoneRow.__table__).where(
                _tombstones.tenant_id == tenant_id, _tombstones.record_id == record_id
            )
        ).one_or_none()
    if tombstone is None:
        # There is no such record, or it was erased before there were tombstones.
        raise UnknownRecord
    return Buried(**_parts(tombstone, record_id))


def _previous(connection: Connection, record: Row[Any]) -> dict[str, Any] | None:
    previous_id = json.loads(record.document)["previous_id"]
    if previous_id is None:
        return None
    found = connection.execute(
        select(_records.document).where(
            _records.tenant_id == record.tenant_id,
            _records.site_id == record.site_id,
            _records.id == UUID(previous_id),
        )
    ).scalar_one_or_none()
    return dict(json.loads(found)) if found else None


def _parts(row: Row[Any], record_id: UUID) -> dict[str, Any]:
    return {
        "record_id": record_id,
        "tenant_id": row.tenant_id,
        "site_id": row.site_id,
        "document": json.loads(row.document),
        "canonical": row.document.encode(),
        "signature": Signature(row.key_id, row.signature),
        "salt": row.salt,
        "commitment": row.commitment,
    }


def _subject(tenant_id: UUID, record_id: UUID | str) -> str:
    return f"{tenant_id} {record_id}"
