"""Many hypotheses at once: adjusted p-values, and levels for matching intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np

from growth.errors import DataError, ParameterError, suggest

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from numpy.typing import NDArray

__all__ = ["Adjustment", "Method", "adjust"]

Method = Literal["none", "bonferroni", "holm", "hochberg", "hommel", "bh", "by"]


class Adjustment(NamedTuple):
    """Per hypothesis, in the order given; None where there was no p-value.

    `p_adj` is the adjusted p-value in [0, 1]; `rejected` says ``p_adj <= alpha``;
    `level_alpha` is the level at which this hypothesis's own interval leaves out
    0 exactly when it is rejected.
    """

    p_adj: tuple[float | None, ...]
    rejected: tuple[bool | None, ...]
    level_alpha: tuple[float | None, ...]


def adjust(
    p: Sequence[float | None],
    method: Method = "holm",
    alpha: float = 0.05,
    *,
    families: Sequence[Hashable] | None = None,
) -> Adjustment:
    """Adjust p-values for their number.

    Parameters
    ----------
    p : sequence of float or None
        p-values in [0, 1]. None (not computable) stays out of its family.
    method : {"none", "bonferroni", "holm", "hochberg", "hommel", "bh", "by"}
        Holm, Hochberg, Hommel and Bonferroni bound the chance of any false
        rejection; BH and BY the share of false ones. Default Holm.
    alpha : float, default 0.05
        Level in (0, 1) of a family.
    families : sequence of hashable, optional
        The family of each p-value; one family if omitted. Each is adjusted
        by itself.

    Returns
    -------
    Adjustment
        Never undefined where there is a p-value, also at an adjusted p of 1.

    Raises
    ------
    ParameterError
        If `method` is unknown (``unknown_method``), `alpha` is outside (0, 1)
        (``alpha_out_of_range``) or the lengths differ (``length_mismatch``).
    DataError
        If a p-value is outside [0, 1] (``p_out_of_range``).

    Notes
    -----
    Levels, for m hypotheses of which R are rejected. Holm: alpha/(m - i + 1)
    for the one rejected i-th, alpha/(m - R) for the others. Hochberg:
    alpha/(m - R + 1) and alpha/(m - R). BH: R alpha/m (alpha/m if R is 0), the
    level of the false-coverage rate; BY: the same over sum(1/i). Bonferroni:
    alpha/m, simultaneous. Hommel: alpha/j, j the largest set it cannot reject.

    References
    ----------
    Benjamini, Yekutieli (2005), "False discovery rate-adjusted multiple
    confidence intervals for selected parameters", JASA 100(469).

    Examples
    --------
    >>> adjust([0.01, None, 0.04, 0.03], "holm").p_adj
    (0.03, None, 0.06, 0.06)
    """
    if method not in get_args(Method):
        msg = f"method is {method!r}; it must be one of {list(get_args(Method))}; name"
        msg = f"{msg} one.{suggest(str(method), get_args(Method))}"
        raise ParameterError(msg, code="unknown_method")
    if not 0 < alpha < 1:
        msg = f"alpha is {alpha}; it must be in (0, 1); write 5% as 0.05."
        raise ParameterError(msg, code="alpha_out_of_range")
    labels = [None] * len(p) if families is None else list(families)
    if len(labels) != len(p):
        msg = f"families has {len(labels)} entries for {len(p)} p-values; it must have"
        msg = f"{msg} as many; name the family of each."
        raise ParameterError(msg, code="length_mismatch")
    if stray := [value for value in p if value is not None and not 0 <= value <= 1]:
        msg = f"p holds {stray}; p-values must be in [0, 1]; pass None for one that"
        raise DataError(f"{msg} cannot be computed.", code="p_out_of_range")
    adjusted: list[float | None] = [None] * len(p)
    levels: list[float | None] = [None] * len(p)
    members: dict[Hashable, list[int]] = {}
    for i, label in enumerate(labels):
        if p[i] is not None:
            members.setdefault(label, []).append(i)
    for family in members.values():
        values = np.array([p[i] for i in family], dtype=np.float64)
        order = np.argsort(values, kind="stable")
        p_sorted = np.minimum(_adjusted(values[order], method), 1.0)
        level = _levels(p_sorted, method, alpha, values[order])
        ranked = zip(order.tolist(), p_sorted.tolist(), level.tolist(), strict=True)
        for i, q, one in ranked:
            adjusted[family[i]] = q
            levels[family[i]] = min(one, alpha)
    return Adjustment(
        p_adj=tuple(adjusted),
        rejected=tuple(None if q is None else q <= alpha for q in adjusted),
        level_alpha=tuple(levels),
    )


def _adjusted(p: NDArray[np.float64], method: Method) -> NDArray[np.float64]:
    """Return adjusted p-values, not yet cut at 1; `p` is in rising order."""
    m = len(p)
    rank = np.arange(1, m + 1)
    match method:
        case "none":
            return p
        case "bonferroni":
            return p * m
        case "holm":
            return np.asarray(np.maximum.accumulate(p * (m - rank + 1)))
        case "hochberg":
            return np.minimum.accumulate((p * (m - rank + 1))[::-1])[::-1]
        case "hommel":
            return _hommel(p)
        case "bh" | "by":
            penalty = 1.0 if method == "bh" else float(np.sum(1 / rank))
            return np.minimum.accumulate((p * (penalty * m / rank))[::-1])[::-1]


def _hommel(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Hommel's adjusted p-values (Wright 1992, table 5)."""
    m = len(p)
    best = np.full(m, float(np.min(m * p / np.arange(1, m + 1))))
    adjusted = best.copy()
    for size in range(m - 1, 1, -1):
        head = m - size + 1
        least = float(np.min(size * p[head:] / np.arange(2, size + 1)))
        best[:head] = np.minimum(size * p[:head], least)
        best[head:] = best[head - 1]
        adjusted = np.maximum(adjusted, best)
    return np.asarray(np.maximum(adjusted, p))


def _levels(
    p_adj: NDArray[np.float64],
    method: Method,
    alpha: float,
    p: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return per hypothesis the level whose interval agrees with its verdict."""
    m = len(p)
    rank = np.arange(1, m + 1)
    rejected = int(np.count_nonzero(p_adj <= alpha))
    match method:
        case "none":
            return np.full(m, alpha)
        case "bonferroni":
            return np.full(m, alpha / m)
        case "holm":
            return alpha / np.where(rank <= rejected, m - rank + 1, m - rejected)
        case "hochberg":
            left = np.where(rank <= rejected, m - rejected + 1, m - rejected)
            return alpha / left
        case "hommel":
            return np.full(m, alpha / _largest_kept(p, alpha))
        case "bh" | "by":
            penalty = 1.0 if method == "bh" else float(np.sum(1 / rank))
            return np.full(m, max(rejected, 1) * alpha / m / penalty)


def _largest_kept(p: NDArray[np.float64], alpha: float) -> int:
    """Return the size of the largest set whose Simes test is not significant."""
    m = len(p)
    for size in range(m, 0, -1):
        worst = p[m - size :]
        if (worst > np.arange(1, size + 1) * alpha / size).all():
            return size
    return 1
