"""Tags that rest on tags, and values that exclude each other."""

import gc
import weakref
from datetime import date

import pytest

from growth.errors import DataError
from growth.segments import (
    Tag,
    Value,
    count,
    overdue,
    packs,
    recency_days,
    rfm,
    rule,
    rules_of,
    tag,
    tag_in,
    total,
    without,
)
from growth.segments.tables.plan import Plan
from tests.segments.made import event, order, tables_of, told

DAY = date(2026, 3, 10)


def test_a_chain_of_tags_is_answered_in_order():
    chain = [Tag("t0", [Value("x", count("orders") >= 1)])]
    chain += [Tag(f"t{i}", [Value("x", tag_in(f"t{i - 1}", "x"))]) for i in range(1, 6)]
    rules = rules_of(*reversed(chain))
    found = told(tag(tables_of(orders=[order()]), rules, as_of=DAY))
    assert {found["u"][name] for name in rules.names} == {"x"}


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


def test_a_plan_that_is_done_lets_go_of_what_it_read():
    own = [recency_days("orders") < 9, rfm("r") >= 3, overdue(),
           without("a", "b", within=3, last=30)]  # fmt: skip
    rules = rules_of(
        packs.rules("lifecycle", "rfm", "frequency"),
        *(Tag(f"own{i}", [Value("x", when)]) for i, when in enumerate(own)),
    )
    data = tables_of(orders=[order(k) for k in range(4)], events=[event("a", 2.0)])
    gc.collect()
    gc.disable()
    try:
        made = Plan(data, rules, DAY, None, "user_id")
        table = made.tagged()
        there = weakref.ref(made)
        del made
        assert there() is None  # not held by itself until somebody looks
    finally:
        gc.enable()
    assert set(told(table)) == {"u"}
