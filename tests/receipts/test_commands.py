"""``consent-service verify``: for anybody, with a file and the keys and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from consent_service.cli import main
from tests.receipts.corpus import COSIGNED, ERASURE, GOOD, WAITING
from tests.receipts.forge import (
    FORGER,
    NEW,
    OLD,
    RECORD,
    TENANT,
    WITNESS_KEY,
    Forge,
    jwks,
)


@pytest.fixture
def keys(tmp_path: Path) -> str:
    """The file with the keys."""
    return written(tmp_path / "keys.json", jwks().encode())


def written(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


def run(*arguments: str, data: bytes = b"", **environ: str) -> Result:
    return CliRunner(env=environ).invoke(main, ["verify", *arguments], input=data)


@pytest.mark.parametrize(
    ("forge", "code", "said"),
    [
        (GOOD, 0, "PROVEN: signed by the service"),
        (ERASURE, 0, "PROVEN: the record was erased"),
        (WAITING, 3, "SIGNED, and not yet in the ledger"),
        (Forge(receipt_signer=FORGER), 1, "REFUSED"),
    ],
)
def test_the_answer_is_in_words_and_in_the_exit_code(
    forge: Forge, code: int, said: str, keys: str
) -> None:
    result = run("-", "--key", keys, data=forge.file())
    assert result.exit_code == code
    assert said in result.stdout
    assert result.stderr == ""
    marks = [line[0] for line in result.stdout.split("\n\n")[0].splitlines()]
    assert len(marks) == 7
    assert marks.count("✗") == (code == 1)


def test_it_says_who_chose_what_when_where(keys: str) -> None:
    record = {**RECORD, "visitor_id": "vis_1", "action": "withdraw"}
    result = run("-", "--key", keys, data=Forge(record).proven().file())
    for part in (
        "The visitor vis_1 withdrew on 2026-03-01 at 09:30:00 UTC, on the site site_demo",
        "Allowed: session.",
        "Refused: analytics.",
        f"Leaf 4 of the ledger consent-service/{TENANT}/1, which had 7 leaves.",
    ):
        assert part in result.stdout
    erased = run("-", "--key", keys, data=ERASURE.file()).stdout
    assert "was erased on 2026-03-02 at 10:00:00 UTC: visitor_request." in erased


def test_nothing_of_a_refused_file_is_repeated_as_if_it_were_true(keys: str) -> None:
    changed = GOOD.file().replace(b'"analytics": false', b'"analytics": true')
    assert changed != GOOD.file()
    for options in ((), ("--json",)):
        result = run("-", "--key", keys, *options, data=changed)
        assert result.exit_code == 1
        assert "analytics" not in result.stdout
        assert "changed afterwards" in result.stdout


def test_witnesses_are_said(keys: str) -> None:
    asked = run("-", "--key", keys, "--witness", WITNESS_KEY, data=COSIGNED.file()).stdout
    assert "The witness witness.example.com/w1 has cosigned on 2026-03-01 at 09:31:40 UTC." in asked
    missing = run("-", "--key", keys, "--witness", WITNESS_KEY, data=GOOD.file()).stdout
    assert "The witness witness.example.com/w1 has not cosigned." in missing
    assert "not checked: 1." in run("-", "--key", keys, data=COSIGNED.file()).stdout


def test_programs_get_json(keys: str) -> None:
    result = run("-", "--key", keys, "--witness", WITNESS_KEY, "--json", data=COSIGNED.file())
    found = json.loads(result.stdout)
    assert found["verdict"] == "proven"
    assert found["document"] == RECORD
    assert found["entry"] == GOOD.entry.hex()
    assert found["ledger"] == {
        "origin": f"consent-service/{TENANT}/1",
        "leaf_index": 4,
        "size": 7,
    }
    assert [each["name"] for each in found["witnesses"]] == ["witness.example.com/w1"]
    assert {step["state"] for step in found["steps"]} == {"passed"}
    refused = json.loads(run("-", "--key", keys, "--json", data=b"{}").stdout)
    assert refused["verdict"] == "refused"
    assert refused["steps"][0]["code"] == "not_a_receipt"
    assert refused["document"] is None


def test_keys_come_in_several_files_and_forms(tmp_path: Path) -> None:
    old = written(tmp_path / "old.json", json.dumps(OLD.jwk()).encode())
    new = written(tmp_path / "new", NEW.under(f"consent-service/{TENANT}/1").text.encode())
    assert run("-", "--key", old, "--key", new, data=GOOD.file()).exit_code == 0
    assert run("-", "--key", old, data=GOOD.file()).exit_code == 1


@pytest.mark.parametrize(
    ("keys_file", "said"),
    [
        (b"", "no key"),
        (b"{", "not JSON"),
        (b'{"keys": []}', "jwks.json"),
        (b'{"keys": [], "keys": []}', "twice"),
        (b"nonsense", "NAME+ID+KEY"),
        (b"a+00000000+AAAA", "NAME+ID+KEY"),
        (b"\xff\xfe", "NAME+ID+KEY"),
        (WITNESS_KEY.encode(), "as a witness"),
    ],
)
def test_keys_that_are_none_are_said_to_be_so(keys_file: bytes, said: str, tmp_path: Path) -> None:
    result = run("-", "--key", written(tmp_path / "keys", keys_file), data=GOOD.file())
    assert result.exit_code == 2
    assert result.stdout == ""
    assert said in result.stderr


def test_what_cannot_be_read_or_understood_ends_with_2(keys: str, tmp_path: Path) -> None:
    for arguments in (
        (),
        ("-",),
        (str(tmp_path / "nowhere.json"), "--key", keys),
        (str(tmp_path), "--key", keys),
        ("-", "--key", str(tmp_path / "nowhere.json")),
        ("-", "--key", keys, "--witness", "nobody"),
        ("-", "--key", keys, "--witness", OLD.under("log").text),
    ):
        assert run(*arguments).exit_code == 2, arguments


def test_what_stands_in_a_file_does_not_play_with_the_terminal(keys: str) -> None:
    record = {**RECORD, "site_key": "\x1b[2Jsite\n✓ all is well\u202e"}
    result = run("-", "--key", keys, data=Forge(record).proven().file())
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert "\u202e" not in result.stdout
    assert "?[2Jsite?✓ all is well?" in result.stdout


def test_it_works_as_a_program_without_settings_and_in_a_plain_terminal(
    keys: str, tmp_path: Path
) -> None:
    file = written(tmp_path / "receipt.json", GOOD.file())
    environ = {"PATH": os.environ["PATH"], "PYTHONIOENCODING": "ascii"}
    wrong = {"CONSENT_DATABASE_URL": "nonsense://", "CONSENT_UNKNOWN": "1"}
    command = [sys.executable, "-m", "consent_service.cli", "verify", file, "--key", keys]
    done = subprocess.run(
        command, env=environ | wrong, capture_output=True, check=False, cwd=Path.cwd()
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.decode("ascii").splitlines()
    assert [line.partition(" ")[0] for line in lines[:7]] == ["ok"] * 7
