"""Whether a record, or a tombstone, is what was signed and put into the ledger. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import orjson

from consent_service.clock import rfc3339
from consent_service.signing import canonical_json, sha256

#: What each kind of problem means, for whoever has to mend it.
MEANINGS = {
    "chain_broken": "a record of the visitor was taken away, or this one was put in",
    "commitment_missing": "it cannot be proved to anybody; it was put in past the service",
    "commitment_wrong": "document, salt or commitment was changed after it was signed",
    "document_foreign": "the row was changed, or the document is another record's",
    "document_malformed": "this is not what the service writes: it was changed",
    "erasure_incomplete": "what had to be erased is still there, or was put back: erase it",
    "erasure_without_tombstone": "emptied past the service: nobody can say when and why",
    "key_unknown": "put the key back into the key file; a retired key stays in it",
    "leaf_differs": "the leaf or the record was changed after it was sequenced",
    "record_missing": "the record was deleted; a visitor who has its receipt can prove that it was",
    "record_twice": "the record has more than one place in the ledger",
    "record_unledgered": "nothing proves it: it was put in past the service, or its leaf is gone",
    "signature_wrong": "document or signature was changed after it was signed",
    "tombstone_foreign": "the tombstone was changed, or is another record's",
    "tombstone_missing": "nobody can say any more when and why the record was erased",
    "tombstone_twice": "the tombstone has more than one place in the ledger",
    "tombstone_unledgered": "nothing proves the erasure: its leaf is gone",
    "tombstone_without_erasure": "the record was put back after it had been erased: erase it",
}


class Problem(NamedTuple):
    """Something that is not right, and of which kind."""

    kind: str
    message: str


class Key(Protocol):
    """A public key."""

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Say whether the key has signed this."""


class Signed(Protocol):
    """A row with a signed document."""

    @property
    def document(self) -> str: ...  # noqa: D102
    @property
    def signature(self) -> bytes: ...  # noqa: D102
    @property
    def key_id(self) -> str: ...  # noqa: D102
    @property
    def salt(self) -> bytes: ...  # noqa: D102
    @property
    def commitment(self) -> bytes | None: ...  # noqa: D102


def read(document: str) -> dict[str, Any] | None:
    """Return what a document says; None when it is not written as ours are (RFC 8785)."""
    try:
        content = orjson.loads(document)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(content, dict) or canonical_json(content) != document.encode():
        return None
    return content


def of_signed(row: Signed, keys: Mapping[str, Key], entry: bytes) -> Iterator[Problem]:
    """Give what is wrong with a row's commitment and signature.

    :param entry: what the ledger has in the row's place
    """
    said = row.document.encode()
    if row.commitment is None or sha256((row.salt or b"") + said) != row.commitment:
        yield Problem("commitment_wrong", "salt and document do not give its commitment")
    if row.commitment != entry:
        yield Problem("leaf_differs", "has another commitment than its leaf")
    key = keys.get(row.key_id)
    if key is None:
        yield Problem("key_unknown", f"is signed with key {row.key_id}, which is not known here")
    elif not key.verifies(said, row.signature or b""):
        yield Problem("signature_wrong", f"has a signature by {row.key_id} that does not verify")


def of_record(
    row: Any,  # noqa: ANN401
    content: Mapping[str, Any] | None,
    site_key: str | None,
) -> Iterator[Problem]:
    """Give what a record's document says otherwise than its row.

    :param content: what :func:`read` made of it
    """
    yield from _differing(
        "document",
        content,
        {
            "id": str(row.id),
            "tenant_id": str(row.tenant_id),
            "site_key": site_key,
            "visitor_id": row.visitor_id,
            "created_at": rfc3339(row.created_at),
        },
    )


def of_tombstone(row: Any, record: Any, site_key: str | None) -> Iterator[Problem]:  # noqa: ANN401
    """Give what a tombstone says otherwise than its row, or than the record that it is of."""
    yield from _differing(
        "tombstone",
        read(row.document),
        {
            "type": "tombstone",
            "record_id": str(record.id),
            "tenant_id": str(record.tenant_id),
            "site_key": site_key,
            "created_at": rfc3339(record.created_at),
            "commitment": record.commitment.hex() if record.commitment else None,
            "erased_at": rfc3339(row.erased_at),
        },
    )


def of_chain(
    content: Mapping[str, Any],
    site_id: object,
    previous: Any | None,  # noqa: ANN401
) -> Iterator[Problem]:
    """Give what is wrong with a record's place among its visitor's.

    :param previous: the row of the record that it names as the one before, None if there is none
    """
    named, sequence = content.get("previous_id"), content.get("sequence")
    if named is None:
        if sequence != 1:
            said = f"is number {sequence} of its visitor's and names none before it"
            yield Problem("chain_broken", said)
    elif previous is None or previous.site_id != site_id:
        yield Problem("chain_broken", f"names {named} as the one before it, which is not there")
    elif previous.document is not None:
        before = read(previous.document) or {}
        if before.get("visitor_id") != content.get("visitor_id"):
            yield Problem("chain_broken", f"goes on from {named}, which is another visitor's")
        elif before.get("sequence") != (sequence or 0) - 1:
            said = f"is number {sequence}, and {named} before it number {before.get('sequence')}"
            yield Problem("chain_broken", said)


def _differing(
    what: str, content: Mapping[str, Any] | None, expected: Mapping[str, Any]
) -> Iterator[Problem]:
    if content is None:
        yield Problem("document_malformed", f"has a {what} that is not canonical JSON")
        return
    wrong = [name for name, value in expected.items() if content.get(name) != value]
    if wrong:
        said = ", ".join(wrong)
        yield Problem(f"{what}_foreign", f"has a {what} that says otherwise than its row: {said}")
