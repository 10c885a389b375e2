"""Sample size, run length and power, from numbers or from history."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any, Literal

from growth.abtest.past import HISTORY_WEEKS, Past, read_past
from growth.abtest.plans import Fixed
from growth.abtest.sizing import (
    WEEK,
    Baseline,
    Known,
    SizePlan,
    choice_fault,
    design_of,
    metric_faults,
    plan_of,
)
from growth.errors import Fault, ParameterError, suggest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime

    from growth.abtest.experiment import Experiment, Source
    from growth.abtest.plans import Plan
    from growth.abtest.units import UnitTable
    from growth.dataset import Dataset
    from growth.engine import TableLike

__all__ = ["plan", "plan_from_numbers", "plan_from_past"]


def plan_from_numbers(
    metrics: Sequence[Baseline],
    *,
    arms: Mapping[str, float] | None = None,
    control: str | None = None,
    alpha: float = 0.05,
    power: float = 0.8,
    scheme: Plan | None = None,
    objective: Literal["superiority", "no_harm"] = "superiority",
    scope: Literal["experiment", "metric"] = "experiment",
    units_by_day: Sequence[float] | None = None,
    coverage: float = 1.0,
    min_days: int = 14,
    max_weeks: int = 8,
) -> SizePlan:
    """Plan an experiment from numbers somebody already holds.

    Parameters
    ----------
    metrics : sequence of Baseline
        One per metric, different names.
    arms : mapping of str to float, optional
        Weight per arm, 0 if closed; a control and a treatment of equal weight if
        omitted.
    control : str, optional
        Its control; the first if omitted.
    alpha : float, default 0.05
        Two-sided level of the experiment, in (0, 1).
    power : float, default 0.8
        Power, in (alpha, 1): for each goal, and for all guardrails together.
    scheme : Plan, optional
        How it will be read; once, at its planned size, if omitted.
    objective : {"superiority", "no_harm"}
        Whether goals are to change or to do no harm (then they need a margin).
    scope : {"experiment", "metric"}
        Family of the goals' adjustment for multiplicity.
    units_by_day : sequence of float, optional
        Different units seen up to the end of each day, day 1 first: it bends, because
        people come back.
    coverage : float, default 1
        Share of them that take part, in (0, 1].
    min_days : int, default 14
        Shortest run.
    max_weeks : int, default 8
        Longest run worth considering, whole weeks, 1 or more.

    Returns
    -------
    SizePlan
        In whole weeks.

    Raises
    ------
    ParameterError
        If anything cannot be used; `faults` has all of it.

    Notes
    -----
    Goals share alpha by Bonferroni (over goals and treatment arms, as Holm's first
    step); guardrails, which must all pass, share ``1 - power``. A margin is planned
    at alpha / 2 on one side, as the interval that decides, for a treatment that
    loses nothing.

    Examples
    --------
    >>> goal = Baseline(name="pay_rate", kind="proportion", mean=0.03, mde=0.1)
    >>> plan_from_numbers([goal]).units
    106422
    """
    weights = dict(arms or {"control": 1.0, "treatment": 1.0})
    name = control or next(iter(weights), "")
    traffic = None if units_by_day is None else [float(n) for n in units_by_day]
    wrong = [
        choice_fault(name_of, seen, known)
        for name_of, seen, known in (
            ("objective", objective, ("superiority", "no_harm")),
            ("scope", scope, ("experiment", "metric")),
        )
        if seen not in known
    ]
    faults = wrong + _faults(
        metrics,
        weights,
        name,
        traffic,
        alpha=alpha,
        power=power,
        coverage=coverage,
        min_days=min_days,
        max_weeks=max_weeks,
        no_harm=objective == "no_harm",
    )
    if faults:
        raise ParameterError.of("plan", faults)
    design = design_of(
        metrics,
        weights,
        name,
        alpha=alpha,
        power=power,
        scheme=scheme or Fixed(),
        scope=scope,
        no_harm=objective == "no_harm",
    )
    by_name = {metric.name: metric for metric in metrics}
    known = [Known(0, {}, by_name)]
    if traffic is not None:
        known = []
        for week in range(1, min(len(traffic) // WEEK, max_weeks) + 1):
            units = {}
            for m in metrics:
                day = week * WEEK - m.window_days
                seen = traffic[day - 1] * coverage if day >= 1 else 0.0
                units[m.name] = seen * (1 - m.missing_rate)
            known.append(Known(week, units, by_name))
    return plan_of(known or [Known(0, {}, by_name)], design, min_days, max_weeks)


def plan(
    history: Dataset | TableLike | UnitTable,
    experiment: Experiment,
    *,
    as_of: date | datetime | None = None,
    weeks: int = HISTORY_WEEKS,
    seen: Source | Mapping[str, Any] | None = None,
    power: float = 0.8,
    units_by_day: Sequence[float] | None = None,
    max_weeks: int = 8,
    unique: bool = False,
) -> SizePlan:
    """Plan an experiment from its declaration and from what happened before it.

    Parameters
    ----------
    history : Dataset, UnitTable, ibis.Table, frame, Arrow data or path
        A dataset, from which units and metrics are built for one week, two weeks and
        so on; or one row a unit, which tells how units come only if it has the day of
        exposure.
    experiment : Experiment
        The declaration: metrics, effects, margins, arms, level, coverage, plan. Its
        dates are not looked at.
    as_of : date, optional
        Last day of the history; a dataset needs it.
    weeks : int, default 4
        Whole weeks of history to read, of a dataset; 1 or more.
    seen : Source or mapping, optional
        Rows that would expose a unit, such as ``{"table": "events", "event":
        "page_view"}``; any event if omitted.
    power : float, default 0.8
        Power, in (alpha, 1).
    units_by_day : sequence of float, optional
        Different units by day, as in `plan_from_numbers`; the history's if omitted.
    max_weeks : int, default 8
        Longest run worth considering.
    unique : bool, default False
        As in `analyze`.

    Returns
    -------
    SizePlan
        Variance, adjustment and units are those of each length of run: a metric
        without a window grows with it, one with a window waits for it.

    Raises
    ------
    ParameterError
        If `as_of`, `weeks` or another argument is unusable, or as in `unit_table`.
    ColumnNotFoundError, DataError
        As in `unit_table` and `analyze`.

    Notes
    -----
    The variance is the metric's own: of the linearised values for a ratio, of cluster
    totals where clusters are randomised (units are then clusters), what covariates
    leave of it where the metric is adjusted, of the capped values where these decide.
    Strata are not taken into account: they can only make the plan shorter.
    """
    past = read_past(
        history, experiment, as_of=as_of, weeks=weeks, seen=seen, unique=unique
    )
    return plan_from_past(
        past,
        experiment,
        power=power,
        units_by_day=units_by_day,
        max_weeks=max_weeks,
    )


def plan_from_past(
    past: Past,
    experiment: Experiment,
    *,
    power: float = 0.8,
    units_by_day: Sequence[float] | None = None,
    max_weeks: int = 8,
) -> SizePlan:
    """Plan an experiment from a history that was read already.

    Parameters
    ----------
    past : Past
        From `read_past`, for an experiment with these metrics.
    experiment, power, units_by_day, max_weeks
        As in `plan`. Effects, margins, level, arms and plan may be others than those
        the history was read for.

    Returns
    -------
    SizePlan
        As from `plan`.

    Raises
    ------
    ParameterError
        If an argument is unusable.
    """
    given = None if units_by_day is None else [float(n) for n in units_by_day]
    known, notices = past.aimed(experiment)
    low, high = experiment.range
    coverage = experiment.coverage * (high - low)
    no_harm = experiment.objective == "no_harm"
    metrics = [*known[-1].metrics.values()]
    faults = _faults(
        metrics,
        experiment.arms,
        experiment.control,
        given,
        alpha=experiment.alpha,
        power=power,
        coverage=coverage,
        min_days=experiment.min_days,
        max_weeks=max_weeks,
        no_harm=no_harm,
    )
    if faults:
        raise ParameterError.of("plan", faults)
    design = design_of(
        metrics,
        experiment.arms,
        experiment.control,
        alpha=experiment.alpha,
        power=power,
        scheme=experiment.plan,
        scope=experiment.scope,
        no_harm=no_harm,
    )
    known = _with_traffic(known, given, experiment, coverage)
    found = plan_of(known, design, experiment.min_days, max_weeks)
    return replace(found, notices=(*notices, *found.notices))


def _with_traffic(
    known: Sequence[Known],
    traffic: Sequence[float] | None,
    experiment: Experiment,
    coverage: float,
) -> list[Known]:
    """Return what is known by week, with the units that will take part."""
    if traffic is None:
        return [
            k._replace(units={n: units * coverage for n, units in k.units.items()})
            for k in known
        ]
    found = []
    for week in range(1, len(traffic) // WEEK + 1):
        earlier = [k for k in known if k.week <= week]
        metrics = (earlier[-1] if earlier else known[0]).metrics
        units = {}
        for name in metrics:
            day = week * WEEK - (experiment.metric(name).window_days or 0)
            units[name] = traffic[day - 1] * coverage if day >= 1 else 0.0
        found.append(Known(week, units, metrics))
    return found or [*known]


def _faults(
    metrics: Sequence[Baseline],
    arms: Mapping[str, float],
    control: str,
    traffic: Sequence[float] | None,
    *,
    alpha: float,
    power: float,
    coverage: float,
    min_days: int,
    max_weeks: int,
    no_harm: bool,
) -> list[Fault]:
    faults = [
        Fault("plan_out_of_range", name, repr(value), expected)
        for name, value, fits, expected in (
            ("alpha", alpha, 0 < alpha < 1, "in (0, 1)"),
            ("power", power, alpha < power < 1, "above alpha and below 1"),
            ("coverage", coverage, 0 < coverage <= 1, "above 0, 1 at most"),
            ("min_days", min_days, min_days >= 1, "1 or more"),
            ("max_weeks", max_weeks, max_weeks >= 1, "1 or more"),
        )
        if not fits
    ]
    opened = [arm for arm, weight in arms.items() if weight > 0]
    if control not in opened or len(opened) < 2:
        seen = f"{dict(arms)}, control {control!r}"
        expected = "two or more open arms, the control among them"
        hint = suggest(control, arms).strip()
        faults.append(Fault("bad_weights", "arms", seen, expected, hint))
    if not metrics:
        faults.append(Fault("no_metrics", "metrics", "none", "one or more"))
    names = [metric.name for metric in metrics]
    faults += [
        Fault("duplicate_name", "metrics", f"{name!r} twice", "all different")
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    for metric in metrics:
        faults += metric_faults(metric, no_harm=no_harm)
    rising = traffic is None or all(
        0 <= one <= two < inf
        for one, two in zip([0.0, *traffic], traffic, strict=False)
    )
    if not rising:
        seen, expected = f"{len(traffic or ())} values", "numbers that never fall"
        hint = "Give different units seen so far, not new units a day."
        faults.append(Fault("bad_traffic", "units_by_day", seen, expected, hint))
    return faults
