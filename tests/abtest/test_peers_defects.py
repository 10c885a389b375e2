"""What other tools get wrong, each as a case that must come out right here.

Names say whose defect it was: tea-tasting 2.0, the GrowthBook statistics engine and
application, Confidence 4.1, Ambrosia, statsmodels 0.15.
"""

import tracemalloc
from math import sqrt

import numpy as np
import pyarrow as pa
import pytest
from numpy.random import default_rng
from scipy import stats

from growth.abtest import (
    analyze,
    analyze_from_moments,
    assign,
    check_split_from_counts,
)
from growth.stats import group_sequential, proportions
from growth.stats.contrast import ArmEstimate, Contrast
from growth.stats.moments import Moments
from tests.abtest.golden import cases, name
from tests.abtest.made import codes, experiment, metric
from tests.abtest.test_analyze import run, summary


def table(**arms):
    """Return a unit table from columns per arm: A={"m": [...]}."""
    rows = [
        {
            "unit_id": f"{arm}{i}",
            "variant": arm,
            **dict(zip(columns, values, strict=True)),
        }
        for arm, columns in arms.items()
        for i, values in enumerate(zip(*columns.values(), strict=True))
    ]
    return pa.Table.from_pylist(rows)


def one(moments, exp):
    (effect,) = analyze_from_moments(moments, exp).effects
    return effect


# -- tea-tasting ---------------------------------------------------------------------


def test_tea_tasting_nulls_are_not_in_n():
    rng, wolf, runs = default_rng(1), 0, 3000
    exp = experiment()
    for _ in range(runs):
        arms = {}
        for arm in "AB":
            values = rng.normal(0, 1, 200)
            values[rng.random(200) < 0.5] = np.nan  # half of the units say nothing
            arms[arm] = Moments.of(["m"], values)
        wolf += one(arms, exp).p_value < 0.05
    assert abs(wolf / runs - 0.05) < 0.015  # counting NULLs gives 16.6 %


def test_tea_tasting_nulls_of_a_table_are_not_in_n():
    half = [1.0, 2.0, 3.0, None, None, None]
    effect = analyze(table(A={"m": half}, B={"m": half}), experiment()).effects[0]
    assert (effect.n_control, effect.n_treatment, effect.mean_control) == (3, 3, 2.0)
    assert effect.se == pytest.approx(sqrt(2 / 3), rel=1e-12)


@pytest.mark.parametrize("case", cases("lift_fieller"), ids=name)
def test_tea_tasting_lift_of_a_negative_control_and_across_zero(case):
    effect = run(case, experiment(metric("x")), ["x"]).effects[0]
    if case["expected"]["ci"] is not None:
        low, high = case["expected"]["ci"]
        assert effect.lift == pytest.approx(case["expected"]["lift"], rel=1e-8)
        ends = (effect.lift_low, effect.lift_high)
        assert ends == pytest.approx((low, high), rel=1e-8)
        assert effect.lift_low < effect.lift < effect.lift_high
        assert (effect.lift > 0) == (effect.estimate > 0)


@pytest.mark.parametrize("counts", [(500, 520, 610), (900, 880, 905, 1015)])
def test_tea_tasting_split_of_three_and_four_arms_is_one_test(counts):
    units = dict(zip("ABCD", counts, strict=False))
    found = check_split_from_counts(units)
    assert found.p_value == pytest.approx(stats.chisquare(counts).pvalue, rel=1e-9)


def test_tea_tasting_shares_are_compared_without_continuity_correction():
    arms = {"A": (5, 83), "B": (12, 99)}
    moments = {
        a: Moments.of(["m"], [1.0] * x + [0.0] * (n - x)) for a, (x, n) in arms.items()
    }
    effect = one(moments, experiment(metric(kind="proportion")))
    p0, p1 = 5 / 83, 12 / 99
    se = sqrt(p0 * (1 - p0) / 83 + p1 * (1 - p1) / 99)
    assert effect.p_value == pytest.approx(2 * stats.norm.sf((p1 - p0) / se), rel=1e-9)


def test_tea_tasting_quantiles_have_a_p_value_and_take_no_memory():
    rng = default_rng(2)
    arms = {"A": rng.lognormal(0, 1, 100_000), "B": rng.lognormal(0.03, 1, 100_000)}
    units = pa.table(
        {
            "unit_id": np.arange(200_000),
            "variant": np.repeat(["A", "B"], 100_000),
            "m": np.concatenate(list(arms.values())),
        }
    )
    exp = experiment(metric(kind="quantile", q=0.9))
    tracemalloc.start()
    (effect,) = analyze(units, exp).effects
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    for arm, seen in (("A", effect.mean_control), ("B", effect.mean_treatment)):
        assert seen == np.sort(arms[arm])[90_000 - 1]
    assert 0 < effect.p_value < 1
    # the bootstrap's 8 GB, against the density's own standard error and a few MB
    density = stats.lognorm.pdf(stats.lognorm.ppf(0.9, 1), 1)
    expected = sqrt(0.09 / 100_000) / density
    assert effect.se_control == pytest.approx(expected, rel=0.1)
    assert peak < 50e6


# -- GrowthBook ----------------------------------------------------------------------


def test_growthbook_an_offset_of_1e9_leaves_p_alone():
    rng = default_rng(3)
    # in steps of 2**-20, so that adding 1e9 loses nothing of the values themselves
    a, b = (np.round(rng.normal(m, 1, 4000) * 2**20) / 2**20 for m in (0, 0.06))
    near, far = (
        analyze(table(A={"m": a + shift}, B={"m": b + shift}), experiment()).effects[0]
        for shift in (0.0, 1e9)
    )
    assert far.p_value == pytest.approx(near.p_value, rel=0, abs=1e-6)
    assert far.ci_low == pytest.approx(near.ci_low, abs=1e-6)


def test_growthbook_a_tiny_p_value_is_not_zero():
    (case,) = (c for c in cases("mean_welch") if c["id"] == "welch-tiny-p")
    effect = run(case, experiment(metric("x")), ["x"]).effects[0]
    assert effect.p_value == pytest.approx(1.4946342947067937e-88, rel=1e-8, abs=0)
    assert effect.p_adj == effect.p_value


def test_growthbook_a_closed_arm_is_not_in_the_degrees_of_freedom():
    units = {"A": 5000, "B": 5200, "C": 10}
    found = check_split_from_counts(units, planned={"A": 1, "B": 1, "C": 0})
    assert found.p_value == pytest.approx(0.0476703806561615, rel=1e-9)  # not .140
    assert "units_in_closed_arm" in codes(found)


def test_growthbook_one_p_value_whatever_scale_is_shown():
    rng = default_rng(4)
    disagreed = 0
    for _ in range(300):
        arms = {
            a: Moments.of(["m"], rng.normal(m, 6, 120))
            for a, m in (("A", 4), ("B", 5.5))
        }
        effect = one(arms, experiment())
        if effect.lift_low is not None:
            absolute = effect.ci_low > 0 or effect.ci_high < 0
            relative = effect.lift_low > 0 or effect.lift_high < 0
            disagreed += absolute != relative or absolute != (effect.p_value < 0.05)
    assert disagreed == 0


def test_growthbook_the_adjusted_interval_exists_at_p_adj_1():
    rng = default_rng(5)
    x = rng.normal(0, 1, 50)
    moved = x + 0.01  # far from any difference, in both metrics
    arms = {
        arm: Moments.of(["m", "n"], np.column_stack([v, -v]))
        for arm, v in (("A", x), ("B", moved))
    }
    exp = experiment(metric("m"), metric("n"))
    for effect in analyze_from_moments(arms, exp).effects:
        assert effect.p_adj == 1.0
        assert effect.ci_adj_low < effect.estimate < effect.ci_adj_high
        assert effect.ci_adj_low < 0 < effect.ci_adj_high


# -- Confidence ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "n", "truth"), [(0.03, 5000, 0.0), (0.03, 5000, 0.2), (0.03, 400, 0.5)]
)
def test_confidence_lift_knows_that_the_control_is_random(share, n, truth):
    rng, runs = default_rng(6), 2000
    exp = experiment(metric(kind="proportion"))
    covered = 0
    for x0, x1 in zip(
        rng.binomial(n, share, runs),
        rng.binomial(n, share * (1 + truth), runs),
        strict=True,
    ):
        arms = {
            arm: Moments(
                ("m",),
                n,
                np.array([x / n]),
                np.array([[x * (1 - x / n)]]),
                np.array([0.0]),
                np.array([1.0]),
                np.array([x]),
            )
            for arm, x in (("A", x0), ("B", x1))
        }
        effect = one(arms, exp)
        low, high = effect.lift_low, effect.lift_high
        covered += low is None or low <= truth <= high
    # 94 %, less the error of 2,000 runs; with the control as a constant: 90.0 %
    assert covered / runs > 0.94 - 2 * sqrt(0.05 * 0.95 / runs)


def test_confidence_spending_is_a_choice_of_families():
    looks = [0.2, 0.4, 0.6, 0.8, 1.0]
    found = {
        family: group_sequential.spending_boundaries(looks, **keys).upper[0]
        for family, keys in (
            ("obf", {"family": "obf"}),
            ("pocock", {"family": "pocock"}),
            ("power 2", {"family": "power", "rho": 2}),
            ("power 1", {"family": "power", "rho": 1}),
        )
    }
    want = {"obf": 4.87688, "pocock": 2.43798, "power 2": 3.09023, "power 1": 2.57583}
    assert found == pytest.approx(want, abs=1e-4)


def test_confidence_the_p_value_of_a_quantile_comes_from_its_error():
    x = np.exp(stats.norm.ppf((np.arange(1, 201) - 0.5) / 200)).round(6)
    exp = experiment(metric(kind="quantile", q=0.9))
    (effect,) = analyze(table(A={"m": x}, B={"m": 2 * x}), exp).effects
    z = effect.estimate / effect.se
    assert effect.p_value == pytest.approx(2 * stats.norm.sf(z), rel=1e-12)  # not -1
    assert effect.se_control == pytest.approx(0.5067465564848508, rel=1e-9)


# -- Ambrosia ------------------------------------------------------------------------


def test_ambrosia_degrees_of_freedom_are_of_se_to_the_fourth():
    rng = default_rng(7)
    a, b = rng.normal(0, 1e-3, 40), rng.normal(5e-4, 1e-3, 40)
    effect = one({"A": Moments.of(["m"], a), "B": Moments.of(["m"], b)}, experiment())
    want = stats.ttest_ind(b, a, equal_var=False)
    assert effect.p_value == pytest.approx(want.pvalue, rel=1e-9)
    ends = want.confidence_interval(0.95)
    assert (effect.ci_low, effect.ci_high) == pytest.approx(tuple(ends), rel=1e-9)


def test_ambrosia_capping_keeps_n():
    rng = default_rng(8)
    x = rng.lognormal(0, 2, 500)
    exp = experiment(metric(cap={"upper": 0.9}))
    analysis = analyze(table(A={"m": x[:250]}, B={"m": x[250:]}), exp)
    (effect,), (twin,) = analysis.effects, analysis.twins
    assert (effect.n_control, effect.n_treatment) == (250, 250)
    assert (twin.n_control, twin.n_treatment) == (250, 250)
    assert effect.mean_control < twin.mean_control


def test_ambrosia_the_split_needs_one_unit_only():
    exp = experiment()
    units = [f"u{i}" for i in range(200)]
    alone = [assign(unit, exp) for unit in units]
    assert [assign(unit, exp) for unit in reversed(units)] == alone[::-1]
    assert {*alone} == {"A", "B"}


# -- statsmodels ---------------------------------------------------------------------


def test_statsmodels_the_score_test_is_at_the_maximum_of_the_likelihood():
    (case,) = cases("noninferiority_proportion_score")
    control, treatment = (
        proportions.Share(*case["input"][k]) for k in ("control", "treatment")
    )
    exp = experiment(
        metric(
            kind="proportion",
            role="guardrail",
            margin=0.05,
            margin_kind="absolute",
            test="miettinen_nurminen",
        ),
        metric("g"),
    )
    rows = {
        arm: np.column_stack([np.arange(s.n) < s.successes, np.arange(s.n) % 7])
        for arm, s in (("A", control), ("B", treatment))
    }
    found = analyze_from_moments(
        {a: Moments.of(["m", "g"], r) for a, r in rows.items()}, exp
    )
    effect = next(e for e in found.effects if e.metric == "m")
    want = case["expected"]["p_miettinen_nurminen"]
    assert effect.p_noninferior == pytest.approx(want, rel=1e-7, abs=0)
    assert effect.noninferior is True
    fm, _ = proportions.score_noninferiority(
        control, treatment, 0.05, variant="farrington_manning"
    )
    assert fm == pytest.approx(2.5264171701838007, rel=1e-7)  # not 2.5180


# -- agreement on random tables ------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_random_tables_agree_with_statsmodels_and_scipy(seed):
    import statsmodels.api as sm
    from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

    rng = default_rng(seed)
    n = int(rng.integers(60, 400))
    arm = rng.random(n) < rng.uniform(0.3, 0.7)
    pre = rng.lognormal(1, 0.8, n)
    m = 0.5 * pre + rng.gamma(2, 3, n) + 0.4 * arm
    top, bottom = rng.poisson(2, n) + 0.0, rng.poisson(4, n) + 1.0
    m[rng.random(n) < 0.1] = np.nan
    units = pa.table(
        {
            "unit_id": np.arange(n),
            "variant": np.where(arm, "B", "A"),
            "m": pa.array(m, from_pandas=True),
            "adj": pa.array(m, from_pandas=True),
            "pre": pre,
            "top": top,
            "bottom": bottom,
        }
    )
    exp = experiment(
        metric(),
        metric("adj", covariates=["pre"]),
        metric(
            "r",
            kind="ratio",
            numerator={"column": "top"},
            denominator={"column": "bottom"},
        ),
    )
    found = {e.metric: e for e in analyze(units, exp).effects}
    near = {"rel": 1e-9, "abs": 1e-12}
    known = ~np.isnan(m)
    a, b = m[known & ~arm], m[known & arm]
    pair = CompareMeans(DescrStatsW(b), DescrStatsW(a))
    _, p, _ = pair.ttest_ind(usevar="unequal")
    assert found["m"].p_value == pytest.approx(p, **near)
    ends = pair.tconfint_diff(usevar="unequal")
    assert (found["m"].ci_low, found["m"].ci_high) == pytest.approx(ends, **near)
    x = pre[known] - pre[known].mean()
    t = arm[known] * 1.0
    design = np.column_stack([np.ones(len(x)), t, x, t * x])
    fit = sm.OLS(m[known], design).fit(cov_type="HC2")
    assert found["adj"].estimate == pytest.approx(fit.params[1], **near)
    se = sqrt(found["adj"].se_control ** 2 + found["adj"].se_treatment ** 2)
    assert se == pytest.approx(fit.bse[1], **near)
    for side, value in (
        (~arm, found["r"].mean_control),
        (arm, found["r"].mean_treatment),
    ):
        assert value == pytest.approx(top[side].sum() / bottom[side].sum(), **near)
    spread = [
        np.var(
            (top[s] - top[s].sum() / bottom[s].sum() * bottom[s]) / bottom[s].mean(),
            ddof=1,
        )
        / s.sum()
        for s in (~arm, arm)
    ]
    assert found["r"].se == pytest.approx(sqrt(sum(spread)), **near)


# -- faults --------------------------------------------------------------------------


def test_ten_percent_nulls_and_refunds_below_zero_are_right_in_forty_arms():
    rng = default_rng(10)
    arms = [f"a{i:02}" for i in range(40)]
    rows = {arm: rng.normal(-2 + 0.02 * i, 30, 300) for i, arm in enumerate(arms)}
    for values in rows.values():
        values[rng.random(300) < 0.1] = np.nan
    units = pa.table(
        {
            "unit_id": np.arange(12_000),
            "variant": np.repeat(arms, 300),
            "m": pa.array(np.concatenate(list(rows.values())), from_pandas=True),
        }
    )
    exp = experiment(
        metric(cap={"upper": 0.99, "lower": 0.01}),
        control="a00",
        arms=dict.fromkeys(arms, 1),
    )
    analysis = analyze(units, exp)
    assert len(analysis.effects) == len(analysis.twins) == 39
    known = {arm: v[~np.isnan(v)] for arm, v in rows.items()}
    pooled = np.sort(np.concatenate(list(known.values())))
    low, high = (pooled[int(np.ceil(p * len(pooled) - 1e-9)) - 1] for p in (0.01, 0.99))
    for effect, twin in zip(analysis.effects, analysis.twins, strict=True):
        control, treated = known["a00"], known[effect.arm]
        assert effect.n_treatment == len(treated)
        for row, left, right in (
            (twin, control, treated),
            (effect, control.clip(low, high), treated.clip(low, high)),
        ):
            want = stats.ttest_ind(right, left, equal_var=False).pvalue
            assert row.p_value == pytest.approx(want, rel=1e-9)
    assert (effect.cap_low, effect.cap_high) == (low, high)


def test_a_constant_covariate_changes_nothing_and_is_said():
    rng = default_rng(11)
    n = 200
    columns = {
        "unit_id": np.arange(n),
        "variant": np.where(np.arange(n) % 2, "B", "A"),
        "m": rng.normal(size=n),
        "flat": np.ones(n),
    }
    plain = analyze(pa.table(columns), experiment()).effects[0]
    exp = experiment(metric(covariates=["flat"]))
    analysis = analyze(pa.table(columns), exp)
    assert analysis.effects[0].p_value == pytest.approx(plain.p_value, rel=1e-9)
    assert "covariate_dropped" in codes(analysis)


def test_a_welch_row_is_a_contrast_and_a_posterior_needs_no_rows():
    effect = one(
        {
            a: summary(["m"], {"n": 50, "mean": [v], "var_ddof1": 4.0})
            for a, v in (("A", 8), ("B", 9))
        },
        experiment(),
    )
    sides = ArmEstimate(50, 8.0, 0.08, 49), ArmEstimate(50, 9.0, 0.08, 49)
    assert effect.p_value == pytest.approx(Contrast(*sides).p_value, rel=1e-12)
    assert effect.posterior(None).mean == pytest.approx(effect.lift, rel=1e-12)
