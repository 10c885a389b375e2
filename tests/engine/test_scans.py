import ibis
import pyarrow as pa
import pytest
from ibis import _

from growth.engine import aggregate, as_table, connect, scan, stream_batches
from growth.errors import ColumnNotFoundError, DataError, ParameterError

ROWS = 5000


@pytest.fixture
def table():
    connection = connect(threads=2)
    numbers = pa.array([None if i % 7 == 0 else i for i in range(ROWS)], pa.int64())
    data = pa.table({"a": range(ROWS), "b": numbers, "c": ["x"] * ROWS})
    return connection.create_table("t", data)


@pytest.mark.parametrize("batch_rows", [1, 999, 10**6])
def test_every_row_comes_out_once_whatever_the_batches(table, batch_rows):
    few = table.filter(table.a < 3) if batch_rows == 1 else table
    expected = few.count().to_pyarrow().as_py()
    batches = list(scan(few, columns=["b", "a"], batch_rows=batch_rows))
    whole = pa.Table.from_batches(batches)
    assert whole.column_names == ["b", "a"]
    assert all(batch.num_rows <= max(batch_rows, 2048) for batch in batches)
    assert sorted(whole["a"].to_pylist()) == list(range(expected))
    assert whole["b"].null_count == sum(i % 7 == 0 for i in range(expected))


def test_a_frame_and_an_expression_can_be_scanned():
    frame = pa.table({"a": [1, 2, 3]})
    assert sum(b.num_rows for b in scan(frame, columns=["a"])) == 3
    made = as_table(frame).mutate(d=_.a * 2).filter(_.d > 2)
    (batch,) = stream_batches(made)
    assert batch.to_pydict() == {"a": [2, 3], "d": [4, 6]}


def test_no_rows_give_no_batches(table):
    assert list(stream_batches(table.filter(table.a < 0))) == []


def test_a_stream_may_be_left_early(table):
    stream = stream_batches(table, batch_rows=100)
    assert next(stream).num_rows > 0
    stream.close()
    assert table.count().to_pyarrow().as_py() == ROWS


def test_a_stream_that_another_statement_cuts_is_an_error_not_the_end(table):
    stream = stream_batches(table, batch_rows=100)
    next(stream)
    table.count().to_pyarrow()
    with pytest.raises(DataError, match="another statement ran on the connection") as e:
        list(stream)
    assert e.value.code == "stream_cut"


def test_a_statement_beside_a_stream_that_lost_nothing_is_no_error(table):
    stream = stream_batches(table, batch_rows=100)
    rows = next(stream).num_rows
    table.get_backend().con.cursor().execute("SELECT 1").fetchall()
    assert rows + sum(batch.num_rows for batch in stream) == ROWS


def test_canary_duckdb_takes_the_next_statement_for_the_end_of_a_stream(table):
    reader = table.get_backend().con.sql("SELECT a FROM t").to_arrow_reader(100)
    seen = reader.read_next_batch().num_rows
    table.count().to_pyarrow()
    seen += sum(batch.num_rows for batch in reader)
    assert seen < ROWS, "mended: stream_batches need not count statements"


def test_groups_come_sorted_with_null_last():
    rows = pa.table({"g": ["b", None, "a", "b"], "x": [1, 2, 3, 4]})
    found = aggregate(rows, by=["g"], measures={"n": _.count(), "x": _.x.sum()})
    assert found.to_pydict() == {"g": ["a", "b", None], "n": [1, 2, 1], "x": [3, 5, 2]}
    assert aggregate(rows, by="g", measures={"n": _.count()}).num_rows == 3
    assert aggregate(rows, by=(), measures={"n": _.count()}).to_pydict() == {"n": [4]}


def test_misuse_says_what_was_seen():
    rows = pa.table({"g": ["a"], "x": [1]})
    with pytest.raises(ColumnNotFoundError, match="'z' not found"):
        aggregate(rows, by=["z"], measures={"n": _.count()})
    with pytest.raises(ParameterError, match="measures is empty"):
        aggregate(rows, by=["g"], measures={})
    with pytest.raises(ParameterError, match="columns is empty"):
        scan(rows, columns=[])
    with pytest.raises(ColumnNotFoundError, match="'z' not found"):
        scan(rows, columns=["z"])
    with pytest.raises(ParameterError, match="batch_rows is 0"):
        scan(rows, columns=["g"], batch_rows=0)


def test_what_an_engine_cannot_do_is_told_as_such(table, monkeypatch):
    backend = table.get_backend()

    def refuse(*_args, **_kwargs):
        raise ibis.common.exceptions.OperationNotDefinedError("no such operation")

    monkeypatch.setattr(backend, "to_pyarrow", refuse)
    with pytest.raises(ParameterError, match="cannot be done by this engine") as info:
        aggregate(table, by=["c"], measures={"n": _.count()})
    assert info.value.code == "unsupported_on_engine"


def test_an_engine_failure_says_what_was_being_done():
    rows = as_table(pa.table({"s": ["1", "x"]}))
    with pytest.raises(DataError, match="aggregating failed in the engine") as info:
        aggregate(rows, by=(), measures={"n": rows.s.cast("int64").sum()})
    assert info.value.code == "engine_failed"
    assert info.value.__cause__ is not None
