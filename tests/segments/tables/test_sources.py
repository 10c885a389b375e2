"""Which tables, columns and rows are read, and what is said of missing ones."""

from datetime import date, timedelta

import pandas as pd
import pyarrow as pa
import pytest

from growth import engine
from growth.errors import ColumnNotFoundError, DataError
from growth.segments import (
    Tag,
    Value,
    count,
    rules_of,
    tag,
    total,
)
from tests.segments.made import NOON, order, tables_of, told

DAY = date(2026, 3, 10)


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
