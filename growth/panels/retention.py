"""The cohort explorer: who comes back, by event, interval, match and entrance."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from growth import charts, retention
from growth.labels import label
from growth.panels.reader import Reader, breakdown, choice, counted, slider
from growth.readout.catalog import RetentionParams

if TYPE_CHECKING:
    from datetime import date

    from growth.dataset import Dataset
    from growth.labels import Lang

__all__ = ["explorer"]

MATCHES = ("on", "on_or_after")
MODES = ("first_ever", "first_in_range", "every")
PERIODS = ("day", "week", "month")


def explorer(dataset: Dataset, *, as_of: date, lang: Lang | None = None) -> Reader:
    """Explore who comes back.

    Parameters
    ----------
    dataset : Dataset
        With `events`.
    as_of : date
        The last day counted.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Reader
        `controls` (start, back, period, match, mode, horizon, days, by), `result` (as
        `retention.measure`), `charts` (curve and triangle); below, the readout that
        asks the same.

    Raises
    ------
    DataError
        If the dataset has no events.
    """
    events = counted(dataset, as_of)
    anything = (label("panel.any_event", lang), None)

    def named(kind: str, names: tuple[str, ...]) -> list[tuple[str, str]]:
        return [(label(f"panel.{kind}.{name}", lang), name) for name in names]

    controls = {
        "start": choice("panel.start", [anything, *events], lang),
        "back": choice("panel.back", [anything, *events], lang),
        "period": choice("panel.period", named("period", PERIODS), lang),
        "match": choice("panel.match", named("match", MATCHES), lang),
        "mode": choice("panel.mode", named("mode", MODES), lang),
        "horizon": slider("panel.horizon", 14, 4, 90, lang),
        "days": slider("panel.days", 42, 7, 180, lang),
        "by": breakdown(dataset, lang),
    }

    def measure(asked: dict[str, Any]) -> retention.RetentionResult:
        return retention.measure(
            dataset.events,
            start=as_of - timedelta(days=asked["days"] - 1),
            end=as_of + timedelta(days=1),
            as_of=as_of,
            start_event=asked["start"] or "*",
            return_event=asked["back"] or "*",
            period=asked["period"],
            match=asked["match"],
            mode=asked["mode"],
            horizon=asked["horizon"],
            by=asked["by"] or (),
        )

    def draw(result: retention.RetentionResult) -> list[Any]:
        return [
            charts.retention.curve_chart(result, lang=lang),
            charts.retention.triangle_chart(result, lang=lang),
        ]

    def params(asked: dict[str, Any]) -> RetentionParams:
        return RetentionParams(
            data=str(dataset.location),
            name=asked["start"] or "all",
            as_of=as_of,
            lang=lang or "en",
            start_event=asked["start"],
            return_event=asked["back"] or "*",
            mode=asked["mode"],
            period=asked["period"],
            days=asked["days"],
            horizon=asked["horizon"],
            by=asked["by"],
        )

    return Reader(controls, measure, draw, params, lang)
