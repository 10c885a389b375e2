"""Questions of a row, as Ibis expressions."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any, Final

from growth import engine
from growth.engine.days import comparable, offsets
from growth.retention.spec import ANY, Event

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import ibis.expr.types as ir

__all__ = [
    "NO",
    "between",
    "definition",
    "midnight",
    "number",
    "passes",
    "text",
    "whole_ms",
]

NO: Final = False  # what an unknown condition counts as


def passes(
    table: ir.Table, events: Sequence[Event], column: str, *, bare: bool = False
) -> ir.BooleanValue:
    """Return whether a row is one of `events`; `bare`: whatever its properties."""
    import ibis

    plain = [e.event for e in events if e.where is None or bare]
    if ANY in plain:
        return ibis.literal(value=True)
    parts = []
    if plain:
        parts.append(table[column].isin(plain))
    for event in events:
        where = None if bare else event.filter
        if where is None:
            continue
        fits = where.to_ibis(table)
        named = event.event == ANY
        parts.append(fits if named else (table[column] == event.event) & fits)
    return reduce(or_, (part.fill_null(NO) for part in parts))


def definition(events: Sequence[Event], column: str) -> engine.Where | None:
    """Return events as one filter, in the form layouts are declared in."""
    plain = [e.event for e in events if e.where is None]
    if len(plain) < len(events):
        return None
    if ANY in plain:
        return engine.parse_where(())
    test = {"eq": plain[0]} if len(plain) == 1 else {"in": plain}
    return engine.parse_where([{"col": column, **test}])


def between(column: ir.Value, start: datetime, end: datetime) -> ir.BooleanValue:
    """Return whether an instant is in a half-open range; an unknown one is not."""
    inside = (column >= comparable(column, start)) & (column < comparable(column, end))
    return inside.fill_null(NO)


def text(column: ir.Value) -> ir.StringValue:
    """Return a column as text."""
    return column.cast("string")


def number(value: int) -> ir.IntegerScalar:
    """Return a whole number as a literal."""
    import ibis

    return ibis.literal(value, "int64")


def whole_ms(column: ir.Value) -> bool:
    """Whether a column holds no finer instants than milliseconds, by its type."""
    kind = column.type()
    return bool(kind.is_date() or (kind.scale is not None and kind.scale <= 3))


def midnight(column: ir.DateValue, tz: str) -> ir.IntegerValue:
    """Return the instant a local date begins at, in microseconds since 1970."""
    local = engine.epoch_us(column)
    starts, held = offsets(tz)
    # a midnight that clocks skip, or show twice, is the earlier offset's
    edges = [us + max(held[i : i + 2]) for i, us in enumerate(starts)]

    def shift(low: int, high: int) -> Any:  # noqa: ANN401
        if low == high:
            return number(held[low])
        middle = (low + high) // 2
        before = local < number(edges[middle])
        return before.ifelse(shift(low, middle), shift(middle + 1, high))

    return local - shift(0, len(edges))
