"""Moments: what is kept of a table, and how two of them become one.

Everything the A/B room computes is arithmetic on these records. They are
centred (never sums of squares), so a mean of 1e9 with unit variance keeps its
variance, and they merge, so days, shards and machines can be added up.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from growth.errors import DataError, ParameterError, suggest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["Moments", "merge"]


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Joint moments of the rows in which none of `columns` is NULL.

    Parameters
    ----------
    columns : tuple of str, length k
        Names, in the order of every array below.
    n : int
        Rows counted, 0 or more.
    mean : ndarray of float64, shape (k,)
        Means; zeros where `n` is 0.
    comoment : ndarray of float64, shape (k, k)
        Centred co-moments ``sum((x - m)(x - m)^T)``: symmetric, not divided.
    minimum, maximum : ndarray of float64, shape (k,)
        Extremes; +inf and -inf where `n` is 0.
    nonzero : ndarray of int64, shape (k,)
        Rows in which the column is not 0.

    Notes
    -----
    Merging follows Chan, Golub and LeVeque: with ``d = m_b - m_a``,
    ``C = C_a + C_b + d d^T n_a n_b / n``. It is associative and commutative up
    to rounding, and the empty record is its identity.

    References
    ----------
    Chan, Golub, LeVeque (1983), "Algorithms for computing the sample variance",
    The American Statistician 37(3).
    """

    columns: tuple[str, ...]
    n: int
    mean: NDArray[np.float64]
    comoment: NDArray[np.float64]
    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]
    nonzero: NDArray[np.int64]

    @classmethod
    def empty(cls, columns: Sequence[str]) -> Moments:
        """Return the moments of no rows, the identity of merging."""
        k = len(columns)
        return cls(
            columns=tuple(columns),
            n=0,
            mean=np.zeros(k),
            comoment=np.zeros((k, k)),
            minimum=np.full(k, np.inf),
            maximum=np.full(k, -np.inf),
            nonzero=np.zeros(k, dtype=np.int64),
        )

    @classmethod
    def of(cls, columns: Sequence[str], rows: ArrayLike) -> Moments:
        """Return the moments of `rows`; a row with a NaN is left out.

        Parameters
        ----------
        columns : sequence of str, length k
            Names.
        rows : array_like of float, shape (n, k)
            One row a unit; shape (n,) is taken as one column.

        Returns
        -------
        Moments
            Two passes over the array: as accurate as doubles allow.
        """
        x = np.asarray(rows, dtype=np.float64).reshape(-1, len(columns))
        x = x[~np.isnan(x).any(axis=1)]
        if not len(x):
            return cls.empty(columns)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = x.mean(axis=0)
            centred = x - mean
            drift = centred.mean(axis=0)  # what rounding left in the first mean
            centred -= drift
            comoment = centred.T @ centred
        return cls(
            columns=tuple(columns),
            n=len(x),
            mean=mean + drift,
            comoment=comoment,
            minimum=x.min(axis=0),
            maximum=x.max(axis=0),
            nonzero=np.count_nonzero(x, axis=0).astype(np.int64),
        )

    @classmethod
    def from_summary(
        cls, columns: Sequence[str], *, n: int, mean: ArrayLike, cov: ArrayLike
    ) -> Moments:
        """Return moments from a published summary.

        Parameters
        ----------
        columns : sequence of str, length k
            Names.
        n : int
            Units, 0 or more.
        mean : array_like of float, shape (k,)
            Means.
        cov : array_like of float, shape (k, k); a scalar if k is 1
            Sample covariance with divisor n - 1.

        Returns
        -------
        Moments
            Extremes are unknown (infinite) and `nonzero` is taken as n.

        Raises
        ------
        DataError
            If `n` is negative or the shapes differ (code ``moments_shape``).
        """
        k = len(columns)
        means = np.asarray(mean, dtype=np.float64).reshape(-1)
        matrix = np.asarray(cov, dtype=np.float64).reshape(-1)
        if n < 0 or means.shape != (k,) or matrix.shape != (k * k,):
            msg = f"n is {n}, mean has {means.size} and cov {matrix.size} entries; they"
            msg = f"{msg} must be >= 0, {k} and {k * k}; give one entry a column."
            raise DataError(msg, code="moments_shape")
        return cls(
            columns=tuple(columns),
            n=n,
            mean=means,
            comoment=matrix.reshape(k, k) * max(n - 1, 0),
            minimum=np.full(k, -np.inf),
            maximum=np.full(k, np.inf),
            nonzero=np.full(k, n, dtype=np.int64),
        )

    def merge(self, other: Moments) -> Moments:
        """Return the moments of both sets of rows together.

        Raises
        ------
        ParameterError
            If the two are of other columns (code ``moments_mismatch``).
        """
        if self.columns != other.columns:
            msg = f"moments of {list(other.columns)} cannot join moments of"
            msg = f"{msg} {list(self.columns)}; merge records of the same columns."
            raise ParameterError(msg, code="moments_mismatch")
        if not self.n or not other.n:
            return self if self.n else other
        n = self.n + other.n
        with np.errstate(over="ignore", invalid="ignore"):
            delta = other.mean - self.mean
            between = np.outer(delta, delta) * (self.n * (other.n / n))
            mean = self.mean + delta * (other.n / n)
            comoment = self.comoment + other.comoment + between
        return Moments(
            columns=self.columns,
            n=n,
            mean=mean,
            comoment=comoment,
            minimum=np.minimum(self.minimum, other.minimum),
            maximum=np.maximum(self.maximum, other.maximum),
            nonzero=self.nonzero + other.nonzero,
        )

    @property
    def cov(self) -> NDArray[np.float64]:
        """Sample covariance with divisor n - 1, shape (k, k); NaN if n < 2."""
        if self.n < 2:
            return np.full_like(self.comoment, np.nan)
        return self.comoment / (self.n - 1)

    def at(self, column: str | None = None) -> int:
        """Return a column's place; it may be left out where there is only one.

        Raises
        ------
        ParameterError
            If the column is not among them (code ``moments_mismatch``).
        """
        if column is None and len(self.columns) == 1:
            return 0
        if column not in self.columns:
            msg = f"moments hold {list(self.columns)}, not {column!r}; name one of"
            msg = f"{msg} those.{suggest(column or '', self.columns)}"
            raise ParameterError(msg, code="moments_mismatch")
        return self.columns.index(column)

    def pick(self, columns: Sequence[str]) -> Moments:
        """Return the moments of some of the columns, over the same rows.

        Raises
        ------
        ParameterError
            If a column is not among them (code ``moments_mismatch``).
        """
        at = [self.at(name) for name in columns]
        return Moments(
            columns=tuple(columns),
            n=self.n,
            mean=self.mean[at],
            comoment=self.comoment[np.ix_(at, at)],
            minimum=self.minimum[at],
            maximum=self.maximum[at],
            nonzero=self.nonzero[at],
        )


def merge(parts: Iterable[Moments]) -> Moments:
    """Return the moments of all `parts` together; there is at least one."""
    return reduce(Moments.merge, parts)
