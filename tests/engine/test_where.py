import json
import tomllib
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import ibis
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from growth.engine import Where, parse_where
from growth.errors import ColumnNotFoundError, ParameterError

SHANGHAI = timezone(timedelta(hours=8))
T0 = datetime(2026, 3, 1, tzinfo=UTC)
DRAWN = {
    "text": st.sampled_from(["", "a", "b", "Ä", "中", "z'"]),
    "count": st.integers(-3, 3),
    "share": st.sampled_from([-1.5, -0.0, 0.0, 0.5, 1.0, 2.0]),
    "flag": st.booleans(),
    "day": st.dates(date(2026, 2, 27), date(2026, 3, 2)),
    "at": st.integers(-2, 2).map(lambda us: T0 + timedelta(microseconds=us)),
    "money": st.sampled_from([Decimal("0.10"), Decimal("0.20"), Decimal("-1.00")]),
}
KINDS = {
    "text": pa.string(),
    "count": pa.int64(),
    "share": pa.float64(),
    "flag": pa.bool_(),
    "day": pa.date32(),
    "at": pa.timestamp("us", "UTC"),
    "money": pa.decimal128(8, 2),
}


def value_for(column):
    if column == "money":  # TOML has no decimals
        return st.sampled_from([0.1, 0.2, -1, 0])
    if column == "count":
        return st.one_of(DRAWN["count"], st.sampled_from([0.5, -1.0]))
    if column == "at":
        return DRAWN["at"].map(lambda moment: moment.astimezone(SHANGHAI))
    if column == "share":
        return st.one_of(DRAWN["share"], st.integers(-1, 2))
    return DRAWN[column]


@st.composite
def condition(draw):
    column = draw(st.sampled_from(list(KINDS)))
    ordered = () if column == "flag" else ("lt", "le", "gt", "ge", "between")
    extra = ("is",) if column == "flag" else ()
    op = draw(st.sampled_from(["eq", "ne", "in", "known", *ordered, *extra]))
    value = value_for(column)
    if op in ("known", "is"):
        return {"col": column, op: draw(st.booleans())}
    if op == "in":
        return {"col": column, op: draw(st.lists(value, min_size=1, max_size=3))}
    if op == "between":
        return {"col": column, op: [draw(value), draw(value)]}
    return {"col": column, op: draw(value)}


filters = st.recursive(
    condition(),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.builds(lambda parts: {"all": parts}, st.lists(inner, max_size=3)),
        st.builds(
            lambda parts: {"any": parts}, st.lists(inner, min_size=1, max_size=3)
        ),
        st.builds(lambda part: {"not": part}, inner),
    ),
    max_leaves=6,
)
records = st.fixed_dictionaries(
    {name: st.none() | values for name, values in DRAWN.items()}
)


@settings(max_examples=120, deadline=None)
@given(filters, st.lists(records, min_size=1, max_size=8), st.booleans())
def test_an_engine_and_python_agree_on_every_row(data, rows, naive):
    kinds = KINDS | ({"at": pa.timestamp("us")} if naive else {})
    if naive:
        rows = [r | {"at": r["at"] and r["at"].replace(tzinfo=None)} for r in rows]
    table = ibis.memtable(pa.Table.from_pylist(rows, schema=pa.schema(kinds)))
    where = parse_where(data, columns=KINDS)
    shown = table.select(found=where.to_ibis(table)).to_pyarrow()["found"].to_pylist()
    assert shown == [where.matches(row) for row in rows]


@settings(max_examples=60, deadline=None)
@given(filters, records)
def test_negation_follows_kleene_and_de_morgan(data, record):
    where = parse_where(data)
    found = where.matches(record)
    negated = parse_where({"not": data}).matches(record)
    assert negated == (None if found is None else not found)
    assert parse_where({"not": {"not": data}}).matches(record) == found
    both = parse_where({"not": {"all": [data, {"col": "flag", "is": True}]}})
    either = parse_where({"any": [{"not": data}, {"not": {"col": "flag", "is": True}}]})
    assert both.matches(record) == either.matches(record)


@settings(max_examples=60, deadline=None)
@given(filters)
def test_the_written_form_round_trips(data):
    where = parse_where(data)
    again = parse_where(where.to_data())
    assert again == where
    assert hash(again) == hash(where)


def test_toml_and_json_say_the_same():
    toml = tomllib.loads(
        """
        where = [
          {col = "day", ge = 2026-03-01},
          {any = [
            {col = "at", lt = 2026-03-01T08:00:00+08:00},
            {col = "n", in = [1, 2]},
          ]},
        ]
        """
    )["where"]
    text = """[{"col": "day", "ge": "2026-03-01"}, {"any": [
        {"col": "at", "lt": "2026-03-01T08:00:00+08:00"},
        {"col": "n", "in": [1, 2]}]}]"""
    rows = [
        {"day": date(2026, 3, day), "at": T0 + timedelta(hours=h), "n": n}
        for day in (1, 2)
        for h in (-1, 0)
        for n in (2, 3)
    ]
    rows.append({"day": date(2026, 2, 28), "at": T0, "n": 1})
    one, two = parse_where(toml), parse_where(json.loads(text))
    assert [one.matches(r) for r in rows] == [two.matches(r) for r in rows]
    table = ibis.memtable(pa.Table.from_pylist(rows))
    for where in (one, two):
        shown = table.filter(where.to_ibis(table)).count().to_pyarrow().as_py()
        assert shown == sum(where.matches(row) is True for row in rows) == 6
    assert one.columns == ("day", "at", "n")


def test_several_comparisons_of_one_column_must_all_hold():
    where = parse_where({"col": "n", "ge": 1, "lt": 3})
    assert [where.matches({"n": n}) for n in (0, 1, 2, 3)] == [False, True, True, False]


def test_no_condition_lets_all_rows_through():
    for data in (None, [], {"all": []}):
        assert parse_where(data).matches({}) is True
    table = ibis.memtable(pa.table({"x": [1, None]}))
    where = parse_where([])
    assert table.filter(where.to_ibis(table)).count().to_pyarrow().as_py() == 2


def test_nan_is_unknown_on_both_sides():
    table = ibis.memtable(pa.table({"x": [1.0, float("nan"), None]}))
    for data, expected in (
        ({"col": "x", "gt": 0}, [True, None, None]),
        ({"col": "x", "known": False}, [False, True, True]),
    ):
        where = parse_where(data)
        shown = table.select(f=where.to_ibis(table)).to_pyarrow()["f"].to_pylist()
        assert shown == expected
        assert [where.matches({"x": x}) for x in (1.0, float("nan"), None)] == expected


def test_money_may_be_written_in_yuan_on_a_fen_column():
    where = parse_where({"col": "paid_fen", "ge": {"yuan": "199.00"}})
    assert where == Where("ge", "paid_fen", 19900)
    with pytest.raises(ParameterError, match=r"on a column in fen \(\*_fen\)"):
        parse_where({"col": "paid", "ge": {"yuan": "199.00"}})
    with pytest.raises(ParameterError, match="decimal text such as"):
        parse_where({"col": "paid_fen", "ge": {"yuan": "199.001"}})


def test_a_service_may_hold_numpy_scalars():
    where = parse_where({"col": "n", "ge": 2})
    assert where.matches({"n": np.int64(2)}) is True


def test_a_filter_passes_through_parsing():
    where = parse_where({"not": {"col": "x", "eq": 1}})
    assert parse_where(where) == where
    assert parse_where([where, {"col": "y", "is": True}]).columns == ("x", "y")


@pytest.mark.parametrize(
    ("data", "code", "message"),
    [
        (
            "status = 'paid'",
            "where_shape",
            "where is \"status = 'paid'\"; it must",
        ),
        ([1], "where_shape", r"where\[0\] is 1"),
        ({"col": "x", "equals": 1}, "unknown_key", r"where\.equals is unknown"),
        ({"col": "x", "betwen": [1, 2]}, "unknown_key", "Did you mean 'between'"),
        ({"col": "x"}, "missing_key", "without a comparison"),
        ({"eq": 1}, "missing_key", r"where\.col is missing"),
        ({"col": 3, "eq": 1}, "bad_value", r"where\.col is 3"),
        ({"col": "x", "eq": None}, "bad_value", r"where\.eq is None"),
        ({"col": "x", "eq": float("nan")}, "bad_value", r"where\.eq is nan"),
        ({"col": "x", "eq": 2**63}, "bad_value", "it must be text, a number"),
        ({"col": "x", "in": []}, "bad_value", "a list of values"),
        ({"col": "x", "in": "abc"}, "bad_value", "a list of values"),
        ({"col": "x", "between": [1]}, "bad_value", "two values"),
        ({"col": "x", "known": 1}, "bad_value", "true or false"),
        (
            {"col": "x", "lt": datetime(2026, 3, 1)},
            "naive_datetime",
            "Write its offset",
        ),
        ({"any": []}, "where_empty", "Nothing would ever pass"),
        ({"all": {}}, "where_shape", r"where\.all is \{\}"),
        ({"not": [], "col": "x"}, "unknown_key", r"where\.col is unknown"),
    ],
)
def test_a_fault_says_where_and_what(data, code, message):
    with pytest.raises(ParameterError, match=message) as info:
        parse_where(data)
    assert info.value.code == code


def test_all_faults_are_told_at_once_with_suggestions():
    data = [
        {"col": "staus", "eq": "paid"},
        {"any": [{"col": "n", "geq": 1}, {"not": {"col": "day", "in": []}}]},
    ]
    with pytest.raises(ParameterError, match=r"metric\.where: 4 fault\(s\)") as info:
        parse_where(data, columns=["status", "n", "day"], path="metric.where")
    assert [(fault.code, fault.name) for fault in info.value.faults] == [
        ("unknown_column", "metric.where[0].col"),
        ("unknown_key", "metric.where[1].any[0].geq"),
        ("missing_key", "metric.where[1].any[0]"),
        ("bad_value", "metric.where[1].any[1].not.in"),
    ]
    assert "Did you mean 'status'" in info.value.faults[0].hint


def test_nesting_has_an_end():
    data = {"col": "x", "eq": 1}
    for _ in range(60):
        data = {"not": data}
    with pytest.raises(ParameterError, match="over 40 levels deep"):
        parse_where(data)


def test_types_that_do_not_fit_are_all_told():
    table = ibis.memtable(
        pa.table(
            {
                "n": [1],
                "s": ["a"],
                "at": pa.array([T0], pa.timestamp("us", "UTC")),
                "f": [True],
                "l": [[1]],
            }
        )
    )
    data = [
        {"col": "n", "eq": "1"},
        {"col": "s", "in": ["a", 1]},
        {"col": "at", "ge": date(2026, 3, 1)},
        {"col": "f", "lt": True},
        {"col": "l", "eq": 1},
    ]
    with pytest.raises(ParameterError, match=r"5 fault\(s\)") as info:
        parse_where(data).to_ibis(table)
    assert {fault.code for fault in info.value.faults} == {"type_mismatch"}
    with pytest.raises(ParameterError, match="n is text, compared by 'eq' with 1"):
        parse_where({"col": "n", "eq": 1}).matches({"n": "1"})


def test_a_missing_column_is_told_by_both():
    where = parse_where({"col": "staus", "eq": "paid"})
    table = ibis.memtable(pa.table({"status": ["paid"]}))
    with pytest.raises(ColumnNotFoundError, match="Did you mean 'status'"):
        where.to_ibis(table)
    with pytest.raises(ColumnNotFoundError, match="Did you mean 'status'"):
        where.matches({"status": "paid"})


def test_hostile_names_and_values_are_only_that():
    name = 'a"; DROP TABLE x; --'
    table = ibis.memtable(pa.table({name: ["'; DROP TABLE x; --", "b"]}))
    where = parse_where({"col": name, "eq": "'; DROP TABLE x; --"})
    assert table.filter(where.to_ibis(table)).count().to_pyarrow().as_py() == 1
