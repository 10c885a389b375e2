"""How far people scroll: each view, or user, counts once, at its deepest."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from growth.errors import DataError, ParameterError
from growth.heatmap.geometry import MOST_RPX
from growth.result import Cell, Estimate, Result
from growth.stats.contrast import Interval  # noqa: TC001  (a result's types are read)
from growth.stats.proportions import Share, wilson

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from growth.heatmap.grid import Grid
    from growth.heatmap.maps import By

__all__ = ["ScrollPage", "ScrollReach", "scroll_from_depths"]

STEP: Final = 100  # rpx between the points of the curve that rows show
DROP: Final = 0.10  # of units lost within a step: a false bottom
MOST_POINTS: Final = 60


@dataclass(frozen=True, slots=True)
class ScrollPage:
    """Reach of one page.

    Parameters
    ----------
    page : str
        The page.
    counts : tuple of int
        Units by depth in whole rpx: ``counts[d]`` reached d and not d + 1.
    fold_rpx : tuple of (float, float, float), optional
        Folds: p10, median, p90.
    page_rpx : float, optional
        Median height of the page.
    without_depth : int
        Units whose window height is not known; in no count.
    by : tuple of (str, str or None)
        Column and value of each breakdown.
    """

    page: str
    counts: tuple[int, ...]
    fold_rpx: tuple[float, float, float] | None = None
    page_rpx: float | None = None
    without_depth: int = 0
    by: By = ()

    @property
    def units(self) -> int:
        """Units with a depth."""
        return sum(self.counts)

    def deep(self) -> NDArray[np.int64]:
        """Return the units at least so deep, by whole rpx from 0."""
        counts = np.asarray(self.counts, dtype=np.int64)
        return np.cumsum(counts[::-1])[::-1]

    def at_least(self, depth_rpx: float) -> int:
        """Return the units at least so deep."""
        at = max(0, -int(-depth_rpx // 1))  # up to the next whole rpx
        return int(sum(self.counts[at:]))

    def reach(self, depth_rpx: float) -> float | None:
        """Return the share of units at least so deep; None without units."""
        return self.at_least(depth_rpx) / self.units if self.units else None

    def interval(self, depth_rpx: float, *, alpha: float = 0.05) -> Interval | None:
        """Return Wilson's interval of `reach`."""
        return wilson(Share(self.at_least(depth_rpx), self.units), alpha=alpha)

    @property
    def median_rpx(self) -> int | None:
        """The depth that half of the units reach."""
        if not self.units:
            return None
        return int(np.flatnonzero(2 * self.deep() >= self.units)[-1])

    def views_at(self, grid: Grid) -> NDArray[np.int64]:
        """Return how many units saw the top of each row of a grid."""
        deep = np.append(self.deep(), 0)
        tops = np.arange(grid.rows) * grid.cell_rpx
        return np.asarray(deep[np.minimum(tops, len(deep) - 1)])

    def false_bottoms(self) -> tuple[tuple[int, float], ...]:
        """Return where more than 10 points are lost within 100 rpx.

        Returns
        -------
        tuple of (int, float)
            The depth at which the loss begins, and the share lost; the steepest of
            windows that overlap. The page's own end is none.
        """
        deep = self.deep() / max(self.units, 1)
        end = len(deep)
        later = np.append(deep, np.zeros(STEP))[STEP : STEP + end]
        lost = np.where(deep > 0, deep - later, 0)
        if self.page_rpx is not None:
            lost[max(0, int(self.page_rpx) - STEP) :] = 0
        elif end:
            lost[max(0, end - STEP) :] = 0
        found: list[tuple[int, float]] = []
        while len(lost) and float(lost.max()) > DROP + 1e-12:
            at = int(lost.argmax())
            found.append((at, float(lost[at])))
            lost[max(0, at - STEP + 1) : at + STEP] = 0
        return tuple(sorted(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrollReach(Result):
    """What share of views reaches how deep, page by page.

    Parameters
    ----------
    unit : str
        ``view`` (a page view) or ``user``: each counts once, at its deepest.
    pages : tuple of ScrollPage
        One a page and breakdown.
    """

    unit: str
    pages: tuple[ScrollPage, ...]

    @property
    def verdict(self) -> str:
        """Whether a page has a false bottom."""
        if not any(page.units for page in self.pages):
            return "heatmap.scroll.empty"
        if any(page.false_bottoms() for page in self.pages):
            return "heatmap.scroll.false_bottom"
        return "heatmap.scroll.smooth"

    def page(self, name: str | None = None) -> ScrollPage:
        """Return one page; the name may be left out where there is one.

        Parameters
        ----------
        name : str, optional
            The page.

        Returns
        -------
        ScrollPage
            The first of that name.

        Raises
        ------
        ParameterError
            If there is none (code ``unknown_page``).
        """
        for page in self.pages:
            if name in (None, page.page):
                return page
        msg = f"page is {name!r}; it must be one of {[p.page for p in self.pages][:8]};"
        raise ParameterError(f"{msg} name one.", code="unknown_page")

    def rows(self) -> list[dict[str, Cell]]:
        """Return the curve: one row a page and step of 100 rpx, 60 at most a page."""
        found: list[dict[str, Cell]] = []
        for page in self.pages:
            last = len(page.counts) - 1
            step = STEP * max(1, -(-last // (STEP * MOST_POINTS)))
            for depth in range(0, last + 1, step):
                low, high = page.interval(depth) or (None, None)
                row: dict[str, Cell] = {"page": page.page, **dict(page.by)}
                row |= {"depth_rpx": depth, "reach_rate": page.reach(depth)}
                found.append(row | {"ci_low": low, "ci_high": high})
        return found

    def summary_rows(self) -> list[dict[str, Cell]]:
        """Return one row a page: units, median depth, reach of the end."""
        return [
            {
                "page": p.page,
                **dict(p.by),
                "units": p.units,
                "median_rpx": p.median_rpx,
                "page_rpx": p.page_rpx,
                "end_rate": None if p.page_rpx is None else p.reach(p.page_rpx - 1),
                "false_bottoms": len(p.false_bottoms()),
                "without_depth": p.without_depth,
            }
            for p in self.pages
        ]

    def estimates(self) -> tuple[Estimate, ...]:
        """Return the median depth of each page."""
        return tuple(
            Estimate(
                key="heatmap.median_depth",
                by=(("page", p.page), *((name, value or "") for name, value in p.by)),
                value=None if p.median_rpx is None else float(p.median_rpx),
                n=p.units,
                unit="count",
            )
            for p in self.pages
        )


def scroll_from_depths(
    depths_rpx: ArrayLike,
    *,
    page: str = "",
    by: By = (),
    folds: tuple[float, float, float] | None = None,
    page_rpx: float | None = None,
) -> ScrollPage:
    """Count units by their depth.

    Parameters
    ----------
    depths_rpx : array_like of float, shape (units,)
        The deepest point each unit saw, in rpx; NaN where it is not known.
    page, by : str, tuple
        What it is of.
    folds : tuple of float, optional
        Folds in rpx: p10, median, p90.
    page_rpx : float, optional
        Height of the page.

    Returns
    -------
    ScrollPage
        ``reach(0)`` is 1, and it never rises.

    Raises
    ------
    DataError
        If a depth is negative (code ``bad_depth``).

    Examples
    --------
    >>> page = scroll_from_depths([1200, 1200, 2400.5])
    >>> page.reach(1200), round(page.reach(1201), 3), page.median_rpx
    (1.0, 0.333, 1200)
    """
    depths = np.asarray(depths_rpx, dtype=np.float64)
    known = np.isfinite(depths)
    whole = np.floor(depths[known])
    if len(whole) and whole.min() < 0:
        msg = f"a depth is {whole.min():g} rpx; depths must be 0 or more; check"
        raise DataError(f"{msg} scroll_y_px and win_h_px.", code="bad_depth")
    counts = np.bincount(np.minimum(whole, MOST_RPX).astype(np.int64))
    return ScrollPage(
        page=page,
        counts=tuple(counts.tolist()),
        fold_rpx=folds,
        page_rpx=page_rpx,
        without_depth=int((~known).sum()),
        by=by,
    )


def never_rises(page: ScrollPage) -> bool:
    """Whether the curve only falls: for tests and for those who merge counts."""
    return all(a >= b for a, b in pairwise(page.deep().tolist()))
