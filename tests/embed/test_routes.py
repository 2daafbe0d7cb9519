"""The one script that a site embeds, and the configuration by itself."""

from __future__ import annotations

import gzip
import hashlib
import json
from typing import TYPE_CHECKING, Any

import brotli
import pytest

from consent_service.embed.service import built, rest, site_independent_digest
from consent_service.regions.service import newest_rules
from tests.builders import COUNTRY_HEADER, SITE_KEY, Service

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

SCRIPT = f"/embed/{SITE_KEY}.js"
BANNER = f"/v1/sites/{SITE_KEY}/banner"
SHARED = f"/embed/widget-{site_independent_digest()}.js"
OPENING = "//# allFunctionsCalledOnLoad\n(()=>{try{const __CONFIG__="
OWN = f'script[src*="/embed/{SITE_KEY}"]'
CLOSING = (
    f",__SCRIPT__=document.currentScript??document.querySelector({json.dumps(OWN)}),"
    f'__MORE__="{next(iter(rest()))}";'
    f"{built('widget.js')}}}catch(error)"
    '{console.warn("consent-service: no banner, and nothing is allowed.",String(error))}})();'
)

#: All that could end a script or a string, or begin markup.
MARKUP = "</script><script>alert(1)</script><!-- \u2028\u2029 & \" ' \\ ]]> {controller}"


def embedded(response: TestResponse) -> Any:  # noqa: ANN401
    """Return the configuration that a script holds."""
    script = response.get_data(as_text=True)
    assert script.startswith(OPENING)
    assert script.endswith(CLOSING)
    configuration, end = json.JSONDecoder().raw_decode(script, len(OPENING))
    assert script[end:] == CLOSING
    return configuration


@pytest.mark.parametrize("query", ["", "?lang=sw", "?lang=en"])
def test_the_script_holds_the_configuration(untouched: Service, query: str) -> None:
    response = untouched.client.get(SCRIPT + query)
    assert response.status_code == 200
    assert response.mimetype == "text/javascript"
    assert embedded(response) == untouched.client.get(BANNER + query).get_json()


def test_markup_in_a_notice_stays_text(service: Service) -> None:
    purposes = json.loads(json.dumps(service.notice.content["purposes"]))
    purposes[0]["texts"]["en"]["name"] = MARKUP
    service.publish(purposes=purposes, texts={"en": {"title": MARKUP}}, controller={"name": MARKUP})
    response = service.client.get(SCRIPT)
    configuration = embedded(response)
    assert configuration["texts"]["title"] == MARKUP
    assert configuration["purposes"]["essential"][0]["name"] == MARKUP
    assert configuration["controller"]["name"] == MARKUP
    assert configuration == service.client.get(BANNER).get_json()
    literal = response.get_data(as_text=True).removesuffix(CLOSING)
    for dangerous in ("<", "\u2028", "\u2029"):
        assert dangerous not in literal
    assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("asked", "preferred", "language"),
    [
        (None, None, "en"),
        ("sw", None, "sw"),
        ("sw", "en", "sw"),
        (None, "sw", "sw"),
        (None, "sw-TZ,sw;q=0.9,en;q=0.5", "sw"),
        (None, "de,sw;q=0.4,en;q=0.2", "sw"),
        (None, "de", "en"),
        ("de", None, "en"),
        ("de", "sw", "sw"),
        ("", "sw", "sw"),
        ("<script>", None, "en"),
    ],
)
def test_the_language_is_the_one_asked_for_else_the_browsers_else_the_default(
    untouched: Service, asked: str | None, preferred: str | None, language: str
) -> None:
    headers = {"Accept-Language": preferred} if preferred else {}
    query = {"lang": asked} if asked is not None else {}
    for path in (SCRIPT, BANNER):
        response = untouched.client.get(path, query_string=query, headers=headers)
        shown = embedded(response) if path == SCRIPT else response.get_json()
        assert shown["language"] == language
        assert "Accept-Language" in response.headers["Vary"]


@pytest.mark.parametrize("path", [SCRIPT, SHARED])
@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip, deflate", "gzip"),
        ("br;q=0, gzip;q=0.5", "gzip"),
        ("gzip;q=0", None),
        ("identity", None),
        ("", None),
        (None, None),
    ],
)
def test_the_script_comes_as_small_as_the_browser_allows(
    untouched: Service, path: str, accepted: str | None, encoding: str | None
) -> None:
    plain = untouched.client.get(path).data
    headers = {} if accepted is None else {"Accept-Encoding": accepted}
    response = untouched.client.get(path, headers=headers)
    assert response.headers.get("Content-Encoding") == encoding
    unpack = {"br": brotli.decompress, "gzip": gzip.decompress, None: bytes}[encoding]
    assert unpack(response.data) == plain
    assert "Accept-Encoding" in response.headers["Vary"]


def test_a_browser_that_has_the_script_is_told_so(service: Service) -> None:
    response = service.client.get(SCRIPT)
    known = {"If-None-Match": response.headers["ETag"]}
    again = service.client.get(SCRIPT, headers=known)
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["Vary"] == response.headers["Vary"]
    service.publish(texts={"en": {"title": "New"}})
    assert service.client.get(SCRIPT, headers=known).status_code == 200


def test_no_shared_cache_keeps_what_depends_on_the_place(untouched: Service) -> None:
    assert untouched.client.get(SCRIPT).headers["Cache-Control"] == "private, max-age=300"
    assert untouched.client.get(BANNER).headers["Cache-Control"] == "private, no-cache"


def test_any_page_may_run_the_script(untouched: Service) -> None:
    headers = {"Origin": "https://elsewhere.example", "Referer": "https://elsewhere.example/"}
    response = untouched.client.get(SCRIPT, headers=headers)
    assert response.status_code == 200
    assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert "Set-Cookie" not in response.headers


def test_the_privacy_signal_and_the_place_are_in_the_configuration(worldwide: Service) -> None:
    headers = {COUNTRY_HEADER: "US", "Sec-GPC": "1"}
    for path in (SCRIPT, BANNER):
        response = worldwide.client.get(path, headers=headers)
        shown = embedded(response) if path == SCRIPT else response.get_json()
        assert shown["regime"] == "opt_out"
        assert shown["gpc"] == {
            "detected": True,
            "display": "required",
            "overridable": False,
            "note": shown["texts"]["gpc_honoured"],
        }
        assert "Sec-GPC" in response.headers["Vary"]


@pytest.mark.parametrize(("said", "detected"), [("1", True), ("0", False)])
def test_the_page_may_see_a_signal_that_the_browser_does_not_send(
    untouched: Service, said: str, *, detected: bool
) -> None:
    shown = untouched.client.get(f"{BANNER}?gpc={said}").get_json()
    assert shown["gpc"]["detected"] is detected
    sent = {"Sec-GPC": "1"}
    shown = untouched.client.get(f"{BANNER}?gpc={said}", headers=sent).get_json()
    assert shown["gpc"]["detected"] is True
    response = untouched.client.get(f"{BANNER}?gpc=yes")
    assert (response.status_code, list(response.get_json()["error"]["fields"])) == (422, ["gpc"])


# The script that is the same for every site


def test_the_shared_script_is_kept_for_ever_under_the_hash_of_its_bytes(
    untouched: Service,
) -> None:
    response = untouched.client.get(SHARED, headers={"Origin": "https://elsewhere.example"})
    assert response.status_code == 200
    assert response.mimetype == "text/javascript"
    digest = hashlib.sha256(response.data).hexdigest()
    assert f"/embed/widget-{digest[:16]}.js" == SHARED
    assert built("whole.js") in response.get_data(as_text=True)
    assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Vary"] == "Accept-Encoding"
    assert "Set-Cookie" not in response.headers
    known = {"If-None-Match": response.headers["ETag"]}
    assert untouched.client.get(SHARED, headers=known).status_code == 304


@pytest.mark.parametrize("digest", ["0" * 16, "", "x", "%00", site_independent_digest()[:-1]])
def test_nothing_is_under_another_hash(untouched: Service, digest: str) -> None:
    response = untouched.client.get(f"/embed/widget-{digest}.js")
    assert response.status_code == 404
    assert response.get_json()["error"]["code"] in {"not_found", "unknown_site"}
    assert response.headers["Cache-Control"] == "no-store"


# What an origin says of Global Privacy Control


def test_a_site_can_say_that_it_abides_by_the_signal_since_its_notice(service: Service) -> None:
    (row,) = service.rows("notices")
    response = service.client.get(
        f"/v1/sites/{SITE_KEY}/gpc.json", headers={"Origin": "https://elsewhere.example"}
    )
    assert response.status_code == 200
    assert response.mimetype == "application/json"
    assert response.get_json() == {"gpc": True, "lastUpdate": str(row["published_at"])[:10]}
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert response.headers["Cache-Control"] == "public, max-age=3600"


def test_this_host_says_so_itself(untouched: Service) -> None:
    response = untouched.client.get("/.well-known/gpc.json")
    assert response.get_json() == {"gpc": True, "lastUpdate": newest_rules()["*"].version}


@pytest.mark.parametrize(
    "path",
    ["/v1/sites/site_nobody/gpc.json", "/embed/site_nobody.js", "/v1/sites/site_nobody/banner"],
)
def test_a_site_that_nobody_has_is_not_found(untouched: Service, path: str) -> None:
    response = untouched.client.get(path)
    assert response.status_code == 404
    assert response.get_json()["error"]["code"] == "unknown_site"
    assert response.headers["Cache-Control"] == "no-store"
