"""How the effect stands day by day of first exposure, and how it built up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Final

from growth.abtest.analyze import ArmCell, Effect, effects_of, pooled, sort_cells
from growth.errors import DataError
from growth.result import Cell, Result

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from growth.abtest.experiment import Experiment

__all__ = ["DayUnits", "Trend", "TrendPoint", "read_day", "trend_from_moments"]


_SHOWN: Final = (
    "n_control",
    "n_treatment",
    "mean_control",
    "mean_treatment",
    "estimate",
    "se",
    "ci_low",
    "ci_high",
    "lift",
    "lift_low",
    "lift_high",
    "method",
)


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """One day of one metric and arm; `series` is ``daily`` or ``cumulative``.

    A daily point is the cohort first exposed on that day, a cumulative one all
    cohorts up to it. Values are as they stand now, not as they stood then.
    """

    day: date
    series: str
    effect: Effect


@dataclass(frozen=True, slots=True)
class DayUnits:
    """Units of one arm first exposed on one day."""

    day: date
    arm: str
    units: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend(Result):
    """Effects by day of first exposure.

    Parameters
    ----------
    points : tuple of TrendPoint
        Daily and cumulative, by metric, arm and day.
    units : tuple of DayUnits
        How many units each arm gained, by day.
    """

    points: tuple[TrendPoint, ...]
    units: tuple[DayUnits, ...]

    @property
    def verdict(self) -> str:
        """`abtest.trend.shown`, or `not_computable` if no day has an effect."""
        if any(point.effect.p_value is not None for point in self.points):
            return "abtest.trend.shown"
        return "abtest.trend.not_computable"

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row per metric, arm, day and series."""
        return [
            {
                "metric": point.effect.metric,
                "arm": point.effect.arm,
                "day": point.day.isoformat(),
                "series": point.series,
                **{name: getattr(point.effect, name) for name in _SHOWN},
            }
            for point in self.points
        ]


def trend_from_moments(cells: Iterable[ArmCell], experiment: Experiment) -> Trend:
    """Compare the arms by day of first exposure, from moments.

    Parameters
    ----------
    cells : iterable of ArmCell
        Units by arm and day; ``by`` is the variant and the day.
    experiment : Experiment
        The declaration. Lin's estimates have the standard error from moments.

    Returns
    -------
    Trend
        Intervals cover 1 - alpha each, with no adjustment: they show, they do
        not decide.

    Raises
    ------
    DataError
        If a day is NULL or no date (code ``bad_day``), an arm is not declared
        (``unknown_arm``) or a value cannot be used.

    Notes
    -----
    Each unit has one day of first exposure, so cells share no unit and merge.
    """
    days: dict[date, Mapping[str, ArmCell]] = {}
    for (_, key), arms in sort_cells(cells, experiment).items():
        days[read_day(key[0], experiment.columns.day)] = arms
    so_far: dict[str, list[ArmCell]] = {}
    found: list[TrendPoint] = []
    for day in sorted(days):
        label = ((experiment.columns.day, day.isoformat()),)
        daily = effects_of(days[day], experiment, label)
        built: dict[str, ArmCell] = {}
        for arm, cell in days[day].items():
            parts = [*so_far.get(arm, ()), cell]
            rows = sum(part.rows for part in parts)
            built[arm] = ArmCell(cell.by, cell.key, rows, pooled(parts))
            so_far[arm] = [built[arm]]
        found += [TrendPoint(day, "daily", effect) for effect in daily]
        found += [
            TrendPoint(day, "cumulative", effect)
            for effect in effects_of(built, experiment, label)
        ]
    order = {metric.name: i for i, metric in enumerate(experiment.metrics)}
    found.sort(key=lambda p: (order[p.effect.metric], p.effect.arm, p.series, p.day))
    return Trend(
        points=tuple(found),
        units=tuple(
            DayUnits(day, arm, cell.rows)
            for day in sorted(days)
            for arm, cell in days[day].items()
        ),
    )


def read_day(value: object, column: str) -> date:
    """Return a cell's day as a date.

    Raises
    ------
    DataError
        If it is NULL or no date (code ``bad_day``).
    """
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    if isinstance(value, str):
        try:
            return date.fromisoformat(value[:10])
        except ValueError:
            pass
    msg = f"column {column!r} holds {value!r}; it must hold the local day of first"
    raise DataError(f"{msg} exposure; correct it or leave it out.", code="bad_day")
