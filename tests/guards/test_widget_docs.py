"""The page about the widget names all that a page can use of it, and nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/widget.md").read_text("utf-8")
TYPES = (ROOT / "widget/consent-service.d.ts").read_text("utf-8")
STYLES = "".join(file.read_text("utf-8") for file in ROOT.glob("widget/src/**/*.css"))
CODE = STYLES + "".join(file.read_text("utf-8") for file in ROOT.glob("widget/src/**/*.ts"))
#: What the script that is the same for every site does first.
FETCHING = (ROOT / "consent_service/embed/service.py").read_text("utf-8")


def table(*heads: str) -> list[list[str]]:
    """Return the rows of the table whose first columns have these heads."""
    head = re.escape(f"| {' | '.join(heads)} |")
    (body,) = re.findall(rf"^{head}.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    return [row.strip("| ").split(" | ") for row in body.splitlines()]


def quoted(cell: str) -> list[str]:
    """Return what stands in a cell as code."""
    return re.findall("`([^`]+)`", cell)


def interface(name: str) -> str:
    """Return what stands in an interface, without comments."""
    (body,) = re.findall(rf"^export interface {name} {{\n(.*?)^}}", TYPES, re.MULTILINE | re.DOTALL)
    return re.sub(r"/\*\*.*?\*/", "", body, flags=re.DOTALL)


def attribute(data_name: str) -> str:
    """Return how a page writes what scripts read as ``dataset.dataName``."""
    return "data-" + re.sub("[A-Z]", lambda letter: f"-{letter[0].lower()}", data_name)


def test_every_member_is_explained_and_no_other() -> None:
    members = re.findall(r"^  (?:readonly )?(\w+)[:(<]", interface("ConsentService"), re.MULTILINE)
    explained = [quoted(row[0])[0].split("(")[0] for row in table("member")]
    assert sorted(explained) == sorted(members)


def test_every_event_is_explained_with_what_it_carries() -> None:
    events = {
        name: set(re.findall(r"(\w+):", detail))
        for name, detail in re.findall(
            r"^  (\w+): (.*);$", interface("ConsentServiceEvents"), re.MULTILINE
        )
    }
    explained = {
        quoted(row[0])[0]: set(re.findall(r"\w+", quoted(row[1])[0])) for row in table("event")
    }
    assert explained == events


def test_every_attribute_of_the_tag_is_explained_and_no_other() -> None:
    known = re.findall(r'"(\w+)" in tag\.dataset', CODE)
    (fetching,) = re.findall(r"dataset:{(.*?)}", FETCHING)
    known += re.findall(r"(\w+)(?:=|,|$)", fetching)
    explained = [quoted(row[0])[0] for row in table("attribute", "does")]
    assert sorted(explained) == sorted(map(attribute, known))


def test_every_attribute_is_somewhere_on_the_page_and_no_other() -> None:
    known = {attribute(name) for name in re.findall(r'dataset\["(\w+)"\]', CODE)}
    known |= {attribute(name) for name in re.findall(r'"(\w+)" in tag\.dataset', CODE)}
    known |= set(re.findall(r'(?<=[\["])data-[\w-]+', CODE))
    (addresses,) = re.findall(r"const ADDRESSES = \[(.*?)\]", CODE, re.DOTALL)
    known |= {attribute(name) for name in re.findall(r'"(\w+)"', addresses)}
    known |= {"data-site", "data-lang"}
    assert set(re.findall(r"\bdata-[a-z-]+[a-z]", PAGE)) == known


def test_every_custom_property_is_explained_with_what_counts_without_it() -> None:
    used = dict(re.findall(r"var\((--csvc-[\w-]+), ([^)]+)\)", STYLES))
    assert used.keys() == set(re.findall(r"--csvc-[\w-]+", CODE))
    assert {quoted(row[0])[0]: quoted(row[2])[0] for row in table("property")} == used


def test_the_sizes_are_those_that_the_build_holds() -> None:
    budget = json.loads((ROOT / "widget/package.json").read_text("utf-8"))["sizeBudget"]
    assert [int(row[1].replace(",", "")) for row in table("built file")] == list(budget.values())
