"""The first screen: folds that differ by device, and the share of taps in its core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from growth.errors import DataError, ParameterError
from growth.result import Cell, Estimate, Result
from growth.stats.contrast import Interval  # noqa: TC001  (a result's types are read)
from growth.stats.proportions import Share, wilson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from growth.heatmap.maps import By

__all__ = [
    "TARGET",
    "ClusteredShare",
    "CoreShare",
    "FirstScreen",
    "Folds",
    "clustered_share",
    "first_screen_from_counts",
]

TARGET: Final = 0.60  # the guide's; it names no source
LEAST_USERS: Final = 30  # below this there is no verdict


class ClusteredShare(NamedTuple):
    """A share of taps whose interval knows that a user's taps hang together.

    `rate` is a / n; `low`, `high` its ends; `users` those with a tap; `effective_n`
    the independent taps it is worth.
    """

    rate: float | None
    low: float | None
    high: float | None
    users: int
    effective_n: float | None


def clustered_share(
    hits: ArrayLike, taps: ArrayLike, *, alpha: float = 0.05
) -> ClusteredShare:
    """Return a share of taps with an interval clustered by user.

    Parameters
    ----------
    hits, taps : array_like of int, shape (users,)
        Of each user: taps that count, and all; ``0 <= hits <= taps``. Users without
        taps are passed over.
    alpha : float, default 0.05
        Two-sided level in (0, 1).

    Returns
    -------
    ClusteredShare
        Without a tap all None.

    Raises
    ------
    DataError
        If a user has more hits than taps (code ``bad_counts``).

    Notes
    -----
    ``var = U/(U-1) sum((a_i - p n_i)^2) / sum(n_i)^2``, the ratio estimator; then
    Wilson with ``n_eff = p (1-p) / var``, at most n. A share of 0 or 1 shows no
    spread: n_eff is then U.

    Examples
    --------
    >>> share = clustered_share([2, 0, 3, 1], [3, 1, 3, 4])
    >>> round(share.rate, 3), round(share.low, 3), round(share.high, 3)
    (0.545, 0.218, 0.838)
    """
    a, n = (np.asarray(v, dtype=np.float64) for v in (hits, taps))
    if a.shape != n.shape or bool(((a < 0) | (a > n)).any()):
        msg = "a user has more hits than taps, or fewer than none; hits must be from 0"
        raise DataError(f"{msg} to taps; check which is which.", code="bad_counts")
    a, n = a[n > 0], n[n > 0]
    users, total = len(n), float(n.sum())
    if not users:
        return ClusteredShare(None, None, None, 0, None)
    p = float(a.sum()) / total
    effective = float(users)
    if 0 < p < 1:
        effective = total
        if users > 1:
            spread = float(((a - p * n) ** 2).sum()) / total**2
            variance = users / (users - 1) * spread
            if variance > 0:
                effective = min(p * (1 - p) / variance, total)
    ends = wilson(Share(p * effective, effective), alpha=alpha)  # type: ignore[arg-type]
    low, high = ends or (None, None)
    return ClusteredShare(p, low, high, users, effective)


@dataclass(frozen=True, slots=True)
class Folds:
    """Where screens end on a page: one value a page view, in rpx.

    Parameters
    ----------
    depths : tuple of float
        Fold depths that occur, rising.
    views : tuple of int
        Page views with each.
    """

    depths: tuple[float, ...] = ()
    views: tuple[int, ...] = ()

    @classmethod
    def of(cls, depths: ArrayLike, views: ArrayLike | None = None) -> Folds:
        """Count folds; `views` weighs them, 1 each if omitted."""
        values = np.asarray(depths, dtype=np.float64)
        weights = np.ones(len(values)) if views is None else np.asarray(views)
        known = np.isfinite(values) & (values > 0)
        found, place = np.unique(values[known].round(3), return_inverse=True)
        counts = np.bincount(place, weights[known], minlength=len(found))
        return cls(tuple(found.tolist()), tuple(int(c) for c in counts))

    def quantile(self, p: float) -> float | None:
        """Return the smallest fold that a share `p` of views does not exceed."""
        if not self.views:
            return None
        running = np.cumsum(self.views)
        at = int(np.searchsorted(running, p * running[-1], side="left"))
        return self.depths[min(at, len(self.depths) - 1)]

    def visible_rate(self, depth_rpx: float) -> float | None:
        """Return the share of views that show `depth_rpx` without scrolling."""
        total = sum(self.views)
        seen = sum(
            n for d, n in zip(self.depths, self.views, strict=True) if d > depth_rpx
        )
        return seen / total if total else None


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreShare:
    """The first screen of one page.

    Parameters
    ----------
    page : str
        The page.
    by : tuple of (str, str or None)
        Column and value of each breakdown.
    core_taps, taps_above, taps : int
        Taps in the core, above the fold, and all on the page.
    share : ClusteredShare
        Core taps over taps above the fold.
    core_users, viewers : int
        Users with a core tap; users who viewed the page.
    user_interval : tuple of (float, float), optional
        Wilson interval of their ratio.
    folds : Folds
        Where screens end.
    verdict : str
        ``above``, ``below`` or ``unclear`` against the target, or ``too_few``.
    """

    page: str
    core_taps: int
    taps_above: int
    taps: int
    share: ClusteredShare
    core_users: int
    viewers: int
    user_interval: Interval | None
    verdict: str
    folds: Folds = Folds()
    by: By = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstScreen(Result):
    """What share of taps on the first screen lands in its core, page by page.

    Parameters
    ----------
    target : float
        The share that is wanted, in (0, 1).
    alpha : float
        Level of the intervals.
    pages : tuple of CoreShare
        One a page and breakdown.
    """

    target: float
    alpha: float
    pages: tuple[CoreShare, ...]

    @property
    def verdict(self) -> str:
        """The worst page's: below, unclear, above; too few where none is judged."""
        found = {page.verdict for page in self.pages}
        for word in ("below", "unclear", "above"):
            if word in found:
                return f"heatmap.first_screen.{word}"
        return "heatmap.first_screen.too_few"

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row a page and breakdown."""
        return [
            {
                "page": p.page,
                **dict(p.by),
                "core_rate": p.share.rate,
                "ci_low": p.share.low,
                "ci_high": p.share.high,
                "core_taps": p.core_taps,
                "taps_above": p.taps_above,
                "core_of_all_rate": p.core_taps / p.taps if p.taps else None,
                "users": p.share.users,
                "core_user_rate": p.core_users / p.viewers if p.viewers else None,
                "fold_p10_rpx": p.folds.quantile(0.1),
                "fold_median_rpx": p.folds.quantile(0.5),
                "fold_p90_rpx": p.folds.quantile(0.9),
                "judged": p.verdict,
            }
            for p in self.pages
        ]

    def estimates(self) -> tuple[Estimate, ...]:
        """Return the core share of each page."""
        return tuple(
            Estimate(
                key="heatmap.core_rate",
                by=(("page", p.page), *((name, value or "") for name, value in p.by)),
                value=p.share.rate,
                lo=p.share.low,
                hi=p.share.high,
                level=1 - self.alpha,
                n=p.taps_above,
                unit="share",
                method="wilson_clustered",
            )
            for p in self.pages
        )


def first_screen_from_counts(
    core_taps: Sequence[int],
    taps_above: Sequence[int],
    *,
    target: float = TARGET,
    alpha: float = 0.05,
    page: str = "",
    by: By = (),
    taps: int | None = None,
    viewers: int | None = None,
    folds: Folds | None = None,
) -> CoreShare:
    """Judge the core share of one page from each user's counts.

    Parameters
    ----------
    core_taps, taps_above : sequence of int, one a user
        Taps in the core, and above the fold.
    target : float, default 0.60
        The share that is wanted, in (0, 1): a guide's number, without a source.
    alpha : float, default 0.05
        Two-sided level of the intervals.
    page, by : str, tuple
        What it is of.
    taps, viewers : int, optional
        All taps of the page, and all who viewed it; as given above if omitted.
    folds : Folds, optional
        Where screens end.

    Returns
    -------
    CoreShare
        ``above`` where the interval's low end reaches the target, ``below`` where
        its high end stays under it, else ``unclear``; ``too_few`` under 30 users.

    Raises
    ------
    ParameterError
        If the target is no share (code ``bad_target``).
    DataError
        As in `clustered_share`.
    """
    if not 0 < target < 1:
        msg = f"target is {target}; it must be in (0, 1); write 60% as 0.60."
        raise ParameterError(msg, code="bad_target")
    share = clustered_share(core_taps, taps_above, alpha=alpha)
    judged = "unclear"
    if share.users < LEAST_USERS or share.low is None or share.high is None:
        judged = "too_few"
    elif share.low >= target:
        judged = "above"
    elif share.high < target:
        judged = "below"
    core_users = int((np.asarray(core_taps) > 0).sum())
    seen = max(share.users if viewers is None else viewers, core_users)
    above = int(np.sum(taps_above))
    return CoreShare(
        page=page,
        by=by,
        core_taps=int(np.sum(core_taps)),
        taps_above=above,
        taps=above if taps is None else taps,
        share=share,
        core_users=core_users,
        viewers=seen,
        user_interval=wilson(Share(core_users, seen), alpha=alpha),
        folds=folds or Folds(),
        verdict=judged,
    )
