"""The platform's own values, as they were pulled last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from growth import engine

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["official_values"]


def official_values(
    table: ir.Table, metric: str, app_id: str | None
) -> tuple[dict[tuple[str, int], float], list[str]]:
    """Return what the platform says by day and offset, and of which apps."""
    needed = ("api", "ds", "metric", "key", "value")
    engine.need_columns(table, needed, unlocks="reconciliation with the platform")
    rows = table.filter(
        (table.api == "getDailyRetain") & (table.metric == metric) & table.key.notnull()
    )
    extra = [
        name for name in ("app_id", "pulled_ts", "period") if name in table.columns
    ]
    found = engine.fetch(rows.select(*needed, *extra), "reading the official values")
    latest: dict[tuple[str, str, int], tuple[Any, float]] = {}
    for row in found.to_pylist():
        app = str(row.get("app_id", ""))
        if row.get("period", "day") != "day" or row["value"] is None:
            continue
        if app_id is not None and app != app_id:
            continue
        at = (app, row["ds"].isoformat()[:10], int(row["key"]))
        pulled = row.get("pulled_ts")
        if at not in latest or latest[at][0] is None or pulled >= latest[at][0]:
            latest[at] = (pulled, float(row["value"]))
    official: dict[tuple[str, int], float] = {}
    for (_, day, k), (_, value) in latest.items():
        official[day, k] = official.get((day, k), 0.0) + value
    return official, sorted({app for app, _, _ in latest})
