from math import sqrt

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from growth.errors import DataError, ParameterError
from growth.stats.contrast import Contrast
from growth.stats.means import (
    cuped,
    lin,
    lin_hc2,
    linear,
    mean,
    ratio,
    ratio_line,
    ratio_linear,
    with_variances,
)
from growth.stats.moments import Moments, merge
from tests.stats.cases import golden, moments, near


def contrast(adjusted, control="0", treatment="1"):
    return Contrast(adjusted.arms[control], adjusted.arms[treatment])


def by_arm(given_, columns):
    if "arm" not in given_:
        return {
            k: moments(given_[a], columns)
            for k, a in (("0", "control"), ("1", "treatment"))
        }
    rows = np.column_stack([given_[c] for c in columns])
    labels = np.array(given_["arm"])
    return {str(a): Moments.of(columns, rows[labels == a]) for a in (0, 1)}


@golden("mean_cuped")
def test_cuped_matches_the_golden_cases(case):
    given_, want = case["input"], case["expected"]
    columns = tuple(given_.get("columns", ("y", "x1", "x2")))
    adjusted = cuped(by_arm(given_, columns), columns[0], columns[1:])
    c = contrast(adjusted)
    assert list(adjusted.theta) == near(np.atleast_1d(want["theta"]).tolist(), case)
    for name in ("estimate", "se", "df", "statistic", "p_value"):
        assert getattr(c, name) == near(want[name], case), name
    assert c.interval(0.05) == near(want["ci"], case)
    assert adjusted.dropped == ()


@golden("lin_hc2")
def test_lin_matches_the_golden_cases(case):
    given_, want = case["input"], case["expected"]
    names = [name for name in ("x1", "x2") if name in given_]
    fast = lin(by_arm(given_, ("y", *names)), "y", names)
    exact = lin_hc2(
        given_["y"], np.column_stack([given_[n] for n in names]), given_["arm"]
    )
    assert (fast.method, exact.method) == ("lin_moments", "lin_hc2")
    for adjusted, se in ((fast, "se_moments"), (exact, "se_hc2")):
        assert adjusted.arms["0"].value == near(want["control"], case)
        assert adjusted.arms["1"].value == near(want["treatment"], case)
        assert contrast(adjusted).estimate == near(want["estimate"], case)
        assert contrast(adjusted).se == near(want[se], case)


@golden("ratio_delta")
def test_the_delta_method_matches_the_golden_cases(case):
    given_, want = case["input"], case["expected"]
    num, den = given_.get("numerator", "x"), given_.get("denominator", "y")
    a, b = (
        ratio(moments(given_[arm], (num, den)), num, den)
        for arm in ("control", "treatment")
    )
    c = Contrast(a, b)
    seen = {
        "control": a.value,
        "treatment": b.value,
        "estimate": c.estimate,
        "se": c.se,
        "df": c.df,
        "statistic": c.statistic,
        "p_value": c.p_value,
        "var_control": a.variance,
        "var_treatment": b.variance,
    }
    for name, value in want.items():
        assert seen[name] == near(value, case), name


def sample(seed=1, n=400, k=2, arms=2):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, k)) * 10.0 ** np.arange(k) + 5
    arm = rng.integers(0, arms, n)
    y = 3 + x @ rng.normal(size=k) + arm * 0.3 + rng.standard_t(5, n) * (1 + arm)
    return y, x, arm


def split(y, x, arm):
    names = tuple(f"x{i + 1}" for i in range(x.shape[1]))
    rows = np.column_stack([y, x])
    return {
        str(a): Moments.of(("y", *names), rows[arm == a]) for a in np.unique(arm)
    }, names


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("k", [0, 1, 3])
def test_lin_is_the_interacted_regression_with_hc2(seed, k):
    y, x, arm = sample(seed, k=k)
    z = x - x.mean(axis=0)
    design = np.column_stack([np.ones(len(y)), arm, z, z * arm[:, None]])
    want = sm.OLS(y, design).fit(cov_type="HC2")
    c = contrast(lin_hc2(y, x, arm))
    assert c.estimate == pytest.approx(want.params[1], rel=1e-9)
    assert c.se == pytest.approx(want.bse[1], rel=1e-9)
    assert c.treatment.df == (arm == 1).sum() - 1 - k


def test_without_covariates_everything_is_welch():
    y, x, arm = sample(3, k=1)
    parts, _ = split(y, x, arm)
    want = stats.ttest_ind(y[arm == 1], y[arm == 0], equal_var=False)
    for adjusted in (
        cuped(parts, "y", ()),
        lin(parts, "y", ()),
        lin_hc2(y, x[:, :0], arm),
    ):
        c = contrast(adjusted)
        assert c.statistic == pytest.approx(want.statistic, rel=1e-9)
        assert c.p_value == pytest.approx(want.pvalue, rel=1e-9, abs=0)
        assert c.df == pytest.approx(want.df, rel=1e-9)


def test_cuped_is_welch_on_adjusted_rows():
    y, x, arm = sample(4, k=3, arms=3)
    parts, names = split(y, x, arm)
    adjusted = cuped(parts, "y", names)
    design = np.column_stack([np.ones(len(y)), x])
    theta = np.linalg.lstsq(design, y, rcond=None)[0][1:]
    assert adjusted.theta == pytest.approx(theta, rel=1e-8)
    rows = y - (x - x.mean(axis=0)) @ theta
    want = stats.ttest_ind(rows[arm == 2], rows[arm == 0], equal_var=False)
    c = contrast(adjusted, "0", "2")
    assert c.statistic == pytest.approx(want.statistic, rel=1e-8)
    assert c.p_value == pytest.approx(want.pvalue, rel=1e-7, abs=0)


def test_the_numbers_for_the_rows_give_hc2():
    y, x, arm = sample(5, k=2)
    parts, names = split(y, x, arm)
    fitted = lin(parts, "y", names)
    found = {}
    for name, fit in fitted.fits.items():
        mine = arm == int(name)
        total = 0.0
        for yi, xi in zip(y[mine], x[mine], strict=True):  # as one SQL sum would
            z = xi - fit.x_mean
            e = (yi - fit.y_mean) - fit.slopes @ z
            h = 1 / fit.n + z @ fit.inverse @ z
            w = 1 / fit.n - fit.pull @ z
            total += w * w * e * e / (1 - h)
        found[name] = total
    exact = lin_hc2(y, x, arm)
    merged = with_variances(fitted, found)
    assert merged.method == "lin_hc2"
    for name in found:
        assert merged.arms[name].variance == pytest.approx(
            exact.arms[name].variance, rel=1e-9
        )
    assert with_variances(fitted, {"0": 1.0}).arms["1"].variance is None
    assert with_variances(fitted, {"0": None}).arms["0"].variance is None


def test_constant_and_collinear_covariates_are_dropped_and_named():
    y, x, arm = sample(6, k=2)
    wide = np.column_stack(
        [x[:, 0], np.full(len(y), 0.1), 2 * x[:, 0] - 1e6, x[:, 1], x.sum(axis=1)]
    )
    parts, names = split(y, wide, arm)
    thin, few = split(y, x, arm)
    for verb in (lin, cuped):
        adjusted = verb(parts, "y", names)
        assert adjusted.dropped == ("x2", "x3", "x5")
        assert adjusted.covariates == ("x1", "x4")
        assert contrast(adjusted).p_value == pytest.approx(
            contrast(verb(thin, "y", few)).p_value, rel=1e-7, abs=0
        )
    hc2 = lin_hc2(y, wide, arm)
    assert hc2.dropped == ("x2", "x3", "x5")
    assert contrast(hc2).se == pytest.approx(contrast(lin_hc2(y, x, arm)).se, rel=1e-7)


def test_scale_and_offset_of_a_covariate_do_not_matter():
    y, x, arm = sample(7, k=2)
    want = contrast(lin_hc2(y, x, arm))
    got = contrast(lin_hc2(y, x * [1e-6, 1e8] + [1e3, -1e9], arm))
    assert got.estimate == pytest.approx(want.estimate, rel=1e-6)
    assert got.se == pytest.approx(want.se, rel=1e-6)


def test_a_tiny_arm_is_none_and_costs_the_others_nothing():
    y, x, arm = sample(8, k=2)
    parts, names = split(y, x, arm)
    tiny = Moments.of(("y", *names), [[1.0, 2.0, 3.0], [2.0, 2.0, 9.0]])
    for verb in (lin, cuped):
        adjusted = verb(parts | {"2": tiny.pick(tiny.columns)}, "y", names)
        assert adjusted.dropped == ()
        assert contrast(adjusted).p_value is not None
    alone = lin(parts | {"2": tiny}, "y", names).arms["2"]
    assert (alone.value, alone.variance) == (None, None)
    assert (
        cuped(parts | {"2": Moments.empty(tiny.columns)}, "y", names).arms["2"].value
        is None
    )


def test_a_unit_of_full_leverage_leaves_no_hc2_variance():
    x = np.array([0.0] * 9 + [1.0] + list(np.linspace(0, 1, 10)))
    y = np.arange(20.0) % 7
    arm = np.repeat([0, 1], 10)
    adjusted = lin_hc2(y, x, arm)
    assert adjusted.arms["0"].variance is None
    assert adjusted.arms["1"].variance > 0
    assert contrast(adjusted).p_value is None


def test_an_exact_fit_has_no_variance_rather_than_a_rounding_error():
    x = np.array([0.1, 0.7, 1.3, 2.9, 3.1, 0.2, 0.8, 1.1, 2.2, 3.7])
    arm = np.repeat([0, 1], 5)
    adjusted = lin_hc2(0.3 + 0.7 * x, x, arm)
    assert adjusted.arms["0"].variance == 0
    assert contrast(adjusted).p_value is None
    parts, names = split(0.3 + 0.7 * x, x[:, None], arm)
    assert contrast(cuped(parts, "y", names)).p_value is None


def test_a_constant_metric_is_known_but_not_tested():
    m = Moments.of(("y",), [0.1] * 3 + [0.1] * 4)
    assert mean(m).value == pytest.approx(0.1)
    assert mean(m).variance == 0.0
    c = Contrast(mean(m), mean(Moments.of(("y",), [0.1] * 3)))
    assert c.estimate == pytest.approx(0, abs=1e-15)
    assert (c.se, c.p_value, c.interval(0.05)) == (None, None, None)


def test_means_of_few_units():
    empty, one = Moments.empty(("y",)), Moments.of(("y",), [3.0])
    assert mean(empty).value is None
    assert (mean(one).value, mean(one).variance) == (3.0, None)


@given(
    st.lists(
        st.tuples(st.floats(-1e6, 1e6), st.floats(0.1, 1e4)), min_size=3, max_size=30
    )
)
@settings(max_examples=50)
def test_the_delta_method_is_the_variance_of_the_linearised_rows(rows):
    m = Moments.of(("x", "y"), rows)
    x, y = np.array(rows).T
    r = x.mean() / y.mean()
    linearised = (x - r * y) / y.mean()
    got = ratio(m, "x", "y")
    assert got.value == pytest.approx(r, rel=1e-9, abs=1e-12)
    scale = (np.abs(x).max() + abs(r) * y.max()) / y.mean()
    assert got.variance == pytest.approx(
        linearised.var(ddof=1) / len(x), rel=1e-6, abs=1e-13 * scale**2
    )


def test_a_ratio_needs_a_positive_denominator():
    m = Moments.of(("x", "y"), [[1, -1], [2, 0.5]])
    assert ratio(m, "x", "y").value is None
    assert ratio(Moments.empty(("x", "y")), "x", "y").value is None
    made = ratio_linear(m, "r", numerator="x", denominator="y")
    assert mean(made, "r").value is None
    zero = Moments.of(("x", "y"), [[1, 0], [2, 2], [1, 1]])  # a unit of 0 stays
    assert ratio(zero, "x", "y").n == 3


def test_a_ratio_that_is_one_number_has_no_variance():
    x = np.array([1.0, 3.0, 7.0, 9.0])
    m = Moments.of(("x", "y"), np.column_stack([0.3 * x, x]))
    assert ratio(m, "x", "y").variance == 0.0


@pytest.mark.parametrize("seed", range(3))
def test_a_ratio_is_adjusted_on_its_linearised_values(seed):
    rng = np.random.default_rng(seed)
    n = 300
    arm = rng.integers(0, 2, n)
    sessions = rng.poisson(5, n) + 1.0
    before = rng.poisson(5, n) + 1.0
    bought = rng.binomial(before.astype(int), 0.4)
    orders = rng.binomial(sessions.astype(int), 0.3 + 0.2 * (bought / before))
    columns = ("orders", "sessions", "bought", "before")
    rows = np.column_stack([orders, sessions, bought, before])
    parts = {str(a): Moments.of(columns, rows[arm == a]) for a in (0, 1)}
    line = ratio_line(merge(parts.values()), "bought", "before")
    ready = {}
    for name, m in parts.items():
        once = ratio_linear(m, "r", numerator="orders", denominator="sessions")
        ready[name] = ratio_linear(
            once, "c", numerator="bought", denominator="before", line=line
        )
        assert ready[name].columns == ("c", "r")
    y = np.empty(n)
    for a in (0, 1):
        x_, y_ = orders[arm == a], sessions[arm == a]
        r = x_.sum() / y_.sum()
        y[arm == a] = r + (x_ - r * y_) / y_.mean()
    whole = bought.sum() / before.sum()
    c = whole + (bought - whole * before) / before.mean()
    want = lin_hc2(y, c, arm)
    got = lin(ready, "r", ["c"])
    for name in ("0", "1"):
        assert got.arms[name].value == pytest.approx(want.arms[name].value, rel=1e-9)
    plain = ratio_linear(parts["0"], "r", numerator="orders", denominator="sessions")
    alone, direct = mean(plain, "r"), ratio(parts["0"], "orders", "sessions")
    assert alone.variance == pytest.approx(direct.variance, rel=1e-9)
    assert (
        contrast(got).se < Contrast(direct, ratio(parts["1"], "orders", "sessions")).se
    )


def test_a_linear_function_of_columns_is_exact():
    y, x, _ = sample(9, k=2)
    rows = np.column_stack([y, x])
    m = Moments.of(("y", "a", "b"), rows)
    made = linear(m, "z", {"y": 2.0, "b": -0.5}, constant=7, keep=["a"])
    want = Moments.of(("z", "a"), np.column_stack([7 + 2 * y - 0.5 * x[:, 1], x[:, 0]]))
    assert made.mean == pytest.approx(want.mean)
    assert made.comoment == pytest.approx(want.comoment)


def test_adjustment_reduces_variance_to_one_minus_r_squared():
    rng = np.random.default_rng(0)
    x = rng.normal(size=4000)
    y = 0.8 * x + rng.normal(size=4000) * 0.6  # R squared 0.64
    arm = rng.integers(0, 2, 4000)
    parts, names = split(y, x[:, None], arm)
    gain = contrast(cuped(parts, "y", names)).se / contrast(cuped(parts, "y", ())).se
    assert gain**2 == pytest.approx(0.36, abs=0.03)


def test_the_offset_of_the_metric_leaves_p_alone():
    y, x, arm = sample(10, k=1)
    want = contrast(lin_hc2(y, x, arm)).p_value
    assert contrast(lin_hc2(y + 1e9, x, arm)).p_value == pytest.approx(
        want, rel=1e-5, abs=0
    )


def test_huge_metrics_are_none_not_nan():
    m = Moments.of(("y", "x"), [[1e300, 1], [-1e300, 2], [3e300, 4], [1e300, 1]])
    assert mean(m, "y").variance is None
    adjusted = lin({"a": m, "b": m}, "y", ["x"])
    assert adjusted.arms["a"].variance is None
    assert contrast(adjusted, "a", "b").p_value is None
    wild = lin({"a": m, "b": m}, "x", ["y"])
    assert wild.dropped == ("y",)


@pytest.mark.parametrize(
    ("call", "code", "message"),
    [
        (mean, "moments_mismatch", "name one of"),
        (lambda m: mean(m, "yy"), "moments_mismatch", "Did you mean 'y'"),
        (lambda _: lin({}, "y", []), "no_arms", "at least one"),
        (lambda m: cuped({"a": m}, "y", ["q"]), "moments_mismatch", "not 'q'"),
        (lambda m: lin({"a": m}, "y", ["y"]), "repeated_column", "named once"),
        (lambda m: lin({"a": m}, "y", ["x"], se="hc2"), "unknown_se", "with_variances"),
    ],
)
def test_misuse_says_what_was_seen(call, code, message):
    with pytest.raises(ParameterError, match=message) as info:
        call(Moments.of(("y", "x"), [[1.0, 2.0], [2.0, 1.0]]))
    assert info.value.code == code


def test_arrays_must_be_as_long():
    with pytest.raises(DataError, match="one row a unit") as info:
        lin_hc2([1.0, 2.0], [1.0], [0, 1])
    assert info.value.code == "length_mismatch"


def test_rows_with_a_nan_are_left_out():
    y, x, arm = sample(11, k=1)
    want = contrast(lin_hc2(y[5:], x[5:], arm[5:]))
    holes = y.copy()
    holes[:5] = np.nan
    assert contrast(lin_hc2(holes, x, arm)).se == pytest.approx(want.se, rel=1e-12)
    assert want.se == pytest.approx(
        sqrt(want.control.variance + want.treatment.variance)
    )
