"""Instants and business days, in integers: no zoned cast, no session setting.

The local day of an instant is ``floor((epoch_us + offset_us) / 86_400_000_000)``.
Engines lose the zone's name in a zoned cast and give the UTC day in silence; they
are never asked.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

from growth.engine.dialect import builtin, epoch_us, floor_divide
from growth.engine.statements import is_spark
from growth.errors import ParameterError, suggest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zoneinfo import ZoneInfo

    import ibis.expr.types as ir

__all__ = [
    "comparable",
    "instant",
    "local_date",
    "local_day",
    "offsets",
    "within",
    "zone",
]

DAY_US = 86_400_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROS = 6  # digits of a second
# microseconds that can be written as an instant, and where nanoseconds are counted
REACH = tuple(
    (end.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
    for end in (datetime.min, datetime.max)
)
REACH_NS = -(2**63 // 1000), 2**63 // 1000
# zones are read off over these years; before and after, the nearest offset holds
FIRST, LAST = datetime(1840, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def zone(tz: str) -> ZoneInfo:
    """Return a time zone by its IANA name.

    Parameters
    ----------
    tz : str
        Such as ``"Asia/Shanghai"`` or ``"UTC"``.

    Returns
    -------
    zoneinfo.ZoneInfo
        The zone.

    Raises
    ------
    ParameterError
        If there is none of that name (code ``bad_timezone``).
    """
    from zoneinfo import ZoneInfo, available_timezones

    try:
        return ZoneInfo(tz)
    except (KeyError, ValueError, OSError, TypeError) as error:
        msg = f"tz is {tz!r}; it must be an IANA name such as 'Asia/Shanghai'; correct"
        hint = suggest(str(tz), available_timezones())
        raise ParameterError(f"{msg} it.{hint}", code="bad_timezone") from error


def instant(as_of: date | datetime, *, tz: str = "Asia/Shanghai") -> datetime:
    """Return the instant an `as_of` stands for, in UTC.

    Parameters
    ----------
    as_of : date or aware datetime
        A date is the last day counted: its instant is the local midnight that ends
        it. A datetime is that instant.
    tz : str, default "Asia/Shanghai"
        The zone of a date.

    Returns
    -------
    datetime
        Aware, UTC. Rows at or after it do not exist yet.

    Raises
    ------
    ParameterError
        If `as_of` is a naive datetime or anything else (code ``bad_as_of``), or
        the zone is unknown (``bad_timezone``).

    Examples
    --------
    >>> instant(date(2026, 3, 1)).isoformat()
    '2026-03-01T16:00:00+00:00'
    """
    where = zone(tz)
    if isinstance(as_of, datetime):
        if as_of.utcoffset() is not None:
            return as_of.astimezone(UTC)
        msg = f"as_of is {as_of!r}, without a time zone; a datetime must have one;"
        msg = f"{msg} write datetime(..., tzinfo=UTC), or pass a date."
        raise ParameterError(msg, code="bad_as_of")
    if not isinstance(as_of, date) or as_of == date.max:
        msg = f"as_of is {as_of!r}; it must be a date (the last day counted) or an"
        raise ParameterError(f"{msg} aware datetime; pass one.", code="bad_as_of")
    following = as_of + timedelta(days=1)
    midnight = datetime(following.year, following.month, following.day, tzinfo=where)
    return midnight.astimezone(UTC)


@cache
def offsets(tz: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return a zone's transitions and offsets, both in microseconds.

    Parameters
    ----------
    tz : str
        An IANA name.

    Returns
    -------
    starts, offsets : tuple of int
        ``offsets[0]`` holds before ``starts[0]``, ``offsets[i]`` from
        ``starts[i - 1]`` on; one more offset than starts.
    """
    where = zone(tz)

    def offset(seconds: int) -> int:
        moment = (EPOCH + timedelta(seconds=seconds)).astimezone(where)
        shift = moment.utcoffset() or timedelta(0)
        return shift // timedelta(microseconds=1)

    first, last = (int(edge.timestamp()) for edge in (FIRST, LAST))
    starts, held = [], [offset(first)]
    for left, right in pairwise(range(first, last + 1, 86_400)):
        if offset(right) == held[-1]:
            continue
        before, after = left, right
        while after - before > 1:  # the first second of the new offset
            middle = (before + after) // 2
            if offset(middle) == held[-1]:
                before = middle
            else:
                after = middle
        starts.append(after * 1_000_000)
        held.append(offset(after))
    return tuple(starts), tuple(held)


def local_day(column: ir.Value, tz: str = "Asia/Shanghai") -> ir.IntegerValue:
    """Return the local date of each instant, as days since 1970-01-01.

    Parameters
    ----------
    column : timestamp or date column
        Instants; without a zone they are UTC. A date is a local date already.
    tz : str, default "Asia/Shanghai"
        The zone whose midnight ends a day.

    Returns
    -------
    ibis int32
        NULL where the column is.

    Raises
    ------
    DataError
        If the column is neither (code ``column_type``).
    ParameterError
        If the zone is unknown (code ``bad_timezone``).

    Notes
    -----
    Truncated, never rounded. The offsets of every transition from 1840 to 2100 are
    in the expression; later instants take the last one.
    """
    us = epoch_us(column)
    if column.type().is_date():
        return floor_divide(us, DAY_US).cast("int32")
    starts, held = offsets(tz)
    return floor_divide(us + _offset(us, starts, held), DAY_US).cast("int32")


def local_date(column: ir.Value, tz: str = "Asia/Shanghai") -> ir.DateValue:
    """Return the local date of each instant.

    Parameters
    ----------
    column, tz
        As in `local_day`.

    Returns
    -------
    ibis date
        NULL where the column is.

    Raises
    ------
    DataError, ParameterError
        As in `local_day`.
    """
    if column.type().is_date():
        return column
    name = "date_from_unix_date" if is_spark(column) else "make_date"
    return builtin(name, "date")(local_day(column, tz))


def _offset(
    us: ir.IntegerValue, starts: Sequence[int], held: Sequence[int]
) -> ir.IntegerValue:
    """Look up the offset of each instant, the newest period first."""
    import ibis

    if not starts:
        return ibis.literal(held[0], "int64")
    # where clocks no longer change nearly all rows stop at the first comparison
    return (us >= _int(starts[-1])).ifelse(
        _int(held[-1]), _search(us, starts[:-1], held[:-1])
    )


def _search(
    us: ir.IntegerValue, starts: Sequence[int], held: Sequence[int]
) -> ir.IntegerValue:
    """Return a balanced search: as deep as the logarithm of the transitions."""
    if not starts:
        return _int(held[0])
    middle = len(starts) // 2
    return (us < _int(starts[middle])).ifelse(
        _search(us, starts[:middle], held[: middle + 1]),
        _search(us, starts[middle + 1 :], held[middle + 1 :]),
    )


def _int(value: int) -> ir.IntegerScalar:
    import ibis

    return ibis.literal(value, "int64")


def within(table: ir.Table, column: str, first: int, last: int) -> ir.Table:
    """Keep the rows whose instant is in a range; one without any is not.

    Parameters
    ----------
    table : ibis.Table
        Any.
    column : str
        An instant, with a zone or without: then in UTC.
    first, last : int
        Microseconds since 1970, both included whole.

    Returns
    -------
    ibis.Table
        Compared as the column is stored, so that an engine can skip what its
        statistics rule out.
    """
    at = table[column]
    if not at.type().is_timestamp():
        number = epoch_us(at)
        return table.filter((number >= first) & (number <= last))
    scale = MICROS if at.type().scale is None else at.type().scale
    # an Arrow table cuts a finer edge down to its own units
    unit = 10 ** max(MICROS - scale, 0)
    low, past = -(-first // unit) * unit, (last // unit + 1) * unit
    least, most = REACH_NS if scale > MICROS else REACH
    kept = at >= _edge(at, min(max(low, least), most))
    if past <= most:  # the whole of the last microsecond, if times are finer
        kept = kept & (at < _edge(at, max(past, least)))
    return table.filter(kept)


def _edge(column: ir.Value, us: int) -> ir.Scalar:
    return comparable(column, EPOCH + timedelta(microseconds=us))


def comparable(column: ir.Value, at: datetime) -> ir.Scalar:
    """Return an instant as a literal that a column is compared with as it is stored.

    Parameters
    ----------
    column : ibis expression
        An instant, with a zone or without: then in UTC; or a date.
    at : datetime
        Aware.

    Returns
    -------
    ibis.Scalar
        Of the column's own kind; the first date not before `at` for dates.
    """
    import ibis

    kind = column.type()
    if kind.is_date():
        # an instant inside a day: the day has begun
        begun = timedelta(days=0 if at.time() == datetime.min.time() else 1)
        return ibis.literal(at.date() + begun)
    if kind.timezone is None:
        return ibis.literal(at.astimezone(UTC).replace(tzinfo=None), "timestamp(6)")
    return ibis.literal(at, "timestamp('UTC', 6)")
