"""The map of a page, of both arms, and the fullest cells."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from growth.charts import heatmap as pictures
from growth.charts.figures import count
from growth.labels import label
from growth.readout.blocks import (
    Block,
    data_table,
    finding,
)
from growth.result import show

if TYPE_CHECKING:
    from growth.heatmap import (
        CellUsers,
        Comparison,
        FirstScreen,
        Folds,
        Grid,
        Heatmap,
    )
    from growth.labels import Lang
    from growth.readout.catalog import HeatmapParams

__all__ = ["folds_of", "main_grid", "map_block", "top_cells"]

TOP_CELLS: Final = 12
MIN_USERS: Final = 5


def main_grid(taps: Heatmap) -> Grid | None:
    """Return the page's own grid."""
    return next((g for g in taps.grids if g.layer == "taps"), None)


def folds_of(first: FirstScreen) -> Folds | None:
    """Return the page's folds."""
    return first.pages[0].folds if first.pages else None


def map_block(
    taps: Heatmap,
    arms: Heatmap | None,
    cells: Comparison | None,
    first: FirstScreen,
    params: HeatmapParams,
    *,
    lang: Lang | None = None,
) -> Block:
    """Draw the page's map; with an experiment, both arms and where they differ.

    Parameters
    ----------
    taps : Heatmap
        Of the page.
    arms : Heatmap, optional
        By arm.
    cells : Comparison, optional
        By cells.
    first : FirstScreen
        Where the folds come from.
    params : HeatmapParams
        What was asked, for the words of the legend.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        Legend, one small picture, and the fullest cells as a table. Cells of fewer
        than 5 users are in neither.
    """
    from growth.heatmap import shared_cells

    grid = main_grid(taps)
    if grid is None:
        return finding(label("heatmap.map.empty", lang))
    shown, names = [grid], [grid.page]
    if arms is not None and cells is not None:
        both = [cells.arm_a, cells.arm_b]
        shown = [
            g
            for arm in both
            for g in arms.grids
            if g.layer == "taps" and dict(g.by)["variant"] == arm
        ]
        names = [*both, label("heatmap.map.difference", lang)]
    known = {(c.page, c.layer, c.by): c for c in (*taps.cells, *_cells(arms))}
    drawn = [
        shared_cells(known.get((g.page, g.layer, g.by), g), min_users=MIN_USERS).drawn
        for g in shown
    ]
    folds = folds_of(first)
    picture = pictures.panels_png(
        drawn, difference=cells, folds=folds, room=2, lang=lang
    )
    found = (
        max((abs(i.difference) for i in cells.found), default=0.0) if cells else None
    )
    words = label(
        "heatmap.legend",
        lang,
        users=count(sum(int(g.viewers or 0) for g in shown)),
        device=label(f"heatmap.device.{taps.device_class}", lang),
        start=params.start.isoformat(),
        end=params.as_of.isoformat(),
    )
    key = pictures.legend_svg(picture.top, words=words, difference=found, lang=lang)
    head = finding(
        " | ".join(names),
        [words, label("heatmap.legend_fold", lang), label("heatmap.legend_key", lang)],
    )
    image = Block(
        f'<figure class="raster"><img alt="{escape(picture.alt)}"'
        f' src="{picture.url}"></figure>'
    )
    return head + Block(f"<div>{key}</div>") + image + top_cells(grid, lang)


def _cells(arms: Heatmap | None) -> tuple[CellUsers, ...]:
    return () if arms is None else arms.cells


def top_cells(grid: Grid, lang: Lang | None) -> Block:
    """List the fullest cells, for who cannot see the picture.

    Parameters
    ----------
    grid : Grid
        With distinct users.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        A folded table; cells of fewer than 5 users are not in it.
    """
    names = ("x0_rpx", "x1_rpx", "y0_rpx", "y1_rpx", "taps", "users")
    columns = {name: label(f"column.{name}", lang) for name in names}
    rows = [
        {name: show(cell[name]) for name in names}
        for cell in grid.cells(min_users=MIN_USERS)[:TOP_CELLS]
    ]
    words = label("heatmap.top_cells", lang)
    return data_table(columns, rows, caption=words, fold=words)
