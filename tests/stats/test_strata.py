import numpy as np
import pytest
import statsmodels.api as sm

from growth.errors import ParameterError
from growth.stats.contrast import Contrast
from growth.stats.means import mean, ratio
from growth.stats.moments import Moments, merge
from growth.stats.strata import post_stratify
from tests.stats.cases import golden, near


def cells(columns, rows, arm, stratum):
    return {
        s: {
            str(a): Moments.of(columns, rows[(arm == a) & (stratum == s)])
            for a in (0, 1)
        }
        for s in np.unique(stratum).tolist()
    }


def contrast(found):
    return Contrast(found.arms["0"], found.arms["1"])


@golden("post_stratification")
def test_post_stratification_matches_the_golden_case(case):
    given_, want = case["input"], case["expected"]
    y, arm, stratum = (np.array(given_[k]) for k in ("y", "arm", "stratum"))
    got = post_stratify(cells(("y",), y, arm, stratum), "y")
    assert contrast(got).estimate == near(want["estimate"], case)
    assert contrast(got).se == near(want["se"], case)
    assert got.pooled == ()


@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_interacted_regression_with_hc2(seed):
    rng = np.random.default_rng(seed)
    n = 200
    stratum, arm = rng.integers(0, 3, n), rng.integers(0, 2, n)
    y = stratum * 2 + arm * (1 + stratum) + rng.normal(size=n)
    dummies = np.column_stack([stratum == s for s in (1, 2)]).astype(float)
    z = dummies - dummies.mean(axis=0)
    design = np.column_stack([np.ones(n), arm, z, z * arm[:, None]])
    want = sm.OLS(y, design).fit(cov_type="HC2")
    c = contrast(post_stratify(cells(("y",), y, arm, stratum), "y"))
    assert c.estimate == pytest.approx(want.params[1], rel=1e-9)
    assert c.se == pytest.approx(want.bse[1], rel=1e-9)
    plain = Contrast(*(mean(Moments.of(("y",), y[arm == a])) for a in (0, 1)))
    assert c.se < plain.se


def test_one_stratum_changes_nothing():
    rng = np.random.default_rng(3)
    rows = rng.exponential(size=(40, 2)) + np.array([0, 1])
    arm = np.repeat([0, 1], 20)
    table = cells(("x", "y"), rows, arm, np.zeros(40))
    for got, verb in (
        (post_stratify(table, "x"), lambda m: mean(m, "x")),
        (post_stratify(table, "x", denominator="y"), lambda m: ratio(m, "x", "y")),
    ):
        for name, m in table[0.0].items():
            want = verb(m)
            assert got.arms[name].value == pytest.approx(want.value, rel=1e-12)
            assert got.arms[name].variance == pytest.approx(want.variance, rel=1e-9)
            assert got.arms[name].df == pytest.approx(want.df)


def test_ratios_stratify_both_means_and_their_covariance():
    rng = np.random.default_rng(4)
    n = 400
    stratum, arm = rng.integers(0, 2, n), rng.integers(0, 2, n)
    y = rng.poisson(3 + 3 * stratum) + 1.0
    x = rng.binomial(y.astype(int), 0.3 + 0.2 * stratum).astype(float)
    table = cells(("x", "y"), np.column_stack([x, y]), arm, stratum)
    got = post_stratify(table, "x", denominator="y").arms["1"]
    weights = {s: np.mean(stratum == s) for s in (0, 1)}
    means = sum(w * table[s]["1"].mean for s, w in weights.items())
    cov = sum(w * w * table[s]["1"].cov / table[s]["1"].n for s, w in weights.items())
    turn = np.array([1, -means[0] / means[1]]) / means[1]
    assert got.value == pytest.approx(means[0] / means[1])
    assert got.variance == pytest.approx(turn @ cov @ turn)


def test_small_strata_are_taken_together():
    rng = np.random.default_rng(5)
    y = rng.normal(size=30)
    arm = np.array([0, 1] * 15)
    stratum = np.array([0] * 20 + [1] * 6 + [2, 2, 3, 3])  # one unit an arm in 2, 3
    got = post_stratify(cells(("y",), y, arm, stratum), "y")
    assert set(got.pooled) == {2, 3}
    want = post_stratify(cells(("y",), y, arm, np.minimum(stratum, 2)), "y")
    assert contrast(got).se == pytest.approx(contrast(want).se)
    lonely = np.array([0] * 20 + [1] * 8 + [2, 2])  # 2 alone is not enough
    got = post_stratify(cells(("y",), y, arm, lonely), "y")
    assert set(got.pooled) == {1, 2}
    assert contrast(got).p_value is not None


def test_too_few_units_altogether_are_none():
    table = {"a": {"0": Moments.of(("y",), [1.0]), "1": Moments.of(("y",), [1.0, 2.0])}}
    got = post_stratify(table, "y")
    assert got.arms["0"].value is None
    assert contrast(got).p_value is None
    empty = {"a": {"0": Moments.empty(("y",)), "1": Moments.empty(("y",))}}
    assert post_stratify(empty, "y").arms["1"].value is None
    flat = Moments.of(("x", "y"), [[1.0, -1.0], [2.0, -2.0]])
    got = post_stratify({"a": {"0": flat}}, "x", denominator="y")
    assert got.arms["0"].value is None
    assert merge([flat]).n == 2


@pytest.mark.parametrize(
    "table",
    [{}, {"a": {}}, {"a": {"0": Moments.empty(("y",))}, "b": {}}],
)
def test_every_stratum_names_the_same_arms(table):
    with pytest.raises(ParameterError, match="same arms") as info:
        post_stratify(table, "y")
    assert info.value.code == "bad_strata"
