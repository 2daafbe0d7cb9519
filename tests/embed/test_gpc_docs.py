"""docs/gpc.md shows what the service answers, and how a site's own server leads there."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from tests import servers
from tests.faults.processes import HTTP

PAGE = (Path(__file__).parent.parent.parent / "docs/gpc.md").read_text("utf-8")


def documented(language: str) -> str:
    """Return the page's one example in a language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def test_the_file_is_as_the_page_shows_it(demo_url: str) -> None:
    command, _, output = documented("console").partition("\n")
    path = re.search(r"127\.0\.0\.1:8000(/[^\"]+)", command)
    assert path
    shown, answered = (
        re.sub(r"\d{4}-\d\d-\d\d", "…", text)
        for text in (output, HTTP.get(demo_url + path[1]).text)
    )
    assert answered == shown


@pytest.mark.parametrize("kind", ["caddyfile", "nginx"] if servers.find_nginx() else ["caddyfile"])
def test_the_sites_own_address_leads_there(demo_url: str, tmp_path: Path, kind: str) -> None:
    address = f"127.0.0.1:{servers.free_port()}"
    example = documented(kind).replace("https://consent.example.com", demo_url)
    example = example.replace("SITE_KEY", "site_demo")
    run, site = (
        (servers.nginx, f"server {{ listen {address};\n{example} }}")
        if kind == "nginx"
        else (servers.caddy, f"http://{address} {{\n{example}\n}}")
    )
    with run(tmp_path, site, f"http://{address}"):
        response = httpx.get(f"http://{address}/.well-known/gpc.json", follow_redirects=True)
    assert response.json()["gpc"] is True
    assert str(response.url).startswith(demo_url)
