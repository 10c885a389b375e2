"""A/B tests: was the split sound, what did the variant do, what to do now.

Declare an experiment once (`load_experiment`), then ask::

    units = abtest.unit_table(data, experiment, as_of=day)
    split = abtest.check_split(units, experiment=experiment)
    analysis = abtest.analyze(units, experiment)
    decision = abtest.decide(analysis, split)
"""

from growth.abtest.ages import AgePoint, AgeTrend, Novelty, trend_by_age_from_moments
from growth.abtest.analyze import (
    Analysis,
    ArmCell,
    ClusterFacts,
    Effect,
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
from growth.abtest.decide import (
    Decision,
    GoalInterval,
    Reason,
    decide,
    decide_from_intervals,
)
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
from growth.abtest.planner import (
    Baseline,
    Need,
    PlanWeek,
    PowerPoint,
    SizePlan,
    plan,
    plan_from_numbers,
)
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
from growth.abtest.split import Arm, SplitCheck, check_split_from_counts
from growth.abtest.tables import analyze, check_split, trend
from growth.abtest.trend import Trend, trend_from_moments
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
