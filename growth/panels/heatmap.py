"""The map explorer: page, devices, arm, layer, smoothing, core of the screen."""

from __future__ import annotations

from datetime import timedelta
from html import escape
from typing import TYPE_CHECKING, Any, Final

import ipywidgets as widgets

from growth import charts, heatmap
from growth.errors import DataError
from growth.heatmap.geometry import CLASSES
from growth.labels import label
from growth.panels.reader import Reader, choice, slider
from growth.readout import heatmap as room
from growth.readout.catalog import HeatmapParams

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date

    from growth.dataset import Dataset
    from growth.heatmap import Frustration, Grid, Heatmap, ScrollReach
    from growth.labels import Lang

__all__ = ["Explorer", "explorer"]

LAYERS: Final = ("taps", "users", "weighted", "rate", "rage", "fixed")
CORE: Final = "75, 0.15h, 675, 0.75h"
READS: Final = ("page", "device", "arm", "days", "core")  # the others only redraw
RATE_RPX: Final = 50  # side of the cells of a rate, which is not smoothed
IMAGE: Final = "width:min(375px,100%);image-rendering:pixelated;border-radius:6px"


class Explorer(Reader):
    """A map as it is moved: `controls`, `result` (the first screen), `taps`, `reach`.

    Parameters
    ----------
    *parts
        As in `Reader`; `draw` is told the controls' values too.
    """

    def _read(self, values: dict[str, Any]) -> tuple[Any, ...]:
        key = tuple(values[name] for name in READS)
        if key not in self._found:
            self._found[key] = self._measure(values)
        result = self._found[key]
        return result, tuple(self._draw(values)), self._params(values)


class _Log:
    """What was read of the dataset, once for equal questions."""

    def __init__(self, dataset: Dataset, as_of: date) -> None:
        self.dataset, self.as_of = dataset, as_of
        self.known: dict[Any, Any] = {}

    def ask(
        self,
        verb: Callable[..., Any],
        asked: Mapping[str, Any],
        **more: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Ask a verb about the page, devices, period and experiment."""
        exp_id = asked["arm"][0] if asked["arm"] else None
        names = ("page", "device", "days")
        key = (verb.__name__, exp_id, *(asked[name] for name in names), str(more))
        if key not in self.known:
            scope = {
                "page": asked["page"],
                "device_class": asked["device"],
                "start": self.as_of - timedelta(days=asked["days"] - 1),
                "end": self.as_of + timedelta(days=1),
                **more,
            }
            if exp_id:
                scope |= {"by": "variant", "exp_id": exp_id}
                scope["assignments"] = self.dataset.assignments
            self.known[key] = verb(self.dataset.events, **scope)
        return self.known[key]

    def fixed(self, asked: Mapping[str, Any]) -> tuple[str, ...]:
        """Return what stays put on the page, where the columns say so."""
        columns = ("element_id", "client_y_px", "scroll_y_px")
        if not set(columns) <= set(self.dataset.events.columns):
            return ()
        whole = {**asked, "arm": None}
        found: tuple[str, ...] = self.ask(heatmap.suggest_fixed, whole)
        return found


def explorer(dataset: Dataset, *, as_of: date, lang: Lang | None = None) -> Explorer:
    """Move over a dataset's pages and see where people tap.

    Parameters
    ----------
    dataset : Dataset
        With `events` that have positions; arms too, with `assignments`.
    as_of : date
        The last day counted.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Explorer
        `controls` (page, device, arm, layer, sigma, core, days), `result` (as
        `heatmap.first_screen`), `charts` (map with its key and fullest cells, reach);
        below, the readout that asks the same. Layer and smoothing read nothing anew.

    Raises
    ------
    DataError
        If no page has a tap (code ``no_taps``).
    """
    log = _Log(dataset, as_of)
    devices = [(label(f"heatmap.device.{name}", lang), name) for name in CLASSES]
    layers = [(label(f"panel.layer.{name}", lang), name) for name in LAYERS]
    controls = {
        "page": choice("panel.page", _pages(dataset), lang),
        "device": choice("panel.device", devices, lang),
        "arm": choice("panel.arm", _arms(dataset, lang), lang),
        "layer": choice("panel.layer", layers, lang),
        "sigma": slider("panel.sigma", 20, 0, 60, lang),
        "days": slider("panel.days", 28, 1, 180, lang),
        "core": widgets.Text(
            value=CORE,
            continuous_update=False,
            description=label("panel.core", lang),
            style={"description_width": "110px"},
            layout={"width": "330px"},
        ),
    }

    def measure(asked: dict[str, Any]) -> heatmap.FirstScreen:
        names = ("left", "top", "right", "bottom")
        core = [dict(zip(names, asked["core"].split(","), strict=False))]
        fixed = log.fixed(asked)
        more = {"core": core} if asked["core"] != CORE else {}
        found: heatmap.FirstScreen = log.ask(
            heatmap.first_screen, asked, fixed_elements=fixed, **more
        )
        return found

    def draw(asked: dict[str, Any]) -> Sequence[Any]:
        fixed = log.fixed(asked)
        taps = log.ask(
            heatmap.aggregate, asked, users=True, pairs=True, fixed_elements=fixed
        )
        reach = log.ask(heatmap.scroll, asked)
        anger = None
        if asked["layer"] == "rage":
            anger = log.ask(heatmap.frustration, asked)
        shown = [_map(taps, reach, anger, asked, measure(asked), lang)]
        if not asked["arm"] and reach.pages:
            key = ("drawn", *(asked[name] for name in ("page", "device", "days")))
            if key not in log.known:  # drawing takes longer than a map
                chart = charts.heatmap.scroll_chart(reach, asked["page"], lang=lang)
                log.known[key] = charts.to_svg(chart)
            shown.append(log.known[key])
        return shown

    def params(asked: dict[str, Any]) -> HeatmapParams:
        return HeatmapParams(
            data=str(dataset.location),
            page=asked["page"],
            as_of=as_of,
            lang=lang or "en",
            days=asked["days"],
            device_class=asked["device"],
            fixed_elements=",".join(log.fixed(asked)) or None,
            experiment_id=asked["arm"][0] if asked["arm"] else None,
        )

    return Explorer(controls, measure, draw, params, lang)


def _pages(dataset: Dataset) -> list[tuple[str, str]]:
    """Return the pages that have taps, the fullest first, with their counts."""
    from growth import engine
    from growth.charts.figures import count

    events = dataset.events
    taps = events.filter(events.event == "tap")
    rows = engine.aggregate(taps, by="page_path", measures={"n": taps.count()})
    pairs = [(r["page_path"], r["n"]) for r in rows.to_pylist() if r["page_path"]]
    if not pairs:
        msg = "no page has a tap; a map must have one; record taps, or check the data."
        raise DataError(msg, code="no_taps")
    pairs.sort(key=lambda pair: (-pair[1], pair[0]))
    return [(f"{name} · {count(n)}", name) for name, n in pairs]


def _arms(
    dataset: Dataset, lang: Lang | None
) -> list[tuple[str, tuple[str, str] | None]]:
    """Return the arms of each experiment."""
    from growth import engine

    everybody: list[tuple[str, tuple[str, str] | None]] = [
        (label("panel.everybody", lang), None)
    ]
    if not dataset.has("assignments"):
        return everybody
    table = dataset.assignments
    rows = engine.aggregate(
        table, by=["exp_id", "variant"], measures={"n": table.count()}
    )
    arms = sorted((row["exp_id"], row["variant"]) for row in rows.to_pylist())
    return [*everybody, *((" · ".join(arm), arm) for arm in arms)]


def _map(
    taps: Heatmap,
    reach: ScrollReach,
    anger: Frustration | None,
    asked: Mapping[str, Any],
    first: heatmap.FirstScreen,
    lang: Lang | None,
) -> str:
    """Return a map with its key and its fullest cells, as HTML."""
    arm = {"variant": asked["arm"][1]} if asked["arm"] else {}
    layer, sigma = asked["layer"], asked["sigma"]
    values = None
    grid: Grid = taps.grid(asked["page"], **arm)
    viewers = grid.viewers
    seen = [p for p in reach.pages if dict(p.by) == arm]
    if layer == "fixed":
        grid = taps.grid(asked["page"], layer="fixed", **arm)
    elif layer == "rage" and anger is not None:
        mine = [g for g in anger.grids if g.layer == "rage" and dict(g.by) == arm]
        if not mine:
            return escape(label("heatmap.map.empty", lang))
        grid = mine[0]
    elif layer == "weighted":
        pairs = [c for c in taps.cells if c.layer == "taps" and dict(c.by) == arm]
        values = pairs[0].weighted(rows=grid.rows)
    elif layer == "rate" and seen:
        grid, sigma = grid.coarsen(RATE_RPX // grid.cell_rpx), 0
        values = grid.rate(seen[0].views_at(grid))
    name = "users" if layer == "users" else "taps"
    cores = [p for p in first.pages if dict(p.by) == arm]
    folds = cores[0].folds if cores else None
    picture = charts.heatmap.map_png(
        grid, layer=name, sigma_rpx=sigma, folds=folds, values=values, lang=lang
    )
    words = label(
        "panel.heatmap.legend",
        lang,
        layer=label(f"panel.layer.{layer}", lang),
        cell=str(grid.cell_rpx),
        device=label(f"heatmap.device.{asked['device']}", lang),
        viewers="–" if viewers is None else f"{viewers:,}",
        days=str(asked["days"]),
        sigma=str(sigma),
    )
    key = charts.heatmap.legend_svg(picture.top, words=words, lang=lang)
    table = "" if grid.users is None else room.top_cells(grid, lang).html
    image = f'<img alt="{escape(picture.alt)}" src="{picture.url}" style="{IMAGE}">'
    return (
        f"<p>{escape(words)}<br>{label('heatmap.legend_fold', lang)}</p>{key}"
        f"<div>{image}</div>{table}"
    )
