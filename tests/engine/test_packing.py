"""Rows become keys: what is NULL, out of bounds or no number is told."""

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from growth.engine import KeyPart, kernels, map_by_user
from growth.errors import DataError, ParameterError
from tests.engine.made import KEY, START, USER, fold, log, run, steps


def test_what_is_null_is_left_out_and_counted():
    rows = log(1000)
    gaps = {"user_id": {3, 4}, "ts": {4, 5, 6}, "code": {7}}
    for name, holes in gaps.items():
        column = pa.array(
            [None if i in holes else v for i, v in enumerate(rows[name].to_pylist())],
            rows[name].type,
        )
        rows = rows.set_column(rows.column_names.index(name), name, column)
    found = run(rows)
    assert (found.rows, found.values[0].tolist()[1]) == (1000, 995)
    assert found.left_out == {"user_id": 2, "ts": 3}
    marked = fold(rows)
    assert marked.left_out == {"user_id": 2, "ts": 3}


@pytest.mark.parametrize("column", ["user_id", "ts"])
def test_more_than_one_in_a_hundred_null_is_refused(column):
    rows = log(1000)
    values = rows[column].to_pylist()
    values[:11] = [None] * 11
    at = rows.column_names.index(column)
    rows = rows.set_column(at, column, pa.array(values, rows[column].type))
    with pytest.raises(DataError, match=f"{column!r} is NULL in 11 of 1000") as info:
        run(rows)
    assert info.value.code == "null_key"
    with pytest.raises(DataError, match="at most 1 % may be left out"):
        fold(rows)


def test_a_payload_must_be_there():
    rows = log(10).append_column("x", pa.array([None, *range(9)], pa.int64()))
    with pytest.raises(DataError, match="'x' is NULL in 1 rows") as info:
        run(
            rows,
            lambda keys, x, _shift, _bits: (keys.sum() + x.sum(),),
            payload={"x": "x"},
        )
    assert info.value.code == "null_value"


@pytest.mark.parametrize("kind", [pa.string(), pa.float64()])
def test_times_are_never_guessed(kind):
    rows = log(10)
    when = rows["ts"].cast(pa.int64()).cast(kind)
    rows = rows.set_column(2, "ts", when)
    with pytest.raises(DataError, match="must be an instant or a whole") as info:
        run(rows)
    assert info.value.code == "column_type"
    if kind == pa.string():
        with pytest.raises(DataError, match="'ts' is of type string"):
            fold(rows)


def test_a_row_outside_the_bounds_is_an_error_not_another_users_row():
    late = [KEY[0]._replace(high=START + timedelta(days=20)), KEY[1]]
    with pytest.raises(
        ParameterError, match=r"'ts' has values .* filter the table"
    ) as e:
        map_by_user(log(), key=late, kernel=steps, params=(USER, 2))
    assert e.value.code == "key_range"
    few = [KEY[0], KEY[1]._replace(high=2)]
    with pytest.raises(ParameterError, match=r"'code' has values 0\.\.3"):
        map_by_user(log(), key=few, kernel=steps, params=(USER, 2))


def test_dates_and_booleans_are_packed():
    days = [date(2026, 1, 2), date(2025, 12, 31), date(2026, 1, 1)]
    rows = pa.table({"user_id": ["a"] * 3, "d": days, "ok": [True, False, True]})
    low = (date(2025, 12, 31) - date(1970, 1, 1)).days * 86_400_000_000
    key = [
        KeyPart("d", "d", low, low + 3 * 86_400_000_000, step=86_400_000_000),
        KeyPart("ok", "ok", 0, 1),
    ]
    (keys,) = map_by_user(rows, key=key, kernel=lambda keys: (keys,)).values
    assert keys.tolist() == [0, 3, 5]


def test_the_engines_kernels_are_plain_python_too():
    users = np.array([5, 0, 12, 5, 7], np.int64)
    keep = np.array([True, True, True, False, True])
    at = np.array([2_500, -1_000, 4_999, 10**9, 0], np.int64)
    for kind in ("jit", "py_func"):
        pack, scatter = (
            k if kind == "jit" else k.py_func for k in (kernels.pack, kernels.scatter)
        )
        for parts in (1, 4, 3):
            low = np.zeros(5, np.int64)
            assert pack(at, keep, -1_000, 1_000, 2, low) == (-1_000, 4_999)
            assert (low[keep] >> 2).tolist() == [3, 0, 5, 1]
            keys, order = np.empty(5, np.int64), np.empty(5, np.int64)
            starts = scatter(users, low, keep, parts, 8, keys, order, keep_rows=True)
            seen = {}
            for part in range(parts):
                for j in range(starts[part], starts[part + 1]):
                    user = (keys[j] >> 8) * parts + part
                    assert keys[j] & 255 == low[order[j]]
                    seen.setdefault(int(user), []).append(int(order[j]))
            assert seen == {5: [0], 0: [1], 12: [2], 7: [4]}
