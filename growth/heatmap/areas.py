"""Where attention lies: zones of a page, and how F-shaped the first screen is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from growth.errors import DataError, ParameterError
from growth.heatmap.core import ClusteredShare, clustered_share
from growth.heatmap.grid import smooth
from growth.result import Cell, Estimate, Notice, Result
from growth.stats.arguments import generator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from growth.heatmap.geometry import Box
    from growth.heatmap.grid import CellUsers

__all__ = ["FIndex", "Zone", "Zones", "f_index", "zones_from_pairs"]

MASS: Final = 0.5
ROUNDS: Final = 200
STABLE: Final = 0.5  # median Jaccard of bootstrapped zones below which they are not
LEAST_TAPS: Final = 50
# the letter F on a first screen: (left, right) in shares of the width, (top, bottom)
F_BARS: Final = ((0.0, 1.0, 0.0, 0.2), (0.0, 0.7, 0.35, 0.5), (0.0, 0.3, 0.0, 1.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """One connected part of the smallest area that holds half of the taps.

    Parameters
    ----------
    x0_rpx, x1_rpx, y0_rpx, y1_rpx : int
        The box around it.
    taps, users : int
        In it.
    share : ClusteredShare
        Its share of the page's taps.
    element_id : str or None
        The nearest element, where boxes are given.
    """

    x0_rpx: int
    x1_rpx: int
    y0_rpx: int
    y1_rpx: int
    taps: int
    users: int
    share: ClusteredShare
    element_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FIndex:
    """How much more of the first screen's taps an F holds than its mirror image.

    Parameters
    ----------
    value, low, high : float or None
        ``(L - R)/(L + R)`` with L, R the taps only in the F, only in its mirror; in
        [-1, 1]; None under 50 such taps. A bootstrap interval over users.
    left, right : int
        L and R.
    f_rate, area_rate : float or None
        Share of the first screen's taps in the F; share of its area that the F is.
    fold_rpx : float
        The median fold, to which the letter is scaled.
    """

    value: float | None
    low: float | None
    high: float | None
    left: int
    right: int
    f_rate: float | None
    area_rate: float
    fold_rpx: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Zones(Result):
    """Zones of attention on one page, the heaviest first.

    Parameters
    ----------
    page : str
        The page.
    zones : tuple of Zone
        8-connected parts of the smallest set of smoothed cells with half the taps.
    mass : float
        The half.
    stability : float or None
        Median Jaccard overlap with zones of users drawn anew.
    taps : int
        On the page.
    f : FIndex, optional
        Where the fold is known.
    """

    page: str
    zones: tuple[Zone, ...]
    mass: float
    stability: float | None
    taps: int
    f: FIndex | None = None

    @property
    def verdict(self) -> str:
        """Whether the zones stand when users are drawn anew."""
        if self.stability is None:
            return "heatmap.zones.empty"
        if self.stability < STABLE:
            return "heatmap.zones.unstable"
        return "heatmap.zones.stable"

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row a zone."""
        return [
            {
                "zone": i + 1,
                "x0_rpx": z.x0_rpx,
                "x1_rpx": z.x1_rpx,
                "y0_rpx": z.y0_rpx,
                "y1_rpx": z.y1_rpx,
                "taps": z.taps,
                "users": z.users,
                "tap_rate": z.share.rate,
                "ci_low": z.share.low,
                "ci_high": z.share.high,
                "element_id": z.element_id,
            }
            for i, z in enumerate(self.zones)
        ]

    def estimates(self) -> tuple[Estimate, ...]:
        """Return the F index."""
        if self.f is None:
            return ()
        return (
            Estimate(
                key="heatmap.f_index",
                by=(("page", self.page),),
                value=self.f.value,
                lo=self.f.low,
                hi=self.f.high,
                level=0.95,
                n=self.f.left + self.f.right,
                method="bootstrap",
            ),
        )


def zones_from_pairs(
    pairs: CellUsers,
    *,
    sigma_rpx: float = 20.0,
    mass: float = MASS,
    boxes: Sequence[Box] = (),
    fold_rpx: float | None = None,
    seed: int = 0,
    rounds: int = ROUNDS,
) -> Zones:
    """Find the zones of a page from who tapped where.

    Parameters
    ----------
    pairs : CellUsers
        Of one page; `aggregate(..., pairs=True)` has them.
    sigma_rpx : float, default 20
        Of the smoothing.
    mass : float, default 0.5
        Share of taps the zones hold, in (0, 1).
    boxes : sequence of Box
        Elements, to name the nearest.
    fold_rpx : float, optional
        Median fold; without it there is no F index.
    seed : int, default 0
        Of the bootstrap.
    rounds : int, default 200
        Of the bootstrap.

    Returns
    -------
    Zones
        Deterministic for a seed.

    Raises
    ------
    ParameterError
        If `mass` is no share (code ``bad_mass``) or sigma is bad (``bad_sigma``).
    DataError
        If there is no tap (code ``no_taps``).
    """
    if not 0 < mass < 1:
        msg = f"mass is {mass}; it must be in (0, 1); write 50% as 0.5."
        raise ParameterError(msg, code="bad_mass")
    if not len(pairs.cell):
        msg = f"page {pairs.page!r} has no tap; zones must have taps; check the page."
        raise DataError(msg, code="no_taps")
    from scipy.ndimage import label

    rows = int(pairs.cell[-1]) // pairs.cols + 1
    shape = (rows, pairs.cols)
    sigma = sigma_rpx / pairs.cell_rpx
    inside = _smallest(_counts(pairs, shape), sigma, mass)
    parts, n = label(inside, structure=np.ones((3, 3)))
    number = parts.ravel()[pairs.cell]
    each = np.bincount(pairs.user, pairs.taps)
    found = []
    for i in range(1, n + 1):
        mine = number == i
        row, col = np.nonzero(parts == i)
        hits = np.bincount(pairs.user[mine], pairs.taps[mine], minlength=len(each))
        side = pairs.cell_rpx
        x0, x1 = int(col.min()) * side, int(col.max() + 1) * side
        y0, y1 = int(row.min()) * side, int(row.max() + 1) * side
        found.append(
            Zone(
                x0_rpx=x0,
                x1_rpx=x1,
                y0_rpx=y0,
                y1_rpx=y1,
                taps=int(hits.sum()),
                users=int((hits > 0).sum()),
                share=clustered_share(hits, each),
                element_id=_nearest((x0 + x1) / 2, (y0 + y1) / 2, boxes),
            )
        )
    stability = _stability(pairs, shape, sigma, mass, inside, seed, rounds)
    f = None if fold_rpx is None else f_index(pairs, fold_rpx, seed=seed)
    notices = [Notice("zones_for_pictures", "info")]
    if f is not None:
        notices.append(Notice("f_index_descriptive", "info"))
    return Zones(
        page=pairs.page,
        zones=tuple(sorted(found, key=lambda z: (-z.taps, z.y0_rpx, z.x0_rpx))),
        mass=mass,
        stability=stability,
        taps=int(pairs.taps.sum()),
        f=f,
        notices=tuple(notices),
    )


def f_index(
    pairs: CellUsers, fold_rpx: float, *, seed: int = 0, rounds: int = ROUNDS
) -> FIndex:
    """Compare the taps in an F on the first screen with those in its mirror image.

    Parameters
    ----------
    pairs : CellUsers
        Of one page; a cell counts where its centre lies.
    fold_rpx : float
        Median fold, positive; the letter is as high.
    seed, rounds : int
        Of the bootstrap over users.

    Returns
    -------
    FIndex
        Descriptive: taps follow buttons.

    Raises
    ------
    ParameterError
        If the fold is not positive (code ``bad_fold``).

    Notes
    -----
    The F: the top bar (0-20 %), a second bar (35-50 %, to 70 % of the width), the
    stem (to 30 % of the width).
    """
    if not fold_rpx > 0:
        msg = f"fold_rpx is {fold_rpx}; it must be positive; take the median fold."
        raise ParameterError(msg, code="bad_fold")
    row, col = np.divmod(pairs.cell, pairs.cols)
    x, y = (col + 0.5) / pairs.cols, (row + 0.5) * pairs.cell_rpx / fold_rpx
    first = y < 1
    letter, mirror = _in_f(x, y) & first, _in_f(1 - x, y) & first
    users = int(pairs.user.max(initial=-1)) + 1
    only = [
        np.bincount(pairs.user[m], pairs.taps[m], minlength=users)
        for m in (letter & ~mirror, mirror & ~letter)
    ]
    left, right = (int(part.sum()) for part in only)
    value = low = high = None
    if left + right >= LEAST_TAPS:
        value = (left - right) / (left + right)
        rng = generator(seed)
        drawn = []
        for _ in range(rounds):
            weight = rng.poisson(1.0, users)
            a, b = (float(part @ weight) for part in only)
            if a + b:
                drawn.append((a - b) / (a + b))
        low, high = np.quantile(drawn, (0.025, 0.975)).tolist()
        low, high = min(low, value), max(high, value)
    shown = int(pairs.taps[first].sum())
    grid = (np.arange(1000) + 0.5) / 1000
    across, down = np.meshgrid(grid, grid)
    return FIndex(
        value=value,
        low=low,
        high=high,
        left=left,
        right=right,
        f_rate=int(pairs.taps[letter].sum()) / shown if shown else None,
        area_rate=float(_in_f(across, down).mean()),
        fold_rpx=float(fold_rpx),
    )


def _in_f(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    found = np.zeros(np.shape(x), bool)
    for left, right, top, bottom in F_BARS:
        found |= (x >= left) & (x < right) & (y >= top) & (y < bottom)
    return found


def _counts(
    pairs: CellUsers,
    shape: tuple[int, int],
    weight: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    taps = pairs.taps if weight is None else pairs.taps * weight[pairs.user]
    flat = np.bincount(pairs.cell, taps, minlength=shape[0] * shape[1])
    return np.asarray(flat.reshape(shape), dtype=np.float64)


def _smallest(
    counts: NDArray[np.float64], sigma: float, mass: float
) -> NDArray[np.bool_]:
    """Return the fewest cells of the smoothed map that hold `mass` of it."""
    soft = smooth(counts, sigma).ravel()
    order = np.argsort(-soft, kind="stable")
    running = np.cumsum(soft[order])
    enough = int(np.searchsorted(running, mass * running[-1] * (1 - 1e-12))) + 1
    inside = np.zeros(len(soft), bool)
    inside[order[:enough]] = True
    return np.asarray(inside.reshape(counts.shape))


def _stability(
    pairs: CellUsers,
    shape: tuple[int, int],
    sigma: float,
    mass: float,
    inside: NDArray[np.bool_],
    seed: int,
    rounds: int,
) -> float:
    rng = generator(seed)
    users = int(pairs.user.max()) + 1
    overlaps = []
    for _ in range(rounds):
        counts = _counts(pairs, shape, rng.poisson(1.0, users).astype(np.float64))
        if not counts.any():
            continue
        again = _smallest(counts, sigma, mass)
        overlaps.append((again & inside).sum() / (again | inside).sum())
    return float(np.median(overlaps)) if overlaps else 0.0


def _nearest(x: float, y: float, boxes: Sequence[Box]) -> str | None:
    def away(b: Box) -> tuple[float, float]:
        dx = max(b.left - x, 0, x - b.left - b.width)
        dy = max(b.top - y, 0, y - b.top - b.height)
        return dx * dx + dy * dy, b.area

    return min(boxes, key=away).element_id if boxes else None
