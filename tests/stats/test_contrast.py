import warnings
from math import inf, isfinite, nan, sqrt

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from growth.errors import ParameterError
from growth.stats.contrast import (
    ArmEstimate,
    Contrast,
    critical_value,
    fieller,
    upper_tail,
)
from growth.stats.means import mean
from tests.stats.cases import golden, moments, near


def contrast(case):
    arms = (case["input"][arm] for arm in ("control", "treatment"))
    return Contrast(*(mean(moments(arm, ("y",))) for arm in arms))


@golden("mean_welch", "lift_fieller")
def test_welch_and_fieller_match_the_golden_cases(case):
    if "columns" in case["input"]:
        case["input"]["columns"] = ["y"]
    c, want, alpha = contrast(case), case["expected"], case["input"]["alpha"]
    for name in ("estimate", "se", "df", "statistic", "p_value", "lift"):
        if name in want:
            assert getattr(c, name) == near(want[name], case), name
    if "lift" not in want:
        assert c.interval(alpha) == near(want["ci"], case)
    else:
        assert c.critical(alpha) == near(want["critical"], case)
        ends = c.lift_interval(alpha)
        assert ends is None if want["ci"] is None else ends == near(want["ci"], case)


@golden("noninferiority_mean_absolute")
def test_an_absolute_margin_matches_the_golden_case(case):
    c, want, given_ = contrast(case), case["expected"], case["input"]
    better = c.noninferiority(given_["margin_abs"], good=given_["good"])
    both = c.equivalence(given_["margin_abs"])
    assert better.statistic == near(want["t_lower"], case)
    assert better.p_value == near(want["p_noninferior"], case)
    assert both.above == better
    assert -both.below.statistic == near(want["t_upper"], case)
    assert both.below.p_value == near(want["p_not_superior_by_margin"], case)
    assert both.p_value == near(want["p_tost"], case)
    assert c.interval(0.05) == near(want["ci"], case)


@golden("noninferiority_relative")
def test_a_relative_margin_matches_the_golden_case(case):
    c, want, given_ = contrast(case), case["expected"], case["input"]
    test = c.noninferiority(given_["margin_rel"], good=given_["good"], relative=True)
    assert test.statistic == near(want["statistic"], case)
    assert test.df == near(want["df"], case)
    assert test.p_value == near(want["p_noninferior"], case)


def arm(m, v, n=50):
    return ArmEstimate(n, m, v, n - 1)


values = st.floats(-1e4, 1e4).filter(lambda m: abs(m) > 1e-3 or m == 0)
variances = st.floats(1e-4, 1e4)
sizes = st.integers(2, 10_000)
arms = st.builds(arm, values, variances, sizes)
alphas = st.floats(0.001, 0.5)


@given(arms, arms)
def test_swapping_the_arms_flips_the_sign(a, b):
    one, two = Contrast(a, b), Contrast(b, a)
    assert one.estimate == -two.estimate
    assert one.statistic == -two.statistic
    assert one.p_value == two.p_value
    assert one.df == pytest.approx(two.df, rel=1e-12)
    low, high = one.interval(0.05)
    assert two.interval(0.05) == pytest.approx((-high, -low), rel=1e-12)


@given(arms, arms, alphas, st.floats(-0.9, 0.9))
def test_difference_lift_and_p_value_agree(a, b, alpha, rho):
    c = Contrast(a, b, rho * sqrt(a.variance) * sqrt(b.variance))
    assume(abs(c.p_value / alpha - 1) > 1e-7)
    rejected = c.p_value < alpha
    low, high = c.interval(alpha)
    assert (low > 0 or high < 0) == rejected
    ends = c.lift_interval(alpha)
    if ends is not None:
        assert ends[0] <= c.lift <= ends[1]
        assert (ends[0] > 0 or ends[1] < 0) == rejected
        assert c.lift == 0 or (c.lift > 0) == (c.estimate > 0)


@given(arms, arms, alphas)
def test_each_end_of_the_lift_is_where_its_own_test_stands_at_the_level(a, b, alpha):
    c = Contrast(a, b)
    q = c.critical(alpha)
    room = 1 - q * q * a.variance / a.value**2 if a.value else -1
    ends = c.lift_interval(alpha)
    assert ends is not None or room < 1e-9
    assume(room > 1e-3)
    up = 1 if a.value > 0 else -1
    for end in ends:
        at = c.distance_of_ratio(1 + up * end)
        assert abs(at) == pytest.approx(q, rel=1e-5)


@given(arms, arms, st.floats(1e-3, 1e3))
def test_the_unit_of_the_metric_does_not_matter(a, b, k):
    def scaled(x):
        return ArmEstimate(x.n, x.value * k, x.variance * k * k, x.df)

    one, two = Contrast(a, b), Contrast(scaled(a), scaled(b))
    assert two.df == pytest.approx(one.df, rel=1e-9)
    assert two.se == pytest.approx(one.se * k, rel=1e-9)
    assert two.statistic == pytest.approx(one.statistic, rel=1e-6, abs=1e-9)


@given(arms, arms, st.floats(0, 2), st.sampled_from(["up", "down"]), st.booleans())
def test_the_interval_shown_is_the_interval_that_decides(a, b, margin, good, relative):
    c = Contrast(a, b)
    ends = c.lift_interval(0.05) if relative else c.interval(0.05)
    test = c.noninferiority(margin, good=good, relative=relative)
    assume(ends is not None and test is not None)
    assume(abs(test.p_value - 0.025) > 1e-7)
    worst = ends[0] if good == "up" else -ends[1]
    assert (worst > -margin) == (test.p_value < 0.025)
    both = c.equivalence(margin, relative=relative)
    assert (ends[0] > -margin and ends[1] < margin) == (both.p_value < 0.025)


def test_a_negative_control_is_mirrored():
    c = Contrast(arm(-10.0, 0.04), arm(-9.9, 0.04))
    d = Contrast(arm(10.0, 0.04), arm(9.9, 0.04))
    low, high = d.lift_interval(0.05)
    assert c.lift == pytest.approx(0.01)
    assert c.lift_interval(0.05) == pytest.approx((-high, -low))
    up, down = (
        x.noninferiority(0.02, relative=True, good=g)
        for x, g in ((c, "up"), (d, "down"))
    )
    assert up.statistic == pytest.approx(down.statistic)


def test_summaries_match_scipy():
    rng = np.random.default_rng(7)
    for _ in range(200):
        a, b = (rng.lognormal(0, 1, rng.integers(2, 60)) for _ in range(2))
        c = Contrast(*(arm(x.mean(), x.var(ddof=1) / len(x), len(x)) for x in (a, b)))
        want = stats.ttest_ind(b, a, equal_var=False)
        assert c.statistic == pytest.approx(want.statistic, rel=1e-9, abs=1e-12)
        assert c.p_value == pytest.approx(want.pvalue, rel=1e-9, abs=0)
        ends = want.confidence_interval(0.9)
        assert c.interval(0.1) == pytest.approx((ends.low, ends.high), rel=1e-9)


def test_tails_keep_their_digits():
    assert upper_tail(38.0) == pytest.approx(stats.norm.sf(38.0), rel=1e-9, abs=0)
    assert upper_tail(1e5, 3.3) == pytest.approx(stats.t.sf(1e5, 3.3), rel=1e-9, abs=0)
    assert critical_value(0.05) == pytest.approx(1.959963984540054, rel=1e-12)
    assert critical_value(1e-9, 12) == pytest.approx(stats.t.isf(5e-10, 12), rel=1e-9)


NOTHING = ArmEstimate(0, None, None, -1)
ONE = ArmEstimate(1, 3.0, None, 0)
FLAT = ArmEstimate(9, 2.0, 0.0, 8)
GOOD = ArmEstimate(9, 3.0, 0.5, 8)


@pytest.mark.parametrize(
    ("a", "b", "estimate"),
    [
        (NOTHING, GOOD, None),
        (GOOD, NOTHING, None),
        (ONE, GOOD, 0.0),
        (FLAT, GOOD, 1.0),
        (GOOD, FLAT, -1.0),
        (FLAT, FLAT, 0.0),
        (ArmEstimate(5, 0.0, 0.0), ArmEstimate(5, 1.0, 0.0), 1.0),
        (ArmEstimate(5, inf, 1.0, 4), GOOD, None),
        (ArmEstimate(5, nan, nan, 4), GOOD, None),
        (ArmEstimate(5, 1e300, inf, 4), GOOD, -1e300),
        (ArmEstimate(5, 1e300, 1.7e308, 4), ArmEstimate(5, 1e300, 1.7e308, 4), 0.0),
        (ArmEstimate(5, -1.7e308, 1.0, 4), ArmEstimate(5, 1.7e308, 1.0, 4), None),
    ],
)
def test_what_cannot_be_computed_is_none(a, b, estimate):
    c = Contrast(a, b)
    assert c.estimate == estimate
    assert c.p_value is None
    assert c.statistic is None
    assert c.interval(0.05) is None
    assert c.lift_interval(0.05) is None
    assert c.noninferiority(0.1) is None
    assert c.equivalence(0.1, relative=True) is None


def test_a_share_of_nothing_in_one_arm_is_still_an_observation():
    c = Contrast(ArmEstimate(5000, 0.0, 0.0), ArmEstimate(5000, 0.006, 1.2e-6))
    assert c.p_value == pytest.approx(4.3e-8, rel=0.02)
    assert c.lift is None
    assert c.lift_interval(0.05) is None
    assert c.noninferiority(0.1, relative=True) is None


def test_perfectly_correlated_arms_have_no_error_left():
    c = Contrast(arm(1.0, 2.0), arm(2.0, 2.0), covariance=2.0)
    assert c.se is None
    assert c.p_value is None


extremes = st.floats(allow_nan=True, allow_infinity=True)


@given(extremes, extremes, extremes, extremes, st.integers(0, 5))
def test_no_input_gives_nan_infinity_or_a_warning(m0, m1, v0, v1, n):
    c = Contrast(ArmEstimate(n, m0, v0, n - 1), ArmEstimate(n, m1, v1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        seen = [c.estimate, c.se, c.statistic, c.p_value, c.lift, c.distance(1.0)]
        seen += [*(c.interval(0.05) or ()), *(c.lift_interval(0.05) or ())]
        for relative in (False, True):
            test = c.noninferiority(0.1, relative=relative)
            seen += [] if test is None else [test.statistic, test.p_value]
    assert all(x is None or isfinite(x) for x in seen), seen


def test_huge_values_are_computed_where_they_can_be():
    a, b = arm(1e153, 1e303), arm(1.1e153, 1e303)
    c = Contrast(a, b)
    assert c.lift == pytest.approx(0.1)
    assert c.df == pytest.approx(98)
    low, high = c.lift_interval(0.05)
    assert low < 0.1 < high


@pytest.mark.parametrize("alpha", [0, 1, -0.1, 5, nan])
def test_alpha_is_a_level(alpha):
    with pytest.raises(ParameterError, match=r"must be in \(0, 1\)") as info:
        Contrast(GOOD, GOOD).interval(alpha)
    assert info.value.code == "alpha_out_of_range"


@pytest.mark.parametrize("margin", [-0.1, nan, inf])
def test_a_margin_is_a_size(margin):
    for ask in (Contrast(GOOD, GOOD).noninferiority, Contrast(GOOD, GOOD).equivalence):
        with pytest.raises(ParameterError, match="must be 0 or more") as info:
            ask(margin)
        assert info.value.code == "margin_out_of_range"


def test_a_direction_is_up_or_down():
    with pytest.raises(ParameterError, match="Did you mean 'down'") as info:
        Contrast(GOOD, GOOD).noninferiority(0.1, good="dwon")
    assert info.value.code == "unknown_direction"


def test_fieller_is_unbounded_where_the_control_may_be_zero():
    assert fieller(1.0, 2.0, 0.25, 0.1, critical=2.0) is None
    assert fieller(1.0, 2.0, 0.2499, 0.1, critical=2.0) is not None


@pytest.mark.parametrize(
    ("share", "n", "truth"), [(0.03, 5000, 0.0), (0.03, 5000, 0.2), (0.03, 400, 0.5)]
)
def test_the_lift_interval_covers_as_often_as_it_says(share, n, truth):
    rng = np.random.default_rng(12)
    x0, x1 = (rng.binomial(n, p, 3000) for p in (share, share * (1 + truth)))
    covered = unbounded = 0
    for a, b in zip(x0.tolist(), x1.tolist(), strict=True):
        p0, p1 = a / n, b / n
        v0, v1 = p0 * (1 - p0) / n, p1 * (1 - p1) / n
        ends = fieller(p0, p1, v0, v1, critical=1.959963984540054)
        unbounded += ends is None
        covered += ends is None or ends[0] <= truth <= ends[1]
    assert covered / 3000 >= 0.94
    assert unbounded / 3000 < 0.1


def test_an_a_a_test_cries_wolf_as_often_as_it_says():
    rng = np.random.default_rng(13)
    wolf = 0
    for _ in range(3000):
        a, b = (mean_of(rng.lognormal(size=200)) for _ in range(2))
        wolf += Contrast(a, b).p_value < 0.05
    assert 0.035 < wolf / 3000 < 0.065


def mean_of(x):
    return arm(float(x.mean()), float(x.var(ddof=1)) / len(x), len(x))
