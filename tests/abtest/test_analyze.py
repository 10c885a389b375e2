import json
from math import isfinite, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import default_rng
from scipy import stats

from growth.abtest import ArmCell, analyze_from_moments, decide
from growth.abtest import check_split_from_counts as check_split
from growth.errors import DataError, ParameterError
from growth.result import plain
from growth.stats.moments import Moments
from tests.abtest.golden import cases, name
from tests.abtest.made import codes, experiment, metric


def summary(columns, side):
    cov = side.get("cov_ddof1", side.get("var_ddof1"))
    return Moments.from_summary(columns, n=side["n"], mean=side["mean"], cov=cov)


def run(case, exp, columns):
    given_ = case["input"]
    arms = {"A": given_["control"], "B": given_["treatment"]}
    moments = {arm: summary(columns, side) for arm, side in arms.items()}
    return analyze_from_moments(moments, exp)


@pytest.mark.parametrize("case", cases("mean_welch"), ids=name)
def test_welch_reference_cases(case):
    (effect,) = run(case, experiment(metric("x")), ["x"]).effects
    want, rel = case["expected"], case["tolerance_rel"]
    near = {"rel": rel, "abs": 0}
    assert effect.method == "welch"
    assert effect.estimate == pytest.approx(want["estimate"], **near)
    assert effect.se == pytest.approx(want["se"], **near)
    assert effect.p_value == pytest.approx(want["p_value"], **near)
    assert (effect.ci_low, effect.ci_high) == pytest.approx(tuple(want["ci"]), **near)


@pytest.mark.parametrize("case", cases("lift_fieller"), ids=name)
def test_lift_reference_cases(case):
    analysis = run(case, experiment(metric("x")), ["x"])
    (effect,) = analysis.effects
    want, near = case["expected"], {"rel": case["tolerance_rel"], "abs": 0}
    assert effect.lift == pytest.approx(want["lift"], **near)
    assert effect.p_value == pytest.approx(want["p_value"], **near)
    if want["ci"] is None:
        assert (effect.lift_low, effect.lift_high) == (None, None)
        assert "lift_unbounded" in codes(analysis)
    else:
        ends = (effect.lift_low, effect.lift_high)
        assert ends == pytest.approx(tuple(want["ci"]), **near)
        assert "lift_unbounded" not in codes(analysis)


@pytest.mark.parametrize("case", cases("mean_cuped")[:1], ids=name)
def test_cuped_reference_case_from_a_summary(case):
    exp = experiment(metric("re78", covariates=["re75"]), adjust="cuped")
    (effect,) = run(case, exp, ["re78", "re75"]).effects
    want, near = case["expected"], {"rel": case["tolerance_rel"], "abs": 0}
    assert effect.method == "cuped"
    assert effect.estimate == pytest.approx(want["estimate"], **near)
    assert effect.p_value == pytest.approx(want["p_value"], **near)


def rows(case, *columns):
    given_ = case["input"]
    table = np.column_stack([given_[column] for column in columns])
    arm = np.array(given_["arm"])
    return {
        letter: Moments.of(columns, table[arm == value])
        for value, letter in enumerate("AB")
    }


@pytest.mark.parametrize("case", cases("lin_hc2"), ids=name)
def test_lin_is_the_default_where_covariates_are_declared(case):
    names = [key for key in ("x1", "x2") if key in case["input"]]
    exp = experiment(metric("y", covariates=names))
    (effect,) = analyze_from_moments(rows(case, "y", *names), exp).effects
    want, near = case["expected"], {"rel": case["tolerance_rel"], "abs": 0}
    assert effect.method == "lin_moments"
    assert effect.estimate == pytest.approx(want["estimate"], **near)
    assert effect.se == pytest.approx(want["se_moments"], **near)
    assert effect.mean_control == pytest.approx(want["control"], **near)


def test_lin_takes_hc2_variances_that_were_summed_over_the_rows():
    case = cases("lin_hc2")[0]
    exp = experiment(metric("y", covariates=["x1"]))
    half = case["expected"]["se_hc2"] ** 2 / 2
    variances = {("m", ()): {}, ("y", ()): {"A": half, "B": half}}
    moments = rows(case, "y", "x1")
    (effect,) = analyze_from_moments(moments, exp, variances=variances).effects
    assert effect.method == "lin_hc2"
    assert effect.se == pytest.approx(case["expected"]["se_hc2"], rel=1e-12, abs=0)


def test_adjust_none_ignores_covariates():
    case = cases("lin_hc2")[0]
    exp = experiment(metric("y", covariates=["x1"]), adjust="none")
    (effect,) = analyze_from_moments(rows(case, "y", "x1"), exp).effects
    arm, y = np.array(case["input"]["arm"]), np.array(case["input"]["y"])
    want = stats.ttest_ind(y[arm == 1], y[arm == 0], equal_var=False)
    assert effect.method == "welch"
    assert effect.p_value == pytest.approx(want.pvalue, rel=1e-12, abs=0)


def shares(control, treatment, columns=("x",)):
    def arm(successes, n):
        values = np.zeros(n)
        values[:successes] = 1
        return Moments.of(columns, values)

    return {"A": arm(*control), "B": arm(*treatment)}


@pytest.mark.parametrize(
    "case", cases("proportion_wald", "proportion_pooled_z"), ids=name
)
def test_proportion_reference_cases(case):
    test = "wald" if case["method"] == "proportion_wald" else "pooled"
    exp = experiment(metric("x", kind="proportion", test=test))
    moments = shares(case["input"]["control"], case["input"]["treatment"])
    analysis = analyze_from_moments(moments, exp)
    (effect,) = analysis.effects
    assert effect.method == test
    want = case["expected"]["p_value"]
    assert effect.p_value == pytest.approx(want, rel=1e-9, abs=0)
    assert "low_counts" in codes(analysis)  # 5 of 83


@pytest.mark.parametrize("case", cases("proportion_intervals"), ids=name)
@pytest.mark.parametrize(
    "test", ["wald", "newcombe", "agresti_caffo", "miettinen_nurminen"]
)
def test_proportion_intervals(case, test):
    exp = experiment(metric("x", kind="proportion", test=test))
    moments = shares(case["input"]["control"], case["input"]["treatment"])
    (effect,) = analyze_from_moments(moments, exp).effects
    want = tuple(case["expected"][test])
    assert (effect.ci_low, effect.ci_high) == pytest.approx(want, rel=1e-6, abs=0)


@pytest.mark.parametrize("case", cases("ratio_delta"), ids=name)
def test_ratio_reference_cases(case):
    given_, want = case["input"], case["expected"]
    exp = experiment(
        metric(
            "r", kind="ratio", numerator={"column": "x"}, denominator={"column": "y"}
        )
    )
    sides = (given_["control"], given_["treatment"])
    if "columns" in given_:
        moments = [summary(["x", "y"], side) for side in sides]
    else:
        moments = [
            Moments.of(["x", "y"], np.column_stack([s["x"], s["y"]])) for s in sides
        ]
    (effect,) = analyze_from_moments(dict(zip("AB", moments, strict=True)), exp).effects
    near = {"rel": case["tolerance_rel"], "abs": 0}
    assert effect.method == "delta"
    assert effect.mean_control == pytest.approx(want["control"], **near)
    assert effect.estimate == pytest.approx(want["estimate"], **near)
    if "se" in want:
        assert effect.se == pytest.approx(want["se"], **near)
        assert effect.p_value == pytest.approx(want["p_value"], **near)


# -- families ------------------------------------------------------------------------


def units(seed, sizes=(400, 380), effect=0.0, columns=("m",), width=1):
    rng = default_rng(seed)
    return {
        arm: Moments.of(columns, rng.normal(10 + effect * i, 2, (n, width)))
        for i, (arm, n) in enumerate(zip("ABCD", sizes, strict=False))
    }


def several(roles, *, arms=3, seed=0, effect=0.3, **keys):
    names = [f"m{i}" for i in range(len(roles))]
    extra = {"guardrail": {"margin": 0.5}}
    exp = experiment(
        *(
            metric(n, role=role, **extra.get(role, {}))
            for n, role in zip(names, roles, strict=True)
        ),
        arms=dict.fromkeys("ABCD"[:arms], 1),
        **keys,
    )
    moments = units(seed, (500,) * arms, effect, names, len(names))
    return analyze_from_moments(moments, exp)


def test_goals_are_adjusted_by_holm_over_goals_and_arms_the_others_by_role():
    from statsmodels.stats.multitest import multipletests

    analysis = several(["goal", "goal", "guardrail", "diagnostic", "diagnostic"])
    for role, method in (("goal", "holm"), ("diagnostic", "fdr_bh")):
        effects = [e for e in analysis.effects if e.role == role]
        assert len(effects) == 4
        want = multipletests([e.p_value for e in effects], method=method)[1]
        got = [e.p_adj for e in effects]
        assert got == pytest.approx(list(want), rel=1e-12, abs=0)
    for e in analysis.effects:
        if e.role == "guardrail":
            assert (e.p_adj, e.ci_adj_low) == (e.p_value, e.ci_low)


def test_scope_metric_makes_each_goal_a_family():
    analysis = several(["goal", "goal"], scope="metric")
    for name_ in ("m0", "m1"):
        pair = [e for e in analysis.effects if e.metric == name_]
        low = min(pair, key=lambda e: e.p_value)
        assert low.p_adj == pytest.approx(2 * low.p_value, rel=1e-12, abs=0)


@given(st.integers(0, 10**6), st.floats(0, 0.6))
def test_adjusted_intervals_agree_with_adjusted_p_on_both_scales(seed, effect):
    analysis = several(["goal", "goal", "diagnostic"], seed=seed, effect=effect)
    for e in analysis.effects:
        rejected = e.p_adj <= 0.05
        if abs(e.p_adj - 0.05) > 1e-9:
            assert rejected == (not e.ci_adj_low <= 0 <= e.ci_adj_high)
            assert rejected == (not e.lift_adj_low <= 0 <= e.lift_adj_high)
        assert (e.p_value < 0.05) == (not e.ci_low <= 0 <= e.ci_high)
        assert (e.p_value < 0.05) == (not e.lift_low <= 0 <= e.lift_high)
        assert e.ci_adj_low <= e.ci_low <= e.estimate <= e.ci_high <= e.ci_adj_high


def test_an_interval_exists_also_where_adjusted_p_is_1():
    analysis = several(["goal"] * 3, seed=7, effect=0.0)
    at_one = [e for e in analysis.effects if e.p_adj == 1]
    assert at_one
    assert all(isfinite(e.ci_adj_low) and isfinite(e.ci_adj_high) for e in at_one)


def test_a_goal_that_cannot_be_computed_keeps_its_place_in_the_family():
    exp = experiment(metric("x"), metric("flat"))
    rng = default_rng(1)
    moments = {
        arm: Moments.of(
            ["x", "flat"], np.column_stack([rng.normal(i, 1, 90), [3] * 90])
        )
        for i, arm in enumerate("AB")
    }
    analysis = analyze_from_moments(moments, exp)
    x, flat = analysis.effects
    assert x.p_adj == pytest.approx(2 * x.p_value, rel=1e-12, abs=0)
    assert (flat.p_value, flat.p_adj, flat.ci_adj_low) == (None, None, None)
    assert flat.estimate == 0
    assert "constant_metric" in codes(analysis)


# -- segments ------------------------------------------------------------------------


def cell(arm, m, *segment, rows=None):
    by = ("variant", *(column for column, _ in segment))
    key = (arm, *(value for _, value in segment))
    return ArmCell(by, key, m.n if rows is None else rows, {m.columns: m})


def test_segments_form_one_family_and_a_null_segment_is_no_total():
    total, ios, null = units(1), units(2), units(3, effect=0.4)
    cells = [cell(arm, m) for arm, m in total.items()]
    cells += [cell(arm, m, ("platform", "ios")) for arm, m in ios.items()]
    cells += [cell(arm, m, ("platform", None)) for arm, m in null.items()]
    analysis = analyze_from_moments(cells, experiment())
    assert [e.by for e in analysis.segments()] == [
        (("platform", "ios"),),
        (("platform", None),),
    ]
    low, high = sorted(analysis.segments(), key=lambda e: e.p_value)
    assert low.p_adj == pytest.approx(min(2 * low.p_value, high.p_value), rel=1e-12)
    assert [row["platform"] for row in analysis.rows()] == [None, "ios", "NULL"]
    assert list(analysis.rows()[0])[:5] == [
        "metric",
        "role",
        "platform",
        "arm",
        "control",
    ]
    (alone,) = analyze_from_moments(total, experiment()).effects
    assert analysis.totals() == (alone,)  # segments do not touch the total


def test_a_segment_without_control_is_said_not_to_be_computable():
    total = units(1)
    cells = [cell(arm, m) for arm, m in total.items()]
    cells.append(cell("B", total["B"], ("platform", "harmony")))
    analysis = analyze_from_moments(cells, experiment())
    (segment,) = analysis.segments()
    assert (segment.n_control, segment.p_value) == (0, None)
    assert "segments_not_computable" in codes(analysis)


# -- what is noticed -----------------------------------------------------------------


def test_null_shares_that_differ_between_arms_are_a_selection():
    arms = units(1, (900, 800))
    seen = [cell("A", arms["A"], rows=1000), cell("B", arms["B"], rows=1000)]
    assert "null_imbalance" in codes(analyze_from_moments(seen, experiment()))
    like = [cell("A", arms["A"], rows=1800), cell("B", arms["B"], rows=1600)]
    assert "null_imbalance" not in codes(analyze_from_moments(like, experiment()))


def test_covariates_that_differ_before_exposure_and_those_that_add_nothing():
    rng = default_rng(3)
    exp = experiment(metric("y", covariates=["x", "twice", "flat"]))
    moments = {}
    for shift, arm in ((0, "A"), (1, "B")):
        x = rng.normal(shift, 1, 300)
        y = x + rng.normal(0, 1, 300)
        table = np.column_stack([y, x, 2 * x, np.ones(300)])
        moments[arm] = Moments.of(["y", "x", "twice", "flat"], table)
    analysis = analyze_from_moments(moments, exp)
    seen = {(n.code, n.args) for n in analysis.notices}
    assert ("covariate_imbalance", (("covariate", "x"), ("arm", "B"))) in seen
    for dropped in ("twice", "flat"):
        args = (("metric", "y"), ("covariate", dropped))
        assert ("covariate_dropped", args) in seen


def test_a_missing_indicator_joins_its_covariate_unseen():
    rng = default_rng(4)
    exp = experiment(metric("y", covariates=["x"]))
    moments, rows_ = {}, []
    for i, arm in enumerate("AB"):
        x = rng.normal(5, 1, 200)
        gone = rng.random(200) < 0.3
        y = x + i + rng.normal(0, 1, 200)
        filled = np.where(gone, 0, x)
        table = np.column_stack([y, filled, gone])
        rows_.append((i, y, filled, gone))
        moments[arm] = Moments.of(["y", "x", "x__missing"], table)
    (effect,) = analyze_from_moments(moments, exp).effects
    # the same fit as filling with the mean of what is known
    known = np.concatenate([f[~g] for _, _, f, g in rows_]).mean()
    other = {
        arm: Moments.of(
            ["y", "x", "x__missing"],
            np.column_stack([y, np.where(g, known, f), g]),
        )
        for arm, (_, y, f, g) in zip("AB", rows_, strict=True)
    }
    (same,) = analyze_from_moments(other, exp).effects
    assert effect.estimate == pytest.approx(same.estimate, rel=1e-9)
    assert effect.se == pytest.approx(same.se, rel=1e-9)


@pytest.mark.parametrize("sizes", [(1, 1), (5, 1), (1, 0), (5, 0)])
@pytest.mark.parametrize("kind", ["mean", "proportion", "ratio"])
def test_too_few_units_give_none_and_a_notice(sizes, kind):
    parts = {"numerator": {"column": "x"}, "denominator": {"column": "y"}}
    item = metric("x", kind=kind, **(parts if kind == "ratio" else {}))
    table = np.column_stack([[1, 0, 1, 0, 1], [1, 2, 1, 2, 1]])
    moments = {
        arm: Moments.of(["x", "y"], table[:n])
        for arm, n in zip("AB", sizes, strict=True)
    }
    analysis = analyze_from_moments(moments, experiment(item))
    (effect,) = analysis.effects
    assert (effect.p_value, effect.se, effect.ci_low, effect.p_adj) == (None,) * 4
    assert "too_few_units" in codes(analysis)
    assert analysis.verdict == "abtest.analyze.not_computable"
    assert "nan" not in analysis.to_html().lower()


@pytest.mark.parametrize("kind", ["mean", "proportion"])
def test_a_constant_metric_has_a_difference_and_no_test(kind):
    moments = {arm: Moments.of(["m"], np.zeros(50)) for arm in "AB"}
    analysis = analyze_from_moments(moments, experiment(metric(kind=kind)))
    (effect,) = analysis.effects
    assert (effect.estimate, effect.lift, effect.p_value) == (0, None, None)
    assert "constant_metric" in codes(analysis)


def test_a_ratio_over_nothing_is_said():
    exp = experiment(
        metric(
            "r", kind="ratio", numerator={"column": "x"}, denominator={"column": "y"}
        )
    )
    moments = {arm: Moments.of(["x", "y"], [[1, 0], [2, 0], [3, 0]]) for arm in "AB"}
    analysis = analyze_from_moments(moments, exp)
    assert analysis.effects[0].mean_control is None
    assert "ratio_undefined" in codes(analysis)


# -- faults --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arms", "code", "message"),
    [
        (["A", None], "null_value", "'variant' holds NULL.*drop or label"),
        (["A", "b"], "unknown_arm", r"the arm 'b'.*\['A', 'B'\].*Did you mean 'B'"),
    ],
)
def test_arms_nobody_declared(arms, code, message):
    cells = [cell(arm, Moments.of(["m"], [1, 2, 3])) for arm in arms]
    with pytest.raises(DataError, match=message) as info:
        analyze_from_moments(cells, experiment())
    assert info.value.code == code


def test_no_units_at_all():
    for cells in ([], [cell("A", Moments.empty(["m"]))]):
        with pytest.raises(DataError, match="no units in an open arm") as info:
            analyze_from_moments(cells, experiment())
        assert info.value.code == "no_units"


@pytest.mark.parametrize("bad", [2, -1, 0.5])
def test_a_proportion_is_0_or_1(bad):
    moments = {arm: Moments.of(["m"], [0, 1, bad]) for arm in "AB"}
    with pytest.raises(DataError, match="must be 0 or 1 a unit") as info:
        analyze_from_moments(moments, experiment(metric(kind="proportion")))
    assert info.value.code == "not_a_share"


def test_infinity_is_refused_by_column():
    with np.errstate(invalid="ignore"):
        moments = {arm: Moments.of(["m"], [0, 1, np.inf]) for arm in "AB"}
    with pytest.raises(DataError, match="'m' holds an infinite value") as info:
        analyze_from_moments(moments, experiment())
    assert info.value.code == "infinite_value"


def test_moments_without_the_metric():
    moments = {arm: Moments.of(["x"], [0, 1]) for arm in "AB"}
    with pytest.raises(ParameterError, match=r"'m' reads \['m'\]") as info:
        analyze_from_moments(moments, experiment())
    assert info.value.code == "moments_mismatch"


@pytest.mark.parametrize("big", [1e300, -1e300, 1e308])
def test_huge_values_give_a_number_or_none_and_a_notice_never_nan(big):
    with np.errstate(over="ignore", invalid="ignore"):
        moments = {
            "A": Moments.of(["m"], [1, 2, 3, 4.0]),
            "B": Moments.of(["m"], [1, 2, 3, big]),
        }
    analysis = analyze_from_moments(moments, experiment())
    json.dumps(analysis.to_dict(), allow_nan=False)
    assert "nan" not in analysis.to_html().lower()
    if analysis.effects[0].p_value is None:
        assert "not_computable" in codes(analysis)


# -- defects of peers that are in reach ----------------------------------------------


def test_an_offset_of_1e9_leaves_p_alone():
    rng = default_rng(11)
    # in steps of 2**-20, so that adding 1e9 loses nothing of the values themselves
    a, b = (np.round(rng.normal(m, 1, 4000) * 2**20) / 2**20 for m in (0, 0.06))
    exp = experiment()

    def p(shift):
        moments = {"A": Moments.of(["m"], a + shift), "B": Moments.of(["m"], b + shift)}
        return analyze_from_moments(moments, exp).effects[0].p_value

    assert p(1e9) == pytest.approx(p(0), rel=0, abs=1e-6)  # a mean has 1e-7 to spare


def test_unobserved_units_are_not_in_n():
    rng = default_rng(12)
    hits = 0
    for _ in range(600):
        cells = [
            cell(arm, Moments.of(["m"], rng.normal(0, 1, 200)), rows=400)
            for arm in "AB"
        ]
        (effect,) = analyze_from_moments(cells, experiment()).effects
        assert (effect.n_control, effect.n_treatment) == (200, 200)
        hits += effect.p_value < 0.05
    # 600 A/A runs: 5 % +- 3 binomial standard errors; counting NULLs gave 16.6 %
    assert abs(hits / 600 - 0.05) < 3 * sqrt(0.05 * 0.95 / 600)


def test_a_closed_arm_takes_no_part():
    moments = units(5, (300, 300, 40))
    exp = experiment(arms={"A": 1, "B": 1, "C": 0})
    analysis = analyze_from_moments(moments, exp)
    assert [e.arm for e in analysis.effects] == ["B"]
    assert analysis.units == 600
    two = analyze_from_moments({a: moments[a] for a in "AB"}, experiment())
    assert analysis.effects == two.effects


# -- properties ----------------------------------------------------------------------


@given(st.integers(0, 10**6), st.floats(0, 3))
def test_swapping_the_arms_turns_the_sign(seed, effect):
    moments = units(seed, effect=effect)
    (one,) = analyze_from_moments(moments, experiment()).effects
    (two,) = analyze_from_moments(moments, experiment(control="B")).effects
    assert two.estimate == -one.estimate
    assert two.p_value == pytest.approx(one.p_value, rel=1e-9, abs=0)
    assert (two.ci_low, two.ci_high) == pytest.approx((-one.ci_high, -one.ci_low))


@given(st.integers(0, 10**6), st.floats(1e-6, 1e6))
def test_the_unit_of_a_metric_changes_nothing_but_the_unit(seed, scale):
    rng = default_rng(seed)
    values = {arm: rng.normal(10, 2, 60) for arm in "AB"}
    one, two = (
        analyze_from_moments(
            {arm: Moments.of(["m"], v * k) for arm, v in values.items()}, experiment()
        ).effects[0]
        for k in (1, scale)
    )
    assert two.p_value == pytest.approx(one.p_value, rel=1e-7, abs=0)
    assert two.lift_low == pytest.approx(one.lift_low, rel=1e-7, abs=1e-12)
    assert two.ci_low == pytest.approx(one.ci_low * scale, rel=1e-7, abs=1e-9 * scale)


# -- the decision over an analysis ---------------------------------------------------

SPLIT = check_split({"A": 500, "B": 500})


def decided(shift, *, days=14, sizes=(500, 500), arms="AB", **keys):
    rng = default_rng(1)
    values = rng.normal(0, 1, sizes[0])
    values -= values.mean()
    moments = {
        arm: Moments.of(["m"], values[:n] - values[:n].mean() + 10 + d)
        for arm, n, d in zip(arms, sizes, (0, *shift), strict=True)
    }
    keys = {"arms": dict.fromkeys(arms, 1), **keys}
    item = keys.pop("metric", {"mde": 0.05})
    analysis = analyze_from_moments(
        moments, experiment(metric(**item), **keys), days=days
    )
    return decide(analysis, SPLIT)


def test_a_clear_win_ships_and_names_the_arm():
    decision = decided([1.0])
    assert (decision.outcome, decision.arm) == ("ship", "B")
    assert [str(r) for r in decision.reasons] == ["goal_better:m"]
    assert "no_planned_size" in codes(decision)


@pytest.mark.parametrize(
    ("shift", "keys", "outcome", "reason"),
    [
        ([-1.0], {}, "keep", "goal_worse:m"),
        ([-1.0], {"metric": {"good": "down"}}, "ship", "goal_better:m"),
        ([0.0], {}, "keep", "no_useful_effect"),
        ([0.0], {"metric": {"mde": 0.001}}, "iterate", "inconclusive"),
        ([0.0], {"metric": {}}, "iterate", "inconclusive"),
        ([1.0], {"days": 7}, "iterate", "too_early"),
        ([1.0], {"days": 15}, "iterate", "partial_week"),
        ([1.0], {"days": None}, "ship", "goal_better:m"),
        (
            [1.0],
            {"plan": {"units": 1001}},
            "iterate",
            "planned_size_not_reached",
        ),
        ([1.0], {"plan": {"units": 1000}}, "ship", "goal_better:m"),
        (
            [-0.01],
            {"objective": "no_harm", "metric": {"margin": 0.02}},
            "ship",
            "no_harm_shown",
        ),
        (
            [-0.01],
            {
                "objective": "no_harm",
                "metric": {"margin": 0.2, "margin_kind": "absolute"},
            },
            "ship",
            "no_harm_shown",
        ),
        (
            [-0.01],
            {"objective": "no_harm", "metric": {"margin": 0.002}},
            "iterate",
            "harm_not_excluded:m",
        ),
    ],
)
def test_the_rule_over_an_analysis(shift, keys, outcome, reason):
    decision = decided(shift, **keys)
    assert decision.outcome == outcome
    assert [str(r) for r in decision.reasons] == [reason]


def test_inconclusive_says_how_many_units_more():
    decision = decided([0.0], metric={"mde": 0.01})
    assert decision.outcome == "iterate"
    sd = default_rng(1).normal(0, 1, 500).std(ddof=1)
    width = 2 * 1.962 * sd * sqrt(2 / 500) / 10
    want = 1000 * ((width / 0.01) ** 2 - 1)
    assert decision.units_needed == pytest.approx(want, rel=0.01)


def test_of_several_arms_the_highest_leads_and_a_tie_is_said():
    keys = {"sizes": (500, 500, 500), "arms": "ABC"}
    apart = decided([0.5, 1.5], **keys)
    assert (apart.arm, [str(r) for r in apart.reasons]) == ("C", ["goal_better:m"])
    tied = decided([1.0, 1.05], **keys)
    assert tied.arm == "C"
    assert [r.code for r in tied.reasons] == ["goal_better", "best_arm_not_separated"]
    assert tied.reasons[1].arm == "B"
    down = decided([-1.5, -0.5], **keys, metric={"good": "down"})
    assert down.arm == "B"
    mixed = decided([-1.0, 0.0], **keys, metric={"mde": 0.001})
    assert mixed.outcome == "iterate"
    assert [r.arm for r in mixed.reasons] == ["C"]


def test_a_failed_split_invalidates_whatever_the_effect():
    moments = units(1, effect=2.0)
    analysis = analyze_from_moments(moments, experiment(), days=14)
    broken = check_split({"A": 600, "B": 400})
    decision = decide(analysis, broken)
    assert decision.outcome == "invalid"
    assert [str(r) for r in decision.reasons] == ["srm_failed"]
    crossed = check_split({"A": 500, "B": 500}, crossovers=11)
    assert decide(analysis, crossed).reasons[0].code == "too_many_crossovers"


def test_a_guardrail_is_judged_on_the_scale_of_its_margin():
    rng = default_rng(5)
    values = {arm: rng.normal(0, 1, 20000) for arm in "AB"}
    for margin, kind, outcome in (
        (0.01, "relative", "ship"),  # 0.1 on a mean of 10
        (0.1, "absolute", "ship"),
        (0.01, "absolute", "iterate"),
        (0.001, "relative", "iterate"),
    ):
        exp = experiment(
            metric("m"),
            metric("g", role="guardrail", margin=margin, margin_kind=kind),
        )
        moments = {
            arm: Moments.of(["m", "g"], np.column_stack([v + (arm == "B"), v + 10]))
            for arm, v in values.items()
        }
        decision = decide(analyze_from_moments(moments, exp, days=14), SPLIT)
        assert decision.outcome == outcome, (margin, kind)


def test_noninferiority_is_the_interval_that_is_shown():
    (case,) = cases("noninferiority_relative")
    q = 2 * case["expected"]["p_noninferior"]
    sides = case["input"]
    moments = {
        arm: summary(["m"], sides[side])
        for arm, side in (("A", "control"), ("B", "treatment"))
    }
    (effect,) = analyze_from_moments(moments, experiment(alpha=q)).effects
    assert effect.lift_low == pytest.approx(-sides["margin_rel"], rel=1e-6, abs=0)


def test_an_unbounded_lift_still_knows_its_sign():
    item = {"m": metric(mde=0.05)}["m"]
    rng = default_rng(2)
    moments = {
        "A": Moments.of(["m"], rng.normal(0.0, 1, 500)),
        "B": Moments.of(["m"], rng.normal(1.0, 1, 500)),
    }
    analysis = analyze_from_moments(moments, experiment(item), days=14)
    assert "lift_unbounded" in codes(analysis)
    assert decide(analysis, SPLIT).outcome == "ship"


def test_verdicts_and_json():
    analysis = several(["goal", "goal"], effect=3.0)
    assert analysis.verdict == "abtest.analyze.better"
    assert several(["goal"], effect=-3.0).verdict == "abtest.analyze.worse"
    assert several(["goal"], effect=0.0).verdict == "abtest.analyze.no_difference"
    shown = json.loads(json.dumps(analysis.to_dict(), allow_nan=False))
    assert shown["experiment"]["id"] == "e"
    assert plain(analysis.rows())[0]["metric"] == "m0"
    keys = [e.key for e in analysis.estimates()]
    assert keys[:4] == ["m0.mean"] * 3 + ["m0.difference"]
    assert {e.by for e in analysis.estimates() if e.key == "m0.lift"} == {
        (("arm", "B"),),
        (("arm", "C"),),
    }
    for estimate in analysis.estimates():
        if estimate.lo is not None:
            assert estimate.lo <= estimate.value <= estimate.hi
    for lang in ("en", "zh"):
        assert "<table" in analysis.to_html(lang)
