"""Which language a page is in, and what is said in it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from flask.testing import FlaskClient

from consent_service.console import sentences, shell
from consent_service.console.i18n import language
from tests.console.stage import make_app

SWAHILI, ENGLISH = "Muda wa kipindi chako umekwisha", "Your session has ended"
PAGE = "/console/error/401"


@pytest.fixture
def client() -> FlaskClient:
    """Somebody who has chosen no language."""
    return make_app().test_client()


def test_without_any_wish_a_page_is_english(client: FlaskClient) -> None:
    page = client.get(PAGE).text
    assert ENGLISH in page
    assert '<html lang="en">' in page


def test_the_browsers_languages_count_in_their_order(client: FlaskClient) -> None:
    for wish in ("sw-TZ, en;q=0.8", "fr, sw;q=0.5"):
        page = client.get(PAGE, headers={"Accept-Language": wish}).text
        assert SWAHILI in page
        assert '<html lang="sw">' in page
    assert ENGLISH in client.get(PAGE, headers={"Accept-Language": "fr"}).text


def test_a_language_that_was_asked_for_is_remembered(client: FlaskClient) -> None:
    response = client.get(f"{PAGE}?lang=sw")
    assert SWAHILI in response.text
    cookie = response.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert SWAHILI in client.get(PAGE, headers={"Accept-Language": "en"}).text
    assert ENGLISH in client.get(f"{PAGE}?lang=en").text
    assert ENGLISH in client.get(PAGE).text


@pytest.mark.parametrize("tag", ["fr", "../sw", "", "SW"])
def test_a_language_that_does_not_exist_is_neither_shown_nor_remembered(
    client: FlaskClient, tag: str
) -> None:
    response = client.get(PAGE, query_string={"lang": tag})
    assert ENGLISH in response.text
    assert "Set-Cookie" not in response.headers


def test_the_language_of_ones_account_outweighs_all_others() -> None:
    client = make_app(lambda: "sw").test_client()
    assert SWAHILI in client.get(f"{PAGE}?lang=en", headers={"Accept-Language": "en"}).text


def test_a_page_says_what_its_language_depends_on(client: FlaskClient) -> None:
    assert {"Accept-Language", "Cookie"} <= set(client.get(PAGE).vary)


def test_outside_a_request_the_language_is_english() -> None:
    assert language() == "en"


# ---- Sentences of the API


def test_known_sentences_are_translated_with_what_they_name() -> None:
    with make_app().test_request_context("/?lang=sw"):
        shown = sentences.translated("Length must be between 1 and 200.")
        assert shown == "Urefu lazima uwe kati ya 1 na 200."
        assert sentences.translated("Must be one of: a, b.") == "Lazima iwe mojawapo ya hizi: a, b."
        assert sentences.translated("Field may not be null.").startswith("Sehemu hii")


@pytest.mark.parametrize("sentence", ["", "Not known at all.", "50 % (of %(all)s)"])
def test_other_sentences_stay_as_they_are(sentence: str) -> None:
    with make_app().test_request_context("/?lang=sw"):
        assert sentences.translated(sentence) == sentence


def test_what_stays_english_on_a_swahili_page_is_marked_as_english(client: FlaskClient) -> None:
    page = client.get("/console/form?wrong=1&lang=sw").text
    assert 'Ingizo la 2: <span lang="en">Not an origin: give scheme and host.</span>' in page
    assert '<span lang="en">The two dates are the wrong way round.</span>' in page
    assert "Name: Sehemu hii lazima ijazwe.</a>" in page


# ---- What errors and times read like


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ("One.", ["One."]),
        (["One.", "Two."], ["One.", "Two."]),
        ({0: ["One."], 2: ["Two."]}, ["Entry 1: One.", "Entry 3: Two."]),
        ({1: {"name": ["One."]}}, ["Entry 2: name: One."]),
        ([], []),
        (None, []),
    ],
)
def test_errors_of_any_shape_are_sentences(errors: object, expected: list[str]) -> None:
    with make_app().test_request_context("/"):
        assert list(shell.error_messages(errors)) == expected


def test_a_time_is_written_in_utc_wherever_it_was_read() -> None:
    there = datetime(2026, 3, 1, 1, 30, tzinfo=timezone(timedelta(hours=3)))
    for value in (there, there.astimezone(UTC), "2026-02-28T22:30:00.000Z"):
        with make_app().test_request_context("/"):
            assert shell.moment(value) == ("2026-02-28T22:30:00.000Z", "28 Feb 2026, 22:30 UTC")
        with make_app().test_request_context("/?lang=sw"):
            assert shell.moment(value)[1] == "28 Feb 2026, 22:30 UTC"


def test_an_error_that_quotes_markup_is_text() -> None:
    for tag in ("en", "sw"):
        with make_app().test_request_context(f"/?lang={tag}"):
            (shown,) = shell.error_messages({0: ["No <b>: %(place)s"]})
            assert "No &lt;b&gt;: %(place)s" in shown
