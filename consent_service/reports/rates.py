"""From counts to rates: what each is a share of, how sure it is, and whether two differ. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from consent_service.reports.counting import LAST_BUCKET, Counts, bucket_bounds
from consent_service.reports.report import Comparison, Rate, Verdict

#: How sure intervals are.
CONFIDENCE = 0.95
#: A difference that chance alone would bring about less often than this is told as one.
SIGNIFICANT = 0.05
#: The test is about large numbers: with a smaller expected count it says nothing (Cochran 1954).
SMALLEST_EXPECTED = 5

_NORMAL = NormalDist()
_Z = _NORMAL.inv_cdf((1 + CONFIDENCE) / 2)


@dataclass(frozen=True)
class Definition:
    """What a rate is."""

    name: str
    #: Whose share it is, in words.
    share_of: str
    text: str
    #: Measures of :mod:`~consent_service.reports.counting`; ``.KEY`` is put after them where the
    #: rate is of a purpose.
    numerator: str
    denominator: str
    per_purpose: bool = False

    def measures(self, purpose: str | None) -> tuple[str, str]:
        """Return the numerator's and the denominator's measure."""
        if purpose is None:
            return self.numerator, self.denominator
        # Only what is counted by purpose is named by it.
        return tuple(  # type: ignore[return-value]
            f"{measure}.{purpose}" if measure in {"granted", "asked"} else measure
            for measure in (self.numerator, self.denominator)
        )


#: All rates, in the order in which they are shown.
DEFINITIONS = (
    Definition(
        "interaction",
        "impressions",
        "How many of those who were shown a banner answered it.",
        "answers",
        "shown",
    ),
    Definition(
        "opt_in_shown",
        "impressions",
        "How many of those who were shown a banner granted the purpose in their answer.",
        "granted",
        "shown",
        per_purpose=True,
    ),
    Definition(
        "opt_in",
        "answers that were asked about the purpose",
        "How many of those who answered granted the purpose.",
        "granted",
        "asked",
        per_purpose=True,
    ),
    Definition(
        "opt_in_any",
        "answers",
        "How many of those who answered granted at least one optional purpose.",
        "granted_any",
        "answers",
    ),
    Definition(
        "accept_all",
        "answers",
        "How many of those who answered accepted all purposes at once.",
        "accepted_all",
        "answers",
    ),
    Definition(
        "reject_all",
        "answers",
        "How many of those who answered rejected all optional purposes at once.",
        "rejected_all",
        "answers",
    ),
    Definition(
        "save",
        "answers",
        "How many of those who answered chose purpose by purpose.",
        "saved",
        "answers",
    ),
    Definition(
        "withdrawal",
        "choices",
        "How many choices, later ones too, took back a purpose that was granted before.",
        "withdrawals",
        "choices",
    ),
    Definition(
        "gpc",
        "impressions",
        "How many of those who were shown a banner had Global Privacy Control on.",
        "shown_gpc",
        "shown",
    ),
)


def rates_of(counts: Counts, purposes: Sequence[str], *, impressions: bool = True) -> list[Rate]:
    """Return all rates of what was counted.

    :param purposes: keys of the purposes to give rates for
    :param impressions: whether impressions are counted in these groups; where they are not, rates
        over them have no data
    """
    return [
        _rate(definition, purpose, counts, impressions)
        for definition in DEFINITIONS
        for purpose in (purposes if definition.per_purpose else (None,))
    ]


def _rate(
    definition: Definition,
    purpose: str | None,
    counts: Counts,
    impressions: bool,  # noqa: FBT001
) -> Rate:
    of, over = definition.measures(purpose)
    numerator, denominator = counts.get(of, 0), counts.get(over, 0)
    reason: Literal["no_data", "more_than_shown"] | None = None
    if over == "shown" and not impressions:
        reason = "no_data"
    elif numerator > denominator:
        reason = "more_than_shown"
    elif denominator == 0:
        reason = "no_data"
    if reason is not None:
        return Rate(definition.name, purpose, numerator, denominator, None, None, None, reason)
    low, high = wilson(numerator, denominator)
    value = numerator / denominator
    return Rate(definition.name, purpose, numerator, denominator, value, low, high)


def wilson(numerator: int, denominator: int) -> tuple[float, float]:
    """Return the 95 % score interval of a share, without continuity correction.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22
    (1927); method 3 in R. G. Newcombe, "Two-sided confidence intervals for the single proportion",
    Statistics in Medicine 17 (1998).

    :param denominator: at least 1, and not less than the numerator
    """
    share, of = numerator / denominator, _Z * _Z / denominator
    middle = share + of / 2
    half = _Z * math.sqrt(share * (1 - share) / denominator + of / denominator / 4)
    # At its ends the interval touches 0 and 1; rounding must not take it past the share.
    low = 0.0 if numerator == 0 else min(share, (middle - half) / (1 + of))
    high = 1.0 if numerator == denominator else max(share, (middle + half) / (1 + of))
    return low, high


def median_seconds(counts: Counts) -> float | None:
    """Return the seconds from shown to choice that half of the visitors took at most.

    Within a bucket times are taken to be spread evenly.

    :returns: None where no time is known, or where it is beyond a day
    """
    buckets = [counts.get(f"after.{bucket}", 0) for bucket in range(LAST_BUCKET + 1)]
    left = sum(buckets) / 2
    if not left:
        return None
    for bucket, number in enumerate(buckets):
        if number >= left:
            start, end = bucket_bounds(bucket)
            return None if math.isinf(end) else start + (end - start) * left / number
        left -= number
    raise AssertionError  # Half of them are in some bucket.


def two_proportions(left: tuple[int, int], right: tuple[int, int]) -> float | None:
    """Return how likely chance alone makes two shares differ at least as much (two-sided p-value).

    The pooled two-proportion z-test. Its rule of thumb: expected counts of at least 5 in all four
    places (W. G. Cochran, "Some methods for strengthening the common χ² tests", Biometrics 10,
    1954).

    :param left: numerator and denominator; so is ``right``
    :returns: None where an expected count is smaller
    """
    (x, m), (y, n) = left, right
    if not m or not n:
        return None
    pooled = (x + y) / (m + n)
    if min(m, n) * min(pooled, 1 - pooled) < SMALLEST_EXPECTED:
        return None
    error = math.sqrt(pooled * (1 - pooled) * (1 / m + 1 / n))
    return 2 * _NORMAL.cdf(-abs(y / n - x / m) / error)


def compared(
    left: Sequence[Rate], right: Sequence[Rate], left_name: str, right_name: str
) -> Iterator[Comparison]:
    """Give a comparison of each rate that both sides have, of the right one against the left."""
    others = {(rate.name, rate.purpose): rate for rate in left}
    for rate in right:
        other = others.get((rate.name, rate.purpose))
        if other is None:
            continue
        difference = p_value = None
        if rate.value is not None and other.value is not None:
            difference = rate.value - other.value
            p_value = two_proportions(
                (other.numerator, other.denominator), (rate.numerator, rate.denominator)
            )
        yield Comparison(
            rate.name,
            rate.purpose,
            left_name,
            right_name,
            difference,
            p_value,
            _verdict(difference, p_value),
        )


def _verdict(difference: float | None, p_value: float | None) -> Verdict:
    if difference is None or p_value is None:
        return "too_few"
    if p_value >= SIGNIFICANT:
        return "perhaps_chance"
    return "higher" if difference > 0 else "lower"
