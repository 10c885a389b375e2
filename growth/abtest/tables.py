"""The same questions, asked of tables; `units` builds one, this file reads it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from growth.abtest.analysis import Analysis, Passes, analyze_from_moments
from growth.abtest.cells import by_columns
from growth.abtest.effects import PRIOR
from growth.abtest.history import STOOD, UnitHistory
from growth.abtest.passes import cap_columns, cluster_facts, quantile_estimates
from growth.abtest.ready import (
    day_column,
    days_run,
    inside_dates,
    numbers_of,
    pooled_arms,
    prepare,
    scan,
    shaped,
    without_nan,
)
from growth.abtest.residuals import hc2_variances
from growth.abtest.split import SplitCheck, check_split_from_counts
from growth.abtest.trends import Trend, trend_from_moments
from growth.abtest.units import Expr, Rows, UnitTable, strata_columns
from growth.abtest.watching import Asked, under_plan
from growth.errors import DataError, ParameterError, suggest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date, datetime

    from growth.abtest.cells import ArmCell
    from growth.abtest.experiment import Experiment
    from growth.engine import TableLike

__all__ = ["all_in_one_arm", "analyze", "check_split", "trend"]


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
    day = day_col or (exp.columns.day if exp else "exposure_ds")
    table = without_nan(table, (unit, *(n for n in by or () if n in table.columns)))
    if exp and not built and day in table.columns:
        inside = inside_dates(day_column(table, day, exp.tz), exp, None)
        table = table.filter(inside) if inside is not None else table
    counted = engine.count_units(table, unit_col=unit, group_col=variant)
    weights = planned or (exp.arms if exp else None)
    for seen in counted.units:
        if weights is not None and seen not in weights:
            msg = f"column {variant!r} holds the arm {seen!r}; planned are"
            msg += f" {list(weights)}; correct the table or plan it (0 if closed)."
            raise DataError(msg + suggest(seen, weights), code="unknown_arm")
    if sequential is None:
        planned_units = exp.plan.units if exp and exp.plan.sequential else None
        short = sum(counted.units.values()) < (planned_units or 0)
        sequential = short and day in table.columns
    columns = {name: table[name] for name in _cuts(table, by or (), day)}
    if sequential or "day" in (by or ()):
        engine.need_columns(table, (day,), unlocks="the split by day")
        columns["day"] = day_column(table, day, exp.tz if exp else "Asia/Shanghai")
    cut = _units_by(table, unit, variant, columns) if columns else {}
    if gone := cut.get("day", {}).get(None):
        msg = f"column {day!r} holds no date for {sum(gone.values())} units; every unit"
        msg += " needs its day of exposure; correct those rows, or cut by no day."
        raise DataError(msg, code="bad_day")
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
        brings its own, and only under a plan of looks may an earlier one be asked for.
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
        If `as_of` is unusable, or not the one that a unit table was built for (code
        ``bad_as_of``), `pool` names no arms, or some that cannot be pooled
        (``bad_pool``), or `prior` is no mean and spread (``bad_scale``).

    Notes
    -----
    One scan gives all metrics, arms and segments; Lin's HC2 standard error (in
    the total; segments have the one from moments) takes one more. Units in two
    arms are counted and left out of both. Above a million rows they are looked
    for among one unit in 64; where one is found there, in all.
    """
    breakdowns = by_columns(experiment.by if by is None else by)
    asked = Asked(pool=pool, prior=prior, unique=unique)
    if not experiment.plan.sequential:
        _as_built(units, experiment, as_of)
        return _read(units, experiment, breakdowns, as_of, asked)
    return under_plan(_read, units, experiment, breakdowns, as_of, asked)


def _as_built(
    units: object, experiment: Experiment, as_of: date | datetime | None
) -> None:
    """Refuse another moment than the one that a table was built for."""
    from growth import engine

    if as_of is None or not isinstance(units, UnitTable):
        return
    if engine.instant(as_of, tz=experiment.tz) != units.as_of:
        msg = f"as_of is {as_of} and the unit table was built for {units.as_of}; both"
        msg = f"{msg} must be one; build the table with that as_of, or leave it out."
        raise ParameterError(msg, code="bad_as_of")


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
    ready = prepare(units, experiment, (), as_of)
    cells, remarks = scan(ready, experiment, [(experiment.columns.variant, day)])
    found = trend_from_moments(cells, experiment)
    return replace(found, notices=(*ready.notices, *remarks, *found.notices))


def _trend_as_it_stood(history: UnitHistory, experiment: Experiment) -> Trend:
    """Read the same series, the cumulative one from each day's own values."""
    units, variant = history.units, experiment.columns.variant
    ready = prepare(units, experiment, (), None)
    now, remarks = scan(ready, experiment, [(variant, experiment.columns.day)])
    columns = numbers_of(history.table, experiment, ready.holey, {}, None)
    keep = {variant: history.table[variant].cast("string")}
    keep |= {STOOD: history.table[STOOD], **columns}
    table, _ = cap_columns(history.table.select(**keep), experiment, caps=ready.caps)
    then = ready._replace(table=shaped(table, experiment))
    stood, _ = scan(then, experiment, [(variant, STOOD)])
    found = trend_from_moments(now, experiment, stood=stood)
    return replace(found, notices=(*ready.notices, *remarks, *found.notices))


def _read(
    units: TableLike | UnitTable,
    experiment: Experiment,
    breakdowns: tuple[tuple[str, ...], ...],
    as_of: date | datetime | None,
    asked: Asked,
) -> Analysis:
    """Read the table as it stands."""
    ready = prepare(units, experiment, breakdowns, as_of, unique=asked.unique)
    if asked.pool is not None:
        ready, experiment = pooled_arms(ready, experiment, asked.pool)
    variant = experiment.columns.variant
    groupings = [(variant,), *((variant, *names) for names in breakdowns)]
    sliced = [
        (*grouping, column)
        for column in strata_columns(experiment)
        for grouping in groupings
        if column not in grouping
    ]
    found, remarks = scan(ready, experiment, [*groupings, *sliced])
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
        variances=hc2_variances(ready, experiment, cells),
        passes=passes,
        prior=asked.prior,
        look=asked.look(_open_units(cells, experiment), ready.immature),
        days=days_run(ready, experiment),
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


def all_in_one_arm(table: Rows, experiment: Experiment) -> Rows:
    """Return a table that knows no arms with every unit in the control arm."""
    import ibis

    return table.mutate(
        **{experiment.columns.variant: ibis.literal(experiment.control)}
    )
