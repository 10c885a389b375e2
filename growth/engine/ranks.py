"""Values by rank: exact order statistics, many at once in one more pass.

What an engine calls a quantile differs from engine to engine; a rank does not.
"""

from __future__ import annotations

from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, Any, NamedTuple

from growth.engine.dialect import aggregate_builtin, quantile_disc
from growth.engine.statements import backend_of, fetch
from growth.engine.tables import TableLike, as_table, need_columns
from growth.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import ibis.expr.types as ir

__all__ = ["QuantileAsk", "RankAsk", "order_statistics", "quantiles"]

CELLS = 64  # groups asked about in one statement; each adds a filter a row
HAIR = 1e-12  # 0.9 * 200 may come out a hair above 180


class RankAsk(NamedTuple):
    """Which values of a column are wanted, in which rows.

    Parameters
    ----------
    column : str
        A numeric column; NULL and NaN have no rank.
    ranks : tuple of int
        1-based, 1 to `n`.
    n : int
        Values in those rows, 1 or more: the caller has counted them.
    where : tuple of (str, object)
        Columns and the values they must have; None is NULL.
    """

    column: str
    ranks: tuple[int, ...]
    n: int
    where: tuple[tuple[str, object], ...] = ()


class QuantileAsk(NamedTuple):
    """A quantile of all rows: the column, the share, and whether 0 counts."""

    column: str
    p: float
    nonzero: bool = False


def order_statistics(
    table: TableLike, asks: Sequence[RankAsk]
) -> list[tuple[float, ...]]:
    """Return values by rank, for many columns and groups in one pass.

    Parameters
    ----------
    table : ibis.Table, frame, Arrow data or path
        What is read.
    asks : sequence of RankAsk
        What is wanted.

    Returns
    -------
    list of tuple of float
        As many as asked, in the same order; the values in the order of the ranks.

    Raises
    ------
    ColumnNotFoundError
        If a column is missing.
    ParameterError
        If a rank is outside 1..n, or there are fewer than n values (code
        ``bad_rank``).

    Notes
    -----
    On DuckDB each group is one selection (no sort) under a filter, 64 groups a
    statement. Elsewhere equal values are counted and the counts summed up.
    """
    source = as_table(table)
    for ask in asks:
        need_columns(source, (ask.column, *(name for name, _ in ask.where)))
        if not ask.ranks or not all(1 <= rank <= ask.n for rank in ask.ranks):
            msg = f"ranks are {ask.ranks} of {ask.n} values; each must be in 1..n;"
            raise ParameterError(f"{msg} correct the ranks.", code="bad_rank")
    found: list[tuple[float, ...]] = []
    fast = backend_of(source).name == "duckdb"
    for start in range(0, len(asks), CELLS):
        part = asks[start : start + CELLS]
        rows = _selected(source, part) if fast else _counted(source, part)
        for ask, values in zip(part, rows, strict=True):
            if values is None or None in values:
                msg = f"column {ask.column!r} has fewer than {ask.n} values where"
                msg += f" {dict(ask.where)}; n must be their count; count them again."
                raise ParameterError(msg, code="bad_rank")
            found.append(tuple(float(value) for value in values))
    return found


def quantiles(
    table: TableLike, asks: Mapping[str, QuantileAsk]
) -> dict[str, float | None]:
    """Return quantiles of all rows that are members of the data, in one pass.

    Parameters
    ----------
    table : ibis.Table, frame, Arrow data or path
        What is read.
    asks : mapping of str to QuantileAsk
        What is wanted, by any name.

    Returns
    -------
    dict of str to float or None
        The smallest value with a cumulative share of `p` or more; None without
        values.

    Raises
    ------
    ColumnNotFoundError
        If a column is missing.
    ParameterError
        If a share is outside (0, 1) (code ``bad_share``).
    """
    source = as_table(table)
    need_columns(source, [ask.column for ask in asks.values()])
    if wrong := [ask.p for ask in asks.values() if not 0 < ask.p < 1]:
        msg = f"p is {wrong[0]}; it must be above 0 and below 1; write p95 as 0.95."
        raise ParameterError(msg, code="bad_share")
    if not asks:
        return {}
    if backend_of(source).name != "duckdb":
        return {name: _portable(source, ask) for name, ask in asks.items()}
    asked = {}
    for i, ask in enumerate(asks.values()):
        column = source[ask.column]
        pick = aggregate_builtin(
            "quantile_disc", str(column.type().copy(nullable=True)), 2
        )
        asked[f"q{i}"] = pick(column, ask.p * (1 - HAIR), where=_seen(column, ask))
    (row,) = fetch(source.aggregate(**asked), "reading thresholds").to_pylist()
    return {
        name: None if row[f"q{i}"] is None else float(row[f"q{i}"])
        for i, name in enumerate(asks)
    }


def _portable(source: ir.Table, ask: QuantileAsk) -> float | None:
    rows = source.filter(_seen(source[ask.column], ask))
    shares = {"q": ask.p * (1 - HAIR)}
    found = fetch(quantile_disc(rows, ask.column, shares), "reading thresholds")
    values = found["q"].to_pylist()
    return float(values[0]) if values else None


def _seen(column: Any, ask: QuantileAsk) -> Any:  # noqa: ANN401
    known = _known(column)
    return known & (column != 0) if ask.nonzero else known


def _known(column: Any) -> Any:  # noqa: ANN401
    known = column.notnull()
    return known & ~column.isnan() if column.type().is_floating() else known


def _inside(table: ir.Table, ask: RankAsk) -> Any:  # noqa: ANN401
    """Return which rows an ask is about."""
    tests = [
        table[name].isnull() if value is None else table[name] == value
        for name, value in ask.where
    ]
    return reduce(and_, tests) if tests else None


def _selected(source: ir.Table, asks: Sequence[RankAsk]) -> list[Any]:
    """Let DuckDB select: the middle of a rank's step is safe from rounding."""
    import ibis

    asked = {}
    for i, ask in enumerate(asks):
        column = source[ask.column]
        pick = aggregate_builtin("quantile_disc", f"array<{column.type()}>", 2)
        shares = ibis.array([(rank - 0.5) / ask.n for rank in ask.ranks])
        inside = _inside(source, ask)
        known = _known(column)
        where = known if inside is None else known & inside
        asked[f"r{i}"] = pick(column, shares, where=where)
    (row,) = fetch(source.aggregate(**asked), "reading ranks").to_pylist()
    return [row[f"r{i}"] for i in range(len(asks))]


def _counted(source: ir.Table, asks: Sequence[RankAsk]) -> list[Any]:
    """Count equal values and sum the counts up: plain SQL, on any engine."""
    import ibis

    found: list[Any] = [None] * len(asks)
    shapes: dict[tuple[str, tuple[str, ...]], list[int]] = {}
    for i, ask in enumerate(asks):
        names = tuple(name for name, _ in ask.where)
        shapes.setdefault((ask.column, names), []).append(i)
    for (column, names), places in shapes.items():
        known = source.filter(_known(source[column]))
        counts = known.group_by([*names, column]).agg(growth_n=known.count())
        running = ibis.window(
            group_by=[counts[name] for name in names] or None,
            order_by=counts[column],
            rows=(None, 0),
        )
        upto = counts.mutate(growth_upto=counts.growth_n.sum().over(running))
        asked = {}
        for i in places:
            inside = _inside(upto, asks[i])
            for j, rank in enumerate(asks[i].ranks):
                reached = upto.growth_upto >= rank
                where = reached if inside is None else reached & inside
                asked[f"r{i}_{j}"] = upto[column].min(where=where)
        (row,) = fetch(upto.aggregate(**asked), "reading ranks").to_pylist()
        for i in places:
            found[i] = [row[f"r{i}_{j}"] for j in range(len(asks[i].ranks))]
    return found
