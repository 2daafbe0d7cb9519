"""Three verifiers, in two languages, judge receipts in the same way and for the same reason."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from consent_service.ledger.merkle import leaf_hash
from consent_service.receipts import reading
from consent_service.receipts.commands import as_document
from consent_service.receipts.public_keys import read_keys, read_witness
from consent_service.receipts.verify import STEPS, Verdict, verify
from consent_service.signing import sha256
from tests.receipts import corpus, corpus_of_proofs, independent, javascript
from tests.receipts.corpus import Case
from tests.receipts.forge import OLD, RECORD, Forge, filled, jwks
from tests.receipts.javascript import Asked

CASES = [*corpus.cases(), *corpus_of_proofs.cases()]


VECTORS = json.loads((Path(__file__).parents[1] / "vectors/receipt.json").read_bytes())


def judged(case: Case) -> Verdict:
    """Have the service's own verifier judge a case."""
    keys = read_keys(*(key.encode() for key in case.keys))
    return verify(case.file, keys, [read_witness(text) for text in case.witnesses])


def in_short(kind: str, step: str | None, code: str | None) -> str:
    """Return a judgement as a case expects it."""
    return kind if kind != "refused" else f"{step}: {code}"


def test_no_two_cases_have_one_name() -> None:
    names = [case.name for case in CASES]
    assert [name for name in names if names.count(name) > 1] == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_service_and_the_page_alone_come_to_the_expected_answer(case: Case) -> None:
    found = judged(case)
    check_steps(found)
    failed = found.failed
    assert in_short(found.kind, failed and failed.id, failed and failed.code) == case.expected

    answer = independent.check(case.file, independent.Keys(*case.keys), case.witnesses)
    assert in_short(answer.kind, answer.step, answer.code) == case.expected

    if found.kind != "refused":
        assert found.witnesses == case.cosigned
        assert found.unknown_witnesses == case.others
        assert (tuple(answer.cosigned.items()), answer.others) == (case.cosigned, case.others)


def check_steps(found: Verdict) -> None:
    """Check that every step is told of, and nothing of a file that is refused."""
    assert tuple(step.id for step in found.steps) == STEPS
    states = [step.state for step in found.steps]
    order = ("passed", "failed", "not_reached")
    assert states == sorted(states, key=order.index)
    assert states.count("failed") == (found.kind == "refused")
    for step in found.steps:
        assert step.said.endswith(".")
        assert (step.code is not None) == (step.state == "failed")
    assert (found.receipt is None) == (found.kind == "refused")


@pytest.mark.parametrize("vector", VECTORS["receipts"], ids=lambda vector: vector["name"])
def test_the_pinned_receipts_are_judged_and_computed_like_this(vector: dict[str, Any]) -> None:
    keys = json.dumps(VECTORS["jwks"])
    in_ledger = vector["kind"] != "signed"
    cosigned = (("witness.example.com/w1", VECTORS["witness_time"]),) if in_ledger else ()
    for given_keys in ((keys,), tuple(VECTORS["log_keys"])):
        case = Case(
            vector["name"],
            vector["file"].encode(),
            vector["kind"],
            given_keys,
            (VECTORS["witness"],),
            cosigned,
        )
        test_the_service_and_the_page_alone_come_to_the_expected_answer(case)
    found = judged(case)
    assert found.receipt
    assert found.entry
    rest = {name: it for name, it in found.receipt.items() if name != "receipt_signature"}
    assert sha256(rfc8785.dumps(rest)).hex() == vector["signed_sha256"]
    assert sha256(rfc8785.dumps(found.document)).hex() == vector["content_sha256"]
    assert found.entry.hex() == vector["entry"]
    if found.position:
        assert leaf_hash(found.entry).hex() == vector["leaf_hash"]
        assert found.position == (vector["origin"], vector["index"], vector["size"])


def flipped(file: bytes, at: int, bit: int) -> bytes:
    """Return a file with one bit changed."""
    return file[:at] + bytes([file[at] ^ 1 << bit]) + file[at + 1 :]


@pytest.fixture(scope="module")
def small() -> bytes:
    """A proven receipt, as short as one can be, with all that a file may have."""
    record = {name: it for name, it in RECORD.items() if name != "policy_version"}
    forge = Forge({**record, "choices": {}}, described={"é": 1, "e": "\u00e9"})
    forge = replace(forge, proof=filled(forge.entry, 1, 2).proof(1, (OLD,)))
    return forge.file(ensure_ascii=True, indent=1)


def test_a_file_with_any_one_bit_changed_is_refused(small: bytes) -> None:
    keys, same = read_keys(jwks().encode()), independent.Keys(jwks())
    assert verify(small, keys).kind == independent.check(small, same).kind == "proven"
    for at in range(len(small)):
        for bit in range(8):
            changed = flipped(small, at, bit)
            found, answer = verify(changed, keys), independent.check(changed, same)
            assert found.kind == answer.kind == "refused", (at, bit)
            assert found.failed
            assert (found.failed.id, found.failed.code) == (answer.step, answer.code), (at, bit)


def test_the_pages_own_verifier_comes_to_the_same_answers(small: bytes, tmp_path: Path) -> None:
    """One bit of each byte, that is, beside all cases and the pinned receipts."""
    keys = (json.dumps(VECTORS["jwks"]),)
    pinned = [
        Case(it["name"], it["file"].encode(), it["kind"], keys, (VECTORS["witness"],))
        for it in VECTORS["receipts"]
    ]
    changed = [
        Case(f"bit {at % 8} of byte {at}", flipped(small, at, at % 8), "")
        for at in range(len(small))
    ]
    asked = [*CASES, *pinned, *changed]
    verdicts = javascript.judge((Asked(it.file, it.keys, it.witnesses) for it in asked), tmp_path)
    for case, verdict in zip(asked, verdicts, strict=True):
        found = as_document(judged(case))
        assert verdict["kind"] == found["verdict"], case.name
        told = [(step["id"], step["state"], step.get("code")) for step in verdict["steps"]]
        expected = [(step["id"], step["state"], step["code"]) for step in found["steps"]]
        assert told == expected, case.name
        for member in ("document", "entry", "ledger"):
            assert verdict.get(member) == found[member], case.name
        times = [(it["name"], it["at"] and int(it["at"])) for it in verdict["witnesses"]]
        assert times == [(it["name"], it["at"]) for it in found["witnesses"]], case.name
        assert verdict["unknown_witnesses"] == found["unknown_witnesses"], case.name


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(max_examples=40)
@given(json_values)
def test_what_is_read_is_what_was_written(value: Any) -> None:  # noqa: ANN401
    for ascii_only in (False, True):
        written = json.dumps(value, ensure_ascii=ascii_only).encode()
        assert reading.read_json(written) == independent.read_json(written) == value
    assert independent.canonical(value) == rfc8785.dumps(value)


@settings(max_examples=40)
@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_whatever_is_no_receipt_is_refused_and_breaks_nothing(file: bytes) -> None:
    keys = read_keys(jwks().encode())
    assert verify(file, keys).kind == "refused"
    assert independent.check(file, independent.Keys(jwks())).kind == "refused"
