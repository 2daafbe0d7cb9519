"""Keys: kept apart, and rotated without logging anyone out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import itsdangerous
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous.encoding import base64_decode, base64_encode

from consent_service import clock, signing
from consent_service.errors import OperatorError
from consent_service.key_file import KEY_KINDS
from consent_service.signing import CompactSigner, Keyring, Signature, rotate

Clock = Callable[[timedelta], None]

EMAIL = "amina@example.com"
PLACE = "users.email 019cb0f4-2a40-7c3e-9d5a-6f1f0e3b7c21"


@pytest.fixture
def move(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Move the clock; files and processes stay as they are."""
    real = clock.now

    def to(ahead: timedelta) -> None:
        monkeypatch.setattr(clock, "now", lambda: real() + ahead)

    return to


def keys_in(path: Path) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = json.loads(path.read_bytes())
    return found


def change(path: Path, how: Callable[[Any], object]) -> None:
    document = keys_in(path)
    how(document)
    path.write_text(json.dumps(document))


def test_new_keys_sign_at_once(keys_file: Path) -> None:
    keys = Keyring(keys_file)
    signature = keys.sign(b"message")
    assert signature.key_id == keys_in(keys_file)["record"][0]["id"]
    assert keys.verify(b"message", signature)
    assert keys.signer("use").verify_signature("value", keys.signer("use").get_signature("value"))


def test_another_message_key_or_signature_does_not_verify(keys_file: Path) -> None:
    keys = Keyring(keys_file)
    signature = keys.sign(b"message")
    assert not keys.verify(b"massage", signature)
    assert not keys.verify(b"message", Signature("unknown", signature.value))
    for index in range(64):
        changed = bytearray(signature.value)
        changed[index] ^= 1
        assert not keys.verify(b"message", Signature(signature.key_id, bytes(changed)))
    assert not keys.verify(b"message", Signature(signature.key_id, b""))


def test_each_use_has_signatures_of_its_own(keys_file: Path) -> None:
    keys = Keyring(keys_file)
    signature = keys.signer("receipt").get_signature("value")
    assert not keys.signer("consent-token").verify_signature("value", signature)


def test_derived_secrets_outlive_rotation(keys_file: Path, move: Clock) -> None:
    keys = Keyring(keys_file)
    oldest, secret = keys.token_key_id, keys.derive("use")
    assert secret == keys.derive_from(oldest, "use") != keys.derive("another use")
    rotate(keys_file, "token")
    move(timedelta(minutes=2))
    keys.refresh()
    assert keys.token_key_id != oldest
    assert keys.derive("use") == keys.derive_from(oldest, "use") == secret
    assert keys.derive_from(keys.token_key_id, "use") not in {secret, None}
    assert keys.derive_from("unknown", "use") is None


def test_a_rotated_token_key_signs_when_every_process_knows_it(
    keys_file: Path, move: Clock
) -> None:
    process, other = Keyring(keys_file), Keyring(keys_file)
    old = process.signer("use").sign("value")
    rotate(keys_file, "token")
    process.refresh()
    # The other process has not read the file yet, and must still understand this one.
    assert process.signer("use").sign("value") == old
    other.refresh()
    move(signing.ROTATION_DELAY - timedelta(seconds=1))
    for keys in (process, other):
        keys.refresh()
        assert keys.signer("use").sign("value") == old
    move(signing.ROTATION_DELAY + timedelta(seconds=1))
    process.refresh()
    new = process.signer("use").sign("value")
    assert new != old
    for keys in (process, other, Keyring(keys_file)):
        assert keys.signer("use").unsign(old) == b"value"
        assert keys.signer("use").unsign(new) == b"value"


def test_a_rotated_record_key_signs_a_minute_later_and_is_published_at_once(
    keys_file: Path, move: Clock
) -> None:
    keys = Keyring(keys_file)
    old = keys.sign(b"message")
    made = rotate(keys_file, "record")
    keys.refresh()
    assert [key["kid"] for key in keys.jwks()["keys"]] == [old.key_id, made.id]
    assert keys.sign(b"message") == old
    move(signing.ROTATION_DELAY + timedelta(seconds=1))
    keys.refresh()
    new = keys.sign(b"message")
    assert new.key_id == made.id
    assert keys.verify(b"message", old)
    assert keys.verify(b"message", new)


def test_the_key_that_signs_is_the_newest_whose_time_has_come(keys_file: Path) -> None:
    made = [rotate(keys_file, "record") for _ in range(2)]

    def shuffle(document: dict[str, list[dict[str, str]]]) -> None:
        document["record"].reverse()
        for key, at in zip(
            document["record"], ("2026-01-02", "2026-01-03", "2026-01-01"), strict=True
        ):
            key["active_from"] = f"{at}T00:00:00.000Z"

    change(keys_file, shuffle)
    assert Keyring(keys_file).sign(b"message").key_id == made[0].id


def test_public_keys_hold_nothing_secret(keys_file: Path) -> None:
    published = json.dumps(Keyring(keys_file).jwks())
    assert '"d"' not in published
    for entry in chain.from_iterable(keys_in(keys_file).values()):
        assert entry["secret"] not in published


def test_record_keys_are_named_by_their_thumbprint(keys_file: Path) -> None:
    (key,) = Keyring(keys_file).jwks()["keys"]
    members = json.dumps({name: key[name] for name in ("crv", "kty", "x")}, separators=(",", ":"))
    assert key["kid"] == base64_encode(signing.sha256(members.encode())).decode()


def test_a_process_keeps_its_keys_when_the_file_breaks(keys_file: Path) -> None:
    keys = Keyring(keys_file)
    whole = keys_file.read_bytes()
    signature = keys.sign(b"message")
    for broken in (whole[:40], b""):
        keys_file.write_bytes(broken)
        with pytest.raises(OperatorError):
            keys.refresh()
        assert keys.verify(b"message", signature)
        assert keys.sign(b"message") == signature
    keys_file.unlink()
    with pytest.raises(OperatorError):
        keys.refresh()
    keys_file.write_bytes(whole)
    keys.refresh()
    assert keys.verify(b"message", signature)


def test_a_value_names_its_key_and_does_not_show_its_text(keys_file: Path) -> None:
    keys = Keyring(keys_file)
    (entry,) = keys_in(keys_file)["data"]
    encrypted = keys.encrypt(EMAIL, PLACE)
    assert encrypted.partition(".")[0] == keys.data_key_id == entry["id"]
    assert len(base64_decode(entry["secret"])) == 32
    assert EMAIL.encode() not in base64_decode(encrypted.partition(".")[2])


def test_a_new_key_encrypts_when_every_process_knows_it(keys_file: Path, move: Clock) -> None:
    process, other = Keyring(keys_file), Keyring(keys_file)
    old = process.encrypt(EMAIL, PLACE)
    made = rotate(keys_file, "data")
    process.refresh()
    # The other process has not read the file yet, and must still understand this one.
    assert other.decrypt(process.encrypt(EMAIL, PLACE), PLACE) == EMAIL
    other.refresh()
    move(signing.ROTATION_DELAY - timedelta(seconds=1))
    process.refresh()
    assert process.data_key_id == old.partition(".")[0]
    move(signing.ROTATION_DELAY + timedelta(seconds=1))
    process.refresh()
    new = process.encrypt(EMAIL, PLACE)
    assert new.partition(".")[0] == process.data_key_id == made.id
    for keys in (process, other, Keyring(keys_file)):
        assert keys.decrypt(old, PLACE) == keys.decrypt(new, PLACE) == EMAIL


def test_rotating_the_other_kinds_leaves_the_data_key_alone(keys_file: Path, move: Clock) -> None:
    encrypting = Keyring(keys_file).data_key_id
    rotate(keys_file, "record")
    rotate(keys_file, "token")
    move(signing.ROTATION_DELAY + timedelta(seconds=1))
    assert Keyring(keys_file).data_key_id == encrypting


def test_a_value_whose_key_is_gone_says_which_to_put_back(keys_file: Path) -> None:
    keys = Keyring(keys_file)
    lost, whole = keys.encrypt(EMAIL, PLACE), keys_file.read_bytes()
    rotate(keys_file, "data")
    change(keys_file, lambda document: document["data"].pop(0))
    keys.refresh()
    with pytest.raises(OperatorError) as caught:
        keys.decrypt(lost, PLACE)
    assert f"lacks its data key, {lost.partition('.')[0]}. Put that key back" in str(caught.value)
    assert PLACE in str(caught.value)
    assert not [key for key in keys_in(keys_file)["data"] if key["secret"] in str(caught.value)]
    assert keys.decrypt(keys.encrypt(EMAIL, PLACE), PLACE) == EMAIL
    keys_file.write_bytes(whole)
    keys.refresh()
    assert keys.decrypt(lost, PLACE) == EMAIL


@given(st.lists(st.binary(min_size=1, max_size=64), min_size=1, max_size=3), st.text())
def test_the_signer_makes_and_reads_what_itsdangerous_does(keys: list[bytes], value: str) -> None:
    ours = CompactSigner(keys)
    theirs = itsdangerous.Signer(
        keys,
        key_derivation="none",
        algorithm=itsdangerous.HMACAlgorithm(hashlib.sha256),
    )
    value = value.encode("utf-8", "replace").decode()
    assert ours.sign(value) == theirs.sign(value)
    for key in keys:
        signed = CompactSigner([key]).sign(value)
        assert ours.unsign(signed) == theirs.unsign(signed) == value.encode()


def test_a_signature_has_one_form_only() -> None:
    signer = CompactSigner([b"k" * 32])
    signature = signer.get_signature("value").decode()
    same_bytes = [
        signature[:-1] + last
        for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        if last != signature[-1]
        and base64_decode(signature[:-1] + last) == base64_decode(signature)
    ]
    assert same_bytes
    for other in [*same_bytes, signature + "=", signature + "A", "", "ÿ"]:
        assert not signer.verify_signature("value", other)


names = st.text(st.characters(codec="ascii"), max_size=8)
documents = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(names, documents, max_size=6))
def test_the_canonical_form_is_that_of_rfc_8785(document: dict[str, Any]) -> None:
    assert signing.canonical_json(document) == rfc8785.dumps(document)


def test_a_new_key_is_random(tmp_path: Path) -> None:
    made = [rotate(tmp_path / "keys.json", kind) for kind in KEY_KINDS * 2]
    assert len({key.secret for key in made}) == len({key.id for key in made}) == 6
    assert all(len(key.secret) == 32 for key in made)
    assert all(isinstance(key.active_from, datetime) for key in made)
