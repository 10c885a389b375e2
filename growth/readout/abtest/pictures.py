"""The run's charts, by the name of their files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from growth.charts import abtest as pictures
from growth.readout.abtest.words import goal_of, metric_names

if TYPE_CHECKING:
    import altair as alt

    from growth.abtest import AgeTrend, Analysis, Calibration, SplitCheck, Trend
    from growth.labels import Lang

__all__ = ["drawings"]


def drawings(
    analysis: Analysis,
    split: SplitCheck,
    trend: Trend | None,
    ages: AgeTrend | None = None,
    calibration: Calibration | None = None,
    *,
    lang: Lang | None = None,
) -> dict[str, alt.LayerChart]:
    """Return the run's charts by the name of their files.

    Parameters
    ----------
    analysis, split : Analysis, SplitCheck
        The results of `abtest.analyze` and `abtest.check_split`.
    trend : Trend or None
        The result of `over_days`.
    ages : AgeTrend, optional
        The result of `over_ages`.
    calibration : Calibration, optional
        The result of `abtest.calibrate`.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    dict of str to altair.LayerChart
        ``forest``, ``split``; ``trend`` where there are days; ``looks`` under a
        sequential plan; ``ages`` where days since exposure are known;
        ``calibration``; ``segments`` where something was broken down.
    """
    goal = analysis.experiment.metric(goal_of(analysis))
    charts = {
        "forest": pictures.forest_chart(analysis, lang=lang),
        "split": pictures.split_chart(split, lang=lang),
    }
    if trend is not None:
        charts["trend"] = pictures.trend_chart(
            trend, goal.name, name=goal.words(lang), lang=lang
        )
    if analysis.looks is not None:
        charts["looks"] = pictures.looks_chart(
            analysis.looks, goal.name, name=goal.words(lang), lang=lang
        )
    if ages is not None and ages.series(goal.name):
        charts["ages"] = pictures.age_chart(
            ages, goal.name, name=goal.words(lang), lang=lang
        )
    if calibration is not None:
        told = metric_names(analysis, lang)
        charts["calibration"] = pictures.calibration_chart(
            calibration, names=told, lang=lang
        )
    if analysis.segments():
        charts["segments"] = pictures.segments_chart(analysis, lang=lang)
    return charts
