"""An experiment's results in words: what the page's pieces have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from growth.charts.abtest import effect_interval
from growth.charts.figures import count, difference, difference_interval
from growth.charts.intervals import Interval
from growth.labels import LANG, label

if TYPE_CHECKING:
    from collections.abc import Mapping

    from growth.abtest import Analysis, Decision, Effect, SplitCheck
    from growth.labels import Lang

__all__ = [
    "change_said",
    "declared_words",
    "goal_of",
    "metric_names",
    "reading",
    "reasons_of",
    "segment_of",
]


def reasons_of(
    decision: Decision, analysis: Analysis, split: SplitCheck, lang: Lang | None
) -> list[str]:
    """Say why, and where goals won also that nothing stood against it."""
    exp = analysis.experiment
    lines = [
        reason.words(
            lang,
            metric=exp.metric(reason.metric).words(lang) if reason.metric else None,
        )
        for reason in decision.reasons
    ]
    if decision.outcome == "ship" and any(m.role == "guardrail" for m in exp.metrics):
        lines.append(label("abtest.because.guardrails", lang))
    if decision.units_needed:
        lines.append(
            label(
                "abtest.because.units_needed", lang, units=count(decision.units_needed)
            )
        )
    if split.verdict == "abtest.split.ok" and decision.outcome != "invalid":
        lines.append(label("abtest.because.split", lang))
    return list(dict.fromkeys(lines))


def reading(effect: Effect, analysis: Analysis, lang: Lang | None) -> str:
    """Say the interval in a word; an absolute margin is held against itself."""
    metric = analysis.experiment.metric(effect.metric)
    drawn = effect_interval(effect, analysis, lang=lang)
    if metric.margin_kind == "absolute" or drawn.lo is None:
        absolute = metric.margin_kind == "absolute" and metric.role == "guardrail"
        drawn = Interval(
            label="",
            value=effect.estimate,
            lo=effect.ci_adj_low,
            hi=effect.ci_adj_high,
            margin=metric.margin if absolute else None,
            good=metric.good,
        )
    return label(f"reading.{drawn.reading}", lang)


def change_said(
    effect: Effect, analysis: Analysis, lang: Lang | None
) -> tuple[str, str] | None:
    """Say the absolute change where it decides, or where there is no relative one."""
    metric = analysis.experiment.metric(effect.metric)
    absolute = metric.margin_kind == "absolute" and metric.role == "guardrail"
    relative = effect.lift_adj_low is not None and not absolute
    if relative or effect.estimate is None:
        return None
    low, high = effect.ci_adj_low, effect.ci_adj_high
    ends = difference_interval(low, high, effect.unit, lang=lang)
    return difference(effect.estimate, effect.unit, lang=lang), ends


def metric_names(analysis: Analysis, lang: Lang | None) -> dict[str, str]:
    """Return readers' words by metric."""
    return {m.name: m.words(lang) for m in analysis.experiment.metrics}


def segment_of(effect: Effect) -> str:
    """Return the values of the columns an effect is broken down by."""
    return " · ".join("NULL" if value is None else value for _, value in effect.by)


def goal_of(analysis: Analysis) -> str:
    """Return the first goal's name: the metric that charts follow."""
    return next(m.name for m in analysis.experiment.metrics if m.role == "goal")


def declared_words(words: Mapping[str, str] | None, lang: Lang | None) -> str:
    """Return words declared by language, in the reader's or any other."""
    found = dict(words or {})
    return found.get(lang or LANG.get()) or next(iter(found.values()), "")
