"""What is believed of an OpenID provider, and what is not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey

from consent_service.access import oidc
from consent_service.access.oidc import Asked, Client, Vouched
from consent_service.errors import ProviderNotBelieved, ProviderUnavailable
from tests.access.provider import CLIENT_ID, CLIENT_SECRET, Provider, reply, unsigned

DISCOVERY = "/.well-known/openid-configuration"
ASKED = Asked("a state", "a nonce", "v" * 43, "http://127.0.0.1/console/sign-in/provider/back")


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A provider that does everything right."""
    with Provider() as running:
        yield running


def client(provider: Provider) -> Client:
    return Client(provider.issuer, CLIENT_ID, CLIENT_SECRET, loopback=True)


def sign_in(provider: Provider, asked: Asked = ASKED) -> Vouched:
    """Go all the way to the provider and back."""
    us = client(provider)
    found = oidc.discover(us)
    back = provider.authorize(oidc.authorization_url(us, found, ASKED))
    assert back["state"] == ASKED.state
    return oidc.redeem(us, oidc.discover(us), back["code"], asked)


def test_a_provider_vouches_for_an_address_that_it_has_verified(provider: Provider) -> None:
    assert sign_in(provider) == Vouched("amina@example.com", "Amina Juma", second_factor=False)


@pytest.mark.parametrize(
    ("claims", "strong"),
    [
        ({"amr": ["pwd", "mfa"]}, True),
        ({"acr": "phr"}, True),
        ({"acr": "http://schemas.openid.net/pape/policies/2007/06/multi-factor"}, True),
        ({"amr": ["pwd"]}, False),
        ({"amr": ["pwd", "otp"]}, False),
        ({"acr": "0"}, False),
        ({}, False),
    ],
)
def test_a_second_factor_counts_only_if_the_provider_says_so(
    provider: Provider, claims: dict[str, Any], *, strong: bool
) -> None:
    provider.claims = claims
    assert sign_in(provider).second_factor is strong


def test_an_address_that_is_not_in_the_id_token_is_asked_for(provider: Provider) -> None:
    provider.claims = {"email": None, "email_verified": None, "name": None}
    assert sign_in(provider).email == "amina@example.com"
    assert provider.asked[-1] == "/userinfo"


def test_another_users_address_is_not_taken_for_it(provider: Provider) -> None:
    provider.claims = {"email": None}
    provider.instead["/userinfo"] = lambda call: reply(
        call, 200, {"sub": "other", "email": "juma@example.com", "email_verified": True}
    )
    with pytest.raises(ProviderNotBelieved):
        sign_in(provider)


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another client"},
        {"aud": [CLIENT_ID, "another client"]},
        # Even where it says that it was given to us.
        {"aud": "another client", "azp": CLIENT_ID},
        {"aud": None},
        {"azp": "another client"},
        {"iss": "https://other.example.com"},
        {"iss": None},
        {"sub": None},
        {"exp": 1},
        {"exp": timedelta(seconds=-61)},
        {"exp": None},
        {"iat": timedelta(hours=1)},
        {"nbf": timedelta(hours=1)},
        {"email_verified": False},
        {"email_verified": None},
        {"email": ["amina@example.com"]},
        {"amr": "mfa"},
    ],
    ids=str,
)
def test_an_id_token_that_is_not_right_is_not_believed(
    provider: Provider, claims: dict[str, Any]
) -> None:
    now = int(time.time())
    provider.claims = {
        name: now + int(value.total_seconds()) if isinstance(value, timedelta) else value
        for name, value in claims.items()
    }
    with pytest.raises(ProviderNotBelieved):
        sign_in(provider)


def test_an_id_token_that_nobody_or_somebody_else_signed_is_not_believed(
    provider: Provider,
) -> None:
    stranger = ECKey.generate_key("P-256", {"kid": "one"})
    shared = OctKey.import_key(CLIENT_SECRET.encode())
    forgers: list[Callable[[dict[str, Any]], str]] = [
        unsigned,
        lambda claims: provider.signed(claims, stranger),
        lambda claims: provider.signed(claims, shared, "HS256"),
        lambda claims: provider.signed(claims)[:-8] + "AAAAAAAA",
        lambda _: "no token",
        lambda _: "",
    ]
    for sign in forgers:
        provider.sign = sign
        with pytest.raises(ProviderNotBelieved):
            sign_in(provider)
    # Not even if the provider itself says that it is how it signs.
    provider.discovery = {"id_token_signing_alg_values_supported": ["ES256", "none", "HS256"]}
    for sign in (forgers[0], forgers[2]):
        provider.sign = sign
        with pytest.raises(ProviderNotBelieved):
            sign_in(provider)


def test_a_signature_of_a_kind_that_the_provider_does_not_list_is_not_believed(
    provider: Provider,
) -> None:
    provider.discovery = {"id_token_signing_alg_values_supported": ["RS256"]}
    with pytest.raises(ProviderNotBelieved):
        sign_in(provider)
    provider.discovery = {"id_token_signing_alg_values_supported": ["none", "HS256"]}
    with pytest.raises(ProviderNotBelieved, match="in no way that is safe"):
        oidc.discover(client(provider))


def test_a_code_counts_only_with_the_verifier_that_it_was_asked_for_with(
    provider: Provider,
) -> None:
    for other in (replace(ASKED, verifier="w" * 43), replace(ASKED, redirect_uri="http://other/")):
        with pytest.raises(ProviderNotBelieved):
            sign_in(provider, other)


def test_the_secret_can_go_in_the_body_where_the_provider_wants_it_there(
    provider: Provider,
) -> None:
    provider.discovery = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    assert sign_in(provider).email == "amina@example.com"


@pytest.mark.parametrize(
    "different",
    [
        {"issuer": "https://other.example.com"},
        {"token_endpoint": "http://10.0.0.1/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": None},
        {"authorization_endpoint": "javascript:alert(1)"},
    ],
    ids=str,
)
def test_a_discovery_document_that_is_not_right_is_refused(
    provider: Provider, different: dict[str, Any]
) -> None:
    provider.discovery = different
    with pytest.raises(ProviderNotBelieved):
        oidc.discover(client(provider))


def test_a_redirect_is_not_followed(provider: Provider) -> None:
    for path in (DISCOVERY, "/keys", "/token"):
        provider.instead = {
            path: lambda call: reply(call, 302, {}, Location=f"{provider.issuer}/secret")
        }
        with pytest.raises((ProviderUnavailable, ProviderNotBelieved)):
            sign_in(provider)
    assert "/secret" not in provider.asked


def endless(call: BaseHTTPRequestHandler) -> None:
    """Answer without an end."""
    call.send_response(200)
    call.end_headers()
    try:
        while True:
            call.wfile.write(b" " * 65536)
    except OSError:
        pass


def no_json(call: BaseHTTPRequestHandler) -> None:
    """Answer with a page."""
    call.send_response(200)
    call.end_headers()
    call.wfile.write(b"<!doctype html>")


@pytest.mark.parametrize("path", [DISCOVERY, "/keys", "/token"])
@pytest.mark.parametrize(
    "answer",
    [
        endless,
        no_json,
        lambda call: reply(call, 200, []),
        lambda call: reply(call, 500, {}),
        lambda call: call.connection.close(),
    ],
    ids=["endless", "no JSON", "a list", "500", "closed"],
)
def test_a_provider_that_does_not_answer_as_one_is_away(
    provider: Provider, path: str, answer: Callable[[BaseHTTPRequestHandler], None]
) -> None:
    provider.instead = {path: answer}
    with pytest.raises(ProviderUnavailable):
        sign_in(provider)


def test_an_answer_without_an_end_is_given_up_for_its_size(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oidc, "_LONGEST_SECONDS", 3600)
    sent = []

    def answer(call: BaseHTTPRequestHandler) -> None:
        call.send_response(200)
        call.end_headers()
        # More than ever waits in a connection, and an end, so that the test has one.
        for _ in range(1024):
            try:
                call.wfile.write(b" " * 65536)
            except OSError:
                return
            sent.append(65536)

    provider.instead = {DISCOVERY: answer}
    with pytest.raises(ProviderUnavailable):
        oidc.discover(client(provider))
    assert sum(sent) < 32 * 1024 * 1024


def test_an_answer_that_trickles_in_is_given_up(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oidc, "_LONGEST_SECONDS", 0.1)
    given_up = []

    def trickle(call: BaseHTTPRequestHandler) -> None:
        call.send_response(200)
        call.end_headers()
        try:
            for _ in range(200):
                call.wfile.write(b" ")
                time.sleep(0.02)
        except OSError:
            given_up.append(True)

    provider.instead = {DISCOVERY: trickle}
    began = time.monotonic()
    with pytest.raises(ProviderUnavailable):
        oidc.discover(client(provider))
    assert time.monotonic() - began < 2


def test_a_provider_that_is_gone_is_away() -> None:
    with Provider() as gone:
        us = client(gone)
    with pytest.raises(ProviderUnavailable):
        oidc.discover(us)


@pytest.mark.parametrize(
    ("address", "away", "here"),
    [
        ("https://login.example.com", True, True),
        ("https://login.example.com/realms/one", True, True),
        ("https://login.example.com:8443", True, True),
        ("http://127.0.0.1:8080", False, True),
        ("http://localhost/realm", False, True),
        ("http://login.example.com", False, False),
        ("http://127.0.0.1.example.com", False, False),
        ("https://user@login.example.com", False, False),
        ("https://login.example.com#x", False, False),
        ("https://login.example.com:port", False, False),
        ("https://[::1", False, False),
        ("https:///path", False, False),
        ("file:///etc/passwd", False, False),
        ("login.example.com", False, False),
        ("", False, False),
    ],
)
def test_a_provider_is_at_an_https_address(address: str, *, away: bool, here: bool) -> None:
    assert oidc.is_address(address, loopback=False) is away
    assert oidc.is_address(address, loopback=True) is here
