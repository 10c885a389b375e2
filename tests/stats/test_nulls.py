"""Arrays of re-randomisations against the scalar forms, one draw at a time."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from growth.stats import means, nulls, proportions
from growth.stats.contrast import ArmEstimate, Contrast
from growth.stats.moments import Moments
from growth.stats.quantiles import unit_quantile
from growth.stats.strata import post_stratify

N, R = 240, 6


def units(seed=0, offset=0.0):
    """Return columns y, z1, z2 and the arms of R draws."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(N, 2))
    y = offset + z @ [1.0, 0.5] + rng.lognormal(size=N)
    x = 1.0 + rng.poisson(3, N)
    return np.column_stack([y, x, z]), rng.random((R, N)) < 0.4


def sums(columns, arms, shift):
    return arms @ nulls.products(columns - shift)


def near(found, want, rel=1e-9):
    want = np.array([np.nan if w is None else w for w in want], dtype=float)
    assert found == pytest.approx(want, rel=rel, nan_ok=True)


def test_products_are_those_of_whole_rows_and_may_be_written_in_place():
    columns = np.array([[1.0, 2.0], [3.0, np.nan], [5.0, 6.0]])
    found = nulls.products(columns)
    assert found.tolist() == [[1, 1, 2, 1, 2, 4], [0] * 6, [1, 5, 6, 25, 30, 36]]
    out = np.empty((5, 3))
    assert nulls.products(columns[[0, 2, 2]], out) is not None
    assert out.T.tolist() == found[[0, 2, 2], 1:].tolist()
    assert nulls.width(2) == 6


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_moments_means_and_ratios_are_the_scalar_ones(offset):
    columns, arms = units(offset=offset)
    shift = columns.mean(axis=0)
    arm = nulls.from_products(sums(columns, arms, shift), shift)
    rows = [Moments.of("yxab", columns[a]) for a in arms]
    assert arm.n.tolist() == [m.n for m in rows]
    near(arm.mean[:, 0], [m.mean[0] for m in rows])
    near(arm.comoment[:, 0, 2], [m.comoment[0, 2] for m in rows], 1e-6)
    plain, ratio = nulls.means(arm), nulls.ratios(arm)
    for name, found, scalar in (
        ("mean", plain, [means.mean(m, "y") for m in rows]),
        ("ratio", ratio, [means.ratio(m, "y", "x") for m in rows]),
    ):
        near(found.value, [e.value for e in scalar])
        near(found.variance, [e.variance for e in scalar], 1e-6)
        assert found.df.tolist() == [e.df for e in scalar], name


@pytest.mark.parametrize("names", ["a", "ab"])
def test_adjusted_means_are_the_scalar_ones(names):
    columns, arms = units()
    columns = columns[:, [0, 2, 3][: 1 + len(names)]]
    shift = columns.mean(axis=0)
    parts = [nulls.from_products(sums(columns, a, shift), shift) for a in (arms, ~arms)]
    for r in range(R):
        rows = {
            str(i): Moments.of(("y", *names), columns[a[r]])
            for i, a in enumerate((arms, ~arms))
        }
        whole = means.cuped(rows, "y", [*names])
        for method, theta in (("lin", None), ("cuped", whole.theta)):
            want = getattr(means, method)(rows, "y", [*names]).arms
            for i, part in enumerate(parts):
                found = nulls.adjusted(part, shift[1:], theta=theta).estimates
                assert found.value[r] == pytest.approx(want[str(i)].value, rel=1e-9)
                variance = want[str(i)].variance
                assert found.variance[r] == pytest.approx(variance, rel=1e-9)
                assert found.df[r] == want[str(i)].df


@pytest.mark.parametrize("k", [1, 2])
def test_hc2_is_nearly_the_exact_one(k):
    columns, arms = units(seed=4)
    columns = columns[:, [0, 2, 3][: 1 + k]]
    shift = columns.mean(axis=0)
    z = columns[:, 1:] - shift[1:]
    inverse = np.linalg.inv(z.T @ z)
    for a, share in ((arms, 0.4), (~arms, 0.6)):
        arm = nulls.from_products(sums(columns, a, shift), shift)
        fit = nulls.adjusted(arm, shift[1:])
        weights = nulls.leverage_weights(z, inverse, share)
        features = nulls.hc2_features(columns - shift, z, weights)
        assert features.shape[1] == nulls.hc2_width(1 + k, k)
        found = nulls.hc2(fit, arm, a @ features, shift, shift[1:])
        for r in range(R):
            exact = means.lin_hc2(columns[:, 0], columns[:, 1:], a[r].astype(int))
            assert found.value[r] == pytest.approx(exact.arms["1"].value, rel=1e-9)
            variance = exact.arms["1"].variance
            assert found.variance[r] == pytest.approx(variance, rel=0.01)


def test_covariates_that_cannot_be_told_apart_are_nan():
    columns, arms = units()
    columns = np.column_stack([columns[:, 0], columns[:, 2], 2 * columns[:, 2]])
    shift = columns.mean(axis=0)
    arm = nulls.from_products(sums(columns, arms, shift), shift)
    assert np.isnan(nulls.adjusted(arm, shift[1:]).estimates.value).all()


counts = st.tuples(st.integers(0, 40), st.integers(0, 40))


@example([((0, 1), (1, 0))])
@given(st.lists(st.tuples(counts, counts), min_size=1, max_size=4))
def test_tests_of_shares_are_the_scalar_ones(cells):
    """Counts of successes and failures, control then treatment."""
    pairs = [[proportions.Share(s, s + f) for s, f in cell] for cell in cells]
    sides = [
        nulls.shares(
            np.array([pair[i].n for pair in pairs], dtype=float),
            np.array([pair[i].successes for pair in pairs], dtype=float),
        )
        for i in (0, 1)
    ]
    for test in proportions.TESTS:
        found = nulls.share_test(*sides, test=test)
        for r, pair in enumerate(pairs):
            want = proportions.compare(*pair, test=test)
            if want.p_value is None or not 0 < sum(s.successes for s in pair) < sum(
                s.n for s in pair
            ):
                continue  # nobody, or everybody: no unit varies
            assert found.difference[r] == pytest.approx(want.estimate, abs=1e-12)
            assert found.p_value[r] == pytest.approx(want.p_value, rel=1e-6, abs=1e-12)


estimates = st.tuples(
    st.integers(1, 500),
    st.floats(-5, 5),
    st.floats(0, 4),
    st.sampled_from([7.0, np.inf]),
)


@given(estimates, estimates)
def test_welch_and_unbounded_lifts_are_the_contrast(one, two):
    pair = Contrast(*(ArmEstimate(*e) for e in (one, two)))
    arrays = [
        nulls.Estimates(*(np.array([float(part)]) for part in e)) for e in (one, two)
    ]
    found = nulls.welch(*arrays)
    if pair.p_value is None or pair.se is None:
        assert np.isnan(found.p_value[0]) or pair.estimate is None
        return
    assert found.p_value[0] == pytest.approx(pair.p_value, rel=1e-9, abs=1e-300)
    assert found.se[0] == pytest.approx(pair.se, rel=1e-12)
    lost = nulls.unbounded_lifts(arrays[0], found, alpha=0.05)[0]
    if one[1] and abs(one[1]) > 1e-150:
        assert lost == (pair.lift_interval(0.05) is None)


@pytest.mark.parametrize("ratio", [False, True])
def test_strata_are_the_scalar_ones(ratio):
    columns, arms = units()
    columns = columns[:, :2] if ratio else columns[:, :1]
    stratum = np.arange(N) % 3
    shift = columns.mean(axis=0)
    names = "yx"[: columns.shape[1]]
    weights = np.bincount(stratum) / N
    parts = [
        [
            nulls.from_products(sums(columns, a & (stratum == s), shift), shift)
            for s in range(3)
        ]
        for a in (arms, ~arms)
    ]
    found = [nulls.stratified(arm, weights, ratio=ratio) for arm in parts]
    for r in range(R):
        cells = {
            s: {
                str(i): Moments.of(tuple(names), columns[a[r] & (stratum == s)])
                for i, a in enumerate((arms, ~arms))
            }
            for s in range(3)
        }
        want = post_stratify(cells, "y", denominator="x" if ratio else None).arms
        for i in (0, 1):
            assert found[i].value[r] == pytest.approx(want[str(i)].value, rel=1e-9)
            variance = want[str(i)].variance
            assert found[i].variance[r] == pytest.approx(variance, rel=1e-9)
            assert found[i].df[r] == pytest.approx(want[str(i)].df, rel=1e-9)


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.2, 0.1)], ids=str)
def test_redrawn_quantiles_have_the_distribution_of_drawn_ones(shares):
    rng = np.random.default_rng(0)
    values = np.sort(rng.lognormal(size=1500))
    found = nulls.redrawn_quantiles(
        values, 0.8, shares=shares, repeats=1500, seed=(1, 2)
    )
    for estimate, share in zip(found, shares, strict=True):
        drawn = [
            unit_quantile(values[rng.random(1500) < share], 0.8) for _ in range(800)
        ]
        assert estimate.n.mean() == pytest.approx(1500 * share, rel=0.01)
        by_hand = np.array([q.value for q in drawn])
        assert estimate.value.mean() == pytest.approx(by_hand.mean(), rel=0.02)
        assert estimate.value.std() == pytest.approx(by_hand.std(), rel=0.1)
        se = np.array([q.se for q in drawn])
        assert np.sqrt(estimate.variance).mean() == pytest.approx(se.mean(), rel=0.03)
    assert not np.isnan(found[0].value).any()


def test_an_arm_without_units_is_nan_and_nothing_warns():
    arm = nulls.from_products(np.zeros((1, 3)), np.array([4.0]))
    found = nulls.means(arm)
    assert np.isnan(found.value[0])
    assert np.isnan(nulls.welch(found, found).p_value[0])
    share = nulls.shares(np.zeros(1), np.zeros(1))
    for test in proportions.TESTS:
        assert np.isnan(nulls.share_test(share, share, test=test).p_value[0])
