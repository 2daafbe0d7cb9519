"""docs/edge.md shows what works: its examples run, and its numbers and words are the code's."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page
from werkzeug.test import Client

from consent_service.config import Settings
from consent_service.gate import edge, edge_verifier
from consent_service.gate.edge_token import (
    LIST_SECONDS,
    LIST_TTL_SECONDS,
    TOKEN_TYPE,
    UNCHOSEN_SECONDS,
)
from consent_service.gate.edge_verifier import status_list_uri, verify
from consent_service.signing import ROTATION_DELAY
from tests.faults.processes import HTTP
from tests.gate.edges import ROOT, VECTORS
from tests.gate.test_edge import part
from tests.servers import wait_until

PAGE = (ROOT / "docs/edge.md").read_text("utf-8")
SITE = "site_demo"


def choose(demo_url: str, *, analytics: bool, token: str | None = None) -> str:
    response = HTTP.post(
        f"{demo_url}/v1/sites/{SITE}/consents",
        json={
            "choices": {"analytics": analytics, "preferences": True},
            "action": "save",
            "notice_version": 1,
            "language": "en",
            "surface": "banner",
        },
        headers={"Origin": demo_url, **({"X-Consent-Token": token} if token else {})},
    )
    assert response.status_code == 201, response.text
    return str(response.json()["token"])


def edge_token(demo_url: str, held: str) -> str:
    response = HTTP.get(f"{demo_url}/v1/gate/token?site={SITE}", headers={"X-Consent-Token": held})
    assert response.status_code == 200, response.text
    return str(response.json()["token"])


@dataclass
class Tokens:
    """What visitors of the demo hold: one who allows analytics, one who did so until now."""

    granted: str
    withdrawn: str

    def requests(self) -> list[tuple[str, dict[str, str], int]]:
        """Return requests to a site behind an edge, and the status that each gets."""
        granted = {"Cookie": f"theme=dark; consent_edge={self.granted}"}
        return [
            ("/analytics/count", granted, 200),
            ("/analytics/count", {**granted, "Sec-GPC": "1"}, 403),
            ("/analytics/count", {"Cookie": f"consent_edge={self.withdrawn}"}, 403),
            ("/analytics/count", {"Cookie": f"consent_edge={self.granted[:-5]}"}, 403),
            ("/analytics/count", {"Cookie": "consent_edge="}, 403),
            ("/analytics/count", {}, 403),
            ("/", {}, 200),
        ]


@pytest.fixture(scope="module")
def held(demo_url: str) -> Tokens:
    granter = choose(demo_url, analytics=True)
    changer = choose(demo_url, analytics=True)
    made = Tokens(edge_token(demo_url, granter), edge_token(demo_url, changer))
    choose(demo_url, analytics=False, token=changer)

    def is_known() -> bool:
        address = status_list_uri(made.withdrawn, issuer=demo_url)
        assert address is not None
        verdict = verify(
            made.withdrawn,
            issuer=demo_url,
            audience=SITE,
            keys=HTTP.get(f"{demo_url}/.well-known/jwks.json").json(),
            status_list=HTTP.get(address).text,
            now=time.time(),
        )
        return verdict.failure == "revoked"

    wait_until(is_known, "the withdrawal is in the list")
    return made


def written_for(demo_url: str, code: str) -> str:
    """Put the demo in the place of the service and site of an example."""
    return code.replace("https://consent.example.com", demo_url).replace("SITE_KEY", SITE)


@pytest.fixture
def middleware(demo_url: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the page's Python example defines."""
    monkeypatch.setitem(sys.modules, "edge_verifier", edge_verifier)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    defined: dict[str, Any] = {}
    exec(written_for(demo_url, code), defined)  # noqa: S102 - it is our own page's
    return defined


def test_the_python_middleware_lets_pass_what_is_allowed(
    middleware: dict[str, Any], held: Tokens
) -> None:
    def site(_: object, start_response: Any) -> list[bytes]:  # noqa: ANN401
        start_response("200 OK", [])
        return [b"The site."]

    client = Client(middleware["with_consent"](site), use_cookies=False)
    for address, headers, status in held.requests():
        assert client.get(address, headers=headers).status_code == status, headers
    kept = [middleware[name]._entries for name in ("keys", "lists")]  # noqa: SLF001 - the page's
    # Keys once, and the list that both tokens are in: the forged one had nothing fetched.
    assert [len(entries) for entries in kept] == [1, 1]


_IN_NODE = """
import { readFileSync } from "node:fs";
const { default: worker } = await import(process.argv[1]);
const asked = [];
const ask = globalThis.fetch;
globalThis.fetch = (to, ...more) => {
  const address = to.url ?? to;
  if (address.startsWith("https://shop.example/")) return new Response("The site.");
  asked.push(address);
  return ask(to, ...more);
};
const statuses = [];
for (const [address, headers] of JSON.parse(readFileSync(0, "utf8"))) {
  const request = new Request(`https://shop.example${address}`);
  // Node's requests keep no cookies; those of workers do.
  Object.defineProperty(request, "headers", { value: new Map(Object.entries(headers)) });
  statuses.push((await worker.fetch(request)).status);
}
console.log(JSON.stringify([statuses, asked]));
"""


def test_the_worker_lets_pass_what_is_allowed(demo_url: str, held: Tokens, tmp_path: Path) -> None:
    source = ROOT / "widget/examples/edge/worker.js"
    (tmp_path / "worker.js").write_text(written_for(demo_url, source.read_text("utf-8")))
    bundle = tmp_path / "bundle.mjs"
    subprocess.run(
        [
            ROOT / "widget/node_modules/.bin/esbuild",
            tmp_path / "worker.js",
            "--bundle",
            "--format=esm",
            f"--alias:consent-service-widget/edge={ROOT}/widget/edge/edge.ts",
            f"--outfile={bundle}",
            "--log-level=error",
        ],
        check=True,
    )
    requests = held.requests()
    run = subprocess.run(
        ["node", "--input-type=module", "--eval", _IN_NODE, bundle],
        input=json.dumps([[address, headers] for address, headers, _ in requests]).encode(),
        capture_output=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr.decode()
    statuses, asked = json.loads(run.stdout)
    assert statuses == [status for _, _, status in requests]
    assert asked == [
        f"{demo_url}/.well-known/jwks.json",
        status_list_uri(held.granted, issuer=demo_url),
    ]


def test_the_page_carries_the_token_and_changes_it_with_the_choice(
    page: Page, demo_url: str
) -> None:
    page.goto(f"{demo_url}/demo/")
    page.get_by_role("button", name="Accept all").wait_for()
    code = written_for(demo_url, (ROOT / "widget/examples/edge/page.js").read_text("utf-8"))
    page.evaluate(f"() => {{ {code} }}")

    def reason() -> str:
        cookies = {each.get("name"): each.get("value", "") for each in page.context.cookies()}
        token = cookies.get("consent_edge")
        return str(part(token, 1)["decisions"]["analytics"]["reason"]) if token else ""

    wait_until(lambda: reason() == "no_choice", "the token of a visitor who has not chosen")
    page.evaluate("consentService.decide({ analytics: true, preferences: true })")
    wait_until(lambda: reason() == "granted", "the token of the choice")
    page.evaluate("consentService.withdraw()")
    wait_until(lambda: reason() == "withdrawn", "the token of the withdrawal")


# What the page says


def row(says: str) -> int:
    """Return the number in the row of a table that begins like this."""
    (number,) = re.findall(
        rf"^\| \*{{0,2}}{re.escape(says)}.*\| \*{{0,2}}(\d+)\*{{0,2}} \|$", PAGE, re.MULTILINE
    )
    return int(number)


def test_the_page_says_the_codes_numbers() -> None:
    kept, ttl = edge.KEPT_SECONDS, LIST_TTL_SECONDS
    assert row("a process of the service answers with a list") == kept
    assert row("a verifier keeps a list") == ttl
    assert row("together") == kept + ttl
    assert row("each shared cache on the way") == ttl
    assert row("a token counts, at the most") == Settings().edge_token_seconds
    assert row("one that rests on no choice") == UNCHOSEN_SECONDS
    assert row("a list is believed") == edge_verifier.OLDEST_LIST_SECONDS == LIST_SECONDS
    keys_kept = row("a verifier keeps the keys")
    assert f"const KEYS_SECONDS = {keys_kept};" in (ROOT / "widget/edge/edge.ts").read_text("utf-8")
    assert keys_kept < ROTATION_DELAY.seconds == 60
    assert f"signs {ROTATION_DELAY.seconds} seconds after" in PAGE
    assert edge.OPEN_SECONDS == 600
    assert f'"typ": "{TOKEN_TYPE}"' in PAGE


def test_the_page_explains_every_failure() -> None:
    explained = set(
        re.findall(r"^\| `(\w+)` \|", PAGE.partition("## What a verifier")[2], re.MULTILINE)
    )
    said = {case["failure"] for case in VECTORS["cases"]} - {None}
    of_lists = {word for word in said if word.startswith("list_")}
    same = {f"list_{word}" for word in said - of_lists}
    # Of those that a list has in common with a token, two are explained.
    named = said - same | {"list_missing", "list_expired"}
    assert named == explained - {"broken"}
    source = Path(edge_verifier.__file__).read_text("utf-8")
    assert set(re.findall(r'_refuse\("(\w+)"\)', source)) <= said
    javascript = (ROOT / "widget/edge/edge.ts").read_text("utf-8")
    assert set(re.findall(r'refuse\("(\w+)"\)', javascript)) <= said
