"""The form of a receipt and of its proof, and no other. Pure."""

from __future__ import annotations

import re
from typing import Any

from consent_service.ledger.checkpoint import Checkpoint, Proof
from consent_service.ledger.merkle import HASH_BYTES, ProofRefused
from consent_service.receipts.document import ERASED, RECEIPT, SCHEMA_VERSION
from consent_service.receipts.reading import MAX_INTEGER, Refused, from_base64url, read_json

#: Of records and tombstones.
_RECORD_VERSION = 1

_SIGNATURE_BYTES = 64

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")
_COMMITMENT = re.compile(r"[0-9a-f]{64}")
#: C2SP lets names have what is not ASCII, about whose spaces languages disagree.
_KEY_NAME = re.compile(r"[!-*,-~]+")


def read_receipt(file: bytes) -> dict[str, Any]:
    """Read a receipt. Members that are not looked at here are as the service signed them.

    :raises Refused: when it is none, is of another version, or has a member of another form
    """
    receipt = read_json(file)
    if not isinstance(receipt, dict) or "receipt_version" not in receipt:
        raise Refused("not_a_receipt", "It is no receipt: receipt_version is missing.")
    version = receipt["receipt_version"]
    if type(version) is not int or version != SCHEMA_VERSION:
        raise Refused(
            "unknown_version",
            f"Receipts of the version {str(version)[:20]} are not known here. Use a verifier that "
            "is as new as the receipt.",
        )
    if receipt.get("type") not in {RECEIPT, ERASED}:
        raise _wrong_form("type")
    if receipt["type"] == RECEIPT:
        name, other, has_form = "record", "tombstone", _is_record
    else:
        name, other, has_form = "tombstone", "record", _is_tombstone
    for member, is_right in (
        ("issued_at", _is_time),
        (name, has_form),
        ("signature", _is_signature),
        ("salt", lambda it: from_base64url(it) is not None),
        ("proof", lambda it: it is None or isinstance(it, str)),
        ("receipt_signature", _is_signature),
    ):
        if member not in receipt or not is_right(receipt[member]):
            raise _wrong_form(member)
    if other in receipt:
        raise _wrong_form(other)
    return receipt


def _wrong_form(member: str) -> Refused:
    return Refused("wrong_form", f"The member {member} is not as a receipt has it.")


def _is_signature(value: Any) -> bool:  # noqa: ANN401
    return (
        isinstance(value, dict)
        and value.keys() == {"algorithm", "key_id", "value"}
        and value["algorithm"] == "Ed25519"
        and from_base64url(value["key_id"], HASH_BYTES) is not None
        and from_base64url(value["value"], _SIGNATURE_BYTES) is not None
    )


def _is_record(value: Any) -> bool:  # noqa: ANN401
    choices = value.get("choices") if isinstance(value, dict) else None
    return (
        _has_version(value)
        and _matches(value, _UUID, "id", "tenant_id")
        and _matches(value, _TIME, "created_at")
        and _has_text(value, "site_key")
        and isinstance(choices, dict)
        and all(isinstance(each, bool) for each in choices.values())
    )


def _is_tombstone(value: Any) -> bool:  # noqa: ANN401
    return (
        _has_version(value)
        and value.get("type") == "tombstone"
        and _matches(value, _UUID, "record_id", "tenant_id")
        and _matches(value, _TIME, "created_at", "erased_at")
        and _matches(value, _COMMITMENT, "commitment")
        and _has_text(value, "site_key", "reason")
    )


def _has_version(value: Any) -> bool:  # noqa: ANN401
    version = value.get("schema_version") if isinstance(value, dict) else None
    return type(version) is int and version == _RECORD_VERSION


def _matches(value: dict[str, Any], pattern: re.Pattern[str], *members: str) -> bool:
    return all(
        isinstance(value.get(each), str) and pattern.fullmatch(value[each]) for each in members
    )


def _has_text(value: dict[str, Any], *members: str) -> bool:
    return all(isinstance(value.get(each), str) and value[each] for each in members)


def _is_time(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, str) and _TIME.fullmatch(value) is not None


def read_proof(text: str) -> tuple[Proof, Checkpoint]:
    """Read a proof and its checkpoint, written in the one way that the service writes them.

    :raises Refused: when the text is not just that
    """
    try:
        proof = Proof.parse(text)
        checkpoint = proof.checkpoint
    except ProofRefused as error:
        raise Refused("not_a_proof", f"It is no proof: {error}.") from error
    if str(proof) != text or checkpoint.text != proof.note.text:
        raise Refused("not_a_proof", "It is no proof: it has more than one has, or another form.")
    if max(proof.index, checkpoint.size) > MAX_INTEGER:
        raise Refused("not_a_proof", "It is no proof: a number is not below 2**53.")
    if not all(_KEY_NAME.fullmatch(each.name) for each in proof.note.signatures):
        raise Refused("not_a_proof", "It is no proof: the name of a key is not in ASCII.")
    return proof, checkpoint
