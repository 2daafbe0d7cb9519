"""Keys that were stolen or lost: they sign no more, and what was signed stays verifiable."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st
from itsdangerous.encoding import base64_decode

from consent_service import clock, signing
from consent_service.errors import OperatorError
from consent_service.key_changes import adopt, read_jwks, revoke
from consent_service.key_file import KEY_KINDS, Reason, Revoked
from consent_service.signing import Keyring, Signature, ensure_keys, rotate
from tests.test_signing import Clock, change, keys_in, move

__all__ = ["move"]


def now(reason: Reason = "compromised") -> Revoked:
    return Revoked(clock.now(), reason)


def read_by_previous_version(path: Path) -> dict[str, list[tuple[str, bytes]]]:
    """Read the file as the version did that knew of no revoked keys, or fail as it did."""
    document = keys_in(path)
    found: dict[str, list[tuple[str, bytes]]] = {
        kind: [(entry["id"], base64_decode(entry["secret"])) for entry in document[kind]]
        for kind in KEY_KINDS
    }
    assert all(found.values())
    assert all(len(secret) == 32 for keys in found.values() for _, secret in keys)
    return found


@pytest.mark.parametrize("reason", ["compromised", "lost"])
def test_a_revoked_record_key_loses_its_secret_and_still_verifies(
    keys_file: Path, reason: Reason
) -> None:
    running = Keyring(keys_file)
    old = running.sign(b"message")
    (entry,) = keys_in(keys_file)["record"]
    successor = revoke(keys_file, "record", old.key_id, now(reason))
    assert entry["secret"] not in keys_file.read_text()
    running.refresh()
    for keys in (running, Keyring(keys_file)):
        new = keys.sign(b"message")
        assert (new.key_id, successor.made) == (successor.key.id, True)
        assert new.key_id != old.key_id
        assert keys.verify(b"message", old)
        assert not keys.verify(b"massage", old)
        assert keys.verify(b"message", new)
        (found,) = [keys.revoked(old.key_id)]
        assert found is not None
        assert found.reason == reason
        assert keys.revoked(new.key_id) is None
        first, second = keys.public_keys()
        assert (first.id, first.revoked, second.revoked) == (old.key_id, found, None)
        Ed25519PublicKey.from_public_bytes(first.public).verify(old.value, b"message")


def test_a_revoked_key_is_published_in_the_form_of_openid_federation(keys_file: Path) -> None:
    (before,) = Keyring(keys_file).jwks()["keys"]
    at = clock.now()
    revoke(keys_file, "record", before["kid"], Revoked(at, "compromised"))
    old, new = Keyring(keys_file).jwks()["keys"]
    revoked = {"revoked_at": int(at.timestamp()), "reason": "compromised"}
    assert old == {**before, "revoked": revoked}
    assert "revoked" not in new


def test_a_log_is_signed_by_the_two_newest_keys_that_were_not_stolen(
    keys_file: Path, move: Clock
) -> None:
    ids = [keys_in(keys_file)["record"][0]["id"], *(rotate(keys_file, "record").id for _ in "ab")]
    move(timedelta(minutes=2))
    keys = Keyring(keys_file)
    public = {key.public: key.id for key in keys.public_keys()}

    def signers() -> list[str]:
        keys.refresh()
        return [public[key] for key, _ in keys.sign_for_log(b"head")]

    assert signers() == ids[1:]
    revoke(keys_file, "record", ids[2], now())
    assert signers() == ids[:2]
    revoke(keys_file, "record", ids[0], now())
    assert signers() == [ids[1]]
    assert keys.sign(b"x").key_id == ids[1]


def test_a_key_that_waited_signs_at_once_when_there_is_no_other(keys_file: Path) -> None:
    for kind in ("record", "token"):
        old = keys_in(keys_file)[kind][0]["id"]
        waiting = rotate(keys_file, kind)
        successor = revoke(keys_file, kind, old, now())
        assert (successor.key.id, successor.made) == (waiting.id, False)
        assert successor.key.active_from <= clock.now()
    keys = Keyring(keys_file)
    assert keys.token_key_id == waiting.id
    assert keys.sign_for_log(b"head")


def test_what_a_stolen_token_key_signed_is_void_and_what_it_gave_stays(keys_file: Path) -> None:
    keys = Keyring(keys_file)
    stolen, token = keys.token_key_id, keys.signer("use").sign("value").decode()
    derived, of_link = keys.derive("use"), keys.derive_from(stolen, "link")
    successor = revoke(keys_file, "token", stolen, now())
    keys.refresh()
    for each in (keys, Keyring(keys_file)):
        assert not each.signer("use").validate(token)
        assert each.signer("use").validate(each.signer("use").sign("value"))
        assert each.token_key_id == successor.key.id != stolen
        assert each.derive("use") == derived
        assert each.derive_from(stolen, "link") == of_link
        assert each.token_key_revoked(stolen)
        assert not each.token_key_revoked(successor.key.id)


def test_the_previous_version_reads_the_file_and_signs_with_no_stolen_record_key(
    keys_file: Path,
) -> None:
    before = read_by_previous_version(keys_file)
    for kind in ("record", "token"):
        revoke(keys_file, kind, before[kind][0][0], now())
    after = read_by_previous_version(keys_file)
    assert before["record"][0] not in after["record"]
    # From the oldest it derives who is who.
    assert after["token"][0] == before["token"][0]
    assert after["data"] == before["data"]


def test_a_file_without_revoked_keys_is_written_as_before(keys_file: Path) -> None:
    rotate(keys_file, "record")
    assert list(keys_in(keys_file)) == list(KEY_KINDS)
    members = {name for keys in keys_in(keys_file).values() for key in keys for name in key}
    assert members == {"id", "secret", "active_from"}


def refused(path: Path, *arguments: Any) -> str:  # noqa: ANN401
    """Return why a key is not revoked; the file stays as it was."""
    before = path.read_bytes()
    with pytest.raises(OperatorError) as caught:
        revoke(path, *arguments)
    assert path.read_bytes() == before
    return str(caught.value)


def test_what_makes_no_sense_is_refused_and_changes_nothing(keys_file: Path) -> None:
    record, token = (keys_in(keys_file)[kind][0]["id"] for kind in ("record", "token"))
    day = timedelta(days=1)
    assert "holds no record key nope" in refused(keys_file, "record", "nope", now())
    assert "holds no token key" in refused(keys_file, "token", record, now())
    assert "so it is not lost" in refused(keys_file, "token", token, now("lost"))
    late = Revoked(clock.now() + day, "compromised")
    early = Revoked(clock.now() - day, "compromised")
    for kind, key_id in (("record", record), ("token", token)):
        assert "Change --at" in refused(keys_file, kind, key_id, late)
        assert "signs only since" in refused(keys_file, kind, key_id, early)
        revoke(keys_file, kind, key_id, now())  # type: ignore[arg-type]
        assert "revoked already, as compromised" in refused(keys_file, kind, key_id, now())
    assert "cannot be taken back" in refused(keys_file, "record", record, now("lost"))


def test_a_lost_key_may_turn_out_to_be_stolen(keys_file: Path) -> None:
    record = keys_in(keys_file)["record"][0]["id"]
    revoke(keys_file, "record", record, now("lost"))
    successor = revoke(keys_file, "record", record, now())
    assert not successor.made
    found = Keyring(keys_file).revoked(record)
    assert found is not None
    assert found.reason == "compromised"


def test_adopted_keys_verify_and_nothing_that_was_there_changes(
    keys_file: Path, tmp_path: Path
) -> None:
    before = Keyring(keys_file)
    lost, stolen = before.sign(b"message"), before.jwks()["keys"][0]["kid"]
    revoke(keys_file, "record", stolen, now())
    before.refresh()
    newer = before.sign(b"message")
    saved = before.jwks()
    path = tmp_path / "new" / "keys.json"
    ensure_keys(path)
    kept = keys_in(path)
    running = Keyring(path)
    found = read_jwks(json.loads(json.dumps(saved)))
    assert adopt(path, found).added == [stolen, newer.key_id]
    assert {kind: keys_in(path)[kind] for kind in KEY_KINDS} == kept
    running.refresh()
    keys = Keyring(path)
    for signature in (lost, newer):
        assert keys.verify(b"message", signature)
        assert running.verify(b"message", signature)
    reasons = [each.revoked and each.revoked.reason for each in keys.public_keys()]
    assert reasons == ["compromised", "lost", None]
    assert keys.sign(b"x").key_id == kept["record"][0]["id"]
    assert [public for public, _ in keys.sign_for_log(b"x")] == [keys.public_keys()[-1].public]
    # What is known is left alone, and no key's theft forgotten.
    whole = path.read_bytes()
    assert adopt(path, read_jwks(keys.jwks())).added == []
    assert path.read_bytes() == whole
    told = json.loads(json.dumps(saved))
    told["keys"][1]["revoked"] = {"revoked_at": 1_700_000_000, "reason": "compromised"}
    assert adopt(path, read_jwks(told)).warned == [newer.key_id]
    assert path.read_bytes() == whole


def _rename(key: dict[str, Any]) -> None:
    key["kid"] = key["kid"][:-1] + ("A" if key["kid"][-1] != "A" else "B")


def _swap(key: dict[str, Any]) -> None:
    key["x"] = ("A" if key["x"][0] != "A" else "B") + key["x"][1:]


@pytest.mark.parametrize(
    ("how", "told"),
    [
        (_rename, "not the one that its name stands for"),
        (_swap, "not the one that its name stands for"),
        (lambda key: key.update(d="secret"), "comes with its secret"),
        (lambda key: key.update(kty="EC"), "is no Ed25519 key"),
        (lambda key: key.update(crv="X25519"), "is no Ed25519 key"),
        (lambda key: key.update(x=key["x"] + "A"), "is no Ed25519 key"),
        (lambda key: key.update(x=7), "is no Ed25519 key"),
        (lambda key: key.pop("x"), "is no Ed25519 key"),
        (lambda key: key.update(revoked={"reason": "lost"}), "is no Ed25519 key"),
        (lambda key: key.update(revoked={"revoked_at": "1", "reason": "lost"}), "is no Ed25519"),
        (lambda key: key.update(revoked={"revoked_at": 1, "reason": "other"}), "is no Ed25519 key"),
        (lambda key: key.update(revoked={"revoked_at": 10**20, "reason": "lost"}), "is no Ed25519"),
        (lambda key: key.clear(), "is no Ed25519 key"),
    ],
)
def test_a_copy_that_was_altered_is_refused(
    keys_file: Path, how: Callable[[dict[str, Any]], object], told: str
) -> None:
    jwks = json.loads(json.dumps(Keyring(keys_file).jwks()))
    how(jwks["keys"][0])
    with pytest.raises(OperatorError, match=told):
        read_jwks(jwks)


@pytest.mark.parametrize(
    "document", [None, [], {}, {"keys": []}, {"keys": {}}, "keys", {"keys": 1}]
)
def test_what_is_no_jwk_set_is_refused(document: object) -> None:
    with pytest.raises(OperatorError, match="This is no JWK Set with keys in it"):
        read_jwks(document)
    with pytest.raises(OperatorError, match="is no Ed25519 key"):
        read_jwks({"keys": [document]})


def test_keys_are_adopted_into_a_file_that_is_there(keys_file: Path, tmp_path: Path) -> None:
    found = read_jwks(Keyring(keys_file).jwks())
    with pytest.raises(OperatorError, match="Make new keys first: consent-service key rotate"):
        adopt(tmp_path / "none.json", found)
    assert not (tmp_path / "none.json").exists()


def test_a_file_that_holds_retired_keys_alone_says_how_to_make_one(keys_file: Path) -> None:
    revoke(keys_file, "record", keys_in(keys_file)["record"][0]["id"], now())
    change(keys_file, lambda document: document["record"].clear())
    with pytest.raises(OperatorError, match=r"holds no record key\. Make one with"):
        Keyring(keys_file)
    assert rotate(keys_file, "record").active_from <= clock.now()
    Keyring(keys_file)


steps = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "rotate record",
                "rotate token",
                "stolen record",
                "lost record",
                "stolen token",
                "wait",
            ]
        ),
        st.integers(0, 5),
    ),
    max_size=8,
)


@settings(max_examples=25)
@given(steps)
def test_whatever_is_rotated_or_revoked_only_good_keys_sign_and_all_signatures_verify(
    steps: list[tuple[str, int]],
) -> None:
    start = clock.now()
    ahead = timedelta()
    signed: list[Signature] = []
    tokens: list[tuple[str, bytes]] = []
    bad: set[str] = set()
    with TemporaryDirectory() as folder, patch.object(clock, "now", lambda: start + ahead):
        path = Path(folder) / "keys.json"
        ensure_keys(path)
        running = Keyring(path)
        derived = running.derive("use")
        for step, number in [("wait", 0), *steps]:
            what, _, kind = step.partition(" ")
            if what == "wait":
                ahead += timedelta(seconds=31)
            elif what == "rotate":
                rotate(path, kind)  # type: ignore[arg-type]
            else:
                held = [key["id"] for key in keys_in(path)[kind] if "revoked" not in key]
                chosen, reason = (
                    held[number % len(held)],
                    "lost" if what == "lost" else "compromised",
                )
                ahead += signing.ROTATION_DELAY
                revoke(path, kind, chosen, now(reason))  # type: ignore[arg-type]
                bad.add(chosen)
            running.refresh()
            for keys in (running, Keyring(path)):
                signed.append(keys.sign(b"message"))
                assert signed[-1].key_id not in bad
                assert keys.token_key_id not in bad
                tokens.append((keys.token_key_id, keys.signer("use").sign("value")))
                assert all(keys.verify(b"message", each) for each in signed)
                for key_id, token in tokens:
                    assert keys.signer("use").validate(token) is (key_id not in bad)
                assert keys.derive("use") == derived
                public = {key.public: key.id for key in keys.public_keys()}
                of_log = [public[key] for key, _ in keys.sign_for_log(b"head")]
                assert of_log[-1] == signed[-1].key_id
                assert not bad.intersection(of_log)
            read_by_previous_version(path)
