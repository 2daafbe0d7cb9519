"""Take the pictures of docs/gallery anew: ``python -m tests.gallery``, or ``make gallery``."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import click
import httpx
from playwright.sync_api import Browser, BrowserContext, Page, StorageState

from consent_service import db, signing
from consent_service.access.actor import OPERATOR
from consent_service.notices.service import publish_notice
from consent_service.tenants.service import create_site, create_tenant, find_site
from tests import servers
from tests.gallery.states import FOLDER, SCREENS, STATES, Screen, State, file_name, page

SITE = "site_gallery"
QUALITY = 72

HERE = Path(__file__).parent
NOTICE = json.loads((HERE / "notice.json").read_text("utf-8"))
HTML = (HERE / "page.html").read_text("utf-8")
MAP = {"en": "Map to our office", "sw": "Ramani ya ofisi yetu", "ar": "خريطة الطريق إلى مكتبنا"}


@dataclass
class Photographer:
    """Sees what a visitor of the service sees."""

    browser: Browser
    service: str
    #: What the browsers of earlier visitors keep, by what they saw and pressed.
    visits: dict[str, StorageState] = field(default_factory=dict)

    @contextmanager
    def visiting(self, screen: Screen, state: State, kept: StorageState | None) -> Iterator[Page]:
        """Open the page."""
        signal = {"Sec-GPC": "1"} if state.gpc else {}
        options: dict[str, Any] = {**screen.options, "extra_http_headers": signal}
        with self.browser.new_context(**options, storage_state=kept) as context:
            self._serve(context, screen, frame=state.frame)
            if state.failing:
                context.route("**/consents", lambda route: route.fulfill(status=400, body="{}"))
            visited = context.new_page()
            visited.goto(f"{self.service}/gallery")
            visited.wait_for_function("() => window.consentService")
            visited.evaluate("consentService.ready")
            yield visited

    def _serve(self, context: BrowserContext, screen: Screen, *, frame: bool) -> None:
        iframe = (
            f'<iframe data-consent-service="map" data-src="/map" title="{MAP[screen.language]}" '
            'width="600" height="260"></iframe>'
        )
        html = (
            HTML.replace("@LANGUAGE@", screen.language)
            .replace("@DIRECTION@", "rtl" if screen.language == "ar" else "ltr")
            .replace("@CONTENT@", iframe if frame else "")
        )
        context.route(
            "**/gallery", lambda route: route.fulfill(body=html, content_type="text/html")
        )

    def remember(self, name: str, button: str) -> None:
        """Keep what the browser of a visitor keeps who presses a button."""
        with self.visiting(SCREENS[0], STATES[0], None) as visited:
            visited.click(f"#csvc-{button}")
            visited.wait_for_selector("#csvc-reopen")
            self.visits[name] = visited.context.storage_state()

    def take(self, state: State, screen: Screen) -> None:
        """Take one picture."""
        kept = self.visits["older notice" if state.older_notice else state.earlier or ""]
        with self.visiting(screen, state, kept) as visited:
            for press in state.presses:
                visited.locator(f"#csvc-{press}").first.click()
            visited.wait_for_selector(f"#csvc-root {state.shows}, main > {state.shows}")
            devtools = visited.context.new_cdp_session(visited)
            options = {"format": "webp", "quality": QUALITY}
            shot = devtools.send("Page.captureScreenshot", options)
            (FOLDER / file_name(state, screen)).write_bytes(base64.b64decode(shot["data"]))


def publish(database_url: str, *, purposes: int) -> None:
    """Publish the notice with its first purposes."""
    database = db.Database(database_url)
    site = find_site(database, SITE)
    publish_notice(
        database, site, {**NOTICE, "purposes": NOTICE["purposes"][:purposes]}, by=OPERATOR
    )
    database.close()


@contextmanager
def service(folder: Path) -> Iterator[tuple[str, str]]:
    """Run a service with a site; give its address and its database's."""
    url, port = f"sqlite:///{folder}/consent.db", servers.free_port()
    db.upgrade(url)
    signing.ensure_keys(folder / "keys.json")
    database = db.Database(url)
    tenant = create_tenant(database, "momo-pulse", "Momo Pulse", by=OPERATOR)
    create_site(
        database, tenant, "Gallery", [f"http://127.0.0.1:{port}"], site_key=SITE, by=OPERATOR
    )
    database.close()
    publish(url, purposes=-1)
    with servers.service(url, folder / "keys.json", port=port, workers="1") as address:
        yield address, url


@click.command()
def main() -> None:
    """Take all pictures and write the page that shows them."""
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.webp"):
        old.unlink()
    with (
        tempfile.TemporaryDirectory() as made,
        service(Path(made)) as (address, database_url),
        servers.chromium(servers.find_browser("chromium")) as browser,
    ):
        photographer = Photographer(browser, address, {"": {"cookies": [], "origins": []}})
        photographer.remember("older notice", "accept")
        publish(database_url, purposes=len(NOTICE["purposes"]))
        banner = f"{address}/v1/sites/{SITE}/banner"
        servers.wait_until(
            lambda: httpx.get(banner).json()["notice_version"] == 2, "the notice did not change"
        )
        photographer.remember("reject", "reject")
        with click.progressbar(list(product(STATES, SCREENS)), label="Taking pictures") as pictures:
            for state, screen in pictures:
                photographer.take(state, screen)
    (FOLDER / "README.md").write_text(page(), "utf-8")
    size = sum(picture.stat().st_size for picture in FOLDER.glob("*.webp"))
    click.echo(f"{FOLDER}: {size / 1024:.0f} KiB of pictures")


if __name__ == "__main__":
    main()
