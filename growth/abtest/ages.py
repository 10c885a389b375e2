"""Does the effect last? Effects by days since exposure, and a test of their trend."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from growth.abtest.cells import sort_cells
from growth.errors import ParameterError
from growth.result import Cell, Estimate, Notice, Result
from growth.stats import means, proportions
from growth.stats.ages import age_weights, contrast_of
from growth.stats.arguments import names_of
from growth.stats.contrast import Contrast
from growth.stats.multiplicity import adjust

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from growth.abtest.cells import ArmCell
    from growth.abtest.experiment import Experiment, Metric
    from growth.stats.contrast import ArmEstimate
    from growth.stats.moments import Moments

__all__ = [
    "AgePoint",
    "AgeTrend",
    "Novelty",
    "age_column",
    "age_sets",
    "aged",
    "trend_by_age_from_moments",
]

AGED: Final = "__age"  # between a column's name and its age
MOST_AGES: Final = 28
LEAST_AGES: Final = 2  # a trend needs two points
Series = Literal["complete", "matured"]
Kind = Literal["relative_slope", "slope", "late_minus_early"]
KINDS: Final[tuple[Kind, ...]] = ("relative_slope", "slope", "late_minus_early")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgePoint:
    """One metric and treatment arm against control at one age.

    Parameters
    ----------
    metric, arm : str
        What is compared with the control.
    age : int
        Whole days since exposure: 0 is the first 24 hours.
    series : {"complete", "matured"}
        Over all units that have this age behind them, or over those that have all
        ages behind them: only the latter are the same units at each age.
    n_control, n_treatment : int
        Units.
    mean_control, mean_treatment : float or None
        What the arm did on that day, per unit.
    estimate, se, ci_low, ci_high : float or None
        Treatment minus control, in the metric's unit.
    lift, lift_low, lift_high : float or None
        The same relative to the control of that age.
    """

    metric: str
    arm: str
    age: int
    series: Series
    n_control: int
    n_treatment: int
    mean_control: float | None
    mean_treatment: float | None
    estimate: float | None
    se: float | None
    ci_low: float | None
    ci_high: float | None
    lift: float | None
    lift_low: float | None
    lift_high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Novelty:
    """Whether the effect of one arm on one metric changes with age.

    Parameters
    ----------
    metric, arm : str
        What is compared with the control.
    kind : {"relative_slope", "slope", "late_minus_early"}
        Least-squares change a day, as a share of what the arm does on an average
        day or in the metric's unit; or the later half of the ages less the earlier.
    n_control, n_treatment : int
        Units with all ages behind them.
    estimate, se, ci_low, ci_high : float or None
        Treatment minus control of the units' mean contrast.
    df : float or None
        Welch's degrees of freedom.
    p_value, p_adj : float or None
        Two-sided; adjusted by Holm over metrics and arms within a kind.
    average : float or None
        The effect a day, averaged over the ages: what the change is a change of.
    """

    metric: str
    arm: str
    kind: Kind
    n_control: int
    n_treatment: int
    estimate: float | None
    se: float | None
    df: float | None
    ci_low: float | None
    ci_high: float | None
    p_value: float | None
    p_adj: float | None = None
    average: float | None

    def shape(self, alpha: float) -> Literal["fades", "grows", "steady"] | None:
        """Say what the effect does as units age; None if it cannot be told.

        Parameters
        ----------
        alpha : float
            Level for `p_adj`, in (0, 1).

        Returns
        -------
        {"fades", "grows", "steady"} or None
            It fades where it moves against its own average.
        """
        if self.p_adj is None or self.estimate is None or self.average is None:
            return None
        if self.p_adj > alpha:
            return "steady"
        return "fades" if self.estimate * self.average < 0 else "grows"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgeTrend(Result):
    """Effects by days since exposure, and whether they change.

    Parameters
    ----------
    points : tuple of AgePoint
        By metric, arm, series and age.
    novelty : tuple of Novelty
        Three contrasts a metric and arm.
    ages : int
        Ages looked at, from 0; 0 if too few units have two days behind them.
    alpha : float
        Two-sided level of the intervals and of the verdict, in (0, 1).
    """

    points: tuple[AgePoint, ...]
    novelty: tuple[Novelty, ...]
    ages: int
    alpha: float

    @property
    def verdict(self) -> str:
        """`abtest.ages.` and what the relative slopes show.

        `fades` before `grows` before `steady`; `not_computable` without a slope.
        """
        shapes = {item.shape(self.alpha) for item in self.leading()}
        for shape in ("fades", "grows", "steady"):
            if shape in shapes:
                return f"abtest.ages.{shape}"
        return "abtest.ages.not_computable"

    def leading(self) -> tuple[Novelty, ...]:
        """Return of each metric and arm the contrast that speaks for it.

        The relative slope: people do most on the day they come, so an effect that
        stays the same in proportion shrinks a day for day. The plain slope where a
        metric has no positive level.
        """
        best: dict[tuple[str, str], Novelty] = {}
        for item in self.novelty:
            held = best.get((item.metric, item.arm))
            if held is None or (held.p_value is None and item.kind == "slope"):
                best[item.metric, item.arm] = item
        return tuple(best.values())

    def series(self, metric: str, series: Series = "matured") -> tuple[AgePoint, ...]:
        """Return one metric's points of one series, by arm and age."""
        return tuple(
            p for p in self.points if p.metric == metric and p.series == series
        )

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row per metric, arm, series and age."""
        return [
            {
                "metric": point.metric,
                "arm": point.arm,
                "series": point.series,
                "age": point.age,
                "n_control": point.n_control,
                "n_treatment": point.n_treatment,
                "estimate": point.estimate,
                "se": point.se,
                "lift": point.lift,
                "lift_low": point.lift_low,
                "lift_high": point.lift_high,
            }
            for point in self.points
        ]

    def estimates(self) -> tuple[Estimate, ...]:
        """Return the contrasts of each metric and arm."""
        return tuple(
            Estimate(
                key=f"{item.metric}.{item.kind}",
                by=(("arm", item.arm),),
                value=item.estimate,
                se=item.se,
                lo=item.ci_low,
                hi=item.ci_high,
                level=1 - self.alpha,
                p_value=item.p_value,
                n=item.n_control + item.n_treatment,
                method="welch",
            )
            for item in self.novelty
        )


class _Aged(NamedTuple):
    """One metric's columns by age; a ratio has denominators too."""

    metric: Metric
    columns: tuple[tuple[str, ...], ...]

    @property
    def tops(self) -> tuple[str, ...]:
        return tuple(columns[0] for columns in self.columns)

    @property
    def belows(self) -> tuple[str, ...]:
        return tuple(columns[1] for columns in self.columns if len(columns) > 1)


def age_column(column: str, age: int) -> str:
    """Return the name of a metric's column at one age: ``gmv__age3``."""
    return f"{column}{AGED}{age}"


def aged(
    experiment: Experiment, ages: int, metrics: Sequence[str] | None = None
) -> list[_Aged]:
    """Return which metrics are followed by age, with their columns.

    Parameters
    ----------
    experiment : Experiment
        The declaration.
    ages : int
        Ages from 0; a metric with a window has no more than the window's days.
    metrics : sequence of str, optional
        Which; the goals if omitted.

    Returns
    -------
    list
        Metric and columns, in the order of the declaration.

    Raises
    ------
    ParameterError
        If a metric is not declared (code ``unknown_metric``), or is of a kind that
        has no value a day (``not_by_age``).
    """
    named = names_of(metrics, "metrics")
    for name in named:
        experiment.metric(name)
    found = []
    for metric in experiment.metrics:
        wanted = metric.role == "goal" if metrics is None else metric.name in named
        if not wanted:
            continue
        if metric.kind not in {"mean", "proportion", "ratio"}:
            if metrics is None:
                continue
            msg = f"metric {metric.name!r} is of kind {metric.kind!r}; by age are means"
            msg += " proportions and ratios; leave it out."
            raise ParameterError(msg, code="not_by_age")
        most = min(ages, metric.window_days or ages)
        columns = tuple(
            tuple(age_column(column, age) for column in metric.columns)
            for age in range(most)
        )
        found.append(_Aged(metric, columns))
    return found


def age_sets(followed: Iterable[_Aged]) -> tuple[tuple[str, ...], ...]:
    """Return the sets of columns whose joint moments the trend by age reads.

    Parameters
    ----------
    followed : iterable
        From `aged`.

    Returns
    -------
    tuple of tuple of str
        A metric's column (a ratio's two) at each age, and all ages jointly.
    """
    sets: dict[tuple[str, ...], None] = {}
    for item in followed:
        sets |= dict.fromkeys(item.columns)
        sets[(*item.tops, *item.belows)] = None
    return tuple(columns for columns in sets if columns)


def trend_by_age_from_moments(
    cells: Iterable[ArmCell] | Mapping[str, Moments],
    experiment: Experiment,
    *,
    ages: int,
    metrics: Sequence[str] | None = None,
    notices: Sequence[Notice] = (),
) -> AgeTrend:
    """Compare the arms by days since exposure, from moments.

    Parameters
    ----------
    cells : iterable of ArmCell, or mapping of str to Moments
        Units by arm; the columns are those of `age_sets`, e.g. ``gmv__age0``. A
        unit's value is NULL at an age it does not have behind it.
    experiment : Experiment
        The declaration.
    ages : int
        Ages from 0, 28 at most; with fewer than 2 nothing can be told.
    metrics : sequence of str, optional
        Which; the goals if omitted.
    notices : sequence of Notice, optional
        What was noticed while reading.

    Returns
    -------
    AgeTrend
        Intervals cover 1 - alpha each: the points show, the contrasts test.

    Raises
    ------
    ParameterError
        If `ages` is out of range (code ``bad_ages``), a metric is not declared
        (``unknown_metric``), or the moments lack a column (``moments_mismatch``).
    DataError
        If an arm is not declared (code ``unknown_arm``) or is NULL
        (``null_value``).

    Notes
    -----
    A unit's days hang together, so effects at two ages must not be compared as if
    they were apart. Each unit of the matured cohort gives one number
    ``sum(w_a y_a)``, the slope over ages or late minus early, and Welch's test
    compares these numbers between the arms. A contrast is linear, so the joint
    moments of the ages hold all of it. The relative slope divides by the arm's mean
    over ages (delta method): it is alike in both arms where the lift is constant.
    """
    if not 0 <= ages <= MOST_AGES:
        msg = f"ages is {ages}; it must be from 0 to {MOST_AGES}; look at fewer days."
        raise ParameterError(msg, code="bad_ages")
    arms = sort_cells(cells, experiment).get(((), ()), {})
    points: list[AgePoint] = []
    tests: list[Novelty] = []
    said = list(notices)
    if ages < LEAST_AGES:
        said.append(Notice("too_young", "info"))
    for item in aged(experiment, ages, metrics) if arms and ages else ():
        if len(item.columns) < LEAST_AGES:
            if ages < LEAST_AGES:
                continue
            args = (("metric", item.metric.name),)
            said.append(Notice("too_few_ages", "info", args))
            continue
        whole = (*item.tops, *item.belows)
        jointly = {arm: _held(cell, whole) for arm, cell in arms.items()}
        for arm in experiment.treatments:
            for age, columns in enumerate(item.columns):
                one = {a: _held(cell, columns) for a, cell in arms.items()}
                both: tuple[tuple[Series, Mapping[str, Moments]], ...] = (
                    ("complete", one),
                    ("matured", jointly),
                )
                for series, held in both:
                    pair = (
                        _value(item.metric, held[experiment.control], columns),
                        _value(item.metric, held[arm], columns),
                    )
                    where = {"arm": arm, "age": age, "series": series}
                    points.append(_point(item.metric, pair, experiment.alpha, where))
            pair_of = (jointly[experiment.control], jointly[arm])
            tests += _tests(item, arm, pair_of, experiment.alpha)
    order = {metric.name: i for i, metric in enumerate(experiment.metrics)}
    points.sort(key=lambda p: (order[p.metric], p.arm, p.series, p.age))
    return AgeTrend(
        points=tuple(points),
        novelty=_adjusted(tests, experiment.alpha),
        ages=ages,
        alpha=experiment.alpha,
        notices=tuple(dict.fromkeys(said)),
    )


def _held(cell: ArmCell, columns: tuple[str, ...]) -> Moments:
    """Return the moments of exactly these columns, jointly."""
    if columns in cell.moments:
        return cell.moments[columns]
    for m in cell.moments.values():
        if set(columns) <= set(m.columns):
            return m.pick(columns)
    known = sorted({name for key in cell.moments for name in key})
    msg = f"the trend by age reads {list(columns)}; the moments hold {known}; add"
    raise ParameterError(f"{msg} those columns.", code="moments_mismatch")


def _value(metric: Metric, m: Moments, columns: tuple[str, ...]) -> ArmEstimate:
    if metric.kind == "ratio":
        return means.ratio(m, *columns)
    if metric.kind == "proportion" and m.n >= 2:
        return proportions.proportion(m, columns[0])
    return means.mean(m, columns[0])


def _point(
    metric: Metric,
    pair: tuple[ArmEstimate, ArmEstimate],
    alpha: float,
    where: Mapping[str, Any],
) -> AgePoint:
    contrast = Contrast(*pair)
    low, high = contrast.interval(alpha) or (None, None)
    lift_low, lift_high = contrast.lift_interval(alpha) or (None, None)
    return AgePoint(
        metric=metric.name,
        n_control=pair[0].n,
        n_treatment=pair[1].n,
        mean_control=pair[0].value,
        mean_treatment=pair[1].value,
        estimate=contrast.estimate,
        se=contrast.se,
        ci_low=low,
        ci_high=high,
        lift=contrast.lift,
        lift_low=lift_low,
        lift_high=lift_high,
        **where,
    )


def _tests(
    item: _Aged, arm: str, pair: tuple[Moments, Moments], alpha: float
) -> list[Novelty]:
    """Return both contrasts of one metric and arm."""
    k = len(item.columns)
    flat = [1 / k] * k

    def contrast(
        weights: Sequence[float], level: Sequence[float] | None = None
    ) -> Contrast:
        control, treatment = (
            contrast_of(m, item.tops, weights, denominators=item.belows, level=level)
            for m in pair
        )
        return Contrast(control, treatment)

    slope = age_weights(range(k)).tolist()
    late = age_weights(range(k), kind="late_minus_early").tolist()
    made: dict[Kind, Contrast] = {
        "relative_slope": contrast(slope, flat),
        "slope": contrast(slope),
        "late_minus_early": contrast(late),
    }
    average = contrast(flat).estimate
    found = []
    for kind, one in made.items():
        low, high = one.interval(alpha) or (None, None)
        found.append(
            Novelty(
                metric=item.metric.name,
                arm=arm,
                kind=kind,
                n_control=one.control.n,
                n_treatment=one.treatment.n,
                estimate=one.estimate,
                se=one.se,
                df=one.df if one.p_value is not None else None,
                ci_low=low,
                ci_high=high,
                p_value=one.p_value,
                average=average,
            )
        )
    return found


def _adjusted(tests: Sequence[Novelty], alpha: float) -> tuple[Novelty, ...]:
    """Adjust each kind by Holm; what cannot be computed keeps its place as p = 1."""
    found = list(tests)
    for kind in KINDS:
        places = [i for i, item in enumerate(found) if item.kind == kind]
        ps = [found[i].p_value for i in places]
        if not ps:
            continue
        family = adjust([1.0 if p is None else p for p in ps], "holm", alpha)
        for i, p, p_adj in zip(places, ps, family.p_adj, strict=True):
            if p is not None:
                found[i] = replace(found[i], p_adj=p_adj)
    return tuple(found)
