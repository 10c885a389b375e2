"""The same questions, asked of tables; `units` builds one, this file reads it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import date, datetime, timedelta
from math import frexp, isfinite, ldexp
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from growth.abtest.analysis import Analysis, Passes, analyze_from_moments, fit_arms
from growth.abtest.cells import (
    MISSING,
    ArmCell,
    By,
    by_columns,
    column_sets,
    covariates_of,
    moments_by_arm,
    pooled,
    sort_cells,
)
from growth.abtest.effects import PRIOR
from growth.abtest.history import STOOD, UnitHistory
from growth.abtest.looks import looks_from
from growth.abtest.passes import cap_columns, cluster_facts, quantile_estimates
from growth.abtest.plans import Look, Standing
from growth.abtest.pooling import mixed, pool_experiment, within_days
from growth.abtest.readings import SEEN, SIZE, WITH, Threshold, readings
from growth.abtest.rewind import Ripening, rewound, ripening
from growth.abtest.split import SplitCheck, check_split_from_counts
from growth.abtest.trends import Trend, read_day, trend_from_moments
from growth.abtest.units import (
    Expr,
    Rows,
    UnitTable,
    as_day,
    covariate_names,
    measured,
    strata_columns,
    windows_of,
)
from growth.errors import DataError, ParameterError, suggest
from growth.result import Notice
from growth.stats.means import FULL_LEVERAGE, ratio_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from growth.abtest.experiment import Experiment, Metric
    from growth.engine import TableLike
    from growth.stats.means import ArmFit, Line
    from growth.stats.moments import Moments

__all__ = ["Totals", "UnitColumns", "analyze", "check_split", "read_columns"]
__all__ += ["read_totals", "trend"]

EXACT_ROWS: Final = 1_000_000  # above this, repeated units are looked for in a sample
HC2_BITS: Final = 44  # to which a variance is summed; 2**18 more are left for outliers
DAY: Final = timedelta(days=1)
SAMPLE: Final = 64  # of one unit in so many, all its rows


def check_split(
    exposures: TableLike | UnitTable,
    *,
    planned: Mapping[str, float] | None = None,
    unit_col: str | None = None,
    variant_col: str | None = None,
    day_col: str | None = None,
    alpha: float | None = None,
    experiment: Experiment | None = None,
    sequential: bool | None = None,
    by: Sequence[str] | None = None,
) -> SplitCheck:
    """Count units per variant in `exposures`, then `check_split_from_counts`.

    Parameters
    ----------
    exposures : UnitTable, ibis.Table, frame, Arrow data or path
        One row per exposure; rows may repeat.
    planned : mapping of str to float, optional
        Weight per variant, 0 if closed; the experiment's, else equal.
    unit_col, variant_col : str, optional
        The unit that was randomised, and its arm; the experiment's columns, else
        ``user_id`` and ``variant``.
    day_col : str, optional
        The local day of exposure, which a sequential test goes by; the
        experiment's column, else ``exposure_ds``.
    alpha : float, optional
        Level of the test; the experiment's `srm_alpha`, else 0.001.
    experiment : Experiment, optional
        Where the defaults come from; a `UnitTable` brings its own. Its dates
        apply where the table has the day of exposure.
    sequential : bool, optional
        Whether the verdict rests on a test that may be read every day. Omitted:
        where the plan is sequential, its size is not reached, and the table has
        the day of exposure.
    by : sequence of str, optional
        Columns to search for the cause of a mismatch: ``["platform", "scene",
        "app_version", "day"]``; ``day`` is the day of exposure. A unit with several
        values counts with the smallest.

    Returns
    -------
    SplitCheck
        Units seen in several arms are in `crossovers` and in no arm.

    Raises
    ------
    ParameterError
        As in `check_split_from_counts`.
    DataError
        If a column is missing, a unit or variant is NULL (code ``null_value``), a
        variant is not planned (``unknown_arm``), or no open arm has units
        (``no_units``).
    """
    from growth import engine

    built = exposures if isinstance(exposures, UnitTable) else None
    exp = experiment or (built.experiment if built else None)
    unit = unit_col or (exp.columns.unit if exp else "user_id")
    variant = variant_col or (exp.columns.variant if exp else "variant")
    table = built.table if built else engine.as_table(exposures)
    engine.need_columns(table, (unit, variant))
    if exp and not built and exp.columns.day in table.columns:
        inside = _inside(_day_of(table, exp), exp, None)
        table = table.filter(inside) if inside is not None else table
    counted = engine.count_units(table, unit_col=unit, group_col=variant)
    weights = planned or (exp.arms if exp else None)
    for seen in counted.units:
        if weights is not None and seen not in weights:
            msg = f"column {variant!r} holds the arm {seen!r}; planned are"
            msg += f" {list(weights)}; correct the table or plan it (0 if closed)."
            raise DataError(msg + suggest(seen, weights), code="unknown_arm")
    day = day_col or (exp.columns.day if exp else "exposure_ds")
    if sequential is None:
        planned_units = exp.plan.units if exp and exp.plan.sequential else None
        short = sum(counted.units.values()) < (planned_units or 0)
        sequential = short and day in table.columns
    columns = {name: table[name] for name in _cuts(table, by or (), day)}
    if sequential or "day" in (by or ()):
        engine.need_columns(table, (day,), unlocks="the split by day")
        columns["day"] = _day_column(table, day, exp.tz if exp else "Asia/Shanghai")
    cut = _units_by(table, unit, variant, columns) if columns else {}
    level = alpha if alpha is not None else (exp.srm_alpha if exp else 0.001)
    return check_split_from_counts(
        counted.units,
        planned=weights,
        alpha=level,
        crossovers=counted.crossovers + (built.crossovers if built else 0),
        sequential=sequential,
        by_day=cut["day"] if sequential else None,
        by=None if by is None else {name: _texts(cut[name]) for name in by},
    )


def _cuts(table: Rows, by: Sequence[str], day: str) -> list[str]:
    """Return the columns to cut by, the day of exposure apart."""
    from growth import engine

    names = [name for name in dict.fromkeys(by) if name != "day" or day == "day"]
    unlocks = "that cut of the split; a unit table is built with by=[...]"
    engine.need_columns(table, names, unlocks=unlocks)
    return [name for name in names if name != "day"]


def _units_by(
    table: Rows, unit: str, variant: str, columns: Mapping[str, Expr]
) -> dict[str, dict[Any, dict[str, int]]]:
    """Count the units of one arm only by each column's values and by arm."""
    from growth import engine

    named = {f"cut{i}": column for i, column in enumerate(columns.values())}
    rows = table.select(unit=table[unit], arm=table[variant].cast("string"), **named)
    units = rows.group_by("unit").aggregate(
        arm=rows.arm.min(), last=rows.arm.max(), **{n: rows[n].min() for n in named}
    )
    whole = units.filter(units.arm == units.last)
    found: dict[str, dict[Any, dict[str, int]]] = {}
    for name, key in zip(columns, named, strict=True):
        counts = whole.group_by(key, "arm").aggregate(n=whole.count())
        cells: dict[Any, dict[str, int]] = {}
        for row in engine.fetch(counts, "counting units").to_pylist():
            cells.setdefault(row[key], {})[row["arm"]] = int(row["n"])
        found[name] = cells
    return found


def _texts(
    cells: Mapping[Any, Mapping[str, int]],
) -> dict[str | None, Mapping[str, int]]:
    return {None if v is None else str(v): counts for v, counts in cells.items()}


def analyze(
    units: TableLike | UnitTable | UnitHistory,
    experiment: Experiment,
    *,
    by: Sequence[str | Sequence[str]] | None = None,
    as_of: date | datetime | None = None,
    pool: Mapping[str, Sequence[str]] | None = None,
    prior: tuple[float, float] | None = PRIOR,
    unique: bool = False,
) -> Analysis:
    """Compare every arm with control on every metric, from one row a unit.

    Parameters
    ----------
    units : UnitTable, ibis.Table, frame, Arrow data or path
        One row a unit.
    experiment : Experiment
        The declaration.
    by : sequence of str or of sequence of str, optional
        Breakdown columns: a name alone, a sequence crossed; the experiment's if
        omitted. They must be from before exposure.
    as_of : date or aware datetime, optional
        Last day counted, where the table has the day of exposure; a `UnitTable`
        brings its own.
    pool : mapping of str to sequence of str, optional
        Arms read as one, by the name they get: ``{"any_variant": ["B", "C"]}``. The
        split is still checked on the original arms.
    prior : tuple of (float, float), or None, default (0, 0.3)
        Mean and standard deviation of the lift beforehand, as shares, for the
        Bayesian columns; None is flat.
    unique : bool, default False
        Your word that no unit stands in two rows: they are not looked for, which
        saves reading the column of units.

    Returns
    -------
    Analysis
        Totals and segments.

    Raises
    ------
    ColumnNotFoundError
        If a column is missing.
    DataError
        If the table is empty (code ``no_units``), a unit or arm is NULL
        (``null_value``), an arm is not declared (``unknown_arm``), a unit has
        several rows in one arm (``repeated_unit``), or a column's type or values
        cannot be used (``column_type``, ``infinite_value``, ``not_a_share``).
    ParameterError
        If `as_of` is unusable (code ``bad_as_of``), `pool` names arms that cannot be
        pooled (``bad_pool``), or `prior` is no spread (``bad_scale``).

    Notes
    -----
    One scan gives all metrics, arms and segments; Lin's HC2 standard error (in
    the total; segments have the one from moments) takes one more. Units in two
    arms are counted and left out of both. Above a million rows they are looked
    for among one unit in 64; where one is found there, in all.
    """
    breakdowns = by_columns(experiment.by if by is None else by)
    asked = _Asked(pool=pool, prior=prior, unique=unique)
    if not experiment.plan.sequential:
        return _read(units, experiment, breakdowns, as_of, asked)
    return _under_plan(units, experiment, breakdowns, as_of, asked)


def trend(
    units: TableLike | UnitTable | UnitHistory,
    experiment: Experiment,
    *,
    as_of: date | datetime | None = None,
) -> Trend:
    """Compare the arms by day of first exposure, day by day and cumulated.

    Parameters
    ----------
    units : UnitHistory, UnitTable, ibis.Table, frame, Arrow data or path
        With a `UnitHistory` the cumulative series is what was known at the end of
        each day; with one row a unit its values are those of now.
    experiment, as_of
        As in `analyze`.

    Returns
    -------
    Trend
        One point per metric, arm, day and series.

    Raises
    ------
    ColumnNotFoundError
        If the table has no day of exposure, or lacks another column.
    DataError
        As in `analyze`; and if a day is NULL (code ``bad_day``).
    """
    from growth import engine

    if isinstance(units, UnitHistory):
        return _trend_as_it_stood(units, experiment)
    table = units.table if isinstance(units, UnitTable) else engine.as_table(units)
    day = experiment.columns.day
    engine.need_columns(table, (day,), unlocks="the effect by day of exposure")
    ready = _prepare(units, experiment, (), as_of)
    cells, remarks = _scan(ready, experiment, [(experiment.columns.variant, day)])
    found = trend_from_moments(cells, experiment)
    return replace(found, notices=(*ready.notices, *remarks, *found.notices))


def _trend_as_it_stood(history: UnitHistory, experiment: Experiment) -> Trend:
    """Read the same series, the cumulative one from each day's own values."""
    units, variant = history.units, experiment.columns.variant
    ready = _prepare(units, experiment, (), None)
    now, remarks = _scan(ready, experiment, [(variant, experiment.columns.day)])
    columns = _numbers(history.table, experiment, ready.holey, {}, None)
    keep = {variant: history.table[variant].cast("string")}
    keep |= {STOOD: history.table[STOOD], **columns}
    table, _ = cap_columns(history.table.select(**keep), experiment, caps=ready.caps)
    then = ready._replace(table=_shaped(table, experiment))
    stood, _ = _scan(then, experiment, [(variant, STOOD)])
    found = trend_from_moments(now, experiment, stood=stood)
    return replace(found, notices=(*ready.notices, *remarks, *found.notices))


# -- one reading, and all those of a sequential plan --------------------------------


class _Asked(NamedTuple):
    """How a table is to be read, at one look or at all of them."""

    pool: Mapping[str, Sequence[str]] | None = None
    prior: tuple[float, float] | None = PRIOR
    unique: bool = False
    look: Callable[[int, Mapping[str, int]], Standing | None] = lambda *_: None


def _read(
    units: TableLike | UnitTable,
    experiment: Experiment,
    breakdowns: tuple[tuple[str, ...], ...],
    as_of: date | datetime | None,
    asked: _Asked,
) -> Analysis:
    """Read the table as it stands."""
    ready = _prepare(units, experiment, breakdowns, as_of, unique=asked.unique)
    if asked.pool is not None:
        ready, experiment = _pooled(ready, experiment, asked.pool)
    variant = experiment.columns.variant
    groupings = [(variant,), *((variant, *names) for names in breakdowns)]
    sliced = [
        (*grouping, column)
        for column in strata_columns(experiment)
        for grouping in groupings
        if column not in grouping
    ]
    found, remarks = _scan(ready, experiment, [*groupings, *sliced])
    cells = [cell for cell in found if cell.by in groupings]
    passes = Passes(
        quantiles=quantile_estimates(ready.table, experiment, cells),
        strata=[cell for cell in found if cell.by in sliced],
        caps=ready.caps,
        clusters=cluster_facts(ready.table, experiment, cells),
    )
    return analyze_from_moments(
        cells,
        experiment,
        variances=_hc2(ready, experiment, cells),
        passes=passes,
        prior=asked.prior,
        look=asked.look(_open_units(cells, experiment), ready.immature),
        days=_days_run(ready, experiment),
        first_day=ready.first_day,
        last_day=ready.last_day,
        crossovers=ready.crossovers,
        immature=ready.immature,
        notices=(*ready.notices, *remarks),
    )


def _open_units(cells: Iterable[ArmCell], experiment: Experiment) -> int:
    """Return the units in open arms."""
    opened = [arm for arm, weight in experiment.arms.items() if weight]
    return sum(c.rows for c in cells if len(c.by) == 1 and str(c.key[0]) in opened)


def _under_plan(
    units: TableLike | UnitTable | UnitHistory,
    experiment: Experiment,
    breakdowns: tuple[tuple[str, ...], ...],
    as_of: date | datetime | None,
    asked: _Asked,
) -> Analysis:
    """Read the table as it stood at every look of the plan, the last in full."""
    table, ripe, until = _timeline(units, experiment, as_of)
    if ripe is None or until is None:
        found = _read(table, experiment, breakdowns, as_of, asked)
        return replace(
            found, notices=(*found.notices, Notice("looks_unknown", "warning"))
        )
    plan = experiment.plan
    goals, exposed, news = ripe.goals(experiment), ripe.exposed(), ripe.news()
    start = experiment.start or (exposed[0] if exposed else until)
    ended = max([experiment.end - DAY, *news]) if experiment.end else None
    days = plan.look_days(goals, start=start, until=until, ended=ended)
    days = tuple(d for d in days if d == until or d in news)
    watched = _Watched(experiment, ended)
    seen: list[tuple[date, Analysis, dict[str, Look]]] = []
    for day in days:
        if not ripe.at(0, day):
            continue
        latest = day == days[-1]
        source: Any = table
        if isinstance(table, UnitTable | UnitHistory):
            now = isinstance(table, UnitTable) and day == until
            source = table if now else rewound(table, experiment, ripe, day).cache()
        then = as_of if day == until else day
        groups = breakdowns if latest else ()
        look = asked._replace(look=watched.on(day))
        found = _read(source, experiment, groups, then, look)
        seen.append((day, found, watched.note(found)))
    notices = []
    if plan_notice := _values_of_now(table, experiment, days, until):
        notices.append(plan_notice)
    if not seen:
        first = asked._replace(look=watched.before)
        bare = table.units if isinstance(table, UnitHistory) else table
        found = _read(bare, experiment, breakdowns, as_of, first)
        notices.append(Notice("before_first_look", "info"))
        return replace(found, notices=(*found.notices, *notices))
    found = seen[-1][1]
    looks = looks_from(seen)
    if seen[-1][0] < until:
        args = (("day", seen[-1][0].isoformat()),)
        notices.append(Notice("between_looks", "info", args))
    if looks.stopped_on and looks.stopped_on < seen[-1][0]:
        args = (("day", looks.stopped_on.isoformat()),)
        notices.append(Notice(f"plan_{looks.stop}", "info", args))
    return replace(found, looks=looks, notices=(*found.notices, *notices))


def _timeline(
    units: TableLike | UnitTable | UnitHistory,
    experiment: Experiment,
    as_of: date | datetime | None,
) -> tuple[Any, Ripening | None, date | None]:
    """Return the table to reread, when its units could be read, and the last day."""
    from growth import engine

    if isinstance(units, UnitTable | UnitHistory):
        now = units.units if isinstance(units, UnitHistory) else units
        moment = now.as_of if as_of is None else engine.instant(as_of, tz=experiment.tz)
        if isinstance(units, UnitTable):
            units = now = now.cache()
        else:
            units = replace(units, table=units.table.cache(), units=now.cache())
            now = units.units
        day = _day_of(now.table, experiment)
        ripe = ripening(now.table, experiment, day=day, exact=True)
        return units, ripe, _local_date(moment, experiment.tz) - timedelta(days=1)
    table = engine.as_table(units)
    if experiment.columns.day not in table.columns:
        return table, None, None
    engine.need_columns(table, (experiment.columns.variant,))
    day = _day_of(table, experiment)
    end = None
    if as_of is not None:
        end = _local_date(engine.instant(as_of, tz=experiment.tz), experiment.tz)
    inside = _inside(day, experiment, end)
    dated = table.filter(inside) if inside is not None else table
    ripe = ripening(dated, experiment, day=_day_of(dated, experiment), exact=False)
    exposed = ripe.exposed()
    if end is not None:
        return table, ripe, end - timedelta(days=1)
    return table, ripe, exposed[-1] if exposed else None


def _values_of_now(
    table: object, experiment: Experiment, days: Sequence[date], until: date
) -> Notice | None:
    """Say which metrics have no window, so that earlier looks see later values."""
    names = [m.name for m in experiment.metrics if not m.window_days]
    earlier = [day for day in days if day < until]
    if not names or not earlier or isinstance(table, UnitHistory):
        return None
    return Notice("values_of_now", "info", (("metric", ", ".join(names)),))


class _Watched:
    """What was seen at each look, and how each metric so stands in the plan."""

    def __init__(self, experiment: Experiment, ended: date | None) -> None:
        self.experiment = experiment
        self.ended = ended
        self.looks: dict[str, Look] = {}
        self.shares: dict[str, list[tuple[date, float]]] = defaultdict(list)
        self.past: dict[tuple[str, str], dict[float, float | None]] = defaultdict(dict)

    def on(self, day: date) -> Callable[[int, Mapping[str, int]], Standing]:
        """Return what tells how metrics stand, once the units of a day are known."""

        def standing(units: int, immature: Mapping[str, int]) -> Standing:
            exp = self.experiment
            over = self.ended is not None and day >= self.ended
            for metric in exp.metrics:
                ready = max(units - immature.get(metric.name, 0), 0)
                seen = self.shares[metric.name]
                before = seen[-1][1] if seen else 0.0
                seen.append((day, max(ready / (exp.plan.units or 1), before)))
                look = exp.plan.look_on(seen, alpha=exp.alpha, ended=over)
                self.looks[metric.name] = look
            return Standing(dict(self.looks), self.past)

        return standing

    def before(self, *_: object) -> Standing:
        """Return how metrics stand before the first look: nothing may be said."""
        exp = self.experiment
        look = exp.plan.look([0.0], alpha=exp.alpha, last=False)
        return Standing({metric.name: look for metric in exp.metrics})

    def note(self, found: Analysis) -> dict[str, Look]:
        """Keep the statistics of a look for those that follow."""
        for effect in found.totals():
            share = self.looks[effect.metric].share
            # where nothing could be concluded, nothing was crossed
            z = effect.statistic if effect.critical is not None else 0.0
            self.past[effect.metric, effect.arm][share] = z
        return dict(self.looks)


# -- reading a ready table ---------------------------------------------------------


class _Ready(NamedTuple):
    """A table whose columns can be aggregated as they are."""

    table: Rows
    has_day: bool
    holey: tuple[str, ...]
    end: date | None
    first_day: date | None
    last_day: date | None
    crossovers: int
    immature: Mapping[str, int]
    notices: tuple[Notice, ...]
    caps: tuple[Threshold, ...] = ()


def _pooled(
    ready: _Ready, experiment: Experiment, pool: Mapping[str, Sequence[str]]
) -> tuple[_Ready, Experiment]:
    """Read several arms as one; within days where the arms' shares changed."""
    from growth import engine

    read = pool_experiment(experiment, pool)
    variant, day = experiment.columns.variant, experiment.columns.day
    table, notices = ready.table, ready.notices
    if ready.has_day:
        counts = engine.aggregate(
            table, by=[variant, day], measures={"units": table.count()}
        ).to_pylist()
        opened = [row for row in counts if experiment.arms.get(row[variant])]
        if mixed([(row[day], row[variant], row["units"]) for row in opened]):
            read = within_days(read)
            notices = (*notices, Notice("mixed_allocation"))
    names = {arm: name for name, arms in pool.items() for arm in arms}
    arm = table[variant]
    together = arm.cases(*names.items(), else_=arm)
    ready = ready._replace(table=table.mutate(**{variant: together}), notices=notices)
    return ready, read


def _prepare(
    units: TableLike | UnitTable,
    experiment: Experiment,
    breakdowns: tuple[tuple[str, ...], ...],
    as_of: date | datetime | None,
    *,
    unique: bool = False,
) -> _Ready:
    """Check a unit table and turn its columns into numbers."""
    from growth import engine
    from growth.engine.connections import engine_call

    built = units if isinstance(units, UnitTable) else None
    source = built.table if built else engine.as_table(units)
    columns = experiment.columns
    grouped = [name for group in breakdowns for name in group]
    names = list(dict.fromkeys([*grouped, *strata_columns(experiment)]))
    if experiment.cluster is not None:
        names = list(dict.fromkeys([*names, experiment.cluster]))
    numbers = measured(experiment)
    engine.need_columns(source, (columns.unit, columns.variant, *numbers, *names))
    listed = {
        name for m in experiment.metrics if m.kind == "quantile" for name in m.columns
    }
    _check_types(source, numbers, listed=listed)
    has_day = columns.day in source.columns
    moment = built.as_of if built else None
    if as_of is not None:
        moment = engine.instant(as_of, tz=experiment.tz)
    end = _local_date(moment, experiment.tz) if moment else None
    day = _day_of(source, experiment) if has_day else None
    inside = None if built or day is None else _inside(day, experiment, end)
    waits = {} if built or day is None or end is None else windows_of(experiment)
    if day is None or end is None:
        ripe = {}
    else:
        ripe = {
            days: day + _days(days) <= _date(end) for days in sorted({*waits.values()})
        }
    with engine_call("checking the units"):
        facts = _facts(source, experiment, day, inside, ripe)
    _refuse_unusable(facts, experiment)
    table = source.filter(inside) if inside is not None else source
    crossovers = built.crossovers if built else 0
    if not built and not unique:
        with engine_call("looking for repeated units"):
            table, crossovers = _set_apart(table, experiment, facts["units"])
    if experiment.cluster is not None:
        with engine_call("looking for clusters in several arms"):
            table, split = _whole_clusters(table, experiment)
        crossovers += split
    holey = tuple(
        name for name in covariate_names(experiment) if facts.get(f"null_{name}")
    )
    keep = {columns.variant: table[columns.variant].cast("string")}
    if has_day:
        keep[columns.day] = _first_day_of(table, experiment)
    keep |= {name: table[name] for name in names if name not in keep}
    keep |= _numbers(table, experiment, holey, waits, end if has_day else None)
    immature = {name: int(facts[f"waits_{days}"]) for name, days in waits.items()}
    immature = dict(built.immature) if built else immature
    if experiment.cluster is not None and has_day and end is not None:
        immature = _waiting_clusters(table, experiment, end - DAY, exact=bool(built))
    ready, caps = cap_columns(table.select(**keep), experiment)
    return _Ready(
        table=_shaped(ready, experiment),
        caps=caps,
        has_day=has_day,
        holey=holey,
        end=end,
        first_day=as_day(facts.get("first_day"), columns.day),
        last_day=as_day(facts.get("last_day"), columns.day),
        crossovers=crossovers,
        immature=immature,
        notices=(*(built.notices if built else ()), *_outside(facts)),
    )


def _outside(facts: Mapping[str, Any]) -> list[Notice]:
    """Say how many units lie outside the experiment's dates."""
    if not (outside := facts.get("outside")):
        return []
    return [Notice("exposed_outside", "info", (("units", int(outside)),))]


def _waiting_clusters(
    table: Rows, experiment: Experiment, day: date, *, exact: bool
) -> dict[str, int]:
    """Count clusters none of whose members has a whole window behind it."""
    windows = windows_of(experiment)
    if not windows:
        return {}
    days = _day_of(table, experiment)
    ripe = ripening(table, experiment, day=days, exact=exact)
    return {name: ripe.at(0, day) - ripe.at(w, day) for name, w in windows.items()}


def _first_day_of(table: Rows, experiment: Experiment) -> Expr:
    """Return the day a randomised unit was first exposed, so that days share none."""
    day = _day_of(table, experiment)
    if experiment.cluster is None:
        return day
    return day.min().over(group_by=table[experiment.cluster])


def _shaped(table: Rows, experiment: Experiment) -> Rows:
    """Add what the readings need beside the columns: counts, sizes, whole pairs."""
    added = {}
    for reading in readings(experiment):
        for name in reading.metric.columns:
            if name in table.columns or name in added:
                continue
            if name.endswith(SEEN):
                added[name] = _values_in(table[name.removesuffix(SEEN)])
            elif WITH in name:
                own, other = name.split(WITH)
                empty = table[own].nullif(table[own])
                added[name] = _absent(table[other]).ifelse(empty, table[own])
            elif name.endswith(SIZE):
                known = ~_absent(table[name.removesuffix(SIZE)])
                added[name] = known.cast("int8")
    return table.mutate(**added) if added else table


def _values_in(column: Expr) -> Expr:
    """Return how many values a unit has; NULL for none."""
    if column.type().is_array():
        kept = column.filter(lambda value: ~_absent(value))
        return kept.length().nullif(0)
    return (~_absent(column)).cast("int8").nullif(0)


def _check_types(table: Rows, names: Iterable[str], *, listed: set[str]) -> None:
    for name in names:
        kind = table[name].type()
        if name in listed and kind.is_array():
            kind = kind.value_type
        if not (kind.is_numeric() or kind.is_boolean()):
            msg = f"column {name!r} is of type {kind}; it must hold numbers (or true"
            msg += " and false); convert it, or name another column in the metric."
            raise DataError(msg, code="column_type")


def _day_of(table: Rows, experiment: Experiment) -> Expr:
    """Return the local day of exposure as a date."""
    return _day_column(table, experiment.columns.day, experiment.tz)


def _day_column(table: Rows, name: str, tz: str) -> Expr:
    """Return a column as local dates."""
    from growth import engine

    column = table[name]
    kind = column.type()
    if kind.is_timestamp():
        return engine.local_date(column, tz)
    if kind.is_date():
        return column
    if kind.is_string():
        return column.try_cast("date")
    msg = f"column {name!r} is of type {kind}; it must be the local"
    msg += " date of first exposure, or its instant; convert it or leave it out."
    raise DataError(msg, code="column_type")


def _date(day: date) -> Expr:
    import ibis

    return ibis.date(day.isoformat())


def _days(days: int) -> Expr:
    import ibis

    return ibis.interval(days=days)


def _inside(day: Expr, experiment: Experiment, end: date | None) -> Expr | None:
    """Return which rows lie in the experiment's dates and before `end`."""
    rules = []
    if experiment.start:
        rules.append(day >= _date(experiment.start))
    if experiment.end:
        rules.append(day < _date(experiment.end))
    if end:
        rules.append(day < _date(end))
    if not rules:
        return None
    inside = rules[0]
    for rule in rules[1:]:
        inside = inside & rule
    return inside | day.isnull()  # a missing day is found out later, not filtered


def _facts(
    table: Rows,
    experiment: Experiment,
    day: Expr | None,
    inside: Expr | None,
    ripe: Mapping[int, Expr],
) -> dict[str, Any]:
    """Count what decides how the table is read, in one statement."""
    columns = experiment.columns
    here = inside if inside is not None else None
    asked = {
        "rows": table.count(),
        "units": table.count() if here is None else here.cast("int64").sum(),
        # a Parquet file's footer answers counts without a scan
        "null_unit": table.count() - table[columns.unit].count(),
        "null_variant": table.count() - table[columns.variant].count(),
    }
    if day is not None:
        asked["null_day"] = table.count() - day.count()
        asked["first_day"] = day.min(where=here)
        asked["last_day"] = day.max(where=here)
    if here is not None and day is not None:
        dated = _inside(day, experiment, None)
        if dated is not None:
            asked["outside"] = (~dated).cast("int64").sum()
    for name in covariate_names(experiment):
        asked[f"null_{name}"] = table.count() - table[name].count()
        if table[name].type().is_floating():
            asked[f"null_{name}"] += table[name].isnan().cast("int64").sum()
    for days, done in ripe.items():
        waiting = ~done if here is None else ~done & here
        asked[f"waits_{days}"] = waiting.cast("int64").sum()
    (found,) = table.aggregate(**asked).to_pyarrow().to_pylist()
    return {name: value or 0 for name, value in found.items()}


def _absent(column: Expr) -> Expr:
    """Return where a value is NULL or NaN."""
    if column.type().is_floating():
        return column.isnull() | column.isnan()
    return column.isnull()


def _refuse_unusable(facts: Mapping[str, Any], experiment: Experiment) -> None:
    columns = experiment.columns
    if not facts["rows"]:
        msg = "the table has no rows; it must have one a unit; check the path, the"
        raise DataError(f"{msg} filters and the experiment's id.", code="no_units")
    for key, column, what in (
        ("null_variant", columns.variant, "arm"),
        ("null_unit", columns.unit, "unit"),
    ):
        if count := facts[key]:
            msg = f"column {column!r} holds NULL in {count} of {facts['rows']} rows;"
            msg += f" every row needs its {what}; drop or label those rows first."
            raise DataError(msg, code="null_value")
    if count := facts.get("null_day"):
        msg = f"column {columns.day!r} holds no date in {count} of {facts['rows']}"
        msg += " rows; every unit needs its day of exposure; correct those rows, or"
        raise DataError(f"{msg} leave the column out.", code="bad_day")
    if not facts["units"]:
        msg = f"no row of {facts['rows']} lies in the experiment's dates; some must;"
        msg += f" check start ({experiment.start}), end ({experiment.end}) and as_of."
        raise DataError(msg, code="no_units")


def _set_apart(table: Rows, experiment: Experiment, rows: int) -> tuple[Rows, int]:
    """Leave out units seen in several arms; refuse a unit twice in one arm."""
    columns = experiment.columns

    def per_unit(rows_of: Rows) -> Rows:
        arm = rows_of[columns.variant]
        return rows_of.group_by(columns.unit).aggregate(
            seen=rows_of.count(), low=arm.min(), high=arm.max()
        )

    def several(rows_of: Rows) -> dict[str, Any]:
        found = per_unit(rows_of).filter(lambda t: t.seen > 1)
        crossed = (found.low != found.high).cast("int64")
        counts = found.aggregate(units=found.count(), crossed=crossed.sum())
        (row,) = counts.to_pyarrow().to_pylist()
        return {name: int(value or 0) for name, value in row.items()}

    if rows > EXACT_ROWS:
        few = table.filter(_hashed(table[columns.unit]) % SAMPLE == 0)
        if not several(few)["units"]:
            return table, 0
    counts = several(table)
    if repeated := counts["units"] - counts["crossed"]:
        msg = f"{repeated} units stand in several rows of one arm; the table must have"
        msg += " one row a unit; sum their rows first, or build it with unit_table."
        raise DataError(msg, code="repeated_unit")
    if not counts["crossed"]:
        return table, 0
    crossed = per_unit(table).filter(lambda t: t.low != t.high)
    return table.anti_join(crossed, columns.unit), counts["crossed"]


def _whole_clusters(table: Rows, experiment: Experiment) -> tuple[Rows, int]:
    """Leave out clusters seen in several arms; refuse members without a cluster."""
    column, variant = experiment.cluster or "", experiment.columns.variant
    each = table.group_by(column).aggregate(
        low=table[variant].min(), high=table[variant].max(), members=table.count()
    )
    crossed = each.filter(each.low != each.high)
    lost = each[column].isnull().ifelse(each.members, 0).sum()
    asked = {"lost": lost, "crossed": (each.low != each.high).cast("int64").sum()}
    (facts,) = each.aggregate(**asked).to_pyarrow().to_pylist()
    if facts["lost"]:
        msg = f"column {column!r} holds NULL in {facts['lost']} rows; every unit needs"
        raise DataError(
            f"{msg} its cluster; drop or label those rows first.", code="null_value"
        )
    if not facts["crossed"]:
        return table, 0
    return table.anti_join(crossed, column), int(facts["crossed"])


def _hashed(column: Expr) -> Expr:
    """Return any hash; both engines have one of this name."""
    from growth.engine.dialect import builtin

    return builtin("hash", "int64")(column)


def _numbers(
    table: Rows,
    experiment: Experiment,
    holey: Sequence[str],
    waits: Mapping[str, int],
    end: date | None,
) -> dict[str, Expr]:
    """Return metric and covariate columns as they enter the statistics."""
    import ibis

    found: dict[str, Expr] = {}
    for metric in experiment.metrics:
        for name in metric.columns:
            column = _number(table[name])
            if metric.zero_filled and not metric.built:  # built: NULL is immature
                column = column.fill_null(0)
            if metric.name in waits and end is not None:
                day = table[experiment.columns.day]
                day = _day_of(table, experiment) if not day.type().is_date() else day
                ripe = day + _days(waits[metric.name]) <= _date(end)
                column = ripe.ifelse(column, ibis.null(column.type()))
            if name in found and not found[name].equals(column):
                msg = f"column {name!r} serves two metrics that read it differently"
                msg += " (missing, window_days); it must mean one thing; give the"
                raise ParameterError(f"{msg} table two columns.", code="column_twice")
            found[name] = column
    for name in covariate_names(experiment):
        column = _number(table[name])
        if name in holey:
            gone = _absent(column)
            found[f"{name}{MISSING}"] = gone.cast("int8")
            column = gone.ifelse(ibis.literal(0, column.type()), column)
        found[name] = column
    return found


def _number(column: Expr) -> Expr:
    return column.cast("int8") if column.type().is_boolean() else column


def _local_date(moment: datetime, tz: str) -> date:
    from zoneinfo import ZoneInfo

    return moment.astimezone(ZoneInfo(tz)).date()


def _days_run(ready: _Ready, experiment: Experiment) -> int | None:
    """Return how many whole days the experiment has run.

    Where no end is declared it ran while units met it: an old table read today
    has not run for years.
    """
    begin, last = experiment.start or ready.first_day, ready.last_day
    if not ready.has_day or begin is None or last is None:
        return None
    end = experiment.end or last + timedelta(days=1)
    return max((min(end, ready.end or end) - begin).days, 0)


def _scan(
    ready: _Ready, experiment: Experiment, groupings: Sequence[tuple[str, ...]]
) -> tuple[list[ArmCell], list[Notice]]:
    """Read the moments of every group in one pass."""
    from growth import engine

    sets = column_sets(experiment, holey=ready.holey)
    found = engine.moments(
        ready.table, values=sets, by=groupings, unit_col=experiment.cluster
    )
    nan: dict[str, int] = defaultdict(int)
    for cell in found:
        if cell.by == groupings[0]:
            for column, rows in cell.nan.items():
                nan[column] += rows
    notices = [
        Notice("nan_as_null", args=(("column", column), ("rows", rows)))
        for column, rows in nan.items()
    ]
    return [ArmCell(c.by, c.key, c.rows, c.moments) for c in found], notices


class UnitColumns(NamedTuple):
    """A unit table's columns as arrays, NaN for NULL; labels as numbers from 0."""

    columns: dict[str, NDArray[np.float64]]
    labels: dict[str, NDArray[np.int64]]
    notices: tuple[Notice, ...]


def read_columns(
    units: TableLike | UnitTable,
    experiment: Experiment,
    *,
    labels: Sequence[str] = (),
    as_of: date | datetime | None = None,
    unique: bool = False,
) -> UnitColumns:
    """Read what the metrics need of every unit in an open arm.

    Parameters
    ----------
    units, experiment, as_of, unique
        As in `analyze`; a table may lack the arms.
    labels : sequence of str, optional
        Columns whose values only tell rows apart: clusters, strata.

    Returns
    -------
    UnitColumns
        In the table's own order where that is fixed, else by unit. A quantile of
        lists (events) is left out, with a notice.

    Raises
    ------
    ColumnNotFoundError, DataError, ParameterError
        As in `analyze`.
    """
    from growth import engine

    built = isinstance(units, UnitTable)
    columns = experiment.columns
    units = _with_arms(units, experiment)
    extra = (columns.unit, *labels)
    ready = _prepare(units, experiment, (extra,), as_of, unique=unique)
    opened = [arm for arm, weight in experiment.arms.items() if weight]
    table = ready.table.filter(ready.table[columns.variant].isin(opened))
    if built or ready.crossovers or engine.backend_of(table).name != "duckdb":
        table = table.order_by(columns.unit)
    marks = [f"{name}{MISSING}" for name in ready.holey]
    numbers = [*measured(experiment), *marks]
    lists = [name for name in numbers if table[name].type().is_array()]
    keep = {n: table[n].cast("float64") for n in numbers if n not in lists}
    keep |= {f"label_{n}": table[n].cast("string") for n in labels}
    batches = [*engine.stream_batches(table.select(**keep))]
    return UnitColumns(
        columns={
            n: _joined([batch.column(n) for batch in batches])
            for n in keep
            if n in numbers
        },
        labels={n: _coded([b.column(f"label_{n}") for b in batches]) for n in labels},
        notices=(
            *ready.notices,
            *(Notice("lists_left_out", "info", (("column", n),)) for n in lists),
        ),
    )


class Totals(NamedTuple):
    """All units of a table taken together.

    Parameters
    ----------
    moments : mapping
        Moments of all units (clusters, where these are randomised) by column set.
    caps : tuple of Threshold
        Where columns were capped.
    days : mapping of date to int
        Units by day of first exposure; empty if the table has no days.
    notices : tuple of Notice
        What was noticed.
    """

    moments: Mapping[tuple[str, ...], Moments]
    caps: tuple[Threshold, ...]
    days: Mapping[date, int]
    notices: tuple[Notice, ...]


def read_totals(
    units: TableLike | UnitTable,
    experiment: Experiment,
    *,
    as_of: date | datetime | None = None,
    unique: bool = False,
) -> Totals:
    """Read the joint moments of all units, whatever their arm.

    Parameters
    ----------
    units, experiment, as_of, unique
        As in `analyze`; a table may lack the arms.

    Returns
    -------
    Totals
        Of the units in an open arm.

    Raises
    ------
    ColumnNotFoundError, DataError, ParameterError
        As in `analyze`.
    """
    columns = experiment.columns
    units = _with_arms(units, experiment)
    ready = _prepare(units, experiment, (), as_of, unique=unique)
    groupings: list[tuple[str, ...]] = [(columns.variant,)]
    if ready.has_day and experiment.cluster is None:
        groupings.append((columns.variant, columns.day))
    cells, remarks = _scan(ready, experiment, groupings)
    opened = [c for c in cells if experiment.arms.get(str(c.key[0]))]
    days: dict[date, int] = defaultdict(int)
    for cell in opened:
        if len(cell.by) > 1:
            days[read_day(cell.key[1], columns.day)] += cell.rows
    whole = [cell for cell in opened if len(cell.by) == 1]
    if not whole:
        msg = "the table has no units in an open arm; it must have some; check the"
        raise DataError(f"{msg} arms and filters.", code="no_units")
    notices = (*ready.notices, *remarks)
    return Totals(pooled(whole), ready.caps, dict(sorted(days.items())), notices)


def _with_arms(
    units: TableLike | UnitTable, experiment: Experiment
) -> TableLike | UnitTable:
    """Return the units, all in the control arm where the table knows none."""
    from growth import engine

    if isinstance(units, UnitTable):
        return units
    table: Rows = engine.as_table(units)
    if experiment.columns.variant in table.columns:
        return table
    return table.mutate(**{experiment.columns.variant: _text(experiment.control)})


def _text(value: str) -> Expr:
    import ibis

    return ibis.literal(value)


def _joined(parts: Sequence[Any]) -> NDArray[np.float64]:
    if not parts:
        return np.empty(0)
    return np.concatenate([part.to_numpy(zero_copy_only=False) for part in parts])


def _coded(parts: Sequence[Any]) -> NDArray[np.int64]:
    """Return each value's number from 0, NULL with a number of its own."""
    import pyarrow as pa

    if not parts:
        return np.empty(0, dtype=np.int64)
    coded = pa.chunked_array(parts).combine_chunks().dictionary_encode("encode")
    return np.asarray(coded.indices.to_numpy(zero_copy_only=False), dtype=np.int64)


# -- the second pass: HC2 ------------------------------------------------------------


def _hc2(
    ready: _Ready, experiment: Experiment, cells: Sequence[ArmCell]
) -> dict[tuple[str, By], dict[str, float | None]]:
    """Sum the exact HC2 variances of Lin's estimates over the rows, all at once."""
    from growth.engine.connections import engine_call

    adjusted = [
        r.metric for r in readings(experiment) if covariates_of(experiment, r.metric)
    ]
    if experiment.se != "hc2" or experiment.adjust == "cuped" or not adjusted:
        return {}
    arms = sort_cells(cells, experiment).get(((), ()))
    if arms is None:  # nobody in an open arm: said by the analysis
        return {}
    table = _by_cluster(ready.table, experiment)
    variant = table[experiment.columns.variant]
    asked: dict[str, Expr] = {}
    plain: dict[str, Expr] = {}
    units: dict[tuple[int, str], float] = {}
    fitted: dict[str, Iterable[str]] = {}
    for i, metric in enumerate(adjusted):
        moments = moments_by_arm(arms, metric, experiment)
        fit = fit_arms(moments, experiment, metric)
        fitted[metric.name] = fit.arms
        lines = {
            arm: ratio_line(m, *metric.columns) if metric.kind == "ratio" else None
            for arm, m in moments.items()
        }
        terms, rooms, whole = [], [], []
        for arm, one in fit.fits.items():
            if metric.kind == "ratio" and lines[arm] is None:
                continue
            term, room = _residual(table, metric, fit.covariates, one, lines[arm])
            terms.append((variant == arm, term))
            rooms.append((variant == arm, room))
            unit = units[i, arm] = _unit(fit.arms[arm].variance)
            whole.append((variant == arm, (term / unit).round().cast("int64")))
        if terms:
            asked[f"sum{i}"] = _cases(whole).sum()
            plain[f"sum{i}"] = _cases(terms).sum()
            asked[f"room{i}"] = plain[f"room{i}"] = _cases(rooms).min()
    if not asked:
        return {}
    name = experiment.columns.variant
    try:
        with engine_call("summing residuals"):
            rows = table.group_by(name).aggregate(**asked).to_pyarrow().to_pylist()
    except DataError:  # one unit's part is beyond 64 bits: rounding is the least of it
        units = {}
        with engine_call("summing residuals"):
            rows = table.group_by(name).aggregate(**plain).to_pyarrow().to_pylist()
    by_arm = {row[name]: row for row in rows}
    return {
        (metric.name, ()): {
            arm: _variance(by_arm.get(arm, {}), i, units.get((i, arm), 1.0))
            for arm in fitted[metric.name]
        }
        for i, metric in enumerate(adjusted)
    }


def _by_cluster(table: Rows, experiment: Experiment) -> Rows:
    """Return one row a randomised unit: the table itself, or sums a cluster."""
    if experiment.cluster is None:
        return table
    keys = [experiment.columns.variant, experiment.cluster]
    numbers = {
        name: table[name].sum()
        for name in table.columns
        if name not in keys and (table[name].type().is_numeric())
    }
    return table.group_by(keys).aggregate(**numbers)


def _cases(pairs: Sequence[tuple[Expr, Expr]]) -> Expr:
    import ibis

    return ibis.cases(*pairs)


def _unit(variance: float | None) -> float:
    """Return what residuals are counted in, so that their sum is exact.

    A power of two far below the variance that is summed: no order of the rows shows
    in the result, and of five million roundings 2e-11 of it is left.
    """
    if not variance or not isfinite(variance):
        return 1.0
    return ldexp(1.0, max(frexp(variance)[1] - HC2_BITS, -1000))


def _variance(row: Mapping[str, Any], i: int, unit: float) -> float | None:
    total, room = row.get(f"sum{i}"), row.get(f"room{i}")
    if total is None or (room is not None and room < FULL_LEVERAGE):
        return None
    return float(total) * unit


def _may_be_full(m: Moments, covariates: Sequence[str], fit: ArmFit) -> bool:
    """Whether some unit could have leverage 1, judged by the covariates' extremes."""
    picked = m.pick(covariates)
    reach = np.maximum(picked.maximum - fit.x_mean, fit.x_mean - picked.minimum)
    bound = 1 / fit.n + float(reach @ np.abs(fit.inverse) @ reach)
    return not bound < 1 - FULL_LEVERAGE


def _residual(
    table: Rows,
    metric: Metric,
    covariates: Sequence[str],
    fit: ArmFit,
    line: Line | None,
) -> tuple[Expr, Expr]:
    """Return a unit's part of the HC2 sum, and one minus its leverage."""
    import ibis

    columns = [_cleaned(table[name]) for name in metric.columns]
    if line is None:
        e = columns[0] - fit.y_mean
    else:
        e = (columns[0] - line.ratio * columns[1]) / line.scale
        e = e - (fit.y_mean - line.ratio)
    z = [
        table[name].cast("float64") - float(mean)
        for name, mean in zip(covariates, fit.x_mean, strict=True)
    ]
    w: Expr = ibis.literal(1 / fit.n)
    h: Expr = ibis.literal(1 / fit.n)
    for i, zi in enumerate(z):
        e = e - zi * float(fit.slopes[i])
        w = w - zi * float(fit.pull[i])
        row = zi * float(fit.inverse[i, i])
        for j in range(i):
            row = row + z[j] * (2 * float(fit.inverse[i, j]))
        h = h + zi * row
    room = columns[0].notnull().ifelse(1 - h, ibis.null("float64"))
    return w * w * e * e / room, room


def _cleaned(column: Expr) -> Expr:
    import ibis

    number = column.cast("float64")
    return number.isnan().ifelse(ibis.null("float64"), number)
