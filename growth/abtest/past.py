"""What happened before: units, variances and their growth, read for a plan."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from math import isfinite, sqrt
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from growth.abtest.cells import MISSING, covariates_of
from growth.abtest.experiment import Source
from growth.abtest.plans import Fixed
from growth.abtest.readings import readings
from growth.abtest.sizing import WEEK, Baseline, Known
from growth.abtest.units import UnitTable
from growth.errors import ParameterError
from growth.result import Notice
from growth.stats import means

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from growth.abtest.experiment import Experiment, Metric
    from growth.dataset import Dataset
    from growth.engine import TableLike
    from growth.stats.moments import Moments

__all__ = ["HISTORY_WEEKS", "Past", "read_past"]

ANY_EVENT: Final = Source(table="events", agg="any")
HISTORY_WEEKS: Final = 4


class Past(NamedTuple):
    """What a history says of an experiment's metrics, after one week, two and so on.

    Parameters
    ----------
    known : sequence of Known
        Units and metrics by weeks; one of week 0 where nobody knows the days.
    notices : tuple of Notice
        What was noticed while reading.
    """

    known: Sequence[Known]
    notices: tuple[Notice, ...]

    def aimed(self, experiment: Experiment) -> Past:
        """Return the same with the effects and margins of another declaration.

        Its metrics must be those the history was read for.
        """
        declared = {metric.name: metric for metric in experiment.metrics}

        def one(name: str, baseline: Baseline) -> Baseline:
            m = declared[name]
            return replace(
                baseline, mde=m.mde, margin=m.margin, margin_kind=m.margin_kind
            )

        return self._replace(
            known=[
                k._replace(
                    metrics={name: one(name, b) for name, b in k.metrics.items()}
                )
                for k in self.known
            ]
        )


def read_past(
    history: Dataset | TableLike | UnitTable,
    experiment: Experiment,
    *,
    as_of: date | datetime | None = None,
    weeks: int = HISTORY_WEEKS,
    seen: Source | Mapping[str, Any] | None = None,
    unique: bool = False,
) -> Past:
    """Read what happened before an experiment: the slow part of planning it.

    Parameters
    ----------
    history, experiment, as_of, weeks, seen, unique
        As in `plan`.

    Returns
    -------
    Past
        For `plan_from_past`, as often as wanted.

    Raises
    ------
    ParameterError
        If `as_of` or `weeks` is unusable, or as in `unit_table`.
    ColumnNotFoundError, DataError
        As in `unit_table` and `analyze`.
    """
    frozen = replace(experiment, start=None, end=None, plan=Fixed())
    if _is_dataset(history):
        known, notices = _from_dataset(
            history, frozen, as_of=as_of, weeks=weeks, seen=seen, unique=unique
        )
    else:
        known, notices = _from_units(history, frozen, as_of=as_of, unique=unique)
    return Past(known, notices)


def _is_dataset(history: object) -> bool:
    from growth.dataset import Dataset

    return isinstance(history, Dataset)


def _from_dataset(
    history: Any,  # noqa: ANN401  (a Dataset)
    experiment: Experiment,
    *,
    as_of: date | datetime | None,
    weeks: int,
    seen: Source | Mapping[str, Any] | None,
    unique: bool,
) -> tuple[list[Known], tuple[Notice, ...]]:
    """Build the units for one week, two weeks and so on, and read each."""
    from growth.abtest.units import seen_units

    if not isinstance(as_of, date) or isinstance(as_of, datetime):
        msg = f"as_of is {as_of!r}; it must be the history's last day; pass a date."
        raise ParameterError(msg, code="bad_as_of")
    if not isinstance(weeks, int) or weeks < 1:
        msg = f"weeks is {weeks!r}; it must be a whole number, 1 or more; say how many"
        raise ParameterError(f"{msg} weeks of history to read.", code="bad_weeks")
    rows = _source(seen)
    start = as_of - timedelta(days=weeks * WEEK - 1)
    dated = replace(experiment, start=start)
    known: list[Known] = []
    notices: tuple[Notice, ...] = ()
    for week in range(1, weeks + 1):
        day = start + timedelta(days=week * WEEK - 1)
        built = seen_units(history, dated, seen=rows, as_of=day)
        if week == weeks and built.first_day is not None and built.first_day > start:
            args = (("day", built.first_day.isoformat()), ("start", start.isoformat()))
            notices = (Notice("history_starts_late", args=args),)
        one, said = _known(built.cache(), dated, week, unique=unique)
        known.append(one)
        if week == weeks:
            notices = (*notices, *(n for n in said if n.code == "lists_left_out"))
    return known, notices


def _source(seen: Source | Mapping[str, Any] | None) -> Source:
    from growth.abtest.declaration import source_faults

    if isinstance(seen, Source):
        return seen
    given = {"agg": "any", **(seen or {"table": "events"})}
    if faults := source_faults(given, "seen."):
        raise ParameterError.of("seen", faults)
    return Source(**{**given, "where": tuple(given.get("where", ()))})


def _from_units(
    history: TableLike | UnitTable,
    experiment: Experiment,
    *,
    as_of: date | datetime | None,
    unique: bool,
) -> tuple[list[Known], tuple[Notice, ...]]:
    """Read a ready table; by week if it has the day of exposure."""
    from growth.abtest.together import read_totals

    table = history.table if isinstance(history, UnitTable) else history
    whole = read_totals(table, experiment, as_of=as_of, unique=unique)
    one, said = _known(table, experiment, 0, unique=unique, as_of=as_of)
    days = [*whole.days]
    last = (days[-1] - days[0]).days + 1 if days else 0
    if last < WEEK:
        return [one], said
    known = []
    for week in range(1, last // WEEK + 1):
        day = days[0] + timedelta(days=week * WEEK - 1)
        found, _ = _known(table, experiment, week, unique=True, as_of=day)
        known.append(found)
    open_ended = [m.name for m in experiment.metrics if not m.window_days]
    if open_ended:
        args = (("metric", ", ".join(open_ended)),)
        said = (*said, Notice("values_of_now", "info", args))
    return known, said


def _known(
    units: TableLike | UnitTable,
    experiment: Experiment,
    week: int,
    *,
    unique: bool,
    as_of: date | datetime | None = None,
) -> tuple[Known, tuple[Notice, ...]]:
    from growth.abtest.together import read_columns, read_totals

    totals = read_totals(units, experiment, as_of=as_of, unique=unique)
    notices = totals.notices
    metrics: dict[str, Baseline] = {}
    counts: dict[str, float] = {}
    for reading in readings(experiment):
        declared = experiment.metric(reading.name)
        if not reading.decides or declared.kind == "quantile":
            continue
        found = _baseline(declared, reading.metric, experiment, totals.moments)
        counts[declared.name], metrics[declared.name] = found
    quantiles = tuple(m for m in experiment.metrics if m.kind == "quantile")
    if quantiles:
        ready = read_columns(units, experiment, as_of=as_of, unique=unique)
        notices = (*notices, *ready.notices)
        for metric in quantiles:
            if metric.columns[0] in ready.columns:
                column = ready.columns[metric.columns[0]]
                count, baseline = _quantile(metric, column)
                counts[metric.name], metrics[metric.name] = count, baseline
    order = [m.name for m in experiment.metrics if m.name in metrics]
    return Known(week, counts, {name: metrics[name] for name in order}), notices


def _baseline(
    declared: Metric,
    metric: Metric,
    experiment: Experiment,
    moments: Mapping[tuple[str, ...], Moments],
) -> tuple[float, Baseline]:
    """Return a metric's units and what is known of it, from moments of all units."""
    names = covariates_of(experiment, metric)
    wanted = {*metric.columns, *names}
    holding = [columns for columns in moments if wanted <= set(columns)]
    m = moments[min(holding, key=len)]
    names += tuple(f"{n}{MISSING}" for n in names if f"{n}{MISSING}" in m.columns)
    nonzero = int(m.nonzero[m.at(metric.columns[0])]) / m.n if m.n else None
    column = metric.columns[0]
    if metric.kind == "ratio":
        top, bottom = metric.columns
        m = means.ratio_linear(
            m.pick((top, bottom, *names)), "l", numerator=top, denominator=bottom
        )
        column = "l"
    at = m.at(column)
    variance = float(m.cov[at, at]) if m.n > 1 else 0.0
    mean = float(m.mean[at]) if m.n else 0.0
    explained = 0.0
    if names and variance > 0:
        fit = means.lin({"": m}, column, names).fits.get("")
        if fit is not None:
            explained = max(1 - fit.residual / float(m.comoment[at, at]), 0.0)
    share = metric.kind == "proportion"
    return float(m.n), Baseline(
        name=declared.name,
        kind=metric.kind,
        mean=mean if isfinite(mean) else 0.0,
        sd=None if share else sqrt(variance) if isfinite(variance) else 0.0,
        role=declared.role,
        good=declared.good,
        mde=declared.mde,
        margin=declared.margin,
        margin_kind=declared.margin_kind,
        r_squared=min(explained, 1 - 1e-9),
        nonzero_rate=nonzero,
    )


def _quantile(metric: Metric, column: Any) -> tuple[float, Baseline]:  # noqa: ANN401
    from growth.stats.quantiles import unit_quantile

    found = unit_quantile(column, metric.q or 0.5)
    n = found.arm.n if found else 0
    se = found.se if found and found.se is not None else 0.0
    return float(n), Baseline(
        name=metric.name,
        kind="quantile",
        mean=found.value if found else 0.0,
        sd=se * sqrt(n),
        role=metric.role,
        good=metric.good,
        mde=metric.mde,
        margin=metric.margin,
        margin_kind=metric.margin_kind,
    )
