"""How the effect stands day by day of first exposure, and how it built up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Final

from growth.abtest.analysis import effects_of
from growth.abtest.cells import ArmCell, pooled, sort_cells
from growth.abtest.effects import Effect  # noqa: TC001  (a result's types can be read)
from growth.abtest.readings import stratum_of
from growth.errors import DataError
from growth.result import Cell, Notice, Result

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
    cohorts up to it.
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
    as_it_stood : bool
        Whether a cumulative point is what was known when its day ended; else its
        units' values are those of now.
    """

    points: tuple[TrendPoint, ...]
    units: tuple[DayUnits, ...]
    as_it_stood: bool = False

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


def trend_from_moments(
    cells: Iterable[ArmCell],
    experiment: Experiment,
    *,
    stood: Iterable[ArmCell] | None = None,
) -> Trend:
    """Compare the arms by day of first exposure, from moments.

    Parameters
    ----------
    cells : iterable of ArmCell
        Units by arm and day; ``by`` is the variant and the day.
    experiment : Experiment
        The declaration. Lin's estimates have the standard error from moments.
    stood : iterable of ArmCell, optional
        All units exposed so far by arm and day, with their values as that day
        ended: the cumulative series. Without it that is merged from `cells`.

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
    Each unit has one day of first exposure, so cells share no unit and merge. What
    moments of a day do not hold is said by a notice: quantiles are left out, and
    stratified metrics are compared without their strata.
    """
    days = _by_day(cells, experiment)
    built = _merged(days) if stood is None else _by_day(stood, experiment)
    both = (("daily", days), ("cumulative", built))
    found = [
        TrendPoint(day, series, effect)
        for series, by_day in both
        for day, arms in by_day.items()
        for effect in effects_of(
            arms, experiment, ((experiment.columns.day, day.isoformat()),)
        )
    ]
    order = {metric.name: i for i, metric in enumerate(experiment.metrics)}
    found.sort(key=lambda p: (order[p.effect.metric], p.effect.arm, p.series, p.day))
    return Trend(
        points=tuple(found),
        units=tuple(
            DayUnits(day, arm, cell.rows)
            for day in days
            for arm, cell in days[day].items()
        ),
        as_it_stood=stood is not None,
        notices=_left_out(experiment),
    )


def _left_out(experiment: Experiment) -> tuple[Notice, ...]:
    """Say which metrics the series does not hold, or holds otherwise."""
    quantiles = [m.name for m in experiment.metrics if m.kind == "quantile"]
    strata = [m.name for m in experiment.metrics if stratum_of(experiment, m)]
    return tuple(
        Notice(code, "info", (("metric", ", ".join(names)),))
        for code, names in (
            ("trend_without_quantiles", quantiles),
            ("trend_without_strata", strata),
        )
        if names
    )


def _by_day(
    cells: Iterable[ArmCell], experiment: Experiment
) -> dict[date, Mapping[str, ArmCell]]:
    """Return the cells of each day, the days in order."""
    found = {
        read_day(key[0], experiment.columns.day): arms
        for (_, key), arms in sort_cells(cells, experiment).items()
    }
    return {day: found[day] for day in sorted(found)}


def _merged(
    days: Mapping[date, Mapping[str, ArmCell]],
) -> dict[date, Mapping[str, ArmCell]]:
    """Return for each day the units of all days up to it."""
    so_far: dict[str, ArmCell] = {}
    built: dict[date, Mapping[str, ArmCell]] = {}
    for day, arms in days.items():
        for arm, cell in arms.items():
            parts = [so_far[arm], cell] if arm in so_far else [cell]
            rows = sum(part.rows for part in parts)
            so_far[arm] = ArmCell(cell.by, cell.key, rows, pooled(parts))
        built[day] = dict(so_far)
    return built


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
