"""Tables that trip: NULLs, refunds, forty arms, two clusters, constant covariates.

Each case has the right answer, or an answer of None and a notice that says why; and
every plan reads every shape of metric.
"""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest
from numpy.random import default_rng
from scipy import stats

from growth.abtest import (
    AlwaysValid,
    GroupSequential,
    Hybrid,
    analyze,
    calibrate,
    check_split,
    decide,
    trend,
)
from growth.labels import has
from tests.abtest.made import codes, experiment, metric

N = 400
START = date(2026, 2, 1)
PARTS = {"numerator": {"column": "top"}, "denominator": {"column": "bottom"}}
SHAPES = {
    "mean": metric(),
    "share": metric("paid", kind="proportion"),
    "ratio": metric("r", kind="ratio", **PARTS),
    "quantile": metric(kind="quantile", q=0.9),
    "adjusted": metric(covariates=["pre"]),
    "capped": metric(cap={"at": 20.0}),
}


def drawn(seed=1, n=N, groups=None):
    """Return columns of a unit table; refunds make some values negative."""
    rng = default_rng(seed)
    pre = rng.gamma(2, 2, n)
    groups = groups or n
    store = np.arange(n) % groups
    return {
        "unit_id": np.arange(n),
        "variant": np.where(store % 2, "B", "A"),
        "store": np.char.add("s", store.astype(str)),
        "m": pre + rng.gamma(2, 3, n) - 4.0 * (rng.random(n) < 0.1),
        "paid": (rng.random(n) < 0.4).astype(float),
        "top": rng.poisson(3, n) - 1.0,
        "bottom": rng.poisson(4, n) + 1.0,
        "pre": pre,
        "day": np.array([START + timedelta(days=i % 14) for i in range(n)]),
        "seg": np.where(rng.random(n) < 0.5, "x", "y"),
    }


def table(columns, **changes):
    return pa.table(
        {
            name: pa.array(values, from_pandas=True)
            for name, values in {**columns, **changes}.items()
        }
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_a_tenth_of_the_values_missing_is_as_if_those_units_were_not_asked(shape):
    columns, exp = drawn(), experiment(SHAPES[shape])
    gone = default_rng(2).random(N) < 0.1
    holes = {
        name: np.where(gone, np.nan, columns[name]) for name in ("m", "paid", "top")
    }
    whole = {name: values[~gone] for name, values in columns.items()}
    found = analyze(table(columns, **holes), exp)
    want = analyze(table(whole), exp)
    (effect,), (other,) = found.effects, want.effects
    assert effect.n_control + effect.n_treatment == (~gone).sum()
    if shape == "adjusted":  # there the covariate of all units has another mean
        assert effect.p_value == pytest.approx(other.p_value, rel=0.05)
    else:
        assert effect.p_value == pytest.approx(other.p_value, rel=1e-9)
        assert effect.lift_low == pytest.approx(other.lift_low, rel=1e-9)
    assert decide(found, check_split(table(columns), experiment=exp)).verdict


def test_a_tenth_of_a_covariate_missing_is_filled_and_marked():
    columns = drawn()
    gone = default_rng(3).random(N) < 0.1
    pre = np.where(gone, np.nan, columns["pre"])
    exp = experiment(SHAPES["adjusted"])
    (effect,) = analyze(table(columns, pre=pre), exp).effects
    assert effect.n_control + effect.n_treatment == N
    filled = np.where(gone, 0.0, columns["pre"])
    arm, gaps = columns["variant"] == "B", gone.astype(float)
    fits = {}
    z = np.column_stack([filled, gaps])
    z = z - z.mean(axis=0)
    for side in (False, True):
        design = np.column_stack([np.ones((arm == side).sum()), z[arm == side]])
        y = columns["m"][arm == side]
        fits[side] = np.linalg.lstsq(design, y, rcond=None)[0][0]
    assert effect.estimate == pytest.approx(fits[True] - fits[False], rel=1e-9)


@pytest.mark.parametrize("shape", ["mean", "ratio", "quantile", "capped"])
def test_when_refunds_outweigh_sales_an_increase_is_still_positive(shape):
    columns = drawn()
    sunk = {"m": columns["m"] - 30, "top": columns["top"] - 9}
    exp = experiment({**SHAPES[shape], "cap": {"at": -15.0}} if shape == "capped"
                     else SHAPES[shape])  # fmt: skip
    (effect,) = analyze(table(columns, **sunk), exp).effects
    assert effect.mean_control < 0
    assert (effect.lift > 0) == (effect.estimate > 0)
    assert effect.lift_low < effect.lift < effect.lift_high
    assert (effect.lift_low > 0) == (effect.ci_low > 0)


def test_forty_arms_are_forty_arms_everywhere():
    arms = {f"a{i:02}": 1 for i in range(40)}
    columns = drawn(n=4000)
    columns["variant"] = default_rng(4).permutation(np.repeat([*arms], 100))
    exp = experiment(metric(), SHAPES["share"], control="a00", arms=arms)
    units = table(columns)
    found, split = analyze(units, exp), check_split(units, experiment=exp)
    assert len(found.effects) == 2 * 39
    assert split.p_value == 1.0
    p = sorted(e.p_value for e in found.effects)
    adjusted = sorted(e.p_adj for e in found.effects)
    assert adjusted[0] == pytest.approx(min(1.0, 78 * p[0]), rel=1e-12)
    control = columns["m"][columns["variant"] == "a00"]
    for effect in found.effects:
        if effect.metric == "m":
            treated = columns["m"][columns["variant"] == effect.arm]
            want = stats.ttest_ind(treated, control, equal_var=False).pvalue
            assert effect.p_value == pytest.approx(want, rel=1e-9)
    assert decide(found, split).verdict == "abtest.decision.iterate"
    own = calibrate(units, exp, seed=1, replications=60)
    assert len(own.rows()) >= 2


@pytest.mark.parametrize("shape", [s for s in SHAPES if s != "quantile"])
@pytest.mark.parametrize("groups", [2, 4])
def test_two_clusters_can_say_nothing_and_say_so(shape, groups):
    units = table(drawn(groups=groups))
    exp = experiment(SHAPES[shape], unit="cluster", cluster="store")
    found = analyze(units, exp)
    (effect,) = found.effects
    assert codes(found).count("few_clusters") == 2
    if groups == 2:
        assert effect.p_value is None
        assert "too_few_units" in codes(found)
    else:
        assert effect.p_value > 0
        assert effect.df_treatment == 1
    assert all(has(f"notice.{code}") for code in codes(found))
    split = check_split(units, experiment=exp)
    assert decide(found, split).verdict == "abtest.decision.iterate"
    own = calibrate(units, exp, seed=1, replications=60)
    assert own.verdict == "abtest.calibrate.too_few"


def flat_everywhere(columns):
    return np.ones(len(columns["pre"]))


def flat_in_one_arm(columns):
    return np.where(columns["variant"] == "A", 1.0, columns["pre"])


def flat_as_missing(columns):
    return np.full(len(columns["pre"]), np.nan)


@pytest.mark.parametrize("flat", [flat_everywhere, flat_in_one_arm, flat_as_missing])
@pytest.mark.parametrize("adjust", ["lin", "cuped"])
def test_a_constant_covariate_is_dropped_and_named(flat, adjust):
    columns = drawn()
    units = table(columns, pre=pa.array(flat(columns), pa.float64()))
    found = analyze(units, experiment(SHAPES["adjusted"], adjust=adjust))
    (effect,) = found.effects
    plain = analyze(units, experiment(metric())).effects[0]
    if flat is flat_in_one_arm and adjust == "cuped":
        assert effect.p_value is not None
        return
    assert effect.p_value == pytest.approx(plain.p_value, rel=1e-9)
    dropped = [dict(n.args)["covariate"] for n in found.notices
               if n.code == "covariate_dropped"]  # fmt: skip
    assert dropped == ["pre"]


PLANS = [
    GroupSequential(units=N, looks=2),
    AlwaysValid(units=N, looks=2),
    Hybrid(units=N, looks=2),
]
READ = {
    "quantile": ({"metric": SHAPES["quantile"]}, {}),
    "capped": ({"metric": SHAPES["capped"]}, {}),
    "strata": ({"metric": metric(stratify="seg")}, {}),
    "adjusted": ({"metric": SHAPES["adjusted"]}, {}),
    "cluster": ({"metric": SHAPES["mean"]}, {"unit": "cluster", "cluster": "store"}),
}


@pytest.mark.parametrize("plan", PLANS, ids=lambda p: p.kind)
@pytest.mark.parametrize("read", READ)
def test_every_plan_reads_every_shape(plan, read):
    (shape, keys) = READ[read]
    dates = {"start": START.isoformat(), "end": "2026-02-15"}
    dates["columns"] = {"day": "day"}
    groups = N // 2 if keys else None
    units = table(drawn(groups=groups))
    plan = replace(plan, units=groups or N)  # what is randomised: users, or clusters
    end = date(2026, 2, 14)
    fixed = analyze(units, experiment(shape["metric"], **dates, **keys), as_of=end)
    exp = experiment(shape["metric"], plan=plan.to_dict(), **dates, **keys)
    found = analyze(units, exp, as_of=end)
    (effect,), (own,) = found.effects, fixed.effects
    assert effect.method == own.method
    assert effect.estimate == pytest.approx(own.estimate, rel=1e-9)
    assert effect.se == pytest.approx(own.se, rel=1e-9)
    ends = (effect.estimate - effect.critical * effect.se, effect.ci_adj_low)
    assert ends[0] == pytest.approx(ends[1], rel=1e-9)
    assert effect.critical > 1.96
    looks = found.looks
    assert len({p.day for p in looks.points}) >= 2
    assert looks.points[-1].information == 1.0
    assert looks.points[-1].effect.estimate == effect.estimate
    halfway = analyze(units, exp, as_of=date(2026, 2, 10))
    assert halfway.looks.points[0].effect.estimate == looks.points[0].effect.estimate


def test_clusters_are_what_a_plan_counts():
    columns = drawn(groups=100)
    columns["day"] = np.array(
        [START + timedelta(days=int(i) % 100 // 10) for i in range(N)]
    )
    dates = {"start": START.isoformat(), "columns": {"day": "day"}}
    exp = experiment(
        metric(window_days=3),
        plan={"kind": "fixed", "units": 100},
        unit="cluster",
        cluster="store",
        **dates,
    )
    found = analyze(table(columns), exp, as_of=START + timedelta(days=6))
    assert found.units == 70
    assert dict(found.immature) == {"m": 20}
    assert found.mature_units == 50


def test_the_trend_says_what_it_leaves_out():
    dates = {"columns": {"day": "day"}}
    exp = experiment(
        metric("m", stratify="seg"), metric("q", kind="quantile", q=0.9,
                                            value={"column": "m"}), **dates
    )  # fmt: skip
    found = trend(table(drawn()), exp)
    assert {p.effect.metric for p in found.points} == {"m"}
    said = {n.code: dict(n.args)["metric"] for n in found.notices}
    assert said == {"trend_without_quantiles": "q", "trend_without_strata": "m"}
    assert all(has(f"notice.{code}") for code in said)
