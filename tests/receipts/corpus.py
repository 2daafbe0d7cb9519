"""Receipts that each verifier must judge in the same way, for the same reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from consent_service.ledger.checkpoint import origin_of
from consent_service.receipts.document import ERASED
from tests.receipts.forge import (
    FORGER,
    NEW,
    OLD,
    RECORD,
    TENANT,
    TOMBSTONE,
    WITNESS,
    WITNESS_NAME,
    Forge,
    Log,
    filled,
    jwks,
)


@dataclass(frozen=True)
class Case:
    """A file, the keys that it is checked with, and what must come of it."""

    name: str
    file: bytes
    #: ``proven``, ``signed``, ``erased``, or the step and the reason of a refusal.
    expected: str
    keys: tuple[str, ...] = (jwks(),)
    witnesses: tuple[str, ...] = ()
    #: By witness, when it cosigned; and how many others there are.
    cosigned: tuple[tuple[str, int | None], ...] = ()
    others: int = 0


COMPROMISED = {"revoked": {"revoked_at": 1772000000, "reason": "compromised"}}
LOST = {"revoked": {"revoked_at": 1772000000, "reason": "lost"}}

GOOD = Forge().proven()
WAITING = Forge()
ERASURE = Forge(TOMBSTONE, ERASED).proven()
TEXT = str(GOOD.proof)
NOTE = filled(GOOD.entry).proof(4).note
COSIGNED = GOOD.proven(WITNESS.cosign(NOTE.text, WITNESS_NAME))


def with_proof(proof: Any, **changes: Any) -> bytes:  # noqa: ANN401
    """Return the good receipt with another proof, signed as the service would."""
    return replace(GOOD, proof=proof, **changes).file()


def cases() -> Iterator[Case]:
    """Give all cases that are not about proofs or keys."""
    yield from _good()
    yield from _files()
    yield from _forms()
    yield from _changed()


def _good() -> Iterator[Case]:
    yield Case("proven", GOOD.file(), "proven")
    yield Case("proven, in ASCII and over lines", GOOD.file(ensure_ascii=True, indent=2), "proven")
    yield Case("proven, as canonical JSON", GOOD.file(sort_keys=True), "proven")
    yield Case(
        "escapes that need not be", GOOD.file().replace(b"consent-s", b"consent\\u002ds"), "proven"
    )
    yield Case("waiting", WAITING.file(), "signed")
    yield Case("erased", ERASURE.file(), "erased")
    yield Case("an erasure that waits", replace(ERASURE, proof=None).file(), "signed")
    alone = Log([GOOD.entry])
    yield Case("a log of one", with_proof(alone.proof(0)), "proven")
    for index, size in ((0, 2), (6, 7), (127, 200), (199, 200)):
        there = filled(GOOD.entry, index, size).proof(index)
        yield Case(f"leaf {index} of {size}", with_proof(there), "proven")
    second = replace(filled(GOOD.entry), origin=origin_of(TENANT, 2))
    yield Case("the tenant's second ledger", with_proof(second.proof(4)), "proven")


def _files() -> Iterator[Case]:
    file = GOOD.file()
    for name, changed, code in (
        ("empty", b"", "not_json"),
        ("nothing but space", b" \n", "not_json"),
        ("no object", b"[]", "not_a_receipt"),
        ("null", b"null", "not_a_receipt"),
        ("a record with its signature", b'{"record": {}, "signature": {}}', "not_a_receipt"),
        ("cut off", file[:-1], "not_json"),
        ("something after it", file + b"x", "not_json"),
        ("another after it", file + file, "not_json"),
        ("space around it", b"\r\n\t " + file + b"\n", None),
        ("a space of another kind", file + b"\x0b", "not_json"),
        ("a byte order mark", b"\xef\xbb\xbf" + file, "not_json"),
        ("UTF-16", file.decode().encode("utf-16"), "not_utf8"),
        ("half a character in UTF-8", file.replace("é".encode(), b"\xc3"), "not_utf8"),
        ("a long way to write a slash", file.replace(b"/", b"\xc0\xaf", 1), "not_utf8"),
        ("a surrogate in UTF-8", file.replace("é".encode(), b"\xed\xa0\x80"), "not_utf8"),
        ("half a character", file.replace("é".encode(), b"\\ud83d"), "not_json"),
        ("halves turned about", file.replace("é".encode(), b"\\ude00\\ud83d"), "not_json"),
        ("an escape in upper case", file.replace("é".encode(), b"\\u00E9"), "not_json"),
        ("an escape", file.replace("é".encode(), b"\\u00e9"), None),
        ("two halves", file.replace("\U0001f600".encode(), b"\\ud83d\\ude00"), None),
        ("a wrong escape", file.replace("é".encode(), b"\\x41"), "not_json"),
        ("a control character", file.replace("é".encode(), b"\x1f"), "not_json"),
        ("the delete character", file.replace("é".encode(), b"\x7f"), "receipt_signature"),
        ("a comma too many", file[:-1] + b",}", "not_json"),
        ("single quotes", file.replace(b'"', b"'"), "not_json"),
        ("a comment", file + b"//", "not_json"),
        ("a fraction", file.replace(b'sequence": 2', b'sequence": 2.0'), "not_json"),
        ("an exponent", file.replace(b'sequence": 2', b'sequence": 2e0'), "not_json"),
        ("minus nought", file.replace(b'sequence": 2', b'sequence": -0'), "not_json"),
        ("a leading nought", file.replace(b'sequence": 2', b'sequence": 02'), "not_json"),
        ("2 ** 53", file.replace(b'sequence": 2', b'sequence": 9007199254740992'), "not_json"),
        ("a long number", file.replace(b'sequence": 2', b'sequence": ' + b"9" * 5000), "not_json"),
        ("NaN", file.replace(b'sequence": 2', b'sequence": NaN'), "not_json"),
        ("a name twice", b'{"salt": "",' + file[1:], "duplicate_key"),
        ("a name twice, escaped", b'{"s\\u0061lt": "",' + file[1:], "duplicate_key"),
        ("a name twice, inside", file.replace(b'"sequence"', b'"id": 1, "id"'), "duplicate_key"),
        ("a prototype twice", b'{"__proto__": 1, "__proto__": 1,' + file[1:], "duplicate_key"),
        ("32 levels", file.replace(b"[]", b"[" * 30 + b"]" * 30), "receipt_signature"),
        ("33 levels", file.replace(b"[]", b"[" * 31 + b"]" * 31), "not_json"),
        ("a hundred thousand levels", b"[" * 100_000, "not_json"),
        ("a megabyte", file + b" " * ((1 << 20) - len(file)), None),
        ("more than a megabyte", file + b" " * ((1 << 20) - len(file) + 1), "too_large"),
    ):  # fmt: skip
        if code is None:
            yield Case(name, changed, "proven")
        elif code == "receipt_signature":
            yield Case(name, changed, "receipt_signature: wrong_signature")
        else:
            yield Case(name, changed, f"file: {code}")


def _forms() -> Iterator[Case]:
    good = GOOD.made()
    wrong: dict[str, tuple[Any, ...]] = {
        "type": (..., "receipt", ERASED, None),
        "issued_at": (..., "2026-03-01", "2026-03-01T09:31:00Z", "٢٠٢٦-03-01T09:31:00.000Z", 1),
        "salt": (..., None, "=", "AA==", "AB", "A", "+/+/", 3),
        "proof": (..., 1, []),
        "tombstone": (TOMBSTONE, None),
        "record": (..., None, [], TOMBSTONE),
        "signature": (
            ...,
            None,
            "",
            good["signature"] | {"more": 1},
            good["signature"] | {"algorithm": "none"},
            good["signature"] | {"algorithm": "EdDSA"},
            good["signature"] | {"key_id": "abc"},
            good["signature"] | {"value": good["signature"]["value"][:-1]},
            good["signature"] | {"value": good["signature"]["value"] + "=="},
            {"algorithm": "Ed25519", "key_id": OLD.id},
        ),
    }
    for member, values in wrong.items():
        for number, value in enumerate(values):
            name = f"{member} has the wrong form {number}"
            yield Case(name, replace(GOOD, members={member: value}).file(), "file: wrong_form")
    for version in (2, 0, "1", True, None, [1]):
        name = f"receipt_version is {version!r}"
        file = replace(GOOD, members={"receipt_version": version}).file()
        yield Case(name, file, "file: unknown_version")
    odd: dict[str, tuple[Any, ...]] = {
        "schema_version": (2, True, "1"),
        "id": ("", "019CB0F4-2A40-7C3E-9D5A-6F1F0E3B7C21", 1),
        "tenant_id": (None, TENANT[:-1], TENANT + "\n"),
        "created_at": ("today",),
        "site_key": ("", 1),
        "choices": ([], None, {"analytics": 1}, {"analytics": None}),
    }
    for member, values in odd.items():
        for value in values:
            file = replace(GOOD, content={**RECORD, member: value}).file()
            yield Case(f"record.{member} is {value!r}", file, "file: wrong_form")
    for member in TOMBSTONE:
        file = replace(ERASURE, content={**TOMBSTONE, member: None}).file()
        yield Case(f"tombstone.{member} is null", file, "file: wrong_form")
    yield Case(
        "a record as a tombstone", replace(ERASURE, content=RECORD).file(), "file: wrong_form"
    )
    yield Case(
        "a tombstone as a record", replace(GOOD, content=TOMBSTONE).file(), "file: wrong_form"
    )


def _changed() -> Iterator[Case]:
    """Give what was changed after it was signed, or signed by who has no business to."""
    made = GOOD.made()

    def written(**changes: Any) -> bytes:  # noqa: ANN401
        return json.dumps({**made, **changes}).encode()

    refused = "receipt_signature: wrong_signature"
    choices = {**RECORD, "choices": {"session": True, "analytics": True}}
    yield Case("another choice", written(record=choices), refused)
    yield Case("no proof any more", written(proof=None), refused)
    yield Case("one more member", written(more=1), refused)
    yield Case("another time", written(issued_at="2027-03-01T09:31:00.000Z"), refused)
    other = replace(GOOD, salt=bytes(32)).made()
    yield Case(
        "another's signature", written(receipt_signature=other["receipt_signature"]), refused
    )
    named = made["receipt_signature"] | {"key_id": OLD.id}
    yield Case("another key's name", written(receipt_signature=named), refused)

    stranger = "receipt_signature: unknown_key"
    yield Case("signed by nobody known", replace(GOOD, receipt_signer=FORGER).file(), stranger)
    inside = "record_signature: unknown_key"
    yield Case(
        "a record signed by nobody known", replace(GOOD, record_signer=FORGER).file(), inside
    )
    swapped = replace(GOOD, members={"record": choices}).file()
    yield Case("another record under the signature", swapped, "record_signature: wrong_signature")
    signature = {**made["signature"], "key_id": NEW.id}
    yield Case(
        "the record's signature under another key's name",
        replace(GOOD, members={"signature": signature}).file(),
        "record_signature: wrong_signature",
    )
    for size in (0, 31, 33):
        salted = replace(GOOD, salt=bytes(size))
        yield Case(f"a salt of {size} bytes", salted.file(), "commitment: wrong_salt")
    yield Case("another salt", replace(GOOD, salt=bytes(32)).file(), "inclusion: not_included")
