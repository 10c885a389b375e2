"""Did the variant move taps? Per cell or element, and overall by permutation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from growth.errors import DataError, ParameterError
from growth.result import Cell, Estimate, Notice, Result
from growth.stats.counts import chi2_goodness_of_fit
from growth.stats.multiplicity import adjust
from growth.stats.proportions import Share, newcombe, pooled_z

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["Comparison", "Difference", "compare_from_counts", "compare_from_pairs"]

LEAST_POOLED: Final = 20  # users in both arms together, below which nothing is tested
LEAST_UNITS: Final = 100  # users an arm, below which there is no verdict
SRM_ALPHA: Final = 0.001
ROUNDS: Final = 1_999
FEW: Final = 5  # expected, below which Fisher's test takes the z test's place


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Users who tapped one cell or element, in two arms.

    Parameters
    ----------
    item : str
        The element, or the cell as ``col,row``.
    users_a, users_b : int
        Who tapped it.
    rate_a, rate_b : float
        Over the arm's users.
    difference, low, high : float
        ``rate_b - rate_a`` with Newcombe's interval.
    p_value, q_value : float or None
        None where too few users tapped it to be tested.
    method : str
        ``z`` or ``fisher``; empty where it is not tested.
    col, row : int or None
        The cell.
    """

    item: str
    users_a: int
    users_b: int
    rate_a: float
    rate_b: float
    difference: float
    low: float
    high: float
    p_value: float | None
    q_value: float | None = None
    method: str = ""
    col: int | None = None
    row: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison(Result):
    """Where two arms tap differently on one page.

    Parameters
    ----------
    page : str
        The page.
    arm_a, arm_b : str
        The arms; differences are b less a.
    units_a, units_b : int
        Users of each arm who viewed the page.
    items : tuple of Difference
        The surest first; those not tested last.
    statistic : float or None
        Overall: squared differences over their variance, summed over tested items.
    p_value : float or None
        Of it, by permutation of users.
    rounds : int
        Permutations.
    alpha : float
        Level of the overall test; also of the false discoveries among items.
    srm_p : float
        Of the split among those who viewed.
    crossovers : int
        Users in two arms, in neither.
    randomised : bool
        Whether chance made the arms.
    kind : str
        ``elements`` or ``cells``.
    cell_rpx : int
        Side of the cells; 0 for elements.
    """

    page: str
    arm_a: str
    arm_b: str
    units_a: int
    units_b: int
    items: tuple[Difference, ...]
    statistic: float | None
    p_value: float | None
    rounds: int
    alpha: float
    srm_p: float
    crossovers: int
    randomised: bool
    kind: str
    cell_rpx: int = 0

    @property
    def verdict(self) -> str:
        """Split broken, too few, moved, or not shown."""
        if self.randomised and self.srm_p < SRM_ALPHA:
            return "heatmap.compare.mismatch"
        if min(self.units_a, self.units_b) < LEAST_UNITS or self.p_value is None:
            return "heatmap.compare.too_few"
        if self.p_value < self.alpha:
            if self.randomised:
                return "heatmap.compare.moved"
            return "heatmap.compare.differs"
        return "heatmap.compare.not_shown"

    @property
    def found(self) -> tuple[Difference, ...]:
        """The items whose false-discovery rate is below alpha."""
        return tuple(
            i for i in self.items if i.q_value is not None and i.q_value < self.alpha
        )

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row an item."""
        return [
            {
                "item": i.item,
                "users_a": i.users_a,
                "users_b": i.users_b,
                "rate_a": i.rate_a,
                "rate_b": i.rate_b,
                "difference": i.difference,
                "ci_low": i.low,
                "ci_high": i.high,
                "p_value": i.p_value,
                "q_value": i.q_value,
                "method": i.method,
            }
            for i in self.items
        ]

    def estimates(self) -> tuple[Estimate, ...]:
        """Return the overall test, and each tested item's difference."""
        overall = Estimate(
            key="heatmap.compare",
            by=(("page", self.page),),
            value=self.statistic,
            p_value=self.p_value,
            n=self.units_a + self.units_b,
            method="permutation",
        )
        items = tuple(
            Estimate(
                key="heatmap.tap_rate.difference",
                by=(("page", self.page), ("item", i.item)),
                value=i.difference,
                lo=i.low,
                hi=i.high,
                level=1 - self.alpha,
                p_value=i.p_value,
                n=self.units_a + self.units_b,
                unit="share",
                method=f"newcombe_{i.method}",
            )
            for i in self.items
            if i.p_value is not None
        )
        return (overall, *items)


def compare_from_counts(
    counts: Mapping[str, tuple[int, int]],
    units: tuple[int, int],
    *,
    arms: tuple[str, str] = ("A", "B"),
    planned: tuple[float, float] = (1.0, 1.0),
    alpha: float = 0.05,
    page: str = "",
    kind: str = "elements",
    cell_rpx: int = 0,
    randomised: bool = True,
    crossovers: int = 0,
) -> Comparison:
    """Compare two arms from counts of users; without the overall test.

    Parameters
    ----------
    counts : mapping of str to (int, int)
        Users who tapped each element (or cell, ``col,row``), by arm.
    units : tuple of (int, int)
        Users of each arm who viewed the page.
    arms : tuple of (str, str), default ("A", "B")
        Their names.
    planned : tuple of float, default (1, 1)
        Weights of the split.
    alpha : float, default 0.05
        False-discovery rate among items; level of the intervals.
    page : str
        The page.
    kind : {"elements", "cells"}
        What is compared.
    cell_rpx : int, default 0
        Side of the cells.
    randomised : bool, default True
        Whether chance made the arms.
    crossovers : int, default 0
        Users in two arms, in neither.

    Returns
    -------
    Comparison
        Items of under 20 users in both arms together are listed, not tested: that
        is known without the arms. `p_value` is None: permutation needs the users.

    Raises
    ------
    ParameterError
        If `alpha` is no level (code ``alpha_out_of_range``).
    DataError
        If an arm has nobody (code ``no_units``), or more tapped than viewed
        (``bad_counts``).

    Notes
    -----
    p by the z test with the pooled share, by Fisher's where an expected count is
    under 5; Newcombe's interval; Benjamini-Hochberg.
    """
    if not 0 < alpha < 1:
        msg = f"alpha is {alpha}; it must be in (0, 1); write 5% as 0.05."
        raise ParameterError(msg, code="alpha_out_of_range")
    n_a, n_b = units
    if min(units) < 1:
        msg = (
            f"{n_a} users of {arms[0]!r} and {n_b} of {arms[1]!r} viewed {page!r}; each"
        )
        msg = f"{msg} arm must have some; check page, dates and experiment."
        raise DataError(msg, code="no_units")
    items = []
    for item, (a, b) in counts.items():
        one, two = Share(a, n_a), Share(b, n_b)
        low, high = newcombe(one, two).interval(alpha) or (0.0, 0.0)
        p, method = None, ""
        if a + b >= LEAST_POOLED:
            p, method = _tested(a, n_a, b, n_b)
        at = item.split(",") if kind == "cells" else ()
        items.append(
            Difference(
                item=item,
                users_a=a,
                users_b=b,
                rate_a=a / n_a,
                rate_b=b / n_b,
                difference=b / n_b - a / n_a,
                low=low,
                high=high,
                p_value=p,
                method=method,
                col=int(at[0]) if at else None,
                row=int(at[1]) if at else None,
            )
        )
    q = adjust([i.p_value for i in items], "bh", alpha).p_adj
    items = [replace(i, q_value=v) for i, v in zip(items, q, strict=True)]
    items.sort(
        key=lambda i: (i.p_value is None, i.p_value or 0, -abs(i.difference), i.item)
    )
    total = (n_a + n_b) / sum(planned)
    srm = chi2_goodness_of_fit(units, [w * total for w in planned]).p_value
    return Comparison(
        page=page,
        arm_a=arms[0],
        arm_b=arms[1],
        units_a=n_a,
        units_b=n_b,
        items=tuple(items),
        statistic=None,
        p_value=None,
        rounds=0,
        alpha=alpha,
        srm_p=srm,
        crossovers=crossovers,
        randomised=randomised,
        kind=kind,
        cell_rpx=cell_rpx,
        notices=_remarks(srm, crossovers, randomised=randomised, kind=kind),
    )


def _remarks(
    srm: float, crossovers: int, *, randomised: bool, kind: str
) -> tuple[Notice, ...]:
    found = []
    if randomised and srm < SRM_ALPHA:
        found.append(Notice("split_mismatch", args=(("p", srm),)))
    if crossovers:
        found.append(Notice("crossovers", "info", (("units", crossovers),)))
    if not randomised:
        found.append(Notice("not_randomised"))
    if kind == "cells":
        found.append(Notice("cells_say_position", "info"))
    return tuple(found)


def _tested(a: int, n_a: int, b: int, n_b: int) -> tuple[float | None, str]:
    total, n = a + b, n_a + n_b
    least = min(total, n - total) * min(n_a, n_b) / n
    if least < FEW:
        return fisher(a, n_a, b, n_b), "fisher"
    return pooled_z(Share(a, n_a), Share(b, n_b)).p_value, "z"


def fisher(a: int, n_a: int, b: int, n_b: int) -> float:
    """Return Fisher's exact two-sided p-value of two shares.

    Parameters
    ----------
    a, b : int
        Successes.
    n_a, n_b : int
        Trials.

    Returns
    -------
    float
        The probability of tables no likelier than this one, margins held.
    """
    from scipy.special import gammaln

    total = a + b
    x = np.arange(max(0, total - n_b), min(total, n_a) + 1, dtype=np.float64)

    def log_choose(n: float, k: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))

    logs = log_choose(n_a, x) + log_choose(n_b, total - x)
    chance = np.exp(logs - logs.max())
    seen = chance[int(a - x[0])]
    return float(min(1.0, chance[chance <= seen * (1 + 1e-7)].sum() / chance.sum()))


def compare_from_pairs(
    item: NDArray[np.int32],
    user: NDArray[np.int32],
    arm: NDArray[np.int8],
    *,
    names: Sequence[str],
    arms: tuple[str, str] = ("A", "B"),
    strata: NDArray[np.int32] | None = None,
    rounds: int = ROUNDS,
    seed: int = 0,
    **about: object,
) -> Comparison:
    """Compare two arms from who tapped what, with the overall test.

    Parameters
    ----------
    item, user : ndarray of int, shape (pairs,)
        One entry a (item, user) that occurs.
    arm : ndarray of int, shape (users,)
        0 or 1 of each user who viewed the page.
    names : sequence of str
        Of the items.
    arms : tuple of (str, str)
        Names of the arms.
    strata : ndarray of int, shape (users,), optional
        Users exchange arms within strata only; one stratum if omitted.
    rounds : int, default 1,999
        Permutations, 1 or more.
    seed : int, default 0
        Of them.
    **about
        As in `compare_from_counts`.

    Returns
    -------
    Comparison
        ``p = (1 + #{T* >= T}) / (rounds + 1)``.

    Raises
    ------
    ParameterError, DataError
        As in `compare_from_counts`; ``bad_rounds`` if there is no permutation.

    Notes
    -----
    ``T = sum (p_b - p_a)^2 n_a n_b / (n_a + n_b) / (p (1 - p))`` over items of at
    least 20 users, p pooled and not 0 or 1; arms are permuted by user.
    """
    from growth.heatmap import kernels

    if rounds < 1:
        msg = f"rounds is {rounds}; it must be 1 or more; take 1999."
        raise ParameterError(msg, code="bad_rounds")
    n_b = int(arm.sum())
    n_a = len(arm) - n_b
    total = np.bincount(item, minlength=len(names))
    hits = np.bincount(item, arm[user], minlength=len(names)).astype(np.int64)
    counts = {
        name: (int(t - h), int(h))
        for name, t, h in zip(names, total, hits, strict=True)
        if t
    }
    base = compare_from_counts(counts, (n_a, n_b), arms=arms, **about)  # type: ignore[arg-type]
    n = n_a + n_b
    kept = (total >= LEAST_POOLED) & (total < n)
    if not kept.any():
        return base
    p = total[kept] / n
    weight = n / (n_a * n_b) / (p * (1 - p))
    place = np.cumsum(kept) - 1
    inside = kept[item]
    order = np.arange(n) if strata is None else np.argsort(strata, kind="stable")
    ends = np.array([n])
    if strata is not None:
        ends = np.r_[np.flatnonzero(np.diff(strata[order])) + 1, n]
    rank = np.empty(n, np.int32)
    rank[order] = np.arange(n, dtype=np.int32)
    cells = place[item[inside]].astype(np.int32)
    people = rank[user[inside]]
    by_cell = np.argsort(cells, kind="stable")
    share = n_b / n
    gap = hits[kept] - share * total[kept]
    statistic = float((weight * gap * gap).sum())
    drawn = kernels.permute(
        cells[by_cell], people[by_cell], arm[order].astype(np.int8),
        ends.astype(np.int64), weight, share, rounds, seed,
    )  # fmt: skip
    more = int((drawn >= statistic * (1 - 1e-12)).sum())
    return replace(
        base,
        statistic=statistic,
        p_value=(1 + more) / (rounds + 1),
        rounds=rounds,
    )
