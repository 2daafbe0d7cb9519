"""Receipts: readable by whoever holds the link, checkable by anyone with two public libraries."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from consent_service import signing
from consent_service.signing import Keyring
from tests.builders import Service, make_service


def unpadded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def verify(receipt: dict[str, Any], jwks: dict[str, Any]) -> None:
    """Check a receipt as ``docs/records.md`` says, with nothing of this service's own."""
    signature = receipt["signature"]
    assert signature["algorithm"] == "Ed25519"
    (jwk,) = (key for key in jwks["keys"] if key["kid"] == signature["key_id"])
    key = Ed25519PublicKey.from_public_bytes(unpadded(jwk["x"]))
    key.verify(unpadded(signature["value"]), rfc8785.dumps(receipt["record"]))


def receipt_of(service: Service, **body: Any) -> tuple[dict[str, Any], dict[str, Any]]:  # noqa: ANN401
    """Make a record; return its receipt and the public keys."""
    answer = service.choose(**body).get_json()
    receipt = service.client.get(answer["receipt_url"])
    assert receipt.status_code == 200
    assert receipt.get_json()["record"] == answer["record"]
    return receipt.get_json(), service.client.get("/.well-known/jwks.json").get_json()


def test_a_receipt_verifies_with_the_published_key(service: Service) -> None:
    receipt, jwks = receipt_of(service, language="sw")
    verify(receipt, jwks)
    (key,) = jwks["keys"]
    assert set(key) == {"kty", "crv", "x", "kid", "alg", "use"}
    assert (key["kty"], key["crv"], key["alg"]) == ("OKP", "Ed25519", "Ed25519")


def test_a_receipt_that_was_changed_anywhere_does_not_verify(service: Service) -> None:
    receipt, jwks = receipt_of(service)
    for member, value in receipt["record"].items():
        changed = {**value, "analytics": False} if member == "choices" else f"{value}x"
        with pytest.raises(InvalidSignature):
            verify(receipt | {"record": {**receipt["record"], member: changed}}, jwks)
        without = {name: it for name, it in receipt["record"].items() if name != member}
        with pytest.raises(InvalidSignature):
            verify(receipt | {"record": without}, jwks)


def test_receipts_verify_after_the_key_was_rotated(service: Service) -> None:
    receipt, _ = receipt_of(service)
    signing.rotate(service.settings.keys_file, "record")
    service.use(Keyring).refresh()
    jwks = service.client.get("/.well-known/jwks.json").get_json()
    assert len(jwks["keys"]) == 2
    verify(receipt, jwks)


def test_a_link_without_the_right_proof_is_like_one_to_nothing(service: Service) -> None:
    first, second = (urlsplit(service.choose().get_json()["receipt_url"]) for _ in range(2))
    proof = parse_qs(first.query)["proof"][0]
    nothing = f"/v1/records/{uuid4()}/receipt.json?proof={proof}"
    expected = service.client.get(nothing)
    assert expected.status_code == 404
    assert expected.get_json()["error"]["code"] == "unknown_record"
    for query in (
        "",
        "?proof=",
        f"?proof={proof[:-1]}",
        f"?proof={proof}A",
        f"?{second.query}",
        "?proof=%FF%C3%A9",
    ):
        response = service.client.get(first.path + query)
        assert response.status_code == 404, query
        assert response.get_json() == expected.get_json()


def test_a_receipt_is_kept_by_no_cache(service: Service) -> None:
    response = service.client.get(service.choose().get_json()["receipt_url"])
    assert response.headers["Cache-Control"] == "private, no-store"


def test_the_link_begins_with_the_address_that_visitors_use(
    sqlite_url: str, tmp_path: Path
) -> None:
    service = make_service(sqlite_url, tmp_path, public_url="https://consent.example.com")
    link = service.choose().get_json()["receipt_url"]
    assert link.startswith("https://consent.example.com/v1/records/")
    service.built.database.close()


def test_public_keys_may_be_fetched_by_any_page(service: Service) -> None:
    response = service.client.get("/.well-known/jwks.json")
    assert response.headers["Access-Control-Allow-Origin"] == "*"
