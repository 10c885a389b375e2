import math
from hashlib import sha256

import ibis
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from growth.engine import (
    bit_or,
    first_by,
    ordered_collect,
    quantile_disc,
    shift,
    stable_bucket,
    stable_bucket_of,
    stable_label,
    stable_sum,
)
from growth.errors import ParameterError
from growth.stats.hashing import place


def memtable(**columns):
    return ibis.memtable(pa.table(columns))


def column_of(table, **expression):
    return table.select(**expression).to_pyarrow()[next(iter(expression))]


def test_a_bit_is_shifted_in_64_bits():
    table = memtable(n=pa.array([0, 31, 32, 45, 62, 63, -1, None], pa.int64()))
    found = column_of(table, x=shift(table.n))
    assert found.to_pylist() == [1, 2**31, 2**32, 2**45, 2**62, None, None, None]
    assert found.type == pa.int64()
    for bit in (0, 31, 32, 45, 62):
        assert column_of(table, x=shift(bit))[0].as_py() == 2**bit
    for bit in (-1, 63):
        with pytest.raises(ParameterError, match=rf"bit is {bit}; it must be in 0..62"):
            shift(bit)


def test_or_skips_null_and_is_null_without_a_value():
    table = memtable(
        g=["a", "a", "a", "b"], x=pa.array([1, None, 2**62, None], pa.int64())
    )
    found = table.group_by("g").agg(x=bit_or(table.x)).order_by("g").to_pyarrow()
    assert found["x"].to_pylist() == [2**62 + 1, None]


@pytest.mark.parametrize(
    ("unit", "n", "salt"), [("u1", 100, "aa"), ("用户", 7, ""), (42, 2**60, "层")]
)
def test_a_bucket_is_the_same_in_python_in_sql_and_by_definition(unit, n, salt):
    digest = sha256(f"{salt}:{unit}".encode()).hexdigest()
    expected = int(digest[:15], 16) % n
    assert stable_bucket_of(unit, n, salt) == expected
    table = memtable(unit=[unit, None])
    found = column_of(table, b=stable_bucket(table.unit, n, salt))
    assert found.to_pylist() == [expected, None]
    assert found.type == pa.int64()


def test_buckets_are_even_and_salts_independent():
    table = ibis.memtable(pa.table({"unit": range(20_000)}))
    found = table.select(
        a=stable_bucket(table.unit, 10, "one"), b=stable_bucket(table.unit, 10, "two")
    ).to_pyarrow()
    cells = np.zeros((10, 10))
    np.add.at(cells, (found["a"].to_numpy(), found["b"].to_numpy()), 1)
    chi2 = ((cells - 200) ** 2 / 200).sum()
    assert 50 < chi2 < 160  # 99 degrees of freedom: p beyond 1e-4 on either side


def test_a_label_is_the_one_whose_range_holds_the_place_in_python():
    ranges = {"A": (0.0, 0.3), "B": (0.3, 0.45), "C": (0.6, 1.0)}
    units = [f"用户{i}" for i in range(300)]
    table = memtable(unit=[*units, None, ""])
    found = column_of(table, a=stable_label(table.unit, ranges, layer="l", salt="s"))

    def label(unit):
        at = place(unit, salt="s", layer="l")
        return next((a for a, (low, high) in ranges.items() if low <= at < high), None)

    assert found.to_pylist() == [*map(label, units), None, None]
    assert set(found.to_pylist()) == {"A", "B", "C", None}


def test_buckets_have_a_range():
    with pytest.raises(ParameterError, match=r"n is 0; it must be in 1\.\.2\*\*60"):
        stable_bucket_of("u", 0, "s")


def test_rows_are_collected_in_a_total_order_with_null_first():
    table = memtable(
        g=["a"] * 5 + ["b"],
        t=pa.array([2, None, 1, 1, 1, 9], pa.int64()),
        e=["x", "y", "z", None, "y", "only"],
    )
    found = (
        table.group_by("g")
        .agg(rows=ordered_collect(t=table.t, e=table.e))
        .order_by("g")
        .to_pyarrow()["rows"]
        .to_pylist()
    )
    assert found == [
        [
            {"t": None, "e": "y"},
            {"t": 1, "e": None},
            {"t": 1, "e": "y"},
            {"t": 1, "e": "z"},
            {"t": 2, "e": "x"},
        ],
        [{"t": 9, "e": "only"}],
    ]


def test_the_first_row_hangs_on_no_chance():
    table = memtable(
        g=["a", "a", "a", "b", "b", "c", "d"],
        t=pa.array([1, 1, 0, 5, 5, None, 3], pa.int64()),
        id=pa.array([2, 1, None, 3, 3, 1, 1], pa.int64()),
        v=["late", "first", "unordered", "y", "x", "never", None],
    )
    found = (
        table.group_by("g").agg(v=first_by(table.v, table.t, table.id)).order_by("g")
    )
    assert found.to_pyarrow()["v"].to_pylist() == ["first", "x", None, None]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.none() | st.integers(-5, 5), min_size=1, max_size=30),
    st.sampled_from([0, 0.05, 0.1, 0.3, 0.5, 0.9, 0.95, 1]),
)
def test_a_quantile_is_a_member_of_the_data(values, p):
    table = memtable(x=pa.array(values, pa.int64()))
    found = quantile_disc(table, "x", {"q": p}).to_pyarrow()
    known = sorted(value for value in values if value is not None)
    assert found.schema.field("q").type == pa.int64()
    n = len(known)
    expected = [next(x for i, x in enumerate(known, 1) if i / n >= p)] if n else []
    assert found["q"].to_pylist() == expected


def test_quantiles_by_group_skip_nan():
    table = memtable(g=["a", "a", "a", "b", "c"], x=[1.0, 3.0, np.nan, 7.0, None])
    found = quantile_disc(table, "x", {"low": 0.5, "high": 0.51}, by=["g"])
    rows = sorted(found.to_pyarrow().to_pylist(), key=lambda row: row["g"])
    assert rows == [
        {"g": "a", "low": 1.0, "high": 3.0},
        {"g": "b", "low": 7.0, "high": 7.0},
    ]


@pytest.mark.parametrize("ps", [{}, {"p95": 95}])
def test_shares_are_within_0_and_1(ps):
    with pytest.raises(ParameterError, match=r"ps is .*; it must hold shares in"):
        quantile_disc(memtable(x=[1]), "x", ps)


# Canaries: each fault of the engine that a function here goes round is still there.


def test_canary_a_zoned_cast_gives_the_utc_day():
    table = memtable(ts=pa.array([1_780_243_200_000_000], pa.timestamp("us")))
    day = column_of(table, d=table.ts.cast("timestamp('Asia/Shanghai')").date())[0]
    assert str(day) == "2026-05-31", "mended: it is 2026-06-01 in Shanghai"


def test_canary_epoch_seconds_are_a_double_that_is_called_an_integer():
    table = memtable(ts=pa.array([1_500_000], pa.timestamp("us")))
    seconds = table.ts.epoch_seconds()
    assert seconds.type().is_integer()
    sql = ibis.to_sql(table.select(s=seconds.cast(seconds.type())))
    assert "CAST(EPOCH" not in sql, "mended: the cast to its own type is kept"
    found = ibis.duckdb.connect().con.execute("SELECT epoch('1970-01-01'::TIMESTAMP)")
    assert isinstance(found.fetchone()[0], float), "mended: it is an integer"


def test_canary_floor_division_leaves_the_integers():
    day = 86_400_000_000
    table = memtable(x=[day * 150_000 - 1])
    assert column_of(table, q=table.x // day)[0].as_py() == 150_000, (
        "mended: // of Ibis no longer goes through a double; floor_divide may use it"
    )


def test_canary_remainders_below_zero_are_truncated():
    table = memtable(x=[-1])
    assert column_of(table, r=table.x % 7)[0].as_py() == -1, "mended: % is as in Python"


def test_canary_quantiles_of_ibis_interpolate():
    table = memtable(x=[1, 2])
    assert table.x.quantile(0.5).to_pyarrow().as_py() == 1.5, "mended"


def test_canary_a_null_field_sorts_last_in_a_struct_on_duckdb():
    table = memtable(x=pa.array([1, None], pa.int64()))
    found = table.agg(r=ibis.struct({"x": table.x}).collect().sort()).to_pyarrow()
    assert found["r"].to_pylist() == [[{"x": 1}, {"x": None}]], "mended: NULL first"


def test_canary_a_window_with_an_order_and_no_frame_is_the_whole_partition():
    table = memtable(x=[1, 2, 3])
    whole = table.x.sum().over(order_by=table.x)
    assert column_of(table, s=whole).to_pylist() == [6, 6, 6], "mended: it is running"
    running = table.x.sum().over(ibis.window(order_by=table.x, rows=(None, 0)))
    assert sorted(column_of(table, s=running).to_pylist()) == [1, 3, 6]


def test_canary_a_difference_in_seconds_counts_boundaries():
    us = pa.timestamp("us")
    table = memtable(a=pa.array([1_000_000], us), b=pa.array([999_999], us))
    found = column_of(table, d=table.a.delta(table.b, unit="second"))
    assert found[0].as_py() == 1, "mended: a microsecond is 0 elapsed seconds"


def test_canary_the_pins_hold_for_creating_tables_and_streams():
    connection = ibis.duckdb.connect()
    made = connection.create_table("t", pa.table({"x": [1]}))  # sqlglot < 30.18
    assert made.count().to_pyarrow().as_py() == 1
    assert hasattr(connection.con, "fetch_record_batch")  # duckdb < 2


number = st.floats(allow_nan=False, allow_infinity=False, width=64)


@given(st.lists(st.none() | number, max_size=20), st.randoms(use_true_random=False))
def test_a_sum_does_not_hang_on_the_order_of_its_rows(values, random):
    values = [x if x is None or abs(x) < 1e18 else x % 1e15 for x in values]
    shuffled = random.sample(values, len(values))
    one, two = (
        column_of(t.aggregate(s=stable_sum(t.x)), s=ibis._.s)[0].as_py()
        for t in (memtable(x=pa.array(v, pa.float64())) for v in (values, shuffled))
    )
    assert one == two
    known = [x for x in values if x is not None]
    if not known:
        assert one is None
        return
    most = sum(map(abs, known))
    assert one == pytest.approx(
        math.fsum(known), abs=len(known) * 2**-53 + most * 2**-51
    )


def test_threads_that_meet_rows_in_any_order_give_one_sum():
    x = np.random.default_rng(1).lognormal(3, 2, 400_000)
    table = memtable(g=np.arange(len(x)) % 3, x=x)
    asked = table.group_by("g").aggregate(s=stable_sum(table.x)).order_by("g")
    found = {tuple(asked.to_pyarrow()["s"].to_pylist()) for _ in range(12)}
    assert len(found) == 1
    exact = [math.fsum(x[i::3]) for i in range(3)]
    assert found.pop() == pytest.approx(exact, rel=1e-15)


def test_a_sum_keeps_what_no_whole_number_holds():
    inf, nan = float("inf"), float("nan")
    for values, expected in (
        ([1e300, -1e300, 2.5], 2.5),
        ([inf, 1.0], inf),
        ([-inf, 1.0], -inf),
        ([1e18, 0.5, None], 1e18),
        ([2.0**-53 * 3, 0.0], 2.0**-51),  # to the next multiple of 2**-52
        ([0.1, 0.2, 0.3], 0.6),
    ):
        table = memtable(x=pa.array(values, pa.float64()))
        found = column_of(table.aggregate(s=stable_sum(table.x)), s=ibis._.s)
        assert found[0].as_py() == pytest.approx(expected, rel=1e-15), values
    table = memtable(x=[nan, 1.0])
    found = column_of(table.aggregate(s=stable_sum(table.x)), s=ibis._.s)
    assert math.isnan(found[0].as_py())


def test_a_sum_of_some_rows_and_of_whole_numbers():
    table = memtable(x=[1.5, 2.5, 4.0], n=[1, 2, 2**62], k=[True, False, True])
    asked = table.aggregate(
        some=stable_sum(table.x, where=table.k),
        none=stable_sum(table.x, where=table.n < 0),
        whole=stable_sum(table.n),
    )
    assert asked.to_pyarrow().to_pylist() == [
        {"some": 5.5, "none": None, "whole": 2**62 + 3}
    ]
