"""Retention: who comes back, when, and from which entrance.

::

    result = retention.measure(
        data.events, start_event="register", return_event="app_launch",
        start=date(2026, 3, 1), end=date(2026, 4, 1), as_of=date(2026, 4, 30),
    )
    result.curve()
    retention.compare(result, by="variant", baseline="control")
"""

from growth.retention.benchmarks import Benchmark, benchmark
from growth.retention.comparing import (
    RetentionComparison,
    RetentionContrast,
    compare,
)
from growth.retention.forecasting import Forecast, ForecastPoint, forecast
from growth.retention.living import Lifecycle, LifecycleMove
from growth.retention.reconciling import DailyPair, Reconciliation
from growth.retention.spec import Event, RetentionRule, RetentionSpec
from growth.retention.spending import LtvPoint, Revenue, RevenueCell
from growth.retention.tables import lifecycle, measure, reconcile, revenue
from growth.retention.trending import RetentionTrend, TrendPoint, trend
from growth.retention.triangle import (
    CurvePoint,
    RetentionCell,
    RetentionResult,
    measure_from_counts,
)

__all__ = [
    "Benchmark",
    "CurvePoint",
    "DailyPair",
    "Event",
    "Forecast",
    "ForecastPoint",
    "Lifecycle",
    "LifecycleMove",
    "LtvPoint",
    "Reconciliation",
    "RetentionCell",
    "RetentionComparison",
    "RetentionContrast",
    "RetentionResult",
    "RetentionRule",
    "RetentionSpec",
    "RetentionTrend",
    "Revenue",
    "RevenueCell",
    "TrendPoint",
    "benchmark",
    "compare",
    "forecast",
    "lifecycle",
    "measure",
    "measure_from_counts",
    "reconcile",
    "revenue",
    "trend",
]
