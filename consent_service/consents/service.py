"""Record decisions, give back what is held about a visitor, and erase it.

What callers may rely on:

- :meth:`Consents.record_decision` returns only after the record is durably committed.
- A record belongs to whoever holds the visitor's token. Nobody without it adds to a visitor's
  history, sees it or erases it.
- The same Idempotency-Key never makes a second record.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum, auto
from operator import itemgetter
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Row, and_, insert, select, update
from sqlalchemy.exc import IntegrityError

from consent_service import clock
from consent_service.consents import tokens
from consent_service.consents.models import CurrentStateRow, RecordRow
from consent_service.consents.record import (
    Circumstances,
    Decision,
    Identity,
    document,
    expiry,
    problems,
    settle,
    signal_forces_off,
)
from consent_service.consents.tokens import Claims
from consent_service.db import Database, database_ms
from consent_service.errors import (
    IdempotencyKeyReused,
    NoticeChanged,
    UnknownRecord,
    UnknownVisitor,
    ValidationFailed,
)
from consent_service.notices.configuration import Notice
from consent_service.notices.service import NoticeDirectory
from consent_service.regions.rules import Rule
from consent_service.signing import Keyring, canonical_json, sha256
from consent_service.tenants.service import Site

SALT_BYTES = 32
RECEIPT_SALT = "receipt"

_states = CurrentStateRow.__table__.c
_records = RecordRow.__table__.c


@dataclass(frozen=True)
class Recorded:
    """A stored decision, and the token that its visitor holds from now on."""

    record: Mapping[str, Any]
    claims: Claims
    token: str


@dataclass(frozen=True)
class Receipt:
    """A record with its signature."""

    record: Mapping[str, Any]
    key_id: str
    signature: bytes


@dataclass(frozen=True)
class Request:
    """What makes a retry recognisable: the key's hash and the body's hash."""

    key_hash: bytes
    body_hash: bytes


class Absent(Enum):
    """Why the database holds no choice of a visitor."""

    UNKNOWN = auto()
    ERASED = auto()


class Consents:
    """Visitors' decisions."""

    def __init__(self, database: Database, keys: Keyring, notices: NoticeDirectory) -> None:
        """Take what is needed."""
        self._database = database
        self._keys = keys
        self._notices = notices

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
        :raises Unavailable: when it cannot be stored now; nothing was
        """
        notice = self._notices.in_force(site)
        if decision.notice_version != notice.version:
            raise NoticeChanged
        wrong = problems(decision, notice)
        if wrong:
            raise ValidationFailed(fields=wrong)
        visitor = self.read_token(site, token)
        request = _request(decision, idempotency_key) if idempotency_key else None
        try:
            with self._database.transaction() as connection:
                return self._append(
                    connection, site, decision, visitor, request, circumstances, notice, rule
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
        before = _lock_state(connection, site, visitor) if visitor else None
        at = clock.now()
        record_id = clock.new_id()
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
            before=_states_of(before) if before else {},
        )
        content = document(
            record_id=record_id,
            identity=identity,
            decision=decision,
            states=states,
            circumstances=circumstances,
            notice=notice,
            rule=rule,
            at=at,
        )
        canonical = canonical_json(content)
        signature = self._keys.sign(canonical)
        connection.execute(
            insert(RecordRow),
            {
                "id": record_id,
                "tenant_id": site.tenant_id,
                "site_id": site.id,
                "created_at": at,
                "visitor_id": identity.visitor_id,
                "document": canonical.decode(),
                "signature": signature.value,
                "key_id": signature.key_id,
                "salt": secrets.token_bytes(SALT_BYTES),
                "idempotency_hash": request.key_hash if request else None,
                "request_hash": request.body_hash if request else None,
            },
        )
        expires_at = expiry(at, rule)
        state = {
            "sequence": identity.sequence,
            "record_id": record_id,
            "notice_version": notice.version,
            "expires_at": expires_at,
            "gpc": circumstances.gpc,
            "choices": "~".join(tokens.write_states(states)),
        }
        if before:
            connection.execute(
                update(CurrentStateRow)
                .where(_is_visitor(site, identity.visitor_id))
                .values(**state, changed_ms=database_ms())
            )
        else:
            connection.execute(
                insert(CurrentStateRow),
                {
                    "site_id": site.id,
                    "visitor_id": identity.visitor_id,
                    "tenant_id": site.tenant_id,
                    **state,
                },
            )
        claims = Claims(
            site_key=site.site_key,
            visitor_id=identity.visitor_id,
            record_id=str(record_id),
            sequence=identity.sequence,
            notice_version=notice.version,
            issued_at=int(at.timestamp()),
            expires_at=int(expires_at.timestamp()),
            gpc=circumstances.gpc,
            choices=states,
        )
        return Recorded(content, claims, self.write_token(claims))

    def _replay(self, site: Site, visitor: Claims | None, request: Request) -> Recorded:
        """Answer a retry with the record that its first try made."""
        with self._database.reading() as connection:
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
            # A first try without a token made a new visitor, whose token may have got lost with
            # the answer. In every other case the caller must be that visitor.
            if not (
                visitor.visitor_id == record["visitor_id"]
                if visitor
                else record["previous_id"] is None
            ):
                raise IdempotencyKeyReused
            state = _find_state(connection, site, record["visitor_id"])
        if state is None or state.record_id is None:
            raise UnknownVisitor
        claims = _claims(site, state)
        return Recorded(record, claims, self.write_token(claims))

    def history(self, site: Site, token: str | None) -> list[dict[str, Any]]:
        """Return all records of the visitor who holds the token, newest first.

        :raises UnknownVisitor: when the token is not valid or everything was erased
        """
        visitor = self._known(site, token)
        with self._database.reading() as connection:
            documents = connection.execute(
                select(_records.document).where(
                    _records.tenant_id == site.tenant_id,
                    _records.site_id == site.id,
                    _records.visitor_id == visitor.visitor_id,
                )
            ).scalars()
            found = [json.loads(document) for document in documents if document]
        if not found:
            raise UnknownVisitor
        # Not by time: clocks of nodes differ, and are set back.
        return sorted(found, key=itemgetter("sequence"), reverse=True)

    def erase(self, site: Site, token: str | None) -> int:
        """Empty all records of the visitor who holds the token; return how many.

        What stays is that a record existed and when it was erased, and for the gate the visitor's
        random id with nothing attached, so that tokens still about are known to be void.

        :raises UnknownVisitor: when the token is not valid or everything was erased before
        """
        visitor = self._known(site, token)
        with self._database.transaction() as connection:
            if _lock_state(connection, site, visitor) is None:
                raise UnknownVisitor
            erased = connection.execute(
                update(RecordRow)
                .where(
                    _records.tenant_id == site.tenant_id,
                    _records.site_id == site.id,
                    _records.visitor_id == visitor.visitor_id,
                )
                .values(
                    visitor_id=None,
                    document=None,
                    signature=None,
                    key_id=None,
                    salt=None,
                    idempotency_hash=None,
                    request_hash=None,
                    erased_at=clock.now(),
                )
            )
            connection.execute(
                update(CurrentStateRow)
                .where(_is_visitor(site, visitor.visitor_id))
                .values(
                    record_id=None,
                    notice_version=None,
                    expires_at=None,
                    gpc=False,
                    choices="",
                    changed_ms=database_ms(),
                )
            )
        return erased.rowcount

    def receipt(self, record_id: UUID, proof: str) -> Receipt:
        """Return a record with its signature to whoever holds its receipt link.

        :param proof: the link's signature
        :raises UnknownRecord: when there is no such record, or the link is not whole
        """
        if not self._keys.signer(RECEIPT_SALT).verify_signature(str(record_id), proof):
            raise UnknownRecord
        with self._database.reading() as connection:
            row = connection.execute(
                select(_records.document, _records.key_id, _records.signature).where(
                    _records.id == record_id
                )
            ).one_or_none()
        if row is None or row.document is None:
            raise UnknownRecord
        return Receipt(json.loads(row.document), row.key_id, row.signature)

    def receipt_proof(self, record_id: str) -> str:
        """Return the signature that makes a receipt link."""
        return self._keys.signer(RECEIPT_SALT).get_signature(record_id).decode()

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
        with self._database.reading() as connection:
            state = _find_state(connection, site, claims.visitor_id)
        if state is None:
            return Absent.UNKNOWN
        return Absent.ERASED if state.record_id is None else _claims(site, state)

    def _known(self, site: Site, token: str | None) -> Claims:
        claims = self.read_token(site, token)
        if claims is None:
            raise UnknownVisitor
        return claims


def _request(decision: Decision, idempotency_key: str) -> Request:
    return Request(sha256(idempotency_key.encode()), sha256(canonical_json(asdict(decision))))


def _is_visitor(site: Site, visitor_id: str) -> ColumnElement[bool]:
    return and_(
        _states.tenant_id == site.tenant_id,
        _states.site_id == site.id,
        _states.visitor_id == visitor_id,
    )


def _find_state(connection: Connection, site: Site, visitor_id: str) -> Row[Any] | None:
    query = select(CurrentStateRow.__table__).where(_is_visitor(site, visitor_id))
    return connection.execute(query).one_or_none()


def _lock_state(connection: Connection, site: Site, visitor: Claims) -> Row[Any] | None:
    """Return the visitor's state, held until the transaction ends; None if unknown or erased."""
    query = select(CurrentStateRow.__table__).where(_is_visitor(site, visitor.visitor_id))
    state = connection.execute(query.with_for_update()).one_or_none()
    return None if state is None or state.record_id is None else state


def _states_of(state: Row[Any]) -> dict[str, str]:
    return tokens.read_states(state.choices.split("~")) if state.choices else {}


def _claims(site: Site, state: Row[Any]) -> Claims:
    return Claims(
        site_key=site.site_key,
        visitor_id=state.visitor_id,
        record_id=str(state.record_id),
        sequence=state.sequence,
        notice_version=state.notice_version,
        issued_at=int(clock.now().timestamp()),
        expires_at=int(state.expires_at.timestamp()),
        gpc=state.gpc,
        choices=_states_of(state),
    )
