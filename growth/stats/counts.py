"""Tests and intervals on counts."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, NamedTuple

from scipy.special import betaincinv, chdtrc

from growth.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from growth.stats.contrast import Interval

__all__ = ["ChiSquare", "chi2_goodness_of_fit", "chi2_independence", "clopper_pearson"]


class ChiSquare(NamedTuple):
    """Pearson statistic, its degrees of freedom, and the upper-tail p-value."""

    statistic: float
    df: int
    p_value: float


def chi2_goodness_of_fit(
    observed: Sequence[float], expected: Sequence[float]
) -> ChiSquare:
    """Compare counts with expected counts (Pearson's chi-square).

    Parameters
    ----------
    observed, expected : sequence of float, same length k >= 2
        Counts per cell; `expected` is positive and sums to `sum(observed)`.
        A closed arm (expected 0) is left out by the caller: it has no part in
        the degrees of freedom.

    Returns
    -------
    ChiSquare
        With `df = k - 1`. The p-value is the survival function itself, so it
        keeps its precision where `1 - cdf` would round to zero.

    Raises
    ------
    ParameterError
        If the lengths differ, k < 2, or an expected count is not positive
        (code ``bad_expected_counts``).
    """
    k = len(expected)
    if len(observed) != k or k < 2 or not all(0 < e < inf for e in expected):
        msg = f"{len(observed)} observed counts meet expected {list(expected)}; both"
        msg = f"{msg} must have the same 2+ cells, expected above 0; leave closed"
        raise ParameterError(f"{msg} arms out.", code="bad_expected_counts")
    statistic = sum((o - e) ** 2 / e for o, e in zip(observed, expected, strict=True))
    return ChiSquare(float(statistic), k - 1, float(chdtrc(k - 1, statistic)))


def chi2_independence(table: Sequence[Sequence[float]]) -> ChiSquare | None:
    """Test whether rows and columns of a table of counts are independent.

    Parameters
    ----------
    table : sequence of sequences of float, shape (r, c)
        Counts, 0 or more: say one row an arm, with its NULLs and its non-NULLs.

    Returns
    -------
    ChiSquare or None
        Pearson's, without continuity correction, ``df = (r - 1)(c - 1)`` over
        the rows and columns that hold anything; None if fewer than two do.
    """
    rows = [[float(cell) for cell in row] for row in table if sum(row)]
    columns = [column for column in zip(*rows, strict=True) if sum(column)]
    if len(rows) < 2 or len(columns) < 2:
        return None
    total = sum(map(sum, columns))
    by_row = [sum(row) for row in zip(*columns, strict=True)]
    statistic = 0.0
    for column in columns:
        share = sum(column) / total
        statistic += sum(
            (cell - row * share) ** 2 / (row * share)
            for cell, row in zip(column, by_row, strict=True)
        )
    df = (len(rows) - 1) * (len(columns) - 1)
    return ChiSquare(statistic, df, float(chdtrc(df, statistic)))


def clopper_pearson(successes: int, n: int, *, alpha: float = 0.05) -> Interval | None:
    """Return the exact interval of a share.

    Parameters
    ----------
    successes, n : int
        Successes of trials, ``0 <= successes <= n``.
    alpha : float, default 0.05
        Two-sided level in (0, 1).

    Returns
    -------
    tuple of (float, float), or None
        Ends in [0, 1]; covers at least 1 - alpha. None if `n` is 0.

    Raises
    ------
    ParameterError
        If `alpha` is outside (0, 1) (``alpha_out_of_range``) or the counts are
        impossible (``bad_counts``).

    References
    ----------
    Clopper, Pearson (1934), Biometrika 26(4).
    """
    if not 0 < alpha < 1:
        msg = f"alpha is {alpha}; it must be in (0, 1); write 5% as 0.05."
        raise ParameterError(msg, code="alpha_out_of_range")
    if not 0 <= successes <= n:
        msg = f"successes is {successes} of {n}; it must be from 0 to n; check which"
        raise ParameterError(f"{msg} number is which.", code="bad_counts")
    if not n:
        return None
    x, rest = successes, n - successes
    low = float(betaincinv(x, rest + 1, alpha / 2)) if x else 0.0
    high = float(betaincinv(x + 1, rest, 1 - alpha / 2)) if rest else 1.0
    return low, high
