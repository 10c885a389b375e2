"""The room's estimates and tests for thousands of re-randomisations at once.

The same arithmetic as in `means`, `proportions` and `contrast`, on arrays with one
entry a re-randomisation; the tests hold each against the other. NaN is "not
computable" here, where the scalar forms have None.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.special import ndtr, stdtr, stdtrit

from growth.stats.contrast import critical_value
from growth.stats.proportions import Share, compare
from growth.stats.quantiles import SLACK, Z
from growth.stats.rerandomise import NullTests

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from growth.stats.proportions import ProportionTest

    Array = NDArray[Any]

__all__ = [
    "OTHER_LIFTS",
    "ArmArrays",
    "Estimates",
    "Fit",
    "adjusted",
    "from_products",
    "hc2",
    "hc2_features",
    "hc2_width",
    "leverage_weights",
    "linearised",
    "means",
    "products",
    "ratios",
    "redrawn_quantiles",
    "share_test",
    "shares",
    "stratified",
    "unbounded_lifts",
    "welch",
    "width",
]

EXACT = 1e-12  # share of a sum of squares below which the rest is rounding
OTHER_LIFTS = ("pooled", "newcombe", "miettinen_nurminen", "agresti_caffo")
WINDOW = 8.0  # order statistics are looked for within so many sqrt(n / share)
MANY = 4_000_000  # units drawn one by one at once
MOST = 2  # covariates up to which HC2 has the exact weights of units
CLOSE = 1e-9  # smallest eigenvalue, of the largest, at which a matrix is inverted


@dataclass(frozen=True, slots=True, eq=False)
class ArmArrays:
    """One arm's moments per re-randomisation: n (R,), mean (R, k), comoment (R, k, k).

    Means are those of the columns themselves, not of the shifted ones.
    """

    n: Array
    mean: Array
    comoment: Array


@dataclass(frozen=True, slots=True, eq=False)
class Estimates:
    """One arm's value, its variance and df per re-randomisation, NaN if none."""

    n: Array
    value: Array
    variance: Array
    df: Array


class Fit(NamedTuple):
    """Adjusted estimates, the slopes (R, k), and for Lin the inverse (R, k, k)."""

    estimates: Estimates
    slopes: Array
    inverse: Array


def products(columns: Array, out: Array | None = None) -> Array:
    """Return the features whose sums give joint moments.

    Parameters
    ----------
    columns : ndarray, shape (n, k)
        Columns, each less a constant near its mean; a row with a NaN counts not.
    out : ndarray, shape (f, n) or (f - 1, n), optional
        Where to write them, a feature a row; without the first if it is one short.

    Returns
    -------
    ndarray, shape (n, f), f = 1 + k + k (k + 1) / 2
        1, the columns, and their products ``c_i c_j`` for i <= j.
    """
    n, k = columns.shape
    found = np.empty((width(k), n), columns.dtype) if out is None else out
    at = len(found) + 1 - width(k)
    whole = np.asarray(~np.isnan(columns).any(axis=1)) if at else None
    if at:
        found[0] = whole
    if whole is not None and not whole.all():
        columns = np.where(whole[:, None], columns, 0)
    for i in range(k):
        found[at + i] = columns[:, i]
    place = at + k
    for i in range(k):
        for j in range(i, k):
            np.multiply(columns[:, i], columns[:, j], out=found[place])
            place += 1
    return found.T


def from_products(sums: Array, shift: Array) -> ArmArrays:
    """Return an arm's moments from sums of `products`.

    Parameters
    ----------
    sums : ndarray, shape (R, f)
        Sums over the arm's units.
    shift : ndarray, shape (k,)
        The constants that were subtracted.

    Returns
    -------
    ArmArrays
        Without units, NaN.
    """
    k = len(shift)
    left, right = np.triu_indices(k)
    n, first, second = sums[:, 0], sums[:, 1 : 1 + k], sums[:, 1 + k :]
    # an arm without units has sums of rounding only: NaN, never infinite
    mean = first / np.where(n > 0, n, np.nan)[:, None]
    comoment = np.empty((len(sums), k, k))
    cross = second - first[:, left] * mean[:, right]
    comoment[:, left, right] = cross
    comoment[:, right, left] = cross
    diagonal = np.arange(k)
    own = comoment[:, diagonal, diagonal]
    size = second[:, left == right]
    comoment[:, diagonal, diagonal] = np.where(own > EXACT * size, own, 0.0)
    return ArmArrays(n, mean + shift, comoment)


def width(k: int) -> int:
    """Return how many products k columns have."""
    return 1 + k + k * (k + 1) // 2


def hc2_width(c: int, k: int) -> int:
    """Return how many features the HC2 variance of c columns, k covariates, takes."""
    return width(c) * (1 if k > MOST else width(k))


def means(arm: ArmArrays, at: int = 0) -> Estimates:
    """Return means for Welch's test (`growth.stats.means.mean`)."""
    return _from_spread(arm.n, arm.mean[:, at], arm.comoment[:, at, at], arm.n - 1)


def shares(n: Array, successes: Array) -> Estimates:
    """Return shares for Wald's test (`growth.stats.proportions.proportion`)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        p = successes / n
        return Estimates(n, p, p * (1 - p) / n, np.full(len(n), inf))


def linearised(arm: ArmArrays) -> ArmArrays:
    """Put a ratio's linearised values in place of columns 0 and 1.

    Parameters
    ----------
    arm : ArmArrays
        Numerator, denominator, then covariates.

    Returns
    -------
    ArmArrays
        As `growth.stats.means.ratio_linear` with the arm's own line: the mean of
        column 0 is the arm's ratio.
    """
    x, y = arm.mean[:, 0], arm.mean[:, 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(y > 0, y, np.nan)
        ratio = x / scale
    k = arm.mean.shape[1]
    turn = np.zeros((len(arm.n), k - 1, k))
    turn[:, 0, 0] = 1 / scale
    turn[:, 0, 1] = -ratio / scale
    others = np.arange(1, k - 1)
    turn[:, others, others + 1] = 1.0
    mean = np.concatenate((ratio[:, None], arm.mean[:, 2:]), axis=1)
    comoment = np.einsum("rij,rjk,rlk->ril", turn, arm.comoment, turn, optimize=True)
    return ArmArrays(arm.n, mean, comoment)


def ratios(arm: ArmArrays) -> Estimates:
    """Return ratios of columns 0 and 1 (`growth.stats.means.ratio`)."""
    return means(linearised(ArmArrays(arm.n, arm.mean[:, :2], arm.comoment[:, :2, :2])))


def adjusted(arm: ArmArrays, centre: Array, *, theta: Array | None = None) -> Fit:
    """Return means adjusted for covariates, from moments.

    Parameters
    ----------
    arm : ArmArrays
        The metric in column 0 (linearised, if a ratio), then k covariates.
    centre : ndarray, shape (k,)
        The covariates' means over all units.
    theta : ndarray, shape (k,), optional
        CUPED's coefficients of all units; omitted, the arm's own slopes (Lin).

    Returns
    -------
    Fit
        As `growth.stats.means.cuped` or `lin`. NaN where the covariates cannot be
        told apart within the arm.
    """
    n, k = arm.n, len(centre)
    c_zz, c_zy = arm.comoment[:, 1:, 1:], arm.comoment[:, 1:, 0]
    away = arm.mean[:, 1:] - centre
    if theta is None:
        inverse = _inverse(c_zz)
        slopes = np.einsum("rij,rj->ri", inverse, c_zy)
        tilt = np.einsum("ri,rij,rj->r", away, inverse, away)
    else:
        slopes, inverse = np.broadcast_to(theta, c_zy.shape), c_zz
        tilt = np.zeros(len(n))
    own = arm.comoment[:, 0, 0]
    bent = np.einsum("ri,rij,rj->r", slopes, c_zz, slopes)
    rest = own - 2 * np.einsum("ri,ri->r", slopes, c_zy) + bent
    rest = np.where(rest > EXACT * (own + bent), rest, 0.0)
    value = arm.mean[:, 0] - np.einsum("ri,ri->r", slopes, away)
    found = _from_spread(n, value, rest, n - 1 - (k if theta is None else 0))
    with np.errstate(invalid="ignore"):
        variance = found.variance * (1 + n * tilt)
    return Fit(Estimates(n, value, variance, found.df), slopes, inverse)


def leverage_weights(covariates: Array, inverse: Array, share: float) -> Array:
    """Return about 1 / (1 - h) for each unit, in an arm with a share of the units.

    Parameters
    ----------
    covariates : ndarray, shape (n, k)
        Each less its mean over all units.
    inverse : ndarray, shape (k, k)
        Inverse of the centred cross-products of all units.
    share : float
        Chance of a unit to be in the arm, in (0, 1).

    Returns
    -------
    ndarray, shape (n,)
        With q the leverage among all units, and the *other* units thinned to the
        arm: ``h = t / (1 + t)``, ``t = q / ((1 - q) share)``; cut at 1e6.
    """
    q = np.einsum("ij,jk,ik->i", covariates, inverse, covariates)
    found: Array = 1 + np.minimum(q / np.maximum((1 - q) * share, 1e-9), 1e6)
    return found


def hc2_features(columns: Array, covariates: Array, weights: Array) -> Array:
    """Return the features whose sums give the HC2 variance.

    Parameters
    ----------
    columns : ndarray, shape (n, c)
        What the residual is a linear function of, as in `products`.
    covariates : ndarray, shape (n, k)
        Each less its mean over all units.
    weights : ndarray, shape (n,)
        From `leverage_weights`.

    Returns
    -------
    ndarray, shape (n, e) or (n, e z)
        The e products of the columns times the weights; times the z products of the
        covariates too, if there are two or fewer.
    """
    left = products(columns) * np.where(np.isnan(weights), 0.0, weights)[:, None]
    if covariates.shape[1] > MOST:
        return left
    right = products(covariates)
    return (left[:, :, None] * right[:, None, :]).reshape(len(left), -1)


def hc2(
    fit: Fit, arm: ArmArrays, weighted: Array, shift: Array, centre: Array
) -> Estimates:
    """Return Lin's estimates with HC2 variances.

    Parameters
    ----------
    fit : Fit
        From `adjusted`.
    arm : ArmArrays
        The arm's c columns, the last k of them the covariates; before them the
        metric, or a ratio's two parts (not linearised).
    weighted : ndarray, shape (R, f)
        Sums over the arm's units of `hc2_features`.
    shift : ndarray, shape (c,)
        The constants that were subtracted.
    centre : ndarray, shape (k,)
        The covariates' means over all units.

    Returns
    -------
    Estimates
        The sum of ``w**2 e**2 / (1 - h)``, h as in `leverage_weights`. With three or
        more covariates w is taken as 1 / n.
    """
    found, k = fit.estimates, len(centre)
    line = np.ones((len(found.n), 1))
    if len(shift) - k == 2:
        with np.errstate(divide="ignore", invalid="ignore"):
            y = arm.mean[:, 1:2]
            line = np.concatenate((1 / y, -arm.mean[:, :1] / y / y), axis=1)
    coefs = np.concatenate((line, -fit.slopes), axis=1)
    base = -np.einsum("rc,rc->r", coefs, arm.mean - shift)
    squared = _square(base, coefs)
    if weighted.shape[1] > squared.shape[1]:
        away = arm.mean[:, len(shift) - k :] - centre
        pull = np.einsum("rij,rj->ri", fit.inverse, away) * found.n[:, None]
        weight = _square(1 + np.einsum("ri,ri->r", pull, away), -pull)
        weighted = weighted.reshape(len(found.n), -1, weight.shape[1])
        weighted = np.einsum("rez,rz->re", weighted, weight)
    with np.errstate(divide="ignore", invalid="ignore"):
        total = np.einsum("re,re->r", squared, weighted)
        variance = np.maximum(total, 0.0) / found.n / (found.n - 1)
    known = np.where(found.variance > 0, variance, found.variance)
    return Estimates(found.n, found.value, known, found.df)


def _square(base: Array, coefs: Array) -> Array:
    """Return the coefficients of ``(base + coefs . c)**2`` on `products`."""
    left, right = np.triu_indices(coefs.shape[1])
    pairs = coefs[:, left] * coefs[:, right] * np.where(left == right, 1.0, 2.0)
    first = 2 * base[:, None] * coefs
    return np.concatenate((base[:, None] ** 2, first, pairs), axis=1)


def welch(control: Estimates, treatment: Estimates) -> NullTests:
    """Compare two arms (`growth.stats.contrast.Contrast`).

    Parameters
    ----------
    control, treatment : Estimates
        The two arms.

    Returns
    -------
    NullTests
        NaN where an arm is not usable.
    """
    v0, v1 = control.variance, treatment.variance
    normal = np.isinf(control.df) & np.isinf(treatment.df)
    usable = v0 + v1 > 0
    for v, df in ((v0, control.df), (v1, treatment.df)):
        usable &= (df > 0) & ((v > 0) | ((v == 0) & np.isinf(df)))
    with np.errstate(divide="ignore", invalid="ignore"):
        d = np.where(usable, treatment.value - control.value, np.nan)
        se = np.where(usable, np.sqrt(v0 + v1), np.nan)
        w = v0 / (v0 + v1)
        df = 1 / (w * w / control.df + (1 - w) * (1 - w) / treatment.df)
        z = -np.abs(d / se)
        finite = np.where(usable & ~normal, df, 1.0)
        p = 2 * (
            ndtr(z) if normal.all() else np.where(normal, ndtr(z), stdtr(finite, z))
        )
    return NullTests(d, se, np.minimum(p, 1.0), np.where(usable, df, np.nan))


def share_test(
    control: Estimates, treatment: Estimates, *, test: ProportionTest = "wald"
) -> NullTests:
    """Compare two shares by the test named (`growth.stats.proportions.compare`).

    Parameters
    ----------
    control, treatment : Estimates
        From `shares`.
    test : {"wald", "pooled", "newcombe", "miettinen_nurminen", "agresti_caffo"}
        The test; default Wald.

    Returns
    -------
    NullTests
        NaN where no unit varies; Wald's test: where neither arm does.
    """
    found = welch(control, treatment)
    if test == "wald":
        return found
    n0, n1 = control.n, treatment.n
    x0, x1 = n0 * control.value, n1 * treatment.value
    # these tests also compare nobody with everybody, where no arm varies by itself
    known = (n0 > 0) & (n1 > 0)
    difference = np.where(known, treatment.value - control.value, np.nan)
    found = replace(found, difference=difference)
    with np.errstate(divide="ignore", invalid="ignore"):
        if test == "agresti_caffo":
            more = (shares(n + 2, x + 1) for n, x in ((n0, x0), (n1, x1)))
            shrunk = welch(*more)
            return replace(found, p_value=np.where(known, shrunk.p_value, np.nan))
        whole = n0 + n1
        p = (x0 + x1) / whole
        variance = p * (1 - p) * (1 / n0 + 1 / n1)
        varies = known & (variance > 0)
        if test == "newcombe":
            p_value = _newcombe(varies, x0, n0, x1, n1)
            return replace(found, p_value=p_value)
        if test == "miettinen_nurminen":
            variance = variance * whole / (whole - 1)
        se = np.sqrt(np.where(varies, variance, np.nan))
        p_value = np.minimum(2 * ndtr(-np.abs(difference / se)), 1.0)
    return replace(found, se=se, p_value=p_value)


def _newcombe(known: Array, x0: Array, n0: Array, x1: Array, n1: Array) -> Array:
    """Return p-values one by one, equal counts once: each is a search for a root."""
    counts = np.rint(np.column_stack((x0, n0, x1, n1))[known])
    rows, at = np.unique(counts, axis=0, return_inverse=True)
    each = [
        compare(Share(a, int(n)), Share(b, int(m)), test="newcombe").p_value
        for a, n, b, m in rows.tolist()
    ]
    p = np.full(len(known), np.nan)
    p[known] = np.array(each, dtype=float)[at.reshape(-1)]
    return p


def stratified(
    arms: Sequence[ArmArrays], weights: Array, *, ratio: bool = False
) -> Estimates:
    """Return post-stratified means or ratios (`growth.stats.strata.post_stratify`).

    Parameters
    ----------
    arms : sequence of ArmArrays
        One arm's moments, a stratum each.
    weights : ndarray, shape (strata,)
        The strata's shares of all units.
    ratio : bool, default False
        Whether columns 0 and 1 are the parts of a ratio.

    Returns
    -------
    Estimates
        NaN where a stratum has fewer than 2 units.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.sum([w * a.mean for w, a in zip(weights, arms, strict=True)], axis=0)
        n = np.sum([arm.n for arm in arms], axis=0)
        turn = np.ones((len(mean), 1))
        value = mean[:, 0]
        if ratio:
            scale = np.where(mean[:, 1] > 0, mean[:, 1], np.nan)
            value = mean[:, 0] / scale
            turn = np.column_stack((1 / scale, -value / scale))
        parts = []
        for w, arm in zip(weights, arms, strict=True):
            spread = np.einsum("ri,rij,rj->r", turn, arm.comoment, turn)
            usable = arm.n >= 2
            parts.append(np.where(usable, w * w * spread / (arm.n - 1) / arm.n, np.nan))
        variance = np.sum(parts, axis=0)
        spent = [
            (part / variance) ** 2 / (arm.n - 1)
            for part, arm in zip(parts, arms, strict=True)
        ]
        return Estimates(n, value, variance, 1 / np.sum(spent, axis=0))


def redrawn_quantiles(
    values: Array,
    p: float,
    *,
    shares: Sequence[float],
    repeats: int,
    seed: Sequence[int],
) -> list[Estimates]:
    """Draw arms anew and return each arm's quantile (`quantiles.unit_quantile`).

    Parameters
    ----------
    values : ndarray, shape (n,)
        One value a unit, sorted, no NaN.
    p : float
        Quantile in (0, 1).
    shares : sequence of float
        Chance of each arm, above 0, summing to 1 at most.
    repeats : int
        Re-randomisations R.
    seed : sequence of int
        Seed.

    Returns
    -------
    list of Estimates
        One per arm, df infinite; NaN where both order statistics are equal.

    Notes
    -----
    An arm's order statistics near its quantile lie near the pooled one, so units are
    drawn one by one only in a window around it; of those below and above it only the
    arm's number matters, which is binomial.
    """
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence(list(seed))))
    n = len(values)
    reach = int(WINDOW * np.sqrt(n / min(shares))) + 64
    start, end = max(int(p * n) - reach, 0), min(int(p * n) + reach, n)
    chances = [*shares, max(1 - sum(shares), 0.0)]
    inside = values[start:end]
    below = rng.multinomial(start, chances, size=repeats)
    above = rng.multinomial(n - end, chances, size=repeats)
    cuts = np.cumsum([0.0, *shares])
    out = np.full((len(shares), 3, repeats), np.nan)
    step = max(MANY // max(len(inside), 1), 1)
    for first in range(0, repeats, step):
        some = slice(first, min(first + step, repeats))
        place = rng.random((some.stop - first, len(inside)), dtype=np.float32)
        for arm in range(len(shares)):
            mine = (place >= cuts[arm]) & (place < cuts[arm + 1])
            running = np.cumsum(mine, axis=1, dtype=np.int32)
            held = running[:, -1] if len(inside) else np.zeros(len(place), np.int32)
            count = below[some, arm] + held + above[some, arm]
            out[arm, 0, some] = count
            rank = _ranks(count, p) - below[some, arm][:, None]
            found = [_at_rank(inside, running, held, rank[:, i]) for i in range(3)]
            out[arm, 1, some] = found[0]
            out[arm, 2, some] = (found[2] - found[1]) / (2 * Z)
    infinite = np.full(repeats, inf)
    return [
        Estimates(count, value, np.where(se > 0, se * se, np.nan), infinite)
        for count, value, se in out
    ]


def _ranks(count: Array, p: float) -> Array:
    """Return ranks of the point, low and high order statistic, shape (R, 3)."""
    n = np.maximum(count, 1)
    reach = Z * np.sqrt(n * p * (1 - p))
    found = np.column_stack(
        (
            np.ceil(n * p - SLACK),
            np.floor(n * p - reach + SLACK),
            np.ceil(n * p + reach - SLACK),
        )
    )
    return np.asarray(np.clip(found, 1, n[:, None]))


def _at_rank(inside: Array, running: Array, held: Array, rank: Array) -> Array:
    """Return the value at an arm's rank within the window; NaN outside."""
    known = (rank >= 1) & (rank <= held)
    if not len(inside):
        return np.full(len(rank), np.nan)
    at = (running >= rank[:, None]).argmax(axis=1)
    return np.where(known, inside[at], np.nan)


def unbounded_lifts(
    control: Estimates, found: NullTests, *, alpha: float = 0.05
) -> Array:
    """Return where Fieller's interval of the lift has no ends.

    Parameters
    ----------
    control : Estimates
        The control arm.
    found : NullTests
        From `welch`.
    alpha : float, default 0.05
        Level in (0, 1).

    Returns
    -------
    ndarray of bool, shape (R,)
        ``m0**2 <= q**2 v0``; False where the test is not computable.
    """
    m2, v = control.value**2, control.variance
    with np.errstate(invalid="ignore"):
        known = ~np.isnan(found.p_value) & (m2 <= critical_value(alpha, 1.0) ** 2 * v)
    df = np.where(known, found.df, np.inf)
    q = np.full(len(df), critical_value(alpha))
    q[np.isfinite(df)] = -stdtrit(df[np.isfinite(df)], alpha / 2)
    with np.errstate(invalid="ignore"):
        return np.asarray(known & (m2 <= q * q * v))


def _from_spread(n: Array, value: Array, spread: Array, df: Array) -> Estimates:
    """Return a mean with ``spread / df / n``; NaN where there is no df."""
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.where((df >= 1) & (spread >= 0), spread / df / n, np.nan)
    return Estimates(n, value, variance, df)


def _inverse(matrices: Array) -> Array:
    """Invert each matrix; NaN where one is singular or not finite."""
    k = matrices.shape[1]
    if k == 1:
        with np.errstate(divide="ignore"):
            return np.where(matrices > 0, 1 / matrices, np.nan)
    size = np.sqrt(np.maximum(np.diagonal(matrices, axis1=1, axis2=2), 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = matrices / size[:, :, None] / size[:, None, :]
    usable = np.isfinite(scaled).all(axis=(1, 2))
    scaled[~usable] = np.eye(k)
    usable &= np.linalg.eigvalsh(scaled)[:, 0] > CLOSE
    scaled[~usable] = np.eye(k)
    found: Array = np.linalg.inv(scaled) / size[:, :, None] / size[:, None, :]
    found[~usable] = np.nan
    return found
