"""Winsorising: values beyond a pooled threshold count as the threshold."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Literal

import numpy as np

from growth.errors import ParameterError
from growth.stats.quantiles import quantile_rank

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Cap", "cap_thresholds", "winsorise"]


@dataclass(frozen=True, slots=True)
class Cap:
    """Thresholds, in the unit of the metric; infinite where a tail is left alone."""

    low: float = -inf
    high: float = inf


def cap_thresholds(
    x: ArrayLike,
    *,
    upper: float | None = 0.999,
    lower: float | None = None,
    of: Literal["nonzero", "all"] = "nonzero",
) -> Cap:
    """Return the thresholds at quantiles of all arms pooled.

    Parameters
    ----------
    x : array_like of float, shape (n,)
        The metric over **all** arms (an arm's own threshold biases); NaN is
        left out.
    upper : float or None, default 0.999
        Upper quantile in (0, 1); None leaves that tail alone.
    lower : float, optional
        Lower quantile in (0, 1), for refunds and profit.
    of : {"nonzero", "all"}
        Which values: with 1 % buyers the 99th percentile of all values is 0.

    Returns
    -------
    Cap
        Values that occur (``quantile_disc``); infinite without values.

    Raises
    ------
    ParameterError
        If a quantile is outside (0, 1) (``quantile_out_of_range``), `lower` is
        not below `upper` (``bad_caps``), or `of` is unknown
        (``unknown_population``).
    """
    if of not in ("nonzero", "all"):
        msg = f'of is {of!r}; it must be "nonzero" or "all"; say which values count.'
        raise ParameterError(msg, code="unknown_population")
    if lower is not None and upper is not None and not lower < upper:
        msg = f"lower is {lower} and upper {upper}; lower must be below upper; swap"
        raise ParameterError(f"{msg} them.", code="bad_caps")
    values = np.asarray(x, dtype=np.float64).reshape(-1)
    values = values[~np.isnan(values)]
    if of == "nonzero":
        values = values[values != 0]
    ends = [-inf, inf]
    for i, p in enumerate((lower, upper)):
        if p is not None:
            rank = quantile_rank(max(len(values), 1), p)
            if len(values):
                ends[i] = float(np.partition(values, rank - 1)[rank - 1])
    return Cap(*ends)


def winsorise(x: ArrayLike, cap: Cap) -> NDArray[np.float64]:
    """Return the values with both tails pulled in; none is dropped.

    Parameters
    ----------
    x : array_like of float
        Any arm's values.
    cap : Cap
        Thresholds of the pooled arms.

    Returns
    -------
    ndarray of float64
        ``min(max(x, low), high)``; NaN stays NaN.
    """
    return np.clip(np.asarray(x, dtype=np.float64), cap.low, cap.high)
