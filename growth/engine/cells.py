"""Moments of groups of rows: one statement for all metrics, arms, segments, days.

The statement groups by the columns asked for and by *which values are NULL*. In
such a cell a column is whole or absent, so one set of marginal and pairwise
aggregates serves every set of columns used together; the cells in which a set is
whole are merged by the formula of Chan, Golub and LeVeque. So are cells of finer
groups into coarser ones: merging is exact, only the finest groups are asked for.
"""

from __future__ import annotations

import json
from itertools import combinations
from math import frexp, isfinite, ldexp
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from growth.engine.connections import engine_call
from growth.engine.dialect import stable_sum
from growth.engine.statements import answer, backend_of, fetch, hand_over, turn
from growth.engine.tables import TableLike, as_table, need_columns
from growth.errors import DataError, ParameterError
from growth.stats.moments import Moments

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import ibis.expr.types as ir
    from ibis.backends import BaseBackend
    from numpy.typing import NDArray

__all__ = ["MomentCell", "moments"]

Columns = tuple[str, ...]
Key = tuple[object, ...]

# columns whose NULLs are told apart in one statement: 2 to this many cells at worst
PATTERN_COLUMNS = 10
LARGEST = float(np.finfo(np.float64).max)
# A double is read on a grid of so many bits over the column's range: sums of grid
# numbers are exact, so no order of summation shows, and 2**33 squares fit 127 bits.
GRID_BITS = 47
ENDS = ("min", "max")
WHOLE = 2.0**53  # integers below this are doubles too


class MomentCell(NamedTuple):
    """Moments of one group of rows.

    Parameters
    ----------
    by : tuple of str
        The columns that make the group; () is all rows.
    key : tuple
        Their values; None is a NULL.
    rows : int
        Rows (units, with `unit_col`) in the group, NULLs and all.
    moments : dict of tuple of str to Moments
        Per set of columns, over the rows in which none of them is NULL or NaN.
    nan : dict of str to int
        Rows with NaN per column, where there are any: counted as NULL, and worth
        a notice.
    """

    by: Columns
    key: Key
    rows: int
    moments: dict[Columns, Moments]
    nan: dict[str, int] = {}  # noqa: RUF012  (never written to)


def moments(
    table: TableLike,
    *,
    values: Sequence[Sequence[str] | str],
    by: Sequence[Sequence[str] | str] = ((),),
    unit_col: str | None = None,
) -> tuple[MomentCell, ...]:
    """Return means, centred second moments and extremes per group, in one scan.

    Parameters
    ----------
    table : ibis.Table, frame, Arrow data or path
        One row a unit; with `unit_col` any number of rows a unit.
    values : sequence of sequences of str
        Sets of columns used together. A row counts for a set when none of its
        columns is NULL. Integer, decimal, floating or boolean (0 or 1) columns.
    by : sequence of sequences of str, default ((),)
        Groupings; each is a tuple of columns, crossed. () is all rows.
    unit_col : str, optional
        Column of the unit: values are summed per unit (and group) first. A unit
        without any value stays NULL.

    Returns
    -------
    tuple of MomentCell
        In the order of `by`, then of the keys, NULL last. A grouping without rows
        has no cells, but () always has one.

    Raises
    ------
    ColumnNotFoundError
        If a column is missing.
    DataError
        If a value column is not numeric (code ``column_type``), or holds infinity
        (``infinite_value``) or numbers whose squares overflow (``value_too_large``).
    ParameterError
        If `values` or `by` is empty (code ``nothing_asked``).

    Notes
    -----
    On DuckDB integers, booleans and decimals are summed exactly, squares and
    products too, and doubles as integers on a grid of 2**-48 of the column's range,
    which takes a look at the ranges first: the same rows give the same bits, in
    whatever order threads meet them. The centred moments are integer arithmetic on
    the sums. Where a product leaves 127 bits, and on other engines, means of
    integers come from exact sums and second moments from the engine's own centred
    aggregates. On DuckDB the statement is the table's own SQL within GROUP BY
    GROUPING SETS, and GROUPING() tells a NULL key from a total. More than ten
    columns with NULLs in sets of several take a statement for each ten.

    References
    ----------
    Chan, Golub, LeVeque (1983), "Algorithms for computing the sample variance",
    The American Statistician 37(3).

    Examples
    --------
    >>> import pyarrow as pa
    >>> units = pa.table({"arm": ["A", "A", "B"], "fen": [100, 300, 500]})
    >>> for cell in moments(units, values=[["fen"]], by=[["arm"]]):
    ...     print(cell.key, cell.rows, cell.moments["fen",].mean)
    ('A',) 2 [200.]
    ('B',) 1 [500.]
    """
    sets = list(dict.fromkeys(_columns(item) for item in values))
    groupings = list(dict.fromkeys(_columns(item) for item in by))
    if not sets or not groupings or not all(sets):
        msg = f"values is {list(values)} and by {list(by)}; each must name something;"
        msg = f"{msg} pass values=[['column']] and by=[()] for all rows."
        raise ParameterError(msg, code="nothing_asked")
    source = as_table(table)
    keys = list(dict.fromkeys(column for grouping in groupings for column in grouping))
    names = list(dict.fromkeys(column for columns in sets for column in columns))
    need_columns(source, [*([unit_col] if unit_col else []), *keys, *names])
    for name in names:
        _check_type(name, source[name].type())
    shape = _shape(source, keys, names, groupings, unit_col)
    cells: dict[tuple[Columns, Key], MomentCell] = {}
    for chunk in _chunks(sets, _never_null(shape, names)):
        for cell in _statement(shape, chunk):
            earlier = cells.get((cell.by, cell.key))
            if earlier is not None:
                cell.moments.update(earlier.moments)
                cell.nan.update(earlier.nan)
            cells[cell.by, cell.key] = cell
    place = {grouping: i for i, grouping in enumerate(groupings)}
    return tuple(sorted(cells.values(), key=lambda c: (place[c.by], _order(c.key))))


def _columns(item: Sequence[str] | str) -> Columns:
    return (item,) if isinstance(item, str) else tuple(dict.fromkeys(item))


def _order(key: Key) -> tuple[tuple[bool, object], ...]:
    """Sort NULL last."""
    return tuple((value is None, 0 if value is None else value) for value in key)


def _check_type(name: str, kind: Any) -> None:  # noqa: ANN401
    if not (kind.is_numeric() or kind.is_boolean()):
        msg = f"column {name!r} is of type {kind}; a value must be a number or true and"
        raise DataError(f"{msg} false; cast it first.", code="column_type")


class _Shape(NamedTuple):
    """The table read, its columns renamed: k0, k1, ... are keys, v0, v1, ... values.

    `split` says that each row is of one grouping only, numbered in column g.
    """

    table: ir.Table
    keys: Columns
    names: Columns
    groupings: tuple[Columns, ...]
    split: bool

    def key(self, column: str) -> str:
        return f"k{self.keys.index(column)}"

    def value(self, column: str) -> str:
        return f"v{self.names.index(column)}"


def _shape(
    source: ir.Table,
    keys: Sequence[str],
    names: Sequence[str],
    groupings: Sequence[Columns],
    unit_col: str | None,
) -> _Shape:
    import ibis

    chosen = {f"k{i}": source[name] for i, name in enumerate(keys)}
    for i, name in enumerate(names):
        column = source[name]
        if column.type().is_boolean():
            column = column.cast("int8")
        elif column.type().is_float32() or column.type().is_float16():
            column = column.cast("float64")
        chosen[f"v{i}"] = column
    facts = (tuple(keys), tuple(names), tuple(groupings))
    if unit_col is None:
        return _Shape(source.select(**chosen), *facts, split=False)
    rows = source.select(unit=source[unit_col], **chosen)
    parts = []
    for g, grouping in enumerate(groupings):
        kept = [f"k{keys.index(column)}" for column in grouping]
        sums = {f"v{i}": stable_sum(rows[f"v{i}"]) for i in range(len(names))}
        units = rows.group_by(["unit", *kept]).agg(**sums)
        absent = {
            f"k{i}": ibis.null().cast(source[name].type())
            for i, name in enumerate(keys)
            if f"k{i}" not in kept
        }
        parts.append(
            units.mutate(g=ibis.literal(g, "int32"), **absent).select(
                "g", *(f"k{i}" for i in range(len(keys))), *sums
            )
        )
    table = parts[0] if len(parts) == 1 else ibis.union(*parts)
    return _Shape(table, *facts, split=True)


class _Chunk(NamedTuple):
    """What one statement asks for: sets of columns, and those whose NULLs matter."""

    sets: tuple[Columns, ...]
    pattern: Columns
    never_null: frozenset[str]

    def counts(self, name: str) -> bool:
        """Return whether a column must be counted: its NULLs are not told apart."""
        return name not in self.pattern and name not in self.never_null

    @property
    def names(self) -> Columns:
        return tuple(dict.fromkeys(name for columns in self.sets for name in columns))

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        at = self.names.index
        found = {
            pair: None
            for columns in self.sets
            for pair in combinations(sorted(columns, key=at), 2)
        }
        return tuple(found)


def _chunks(sets: Sequence[Columns], never_null: frozenset[str]) -> list[_Chunk]:
    """Pack sets into statements with few columns whose NULLs are told apart."""
    packed: list[tuple[list[Columns], set[str]]] = []
    for columns in sets:
        wanted = set(columns) - never_null if len(columns) > 1 else set()
        for held, pattern in packed:
            if len(pattern | wanted) <= max(PATTERN_COLUMNS, len(pattern)):
                held.append(columns)
                pattern.update(wanted)
                break
        else:
            packed.append(([columns], wanted))
    return [
        _Chunk(tuple(held), tuple(sorted(pattern)), never_null)
        for held, pattern in packed
    ]


def _never_null(shape: _Shape, names: Sequence[str]) -> frozenset[str]:
    """Return the columns known to hold no NULL, for the price of a plan.

    Only speed hangs on it: a column not known to be whole is asked about per row.
    """
    known = {
        name for name in names if _whole(shape.table[shape.value(name)].op(), depth=20)
    }
    rest = [name for name in names if name not in known]
    backend = backend_of(shape.table)
    if backend.name != "duckdb" or not rest or shape.split:
        return frozenset(known)
    asked = ", ".join(f"{shape.value(name)} IS NULL" for name in rest)
    with engine_call("planning moments"):
        sql = (
            f"EXPLAIN (FORMAT json) SELECT {asked} FROM ({_sql(backend, shape.table)})"
        )
        plan = json.loads(answer(backend, sql)[0][1])
    shown = plan[0].get("extra_info", {}).get("Projections", [])
    shown = [shown] if isinstance(shown, str) else shown
    if len(shown) == len(rest):
        known |= {name for name, s in zip(rest, shown, strict=True) if s == "false"}
    return frozenset(known)


def _whole(node: Any, depth: int) -> bool:  # noqa: ANN401
    """Return whether an Ibis value can be seen never to be NULL."""
    import ibis.expr.operations as ops

    if depth == 0:
        return False
    match node:
        case ops.IsNull() | ops.NotNull():
            return True
        case ops.Literal():
            return node.value is not None
        case ops.Coalesce():
            return any(_whole(argument, depth - 1) for argument in node.arg)
        case ops.Cast():
            return _whole(node.arg, depth - 1)
        case ops.Field() if isinstance(node.rel, ops.Project | ops.Filter | ops.Sort):
            return _whole(node.rel.values[node.name], depth - 1)
    return False


def _sql(backend: BaseBackend, table: ir.Table) -> str:
    """Return the table's own SQL, after what it needs was registered."""
    hand_over(backend, table)
    return str(backend.compile(table))


class _Found(NamedTuple):
    """What a statement gave: arrays over its cells, by column of the chunk.

    `grouping` numbers the cell's columns in `asked`; `pattern` has bit i set where
    column i of the chunk's pattern is NULL.
    """

    asked: list[Columns]
    keys: dict[str, list[object]]
    grouping: NDArray[np.int64]
    pattern: NDArray[np.int64]
    rows: NDArray[np.int64]
    counted: dict[str, NDArray[np.int64]]
    mean: dict[str, NDArray[np.float64]]
    low: dict[str, NDArray[np.float64]]
    high: dict[str, NDArray[np.float64]]
    nonzero: dict[str, NDArray[np.int64]]
    nan: dict[str, NDArray[np.int64]]
    comoment: dict[tuple[str, str], NDArray[np.float64]]

    def finite(self) -> bool:
        single = all(
            bool(np.isfinite(array[self.counted[name] > 0]).all())
            for part in (self.mean, self.low, self.high)
            for name, array in part.items()
        )
        return single and all(
            bool(
                np.isfinite(array[(self.counted[a] > 0) & (self.counted[b] > 0)]).all()
            )
            for (a, b), array in self.comoment.items()
        )


def _statement(shape: _Shape, chunk: _Chunk) -> list[MomentCell]:
    """Run a chunk; where doubles are not finite, say which or set NaN aside."""
    found = _attempt(shape, chunk, nan=())
    if found is None:
        found = _attempt(shape, chunk, nan=_nan_columns(shape, chunk))
    if found is None:
        msg = f"values of {list(chunk.names)} are so large that their squares overflow;"
        msg = f"{msg} they must stay below 1e150; rescale the column or filter it."
        raise DataError(msg, code="value_too_large")
    return _assemble(shape, chunk, found)


def _attempt(shape: _Shape, chunk: _Chunk, nan: Sequence[str]) -> _Found | None:
    table = shape.table
    if nan:
        import ibis

        columns = {shape.value(name): table[shape.value(name)] for name in nan}
        table = table.mutate(
            **{f"n{name[1:]}": c.isnan().cast("int64") for name, c in columns.items()},
            **{
                name: c.isnan().ifelse(ibis.null().cast("float64"), c)
                for name, c in columns.items()
            },
        )
    backend = backend_of(shape.table)
    seen = shape._replace(table=table)
    if backend.name != "duckdb":
        found = _elsewhere(backend, seen, chunk, nan)
        return found if found is not None and found.finite() else None
    grids = _grids(backend, seen, chunk)
    if grids is None:
        return None
    wide = {name: grid._replace(wide=True) for name, grid in grids.items()}
    found = None
    for tried in (grids, wide, {}):  # 64 bits; 128 bits; the engine's own moments
        found = _on_duckdb(backend, seen, chunk, nan, tried)
        if found is not None:
            break
    return found if found is not None and found.finite() else None


class _Grid(NamedTuple):
    """How a column is read as integers: value = middle + number * 2**-power.

    `scale` is the power of ten of a decimal instead; `wide` says that products are
    to be taken in 128 bits.
    """

    middle: float = 0.0
    power: int = 0
    scale: int = 0
    wide: bool = False
    step: float = 0.0  # 2**power, 0 where values are whole numbers as they are

    def number(self, v: str) -> str:
        """Return the SQL of a value's integer."""
        if self.scale:
            return f"({v} * {10**self.scale})::BIGINT"
        if self.step == 0:
            return f"{v}::BIGINT"
        middle, step = f"'{self.middle!r}'", f"'{self.step!r}'"
        return f"(({v} - {middle}::DOUBLE) * {step}::DOUBLE)::BIGINT"


def _grids(
    backend: BaseBackend, shape: _Shape, chunk: _Chunk
) -> dict[str, _Grid] | None:
    """Return how each column is read as integers; None if one is not finite."""
    grids: dict[str, _Grid] = {}
    doubles = []
    for name in chunk.names:
        kind = shape.table[shape.value(name)].type()
        if kind.is_floating():
            doubles.append(name)
        elif not kind.is_decimal():
            grids[name] = _Grid()
        elif (kind.precision or 38) <= 18:
            grids[name] = _Grid(scale=kind.scale or 0)
    if not doubles:
        return grids
    # a Parquet file's statistics answer this without a scan
    ends = _row(
        backend, shape, [f"{f}({shape.value(n)})" for n in doubles for f in ENDS]
    )
    ranges = dict(zip(doubles, zip(ends[::2], ends[1::2], strict=True), strict=True))
    known = {name: r for name, r in ranges.items() if r[0] is not None}
    if not all(isfinite(end) for r in known.values() for end in r):
        return None
    # whole: counts kept as doubles, as pandas makes of integers with gaps
    hopeful = [
        name
        for name, (low, high) in known.items()
        if float(low).is_integer() and float(high).is_integer()
        if max(-low, high) < WHOLE
    ]
    tests = [f"bool_and({v} = trunc({v}))" for v in map(shape.value, hopeful)]
    found = _row(backend, shape, tests) if tests else ()
    whole = {name for name, yes in zip(hopeful, found, strict=True) if yes}
    for name in doubles:
        if name in whole or name not in known:
            grids[name] = _Grid()
        elif (grid := _grid(*known[name])) is not None:
            grids[name] = grid
    return grids


def _row(backend: BaseBackend, shape: _Shape, asks: Sequence[str]) -> tuple[Any, ...]:
    """Return one row of aggregates over the whole table."""
    with engine_call("reading ranges"):
        sql = f"SELECT {', '.join(asks)} FROM ({_sql(backend, shape.table)})"
        row: tuple[Any, ...] = answer(backend, sql)[0]
    return row


def _grid(low: float, high: float) -> _Grid | None:
    """Return the grid of a column of doubles; None if its range is too extreme."""
    reach = (high - low) / 2
    power = GRID_BITS - frexp(reach)[1] if isfinite(reach) and reach else 0
    if not isfinite(reach) or not -400 < power < 1000:
        return None
    return _Grid(low + reach, power, wide=True, step=2.0**power)


def _nan_columns(shape: _Shape, chunk: _Chunk) -> list[str]:
    """Return the columns with NaN; infinity is an error that names its column."""
    columns = {
        name: column
        for name in chunk.names
        if (column := shape.table[shape.value(name)]).type().is_floating()
    }
    if not columns:
        return []
    tests = {f"nan_{i}": c.isnan().sum() for i, c in enumerate(columns.values())}
    # isinf of Ibis finds nothing on Spark
    tests |= {
        f"inf_{i}": (~c.isnan() & (c.abs() > LARGEST)).sum()
        for i, c in enumerate(columns.values())
    }
    counts = fetch(shape.table.agg(**tests), "looking for infinity").to_pylist()[0]
    for i, name in enumerate(columns):
        if counts[f"inf_{i}"]:
            msg = f"column {name!r} is infinite in {counts[f'inf_{i}']} rows; a value"
            msg = f"{msg} must be finite, or NULL where unknown; mend those rows."
            raise DataError(msg, code="infinite_value")
    return [name for i, name in enumerate(columns) if counts[f"nan_{i}"]]


def _maximal(groupings: Iterable[Columns]) -> list[Columns]:
    """Return the groupings that are not coarser than another."""
    found: list[Columns] = []
    for grouping in sorted(groupings, key=len, reverse=True):
        if not any(set(grouping) <= set(finer) for finer in found):
            found.append(grouping)
    return found


def _on_duckdb(
    backend: BaseBackend,
    shape: _Shape,
    chunk: _Chunk,
    nan: Sequence[str],
    grids: Mapping[str, _Grid],
) -> _Found | None:
    """Ask DuckDB in its own words; every name in the text is one of ours."""
    import duckdb

    keys = [f"k{i}" for i in range(len(shape.keys))]
    if shape.split:
        asked = list(shape.groupings)
        sets = [["g", *keys]]
        codes = {g: g for g in range(len(asked))}
        code = "g"
    else:
        asked = _maximal(shape.groupings)
        sets = [[shape.key(column) for column in columns] for columns in asked]
        # GROUPING has a bit for each key, the first one highest: 1 is "not grouped"
        codes = {
            int("0" + "".join("01"[key not in kept] for key in keys), 2): g
            for g, kept in enumerate(sets)
        }
        code = f"GROUPING({', '.join(keys)})" if keys else "0"
    pattern = " | ".join(
        f"(({shape.value(name)} IS NULL)::BIGINT << {i})"
        for i, name in enumerate(chunk.pattern)
    )
    asks = [f"{code} AS code", "p", "count(*) AS n", *keys]
    groups = ", ".join(f"({', '.join([*kept, 'p'])})" for kept in sets)
    numbers = "".join(
        f", {grid.number(shape.value(name))} AS i{shape.value(name)}"
        for name, grid in grids.items()
    )
    order = ", ".join(["code", "p", *keys])  # cells are merged in an order of their own
    sql = (
        f"SELECT {', '.join(asks + _aggregates(shape, chunk, nan, grids))} "
        f"FROM (SELECT *, {pattern or '0'} AS p{numbers} "
        f"FROM ({_sql(backend, shape.table)})) "
        f"GROUP BY GROUPING SETS ({groups}) ORDER BY {order}"
    )
    with engine_call("computing moments"), turn(backend):
        try:
            table = backend.con.sql(sql).to_arrow_table()
        except (duckdb.OutOfRangeException, duckdb.ConversionException):
            return None  # a variance that is no number: NaN, infinity or overflow
    return _read(shape, chunk, nan, table, asked, codes, grids)


def _product(x: str, y: str, *, wide: bool) -> str:
    """Return the SQL of an exact sum of products, as text: Arrow has no HUGEINT."""
    return f"sum(i{x}{'::HUGEINT' * wide} * i{y})::VARCHAR AS sum_{x}_{y}"


def _aggregates(
    shape: _Shape, chunk: _Chunk, nan: Sequence[str], grids: Mapping[str, _Grid]
) -> list[str]:
    found = []
    for name in chunk.names:
        v = shape.value(name)
        if name in grids:
            found += [
                f"sum(i{v})::VARCHAR AS sum_{v}",
                _product(v, v, wide=grids[name].wide),
            ]
        else:  # compensated for doubles
            mean = "favg" if shape.table[v].type().is_floating() else "avg"
            found += [f"{mean}({v}) AS mean_{v}", f"var_pop({v}) AS cov_{v}_{v}"]
        found += [
            f"min({v})::DOUBLE AS low_{v}",
            f"max({v})::DOUBLE AS high_{v}",
            f"count(nullif({v}, 0)) AS nonzero_{v}",
        ]
        if chunk.counts(name):
            found.append(f"count({v}) AS count_{v}")
        if name in nan:
            found.append(f"sum(n{v[1:]})::BIGINT AS nan_{v}")
    for a, b in chunk.pairs:
        x, y = shape.value(a), shape.value(b)
        if a in grids and b in grids:
            found.append(_product(x, y, wide=grids[a].wide or grids[b].wide))
        else:
            found.append(f"covar_pop({x}, {y}) AS cov_{x}_{y}")
    return found


def _elsewhere(
    backend: BaseBackend,  # noqa: ARG001
    shape: _Shape,
    chunk: _Chunk,
    nan: Sequence[str],
) -> _Found | None:
    """Ask any other engine through Ibis, for the finest cells only."""
    import ibis

    keys = [f"k{i}" for i in range(len(shape.keys))]
    table = shape.table.mutate(
        p=sum(
            (
                table.isnull().ifelse(1 << i, 0).cast("int64")
                for i, table in enumerate(
                    shape.table[shape.value(name)] for name in chunk.pattern
                )
            ),
            start=ibis.literal(0, "int64"),
        )
    )
    asks: dict[str, Any] = {"n": table.count()}
    for name in chunk.names:
        v = shape.value(name)
        column = table[v]
        double = column.cast("float64")
        if column.type().is_floating():
            asks[f"mean_{v}"] = column.mean()
        else:  # exact, divided here
            scale = getattr(column.type(), "scale", 0) or 0
            asks[f"sum_{v}"] = column.cast(f"decimal(38, {scale})").sum()
        asks |= {
            f"cov_{v}_{v}": double.var(how="pop"),
            f"low_{v}": double.min(),
            f"high_{v}": double.max(),
            f"nonzero_{v}": (column != 0).sum(),
            f"count_{v}": column.count(),
        }
        if name in nan:
            asks[f"nan_{v}"] = table[f"n{v[1:]}"].sum()
    for a, b in chunk.pairs:
        x, y = shape.value(a), shape.value(b)
        pair = (table[x].cast("float64"), table[y].cast("float64"))
        asks[f"cov_{x}_{y}"] = pair[0].cov(pair[1], how="pop")
    by = ["g", *keys, "p"] if shape.split else [*keys, "p"]
    cells = table.group_by(by).agg(**asks)
    asked = list(shape.groupings) if shape.split else [shape.keys]
    found = fetch(cells, "computing moments")
    code = found["g"] if shape.split else [0] * found.num_rows
    found = found.append_column("code", [code] if shape.split is False else code)
    return _read(shape, chunk, nan, found, asked, {g: g for g in range(len(asked))})


def _read(
    shape: _Shape,
    chunk: _Chunk,
    nan: Sequence[str],
    table: Any,  # noqa: ANN401
    asked: list[Columns],
    codes: Mapping[int, int],
    grids: Mapping[str, _Grid] | None = None,
) -> _Found:
    """Turn a statement's rows into arrays; absent values are 0 with a count of 0."""

    def integers(name: str) -> NDArray[np.int64]:
        return np.array([int(v or 0) for v in table[name].to_pylist()], np.int64)

    def doubles(name: str) -> NDArray[np.float64]:
        values = table[name].to_pylist()
        return np.array([0.0 if v is None else float(v) for v in values], np.float64)

    rows = integers("n")
    pattern = integers("p")
    at = {name: shape.value(name) for name in chunk.names}
    count = {}
    for name, v in at.items():
        if f"count_{v}" in table.column_names:
            count[name] = integers(f"count_{v}")
        elif name in chunk.pattern:
            absent = (pattern >> chunk.pattern.index(name)) & 1
            count[name] = np.where(absent == 1, 0, rows)
        else:
            count[name] = rows
    mean = {}
    held = grids or {}
    sums = {
        name: [int(s or 0) for s in table[f"sum_{at[name]}"].to_pylist()]
        for name in held
    }
    for name, v in at.items():
        if name in held:
            mean[name] = _means(held[name], sums[name], count[name].tolist())
        elif f"sum_{v}" in table.column_names:
            totals = table[f"sum_{v}"].to_pylist()
            each = zip(totals, count[name].tolist(), strict=True)
            mean[name] = np.array([float(s / n) if n else 0.0 for s, n in each])
        else:
            mean[name] = doubles(f"mean_{v}")
    comoment = {}
    for a, b in (*((name, name) for name in at), *chunk.pairs):
        n = np.minimum(count[a], count[b])
        if a in held and b in held:
            products = table[f"sum_{at[a]}_{at[b]}"].to_pylist()
            parts = zip(products, sums[a], sums[b], n.tolist(), strict=True)
            comoment[a, b] = _centred(held[a], held[b], parts)
        else:
            comoment[a, b] = doubles(f"cov_{at[a]}_{at[b]}") * n
    return _Found(
        asked=asked,
        keys={key: table[shape.key(key)].to_pylist() for key in shape.keys},
        grouping=np.array([codes[code] for code in integers("code").tolist()], int),
        pattern=pattern,
        rows=rows,
        counted=count,
        mean=mean,
        low={name: doubles(f"low_{v}") for name, v in at.items()},
        high={name: doubles(f"high_{v}") for name, v in at.items()},
        nonzero={name: integers(f"nonzero_{v}") for name, v in at.items()},
        nan={name: integers(f"nan_{at[name]}") for name in nan},
        comoment=comoment,
    )


def _means(
    grid: _Grid, sums: Iterable[int], counts: Iterable[int]
) -> NDArray[np.float64]:
    """Return means from exact sums: one division, then back to the column's unit."""
    unit = 10**grid.scale
    return np.array(
        [
            grid.middle + ldexp(s / (n * unit), -grid.power) if n else 0.0
            for s, n in zip(sums, counts, strict=True)
        ]
    )


def _centred(
    a: _Grid, b: _Grid, parts: Iterable[tuple[str | None, int, int, int]]
) -> NDArray[np.float64]:
    """Return centred co-moments: integers up to the one division at the end."""
    unit = 10 ** (a.scale + b.scale)
    power = -a.power - b.power
    return np.array(
        [
            ldexp((n * int(xy) - x * y) / (n * unit), power) if xy and n else 0.0
            for xy, x, y, n in parts
        ]
    )


def _assemble(shape: _Shape, chunk: _Chunk, found: _Found) -> list[MomentCell]:
    """Merge the statement's cells into the groups that were asked for."""
    cells = []
    for grouping in shape.groupings:
        source = min(
            (
                g
                for g, columns in enumerate(found.asked)
                if (columns == grouping if shape.split else {*grouping} <= {*columns})
            ),
            key=lambda g: len(found.asked[g]),
        )
        at = np.flatnonzero(found.grouping == source)
        groups: dict[Key, list[int]] = {} if grouping else {(): []}
        columns = [found.keys[column] for column in grouping]
        for i in at.tolist():
            groups.setdefault(tuple(c[i] for c in columns), []).append(i)
        for key, members in groups.items():
            inside = np.array(members, dtype=np.int64)
            cells.append(
                MomentCell(
                    grouping,
                    key,
                    int(found.rows[inside].sum()),
                    {
                        columns: _merge(chunk, found, columns, inside)
                        for columns in chunk.sets
                    },
                    {
                        name: int(total)
                        for name, array in found.nan.items()
                        if (total := array[inside].sum())
                    },
                )
            )
    return cells


def _merge(
    chunk: _Chunk, found: _Found, columns: Columns, inside: NDArray[np.int64]
) -> Moments:
    """Merge the cells in which none of `columns` is NULL."""
    bits = sum(1 << i for i, name in enumerate(chunk.pattern) if name in columns)
    whole = inside[(found.pattern[inside] & bits) == 0]
    n = found.counted[columns[0]][whole]
    whole, n = whole[n > 0], n[n > 0]
    if not len(whole):
        return Moments.empty(columns)
    order = chunk.names.index
    total = int(n.sum())
    means = np.stack([found.mean[name][whole] for name in columns], axis=1)
    share = n / total
    pivot = means[0]  # the weights meet small numbers only
    mean = pivot + share @ (means - pivot)
    away = means - mean
    comoment = (away * n[:, None]).T @ away
    for i, a in enumerate(columns):
        for j, b in enumerate(columns):
            pair = (a, b) if order(a) <= order(b) else (b, a)
            comoment[i, j] += found.comoment[pair][whole].sum()
    return Moments(
        columns=columns,
        n=total,
        mean=mean,
        comoment=comoment,
        minimum=np.array([found.low[name][whole].min() for name in columns]),
        maximum=np.array([found.high[name][whole].max() for name in columns]),
        nonzero=np.array([found.nonzero[name][whole].sum() for name in columns]),
    )
