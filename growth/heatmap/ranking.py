"""Which elements earn their place: taps, who saw them, who tapped them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from growth.heatmap.signals import rate_of
from growth.result import Cell, Estimate, Result
from growth.stats.arguments import generator
from growth.stats.contrast import Interval  # noqa: TC001  (a result's types are read)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from growth.heatmap.maps import By

__all__ = ["BLANK", "ElementRank", "Elements", "pull_intervals", "ranked"]

BLANK: Final = "blank"  # taps on no element, where boxes say so
LEAST_IMPRESSIONS: Final = 200
DEAD_RATE: Final = 0.02
SMALL_RPX: Final = 40  # 20 px of 375: too small for a thumb
ROUNDS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementRank:
    """One element of one page.

    Parameters
    ----------
    page, element_id : str
        Where and what.
    taps, users : int
        Taps, and distinct users who tapped.
    tap_rate : float
        Share of the page's taps.
    saw : int
        Users who saw it (an impression, or a tap), or else the page's viewers.
    ctr, ctr_low, ctr_high : float or None
        Users who tapped over users who saw, with Wilson's interval.
    impressions : int or None
        Impression rows; None where none are recorded.
    pull, pull_low, pull_high : float or None
        Tap share over impression share, with a bootstrap interval over users.
    x_rpx, y_rpx : float or None
        Median position of its taps.
    above_fold_rate : float or None
        Share of its taps above the fold.
    dead, small : bool
        Seen 200 times and tapped by under 2 % for sure; a side under 40 rpx.
    by : tuple of (str, str or None)
        Column and value of each breakdown.
    """

    page: str
    element_id: str
    taps: int
    users: int
    tap_rate: float
    saw: int
    ctr: float | None
    ctr_low: float | None
    ctr_high: float | None
    impressions: int | None = None
    pull: float | None = None
    pull_low: float | None = None
    pull_high: float | None = None
    x_rpx: float | None = None
    y_rpx: float | None = None
    above_fold_rate: float | None = None
    dead: bool = False
    small: bool = False
    by: By = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Elements(Result):
    """Elements by what they earn, the surest first.

    Parameters
    ----------
    alpha : float
        Level of the intervals.
    items : tuple of ElementRank
        By page; in a page by the low end of the CTR, so that 1 of 1 never leads.
    """

    alpha: float
    items: tuple[ElementRank, ...]

    @property
    def verdict(self) -> str:
        """Whether an element is dead."""
        if not self.items:
            return "heatmap.elements.empty"
        if any(item.dead for item in self.items):
            return "heatmap.elements.dead"
        return "heatmap.elements.ranked"

    @property
    def dead(self) -> tuple[ElementRank, ...]:
        """The dead elements."""
        return tuple(item for item in self.items if item.dead)

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row an element."""
        return [
            {
                "page": i.page,
                **dict(i.by),
                "element_id": i.element_id,
                "ctr": i.ctr,
                "ci_low": i.ctr_low,
                "ci_high": i.ctr_high,
                "taps": i.taps,
                "users": i.users,
                "saw": i.saw,
                "tap_rate": i.tap_rate,
                "taps_per_user": i.taps / i.users if i.users else None,
                "pull": i.pull,
                "pull_low": i.pull_low,
                "pull_high": i.pull_high,
                "x_rpx": i.x_rpx,
                "y_rpx": i.y_rpx,
                "above_fold_rate": i.above_fold_rate,
                "dead": i.dead,
            }
            for i in self.items
        ]

    def estimates(self) -> tuple[Estimate, ...]:
        """Return each element's CTR."""
        return tuple(
            Estimate(
                key="heatmap.ctr",
                by=(
                    ("page", i.page),
                    ("element_id", i.element_id),
                    *((name, value or "") for name, value in i.by),
                ),
                value=i.ctr,
                lo=i.ctr_low,
                hi=i.ctr_high,
                level=1 - self.alpha,
                n=i.saw,
                unit="share",
                method="wilson",
            )
            for i in self.items
        )


def ranked(
    page: str,
    element_id: str,
    *,
    taps: int,
    users: int,
    saw: int,
    page_taps: int,
    impressions: int | None = None,
    pull: tuple[float | None, Interval | None] = (None, None),
    place: tuple[float | None, float | None, float | None] = (None, None, None),
    size: tuple[float, float] | None = None,
    alpha: float = 0.05,
    by: By = (),
) -> ElementRank:
    """Judge one element from its counts.

    Parameters
    ----------
    page, element_id : str
        Where and what.
    taps, users, saw : int
        Taps, users who tapped, users who saw; ``users <= saw``.
    page_taps : int
        Taps of the whole page.
    impressions : int, optional
        Impression rows.
    pull : tuple
        Tap share over impression share, and its interval.
    place : tuple of float
        Median x and y in rpx, share above the fold.
    size : tuple of float, optional
        Width and height in rpx.
    alpha : float, default 0.05
        Level of the interval.
    by : tuple
        Column and value of each breakdown.

    Returns
    -------
    ElementRank
        With Wilson's interval; dead where at least 200 impressions (or, where none
        are recorded, users who saw it) leave the high end under 2 %.
    """
    rate, ends = rate_of(users, saw, alpha)
    low, high = ends or (None, None)
    shown = saw if impressions is None else impressions
    value, spread = pull
    x, y, above = place
    return ElementRank(
        page=page,
        element_id=element_id,
        taps=taps,
        users=users,
        tap_rate=taps / page_taps if page_taps else 0.0,
        saw=saw,
        ctr=rate,
        ctr_low=low,
        ctr_high=high,
        impressions=impressions,
        pull=value,
        pull_low=spread[0] if spread else None,
        pull_high=spread[1] if spread else None,
        x_rpx=x,
        y_rpx=y,
        above_fold_rate=above,
        dead=shown >= LEAST_IMPRESSIONS
        and high is not None
        and high < DEAD_RATE
        and element_id != BLANK,
        small=size is not None and min(size) < SMALL_RPX,
        by=by,
    )


def pull_intervals(
    taps: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]],
    shown: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]],
    n_elements: int,
    *,
    seed: int = 0,
    alpha: float = 0.05,
    rounds: int = ROUNDS,
) -> list[tuple[float | None, Interval | None]]:
    """Return each element's pull, with percentile intervals over users drawn anew.

    Parameters
    ----------
    taps, shown : tuple of three ndarrays
        Element, user and count of each pair that occurs.
    n_elements : int
        Elements.
    seed : int, default 0
        Of the draws.
    alpha : float, default 0.05
        Level.
    rounds : int, default 200
        Draws; each user counts Poisson(1) times.

    Returns
    -------
    list of (float or None, interval or None)
        By element; None where it was never shown.
    """
    users = 1 + max((int(p[1].max()) for p in (taps, shown) if len(p[1])), default=0)
    rng = generator(seed)

    def pulls(weight: NDArray[np.float64] | None) -> NDArray[np.float64]:
        shares = []
        for element, user, count in (taps, shown):
            weights = count if weight is None else count * weight[user]
            sums = np.bincount(element, weights, minlength=n_elements)
            shares.append(sums / max(sums.sum(), 1e-300))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(shares[0] / shares[1])

    drawn = np.array(
        [pulls(rng.poisson(1.0, users).astype(np.float64)) for _ in range(rounds)]
    )
    found: list[tuple[float | None, Interval | None]] = []
    for value, column in zip(pulls(None).tolist(), drawn.T, strict=True):
        fine = column[np.isfinite(column)]
        if not np.isfinite(value) or not len(fine):
            found.append((None, None))
            continue
        low, high = np.quantile(fine, (alpha / 2, 1 - alpha / 2)).tolist()
        found.append((value, (min(low, value), max(high, value))))
    return found
