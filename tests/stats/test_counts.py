from math import inf, nan

import numpy as np
import pytest
from scipy import stats

from growth.errors import ParameterError
from growth.stats.counts import (
    chi2_goodness_of_fit,
    chi2_independence,
    clopper_pearson,
)
from tests.stats.cases import golden, near


@golden("srm_chi2")
def test_goodness_of_fit_matches_the_golden_cases(case):
    counts, weights = case["input"]["counts"], case["input"]["weights"]
    opened = [(c, w) for c, w in zip(counts, weights, strict=True) if w]
    total, share = sum(c for c, _ in opened), sum(w for _, w in opened)
    got = chi2_goodness_of_fit(
        [c for c, _ in opened], [total * w / share for _, w in opened]
    )
    assert got.statistic == near(case["expected"]["statistic"], case)
    assert got.df == case["expected"]["df"]
    assert got.p_value == near(case["expected"]["p_value"], case)


def test_the_far_tail_is_not_zero():
    got = chi2_goodness_of_fit([51_500, 48_500], [50_000, 50_000])
    assert got.p_value == pytest.approx(stats.chi2.sf(90, 1), rel=1e-9, abs=0)
    assert got.p_value > 0


@pytest.mark.parametrize(
    ("observed", "expected"),
    [
        ([1], [1]),
        ([1, 2], [1]),
        ([1, 2], [3, 0]),
        ([1, 2], [3, nan]),
        ([1, 2], [3, inf]),
    ],
)
def test_expected_counts_are_positive(observed, expected):
    with pytest.raises(ParameterError, match="expected above 0") as info:
        chi2_goodness_of_fit(observed, expected)
    assert info.value.code == "bad_expected_counts"


def test_independence_matches_scipy():
    rng = np.random.default_rng(3)
    for shape in ((2, 2), (3, 2), (4, 5)):
        table = rng.integers(1, 200, shape)
        want = stats.chi2_contingency(table, correction=False)
        got = chi2_independence(table.tolist())
        assert got.statistic == pytest.approx(want.statistic, rel=1e-9)
        assert got.df == want.dof
        assert got.p_value == pytest.approx(want.pvalue, rel=1e-9, abs=0)


def test_empty_rows_and_columns_take_no_part():
    assert chi2_independence([[5, 9], [0, 0], [7, 2]]) == chi2_independence(
        [[5, 9], [7, 2]]
    )
    assert chi2_independence([[5, 0], [7, 0]]) is None
    assert chi2_independence([[0, 0], [7, 1]]) is None


@golden("aa_rerandomisation")
def test_clopper_pearson_matches_the_golden_case(case):
    assert clopper_pearson(27, 500) == near(
        tuple(case["expected"]["rejections_27_of_500_ci"]), case
    )


def test_clopper_pearson_matches_scipy_at_the_edges_too():
    for x, n in ((0, 10), (10, 10), (3, 17), (1, 1)):
        want = stats.binomtest(x, n).proportion_ci(0.9, method="exact")
        assert clopper_pearson(x, n, alpha=0.1) == pytest.approx(
            (want.low, want.high), rel=1e-9
        )
    assert clopper_pearson(0, 0) is None


@pytest.mark.parametrize(
    ("args", "alpha", "code", "message"),
    [
        ((3, 2), 0.05, "bad_counts", "3 of 2"),
        ((-1, 2), 0.05, "bad_counts", "-1 of 2"),
        ((1, 2), 1, "alpha_out_of_range", "write 5%"),
    ],
)
def test_impossible_counts_are_refused(args, alpha, code, message):
    with pytest.raises(ParameterError, match=message) as info:
        clopper_pearson(*args, alpha=alpha)
    assert info.value.code == code
