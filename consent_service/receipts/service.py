"""Hand out receipts: what was recorded, that it was signed, and that the ledger holds it.

What callers may rely on: a receipt is checked before it is handed out, as those who receive it will
check it. What would not pass is not handed out, and is logged.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from consent_service import clock
from consent_service.consents.held import (
    Buried,
    Kept,
    held_for_link,
    held_for_visitor,
    history_of,
)
from consent_service.consents.service import Consents
from consent_service.db import Database
from consent_service.errors import ProofBroken, UnknownRecord
from consent_service.ledger.checkpoint import Proof
from consent_service.ledger.merkle import leaf_hash, verify_inclusion
from consent_service.ledger.service import LedgerBroken, prove
from consent_service.ledger.signatures import sign_checkpoint
from consent_service.notices.history import content_as_hashed
from consent_service.receipts import document
from consent_service.receipts.describe import describe
from consent_service.signing import Keyring, sha256
from consent_service.tenants.service import Site, site_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Receipt:
    """What is known under a record's id, and proved.

    :ivar content: what the record's notice says; None where its hash is not the record's
    :ivar proof: None while the record waits to be put into the ledger
    :ivar at: when this was put together
    """

    held: Kept | Buried
    site: Site
    content: Mapping[str, Any] | None
    proof: Proof | None
    at: datetime


@dataclass(frozen=True)
class Neighbours:
    """The visitor's records before and after one: their ids."""

    previous: str | None = None
    next: str | None = None


class Receipts:
    """Receipts of visitors' records."""

    def __init__(self, database: Database, keys: Keyring, consents: Consents) -> None:
        """Take what is needed."""
        self._database = database
        self._keys = keys
        self._consents = consents

    def for_link(self, tenant_id: UUID | None, record_id: UUID, proof: str) -> Receipt:
        """Return the receipt of a record to whoever holds its receipt link.

        :param proof: the link's signature
        :raises UnknownRecord: when there is no such record, or the link is not whole
        :raises ProofBroken: when it would not verify
        :raises Unavailable: when the database does not answer
        """
        return self._receipt(held_for_link(self._database, self._keys, tenant_id, record_id, proof))

    def for_visitor(self, site: Site | None, record_id: UUID, token: str | None) -> Receipt:
        """Return the receipt of a record to whoever holds a token of its visitor.

        :param site: None when there is no such site
        :raises UnknownRecord: when there is no such record, or it is none of this visitor's
        :raises ProofBroken: when it would not verify
        :raises Unavailable: when the database does not answer
        """
        if site is None:
            raise UnknownRecord
        return self._receipt(
            held_for_visitor(self._database, self._consents, site, record_id, token)
        )

    def document(self, receipt: Receipt) -> dict[str, Any]:
        """Return a receipt as it is handed out: signed, in the form of ``docs/verifying.md``."""
        held = receipt.held
        evidence: dict[str, Any] = {
            "signature": held.signature,
            "salt": held.salt,
            "proof": receipt.proof,
            "at": receipt.at,
        }
        if isinstance(held, Buried):
            made = document.erasure_receipt(tombstone=held.document, **evidence)
        else:
            described = describe(
                held.document,
                site_name=receipt.site.name,
                previous=held.previous,
                content=receipt.content,
            )
            made = document.receipt(described=described, record=held.document, **evidence)
        return document.signed(made, self._keys.sign)

    def neighbours(self, receipt: Receipt, token: str | None) -> Neighbours:
        """Return what is before and after a record, to whoever holds a token of its visitor."""
        history = history_of(self._consents, receipt.site, token)
        known = {each["id"]: each for each in history}
        record_id = str(receipt.held.record_id)
        if record_id not in known:
            return Neighbours()
        previous = known[record_id]["previous_id"]
        after = (each["id"] for each in history if each["previous_id"] == record_id)
        return Neighbours(previous if previous in known else None, next(after, None))

    def _receipt(self, held: Kept | Buried) -> Receipt:
        site = site_of(self._database, held.tenant_id, held.document["site_key"])
        content = None
        if isinstance(held, Kept):
            record = held.document
            content = content_as_hashed(
                self._database, site, record["notice_version"], record["notice_hash"]
            )
            if content is None:
                log.error(
                    "a record's notice is not what the record names",
                    extra={"record": str(held.record_id), "version": record["notice_version"]},
                )
        return Receipt(held, site, content, self._proof(held), clock.now())

    def _proof(self, held: Kept | Buried) -> Proof | None:
        """Return what the ledger says, having checked all that a verifier will.

        :raises ProofBroken: when a part of it is not right
        """
        try:
            self._check_document(held)
            erased = isinstance(held, Buried)
            proof = prove(self._database, held.tenant_id, held.record_id, tombstone=erased)
            if proof is not None:
                _check_inclusion(held.commitment, proof)
                proof = replace(proof, note=sign_checkpoint(self._keys, proof.note))
        except LedgerBroken:
            log.exception("a receipt is withheld", extra={"record": str(held.record_id)})
            raise ProofBroken from None
        return proof

    def _check_document(self, held: Kept | Buried) -> None:
        if not self._keys.verify(held.canonical, held.signature):
            raise LedgerBroken("the signature is not one of ours over what is stored")
        if sha256(held.salt + held.canonical) != held.commitment:
            raise LedgerBroken("salt and document do not give the commitment")


def _check_inclusion(commitment: bytes, proof: Proof) -> None:
    """Check that a proof is of this commitment, and not only of what the ledger has there.

    :raises LedgerBroken: when it is not
    """
    checkpoint = proof.checkpoint
    try:
        verify_inclusion(
            entry_hash=leaf_hash(commitment),
            index=proof.index,
            size=checkpoint.size,
            proof=proof.hashes,
            root=checkpoint.root,
        )
    except ValueError as error:
        raise LedgerBroken(f"the ledger holds another commitment: {error}") from error
