"""Whatever holds rows, as one lazy table."""

from __future__ import annotations

import csv
import gzip
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from growth.engine.connections import (
    GLOB,
    SCHEME,
    _is_a,
    connect,
    engine_call,
    escape_glob,
    is_database,
    mask,
)
from growth.engine.statements import table_names, turn
from growth.errors import ColumnNotFoundError, DataError, ParameterError, suggest

if TYPE_CHECKING:
    from collections.abc import Iterable

    import ibis.expr.types as ir
    import pandas as pd
    from ibis.backends import BaseBackend

# what every verb takes: an Ibis table, a frame, Arrow data, a path or a URL
TableLike: TypeAlias = Any

__all__ = ["TableLike", "as_table", "need_columns", "read_files"]

PARQUET = (".parquet", ".pq")
CSV = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
SEPARATORS = ",\t;|"


def as_table(data: object, *, connection: BaseBackend | None = None) -> ir.Table:
    """Return `data` as an Ibis table, lazily.

    Parameters
    ----------
    data : ibis.Table, pandas or Polars frame, Arrow data, path or URL
        An Ibis table is returned as it is. pandas: a named index becomes columns,
        NaN in a float column becomes NULL. Polars: DataFrame or LazyFrame. Arrow:
        table, record batch, reader (read to its end), dataset (stays on disk). A
        path: a Parquet or CSV file, a glob, or a folder of either (``name=value``
        folders become columns). A table in a database is named after ``::``, as in
        ``shop.duckdb::orders`` or ``postgres://host/shop::orders``; the name may be
        left out when there is only one.
    connection : Ibis backend, optional
        The connection that reads a path, so that tables of several paths can be
        joined; one that may read only this path if omitted. Given a Spark
        connection, frames and Arrow data are handed to it (Ibis itself turns
        integers with NULLs into NULLs on that way).

    Returns
    -------
    ibis.Table
        Bound to an engine, or in memory and joinable with any.

    Raises
    ------
    ParameterError
        If `data` is of another kind (code ``table_kind``), or its location cannot
        be opened (``location``, ``missing_extra``).
    DataError
        If two columns have one name, also when they differ only in case
        (``duplicate_columns``), a column mixes types (``column_type``), or a file
        cannot be read (``engine_failed``).
    """
    if _is_a(data, "ibis.expr", "Table"):
        return _checked(data)
    if isinstance(data, str | os.PathLike):
        return _from_location(os.fspath(data), connection)
    if _is_a(data, "pyspark.sql", "DataFrame"):
        return _from_spark(data)
    rows = _arrow(data)
    if connection is not None and connection.name == "pyspark":
        whole = rows if hasattr(rows, "column_names") else rows.to_table()
        return _from_spark(connection._session.createDataFrame(whole))  # noqa: SLF001
    import ibis

    return ibis.memtable(rows)


def need_columns(table: ir.Table, columns: Iterable[str], *, unlocks: str = "") -> None:
    """Raise `ColumnNotFoundError` for the first of `columns` the table lacks.

    Parameters
    ----------
    table : ibis.Table
        Any table.
    columns : iterable of str
        Names that must be there.
    unlocks : str, optional
        What the column would make possible, for the message.

    Raises
    ------
    ColumnNotFoundError
        If a column is missing.
    """
    for column in columns:
        if column not in table.columns:
            raise ColumnNotFoundError(column, table.columns, unlocks=unlocks)


def read_files(
    connection: BaseBackend, path: str | os.PathLike[str], *, csv_as_text: bool = False
) -> ir.Table:
    """Read Parquet or CSV files through an open connection, lazily.

    Parameters
    ----------
    connection : Ibis backend
        DuckDB or Spark, allowed to read there.
    path : path
        A file, a glob, or a folder; folders are read with all below them.
    csv_as_text : bool, default False
        Whether every CSV column stays text, with nothing guessed.

    Returns
    -------
    ibis.Table
        The rows of all files; columns are matched by name.

    Raises
    ------
    ParameterError
        If no file of either kind is there (code ``location``).
    DataError
        If a column comes twice, or a file cannot be read.
    """
    full = os.path.abspath(os.path.expanduser(path))
    pattern, first = _pattern(full)
    with engine_call("reading", path), turn(connection):
        if first.lower().endswith(PARQUET):
            _refuse_twice(_parquet_names(first), path)
            if connection.name == "pyspark":
                return connection.read_parquet(full)
            return connection.read_parquet(
                pattern, union_by_name=True, hive_partitioning="=" in pattern + first
            )
        _refuse_twice(_csv_names(first), path)
        if connection.name == "pyspark":
            return connection.read_csv(full, header=True, inferSchema=not csv_as_text)
        return connection.read_csv(pattern, header=True, all_varchar=csv_as_text)


def _pattern(full: str) -> tuple[str, str]:
    """Return a glob of the files to read, and the first of them."""
    if os.path.isdir(full):
        for suffixes in (PARQUET, CSV):
            for suffix in suffixes:
                if found := sorted(Path(full).rglob(f"*{suffix}")):
                    return f"{escape_glob(full)}/**/*{suffix}", str(found[0])
        msg = f"folder {full!r} holds no Parquet or CSV file; it must hold one; check"
        raise ParameterError(f"{msg} the path.", code="location")
    if os.path.exists(full):
        files = [full]
        pattern = escape_glob(full)
    else:
        start = GLOB.search(full)
        root = Path(full[: start.start()] if start else full).parent
        relative = os.path.relpath(full, root)
        files = sorted(str(item) for item in root.glob(relative) if item.is_file())
        pattern = full
    if not files or not files[0].lower().endswith((*PARQUET, *CSV)):
        seen = repr(Path(files[0]).name) if files else "no file"
        msg = f"{mask(full)!r} is {seen}; it must be Parquet (.parquet) or CSV (.csv,"
        msg = f"{msg} .tsv, also .gz); convert it or map it with a [table] mapping."
        raise ParameterError(msg, code="location")
    return pattern, files[0]


def _from_location(text: str, connection: BaseBackend | None) -> ir.Table:
    location, _, name = text.rpartition("::")
    if not location:
        location, name = text, ""
    scheme = SCHEME.match(location)
    if scheme is None and not is_database(location):
        return read_files(connection or connect(text), text)
    backend = connection or connect(location)
    names = table_names(backend)
    if not name and len(names) == 1:
        name = names[0]
    if name not in names:
        msg = f"table {name!r} is not in {mask(location)!r}, which has {sorted(names)};"
        msg = f"{msg} it must be one of these; write it after '::'."
        raise ParameterError(msg + suggest(name, names), code="location")
    with engine_call("reading", location), turn(backend):
        return _checked(backend.table(name))


def _from_spark(frame: Any) -> ir.Table:  # noqa: ANN401
    from uuid import uuid4

    _refuse_twice(frame.columns, "the Spark frame")
    name = f"growth_{uuid4().hex}"
    frame.createOrReplaceTempView(name)
    return connect(frame.sparkSession).table(name)


def _arrow(data: Any) -> Any:  # noqa: ANN401
    """Return an Arrow table, or the dataset as it is."""
    import pyarrow as pa

    if _is_a(data, "pandas", "DataFrame"):
        return _from_pandas(data)
    if _is_a(data, "polars", "LazyFrame"):
        data = data.collect()
    if _is_a(data, "polars", "DataFrame"):
        # readable by engines that do not know Arrow's string views
        data = data.to_arrow(compat_level=_oldest())
    elif _is_a(data, "pyarrow", "Dataset"):
        _refuse_twice(data.schema.names, "the dataset")
        return data
    elif not isinstance(data, pa.Table):
        if not hasattr(data, "__arrow_c_stream__") and not isinstance(
            data, pa.RecordBatch
        ):
            msg = f"data is a {type(data).__module__}.{type(data).__qualname__}; it"
            msg = f"{msg} must be an Ibis table, a pandas or Polars frame, Arrow data,"
            msg = f"{msg} a path or a URL; convert it to one of these."
            raise ParameterError(msg, code="table_kind")
        one = isinstance(data, pa.RecordBatch)
        data = pa.Table.from_batches([data]) if one else pa.table(data)
    _refuse_twice(data.column_names, "the table")
    return data


def _oldest() -> Any:  # noqa: ANN401
    import polars as pl

    return pl.CompatLevel.oldest()


def _from_pandas(frame: pd.DataFrame) -> Any:  # noqa: ANN401
    import pyarrow as pa

    named = [name for name in frame.index.names if name is not None]
    _refuse_twice([str(name) for name in (*named, *frame.columns)], "the frame")
    if named:
        frame = frame.reset_index(named)
    frame = frame.rename(columns=str)
    try:
        # NaN is how pandas writes a missing value: it becomes NULL
        return pa.Table.from_pandas(
            frame, preserve_index=False
        ).replace_schema_metadata()
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        msg = f"the frame cannot be read: {error}; a column must hold one type; convert"
        raise DataError(f"{msg} it, e.g. with astype.", code="column_type") from error


def _checked(table: ir.Table) -> ir.Table:
    _refuse_twice(table.columns, "the table")
    return table


def _refuse_twice(names: Iterable[str], what: object) -> None:
    """Refuse a name that comes twice; engines tell no case apart."""
    seen: dict[str, str] = {}
    for name in names:
        earlier = seen.get(name.casefold())
        seen[name.casefold()] = name
        if earlier is not None:
            msg = (
                f"columns {earlier!r} and {name!r} of {mask(what)} have one name; each"
            )
            msg = f"{msg} column needs its own, whatever its case; rename one."
            raise DataError(msg, code="duplicate_columns")


def _parquet_names(path: str) -> list[str]:
    import pyarrow.parquet as pq

    return list(pq.read_schema(path).names)


def _csv_names(path: str) -> list[str]:
    """Return the names in a CSV's first line, by the likeliest separator."""
    opened = gzip.open if path.lower().endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8-sig", errors="replace", newline="") as file:
        line = file.readline()
    separator = max(SEPARATORS, key=line.count)
    return next(csv.reader([line.rstrip("\r\n")], delimiter=separator), [])
