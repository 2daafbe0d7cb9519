"""How the choices that one person made on two devices become one. Pure.

A merge never turns a refusal into a grant, grants nothing that was not granted, and prolongs
nothing: whoever signs in has not been asked anything.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from consent_service.clock import from_rfc3339
from consent_service.consents.tokens import GRANTED, REFUSED, WITHDRAWN


@dataclass(frozen=True)
class Choice:
    """What a visitor chose: the newest record, and the state of each optional purpose."""

    record: Mapping[str, Any]
    states: Mapping[str, str]

    def counts(self, at: datetime, material_version: int) -> bool:
        """Say whether the gate would go by it; what has run out or is to be asked again is none."""
        return (
            at < from_rfc3339(self.record["expires_at"])
            and self.record["notice_version"] >= material_version
        )

    def grants(self, key: str) -> bool:
        """Say whether this purpose was granted."""
        return self.states.get(key) == GRANTED


@dataclass(frozen=True)
class Merged:
    """What holds for the person."""

    #: The record of the oldest notice that was decided on: it says what was shown.
    shown: Mapping[str, Any]
    states: Mapping[str, str]
    #: Whether all of it was decided with the GPC signal on.
    gpc: bool
    expires_at: str

    def agrees_with(self, choice: Choice) -> bool:
        """Say whether that choice grants and refuses just the same."""
        return self.states.keys() == choice.states.keys() and all(
            choice.grants(key) == (state == GRANTED) for key, state in self.states.items()
        )


def merge(choices: Collection[Choice], *, forced_off: bool = False) -> Merged:
    """Return what holds for a person who made these choices, whatever their order.

    A purpose is granted if somebody granted it and nobody refused it: of two answers that differ,
    the newer one could only win by being the refusal. A purpose that only one was asked about is
    as that one says.

    :param choices: at least one, all of which count
    :param forced_off: the GPC signal is on where it outweighs choices; of a person who is known,
        it turns off what was granted elsewhere too (11 CCR 7025, (c)(1))
    """
    records = sorted((choice.record for choice in choices), key=_made, reverse=True)
    keys = dict.fromkeys(key for choice in choices for key in choice.states)
    return Merged(
        # Of several decided on the same notice, the newest.
        shown=min(records, key=lambda record: int(record["notice_version"])),
        states={
            key: _state(
                {choice.states[key] for choice in choices if key in choice.states},
                forced_off=forced_off,
            )
            for key in keys
        },
        gpc=forced_off or all(record["gpc"] for record in records),
        # Written by rfc3339(), times sort as their texts do.
        expires_at=min(record["expires_at"] for record in records),
    )


def _state(said: Collection[str], *, forced_off: bool) -> str:
    """Return the state of a purpose about which all this was said."""
    if said == {GRANTED} and not forced_off:
        return GRANTED
    return REFUSED if said == {REFUSED} else WITHDRAWN


def _made(record: Mapping[str, Any]) -> tuple[str, str]:
    return record["created_at"], record["id"]
