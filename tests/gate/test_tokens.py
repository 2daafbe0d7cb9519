"""Tokens at the gate: only ours, whole, of this site and of this time."""

from __future__ import annotations

import hashlib
import json
import string
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from itsdangerous import Signer
from werkzeug.test import Client

from consent_service import signing
from consent_service.consents import tokens
from consent_service.consents.tokens import Claims
from consent_service.key_file import Key
from consent_service.signing import Keyring
from consent_service.wiring import use
from tests.builders import Service, make_service

DENIED = "invalid_token"
#: What a token is made of.
ALPHABET = string.ascii_letters + string.digits + "-_~:."


@pytest.fixture(scope="module")
def token(shared: Service) -> str:
    return shared.token()


def reason(client: Client, token: str, site_key: str = "site_test") -> str:
    # Straight into the environment, as the server would: a client library would refuse some.
    response = client.get(
        f"/v1/gate?site={site_key}&purpose=analytics",
        environ_overrides={"HTTP_X_CONSENT_TOKEN": token},
    )
    assert response.status_code == 200
    return str(response.get_json()["decisions"]["analytics"]["reason"])


def test_any_changed_character_makes_it_invalid(shared: Service, token: str) -> None:
    assert reason(shared.client, token) == "granted"
    for place, character in enumerate(token):
        for other in (ALPHABET[ALPHABET.index(character) - 1], "é", " "):
            changed = token[:place] + other + token[place + 1 :]
            assert reason(shared.client, changed) == DENIED, place


def test_any_flipped_bit_makes_it_invalid(shared: Service, token: str) -> None:
    whole = token.encode()
    for bit in range(len(whole) * 8):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        assert reason(shared.client, flipped.decode("latin-1")) == DENIED, bit


@given(data=st.data())
def test_any_edit_makes_it_invalid(shared: Service, token: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(token)))
    end = data.draw(st.integers(start, len(token)))
    put = data.draw(st.text(st.sampled_from(ALPHABET) | st.characters(max_codepoint=255)))
    edited = token[:start] + put + token[end:]
    assume(edited != token)
    assert reason(shared.client, edited) == DENIED


def test_a_truncated_token_is_invalid(shared: Service, token: str) -> None:
    for length in range(len(token)):
        assert reason(shared.client, token[:length]) == DENIED
        assert reason(shared.client, token[len(token) - length :]) == DENIED


def test_signatures_of_two_tokens_cannot_be_swapped(shared: Service) -> None:
    grant, refusal = shared.token(), shared.token(analytics=False)
    swapped = f"{grant.rpartition('.')[0]}.{refusal.rpartition('.')[2]}"
    assert reason(shared.client, swapped) == DENIED


@pytest.mark.parametrize(
    "token",
    [
        ".",
        "..",
        "~",
        "~" * 50,
        "1~site_test~vis_x.",
        "1~site_test",
        ".site_test",
        "null",
        "\x00",
        "é" * 100,
        "\xff\xfe",
        "\N{BLACK HEART SUIT}",
        "a" * 100_000,
        "~1" * 50_000 + "." + "A" * 43,
    ],
    ids=lambda token: repr(token[:20]),
)
def test_garbage_is_invalid(shared: Service, behind: Client, token: str) -> None:
    for client in (shared.client, behind):
        assert reason(client, token) == DENIED


def test_a_token_counts_on_its_own_site_only(shared: Service, behind: Client, token: str) -> None:
    for client in (shared.client, behind):
        assert reason(client, token, "site_object") == DENIED
        moved = token.replace("~site_test~", "~site_object~")
        assert reason(client, moved, "site_object") == DENIED


def test_a_token_of_a_site_that_is_gone_from_memory_is_no_better(shared: Service) -> None:
    response = shared.ask(site_key="site_gone", token=shared.token())
    assert response.status_code == 404


def hand_signed(keys_file: Path, claims: Claims, *, salt: str = tokens.SALT) -> str:
    return tokens.write_token(claims, Keyring(keys_file).signer(salt))


def claims_of(shared: Service, token: str) -> Claims:
    signer = Keyring(shared.settings.keys_file).signer(tokens.SALT)
    found = tokens.read_token(token, "site_test", signer)
    assert found is not None
    return found


def test_what_was_signed_for_another_use_is_invalid(shared: Service, token: str) -> None:
    claims, keys_file = claims_of(shared, token), shared.settings.keys_file
    assert reason(shared.client, hand_signed(keys_file, claims)) == "granted"
    for salt in ("receipt", "limits", ""):
        assert reason(shared.client, hand_signed(keys_file, claims, salt=salt)) == DENIED


@pytest.mark.parametrize("key", [b"", b"secret", b"\x00" * 32, b"consent-token"])
def test_a_token_signed_with_a_guessed_key_is_invalid(
    shared: Service, token: str, key: bytes
) -> None:
    guessed = Signer(key, key_derivation="none", digest_method=hashlib.sha256)
    forged = tokens.write_token(claims_of(shared, token), guessed)
    assert reason(shared.client, forged) == DENIED


@pytest.mark.parametrize("version", ["0", "2", "", "01"])
def test_a_token_of_another_version_is_invalid(shared: Service, token: str, version: str) -> None:
    payload = version + token.rpartition(".")[0][1:]
    signer = Keyring(shared.settings.keys_file).signer(tokens.SALT)
    assert reason(shared.client, signer.sign(payload).decode()) == DENIED


@pytest.mark.parametrize(
    ("seconds", "expected"), [(-1, "expired"), (0, "expired"), (600, "granted")]
)
def test_a_choice_expires(shared: Service, token: str, seconds: int, expected: str) -> None:
    claims = claims_of(shared, token)._replace(expires_at=int(time.time()) + seconds)
    aged = hand_signed(shared.settings.keys_file, claims)
    response = shared.ask(token=aged)
    assert response.get_json()["decisions"]["analytics"]["reason"] == expected
    # And a page keeps the answer no longer than it is true.
    assert response.get_json()["max_age"] == (60 if seconds > 60 else 0)


def test_an_answer_is_kept_no_longer_than_the_choice_lasts(shared: Service, token: str) -> None:
    claims = claims_of(shared, token)._replace(expires_at=int(time.time()) + 30)
    body = shared.ask(token=hand_signed(shared.settings.keys_file, claims)).get_json()
    assert 0 < body["max_age"] <= 30


@pytest.fixture
def fresh(sqlite_url: str, tmp_path: Path) -> Iterator[Service]:
    """A service whose keys a test may change."""
    made = make_service(sqlite_url, tmp_path)
    yield made
    made.built.database.close()


def keys_of(service: Service) -> Keyring:
    with service.built.flask.app_context():
        return use(Keyring)


def retire_the_oldest_key(keys_file: Path) -> None:
    document = json.loads(keys_file.read_text())
    del document["token"][0]
    keys_file.write_text(json.dumps(document))


def test_a_token_outlives_a_new_key_and_not_its_own(fresh: Service) -> None:
    keys_file, token = fresh.settings.keys_file, fresh.token()
    signing.rotate(keys_file, "token")
    keys_of(fresh).refresh()
    assert fresh.reason(token=token) == "granted"
    retire_the_oldest_key(keys_file)
    keys_of(fresh).refresh()
    assert fresh.reason(token=token) == DENIED
    assert fresh.reason(token=fresh.token()) == "granted"


def test_a_key_that_is_retired_while_it_is_taken_up_is_retired(
    fresh: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, keys_file = keys_of(fresh), fresh.settings.keys_file
    token = fresh.token()
    signing.rotate(keys_file, "token")
    keys.refresh()
    in_order = signing._signing_order  # noqa: SLF001 - where the other thread comes in between

    def refresh_in_between(listed: list[Key]) -> list[Key]:
        monkeypatch.undo()
        ordered = in_order(listed)
        retire_the_oldest_key(keys_file)
        keys.refresh()
        return ordered

    monkeypatch.setattr(signing, "_signing_order", refresh_in_between)
    assert fresh.reason(token=token) == "granted", "the question came first"
    assert fresh.reason(token=token) == DENIED
