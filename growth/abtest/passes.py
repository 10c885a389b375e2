"""Looks at the rows other than the scan of moments, each named for what it reads.

Thresholds of caps, order statistics of quantiles, squares within clusters: what no
moments hold. The arithmetic on what they find is `growth.stats`'s.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from growth.abtest.analysis import ClusterFacts
from growth.abtest.cells import ArmCell, moments_by_arm, sort_cells
from growth.abtest.readings import CAPPED, SEEN, Threshold, readings
from growth.errors import DataError, ParameterError
from growth.stats import means
from growth.stats.clusters import spread_from_sums
from growth.stats.contrast import ArmEstimate
from growth.stats.quantiles import from_order_statistics, ranks

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from growth.abtest.cells import By
    from growth.abtest.experiment import Experiment, Metric
    from growth.abtest.units import Expr, Rows

__all__ = ["cap_columns", "cluster_facts", "quantile_estimates"]

VALUE: Final = "growth_value"
POINT: Final = "growth_point"
BELOW: Final = "growth_below"


# -- caps ---------------------------------------------------------------------------


def cap_columns(
    table: Rows, experiment: Experiment, *, caps: Sequence[Threshold] | None = None
) -> tuple[Rows, tuple[Threshold, ...]]:
    """Add a capped column beside each column of a capped metric.

    Parameters
    ----------
    table : ibis.Table
        One row a unit, its columns numbers.
    experiment : Experiment
        The declaration.
    caps : sequence of Threshold, optional
        Thresholds already found; looked for if omitted.

    Returns
    -------
    table, thresholds
        The table with columns ``<name>__capped``, and where each was capped. One
        pass reads the quantiles of all open arms together: an arm's own threshold
        would bias the comparison.

    Raises
    ------
    ParameterError
        If one column is capped in two ways (code ``column_twice``).
    """
    if not any(m.cap is not None for m in experiment.metrics):
        return table, ()
    found = _thresholds(table, experiment) if caps is None else tuple(caps)
    added: dict[str, Expr] = {}
    for cap in found:
        pulled = _pulled(table[cap.column], cap.low, cap.high)
        target = f"{cap.column}{CAPPED}"
        if target in added and not added[target].equals(pulled):
            msg = f"column {cap.column!r} is capped in two ways; it must have one cap;"
            msg += " give the table two columns."
            raise ParameterError(msg, code="column_twice")
        added[target] = pulled
    return table.mutate(**added), found


def _thresholds(table: Rows, experiment: Experiment) -> tuple[Threshold, ...]:
    from growth import engine

    variant = table[experiment.columns.variant]
    opened = [arm for arm, weight in experiment.arms.items() if weight]
    wanted = [m for m in experiment.metrics if m.cap is not None]
    asks = {
        f"{side} {m.name} {column}": engine.QuantileAsk(
            column, p, nonzero=m.cap.of == "nonzero"
        )
        for m in wanted
        if m.cap is not None
        for column in m.columns
        for side, p in (("high", m.cap.upper_share), ("low", m.cap.lower))
        if p is not None
    }
    read = engine.quantiles(table.filter(variant.isin(opened)), asks)
    return tuple(
        Threshold(
            m.name,
            column,
            _fixed(m.cap.at_lower, i, read.get(f"low {m.name} {column}")),
            _fixed(m.cap.at, i, read.get(f"high {m.name} {column}")),
        )
        for m in wanted
        if m.cap is not None
        for i, column in enumerate(m.columns)
    )


def _fixed(at: float | Sequence[float] | None, i: int, found: float | None) -> Any:  # noqa: ANN401
    if at is None:
        return found
    return float(at if isinstance(at, int | float) else at[i])


def _pulled(column: Expr, low: float | None, high: float | None) -> Expr:
    """Pull both tails in; NULL compares to nothing and so stays NULL."""
    number = column
    for end in (low, high):
        if end is not None and not (float(end).is_integer() and abs(end) < 2**53):
            number = column.cast("float64")
    pulled = number
    if high is not None:
        pulled = (number > _end(high, number)).ifelse(_end(high, number), pulled)
    if low is not None:
        pulled = (number < _end(low, number)).ifelse(_end(low, number), pulled)
    return pulled


def _end(value: float, column: Expr) -> Any:  # noqa: ANN401
    return value if column.type().is_floating() else int(value)


# -- quantiles ----------------------------------------------------------------------


class _Place(NamedTuple):
    """One arm of one segment, or of all units, with its moments."""

    metric: Metric
    arm: str
    by: By
    where: tuple[tuple[str, object], ...]
    cell: ArmCell


def quantile_estimates(
    table: Rows, experiment: Experiment, cells: Iterable[ArmCell]
) -> dict[tuple[str, By], dict[str, ArmEstimate]]:
    """Read the order statistics every quantile rests on.

    Parameters
    ----------
    table : ibis.Table
        One row a unit. A column of lists holds the unit's events.
    experiment : Experiment
        The declaration.
    cells : iterable of ArmCell
        Units by arm and segment, from the scan.

    Returns
    -------
    dict
        By metric and segment, then by arm.

    Raises
    ------
    DataError
        If a value read is infinite (code ``infinite_value``).

    Notes
    -----
    One pass where a unit has one value. Where it has a list, three: the quantile;
    the share of each unit's events at or below it, whose delta-method error knows
    that a unit's events hang together; the two ranks that error leads to.
    """
    wanted = [r.metric for r in readings(experiment) if r.metric.kind == "quantile"]
    if not wanted:
        return {}
    found: dict[tuple[str, By], dict[str, ArmEstimate]] = {}
    places: dict[bool, list[_Place]] = {False: [], True: []}
    variant = experiment.columns.variant
    for (names, values), arms in sort_cells(cells, experiment).items():
        shown = (None if v is None else str(v) for v in values)
        by = tuple(zip(names, shown, strict=True))
        for metric in wanted:
            listed = table[_source(metric)].type().is_array()
            mine = found.setdefault((metric.name, by), {})
            for arm, m in moments_by_arm(arms, metric, experiment).items():
                if m.n:
                    where = ((variant, arm), *zip(names, values, strict=True))
                    one = {m.columns: m}
                    cell = ArmCell((variant, *names), (arm, *values), m.n, one)
                    places[listed].append(_Place(metric, arm, by, where, cell))
                else:
                    mine[arm] = ArmEstimate(0, None, None)
    for place, estimate in (
        *_of_units(table, places[False]),
        *_of_events(table, places[True]),
    ):
        found[place.metric.name, place.by][place.arm] = estimate
    return found


def _source(metric: Metric) -> str:
    """Return the column of values; the reading holds their count."""
    return metric.columns[0].removesuffix(SEEN)


def _of_units(
    table: Rows, places: Sequence[_Place]
) -> list[tuple[_Place, ArmEstimate]]:
    from growth import engine

    asks, at = [], []
    for place in places:
        n = place.cell.rows
        at.append(ranks(n, place.metric.q or 0.5))
        asks.append(engine.RankAsk(_source(place.metric), at[-1], n, place.where))
    read = engine.order_statistics(table, asks) if asks else []
    found = []
    for place, where, values in zip(places, at, read, strict=True):
        _refuse_infinite(place, values)
        units = place.cell.rows
        estimate = from_order_statistics(where, *values, units=units).arm
        found.append((place, estimate if units > 1 else _unsure(estimate)))
    return found


def _unsure(estimate: ArmEstimate) -> ArmEstimate:
    return ArmEstimate(estimate.n, estimate.value, None)


def _refuse_infinite(place: _Place, values: Iterable[float]) -> None:
    if not all(map(isfinite, values)):
        column = _source(place.metric)
        msg = f"column {column!r} holds an infinite value; it must hold finite"
        msg += " numbers, NULL where there is none; correct those rows."
        raise DataError(msg, code="infinite_value")


def _of_events(
    table: Rows, places: Sequence[_Place]
) -> list[tuple[_Place, ArmEstimate]]:
    from growth import engine

    found = []
    for name in dict.fromkeys(place.metric.name for place in places):
        mine = [place for place in places if place.metric.name == name]
        metric = mine[0].metric
        q = metric.q or 0.5
        keys = list(dict.fromkeys(key for place in mine for key, _ in place.where))
        column = _source(metric)
        events = table.select(*keys, **{VALUE: table[column].unnest()})
        counts = [_events(place) for place in mine]
        points = engine.order_statistics(
            events,
            [
                engine.RankAsk(VALUE, (ranks(n, q).point,), n, place.where)
                for place, n in zip(mine, counts, strict=True)
            ],
        )
        at = []
        shares = _share_errors(table, metric, mine, [value for (value,) in points])
        for n, share in zip(counts, shares, strict=True):
            at.append(ranks(n, q, share_se=share or 0.0))
        asks = [
            engine.RankAsk(VALUE, (r.low, r.high), n, place.where)
            for place, n, r in zip(mine, counts, at, strict=True)
        ]
        ends = engine.order_statistics(events, asks)
        for place, (value,), r, (low, high), share in zip(
            mine, points, at, ends, shares, strict=True
        ):
            _refuse_infinite(place, (value, low, high))
            units = place.cell.rows
            estimate = from_order_statistics(r, value, low, high, units=units).arm
            found.append((place, estimate if share else _unsure(estimate)))
    return found


def _events(place: _Place) -> int:
    (m,) = place.cell.moments.values()
    return round(float(m.mean[0]) * m.n)


def _share_errors(
    table: Rows, metric: Metric, places: Sequence[_Place], points: Sequence[float]
) -> list[float | None]:
    """Return the error of each place's share of events at or below its point."""
    from growth import engine

    column, seen = _source(metric), metric.columns[0]
    found: dict[tuple[tuple[str, object], ...], float | None] = {}
    for names in dict.fromkeys(place.cell.by for place in places):
        here = [
            (place, point)
            for place, point in zip(places, points, strict=True)
            if place.cell.by == names
        ]
        cases = table
        limit = None
        for place, point in here:
            test = None
            for name, value in place.where:
                one = cases[name].isnull() if value is None else cases[name] == value
                test = one if test is None else test & one
            limit = (
                test.ifelse(point, limit)  # type: ignore[union-attr]
                if limit is not None
                else test.ifelse(point, point)  # type: ignore[union-attr]
            )
        marked = table.mutate(**{POINT: limit})
        below = marked[column].filter(lambda v, m=marked: v <= m[POINT]).length()
        marked = marked.mutate(**{BELOW: below})
        for cell in engine.moments(marked, values=[(BELOW, seen)], by=[names]):
            m = cell.moments[BELOW, seen]
            variance = means.ratio(m, BELOW, seen).variance
            where = tuple(zip(cell.by, cell.key, strict=True))
            found[where] = None if not variance else variance**0.5
    return [found.get(place.where) for place in places]


# -- clusters -----------------------------------------------------------------------


def cluster_facts(
    table: Rows, experiment: Experiment, cells: Iterable[ArmCell]
) -> tuple[ClusterFacts, ...]:
    """Return how alike the members of clusters are, per mean and arm.

    Parameters
    ----------
    table : ibis.Table
        One row a member.
    experiment : Experiment
        The declaration, with a cluster column.
    cells : iterable of ArmCell
        Clusters by arm, from the scan.

    Returns
    -------
    tuple of ClusterFacts
        None for ratios: their parts have a correlation each.
    """
    from growth import engine
    from growth.engine import stable_sum

    arms = sort_cells(cells, experiment).get(((), ()))
    if experiment.cluster is None or arms is None:
        return ()
    variant, cluster = experiment.columns.variant, experiment.cluster
    found = []
    for reading in readings(experiment):
        declared = experiment.metric(reading.name)
        if declared.kind == "ratio" or not reading.decides:
            continue
        column = reading.metric.columns[0]
        number = _double(table[column])
        rows = table.select(a=table[variant], c=table[cluster], x=number)
        estimates = {
            arm: means.ratio(m, *reading.metric.columns)
            for arm, m in moments_by_arm(arms, reading.metric, experiment).items()
        }
        whole = rows.a.cases(
            *((arm, e.value or 0.0) for arm, e in estimates.items()), else_=0.0
        )
        rows = rows.mutate(away=rows.x - whole)
        each = rows.group_by(["a", "c"]).aggregate(
            m=rows.x.count(),
            away=stable_sum(rows.away),
            squares=stable_sum(rows.away * rows.away),
        )
        each = each.filter(each.m > 0)
        between = each.away * each.away / each.m
        sums = engine.aggregate(
            each,
            by=["a"],
            measures={
                "groups": each.count(),
                "units": each.m.sum(),
                "squares": (each.m * each.m).sum(),
                "between": stable_sum(between),
                "within": stable_sum((each.squares - between).clip(lower=0.0)),
            },
        )
        for row in sums.to_pylist():
            if row["a"] in arms:
                keys = ("groups", "units", "squares", "between", "within")
                spread = spread_from_sums(**{key: row[key] for key in keys})
                found.append(
                    ClusterFacts(
                        reading.name, row["a"], row["groups"], row["units"], *spread
                    )
                )
    return tuple(found)


def _double(column: Expr) -> Expr:
    number = column.cast("float64")
    return number.isnan().ifelse(number.nullif(number), number)
