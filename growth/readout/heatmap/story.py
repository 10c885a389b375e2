"""The top of the page, its checks and its charts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from growth.charts import heatmap as pictures
from growth.charts.figures import count, interval, p_value, percent
from growth.labels import label
from growth.readout.blocks import (
    Block,
    Check,
    State,
    Tile,
    check_list,
    headline,
    tone_of,
)
from growth.readout.heatmap.maps import main_grid
from growth.readout.trust import remarks, rows_check
from growth.result import show

if TYPE_CHECKING:
    from collections.abc import Mapping

    import altair as alt

    from growth.heatmap import (
        Comparison,
        Elements,
        FirstScreen,
        Heatmap,
        ScrollReach,
    )
    from growth.labels import Lang
    from growth.readout.model import Decision
    from growth.readout.trust import Loaded

__all__ = ["checks", "drawings", "summary"]


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
    grid = main_grid(taps)
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


def _rpx(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f} rpx"


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
