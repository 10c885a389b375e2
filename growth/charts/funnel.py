"""Charts of a funnel: how far, how long, what instead."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from growth.charts.figures import count, interval, percent
from growth.charts.retention import MANY
from growth.charts.theme import ABOVE, COLOURS, HEIGHT, WIDTH, finish
from growth.labels import column, label, valued

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import altair as alt

    from growth.funnel import FunnelResult, FunnelStep, FunnelTrend, Paths, StepTime
    from growth.labels import Lang

__all__ = ["funnel_chart", "paths_chart", "span", "time_chart", "trend_chart"]

ROW: Final = 40
BAR: Final = 22
GROUPS: Final = 6  # bars side by side; the table has them all
NODE: Final = 10
WAIST: Final = 24  # points of a ribbon's edge
LEAST: Final = 0.03  # a node below this share has no words
QUARTILES: Final = ("p25", "p50", "p75")
GAP: Final = 0.02  # between nodes of one place, as a share of the height


def funnel_chart(result: FunnelResult, *, lang: Lang | None = None) -> alt.LayerChart:
    """Draw the share that reached each step, as bars with their intervals.

    Parameters
    ----------
    result : FunnelResult
        What `funnel.measure` found.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    altair.LayerChart
        A bar a step, or one for each of the first six groups; beside it how many
        reached it, and the share of those at the step before.
    """
    import altair as alt

    groups = list(result.groups)[:GROUPS]
    several = len(groups) > 1
    shown = [s for s in result.steps if s.by in groups]
    order = [_step(s, lang) for s in shown if s.by == (groups[0] if groups else ())]
    names = [_group(by, lang) for by in groups]
    values = [
        {
            "step": _step(s, lang),
            "group": _group(s.by, lang),
            "rate": s.rate_from_start or 0.0,
            "lo": s.low,
            "hi": s.high,
            "edge": max(s.high or 0.0, s.rate_from_start or 0.0),
            "said": _said(s, lang),
            "told": f"{percent(s.rate_from_start)} "
            f"({interval(s.low, s.high, signed=False, lang=lang)})",
        }
        for s in shown
    ]
    base = alt.Chart(alt.InlineData(values=values))
    y = alt.Y(
        "step:N",
        sort=order,
        title=None,
        axis=alt.Axis(labelPadding=8),
    )
    x = alt.X(
        "rate:Q",
        title=label("chart.funnel.x", lang),
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(format=".0%", tickCount=5),
    )
    offset: dict[str, Any] = {}
    size: dict[str, Any] = {"size": BAR}
    if several:
        offset, size = {"yOffset": alt.YOffset("group:N", sort=names)}, {}
    colour = alt.Color(
        "group:N",
        sort=names,
        scale=alt.Scale(domain=names, range=list(MANY[: len(names)])),
        legend=alt.Legend(title=_by(result, lang), orient="bottom")
        if several
        else None,
    )
    told = [
        alt.Tooltip("step:N", title=column("step", lang)),
        *([alt.Tooltip("group:N", title=_by(result, lang))] if several else []),
        alt.Tooltip("told:N", title=label("chart.funnel.x", lang)),
    ]
    bars = base.mark_bar(**size).encode(x=x, y=y, color=colour, tooltip=told, **offset)
    whiskers = (
        base.transform_filter("isValid(datum.lo)")
        .mark_rule(color=COLOURS["ink"], strokeWidth=1.5)
        .encode(x="lo:Q", x2="hi:Q", y=y, **offset)
    )
    words = base.mark_text(
        align="left", dx=8, color=COLOURS["ink"], fontSize=11 if several else 13
    ).encode(x="edge:Q", y=y, text="said:N", **offset)
    height = max(ROW, len(groups) * 18) * max(len(order), 1)
    chart = alt.layer(bars, whiskers, words).properties(width=WIDTH, height=height)
    title = label("chart.funnel", lang)
    said = "; ".join(f"{row['group']} {row['step']}: {row['told']}" for row in values)
    return finish(chart, name="funnel", title=title, description=said.strip() or title)


def trend_chart(
    trend: FunnelTrend, *, step: int | None = None, lang: Lang | None = None
) -> alt.LayerChart:
    """Draw the share of each day's entries that reached a step.

    Parameters
    ----------
    trend : FunnelTrend
        What `funnel.trend` found.
    step : int, optional
        The step, by number; the last if omitted.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    altair.LayerChart
        A line with its band, of the days whose windows are over.
    """
    import altair as alt

    last = step or max((day.step for day in trend.days), default=1)
    days = [d for d in trend.days if d.step == last and d.rate_from_start is not None]
    names = list(dict.fromkeys(_group(d.by, lang) for d in days))
    values = [
        {
            "ds": d.ds.isoformat(),
            "said": d.ds.isoformat(),
            "group": _group(d.by, lang),
            "rate": d.rate_from_start,
            "lo": d.low,
            "hi": d.high,
            "told": f"{percent(d.rate_from_start)} "
            f"({interval(d.low, d.high, signed=False, lang=lang)})",
        }
        for d in days
    ]
    base = alt.Chart(alt.InlineData(values=values))
    colour = alt.Color(
        "group:N",
        scale=alt.Scale(domain=names, range=list(MANY[: len(names)])),
        legend=alt.Legend(title=None, orient="bottom", symbolOpacity=1)
        if len(names) > 1
        else None,
    )
    x = alt.X(
        "ds:T",
        title=label("chart.funnel.trend.x", lang),
        scale=alt.Scale(type="utc"),
        axis=alt.Axis(
            format=label("chart.day", lang),
            grid=False,
            tickCount=7,
            labelOverlap=True,
            ticks=True,
            domain=True,
        ),
    )
    y = alt.Y(
        "rate:Q",
        title=label("chart.funnel.x", lang),
        scale=alt.Scale(domainMin=0),
        axis=alt.Axis(format="%", tickCount=5, **ABOVE),
    )
    band = base.mark_area(opacity=0.3 if len(names) < 2 else 0.15).encode(
        x=x, y=alt.Y("lo:Q"), y2="hi:Q", color=colour
    )
    line = base.mark_line(strokeWidth=2).encode(x=x, y=y, color=colour)
    dots = base.mark_point(filled=True, size=30, opacity=1).encode(
        x=x,
        y=y,
        color=colour,
        tooltip=[
            alt.Tooltip("said:N", title=column("day", lang)),
            alt.Tooltip("told:N", title=label("chart.funnel.x", lang)),
        ],
    )
    chart = alt.layer(band, line, dots).properties(width=WIDTH, height=HEIGHT)
    name = next((d.name for d in days), "")
    title = label("chart.funnel.trend", lang, step=name)
    return finish(chart, name="funnel-trend", title=title, description=title)


def time_chart(
    result: FunnelResult, *, step: int | None = None, lang: Lang | None = None
) -> alt.LayerChart:
    """Draw how long it took, as a histogram on a log scale, with the quartiles.

    Parameters
    ----------
    result : FunnelResult
        What `funnel.measure` found.
    step : int, optional
        From the step before to this one, by number; from the first step to the last
        if omitted.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    altair.LayerChart
        Bars of everybody who reached the step; lines at p25, p50 and p75. Empty
        where nobody did.
    """
    import altair as alt

    time = result.whole_way if step is None else _to(result, step)
    bins = () if time is None else time.histogram
    values = [
        {
            "lo": max(b.low_s, 1e-3),
            "hi": b.high_s,
            "n": b.n,
            "said": f"{span(b.low_s, lang)} – {span(b.high_s, lang)}: {count(b.n)}",
        }
        for b in bins
    ]
    quartiles = () if time is None else (time.p25_s, time.p50_s, time.p75_s)
    marks: list[dict[str, Any]] = [
        {"at": max(at, 1e-3), "said": f"{name} {span(at, lang)}"}
        for name, at in zip(QUARTILES, quartiles, strict=False)
        if at is not None
    ]
    ends = [b.low_s for b in bins[:1]] + [b.high_s for b in bins[-1:]]
    ticks = [s for s in TICKS if ends and ends[0] <= s <= ends[-1]]
    names = "{" + ",".join(f"'{s}': '{span(s, lang)}'" for s in ticks) + "}"
    x = alt.X(
        "lo:Q",
        title=label("chart.funnel.time.x", lang),
        scale=alt.Scale(type="log", nice=False),
        axis=alt.Axis(
            values=ticks,
            grid=False,
            labelExpr=f"{names}[datum.value]",
            ticks=True,
            domain=True,
        ),
    )
    y = alt.Y(
        "n:Q",
        title=label("column.users", lang),
        axis=alt.Axis(format=",d", tickCount=4, tickMinStep=1, **ABOVE),
    )
    bars = (
        alt.Chart(alt.InlineData(values=values))
        .mark_rect(color=COLOURS["accent"], opacity=0.75, stroke=COLOURS["card"])
        .encode(
            x=x,
            x2="hi:Q",
            y=y,
            y2=alt.datum(0),
            tooltip=alt.Tooltip("said:N", title=" "),
        )
    )
    base = alt.Chart(alt.InlineData(values=marks))
    rules = base.mark_rule(color=COLOURS["ink"], strokeDash=[4, 3]).encode(x="at:Q")
    written = [{"said": " · ".join(row["said"] for row in marks)}]
    words = (
        alt.Chart(alt.InlineData(values=written))
        .mark_text(align="right", fontSize=12, color=COLOURS["ink"])
        .encode(x=alt.value(WIDTH), y=alt.value(-8), text="said:N")
    )
    chart = alt.layer(bars, rules, words).properties(width=WIDTH, height=HEIGHT)
    way = "" if time is None else _way(result, time)
    title = label("chart.funnel.time", lang, way=way)
    told = "; ".join(row["said"] for row in marks)
    return finish(chart, name="time", title=title, description=f"{title}. {told}")


def paths_chart(paths: Paths, *, lang: Lang | None = None) -> alt.LayerChart:
    """Draw what people did instead, as ribbons from event to event.

    Parameters
    ----------
    paths : Paths
        What `funnel.paths` found.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    altair.LayerChart
        A column a place, its events by how many users went there; a ribbon is as
        high as its users are many.
    """
    import altair as alt

    nodes, ribbons = _flow(paths, lang)
    deep = max((row["place"] for row in nodes), default=0)
    # with room for the last column's words, whatever the reader's font
    x = alt.X("x:Q", axis=None, scale=alt.Scale(domain=[0, deep + 0.9], nice=False))
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(reverse=True, nice=False))
    flow = (
        alt.Chart(alt.InlineData(values=ribbons))
        .mark_area(opacity=0.45, color="#7a9cc6")
        .encode(
            x=x,
            y=y,
            y2="y2:Q",
            detail="link:N",
            tooltip=alt.Tooltip("link:N", title=" "),
        )
    )
    base = alt.Chart(alt.InlineData(values=nodes))
    bars = base.mark_bar(color=COLOURS["accent"]).encode(
        x=x, x2="x2:Q", y=y, y2="y2:Q", tooltip=alt.Tooltip("said:N", title=" ")
    )
    words = (
        base.transform_filter(f"datum.y2 - datum.y >= {LEAST!r}")
        .mark_text(align="left", dx=NODE + 4, fontSize=12, color=COLOURS["ink"])
        .encode(x=x, y="middle:Q", text="said:N")
    )
    chart = alt.layer(flow, bars, words).properties(
        width=190 * deep + 170, height=max(220, 26 * _most(nodes))
    )
    title = label("chart.funnel.paths", lang, users=count(paths.stopped_users))
    told = "; ".join(row["said"] for row in nodes if row["place"] == 1)
    return finish(chart, name="paths", title=title, description=f"{title}. {told}")


TICKS: Final = (1, 10, 60, 600, 3600, 21_600, 86_400, 259_200, 604_800, 2_592_000)
UNITS: Final = (("d", 86_400.0), ("h", 3600.0), ("m", 60.0), ("s", 1.0))


def span(seconds: float | None, lang: Lang | None = None) -> str:
    """Write a time: ``45 s``, ``12 min``, ``3.5 h``, ``2 d``; None is an en dash."""
    if seconds is None:
        return "–"
    unit, size = next((u for u in UNITS if seconds >= u[1]), UNITS[-1])
    value = seconds / size
    digits = 0 if value >= 10 or value == int(value) else 1
    return label(f"figure.span.{unit}", lang, n=f"{value:,.{digits}f}")


def _step(step: FunnelStep, lang: Lang | None) -> str:
    name = f"{step.step}. {step.name}"
    return label("chart.funnel.optional", lang, step=name) if step.optional else name


def _group(by: Sequence[tuple[str, str | None]], lang: Lang | None) -> str:
    unknown = label("chart.unknown", lang)
    return " · ".join(
        unknown if value is None else valued(name, value, lang) for name, value in by
    )


def _by(result: FunnelResult, lang: Lang | None) -> str:
    return " · ".join(column(name, lang) for name in result.by)


def _said(step: FunnelStep, lang: Lang | None) -> str:
    users = count(step.reached)
    if step.step == 1:
        return users
    rate = percent(step.rate_from_previous)
    return label("chart.funnel.said", lang, users=users, rate=rate)


def _to(result: FunnelResult, step: int) -> StepTime | None:
    found = [t for t in result.times if not t.by and t.step == step]
    return max(found, key=lambda t: t.from_step, default=None)


def _way(result: FunnelResult, time: StepTime) -> str:
    names = {s.step: s.name for s in result.totals}
    return f"{names.get(time.from_step, '')} → {time.name}"


def _most(nodes: Sequence[dict[str, Any]]) -> int:
    places = [row["place"] for row in nodes]
    return max((places.count(place) for place in set(places)), default=0)


def _flow(
    paths: Paths, lang: Lang | None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return nodes and the points of the ribbons between them."""
    whole = paths.stopped_users or 1
    first = next((link.source for link in paths.links), "")
    tops: dict[tuple[int, str], list[float]] = {}
    nodes = [_node(0, first, 0.0, paths.stopped_users, whole, lang)] if first else []
    if first:
        tops[0, first] = [0.0, 0.0]
    ordered = sorted(paths.links, key=lambda link: link.place)
    for place, part in groupby(ordered, key=lambda link: link.place):
        users: dict[str, int] = {}
        for link in part:
            users[link.target] = users.get(link.target, 0) + link.users
        y = 0.0
        for name, n in sorted(users.items(), key=lambda item: -item[1]):
            tops[place, name] = [y, y]
            nodes.append(_node(place, name, y, n, whole, lang))
            y += n / whole + GAP
    ribbons: list[dict[str, Any]] = []
    for link in paths.links:
        here = tops.get((link.place - 1, link.source))
        there = tops[link.place, link.target]
        if here is None:
            continue
        high = link.users / whole
        words = f"{link.source} → {_named(link.target, lang)}: {count(link.users)}"
        ribbons += _ribbon(link.place, here[1], there[0], high, words)
        here[1] += high
        there[0] += high
    return nodes, ribbons


def _node(
    place: int, name: str, y: float, users: int, whole: int, lang: Lang | None
) -> dict[str, Any]:
    high = users / whole
    return {
        "place": place,
        "x": place,
        "x2": place + 0.05,
        "y": y,
        "y2": y + high,
        "middle": y + high / 2,
        "said": f"{_named(name, lang)} · {percent(high)}",
    }


def _ribbon(
    place: int, here: float, there: float, high: float, words: str
) -> Iterator[dict[str, Any]]:
    for i in range(WAIST + 1):
        t = i / WAIST
        y = here + (there - here) * t * t * (3 - 2 * t)
        x = place - 1 + 0.05 + 0.95 * t
        yield {"x": round(x, 4), "y": y, "y2": y + high, "link": words}


def _named(name: str, lang: Lang | None) -> str:
    """Return an event's name; what is no event has words."""
    from growth.labels import has

    key = f"chart.funnel.{name}"
    return label(key, lang) if name in ("other", "nothing") and has(key) else name
