"""What the page of a receipt shows of a record. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from consent_service.notices.configuration import ESSENTIAL
from consent_service.receipts.describe import status


@dataclass(frozen=True)
class Answer:
    """A purpose, in the words of the notice, and what was said to it.

    :ivar state: ``allowed``, ``refused`` or ``withdrawn``; ``allowed`` for an essential one
    """

    key: str
    name: str
    description: str
    providers: str
    state: str


@dataclass(frozen=True)
class Answers:
    """All purposes of a notice.

    :ivar language: in which their names are, and ``direction`` how that is read (ltr or rtl)
    """

    language: str
    direction: str
    allowed: list[Answer]
    refused: list[Answer]
    essential: list[Answer]


def answers(
    record: Mapping[str, Any],
    previous: Mapping[str, Any] | None,
    content: Mapping[str, Any] | None,
    language: str | None,
) -> Answers:
    """Return what was said to each purpose.

    :param content: what the notice says; without it, purposes go by their keys
    :param language: instead of the record's, if the notice has it
    """
    if content is None:
        found = [
            Answer(key, key, "", "", _state(record, previous, key)) for key in record["choices"]
        ]
        return Answers("", "ltr", *_sorted(found), [])
    directions = {each["code"]: each["direction"] for each in content["languages"]}
    spoken = language if language in directions else record["language"]
    optional: list[Answer] = []
    essential: list[Answer] = []
    for purpose in content["purposes"]:
        is_essential = purpose["category"] == ESSENTIAL
        answer = Answer(
            key=purpose["key"],
            **purpose["texts"][spoken],
            providers=", ".join(
                dict.fromkeys(service["provider"] for service in purpose["services"])
            ),
            state="allowed" if is_essential else _state(record, previous, purpose["key"]),
        )
        (essential if is_essential else optional).append(answer)
    return Answers(str(spoken), directions[spoken], *_sorted(optional), essential)


def _sorted(found: list[Answer]) -> tuple[list[Answer], list[Answer]]:
    return (
        [answer for answer in found if answer.state == "allowed"],
        [answer for answer in found if answer.state != "allowed"],
    )


def _state(record: Mapping[str, Any], previous: Mapping[str, Any] | None, key: str) -> str:
    if record["choices"][key]:
        return "allowed"
    said = status(record, previous, key)
    return "withdrawn" if said == "dpv:ConsentWithdrawn" else "refused"
