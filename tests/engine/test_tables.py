import gzip
import subprocess
import sys
from datetime import date

import ibis
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from growth.engine import as_table, connect, fetch, need_columns, read_files
from growth.errors import ColumnNotFoundError, DataError, ParameterError

ROWS = pa.table({"user_id": ["u1", "u2", None], "fen": pa.array([100, None, 300])})


def check(data):
    table = as_table(data)
    assert isinstance(table, ibis.Table)
    found = fetch(table).to_pydict()
    assert found == ROWS.to_pydict()
    assert table.schema()["fen"].is_integer()


def test_every_kind_of_frame_is_the_same_table(tmp_path):
    frame = ROWS.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    pq.write_table(ROWS, tmp_path / "rows.parquet")
    for data in (
        ROWS,
        frame,
        pl.from_arrow(ROWS),
        pl.from_arrow(ROWS).lazy(),
        ROWS.to_batches()[0],
        pa.RecordBatchReader.from_batches(ROWS.schema, ROWS.to_batches()),
        ds.dataset(tmp_path / "rows.parquet"),
        ibis.memtable(ROWS),
        tmp_path / "rows.parquet",
        str(tmp_path),
    ):
        check(data)


def test_a_reader_can_be_asked_twice():
    table = as_table(pa.RecordBatchReader.from_batches(ROWS.schema, ROWS.to_batches()))
    assert table.count().to_pyarrow().as_py() == table.count().to_pyarrow().as_py() == 3


def test_an_ibis_table_is_itself():
    table = ibis.memtable(ROWS)
    assert as_table(table) is table


def test_pandas_nan_is_null_and_a_named_index_is_a_column():
    frame = pd.DataFrame(
        {"x": [1.5, np.nan]}, index=pd.Index(["u1", "u2"], name="user_id")
    )
    table = as_table(frame)
    assert fetch(table).to_pydict() == {"user_id": ["u1", "u2"], "x": [1.5, None]}
    assert as_table(pd.DataFrame({"x": [1]}, index=[7])).columns == ("x",)
    assert as_table(pd.DataFrame({0: [1]})).columns == ("0",)


def test_polars_keeps_nan_apart_from_null():
    table = as_table(pl.DataFrame({"x": [1.5, float("nan"), None]}))
    assert table.x.isnan().sum().to_pyarrow().as_py() == 1
    assert table.x.isnull().sum().to_pyarrow().as_py() == 1


@pytest.mark.parametrize(
    "data",
    [
        pd.DataFrame([[1, 2]], columns=["x", "x"]),
        pd.DataFrame({"x": [1]}, index=pd.Index([1], name="x")),
        pa.table([[1], [2]], names=["x", "X"]),
        ds.dataset(pa.table([[1], [2]], names=["x", "x"])),
    ],
)
def test_two_columns_of_one_name_are_refused(data):
    with pytest.raises(DataError, match=r"have one name; .*; rename one") as info:
        as_table(data)
    assert info.value.code == "duplicate_columns"


def test_two_columns_of_one_name_in_a_file_are_refused(tmp_path):
    pq.write_table(pa.table([[1], [2]], names=["x", "x"]), tmp_path / "a.parquet")
    for name, text in (("b.csv", "x,y,x\n1,2,3\n"), ("c.csv", "\ufeffa;A\n1;2\n")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    for name in ("a.parquet", "b.csv", "c.csv"):
        with pytest.raises(DataError, match="have one name") as info:
            as_table(tmp_path / name)
        assert info.value.code == "duplicate_columns"


def test_mixed_types_and_other_objects_are_refused():
    with pytest.raises(DataError, match="a column must hold one type") as info:
        as_table(pd.DataFrame({"x": [1, "a", b"c"]}))
    assert info.value.code == "column_type"
    for data in (3, ["a"], {"x": [1]}, None):
        with pytest.raises(ParameterError, match="it must be an Ibis table") as info:
            as_table(data)
        assert info.value.code == "table_kind"


def test_folders_of_days_become_a_column(tmp_path):
    for day, users in (("2026-03-01", ["u1"]), ("2026-03-02", ["u2", "u3"])):
        folder = tmp_path / f"ds={day}"
        folder.mkdir()
        pq.write_table(pa.table({"user_id": users}), folder / "part.parquet")
    table = as_table(tmp_path)
    assert fetch(
        table.group_by("ds").agg(n=table.count()).order_by("ds")
    ).to_pydict() == {
        "ds": [date(2026, 3, 1), date(2026, 3, 2)],
        "n": [1, 2],
    }


def test_columns_are_matched_by_name_over_files(tmp_path):
    pq.write_table(pa.table({"a": [1], "b": [2]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"b": [4], "a": [3], "c": [5]}), tmp_path / "2.parquet")
    found = fetch(as_table(tmp_path).order_by("a")).to_pydict()
    assert found == {"a": [1, 3], "b": [2, 4], "c": [None, 5]}


def test_csv_is_read_with_its_types_or_as_text(tmp_path):
    text = "user_id,fen\n007,1\n008,2\n"
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    with gzip.open(tmp_path / "b.csv.gz", "wt") as file:
        file.write(text)
    for name in ("a.csv", "b.csv.gz"):
        assert as_table(tmp_path / name).fen.sum().to_pyarrow().as_py() == 3
    connection = connect(tmp_path)
    raw = read_files(connection, tmp_path / "a.csv", csv_as_text=True)
    assert fetch(raw).to_pydict() == {"user_id": ["007", "008"], "fen": ["1", "2"]}


def test_a_table_of_a_database_is_named_after_two_colons(tmp_path):
    path = tmp_path / "shop.duckdb"
    writer = ibis.duckdb.connect(path)
    writer.create_table("orders", ROWS)
    writer.disconnect()
    check(path)  # the only one
    check(f"{path}::orders")
    check(f"duckdb://{path}::orders")
    with pytest.raises(ParameterError, match="Did you mean 'orders'") as info:
        as_table(f"{path}::order")
    assert info.value.code == "location"
    two = tmp_path / "two.duckdb"
    writer = ibis.duckdb.connect(two)
    writer.create_table("orders", ROWS)
    writer.create_table("users", ROWS)
    writer.disconnect()
    with pytest.raises(ParameterError, match=r"\['orders', 'users'\]; .* after '::'"):
        as_table(two)


def test_paths_that_hold_no_table_are_refused(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK")
    empty = tmp_path / "empty"
    empty.mkdir()
    for location, message in (
        (tmp_path / "a.zip", "'a.zip'; it must be Parquet"),
        (empty, "holds no Parquet or CSV file"),
        (tmp_path / "*.parquet", "is no file; it must be Parquet"),
        (tmp_path / "none.parquet", "does not exist"),
    ):
        with pytest.raises(ParameterError, match=message) as info:
            as_table(location)
        assert info.value.code == "location"


def test_a_broken_file_is_an_error_that_names_it(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"not parquet at all")
    with pytest.raises(DataError, match=r"reading of .*a\.parquet failed") as info:
        as_table(tmp_path / "a.parquet")
    assert info.value.code == "engine_failed"


def test_paths_of_one_connection_can_be_joined(tmp_path):
    for name in ("a", "b"):
        pq.write_table(
            pa.table({"x": [1, 2], name: [3, 4]}), tmp_path / f"{name}.parquet"
        )
    connection = connect(tmp_path)
    one, two = (
        as_table(tmp_path / f"{name}.parquet", connection=connection) for name in "ab"
    )
    assert one.join(two, "x").count().to_pyarrow().as_py() == 2


def test_a_missing_column_says_what_it_would_unlock():
    need_columns(as_table(ROWS), ["fen"])
    with pytest.raises(ColumnNotFoundError, match="It would unlock the money metrics"):
        need_columns(as_table(ROWS), ["fem"], unlocks="the money metrics")


def test_importing_the_engine_loads_no_engine():
    script = (
        "import sys, growth.engine\n"
        "heavy = {'ibis', 'duckdb', 'pandas', 'polars', 'pyarrow', 'numba'}\n"
        "assert growth.engine.parse_where([]).matches({}) is True\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"
