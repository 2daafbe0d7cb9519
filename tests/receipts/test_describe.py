"""A record in terms of ISO/IEC TS 27560 and DPV: true, whole, and as canonical as the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from consent_service.notices.content import resolve
from consent_service.notices.schemas import CATEGORIES
from consent_service.receipts.describe import CONTEXT, describe, status
from consent_service.signing import canonical_json
from tests.builders import make_notice

VECTORS = Path(__file__).parents[1] / "vectors"
RECORD: dict[str, Any] = json.loads((VECTORS / "record.json").read_bytes())["record"]
CONTENT = resolve(make_notice())


def described(
    record: dict[str, Any] = RECORD,
    previous: dict[str, Any] | None = None,
    content: Any = CONTENT,  # noqa: ANN401
) -> dict[str, Any]:
    return describe(record, site_name="App", previous=previous, content=content)


def activity(**changes: Any) -> dict[str, Any]:  # noqa: ANN401
    found: dict[str, Any] = described(**changes)["dpv:hasRecordOfActivity"]
    return found


def processes(**changes: Any) -> dict[str, dict[str, Any]]:  # noqa: ANN401
    return {
        process["dpv:hasPurpose"]["dct:identifier"]: process
        for process in activity(**changes)["dpv:hasProcess"]
    }


def test_a_receipt_names_its_profile_and_holds_the_record() -> None:
    receipt = described()
    assert receipt["@type"] == "dpv:ConsentReceipt"
    assert receipt["dct:conformsTo"] == {"@id": "https://w3id.org/dpv/schema/dpv-27560#receipt"}
    record = receipt["dpv:hasRecordOfActivity"]
    assert record["@type"] == "dpv:ConsentRecord"
    assert record["dct:identifier"] == RECORD["id"]
    assert record["dct:date"] == {"@type": "xsd:dateTime", "@value": RECORD["created_at"]}
    assert record["dct:valid"]["@value"] == RECORD["expires_at"]
    assert record["dct:language"] == "sw"
    assert record["dpv:hasDataSubject"]["dct:identifier"] == RECORD["visitor_id"]
    assert record["dpv:hasDataController"]["dpv:hasName"] == "Example Ltd"
    officer = record["dpv:hasDataController"]["dpv:hasRepresentative"]
    assert officer["dpv:hasContact"] == "dpo@example.com"
    notice, policy = record["dpv:hasNotice"]
    assert (notice["dct:hasVersion"], notice["dct:identifier"]) == ("3", RECORD["notice_hash"])
    assert (policy["@id"], policy["dct:hasVersion"]) == (
        "https://example.com/privacy",
        RECORD["policy_version"],
    )
    assert record["dpv:hasAuthority"]["dpv:hasName"]["@value"].startswith("Tume ya Ulinzi")


def names_in(value: Any) -> set[str]:  # noqa: ANN401
    """Return all prefixed names in a JSON-LD value."""
    if isinstance(value, dict):
        said = {key for key in value if not key.startswith("@")}
        kinds = value.get("@type", [])
        said |= set([kinds] if isinstance(kinds, str) else kinds)
        linked = value.get("@id", "")
        said |= {linked} if linked.startswith("dpv:") else set()
        return said.union(*(names_in(inner) for key, inner in value.items() if key != "@type"))
    if isinstance(value, list):
        return set().union(*map(names_in, value))
    return set()


def test_every_name_has_a_prefix_that_the_document_itself_explains() -> None:
    found = names_in({k: v for k, v in described().items() if k != "@context"})
    assert found
    assert {name.partition(":")[0] for name in found} == set(CONTEXT)
    # It was in a draft of the guide, and is no term of DPV 2.3.
    assert "dpv:Analytics" not in found


def test_every_purpose_is_there_with_whom_it_goes_to_and_how_long_it_is_kept() -> None:
    found = processes()
    assert set(found) == {"session", "preferences", "analytics"}
    (service,) = found["analytics"]["dpv:hasService"]
    assert service["dpv:hasRecipient"]["dpv:hasName"] == "Example Ltd"
    (cookie,) = service["dpv:hasPersonalData"]
    kept = cookie["dpv:hasStorageCondition"]["dct:description"]
    assert kept == {"@language": "sw", "@value": "miezi 13"}
    assert found["analytics"]["dpv:hasPurpose"]["@type"][1] == "dpv:ServiceUsageAnalytics"


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_category_has_a_term(category: str) -> None:
    notice = make_notice()
    notice["purposes"][2]["category"] = category
    found = processes(content=resolve(notice))["analytics"]
    assert found["dpv:hasPurpose"]["@type"][1].startswith("dpv:")
    assert ("dpv:hasConsentStatus" in found) == (category != "essential")


GIVEN = {"action": "save", "choices": {"analytics": True}}
REFUSED = {"action": "save", "choices": {"analytics": False}}


@pytest.mark.parametrize(
    ("record", "previous", "expected"),
    [
        (GIVEN, None, "ConsentGiven"),
        (GIVEN, REFUSED, "ConsentGiven"),
        (GIVEN, GIVEN, "RenewedConsentGiven"),
        # Signing in asks for nothing, so nothing is renewed.
        ({**GIVEN, "action": "link"}, GIVEN, "ConsentGiven"),
        # The purpose is new in the notice.
        (GIVEN, {**GIVEN, "choices": {}}, "ConsentGiven"),
        (REFUSED, None, "ConsentRefused"),
        (REFUSED, REFUSED, "ConsentRefused"),
        (REFUSED, GIVEN, "ConsentWithdrawn"),
        ({**REFUSED, "action": "withdraw"}, REFUSED, "ConsentRefused"),
    ],
)
def test_consent_has_the_state_that_the_records_show(
    record: dict[str, Any], previous: dict[str, Any] | None, expected: str
) -> None:
    assert status(record, previous, "analytics") == f"dpv:{expected}"


def test_what_is_essential_is_nowhere_called_consent() -> None:
    session = processes()["session"]
    assert "dpv:hasConsentStatus" not in session
    assert "dpv:hasLegalBasis" not in session
    assert session["dpv:hasNecessity"] == {"@id": "dpv:Required"}


def test_without_the_notice_only_what_the_record_says_is_described() -> None:
    found = activity(content=None)
    assert "dpv:hasName" not in found["dpv:hasDataController"]
    assert {each["dpv:hasPurpose"]["dct:identifier"] for each in found["dpv:hasProcess"]} == set(
        RECORD["choices"]
    )


words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@given(words, words, words)
def test_whatever_a_tenant_writes_the_canonical_form_is_that_of_rfc_8785(
    name: str, description: str, address: str
) -> None:
    content = json.loads(json.dumps(CONTENT))
    content["controller"]["name"] = name
    content["dpo"]["address"] = address
    for purpose in content["purposes"]:
        purpose["texts"]["sw"] = {"name": name, "description": description}
        for service in purpose["services"]:
            service["provider"] = address
    document = described(content=content)
    assert canonical_json(document) == rfc8785.dumps(document)
