"""Tags that rest on tags, and values that exclude each other."""

from datetime import date

import pytest

from growth.errors import DataError
from growth.segments import (
    Tag,
    Value,
    count,
    rule,
    rules_of,
    tag,
    tag_in,
    total,
)
from tests.segments.made import order, tables_of, told

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
