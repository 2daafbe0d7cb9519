"""The formats that others read are pinned, byte for byte. The widget's tests read these files too.

What is under ``vectors/`` was made once, by other code than this service's.
"""

from __future__ import annotations

import hmac
import json
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import rfc8785
from itsdangerous.encoding import base64_decode, base64_encode

from consent_service import clock
from consent_service.consents import tokens
from consent_service.consents.record import Circumstances, Decision, Identity, document
from consent_service.consents.tokens import Claims
from consent_service.notices.configuration import Notice
from consent_service.regions.rules import Place, Rule
from consent_service.signing import CompactSigner, Keyring, Signature, sha256

VECTORS = Path(__file__).parent / "vectors"


def vector(name: str) -> Any:  # noqa: ANN401
    return json.loads((VECTORS / f"{name}.json").read_bytes())


@pytest.fixture
def keys(tmp_path: Path) -> Keyring:
    """The keys that the vectors were made with."""
    active = "2026-01-01T00:00:00.000Z"
    secrets = {
        "record": (vector("record")["public_key"]["kid"], vector("record")["private_key"]),
        "token": ("00000000", vector("token")["secret"]),
        "data": ("00000000", vector("token")["secret"]),
    }
    path = tmp_path / "keys.json"
    path.write_text(
        json.dumps(
            {
                kind: [{"id": key_id, "secret": secret, "active_from": active}]
                for kind, (key_id, secret) in secrets.items()
            }
        )
    )
    return Keyring(path)


def test_a_record_has_these_members() -> None:
    record = vector("record")["record"]
    purposes = [
        {"key": "session", "category": "essential"},
        {"key": "preferences", "category": "preferences"},
        {"key": "analytics", "category": "analytics"},
    ]
    made = document(
        record_id=UUID(record["id"]),
        identity=Identity(
            tenant_id=UUID(record["tenant_id"]),
            site_key="site_demo",
            visitor_id=record["visitor_id"],
            previous_id=UUID(record["previous_id"]),
            sequence=2,
        ),
        decision=Decision(
            choices={"analytics": True, "preferences": False},
            action="save",
            notice_version=3,
            language="sw",
            surface="preferences",
        ),
        states={"analytics": tokens.GRANTED, "preferences": tokens.REFUSED},
        circumstances=Circumstances(
            gpc=True, place=Place("TZ"), device_class="phone", browser_family="chrome"
        ),
        notice=Notice(
            site_id=UUID(int=0),
            version=3,
            material_version=1,
            content_hash=record["notice_hash"],
            content={"purposes": purposes, "policy": {"version": record["policy_version"]}},
            published_on=date(2026, 3, 1),
        ),
        rule=Rule("TZ", "opt_in", "voluntary", "optional", 180, 180, "2026-11-23"),
        at=clock.from_rfc3339(record["created_at"]),
    )
    assert made == record


def test_a_record_is_signed_over_these_bytes(keys: Keyring) -> None:
    found = vector("record")
    canonical = rfc8785.dumps(found["record"])
    assert canonical == found["canonical"].encode()
    assert sha256(canonical).hex() == found["canonical_sha256"]
    signature = keys.sign(canonical)
    assert base64_encode(signature.value).decode() == found["signature"]
    assert keys.jwks() == {"keys": [found["public_key"]]}
    assert signature.key_id == found["public_key"]["kid"]


def test_the_signature_of_the_record_verifies(keys: Keyring) -> None:
    found = vector("record")
    signature = Signature(found["public_key"]["kid"], base64_decode(found["signature"]))
    assert keys.verify(found["canonical"].encode(), signature)
    assert not keys.verify(found["canonical"].replace("true", "false").encode(), signature)


def test_a_token_is_written_and_read_like_this(keys: Keyring) -> None:
    found = vector("token")
    claims = Claims(**found["claims"])
    signer = keys.signer(tokens.SALT)
    assert found["salt"] == tokens.SALT
    assert tokens.write_token(claims, signer) == found["token"]
    assert tokens.read_token(found["token"], "site_demo", signer) == claims


def test_a_tokens_key_is_derived_like_this() -> None:
    found = vector("token")
    key = hmac.digest(base64_decode(found["secret"]), found["salt"].encode(), "sha256")
    assert base64_encode(key).decode() == found["key"]
    payload, _, mac = found["token"].rpartition(".")
    assert base64_encode(hmac.digest(key, payload.encode(), "sha256")).decode() == mac
    assert CompactSigner([key]).get_signature(payload).decode() == mac


@pytest.mark.parametrize("case", vector("choices")["cases"])
def test_the_readable_choices_are_written_like_this(case: dict[str, Any]) -> None:
    record = case["record"]
    claims = Claims(
        site_key="site_demo",
        visitor_id="vis_AAECAwQFBgcICQoLDA0ODw",
        record_id=record["id"],
        sequence=1,
        notice_version=record["notice_version"],
        issued_at=0,
        expires_at=int(clock.from_rfc3339(record["expires_at"]).timestamp()),
        gpc=record["gpc"],
        choices={
            key: tokens.GRANTED if record["choices"][key] else tokens.REFUSED
            for key in case["optional"]
        },
    )
    assert tokens.readable_choices(claims) == case["value"]
