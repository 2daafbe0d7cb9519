"""A slow and obvious model of the gate, written from the contract's sentences.

All of them are looked at, one by one; of those that hold, the weightiest gives the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from consent_service.consents.tokens import ERASED, GRANTED, Claims
from consent_service.gate.decision import decide
from consent_service.regions.rules import Rule

NOW = 1_800_000_000
ESSENTIAL = "essential"

#: The reasons that allow, as the contract names them.
ALLOWS = {"essential", "granted", "opt_out_default"}


def make_rule(**changes: Any) -> Rule:  # noqa: ANN401
    """Return the rule for Tanzania, or one that differs in ``changes``."""
    rule = Rule(
        region="TZ",
        regime="opt_in",
        gpc="voluntary",
        gpc_display="optional",
        remember_days=180,
        reask_days=180,
        version="2026-11-23",
    )
    return replace(rule, **changes)


def make_claims(**changes: Any) -> Claims:  # noqa: ANN401
    """Return what a token says that grants analytics, or one that differs in ``changes``."""
    claims = Claims(
        site_key="site_test",
        visitor_id="vis_test",
        record_id="0190a7c0-0000-7000-8000-000000000000",
        sequence=5,
        notice_version=3,
        issued_at=NOW - 3600,
        expires_at=NOW + 3600,
        gpc=False,
        choices={"analytics": GRANTED},
    )
    return claims._replace(**changes)


@dataclass(frozen=True)
class Situation:
    """All that the answer depends on; as it stands, analytics is granted."""

    presented: bool = True
    claims: Claims | None = field(default_factory=make_claims)
    newest: int = 0
    known: bool = True
    stale: bool = False
    now: int = NOW
    material_version: int = 3
    rule: Rule = field(default_factory=make_rule)
    gpc: bool = False

    def reasons(self, purposes: dict[str, str]) -> dict[str, str]:
        """Put the question to the gate."""
        return decide(purposes, **vars(self))

    def reason(self, category: str = "analytics") -> str:
        """Put the question about one purpose, ``analytics``."""
        return self.reasons({"analytics": category})["analytics"]


def sentences(situation: Situation, key: str, category: str) -> list[tuple[str, bool]]:
    """Return each reason with whether it holds, in the order of their weight."""
    said = situation.claims
    choice = said.choices.get(key) if said else None
    informed = said is not None and said.gpc
    voluntary = situation.rule.gpc == "voluntary"
    return [
        ("essential", category == ESSENTIAL),
        ("invalid_token", situation.presented and said is None),
        ("state_stale", situation.stale),
        ("unknown_visitor", said is not None and not situation.known),
        ("erased", said is not None and situation.newest == ERASED),
        ("superseded", said is not None and situation.newest > said.sequence),
        ("expired", said is not None and situation.now >= said.expires_at),
        (
            "notice_changed",
            said is not None and said.notice_version < situation.material_version,
        ),
        ("withdrawn", choice == "w"),
        ("refused", choice is not None and choice != "1"),
        ("gpc", situation.gpc and not (choice == "1" and informed and voluntary)),
        ("granted", choice == "1"),
        ("no_choice", situation.rule.regime == "opt_in"),
        ("opt_out_default", situation.rule.regime in {"opt_out", "notice"}),
    ]


def model(situation: Situation, key: str, category: str) -> str:
    """Return the reason that the contract gives for one purpose."""
    return next(reason for reason, holds in sentences(situation, key, category) if holds)
