"""Charts of tiers: who stands where, who moves, what a change does, what points owe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from growth.charts.figures import (
    amount,
    count,
    difference,
    difference_interval,
    interval,
    listed,
    percent,
    written_interval,
)
from growth.charts.theme import ABOVE, COLOURS, HEIGHT, WIDTH, finish
from growth.errors import ParameterError, suggest
from growth.labels import column, label, worded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import altair as alt
    from numpy.typing import NDArray

    from growth.labels import Lang
    from growth.tiers import (
        Candidate,
        Comparison,
        Difference,
        Found,
        Population,
        RollForward,
        Simulation,
        Span,
    )
    from growth.tiers.simulation import Scenario

__all__ = [
    "deferral_chart",
    "difference_chart",
    "flow_chart",
    "forecast_chart",
    "liability_chart",
    "search_chart",
    "tier_chart",
]

#: From the lowest tier that is drawn to the highest: darker is higher.
TIERS: Final = ("#a9c6e8", "#5a93cf", "#0b5cad", "#06305c", "#1b1f24")
MONEY: Final = ("margin_fen", "net_fen", "benefit_cost_fen", "liability_fen")
MOST: Final = 20  # candidates drawn, the best first
ROW: Final = 26
ROOM: Final = 80  # px for a million, on a phone too
SMALL: Final = 96  # the height of one of several panels
LIMIT: Final = 300  # px of a row's words
MONTHS: Final = (
    "slice(datum.label, 5) == '01' || datum.index == 0"
    " ? [slice(datum.label, 5), slice(datum.label, 0, 4)] : slice(datum.label, 5)"
)
#: A day as month and day, the year where it is new.
DAYS: Final = (
    "datum.index == 0 || slice(datum.label, 5, 7) == '01'"
    " ? [slice(datum.label, 5), slice(datum.label, 0, 4)] : slice(datum.label, 5)"
)
#: A number with its sign.
SIGNED: Final = (
    "(datum.value < 0 ? '−' : datum.value > 0 ? '+' : '')"
    " + format(abs(datum.value), ',')"
)
#: What a chart may be given, and where it comes from.
SOURCES: Final = {
    "Simulation": "tiers.simulate",
    "Comparison": "tiers.compare",
    "Population": "tiers.fit",
    "RollForward": "tiers.roll_forward",
    "Found": "tiers.search",
}
YUAN: Final = "(datum.value < 0 ? '−' : {plus}) + '¥' + format(abs(datum.value), ',')"


def tier_chart(
    result: Simulation | Comparison, *, lang: Lang | None = None
) -> alt.FacetChart:
    """Draw the share of members in each tier above the first, month by month.

    Parameters
    ----------
    result : Simulation or Comparison
        What `tiers.simulate` or `tiers.compare` found.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    altair.FacetChart
        A panel a scenario, stacked columns, the highest tier at the bottom; each
        edge has the 95 % interval of "in this tier or above". Everybody else is in
        the first tier.

    Raises
    ------
    ParameterError
        If `result` is neither (code ``wrong_result``).
    """
    import altair as alt

    simulation = _simulation(result)
    values: list[dict[str, Any]] = []
    order: list[str] = []
    for one in simulation.scenarios:
        members = _by_month(one, "members")
        everybody = members.sum(axis=2)
        names = one.programme.names
        order += [name for name in names[1:] if name not in order]
        for i, month in enumerate(simulation.month_ends):
            edge = 0.0
            for j in range(len(names) - 1, 0, -1):
                above = members[:, i, j:].sum(axis=1) / everybody[:, i]
                top = float(above.mean())
                lo, hi = _ends(above, least=0.0, most=1.0)
                values.append(
                    {
                        "scenario": _scenario(one.name, lang),
                        "month": month,
                        "tier": names[j],
                        "from": edge,
                        "to": top,
                        "lo": lo,
                        "hi": hi,
                        "told": f"{percent(top - edge)} · ≥ {percent(top)}"
                        f" ({interval(lo, hi, signed=False, lang=lang)})",
                    }
                )
                edge = top
    several = len(simulation.scenarios)
    x = _months(simulation)
    y = alt.Y(
        "from:Q",
        title=None,
        scale=alt.Scale(domainMin=0),
        axis=alt.Axis(format=".0%", tickCount=5),
    )
    base = alt.Chart().encode(x=x)
    bars = base.mark_bar(stroke=COLOURS["card"], strokeWidth=0.5).encode(
        y=y,
        y2="to:Q",
        color=_colours("tier", order, TIERS[: len(order)], columns=len(order)),
        tooltip=["month:N", "tier:N", alt.Tooltip("told:N", title=" ")],
    )
    chart = (
        alt.layer(*[bars, *_whiskers(base)], data=alt.InlineData(values=values))
        .properties(width=WIDTH / several - 12 * (several - 1), height=HEIGHT)
        .facet(
            column=alt.Column(
                "scenario:N",
                title=None,
                sort=[_scenario(one.name, lang) for one in simulation.scenarios],
                header=_header(shown=several > 1),
            ),
            spacing=22,
        )
    )
    last = [row for row in values if row["month"] == simulation.month_ends[-1]]
    told = "; ".join(f"{r['scenario']} {r['tier']}: {r['told']}" for r in last)
    title = label(
        "chart.tiers.tiers", lang, first=simulation.scenarios[0].programme.names[0]
    )
    return finish(chart, name="tiers", title=title, description=f"{title}. {told}")  # type: ignore[return-value]


def flow_chart(
    result: Simulation | Comparison,
    *,
    scenario: str | None = None,
    lang: Lang | None = None,
) -> alt.FacetChart:
    """Draw how many members enter and leave each tier, month by month.

    Parameters
    ----------
    result : Simulation or Comparison
        What `tiers.simulate` or `tiers.compare` found.
    scenario : str, optional
        The scenario drawn; the last if omitted.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    altair.FacetChart
        A panel a tier above the first: who came above zero, who left below it, with
        95 % intervals.

    Raises
    ------
    ParameterError
        If there is no such scenario (code ``unknown_scenario``), or `result` is
        neither (``wrong_result``).
    """
    import altair as alt

    simulation = _simulation(result)
    one = _chosen(simulation, scenario)
    names = one.programme.names
    values: list[dict[str, Any]] = []
    for sign, name in ((1, "moved_in"), (-1, "moved_out")):
        moved = _by_month(one, name)
        for i, month in enumerate(simulation.month_ends):
            for j in range(1, len(names)):
                mean = float(moved[:, i, j].mean())
                lo, hi = _ends(moved[:, i, j], least=0.0)
                values.append(
                    {
                        "month": month,
                        "tier": names[j],
                        "flow": column(name, lang),
                        "value": sign * mean,
                        "lo": None if lo is None else sign * lo,
                        "hi": None if hi is None else sign * hi,
                        "told": f"{count(mean)} ({_counted(lo, hi, lang)})",
                    }
                )
    base = alt.Chart().encode(x=_months(simulation))
    bars = base.mark_bar().encode(
        y=alt.Y(
            "value:Q",
            title=None,
            axis=alt.Axis(labelExpr="format(abs(datum.value), ',')", tickCount=4),
        ),
        color=_colours(
            "flow",
            [column("moved_in", lang), column("moved_out", lang)],
            (TIERS[1], "#d9a25f"),
            columns=2,
        ),
        tooltip=["month:N", "tier:N", "flow:N", alt.Tooltip("told:N", title=" ")],
    )
    chart = (
        alt.layer(*[bars, *_whiskers(base)], data=alt.InlineData(values=values))
        .properties(width=WIDTH, height=SMALL)
        .facet(
            row=alt.Row(
                "tier:N",
                title=None,
                sort=list(reversed(names[1:])),
                header=_header(shown=True),
            ),
            spacing=14,
        )
        .resolve_scale(y="independent")
    )
    told = "; ".join(
        f"{name}: {column('moved_in', lang)} {count(_total(values, name, 1))}, "
        f"{column('moved_out', lang)} {count(_total(values, name, -1))}"
        for name in names[1:]
    )
    title = label("chart.tiers.flows", lang, scenario=_scenario(one.name, lang))
    return finish(chart, name="flows", title=title, description=f"{title}. {told}")  # type: ignore[return-value]


def difference_chart(
    comparison: Comparison,
    *,
    scenario: str | None = None,
    metrics: Sequence[str] = MONEY,
    lang: Lang | None = None,
) -> alt.LayerChart:
    """Draw what a programme changes, in money or number, with both kinds of interval.

    Parameters
    ----------
    comparison : Comparison
        What `tiers.compare` found.
    scenario : str, optional
        The scenario held against the first; the second if omitted.
    metrics : sequence of str, optional
        Of the comparison's, in order, of one unit: in fen (names end in ``_fen``), or
        in number.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    altair.LayerChart
        A row a metric: the calibrated interval, thick, and beside it that of chance
        alone, thin and said to be too narrow. Without a record of earlier forecasts
        the thick one is of chance and parameters, and says so.

    Raises
    ------
    ParameterError
        As `flow_chart`; if the scenario is the first (``unknown_scenario``), a metric
        is none of the comparison's (``unknown_metric``), or metrics of money and of
        number are mixed (``mixed_units``).
    """
    import altair as alt

    _need(comparison, "Comparison")
    first = comparison.differences[0].scenario
    wanted = _chosen(comparison.simulation, scenario or first).name
    rows = _differences(comparison, wanted)
    unit = _unit(metrics, rows)
    scale = 100 if unit == "fen" else 1
    kinds = _kinds(comparison, lang)
    values: list[dict[str, Any]] = []
    order = [label(f"tiers.metric.{name}", lang) for name in metrics]
    for name in metrics:
        one = rows[name]
        for kind, span, dy in zip(kinds, (one.headline, one.mc), (0, 7), strict=True):
            values.append(
                {
                    "metric": label(f"tiers.metric.{name}", lang),
                    "kind": kind,
                    "value": one.difference / scale,
                    "lo": span.lo / scale if span else None,
                    "hi": span.hi / scale if span else None,
                    "dy": dy,
                    "said": difference(one.difference, unit),
                    "told": _ranged(span, unit, lang),
                }
            )
    base = alt.Chart(alt.InlineData(values=values)).encode(
        y=alt.Y(
            "metric:N",
            sort=order,
            title=None,
            axis=_named(order),
        ),
        color=_colours("kind", kinds, (COLOURS["accent"], COLOURS["bad"])),
    )
    words = label(f"chart.tiers.difference.{'x' if unit == 'fen' else unit}", lang)
    x = alt.X(
        "lo:Q",
        title=words,
        scale=alt.Scale(nice=False, zero=True, padding=14),
        axis=alt.Axis(
            labelExpr=(
                YUAN.format(plus="datum.value > 0 ? '+' : ''")
                if unit == "fen"
                else SIGNED
            ),
            tickCount=5,
            labelOverlap=True,
        ),
    )
    zero = (
        alt.Chart(alt.InlineData(values=[{"zero": 0}]))
        .mark_rule(color=COLOURS["soft"], strokeDash=[3, 3])
        .encode(x=alt.X("zero:Q", title=words))
    )
    tips = [
        alt.Tooltip("metric:N", title=" "),
        alt.Tooltip("said:N", title=column("difference", lang)),
        alt.Tooltip("told:N", title=label("chart.tiers.interval", lang)),
    ]
    layers: list[Any] = [zero]
    for kind, wide, dy in zip(kinds, (5, 2), (-4, 6), strict=True):
        some = base.transform_filter(alt.datum.kind == kind)
        some = some.transform_filter("isValid(datum.lo)")
        layers.append(
            some.mark_rule(strokeWidth=wide, yOffset=dy, opacity=1).encode(
                x=x, x2="hi:Q", tooltip=tips
            )
        )
    middle = base.transform_filter(alt.datum.kind == kinds[0])
    layers.append(
        middle.mark_point(
            filled=True,
            size=70,
            yOffset=-4,
            opacity=1,
            stroke=COLOURS["card"],
            strokeWidth=1.5,
        ).encode(x="value:Q", tooltip=tips)
    )
    chart = alt.layer(*layers).properties(width=WIDTH - 60, height=46 * len(order))
    told = "; ".join(
        f"{row['metric']} {row['said']} ({row['kind']}: {row['told']})"
        for row in values
    )
    title = label(
        "chart.tiers.difference",
        lang,
        scenario=_scenario(wanted, lang),
        baseline=_scenario(comparison.baseline, lang),
    )
    return finish(chart, name="differences", title=title, description=told or title)


def forecast_chart(people: Population, *, lang: Lang | None = None) -> alt.LayerChart:
    """Draw what the chosen generator forecast from earlier days, and what came.

    Parameters
    ----------
    people : Population
        What `tiers.fit` found, with back-tests.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    altair.LayerChart
        Revenue of the days after each origin: forecast with its calibrated interval,
        wide, and that of the model alone, narrow and said to be too narrow; what came
        is a ring.

    Raises
    ------
    ParameterError
        If the generator was never tested (code ``no_back_tests``), or `people` is no
        Population (``wrong_result``).
    """
    import altair as alt

    _need(people, "Population")
    tests = [one for one in people.back_tests if one.generator == people.generator]
    if not tests:
        msg = f"generator {people.generator!r} has no back-tests; a forecast must have"
        msg = f"{msg} been made to be drawn; fit a longer past."
        raise ParameterError(msg, code="no_back_tests")
    (test,) = tests
    marks = ("calibrated", "mc", "forecast", "actual")
    kinds = [label(f"chart.tiers.forecast.{name}", lang) for name in marks]
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in marks}
    for one in test.origins:
        at = {"as_of": one.as_of.isoformat()}
        for name, span in (("calibrated", one.calibrated), ("mc", one.mc)):
            if span is not None:
                ends = {"lo": span.lo / 100, "hi": span.hi / 100}
                kind = {"kind": kinds[marks.index(name)], "told": _levels(span, lang)}
                rows[name].append(at | kind | ends)
        for name, fen in (("forecast", one.forecast), ("actual", one.actual)):
            kind = {"kind": kinds[marks.index(name)], "told": amount(fen, "fen")}
            rows[name].append(at | kind | {"value": fen / 100})
    colours = (COLOURS["band"], COLOURS["bad"], COLOURS["accent"], COLOURS["ink"])

    def base(name: str) -> alt.Chart:
        colour = _colours("kind", kinds, colours)
        tips: list[Any] = ["as_of:N", "kind:N", alt.Tooltip("told:N", title=" ")]
        return alt.Chart(alt.InlineData(values=rows[name])).encode(
            x=alt.X(
                "as_of:O",
                title=label("chart.tiers.forecast.x", lang),
                axis=alt.Axis(
                    labelAngle=0,
                    labelExpr=DAYS,
                    labelOverlap="greedy",
                    labelSeparation=6,
                    labelPadding=9,
                ),
            ),
            color=colour,
            tooltip=tips,
        )

    y = alt.Y(
        "value:Q",
        title=label("chart.tiers.forecast.y", lang, days=str(test.window_days)),
        scale=alt.Scale(domainMin=0),
        axis=alt.Axis(
            labelExpr=YUAN.format(plus="''"), tickCount=5, minExtent=ROOM, **ABOVE
        ),
    )
    span_of: dict[str, Any] = {"y": alt.Y("lo:Q"), "y2": alt.Y2("hi:Q")}
    layers: list[Any] = [
        base("calibrated").mark_rule(strokeWidth=9).encode(**span_of),
        base("mc").mark_rule(strokeWidth=2).encode(**span_of),
        base("forecast").mark_point(filled=True, size=46, opacity=1).encode(y=y),
        base("actual")
        .mark_point(filled=False, size=60, strokeWidth=2, opacity=1)
        .encode(y=y),
    ]
    chart = alt.layer(*layers).properties(width=WIDTH, height=HEIGHT)
    title = label("chart.tiers.forecast", lang, error=percent(test.mape))
    last = test.origins[-1]
    told = f"{last.as_of}: {amount(last.forecast, 'fen')}, {amount(last.actual, 'fen')}"
    return finish(chart, name="forecasts", title=title, description=f"{title}. {told}")


def liability_chart(
    result: Simulation | Comparison,
    *,
    scenario: str | None = None,
    lang: Lang | None = None,
) -> alt.LayerChart:
    """Draw how points roll forward: issued, used, expired, clawed back, outstanding.

    Parameters
    ----------
    result : Simulation or Comparison
        What `tiers.simulate` or `tiers.compare` found.
    scenario : str, optional
        The scenario drawn; the last if omitted.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    altair.LayerChart
        Columns a month, what goes out below zero; the line is what stands at the
        month's end, active and pending less debt, with its 95 % interval.

    Raises
    ------
    ParameterError
        As `flow_chart`.
    """
    simulation = _simulation(result)
    one = _chosen(simulation, scenario)
    flows = {name: _by_month(one, name).sum(axis=2) for name in
             ("issued", "redeemed", "expired", "clawed")}  # fmt: skip
    held = sum(
        sign * _by_month(one, name).sum(axis=2)
        for name, sign in (("active", 1), ("pending", 1), ("debt", -1))
    )
    values: list[dict[str, Any]] = []
    stock: list[dict[str, Any]] = []
    for i, month in enumerate(simulation.month_ends):
        for name, points in flows.items():
            mean = float(points[:, i].mean())
            lo, hi = _ends(points[:, i], least=0.0)
            values.append(
                {
                    "month": month,
                    "flow": column(name, lang),
                    "amount": mean if name == "issued" else -mean,
                    "told": f"{count(mean)} ({_counted(lo, hi, lang)})",
                }
            )
        assert not isinstance(held, int)
        mean = float(held[:, i].mean())
        lo, hi = _ends(held[:, i])
        stock.append(
            {
                "month": month,
                "value": mean,
                "lo": lo,
                "hi": hi,
                "told": f"{count(mean)} ({_counted(lo, hi, lang)})",
            }
        )
    chart = _flows_and_stock(
        values,
        stock,
        at="month",
        periods=simulation.month_ends,
        y=label("chart.tiers.points", lang),
        ticks="replace(format(datum.value, ','), '-', '−')",
        colours=_colours(
            "flow",
            [column(name, lang) for name in flows],
            (TIERS[1], COLOURS["good"], "#b9bfc6", "#d9a25f"),
            columns=4,
        ),
    )
    told = "; ".join(f"{row['month']}: {row['told']}" for row in stock[-1:])
    title = label("chart.tiers.liability", lang, scenario=_scenario(one.name, lang))
    return finish(chart, name="liability", title=title, description=f"{title}. {told}")


def deferral_chart(roll: RollForward, *, lang: Lang | None = None) -> alt.LayerChart:
    """Draw deferred revenue from period to period.

    Parameters
    ----------
    roll : RollForward
        What `tiers.roll_forward` or `Simulation.roll_forward` found, in fen.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    altair.LayerChart
        Columns a period: deferred above zero, recognised and clawed back below it;
        the line is what still waits.

    Raises
    ------
    ParameterError
        If `roll` is none (code ``wrong_result``).
    """
    _need(roll, "RollForward")
    names = ("deferred", "recognised", "clawed")
    periods = list(roll.months) or [str(i + 1) for i in range(len(roll.periods))]
    values = [
        {
            "period": name_of,
            "flow": label(f"chart.tiers.deferral.{name}", lang),
            "amount": (1 if name == "deferred" else -1) * getattr(period, name) / 100,
            "told": amount(getattr(period, name), "fen"),
        }
        for name_of, period in zip(periods, roll.periods, strict=True)
        for name in names
    ]
    stock = [
        {
            "period": name_of,
            "value": period.closing / 100,
            "told": amount(period.closing, "fen"),
        }
        for name_of, period in zip(periods, roll.periods, strict=True)
    ]
    chart = _flows_and_stock(
        values,
        stock,
        at="period",
        periods=periods,
        title=None if roll.months else column("period", lang),
        y=label("chart.tiers.deferred.y", lang),
        ticks=YUAN.format(plus="''"),
        colours=_colours(
            "flow",
            [label(f"chart.tiers.deferral.{name}", lang) for name in names],
            (TIERS[1], COLOURS["good"], "#d9a25f"),
            columns=3,
        ),
    )
    title = label("chart.tiers.deferred", lang, closing=amount(roll.closing, "fen"))
    told = "; ".join(f"{row['period']}: {row['told']}" for row in stock)
    return finish(chart, name="deferral", title=title, description=f"{title}. {told}")


def search_chart(found: Found, *, lang: Lang | None = None) -> alt.LayerChart:
    """Draw how far each candidate of a search is behind the best.

    Parameters
    ----------
    found : Found
        What `tiers.search` found.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    altair.LayerChart
        The best 20, a row each: what it changes, its paired distance to the best
        with the interval that decides whether the two can be told apart, filled
        where they cannot.

    Raises
    ------
    ParameterError
        If `found` is none (code ``wrong_result``).
    """
    import altair as alt

    _need(found, "Found")
    kinds = [
        label("chart.tiers.search.best", lang),
        label("chart.tiers.search.behind", lang),
        label("chart.tiers.search.refused", lang),
    ]
    values: list[dict[str, Any]] = []
    for rank, one in enumerate(found.candidates[:MOST], 1):
        kind = kinds[2 if not one.allowed else 1 if one.separable else 0]
        told = difference(-one.behind, "fen")
        if one.span is not None:
            lo, hi = -one.span.hi, -one.span.lo
            told = f"{told} ({difference_interval(lo, hi, 'fen', lang=lang)})"
        values.append(
            {
                "name": f"{rank}. {_changed(one, lang)}",
                "kind": kind,
                "value": -one.behind / 100,
                "lo": -one.span.hi / 100 if one.span else None,
                "hi": -one.span.lo / 100 if one.span else None,
                "told": told,
            }
        )
    order = [row["name"] for row in values]
    base = alt.Chart(alt.InlineData(values=values)).encode(
        y=alt.Y(
            "name:N",
            sort=order,
            title=None,
            axis=_named(order),
        ),
        color=_colours(
            "kind", kinds, (COLOURS["good"], COLOURS["soft"], COLOURS["bad"])
        ),
    )
    x = alt.X(
        "lo:Q",
        title=label("chart.tiers.search.x", lang),
        scale=alt.Scale(nice=False, zero=True, padding=14),
        axis=alt.Axis(
            labelExpr=YUAN.format(plus="datum.value > 0 ? '+' : ''"),
            tickCount=4,
            labelOverlap=True,
        ),
    )
    tips = [
        alt.Tooltip("name:N", title=" "),
        alt.Tooltip("told:N", title=label("chart.tiers.search.x", lang)),
    ]
    rules = base.mark_rule(strokeWidth=2).encode(x=x, x2="hi:Q")
    dots = base.mark_point(filled=True, size=70, opacity=1).encode(
        x="value:Q",
        shape=alt.Shape(
            "kind:N",
            legend=None,
            scale=alt.Scale(domain=kinds, range=["circle", "diamond", "cross"]),
        ),
        tooltip=tips,
    )
    zero = (
        alt.Chart(alt.InlineData(values=[{"zero": 0}]))
        .mark_rule(color=COLOURS["soft"], strokeDash=[3, 3])
        .encode(x=alt.X("zero:Q", title=label("chart.tiers.search.x", lang)))
    )
    chart = alt.layer(zero, rules, dots).properties(
        width=WIDTH - 140, height=ROW * max(len(values), 1)
    )
    told = "; ".join(f"{r['name']}: {r['told']}, {r['kind']}" for r in values[:5])
    title = label(found.verdict, lang)
    return finish(chart, name="search", title=title, description=f"{title}. {told}")


def _flows_and_stock(
    flows: list[dict[str, Any]],
    stock: list[dict[str, Any]],
    *,
    at: str,
    periods: Sequence[str],
    title: str | None = None,
    y: str,
    ticks: str,
    colours: alt.Color,
) -> alt.LayerChart:
    """Return columns of what comes and goes, and a line of what stands after it."""
    import altair as alt

    axis = alt.Axis(labelExpr=ticks, tickCount=6, minExtent=ROOM, **ABOVE)
    x = _periods(at, periods, title)
    tips: list[Any] = [f"{at}:N", alt.Tooltip("told:N", title=" ")]
    bars = (
        alt.Chart(alt.InlineData(values=flows))
        .mark_bar()
        .encode(
            x=x,
            y=alt.Y("amount:Q", title=y, axis=axis),
            color=colours,
            tooltip=[tips[0], "flow:N", tips[1]],
        )
    )
    base = alt.Chart(alt.InlineData(values=stock)).encode(x=x)
    ink = COLOURS["ink"]
    line = base.mark_line(color=ink, strokeWidth=2).encode(y="value:Q")
    dots = base.mark_point(filled=True, size=40, color=ink, opacity=1)
    layers: list[Any] = [bars, line, dots.encode(y="value:Q", tooltip=tips)]
    if any("lo" in row for row in stock):
        layers[1:1] = _whiskers(base)
    return alt.layer(*layers).properties(  # type: ignore[return-value]
        width=WIDTH, height=HEIGHT + 30
    )


def _need(given: object, *kinds: str) -> None:
    """Refuse what is none of these results."""
    from growth import tiers

    if not isinstance(given, tuple(getattr(tiers, kind) for kind in kinds)):
        due = " or ".join(kinds)
        verbs = " or ".join(SOURCES[kind] for kind in kinds)
        msg = f"the chart was given a {type(given).__name__}; it must be a {due}; pass"
        raise ParameterError(f"{msg} what {verbs} returned.", code="wrong_result")


def _differences(comparison: Comparison, wanted: str) -> dict[str, Difference]:
    """Return a scenario's differences by metric; the first has none to itself."""
    rows = {one.metric: one for one in comparison.differences if one.scenario == wanted}
    if not rows:
        others = list(dict.fromkeys(one.scenario for one in comparison.differences))
        msg = f"scenario is {wanted!r}, which the others are held against; it must be"
        msg = f"{msg} one of {others}; name one, or none."
        raise ParameterError(msg, code="unknown_scenario")
    return rows


def _unit(metrics: Sequence[str], known: Mapping[str, object]) -> str:
    """Return the unit of metrics; refuse those that are none, or of several units."""
    wrong = [metrics] if isinstance(metrics, str) or not metrics else []
    wrong = wrong or [name for name in metrics if name not in known]
    if wrong:
        msg = f"metrics holds {wrong[0]!r}; it must be a list of {', '.join(known)};"
        msg = f"{msg} correct it.{suggest(str(wrong[0]), known)}"
        raise ParameterError(msg, code="unknown_metric")
    units = {"fen" if name.endswith("_fen") else "count" for name in metrics}
    if len(units) > 1:
        msg = f"metrics is {list(metrics)}, of money and of number; an axis must have"
        msg = f"{msg} one unit; draw those that end in _fen apart from the others."
        raise ParameterError(msg, code="mixed_units")
    return units.pop()


def _simulation(result: Simulation | Comparison) -> Simulation:
    """Return the scenarios: a comparison keeps them."""
    from growth.tiers import Comparison

    _need(result, "Simulation", "Comparison")
    return result.simulation if isinstance(result, Comparison) else result


def _chosen(simulation: Simulation, name: str | None) -> Scenario:
    """Return a scenario by its name; the last, the change, if none is given."""
    return simulation.scenario(name) if name else simulation.scenarios[-1]


def _by_month(one: Scenario, name: str) -> NDArray[np.float64]:
    """Return a column of the long table: (replications, months, tiers)."""
    return np.asarray(one.table()[name].sum(axis=1), dtype=float)


def _ends(
    values: NDArray[np.float64], *, least: float = -1e18, most: float = 1e18
) -> tuple[float | None, float | None]:
    """Return where the next value falls, within what is possible; Nones of one."""
    from growth.tiers.intervals import around

    span = around(values)
    if span is None:
        return None, None
    return max(least, span.lo), min(most, span.hi)


def _total(values: Sequence[dict[str, Any]], tier: str, sign: int) -> float:
    rows = [row for row in values if row["tier"] == tier]
    return float(sum(abs(r["value"]) for r in rows if r["value"] * sign > 0))


def _kinds(comparison: Comparison, lang: Lang | None) -> list[str]:
    known = any(one.calibrated for one in comparison.differences)
    first = "calibrated" if known else "mc_param"
    return [label(f"chart.tiers.kind.{name}", lang) for name in (first, "mc")]


def _changed(one: Candidate, lang: Lang | None) -> str:
    """Say what a candidate changes, in the words of its tiers."""
    if not one.changes:
        return label("chart.tiers.search.now", lang)
    names = one.programme.names
    said: list[str] = []
    before = ""
    for path, value in one.changes:
        parts = path.replace("[", ".").replace("]", "").split(".")
        if parts[0] == "tiers" and len(parts) == 3:
            tier = names[int(parts[1])]
            words = worded(f"tiers.field.{parts[2]}", lang)
            named = "" if tier == before else f"{tier} "
            said.append(f"{named}{words} {_valued(parts[2], value)}")
            before = tier
        else:
            said.append(f"{path} {value}")
    return listed(said, lang=lang)


def _valued(field: str, value: object) -> str:
    if field.endswith("_fen") and isinstance(value, int):
        return amount(value, "fen").removesuffix(".00")
    return str(value)


def _scenario(name: str, lang: Lang | None) -> str:
    return worded(f"tiers.scenario.{name}", lang)


def _ranged(span: Span | None, unit: str, lang: Lang | None) -> str:
    lo, hi = span or (None, None)
    return difference_interval(lo, hi, unit, lang=lang)


def _levels(span: Span, lang: Lang | None) -> str:
    return written_interval(span.lo, span.hi, "fen", lang=lang)


def _counted(lo: float | None, hi: float | None, lang: Lang | None) -> str:
    if lo is None or hi is None:
        return written_interval(None, None, "count", lang=lang)
    return label("figure.interval", lang, lo=count(lo), hi=count(hi))


def _months(simulation: Simulation) -> alt.X:
    return _periods("month", simulation.month_ends)


def _periods(field: str, names: Sequence[str], title: str | None = None) -> alt.X:
    """Return an axis of periods; a year is written where it begins."""
    import altair as alt

    return alt.X(
        f"{field}:O",
        title=title,
        sort=list(names),
        axis=alt.Axis(
            labelAngle=0,
            labelExpr=MONTHS if any("-" in name for name in names) else "datum.label",
            labelOverlap=True,
        ),
    )


def _whiskers(base: alt.Chart) -> list[Any]:
    """Return intervals that can be seen on a column of any colour."""
    import altair as alt

    some = base.transform_filter("isValid(datum.lo)")
    parts = {"y": alt.Y("lo:Q"), "y2": alt.Y2("hi:Q")}
    return [
        some.mark_rule(color=COLOURS["card"], strokeWidth=4, opacity=0.8).encode(
            **parts
        ),
        some.mark_rule(color=COLOURS["ink"], strokeWidth=1.5).encode(**parts),
    ]


def _header(*, shown: bool) -> Any:  # noqa: ANN401
    import altair as alt

    return alt.Header(
        labels=shown,
        labelFontSize=13,
        labelColor=COLOURS["ink"],
        labelAnchor="start",
        labelAngle=0,
        labelOrient="top",
        labelPadding=4,
    )


def _named(names: Sequence[str]) -> alt.Axis:
    """Return an axis of words, with room for them in a font wider than ours."""
    import altair as alt

    wide = max((sum(13 if c > "\u2e7f" else 7.4 for c in n) for n in names), default=0)
    room = min(wide, LIMIT)
    return alt.Axis(labelLimit=LIMIT, minExtent=room)


def _colours(
    field: str, domain: Sequence[str], colours: Sequence[str], *, columns: int = 1
) -> alt.Color:
    import altair as alt

    more = list(colours) + [COLOURS["soft"]] * (len(domain) - len(colours))
    return alt.Color(
        f"{field}:N",
        title=None,
        sort=list(domain),
        scale=alt.Scale(domain=list(domain), range=more[: len(domain)]),
        legend=alt.Legend(
            orient="bottom",
            symbolType="square",
            symbolOpacity=1,
            labelFontSize=13,
            labelLimit=420,
            columns=columns,
            columnPadding=20,
            padding=0,
        ),
    )
