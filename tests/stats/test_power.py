from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.power import TTestIndPower

from growth.errors import ParameterError
from growth.stats.always_valid import planned_critical
from growth.stats.power import (
    adjusted_variance,
    duration,
    mde,
    mde_by_week,
    power_proportion,
    power_t,
    size_mean,
    size_proportion,
    size_t,
)
from tests.stats.cases import golden, near


@golden("power_t_two_sample")
def test_the_t_test_matches_the_golden_cases(case):
    given_, want = case["input"], case["expected"]
    if "n_per_arm" in given_:
        got = power_t(given_["delta"], given_["sd"], given_["n_per_arm"])
        assert got == near(want["power"], case)
        n = size_t(given_["delta"], given_["sd"], power=0.9)
        assert n == near(want["n_per_arm_for_power_0.9"], case)
    else:
        n = size_t(given_["delta"], given_["sd"], power=given_["power"])
        assert 2 * n == near(want["n_total"], case)


@golden("power_proportion")
def test_shares_match_the_golden_case(case):
    want = case["expected"]
    assert power_proportion(0.5, 0.75, 50) == near(want["power_0.5_0.75_n50"], case)
    assert size_proportion(0.5, 0.75, power=0.9) == near(
        want["n_0.5_0.75_power_0.9"], case
    )
    assert size_proportion(0.03, 0.02) == near(want["n_0.03_0.02_power_0.8"], case)


@golden("power_proportion_baseline_variance")
def test_the_baseline_variance_matches_the_golden_case(case):
    found = [
        size_proportion(p, p + d, null_at_baseline=True)
        for p, d in case["input"]["cases"]
    ]
    assert found == near(case["expected"]["n_per_arm"], case)


@golden("power_mean")
def test_means_match_the_golden_case(case):
    given_, want = case["input"], case["expected"]
    variance = given_["sd"] ** 2
    assert size_mean(given_["mde"], variance) == near(want["n_per_arm"], case)
    less = adjusted_variance(variance, r_squared=given_["rho"] ** 2)
    assert size_mean(given_["mde"], less) == near(want["n_per_arm_cuped"], case)


@golden("mde_mean")
def test_the_mde_matches_the_golden_case(case):
    given_ = case["input"]
    got = mde(given_["var"], given_["n_control"], given_["n_treatment"])
    assert got == near(case["expected"]["mde"], case)


@golden("duration_from_history")
def test_the_duration_matches_the_golden_case(case):
    given_, want = case["input"], case["expected"]
    got = duration(
        given_["cumulative_new_units_by_day"],
        given_["n_total"],
        min_days=given_["min_days"],
    )
    assert (got.day_reached, got.days) == (want["day_reached"], want["days"])
    assert duration([100, 200], 300) is None
    assert duration([100, 200], 50).days == 14


@pytest.mark.parametrize("n", [3, 12.5, 80, 900])
@pytest.mark.parametrize("ratio", [0.3, 1, 4])
def test_power_matches_statsmodels(n, ratio):
    want = TTestIndPower().power(0.4, n, 0.05, ratio=ratio)
    if n * ratio > 1.5:
        assert power_t(0.8, 2.0, n, ratio=ratio) == pytest.approx(want, rel=1e-7)


def test_the_normal_takes_over_without_a_step():
    below, above = power_t(0.01, 1, 49_000), power_t(0.01, 1, 51_000)
    middle = power_t(0.01, 1, 50_000)
    assert below < middle < above
    assert middle == pytest.approx((below + above) / 2, rel=1e-4)


plans = st.floats(0.05, 0.5), st.floats(0.3, 0.95), st.floats(0.2, 5)


@given(*plans)
def test_size_and_power_are_inverse(effect, power, ratio):
    n = size_t(effect, 1.0, power=power, ratio=ratio)
    if n * min(ratio, 1) > 2:
        assert power_t(effect, 1.0, n, ratio=ratio) == pytest.approx(power, rel=1e-6)
    n = size_mean(effect, 1.0, power=power, ratio=ratio)
    assert mde(1.0, n, n * ratio, power=power) == pytest.approx(effect, rel=1e-9)
    n = size_proportion(0.3, 0.3 + effect, power=power, ratio=ratio)
    found = power_proportion(0.3, 0.3 + effect, n, ratio=ratio)
    assert found == pytest.approx(power, rel=1e-9)


def test_plans_enter_by_their_price():
    plain = size_mean(0.1, 1.0)
    assert size_mean(0.1, 1.0, inflation=1.02) == pytest.approx(1.02 * plain)
    c = planned_critical(1.0)
    assert size_mean(0.1, 1.0, critical=c) > 1.5 * plain
    assert mde(1.0, 100, 100, critical=c) > mde(1.0, 100, 100)
    assert size_mean(0.1, 1.0, alpha=0.025) > plain


def test_clusters_multiply_the_variance():
    got = adjusted_variance(2.0, cluster_sizes=[20.0] * 6, icc=0.05, r_squared=0.5)
    assert got == pytest.approx(1.95)


def test_both_tails_add_what_lies_on_the_wrong_side():
    one, both = (power_proportion(0.5, 0.5001, 50, both_tails=b) for b in (False, True))
    assert one == pytest.approx(0.025, rel=0.02)
    assert both == pytest.approx(0.05, rel=0.02)
    assert power_proportion(0.0, 0.0, 50) == 0.0
    assert power_proportion(0.0, 1.0, 50) == 1.0


def test_the_mde_falls_with_the_weeks():
    table = mde_by_week([100 * d for d in range(1, 22)], 4.0, shares=(0.9, 0.1))
    assert [week for week, _ in table] == [1, 2, 3]
    assert table[1][1] == pytest.approx(table[0][1] / sqrt(2))
    assert table[0][1] == pytest.approx(mde(4.0, 630, 70))


@pytest.mark.parametrize(
    "call",
    [
        lambda: size_mean(0, 1.0),
        lambda: size_mean(0.1, -1.0),
        lambda: size_mean(0.1, 1.0, alpha=5),
        lambda: size_t(0.1, 1.0, power=1),
        lambda: power_t(0.1, 1.0, 1),
        lambda: size_proportion(0.1, 0.1),
        lambda: size_proportion(0.1, 1.1),
        lambda: adjusted_variance(1.0, r_squared=1.0),
        lambda: mde(1.0, 0, 5),
    ],
)
def test_impossible_plans_are_refused(call):
    with pytest.raises(ParameterError, match="correct the plan") as info:
        call()
    assert info.value.code == "plan_out_of_range"


@pytest.mark.parametrize("n", [20, 50, 500, 3000, 40_000])
def test_power_is_a_number_however_large_the_effect(n):
    effects = [shift / (n / 2) ** 0.5 for shift in (4, 8, 10, 20, 36, 38, 60, 300)]
    found = [power_t(effect, 1.0, n) for effect in effects]
    assert all(0.95 < power <= 1 for power in found)
    assert found == sorted(found)
    assert found[2:] == pytest.approx([1.0] * 6, abs=1e-12)
