"""A ready table of units: checked, its columns made numbers, read in one scan."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from growth.abtest.cells import MISSING, ArmCell, column_sets
from growth.abtest.passes import cap_columns
from growth.abtest.pooling import mixed, pool_experiment, within_days
from growth.abtest.readings import SEEN, SIZE, WITH, Threshold, readings
from growth.abtest.rewind import ripening
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
from growth.errors import DataError, ParameterError
from growth.result import Notice

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from growth.abtest.experiment import Experiment
    from growth.engine import TableLike

__all__ = [
    "Ready",
    "day_column",
    "day_of",
    "days_run",
    "inside_dates",
    "local_date",
    "numbers_of",
    "pooled_arms",
    "prepare",
    "scan",
    "shaped",
    "without_nan",
]

EXACT_ROWS: Final = 1_000_000  # above this, repeated units are looked for in a sample
SAMPLE: Final = 64  # of one unit in so many, all its rows
DAY: Final = timedelta(days=1)


class Ready(NamedTuple):
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


def pooled_arms(
    ready: Ready, experiment: Experiment, pool: Mapping[str, Sequence[str]]
) -> tuple[Ready, Experiment]:
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


def prepare(
    units: TableLike | UnitTable,
    experiment: Experiment,
    breakdowns: tuple[tuple[str, ...], ...],
    as_of: date | datetime | None,
    *,
    unique: bool = False,
) -> Ready:
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
    source = without_nan(source, (columns.unit, *names))
    has_day = columns.day in source.columns
    moment = built.as_of if built else None
    if as_of is not None:
        moment = engine.instant(as_of, tz=experiment.tz)
    end = local_date(moment, experiment.tz) if moment else None
    day = day_of(source, experiment) if has_day else None
    inside = None if built or day is None else inside_dates(day, experiment, end)
    waits = {} if built or day is None or end is None else windows_of(experiment)
    if day is None or end is None:
        ripe = {}
    else:
        ripe = {
            days: day + timedelta(days=days) <= end
            for days in sorted({*waits.values()})
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
    keep |= numbers_of(table, experiment, holey, waits, end if has_day else None)
    immature = {name: int(facts[f"waits_{days}"]) for name, days in waits.items()}
    immature = dict(built.immature) if built else immature
    if experiment.cluster is not None and has_day and end is not None:
        immature = _waiting_clusters(table, experiment, end - DAY, exact=bool(built))
    ready, caps = cap_columns(table.select(**keep), experiment)
    return Ready(
        table=shaped(ready, experiment),
        caps=caps,
        has_day=has_day,
        holey=holey,
        end=end,
        first_day=as_day(facts.get("first_day"), columns.day),
        last_day=as_day(facts.get("last_day"), columns.day),
        crossovers=crossovers,
        immature=immature,
        notices=(
            *(built.notices if built else ()),
            *_nan_notices(facts),
            *_outside(facts),
        ),
    )


def without_nan(table: Rows, names: Iterable[str]) -> Rows:
    """Return a table whose keys are NULL where they are NaN: nobody's name."""
    keys = {name: table[name] for name in names if table[name].type().is_floating()}
    if not keys:
        return table
    return table.mutate(**{name: _known(column) for name, column in keys.items()})


def _known(column: Expr) -> Expr:
    """Return a column of floats with NULL for NaN."""
    return column.isnan().ifelse(None, column)


def _cleaned(table: Rows, experiment: Experiment) -> list[str]:
    """Return the columns whose NaN must be NULL before they are summed or capped.

    Elsewhere the pass over the moments tells the two apart by itself.
    """
    return [
        name
        for metric in experiment.metrics
        if metric.cap
        or (metric.zero_filled and not metric.built)
        or experiment.cluster is not None
        for name in metric.columns
        if table[name].type().is_floating()
    ]


def _nan_notices(facts: Mapping[str, Any]) -> list[Notice]:
    """Say in which columns NaN was read as NULL."""
    return [
        Notice("nan_as_null", args=(("column", name.removeprefix("nan_")),
                                    ("rows", int(rows))))
        for name, rows in facts.items()
        if name.startswith("nan_") and rows
    ]  # fmt: skip


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
    days = day_of(table, experiment)
    ripe = ripening(table, experiment, day=days, exact=exact)
    return {name: ripe.at(0, day) - ripe.at(w, day) for name, w in windows.items()}


def _first_day_of(table: Rows, experiment: Experiment) -> Expr:
    """Return the day a randomised unit was first exposed, so that days share none."""
    day = day_of(table, experiment)
    if experiment.cluster is None:
        return day
    return day.min().over(group_by=table[experiment.cluster])


def shaped(table: Rows, experiment: Experiment) -> Rows:
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


def day_of(table: Rows, experiment: Experiment) -> Expr:
    """Return the local day of exposure as a date."""
    return day_column(table, experiment.columns.day, experiment.tz)


def day_column(table: Rows, name: str, tz: str) -> Expr:
    """Return a column as local dates."""
    from growth import engine

    column = table[name]
    kind = column.type()
    if kind.is_timestamp():
        return engine.local_date(column, tz)
    if kind.is_date():
        return column
    if kind.is_string():  # with a time its day would be that of no zone in particular
        dated = column.try_cast("date")
        return (column.length() == len("2026-01-31")).ifelse(dated, None)
    msg = f"column {name!r} is of type {kind}; it must be the local"
    msg += " date of first exposure, or its instant; convert it or leave it out."
    raise DataError(msg, code="column_type")


def inside_dates(day: Expr, experiment: Experiment, end: date | None) -> Expr | None:
    """Return which rows lie in the experiment's dates and before `end`."""
    rules = []
    if experiment.start:
        rules.append(day >= experiment.start)
    if experiment.end:
        rules.append(day < experiment.end)
    if end:
        rules.append(day < end)
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
    from growth import engine

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
        dated = inside_dates(day, experiment, None)
        if dated is not None:
            asked["outside"] = (~dated).cast("int64").sum()
    for name in _cleaned(table, experiment):
        gone = table[name].isnan() if here is None else table[name].isnan() & here
        asked[f"nan_{name}"] = gone.cast("int64").sum()
    for name in _clustered_shares(experiment):
        column = _number(table[name])
        off = (column != 0) & (column != 1) & ~_absent(column)
        off = off if here is None else off & here
        asked[f"off_{name}"] = off.cast("int64").sum()
    for name in covariate_names(experiment):
        asked[f"null_{name}"] = table.count() - table[name].count()
        if table[name].type().is_floating():
            asked[f"null_{name}"] += table[name].isnan().cast("int64").sum()
    for days, done in ripe.items():
        waiting = ~done if here is None else ~done & here
        asked[f"waits_{days}"] = waiting.cast("int64").sum()
    (found,) = engine.fetch(table.aggregate(**asked), "checking the units").to_pylist()
    return {name: value or 0 for name, value in found.items()}


def _clustered_shares(experiment: Experiment) -> list[str]:
    """Return columns of shares that are summed by cluster, where none is seen."""
    if experiment.cluster is None:
        return []
    return [
        name
        for metric in experiment.metrics
        if metric.kind == "proportion"
        for name in metric.columns
    ]


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
    for name in _clustered_shares(experiment):
        if count := facts[f"off_{name}"]:
            msg = f"column {name!r} of a proportion is neither 0 nor 1 in {count} rows;"
            msg += " it must be 0 or 1 a unit; correct it or declare a mean."
            raise DataError(msg, code="not_a_share")
    if not facts["units"]:
        msg = f"no row of {facts['rows']} lies in the experiment's dates; some must;"
        msg += f" check start ({experiment.start}), end ({experiment.end}) and as_of."
        raise DataError(msg, code="no_units")


def _set_apart(table: Rows, experiment: Experiment, rows: int) -> tuple[Rows, int]:
    """Leave out units seen in several arms; refuse a unit twice in one arm."""
    from growth import engine

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
        (row,) = engine.fetch(counts, "looking for repeated units").to_pylist()
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
    from growth import engine

    column, variant = experiment.cluster or "", experiment.columns.variant
    each = table.group_by(column).aggregate(
        low=table[variant].min(), high=table[variant].max(), members=table.count()
    )
    crossed = each.filter(each.low != each.high)
    lost = each[column].isnull().ifelse(each.members, 0).sum()
    asked = {"lost": lost, "crossed": (each.low != each.high).cast("int64").sum()}
    counted = each.aggregate(**asked)
    (facts,) = engine.fetch(counted, "looking for clusters").to_pylist()
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


def numbers_of(
    table: Rows,
    experiment: Experiment,
    holey: Sequence[str],
    waits: Mapping[str, int],
    end: date | None,
) -> dict[str, Expr]:
    """Return metric and covariate columns as they enter the statistics."""
    found: dict[str, Expr] = {}
    clean = set(_cleaned(table, experiment))
    for metric in experiment.metrics:
        for name in metric.columns:
            column = _number(table[name])
            if name in clean:
                column = _known(column)
            if metric.zero_filled and not metric.built:  # built: NULL is immature
                column = column.fill_null(0)
            if metric.name in waits and end is not None:
                day = table[experiment.columns.day]
                day = day_of(table, experiment) if not day.type().is_date() else day
                ripe = day + timedelta(days=waits[metric.name]) <= end
                column = ripe.ifelse(column, None)
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
            column = gone.ifelse(0, column)
        found[name] = column
    return found


def _number(column: Expr) -> Expr:
    return column.cast("int8") if column.type().is_boolean() else column


def local_date(moment: datetime, tz: str) -> date:
    """Return the local date of an instant."""
    from zoneinfo import ZoneInfo

    return moment.astimezone(ZoneInfo(tz)).date()


def days_run(ready: Ready, experiment: Experiment) -> int | None:
    """Return how many whole days the experiment has run.

    Where no end is declared it ran while units met it: an old table read today
    has not run for years.
    """
    begin, last = experiment.start or ready.first_day, ready.last_day
    if not ready.has_day or begin is None or last is None:
        return None
    end = experiment.end or last + timedelta(days=1)
    return max((min(end, ready.end or end) - begin).days, 0)


def scan(
    ready: Ready, experiment: Experiment, groupings: Sequence[tuple[str, ...]]
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
