"""How every chart looks: one light card, one font stack, one palette."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    import altair as alt

__all__ = ["ABOVE", "ARMS", "COLOURS", "FONT", "HEIGHT", "WIDTH", "finish"]

FONT: Final = (
    'system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", '
    '"WenQuanYi Micro Hei", sans-serif'
)

# Each at least 4.5:1 on the card, and told apart by every common colour vision;
# no chart says by colour alone what it does not also say by shape or in words.
COLOURS: Final = {
    "ink": "#1b1f24",
    "soft": "#57606a",
    "line": "#d8dee4",
    "card": "#ffffff",
    "good": "#0b6e4f",
    "bad": "#b3400d",
    "warn": "#8a6100",
    "accent": "#0b5cad",
    "band": "#cfe1f5",
}
ARMS: Final = ("#57606a", "#0b5cad", "#b3400d", "#0b6e4f", "#8a6100", "#7a3e9d")

# the words of an upright axis stand above it, from left to right
ABOVE: Final[dict[str, Any]] = {
    "titleAngle": 0,
    "titleAlign": "left",
    "titleAnchor": "end",
    "titleX": 0,
    "titleY": -12,
}

WIDTH: Final = 520
HEIGHT: Final = 210


def finish(
    chart: alt.LayerChart | alt.FacetChart, *, name: str, title: str, description: str
) -> alt.LayerChart:
    """Give a chart its name, words and the house's look.

    Parameters
    ----------
    chart : altair.LayerChart
        A chart without a config of its own.
    name : str
        What the chart is called in files and ids: letters, digits, ``-`` and ``_``.
    title : str
        The line above the chart.
    description : str
        What a reader who cannot see the chart is told.

    Returns
    -------
    altair.LayerChart
        The same chart; it needs no global theme, font file or network.
    """
    # labels and a grid say where; a chart that wants ticks or a line says so
    axis = {
        "domain": False,
        "domainColor": COLOURS["line"],
        "gridColor": COLOURS["line"],
        "labelColor": COLOURS["soft"],
        "labelFontSize": 13,
        "labelFontWeight": "normal",
        "labelLimit": 220,
        "tickColor": COLOURS["line"],
        "ticks": False,
        "titleColor": COLOURS["soft"],
        "titleFontSize": 13,
        "titleFontWeight": "normal",
        "titlePadding": 8,
    }
    heading = {
        "anchor": "start",
        "color": COLOURS["ink"],
        "fontSize": 14,
        "fontWeight": 600,
        "offset": 10,
    }
    # text is measured here and drawn by the reader's font, which may be wider: hence
    # room beside the chart and between the names of a legend
    named = chart.properties(name=name, title=title, description=description)
    styled = named.configure(
        axis=axis,
        background=COLOURS["card"],
        font=FONT,
        legend={"columnPadding": 36},
        padding={"left": 14, "right": 32, "top": 6, "bottom": 6},
        title=heading,
        view={"stroke": None},
    )
    return cast("alt.LayerChart", styled)
