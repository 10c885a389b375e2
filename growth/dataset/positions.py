"""Where a tap fell, in the units a map is drawn in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from growth.errors import ColumnNotFoundError

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["with_positions"]

RPX_WIDTH: Final = 750  # a mini program's page is 750 rpx wide on every phone
PHONE_WIDTH_PX: Final = 500
DESKTOPS: Final = ("windows", "mac", "devtools")


def with_positions(events: ir.Table) -> ir.Table:
    """Add a tap's position, free of the screen it fell on.

    Parameters
    ----------
    events : ibis.Table
        Canonical events with `x_px`, `y_px` and `win_w_px`.

    Returns
    -------
    ibis.Table
        Five columns more. `x_norm` (0 left edge, 1 right edge) and `y_rpx`,
        `page_h_rpx` (from the top, 750 a page's width), float64; `first_screen`,
        whether the point lies above the fold of an unscrolled page; and
        `device_class`: ``phone`` (portrait, at most 500 px wide), ``wide``
        (landscape, or a desktop), ``tablet``. NULL where what they rest on is NULL
        or not in the table.

    Raises
    ------
    ColumnNotFoundError
        If one of the three columns is missing.

    Notes
    -----
    ``x_norm = x_px / win_w_px``; ``y_rpx = y_px * 750 / win_w_px``;
    ``first_screen = y_px < win_h_px``.
    """
    import ibis

    columns = events.columns
    for name in ("x_px", "y_px", "win_w_px"):
        if name not in columns:
            unlocks = "heatmaps with positions"
            raise ColumnNotFoundError(name, columns, unlocks=unlocks)

    def floats(name: str) -> ir.FloatingValue:
        if name in columns:
            return events[name].cast("float64")
        return ibis.literal(None, "float64")

    width, height = floats("win_w_px"), floats("win_h_px")
    desktop = no = ibis.literal(value=False)
    if "platform" in columns:
        desktop = events.platform.isin(DESKTOPS).fill_null(no)
    wide = desktop | (width > height).fill_null(no)
    return events.mutate(
        x_norm=floats("x_px") / width,
        y_rpx=floats("y_px") * RPX_WIDTH / width,
        page_h_rpx=floats("page_h_px") * RPX_WIDTH / width,
        first_screen=floats("y_px") < height,
        device_class=ibis.cases(
            (width.isnull() & ~desktop, None),
            (wide, "wide"),
            (width <= PHONE_WIDTH_PX, "phone"),
            else_="tablet",
        ),
    )
