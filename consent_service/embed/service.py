"""Put the widget and a site's configuration into one script, compressed ahead of time."""

from __future__ import annotations

import gzip
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

import brotli
import orjson

from consent_service.errors import OperatorError
from consent_service.notices.configuration import Notice
from consent_service.notices.service import shown_to
from consent_service.regions.rules import Rule
from consent_service.signing import sha256
from consent_service.tenants.service import Site

_WIDGET = resources.files("consent_service.embed") / "static" / "widget.js"

#: JSON that ends a statement for JavaScript engines older than ECMAScript 2019.
_LINE_ENDS = {"\u2028": "\\u2028", "\u2029": "\\u2029"}


@dataclass(frozen=True)
class Script:
    """A script in the encodings that browsers ask for."""

    plain: bytes
    gzip: bytes
    br: bytes
    etag: str

    def encoded(self, accepted: Collection[str]) -> tuple[bytes, str | None]:
        """Return the smallest form in one of these encodings, and the encoding's name."""
        for name, body in (("br", self.br), ("gzip", self.gzip)):
            if name in accepted:
                return body, name
        return self.plain, None


def widget_source() -> str:
    """Return the built widget.

    :raises OperatorError: when it has not been built
    """
    try:
        return _WIDGET.read_text("utf-8")
    except FileNotFoundError:
        raise OperatorError("The widget has not been built. Run: make widget") from None


# Depends on these alone: a site or notice that changes is another object.
@lru_cache(maxsize=1024)
def script(notice: Notice, site: Site, language: str, rule: Rule, *, gpc: bool) -> Script:
    """Return the widget with its configuration inside: one request, nothing to wait for."""
    configuration = as_javascript(shown_to(notice, site, language, rule, gpc=gpc))
    plain = f"(()=>{{const __CONFIG__={configuration};{widget_source()}}})();".encode()
    return Script(
        plain=plain,
        gzip=gzip.compress(plain, 9, mtime=0),
        br=brotli.compress(plain, mode=brotli.MODE_TEXT),
        etag=sha256(plain).hex()[:32],
    )


def as_javascript(value: Any) -> str:  # noqa: ANN401
    """Write a value as a JavaScript expression that also holds inside an inline script."""
    text = orjson.dumps(value).decode().replace("<", "\\u003c")
    for character, escape in _LINE_ENDS.items():
        text = text.replace(character, escape)
    return text
