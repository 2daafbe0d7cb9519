"""Any notice on a page of its own, shown by the script that a service would send for it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any
from uuid import UUID

from playwright.sync_api import Locator, Page, Route

from consent_service.embed.service import script
from consent_service.notices.configuration import Notice
from consent_service.notices.content import resolve
from consent_service.notices.service import shown_to
from consent_service.regions.rules import UNKNOWN
from consent_service.regions.service import Regions
from consent_service.tenants.service import Site

DEMO: dict[str, Any] = json.loads(
    (resources.files("consent_service.demo") / "notice.json").read_bytes()
)

#: Every language that texts ship for.
LANGUAGES = sorted(
    Path(text.name).stem
    for text in resources.files("consent_service.notices").joinpath("texts").iterdir()
    if text.name.endswith(".json")
)

_LINT = (Path(__file__).parent / "lint.js").read_text("utf-8")
_RULE = Regions().rules[UNKNOWN]
_SITE = Site(UUID(int=1), UUID(int=1), "site_demo", "Demo", frozenset(), None, {}, "UTC", 1)


def in_every_language(part: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a part of the demo's notice with its English texts for every language."""
    if isinstance(part, list):
        return [in_every_language(each) for each in part]
    if not isinstance(part, dict):
        return part
    if "en" in part:
        return dict.fromkeys(LANGUAGES, part["en"])
    return {key: in_every_language(value) for key, value in part.items()}


class Stage:
    """A page of a service on which any notice is shown as if it had been published."""

    def __init__(self, page: Page, service: str) -> None:
        """Serve the page, and answer its decisions: this notice is not known to the service."""
        self.page = page
        self.address = f"{service}/stage"
        self.shown: dict[str, Any] = {}
        self._html = ""
        self._script = b""
        page.route(
            self.address, lambda route: route.fulfill(body=self._html, content_type="text/html")
        )
        page.route(
            "**/embed/site_demo.js",
            lambda route: route.fulfill(body=self._script, content_type="text/javascript"),
        )
        page.route("**/consents", self._record)
        page.route("**/gate?*", self._decide)
        page.route("**/events", lambda route: route.fulfill(status=202))

    def show(
        self,
        language: str = "en",
        *,
        body: str = "<main><h1>Shop</h1><p>Something to buy.</p></main>",
        css: str = "",
        gpc: bool = False,
        version: int = 1,
        **changes: Any,  # noqa: ANN401 - JSON
    ) -> None:
        """Open the page with the demo's notice in a language; ``changes`` replace its members."""
        content = resolve(in_every_language(DEMO) | {"languages": [language]} | changes)
        notice = Notice(UUID(int=1), version, version, "", content, date(2026, 3, 1))
        self._script = script(notice, _SITE, language, _RULE, gpc=gpc).plain
        self.shown = shown_to(notice, _SITE, language, _RULE, gpc=gpc)
        self._html = (
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>Shop</title>'
            '<meta name="viewport" content="width=device-width">'
            '<meta name="color-scheme" content="light dark">'
            f'<link rel="icon" href="data:,"><style>{css}</style>'
            '<script src="/embed/site_demo.js" async></script>'
            f"<body>{body}"
        )
        self.page.goto(self.address)
        self.page.wait_for_function("() => window.consentService")
        self.page.evaluate("consentService.ready")

    @property
    def texts(self) -> dict[str, str]:
        """The texts shown, gaps filled."""
        texts: dict[str, str] = self.shown["texts"]
        return texts

    @property
    def layer(self) -> Locator:
        """What is on the page: banner or preference centre."""
        return self.page.locator("#csvc-root > :is(section, dialog)")

    def open_centre(self) -> None:
        """Open the preference centre, with all there is to read."""
        self.page.evaluate("consentService.open()")
        self.page.wait_for_selector("#csvc-root > dialog")
        self.page.evaluate(
            "for (const each of document.querySelectorAll('dialog details')) each.open = true"
        )

    def lint(self, says: Sequence[str] = ()) -> list[str]:
        """Return what is unfair, unreadable or out of reach in what is shown, in words."""
        findings: list[str] = self.page.evaluate(_LINT, {"texts": self.texts, "says": says})
        return findings

    def who_what_and_how_long(self) -> list[str]:
        """Return what the first layer has to say: who asks, what for, how long, what then."""
        purposes = [purpose["name"] for purpose in self.shown["purposes"]["optional"]]
        controller, days = self.shown["controller"]["name"], str(self.shown["remember_days"])
        return [controller, days, *purposes, self.texts["reopen"]]

    def _record(self, route: Route) -> None:
        asked: Any = route.request.post_data_json
        essential = {purpose["key"]: True for purpose in self.shown["purposes"]["essential"]}
        record = {
            "id": "rec_1",
            "notice_version": asked["notice_version"],
            "expires_at": "2099-01-01T00:00:00Z",
            "gpc": False,
            "choices": essential | asked["choices"],
        }
        route.fulfill(status=201, json={"record": record, "token": "t", "receipt_url": ""})

    def _decide(self, route: Route) -> None:
        route.fulfill(json={"allow": False, "decisions": {}, "max_age": 60})
