"""Conditions and small pieces of arithmetic as Ibis expressions."""

from __future__ import annotations

import operator
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import and_, or_
from typing import TYPE_CHECKING, Any, Final

from growth.engine import need_columns
from growth.errors import ParameterError
from growth.segments.evaluate import name_of_rfm

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import ibis.expr.types as ir

    from growth.segments.rules import When

__all__ = [
    "before",
    "both",
    "compared",
    "floor_ratio",
    "holds",
    "integer",
    "joined_test",
    "mask_of",
    "none",
    "rfm_name",
    "since",
    "sure",
]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
COMPARE: Final = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}


def holds(table: ir.Table, when: When) -> ir.BooleanValue:
    """Return whether a condition over tags holds, of a table with a column a tag.

    Parameters
    ----------
    table : ibis.Table
        What `tag` gives.
    when : When
        A condition that names tags only.

    Returns
    -------
    ibis boolean
        False where a tag is unknown, so that ``~a`` stays within the population.

    Raises
    ------
    ParameterError
        If it compares a metric (code ``segment_of_metrics``).
    ColumnNotFoundError
        If a tag has no column.
    """
    return sure(_over_tags(table, when))


def mask_of(table: ir.Table, whens: Sequence[When]) -> ir.IntegerValue:
    """Return which conditions over tags hold, bit i for condition i.

    Parameters
    ----------
    table : ibis.Table
        What `tag` gives.
    whens : sequence of When
        Conditions that name tags only, 1 to 62.

    Returns
    -------
    ibis integer
        Of 32 bits where those do: engines group them faster.

    Raises
    ------
    ParameterError, ColumnNotFoundError
        As `holds`.
    """
    import ibis

    kind = "int32" if len(whens) < 31 else "int64"
    zero = ibis.literal(0, kind)
    bits = (
        _over_tags(table, when).ifelse(ibis.literal(1 << i, kind), zero)
        for i, when in enumerate(whens)
    )
    return reduce(or_, bits)


def _over_tags(table: ir.Table, when: When) -> ir.BooleanValue:
    for leaf in when.leaves():
        if leaf.metric is not None:
            msg = f"the segment compares the metric {leaf.metric.op}; a segment must be"
            msg = f"{msg} over tags; make it a tag first."
            raise ParameterError(msg, code="segment_of_metrics")
        need_columns(table, [leaf.tag], unlocks="the segment")
    return joined_test(table, when, lambda leaf: table[leaf.tag])


def joined_test(
    table: ir.Table, when: When, column: Callable[[When], ir.Value]
) -> ir.BooleanValue:
    """Build a condition over a table whose columns `column` finds."""
    import ibis

    if when.op == "not":
        return ~joined_test(table, when.parts[0], column)
    if when.op in ("all", "any"):
        parts = [joined_test(table, part, column) for part in when.parts]
        join = and_ if when.op == "all" else or_
        return reduce(join, parts) if parts else ibis.literal(value=True)
    return compared(column(when), when)


def _moment(time: ir.Value, us: int) -> ir.Value:
    """Return an instant as the column's own type; a date by the day it falls into."""
    import ibis

    kind = time.type()
    at = EPOCH + timedelta(microseconds=us)
    if kind.is_date():
        # `us` is a local midnight: the date that begins there, in whatever zone
        return ibis.literal((at + timedelta(hours=12)).date())
    if kind.timezone is None:
        return ibis.literal(at.replace(tzinfo=None), "timestamp")
    return ibis.literal(at, "timestamp('UTC')")


def before(time: ir.Value, end: int) -> ir.BooleanValue:
    """Return whether a time lies before an instant, without arithmetic on rows."""
    return time < _moment(time, end)


def since(time: ir.Value, start: int) -> ir.BooleanValue:
    """Return whether a time lies at or after an instant."""
    return time >= _moment(time, start)


def integer(value: int) -> ir.Value:
    """Return a whole number."""
    import ibis

    return ibis.literal(int(value), "int64")


def none() -> ir.Value:
    """Return a whole number that is unknown."""
    import ibis

    return ibis.null().cast("int64")


def both(a: ir.BooleanValue | None, b: ir.BooleanValue | None) -> Any:  # noqa: ANN401
    """Return whether two tests hold; None is no test."""
    if a is None or b is None:
        return b if a is None else a
    return a & b


def sure(test: ir.BooleanValue) -> ir.BooleanValue:
    """Return a test in which unknown is false."""
    import ibis

    return test.fill_null(ibis.literal(value=False))


def floor_ratio(total: ir.Value, n: ir.Value) -> ir.Value:
    """Return a mean rounded down, in integers; NULL of nothing."""
    some = n.nullif(0)
    rest = ((total % some) + some) % some
    return ((total - rest) / some).cast("int64")


def compared(column: ir.Value, when: When) -> ir.BooleanValue:
    """Return a comparison of a column."""
    import ibis

    value = when.value
    listed = value if isinstance(value, tuple) else (value,)
    ready = [
        ibis.literal(v.astimezone(UTC), "timestamp('UTC')")
        if isinstance(v, datetime)
        else ibis.literal(v)
        for v in listed
    ]
    match when.op:
        case "known":
            return column.notnull() if value else column.isnull()
        case "is":
            return column if value else ~column
        case "in":
            return column.isin(ready)
        case "between":
            return (column >= ready[0]) & (column <= ready[1])
    found: ir.BooleanValue = COMPARE[when.op](column, ready[0])
    return found


def rfm_name(r: ir.Value, fm: ir.Value) -> ir.Value:
    """Return the segment of scores by its place in a list of all of them."""
    import ibis

    names = [name_of_rfm(i, j) for i in range(1, 6) for j in range(1, 6)]
    return ibis.array(names)[(r * 5 + fm - 6).cast("int64")]
