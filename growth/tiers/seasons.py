"""The calendar profile: how much more people buy on some days than on others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from growth.errors import DataError, Fault, ParameterError
from growth.tiers.checks import between, listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "FLAT",
    "Calendar",
    "calendar_fault",
    "estimate_calendar",
    "months_of_year",
]

CYCLES: Final = 2
LEAST: Final = 1e-6  # a closed day or month is rare, not impossible
MOST: Final = 1e6
FARTHEST: Final = 1e6  # days from 1970, in the year 4707
YEAR: Final = 365.25
EPOCH: Final = date(1970, 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """Multiples of the order rate, by weekday (Monday first), month and named day.

    Parameters
    ----------
    weekday : sequence of 7 floats
        Above 0; 1 each if omitted.
    month : sequence of 12 floats
        January first; above 0; 1 each if omitted.
    days : mapping of ISO date to float, optional
        A named day's own multiple, on top of the others: ``{"2026-11-11": 3.0}``.

    Raises
    ------
    ParameterError
        Each multiple that is no number above 0, and 1,000,000 at most; each one too
        many or missing; each day that is no date (``bad_calendar``).
    """

    weekday: Sequence[float] = (1.0,) * 7
    month: Sequence[float] = (1.0,) * 12
    days: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what is no profile."""
        faults = [
            *_multiple_faults("weekday", self.weekday, 7, "Monday"),
            *_multiple_faults("month", self.month, 12, "January"),
            *_day_faults(self.days),
        ]
        if faults:
            raise ParameterError.of("the calendar", faults)
        for name in ("weekday", "month"):
            object.__setattr__(self, name, tuple(map(float, getattr(self, name))))

    @property
    def flat(self) -> bool:
        """Whether every day is like any other."""
        return {*self.weekday, *self.month, *self.days.values()} <= {1.0}

    @property
    def widest(self) -> float:
        """The largest multiple that a day of any year may have."""
        named = [
            self.multiples(day := (date.fromisoformat(text) - EPOCH).days, day + 1)[0]
            for text in self.days
        ]
        return float(max(max(self.weekday) * max(self.month), *named, 0.0))

    def multiples(self, start: int, end: int) -> NDArray[np.float64]:
        """Return the multiple of each day of a half-open span.

        Parameters
        ----------
        start, end : int
            Days since 1970-01-01.

        Returns
        -------
        ndarray of float
            One a day.
        """
        days = np.arange(start, end)
        weekday, month = _places(days)
        found = np.asarray(self.weekday)[weekday] * np.asarray(self.month)[month]
        for text, value in self.days.items():
            at = (date.fromisoformat(text) - EPOCH).days - start
            if 0 <= at < len(found):
                found[at] *= value
        return np.asarray(found, dtype=np.float64)


def calendar_fault(calendar: object) -> Iterable[Fault]:
    """Yield what is wrong with a profile that is none."""
    if not isinstance(calendar, Calendar):
        hint = "Leave it out where every day is like any other."
        yield Fault("bad_calendar", "calendar", repr(calendar), "a Calendar", hint)


def _multiple(value: object) -> bool:
    return between(value, 0, MOST) and bool(value)


def _multiple_faults(
    name: str, values: object, count: int, first: str
) -> Iterable[Fault]:
    if not listed(values) or len(values) != count or not all(map(_multiple, values)):
        words = f"{count} numbers above 0 and at most {MOST:,.0f}, {first}'s first"
        hint = "1 is a day like any other."
        yield Fault("bad_calendar", name, repr(values), words, hint)


def _day_faults(days: object) -> Iterable[Fault]:
    if not isinstance(days, Mapping):
        words, hint = "a mapping of dates to numbers", 'Write {"2026-11-11": 3.0}.'
        yield Fault("bad_calendar", "days", repr(days), words, hint)
        return
    for text, value in days.items():
        try:
            date.fromisoformat(text)
        except (TypeError, ValueError):
            hint = "Write it as 2026-11-11."
            yield Fault("bad_calendar", "a day", repr(text), "an ISO date", hint)
        if not _multiple(value):
            name = f"days[{text!r}]"
            words = f"a number above 0 and at most {MOST:,.0f}"
            yield Fault("bad_calendar", name, repr(value), words)


#: Every day is like any other.
FLAT: Final = Calendar()


def _places(days: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each day's weekday, Monday 0, and month, January 0."""
    months = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    return (days + 3) % 7, months % 12


def estimate_calendar(days: ArrayLike, counts: ArrayLike) -> Calendar:
    """Return the profile of daily counts that span two full years.

    Parameters
    ----------
    days : array of int
        Days since 1970-01-01, each once.
    counts : array of float
        Orders of each, 0 or more; of a population of steady size. A day without
        orders is a 0, and must not be missing.

    Returns
    -------
    Calendar
        Weekday and month multiples, each of mean 1; a weekday or month without any
        orders has the least there is, 0.000001.

    Raises
    ------
    DataError
        If the days span less than two years (``too_few_cycles``): one year cannot
        tell a season from a trend; supply a profile, or leave it flat. If days and
        counts are not as many, a day is named twice or is no whole number, a count is
        no number of 0 or more, or all are 0 (``bad_counts``); if a weekday or month
        is never seen (``missing_days``).
    """
    at, n = _daily(days, counts)
    span = (at.max() - at.min() + 1) / YEAR if at.size else 0.0
    if span < CYCLES - 0.01:
        msg = f"the days span {span:.2f} years; a season must be seen in {CYCLES} full"
        msg = f"{msg} ones; supply a Calendar, or leave it flat."
        raise DataError(msg, code="too_few_cycles")
    if not n.any():
        msg = "the counts are 0 on every day; somebody must have ordered; check them"
        raise DataError(f"{msg}.", code="bad_counts")
    of_week, of_year = _places(at)
    _need_all("weekdays", np.unique(of_week), 7, "Monday is 1")
    weekday = np.array([n[of_week == k].mean() for k in range(7)])
    weekday /= weekday.mean()
    # a weekday that is always closed says nothing of a month
    opened = weekday[of_week] > 0
    _need_all("months", np.unique(of_year[opened]), 12, "January is 1")
    level = n[opened] / weekday[of_week[opened]]
    month = np.array([level[of_year[opened] == k].mean() for k in range(12)])
    month /= month.mean()
    return Calendar(
        weekday=tuple(np.maximum(weekday, LEAST).tolist()),
        month=tuple(np.maximum(month, LEAST).tolist()),
    )


def _daily(
    days: ArrayLike, counts: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return days and their counts; refuse what are none."""
    try:
        at, n = np.asarray(days, dtype=float), np.asarray(counts, dtype=float)
        wrong = _odd(at, n)
    except (TypeError, ValueError):
        at = n = np.zeros(0)
        wrong = f"days are {days!r:.60} and counts {counts!r:.60}"
    if wrong:
        msg = f"{wrong}; there must be whole days since 1970-01-01, each once, and a"
        msg = f"{msg} count of 0 or more for each; count orders by day again."
        raise DataError(msg, code="bad_counts")
    return at.astype(np.int64), n


def _odd(at: NDArray[np.float64], n: NDArray[np.float64]) -> str:
    """Return what is wrong with days and counts; empty if nothing is."""
    if at.ndim != 1 or at.shape != n.shape:
        return f"days are of shape {at.shape}, counts of {n.shape}"
    if len(odd := at[~(np.abs(at) < FARTHEST) | (at != np.floor(at))]):
        return f"a day is {odd[0]}"
    if len(odd := n[~(np.isfinite(n) & (n >= 0))]):
        return f"a count is {odd[0]}"
    inorder = np.sort(at)
    twice = inorder[1:][np.diff(inorder) == 0]
    return f"day {twice[0]:.0f} is named twice" if len(twice) else ""


def _need_all(what: str, seen: NDArray[np.int64], count: int, first: str) -> None:
    """Refuse days that leave some weekday or month out."""
    if len(seen) < count:
        lacking = sorted({*range(count)} - {*seen.tolist()})
        told = ", ".join(str(k + 1) for k in lacking)
        msg = f"{what} {told} ({first}) are never seen; each must be; a day"
        msg = f"{msg} without orders is a count of 0: add it."
        raise DataError(msg, code="missing_days")


def months_of_year(start: int, end: int) -> frozenset[int]:
    """Return the months (1 to 12) that a half-open span of days touches.

    Parameters
    ----------
    start, end : int
        Days since 1970-01-01.

    Returns
    -------
    frozenset of int
        Empty for an empty span.
    """
    days = range(start, end) if end - start < 366 else range(start, start + 366)
    return frozenset((EPOCH + timedelta(days=day)).month for day in days)
