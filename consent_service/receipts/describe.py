"""A record in terms of ISO/IEC TS 27560:2023, as JSON-LD of the Data Privacy Vocabulary. Pure.

DPV 2.3 and its guide to ISO/IEC TS 27560 give the terms. The context stands in the document, so
that nobody fetches anything to read it. ``docs/records.md`` has the table.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

from consent_service.notices.configuration import ESSENTIAL
from consent_service.receipts.wording import page_language, texts

CONTEXT = {
    "dct": "http://purl.org/dc/terms/",
    "dpv": "https://w3id.org/dpv#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}

#: The profiles of DPV's guide that a receipt and the record in it follow.
_PROFILES = "https://w3id.org/dpv/schema/dpv-27560#"

_DATA = resources.files("consent_service.receipts") / "data"


def describe(
    record: Mapping[str, Any],
    *,
    site_name: str,
    previous: Mapping[str, Any] | None,
    content: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return a record as a consent receipt in DPV terms.

    :param site_name: what visitors know the site by
    :param previous: the visitor's record before it, if there is one
    :param content: what the notice of the record says; None where that is not known for certain,
        and then only what the record itself says is described
    """
    return {
        "@context": CONTEXT,
        "@type": "dpv:ConsentReceipt",
        "dct:conformsTo": {"@id": f"{_PROFILES}receipt"},
        "dct:identifier": record["id"],
        "dpv:hasRecordOfActivity": {
            "@type": "dpv:ConsentRecord",
            "dct:conformsTo": {"@id": f"{_PROFILES}record"},
            "dct:identifier": record["id"],
            "dct:date": _time(record["created_at"]),
            "dct:valid": _time(record["expires_at"]),
            "dct:language": record["language"],
            "dpv:hasDataSubject": _party("dpv:DataSubject", record["visitor_id"]),
            "dpv:hasDataController": _controller(record, content),
            "dpv:hasIndicationMethod": record["signal_source"],
            "dpv:hasNotice": _notices(record, content),
            "dpv:hasJurisdiction": {
                "@type": "dpv:Jurisdiction",
                "dct:identifier": record["region"],
                "dct:type": record["regime"],
                "dct:hasVersion": record["rule_version"],
            },
            **_authority(record),
            "dpv:hasConsentControl": {
                "@type": "dpv:WithdrawConsent",
                "dct:description": _said(record, "withdraw", site_name),
            },
            "dpv:hasRight": [
                {
                    "@type": "dpv:DataSubjectRight",
                    "dct:title": _said(record, f"{right}_title", site_name),
                    "dct:description": _said(record, right, site_name),
                }
                for right in ("withdraw", "erase")
            ],
            "dpv:hasProcess": list(_processes(record, previous, content)),
        },
    }


def status(record: Mapping[str, Any], previous: Mapping[str, Any] | None, purpose: str) -> str:
    """Return the state of consent for an optional purpose, as DPV names it.

    What was granted before and no longer is was withdrawn; what is granted again by an act of the
    visitor's own was renewed. Without the record before it, neither is said.
    """
    granted = record["choices"][purpose]
    before = bool(previous and previous["choices"].get(purpose))
    if granted:
        # Signing in on another device asks for nothing.
        renewed = before and record["action"] != "link"
        return "dpv:RenewedConsentGiven" if renewed else "dpv:ConsentGiven"
    return "dpv:ConsentWithdrawn" if before else "dpv:ConsentRefused"


@cache
def _table(name: str) -> Mapping[str, Any]:
    found: dict[str, Any] = json.loads((_DATA / f"{name}.json").read_bytes())
    return found


def _time(moment: str) -> dict[str, str]:
    return {"@type": "xsd:dateTime", "@value": moment}


def _text(text: str, language: str) -> dict[str, str]:
    return {"@language": language, "@value": text}


def _said(record: Mapping[str, Any], name: str, site_name: str) -> dict[str, str]:
    """Return one of our own texts, in the record's language if we have it."""
    language = page_language(record["language"])
    return _text(texts(language)[name].replace("{site}", site_name), language)


def _party(role: str, identifier: str, **said: str) -> dict[str, str]:
    return {
        "@type": role,
        "dct:identifier": identifier,
        **{f"dpv:{name}": text for name, text in said.items() if text},
    }


def _controller(record: Mapping[str, Any], content: Mapping[str, Any] | None) -> dict[str, Any]:
    if content is None:
        return _party("dpv:DataController", record["tenant_id"])
    dpo = content["dpo"]
    reached = {"hasContact": dpo["email"], "hasAddress": dpo["address"]}
    return {
        **_party(
            "dpv:DataController",
            record["tenant_id"],
            hasName=content["controller"]["name"],
            **reached,
        ),
        "dpv:hasRepresentative": {
            "@type": "dpv:DataProtectionOfficer",
            "dpv:hasName": dpo["name"],
            **{f"dpv:{name}": text for name, text in reached.items()},
        },
    }


def _notices(record: Mapping[str, Any], content: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    policy = {"@id": content["policy"]["url"]} if content else {}
    return [
        {
            "@type": "dpv:ConsentNotice",
            "dct:identifier": record["notice_hash"],
            "dct:hasVersion": str(record["notice_version"]),
            "dct:language": record["language"],
        },
        {"@type": "dpv:PrivacyNotice", **policy, "dct:hasVersion": record["policy_version"]},
    ]


def _authority(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the region's authority, where the table names it."""
    name = authority_of(record["region"], record["language"])
    if name is None:
        return {}
    language = page_language(record["language"])
    return {"dpv:hasAuthority": {"@type": "dpv:Authority", "dpv:hasName": _text(name, language)}}


def authority_of(region: str, language: str) -> str | None:
    """Return what a region's data protection authority is called; None where that is not known."""
    names = _table("authorities").get(region)
    return None if names is None else str(names[page_language(language)])


def _processes(
    record: Mapping[str, Any],
    previous: Mapping[str, Any] | None,
    content: Mapping[str, Any] | None,
) -> Iterator[dict[str, Any]]:
    """Give what happens for each purpose of the notice, and whether it was consented to."""
    if content is None:
        for key in record["choices"]:
            yield {
                "@type": "dpv:Process",
                "dpv:hasPurpose": {"@type": "dpv:Purpose", "dct:identifier": key},
                "dct:description": "allowed" if record["choices"][key] else "not allowed",
            }
        return
    for purpose in content["purposes"]:
        yield {
            "@type": "dpv:Process",
            "dpv:hasPurpose": _purpose(purpose, record["language"]),
            **_consent(record, previous, purpose),
            "dpv:hasService": [
                _service(service, record["language"]) for service in purpose["services"]
            ],
        }


def _consent(
    record: Mapping[str, Any], previous: Mapping[str, Any] | None, purpose: Mapping[str, Any]
) -> dict[str, Any]:
    if purpose["category"] == ESSENTIAL:
        # Nobody was asked. What else it rests on, the notice does not say.
        return {"dpv:hasNecessity": {"@id": "dpv:Required"}}
    return {
        "dpv:hasNecessity": {"@id": "dpv:Optional"},
        "dpv:hasLegalBasis": {"@id": "dpv:ExpressedConsent"},
        "dpv:hasConsentStatus": {"@id": status(record, previous, purpose["key"])},
    }


def _purpose(purpose: Mapping[str, Any], language: str) -> dict[str, Any]:
    said = purpose["texts"][language]
    return {
        "@type": ["dpv:Purpose", _table("purposes")[purpose["category"]]],
        "dct:identifier": purpose["key"],
        "dct:title": _text(said["name"], language),
        "dct:description": _text(said["description"], language),
    }


def _service(service: Mapping[str, Any], language: str) -> dict[str, Any]:
    return {
        "@type": "dpv:Service",
        "dct:identifier": service["key"],
        "dct:title": service["name"],
        "dpv:hasRecipient": {"@type": "dpv:Recipient", "dpv:hasName": service["provider"]},
        "dpv:hasPersonalData": [
            {
                "@type": "dpv:PersonalData",
                "dct:title": cookie["name"],
                "dct:description": _text(cookie["description"][language], language),
                "dpv:hasStorageCondition": {
                    "@type": "dpv:StorageDuration",
                    "dct:description": _text(cookie["duration"][language], language),
                },
            }
            for cookie in service["cookies"]
        ],
    }
