"""Where people fall off, how long they take, what they do instead.

::

    result = funnel.measure(
        data.events,
        steps=["page_view", "add_to_cart", "order_pay"],
        start=date(2026, 2, 1), end=date(2026, 2, 22), as_of=date(2026, 2, 28),
    )
    funnel.compare(result, by="variant", baseline="A")
"""

from growth.funnel.compare import FunnelComparison, StepContrast, compare
from growth.funnel.paths import PathLink, Paths
from growth.funnel.results import (
    FunnelResult,
    FunnelStep,
    StepTime,
    TimeBin,
    measure_from_counts,
)
from growth.funnel.steps import Exclusion, FunnelSpec, Step
from growth.funnel.tables import measure, paths, trend
from growth.funnel.trends import FunnelDay, FunnelTrend

__all__ = [
    "Exclusion",
    "FunnelComparison",
    "FunnelDay",
    "FunnelResult",
    "FunnelSpec",
    "FunnelStep",
    "FunnelTrend",
    "PathLink",
    "Paths",
    "Step",
    "StepContrast",
    "StepTime",
    "TimeBin",
    "compare",
    "measure",
    "measure_from_counts",
    "paths",
    "trend",
]
