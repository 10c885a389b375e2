"""Means and ratios from moments, plain and adjusted for covariates.

Everything here is arithmetic on `Moments`, but for the exact HC2 variance: that
needs one more look at the rows, for which `ArmFit` carries the coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf, isfinite, nan
from operator import mul
from typing import TYPE_CHECKING, Literal

import numpy as np

from growth.errors import DataError, ParameterError
from growth.stats.contrast import ArmEstimate
from growth.stats.moments import Moments

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Adjusted",
    "ArmFit",
    "Line",
    "cuped",
    "lin",
    "lin_hc2",
    "linear",
    "mean",
    "ratio",
    "ratio_line",
    "ratio_linear",
    "with_variances",
]

# Below these shares of a variance, what is left is rounding, not information.
EXACT_RATIO = 1e-14
COLLINEAR = 1e-10
FULL_LEVERAGE = 1e-9


def mean(m: Moments, column: str | None = None) -> ArmEstimate:
    """Return one arm's mean for Welch's test.

    Parameters
    ----------
    m : Moments
        The arm's units.
    column : str, optional
        The metric; may be left out where `m` has one column.

    Returns
    -------
    ArmEstimate
        Variance ``s**2 / n`` with divisor n - 1, df n - 1. The variance is 0
        where all units share one value, and None if n < 2.

    Raises
    ------
    ParameterError
        If the column is not in `m`, or not named among several
        (``moments_mismatch``).
    """
    at = m.at(column)
    if not m.n:
        return ArmEstimate(0, None, None, -1.0)
    value = m.mean.item(at)
    if not isfinite(value):
        return ArmEstimate(m.n, None, None, m.n - 1)
    spread = 0.0 if _constant(m, at) else m.comoment.item(at, at)
    return ArmEstimate(m.n, value, _variance(spread, m.n), m.n - 1)


def ratio(m: Moments, numerator: str, denominator: str) -> ArmEstimate:
    """Return one arm's ratio of sums with its delta-method variance.

    Parameters
    ----------
    m : Moments
        The arm's units, both columns among them; both are random.
    numerator, denominator : str
        Columns x and y; the ratio is sum(x) / sum(y).

    Returns
    -------
    ArmEstimate
        None values if the mean of the denominator is 0 or less.

    Raises
    ------
    ParameterError
        If a column is not in `m` (``moments_mismatch``).

    Notes
    -----
    R = mean(x) / mean(y), linearised l = (x - R y) / mean(y), and
    ``v = (s_xx - 2 R s_xy + R**2 s_yy) / (mean(y)**2 n)`` with divisor n - 1:
    exactly the variance of the mean of l.
    """
    line = ratio_line(m, numerator, denominator)
    if line is None:
        return ArmEstimate(m.n, None, None, m.n - 1)
    i, j = m.columns.index(numerator), m.columns.index(denominator)
    return ArmEstimate(m.n, line.ratio, _variance(_spread(m, i, j, line), m.n), m.n - 1)


@dataclass(frozen=True, slots=True)
class Line:
    """Linearisation of a ratio: a unit counts ``ratio + (x - ratio y) / scale``."""

    ratio: float
    scale: float


def ratio_line(m: Moments, numerator: str, denominator: str) -> Line | None:
    """Return what is needed to linearise a ratio on the rows.

    Parameters
    ----------
    m : Moments
        Units of one arm (for a metric) or of all arms merged (for a covariate).
    numerator, denominator : str
        Columns x and y.

    Returns
    -------
    Line or None
        The ratio and the mean of y; None if that mean is 0 or less.

    Raises
    ------
    ParameterError
        If a column is not in `m` (``moments_mismatch``).
    """
    i, j = m.at(numerator), m.at(denominator)
    x, y = float(m.mean[i]), float(m.mean[j])
    if not m.n or not (0 < y < inf) or not isfinite(x / y):
        return None
    return Line(x / y, y)


def ratio_linear(
    m: Moments,
    name: str,
    *,
    numerator: str,
    denominator: str,
    line: Line | None = None,
    drop: bool = True,
) -> Moments:
    """Put a ratio's linearised values in the place of its two parts.

    Parameters
    ----------
    m : Moments
        One arm's units.
    name : str
        Name of the new column, the first of the result.
    numerator, denominator : str
        Columns x and y.
    line : Line, optional
        The linearisation. Omitted: the arm's own, right for a metric (its mean
        is then the arm's ratio). A covariate must be the same function of a unit
        in all arms: give the line of all arms merged.
    drop : bool, default True
        Whether the two parts leave the result.

    Returns
    -------
    Moments
        `name` and the other columns. If the line cannot be drawn, the mean and
        co-moments of `name` are NaN, and what is computed from them None.

    Raises
    ------
    ParameterError
        If a column is not in `m` (``moments_mismatch``).
    """
    line = line or ratio_line(m, numerator, denominator) or Line(nan, nan)
    others = [c for c in m.columns if not drop or c not in (numerator, denominator)]
    weights = {numerator: 1 / line.scale, denominator: -line.ratio / line.scale}
    made = linear(m, name, weights, constant=line.ratio, keep=others)
    if line == ratio_line(m, numerator, denominator):
        i, j = m.columns.index(numerator), m.columns.index(denominator)
        made.mean[0] = line.ratio  # free of rounding, like the variance
        made.comoment[0, 0] = _spread(m, i, j, line)
    return made


@np.errstate(over="ignore", invalid="ignore")
def linear(
    m: Moments,
    name: str,
    weights: Mapping[str, float],
    *,
    constant: float = 0.0,
    keep: Sequence[str] = (),
) -> Moments:
    """Return the moments of a linear function of the columns, beside others.

    Parameters
    ----------
    m : Moments
        Any units.
    name : str
        Name of the new column, the first of the result.
    weights : mapping of str to float
        Weight per column of `m`.
    constant : float, default 0
        Added to every unit.
    keep : sequence of str, optional
        Columns of `m` that stay, after the new one.

    Returns
    -------
    Moments
        Exact, no row is looked at. The new column's extremes are unknown
        (infinite), and its `nonzero` is taken as n.

    Raises
    ------
    ParameterError
        If a column is not in `m` (``moments_mismatch``).
    """
    at = [m.at(column) for column in keep]
    turn = np.zeros((1 + len(at), len(m.columns)))
    for column, weight in weights.items():
        turn[0, m.at(column)] = weight
    turn[range(1, 1 + len(at)), at] = 1.0
    means = turn @ m.mean
    means[0] += constant
    comoment = turn @ m.comoment @ turn.T
    return Moments(
        columns=(name, *keep),
        n=m.n,
        mean=means,
        comoment=comoment,
        minimum=np.concatenate(([-inf], m.minimum[at])),
        maximum=np.concatenate(([inf], m.maximum[at])),
        nonzero=np.concatenate(([m.n], m.nonzero[at])).astype(np.int64),
    )


@dataclass(frozen=True, slots=True, eq=False)
class ArmFit:
    """One arm's regression of the metric on k covariates.

    With z = x - `x_mean` (a unit's covariates less the *arm's* means), the unit's

    * residual is ``e = (y - y_mean) - slopes . z``,
    * leverage is ``h = 1 / n + z' inverse z``,
    * weight in the adjusted mean is ``w = 1 / n - pull . z``,

    and the arm's HC2 variance is the sum of ``w**2 e**2 / (1 - h)`` over its
    units: one aggregate per arm with these numbers written into it.

    Parameters
    ----------
    n : int
        Units.
    y_mean : float
        Unadjusted mean.
    x_mean : ndarray, shape (k,)
        The arm's covariate means.
    slopes : ndarray, shape (k,)
        Slopes; for CUPED the pooled theta.
    inverse : ndarray, shape (k, k)
        Inverse of the arm's centred cross-products of the covariates.
    pull : ndarray, shape (k,)
        ``inverse @ (x_mean - centre)``.
    residual : float
        Sum of squared residuals, in the squared unit of the metric.
    """

    n: int
    y_mean: float
    x_mean: NDArray[np.float64]
    slopes: NDArray[np.float64]
    inverse: NDArray[np.float64]
    pull: NDArray[np.float64]
    residual: float


@dataclass(frozen=True, slots=True, eq=False)
class Adjusted:
    """Arms adjusted for covariates.

    Parameters
    ----------
    method : str
        ``cuped``, ``lin_moments`` or ``lin_hc2``.
    arms : dict of str to ArmEstimate
        Adjusted mean per arm, ready for a `Contrast`.
    covariates : tuple of str
        Those used, in the order given.
    dropped : tuple of str
        Those left out: constant, or explained by the ones before them.
    centre : ndarray, shape (k,)
        Means of the used covariates over all units of all arms.
    theta : ndarray of shape (k,), or None
        CUPED's pooled coefficients; None for Lin, whose slopes are in `fits`.
    fits : dict of str to ArmFit
        One per arm with enough units.
    """

    method: Literal["cuped", "lin_moments", "lin_hc2"]
    arms: dict[str, ArmEstimate]
    covariates: tuple[str, ...]
    dropped: tuple[str, ...]
    centre: NDArray[np.float64]
    theta: NDArray[np.float64] | None
    fits: dict[str, ArmFit]


def cuped(
    arms: Mapping[str, Moments], metric: str, covariates: Sequence[str]
) -> Adjusted:
    """Adjust means with one coefficient vector for all arms (CUPED).

    Parameters
    ----------
    arms : mapping of str to Moments
        One record per arm, with the metric and the covariates; 1 arm or more.
    metric : str
        The column to adjust.
    covariates : sequence of str
        Pre-exposure columns, k >= 0. Constant and collinear ones are dropped.

    Returns
    -------
    Adjusted
        ``method`` is ``cuped``; Welch's df, n - 1 an arm.

    Raises
    ------
    ParameterError
        If `arms` is empty (``no_arms``) or a column is missing
        (``moments_mismatch``).

    Notes
    -----
    theta solves S_xx theta = S_xy over all units pooled; Welch's test is then
    made on y - theta'(x - mean(x)). The variance falls to about 1 - R**2 of its
    size.

    References
    ----------
    Deng, Xu, Kohavi, Walker (2013), "Improving the sensitivity of online
    controlled experiments by utilizing pre-experiment data", WSDM '13.
    """
    tables = _gather(arms, metric, covariates)
    whole = _pooled([t for t in tables.values() if isfinite(t.mean[0])])
    kept = _sweep([whole], len(covariates))
    centre = _pooled(list(tables.values())).mean
    theta = [whole.cross[i][0] for i in kept]
    fits = {name: _fit(t, kept, centre, theta) for name, t in tables.items() if t.n > 1}
    return Adjusted(
        method="cuped",
        arms={
            name: _adjusted(t, fits.get(name), kept, centre, spent=1)
            for name, t in tables.items()
        },
        covariates=tuple(covariates[i - 1] for i in kept),
        dropped=_left_out(covariates, kept),
        centre=_array([centre[i] for i in kept]),
        theta=_array(theta),
        fits=fits,
    )


def lin(
    arms: Mapping[str, Moments],
    metric: str,
    covariates: Sequence[str],
    *,
    se: Literal["moments"] = "moments",
) -> Adjusted:
    """Adjust means by a regression of its own in each arm (Lin).

    Parameters
    ----------
    arms : mapping of str to Moments
        One record per arm, with the metric and the covariates; 1 arm or more.
    metric : str
        The column to adjust.
    covariates : sequence of str
        Pre-exposure columns, k >= 0. Constant and collinear ones are dropped,
        from all arms alike; an arm of fewer than k + 2 units has no say in that.
    se : {"moments"}
        The classical variance. For HC2, sum ``w**2 e**2 / (1 - h)`` over the
        rows with the numbers in `fits`, then `with_variances`.

    Returns
    -------
    Adjusted
        ``method`` is ``lin_moments``; df n - 1 - k an arm. An arm of fewer than
        k + 2 units is None.

    Raises
    ------
    ParameterError
        If `arms` is empty (``no_arms``), a column is missing
        (``moments_mismatch``), or `se` is unknown (``unknown_se``).

    Notes
    -----
    In each arm y is regressed on x - mean(x), the mean over all arms; the
    intercept ``mean(y) - slopes' d`` with d = mean_arm(x) - mean(x) is the
    adjusted mean. ``v = s_e**2 (1/n + d' C**-1 d)``, s_e**2 with n - 1 - k. For
    large samples never less precise than no adjustment, also with uneven arms.

    References
    ----------
    Lin (2013), "Agnostic notes on regression adjustments to experimental data",
    Annals of Applied Statistics 7(1).
    """
    if se != "moments":
        msg = f'se is {se!r}; from moments it must be "moments"; sum the rows with'
        msg = f"{msg} `fits` and call with_variances for HC2."
        raise ParameterError(msg, code="unknown_se")
    tables = _gather(arms, metric, covariates)
    k = len(covariates)
    swept = {name: t.copy() for name, t in tables.items() if t.n >= k + 2}
    kept = _sweep(list(swept.values()), k)
    for name, t in tables.items():  # arms too small to have had a say
        if name not in swept and t.n >= len(kept) + 2:
            small = t.copy()
            if _sweep([small], k, only=kept) == kept:
                swept[name] = small
    centre = _pooled(list(tables.values())).mean
    fits = {
        name: _fit(tables[name], kept, centre, [t.cross[i][0] for i in kept], t.cross)
        for name, t in swept.items()
    }
    return Adjusted(
        method="lin_moments",
        arms={
            name: _adjusted(
                t, fits.get(name), kept, centre, spent=1 + len(kept), tilt=True
            )
            for name, t in tables.items()
        },
        covariates=tuple(covariates[i - 1] for i in kept),
        dropped=_left_out(covariates, kept),
        centre=_array([centre[i] for i in kept]),
        theta=None,
        fits=fits,
    )


def with_variances(
    adjusted: Adjusted, variances: Mapping[str, float | None]
) -> Adjusted:
    """Return Lin's adjustment with HC2 variances that were summed over the rows.

    Parameters
    ----------
    adjusted : Adjusted
        What `lin` returned.
    variances : mapping of str to float or None
        Per arm, the sum of ``w**2 e**2 / (1 - h)``; None where a unit has
        leverage 1 (it alone determines a coefficient).

    Returns
    -------
    Adjusted
        ``method`` is ``lin_hc2``; an arm absent from `variances` becomes None.
    """
    arms = {
        name: replace(arm, variance=_tidy(variances.get(name), arm))
        for name, arm in adjusted.arms.items()
    }
    return replace(adjusted, method="lin_hc2", arms=arms)


@np.errstate(over="ignore", invalid="ignore")
def lin_hc2(y: ArrayLike, covariates: ArrayLike, arm: ArrayLike) -> Adjusted:
    """Adjust means by Lin's regression with HC2 variances, from arrays.

    Parameters
    ----------
    y : array_like of float, shape (n,)
        The metric, one value a unit.
    covariates : array_like of float, shape (n, k) or (n,)
        Pre-exposure values; they are named ``x1``, ``x2``, ...
    arm : array_like of str or int, shape (n,)
        Each unit's arm; names become str.

    Returns
    -------
    Adjusted
        As `lin`, with ``method`` ``lin_hc2``. Rows with a NaN are left out.

    Raises
    ------
    DataError
        If the lengths differ (``length_mismatch``).

    Notes
    -----
    Equals the fully interacted least-squares regression with HC2 standard
    errors; without covariates it is Welch's standard error.
    """
    values = np.asarray(y, dtype=np.float64).reshape(-1)
    labels = np.asarray(arm).astype(str).reshape(-1)
    x = np.asarray(covariates, dtype=np.float64)
    x = x.reshape(len(x), -1)
    if not len(values) == len(labels) == len(x):
        msg = f"y, covariates and arm have {len(values)}, {len(x)} and {len(labels)}"
        msg = f"{msg} rows; they must be as many; give one row a unit."
        raise DataError(msg, code="length_mismatch")
    names = tuple(f"x{i + 1}" for i in range(x.shape[1]))
    table = np.column_stack([values, x])
    table, labels = (part[~np.isnan(table).any(axis=1)] for part in (table, labels))
    rows = {str(name): table[labels == name] for name in np.unique(labels)}
    fitted = lin({k: Moments.of(("y", *names), v) for k, v in rows.items()}, "y", names)
    at = [1 + names.index(name) for name in fitted.covariates]
    found = {name: _hc2(fit, rows[name], at) for name, fit in fitted.fits.items()}
    return with_variances(fitted, found)


def _hc2(
    fit: ArmFit, rows: NDArray[np.float64], columns: Sequence[int]
) -> float | None:
    z = rows[:, list(columns)] - fit.x_mean
    e = rows[:, 0] - fit.y_mean - z @ fit.slopes
    room = 1 - 1 / fit.n - np.einsum("ij,jk,ik->i", z, fit.inverse, z)
    if (room < FULL_LEVERAGE).any():
        return None
    w = 1 / fit.n - z @ fit.pull
    return float(np.sum(w * w * e * e / room))


def _tidy(variance: float | None, arm: ArmEstimate) -> float | None:
    """Return `variance`, 0 where the fit was exact, None where it is no number."""
    if variance is None or not isfinite(variance) or arm.value is None:
        return None
    return 0.0 if arm.variance == 0 else max(variance, 0.0)


@dataclass(slots=True, eq=False)
class _Table:
    """One arm's moments as plain floats, the metric first: small sums, no arrays."""

    n: int
    mean: list[float]
    cross: list[list[float]]
    constant: list[bool]

    def copy(self) -> _Table:
        return replace(self, cross=[row.copy() for row in self.cross])


def _gather(
    arms: Mapping[str, Moments], metric: str, covariates: Sequence[str]
) -> dict[str, _Table]:
    if not arms:
        msg = "arms is empty; it must hold the moments of each arm; name at least one."
        raise ParameterError(msg, code="no_arms")
    columns = (metric, *covariates)
    if repeated := sorted({name for name in columns if columns.count(name) > 1}):
        msg = f"{repeated} named twice among metric and covariates; each must be named"
        raise ParameterError(f"{msg} once; drop one.", code="repeated_column")
    tables = {}
    for name, m in arms.items():
        at = [m.at(column) for column in columns]
        means, cross = m.mean.tolist(), m.comoment.tolist()
        tables[name] = _Table(
            n=m.n,
            mean=[means[i] for i in at],
            cross=[[cross[i][j] for j in at] for i in at],
            constant=[_constant(m, i) for i in at],
        )
    return tables


def _pooled(tables: list[_Table]) -> _Table:
    """Merge arms as `Moments.merge` does; one that is constant stays so if equal."""
    filled = [t for t in tables if t.n]
    k = len(tables[0].mean) if tables else 0
    n = sum(t.n for t in filled)
    if not n:
        return _Table(0, [0.0] * k, [[0.0] * k for _ in range(k)], [True] * k)
    mean = [sum(t.mean[i] * (t.n / n) for t in filled) for i in range(k)]
    cross = [
        [
            sum(
                t.cross[i][j] + t.n * (t.mean[i] - mean[i]) * (t.mean[j] - mean[j])
                for t in filled
            )
            for j in range(k)
        ]
        for i in range(k)
    ]
    first = filled[0]
    constant = [
        all(t.constant[i] and t.mean[i] == first.mean[i] for t in filled)
        for i in range(k)
    ]
    return _Table(n, mean, cross, constant)


def _sweep(
    tables: list[_Table], k: int, *, only: Sequence[int] | None = None
) -> list[int]:
    """Sweep covariates 1..k in place and return those that add something.

    A swept table holds, for the kept covariates, the inverse of their
    cross-products (negated), the slopes (column 0) and the residual sum of
    squares (corner). One that is constant, or nearly explained by those before
    it, in any of the tables is left out of all.
    """
    kept: list[int] = []
    own = [[t.cross[i][i] for i in range(k + 1)] for t in tables]
    for i in only if only is not None else range(1, k + 1):
        fits = (
            not t.constant[i]
            and 0 < size[i] < inf
            and t.cross[i][i] > COLLINEAR * size[i]
            for t, size in zip(tables, own, strict=True)
        )
        if tables and all(fits):
            for t in tables:
                _sweep_one(t.cross, i)
            kept.append(i)
    return kept


def _sweep_one(a: list[list[float]], i: int) -> None:
    """Apply Goodnight's sweep operator to column `i` of a symmetric matrix."""
    pivot = a[i][i]
    row = a[i]
    scaled = [value / pivot for value in row]
    for j, other in enumerate(a):
        if j != i and (share := other[i]):
            for c, value in enumerate(scaled):
                other[c] -= share * value
            other[i] = share / pivot
    a[i] = scaled
    a[i][i] = -1 / pivot


def _left_out(covariates: Sequence[str], kept: list[int]) -> tuple[str, ...]:
    return tuple(name for i, name in enumerate(covariates, 1) if i not in kept)


def _array(values: Sequence[float] | Sequence[list[float]]) -> NDArray[np.float64]:
    return np.array(values, dtype=np.float64)


def _fit(
    t: _Table,
    kept: list[int],
    centre: list[float],
    slopes: list[float],
    swept: list[list[float]] | None = None,
) -> ArmFit:
    """Return one arm's fit; without a swept table the inverse is not known (NaN)."""
    xx = [[t.cross[i][j] for j in kept] for i in kept]
    xy = [t.cross[i][0] for i in kept]
    bent = [_dot(row, slopes) for row in xx]
    own, fitted = t.cross[0][0], _dot(bent, slopes)
    residual = own - 2 * _dot(slopes, xy) + fitted
    if t.constant[0] or residual <= EXACT_RATIO * (abs(own) + fitted):
        residual = 0.0
    away = [t.mean[i] - centre[i] for i in kept]
    inverse = [[-swept[i][j] if swept else nan for j in kept] for i in kept]
    return ArmFit(
        n=t.n,
        y_mean=t.mean[0],
        x_mean=_array([t.mean[i] for i in kept]),
        slopes=_array(slopes),
        inverse=_array(inverse).reshape(len(kept), len(kept)),
        pull=_array([_dot(row, away) for row in inverse]),
        residual=residual,
    )


def _adjusted(
    t: _Table,
    fit: ArmFit | None,
    kept: list[int],
    centre: list[float],
    *,
    spent: int,
    tilt: bool = False,
) -> ArmEstimate:
    """Return the adjusted mean; `tilt` adds the slopes' own uncertainty (Lin)."""
    df = t.n - spent
    if fit is None or df < 1:
        return ArmEstimate(t.n, None, None, df)
    away = [t.mean[i] - centre[i] for i in kept]
    value = t.mean[0] - _dot(fit.slopes.tolist(), away)
    if not isfinite(value):
        return ArmEstimate(t.n, None, None, df)
    share = 1 / t.n + (_dot(away, fit.pull.tolist()) if tilt else 0.0)
    variance = fit.residual / df * share
    return ArmEstimate(t.n, value, variance if isfinite(variance) else None, df)


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return float(sum(map(mul, a, b)))


def _constant(m: Moments, at: int) -> bool:
    """Whether all units share one value; a mean of 0.1s may not be exactly 0.1."""
    return bool(m.minimum.item(at) == m.maximum.item(at))


def _variance(spread: float, n: int) -> float | None:
    """Return the variance of a mean, from its centred sum of squares."""
    if n < 2 or not 0 <= spread < inf:
        return None
    return spread / (n - 1) / n


def _spread(m: Moments, i: int, j: int, line: Line) -> float:
    """Return the centred sum of squares of a ratio's linearised values."""
    xx, xy, yy = (float(m.comoment[a, b]) for a, b in ((i, i), (i, j), (j, j)))
    r, scale = line.ratio, line.scale
    xx = 0.0 if _constant(m, i) else xx
    whole = xx + r * r * yy
    spread = whole - 2 * r * xy
    return 0.0 if spread <= EXACT_RATIO * whole else spread / scale / scale
