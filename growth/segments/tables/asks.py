"""A question about a user's rows of one table, and the aggregate that answers it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from growth.engine import epoch_us
from growth.engine.dialect import aggregate_builtin
from growth.segments.ops import IDS, TIMES
from growth.segments.tables.expressions import before, both, since

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from growth.engine.where import Where

__all__ = ["Ask", "value_of"]


class Ask(NamedTuple):
    """A question about a user's rows of one table.

    Parameters
    ----------
    what : str
        ``rows latest earliest within days distinct known known_above sum sum_above
        min max first last``; ``first_row`` and ``last_row`` are the value with its
        place in time.
    where : Where or None
        Rows that count.
    last : int or None
        Local days that count, up to `as_of`.
    tz : str
        Whose days; "" where it makes no difference to the rows that count.
    col : str
        The column read.
    span : tuple of int
        Of ``within``: the instants, the second not included.
    """

    what: str
    where: Where | None = None
    last: int | None = None
    tz: str = ""
    col: str = ""
    span: tuple[int, int] = (0, 0)


def value_of(ask: Ask, table: ir.Table, name: str, rows: Any) -> ir.Value:  # noqa: ANN401
    """Return a question as an aggregate over the rows that count (None: all)."""
    if ask.what.startswith(("first", "last")):
        row = _edge(ask.what, table, name, table[ask.col], rows)
        return row if ask.what.endswith("_row") else row["value"]
    if ask.col:
        return _of_column(ask.what, table, table[ask.col], rows)
    time = table[TIMES[name]]
    match ask.what:
        case "rows":
            return table.count(where=rows)
        case "latest":
            return time.max(where=rows)
        case "earliest":
            return time.min(where=rows)
    inside = since(time, ask.span[0]) & before(time, ask.span[1])
    return table.count(where=both(rows, inside))


def _of_column(what: str, table: ir.Table, value: ir.Value, rows: Any) -> ir.Value:  # noqa: ANN401
    match what:
        case "known":
            return table.count(where=both(rows, value.notnull()))
        case "known_above":
            return table.count(where=both(rows, value > 0))
        case "sum":
            return _summed(value, rows)
        case "sum_above":
            return _summed(value, both(rows, value > 0))
    if value.type().is_floating():
        rows = both(rows, ~value.isnan())
    match what:
        case "min":
            return value.min(where=rows)
        case "max":
            return value.max(where=rows)
    return value.nunique(where=rows)  # days, distinct


def _summed(value: ir.Value, rows: Any) -> ir.Value:  # noqa: ANN401
    # DuckDB's sum is wider than Ibis believes, and all after it would be slow
    total = aggregate_builtin("sum", "decimal(38, 0)")
    told = total(value) if rows is None else total(value, where=rows)
    return told.cast("int64")


def _edge(
    what: str,
    table: ir.Table,
    name: str,
    value: ir.Value,
    rows: Any,  # noqa: ANN401
) -> ir.Value:
    """Return a column's value on the first or last row, ties by id, with its order."""
    import ibis

    if value.type().is_floating():
        value = value.isnan().ifelse(ibis.null().cast(value.type()), value)
    key = IDS.get(name, "")
    ids = table[key] if key in table.columns else ibis.literal("")
    ids = (ids if ids.type().is_string() else ids.cast("string")).fill_null("")
    parts = {
        "us": epoch_us(table[TIMES[name]]),
        "id": ids,
        "known": value.notnull().cast("int8"),
        "value": value,
    }
    row = ibis.struct(parts)
    early = what.startswith("first")
    pick = aggregate_builtin("min" if early else "max", str(row.type()))
    return pick(row) if rows is None else pick(row, where=rows)
