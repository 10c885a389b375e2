"""A panel that measures again when a control moves, and shows what came of it."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final

import ipywidgets as widgets

from growth import charts
from growth.labels import label
from growth.panels.panel import Panel, Status
from growth.readout import handover
from growth.result import CARD_STYLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date

    import altair as alt

    from growth.dataset import Dataset
    from growth.labels import Lang
    from growth.result import Result

__all__ = [
    "Reader",
    "breakdown",
    "carded",
    "choice",
    "choices",
    "counted",
    "drawn",
    "handed",
    "slider",
]

_CARD: Final = "background:#fff;border-radius:8px;padding:6px 10px;max-width:820px"
_STYLE: Final = {"description_width": "110px"}
_WIDE: Final = {"width": "330px"}
BREAKDOWNS: Final = (
    "entry_group", "platform", "scene", "app_version", "device_level", "network",
)  # fmt: skip


class Reader(Panel):
    """Controls, what they ask, and what was found.

    Parameters
    ----------
    controls : mapping of str to widget
        By the name of what they set.
    measure : callable
        From the controls' values to what was found; asked once for equal values.
    draw : callable
        From that to its charts.
    params : callable
        From the controls' values to the readout's parameters that ask the same, or
        to words that say why there are none; may refuse.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.
    result : callable, optional
        From what was found to the result that is shown as a card, where that is not
        all of it.
    """

    def __init__(
        self,
        controls: Mapping[str, Any],
        measure: Callable[[dict[str, Any]], object],
        draw: Callable[[Any], Sequence[alt.LayerChart | str]],
        params: Callable[[dict[str, Any]], object],
        lang: Lang | None,
        result: Callable[[Any], Result] | None = None,
    ) -> None:
        self.controls = dict(controls)
        self._measure, self._draw, self._params = measure, draw, params
        self._lang: Lang | None = lang
        self._told = result
        self._found: dict[tuple[Any, ...], Any] = {}
        self.result: Any = None
        self.charts: tuple[alt.LayerChart | str, ...] = ()
        self.status = Status(lang)
        self.picture, self.card, self.hand = (widgets.HTML() for _ in range(3))
        row = widgets.HBox([*self.controls.values()])
        row.layout.flex_flow = "row wrap"
        for control in self.controls.values():
            control.observe(self._changed, names="value")
        parts = [row, self.status.view, self.picture, self.card, self.hand]
        super().__init__(widgets.VBox(parts))
        self._changed()

    def _changed(self, _event: object = None) -> None:
        values = {name: control.value for name, control in self.controls.items()}
        found = self.status.run(lambda: self._read(values))
        if found is None:
            return
        self.result, self.charts, params = found
        self.picture.value = "".join(map(drawn, self.charts))
        self.card.value = carded(self.result, self._lang)
        self.hand.value = handed(params, self._lang)

    def _read(self, values: dict[str, Any]) -> tuple[Any, ...]:
        key = tuple(values.values())
        if key not in self._found:
            self._found[key] = self._measure(values)
        found = self._found[key]
        result = found if self._told is None else self._told(found)
        return result, tuple(self._draw(found)), self._params(values)


def drawn(chart: alt.LayerChart | str) -> str:
    """Return a chart, or what is HTML already, as a light card of safe SVG."""
    body = chart if isinstance(chart, str) else charts.to_svg(chart)
    return f'<div style="{_CARD}">{body}</div>'


def carded(result: Result, lang: Lang | None) -> str:
    """Return a result's card, in the panel's language."""
    return CARD_STYLE + result.to_html(lang)


def handed(params: object, lang: Lang | None) -> str:
    """Return, folded away, the readout that asks the same: its command and entry.

    Words that say why there is none are shown as they are.
    """
    if isinstance(params, str):
        return f"<p>{escape(params)}</p>"
    text = f"{handover.command(params)}\n\n{handover.entry(params)}"
    words = escape(label("panel.as_readout", lang))
    return f"<details><summary>{words}</summary><pre>{escape(text)}</pre></details>"


def choice(key: str, options: Sequence[tuple[str, Any]], lang: Lang | None) -> Any:  # noqa: ANN401
    """Return a list to choose from, named by the label `key`; the first is chosen."""
    return widgets.Dropdown(
        options=list(options),
        description=label(key, lang),
        style=_STYLE,
        layout=_WIDE,
    )


def choices(key: str, options: Sequence[tuple[str, Any]], lang: Lang | None) -> Any:  # noqa: ANN401
    """Return a list to choose several from, named by the label `key`; none is."""
    return widgets.SelectMultiple(
        options=list(options),
        description=label(key, lang),
        rows=6,
        style=_STYLE,
        layout=_WIDE,
    )


def slider(key: str, value: int, low: int, high: int, lang: Lang | None) -> Any:  # noqa: ANN401
    """Return a slider of whole numbers that tells when it is let go."""
    return widgets.IntSlider(
        value=value,
        min=low,
        max=high,
        continuous_update=False,
        description=label(key, lang),
        style=_STYLE,
        layout=_WIDE,
    )


def counted(dataset: Dataset, as_of: date) -> list[tuple[str, str]]:
    """Return the events of a dataset by name, the commonest first, with their counts.

    Parameters
    ----------
    dataset : Dataset
        With `events`.
    as_of : date
        The last day counted.

    Returns
    -------
    list of (str, str)
        Words such as ``page_view · 12,345``, and the name.
    """
    from growth import engine
    from growth.charts.figures import count

    events = dataset.events
    known = events.filter(events.ts < engine.instant(as_of))
    rows = engine.aggregate(known, by="event", measures={"n": known.count()})
    pairs = [(row["event"], row["n"]) for row in rows.to_pylist() if row["event"]]
    pairs.sort(key=lambda pair: (-pair[1], pair[0]))
    return [(f"{name} · {count(n)}", name) for name, n in pairs]


def breakdown(dataset: Dataset, lang: Lang | None) -> Any:  # noqa: ANN401
    """Return a list of the columns that events may be broken down by."""
    from growth.labels import column

    there = [name for name in BREAKDOWNS if name in dataset.events.columns]
    nobody = (label("panel.everybody", lang), None)
    options = [nobody, *((column(name, lang), name) for name in there)]
    return choice("panel.segment", options, lang)
