"""From the kernel's rows to counts, rates and times."""

from __future__ import annotations

from functools import cache
from math import sqrt
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from growth.funnel.results import By, FunnelStep, StepTime, TimeBin, steps_of
from growth.stats.quantiles import quantile_rank

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from growth.funnel.plan import Rows
    from growth.funnel.steps import FunnelSpec

    Ints = NDArray[np.int64]

__all__ = ["Grouping", "median_ranks", "reached_by", "step_times", "steps_by"]

YOUNG, EXCLUDED, KEPT = 1, 2, 4  # flags of a row
SECOND: Final = 1_000_000  # ticks
# four bins a power of ten, from a millisecond to three years; the first is below
EDGES: Final = np.array([0, *(round(10 ** (k / 4 + 6)) for k in range(-12, 33))])
TAIL: Final = 0.025


class Grouping(NamedTuple):
    """Which group each row belongs to; `labels` are the groups, in order."""

    of_row: Ints
    labels: tuple[By, ...]

    @classmethod
    def everybody(cls, n: int) -> Grouping:
        """Return the grouping of all rows as one."""
        return cls(np.zeros(n, np.int64), ((),))


def reached_by(
    spec: FunnelSpec, rows: Ints, shape: Rows, grouping: Grouping, *, flag: int = 0
) -> Ints:
    """Return how many reached each step, optional ones too.

    Parameters
    ----------
    spec : FunnelSpec
        The funnel.
    rows : array of int64
        The kernel's rows.
    shape : Rows
        Their fields.
    grouping : Grouping
        Their groups.
    flag : int, default 0
        Count only rows with this flag.

    Returns
    -------
    array of int64, shape (groups, steps)
        Whoever got further got this far too; of totals, chains of just this length.
    """
    groups, levels = len(grouping.labels), shape.levels
    level = shape.level(rows)
    kept = level > 0
    if flag:
        kept &= (shape.flags(rows) & flag) > 0
    cells = grouping.of_row[kept] * (levels + 1) + level[kept]
    many = shape.counts(rows)
    # sums of whole numbers below 2**53 are exact
    counts = np.bincount(cells, many[kept], groups * (levels + 1)).astype(np.int64)
    counts = counts.reshape(groups, levels + 1)[:, 1:]
    if spec.count != "totals":
        counts = counts[:, ::-1].cumsum(axis=1)[:, ::-1]
    found = np.zeros((groups, len(spec.steps)), np.int64)
    required = [i for i, step in enumerate(spec.steps) if not step.optional]
    found[:, required] = counts
    aside = [i for i, step in enumerate(spec.steps) if step.optional]
    extras = shape.extras(rows)
    for o, i in enumerate(aside):
        there = kept & (extras[:, o] >= 0)
        found[:, i] = np.bincount(grouping.of_row[there], minlength=groups)
    return found


def steps_by(
    spec: FunnelSpec, rows: Ints, shape: Rows, grouping: Grouping
) -> tuple[FunnelStep, ...]:
    """Return the steps, group by group."""
    reached = reached_by(spec, rows, shape, grouping)
    young = reached_by(spec, rows, shape, grouping, flag=KEPT)
    names = [step.name for step in spec.steps]
    optional = [step.optional for step in spec.steps]
    return tuple(
        step
        for i, by in enumerate(grouping.labels)
        for step in steps_of(
            names, reached[i], by=by, optional=optional, immature=young[i]
        )
    )


def step_times(
    spec: FunnelSpec, rows: Ints, shape: Rows, grouping: Grouping
) -> tuple[StepTime, ...]:
    """Return how long it took, group by group, step by step, then the whole way."""
    by_step = [
        (before, after, _summaries(values, grouping.of_row[kept], len(grouping.labels)))
        for before, after, kept, values in _spans(spec, rows, shape)
    ]
    return tuple(
        StepTime(
            by=by,
            from_step=before,
            step=after,
            name=spec.steps[after - 1].name,
            **found[i]._asdict(),
        )
        for i, by in enumerate(grouping.labels)
        for before, after, found in by_step
    )


def _spans(
    spec: FunnelSpec, rows: Ints, shape: Rows
) -> Iterator[tuple[int, int, NDArray[np.bool_], Ints]]:
    """Give steps from and to, which rows got there, and what time they took."""
    level, times, extras = shape.level(rows), shape.times(rows), shape.extras(rows)
    numbers = [i for i, step in enumerate(spec.steps, 1) if not step.optional]
    aside = depth = 0
    for i, step in enumerate(spec.steps, 1):
        if step.optional:
            kept = (level > 0) & (extras[:, aside] >= 0)
            yield numbers[depth - 1], i, kept, extras[kept, aside]
            aside += 1
            continue
        if depth:
            at = depth + 1
            kept = level == at if spec.count == "totals" else level >= at
            yield numbers[depth - 1], i, kept, times[kept, depth]
        depth += 1
    kept = level == shape.levels
    yield 1, numbers[-1], kept, times[kept, 1:].sum(axis=1)


class _Summary(NamedTuple):
    n: int
    mean_s: float | None = None
    p25_s: float | None = None
    p50_s: float | None = None
    p75_s: float | None = None
    p95_s: float | None = None
    p50_low_s: float | None = None
    p50_high_s: float | None = None
    histogram: tuple[TimeBin, ...] = ()


def _summaries(values: Ints, group: Ints, groups: int) -> list[_Summary]:
    if groups == 1:
        return [_summary(np.sort(values))]
    order = np.lexsort((values, group))
    edges = np.searchsorted(group[order], np.arange(groups + 1))
    ordered = values[order]
    return [_summary(ordered[edges[i] : edges[i + 1]]) for i in range(groups)]


def _summary(ordered: Ints) -> _Summary:
    """Return what is said of sorted times, in ticks."""
    n = len(ordered)
    if not n:
        return _Summary(0)

    def at(rank: int) -> float:
        return int(ordered[rank - 1]) / SECOND

    low, high = median_ranks(n)
    return _Summary(
        n,
        int(ordered.sum()) / n / SECOND,
        at(quantile_rank(n, 0.25)),
        int(ordered[(n - 1) // 2] + ordered[n // 2]) / 2 / SECOND,
        at(quantile_rank(n, 0.75)),
        at(quantile_rank(n, 0.95)),
        at(low),
        at(high),
        _histogram(ordered),
    )


def _histogram(ordered: Ints) -> tuple[TimeBin, ...]:
    counts = np.diff(np.searchsorted(ordered, EDGES, side="left"), append=0)
    counts[-1] = len(ordered) - int(counts[:-1].sum())
    (there,) = np.nonzero(counts)
    edges = [*(EDGES / SECOND).tolist(), float(10 * EDGES[-1] / SECOND)]
    return tuple(
        TimeBin(edges[i], edges[i + 1], int(counts[i]))
        for i in range(there[0], there[-1] + 1)
    )


@cache
def median_ranks(n: int) -> tuple[int, int]:
    """Return the ranks of the bootstrap interval of a median.

    Parameters
    ----------
    n : int
        Values, 1 or more.

    Returns
    -------
    tuple of int
        1-based: the ends of the percentile interval (95 %) of infinitely many
        resamples, so that no seed is needed.

    Notes
    -----
    A resample's median is at most the j-th value when more than half of its n draws
    are among the first j: ``P(Bin(n, j / n) > (n - 1) / 2)``.

    References
    ----------
    Efron (1979), "Bootstrap methods: another look at the jackknife", Annals of
    Statistics 7(1), section 3.

    Examples
    --------
    >>> median_ranks(100)
    (40, 61)
    """
    from scipy.special import bdtrc

    reach = int(4 * sqrt(n)) + 2
    ranks = np.arange(max(1, n // 2 - reach), min(n, n // 2 + reach) + 1)
    share = bdtrc((n - 1) // 2, n, np.minimum(ranks / n, 1.0))
    low = int(ranks[np.argmax(share >= TAIL)])
    return low, n + 1 - low


def group_rows(
    names: Sequence[str],
    values: Ints,
    combos: Sequence[tuple[str | None, ...]],
    *,
    apart: bool,
) -> Grouping:
    """Return the group of each row.

    Parameters
    ----------
    names : sequence of str
        The breakdown columns.
    values : array of int64, shape (rows, 1) or (rows, columns)
        Numbers of `combos`; -1 is unknown, -2 a step not reached.
    combos : sequence of tuple
        The values of all columns that occur together.
    apart : bool
        Whether each column has a number of its own.
    """
    blank = (None,) * len(names)
    missed: tuple[str | None, ...] = (NOT_REACHED,) * len(names)
    every = [*combos, missed, blank]  # so that -2 and -1 find theirs
    if not apart:
        used, of_row = np.unique(values[:, 0], return_inverse=True)
        labels = [every[code] for code in used]
    else:
        used, of_row = np.unique(values, axis=0, return_inverse=True)
        labels = [
            tuple(every[code][b] for b, code in enumerate(codes)) for codes in used
        ]
    # one group may have come about in several ways
    known = sorted(set(labels), key=_rank)
    place = {label: i for i, label in enumerate(known)}
    lut = np.array([place[label] for label in labels], np.int64)
    pairs = tuple(tuple(zip(names, label, strict=True)) for label in known)
    return Grouping(lut[of_row.reshape(-1)] if len(lut) else of_row, pairs)


NOT_REACHED: Final = "not reached"


def _rank(label: tuple[str | None, ...]) -> tuple[tuple[bool, str], ...]:
    return tuple((value is None, value or "") for value in label)
