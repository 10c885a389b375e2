"""Design units, device classes, cells: where a point lies on a page 750 rpx wide."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

import numpy as np

from growth.errors import ParameterError, suggest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "CLASSES",
    "CORE",
    "DESKTOPS",
    "MOST_RPX",
    "PAGE_RPX",
    "Box",
    "CoreArea",
    "Device",
    "Rect",
    "bins",
    "check_cell",
    "check_device",
    "core_area",
    "hit",
]

PAGE_RPX: Final = 750  # a mini program's page is so wide on every device
SIDES: Final = (5, 10, 30, 50, 150, 250, 750)  # cells that divide it
STEPS: Final = 16  # positions are read in sixteenths of a logical px: exact in binary
MOST_RPX: Final = 40_000  # deeper taps are counted as `beyond`
PHONE_WIDTH_PX: Final = 500
DESKTOPS: Final = ("windows", "mac", "devtools")

Device = Literal["phone", "tablet", "wide"]
CLASSES: Final[tuple[Device, ...]] = get_args(Device)
Ints: TypeAlias = "NDArray[np.int64]"


def check_cell(cell_rpx: int) -> int:
    """Return the columns of a page in cells of `cell_rpx`.

    Parameters
    ----------
    cell_rpx : int
        Side of a cell in rpx: 5, 10, 30, 50, 150, 250 or 750.

    Returns
    -------
    int
        750 over the side.

    Raises
    ------
    ParameterError
        If it is none of these (code ``bad_cell_size``).
    """
    if cell_rpx not in SIDES:
        msg = f"cell_rpx is {cell_rpx}; it must be one of {list(SIDES)}, which divide a"
        msg = f"{msg} page of {PAGE_RPX} rpx; take 10."
        raise ParameterError(msg, code="bad_cell_size")
    return PAGE_RPX // int(cell_rpx)


def check_device(device_class: str) -> Device:
    """Return a device class by its name.

    Parameters
    ----------
    device_class : {"phone", "tablet", "wide"}
        Portrait and at most 500 logical px wide; portrait and wider; landscape or a
        desktop.

    Returns
    -------
    str
        The same.

    Raises
    ------
    ParameterError
        If there is no such class (code ``unknown_device``).
    """
    for known in CLASSES:
        if device_class == known:
            return known
    msg = f"device_class is {device_class!r}; it must be one of {list(CLASSES)}; name"
    msg = f"{msg} one, a map holds one class.{suggest(str(device_class), CLASSES)}"
    raise ParameterError(msg, code="unknown_device")


def bins(
    x_px: ArrayLike, y_px: ArrayLike, win_w_px: ArrayLike, *, cell_rpx: int = 10
) -> tuple[Ints, Ints]:
    """Return the column and row of points on the page.

    Parameters
    ----------
    x_px, y_px : array_like of float, shape (n,)
        From the page's top left, logical px; 0 or more, x at most the width.
    win_w_px : array_like of float, shape (n,)
        Window width, logical px, positive.
    cell_rpx : int, default 10
        Side of a cell.

    Returns
    -------
    col, row : ndarray of int64, shape (n,)
        From 0.

    Raises
    ------
    ParameterError
        If the side does not divide 750 (code ``bad_cell_size``).

    Notes
    -----
    ``q(v) = floor(16 v)``; ``col = min(750 q(x) // (q(w) c), 750/c - 1)``;
    ``row = 750 q(y) // (q(w) c)``. Integers, so every engine and machine agrees;
    ``(x / w) * 75`` in floats puts x = 264 of 360 px one column to the left.

    Examples
    --------
    >>> bins([264, 275, 286, 360], [0, 0, 0, 480], [360, 375, 390, 360])
    (array([55, 55, 55, 74]), array([  0,   0,   0, 100]))
    """
    cols = check_cell(cell_rpx)
    x, y, w = (_steps(v) for v in (x_px, y_px, win_w_px))
    width = w * int(cell_rpx)
    return np.minimum(x * PAGE_RPX // width, cols - 1), y * PAGE_RPX // width


def _steps(values: ArrayLike) -> Ints:
    wide = np.asarray(values, dtype=np.float64)
    return np.floor(wide * STEPS).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Rect:
    """A rectangle of a page; y in rpx, or as a share of the window's height.

    Parameters
    ----------
    left, right : float
        In rpx, 0..750.
    top, bottom : float
        In rpx from the page's top; with `relative`, shares of the window height.
    relative : bool
        Whether top and bottom are such shares.
    """

    left: float
    top: float
    right: float
    bottom: float
    relative: bool = False


@dataclass(frozen=True, slots=True)
class CoreArea:
    """What counts as the core of a screen: rectangles, or elements by id."""

    rects: tuple[Rect, ...] = ()
    elements: tuple[str, ...] = ()


CORE: Final = CoreArea((Rect(75, 0.15, 675, 0.75, relative=True),))


def core_area(core: Sequence[Mapping[str, Any] | str] | CoreArea | None) -> CoreArea:
    """Read what a caller calls the core of a screen.

    Parameters
    ----------
    core : sequence of mapping or str, optional
        Rectangles ``{"left": 75, "top": "0.15h", "right": 675, "bottom": "0.75h"}``,
        in rpx; top and bottom either both in rpx or both as shares of the window's
        height, with an ``h``. Or ids of elements. The default if omitted.

    Returns
    -------
    CoreArea
        Rectangles and elements.

    Raises
    ------
    ParameterError
        If a rectangle is empty, outside the page or misspelt (code
        ``bad_core_area``).
    """
    if core is None:
        return CORE
    if isinstance(core, CoreArea):
        return core
    if isinstance(core, str) or not core:
        msg = f"core is {core!r}; it must be a list of rectangles or element ids; pass"
        msg = f"{msg} core=['buy'], or leave it out."
        raise ParameterError(msg, code="bad_core_area")
    rects = [_rect(item) for item in core if not isinstance(item, str)]
    return CoreArea(tuple(rects), tuple(item for item in core if isinstance(item, str)))


def _rect(item: Mapping[str, Any]) -> Rect:
    names = ("left", "top", "right", "bottom")
    want = "left < right within 0..750 and top < bottom, both in rpx or both like"
    want = f'{want} "0.15h"'
    try:
        parts = [item[name] for name in names]
        shares = [isinstance(v, str) and v.strip().endswith("h") for v in parts]
        values = [
            float(v.strip()[:-1]) if share else float(v)
            for v, share in zip(parts, shares, strict=True)
        ]
    except (KeyError, TypeError, ValueError):
        shares, values = [True], [0.0] * 4
    left, top, right, bottom = values
    good = (
        len(shares) == 4
        and not shares[0]
        and not shares[2]
        and shares[1] == shares[3]
        and len(item) == 4
        and all(isfinite(v) for v in values)
        and 0 <= left < right <= PAGE_RPX
        and 0 <= top < bottom
    )
    if not good:
        msg = f"core has {dict(item) if hasattr(item, 'keys') else item!r}; a rectangle"
        msg = f"{msg} must have {want}; correct it."
        raise ParameterError(msg, code="bad_core_area")
    return Rect(left, top, right, bottom, relative=shares[1])


@dataclass(frozen=True, slots=True)
class Box:
    """Where an element lies, in rpx from the page's top left; edges belong to it."""

    element_id: str
    left: float
    top: float
    width: float
    height: float

    @property
    def area(self) -> float:
        """Its area in square rpx."""
        return self.width * self.height


def hit(
    x_rpx: NDArray[np.float64], y_rpx: NDArray[np.float64], boxes: Sequence[Box]
) -> NDArray[np.int32]:
    """Return which box each point lies in.

    Parameters
    ----------
    x_rpx, y_rpx : ndarray of float, shape (n,)
        Points.
    boxes : sequence of Box
        Edges are inclusive.

    Returns
    -------
    ndarray of int32, shape (n,)
        Position in `boxes` of the smallest box around the point (of equal ones the
        first); -1 in none.
    """
    found = np.full(len(x_rpx), -1, dtype=np.int32)
    for i in sorted(range(len(boxes)), key=lambda i: (boxes[i].area, i))[::-1]:
        b = boxes[i]
        inside = (x_rpx >= b.left) & (x_rpx <= b.left + b.width)
        inside &= (y_rpx >= b.top) & (y_rpx <= b.top + b.height)
        found[inside] = i
    return found
