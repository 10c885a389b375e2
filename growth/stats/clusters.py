"""Cluster-randomised experiments: stores or share-groups instead of people."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from growth.errors import DataError, ParameterError
from growth.stats.means import ratio
from growth.stats.moments import Moments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from growth.stats.contrast import ArmEstimate

__all__ = [
    "FEW_CLUSTERS",
    "ClusterSpread",
    "cluster_mean",
    "cluster_spread",
    "design_effect",
    "spread_from_sums",
]

FEW_CLUSTERS = 10  # an arm with fewer raises the notice few_clusters


class ClusterSpread(NamedTuple):
    """Correlation within clusters (None if not computable) and its price."""

    icc: float | None
    design_effect: float | None


def cluster_mean(totals: ArrayLike, sizes: ArrayLike) -> ArmEstimate:
    """Return one arm's mean over units when clusters were randomised.

    Parameters
    ----------
    totals : array_like of float, shape (G,)
        The metric's sum in each of the arm's clusters.
    sizes : array_like of float, shape (G,)
        Units in each cluster, 0 or more.

    Returns
    -------
    ArmEstimate
        Sum of totals over sum of sizes, n = G clusters, df G - 1. From moments:
        ``means.ratio(m, total, size)`` with one row a cluster.

    Raises
    ------
    DataError
        If the lengths differ (``length_mismatch``).

    Notes
    -----
    The variance of the linearised cluster totals: the cluster-robust variance
    of ordinary least squares times G / (G - 1).
    """
    total = np.asarray(totals, dtype=np.float64).reshape(-1)
    size = np.asarray(sizes, dtype=np.float64).reshape(-1)
    if len(total) != len(size):
        msg = f"{len(total)} totals have {len(size)} sizes; there must be one each a"
        raise DataError(f"{msg} cluster; give both.", code="length_mismatch")
    rows = np.column_stack([total, size])
    return ratio(Moments.of(("total", "size"), rows), "total", "size")


def design_effect(sizes: Sequence[float], *, icc: float) -> float:
    """Return by how much clustering multiplies the variance.

    Parameters
    ----------
    sizes : sequence of float
        Units per cluster, above 0.
    icc : float
        Correlation within a cluster, in [0, 1].

    Returns
    -------
    float
        ``1 + ((cv**2 + 1) mean - 1) icc``, cv the sizes' coefficient of
        variation (divisor G).

    Raises
    ------
    ParameterError
        If a size is not positive (``bad_sizes``) or `icc` is outside [0, 1]
        (``icc_out_of_range``).

    References
    ----------
    Eldridge, Ashby, Kerry (2006), "Sample size for cluster randomized trials",
    International Journal of Epidemiology 35(5).
    """
    if not len(sizes) or not all(0 < s < inf for s in sizes):
        msg = f"sizes hold {len(sizes)} clusters; there must be 1 or more, each above"
        raise ParameterError(f"{msg} 0; leave empty clusters out.", code="bad_sizes")
    if not 0 <= icc <= 1:
        msg = f"icc is {icc}; it must be in [0, 1]; take a negative estimate as 0."
        raise ParameterError(msg, code="icc_out_of_range")
    weighted = sum(s * s for s in sizes) / sum(sizes)
    return 1 + (weighted - 1) * icc


def cluster_spread(
    sizes: ArrayLike, totals: ArrayLike, squares: ArrayLike
) -> ClusterSpread:
    """Return the intra-cluster correlation and the design effect of one arm.

    Parameters
    ----------
    sizes : array_like of float, shape (G,)
        Units per cluster.
    totals : array_like of float, shape (G,)
        Sum of the metric per cluster.
    squares : array_like of float, shape (G,)
        Centred sum of squares of the metric within each cluster.

    Returns
    -------
    ClusterSpread
        By the analysis of variance, cut to [0, 1]; None with fewer than two
        clusters or no more units than clusters.

    References
    ----------
    Donner, Koval (1980), "The estimation of intraclass correlation in the
    analysis of family data", Biometrics 36(1).
    """
    m, total, within = (
        np.asarray(part, dtype=np.float64) for part in (sizes, totals, squares)
    )
    seen = m > 0
    m, total, within = m[seen], total[seen], within[seen]
    if not len(m):
        return ClusterSpread(None, None)
    units = float(m.sum())
    return spread_from_sums(
        groups=len(m),
        units=units,
        squares=float(np.sum(m * m)),
        between=float(np.sum(m * (total / m - total.sum() / units) ** 2)),
        within=float(within.sum()),
    )


def spread_from_sums(
    *, groups: int, units: float, squares: float, between: float, within: float
) -> ClusterSpread:
    """Return correlation and design effect of one arm from sums over its clusters.

    Parameters
    ----------
    groups : int
        Clusters with a unit or more.
    units, squares : float
        Sum of the clusters' sizes, and of their squares.
    between : float
        Sum over clusters of size times the squared distance of the cluster's mean
        from the arm's.
    within : float
        Sum of squares within clusters.

    Returns
    -------
    ClusterSpread
        As in `cluster_spread`.
    """
    if groups < 2 or units <= groups:
        return ClusterSpread(None, None)
    among = between / (groups - 1)
    inside = within / (units - groups)
    typical = (units - squares / units) / (groups - 1)
    whole = among + (typical - 1) * inside
    if not 0 < whole < inf:
        return ClusterSpread(None, None)
    icc = min(max((among - inside) / whole, 0.0), 1.0)
    return ClusterSpread(icc, 1 + (squares / units - 1) * icc)
