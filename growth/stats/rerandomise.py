"""Do our own numbers behave under no effect? Re-randomisation by matrix product.

With F the features of the units (1, x, x squared, ...) and A the assignments,
one row a re-randomisation, A F holds the treatment's sums for all of them at
once, and the control's by subtraction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import kolmogorov, stdtr

from growth.errors import DataError, ParameterError
from growth.stats.counts import clopper_pearson

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    from growth.stats.contrast import Interval

__all__ = [
    "FalseAlarms",
    "NullTests",
    "draw_sums",
    "false_alarms",
    "features",
    "null_tests",
]

BLOCK = 8192  # units drawn at once: assignments of a block stay in the cache


@dataclass(frozen=True, slots=True)
class FalseAlarms:
    """How often a test cries wolf when nothing is different.

    Parameters
    ----------
    tests : int
        Re-randomisations whose p-value was computable.
    not_computable : int
        The others.
    rate : float or None
        Share of `tests` with p < alpha.
    interval : tuple of (float, float), or None
        Clopper-Pearson interval of `rate`, 95 %.
    uniformity_p : float or None
        Kolmogorov's p-value of "p is uniform" (asymptotic).
    error_ratio : float or None
        sd of the differences over the mean standard error; 1 is right.
    """

    tests: int
    not_computable: int
    rate: float | None
    interval: Interval | None
    uniformity_p: float | None
    error_ratio: float | None


def features(x: ArrayLike, denominator: ArrayLike | None = None) -> NDArray[np.float64]:
    """Return the columns whose sums give a metric's test.

    Parameters
    ----------
    x : array_like of float, shape (n,)
        The metric, or a ratio's numerator; no NaN.
    denominator : array_like of float, shape (n,), optional
        A ratio's denominator; the ratio is then tested on its linearised values
        (with the ratio of all units, which is the truth under no effect).

    Returns
    -------
    ndarray of float64, shape (n, 3)
        1, the centred value and its square: centred, so that the sums keep
        their digits.

    Raises
    ------
    DataError
        If a value is NaN (``null_value``), the lengths differ
        (``length_mismatch``) or a denominator has no positive mean
        (``bad_denominator``).
    """
    values = np.asarray(x, dtype=np.float64).reshape(-1)
    if denominator is not None:
        below = np.asarray(denominator, dtype=np.float64).reshape(-1)
        if len(below) != len(values):
            msg = f"x has {len(values)} and denominator {len(below)} values; they must"
            raise DataError(f"{msg} be as many; give both.", code="length_mismatch")
        if not below.mean() > 0:
            msg = f"the denominator's mean is {below.mean()}; it must be above 0; pick"
            raise DataError(f"{msg} another.", code="bad_denominator")
        values = (values - values.sum() / below.sum() * below) / below.mean()
    if np.isnan(values).any():
        msg = f"{np.isnan(values).sum()} values are NaN; all must be numbers; drop the"
        msg = f"{msg} others."
        raise DataError(msg, code="null_value")
    values = values - values.mean()
    return np.column_stack([np.ones(len(values)), values, values * values])


def draw_sums(
    table: NDArray[np.float64], *, repeats: int, share: float = 0.5, seed: int = 0
) -> NDArray[np.float64]:
    """Draw assignments block by block and return the treatment's sums.

    Parameters
    ----------
    table : ndarray of float64, shape (n, f)
        Features of all metrics, one row a randomised unit (sum them per cluster
        first where clusters are randomised).
    repeats : int
        Re-randomisations R, 1 or more.
    share : float, default 0.5
        Chance of a unit to be treated, in (0, 1).
    seed : int
        Seed of the counter-based generator: the same seed, the same draws.

    Returns
    -------
    ndarray of float64, shape (R, f)
        Sums over the treated units; memory is R times the block, not R times n.

    Raises
    ------
    ParameterError
        If `repeats` or `share` is out of range (``bad_draws``).
    """
    if repeats < 1 or not 0 < share < 1:
        msg = f"repeats is {repeats} and share {share}; they must be 1 or more and in"
        raise ParameterError(f"{msg} (0, 1); correct them.", code="bad_draws")
    sums = np.zeros((repeats, table.shape[1]))
    for start, drawn in _draws(len(table), repeats, share, seed):
        sums += drawn @ table[start : start + drawn.shape[1]]
    return sums


def _draws(
    n: int, repeats: int, share: float, seed: int
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    rng = np.random.Generator(np.random.Philox(seed))
    for start in range(0, n, BLOCK):
        width = min(BLOCK, n - start)
        if share == 0.5:
            raw = np.frombuffer(rng.bytes(repeats * -(-width // 8)), dtype=np.uint8)
            bits = np.unpackbits(raw.reshape(repeats, -1), axis=1, count=width)
            yield start, bits.astype(np.float64)
        else:
            yield start, (rng.random((repeats, width)) < share).astype(np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class NullTests:
    """Difference, standard error and p-value per re-randomisation; NaN if none."""

    difference: NDArray[np.float64]
    se: NDArray[np.float64]
    p_value: NDArray[np.float64]


def null_tests(treated: NDArray[np.float64], total: NDArray[np.float64]) -> NullTests:
    """Return Welch's test for every re-randomisation at once.

    Parameters
    ----------
    treated : ndarray of float64, shape (R, 3)
        Sums of `features` over the treated units.
    total : ndarray of float64, shape (3,)
        Sums over all units.

    Returns
    -------
    NullTests
        Arrays of shape (R,).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        n1, s1, q1 = treated.T
        n0, s0, q0 = (total - treated).T
        m0, m1 = s0 / n0, s1 / n1
        v0 = np.maximum(q0 - s0 * m0, 0) / (n0 - 1) / n0
        v1 = np.maximum(q1 - s1 * m1, 0) / (n1 - 1) / n1
        usable = (n0 > 1) & (n1 > 1) & (v0 > 0) & (v1 > 0)
        d = np.where(usable, m1 - m0, np.nan)
        se = np.where(usable, np.sqrt(v0 + v1), np.nan)
        w = v0 / (v0 + v1)
        df = 1 / (w * w / (n0 - 1) + (1 - w) * (1 - w) / (n1 - 1))
        p = np.minimum(2 * stdtr(np.where(usable, df, 1), -np.abs(d / se)), 1)
    return NullTests(d, se, p)


def false_alarms(found: NullTests, *, alpha: float = 0.05) -> FalseAlarms:
    """Return how the tests behaved.

    Parameters
    ----------
    found : NullTests
        From `null_tests`.
    alpha : float, default 0.05
        Level in (0, 1).

    Returns
    -------
    FalseAlarms
        None where no test was computable.

    Raises
    ------
    ParameterError
        If `alpha` is outside (0, 1) (``alpha_out_of_range``).
    """
    if not 0 < alpha < 1:
        msg = f"alpha is {alpha}; it must be in (0, 1); write 5% as 0.05."
        raise ParameterError(msg, code="alpha_out_of_range")
    seen = ~np.isnan(found.p_value)
    p = np.sort(found.p_value[seen])
    n = len(p)
    if not n:
        return FalseAlarms(0, len(seen), None, None, None, None)
    wolf = int(np.count_nonzero(p < alpha))
    steps = np.arange(n + 1) / n
    apart = float(max(np.max(steps[1:] - p), np.max(p - steps[:-1])))
    spread = float(found.difference[seen].std(ddof=1)) if n > 1 else None
    return FalseAlarms(
        tests=n,
        not_computable=len(seen) - n,
        rate=wolf / n,
        interval=clopper_pearson(wolf, n),
        uniformity_p=float(kolmogorov(np.sqrt(n) * apart)),
        error_ratio=None if spread is None else spread / float(found.se[seen].mean()),
    )
