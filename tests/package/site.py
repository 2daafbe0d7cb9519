"""A site that installed the npm package, and a visitor of it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Locator, expect

from tests.browser.visitor import Visitor

ROOT = Path(__file__).parents[2]
WIDGET = ROOT / "widget"
NAME = "consent-service-widget"
FRAMEWORKS = ("react", "svelte", "vue")

#: The package's first entry, as a browser imports it without a bundler.
INDEX = f"/node_modules/{NAME}/dist/index.js"

#: The core, likewise.
CORE = f"/node_modules/{NAME}/dist/core.js"

#: Query of a page that lets no address become a script without a policy.
TRUSTED_TYPES = "trusted-types"


def npm(*words: str | Path) -> str:
    """Run npm and return what it says."""
    command = [ROOT / "tools/npm.sh", *words]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    said = run.stdout.decode()
    assert run.returncode == 0, said
    return said


@dataclass(frozen=True)
class Shop:
    """Pages on one host, embedding a service on another."""

    origin: str
    service: str


class Customer(Visitor):
    """A visitor of an example."""

    @property
    def fallback(self) -> Locator:
        """What stands in the place of the map."""
        return self.page.get_by_text("The map is shown if you allow preferences.")

    @property
    def map(self) -> Locator:
        """The gated part."""
        return self.page.get_by_title("Our office")

    def sees(self, *, counted: bool, shown: bool) -> None:
        """Hold what the page shows now, or soon."""
        words = "counted" if counted else "not counted"
        expect(self.page.locator("#visits")).to_have_text(f"Visits are {words}.")
        expect(self.map).to_have_count(int(shown))
        expect(self.fallback).to_have_count(int(not shown))

    def presses(self, name: str) -> None:
        """Press a button of the page."""
        self.page.get_by_role("button", name=name, exact=True).first.click()
