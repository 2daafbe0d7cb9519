"""The same of proofs, of keys, and of witnesses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

from consent_service.ledger.checkpoint import Checkpoint, Proof, SignedNote, origin_of
from consent_service.ledger.merkle import leaf_hash, node_hash, root_of
from consent_service.signing import sha256
from tests.receipts.corpus import (
    COMPROMISED,
    COSIGNED,
    GOOD,
    LOST,
    NOTE,
    TEXT,
    WAITING,
    Case,
    with_proof,
)
from tests.receipts.forge import (
    FORGER,
    NEW,
    OLD,
    RECORD,
    STRANGER,
    TENANT,
    WITNESS,
    WITNESS_KEY,
    WITNESS_NAME,
    Log,
    base64,
    entry_of,
    filled,
    jwks,
)


def cases() -> Iterator[Case]:
    """Give all cases."""
    yield from _proofs()
    yield from _keys()
    yield from _compromised()
    yield from _witnesses()


def _proofs() -> Iterator[Case]:
    proof = filled(GOOD.entry).proof(4)
    head, signed, _ = TEXT.split("\n\n")
    lines = TEXT.split("\n")
    zeros = base64(bytes(32))
    loose = lines[2][:-2] + chr(ord(lines[2][-2]) + 1) + "="

    def text(name: str, changed: str, expected: str = "proof: not_a_proof") -> Case:
        assert changed != TEXT, name
        return Case(name, with_proof(changed), expected)

    yield text("no text", "")
    yield text("another version", TEXT.replace("@v1", "@v2"))
    yield text("lines of another system", TEXT.replace("\n", "\r\n"))
    yield text("no end", TEXT[:-1])
    yield text("an end too many", TEXT + "\n")
    yield text("no signatures", f"{head}\n\n{signed}\n\n")
    yield text("no empty line", TEXT.replace("\n\n", "\n", 1))
    yield text("an empty line too many", TEXT.replace("\n\n", "\n\n\n", 1))
    yield text("something extra", TEXT.replace("index", "extra AAAA\nindex"))
    yield text("a further line", TEXT.replace(f"{signed}\n", f"{signed}\nmore\n"))
    yield text("no index", TEXT.replace("index 4\n", ""))
    for index in ("04", "-1", "+4", "4.0", "٤", "", "9007199254740992", "1" * 400):
        yield text(f"index {index[:20]!r}", TEXT.replace("index 4", f"index {index}"))
    for size in ("07", "-7", "7e0", "", "9007199254740992"):
        yield text(f"size {size!r}", TEXT.replace("\n7\n", f"\n{size}\n"))
    yield text("a short hash", TEXT.replace(lines[2], base64(bytes(31))))
    yield text("a hash not quite in base64", TEXT.replace(lines[2], loose))
    yield text("a hash without padding", TEXT.replace(lines[2], lines[2][:-1]))
    yield text("a hyphen for the dash", TEXT.replace("—", "-"))
    yield text("a plus in a name", f"{TEXT}— a+b {zeros}\n")
    yield text("a name not in ASCII", f"{TEXT}— ä {zeros}\n")
    yield text("a space in a name", f"{TEXT}— a b {zeros}\n")
    yield text("a signature of four bytes", f"{TEXT}— a {base64(bytes(4))}\n")
    yield text("a signature that is none", f"{TEXT}— a !\n")

    theirs = replace(filled(GOOD.entry), origin=origin_of(STRANGER))
    yield Case("another tenant's proof", with_proof(theirs.proof(4)), "proof: other_tenant")
    for origin in (
        f"consent-service/{TENANT}",
        f"consent-service/{TENANT}/0",
        f"consent-service/{TENANT}/01",
        f"consent-service/{TENANT}/1/1",
        f"consent-service/{TENANT.upper()}/1",
        f"x/{TENANT}/1",
        TENANT,
    ):
        odd = replace(filled(GOOD.entry), origin=origin)
        yield Case(f"the origin {origin}", with_proof(odd.proof(4)), "proof: other_tenant")
    yield text(
        "an index as large as the log", TEXT.replace("index 4", "index 7"), "proof: index_too_large"
    )
    nothing = Checkpoint(origin_of(TENANT), 0, root_of(()))
    empty = SignedNote(nothing.text, (OLD.line(nothing.text, nothing.origin),))
    yield Case(
        "an empty log",
        with_proof(replace(proof, index=0, hashes=(), note=empty)),
        "proof: index_too_large",
    )

    out = "inclusion: not_included"
    larger = filled(GOOD.entry, 4, 8).proof(4).note
    for name, changed in (
        ("a truncated proof", replace(proof, hashes=proof.hashes[:-1])),
        ("a proof without hashes", replace(proof, hashes=())),
        ("a surplus hash", replace(proof, hashes=(*proof.hashes, bytes(32)))),
        ("hashes in another order", replace(proof, hashes=proof.hashes[::-1])),
        ("another index", replace(proof, index=5)),
        ("a proof of another leaf", filled(GOOD.entry).proof(3)),
        ("a proof of the leaf with another index", replace(filled(GOOD.entry).proof(3), index=4)),
        ("a log that never held it", filled(sha256(b"")).proof(4)),
        ("the checkpoint of another size", replace(proof, note=larger)),
    ):
        yield Case(name, with_proof(changed), out)
    fork = Log([*filled(GOOD.entry).entries[:4], sha256(b"fork"), *filled(GOOD.entry).entries[5:]])
    yield Case("a checkpoint of a fork", with_proof(replace(proof, note=fork.proof(4).note)), out)
    # Trees that are no trees, as only their operator could sign them.
    hashes = proof.hashes
    half = _climbed(leaf_hash(GOOD.entry), hashes[:2])
    yield Case("a node for the root", with_proof(_rooted(hashes[:2], half)), out)
    above = node_hash(bytes(32), proof.checkpoint.root)
    yield Case("a root above the root", with_proof(_rooted((*hashes, bytes(32)), above)), out)
    # The hash of a node passed for a leaf's: the leaves' own prefix keeps them apart.
    entry = entry_of(RECORD, GOOD.salt)
    yield Case("a tree whose leaf is the entry itself", with_proof(_unprefixed(entry)), out)


def _rooted(hashes: tuple[bytes, ...], root: bytes) -> Proof:
    """Prove leaf 4 of 7 with hashes that lead to this root."""
    head = Checkpoint(origin_of(TENANT), 7, root)
    return Proof(4, hashes, SignedNote(head.text, (OLD.line(head.text, head.origin),)))


def _climbed(found: bytes, hashes: tuple[bytes, ...]) -> bytes:
    """Climb from leaf 4 of 7, which is a left child twice."""
    for each in hashes:
        found = node_hash(found, each)
    return found


def _unprefixed(entry: bytes) -> Proof:
    head = Checkpoint(origin_of(TENANT), 1, entry)
    note = SignedNote(head.text, (OLD.line(head.text, head.origin),))
    return replace(filled(entry).proof(4), index=0, hashes=(), note=note)


def _keys() -> Iterator[Case]:
    file = GOOD.file()
    by_old = filled(GOOD.entry).proof(4, (OLD,))
    by_new = filled(GOOD.entry).proof(4, (NEW,))
    by_forger = filled(GOOD.entry).proof(4, (FORGER,))
    in_log = "checkpoint_signature"

    yield Case("a checkpoint by nobody known", with_proof(by_forger), f"{in_log}: unknown_key")
    line = by_old.note.signatures[0]._replace(value=FORGER.private.sign(b"x"))
    wrong = replace(by_old, note=SignedNote(by_old.note.text, (line,)))
    yield Case("a forged signature", with_proof(wrong), f"{in_log}: wrong_signature")
    both = replace(by_old, note=SignedNote(by_old.note.text, (*by_new.note.signatures, line)))
    yield Case(
        "a forged signature beside a good one", with_proof(both), f"{in_log}: wrong_signature"
    )
    cut = line._replace(value=line.value[:63])
    short = replace(by_old, note=SignedNote(by_old.note.text, (cut,)))
    yield Case("a short signature", with_proof(short), f"{in_log}: wrong_signature")
    named = OLD.line(by_old.note.text, "elsewhere")
    other = replace(by_old, note=SignedNote(by_old.note.text, (named,)))
    yield Case("the key under another name", with_proof(other), f"{in_log}: unknown_key")
    misnamed = by_old.note.signatures[0]._replace(name="elsewhere")
    other = replace(by_old, note=SignedNote(by_old.note.text, (misnamed,)))
    yield Case("the key's id under another name", with_proof(other), f"{in_log}: unknown_key")
    beside = filled(GOOD.entry).proof(4, (OLD, FORGER))
    yield Case("a key of the log that is not known", with_proof(beside), "proven")

    # Which keys the verifier has.
    yield Case(
        "one JWK", with_proof(by_old, receipt_signer=OLD), "proven", (json.dumps(OLD.jwk()),)
    )
    yield Case("two files", file, "proven", (json.dumps(OLD.jwk()), jwks(NEW.jwk())))
    unnamed = {name: value for name, value in OLD.jwk().items() if name not in {"kid", "use"}}
    yield Case("a JWK without a name", file, "proven", (jwks(unnamed, NEW.jwk()),))
    yield Case("keys of other kinds", file, "proven", (jwks(OLD.jwk(), {"kty": "RSA"}, NEW.jwk()),))
    note_keys = tuple(key.under(origin_of(TENANT)).text for key in (OLD, NEW))
    yield Case("keys as C2SP has them", file, "proven", note_keys)
    yield Case("keys as C2SP has them, in one file", file, "proven", ("\n".join(note_keys) + "\n",))
    elsewhere = tuple(key.under(origin_of(TENANT, 2)).text for key in (OLD, NEW))
    yield Case("keys of another log", file, f"{in_log}: unknown_key", elsewhere)
    third = tuple(key.under(origin_of(TENANT, 3)).text for key in (OLD, NEW))
    yield Case("keys of other logs", file, f"{in_log}: unknown_key", (*elsewhere, *third))
    yield Case("keys of two logs", file, "proven", (*note_keys, *elsewhere))
    yield Case("keys of a log and of any", file, "proven", (*elsewhere, jwks()))

    gone = "receipt_signature: unknown_key"
    yield Case("without the key", file, gone, (jwks(OLD.jwk()),))
    for change in (
        {"alg": "EdDSA"},
        {"alg": None},
        {"kty": "EC"},
        {"crv": "X25519"},
        {"use": "enc"},
        {"x": NEW.jwk()["x"] + "="},
        {"x": "AA"},
        {"kid": 1},
    ):
        yield Case(f"a key with {change}", file, gone, (jwks(OLD.jwk(), NEW.jwk(**change)),))
    renamed = (jwks(OLD.jwk(), FORGER.jwk(kid=NEW.id)),)
    forgery = replace(GOOD, receipt_signer=FORGER, members={}).made()
    forgery["receipt_signature"]["key_id"] = NEW.id
    yield Case(
        "a renamed key", json.dumps(forgery).encode(), "receipt_signature: renamed_key", renamed
    )
    hidden = (jwks(OLD.jwk(), NEW.jwk(), FORGER.jwk(kid=NEW.id)),)
    yield Case("a renamed key beside the right one", file, "receipt_signature: renamed_key", hidden)


def _compromised() -> Iterator[Case]:
    """Give what becomes of keys that somebody else may have had."""
    in_log = "checkpoint_signature"
    file = GOOD.file()
    by_old = filled(GOOD.entry).proof(4, (OLD,))
    forged = OLD.line(by_old.note.text, by_old.checkpoint.origin)._replace(value=bytes(64))
    both = filled(GOOD.entry).proof(4, (NEW,), forged)
    bad_new, bad_old = (
        jwks(OLD.jwk(), NEW.jwk(**COMPROMISED)),
        jwks(OLD.jwk(**COMPROMISED), NEW.jwk()),
    )
    yield Case("lost keys", file, "proven", (jwks(OLD.jwk(**LOST), NEW.jwk(**LOST)),))
    yield Case("a lost key, waiting", WAITING.file(), "signed", (jwks(OLD.jwk(**LOST), NEW.jwk()),))
    yield Case("revoked is null", file, "proven", (jwks(OLD.jwk(revoked=None), NEW.jwk()),))
    yield Case(
        "the receipt's key compromised", file, "receipt_signature: compromised_key", (bad_new,)
    )
    yield Case("the record's key compromised", file, "proven", (bad_old,))
    yield Case(
        "the record's key compromised, waiting",
        WAITING.file(),
        "record_signature: compromised_key",
        (bad_old,),
    )
    yield Case(
        "nothing but the compromised key under the checkpoint",
        with_proof(by_old),
        f"{in_log}: compromised_key",
        (bad_old,),
    )
    yield Case(
        "a forged signature of a compromised key beside a good one",
        with_proof(both),
        "proven",
        (bad_old,),
    )
    for revoked in ({"reason": "unspecified"}, {}, True, False, "lost", {"reason": ["lost"]}):
        keys = (jwks(OLD.jwk(revoked=revoked), NEW.jwk()),)
        yield Case(
            f"revoked is {revoked}", WAITING.file(), "record_signature: compromised_key", keys
        )
    twice = (jwks(OLD.jwk(**COMPROMISED), OLD.jwk(), NEW.jwk()),)
    yield Case("compromised and not", WAITING.file(), "record_signature: compromised_key", twice)


def _witnesses() -> Iterator[Case]:
    text, name = NOTE.text, WITNESS_NAME
    asked = (WITNESS_KEY,)
    when = WITNESS.cosign(text, name)
    at = int.from_bytes(when.value[:8])
    yield Case("nobody asked after", COSIGNED.file(), "proven", others=1)
    yield Case("cosigned", COSIGNED.file(), "proven", witnesses=asked, cosigned=((name, at),))
    yield Case("not cosigned", GOOD.file(), "proven", witnesses=asked, cosigned=((name, None),))
    two = GOOD.proven(FORGER.cosign(text, "other.example"), when, when)
    yield Case(
        "twice, and by another",
        two.file(),
        "proven",
        witnesses=asked,
        cosigned=((name, at),),
        others=1,
    )
    late = when._replace(value=(at + 1).to_bytes(8) + when.value[8:])
    refused = "checkpoint_signature: wrong_cosignature"
    yield Case("cosigned at another time", GOOD.proven(late).file(), refused, witnesses=asked)
    empty = when._replace(value=b"\0")
    yield Case("an empty cosignature", GOOD.proven(empty).file(), refused, witnesses=asked)
    yield Case("another time, unasked", GOOD.proven(late).file(), "proven", others=1)
    plain = when._replace(value=at.to_bytes(8) + WITNESS.private.sign(text.encode()))
    yield Case("a signature of another kind", GOOD.proven(plain).file(), refused, witnesses=asked)
    last = WITNESS.cosign(text, name, 2**64 - 1)
    yield Case(
        "the end of time",
        GOOD.proven(last).file(),
        "proven",
        witnesses=asked,
        cosigned=((name, 2**64 - 1),),
    )
