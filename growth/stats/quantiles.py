"""Quantiles in closed form: two order statistics give the standard error."""

from __future__ import annotations

from math import ceil, floor, inf, sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from growth.errors import DataError, ParameterError
from growth.stats.contrast import ArmEstimate

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = [
    "QuantileEstimate",
    "Ranks",
    "clustered_quantile",
    "from_order_statistics",
    "quantile_rank",
    "ranks",
    "share_error",
    "unit_quantile",
]

Z = 1.959963984540054  # the normal deviate at which the two ranks are read
SLACK = 1e-9  # a product like 0.9 * 200 may come out a hair above the integer


class Ranks(NamedTuple):
    """1-based ranks of the order statistics to read, each from 1 to n."""

    point: int
    low: int
    high: int


class QuantileEstimate(NamedTuple):
    """An arm's quantile with the order statistics it rests on; se may be None."""

    value: float
    low: float
    high: float
    se: float | None
    ranks: Ranks
    arm: ArmEstimate


def quantile_rank(n: int, p: float) -> int:
    """Return the rank of the smallest value with at least a share `p` at or below.

    Parameters
    ----------
    n : int
        Values, 1 or more.
    p : float
        Quantile in (0, 1).

    Returns
    -------
    int
        1-based; what SQL's ``quantile_disc`` reads.

    Raises
    ------
    ParameterError
        If `p` is outside (0, 1) (``quantile_out_of_range``).
    """
    if not 0 < p < 1:
        msg = f"p is {p}; a quantile must be in (0, 1); write the 90th as 0.9."
        raise ParameterError(msg, code="quantile_out_of_range")
    return min(max(ceil(n * p - SLACK), 1), n)


def ranks(n: int, p: float, *, share_se: float | None = None, z: float = Z) -> Ranks:
    """Return which order statistics to read.

    Parameters
    ----------
    n : int
        Values, 1 or more.
    p : float
        Quantile in (0, 1).
    share_se : float, optional
        Standard error of the share of values at or below the quantile; that of
        independent values, ``sqrt(p (1 - p) / n)``, if omitted.
    z : float, default 1.96
        Normal deviate.

    Returns
    -------
    Ranks
        ``floor(n (p - z s))`` and ``ceil(n (p + z s))``, clipped to 1..n.

    Raises
    ------
    ParameterError
        If `p` is outside (0, 1) (``quantile_out_of_range``).
    """
    point = quantile_rank(n, p)
    s = sqrt(p * (1 - p) / n) if share_se is None else share_se
    low, high = floor(n * (p - z * s) + SLACK), ceil(n * (p + z * s) - SLACK)
    return Ranks(point, min(max(low, 1), n), min(max(high, 1), n))


def from_order_statistics(
    at: Ranks, value: float, low: float, high: float, *, units: int, z: float = Z
) -> QuantileEstimate:
    """Return an arm's quantile from three values read by rank.

    Parameters
    ----------
    at : Ranks
        The ranks read.
    value, low, high : float
        The values at those ranks.
    units : int
        Units the arm rests on.
    z : float, default 1.96
        Normal deviate, as in `ranks`.

    Returns
    -------
    QuantileEstimate
        ``se = (high - low) / (2 z)``; None where that is 0 (notice
        ``quantile_at_mass``).
    """
    se = (high - low) / (2 * z)
    known = 0 < se < inf
    arm = ArmEstimate(units, value, se * se if known else None)
    return QuantileEstimate(value, low, high, se if known else None, at, arm)


def unit_quantile(x: ArrayLike, p: float, *, z: float = Z) -> QuantileEstimate | None:
    """Return a quantile of one value a unit.

    Parameters
    ----------
    x : array_like of float, shape (n,)
        One arm's values; NaN is left out.
    p : float
        Quantile in (0, 1).
    z : float, default 1.96
        Normal deviate.

    Returns
    -------
    QuantileEstimate or None
        None without values. `arm` goes into a `Contrast` (z test).

    Raises
    ------
    ParameterError
        If `p` is outside (0, 1) (``quantile_out_of_range``).
    """
    values = np.asarray(x, dtype=np.float64).reshape(-1)
    values = values[~np.isnan(values)]
    if not len(values):
        quantile_rank(1, p)
        return None
    at = ranks(len(values), p, z=z)
    found = np.partition(values, [rank - 1 for rank in at])
    point, low, high = (float(found[rank - 1]) for rank in at)
    return from_order_statistics(at, point, low, high, units=len(values), z=z)


def share_error(below: ArrayLike, counts: ArrayLike) -> float | None:
    """Return the standard error of a share of events, units being independent.

    Parameters
    ----------
    below : array_like of float, shape (units,)
        Each unit's events at or below the quantile.
    counts : array_like of float, shape (units,)
        Each unit's events.

    Returns
    -------
    float or None
        Delta-method standard error of sum(below) / sum(counts), with
        G / (G - 1); None with fewer than 2 units.
    """
    b, n = (np.asarray(part, dtype=np.float64) for part in (below, counts))
    units, total = len(n), float(n.sum())
    if units < 2 or not total > 0:
        return None
    residual = b - n * (b.sum() / total)
    return float(np.sqrt(units / (units - 1) * (residual @ residual)) / total)


def clustered_quantile(
    x: ArrayLike, unit: ArrayLike, p: float, *, z: float = Z
) -> QuantileEstimate | None:
    """Return a quantile of events, several to a unit.

    Parameters
    ----------
    x : array_like of float, shape (n,)
        One arm's values, one an event; NaN is left out.
    unit : array_like, shape (n,)
        The unit of each event.
    p : float
        Quantile in (0, 1).
    z : float, default 1.96
        Normal deviate.

    Returns
    -------
    QuantileEstimate or None
        The ranks are spread by the error of the share of events at or below
        the quantile, which knows that a unit's events hang together. None
        without values or with fewer than 2 units.

    Raises
    ------
    ParameterError
        If `p` is outside (0, 1) (``quantile_out_of_range``).
    DataError
        If the lengths differ (``length_mismatch``).
    """
    values, labels = np.asarray(x, dtype=np.float64).reshape(-1), np.asarray(unit)
    if len(values) != len(labels):
        msg = f"{len(values)} values have {len(labels)} units; there must be one unit"
        raise DataError(f"{msg} a value; give both columns.", code="length_mismatch")
    seen = ~np.isnan(values)
    values, labels = values[seen], labels[seen]
    if not len(values):
        quantile_rank(1, p)
        return None
    rank = quantile_rank(len(values), p)
    point = np.partition(values, rank - 1)[rank - 1]
    _, at = np.unique(labels, return_inverse=True)
    counts = np.bincount(at)
    s = share_error(np.bincount(at, weights=values <= point), counts)
    if s is None:
        return None
    where = ranks(len(values), p, share_se=s, z=z)
    found = np.partition(values, [r - 1 for r in where])
    _, low, high = (float(found[r - 1]) for r in where)
    return from_order_statistics(where, float(point), low, high, units=len(counts), z=z)
