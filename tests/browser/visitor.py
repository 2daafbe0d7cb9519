"""A visitor of the demo site: acts through the page, and watches what the browser sends."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Locator, Page, Response, expect

COOKIE = "cookie_consent_demo"


class Visitor:
    """One visitor on one page."""

    def __init__(self, page: Page, origin: str) -> None:
        """Watch the page from the beginning."""
        self.page = page
        self.origin = origin
        self.sent: list[str] = []
        page.on("request", lambda request: self.sent.append(f"{request.method} {request.url}"))

    def open(self, language: str = "en", origin: str | None = None) -> None:
        """Open the demo site and wait until the widget has done all it does by itself."""
        self.page.goto(f"{origin or self.origin}/demo/?lang={language}")
        self.settled()

    def reload(self) -> None:
        """Come back to the same page."""
        self.page.reload()
        self.settled()

    def settled(self) -> None:
        """Wait until the widget is ready, and whatever it may run is on the page."""
        self.page.wait_for_function("() => !!window.consentService?.ready")
        self.page.evaluate("consentService.ready")

    @property
    def banner(self) -> Locator:
        """The first layer."""
        return self.page.locator("#csvc-root > section")

    @property
    def centre(self) -> Locator:
        """The preference centre."""
        return self.page.locator("#csvc-root > dialog")

    @property
    def status(self) -> Locator:
        """What the widget announces."""
        return self.page.locator("#csvc-root > [role=status]")

    @property
    def alert(self) -> Locator:
        """What the widget says went wrong."""
        return self.page.locator("#csvc-root [role=alert]")

    def press(self, button: str) -> None:
        """Press one of the widget's buttons."""
        self.page.click(f"#csvc-{button}")

    def speak(self, language: str) -> None:
        """Have the widget speak another language."""
        self.press("language")
        self.page.select_option("select#csvc-language", language)

    def decide(self, button: str) -> dict[str, Any]:
        """Press a button that decides; return the record that was stored."""
        with self.page.expect_response(_is_decision) as answer:
            self.press(button)
        expect(self.status).not_to_be_empty()
        record: dict[str, Any] = answer.value.json()["record"]
        return record

    def navigate(self, page_name: str) -> None:
        """Go to another page of the demo's dashboard, and let the browser send what it will."""
        self.page.click(f'[data-page="{page_name}"]')
        self.page.evaluate("fetch('/healthz').then((answer) => answer.text())")

    def hits_sent(self) -> int:
        """Count the page views that left the browser."""
        return sum(entry == f"POST {self.origin}/demo/hits" for entry in self.sent)

    def loaded(self, file: str) -> bool:
        """Say whether the browser asked for a file of the demo site."""
        return f"GET {self.origin}/demo/{file}" in self.sent

    def calls(self) -> list[str]:
        """Return the paths that were called of the API, but for telling that a banner is there."""
        asked = [urlsplit(entry.split(" ")[1]).path for entry in self.sent]
        return [path for path in asked if path.startswith("/v1/") and not path.endswith("/events")]

    def cookies(self) -> dict[str, Any]:
        """Return the browser's cookies by name."""
        return {cookie.get("name", ""): cookie for cookie in self.page.context.cookies()}

    def expect_hits(self, number: int) -> None:
        """Wait until this many page views left the browser, and hold that it was no more."""
        while self.hits_sent() < number:
            self.page.wait_for_event("request")
        assert self.hits_sent() == number

    def foreign_hosts(self) -> set[str]:
        """Return every host but the service's own that the browser sent anything to."""
        addresses = [urlsplit(re.sub(r"^\w+ ", "", entry)) for entry in self.sent]
        own = urlsplit(self.origin).netloc
        return {a.netloc for a in addresses if a.scheme.startswith("http") and a.netloc != own}


def _is_decision(response: Response) -> bool:
    return response.request.method == "POST" and response.url.endswith("/consents")
