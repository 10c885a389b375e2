"""The page's tables: what changed, in which segment, every figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from growth.charts.abtest import cap_words, effect_interval, with_twins
from growth.charts.figures import (
    amount,
    count,
    coverage,
    difference,
    difference_interval,
    interval,
    p_value,
    percent,
)
from growth.labels import column, label
from growth.readout.abtest.words import change_said, goal_of, reading, segment_of
from growth.readout.blocks import Block, Row, data_table, interval_table

if TYPE_CHECKING:
    from growth.abtest import Analysis, Calibration, Effect
    from growth.labels import Lang

__all__ = ["calibration_table", "effects_table", "figures", "segments_table"]


def effects_table(analysis: Analysis, *, lang: Lang | None = None) -> Block:
    """Draw what changed: a row a metric and variant, its interval on one axis.

    Parameters
    ----------
    analysis : Analysis
        What `abtest.analyze` found.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        Goals first. Intervals are the adjusted ones, which decide; a guardrail's
        margin is a dotted line. Below a capped metric stands its twin, only shown.
    """
    exp = analysis.experiment
    effects = with_twins(analysis)
    arms = list(dict.fromkeys(effect.arm for effect in effects))
    rows = [
        Row(
            effect_interval(effect, analysis, lang=lang),
            note=_note(effect, lang, arms=len(arms) > 1),
            before=(
                label(f"abtest.role.{'shown' if effect.twin else effect.role}", lang),
                amount(effect.mean_control, effect.unit),
                amount(effect.mean_treatment, effect.unit),
            ),
            after=(reading(effect, analysis, lang), p_value(effect.p_adj)),
            said=change_said(effect, analysis, lang),
        )
        for effect in effects
    ]
    level = coverage(1 - exp.alpha)
    margins = any(metric.role == "guardrail" for metric in exp.metrics)
    key = "abtest.table.effects_margin" if margins else "abtest.table.effects"
    caption = label(key, lang, control=exp.control, level=level)
    return interval_table(
        rows,
        caption=caption,
        first=label("column.metric", lang),
        before=(
            label("column.role", lang),
            exp.control,
            arms[0] if len(arms) == 1 else label("column.variant", lang),
        ),
        drawn=label("abtest.table.drawn", lang),
        after=(label("abtest.table.reading", lang), label("abtest.table.p", lang)),
        left=1,
        lang=lang,
    )


def _note(effect: Effect, lang: Lang | None, *, arms: bool) -> str:
    """Say under a row's name what tells it from others of that metric."""
    parts = (effect.arm if arms else "", cap_words(effect, lang))
    return " · ".join(part for part in parts if part)


def segments_table(
    analysis: Analysis, metric: str | None = None, *, lang: Lang | None = None
) -> Block:
    """Draw one metric's effect in each segment, a table a breakdown.

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
    Block
        Empty words where nothing was broken down. Segments explain, they never
        decide; their intervals are adjusted together.

    Raises
    ------
    ParameterError
        If the experiment has no such metric (code ``unknown_metric``).
    """
    chosen = analysis.experiment.metric(metric or goal_of(analysis))
    found: dict[tuple[str, ...], list[Effect]] = {}
    for effect in analysis.segments():
        if effect.metric == chosen.name:
            found.setdefault(tuple(name for name, _ in effect.by), []).append(effect)
    if not found:
        words = label("abtest.table.no_segments", lang)
        return Block.of("p", words, kind="note")
    block = Block("")
    for names, effects in found.items():
        by = " × ".join(column(name, lang) for name in names)
        several = len({effect.arm for effect in effects}) > 1
        rows = [
            Row(
                effect_interval(effect, analysis, name=segment_of(effect), lang=lang),
                note=effect.arm if several else "",
                before=(count(effect.n_control + effect.n_treatment),),
                after=(p_value(effect.p_adj),),
                said=change_said(effect, analysis, lang),
            )
            for effect in effects
        ]
        block += interval_table(
            rows,
            caption=label(
                "abtest.table.segments", lang, metric=chosen.words(lang), by=by
            ),
            first=by,
            before=(label("column.units", lang),),
            drawn=label("abtest.table.drawn", lang),
            after=(label("abtest.table.p", lang),),
            lang=lang,
        )
    return block


def figures(analysis: Analysis, *, lang: Lang | None = None) -> Block:
    """Write every figure of the analysis, folded away.

    Parameters
    ----------
    analysis : Analysis
        What `abtest.analyze` found.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        A table a reader opens: units, means, difference, intervals before and
        after adjustment, p-values, method.
    """
    columns = {
        name: label(f"column.{name}", lang)
        for name in (
            "metric", "arm", "n_control", "n_treatment", "estimate", "ci", "lift",
            "lift_ci", "p_value", "method",
        )
    }  # fmt: skip
    rows = [
        {
            "metric": " · ".join(
                filter(
                    None,
                    (
                        analysis.experiment.metric(effect.metric).words(lang),
                        cap_words(effect, lang),
                    ),
                )
            ),
            "arm": effect.arm,
            "n_control": count(effect.n_control),
            "n_treatment": count(effect.n_treatment),
            "estimate": difference(effect.estimate, effect.unit, lang=lang),
            "ci": difference_interval(
                effect.ci_low, effect.ci_high, effect.unit, lang=lang
            ),
            "lift": percent(effect.lift, signed=True, digits=2),
            "lift_ci": difference_interval(
                effect.lift_low, effect.lift_high, "ratio", lang=lang
            ),
            "p_value": p_value(effect.p_value),
            "method": effect.method,
        }
        for effect in with_twins(analysis)
    ]
    return data_table(
        columns,
        rows,
        caption=label(
            "abtest.table.figures",
            lang,
            level=coverage(1 - analysis.experiment.alpha),
        ),
        fold=label("abtest.table.fold", lang),
    )


def calibration_table(
    calibration: Calibration, analysis: Analysis, *, lang: Lang | None = None
) -> Block:
    """Write how every test behaved on these units under no effect, folded away.

    Parameters
    ----------
    calibration : Calibration
        What `abtest.calibrate` found.
    analysis : Analysis
        Its experiment has the metrics' words.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        A table a reader opens.
    """
    names = ("metric", "method", "rate", "ci", "coverage", "finding")
    columns = {name: label(f"column.{name}", lang) for name in names}
    several = len({one.arm for one in calibration.found}) > 1
    rows = [
        {
            "metric": analysis.experiment.metric(one.metric).words(lang)
            + (f" · {one.arm}" if several else ""),
            "method": one.method,
            "rate": percent(one.rate),
            "ci": interval(one.rate_low, one.rate_high, signed=False, lang=lang),
            "coverage": percent(one.coverage),
            "finding": label(f"abtest.calibrate.finding.{one.finding}", lang),
        }
        for one in calibration.found
    ]
    told = {
        "runs": count(calibration.replications),
        "alpha": coverage(calibration.alpha),
    }
    return data_table(
        columns,
        rows,
        caption=label("abtest.table.calibration", lang, **told),
        fold=label("abtest.table.calibration_fold", lang),
    )
