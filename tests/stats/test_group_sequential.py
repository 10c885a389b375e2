from math import inf, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from growth.errors import ParameterError
from growth.stats.contrast import ArmEstimate, Contrast, critical_value
from growth.stats.group_sequential import (
    Boundaries,
    asymmetric_boundaries,
    classical_boundaries,
    crossing,
    inflation,
    repeated_interval,
    repeated_p,
    spending_boundaries,
    spent,
    stagewise_p,
)
from tests.stats.cases import golden, near


@golden("group_sequential_classical")
def test_classical_boundaries_match_the_golden_cases(case):
    looks, want = case["input"]["looks"], case["expected"]
    pocock = classical_boundaries(looks, shape="pocock")
    fleming = classical_boundaries(looks, shape="obf")
    assert pocock.upper == near((want["pocock"],) * looks, case)
    assert fleming.upper[-1] == near(want["obrien_fleming_final"], case)
    assert list(fleming.upper) == near(want["obrien_fleming"], case)
    assert fleming.cumulative_alpha[-1] == pytest.approx(0.025, rel=1e-9)


@golden("group_sequential_spending")
def test_spending_boundaries_match_the_golden_cases(case):
    family, want = case["input"]["family"], case["expected"]
    kwargs = {"family": family}
    if family.startswith("power"):
        kwargs = {"family": "power", "rho": float(family[-1])}
    got = spending_boundaries(case["input"]["information"], **kwargs)
    assert list(got.upper) == near(want["boundary"], case)
    assert list(got.cumulative_alpha) == near(want["cumulative_alpha_per_side"], case)
    assert got.lower == tuple(-z for z in got.upper)


@golden("repeated_1.96")
def test_peeking_at_1_96_matches_the_golden_case(case):
    z = case["input"]["critical"]
    for looks, want in case["expected"]["upper_error_by_looks"].items():
        k = int(looks)
        found = crossing([(i + 1) / k for i in range(k)], [z] * k, [-z] * k)
        assert sum(found.upper) == near(want, case)


@golden("group_sequential_inflation")
def test_inflation_matches_the_golden_cases(case):
    shape = {"of": "obf"}.get(case["input"]["shape"], case["input"]["shape"])
    bounds = classical_boundaries(case["input"]["looks"], shape=shape)
    got = inflation(bounds, power=case["input"]["power"])
    for name, want in case["expected"].items():
        assert getattr(got, name) == near(want, case), name


@golden("group_sequential_asymmetric")
def test_asymmetric_boundaries_match_the_golden_case(case):
    given_ = case["input"]
    got = asymmetric_boundaries(
        given_["information"],
        lower_exit=given_["lower_exit"],
        upper_exit=given_["upper_exit"],
    )
    assert list(got.upper) == near(case["expected"]["upper"], case)
    assert list(got.lower) == near(case["expected"]["lower"], case)


@given(
    st.lists(st.floats(0.01, 1), min_size=1, max_size=6, unique=True),
    st.sampled_from(["obf", "pocock", "power"]),
    st.sampled_from([0.01, 0.05, 0.2]),
)
@settings(max_examples=25, deadline=None)
def test_boundaries_spend_what_they_say(parts, family, alpha):
    times = np.cumsum(sorted(parts))
    times = (times / times[-1]).tolist()
    got = spending_boundaries(times, family=family, alpha=alpha)
    found = np.cumsum(crossing(times, got.upper, got.lower).upper)
    assert found == pytest.approx(got.cumulative_alpha, rel=1e-7, abs=1e-15)
    assert got.cumulative_alpha[-1] == pytest.approx(alpha / 2)


def test_two_looks_match_the_bivariate_normal():
    got = spending_boundaries([0.4, 1.0], family="pocock")
    rho = sqrt(0.4)
    both = stats.multivariate_normal(cov=[[1, rho], [rho, 1]])
    a, b = got.upper
    inside = both.cdf([a, b], lower_limit=[-a, -b])
    assert 1 - inside == pytest.approx(0.05, abs=1e-6)


def test_one_look_is_the_fixed_test():
    z = critical_value(0.05)
    for got in (
        spending_boundaries([1.0]),
        classical_boundaries(1),
        classical_boundaries(1, shape="pocock"),
    ):
        assert got.upper == pytest.approx((z,))
        assert stagewise_p(2.2, got) == pytest.approx(2 * stats.norm.sf(2.2), rel=1e-9)


def test_the_last_look_spends_what_is_left():
    open_end = spending_boundaries([0.3, 0.8])
    closed = spending_boundaries([0.3, 0.8], last=True)
    beyond = spending_boundaries([0.3, 1.2])
    assert open_end.cumulative_alpha[-1] < 0.025
    assert closed.cumulative_alpha[-1] == beyond.cumulative_alpha[-1] == 0.025
    assert closed.upper[-1] < open_end.upper[-1]


def test_more_looks_of_the_same_kind_raise_the_price():
    ratios = [
        inflation(classical_boundaries(k, shape="pocock")).max_n_ratio
        for k in (1, 2, 4)
    ]
    assert ratios[0] == pytest.approx(1, rel=1e-9)
    assert ratios == sorted(ratios)


@pytest.mark.parametrize("power", [0.3, 0.8, 0.95])
def test_inflation_reaches_its_power(power):
    bounds = classical_boundaries(3)
    drift = inflation(bounds, power=power).drift
    found = crossing(bounds.information, bounds.upper, bounds.lower, drift=drift)
    assert sum(found.upper) == pytest.approx(power, rel=1e-9)


def test_crossing_matches_simulation():
    times = np.array([0.2, 0.5, 1.0])
    rng = np.random.default_rng(5)
    steps = rng.normal(size=(200_000, 3)) * np.sqrt(np.diff(times, prepend=0))
    z = (np.cumsum(steps, axis=1) + 1.5 * times) / np.sqrt(times)
    upper, lower = [2.5, 2.2, 2.0], [-1.0, -0.5, 2.0]
    stopped = np.zeros(len(z), dtype=bool)
    got = crossing(times, upper, lower, drift=1.5)
    for k in range(3):
        up = ~stopped & (z[:, k] > upper[k])
        down = ~stopped & (z[:, k] < lower[k])
        stopped |= up | down
        assert got.upper[k] == pytest.approx(up.mean(), abs=0.005)
        assert got.lower[k] == pytest.approx(down.mean(), abs=0.005)
    assert sum((*got.upper, *got.lower)) == pytest.approx(1, abs=1e-9)


@given(st.floats(-5, 5), st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_stagewise_p_is_below_alpha_exactly_where_a_boundary_is_crossed(z, look):
    plan = spending_boundaries([0.25, 0.5, 0.75, 1.0])
    cut = Boundaries(
        *(
            part[:look]
            for part in (
                plan.information,
                plan.upper,
                plan.lower,
                plan.cumulative_alpha,
            )
        )
    )
    crossed = abs(z) > plan.upper[look - 1]
    p = stagewise_p(z, cut)
    if look < 4 and not crossed:
        assert p is None  # the plan goes on
        return
    assert 0 <= p <= 1
    if abs(abs(z) - plan.upper[look - 1]) > 1e-6:
        assert (p < 0.05) == crossed
    assert stagewise_p(-z, cut) == pytest.approx(p, rel=1e-7, abs=1e-12)


@pytest.mark.parametrize("family", ["obf", "pocock"])
@pytest.mark.parametrize("looks", [[0.4], [0.3, 0.7], [0.5, 0.8, 1.0]])
@pytest.mark.parametrize("z", [0.0, 1.7, -2.3, 3.4])
def test_the_repeated_p_agrees_with_the_repeated_interval(family, looks, z):
    p = repeated_p(z, looks, family=family)
    assert 0 < p <= 1
    for alpha in (0.01, 0.05, 0.2):
        bound = spending_boundaries(looks, family=family, alpha=alpha).upper[-1]
        assert (abs(z) > bound) == (p < alpha)


def test_the_repeated_interval_uses_this_looks_boundary():
    zero = ArmEstimate(9, 1.0, 0.5)
    c = Contrast(zero, ArmEstimate(9, 3.0, 0.5))
    assert repeated_interval(c, 2.5) == pytest.approx((-0.5, 4.5))
    assert repeated_interval(c, inf) is None
    assert repeated_interval(Contrast(zero, ArmEstimate(0, None, None)), 2.5) is None


def test_nothing_is_spent_before_there_is_news():
    assert spent(0.0) == 0
    assert spent(2.0) == pytest.approx(0.025)
    early = spending_boundaries([0.001, 1.0])
    assert early.upper[0] > 8 or early.upper[0] == inf
    assert early.upper[1] == pytest.approx(critical_value(0.05), rel=1e-6)


@pytest.mark.parametrize(
    ("call", "code", "message"),
    [
        (lambda: spent(0.5, family="obff"), "unknown_family", "Did you mean 'obf'"),
        (lambda: spent(-1), "information_out_of_range", "share of the planned"),
        (lambda: spent(0.5, alpha=2), "alpha_out_of_range", "write 5%"),
        (lambda: spending_boundaries([0.5, 0.5]), "information_out_of_range", "rise"),
        (lambda: spending_boundaries([]), "information_out_of_range", "rise"),
        (
            lambda: spending_boundaries([0.5, 0.50001]),
            "information_out_of_range",
            "looks without news",
        ),
        (lambda: classical_boundaries(0), "looks_out_of_range", "1 or more"),
        (lambda: classical_boundaries(2, shape="o"), "unknown_family", "one of"),
        (
            lambda: inflation(classical_boundaries(2), power=1),
            "power_out_of_range",
            "write 80%",
        ),
        (
            lambda: asymmetric_boundaries([1.0], lower_exit=[], upper_exit=[0.1]),
            "length_mismatch",
            "one each a look",
        ),
        (
            lambda: asymmetric_boundaries([1.0], lower_exit=[0.5], upper_exit=[0.5]),
            "exit_out_of_range",
            "less than 1",
        ),
    ],
)
def test_misuse_says_what_was_seen(call, code, message):
    with pytest.raises(ParameterError, match=message) as info:
        call()
    assert info.value.code == code
