"""Rows and small aggregates on their way out of an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from growth.engine.connections import engine_call
from growth.engine.statements import backend_of, fetch, hand_over, turn
from growth.engine.tables import TableLike, as_table, need_columns
from growth.errors import DataError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import ibis.expr.types as ir
    import pyarrow as pa

__all__ = ["aggregate", "scan", "stream_batches"]

UNDISTURBED = 2  # statements from one look at their number, over a scan, to the next


def scan(
    table: TableLike, *, columns: Sequence[str], batch_rows: int = 1_000_000
) -> Iterator[pa.RecordBatch]:
    """Read some columns as Arrow batches, in bounded memory, in any order.

    Parameters
    ----------
    table : ibis.Table, frame, Arrow data or path
        What is read.
    columns : sequence of str
        The only columns that leave the engine, in this order.
    batch_rows : int, default 1,000,000
        Most rows in a batch, 1 or more.

    Returns
    -------
    iterator of pyarrow.RecordBatch
        Read it to its end before the next statement on the same connection.

    Raises
    ------
    ColumnNotFoundError
        If a column is missing.
    ParameterError
        If `columns` is empty (code ``nothing_asked``) or `batch_rows` is not
        positive (``bad_batch_rows``).
    DataError
        As in `stream_batches`.
    """
    source = as_table(table)
    if not columns:
        msg = "columns is empty; it must name what is to be read; pass ['user_id']."
        raise ParameterError(msg, code="nothing_asked")
    need_columns(source, columns)
    return stream_batches(source.select(*columns), batch_rows=batch_rows)


def stream_batches(
    table: ir.Table, *, batch_rows: int = 1_000_000
) -> Iterator[pa.RecordBatch]:
    """Read a table as Arrow batches, in bounded memory, in any order.

    Parameters
    ----------
    table : ibis.Table
        What is read.
    batch_rows : int, default 1,000,000
        Most rows in a batch, 1 or more.

    Returns
    -------
    iterator of pyarrow.RecordBatch
        May be left before its end.

    Raises
    ------
    ParameterError
        If `batch_rows` is not positive (code ``bad_batch_rows``).
    DataError
        While reading: if another statement ran on the same connection meanwhile
        (code ``stream_cut``), which DuckDB takes for the end; or if the engine
        fails (``engine_failed``).

    Notes
    -----
    On DuckDB a statement beside the stream is noticed by its number; the rows are
    then counted, and only a count that differs is an error. On Spark each partition
    is a stream of its own, so memory holds the largest.
    """
    if batch_rows < 1:
        msg = f"batch_rows is {batch_rows}; it must be 1 or more; leave it out."
        raise ParameterError(msg, code="bad_batch_rows")
    backend = backend_of(table)
    if backend.name == "duckdb":
        return _from_duckdb(backend, table, batch_rows)
    if backend.name == "pyspark":
        return _from_spark(backend, table, batch_rows)
    return _from_any(backend, table, batch_rows)


def aggregate(
    table: TableLike,
    *,
    by: Sequence[str] | str,
    measures: Mapping[str, ir.Value],
) -> pa.Table:
    """Group once, in one scan.

    Parameters
    ----------
    table : ibis.Table, frame, Arrow data or path
        What is read.
    by : sequence of str
        Columns of the groups; () is all rows.
    measures : mapping of str to Ibis aggregate
        What is computed, by name; ``ibis._`` stands for the table.

    Returns
    -------
    pyarrow.Table
        `by` and the measures, one row a group, sorted by `by`, NULL last.

    Raises
    ------
    ColumnNotFoundError
        If a column is missing.
    ParameterError
        If there is no measure (code ``nothing_asked``), or the engine cannot do
        one (``unsupported_on_engine``).
    DataError
        If the engine fails (code ``engine_failed``).
    """
    source = as_table(table)
    keys = [by] if isinstance(by, str) else list(by)
    need_columns(source, keys)
    if not measures:
        msg = "measures is empty; it must name what is computed; pass n=table.count()."
        raise ParameterError(msg, code="nothing_asked")
    grouped = source.group_by(keys) if keys else source
    found = fetch(grouped.aggregate(**measures), "aggregating")
    if not keys:
        return found
    return found.sort_by([(key, "ascending") for key in keys])


def _from_duckdb(backend: Any, table: ir.Table, rows: int) -> Iterator[pa.RecordBatch]:  # noqa: ANN401
    """Stream, and look afterwards whether another statement cut the stream short."""
    con, seen = backend.con, 0
    with turn(backend), engine_call("reading rows"):
        hand_over(backend, table)
        sql = backend.compile(table)
        before = _statements(con)
        for batch in con.sql(sql).to_arrow_reader(rows):
            if batch.num_rows:
                seen += batch.num_rows
                yield batch
        if _statements(con) - before == UNDISTURBED:
            return
        # somebody else was at work in this database: perhaps on this connection
        counted = con.execute(f"SELECT count(*) FROM ({sql})").fetchone()[0]
    if counted != seen:
        msg = "another statement ran on the connection while its rows were being read;"
        msg = f"{msg} the rest was lost; read to the end first, or connect twice."
        raise DataError(msg, code="stream_cut")


def _statements(con: Any) -> int:  # noqa: ANN401
    """Return the number of this statement: a database counts all it is given."""
    return int(con.execute("SELECT current_query_id()").fetchone()[0])


def _from_spark(backend: Any, table: ir.Table, rows: int) -> Iterator[pa.RecordBatch]:  # noqa: ANN401
    import pyarrow as pa

    def pack(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as arrow  # on the worker

        for batch in batches:
            for start in range(0, batch.num_rows, rows):
                sink = arrow.BufferOutputStream()
                with arrow.ipc.new_stream(sink, batch.schema) as writer:
                    writer.write_batch(batch.slice(start, rows))
                yield arrow.record_batch({"ipc": [sink.getvalue().to_pybytes()]})

    hand_over(backend, table)
    with engine_call("reading rows"):
        frame = backend._session.sql(backend.compile(table))  # noqa: SLF001
        for row in frame.mapInArrow(pack, "ipc binary").toLocalIterator():
            yield from pa.ipc.open_stream(row.ipc)


def _from_any(backend: Any, table: ir.Table, rows: int) -> Iterator[pa.RecordBatch]:  # noqa: ANN401
    with turn(backend), engine_call("reading rows"):
        yield from backend.to_pyarrow_batches(table, chunk_size=rows)
