"""The funnel builder: steps, order, window, entry, breakdown."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import ipywidgets as widgets

from growth import charts, funnel
from growth.labels import label
from growth.panels.reader import Reader, breakdown, choice, counted, slider
from growth.readout.catalog import RetentionParams

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from growth.dataset import Dataset
    from growth.labels import Lang

__all__ = ["Builder", "explorer"]

ORDERS: Final = ("ordered", "strict", "any")
ENTRIES: Final = ("any", "first")
STEPS: Final = "page_view,add_to_cart,order_pay"


class Builder(Reader):
    """A funnel as it is built: `controls`, `result`, `charts`, and a list to add from.

    Parameters
    ----------
    add : widget
        The events there are: choosing one adds it as the last step.
    *parts
        As in `Reader`.
    """

    def __init__(self, add: Any, *parts: Any) -> None:  # noqa: ANN401
        super().__init__(*parts)
        self.add = add
        add.observe(self._added, names="value")
        self.view.children = (add, *self.view.children)

    def _added(self, event: Any) -> None:  # noqa: ANN401
        if event["new"]:
            steps = self.controls["steps"]
            steps.value = ",".join(filter(None, [steps.value, event["new"]]))
            self.add.value = None


def explorer(
    dataset: Dataset,
    *,
    as_of: date,
    steps: Sequence[str] = tuple(STEPS.split(",")),
    lang: Lang | None = None,
) -> Builder:
    """Build a funnel and see how far people get.

    Parameters
    ----------
    dataset : Dataset
        With `events`.
    as_of : date
        The last day counted.
    steps : sequence of str, optional
        What to begin with.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Builder
        `controls` (steps, order, entry, window, days, by), `result` (as
        `funnel.measure`), `charts` (bars and time); below, the readout that asks the
        same.

    Raises
    ------
    DataError
        If the dataset has no events.
    """
    nothing = (label("panel.add_step", lang), None)
    add = choice("panel.events", [nothing, *counted(dataset, as_of)], lang)

    def named(kind: str, names: tuple[str, ...]) -> list[tuple[str, str]]:
        return [(label(f"panel.{kind}.{name}", lang), name) for name in names]

    controls = {
        "steps": widgets.Text(
            value=",".join(steps),
            continuous_update=False,
            description=label("panel.steps", lang),
            style={"description_width": "110px"},
            layout={"width": "660px"},
        ),
        "order": choice("panel.order", named("order", ORDERS), lang),
        "entry": choice("panel.entry", named("entry", ENTRIES), lang),
        "window": slider("panel.window", 7, 1, 30, lang),
        "days": slider("panel.days", 28, 1, 180, lang),
        "by": breakdown(dataset, lang),
    }

    def measure(asked: dict[str, Any]) -> funnel.FunnelResult:
        return funnel.measure(
            dataset.events,
            steps=[name.strip() for name in asked["steps"].split(",") if name.strip()],
            start=as_of - timedelta(days=asked["days"] - 1),
            end=as_of + timedelta(days=1),
            as_of=as_of,
            order=asked["order"],
            entry=asked["entry"],
            window=timedelta(days=asked["window"]),
            by=asked["by"] or (),
        )

    def draw(result: funnel.FunnelResult) -> list[Any]:
        return [
            charts.funnel.funnel_chart(result, lang=lang),
            charts.funnel.time_chart(result, lang=lang),
        ]

    def params(asked: dict[str, Any]) -> RetentionParams:
        return RetentionParams(
            data=str(dataset.location),
            name="funnel",
            as_of=as_of,
            lang=lang or "en",
            steps=asked["steps"],
            window_days=asked["window"],
            days=asked["days"],
            by=asked["by"],
        )

    return Builder(add, controls, measure, draw, params, lang)
