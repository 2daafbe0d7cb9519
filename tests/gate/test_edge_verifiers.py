"""Both verifiers of edge tokens, in Python and in JavaScript, against the same vectors."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent_service.gate import edge_verifier
from consent_service.gate.edge_token import LONGEST_SECONDS, PLACES, packed_list
from consent_service.gate.edge_verifier import status_at, verify
from tests.gate.edges import VECTORS, compiled, filled, in_javascript, in_python

CASES = [filled(case) for case in VECTORS["cases"]]


@pytest.fixture(scope="module", params=["python", "javascript"])
def said(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:  # noqa: ANN401
    """What each verifier says of all vectors."""
    questions = VECTORS | {"cases": CASES}
    if request.param == "python":
        return in_python(questions)
    return in_javascript(compiled(tmp_path_factory.mktemp("edge")), questions)


def test_a_verifier_says_of_each_token_and_list_what_the_vectors_say(said: Any) -> None:  # noqa: ANN401
    expected = {
        case["name"]: {"decisions": case["decisions"], "failure": case["failure"]} for case in CASES
    }
    assert dict(zip(expected, said["verdicts"], strict=True)) == expected


def test_a_failure_denies_everything() -> None:
    assert all(not case["decisions"] for case in CASES if case["failure"])
    assert sum(case["failure"] is None for case in CASES) > 20


def test_a_verifier_says_how_long_a_list_may_be_kept(said: Any) -> None:  # noqa: ANN401
    assert said["kept"] == [each["seconds"] for each in VECTORS["kept"]]


def test_a_verifier_names_no_list_of_another_host(said: Any) -> None:  # noqa: ANN401
    assert said["uris"] == [each["uri"] for each in VECTORS["uris"]]


def test_a_verifier_reads_the_drafts_short_lists(said: Any) -> None:  # noqa: ANN401
    expected = []
    for each in VECTORS["draft"]["small"]:
        number, mask = int.from_bytes(bytes.fromhex(each["bytes"]), "little"), 2 ** each["bits"] - 1
        places = len(each["bytes"]) * 4 // each["bits"]
        expected.append([number >> place * each["bits"] & mask for place in range(places)] + [None])
    assert said["draft"]["small"] == expected
    assert expected[0][:8] == [1, 0, 0, 1, 1, 1, 0, 1]


def test_a_verifier_reads_the_drafts_long_lists(said: Any) -> None:  # noqa: ANN401
    large = VECTORS["draft"]["large"]
    assert said["draft"]["large"] == [[each["statuses"], 0, None] for each in large]
    assert [each["bits"] for each in large] == [1, 2, 4]


@settings(max_examples=40)
@given(
    places=st.sampled_from([8, 64, 1024]),
    invalid=st.sets(st.integers(min_value=0, max_value=1023)),
)
def test_a_list_says_of_each_place_what_was_packed(places: int, invalid: set[int]) -> None:
    within = {place for place in invalid if place < places}
    packed = packed_list(within, places)
    assert {place for place in range(places) if status_at(packed, 1, place)} == within
    assert status_at(packed, 1, places) is None


def test_a_list_has_as_many_places_as_it_says() -> None:
    packed = packed_list([])
    assert (status_at(packed, 1, PLACES - 1), status_at(packed, 1, PLACES)) == (0, None)
    assert edge_verifier.LONGEST_SECONDS == LONGEST_SECONDS


PARTS = VECTORS["token"].split(".")

odd = st.text(max_size=40) | st.sampled_from(PARTS) | st.from_regex(r"[\w-]{0,40}", fullmatch=True)


@settings(max_examples=40)
@given(parts=st.lists(odd, max_size=5), listed=st.none() | odd)
def test_whatever_comes_in_place_of_a_token_is_denied(parts: list[str], listed: str | None) -> None:
    token = ".".join(parts)
    for status_list in (listed, VECTORS["status_list"]):
        verdict = verify(
            token,
            issuer=VECTORS["issuer"],
            audience=VECTORS["audience"],
            keys=VECTORS["keys"],
            status_list=status_list,
            now=VECTORS["now"],
        )
        genuine = token == VECTORS["token"] and status_list == VECTORS["status_list"]
        assert bool(verdict.decisions) == genuine
        assert genuine or verdict.failure


@settings(max_examples=60)
@given(
    which=st.sampled_from(["token", "status_list"]),
    at=st.integers(min_value=0, max_value=10_000),
    to=st.characters(codec="latin-1"),
)
def test_no_sign_of_a_token_or_list_can_be_another(which: str, at: int, to: str) -> None:
    text = VECTORS[which]
    at %= len(text)
    changed = text[:at] + to + text[at + 1 :]
    (verdict,) = in_python({"cases": [filled({which: changed})]})["verdicts"]
    assert bool(verdict["decisions"]) == (changed == text)


@pytest.mark.parametrize("keys", [{}, {"keys": None}, {"keys": "key-1"}, {"keys": [[]]}])
def test_keys_that_are_none_deny(keys: dict[str, Any]) -> None:
    (verdict,) = in_python({"keys": keys, "cases": [filled({})]})["verdicts"]
    assert verdict == {"decisions": {}, "failure": "unknown_key"}


def test_the_python_verifier_is_one_file_that_needs_cryptography_alone() -> None:
    tree = ast.parse(Path(edge_verifier.__file__).read_text("utf-8"))
    imported = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or "."]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported - sys.stdlib_module_names == {"cryptography"}
