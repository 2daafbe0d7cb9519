"""Look for what keeps people from using a page, with axe-core."""

from __future__ import annotations

from typing import Any

from axe_playwright_python import sync_playwright
from axe_playwright_python.sync_playwright import AxeResults
from playwright.sync_api import Page

#: Of the many thousand things that are in order, only how many there are would be of use.
_LOOK = """(options) => axe.run(document, { resultTypes: ["violations"], ...options })
    .then(({ violations }) => ({ violations }))"""


class Axe(sync_playwright.Axe):  # type: ignore[misc]
    """The package's, which reads the library once a page and hands over what it finds wrong."""

    def run(self, page: Page, **options: Any) -> AxeResults:  # noqa: ANN401
        """Look at a page as it is now."""
        if not page.evaluate("() => 'axe' in window"):
            page.evaluate(self.axe_script)
        return AxeResults(page.evaluate(_LOOK, options))
