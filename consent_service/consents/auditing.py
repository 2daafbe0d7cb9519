"""Re-read all records of a tenant against its ledgers, and tell of all that is not right.

What callers may rely on:

- Every leaf, and everything that waits to become one, is held against its record or tombstone:
  commitment, signature, canonical form, and that the document speaks of its own row. Then every
  record and tombstone is looked for in the ledgers.
- The service may serve meanwhile: what seems wrong is read a second time before it is told of, as
  its visitor may have had it erased between two reads.
- Memory does not grow with the number of records.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, and_, select

from consent_service.consents import soundness
from consent_service.consents.models import RecordRow, TombstoneRow
from consent_service.consents.soundness import Problem
from consent_service.consents.store import in_steps
from consent_service.db import Database
from consent_service.ledger import auditing
from consent_service.ledger.auditing import STEP, Finding, LedgerAudit, Report, VerifyingKey
from consent_service.ledger.checkpoint import NoteKey
from consent_service.ledger.store import Leaf, PendingLeaf
from consent_service.tenants.service import Site

#: What each kind of finding means.
MEANINGS = auditing.MEANINGS | soundness.MEANINGS

#: What erasure must have emptied.
_CONTENT = (
    "visitor_id",
    "document",
    "signature",
    "key_id",
    "salt",
    "idempotency_hash",
    "request_hash",
    "after_ms",
)

_records = RecordRow.__table__.c
_tombstones = TombstoneRow.__table__.c

Entry = Leaf | PendingLeaf


@dataclass(frozen=True)
class _Rows:
    """What is there of some records."""

    records: Mapping[UUID, Row[Any]]
    tombstones: Mapping[UUID, Row[Any]]
    contents: Mapping[UUID, Mapping[str, Any] | None]
    #: Records that others name as the ones before them.
    previous: Mapping[UUID, Row[Any]]


class Audit:
    """Audits one tenant."""

    def __init__(  # noqa: PLR0913 - what is read, what it is held against, and who is told
        self,
        database: Database,
        tenant_id: UUID,
        sites: Sequence[Site],
        keys: Mapping[str, VerifyingKey],
        witnesses: Sequence[NoteKey],
        report: Report,
    ) -> None:
        """Read the heads up to which the tenant's ledgers are audited.

        :param sites: all of the tenant
        :raises Unavailable: when the database does not answer
        """
        self._database = database
        self._tenant_id = tenant_id
        self._sites = sites
        self._site_keys = {site.id: site.site_key for site in sites}
        self._keys = keys
        self._report = report
        self._ledgers = LedgerAudit(database, tenant_id, keys, witnesses, report)

    @property
    def steps(self) -> int:
        """About how much :meth:`run` gives in all: each leaf, and each record once more."""
        return 2 * self._ledgers.size

    def run(self) -> Iterator[int]:
        """Audit; give now and then how much was done since.

        :raises Unavailable: when the database does not answer
        """
        for ledger in self._ledgers.ledgers:
            for leaves in self._ledgers.leaves(ledger):
                self._check(leaves, ledger.origin)
                yield len(leaves)
        for waiting in self._ledgers.waiting():
            self._check(waiting, None)
        for site in self._sites:
            for records in self._records_of(site):
                yield self._place(records)

    def _check(self, entries: Sequence[Entry], origin: str | None) -> None:
        """Hold entries against what they are of."""
        rows = self._read(entries)
        doubtful = [entry for entry in entries if any(self._problems(entry, rows))]
        if not doubtful:
            return
        again = self._read(doubtful)
        for entry in doubtful:
            index = entry.leaf_index if isinstance(entry, Leaf) else None
            for kind, message in self._problems(entry, again):
                self._report.add(Finding(kind, message, origin, index, record_id=entry.record_id))

    def _read(self, entries: Sequence[Entry]) -> _Rows:
        ids = {entry.record_id for entry in entries}
        buried = {entry.record_id for entry in entries if entry.tombstone}
        with self._database.reading(self._tenant_id) as connection:
            query = select(RecordRow.__table__).where(
                _records.tenant_id == self._tenant_id, _records.id.in_(ids)
            )
            records = {row.id: row for row in connection.execute(query)}
            query = select(TombstoneRow.__table__).where(
                _tombstones.tenant_id == self._tenant_id, _tombstones.record_id.in_(buried)
            )
            found = connection.execute(query) if buried else ()
            tombstones = {row.record_id: row for row in found}
            contents = {
                row.id: soundness.read(row.document)
                for row in records.values()
                if row.document is not None
            }
            named = {_previous_id(content) for content in contents.values()} - {None}
            previous = {id_: row for id_, row in records.items() if id_ in named}
            if more := named - previous.keys():
                query = select(_records.id, _records.site_id, _records.document).where(
                    _records.tenant_id == self._tenant_id, _records.id.in_(more)
                )
                previous |= {row.id: row for row in connection.execute(query)}
        return _Rows(records, tombstones, contents, previous)

    def _problems(self, entry: Entry, rows: _Rows) -> Iterator[Problem]:
        record = rows.records.get(entry.record_id)
        if record is None:
            yield Problem("record_missing", "is not there any more")
        elif entry.tombstone:
            yield from self._problems_of_tombstone(entry, record, rows)
        elif record.document is None:
            yield from _problems_of_erased(entry, record)
        else:
            content = rows.contents[record.id]
            yield from soundness.of_signed(record, self._keys, entry.commitment)
            yield from soundness.of_record(record, content, self._site_keys.get(record.site_id))
            if content is not None:
                named = _previous_id(content)
                previous = rows.previous.get(named) if named else None
                yield from soundness.of_chain(content, record.site_id, previous)

    def _problems_of_tombstone(
        self, entry: Entry, record: Row[Any], rows: _Rows
    ) -> Iterator[Problem]:
        tombstone = rows.tombstones.get(record.id)
        if tombstone is None:
            yield Problem("tombstone_missing", "has no tombstone any more")
            return
        site_key = self._site_keys.get(record.site_id)
        yield from soundness.of_signed(tombstone, self._keys, entry.commitment)
        yield from soundness.of_tombstone(tombstone, record, site_key)

    def _records_of(self, site: Site) -> Iterator[Sequence[Row[Any]]]:
        """Give a site's records, each with whether it has a tombstone, some at a time."""
        query = (
            select(
                _records.id,
                _records.created_at,
                _records.erased_at,
                _records.commitment.is_not(None).label("committed"),
                _tombstones.record_id.is_not(None).label("buried"),
            )
            # In one statement: a visitor may have a record erased between two.
            .join_from(
                RecordRow,
                TombstoneRow,
                and_(
                    _tombstones.record_id == _records.id,
                    _tombstones.tenant_id == _records.tenant_id,
                ),
                isouter=True,
            )
        )
        return in_steps(self._database, site, query, STEP)

    def _place(self, rows: Sequence[Row[Any]]) -> int:
        """Look for records and their tombstones in the ledger; return how many places there are."""
        places = self._ledgers.places([row.id for row in rows])
        for row in rows:
            self._count(row)
            for kind, message in _problems_of_places(
                row, places[row.id, False], places[row.id, True]
            ):
                self._report.add(Finding(kind, message, record_id=row.id))
        return places.total()

    def _count(self, row: Row[Any]) -> None:
        counts = self._report.counts
        counts["records"] += 1
        counts["tombstones"] += row.buried
        if row.erased_at:
            counts["erased" if row.committed else "erased_before"] += 1


def _problems_of_erased(entry: Entry, record: Row[Any]) -> Iterator[Problem]:
    left = [name for name in _CONTENT if getattr(record, name) is not None]
    if record.erased_at is None:
        yield Problem("erasure_without_tombstone", "is empty and does not say when it was erased")
    if left:
        yield Problem("erasure_incomplete", f"is erased and still has: {', '.join(left)}")
    if record.commitment != entry.commitment:
        yield Problem("leaf_differs", "has another commitment than its leaf")


def _problems_of_places(row: Row[Any], places: int, buried: int) -> Iterator[Problem]:
    """Give what is wrong with how often a record, and its tombstone, are in the ledger."""
    if row.erased_at and not row.committed and not row.buried and not places and not buried:
        # Erased before there was a ledger.
        return
    if not row.committed:
        yield Problem("commitment_missing", "has no commitment")
    if not places:
        yield Problem("record_unledgered", "is no leaf, and does not wait to be one")
    if places > 1:
        yield Problem("record_twice", f"is a leaf, or waits to be one, {places} times")
    if row.erased_at and not row.buried:
        yield Problem("erasure_without_tombstone", "is erased and has no tombstone")
    if row.buried and not row.erased_at:
        yield Problem("tombstone_without_erasure", "has a tombstone and is not erased")
    if row.buried and not buried:
        yield Problem("tombstone_unledgered", "has a tombstone that is no leaf and does not wait")
    if buried > 1:
        yield Problem("tombstone_twice", f"has a tombstone that is a leaf or waits {buried} times")


def _previous_id(content: Mapping[str, Any] | None) -> UUID | None:
    try:
        return UUID(content["previous_id"]) if content else None
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
