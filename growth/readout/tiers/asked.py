"""What the tiers readout asks: the past replayed, its people fitted, two programmes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from growth.dataset import Dataset
    from growth.readout.catalog import TiersParams
    from growth.result import Result
    from growth.tiers import (
        Comparison,
        Difference,
        Habits,
        Population,
        Programme,
        Replayed,
    )

__all__ = ["Found", "joined_by", "look"]

RECENT: Final = 84  # days that logins are counted over
MONTH: Final = 365.25 / 12  # days
ACTS: Final = ("login", "review", "offline_visit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the readout found, in the order in which the document keeps it.

    Parameters
    ----------
    change : Comparison
        The changed programme against the present one.
    people : Population
        How members buy, and what earlier forecasts were worth.
    actual : Replayed
        The present programme over the actual orders.
    buyers, everybody : int
        People whose orders count, and people who ordered at all.
    """

    change: Comparison
    people: Population
    actual: Replayed
    buyers: int
    everybody: int

    def results(self) -> dict[str, Result]:
        """Return what the document keeps, by name."""
        return {"change": self.change, "people": self.people, "actual": self.actual}

    def programmes(self) -> tuple[Programme, Programme]:
        """Return the present programme and the changed one."""
        now, new = (one.programme for one in self.change.simulation.scenarios)
        return now, new

    def of(self, metric: str) -> Difference:
        """Return the difference of a metric."""
        return next(d for d in self.change.differences if d.metric == metric)


def look(opened: Dataset, params: TiersParams) -> Found:
    """Replay, fit and compare everything that the readout tells.

    Parameters
    ----------
    opened : Dataset
        With `orders`; `members`, `refunds` and `points_ledger` add to it.
    params : TiersParams
        What is asked.

    Returns
    -------
    Found
        Where `members` says who is enrolled, of their orders only.

    Raises
    ------
    GrowthError
        As `tiers.replay`, `tiers.fit` and `tiers.compare`.
    """
    from growth import tiers
    from growth.tiers.population import WIDEST

    both = params.programmes()
    orders, ledger = opened.orders, _table(opened, "points_ledger")
    if (enrolled := _enrolled(opened)) is not None:
        orders = orders.semi_join(enrolled, "user_id")
    acts = _interactions(ledger)
    refunds = _table(opened, "refunds")
    if refunds is not None:
        refunds = refunds.semi_join(orders, "order_id")
    actual = tiers.replay(
        orders,
        both["now"],
        as_of=params.as_of,
        refunds=refunds,
        interactions=acts,
        ledger=ledger,
        on_bad="report",
    )
    people = tiers.fit(
        orders,
        as_of=params.as_of,
        seed=params.seed,
        replications=params.tests,
        habits=_habits(orders, acts, params, actual.members),
        cap=max(WIDEST, params.response().widest),
        refunds=refunds,
        interactions=acts,
        ledger=ledger,
    )
    buyers, people = people.members, joined_by(people, params)
    change = tiers.compare(people, both, **params.assumptions())
    return Found(
        change=change,
        # where an uplift is stated, the best may not be what could answer to it
        people=replace(people, generator=change.simulation.generator),
        actual=actual,
        buyers=buyers,
        everybody=_people(opened.orders, params),
    )


def joined_by(people: Population, params: TiersParams) -> Population:
    """Return people and who joins while the run lasts, if any are stated.

    Parameters
    ----------
    people : Population
        Who is known.
    params : TiersParams
        Newcomers a month, and months: calendar months from the first day.

    Returns
    -------
    Population
        With newcomers drawn day by day.
    """
    from growth import tiers
    from growth.tiers import rules

    if not params.newcomers:
        return people
    joining = tiers.arrivals(
        params.newcomers / MONTH,
        start=params.as_of + timedelta(days=1),
        days=rules.add_months(people.start, params.months) - people.start,
        seed=params.seed,
    )
    return people.with_arrivals(joining.days, generator="bgnbd")


def _table(opened: Dataset, name: str) -> ir.Table | None:
    return opened.table(name) if opened.has(name) else None


def _enrolled(opened: Dataset) -> ir.Table | None:
    """Return the ids of members with a tier; None where nobody says who they are."""
    members = _table(opened, "members")
    if members is None or "tier" not in members.columns:
        return None
    some = members.filter(members.tier.notnull())
    return some.select("user_id") if _rows(some) else None


def _interactions(ledger: ir.Table | None) -> ir.Table | None:
    """Return logins, reviews and visits as the ledger in use awarded them."""
    if ledger is None or "reason" not in ledger.columns:
        return None
    some = ledger.filter(ledger.kind == "earn", ledger.reason.isin(ACTS))
    return some.select("user_id", "ts", event=some.reason)


def _habits(
    orders: ir.Table, acts: ir.Table | None, params: TiersParams, members: int
) -> Habits:
    """Return what members did besides ordering, as shares of what they did."""
    from growth import engine
    from growth.tiers import Habits

    known = orders.filter(orders.pay_ts < engine.instant(params.as_of))
    sums = {"paid": known.paid_fen.sum(), "n": known.count()}
    if "refund_fen" in known.columns:
        sums["back"] = known.refund_fen.sum()
    (row,) = engine.aggregate(known, by=(), measures=sums).to_pylist()
    refunds = (row.get("back") or 0) / (row["paid"] or 1)
    if acts is None:
        return Habits(refund_rate=refunds)
    end = engine.instant(params.as_of)
    recent = acts.filter(acts.ts < end, acts.ts >= end - timedelta(days=RECENT))
    logins = _rows(recent.filter(recent.event == "login"))
    reviews = _rows(acts.filter(acts.ts < end, acts.event == "review"))
    return Habits(
        refund_rate=min(1.0, refunds),
        review_rate=min(1.0, reviews / max(1, row["n"])),
        logins_per_day=logins / RECENT / max(1, members),
    )


def _rows(table: ir.Table) -> int:
    from growth import engine

    found = engine.aggregate(table, by=(), measures={"n": table.count()})
    return int(found["n"][0].as_py())


def _people(orders: ir.Table, params: TiersParams) -> int:
    from growth import engine

    known = orders.filter(orders.pay_ts < engine.instant(params.as_of))
    n = engine.aggregate(known, by=(), measures={"n": known.user_id.nunique()})
    return int(n["n"][0].as_py())
