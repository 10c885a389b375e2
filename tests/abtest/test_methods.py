"""Capping, quantiles, strata, clusters, pooled arms, beliefs and margins, by table."""

import json
from datetime import date, timedelta
from math import sqrt

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng
from scipy import stats

from growth.abtest import (
    ArmCell,
    analyze,
    analyze_from_moments,
    check_split,
    decide,
    trend,
)
from growth.abtest.pooling import pool_cells, pool_experiment
from growth.errors import DataError, ParameterError
from growth.stats import bayes, quantiles
from growth.stats.clusters import cluster_mean, cluster_spread
from growth.stats.contrast import Contrast
from growth.stats.moments import Moments
from growth.stats.strata import post_stratify
from tests.abtest.golden import cases
from tests.abtest.made import codes, experiment, metric

NEAR = {"rel": 1e-9, "abs": 1e-12}
RATIO = {"numerator": {"column": "x"}, "denominator": {"column": "y"}}


def ratio(name="r", **keys):
    return metric(name, kind="ratio", **RATIO, **keys)


def units(**columns):
    """Return a unit table; `variant` is there, ids are made."""
    n = len(columns["variant"])
    return pa.table({"unit_id": np.arange(n), **columns})


def only(analysis):
    (effect,) = analysis.effects
    return effect


# -- capping -------------------------------------------------------------------------


def capped_case():
    (case,) = cases("winsorised_mean")
    arms = np.array(["A", "B"])[case["input"]["arm"]]
    return case["expected"], units(variant=arms, m=case["input"]["x"])


def test_a_capped_row_stands_beside_its_uncapped_twin():
    want, table = capped_case()
    exp = experiment(metric(cap={"upper": 0.8}))
    analysis = analyze(table, exp)
    effect = only(analysis)
    twin = analysis.twin_of(effect)
    for row, key in ((effect, "capped"), (twin, "uncapped")):
        for name in ("estimate", "se", "p_value"):
            assert getattr(row, name) == pytest.approx(want[key][name], **NEAR)
    assert (effect.cap_high, effect.cap_low) == (want["cap"], None)
    assert (effect.capped, twin.capped, twin.cap_high) == (True, False, None)
    rows = analysis.rows()
    assert [(r["metric"], r["capped"]) for r in rows] == [("m", True), ("m", False)]
    assert json.dumps(analysis.to_dict(), allow_nan=False)


def test_the_declaration_says_which_twin_decides():
    _, table = capped_case()
    exp = experiment(metric(cap={"upper": 0.8, "decides": "uncapped"}))
    analysis = analyze(table, exp)
    assert only(analysis).capped is False
    assert [twin.capped for twin in analysis.twins] == [True]
    plain = only(analyze(table, experiment()))
    assert only(analysis).p_adj == plain.p_adj  # a twin takes no place in the family


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 999),
    upper=st.sampled_from([0.5, 0.9, 0.999, 1]),
    lower=st.sampled_from([None, 0.05]),
    of=st.sampled_from(["nonzero", "all"]),
)
def test_a_capped_mean_is_the_mean_of_capped_values(seed, upper, lower, of):
    rng = default_rng(seed)
    x = rng.normal(1, 5, 120).round(1) * (rng.random(120) < 0.7)
    x[rng.random(120) < 0.1] = np.nan
    arms = np.where(rng.random(120) < 0.5, "A", "B")
    cap = {"upper": upper, "of": of} | ({"lower": lower} if lower else {})
    table = units(variant=arms, m=pa.array(x, from_pandas=True))
    effect = only(analyze(table, experiment(metric(cap=cap))))
    pool = np.sort(x[~np.isnan(x) & ((x != 0) | (of == "all"))])
    rank = {p: int(np.ceil(p * len(pool) - 1e-9)) - 1 for p in (upper, lower) if p}
    high = np.inf if upper == 1 else pool[rank[upper]]
    low = pool[rank[lower]] if lower else -np.inf
    a, b = (x[(arms == arm) & ~np.isnan(x)].clip(low, high) for arm in "AB")
    assert effect.p_value == pytest.approx(
        stats.ttest_ind(b, a, equal_var=False).pvalue, rel=1e-9
    )
    assert (effect.n_control, effect.n_treatment) == (len(a), len(b))


def test_a_ratio_is_capped_in_both_parts():
    rng = default_rng(1)
    x, y = rng.lognormal(1, 1, 80).round(2), rng.lognormal(2, 1, 80).round(2)
    table = units(variant=["A", "B"] * 40, x=x, y=y)
    analysis = analyze(table, experiment(ratio(cap={"upper": 0.9})))
    tx, ty = (np.sort(v)[71] for v in (x, y))
    effect = only(analysis)
    control = x[::2].clip(max=tx).sum() / y[::2].clip(max=ty).sum()
    assert effect.mean_control == pytest.approx(control, **NEAR)
    assert [(c.column, c.high) for c in analysis.caps] == [("x", tx), ("y", ty)]


def test_thresholds_fixed_beforehand_are_taken_as_they_are():
    table = units(variant=["A", "B"] * 3, m=[1, 2, 3, -4, 500, 6])
    effect = only(analyze(table, experiment(metric(cap={"at": 4.5, "at_lower": -1}))))
    assert (effect.cap_low, effect.cap_high) == (-1.0, 4.5)
    assert effect.mean_control == pytest.approx((1 + 3 + 4.5) / 3)
    assert effect.mean_treatment == pytest.approx((2 - 1 + 4.5) / 3)


def test_capped_values_are_adjusted_in_segments_and_in_the_trend():
    rng = default_rng(2)
    n = 400
    pre = rng.lognormal(1, 1, n)
    m = pre + rng.lognormal(1, 1.5, n)
    days = [date(2026, 2, 1) + timedelta(days=int(d)) for d in rng.integers(0, 3, n)]
    table = units(
        variant=np.where(rng.random(n) < 0.5, "A", "B"),
        m=m,
        pre=pre,
        seg=rng.choice(["x", "y"], n),
        exposure_ds=days,
    )
    exp = experiment(metric(covariates=["pre"], cap={"upper": 0.95}))
    analysis = analyze(table, exp, by=["seg"])
    assert {e.method for e in analysis.effects if not e.by} == {"lin_hc2"}
    assert {e.method for e in analysis.twins if not e.by} == {"lin_hc2"}
    assert len(analysis.segments()) == 2
    assert sum(bool(twin.by) for twin in analysis.twins) == 2
    pulled = m.clip(max=analysis.caps[0].high)
    columns = {"variant": table["variant"], "m": pulled, "pre": pre}
    ready = units(**columns, seg=table["seg"], exposure_ds=days)
    bare = experiment(metric(covariates=["pre"]))
    same = only(analyze(ready, bare))
    assert analysis.effects[0].p_value == pytest.approx(same.p_value, rel=1e-9)
    shown = trend(table, exp).points
    assert [p.effect.estimate for p in shown] == pytest.approx(
        [p.effect.estimate for p in trend(ready, bare).points]
    )


def test_one_column_has_one_cap():
    table = units(variant=["A", "B"] * 3, m=[1, 2, 3, 4, 500, 6])
    value = {"column": "m"}
    exp = experiment(
        metric("a", value=value, cap={"at": 4}), metric("b", value=value, cap={"at": 5})
    )
    with pytest.raises(ParameterError, match=r"'m' is capped in two ways.*two columns"):
        analyze(table, exp)


@pytest.mark.parametrize(
    ("keys", "code", "name"),
    [
        ({"cap": {"uper": 0.9}}, "unknown_key", "metric[m].cap.uper"),
        ({"cap": {"upper": 0.9, "at": 5}}, "conflict", "metric[m].cap.upper"),
        ({"cap": {"at": [5, 6]}}, "wrong_type", "metric[m].cap.at"),
        ({"cap": {"lower": 0.9, "upper": 0.5}}, "conflict", "metric[m].cap.lower"),
        ({"cap": {}, "kind": "proportion"}, "conflict", "metric[m].cap"),
        ({"cap": {}, "kind": "quantile", "q": 0.5}, "conflict", "metric[m].cap"),
        ({"kind": "quantile"}, "missing_key", "metric[m].q"),
        ({"q": 0.5}, "conflict", "metric[m].q"),
        ({"kind": "quantile", "q": 1.5}, "out_of_range", "metric[m].q"),
        (
            {"kind": "quantile", "q": 0.5, "covariates": ["p"]},
            "conflict",
            "metric[m].covariates",
        ),
        ({"stratify": "s", "covariates": ["p"]}, "conflict", "metric[m].stratify"),
    ],
)
def test_faults_of_the_declaration(keys, code, name):
    with pytest.raises(ParameterError, match="m") as info:
        experiment(metric(**keys))
    assert (code, name) in [(f.code, f.name) for f in info.value.faults]


# -- quantiles -----------------------------------------------------------------------


def test_a_quantile_of_units_is_the_closed_form():
    rng = default_rng(3)
    x = rng.lognormal(0, 1, 900)
    x[:90] = np.nan
    arms = np.array(["A", "B", "C"])[rng.integers(0, 3, 900)]
    seg = rng.choice(["x", "y"], 900)
    table = units(variant=arms, m=pa.array(x, from_pandas=True), seg=seg)
    exp = experiment(
        metric(kind="quantile", q=0.9, margin=0.1), arms={"A": 1, "B": 1, "C": 1}
    )
    analysis = analyze(table, exp, by=["seg"])
    for effect in analysis.effects:
        inside = np.ones(900, bool) if not effect.by else seg == effect.by[0][1]
        sides = [
            quantiles.unit_quantile(x[inside & (arms == a)], 0.9).arm
            for a in ("A", effect.arm)
        ]
        want = Contrast(*sides)
        assert (effect.n_control, effect.n_treatment) == (sides[0].n, sides[1].n)
        assert effect.p_value == pytest.approx(want.p_value, rel=1e-12)
        assert (effect.lift_low, effect.lift_high) == want.lift_interval(0.05)
        assert effect.method == "quantile"
    assert len(analysis.effects) == 6


def test_a_quantile_of_events_knows_that_a_units_events_hang_together():
    (case,) = cases("quantile_clustered")
    x, who = np.array(case["input"]["x"]), np.array(case["input"]["unit"])
    want = case["expected"]
    lists = [x[who == u].tolist() for u in np.unique(who)]
    table = pa.table(
        {
            "unit_id": np.arange(2 * len(lists) + 2),
            "variant": ["A"] * len(lists) + ["B"] * len(lists) + ["A", "B"],
            "m": pa.array([*lists, *([2 * v for v in row] for row in lists), [], None]),
            "seg": ["x", None] * (len(lists) + 1),
        }
    )
    analysis = analyze(table, experiment(metric(kind="quantile", q=0.9)), by=["seg"])
    effect = analysis.totals()[0]
    assert (effect.n_control, effect.n_treatment) == (len(lists), len(lists))
    assert effect.mean_control == pytest.approx(want["quantile"], **NEAR)
    assert effect.se_control == pytest.approx(want["se"], **NEAR)
    assert effect.se_treatment == pytest.approx(2 * want["se"], **NEAR)
    for segment in analysis.segments():
        rows = [
            r
            for r, s in zip(lists, ["x", None] * 99, strict=False)
            if s == segment.by[0][1]
        ]
        flat = np.concatenate(rows)
        own = quantiles.clustered_quantile(
            flat, np.repeat(range(len(rows)), [len(r) for r in rows]), 0.9
        )
        assert segment.se_control == pytest.approx(own.se, **NEAR)


def test_a_mass_at_the_quantile_has_a_value_and_no_test():
    table = units(variant=["A", "B"] * 50, m=[0] * 80 + [1] * 20)
    analysis = analyze(table, experiment(metric(kind="quantile", q=0.5)))
    assert (only(analysis).estimate, only(analysis).p_value) == (0.0, None)
    assert "quantile_at_mass" in codes(analysis)


@pytest.mark.parametrize("m", [[1.0, 2.0], [1.0, None], [None, None]])
def test_one_observation_an_arm_is_none_and_said(m):
    table = units(variant=["A", "B"], m=pa.array(m, "float64"))
    analysis = analyze(table, experiment(metric(kind="quantile", q=0.5)))
    assert only(analysis).p_value is None
    assert "too_few_units" in codes(analysis)


def test_an_infinite_quantile_is_refused():
    m = [1.0, 2.0, float("inf"), float("inf"), 5.0, float("inf")]
    table = units(variant=["A", "B"] * 3, m=m)
    with pytest.raises(DataError, match=r"'m' holds an infinite value.*correct"):
        analyze(table, experiment(metric(kind="quantile", q=0.9)))


def test_moments_alone_hold_no_quantile():
    arms = {a: Moments.of(["m__seen"], [1.0, 1.0]) for a in "AB"}
    with pytest.raises(ParameterError, match=r"no moments hold.*pass quantiles="):
        analyze_from_moments(arms, experiment(metric(kind="quantile", q=0.9)))


# -- margins -------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 9999),
    margin=st.floats(0.01, 0.6),
    kind=st.sampled_from(["relative", "absolute"]),
    good=st.sampled_from(["up", "down"]),
    centre=st.sampled_from([4.0, -4.0]),
)
def test_the_verdict_against_the_margin_is_that_of_the_interval(
    seed, margin, kind, good, centre
):
    rng = default_rng(seed)
    arms = {a: Moments.of(["m"], rng.normal(centre, 4, 60)) for a in "AB"}
    exp = experiment(metric(margin=margin, margin_kind=kind, good=good))
    effect = only(analyze_from_moments(arms, exp))
    if effect.noninferior is None:
        assert effect.p_noninferior is None
        return
    assert effect.noninferior == (effect.p_noninferior < 0.025)
    tests = [
        Contrast(*(contrast_arm(arms[a]) for a in "AB")).noninferiority(
            margin, good=way, relative=kind == "relative"
        )
        for way in ("up", "down")
    ]
    assert effect.equivalent == all(test.p_value < 0.025 for test in tests)


def contrast_arm(m):
    from growth.stats.means import mean

    return mean(m)


def test_rows_say_what_the_decision_reads():
    rng = default_rng(5)
    columns = ["g", "rail"]
    shift = {"A": np.zeros(2), "B": np.array([0.3, 0.0])}
    rows = {a: rng.normal(10, 1, (4000, 2)) + shift[a] for a in "AB"}
    exp = experiment(metric("g"), metric("rail", role="guardrail", margin=0.02))
    analysis = analyze_from_moments(
        {a: Moments.of(columns, r) for a, r in rows.items()}, exp
    )
    goal, rail = analysis.rows()
    assert (rail["noninferior"], rail["equivalent"]) == (True, True)
    assert (goal["noninferior"], goal["margin"]) == (None, None)
    split = check_split(units(variant=["A", "B"] * 4000), unit_col="unit_id")
    assert decide(analysis, split).outcome == "ship"


# -- beliefs -------------------------------------------------------------------------


def test_beliefs_are_the_normal_posterior_of_the_lift():
    (case,) = (c for c in cases("bayes_normal_lift") if c["id"] == "bayes-lift-prior")
    given_, want = case["input"], case["expected"]
    # arms whose lift and delta-method error are the case's
    n, value = 1000, 1.0
    v0 = 1e-8
    v1 = given_["se"] ** 2 - (1 + given_["lift"]) ** 2 * v0
    arms = {
        "A": Moments.from_summary(["m"], n=n, mean=[value], cov=[v0 * n]),
        "B": Moments.from_summary(["m"], n=n, mean=[1 + given_["lift"]], cov=[v1 * n]),
    }
    prior = (given_["prior_mean"], given_["prior_sd"])
    (row,) = analyze_from_moments(arms, experiment(), prior=prior).rows()
    for name in ("posterior_mean", "posterior_sd", "chance_to_win"):
        assert row[name] == pytest.approx(want[name], rel=1e-7)
    for name in ("expected_loss_ship", "expected_loss_keep"):
        assert row[name] == pytest.approx(want[name], rel=1e-6)
    (down,) = analyze_from_moments(
        arms, experiment(metric(good="down")), prior=prior
    ).rows()
    assert down["chance_to_win"] == pytest.approx(1 - row["chance_to_win"])
    assert down["expected_loss_ship"] == row["expected_loss_keep"]
    (flat,) = analyze_from_moments(arms, experiment(), prior=None).rows()
    assert flat["posterior_mean"] == pytest.approx(given_["lift"])


def test_a_control_near_zero_leaves_beliefs_out_and_says_so():
    arms = {
        a: Moments.from_summary(["m"], n=100, mean=[v], cov=[1.0])
        for a, v in (("A", 0.3), ("B", 0.4))
    }
    analysis = analyze_from_moments(arms, experiment())
    assert analysis.rows()[0]["chance_to_win"] is None
    assert "lift_unstable" in codes(analysis)
    assert analysis.effects[0].lift_low is not None
    assert bayes.STABLE == 5.0


@pytest.mark.parametrize("prior", [(0.0, 0.0), (0.0, -1.0), (0.0, float("inf"))])
def test_a_prior_has_a_spread(prior):
    arms = {a: Moments.of(["m"], [1.0, 2.0]) for a in "AB"}
    with pytest.raises(ParameterError, match=r"above 0 and finite.*None") as info:
        analyze_from_moments(arms, experiment(), prior=prior)
    assert info.value.code == "bad_scale"


# -- strata --------------------------------------------------------------------------


def test_post_stratification_reference_case():
    (case,) = cases("post_stratification")
    given_, want = case["input"], case["expected"]
    arms = np.array(["A", "B"])[given_["arm"]]
    table = units(variant=arms, m=given_["y"], s=given_["stratum"])
    for exp in (experiment(metric(stratify="s")), experiment(stratify="s")):
        effect = only(analyze(table, exp))
        assert effect.estimate == pytest.approx(want["estimate"], rel=1e-8)
        assert effect.se == pytest.approx(want["se"], rel=1e-8)
        assert effect.method == "post_stratified"


def test_ratios_and_segments_are_stratified_too():
    rng = default_rng(6)
    n = 600
    data = {
        "variant": rng.choice(["A", "B"], n),
        "s": rng.choice(["p", "q", None], n).tolist(),
        "seg": rng.choice(["u", "v"], n),
        "x": rng.poisson(3, n),
        "y": rng.poisson(5, n) + 1,
    }
    analysis = analyze(units(**data), experiment(ratio(stratify="s")), by=["seg", "s"])
    rows = np.column_stack([data["x"], data["y"]])
    for effect in (e for e in analysis.effects if "s" not in dict(e.by)):
        inside = np.ones(n, bool) if not effect.by else data["seg"] == effect.by[0][1]
        strata = {
            s: {
                a: Moments.of(
                    ["x", "y"],
                    rows[
                        inside
                        & (data["variant"] == a)
                        & np.array([v == s for v in data["s"]])
                    ],
                )
                for a in "AB"
            }
            for s in ("p", "q", None)
        }
        want = Contrast(*post_stratify(strata, "x", denominator="y").arms.values())
        assert effect.p_value == pytest.approx(want.p_value, rel=1e-9)
    own = [e for e in analysis.effects if "s" in dict(e.by)]
    assert {e.method for e in own} == {"delta"}  # one stratum within itself
    assert len(own) == 3


def test_strata_too_small_are_taken_together_and_said():
    table = units(
        variant=["A", "B"] * 9,
        m=range(18),
        s=["p"] * 8 + ["q"] * 8 + ["r"] * 2,
    )
    analysis = analyze(table, experiment(stratify="s"))
    assert "strata_pooled" in codes(analysis)
    assert only(analysis).p_value is not None


def test_moments_without_strata_are_refused():
    arms = {a: Moments.of(["m"], [1.0, 2.0]) for a in "AB"}
    with pytest.raises(ParameterError, match=r"stratified by 's'.*pass strata="):
        analyze_from_moments(arms, experiment(stratify="s"))


# -- clusters ------------------------------------------------------------------------


def stores(sizes, means, rng):
    rows = [
        (f"u{g}-{i}", "AB"[g % 2], f"g{g}", mean + rng.normal())
        for g, (size, mean) in enumerate(zip(sizes, means, strict=True))
        for i in range(size)
    ]
    names = ("unit_id", "variant", "store", "m")
    return pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))


CLUSTERED = {"unit": "cluster", "cluster": "store"}


def test_clusters_are_compared_by_their_totals():
    rng = default_rng(7)
    sizes = rng.integers(1, 30, 24)
    table = stores(sizes, rng.normal(0, 1, 24), rng)
    analysis = analyze(table, experiment(**CLUSTERED))
    frame = table.to_pandas().groupby(["variant", "store"])["m"]
    totals = frame.agg(["sum", "size", lambda v: ((v - v.mean()) ** 2).sum()])
    sides = [totals.loc[a].to_numpy().T for a in "AB"]
    want = Contrast(*(cluster_mean(t, s) for t, s, _ in sides))
    effect = only(analysis)
    assert (effect.n_control, effect.n_treatment) == (12, 12)
    assert effect.p_value == pytest.approx(want.p_value, rel=1e-9)
    assert effect.se == pytest.approx(want.se, rel=1e-9)
    assert effect.method == "clusters"
    for facts, (t, s, w) in zip(analysis.clusters, sides, strict=True):
        spread = cluster_spread(s, t, w)
        assert facts.icc == pytest.approx(spread.icc, rel=1e-9)
        assert facts.design_effect == pytest.approx(spread.design_effect, rel=1e-9)
        assert (facts.clusters, facts.units) == (12, s.sum())
    assert "few_clusters" not in codes(analysis)


def test_the_cluster_reference_case_and_the_robust_regression():
    (case,) = cases("cluster_ratio")
    given_, want = case["input"], case["expected"]
    rows = []
    for g, (size, total, arm) in enumerate(
        zip(given_["cluster_size"], given_["cluster_total"], given_["arm"], strict=True)
    ):
        rows += [(f"{g}-{i}", "AB"[arm], g, total / size) for i in range(size)]
    names = ("unit_id", "variant", "store", "m")
    table = pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
    analysis = analyze(table, experiment(**CLUSTERED))
    effect = only(analysis)
    assert effect.estimate == pytest.approx(want["estimate"], rel=1e-8)
    assert effect.se == pytest.approx(want["se"], rel=1e-8)
    assert effect.p_value == pytest.approx(want["p_value"], rel=1e-8)
    assert codes(analysis).count("few_clusters") == 2


def test_proportions_ratios_caps_covariates_and_segments_of_clusters():
    rng = default_rng(8)
    sizes = rng.integers(2, 12, 40)
    table = stores(sizes, rng.normal(2, 1, 40), rng)
    n = len(table)
    x, y = rng.poisson(2, n), rng.poisson(3, n) + 1
    holes = pa.array([None if i % 11 == 0 else int(v) for i, v in enumerate(y)])
    table = table.append_column("x", pa.array(x)).append_column("y", holes)
    table = table.append_column("paid", pa.array(rng.random(n) < 0.3))
    table = table.append_column("pre", pa.array(rng.normal(size=n)))
    table = table.append_column("seg", pa.array(rng.choice(["u", "v"], n)))
    exp = experiment(
        metric("paid", kind="proportion"),
        ratio(),
        metric("m", covariates=["pre"]),
        metric("c", value={"column": "x"}, cap={"upper": 0.8}),
        **CLUSTERED,
    )
    analysis = analyze(table, exp, by=["seg"])
    frame = table.to_pandas()
    whole = frame[frame["y"].notna()]
    found = {e.metric: e for e in analysis.totals()}
    for name, rows, top, size in (
        ("paid", frame, "paid", None),
        ("r", whole, "x", "y"),
    ):
        sums = (
            rows.assign(one=1.0)
            .groupby(["variant", "store"])[[top, size or "one"]]
            .sum()
        )
        want = Contrast(*(cluster_mean(*sums.loc[a].to_numpy(float).T) for a in "AB"))
        assert found[name].p_value == pytest.approx(want.p_value, rel=1e-9), name
    assert found["paid"].unit == "share"
    assert found["m"].method == "lin_hc2"
    assert found["m"].p_value is not None
    assert found["c"].capped
    assert len(analysis.segments()) == 8
    assert all(e.p_value is not None for e in analysis.effects)


@pytest.mark.parametrize("groups", [2, 4])
def test_two_clusters_have_a_difference_and_no_test_four_have_one(groups):
    rng = default_rng(9)
    table = stores([20] * groups, rng.normal(0, 1, groups), rng)
    analysis = analyze(table, experiment(**CLUSTERED))
    effect = only(analysis)
    assert effect.estimate is not None
    assert (effect.p_value is None) == (groups == 2)
    said = codes(analysis)
    assert said.count("few_clusters") == 2
    assert ("too_few_units" in said) == (groups == 2)


def test_clusters_in_two_arms_are_left_out_and_members_need_a_cluster():
    rng = default_rng(10)
    table = stores([5] * 10, [0] * 10, rng)
    arms = table["variant"].to_pylist()
    arms[0] = "B"  # of the first store's members one saw the other arm
    split = table.set_column(1, "variant", pa.array(arms))
    analysis = analyze(split, experiment(**CLUSTERED))
    assert analysis.crossovers == 1
    assert (only(analysis).n_control, only(analysis).n_treatment) == (4, 5)
    lost = table["store"].to_pylist()
    lost[3] = None
    with pytest.raises(DataError, match="'store' holds NULL in 1 rows") as info:
        analyze(table.set_column(2, "store", pa.array(lost)), experiment(**CLUSTERED))
    assert info.value.code == "null_value"


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        ({"cluster": "store"}, "cluster"),
        ({**CLUSTERED, "stratify": "s"}, "stratify"),
    ],
)
def test_clusters_are_declared_whole(keys, name):
    with pytest.raises(ParameterError, match=name) as info:
        experiment(**keys)
    assert ("conflict", name) in [(f.code, f.name) for f in info.value.faults]


def test_a_cluster_is_of_the_day_its_first_member_was_exposed():
    rng = default_rng(13)
    table = stores([4] * 24, rng.normal(0, 1, 24), rng)
    days = [date(2026, 2, 1 + i % 3) for i in range(len(table))]
    table = table.append_column("exposure_ds", pa.array(days))
    shown = trend(table, experiment(**CLUSTERED))
    assert {(u.day.day, u.units) for u in shown.units} == {(1, 12)}
    last = shown.points[-1].effect
    assert last.p_value == pytest.approx(
        only(analyze(table, experiment(**CLUSTERED))).p_value, rel=1e-9
    )


# -- pooled arms ---------------------------------------------------------------------

THREE = {"arms": {"A": 2, "B": 1, "C": 1}}
POOL = {"any": ["B", "C"]}


def three_arms(seed, *, days=4, drift=False):
    rng = default_rng(seed)
    n = 1200
    day = rng.integers(0, days, n)
    late = day >= days // 2
    p = np.where(late & drift, 0.2, 0.5)
    arm = np.where(rng.random(n) < p, "A", rng.choice(["B", "C"], n))
    m = rng.normal(0, 1, n) + 3 * late
    dates = [date(2026, 2, 1) + timedelta(days=int(d)) for d in day]
    pre = rng.normal(size=n)
    return units(variant=arm, m=m + pre, pre=pre, exposure_ds=dates), late


def test_pooled_arms_are_one_arm_of_a_relabelled_table():
    table, _ = three_arms(1)
    exp = experiment(metric(covariates=["pre"]), **THREE)
    found = analyze(table, exp, pool=POOL)
    arm = ["A" if v == "A" else "any" for v in table["variant"].to_pylist()]
    again = table.set_column(1, "variant", pa.array(arm))
    want = analyze(
        again, experiment(metric(covariates=["pre"]), arms={"A": 2, "any": 2})
    )
    assert [e.arm for e in found.effects] == ["any"]
    assert only(found).p_value == pytest.approx(only(want).p_value, rel=1e-12)
    assert "mixed_allocation" not in codes(found)
    assert check_split(table, experiment=exp).verdict  # the split knows three arms
    assert len(check_split(table, experiment=exp).arms) == 3


def test_pooling_merges_moments():
    rng = default_rng(2)
    rows = {a: rng.normal(i, 1, 50) for i, a in enumerate("ABC")}
    cells = [
        ArmCell(("variant",), (a,), 50, {("m",): Moments.of(["m"], r)})
        for a, r in rows.items()
    ]
    exp = experiment(**THREE)
    found = analyze_from_moments(pool_cells(cells, POOL), pool_experiment(exp, POOL))
    both = np.concatenate([rows["B"], rows["C"]])
    want = stats.ttest_ind(both, rows["A"], equal_var=False)
    assert only(found).p_value == pytest.approx(want.pvalue, rel=1e-9, abs=0)


def test_arms_whose_shares_changed_are_compared_within_days():
    table, late = three_arms(3, drift=True)
    found = analyze(table, experiment(**THREE), pool=POOL)
    assert "mixed_allocation" in codes(found)
    effect = only(found)
    assert effect.method == "post_stratified"
    assert abs(effect.estimate) < 3 * effect.se
    naive = analyze(table, experiment(**THREE)).totals()[0]
    assert abs(naive.estimate) > 5 * naive.se  # the day passes for the arm
    assert late.any()


@pytest.mark.parametrize(
    "pool",
    [{"x": ["B", "D"]}, {"x": ["A", "B"]}, {"x": ["B"], "y": ["B", "C"]}, {"B": ["C"]}],
)
def test_what_cannot_be_pooled_is_refused(pool):
    table, _ = three_arms(1)
    with pytest.raises(ParameterError, match="pool") as info:
        analyze(table, experiment(**THREE), pool=pool)
    assert info.value.code == "bad_pool"


def test_the_error_of_pooled_halves_is_that_of_the_whole():
    rng = default_rng(4)
    m = rng.normal(0, 2, 400)
    table = units(variant=["A", "B", "A", "C"] * 100, m=m)
    effect = only(analyze(table, experiment(**THREE), pool=POOL))
    se = sqrt(m[1::2].var(ddof=1) / 200)
    assert effect.se_treatment == pytest.approx(se, rel=1e-9)


def test_an_analysis_is_the_same_to_the_last_bit_every_time(tmp_path):
    import pyarrow.parquet as pq

    rng = default_rng(12)
    n = 150_000
    pre = rng.lognormal(2, 1, n)
    table = units(
        variant=rng.choice(["A", "B"], n),
        m=pre + rng.lognormal(1, 1, n),
        pre=pre,
        x=rng.random(n),
        y=rng.random(n) + 0.5,
        seg=rng.choice(["u", "v"], n),
    )
    pq.write_table(table, tmp_path / "units.parquet", row_group_size=9_000)
    exp = experiment(
        metric(covariates=["pre"], cap={"upper": 0.99}),
        ratio(covariates=["pre"]),
        metric("q", kind="quantile", q=0.9, value={"column": "x"}),
    )
    path = str(tmp_path / "units.parquet")
    found = [analyze(path, exp, by=["seg"]).to_dict() for _ in range(3)]
    assert found[0] == found[1] == found[2]
    assert found[0]["effects"][0]["method"] == "lin_hc2"
