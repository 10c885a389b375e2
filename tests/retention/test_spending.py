"""Revenue and lifetime value, against sums by hand and bootstraps."""

import json
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from growth import retention
from growth.errors import DataError, ParameterError
from growth.retention.spending import Spend, revenue_from_spend

RANGE = {"start": date(2026, 3, 1), "end": date(2026, 3, 6)}


def orders(rows, **columns):
    user, ts, paid, refund = zip(*rows, strict=True)
    data = {
        "user_id": pa.array(user, pa.string()),
        "pay_ts": pa.array(ts, pa.timestamp("ms", "UTC")),
        "paid_fen": pa.array(paid, pa.int64()),
        "refund_fen": pa.array(refund, pa.int64()),
    }
    return pa.table(data | columns)


def made(rng, n=80, users=12, days=12):
    begin = datetime(2026, 3, 1, tzinfo=UTC)
    return [
        (
            f"u{rng.integers(0, users)}",
            begin + timedelta(minutes=int(rng.integers(0, days * 1440))),
            int(rng.integers(1, 9000)),
            None if rng.random() < 0.5 else int(rng.integers(0, 2)) * 100,
        )
        for _ in range(n)
    ]


def by_hand(rows, horizon):
    """Return sizes by day, and net fen and payers by day and offset."""
    first = {}
    for user, ts, *_ in rows:
        first[user] = min(ts, first.get(user, ts))
    size, fen, payers = defaultdict(int), defaultdict(int), defaultdict(set)
    for ts in first.values():
        size[ts.date()] += 1
    for user, ts, paid, refund in rows:
        k = (ts.date() - first[user].date()).days
        if k <= horizon:
            fen[first[user].date(), k] += paid - (refund or 0)
            payers[first[user].date(), k].add(user)
    return size, fen, payers


@pytest.mark.parametrize("seed", range(4))
def test_cells_are_the_sums_by_hand(seed):
    rows = made(np.random.default_rng(seed))
    found = retention.revenue(
        orders(rows), **RANGE, as_of=date(2026, 3, 8), period="day", horizon=4, tz="UTC"
    )
    seen = [row for row in rows if row[1] < datetime(2026, 3, 9, tzinfo=UTC)]
    size, fen, payers = by_hand(seen, 4)
    for cell in found.cells:
        day = date.fromisoformat(cell.cohort)
        assert cell.size == size[day]
        assert cell.complete == (day + timedelta(days=cell.k) <= date(2026, 3, 8))
        if cell.complete:
            assert cell.revenue_fen == fen[day, cell.k]
            assert cell.payers == len(payers[day, cell.k])
            if cell.size:
                total = sum(fen[day, k] for k in range(cell.k + 1))
                assert cell.ltv_fen == pytest.approx(total / cell.size)
    points = {p.k: p for p in found.curve}
    running = 0.0
    for k in range(5):
        last = min(date(2026, 3, 8) - timedelta(k), RANGE["end"] - timedelta(1))
        days = [d for d in size if d <= last]
        running += sum(fen[d, k] for d in days) / sum(size[d] for d in days)
        assert points[k].ltv_fen == pytest.approx(running)


def test_starts_of_a_table_leave_orders_before_them_out():
    start = datetime(2026, 3, 2, 12, tzinfo=UTC)
    rows = [
        ("a", start - timedelta(hours=1), 500, 0),
        ("a", start, 300, 0),
        ("a", start + timedelta(days=1), 200, 50),
        ("b", start, 999, 0),  # never started
    ]
    starts = pa.table(
        {
            "user_id": ["a", "c"],
            "ts": pa.array([start, start], pa.timestamp("ms", "UTC")),
            "variant": ["x", None],
        }
    )
    found = retention.revenue(
        orders(rows),
        starts=starts,
        by="variant",
        **RANGE,
        as_of=date(2026, 3, 8),
        period="day",
        horizon=2,
        tz="UTC",
    )
    assert found.groups == ((None,), ("x",))
    day = found.cohorts.index("2026-03-02")
    assert found.so_far[1][day] == (300, 150, 0)
    assert found.so_far[0][day] == (0, 0, 0)
    assert (found.users, found.revenue_fen) == (2, 450)
    assert {p.by for p in found.curve} == {
        (),
        (("variant", None),),
        (("variant", "x"),),
    }


def test_a_rolling_clock_counts_whole_days_since_the_first_order():
    first = datetime(2026, 3, 2, 18, tzinfo=UTC)
    rows = [("a", first, 100, 0), ("a", first + timedelta(hours=23), 70, 0)]
    found = retention.revenue(
        orders(rows),
        **RANGE,
        as_of=date(2026, 3, 8),
        period="day",
        horizon=1,
        clock="rolling_24h",
        tz="UTC",
    )
    assert found.so_far[0][found.cohorts.index("2026-03-02")] == (170, 0)


def test_spend_is_paid_back_at_the_first_offset_that_covers_it():
    rows = [
        (f"u{i}", datetime(2026, 3, 2, tzinfo=UTC) + timedelta(days=k), 100, 0)
        for i in range(40)
        for k in range(3)
    ]
    spend = pa.table(
        {"ds": [date(2026, 3, 2), date(2026, 4, 1)], "spend_fen": [40 * 150, 10**9]}
    )
    asked = {**RANGE, "as_of": date(2026, 3, 20), "period": "day", "tz": "UTC"}
    found = retention.revenue(orders(rows), channel_spend=spend, **asked, horizon=4)
    assert (found.cost_fen, found.payback_k) == (150, 1)
    assert found.verdict == "retention.revenue.paid_back"
    short = retention.revenue(orders(rows[:1]), channel_spend=spend, **asked, horizon=1)
    assert short.verdict == "retention.revenue.not_paid_back"
    assert "heavy_tail" in {notice.code for notice in short.notices}


def simulated(rng, users, horizon):
    """Return the spend of users of three cohorts, the youngest two not complete."""
    rows = []
    for user in range(users):
        cohort = user % 3
        rows.append((user, cohort, 0, -1, 0, 0))
        paid = [k for k in range(horizon + 1) if rng.random() < 0.5 / (1 + k)]
        rows += [(user, cohort, 0, k, int(rng.lognormal(7, 1)), 1) for k in paid]
    complete = np.array(
        [[k <= horizon - i for k in range(horizon + 1)] for i in range(3)]
    )
    columns = (np.array(c, dtype=np.int64) for c in zip(*rows, strict=True))
    return Spend(*columns), complete


def value(spend, complete, **asked):
    rule = retention.RetentionRule(horizon=complete.shape[1] - 1)
    return revenue_from_spend(
        rule, spend, cohorts="abc", groups=[()], complete=complete, **asked
    )


def test_the_delta_method_agrees_with_a_bootstrap_of_users():
    spend, complete = simulated(np.random.default_rng(3), 1500, 4)
    found = value(spend, complete)
    assert found.interval == "delta"
    rng = np.random.default_rng(4)
    x = np.zeros((1500, 5))
    paid = spend.offset >= 0
    x[spend.user[paid], spend.offset[paid]] = spend.fen[paid]
    over = complete[np.arange(1500) % 3]
    drawn = []
    for _ in range(400):
        w = rng.multinomial(1500, np.full(1500, 1 / 1500))
        drawn.append(((w @ (x * over)) / (w @ over)).cumsum())
    sd = np.std(drawn, axis=0)
    ours = [(p.high - p.low) / 2 / 1.959964 for p in found.curve]
    assert ours == pytest.approx(sd.tolist(), rel=0.12)


def test_few_users_are_bootstrapped_and_the_interval_is_much_the_same():
    spend, complete = simulated(np.random.default_rng(5), 900, 4)
    few = value(spend, complete, seed=1)
    assert few.interval == "bootstrap"
    assert few == value(spend, complete, seed=1)
    twice = Spend(*(np.concatenate([c, c]) for c in spend))
    twice.user[len(spend.user) :] += 900
    many = value(twice, complete)
    half = [(p.high - p.low) / 2 for p in few.curve]
    wide = [(p.high - p.low) / 2 * np.sqrt(2) for p in many.curve]
    assert half == pytest.approx(wide, rel=0.15)


def test_intervals_hold_the_planted_value():
    rng = np.random.default_rng(11)
    truth = np.cumsum([0.5 / (1 + k) * np.exp(7.5) for k in range(4)])
    held = []
    for _ in range(150):
        spend, complete = simulated(rng, 1200, 3)
        points = value(spend, complete).curve
        held += [p.low <= t <= p.high for p, t in zip(points, truth, strict=True)]
    assert 0.92 < np.mean(held) < 0.98


def test_what_cannot_be_said_yet_is_none_with_the_day_it_can():
    rows = [("a", datetime(2026, 3, 1, tzinfo=UTC), 100, 0)]
    found = retention.revenue(
        orders(rows), **RANGE, as_of=datetime(2026, 3, 1, 12, tzinfo=UTC), tz="UTC"
    )
    assert found.verdict == "retention.revenue.too_young"
    assert found.ready_on == date(2026, 3, 31)
    assert found.cells[0].revenue_fen is None
    json.dumps(found.to_dict(), allow_nan=False)
    assert "一批用户" in found.to_html("zh")


def test_a_range_that_is_all_ahead_has_nobody_yet():
    rows = [("a", datetime(2026, 3, 1, tzinfo=UTC), 100, 0)]
    found = retention.revenue(orders(rows), **RANGE, as_of=date(2020, 1, 1))
    assert (found.verdict, found.users) == ("retention.revenue.too_young", 0)


def test_refunds_are_said_to_have_no_date():
    rows = [("a", datetime(2026, 3, 1, tzinfo=UTC), 100, 100)]
    asked = {**RANGE, "as_of": date(2026, 5, 1)}
    codes = {n.code for n in retention.revenue(orders(rows), **asked).notices}
    assert "refunds_open" in codes
    plain = orders(rows).drop_columns("refund_fen")
    codes = {n.code for n in retention.revenue(plain, **asked).notices}
    assert "refunds_open" not in codes


def test_refusals():
    rows = [("a", datetime(2026, 3, 1, tzinfo=UTC), 100, 0)]
    asked = {**RANGE, "as_of": date(2026, 5, 1)}
    with pytest.raises(ParameterError, match="seed is -1") as info:
        retention.revenue(orders(rows), seed=-1, **asked)
    assert info.value.code == "bad_seed"
    with pytest.raises(ParameterError, match="mode is 'every'") as info:
        retention.revenue(orders(rows), mode="every", **asked)
    assert info.value.code == "mode"
    floats = orders(rows).set_column(2, "paid_fen", pa.array([1.5]))
    with pytest.raises(DataError, match="must be whole fen") as info:
        retention.revenue(floats, **asked)
    assert info.value.code == "column_type"
    spend, complete = simulated(np.random.default_rng(0), 30, 1)
    with pytest.raises(DataError, match="the spend is -1 fen") as info:
        value(spend, complete, cost_fen=-1)
    assert info.value.code == "bad_counts"


def test_spend_at_instants_is_of_the_local_day():
    rows = orders([("a", datetime(2026, 3, 2, tzinfo=UTC), 100, None)])
    late = [datetime(2026, 2, 28, 17, tzinfo=UTC), datetime(2026, 3, 5, 17, tzinfo=UTC)]
    spend = pa.table({"ds": pa.array(late), "spend_fen": [7, 500]})  # 1st and 6th
    result = retention.revenue(
        rows, **RANGE, as_of=date(2026, 3, 20), channel_spend=spend
    )
    assert result.cost_fen == 7


def test_unsigned_fen_go_below_nothing():
    rows = orders([("a", datetime(2026, 3, 2, tzinfo=UTC), 100, 250)])
    for name in ("paid_fen", "refund_fen"):
        at = rows.schema.get_field_index(name)
        rows = rows.set_column(at, name, rows[name].cast(pa.uint32()))
    result = retention.revenue(rows, **RANGE, as_of=date(2026, 3, 20))
    assert result.revenue_fen == -150
