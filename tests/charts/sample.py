"""A hand-made experiment, small enough to think through, for charts and pages."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np

from growth.abtest import (
    ArmCell,
    Experiment,
    analyze_from_moments,
    check_split_from_counts,
    decide,
    trend_by_age_from_moments,
)
from growth.abtest.ages import age_column
from growth.abtest.calibration import calibrate_from_columns
from growth.abtest.looks import looks_from
from growth.abtest.trends import trend_from_moments
from growth.stats.moments import Moments

COLUMNS = ("pay_rate", "revenue", "open_ms", "cart")


def experiment(**changes):
    declared = {
        "schema": 1,
        "id": "home_layout",
        "title": {"en": "Home layout", "zh": "首页布局"},
        "question": {"en": "Do more visitors buy?", "zh": "能否让更多访客下单"},
        "control": "list",
        "arms": {"list": 1, "waterfall": 1},
        "by": ["platform"],
        "metric": [
            {
                "name": "pay_rate",
                "kind": "proportion",
                "role": "goal",
                "good": "up",
                "label": {"en": "Purchase rate", "zh": "下单率"},
                "mde": 0.05,
            },
            {
                "name": "revenue",
                "kind": "mean",
                "role": "goal",
                "good": "up",
                "unit": "fen",
                "label": {"en": "Revenue per visitor", "zh": "人均收入"},
            },
            {
                "name": "open_ms",
                "kind": "mean",
                "role": "guardrail",
                "good": "down",
                "unit": "ms",
                "margin": 0.05,
                "label": {"en": "Page open time", "zh": "页面打开耗时"},
            },
            {
                "name": "cart",
                "kind": "proportion",
                "role": "diagnostic",
                "good": "up",
                "label": {"en": "Add-to-cart rate", "zh": "加购率"},
            },
        ],
    }
    return Experiment.from_dict(declared | changes)


def results(seed=3, units=3000, **changes):
    """Return analysis, split, decision and trend of one made-up experiment."""
    rng = np.random.default_rng(seed)
    exp = experiment(**changes)
    variants = [arm for arm, weight in exp.arms.items() if weight]
    cells = []
    for arm in variants:
        lift = 0.0 if arm == exp.control else 0.4
        parts = {name: _draw(rng, units, lift) for name in ("android", "ios")}
        parts["devtools"] = _draw(rng, 40, lift)
        whole = np.concatenate(list(parts.values()))
        cells.append(_cell(("variant",), (arm,), whole))
        cells += [
            _cell(("variant", "platform"), (arm, name), rows)
            for name, rows in parts.items()
        ]
    days = [
        _cell(
            ("variant", "exposure_ds"),
            (arm, date(2026, 2, 1) + timedelta(day)),
            _draw(rng, units // 14, 0.0 if arm == exp.control else 0.4),
        )
        for day in range(14)
        for arm in variants
    ]
    analysis = analyze_from_moments(
        cells,
        exp,
        days=28,
        first_day=date(2026, 2, 1),
        last_day=date(2026, 2, 28),
    )
    split = check_split_from_counts(dict(analysis.arms), planned=exp.arms)
    trend = trend_from_moments(days, exp)
    return analysis, split, decide(analysis, split), trend


def aged(seed=5, units=2000, ages=7, **changes):
    """Return the trend by age of one goal whose effect wears off."""
    rng = np.random.default_rng(seed)
    exp = experiment(**changes)
    columns = tuple(age_column("pay_rate", age) for age in range(ages))
    cells = []
    for arm in (arm for arm, weight in exp.arms.items() if weight):
        lift = np.linspace(0.0 if arm == exp.control else 1.2, 0, ages)
        rows = (rng.random((units, ages)) < 0.1 * (1 + lift)).astype(float)
        cells.append(
            ArmCell(("variant",), (arm,), units, {columns: Moments.of(columns, rows)})
        )
    return trend_by_age_from_moments(cells, exp, ages=ages, metrics=["pay_rate"])


def looked(kind="group_sequential", looks=5, units=6000, **changes):
    """Return the analysis of the last of a plan's looks, the looks in it."""
    plan = {"kind": kind, "units": units, "looks": looks}
    exp = experiment(plan=plan, **changes)
    rng = np.random.default_rng(11)
    arms = [arm for arm, weight in exp.arms.items() if weight]
    drawn = {arm: _draw(rng, units, 0.45 * (arm != exp.control)) for arm in arms}
    taken = []
    for k in range(1, looks + 1):
        n = units * k // looks // len(arms)
        cells = [_cell(("variant",), (arm,), rows[:n]) for arm, rows in drawn.items()]
        look = exp.plan.look([i / looks for i in range(1, k + 1)], alpha=exp.alpha)
        found = analyze_from_moments(cells, exp, look=look, days=7 * k)
        day = date(2026, 1, 31) + timedelta(7 * k)
        taken.append((day, found, dict.fromkeys(COLUMNS, look)))
    return replace(taken[-1][1], looks=looks_from(taken))


def calibrated(replications=200, units=2000, **changes):
    """Return how the tests behave on units without any effect."""
    rows = _draw(np.random.default_rng(13), units, 0.0)
    columns = {name: rows[:, i] for i, name in enumerate(COLUMNS)}
    return calibrate_from_columns(
        columns, experiment(**changes), seed=1, replications=replications
    )


def _draw(rng, units, lift):
    pay = rng.random(units) < 0.06 * (1 + lift)
    return np.column_stack(
        [
            pay,
            pay * rng.gamma(2, 3600, units),
            rng.gamma(9, 90, units),
            rng.random(units) < 0.1 * (1 + lift),
        ]
    ).astype(float)


def _cell(by, key, rows):
    moments = {
        (name,): Moments.of((name,), rows[:, [i]]) for i, name in enumerate(COLUMNS)
    }
    return ArmCell(by, key, len(rows), moments)
