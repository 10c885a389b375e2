"""What was once counted wrong without a word: NaN, ties, leverage, spelling."""

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from growth.abtest import (
    Baseline,
    Cap,
    Experiment,
    Metric,
    Source,
    analyze,
    check_split,
    plan_from_numbers,
)
from growth.errors import DataError, ParameterError

N = 200
ARMS = ["a", "b"] * (N // 2)


def declared(*metrics, **over):
    return Experiment(
        id="e", control="a", arms={"a": 1, "b": 1}, metrics=metrics, **over
    )


def both(values, **columns):
    """Return a table where gaps are NULL, and one where they are NaN."""
    return [
        pa.table(
            {
                "unit_id": range(N),
                "variant": ARMS,
                "x": pa.array(values, from_pandas=null),
            }
            | columns
        )
        for null in (True, False)
    ]


GAPS = np.where(np.arange(N) % 20 == 0, np.nan, np.arange(N) % 10 * 1.0)


@pytest.mark.parametrize(
    "how",
    [
        {"cap": Cap(at=8.0)},
        {"cap": Cap(upper=0.9)},
        {"missing": "zero"},
        {"kind": "quantile", "q": 0.5},
        {},
    ],
)
def test_nan_is_null_however_a_metric_is_read(how):
    exp = declared(Metric(**{"name": "x", "kind": "mean", "role": "goal"} | how))
    null, nan = (analyze(table, exp) for table in both(GAPS))
    assert nan.rows() == null.rows()
    told = {n.code for n in nan.notices} - {n.code for n in null.notices}
    # quantiles rank what is there and say nothing of what is not
    assert told == (set() if how.get("kind") == "quantile" else {"nan_as_null"})


@pytest.mark.parametrize("how", [{}, {"cap": Cap(at=8.0)}, {"missing": "zero"}])
def test_one_nan_does_not_take_its_cluster_along(how):
    stores = [i // 20 * 2 + i % 2 for i in range(N)]
    exp = declared(
        Metric(**{"name": "x", "kind": "mean", "role": "goal"} | how),
        unit="cluster",
        cluster="store",
    )
    null, nan = (analyze(table, exp) for table in both(GAPS, store=stores))
    assert nan.rows() == null.rows()
    told = [dict(n.args) for n in nan.notices if n.code == "nan_as_null"]
    assert told == [{"column": "x", "rows": 10}]


def test_shares_of_clusters_are_0_or_1_too():
    stores = [i // 10 * 2 + i % 2 for i in range(N)]
    exp = declared(
        Metric(name="x", kind="proportion", role="goal"),
        unit="cluster",
        cluster="store",
    )
    good = [float(i // 2 % 2) for i in range(N)]
    (table, _) = both(good, store=stores)
    assert analyze(table, exp).rows()[0]["p_value"] is not None
    for wrong in (5.0, 0.5, -1.0):
        (table, _) = both([v * wrong for v in good], store=stores)
        with pytest.raises(DataError, match="neither 0 nor 1 in 100 rows") as info:
            analyze(table, exp)
        assert info.value.code == "not_a_share"


def test_who_is_not_in_the_sample_has_no_leverage():
    rng = np.random.default_rng(5)
    den = rng.poisson(2, N) + 1.0
    pre = rng.normal(size=N)
    pre[0] = 1e4
    exp = declared(
        Metric(
            name="r",
            kind="ratio",
            role="goal",
            numerator=Source(column="num"),
            denominator=Source(column="den"),
            covariates=("pre",),
        )
    )
    table = pa.table(
        {
            "unit_id": range(N),
            "variant": ARMS,
            "num": rng.poisson(3, N) * 1.0,
            "den": pa.array([None, *den[1:]]),
            "pre": pre,
        }
    )
    whole, without = (analyze(t, exp).rows()[0] for t in (table, table.slice(1)))
    assert whole["se"] == pytest.approx(without["se"], rel=1e-9)
    assert whole["p_value"] == pytest.approx(without["p_value"], rel=1e-9)


def test_nan_is_no_group_and_no_unit():
    groups = np.repeat([1.0, 2.0, np.nan], [100, 60, 40])
    exp = declared(Metric(name="x", kind="mean", role="goal"))
    null, nan = (
        pa.table(
            {
                "user_id": range(N),
                "unit_id": range(N),
                "variant": ARMS,
                "x": [float(i % 7) for i in range(N)],
                "g": pa.array(groups, from_pandas=gaps),
            }
        )
        for gaps in (True, False)
    )
    assert check_split(nan, by=["g"]) == check_split(null, by=["g"])
    assert analyze(nan, exp, by=["g"]).rows() == analyze(null, exp, by=["g"]).rows()
    units = pa.array([np.nan, *range(1, N)], from_pandas=False)
    table = nan.set_column(1, "unit_id", units)
    with pytest.raises(DataError, match="'unit_id' holds NULL in 1") as info:
        analyze(table, exp)
    assert info.value.code == "null_value"


def test_the_dates_of_an_experiment_hold_whatever_the_day_column_is_called():
    exp = declared(
        Metric(name="x", kind="mean", role="goal"), start="2026-01-10", end="2026-01-20"
    )
    days = [date(2026, 1, 1) + timedelta(days=i % 30) for i in range(300)]
    table = {"unit_id": range(300), "variant": [*ARMS, *ARMS[:100]]}
    named = check_split(pa.table(table | {"exposure_ds": days}), experiment=exp)
    other = check_split(
        pa.table(table | {"seen": days}), experiment=exp, day_col="seen"
    )
    assert named == other
    assert sum(arm.units for arm in other.arms) == 100


def test_a_day_written_with_a_time_is_no_day():
    exp = declared(Metric(name="x", kind="mean", role="goal"))
    table = pa.table({"unit_id": range(N), "variant": ARMS, "x": [1.0, 2.0] * (N // 2)})
    good = table.append_column("exposure_ds", [["2026-01-10"] * N])
    assert analyze(good, exp).rows()
    bad = table.append_column("exposure_ds", [["2026-01-10 23:00:00+00:00"] * N])
    with pytest.raises(DataError, match="holds no date in 200") as info:
        analyze(bad, exp)
    assert info.value.code == "bad_day"


@pytest.mark.parametrize(
    "prior", [(np.nan, 0.3), (np.inf, 1), (0,), 5, "x", ("a", 0.3), (0, 0)]
)
def test_a_prior_is_two_numbers(prior):
    (table, _) = both(GAPS)
    with pytest.raises(ParameterError, match="a mean and a standard deviation") as info:
        analyze(
            table, declared(Metric(name="x", kind="mean", role="goal")), prior=prior
        )
    assert info.value.code == "bad_scale"


@pytest.mark.parametrize("pool", [{"t": "BC"}, {}, {"t": []}, 5])
def test_a_pool_names_lists_of_arms(pool):
    (table, _) = both(GAPS)
    with pytest.raises(ParameterError, match="must name lists of arms") as info:
        analyze(table, declared(Metric(name="x", kind="mean", role="goal")), pool=pool)
    assert info.value.code == "bad_pool"


@pytest.mark.parametrize(
    ("metric", "plan", "name"),
    [
        ({}, {"objective": "No_harm"}, "objective"),
        ({}, {"scope": "Metric"}, "scope"),
        ({"role": "Guardrail"}, {}, "role"),
        ({"good": "Up"}, {}, "good"),
        ({"margin_kind": "Absolute"}, {}, "margin_kind"),
        ({"kind": "Mean"}, {}, "kind"),
    ],
)
def test_a_plan_takes_no_misspelt_choice(metric, plan, name):
    baseline = Baseline(**{"name": "m", "mean": 10.0, "sd": 3.0, "mde": 0.1} | metric)
    with pytest.raises(ParameterError, match=f"{name} is .* Did you mean") as info:
        plan_from_numbers([baseline], **plan)
    assert info.value.code == "not_a_choice"


def test_a_plan_takes_no_negative_spread():
    with pytest.raises(ParameterError, match="sd is -3") as info:
        plan_from_numbers([Baseline(name="m", mean=10.0, sd=-3.0, mde=0.1)])
    assert info.value.code == "no_variance"


def test_dates_may_be_written_as_text():
    exp = declared(
        Metric(name="x", kind="mean", role="goal"), start="2026-01-10", end="2026-01-20"
    )
    assert (exp.start, exp.end) == (date(2026, 1, 10), date(2026, 1, 20))
    days = [date(2026, 1, 1) + timedelta(days=i % 30) for i in range(N)]
    (table, _) = both(GAPS, exposure_ds=days)
    assert analyze(table, exp).rows()[0]["n_control"] == 35 - 3  # three are NaN
    with pytest.raises(ParameterError, match="start"):
        declared(Metric(name="x", kind="mean", role="goal"), start="10 January")


def test_a_split_by_day_needs_every_day():
    days = [None, *(date(2026, 1, 1 + i % 9) for i in range(1, N))]
    table = pa.table({"user_id": range(N), "variant": ARMS, "exposure_ds": days})
    for asked in ({"sequential": True}, {"by": ["day"]}):
        with pytest.raises(DataError, match="holds no date for 1 units") as info:
            check_split(table, **asked)
        assert info.value.code == "bad_day"
