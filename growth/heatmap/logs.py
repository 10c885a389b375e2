"""What a log of events says in order: page views, runs of taps, what follows a tap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from growth.heatmap.geometry import PAGE_RPX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from growth.heatmap.geometry import CoreArea
    from growth.heatmap.rows import Rows

__all__ = ["KINDS", "Views", "each_pair", "in_core", "page_views", "quick_backs"]

# the kinds of events a room tells apart; OTHER is any event besides
KINDS: Final = (
    "page_view",
    "app_hide",
    "tap",
    "scroll",
    "page_leave",
    "impression",
    "error",
)
VIEW, HIDE, TAP, SCROLL, LEAVE, SHOWN, ERROR, FAILED, OTHER = range(9)
IDLE_US: Final = 30 * 60 * 1_000_000  # a session ends after so long


class Views(NamedTuple):
    """Page views of a log.

    `rows` are positions in the log, sorted by user and time, that belong to a view;
    `view` is the number of the view of each; `first` the row that begins each view.
    """

    rows: NDArray[np.int64]
    view: NDArray[np.int64]
    first: NDArray[np.int64]


def _sorted(log: Rows, keys: tuple[NDArray[Any], ...]) -> NDArray[np.int64]:
    """Return rows by keys, the last first; ties by what is left of the rows."""
    order = np.lexsort(keys)
    tied = np.ones(max(len(order) - 1, 0), bool)
    for key in keys:
        tied &= key[order[1:]] == key[order[:-1]]
    if not tied.any():
        return order
    run = np.cumsum(np.r_[True, ~tied])
    at = np.flatnonzero(np.r_[tied, False] | np.r_[False, tied])
    some = order[at]
    left = [log.columns[name][some] for name in sorted(log.columns)
            if len(log.columns[name])]  # fmt: skip
    order[at] = some[np.lexsort((*left, log.group[some], run[at]))]
    return order


def in_order(log: Rows) -> NDArray[np.int64]:
    """Return rows by user and time; a page is left before the next one is viewed."""
    kind = log["kind"]
    rank = np.where(kind == LEAVE, 0, np.where(kind == VIEW, 1, 2))
    rank = np.where(kind == HIDE, 3, rank)
    return _sorted(log, (log.page, rank, log.ts, log.user))


def page_views(log: Rows) -> Views:
    """Tell which rows belong to which page view.

    Parameters
    ----------
    log : Rows
        With column `kind`; all page views and hides of its users.

    Returns
    -------
    Views
        A view runs from its ``page_view`` to the same user's next one, a hide, or
        half an hour of nothing; rows of other pages meanwhile are in no view.
    """
    order = in_order(log)
    kind, user = log["kind"][order], log.user[order]
    ts, page = log.ts[order], log.page[order]
    breaks = (kind == VIEW) | (kind == HIDE)
    breaks[:1] = True
    breaks[1:] |= (user[1:] != user[:-1]) | (ts[1:] - ts[:-1] >= IDLE_US)
    part = np.cumsum(breaks) - 1
    lead = np.flatnonzero(breaks)
    is_view = kind[lead] == VIEW
    belongs = is_view[part] & (page == page[lead][part])
    number = np.cumsum(is_view) - 1
    return Views(order[belongs], number[part][belongs], order[lead[is_view]])


def depths(log: Rows, views: Views) -> NDArray[np.float64]:
    """Return the deepest point each view saw, in rpx; NaN without a window height."""
    scroll = log["scroll_y_px"].astype(np.float64)
    if not len(scroll):
        scroll = np.zeros(len(log))
    scroll = np.where(np.isfinite(scroll), scroll, 0)
    if len(furthest := log["scroll_max_px"]):
        scroll = np.maximum(scroll, np.where(np.isfinite(furthest), furthest, 0))
    width = log["win_w_px"].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        seen = (scroll + log["win_h_px"]) * PAGE_RPX / width
    seen = np.where(np.isfinite(seen), seen, -1.0)
    found = np.full(len(views.first), -1.0)
    np.maximum.at(found, views.view, seen[views.rows])
    return np.where(found < 0, np.nan, found)


def by_user(
    log: Rows, views: Views, depth: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return group and depth of each user on each page, from those of the views."""
    key = log.group[views.first].astype(np.int64) << 32 | log.user[views.first]
    found, place = np.unique(key, return_inverse=True)
    deepest = np.full(len(found), -1.0)
    np.maximum.at(deepest, place, np.where(np.isfinite(depth), depth, -1.0))
    return found >> 32, np.where(deepest < 0, np.nan, deepest)


def screen_y(taps: Rows, fixed: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return y in px, on the page, or on the screen for fixed elements."""
    y = np.asarray(taps["y_px"], dtype=np.float64)
    client = taps["client_y_px"]
    if not len(client) or not fixed.any():
        return y
    return np.asarray(np.where(fixed & np.isfinite(client), client, y))


def in_core(
    taps: Rows, y: NDArray[np.float64], core: CoreArea, ids: tuple[str, ...]
) -> NDArray[np.bool_]:
    """Return which taps lie in the core area; `y` in px; edges belong to it."""
    x_rpx = taps.rpx("x_px")
    y_rpx = y * PAGE_RPX / taps["win_w_px"].astype(np.float64)
    share = y / taps["win_h_px"].astype(np.float64)
    found = np.zeros(len(taps), bool)
    for r in core.rects:
        down = share if r.relative else y_rpx
        found |= (
            (x_rpx >= r.left)
            & (x_rpx <= r.right)
            & (down >= r.top)
            & (down <= r.bottom)
        )
    if core.elements and len(taps["element_id"]):
        named = np.array([name in core.elements for name in ids] + [False])
        found |= named[taps["element_id"]]
    return found


def next_within(
    taps_user: NDArray[Any],
    taps_ts: NDArray[np.int64],
    user: NDArray[Any],
    ts: NDArray[np.int64],
    wait_us: int,
) -> NDArray[np.int64]:
    """Return the position of each tap's next event by the same user, -1 if too late.

    `user`, `ts` are sorted by both.
    """
    if not len(user):
        return np.full(len(taps_user), -1)
    low = min(int(ts.min()), int(taps_ts.min(initial=ts[0])))
    span = max(int(ts.max()), int(taps_ts.max(initial=ts[0]))) - low + 1
    keys = user.astype(np.int64) * span + (ts - low)
    mine = taps_user.astype(np.int64) * span + (taps_ts - low)
    at = np.searchsorted(keys, mine, side="left")
    inside = np.minimum(at, len(keys) - 1)
    good = (at < len(keys)) & (user[inside] == taps_user)
    good &= ts[inside] - taps_ts <= wait_us
    return np.where(good, inside, -1)


def quick_backs(log: Rows, within_us: int) -> NDArray[np.int64]:
    """Return the views after which the user was back on the page before, soon.

    Parameters
    ----------
    log : Rows
        Page views only.
    within_us : int
        How soon, in microseconds.

    Returns
    -------
    ndarray of int
        Rows of views of the page that was left so soon.
    """
    order = _sorted(log, (log.page, log.ts, log.user))
    user, page, ts = log.user[order], log.page[order], log.ts[order]
    if len(order) < 3:
        return np.zeros(0, np.int64)
    back = (user[:-2] == user[2:]) & (page[:-2] == page[2:]) & (page[:-2] != page[1:-1])
    back &= ts[2:] - ts[1:-1] < within_us
    return np.asarray(order[1:-1][back])


def each_pair(
    group: NDArray[Any], user: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the (group, user) pairs that occur, sorted, and how often each does."""
    key = group.astype(np.int64) << 32 | user.astype(np.int64)
    found, counts = np.unique(key, return_counts=True)
    return found >> 32, found & 0xFFFFFFFF, counts


def slices(group: NDArray[Any], n: int) -> Iterator[tuple[int, slice]]:
    """Yield each group of a sorted array, and where it lies."""
    edges = np.searchsorted(group, np.arange(n + 1))
    for g in range(n):
        if edges[g] < edges[g + 1]:
            yield g, slice(int(edges[g]), int(edges[g + 1]))


def median(values: NDArray[Any]) -> float | None:
    """Return the median of the finite values, None without any."""
    fine = values[np.isfinite(values)]
    return float(np.median(fine)) if len(fine) else None


def page_of(rows: Rows, group: int) -> tuple[str, tuple[Any, ...]]:
    """Return the page and the breakdown's values of a group."""
    page, *values = rows.groups[group]
    return rows.pages[page], tuple(values)


def distinct_users(rows: Rows | None) -> dict[Any, int]:
    """Count distinct users by page and breakdown."""
    if rows is None:
        return {}
    group, _, _ = each_pair(rows.group, rows.user)
    counts = np.bincount(group, minlength=len(rows.groups)).tolist()
    return {page_of(rows, g): n for g, n in enumerate(counts) if n}
