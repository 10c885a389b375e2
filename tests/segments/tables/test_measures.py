"""One group-by a table, equal questions once."""

from datetime import date

import ibis

from growth.segments import (
    Tag,
    Value,
    count,
    rules_of,
    tag,
)
from tests.segments.made import event, order, tables_of, told

DAY = date(2026, 3, 10)


def test_equal_metrics_are_computed_once_and_each_table_is_scanned_once():
    some = [
        Tag(f"t{i}", [Value("x", count("orders", last=30) >= i + 1)]) for i in range(20)
    ]
    data = tables_of(orders=[order()], events=[event("x")])
    query = tag(data, rules_of(*some), as_of=DAY)
    sql = str(ibis.to_sql(query, dialect="duckdb"))
    assert sql.count("COUNT(*) FILTER") == 1
    assert sql.count("ibis_pyarrow_memtable") == 2


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
