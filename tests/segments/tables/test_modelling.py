"""Models: the same for tables and for one user, and what a fit says."""

from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from growth.segments import (
    Tag,
    Value,
    clv_fen,
    count,
    expected_orders,
    freeze,
    overdue,
    p_alive,
    quantile,
    rule,
    rules_of,
    tag,
)
from growth.segments.context import yardstick
from tests.segments.made import NOON, told

DAY = date(2026, 3, 10)


def buyers(n=150, seed=9):
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(n):
        rate, alive = rng.gamma(1.5, 0.05), rng.exponential(80)
        start = rng.integers(100, 500)
        days = {0.0, *np.cumsum(rng.exponential(1 / rate, 30))}
        rows += [
            {
                "user_id": f"u{user:03}",
                "order_id": f"{user}-{i}",
                "pay_ts": NOON - timedelta(days=float(start - d)),
                "paid_fen": int(rng.gamma(4, 3000)),
            }
            for i, d in enumerate(sorted(days))
            if d < min(start, alive)
        ]
    return rows


def test_models_are_one_thing_for_tables_and_for_one_user():
    rows = buyers()
    data = {"orders": pa.Table.from_pylist(rows)}
    rules = rules_of(
        Tag("alive", [Value("yes", p_alive() >= 0.9)]),
        Tag("soon", [Value("yes", expected_orders(30) >= 0.6)]),
        Tag("worth", [Value("top", clv_fen(365) >= 50_000)]),
        Tag("late", [Value("yes", overdue())]),
        Tag("often", [Value("top", quantile(count("orders"), bins=5).equals(5))]),
    )
    context = freeze(data, rules, as_of=DAY)
    found = told(tag(data, rules, as_of=DAY))
    by_user = {}
    for row in rows:
        by_user.setdefault(row["user_id"], []).append(row)
    for name in rules.names:
        one = rule(rules, name, context=context)
        values = {user: one.value_for({"orders": own}, as_of=DAY)
                  for user, own in by_user.items()}  # fmt: skip
        assert values == {user: row[name] for user, row in found.items()}
        assert len(set(values.values())) == 2
    key = yardstick(p_alive(), "Asia/Shanghai", "seen")
    assert len(context.yards[key]["bgnbd"]) == 4


def test_a_fit_that_sees_nobody_leave_says_so():
    rows = [
        {
            "user_id": f"u{user}",
            "order_id": f"{user}-{i}",
            "pay_ts": NOON - timedelta(days=7 * i),
            "paid_fen": 100,
        }
        for user in range(40)
        for i in range(30 + user % 5)
    ]
    rules = rules_of(Tag("alive", [Value("yes", p_alive() >= 0.9)]))
    context = freeze({"orders": pa.Table.from_pylist(rows)}, rules, as_of=DAY)
    assert [n.code for n in context.notices] == ["segments_fell_back_to_nbd"]
    assert context.yards[yardstick(p_alive(), "Asia/Shanghai", "seen")]["bgnbd"][2] == 0
