"""Units by arm and segment, as moments hold them: sorted, picked, checked, merged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping
from math import inf, isfinite
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from growth.abtest.readings import readings
from growth.errors import DataError, ParameterError, suggest
from growth.stats.moments import Moments, merge

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from growth.abtest.experiment import Experiment, Metric

__all__ = [
    "MISSING",
    "ArmCell",
    "By",
    "Strata",
    "by_columns",
    "by_stratum",
    "check_values",
    "column_sets",
    "covariates_of",
    "moments_by_arm",
    "pooled",
    "segment_of",
    "sort_cells",
]

By = tuple[tuple[str, str | None], ...]

MISSING: Final = "__missing"  # a covariate's indicator column


class ArmCell(NamedTuple):
    """Moments of one arm, or of one arm in one segment.

    Parameters
    ----------
    by : tuple of str
        Column names: the variant first, then those of the segment.
    key : tuple
        Their values, in the same order.
    rows : int
        Units, 0 or more.
    moments : mapping of tuple of str to Moments
        For each set of columns used together, the units that have all of them.
    """

    by: tuple[str, ...]
    key: tuple[object, ...]
    rows: int
    moments: Mapping[tuple[str, ...], Moments]


Strata = dict[tuple[str, By], dict[Hashable, dict[str, ArmCell]]]


def by_columns(by: Sequence[str | Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    """Return breakdowns as tuples of columns: a name alone, a list crossed."""
    return tuple((item,) if isinstance(item, str) else tuple(item) for item in by)


def covariates_of(experiment: Experiment, metric: Metric) -> tuple[str, ...]:
    """Return the covariates a metric is adjusted for; none if adjust is none."""
    return () if experiment.adjust == "none" else metric.covariates


def column_sets(
    experiment: Experiment, *, holey: Iterable[str] = ()
) -> tuple[tuple[str, ...], ...]:
    """Return the sets of columns whose joint moments the analysis reads.

    Parameters
    ----------
    experiment : Experiment
        The declaration.
    holey : iterable of str, optional
        Covariates that hold NULL: they are filled with 0 and joined by a column
        ``<name>__missing`` of 0 and 1.

    Returns
    -------
    tuple of tuple of str
        One per metric without repeats: its columns, then its covariates.
    """
    gaps = set(holey)
    sets = []
    for metric, *_ in readings(experiment):
        names = covariates_of(experiment, metric)
        filled = tuple(f"{name}{MISSING}" for name in names if name in gaps)
        sets.append((*metric.columns, *names, *filled))
    return tuple(dict.fromkeys(sets))


def moments_by_arm(
    arms: Mapping[str, ArmCell], metric: Metric, experiment: Experiment
) -> dict[str, Moments]:
    """Return the moments of one metric's columns and covariates, by arm.

    Parameters
    ----------
    arms : mapping of str to ArmCell
        A cell for every open arm.
    metric : Metric
        The metric.
    experiment : Experiment
        The declaration.

    Returns
    -------
    dict
        The metric's columns come first, then covariates, then their indicators.

    Raises
    ------
    ParameterError
        If a cell lacks a column (code ``moments_mismatch``).
    """
    wanted = metric.columns + covariates_of(experiment, metric)
    return {arm: _pick(cell, metric, wanted) for arm, cell in arms.items()}


def _pick(cell: ArmCell, metric: Metric, wanted: tuple[str, ...]) -> Moments:
    """Return the moments of the metric's columns, its covariates after them."""
    if not metric.covariates and wanted in cell.moments:
        return cell.moments[wanted]
    holding = [key for key in cell.moments if set(wanted) <= set(key)]
    if not holding:
        known = sorted({column for key in cell.moments for column in key})
        msg = f"metric {metric.name!r} reads {list(wanted)}; the moments hold {known};"
        raise ParameterError(f"{msg} add those columns.", code="moments_mismatch")
    key = min(holding, key=len)
    gaps = [f"{name}{MISSING}" for name in wanted if f"{name}{MISSING}" in key]
    return cell.moments[key].pick((*wanted, *gaps))


def sort_cells(
    cells: Iterable[ArmCell] | Mapping[str, Moments], experiment: Experiment
) -> dict[tuple[tuple[str, ...], tuple[object, ...]], dict[str, ArmCell]]:
    """Sort cells into segments, each with a cell for every open arm.

    Parameters
    ----------
    cells : iterable of ArmCell, or mapping of str to Moments
        As in `analyze_from_moments`.
    experiment : Experiment
        The declaration.

    Returns
    -------
    dict
        By the segment's columns and values: its arms in the declaration's order,
        closed ones left out, those without units empty. The total comes first.

    Raises
    ------
    DataError
        If an arm is NULL (code ``null_value``) or not declared (``unknown_arm``).
    """
    variant = experiment.columns.variant
    if isinstance(cells, Mapping):
        cells = [
            ArmCell((variant,), (arm,), m.n, {m.columns: m}) for arm, m in cells.items()
        ]
    listed = list(cells)
    groups: dict[Any, dict[str, ArmCell]] = defaultdict(dict)
    for cell in listed:
        arm = _arm(cell.key[0], experiment)
        if experiment.arms[arm]:
            key = (tuple(cell.by[1:]), tuple(cell.key[1:]))
            groups[key][arm] = ArmCell(*cell)
    opened = [arm for arm, weight in experiment.arms.items() if weight]
    sets = {columns for cell in listed for columns in cell.moments}
    none = {columns: Moments.empty(columns) for columns in sets}
    for key, arms in groups.items():
        for arm in opened:
            arms.setdefault(arm, ArmCell((variant, *key[0]), (arm, *key[1]), 0, none))
        groups[key] = {arm: arms[arm] for arm in opened}
    return {key: groups[key] for key in sorted(groups, key=lambda key: bool(key[0]))}


def _arm(value: object, experiment: Experiment) -> str:
    column = experiment.columns.variant
    known = list(experiment.arms)
    if value is None:
        msg = f"column {column!r} holds NULL; every unit needs its arm; drop or label"
        raise DataError(f"{msg} those rows first.", code="null_value")
    if str(value) not in experiment.arms:
        msg = f"column {column!r} holds the arm {str(value)!r}; the experiment declares"
        msg += f" {known}; correct the table or declare it (weight 0 if closed)."
        raise DataError(msg + suggest(str(value), known), code="unknown_arm")
    return str(value)


def by_stratum(cells: Iterable[ArmCell], experiment: Experiment) -> Strata:
    """Sort cells by column of the strata and segment, then by stratum."""
    found: Strata = defaultdict(dict)
    for (names, values), arms in sort_cells(cells, experiment).items():
        segment = segment_of(names[:-1], values[:-1])
        found[names[-1], segment][values[-1]] = arms
    return dict(found)


def segment_of(names: Sequence[str], values: Sequence[object]) -> By:
    """Return a segment's columns with their values as text; NULL stays None."""
    texts = (None if value is None else str(value) for value in values)
    return tuple(zip(names, texts, strict=True))


def check_values(metric: Metric, m: Moments) -> None:
    """Refuse infinite values, and shares that are neither 0 nor 1."""
    if not m.n:
        return
    for i, column in enumerate(m.columns):
        low, high = m.minimum.item(i), m.maximum.item(i)
        if isfinite(low) and isfinite(high):
            continue
        if low <= high and not (low == -inf and high == inf):  # else: not known
            msg = f"column {column!r} holds an infinite value; it must hold finite"
            msg += " numbers, NULL where there is none; correct those rows."
            raise DataError(msg, code="infinite_value")
    if metric.kind == "proportion":
        low, high = float(m.minimum[0]), float(m.maximum[0])
        known = isfinite(low) and isfinite(high)
        off = abs(float(m.mean[0]) * m.n - int(m.nonzero[0]))
        if known and (low < 0 or high > 1 or off > 1e-3 + 1e-9 * m.n):
            seen = high if high > 1 else low if low < 0 else float(m.mean[0])
            msg = f"column {m.columns[0]!r} of proportion {metric.name!r} holds {seen};"
            msg += " it must be 0 or 1 a unit; correct it or declare a mean."
            raise DataError(msg, code="not_a_share")


def pooled(cells: Iterable[ArmCell]) -> dict[tuple[str, ...], Moments]:
    """Merge cells that share no unit.

    Parameters
    ----------
    cells : iterable of ArmCell
        One or more.

    Returns
    -------
    dict
        Moments by set of columns.
    """
    parts: dict[tuple[str, ...], list[Moments]] = defaultdict(list)
    for cell in cells:
        for columns, m in cell.moments.items():
            parts[columns].append(m)
    return {columns: merge(found) for columns, found in parts.items()}
