"""Pictures of taps: maps, overlays, differences; reach, elements, the first screen."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from growth.charts.figures import count, percent, written
from growth.charts.png import read_png, rgb_png
from growth.charts.raster import as_url, palette_png
from growth.charts.theme import COLOURS, FONT, HEIGHT, WIDTH, finish
from growth.errors import ParameterError
from growth.labels import label
from growth.result import Notice

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import altair as alt
    from numpy.typing import NDArray

    from growth.heatmap import (
        CellUsers,
        Comparison,
        Elements,
        FirstScreen,
        Folds,
        Grid,
        ScrollReach,
    )
    from growth.labels import Lang

__all__ = [
    "Picture",
    "cells_csv",
    "core_chart",
    "difference_png",
    "elements_chart",
    "grid_json",
    "legend_svg",
    "map_png",
    "map_svg",
    "overlay_png",
    "panels_png",
    "scroll_chart",
]

Scale = Literal["linear", "sqrt"]
# cividis: one order for every colour vision, and in grey
CIVIDIS: Final = (
    "#00224e", "#123570", "#3b496c", "#575d6d", "#707173",
    "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838",
)  # fmt: skip
DIVERGING: Final = ("#0b5394", "#6fa8dc", "#f4f5f7", "#f0a860", "#a64b00")
STEPS: Final = 64  # shades of a map
LINE: Final = "#ffffff"
DARK_LINE: Final = "#1b1f24"
GAP: Final = 6  # columns between panels
ALPHA: Final = 0.75  # of the hottest place on a screenshot
OFF: Final = 0.05  # a screenshot so much higher or lower than the page is told
ROW: Final = 30
MOST_ROWS: Final = 14


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture, with what it shows in words.

    Parameters
    ----------
    png : bytes
        The file.
    alt : str
        What it shows, for who does not see it.
    top : float
        The count that has the hottest colour; A and B take one.
    notices : tuple of Notice
        What to know about it.
    """

    png: bytes
    alt: str
    top: float = 0.0
    notices: tuple[Notice, ...] = ()

    def _repr_png_(self) -> bytes:
        return self.png

    def save(self, path: str | Path) -> None:
        """Write the file."""
        Path(path).write_bytes(self.png)

    @property
    def url(self) -> str:
        """The picture as an address that holds it."""
        return as_url(self.png)


def _ramp(stops: Sequence[str], n: int) -> NDArray[np.float64]:
    """Return n colours between stops, shape (n, 3), 0..255."""
    rgb = np.array([list(bytes.fromhex(stop[1:])) for stop in stops], float)
    at = np.linspace(0, len(stops) - 1, n)
    known = np.arange(len(stops))
    return np.stack([np.interp(at, known, rgb[:, c]) for c in range(3)], axis=1)


def _hex(colours: NDArray[np.float64]) -> list[str]:
    return ["#" + bytes(c).hex() for c in colours.round().astype(np.uint8)]


def _levels(
    counts: NDArray[np.float64], top: float, scale: Scale, n: int
) -> NDArray[np.int64]:
    """Return the shade of each cell, 0 for nothing, at least 1 for something."""
    share = np.clip(counts / top, 0, 1) if top > 0 else np.zeros(counts.shape)
    if scale == "sqrt":
        share = np.sqrt(share)
    found = np.ceil(share * (n - 1) - 1e-9).astype(np.int64)
    # what smoothing leaves of a tap far away is nothing to see
    found[counts < min(0.02, top / 50)] = 0
    return found


def _check_scale(scale: str) -> None:
    if scale not in ("linear", "sqrt"):
        msg = f"scale is {scale!r}; it must be 'linear' or 'sqrt'; name one."
        raise ParameterError(msg, code="unknown_scale")


def map_png(
    grid: Grid,
    *,
    layer: str = "taps",
    sigma_rpx: float = 20.0,
    scale: Scale = "sqrt",
    top: float | None = None,
    folds: Folds | None = None,
    values: NDArray[np.float64] | None = None,
    lang: Lang | None = None,
) -> Picture:
    """Draw a grid as a small picture: a pixel a cell, cividis from dark to light.

    Parameters
    ----------
    grid : Grid
        Of one page.
    layer : {"taps", "users"}, default "taps"
        What is drawn.
    sigma_rpx : float, default 20
        Of the smoothing; 0 draws the counts.
    scale : {"sqrt", "linear"}, default "sqrt"
        How counts become shades.
    top : float, optional
        The count of the lightest shade, so that maps compare; this map's highest
        if omitted.
    folds : Folds, optional
        Where screens end: p10 and p90 as dotted lines, the median as a line.
    values : ndarray of float, shape (rows, cols), optional
        What is drawn instead of counts: `CellUsers.weighted`, or `Grid.rate` (with
        ``sigma_rpx=0``: rates are not smoothed). NaN is nothing.
    lang : {"en", "zh"}, optional
        Language of the words.

    Returns
    -------
    Picture
        A palette PNG of a few kilobytes; scale it up with
        ``image-rendering: pixelated``.

    Raises
    ------
    ParameterError
        ``bad_sigma``, ``unknown_layer``, ``unknown_scale``.
    """
    return panels_png(
        [grid], layer=layer, sigma_rpx=sigma_rpx, scale=scale, top=top, folds=folds,
        values=None if values is None else [values], lang=lang,
    )  # fmt: skip


def panels_png(
    grids: Sequence[Grid],
    *,
    difference: Comparison | None = None,
    layer: str = "taps",
    sigma_rpx: float = 20.0,
    scale: Scale = "sqrt",
    top: float | None = None,
    folds: Folds | None = None,
    room: int = 1,
    values: Sequence[NDArray[np.float64]] | None = None,
    lang: Lang | None = None,
) -> Picture:
    """Draw grids side by side on one scale, and where two of them differ.

    Parameters
    ----------
    grids : sequence of Grid
        One or more, of one cell size.
    difference : Comparison, optional
        A comparison by cells, drawn right of them.
    layer, sigma_rpx, scale, top, folds, lang
        As in `map_png`.
    room : int, default 1
        Panels the picture is as wide as, at least.
    values : sequence of ndarray, optional
        What is drawn instead, one for each grid: as in `map_png`.

    Returns
    -------
    Picture
        One palette PNG.

    Raises
    ------
    ParameterError
        As `map_png`; if the grids' cells differ (``grid_mismatch``).
    """
    from growth.heatmap import smooth

    _check_scale(scale)
    sides = {grid.cell_rpx for grid in grids}
    if len(sides) != 1:
        msg = f"the grids have cells of {sorted(sides)} rpx; they must have one size;"
        raise ParameterError(f"{msg} coarsen the finer.", code="grid_mismatch")
    (side,) = sides
    if values is None:
        soft = [grid.smoothed(sigma_rpx, layer=layer) for grid in grids]
    else:
        soft = [smooth(np.nan_to_num(v), sigma_rpx / side) for v in values]
    highest = max((float(s.max()) for s in soft if s.size), default=0.0)
    limit = highest if top is None else top
    panes = [_levels(s, limit, scale, STEPS) for s in soft]
    colours = _hex(_ramp(CIVIDIS, STEPS))
    base = len(colours)
    if difference is not None:
        panes.append(_difference_levels(difference, side) + base)
        colours += _hex(_ramp(DIVERGING, 2 * STEPS + 1))
    light, dark, paper = (len(colours) + i for i in range(3))
    colours += [LINE, DARK_LINE, COLOURS["card"]]
    rows = max(1, *(len(p) for p in panes))
    if folds is not None and (low := folds.quantile(0.9)) is not None:
        rows = max(rows, int(low // side) + 2)
    wide = []
    for i, pane in enumerate(panes):
        is_last = difference is not None and i == len(panes) - 1
        empty = base + STEPS if is_last else 0
        whole = np.full((rows, 750 // side), empty)
        whole[: len(pane), : pane.shape[1]] = pane
        _fold_lines(whole, folds, side, dark if is_last else light)
        wide += [whole, np.full((rows, max(1, GAP * 10 // side)), paper)]
    image = np.concatenate(wide[:-1], axis=1)
    if (spare := room * (750 // side) - image.shape[1]) > 0:
        image = np.pad(image, ((0, 0), (0, spare)), constant_values=paper)
    said = label(
        "chart.heatmap.alt",
        lang,
        pages=", ".join(dict.fromkeys(g.page for g in grids)),
        taps=count(sum(int(g.taps.sum()) for g in grids)),
    )
    # the colour between panels is not drawn: the page shows there
    return Picture(palette_png(image, colours, clear=paper), said, limit)


def _fold_lines(
    image: NDArray[Any], folds: Folds | None, side: int, colour: int
) -> None:
    if folds is None or not folds.views:
        return
    for p in (0.1, 0.5, 0.9):
        depth = folds.quantile(p)
        row = int((depth or 0) // side)
        if 0 <= row < len(image):
            image[row, :: 1 if p == 0.5 else 3] = colour


def _difference_levels(result: Comparison, side: int) -> NDArray[np.int64]:
    """Return the shade of each cell, STEPS for none; q below alpha only."""
    if result.kind != "cells":
        msg = "the comparison is by elements; a difference map must be by cells; pass"
        raise ParameterError(f"{msg} kind='cells' to compare.", code="not_by_cells")
    step = result.cell_rpx // side
    found = result.found
    rows = max((i.row or 0 for i in found), default=0) + 1
    levels = np.full((rows * step, 750 // side), STEPS)
    limit = max((abs(i.difference) for i in found), default=1.0)
    for i in found:
        row, col = (i.row or 0) * step, (i.col or 0) * step
        shade = STEPS + round(STEPS * i.difference / limit)
        levels[row : row + step, col : col + step] = shade
    return levels


def difference_png(
    result: Comparison, *, folds: Folds | None = None, lang: Lang | None = None
) -> Picture:
    """Draw where two arms tap differently: blue less in B, orange more.

    Parameters
    ----------
    result : Comparison
        By cells.
    folds : Folds, optional
        Where screens end.
    lang : {"en", "zh"}, optional
        Language of the words.

    Returns
    -------
    Picture
        Only cells whose q-value is below the level have colour; its `top` is the
        difference of the strongest.

    Raises
    ------
    ParameterError
        If the comparison is by elements (code ``not_by_cells``).
    """
    side = result.cell_rpx or 50
    levels = _difference_levels(result, side)
    colours = [*_hex(_ramp(DIVERGING, 2 * STEPS + 1)), DARK_LINE]
    _fold_lines(levels, folds, side, len(colours) - 1)
    found = result.found
    said = label(
        "chart.heatmap.difference", lang, page=result.page, cells=count(len(found))
    )
    most = max((abs(i.difference) for i in found), default=0.0)
    return Picture(palette_png(levels, colours), said, most)


def overlay_png(
    grid: Grid,
    screenshot: bytes | str | Path,
    *,
    screenshot_reviewed: bool = False,
    offset_rpx: float = 0.0,
    mask: Sequence[Mapping[str, float]] = (),
    page_h_rpx: float | None = None,
    layer: str = "taps",
    sigma_rpx: float = 20.0,
    scale: Scale = "sqrt",
    top: float | None = None,
    folds: Folds | None = None,
    lang: Lang | None = None,
) -> Picture:
    """Lay a map over a screenshot of its page.

    Parameters
    ----------
    grid : Grid
        Of the page.
    screenshot : bytes or path
        A PNG of the page, of any width: it stands for 750 rpx.
    screenshot_reviewed : bool, default False
        Your word that it shows nobody's name, phone or address, or that `mask`
        covers them: without it nothing is drawn.
    offset_rpx : float, default 0
        Where the screenshot's top lies on the page.
    mask : sequence of mapping
        Rectangles ``{"left", "top", "width", "height"}`` in rpx, painted over.
    page_h_rpx : float, optional
        Height of the page (p95 of `page_h_px` in rpx), against which the
        screenshot's is checked.
    layer, sigma_rpx, scale, top, folds, lang
        As in `map_png`.

    Returns
    -------
    Picture
        Composited pixels, without text chunks. A screenshot over 5 % higher or
        lower than the page has notice ``screenshot_height``.

    Raises
    ------
    ParameterError
        ``screenshot_not_reviewed``, ``bad_screenshot``, ``bad_mask``, and as
        `map_png`.
    """
    if not screenshot_reviewed:
        msg = "screenshot_reviewed is False; pages show names and phones; look at the"
        msg = f"{msg} screenshot, cover them with mask=, then pass"
        raise ParameterError(
            f"{msg} screenshot_reviewed=True.", code="screenshot_not_reviewed"
        )
    _check_scale(scale)
    if not isinstance(screenshot, bytes):
        path = Path(screenshot)
        if not path.is_file():
            msg = f"screenshot is {str(path)!r}, no file; it must be a PNG; check the"
            raise ParameterError(f"{msg} path.", code="bad_screenshot")
        screenshot = path.read_bytes()
    pixels = read_png(screenshot).copy()
    height, width, _ = pixels.shape
    scaled = width / 750  # px of the picture a rpx
    for box in mask:
        try:
            x0, y0 = float(box["left"]), float(box["top"]) - offset_rpx
            x1, y1 = x0 + float(box["width"]), y0 + float(box["height"])
        except (KeyError, TypeError, ValueError):
            msg = f"mask has {dict(box)}; a rectangle must have left, top, width and"
            raise ParameterError(f"{msg} height in rpx; add them.", code="bad_mask")  # noqa: B904
        edges = [max(0, round(v * scaled)) for v in (x0, x1, y0, y1)]
        pixels[edges[2] : edges[3], edges[0] : edges[1]] = 128
    soft = grid.smoothed(sigma_rpx, layer=layer)
    limit = float(soft.max(initial=0)) if top is None else top
    share = np.clip(soft / limit, 0, 1) if limit > 0 else soft
    if scale == "sqrt":
        share = np.sqrt(share)
    _blend(pixels, share, grid.cell_rpx * scaled, offset_rpx * scaled)
    if folds is not None and folds.views:
        for p, thick in ((0.1, 1), (0.5, 3), (0.9, 1)):
            row = round(((folds.quantile(p) or 0) - offset_rpx) * scaled)
            if 0 <= row < height:
                every = slice(None) if p == 0.5 else np.arange(width) % 12 < 6
                pixels[row : row + thick, every] = (179, 64, 13)
    notices = []
    if page_h_rpx:
        tall = height / scaled + offset_rpx
        if abs(tall / page_h_rpx - 1) > OFF:
            args = (("screenshot", round(tall)), ("page", round(page_h_rpx)))
            notices.append(Notice("screenshot_height", args=args))
    taps = count(int(grid.taps.sum()))
    said = label("chart.heatmap.alt", lang, pages=grid.page, taps=taps)
    return Picture(rgb_png(pixels), said, limit, tuple(notices))


def _blend(
    pixels: NDArray[np.uint8],
    share: NDArray[np.float64],
    cell: float,
    offset: float,
) -> None:
    """Lay colours over a picture, band by band, between the cells' middles."""
    height, width, _ = pixels.shape
    if not share.size:
        return
    ramp = _ramp(CIVIDIS, 256)
    x = (np.arange(width) + 0.5) / cell - 0.5
    left = np.clip(np.floor(x), 0, share.shape[1] - 1).astype(int)
    right = np.minimum(left + 1, share.shape[1] - 1)
    across = np.clip(x - left, 0, 1)
    columns = share[:, left] * (1 - across) + share[:, right] * across
    for low in range(0, height, 256):
        y = (np.arange(low, min(low + 256, height)) + 0.5 + offset) / cell - 0.5
        above = np.floor(y).astype(int)
        down = (y - above)[:, None]
        inside = (above >= -1) & (above < len(share))
        first = columns[np.clip(above, 0, len(share) - 1)]
        second = columns[np.clip(above + 1, 0, len(share) - 1)]
        second = np.where((above + 1 < len(share))[:, None], second, 0)
        value = np.where(inside[:, None], first * (1 - down) + second * down, 0)
        value = np.clip(value, 0, 1)
        # rises fast, or what is tapped a little would be fog
        alpha = (ALPHA * np.sqrt(value))[:, :, None]
        colour = ramp[(value * 255).astype(int)]
        mixed = pixels[low : low + 256] * (1 - alpha) + colour * alpha
        pixels[low : low + 256] = mixed.round().astype(np.uint8)


def legend_svg(
    top: float,
    *,
    words: str,
    scale: Scale = "sqrt",
    difference: float | None = None,
    lang: Lang | None = None,
) -> str:
    """Return the key of a map: its colours, what they count, on which scale.

    Parameters
    ----------
    top : float
        The count of the lightest shade: `Picture.top`.
    words : str
        What is counted, of whom, when; escaped here.
    scale : {"sqrt", "linear"}, default "sqrt"
        The map's.
    difference : float, optional
        The strongest difference of a difference map, which gets a key too.
    lang : {"en", "zh"}, optional
        Language of the words.

    Returns
    -------
    str
        One small ``<svg>``.
    """
    parts = [_bar(CIVIDIS, 0)]
    ends = [(0, 28, "start", "0"), (100, 28, "middle", f"{top * _half(scale):.3g}")]
    ends.append((200, 28, "end", f"{top:.3g}"))
    if difference is not None:
        parts.append(_bar(DIVERGING, 40))
        less, more = (
            written(v, "share", change=True, lang=lang)
            for v in (-difference, difference)
        )
        ends += [(0, 68, "start", less), (100, 68, "middle", "0")]
        ends.append((200, 68, "end", more))
    for x, y, anchor, text in ends:
        parts.append(
            f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="12"'
            f' fill="{COLOURS["soft"]}">{escape(text)}</text>'
        )
    said = label(f"chart.heatmap.scale.{scale}", lang)
    tall = 74 if difference is not None else 34
    body = "".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="-8 0 220 {tall}"'
        f' width="220" height="{tall}" font-family="{escape(FONT)}">'
        f"<title>{escape(words)} · {escape(said)}</title>{body}</svg>"
    )


def _half(scale: str) -> float:
    """Return the share of the top that the middle shade stands for."""
    return 0.25 if scale == "sqrt" else 0.5


def _bar(stops: Sequence[str], y: int) -> str:
    shades = _hex(_ramp(stops, 20))
    return "".join(
        f'<rect x="{10 * i}" y="{y}" width="10.5" height="12" fill="{shade}"/>'
        for i, shade in enumerate(shades)
    )


def map_svg(
    grid: Grid,
    *,
    layer: str = "taps",
    sigma_rpx: float = 20.0,
    scale: Scale = "sqrt",
    top: float | None = None,
    lang: Lang | None = None,
) -> str:
    """Return a map as SVG: neighbours of one shade are one rectangle.

    Parameters
    ----------
    grid, layer, sigma_rpx, scale, top, lang
        As in `map_png`.

    Returns
    -------
    str
        One ``<svg>`` in rpx, without script, link or outside request.

    Raises
    ------
    ParameterError
        As `map_png`.
    """
    _check_scale(scale)
    soft = grid.smoothed(sigma_rpx, layer=layer)
    limit = float(soft.max(initial=0)) if top is None else top
    steps = 24
    levels = _levels(soft, limit, scale, steps)
    shades = _hex(_ramp(CIVIDIS, steps))
    side, tall = grid.cell_rpx, max(1, grid.rows) * grid.cell_rpx
    paths: dict[int, list[str]] = {}
    for r, row in enumerate(levels):
        edges = np.flatnonzero(np.diff(row)) + 1
        for low, high in zip([0, *edges], [*edges, len(row)], strict=True):
            if row[low]:
                x, wide = low * side, (high - low) * side
                run = f"M{x},{r * side}h{wide}v{side}H{x}z"
                paths.setdefault(int(row[low]), []).append(run)
    body = "".join(
        f'<path fill="{shades[level]}" d="{"".join(runs)}"/>'
        for level, runs in sorted(paths.items())
    )
    taps = count(int(grid.taps.sum()))
    said = label("chart.heatmap.alt", lang, pages=grid.page, taps=taps)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 750 {tall}"'
        f' shape-rendering="crispEdges"><title>{escape(said)}</title>'
        f'<rect width="750" height="{tall}" fill="{shades[0]}"/>{body}</svg>'
    )


def cells_csv(source: Grid | CellUsers, *, min_users: int = 5) -> str:
    """Return the cells that may be shared as CSV.

    Parameters
    ----------
    source : Grid or CellUsers
        With distinct users.
    min_users : int, default 5
        Users a told cell has at least; thinner ones are pooled or hidden:
        `heatmap.shared_cells`.

    Returns
    -------
    str
        ``col,row,x0_rpx,x1_rpx,y0_rpx,y1_rpx,taps,users``, the fullest first.

    Raises
    ------
    ParameterError
        As `heatmap.shared_cells`.
    """
    from growth.heatmap import shared_cells

    names = ["col", "row", "x0_rpx", "x1_rpx", "y0_rpx", "y1_rpx", "taps", "users"]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(shared_cells(source, min_users=min_users).cells)
    return text.getvalue()


def grid_json(source: Grid | CellUsers, *, min_users: int = 5) -> str:
    """Return what may be shared of a grid as JSON that `Grid.from_dict` reads.

    Parameters
    ----------
    source, min_users
        As in `cells_csv`.

    Returns
    -------
    str
        ``schema_version``, sparse cells; hidden cells are empty in it.

    Raises
    ------
    ParameterError
        As `heatmap.shared_cells`.
    """
    from growth.heatmap import shared_cells

    shared = shared_cells(source, min_users=min_users)
    return json.dumps(shared.grid.to_dict(), allow_nan=False)


# -- charts ----------------------------------------------------------------------------


def scroll_chart(
    reach: ScrollReach, page: str | None = None, *, lang: Lang | None = None
) -> alt.LayerChart:
    """Draw what share of views reaches how deep.

    Parameters
    ----------
    reach : ScrollReach
        What `heatmap.scroll` found.
    page : str, optional
        The page; may be left out where there is one.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    altair.LayerChart
        A line with its band; folds as a shaded strip from p10 to p90.

    Raises
    ------
    ParameterError
        If there is no such page (code ``unknown_page``).
    """
    import altair as alt

    one = reach.page(page)
    rows = [row for row in reach.rows() if row["page"] == one.page]
    values = [
        {
            "depth": r["depth_rpx"],
            "reach": r["reach_rate"],
            "low": r["ci_low"],
            "high": r["ci_high"],
        }
        for r in rows
    ]
    base = alt.Chart(alt.InlineData(values=values))
    x = alt.X(
        "depth:Q",
        title=label("column.depth_rpx", lang),
        axis=alt.Axis(grid=False, tickCount=8, ticks=True, domain=True),
    )
    y = alt.Y(
        "reach:Q",
        title=label("column.reach_rate", lang),
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(format=".0%", tickCount=5, ticks=True, domain=True),
    )
    band = base.mark_area(color=COLOURS["band"], interpolate="step-after").encode(
        x=x, y=alt.Y("low:Q"), y2="high:Q"
    )
    line = base.mark_line(
        color=COLOURS["accent"], strokeWidth=2, interpolate="step-after"
    ).encode(x=x, y=y)
    layers: list[Any] = [band, line]
    if one.fold_rpx is not None:
        low, middle, high = one.fold_rpx
        fold = alt.Chart(
            alt.InlineData(values=[{"low": low, "high": high, "mid": middle}])
        )
        words = alt.value(label("chart.heatmap.fold", lang))
        layers = [
            fold.mark_rect(color=COLOURS["warn"], opacity=0.25).encode(
                x="low:Q", x2="high:Q"
            ),
            *layers,
            fold.mark_rule(color=COLOURS["warn"]).encode(x="mid:Q"),
            fold.mark_text(
                align="left", dx=6, color=COLOURS["warn"], fontSize=13, baseline="top"
            ).encode(x="high:Q", y=alt.value(2), text=words),
        ]
    chart = alt.layer(*layers).properties(width=WIDTH, height=HEIGHT)
    title = label("chart.heatmap.scroll", lang, page=one.page)
    told = "; ".join(f"{v['depth']} {percent(v['reach'])}" for v in values[::5])  # type: ignore[arg-type]
    return finish(chart, name="scroll", title=title, description=told or title)


def elements_chart(
    elements: Elements, page: str | None = None, *, lang: Lang | None = None
) -> alt.LayerChart:
    """Draw each element's CTR with its interval, the surest first.

    Parameters
    ----------
    elements : Elements
        What `heatmap.elements` found.
    page : str, optional
        The page; the first if omitted.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    altair.LayerChart
        A row an element, 14 at most; dead ones have the colour of a fault, and a
        cross.
    """
    import altair as alt

    name = page or next((i.page for i in elements.items), "")
    values = [
        {
            "element": i.element_id,
            "ctr": i.ctr,
            "low": i.ctr_low,
            "high": i.ctr_high,
            "tone": "bad" if i.dead else "ink",
            "said": percent(i.ctr),
        }
        for i in elements.items
        if i.page == name and i.ctr is not None
    ]
    values = [*values[: MOST_ROWS - 1], *values[MOST_ROWS - 1 :][-1:]]
    base = alt.Chart(alt.InlineData(values=values))
    y = alt.Y(
        "element:N",
        sort=[str(v["element"]) for v in values],
        title=None,
    )
    tone = alt.Color(
        "tone:N",
        legend=None,
        scale=alt.Scale(domain=["bad", "ink"], range=[COLOURS["bad"], COLOURS["ink"]]),
    )
    axis = alt.Axis(format=".0%", tickCount=6, ticks=True, domain=True)
    x = alt.X("low:Q", title=label("column.ctr", lang), axis=axis)
    lines = base.mark_rule(strokeWidth=2).encode(x=x, x2="high:Q", y=y, color=tone)
    shape = alt.Shape(
        "tone:N",
        legend=None,
        scale=alt.Scale(domain=["bad", "ink"], range=["cross", "circle"]),
    )
    points = base.mark_point(size=60, filled=True, opacity=1).encode(
        x="ctr:Q", y=y, color=tone, shape=shape
    )
    words = base.mark_text(align="left", fontSize=13, color=COLOURS["ink"]).encode(
        x=alt.value(WIDTH - 40), y=y, text="said:N"
    )
    layers = alt.layer(lines, points, words).properties(
        width=WIDTH - 60, height=max(ROW * len(values), ROW)
    )
    title = label("chart.heatmap.elements", lang, page=name)
    told = "; ".join(f"{v['element']} {v['said']}" for v in values)
    return finish(layers, name="elements", title=title, description=told or title)


def core_chart(found: FirstScreen, *, lang: Lang | None = None) -> alt.LayerChart:
    """Draw each page's core share with its interval, against the target.

    Parameters
    ----------
    found : FirstScreen
        What `heatmap.first_screen` found.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    altair.LayerChart
        A row a page; the target, a guide's, is a dotted line.
    """
    import altair as alt

    tones = {"above": "good", "below": "bad"}
    values = [
        {
            "page": " · ".join([p.page, *(str(v) for _, v in p.by)]),
            "rate": p.share.rate,
            "low": p.share.low,
            "high": p.share.high,
            "tone": tones.get(p.verdict, "ink"),
            "said": percent(p.share.rate),
        }
        for p in found.pages
        if p.share.rate is not None
    ]
    base = alt.Chart(alt.InlineData(values=values))
    y = alt.Y(
        "page:N",
        sort=[str(v["page"]) for v in values],
        title=None,
    )
    known = ["good", "bad", "ink"]
    tone = alt.Color(
        "tone:N",
        legend=None,
        scale=alt.Scale(domain=known, range=[COLOURS[k] for k in known]),
    )
    axis = alt.Axis(format=".0%", tickCount=6, ticks=True, domain=True)
    scale = alt.Scale(domain=[0, 1])
    x = alt.X("low:Q", title=label("column.core_rate", lang), axis=axis, scale=scale)
    lines = base.mark_rule(strokeWidth=2).encode(x=x, x2="high:Q", y=y, color=tone)
    points = base.mark_point(size=60, filled=True, opacity=1).encode(
        x="rate:Q", y=y, color=tone
    )
    words = base.mark_text(align="left", fontSize=13, color=COLOURS["ink"]).encode(
        x=alt.value(WIDTH - 80), y=y, text="said:N"
    )
    aim = (
        alt.Chart(alt.InlineData(values=[{"target": found.target}]))
        .mark_rule(color=COLOURS["soft"], strokeDash=[2, 3])
        .encode(x="target:Q")
    )
    layers = alt.layer(aim, lines, points, words).properties(
        width=WIDTH - 100, height=max(ROW * len(values), ROW)
    )
    title = label("chart.heatmap.core", lang, target=percent(found.target, digits=0))
    told = "; ".join(f"{v['page']} {v['said']}" for v in values)
    return finish(layers, name="core", title=title, description=told or title)
