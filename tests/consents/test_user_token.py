"""The token that says who is signed in: each check, by the words the site's developer reads."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_service.consents import user_token
from consent_service.consents.user_token import LEEWAY, LONGEST_LIFE
from consent_service.errors import InvalidUserToken

NOW = 1_800_000_000
SECRET = "link_" + "k" * 43
SITE = "site_test"
HEADER = {"alg": "HS256", "typ": "consent-link+jwt", "kid": "1"}
CLAIMS = {"aud": SITE, "sub": "user-1", "iat": NOW, "exp": NOW + 300}


def part(value: Any) -> str:  # noqa: ANN401
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def make(header: Any = HEADER, claims: Any = CLAIMS, secret: str = SECRET) -> str:  # noqa: ANN401
    """Sign by hand, whatever it is: libraries refuse to make most of what is refused here."""
    content = f"{part(header)}.{part(claims)}"
    return f"{content}.{part(hmac.digest(secret.encode(), content.encode(), hashlib.sha256))}"


def read(token: str) -> str:
    assert user_token.named_key(token) == "1"
    return user_token.subject(token, secret=SECRET, site_key=SITE, now=NOW)


def refusal(token: str) -> str:
    """Return what the developer is told."""
    with pytest.raises(InvalidUserToken) as caught:
        read(token)
    assert SECRET not in json.dumps(caught.value.body())
    (reason,) = caught.value.body()["error"]["fields"]["user_token"]
    return str(reason)


def changed(**changes: Any) -> dict[str, Any]:  # noqa: ANN401
    return {**CLAIMS, **changes}


def without(claim: str) -> dict[str, Any]:
    return {name: value for name, value in CLAIMS.items() if name != claim}


@pytest.mark.parametrize(
    "claims",
    [
        CLAIMS,
        changed(sub="x"),
        changed(sub="\N{GRINNING FACE}" * 255),
        changed(aud=[SITE]),
        changed(aud=["https://another.example", SITE]),
        changed(iat=NOW + LEEWAY),
        changed(iat=NOW - LONGEST_LIFE, exp=NOW),
        changed(iat=NOW - 200, exp=NOW - LEEWAY + 1),
        changed(iat=NOW + 0.5, exp=NOW + 60.5),
        changed(nbf=NOW, iss="https://example.com", jti="1", name="ignored"),
    ],
)
def test_what_is_made_as_the_page_says_is_accepted(claims: dict[str, Any]) -> None:
    assert read(make(claims=claims)) == claims["sub"]


def test_members_of_the_header_that_are_not_known_are_ignored() -> None:
    assert read(make({**HEADER, "x-trace": "1"})) == "user-1"


@pytest.mark.parametrize(
    ("claims", "told"),
    [
        *[(without(claim), f"It must say {claim}.") for claim in CLAIMS],
        (changed(aud="site_other"), "aud must be the site's key."),
        (changed(aud=["site_other"]), "aud must be the site's key."),
        (changed(aud=7), "aud must be the site's key."),
        (changed(sub=""), "sub must be the user's id: text of 1 to 255 characters."),
        (changed(sub="x" * 256), "sub must be the user's id: text of 1 to 255 characters."),
        (changed(sub=7), "sub must be the user's id: text of 1 to 255 characters."),
        (changed(sub="\ud800"), "sub must be the user's id: text of 1 to 255 characters."),
        (changed(iat="now"), "iat must be seconds since 1970, and not in the future."),
        (changed(iat=NOW + LEEWAY + 1), "iat must be seconds since 1970, and not in the future."),
        (changed(exp=True), "exp must be seconds since 1970, at most 3600 after iat."),
        (
            changed(exp=NOW + LONGEST_LIFE + 1),
            "exp must be seconds since 1970, at most 3600 after iat.",
        ),
        (changed(exp=10**400), "exp must be seconds since 1970, at most 3600 after iat."),
        (changed(exp=10**400, iat=0.5), "exp must be seconds since 1970, at most 3600 after iat."),
        (changed(iat=NOW - 300, exp=NOW - LEEWAY), "It has expired. Make a new one for each page."),
        (changed(nbf=NOW + 300), "nbf must be seconds since 1970, and not in the future."),
        (changed(iss=7), "iss is not as RFC 7519 has it."),
        ([CLAIMS], "Its payload must be a JSON object."),
        (b"\xff", "Its payload must be JSON."),
        (b"", "Its payload must be JSON."),
        (b"[" * 2000, "Its payload must be JSON."),
    ],
)
def test_a_claim_that_is_not_right_is_named(claims: Any, told: str) -> None:  # noqa: ANN401
    assert refusal(make(claims=claims)) == told


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ({**HEADER, "alg": "none"}, "Its header must say alg: HS256."),
        ({**HEADER, "alg": "HS512"}, "Its header must say alg: HS256."),
        ({**HEADER, "alg": "RS256"}, "Its header must say alg: HS256."),
        ({**HEADER, "alg": ["HS256"]}, "Its header must say alg: HS256."),
        ({**HEADER, "typ": "JWT"}, "Its header must say typ: consent-link+jwt."),
        ({"alg": "HS256", "kid": "1"}, "Its header must say typ: consent-link+jwt."),
        ({**HEADER, "kid": 1}, "Its header must say kid: the id of the link key, as text."),
        (
            {"alg": "HS256", "typ": "consent-link+jwt"},
            "Its header must say kid: the id of the link key, as text.",
        ),
        ({"typ": "consent-link+jwt"}, "It must be a JWT: a JWS in compact form."),
        (["alg"], "It must be a JWT: a JWS in compact form."),
        ("alg", "It must be a JWT: a JWS in compact form."),
        (7, "It must be a JWT: a JWS in compact form."),
        (b"{", "It must be a JWT: a JWS in compact form."),
    ],
)
def test_a_header_that_is_not_right_is_explained(header: Any, told: str) -> None:  # noqa: ANN401
    assert refusal(make(header)) == told


def test_what_must_be_understood_and_is_not_is_refused() -> None:
    token = make({**HEADER, "crit": ["x-trace"], "x-trace": "1"})
    assert refusal(token) == "It is not signed with the link key that kid names."


def test_only_the_key_itself_makes_the_signature() -> None:
    content, _, signature = make().rpartition(".")
    elsewhere = make(claims=changed(sub="user-2")).rpartition(".")[2]
    for token in (
        make(secret="link_" + "o" * 43),
        f"{content}.",
        f"{content}.{elsewhere}",
        f"{content}.{signature[:-2]}",
        f"{content}.!",
        f"{part(HEADER)}.{part(changed(sub='user-2'))}.{signature}",
    ):
        assert refusal(token) == "It is not signed with the link key that kid names."


def test_five_parts_are_no_token_of_ours() -> None:
    assert refusal(make() + ".a.b") == "It must be a JWT: a JWS in compact form."


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(text=st.text())
def test_any_other_text_is_refused(text: str) -> None:
    refusal(text)


@given(
    header=anything | st.fixed_dictionaries(dict.fromkeys(HEADER, anything)),
    claims=anything | st.fixed_dictionaries(dict.fromkeys(CLAIMS, anything)),
)
def test_anything_else_that_is_signed_is_refused(header: Any, claims: Any) -> None:  # noqa: ANN401
    refusal(make(header))
    refusal(make(claims=claims))
