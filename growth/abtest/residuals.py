"""The second pass over the units: exact HC2 variances of adjusted means."""

from __future__ import annotations

from math import frexp, isfinite, ldexp
from typing import TYPE_CHECKING, Any, Final

from growth.abtest.analysis import fit_arms
from growth.abtest.cells import ArmCell, By, covariates_of, moments_by_arm, sort_cells
from growth.abtest.readings import readings
from growth.errors import DataError
from growth.stats.means import FULL_LEVERAGE, ratio_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from growth.abtest.experiment import Experiment, Metric
    from growth.abtest.ready import Ready
    from growth.abtest.units import Expr, Rows
    from growth.stats.means import ArmFit, Line

__all__ = ["hc2_variances"]

HC2_BITS: Final = 44  # to which a variance is summed; 2**18 more are left for outliers


def hc2_variances(
    ready: Ready, experiment: Experiment, cells: Sequence[ArmCell]
) -> dict[tuple[str, By], dict[str, float | None]]:
    """Sum the exact HC2 variances of Lin's estimates over the rows, all at once."""
    from growth.engine import fetch

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
        found = fetch(table.group_by(name).aggregate(**asked), "summing residuals")
    except DataError:  # one unit's part is beyond 64 bits: rounding is the least of it
        units = {}
        found = fetch(table.group_by(name).aggregate(**plain), "summing residuals")
    by_arm = {row[name]: row for row in found.to_pylist()}
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
    from growth.engine import stable_sum

    keys = [experiment.columns.variant, experiment.cluster]
    numbers = {
        name: stable_sum(table[name])
        for name in table.columns
        if name not in keys and (table[name].type().is_numeric())
    }
    return table.group_by(keys).aggregate(**numbers)


def _cases(pairs: Sequence[tuple[Expr, Expr]]) -> Expr:
    """Return the value of the first condition that holds, NULL if none does."""
    found: Expr = None
    for condition, value in reversed(pairs):
        found = condition.ifelse(value, found)
    return found


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


def _residual(
    table: Rows,
    metric: Metric,
    covariates: Sequence[str],
    fit: ArmFit,
    line: Line | None,
) -> tuple[Expr, Expr]:
    """Return a unit's part of the HC2 sum, and one minus its leverage."""
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
    w: Expr = 1 / fit.n
    h: Expr = 1 / fit.n
    for i, zi in enumerate(z):
        e = e - zi * float(fit.slopes[i])
        w = w - zi * float(fit.pull[i])
        row = zi * float(fit.inverse[i, i])
        for j in range(i):
            row = row + z[j] * (2 * float(fit.inverse[i, j]))
        h = h + zi * row
    room = e.notnull().ifelse(1 - h, None)  # of the units that are in the fit
    return w * w * e * e / room, room


def _cleaned(column: Expr) -> Expr:
    number = column.cast("float64")
    return number.isnan().ifelse(None, number)
