import numpy as np
import pytest

from growth import retention
from growth.errors import ParameterError
from growth.stats.logit import logit_trend


def measured(rates, n=2000, seed=0, **asked):
    rng = np.random.default_rng(seed)
    days = [f"2026-03-{i + 1:02d}" for i in range(len(rates))]
    back = {d: {1: int(rng.binomial(n, p))} for d, p in zip(days, rates, strict=True)}
    return retention.measure_from_counts(dict.fromkeys(days, n), back, **asked)


def test_a_falling_share_is_seen_falling_and_a_steady_one_steady():
    assert retention.trend(measured(np.linspace(0.4, 0.3, 20))).verdict == (
        "retention.trend.falling"
    )
    assert retention.trend(measured(np.linspace(0.3, 0.4, 20))).verdict == (
        "retention.trend.rising"
    )
    found = retention.trend(measured([0.3] * 20))
    assert found.verdict == "retention.trend.steady"
    assert found.dispersion == pytest.approx(1, abs=0.6)


def test_the_slope_is_that_of_the_line_through_the_cohorts():
    result = measured(np.linspace(0.4, 0.3, 12))
    _, kept, _ = result.counts()
    line = logit_trend(np.arange(12), kept[:, 0], np.full(12, 2000))
    found = retention.trend(result)
    assert (found.slope, found.slope_low) == (line.slope, line.low)


def test_the_smooth_line_pools_seven_cohorts():
    result = measured([0.3] * 10)
    _, kept, _ = result.counts()
    points = retention.trend(result).points
    assert [p.rate_pooled for p in points[:6]] == [None] * 6
    assert points[6].rate_pooled == pytest.approx(kept[:7, 0].sum() / 14_000)


def test_incomplete_cohorts_are_no_points():
    sizes = {"a": 100, "b": 100, "c": 100}
    result = retention.measure_from_counts(sizes, {"a": {1: 30}, "b": {1: 31}})
    found = retention.trend(result)
    assert [p.cohort for p in found.points] == ["a", "b"]
    assert found.verdict == "retention.trend.too_few"
    assert {n.code for n in found.notices} == {"no_line"}


def test_an_offset_that_was_not_measured_is_refused():
    with pytest.raises(
        ParameterError, match=r"k is 7; it must be one of \[1\]"
    ) as info:
        retention.trend(measured([0.3] * 4), k=7)
    assert info.value.code == "range"


def test_repeating_users_are_said():
    found = retention.trend(measured([0.3] * 5, mode="every"))
    assert "users_repeat" in {notice.code for notice in found.notices}
