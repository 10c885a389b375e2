"""A funnel by the day of entry."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from growth.funnel.results import By, asdict_with_spec, flat, rate_of
from growth.funnel.steps import FunnelSpec  # noqa: TC001  (a field's type)
from growth.result import Cell, Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray


__all__ = ["FunnelDay", "FunnelTrend", "trend_days"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FunnelDay:
    """One step of the entries of one local day, in one group.

    Parameters
    ----------
    by : tuple of (str, str or None)
        The group; () is everybody.
    ds : datetime.date
        The day of entry.
    step : int
        Number of the step, from 1.
    name : str
        Its event.
    entered : int
        Users with an entry that day.
    reached_so_far : int
        Those who have reached the step, whether the window is over or not.
    rate_from_start, low, high : float or None
        Their share, with Wilson's 95 % interval; None unless complete.
    complete : bool
        Whether the window of the day's last entry is over.
    """

    by: By = ()
    ds: date
    step: int
    name: str
    entered: int
    reached_so_far: int
    rate_from_start: float | None
    low: float | None
    high: float | None
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FunnelTrend(Result):
    """A funnel by the day of entry; days do not add up to the range's users.

    Parameters
    ----------
    spec : FunnelSpec or None
        What was asked.
    days : tuple of FunnelDay
        Group by group, day by day, step by step.
    """

    spec: FunnelSpec | None = None
    days: tuple[FunnelDay, ...] = ()

    @property
    def verdict(self) -> str:
        """`funnel.trend.` and `measured`, `too_young` or `no_entry`."""
        entered = [day for day in self.days if day.entered]
        state = "measured" if any(day.complete for day in entered) else "too_young"
        return f"funnel.trend.{state if entered else 'no_entry'}"

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row a group, day and step."""
        return [{**flat(day), "ds": day.ds.isoformat()} for day in self.days]

    def to_dict(self) -> dict[str, object]:
        """Return plain values only, ready for ``json.dumps(..., allow_nan=False)``."""
        return asdict_with_spec(self)


def trend_days(
    spec: FunnelSpec,
    edges: Sequence[datetime],
    labels: Sequence[By],
    counts: NDArray[np.int64],
) -> tuple[FunnelDay, ...]:
    """Return the days of a trend.

    Parameters
    ----------
    spec : FunnelSpec
        The funnel.
    edges : sequence of datetime
        Where days of entry begin, and the end.
    labels : sequence of tuple
        The groups.
    counts : array of int64, shape (groups * days, steps)
        Users who reached each step.
    """
    from zoneinfo import ZoneInfo

    zone = ZoneInfo(spec.tz)
    last = timedelta(microseconds=1)
    found = []
    for i in range(len(labels) * (len(edges) - 1)):
        group, day = divmod(i, len(edges) - 1)
        complete = edges[day + 1] - last <= spec.mature
        entered = int(counts[i, 0])
        for s, step in enumerate(spec.steps):
            n = int(counts[i, s])
            rate, low, high = rate_of(n, entered) if complete else (None, None, None)
            found.append(
                FunnelDay(
                    by=labels[group],
                    ds=edges[day].astimezone(zone).date(),
                    step=s + 1,
                    name=step.name,
                    entered=entered,
                    reached_so_far=n,
                    rate_from_start=rate,
                    low=low,
                    high=high,
                    complete=complete,
                )
            )
    return tuple(found)
