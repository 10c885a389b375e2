"""Bars of users by what they did before: who is active above zero, who is not below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from growth.charts.theme import ABOVE, COLOURS, HEIGHT, WIDTH
from growth.labels import column, label

if TYPE_CHECKING:
    from collections.abc import Sequence

    import altair as alt

    from growth.labels import Lang

__all__ = ["dated_axis", "state_bars"]

STATES: Final = ("#0b5cad", "#0b6e4f", "#7a9cc6", "#b3400d", "#8a6100", "#57606a")


def state_bars(
    values: Sequence[dict[str, Any]], words: Sequence[str], *, lang: Lang | None = None
) -> alt.LayerChart | alt.FacetChart:
    """Draw users by interval and state, one stack an interval.

    Parameters
    ----------
    values : sequence of dict
        Rows of ``interval``, ``state`` (its word), ``users`` (below 0 for who went
        quiet), ``said`` (the number in words) and ``at`` (the state's place).
    words : sequence of str
        The states' words, in order.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    altair.LayerChart
        Without a title.
    """
    import altair as alt

    base = alt.Chart(alt.InlineData(values=values))
    bars = base.mark_bar().encode(
        x=dated_axis(values, "interval"),
        y=alt.Y(
            "users:Q",
            title=label("column.users", lang),
            axis=alt.Axis(
                labelExpr="format(abs(datum.value), ',')", tickCount=6, **ABOVE
            ),
        ),
        color=alt.Color(
            "state:N",
            sort=[*words],
            scale=alt.Scale(domain=[*words], range=list(STATES[: len(words)])),
            legend=alt.Legend(title=None, orient="bottom", columns=3),
        ),
        order=alt.Order("at:Q"),
        tooltip=[
            alt.Tooltip("interval:N", title=column("interval", lang)),
            alt.Tooltip("state:N", title=column("state", lang)),
            alt.Tooltip("said:N", title=label("column.users", lang)),
        ],
    )
    zero = (
        alt.Chart(alt.InlineData(values=[{"zero": 0}]))
        .mark_rule(color=COLOURS["ink"])
        .encode(y="zero:Q")
    )
    return alt.layer(bars, zero).properties(width=WIDTH, height=HEIGHT)


def dated_axis(values: Sequence[dict[str, Any]], name: str) -> alt.X:
    """Return an axis of named intervals, in the order they come.

    Parameters
    ----------
    values : sequence of dict
        Rows of the chart.
    name : str
        The field that names the interval.

    Returns
    -------
    altair.X
        With at most five names, which do not touch on a phone.
    """
    import altair as alt

    order = list(dict.fromkeys(row[name] for row in values))
    every = max(1, -(-len(order) // 5))
    kept = [when for i, when in enumerate(order) if i % every == 0]
    axis = alt.Axis(
        values=kept, labelAngle=0, labelOverlap=True, labelPadding=10, domain=True
    )
    return alt.X(f"{name}:O", sort=order, title=None, axis=axis)
