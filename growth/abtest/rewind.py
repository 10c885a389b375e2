"""A unit table as it stood at the end of an earlier day."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from growth.abtest.history import STOOD, UnitHistory
from growth.abtest.units import (
    DAY_US,
    Rows,
    UnitTable,
    as_day,
    microseconds,
    windows_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from growth.abtest.experiment import Experiment

__all__ = ["Ripening", "rewound", "ripening"]

DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Ripening:
    """Units whose window is over at the end of each day, cumulated.

    Parameters
    ----------
    by_window : mapping of int to mapping of date to int
        By the days of the window; 0 for no window: those exposed by then.
    """

    by_window: Mapping[int, Mapping[date, int]]

    def at(self, window: int | None, day: date) -> int:
        """Return the units of one window at the end of `day`."""
        found = self.by_window[window or 0]
        return max((n for d, n in found.items() if d <= day), default=0)

    def news(self) -> frozenset[date]:
        """Return the days at whose end more units could be read."""
        return frozenset(day for days in self.by_window.values() for day in days)

    def exposed(self) -> tuple[date, ...]:
        """Return the days on which units were exposed, in order."""
        return tuple(sorted(self.by_window[0]))

    def goals(self, experiment: Experiment) -> dict[date, int]:
        """Return the units that can be read for every goal, by day."""
        windows = {m.window_days or 0 for m in experiment.metrics if m.role == "goal"}
        return {day: min(self.at(w, day) for w in windows) for day in self.news()}


def ripening(
    table: Rows, experiment: Experiment, *, day: Rows, exact: bool
) -> Ripening:
    """Count units by the day at whose end their windows are over.

    Parameters
    ----------
    table : ibis.Table
        One row a unit, in the experiment's dates.
    experiment : Experiment
        The declaration.
    day : ibis date expression
        The local day of exposure.
    exact : bool
        Whether the table has the instant of exposure: a window ends so many times
        24 hours after it. Else its days are those of the calendar, the first the
        day of exposure.

    Returns
    -------
    Ripening
        Over the open arms; of clusters, where these were randomised.
    """
    from growth import engine

    windows = sorted({0, *windows_of(experiment).values()})
    columns = {"ripe0": day}
    for window in windows[1:] if exact else ():
        over = engine.epoch_us(table.exposure_ts) + (window * DAY_US - 1)
        at = (over // 1_000_000).as_timestamp("s")
        columns[f"ripe{window}"] = engine.local_date(at, experiment.tz)
    arm = table[experiment.columns.variant].cast("string")
    opened = [name for name, weight in experiment.arms.items() if weight]
    chosen = table.filter(arm.isin(opened))
    if experiment.cluster is not None:  # a cluster counts from its first member on
        first = {name: column.min() for name, column in columns.items()}
        chosen = chosen.group_by(experiment.cluster).aggregate(**first)
    else:
        chosen = chosen.select(**columns)
    rows = chosen.group_by(list(columns)).aggregate(units=chosen.count())
    found = engine.fetch(rows, "counting units by day").to_pylist()
    if not exact:  # the first day of a window is that of the exposure
        for row in found:
            if (first := row["ripe0"]) is not None:
                row |= {f"ripe{w}": first + (w - 1) * DAY for w in windows[1:]}
    return Ripening({w: _cumulated(found, f"ripe{w}") for w in windows})


def _cumulated(rows: Iterable[Mapping[str, Any]], column: str) -> dict[date, int]:
    counts: dict[date, int] = {}
    for row in rows:
        if (day := row.get(column)) is not None:
            counts[day] = counts.get(day, 0) + row["units"]
    days = sorted(counts)
    totals = accumulate(counts[day] for day in days)
    return dict(zip(days, totals, strict=True))


def rewound(
    units: UnitTable | UnitHistory, experiment: Experiment, ripe: Ripening, day: date
) -> UnitTable:
    """Return the units as they stood at the end of a day.

    Parameters
    ----------
    units : UnitTable or UnitHistory
        The units as they stand now; with a history, the values of that day too.
    experiment : Experiment
        The declaration.
    ripe : Ripening
        Of the same table.
    day : date
        The last day counted.

    Returns
    -------
    UnitTable
        Units exposed by then; windowed metrics are NULL where the window was not
        over. Without a history, metrics without a window keep the values of now.
    """
    from growth import engine

    now = units.units if isinstance(units, UnitHistory) else units
    moment = engine.instant(day, tz=experiment.tz)
    if isinstance(units, UnitHistory):
        table = _stood(units.table, experiment, now, day)
    else:
        table = _closed(now.table, experiment, moment_us=microseconds(moment))
    exposed = [d for d in ripe.exposed() if d <= day]
    total = ripe.at(0, day)
    return replace(
        now,
        table=table,
        as_of=moment,
        units=total,
        immature={
            name: waiting
            for name, days in windows_of(experiment).items()
            if (waiting := total - ripe.at(days, day))
        },
        first_day=exposed[0] if exposed else None,
        last_day=exposed[-1] if exposed else None,
    )


def _closed(table: Rows, experiment: Experiment, *, moment_us: int) -> Rows:
    """Leave out later units, and values whose window was not over."""
    from growth import engine

    at = engine.epoch_us(table.exposure_ts)
    windows = windows_of(experiment)
    shown = {}
    for metric in experiment.metrics:
        if metric.name in windows:
            over = at + windows[metric.name] * DAY_US <= moment_us
            for name in metric.columns:
                shown[name] = over.ifelse(table[name], None)
    return (
        table.filter(at < moment_us).mutate(**shown)
        if shown
        else table.filter(at < moment_us)
    )


def _stood(table: Rows, experiment: Experiment, now: UnitTable, day: date) -> Rows:
    """Return the rows of a history that stood at the end of a day."""
    from growth import engine

    last = table.filter(table[STOOD] <= day).aggregate(day=table[STOOD].max())
    (found,) = engine.fetch(last, "looking for a day").to_pylist()
    stood = as_day(found["day"], STOOD)
    rows = table.filter(table[STOOD] == (stood or day)).drop(STOOD)
    unit = experiment.columns.unit
    extra = [name for name in now.table.columns if name not in rows.columns]
    return rows.left_join(now.table.select(unit, *extra), unit).drop(f"{unit}_right")
