"""Effects by days since exposure: from moments, from a long table, from a dataset."""

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import growth
from growth.abtest import (
    ArmCell,
    analyze,
    trend_by_age,
    trend_by_age_from_moments,
    unit_table,
)
from growth.abtest.ages import age_column, age_sets, aged
from growth.errors import ColumnNotFoundError, DataError, ParameterError
from growth.stats.contrast import Contrast
from growth.stats.means import mean
from growth.stats.moments import Moments
from tests.abtest.golden import cases, name
from tests.abtest.made import codes, experiment, metric
from tests.abtest.test_unit_table import assigned, by_unit, order, stamp, write

COUNT = metric("m", unit="count")


def cells_of(values, arm, exp, ages):
    """Return the moments by arm of values by unit and age; NaN is not over yet."""
    values = np.asarray(values, dtype=float)
    arm = np.asarray(arm).astype(str)
    found = []
    for who in exp.arms:
        rows = values[arm == who]
        moments = {}
        for columns in age_sets(aged(exp, ages)):
            at = [int(column.rpartition("age")[2]) for column in columns]
            moments[columns] = Moments.of(columns, rows[:, at])
        found.append(ArmCell(("variant",), (who,), len(rows), moments))
    return found


def long_table(values, arm, **more):
    values = np.asarray(values, dtype=float)
    units, ages = np.indices(values.shape)
    seen = ~np.isnan(values)
    return pa.table(
        {
            "unit_id": units[seen],
            "variant": np.asarray(arm).astype(str)[units[seen]],
            "age": ages[seen],
            "m": values[seen],
            **more,
        }
    )


def contrast_of(result, kind="slope"):
    (found,) = [item for item in result.novelty if item.kind == kind]
    return found


@pytest.mark.parametrize("case", cases("age_trend"), ids=name)
@pytest.mark.parametrize("way", ["moments", "table"])
def test_the_slope_is_the_published_one(case, way):
    given_, want = case["input"], case["expected"]
    exp = experiment(COUNT, arms={"0": 1, "1": 1}, control="0")
    if way == "moments":
        cells = cells_of(given_["y_by_age"], given_["arm"], exp, 3)
        found = trend_by_age_from_moments(cells, exp, ages=3)
    else:
        found = trend_by_age(long_table(given_["y_by_age"], given_["arm"]), exp)
    slope = contrast_of(found)
    close = {"rel": case["tolerance_rel"], "abs": 1e-12}
    assert slope.estimate == pytest.approx(want["estimate"], **close)
    for key in ("se", "df", "p_value"):
        assert getattr(slope, key) == pytest.approx(want[key], **close), key
    assert found.ages == 3
    assert found.verdict == "abtest.ages.steady"


def drawn(rng, units=400, ages=6):
    arm = np.array(["A", "B"])[rng.integers(0, 2, units)]
    level = rng.gamma(2, 1, (units, 1))
    return level * rng.gamma(1, 1, (units, ages)), arm


@given(st.integers(0, 2**32 - 1), st.integers(2, 7))
def test_the_contrasts_are_welch_on_a_number_a_unit(seed, ages):
    rng = np.random.default_rng(seed)
    values, arm = drawn(rng, 60, ages)
    exp = experiment(COUNT)
    found = trend_by_age_from_moments(cells_of(values, arm, exp, ages), exp, ages=ages)
    steps = np.arange(ages) - (ages - 1) / 2
    numbers = values @ (steps / (steps @ steps))
    direct = Contrast(
        *(mean(Moments.of(("x",), numbers[arm == who])) for who in ("A", "B"))
    )
    slope = contrast_of(found)
    assert slope.estimate == pytest.approx(direct.estimate)
    assert slope.se == pytest.approx(direct.se)
    assert slope.p_value == pytest.approx(direct.p_value)


@given(st.integers(0, 2**32 - 1))
def test_swapping_the_arms_turns_the_contrasts_and_scale_changes_no_p(seed):
    values, arm = drawn(np.random.default_rng(seed), 80, 4)
    exp = experiment(COUNT)
    turned = np.where(arm == "A", "B", "A")
    one, two, scaled = (
        trend_by_age_from_moments(cells_of(y, who, exp, 4), exp, ages=4)
        for y, who in ((values, arm), (values, turned), (values * 1000, arm))
    )
    for a, b, c in zip(one.novelty, two.novelty, scaled.novelty, strict=True):
        assert a.estimate == pytest.approx(-b.estimate)
        assert a.p_value == pytest.approx(b.p_value)
        assert a.p_value == pytest.approx(c.p_value)


def simulated(rng, lift, units=4000, ages=7):
    """Purchases by day: most on the first day; the lift may change with age."""
    arm = np.array(["A", "B"])[rng.integers(0, 2, units)]
    base = np.r_[0.6, np.full(ages - 1, 0.2)]
    rate = base * (1 + np.outer(arm == "B", lift))
    return rng.poisson(rate).astype(float), arm


def test_a_novelty_that_wears_off_is_found():
    rng = np.random.default_rng(4)
    values, arm = simulated(rng, np.linspace(0.9, 0.0, 7))
    found = trend_by_age(long_table(values, arm), experiment(COUNT))
    assert found.verdict == "abtest.ages.fades"
    assert contrast_of(found, "relative_slope").p_adj < 0.01
    assert contrast_of(found, "late_minus_early").estimate < 0
    lifts = [p.lift for p in found.series("m")]
    assert lifts[0] > 0.5
    assert abs(lifts[-1]) < 0.25


def test_an_effect_that_has_to_be_learnt_is_found():
    values, arm = simulated(np.random.default_rng(5), np.linspace(0.0, 0.9, 7))
    found = trend_by_age(long_table(values, arm), experiment(COUNT))
    assert found.verdict == "abtest.ages.grows"


def test_a_constant_lift_is_no_novelty_though_first_days_are_busier():
    rng = np.random.default_rng(6)
    fades = plain = 0
    for _ in range(60):
        values, arm = simulated(rng, np.full(7, 0.4), units=1500)
        cells = cells_of(values, arm, experiment(COUNT), 7)
        found = trend_by_age_from_moments(cells, experiment(COUNT), ages=7)
        fades += found.verdict != "abtest.ages.steady"
        plain += contrast_of(found).p_value < 0.05
    assert fades <= 8  # 3 expected at 5 %
    assert plain > 30  # a lift in proportion is larger where there is more


def test_the_matured_series_keeps_the_same_units_at_every_age():
    rng = np.random.default_rng(7)
    values, arm = drawn(rng, 300, 5)
    behind = rng.integers(3, 6, 300)
    values[np.arange(5) >= behind[:, None]] = np.nan
    found = trend_by_age(long_table(values, arm), experiment(COUNT))
    whole = int((behind == 5).sum())
    ages = found.ages
    assert ages == 4 if 2 * whole < 300 else 5
    matured = found.series("m")
    assert {p.n_control + p.n_treatment for p in matured} == {
        int((behind >= ages).sum())
    }
    complete = [p.n_control + p.n_treatment for p in found.series("m", "complete")]
    assert complete == [int((behind > age).sum()) for age in range(ages)]


def test_shares_and_ratios_are_followed_too():
    rng = np.random.default_rng(8)
    n, ages = 500, 4
    arm = np.array(["A", "B"])[np.arange(n) % 2]
    sessions = rng.integers(1, 5, (n, ages)).astype(float)
    orders = rng.binomial(sessions.astype(int), 0.3).astype(float)
    exp = experiment(
        metric("paid", kind="proportion"),
        metric(
            "per",
            kind="ratio",
            numerator={"column": "orders"},
            denominator={"column": "sessions"},
        ),
    )
    units, age = np.indices((n, ages))
    long = pa.table(
        {
            "unit_id": units.ravel(),
            "variant": arm[units.ravel()],
            "age": age.ravel(),
            "paid": orders.ravel() > 0,
            "orders": orders.ravel(),
            "sessions": sessions.ravel(),
        }
    )
    found = trend_by_age(long, exp)
    share = found.series("paid")[0]
    assert share.mean_control == pytest.approx((orders[arm == "A", 0] > 0).mean())
    ratio = found.series("per")[2]
    top, below = orders[arm == "B", 2], sessions[arm == "B", 2]
    assert ratio.mean_treatment == pytest.approx(top.sum() / below.sum())
    # the ratio's slope: linearised by hand
    steps = np.arange(ages) - 1.5
    weights = steps / (steps @ steps)
    for_hand = []
    for who in ("A", "B"):
        x, y = orders[arm == who], sessions[arm == who]
        r, below = x.mean(0) / y.mean(0), y.mean(0)
        line = ((x - r * y) / below) @ weights
        for_hand.append((weights @ r, line.var(ddof=1) / len(line)))
    (control, v0), (treatment, v1) = for_hand
    slope = next(i for i in found.novelty if (i.metric, i.kind) == ("per", "slope"))
    assert slope.estimate == pytest.approx(treatment - control)
    assert slope.se == pytest.approx((v0 + v1) ** 0.5)


def test_a_denominator_of_zero_is_none_and_constant_days_have_no_test():
    flat = np.ones((40, 3))
    arm = np.array(["A", "B"])[np.arange(40) % 2]
    found = trend_by_age(long_table(flat, arm), experiment(COUNT))
    assert found.verdict == "abtest.ages.not_computable"
    assert all(item.p_value is None for item in found.novelty)
    found = trend_by_age(long_table(flat * 0, arm), experiment(COUNT))
    assert contrast_of(found, "relative_slope").estimate is None


def test_several_metrics_and_arms_are_adjusted_together():
    rng = np.random.default_rng(9)
    exp = experiment(COUNT, arms={"A": 1, "B": 1, "C": 1})
    values = rng.poisson(1.0, (600, 4)).astype(float)
    arm = np.array(["A", "B", "C"])[np.arange(600) % 3]
    values[arm == "C", 2:] = 0
    found = trend_by_age(long_table(values, arm), exp)
    first, second = (i for i in found.novelty if i.kind == "slope")
    assert (first.arm, second.arm) == ("B", "C")
    assert second.p_adj == pytest.approx(2 * second.p_value, rel=1e-9, abs=0)
    assert {e.key for e in found.estimates()} == {
        "m.relative_slope",
        "m.slope",
        "m.late_minus_early",
    }
    assert len(found.rows()) == 2 * 2 * 4


def test_units_in_two_arms_are_left_out_and_told():
    values = np.random.default_rng(1).poisson(1.0, (40, 3)).astype(float)
    arm = np.array(["A", "B"])[np.arange(40) % 2]
    rows = long_table(values, arm)
    twice = pa.table({"unit_id": [0], "variant": ["B"], "age": [1], "m": [5.0]})
    found = trend_by_age(pa.concat_tables([rows, twice]), experiment(COUNT))
    assert codes(found) == ["crossovers"]
    assert found.points[0].n_control == 19


@pytest.mark.parametrize(
    ("change", "error", "code"),
    [
        ({"age": [0, 0]}, DataError, "repeated_unit"),
        ({"age": [0, -1]}, DataError, "bad_age"),
        ({"age": [0.0, 0.5]}, DataError, "bad_age"),
        ({"age": [0, None]}, DataError, "null_value"),
        ({"variant": ["A", None]}, DataError, "null_value"),
        ({"m": ["x", "y"]}, DataError, "column_type"),
        ({"variant": ["A", "Z"], "unit_id": [1, 2]}, DataError, "unknown_arm"),
    ],
)
def test_a_long_table_that_cannot_be_read_is_refused(change, error, code):
    rows = {"unit_id": [1, 1], "variant": ["A", "A"], "age": [0, 1], "m": [1.0, 2.0]}
    with pytest.raises(error, match=r".") as caught:
        trend_by_age(pa.table(rows | change), experiment(COUNT))
    assert caught.value.code == code


def test_what_cannot_be_asked_is_refused():
    empty = pa.table(
        {
            "unit_id": pa.array([], pa.int64()),
            "variant": pa.array([], pa.string()),
            "age": pa.array([], pa.int64()),
            "m": pa.array([], pa.float64()),
        }
    )
    with pytest.raises(DataError, match="the table has no rows"):
        trend_by_age(empty, experiment(COUNT))
    with pytest.raises(ColumnNotFoundError, match="age"):
        trend_by_age(empty.drop_columns("age"), experiment(COUNT))
    with pytest.raises(ParameterError, match="metric 'x' is not declared"):
        trend_by_age(empty, experiment(COUNT), metrics=["x"])
    with pytest.raises(ParameterError, match="ages is 29; it must be from 0 to 28"):
        trend_by_age(empty, experiment(COUNT), ages=29)
    with pytest.raises(ParameterError, match="ages is 29; it must be from 0 to 28"):
        trend_by_age_from_moments([], experiment(COUNT), ages=29)
    cell = ArmCell(("variant",), ("A",), 0, {("m",): Moments.empty(("m",))})
    with pytest.raises(ParameterError, match=r"reads .*m__age0"):
        trend_by_age_from_moments([cell], experiment(COUNT), ages=2)


# -- from a dataset ----------------------------------------------------------------

GMV = metric("gmv", value={"table": "orders", "agg": "sum", "column": "paid_fen"})
PAY = metric("pay", kind="proportion", value={"table": "orders", "agg": "any"})


def opened(folder, exposures, orders):
    write(folder, "assignments", exposures)
    write(folder, "orders", orders, ("pay_ts",))
    return growth.open(folder)


def test_a_day_of_age_is_24_hours_and_one_not_over_is_null(tmp_path):
    second = timedelta(milliseconds=1)
    exposures = [
        assigned(u, v, stamp(1.5)) for u, v in zip("abcd", "ABAB", strict=True)
    ] + [assigned("e", "A", stamp(2.6))]
    orders = [
        order("a", stamp(1.5), 1),
        order("a", stamp(2.5) - second, 2),
        order("a", stamp(2.5), 4),
        order("b", stamp(3.5) - second, 8),
        order("b", stamp(1.5) - second, 16),  # before the exposure
    ]
    data = opened(tmp_path, exposures, orders)
    exp = experiment(GMV, {**PAY, "window_days": 2})
    units = unit_table(data, exp, as_of=date(2026, 2, 4), ages=14)
    assert units.ages == 2  # day 2 ends at stamp(4.5), as of stamp(4)
    first, second_ = (by_unit(units, age_column("gmv", age)) for age in (0, 1))
    assert first == {"a": 3, "b": 0, "c": 0, "d": 0, "e": 0}
    assert second_ == {"a": 4, "b": 8, "c": 0, "d": 0, "e": None}
    assert by_unit(units, age_column("pay", 1))["b"] == 1


def test_the_ages_of_a_window_add_up_to_the_metric(tmp_path):
    rng = np.random.default_rng(3)
    exposures = [
        assigned(f"u{i}", "AB"[i % 2], stamp(float(rng.uniform(0, 5))))
        for i in range(60)
    ]
    orders = [
        order(f"u{rng.integers(60)}", stamp(float(rng.uniform(0, 20))), 10, number)
        for number in range(400)
    ]
    data = opened(tmp_path, exposures, orders)
    exp = experiment({**GMV, "window_days": 7})
    units = unit_table(data, exp, as_of=date(2026, 3, 1), ages=14)
    names = [age_column("gmv", age) for age in range(7)]
    rows = units.table.to_pyarrow().to_pylist()
    assert [sum(row[n] for n in names) for row in rows] == [r["gmv"] for r in rows]
    assert age_column("gmv", 7) not in units.table.columns
    found = trend_by_age(units, exp)
    total = analyze(units, exp).totals()[0]
    assert sum(p.mean_control for p in found.series("gmv")) == pytest.approx(
        total.mean_control
    )


def test_units_too_young_are_said_to_be(tmp_path):
    exposures = [assigned(u, v, stamp(1)) for u, v in zip("abcd", "ABAB", strict=True)]
    data = opened(tmp_path, exposures, [order("a", stamp(1))])
    units = unit_table(data, experiment(GMV), as_of=stamp(2), ages=14)
    assert units.ages == 0
    found = trend_by_age(units, experiment(GMV))
    assert found.verdict == "abtest.ages.not_computable"
    assert codes(found) == ["too_young"]
    assert found.rows() == []
    plain = unit_table(data, experiment(GMV), as_of=stamp(2))
    with pytest.raises(ParameterError, match="no columns by age"):
        trend_by_age(plain, experiment(GMV))
    with pytest.raises(ParameterError, match="ages is -1"):
        unit_table(data, experiment(GMV), as_of=stamp(2), ages=-1)


def test_a_window_of_one_day_has_no_trend(tmp_path):
    exposures = [assigned(u, v, stamp(1)) for u, v in zip("abcd", "ABAB", strict=True)]
    data = opened(tmp_path, exposures, [order("a", stamp(1))])
    exp = experiment({**GMV, "window_days": 1})
    found = trend_by_age(unit_table(data, exp, as_of=stamp(9), ages=7), exp)
    assert codes(found) == ["too_few_ages"]
