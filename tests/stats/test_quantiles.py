import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri

from growth.errors import DataError, ParameterError
from growth.stats.contrast import Contrast
from growth.stats.quantiles import (
    Ranks,
    clustered_quantile,
    from_order_statistics,
    quantile_rank,
    ranks,
    share_error,
    unit_quantile,
)
from tests.stats.cases import golden, near


def agrees(got, case):
    want = case["expected"]
    assert got.value == near(want["quantile"], case)
    assert got.ranks[1:] == (want["rank_low"], want["rank_high"])
    assert (got.low, got.high) == near((want["low"], want["high"]), case)
    assert got.se == near(want["se"], case)


@golden("quantile_unit")
def test_unit_quantiles_match_the_golden_case(case):
    x = np.round(np.exp(ndtri((np.arange(1, 201) - 0.5) / 200)), 6)
    agrees(unit_quantile(x[::-1], case["input"]["p"], z=case["input"]["z"]), case)


@golden("quantile_clustered")
def test_clustered_quantiles_match_the_golden_case(case):
    x, unit = np.array(case["input"]["x"]), np.array(case["input"]["unit"])
    got = clustered_quantile(x, unit, case["input"]["p"], z=case["input"]["z"])
    agrees(got, case)
    assert got.arm.n == 40
    below = np.bincount(unit, weights=x <= got.value)
    assert share_error(below, np.bincount(unit)) == near(
        case["expected"]["se_share_below"], case
    )


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.floats(0.01, 0.99))
def test_the_point_is_the_smallest_value_that_holds_the_share(x, p):
    x = np.array(x, dtype=float)
    value = unit_quantile(x, p).value
    assert np.mean(x <= value) >= p - 1e-9
    lower = x[x < value]
    assert not len(lower) or np.mean(x <= lower.max()) < p + 1e-9


@given(st.integers(1, 10**6), st.floats(0.001, 0.999))
def test_ranks_stay_within_the_values(n, p):
    at = ranks(n, p)
    assert 1 <= at.low <= at.point <= at.high <= n


def test_products_that_miss_the_integer_by_a_hair():
    assert quantile_rank(10, 0.7) == 7  # 10 * 0.7 is 7.000000000000001 in doubles
    assert quantile_rank(100, 0.29) == 29
    assert quantile_rank(1, 0.5) == 1


def test_one_event_a_unit_is_nearly_the_unit_quantile():
    x = np.random.default_rng(0).lognormal(size=500)
    one, many = unit_quantile(x, 0.9), clustered_quantile(x, np.arange(500), 0.9)
    assert one.value == many.value
    assert one.se == pytest.approx(many.se, rel=0.05)


def test_repeated_events_do_not_count_as_news():
    x = np.random.default_rng(1).lognormal(size=300)
    one = unit_quantile(x, 0.5)
    many = clustered_quantile(np.repeat(x, 10), np.repeat(np.arange(300), 10), 0.5)
    assert many.se == pytest.approx(one.se, rel=0.15)
    assert unit_quantile(np.repeat(x, 10), 0.5).se < 0.5 * one.se


def test_a_mass_at_the_quantile_has_no_error():
    got = unit_quantile([0.0] * 50 + [1.0], 0.5)
    assert (got.value, got.se, got.arm.variance) == (0.0, None, None)
    assert Contrast(got.arm, got.arm).p_value is None
    made = from_order_statistics(Ranks(2, 1, 3), 5.0, 4.0, 6.0, units=3)
    assert made.se == pytest.approx(2 / 2 / 1.959963984540054)


def test_coverage_at_the_90th_percentile():
    rng = np.random.default_rng(4)
    truth, hits = np.exp(ndtri(0.9)), 0
    for _ in range(400):
        got = unit_quantile(rng.lognormal(size=800), 0.9)
        hits += abs(got.value - truth) < 1.96 * got.se
    assert 0.92 < hits / 400 < 0.99


def test_two_arms_are_compared_by_z():
    rng = np.random.default_rng(6)
    a, b = (unit_quantile(rng.exponential(s, 2000), 0.9) for s in (1, 1.2))
    c = Contrast(a.arm, b.arm)
    assert c.se == pytest.approx(np.hypot(a.se, b.se))
    assert c.p_value < 0.01


def test_empty_arms_and_missing_values():
    assert unit_quantile([], 0.5) is None
    assert unit_quantile([np.nan], 0.5) is None
    assert clustered_quantile([], [], 0.5) is None
    assert clustered_quantile([1.0, 2.0], [7, 7], 0.5) is None
    assert unit_quantile([np.nan, 3.0, 1.0, 2.0], 0.5).value == 2.0


@pytest.mark.parametrize("p", [0, 1, 90, -0.1])
def test_a_quantile_is_a_share(p):
    for x in ([], [1.0, 2.0]):
        with pytest.raises(ParameterError, match="write the 90th as") as info:
            unit_quantile(x, p)
        assert info.value.code == "quantile_out_of_range"


def test_every_value_has_a_unit():
    with pytest.raises(DataError, match="give both columns") as info:
        clustered_quantile([1.0, 2.0], [1], 0.5)
    assert info.value.code == "length_mismatch"
