import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from growth.errors import ParameterError
from growth.stats.always_valid import planned_critical
from growth.stats.contrast import ArmEstimate, Contrast
from growth.stats.group_sequential import inflation, spending_boundaries
from growth.stats.planning import (
    Demand,
    Reading,
    effect_found,
    power_of,
    units_needed,
)
from growth.stats.power import power_t, size_proportion, size_t
from tests.stats.cases import golden, near

EVEN = tuple((k + 1) / 5 for k in range(5))


def mean(effect=1.0, variance=1.0, **keys):
    return Demand(kind="mean", mean=10.0, variance=variance, effect=effect, **keys)


def share(p0, p1, **keys):
    return Demand(kind="share", mean=p0, variance=p0 * (1 - p0), effect=p1 - p0, **keys)


@golden("power_t_two_sample")
def test_means_take_what_the_t_test_takes(case):
    given_ = case["input"]
    demand = mean(given_["delta"], given_["sd"] ** 2)
    if "n_per_arm" in given_:
        n = units_needed(demand, Reading(), power=0.9)
        assert n == near(case["expected"]["n_per_arm_for_power_0.9"], case)
        assert power_of(demand, Reading(), 20) == near(case["expected"]["power"], case)
    else:
        n = units_needed(demand, Reading(), power=given_["power"])
        assert 2 * n == near(case["expected"]["n_total"], case)


@golden("power_proportion")
def test_shares_take_what_the_pooled_formula_says(case):
    want = case["expected"]
    n = units_needed(share(0.5, 0.75), Reading(), power=0.9)
    assert n == near(want["n_0.5_0.75_power_0.9"], case)
    n = units_needed(share(0.03, 0.02), Reading())
    assert n == near(want["n_0.03_0.02_power_0.8"], case)
    power = power_of(share(0.5, 0.75), Reading(), 50)
    assert power == pytest.approx(want["power_0.5_0.75_n50"], abs=1e-5)  # both tails


@golden("mde_mean")
def test_the_effect_found_with_uneven_arms(case):
    found = effect_found(mean(variance=4.0), Reading(), 9000, ratio=1 / 9)
    assert found == near(case["expected"]["mde"], case)


def test_clusters_multiply_and_fixed_readings_are_the_plain_formulas():
    one = units_needed(mean(0.3, 4.0), Reading())
    assert one == size_t(0.3, 2.0)
    assert units_needed(mean(0.3, 4.0, design=2.5), Reading()) == size_t(
        0.3, 2 * 2.5**0.5
    )
    assert units_needed(share(0.03, 0.035), Reading(), ratio=3.0) == pytest.approx(
        size_proportion(0.03, 0.035, ratio=3.0), rel=1e-12
    )
    assert power_of(mean(0.3, 4.0), Reading(), 500) == power_t(0.3, 2.0, 500)


@pytest.mark.parametrize("family", ["obf", "pocock", "power"])
@pytest.mark.parametrize("power", [0.8, 0.95])
def test_looking_costs_the_published_inflation(family, power):
    looking = Reading(information=EVEN, family=family)
    plan = inflation(spending_boundaries(EVEN, family=family), power=power)
    for demand in (mean(0.2), mean(0.2, margin=True)):
        fixed = units_needed(demand, Reading(), power=power)
        ratio = units_needed(demand, looking, power=power) / fixed
        assert ratio == pytest.approx(plan.max_n_ratio, rel=1e-6)


def test_watching_and_reading_once_cost_their_critical_values():
    z, b = 1.959963984540054, 0.8416212335729143
    fixed = units_needed(mean(0.2, margin=True), Reading())
    always = Reading(critical=planned_critical(1.0))
    ratio = units_needed(mean(0.2, margin=True), always) / fixed
    assert ratio == pytest.approx(((3.0353 + b) / (z + b)) ** 2, rel=1e-4)
    assert power_of(mean(0.2, margin=True), always, 4000) < power_of(
        mean(0.2, margin=True), Reading(), 4000
    )


def test_power_of_looking_is_that_of_a_simulated_process():
    looking = Reading(information=EVEN)
    n = units_needed(mean(0.2), looking)
    drift = 0.2 * (n / 2) ** 0.5
    bounds = np.array(spending_boundaries(EVEN).upper)
    rng = np.random.default_rng(1)
    steps = rng.normal(size=(40_000, 5)) * 0.2**0.5 + drift * 0.2
    z = np.cumsum(steps, axis=1) / np.sqrt(EVEN)
    crossed = (np.abs(z) > bounds).any(axis=1).mean()
    assert crossed == pytest.approx(0.8, abs=4 * (0.16 / 40_000) ** 0.5 + 0.002)
    assert power_of(mean(0.2), looking, n) == pytest.approx(0.8, abs=2e-3)


def test_a_relative_margin_is_the_contrast_that_decides():
    """Power from the expected statistic of `Contrast.noninferiority`."""
    n0, n1, m, sd, margin = 4000, 2000, 10.0, 30.0, 0.2
    pair = Contrast(
        ArmEstimate(n0, m, sd**2 / n0), ArmEstimate(n1, m, sd**2 / n1)
    ).noninferiority(margin, relative=True)
    demand = Demand(
        kind="mean",
        mean=m,
        variance=sd**2,
        effect=margin * m,
        margin=True,
        relative=True,
    )
    from scipy.stats import norm

    power = power_of(demand, Reading(), n0, ratio=0.5)
    assert power == pytest.approx(norm.cdf(pair.statistic - norm.ppf(0.975)), rel=1e-9)
    assert units_needed(demand, Reading(), power=power, ratio=0.5) == pytest.approx(n0)


kinds = st.sampled_from(["mean", "share", "margin", "relative"])
readings = st.sampled_from(
    [
        Reading(),
        Reading(alpha=0.01),
        Reading(critical=3.0),
        Reading(information=EVEN, family="pocock"),
    ]
)


@given(
    kinds,
    readings,
    st.floats(0.01, 0.9),
    st.floats(0.002, 0.5),
    st.floats(0.1, 8),
    st.floats(0.3, 0.97),
)
def test_units_effect_and_power_are_three_views_of_one_thing(
    kind, reading, p0, relative, ratio, power
):
    effect = p0 * relative
    assume(p0 + effect < 0.99)
    demand = {
        "mean": mean(effect, p0),
        "share": share(p0, p0 + effect),
        "margin": mean(effect, p0, margin=True),
        "relative": Demand(
            kind="mean", mean=p0, variance=p0, effect=effect, margin=True, relative=True
        ),
    }[kind]
    n = units_needed(demand, reading, power=power, ratio=ratio)
    assume(50 < n < 1e9 and n * ratio > 50)
    # the t test is wider than the normal by a term of order 1 / n
    assert power_of(demand, reading, n, ratio=ratio) == pytest.approx(power, abs=0.03)
    found = effect_found(demand, reading, n, power=power, ratio=ratio)
    assert found == pytest.approx(effect, rel=0.05)
    more = power_of(demand, reading, n * 1.5, ratio=ratio)
    assert more >= power_of(demand, reading, n, ratio=ratio) - 1e-9


def test_the_direction_is_the_effects():
    down = effect_found(share(0.03, 0.02), Reading(), 3825.15)
    assert down == pytest.approx(-0.01, rel=1e-4)
    assert effect_found(share(0.001, 0.002), Reading(), 3.0) is not None
    assert effect_found(share(0.999, 0.9995), Reading(), 10.0) is None


@pytest.mark.parametrize(
    "call",
    [
        lambda: mean(0.0),
        lambda: mean(1.0, 0.0),
        lambda: share(0.5, 1.5),
        lambda: units_needed(mean(), Reading(), power=1.0),
        lambda: units_needed(mean(), Reading(), ratio=0.0),
        lambda: power_of(mean(), Reading(), 1.0),
    ],
)
def test_misuse_says_what_was_seen(call):
    with pytest.raises(ParameterError, match=r"must .*correct the plan") as info:
        call()
    assert info.value.code == "plan_out_of_range"
