"""What DuckDB and Spark say differently, said once; NULL in, NULL out.

Each function has a parity test on both engines. An engine's own functions are
reached as Ibis builtins; nothing here takes SQL text from a caller.
"""

from __future__ import annotations

from functools import cache, reduce
from hashlib import sha256
from math import ceil
from operator import and_
from typing import TYPE_CHECKING, Any

from growth.engine.statements import is_spark
from growth.errors import DataError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import ibis.expr.types as ir

__all__ = [
    "aggregate_builtin",
    "bit_or",
    "builtin",
    "epoch_us",
    "first_by",
    "floor_divide",
    "ordered_collect",
    "quantile_disc",
    "shard_by_user",
    "shift",
    "stable_bucket",
    "stable_bucket_of",
    "stable_label",
    "stable_sum",
]

HIGHEST_BIT = 62  # bit 63 is the sign
HEX_DIGITS = 15  # 60 bits: a positive int64
PLACE_DIGITS = 13  # 52 bits: exact in a double, as places in [0, 1) are
FRACTION = 2.0**52  # to which a fraction of one is read, in whole numbers
WHOLE = 1e18  # below which the whole part of a double is a long integer
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

    def three(x, y, z): ...  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202

    shape = (one, two, three)[arguments - 1]
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


def shift(bit: int | ir.IntegerValue) -> ir.IntegerValue:
    """Return an int64 with one bit set.

    Parameters
    ----------
    bit : int or ibis integer
        The bit, 0 to 62.

    Returns
    -------
    ibis int64
        NULL where a column is NULL or out of range.

    Raises
    ------
    ParameterError
        If a number is out of range (code ``bad_bit``).
    """
    import ibis

    one = ibis.literal(1).cast("int64")  # typed alone it is shifted in 32 bits on Spark
    if isinstance(bit, int):
        if not 0 <= bit <= HIGHEST_BIT:
            msg = f"bit is {bit}; it must be in 0..{HIGHEST_BIT}; use another word."
            raise ParameterError(msg, code="bad_bit")
        return one << ibis.literal(bit, "int32")
    fits = bit.between(0, HIGHEST_BIT)
    safe = fits.ifelse(bit, 0).cast("int32")
    return fits.ifelse(one << safe, ibis.null().cast("int64"))


def bit_or(column: ir.IntegerValue) -> ir.IntegerScalar:
    """Return the bitwise OR of a group.

    Parameters
    ----------
    column : ibis integer
        Taken as int64; NULLs are skipped.

    Returns
    -------
    ibis int64
        NULL for a group without a value.
    """
    return aggregate_builtin("bit_or", "int64")(column.cast("int64"))


def stable_bucket(unit: ir.Value, n: int, salt: str) -> ir.IntegerValue:
    """Put each unit into one of `n` buckets, the same on every engine and always.

    Parameters
    ----------
    unit : ibis text or integer
        The id.
    n : int
        Buckets, 1 to 2**60.
    salt : str
        Another salt gives another, independent split.

    Returns
    -------
    ibis int64
        In 0..n-1; NULL where the id is.

    Raises
    ------
    ParameterError
        If `n` is out of range (code ``bad_buckets``).

    Notes
    -----
    ``int(first 15 hex digits of sha256(salt + ":" + id), 16) mod n``; see
    `stable_bucket_of` for the same in Python.
    """
    import ibis

    _check_buckets(n)
    text = ibis.literal(f"{salt}:") + unit.cast("string")
    number = _hex_number(text.hexdigest("sha256").left(HEX_DIGITS))
    return (number % ibis.literal(n, "int64")).cast("int64")


def shard_by_user(user: ir.Value, n: int) -> ir.IntegerValue:
    """Put each user's rows into one of `n` parts, the same on every engine.

    Parameters
    ----------
    user : ibis text or integer
        The user; an integer such as ``user_idx`` is 0 or more.
    n : int
        Parts, 1 to 2**60.

    Returns
    -------
    ibis int64
        ``user % n`` of an integer, `stable_bucket` of a text; NULL where the user is.

    Raises
    ------
    ParameterError
        If `n` is out of range (code ``bad_buckets``).
    DataError
        If the user is neither (code ``column_type``).
    """
    import ibis

    _check_buckets(n)
    kind = user.type()
    if kind.is_integer():
        return user.cast("int64") % ibis.literal(n, "int64")
    if not kind.is_string():
        msg = f"column {user.get_name()!r} is of type {kind}; a user is a text or an"
        raise DataError(f"{msg} integer; cast it first.", code="column_type")
    return stable_bucket(user, n, "shard")


def _hex_number(digits: ir.StringValue) -> ir.IntegerValue:
    import ibis

    if is_spark(digits):
        return builtin("conv", "string", 3)(digits, 16, 10).cast("int64")
    return (ibis.literal("0x") + digits).cast("int64")


def stable_label(
    unit: ir.Value,
    ranges: Mapping[str, tuple[float, float]],
    *,
    layer: str,
    salt: str,
) -> ir.StringValue:
    """Return whose range of [0, 1) holds each unit, as assignment in services does.

    Parameters
    ----------
    unit : ibis text or integer
        The id, without U+001F.
    ranges : mapping of str to (float, float)
        Half-open ranges by label, 1 or more; the first that fits counts.
    layer, salt : str
        As in `growth.stats.hashing.place`, which gives the same place in Python.

    Returns
    -------
    ibis string
        NULL where no range holds the unit, and where the id is NULL or empty.

    Notes
    -----
    The first 13 hex digits of ``sha256(layer + U+001F + salt + U+001F + unit)`` are
    compared as integers: no decimal literal stands between the engines.
    """
    import ibis

    name = unit.cast("string").nullif("")
    text = ibis.literal(f"{layer}\x1f{salt}\x1f") + name
    at = _hex_number(text.hexdigest("sha256").left(PLACE_DIGITS))
    whole = 2 ** (4 * PLACE_DIGITS)
    cases = [
        ((at >= ceil(low * whole)) & (at < ceil(high * whole)), ibis.literal(label))
        for label, (low, high) in ranges.items()
    ]
    return ibis.cases(*cases)


def stable_bucket_of(unit: str | int, n: int, salt: str) -> int:
    """Return the bucket of one unit, without an engine.

    Parameters
    ----------
    unit : str or int
        The id.
    n, salt
        As in `stable_bucket`.

    Returns
    -------
    int
        In 0..n-1.

    Raises
    ------
    ParameterError
        If `n` is out of range (code ``bad_buckets``).

    Examples
    --------
    >>> stable_bucket_of("u1", 100, "aa")
    70
    """
    _check_buckets(n)
    digest = sha256(f"{salt}:{unit}".encode()).hexdigest()
    return int(digest[:HEX_DIGITS], 16) % n


def _check_buckets(n: int) -> None:
    if not 1 <= n <= 2 ** (4 * HEX_DIGITS):
        msg = f"n is {n}; it must be in 1..2**60; pass the number of buckets."
        raise ParameterError(msg, code="bad_buckets")


def stable_sum(column: ir.Value, *, where: ir.BooleanValue | None = None) -> ir.Value:
    """Return a sum with the same bits in whatever order an engine meets the rows.

    Parameters
    ----------
    column : ibis.Value
        Numbers.
    where : ibis.BooleanValue, optional
        Which rows are summed; all if omitted.

    Returns
    -------
    ibis.Value
        The sum; NULL of nothing. On DuckDB doubles are summed as whole numbers and
        52-bit fractions, exactly but for what lies below 2**-53; infinities, NaN and
        what exceeds 1e18 as they are. Spark sums doubles as it meets them.
    """
    if not column.type().is_floating() or is_spark(column):
        return column.sum(where=where)
    number = column.cast("float64")
    plain = number.abs() < WHOLE
    part = plain.ifelse(number, None)
    whole = part.round()
    total = (
        _zeroed(whole.cast("int64").sum(where=where))
        + _zeroed(((part - whole) * FRACTION).cast("int64").sum(where=where)) / FRACTION
        + _zeroed(plain.ifelse(None, number).sum(where=where))
    )
    return (column.count(where=where) > 0).ifelse(total, None)


def _zeroed(total: ir.Value) -> ir.Value:
    return total.fill_null(0).cast("float64")


def ordered_collect(**fields: ir.Value) -> ir.ArrayValue:
    """Collect a group's rows as structs, sorted by their fields left to right.

    Parameters
    ----------
    **fields : ibis values
        The fields, in the order they sort by. Within a field NULL comes first.

    Returns
    -------
    ibis array of struct
        Every row of the group, NULLs and ties and all.

    Notes
    -----
    DuckDB sorts a NULL within a struct last and Spark first, so each field is
    preceded, while sorting, by whether it is known.
    """
    import ibis

    keyed = {}
    for i, value in enumerate(fields.values()):
        keyed[f"known_{i}"] = value.notnull().cast("int8")
        keyed[f"field_{i}"] = value
    rows = ibis.struct(keyed).collect().sort()
    return rows.map(
        lambda row: ibis.struct(
            {name: row[f"field_{i}"] for i, name in enumerate(fields)}
        )
    )


def first_by(value: ir.Value, *order: ir.Value) -> ir.Scalar:
    """Return the value of a group's first row.

    Parameters
    ----------
    value : ibis value
        What is returned; it may be NULL.
    *order : ibis values
        What the rows are ordered by, left to right. A row with NULL among them is
        left out. Rows that tie have the smallest value first, NULL before all, so
        the answer never hangs on chance.

    Returns
    -------
    ibis value
        NULL where no row is left.
    """
    import ibis

    whole = reduce(and_, (column.notnull() for column in order))
    fields = {f"by_{i}": column for i, column in enumerate(order)}
    fields |= {"known": value.notnull().cast("int8"), "value": value}
    row = ibis.struct(fields)
    smallest = aggregate_builtin("min", str(row.type()))
    return smallest(row, where=whole)["value"]


def quantile_disc(
    table: ir.Table,
    column: str,
    ps: Mapping[str, float],
    *,
    by: Sequence[str] = (),
) -> ir.Table:
    """Return quantiles that are members of the data.

    Parameters
    ----------
    table : ibis.Table
        Any rows; NULL (and NaN) in the column are skipped.
    column : str
        The column.
    ps : mapping of str to float
        Shares in [0, 1], by the name of the column each becomes.
    by : sequence of str, optional
        Columns of the groups; all rows are one group if omitted.

    Returns
    -------
    ibis.Table
        `by` and one column a share, of the column's own type: the smallest value
        whose cumulative share is `p` or more. A group without a value has no row.

    Raises
    ------
    ParameterError
        If a share is outside [0, 1] or none is given (code ``bad_share``).

    Notes
    -----
    Counts per value and a running sum: the same on every engine, where their own
    functions interpolate or are missing.
    """
    import ibis

    if not ps or not all(0 <= p <= 1 for p in ps.values()):
        msg = f"ps is {dict(ps)}; it must hold shares in [0, 1]; write p95 as 0.95."
        raise ParameterError(msg, code="bad_share")
    known = table.filter(table[column].notnull())
    if known[column].type().is_floating():
        known = known.filter(~known[column].isnan())
    counts = known.group_by([*by, column]).agg(growth_n=known.count())
    group = [counts[name] for name in by] or None
    running = ibis.window(group_by=group, order_by=counts[column], rows=(None, 0))
    whole = ibis.window(group_by=group)
    shares = counts.mutate(
        growth_share=counts.growth_n.sum().over(running).cast("float64")
        / counts.growth_n.sum().over(whole)
    )
    asks = {
        name: shares[column].min(where=shares.growth_share >= p)
        for name, p in ps.items()
    }
    if by:
        return shares.group_by(list(by)).agg(**asks)
    found = shares.agg(**asks)
    return found.filter(found[next(iter(ps))].notnull())
