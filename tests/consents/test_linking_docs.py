"""docs/linking.md: its examples sign what the service accepts."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.builders import SITE_KEY, Service

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs/linking.md").read_text("utf-8")


def example(language: str) -> str:
    """Return the page's only example in a language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


@pytest.fixture
def environ(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the site's operator sets."""
    for name, value in (
        ("CONSENT_LINK_SECRET", service.link_key.secret),
        ("CONSENT_LINK_KID", str(service.link_key.number)),
        ("CONSENT_SITE", SITE_KEY),
    ):
        assert value
        monkeypatch.setenv(name, value)


def assert_links(service: Service, user_token: str) -> None:
    """Check that the token signs in the user of the examples."""
    device = service.choose().get_json()
    assert service.link("jane", token=device["token"]).status_code == 200
    answer = service.link(user_token=user_token)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    assert answer.get_json()["record"] == device["record"]


@pytest.mark.usefixtures("environ")
def test_the_example_in_python_signs_in(service: Service) -> None:
    names: dict[str, Any] = {}
    exec(example("python"), names)  # noqa: S102 - it is our own page
    assert_links(service, names["consent_user_token"]("jane"))


@pytest.mark.usefixtures("environ")
def test_the_example_in_javascript_signs_in(service: Service, tmp_path: Path) -> None:
    script = (
        example("js")
        + """
        import { writeFileSync } from "node:fs";
        writeFileSync("user_token", consentUserToken("jane"));
    """
    )
    (tmp_path / "sign.mjs").write_text(script)
    # npm brings the node that the project builds with.
    npm = str(ROOT / "tools/npm.sh")
    subprocess.run([npm, "exec", "--offline", "-c", "node sign.mjs"], check=True, cwd=tmp_path)
    assert_links(service, (tmp_path / "user_token").read_text())


def test_the_errors_named_are_those_that_are_given(service: Service) -> None:
    response = service.link(user_token="x")
    assert f"| {response.status_code} | `{response.get_json()['error']['code']}`" in PAGE


def test_the_answer_is_explained_member_by_member(service: Service) -> None:
    for member in service.link().get_json():
        assert f"\n| `{member}` | " in PAGE
