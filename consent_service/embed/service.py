"""The widget as pages load it, compressed ahead of time.

The built widget is the body of a function that reads ``__SCRIPT__``, the element that brought it,
and ``__CONFIG__``, the site's configuration. Two scripts give them to it:

- one has a site's configuration inside, and fetches what only some pages and moments need, a file
  named ``__MORE__``, when it comes up;
- the other has all of the widget inside and fetches the configuration, and is so the same for
  every site until the next release.
"""

from __future__ import annotations

import gzip
import hashlib
import html
from base64 import b64encode
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from typing import Any, NamedTuple

import brotli
import orjson

from consent_service.errors import OperatorError
from consent_service.notices.configuration import Notice
from consent_service.notices.service import shown_to
from consent_service.regions.rules import Rule
from consent_service.signing import sha256
from consent_service.tenants.service import Site

_BUILT = resources.files("consent_service.embed") / "static"

#: JSON that ends a statement for JavaScript engines older than ECMAScript 2019.
_LINE_ENDS = {"\u2028": "\\u2028", "\u2029": "\\u2029"}

#: What the script that is the same for every site does first, and what if anything fails: a page
#: without a banner, on which nothing is allowed.
_FETCHING = """\
(async(__SCRIPT__)=>{const __CONFIG__=await(async({src,dataset:{site,lang=""}})=>{\
const path=`/v1/sites/${encodeURIComponent(site)}/banner`,\
query=`?lang=${encodeURIComponent(lang)}&gpc=${+!!navigator.globalPrivacyControl}`,\
answer=await fetch(new URL(path+query,src),{credentials:"omit"});\
if(!answer.ok)throw Error(`${answer.url} says ${answer.status}`);\
return answer.json()})(__SCRIPT__);"""
_FAILING = """\
})(document.currentScript).catch(error=>\
console.warn("consent-service: no banner, and nothing is allowed. Are data-site and the page's \
origin registered?",String(error)));"""

#: The same of the script that has the configuration inside, should that not be one.
_WARNING = 'console.warn("consent-service: no banner, and nothing is allowed.",String(error))'

#: Hexadecimal digits of the hash in the name of a script that never changes.
_NAME_DIGITS = 16


@dataclass(frozen=True)
class Script:
    """A script in the encodings that browsers ask for."""

    plain: bytes
    gzip: bytes
    br: bytes
    digest: str

    def encoded(self, accepted: Collection[str]) -> tuple[bytes, str | None]:
        """Return the smallest form in one of these encodings, and the encoding's name."""
        for name, body in (("br", self.br), ("gzip", self.gzip)):
            if name in accepted:
                return body, name
        return self.plain, None

    @property
    def integrity(self) -> str:
        """What a page states so that its browser runs this and nothing else."""
        return f"sha384-{b64encode(hashlib.sha384(self.plain).digest()).decode()}"


def built(name: str) -> str:
    """Return a file that the widget was built into: ``widget.js`` or ``whole.js``.

    :raises OperatorError: when it has not been built
    """
    try:
        return (_BUILT / name).read_text("utf-8")
    except FileNotFoundError:
        raise OperatorError("The widget has not been built. Run: make widget") from None


@cache
def rest() -> Mapping[str, Script]:
    """Return what the widget may fetch later, by name: one file, whose name holds its hash."""
    return {
        entry.name: _compressed(entry.read_text("utf-8"))
        for entry in _BUILT.iterdir()
        if entry.name.startswith("more-")
    }


# Depends on these alone: a site or notice that changes is another object.
@lru_cache(maxsize=1024)
def script(notice: Notice, site: Site, language: str, rule: Rule, *, gpc: bool) -> Script:
    """Return the widget with its configuration inside: one request, nothing to wait for."""
    configuration = as_javascript(shown_to(notice, site, language, rule, gpc=gpc))
    # A module is not told which element brought it.
    own = as_javascript(f'script[src*="/embed/{site.site_key}"]')
    names = (
        f"const __CONFIG__={configuration},"
        f"__SCRIPT__=document.currentScript??document.querySelector({own}),"
        f"__MORE__={as_javascript(next(iter(rest())))};"
    )
    # Chromium then compiles all at once what runs at once.
    hint = "//# allFunctionsCalledOnLoad\n"
    body = f"try{{{names}{built('widget.js')}}}catch(error){{{_WARNING}}}"
    return _compressed(f"{hint}(()=>{{{body}}})();")


@cache
def site_independent_script() -> Script:
    """Return the widget that fetches its configuration: a page can state its hash."""
    return _compressed(f"{_FETCHING}{built('whole.js')}{_FAILING}")


def site_independent_digest() -> str:
    """Return the part of that script's address that changes with its content."""
    return site_independent_script().digest[:_NAME_DIGITS]


class ScriptTags(NamedTuple):
    """The two ways to have a page load the script; one of them is enough."""

    #: One request, and the same after every upgrade.
    plain: str
    #: Has the browser check what it runs, and changes with every upgrade.
    checked: str


def script_tags(base: str, site_key: str) -> ScriptTags:
    """Return what a site's pages need; ``base`` is where visitors reach the service."""
    address = f"{html.escape(base)}/embed"
    return ScriptTags(
        plain=f'<script src="{address}/{site_key}.js" async></script>',
        checked=f'<script src="{address}/widget-{site_independent_digest()}.js"\n'
        f'  data-site="{site_key}" integrity="{site_independent_script().integrity}"\n'
        '  crossorigin="anonymous" async></script>',
    )


def _compressed(text: str) -> Script:
    plain = text.encode()
    return Script(
        plain=plain,
        gzip=gzip.compress(plain, 9, mtime=0),
        br=brotli.compress(plain, mode=brotli.MODE_TEXT),
        digest=sha256(plain).hex(),
    )


def as_javascript(value: Any) -> str:  # noqa: ANN401
    """Write a value as a JavaScript expression that also holds inside an inline script."""
    text = orjson.dumps(value).decode().replace("<", "\\u003c")
    for character, escape in _LINE_ENDS.items():
        text = text.replace(character, escape)
    return text
