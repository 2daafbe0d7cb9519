"""A visitor in a browser that speaks WebDriver: acts through the page, and asks it what it did."""

from __future__ import annotations

from typing import Any

import httpx
from selenium.webdriver import ActionChains, Remote
from selenium.webdriver.common.by import By

from tests.browser.visitor import COOKIE
from tests.servers import wait_until

#: What the service holds of this browser, which shows its token where no cookie can.
HELD = f"""
    const token = localStorage.getItem("{COOKIE}");
    const headers = token ? {{ "X-Consent-Token": token }} : {{}};
    return fetch("/v1/sites/site_demo/consents/me", {{ headers }})
        .then((answer) => answer.json()).then(({{ history }}) => history ?? []);
"""

BANNER = "#csvc-root > section"
CENTRE = "#csvc-root > dialog"


class Guest:
    """One visitor of the demo site, or of a page elsewhere."""

    def __init__(self, driver: Remote, origin: str) -> None:
        """Begin with a browser that remembers nothing, and with no page views received."""
        self.driver = driver
        self.origin = origin
        httpx.delete(f"{origin}/demo/hits").raise_for_status()

    def open(self, language: str = "en") -> None:
        """Open the demo site and wait until the widget has done all it does by itself."""
        self.visit(f"{self.origin}/demo/?lang={language}")

    def visit(self, address: str) -> None:
        """Do the same on another page."""
        self.driver.get(address)
        self.settled()

    def reload(self) -> None:
        """Come back to the same page."""
        self.driver.refresh()
        self.settled()

    def settled(self) -> None:
        """Wait until the widget is ready, and whatever it may run is on the page."""
        self.wait_for("!!window.consentService?.ready")
        self.ask("consentService.ready")

    def leave(self) -> None:
        """Forget the visit, as if the browser had been closed and its profile thrown away."""
        self.driver.delete_all_cookies()
        self.driver.execute_script("localStorage.clear()")
        self.driver.get("about:blank")

    def ask(self, expression: str) -> Any:  # noqa: ANN401 - whatever the page answers
        """Return what an expression is worth on the page."""
        return self.driver.execute_script(f"return {expression}")

    def wait_for(self, condition: str) -> None:
        """Wait until an expression is true on the page."""
        wait_until(lambda: self.ask(condition), condition)

    def count(self, selector: str) -> int:
        """Count the elements on the page that match."""
        number: int = self.ask(f"document.querySelectorAll({selector!r}).length")
        return number

    def text(self, selector: str) -> str:
        """Return the text of an element."""
        return self.driver.find_element(By.CSS_SELECTOR, selector).text

    def click(self, selector: str) -> None:
        """Click the first element that matches, where nothing fixed lies on it."""
        element = self.driver.find_element(By.CSS_SELECTOR, selector)
        self.driver.execute_script("arguments[0].scrollIntoView({ block: 'center' })", element)
        element.click()

    def press(self, button: str) -> None:
        """Press one of the widget's buttons."""
        self.click(f"#csvc-{button}")

    def type(self, *keys: str) -> None:
        """Press these keys together."""
        chain = ActionChains(self.driver, duration=0)
        for key in keys:
            chain.key_down(key)
        for key in reversed(keys):
            chain.key_up(key)
        chain.perform()

    @property
    def focus(self) -> str:
        """The id of what has the focus, or its tag where it has none."""
        name: str = self.ask("document.activeElement.id || document.activeElement.localName")
        return name

    def choose(self, control: str = "#csvc-choose") -> None:
        """Open the preference centre."""
        self.click(control)
        self.wait_for(f"document.querySelector('{CENTRE}[open]')")

    def decide(self, button: str) -> dict[str, Any]:
        """Press a button that decides; return the record that was stored."""
        self.ask("void (window.changed = new Promise((done) => consentService.on('change', done)))")
        self.press(button)
        self.ask("window.changed.then(() => true)")
        record: dict[str, Any] = self.held()[0]
        return record

    def held(self) -> list[dict[str, Any]]:
        """Return the records that the service holds of this visitor, newest first."""
        history: list[dict[str, Any]] = self.driver.execute_script(HELD)
        return history

    def navigate(self, page_name: str) -> None:
        """Go to another page of the demo's dashboard, and let the browser send what it will."""
        self.click(f'[data-page="{page_name}"]')
        self.ask("fetch('/healthz').then((answer) => answer.text())")

    def requested(self) -> list[str]:
        """Return the paths that the page has asked for since it was loaded, in that order."""
        paths: list[str] = self.ask(
            "performance.getEntriesByType('resource').sort((a, b) => a.startTime - b.startTime)"
            ".map(({ name }) => new URL(name).pathname)"
        )
        return paths

    def hits(self) -> int:
        """Count the page views that have arrived."""
        total: int = httpx.get(f"{self.origin}/demo/hits").json()["total"]
        return total

    def expect_hits(self, number: int) -> None:
        """Wait until this many page views have arrived, and hold that it was no more."""
        wait_until(lambda: self.hits() >= number, f"{number} page views")
        assert self.hits() == number

    def cookies(self) -> set[str]:
        """Return the names of the browser's cookies."""
        return {cookie["name"] for cookie in self.driver.get_cookies()}
