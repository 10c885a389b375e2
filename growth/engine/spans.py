"""Durations and the edges of ranges, as people write them."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final

from growth.engine.days import instant
from growth.errors import ParameterError

__all__ = ["duration", "last_known", "moment"]

_SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(us|ms|s|m|h|d|w)")
_SECONDS: Final = {
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1,
    "m": 60,
    "h": 3600,
    "d": 86_400,
    "w": 604_800,
}


def duration(value: object, name: str) -> timedelta:
    """Return a duration.

    Parameters
    ----------
    value : str or timedelta
        ``"90s"``, ``"30m"``, ``"6h"``, ``"7d"``, ``"1w"``; also ``us`` and ``ms``.
    name : str
        The parameter, for the message.

    Returns
    -------
    timedelta
        0 or more.

    Raises
    ------
    ParameterError
        If it is neither, or below 0 (code ``range``).

    Examples
    --------
    >>> duration("36h", "window")
    datetime.timedelta(days=1, seconds=43200)
    """
    if isinstance(value, timedelta) and value >= timedelta(0):
        return value
    found = _SPAN.fullmatch(value.strip()) if isinstance(value, str) else None
    if found:
        try:
            return timedelta(seconds=float(found[1]) * _SECONDS[found[2]])
        except OverflowError:
            pass
    msg = f"{name} is {value!r}; it must be a timedelta of 0 or more, or a number with"
    raise ParameterError(f"{msg} s, m, h, d or w; write '7d'.", code="range")


def moment(value: object, name: str, *, tz: str) -> datetime:
    """Return the instant a range's edge stands for.

    Parameters
    ----------
    value : date or aware datetime
        A date is its local midnight.
    name : str
        The parameter, for the message.
    tz : str
        The zone of a date.

    Returns
    -------
    datetime
        Aware, UTC.

    Raises
    ------
    ParameterError
        If it is a naive datetime or anything else (code ``range``), or the zone is
        unknown (``bad_timezone``).

    Examples
    --------
    >>> moment(date(2026, 3, 1), "start", tz="Asia/Shanghai").isoformat()
    '2026-02-28T16:00:00+00:00'
    """
    if isinstance(value, datetime) and value.utcoffset() is not None:
        return value.astimezone(UTC)
    if isinstance(value, date) and not isinstance(value, datetime) and value > date.min:
        return instant(value - timedelta(days=1), tz=tz)
    msg = f"{name} is {value!r}; it must be a date or a datetime with its zone; pass"
    raise ParameterError(f"{msg} date(2026, 3, 1).", code="range")


def last_known(as_of: object, *, tz: str) -> datetime:
    """Return the instant up to which a room that has a range reads.

    Parameters
    ----------
    as_of : date or aware datetime
        As in `growth.engine.instant`.
    tz : str
        The zone of a date.

    Returns
    -------
    datetime
        Aware, UTC.

    Raises
    ------
    ParameterError
        If it is absent, naive or anything else (code ``range``), or the zone is
        unknown (``bad_timezone``).
    """
    try:
        return instant(as_of, tz=tz)  # type: ignore[arg-type]
    except ParameterError as error:
        if error.code != "bad_as_of":
            raise
        raise ParameterError(str(error), code="range") from None
