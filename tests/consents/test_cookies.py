"""The two cookies of a visitor: the token for the service, the choices for the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from consent_service import clock
from tests.builders import COUNTRY_HEADER, ORIGIN, Service

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

DAY = 86_400


def cookies_of(response: TestResponse) -> dict[str, tuple[str, dict[str, str]]]:
    """Return value and attributes of the cookies that a response sets, by name."""
    found = {}
    for header in response.headers.getlist("Set-Cookie"):
        cookie, *attributes = header.split("; ")
        name, _, value = cookie.partition("=")
        assert name not in found
        found[name] = value, dict(each.partition("=")[::2] for each in attributes)
    return found


def test_scripts_reach_the_choices_and_not_the_token(service: Service) -> None:
    response = service.choose()
    cookies = cookies_of(response)
    assert set(cookies) == {"cookie_consent_test", "cookie_consent_test_choices"}
    token, attributes = cookies["cookie_consent_test"]
    assert token == response.get_json()["token"]
    expires = attributes.pop("Expires")
    shared = {"Max-Age": str(180 * DAY), "Secure": "", "Path": "/", "SameSite": "Lax"}
    assert attributes == {**shared, "HttpOnly": ""}
    _, attributes = cookies["cookie_consent_test_choices"]
    assert attributes == {**shared, "Expires": expires}


def test_the_page_reads_the_choices_that_count(service: Service) -> None:
    response = service.choose({"preferences": True, "analytics": False})
    record = response.get_json()["record"]
    value, _ = cookies_of(response)["cookie_consent_test_choices"]
    expires = int(clock.from_rfc3339(record["expires_at"]).timestamp())
    assert value == f"1~1~{expires}~{record['id']}~0~preferences:1~analytics:0"


def test_cookies_live_as_long_as_the_choice(worldwide: Service) -> None:
    cookies = cookies_of(worldwide.choose(headers={COUNTRY_HEADER: "CH"}))
    assert {attributes["Max-Age"] for _, attributes in cookies.values()} == {str(365 * DAY)}


def test_subdomains_share_the_cookies_if_the_site_says_so(service: Service) -> None:
    service.add_site("site_shared", cookie_domain="example.com")
    response = service.choose(site_key="site_shared")
    cookies = cookies_of(response)
    assert set(cookies) == {"cookie_consent_shared", "cookie_consent_shared_choices"}
    assert {attributes["Domain"] for _, attributes in cookies.values()} == {"example.com"}


@pytest.mark.parametrize(("domain", "given"), [(None, {}), ("a.test", {"Domain": "a.test"})])
def test_erasure_takes_the_cookies_back(
    service: Service, domain: str | None, given: dict[str, str]
) -> None:
    # A browser gives up a cookie only if name, domain and path are those it was set with.
    service.add_site("site_brief", cookie_domain=domain)
    token = service.choose(site_key="site_brief").get_json()["token"]
    response = service.client.delete(
        "/v1/sites/site_brief/consents/me", headers={"Origin": ORIGIN, "X-Consent-Token": token}
    )
    cookies = cookies_of(response)
    assert set(cookies) == {"cookie_consent_brief", "cookie_consent_brief_choices"}
    for value, attributes in cookies.values():
        assert value == ""
        assert attributes.pop("Expires") == "Thu, 01 Jan 1970 00:00:00 GMT"
        assert attributes == {
            "Max-Age": "0",
            "Secure": "",
            "Path": "/",
            "SameSite": "Lax",
            **given,
        }
