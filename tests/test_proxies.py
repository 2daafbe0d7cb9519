"""Who is believed about the visitor's address, scheme, host and country."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import run_wsgi_app

from consent_service.proxies import TrustedProxies

TRUSTED = (ip_network("127.0.0.1/32"), ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))
VISITOR = "203.0.113.7"
FORWARDING = ("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST")


def after(peer: str, country_header: str = "X-Country", **headers: str) -> dict[str, Any]:
    """Return the environment as the service sees it."""
    seen: dict[str, Any] = {}

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:  # noqa: ANN401
        seen.update(environ)
        start_response("204 No Content", [])
        return []

    environ = {"REMOTE_ADDR": peer, "wsgi.url_scheme": "http", "HTTP_HOST": "inside:8000"}
    run_wsgi_app(TrustedProxies(app, TRUSTED, country_header), environ | headers)
    return seen


@pytest.mark.parametrize(
    ("peer", "forwarded", "visitor"),
    [
        ("127.0.0.1", VISITOR, VISITOR),
        ("127.0.0.1", f"198.51.100.1, {VISITOR}", VISITOR),
        ("127.0.0.1", f"{VISITOR}, 10.1.2.3", VISITOR),
        ("127.0.0.1", f"198.51.100.1,{VISITOR} ,10.1.2.3, 10.9.9.9", VISITOR),
        ("::ffff:127.0.0.1", VISITOR, VISITOR),
        ("2001:db8::1", f"{VISITOR}, ::ffff:10.0.0.1", VISITOR),
        # What stands left of an address that no proxy of ours wrote is anybody's word.
        ("127.0.0.1", "10.1.2.3, 198.51.100.1", "198.51.100.1"),
        ("127.0.0.1", f"{VISITOR}, unknown", "unknown"),
        ("127.0.0.1", "10.1.2.3", "10.1.2.3"),
        ("127.0.0.1", "", "127.0.0.1"),
        # Nobody else is asked.
        ("198.51.100.1", VISITOR, "198.51.100.1"),
        ("::ffff:198.51.100.1", VISITOR, "::ffff:198.51.100.1"),
        ("11.0.0.1", VISITOR, "11.0.0.1"),
        ("", VISITOR, ""),
        ("unix", VISITOR, "unix"),
    ],
)
def test_the_visitor_is_the_last_address_that_is_not_a_proxy_of_ours(
    peer: str, forwarded: str, visitor: str
) -> None:
    seen = after(peer, HTTP_X_FORWARDED_FOR=forwarded)
    assert seen["REMOTE_ADDR"] == visitor


@given(st.lists(st.ip_addresses().map(str), max_size=4))
def test_whatever_visitors_write_in_front_changes_nothing(forged: list[str]) -> None:
    forwarded = ", ".join([*forged, VISITOR, "10.1.2.3"])
    assert after("127.0.0.1", HTTP_X_FORWARDED_FOR=forwarded)["REMOTE_ADDR"] == VISITOR


def test_scheme_host_and_country_are_taken_from_our_proxies() -> None:
    seen = after(
        "10.0.0.1",
        HTTP_X_FORWARDED_PROTO="https",
        HTTP_X_FORWARDED_HOST="consent.example.com",
        HTTP_X_COUNTRY="TZ",
    )
    assert seen["wsgi.url_scheme"] == "https"
    assert seen["HTTP_HOST"] == "consent.example.com"
    assert seen["consent.country"] == "TZ"


def test_scheme_host_and_country_of_others_are_dropped() -> None:
    seen = after(
        "198.51.100.1",
        HTTP_X_FORWARDED_FOR=VISITOR,
        HTTP_X_FORWARDED_PROTO="https",
        HTTP_X_FORWARDED_HOST="evil.example",
        HTTP_X_COUNTRY="CH",
    )
    assert seen["wsgi.url_scheme"] == "http"
    assert seen["HTTP_HOST"] == "inside:8000"
    assert "consent.country" not in seen
    assert not {*FORWARDING, "HTTP_X_COUNTRY"} & set(seen)


def test_only_a_scheme_is_taken_for_one() -> None:
    assert after("10.0.0.1", HTTP_X_FORWARDED_PROTO="gopher")["wsgi.url_scheme"] == "http"


def test_without_a_header_that_states_it_no_country_is_taken() -> None:
    seen = after("10.0.0.1", country_header="", HTTP_X_COUNTRY="CH")
    assert "consent.country" not in seen
