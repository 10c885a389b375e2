"""What engines do silently or refuse, and that the way round is right.

A canary asserts that the fault is still there; it fails, and says so, once the
fault is mended and the way round may go. Those of single functions stand beside
their tests (test_dialect.py, test_scans.py, test_spark.py).
"""

import ibis
import pyarrow as pa
import pytest
from ibis import _

from growth import engine
from growth.engine import dialect
from growth.errors import DataError, ParameterError


@pytest.fixture
def table():
    return ibis.memtable(
        pa.table(
            {
                "ts": pa.array([0, 1, 2], pa.timestamp("us", "UTC")),
                "g": ["a", "a", "b"],
                "x": [1, 2, 3],
                "f": [0.29, 1.0, 2.0],
            }
        )
    )


def values(table, **columns):
    return engine.fetch(table.select(**columns)).to_pydict()


def test_canary_hours_of_a_zoned_type_are_refused(table):
    shanghai = table.ts.cast("timestamp('Asia/Shanghai')")
    with pytest.raises(
        ibis.common.exceptions.UnsupportedOperationError, match="EXTRACT"
    ):
        shanghai.hour().to_pyarrow()
    local_us = engine.epoch_us(table.ts) + 8 * 3_600_000_000
    hours = dialect.floor_divide(local_us, 3_600_000_000) % 24
    assert values(table, h=hours) == {"h": [8, 8, 8]}


def test_canary_a_difference_is_not_comparable_with_an_interval(table):
    hour = ibis.interval(hours=1)
    with pytest.raises(ibis.common.exceptions.IbisTypeError, match="not comparable"):
        _ = (table.ts - table.ts) < hour
    assert values(table, ok=table.ts <= table.ts + hour) == {"ok": [True] * 3}


def test_canary_a_literal_is_shifted_in_32_bits(table):
    with pytest.raises(Exception, match="Left-shift value 45 is out of range"):
        (ibis.literal(1, "int64") << 45).to_pyarrow()
    assert values(table, s=engine.shift(45))["s"] == [2**45] * 3


def test_canary_collected_rows_have_no_order_of_their_own():
    rows = ibis.memtable(pa.table({"g": ["a"] * 3, "x": [3, 1, 2]}))
    found = engine.fetch(rows.group_by("g").agg(xs=rows.x.collect()))
    assert found["xs"].to_pylist() != [[1, 2, 3]], "mended: collect() sorts"
    sorted_rows = rows.group_by("g").agg(xs=engine.ordered_collect(x=rows.x))
    assert engine.fetch(sorted_rows)["xs"].to_pylist() == [
        [{"x": i} for i in (1, 2, 3)]
    ]


def test_canary_argmin_takes_whichever_tie_comes_first():
    rows = pa.table({"t": [1, 1], "v": ["b", "a"]})
    picked = {
        ibis.memtable(part).aggregate(v=_.v.argmin(_.t)).to_pyarrow()["v"][0].as_py()
        for part in (rows, rows.take([1, 0]))
    }
    assert picked == {"a", "b"}, "mended: ties no longer hang on the order of rows"
    first = {
        engine.fetch(t.aggregate(v=engine.first_by(t.v, t.t)))["v"][0].as_py()
        for t in (ibis.memtable(rows), ibis.memtable(rows.take([1, 0])))
    }
    assert first == {"a"}


def test_canary_correlation_of_a_sample_is_refused(table):
    with pytest.raises(
        ibis.common.exceptions.UnsupportedOperationError, match="only implements `pop`"
    ):
        table.x.corr(table.f, how="sample").to_pyarrow()
    assert table.x.corr(table.x, how="pop").to_pyarrow().as_py() == pytest.approx(1)


def test_canary_a_division_by_zero_is_infinite(table):
    found = values(
        table, q=table.x / (table.x - 1), n=table.x / (table.x - 1).nullif(0)
    )
    assert found["q"][0] == float("inf"), "mended: it is NULL or an error"
    assert found["n"] == [None, 2.0, 1.5]


def test_canary_integers_overflow_and_bad_casts_are_errors(table):
    with pytest.raises(DataError, match="Overflow in multiplication"):
        values(table, big=table.x * ibis.literal(2**62))
    with pytest.raises(DataError, match="Could not convert string 'a'"):
        values(table, n=table.g.cast("int64"))
    wide = (table.x.cast("decimal(38, 0)") * 2**62).sum()
    assert int(wide.to_pyarrow().as_py()) == 6 * 2**62
    assert values(table, n=table.g.try_cast("int64"))["n"] == [None] * 3


def test_canary_bins_of_floats_move_at_their_edges():
    rows = ibis.memtable(pa.table({"f": [0.29], "whole": [29]}))
    floats = (rows.f * 100.0).floor().cast("int64")
    whole = dialect.floor_divide(rows.whole * 100, 100)
    found = values(rows, f=floats, w=whole)
    assert found["f"] == [28], "mended: 0.29 * 100 is in bin 29"
    assert found["w"] == [29]


def test_equal_values_share_a_score_by_cut_points_not_by_ntile():
    rows = ibis.memtable(pa.table({"x": [1, 1, 1, 1, 1, 2, 3, 4]}))
    tiles = engine.fetch(rows.mutate(q=ibis.ntile(4).over(order_by=rows.x)))
    scores = {row["q"] for row in tiles.to_pylist() if row["x"] == 1}
    assert len(scores) > 1, "mended: ntile puts equal values into one tile"
    cuts = engine.fetch(
        engine.quantile_disc(rows, "x", {"a": 0.25, "b": 0.5, "c": 0.75})
    )
    assert list(cuts.to_pylist()[0].values()) == [1, 1, 2]


def test_a_sample_is_a_bucket_of_the_unit():
    units = ibis.memtable(pa.table({"u": [f"u{i}" for i in range(2000)]}))
    tenth = units.filter(engine.stable_bucket(units.u, 1000, "sample") < 100)
    one, two = (sorted(engine.fetch(tenth)["u"].to_pylist()) for _ in range(2))
    assert one == two
    assert 140 < len(one) < 260


HOSTILE = 'a"; DROP TABLE x; --'


def test_hostile_names_and_values_stay_names_and_values():
    connection = engine.connect()
    connection.create_table("x", pa.table({"n": [1]}))
    rows = pa.table({HOSTILE: [HOSTILE, "b", HOSTILE], "n": [1, 2, 3]})
    table = connection.create_table("rows", rows)
    (batch,) = engine.scan(table, columns=[HOSTILE])
    assert batch.to_pydict() == {HOSTILE: [HOSTILE, "b", HOSTILE]}
    found = engine.aggregate(table, by=[HOSTILE], measures={HOSTILE + "!": _.n.sum()})
    assert found.to_pydict() == {HOSTILE: [HOSTILE, "b"], HOSTILE + "!": [4, 2]}
    where = engine.parse_where({"col": HOSTILE, "eq": HOSTILE})
    assert engine.fetch(table.filter(where.to_ibis(table)))["n"].to_pylist() == [1, 3]
    key = [engine.KeyPart(HOSTILE, "n", 0, 3)]
    counted = engine.map_by_user(
        table, key=key, kernel=lambda keys: (keys.size,), user_col=HOSTILE
    )
    assert counted.values[0] == 3
    (cell,) = engine.moments(table, values=["n"], by=[[HOSTILE]])[1:]
    assert cell.key == ("b",)
    assert engine.user_index(table, user_col=HOSTILE)[HOSTILE].to_pylist() == [
        HOSTILE,
        "b",
    ]
    units = engine.count_units(table, unit_col="n", group_col=HOSTILE)
    assert units.units == {HOSTILE: 2, "b": 1}
    assert connection.table("x").count().to_pyarrow().as_py() == 1


def test_a_confined_engine_keeps_its_configuration(tmp_path):
    (tmp_path / "rows.csv").write_text("n\n1\n")
    connection = engine.connect(tmp_path)
    for sql in (
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "SET allowed_directories = ['/']",
        "INSTALL httpfs",
    ):
        with pytest.raises(Exception, match=r"lock|disabled|Permission"):
            connection.con.execute(sql)


def test_who_is_in_which_part_is_said_once():
    users = ibis.memtable(
        pa.table({"i": [0, 1, 6, 7, 13], "t": ["a", "b", "c", "d", None]})
    )
    found = values(
        users, i=engine.shard_by_user(users.i, 7), t=engine.shard_by_user(users.t, 7)
    )
    assert found["i"] == [0, 1, 6, 0, 6]
    assert found["t"] == [
        *(engine.stable_bucket_of(user, 7, "shard") for user in "abcd"),
        None,
    ]
    with pytest.raises(ParameterError, match="n is 0"):
        engine.shard_by_user(users.i, 0)
    with pytest.raises(DataError, match="'f' is of type float64") as info:
        engine.shard_by_user(ibis.memtable(pa.table({"f": [1.0]})).f, 2)
    assert info.value.code == "column_type"
