"""Look at a page as a strict browser does: what it loads, and what it carries in line."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass
class Page(HTMLParser):
    """What a page loads, and the scripts and styles in line, which no strict policy lets run."""

    html: str
    loads: list[str] = field(default_factory=list)
    inline: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Read the page."""
        super().__init__()
        self._inside = ""
        self.feed(self.html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what the tag loads or carries."""
        given = dict(attrs)
        self._inside = tag
        self.inline += [
            f"{name}={value}" for name, value in attrs if name == "style" or name.startswith("on")
        ]
        address = given.get("href") if tag == "link" else given.get("src")
        if address is not None and not address.startswith("data:"):
            self.loads.append(address)

    def handle_data(self, data: str) -> None:
        """Note the text of scripts and styles."""
        if self._inside in {"script", "style"} and data.strip():
            self.inline.append(data)

    def handle_endtag(self, tag: str) -> None:
        """Leave the tag."""
        if tag == self._inside:
            self._inside = ""
