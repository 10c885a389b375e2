"""Every look of a plan, worked out from one table, against fresh readings."""

import json
from dataclasses import fields
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.random import default_rng

import growth
from growth.abtest import (
    AlwaysValid,
    Fixed,
    GroupSequential,
    Hybrid,
    analyze,
    check_split,
    decide,
    unit_history,
    unit_table,
)
from growth.labels import has
from tests.abtest.made import codes, experiment, metric

START = date(2026, 2, 1)
DAY = timedelta(days=1)
DAYS, USERS = 28, 1_500
ZONE = ZoneInfo("Asia/Shanghai")
END = START + (DAYS - 1) * DAY


def day(number):
    return START + (number - 1) * DAY


PAY = metric(
    "pay",
    kind="proportion",
    mde=0.05,
    window_days=3,
    value={"table": "orders", "agg": "any"},
    covariates=["before"],
)
SPENT = metric(
    "spent",
    role="guardrail",
    margin=0.5,
    value={"table": "orders", "agg": "sum", "column": "paid_fen"},
)
BEFORE = {
    "name": "before",
    "days": 28,
    "value": {"table": "orders", "agg": "count"},
}


def declared(plan, *metrics, **keys):
    return experiment(
        *(metrics or (PAY, SPENT)),
        plan=plan.to_dict(),
        start=START.isoformat(),
        end=(END + DAY).isoformat(),
        covariate=[BEFORE],
        **keys,
    )


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A small shop: users exposed over four weeks, buying more in arm B."""
    folder, rng = tmp_path_factory.mktemp("shop"), default_rng(20260301)
    midnight = datetime(START.year, START.month, START.day, tzinfo=ZONE)
    at = rng.uniform(0, DAYS, USERS)
    arm = rng.integers(0, 2, USERS)
    instant = pa.timestamp("ms", tz="UTC")

    def stamps(days):
        return pa.array([midnight + timedelta(days=float(d)) for d in days], instant)

    users = [f"u{i}" for i in range(USERS)]
    assigned = {
        "unit_id": users,
        "exp_id": ["e"] * USERS,
        "variant": np.where(arm == 1, "B", "A").tolist(),
        "ts": stamps(at),
    }
    pq.write_table(pa.table(assigned), folder / "assignments.parquet")
    who = rng.integers(0, USERS, 3 * USERS)
    wait = rng.uniform(-28, 10, 3 * USERS)
    kept = (wait < 0) | (rng.random(3 * USERS) < np.where(arm[who] == 1, 0.9, 0.5))
    who, wait = who[kept], wait[kept]
    orders = {
        "order_id": [f"o{i}" for i in range(len(who))],
        "user_id": [users[i] for i in who],
        "pay_ts": stamps(at[who] + wait),
        "paid_fen": rng.integers(100, 10_000, len(who)),
    }
    pq.write_table(pa.table(orders), folder / "orders.parquet")
    return growth.open(folder)


def same(one, two):
    """Whether two readings of one look agree to the last digits that matter."""
    assert (one.look, one.day, one.crossed, one.stopped) == (
        two.look,
        two.day,
        two.crossed,
        two.stopped,
    )
    assert one.information == pytest.approx(two.information)
    for item in fields(one.effect):
        a, b = getattr(one.effect, item.name), getattr(two.effect, item.name)
        if isinstance(a, float):
            assert a == pytest.approx(b, rel=1e-7, abs=1e-12), item.name
        else:
            assert a == b, item.name


PLANS = [
    AlwaysValid(units=1200),
    GroupSequential(units=1000, looks=4),
    Hybrid(units=1200),
]


@pytest.mark.parametrize("plan", PLANS, ids=lambda p: p.kind)
def test_a_fresh_look_each_day_gives_what_one_look_at_the_end_gives(shop, plan):
    exp = declared(plan, PAY)
    whole = analyze(unit_table(shop, exp, as_of=END), exp)
    by_look = {(p.effect.metric, p.effect.arm, p.day): p for p in whole.looks.points}
    last = None
    for number in (1, 6, 9, 13, 21, 28):
        last = analyze(unit_table(shop, exp, as_of=day(number)), exp)
        if last.looks is None:
            assert plan.kind == "group_sequential"
            assert "before_first_look" in codes(last)
            assert last.totals()[0].ci_adj_low is None
            continue
        for point in last.looks.points:
            key = point.effect.metric, point.effect.arm, point.day
            same(point, by_look[key])
        stop = whole.looks.stopped_on
        due = stop is not None and stop <= day(number)
        assert last.looks.stopped_on == (stop if due else None)
    assert last.effects == whole.effects
    assert last.looks == whole.looks
    assert whole.looks.stop == "crossed"
    assert whole.looks.stopped_on < END


def test_a_plan_stops_where_it_says_and_the_decision_follows(shop):
    exp = declared(AlwaysValid(units=1200), PAY, min_days=7)
    units = unit_table(shop, exp, as_of=END)
    looks = analyze(units, exp).looks
    (first, *_) = [p for p in looks.of("pay", "B") if p.crossed]
    assert first.day == looks.stopped_on
    assert abs(first.effect.statistic) > first.effect.critical
    assert all(p.stopped == (p.day >= first.day) for p in looks.of("pay", "B"))
    assert looks.verdict == "abtest.looks.crossed"
    week = next(n for n in (7, 14, 21, 28) if day(n) >= first.day)
    found = analyze(unit_table(shop, exp, as_of=day(week)), exp)
    split = check_split(unit_table(shop, exp, as_of=day(week)))
    assert split.p_sequential is not None  # the plan is sequential, so is the split
    assert len(split.looks) == week
    assert decide(found, split).verdict == "abtest.decision.ship"
    fixed = declared(Fixed(units=1200), PAY, min_days=7)
    early = analyze(unit_table(shop, fixed, as_of=day(week)), fixed)
    assert decide(early, split).verdict == "abtest.decision.iterate"


def test_metrics_without_a_window_need_the_history_of_each_unit(shop):
    exp = declared(AlwaysValid(units=1200))
    units = unit_table(shop, exp, as_of=END)
    bare = analyze(units, exp)
    assert "values_of_now" in codes(bare)
    whole = analyze(unit_history(shop, units), exp)
    assert "values_of_now" not in codes(whole)
    assert len(whole.looks.days) == DAYS
    for number in (4, 20, 28):
        now = analyze(unit_table(shop, exp, as_of=day(number)), exp).totals()
        then = [p for p in whole.looks.points if p.day == day(number)]
        for effect, point in zip(now, then, strict=True):
            if effect.p_value is None:
                continue
            assert point.effect.estimate == pytest.approx(effect.estimate)
            assert point.effect.se == pytest.approx(effect.se)
            assert point.effect.critical == pytest.approx(effect.critical)


# -- ready tables ------------------------------------------------------------------


def ready(effect=0.0, users=1400, seed=5):
    rng = default_rng(seed)
    arm = rng.integers(0, 2, users)
    return pa.table(
        {
            "unit_id": np.arange(users),
            "variant": np.where(arm == 1, "B", "A"),
            "exposure_ds": [START + int(d) * DAY for d in rng.integers(0, DAYS, users)],
            "m": rng.normal(10, 3, users) + effect * arm,
            "g": rng.normal(10, 3, users) - effect * arm,
            "seg": rng.choice(["x", "y"], users),
        }
    )


def plain(plan, *metrics, **keys):
    return experiment(
        *(metrics or (metric(window_days=2),)),
        plan=plan.to_dict(),
        start=START.isoformat(),
        end=(END + DAY).isoformat(),
        **keys,
    )


def test_a_ready_table_is_read_as_of_each_look():
    exp, table = plain(GroupSequential(units=1400, looks="weekly")), ready(0.4)
    whole = analyze(table, exp, as_of=END, by=["seg"])
    assert whole.looks.days == (day(7), day(14), day(21), day(28))
    for point in whole.looks.points:
        then = analyze(table, exp, as_of=point.day)
        assert then.totals()[0] == point.effect
        ripe = sum(d + DAY <= point.day for d in table["exposure_ds"].to_pylist())
        assert point.information == ripe / 1400
        assert point.effect.n_control + point.effect.n_treatment == ripe
    shares = [point.information for point in whole.looks.points]
    half = exp.plan.look(shares).critical(0.025)  # neither of two rejected
    assert {e.critical for e in whole.segments()} == {half}


def test_between_two_looks_the_numbers_stand_still():
    exp, table = plain(GroupSequential(units=1400, looks="weekly")), ready(0.4)
    at, after = (analyze(table, exp, as_of=day(n)) for n in (14, 18))
    assert after.effects == at.effects
    assert after.looks == at.looks
    assert ("day", day(14).isoformat()) in next(
        n for n in after.notices if n.code == "between_looks"
    ).args
    early = analyze(table, exp, as_of=day(5))
    assert early.looks is None
    assert "before_first_look" in codes(early)
    effect = early.totals()[0]
    assert (effect.ci_low, effect.ci_adj_low, effect.p_value) == (None, None, 1.0)
    assert effect.estimate is not None


def test_the_horizon_is_a_stop_too():
    exp = plain(GroupSequential(units=700, looks="weekly"))
    found = analyze(ready(), exp, as_of=END)
    assert found.looks.verdict == "abtest.looks.horizon"
    assert "plan_horizon" in codes(found)
    goes_on = plain(AlwaysValid(units=700))
    assert analyze(ready(), goes_on, as_of=END).looks.verdict == "abtest.looks.goes_on"


def test_when_no_more_units_will_come_it_is_the_last_look():
    exp, table = plain(GroupSequential(units=2000, looks=4)), ready()
    before, after = (analyze(table, exp, as_of=END + n * DAY) for n in (0, 1))
    assert "between_looks" in codes(before)  # half of the units, and some to come
    assert after.looks.stop == "horizon"
    shares = [point.information for point in after.looks.points]
    assert shares[-1] == 0.7
    effect = after.totals()[0]
    assert effect.critical == exp.plan.look(shares, last=True).critical()
    later = analyze(table, exp, as_of=END + 9 * DAY)
    assert later.effects == after.effects


def test_harm_is_a_stop_too():
    guard = metric("g", role="guardrail", margin=0.01, window_days=2)
    exp = plain(AlwaysValid(units=1400), metric(window_days=2), guard)
    table = ready(1.5)
    table = table.set_column(3, "m", pa.array(default_rng(1).normal(10, 3, 1400)))
    found = analyze(table, exp, as_of=END)
    assert found.looks.verdict == "abtest.looks.harm"
    first = next(p for p in found.looks.of("g", "B") if p.harmful)
    assert first.day == found.looks.stopped_on
    early = analyze(table, exp, as_of=first.day)
    split = check_split(table, experiment=exp, unit_col="unit_id")
    assert str(decide(early, split).reasons[0]) == "guardrail_harm:g"


def test_a_table_without_days_is_one_look():
    exp, table = plain(GroupSequential(units=2800)), ready(0.4)
    found = analyze(table.drop_columns("exposure_ds"), exp)
    assert found.looks is None
    assert "looks_unknown" in codes(found)
    assert found.totals()[0].critical == pytest.approx(2.963, abs=1e-3)  # at half


def test_pooled_arms_are_read_under_the_plan():
    table = ready(0.4)
    arms = np.where(np.arange(1400) % 3 == 0, "C", table["variant"])
    table = table.set_column(1, "variant", pa.array(arms))
    exp = plain(AlwaysValid(units=1400, looks="weekly"), arms={"A": 1, "B": 1, "C": 1})
    found = analyze(table, exp, as_of=END, pool={"new": ["B", "C"]})
    assert {p.effect.arm for p in found.looks.points} == {"new"}


def test_the_result_shows_itself():
    looks = analyze(ready(0.4), plain(AlwaysValid(units=1400)), as_of=END).looks
    rows = looks.rows()
    assert len(rows) == DAYS
    assert all(has(f"column.{name}") for name in rows[0])
    running = [row["p_running"] for row in rows if row["p_running"] is not None]
    assert running == sorted(running, reverse=True)
    assert json.dumps(looks.to_dict(), allow_nan=False)
    assert looks.to_html("zh")


def test_peeking_daily_keeps_the_promise():
    """Always-valid readings of tables without effect, 28 looks each."""
    runs, alarms = 20, 0
    exp = plain(AlwaysValid(units=400, looks="weekly"))
    for seed in range(runs):
        looks = analyze(ready(users=400, seed=seed), exp, as_of=END, unique=True).looks
        alarms += looks.stop == "crossed"
    assert alarms <= 3  # 1 expected at most; more than 3 has chance 0.016
