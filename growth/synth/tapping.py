"""Where fingers land: elements in design units, devices of differing width and fold."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from growth.synth.base import (
    DAY_MS,
    Coded,
    Piece,
    hex_ids,
    midnight_ms,
    need,
    stream,
    table,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DEVICES", "HOME", "ITEM", "Device", "Element", "land", "rage_runs", "taps"]

DESIGN_RPX = 750.0


@dataclass(frozen=True, slots=True)
class Device:
    """A model, its share of users, and its window in logical px."""

    model: str
    platform: str
    level: int
    share: float
    win_w: int
    win_h: int


DEVICES = (
    Device("HUAWEI Mate 40", "android", 1, 0.14, 360, 692),
    Device("Redmi Note 12", "android", 3, 0.16, 393, 785),
    Device("OPPO Reno 9", "android", 2, 0.13, 360, 716),
    Device("vivo Y77", "android", 3, 0.10, 412, 823),
    Device("iPhone SE 2", "ios", 3, 0.07, 375, 603),
    Device("iPhone 13", "ios", 1, 0.17, 390, 753),
    Device("iPhone 15 Pro Max", "ios", 1, 0.13, 430, 839),
    Device("HUAWEI Pura 70", "ohos", 1, 0.07, 402, 790),
    Device("iPad 9", "ios", 2, 0.02, 768, 954),
    Device("PC", "windows", 1, 0.01, 1024, 698),
)


@dataclass(frozen=True, slots=True)
class Element:
    """A box in rpx from the page's top left, and how often a view taps it.

    `tap_rate` is the probability that one view of the page has a tap on it (for a
    rage spot: a run of taps). A `fixed` element keeps its place on the screen; `top`
    then counts from the window's bottom edge, upwards.
    """

    name: str
    kind: str
    left: float
    top: float
    width: float
    height: float
    tap_rate: float
    fixed: bool = False


HOME = (
    Element("search_box", "input", 30, 20, 690, 72, 0.10),
    Element("banner_main", "swiper", 30, 120, 690, 320, 0.22),
    Element("nav_grid", "grid", 30, 470, 690, 240, 0.15),
    Element("card", "card", 30, 760, 690, 240, 0.0),
    Element("tab_bar", "tab", 0, 100, 750, 100, 0.12, fixed=True),
)
ITEM = (
    Element("gallery", "swiper", 0, 0, 750, 750, 0.30),
    Element("btn_coupon", "button", 520, 800, 200, 72, 0.62),
    Element("img_badge", "image", 30, 800, 160, 72, 0.003),
    Element("tab_reviews", "tab", 30, 1000, 330, 80, 0.15),
    Element("btn_notify", "button", 30, 1400, 320, 80, 0.02),
    Element("btn_add_cart", "button", 400, 110, 330, 90, 0.0, fixed=True),
)
HOT, DEAD, RAGE = "btn_coupon", "img_badge", "btn_notify"
RAGE_TAPS = (4, 7)  # taps in a run, both ends included
RAGE_GAP_MS = (120, 420)
RAGE_SPREAD_RPX = 6.0
NO_SCROLL_RATE = 0.35
SCROLL_RPX = 900.0


@dataclass(frozen=True, slots=True, eq=False)
class Landing:
    """Coordinates of taps in logical px, float32 arrays of one length."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    client_y: NDArray[np.float32]
    scroll_y: NDArray[np.float32]


def land(
    rng: np.random.Generator,
    box: NDArray[np.float64],
    fixed: NDArray[np.bool_],
    win_w: NDArray[np.float64],
    win_h: NDArray[np.float64],
    page_rpx: float,
) -> Landing:
    """Draw where taps on boxes fall, on windows of differing size.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the draws come from.
    box : ndarray of float, shape (n, 4)
        Left, top, width, height in rpx of the element that each tap is on.
    fixed : ndarray of bool, shape (n,)
        Whether `top` counts upwards from the window's bottom edge.
    win_w, win_h : ndarray of float, shape (n,)
        Window in logical px.
    page_rpx : float
        Page height in rpx.

    Returns
    -------
    Landing
        Inside the box and the page; the page is scrolled so that the tap shows.
    """
    n = len(box)
    # the mean of three uniforms: near the middle, never outside
    inside = rng.random((n, 2, 3)).mean(axis=2)
    scale = win_w / DESIGN_RPX
    x = (box[:, 0] + inside[:, 0] * box[:, 2]) * scale
    depth = inside[:, 1] * box[:, 3]
    room = np.maximum(page_rpx * scale - win_h, 0)
    y = np.where(fixed, 0.0, (box[:, 1] + depth) * scale)
    wanted = y - win_h * rng.uniform(0.15, 0.85, n)
    idle = np.minimum(rng.exponential(SCROLL_RPX, n) * scale, room)
    scroll = np.where(fixed, idle, np.clip(wanted, 0, room)).round()
    client = np.where(fixed, win_h - (box[:, 1] - depth) * scale, y - scroll)
    client = np.clip(client, 0, win_h - 1)
    return Landing(
        *(part.astype(np.float32) for part in (x, client + scroll, client, scroll))
    )


def rage_runs(
    rng: np.random.Generator, n: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw runs of angry taps.

    Returns
    -------
    run : ndarray of int64
        Position of the run, one entry a tap, sorted.
    offset_ms : ndarray of int64
        Time since the run's first tap.
    """
    size = rng.integers(RAGE_TAPS[0], RAGE_TAPS[1] + 1, n)
    run = np.repeat(np.arange(n), size)
    gap = rng.integers(*RAGE_GAP_MS, len(run))
    first = np.r_[True, run[1:] != run[:-1]][: len(run)]
    since = np.cumsum(gap)
    return run, since - np.repeat(since[first], size)


def boxes(elements: tuple[Element, ...]) -> NDArray[np.float64]:
    """Return left, top, width, height of elements, shape (k, 4)."""
    return np.array([(e.left, e.top, e.width, e.height) for e in elements])


def taps(
    *,
    seed: int,
    users: int = 2_000,
    views: float = 3.0,
    elements: tuple[Element, ...] = ITEM,
    rage: str | None = RAGE,
    page_rpx: float = 2_400.0,
    page_path: str = "pages/item/detail",
    days: int = 7,
    start: date = date(2026, 2, 1),
) -> Piece:
    """Make taps on one page, with known rates per element.

    Parameters
    ----------
    seed : int
        0 or more.
    users : int, default 2_000
        Each views the page at least once.
    views : float, default 3
        Mean views a user, at least 1.
    elements : tuple of Element
        What is on the page; the rates are per view.
    rage : str or None
        Element on which a tap is a run of angry taps.
    page_rpx : float
        Page height in rpx.
    page_path : str
        Its path.
    days : int, default 7
        Local days of the log.
    start : datetime.date
        First day.

    Returns
    -------
    Piece
        `data`: events ``page_view``, ``impression`` (each element, each view) and
        ``tap``. `truth`: per element its rate per view and box, ``rage``, ``views``.

    Raises
    ------
    ParameterError
        If a number is out of range.
    """
    need("users", users, 1)
    need("views", views, 1)
    rng = stream(seed, "taps")
    ids = np.sort(hex_ids(rng, users))
    device = rng.choice(len(DEVICES), users, p=[d.share for d in DEVICES])
    viewer = np.repeat(np.arange(users), 1 + rng.poisson(views - 1, users))
    n, k = len(viewer), len(elements)
    begun = midnight_ms(start) + rng.integers(0, days * DAY_MS - 600_000, n)
    view, what = np.nonzero(rng.random((n, k)) < [e.tap_rate for e in elements])
    late = rng.integers(1_500, 60_000, len(view))
    angry = [j for j, e in enumerate(elements) if e.name == rage]
    hit = np.flatnonzero(np.isin(what, angry))
    run, since = rage_runs(rng, len(hit))
    calm = np.delete(np.arange(len(view)), hit)
    pick = np.concatenate([calm, hit[run]])
    tapped, on = view[pick], what[pick]
    ts = begun[tapped] + late[pick]
    ts[len(calm) :] += since
    win = np.array([(d.win_w, d.win_h) for d in DEVICES], dtype=float)[device]
    fixed = np.array([e.fixed for e in elements])
    width, height = win[viewer[tapped]].T
    spot = land(rng, boxes(elements)[on], fixed[on], width, height, page_rpx)
    spot = gather(spot, rng, np.concatenate([np.full(len(calm), -1), run]))
    shown = np.tile(np.arange(k), n)
    blank = np.full(n + n * k, np.nan, dtype=np.float32)
    order_of = (viewer, np.repeat(viewer, k), viewer[tapped])
    user = np.concatenate(order_of)
    columns = {
        "ts": np.concatenate([begun, np.repeat(begun, k) + 300, ts]),
        "event": np.repeat([0, 1, 2], [n, n * k, len(on)]),
        "element_id": np.concatenate([np.full(n, -1), shown, on]),
        "x_px": np.r_[blank, spot.x],
        "y_px": np.r_[blank, spot.y],
        "client_y_px": np.r_[blank, spot.client_y],
        "scroll_y_px": np.r_[blank, spot.scroll_y],
    }
    order = np.lexsort((columns["event"], columns["ts"], user))
    words = {
        "event": ("page_view", "impression", "tap"),
        "element_id": tuple(e.name for e in elements),
    }
    win_w, win_h = win[user[order]].T
    data = table(
        {"user_id": Coded(user[order], ids)}
        | {
            name: Coded(v[order], words[name]) if name in words else v[order]
            for name, v in columns.items()
        }
        | {
            "page_path": Coded(np.zeros(len(user), int), (page_path,)),
            "win_w_px": win_w,
            "win_h_px": win_h,
            "page_h_px": page_rpx * win_w / DESIGN_RPX,
        }
    )
    return Piece(data, {**page_truth(elements), "rage": rage, "views": n}, {})


def gather(spot: Landing, rng: np.random.Generator, run: NDArray[np.int64]) -> Landing:
    """Move the taps of a run to where its first one fell, give or take a little.

    Parameters
    ----------
    spot : Landing
        Where each tap fell, runs in one piece.
    rng : numpy.random.Generator
        Where the draws come from.
    run : ndarray of int, shape (n,)
        Number of the run that a tap belongs to; -1 is none.

    Returns
    -------
    Landing
        Taps of a run within a circle of `RAGE_SPREAD_RPX`.
    """
    lead = np.arange(len(run))
    first = np.flatnonzero((run >= 0) & (np.r_[-1, run[:-1]] != run))
    lead[run >= 0] = first[run[run >= 0]]
    x, y, client, scroll = (
        part[lead] for part in (spot.x, spot.y, spot.client_y, spot.scroll_y)
    )
    away = rng.uniform(-RAGE_SPREAD_RPX / 4, RAGE_SPREAD_RPX / 4, (2, len(run)))
    away = np.where(run >= 0, away, 0).astype(np.float32)
    return Landing(x + away[0], y + away[1], client + away[1], scroll)


def page_truth(elements: tuple[Element, ...]) -> dict[str, object]:
    """Return the planted rate per view and box of each element."""
    return {
        "elements": {
            e.name: {
                "tap_rate_per_view": e.tap_rate,
                "box_rpx": [e.left, e.top, e.width, e.height],
                "fixed": e.fixed,
            }
            for e in elements
        },
        "rage_taps": list(RAGE_TAPS),
        "rage_gap_ms": list(RAGE_GAP_MS),
        "rage_spread_rpx": RAGE_SPREAD_RPX,
        "no_scroll_rate": NO_SCROLL_RATE,
        "scroll_mean_rpx": SCROLL_RPX,
    }
