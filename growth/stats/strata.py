"""Post-stratification: arms compared within strata, strata weighted alike."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite
from typing import TYPE_CHECKING

import numpy as np

from growth.errors import ParameterError
from growth.stats.contrast import ArmEstimate

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from growth.stats.moments import Moments

__all__ = ["Stratified", "post_stratify"]


@dataclass(frozen=True, slots=True)
class Stratified:
    """Post-stratified arms.

    Parameters
    ----------
    arms : dict of str to ArmEstimate
        One per arm, ready for a `Contrast`.
    pooled : tuple
        Strata with fewer than 2 units in an arm, which were taken together
        (notice ``strata_pooled``).
    """

    arms: dict[str, ArmEstimate]
    pooled: tuple[Hashable, ...]


def post_stratify(
    strata: Mapping[Hashable, Mapping[str, Moments]],
    metric: str,
    *,
    denominator: str | None = None,
) -> Stratified:
    """Return each arm's mean (or ratio) weighted by the strata's pooled shares.

    Parameters
    ----------
    strata : mapping of stratum to mapping of arm to Moments
        Every stratum names the same arms; a stratum is fixed before exposure.
    metric : str
        The metric, or the numerator of a ratio.
    denominator : str, optional
        Denominator of a ratio.

    Returns
    -------
    Stratified
        Arms without enough units are None.

    Raises
    ------
    ParameterError
        If `strata` is empty or arms differ between strata (``bad_strata``).

    Notes
    -----
    ``m_g = sum W_s m_gs`` with W_s the stratum's share of all units, variance
    ``sum W_s**2 v_gs``; df by Welch-Satterthwaite over the strata. For a mean
    this equals the interacted regression on stratum indicators with HC2. A
    ratio stratifies both means and their covariance, then takes the delta
    method.

    References
    ----------
    Miratrix, Sekhon, Yu (2013), "Adjusting treatment effect estimates by
    post-stratification in randomized experiments", JRSS B 75(2).
    """
    names = list(next(iter(strata.values()), {}))
    if not names or any(set(arms) != set(names) for arms in strata.values()):
        msg = f"{len(strata)} strata name different arms or none; each must hold the"
        msg = f"{msg} same arms; add empty moments where an arm has no units."
        raise ParameterError(msg, code="bad_strata")
    columns = (metric,) if denominator is None else (metric, denominator)
    cells = {
        s: {name: arms[name].pick(columns) for name in names}
        for s, arms in strata.items()
    }
    groups, pooled = _pool(cells, names)
    total = sum(m.n for arms in groups for m in arms.values())
    weights = [
        sum(m.n for m in arms.values()) / total if total else 0 for arms in groups
    ]
    arms = {
        name: _weighted([arms[name] for arms in groups], weights, columns)
        for name in names
    }
    return Stratified(arms, pooled)


def _pool(
    cells: Mapping[Hashable, dict[str, Moments]], names: list[str]
) -> tuple[list[dict[str, Moments]], tuple[Hashable, ...]]:
    """Take strata that are too small in an arm together, adding more if need be."""
    by_size = sorted(cells, key=lambda s: min(cells[s][name].n for name in names))
    small = [s for s in cells if min(cells[s][name].n for name in names) < 2]
    together: dict[str, Moments] = {}
    for s in [*small, *(s for s in by_size if s not in small)]:
        enough = together and min(together[name].n for name in names) >= 2
        if s not in small and (enough or not together):
            break
        if s not in small:
            small.append(s)
        together = {
            name: cells[s][name].merge(together[name]) if together else cells[s][name]
            for name in names
        }
    rest = [cells[s] for s in cells if s not in small]
    return ([*rest, together] if together else rest), tuple(small)


def _weighted(
    parts: list[Moments], weights: list[float], columns: tuple[str, ...]
) -> ArmEstimate:
    n = sum(m.n for m in parts)
    used = [(m, w) for m, w in zip(parts, weights, strict=True) if w]
    if not used or any(m.n < 2 for m, _ in used):
        return ArmEstimate(n, None, None, -1.0)
    means = np.sum([w * m.mean for m, w in used], axis=0)
    if len(columns) == 1:
        value, turn = float(means[0]), np.ones(1)
    elif 0 < means[1] < inf:
        value = float(means[0] / means[1])
        turn = np.array([1.0, -value]) / means[1]
    else:
        return ArmEstimate(n, None, None, -1.0)
    shares = [w * w * float(turn @ m.cov @ turn) / m.n for m, w in used]
    variance = sum(shares)
    if not isfinite(value) or not 0 <= variance < inf:
        return ArmEstimate(n, None, None, -1.0)
    spent = sum(
        (v / variance) ** 2 / (m.n - 1) if variance else 1.0
        for v, (m, _) in zip(shares, used, strict=True)
    )
    return ArmEstimate(n, value, variance, 1 / spent)
