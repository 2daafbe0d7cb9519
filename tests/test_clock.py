"""Times and identifiers."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_service import clock

moments = st.datetimes(
    min_value=datetime(1970, 1, 2),  # noqa: DTZ001 - a zone comes with it
    max_value=datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=st.integers(-14 * 60, 14 * 60).map(
        lambda minutes: timezone(timedelta(minutes=minutes))
    ),
)


@given(moments)
def test_a_moment_is_written_in_utc_to_the_millisecond_and_read_back(moment: datetime) -> None:
    text = clock.rfc3339(moment)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text)
    read = clock.from_rfc3339(text)
    assert timedelta() <= moment - read < timedelta(milliseconds=1)
    assert clock.rfc3339(read) == text


@given(st.integers(0, 253_402_300_799))
def test_whole_seconds_are_written_the_same_way(seconds: int) -> None:
    moment = datetime.fromtimestamp(seconds, UTC)
    assert clock.rfc3339_seconds(seconds) == clock.rfc3339(moment)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-03-01",
        "20260301T093000.000Z",
        "2026-03-01T09:30:00.000",
        "2026-03-01 09:30:00.000Z",
        "2026-03-01T09:30:00Z",
        "2026-03-01T12:30:00.000+03:00",
        "2026-02-30T09:30:00.000Z",
    ],
)
def test_nothing_else_is_read(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        clock.from_rfc3339(text)


def test_now_is_what_the_record_will_say() -> None:
    now = clock.now()
    assert now.tzinfo is UTC
    assert clock.from_rfc3339(clock.rfc3339(now)) == now


def test_ids_are_uuids_of_version_7_in_the_order_they_were_made() -> None:
    made = [clock.new_id() for _ in range(1000)]
    assert {each.version for each in made} == {7}
    assert len(set(made)) == len(made)
    assert made == sorted(made)


@pytest.mark.parametrize(
    ("make", "prefix"), [(clock.new_site_key, "site_"), (clock.new_visitor_id, "vis_")]
)
def test_keys_are_128_random_bits_that_need_no_quoting(make: type[str], prefix: str) -> None:
    made = {make() for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch(rf"{prefix}[A-Za-z0-9_-]{{22}}", each) for each in made)
