"""The calendar profile: how much more people buy on some days than on others."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from growth.errors import DataError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["FLAT", "Calendar", "estimate_calendar", "months_of_year"]

CYCLES: Final = 2
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
        If a multiple is not above 0, or one is missing (``bad_calendar``).
    """

    weekday: Sequence[float] = (1.0,) * 7
    month: Sequence[float] = (1.0,) * 12
    days: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what is no profile."""
        multiples = [*self.weekday, *self.month, *self.days.values()]
        if len(self.weekday) != 7 or len(self.month) != 12 or min(multiples) <= 0:
            msg = f"the calendar has {len(self.weekday)} weekdays, {len(self.month)}"
            msg = f"{msg} months, least multiple {min(multiples)}; it must have 7 and"
            msg = f"{msg} 12, all above 0; complete it."
            raise ParameterError(msg, code="bad_calendar")
        for text in self.days:
            try:
                date.fromisoformat(text)
            except (TypeError, ValueError):
                msg = f"the calendar names the day {text!r}; it must be an ISO date;"
                msg = f"{msg} write it as 2026-11-11."
                raise ParameterError(msg, code="bad_calendar") from None

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
        Orders of each, 0 or more; of a population of steady size.

    Returns
    -------
    Calendar
        Weekday and month multiples, each of mean 1.

    Raises
    ------
    DataError
        If the days span less than two years (``too_few_cycles``): one year cannot
        tell a season from a trend; supply a profile, or leave it flat.
    """
    at, n = np.asarray(days, dtype=np.int64), np.asarray(counts, dtype=float)
    span = (at.max() - at.min() + 1) / YEAR if at.size else 0.0
    if span < CYCLES - 0.01:
        msg = f"the days span {span:.2f} years; a season must be seen in {CYCLES} full"
        msg = f"{msg} ones; supply a Calendar, or leave it flat."
        raise DataError(msg, code="too_few_cycles")
    of_week, of_year = _places(at)
    weekday = np.array([n[of_week == k].mean() for k in range(7)])
    weekday /= weekday.mean()
    level = n / weekday[of_week]
    month = np.array([level[of_year == k].mean() for k in range(12)])
    month /= month.mean()
    least = 1e-6  # a closed month is rare, not impossible
    return Calendar(
        weekday=tuple(np.maximum(weekday, least).tolist()),
        month=tuple(np.maximum(month, least).tolist()),
    )


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
