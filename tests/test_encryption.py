"""Encryption at rest: a value opens unaltered, in its own place, with its own key, or never."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from itsdangerous.encoding import base64_decode, base64_encode

from consent_service.encryption import DataKeys
from consent_service.errors import CannotDecrypt

EMAIL = "amina@example.com"
PLACE = "users.email 019cb0f4-2a40-7c3e-9d5a-6f1f0e3b7c21"

#: :data:`EMAIL` at :data:`PLACE`, under a key of the bytes 0 to 31 and a nonce of 0 to 11.
KEY_ID, SECRET = "5eed0001", bytes(range(32))
ENCRYPTED = "5eed0001.AAECAwQFBgcICQoLJm-_daSlp2PsLOfn1McbAu7yfbLYAnfZ8lhQWyrBFMjK"

data_keys = DataKeys({KEY_ID: SECRET})


@given(st.text(), st.text())
def test_a_text_comes_back_as_it_was(text: str, context: str) -> None:
    assert data_keys.decrypt(data_keys.encrypt(text, context), context) == text


@given(st.text(), st.text(), st.text())
def test_a_value_opens_in_no_other_place(text: str, context: str, other: str) -> None:
    assume(context != other)
    with pytest.raises(CannotDecrypt, match="altered, or copied from another place"):
        data_keys.decrypt(data_keys.encrypt(text, context), other)


@given(st.text(), st.data())
def test_a_value_with_any_bit_flipped_does_not_open(text: str, data: st.DataObject) -> None:
    encrypted = data_keys.encrypt(text, PLACE)
    content = bytearray(base64_decode(encrypted.partition(".")[2]))
    bit = data.draw(st.integers(0, len(content) * 8 - 1))
    content[bit // 8] ^= 1 << bit % 8
    with pytest.raises(CannotDecrypt, match="altered"):
        data_keys.decrypt(f"{KEY_ID}.{base64_encode(bytes(content)).decode()}", PLACE)


@given(st.text(), st.data())
def test_a_value_with_any_character_changed_does_not_open(text: str, data: st.DataObject) -> None:
    encrypted = data_keys.encrypt(text, PLACE)
    index = data.draw(st.integers(0, len(encrypted) - 1))
    character = data.draw(st.characters(codec="utf-8"))
    changed = f"{encrypted[:index]}{character}{encrypted[index + 1 :]}"
    assume(changed != encrypted)
    with pytest.raises(CannotDecrypt):
        data_keys.decrypt(changed, PLACE)


def test_another_spelling_of_the_same_bytes_does_not_open() -> None:
    encrypted = data_keys.encrypt("", PLACE)
    content = encrypted.partition(".")[2]
    same = [
        content[:-1] + last
        for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        if last != content[-1] and base64_decode(content[:-1] + last) == base64_decode(content)
    ]
    assert same
    for other in [*same, f"{content}=", f"{content}\n", f" {content}"]:
        with pytest.raises(CannotDecrypt):
            data_keys.decrypt(f"{KEY_ID}.{other}", PLACE)


@given(st.text())
def test_what_was_never_encrypted_is_refused_and_not_quoted(text: str) -> None:
    for never in (text, EMAIL, f"{KEY_ID}.{EMAIL}", f"{KEY_ID}.", "", "."):
        with pytest.raises(CannotDecrypt) as caught:
            data_keys.decrypt(never, PLACE)
        assert "amina" not in str(caught.value)


@given(st.text())
def test_the_same_text_never_looks_the_same_twice(text: str) -> None:
    shown = [base64_decode(data_keys.encrypt(text, PLACE).partition(".")[2]) for _ in range(2)]
    nonces, ciphertexts = {each[:12] for each in shown}, {each[12:] for each in shown}
    assert len(nonces) == len(ciphertexts) == 2


def test_values_of_earlier_versions_open() -> None:
    assert data_keys.decrypt(ENCRYPTED, PLACE) == EMAIL


def test_another_installations_key_of_the_same_name_does_not_open() -> None:
    other = DataKeys({KEY_ID: bytes(32)})
    with pytest.raises(CannotDecrypt, match="altered"):
        other.decrypt(ENCRYPTED, PLACE)
