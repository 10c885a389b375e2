import numpy as np
import pytest

from growth.errors import DataError
from growth.stats.logit import logit_trend


def test_the_line_is_that_of_statsmodels():
    import statsmodels.api as sm

    rng = np.random.default_rng(4)
    for _ in range(10):
        m = int(rng.integers(4, 20))
        n = rng.integers(20, 400, m)
        x = np.arange(m)
        p = 1 / (1 + np.exp(-(-0.8 + 0.05 * x + 0.3 * rng.normal(size=m))))
        hit = rng.binomial(n, p)
        ours = logit_trend(x, hit, n)
        model = sm.GLM(
            hit / n,
            sm.add_constant(x),
            family=sm.families.Binomial(),
            var_weights=n,
        )
        theirs = model.fit(scale="X2")
        assert ours.intercept == pytest.approx(theirs.params[0], rel=1e-6)
        assert ours.slope == pytest.approx(theirs.params[1], rel=1e-6)
        assert ours.dispersion == pytest.approx(theirs.scale, rel=1e-6)
        wide = theirs.bse[1] / np.sqrt(theirs.scale) * np.sqrt(max(theirs.scale, 1))
        assert ours.se == pytest.approx(wide, rel=1e-6)


def test_the_interval_holds_no_slope_where_shares_only_scatter():
    rng = np.random.default_rng(6)
    held = []
    for _ in range(400):
        p = np.clip(rng.normal(0.3, 0.05, 30), 0.05, 0.9)  # over-dispersed
        found = logit_trend(np.arange(30), rng.binomial(500, p), np.full(30, 500))
        held.append(found.low <= 0 <= found.high)
    assert 0.92 < np.mean(held) < 0.98


@pytest.mark.parametrize(
    ("x", "hit", "n"),
    [
        ([0, 1], [1, 2], [5, 5]),
        ([0, 1, 2], [0, 0, 0], [5, 5, 5]),
        ([0, 1, 2], [5, 5, 5], [5, 5, 5]),
        ([0, 1, 2, 3], [0, 0, 5, 5], [5, 5, 5, 5]),
        ([1, 1, 1], [1, 2, 3], [5, 5, 5]),
        ([0, 1, 2], [1, 2, 0], [5, 5, 0]),
    ],
)
def test_no_line_where_none_is_finite(x, hit, n):
    assert logit_trend(x, hit, n) is None


def test_refuses_more_successes_than_trials():
    with pytest.raises(DataError, match=r"must be in 0\.\.n") as info:
        logit_trend([0, 1, 2], [6, 1, 1], [5, 5, 5])
    assert info.value.code == "bad_counts"
