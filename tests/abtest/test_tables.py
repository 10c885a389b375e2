import json
from datetime import UTC, date, datetime

import ibis
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng
from scipy import stats

from growth.abtest import analyze, check_split, check_split_from_counts, decide, trend
from growth.errors import ColumnNotFoundError, DataError, ParameterError
from growth.result import Notice
from tests.abtest.golden import cases
from tests.abtest.made import codes, experiment, metric

# -- the split -----------------------------------------------------------------------


def exposures(variants, users=(1, 1, 2, 3)):
    return pa.table({"user_id": list(users), "variant": list(variants)})


def test_a_table_gives_what_its_counts_give():
    check = check_split(exposures("AAAB"))
    assert check == check_split_from_counts({"A": 2, "B": 1})


def test_units_in_several_arms_are_set_apart_and_counted():
    users = (1, 1, 1, 2, 2, 2, 3, 4, 5, 6, 7, 7, 8, 8)
    check = check_split(exposures("AABABCAABCCCAC", users))
    assert {arm.variant: arm.units for arm in check.arms} == {"A": 2, "B": 1, "C": 2}
    assert check.crossovers == 3  # units 1, 2 and 8
    assert check.crossover_rate == pytest.approx(3 / 8)
    assert Notice("crossovers", "warning", (("units", 3),)) in check.notices


def test_an_experiment_brings_columns_plan_level_and_dates():
    table = pa.table(
        {
            "openid": ["a", "b", "c", "d", "e"],
            "arm": ["A", "A", "B", "B", "C"],
            "exposure_ds": [date(2026, 2, d) for d in (1, 1, 1, 1, 9)],
        }
    )
    exp = experiment(
        arms={"A": 1, "B": 3, "C": 0},
        columns={"unit": "openid", "variant": "arm"},
        srm_alpha=0.01,
        end="2026-02-09",
    )
    check = check_split(table, experiment=exp)
    assert check.alpha == 0.01
    assert [(a.units, a.expected_units) for a in check.arms] == [(2, 1), (2, 3), (0, 0)]


@pytest.mark.parametrize(
    ("variants", "users", "column"),
    [
        (["A", "A", "B", None], (1, 1, 2, 3), "variant"),
        (["A", "A", "B", "B"], (1, 1, 2, None), "user_id"),
    ],
)
def test_null_is_refused(variants, users, column):
    with pytest.raises(DataError, match=f"'{column}' holds NULL.*drop") as info:
        check_split(exposures(variants, users))
    assert info.value.code == "null_value"


def test_a_misspelt_column_or_arm_gets_a_suggestion():
    with pytest.raises(ColumnNotFoundError, match="Did you mean 'variant'"):
        check_split(exposures("AAAB"), variant_col="varient")
    with pytest.raises(DataError, match=r"arm 'newer'.*Did you mean 'new'") as info:
        check_split(
            exposures(["newer", "newer", "old", "old"]), planned={"old": 1, "new": 1}
        )
    assert info.value.code == "unknown_arm"


# -- one row a unit ------------------------------------------------------------------


def people(n=600, seed=0, arms="AB", effect=0.5, **extra):
    rng = default_rng(seed)
    arm = rng.integers(0, len(arms), n)
    x = rng.normal(5, 1, n)
    frame = pd.DataFrame(
        {
            "unit_id": [f"u{i}" for i in range(n)],
            "variant": np.array(list(arms))[arm],
            "m": 10 + x + effect * (arm > 0) + rng.normal(0, 1 + arm, n),
            "x": x,
        }
    )
    return frame.assign(**extra)


def test_welch_from_a_table_is_scipys():
    frame = people()
    (effect,) = analyze(frame, experiment()).effects
    want = stats.ttest_ind(
        frame.m[frame.variant == "B"], frame.m[frame.variant == "A"], equal_var=False
    )
    assert effect.p_value == pytest.approx(want.pvalue, rel=1e-9, abs=0)
    low, high = want.confidence_interval()
    assert (effect.ci_low, effect.ci_high) == pytest.approx((low, high), rel=1e-9)


def hc2_oracle(y, arm, x):
    """Fit the fully interacted regression; statsmodels, HC2."""
    import statsmodels.api as sm

    z = x - x.mean(axis=0)
    design = np.column_stack([np.ones(len(y)), arm, z, z * arm[:, None]])
    fit = sm.OLS(y, design).fit(cov_type="HC2")
    return fit.params[1], fit.bse[1]


def test_lin_hc2_from_a_table_is_the_interacted_regression():
    frame = people()
    exp = experiment(metric(covariates=["x"]))
    (effect,) = analyze(frame, exp).effects
    arm = (frame.variant == "B").to_numpy(float)
    d, se = hc2_oracle(frame.m.to_numpy(), arm, frame[["x"]].to_numpy())
    assert effect.method == "lin_hc2"
    assert effect.estimate == pytest.approx(d, rel=1e-9, abs=0)
    assert effect.se == pytest.approx(se, rel=1e-9, abs=0)


@pytest.mark.parametrize("case", cases("lin_hc2"), ids=lambda c: c["id"])
def test_lin_hc2_reference_cases(case):
    given_, want = case["input"], case["expected"]
    names = [key for key in ("x1", "x2") if key in given_]
    frame = pd.DataFrame({"y": given_["y"], **{n: given_[n] for n in names}}).assign(
        unit_id=range(24), variant=["AB"[a] for a in given_["arm"]]
    )
    exp = experiment(metric("y", covariates=names))
    (effect,) = analyze(frame, exp).effects
    assert effect.se == pytest.approx(want["se_hc2"], rel=1e-8, abs=0)
    assert effect.mean_treatment == pytest.approx(want["treatment"], rel=1e-8, abs=0)


def test_hc2_of_missing_covariates_and_values_is_the_regression_on_what_is_there():
    frame = people(seed=3)
    rng = default_rng(9)
    frame.loc[rng.random(600) < 0.2, "x"] = None
    frame.loc[rng.random(600) < 0.1, "m"] = None
    exp = experiment(metric(covariates=["x"]))
    analysis = analyze(frame, exp)
    (effect,) = analysis.effects
    seen = frame[frame.m.notna()]
    x = np.column_stack([seen.x.fillna(0), seen.x.isna()]).astype(float)
    arm = (seen.variant == "B").to_numpy(float)
    d, se = hc2_oracle(seen.m.to_numpy(), arm, x)
    assert effect.n_control + effect.n_treatment == len(seen)
    assert effect.estimate == pytest.approx(d, rel=1e-9, abs=0)
    assert effect.se == pytest.approx(se, rel=1e-9, abs=0)
    assert "null_imbalance" not in codes(analysis)


def test_three_arms_and_a_ratio_are_adjusted_by_hc2_arm_by_arm():
    frame = people(900, arms="ABC", seed=4)
    frame["visits"] = default_rng(1).integers(1, 9, 900)
    exp = experiment(
        metric(
            "r",
            kind="ratio",
            numerator={"column": "m"},
            denominator={"column": "visits"},
            covariates=["x"],
        ),
        arms={"A": 1, "B": 1, "C": 1},
    )
    effects = analyze(frame, exp).effects
    assert [e.method for e in effects] == ["lin_hc2"] * 2
    # by hand: linearise in each arm, then the arm's own regression
    centre = frame.x.mean()
    for effect in effects:
        values = {}
        for arm in ("A", effect.arm):
            part = frame[frame.variant == arm]
            ratio = part.m.sum() / part.visits.sum()
            y = ratio + (part.m - ratio * part.visits) / part.visits.mean()
            design = np.column_stack([np.ones(len(part)), part.x - centre])
            bread = np.linalg.inv(design.T @ design)
            beta = bread @ design.T @ y
            h = np.einsum("ij,jk,ik->i", design, bread, design)
            w = (bread @ design.T)[0]
            e = y - design @ beta
            values[arm] = (beta[0], np.sum(w**2 * e**2 / (1 - h)))
        d = values[effect.arm][0] - values["A"][0]
        se = np.sqrt(values[effect.arm][1] + values["A"][1])
        assert effect.estimate == pytest.approx(d, rel=1e-9, abs=0)
        assert effect.se == pytest.approx(se, rel=1e-9, abs=0)


def test_moments_se_and_cuped_on_request():
    frame = people()
    item = metric(covariates=["x"])
    (lin,) = analyze(frame, experiment(item, se="moments")).effects
    (cuped,) = analyze(frame, experiment(item, adjust="cuped")).effects
    (plain,) = analyze(frame, experiment(item, adjust="none")).effects
    assert (lin.method, cuped.method, plain.method) == ("lin_moments", "cuped", "welch")
    assert lin.se < plain.se
    assert cuped.se < plain.se


@pytest.mark.parametrize(
    "form", ["pandas", "polars", "arrow", "ibis", "parquet", "csv"]
)
def test_every_kind_of_table_gives_the_same(form, tmp_path):
    frame = people(n=80)
    want = analyze(frame, experiment())
    table = pa.Table.from_pandas(frame)
    pq.write_table(table, tmp_path / "u.parquet")
    frame.to_csv(tmp_path / "u.csv", index=False)
    made = {
        "pandas": frame,
        "polars": pl.from_pandas(frame),
        "arrow": table,
        "ibis": ibis.memtable(table),
        "parquet": tmp_path / "u.parquet",
        "csv": str(tmp_path / "u.csv"),
    }[form]
    got = analyze(made, experiment())
    assert got.effects[0].p_value == pytest.approx(want.effects[0].p_value, rel=1e-9)
    assert got.arms == want.arms


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(60)), st.integers(1, 60))
def test_row_order_and_chunks_change_nothing(order, size):
    frame = people(n=60, seed=2, platform=["ios", "android", None] * 20)
    exp = experiment(metric(covariates=["x"]), by=["platform"])
    want = analyze(frame, exp)
    mixed = pa.Table.from_batches(
        pa.Table.from_pandas(frame.iloc[list(order)]).to_batches(max_chunksize=size)
    )
    got = analyze(mixed, exp)
    for one, two in zip(want.effects, got.effects, strict=True):
        assert two.by == one.by
        assert two.p_value == pytest.approx(one.p_value, rel=1e-9, abs=0)
        assert two.ci_adj_low == pytest.approx(one.ci_adj_low, rel=1e-9, abs=1e-12)


def test_breakdowns_are_margins_or_crossed_as_asked():
    frame = people(
        n=1200, platform=["ios", "android"] * 600, isnew=[True, True, False] * 400
    )
    analysis = analyze(frame, experiment(), by=["platform", ("platform", "isnew")])
    seen = [e.by for e in analysis.segments()]
    assert (("platform", "android"),) in seen
    assert (("platform", "ios"), ("isnew", "True")) in seen
    assert len(seen) == 2 + 4
    ios = next(e for e in analysis.segments() if e.by == (("platform", "ios"),))
    part = frame[frame.platform == "ios"]
    want = stats.ttest_ind(
        part.m[part.variant == "B"], part.m[part.variant == "A"], equal_var=False
    )
    assert ios.p_value == pytest.approx(want.pvalue, rel=1e-9, abs=0)
    assert analyze(frame, experiment(by=["platform"])).segments() != ()
    assert analyze(frame, experiment(by=["platform"]), by=()).segments() == ()


# -- what is set apart, what is refused ----------------------------------------------


def test_units_in_two_arms_leave_both_and_are_counted():
    frame = people()
    twice = frame.iloc[:3].assign(variant=lambda f: f.variant.map({"A": "B", "B": "A"}))
    analysis = analyze(pd.concat([frame, twice]), experiment())
    assert analysis.crossovers == 3
    assert analysis.units == 597
    want = analyze(frame.iloc[3:], experiment()).effects
    assert analysis.effects[0].p_value == pytest.approx(want[0].p_value, rel=1e-9)
    assert "crossovers" in codes(analysis)


def test_repeated_units_are_found_also_by_the_sample(monkeypatch):
    monkeypatch.setattr("growth.abtest.ready.EXACT_ROWS", 100)
    frame = people(n=3000)
    assert analyze(frame, experiment()).crossovers == 0
    swapped = frame.variant.map({"A": "B", "B": "A"})
    both = pd.concat([frame, frame.assign(variant=swapped).iloc[:2000]])
    assert analyze(both, experiment()).crossovers == 2000
    with pytest.raises(DataError, match=r"2000 units stand in several rows.*sum") as e:
        analyze(pd.concat([frame, frame.iloc[:2000]]), experiment())
    assert e.value.code == "repeated_unit"


def with_value(column, value, dtype=object):
    frame = people(n=40).astype({column: dtype})
    frame.loc[3, column] = value
    return pa.Table.from_pandas(frame)


def numbered(value):
    frame = people(n=40)
    frame.loc[3, "m"] = value
    return pa.Table.from_pandas(frame)


@pytest.mark.parametrize(
    ("table", "code", "message"),
    [
        (lambda: people(n=40).iloc[:0], "no_units", "no rows.*check the path"),
        (
            lambda: with_value("variant", None),
            "null_value",
            "'variant' holds NULL in 1",
        ),
        (
            lambda: with_value("unit_id", None),
            "null_value",
            "'unit_id' holds NULL in 1",
        ),
        (
            lambda: with_value("variant", "b"),
            "unknown_arm",
            r"arm 'b'.*Did you mean 'B'",
        ),
        (lambda: numbered(np.inf), "infinite_value", "'m'"),
        (
            lambda: people(n=40).assign(m="many"),
            "column_type",
            "'m' is of type string.*convert",
        ),
        (
            lambda: people(n=40).assign(exposure_ds=7),
            "column_type",
            "'exposure_ds' is of type int64.*local date",
        ),
        (
            lambda: people(n=40).assign(exposure_ds="soon"),
            "bad_day",
            "holds no date in 40 of 40 rows",
        ),
    ],
)
def test_faults_in_the_table(table, code, message):
    with pytest.raises(DataError, match=message) as info:
        analyze(table(), experiment())
    assert info.value.code == code


@pytest.mark.parametrize("missing", ["m", "variant", "unit_id"])
def test_a_missing_column_is_named_with_a_suggestion(missing):
    frame = people(n=40).rename(columns={missing: f"{missing}s"})
    with pytest.raises(ColumnNotFoundError, match=f"'{missing}' not found") as info:
        analyze(frame, experiment())
    assert f"Did you mean '{missing}s'" in str(info.value)


def test_a_misspelt_covariate_or_breakdown_is_named():
    for keys, item in (
        ({}, metric(covariates=["xx"])),
        ({"by": ["platfrm"]}, metric()),
    ):
        frame = people(n=40, platform="ios")
        with pytest.raises(ColumnNotFoundError, match="not found") as info:
            analyze(frame, experiment(item, **keys))
        assert info.value.code == "column_not_found"


def test_nan_is_not_observed_and_said():
    frame = pl.from_pandas(people(n=300)).with_columns(
        m=pl.when(pl.col("unit_id") < "u2").then(float("nan")).otherwise(pl.col("m"))
    )
    analysis = analyze(frame, experiment())
    (effect,) = analysis.effects
    gone = frame["m"].is_nan().sum()
    assert gone > 50
    assert effect.n_control + effect.n_treatment == 300 - gone
    assert Notice("nan_as_null", args=(("column", "m"), ("rows", gone))) in (
        analysis.notices
    )


def test_missing_zero_counts_unobserved_units():
    frame = people(n=300)
    frame.loc[:99, "m"] = None
    (left,) = analyze(frame, experiment()).effects
    (zero,) = analyze(frame, experiment(metric(missing="zero"))).effects
    assert left.n_control + left.n_treatment == 200
    assert zero.n_control + zero.n_treatment == 300
    assert zero.mean_control < left.mean_control


def test_true_and_false_are_a_share():
    frame = people(n=400).assign(m=lambda f: f.m > 15.3)
    (effect,) = analyze(frame, experiment(metric(kind="proportion"))).effects
    share = frame.m[frame.variant == "A"].mean()
    assert effect.mean_control == pytest.approx(share, rel=1e-12)
    assert effect.method == "wald"


HUGE = [1e300, -1e300, 1e308, 1e154]


@pytest.mark.parametrize("value", HUGE)
def test_a_value_of_1e300_gives_an_answer_or_a_three_part_error(value):
    try:
        analysis = analyze(numbered(value), experiment())
    except DataError as error:
        assert error.code in {"value_too_large", "infinite_value"}  # noqa: PT017
        assert "'m'" in str(error)  # noqa: PT017
    else:
        json.dumps(analysis.to_dict(), allow_nan=False)
        assert "nan" not in analysis.to_html().lower()


def test_a_mean_of_1e9_with_unit_variance_keeps_its_p_value():
    frame = people()
    frame["m"] = (frame.m * 2**20).round() / 2**20  # adding 1e9 loses nothing
    far = frame.assign(m=frame.m + 1e9)
    one, two = (analyze(f, experiment()).effects[0].p_value for f in (frame, far))
    assert two == pytest.approx(one, abs=1e-6)


@pytest.mark.parametrize("kind", ["mean", "proportion"])
def test_one_unit_an_arm_or_a_constant_prints_no_nan(kind):
    item = metric(kind=kind)
    single = pd.DataFrame({"unit_id": [1, 2], "variant": ["A", "B"], "m": [0.0, 1.0]})
    flat = people(n=40).assign(m=1)
    for frame, notice in ((single, "too_few_units"), (flat, "constant_metric")):
        analysis = analyze(frame, experiment(item))
        assert notice in codes(analysis)
        assert analysis.effects[0].p_value is None
        json.dumps(analysis.to_dict(), allow_nan=False)
        for lang in ("en", "zh"):
            assert "nan" not in analysis.to_html(lang).lower()
        decision = decide(analysis, check_split(frame, experiment=experiment(item)))
        assert decision.outcome == "iterate"


@pytest.mark.parametrize("covariates", [[], ["x"]])
def test_a_table_of_a_closed_arm_alone_has_no_units(covariates):
    exp = experiment(metric(covariates=covariates), arms={"A": 1, "B": 1, "C": 0})
    with pytest.raises(DataError, match="no units in an open arm") as info:
        analyze(people(n=40).assign(variant="C"), exp)
    assert info.value.code == "no_units"


def test_a_text_arm_that_is_a_number_is_matched_as_text():
    frame = people(n=60).assign(variant=lambda f: f.variant.map({"A": 0, "B": 1}))
    exp = experiment(arms={"0": 1, "1": 1}, control="0")
    assert [e.arm for e in analyze(frame, exp).effects] == ["1"]


# -- days ----------------------------------------------------------------------------


def dated(days=14, **keys):
    frame = people(n=700, **keys)
    day = [date(2026, 2, 1 + i % days) for i in range(700)]
    return frame.assign(exposure_ds=day)


def test_the_days_run_from_the_first_to_the_last_exposure():
    analysis = analyze(dated(), experiment())
    assert (analysis.days, analysis.first_day, analysis.last_day) == (
        14,
        date(2026, 2, 1),
        date(2026, 2, 14),
    )
    assert "days_unknown" not in codes(analysis)
    assert "days_unknown" in codes(analyze(people(), experiment()))


def test_the_dates_of_the_experiment_and_as_of_cut_the_table():
    exp = experiment(start="2026-02-03", end="2026-02-10")
    analysis = analyze(dated(), exp)
    assert analysis.units == 350
    assert analysis.days == 7
    assert Notice("exposed_outside", "info", (("units", 350),)) in analysis.notices
    early = analyze(dated(), exp, as_of=date(2026, 2, 5))
    assert (early.units, early.days) == (150, 3)
    with pytest.raises(DataError, match="no row of 700 lies in the experiment's dat"):
        analyze(dated(), experiment(start="2027-01-01"))
    naive = datetime(2026, 2, 5)
    with pytest.raises(ParameterError, match="without a time zone"):
        analyze(dated(), exp, as_of=naive)


@pytest.mark.parametrize("kind", ["text", "instant"])
def test_days_as_text_or_as_instants(kind):
    frame = dated()
    if kind == "text":
        frame["exposure_ds"] = frame.exposure_ds.map(str)
    else:  # 15:59:59Z is still the same day in Shanghai
        frame["exposure_ds"] = pd.to_datetime(
            [
                datetime(d.year, d.month, d.day, 15, 59, 59, tzinfo=UTC)
                for d in frame.exposure_ds
            ]
        )
    analysis = analyze(frame, experiment())
    assert (analysis.days, analysis.last_day) == (14, date(2026, 2, 14))


def test_units_whose_window_is_not_over_are_left_out_of_that_metric():
    exp = experiment(metric(window_days=7), metric("x", role="diagnostic"))
    analysis = analyze(dated(), exp, as_of=date(2026, 2, 14))
    m, x = analysis.effects
    assert m.n_control + m.n_treatment == 400  # exposed up to 8 February
    assert x.n_control + x.n_treatment == 700
    assert analysis.immature == (("m", 300),)
    assert analysis.mature_units == 400
    assert "immature" in codes(analysis)


def test_trend_by_day_and_cumulated():
    frame = dated(seed=6)
    found = trend(frame, experiment(metric(covariates=["x"])))
    daily = [p for p in found.points if p.series == "daily"]
    whole = [p for p in found.points if p.series == "cumulative"]
    assert [p.day.day for p in daily] == [p.day.day for p in whole] == [*range(1, 15)]
    first = frame[frame.exposure_ds == date(2026, 2, 1)]
    assert daily[0].effect.n_control == (first.variant == "A").sum()
    item = metric(covariates=["x"])
    (total,) = analyze(frame, experiment(item, se="moments")).effects
    assert whole[-1].effect.estimate == pytest.approx(total.estimate, rel=1e-9)
    assert whole[-1].effect.se == pytest.approx(total.se, rel=1e-9)
    assert sum(u.units for u in found.units) == 700
    assert found.verdict == "abtest.trend.shown"
    json.dumps(found.to_dict(), allow_nan=False)
    assert set(found.rows()[0]) >= {"day", "series", "lift_low", "method"}


def test_a_trend_needs_days_and_copes_with_a_day_of_one_arm():
    with pytest.raises(ColumnNotFoundError, match="unlock the effect by day"):
        trend(people(), experiment())
    frame = dated()
    frame = frame[(frame.exposure_ds > date(2026, 2, 1)) | (frame.variant == "A")]
    first, second, *_ = trend(frame, experiment()).points
    assert (first.series, first.effect.p_value) == ("cumulative", None)
    assert second.effect.p_value is not None


def test_a_table_read_long_after_has_not_run_since():
    pay = metric("pay", kind="proportion")
    days = [date(2026, 2, 1 + i % 21) for i in range(84)]
    units = pa.table(
        {
            "unit_id": [f"u{i}" for i in range(84)],
            "variant": ["A", "B"] * 42,
            "pay": [i % 3 == 0 for i in range(84)],
            "exposure_ds": pa.array(days, pa.date32()),
        }
    )
    assert analyze(units, experiment(pay), as_of=date(2029, 1, 1)).days == 21
    assert analyze(units, experiment(pay), as_of=date(2026, 2, 7)).days == 7
    ended = experiment(pay, end=date(2026, 3, 1))
    assert analyze(units, ended, as_of=date(2029, 1, 1)).days == 28


# -- the split by day and by segment -------------------------------------------------


def lossy(users=4000):
    """Arm B loses a third of its android users."""
    rng = default_rng(20260301)
    arm = np.where(rng.random(users) < 0.5, "A", "B")
    platform = rng.choice(["android", "ios"], users)
    lost = (arm == "B") & (platform == "android") & (rng.random(users) < 0.35)
    days = [date(2026, 2, 1 + int(d)) for d in rng.integers(0, 14, users)]
    table = pa.table(
        {
            "user_id": np.arange(users),
            "variant": arm,
            "platform": platform,
            "scene": rng.choice(["1001", "1007", None], users),
            "exposure_ds": days,
        }
    )
    return table.filter(pa.array(~lost))


def test_the_split_is_searched_by_column_and_by_day():
    table = lossy()
    check = check_split(table, by=["scene", "platform", "day"])
    assert (check.driver.dimension, check.driver.value) == ("platform", "android")
    seen = {(s.dimension, s.value) for s in check.segments}
    assert len(seen) == 3 + 2 + 14
    assert ("scene", None) in seen
    assert ("day", "2026-02-14") in seen
    twice = pa.concat_tables([table, table.slice(0, 500)])
    assert check_split(twice, by=["scene", "platform", "day"]) == check


def test_the_split_is_watched_day_by_day():
    table = lossy()
    check = check_split(table, sequential=True)
    counts = table.group_by(["exposure_ds", "variant"]).aggregate([([], "count_all")])
    by_day: dict = {}
    for row in counts.to_pylist():
        by_day.setdefault(row["exposure_ds"], {})[row["variant"]] = row["count_all"]
    units = {arm.variant: arm.units for arm in check.arms}
    assert check == check_split_from_counts(units, by_day=by_day, sequential=True)
    assert len(check.looks) == 14
    assert check.p_sequential == check.looks[-1].p_running
    assert check.verdict == "abtest.split.mismatch"


def test_a_sequential_plan_watches_the_split_until_its_size_is_reached():
    keys = {"columns": {"unit": "user_id"}}
    for units, watched in ((100_000, True), (1000, False)):
        exp = experiment(plan={"kind": "always_valid", "units": units}, **keys)
        check = check_split(lossy(), experiment=exp)
        assert (check.p_sequential is not None) is watched
    fixed = experiment(plan={"kind": "fixed", "units": 100_000}, **keys)
    assert check_split(lossy(), experiment=fixed).p_sequential is None


def test_a_split_by_an_unknown_column_is_refused():
    with pytest.raises(ColumnNotFoundError, match=r"Did you mean 'platform'"):
        check_split(lossy(), by=["platfrom"])
    bare = lossy().drop_columns("exposure_ds")
    with pytest.raises(ColumnNotFoundError, match="the split by day"):
        check_split(bare, sequential=True)
