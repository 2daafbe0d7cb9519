"""Record decisions, give back what is held about a visitor, and erase it.

What callers may rely on:

- :meth:`Consents.record_decision` returns only after the record is durably committed.
- A record belongs to whoever holds the visitor's token. Nobody without it adds to a visitor's
  history, sees it or erases it. The token of a visitor who was merged into another is as good as
  the other's.
- The same Idempotency-Key never makes a second record.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update
from sqlalchemy.exc import IntegrityError

from consent_service import clock
from consent_service.consents import store, tokens
from consent_service.consents.feed import CLOCK_SKEW_SECONDS
from consent_service.consents.models import CurrentStateRow, LinkedUserRow, RecordRow
from consent_service.consents.record import (
    Circumstances,
    Decision,
    Identity,
    document,
    problems,
    settle,
    signal_forces_off,
)
from consent_service.consents.store import Request
from consent_service.consents.tokens import Claims
from consent_service.db import OVERLAP_MS, Database, database_ms
from consent_service.errors import (
    IdempotencyKeyReused,
    NoticeChanged,
    UnknownVisitor,
    ValidationFailed,
)
from consent_service.ledger.directory import LedgerDirectory
from consent_service.notices.configuration import Notice
from consent_service.notices.service import NoticeDirectory
from consent_service.regions.rules import Rule
from consent_service.signing import Keyring, canonical_json, sha256
from consent_service.tenants.service import Site

_records = RecordRow.__table__.c


@dataclass(frozen=True)
class Recorded:
    """A stored decision, and the token that its visitor holds from now on."""

    record: Mapping[str, Any]
    claims: Claims
    token: str


class Absent(Enum):
    """Why the database holds no choice of a visitor."""

    UNKNOWN = auto()
    ERASED = auto()


class Consents:
    """Visitors' decisions."""

    def __init__(
        self,
        database: Database,
        keys: Keyring,
        notices: NoticeDirectory,
        ledgers: LedgerDirectory,
    ) -> None:
        """Take what is needed."""
        self._database = database
        self._keys = keys
        self._notices = notices
        self._ledgers = ledgers

    def record_decision(  # noqa: PLR0913 - who, what, how and under which rule
        self,
        site: Site,
        decision: Decision,
        *,
        token: str | None,
        idempotency_key: str | None,
        circumstances: Circumstances,
        rule: Rule,
    ) -> Recorded:
        """Store a decision of the visitor who holds the token, or of a new one.

        :raises NoticeChanged: when another notice is in force than the one decided on
        :raises ValidationFailed: when the decision does not fit the notice
        :raises IdempotencyKeyReused: when the key was used for another decision
        :raises LedgerSuspended: when nothing may be stored for the tenant
        :raises Unavailable: when it cannot be stored now; nothing was
        """
        self._ledgers.check_writable(site.tenant_id)
        notice = self._notices.in_force(site)
        if decision.notice_version != notice.version:
            raise NoticeChanged
        wrong = problems(decision, notice)
        if wrong:
            raise ValidationFailed(fields=wrong)
        visitor = self.read_token(site, token)
        request = _request(decision, idempotency_key) if idempotency_key else None
        try:
            return store.transact(
                self._database,
                site,
                lambda connection: self._append(
                    connection, site, decision, visitor, request, circumstances, notice, rule
                ),
            )
        except IntegrityError:
            # The key has made a record before, perhaps a moment ago. (Ids do not collide.)
            if request is None:
                raise
            return self._replay(site, visitor, request)

    def _append(  # noqa: PLR0913
        self,
        connection: Connection,
        site: Site,
        decision: Decision,
        visitor: Claims | None,
        request: Request | None,
        circumstances: Circumstances,
        notice: Notice,
        rule: Rule,
    ) -> Recorded:
        before = store.lock_state(connection, site, visitor.visitor_id) if visitor else None
        identity = Identity(
            tenant_id=site.tenant_id,
            site_key=site.site_key,
            visitor_id=before.visitor_id if before else clock.new_visitor_id(),
            previous_id=before.record_id if before else None,
            sequence=before.sequence + 1 if before else 1,
        )
        states = settle(
            decision,
            forced_off=signal_forces_off(circumstances, rule),
            before=store.states_of(before) if before else {},
        )
        content = document(
            record_id=clock.new_id(),
            identity=identity,
            decision=decision,
            states=states,
            circumstances=circumstances,
            notice=notice,
            rule=rule,
            at=clock.now(),
        )
        claims = store.append(
            connection, self._keys, site, content, states, request, after_ms=decision.after_ms
        )
        return Recorded(content, claims, self.write_token(claims))

    def _replay(self, site: Site, visitor: Claims | None, request: Request) -> Recorded:
        """Answer a retry with the record that its first try made."""
        with self._database.reading(site.tenant_id) as connection:
            row = connection.execute(
                select(_records.document, _records.request_hash).where(
                    _records.tenant_id == site.tenant_id,
                    _records.site_id == site.id,
                    _records.idempotency_hash == request.key_hash,
                )
            ).one_or_none()
            if row is None or row.request_hash != request.body_hash:
                raise IdempotencyKeyReused
            record = json.loads(row.document)
            state = store.find_state(connection, site, record["visitor_id"])
            if state is None or state.record_id is None:
                raise UnknownVisitor
            # A first try without a token made a new visitor, whose token may have got lost with
            # the answer. In every other case the caller must be that visitor.
            if visitor:
                caller = store.find_state(connection, site, visitor.visitor_id)
                known = caller is not None and caller.visitor_id == state.visitor_id
            else:
                known = record["previous_id"] is None
        if not known:
            raise IdempotencyKeyReused
        claims = store.claims_of(site, state)
        return Recorded(record, claims, self.write_token(claims))

    def history(self, site: Site, token: str | None) -> list[dict[str, Any]]:
        """Return all records of the visitor who holds the token, newest first.

        Those of visitors merged into this one come after its own.

        :raises UnknownVisitor: when the token is not valid or everything was erased
        """
        claims = self._known(site, token)
        with self._database.reading(site.tenant_id) as connection:
            state = store.find_state(connection, site, claims.visitor_id)
            if state is None or state.record_id is None:
                raise UnknownVisitor
            documents = connection.execute(
                select(_records.document).where(store.records_of(site, state.visitor_id))
            ).scalars()
            found = [json.loads(document) for document in documents]
        return store.in_order(found, state.visitor_id)

    def erase(self, site: Site, token: str | None) -> int:
        """Empty all records of the visitor who holds the token; return how many.

        Of visitors merged into this one too, and nobody is this visitor's user any more. What
        stays is that a record existed and when it was erased, and for the gate the visitors'
        random ids with nothing attached, so that tokens still about are known to be void.

        :raises UnknownVisitor: when the token is not valid or everything was erased before
        :raises LedgerSuspended: when nothing may be erased for the tenant
        """
        self._ledgers.check_writable(site.tenant_id)
        claims = self._known(site, token)
        return store.transact(
            self._database,
            site,
            lambda connection: _erase(connection, self._keys, site, claims.visitor_id),
        )

    def read_token(self, site: Site, token: str | None) -> Claims | None:
        """Return what a token of this site says, or None."""
        if not token:
            return None
        return tokens.read_token(token, site.site_key, self._keys.signer(tokens.SALT))

    def write_token(self, claims: Claims) -> str:
        """Sign a token."""
        return tokens.write_token(claims, self._keys.signer(tokens.SALT))

    def current(self, site: Site, claims: Claims) -> Claims | Absent:
        """Return what a new token of the visitor must say, or why there is none."""
        with self._database.reading(site.tenant_id) as connection:
            state = store.find_state(connection, site, claims.visitor_id)
        return _current(site, state)

    def current_of_visitors(
        self, site: Site, visitor_ids: Collection[str]
    ) -> dict[str, Claims | Absent]:
        """Do as :meth:`current` for many, in one query."""
        with self._database.reading(site.tenant_id) as connection:
            states = store.find_states(connection, site, visitor_ids)
        return {each: _current(site, states.get(each)) for each in visitor_ids}

    def current_of_users(self, site: Site, users: Collection[str]) -> dict[str, Claims | Absent]:
        """Do the same for linked users, by the site's own ids of them."""
        hashes = {user: store.user_hash(self._keys, site, user) for user in users}
        with self._database.reading(site.tenant_id) as connection:
            states = store.find_users_states(connection, site, hashes.values())
        return {user: _current(site, states.get(hashes[user])) for user in users}

    def newest_since(self, site: Site, moment: datetime) -> dict[str, int]:
        """Return the visitors whose choice changed since a moment by this node's clock.

        With the sequence of each one's newest record, or :data:`tokens.ERASED`, as the gate weighs
        it. Who became another visitor by linking has a newer one too. A first choice is not among
        them.

        :raises Unavailable: when the database cannot be asked
        """
        since_ms = int(moment.timestamp() - CLOCK_SKEW_SECONDS) * 1000 - OVERLAP_MS
        with self._database.reading(site.tenant_id) as connection:
            changed = store.find_changed(connection, site, since_ms)
        return {
            row.visitor_id: tokens.ERASED if row.record_id is None else row.sequence
            for row in changed
        }

    def _known(self, site: Site, token: str | None) -> Claims:
        claims = self.read_token(site, token)
        if claims is None:
            raise UnknownVisitor
        return claims


def _current(site: Site, state: Row[Any] | None) -> Claims | Absent:
    if state is None:
        return Absent.UNKNOWN
    return Absent.ERASED if state.record_id is None else store.claims_of(site, state)


def _request(decision: Decision, idempotency_key: str) -> Request:
    said = asdict(decision)
    # A page that tries again may measure again: it is the same decision.
    del said["after_ms"]
    return Request(sha256(idempotency_key.encode()), sha256(canonical_json(said)))


def _erase(connection: Connection, keys: Keyring, site: Site, visitor_id: str) -> int:
    state = store.lock_state(connection, site, visitor_id)
    if state is None:
        raise UnknownVisitor
    store.bury(connection, keys, site, state.visitor_id, "visitor_request")
    erased = connection.execute(
        update(RecordRow)
        .where(store.records_of(site, state.visitor_id))
        .values(
            visitor_id=None,
            document=None,
            signature=None,
            key_id=None,
            salt=None,
            idempotency_hash=None,
            request_hash=None,
            after_ms=None,
            erased_at=clock.now(),
        )
    )
    connection.execute(delete(LinkedUserRow).where(store.is_linked(site, state.visitor_id)))
    connection.execute(
        update(CurrentStateRow)
        .where(store.stands_for(site, state.visitor_id))
        .values(
            record_id=None,
            notice_version=None,
            expires_at=None,
            gpc=False,
            choices="",
            merged_into=None,
            changed_ms=database_ms(),
        )
    )
    return erased.rowcount
