"""Charts of coming back: the triangle, curves, drift, worth, states of users."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from growth.charts.figures import amount, count, interval, percent
from growth.charts.states import dated_axis, state_bars
from growth.charts.theme import ABOVE, ARMS, COLOURS, HEIGHT, WIDTH, finish
from growth.labels import LANG, column, label, valued

if TYPE_CHECKING:
    from collections.abc import Sequence

    import altair as alt

    from growth.labels import Lang
    from growth.retention import (
        Benchmark,
        Forecast,
        Lifecycle,
        Reconciliation,
        RetentionResult,
        RetentionTrend,
        Revenue,
    )

__all__ = [
    "curve_chart",
    "lifecycle_chart",
    "ltv_chart",
    "reconcile_chart",
    "trend_chart",
    "triangle_chart",
]

SPAN: Final = 640  # what the triangle's cells share
CELL: Final = (17, 46)  # narrowest and widest
ROW: Final = 22
WORDS: Final = 34  # a narrower cell has no words
SHOWN: Final = 31  # cohorts of the triangle, the youngest
LETTER: Final = 8  # px of a letter in the widest of the fonts a reader may have
DARK: Final = 0.82  # share of the largest rate from which white is read better
HATCH: Final = "M-1,0L0,-1M-1,1L1,-1M0,1L1,0"
DOTS: Final = 100  # points of a curve that are marked
MANY: Final = (
    *ARMS[1:], ARMS[0],
    "#2f8f9d", "#c2548f", "#6b5b2a", "#3d4aa3", "#a07d00", "#1b1f24",
)  # fmt: skip


def triangle_chart(
    result: RetentionResult,
    *,
    offsets: Sequence[int] = (),
    lang: Lang | None = None,
) -> alt.LayerChart:
    """Draw cohorts against offsets, the share that came back in each cell.

    Parameters
    ----------
    result : RetentionResult
        What `retention.measure` found; groups are summed over.
    offsets : sequence of int, optional
        The only offsets drawn; all if omitted.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    altair.LayerChart
        The youngest 31 cohorts, a row each with its size; a cell that is not
        complete is hatched and has no number. Where cells are narrow, only a live
        chart's pointer tells the number.
    """
    import altair as alt

    from growth.stats.proportions import Share, wilson

    size, kept, complete = result.counts()
    shown = [
        (c, k) for c, k in enumerate(result.spec.offsets) if not offsets or k in offsets
    ]
    rows = [i for i in range(len(size)) if size[i]][-SHOWN:]
    order = [f"{result.cohorts[i]} · {count(int(size[i]))}" for i in rows]
    values: list[dict[str, Any]] = []
    for name, i in zip(order, rows, strict=True):
        for c, k in shown:
            n, x, over = int(size[i]), int(kept[i, c]), bool(complete[i, c])
            lo, hi = wilson(Share(x, n)) or (0.0, 0.0)
            ends = interval(lo, hi, signed=False, lang=lang)
            values.append(
                {
                    "cohort": name,
                    "k": k,
                    "rate": x / n if over else None,
                    "said": f"{x / n:.0%}" if over else "",
                    "told": f"{percent(x / n)} ({ends})" if over else "–",
                }
            )
    width = min(max(SPAN // max(len(shown), 1), CELL[0]), CELL[1])
    top = max((row["rate"] for row in values if row["rate"] is not None), default=1.0)
    base = alt.Chart(alt.InlineData(values=values)).encode(
        x=alt.X(
            "k:O",
            title=label(f"chart.retention.x.{result.spec.period}", lang),
            axis=alt.Axis(orient="top", labelAngle=0, labelOverlap=True),
        ),
        y=alt.Y(
            "cohort:N",
            sort=order,
            title=None,
            axis=alt.Axis(minExtent=LETTER * max(map(len, order), default=0)),
        ),
        tooltip=[
            alt.Tooltip("cohort:N", title=column("cohort", lang)),
            alt.Tooltip("k:O", title=column("k", lang)),
            alt.Tooltip("told:N", title=column("rate", lang)),
        ],
    )
    known = base.transform_filter("isValid(datum.rate)")
    cells = known.mark_rect(stroke=COLOURS["card"], strokeWidth=1).encode(
        color=alt.Color(
            "rate:Q",
            legend=None,
            scale=alt.Scale(
                domain=[0, top], range=["#f3f7fc", "#9cc3ea", COLOURS["accent"]]
            ),
        )
    )
    open_cells = base.transform_filter("!isValid(datum.rate)").mark_point(
        shape=HATCH,
        size=float((min(width, ROW) - 6) ** 2),
        stroke=COLOURS["soft"],
        strokeWidth=0.8,
        fill=None,
        opacity=0.55,
    )
    layers = [cells, open_cells]
    if width >= WORDS:
        dark = f"datum.rate > {top * DARK!r}"
        layers.append(
            known.mark_text(fontSize=12).encode(
                text="said:N",
                color=alt.condition(
                    dark, alt.value(COLOURS["card"]), alt.value(COLOURS["ink"])
                ),
            )
        )
    chart = alt.layer(*layers).properties(
        width=width * max(len(shown), 1), height=ROW * max(len(rows), 1)
    )
    told = label(
        "chart.retention.triangle.told",
        lang,
        cohorts=count(len(rows)),
        users=count(int(size.sum())),
    )
    title = label("chart.retention.triangle", lang)
    if len(rows) < (filled := int((size > 0).sum())):
        part = {"shown": count(len(rows)), "cohorts": count(filled)}
        title += label("chart.retention.triangle.part", lang, **part)
    return finish(chart, name="triangle", title=title, description=told)


def curve_chart(
    result: RetentionResult,
    *,
    split: bool | None = None,
    forecast: Forecast | None = None,
    benchmark: Benchmark | None = None,
    goal: float | None = None,
    lang: Lang | None = None,
) -> alt.LayerChart:
    """Draw the share that came back by offset, from 1 on, with its interval.

    Parameters
    ----------
    result : RetentionResult
        What `retention.measure` found.
    split : bool, optional
        Whether there is a line for each group; where there are several if omitted.
        The 11 largest groups have one, the others share one.
    forecast : Forecast, optional
        A curve drawn on, dashed.
    benchmark : Benchmark, optional
        What others are said to reach, a mark at its offset with how well it is
        founded.
    goal : float, optional
        A share in [0, 1], a dotted line.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    altair.LayerChart
        A line with its 95 % band a group; only complete cells count. "On or after"
        is said in the title, because it is easily misread.
    """
    import altair as alt

    several = len(result.groups) > 1 if split is None else split
    shown = result.gathered() if several else result
    points = [p for p in shown.curve(split=several) if p.k and p.rate is not None]
    names = list(dict.fromkeys(group_name(p.by, lang) for p in points))
    values = [
        {
            "k": p.k,
            "group": group_name(p.by, lang),
            "rate": p.rate,
            "lo": p.low,
            "hi": p.high,
            "told": f"{percent(p.rate)} ({interval(p.low, p.high, signed=False)})",
        }
        for p in points
    ]
    base = alt.Chart(alt.InlineData(values=values))
    last = max([p.k for p in points] + [q.k for q in _ahead(forecast)], default=1)
    x = alt.X(
        "k:Q",
        title=label(f"chart.retention.x.{result.spec.period}", lang),
        scale=alt.Scale(domain=[min(1, last), last], nice=False),
        axis=alt.Axis(
            grid=False, format="d", values=_whole(1, last), ticks=True, domain=True
        ),
    )
    y = alt.Y(
        "rate:Q",
        title=label("chart.retention.y", lang),
        scale=alt.Scale(domainMin=0),
        axis=alt.Axis(format=".0%", tickCount=5, **ABOVE),
    )
    colour = _colours(names, column(result.spec.by[0], lang) if several else "")
    faint = 0.35 if len(names) < 2 else 0.2 if len(names) < 5 else 0.07
    band = base.mark_area(opacity=faint).encode(
        x=x, y=alt.Y("lo:Q"), y2="hi:Q", color=colour
    )
    line = base.mark_line(strokeWidth=2).encode(x=x, y=y, color=colour)
    dots = base.mark_point(filled=True, size=34, opacity=1).encode(
        x=x,
        y=y,
        color=colour,
        tooltip=[
            alt.Tooltip("k:Q", title=column("k", lang)),
            alt.Tooltip("told:N", title=column("rate", lang)),
        ],
    )
    layers = [band, line, *_drawn_on(forecast)]
    if len(values) <= DOTS:  # more say no more, and weigh on a page
        layers.append(dots)
    layers += _marks(benchmark, goal, lang)
    chart = alt.layer(*layers).properties(width=WIDTH, height=HEIGHT)
    told = "; ".join(
        f"{row['group']} {row['k']}: {row['told']}".strip()
        for row in values
        if row["k"] in (1, 7, 30)
    )
    title = label(f"chart.retention.curve.{result.spec.match}", lang)
    if several:
        title = " · ".join([title, *(column(name, lang) for name in result.spec.by)])
    return finish(chart, name="curve", title=title, description=told or title)


def group_name(by: Sequence[tuple[str, str | None]], lang: Lang | None = None) -> str:
    """Return what a group is called in words.

    Parameters
    ----------
    by : sequence of (str, str or None)
        Column and value, as in the points of a curve; None is unknown.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    str
        The values, where the package has words for them these; "other" for the
        groups a chart has put together.
    """
    from growth.retention.triangle import REST

    return " · ".join(
        label("chart.others", lang)
        if value == REST
        else label("chart.unknown", lang)
        if value is None
        else valued(name, value, lang)
        for name, value in by
    )


def is_rest(by: Sequence[tuple[str, str | None]]) -> bool:
    """Return whether a group is that of all the smaller ones.

    Parameters
    ----------
    by : sequence of (str, str or None)
        Column and value.
    """
    from growth.retention.triangle import REST

    return any(value == REST for _, value in by)


def trend_chart(trend: RetentionTrend, *, lang: Lang | None = None) -> alt.LayerChart:
    """Draw one offset's share cohort by cohort, and the pooled line.

    Parameters
    ----------
    trend : RetentionTrend
        What `retention.trend` found.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    altair.LayerChart
        A point with its interval a complete cohort, a line of seven pooled; the
        verdict is the title.
    """
    import altair as alt

    values = [
        {
            "cohort": p.cohort,
            "rate": p.rate,
            "lo": p.low,
            "hi": p.high,
            "pooled": p.rate_pooled,
            "told": f"{percent(p.rate)} ({interval(p.low, p.high, signed=False)})",
        }
        for p in trend.points
    ]
    base = alt.Chart(alt.InlineData(values=values)).encode(
        x=dated_axis(values, "cohort")
    )
    y = alt.Y(
        "rate:Q",
        title=label("chart.retention.y", lang),
        scale=alt.Scale(domainMin=0),
        axis=alt.Axis(format=".0%", tickCount=5, **ABOVE),
    )
    whiskers = base.mark_rule(color=COLOURS["soft"], opacity=0.6).encode(
        y=alt.Y("lo:Q"), y2="hi:Q"
    )
    points = base.mark_point(
        filled=True, size=44, color=COLOURS["soft"], opacity=1
    ).encode(y=y, tooltip=[alt.Tooltip("cohort:N"), alt.Tooltip("told:N", title=" ")])
    pooled = (
        base.transform_filter("isValid(datum.pooled)")
        .mark_line(color=COLOURS["accent"], strokeWidth=2)
        .encode(y="pooled:Q")
    )
    chart = alt.layer(whiskers, points, pooled).properties(width=WIDTH, height=HEIGHT)
    words = label(trend.verdict, lang)
    title = label("chart.retention.trend", lang, k=str(trend.k), verdict=words)
    told = "; ".join(f"{row['cohort']} {row['told']}" for row in values[-1:])
    return finish(chart, name="trend", title=title, description=f"{title}. {told}")


def ltv_chart(revenue: Revenue, *, lang: Lang | None = None) -> alt.LayerChart:
    """Draw net revenue per user as it adds up, and what a user cost.

    Parameters
    ----------
    revenue : Revenue
        What `retention.revenue` found.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    altair.LayerChart
        A line with its 95 % band; the cost of a user is a dotted line.
    """
    import altair as alt

    points = [p for p in revenue.curve if not p.by and p.ltv_fen is not None]
    values = [
        {
            "k": p.k,
            "ltv": (p.ltv_fen or 0.0) / 100,
            "lo": None if p.low is None else p.low / 100,
            "hi": None if p.high is None else p.high / 100,
            "told": amount(p.ltv_fen, "fen"),
        }
        for p in points
    ]
    base = alt.Chart(alt.InlineData(values=values))
    x = alt.X(
        "k:Q",
        title=label(f"chart.retention.x.{revenue.spec.period}", lang),
        scale=alt.Scale(nice=False),
        axis=alt.Axis(
            grid=False,
            format="d",
            values=_whole(0, len(points) - 1),
            ticks=True,
            domain=True,
        ),
    )
    y = alt.Y(
        "ltv:Q",
        title=label("chart.retention.ltv.y", lang),
        scale=alt.Scale(domainMin=0) if _above(values) else alt.Scale(),
        axis=alt.Axis(labelExpr="'¥' + format(datum.value, ',')", tickCount=5, **ABOVE),
    )
    band = (
        base.transform_filter("isValid(datum.lo)")
        .mark_area(color=COLOURS["band"])
        .encode(x=x, y=alt.Y("lo:Q"), y2="hi:Q")
    )
    line = base.mark_line(color=COLOURS["accent"], strokeWidth=2).encode(
        x=x,
        y=y,
        tooltip=[
            alt.Tooltip("k:Q", title=column("k", lang)),
            alt.Tooltip("told:N", title=label("chart.retention.ltv.y", lang)),
        ],
    )
    layers = [band, line]
    if revenue.cost_fen is not None:
        words = label(
            "chart.retention.ltv.cost", lang, cost=amount(revenue.cost_fen, "fen")
        )
        layers += _level(revenue.cost_fen / 100, words, COLOURS["warn"])
    chart = alt.layer(*layers).properties(width=WIDTH, height=HEIGHT)
    told = "; ".join(f"{row['k']}: {row['told']}" for row in values[-1:])
    title = label("chart.retention.ltv", lang)
    return finish(chart, name="ltv", title=title, description=f"{title}. {told}")


def lifecycle_chart(life: Lifecycle, *, lang: Lang | None = None) -> alt.LayerChart:
    """Draw who was active as stacked bars, who went quiet below zero.

    Parameters
    ----------
    life : Lifecycle
        What `retention.lifecycle` found.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    altair.LayerChart
        A bar an interval; users asleep for longer are not drawn. Below zero there is
        nothing until the interval is over.
    """
    quiet = [s for s in life.states[life.n_active :] if s != "asleep"]
    states = [*life.states[: life.n_active], *quiet]
    words = {state: column(state, lang) for state in states}
    values = []
    for state in states:
        sign = -1 if state in quiet else 1
        for when, users in zip(life.intervals, life.of(state), strict=True):
            if users is not None:
                values.append(
                    {
                        "interval": when,
                        "state": words[state],
                        "users": sign * users,
                        "said": count(users),
                        "at": states.index(state),
                    }
                )
    chart = state_bars(values, [*words.values()], lang=lang)
    title = label("chart.retention.lifecycle", lang)
    told = label(life.verdict, lang)
    return finish(chart, name="lifecycle", title=title, description=f"{title}. {told}")


def reconcile_chart(
    found: Reconciliation, *, lang: Lang | None = None
) -> alt.LayerChart:
    """Draw our counts over the platform's, by offset, and what still agrees.

    Parameters
    ----------
    found : Reconciliation
        What `retention.reconcile` found.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    altair.LayerChart
        A mark an offset for all days together, a faint one a day; the band is the
        tolerance about 1.
    """
    import altair as alt

    pooled = [
        {"k": k, "ratio": ratio, "said": percent(ratio)} for k, ratio in found.ratios
    ]
    days = [
        {"k": p.k, "ratio": p.ratio, "day": p.cohort}
        for p in found.pairs
        if p.ratio is not None
    ]
    y = alt.Y(
        "ratio:Q",
        title=label("chart.retention.reconcile.y", lang),
        scale=alt.Scale(zero=False),
        axis=alt.Axis(format=".0%", tickCount=5, **ABOVE),
    )
    x = alt.X(
        "k:O",
        title=label("chart.retention.x.day", lang),
        axis=alt.Axis(labelAngle=0, domain=True),
    )
    edges = [{"lo": 1 - found.tolerance, "hi": 1 + found.tolerance}]
    band = (
        alt.Chart(alt.InlineData(values=edges))
        .mark_rect(color=COLOURS["band"], opacity=0.7)
        .encode(y=alt.Y("lo:Q"), y2="hi:Q")
    )
    faint = (
        alt.Chart(alt.InlineData(values=days))
        .mark_point(size=18, color=COLOURS["soft"], opacity=0.5)
        .encode(x=x, y=y, tooltip=[alt.Tooltip("day:N"), alt.Tooltip("ratio:Q")])
    )
    marks = (
        alt.Chart(alt.InlineData(values=pooled))
        .mark_point(filled=True, size=90, color=COLOURS["accent"], opacity=1)
        .encode(x=x, y=y, tooltip=[alt.Tooltip("said:N", title=" ")])
    )
    chart = alt.layer(band, faint, marks).properties(width=WIDTH, height=HEIGHT)
    title = label(found.verdict, lang)
    told = "; ".join(f"{row['k']}: {row['said']}" for row in pooled)
    return finish(chart, name="reconcile", title=title, description=f"{title}. {told}")


def _colours(names: Sequence[str], title: str) -> alt.Color:
    import altair as alt

    several = len(names) > 1
    shades = list(MANY[: len(names)])
    found = alt.Legend(
        title=title, orient="bottom", columns=3, columnPadding=36, symbolOpacity=1
    )
    key = found if several else None
    return alt.Color(
        "group:N",
        legend=key,
        scale=alt.Scale(domain=list(names), range=shades or [COLOURS["accent"]]),
    )


def _ahead(forecast: Forecast | None) -> list[Any]:
    return [] if forecast is None else [p for p in forecast.points if p.expected]


def _drawn_on(forecast: Forecast | None) -> list[alt.Chart]:
    import altair as alt

    values = [
        {"k": p.k, "rate": p.expected, "lo": p.low, "hi": p.high}
        for p in _ahead(forecast)
    ]
    if not values:
        return []
    base = alt.Chart(alt.InlineData(values=values)).encode(x="k:Q")
    band = base.mark_area(color=COLOURS["line"], opacity=0.5).encode(
        y=alt.Y("lo:Q"), y2="hi:Q"
    )
    line = base.mark_line(color=COLOURS["ink"], strokeDash=[5, 4]).encode(y="rate:Q")
    return [band, line]


def _marks(
    benchmark: Benchmark | None, goal: float | None, lang: Lang | None
) -> list[alt.Chart]:
    found: list[alt.Chart] = []
    if benchmark is not None:
        name = benchmark.name_zh if (lang or LANG.get()) == "zh" else benchmark.name_en
        words = label(
            "chart.retention.benchmark",
            lang,
            industry=name,
            rate=percent(benchmark.rate),
            evidence=label(f"chart.evidence.{benchmark.evidence}", lang),
        )
        found += _level(benchmark.rate, words, COLOURS["warn"])
    if goal is not None:
        words = label("chart.retention.goal", lang, rate=percent(goal))
        found += _level(goal, words, COLOURS["soft"])
    return found


def _level(at: float, words: str, colour: str) -> list[alt.Chart]:
    """Return a dotted line across, with its words at the right end above it."""
    import altair as alt

    base = alt.Chart(alt.InlineData(values=[{"at": at, "words": words}]))
    rule = base.mark_rule(color=colour, strokeDash=[2, 3]).encode(y="at:Q")
    text = base.mark_text(align="right", dy=-7, color=colour, fontSize=12).encode(
        x=alt.value(WIDTH), y="at:Q", text="words:N"
    )
    return [rule, text]


def _whole(first: int, last: int) -> list[int]:
    """Return at most eight whole numbers to write on an axis: 1, 7, 14, ..."""
    step = next(
        (n for n in (1, 2, 5, 7, 10, 14, 30, 60) if (last - first) / n <= 7), 180
    )
    return sorted({first, *range(step, last + 1, step)})


def _above(values: Sequence[dict[str, Any]]) -> bool:
    return all(row["lo"] is None or row["lo"] >= 0 for row in values)
