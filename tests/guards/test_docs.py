"""The documentation says what the code does: settings, commands, languages, and links that lead on.

``python -m tests.guards.test_docs`` writes the generated pages anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from consent_service.access.permissions import PERMISSIONS, ROLES
from consent_service.cli import main
from consent_service.config import Settings, variable
from consent_service.reports.rates import DEFINITIONS
from tests.notices.test_texts import FILES, LABELS

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"

SETTINGS = """\
# Settings

The service reads its settings from the environment when it starts, and reports every problem at
once; a `CONSENT_` variable that is not in this table is one of them. An empty variable counts as
not set.

| variable | default | meaning |
|---|---|---|
"""

COMMANDS = """\
# Commands

All commands read the [settings](settings.md). They exit with 0 when they did what they say, and
with 2 and a message that says what to mend when they did not.
"""

#: What follows this line is a table of the code's.
WRITTEN = "<!-- written by tests/guards/test_docs.py -->"

LANGUAGES = """\
# Languages

The default texts, in {count} languages. A [notice](notices.md) gets those of each language that it
lists, and what it writes itself replaces them, one by one. What every text is for, and how to add
or mend a language: [default texts](../consent_service/notices/texts/README.md).

**Read by somebody who grew up with the language: {read} of {count}.** Have the texts read before
you rely on them.

| tag | name | direction | read by |
|---|---|---|---|
"""


def settings_page() -> str:
    """Return docs/settings.md as the code has it."""
    return SETTINGS + "".join(
        f"| `{variable(row.name)}` | {row.metadata['shown']} | {row.metadata['help']} |\n"
        for row in fields(Settings)
    )


def commands_page() -> str:
    """Return docs/cli.md as the code has it."""
    pages = [f"\n## `{path}`\n\n```text\n{text}\n```\n" for path, text in helps()]
    return COMMANDS + "".join(pages)


def helps(command: click.Command = main, *path: str) -> Iterator[tuple[str, str]]:
    """Give the help text of a command and of all below it."""
    shown = CliRunner().invoke(main, [*path, "--help"], prog_name="consent-service")
    yield " ".join(["consent-service", *path]), shown.output.rstrip()
    if isinstance(command, click.Group):
        for name, inner in sorted(command.commands.items()):
            yield from helps(inner, *path, name)


def languages_page() -> str:
    """Return docs/languages.md as the texts have it."""
    read = sum(file["read_by"] is not None for file in FILES.values())
    rows = [
        f"| [`{tag}`](#{tag.lower()}) | {file['name']} | {file['direction']} |"
        f" {file['read_by'] or 'nobody yet'} |\n"
        for tag, file in sorted(FILES.items())
    ]
    texts = [
        f"\n## {tag}\n\n**{file['texts']['title']}**\n\n{file['texts']['body']}\n\n"
        + " · ".join(f"`{file['texts'][label]}`" for label in LABELS)
        + "\n"
        for tag, file in sorted(FILES.items())
    ]
    return LANGUAGES.format(count=len(FILES), read=read) + "".join(rows + texts)


def users_page() -> str:
    """Return docs/users.md with the table of permissions as the code has it."""
    page = (DOCS / "users.md").read_text("utf-8")
    head = f"| permission | {' | '.join(ROLES)} | opens |\n|---|{'---|' * len(ROLES)}---|\n"
    rows = [
        f"| `{permission}` | {' | '.join('yes' if role in roles else '' for role in ROLES)} |"
        f" {text} |\n"
        for permission, (roles, text) in PERMISSIONS.items()
    ]
    return re.sub(rf"(?<={WRITTEN}\n\n)(?:\|.*\n)*", head + "".join(rows), page)


def reports_page() -> str:
    """Return docs/reports.md with the table of rates as the code has it."""
    page = (DOCS / "reports.md").read_text("utf-8")
    rows = "".join(
        f"| `{rate.name}`{' of each purpose' if rate.per_purpose else ''} | {rate.share_of} |"
        f" {rate.text} | `{' / '.join(rate.measures('KEY' if rate.per_purpose else None))}` |\n"
        for rate in DEFINITIONS
    )
    return re.sub(
        rf"(?<={WRITTEN}\n\n)(\| rate \|.*\n.*\n)(?:\|.*\n)*", lambda head: head[1] + rows, page
    )


PAGES = {
    "settings.md": settings_page,
    "cli.md": commands_page,
    "languages.md": languages_page,
    "users.md": users_page,
    "reports.md": reports_page,
}


@pytest.mark.parametrize("name", PAGES)
def test_the_page_says_what_the_code_says(name: str) -> None:
    again = f"write it anew: python -m {test_the_page_says_what_the_code_says.__module__}"
    assert (DOCS / name).read_text("utf-8") == PAGES[name](), again


def test_every_setting_and_command_is_explained() -> None:
    for row in fields(Settings):
        assert row.metadata["help"].endswith("."), row.name
        assert "|" not in row.metadata["help"], row.name
    for path, text in helps():
        assert "\n\n  " in text, path


def written() -> list[Path]:
    """Return all pages for people."""
    return [*ROOT.glob("*.md"), *DOCS.glob("**/*.md"), *ROOT.glob("consent_service/**/*.md")]


def anchors(page: Path) -> set[str]:
    """Return what links may name on a page: its headings, as GitHub and GitLab write them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CHANGELOG.md", DOCS / "notices.md"])
def test_there_are_as_many_languages_as_a_page_says(page: Path) -> None:
    numbers = re.findall(r"(\d+) languages", page.read_text("utf-8"))
    assert numbers == [str(len(FILES))]


@pytest.mark.parametrize("page", written(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", page.read_text("utf-8")):
        if not re.match("[a-z]+:", target):
            led_to = page.parent / target if target else page
            assert led_to.exists(), target
            assert not anchor or anchor in anchors(led_to), f"{target}#{anchor}"


def test_examples_on_a_page_are_the_files_they_name() -> None:
    quoted = {
        (page.parent / target).resolve(): text
        for page in written()
        for target, text in re.findall(
            r"\]\(((?!\w+:)\S+)\):\n\n```\w+\n(.*?)```$",
            page.read_text("utf-8"),
            re.DOTALL | re.MULTILINE,
        )
    }
    assert quoted == {file: file.read_text("utf-8") for file in quoted}
    shown = {file for file in ROOT.glob("widget/examples/*/*") if file.stem != "server"}
    assert shown <= quoted.keys()


def test_the_npm_package_says_what_its_examples_do() -> None:
    examples = "".join(file.read_text("utf-8") for file in ROOT.glob("widget/examples/*/*"))
    page = (ROOT / "widget/README.md").read_text("utf-8")
    for block in re.findall(r"```\w+\n(.*?)```", page, re.DOTALL):
        for line in block.splitlines():
            assert line in examples


def test_pages_that_the_code_names_are_there() -> None:
    for module in (ROOT / "consent_service").rglob("*.py"):
        for target in re.findall(r"docs/[\w-]+\.md", module.read_text("utf-8")):
            assert (ROOT / target).exists(), f"{module.name} names {target}"


if __name__ == "__main__":
    for page_name, page_of in PAGES.items():
        (DOCS / page_name).write_text(page_of(), "utf-8")
