"""All users at once: the same answers as one at a time, whatever the order."""

import random
from datetime import UTC, date, datetime, timedelta

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from growth import engine, segments
from growth.errors import ColumnNotFoundError, DataError, ParameterError
from growth.segments import (
    Context,
    Tag,
    Value,
    clv_fen,
    count,
    distinct,
    distinct_days,
    expected_orders,
    first,
    freeze,
    last,
    lifecycle,
    mean,
    metrics,
    overdue,
    p_alive,
    quantile,
    rfm,
    rule,
    rules_of,
    sequence,
    tag,
    tag_in,
    total,
    without,
)
from growth.segments.context import ContextRequiredError, yardstick
from tests.segments import random_rules
from tests.segments.made import NOON, both, event, order
from tests.segments.random_rules import AS_OF

DAY = date(2026, 3, 10)
HELD = without("page_view", "order_pay", within=3, hold=["product_id"], anchor="any")
IN_ORDER = rules_of(
    Tag("order", [Value("x", sequence(*random_rules.EVENTS, within=7))]),
    Tag("left", [Value("x", HELD)]),
    Tag("life", [Value("x", lifecycle(period="week").is_in("new", "dormant"))]),
    Tag("first", [Value("x", first("orders", "status").equals("paid"))]),
    Tag("last", [Value("x", last("members", "region").equals("44"))]),
    Tag("mean", [Value("x", mean("orders", "paid_fen", net=True) >= 900)]),
    Tag("kinds", [Value("x", distinct("events", "product_id") >= 2)]),
    Tag("days", [Value("x", distinct_days("events", last=30) >= 3)]),
)
SCORED = rules_of(
    Tag("score", [Value("x", rfm("code").equals("555")), Value("y", rfm("f") >= 3)]),
    Tag("late", [Value("x", overdue(p=50))]),
)
MODELLED = rules_of(Tag("worth", [Value("x", clv_fen(90) >= 500)]))


def told(table):
    return {row["user_id"]: row for row in engine.fetch(table).to_pylist()}


def histories(seed, n):
    rng = random.Random(seed)
    users = {f"u{i:03}": random_rules.history(rng, f"u{i:03}") for i in range(n)}
    return rng, users, random_rules.arrow(users)


def disagreeing(rules, users, tables, context=None):
    """Return where the two evaluators part, and how many pairs were asked."""
    frozen = context or freeze(tables, rules, as_of=AS_OF)
    found = told(tag(tables, rules, as_of=AS_OF, context=context))
    wrong, asked = [], 0
    for name in rules.names:
        one = rule(rules, name, context=frozen)
        for user, rows in users.items():
            asked += 1
            want = one.value_for(rows, as_of=AS_OF)
            have = found.get(user, {}).get(name)
            if want != have:
                wrong.append((name, user, want, have))
    return wrong, asked


def test_the_two_evaluators_agree_on_ten_thousand_rules_and_records():
    rng, users, tables = histories(1, 400)
    total_asked = 0
    for _ in range(2):
        rules = random_rules.tags(rng, 13)
        wrong, asked = disagreeing(rules, users, tables)
        assert wrong == []
        total_asked += asked
    assert total_asked >= 10_000


def test_they_agree_with_frozen_yardsticks_of_another_day():
    rng, users, tables = histories(2, 60)
    rules = random_rules.tags(rng, 5)
    earlier = freeze(tables, rules, as_of=AS_OF - timedelta(days=9))
    again = Context.from_json(earlier.to_json())
    assert disagreeing(rules, users, tables, again)[0] == []


def test_row_order_and_chunks_change_nothing():
    rng, _, tables = histories(3, 80)
    rules = random_rules.tags(rng, 4)
    want = told(tag(tables, rules, as_of=AS_OF))
    mixed = {}
    for name, table in tables.items():
        order_ = np.random.default_rng(4).permutation(len(table))
        mixed[name] = pa.concat_tables(
            [table.take(part) for part in np.array_split(order_, 5)]
        )
    assert told(tag(mixed, rules, as_of=AS_OF)) == want


def test_rows_after_as_of_do_not_exist():
    rng, users, tables = histories(5, 80)
    rules = random_rules.tags(rng, 4)
    end = datetime(2026, 3, 10, 16, tzinfo=UTC)
    shanghai = rules_of(
        *(
            Tag(t.name, t.values, default=t.default, population=t.population)
            for t in rules
        )
    )
    cut = {
        user: {
            "events": [r for r in rows["events"] if r["ts"] < end],
            "orders": [r for r in rows["orders"] if r["pay_ts"] and r["pay_ts"] < end],
            "members": [r for r in rows["members"] if r["as_of_ds"] <= AS_OF],
        }
        for user, rows in users.items()
    }
    before = told(tag(random_rules.arrow(cut), shanghai, as_of=AS_OF))
    assert told(tag(tables, shanghai, as_of=AS_OF)) == before


def tables_of(**rows):
    """Return Arrow tables of made rows, one user unless they say so."""
    return {
        name: pa.Table.from_pylist([{"user_id": "u"} | row for row in listed])
        for name, listed in rows.items()
    }


def test_one_row_a_user_and_a_column_a_tag():
    data = tables_of(
        orders=[order(1), order(100) | {"user_id": "old"}],
        events=[event("add_to_cart", 5) | {"user_id": "cart"}],
    )
    found = told(tag(data, both(), as_of=DAY))
    assert found == {
        "u": {"user_id": "u", "frequency": "active", "behaviour": "buyer"},
        "old": {"user_id": "old", "frequency": "dormant", "behaviour": "none"},
        "cart": {
            "user_id": "cart",
            "frequency": "never",
            "behaviour": "cart_abandoned",
        },
    }


def test_outside_its_population_a_tag_is_null():
    rules = rules_of(
        Tag("seen", [Value("x", count("orders") >= 1)]),
        Tag("buys", [Value("x", count("orders") >= 1)], population="buyers"),
    )
    data = tables_of(orders=[order()], events=[event("x") | {"user_id": "v"}])
    found = told(tag(data, rules, as_of=DAY))
    assert (found["v"]["seen"], found["v"]["buys"]) == ("none", None)
    assert found["u"]["buys"] == "x"
    # nobody there is nobody at all: the event is of tomorrow
    later = tables_of(orders=[order()], events=[event("x", -1) | {"user_id": "v"}])
    assert set(told(tag(later, rules, as_of=DAY))) == {"u"}


def test_equal_metrics_are_computed_once_and_each_table_is_scanned_once():
    some = [
        Tag(f"t{i}", [Value("x", count("orders", last=30) >= i + 1)]) for i in range(20)
    ]
    data = tables_of(orders=[order()], events=[event("x")])
    query = tag(data, rules_of(*some), as_of=DAY)
    sql = str(ibis.to_sql(query, dialect="duckdb"))
    assert sql.count("COUNT(*) FILTER") == 1
    assert sql.count("ibis_pyarrow_memtable") == 2


def test_a_disjoint_tag_refuses_two_matches_and_says_how_many():
    values = [
        Value("often", count("orders") >= 2),
        Value("rich", total("orders", "paid_fen") >= 20_000),
    ]
    rules = rules_of(Tag("t", values, disjoint=True, population="buyers"))
    rows = [order(1, 5), order(2, 5), order(3, 30_000) | {"user_id": "v"}]
    data = tables_of(orders=rows)
    assert told(tag(data, rules, as_of=DAY))["v"]["t"] == "rich"
    both_of_them = [*rows, order(4, 30_000), order(5, 5) | {"user_id": "v"}]
    with pytest.raises(DataError, match="two values match 2 users") as info:
        tag(tables_of(orders=both_of_them), rules, as_of=DAY)
    assert info.value.code == "overlap_found"
    one = rule(rules, "t")
    assert one.value_for({"orders": rows[:2]}, as_of=DAY) == "often"
    with pytest.raises(DataError, match="two values match the record") as info:
        one.value_for({"orders": [order(1, 5), order(4, 30_000)]}, as_of=DAY)
    assert info.value.code == "overlap_found"


def test_refunds_are_taken_off_when_they_happened():
    net = Tag("t", [Value("x", total("orders", "paid_fen", net=True) >= 1000)])
    data = tables_of(orders=[order(5, 1000, refund_fen=400)])
    assert told(tag(data, rules_of(net), as_of=DAY))["u"]["t"] == "none"
    data |= {
        "refunds": pa.Table.from_pylist(
            [{"order_id": "o5", "ts": NOON - timedelta(days=1), "amount_fen": 400}]
        )
    }
    early = DAY - timedelta(days=2)
    assert told(tag(data, rules_of(net), as_of=early))["u"]["t"] == "x"
    assert told(tag(data, rules_of(net), as_of=DAY))["u"]["t"] == "none"


def test_metrics_stand_beside_the_tags():
    data = tables_of(orders=[order(), order(40)])
    data |= tables_of(events=[event("x")])
    found = told(metrics(data, both(), as_of=DAY))
    assert found["u"]["frequency__count_orders_90d"] == 2
    assert found["u"]["behaviour__count_orders_30d"] == 1


def test_user_ids_may_be_integers_under_another_name():
    rows = pa.table({"user_idx": [7, 7, 8], "pay_ts": [NOON] * 3})
    rules = rules_of(Tag("t", [Value("two", count("orders") >= 2)]))
    found = engine.fetch(tag({"orders": rows}, rules, as_of=DAY, user_col="user_idx"))
    assert sorted(map(tuple, (r.values() for r in found.to_pylist()))) == [
        (7, "two"),
        (8, "none"),
    ]


def test_frames_and_naive_times_are_taken():
    frame = pd.DataFrame({"user_id": ["a"], "pay_ts": [NOON.replace(tzinfo=None)]})
    rules = rules_of(Tag("t", [Value("one", count("orders", last=1) >= 1)]))
    assert told(tag({"orders": frame}, rules, as_of=DAY))["a"]["t"] == "one"


def test_a_missing_column_names_the_tags_that_need_it():
    rows = pa.table({"user_id": ["a"], "pay_ts": [NOON]})
    rules = rules_of(
        Tag("spend", [Value("x", total("orders", "paid_fen") >= 1)]),
        Tag("n", [Value("x", count("orders") >= 1)]),
    )
    with pytest.raises(ColumnNotFoundError, match=r"'paid_fen'.*spend"):
        tag({"orders": rows}, rules, as_of=DAY)


def test_a_missing_table_names_the_tags_that_need_it():
    rules = rules_of(Tag("visits", [Value("x", count("events") >= 1)]))
    with pytest.raises(DataError, match=r"'events'.*visits") as info:
        tag(
            {"orders": pa.table({"user_id": ["a"], "pay_ts": [NOON]})}, rules, as_of=DAY
        )
    assert info.value.code == "table_not_found"


@pytest.mark.parametrize("as_of", [NOON, "2026-03-10"])
def test_as_of_is_a_date(as_of):
    with pytest.raises(ParameterError, match="must be a date") as info:
        tag({}, both(), as_of=as_of)
    assert info.value.code == "bad_as_of"


def test_what_is_no_data_or_no_rules_is_told_before_anything_is_read():
    with pytest.raises(ParameterError, match=r"pass what growth\.open gives") as info:
        tag("data/sample", both(), as_of=DAY)
    assert info.value.code == "no_data"
    with pytest.raises(ParameterError, match=r"rules is .rules\.toml") as info:
        tag({}, "rules.toml", as_of=DAY)
    assert info.value.code == "no_rules"


def test_frozen_cuts_without_a_context_are_refused():
    rules = rules_of(Tag("t", [Value("x", rfm(cuts="frozen").equals("champions"))]))
    data = tables_of(orders=[order()])
    with pytest.raises(ContextRequiredError, match="freeze"):
        tag(data, rules, as_of=DAY)
    context = freeze(data, rules, as_of=DAY)
    assert told(tag(data, rules, as_of=DAY, context=context))["u"]["t"] == "none"


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


def test_nothing_is_frozen_where_nothing_needs_it():
    data = tables_of(orders=[order()], events=[event("x")])
    assert dict(freeze(data, both(), as_of=DAY).yards) == {}


def test_a_chain_of_tags_is_answered_in_order():
    chain = [Tag("t0", [Value("x", count("orders") >= 1)])]
    chain += [Tag(f"t{i}", [Value("x", tag_in(f"t{i - 1}", "x"))]) for i in range(1, 6)]
    rules = rules_of(*reversed(chain))
    found = told(tag(tables_of(orders=[order()]), rules, as_of=DAY))
    assert {found["u"][name] for name in rules.names} == {"x"}


def test_the_room_names_its_verbs():
    assert {"tag", "freeze", "rule", "load_rules"} <= set(segments.__all__)


@pytest.mark.spark
def test_spark_and_duckdb_give_every_user_the_same(spark):
    _, _, tables = histories(8, 60)
    there = {
        name: engine.as_table(table, connection=spark) for name, table in tables.items()
    }
    for rules in (IN_ORDER, SCORED, MODELLED):
        want = told(tag(tables, rules, as_of=AS_OF))
        assert told(tag(there, rules, as_of=AS_OF)) == want
