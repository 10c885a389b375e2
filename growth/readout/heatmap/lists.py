"""Elements, arms, frustration and zones, each as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from growth.charts.figures import count, interval, p_value, percent
from growth.charts.intervals import Interval
from growth.labels import label
from growth.readout.blocks import (
    Block,
    Row,
    data_table,
    finding,
    interval_table,
)
from growth.result import show

if TYPE_CHECKING:
    from growth.heatmap import (
        Comparison,
        Elements,
        Frustration,
        Zones,
    )
    from growth.labels import Lang

__all__ = ["differences", "elements_table", "frustration_table", "zones_table"]

MOST: Final = 12


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
            Interval.share(i.element_id, i.ctr, i.ctr_low, i.ctr_high),
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
