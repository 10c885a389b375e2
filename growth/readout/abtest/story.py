"""What the page says first, and how its charts may be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from growth.charts.abtest import effect_interval
from growth.charts.figures import (
    count,
    difference,
    difference_interval,
    p_value,
    percent,
)
from growth.labels import label
from growth.readout.abtest.words import (
    change_said,
    declared_words,
    metric_names,
    reasons_of,
)
from growth.readout.blocks import Block, Tile, finding, headline, tone_of
from growth.readout.trust import noticed
from growth.result import show

if TYPE_CHECKING:
    from datetime import date

    from growth.abtest import (
        AgeTrend,
        Analysis,
        Decision,
        Effect,
        Novelty,
        SplitCheck,
        Trend,
    )
    from growth.labels import Lang

__all__ = ["ages_note", "looks_note", "summary", "trend_note"]

TILES: Final = 4


def summary(
    decision: Decision,
    analysis: Analysis,
    split: SplitCheck,
    *,
    lang: Lang | None = None,
) -> Block:
    """Say what to do, why, and on which four numbers.

    Parameters
    ----------
    decision, analysis, split
        The results of `abtest.decide`, `abtest.analyze` and `abtest.check_split`.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        The experiment's title and question, the decision with its reasons in
        words, and up to four numbers: units, the first goals with their
        intervals (not where the split says they must not be read), the split.
    """
    exp = analysis.experiment
    question = declared_words(exp.question, lang)
    arms = " · ".join(f"{count(units)} {arm}" for arm, units in analysis.arms)
    tiles = [Tile(label("readout.tile.units", lang), count(analysis.units), arms)]
    readable = decision.outcome != "invalid"
    for effect in analysis.totals():
        if readable and effect.role == "goal" and len(tiles) < TILES - 1:
            tiles.append(_tile(effect, analysis, lang))
    whole = sum(exp.arms.values())
    shares = [weight / whole for weight in exp.arms.values() if weight]
    planned = " / ".join(percent(share, digits=0) for share in shares)
    tiles.append(
        Tile(
            label("readout.tile.split", lang),
            f"p {p_value(split.p_judged)}",
            label("readout.tile.planned", lang, planned=planned),
        )
    )
    return headline(
        exp.words(lang),
        question,
        label(f"abtest.headline.{decision.outcome}", lang, arm=decision.arm or ""),
        reasons_of(decision, analysis, split, lang),
        tiles,
        tone=tone_of(decision.verdict),
    )


def trend_note(
    trend: Trend | None, analysis: Analysis, *, lang: Lang | None = None
) -> Block:
    """Say how the chart of the trend may be read, or why there is none.

    Parameters
    ----------
    trend : Trend or None
        The result of `over_days`.
    analysis : Analysis
        Its plan says whether a day's band may be acted upon.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        One line of words.
    """
    if trend is None:
        key = "no_days"
    elif not trend.as_it_stood:
        key = "how_to_read"
    else:
        key = "as_it_stood" if analysis.looks is None else "under_plan"
    return Block.of("p", label(f"abtest.trend.{key}", lang), kind="note")


def looks_note(analysis: Analysis, *, lang: Lang | None = None) -> Block:
    """Say how a sequential plan stands; nothing under a fixed one.

    Parameters
    ----------
    analysis : Analysis
        What `abtest.analyze` found.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        What the plan says, how many looks it has taken, which boundaries were
        crossed when.
    """
    looks, exp = analysis.looks, analysis.experiment
    if looks is None:
        return Block("")
    lines = [
        label(
            "abtest.looks.taken",
            lang,
            plan=label(exp.plan.label, lang),
            looks=count(len(looks.days)),
            units=count(analysis.mature_units),
            planned=count(looks.planned_units),
        )
    ]
    crossed: dict[tuple[str, str], date] = {}
    for point in looks.points:
        if point.crossed and point.effect.role == "goal":
            crossed.setdefault((point.effect.metric, point.effect.arm), point.day)
    several = len(exp.treatments) > 1
    for (metric, arm), day in crossed.items():
        name = exp.metric(metric).words(lang)
        name = f"{name} · {arm}" if several else name
        lines.append(
            label("abtest.looks.where", lang, metric=name, day=day.isoformat())
        )
    return finding(label(looks.verdict, lang), lines)


def ages_note(
    ages: AgeTrend | None, analysis: Analysis, *, lang: Lang | None = None
) -> Block:
    """Say whether the effect lasts, and on which figures.

    Parameters
    ----------
    ages : AgeTrend or None
        The result of `over_ages`.
    analysis : Analysis
        Its experiment has the metrics' words.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        The finding and a line a goal and variant; without ages, why there are none.
    """
    if ages is None:
        return Block.of("p", label("abtest.ages.none", lang), kind="note")
    if not ages.points:
        lines = [
            noticed(notice, metric_names(analysis, lang), lang=lang)
            for notice in ages.notices
        ]
        return finding(label(ages.verdict, lang), lines)
    units = max(item.n_control + item.n_treatment for item in ages.leading())
    most = 1 + max(point.age for point in ages.points)
    for_whom = label(
        "abtest.ages.how_to_read", lang, units=count(units), ages=str(most)
    )
    lines = [_novelty(item, analysis, lang) for item in ages.leading()]
    return finding(label(ages.verdict, lang), [*lines, for_whom])


def _tile(effect: Effect, analysis: Analysis, lang: Lang | None) -> Tile:
    drawn = effect_interval(effect, analysis, lang=lang)
    name = drawn.label
    if len(analysis.experiment.treatments) > 1:
        name = f"{name} · {effect.arm}"
    if drawn.value is None:
        said, ends = change_said(effect, analysis, lang) or (show(None), "")
    else:
        said, ends = drawn.said(), drawn.ends(lang)
    level = effect.level or 1 - analysis.experiment.alpha
    return Tile.measured(name, said, ends, level=level, lang=lang)


def _novelty(item: Novelty, analysis: Analysis, lang: Lang | None) -> str:
    metric = analysis.experiment.metric(item.metric)
    name = metric.words(lang)
    if len(analysis.experiment.treatments) > 1:
        name = f"{name} · {item.arm}"
    key, unit = "line_absolute", metric.written_as
    if item.kind == "relative_slope":
        key, unit = "line", "ratio"
    return label(
        f"abtest.ages.{key}",
        lang,
        metric=name,
        change=difference(item.estimate, unit, lang=lang),
        ends=difference_interval(item.ci_low, item.ci_high, unit, lang=lang),
        p=p_value(item.p_adj),
    )
