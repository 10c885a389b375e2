"""A table that is nothing but Parquet files: which they are, and their columns.

What an engine adds to reading a file (texts made of what is a dictionary there, rows
copied into its own vectors and out again) costs more than the reading. Where a table
only names files, they are read as they lie.
"""

from __future__ import annotations

import os
import re
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from growth.engine.connections import engine_call
from growth.engine.statements import answer, backend_of, fetch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import ibis.expr.types as ir
    import pyarrow as pa

    # users, times as integers, events as a dictionary, and what else was asked for
    Group = tuple[pa.Array, pa.Array, pa.DictionaryArray, list[pa.Array]]

__all__ = ["Files", "count_nulls", "files_of"]

TEXT: Final = r"'(?:[^']|'')*'"
SURE: Final = r"CAST\('[tf]' AS BOOLEAN\)"
# the whole of a view that Ibis makes of files, as DuckDB tells it
VIEW: Final = re.compile(
    r"CREATE (?:TEMP )?VIEW .* AS SELECT \* FROM read_parquet"
    rf"\((?:main\.)?list_value\((?P<paths>{TEXT}(?:, {TEXT})*)\)"
    rf"(?:, \((?:union_by_name|hive_partitioning) = {SURE}\))*\);",
    re.DOTALL,
)
UNITS: Final = {"us": 1, "ms": 1000}
MOST_GROUP: Final = 1 << 21  # rows that are read at once


class Files(NamedTuple):
    """Parquet files that say what some columns of a table say.

    Parameters
    ----------
    paths : list of str
        The files, in the order the engine has them.
    metadata : list of pyarrow.parquet.FileMetaData
        What each says of itself.
    columns : tuple of str
        What is read: user, time, event, and what else was asked for.
    texts : tuple of str
        Those of them that are read as dictionaries.
    unit_us : int
        Microseconds in one of the second column, which holds times.
    """

    paths: list[str]
    metadata: list[Any]
    columns: tuple[str, ...]
    texts: tuple[str, ...]
    unit_us: int

    def groups(self, low: int, high: int, *, threads: int) -> Iterator[Group]:
        """Yield the rows, a row group at a time.

        Parameters
        ----------
        low, high : int
            Microseconds since 1970; row groups all before or after are left out.
        threads : int
            Groups that are read at once, 1 or more.

        Yields
        ------
        tuple of pyarrow.Array
            Users, times as integers, events as a dictionary, and a list of the
            other columns, texts as dictionaries.

        Raises
        ------
        DataError
            If a file cannot be read (code ``engine_failed``).
        """
        asked = (
            (i, group)
            for i, metadata in enumerate(self.metadata)
            for group in range(metadata.num_row_groups)
            if self._touches(metadata.row_group(group), low, high)
        )
        waiting: deque[Any] = deque()
        with ThreadPoolExecutor(threads) as pool, engine_call("reading rows"):
            for place in asked:
                waiting.append(pool.submit(self._group, *place))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _group(self, i: int, group: int) -> Group:
        import pyarrow as pa
        import pyarrow.parquet as pq

        names = list(self.columns)
        with pq.ParquetFile(
            self.paths[i], metadata=self.metadata[i], read_dictionary=[*self.texts]
        ) as file:
            rows = file.read_row_group(group, columns=names, use_threads=False)
        found = []
        for name in names:  # as asked for: the file has them in its own order
            column = rows[name]
            if name in self.texts:
                column = column.unify_dictionaries()
            one = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
            if name in self.texts:
                one.dictionary.validate(full=True)  # an engine refuses what is no text
            found.append(one)
        users, times, events, *more = found
        return users, times.view(pa.int64()), events, more

    def _touches(self, group: Any, low: int, high: int) -> bool:  # noqa: ANN401
        """Whether a row group may hold times in a range, by its statistics."""
        for i in range(group.num_columns):
            column = group.column(i)
            if column.path_in_schema == self.columns[1]:
                known = column.statistics
                if known is None or not known.has_min_max:
                    return True
                least, most = known.min_raw, known.max_raw
                return bool(least * self.unit_us <= high and most * self.unit_us >= low)
        return True


def files_of(
    table: ir.Table, user: str, time: str, event: str, *more: str
) -> Files | None:
    """Return the Parquet files a table is, if it is nothing else.

    Parameters
    ----------
    table : ibis.Table
        Any.
    user, time, event : str
        The columns that are read: integers or text, instants, text.
    *more : str
        Others: text, integers or booleans.

    Returns
    -------
    Files or None
        None where the table is anything but files on this machine, read whole, that
        all have the columns in the types the engine gives them.
    """
    kinds = table.schema()
    asked = (user, time, event, *more)
    texts = tuple(name for name in asked[2:] if kinds[name].is_string())
    if not (
        len(set(asked)) == len(asked)
        and (kinds[user].is_integer() or kinds[user].is_string())
        and kinds[time].is_timestamp()
        and kinds[event].is_string()
        and all(
            name in texts or kinds[name].is_integer() or kinds[name].is_boolean()
            for name in more
        )
    ):
        return None
    paths = _paths(table)
    if not paths or any(_is_folder(path, asked) for path in paths):
        return None
    metadata = []
    units = set()
    for path in paths:
        found = _metadata(path)
        schema = found and found.schema.to_arrow_schema()
        if schema is None or any(schema.get_field_index(name) < 0 for name in asked):
            return None
        if not all(_same(kinds[name], schema.field(name).type) for name in asked):
            return None
        if max(_rows(found)) > MOST_GROUP:
            return None
        metadata.append(found)
        units.add(schema.field(time).type.unit)
    if len(units) != 1:
        return None
    return Files(paths, metadata, asked, texts, UNITS[units.pop()])


def count_nulls(table: ir.Table, columns: Sequence[str]) -> dict[str, int]:
    """Count the rows in which columns are NULL, each for itself.

    Parameters
    ----------
    table : ibis.Table
        Any.
    columns : sequence of str
        Of the table.

    Returns
    -------
    dict of str to int
        By column; of files that say so in their statistics nothing is read.
    """
    found = _stated_nulls(table, columns)
    if found is not None:
        return found
    # one by one: a filter of one column skips what its statistics rule out
    return {
        name: int(
            fetch(
                table.filter(table[name].isnull()).count().as_table(), "counting rows"
            )[0][0].as_py()
        )
        for name in columns
    }


def _stated_nulls(table: ir.Table, columns: Sequence[str]) -> dict[str, int] | None:
    paths = _paths(table)
    if not paths or any(_is_folder(path, columns) for path in paths):
        return None
    found = dict.fromkeys(columns, 0)
    for path in paths:
        metadata = _metadata(path)
        if metadata is None:
            return None
        leaves = [metadata.schema.column(i).path for i in range(metadata.num_columns)]
        if not set(columns) <= set(leaves):
            return None
        places = {name: leaves.index(name) for name in columns}
        for i in range(metadata.num_row_groups):
            group = metadata.row_group(i)
            for name, place in places.items():
                known = group.column(place).statistics
                if known is None or not known.has_null_count:
                    return None
                found[name] += known.null_count
    return found


def _paths(table: ir.Table) -> list[str]:
    """Return the files behind a view that names nothing but files."""
    import ibis.expr.operations as ops

    named = table.op()
    if not isinstance(named, ops.DatabaseTable):
        return []
    backend: Any = backend_of(table)
    if backend.name != "duckdb" or named.namespace.database is not None:
        return []
    with engine_call("looking at a table"):
        views = answer(
            backend, "SELECT sql FROM duckdb_views() WHERE view_name = ?", [named.name]
        )
        # two of one name, in two places: whichever is meant
        found = VIEW.fullmatch(views[0][0]) if len(views) == 1 else None
        if found is None:
            return []
        patterns = [
            text[1:-1].replace("''", "'") for text in re.findall(TEXT, found["paths"])
        ]
        rows = answer(backend, "SELECT file FROM glob(?)", [patterns])
    paths = [path for (path,) in rows]
    return paths if all(os.path.isfile(path) for path in paths) else []


def _is_folder(path: str, names: Sequence[str]) -> bool:
    """Whether a path says the value of a column: its folders overrule the file."""
    said = {
        part.partition("=")[0].casefold() for part in path.split("/") if "=" in part
    }
    return not said.isdisjoint(name.casefold() for name in names)


def _metadata(path: str) -> Any:  # noqa: ANN401
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_metadata(path)
    except (pa.ArrowException, OSError):
        return None  # the engine says what is wrong with it


def _rows(metadata: Any) -> list[int]:  # noqa: ANN401
    groups = range(metadata.num_row_groups)
    return [0, *(metadata.row_group(i).num_rows for i in groups)]


def _same(kind: Any, there: pa.DataType) -> bool:  # noqa: ANN401
    """Whether a file holds a column in the type the engine gives it."""
    import pyarrow.types as pt

    if kind.is_string():
        inner = there.value_type if pt.is_dictionary(there) else there
        return bool(pt.is_string(inner) or pt.is_large_string(inner))
    if kind.is_timestamp():
        zoned = kind.timezone is not None
        return bool(
            pt.is_timestamp(there)
            and there.unit in UNITS
            and (there.tz is not None) == zoned
        )
    return bool(there == kind.to_pyarrow())
