"""The key file: readable by its owner alone, never half-written, refused when it is not right."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from consent_service import key_file
from consent_service.errors import OperatorError
from consent_service.key_file import KEY_KINDS, KeyKind, KeyText
from consent_service.signing import Keyring, ensure_keys, rotate
from tests.test_signing import change, keys_in

REVOKED = {"revoked_at": "2026-01-01T00:00:00.000Z", "reason": "compromised"}


def test_making_keys_again_changes_nothing(keys_file: Path) -> None:
    before = keys_file.read_bytes()
    ensure_keys(keys_file)
    assert keys_file.read_bytes() == before


def test_only_the_owner_reads_the_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "keys.json"
    previous = os.umask(0)
    try:
        ensure_keys(path)
        assert path.stat().st_mode & 0o777 == 0o600
        path.chmod(0o644)
        rotate(path, "token")
    finally:
        os.umask(previous)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["keys.json"]


def test_a_file_that_cannot_be_replaced_stays_as_it_was(
    keys_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = keys_file.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OperatorError, match=r"cannot be written \(No space left on device\)"):
        rotate(keys_file, "record")
    assert keys_file.read_bytes() == before
    assert [entry.name for entry in keys_file.parent.iterdir()] == ["keys.json"]


def test_a_folder_that_nobody_may_write_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OperatorError, match="cannot be written"):
        rotate(tmp_path / "file" / "keys.json", "record")


def test_a_missing_file_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="Make it with: consent-service key rotate"):
        Keyring(tmp_path / "keys.json")


@pytest.mark.parametrize("kind", KEY_KINDS)
def test_a_file_that_lacks_a_kind_says_how_to_make_it(keys_file: Path, kind: KeyKind) -> None:
    change(keys_file, lambda document: document[kind].clear())
    with pytest.raises(OperatorError, match=f"consent-service key rotate {kind}"):
        Keyring(keys_file)
    rotate(keys_file, kind)
    Keyring(keys_file)


@pytest.mark.parametrize(
    "how",
    [
        lambda document: document["token"][0].update(secret="c2hvcnQ"),
        lambda document: document["token"][0].update(secret="?"),
        lambda document: document["token"][0].update(secret="A"),
        lambda document: document["token"][0].update(secret=7),
        lambda document: document["token"][0].pop("id"),
        lambda document: document["record"][0].update(active_from="2026-01-01T00:00:00"),
        lambda document: document["record"][0].update(active_from="tomorrow"),
        lambda document: document.pop("record"),
        lambda document: document.update(record="x"),
        lambda document: document["token"][0].update(revoked={"reason": "compromised"}),
        lambda document: document["token"][0].update(
            revoked={"revoked_at": "2026-01-01T00:00:00.000Z", "reason": "superseded"}
        ),
        # Marked by hand: it must not sign on.
        lambda document: document["record"][0].update(revoked=REVOKED),
        lambda document: document["data"][0].update(revoked=REVOKED),
        lambda document: document.update(
            retired=[{**document["record"][0], "public": "A" * 43, "revoked": REVOKED}]
        ),
        lambda document: document.update(
            retired=[{"id": "x", "public": "A", "active_from": None, "revoked": REVOKED}]
        ),
        lambda document: document.update(
            retired=[{"id": "x", "public": "A" * 43, "active_from": None}]
        ),
    ],
)
def test_a_broken_file_is_refused_without_quoting_a_secret(
    keys_file: Path, how: Callable[[Any], object]
) -> None:
    secrets = [key["secret"] for keys in keys_in(keys_file).values() for key in keys]
    change(keys_file, how)
    for call in (Keyring, lambda path: rotate(path, "token")):
        with pytest.raises(OperatorError, match=r"is not right|holds no token key") as caught:
            call(keys_file)
        assert not [secret for secret in secrets if secret in str(caught.value)]


def test_a_file_from_before_there_were_data_keys_gets_one(keys_file: Path) -> None:
    change(keys_file, lambda document: document.pop("data"))
    before = keys_in(keys_file)
    with pytest.raises(OperatorError, match=r"holds no data key\. Make one with: .* rotate data$"):
        Keyring(keys_file)
    ensure_keys(keys_file)
    assert {**keys_in(keys_file), "data": []} == {**before, "data": []}
    keys = Keyring(keys_file)
    assert keys.decrypt(keys.encrypt("text", "place"), "place") == "text"


def test_another_kind_can_be_rotated_before_there_is_a_data_key(keys_file: Path) -> None:
    change(keys_file, lambda document: document.pop("data"))
    rotate(keys_file, "token")
    assert [len(keys_in(keys_file)[kind]) for kind in KEY_KINDS] == [1, 2, 0]


def test_keys_may_come_as_a_text_of_which_nothing_shows(keys_file: Path) -> None:
    text = KeyText(keys_file.read_text())
    keys, of_file = Keyring(text), Keyring(keys_file)
    assert keys.jwks() == of_file.jwks()
    assert of_file.signer("use").unsign(keys.signer("use").sign("value")) == b"value"
    keys.refresh()
    shown = repr(text) + repr(key_file.read(text))
    assert not [
        key for kind in keys_in(keys_file).values() for key in kind if key["secret"] in shown
    ]


def test_a_text_that_is_not_right_is_named_by_its_variable() -> None:
    with pytest.raises(OperatorError, match="The key file in CONSENT_KEYS is not right"):
        Keyring(KeyText("{}"))
    with pytest.raises(OperatorError, match="in CONSENT_KEYS holds no record key"):
        Keyring(KeyText('{"record": [], "token": []}'))


_ROTATE = """
import sys
from pathlib import Path
from consent_service.signing import rotate
print("ready", flush=True)
sys.stdin.readline()
print(*(rotate(Path(sys.argv[1]), "token").id for _ in range(40)))
"""


def test_of_keys_that_are_made_at_the_same_moment_none_is_lost(keys_file: Path) -> None:
    command = [sys.executable, "-c", _ROTATE, str(keys_file)]
    with ExitStack() as stack:
        both = [
            stack.enter_context(
                subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, text=False
                )
            )
            for _ in range(2)
        ]
        for process in both:
            assert process.stdout
            assert process.stdout.readline() == b"ready\n"
        for process in both:
            assert process.stdin
            process.stdin.write(b"go\n")
        made = [key_id for process in both for key_id in process.communicate()[0].decode().split()]
    assert len(made) == 80
    assert {key["id"] for key in keys_in(keys_file)["token"]} > set(made)
    assert [entry.name for entry in keys_file.parent.iterdir()] == ["keys.json"]
