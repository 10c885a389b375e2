"""Intervals of a calendar: which one an instant is in, where it begins, its name."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from growth.engine.days import offsets, zone

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Intervals", "Period", "WeekStart"]

Period = Literal["hour", "day", "week", "month"]
WeekStart = Literal["monday", "sunday"]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_DAY: Final = date(1970, 1, 1)
HOUR_US: Final = 3_600_000_000
DAY_US: Final = 86_400_000_000
# days from the first day of week 0 to 1970-01-01, a Thursday
_WEEK_SHIFT: Final = {"monday": 3, "sunday": 4}
_ROLLING: Final = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=30),
}


@dataclass(frozen=True, slots=True)
class Intervals:
    """Hours, local days, weeks or months, numbered from 1970 on.

    Parameters
    ----------
    period : {"hour", "day", "week", "month"}
        Their length.
    tz : str
        The zone whose midnight ends a day.
    week_start : {"monday", "sunday"}
        The first day of a week.
    fraction_us : int
        How far hours begin after the full hour of UTC, in microseconds, less than
        an hour; 0 but for zones such as India's.

    Notes
    -----
    Hours are elapsed ones, so that a local day of 23 or 25 of them loses none.
    """

    period: Period
    tz: str
    week_start: WeekStart
    fraction_us: int

    @classmethod
    def of(
        cls, period: Period, *, tz: str, week_start: WeekStart, near: datetime
    ) -> Intervals:
        """Return the intervals of a zone, hours set by its offset `near` an instant."""
        return cls(period, tz, week_start, cls.offset_us(tz, near) % HOUR_US)

    @staticmethod
    def offset_us(tz: str, at: datetime) -> int:
        """Return the zone's offset at an instant, in microseconds."""
        starts, held = offsets(tz)
        return held[bisect_right(starts, microseconds(at))]

    @property
    def rolling(self) -> timedelta:
        """The length of an interval on a rolling clock."""
        return _ROLLING[self.period]

    def at(self, moment: datetime) -> int:
        """Return the interval an aware datetime is in."""
        us = microseconds(moment)
        if self.period == "hour":
            return (us + self.fraction_us) // HOUR_US
        day = (us + self.offset_us(self.tz, moment)) // DAY_US
        return int(self.of_days(np.array([day]))[0])

    def of_days(self, days: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the interval of each local day, counted from 1970-01-01.

        Parameters
        ----------
        days : array of int
            Local days; the period is not hours.

        Returns
        -------
        array of int64
            Day, week or month numbers.
        """
        if self.period == "day":
            return np.asarray(days, dtype=np.int64)
        if self.period == "week":
            whole: NDArray[np.int64] = (days + _WEEK_SHIFT[self.week_start]) // 7
            return whole
        months = np.asarray(days).astype("datetime64[D]").astype("datetime64[M]")
        return months.astype(np.int64)

    def first_day(self, interval: int) -> date:
        """Return the first local day of a day, week or month."""
        if self.period == "month":
            return date(1970 + interval // 12, interval % 12 + 1, 1)
        days = interval
        if self.period == "week":
            days = interval * 7 - _WEEK_SHIFT[self.week_start]
        return EPOCH_DAY + timedelta(days=days)

    def start(self, interval: int) -> datetime:
        """Return the instant an interval begins, in UTC."""
        if self.period == "hour":
            us = interval * HOUR_US - self.fraction_us
            return EPOCH + timedelta(microseconds=us)
        day = self.first_day(interval)
        local = datetime(day.year, day.month, day.day, tzinfo=zone(self.tz))
        return local.astimezone(UTC)

    def name(self, interval: int) -> str:
        """Return an interval's name: its first local day, or its local hour."""
        if self.period == "hour":
            local = self.start(interval).astimezone(zone(self.tz))
            return local.isoformat(timespec="minutes")
        return self.first_day(interval).isoformat()


def microseconds(moment: datetime) -> int:
    """Return microseconds since 1970 of an aware datetime."""
    since = moment - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
