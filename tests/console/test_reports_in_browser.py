"""The page of consent rates in a browser: its charts, on any screen, in any language, on paper."""

from __future__ import annotations

import csv
import re
import shutil
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.axe import Axe
from tests.builders import make_service
from tests.console.notices import at_desk, served
from tests.console.rates import count_days
from tests.console.test_parts import LAPTOP, OVERFLOW, PHONE, TOO_SMALL, _open_everything
from tests.members import Member, sign_in

DAYS = "period=own&from=2026-09-18&to=2026-10-17"
CHARTS = ("over-time", "breakdown", "funnel")

#: Pixels of a chart that are of a colour, which is a custom property of the style sheet.
PAINTED = """(canvas, name) => {
    const probe = document.createElement("canvas").getContext("2d");
    probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(name);
    probe.fillRect(0, 0, 1, 1);
    const [red, green, blue] = probe.getImageData(0, 0, 1, 1).data;
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let found = 0;
    for (let at = 0; at < data.length; at += 4)
        if (data[at] === red && data[at + 1] === green && data[at + 2] === blue) found++;
    return found;
}"""


#: Pixels of the interval around a chart's first line, and of whiskers within bars.
INTERVALS = """(canvas) => {
    const style = getComputedStyle(document.documentElement);
    const probe = document.createElement("canvas").getContext("2d");
    const colour = (...names) => {
        for (const [name, opaque] of names) {
            probe.globalAlpha = opaque;
            probe.fillStyle = style.getPropertyValue(name);
            probe.fillRect(0, 0, 1, 1);
        }
        return [...probe.getImageData(0, 0, 1, 1).data];
    };
    const { width, height } = canvas;
    const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
    const is = (at, wanted, near) =>
        [0, 1, 2].every((part) => Math.abs(data[at + part] - wanted[part]) <= near);
    const bar = colour(["--series-1", 1]);
    const ink = colour(["--ink", 1]);
    const band = colour(["--card", 1], ["--series-1", 0.16]);
    const rows = 4 * width * 4;
    let bands = 0;
    let whiskers = 0;
    for (let at = rows; at < data.length - rows; at += 4) {
        if (is(at, band, 4)) bands++;
        if (is(at, ink, 60) && is(at - rows, bar, 2) && is(at + rows, bar, 2)) whiskers++;
    }
    return { bands, whiskers };
}"""


@dataclass(frozen=True)
class House:
    """A console whose site was counted for two months, and who looks at it."""

    url: str
    owner: Member

    def page(self, query: str = "") -> str:
        """Return the address of the page."""
        return f"{self.url}/console/t/example/reports?{DAYS}{query}"


@pytest.fixture(scope="module")
def house(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A site that was counted for two months, served."""
    folder = tmp_path_factory.mktemp("house")
    url = f"sqlite:///{shutil.copy(sqlite_template, folder / 'db')}"
    service = make_service(url, folder, limit_reads="100000 per minute")
    count_days(service, date(2026, 10, 17))
    with ExitStack() as stack:
        stack.callback(service.built.database.close)
        yield House(stack.enter_context(served(service)), sign_in(service))


def canvas(page: Page, key: str) -> Locator:
    return page.locator(f"#{key} canvas")


def painted(page: Page, key: str, colour: str) -> int:
    return int(canvas(page, key).evaluate(PAINTED, colour))


def test_axe_finds_nothing_and_charts_fit_every_screen(browser: Browser, house: House) -> None:
    looks = (
        ("en", {"viewport": LAPTOP, "color_scheme": "light"}),
        ("en", {"viewport": PHONE, "color_scheme": "dark", "has_touch": True, "is_mobile": True}),
        ("sw", {"viewport": PHONE, "color_scheme": "light", "has_touch": True, "is_mobile": True}),
    )
    axe = Axe()
    for lang, options in looks:
        with at_desk(browser, house.url, house.owner, reduced_motion="reduce", **options) as desk:
            page = desk.new_page()
            page.goto(house.page(f"&group=country&step=week&compare=previous&lang={lang}"))
            for key in CHARTS:
                box = canvas(page, key).bounding_box()
                assert box is not None
                assert box["width"] > 250, (options, key)
                # Bars and lines are of the colours of the scheme.
                assert painted(page, key, f"--series-{2 if key == 'funnel' else 1}") > 200, key
                assert painted(page, key, "--card") > 5000, key
            assert painted(page, "over-time", "--series-5") > 50
            _open_everything(page)
            assert page.evaluate(OVERFLOW) <= 0, options
            if options["viewport"] is PHONE:
                assert page.evaluate(TOO_SMALL) == [], options
            found = axe.run(page)
            assert found.violations_count == 0, (options, found.generate_report())
            for beside in ("/schedules", "/quarterly?quarter=2026-Q3"):
                page.goto(f"{house.url}/console/t/example/reports{beside}")
                assert page.evaluate(OVERFLOW) <= 0, (beside, options)
                found = axe.run(page)
                assert found.violations_count == 0, (beside, options, found.generate_report())


def test_a_chart_has_its_intervals_and_says_in_words_what_it_shows(
    browser: Browser, house: House
) -> None:
    with at_desk(browser, house.url, house.owner, reduced_motion="reduce") as desk:
        page = desk.new_page()
        page.goto(house.page("&group=country"))
        assert canvas(page, "breakdown").evaluate(INTERVALS)["whiskers"] > 20
        shown = page.get_by_role("img", name="Opt-in: analytics in English by country")
        expect(shown).to_have_accessible_description(
            re.compile(r"^Highest: Tanzania, [\d.]+%\. Lowest: United Kingdom, [\d.]+%\.$")
        )


def test_a_chart_is_taken_along_as_a_picture_and_as_numbers(
    browser: Browser, house: House, tmp_path: Path
) -> None:
    with at_desk(browser, house.url, house.owner, viewport=PHONE, color_scheme="dark") as desk:
        page = desk.new_page()
        page.goto(house.page("&group=country&step=week"))
        figure = page.locator("#breakdown")
        with page.expect_download() as picture:
            figure.get_by_role("button", name="PNG").click()
        assert picture.value.suggested_filename == "bars-site_test-2026-09-18-2026-10-17.png"
        picture.value.save_as(tmp_path / "chart.png")
        data = (tmp_path / "chart.png").read_bytes()
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        width, height = struct.unpack(">II", data[16:24])
        # As wide as on a laptop though taken on a phone, and finer than on either.
        assert width == 2000
        assert height > 600
        # On white, whatever the screen is like, and with more than the ground on it.
        pixels = _pixels(page, data)
        assert pixels["corner"] == [255, 255, 255, 255]
        assert pixels["colours"] > 20
        # Its title stands in the ink of daylight above all else.
        assert pixels["dark_in_head"] > 500
        with page.expect_download() as numbers:
            figure.get_by_role("link", name="CSV").click()
        numbers.value.save_as(tmp_path / "chart.csv")
        rows = list(csv.DictReader((tmp_path / "chart.csv").read_text().splitlines()))
        cells = figure.get_by_role("row").filter(has_text="Tanzania").get_by_role("cell")
        expect(cells.first).to_have_text(f"{float(rows[0]['rate']):.1%}")


def _pixels(page: Page, picture: bytes) -> dict[str, Any]:
    """Return what a picture has: its corner, how many colours, how much dark ink at its top."""
    found: dict[str, Any] = page.evaluate(
        """async (bytes) => {
            const picture = await createImageBitmap(new Blob([new Uint8Array(bytes)]));
            const canvas = new OffscreenCanvas(picture.width, picture.height);
            const context = canvas.getContext("2d");
            context.drawImage(picture, 0, 0);
            const all = context.getImageData(0, 0, picture.width, picture.height).data;
            const colours = new Set();
            let dark = 0;
            for (let at = 0; at < all.length; at += 4) {
                colours.add(`${all[at]},${all[at + 1]},${all[at + 2]}`);
                if (at < picture.width * 4 * 110 && all[at] < 60) dark++;
            }
            return { corner: [...all.slice(0, 4)], colours: colours.size, dark_in_head: dark };
        }""",
        list(picture),
    )
    return found


def test_on_paper_there_are_charts_and_all_numbers_and_no_navigation(
    browser: Browser, house: House
) -> None:
    with at_desk(
        browser, house.url, house.owner, color_scheme="dark", reduced_motion="reduce"
    ) as desk:
        page = desk.new_page()
        page.goto(house.page("&group=country"))
        numbers = page.locator("#over-time table")
        expect(numbers).to_be_hidden()
        # A browser tells of it while the page is still one of a screen.
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        expect(numbers).to_be_visible()
        probe = "canvas => [...canvas.getContext('2d').getImageData(2, 2, 1, 1).data]"
        assert canvas(page, "funnel").evaluate(probe) == [255, 255, 255, 255]
        page.emulate_media(media="print")
        for part in (".bar", ".rooms", ".foot", ".questions", ".settings", ".actions >> nth=0"):
            expect(page.locator(part)).to_be_hidden()
        # Ink on white, though the screen is dark.
        for key in CHARTS:
            expect(canvas(page, key)).to_be_visible()
            assert canvas(page, key).evaluate(probe) == [255, 255, 255, 255]
            assert painted(page, key, "--series-2") > 50 or key == "breakdown"
        page.emulate_media(media="screen")
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        expect(numbers).to_be_hidden()
        assert canvas(page, "funnel").evaluate(probe) != [255, 255, 255, 255]


def test_own_days_are_asked_for_where_they_are_wanted(browser: Browser, house: House) -> None:
    with at_desk(browser, house.url, house.owner) as desk:
        page = desk.new_page()
        page.goto(house.page().replace("period=own", "period=quarter"))
        expect(page.get_by_label("From", exact=True)).to_be_hidden()
        page.get_by_label("Period").select_option("Days of your choice")
        page.get_by_label("From", exact=True).fill("2026-10-01")
        page.get_by_label("Until").fill("2026-10-10")
        page.get_by_role("button", name="Show").click()
        expect(page.get_by_text("App · 1 Oct 2026 \N{EN DASH} 10 Oct 2026").first).to_be_visible()
        page.get_by_label("Only").select_option("Kenya")
        page.get_by_role("button", name="Show").click()
        expect(page.get_by_text("Country: Kenya").first).to_be_visible()
        assert "from=2026-10-01&to=2026-10-10" in page.url
        assert "where=country%3AKE" in page.url


def test_without_scripts_the_form_and_the_tables_do(browser: Browser, house: House) -> None:
    with at_desk(browser, house.url, house.owner, java_script_enabled=False) as desk:
        page = desk.new_page()
        page.goto(house.page())
        page.get_by_role("combobox", name="Tell apart by").select_option("Device")
        page.get_by_role("button", name="Show").click()
        expect(page.get_by_role("row").filter(has_text="Tablet")).to_be_visible()
        expect(page.get_by_role("button", name="PNG")).to_have_count(0)
        expect(page.locator("canvas").first).to_be_hidden()


def test_a_line_has_its_interval_and_the_keyboard_reaches_what_it_means(
    browser: Browser, house: House
) -> None:
    with at_desk(browser, house.url, house.owner, reduced_motion="reduce") as desk:
        page = desk.new_page()
        page.goto(house.page())
        assert canvas(page, "over-time").evaluate(INTERVALS)["bands"] > 2000
        page.locator("summary", has_text="What is this?: Interaction").focus()
        page.keyboard.press("Enter")
        expect(
            page.get_by_text("How many of those who were shown the banner answered it.").first
        ).to_be_visible()
