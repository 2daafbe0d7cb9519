"""What is kept of a user agent."""

# ruff: noqa: E501 - user agents are long

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_service.agent import browser_family, device_class, is_bot

WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("agent", "device", "family"),
    [
        (f"Mozilla/5.0 (Windows NT 10.0) {WEBKIT} Chrome/131.0.0.0 Safari/537.36", "desktop", "chrome"),
        (f"Mozilla/5.0 (X11; CrOS x86_64) {WEBKIT} Chrome/131.0.0.0 Safari/537.36", "desktop", "chrome"),
        (f"Mozilla/5.0 (Linux; Android 14; K) {WEBKIT} Chrome/131.0.0.0 Mobile Safari/537.36", "phone", "chrome"),
        (f"Mozilla/5.0 (Linux; Android 14; K) {WEBKIT} Chrome/131.0.0.0 Safari/537.36", "tablet", "chrome"),
        (f"Mozilla/5.0 (Linux; Android 13; SM-A146P) {WEBKIT} SamsungBrowser/26.0 Chrome/122.0.0.0 Mobile Safari/537.36", "phone", "samsung"),
        (f"Mozilla/5.0 (Windows NT 10.0) {WEBKIT} Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0", "desktop", "edge"),
        (f"Mozilla/5.0 (Windows NT 10.0) {WEBKIT} Chrome/130.0.0.0 Safari/537.36 OPR/115.0.0.0", "desktop", "opera"),
        ("Opera/9.80 (Android; Opera Mini/69.0.2254/191.303; U; en) Presto/2.12.423 Version/12.16", "phone", "opera"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:132.0) Gecko/20100101 Firefox/132.0", "desktop", "firefox"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1", "phone", "safari"),
        ("Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 Mobile/15E148 Safari/604.1", "tablet", "safari"),
        ("curl/8.5.0", "other", "other"),
        ("", "other", "other"),
    ],
)  # fmt: skip
def test_kind_and_family_are_told(agent: str, device: str, family: str) -> None:
    assert (device_class(agent), browser_family(agent)) == (device, family)


@given(st.text())
def test_whatever_comes_only_a_few_words_are_kept(agent: str) -> None:
    assert device_class(agent) in {"phone", "tablet", "desktop", "other"}
    assert browser_family(agent) in {
        "chrome",
        "edge",
        "firefox",
        "opera",
        "other",
        "safari",
        "samsung",
        "uc",
    }


@pytest.mark.parametrize(
    "agent",
    [
        "",
        " ",
        "curl/8.5.0",
        "python-requests/2.32.3",
        "Go-http-client/2.0",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Mozilla/5.0 (compatible; GPTBot/1.2; +https://openai.com/gptbot)",
        f"Mozilla/5.0 (X11; Linux x86_64) {WEBKIT} HeadlessChrome/131.0.0.0 Safari/537.36",
        f"Mozilla/5.0 (Linux; Android 11; moto g power) {WEBKIT} Chrome/119.0.0.0 Mobile Safari/537.36 Chrome-Lighthouse",
    ],
)
def test_programs_are_told_from_people(agent: str) -> None:
    assert is_bot(agent)


@pytest.mark.parametrize(
    "agent",
    [
        f"Mozilla/5.0 (Windows NT 10.0) {WEBKIT} Chrome/131.0.0.0 Safari/537.36",
        f"Mozilla/5.0 (Linux; Android 10; CUBOT_X30) {WEBKIT} Chrome/120.0.0.0 Mobile Safari/537.36",
        f"Mozilla/5.0 (Linux; Android 12; itel A60) {WEBKIT} Version/4.0 Chrome/110 Mobile Safari/537.36 [FB_IAB/FB4A;FBAV/400;]",
        "Opera/9.80 (Android; Opera Mini/69.0.2254/191.303; U; en) Presto/2.12.423 Version/12.16",
    ],
)
def test_people_are_no_programs(agent: str) -> None:
    assert not is_bot(agent)
