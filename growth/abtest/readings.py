"""How each metric is read: as it stands, capped beside it, by cluster, by rank.

A reading is a metric whose columns are those of the moments. All that follows
(fits, tests, intervals) knows readings only; the rows carry the metric's name.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from growth.abtest.experiment import Source

if TYPE_CHECKING:
    from growth.abtest.experiment import Experiment, Metric

__all__ = [
    "CAPPED",
    "SEEN",
    "SIZE",
    "WITH",
    "Reading",
    "Threshold",
    "readings",
    "stratum_of",
]

CAPPED: Final = "__capped"  # a column with both tails pulled in
SIZE: Final = "__size"  # 1 for a unit with a value: its sum is the cluster's size
WITH: Final = "__with__"  # a ratio's part where the other part is known too
SEEN: Final = "__seen"  # values a unit has: 1, or its events; NULL for none


class Threshold(NamedTuple):
    """Where a column was capped; None where that tail was left alone."""

    metric: str
    column: str
    low: float | None
    high: float | None


class Reading(NamedTuple):
    """A metric as the moments hold it.

    Parameters
    ----------
    metric : Metric
        With the columns of the moments; its name is unique among readings.
    name : str
        The metric's own name.
    capped : bool or None
        Whether this is the capped row; None where the metric has no cap.
    decides : bool
        Whether the row enters the decision; its twin is only shown.
    """

    metric: Metric
    name: str
    capped: bool | None
    decides: bool


def readings(experiment: Experiment) -> tuple[Reading, ...]:
    """Return how every metric is read, in the order of the declaration.

    Parameters
    ----------
    experiment : Experiment
        The declaration.

    Returns
    -------
    tuple of Reading
        One per metric; two where it is capped, the deciding one first.
    """
    found = []
    for metric in experiment.metrics:
        if metric.cap is None:
            found.append(Reading(_shaped(metric, experiment), metric.name, None, True))  # noqa: FBT003
            continue
        for capped in (True, False):
            shown = _capped(metric) if capped else metric
            decides = capped == (metric.cap.decides == "capped")
            name = metric.name if decides else f"{metric.name}{CAPPED}"
            shown = replace(_shaped(shown, experiment), name=name)
            found.append(Reading(shown, metric.name, capped, decides))
    return tuple(sorted(found, key=lambda r: _place(r, experiment)))


def _place(reading: Reading, experiment: Experiment) -> tuple[int, bool]:
    names = [metric.name for metric in experiment.metrics]
    return names.index(reading.name), not reading.decides


def stratum_of(experiment: Experiment, metric: Metric) -> str | None:
    """Return the column whose values are a metric's strata, None without.

    Parameters
    ----------
    experiment : Experiment
        The declaration.
    metric : Metric
        One of its metrics, or a reading of it.

    Returns
    -------
    str or None
        The metric's own column, else the experiment's where the metric is not
        adjusted for covariates, is no quantile, and is tested by Wald.
    """
    adjusted = bool(metric.covariates) and experiment.adjust != "none"
    fits = metric.kind != "quantile" and metric.test == "wald" and not adjusted
    return metric.stratify or (experiment.stratify if fits else None)


def _columns(metric: Metric, columns: tuple[str, ...]) -> Metric:
    """Return the metric reading other columns of the unit table."""
    if metric.kind == "ratio":
        top, bottom = (Source(column=name) for name in columns)
        return replace(metric, numerator=top, denominator=bottom)
    return replace(metric, value=Source(column=columns[0]))


def _capped(metric: Metric) -> Metric:
    return _columns(metric, tuple(f"{name}{CAPPED}" for name in metric.columns))


def _shaped(metric: Metric, experiment: Experiment) -> Metric:
    """Return the metric over cluster totals, or over the counts of its values."""
    plain = _columns(metric, metric.columns)  # built or not, the column is there
    if metric.kind == "quantile":
        return replace(plain, value=Source(column=f"{metric.columns[0]}{SEEN}"))
    if experiment.cluster is None:
        return plain
    if metric.kind == "ratio":
        top, bottom = metric.columns
        return _columns(metric, (f"{top}{WITH}{bottom}", f"{bottom}{WITH}{top}"))
    (column,) = metric.columns
    return replace(
        plain,
        kind="ratio",
        unit=metric.unit or ("share" if metric.kind == "proportion" else None),
        value=None,
        test="wald",
        numerator=Source(column=column),
        denominator=Source(column=f"{column}{SIZE}"),
    )
