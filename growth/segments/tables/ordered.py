"""What is about order in time: gaps between days, who did A and no B, A then B."""

from __future__ import annotations

from typing import TYPE_CHECKING

from growth.engine import epoch_us, local_day
from growth.engine.days import DAY_US
from growth.engine.dialect import floor_divide
from growth.segments.ops import TIMES
from growth.segments.tables.expressions import sure

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from growth.segments.rules import Metric

__all__ = ["gaps", "sequence", "usual_gap", "without"]


def gaps(rows: ir.Table, metric: Metric, user: str, tz: str) -> ir.Table:
    """Return days between purchases, a row each."""
    import ibis

    day = local_day(rows[TIMES[metric.of]], tz)
    days = rows.select(user, growth_day=day).distinct()
    order = ibis.window(group_by=days[user], order_by=days.growth_day)
    gap = (days.growth_day - days.growth_day.lag().over(order)).cast("int64")
    found = days.mutate(growth_gap=gap)
    return found.filter(found.growth_gap.notnull())


def usual_gap(gaps: ir.Table, user: str, p: int, name: str) -> ir.Table:
    """Return each buyer's usual days between purchases: a member of them."""
    import ibis

    order = ibis.window(group_by=gaps[user], order_by=gaps.growth_gap)
    whole = ibis.window(group_by=gaps[user])
    ranked = gaps.mutate(
        growth_rank=ibis.row_number().over(order) + 1,
        growth_n=gaps.growth_gap.count().over(whole),
    )
    wanted = floor_divide((ranked.growth_n * p + 99).cast("int64"), 100)
    return ranked.group_by(user).agg(
        **{name: ranked.growth_gap.min(where=ranked.growth_rank == wanted)}
    )


def without(
    rows: ir.Table, metric: Metric, user: str, start: int | None, end: int, name: str
) -> ir.Table:
    """Return who did A and no B in (t, t + within], by the A that counts."""
    import ibis

    one, two = metric.steps
    within = (metric.within or 0) * DAY_US
    us = epoch_us(rows.ts)
    first = rows.event == one
    if start is not None:
        first &= us >= start
    second = rows.event == two
    for column in metric.hold:
        second &= rows[column].notnull()
    rows = rows.mutate(growth_us=us, growth_a=first, growth_b=sure(second))
    ahead = ibis.window(
        group_by=[rows[user], *(rows[column] for column in metric.hold)],
        order_by=rows.growth_us,
        range=(1, within),
    )
    rows = rows.mutate(growth_after=rows.growth_b.cast("int8").max().over(ahead))
    alone = rows.growth_a & (rows.growth_after.fill_null(0) == 0)
    us = rows.growth_us
    old = end - us >= within
    left, young = alone & old, alone & ~old
    if metric.anchor == "any":
        told = rows.group_by(user).agg(
            growth_left=rows.count(where=left), growth_young=rows.count(where=young)
        )
        found = told.growth_left > 0
        return told.select(
            user, **{name: found, f"{name}_young": ~found & (told.growth_young > 0)}
        )

    def at(test: ir.BooleanValue) -> ir.Value:
        early = metric.anchor == "first"
        return us.min(where=test) if early else us.max(where=test)

    told = rows.group_by(user).agg(
        growth_asked=at(rows.growth_a), growth_left=at(left), growth_young=at(young)
    )
    asked = told.growth_asked
    return told.select(
        user,
        **{
            name: asked == told.growth_left,
            f"{name}_young": asked == told.growth_young,
        },
    )


def sequence(
    rows: ir.Table, metric: Metric, user: str, start: int | None, end: int, name: str
) -> ir.Table:
    """Carry the latest start through the steps: each row fills one of them."""
    import ibis

    del end
    within = (metric.within or 0) * DAY_US
    steps = metric.steps
    none = ibis.null().cast("int64")
    us = epoch_us(rows.ts)
    places = {step: i for i, step in reversed(list(enumerate(steps)))}
    place = ibis.cases(*((rows.event == step, i) for step, i in places.items()))
    begins = rows.event == steps[0]
    if start is not None:
        begins &= us >= start
    rows = rows.mutate(growth_us=us, growth_place=place.cast("int64"))
    rows = rows.mutate(growth_s0=begins.ifelse(rows.growth_us, none))
    if metric.anchor:
        whole = ibis.window(group_by=rows[user])
        starts = rows.growth_s0
        only = starts.min() if metric.anchor == "first" else starts.max()
        rows = rows.mutate(growth_only=only.over(whole))
        same = rows.growth_s0 == rows.growth_only
        rows = rows.mutate(growth_s0=same.ifelse(rows.growth_s0, none))
    before = ibis.window(
        group_by=rows[user],
        order_by=[rows.growth_us, rows.growth_place],
        rows=(None, -1),
    )
    for k, step in enumerate(steps[1:], 1):
        rows = rows.mutate(growth_begun=rows[f"growth_s{k - 1}"].max().over(before))
        fills = (rows.event == step) & (rows.growth_us - rows.growth_begun <= within)
        rows = rows.mutate({f"growth_s{k}": fills.ifelse(rows.growth_begun, none)})
    ended = rows[f"growth_s{len(steps) - 1}"]
    told = rows.group_by(user).agg(growth_done=ended.count())
    return told.select(user, **{name: told.growth_done > 0})
