"""The same questions on Spark: every answer must be DuckDB's."""

import json
import os
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import ibis
import numpy as np
import pyarrow as pa
import pytest
from ibis import _

from growth import engine
from growth.engine.days import EPOCH, offsets
from growth.engine.dialect import floor_divide
from growth.errors import DataError, ParameterError

pytestmark = pytest.mark.spark


@pytest.fixture
def both(spark):
    """Return a function from Arrow rows to the same table on both engines."""

    def make(**columns):
        rows = pa.table(columns)
        return engine.as_table(rows), engine.as_table(rows, connection=spark)

    return make


def told(table):
    """Return rows, in an order of their own."""
    return sorted(engine.fetch(table).to_pylist(), key=repr)


def same(tables, ask):
    duck, spark = (told(ask(table)) for table in tables)
    assert spark == duck
    return duck


def test_the_session_is_in_utc(spark, spark_session):
    assert spark.name == "pyspark"
    assert spark_session.conf.get("spark.sql.session.timeZone") == "UTC"
    assert os.environ["PYSPARK_PYTHON"] == sys.executable
    assert engine.connect(spark) is spark


def test_integers_with_null_reach_spark_whole(both):
    rows = same(both(x=pa.array([1, None, 2**60], pa.int64())), lambda t: t)
    assert {row["x"] for row in rows} == {1, None, 2**60}


def test_canary_ibis_loses_integers_with_null_on_the_way_to_spark(spark):
    lost = ibis.memtable(pa.table({"x": pa.array([1, None], pa.int64())}))
    found = spark.to_pyarrow(lost)["x"].to_pylist()
    assert found == [None, None], "mended: as_table need not go round Ibis"


@pytest.mark.parametrize("zoned", [None, "UTC"])
def test_instants_and_days_are_the_same(both, zoned):
    starts, _held = offsets("America/New_York")
    edges = [start + step for start in starts[::20] for step in (-1, 0)]
    edges += [-1, 0, -62_000_000_000_000_001, 253_000_000_000_999_999, None]
    tables = both(ts=pa.array(edges, pa.timestamp("us", zoned)))
    rows = same(
        tables,
        lambda t: t.select(
            us=engine.epoch_us(t.ts),
            east=engine.local_day(t.ts, "Asia/Shanghai"),
            west=engine.local_day(t.ts, "America/New_York"),
            date=engine.local_date(t.ts, "Asia/Shanghai").cast("string"),
        ),
    )
    assert {row["us"] for row in rows} == set(edges)


def test_a_date_is_its_own_day(both):
    days = [date(1969, 12, 31), date(2026, 3, 1), None]
    rows = same(
        both(d=pa.array(days, pa.date32())),
        lambda t: t.select(day=engine.local_day(t.d), us=engine.epoch_us(t.d)),
    )
    assert {row["day"] for row in rows} == {-1, 20513, None}


def test_integers_divide_and_shift_alike(both):
    numbers = [-8, -7, -1, 0, 6, 7, 31, 32, 45, 62, 63, None]
    tables = both(x=pa.array(numbers, pa.int64()))
    same(tables, lambda t: t.select(q=floor_divide(t.x, 7), s=engine.shift(t.x)))
    for bit in (0, 31, 32, 45, 62):
        rows = same(tables, lambda t, bit=bit: t.select(s=engine.shift(bit)).limit(1))
        assert rows == [{"s": 2**bit}]


def test_sums_are_alike(both):
    tables = both(g=list("aabc"), x=pa.array([0.25, 1e17, None, 1.5]), n=[1, 2, 3, 4])
    rows = same(
        tables,
        lambda t: t.group_by("g").agg(
            x=engine.stable_sum(t.x),
            n=engine.stable_sum(t.n),
            some=engine.stable_sum(t.x, where=t.x < 1),
        ),
    )
    assert rows[0] == {"g": "a", "x": 1e17 + 0.25, "n": 3, "some": 0.25}
    assert [row["x"] for row in rows[1:]] == [None, 1.5]


def test_bits_are_or_ed_alike(both):
    tables = both(g=list("aab"), x=pa.array([1, 2**62, None], pa.int64()))
    rows = same(tables, lambda t: t.group_by("g").agg(x=engine.bit_or(t.x)))
    assert rows == [{"g": "a", "x": 2**62 + 1}, {"g": "b", "x": None}]


def test_buckets_are_alike(both):
    tables = both(u=["u1", "用户", "", None])
    rows = same(
        tables,
        lambda t: t.select(
            "u",
            b=engine.stable_bucket(t.u, 1000, "层"),
            w=engine.stable_bucket(t.u, 2**60, ""),
            a=engine.stable_label(
                t.u, {"A": (0.0, 0.5), "B": (0.5, 0.9)}, layer="l", salt="s"
            ),
            arm=engine.stable_label(
                t.u, {"A": (0, 0.3), "B": (0.5, 0.9)}, layer="层", salt="s"
            ),
        ),
    )
    assert all(
        row["b"]
        == (
            row["u"]
            if row["u"] is None
            else engine.stable_bucket_of(row["u"], 1000, "层")
        )
        for row in rows
    )


def test_collected_rows_and_first_rows_are_alike(both):
    tables = both(
        g=list("aaaaabbc"),
        t=pa.array([2, None, 1, 1, 1, 5, 5, None], pa.int64()),
        e=["x", "y", "z", None, "y", "q", "p", "never"],
    )
    same(
        tables,
        lambda t: t.group_by("g").agg(rows=engine.ordered_collect(t=t.t, e=t.e)),
    )
    rows = same(tables, lambda t: t.group_by("g").agg(v=engine.first_by(t.e, t.t)))
    assert [row["v"] for row in rows] == [None, "p", None]


def test_quantiles_are_alike(both):
    tables = both(g=list("aaabbc"), x=pa.array([3, 1, 2, 5, 7, None], pa.int64()))
    ps = {"p0": 0.0, "p50": 0.5, "p90": 0.9}
    same(tables, lambda t: engine.quantile_disc(t, "x", ps, by=["g"]))


def test_filters_are_alike(both):
    rows = {
        "n": pa.array([1, 2, None, -1], pa.int64()),
        "x": pa.array([0.5, float("nan"), None, -1.0]),
        "s": ["a", None, "中", ""],
        "f": [True, False, None, True],
        "d": pa.array([date(2026, 3, 1), None, date(2026, 3, 2), date(2026, 2, 28)]),
        "at": pa.array(
            [EPOCH, None, datetime(2026, 3, 1, tzinfo=UTC), EPOCH - timedelta(days=1)],
            pa.timestamp("us", "UTC"),
        ),
    }
    records = pa.table(rows).to_pylist()
    tables = [
        t.mutate(i=i) for t, i in zip(both(i=range(4), **rows), (_.i, _.i), strict=True)
    ]
    for data in (
        {"col": "n", "ge": 1},
        {"not": {"col": "n", "in": [1, 5]}},
        {"col": "x", "lt": 1},
        {"col": "s", "eq": "中"},
        {"col": "f", "is": False},
        {"col": "d", "between": [date(2026, 3, 1), date(2026, 3, 2)]},
        {"col": "at", "ge": EPOCH},
        {"any": [{"col": "s", "known": False}, {"col": "n", "lt": 0}]},
    ):
        where = engine.parse_where(data)
        found = same(tables, lambda t, w=where: t.select("i", ok=w.to_ibis(t)))
        expected = [where.matches(record) for record in records]
        assert [row["ok"] for row in sorted(found, key=lambda r: r["i"])] == expected


def alike(tables, rel=1e-9, **kwargs):
    duck, spark = (engine.moments(table, **kwargs) for table in tables)
    assert [c[:3] for c in spark] == [c[:3] for c in duck]
    for left, right in zip(spark, duck, strict=True):
        assert left.nan == right.nan
        for columns, expected in right.moments.items():
            found = left.moments[columns]
            assert found.n == expected.n
            assert found.mean == pytest.approx(expected.mean, rel=rel, abs=1e-12)
            assert found.comoment == pytest.approx(expected.comoment, rel=rel, abs=1e-9)
            assert found.minimum.tolist() == expected.minimum.tolist()
            assert found.maximum.tolist() == expected.maximum.tolist()
            assert found.nonzero.tolist() == expected.nonzero.tolist()
    return spark


def test_moments_are_alike_nulls_and_nan_and_all(both):
    tables = both(
        arm=["A", "A", "B", "B", None, "A"],
        seg=["x", None, "x", "y", "y", "x"],
        a=pa.array([1.0, float("nan"), 3.0, None, 5.0, 2.0]),
        fen=pa.array([2**53, 1, None, 4, 1, -(2**53)], pa.int64()),
        ok=[True, False, None, True, True, False],
    )
    alike(
        tables,
        values=[("a",), ("fen",), ("a", "fen", "ok")],
        by=[(), ("arm",), ("arm", "seg"), ("seg",)],
    )
    alike(tables, values=["fen"], by=[(), ("seg",)], unit_col="arm")


def test_moments_keep_their_digits_on_spark(both):
    golden = Path(__file__).parent.parent / "golden" / "abtest.json"
    cases = json.loads(golden.read_text("utf-8"))["cases"]
    case = next(c for c in cases if c["id"] == "numacc4")
    values = [case["input"]["first"], *case["input"]["then_500_times"] * 500]
    (cell,) = alike(both(x=values), rel=1e-8, values=["x"])
    found = cell.moments["x",]
    assert np.sqrt(found.cov[0, 0]) == pytest.approx(0.1, rel=1e-8)
    noise = np.random.default_rng(7).normal(size=5000)
    (plain,) = alike(both(x=noise), values=["x"])
    (moved,) = alike(both(x=noise + 1e9), rel=1e-6, values=["x"])
    assert moved.moments["x",].comoment == pytest.approx(
        plain.moments["x",].comoment, rel=1e-5
    )


def test_infinity_is_refused_on_spark_too(both):
    _duck, spark = both(x=[1.0, float("inf")])
    with pytest.raises(DataError, match="'x' is infinite in 1 rows"):
        engine.moments(spark, values=["x"])


def test_units_are_counted_alike(both):
    tables = both(u=[1, 1, 1, 2, 3, 3], arm=list("ABCAAA"))
    duck, spark = (
        engine.count_units(table, unit_col="u", group_col="arm") for table in tables
    )
    assert spark == duck == ({"A": 2, "B": 0, "C": 0}, 1)


def test_a_stream_and_an_aggregate_give_every_row(both):
    _duck, spark = both(a=range(1000), b=[None, 1] * 500)
    batches = list(engine.scan(spark, columns=["b", "a"], batch_rows=300))
    assert max(batch.num_rows for batch in batches) <= 300
    whole = pa.Table.from_batches(batches)
    assert sorted(whole["a"].to_pylist()) == list(range(1000))
    assert whole["b"].null_count == 500
    found = engine.aggregate(spark, by=["b"], measures={"n": _.count()})
    assert found.to_pydict() == {"b": [1, None], "n": [500, 500]}


def test_files_and_frames_are_read(spark, spark_session, tmp_path):
    import pyarrow.parquet as pq

    folder = tmp_path / "events" / "ds=2026-03-01"
    folder.mkdir(parents=True)
    pq.write_table(pa.table({"user_id": ["u1", "u2"]}), folder / "part.parquet")
    table = engine.as_table(tmp_path / "events", connection=spark)
    assert set(table.columns) == {"user_id", "ds"}
    assert table.count().execute() == 2
    frame = spark_session.createDataFrame(pa.table({"x": [1, 2, 3]}))
    assert engine.as_table(frame).x.sum().execute() == 6


def counted(shift):
    """Return kernels that a worker can be sent: they are of no module."""

    def pairs(keys, fen, share, _shift=shift):
        users, firsts = np.unique(keys >> _shift, return_index=True)
        ends = np.append(firsts[1:], keys.size)[: users.size]
        worth = np.array([fen[a:b].sum() for a, b in zip(firsts, ends, strict=True)])
        last = share[np.maximum(ends - 1, 0)] if keys.size else share
        return users, worth.astype(np.int64), last, ends - firsts

    def whole(keys, fen, _share):
        return np.array([np.unique(keys >> shift).size, keys.size, fen.sum()])

    def mark(users, days, bits, ones):
        np.bitwise_or.at(bits[:, 0], users, np.int64(1) << days)
        np.add.at(ones[:, 0], users, 1)

    def each(bits, ones):
        users = np.flatnonzero(ones[:, 0])
        return users, bits[users, 0], ones[users, 0]

    return pairs, whole, mark, each


@pytest.mark.parametrize("user_col", ["user_id", "user_idx"])
@pytest.mark.parametrize("shards", [None, 7])
def test_kernels_over_users_are_alike(both, user_col, shards):
    rng = np.random.default_rng(4)
    n = 2000
    who = rng.integers(0, 60, n)
    day = rng.integers(0, 40, n)
    tables = both(
        user_idx=pa.array(
            [None if i == 7 else w for i, w in enumerate(who)], pa.int32()
        ),
        user_id=[None if i == 7 else f"用户{w}" for i, w in enumerate(who)],
        ts=pa.array(
            [
                None if i == 9 else EPOCH + timedelta(days=int(d))
                for i, d in enumerate(day)
            ],
            pa.timestamp("us", "UTC"),
        ),
        day=pa.array(
            [None if i % 50 == 0 else d for i, d in enumerate(day)], pa.int8()
        ),
        fen=rng.integers(0, 900, n),
        share=rng.random(n),
    )
    key = [
        engine.KeyPart("ts", "ts", EPOCH, EPOCH + timedelta(days=40), step=1000),
        engine.KeyPart("day", _.day, 0, 40),
    ]
    pairs, whole, mark, each = counted(engine.key_shifts(key)[-1])
    payload = {"fen": "fen", "share": "share"}
    asked = {"user_col": user_col, "key": key, "payload": payload, "shards": shards}
    duck, spark = (engine.map_by_user(t, kernel=whole, **asked) for t in tables)
    assert spark.values[0].tolist() == duck.values[0].tolist()
    assert spark[2:4] == duck[2:4] == (n, {user_col: 1, "ts": 1})
    assert spark.parts <= (shards or 1)
    folded = {
        "columns": {"day": "day"},
        "state": {"bits": ("int64", 1), "n": ("int64", 1)},
    }
    for duck, spark in (
        [engine.map_by_user(t, kernel=pairs, out="rows", **asked) for t in tables],
        [
            engine.fold_by_user(
                t, kernel=mark, finish=each, out="rows", user_col=user_col, **folded
            )
            for t in tables
        ],
    ):
        assert spark.users.to_pylist() == duck.users.to_pylist()
        for left, right in zip(spark.values, duck.values, strict=True):
            assert left.tolist() == right.tolist()
    duck, spark = (
        engine.map_by_user(t.filter(t.fen < 0), kernel=whole, **asked) for t in tables
    )
    assert spark.values[0].tolist() == duck.values[0].tolist() == [0, 0, 0]


def test_a_key_too_wide_or_out_of_bounds_is_told_by_spark_too(both):
    _duck, spark = both(user_id=["a", "b", "c"], code=[0, 1, 2])
    for high, code in ((1, "key_range"), (2**62 - 1, "key_too_wide")):
        key = [engine.KeyPart("code", "code", 0, high)]
        with pytest.raises(ParameterError, match="'code'") as info:
            engine.map_by_user(spark, key=key, kernel=lambda keys: (keys,))
        assert info.value.code == code


@pytest.fixture
def few(both):
    us = pa.timestamp("us", "UTC")
    return both(ts=pa.array([0, 1, 2], us), g=list("aab"), x=[1, 2, 3])[1]


def values(table, **columns):
    return engine.fetch(table.select(**columns)).to_pydict()


def test_canary_spark_gives_the_utc_hour_and_day_of_a_zoned_type(few):
    shanghai = few.ts.cast("timestamp('Asia/Shanghai')")
    found = values(few, h=shanghai.hour(), day=shanghai.date().cast("string"))
    assert found["h"] == [0, 0, 0], "mended: it is 8 o'clock in Shanghai"
    assert found["day"] == ["1970-01-01"] * 3


def test_canary_spark_shifts_a_literal_in_32_bits(few):
    wrong = ibis.literal(1, "int64") << 45
    assert values(few, s=wrong)["s"] == [8192] * 3, "mended: shift needs no cast"


def test_canary_spark_hashes_otherwise(few):
    found = values(few, h=few.g.hash(), b=engine.stable_bucket(few.g, 10**9, ""))
    assert all(abs(h) < 2**31 for h in found["h"]), "mended: 64 bits, as on DuckDB"
    assert found["b"] == [engine.stable_bucket_of(g, 10**9, "") for g in "aab"]


@pytest.mark.parametrize(
    "refused",
    [
        lambda t: t.aggregate(n=t.x.bit_or()),
        lambda t: t.aggregate(n=t.x.mode()),
        lambda t: t.asof_join(t.view(), on="ts").select("x"),
        lambda t: t.aggregate(xs=t.x.collect(order_by=t.x)),
        lambda t: t.aggregate(x=t.x.first(order_by=t.x)),
        lambda t: t.sample(0.5, seed=1),
        lambda t: t.select(b=t.ts.bucket(hours=6)),
        lambda t: t.select(us=t.ts.microsecond()),
    ],
    ids=["bit_or", "mode", "asof", "collect", "first", "sample", "bucket", "micros"],
)
def test_canary_spark_refuses(few, refused):
    with pytest.raises(ParameterError, match="cannot be done by this engine") as info:
        engine.fetch(refused(few))
    assert info.value.code == "unsupported_on_engine", "mended: DuckDB's way will do"


def test_canary_spark_counts_no_distinct_values_over_a_window(few):
    over = few.x.nunique().over(ibis.window(group_by="g"))
    with pytest.raises(DataError, match="DISTINCT_WINDOW_FUNCTION_UNSUPPORTED"):
        values(few, n=over)


def test_spark_fails_where_numbers_end_and_the_ways_round_are_alike(few):
    for wrong, said in (
        (few.x / (few.x - 1), "DIVIDE_BY_ZERO"),
        (few.x * ibis.literal(2**62), "ARITHMETIC_OVERFLOW"),
        (few.g.cast("int64"), "CAST_INVALID_INPUT"),
    ):
        with pytest.raises(DataError, match=said):
            values(few, x=wrong)
    found = values(few, q=few.x / (few.x - 1).nullif(0), n=few.g.try_cast("int64"))
    assert found == {"q": [None, 2.0, 1.5], "n": [None] * 3}


def test_users_are_in_the_same_part_on_both(both):
    tables = both(i=[0, 1, 6, 7, None], t=["a", "用户", "", None, "b"])
    rows = same(
        tables,
        lambda t: t.select(
            i=engine.shard_by_user(t.i, 7), t=engine.shard_by_user(t.t, 7)
        ),
    )
    assert len(rows) == 5


def test_another_session_zone_is_set_to_utc(spark_session):
    other = spark_session.newSession()
    other.conf.set("spark.sql.session.timeZone", "Asia/Shanghai")
    engine.connect(other)
    assert other.conf.get("spark.sql.session.timeZone") == "UTC"
