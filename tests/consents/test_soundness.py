"""A document that says otherwise than its row, or than the record it is of, is not sound."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from consent_service.consents import soundness
from consent_service.consents.record import tombstone
from consent_service.signing import canonical_json, sha256

AT = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
TENANT, RECORD, SITE, OTHER = (UUID(int=number) for number in range(1, 5))
COMMITMENT = sha256(b"what was")

ROW: Any = SimpleNamespace(
    id=RECORD,
    tenant_id=TENANT,
    site_id=SITE,
    visitor_id="vis_one",
    created_at=AT,
    commitment=COMMITMENT,
)
CONTENT = {
    "id": str(RECORD),
    "tenant_id": str(TENANT),
    "site_key": "site_one",
    "visitor_id": "vis_one",
    "created_at": "2026-03-01T09:30:00.000Z",
}
BURIED = tombstone(
    record_id=RECORD,
    tenant_id=TENANT,
    site_key="site_one",
    created_at=AT,
    commitment=COMMITMENT,
    erased_at=AT + timedelta(days=1),
    reason="visitor_request",
)


def kinds(problems: Any) -> list[str]:  # noqa: ANN401
    return [problem.kind for problem in problems]


def test_a_record_speaks_of_its_own_row() -> None:
    assert kinds(soundness.of_record(ROW, CONTENT, "site_one")) == []


@pytest.mark.parametrize("member", CONTENT)
def test_each_member_that_says_otherwise_is_named(member: str) -> None:
    for other in ({**CONTENT, member: "another"}, CONTENT.keys() - {member}):
        content = other if isinstance(other, dict) else {name: CONTENT[name] for name in other}
        [problem] = soundness.of_record(ROW, content, "site_one")
        assert problem.kind == "document_foreign"
        assert problem.message.endswith(f": {member}")


def of_tombstone(**changes: object) -> list[str]:
    document = canonical_json({**BURIED, **changes}).decode()
    row = SimpleNamespace(document=document, erased_at=AT + timedelta(days=1))
    return kinds(soundness.of_tombstone(row, ROW, "site_one"))


def test_a_tombstone_speaks_of_its_record() -> None:
    assert of_tombstone() == []
    # Why it was erased is for whoever erased to say.
    assert of_tombstone(reason="retention") == []


@pytest.mark.parametrize("member", sorted(BURIED.keys() - {"reason", "schema_version"}))
def test_each_member_of_a_tombstone_counts(member: str) -> None:
    assert of_tombstone(**{member: "another"}) == ["tombstone_foreign"]


@pytest.mark.parametrize(
    "document",
    ['{"a": 1}', '{"b":1,"a":2}', '{"a":1,"a":1}', "[]", "{", '{"a":1}\n', "", "null"],
)
def test_what_is_not_canonical_is_not_read(document: str) -> None:
    assert soundness.read(document) is None


def of_chain(previous: Any, **content: object) -> list[str]:  # noqa: ANN401
    said = {"visitor_id": "vis_one", "previous_id": str(OTHER), "sequence": 3, **content}
    return kinds(soundness.of_chain(said, SITE, previous))


def previous(**said: object) -> Any:  # noqa: ANN401
    document = canonical_json({"visitor_id": "vis_one", "sequence": 2, **said}).decode()
    return SimpleNamespace(site_id=SITE, document=document)


def test_a_record_goes_on_from_the_one_before_it() -> None:
    assert of_chain(previous()) == []
    assert of_chain(None, previous_id=None, sequence=1) == []
    # Of one that was erased nothing more can be said.
    assert of_chain(SimpleNamespace(site_id=SITE, document=None)) == []


@pytest.mark.parametrize(
    ("before", "content"),
    [
        (None, {}),
        (None, {"previous_id": None}),
        (previous(sequence=1), {}),
        (previous(visitor_id="vis_another"), {}),
        (SimpleNamespace(site_id=OTHER, document=None), {}),
        (previous(), {"sequence": None}),
    ],
)
def test_a_broken_chain_is_found(before: Any, content: dict[str, object]) -> None:  # noqa: ANN401
    assert of_chain(before, **content) == ["chain_broken"]
