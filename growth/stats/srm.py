"""Traffic split watched from the first day: sequential sample-ratio tests."""

from __future__ import annotations

from math import exp, inf, log
from typing import TYPE_CHECKING, NamedTuple

from scipy.special import gammaln

from growth.errors import DataError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["GRID", "SplitEvidence", "dirichlet_multinomial", "running_split"]

# Concentrations and their weights, 1 / ((j + 1)(j + 2)) with the rest on the last.
GRID: tuple[tuple[float, float], ...] = (
    *((100.0 * 4**j, 1 / ((j + 1) * (j + 2))) for j in range(7)),
    (100.0 * 4**7, 1 / 8),
)


class SplitEvidence(NamedTuple):
    """Log Bayes factor against the planned split, and p = min(1, 1 / BF)."""

    log_bayes_factor: float
    p_value: float


def dirichlet_multinomial(
    counts: Sequence[float],
    weights: Sequence[float],
    *,
    concentration: float | None = None,
) -> SplitEvidence:
    """Test unit counts against the plan at any moment.

    Parameters
    ----------
    counts : sequence of float, length k >= 2
        Units per open arm, 0 or more.
    weights : sequence of float, length k
        Planned weights in any scale, above 0 (a closed arm is left out).
    concentration : float, optional
        How close to the plan the alternative is thought to be, above 0, fixed
        beforehand. Omitted: a mixture over 100 x 4**j, j = 0..7, whose
        effective concentration grows with the units.

    Returns
    -------
    SplitEvidence
        One look's; over looks the p-value is the running minimum
        (`running_split`).

    Raises
    ------
    DataError
        If a count is negative (``bad_counts``).
    ParameterError
        If the lengths differ, a weight or `concentration` is not positive
        (``bad_weights``).

    Notes
    -----
    ``BF = B(k theta + c) / B(k theta) / prod(theta**c)`` with B the multivariate
    beta function: a martingale under the plan, and so is any mixture over k that
    was fixed before the data.

    References
    ----------
    Lindon, Malek (2022), "Anytime-valid inference for multinomial count data",
    NeurIPS 35.
    """
    total = sum(weights)
    usable = len(weights) >= 2 and all(0 < w < inf for w in weights)
    if not usable or len(counts) != len(weights):
        msg = f"{len(counts)} counts meet weights {list(weights)}; there must be 2 or"
        msg = f"{msg} more of both, weights above 0; leave closed arms out."
        raise ParameterError(msg, code="bad_weights")
    if concentration is not None and not 0 < concentration < inf:
        msg = f"concentration is {concentration}; it must be above 0; leave it out for"
        raise ParameterError(f"{msg} the mixture.", code="bad_weights")
    if not all(0 <= c < inf for c in counts):
        msg = f"counts are {list(counts)}; they must be 0 or more; check the table."
        raise DataError(msg, code="bad_counts")
    shares = [w / total for w in weights]
    if concentration is not None:
        value = _log_bayes_factor(counts, shares, concentration)
    else:
        parts = [log(w) + _log_bayes_factor(counts, shares, k) for k, w in GRID]
        top = max(parts)
        value = top + log(sum(exp(part - top) for part in parts))
    return SplitEvidence(value, min(1.0, exp(-value)) if value > 0 else 1.0)


def running_split(
    looks: Sequence[Sequence[float]],
    weights: Sequence[float],
    *,
    concentration: float | None = None,
) -> tuple[float, ...]:
    """Return the p-value at each look: the running minimum of 1 / BF.

    Parameters
    ----------
    looks : sequence of sequences of float
        Cumulative units per open arm at each look, in order.
    weights, concentration
        As in `dirichlet_multinomial`.

    Returns
    -------
    tuple of float
        Never rising; below alpha at any look at most alpha of the time.

    Raises
    ------
    DataError, ParameterError
        As in `dirichlet_multinomial`.
    """
    best, out = 1.0, []
    for counts in looks:
        found = dirichlet_multinomial(counts, weights, concentration=concentration)
        best = min(best, found.p_value)
        out.append(best)
    return tuple(out)


def _log_bayes_factor(
    counts: Sequence[float], shares: Sequence[float], k: float
) -> float:
    grown = gammaln(k) - gammaln(k + sum(counts))
    for count, share in zip(counts, shares, strict=True):
        a = k * share
        grown += gammaln(a + count) - gammaln(a) - count * log(share)
    return float(grown)
