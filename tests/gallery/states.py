"""What there is to see, on which screens, and the page that shows the pictures of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parents[2] / "docs/gallery"

_PAGE = """\
# Gallery

All that a visitor can see of the [widget](../widget.md). `make gallery` takes the pictures anew,
from a service that it starts itself, and writes this page.
"""


@dataclass(frozen=True)
class State:
    """One thing to see, and how a visitor comes to see it."""

    name: str
    caption: str
    #: What is on the page when it is seen.
    shows: str
    #: What the visitor presses, one after the other.
    presses: tuple[str, ...] = ()
    #: The browser sends an opt-out signal.
    gpc: bool = False
    #: What the visitor pressed on an earlier visit.
    earlier: str | None = None
    #: The notice had one purpose less then.
    older_notice: bool = False
    #: The service does not take the choice.
    failing: bool = False
    #: The page has a map in a frame.
    frame: bool = False


@dataclass(frozen=True)
class Screen:
    """Who looks, and on what."""

    name: str
    caption: str
    language: str
    width: int
    height: int
    dark: bool = False

    @property
    def options(self) -> dict[str, Any]:
        """How the browser is told."""
        return {
            "viewport": {"width": self.width, "height": self.height},
            "locale": self.language,
            "color_scheme": "dark" if self.dark else "light",
            "reduced_motion": "reduce",
        }


SCREENS = (
    Screen("desktop", "Desktop", "en", 1280, 800),
    Screen("phone", "Phone, Swahili", "sw", 360, 740),
    Screen("dark", "Dark mode", "en", 1280, 800, dark=True),
    Screen("rtl", "Right to left, Arabic", "ar", 1280, 800),
)

STATES = (
    State(
        "banner",
        "The banner. It takes no focus and leaves the page usable; closing it is no choice.",
        "section",
    ),
    State(
        "banner-gpc",
        "The banner, to a browser that sends Global Privacy Control.",
        "section .csvc-note",
        gpc=True,
    ),
    State(
        "banner-changed",
        "The banner, to somebody who chose before the notice changed and got a purpose more.",
        "section .csvc-actions .csvc-note",
        earlier="accept",
        older_notice=True,
    ),
    State("preferences", "The preference centre.", "dialog", ("choose",)),
    State(
        "details",
        "The preference centre with a purpose's services and cookies.",
        "details[open] table",
        ("choose", "root summary"),
    ),
    State(
        "reopen",
        "After a choice: the quiet control, where the page has none of its own.",
        "#csvc-reopen",
        earlier="reject",
    ),
    State("status", "What is said when a choice is stored.", "[role=status] span", ("reject",)),
    State(
        "error",
        "What is said when a choice cannot be stored. Nothing is granted.",
        "[role=alert]",
        ("accept",),
        failing=True,
    ),
    State(
        "placeholder",
        "What stands in the place of a frame that is not allowed.",
        ".csvc-embed",
        earlier="reject",
        frame=True,
    ),
)


def file_name(state: State, screen: Screen) -> str:
    """Return the picture's name."""
    return f"{state.name}-{screen.name}.webp"


def page() -> str:
    """Return docs/gallery/README.md."""
    return _PAGE + "".join(_parts())


def _parts() -> Iterator[str]:
    captions = " | ".join(screen.caption for screen in SCREENS)
    for state in STATES:
        pictures = " | ".join(
            f"![{state.name}, {screen.name}]({file_name(state, screen)})" for screen in SCREENS
        )
        yield f"\n## {state.name}\n\n{state.caption}\n\n"
        yield f"| {captions} |\n|{'---|' * len(SCREENS)}\n| {pictures} |\n"
