"""The page on which anybody checks a receipt, which never leaves the browser."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from playwright.sync_api import Browser, Page, expect

from consent_service.cli import main
from tests import servers
from tests.axe import Axe
from tests.receipts import corpus, corpus_of_proofs, independent
from tests.receipts.forge import OLD, RECORD, Forge, jwks
from tests.servers import wait_until

ROOT = Path(__file__).parents[2]
TEXTS = json.loads((ROOT / "consent_service/receipts/texts/verify.json").read_bytes())
CASES = [*corpus.cases(), *corpus_of_proofs.cases()]

GOOD = corpus.GOOD.file()


def file(data: bytes, name: str = "receipt.json") -> Any:  # noqa: ANN401
    """Return a file as Playwright hands it to a page."""
    return {"name": name, "mimeType": "application/json", "buffer": data}


class Verifier:
    """The page, as somebody uses it."""

    def __init__(self, page: Page, service: str, language: str = "en") -> None:
        """Open it, with the keys that it publishes."""
        self.page, self.service = page, service
        self.texts = TEXTS[language]
        self.result = page.locator("#result")
        self.steps = page.locator("#steps li")
        self.keys = page.locator("#keys-state")
        page.goto(f"{service}/verify?lang={language}")
        expect(self.keys).not_to_have_text(re.compile(f"^$|{self.texts['keys_loading']}"))

    def use_keys(self, keys: str | None = None) -> None:
        """Choose a key file."""
        self.page.set_input_files("#keys", file((keys or jwks()).encode(), "keys.json"))
        expect(self.keys).to_have_text(self.texts["keys_file"].format(name="keys.json"))

    def choose(self, data: bytes, verdict: str) -> None:
        """Choose a receipt, and wait for this verdict."""
        self.page.set_input_files("#receipt", file(data))
        self.shows(verdict)

    def shows(self, verdict: str) -> None:
        """Wait for this verdict."""
        expect(self.result.locator("h3")).to_contain_text(self.texts[verdict])
        expect(self.page.locator("#details")).to_be_visible()


@pytest.fixture
def verifier(page: Page, demo_url: str) -> Verifier:
    """The page in English, with the keys of the corpus."""
    made = Verifier(page, demo_url)
    made.use_keys()
    return made


# ---- What it says


def test_each_verdict_is_shown_with_its_steps(verifier: Verifier) -> None:
    expect(verifier.result).to_contain_text(verifier.texts["empty_how"])
    marks = verifier.page.locator("#steps .mark")
    verifier.choose(GOOD, "proven")
    expect(marks).to_have_text(["✓"] * 7)
    facts = verifier.page.locator("#facts")
    for fact in ("site_demo", "2026-03-01 09:30:00 UTC", "leaf 4 of 7", RECORD["id"]):
        expect(facts).to_contain_text(str(fact))
    verifier.choose(corpus.ERASURE.file(), "erased")
    expect(facts).to_contain_text("visitor_request")
    verifier.choose(corpus.WAITING.file(), "signed")
    expect(marks).to_have_text(["✓"] * 4 + ["·"] * 3)
    expect(verifier.steps.last).to_contain_text(verifier.texts["waits"])
    verifier.choose(GOOD.replace(b'analytics": false', b'analytics": true '), "refused")
    expect(marks).to_have_text(["✓", "✗"] + ["·"] * 5)
    reason = verifier.texts["reasons"]["wrong_signature"]
    expect(verifier.result).to_contain_text(f"Signature of the receipt: {reason}")
    # Nothing of it is shown as if it were true.
    expect(facts).to_have_text("Filereceipt.json")
    verifier.choose(corpus.COSIGNED.file(), "proven")
    expect(facts).to_contain_text("not checked here: 1")


def test_other_keys_judge_the_receipt_anew(verifier: Verifier) -> None:
    verifier.choose(GOOD, "proven")
    verifier.use_keys(jwks(OLD.jwk()))
    verifier.shows("refused")
    verifier.page.set_input_files("#keys", file(b"{}", "nothing.json"))
    expect(verifier.result).to_contain_text("nothing.json holds no key")
    expect(verifier.page.locator("#details")).to_be_hidden()
    verifier.use_keys()
    verifier.shows("proven")


def test_every_reason_has_words_in_both_languages() -> None:
    def shape(texts: Any) -> Any:  # noqa: ANN401
        if isinstance(texts, dict):
            return {name: shape(text) for name, text in texts.items()}
        return sorted(re.findall(r"\{\w+\}", texts))

    assert shape(TEXTS["en"]) == shape(TEXTS["sw"])
    codes = {case.expected.split(": ")[1] for case in CASES if ": " in case.expected}
    assert codes <= TEXTS["en"]["reasons"].keys()
    page = (ROOT / "docs/verifying.md").read_text("utf-8")
    assert all(f"`{code}`" in page for code in codes)


def test_the_page_comes_in_the_language_that_is_asked_for(demo_url: str) -> None:
    for wanted, accepted, language in (
        ({}, "sw-TZ,en;q=0.5", "sw"),
        ({"lang": "sw"}, "en", "sw"),
        ({"lang": "xx"}, "sw", "sw"),
        ({}, "en;q=0.2, sw", "sw"),
        ({}, "", "en"),
        ({}, "fr", "en"),
    ):
        answer = httpx.get(
            f"{demo_url}/verify", params=wanted, headers={"Accept-Language": accepted}
        )
        assert f'<html lang="{language}">' in answer.text
        assert answer.headers["Vary"] == "Accept-Language"
        assert "set-cookie" not in answer.headers
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'; script-src 'self'" in policy
        assert "unsafe" not in policy


# ---- Where the file goes: nowhere


def test_the_file_stays_on_the_page_which_then_needs_no_network(
    verifier: Verifier, demo_url: str
) -> None:
    page = verifier.page
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    page.on("websocket", lambda socket: sent.append(socket.url))
    page.reload()
    expect(verifier.keys).to_have_text(verifier.texts["keys_published"])
    loaded = {url.removeprefix(demo_url).partition("?")[0] for url in sent}
    assert loaded - {"data:,"} == {
        "/verify",
        "/verify/assets/verify.css",
        "/verify/assets/verify/page.js",
        "/.well-known/jwks.json",
    }
    sent.clear()
    verifier.choose(GOOD, "refused")
    page.context.set_offline(True)
    verifier.use_keys()
    verifier.shows("proven")
    verifier.choose(corpus.ERASURE.file(), "erased")
    assert sent == []
    assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [
        0,
        0,
        "",
    ]


def test_a_saved_copy_works_on_its_own(page: Page, demo_url: str, tmp_path: Path) -> None:
    html = httpx.get(f"{demo_url}/verify").text
    for address in re.findall(r'(?:src|href)="(/verify/assets/[^"]+)"', html):
        name = address.rpartition("/")[2]
        (tmp_path / name).write_bytes(httpx.get(demo_url + address).content)
        html = html.replace(address, name)
    (tmp_path / "verify.html").write_text(html)
    page.context.set_offline(True)
    page.goto(f"file://{tmp_path}/verify.html")
    expect(page.locator("#keys-state")).to_have_text(TEXTS["en"]["keys_missing"])
    page.set_input_files("#receipt", file(GOOD))
    expect(page.locator("#result")).to_contain_text(TEXTS["en"]["keys_missing"])
    page.set_input_files("#keys", file(jwks().encode(), "keys.json"))
    expect(page.locator("#result h3")).to_have_text("✓ Proven")


@pytest.mark.parametrize("wanted", ["SW", "sw-TZ"])
def test_a_language_is_found_however_it_is_written(demo_url: str, wanted: str) -> None:
    for asked in (
        httpx.get(f"{demo_url}/verify", params={"lang": wanted}),
        httpx.get(f"{demo_url}/verify", headers={"Accept-Language": wanted}),
    ):
        assert asked.status_code == 200
        assert '<html lang="sw">' in asked.text


def test_it_says_when_keys_or_the_browser_are_not_as_it_needs_them(
    bare_page: Page, demo_url: str
) -> None:
    bare_page.route("**/jwks.json", lambda route: route.fulfill(status=503, body=""))
    verifier = Verifier(bare_page, demo_url)
    expect(verifier.keys).to_have_text(verifier.texts["keys_missing"])
    verifier.use_keys()
    verifier.choose(GOOD, "proven")
    bare_page.add_init_script("""
        crypto.subtle.importKey = () => Promise.reject(new DOMException("", "NotSupportedError"));
    """)
    bare_page.goto(f"{demo_url}/verify")
    expect(bare_page.locator("#result")).to_have_text(verifier.texts["unable"])
    expect(bare_page.locator("#receipt")).to_be_disabled()


# ---- For everybody


def test_a_file_can_be_dropped_and_chosen_by_keyboard(verifier: Verifier) -> None:
    page = verifier.page
    # From here on the browser hands over what it would open: not from the moment of pressing.
    page.on("filechooser", lambda _: None)
    encoded = b64encode(GOOD).decode()
    dropped = page.evaluate_handle(
        """(text) => {
            const bytes = Uint8Array.from(atob(text), (it) => it.charCodeAt(0));
            const data = new DataTransfer();
            data.items.add(new File([bytes], "receipt.json"));
            return data;
        }""",
        encoded,
    )
    page.dispatch_event("main", "dragover", {"dataTransfer": dropped})
    expect(page.locator("#drop")).to_have_class("drop over")
    page.dispatch_event("main", "drop", {"dataTransfer": dropped})
    verifier.shows("proven")
    page.keyboard.press("Tab")
    while page.evaluate("document.activeElement.id") != "receipt":
        page.keyboard.press("Tab")
    outline = "getComputedStyle(document.querySelector('[for=receipt]')).outlineStyle"
    assert page.evaluate(outline) == "solid"
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(file(corpus.WAITING.file()))
    verifier.shows("signed")


@pytest.mark.parametrize(("language", "scheme"), [("en", "dark"), ("sw", "light")])
def test_nothing_keeps_anybody_from_using_it(
    browser: Browser,
    demo_url: str,
    language: str,
    scheme: Any,  # noqa: ANN401
) -> None:
    wide = "x" * 90
    shown = (
        (corpus.COSIGNED.file(), "proven"),
        (corpus.WAITING.file(), "signed"),
        (Forge({**RECORD, "site_key": wide}).proven().file()[:-5], "refused"),
        (Forge({**RECORD, "site_key": wide}).proven().file(), "proven"),
    )
    size: Any = {"width": 320, "height": 568}
    with browser.new_context(color_scheme=scheme, viewport=size) as context:
        verifier = Verifier(context.new_page(), demo_url, language)
        assert Axe().run(verifier.page).response["violations"] == []
        verifier.use_keys()
        for data, verdict in shown:
            verifier.choose(data, verdict)
            assert Axe().run(verifier.page).response["violations"] == []
            assert verifier.page.evaluate("document.documentElement.scrollWidth") == 320


# ---- The same answers as everywhere


def test_the_browsers_own_cryptography_gives_the_same_answers(
    verifier: Verifier, demo_url: str
) -> None:
    asked = [
        {
            "file": b64encode(case.file).decode(),
            "keys": case.keys,
            "witnesses": case.witnesses,
        }
        for case in CASES
        if len(case.file) < 10_000
    ]
    found = verifier.page.evaluate(
        """async ([address, asked]) => {
            const { PublicKeys, readWitness, verify } = await import(address);
            const answers = [];
            for (const { file, keys, witnesses } of asked) {
                const known = new PublicKeys();
                for (const each of keys) await known.add(new TextEncoder().encode(each));
                const bytes = Uint8Array.from(atob(file), (it) => it.charCodeAt(0));
                const wanted = await Promise.all(witnesses.map(readWitness));
                const { kind, steps } = await verify(bytes, known, wanted);
                const failed = steps.find(({ state }) => state === "failed");
                answers.push(failed ? `${failed.id}: ${failed.code}` : kind);
            }
            return answers;
        }""",
        [f"{demo_url}/verify/assets/verify/verify.js", asked],
    )
    assert found == [case.expected for case in CASES if len(case.file) < 10_000]


# ---- From a visitor's choice to everybody's proof


@pytest.fixture
def working_demo(sqlite_url: str, tmp_path: Path) -> Iterator[str]:
    """A demo of the test's own, whose worker puts choices into the ledger."""
    with servers.demo(sqlite_url, tmp_path, worker="1") as address:
        yield address


def test_a_receipt_from_its_link_is_proven_to_everybody(
    page: Page, working_demo: str, tmp_path: Path
) -> None:
    body = {
        "choices": {"analytics": True, "preferences": False},
        "action": "save",
        "notice_version": 1,
        "language": "en",
        "surface": "banner",
    }
    address = f"{working_demo}/v1/sites/site_demo/consents"
    made = httpx.post(address, json=body, headers={"Origin": working_demo})
    assert made.status_code == 201, made.text
    link = made.json()["receipt_url"]
    wait_until(lambda: httpx.get(link).json()["proof"], "the choice was not put into the ledger")
    receipt = httpx.get(link).content
    keys = httpx.get(f"{working_demo}/.well-known/jwks.json").text

    (tmp_path / "receipt.json").write_bytes(receipt)
    (tmp_path / "published.json").write_text(keys)
    files = [str(tmp_path / "receipt.json"), "--key", str(tmp_path / "published.json")]
    result = CliRunner().invoke(main, ["verify", *files])
    assert result.exit_code == 0, result.output
    assert "Refused: preferences." in result.output
    assert independent.check(receipt, independent.Keys(keys)).kind == "proven"
    verifier = Verifier(page, working_demo)
    verifier.choose(receipt, "proven")

    token = {"X-Consent-Token": made.json()["token"], "Origin": working_demo}
    # The worker may have the database just then; whoever erases is told to try again.
    wait_until(
        lambda: httpx.delete(f"{address}/me", headers=token).status_code == 200, "not erased"
    )
    wait_until(lambda: httpx.get(link).json()["proof"], "the erasure was not put into the ledger")
    verifier.choose(httpx.get(link).content, "erased")
