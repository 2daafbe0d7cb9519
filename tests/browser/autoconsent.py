"""DuckDuckGo's autoconsent on a page: its content script as published, and a stand-in browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Page

PACKAGE = Path(__file__).parents[2] / "widget/node_modules/@duckduckgo/autoconsent"

#: The rules that its browsers come with; none of them is ours.
THEIR_RULES: list[dict[str, Any]] = json.loads((PACKAGE / "rules/rules.json").read_text("utf-8"))[
    "autoconsent"
]

#: Milliseconds in which it gives up on a page where nothing moves: it waits a minute for a change.
PATIENCE = 70_000

# What a browser does for it: answers its greeting, and hears what it reports. It answers once our
# widget has done its part: the heuristics look again only when a page moves, and ours lies still.
_BROWSER = """
    const answer = ANSWER;
    window.heard = [];
    window.autoconsentSendMessage = async (message) => {
        window.heard.push(structuredClone(message));
        if (message.type !== "init") return;
        while (!window.consentService) await new Promise(requestAnimationFrame);
        await window.consentService.ready;
        window.autoconsentReceiveMessage(answer);
    };
"""


class Autoconsent:
    """The tool at work on every page that is opened from now on."""

    def __init__(
        self, page: Page, *ours: dict[str, Any], action: Literal["optOut", "optIn"] = "optOut"
    ) -> None:
        """Install it with its own rules, its heuristics, and these rules.

        :param action: what it does for the visitor
        """
        self._page = page
        config = {
            "enabled": True,
            "autoAction": action,
            "heuristicMode": "reject",
            # Milliseconds; its own 100 may be too few on a busy machine.
            "heuristicPopupSearchTimeout": 10_000,
            # It would put a style on the page, which the page's policy forbids a script there.
            "enablePrehide": False,
            # A browser runs it in a world of its own, and here it shares the page's.
            "isMainWorld": True,
            "logs": {"lifecycle": True},
        }
        rules = {"autoconsent": [*THEIR_RULES, *ours]}
        answer = json.dumps({"type": "initResp", "config": config, "rules": rules})
        page.add_init_script(_BROWSER.replace("ANSWER", answer))
        page.add_init_script((PACKAGE / "dist/autoconsent.playwright.js").read_text("utf-8"))

    def heard(self, kind: str) -> dict[str, Any]:
        """Wait for a message of this kind, and return the newest."""
        found = "(kind) => window.heard.findLast((message) => message.type === kind)"
        message: dict[str, Any] = self._page.wait_for_function(found, arg=kind).json_value()
        return message

    @contextmanager
    def giving_up(self) -> Iterator[None]:
        """Open a page inside; then let the time pass after which it looks for a banner no more."""
        self._page.clock.install()
        given_up = re.compile("no (CMP|popup) found")
        with self._page.expect_console_message(lambda said: bool(given_up.match(said.text))):
            yield
            self._page.clock.run_for(PATIENCE)

    def test_itself(self) -> bool:
        """Have it look whether what it did has worked, as a browser does after a refusal."""
        self._page.evaluate("autoconsentReceiveMessage({type: 'selfTest'})")
        result: bool = self.heard("selfTestResult")["result"]
        return result

    @property
    def clicks(self) -> int:
        """How often it pressed anything."""
        clicks: int = self.heard("report")["state"]["clicks"]
        return clicks
