"""A/B tests: was the split sound, what did the variant do, what to do now.

Declare an experiment once (`load_experiment`), then ask::

    units = abtest.unit_table(data, experiment, as_of=day)
    split = abtest.check_split(units, experiment=experiment)
    analysis = abtest.analyze(units, experiment)
    decision = abtest.decide(analysis, split)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from growth.abtest.ages import (
        AgePoint,
        AgeTrend,
        Novelty,
        trend_by_age_from_moments,
    )
    from growth.abtest.analysis import (
        Analysis,
        ClusterFacts,
        Passes,
        analyze_from_moments,
    )
    from growth.abtest.assignment import assign, assign_many, overlapping
    from growth.abtest.calibration import (
        Calibrated,
        Calibration,
        calibrate,
        calibrate_from_columns,
    )
    from growth.abtest.cells import ArmCell
    from growth.abtest.decision import (
        Decision,
        GoalInterval,
        Reason,
        decide,
        decide_from_intervals,
    )
    from growth.abtest.effects import Effect
    from growth.abtest.experiment import (
        Cap,
        Columns,
        Covariate,
        Experiment,
        Metric,
        Plan,
        Source,
        load_experiment,
    )
    from growth.abtest.history import UnitHistory, trend_by_age, unit_history
    from growth.abtest.looks import LookEffect, Looks
    from growth.abtest.planner import plan, plan_from_numbers
    from growth.abtest.plans import (
        AlwaysValid,
        Fixed,
        GroupSequential,
        Hybrid,
        Look,
        Standing,
    )
    from growth.abtest.pooling import pool_cells, pool_experiment
    from growth.abtest.readings import Threshold
    from growth.abtest.sizing import Baseline, Need, PlanWeek, PowerPoint, SizePlan
    from growth.abtest.split import Arm, SplitCheck, check_split_from_counts
    from growth.abtest.tables import analyze, check_split, trend
    from growth.abtest.trends import Trend, trend_from_moments
    from growth.abtest.units import UnitTable, unit_table

__all__ = [
    "AgePoint",
    "AgeTrend",
    "AlwaysValid",
    "Analysis",
    "Arm",
    "ArmCell",
    "Baseline",
    "Calibrated",
    "Calibration",
    "Cap",
    "ClusterFacts",
    "Columns",
    "Covariate",
    "Decision",
    "Effect",
    "Experiment",
    "Fixed",
    "GoalInterval",
    "GroupSequential",
    "Hybrid",
    "Look",
    "LookEffect",
    "Looks",
    "Metric",
    "Need",
    "Novelty",
    "Passes",
    "Plan",
    "PlanWeek",
    "PowerPoint",
    "Reason",
    "SizePlan",
    "Source",
    "SplitCheck",
    "Standing",
    "Threshold",
    "Trend",
    "UnitHistory",
    "UnitTable",
    "analyze",
    "analyze_from_moments",
    "assign",
    "assign_many",
    "calibrate",
    "calibrate_from_columns",
    "check_split",
    "check_split_from_counts",
    "decide",
    "decide_from_intervals",
    "load_experiment",
    "overlapping",
    "plan",
    "plan_from_numbers",
    "pool_cells",
    "pool_experiment",
    "trend",
    "trend_by_age",
    "trend_by_age_from_moments",
    "trend_from_moments",
    "unit_history",
    "unit_table",
]

_FILES = {
    "ages": ("AgePoint", "AgeTrend", "Novelty", "trend_by_age_from_moments"),
    "analysis": ("Analysis", "ClusterFacts", "Passes", "analyze_from_moments"),
    "assignment": ("assign", "assign_many", "overlapping"),
    "calibration": ("Calibrated", "Calibration", "calibrate", "calibrate_from_columns"),
    "cells": ("ArmCell",),
    "decision": (
        "Decision",
        "GoalInterval",
        "Reason",
        "decide",
        "decide_from_intervals",
    ),
    "effects": ("Effect",),
    "experiment": (
        "Cap",
        "Columns",
        "Covariate",
        "Experiment",
        "Metric",
        "Plan",
        "Source",
        "load_experiment",
    ),
    "history": ("UnitHistory", "trend_by_age", "unit_history"),
    "looks": ("LookEffect", "Looks"),
    "planner": ("plan", "plan_from_numbers"),
    "plans": ("AlwaysValid", "Fixed", "GroupSequential", "Hybrid", "Look", "Standing"),
    "pooling": ("pool_cells", "pool_experiment"),
    "readings": ("Threshold",),
    "sizing": ("Baseline", "Need", "PlanWeek", "PowerPoint", "SizePlan"),
    "split": ("Arm", "SplitCheck", "check_split_from_counts"),
    "tables": ("analyze", "check_split", "trend"),
    "trends": ("Trend", "trend_from_moments"),
    "units": ("UnitTable", "unit_table"),
}
_HOME = {name: file for file, names in _FILES.items() for name in names}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
