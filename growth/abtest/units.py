"""One row a unit, built from assignments, events, orders and other canonical tables."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from growth.abtest.ages import LEAST_AGES, MOST_AGES, age_column, aged
from growth.abtest.cells import by_columns, covariates_of
from growth.abtest.declaration import TIME_COLUMNS
from growth.abtest.readings import stratum_of
from growth.abtest.sharing import SHARE_GROUP, share_groups
from growth.abtest.trends import read_day
from growth.errors import ColumnNotFoundError, DataError, ParameterError, suggest
from growth.result import Notice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from growth.abtest.experiment import Experiment, Source
    from growth.dataset import Dataset

# Ibis tables and expressions: its own annotations know a column's methods only
# once the column's type is known
Rows: TypeAlias = Any
Expr: TypeAlias = Any

__all__ = ["UnitTable", "seen_units", "unit_table"]

DAY_US: Final = 86_400_000_000
NEVER_US: Final = -(2**62)  # before any instant
LOOK_BACK_DAYS: Final = 30  # how old a breakdown value may be at exposure
MAX_NULL_RATE: Final = 0.01  # exposures without unit or variant
#: Whose rows are counted; the members of a cluster are users.
UNIT_COLUMNS: Final = {"user": "user_id", "device": "device_id", "cluster": "user_id"}


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitTable:
    """One row a unit, and what was set apart while it was built.

    Parameters
    ----------
    table : ibis.Table
        Lazy. Unit, variant, ``exposure_ts``, the day of exposure, then a column
        per metric (two for a ratio), covariate and breakdown.
    experiment : Experiment
        The declaration it was built for.
    as_of : datetime
        The instant up to which rows exist; aware, UTC.
    units : int
        Its rows.
    crossovers : int
        Units seen in several arms; not in the table.
    immature : mapping of str to int
        Per windowed metric, units whose window is not over: NULL there.
    first_day, last_day : date, optional
        First and last local day of exposure; None without units.
    ages : int
        Days since exposure for which the goals have a column each
        (``<column>__age<day>``), as `trend_by_age` reads them; 0 if not asked.
    notices : tuple of Notice
        What was noticed.
    """

    table: Rows
    experiment: Experiment
    as_of: datetime
    units: int
    crossovers: int = 0
    immature: Mapping[str, int] = field(default_factory=dict)
    first_day: date | None = None
    last_day: date | None = None
    ages: int = 0
    notices: tuple[Notice, ...] = ()

    def cache(self) -> UnitTable:
        """Return the same with its rows computed once and kept by the engine.

        Worth it before several questions are asked of a table that was built from
        events; the rows are dropped with the last reference to them.
        """
        from growth import engine

        return replace(self, table=engine.keep(self.table))


def unit_table(
    dataset: Dataset,
    experiment: Experiment,
    *,
    as_of: date | datetime,
    by: Sequence[str | Sequence[str]] | None = None,
    ages: int = 0,
) -> UnitTable:
    """Build one row a unit from assignments, events, orders and other tables.

    Parameters
    ----------
    dataset : Dataset
        Canonical tables.
    experiment : Experiment
        A declaration whose metrics say what they are built from.
    as_of : date or aware datetime
        Last day counted, or the instant up to which rows exist.
    by : sequence, optional
        Breakdown columns, as in `analyze`; the experiment's if omitted. Each is
        the last value known at exposure, from the events of the 30 days before
        it, else from the member's last snapshot of an earlier day.
    ages : int, default 0
        Also give each goal a column a day since exposure, for `trend_by_age`: this
        many days, but no more than half of the units have behind them. A day is 24
        hours from the exposure; one that is not over is NULL. 28 at most.

    Returns
    -------
    UnitTable
        Its table is lazy; the counts beside it are not.

    Raises
    ------
    ParameterError
        If `as_of` is unusable (code ``bad_as_of``), `ages` is out of range
        (``bad_ages``), a metric names no table
        (``metric_not_built``), or the unit is a cluster and none is named
        (``not_available_yet``).
    DataError
        If nobody was exposed (code ``no_units``), more than 1 % of the exposures
        lack unit or variant (``null_value``), or a variant is not declared
        (``unknown_arm``).
    ColumnNotFoundError
        If a table lacks a column that is needed.

    Notes
    -----
    A unit counts from its first exposure, if that lies within ``[start, end)``; a
    metric counts rows in ``[exposure, min(exposure + window, as_of))``, a
    covariate those in ``[exposure - days, exposure)``. A unit without rows has 0
    (or NULL if `missing` is unknown), one whose window is not over has NULL.
    """
    from growth import engine

    moment = engine.instant(as_of, tz=experiment.tz)
    _refuse_unbuilt(experiment)
    if not 0 <= ages <= MOST_AGES:
        msg = f"ages is {ages}; it must be from 0 to {MOST_AGES}; ask for fewer days."
        raise ParameterError(msg, code="bad_ages")
    return _build(dataset, experiment, _exposures, moment, by=by, ages=ages)


def seen_units(
    dataset: Dataset,
    experiment: Experiment,
    *,
    seen: Source,
    as_of: date | datetime,
) -> UnitTable:
    """Build one row a unit that some event could have exposed, in no arm yet.

    Parameters
    ----------
    dataset : Dataset
        Canonical tables.
    experiment : Experiment
        A declaration with a start, whose metrics say what they are built from.
    seen : Source
        The rows that would expose a unit, the first of them from the start on.
    as_of : date or aware datetime
        As in `unit_table`.

    Returns
    -------
    UnitTable
        As `unit_table` gives, everybody in the control arm.

    Raises
    ------
    ParameterError
        As in `unit_table`.
    DataError
        If nobody was seen (code ``no_units``), or as in `unit_table`.
    """
    from growth import engine

    moment = engine.instant(as_of, tz=experiment.tz)
    _refuse_unbuilt(experiment)

    def met(dataset: Dataset, experiment: Experiment) -> Rows:
        key, name = UNIT_COLUMNS[experiment.unit], seen.table or "events"
        rows = _rows(dataset, name, key, TIME_COLUMNS[name])
        ts = rows[TIME_COLUMNS[name]]
        at, start_us = _instant_us(ts), _midnight(experiment.start, experiment.tz)
        picked = rows.select(
            unit=rows[key],
            variant=rows[key].isnull().ifelse(None, experiment.control),
            ts=ts,
            at=at,
            conflict=rows[key].isnull(),
            hit=hit_of(rows, seen) & rows[key].notnull(),
        )
        picked = picked.filter(picked.hit).drop("hit")
        return picked if start_us is None else picked.filter(picked.at >= start_us)

    return _build(dataset, experiment, met, moment, by=(), nobody=_refuse_unseen)


def _build(
    dataset: Dataset,
    experiment: Experiment,
    exposures: Callable[[Dataset, Experiment], Rows],
    moment: datetime,
    *,
    by: Sequence[str | Sequence[str]] | None = None,
    ages: int = 0,
    nobody: Callable[[Dataset, Experiment], None] | None = None,
) -> UnitTable:
    """Build one row a unit from its exposures."""
    from growth.engine.connections import engine_call

    exposed = exposures(dataset, experiment)
    now_us = microseconds(moment)
    start_us = _midnight(experiment.start, experiment.tz)
    end_us = _midnight(experiment.end, experiment.tz)
    limit_us = now_us if end_us is None else min(now_us, end_us)
    rows = exposed.filter(exposed.at < limit_us)
    whole = rows.filter(rows.unit.notnull() & rows.variant.notnull())
    first = whole.group_by("unit").aggregate(
        at=whole.at.min(),
        ts=whole.ts.min(),
        low=whole.variant.min(),
        high=whole.variant.max(),
        conflict=whole.conflict.max(),
    )
    crossed = (first.low != first.high) | first.conflict
    late = first.at < (start_us if start_us is not None else NEVER_US)
    kept = first.filter(~crossed & ~late)
    windows = windows_of(experiment)
    with engine_call("reading exposures"):
        facts = _exposure_facts(
            rows, first, crossed, late, windows, now_us, experiment, ages
        )
    if not facts["rows"]:
        (nobody or _refuse_nobody)(dataset, experiment)
    notices = _exposure_notices(facts, experiment)
    base = kept.select(
        unit=kept.unit, variant=kept.low, exposure_ts=kept.ts, exposed_us=kept.at
    )
    asked_ages, ages = ages, _half_complete(facts, ages)
    if asked_ages and not ages:
        notices.append(Notice("too_young", "info"))
    parts = _parts(experiment, ages)
    table = _join_values(dataset, experiment, base, now_us, start_us, parts)
    asked = experiment.by if by is None else by
    names = list(dict.fromkeys(n for group in by_columns(asked) for n in group))
    wanted = list(dict.fromkeys([*names, *strata_columns(experiment)]))
    cluster = experiment.cluster
    if cluster and cluster not in (SHARE_GROUP, *wanted):
        wanted.append(cluster)
    columns = experiment.columns
    wanted = [name for name in wanted if name != columns.day]
    table = _join_breakdowns(dataset, experiment, table, base, wanted, start_us)
    if experiment.cluster == SHARE_GROUP:
        table = _join_share_groups(dataset, table, base, start_us)
        wanted.append(SHARE_GROUP)
    shown = {
        columns.unit: table.unit,
        columns.variant: table.variant,
        "exposure_ts": table.exposure_ts,
        columns.day: _local_day(table.exposure_ts, experiment.tz),
        **{name: table[f"value_{name}"] for name in measured(experiment)},
        **{name: table[f"by_{name}"] for name in wanted},
        **{name: table[f"value_{name}"] for name in _aged_columns(experiment, ages)},
    }
    return UnitTable(
        table=table.select(**shown),
        experiment=experiment,
        as_of=moment,
        units=int(facts["units"]),
        crossovers=int(facts["crossed"]),
        immature={
            name: int(facts[f"waits_{days}"])
            for name, days in windows.items()
            if facts[f"waits_{days}"]
        },
        first_day=as_day(facts["first_day"], columns.day),
        last_day=as_day(facts["last_day"], columns.day),
        ages=ages,
        notices=tuple(notices),
    )


def strata_columns(experiment: Experiment) -> list[str]:
    """Return the columns some metric is stratified by."""
    names = (stratum_of(experiment, metric) for metric in experiment.metrics)
    return list(dict.fromkeys(name for name in names if name))


def _join_share_groups(
    dataset: Dataset, table: Rows, base: Rows, start_us: int | None
) -> Rows:
    """Add the share-group at exposure; who never shared is one of its own."""
    from growth import engine

    after = None if start_us is None else start_us - LOOK_BACK_DAYS * DAY_US
    groups = engine.as_table(share_groups(dataset, base, after_us=after))
    table = table.left_join(groups, "unit").drop("unit_right")
    own = table.cluster.fill_null(table.unit.cast("string"))
    return table.mutate(**{f"by_{SHARE_GROUP}": own}).drop("cluster")


def _rows(dataset: Dataset, name: str, *columns: str) -> Rows:
    """Return a canonical table that has `columns`."""
    return dataset.require(name, *columns)


def _instant_us(column: Expr) -> Expr:
    from growth import engine

    return engine.epoch_us(column)


def _local_day(column: Expr, tz: str) -> Expr:
    from growth import engine

    return engine.local_date(column, tz)


def _refuse_unbuilt(experiment: Experiment) -> None:
    if experiment.unit == "cluster" and experiment.cluster is None:
        msg = (
            "unit is 'cluster' and no cluster is named; unit_table builds members with"
        )
        msg += " the column of their cluster; declare cluster = 'share_group' (or a"
        msg += " column known at exposure), or bring a ready table of clusters."
        raise ParameterError(msg, code="not_available_yet")
    for metric in experiment.metrics:
        if not metric.built:
            msg = f"metric {metric.name!r} reads column {list(metric.columns)}; to be"
            msg += " built it must name a table, e.g. value = { table = 'orders', agg"
            raise ParameterError(f"{msg} = 'any' }}.", code="metric_not_built")


def microseconds(moment: datetime) -> int:
    """Return an instant as microseconds since 1970."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _midnight(day: date | None, tz: str) -> int | None:
    """Return the instant at which a local day begins."""
    from growth import engine

    if day is None:
        return None
    return microseconds(engine.instant(day - timedelta(days=1), tz=tz))


def _exposures(dataset: Dataset, experiment: Experiment) -> Rows:
    """Return unit, variant, instant and conflict of each exposure."""
    if "assignments" in dataset.tables:
        rows = _rows(dataset, "assignments")
        rows = rows.filter(rows.exp_id == experiment.id)
        if "unit_type" in rows.columns:
            kind = rows.unit_type
            member = "user" if experiment.unit == "cluster" else experiment.unit
            rows = rows.filter(kind.isnull() | (kind == member))
        unit = rows.unit_id
        conflict = None
        if "conflict" in rows.columns:
            conflict = rows.conflict.fill_null(False)  # noqa: FBT003
    else:
        column = UNIT_COLUMNS[experiment.unit]
        rows = _rows(dataset, "events", "exp_id", "variant", column)
        rows = rows.filter(rows.event == "exp_exposure", rows.exp_id == experiment.id)
        unit, conflict = rows[column], None
    return rows.select(
        unit=unit,
        variant=rows.variant.cast("string"),
        ts=rows.ts,
        at=_instant_us(rows.ts),
        conflict=rows.ts.isnull() if conflict is None else conflict,
    )


def _exposure_facts(
    rows: Rows,
    first: Rows,
    crossed: Expr,
    late: Expr,
    windows: Mapping[str, int],
    now_us: int,
    experiment: Experiment,
    ages: int,
) -> dict[str, Any]:
    from growth import engine

    kept = ~crossed & ~late
    day = _local_day(first.ts, experiment.tz)
    asked = {
        "units": kept.cast("int64").sum(),
        "crossed": crossed.cast("int64").sum(),
        "late": (~crossed & late).cast("int64").sum(),
        "first_day": day.min(where=kept),
        "last_day": day.max(where=kept),
        "arms": first.low.collect(distinct=True),
        "more": first.high.collect(distinct=True),
    }
    for days in set(windows.values()):
        waiting = kept & (first.at + days * DAY_US > now_us)
        asked[f"waits_{days}"] = waiting.cast("int64").sum()
    for days in range(1, ages + 1):
        over = kept & (first.at + days * DAY_US <= now_us)
        asked[f"over_{days}"] = over.cast("int64").sum()
    lacking: Expr = rows.unit.isnull() | rows.variant.isnull()
    (found,) = engine.fetch(first.aggregate(**asked), "reading exposures").to_pylist()
    counts = rows.aggregate(rows=rows.count(), lacking=lacking.cast("int64").sum())
    (counted,) = engine.fetch(counts, "reading exposures").to_pylist()
    return {name: value or 0 for name, value in {**found, **counted}.items()}


def _refuse_nobody(dataset: Dataset, experiment: Experiment) -> None:
    """Say that nobody was exposed, and to which experiments somebody was."""
    from growth import engine

    if "assignments" in dataset.tables:
        rows = _rows(dataset, "assignments")
    else:
        rows = _rows(dataset, "events").filter(lambda t: t.event == "exp_exposure")
    found = engine.fetch(rows.select("exp_id").distinct().limit(50))["exp_id"]
    known = sorted(str(name) for name in found.to_pylist() if name is not None)
    msg = f"nobody was exposed to experiment {experiment.id!r} in its dates; the data"
    msg += f" have exposures to {known}; check id, start, end and as_of."
    raise DataError(msg + suggest(experiment.id, known), code="no_units")


def _refuse_unseen(dataset: Dataset, experiment: Experiment) -> None:  # noqa: ARG001
    msg = f"nobody was seen from {experiment.start} on by the rows that would expose a"
    msg += " unit; somebody must be; check as_of, weeks and those rows."
    raise DataError(msg, code="no_units")


def _exposure_notices(facts: Mapping[str, Any], experiment: Experiment) -> list[Notice]:
    notices = []
    lacking, rows = int(facts["lacking"]), int(facts["rows"])
    if lacking > MAX_NULL_RATE * rows:
        msg = f"{lacking} of {rows} exposures lack unit or variant; at most 1% may;"
        raise DataError(f"{msg} correct how exposures are logged.", code="null_value")
    for arm in sorted({*(facts["arms"] or ()), *(facts["more"] or ())}):
        if arm not in experiment.arms:
            msg = f"exposures name the arm {arm!r}; the experiment declares"
            msg += f" {list(experiment.arms)}; correct the data or declare it"
            hint = suggest(arm, experiment.arms)
            raise DataError(f"{msg} (weight 0 if closed).{hint}", code="unknown_arm")
    if not facts["units"]:
        msg = "no unit is left after units in several arms and units exposed before"
        msg += " the start were set apart; some must be; check start and exposures."
        raise DataError(msg, code="no_units")
    if lacking:
        args = (("rows", lacking),)
        notices.append(Notice("null_exposures", args=args))
    if late := int(facts["late"]):
        args = (("units", late),)
        notices.append(Notice("exposed_before_start", args=args))
    return notices


def _half_complete(facts: Mapping[str, Any], most: int) -> int:
    """Return the days that half of the units have behind them; 0 if no trend."""
    ages = [d for d in range(1, most + 1) if 2 * facts[f"over_{d}"] >= facts["units"]]
    return len(ages) if len(ages) >= LEAST_AGES else 0


def _aged_columns(experiment: Experiment, ages: int) -> list[str]:
    """Return the columns of the goals by age."""
    return [
        name
        for item in aged(experiment, ages)
        for columns in item.columns
        for name in columns
    ]


class _Part(NamedTuple):
    """One column to build: rows of a source in a span around the exposure."""

    name: str
    source: Source
    after_us: int  # from exposure + this
    until_us: int | None  # to exposure + this; None: to as_of
    window_us: int | None  # immature until exposure + this
    zero: bool


def _parts(experiment: Experiment, ages: int) -> dict[str, list[_Part]]:
    """Return the columns to build, by the table they come from."""
    found: dict[str, list[_Part]] = defaultdict(list)
    for metric in experiment.metrics:
        window = metric.window_days * DAY_US if metric.window_days else None
        for name, source in zip(metric.columns, metric.sources, strict=True):
            if source is not None and source.table:
                part = _Part(name, source, 0, window, window, metric.zero_filled)
                found[source.table].append(part)
    for item in aged(experiment, ages):
        for name, source in zip(item.metric.columns, item.metric.sources, strict=True):
            if source is None or not source.table:
                continue
            for age in range(len(item.columns)):
                after, over = age * DAY_US, (age + 1) * DAY_US
                zero = item.metric.zero_filled
                column = age_column(name, age)
                part = _Part(column, source, after, over, over, zero)
                found[source.table].append(part)
    used = set(covariate_names(experiment))
    for covariate in experiment.covariates:
        if covariate.name in used and covariate.value.table:
            span = -covariate.days * DAY_US
            part = _Part(covariate.name, covariate.value, span, 0, None, zero=True)
            found[covariate.value.table].append(part)
    return found


def _join_values(
    dataset: Dataset,
    experiment: Experiment,
    base: Rows,
    now_us: int,
    start_us: int | None,
    wanted: Mapping[str, Sequence[_Part]],
) -> Rows:
    """Add a column ``value_<name>`` per metric part and covariate."""
    table = base
    for name, parts in wanted.items():
        values = _aggregate(dataset, experiment, name, parts, base, now_us, start_us)
        joined = table.left_join(values, "unit").drop("unit_right")
        shown = {}
        for i, part in enumerate(parts):
            value = joined[f"part{i}"]
            if part.zero:
                value = value.fill_null(0)
            if part.window_us is not None:
                ripe = joined.exposed_us + part.window_us <= now_us
                value = ripe.ifelse(value, None)
            shown[f"value_{part.name}"] = value
        joined = joined.mutate(**shown)
        table = joined.drop(*(f"part{i}" for i in range(len(parts))))
    return table


def _aggregate(
    dataset: Dataset,
    experiment: Experiment,
    name: str,
    parts: Sequence[_Part],
    base: Rows,
    now_us: int,
    start_us: int | None,
) -> Rows:
    """Aggregate one canonical table to a row a unit that has rows there."""
    from growth import engine

    key = UNIT_COLUMNS[experiment.unit]
    wanted = [part.source.column for part in parts if part.source.column]
    rows = _rows(dataset, name, key, TIME_COLUMNS[name], *dict.fromkeys(wanted))
    at = _instant_us(rows[TIME_COLUMNS[name]])
    sources: list[Source] = []  # a metric by age reads one source many times
    for part in parts:
        if part.source not in sources:
            sources.append(part.source)
    hits = [hit_of(rows, source) for source in sources]
    spans = [part.after_us for part in parts]
    cut = at < now_us
    if start_us is not None:
        cut = cut & (at >= start_us + min(spans))
    picked = rows.select(
        unit=rows[key],
        at=at,
        cut=cut,
        **{f"hit{i}": hit for i, hit in enumerate(hits)},
        **{
            f"own{i}": rows[source.column]
            for i, source in enumerate(sources)
            if source.column
        },
    )
    some = picked.filter(picked.cut).drop("cut")
    joined = some.inner_join(base.select("unit", "exposed_us"), "unit")
    asked = {}
    for i, part in enumerate(parts):
        read = sources.index(part.source)
        inside = joined[f"hit{read}"] & (joined.at >= joined.exposed_us + part.after_us)
        if part.until_us is not None:
            inside = inside & (joined.at < joined.exposed_us + part.until_us)
        match part.source.agg:
            case "any":
                value = inside.cast("int64").max()
            case "count":
                value = inside.cast("int64").sum()
            case "each":
                own = joined[f"own{read}"]
                value = own.collect(where=inside & own.notnull())
            case "distinct":
                value = joined[f"own{read}"].nunique(where=inside)
            case _:
                value = engine.stable_sum(joined[f"own{read}"], where=inside)
        if not part.zero:
            known = inside.cast("int64").max() > 0
            value = known.ifelse(value, None)
        asked[f"part{i}"] = value
    return joined.group_by("unit").aggregate(**asked)


def hit_of(rows: Rows, source: Source) -> Expr:
    """Return which rows of its table a source counts; unknown is no."""
    from growth import engine

    hit: Expr = rows[TIME_COLUMNS[source.table or ""]].notnull()
    if source.event is not None:
        hit = hit & (rows.event == source.event)
    if source.where:
        hit = hit & engine.parse_where(list(source.where)).to_ibis(rows)
    return hit.fill_null(False)  # noqa: FBT003


def _join_breakdowns(
    dataset: Dataset,
    experiment: Experiment,
    table: Rows,
    base: Rows,
    names: Sequence[str],
    start_us: int | None,
) -> Rows:
    """Add a column ``by_<name>`` per breakdown, as it was known at exposure."""
    from growth import engine

    key = UNIT_COLUMNS[experiment.unit]
    events = _rows(dataset, "events") if dataset.has("events") else None
    from_events = [n for n in names if events is not None and n in events.columns]
    if from_events and events is not None:
        rows = events.select(
            unit=events[key],
            at=_instant_us(events.ts),
            **{f"by_{name}": events[name] for name in from_events},
        )
        if start_us is not None:
            rows = rows.filter(rows.at >= start_us - LOOK_BACK_DAYS * DAY_US)
        near = rows.inner_join(base.select("unit", "exposed_us"), "unit")
        near = near.filter(
            near.at <= near.exposed_us,
            near.at >= near.exposed_us - LOOK_BACK_DAYS * DAY_US,
        )
        kept = {f"by_{name}": near[f"by_{name}"] for name in from_events}
        known = near.group_by("unit").aggregate(
            **{
                name: engine.first_by(column, -near.at, column)
                for name, column in kept.items()
            }
        )
        table = table.left_join(known, "unit").drop("unit_right")
    rest = [name for name in names if name not in from_events]
    if not rest:
        return table
    return _join_members(dataset, experiment, table, base, rest)


def _join_members(
    dataset: Dataset,
    experiment: Experiment,
    table: Rows,
    base: Rows,
    names: Sequence[str],
) -> Rows:
    from growth import engine

    if experiment.unit == "device" or not dataset.has("members"):
        known = _rows(dataset, "events").columns if dataset.has("events") else ()
        raise ColumnNotFoundError(names[0], known, unlocks="that breakdown")
    members = _rows(dataset, "members", *names)
    rows = members.select(
        unit=members.user_id,
        day=members.as_of_ds,
        **{f"by_{name}": members[name] for name in names},
    )
    exposed = base.select(
        unit=base.unit, exposed_ds=_local_day(base.exposure_ts, experiment.tz)
    )
    near = rows.inner_join(exposed, "unit")
    near = near.filter(near.day < near.exposed_ds)
    back = -engine.epoch_us(near.day)
    known = near.group_by("unit").aggregate(
        **{f"by_{name}": engine.first_by(near[f"by_{name}"], back) for name in names}
    )
    return table.left_join(known, "unit").drop("unit_right")


def measured(experiment: Experiment) -> list[str]:
    """Return the columns of the metrics, then those of the covariates in use."""
    columns = [name for metric in experiment.metrics for name in metric.columns]
    return list(dict.fromkeys([*columns, *covariate_names(experiment)]))


def covariate_names(experiment: Experiment) -> list[str]:
    """Return the covariates some metric is adjusted for."""
    names = (
        n for metric in experiment.metrics for n in covariates_of(experiment, metric)
    )
    return list(dict.fromkeys(names))


def windows_of(experiment: Experiment) -> dict[str, int]:
    """Return the days of each windowed metric's window."""
    return {m.name: m.window_days for m in experiment.metrics if m.window_days}


def as_day(value: object, column: str) -> date | None:
    """Return an aggregate's day as a date; None if there was none."""
    return read_day(value, column) if value else None
