"""How a receipt is written. Pure; ``docs/verifying.md`` says how it is checked.

Every byte of what a receipt says is under a signature: the record's own, made when the choice was,
and the receipt's, made when it was given out, over all the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from itsdangerous.encoding import base64_encode

from consent_service.clock import rfc3339
from consent_service.consents.record import signature_out
from consent_service.ledger.checkpoint import Proof
from consent_service.signing import Signature, canonical_json

#: Changes when a member of a receipt is added, removed or gets another meaning.
SCHEMA_VERSION = 1

RECEIPT = "consent_receipt"
ERASED = "erasure_receipt"


def receipt(  # noqa: PLR0913 - these are what a receipt is made of
    *,
    described: Mapping[str, Any],
    record: Mapping[str, Any],
    signature: Signature,
    salt: bytes,
    proof: Proof | None,
    at: datetime,
) -> dict[str, Any]:
    """Return the receipt of a record, to be signed.

    :param described: the record in terms of ISO/IEC TS 27560 and DPV, as JSON-LD
    :param proof: None while the record waits to be put into the ledger
    """
    return {
        **described,
        **_evidence(RECEIPT, signature, salt, proof, at),
        "record": record,
    }


def erasure_receipt(
    *,
    tombstone: Mapping[str, Any],
    signature: Signature,
    salt: bytes,
    proof: Proof | None,
    at: datetime,
) -> dict[str, Any]:
    """Return the receipt of a record that was erased, to be signed: that it was, and why."""
    return {**_evidence(ERASED, signature, salt, proof, at), "tombstone": tombstone}


def signed(document: Mapping[str, Any], sign: Callable[[bytes], Signature]) -> dict[str, Any]:
    """Return a receipt with its own signature, over the canonical form of all else in it."""
    return {**document, "receipt_signature": signature_out(sign(canonical_json(document)))}


def _evidence(
    kind: str, signature: Signature, salt: bytes, proof: Proof | None, at: datetime
) -> dict[str, Any]:
    return {
        "receipt_version": SCHEMA_VERSION,
        "type": kind,
        "issued_at": rfc3339(at),
        "signature": signature_out(signature),
        "salt": base64_encode(salt).decode(),
        "proof": str(proof) if proof else None,
    }
