"""What a decision means and how its record is written. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from itsdangerous.encoding import base64_encode

from consent_service.clock import rfc3339
from consent_service.consents.merge import Merged
from consent_service.consents.tokens import GRANTED, REFUSED, WITHDRAWN
from consent_service.notices.configuration import ESSENTIAL, Notice
from consent_service.regions.rules import Place, Rule
from consent_service.signing import Signature

ACTIONS = ("accept_all", "reject_all", "save", "withdraw")
#: ``embed``: the placeholder of something that waits for consent.
SURFACES = ("banner", "preferences", "embed")

#: Changes when a member of the record is added, removed or gets another meaning.
SCHEMA_VERSION = 1

_UNIFORM = {"accept_all": True, "reject_all": False, "withdraw": False}


@dataclass(frozen=True)
class Decision:
    """What a visitor decided, on which notice, where."""

    choices: Mapping[str, bool]
    action: str
    notice_version: int
    language: str
    surface: str
    #: Whether the page saw the browser's opt-out signal.
    gpc: bool = False
    #: Milliseconds from the banner's showing to the choice, where the page knows; not signed.
    after_ms: int | None = None


@dataclass(frozen=True)
class Circumstances:
    """What the request said besides: no address, no full user agent."""

    gpc: bool
    place: Place
    device_class: str
    browser_family: str


@dataclass(frozen=True)
class Identity:
    """Who decides, and what stands before."""

    tenant_id: UUID
    site_key: str
    visitor_id: str
    previous_id: UUID | None
    sequence: int


class Previous(NamedTuple):
    """What counts of the record before a record."""

    notice_version: int
    choices: Mapping[str, bool]


def problems(decision: Decision, notice: Notice) -> dict[str, Any]:
    """Return what is wrong with a decision on this notice, by field; empty when nothing is.

    Every optional purpose must be answered: silence about one is neither a grant nor a refusal.
    """
    choices: dict[str, list[str]] = {}
    for key in decision.choices:
        category = notice.categories.get(key)
        if category is None:
            choices[key] = ["The notice has no such purpose."]
        elif category == ESSENTIAL:
            choices[key] = ["Essential purposes are not asked about; leave it out."]
    for key in notice.optional:
        if key not in decision.choices:
            choices[key] = ["Say true or false: every optional purpose needs an answer."]
    uniform = _UNIFORM.get(decision.action)
    if uniform is not None:
        for key in notice.optional:
            if decision.choices.get(key, uniform) != uniform:
                choices[key] = [f"With {decision.action} this must be {str(uniform).lower()}."]
    found: dict[str, Any] = {"choices": choices} if choices else {}
    if decision.language not in notice.languages:
        found["language"] = [f"The notice is shown in: {', '.join(notice.languages)}."]
    return found


def signal_forces_off(circumstances: Circumstances, rule: Rule) -> bool:
    """Say whether the GPC signal outweighs what was chosen (e.g. 11 CCR 7025).

    Where the region's rule is ``voluntary``, a choice made with the signal on and told of it is
    the visitor's own word against a general setting, and stands.
    """
    return circumstances.gpc and rule.gpc == "required"


def settle(decision: Decision, *, forced_off: bool, before: Mapping[str, str]) -> dict[str, str]:
    """Return the state of each optional purpose after this decision.

    :param before: the states until now; what was granted and no longer is counts as withdrawn
    """
    return {
        key: GRANTED
        if granted and not forced_off
        else WITHDRAWN
        if before.get(key) in {GRANTED, WITHDRAWN}
        else REFUSED
        for key, granted in decision.choices.items()
    }


def document(  # noqa: PLR0913 - these are what a record is made of, and all of it
    *,
    record_id: UUID,
    identity: Identity,
    decision: Decision,
    states: Mapping[str, str],
    circumstances: Circumstances,
    notice: Notice,
    rule: Rule,
    at: datetime,
) -> dict[str, Any]:
    """Return the record: what was shown, what was chosen for every purpose, when, and under what.

    Fields follow ISO/IEC TS 27560:2023 where it has them; ``docs/records.md`` maps them.
    """
    forced_off = signal_forces_off(circumstances, rule)
    return {
        **_made(record_id, identity, circumstances, rule, at),
        "action": decision.action,
        "surface": decision.surface,
        "signal_source": "gpc" if forced_off else decision.surface,
        "choices": {
            key: category == ESSENTIAL or states[key] == GRANTED
            for key, category in notice.categories.items()
        },
        "gpc": circumstances.gpc,
        "notice_version": notice.version,
        "notice_hash": notice.content_hash,
        "policy_version": notice.content["policy"]["version"],
        "language": decision.language,
        "expires_at": rfc3339(expiry(at, rule)),
    }


def linked_document(  # noqa: PLR0913
    *,
    record_id: UUID,
    identity: Identity,
    merged: Merged,
    circumstances: Circumstances,
    rule: Rule,
    at: datetime,
) -> dict[str, Any]:
    """Return the record of what holds for a visitor who has signed in on another device.

    Nobody was asked anything: what was shown, and where, is as in the record that it goes by.
    """
    return {
        **merged.shown,
        **_made(record_id, identity, circumstances, rule, at),
        "action": "link",
        "signal_source": "gpc" if signal_forces_off(circumstances, rule) else "link",
        "choices": {
            **merged.shown["choices"],
            **{key: state == GRANTED for key, state in merged.states.items()},
        },
        "gpc": merged.gpc,
        "expires_at": merged.expires_at,
    }


def tombstone(  # noqa: PLR0913 - all that is left of a record
    *,
    record_id: UUID,
    tenant_id: UUID,
    site_key: str,
    created_at: datetime,
    commitment: bytes,
    erased_at: datetime,
    reason: str,
) -> dict[str, Any]:
    """Return what is signed of a record that is erased: that it was there, and why it is not.

    :param commitment: of the record, which stays in the ledger and without its salt says nothing
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "type": "tombstone",
        "record_id": str(record_id),
        "tenant_id": str(tenant_id),
        "site_key": site_key,
        "created_at": rfc3339(created_at),
        "commitment": commitment.hex(),
        "erased_at": rfc3339(erased_at),
        "reason": reason,
    }


def signature_out(signature: Signature) -> dict[str, str]:
    """Return a signature over a record or tombstone as JSON values."""
    return {
        "algorithm": "Ed25519",
        "key_id": signature.key_id,
        "value": base64_encode(signature.value).decode(),
    }


def _made(
    record_id: UUID, identity: Identity, circumstances: Circumstances, rule: Rule, at: datetime
) -> dict[str, Any]:
    """Return what every record says of itself: whose it is, when and under what it was made."""
    return {
        "schema_version": SCHEMA_VERSION,
        "id": str(record_id),
        "tenant_id": str(identity.tenant_id),
        "site_key": identity.site_key,
        "visitor_id": identity.visitor_id,
        "previous_id": str(identity.previous_id) if identity.previous_id else None,
        "sequence": identity.sequence,
        "region": rule.region,
        "regime": rule.regime,
        "rule_version": rule.version,
        "country": circumstances.place.country,
        "device_class": circumstances.device_class,
        "browser_family": circumstances.browser_family,
        "created_at": rfc3339(at),
    }


def expiry(at: datetime, rule: Rule) -> datetime:
    """Return when a choice made now is to be asked again: the same for grants and refusals."""
    return at + timedelta(days=rule.remember_days)
