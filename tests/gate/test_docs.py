"""docs/gate.md shows what the gate does: its examples run, its table is the code's."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from string import Template

import httpx
import pytest

from consent_service.gate.decision import ALLOWING, Reason
from consent_service.gate.service import MAX_AGE, STALE_SECONDS
from tests.faults.processes import HTTP
from tests.gate.model import Situation, sentences

PAGE = (Path(__file__).parent.parent.parent / "docs/gate.md").read_text("utf-8")

EXAMPLES = re.findall(r"```console\n\$ (curl .*?)\n(.*?)\n```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def token(demo_url: str) -> str:
    """The token of a visitor of the demo who allows everything."""
    response = HTTP.post(
        f"{demo_url}/v1/sites/site_demo/consents",
        json={
            "choices": {"analytics": True, "preferences": True},
            "action": "accept_all",
            "notice_version": 1,
            "language": "en",
            "surface": "banner",
        },
        headers={"Origin": demo_url},
    )
    return str(response.json()["token"])


def curl(words: list[str], demo_url: str) -> tuple[httpx.Response, bool]:
    """Send what curl would send; say as well whether it shows the headers."""
    headers, address, shown = {}, "", False
    rest = iter(words[1:])
    for word in rest:
        if word == "-H":
            name, _, value = next(rest).partition(": ")
            headers[name] = value
        elif word == "-b":
            headers["Cookie"] = next(rest)
        elif word == "-i":
            shown = True
        else:
            address = word
    assert address.startswith("http://127.0.0.1:8000/"), words
    return HTTP.get(address.replace("http://127.0.0.1:8000", demo_url), headers=headers), shown


def without_times(text: str) -> str:
    return re.sub(r'"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z"', '"…"', text)


@pytest.mark.parametrize(("command", "output"), EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_answers_as_the_page_shows(
    demo_url: str, token: str, command: str, output: str
) -> None:
    response, shown = curl(shlex.split(Template(command).substitute(TOKEN=token)), demo_url)
    if not shown:
        assert without_times(response.text) == without_times(output)
        return
    head, _, body = output.partition("\n\n")
    status, *headers = head.splitlines()
    assert status == f"HTTP/1.1 {response.status_code} {response.reason_phrase}"
    for line in headers:
        name, _, value = line.partition(": ")
        assert response.headers[name] == value
    assert response.text.strip() == body


def test_the_page_has_an_example_for_each_entry() -> None:
    asked = " ".join(command for command, _ in EXAMPLES)
    assert {entry for entry in ("gate?", "gate/auth?", "gate/script?") if entry in asked} == {
        "gate?",
        "gate/auth?",
        "gate/script?",
    }


def rows() -> list[tuple[str, bool]]:
    found = re.findall(r"^\| `(\w+)` \| (yes|no) \|", PAGE, re.MULTILINE)
    return [(word, allows == "yes") for word, allows in found]


def test_the_page_explains_every_reason() -> None:
    words = {word for name, word in vars(Reason).items() if name.isupper()}
    assert dict(rows()) == {word: word in ALLOWING for word in words}
    assert len(rows()) == len(words)


def test_the_page_has_the_reasons_in_the_order_of_their_weight() -> None:
    weighed = sentences(Situation(), "analytics", "analytics")
    assert [word for word, _ in rows()] == [word for word, _ in weighed]


def test_the_page_says_the_codes_numbers() -> None:
    assert f"not heard of changes for {STALE_SECONDS} seconds" in PAGE
    assert f'"max_age":{MAX_AGE}}}' in PAGE
