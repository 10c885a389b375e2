"""What revenue needs beside the orders: refunds, and what users cost."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from growth import engine
from growth.engine.days import local_date, zone

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from growth.engine import TableLike
    from growth.retention.spec import RetentionSpec

__all__ = ["any_refund", "spent"]


def any_refund(table: ir.Table, column: str) -> bool:
    """Whether anything was refunded."""
    seen = engine.fetch(
        table.aggregate(some=(table[column] > 0).any()), "looking for refunds"
    )
    return bool(seen["some"][0].as_py())


def spent(channel_spend: TableLike, spec: RetentionSpec, tz: str) -> int:
    """Return what was spent on the days of the range, in fen; `tz` is of instants."""
    import ibis

    table = engine.as_table(channel_spend)
    engine.need_columns(table, ("ds", "spend_fen"), unlocks="payback")
    first, last = (
        at.astimezone(zone(spec.tz)).date()
        for at in (spec.start, spec.end - timedelta(microseconds=1))
    )
    instants = table.ds.type().is_timestamp()
    day = local_date(table.ds, tz) if instants else table.ds.cast("date")
    days = table.filter(day.between(ibis.literal(first), ibis.literal(last)))
    found = engine.fetch(
        days.aggregate(fen=days.spend_fen.sum()), "adding up the spend"
    )
    return int(found["fen"][0].as_py() or 0)
