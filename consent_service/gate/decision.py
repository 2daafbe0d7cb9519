"""The gate's decision. Pure, and the only place where it is made: every entry asks here.

Whatever is unknown, broken, late or missing denies every purpose that is not essential.
"""

from __future__ import annotations

from collections.abc import Mapping

from consent_service.consents.tokens import ERASED, GRANTED, WITHDRAWN, Claims
from consent_service.notices.configuration import ESSENTIAL
from consent_service.regions.rules import Rule


class Reason:
    """Why the gate says what it says. Plain strings: the gate hashes one for every answer."""

    ESSENTIAL = "essential"
    GRANTED = "granted"
    OPT_OUT_DEFAULT = "opt_out_default"
    NO_CHOICE = "no_choice"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    NOTICE_CHANGED = "notice_changed"
    SUPERSEDED = "superseded"
    GPC = "gpc"
    INVALID_TOKEN = "invalid_token"  # noqa: S105 - a word of the contract
    ERASED = "erased"
    UNKNOWN_VISITOR = "unknown_visitor"
    STATE_STALE = "state_stale"


#: The reasons that allow.
ALLOWING = frozenset({Reason.ESSENTIAL, Reason.GRANTED, Reason.OPT_OUT_DEFAULT})


def decide(  # noqa: PLR0913 - all that the answer depends on, and nothing else
    purposes: Mapping[str, str],
    *,
    presented: bool,
    claims: Claims | None,
    newest: int,
    known: bool,
    stale: bool,
    now: int,
    material_version: int,
    rule: Rule,
    gpc: bool,
) -> dict[str, str]:
    """Answer for each purpose asked about.

    :param purposes: key → category
    :param presented: whether any token came with the question
    :param claims: what the token says; None if none came or it does not verify
    :param newest: sequence of the visitor's newest record as far as this process has heard
        (0: of no change), or :data:`~consent_service.consents.tokens.ERASED`
    :param known: False if the database was asked and holds nothing of this visitor
    :param stale: whether this process may have missed a newer choice
    :param now: seconds since 1970
    :param material_version: choices made on an older version of the notice ask again
    :param rule: what holds in the visitor's region
    :param gpc: whether the Global Privacy Control signal is on
    """
    bar = _bar(
        presented=presented,
        claims=claims,
        newest=newest,
        known=known,
        stale=stale,
        now=now,
        material_version=material_version,
    )
    reasons = {}
    for key, category in purposes.items():
        if category == ESSENTIAL:
            reasons[key] = Reason.ESSENTIAL
        else:
            reasons[key] = bar or _by_choice(key, claims, rule, gpc=gpc)
    return reasons


def _bar(  # noqa: PLR0911, PLR0913 - one line a rule, in the order of their weight
    *,
    presented: bool,
    claims: Claims | None,
    newest: int,
    known: bool,
    stale: bool,
    now: int,
    material_version: int,
) -> str | None:
    """Return why no choice of this token counts, or None."""
    if presented and claims is None:
        return Reason.INVALID_TOKEN
    if stale:
        return Reason.STATE_STALE
    if claims is None:
        return None
    if not known:
        return Reason.UNKNOWN_VISITOR
    if newest > claims.sequence:
        return Reason.ERASED if newest == ERASED else Reason.SUPERSEDED
    if now >= claims.expires_at:
        return Reason.EXPIRED
    if claims.notice_version < material_version:
        return Reason.NOTICE_CHANGED
    return None


def _by_choice(key: str, claims: Claims | None, rule: Rule, *, gpc: bool) -> str:
    """Weigh the visitor's choice, the signal and the region's default, in this order."""
    state = claims.choices.get(key) if claims else None
    granted = state == GRANTED
    if state is not None and not granted:
        return Reason.WITHDRAWN if state == WITHDRAWN else Reason.REFUSED
    if gpc and not (granted and claims and claims.gpc and rule.gpc == "voluntary"):
        return Reason.GPC
    if granted:
        return Reason.GRANTED
    return Reason.NO_CHOICE if rule.regime == "opt_in" else Reason.OPT_OUT_DEFAULT
