"""What was known at the end of each day is what a fresh look would have said."""

from datetime import date, timedelta

import numpy as np
import pytest

import growth
from growth.abtest import analyze, trend, unit_history, unit_table
from tests.abtest.made import experiment, metric
from tests.abtest.test_unit_table import assigned, order, stamp, write

GMV = metric("gmv", value={"table": "orders", "agg": "sum", "column": "paid_fen"})
PAY = metric("pay", kind="proportion", value={"table": "orders", "agg": "any"})
ORDERS = metric("n", value={"table": "orders", "agg": "count"}, role="diagnostic")
KINDS = metric(
    "kinds",
    value={"table": "orders", "agg": "distinct", "column": "store_id"},
    role="diagnostic",
)
BASKET = metric(
    "basket",
    kind="ratio",
    numerator={"table": "orders", "agg": "sum", "column": "paid_fen"},
    denominator={"table": "orders", "agg": "count"},
)
KNOWN = metric(
    "known",
    value={"table": "orders", "agg": "sum", "column": "paid_fen"},
    missing="unknown",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("history")
    rng = np.random.default_rng(2)
    write(
        folder,
        "assignments",
        [
            assigned(f"u{i}", "AB"[i % 2], stamp(float(rng.integers(0, 72)) / 8))
            for i in range(120)
        ],
    )
    orders = [
        order(
            f"u{rng.integers(120)}",
            stamp(float(rng.integers(-40, 160)) / 8),
            int(rng.integers(1, 900)),
            number,
        )
        | {"store_id": f"s{rng.integers(3)}"}
        for number in range(500)
    ]
    write(folder, "orders", orders, ("pay_ts",))
    return growth.open(folder)


EXPERIMENTS = {
    "open": experiment(GMV, PAY, ORDERS, KINDS, BASKET),
    "unknown": experiment(KNOWN),
    "windows": experiment(
        {**GMV, "window_days": 3},
        {**PAY, "window_days": 7},
        {**KINDS, "window_days": 3},
        start="2026-02-01",
        end="2026-02-09",
    ),
    "adjusted": experiment(
        {**GMV, "covariates": ["pre"]},
        covariate=[
            {
                "name": "pre",
                "value": {"table": "orders", "agg": "sum", "column": "paid_fen"},
                "days": 5,
            }
        ],
        se="moments",
    ),
    "methods": experiment(
        {**GMV, "cap": {"at": 500.0}},
        {
            **metric("big", kind="quantile", q=0.9),
            "value": {"table": "orders", "agg": "each", "column": "paid_fen"},
            "window_days": 4,
        },
    ),
    "elsewhere": experiment({**GMV, "window_days": 2}, tz="Asia/Kolkata"),
}


@pytest.mark.parametrize("kind", EXPERIMENTS)
def test_every_day_says_what_a_fresh_look_on_that_day_says(data, kind):
    exp = EXPERIMENTS[kind]
    end = date(2026, 2, 14)
    units = unit_table(data, exp, as_of=end)
    found = trend(unit_history(data, units), exp)
    assert found.as_it_stood
    points = {}
    for point in found.points:
        if point.series == "cumulative":
            points.setdefault(point.day, {})[point.effect.metric] = point.effect
    assert len(points) >= 13
    days = sorted(points)
    assert days[-1] <= end
    for day in (days[1], days[6], days[-1]):
        fresh = analyze(unit_table(data, exp, as_of=day), exp)
        plain = {m.name for m in exp.metrics if m.kind != "quantile"}
        assert set(points[day]) == plain  # a quantile is no sum of moments
        for effect in (e for e in fresh.totals() if e.metric in plain):
            seen = points[day][effect.metric]
            assert seen.n_control == effect.n_control, (day, effect.metric)
            assert seen.n_treatment == effect.n_treatment
            assert seen.estimate == pytest.approx(effect.estimate)
            assert seen.se == pytest.approx(effect.se)
            assert seen.lift_low == pytest.approx(effect.lift_low)


def test_a_list_of_events_is_known_once_its_window_is_over(data):
    exp = EXPERIMENTS["methods"]
    end = date(2026, 2, 14)
    history = unit_history(data, unit_table(data, exp, as_of=end))
    day = date(2026, 2, 9)
    rows = history.table.filter(history.table.as_of_ds == day).to_pyarrow().to_pylist()
    fresh = unit_table(data, exp, as_of=day).table.to_pyarrow().to_pylist()
    held = {row["unit_id"]: row["big"] for row in rows}
    lists = {row["unit_id"]: row["big"] for row in fresh}
    assert {u: v and sorted(v) for u, v in held.items()} == {
        u: v and sorted(v) for u, v in lists.items()
    }
    assert any(held.values())
    assert None in held.values()


def test_days_without_a_change_are_as_the_day_before(data):
    exp = EXPERIMENTS["open"]
    units = unit_table(data, exp, as_of=date(2026, 4, 30))
    days = {point.day for point in trend(unit_history(data, units), exp).points}
    assert max(days) <= date(2026, 2, 1) + timedelta(20)


def test_the_daily_series_is_that_of_the_units_as_they_are(data):
    exp = EXPERIMENTS["open"]
    units = unit_table(data, exp, as_of=date(2026, 2, 20))
    plain, told = trend(units, exp), trend(unit_history(data, units), exp)
    assert not plain.as_it_stood
    daily = [[p for p in t.points if p.series == "daily"] for t in (plain, told)]
    for one, other in zip(*daily, strict=True):
        assert (one.day, one.effect.metric) == (other.day, other.effect.metric)
        assert one.effect.estimate == pytest.approx(other.effect.estimate)
    assert plain.units == told.units
    last = [
        {p.effect.metric: p.effect for p in t.points if p.series == "cumulative"}
        for t in (plain, told)
    ]
    for name, effect in last[0].items():
        assert last[1][name].estimate == pytest.approx(effect.estimate)
