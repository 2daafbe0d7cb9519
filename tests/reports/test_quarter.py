"""Calendar quarters, as a report to the authority covers them."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_service.reports.quarter import quarter_of, read_quarter

DAYS = st.dates(date(2001, 1, 1), date(2099, 12, 31))


@given(DAYS)
def test_every_day_is_in_one_quarter(day: date) -> None:
    quarter = quarter_of(day)
    assert quarter.since <= day <= quarter.until
    assert quarter.next().since == quarter.until + timedelta(days=1)
    assert quarter.before().until == quarter.since - timedelta(days=1)
    assert read_quarter(str(quarter)) == quarter


def test_a_quarter_has_three_months() -> None:
    quarter = read_quarter("2026-Q4")
    assert (quarter.since, quarter.until) == (date(2026, 10, 1), date(2026, 12, 31))
    assert str(quarter.next()) == "2027-Q1"


@pytest.mark.parametrize("text", ["", "2026", "2026-Q0", "2026-Q5", "2026Q1", "1926-Q1", "٢٠٢٦-Q1"])
def test_what_is_no_quarter_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="2026-Q3"):
        read_quarter(text)
