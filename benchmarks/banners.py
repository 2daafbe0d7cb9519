"""What stands on one and the same page in turn: no banner, bare ones, the widget, other people's.

The page comes from one origin and what the banner needs from another, for each of them alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import brotli

from benchmarks.processes import HOST, ROOT, ask
from benchmarks.site import let_in, other, prepare, service

NONE = "page without a banner"
INLINE = "bare banner, inline"
BARE = "bare banner, external script"
WIDGET = "widget, as the service serves it"
COOKIECONSENT = "vanilla-cookieconsent"
OREJIME = "Orejime"

_PAGES = Path(__file__).parent / "pages"
_PACKAGES = ROOT / "widget" / "node_modules"

#: The files that each needs besides those of ``pages/``, of the versions that npm installed.
_THEIRS = {
    COOKIECONSENT: (
        "vanilla-cookieconsent/dist/cookieconsent.css",
        "vanilla-cookieconsent/dist/cookieconsent.umd.js",
    ),
    OREJIME: (
        "orejime/dist/orejime-standard.css",
        "orejime/dist/orejime-standard-en.js",
    ),
}


_WARM_UP = 20


@dataclass(frozen=True)
class Banner:
    """A page with its banner: its address, and how the button that accepts is found."""

    name: str
    url: str
    accept: str | None


@dataclass(frozen=True)
class _Tags:
    """What a banner adds to the page, as its own documentation says."""

    accept: str | None
    head: str = ""
    tail: str = ""


def missing() -> list[str]:
    """Return those whose files are not installed."""
    return [
        name
        for name, files in _THEIRS.items()
        if not all((_PACKAGES / path).is_file() for path in files)
    ]


@contextmanager
def served(folder: Path) -> Iterator[list[Banner]]:
    """Serve all those that are installed until the block ends."""
    absent = missing()
    prepared = prepare(f"sqlite:///{folder}/consent.db", folder)
    files = {
        "bare.js": _page("bare.js"),
        "cookieconsent-config.js": _page("cookieconsent-config.js"),
    }
    for name in _THEIRS.keys() - absent:
        files |= {Path(path).name: (_PACKAGES / path).read_bytes() for path in _THEIRS[name]}
    with ExitStack() as stack:
        others = stack.enter_context(_files_served(files, folder / "files"))
        script = f"/embed/{prepared.site.site_key}.js"
        tags = _tags(others, prepared.origin + script)
        for name in absent:
            del tags[name]
        pages = {f"{number}.html": _filled(made) for number, made in enumerate(tags.values())}
        origin = stack.enter_context(_files_served(pages, folder / "pages"))
        let_in(prepared, origin)
        stack.enter_context(service(prepared, folder))
        # Each worker puts the script together once, and it is chance which of them answers.
        for _ in range(_WARM_UP):
            ask(prepared.port, script)
        yield [
            Banner(name, f"{origin}/{path}", made.accept)
            for (name, made), path in zip(tags.items(), pages, strict=True)
        ]


def _tags(others: str, script: str) -> dict[str, _Tags]:
    """Return what each adds to the page.

    :param others: where all files are that do not come from the service
    :param script: the widget's address
    """
    return {
        NONE: _Tags(None),
        INLINE: _Tags("#accept", tail=f"<script>{_page('bare.js').decode()}</script>"),
        BARE: _Tags("#accept", f'<script src="{others}/bare.js" async></script>'),
        WIDGET: _Tags("#csvc-accept", f'<script src="{script}" async></script>'),
        COOKIECONSENT: _Tags(
            "#cc-main .cm__btn[data-role=all]",
            f'<link rel="stylesheet" href="{others}/cookieconsent.css">',
            f'<script defer src="{others}/cookieconsent.umd.js"></script>\n'
            f'<script defer src="{others}/cookieconsent-config.js"></script>',
        ),
        OREJIME: _Tags(
            ".orejime-Banner-saveButton",
            f'<link href="{others}/orejime-standard.css" rel="stylesheet">',
            f"<script>{_page('orejime-config.js').decode()}</script>\n"
            f'<script src="{others}/orejime-standard-en.js"></script>',
        ),
    }


def _filled(tags: _Tags) -> bytes:
    page = _page("page.html").decode()
    return page.replace("@HEAD@", tags.head).replace("@TAIL@", tags.tail).encode()


def _page(name: str) -> bytes:
    return (_PAGES / name).read_bytes()


@contextmanager
def _files_served(files: Mapping[str, bytes], folder: Path) -> Iterator[str]:
    """Serve files, compressed ahead of time, under the service's server; gives their origin."""
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(brotli.compress(content, mode=brotli.MODE_TEXT))
    settings = {"BENCHMARK_FILES": str(folder)}
    with other("benchmarks.apps:compressed_files", folder, settings, factory=True) as server:
        yield f"http://{HOST}:{server.port}"
