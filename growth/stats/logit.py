"""Does a share drift? A logistic line through shares, with their over-dispersion."""

from __future__ import annotations

from math import inf, log, sqrt
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy.special import expit, stdtr

from growth.errors import DataError
from growth.stats.contrast import critical_value

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["LogitTrend", "logit_trend"]

STEPS: Final = 50
CLOSE: Final = 1e-10


class LogitTrend(NamedTuple):
    """A line through log-odds.

    Parameters
    ----------
    intercept, slope : float
        Log-odds at x = 0, and their change per unit of x.
    se : float
        Standard error of the slope, widened by the dispersion.
    low, high : float
        Interval of the slope.
    p_value : float
        Of no slope, two-sided.
    dispersion : float
        Pearson's chi-square over its degrees of freedom; 1 where shares differ from
        the line by no more than chance. Below 1 it narrows nothing.
    df : int
        Points less two.
    """

    intercept: float
    slope: float
    se: float
    low: float
    high: float
    p_value: float
    dispersion: float
    df: int


def logit_trend(
    x: ArrayLike, successes: ArrayLike, n: ArrayLike, *, alpha: float = 0.05
) -> LogitTrend | None:
    """Fit ``logit p = intercept + slope x`` to counts, quasi-binomially.

    Parameters
    ----------
    x : array of float, shape (m,)
        Where each share stands, such as the number of the cohort.
    successes, n : array of float, shape (m,)
        Counts, ``0 <= successes <= n``; points without trials take no part.
    alpha : float, default 0.05
        Two-sided level of the interval, in (0, 1).

    Returns
    -------
    LogitTrend or None
        None with fewer than 3 points, or where all or none succeeded, or the shares
        part perfectly: then no line is finite.

    Raises
    ------
    DataError
        If the counts are impossible (``bad_counts``).

    Notes
    -----
    Newton's method on the binomial likelihood. The variance is multiplied by the
    dispersion where that is above 1, and t has m - 2 degrees of freedom.

    References
    ----------
    McCullagh, Nelder (1989), Generalized Linear Models, 2nd ed., section 4.5.

    Examples
    --------
    >>> found = logit_trend([0, 1, 2, 3], [30, 33, 36, 39], [100] * 4)
    >>> round(found.slope, 3)
    0.133
    """
    at, hit, of = (np.asarray(v, dtype=np.float64) for v in (x, successes, n))
    if not (at.shape == hit.shape == of.shape) or ((hit < 0) | (hit > of)).any():
        msg = f"successes are {hit.tolist()[:5]} of {of.tolist()[:5]} and so on; they"
        msg += " must be in 0..n, one a point; count again."
        raise DataError(msg, code="bad_counts")
    used = of > 0
    at, hit, of = at[used], hit[used], of[used]
    total, whole = hit.sum(), of.sum()
    if len(at) < 3 or not 0 < total < whole or np.ptp(at) == 0:
        return None
    centre = float(at @ of / whole)
    u = at - centre
    line = np.array([log(total / (whole - total)), 0.0])
    for _ in range(STEPS):
        p = expit(line[0] + line[1] * u)
        weight = of * p * (1 - p)
        info = np.array([[weight.sum(), weight @ u], [weight @ u, weight @ (u * u)]])
        if not np.isfinite(info).all() or np.linalg.det(info) <= CLOSE * info[0, 0]:
            return None
        step = np.linalg.solve(info, [(hit - of * p).sum(), (hit - of * p) @ u])
        line = line + step
        if np.abs(step).max() < CLOSE:
            break
    else:
        return None
    p = expit(line[0] + line[1] * u)
    df = len(at) - 2
    spread = float(((hit - of * p) ** 2 / (of * p * (1 - p))).sum()) / df
    se = sqrt(float(np.linalg.inv(info)[1, 1]) * max(spread, 1.0))
    slope = float(line[1])
    q = critical_value(alpha, df)
    t = slope / se if se else inf
    return LogitTrend(
        intercept=float(line[0]) - slope * centre,
        slope=slope,
        se=se,
        low=slope - q * se,
        high=slope + q * se,
        p_value=float(2 * stdtr(df, -abs(t))),
        dispersion=spread,
        df=df,
    )
