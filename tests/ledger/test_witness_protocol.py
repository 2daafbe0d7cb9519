"""The file of witnesses, and the words that go to and fro."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_service import config
from consent_service.errors import OperatorError
from consent_service.ledger.checkpoint import NoteSignature, SignedNote
from consent_service.ledger.witness_protocol import (
    Cosigned,
    Knows,
    Refused,
    add_checkpoint,
    parse_witnesses,
    read_answer,
)
from consent_service.ledger.witnesses import load_witnesses
from tests.ledger.outside import LOG, WITNESS, read_note, write_key

KEY = write_key("witness.example/w1", WITNESS, bytes(range(32)))
ADDRESS = "https://witness.example/prefix"

NOTE = SignedNote("log.example\n1\nAAAA\n", (NoteSignature("log.example", b"1234", bytes(64)),))


def test_a_file_has_a_witness_a_line_and_comments() -> None:
    other = write_key("other", WITNESS, bytes(32))
    text = f"# Whom we trust\n\n  {KEY}   {ADDRESS}/\n\t{other}\thttp://[::1]:8080\n  # the end"
    first, second = parse_witnesses(text)
    assert (first.key.text, first.address) == (KEY, f"{ADDRESS}/add-checkpoint")
    assert (second.key.name, second.address) == ("other", "http://[::1]:8080/add-checkpoint")


@pytest.mark.parametrize(
    "address",
    [
        "https://witness.example",
        "https://witness.example:8443/a/b",
        "https://10.0.0.1",
        "http://127.0.0.1:9000/x",
        "http://localhost",
    ],
)
def test_an_address_is_https_or_on_this_machine(address: str) -> None:
    (witness,) = parse_witnesses(f"{KEY} {address}")
    assert witness.address == f"{address}/add-checkpoint"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (KEY, "must be KEY ADDRESS"),
        (f"{KEY} {ADDRESS} more", "must be KEY ADDRESS"),
        (f"{ADDRESS} {KEY}", "a key that"),
        (f"{KEY[:-4]} {ADDRESS}", "a key that"),
        (f"{KEY.replace('w1', 'w2', 1)} {ADDRESS}", "a key that"),
        (f"{KEY.replace('+', ' ', 1)} {ADDRESS}", "must be KEY ADDRESS"),
        (f"{write_key('log', LOG, bytes(32))} {ADDRESS}", "the key of a log"),
        (f"{write_key('pq', 6, bytes(32))} {ADDRESS}", "a key that"),
        (f"{write_key('w' * 201, WITNESS, bytes(32))} {ADDRESS}", "more than 200 letters"),
        (f"{KEY} witness.example/prefix", "https://"),
        (f"{KEY} http://witness.example/prefix", "this machine alone"),
        (f"{KEY} http://127.0.0.1.example/prefix", "this machine alone"),
        (f"{KEY} http://user@witness.example", "https://"),
        (f"{KEY} https://127.0.0.1@witness.example", "https://"),
        (f"{KEY} https://witness.example:port", "https://"),
        (f"{KEY} https://witness.example/?a=b", "https://"),
        (f"{KEY} https://witness.example/#a", "https://"),
        (f"{KEY} ftp://witness.example", "https://"),
        (f"{KEY} {ADDRESS}\n{KEY} {ADDRESS}", "a second time"),
    ],
)
def test_a_file_that_is_not_right_says_what_is_wrong(line: str, problem: str) -> None:
    with pytest.raises(ValueError, match=r"line \d .*") as raised:
        parse_witnesses(f"# The first line\n{line}")
    assert problem in str(raised.value)


def test_every_problem_of_a_file_is_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "witnesses"
    file.write_text(f"{KEY}\n{KEY} {ADDRESS}\nx y\n")
    with pytest.raises(OperatorError, match=r"line 1 .*\n  line 3 .*\n"):
        load_witnesses(file)
    file.write_bytes(b"\xff")
    with pytest.raises(OperatorError, match="is not right"):
        load_witnesses(file)
    file.unlink()
    with pytest.raises(OperatorError, match="is not right"):
        load_witnesses(file)


def test_without_a_file_there_are_no_witnesses() -> None:
    assert load_witnesses(config.load({}).witnesses_file) == ()


def test_a_checkpoint_is_sent_as_the_protocol_has_it() -> None:
    sent = add_checkpoint(20, [b"\1" * 32, b"\2" * 32], NOTE)
    head, _, note = sent.partition(b"\n\n")
    first, second = "AQEB" * 10 + "AQE=", "AgIC" * 10 + "AgI="
    assert head.decode() == f"old 20\n{first}\n{second}"
    assert read_note(note).text == NOTE.text
    assert add_checkpoint(0, [], NOTE).startswith(b"old 0\n\nlog.example\n")


@given(st.integers(200, 599), st.text(max_size=20), st.binary(max_size=100))
def test_whatever_a_witness_answers_is_one_of_three_things(
    status: int, content_type: str, body: bytes
) -> None:
    answer = read_answer(status, content_type, body)
    assert isinstance(answer, Cosigned) is (status == 200)
    assert isinstance(answer, Cosigned | Refused | Knows)


@pytest.mark.parametrize(
    ("body", "answer"),
    [(b"0\n", Knows(0)), (b"12", Knows(12)), (b"9007199254740993\n", Knows(9007199254740993))],
)
def test_a_witness_says_which_size_it_knows(body: bytes, answer: Knows) -> None:
    assert read_answer(409, "text/x.tlog.size", body) == answer
    assert read_answer(409, "text/x.tlog.size; charset=utf-8", body) == answer
