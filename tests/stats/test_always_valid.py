from math import exp, inf, log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import default_rng
from scipy import stats

from growth.errors import DataError, ParameterError
from growth.stats.always_valid import (
    bernoulli_interval,
    best_rho,
    hybrid,
    kappa,
    mixture_test,
    normal_mixture_boundary,
    normal_mixture_log,
    one_sided_boundary,
    one_sided_log,
    planned_critical,
    rare_shares,
    running_p,
    sequence_critical,
)
from growth.stats.contrast import ArmEstimate, Contrast
from tests.stats.cases import golden, near


@golden("confidence_sequence_normal_mixture")
def test_the_normal_mixture_matches_the_golden_case(case):
    given_, want = case["input"], case["expected"]
    rho = best_rho(given_["v_opt"], alpha=given_["alpha_opt"])
    assert rho == near(want["rho"], case)
    assert normal_mixture_log(given_["s"], given_["v"], rho=rho) == near(
        want["log_mixture"], case
    )
    assert normal_mixture_boundary(given_["v"], rho=rho) == near(want["boundary"], case)


@golden("confidence_sequence_normal_mixture_one_sided")
def test_the_one_sided_mixture_matches_the_golden_case(case):
    given_, want = case["input"], case["expected"]
    rho = best_rho(given_["v_opt"], alpha=2 * given_["alpha_opt"])
    assert one_sided_log(given_["s"], given_["v"], rho=rho) == near(
        want["log_mixture"], case
    )
    assert one_sided_boundary(given_["v"], rho=rho) == near(want["boundary"], case)


@golden("confidence_sequence_bernoulli")
def test_bernoulli_sequences_match_the_golden_cases(case):
    kwargs = dict(case["input"])
    ends = bernoulli_interval(kwargs.pop("successes"), kwargs.pop("n"), **kwargs)
    assert ends == near(tuple(case["expected"]["ci"]), case)


@golden("always_valid_normal_mixture")
def test_msprt_matches_the_golden_case(case):
    got = mixture_test(
        case["input"]["estimate"],
        case["input"]["se"],
        tau=case["input"]["tau"],
        alpha=case["input"]["alpha"],
    )
    for name, want in case["expected"].items():
        assert getattr(got, name) == near(want, case), name


@golden("always_valid_critical")
def test_the_critical_value_by_information_matches_the_golden_case(case):
    assert kappa(case["input"]["alpha"]) == near(case["expected"]["kappa"], case)
    for t, want in case["expected"]["critical"].items():
        assert planned_critical(float(t)) == near(want, case)


@golden("hybrid")
def test_the_hybrid_matches_the_golden_case(case):
    plan, want = hybrid(alpha=case["input"]["alpha"]), case["expected"]
    assert plan.alpha_monitor == near(case["input"]["alpha_monitor"], case)
    assert kappa(plan.alpha_monitor) == near(want["kappa"], case)
    found = [plan.monitor_critical(t) for t in case["input"]["information"]]
    assert found == near(want["monitor_critical"], case)
    assert plan.final_critical == near(want["final_critical"], case)
    assert plan.alpha_monitor + plan.alpha_final == pytest.approx(0.05)


@given(
    st.floats(-5, 5),
    st.floats(0.01, 10),
    st.floats(0.01, 10),
    st.sampled_from([0.01, 0.05, 0.2]),
)
def test_the_interval_leaves_out_0_exactly_where_p_is_below_alpha(d, se, tau, alpha):
    got = mixture_test(d, se, tau=tau, alpha=alpha)
    if abs(abs(d) - got.half_width) > 1e-9 * got.half_width:
        assert (abs(d) > got.half_width) == (got.p_value < alpha)


def test_the_mixture_is_the_integral_it_claims_to_be():
    d, se, tau = 0.3, 0.2, 0.5
    x = np.linspace(-6, 6, 200_001)
    ratio = np.exp((d * x - x * x / 2) / se**2)
    want = np.trapezoid(ratio * stats.norm.pdf(x, scale=tau), x)
    assert mixture_test(d, se, tau=tau).bayes_factor == pytest.approx(want, rel=1e-8)


def test_far_out_the_bayes_factor_is_infinite_and_p_is_small():
    got = mixture_test(60.0, 1.0, tau=1.0)
    assert got.bayes_factor == inf
    assert mixture_test(30.0, 1.0, tau=1.0).p_value == pytest.approx(
        sqrt(2) * exp(-225), rel=1e-9, abs=0
    )


def test_watching_every_look_keeps_the_error():
    rng = np.random.default_rng(2)
    n = np.arange(1, 41) * 50
    sums = np.cumsum(rng.normal(size=(4000, 40)) * sqrt(50), axis=1)
    z = sums / np.sqrt(n)
    q = np.array([planned_critical(k / 2000) for k in n])
    rate = (np.abs(z) > q).any(axis=1).mean()
    assert rate < 0.05 + 3 * sqrt(0.05 * 0.95 / 4000)
    plan = hybrid()
    watched = np.array([plan.monitor_critical(k / 2000) for k in n])
    both = (np.abs(z) > watched).any(axis=1) | (np.abs(z[:, -1]) > plan.final_critical)
    assert both.mean() < 0.05 + 3 * sqrt(0.05 * 0.95 / 4000)
    assert both.mean() > 0.03


def test_the_critical_value_is_smallest_near_the_planned_size():
    values = {t: planned_critical(t) for t in (0.01, 0.1, 0.5, 1, 2, 10, 100)}
    assert min(values, key=values.get) == 1
    assert sequence_critical(kappa()) == values[1]


def test_running_p_never_rises():
    assert running_p([None, 0.5, 0.7, None, 0.2, 0.3]) == (
        None,
        0.5,
        0.5,
        0.5,
        0.2,
        0.2,
    )


@given(st.integers(0, 60), st.integers(0, 60))
def test_bernoulli_sequences_are_symmetric_and_hold_the_share(x, more):
    n = x + more
    low, high = bernoulli_interval(x, n, t_opt=100)
    assert 0 <= low <= high <= 1
    assert n == 0 or low <= x / n <= high
    swapped = bernoulli_interval(n - x, n, t_opt=100)
    assert swapped == pytest.approx((1 - high, 1 - low), rel=1e-9, abs=1e-9)


def test_bernoulli_sequences_shrink_and_widen_with_alpha():
    wide = bernoulli_interval(300, 1000, alpha=0.01)
    tight = bernoulli_interval(300, 1000, alpha=0.1)
    assert wide[0] < tight[0] < 0.3 < tight[1] < wide[1]
    assert bernoulli_interval(0, 0) == (0.0, 1.0)


def test_the_hybrid_decides_by_the_interval_of_the_moment():
    plan = hybrid()
    c = Contrast(ArmEstimate(9, 0.0, 0.5), ArmEstimate(9, 3.0, 0.5))
    assert plan.interval(c, 1.0, final=True)[0] == pytest.approx(
        3 - plan.final_critical
    )
    assert plan.interval(c, 0.5)[0] == pytest.approx(3 - plan.monitor_critical(0.5))
    assert plan.interval(Contrast(c.control, ArmEstimate(0, None, None)), 1.0) is None


def test_one_sided_boundaries_reach_their_level():
    for v in (0.1, 10, 1e4):
        s = one_sided_boundary(v, rho=12.0, alpha=0.01)
        assert one_sided_log(s, v, rho=12.0) == pytest.approx(-log(0.01), rel=1e-9)


@pytest.mark.parametrize(
    ("call", "error", "code", "message"),
    [
        (lambda: kappa(0), ParameterError, "alpha_out_of_range", "write 5%"),
        (lambda: mixture_test(1, 0, tau=1), ParameterError, "bad_scale", "se is 0"),
        (lambda: mixture_test(1, 1, tau=0), ParameterError, "bad_scale", "tau is 0"),
        (lambda: planned_critical(0), ParameterError, "bad_scale", "information is 0"),
        (lambda: best_rho(-1), ParameterError, "bad_scale", "v is -1"),
        (lambda: hybrid(monitor_share=1), ParameterError, "alpha_out_of_range", "is 1"),
        (lambda: bernoulli_interval(3, 2), DataError, "bad_counts", "impossible"),
    ],
)
def test_misuse_says_what_was_seen(call, error, code, message):
    with pytest.raises(error, match=message) as info:
        call()
    assert info.value.code == code


def test_rare_shares_exclude_no_difference_exactly_when_p_is_small():
    for x0, x1, weight in ((0, 9, 0.5), (3, 30, 0.5), (40, 20, 0.3), (500, 610, 0.5)):
        for alpha in (0.2, 0.05, 0.01):
            found = rare_shares((x0, 10_000), (x1, 10_000), weight=weight, alpha=alpha)
            outside = found.lift_low > 0 or found.lift_high < 0
            assert outside == (found.p_value < alpha)
    none = rare_shares((0, 50), (0, 50))
    assert none == (1.0, None, -1.0, inf)
    with pytest.raises(DataError, match="impossible"):
        rare_shares((3, 2), (0, 2))


def test_rare_shares_keep_alpha_however_often_one_looks():
    rng = default_rng(11)
    runs, events, alarms = 400, 300, 0
    sides = rng.random((runs, events)) < 0.5
    for run in sides.cumsum(axis=1):
        alarms += any(
            rare_shares((k - int(run[k - 1]), 10**6), (int(run[k - 1]), 10**6)).p_value
            < 0.1
            for k in range(1, events + 1, 3)
        )
    assert alarms <= 52  # 40 at most expected; more than 52 has chance 0.02
