"""The heatmap readout's own pieces: what is read of one page, and how it is shown.

Nothing is computed here that a result lacks; each function returns a `Block`, a
decision, or charts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from growth.charts import heatmap as pictures
from growth.charts.figures import count, interval, p_value, percent
from growth.charts.intervals import Interval
from growth.labels import label
from growth.readout.blocks import (
    Block,
    Check,
    Row,
    State,
    Tile,
    check_list,
    data_table,
    finding,
    headline,
    interval_table,
    tone_of,
)
from growth.readout.model import Decision, Reason
from growth.readout.trust import kept, remarks, rows_check, rows_read
from growth.result import show

if TYPE_CHECKING:
    from collections.abc import Mapping

    import altair as alt

    from growth.dataset import Dataset
    from growth.heatmap import (
        CellUsers,
        Comparison,
        Elements,
        FirstScreen,
        Folds,
        Frustration,
        Grid,
        Heatmap,
        ScrollReach,
        Zones,
    )
    from growth.labels import Lang
    from growth.readout.catalog import HeatmapParams
    from growth.readout.trust import Loaded
    from growth.result import Result

__all__ = [
    "by_arm",
    "checks",
    "compared",
    "decided_on",
    "differences",
    "drawings",
    "elements_table",
    "frustration_table",
    "kept",
    "map_block",
    "results_of",
    "rows_read",
    "summary",
    "top_cells",
    "zones_table",
]

LEAST_USERS: Final = 30
RAGE_RATE: Final = 0.01  # of viewers: from here on a rage spot is told at the top
TOP_CELLS: Final = 12
MOST: Final = 12
MIN_USERS: Final = 5


def by_arm(opened: Dataset, params: HeatmapParams) -> Heatmap | None:
    """Map the page by arm of the experiment; None where none is named.

    Parameters
    ----------
    opened : Dataset
        With `events` and `assignments`.
    params : HeatmapParams
        What is asked.

    Returns
    -------
    Heatmap or None
        One grid an arm.
    """
    from growth import heatmap

    if not params.experiment_id:
        return None
    return heatmap.aggregate(
        opened.events,
        users=True,
        pairs=True,
        by="variant",
        assignments=opened.assignments,
        exp_id=params.experiment_id,
        **params.map_scope(),
    )


def compared(
    opened: Dataset, params: HeatmapParams, kind: str = "elements"
) -> Comparison | None:
    """Compare the experiment's arms on the page; None where none is named.

    Parameters
    ----------
    opened : Dataset
        With `events` and `assignments`.
    params : HeatmapParams
        What is asked.
    kind : {"elements", "cells"}
        What is compared.

    Returns
    -------
    Comparison or None
        As `heatmap.compare`.
    """
    from growth import heatmap

    if not params.experiment_id:
        return None
    return heatmap.compare(
        opened.events,
        assignments=opened.assignments,
        exp_id=params.experiment_id,
        kind=kind,
        **params.scope(),
    )


def decided_on(
    taps: Heatmap,
    first: FirstScreen,
    ranks: Elements,
    anger: Frustration,
    moved: Comparison | None,
) -> Decision:
    """Say whether the page wants attention, and why.

    Parameters
    ----------
    taps, first, ranks, anger : results
        Of one page.
    moved : Comparison, optional
        Of two arms.

    Returns
    -------
    Decision
        ``warn`` where something is to be mended, ``good`` where nothing is, ``few``
        where too few users tapped, ``broken`` where the arms' split is.
    """
    reasons: list[Reason] = []
    if moved is not None:
        word = moved.verdict.rpartition(".")[2]
        told = (("items", count(len(moved.found))), ("p", p_value(moved.p_value)))
        reasons.append(Reason(f"arms_{word}", told))
    core = first.pages[0] if first.pages else None
    if core is None or core.share.users < LEAST_USERS:
        return Decision(verdict="heatmap.page.few", reasons=tuple(reasons))
    dead = tuple(
        Reason("dead_element", (("element", i.element_id), ("ctr", percent(i.ctr))))
        for i in ranks.dead
    )
    rage = tuple(
        Reason(
            "rage_spot",
            (
                ("element", s.element_id or label("chart.heatmap.blank")),
                ("users", count(s.users)),
                ("rate", percent(s.user_rate)),
            ),
        )
        for s in anger.of("rage")
        if (s.user_rate or 0) >= RAGE_RATE
    )
    args = (("rate", percent(core.share.rate)), ("target", percent(first.target)))
    aim = Reason(f"core_{core.verdict}", args)
    wrong = bool(
        dead or rage or core.verdict == "below" or taps.verdict.endswith("page")
    )
    broken = moved is not None and moved.verdict.endswith("mismatch")
    word = "broken" if broken else "warn" if wrong else "good"
    return Decision(
        verdict=f"heatmap.page.{word}", reasons=(*reasons, *dead, *rage, aim)
    )


def results_of(**found: Result | None) -> dict[str, Result]:
    """Return the results that there are, by name."""
    return {name: result for name, result in found.items() if result is not None}


def summary(
    decision: Decision,
    taps: Heatmap,
    first: FirstScreen,
    reach: ScrollReach,
    *,
    lang: Lang | None = None,
) -> Block:
    """Open the readout: the page, what to mend, why, and four numbers.

    Parameters
    ----------
    decision : Decision
        As `decided_on`.
    taps, first, reach : results
        Of one page.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        Heading, decision, tiles.
    """
    core = first.pages[0] if first.pages else None
    page = reach.pages[0] if reach.pages else None
    tiles = []
    grid = _main(taps)
    if grid is not None:
        under = label(
            "heatmap.tile.users",
            lang,
            users=show(grid.viewers),
            taps=count(taps.taps_in),
        )
        on_map = sum(int(g.taps.sum()) for g in taps.grids)
        tiles.append(Tile(label("column.binned", lang), count(on_map), under))
    if core is not None:
        ends = interval(core.share.low, core.share.high, signed=False, lang=lang)
        under = label("heatmap.tile.interval", lang, ends=ends)
        name = label("heatmap.tile.core", lang)
        tiles.append(Tile(name, percent(core.share.rate), under))
        fold = core.folds
        ends = label(
            "figure.interval",
            lang,
            lo=_rpx(fold.quantile(0.1)),
            hi=_rpx(fold.quantile(0.9)),
        )
        tiles.append(
            Tile(
                label("heatmap.tile.fold", lang),
                _rpx(fold.quantile(0.5)),
                label("heatmap.tile.fold_under", lang, ends=ends),
            )
        )
    if page is not None and page.median_rpx is not None:
        end = page.reach(page.page_rpx - 1) if page.page_rpx else None
        under = label("heatmap.tile.end", lang, rate=percent(end))
        tiles.append(
            Tile(label("heatmap.tile.depth", lang), _rpx(page.median_rpx), under)
        )
    lines = [
        label(f"heatmap.reason.{r.code}", lang, **{k: show(v) for k, v in r.args})
        for r in decision.reasons
    ]
    title = label("heatmap.title", lang, page=grid.page if grid else "")
    return headline(
        title,
        label("heatmap.question", lang),
        label(decision.verdict, lang),
        lines,
        tiles[:4],
        tone=tone_of(decision.verdict),
    )


def _main(taps: Heatmap) -> Grid | None:
    return next((g for g in taps.grids if g.layer == "taps"), None)


def _rpx(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f} rpx"


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

    grid = _main(taps)
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
        f'<figure class="raster"><img alt="{_escaped(picture.alt)}"'
        f' src="{picture.url}"></figure>'
    )
    return head + Block(f"<div>{key}</div>") + image + top_cells(grid, lang)


def _cells(arms: Heatmap | None) -> tuple[CellUsers, ...]:
    return () if arms is None else arms.cells


def _escaped(text: str) -> str:
    from html import escape

    return escape(text)


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


def elements_table(ranks: Elements, *, lang: Lang | None = None) -> Block:
    """Draw the elements on one axis: who tapped, of those who saw.

    Parameters
    ----------
    ranks : Elements
        Of one page.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        The surest first; dead ones are named so.
    """
    rows = [
        Row(
            Interval(
                label=i.element_id,
                value=i.ctr,
                lo=i.ctr_low,
                hi=i.ctr_high,
                unit="share",
                change=False,
            ),
            note=label("column.dead", lang) if i.dead else "",
            after=(
                count(i.taps),
                percent(i.tap_rate),
                show(None if i.pull is None else round(i.pull, 2)),
            ),
        )
        for i in ranks.items
        if i.ctr is not None
    ]
    shown = [*rows[: MOST - 1], *rows[MOST - 1 :][-1:]]
    if not shown:
        return finding(label("heatmap.elements.empty", lang))
    return interval_table(
        shown,
        caption=label("heatmap.elements", lang),
        first=label("column.element_id", lang),
        drawn=label("column.ctr", lang),
        after=[label(f"column.{n}", lang) for n in ("taps", "tap_rate", "pull")],
        lang=lang,
    )


def differences(moved: Comparison | None, *, lang: Lang | None = None) -> Block:
    """Draw where the arms differ by element, on one axis.

    Parameters
    ----------
    moved : Comparison, optional
        By elements; without it there is a line that says so.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        The overall test in words, then a row an element.
    """
    if moved is None:
        return finding(label("heatmap.no_experiment", lang))
    told = label(
        "heatmap.overall",
        lang,
        p=p_value(moved.p_value),
        arm_a=moved.arm_a,
        arm_b=moved.arm_b,
        units_a=count(moved.units_a),
        units_b=count(moved.units_b),
    )
    head = finding(label(moved.verdict, lang), [told])
    rows = [
        Row(
            Interval(
                label=i.item, value=i.difference, lo=i.low, hi=i.high, unit="share"
            ),
            after=(percent(i.rate_a), percent(i.rate_b), p_value(i.q_value)),
        )
        for i in moved.items[:MOST]
    ]
    if not rows:
        return head
    names = (moved.arm_a, moved.arm_b, label("column.q_value", lang))
    return head + interval_table(
        rows,
        caption=label("heatmap.compare", lang),
        first=label("column.item", lang),
        drawn=label("column.difference", lang),
        after=names,
        lang=lang,
    )


def frustration_table(anger: Frustration, *, lang: Lang | None = None) -> Block:
    """List rage, dead and error taps and quick backs, by element before any total.

    Parameters
    ----------
    anger : Frustration
        Of one page.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        One table.
    """
    names = ("signal", "element_id", "events", "users", "per_1000_views", "user_rate")
    rows = [
        {
            "signal": label(f"heatmap.signal.{s.signal}", lang),
            "element_id": (
                label("heatmap.signal.total", lang)
                if s.total
                else s.element_id or label("chart.heatmap.blank", lang)
            ),
            "events": count(s.events),
            "users": count(s.users),
            "per_1000_views": show(s.per_1000_views),
            "user_rate": f"{percent(s.user_rate)}"
            f" ({interval(s.ci_low, s.ci_high, signed=False, lang=lang)})",
        }
        for s in anger.signals
    ]
    columns = {name: label(f"column.{name}", lang) for name in names}
    told = label(
        "heatmap.rage_rule", lang, taps=str(anger.taps), gap=str(anger.gap_ms),
        radius=str(anger.radius_rpx),
    )  # fmt: skip
    head = finding(label(anger.verdict, lang), [told])
    caption = label("heatmap.frustration", lang)
    return head + data_table(columns, rows, caption=caption)


def zones_table(areas: Zones, *, lang: Lang | None = None) -> Block:
    """List the zones that hold half of the taps, and the F index.

    Parameters
    ----------
    areas : Zones
        Of one page.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        One table.
    """
    rows = [
        {
            "zone": str(i + 1),
            "x": f"{z.x0_rpx}–{z.x1_rpx}",
            "y": f"{z.y0_rpx}–{z.y1_rpx}",
            "taps": count(z.taps),
            "tap_rate": percent(z.share.rate),
        }
        for i, z in enumerate(areas.zones[:MOST])
    ]
    columns = {
        "zone": label("column.zone", lang),
        "x": label("column.x_rpx", lang),
        "y": label("column.y_rpx", lang),
        "taps": label("column.taps", lang),
        "tap_rate": label("column.tap_rate", lang),
    }
    lines = []
    if areas.f is not None and areas.f.value is not None:
        f = areas.f
        ends = label("figure.interval", lang, lo=f"{f.low:+.2f}", hi=f"{f.high:+.2f}")
        value = f"{f.value:+.2f}"
        lines.append(label("heatmap.f_index", lang, value=value, ends=ends))
    head = finding(label(areas.verdict, lang), lines)
    caption = label("heatmap.zones", lang)
    return head + data_table(columns, rows, caption=caption)


def checks(
    taps: Heatmap,
    results: Mapping[str, Any],
    moved: Comparison | None,
    opened: Loaded | None = None,
    *,
    lang: Lang | None = None,
) -> Block:
    """List what to know before the map is believed.

    Parameters
    ----------
    taps : Heatmap
        Of the page.
    results : mapping of str to Result
        Whose remarks are told.
    moved : Comparison, optional
        Whose split is told.
    opened : Dataset, optional
        Whose rows turned away are told.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        Every tap's class, the split, remarks.
    """
    classes = " · ".join(
        f"{label(f'column.{name}', lang)} {count(n)}"
        for name, n in taps.counted.items()
        if n
    )
    total = label("heatmap.check.counted", lang, taps=count(taps.taps_in))
    lines = [Check("ok", total, classes)]
    if moved is not None and moved.randomised:
        fine = not moved.verdict.endswith("mismatch")
        words = f"p = {p_value(moved.srm_p)}"
        state: State = "ok" if fine else "fail"
        lines.append(Check(state, label("abtest.split", lang), words))
    if opened is not None:
        lines += rows_check(opened.load_report, lang=lang)
    lines += remarks(results.values(), lang=lang)
    return check_list(lines, lang=lang)


def drawings(
    reach: ScrollReach,
    ranks: Elements,
    first: FirstScreen,
    *,
    lang: Lang | None = None,
) -> dict[str, alt.LayerChart]:
    """Return the readout's charts by name.

    Parameters
    ----------
    reach, ranks, first : results
        Of one page.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    dict of str to chart
        ``scroll``, ``elements``, ``core``.
    """
    return {
        "scroll": pictures.scroll_chart(reach, lang=lang),
        "elements": pictures.elements_chart(ranks, lang=lang),
        "core": pictures.core_chart(first, lang=lang),
    }
