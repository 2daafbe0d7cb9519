"""OpenID Connect 1.0, asking: what a provider is told, and what of its word is believed.

The address of a provider is stated by a tenant, so what is fetched from one is bounded: TLS alone,
no redirect is followed, and both the time and the size of an answer have an end.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import get_well_known_url
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from requests import RequestException

from consent_service.bounded import BoundedAdapter
from consent_service.errors import ProviderNotBelieved, ProviderUnavailable

#: Seconds for connecting, and for each wait after that.
_WAIT = (3, 5)
#: Seconds after which an answer that still trickles in is given up.
_LONGEST_SECONDS = 10
#: Larger than any discovery document, key set or token answer in use.
_MAX_BYTES = 256 * 1024

#: Clocks differ; an ID token is believed for so many seconds beyond its times.
_LEEWAY = 60

#: Signatures that are believed if the discovery document lists them. Never ``none``, and none
#: whose key the provider shares with others.
_ALGORITHMS = frozenset(
    f"{family}{size}" for family in ("RS", "PS", "ES") for size in (256, 384, 512)
) | {"EdDSA", "Ed25519"}

#: Values of ``acr`` that say that more than a password was asked for: OpenID's extended
#: authentication profile, and its older policy extension.
_STRONG_ACR = frozenset(
    {"phr", "phrh", "http://schemas.openid.net/pape/policies/2007/06/multi-factor"}
)


@dataclass(frozen=True)
class Client:
    """A provider, and what it knows this service as."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    #: Whether plain HTTP to this very machine will do: the demo and tests.
    loopback: bool = False


@dataclass(frozen=True)
class Asked:
    """What an authorization request is made with, and its answer must fit."""

    state: str
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    redirect_uri: str


@dataclass(frozen=True)
class Vouched:
    """Whom a provider vouches for."""

    email: str
    name: str
    #: Whether it asked for more than a password.
    second_factor: bool


def is_address(text: str, *, loopback: bool) -> bool:
    """Say whether a provider may be at this address: HTTPS, or HTTP on this machine."""
    found = re.fullmatch(r"(https?)://[^\s/?#@\\]+(?:/[^\s#\\]*)?", text)
    if found is None:
        return False
    try:
        host, _ = urlsplit(text).hostname, urlsplit(text).port
    except ValueError:
        return False
    return found[1] == "https" or (loopback and host in {"127.0.0.1", "localhost", "::1"})


def discover(client: Client) -> dict[str, Any]:
    """Return what the provider says of itself (OpenID Connect Discovery 1.0, section 4).

    :raises ProviderUnavailable: when it does not answer
    :raises ProviderNotBelieved: when the answer is not a provider's, or another one's
    """
    found = _fetch(client, get_well_known_url(client.issuer, external=True))
    if found.get("issuer") != client.issuer:
        raise ProviderNotBelieved("The provider's discovery document is that of another issuer.")
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        address = found.get(name)
        if not (isinstance(address, str) and is_address(address, loopback=client.loopback)):
            raise ProviderNotBelieved(f"The provider's discovery document has no usable {name}.")
    if not _algorithms(found):
        raise ProviderNotBelieved("The provider signs ID tokens in no way that is safe here.")
    return found


def authorization_url(client: Client, provider: Mapping[str, Any], asked: Asked) -> str:
    """Return where a browser goes to sign in, with PKCE (RFC 7636, S256)."""
    with _session(client, provider) as session:
        address, _ = session.create_authorization_url(
            provider["authorization_endpoint"],
            state=asked.state,
            nonce=asked.nonce,
            code_verifier=asked.verifier,
            redirect_uri=asked.redirect_uri,
        )
    return str(address)


def redeem(client: Client, provider: Mapping[str, Any], code: str, asked: Asked) -> Vouched:
    """Return whom the provider vouches for with this authorization code.

    :raises ProviderUnavailable: when the provider does not answer
    :raises ProviderNotBelieved: when the code or the ID token is not right, or the address that
        it states has not been verified
    """
    with _calls(), _session(client, provider) as session:
        tokens = session.fetch_token(
            provider["token_endpoint"],
            code=code,
            code_verifier=asked.verifier,
            redirect_uri=asked.redirect_uri,
            allow_redirects=False,
        )
    claims = _believed(client, provider, tokens, asked)
    said = claims if "email" in claims else _user_info(client, provider, tokens, claims["sub"])
    email, name = said.get("email"), said.get("name")
    if not isinstance(email, str) or said.get("email_verified") not in (True, "true"):
        raise ProviderNotBelieved("The provider has not verified your e-mail address.")
    amr = claims.get("amr") or []
    strong = "mfa" in amr or claims.get("acr") in _STRONG_ACR
    return Vouched(email, name if isinstance(name, str) else "", strong)


def _believed(
    client: Client, provider: Mapping[str, Any], tokens: Mapping[str, Any], asked: Asked
) -> Mapping[str, Any]:
    """Return the claims of the ID token (OpenID Connect Core 1.0, section 3.1.3.7)."""
    keys = _fetch(client, provider["jwks_uri"]).get("keys")
    try:
        key_set = KeySet.import_key_set({"keys": [key for key in keys or [] if _signs(key)]})
        token = jwt.decode(tokens["id_token"], key_set, algorithms=_algorithms(provider))
        claims = CodeIDToken(
            token.claims,
            token.header,
            {
                "iss": {"essential": True, "value": client.issuer},
                "aud": {"essential": True, "value": client.client_id},
                "sub": {"essential": True},
            },
            {
                "nonce": asked.nonce,
                "client_id": client.client_id,
                "access_token": tokens.get("access_token"),
            },
        )
        claims.validate(now=int(time.time()), leeway=_LEEWAY)
    except (JoseError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProviderNotBelieved from error
    return claims


def _user_info(
    client: Client, provider: Mapping[str, Any], tokens: Mapping[str, Any], subject: str
) -> Mapping[str, Any]:
    """Return what the provider says of the user apart from the ID token (section 5.3 there)."""
    address = provider.get("userinfo_endpoint")
    if not (isinstance(address, str) and is_address(address, loopback=client.loopback)):
        return {}
    bearer = {"Authorization": f"Bearer {tokens.get('access_token')}"}
    found = _fetch(client, address, bearer)
    if found.get("sub") != subject:
        raise ProviderNotBelieved
    return found


def _signs(key: Any) -> bool:  # noqa: ANN401 - JSON of others
    return (
        isinstance(key, dict) and key.get("kty") in {"RSA", "EC", "OKP"} and key.get("use") != "enc"
    )


def _algorithms(provider: Mapping[str, Any]) -> list[str]:
    listed = provider.get("id_token_signing_alg_values_supported", ["RS256"])
    names = listed if isinstance(listed, list) else []
    return [name for name in names if isinstance(name, str) and name in _ALGORITHMS]


def _fetch(
    client: Client, address: str, headers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    with _calls(), _session(client, {}) as session:
        answer = session.request(
            "GET", address, headers=headers, withhold_token=True, allow_redirects=False
        )
        if answer.status_code != 200:  # noqa: PLR2004 - redirects are no answer either
            raise ProviderUnavailable
        found = answer.json()
    if not isinstance(found, dict):
        raise ProviderUnavailable
    return found


@contextmanager
def _calls() -> Iterator[None]:
    """Turn whatever goes wrong between us and a provider into errors of ours."""
    try:
        yield
    except AuthlibBaseError as error:
        raise ProviderNotBelieved from error
    # What is no JSON is a ValueError.
    except (RequestException, OSError, ValueError) as error:
        raise ProviderUnavailable from error


def _session(client: Client, provider: Mapping[str, Any]) -> OAuth2Session:
    methods = provider.get("token_endpoint_auth_methods_supported")
    basic = not isinstance(methods, list) or "client_secret_basic" in methods
    session = OAuth2Session(
        client_id=client.client_id,
        client_secret=client.client_secret,
        token_endpoint_auth_method="client_secret_basic" if basic else "client_secret_post",
        scope="openid email profile",
        code_challenge_method="S256",
        default_timeout=_WAIT,
    )
    session.headers["Accept-Encoding"] = "identity"
    for scheme in ("http://", "https://"):
        session.mount(
            scheme, BoundedAdapter(most_bytes=_MAX_BYTES, longest_seconds=_LONGEST_SECONDS)
        )
    return session
