"""Can it be trusted? One line a check, failures and warnings first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from growth.abtest.split import MAX_CROSSOVER_RATE
from growth.charts.figures import (
    clauses,
    count,
    coverage,
    interval,
    listed,
    p_value,
    percent,
)
from growth.labels import label
from growth.readout.abtest.words import metric_names
from growth.readout.blocks import Block, Check, State, check_list
from growth.readout.trust import noticed, remarks, rows_check

if TYPE_CHECKING:
    from growth.abtest import Analysis, Calibration, Decision, SplitCheck
    from growth.labels import Lang
    from growth.readout.abtest.opened import Opened

__all__ = ["checks"]

WEEK: Final = 7
_OFF: Final = {"inflated", "conservative"}
# Said by a line of its own, so not repeated below it.
TOLD: Final = {
    "covariate_imbalance", "crossovers", "days_unknown", "immature",
    "null_imbalance", "units_in_closed_arm",
}  # fmt: skip


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
        names=metric_names(analysis, lang),
        lang=lang,
    )
    return check_list(lines, lang=lang)


def _split_line(split: SplitCheck, lang: Lang | None) -> Check:
    outcome = split.verdict.rpartition(".")[2]
    seen = " · ".join(
        f"{arm.variant} {count(arm.units)} / {count(arm.expected_units)}"
        for arm in split.arms
    )
    watched = split.p_sequential is not None
    words = label(
        "abtest.check.split_watched" if watched else "abtest.check.split",
        lang,
        statistic=f"{split.statistic:.2f}",
        p=p_value(split.p_judged),
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
        told = clauses(
            (
                label(
                    "abtest.check.waiting",
                    lang,
                    units=count(units),
                    metric=listed(names, lang=lang),
                )
                for units, names in waiting.items()
            ),
            lang=lang,
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
            words = noticed(notice, metric_names(analysis, lang), lang=lang)
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
