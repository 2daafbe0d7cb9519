"""Rates, intervals and comparisons against published values, and what must hold of all of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_service.reports.counting import LAST_BUCKET, bucket_bounds
from consent_service.reports.rates import (
    DEFINITIONS,
    compared,
    median_seconds,
    rates_of,
    two_proportions,
    wilson,
)
from consent_service.reports.report import Rate

COUNTS = {
    "shown": 1000,
    "shown_gpc": 50,
    "choices": 440,
    "answers": 400,
    "accepted_all": 100,
    "rejected_all": 240,
    "saved": 60,
    "granted_any": 130,
    "withdrawals": 22,
    "asked.analytics": 400,
    "granted.analytics": 120,
    "asked.maps": 50,
    "granted.maps": 30,
}

shares = st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize(
    ("numerator", "denominator", "low", "high"),
    [
        # Newcombe (1998), table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
        # The same with yes and no exchanged.
        (20, 20, 0.8389, 1.0000),
        (28, 29, 0.8282, 0.9939),
    ],
)
def test_intervals_are_the_published_ones(
    numerator: int, denominator: int, low: float, high: float
) -> None:
    found = wilson(numerator, denominator)
    assert tuple(round(end, 4) for end in found) == (low, high)


@given(shares)
def test_an_interval_holds_the_share_and_is_one_of_shares(share: tuple[int, int]) -> None:
    numerator, denominator = share
    low, high = wilson(numerator, denominator)
    assert 0 <= low <= numerator / denominator <= high <= 1
    assert low < high
    mirrored = wilson(denominator - numerator, denominator)
    assert mirrored == pytest.approx((1 - high, 1 - low))


@given(st.integers(1, 10**6))
def test_the_interval_of_none_begins_at_0_and_that_of_all_ends_at_1(number: int) -> None:
    assert wilson(0, number)[0] == 0
    assert wilson(number, number)[1] == 1


@given(shares)
def test_an_interval_is_narrower_for_more_people(share: tuple[int, int]) -> None:
    numerator, denominator = share
    low, high = wilson(numerator, denominator)
    narrow, narrower = wilson(2 * numerator, 2 * denominator)
    assert narrower - narrow < high - low


def test_each_rate_is_what_its_definition_says() -> None:
    found = {(rate.name, rate.purpose): rate for rate in rates_of(COUNTS, ["analytics", "maps"])}
    assert {key: (rate.numerator, rate.denominator) for key, rate in found.items()} == {
        ("interaction", None): (400, 1000),
        ("opt_in_shown", "analytics"): (120, 1000),
        ("opt_in_shown", "maps"): (30, 1000),
        ("opt_in", "analytics"): (120, 400),
        ("opt_in", "maps"): (30, 50),
        ("opt_in_any", None): (130, 400),
        ("accept_all", None): (100, 400),
        ("reject_all", None): (240, 400),
        ("save", None): (60, 400),
        ("withdrawal", None): (22, 440),
        ("gpc", None): (50, 1000),
    }
    for rate in found.values():
        assert rate.value == rate.numerator / rate.denominator
        assert (rate.low, rate.high) == wilson(rate.numerator, rate.denominator)
        assert rate.reason is None
    assert {name for name, _ in found} == {definition.name for definition in DEFINITIONS}


def test_a_rate_is_never_over_one_hundred_percent() -> None:
    found = {rate.name: rate for rate in rates_of({**COUNTS, "shown": 399}, [])}
    told = found["interaction"]
    assert (told.numerator, told.denominator) == (400, 399)
    assert (told.value, told.low, told.high) == (None, None, None)
    assert told.reason == "more_than_shown"
    assert found["gpc"].value == 50 / 399
    # All impressions were blocked.
    (blocked, *_) = rates_of({"answers": 3}, [])
    assert blocked.reason == "more_than_shown"


def test_a_rate_of_nothing_is_no_rate() -> None:
    for rate in rates_of({}, ["analytics"]):
        assert (rate.value, rate.low, rate.high, rate.reason) == (None, None, None, "no_data")


def test_where_no_impressions_are_counted_there_are_no_rates_over_them() -> None:
    for rate in rates_of({**COUNTS, "shown": 0}, ["analytics"], impressions=False):
        over_impressions = rate.name in {"interaction", "opt_in_shown", "gpc"}
        assert (rate.value is None) == over_impressions
        assert rate.reason == ("no_data" if over_impressions else None)


def test_the_median_is_within_the_bucket_that_half_of_the_visitors_reach() -> None:
    start, end = bucket_bounds(10)
    assert median_seconds({"after.10": 8}) == pytest.approx((start + end) / 2)
    assert median_seconds({"after.9": 1, "after.10": 2, "after.11": 1}) == pytest.approx(
        (start + end) / 2
    )
    assert median_seconds({"after.0": 4, "after.10": 4}) == bucket_bounds(0)[1]
    assert median_seconds({"after.0": 2, "after.10": 4}) == pytest.approx(start + (end - start) / 4)


def test_a_median_beyond_a_day_or_of_nobody_is_unknown() -> None:
    assert median_seconds({}) is None
    assert median_seconds({"answers": 9}) is None
    assert median_seconds({f"after.{LAST_BUCKET}": 2, "after.3": 1}) is None
    assert median_seconds({f"after.{LAST_BUCKET}": 1, "after.3": 2}) is not None


@given(st.dictionaries(st.integers(0, LAST_BUCKET - 1), st.integers(1, 1000), min_size=1))
def test_half_of_the_visitors_took_no_longer_than_the_median(buckets: dict[int, int]) -> None:
    found = median_seconds({f"after.{bucket}": number for bucket, number in buckets.items()})
    assert found is not None
    half = sum(buckets.values()) / 2
    assert sum(n for bucket, n in buckets.items() if bucket_bounds(bucket)[1] < found) <= half
    assert sum(n for bucket, n in buckets.items() if bucket_bounds(bucket)[0] > found) <= half


def test_the_test_gives_the_published_value() -> None:
    # The example in the documentation of statsmodels' proportions_ztest.
    found = two_proportions((5, 83), (12, 99))
    assert found is not None
    assert round(found, 3) == 0.159


@given(shares, shares)
def test_the_test_does_not_mind_which_side_is_which(
    left: tuple[int, int], right: tuple[int, int]
) -> None:
    there, back = two_proportions(left, right), two_proportions(right, left)
    assert (there is None) == (back is None)
    if there is not None and back is not None:
        assert there == pytest.approx(back)
        assert 0 <= there <= 1
        turned = two_proportions((left[1] - left[0], left[1]), (right[1] - right[0], right[1]))
        assert turned == pytest.approx(there)


def rate(numerator: int, denominator: int) -> Rate:
    """Return a rate of so many."""
    return next(
        each
        for each in rates_of({"answers": denominator, "accepted_all": numerator}, [])
        if each.name == "accept_all"
    )


@pytest.mark.parametrize(
    ("left", "right", "verdict"),
    [
        ((100, 400), (140, 400), "higher"),
        ((140, 400), (100, 400), "lower"),
        ((100, 400), (101, 400), "perhaps_chance"),
        # An expected count of 4.5, and one of 5.
        ((0, 20), (9, 20), "too_few"),
        ((0, 20), (10, 20), "higher"),
        ((1, 10), (200, 400), "too_few"),
        ((0, 400), (0, 400), "too_few"),
        ((400, 400), (400, 400), "too_few"),
        ((0, 0), (10, 20), "too_few"),
    ],
)
def test_a_verdict_is_given_only_where_there_are_enough(
    left: tuple[int, int], right: tuple[int, int], verdict: str
) -> None:
    (found,) = compared([rate(*left)], [rate(*right)], "a", "b")
    assert (found.rate, found.left, found.right) == ("accept_all", "a", "b")
    assert found.verdict == verdict
    assert (found.p_value is None) == (verdict == "too_few")
    if left[1]:
        assert found.difference == right[0] / right[1] - left[0] / left[1]
    else:
        assert found.difference is None


def test_what_only_one_side_has_is_not_compared() -> None:
    left, right = rates_of(COUNTS, ["analytics"]), rates_of(COUNTS, ["maps"])
    purposes = {each.purpose for each in compared(left, right, "a", "b")}
    assert purposes == {None}
