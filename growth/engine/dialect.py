"""What DuckDB and Spark say differently, said once; NULL in, NULL out.

Each function has a parity test on both engines. An engine's own functions are
reached as Ibis builtins; nothing here takes SQL text from a caller.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from growth.engine.connections import is_spark
from growth.errors import DataError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable

    import ibis.expr.types as ir

__all__ = ["aggregate_builtin", "builtin", "epoch_us", "floor_divide"]

# multiples of the divisor added so that a quotient that truncates is never negative
LIFT = 1_000_000


@cache
def builtin(name: str, returns: str, arguments: int = 1) -> Callable[..., Any]:
    """Return an engine's own scalar function, its arguments of any type."""
    import ibis

    return _udf(ibis.udf.scalar, name, returns, arguments)


@cache
def aggregate_builtin(
    name: str, returns: str, arguments: int = 1
) -> Callable[..., Any]:
    """Return an engine's own aggregate function, its arguments of any type."""
    import ibis

    return _udf(ibis.udf.agg, name, returns, arguments)


def _udf(family: Any, name: str, returns: str, arguments: int) -> Callable[..., Any]:  # noqa: ANN401
    from ibis.expr import datatypes as dt

    def one(x): ...  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202

    def two(x, y): ...  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202

    shape = {1: one, 2: two}[arguments]
    shape.__annotations__ = {"return": dt.dtype(returns)}
    made: Callable[..., Any] = family.builtin(shape, name=name)
    return made


def epoch_us(column: ir.Value) -> ir.IntegerValue:
    """Return microseconds since 1970-01-01T00:00Z, as int64.

    Parameters
    ----------
    column : timestamp or date column
        A timestamp without a zone is UTC; a date is its midnight in UTC. Fractions
        of a microsecond are cut off towards the past.

    Returns
    -------
    ibis int64
        NULL where the column is.

    Raises
    ------
    DataError
        If the column is neither (code ``column_type``): times are never guessed
        from text or numbers.
    """
    kind = column.type()
    if kind.is_date():
        name = "unix_date" if is_spark(column) else "epoch_us"
        days = builtin(name, "int64")(column)
        return days * 86_400_000_000 if is_spark(column) else days
    if not kind.is_timestamp():
        msg = f"column {column.get_name()!r} is of type {kind}; it must be a timestamp"
        msg = (
            f"{msg} or a date; map it with transform 'ms_epoch', 's_epoch' or 'local'."
        )
        raise DataError(msg, code="column_type")
    if is_spark(column):
        # a Spark timestamp without a zone is cast by the session's, which is UTC
        return builtin("unix_micros", "int64")(column.cast("timestamp('UTC')"))
    if kind.scale is not None and kind.scale > 6:
        return floor_divide(builtin("epoch_ns", "int64")(column), 1000)
    return builtin("epoch_us", "int64")(column)


def floor_divide(value: ir.IntegerValue, divisor: int) -> ir.IntegerValue:
    """Divide and round down, below zero too, without leaving the integers.

    Parameters
    ----------
    value : ibis integer
        Any number of an int64 less `divisor` times 1,000,000.
    divisor : int
        1 or more.

    Returns
    -------
    ibis int64
        The largest integer not above the quotient.

    Raises
    ------
    ParameterError
        If the divisor is not positive (code ``bad_divisor``).

    Notes
    -----
    ``//`` of Ibis goes through a double: it rounds .999999 s up once days are many,
    and both engines give -1 // 7 the other way than Python does once they truncate.
    """
    if divisor < 1:
        msg = f"divisor is {divisor}; it must be 1 or more; flip the sign of both."
        raise ParameterError(msg, code="bad_divisor")
    import ibis

    whole = ibis.literal(divisor, "int64")
    if is_spark(value):
        rest = ((value % whole) + whole) % whole
        # an exact multiple: its quotient is exact in a double up to 2**53
        return ((value - rest) / whole).cast("int64")
    lifted = value + ibis.literal(divisor * LIFT, "int64")
    return builtin("divide", "int64", 2)(lifted, whole) - ibis.literal(LIFT, "int64")
