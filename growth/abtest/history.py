"""Each unit's values as they stood on each day, and by days since exposure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple
from zoneinfo import ZoneInfo

from growth.abtest.ages import (
    AGED,
    LEAST_AGES,
    MOST_AGES,
    AgeTrend,
    age_column,
    age_sets,
    aged,
    trend_by_age_from_moments,
)
from growth.abtest.cells import ArmCell
from growth.abtest.declaration import TIME_COLUMNS
from growth.abtest.units import (
    DAY_US,
    UNIT_COLUMNS,
    Expr,
    Rows,
    UnitTable,
    hit_of,
    windows_of,
)
from growth.errors import DataError, ParameterError
from growth.result import Notice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from growth.abtest.experiment import Experiment, Metric, Source
    from growth.dataset import Dataset
    from growth.engine import TableLike

__all__ = ["STOOD", "UnitHistory", "trend_by_age", "unit_history"]

STOOD: Final = "as_of_ds"  # the day on which a value stood
MICROSECOND: Final = timedelta(microseconds=1)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
AGES: Final = 14  # of a long table that does not say how many


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitHistory:
    """One row a unit and day: what its metrics were when that day ended.

    Parameters
    ----------
    table : ibis.Table
        Lazy. Unit, variant, the day of exposure, ``as_of_ds``, then a column per
        metric (two for a ratio) and covariate. Days on which no unit changed have
        no rows: they are as the day before.
    units : UnitTable
        The same units as they stand at the end.
    """

    table: Rows
    units: UnitTable = field(repr=False)


def unit_history(dataset: Dataset, units: UnitTable) -> UnitHistory:
    """Build each unit's values as they stood at the end of every day.

    Parameters
    ----------
    dataset : Dataset
        The tables `units` was built from.
    units : UnitTable
        What `unit_table` built; its experiment and `as_of` apply.

    Returns
    -------
    UnitHistory
        Its rows of day D are those that `unit_table` builds with ``as_of=D``: a
        value grows with what a unit does, and is NULL while its window is open. Only
        units later seen in several arms are missing from the start, and lists of
        events without a window are those of now.

    Notes
    -----
    What happened is summed per unit and day in one scan of each table, cumulated and
    kept by the engine, a row for each day on which a unit changed; the rows of the
    days between are made when moments are taken.
    """
    from growth import engine

    exp = units.experiment
    columns = exp.columns
    last = (units.as_of - MICROSECOND).astimezone(ZoneInfo(exp.tz)).date()
    known = units.table
    base = known.select(
        unit=known[columns.unit],
        day=known[columns.day],
        exposed_us=engine.epoch_us(known.exposure_ts),
    )
    parts = _followed(exp)
    frames: list[Rows] = []
    for name in dict.fromkeys(part.table for part in parts):
        mine = [part for part in parts if part.table == name]
        frames += _by_day(dataset, units, base, name, mine)
    changed = base.select("unit", "day")
    for days in sorted(set(windows_of(exp).values())):
        changed = changed.union(base.select(unit=base.unit, day=_ripe(base, days, exp)))
    for frame in frames:
        changed = changed.union(frame.select("unit", "day"))
    facts = changed.filter(changed.day <= last).distinct()
    for frame in frames:
        facts = facts.left_join(frame, ["unit", "day"])
        facts = facts.drop("unit_right", "day_right")
    facts = _cumulated(facts, base, parts, exp)
    built = {part.name for part in parts}
    fixed = known.select(
        unit=known[columns.unit],
        **{
            name: known[name]
            for name in known.columns
            if name not in built and name != columns.unit and AGED not in name
        },
    )
    facts = facts.inner_join(fixed, "unit")
    facts = _opened(facts, [m for m in exp.metrics if not built & {*m.columns}], exp)
    facts = engine.keep(facts, "building the history of the units")
    asked = facts.select(**{STOOD: facts.since}).distinct()
    table = facts.inner_join(
        asked,
        [
            facts.since <= asked[STOOD],
            facts.until.isnull() | (asked[STOOD] < facts.until),
        ],
    ).drop("since", "until")
    return UnitHistory(table=table.rename({columns.unit: "unit"}), units=units)


class _Followed(NamedTuple):
    """A metric's column and the rows it is built from."""

    name: str
    metric: Metric
    source: Source
    table: str

    @property
    def window_us(self) -> int | None:
        days = self.metric.window_days
        return days * DAY_US if days else None


def _followed(experiment: Experiment) -> list[_Followed]:
    found = {}
    for metric in experiment.metrics:
        for name, source in zip(metric.columns, metric.sources, strict=True):
            if source is not None and source.table and source.agg != "each":
                found[name] = _Followed(name, metric, source, source.table)
    return list(found.values())


def _opened(facts: Rows, metrics: Sequence[Metric], experiment: Experiment) -> Rows:
    """Blank what is not cumulated (lists of events) while its window is open."""
    from growth import engine

    windowed = [metric for metric in metrics if metric.window_days]
    if not windowed:
        return facts
    timed = facts.mutate(exposed_us=engine.epoch_us(facts.exposure_ts))
    shown = {}
    for metric in windowed:
        over = timed.since >= _ripe(timed, metric.window_days or 0, experiment)
        for name in metric.columns:
            shown[name] = over.ifelse(timed[name], None)
    return timed.mutate(**shown).drop("exposed_us")


def _ripe(base: Rows, days: int, experiment: Experiment) -> Expr:
    """Return the first local day at whose end a window of `days` is over."""
    from growth import engine

    over = (base.exposed_us + (days * DAY_US - 1)) // 1_000_000
    return engine.local_date(over.as_timestamp("s"), experiment.tz)


def _by_day(
    dataset: Dataset,
    units: UnitTable,
    base: Rows,
    name: str,
    parts: Sequence[_Followed],
) -> list[Rows]:
    """Return what units did per day, from one table: unit, day, a column a metric."""
    from growth import engine

    exp = units.experiment
    wanted = [part.source.column for part in parts if part.source.column]
    time = TIME_COLUMNS[name]
    key = UNIT_COLUMNS[exp.unit]
    rows = dataset.require(name, *dict.fromkeys((key, time, *wanted)))
    sources: list[Source] = []
    for part in parts:
        if part.source not in sources:
            sources.append(part.source)
    picked = rows.select(
        unit=rows[key],
        at=engine.epoch_us(rows[time]),
        day=engine.local_date(rows[time], exp.tz),
        **{f"hit{i}": hit_of(rows, source) for i, source in enumerate(sources)},
        **{f"own{i}": rows[s.column] for i, s in enumerate(sources) if s.column},
    )
    stop = (units.as_of - EPOCH) // MICROSECOND
    picked = picked.filter(picked.at < stop)
    joined = picked.inner_join(base.select("unit", "exposed_us"), "unit")
    joined = joined.filter(joined.at >= joined.exposed_us)
    summed, apart = {}, []
    for part in parts:
        i = sources.index(part.source)
        inside = joined[f"hit{i}"]
        if part.window_us is not None:
            inside = inside & (joined.at < joined.exposed_us + part.window_us)
        match part.source.agg:
            case "any":
                summed[part.name] = inside.cast("int64").max()
            case "count":
                summed[part.name] = inside.cast("int64").sum()
            case "distinct":  # counted on the day on which each was new
                new = joined.filter(inside & joined[f"own{i}"].notnull())
                first = new.group_by(unit=new.unit, own=new[f"own{i}"]).aggregate(
                    day=new.day.min()
                )
                counts = {part.name: first.count()}
                apart.append(first.group_by("unit", "day").aggregate(**counts))
            case _:
                summed[part.name] = engine.stable_sum(joined[f"own{i}"], where=inside)
        if not part.metric.zero_filled and part.name in summed:
            met = inside.cast("int64").max() > 0
            summed[part.name] = met.ifelse(summed[part.name], None)
    if summed:
        apart.append(joined.group_by("unit", "day").aggregate(**summed))
    return apart


def _cumulated(
    facts: Rows, base: Rows, parts: Sequence[_Followed], experiment: Experiment
) -> Rows:
    """Turn what happened on a day into what stood at its end, from when to when."""
    order = {"group_by": "unit", "order_by": "day"}
    shown: dict[str, Expr] = {}
    for part in parts:
        column = facts[part.name]
        total = (
            column.cummax(**order)
            if part.source.agg == "any"
            else column.cumsum(**order)
        )
        shown[part.name] = total.fill_null(0) if part.metric.zero_filled else total
    found = facts.select(
        unit=facts.unit,
        since=facts.day,
        until=facts.day.lead().over(group_by="unit", order_by="day"),
        **shown,
    )
    windowed = [part for part in parts if part.metric.window_days]
    if not windowed:
        return found
    days = sorted({part.metric.window_days or 0 for part in windowed})
    ripe = base.select(
        unit=base.unit, **{f"ripe{d}": _ripe(base, d, experiment) for d in days}
    )
    held = found.inner_join(ripe, "unit")
    closed = {
        part.name: (held.since >= held[f"ripe{part.metric.window_days}"]).ifelse(
            held[part.name], None
        )
        for part in windowed
    }
    return held.mutate(**closed).drop(*(f"ripe{d}" for d in days))


def trend_by_age(
    units: TableLike | UnitTable,
    experiment: Experiment,
    *,
    metrics: Sequence[str] | None = None,
    ages: int = AGES,
    age_col: str = "age",
) -> AgeTrend:
    """Compare the arms by days since exposure, and test whether the effect changes.

    Parameters
    ----------
    units : UnitTable, ibis.Table, frame, Arrow data or path
        What `unit_table` built with `ages`; or a long table with one row a unit and
        day since exposure that the unit has behind it, the value 0 where nothing
        happened.
    experiment : Experiment
        The declaration.
    metrics : sequence of str, optional
        Which; the goals if omitted. A `UnitTable` has the goals only.
    ages : int, default 14
        Of a long table, how many days are looked at, but no more than half of the
        units have; a `UnitTable` brings its own.
    age_col : str, default "age"
        The long table's column of whole days since exposure, 0 the first.

    Returns
    -------
    AgeTrend
        As `trend_by_age_from_moments`.

    Raises
    ------
    ColumnNotFoundError
        If a column is missing.
    DataError
        If a unit, arm or age is NULL (code ``null_value``), an age is no whole
        number from 0 (``bad_age``), a unit has an age twice (``repeated_unit``), a
        column holds no numbers (``column_type``), there are no rows (``no_units``)
        or an arm is not declared (``unknown_arm``).
    ParameterError
        If a `UnitTable` was built without `ages` (code ``no_ages``), or `ages` or
        `metrics` cannot be (``bad_ages``, ``unknown_metric``, ``not_by_age``).
    """
    from growth import engine

    if isinstance(units, UnitTable):
        table, most, notices = units.table, units.ages, list(units.notices)
        crossed = 0
        if not most and not any(n.code == "too_young" for n in units.notices):
            msg = "the unit table has no columns by age; it must have some; build it"
            msg += " with unit_table(..., ages=14)."
            raise ParameterError(msg, code="no_ages")
    else:
        if not 0 <= ages <= MOST_AGES:
            msg = f"ages is {ages}; it must be from 0 to {MOST_AGES}; ask for fewer."
            raise ParameterError(msg, code="bad_ages")
        long = engine.as_table(units)
        notices = []
        table, most, crossed = _wide(long, experiment, metrics, ages, age_col)
    if crossed:
        notices.append(Notice("crossovers", "info", (("units", crossed),)))
    sets = age_sets(aged(experiment, most, metrics))
    cells: list[ArmCell] = []
    if sets:
        variant = experiment.columns.variant
        found = engine.moments(table, values=sets, by=[(variant,)])
        cells = [ArmCell(c.by, c.key, c.rows, c.moments) for c in found]
    return trend_by_age_from_moments(
        cells, experiment, ages=most, metrics=metrics, notices=notices
    )


def _wide(
    long: Rows,
    experiment: Experiment,
    metrics: Sequence[str] | None,
    most: int,
    age_col: str,
) -> tuple[Rows, int, int]:
    """Turn one row a unit and age into a column an age."""
    from growth import engine
    from growth.engine.connections import engine_call

    unit, variant = experiment.columns.unit, experiment.columns.variant
    names = dict.fromkeys(
        name
        for item in aged(experiment, MOST_AGES, metrics)
        for name in item.metric.columns
    )
    engine.need_columns(long, (unit, variant, age_col, *names))
    for name in (age_col, *names):
        kind = long[name].type()
        if not (kind.is_numeric() or kind.is_boolean()):
            msg = f"column {name!r} is of type {kind}; it must hold numbers; convert"
            raise DataError(f"{msg} it.", code="column_type")
    age: Expr = long[age_col]
    per_unit = long.group_by(unit).aggregate(
        low=long[variant].min(),
        high=long[variant].max(),
        rows=long.count(),
        ages=age.nunique(),
        behind=age.max() + 1,
    )
    crossed: Expr = per_unit.low != per_unit.high
    repeated: Expr = ~crossed & (per_unit.rows > per_unit.ages)
    null: Expr = long[unit].isnull() | long[variant].isnull() | age.isnull()
    bad: Expr = (age < 0) | (age != age.cast("int64"))
    with engine_call("reading ages"):
        counts = per_unit.aggregate(
            units=per_unit.count(),
            crossed=crossed.cast("int64").sum(),
            repeated=repeated.cast("int64").sum(),
            **{
                f"over_{d}": (per_unit.behind >= d).cast("int64").sum()
                for d in range(1, most + 1)
            },
        )
        rows = long.aggregate(
            null=null.cast("int64").sum(), bad=bad.cast("int64").sum()
        )
        (facts,) = engine.fetch(counts, "reading ages").to_pylist()
        (wrong,) = engine.fetch(rows, "reading ages").to_pylist()
    _refuse_long({**facts, **wrong}, age_col)
    half = [d for d in range(1, most + 1) if 2 * facts[f"over_{d}"] >= facts["units"]]
    ages = len(half) if len(half) >= LEAST_AGES else 0
    kept = long
    if facts["crossed"]:
        both = per_unit.filter(crossed)
        kept = long.anti_join(both, unit)
    columns = {
        age_column(name, d): _as_number(kept[name]).sum(where=kept[age_col] == d)
        for name in names
        for d in range(ages)
    }
    wide = kept.group_by(unit).aggregate(
        **{variant: kept[variant].cast("string").min()}, **columns
    )
    return wide, ages, int(facts["crossed"] or 0)


def _as_number(column: Expr) -> Expr:
    return column.cast("int64") if column.type().is_boolean() else column


def _refuse_long(facts: dict[str, int | None], age_col: str) -> None:
    if not facts["units"]:
        msg = "the table has no rows; it must have one a unit and day since exposure;"
        raise DataError(f"{msg} check the path and the filters.", code="no_units")
    if count := facts["null"]:
        msg = f"{count} rows hold NULL as unit, arm or {age_col!r}; all three must be"
        raise DataError(f"{msg} known; drop those rows first.", code="null_value")
    if count := facts["bad"]:
        msg = f"column {age_col!r} holds no whole number from 0 in {count} rows; it is"
        msg += " the days since exposure; correct those rows."
        raise DataError(msg, code="bad_age")
    if count := facts["repeated"]:
        msg = f"{count} units stand twice at one age; the table must have one row a"
        raise DataError(
            f"{msg} unit and age; sum their rows first.", code="repeated_unit"
        )
