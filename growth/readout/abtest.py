"""The experiment readout's own pieces: the units, and what is shown of the results.

`open_units` finds the units, wherever they are; the rest are functions of results
that return a `Block` or charts. Nothing is computed here that a result lacks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from growth.charts import abtest as pictures
from growth.charts.abtest import effect_interval
from growth.charts.figures import (
    amount,
    count,
    coverage,
    difference,
    difference_interval,
    interval,
    listed,
    p_value,
    percent,
)
from growth.charts.intervals import Interval
from growth.labels import LANG, has, label
from growth.readout.blocks import (
    Block,
    Check,
    Row,
    State,
    Tile,
    check_list,
    data_table,
    finding,
    headline,
    interval_table,
    tone_of,
)
from growth.readout.trust import kept, noticed, remarks, rows_check, rows_read
from growth.result import show

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime

    import altair as alt
    import ibis.expr.types as ir

    from growth.abtest import (
        AgeTrend,
        Analysis,
        Calibration,
        Decision,
        Effect,
        Experiment,
        Novelty,
        SplitCheck,
        Trend,
        UnitHistory,
        UnitTable,
    )
    from growth.dataset import LoadReport
    from growth.labels import Lang
    from growth.result import Result

__all__ = [
    "Opened",
    "ages_note",
    "calibration_table",
    "checks",
    "drawings",
    "effects_table",
    "figures",
    "found",
    "looks_note",
    "open_units",
    "over_ages",
    "over_days",
    "segments_table",
    "summary",
    "trend_note",
]

WEEK: Final = 7
MAX_CROSSOVER_RATE: Final = 0.01
TILES: Final = 4
AGES: Final = 14  # days since exposure to look at, where the units are built
_OFF: Final = {"inflated", "conservative"}
# Said by a line of its own, so not repeated below it.
TOLD: Final = {
    "covariate_imbalance", "crossovers", "days_unknown", "immature",
    "null_imbalance", "units_in_closed_arm",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The units of an experiment, and what is known of the rows they come from.

    Parameters
    ----------
    units : UnitTable or ibis.Table
        One row a unit: built from a dataset, or ready.
    load_report : LoadReport, optional
        Rows taken in and turned away, where a mapping was applied.
    rejects_file : Path, optional
        The file of the rows turned away.
    history : UnitHistory, optional
        The units as they stood day by day, where they were built from a dataset.
    """

    units: UnitTable | ir.Table
    load_report: LoadReport | None = None
    rejects_file: Path | None = None
    history: UnitHistory | None = None

    @property
    def kept(self) -> tuple[Path, ...]:
        """What to keep with a run: the rows turned away, if there are any."""
        return kept(self)

    @property
    def rows(self) -> dict[str, int]:
        """Rows read of the parameter ``data``, where that was counted."""
        return rows_read(self)

    @property
    def evidence(self) -> UnitTable | UnitHistory | ir.Table:
        """What the analysis reads: with the days, where its plan looks at them.

        A windowed metric has one value, known once the window is over; only others
        need the units as they stood on the day of a look.
        """
        if self.history is None:
            return self.units
        exp = self.history.units.experiment
        grows = any(metric.window_days is None for metric in exp.metrics)
        return self.history if exp.plan.sequential and grows else self.units


def open_units(data: str, experiment: Experiment, *, as_of: date | datetime) -> Opened:
    """Open the units of an experiment: from a dataset, or a ready unit table.

    Parameters
    ----------
    data : str
        A dataset (folder, DuckDB file, URL), or a table of one row a unit (a file,
        glob, ``file.duckdb::table`` or URL).
    experiment : Experiment
        The declaration. Its ``mapping``, if it names one, says how `data` is read.
    as_of : date or aware datetime
        The last day counted.

    Returns
    -------
    Opened
        The unit table built from ``assignments``, or ``events``, of a dataset;
        else the table as it is.

    Raises
    ------
    DataError
        If nothing in `data` can be the units, or too few of its rows are good.
    ParameterError
        If there is nothing at `data`, or the mapping or the declaration does not
        fit it.
    """
    from growth import abtest, dataset, engine
    from growth.dataset.core import files_of

    mapping = experiment.mapping_path
    is_folder = Path(data).is_dir() and files_of(Path(data))
    if mapping is None and not is_folder and not _is_database(data):
        return Opened(units=engine.as_table(data))
    opened = dataset.open(data, mapping=mapping, as_of=as_of)
    history = None
    if opened.has("units"):
        units = opened.units
    else:
        units = abtest.unit_table(opened, experiment, as_of=as_of, ages=AGES).cache()
        history = abtest.unit_history(opened, units)
    return Opened(
        units=units,
        load_report=opened.load_report,
        rejects_file=opened.rejects_file,
        history=history,
    )


def over_days(
    opened: Opened, experiment: Experiment, *, as_of: date | datetime
) -> Trend | None:
    """Return the effect by day of first exposure; None if the units have no days.

    Parameters
    ----------
    opened : Opened
        The units; where their history is known, a day shows what was known then.
    experiment : Experiment
        The declaration.
    as_of : date or aware datetime
        The last day counted.

    Returns
    -------
    Trend or None
        As `abtest.trend`.
    """
    from growth import abtest

    if opened.history is not None:
        return abtest.trend(opened.history, experiment)
    units = opened.units
    table = units.table if isinstance(units, abtest.UnitTable) else units
    if experiment.columns.day not in table.columns:
        return None
    return abtest.trend(units, experiment, as_of=as_of)


def over_ages(opened: Opened, experiment: Experiment) -> AgeTrend | None:
    """Return the effect by days since exposure; None if the units do not have them.

    Parameters
    ----------
    opened : Opened
        The units.
    experiment : Experiment
        The declaration.

    Returns
    -------
    AgeTrend or None
        As `abtest.trend_by_age`: of units built from a dataset.
    """
    from growth import abtest

    if not isinstance(opened.units, abtest.UnitTable):
        return None
    return abtest.trend_by_age(opened.units, experiment)


def found(opened: Opened, **results: Result | None) -> dict[str, Result]:
    """Return what a document holds: the results there are, by name.

    Parameters
    ----------
    opened : Opened
        Its load report is one of them, where there is one.
    **results : Result or None
        None is left out.

    Returns
    -------
    dict of str to Result
        In the order given. A trend is kept for the goals as it built up: the rest
        is in the table it was made from.
    """
    held: dict[str, Result | None] = {**results, "load": opened.load_report}
    from growth import abtest

    trend, analysis = held.get("trend"), held.get("analysis")
    if isinstance(trend, abtest.Trend) and isinstance(analysis, abtest.Analysis):
        goals = {m.name for m in analysis.experiment.metrics if m.role == "goal"}
        points = tuple(
            p
            for p in trend.points
            if p.series == "cumulative" and p.effect.metric in goals
        )
        held["trend"] = replace(trend, points=points)
    return {name: result for name, result in held.items() if result is not None}


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
    goal = analysis.experiment.metric(_goal(analysis))
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
        names = _names(analysis, lang)
        charts["calibration"] = pictures.calibration_chart(
            calibration, names=names, lang=lang
        )
    if analysis.segments():
        charts["segments"] = pictures.segments_chart(analysis, lang=lang)
    return charts


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
            noticed(notice, _names(analysis, lang), lang=lang)
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
    question = _words(exp.question, lang)
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
            f"p {p_value(split.p_value)}",
            label("readout.tile.planned", lang, planned=planned),
        )
    )
    return headline(
        exp.words(lang),
        question,
        label(f"abtest.headline.{decision.outcome}", lang, arm=decision.arm or ""),
        _reasons(decision, analysis, split, lang),
        tiles,
        tone=tone_of(decision.verdict),
    )


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
        margin is a dotted line.
    """
    exp = analysis.experiment
    effects = analysis.totals()
    arms = list(dict.fromkeys(effect.arm for effect in effects))
    rows = [
        Row(
            effect_interval(effect, analysis, lang=lang),
            note="" if len(arms) == 1 else effect.arm,
            before=(
                label(f"abtest.role.{effect.role}", lang),
                amount(effect.mean_control, effect.unit),
                amount(effect.mean_treatment, effect.unit),
            ),
            after=(_reading(effect, analysis, lang), p_value(effect.p_adj)),
            said=_said(effect, analysis, lang),
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
    chosen = analysis.experiment.metric(metric or _goal(analysis))
    found: dict[tuple[str, ...], list[Effect]] = {}
    for effect in analysis.segments():
        if effect.metric == chosen.name:
            found.setdefault(tuple(name for name, _ in effect.by), []).append(effect)
    if not found:
        words = label("abtest.table.no_segments", lang)
        return Block.of("p", words, kind="note")
    block = Block("")
    for names, effects in found.items():
        by = " × ".join(_column(name, lang) for name in names)
        several = len({effect.arm for effect in effects}) > 1
        rows = [
            Row(
                effect_interval(effect, analysis, name=_segment(effect), lang=lang),
                note=effect.arm if several else "",
                before=(count(effect.n_control + effect.n_treatment),),
                after=(p_value(effect.p_adj),),
                said=_said(effect, analysis, lang),
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
            "metric": analysis.experiment.metric(effect.metric).words(lang),
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
        for effect in analysis.totals()
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


def checks(
    split: SplitCheck,
    analysis: Analysis,
    decision: Decision,
    opened: Opened | None = None,
    calibration: Calibration | None = None,
    *,
    lang: Lang | None = None,
) -> Block:
    """List what was checked before the numbers may be believed, and what was found.

    Parameters
    ----------
    split, analysis, decision
        The results of `abtest.check_split`, `abtest.analyze`, `abtest.decide`.
    opened : Opened, optional
        The rows the units come from: those turned away are told by reason.
    calibration : Calibration, optional
        The result of `abtest.calibrate`: whether the tests keep their promise on
        these units.
    lang : {"en", "zh"}, optional
        The language; the current one if omitted.

    Returns
    -------
    Block
        One line a check, failures and warnings first; remarks that no check
        speaks of follow in their own words.
    """
    report = opened.load_report if opened else None
    lines = [
        _split_line(split, lang),
        _crossover_line(split, analysis, lang),
        *_calendar_lines(analysis, decision, lang),
        *_unit_lines(analysis, lang),
    ]
    if calibration is not None:
        lines.append(_calibration_line(calibration, analysis, lang))
    lines += rows_check(report, lang=lang)
    lines += remarks(
        (split, analysis, decision, report),
        told=TOLD,
        names=_names(analysis, lang),
        lang=lang,
    )
    return check_list(lines, lang=lang)


# One line a check


def _split_line(split: SplitCheck, lang: Lang | None) -> Check:
    outcome = split.verdict.rpartition(".")[2]
    seen = " · ".join(
        f"{arm.variant} {count(arm.units)} / {count(arm.expected_units)}"
        for arm in split.arms
    )
    words = label(
        "abtest.check.split",
        lang,
        statistic=f"{split.statistic:.2f}",
        p=p_value(split.p_value),
        seen=seen,
    )
    state: State = "ok" if outcome == "ok" else "fail"
    return Check(state, label(f"abtest.check.split.{outcome}", lang), words)


def _crossover_line(split: SplitCheck, analysis: Analysis, lang: Lang | None) -> Check:
    units = max(split.crossovers, analysis.crossovers)
    share = units / (units + analysis.units) if units else 0.0
    words = label(
        "abtest.check.of",
        lang,
        units=count(units),
        total=count(units + analysis.units),
        share=percent(share, digits=2),
    )
    if not units:
        return Check("ok", label("abtest.check.no_crossovers", lang), words)
    state: State = "fail" if share > MAX_CROSSOVER_RATE else "warn"
    return Check(state, label("abtest.check.crossovers", lang), words)


def _calendar_lines(
    analysis: Analysis, decision: Decision, lang: Lang | None
) -> list[Check]:
    exp, days = analysis.experiment, analysis.days
    lines = []
    if days is None:
        lines.append(
            Check(
                "info",
                label("abtest.check.no_days", lang),
                label("notice.days_unknown", lang),
            )
        )
    else:
        span = ""
        if analysis.first_day and analysis.last_day:
            span = f"{analysis.first_day} – {analysis.last_day}"
        words = label(
            "abtest.check.days",
            lang,
            days=str(days),
            least=str(exp.min_days),
            span=span,
        )
        kind = (
            "too_early" if days < exp.min_days
            else "partial_week" if days % WEEK else "whole_weeks"
        )  # fmt: skip
        state: State = "ok" if kind == "whole_weeks" else "warn"
        lines.append(Check(state, label(f"abtest.check.{kind}", lang), words))
    if exp.plan.units:
        reached = decision.information >= 1
        words = label(
            "abtest.check.size",
            lang,
            units=count(analysis.mature_units),
            planned=count(exp.plan.units),
            share=percent(decision.information, digits=0),
        )
        kind = "size_reached" if reached else "size_short"
        state = "ok" if reached else "warn"
        lines.append(Check(state, label(f"abtest.check.{kind}", lang), words))
    return lines


def _unit_lines(analysis: Analysis, lang: Lang | None) -> list[Check]:
    exp = analysis.experiment
    lines = []
    if analysis.immature:
        waiting: dict[int, list[str]] = {}
        for name, units in analysis.immature:
            waiting.setdefault(units, []).append(exp.metric(name).words(lang))
        told = "; ".join(
            label(
                "abtest.check.waiting",
                lang,
                units=count(units),
                metric=listed(names, lang=lang),
            )
            for units, names in waiting.items()
        )
        lines.append(Check("info", label("abtest.check.immature", lang), told))
    elif any(metric.window_days for metric in exp.metrics):
        lines.append(Check("ok", label("abtest.check.mature", lang)))
    for code, asked in (
        ("null_imbalance", any(not metric.zero_filled for metric in exp.metrics)),
        ("covariate_imbalance", any(metric.covariates for metric in exp.metrics)),
    ):
        found = [n for n in analysis.notices if n.code == code]
        for notice in found:
            words = noticed(notice, _names(analysis, lang), lang=lang)
            lines.append(Check("warn", label(f"abtest.check.{code}", lang), words))
        if asked and not found:
            lines.append(Check("ok", label(f"abtest.check.no_{code}", lang)))
    return lines


def _calibration_line(
    calibration: Calibration, analysis: Analysis, lang: Lang | None
) -> Check:
    """Say how often the tests that are read reject where nothing can differ."""
    read = {(e.metric, e.method, e.capped): e.role for e in analysis.totals()}
    known = [
        one for one in calibration.found if (one.metric, one.method, one.capped) in read
    ]
    off = [one for one in known if one.finding in _OFF]
    goals = [one for one in known if one.role == "goal"]
    seen = " · ".join(
        label(
            "chart.calibration.told",
            lang,
            metric=analysis.experiment.metric(one.metric).words(lang),
            rate=percent(one.rate),
            ends=interval(one.rate_low, one.rate_high, signed=False, lang=lang),
        )
        for one in dict.fromkeys([*goals, *off])
    )
    words = label(
        "abtest.check.false_alarms",
        lang,
        alpha=coverage(calibration.alpha),
        runs=count(calibration.replications),
        seen=seen,
    )
    state: State = "warn" if off else "ok"
    key = "uncalibrated" if off else "calibrated"
    if not off and all(one.finding == "unsure" for one in known):
        state, key = "info", "calibrated_few"
    return Check(state, label(f"abtest.check.{key}", lang), words)


# Words


def _reasons(
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


def _tile(effect: Effect, analysis: Analysis, lang: Lang | None) -> Tile:
    drawn = effect_interval(effect, analysis, lang=lang)
    name = drawn.label
    if len(analysis.experiment.treatments) > 1:
        name = f"{name} · {effect.arm}"
    if drawn.value is None:
        said, ends = _said(effect, analysis, lang) or (show(None), "")
    else:
        said, ends = drawn.said(), drawn.ends(lang)
    level = coverage(effect.level or 1 - analysis.experiment.alpha)
    under = label("readout.tile.interval", lang, level=level, ends=ends) if ends else ""
    return Tile(name, said, under)


def _reading(effect: Effect, analysis: Analysis, lang: Lang | None) -> str:
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


def _said(
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


def _names(analysis: Analysis, lang: Lang | None) -> dict[str, str]:
    return {m.name: m.words(lang) for m in analysis.experiment.metrics}


def _segment(effect: Effect) -> str:
    return " · ".join("NULL" if value is None else value for _, value in effect.by)


def _column(name: str, lang: Lang | None) -> str:
    return label(f"column.{name}", lang) if has(f"column.{name}") else name


def _is_database(data: str) -> bool:
    """Return whether a location holds tables by name rather than one table."""
    if "::" in data:
        return False
    return "://" in data or Path(data).suffix.lower() in {".duckdb", ".db", ".ddb"}


def _goal(analysis: Analysis) -> str:
    goals: Sequence[str] = [
        m.name for m in analysis.experiment.metrics if m.role == "goal"
    ]
    return goals[0]


def _words(words: Mapping[str, str] | None, lang: Lang | None) -> str:
    """Return words declared by language, in the reader's or any other."""
    found = dict(words or {})
    return found.get(lang or LANG.get()) or next(iter(found.values()), "")
