"""Charts of A/B results: intervals on one axis, the split, the effect over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from growth.charts.figures import amount, count, interval, percent
from growth.charts.intervals import Axis, Interval, axis_of
from growth.charts.theme import ABOVE, ARMS, COLOURS, HEIGHT, WIDTH, finish
from growth.labels import label

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    import altair as alt

    from growth.abtest import AgeTrend, Analysis, Calibrated, Calibration, SplitCheck
    from growth.abtest.effects import Effect
    from growth.abtest.looks import LookEffect, Looks
    from growth.abtest.sizing import SizePlan
    from growth.abtest.trends import Trend
    from growth.labels import Lang

__all__ = [
    "age_chart",
    "calibration_chart",
    "cap_words",
    "effect_interval",
    "forest_chart",
    "looks_chart",
    "power_chart",
    "segments_chart",
    "split_chart",
    "trend_chart",
    "with_twins",
]

ROW: Final = 34
FLAT: Final = 1.5  # boundaries beyond so many times the middle one are cut


def effect_interval(
    effect: Effect, analysis: Analysis, *, name: str = "", lang: Lang | None = None
) -> Interval:
    """Return one effect as it is drawn: its adjusted lift, margin and direction.

    Parameters
    ----------
    effect : Effect
        One of `analysis`'s.
    analysis : Analysis
        Where it comes from: its experiment has the metric's words and margin.
    name : str, optional
        What to call the row; the metric's words if omitted.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Interval
        Where the margin is absolute, the absolute interval decides: it and the
        margin are put on the relative axis by the size of the control's mean.
    """
    metric = analysis.experiment.metric(effect.metric)
    margin = metric.margin if metric.role == "guardrail" else None
    if margin is not None and metric.margin_kind == "absolute":
        scale = abs(effect.mean_control or 0.0)
        ends = (effect.estimate, effect.ci_adj_low, effect.ci_adj_high, margin)
        value, lo, hi, margin = (
            None if end is None or not scale else end / scale for end in ends
        )
    else:
        value, lo, hi = effect.lift, effect.lift_adj_low, effect.lift_adj_high
    return Interval(
        label=name or metric.words(lang),
        value=value,
        lo=lo,
        hi=hi,
        margin=margin,
        good=metric.good,
        leads=(metric.role == "goal" or bool(effect.by)) and not effect.twin,
    )


def with_twins(analysis: Analysis) -> list[Effect]:
    """Return the total effects, each twin of a capped metric after its effect."""
    pairs = ((effect, analysis.twin_of(effect)) for effect in analysis.totals())
    return [one for pair in pairs for one in pair if one is not None]


def cap_words(effect: Effect, lang: Lang | None) -> str:
    """Say whether and where a row is capped; nothing where its metric has no cap."""
    if effect.capped is None:
        return ""
    if not effect.capped:
        return label("chart.uncapped", lang)
    ends = (effect.cap_low, effect.cap_high)
    words = [amount(end, effect.unit) for end in ends if end is not None]
    if effect.method in ("delta", "clusters"):  # a ratio's parts are capped, not it
        words = []
    if not words:
        return label("chart.capped", lang)
    return label("chart.capped_at", lang, at=" … ".join(words))


def forest_chart(analysis: Analysis, *, lang: Lang | None = None) -> alt.LayerChart:
    """Draw each metric's relative change with its interval, on one axis.

    Parameters
    ----------
    analysis : Analysis
        What `abtest.analyze` found.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    altair.LayerChart
        A row a metric and treatment arm, goals first, the twin of a capped metric
        below it. Zero is a line, a margin a dotted one; an end that leaves the axis
        has an arrow. Where the adjusted interval clears zero it has colour, and its
        mark is a triangle that points the way; else a ring.
    """
    effects = with_twins(analysis)
    several = len({effect.arm for effect in effects}) > 1
    rows = [
        effect_interval(
            effect, analysis, name=_row_name(effect, analysis, lang, arms=several)
        )
        for effect in effects
    ]
    return _forest(rows, name="forest", title=label("chart.forest", lang), lang=lang)


def segments_chart(
    analysis: Analysis, metric: str | None = None, *, lang: Lang | None = None
) -> alt.LayerChart:
    """Draw one metric's relative change in each segment, on one axis.

    Parameters
    ----------
    analysis : Analysis
        What `abtest.analyze` found with `by`.
    metric : str, optional
        Whose effect; the first goal's if omitted.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    altair.LayerChart
        The total first, then a row a segment and treatment arm.

    Raises
    ------
    ParameterError
        If the experiment has no such metric (code ``unknown_metric``).
    """
    chosen = analysis.experiment.metric(metric or analysis.experiment.metrics[0].name)
    effects = [e for e in analysis.effects if e.metric == chosen.name]
    several = len({effect.arm for effect in effects}) > 1
    rows = [
        effect_interval(effect, analysis, name=_segment(effect, lang, arms=several))
        for effect in effects
    ]
    title = label("chart.segments", lang, metric=chosen.words(lang))
    return _forest(rows, name=f"segments-{chosen.name}", title=title, lang=lang)


def split_chart(check: SplitCheck, *, lang: Lang | None = None) -> alt.LayerChart:
    """Draw units per arm as bars, the plan as a line across each.

    Parameters
    ----------
    check : SplitCheck
        What `abtest.check_split` found.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    altair.LayerChart
        A bar an arm, in the plan's order; the verdict is the title.
    """
    import altair as alt

    values = [
        {
            "arm": arm.variant,
            "units": arm.units,
            "planned": arm.expected_units,
            "said": count(arm.units),
            "edge": max(arm.units, arm.expected_units),
        }
        for arm in check.arms
    ]
    base = alt.Chart(alt.InlineData(values=values)).encode(
        y=alt.Y("arm:N", sort=None, title=None, axis=alt.Axis(domain=True)),
    )
    units = alt.X(
        "units:Q",
        title=label("chart.split.x", lang),
        axis=alt.Axis(format=",d", tickCount=5, ticks=True, domain=True),
    )
    bars = base.mark_bar(color=COLOURS["accent"], size=18).encode(
        x=units,
        tooltip=[
            alt.Tooltip("arm:N", title=label("column.arm", lang)),
            alt.Tooltip("units:Q", title=label("column.units", lang), format=",d"),
            alt.Tooltip(
                "planned:Q", title=label("column.expected_units", lang), format=",d"
            ),
        ],
    )
    plan = base.mark_tick(color=COLOURS["ink"], thickness=2, size=28).encode(
        x="planned:Q"
    )
    words = base.mark_text(
        align="left", dx=10, color=COLOURS["ink"], fontSize=13
    ).encode(x="edge:Q", text="said:N")
    layers = alt.layer(bars, plan, words).properties(
        width=WIDTH, height=ROW * len(values)
    )
    told = "; ".join(
        label(
            "chart.split.told",
            lang,
            arm=arm.variant,
            units=count(arm.units),
            planned=count(arm.expected_units),
        )
        for arm in check.arms
    )
    return finish(
        layers, name="split", title=label(check.verdict, lang), description=told
    )


def trend_chart(
    trend: Trend,
    metric: str | None = None,
    *,
    name: str = "",
    lang: Lang | None = None,
) -> alt.LayerChart:
    """Draw how the relative change built up over the days of first exposure.

    Parameters
    ----------
    trend : Trend
        What `abtest.trend` found.
    metric : str, optional
        Whose effect; the trend's first metric if omitted.
    name : str, optional
        The metric in words; its code name if omitted.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    altair.LayerChart
        A line a treatment arm with its band, cumulative by day. Early days are
        wide and cut at the frame. A day whose effect cannot be computed is left
        out.
    """
    import altair as alt

    shown = [
        point
        for point in trend.points
        if point.series == "cumulative"
        and point.effect.metric == (metric or point.effect.metric)
    ]
    metric = metric or (shown[0].effect.metric if shown else "")
    effects = [(point.day, point.effect) for point in shown]
    rows = [
        (day, Interval(label=e.arm, value=e.lift, lo=e.lift_low, hi=e.lift_high))
        for day, e in effects
        if e.metric == metric and e.lift_low is not None and e.lift_high is not None
    ]
    axis = axis_of(row for _, row in rows)
    arms = list(dict.fromkeys(row.label for _, row in rows))
    values = [
        {
            "day": day.isoformat(),
            "arm": row.label,
            "lift": row.value,
            "lo": row.lo,
            "hi": row.hi,
        }
        for day, row in rows
    ]
    several = len(arms) > 1
    colour = _arm_colour(arms, lang)
    days = alt.X(
        "day:T",
        title=label(f"chart.trend.{'stood' if trend.as_it_stood else 'x'}", lang),
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
    lift = alt.Y(
        "lo:Q",
        title=label("chart.trend.y", lang),
        scale=alt.Scale(domain=[axis.lo, axis.hi], nice=False),
        axis=_ruler(axis, **ABOVE),
    )
    # a bare ISO day is read as UTC, and drawn on a UTC scale: it stays that day
    base = alt.Chart(alt.InlineData(values=values))
    zero = _zero_line()
    if several:
        band = base.mark_area(clip=True, opacity=0.18).encode(
            x=days, y=lift, y2="hi:Q", color=colour
        )
    else:
        band = base.mark_area(clip=True, opacity=1, color=COLOURS["band"]).encode(
            x=days, y=lift, y2="hi:Q"
        )
    line = base.mark_line(clip=True, strokeWidth=2).encode(
        x=days, y="lift:Q", color=colour
    )
    hover = _by_day(rows, lang)
    layers = alt.layer(band, zero, line, hover).properties(width=WIDTH, height=HEIGHT)
    last = {row.label: (day, row) for day, row in rows}
    told = "; ".join(
        f"{arm} {day.isoformat()} {row.said()} ({row.ends(lang)})"
        for arm, (day, row) in last.items()
    )
    title = label("chart.trend", lang, metric=name or metric)
    return finish(
        layers, name=f"trend-{metric}", title=title, description=told or title
    )


def age_chart(
    trend: AgeTrend,
    metric: str | None = None,
    *,
    name: str = "",
    lang: Lang | None = None,
) -> alt.LayerChart:
    """Draw the relative change at each day since exposure, for the same units.

    Parameters
    ----------
    trend : AgeTrend
        What `abtest.trend_by_age` found.
    metric : str, optional
        Whose effect; the trend's first metric if omitted.
    name : str, optional
        The metric in words; its code name if omitted.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    altair.LayerChart
        A mark a day and treatment arm with its interval, over the units that have
        all these days behind them. A day whose change cannot be computed is left
        out; ends beyond the frame are cut.
    """
    import altair as alt

    metric = metric or (trend.points[0].metric if trend.points else "")
    rows = [
        (p.age, Interval(label=p.arm, value=p.lift, lo=p.lift_low, hi=p.lift_high))
        for p in trend.series(metric)
        if p.lift_low is not None and p.lift_high is not None
    ]
    axis = axis_of(row for _, row in rows)
    arms = list(dict.fromkeys(row.label for _, row in rows))
    values = [
        {
            "age": age,
            "arm": row.label,
            "lift": row.value,
            "lo": row.lo,
            "hi": row.hi,
            "told": f"{row.said()} ({row.ends(lang)})",
        }
        for age, row in rows
    ]
    base = alt.Chart(alt.InlineData(values=values))
    days = alt.X(
        "age:O",
        title=label("chart.ages.x", lang),
        axis=alt.Axis(labelAngle=0, grid=False, domain=True),
    )
    lift = alt.Y(
        "lo:Q",
        title=label("chart.trend.y", lang),
        scale=alt.Scale(domain=[axis.lo, axis.hi], nice=False),
        axis=_ruler(axis, **ABOVE),
    )
    beside: dict[str, Any] = {}
    if len(arms) > 1:
        beside["xOffset"] = alt.XOffset("arm:N", sort=arms)
    colour = _arm_colour(arms, lang)
    tip = alt.Tooltip("told:N", title=label("chart.trend.y", lang))
    lines = base.mark_rule(clip=True, strokeWidth=2).encode(
        x=days, y=lift, y2="hi:Q", color=colour, tooltip=tip, **beside
    )
    points = base.mark_point(clip=True, filled=True, size=60, opacity=1).encode(
        x=days, y="lift:Q", color=colour, tooltip=tip, **beside
    )
    layers = alt.layer(_zero_line(), lines, points)
    told = "; ".join(
        label(
            "chart.ages.told",
            lang,
            arm=row.label,
            age=str(age),
            value=row.said(),
            ends=row.ends(lang),
        )
        for age, row in rows
    )
    title = label("chart.ages", lang, metric=name or metric)
    return finish(
        layers.properties(width=WIDTH, height=HEIGHT),
        name=f"ages-{metric}",
        title=title,
        description=told or title,
    )


def looks_chart(
    looks: Looks,
    metric: str | None = None,
    *,
    name: str = "",
    lang: Lang | None = None,
) -> alt.LayerChart:
    """Draw the statistic at each look of a sequential plan, against its boundary.

    Parameters
    ----------
    looks : Looks
        What `abtest.analyze` found under a sequential plan.
    metric : str, optional
        Whose statistic; that of the first look's first metric if omitted.
    name : str, optional
        The metric in words; its code name if omitted.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    altair.LayerChart
        A line a treatment arm over the share of the planned size; a filled mark
        where it is beyond the boundary, which is dashed. Early boundaries far off
        are cut at the frame.
    """
    import altair as alt

    metric = metric or (looks.points[0].effect.metric if looks.points else "")
    points = [
        point
        for point in looks.points
        if point.effect.metric == metric and point.effect.statistic is not None
    ]
    arms = list(dict.fromkeys(point.effect.arm for point in points))
    frame = _frame(points)
    x = alt.X(
        "share:Q",
        title=label("chart.looks.x", lang),
        axis=alt.Axis(format="%", grid=False, tickCount=6, ticks=True, domain=True),
        scale=alt.Scale(domainMin=0),
    )
    y = alt.Y(
        "z:Q",
        title=label("chart.looks.y", lang),
        scale=alt.Scale(domain=[-frame, frame], nice=False),
        axis=alt.Axis(tickCount=7, **ABOVE),
    )
    colour = _arm_colour(arms, lang)
    tip = [
        alt.Tooltip("day:N", title=label("column.day", lang)),
        alt.Tooltip("z:Q", format=".2f"),
    ]
    base = alt.Chart(alt.InlineData(values=[_look_mark(point) for point in points]))
    line = base.mark_line(strokeWidth=2).encode(x=x, y=y, color=colour)
    marks = base.mark_point(size=50, opacity=1, fill=COLOURS["card"]).encode(
        x=x, y=y, color=colour, tooltip=tip
    )
    beyond = (
        base.transform_filter("datum.crossed")
        .mark_point(size=110, opacity=1, filled=True, shape="diamond")
        .encode(x=x, y=y, color=colour, tooltip=tip)
    )
    bounds = (
        alt.Chart(alt.InlineData(values=_boundary(points)))
        .mark_line(clip=True, color=COLOURS["bad"], strokeWidth=1.5, strokeDash=[4, 3])
        .encode(x=x, y=y, detail="side:N")
    )
    layers = alt.layer(_zero_line(), bounds, line, marks, beyond)
    last = {point.effect.arm: point for point in points}
    told = "; ".join(
        label(
            "chart.looks.told",
            lang,
            arm=arm,
            statistic=_z(point.effect.statistic),
            share=percent(point.information, digits=0),
            critical=_z(point.effect.critical),
        )
        for arm, point in last.items()
    )
    title = label("chart.looks", lang, metric=name or metric)
    return finish(
        layers.properties(width=WIDTH, height=HEIGHT),
        name=f"looks-{metric}",
        title=title,
        description=told or title,
    )


def calibration_chart(
    calibration: Calibration,
    *,
    names: Mapping[str, str] | None = None,
    lang: Lang | None = None,
) -> alt.LayerChart:
    """Draw how often each test rejects when nothing differs.

    Parameters
    ----------
    calibration : Calibration
        What `abtest.calibrate` found.
    names : mapping of str to str, optional
        Metrics in words; their code names if omitted.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    altair.LayerChart
        A row a metric, method and weight of arm: the rate with its interval, the
        intended level as a line. A test that is off has colour and a diamond, and
        says so in a word. One without a rate keeps its row.
    """
    import altair as alt

    several = len({one.arm for one in calibration.found}) > 1
    values = [
        _rate_mark(one, names or {}, lang, arms=several) for one in calibration.found
    ]
    most = max([2 * calibration.alpha, *(row["hi"] or 0.0 for row in values)])
    base = alt.Chart(alt.InlineData(values=values))
    bare = alt.Axis(labelPadding=8, labelLimit=260)
    y = alt.Y("label:N", sort=None, title=None, axis=bare)
    x = alt.X(
        "lo:Q",
        scale=alt.Scale(domain=[0, most * 1.03], nice=False),
        axis=alt.Axis(format="%", tickCount=5),
        title=label("chart.calibration.x", lang, alpha=_level(calibration.alpha)),
    )
    colour = alt.Color(
        "tone:N",
        legend=None,
        scale=alt.Scale(domain=["bad", "ink"], range=[COLOURS["bad"], COLOURS["ink"]]),
    )
    shape = alt.Shape(
        "tone:N",
        legend=None,
        scale=alt.Scale(domain=["bad", "ink"], range=["diamond", "circle"]),
    )
    aim = (
        alt.Chart(alt.InlineData(values=[{"alpha": calibration.alpha}]))
        .mark_rule(color=COLOURS["accent"], strokeWidth=1.5)
        .encode(x="alpha:Q")
    )
    known = base.transform_filter("isValid(datum.rate)")
    tip = alt.Tooltip("told:N", title=label("chart.calibration", lang))
    lines = known.mark_rule(strokeWidth=2).encode(
        x=x, x2="hi:Q", y=y, color=colour, tooltip=tip
    )
    points = known.mark_point(filled=True, size=90, opacity=1).encode(
        x="rate:Q", y=y, color=colour, shape=shape, tooltip=tip
    )
    words = base.mark_text(align="left", color=COLOURS["ink"], fontSize=13).encode(
        x=alt.value(WIDTH + 12), y=y, text="said:N"
    )
    layers = alt.layer(lines, aim, points, words).properties(
        width=WIDTH, height=max(ROW * len(values), ROW)
    )
    title = label("chart.calibration", lang)
    told = "; ".join(row["told"] for row in values)
    return finish(layers, name="calibration", title=title, description=told or title)


def power_chart(
    plan: SizePlan, metric: str | None = None, *, lang: Lang | None = None
) -> alt.LayerChart:
    """Draw the chance to find an effect, by its size, at the planned units.

    Parameters
    ----------
    plan : SizePlan
        What `abtest.plan` found.
    metric : str, optional
        Whose; the first that asks for an effect if omitted.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    altair.LayerChart
        A line with a mark for each effect, the power wanted as a dotted line; empty
        where no size was planned.
    """
    import altair as alt

    name = metric or next((need.metric for need in plan.curve), "")
    values = [
        {"effect": row.effect_relative, "power": row.power, "said": f"{row.power:.0%}"}
        for row in plan.curve
        if row.metric == name and row.effect_relative is not None
    ]
    base = alt.Chart(alt.InlineData(values=values))
    effect = alt.X(
        "effect:Q",
        title=label("chart.power.x", lang),
        axis=alt.Axis(format="+.1%", grid=False, tickCount=6, ticks=True, domain=True),
    )
    power = alt.Y(
        "power:Q",
        title=label("chart.power.y", lang),
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(format=".0%", tickCount=5, ticks=True, domain=True),
    )
    line = base.mark_line(color=COLOURS["accent"], strokeWidth=2).encode(
        x=effect, y=power
    )
    marks = base.mark_point(
        color=COLOURS["accent"], filled=True, size=60, opacity=1
    ).encode(x=effect, y=power, tooltip=alt.Tooltip("said:N", title=" "))
    wanted = (
        alt.Chart(alt.InlineData(values=[{"power": plan.power}]))
        .mark_rule(color=COLOURS["soft"], strokeDash=[2, 3])
        .encode(y="power:Q")
    )
    layers = alt.layer(wanted, line, marks).properties(width=WIDTH, height=HEIGHT)
    units = "–" if plan.units is None else count(plan.units)
    title = label("chart.power", lang, units=units)
    told = "; ".join(f"{row['effect']:+.1%} {row['said']}" for row in values)
    return finish(layers, name="power", title=title, description=told or title)


def _look_mark(point: LookEffect) -> dict[str, Any]:
    return {
        "share": point.information,
        "z": point.effect.statistic,
        "arm": point.effect.arm,
        "day": point.day.isoformat(),
        "crossed": point.crossed,
    }


def _boundary(points: Sequence[LookEffect]) -> list[dict[str, Any]]:
    """Return both sides of the boundary; looks at which nothing is spent have none."""
    first = points[0].effect.arm if points else ""
    return [
        {"share": p.information, "z": sign * p.effect.critical, "side": side}
        for side, sign in (("upper", 1), ("lower", -1))
        for p in points
        if p.effect.arm == first and p.effect.critical is not None
    ]


def _frame(points: Sequence[LookEffect]) -> float:
    """Return how far up and down the axis of z goes."""
    seen = [abs(p.effect.statistic or 0.0) for p in points]
    bounds = sorted(p.effect.critical for p in points if p.effect.critical is not None)
    near = bounds[len(bounds) // 2] * FLAT if bounds else 0.0
    return 1.08 * max([3.0, near, *seen])


def _z(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}".replace("-", "−")


def _level(alpha: float) -> str:
    """Write a level: ``5%``, ``0.1%``."""
    return f"{alpha * 100:.4g}%"


def _rate_mark(
    one: Calibrated, names: Mapping[str, str], lang: Lang | None, *, arms: bool
) -> dict[str, Any]:
    words = [names.get(one.metric, one.metric), one.method]
    ends = interval(one.rate_low, one.rate_high, signed=False, lang=lang)
    rate = percent(one.rate)
    return {
        "label": " · ".join([*words, one.arm] if arms else words),
        "rate": one.rate,
        "lo": one.rate_low,
        "hi": one.rate_high,
        "tone": "bad" if one.finding in {"inflated", "conservative"} else "ink",
        "said": label(f"abtest.calibrate.finding.{one.finding}", lang),
        "told": label(
            "chart.calibration.told",
            lang,
            metric=" · ".join(words),
            rate=rate,
            ends=ends,
        ),
    }


def _arm_colour(arms: Sequence[str], lang: Lang | None) -> alt.Color:
    """Return the colour of each treatment arm; a legend where there are several."""
    import altair as alt

    several = len(arms) > 1
    colours = ARMS[1 : len(arms) + 1] if several else (COLOURS["accent"],)
    title = label("column.arm", lang)
    key = alt.Legend(title=title, orient="bottom") if several else None
    return alt.Color(
        "arm:N", legend=key, scale=alt.Scale(domain=list(arms), range=list(colours))
    )


def _zero_line() -> alt.Chart:
    import altair as alt

    zero = alt.Chart(alt.InlineData(values=[{"zero": 0}]))
    return cast("alt.Chart", zero.mark_rule(color=COLOURS["soft"]).encode(y="zero:Q"))


def _by_day(rows: Sequence[tuple[date, Interval]], lang: Lang | None) -> alt.Chart:
    """Return what a live chart says of the day under the pointer; never drawn."""
    import altair as alt

    days: dict[str, dict[str, str]] = {}
    for day, row in rows:
        said = f"{row.said()} ({row.ends(lang)})"
        days.setdefault(day.isoformat(), {})[row.label] = said
    arms = list(dict.fromkeys(row.label for _, row in rows))
    columns = {arm: f"arm{i}" for i, arm in enumerate(arms)}
    values = [
        # the day once more, as a text: a tooltip would write it in the local zone
        {"day": day, "said": day, **{columns[arm]: told for arm, told in found.items()}}
        for day, found in days.items()
    ]
    told = [
        alt.Tooltip("said:N", title=label("column.day", lang)),
        *(alt.Tooltip(f"{columns[arm]}:N", title=arm) for arm in arms),
    ]
    rules = alt.Chart(alt.InlineData(values=values)).mark_rule(
        opacity=0, strokeWidth=max(4, WIDTH // max(1, len(days)))
    )
    at = alt.X("day:T", scale=alt.Scale(type="utc"))
    return cast("alt.Chart", rules.encode(x=at, tooltip=told))


def _row_name(
    effect: Effect, analysis: Analysis, lang: Lang | None, *, arms: bool
) -> str:
    name = analysis.experiment.metric(effect.metric).words(lang)
    parts = [name, effect.arm if arms else "", cap_words(effect, lang)]
    return " · ".join(part for part in parts if part)


def _segment(effect: Effect, lang: Lang | None, *, arms: bool) -> str:
    values = ["NULL" if value is None else value for _, value in effect.by]
    name = " · ".join(values) or label("chart.total", lang)
    return f"{name} · {effect.arm}" if arms else name


def _forest(
    rows: Sequence[Interval], *, name: str, title: str, lang: Lang | None
) -> alt.LayerChart:
    import altair as alt

    axis = axis_of(rows)
    values = [_mark(row, axis.lo, axis.hi, lang) for row in rows]
    base = alt.Chart(alt.InlineData(values=values))
    bare = alt.Axis(labelPadding=8)
    order = [row.label for row in rows]
    y = alt.Y("label:N", sort=order, title=None, axis=bare)
    scale = alt.Scale(domain=[axis.lo, axis.hi], nice=False)
    ruler = _ruler(axis)
    x = alt.X("lo:Q", scale=scale, axis=ruler, title=label("chart.forest.x", lang))
    tones = ["good", "bad", "ink"]
    colour = alt.Color(
        "tone:N",
        legend=None,
        scale=alt.Scale(domain=tones, range=[COLOURS[tone] for tone in tones]),
    )
    shape = alt.Shape(
        "clears:N",
        legend=None,
        scale=alt.Scale(
            domain=["up", "down", "none"],
            range=["triangle-up", "triangle-down", "circle"],
        ),
    )
    zero = (
        alt.Chart(alt.InlineData(values=[{"zero": 0}]))
        .mark_rule(color=COLOURS["soft"])
        .encode(x=alt.X("zero:Q", scale=scale))
    )
    known = base.transform_filter("isValid(datum.value)")
    told = alt.Tooltip("told:N", title=label("chart.forest.x", lang))
    lines = known.mark_rule(strokeWidth=2).encode(
        x=x, x2="hi:Q", y=y, color=colour, tooltip=told
    )
    points = known.mark_point(filled=True, size=110, opacity=1).encode(
        x="value:Q", y=y, color=colour, shape=shape, tooltip=told
    )
    margins = (
        base.transform_filter("isValid(datum.margin)")
        .mark_rule(color=COLOURS["bad"], strokeWidth=1.5, strokeDash=[2, 3])
        .encode(
            x="margin:Q",
            y=alt.Y("label:N", sort=order, title=None, axis=bare, bandPosition=0.15),
            y2=alt.Y2("label", bandPosition=0.85),
        )
    )
    words = base.mark_text(align="left", color=COLOURS["ink"], fontSize=13).encode(
        x=alt.value(WIDTH + 12), y=y, text="said:N"
    )
    cuts = [
        known.transform_filter(f"datum.{side}")
        .mark_point(filled=True, size=70, opacity=1, shape=f"triangle-{way}")
        .encode(x=f"{end}:Q", y=y, color=colour)
        for side, way, end in (
            ("cut_lo", "left", "lo"),
            ("cut_hi", "right", "hi"),
        )
        if any(row[side] for row in values)
    ]
    layers = alt.layer(zero, margins, lines, points, words, *cuts).properties(
        width=WIDTH, height=max(ROW * len(rows), ROW)
    )
    words_of_all = "; ".join(
        f"{row.label} {mark['told']}" for row, mark in zip(rows, values, strict=True)
    )
    return finish(layers, name=name, title=title, description=words_of_all)


def _ruler(axis: Axis, **more: Any) -> alt.Axis:  # noqa: ANN401  (Altair's own words)
    """Return the written axis: signed percentages, zero without a sign."""
    import altair as alt

    signed = f"format(datum.value, '+.{axis.digits}%')"
    return alt.Axis(
        values=list(axis.ticks),
        labelExpr=f"datum.value === 0 ? '0%' : {signed}",
        **more,
    )


def _mark(row: Interval, lo: float, hi: float, lang: Lang | None) -> dict[str, Any]:
    """Return one row's values; an end beyond the axis stands at its edge."""
    value, low, high = row.value, row.lo, row.hi
    known = value is not None and low is not None and high is not None
    return {
        "label": row.label,
        "value": min(max(value or 0.0, lo), hi) if known else None,
        "lo": max(low or 0.0, lo) if known else None,
        "hi": min(high or 0.0, hi) if known else None,
        "cut_lo": low is not None and low < lo,
        "cut_hi": high is not None and high > hi,
        "margin": None if row.limit is None else min(max(row.limit, lo), hi),
        "tone": row.tone,
        "clears": row.clears or "none",
        "said": row.said(),
        "told": f"{row.said()} ({row.ends(lang)})",
    }
