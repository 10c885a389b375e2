"""All users at once: the same answers as one at a time, whatever the order."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from growth import engine, segments
from growth.errors import ParameterError
from growth.segments import (
    Context,
    Tag,
    Value,
    clv_fen,
    distinct,
    distinct_days,
    first,
    freeze,
    last,
    lifecycle,
    mean,
    metrics,
    overdue,
    rfm,
    rule,
    rules_of,
    sequence,
    tag,
    total,
    without,
)
from tests.segments import random_rules
from tests.segments.made import NOON, both, event, histories, order, tables_of, told
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


def test_a_refund_of_no_order_no_time_or_no_amount_takes_nothing_off():
    rules = rules_of(Tag("t", [Value("x", total("orders", "paid_fen", net=True) >= 9)]))
    orders = [order(5, 10, order_id=one, user_id=f"u{one}") for one in ("a", "b", None)]
    orders.append(order(5, 10, order_id="c", user_id="uc"))
    refunds = [
        {"order_id": one, "ts": at, "amount_fen": off}
        for one, at, off in (
            ("a", NOON - timedelta(days=1), None),
            ("b", None, 5),
            (None, NOON - timedelta(days=1), 5),
            ("c", NOON - timedelta(days=1), 5),
        )
    ]
    tables = {"orders": pa.Table.from_pylist(orders)}
    tables["refunds"] = pa.Table.from_pylist(refunds)
    users = {one["user_id"]: {"orders": [one], "refunds": refunds} for one in orders}
    assert disagreeing(rules, users, tables)[0] == []
    held = {u: r["t"] for u, r in told(tag(tables, rules, as_of=AS_OF)).items()}
    assert held == {"ua": "x", "ub": "x", "uNone": "x", "uc": "none"}


@pytest.mark.parametrize("ids", [(10, 9), (0, 3), (7, None), ("", "0")])
def test_ids_that_are_numbers_break_ties_as_texts_do(ids):
    rules = rules_of(
        Tag("late", [Value("x", last("orders", "paid_fen") >= 150)]),
        Tag("early", [Value("x", first("orders", "paid_fen") >= 150)]),
    )
    rows = [order(5, fen, order_id=one, user_id="u")
            for one, fen in zip(ids, (100, 200), strict=True)]  # fmt: skip
    tables = {"orders": pa.Table.from_pylist(rows)}
    assert disagreeing(rules, {"u": {"orders": rows}}, tables)[0] == []
    texts = [row | {"order_id": "" if i is None else str(i)}
             for row, i in zip(rows, ids, strict=True)]  # fmt: skip
    want = told(tag({"orders": pa.Table.from_pylist(texts)}, rules, as_of=AS_OF))
    assert told(tag(tables, rules, as_of=AS_OF)) == want


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


def test_metrics_stand_beside_the_tags():
    data = tables_of(orders=[order(), order(40)])
    data |= tables_of(events=[event("x")])
    found = told(metrics(data, both(), as_of=DAY))
    assert found["u"]["frequency__count_orders_90d"] == 2
    assert found["u"]["behaviour__count_orders_30d"] == 1


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
