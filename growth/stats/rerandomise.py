"""Do our own numbers behave under no effect? Re-randomisation by matrix product.

With F the features of the units (1, x, x squared, ...) and A the assignments,
one row a re-randomisation, A F holds the treatment's sums for all of them at
once, and the control's by subtraction.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import kolmogorov, stdtr

from growth.errors import DataError, ParameterError
from growth.stats.counts import clopper_pearson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from growth.stats.contrast import Interval

__all__ = [
    "FalseAlarms",
    "NullTests",
    "Redraw",
    "draw_sums",
    "false_alarms",
    "features",
    "null_tests",
]

BLOCK = 2048  # units and
CHUNK = 512  # re-randomisations drawn at once: their assignments stay in the cache
SMALL = 1 / 16  # a share below this is drawn from 16 bits, not 8
_BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype("f4")


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
    drawing = Redraw(
        table.shape[1], repeats=repeats, shares=(1 - share, share), seed=seed
    )
    drawing.add(table)
    treated: NDArray[np.float64] = drawing.sums()[1]
    return treated


class Redraw:
    """Sums over arms drawn anew R times, from rows that come in pieces.

    Parameters
    ----------
    columns : int
        Features f of a row.
    repeats : int
        Re-randomisations R, 1 or more.
    shares : sequence of float, default (0.5, 0.5)
        Chance of each arm that is looked at, above 0; what they leave of 1 goes to
        arms that are not. Two even arms take one bit a unit, others 8 (16 where a
        share is small): they are off their shares by 1/512 at most, which makes no
        test wrong.
    seed : int
        Seed of the counter-based generator: the same seed and rows, the same sums,
        however the rows are cut into pieces.

    Raises
    ------
    ParameterError
        If `repeats` or `shares` is out of range (``bad_draws``).

    Notes
    -----
    Products run in single precision over blocks that fit the cache, and add up in
    double precision: centre the features first.
    """

    def __init__(
        self,
        columns: int,
        *,
        repeats: int,
        shares: Sequence[float] = (0.5, 0.5),
        seed: int = 0,
    ) -> None:
        whole = sum(shares)
        usable = len(shares) > 1 and all(s > 0 for s in shares) and whole < 1 + 1e-9
        if repeats < 1 or not usable:
            msg = f"repeats is {repeats} and shares {list(shares)}; they must be 1 or"
            msg = f"{msg} more, and two or more above 0 that sum to 1 at most; correct"
            raise ParameterError(f"{msg} them.", code="bad_draws")
        self.repeats = repeats
        self._complete = whole > 1 - 1e-9
        self._even = self._complete and len(shares) == 2 and shares[0] == shares[1]
        self._deep = min(shares) < SMALL
        places = 65536 if self._deep else 256
        cuts = np.rint(np.cumsum([0.0, *shares]) * places)
        at = np.arange(places)
        self._inside = [
            ((at >= low) & (at < high)).astype(np.float32)
            for low, high in pairwise(cuts)
            if not self._even
        ]
        self._room = np.empty(min(CHUNK, repeats) * BLOCK, dtype=np.float32)
        self._random = np.random.Philox(seed)
        self._sums = np.zeros((len(shares), repeats, columns))
        self._total = np.zeros(columns)
        self._rest = np.empty((0, columns), dtype=np.float32)

    def add(self, rows: NDArray[np.floating]) -> None:
        """Take in more rows, shape (n, f)."""
        self._total += rows.sum(axis=0, dtype=np.float64)
        table = np.asarray(rows, dtype=np.float32)
        start = 0
        if len(self._rest):
            start = BLOCK - len(self._rest)
            table, later = np.concatenate((self._rest, table[:start])), table[start:]
            if len(table) < BLOCK:
                self._rest = table
                return
            self._product(table)
            table = later
        end = len(table) - len(table) % BLOCK
        for at in range(0, end, BLOCK):
            self._product(table[at : at + BLOCK])
        self._rest = table[end:].copy()

    def sums(self) -> NDArray[np.float64]:
        """Return the sums per arm, shape (arms, R, f); no row may follow."""
        if len(self._rest):
            self._product(self._rest)
            self._rest = self._rest[:0]
        if self._complete:  # the first arm holds what the others do not
            self._sums[0] = self._total - self._sums[1:].sum(axis=0)
        return self._sums

    @property
    def total(self) -> NDArray[np.float64]:
        """Sums over all rows, shape (f,)."""
        return self._total

    def _product(self, block: NDArray[np.float32]) -> None:
        n = len(block)
        width = -(-n // 64) * 64
        for low in range(0, self.repeats, CHUNK):
            high = min(low + CHUNK, self.repeats)
            size = (high - low) * width
            drawn = self._room[:size]
            shaped = drawn.reshape(high - low, width)[:, :n]
            place: NDArray[Any]
            if self._even:
                place = self._random.random_raw(size // 64).view(np.uint8)
                np.take(_BITS, place, axis=0, out=drawn.reshape(-1, 8), mode="clip")
                self._sums[1, low:high] += shaped @ block
                continue
            raw = self._random.random_raw(size // (4 if self._deep else 8))
            place = raw.view(np.uint16 if self._deep else np.uint8)
            for arm in range(self._complete, len(self._sums)):
                np.take(self._inside[arm], place, out=drawn, mode="clip")
                self._sums[arm, low:high] += shaped @ block


@dataclass(frozen=True, slots=True, eq=False)
class NullTests:
    """Difference, standard error, p-value and df per re-randomisation; NaN if none."""

    difference: NDArray[np.float64]
    se: NDArray[np.float64]
    p_value: NDArray[np.float64]
    df: NDArray[np.float64]


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
    return NullTests(d, se, p, np.where(usable, df, np.nan))


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
