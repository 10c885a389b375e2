"""How many will be left later? Curves with two parameters, drawn on beyond the data.

A fit is arrays of one entry a replicate, so that a thousand refits of a bootstrap
cost one vectorised run of Newton's method.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import numpy as np
from scipy.special import betaln

from growth.errors import DataError, ParameterError
from growth.stats.arguments import generator

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["MIN_POINTS", "CurveFit", "Model", "Sample", "fit_curve", "predictive"]

Model = Literal["sbg", "power"]
MIN_POINTS: Final = 4  # fewer leave two parameters with next to nothing to check them
BOUND: Final = 11.0  # of the logarithms of the parameters
EDGE: Final = 1e-3  # closer to a bound than this is on it
STEPS: Final = 200
TINY: Final = 1e-12
STARTS: Final = (0.3, 5.0)


@dataclass(frozen=True, slots=True)
class CurveFit:
    """A curve fitted by maximum likelihood.

    Parameters
    ----------
    model : {"sbg", "power"}
        Shifted beta-geometric with parameters (a, b), or ``c (k + 1) ** -d`` with
        (c, d).
    first, second : ndarray of float64, shape (m,)
        The two parameters, one entry a replicate.
    log_likelihood : ndarray of float64, shape (m,)
        At the fit.
    on_bound : ndarray of bool, shape (m,)
        Whether the fit ran into a bound: then the data do not determine it.
    """

    model: Model
    first: Floats
    second: Floats
    log_likelihood: Floats
    on_bound: NDArray[np.bool_]

    def rate(self, k: ArrayLike) -> Floats:
        """Return the share left at each offset, shape (m, len(k))."""
        return _rates(self.model, self.first, self.second, np.asarray(k, dtype=float))


class Sample(NamedTuple):
    """What a curve is fitted to, for offsets 1, 2, ...

    Parameters
    ----------
    kept : ndarray, shape (..., K)
        Users there at the offset.
    of : ndarray, shape (..., K)
        Users they are a part of: for ``sbg`` those of the same cohorts who were
        there one offset earlier, for ``power`` all users of the cohorts.
    """

    kept: Floats
    of: Floats


def fit_curve(kept: ArrayLike, of: ArrayLike, *, model: Model = "sbg") -> CurveFit:
    """Fit a curve to the users left at offsets 1, 2, ..., K.

    Parameters
    ----------
    kept : array of float, shape (K,) or (m, K)
        Users there at each offset; K is 4 or more.
    of : array of float, same shape
        For ``sbg``: users of the same cohorts there one offset earlier (for one
        cohort ``[n, *kept[:-1]]``). For ``power``: all users of those cohorts.
    model : {"sbg", "power"}
        ``sbg`` is one-way loss: ``S(k) = B(a, b + k) / B(a, b)``. ``power`` is
        ``c (k + 1) ** -d`` for people who come and go.

    Returns
    -------
    CurveFit
        One replicate a row of `kept`.

    Raises
    ------
    ParameterError
        If the model is unknown (``unknown_model``) or there are under 4 points
        (``too_few_points``).
    DataError
        If the shapes differ, or `kept` is not in ``[0, of]`` (``bad_counts``).

    Notes
    -----
    The sBG likelihood is the product over offsets of binomials with success
    ``(b + k - 1) / (a + b + k - 1)``; for one cohort it is that of Fader and Hardie.
    The power likelihood is the product of binomials of ``c (k + 1) ** -d``.

    References
    ----------
    Fader, Hardie (2007), "How to project customer retention", Journal of
    Interactive Marketing 21(1).

    Examples
    --------
    >>> kept = [869, 743, 653, 593, 551, 517, 491]
    >>> fit = fit_curve(kept, [1000, *kept[:-1]])
    >>> fit.first.round(3).item(), fit.second.round(3).item()
    (0.668, 3.806)
    """
    sample = _checked(kept, of, model)
    curve = _sbg if model == "sbg" else _power
    at, best = _newton(curve, _start(model, sample, 1.0), sample)
    for size in STARTS if model == "sbg" else ():  # Newton may overshoot from one
        other, value = _newton(curve, _start(model, sample, size), sample)
        at, best = np.where(value > best, other, at), np.fmax(value, best)
    on_bound = (np.abs(at) > BOUND - EDGE).any(axis=0) | ~np.isfinite(best)
    first, second = np.exp(at)
    return CurveFit(model, first, second, best, on_bound)


def predictive(
    fit: CurveFit,
    of: ArrayLike,
    *,
    k: ArrayLike,
    n: ArrayLike,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[Floats, Floats]:
    """Return an interval for the share left at each offset, as it will be counted.

    Parameters
    ----------
    fit : CurveFit
        Of one replicate.
    of : array of float, shape (K,)
        As in `fit_curve`.
    k : array of float, shape (L,)
        Offsets, 1 or more.
    n : array of int, shape (L,)
        Users in whom the share will be counted.
    draws : int, default 1000
        Refits to simulated data, 2 or more.
    level : float, default 0.95
        Coverage in (0, 1).
    seed : int, default 0
        Of the simulation.

    Returns
    -------
    low, high : ndarray of float64, shape (L,)
        In [0, 1].

    Notes
    -----
    Parametric bootstrap: data are drawn from the fit and fitted anew, and the
    shares of each refit drawn once more for `n` users. It holds for users who were not
    in the data; for the very users fitted it is wider than need be. Refits on a bound
    take part.
    """
    rng = generator(seed)
    whole = np.asarray(of, dtype=np.float64)
    offsets = np.arange(1, whole.size + 1, dtype=np.float64)
    chance = fit.rate(offsets)[0]
    if fit.model == "sbg":
        chance = chance / np.r_[1.0, chance[:-1]]
    kept = rng.binomial(np.round(whole).astype(np.int64), chance, (draws, whole.size))
    again = fit_curve(
        kept, np.broadcast_to(np.round(whole), kept.shape), model=fit.model
    )
    rates = np.clip(again.rate(k), 0.0, 1.0)
    users = np.maximum(np.asarray(n, dtype=np.int64), 1)
    seen = rng.binomial(users, rates) / users
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(seen, [tail, 100 - tail], axis=0)
    return low, high


def _checked(kept: ArrayLike, of: ArrayLike, model: str) -> Sample:
    if model not in ("sbg", "power"):
        msg = f"model is {model!r}; it must be 'sbg' or 'power'; name one of these."
        raise ParameterError(msg, code="unknown_model")
    there = np.atleast_2d(np.asarray(kept, dtype=np.float64))
    whole = np.atleast_2d(np.asarray(of, dtype=np.float64))
    if there.shape[-1] < MIN_POINTS:
        msg = f"the curve has {there.shape[-1]} points; a fit needs {MIN_POINTS}; wait"
        raise ParameterError(f"{msg} or use shorter intervals.", code="too_few_points")
    usable = there.shape == whole.shape and bool(
        ((there >= 0) & (there <= whole)).all()
    )
    if not usable:
        msg = (
            f"kept has shape {there.shape}, of {whole.shape}; both must have one shape"
        )
        msg += " and kept lie in 0..of; count the users again."
        raise DataError(msg, code="bad_counts")
    return Sample(there, whole)


def _rates(model: Model, first: Floats, second: Floats, k: Floats) -> Floats:
    a, b = first[:, None], second[:, None]
    if model == "sbg":
        found: Floats = np.exp(betaln(a, b + k) - betaln(a, b))
    else:
        found = a * (k + 1) ** -b
    return found


def _start(model: Model, sample: Sample, size: float) -> Floats:
    """Return logarithms of rough parameters, shape (2, m); `size` is that of a."""
    rate = (sample.kept + 0.5) / (sample.of + 1)
    if model == "sbg":
        odds = np.log(rate[:, 0]) - np.log1p(-rate[:, 0])  # of b / (a + b), the first
        return np.stack([np.full(len(rate), np.log(size)), np.log(size) + odds])
    # a line through the logarithms; then moved so that no rate is 1 or more
    t = np.log(np.arange(2, rate.shape[1] + 2))
    centred = t - t.mean()
    slope = (np.log(rate) * centred).sum(axis=1) / (centred @ centred)
    d = np.clip(-slope, 0.01, 20)
    c = np.log(rate).mean(axis=1) + d * t.mean()
    return np.stack([np.minimum(c, d * t[0] - 0.01), np.log(d)])


def _sbg(at: Floats, sample: Sample) -> tuple[Floats, Floats, Floats]:
    """Return log-likelihood, gradient and Hessian in (ln a, ln b)."""
    a, b = np.exp(at)[:, :, None]
    t = np.arange(sample.kept.shape[1])
    kept, lost, risk = sample.kept, sample.of - sample.kept, sample.of
    up, whole = b + t, a + b + t
    value = (kept * np.log(up / whole) + lost * np.log(a / whole)).sum(axis=1)
    ga = (lost / a - risk / whole).sum(axis=1)
    gb = (kept / up - risk / whole).sum(axis=1)
    cross = (risk / whole**2).sum(axis=1)
    haa = cross - (lost / a**2).sum(axis=1)
    hbb = cross - (kept / up**2).sum(axis=1)
    a, b = a[:, 0], b[:, 0]
    slope = np.stack([a * ga, b * gb])
    bend = np.stack([a * ga + a * a * haa, a * b * cross, b * gb + b * b * hbb])
    return value, slope, bend


def _power(at: Floats, sample: Sample) -> tuple[Floats, Floats, Floats]:
    """Return log-likelihood, gradient and Hessian in (ln c, ln d)."""
    t = np.log(np.arange(2, sample.kept.shape[1] + 2))
    d = np.exp(at[1])
    p = np.exp(at[0][:, None] - d[:, None] * t)
    outside = (p >= 1).any(axis=1)
    p = np.minimum(p, 1 - TINY)
    kept, lost = sample.kept, sample.of - sample.kept
    value = (kept * np.log(np.maximum(p, TINY)) + lost * np.log1p(-p)).sum(axis=1)
    value[outside] = -np.inf
    one = kept - lost * p / (1 - p)  # by ln p
    two = -lost * p / (1 - p) ** 2
    dx, dy = np.ones_like(p), -d[:, None] * t
    slope = np.stack([(one * dx).sum(axis=1), (one * dy).sum(axis=1)])
    bend = np.stack(
        [
            two.sum(axis=1),
            (two * dy).sum(axis=1),
            (two * dy * dy + one * dy).sum(axis=1),
        ]
    )
    return value, slope, bend


def _newton(
    curve: Callable[[Floats, Sample], tuple[Floats, Floats, Floats]],
    at: Floats,
    sample: Sample,
) -> tuple[Floats, Floats]:
    """Climb from `at`, all replicates side by side; steps that lose are halved."""
    value, slope, bend = curve(at, sample)
    pace = np.ones(at.shape[1])
    for _ in range(STEPS):
        step = _uphill(slope, bend) * pace
        tried = np.clip(at + step, -BOUND, BOUND)
        if np.abs(tried - at).max() < TINY:
            break
        new, new_slope, new_bend = curve(tried, sample)
        better = new >= value
        at = np.where(better, tried, at)
        slope = np.where(better, new_slope, slope)
        bend = np.where(better, new_bend, bend)
        value = np.where(better, new, value)
        pace = np.where(better, np.minimum(1.0, 2 * pace), pace / 4)
    return at, value


def _uphill(slope: Floats, bend: Floats) -> Floats:
    """Return Newton's step, turned uphill where the surface is not a dome."""
    xx, xy, yy = -bend
    middle, spread = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    lift = np.maximum(0.0, 1e-8 * (np.abs(middle) + spread) + TINY - (middle - spread))
    xx, yy = xx + lift, yy + lift
    step = np.stack([yy * slope[0] - xy * slope[1], xx * slope[1] - xy * slope[0]])
    step /= xx * yy - xy * xy
    length = np.hypot(*step)
    found: Floats = step * np.minimum(1.0, 1.0 / np.maximum(length, TINY))
    return found
