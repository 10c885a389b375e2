import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from growth.engine import cells as cells_module
from growth.engine import connect
from growth.engine.cells import moments
from growth.errors import ColumnNotFoundError, DataError, ParameterError
from growth.stats.moments import Moments

CASES = json.loads(
    (Path(__file__).parent.parent / "golden" / "abtest.json").read_text("utf-8")
)["cases"]


def total(table, *columns):
    (cell,) = moments(table, values=[columns])
    return cell.moments[columns]


def close(found, expected, rel=1e-9, step=0.0):
    """`step`: of the grid on which a column of doubles is read."""
    assert found.columns == expected.columns
    assert found.n == expected.n
    if not expected.n:
        return
    scale = np.sqrt(np.diag(expected.comoment))
    spread = np.outer(scale, scale)
    assert found.mean == pytest.approx(expected.mean, rel=rel, abs=step + 1e-12)
    moved = 2 * np.sqrt(found.n) * scale.max() * step + found.n * step**2
    assert found.comoment == pytest.approx(
        expected.comoment, rel=rel, abs=1e-9 * spread.max() + moved + 1e-12
    )
    assert found.minimum.tolist() == expected.minimum.tolist()
    assert found.maximum.tolist() == expected.maximum.tolist()
    assert found.nonzero.tolist() == expected.nonzero.tolist()


def test_nist_numacc4_keeps_its_certified_deviation():
    case = next(c for c in CASES if c["id"] == "numacc4")
    values = [case["input"]["first"], *case["input"]["then_500_times"] * 500]
    m = total(pa.table({"x": values}), "x")
    expected, rel = case["expected"], case["tolerance_rel"]
    assert m.n == expected["n"]
    assert m.mean[0] == pytest.approx(expected["mean"], rel=rel)
    assert np.sqrt(m.cov[0, 0]) == pytest.approx(expected["sd"], rel=rel)


def test_a_great_offset_leaves_the_variance_alone():
    x, y = np.random.default_rng(1).normal(size=(2, 20_000))
    plain = total(pa.table({"x": x, "y": y + x}), "x", "y")
    moved = total(pa.table({"x": x + 1e9, "y": y + x + 1e9}), "x", "y")
    # adding 1e9 rounds each value to a multiple of 2**-23
    assert moved.comoment == pytest.approx(plain.comoment, rel=1e-5)
    assert moved.mean - 1e9 == pytest.approx(plain.mean, abs=1e-6)


number = st.none() | st.floats(-1e6, 1e6, width=32) | st.just(0.0)
row = st.tuples(
    st.sampled_from(["A", "B", None]),
    st.sampled_from(["x", "y", None]),
    number,
    st.none() | st.integers(-5, 5),
    number,
)


def as_rows(rows):
    kinds = [pa.string(), pa.string(), pa.float64(), pa.int64(), pa.float64()]
    names = ["arm", "seg", "a", "b", "c"]
    columns = zip(*rows, strict=True) if rows else [[]] * 5
    return pa.table(
        {n: pa.array(c, k) for n, c, k in zip(names, columns, kinds, strict=True)}
    )


def expected_cells(rows, by, sets):
    names = ["arm", "seg", "a", "b", "c"]
    groups = {} if by else {(): []}
    for item in rows:
        record = dict(zip(names, item, strict=True))
        groups.setdefault(tuple(record[name] for name in by), []).append(record)
    return {
        key: (
            len(members),
            {
                columns: Moments.of(
                    columns,
                    [
                        [record[name] for name in columns]
                        for record in members
                        if all(record[name] is not None for name in columns)
                    ],
                )
                for columns in sets
            },
        )
        for key, members in groups.items()
    }


@settings(max_examples=40, deadline=None)
@given(st.lists(row, max_size=30), st.sampled_from([1, 2, 10]))
def test_every_group_and_set_agrees_with_numpy_nulls_and_all(rows, width):
    sets = (("a",), ("b",), ("a", "b"), ("c", "b", "a"), ("c", "a"))
    groupings = ((), ("arm",), ("arm", "seg"), ("seg",))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cells_module, "PATTERN_COLUMNS", width)
        found = moments(as_rows(rows), values=sets, by=groupings)
    assert [c.by for c in found] == sorted((c.by for c in found), key=groupings.index)
    doubles = [x for row in rows for x in (row[2], row[4]) if x is not None]
    step = 2.0**-48 * float(np.ptp([*doubles, 0.0]))
    for by in groupings:
        expected = expected_cells(rows, by, sets)
        cells = {cell.key: cell for cell in found if cell.by == by}
        assert cells.keys() == expected.keys()
        for key, (count, by_set) in expected.items():
            assert cells[key].rows == count
            for columns in sets:
                close(cells[key].moments[columns], by_set[columns], step=step)


@settings(max_examples=15, deadline=None)
@given(st.lists(row, min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_row_order_does_not_matter(rows, random):
    shuffled = random.sample(rows, len(rows))
    one = moments(as_rows(rows), values=[("a", "b")], by=[["arm"]])
    two = moments(as_rows(shuffled), values=[("a", "b")], by=[["arm"]])
    assert [cell.key for cell in one] == [cell.key for cell in two]
    for left, right in zip(one, two, strict=True):
        close(left.moments["a", "b"], right.moments["a", "b"])


def test_one_statement_serves_all_sets_and_groups(monkeypatch):
    connection = connect()
    connection.create_table("units", as_rows([("A", "x", 1.0, 2, 3.0)]))
    asked = []
    honest = connection.con.sql

    class Watched:
        def __getattr__(self, name):
            return getattr(connection_con, name)

        def sql(self, text):
            asked.append(text)
            return honest(text)

    connection_con = connection.con
    monkeypatch.setattr(connection, "con", Watched())
    moments(
        connection.table("units"),
        values=[("a",), ("b",), ("a", "b", "c")],
        by=[(), ("arm",), ("arm", "seg"), ("seg",)],
    )
    (text,) = [text for text in asked if "count(*)" in text]
    assert "GROUPING SETS ((k0, k1, p))" in text  # the finer holds the coarser


def test_groups_that_do_not_nest_are_grouping_sets():
    rows = [("A", "x", 1.0, 1, 1.0), ("A", None, 3.0, 1, 1.0), (None, "x", 5.0, 1, 1.0)]
    found = moments(as_rows(rows), values=["a"], by=[["arm"], ["seg"]])
    assert [(c.by, c.key, c.moments["a",].mean[0]) for c in found] == [
        (("arm",), ("A",), 2.0),
        (("arm",), (None,), 5.0),  # a NULL segment is a group, not the total
        (("seg",), ("x",), 3.0),
        (("seg",), (None,), 3.0),
    ]


def test_no_rows_have_a_total_and_no_groups():
    (cell,) = moments(as_rows([]), values=[("a", "b")], by=[(), ("arm",)])
    assert (cell.by, cell.key, cell.rows) == ((), (), 0)
    assert cell.moments["a", "b"].n == 0


def test_money_is_summed_exactly_and_every_number_type_is_taken():
    fen = [2**53, 1, 1, -(2**53)]  # doubles would lose the ones
    table = pa.table(
        {
            "fen": pa.array(fen, pa.int64()),
            "yuan": pa.array(
                [Decimal("0.10"), Decimal("0.20")] * 2, pa.decimal128(12, 2)
            ),
            "bought": [True, False, False, None],
            "share": pa.array([0.1, 0.2, 0.3, 0.4], pa.float32()),
            "few": pa.array([1, 2, 3, 4], pa.uint8()),
        }
    )
    (cell,) = moments(table, values=["fen", "yuan", "bought", "share", "few"])
    assert cell.moments["fen",].mean[0] == 0.5
    assert cell.moments["yuan",].mean[0] == 0.15
    bought = cell.moments["bought",]
    assert (bought.n, bought.mean[0], bought.nonzero[0]) == (3, 1 / 3, 1)
    assert cell.moments["share",].mean[0] == pytest.approx(0.25, rel=1e-7)
    assert cell.moments["few",].comoment[0, 0] == 5.0


def test_nan_counts_as_null_and_is_reported():
    table = pa.table(
        {
            "arm": ["A", "A", "A", "B"],
            "x": [1.0, float("nan"), 3.0, 5.0],
            "y": [1.0, 2.0, None, 4.0],
            "z": [1, 2, 3, 4],
        }
    )
    total_cell, a, b = moments(
        table, values=[("x", "y"), ("x",), ("z",)], by=[(), "arm"]
    )
    assert total_cell.nan == {"x": 1}
    assert a.nan == {"x": 1}
    assert b.nan == {}
    close(a.moments["x",], Moments.of(("x",), [[1.0], [3.0]]))
    close(a.moments["x", "y"], Moments.of(("x", "y"), [[1.0, 1.0]]))
    assert total_cell.moments["z",].n == 4


def test_a_single_nan_is_seen_too():
    (cell,) = moments(pa.table({"x": [float("nan")]}), values=["x"])
    assert (cell.moments["x",].n, cell.nan) == (0, {"x": 1})


@pytest.mark.parametrize("value", [float("inf"), float("-inf")])
def test_infinity_is_an_error_that_names_its_column(value):
    table = pa.table({"a": [1.0, 2.0, 3.0], "b": [1.0, value, float("nan")]})
    with pytest.raises(DataError, match="'b' is infinite in 1 rows") as info:
        moments(table, values=["a", "b"])
    assert info.value.code == "infinite_value"


def test_numbers_whose_squares_overflow_are_an_error():
    with pytest.raises(DataError, match="so large that their squares overflow") as info:
        moments(pa.table({"a": [1e200, -1e200]}), values=["a"])
    assert info.value.code == "value_too_large"


def test_values_are_summed_per_unit_and_group_first():
    table = pa.table(
        {
            "user": [1, 1, 2, 2, 3, 4],
            "day": [1, 2, 1, 1, 2, 2],
            "fen": [10, 20, 5, None, 7, None],
        }
    )
    found = moments(table, values=["fen"], by=[(), ["day"]], unit_col="user")
    sums = {cell.key: cell for cell in found}
    # in all: users 1, 2 and 3 have 30, 5 and 7; user 4 was never seen to pay
    assert sums[()].rows == 4
    close(sums[()].moments["fen",], Moments.of(("fen",), [[30], [5], [7]]))
    # user 1 is in both days: a day's cells do not add up to the total
    close(sums[1,].moments["fen",], Moments.of(("fen",), [[10], [5]]))
    close(sums[2,].moments["fen",], Moments.of(("fen",), [[20], [7]]))


def test_days_and_booleans_are_keys_too():
    table = pa.table(
        {"day": [date(2026, 3, 2), date(2026, 3, 1)], "new": [True, False], "x": [1, 2]}
    )
    found = moments(table, values=["x"], by=[["day", "new"]])
    assert [c.key for c in found] == [
        (date(2026, 3, 1), False),
        (date(2026, 3, 2), True),
    ]


def test_hostile_names_are_only_names():
    name, key = 'a"; DROP TABLE x; --', "k0) FROM (SELECT 1 -- '"
    (cell,) = moments(
        pa.table({name: [1, 3], key: ["'", "'"]}), values=[name], by=[key]
    )
    assert cell.moments[name,].mean[0] == 2.0
    assert cell.key == ("'",)


def test_columns_known_to_be_whole_are_not_asked_about():
    table = ibis.memtable(as_rows([("A", "x", 1.0, 2, None)]))
    table = table.mutate(c=table.c.coalesce(0.0), new=table.c.isnull())
    shape = cells_module._shape(table, (), ("a", "c", "new"), ((),), None)
    assert {"c", "new"} <= cells_module._never_null(shape, ("a", "c", "new"))
    assert total(table, "c", "new").mean.tolist() == [0.0, 1.0]


def test_a_plan_tells_which_stored_columns_are_whole():
    connection = connect()
    connection.create_table("t", pa.table({"a": [1, 2], "b": [1, None]}))
    shape = cells_module._shape(connection.table("t"), (), ("a", "b"), ((),), None)
    assert cells_module._never_null(shape, ("a", "b")) == {"a"}


@pytest.mark.parametrize(
    ("kwargs", "error", "code", "message"),
    [
        ({"values": ["arn"]}, ColumnNotFoundError, "column_not_found", "mean 'arm'"),
        ({"values": ["arm"]}, DataError, "column_type", "'arm' is of type string"),
        ({"values": []}, ParameterError, "nothing_asked", r"pass values=\[\["),
        ({"values": [()]}, ParameterError, "nothing_asked", "must name something"),
        ({"values": ["a"], "by": []}, ParameterError, "nothing_asked", r"by=\[\(\)\]"),
    ],
)
def test_misuse_says_what_was_seen(kwargs, error, code, message):
    with pytest.raises(error, match=message) as info:
        moments(as_rows([]), **kwargs)
    assert info.value.code == code


# -- the same rows give the same bits ------------------------------------------------


def bits(cells):
    return [
        (cell.by, cell.key, columns, m.mean.tobytes(), m.comoment.tobytes())
        for cell in cells
        for columns, m in cell.moments.items()
    ]


def test_neither_threads_nor_the_order_of_rows_change_a_bit(tmp_path):
    rng = np.random.default_rng(7)
    n = 300_000
    table = pa.table(
        {
            "arm": rng.choice(["A", "B"], n),
            "day": rng.integers(0, 9, n),
            "fen": rng.integers(0, 10**7, n),
            "paid": rng.random(n) < 0.1,
            "minutes": rng.lognormal(2, 2, n),
            "profit": rng.normal(1e6, 1, n),
        }
    )
    asked = {
        "values": [["fen", "minutes"], ["paid"], ["profit", "fen"]],
        "by": [["arm"], ["arm", "day"]],
    }
    found = []
    for i in range(4):
        mixed = table.take(rng.permutation(n)) if i else table
        path = tmp_path / f"{i}.parquet"
        pq.write_table(mixed, path, row_group_size=20_000 + 7_000 * i)
        found.append(bits(moments(str(path), **asked)))
    assert found[0] == found[1] == found[2] == found[3]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(-(2**40), 2**40), st.integers(-(2**20), 2**20)),
        min_size=1,
        max_size=30,
    )
)
def test_integers_have_the_exact_moments_correctly_rounded(rows):
    table = pa.table({"a": [a for a, _ in rows], "b": [b for _, b in rows]})
    (cell,) = moments(table, values=[["a", "b"]])
    m = cell.moments["a", "b"]
    n = len(rows)
    sums = [sum(row[i] for row in rows) for i in (0, 1)]
    assert m.mean.tolist() == [s / n for s in sums]
    for i in (0, 1):
        for j in (0, 1):
            exact = n * sum(r[i] * r[j] for r in rows) - sums[i] * sums[j]
            assert m.comoment[i, j] == exact / n


@pytest.mark.parametrize("scale", [1e-120, 1e-6, 1.0, 1e6, 1e120, 1e140])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_doubles_keep_their_accuracy_at_every_scale(scale, offset):
    x = (np.random.default_rng(8).lognormal(0, 2, 500) + offset) * scale
    y = np.arange(500)
    (cell,) = moments(pa.table({"x": x, "y": y}), values=[["x", "y"]])
    m = cell.moments["x", "y"]
    want = np.cov(x / scale, y)
    assert m.mean[0] / scale == pytest.approx((x / scale).mean(), rel=1e-13)
    assert m.cov[0, 0] / scale / scale == pytest.approx(want[0, 0], rel=1e-10)
    assert m.cov[0, 1] / scale == pytest.approx(want[0, 1], rel=1e-10)


def test_products_beyond_64_bits_are_left_to_the_engine():
    big = [2**62, -(2**62), 2**61, 5]
    (cell,) = moments(pa.table({"a": big}), values=["a"])
    m = cell.moments["a",]
    assert m.mean[0] == pytest.approx(np.mean(np.array(big, float)), rel=1e-12)
    assert m.cov[0, 0] == pytest.approx(np.var(np.array(big, float), ddof=1), rel=1e-12)


def test_counts_kept_as_doubles_are_integers():
    whole = [3.0, None, 7.0, 1e15, -2.0]
    table = pa.table({"a": whole, "b": [3, None, 7, 10**15, -2]})
    (cell,) = moments(table, values=["a", "b"])
    a, b = cell.moments["a",], cell.moments["b",]
    assert (a.mean, a.comoment, a.n) == (b.mean, b.comoment, b.n)
