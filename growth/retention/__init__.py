"""Retention: who comes back, when, and from which entrance.

::

    result = retention.measure(
        data.events, start_event="register", return_event="app_launch",
        start=date(2026, 3, 1), end=date(2026, 4, 1), as_of=date(2026, 4, 30),
    )
    result.curve()
"""

from growth.retention.spec import Event, RetentionRule, RetentionSpec
from growth.retention.tables import measure
from growth.retention.triangle import (
    CurvePoint,
    RetentionCell,
    RetentionResult,
    measure_from_counts,
)

__all__ = [
    "CurvePoint",
    "Event",
    "RetentionCell",
    "RetentionResult",
    "RetentionRule",
    "RetentionSpec",
    "measure",
    "measure_from_counts",
]
