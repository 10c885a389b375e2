from math import inf, sqrt

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import (
    confint_proportions_2indep,
    proportion_confint,
    proportions_ztest,
)
from statsmodels.stats.proportion import (
    test_proportions_2indep as sm_two_shares,
)

from growth.errors import DataError, ParameterError
from growth.stats.contrast import critical_value
from growth.stats.moments import Moments
from growth.stats.proportions import (
    TESTS,
    Share,
    agresti_caffo,
    compare,
    constrained_difference,
    constrained_ratio,
    low_counts,
    miettinen_nurminen,
    newcombe,
    pooled_z,
    proportion,
    ratio_log,
    score_noninferiority,
    share,
    wald,
    wilson,
)
from tests.stats.cases import golden, near


def shares(case):
    return (Share(*case["input"][arm]) for arm in ("control", "treatment"))


@golden("proportion_pooled_z")
def test_pooled_z_matches_the_golden_case(case):
    c = pooled_z(*shares(case))
    assert c.statistic == near(case["expected"]["statistic"], case)
    assert c.p_value == near(case["expected"]["p_value"], case)


@golden("proportion_wald")
def test_wald_matches_the_golden_case(case):
    c, want = wald(*shares(case)), case["expected"]
    for name in ("estimate", "se", "statistic", "p_value"):
        assert getattr(c, name) == near(want[name], case), name
    assert c.interval(case["input"]["alpha"]) == near(want["ci"], case)


@golden("proportion_intervals")
def test_intervals_match_the_golden_case(case):
    for name, want in case["expected"].items():
        c = compare(*shares(case), test=name)
        assert c.interval(case["input"]["alpha"]) == near(want, case), name


@golden("proportion_ratio_log")
def test_the_log_ratio_matches_the_golden_case(case):
    got = ratio_log(*shares(case), alpha=case["input"]["alpha"])
    assert got.ratio == near(case["expected"]["ratio"], case)
    assert got.interval == near(case["expected"]["ci"], case)


@golden("noninferiority_proportion_score")
def test_the_score_test_matches_the_golden_case(case):
    want, margin = case["expected"], case["input"]["margin"]
    for variant in ("farrington_manning", "miettinen_nurminen"):
        z, p = score_noninferiority(*shares(case), margin, variant=variant)
        assert z == near(want[f"statistic_{variant}"], case)
        assert p == near(want[f"p_{variant}"], case)
    c = miettinen_nurminen(*shares(case))
    below = c.equivalence(margin).below
    assert -below.statistic == near(
        want["tost_upper_statistic_miettinen_nurminen"], case
    )


def random_pairs(count=60, seed=11):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        n0, n1 = (int(n) for n in rng.integers(5, 400, 2))
        yield Share(int(rng.integers(1, n0)), n0), Share(int(rng.integers(1, n1)), n1)


def test_statsmodels_agrees_where_it_is_right():
    for a, b in random_pairs():
        z, p = proportions_ztest([b.successes, a.successes], [b.n, a.n])
        assert pooled_z(a, b).statistic == pytest.approx(z, rel=1e-9, abs=1e-12)
        assert pooled_z(a, b).p_value == pytest.approx(p, rel=1e-9, abs=0)
        both = (b.successes, b.n, a.successes, a.n)
        want = sm_two_shares(*both, method="wald", compare="diff")
        assert wald(a, b).p_value == pytest.approx(want.pvalue, rel=1e-9, abs=0)
        want = sm_two_shares(*both, method="agresti-caffo", compare="diff")
        assert agresti_caffo(a, b).p_value == pytest.approx(
            want.pvalue, rel=1e-9, abs=0
        )
        for ours, theirs in (
            ("wald", "wald"),
            ("newcombe", "newcomb"),
            ("agresti_caffo", "agresti-caffo"),
        ):
            ends = confint_proportions_2indep(*both, method=theirs, compare="diff")
            assert compare(a, b, test=ours).interval(0.05) == pytest.approx(
                ends, rel=1e-9, abs=1e-12
            )
        low, high = confint_proportions_2indep(*both, method="log", compare="ratio")
        assert ratio_log(a, b).interval == pytest.approx((low, high), rel=1e-9)
        ends = proportion_confint(a.successes, a.n, method="wilson")
        assert wilson(a) == pytest.approx(ends, rel=1e-9)


def log_likelihood(counts, p):
    (x, n) = counts
    p = np.clip(p, 1e-300, 1 - 1e-16)
    return x * np.log(p) + (n - x) * np.log1p(-p)


counts_ = st.integers(1, 300).flatmap(
    lambda n: st.tuples(st.integers(0, n), st.just(n)).map(lambda c: Share(*c))
)


@given(counts_, counts_, st.floats(-0.99, 0.99))
@example(Share(0, 10), Share(3, 7), 0.2)
@example(Share(10, 10), Share(7, 7), 0.3)
@example(Share(0, 10), Share(0, 7), -0.3)
@example(Share(5, 10), Share(0, 7), -0.3)
@example(Share(5, 10), Share(7, 7), -0.3)
@settings(max_examples=150)
def test_the_constrained_shares_are_the_most_likely(a, b, shift):
    p0, p1 = constrained_difference(a, b, shift)
    assert p1 - p0 == pytest.approx(shift, abs=1e-12)
    assert 0 <= p0 <= 1
    assert 0 <= p1 <= 1
    best = log_likelihood(a, p0) + log_likelihood(b, p1)
    grid = np.linspace(max(0, -shift), min(1, 1 - shift), 401)
    other = log_likelihood(a, grid) + log_likelihood(b, grid + shift)
    assert best >= other.max() - 1e-9 * abs(other.max()) - 1e-9


@given(counts_, counts_, st.floats(0.05, 20))
@settings(max_examples=100)
def test_the_constrained_shares_of_a_ratio_are_the_most_likely(a, b, ratio):
    p0, p1 = constrained_ratio(a, b, ratio)
    assert p1 == pytest.approx(ratio * p0, rel=1e-12, abs=1e-15)
    best = log_likelihood(a, p0) + log_likelihood(b, p1)
    grid = np.linspace(0, min(1, 1 / ratio), 401)
    other = log_likelihood(a, grid) + log_likelihood(b, ratio * grid)
    assert best >= other.max() - 1e-6 * abs(other.max()) - 1e-9


every_test = pytest.mark.parametrize("test", list(TESTS))


@every_test
@given(a=counts_, b=counts_, alpha=st.sampled_from([0.3, 0.05, 0.001]))
@settings(max_examples=60, deadline=None)
def test_p_value_interval_and_lift_agree(test, a, b, alpha):
    c = compare(a, b, test=test)
    assume(c.p_value is not None and abs(c.p_value / alpha - 1) > 1e-6)
    rejected = c.p_value < alpha
    low, high = c.interval(alpha)
    assert (low > 0 or high < 0) == rejected
    ends = c.lift_interval(alpha)
    if ends is not None:
        assert ends[0] <= ends[1]
        assert (ends[0] > 0 or ends[1] < 0) == rejected
        if test != "agresti_caffo":
            assert low - 1e-9 <= c.estimate <= high + 1e-9
            assert ends[0] - 1e-9 <= c.lift <= ends[1] + 1e-9


@every_test
@given(a=counts_, b=counts_)
@settings(max_examples=40, deadline=None)
def test_swapping_the_arms_flips_the_sign(test, a, b):
    one, two = compare(a, b, test=test), compare(b, a, test=test)
    assume(one.p_value is not None)
    assert one.estimate == -two.estimate
    assert one.statistic == pytest.approx(-two.statistic, rel=1e-9, abs=1e-9)
    assert one.p_value == pytest.approx(two.p_value, rel=1e-7, abs=0)
    low, high = one.interval(0.05)
    assert two.interval(0.05) == pytest.approx((-high, -low), rel=1e-7, abs=1e-9)


@every_test
@given(
    a=counts_,
    b=counts_,
    margin=st.floats(0.01, 0.4),
    relative=st.booleans(),
    good=st.sampled_from(["up", "down"]),
)
@settings(max_examples=40, deadline=None)
def test_the_interval_shown_decides_non_inferiority(test, a, b, margin, relative, good):
    c = compare(a, b, test=test)
    got = c.noninferiority(margin, good=good, relative=relative)
    ends = c.lift_interval(0.05) if relative else c.interval(0.05)
    assume(got is not None and ends is not None)
    assume(abs(got.p_value - 0.025) > 1e-6)
    worst = ends[0] if good == "up" else -ends[1]
    assert (worst > -margin) == (got.p_value < 0.025)


@every_test
def test_large_samples_give_one_answer(test):
    c = compare(Share(30_000, 10**6), Share(30_600, 10**6), test=test)
    assert c.p_value == pytest.approx(wald(*pair()).p_value, rel=1e-2)
    low, high = c.interval(0.05)
    assert (low, high) == pytest.approx(wald(*pair()).interval(0.05), rel=1e-2)
    assert c.lift_interval(0.05) == pytest.approx(
        wald(*pair()).lift_interval(0.05), rel=1e-2
    )


def pair():
    return Share(30_000, 10**6), Share(30_600, 10**6)


@every_test
def test_far_tails_keep_their_digits(test):
    c = compare(Share(30_000, 10**6), Share(36_000, 10**6), test=test)
    assert 0 < c.p_value < 1e-110


@every_test
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((0, 0), (3, 5)),
        ((3, 5), (0, 0)),
        ((0, 5), (0, 9)),
        ((5, 5), (9, 9)),
        ((0, 5), (9, 9)),
        ((5, 5), (0, 9)),
        ((0, 5), (1, 9)),
        ((1, 1), (0, 1)),
    ],
)
def test_empty_and_extreme_arms_give_numbers_or_none(test, a, b):
    c = compare(Share(*a), Share(*b), test=test)
    seen = [c.estimate, c.se, c.statistic, c.p_value, c.lift]
    seen += [*(c.interval(0.05) or ()), *(c.lift_interval(0.05) or ())]
    for relative in (False, True):
        got = c.noninferiority(0.1, relative=relative)
        seen += [] if got is None else [got.statistic, got.p_value]
    assert all(x is None or abs(x) < 1e300 for x in seen), seen
    if not a[1] or not b[1]:
        assert (c.estimate, c.p_value, c.interval(0.05)) == (None, None, None)
    if c.interval(0.05):
        assert -1.2 <= c.interval(0.05)[0] <= c.interval(0.05)[1] <= 1.2


def test_a_lift_needs_control_successes():
    for test in TESTS:
        assert (
            compare(Share(0, 50), Share(9, 50), test=test).lift_interval(0.05) is None
        )
    low, high = miettinen_nurminen(Share(9, 50), Share(0, 50)).lift_interval(0.05)
    assert low == -1
    assert -1 < high < 0


def test_miettinen_nurminen_ends_satisfy_its_statistic():
    c = miettinen_nurminen(Share(14, 90), Share(31, 110))
    q = critical_value(0.1)
    low, high = c.interval(0.1)
    assert c.distance(low) == pytest.approx(q, rel=1e-9)
    assert c.distance(high) == pytest.approx(-q, rel=1e-9)
    low, high = c.lift_interval(0.1)
    assert c.distance_of_ratio(1 + low) == pytest.approx(q, rel=1e-9)
    assert c.distance_of_ratio(1 + high) == pytest.approx(-q, rel=1e-9)
    assert c.df == inf


def test_newcombe_p_is_the_level_at_which_the_interval_touches_zero():
    c = newcombe(Share(14, 90), Share(31, 110))
    low, _ = c.interval(c.p_value)
    assert low == pytest.approx(0, abs=1e-10)
    low, _ = c.lift_interval(c.p_value)
    assert low == pytest.approx(0, abs=1e-9)


def test_no_continuity_correction():
    a, b = Share(20, 100), Share(30, 100)
    se = sqrt(0.2 * 0.8 / 100 + 0.3 * 0.7 / 100)
    assert wald(a, b).statistic == pytest.approx(0.1 / se, rel=1e-12)


def test_counts_come_back_from_moments():
    m = Moments.of(("y",), [0, 1, 1, 0, 0, 0, 1])
    assert share(m) == Share(3, 7)
    assert proportion(m) == proportion(Share(3, 7))
    assert share(Moments.empty(("y",))) == Share(0, 0)
    assert proportion(Share(0, 0)).value is None
    assert share(Moments.from_summary(("y",), n=9, mean=[1 / 3], cov=0.2)) == Share(
        3, 9
    )
    assert Share(3, 12).rate == 0.25
    assert Share(0, 0).rate is None


@pytest.mark.parametrize("rows", [[0, 2, 1], [0, -1], [0.5, 1.5]])
def test_a_proportion_lies_between_0_and_1(rows):
    with pytest.raises(DataError, match="must be 0 or 1") as info:
        share(Moments.of(("y",), rows))
    assert info.value.code == "not_a_proportion"


def test_low_counts_look_at_both_sides():
    assert low_counts(Share(9, 100), Share(50, 100))
    assert low_counts(Share(50, 100), Share(91, 100))
    assert not low_counts(Share(10, 100), Share(90, 100))


@pytest.mark.parametrize("x", [Share(-1, 5), Share(6, 5)])
def test_impossible_counts_are_refused(x):
    with pytest.raises(DataError, match="impossible") as info:
        wald(x, Share(1, 2))
    assert info.value.code == "bad_counts"


def test_an_unknown_test_is_refused():
    with pytest.raises(ParameterError, match="name one of these") as info:
        compare(Share(1, 2), Share(1, 2), test="z")
    assert info.value.code == "unknown_test"


def test_the_log_ratio_needs_successes():
    assert ratio_log(Share(0, 5), Share(1, 5)) is None
    assert wilson(Share(0, 0)) is None
