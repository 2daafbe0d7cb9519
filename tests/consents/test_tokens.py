"""What the visitor holds."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_service.consents import tokens
from consent_service.consents.tokens import Claims
from consent_service.signing import CompactSigner

SITE = "site_demo"
signer = CompactSigner([b"k" * 32])

keys = st.from_regex(r"[a-z][a-z0-9_]{0,39}", fullmatch=True)
numbers = st.integers(min_value=0, max_value=2**53)
all_claims = st.builds(
    Claims,
    site_key=st.just(SITE),
    visitor_id=st.from_regex(r"vis_[A-Za-z0-9_-]{22}", fullmatch=True),
    record_id=st.uuids().map(str),
    sequence=numbers,
    notice_version=numbers,
    issued_at=numbers,
    expires_at=numbers,
    gpc=st.booleans(),
    choices=st.dictionaries(keys, st.sampled_from(["1", "0", "w"]), max_size=12),
)


@given(all_claims)
def test_a_token_says_what_was_written(claims: Claims) -> None:
    read = tokens.read_token(tokens.write_token(claims, signer), SITE, signer)
    assert read == claims
    assert list(read.choices) == list(claims.choices)


@given(all_claims)
def test_a_cookie_needs_no_quoting_for_either_string(claims: Claims) -> None:
    for value in (tokens.write_token(claims, signer), tokens.readable_choices(claims)):
        assert re.fullmatch(r"[!#-+\--:<-\[\]-~]+", value)


@given(all_claims, st.data())
def test_a_token_that_was_changed_anywhere_is_none(claims: Claims, data: st.DataObject) -> None:
    token = tokens.write_token(claims, signer)
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(codec="latin-1").filter(lambda c: c != token[place]))
    assert tokens.read_token(token[:place] + other + token[place + 1 :], SITE, signer) is None


@given(st.text())
def test_whatever_comes_that_we_did_not_sign_is_none(text: str) -> None:
    assert tokens.read_token(text, SITE, signer) is None


def test_a_token_of_another_site_is_none() -> None:
    claims = Claims("site_other", "vis_x", "id", 1, 1, 0, 9, gpc=False, choices={})
    assert tokens.read_token(tokens.write_token(claims, signer), SITE, signer) is None


@pytest.mark.parametrize("payload", ["", "2~site_demo", "0~site_demo~vis_x~id~1~1~0~9~0"])
def test_of_what_we_signed_only_this_version_is_a_token(payload: str) -> None:
    assert tokens.read_token(signer.sign(payload).decode(), SITE, signer) is None
