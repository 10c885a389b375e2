"""A readout of one's own: paid orders of a week, against the week before.

What has a name lives here, in a module; its notebook only calls and shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from math import exp, log, sqrt
from typing import Annotated, Literal

import growth
from growth import engine
from growth.readout import Help, Id, Path, Sample, readout
from growth.readout.catalog import located
from growth.result import Cell, Estimate, Result

LEVEL, Z = 0.95, 1.959963984540054
WEEK = timedelta(days=7)


@readout("weekly_orders", subject="shop", deadline="2m")
@dataclass(frozen=True, slots=True, kw_only=True)
class WeeklyOrders:
    """The paid orders of a week: how many, and more than the week before."""

    data: Annotated[str, Path(), Sample("data/sample"), Help("dataset to read")]
    shop: Annotated[str, Id(), Sample("sample"), Help("whose orders")]
    as_of: Annotated[date, Sample("2026-02-28"), Help("last day of the week")]
    lang: Annotated[Literal["en", "zh"], Help("language of the page")] = "en"


@dataclass(frozen=True, slots=True, kw_only=True)
class Week(Result):
    """Paid orders of two weeks.

    Parameters
    ----------
    now, before : int
        Orders paid in the week, and in the one before; 1 or more.
    """

    now: int
    before: int

    @property
    def verdict(self) -> str:
        """`weekly_orders.` and `more`, `fewer`, or `alike`."""
        (change,) = self.estimates()
        if change.lo is None or change.hi is None or change.lo <= 0 <= change.hi:
            return "weekly_orders.alike"
        return f"weekly_orders.{'more' if change.lo > 0 else 'fewer'}"

    def rows(self) -> list[dict[str, Cell]]:
        """Return one row a week."""
        return [
            {"week": "this week", "orders": self.now},
            {"week": "the week before", "orders": self.before},
        ]

    def estimates(self) -> tuple[Estimate, ...]:
        """Return the relative change, as of two Poisson counts."""
        ratio = self.now / self.before
        se = sqrt(1 / self.now + 1 / self.before)
        lo, hi = (exp(log(ratio) + side * Z * se) - 1 for side in (-1, 1))
        change = Estimate(
            key="orders.lift",
            value=ratio - 1,
            se=ratio * se,
            lo=lo,
            hi=hi,
            level=LEVEL,
            n=self.now + self.before,
            unit="ratio",
            method="poisson_ratio",
        )
        return (change,)


def count_orders(params: WeeklyOrders) -> Week:
    """Return the paid orders of the week that ends with `as_of`, and the one before."""
    orders = growth.open(located(params.data)).orders
    day = engine.local_date(orders.pay_ts, "Asia/Shanghai")
    ends = [params.as_of - WEEK * back for back in range(3)]
    now, before = (
        int(orders.filter((day > start) & (day <= end)).count().execute())
        for end, start in pairwise(ends)
    )
    return Week(now=now, before=before)
