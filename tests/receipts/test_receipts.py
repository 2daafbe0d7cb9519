"""Receipts: readable by whoever holds the link or the token, checkable by anyone.

What is checked here is checked with public libraries and the RFCs' own steps, and with nothing of
this service's that could be wrong in the same way.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, urlsafe_b64decode
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import text

from consent_service import signing
from consent_service.signing import Keyring
from tests.builders import FORGERIES, ORIGIN, SITE_KEY, Service, make_service
from tests.receipts.triggers import unguard

ME = f"/v1/sites/{SITE_KEY}/consents/me"


def unpadded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def verify(receipt: dict[str, Any], jwks: dict[str, Any]) -> None:
    """Check a receipt as ``docs/verifying.md`` says, with nothing of this service's own."""
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


def sequence(service: Service) -> None:
    """Do the worker's work: put what waits into the ledgers."""
    service.sequencer.run([service.site])


def erase(service: Service, token: str) -> None:
    headers = {"Origin": ORIGIN, "X-Consent-Token": token}
    assert service.client.delete(ME, headers=headers).status_code == 200


def prove_inclusion(receipt: dict[str, Any], document: dict[str, Any]) -> None:
    """Follow the proof from the document to the root of the checkpoint (RFC 9162, 2.1.3.2)."""
    salt = unpadded(receipt["salt"])
    entry = hashlib.sha256(salt + rfc8785.dumps(document)).digest()
    head, checkpoint = receipt["proof"].split("\n\n", 1)
    _, index, *hashes = head.split("\n")
    origin, size, root = checkpoint.split("\n")[:3]
    assert origin == f"consent-service/{document['tenant_id']}/1"
    found, here, last = hashlib.sha256(b"\0" + entry).digest(), int(index.split()[1]), int(size) - 1
    for sibling in map(b64decode, hashes):
        if here & 1 or here == last:
            found = hashlib.sha256(b"\1" + sibling + found).digest()
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            found = hashlib.sha256(b"\1" + found + sibling).digest()
        here, last = here >> 1, last >> 1
    assert found == b64decode(root)


def test_a_receipt_says_itself_and_once_sequenced_proves_that_the_ledger_holds_it(
    service: Service,
) -> None:
    others = [service.choose().get_json() for _ in range(4)]
    link = others[2]["receipt_url"]
    waiting = service.client.get(link).get_json()
    assert waiting["proof"] is None
    sequence(service)
    service.choose()
    sequence(service)
    receipt = service.client.get(link).get_json()
    prove_inclusion(receipt, receipt["record"])
    assert receipt["type"] == "consent_receipt"
    jwks = service.client.get("/.well-known/jwks.json").get_json()
    verify(receipt, jwks)
    own = {"signature": receipt.pop("receipt_signature"), "record": receipt}
    verify(own, jwks)
    for member in receipt:
        without = {name: it for name, it in receipt.items() if name != member}
        with pytest.raises(InvalidSignature):
            verify(own | {"record": without}, jwks)


def test_a_visitors_token_leads_to_each_of_the_visitors_receipts(service: Service) -> None:
    first = service.choose().get_json()
    second = service.choose(token=first["token"]).get_json()
    for held in (first["token"], second["token"]):
        for answer in (first, second):
            path = f"/v1/records/{answer['record']['id']}/receipt.json?site={SITE_KEY}"
            for headers in (
                {"X-Consent-Token": held},
                {"Cookie": f"{service.site.cookie_name}={held}"},
            ):
                found = service.client.get(path, headers=headers)
                assert found.get_json()["record"] == answer["record"]


def test_after_linking_either_devices_token_leads_to_the_receipts_of_both(
    service: Service,
) -> None:
    phone, laptop = (service.choose().get_json() for _ in range(2))
    service.link(token=phone["token"])
    linked = service.link(token=laptop["token"]).get_json()
    for held in (phone["token"], laptop["token"], linked["token"]):
        for answer in (phone, laptop, linked):
            path = f"/v1/records/{answer['record']['id']}/receipt.json?site={SITE_KEY}"
            found = service.client.get(path, headers={"X-Consent-Token": held})
            assert found.status_code == 200, path


def test_to_everybody_else_a_record_is_like_one_that_never_was(service: Service) -> None:
    answer = service.choose().get_json()
    other = service.add_site("site_other")
    record = answer["record"]["id"]
    elsewhere = service.choose(site_key=other.site_key).get_json()["token"]
    never = service.client.get(f"/v1/records/{uuid4()}/receipt.json?site={SITE_KEY}")
    tokens = {
        "nobody": "",
        "another visitor": service.token(),
        "a visitor of another site": elsewhere,
        **{how: forge(answer["token"]) for how, forge in FORGERIES.items()},
    }
    for form in ("receipt.json", "receipt.html"):
        for who, token in tokens.items():
            for site in (SITE_KEY, other.site_key, "site_none"):
                path = f"/v1/records/{record}/{form}?site={site}"
                found = service.client.get(path, headers={"X-Consent-Token": token})
                assert found.status_code == 404, (who, path)
                if form == "receipt.json":
                    assert found.get_json() == never.get_json()
    # Another site's name does not make a token of this one good there.
    path = f"/v1/records/{record}/receipt.json?site={other.site_key}"
    headers = {"X-Consent-Token": answer["token"]}
    assert service.client.get(path, headers=headers).status_code == 404


def test_an_erased_records_link_proves_the_erasure_and_tells_nothing_more(
    service: Service,
) -> None:
    answer = service.choose(language="sw").get_json()
    link, record = answer["receipt_url"], answer["record"]
    salt = service.client.get(link).get_json()["salt"]
    sequence(service)
    erase(service, answer["token"])
    sequence(service)
    receipt = service.client.get(link).get_json()
    tombstone = receipt["tombstone"]
    assert receipt["type"] == "erasure_receipt"
    assert (tombstone["record_id"], tombstone["reason"]) == (record["id"], "visitor_request")
    prove_inclusion(receipt, tombstone)
    jwks = service.client.get("/.well-known/jwks.json").get_json()
    verify({**receipt, "record": tombstone}, jwks)
    page = service.client.get(link.replace(".json", ".html")).get_data(as_text=True)
    for said in (json.dumps(receipt), page):
        for secret in (record["visitor_id"], salt, "analytics", record["notice_hash"], '"sw"'):
            assert secret not in said.partition("<nav")[0] + said.rpartition("</nav>")[2]
    # By then the token is nobody's.
    path = f"/v1/records/{record['id']}/receipt.json?site={SITE_KEY}"
    headers = {"X-Consent-Token": answer["token"]}
    assert service.client.get(path, headers=headers).status_code == 404


BROKEN = {
    "a changed record": "UPDATE records SET document = replace(document, 'true', 'false')",
    "another signature": "UPDATE records SET signature = randomblob(64)",
    "another salt": "UPDATE records SET salt = randomblob(32)",
    "another leaf": "UPDATE leaves SET commitment = randomblob(32)",
    "another record, whole": "UPDATE records SET (document, signature, key_id, salt, commitment) = "
    "(SELECT document, signature, key_id, salt, commitment FROM records other "
    "WHERE other.id != records.id)",
    "another checkpoint": "UPDATE checkpoints SET note = replace(note, 'consent', 'content')",
}


@pytest.mark.parametrize("statement", BROKEN.values(), ids=BROKEN)
def test_what_would_not_verify_is_not_handed_out(
    sqlite_url: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    request: pytest.FixtureRequest,
    statement: str,
) -> None:
    service = make_service(sqlite_url, tmp_path)
    request.addfinalizer(service.built.database.close)
    link = service.choose().get_json()["receipt_url"]
    service.choose()
    sequence(service)
    assert service.client.get(link).status_code == 200
    unguard(service.built.database, statement.split()[1])
    with service.built.database.transaction(service.tenant.id) as connection:
        connection.execute(text(statement))
    answer = service.client.get(link)
    assert answer.status_code == 500
    assert set(answer.get_json()) == {"error"}
    assert answer.get_json()["error"]["code"] == "proof_broken"
    page = service.client.get(link.replace(".json", ".html"))
    assert page.status_code == 500
    assert "cannot be given out" in page.get_data(as_text=True)
    assert "a receipt is withheld" in caplog.text


def test_a_receipt_is_a_file_only_when_one_is_asked_for(service: Service) -> None:
    answer = service.choose().get_json()
    shown = service.client.get(answer["receipt_url"])
    assert "Content-Disposition" not in shown.headers
    stored = service.client.get(f"{answer['receipt_url']}&download=1")
    name = f"receipt-{answer['record']['id']}.json"
    assert stored.headers["Content-Disposition"] == f'attachment; filename="{name}"'


def test_the_short_address_leads_to_the_form_that_suits_who_asks(service: Service) -> None:
    link = service.choose().get_json()["receipt_url"]
    for accept, form in (
        ("text/html,application/xhtml+xml,*/*;q=0.8", "receipt.html"),
        ("application/json", "receipt.json"),
        ("*/*", "receipt.json"),
        ("image/png", "receipt.json"),
    ):
        short = link.replace("/receipt.json", "/receipt")
        answer = service.client.get(short, headers={"Accept": accept})
        assert answer.status_code == 303
        there = answer.headers["Location"]
        assert urlsplit(there).path.endswith(f"/{form}"), accept
        assert service.client.get(there).status_code == 200


def test_a_receipt_is_described_member_by_member(service: Service) -> None:
    document = service.client.get("/openapi.json").get_json()
    described = set(document["components"]["schemas"]["ReceiptOut"]["properties"])
    answer = service.choose().get_json()
    kept = service.client.get(answer["receipt_url"]).get_json()
    erase(service, answer["token"])
    buried = service.client.get(answer["receipt_url"]).get_json()
    assert described == set(kept) | set(buried)
    tombstone = document["components"]["schemas"]["TombstoneOut"]["properties"]
    assert set(tombstone) == set(buried["tombstone"])


def test_a_receipt_is_kept_by_no_cache(service: Service) -> None:
    link = service.choose().get_json()["receipt_url"]
    for form in (".json", ".html"):
        response = service.client.get(link.replace(".json", form))
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
