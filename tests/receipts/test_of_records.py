"""Receipts of records that a service made, proven by its ledger, before each verifier."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from consent_service import clock, signing
from consent_service.access.actor import OPERATOR
from consent_service.key_changes import revoke
from consent_service.key_file import Revoked
from consent_service.ledger.checkpoint import Proof
from consent_service.ledger.service import prove
from consent_service.receipts import document
from consent_service.receipts.public_keys import keys_of
from consent_service.receipts.verify import verify
from consent_service.signing import Keyring, Signature
from consent_service.tenants.service import create_tenant
from tests.builders import ORIGIN, SITE_KEY, Service
from tests.receipts import independent, javascript
from tests.receipts.javascript import Asked


@dataclass
class Desk:
    """Gives out receipts of a service's records."""

    service: Service
    folder: Path

    def sequence(self) -> None:
        """Put all that waits into the ledgers."""
        for tenant_id in {UUID(str(row["tenant_id"])) for row in self.service.rows("records")}:
            self.service.sequencer.sequence(tenant_id)

    def receipt(self, record_id: str, proof: Proof | None = None) -> bytes:
        """Give out the receipt of a record; with a proof of its own unless another is given."""
        (row,) = (
            it for it in self.service.rows("records") if UUID(str(it["id"])) == UUID(record_id)
        )
        made = document.receipt(
            described={"@type": "dpv:ConsentReceipt"},
            record=json.loads(row["document"]),
            signature=Signature(row["key_id"], bytes(row["signature"])),
            salt=bytes(row["salt"]),
            proof=proof or self.prove(row["tenant_id"], record_id),
            at=clock.now(),
        )
        return self._signed(made)

    def erasure_receipt(self, record_id: str) -> bytes:
        """Give out the receipt of an erased record."""
        (row,) = (
            it
            for it in self.service.rows("tombstones")
            if json.loads(it["document"])["record_id"] == record_id
        )
        made = document.erasure_receipt(
            tombstone=json.loads(row["document"]),
            signature=Signature(row["key_id"], bytes(row["signature"])),
            salt=bytes(row["salt"]),
            proof=self.prove(row["tenant_id"], record_id, tombstone=True),
            at=clock.now(),
        )
        return self._signed(made)

    def prove(self, tenant_id: object, record_id: str, *, tombstone: bool = False) -> Proof | None:
        """Return what the ledger proves."""
        database = self.service.built.database
        return prove(database, UUID(str(tenant_id)), UUID(record_id), tombstone=tombstone)

    def _signed(self, made: dict[str, Any]) -> bytes:
        return json.dumps(document.signed(made, self.service.use(Keyring).sign)).encode()

    def judge(self, *files: bytes) -> list[str]:
        """Return the answer to each file, which is the same of all verifiers."""
        jwks = self.service.client.get("/.well-known/jwks.json").get_json()
        keys = json.dumps(jwks)
        answers = []
        verdicts = javascript.judge((Asked(file, [keys]) for file in files), self.folder)
        for file, theirs in zip(files, verdicts, strict=True):
            found = verify(file, keys_of(jwks))
            answer = independent.check(file, independent.Keys(keys))
            step, code = (found.failed.id, found.failed.code) if found.failed else (None, None)
            assert answer.kind == theirs["kind"] == found.kind
            assert (answer.step, answer.code) == (step, code)
            answers.append(f"{step}: {code}" if step else found.kind)
        return answers


@pytest.fixture
def desk(service: Service, tmp_path: Path) -> Desk:
    """A desk of the service."""
    return Desk(service, tmp_path)


def record_of(answer: Any) -> str:  # noqa: ANN401
    """Return the id of the record that was made."""
    assert answer.status_code == 201
    return str(answer.get_json()["record"]["id"])


def test_a_choice_is_signed_at_once_proven_in_the_ledger_and_erased_for_good(desk: Desk) -> None:
    service = desk.service
    answer = service.choose(language="sw")
    record_id, token = record_of(answer), answer.get_json()["token"]
    waiting = desk.receipt(record_id)
    desk.sequence()
    first = desk.receipt(record_id)
    for _ in range(5):
        record_of(service.choose())
    signing.rotate(service.settings.keys_file, "record")
    service.use(Keyring).refresh()
    desk.sequence()
    later = desk.receipt(record_id)
    service.client.delete(
        f"/v1/sites/{SITE_KEY}/consents/me",
        headers={"X-Consent-Token": token, "Origin": ORIGIN},
    )
    buried = desk.erasure_receipt(record_id)
    desk.sequence()
    erased = desk.erasure_receipt(record_id)
    # What the visitor had saved before goes on to verify.
    answers = desk.judge(waiting, first, later, buried, erased)
    assert answers == ["signed", "proven", "proven", "signed", "erased"]


def test_a_proof_of_another_record_or_tenant_proves_nothing(desk: Desk) -> None:
    service = desk.service
    tenant = create_tenant(service.built.database, "other", "Other Ltd", by=OPERATOR)
    service.add_site("site_other", tenant)
    ours, beside = (record_of(service.choose()) for _ in range(2))
    theirs = record_of(service.choose(site_key="site_other"))
    desk.sequence()
    another = desk.prove(service.tenant.id, beside)
    foreign = desk.prove(tenant.id, theirs)
    answers = desk.judge(
        desk.receipt(theirs), desk.receipt(ours, another), desk.receipt(ours, foreign)
    )
    assert answers == ["proven", "inclusion: not_included", "proof: other_tenant"]


def test_a_fresh_receipt_is_proven_though_the_key_of_the_checkpoint_was_stolen(desk: Desk) -> None:
    service = desk.service
    made = service.choose().get_json()
    desk.sequence()
    before = service.client.get(made["receipt_url"]).data
    key_id = json.loads(before)["signature"]["key_id"]
    path = service.settings.keys_file
    revoke(path, "record", key_id, Revoked(clock.now(), "compromised"))
    service.use(Keyring).refresh()
    after = service.client.get(made["receipt_url"]).data
    assert json.loads(after)["signature"]["key_id"] == key_id
    assert desk.judge(before, after) == ["receipt_signature: compromised_key", "proven"]
